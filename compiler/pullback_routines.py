"""What a library routine passes back to the arrays it was given: one short rule for each.

A rule takes the operands, the results and the cotangent of one result as matrices and gives the cotangents of
the operands, in terms of products and of routines, so that they have derivatives in their turn. Sources: Giles,
"Collected matrix derivative results for forward and reverse mode algorithmic differentiation" (2008); Murray,
"Differentiation of the Cholesky decomposition", arXiv:1602.07527; Walter and Lehmann, "Algorithmic differentiation
of linear algebra functions with application in optimum experimental design", arXiv:1001.1654; Townsend,
"Differentiating the singular value decomposition" (2016); Golub and Pereyra, "The differentiation of
pseudo-inverses" (1973), eq. 4.12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gradc.ir.dims import Axis
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import Check, Graph, Node
from gradc.ir.routines import ROUTINES

from .arrays import Array, Arrays
from .linear_algebra import LinearAlgebra
from .routine_formulas import FORMULAS, halved, mirrored, symmetric


class Use(NamedTuple):
    """A call as its rule sees it: the cotangent is that of the result of that number."""

    algebra: LinearAlgebra
    number: int
    operands: tuple[Array, ...]
    results: tuple[Array, ...]
    cotangent: Array


Rule = Callable[[Use], "tuple[Array, ...]"]
NEARLY = 4e-16          # of the largest: closer eigenvalues count as equal


def pull(graph: Graph, y: Node, y_: Node, active: Mapping[Node, Any],
         held: Sequence[Axis] = ()) -> Iterator[tuple[Node, Node]]:
    """The operands of a call with the cotangent arrays that it passes back to them.

    The last dimensions of all cotangents are those of the held axes; rules see them as leading ones.
    """
    algebra, attr, count = LinearAlgebra(Arrays(graph)), y.attr, len(held)
    if ROUTINES[attr.routine].definition:
        from . import implicit_rules  # which derive in their turn

        yield from implicit_rules.pull(graph, y, y_, active, held)
        return
    if attr.routine in FORMULAS:
        from . import formula_rules  # and so do these

        yield from formula_rules.pull(graph, y, y_, active, held)
        return
    results = tuple(algebra.whole(graph.call(attr.routine, y.args, number, attr.batch))
                    for number in range(len(ROUTINES[attr.routine].results)))
    operands = tuple(algebra.whole(arg) for arg in y.args)
    if attr.routine not in _RULES:
        raise no_rule(attr.routine)
    shares = _RULES[attr.routine](Use(algebra, attr.result, operands, results, algebra.leading(y_, count)))
    for arg, share in zip(y.args, shares, strict=True):
        if arg in active:
            yield arg, algebra.stored(share._replace(axes=(*share.axes[count:], *share.axes[:count])))


def no_rule(routine: str) -> DerivativeError:
    """The error for a routine without a derivative."""
    return DerivativeError(f"the routine {routine} has no derivative: give the operation that calls it a vjp=")


def _cholesky(use: Use) -> tuple[Array]:
    """From S = L^-T P L^-1, P the lower triangle of L' L_ with half of its diagonal (Murray, eq. 10)."""
    return (use.algebra.call("cholesky_pullback", use.results[0], use.cotangent)[0],)


def _cholesky_pullback(use: Use) -> tuple[Array, Array]:
    """L_ Q' - (S + S') W L^-T and L Q, W the mirrored cotangent and Q the halved L^-1 W L^-T: from S = L^-T P L^-1."""
    la, (factor, cotangent) = use.algebra, use.operands
    result = la.lower(use.results[0])
    half = la.call("solve_lower", factor, mirrored(la, use.cotangent))[0]
    inner = halved(la, la.call("solve_lower", factor, la.transposed(half))[0])
    both = la.apply("add", result, la.transposed(result))
    first = la.apply("sub", la.matmul(la.lower(cotangent), la.transposed(inner)), la.matmul(both, la.transposed(half)))
    return la.lower(first), la.lower(la.matmul(la.lower(factor), inner))


def _solution(routine: str, back: str) -> Rule:
    """x = A^-1 b passes b_ = A^-T x_ to b and -b_ x' to A, or to the triangle of it that was read."""

    def rule(use: Use) -> tuple[Array, Array]:
        la, (matrix, right), (solution,) = use.algebra, use.operands, use.results
        vector = len(right.axes) < len(matrix.axes)
        turned = la.transposed(matrix) if routine == "solve" else matrix
        found = la.call(back, turned, use.cotangent, vectors=vector)[0]
        first, second = (solution, found) if routine.endswith("transposed") else (found, solution)
        outer = la.apply("neg", la.outer(first, second) if vector else la.matmul(first, la.transposed(second)))
        kept = la.lower(outer) if "lower" in routine else la.upper(outer) if "upper" in routine else outer
        return kept, found

    return rule


