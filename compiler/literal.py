"""Results along short literal axes, written out element by element.

The two residuals of an observation share most of their work, and each has terms of its own. Along a loop of two
points a value is one expression for both: `0 if j == 2 else ...`. Written out, equal parts meet and such conditions
are gone, and an element of an array that was put together from parts is the part itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import (
    Axes,
    Graph,
    Node,
    Part,
    copy_graph,
    part_axes,
    scatter_parts,
    sorted_axes,
    store_parts,
)

from .simplify import fold

LONGEST = 4             # points of an axis
MOST_NODES = 2000       # that vary over such axes, times their points


def written_out(graph: Graph) -> Graph:
    """The graph whose outputs have no short literal axis, or the same graph where there is none or much would vary."""
    short = {axis for _, node in graph.outputs for axis in _axes(node) if _is_short(axis.dim)}
    varying = [node.axes & short for node in graph.reachable() if not node.is_array]
    if not short or sum(_points(axes) for axes in varying if axes) > MOST_NODES:
        return graph
    outputs = {node for _, node in graph.outputs}

    def change(new: Graph, node: Node, args: list[Node]) -> Node | None:
        if node.op == "read":
            return _element(new, args[0], args[1:]) if node.attr == len(args) - 1 else None
        if node not in outputs:
            return None
        if node.op == "scatter_add":
            parts = [each for part in scatter_parts(node.attr, args) for each in _scattered(new, part)]
            return new.scatter_add(node.attr.shape, parts, node.dtype, once=node.attr.once)
        if node.op == "store":
            return _stored(new, node, args)
        return None

    return copy_graph(copy_graph(graph, fold=fold, change=change), fold=fold, change=_forwarded)


def _axes(node: Node) -> Axes:
    if node.op == "scatter_add":
        return frozenset[Axis]().union(*(part_axes(part) for part in scatter_parts(node.attr, node.args)))
    if node.op == "store":
        return frozenset(axis for part, _, _ in store_parts(node.attr, node.args) for axis in part.axes)
    return frozenset()


def _is_short(dim: Dim) -> bool:
    return dim.constant is not None and 1 < dim.constant <= LONGEST


def _points(axes: Axes) -> int:
    total = 1
    for axis in axes:
        total *= axis.dim.constant or 1
    return total


def _places(graph: Graph, axes: Sequence[Axis]) -> Iterator[dict[Axis, Node]]:
    for place in product(*(range(axis.dim.constant or 0) for axis in axes)):
        yield {axis: graph.const(k) for axis, k in zip(axes, place, strict=True)}


def _scattered(graph: Graph, part: Part) -> Iterator[Part]:
    axes = [axis for axis in sorted_axes(part_axes(part)) if _is_short(axis.dim)]
    for place in _places(graph, axes):
        value, *rest = graph.substitute_all((part.value, *part.indices, *part.guards), place)
        yield Part(value, tuple(rest[:len(part.indices)]), tuple(rest[len(part.indices):]))


def _stored(graph: Graph, node: Node, args: Sequence[Node]) -> Node:
    one = Dim.of(1)
    parts = []
    for part, value, guards in store_parts(node.attr, args):
        axes = [axis for axis in part.axes if _is_short(axis.dim)]
        numbers = {axis: Axis(one, k) for k, axis in enumerate(axes)}
        for place in _places(graph, axes):
            here, *conditions = graph.substitute_all((value, *guards), place)
            offsets = tuple(offset + Dim.of(place[axis].value) if axis in place else offset
                            for axis, offset in zip(part.axes, part.offsets, strict=True))
            parts.append((tuple(numbers.get(axis, axis) for axis in part.axes), offsets, tuple(conditions), here))
    return graph.store_parts(node.attr.shape, parts, args[0] if node.attr.base else None)


def _forwarded(new: Graph, node: Node, args: list[Node]) -> Node | None:
    return _element(new, args[0], args[1:]) if node.op == "read" and node.attr == len(args) - 1 else None


def _element(graph: Graph, array: Node, indices: Sequence[Node]) -> Node | None:
    """What a part of an array says of an element whose literal indices name this part."""
    if array.op != "store" or array.attr.base or not any(index.op == "const" for index in indices):
        return None
    found = None
    for part, value, guards in store_parts(array.attr, array.args):
        within = True
        for axis, offset, index, dim in zip(part.axes, part.offsets, indices, array.attr.shape, strict=True):
            first, count = offset.constant, axis.dim.constant
            if index.op == "const" and first is not None and count is not None:
                within = within and first <= index.value < first + count
            elif index.op != "axis" or axis.dim != dim or first != 0:
                return None
        if within:
            if found is not None or guards:
                return None
            found = graph.substitute(value, {
                axis: graph.const(index.value - (offset.constant or 0)) if index.op == "const" else index
                for axis, offset, index in zip(part.axes, part.offsets, indices, strict=True)})
    return found
