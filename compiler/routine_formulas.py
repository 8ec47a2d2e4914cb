"""Routines that compute at once what a formula of other routines says: the formulas, by the names of the routines.

A derivative of a factorisation is a few products and triangular solutions of whole matrices, and a routine that works
block by block takes a fraction of their time. What such a routine computes is written here a second time, as matrices;
its derivatives are those of that formula (`formula_rules`), so each order of differentiation has one routine and no
more rules of its own. Source: Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527.
"""

from __future__ import annotations

from collections.abc import Callable

from .arrays import Array
from .linear_algebra import LinearAlgebra


def mirrored(la: LinearAlgebra, matrix: Array) -> Array:
    """The symmetric matrix of a lower triangle."""
    return la.apply("add", la.lower(matrix), la.transposed(la.compared(matrix, "greater", matrix)))


def halved(la: LinearAlgebra, matrix: Array) -> Array:
    """The lower triangle with half of the diagonal."""
    half = la.apply("mul", matrix, Array(la.graph.const(0.5)))
    row, column = map(la.graph.axis, matrix.axes[-2:])
    node = la.graph.ops.select(la.graph.apply("greater", row, column), la.arrays.over(matrix, matrix.axes).node,
                               la.compared(matrix, "eq", half).node)
    return Array(node, matrix.axes)


def symmetric(la: LinearAlgebra, full: Array) -> Array:
    """The cotangent of the lower triangle, which stands for both: S + S' below the diagonal, S on it."""
    both = la.compared(full, "greater", la.apply("add", full, la.transposed(full)))
    row, column = (la.graph.axis(axis) for axis in full.axes[-2:])
    on = la.graph.apply("eq", row, column)
    return Array(la.graph.ops.select(on, la.arrays.over(full, both.axes).node, both.node), both.axes)


def _cholesky_pushforward(la: LinearAlgebra, factor: Array, tangent: Array) -> Array:
    """L times the lower triangle of L^-1 S L^-T, its diagonal halved (Murray, eq. 8)."""
    half = la.call("solve_lower", factor, mirrored(la, tangent))[0]
    product = la.call("solve_lower", factor, la.transposed(half))[0]            # symmetric as S is
    return la.matmul(la.lower(factor), halved(la, product))


def _cholesky_pullback_pushforward(
        la: LinearAlgebra, factor: Array, passed: Array, turn: Array, move: Array) -> Array:
    """N + N' with N = L^-T (Q L^-1 - L.' (S + S')), as the derivative of S + S' = L^-T (P + P') L^-1.

    P is the lower triangle of L' C with half of its diagonal, C the cotangent of the factor, and Q that of L.' C +
    L' C. ; C has no part above the diagonal, so L' C has that of L' (S + S') L below it and on it.
    """
    factor, turned = la.lower(factor), la.transposed(la.lower(turn))
    passed = la.lower(passed)
    both = la.apply("add", passed, la.transposed(passed))
    back = la.transposed(factor)
    product = la.lower(la.product(back, both, factor))
    cotangent = la.lower(la.call("solve_lower_transposed", factor, product)[0])
    moved = la.apply("add", la.matmul(turned, cotangent), la.matmul(back, la.lower(move)))
    right = la.transposed(la.call("solve_lower_transposed", factor, la.transposed(halved(la, moved)))[0])
    right = la.apply("sub", right, la.matmul(turned, both))
    return symmetric(la, la.call("solve_lower_transposed", factor, right)[0])


FORMULAS: dict[str, Callable[..., Array]] = {
    "cholesky_pushforward": _cholesky_pushforward,
    "cholesky_pullback_pushforward": _cholesky_pullback_pushforward,
}
