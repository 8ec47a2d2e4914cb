"""Unrolling: a sum or product over a few literal points becomes its terms.

`sum((x[i, k] - x[j, k])**2 for k in range(3))` is three terms, as one would write it by hand: the reads
become locals of the loops outside, and the adjoint of each coordinate is accumulated in one. Only short
literal dimensions, and only while the text stays short; the order of the additions is that of the loop. The window of a
convolution, which is multiplied as a matrix, is left as it is.
"""

from __future__ import annotations

from gradc.codegen.contractions import summed_by_products
from gradc.codegen.items import merged_reductions
from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node, copy_graph

MOST_TERMS = 4          # a longer loop is better left to LLVM
MOST_NODES = 48         # of all terms together


def unroll(graph: Graph) -> Graph:
    """The graph with short sums and products over literal dimensions written out."""
    if not any(node.is_reduction for node in graph.nodes):
        return graph
    products = summed_by_products(graph, merged_reductions(graph, graph.reachable()))

    def change(new: Graph, node: Node, args: list[Node]) -> Node | None:
        if node.op not in ("sum", "prod") or not node.is_reduction:
            return None
        terms = node.attr.dim.constant
        if terms is None or not 1 <= terms <= MOST_TERMS or node in products:
            return None
        body, guards = args[0], args[1:]
        if terms * _varying(body, node.attr) > MOST_NODES:
            return None
        points = [new.substitute_all(args, {node.attr: new.const(k)}) for k in range(terms)]
        neutral = 0.0 if node.op == "sum" else 1.0
        total: Node | None = None
        for value, *conditions in points:
            term = new.apply("select", new.all_of(conditions), value, neutral) if guards else value
            total = term if total is None else new.apply("add" if node.op == "sum" else "mul", total, term)
        return total

    return copy_graph(graph, change=change)


def _varying(body: Node, axis: Axis) -> int:
    """The number of nodes under a body that vary over the axis, up to the limit; a scan along it is too many."""
    seen: set[Node] = set()
    stack = [body]
    while stack and len(seen) <= MOST_NODES:
        node = stack.pop()
        if node not in seen and axis in node.axes:
            if node.op == "scan" and node.attr.axis == axis:    # it has no value at a point alone
                return MOST_NODES + 1
            seen.add(node)
            stack += node.args
    return len(seen)
