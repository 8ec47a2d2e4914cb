"""Loops in threads: the same bits for every number of threads, no race, what is one loop, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import gradc
from gradc.codegen import threads
from gradc.codegen.load import optimised
from gradc.ir.errors import FormulaError
from gradc.ir.interpret import evaluate

from .test_tiles import MIXTURE, mixture

RNG = np.random.default_rng(11)
ROSENBROCK = "sum(100 * (x[i + 1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))"
GATHERED = "sum(table[g[i]]**2 * w[i] for i in range(n))"


def heat(u: Any) -> Any:
    """The squared residual of a five-point stencil."""
    middle = u[1:-1, 1:-1]
    return np.sum((4 * middle - u[:-2, 1:-1] - u[2:, 1:-1] - u[1:-1, :-2] - u[1:-1, 2:]) ** 2)


def spread(x: Any) -> Any:
    """Largest elements, where they are, products and truth values of rows, and of everything."""
    rows = np.max(x, axis=1) * np.argmax(x, axis=1) + np.min(x, axis=1) - np.prod(x, axis=1)
    return np.sum(rows) * np.max(x) + np.where(np.any(x > 2), np.min(x), np.prod(x[0]))


def network(W: Any, V: Any, x: Any) -> Any:
    """Two layers on a batch."""
    return np.sum((np.tanh(x @ W) @ V) ** 2)


def running(x: Any) -> Any:
    """A scan in every row."""
    return np.sum(np.cumsum(x, axis=1) ** 2)


def joined(x: Any, y: Any) -> Any:
    """An array of parts, read with neighbours."""
    z = np.concatenate([x, y])
    return np.sum(z[1:] * z[:-1])


def normalised(x: Any) -> Any:
    """Means and variances over the outer axis."""
    return np.sum(np.tanh((x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + 1e-5)))


PROGRAMS: list[tuple[str | Callable[..., Any], dict[str, str], str]] = [
    (mixture, MIXTURE, "np.zeros((chunks"),
    (heat, {"u": "n m"}, "every other chunk first"),
    (spread, {"x": "n m"}, ""),
    (network, {"W": "m k", "V": "k d", "x": "n m"}, ""),
    (running, {"x": "n m"}, ""),
    (joined, {"x": "n", "y": "m"}, "every other chunk first"),
    (normalised, {"x": "n m"}, ""),
    (ROSENBROCK, {"x": "n"}, "every other chunk first"),
    ("sum(x[i] * x[i + 1]**2 * x[i + 2] for i in range(n - 2))", {"x": "n"}, "every other chunk first"),
    ("sum(x[2 * i] * y[i] + x[i] for i in range(n))", {"x": "2*n", "y": "n"}, ""),
    (GATHERED, {"table": "m", "g": "int n", "w": "n"}, "np.zeros((chunks"),
    ("sum(x[k] * x[i] for i in range(n) for k in range(i))", {"x": "n"}, "np.zeros((chunks"),
    ("max(x[i] for i in range(n))", {"x": "n"}, ""),
    ("sum(log(sum(exp(a[i, k] * w[k]) for k in range(m))) for i in range(n))", {"a": "n m", "w": "m"},
     "np.zeros((chunks"),
]
NAMES = ["mixture", "heat", "spread", "network", "running", "joined", "normalised", "Rosenbrock", "three", "strided",
         "gathered", "pairs", "largest", "logsumexp"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every loop is worth threads."""
    monkeypatch.setattr(threads, "LEAST_WORK", 1)
    monkeypatch.setattr(threads, "PER_COPIED", 0)


def given(f: Any, **sizes: int) -> list[Any]:
    """Random arguments, with equal largest elements."""
    found = []
    for node in f.graph.inputs.values():
        shape = [dim.evaluate(sizes) for dim in node.shape]
        found.append(RNG.integers(0, sizes["m"], shape) if node.dtype == "int64" else RNG.normal(size=shape).round(1))
    return found


def numbers(result: Any) -> list[Any]:
    """The arrays of a result, nested or not."""
    return [number for part in result for number in numbers(part)] if isinstance(result, tuple) else [
        np.asarray(result)]


