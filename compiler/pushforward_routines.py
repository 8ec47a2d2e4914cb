"""What a library routine makes of the tangents of the arrays it was given: one short rule for each.

The mirror of `pullback_routines`. A rule takes the operands, the results and the operands' tangents (None for one
without) as matrices, directions among their leading dimensions, and gives the tangent of one result. An operation of
the user's own has its `jvp`, or else the transpose of its `vjp`: that is linear in the cotangent, so its derivative by
the cotangent along the tangents is what is wanted. Sources: those of `pullback_routines`, and Giles, "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008), where the forward forms stand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import Graph, Node, copy_graph
from gradc.ir.routines import ROUTINES
from gradc.ir.text import from_text

from .adjoint import reverse
from .arrays import Array, Arrays
from .inline import inline
from .linear_algebra import LinearAlgebra
from .pullback_routines import gaps, no_rule, refuse_equal, refuse_rank
from .routine_formulas import FORMULAS, mirrored


class Push(NamedTuple):
    """A call as its rule sees it: the tangent of the result of that number is wanted."""

    algebra: LinearAlgebra
    number: int
    operands: tuple[Array, ...]
    results: tuple[Array, ...]
    tangents: tuple[Array | None, ...]

    @property
    def tangent(self) -> Array:
        """That of the only operand."""
        (given,) = self.tangents
        assert given is not None
        return given


Rule = Callable[[Push], Array]


def push(graph: Graph, y: Node, tangents: Mapping[Node, Node], held: Sequence[Axis]) -> Node | None:
    """The tangent array of a call, None where it is 0; the last dimensions of all are those of the held axes."""
    algebra, attr, count = LinearAlgebra(Arrays(graph)), y.attr, len(held)
    if ROUTINES[attr.routine].definition:
        from . import implicit_rules  # which derive in their turn

        return implicit_rules.push(graph, y, tangents, held)
    if attr.routine in FORMULAS:
        from . import formula_rules  # and so do these

        return formula_rules.push(graph, y, tangents, held)
    if attr.routine not in _RULES:
        raise no_rule(attr.routine)
    results = tuple(algebra.whole(graph.call(attr.routine, y.args, number, attr.batch))
                    for number in range(len(ROUTINES[attr.routine].results)))
    given = tuple(algebra.leading(tangents[arg], count) if arg in tangents else None for arg in y.args)
    made = _RULES[attr.routine](Push(algebra, attr.result, tuple(map(algebra.whole, y.args)), results, given))
    return algebra.stored(made._replace(axes=(*made.axes[count:], *made.axes[:count])))


def _cholesky(use: Push) -> Array:
    """L times the lower triangle of L^-1 S L^-T, its diagonal halved (Murray, eq. 8)."""
    return use.algebra.call("cholesky_pushforward", use.results[0], use.tangent)[0]


def _cholesky_pullback(use: Push) -> Array:
    """Linear in the cotangent; along a tangent of the factor as `formula_rules` has it."""
    la, (factor, _), (turn, move) = use.algebra, use.operands, use.tangents
    if turn is None:
        assert move is not None
        return la.call("cholesky_pullback", factor, move)[0]
    if move is None:
        move = la.whole(la.graph.scatter_add(factor.shape, (), turn.dtype))
    return la.call("cholesky_pullback_pushforward", factor, use.results[0], turn, move)[0]


def _solution(routine: str) -> Rule:
    """x. = A^-1 (b. - A. x), of A the triangle that is read."""

    def rule(use: Push) -> Array:
        la, (matrix, right), (solution,), (turn, move) = use.algebra, use.operands, use.results, use.tangents
        vector = len(right.axes) < len(matrix.axes)
        if turn is not None:
            turn = la.lower(turn) if "lower" in routine else la.upper(turn) if "upper" in routine else turn
            turn = la.transposed(turn) if routine.endswith("transposed") else turn
            moved = la.apply("neg", la.times(turn, solution) if vector else la.matmul(turn, solution))
            move = moved if move is None else la.apply("add", move, moved)
        assert move is not None
        if vector and len(move.axes) == len(matrix.axes) == 2:                  # several directions: the columns
            return la.transposed(la.call(routine, matrix, la.transposed(move))[0])
        return la.call(routine, matrix, move, vectors=vector)[0]

    return rule


def _inverse(use: Push) -> Array:
    la, inverse = use.algebra, use.results[0]
    return la.apply("neg", la.product(inverse, use.tangent, inverse))


def _traced(la: LinearAlgebra, left: Array, right: Array) -> Array:
    """The trace of the product of two square matrices."""
    both = la.apply("mul", left, la.transposed(right))
    return la.arrays.reduce("sum", both, [len(both.axes) - 2, len(both.axes) - 1])


def _determinant(use: Push) -> Array:
    """tr(adj(A) A.), which exists where the inverse does not."""
    la = use.algebra
    return la.column(_traced(la, la.call("adjugate", use.operands[0])[0], use.tangent))


def _slogdet(use: Push) -> Array:
    """0 for the sign, tr(A^-1 A.) for the logarithm."""
    la, last = use.algebra, use.results[0].axes[-1]
    total = _traced(la, la.call("inv", use.operands[0])[0], use.tangent)
    node = la.graph.ops.select(la.graph.ops.eq(la.graph.axis(last), 1), total.node, 0.0)
    return Array(node, (*total.axes, last))


def _adjugate(use: Push) -> Array:
    """From adj = det A^-1: tr(adj A.) A^-1 - adj A. A^-1, where there is an inverse."""
    la, adjugate = use.algebra, use.results[0]
    inverse = la.call("inv", use.operands[0])[0]
    total = la.column(la.column(_traced(la, adjugate, use.tangent)))
    return la.apply("sub", la.apply("mul", total, inverse), la.product(adjugate, use.tangent, inverse))


def _eigh(use: Push) -> Array:
    """The diagonal of V' S V for the values, V (V' S V / (w_j - w_i)) for the vectors (Giles, section 3.1)."""
    la, (values, vectors) = use.algebra, use.results
    product = la.product(la.transposed(vectors), mirrored(la, use.tangent), vectors)
    if use.number == 0:
        return la.diagonal(product)
    refuse_equal(la, values, "eigenvalues", "eigenvectors")
    return la.matmul(vectors, gaps(la, values, product, squared=False))


def _svd(use: Push) -> Array:
    """With P = U' A. V: diag(P), and U ((P S + S P') / (s_j^2 - s_i^2)) + (I - U U') A. V / S (Townsend)."""
    la, (left, values, right), tangent = use.algebra, use.results, use.tangent          # right is V'
    right = la.transposed(right)
    if use.number == 1:
        return la.diagonal(la.product(la.transposed(left), tangent, right))
    refuse_equal(la, values, "singular values", "singular vectors")
    if use.number == 2:                                         # A' = V S U'
        left, right, tangent = right, left, la.transposed(tangent)
    moved = la.matmul(tangent, right)
    product = la.matmul(la.transposed(left), moved)
    scaled = la.apply("mul", product, la.row(values))
    inside = gaps(la, values, la.apply("add", scaled, la.transposed(scaled)), squared=True)
    outside = la.apply("div", la.apply("sub", moved, la.matmul(left, product)), la.row(values))
    found = la.apply("add", la.matmul(left, inside), outside)
    return la.transposed(found) if use.number == 2 else found


def _qr(use: Push) -> Array:
    """With C = Q' A. R^-1 and X = low(C) - low(C)': Q. = A. R^-1 - Q (C - X), R. = (C - X) R, for a full rank."""
    la, (orthogonal, triangle) = use.algebra, use.results
    refuse_rank(la, use.operands[0], triangle)
    moved = la.transposed(la.call("solve_upper_transposed", triangle, la.transposed(use.tangent))[0])
    product = la.matmul(la.transposed(orthogonal), moved)
    below = la.compared(product, "greater", product)
    upper = la.apply("add", la.apply("sub", product, below), la.transposed(below))
    if use.number == 1:
        return la.matmul(upper, triangle)
    return la.apply("sub", moved, la.matmul(orthogonal, upper))


def _pinv(use: Push) -> Array:
    """-P A. P + P P' A.' (I - A P) + (I - P A) A.' P' P, for a constant rank (Golub and Pereyra)."""
    la, (matrix,), (inverse,), tangent = use.algebra, use.operands, use.results, use.tangent
    turned, back = la.transposed(inverse), la.transposed(tangent)
    first = la.product(inverse, tangent, inverse)
    second = la.product(inverse, turned, back)
    second = la.apply("sub", second, la.product(second, matrix, inverse))
    third = la.product(back, turned, inverse)
    third = la.apply("sub", third, la.product(inverse, matrix, third))
    return la.apply("sub", la.apply("add", second, third), first)


_RULES: dict[str, Rule] = {
    "cholesky": _cholesky,
    "cholesky_pullback": _cholesky_pullback,
    **{name: _solution(name) for name in ROUTINES if name.startswith("solve")},
    "inv": _inverse,
    "inv_or_nan": _inverse,
    "det": _determinant,
    "slogdet": _slogdet,
    "adjugate": _adjugate,
    "eigh": _eigh,
    "qr": _qr,
    "svd": _svd,
    "pinv": _pinv,
}


# -- operations of the user's own ---------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _transposed(name: str, text: str, passes: tuple[int, ...], moved: tuple[int, ...]) -> Graph:
    """A vjp as a graph from operands, cotangent and the tangents of the operands `moved` to the value's tangent."""
    graph = copy_graph(from_text(text))
    cotangent = list(graph.inputs.values())[-1]
    seeds = []
    for (_, output), position in zip(graph.outputs, passes, strict=True):
        if position in moved:
            seeds.append((output, graph.input(f"tangent {position}", output.dtype, output.shape)))
    follows = all(cotangent in graph.reachable([output]) for output, _ in seeds)
    graph.outputs = [("tangent", reverse(graph, seeds, [cotangent])[cotangent])]
    if cotangent in graph.reachable() or not follows:
        raise DerivativeError(f"the vjp of {name} is not linear in its cotangent, so it gives no tangent: correct it, "
                              "or give the operation a jvp=")
    return graph


def push_own(graph: Graph, y: Node, tangents: Mapping[Node, Node], held: Sequence[Axis]) -> Node | None:
    """The tangent array of an operation of the user's own, None where its derivative is zero by definition."""
    attr, operands = y.attr, y.args[1:]
    if attr.tangent:
        rule = from_text(attr.tangent)
        zero = {k: graph.scatter_add(x.shape, (), x.dtype) for k, x in enumerate(operands)}
        given = [*operands, *(tangents.get(x, zero[k]) for k, x in enumerate(operands))]
    else:
        moved = tuple(k for k, x in enumerate(operands) if x in tangents and k in attr.passes)
        if not moved:
            return None
        rule = _transposed(attr.name, attr.rule, attr.passes, moved)
        given = [*operands, y.args[0], *(tangents[operands[k]] for k in sorted(moved, key=attr.passes.index))]
    (found,) = inline(graph, rule, dict(zip(rule.inputs, given, strict=True)), held)
    return found if found.is_array else graph.store(held, found)