def _inverse(use: Use) -> tuple[Array]:
    la = use.algebra
    turned = la.transposed(use.results[0])
    return (la.apply("neg", la.product(turned, use.cotangent, turned)),)


def _number(la: LinearAlgebra, values: Array, position: int) -> Array:
    """The number at a position of the last dimension, as a matrix of one element for each point of the batch."""
    number = la.graph.substitute(values.node, {values.axes[-1]: la.graph.const(position)})
    return la.column(la.column(Array(number, values.axes[:-1])))


def _determinant(use: Use) -> tuple[Array]:
    """The cofactors, which exist where the inverse does not."""
    la = use.algebra
    return (la.apply("mul", la.transposed(la.call("adjugate", use.operands[0])[0]), _number(la, use.cotangent, 0)),)


def _slogdet(use: Use) -> tuple[Array]:
    """The transposed inverse; where there is none NaN, and 0 if no cotangent comes, as from a branch not taken."""
    la = use.algebra
    inverse, none = la.transposed(la.call("inv_or_nan", use.operands[0])[0]), Array(la.graph.const(0.0))
    size, cotangent = _number(la, use.results[0], 1), _number(la, use.cotangent, 1)
    out = la.apply("and", la.apply("not", la.apply("isfinite", size)), la.apply("eq", cotangent, none))
    return (la.apply("select", out, none, la.apply("mul", inverse, cotangent)),)


def _adjugate(use: Use) -> tuple[Array]:
    """From adj = det A^-1: <G, adj> A^-T - adj' G A^-T, where there is an inverse."""
    la, adjugate = use.algebra, use.results[0]
    turned = la.transposed(la.call("inv", use.operands[0])[0])
    weight = la.apply("mul", use.cotangent, adjugate)
    total = la.arrays.reduce("sum", weight, [len(weight.axes) - 2, len(weight.axes) - 1])
    first = la.apply("mul", turned, la.column(la.column(total)))
    return (la.apply("sub", first, la.product(la.transposed(adjugate), use.cotangent, turned)),)


def gaps(la: LinearAlgebra, values: Array, product: Array, *, squared: bool) -> Array:
    """product / (v_j - v_i), or of the squares, off the diagonal and 0 on it."""
    row, column = la.row(values), la.column(values)
    gap = la.apply("sub", row, column)
    if squared:                                                 # (v_j - v_i)(v_j + v_i) keeps its digits
        gap = la.apply("mul", gap, la.apply("add", row, column))
    quotient = la.apply("div", product, gap)
    return la.compared(quotient, "not_equal", quotient)


def refuse_equal(la: LinearAlgebra, values: Array, what: str, vectors: str) -> None:
    """A check that no two neighbours of the sorted values are equal: their vectors have no derivative."""
    graph, last = la.graph, values.axes[-1]
    step = la.arrays.order([*values.shape[:-1], last.dim - 1])[-1]

    def at(index: Node) -> Node:
        return graph.ops.abs(graph.substitute(values.node, {last: index}))

    gap = graph.ops.abs(graph.substitute(values.node, {last: graph.axis(step) + 1})
                        - graph.substitute(values.node, {last: graph.axis(step)}))
    largest = graph.ops.max(at(graph.const(0)), at(graph.dim(last.dim - 1)))
    bad = graph.reduce("any", step, graph.ops.less_equal(gap, largest * NEARLY))
    for axis in values.axes[:-1]:
        bad = graph.reduce("any", axis, bad)
    message = (f"two {what} are equal, and their {vectors} have no derivative: use the {what} alone, "
               f"or a function that needs no {vectors}")
    if not any(check.bad is bad for check in graph.checks):
        graph.checks.append(Check(bad, message))


def _eigh(use: Use) -> tuple[Array]:
    """V diag(w_) V' for the values, V (V' V_ / (w_j - w_i)) V' for the vectors (Giles, section 3.1)."""
    la, (values, vectors) = use.algebra, use.results
    turned = la.transposed(vectors)
    if use.number == 0:
        return (symmetric(la, la.matmul(la.apply("mul", vectors, la.row(use.cotangent)), turned)),)
    refuse_equal(la, values, "eigenvalues", "eigenvectors")
    inner = gaps(la, values, la.matmul(turned, use.cotangent), squared=False)
    return (symmetric(la, la.product(vectors, inner, turned)),)


