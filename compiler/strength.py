"""Strength reduction: what is cheaper in another form, done last, just before printing.

A half power is a whole one times the root. Whole powers become products of halves, so that neighbouring
powers share (x**6 = x**3 * x**3, x**5 = x**2 * x**3), and negative ones products of one reciprocal. This
comes after differentiation: the derivative of x**6 is 6 x**5, while that of a chain of products would be
a longer chain. A power of two that two terms share is taken out of their sum, which changes no digit: 2 a + 2 b c is
2 (a + b c). A divisor that stays the same while a loop runs is inverted once, and the quotients in the loop become
products, where products and sums alone use them: elsewhere (in a comparison, a floor, a result) the last digit shows.
"""

from __future__ import annotations

import math
from collections import Counter

from gradc.ir.graph import Graph, Node, copy_graph

MOST_FACTORS = 16       # each halving costs half an ulp at most


def strength(graph: Graph) -> Graph:
    """The graph with whole powers as products, and shared powers of two in front of sums."""
    uses = Counter(operand for node in graph.nodes for operand in node.args)
    smooth = _only_in_products(graph)
    kept = {node for _, node in graph.outputs} | set(graph.names)

    def change(new: Graph, node: Node, args: list[Node]) -> Node | None:
        if node.op in ("add", "sub") and not any(uses[operand] > 1 or operand in kept for operand in node.args):
            return _shared(new, node.op, *args)
        if node in smooth:
            return new.apply("mul", args[0], new.apply("div", 1.0, args[1]))
        if node.op != "pow" or args[1].op != "const" or not args[0].dtype.startswith("float"):
            return None
        exponent = float(args[1].value)
        if (exponent - 0.5).is_integer() and 1.5 <= exponent <= MOST_FACTORS:
            return new.apply("mul", _product(new, args[0], int(exponent)), new.apply("sqrt", args[0]))
        if not exponent.is_integer() or not 2 <= abs(exponent) <= MOST_FACTORS:
            return None
        base = args[0] if exponent > 0 else new.apply("div", 1.0, args[0])
        return _product(new, base, int(abs(exponent)))

    return copy_graph(graph, change=change)          # no fold: r * r * r would become r * r / x


def _only_in_products(graph: Graph) -> set[Node]:
    """The quotients whose divisors vary over fewer axes than they do, and which only products and sums use.

    A quotient of one is a product in that sense, a quotient by one is not.
    """
    found = {node for node in graph.nodes if node.op == "div" and node.dtype.startswith("float")
             and node.args[1].axes < node.args[0].axes and node.args[1].op != "const"}
    if found:
        found -= {node for _, node in graph.outputs}
        for node in graph.nodes:
            if node.op == "div":
                found.discard(node.args[1])
            elif node.op != "mul" and not (node.op == "sum" and node.is_reduction):
                found.difference_update(node.args)
    return found


def _shared(graph: Graph, op: str, left: Node, right: Node) -> Node | None:
    """The sum of two products with a power of two that both have, with this in front."""
    if left.op != "mul" or right.op != "mul" or not left.dtype.startswith("float") or left.dtype != right.dtype:
        return None
    for factor, one in (left.args, left.args[::-1]):
        for same, other in (right.args, right.args[::-1]):
            if factor.op == "const" and factor is same and abs(math.frexp(float(factor.value))[0]) == 0.5:
                return graph.apply("mul", factor, graph.apply(op, one, other))
    return None


def _product(graph: Graph, base: Node, power: int) -> Node:
    if power == 1:
        return base
    return graph.apply("mul", _product(graph, base, power // 2), _product(graph, base, power - power // 2))
