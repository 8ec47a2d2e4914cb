"""Elements of a computed array at places that data name, `scores[np.arange(n), labels]`.

A front end makes an element by replacing axes, so that only what is asked for is computed. Where the program computes
the whole array anyway, as a loss does that also takes the logarithm of the sum of all exponentials, that would compute
the element a second time, through all its sums; there it is read from the array instead. Front ends `remember` what
they took while they build; `settle` decides at the end, when it is known what else is computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gradc.codegen.alike import Layout, Pattern, pattern
from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node, copy_graph, sorted_axes
from gradc.ir.nodes import is_data

Taken = dict[Node, tuple[Node, dict[Axis, Node]]]       # an element: the array's value, and the index for each axis


def remember(graph: Graph, value: Node, mapping: Mapping[Axis, Node], taken: Taken) -> None:
    """Note the elements that a substitution makes of those parts of a value that sums are taken for."""
    named = {axis: index for axis, index in mapping.items() if is_data(index) or index.op == "const"}
    if not named:
        return
    order, seen = [], set()
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if node not in seen and not node.axes.isdisjoint(named):
            seen.add(node)
            order.append(node)
            waiting += () if _is_whole(node) else node.args
    costly: set[Node] = set()
    for node in sorted(order, key=lambda n: n.id):
        if _is_whole(node) or any(arg in costly for arg in node.args):
            costly.add(node)
            taken[graph.substitute(node, mapping)] = node, {a: index for a, index in mapping.items() if a in node.axes}


def _is_whole(node: Node) -> bool:
    return node.is_reduction or node.op == "scan"


def settle(graph: Graph, taken: Taken) -> Graph:
    """The graph with the elements of what is computed as a whole anyway read from there."""
    computed = _computed(graph, taken)
    whole = {node for node in taken if node in computed and taken[node][0] in computed}
    pieces = _pieces(graph, {node: found for node, found in taken.items() if node not in whole})
    if not whole and not pieces:
        return graph
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        if node in pieces:
            value, mapping = pieces[node]
            for part in graph.reachable([value]):
                if part not in made:
                    made[part] = new.rebuild(part, [made[arg] for arg in part.args])
        else:
            value, mapping = taken[node] if node in whole else (node, {})
        if mapping:
            axes = [*mapping, *sorted_axes(value.axes - set(mapping))]
            index = [_index(new, mapping[axis], made) if axis in mapping else new.axis(axis) for axis in axes]
            made[node] = new.read(new.store(axes, made[value]), index)
        else:
            made[node] = new.rebuild(node, args)
        return made[node]

    return copy_graph(graph, change=change)


def _index(new: Graph, index: Node, made: Mapping[Node, Node]) -> Node:
    if index.op == "const":
        return new.const(index.value)
    return new.axis(index.attr) if index.op == "axis" else made[index]


def _computed(graph: Graph, taken: Taken) -> set[Node]:
    """What the outputs need, sums that are elements of others left out."""
    computed: set[Node] = set()
    waiting = [node for _, node in graph.outputs] + [check.bad for check in graph.checks]
    while waiting:
        node = waiting.pop()
        if node not in computed:
            computed.add(node)
            waiting += () if node in taken and _is_whole(node) and _by_data(taken[node][1]) else node.args
    return computed


def _by_data(mapping: Mapping[Axis, Node]) -> bool:
    return any(is_data(index) for index in mapping.values())


def _pieces(graph: Graph, taken: Taken) -> Taken:
    """The sums that are parts, at literal places, of one of which at least half is needed; also under other axes.

    The matrices of a skeleton's bones, made at once and multiplied one after the other, are one array.
    """
    alike: dict[Pattern, tuple[Node, dict[Axis, Node], Layout]] = {}
    for node, (value, mapping) in taken.items():
        fixed = [index for index in mapping.values() if index.op == "const"]
        if fixed and _is_whole(node) and all(index.op in ("const", "axis") for index in mapping.values()):
            key, order = pattern(node)
            if key:
                alike[key] = value, mapping, order
    found: Taken = {}
    places: dict[Node, set[tuple[Node, ...]]] = {}
    for node in graph.reachable() if alike else ():
        key, order = pattern(node) if node.is_reduction else ((), ())
        if key in alike:
            value, mapping, first = alike[key]
            names = dict(zip(first, order, strict=True))
            found[node] = value, {axis: graph.axis(names[index.attr]) if index.op == "axis" else index
                                  for axis, index in mapping.items()}
            places.setdefault(value, set()).add(tuple(index for index in mapping.values() if index.op == "const"))
    kept = set()
    for value, known in places.items():
        sizes = [axis.dim.constant for axis, index in next(m for v, m in found.values() if v is value).items()
                 if index.op == "const"]
        if len(known) > 1 and None not in sizes and 2 * len(known) >= math.prod(size for size in sizes if size):
            kept.add(value)
    return {node: entry for node, entry in found.items() if entry[0] in kept}
