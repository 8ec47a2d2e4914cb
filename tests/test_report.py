"""The report: operations counted as they are printed, loops and their vectors, memory, stages, cache, and refusals."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import gradc
from gradc.codegen import load
from gradc.codegen.vectorised import vector_loops
from gradc.compiler.report import Count, Report

from .sources import plain

LOGISTIC = "z = X @ w; sum(log(1 + exp(z[i])) - y[i] * z[i] for i in range(n))"
SHAPES = {"w": "d", "X": "n d", "y": "n"}


def report(f: Any, *args: Any, **options: Any) -> Report:
    return gradc.report(f, *args, **{"vectors": False, **options})


# -- operations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("formula", "args", "value", "gradient", "functions"), [
    ("x*y", {"x": "", "y": ""}, "1", "1", {}),
    ("x*y + sin(x*y)", {"x": "", "y": ""}, "3", "9", {"sin": "1"}),
    ("x", {"x": ""}, "0", "0", {}),
    ("sum(x[i]**2 for i in range(n))", {"x": "n"}, "2*n", "3*n", {}),
    ("sum(a * exp(x[i]) for i in range(n))", {"x": "n", "a": ""}, "2*n + 1", "3*n + 1", {"exp": "n"}),
    ("sum(x[i] * x[i+1] for i in range(n - 1))", {"x": "n"}, "2*n - 2", "3*n - 3", {}),
    ("max(x[i] for i in range(n))", {"x": "n"}, "n", None, {}),
    ("sum(A[i, j] * x[j] for i in range(m) for j in range(n))", {"A": "m n", "x": "n"}, "2*m*n", None, {}),
    ("sum(where(x[i] > 0, x[i], 2 * x[i]) for i in range(9))", {"x": "9"}, "36", None, {}),
    ("sum(k * x[i] for i in range(n) if i < k)", {"x": "n", "k": "int"}, None, None, {}),
])
def test_operations_are_counted_as_they_are_printed(formula: str, args: Any, value: str | None, gradient: str | None,
                                                    functions: dict[str, str]) -> None:
    found = report(plain(formula, args))
    if value is not None:
        assert found["value"].operations.symbolic == value
    if gradient is not None:
        assert found["value_and_grad"].operations.symbolic == gradient
    assert {name: count.symbolic for name, count in found["value"].functions.items()} == functions


def test_numbers_stand_beside_polynomials_for_sizes_and_for_arguments() -> None:
    f = plain(LOGISTIC, SHAPES, wrt="w")
    by_size, w, X, y = report(f, sizes={"n": 3, "d": 2}), [0.1, 1.0], np.ones((3, 2)), np.zeros(3)
    for found in (report(f, w, X, y), report(f, w, X=X, y=y)):
        assert found.sizes == by_size.sizes == {"d": 2, "n": 3}
        assert [part.operations for part in found.parts] == [part.operations for part in by_size.parts]
    one, other = (part.operations.number for part in by_size.parts)
    assert one == 2 * 3 * 2 + 4 * 3 and other is not None and by_size.ratio == other / one
    unknown = report(f)
    assert unknown.sizes is None and unknown["value"].operations.number is None
    assert "times those of value (with every size 1000)" in str(unknown)
    assert unknown.ratio == pytest.approx(report(f, sizes={"n": 1000, "d": 1000}).ratio)


def test_products_routines_and_buffers_are_listed_with_their_bytes() -> None:
    f = gradc.compile(lambda A, B, x: np.sum(np.linalg.solve(A @ B, x) ** 2),
                      {"A": "n m", "B": "m n", "x": "float32 n"}, wrt="A", jit=False)
    found = report(f, sizes={"n": 20, "m": 30})
    assert found["value"].routines == {"solve": 1}
    (product,) = found["value"].products
    assert product.text.startswith("matmul(A, B, ")
    assert f.source.splitlines()[product.line - 1].strip() == product.text
    assert found["value"].operations.number is not None and found["value"].operations.number >= 2 * 20 * 20 * 30
    held = {made.name: made for made in found["value"].buffers}
    assert any(made.bytes == Count("8*n*n", 3200) for made in held.values())
    for made in (made for part in found.parts for made in part.buffers):
        assert made.bytes.number is not None and f"{made.name} = np." in f.source + f.value_and_grad.source


def test_sizes_of_buffers_are_those_that_a_call_allocates() -> None:
    f = gradc.compile(lambda x: np.sum(np.outer(np.cumsum(np.exp(x[1:])), np.cumsum(x[:-1])) ** 2), {"x": "n"}, jit=False)
    for n in (1, 5):
        for part in report(f, sizes={"n": n}).parts:
            for made in part.buffers:
                assert made.bytes.number is not None and made.bytes.number in {8 * (n - 1) ** 2, 8 * (n - 1), 8 * n}


def test_loops_are_those_of_the_source() -> None:
    f = plain(LOGISTIC, SHAPES, wrt="w")
    for part, function in zip(report(f).parts, (f, f.value_and_grad), strict=True):
        lines = function.source.splitlines()
        assert len(part.loops) == sum(line.strip().startswith("for ") for line in lines if line.startswith("    "))
        for loop in part.loops:
            assert lines[loop.line - 1].strip() == f"{loop.text}:"
            assert loop.lanes is None


# -- compiled -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("formula", "vectorised"), [
    ("sum(x[i] * y[i] for i in range(n))", True),
    ("s = cumprod(x); sum(s[i] * y[i] for i in range(n))", False),         # each step waits for the one before
])
def test_vectorised_loops_are_told_from_scalar_ones(formula: str, vectorised: bool) -> None:
    found = report(gradc.compile(formula, {"x": "n", "y": "n"}), vectors=True)
    (loop,) = found["value"].loops
    assert loop.lanes is not None and (loop.lanes > 1) == vectorised
    assert ("vectors of" in str(found).partition("value_and_grad")[0]) == vectorised


def test_a_gradient_that_adds_to_the_coordinates_of_a_point_is_vectorised() -> None:
    """Elements d_x[j, 0] and d_x[j, 1] never meet, so the sums beside them may be taken in any order."""
    f = gradc.compile("sum(m[i] * m[j] / sqrt(sum((x[i,k] - x[j,k])**2 for k in range(3)) + 0.01) "
                      "for i in range(n) for j in range(i))", {"x": "n 3", "m": "n"}, wrt="x")
    inner = report(f, vectors=True)["value_and_grad"].loops[1]
    assert inner.depth == 1
    assert inner.lanes is not None and inner.lanes > 1


def test_a_loop_around_others_is_not_vectorised_by_the_copy_for_empty_inner_ones() -> None:
    f = gradc.compile("sum((sum(w[k] * X[i, k] for k in range(d)) - y[i])**2 for i in range(n))", SHAPES, wrt="w")
    outer, inner = report(f, vectors=True)["value"].loops
    assert (outer.lanes, outer.depth, inner.depth) == (1, 0, 1)
    assert inner.lanes is not None and inner.lanes > 1


CODE = """\
define i32 @f() {
entry:
  %0 = fadd <8 x double> %a, %b, !dbg !6
vector.body:
  %1 = fadd <4 x double> %a, %b, !dbg !7
  %2 = fadd <2 x float> %a, %b, !dbg !8
middle.block:
  %3 = fadd <8 x double> %a, %b, !dbg !6
vector.body12:
  %4 = fadd <4 x double> %a, %b, !dbg !9
}
!6 = !DILocation(line: 2, column: 1, scope: !3)
!7 = !DILocation(line: 77, column: 1, scope: !3, inlinedAt: !8)
!8 = distinct !DILocation(line: 4, column: 1, scope: !3)
!9 = !DILocation(line: 2, column: 1, scope: !3)
"""


def test_vectors_are_found_through_functions_that_were_put_into_one_another() -> None:
    text = "for i in range(n):\n    s = x[i]\n    for j in range(d):\n        s += helper(y[j])\n"
    assert vector_loops(CODE, text) == {3: 4}
    assert vector_loops("", text) == {} == vector_loops(CODE, "x = 1\n")


def test_runs_that_are_compiled_past_numba_are_named() -> None:
    steps = "; ".join(f"a{k} = sin(a{k - 1}) * x" for k in range(1, 120))
    f = gradc.compile(f"a0 = x * y; {steps}; a119 + sum(exp(x * z[i]) for i in range(n))", {"x": "", "y": "", "z": "n"})
    found = report(f, vectors=True)["value"]
    (block,) = found.blocks
    assert block.statements >= 100 and f"lines {block.first} to {block.last}" in str(found.blocks[0])
    lines = f.source.splitlines()[block.first - 1:block.last]
    assert sum(" = sin(" in line or " = x * sin(" in line for line in lines) >= 100
    for loop in found.loops:
        assert (loop.lanes is None) == (block.first <= loop.line <= block.last)
    assert report(plain(str(f.graph.title), {"x": "", "y": "", "z": "n"}))["value"].blocks == ()


def test_the_report_says_where_compiled_code_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))

    def cache(**options: Any) -> str:
        monkeypatch.setattr(load, "_loaded", {})
        monkeypatch.setattr(load, "_outcomes", {})
        return report(gradc.compile("x**2 * 3.25", wrt="x", **options))["value"].cache

    assert [cache(), cache()] == ["miss", "hit"]
    (entry,) = (path for path in tmp_path.iterdir() if (path / "value.compiled").exists() and "3.25" in
                (path / "module.py").read_text() and "grad" not in (path / "module.py").read_text())
    with (entry / "value.compiled").open("r+b") as file:
        file.truncate(10)
    assert [cache(), cache(), cache(cache=False), cache(jit=False)] == ["rebuilt", "hit", "off", ""]
    monkeypatch.setenv("GRADC_CACHE_DIR", "off")
    assert cache() == "off"


def test_stages_are_timed_in_the_order_in_which_they_run() -> None:
    f = gradc.compile("sin(x) * 4.75", wrt="x")
    value, gradient = report(f).parts
    assert list(value.seconds) == ["trace", "prepare", "lower", "print", "Numba"]
    assert list(gradient.seconds) == ["derive", "simplify", "lower", "print", "Numba"]
    assert all(seconds > 0 for part in (value, gradient) for seconds in part.seconds.values())
    assert list(report(plain("sin(x) * 4.5"))["value"].seconds)[-1] == "load"


# -- what is reported on ------------------------------------------------------------------------


def test_a_derivative_is_reported_beside_its_function() -> None:
    f = plain("x**4 + y", wrt="x")
    assert [part.name for part in report(f.grad).parts] == ["value", "grad"]
    assert [part.name for part in report(f.grad.grad).parts] == ["grad", "grad"]
    found = report(plain("x + y, x"))
    assert [part.name for part in found.parts] == ["value"] and found.ratio is None
    assert "no gradient: the gradient needs one scalar output" in str(found)
    with pytest.raises(KeyError, match="no part is called hessian: the names are value"):
        found["hessian"]


def test_functions_of_structures_and_of_undeclared_shapes_are_reported() -> None:
    f = gradc.compile(lambda p, x: np.sum(np.tanh(p["W"] @ x) + p["b"]), jit=False)
    p, x = {"W": np.ones((2, 3)), "b": 1.0}, np.ones(3)
    with pytest.raises(gradc.ArgumentError, match=r"report needs the shapes of the arguments, and it was called with no"):
        report(f)
    found = report(f, p, x)
    assert found.sizes is not None and sorted(found.sizes.values()) == [2, 3]
    assert report(f.value_and_grad, p, x=x).parts[1].name == "value_and_grad"
    f(p, x)
    assert report(f).sizes is None
    assert report(f.at(p, x)).ratio == report(f).ratio
    assert report(f.at(p, x), p, x).sizes == found.sizes


@pytest.mark.parametrize(("arguments", "options", "message"), [
    ((), {"sizes": {"k": 3}}, "there is no size k: the sizes are d, n"),
    ((), {"sizes": {"n": 3}}, "sizes lacks d: the sizes are d, n"),
    ((), {"sizes": {"n": -3, "d": 1}}, "the size n is -3: give a whole number that is not negative"),
    ((), {"sizes": {"n": 3.0, "d": 1}}, "the size n is 3.0: give a whole number that is not negative"),
    (([1.0], [[1.0]], [1.0]), {"sizes": {"n": 1, "d": 1}}, "sizes= and arguments were given: the arguments have sizes"),
    (([1.0], [[1.0]]), {}, "the argument y is missing"),
    (([1.0], [[1.0]], [1.0, 2.0]), {}, r"y.shape\[0\] is 2, but n"),
    ((), {"z": 3.0}, "there is no argument z"),
])
def test_what_does_not_fit_is_refused(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(gradc.GradcError, match=message):
        report(plain(LOGISTIC, SHAPES), *arguments, **options)


def test_only_functions_have_a_report() -> None:
    with pytest.raises(gradc.ArgumentError, match="report takes what gradc.compile gives, not a value of type str"):
        report("x + y")


# -- showing ------------------------------------------------------------------------------------


def test_the_page_shows_itself_everywhere_and_is_data() -> None:
    found = report(plain("sum((A @ x - b)**2)", {"A": "m n", "x": "n", "b": "m"}, wrt="x"), sizes={"m": 20, "n": 10})
    page = str(found)
    assert page.splitlines()[:5] == ["sum((A @ x - b)**2)", "sizes: m = 20, n = 10", "", "value",
                                     "  operations  2*m*n + 3*m = 460"]
    assert "for j in range(n)" in page and "cache       none: it runs as plain Python" in page
    console = Console(file=io.StringIO(), width=120)
    console.print(found)
    for text in (console.file.getvalue(), found._repr_html_()):                 # type: ignore[attr-defined]
        assert "2*m*n + 3*m = 460" in text
    data = json.loads(json.dumps(found.as_dict()))
    assert data["parts"][0]["operations"] == {"symbolic": "2*m*n + 3*m", "number": 460}
    assert data["sizes"] == {"m": 20, "n": 10}


def test_long_pages_are_cut() -> None:
    found = report(plain("sum(x)", {"x": "n"}), sizes={"n": 3})
    (loop,), count = found.parts[0].loops, Count(" + ".join(["n"] * 99), 297)
    page = str(replace(found, parts=(replace(found.parts[0], loops=(loop,) * 70, operations=count),)))
    assert page.count(loop.text) == 60 and "... and 10 more" in page
    assert "n + n + ... = 297" in page
