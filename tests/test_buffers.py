"""Which values share memory: a network keeps one array a layer and pass, and no program loses a value to another."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import gradc
from gradc import nn

RNG = np.random.default_rng(7)
NETWORK = {"x": "n d", "y": "int n", "W1": "h d", "b1": "h", "W2": "k h", "b2": "k", "W3": "c k", "b3": "c"}


def network(x: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any, W3: Any, b3: Any) -> Any:
    first = nn.relu(x @ W1.T + b1)
    second = nn.relu(first @ W2.T + b2)
    scores = second @ W3.T + b3
    return nn.cross_entropy(scores, y)


def allocated(source: str) -> dict[str, str]:
    """The buffers of a module and their shapes, as text."""
    return dict(re.findall(r"^    (\w+) = np\.(?:empty|zeros)\((\(.+?\)|\w+)\)$", source, re.MULTILINE))


def test_a_network_keeps_one_array_for_each_layer_and_for_each_adjoint() -> None:
    f = gradc.compile(network, NETWORK, wrt=tuple(NETWORK)[2:], jit=False)
    source = f.value_and_grad.source
    assert allocated(source) == {"first": "(n, h)", "second": "(n, k)", "scores": "(n, c)", "d_scores": "(n, c)",
                                 "d_second": "(n, k)", "d_first": "(n, h)", "t2_all": "c"}
    assert "first[i, j] = maximum(first[i, j] + b1[j], 0.0)" in source
    assert source.index("# forward") < source.index("second[i, l] = ") < source.index("# backward")
    assert source.index("# backward") < source.index("matmul(d_scores, W3, d_second)")


def test_a_network_is_that_of_the_interpreter_in_place_and_compiled() -> None:
    sizes = {"n": 7, "d": 5, "h": 6, "k": 4, "c": 3}
    given = [RNG.normal(size=[sizes[s] for s in text.split()]) for name, text in NETWORK.items() if name != "y"]
    given.insert(1, RNG.integers(0, 3, size=7))
    plain = gradc.compile(network, NETWORK, wrt=tuple(NETWORK)[2:], jit=False)
    compiled = gradc.compile(network, NETWORK, wrt=tuple(NETWORK)[2:])
    assert compiled(*given) == pytest.approx(network(*given), rel=1e-13)
    for one, other in zip(compiled.value_and_grad(*given)[1], plain.value_and_grad(*given)[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    gradc.check_gradients(plain, *given, order=1)


def test_a_value_that_is_read_later_keeps_its_memory() -> None:
    def f(A: Any, B: Any) -> Any:
        product = A @ B
        wave = np.sin(product)
        return np.sum((wave @ A) * product)

    source = gradc.compile(f, {"A": "n n", "B": "n n"}, jit=False).source
    assert list(allocated(source)) == ["product", "t1", "s1"]
    assert source.count("    matmul(A, B, product)") == 1        # though its axes have other names at its second use


def test_a_value_that_the_result_reads_keeps_its_memory() -> None:
    def f(C: Any, P: Any, s: Any) -> Any:
        row = s * (P @ C[0])
        return np.sum(np.sin(row)) + np.sin(row[0]) + np.sum(np.sin((P @ C).T @ P))

    compiled = gradc.compile(f, {"C": "3 3", "P": "n 3", "s": ""}, jit=False)
    given = RNG.normal(size=(3, 3)), RNG.normal(size=(4, 3)), 0.3
    assert compiled.value_and_grad(*given)[0] == pytest.approx(f(*given), rel=1e-13)    # the last line reads row[0]


def test_memory_that_bears_another_values_name_is_given_a_second_name() -> None:
    def f(x: Any, U: Any, V: Any, W: Any) -> Any:
        first = nn.relu(x @ U.T) + 1.0
        second = nn.relu(first @ V.T) + 1.0
        third = nn.relu(second @ W.T) + 1.0
        return np.sum(third ** 2, axis=0) @ np.sum(third, axis=0)

    source = gradc.compile(f, {"x": "n d", "U": "h d", "V": "k h", "W": "h k"}, jit=False).source
    named = re.search(r"    (\w+) = first  # the same memory: by then first has been read for the last time", source)
    assert named is not None
    assert f"matmul(W, second.T, {named[1]})" in source


STEPS = ("product", "product", "wave", "scaled", "masked", "sum of two", "turned", "shares", "taken", "of rows")


def chain(steps: tuple[str, ...], picks: tuple[tuple[int, int], ...], A: Any, B: Any, k: Any) -> Any:
    """A program over square matrices: each step uses some of the two before it."""
    values = [A, B]
    for step, (one, other) in zip(steps, picks, strict=True):
        x, y = values[-1 - one], values[-1 - other]
        values.append({
            "product": lambda x=x, y=y: x @ y * 0.3, "wave": lambda x=x: np.sin(x), "scaled": lambda x=x: 0.5 * x + 0.1,
            "masked": lambda x=x, y=y: np.where(y > 0.0, x, 0.2 * x), "sum of two": lambda x=x, y=y: x + np.cos(y),
            "turned": lambda x=x: x.T - 0.2, "shares": lambda x=x: nn.softmax(x), "taken": lambda x=x: x[k] * 0.7,
            "of rows": lambda x=x, y=y: x - np.sum(y, axis=1, keepdims=True) * 0.1,
        }[step]())
    return np.sum(values[-1] * values[-2])


@pytest.mark.parametrize("seed", range(24))
def test_random_chains_have_the_values_and_gradients_of_the_interpreter(seed: int) -> None:
    random = np.random.default_rng(seed)
    length = int(random.integers(3, 9))
    steps = tuple(str(step) for step in random.choice(STEPS, length))
    picks = tuple((int(random.integers(0, 2)), int(random.integers(0, 2))) for _ in range(length))
    f = gradc.compile(lambda A, B, k: chain(steps, picks, A, B, k), {"A": "n n", "B": "n n", "k": "int n"}, jit=False)
    given = random.normal(size=(4, 4)), random.normal(size=(4, 4)), random.integers(0, 4, size=4)
    assert f(*given) == pytest.approx(chain(steps, picks, *given), rel=1e-11)
    gradient = f.value_and_grad(*given)[1]
    direction = random.normal(size=(4, 4))
    for name, found in zip(("A", "B"), gradient, strict=True):
        along = []
        for step in (1e-3, 5e-4):
            shifted = [(given[0] + s * direction * (name == "A"), given[1] + s * direction * (name == "B"), given[2])
                       for s in (step, -step)]
            along.append((chain(steps, picks, *shifted[0]) - chain(steps, picks, *shifted[1])) / (2 * step))
        wanted = (4 * along[1] - along[0]) / 3                  # Richardson
        assert np.sum(found * direction) == pytest.approx(wanted, rel=1e-6, abs=1e-7)


def test_elements_of_what_is_computed_anyway_are_read_from_there() -> None:
    def f(x: Any, W: Any, y: Any) -> Any:
        scores = x @ W
        return np.sum(np.log(np.sum(np.exp(scores), axis=1)) - scores[np.arange(len(y)), y])

    source = gradc.compile(f, {"x": "n d", "W": "d c", "y": "int n"}, jit=False).source
    assert re.search(r"scores\[i, y(\[i\]|_\w+)\]", source)


def test_elements_of_what_nobody_else_needs_are_computed_alone() -> None:
    def f(x: Any, W: Any, y: Any) -> Any:
        return np.sum((x @ W)[np.arange(len(y)), y])

    assert not allocated(gradc.compile(f, {"x": "n d", "W": "d c", "y": "int n"}, jit=False).source)


PAGES = """
import resource
import numpy as np
import gradc

f = gradc.compile("sum(a[i] * b[i] * c[i] * d[i] for i in range(n))", {name: "n" for name in "abcd"}).grad
given = [np.ones(250_000) for _ in range(4)]
for _ in range(3):
    f(*given)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    f(*given)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what other libraries keep is theirs")
def test_large_results_come_from_memory_that_the_process_has() -> None:
    run = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 20 * 4 * 250_000 * 8 / 4096 / 10, "most pages were asked for anew"