def _svd(use: Use) -> tuple[Array]:
    """The three terms of Townsend's equation for the thin decomposition A = U S V'."""
    la, (left, values, right), cotangent = use.algebra, use.results, use.cotangent      # right is V'
    if use.number == 1:
        return (la.matmul(la.apply("mul", left, la.row(cotangent)), right),)
    refuse_equal(la, values, "singular values", "singular vectors")
    if use.number == 2:                                           # A' = V S U'
        left, right, cotangent = la.transposed(right), la.transposed(left), la.transposed(cotangent)
    product = la.matmul(la.transposed(left), cotangent)
    skew = la.apply("sub", product, la.transposed(product))
    inside = la.matmul(left, la.apply("mul", gaps(la, values, skew, squared=True), la.row(values)))
    outside = la.apply("sub", cotangent, la.matmul(left, product))              # (I - U U') U_
    inverse = la.apply("div", Array(la.graph.const(1.0)), values)
    share = la.matmul(la.apply("add", inside, la.apply("mul", outside, la.row(inverse))), right)
    return (la.transposed(share) if use.number == 2 else share,)


def _qr(use: Use) -> tuple[Array]:
    """(Q_ + Q S) R^-T, S symmetric with the lower triangle of R R_' - Q_' Q, for a full rank (Walter and Lehmann)."""
    la, (orthogonal, triangle), cotangent = use.algebra, use.results, use.cotangent
    refuse_rank(la, use.operands[0], triangle)
    if use.number == 1:
        inner = la.matmul(triangle, la.transposed(cotangent))
    else:
        inner = la.apply("neg", la.matmul(la.transposed(cotangent), orthogonal))
    below = la.lower(inner)
    symmetric = la.apply("add", below, la.transposed(la.compared(inner, "greater", inner)))
    share = la.matmul(orthogonal, symmetric)
    share = share if use.number == 1 else la.apply("add", cotangent, share)
    return (la.transposed(la.call("solve_upper", triangle, la.transposed(share))[0]),)


def refuse_rank(la: LinearAlgebra, matrix: Array, triangle: Array) -> None:
    """Checks that the factors have a derivative: there are no more columns than rows, and they are independent."""
    graph, (rows, columns) = la.graph, matrix.shape[-2:]
    wide = graph.apply("less", graph.dim(rows), graph.dim(columns))
    last = triangle.axes[-1]
    size = graph.ops.abs(graph.substitute(triangle.node, {triangle.axes[-2]: graph.axis(last)}))
    largest = graph.reduce("sum", last, size)
    bad = graph.reduce("any", last, graph.ops.less_equal(size, largest * NEARLY))
    for axis in triangle.axes[:-2]:
        bad = graph.reduce("any", axis, bad)
    for condition, message in (
            (wide, "a matrix with more columns than rows has factors Q and R without a derivative here: factor its "
                   "first columns alone, as many as it has rows"),
            (bad, "the columns of a matrix depend on each other, and its factors Q and R have no derivative: use a "
                  "function that needs none, such as np.linalg.lstsq")):
        if not any(check.bad is condition for check in graph.checks):
            graph.checks.append(Check(condition, message))


def _pinv(use: Use) -> tuple[Array]:
    """-P' P_ P' + (I - A P) P_' P P' + P' P P_' (I - P A), for a constant rank."""
    la, (matrix,), (inverse,) = use.algebra, use.operands, use.results
    turned, back = la.transposed(inverse), la.transposed(use.cotangent)
    first = la.product(turned, use.cotangent, turned)
    second = la.product(back, inverse, turned)
    second = la.apply("sub", second, la.product(matrix, inverse, second))
    third = la.product(turned, inverse, back)
    third = la.apply("sub", third, la.product(third, inverse, matrix))
    return (la.apply("sub", la.apply("add", second, third), first),)


_RULES: dict[str, Rule] = {
    "cholesky": _cholesky,
    "cholesky_pullback": _cholesky_pullback,
    "solve": _solution("solve", "solve"),
    "solve_lower": _solution("solve_lower", "solve_lower_transposed"),
    "solve_lower_transposed": _solution("solve_lower_transposed", "solve_lower"),
    "solve_upper": _solution("solve_upper", "solve_upper_transposed"),
    "solve_upper_transposed": _solution("solve_upper_transposed", "solve_upper"),
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
