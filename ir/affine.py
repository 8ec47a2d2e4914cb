"""Integer nodes as affine forms: {atom: factor} and a constant dimension.

Index arithmetic is kept in this normal form, so that `i + 1 - 1` is `i` and equal indices are one node.
"""

from __future__ import annotations

from .dims import Dim
from .nodes import Node


def affine(node: Node) -> tuple[dict[Node, int], Dim]:
    """An integer node taken apart: {atom: factor} and a constant dimension."""
    coefficients: dict[Node, int] = {}
    offset = Dim.of(0)
    waiting = [(node, 1)]
    while waiting:
        item, factor = waiting.pop()
        if item.op == "const":
            offset = offset + factor * int(item.value)
        elif item.op == "dim":
            offset = offset + factor * item.attr
        elif item.dtype != "int64":
            coefficients[item] = coefficients.get(item, 0) + factor
        elif item.op == "add":
            waiting += [(a, factor) for a in item.args]
        elif item.op == "sub":
            waiting += [(item.args[0], factor), (item.args[1], -factor)]
        elif item.op == "neg":
            waiting.append((item.args[0], -factor))
        elif item.op == "mul" and item.args[0].op == "const":
            waiting.append((item.args[1], factor * int(item.args[0].value)))
        else:
            coefficients[item] = coefficients.get(item, 0) + factor
    return {atom: factor for atom, factor in coefficients.items() if factor}, offset


def combine(op: str, parts: list[tuple[dict[Node, int], Dim]]) -> tuple[dict[Node, int], Dim] | None:
    """Affine forms added, subtracted, negated or multiplied; None where the product is not affine."""
    if op == "neg":
        return {n: -f for n, f in parts[0][0].items()}, -parts[0][1]
    (left, a), (right, b) = parts
    if op == "mul":
        if not left and a.constant is not None:
            return {n: f * a.constant for n, f in right.items()}, b * a
        if not right and b.constant is not None:
            return {n: f * b.constant for n, f in left.items()}, a * b
        if not left and not right:
            return {}, a * b
        return None
    sign = 1 if op == "add" else -1
    total = dict(left)
    for node, factor in right.items():
        total[node] = total.get(node, 0) + sign * factor
    return {n: f for n, f in total.items() if f}, a + sign * b
