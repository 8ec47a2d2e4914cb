"""Substitution: nodes with index nodes in place of their free axes.

It avoids capture: where an index would meet the bound axis of a reduction, the axis gets another number. It is
iterative, so that no depth of a graph is one of Python's, and memoised: a node is made again once for each part of a
mapping that concerns it. Nodes are made by the graph's constructors, which look for `lowest_free` numbers themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .dims import Axis, Dim
from .nodes import Node, leaves_its_axis, sorted_axes

if TYPE_CHECKING:
    from .graph import Graph


def substitute_all(graph: Graph, roots: Sequence[Node], mapping: Mapping[Axis, Node]) -> list[Node]:
    """Several nodes at once; the work is shared between them.

    A running sum or product that would no longer run along one axis of its own is stored, and read there.
    """
    memo: dict[tuple[Node, frozenset[tuple[Axis, Node]]], Node] = {}

    def relevant(node: Node, inside: Mapping[Axis, Node]) -> dict[Axis, Node]:
        return {a: inside[a] for a in node.axes
                if a in inside and not (inside[a].op == "axis" and inside[a].attr == a)}

    stack: list[tuple[Node, dict[Axis, Node]]] = [(r, relevant(r, mapping)) for r in roots]
    while stack:
        node, inside = stack[-1]
        key = (node, frozenset(inside.items()))
        if key in memo:
            stack.pop()
            continue
        if not inside:
            memo[key] = node
            stack.pop()
            continue
        if node.op == "axis":
            memo[key] = inside[node.attr]
            stack.pop()
            continue
        if leaves_its_axis(node, inside):
            axes = sorted_axes(node.axes)
            memo[key] = graph.read(graph.store(axes, node), [inside.get(a, graph.axis(a)) for a in axes])
            stack.pop()
            continue
        attr, within = _bound_again(graph, node, inside)
        needed = [(a, relevant(a, within)) for a in node.args]
        missing = [(a, m) for a, m in needed if (a, frozenset(m.items())) not in memo]
        if missing:
            stack.extend(missing)
            continue
        args = [memo[a, frozenset(m.items())] for a, m in needed]
        stack.pop()
        result = graph.rebuild(node, args, attr)
        memo[key] = result
        if node in graph.names and result not in graph.names:
            graph.names[result] = list(graph.names[node])
        if node in graph.spans:
            graph.spans.setdefault(result, graph.spans[node])
    return [memo[r, frozenset(relevant(r, mapping).items())] for r in roots]


def _bound_again(graph: Graph, node: Node, inside: dict[Axis, Node]) -> tuple[Any, dict[Axis, Node]]:
    """The new bound axis of a reduction under a substitution, and the mapping for its body."""
    if node.op == "scan":
        replacement = inside.get(node.attr.axis)
        return node.attr if replacement is None else node.attr._replace(axis=replacement.attr), inside
    if not node.is_reduction:
        return node.attr, inside
    free: set[Axis] = set()
    for axis in node.axes:
        free |= inside[axis].axes if axis in inside else {axis}
    bound: Axis = node.attr
    fresh = Axis(bound.dim, lowest_free(bound.dim, free))
    return fresh, {**inside, bound: graph.axis(fresh)}


def lowest_free(dim: Dim, free: Iterable[Axis]) -> int:
    """The lowest number that no free axis of a dimension has: it names a bound axis."""
    taken = {axis.number for axis in free if axis.dim == dim}
    number = 0
    while number in taken:
        number += 1
    return number
