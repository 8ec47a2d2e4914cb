"""Elements of matrices, explicit matrices and arrays, and SymPy's tensor expressions; and the table of all rules.

An explicit Matrix or Array is a store of its entries. A tensor product keeps the axes of its factors, a
contraction sums over axes that become one, a diagonal keeps them as one, a permutation orders them: no element
is computed twice. The elements of a computed matrix `(A*B)[i, j]` are its node at the indices.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import sympy
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.tensor.array.expressions import array_expressions as tensors
from sympy.tensor.indexed import Indexed

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import FormulaError
from gradc.ir.graph import Node

from .arrays import Array
from .from_sympy_functions import KNOWN as KNOWN_NUMBERS
from .from_sympy_functions import LEAVES as NUMBER_LEAVES
from .from_sympy_functions import RULES as NUMBER_RULES
from .from_sympy_matrices import MATRIX_RULES, ArraySteps, applied, array, arrays_of, constant, room, symbol, total
from .from_sympy_parts import ARRAY_SYMBOLS, NAMED_ARRAYS
from .from_sympy_sums import element_of, indices_of
from .from_sympy_survey import shown
from .from_sympy_walk import Ask, Leaf, Rule, Steps, Translator


def element(t: Translator, ask: Ask) -> Steps:
    """The element of an argument, or of a computed or explicit array."""
    base, *indices = ask.expr.args
    if isinstance(ask.expr, tensors.ArrayElement):
        indices = list(ask.expr.indices)
    if isinstance(base, NAMED_ARRAYS):
        return (yield from element_of(t, ask, base, indices))
    value = yield from array(t, base, ask.scope)
    nodes = yield from indices_of(t, ask, indices)
    pairs = list(zip(nodes, value.shape, strict=True))
    doubtful = any(t.bounds.inside(index, dim) != "yes" for index, dim in pairs)
    guards = t.guards(ask.scope) if doubtful else []
    t.bounds.require(shown(base), value.shape, nodes, guards, None)
    if guards and value.node.axes <= set(value.axes):           # stored, so that it is read only where the guards hold
        return t.graph.read(t.graph.store(value.axes, value.node), nodes, guards)
    return t.graph.substitute(value.node, dict(zip(value.axes, nodes, strict=True)))


def _explicit(t: Translator, ask: Ask) -> ArraySteps:
    """A Matrix or an Array of expressions."""
    arrays, expr = room(t, ask.scope), ask.expr
    shape = tuple(Dim.of(int(size)) for size in expr.shape)
    values: list[Node] = []
    for entry in t.survey.parts[id(expr)].operands:
        value = t.graph.node((yield Ask(entry, ask.scope)))
        if value.dtype == "bool":
            raise FormulaError(
                "a Matrix holds a condition: give numbers, for example Piecewise((1, c), (0, True))"
            )
        values.append(value if ask.scope.integer else t.graph.node(t.real(value)))
    axes = arrays.order(shape)
    if not values:
        return Array(t.graph.const(0.0), axes)
    if any(value.axes for value in values):
        return Array(_chosen(t, axes, values), axes)
    single = tuple(Axis(Dim.of(1), number) for number in range(len(shape)))
    parts = [(single, tuple(map(Dim.of, _place(number, shape))), (), value) for number, value in enumerate(values)]
    whole = t.graph.store_parts(shape, parts)
    return Array(t.graph.read(whole, [t.graph.axis(axis) for axis in axes]), axes)


def _place(number: int, shape: tuple[Dim, ...]) -> list[int]:
    """The indices of an entry, from its number."""
    found = []
    for dim in reversed(shape):
        number, index = divmod(number, dim.constant or 1)
        found.append(index)
    return found[::-1]


def _chosen(t: Translator, axes: tuple[Axis, ...], values: list[Node]) -> Node:
    """Entries that depend on the index of a Sum cannot be stored: each is chosen by its place."""
    graph, found = t.graph, t.graph.const(0.0)
    shape = tuple(axis.dim for axis in axes)
    for number, value in reversed(list(enumerate(values))):
        tests = [graph.apply("eq", graph.axis(axis), index) for axis, index in zip(
            axes, _place(number, shape), strict=True)]
        found = graph.apply("select", reduce(lambda a, b: graph.apply("and", a, b), tests), value, found)
    return found


# -- tensors -------------------------------------------------------------------------------------------


def _tensor_product(t: Translator, ask: Ask) -> ArraySteps:
    arrays, factors = room(t, ask.scope), (yield from arrays_of(t, ask.expr.args, ask.scope))
    axes = arrays.order([dim for factor in factors for dim in factor.shape])
    nodes, at = [], 0
    for factor in factors:
        rank = len(factor.axes)
        nodes.append(arrays.over(factor, axes[at:at + rank]).node)
        at += rank
    return Array(reduce(lambda a, b: t.graph.apply("mul", a, b), nodes), axes)


def _together(t: Translator, ask: Ask) -> Any:
    """The inner array with each group of positions on one axis, and those axes."""
    arrays, groups = room(t, ask.scope), [tuple(map(int, group)) for group in ask.expr.args[1:]]
    value = yield from array(t, ask.expr.expr, ask.scope)
    mapping, joint = {}, []
    for group in groups:
        first = value.axes[group[0]]
        for position in group[1:]:
            arrays.unified(first.dim, value.shape[position])
        mapping.update({value.axes[position]: t.graph.axis(first) for position in group[1:]})
        joint.append(first)
    taken = {position for group in groups for position in group}
    rest = tuple(axis for position, axis in enumerate(value.axes) if position not in taken)
    return t.graph.substitute(value.node, mapping), rest, tuple(joint)


def _contraction(t: Translator, ask: Ask) -> ArraySteps:
    """ArrayContraction: the sum over axes that become one."""
    node, rest, joint = yield from _together(t, ask)
    for axis in reversed(joint):
        node = t.graph.reduce("sum", axis, node)
    return Array(node, rest)


def _diagonal(t: Translator, ask: Ask) -> ArraySteps:
    """ArrayDiagonal: axes that become one stand last."""
    node, rest, joint = yield from _together(t, ask)
    return Array(node, (*rest, *joint))


def _permuted(t: Translator, ask: Ask) -> ArraySteps:
    value = yield from array(t, ask.expr.expr, ask.scope)
    return Array(value.node, tuple(value.axes[int(ask.expr.permutation(k))] for k in range(len(value.axes))))


RULES: dict[type, Rule] = {
    **NUMBER_RULES, **MATRIX_RULES,
    **dict.fromkeys([Indexed, MatrixElement, tensors.ArrayElement], element),
    **dict.fromkeys([sympy.ImmutableDenseMatrix, sympy.ImmutableSparseMatrix, sympy.ImmutableDenseNDimArray,
                     sympy.ImmutableSparseNDimArray], _explicit),
    tensors.ZeroArray: constant(0.0), tensors.OneArray: constant(1.0),
    tensors.ArrayAdd: total, tensors.ArrayTensorProduct: _tensor_product, tensors.ArrayContraction: _contraction,
    tensors.ArrayDiagonal: _diagonal, tensors.PermuteDims: _permuted, tensors.ArrayElementwiseApplyFunc: applied,
}
LEAVES: dict[type, Leaf] = {**NUMBER_LEAVES, **dict.fromkeys(ARRAY_SYMBOLS, symbol)}
KNOWN = KNOWN_NUMBERS | frozenset({*RULES, *LEAVES})
