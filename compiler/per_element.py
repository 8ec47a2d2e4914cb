"""Work on gathered values once for each element that is gathered, where elements are fewer than places that use them.

Of many observations by few cameras each needs the sine of its own camera's angle, `sin(angle[camera[i]])`. Of
observation i that needs `camera[i]` alone, so an array over the cameras holds the values, and observations read them
there. Whether elements are fewer is known where sizes are, at run time. Arrays that a program computes anyway are
`gathered`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import NO_AXES, Axes, Graph, Node, copy_graph, sorted_axes
from gradc.ir.nodes import is_data
from gradc.ir.table import OPERATIONS

CHEAP = frozenset(("abs", "ceil", "floor", "isfinite", "max", "min", "round", "sign", "trunc"))
Pair = tuple[Dim, tuple[Dim, ...]]      # of what is gathered from, and of the places that gather


class Needed(NamedTuple):
    """What a value depends on.

    through  gathering indices, each with the dimension that it indexes
    axes     other axes
    works    whether a function of what is gathered is computed for it
    """

    through: frozenset[tuple[Node, Dim]]
    axes: Axes
    works: bool


def pairs(graph: Graph) -> list[Pair]:
    """The dimensions to compare."""
    found = {(dim, tuple(axis.dim for axis in sorted_axes(index.axes))): None
             for node in graph.reachable() if node.op == "read"
             for index, dim in zip(node.args[1:1 + node.attr], node.args[0].shape, strict=True) if is_data(index)}
    return list(found)


def per_element(graph: Graph, fewer: Collection[Pair]) -> Graph:
    """The graph with such values in arrays, one for each; `fewer` are those of `pairs` where elements are fewer."""
    if not fewer:
        return graph
    needed = all_needed(graph)
    found = {node: own for node in needed if (own := _gathered(node, needed[node], fewer)) is not None}
    users: dict[Node, list[Node]] = {}
    for node in needed:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    returned = {node for _, node in graph.outputs}
    roots = {node: own for node, own in found.items()
             if node in returned or any(found.get(user) != own for user in users.get(node, ()))}
    if not roots:
        return graph
    unused = 1 + max((axis.number for node in graph.nodes for axis in (
        *node.axes, *([node.attr] if node.is_reduction else ()))), default=0)
    places = {own: Axis(own[1], unused + k) for k, own in enumerate(dict.fromkeys(roots.values()))}
    images: dict[tuple[Node, Dim], dict[Node, Node]] = {own: {} for own in places}
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        if node not in roots:
            made[node] = new.rebuild(node, args)
            return made[node]
        own = roots[node]
        element = places[own]
        value = _image(new, node, images[own], own[0], element)
        axes = [element, *sorted_axes(needed[node].axes)]
        made[node] = new.read(new.store(axes, value), [made[own[0]], *map(new.axis, axes[1:])])
        return made[node]

    return copy_graph(graph, change=change)


def all_needed(graph: Graph) -> dict[Node, Needed]:
    """What each value depends on."""
    needed: dict[Node, Needed] = {}
    for node in graph.reachable():
        needed[node] = _needed(node, needed)
    return needed


def _needed(node: Node, needed: dict[Node, Needed]) -> Needed:
    if node.op == "axis":
        return Needed(frozenset(), frozenset((node.attr,)), works=False)
    if node.is_array or node.op == "scan":
        return Needed(frozenset(), frozenset(node.axes), works=False)
    parts = [needed[arg] for arg in node.args]
    if node.op == "read":
        indices = node.args[1:1 + node.attr]
        parts = [Needed(frozenset(((index, dim),)), NO_AXES, works=False)
                 if is_data(index) and index.op == "read" else needed[index]
                 for index, dim in zip(indices, node.args[0].shape, strict=True)]
        parts += [needed[guard] for guard in node.args[1 + node.attr:]]
    through = frozenset[tuple[Node, Dim]]().union(*(part.through for part in parts))
    axes = NO_AXES.union(*(part.axes for part in parts))
    if node.is_reduction:
        mixed = {own for own in through if node.attr in own[0].axes}
        axes = axes.union(*(own[0].axes for own in mixed)) - {node.attr}
        through -= mixed
    works = any(part.works for part in parts) or (bool(through) and _is_function(node))
    return Needed(through, axes, works)


def _is_function(node: Node) -> bool:
    return node.op in OPERATIONS and bool(OPERATIONS[node.op].imports) and node.op not in CHEAP


def _gathered(node: Node, own: Needed, fewer: Collection[Pair]) -> tuple[Node, Dim] | None:
    """The index and dimension through which alone a value that takes work depends on places."""
    if not own.works or len(own.through) != 1 or not node.dtype.startswith("float"):
        return None
    (index, dim), = own.through
    pair = dim, tuple(axis.dim for axis in sorted_axes(index.axes))
    return (index, dim) if own.axes.isdisjoint(index.axes) and pair in fewer else None


def _image(new: Graph, root: Node, images: dict[Node, Node], index: Node, element: Axis) -> Node:
    """A value of the old graph with an element's own axis in place of the index."""
    images.setdefault(index, new.axis(element))
    waiting = [root]
    while waiting:
        node = waiting[-1]
        missing = [arg for arg in node.args if arg not in images]
        if node in images or not missing:
            waiting.pop()
            if node not in images:
                images[node] = new.rebuild(node, [images[arg] for arg in node.args])
        else:
            waiting += missing
    return images[root]