def in_order(f: Any, arguments: Iterable[Any], order: Callable[[int], Any]) -> list[Any]:
    """The text of a function run as plain Python, its chunks in an order."""
    text = f.source
    assert "\nprange = range  #" in text
    names: dict[str, Any] = {"__name__": "generated", "order": order}
    exec(compile(text.replace("\nprange = range  #", "\nprange = order  #"), "<text>", "exec"), names)
    with np.errstate(all="ignore"):
        return numbers(names[f.__name__](*arguments))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("program", "shapes", "part"), PROGRAMS, ids=NAMES)
def test_the_order_of_the_chunks_changes_no_bit_and_their_sum_is_right(
        program: str | Callable[..., Any], shapes: dict[str, str], part: str) -> None:
    f = gradc.compile(program, shapes, jit=False, parallel=True)
    assert part in f.value_and_grad.source
    for function in (f, f.value_and_grad):
        for n, m in ((150, 5), (7, 4), (3, 3)):
            arguments = given(function, n=n, m=m, k=3, d=4)
            expected = numbers(tuple(evaluate(function.graph, dict(zip(function.args, arguments, strict=True)))))
            forward = in_order(function, arguments, range)
            backward = in_order(function, arguments, lambda count: range(count)[::-1])
            for one, other, wanted in zip(forward, backward, expected, strict=True):
                assert one.tobytes() == other.tobytes()
                np.testing.assert_allclose(one, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("program", "shapes"), [(p, s) for p, s, _ in PROGRAMS if p not in (heat, joined, spread)])
