"""What SymPy's matrix expressions mean: sums, products, powers, traces, inverses, and what they are made of.

A rule gives an `Array`, a node over the axes of rows and columns, whose sizes may be symbols; Trace, Determinant
and DotProduct give numbers. A product is evaluated from the side on which a vector stands; an inverse in it is a
solution of linear equations, and the logarithm of a determinant comes from the factors of its matrix. Sizes
that meet must be equal: nothing stretches as in NumPy. Elements and arrays of other ranks are in
`from_sympy_arrays`, routines on whole matrices in `linear_algebra`.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import sympy
from sympy.matrices import expressions as matrices
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import UnsupportedError
from gradc.ir.graph import Node

from .arrays import ONE, Array, ArrayError, Arrays, Slice
from .from_sympy_functions import is_negative, log_of, power
from .from_sympy_survey import shown
from .from_sympy_walk import Ask, Rule, Scope, Steps, Translator, Value
from .linear_algebra import LinearAlgebra

ArraySteps = Generator[Ask, Any, Array]
MAX_POWER = 64


def room(t: Translator, scope: Scope) -> Arrays:
    """Arithmetic of arrays that keeps clear of the axes of enclosing sums."""
    arrays = Arrays(t.graph)
    nodes = [*scope.bound.values(), *(node for node, _ in scope.guards)]
    arrays.taken = sorted({axis for node in nodes for axis in node.axes}, key=lambda axis: (str(axis.dim), axis.number))
    return arrays


def array(t: Translator, expr: Any, scope: Scope, *, negated: bool = False) -> ArraySteps:
    """The value of an operand as an array, on axes that no enclosing sum uses."""
    value = yield Ask(expr, scope, negated, array=True)
    return room(t, scope).apart(value) if isinstance(value, Array) else Array(t.graph.node(value))


def arrays_of(t: Translator, exprs: Iterable[Any], scope: Scope) -> Generator[Ask, Any, list[Array]]:
    """The values of several operands as arrays."""
    found = []
    for expr in exprs:
        value = yield from array(t, expr, scope)
        found.append(value)
    return found


def met(arrays: Arrays, shapes: Sequence[Sequence[Dim]], what: str) -> None:
    """Note that sizes which meet are equal; ArrayError where one is 1 and the other has another name."""
    for dims in zip(*shapes, strict=True):
        for dim in dims[1:]:
            if ONE in (dim, dims[0]) and dim != dims[0]:
                raise ArrayError(f"{what} of sizes {dims[0]} and {dim}", "Give the symbols shapes that fit.")
            arrays.unified(dims[0], dim)


# -- symbols and constants ------------------------------------------------------------------------


def symbol(t: Translator, ask: Ask) -> Array:
    """An argument, whole."""
    node = t.arrays[ask.expr]
    axes = room(t, ask.scope).order(node.shape)
    return Array(t.graph.read(node, [t.graph.axis(axis) for axis in axes]), axes)


def _order(t: Translator, ask: Ask) -> Generator[Ask, Any, tuple[Axis, ...]]:
    """Axes for the sizes that are the operands of a constant."""
    dims = []
    for size in ask.expr.shape:
        value = yield Ask(size, ask.scope._replace(integer=True))
        dims.append(t.dimension(value, f"the size {shown(size)} of {shown(ask.expr)}"))
    return room(t, ask.scope).order(dims)


def constant(value: float) -> Rule:
    """The rule of a matrix or an array of equal elements."""

    def rule(t: Translator, ask: Ask) -> ArraySteps:
        return Array(t.graph.const(value), (yield from _order(t, ask)))

    return rule


def _identity(t: Translator, ask: Ask) -> ArraySteps:
    return _on_diagonal(t, (yield from _order(t, ask)), t.graph.const(1.0))


def _on_diagonal(t: Translator, axes: Sequence[Axis], node: Node) -> Array:
    """The node on the diagonal, 0 elsewhere."""
    row, column = map(t.graph.axis, axes)
    return Array(t.graph.apply("select", t.graph.apply("eq", row, column), node, 0.0), tuple(axes))


# -- element by element -----------------------------------------------------------------------------


def total(t: Translator, ask: Ask) -> ArraySteps:
    """A sum; a term with a minus sign is subtracted."""
    arrays, terms = room(t, ask.scope), list(ask.expr.args)
    if is_negative(terms[0]) and not is_negative(terms[1]):
        terms[0], terms[1] = terms[1], terms[0]
    found: Array | None = None
    for term in terms:
        minus = is_negative(term)
        value = yield from array(t, term, ask.scope, negated=minus)
        if found is None:
            found = arrays.apply("neg", value) if minus else value
        else:
            met(arrays, (found.shape, value.shape), "a sum")
            found = arrays.apply("sub" if minus else "add", found, value)
    assert found is not None
    return found


def _elements_product(t: Translator, ask: Ask) -> ArraySteps:
    """HadamardProduct."""
    arrays = room(t, ask.scope)
    found: Array | None = None
    for factor in ask.expr.args:
        value = yield from array(t, factor, ask.scope)
        if found is not None and found.axes and value.axes:
            met(arrays, (found.shape, value.shape), "a product of elements")
        found = value if found is None else arrays.apply("mul", found, value)
    assert found is not None
    return found


def _elements_power(t: Translator, ask: Ask) -> ArraySteps:
    """HadamardPower: base, exponent or both are matrices."""
    arrays = room(t, ask.scope)
    base, exponent = ask.expr.args
    below = yield from array(t, base, ask.scope)
    if isinstance(exponent, sympy.Number):
        value = yield from power(t, base, below.node, exponent, ask.scope)
        return Array(t.graph.node(value), below.axes)
    above = yield from array(t, exponent, ask.scope)
    if below.axes and above.axes:
        met(arrays, (below.shape, above.shape), "a power of elements")
    return arrays.apply("pow", below, above)


def applied(t: Translator, ask: Ask) -> ArraySteps:
    """A function of every element: its variable stands for the elements."""
    parts = t.survey.parts[id(ask.expr)]
    body, inner = parts.operands
    value = yield from array(t, inner, ask.scope)
    inside = ask.scope._replace(bound={**ask.scope.bound, parts.variables[0]: t.graph.node(t.real(value.node))})
    return Array(t.graph.node(t.real((yield Ask(body, inside)))), value.axes)


def _function_matrix(t: Translator, ask: Ask) -> ArraySteps:
    """A matrix of the values of a function of row and column."""
    parts = t.survey.parts[id(ask.expr)]
    axes = yield from _order(t, ask)
    indices = dict(zip(parts.variables, map(t.graph.axis, axes), strict=True))
    inside = ask.scope._replace(bound={**ask.scope.bound, **indices})
    return Array(t.graph.node(t.real((yield Ask(parts.operands[0], inside)))), axes)


# -- products -----------------------------------------------------------------------------------------


class Factor(NamedTuple):
    """A factor of a product of matrices; `inverted` that it is the inverse of this matrix."""

    matrix: Array
    inverted: bool = False


def product(t: Translator, ask: Ask) -> ArraySteps:
    """A product: the matrices from the side on which a vector stands, then the numbers before them."""
    arrays = room(t, ask.scope)
    factors: list[Factor] = []
    minus, above, below = ask.negated, [], []
    for arg in ask.expr.args:
        if arg.is_Matrix:
            inverted = isinstance(arg, matrices.Inverse)
            factors.append(Factor((yield from array(t, arg.arg if inverted else arg, ask.scope)), inverted))
        elif isinstance(arg, sympy.Rational):
            minus ^= bool(arg.is_negative)
            above += [abs(int(arg.p))] * (abs(arg.p) != 1)
            below += [int(arg.q)] * (arg.q != 1)
        elif isinstance(arg, sympy.Pow) and arg.exp == -1:
            below.append((yield Ask(arg.base, ask.scope)))
        else:
            above.append((yield Ask(arg, ask.scope)))
    result = chained(arrays, factors)
    node = reduce(lambda a, b: t.graph.node(t.times(b, a, ask.scope)), above, result.node)
    node = reduce(lambda a, b: t.graph.apply("div", a, b), below, node)
    return Array(t.graph.apply("neg", node) if minus else node, result.axes)


def chained(arrays: Arrays, factors: Sequence[Factor]) -> Array:
    """The product of a chain: cut where a size is 1, each part from the side of its vector."""
    for left, right in itertools.pairwise(factors):
        met(arrays, [left.matrix.shape[1:], right.matrix.shape[:1]], "a product")
    parts: list[list[Factor]] = [[factors[0]]]
    for factor in factors[1:]:
        if factor.matrix.shape[0] == ONE:
            parts.append([])
        parts[-1].append(factor)
    found = [_part(arrays, part) for part in parts]
    return reduce(lambda a, b: multiplied(arrays, Factor(a), Factor(b)).matrix, found)


def _part(arrays: Arrays, factors: Sequence[Factor]) -> Array:
    if factors[-1].matrix.shape[1] == ONE:
        last = reduce(lambda right, left: multiplied(arrays, left, right), reversed(factors))
    else:
        last = reduce(lambda left, right: multiplied(arrays, left, right), factors)
    return LinearAlgebra(arrays).inverse(last.matrix) if last.inverted else last.matrix


def multiplied(arrays: Arrays, left: Factor, right: Factor) -> Factor:
    """The product of two factors; an inverse beside a matrix is a solution of equations."""
    if left.inverted and right.inverted:                        # inv(A) inv(B) = inv(B A)
        return Factor(arrays.matmul(right.matrix, left.matrix), True)
    if left.inverted:
        return Factor(LinearAlgebra(arrays).solve(left.matrix, right.matrix))
    if right.inverted:                                          # B inv(A) = (inv(A') B')'
        return Factor(transposed(LinearAlgebra(arrays).solve(transposed(right.matrix), transposed(left.matrix))))
    a, b = left.matrix, right.matrix
    if a.shape[1] != ONE:
        return Factor(arrays.matmul(a, b))
    graph, order = arrays.graph, arrays.order((a.shape[0], b.shape[1]))
    column = graph.substitute(a.node, {a.axes[0]: graph.axis(order[0]), a.axes[1]: graph.const(0)})
    row = graph.substitute(b.node, {b.axes[0]: graph.const(0), b.axes[1]: graph.axis(order[1])})
    return Factor(Array(graph.apply("mul", column, row), order))


def transposed(matrix: Array) -> Array:
    """Rows and columns exchanged."""
    return Array(matrix.node, matrix.axes[::-1])


def _transpose(t: Translator, ask: Ask) -> ArraySteps:
    return transposed((yield from array(t, ask.expr.arg, ask.scope)))


def _power(t: Translator, ask: Ask) -> ArraySteps:
    """A whole power of a matrix, by repeated squaring; any power of one element."""
    arrays, (base, exponent) = room(t, ask.scope), ask.expr.args
    matrix = yield from array(t, base, ask.scope)
    if matrix.shape == (ONE, ONE) and not exponent.is_Integer:
        number = yield from power(t, base, matrix.node, exponent, ask.scope)
        return Array(t.graph.node(number), matrix.axes)
    if not exponent.is_Integer or abs(int(exponent)) > MAX_POWER:
        raise UnsupportedError(
            f"the power {shown(exponent)} of a matrix in {shown(ask.expr)} is not a literal whole number up to "
            f"{MAX_POWER}: write HadamardPower for powers of the elements"
        )
    square(arrays, matrix)
    count = abs(int(exponent))
    if not count:
        return _on_diagonal(t, matrix.axes, t.graph.const(1.0))
    matrix = LinearAlgebra(arrays).inverse(matrix) if exponent < 0 else matrix
    found: Array | None = None
    while count:
        if count % 2:
            found = matrix if found is None else arrays.matmul(found, matrix)
        count //= 2
        matrix = arrays.matmul(matrix, matrix) if count else matrix
    assert found is not None
    return found


# -- numbers of matrices ------------------------------------------------------------------------------


def square(arrays: Arrays, matrix: Array) -> Array:
    """The matrix, with as many rows as columns: SymPy has seen to it that the sizes are the same, or may be."""
    arrays.unified(*matrix.shape)
    return matrix


def diagonal(arrays: Arrays, matrix: Array) -> Array:
    """The elements whose row is their column, as a vector of one axis."""
    row, column = matrix.axes
    node = arrays.graph.substitute(matrix.node, {column: arrays.graph.axis(row)})
    return Array(node, (row,))


def _trace(t: Translator, ask: Ask) -> Steps:
    arrays = room(t, ask.scope)
    matrix = square(arrays, (yield from array(t, ask.expr.arg, ask.scope)))
    along = diagonal(arrays, matrix)
    return t.graph.reduce("sum", along.axes[0], t.graph.node(t.real(along.node)))


def _dot(t: Translator, ask: Ask) -> Steps:
    """DotProduct of two vectors, each a row or a column."""
    arrays, values = room(t, ask.scope), (yield from arrays_of(t, ask.expr.args, ask.scope))
    vectors = [_vector(t, value) for value in values]
    met(arrays, [vector.shape for vector in vectors], "a product")
    elements = arrays.apply("mul", *vectors)
    return t.graph.reduce("sum", elements.axes[0], elements.node)


def _vector(t: Translator, matrix: Array) -> Array:
    """A row or a column as an array of one axis."""
    long = 1 if matrix.shape[0] == ONE else 0
    return Array(t.graph.substitute(matrix.node, {matrix.axes[1 - long]: t.graph.const(0)}), (matrix.axes[long],))


def _determinant(t: Translator, ask: Ask) -> Steps:
    arrays = room(t, ask.scope)
    return LinearAlgebra(arrays).determinant(square(arrays, (yield from array(t, ask.expr.arg, ask.scope)))).node


def logarithm(t: Translator, ask: Ask) -> Steps:
    """log; of determinants from the factors of their matrices, which neither overflow nor underflow."""
    parts = ask.expr.args[0].args if isinstance(ask.expr.args[0], sympy.Mul) else ask.expr.args[:1]
    inner = [part.args[0] if isinstance(part, sympy.Abs) else part for part in parts]
    if len(ask.expr.args) > 1 or not any(isinstance(part, matrices.Determinant) for part in inner):
        return (yield from log_of(t, ask))
    arrays, graph = room(t, ask.scope), t.graph
    size: Node | None = None
    rest: Value = 1.0                                           # the other factors, with the signs of determinants
    for part, within in zip(parts, inner, strict=True):
        if not isinstance(within, matrices.Determinant):
            rest = t.times(rest, (yield Ask(part, ask.scope)), ask.scope)
            continue
        matrix = square(arrays, (yield from array(t, within.arg, ask.scope)))
        sign, logarithm_of_size = (value.node for value in LinearAlgebra(arrays).slogdet(matrix))
        size = logarithm_of_size if size is None else graph.apply("add", size, logarithm_of_size)
        if part is within:
            rest = sign if rest == 1.0 else graph.apply("mul", rest, sign)
    assert size is not None
    if not isinstance(rest, Node):
        return size
    if len(parts) == 1:                                         # of a determinant alone: NaN where it is negative
        return graph.apply("select", graph.apply("less", rest, 0.0), float("nan"), size)
    return graph.apply("add", graph.apply("log", rest), size)


# -- diagonals, blocks, Kronecker products ---------------------------------------------------------------


def _diagonal_matrix(t: Translator, ask: Ask) -> ArraySteps:
    """DiagMatrix(v), and DiagonalMatrix(A), which keeps the diagonal of A."""
    arrays, inner = room(t, ask.scope), ask.expr.args[0]
    matrix = yield from array(t, inner, ask.scope)
    if isinstance(ask.expr, matrices.DiagonalMatrix):
        return _on_diagonal(t, matrix.axes, matrix.node)
    vector = _vector(t, matrix)
    axes = arrays.order([vector.shape[0], vector.shape[0]])
    return _on_diagonal(t, axes, arrays.over(vector, axes[:1]).node)


def _diagonal_of(t: Translator, ask: Ask) -> ArraySteps:
    """DiagonalOf(A), a column."""
    arrays = room(t, ask.scope)
    matrix = yield from array(t, ask.expr.arg, ask.scope)
    rows, columns = matrix.shape
    if rows != columns and None in (rows.constant, columns.constant):
        raise UnsupportedError(f"{shown(ask.expr)} has as many elements as the smaller of {rows} and {columns}: give "
                               "a square matrix")
    order = arrays.order([min(rows, columns, key=lambda dim: dim.constant or 0), ONE])
    return Array(t.graph.substitute(matrix.node, dict.fromkeys(matrix.axes, t.graph.axis(order[0]))), order)


def _kronecker(t: Translator, ask: Ask) -> ArraySteps:
    """The element (i, j) is that of the left factor at quotients, times that of the right at remainders."""
    arrays, graph = room(t, ask.scope), t.graph
    found = yield from array(t, ask.expr.args[0], ask.scope)
    for arg in ask.expr.args[1:]:
        right = yield from array(t, arg, ask.scope)
        order = arrays.order([a * b for a, b in zip(found.shape, right.shape, strict=True)])
        outer, inner = {}, {}
        for axis, a, b in zip(order, found.axes, right.axes, strict=True):
            index, size = graph.axis(axis), graph.dim(b.dim)
            outer[a] = index if b.dim == ONE else graph.apply("floordiv", index, size)
            inner[b] = index if a.dim == ONE else graph.apply("mod", index, size)
        found = Array(graph.apply("mul", graph.substitute(found.node, outer),
                                  graph.substitute(right.node, inner)), order)
    return found


def _blocks(t: Translator, ask: Ask) -> ArraySteps:
    """BlockMatrix and BlockDiagMatrix: a store of the blocks."""
    arrays, expr = room(t, ask.scope), ask.expr
    parts = t.survey.parts[id(expr)].operands
    diagonal_ = isinstance(expr, matrices.BlockDiagMatrix)
    height, width = (len(parts), len(parts)) if diagonal_ else expr.blocks.shape
    sizes: list[dict[int, Dim]] = [{}, {}]
    placed: list[tuple[int, int, Array]] = []
    for number, part in enumerate(parts):
        place = (number, number) if diagonal_ else divmod(number, width)
        block = arrays.plain((yield from array(t, part, ask.scope)))
        if block.node.axes - set(block.axes):
            raise UnsupportedError(f"the block {shown(part)} of {shown(expr)} depends on the index of a Sum: "
                                   "write the sum over elements")
        for known, at, dim in zip(sizes, place, block.shape, strict=True):
            arrays.unified(known.setdefault(at, dim), dim)
        placed.append((*place, block))
    tops, lefts = _offsets(sizes[0], height), _offsets(sizes[1], width)
    whole = t.graph.store_parts(
        (tops[-1], lefts[-1]),
        [(block.axes, (tops[i], lefts[j]), (), t.graph.node(t.real(block.node))) for i, j, block in placed])
    axes = arrays.order(whole.shape)
    return Array(t.graph.read(whole, [t.graph.axis(axis) for axis in axes]), axes)


def _offsets(sizes: dict[int, Dim], count: int) -> list[Dim]:
    found = [Dim.of(0)]
    for place in range(count):
        found.append(found[-1] + sizes[place])
    return found


def _slice(t: Translator, ask: Ask) -> ArraySteps:
    """MatrixSlice: start, stop and a literal step along rows and columns."""
    arrays, expr = room(t, ask.scope), ask.expr
    matrix = yield from array(t, expr.parent, ask.scope)
    items = []
    for ends in (expr.rowslice, expr.colslice):
        bounds: list[Dim] = []
        for end in ends[:2]:
            value = yield Ask(end, ask.scope._replace(integer=True))
            bounds.append(t.dimension(value, f"the end {shown(end)} of a slice"))
        if not ends[2].is_Integer or int(ends[2]) < 1:
            raise UnsupportedError(f"the step {shown(ends[2])} of {shown(expr)} is not a whole number above 0: write "
                                   "a literal step")
        step = int(ends[2])
        items.append(Slice(t.graph.dim(bounds[0]), step, (bounds[1] - bounds[0] + (step - 1)) // step))
    indices, axes = arrays.index_nodes(matrix.shape, items)
    t.bounds.require(shown(expr.parent), matrix.shape, indices, [], None)
    return Array(t.graph.substitute(matrix.node, dict(zip(matrix.axes, indices, strict=True))), axes)


MATRIX_RULES: dict[type, Rule] = {
    matrices.Identity: _identity, matrices.ZeroMatrix: constant(0.0),
    matrices.OneMatrix: constant(1.0), matrices.MatAdd: total, matrices.MatMul: product, matrices.MatPow: _power,
    matrices.Inverse: _power, matrices.Transpose: _transpose, matrices.Adjoint: _transpose, matrices.Trace: _trace,
    matrices.DotProduct: _dot, matrices.Determinant: _determinant, matrices.HadamardProduct: _elements_product,
    matrices.HadamardPower: _elements_power, ElementwiseApplyFunction: applied,
    matrices.FunctionMatrix: _function_matrix, matrices.DiagMatrix: _diagonal_matrix,
    matrices.DiagonalMatrix: _diagonal_matrix, matrices.DiagonalOf: _diagonal_of,
    matrices.KroneckerProduct: _kronecker, matrices.BlockMatrix: _blocks, matrices.BlockDiagMatrix: _blocks,
    matrices.MatrixSlice: _slice, sympy.log: logarithm,
}
