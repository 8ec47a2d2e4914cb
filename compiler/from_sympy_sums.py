"""Elements of arrays, sums and products: where SymPy's indices become axes.

The rules here take an Indexed, a Sum or a Product and give a read or reductions. A limit whose length is
the same everywhere is an axis; one that depends on an outer index is an axis over the longest range, cut
by guards. An index that may leave its array is read only where the conditions of its scope hold.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import FormulaError, ShapeError, UnsupportedError
from gradc.ir.graph import Node, Span, affine

from .from_sympy_survey import READS, limits_of, shown
from .from_sympy_walk import Ask, Guard, Scope, Steps, Translator, Value, is_whole


def indices_of(t: Translator, ask: Ask, exprs: Sequence[Any]) -> Generator[Ask, Value, list[Node]]:
    """The indices of an element as nodes; FormulaError or ShapeError for what is no index."""
    whole = ask.scope._replace(integer=True)
    indices: list[Node] = []
    for index in exprs:
        value = yield Ask(index, whole)
        if not is_whole(value):
            raise FormulaError(
                f"the index {shown(index)} in {shown(ask.expr)} is not an integer: use symbols "
                "made with integer=True, or floor(...) of a quotient of integers"
            )
        if not isinstance(value, Node) and value < 0:
            raise ShapeError(
                f"{shown(ask.expr)} has a negative index: indices count from 0; write the last element of an "
                "array of n as x[n - 1]"
            )
        indices.append(t.graph.node(value))
    return indices


def element_of(t: Translator, ask: Ask, base: Any, exprs: Sequence[Any]) -> Steps:
    """An element of an argument; where its index may lie outside, it is read only where the conditions hold."""
    indices = yield from indices_of(t, ask, exprs)
    array = t.arrays[base]
    leaves = ask.scope.guards and _may_leave(t, ask, base, exprs, indices)
    read = t.graph.read(array, indices, t.guards(ask.scope) if leaves else [])
    place = t.graph.source.find(text) if t.graph.source and (text := shown(ask.expr)) else -1
    if place >= 0:
        t.graph.spans.setdefault(read, Span(place, place + len(text)))
    return read


def _may_leave(t: Translator, ask: Ask, base: Any, exprs: Sequence[Any], indices: Sequence[Node]) -> bool:
    """Whether a read needs the conditions of its scope, because an index may lie outside its dimension.

    Nothing can be proved of an array without a declared shape. It must have an element for every value
    of a variable that is its index; the conditions protect other indices, x[i + 1].
    """
    undeclared = base in t.undeclared
    for expr, index, dim in zip(exprs, indices, t.arrays[base].shape, strict=True):
        plain = undeclared and expr in ask.scope.bound
        if not plain and t.bounds.inside(index, dim) != "yes":
            return True
    return False


def extreme(index: Node, sign: int) -> Dim | None:
    """The largest (sign 1) or smallest (-1) value that an index takes over its axes; None if unknown."""
    atoms, total = affine(index)
    for atom, factor in atoms.items():
        if atom.op == "axis":
            if factor * sign > 0:
                total = total + factor * (atom.attr.dim - 1)
        elif atom.op == "floordiv" and atom.args[1].op == "const" and atom.args[1].value > 0:
            inner, within = affine(atom.args[0])
            if any(a.op != "axis" for a in inner):
                return None
            for axis, step in inner.items():
                if step * factor * sign > 0:
                    within = within + step * (axis.attr.dim - 1)
            total = total + factor * (within // int(atom.args[1].value))
        else:
            return None
    return total


class Range(NamedTuple):
    """The points of one limit of a Sum: its axis, the guards that cut it, and the scope of the body."""

    axis: Axis
    guards: tuple[Guard, ...]
    scope: Scope


def _range(
    t: Translator, expr: ExprWithLimits, limit: tuple[Any, Any, Any], scope: Scope
) -> Generator[Ask, Value, Range]:
    """A range of constant length is an axis; another one is cut out of the longest range by guards."""
    variable, *ends = limit
    graph = t.graph
    values: list[Node] = []
    for end in ends:
        value = yield Ask(end, scope._replace(integer=True))
        if not is_whole(value):
            raise FormulaError(
                f"the bound {shown(end)} of {shown(expr)} is not an integer: use integers and symbols "
                "made with integer=True"
            )
        values.append(graph.node(value))
    lower, upper = values
    guards: list[Guard] = []
    varying, length = affine(graph.apply("sub", upper, lower))
    if not varying:
        axis = _fresh_axis(t, expr, length + 1, scope)
        index = graph.apply("add", graph.axis(axis), lower)
    else:
        lowers, uppers = _parts(lower, "max"), _parts(upper, "min")
        lowest, highest = _outermost(lowers, -1), _outermost(uppers, 1)
        if lowest is None or highest is None:
            raise UnsupportedError(
                f"a bound of {shown(expr)} depends on an array or on a product of indices: sum over "
                "the largest range and select with Piecewise((term, condition), (0, True))"
            )
        axis = _fresh_axis(t, expr, highest - lowest + 1, scope)
        index = graph.apply("add", graph.axis(axis), graph.dim(lowest))
        guards += [(graph.apply("greater_equal", index, end), True) for end in lowers if _cuts(end, lowest)]
        ends = [graph.apply("add", end, 1) for end in uppers if _cuts(end, highest)]
        guards += [(graph.apply("less", index, end), True) for end in ends]
    graph.name(graph.axis(axis), str(variable))
    inside = Scope({**scope.bound, variable: index}, (*scope.guards, *guards), scope.integer)
    return Range(axis, tuple(guards), inside)


def _parts(end: Node, op: str) -> list[Node]:
    """The operands of a bound that is a Min (of an upper bound) or a Max (of a lower one), else itself."""
    found, waiting = [], [end]
    while waiting:
        node = waiting.pop()
        if node.op == op:
            waiting.extend(reversed(node.args))
        else:
            found.append(node)
    return found


def _outermost(ends: Sequence[Node], sign: int) -> Dim | None:
    """A bound over all points on the range that every one of `ends` cuts: the tightest that is known."""
    best: Dim | None = None
    for end in ends:
        reach = extreme(end, sign)
        if reach is not None and (best is None or ((best - reach).constant or 0) * sign > 0):
            best = reach
    return best


def _cuts(end: Node, outermost: Dim) -> bool:
    varying, offset = affine(end)
    return bool(varying) or offset != outermost


def _fresh_axis(t: Translator, expr: ExprWithLimits, dim: Dim, scope: Scope) -> Axis:
    """An axis that nothing in the sum varies over, with the lowest number, as reductions have it."""
    inside = t.survey.bound_in(expr) | {variable for variable, *_ in limits_of(expr)}
    nodes = [node for variable, node in scope.bound.items() if variable in inside]
    if READS in inside:
        nodes += [node for node, _ in scope.guards]
    taken = {axis.number for node in nodes for axis in node.axes if axis.dim == dim}
    return Axis(dim, next(n for n in range(len(taken) + 1) if n not in taken))


def total(t: Translator, ask: Ask) -> Steps:
    """A Sum or a Product: the last limit is the outermost; both bounds are included."""
    op = "prod" if isinstance(ask.expr, sympy.Product) else "sum"
    scope = ask.scope
    ranges: list[Range] = []
    for limit in reversed(limits_of(ask.expr)):
        found = yield from _range(t, ask.expr, limit, scope)
        ranges.append(found)
        scope = found.scope
    body = yield Ask(ask.expr.function, scope)
    value = t.graph.node(body if ask.scope.integer else t.real(body))
    for found in reversed(ranges):
        value = t.graph.reduce(op, found.axis, value, [node for node, _ in found.guards])
    return value