def test_nothing_and_one_point_are_one_chunk(program: str | Callable[..., Any], shapes: dict[str, str]) -> None:
    f = gradc.compile(program, shapes, jit=False, parallel=True)
    one = gradc.compile(program, shapes, jit=False)
    for n in (0, 1, 2):
        arguments = given(f.value_and_grad, n=n, m=2, k=2, d=2)
        try:
            expected = one.value_and_grad(*arguments)
        except gradc.GradcError as error:
            with pytest.raises(type(error)):
                f.value_and_grad(*arguments)
            continue
        for found, wanted in zip(numbers(f.value_and_grad(*arguments)), numbers(expected), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


SCRIPT = """
import json, sys
import numba
from gradc.codegen import threads
from gradc.codegen.load import optimised
threads.LEAST_WORK, threads.PER_COPIED = 1, 0
import numpy as np
import gradc
from tests.test_threads import PROGRAMS, given, numbers
found = {}
for k in map(int, sys.argv[1:]):
    program, shapes, _ = PROGRAMS[k]
    f = gradc.compile(program, shapes, parallel=True).value_and_grad
    plain = gradc.compile(program, shapes, parallel=True, jit=False).value_and_grad
    arguments = given(f, n=300, m=5, k=3, d=4)
    bits = []
    for count in (1, 2, 4, 4, 3, 4):
        numba.set_num_threads(count)
        bits.append([a.tobytes() for a in numbers(f(*arguments))])
    close = all(np.allclose(a, b, rtol=1e-10, atol=1e-10)
                for a, b in zip(numbers(f(*arguments)), numbers(plain(*arguments))))
    found[k] = [all(one == bits[0] for one in bits), close]
print(json.dumps(found))
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_every_number_of_threads_gives_the_same_bits(layer: str) -> None:
    places = [NAMES.index(name) for name in ("mixture", "heat", "Rosenbrock", "gathered")]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "NUMBA_THREADING_LAYER": layer}
    ran = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, places)], capture_output=True, text=True, check=False,
                         env=environment, cwd=Path(__file__).parents[1], timeout=600)
    if "No threading layer could be loaded" in ran.stderr:
        pytest.skip(f"this machine has no {layer}")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout) == {str(k): [True, True] for k in places}


def test_a_map_over_many_points_is_that_of_one_loop_and_calls_from_several_threads_do_not_disturb_each_other() -> None:
    f = gradc.compile("sin(x) * exp(-x)", {"x": "n"}, parallel=True)
    assert "prange(" in f.source
    x = np.linspace(-1.0, 1.0, 10**6)
    expected = gradc.compile("sin(x) * exp(-x)", {"x": "n"})(x)
    found: list[Any] = []
    users = [threading.Thread(target=lambda: found.append(f(x))) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(found) == 3
    for one in found:
        np.testing.assert_array_equal(one, expected)


def test_compiled_code_of_the_user_calls_it_and_a_pickle_keeps_the_option(tmp_path: Path) -> None:
    f = gradc.compile("sum(exp(x[i]) * y for i in range(n))", {"x": "n", "y": ""}, parallel=True)
    inner = f.value_and_grad.jit

    @numba.njit  # type: ignore[untyped-decorator]
    def used(x: Any, y: float) -> Any:
        return inner(x, y)[0]

    x = np.linspace(0.0, 1.0, 100_000)
    expected = f.value_and_grad(x, 2.0)[0]
    assert used(x, 2.0) == expected
    assert pickle.loads(pickle.dumps(f)).source == f.source
    f.save(tmp_path / "saved.py")
    text = (tmp_path / "saved.py").read_text()
    assert "from numba import njit, prange" in text
    assert "@_in_threads\ndef _value_and_grad_into" in text
    saved = runpy.run_path(str(tmp_path / "saved.py"))
    assert saved["value"](x, 2.0) == pytest.approx(expected, rel=1e-12)
    assert saved["_check"]() == 0


def test_what_needs_the_iteration_before_is_one_loop() -> None:
    def carried(x: Any) -> Any:
        return np.sum(np.cumsum(x))

    def plain(x: Any) -> Any:
        return np.sum(np.exp(x))

    assert "prange" not in gradc.compile(carried, {"x": "n"}, jit=False, parallel=True).source
    assert "prange" in gradc.compile(plain, {"x": "n"}, jit=False, parallel=True).source
    assert "prange" not in gradc.compile(plain, {"x": "n"}, jit=False).source
    assert "prange" not in gradc.compile(plain, {"x": "50"}, jit=False, parallel=True).source      # too little work


def test_the_number_of_chunks_depends_on_the_work_and_on_what_is_copied() -> None:
    f = gradc.compile(GATHERED, {"table": "m", "g": "int n", "w": "n"}, jit=False, parallel=True)
    line = next(line for line in f.value_and_grad.source.splitlines() if "8*m" in line)
    names = {"n": 10**8, "m": 10}

    def chunks(**sizes: int) -> Any:
        return eval(line.split(" = ")[1], {"max": max, "min": min}, {**names, **sizes})

    assert chunks() == 64
    assert chunks(n=1000) == 1
    assert chunks(m=10**6) < 20
    assert chunks(m=10**7) == 1


@pytest.mark.usefixtures("small")
def test_a_chunk_and_a_shifted_index_have_the_vectors_of_a_plain_loop() -> None:
    for formula, shapes, parallel in (("sum(sin(x[i]) for i in range(n))", {"x": "n"}, True),
                                      ("sum(x[i + k]**2 for i in range(m))", {"x": "n", "k": "int", "m": "int"}, False)):
        f = gradc.compile(formula, shapes, parallel=parallel).value_and_grad
        code = optimised(f.printed.module)
        assert "vector.body" in code
        assert "masked.gather" not in code
        assert "masked.scatter" not in code
        loops = gradc.report(f).parts[-1].loops
        assert any((loop.lanes or 1) > 1 for loop in loops if loop.text in ("for i in range(start, stop)",
                                                                             "for i in range(m)"))


def test_the_report_says_which_loop_runs_in_threads() -> None:
    f = gradc.compile("sum(exp(x[i]) for i in range(n))", {"x": "n"}, jit=False, parallel=True)
    report = gradc.report(f, vectors=False)
    assert [loop.text for loop in report["value"].loops if loop.threads] == ["for chunk in prange(chunks)"]
    assert report["value"].loops[0].text == "for i in range(start, stop)"
    assert "in threads" in str(report)


def test_the_option_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(FormulaError, match="parallel=True means nothing here, where no loop goes over an array"):
        gradc.compile("(x + y) * z", parallel=True)
    with pytest.raises(FormulaError, match="parallel must be True or False, not 4: numba.set_num_threads chooses"):
        gradc.compile("sum(x)", {"x": "n"}, parallel=4)  # type: ignore[arg-type]
