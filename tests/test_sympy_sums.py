"""Sums, products and elements of arrays from SymPy: each is compared with its terms written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from sympy import (
    Idx,
    IndexedBase,
    KroneckerDelta,
    Max,
    Min,
    Mod,
    Ne,
    Piecewise,
    Product,
    Sum,
    Symbol,
    symbols,
)

from gradc.ir.interpret import evaluate

from .sympy_reference import close, converted, exact_over_arrays, gradient_of, ops, value_of

y = Symbol("y")
i, j, k, m, n = symbols("i j k m n", integer=True)
X, A = IndexedBase("X", shape=(n,)), IndexedBase("A", shape=(n, m))
U, B = IndexedBase("U"), IndexedBase("B")  # without a shape


SUMS = [
    Sum(y, (j, 0, sympy.floor((4 - i) / 2)), (i, 0, 3)),
    Sum(IndexedBase("U", shape=(8,))[i], (i, 0, n)),
    Sum(X[i], (i, 0, n - 1)),
    Sum(A[i, j] * X[i], (i, 0, n - 1), (j, 0, m - 1)),
    Sum(X[i] * X[j], (j, 0, i - 1), (i, 0, n - 1)),
    Sum(U[i] * U[j], (j, i + 1, n - 1), (i, 0, n - 1)),
    Sum(U[j] * X[i], (j, i, i + 2), (i, 0, n - 1)),
    Sum(X[j] * X[i] * i, (j, Max(0, i - 1), Min(n - 1, i + 1)), (i, 0, n - 1)),
    Sum(U[i + j] * y, (j, -1, 1), (i, 1, n)),
    Product(X[i], (i, 0, n - 1)),
    Product(Sum(X[j], (j, 0, i)), (i, 0, n - 1)),
    Product(X[i] + X[j], (i, 0, j), (j, 0, n - 1)),
    Sum(Piecewise((1 / (X[i] - X[j]) ** 2, Ne(i, j)), (0, True)), (j, 0, n - 1), (i, 0, n - 1)),
    Sum(Piecewise((1 / (U[i] - U[j]) ** 2, Ne(i, j)), (0, True)), (j, 0, n - 1), (i, 0, n - 1)),
    Sum(Piecewise((X[i - 1] * X[i], i > 0), (X[0], True)), (i, 0, n - 1)),
    Sum(KroneckerDelta(i, j) * X[i] * X[j], (i, 0, n - 1), (j, 0, n - 1)),
    Sum(Piecewise((X[i + 1], i < n - 1), (y, True)) ** 2, (i, 0, n - 1)),
    Sum(Piecewise((X[i], i < 2), (X[i - 2], True)), (i, 0, n - 1)),
    Sum(sympy.log(Sum(sympy.exp(B[i, j]), (j, 0, m - 1))), (i, 0, n - 1)),
    Sum(X[i] * Sum(X[i], (i, 0, n - 1)), (i, 0, n - 1)),
    Sum(X[i], (i, 0, n - 1)) * X[0] + X[n - 1],
    Sum(X[sympy.floor(i / 2)] * X[i], (i, 0, n - 1)),
    Sum(X[Mod(i + 1, n)] * X[i], (i, 0, n - 1)),
    Sum(y**i / sympy.factorial(i), (i, 0, m)),
    Sum(U[j] * y, (j, 0, sympy.floor(i / 2)), (i, 0, n - 1)),
    Sum(1, (i, 0, n - 1)) * y,
    Sum(U[i] * U[j] * U[k], (k, 0, j), (j, 0, i), (i, 0, n - 1)),
    Sum((i + 2 * j + k) * y, (k, i, j), (j, 0, i), (i, 0, n - 1)),
    Sum(A[i, j] * A[k, j] * X[i] * X[k], (i, 0, n - 1), (j, 0, m - 1), (k, 0, n - 1)),
    Sum(y, (i, 0, -1)) + y,
    Sum(y * i, (i, -3, 2)) + y * 2,
    Sum(Sum(X[i] * X[j], (j, 0, n - 1)) - Sum(X[j], (j, 0, i)), (i, 0, n - 1)),
    Sum(B[i, i] * U[i**2] * (2 * i + 1) ** 2, (i, 0, 2)),
    Sum(X[Min(i, 2)] * X[sympy.Abs(i - 1)], (i, 0, n - 1)),
    Sum(Sum(X[j], (j, 0, n - 1)) * X[i], (i, 0, n - 1)),
]
SIZES = {n: 5, m: 3}


@pytest.mark.parametrize("expr", SUMS, ids=str)
def test_sums_and_products_are_their_terms(expr: Any) -> None:
    rng = np.random.default_rng(len(str(expr)))
    point = {
        X: rng.normal(size=5),
        A: rng.normal(size=(5, 3)),
        U: rng.normal(size=8),
        B: rng.normal(size=(5, 3)),
        y: 0.7,
    }
    assert close(value_of(expr, {**point, **SIZES}), exact_over_arrays(expr, SIZES, point), 1e-12)
    for name, derivative in gradient_of(expr, {**point, **SIZES}).items():
        by = next(s for s in point if str(s) == name)
        want = np.asarray(exact_over_arrays(expr, SIZES, point, by), dtype=float)
        np.testing.assert_allclose(derivative, want, rtol=1e-10, atol=1e-10)


def test_a_sum_over_an_idx_takes_its_range() -> None:
    q = Idx("q", n)
    point = {X: np.array([1.0, 2.0, 4.0])}
    assert value_of(Sum(X[q] ** 2, q), point) == 21.0
    assert value_of(Sum(X[q] * X[j], q, (j, 0, q)), {X: point[X], q: 1}) == 21.0


def test_a_free_index_is_an_integer_argument() -> None:
    for index in (i, Idx("i", n), Idx("i"), Symbol("i")):
        graph = converted(X[index] * index)
        assert {name: node.dtype for name, node in graph.inputs.items()} == {"X": "float64", "i": "int64"}
        assert evaluate(graph, {"X": [1.0, 2.0, 4.0], "i": 2})[0] == 8.0


def test_a_bound_symbol_may_also_be_free_elsewhere() -> None:
    assert value_of(Sum(i * X[i], (i, 0, n - 1)) + i * 10, {X: np.ones(3), i: 7}) == 73.0
    nested = Sum(X[i] * Sum(X[i], (i, 0, i)), (i, 0, n - 1))  # the inner bound is the outer i
    assert value_of(nested, {X: np.array([1.0, 2.0, 4.0])}) == 1 + 2 * 3 + 4 * 7


def test_one_part_in_two_sums_keeps_its_own_range() -> None:
    part = X[i] ** 2
    assert (
        value_of(Sum(part, (i, 0, 1)) - Sum(part, (i, 1, 2)) * 10, {X: np.array([1.0, 2.0, 4.0])}) == 5 - 200
    )


def test_dependent_ranges_read_nothing_outside() -> None:
    expr = Sum(X[i + 1] * X[j], (j, i + 1, n - 1), (i, 0, n - 1))  # x[n] stands there, but for no j
    assert value_of(expr, {X: np.array([1.0, 2.0, 4.0])}) == 2 * (2 + 4) + 4 * 4


def test_equal_sums_are_one_node() -> None:
    assert ops(Sum(X[i], (i, 0, n - 1)) * Sum(X[j], (j, 0, n - 1))).count("sum") == 1


def test_a_gather_reads_an_integer_array() -> None:
    index = IndexedBase("index", shape=(m,))
    graph = converted(Sum(X[index[i]], (i, 0, m - 1)))
    assert graph.inputs["index"].dtype == "int64"
    assert evaluate(graph, {"X": [1.0, 2.0, 4.0], "index": [2, 2, 0]})[0] == 9.0


def test_declared_reads_in_range_carry_no_condition() -> None:
    graph = converted(SUMS[10])
    assert not graph.checks
    assert all(len(node.args) == 1 + node.attr for node in graph.reachable() if node.op == "read")


def test_the_condition_of_a_read_may_be_one_on_values() -> None:
    chosen = Piecewise((0, X[i] > 2), (X[i + 1], i < n - 1), (10 * y, True))
    graph = converted(Sum(chosen, (i, 0, n - 1)))
    assert evaluate(graph, {"X": [1.0, 2.0, 4.0, 1.0], "y": 0.5})[0] == 2 + 4 + 0 + 5
    (guarded,) = (node for node in graph.reachable() if node.op == "read" and len(node.args) > 2)
    assert [guard.op for guard in guarded.args[2:]] == ["less", "not"]
