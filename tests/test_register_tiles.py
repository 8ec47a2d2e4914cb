"""Rows of a loop nest that run together: which nests, that nothing else changes, and what the report says."""

from __future__ import annotations

import ast
import copy
import random
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen import accumulate, register_tiles
from gradc.compiler.report import report

RNG = np.random.default_rng(8)
ROWS = register_tiles.ROWS
DOT = """
def f(X, w, y, g, k, n, d, h):
    for i in range(n):
        s = 0.0
        for j in range(d):
            s += w[j] * X[i, j]
        y[i] = s
"""
ADDED = """
def f(X, w, y, g, k, n, d, h):
    for i in range(n):
        for j in range(d):
            g[j] += y[i] * X[i, j]
"""


def jammed(text: str) -> tuple[ast.Module, dict[int, int]]:
    """The text's syntax tree with rows together, and the rows by line."""
    tree = accumulate.rewrite(ast.parse(text))
    return tree, register_tiles.rewrite(tree, ["f"])


def run(tree: ast.Module, given: list[Any]) -> tuple[Any, list[Any]]:
    """What a function returns, and its arrays afterwards; the accumulations in the order of the text."""
    names: dict[str, Any] = {accumulate.ADD: lambda total, value: total + value, "maximum": max,
                             accumulate.EXTREMA["maximum"]: max}
    exec(compile(ast.fix_missing_locations(tree), "<nest>", "exec"), names)
    arrays = copy.deepcopy(given)
    return names["f"](*arrays), arrays


@pytest.mark.parametrize("text", [
    DOT, ADDED,
    DOT.replace("X[i, j]", "X[h + i, j]"),
    ADDED.replace("range(n)", "range(h, n)"),
    ADDED.replace("g[j] +=", "t = y[i] * y[i]\n            g[j] -= t *").replace("* y[i] * X", "* X"),
])
def test_rows_that_share_what_they_load_run_together(text: str) -> None:
    tree, found = jammed(text)
    assert found == {3: ROWS}
    loops = [node for node in tree.body[0].body if isinstance(node, ast.For)]       # type: ignore[attr-defined]
    assert [len(loop.iter.args) for loop in loops] == [3, 2]                        # type: ignore[attr-defined]
    for n in (0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 2):
        given = [RNG.normal(size=(n + 2, 9)), *(RNG.normal(size=size) for size in (9, n, 9)), None, n, 9, 2]
        for one, other in zip(run(ast.parse(text), given)[1], run(tree, given)[1], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("text", "change"), [
    (ADDED, ("g[j]", "g[k[j]]")),                               # two rounds may add to one element
    (ADDED, ("range(d)", "range(i)")),                          # rows of different lengths
    (ADDED, ("range(d)", "range(k[i])")),
    (ADDED, ("g[j] +=", "X[i + 1, j] = X[i, j] +")),            # a row needs the one before it
    (ADDED, ("y[i] * X[i, j]", "g[j + 1] * X[i, j]")),          # an element that another round writes
    (ADDED, ("X[i, j]", "X[j, i]")),                            # elements that do not lie side by side
    (ADDED, ("X[i, j]", "exp(X[i, j])")),                       # a function takes far longer than what is shared
    (ADDED, ("X[i, j]", "(X[i, j] if j > 0 else 0.0)")),        # an element that may be outside the array
    (ADDED, ("g[j] +=", "if h > 0:\n                g[j] +=")),
    (ADDED, ("X[i, j]", "X[i, j] / h")),                        # what is shared is little beside a division
    (ADDED, ("range(n)", "range(n - 1, -1, -1)")),
    (ADDED, ("range(n)", "range(3)")),                          # fewer rows than run together
    (ADDED, ("range(d)", "range(8)")),                          # LLVM unrolls it
    (ADDED, ("g[j] +=", "X[h, j] +=")),                         # one row is read and all write it
    (ADDED, ("g[j] += y[i]", "X[i, j] += h")),                  # nothing is shared
    (DOT, ("y[i] = s", "y[0] = s * y[0]\n        w[0] = s")),   # the next row reads what this one has written
    (DOT, ("s = 0.0", "s = y[i - 1]")),
    (DOT.replace("y[i] = s", "h = s"), ("s = 0.0", "s = h")),   # so does a local
    (DOT, ("        s = 0.0\n", "")),                           # a strict sum over all rows that each row stores
    (DOT, ("y[i] = s", "y[:] = s")),
    (DOT, ("s = 0.0", "s = 0.0\n        w = g")),               # an array under another name
])
def test_other_nests_stay_as_they_are(text: str, change: tuple[str, str]) -> None:
    assert change[0] in text
    changed = text.replace(*change)
    tree, found = jammed(changed)
    assert not found
    assert ast.unparse(tree) == ast.unparse(accumulate.rewrite(ast.parse(changed)))


