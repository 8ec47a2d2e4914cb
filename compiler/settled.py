"""The last look at rules of the user's own: for a value they are nothing.

`stop_gradient`, `with_partials` and `ruled` say something about derivatives alone. When all of them have been taken
they are replaced by the value that they bear, their first operand, so that generated text holds what is computed and
nothing else.
"""

from __future__ import annotations

from gradc.ir.graph import Graph, Node, copy_graph

RULED = ("stop_gradient", "with_partials", "ruled")      # their derivatives are not those of their values, on purpose


def settled(graph: Graph) -> Graph:
    """The graph with every value in place of the node that gave it a derivative of its own."""
    if not has_rules(graph):
        return graph

    def change(_: Graph, node: Node, args: list[Node]) -> Node | None:
        if node.op == "select" and args[1] is args[2]:          # of which one had a derivative
            return args[1]
        return args[0] if node.op in RULED else None

    return copy_graph(graph, change=change)


def has_rules(graph: Graph) -> bool:
    """Whether some derivative is not that of the value, so that no difference quotient can confirm it."""
    return any(node.op in RULED for node in graph.reachable())
