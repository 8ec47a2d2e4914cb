"""The chain rule forward, for pointwise nodes only: how the tests derive an operation by its rule.

It is the shortest thing that can use a rule of the table, and it is not the compiler's own adjoint: a rule
is tested here for itself.
"""

from gradc.ir.graph import Graph, Node
from gradc.ir.table import OPERATIONS, Guarded


def derivative(graph: Graph, root: Node, by: Node) -> Node | None:
    """The node of d root / d by, appended to the graph; None where it is zero by definition."""
    tangents: dict[Node, Node] = {by: graph.const(1.0)}
    for node in graph.reachable([root]):
        entry = OPERATIONS.get(node.op)
        if node in tangents or entry is None or not any(a in tangents for a in node.args):
            continue
        assert entry.partials is not None, f"{node.op} has no rule"
        terms = []
        for arg, partial in zip(node.args, entry.partials(graph.ops, node, *node.args), strict=True):
            if arg in tangents and partial is not None:
                terms.append(term(graph, partial, tangents[arg]))
        if terms:
            total = terms[0]
            for other in terms[1:]:
                total = total + other
            tangents[node] = total
    return tangents.get(root)


def term(graph: Graph, partial: Node | Guarded, tangent: Node) -> Node:
    """One product of the chain rule; a strong zero where a guard fails."""
    if isinstance(partial, Guarded):
        return graph.ops.select(partial.condition, product(graph, partial.partial, tangent), 0.0)
    return product(graph, partial, tangent)


def product(graph: Graph, partial: Node, tangent: Node) -> Node:
    """partial * tangent, without a factor of one."""
    for factor, other in ((partial, tangent), (tangent, partial)):
        if factor.op == "const" and factor.value == 1.0:
            return other
    return partial * tangent