def test_only_the_functions_named_are_looked_at() -> None:
    assert register_tiles.rewrite(accumulate.rewrite(ast.parse(DOT.replace("def f", "def g"))), ["f"]) == {}


PLACES = ("g[j]", "g[j + 1]", "w[j]", "X[i, j]", "X[i + 1, j]", "Z[i, j]", "Z[h, j]", "y[i]", "v[i]", "y[i + 1]", "w[h]")
LOCALS = ("s", "t", "u")


def nest(draw: random.Random) -> str:
    """A nest of random statements, most of which have something to do with each other."""
    arrays = draw.sample(PLACES, 4)

    def value() -> str:
        return draw.choice([*arrays, *LOCALS, "2.0"])

    def statements(places: list[str], most: int) -> list[str]:
        found = []
        for _ in range(draw.randrange(most + 1)):
            target = draw.choice([*places, *LOCALS])
            found.append(f"{target} {draw.choice(['=', '+=', '-='])} {value()}" + draw.choice([f" * {value()}", ""]))
        return found

    fixed = [place for place in arrays if "j" not in place]
    outside = [line for part in (statements(fixed, 2), statements(fixed, 2)) for line in [part]]
    kept = [[line for line in part if not any(f"{a}" in line for a in arrays if "j" in a)] for part in outside]
    lines = ["def f(X, Z, w, g, y, v, h, n, d):", "    s = t = u = 1.0", "    for i in range(n):",
             *(f"        {line}" for line in [*draw.sample([f"{name} = 0.0" for name in LOCALS], 2), *kept[0]]),
             "        for j in range(d):", *(f"            {line}" for line in statements(arrays, 3) or ["g[j] += w[j]"]),
             *(f"        {line}" for line in kept[1])]
    return "\n".join([*lines, "    return s, t, u"])


def test_random_nests_give_the_same_with_rows_together() -> None:
    """Small whole numbers, which are exact in any order."""
    draw, together = random.Random(3), 0
    for _ in range(1000):
        text = nest(draw)
        tree, found = jammed(text)
        together += bool(found)
        n, d = draw.choice((0, 1, 4, 7, 8)), draw.choice((0, 1, 9))
        given = [np.array([draw.randrange(-1, 2) for _ in range(size)], object).reshape(shape) for size, shape in (
            ((n + 2) * 10, (n + 2, 10)), ((n + 2) * 10, (n + 2, 10)), *2 * ((10, (10,)),), *2 * ((n + 2, (n + 2,)),))]
        if found:
            one, other = (run(made, [*given, 1, n, d]) for made in (ast.parse(text), tree))
            assert one[0] == other[0], text
            for left, right in zip(one[1][:6], other[1][:6], strict=True):
                assert (left == right).all(), text
    assert together > 20


LOGISTIC = "sum(log(1 + exp(-y[i]*sum(w[j]*X[i,j] for j in range(d)))) for i in range(n))"


@pytest.mark.parametrize("dtype", ["", "float32 "])
def test_compiled_rows_have_the_values_of_plain_python(dtype: str) -> None:
    shapes = {name: dtype + shape for name, shape in {"w": "d", "X": "n d", "y": "n"}.items()}
    plain, compiled = (gradc.compile(LOGISTIC, shapes, jit=jit) for jit in (False, True))
    tolerance = 1e-4 if dtype else 1e-12
    for n, d in ((0, 3), (1, 1), (3, 0), (4, 9), (5, 40), (67, 13), (130, 100)):
        given = [RNG.normal(size=size).astype(dtype.strip() or "float64") for size in (d, (n, d), n)]
        (one, slopes), (other, wanted) = compiled.value_and_grad(*given), plain.value_and_grad(*given)
        np.testing.assert_allclose(one, other, rtol=tolerance)
        for left, right in zip(slopes, wanted, strict=True):
            np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)


def test_the_report_says_which_rows_run_together() -> None:
    f = gradc.compile(LOGISTIC, {"w": "d", "X": "n d", "y": "n"}, wrt="w")
    part = report(f, vectors=True)["value_and_grad"]
    rows = [loop for loop in part.loops if loop.rows > 1]
    assert [loop.rows for loop in rows] == [ROWS, ROWS]
    inner = [part.loops[part.loops.index(loop) + 1] for loop in rows]
    assert all(loop.lanes is not None and loop.lanes > 1 for loop in inner)
    assert f"{ROWS} rows together" in str(report(f, vectors=False))
    plain = gradc.compile(LOGISTIC, {"w": "d", "X": "n d", "y": "n"}, wrt="w", jit=False)
    assert all(loop.rows == 1 for loop in report(plain)["value_and_grad"].loops)
