"""A graph of numbers as one of arrays: the same function of every element, arrays broadcast as NumPy does it.

It takes a graph and says which of its scalar arguments are arrays now, of which rank, and gives the graph in which
every result varies over the dimensions of what it depends on: a number becomes an array of the broadcast shape, an
array has that shape as its last dimensions. What depends on no array stays as it is. Which arguments meet in a result
is read off the graph, so arguments that never meet need not fit each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Graph, Node, whole_axes

from .inline import inline

ONE = Dim.of(1)
Ones = tuple[bool, ...]                         # of an array: which of its dimensions are exactly 1


def elementwise(graph: Graph, kinds: Mapping[str, Ones]) -> Graph:
    """The graph with arrays in place of the scalar arguments that `kinds` names.

    kinds  for each of them, which of its dimensions are exactly 1; these are broadcast, as in NumPy

    Sizes stay unknown; those that meet must agree at run time. An argument that is a size itself, or the bound of a
    sum, cannot be an array: UnsupportedError.
    """
    meeting = _Meeting(graph, kinds)
    new = Graph(source=graph.source)
    operands = {}
    for name, node in graph.inputs.items():
        if name in kinds:
            places = meeting.places(name)
            array = new.input(name, node.dtype, [ONE if place is None else place.dim for place in places])
            operands[name] = new.read(array, [0 if place is None else new.axis(place) for place in places])
        else:
            given = new.input(name, node.dtype, node.shape)
            operands[name] = new.dim(name) if node.dtype == "int64" and not node.shape else given
    found = inline(new, graph, operands, meeting.held)
    for (key, own), node in zip(graph.outputs, found, strict=True):
        new.outputs.append((key, _stored(new, own, node, meeting.result(own), meeting.held)))
    return new


def _stored(graph: Graph, own: Node, node: Node, axes: Sequence[Axis], held: Sequence[Axis]) -> Node:
    """A result as an array over its own dimensions and then those of its arguments."""
    if not node.is_array:
        return graph.store(axes, node) if axes else node
    if not axes:
        return node
    first = whole_axes(node.shape[:len(own.shape)])
    index = [graph.axis(axis) for axis in (*first, *held[:len(node.shape) - len(first)])]
    return graph.store((*first, *axes), graph.read(node, [
        at if at.attr in first or at.attr in axes else graph.const(0) for at in index]))


class _Meeting:
    """Which arguments meet in a result, and the axis of each of their dimensions.

    held  all axes, in the order in which a result has them
    """

    def __init__(self, graph: Graph, kinds: Mapping[str, Ones]) -> None:
        self._kinds = kinds
        self._group = {name: name for name in kinds}
        self._needs: dict[Node, tuple[str, ...]] = {}
        for _, node in graph.outputs:
            self._needs[node] = self._arguments(graph, node)
            for name in self._needs[node]:
                self._join(self._needs[node][0], name)
        self._axes: dict[tuple[str, int], Axis] = {}
        taken = {*graph.inputs, *(n for i in graph.inputs.values() for dim in i.shape for n in dim.names())}
        number = 1 + max((len(node.shape) for _, node in graph.outputs), default=0)
        for name, ones in sorted(kinds.items(), key=lambda item: -len(item[1])):
            for place, one in enumerate(ones):
                key = self._root(name), place - len(ones)
                if not one and key not in self._axes:
                    label = f"size_{len(self._axes)}"
                    while label in taken:
                        label += "_"
                    self._axes[key] = Axis(Dim.of(label), number + len(self._axes))
        self.held = tuple(self._axes[key] for key in sorted(self._axes))

    def places(self, name: str) -> list[Axis | None]:
        """The axis of each dimension of an argument; None for one that is 1."""
        ones = self._kinds[name]
        return [None if one else self._axes[self._root(name), place - len(ones)] for place, one in enumerate(ones)]

    def result(self, node: Node) -> list[Axis]:
        """The axes of what a result has as further dimensions: those of 1 where no argument has more."""
        names = self._needs[node]
        rank = max((len(self._kinds[name]) for name in names), default=0)
        found = []
        for place in range(-rank, 0):
            wide = any(len(ones) >= -place and not ones[place] for ones in map(self._kinds.__getitem__, names))
            found.append(self._axes[self._root(names[0]), place] if wide else Axis(ONE, rank + place))
        return found

    def _arguments(self, graph: Graph, output: Node) -> tuple[str, ...]:
        """The arguments that are arrays now and that an output depends on, dimensions among them."""
        names: set[str] = set()
        for node in graph.reachable([output]):
            if node.op == "input":
                names.add(node.attr.name)
            elif node.op == "dim":
                names.update(node.attr.names())
        return tuple(name for name in self._kinds if name in names)

    def _root(self, name: str) -> str:
        while self._group[name] != name:
            name = self._group[name]
        return name

    def _join(self, one: str, other: str) -> None:
        self._group[self._root(other)] = self._root(one)
