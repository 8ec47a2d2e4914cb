"""Expansion: reductions that are compositions become them.

`mean` is a sum divided by the number of terms. `logsumexp` takes the maximum out first, detached: a
shift cancels in the value and in every derivative, so it need not be differentiated.
"""

from __future__ import annotations

from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node, copy_graph


def expand(graph: Graph) -> Graph:
    """The graph with `mean` and `logsumexp` written out."""
    if not any(node.is_reduction for node in graph.nodes):
        return graph

    def change(new: Graph, node: Node, args: list[Node]) -> Node | None:
        if not node.is_reduction:
            return None
        if node.op == "mean":
            return _mean(new, node.attr, args[0], args[1:])
        if node.op == "logsumexp":
            return _logsumexp(new, node.attr, args[0], args[1:])
        return None

    return copy_graph(graph, change=change)


def _mean(graph: Graph, axis: Axis, body: Node, guards: list[Node]) -> Node:
    total = graph.reduce("sum", axis, graph.apply("real", body), guards)
    if not guards:
        return graph.apply("div", total, graph.apply("real", graph.dim(axis.dim)))
    one = graph.const(1.0, total.dtype)
    return graph.apply("div", total, graph.reduce("sum", axis, one, guards))


def _logsumexp(graph: Graph, axis: Axis, body: Node, guards: list[Node]) -> Node:
    """Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions" (2021)."""
    o = graph.ops
    top = graph.reduce("max", axis, body, guards)
    shift = o.detach(o.select(o.isfinite(top), top, 0.0))
    graph.notes.setdefault(shift, "the largest term is taken out, so that no exp overflows")
    total = graph.reduce("sum", axis, o.exp(body - shift), guards)
    return shift + o.log(total)
