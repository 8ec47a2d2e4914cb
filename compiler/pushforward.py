"""What the tangents of operands make of a node: local partials, and the structural kinds.

The mirror of `pullback`. Nearly all of it is linearity: a sum, a running sum, a read, a store and a scatter do to
tangents what they do to values; a product and a linear recurrence follow the product rule. Where an extremum is
taken on several times, its tangent is the mean of theirs, as its adjoint is shared equally among them. Library
routines are in `pushforward_routines`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import Graph, Node, Part, scatter_parts, store_parts
from gradc.ir.table import OPERATIONS

from .pullback import INCLUSIVE, Guards, count, local_partials, others, running_ties, ties
from .pushforward_routines import push, push_own


class Tangent(NamedTuple):
    """A derivative along directions: a value, and the conditions where it counts; a strong zero elsewhere."""

    value: Node
    guards: Guards

    def settled(self) -> Node:
        """The value, 0 where it does not count."""
        graph = self.value.graph
        if not self.guards:
            return self.value
        return graph.ops.select(graph.all_of(self.guards), self.value, graph.const(0.0, self.value.dtype))


Tangents = Mapping[Node, Tangent]


def local_pushforward(graph: Graph, y: Node, tangents: Tangents, held: Sequence[Axis]) -> Iterator[Tangent]:
    """The tangents that the operands of y with a tangent make; their sum is the tangent of y."""
    if y.is_reduction:
        if y.args[0] in tangents:
            yield _reduction(graph, y, tangents)
    elif y.op in OPERATIONS:
        for x, partial, extra in local_partials(graph, y, tangents):
            yield Tangent(tangents[x].value * partial, tangents[x].guards.union(extra))
    elif y.op == "read":
        if y.args[0] in tangents:
            array, rank = tangents[y.args[0]].value, y.attr
            element = graph.read(array, (*y.args[1:1 + rank], *map(graph.axis, held)), y.args[1 + rank:])
            yield _guarded(graph, element)
    elif y.op == "scan":
        yield _scan(graph, y, tangents)
    elif y.op == "store":
        yield Tangent(_store(graph, y, tangents, held), frozenset())
    elif y.op == "scatter_add":
        parts = [Part(tangents[part.value].value, (*part.indices, *map(graph.axis, held)),
                      (*part.guards, *_in_order(tangents[part.value].guards)))
                 for part in scatter_parts(y.attr, y.args) if part.value in tangents]
        yield Tangent(graph.scatter_add((*y.shape, *(axis.dim for axis in held)), parts, y.dtype), frozenset())
    elif y.op in ("call", "ruled"):
        arrays = {x: tangents[x].value for x in y.args if x in tangents}
        value = push(graph, y, arrays, held) if y.op == "call" else push_own(graph, y, arrays, held)
        if value is not None:
            yield Tangent(value, frozenset())
    else:
        raise DerivativeError(f"the operation {y.op} has no derivative rule: rewrite the expression without it")


def _in_order(guards: Guards) -> list[Node]:
    return sorted(guards, key=lambda n: n.id)


def _guarded(graph: Graph, element: Node) -> Tangent:
    """An element that was stored as 0 where it does not count is a strong zero there."""
    if element.op == "select" and element.args[2].op == "const" and element.args[2].value == 0.0:
        kept = graph.conjunction([element.args[0]])
        assert kept is not None                                 # a choice by False is never made
        return Tangent(element.args[1], frozenset(kept))
    return Tangent(element, frozenset())


def _summed(graph: Graph, axis: Axis, term: Tangent, conditions: Sequence[Node]) -> Tangent:
    inside = {guard for guard in term.guards if axis in guard.axes}
    value = graph.reduce("sum", axis, term.value, (*conditions, *_in_order(frozenset(inside))))
    return Tangent(value, term.guards - inside)


def _reduction(graph: Graph, y: Node, tangents: Tangents) -> Tangent:
    body, conditions, axis = y.args[0], y.args[1:], y.attr
    value, guards = tangents[body]
    if y.op in ("max", "min"):
        found = ties(graph, y)
        value, guards = tangents[found.body]
        total = Tangent(value, guards | {found.hit})
        for node in reversed(found.chain):
            total = _summed(graph, node.attr, total, node.args[1:])
        return Tangent(total.value / found.number, total.guards)
    if y.op == "logsumexp":
        value = value * graph.ops.exp(body - y)
    elif y.op == "prod":
        value = value * others(graph, y)
    total = _summed(graph, axis, Tangent(value, guards), conditions)
    return Tangent(total.value / count(graph, axis, conditions), total.guards) if y.op == "mean" else total


def _scan(graph: Graph, y: Node, tangents: Tangents) -> Tangent:
    """Of exclusive prefixes P[i+1] = x[i] P[i], and of a recurrence e[i+1] = a[i] e[i] + b[i], by the product rule."""
    kind, axis, inclusive, reverse = y.attr
    flat = {x: tangents[x].settled() for x in y.args if x in tangents}
    first = flat.get(y.args[0])
    if kind == "sum":
        assert first is not None
        return Tangent(graph.scan("sum", axis, (first,), inclusive=inclusive, reverse=reverse), frozenset())
    if kind in ("max", "min"):
        assert first is not None
        _, again, hit, number = running_ties(graph, y)
        own = graph.ops.select(hit, first, 0.0)
        total = again * graph.scan("linrec", axis, (again, own), reverse=reverse) + own
        return Tangent(total / number, frozenset())
    if inclusive:
        raise DerivativeError(INCLUSIVE)
    steps = [] if first is None else [first * y]
    if kind == "linrec" and y.args[1] in flat:
        steps.append(flat[y.args[1]])
    step = steps[0] if len(steps) == 1 else steps[0] + steps[1]
    return Tangent(graph.scan("linrec", axis, (y.args[0], step), reverse=reverse), frozenset())


def _store(graph: Graph, y: Node, tangents: Tangents, held: Sequence[Axis]) -> Node:
    """Every part holds its tangent, or 0 over what has one."""
    base = tangents[y.args[0]].value if y.attr.base and y.args[0] in tangents else None
    parts: list[tuple[tuple[Axis, ...], tuple[Dim, ...], tuple[Node, ...], Node]] = []
    zero = graph.const(0.0, y.dtype)
    for part, value, conditions in store_parts(y.attr, y.args):
        if value in tangents or parts or base is not None:
            tangent = tangents[value].settled() if value in tangents else zero
            parts.append(((*part.axes, *held), (*part.offsets, *(Dim.of(0) for _ in held)), conditions, tangent))
    return graph.store_parts((*y.shape, *(axis.dim for axis in held)), parts, base=base)
