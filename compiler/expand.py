"""Expansion: reductions that are compositions become them, and empty ones are refused.

`mean` is a sum divided by the number of terms. `logsumexp` takes the maximum out first, detached: a
shift cancels in the value and in every derivative, so it need not be differentiated. Reductions
without an identity get a check that their dimension is at least 1.
"""

from __future__ import annotations

from gradc.ir.dims import Axis
from gradc.ir.graph import Check, Graph, Node, copy_graph
from gradc.ir.table import REDUCTIONS


def expand(graph: Graph) -> Graph:
    """The graph with `mean` and `logsumexp` written out and checks for empty reductions."""
    if not any(node.is_reduction for node in graph.nodes):
        return graph
    checks: list[tuple[Axis, str]] = []
    seen: set[tuple[Axis, str]] = set()

    def change(new: Graph, node: Node, args: list[Node]) -> Node | None:
        if not node.is_reduction:
            return None
        if REDUCTIONS[node.op].identity is None and (node.attr, node.op) not in seen:
            seen.add((node.attr, node.op))
            checks.append((node.attr, node.op))
        if node.op == "mean":
            return _mean(new, node.attr, args[0], args[1:])
        if node.op == "logsumexp":
            return _logsumexp(new, node.attr, args[0], args[1:])
        return None

    new = copy_graph(graph, change=change)
    for axis, op in checks:
        if axis.dim.constant is None or axis.dim.constant < 1:
            bad = new.apply("less", new.dim(axis.dim), 1)
            new.checks.append(Check(bad, f"{op} over an empty axis of dimension {axis.dim}"))
    return new


def _mean(graph: Graph, axis: Axis, body: Node, guards: list[Node]) -> Node:
    total = graph.reduce("sum", axis, graph.apply("real", body), guards)
    if not guards:
        return graph.apply("div", total, graph.apply("real", graph.dim(axis.dim)))
    one = graph.const(1.0)
    return graph.apply("div", total, graph.reduce("sum", axis, one, guards))


def _logsumexp(graph: Graph, axis: Axis, body: Node, guards: list[Node]) -> Node:
    """Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions" (2021)."""
    o = graph.ops
    top = graph.reduce("max", axis, body, guards)
    shift = o.detach(o.select(o.isfinite(top), top, 0.0))
    graph.notes.setdefault(shift, "the largest term is taken out, so that no exp overflows")
    total = graph.reduce("sum", axis, o.exp(body - shift), guards)
    return shift + o.log(total)
