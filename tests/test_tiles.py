"""Deep loops are cut into tiles of their outermost axis: when, what the source looks like, and the same values."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen import scratch
from gradc.codegen.load import load
from gradc.compiler.report import report
from gradc.ir.interpret import evaluate

RNG = np.random.default_rng(5)


def mixture(alpha: Any, mu: Any, Q: Any, x: Any) -> Any:
    """The negative logarithm of a mixture of Gaussians, with a triangular factor for each component."""
    differences = x[:, None, :] - mu[None]
    squares = np.sum(np.einsum("kab,nkb->nka", np.tril(Q), differences) ** 2, axis=-1)
    terms = alpha - 0.5 * squares
    largest = np.max(terms, axis=1)
    return np.sum(largest + np.log(np.sum(np.exp(terms - largest[:, None]), axis=1)))


MIXTURE = {"alpha": "k", "mu": "k d", "Q": "k d d", "x": "n d"}
SIZES = {"k": 3, "d": 4, "h": 3, "e": 2}
PROGRAMS: list[tuple[str | Callable[..., Any], dict[str, str]]] = [
    (mixture, MIXTURE),
    ("sum(exp(-sum(sum(Q[k, a, b] * (x[i, b] - m[k, b]) for b in range(a + 1))**2 for a in range(d))) * y[i]"
     " for i in range(n) for k in range(h))", {"Q": "h d d", "x": "n d", "m": "h d", "y": "n"}),
    ("sum(t[g[i], a] * exp(-sum(sum(c[k, a, b] * (x[i, b] - u[k, b]) for b in range(d))**2 for k in range(h)))"
     " for i in range(n) for a in range(e))", {"t": "p e", "g": "int n", "c": "h e d", "x": "n d", "u": "h d"}),
]


def given(shapes: dict[str, str], n: int) -> list[Any]:
    """Random arrays for n points."""
    sizes = {**SIZES, "n": n, "p": 3}
    return [RNG.integers(0, 3, n) if text.startswith("int") else RNG.normal(size=[sizes[s] for s in text.split()])
            for text in shapes.values()]


@pytest.mark.parametrize(("program", "shapes"), PROGRAMS, ids=["mixture", "triangular", "gathered"])
def test_tiles_have_the_values_of_the_interpreter_for_whole_and_broken_tiles(
        program: str | Callable[..., Any], shapes: dict[str, str]) -> None:
    f = gradc.compile(program, shapes, jit=False)
    assert "for start in range(0, n, 64):" in f.value_and_grad.source
    for n in (1, 63, 64, 65, 130):
        arrays = given(shapes, n)
        expected = evaluate(f.value_and_grad.graph, dict(zip(shapes, arrays, strict=True)))
        value, slopes = f.value_and_grad(*arrays)
        for found, wanted in zip((value, *slopes), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)


def test_compiled_tiles_have_the_plain_values_and_leave_nothing_from_the_tile_before() -> None:
    f = gradc.compile(mixture, MIXTURE)
    plain = gradc.compile(mixture, MIXTURE, jit=False)
    for n in (130, 1, 70):
        arrays = given(MIXTURE, n)
        value, slopes = f.value_and_grad(*arrays)
        expected, wanted = plain.value_and_grad(*arrays)
        assert value == pytest.approx(expected, rel=1e-12)
        for found, one in zip(slopes, wanted, strict=True):
            np.testing.assert_allclose(found, one, rtol=1e-10, atol=1e-12)


def test_nothing_of_the_size_of_the_data_is_kept_and_the_points_of_a_tile_run_innermost() -> None:
    source = gradc.compile(mixture, MIXTURE, jit=False).value_and_grad.source
    buffers = [line for line in source.splitlines() if " = np.empty((" in line or " = np.zeros((" in line]
    assert buffers
    assert not any("(n" in line or " n," in line or ", n)" in line for line in buffers)
    inside = source.partition("for start in range")[2].splitlines()
    depths = [len(line) - len(line.lstrip()) for line in inside]
    for k, line in enumerate(inside):
        if "in range(start, stop):" in line:                    # no loop lies inside one over the points
            body = [other for other, depth in zip(inside[k + 1:], depths[k + 1:], strict=True) if depth > depths[k]]
            first = next((j for j, depth in enumerate(depths[k + 1:]) if depth <= depths[k]), len(body))
            assert not any(" in range(" in other for other in inside[k + 1:k + 1 + first])


ROWS = [
    ("sum(log(sum(exp(X[i, j]) * w[j] for j in range(d)) + y[i]) for i in range(n))", {"X": "n d", "w": "d", "y": "n"}),
    ("sum(tanh(sum(sin(X[i, j]) * log(1 + X[i, j]**2) for j in range(d))) for i in range(n))", {"X": "n d"}),
    ("sum(log(sum(exp(X[i, j]) for j in range(5))) * y[i] for i in range(n))", {"X": "n 5", "y": "n"}),
    ("sum(log(sum(exp(X[i, j] - X[j, i]) for j in range(n))) for i in range(n))", {"X": "n n"}),
]


@pytest.mark.parametrize(("program", "shapes"), ROWS, ids=["weighted", "sines", "literal", "transposed"])
def test_functions_of_short_rows_are_computed_in_one_loop_for_several_rows(
        program: str, shapes: dict[str, str]) -> None:
    f = gradc.compile(program, shapes, jit=False)
    source = f.source
    step = "51" if "n 5" in shapes.values() else "rows"
    assert f"for start in range(0, n, {step}):" in source and "for point in range((stop - start) * " in source
    for n, d in ((1, 1), (3, 5), (51, 5), (52, 5), (103, 5), (5, 300), (0, 4)):
        sizes = {"n": n, "d": d, "5": 5}
        arrays = [0.1 + RNG.random([sizes[name] for name in text.split()]) for text in shapes.values()]
        value, *slopes = evaluate(f.value_and_grad.graph, dict(zip(shapes, arrays, strict=True)))
        found = f.value_and_grad(*arrays)
        np.testing.assert_allclose([found[0], f(*arrays)], [value, value], rtol=1e-11)
        for one, other in zip(found[1] if len(slopes) > 1 else (found[1],), slopes, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_compiled_rows_keep_what_is_not_finite_and_run_in_threads(dtype: str) -> None:
    kind = "" if dtype == "float64" else "float32 "
    program, shapes = "sum(w[i] * log(sum(exp(z[i, j]) for j in range(c))) for i in range(n))", {
        "w": f"{kind}n", "z": f"{kind}n c"}
    functions = [gradc.compile(program, shapes, jit=jit, parallel=parallel).value_and_grad
                 for jit, parallel in ((False, False), (True, False), (True, True))]
    for n, c in ((0, 3), (1, 1), (130, 7), (9, 500), (40000, 3)):
        w, z = RNG.random(n).astype(dtype), RNG.normal(size=(n, c)).astype(dtype)
        for special in (0.0, np.inf, -np.inf, np.nan) if n in (130, 9) else (0.0,):
            z[n // 2:n // 2 + 1, 0] = special
            wanted, *others = [(value, *slopes) for value, slopes in (function(w, z) for function in functions)]
            for found in others:
                for one, other in zip(found, wanted, strict=True):
                    np.testing.assert_allclose(one, other, rtol=1e-10 if not kind else 2e-3, atol=1e-6 if kind else 0)


@pytest.mark.parametrize("program", [
    "sum((y[i] - sum(X[i, j] * w[j] for j in range(d)))**2 for i in range(n))",                 # one loop inside
    "sum(x[i + 1] * x[i] for i in range(n - 1))",                                              # none
    "sum(x[i] * log(y[i]) + y[i] for i in range(n))",                                          # none, but a function
    "sum(A[k, l] * B[l, m] * C[m, k] * w[i] for i in range(3) for k in range(d) for l in range(d) for m in range(d))",
])
def test_shallow_loops_and_short_axes_are_not_cut(program: str) -> None:
    shapes = {"X": "n d", "y": "n", "x": "n", "A": "d d", "B": "d d", "C": "d d", "w": "d" if "X" in program else "3"}
    used = {name: text for name, text in shapes.items() if name in program}
    assert "for start in" not in gradc.compile(program, used, jit=False).grad.source


def test_buffers_of_tiles_are_one_block_and_begin_with_a_cache_line() -> None:
    printed = gradc.compile(mixture, MIXTURE, jit=False).value_and_grad.printed
    assert printed.direct.buffered == ("value_and_grad_into",)
    tree = ast.parse(printed.direct.source)
    names = [buffer.name for buffer in scratch.buffers(tree.body[-1]).values()]  # type: ignore[arg-type]
    assert len(names) > 5
    scratch.rewrite(tree, printed.direct.buffered)
    assert ast.unparse(tree).count("np.empty(") == 1
    function = tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    function.body[-1:] = ast.parse(f"return [{', '.join(names)}]").body
    space: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(tree), "<text>", "exec"), space)
    arrays = given(MIXTURE, 70)
    parts = space["value_and_grad_into"](*arrays, *map(np.empty_like, arrays))
    assert all(part.ctypes.data % 64 == 0 for part in parts)
    assert not any(np.shares_memory(one, other) for one, other in combinations(parts, 2))


def test_the_block_of_buffers_changes_no_bit() -> None:
    printed = gradc.compile(mixture, MIXTURE).value_and_grad.printed
    arrays = given(MIXTURE, 130)
    found = []
    for module in (printed.module, dataclasses.replace(printed.module, buffered=())):
        value, slopes = load(module)["value_and_grad"](*arrays)
        found.append([value, *(slope.tobytes() for slope in slopes)])
    assert found[0] == found[1]


STRIPPED = {
    "a function after a sum": ("sum(log(1 + exp(-y[i] * sum(X[i, j] * w[j] for j in range(d)))) for i in range(n))",
                               {"X": "n d", "y": "n", "w": "d"}),
    "a function before a sum": ("sum(exp(y[i]) * sum(X[i, j] * w[j] for j in range(d))**2 for i in range(n))",
                                {"X": "n d", "y": "n", "w": "d"}),
    "functions of two sums": ("sum(sin(sum(X[i, j] * w[j] for j in range(d))) * cos(sum(X[i, j]**2 for j in range(d)))"
                              " for i in range(n))", {"X": "n d", "w": "d"}),
    "a sum of a function of a sum": ("sum(w[j] * tanh(sum(X[i, k] * w[k] for k in range(d))) * X[i, j]"
                                     " for i in range(n) for j in range(d))", {"X": "n d", "w": "d"}),
    "inside a loop": ("sum(exp(-sum((X[i, k] - X[j, k])**2 * w[k] for k in range(d))) * y[i] * y[j]"
                      " for i in range(n) for j in range(n))", {"X": "n d", "y": "n", "w": "d"}),
}


@pytest.mark.parametrize("name", STRIPPED)
@pytest.mark.parametrize("n", [0, 1, 64, 150])
def test_functions_of_single_points_run_through_a_strip_in_a_loop_of_their_own(name: str, n: int) -> None:
    formula, shapes = STRIPPED[name]
    f = gradc.compile(formula, shapes, wrt=tuple(shapes), jit=False)
    assert "for start in range(0, n, 64):" in f.value_and_grad.source
    rng = np.random.default_rng(3)
    sizes = {"n": n, "d": 3}
    arrays = {key: rng.uniform(-1.0, 1.0, [sizes[dim] for dim in shape.split()]) for key, shape in shapes.items()}
    expected = evaluate(f.value_and_grad.graph, arrays)
    value, slopes = f.value_and_grad(**arrays)
    for found, wanted in zip((value, *slopes), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)


def test_every_loop_over_a_strip_with_functions_is_vectorised() -> None:
    formula, shapes = STRIPPED["a function after a sum"]
    found = report(gradc.compile(formula, shapes, wrt="w"), vectors=True)["value_and_grad"].loops
    lines = [loop.lanes for loop in found if loop.lanes is not None and loop.lanes > 1]
    assert len(lines) == 3                                      # the sums over j of a point, the functions, the gradient
