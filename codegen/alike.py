"""Sums that compute the same under other names of their axes.

One that is there already is kept in an array and read from it in place of a second loop; which sums are looked up so
is `contractions`' choice.
"""

from __future__ import annotations

from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node

Layout = tuple[Axis, ...]


def asked_to_be_equal(graph: Graph) -> set[Node]:
    """The sums and products over axes that somebody asks of whether they equal something, as ties of a maximum do."""
    waiting = [arg for node in graph.reachable() if node.op in ("eq", "not_equal") for arg in node.args
               if arg.dtype.startswith("float")]
    found: set[Node] = set()
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node not in seen and node.axes:
            seen.add(node)
            waiting += () if node.is_array else node.args
            if node.op in ("sum", "prod"):
                found.add(node)
    return found


Pattern = tuple[object, ...]
MOST_COMPARED = 1000    # nodes under a product that is compared with others


def known_as(graph: Graph, total: Node, seen: dict[Pattern, tuple[Node, Layout]]) -> Node:
    """A contraction, or the element of an equal one that was seen before, with other names of its axes."""
    for turned in (False, True):
        key, axes = pattern(total, turned=turned)
        if key in seen:
            first, order = seen[key]
            if first is total:
                return total
            return graph.read(graph.store(order, first), [graph.axis(axis) for axis in axes])
    key, axes = pattern(total)
    if key:
        seen[key] = total, axes
    return total


def pattern(total: Node, *, turned: bool = False) -> tuple[Pattern, Layout]:
    """What a sum computes, whatever its axes are called; and its free axes in the order in which they are met.

    Axes are numbered as they come, so that equal patterns differ in a renaming alone. `turned` takes the two operands
    of the product in the other order. Beyond a size there is no pattern.
    """
    numbers: dict[Axis, int] = {}
    places: dict[Node, int] = {}
    found: list[object] = []
    waiting = [total]
    while waiting and len(places) < MOST_COMPARED:
        node = waiting.pop()
        if node in places:
            found.append(places[node])
            continue
        places[node] = len(places)
        axis = node.attr if node.op == "axis" or node.is_reduction else node.attr.axis if node.op == "scan" else None
        attr = node.attr if axis is None else (numbers.setdefault(axis, len(numbers)), axis.dim)
        if node.op == "scan":
            attr = (attr, node.attr._replace(axis=None))
        leaf = node.is_array or node.op == "input"
        found.append((node.op, node if leaf else attr, node.dtype, len(node.args)))
        args = () if leaf else node.args
        product = turned and node.op == "mul" and node.axes > total.axes
        turned = turned and not product
        waiting += args if product else args[::-1]
    if waiting:
        return (), ()
    free = tuple(axis for axis in numbers if axis in total.axes)
    return tuple(found), free
