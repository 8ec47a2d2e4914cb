"""Expansion: reductions that are compositions become them.

`mean` is a sum divided by the number of terms. `logsumexp` takes the maximum out first, detached: a
shift cancels in the value and in every derivative, so it need not be differentiated. The exponential
of a term less its logsumexp, a softmax, is the term of that sum over the sum.
"""

from __future__ import annotations

from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node, copy_graph


def expand(graph: Graph) -> Graph:
    """The graph with `mean` and `logsumexp` written out."""
    if not any(node.is_reduction for node in graph.nodes):
        return graph

    parts: dict[Node, tuple[Node, Node]] = {}                   # of each logsumexp: the shift and the sum

    def change(new: Graph, node: Node, args: list[Node]) -> Node | None:
        if node.op == "exp" and _is_share(node.args[0]):
            shift, total = parts[node.args[0].args[1]]
            return new.apply("div", new.apply("exp", new.apply("sub", args[0].args[0], shift)), total)
        if not node.is_reduction:
            return None
        if node.op == "mean":
            return _mean(new, node.attr, args[0], args[1:])
        if node.op == "logsumexp":
            parts[node] = _logsumexp(new, node.attr, args[0], args[1:])
            return new.apply("add", parts[node][0], new.apply("log", parts[node][1]))
        return None

    return copy_graph(graph, change=change)


def _mean(graph: Graph, axis: Axis, body: Node, guards: list[Node]) -> Node:
    total = graph.reduce("sum", axis, graph.apply("real", body), guards)
    if not guards:
        return graph.apply("div", total, graph.apply("real", graph.dim(axis.dim)))
    one = graph.const(1.0, total.dtype)
    return graph.apply("div", total, graph.reduce("sum", axis, one, guards))


def _is_share(node: Node) -> bool:
    """Whether the exponential of this is a term's share in a sum of exponentials, a softmax."""
    if node.op != "sub" or node.args[1].op != "logsumexp":
        return False
    term, total = node.args
    return len(total.args) == 1 and total.args[0] is term


def _logsumexp(graph: Graph, axis: Axis, body: Node, guards: list[Node]) -> tuple[Node, Node]:
    """The shift, and the sum of the exponentials after it, of which a softmax is a quotient.

    Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions" (2021).
    """
    o = graph.ops
    top = graph.reduce("max", axis, body, guards)
    shift = o.detach(o.select(o.isfinite(top), top, 0.0))
    graph.notes.setdefault(shift, "the largest term is taken out, so that no exp overflows")
    total = graph.reduce("sum", axis, o.exp(body - shift), guards)
    return shift, total
