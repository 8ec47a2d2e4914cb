"""Elements of a computed array at places that data name, `scores[np.arange(n), labels]`.

A front end makes an element by replacing axes, so that only what is asked for is computed. Where the program computes
the whole array anyway, as a loss does that also takes the logarithm of the sum of all exponentials, that would compute
the element a second time, through all its sums; there it is read from the array instead. Front ends `remember` what
they took while they build; `settle` decides at the end, when it is known what else is computed.
"""

from __future__ import annotations

from collections.abc import Mapping

from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node, copy_graph, sorted_axes
from gradc.ir.nodes import is_data

Taken = dict[Node, tuple[Node, dict[Axis, Node]]]       # an element: the array's value, and the index for each axis


def remember(graph: Graph, value: Node, mapping: Mapping[Axis, Node], taken: Taken) -> None:
    """Note the elements that a substitution makes of those parts of a value that sums are taken for."""
    named = {axis: index for axis, index in mapping.items() if is_data(index)}
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
    computed: set[Node] = set()
    waiting = [node for _, node in graph.outputs] + [check.bad for check in graph.checks]
    while waiting:
        node = waiting.pop()
        if node not in computed:
            computed.add(node)
            waiting += () if node in taken and _is_whole(node) else node.args
    if not any(node in computed and taken[node][0] in computed for node in taken):
        return graph
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        whole, mapping = taken.get(node, (node, {}))
        if mapping and whole in computed:
            axes = [*mapping, *sorted_axes(whole.axes - set(mapping))]
            index = [made[mapping[axis]] if axis in mapping else new.axis(axis) for axis in axes]
            made[node] = new.read(new.store(axes, made[whole]), index)
        else:
            made[node] = new.rebuild(node, args)
        return made[node]

    return copy_graph(graph, change=change)
