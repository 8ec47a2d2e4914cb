"""Conditions as bounds of loops: `axis < e` and `axis >= e` with e an affine form without the axis.

The printer asks for the bound of a guard and whether it can leave the dimension; what is no bound stays a
condition inside the loop.
"""

from __future__ import annotations

from collections.abc import Iterable

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Node, affine


def bound_of(guard: Node, axis: Axis) -> tuple[str, Node] | None:
    """A comparison as a bound of the axis: ("high", e) for axis < e, ("low", e) for axis >= e."""
    if guard.op not in ("less", "less_equal", "greater", "greater_equal") or any(
            a.dtype != "int64" for a in guard.args):
        return None
    graph = guard.graph
    left, right = guard.args
    if guard.op in ("greater", "greater_equal"):
        left, right = right, left
    slack = right - left if guard.op in ("less", "greater") else right - left + 1     # guard: slack > 0
    factors, _ = affine(slack)
    index = graph.axis(axis)
    factor = factors.get(index)
    if factor not in (-1, 1):
        return None
    kind, end = ("high", slack + index) if factor == -1 else ("low", index - slack + 1)
    return None if axis in end.axes else (kind, end)            # i <= k[i] bounds no loop over i


def bounding(guards: Iterable[Node], axis: Axis) -> set[Node]:
    """Those of some guards that become the bounds of a loop: the first of each kind."""
    found: dict[str, Node] = {}
    for guard in guards:
        bound = bound_of(guard, axis) if axis in guard.axes else None
        if bound is not None:
            found.setdefault(bound[0], guard)
    return set(found.values())


def at_most(node: Node, dim: Dim) -> bool:
    """Whether an index expression is at most `dim` for all sizes: one axis of at most that extent."""
    factors, offset = affine(node)
    if len(factors) != 1:
        return not factors and offset == dim
    ((atom, factor),) = factors.items()
    if atom.op != "axis" or factor != 1:
        return False
    slack = (dim - (atom.attr.dim - 1 + offset)).constant
    return slack is not None and slack >= 0


def at_least_zero(node: Node) -> bool:
    """Whether an index expression is 0 or more for all sizes."""
    factors, offset = affine(node)
    constant = offset.constant
    return (constant is not None and constant >= 0
            and all(f > 0 and atom.op == "axis" for atom, f in factors.items()))
