"""Which loops are worked through in pieces of `TILE` points, and what runs over a piece at a time.

A *tile* is for deep nests of short loops: its points run innermost, along vector instructions, and what they need from
memory is copied once in that order. A *strip* is for a loop that has both loops of its own and elementary functions of
single points, as in a sum over j before the logarithm of each i: nothing is vectorised around an inner loop, so a piece
runs through the sums first and then, in a loop of its own, through the functions. *Rows* are the strips of a loop whose
inner loops have the functions, as in softmax over the last axis: there may be few points in a row, and a loop over few
points is not vectorised, so one loop computes the functions of as many rows as have `FLAT` points together; of long
rows that is one. Here that is decided from items; `lower` makes the loops. Source: M. Wolfe, "More iteration space
tiling" (1989), on strip-mining and loop distribution.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradc.ir.dims import Axis, axis_order
from gradc.ir.graph import NO_AXES, Axes, Node
from gradc.ir.table import is_function

from .items import Item, union

SHORT = 9               # a literal dimension below this is unrolled by LLVM
DEEP = 3                # axes of a statement beyond which its outermost loop is cut into tiles
TILE = 64               # points: a few vectors of the widest kind, and buffers that stay in the nearest cache
FLAT = 4 * TILE         # points of short rows that are worked through together


def is_tiled(items: Sequence[Item], axis: Axis) -> bool:
    """Whether a loop around other loops is cut into tiles, whose points run innermost, along vector instructions.

    That pays where deep and short loops lie inside, each of them too short to fill a vector.
    """
    return _is_cut(items, axis) and any(_depth(item, NO_AXES) > DEEP for item in items)


def is_stripped(items: Sequence[Item], axis: Axis, opened: Axes) -> bool:
    """Whether a loop is cut into strips: some of its points' functions wait for loops inside, or these for them.

    Where the loops inside have functions of their own, it is those that take the time, and they are vectorised.
    """
    nested = [item for item in items if _depth(item, opened | {axis})]
    return bool(nested) and _is_cut(items, axis) and not any(has_function(item) for item in nested) \
        and len(strips(items, axis, opened)) > 1


def row_functions(items: Sequence[Item], axis: Axis) -> set[Node]:
    """The functions of the points of rows that are to be computed for several rows at a time, and their operands.

    That pays where the loop over a row is not the only one: something needs the whole row, as its sum.
    """
    row = row_of(items, axis)
    if row is None or not any(row in item.reduces and axis not in item.reduces for item in items):
        return set()
    kept = {item.node for item in items if item.array is not None or item.layout or item.part_of is not None}
    found = {node for item in items for node in (item.node, *item.inline)
             if is_function(node.op) and len(node.args) == 1 and node not in kept and node.axes == {axis, row}
             and _can_be_copied(node.args[0], node) and node.args[0] not in kept}
    return found | {node.args[0] for node in found}


def row_of(items: Sequence[Item], axis: Axis) -> Axis | None:
    """The axis of rows, if all loops inside a loop that may be cut are over one axis that may be short.

    Values that an array of the graph keeps are at the places that it has for them, not at those of a strip.
    """
    inner = sorted(union(items) - {axis}, key=axis_order)
    if len(inner) != 1 or not _is_cut(items, axis) or any(
            item.guards or item.array is not None or item.part_of is not None for item in items):
        return None
    size = inner[0].dim.constant
    return inner[0] if size is None or 1 < size < TILE else None


def flat(items: Sequence[Item], axis: Axis) -> set[Item]:
    """The functions that one loop computes for several rows: they and their operands are used nowhere else."""
    inside = set(items)
    if not any(item.flat for item in items) or row_of(items, axis) is None:
        return set()
    return {item for item in items if item.flat and len(item.deps) == 1 and all(
        one in inside and inside.issuperset(one.users) for one in (item, *item.deps))}


def strips(items: Sequence[Item], axis: Axis, opened: Axes, flat: Collection[Item] = ()) -> list[list[Item]]:
    """The items of a loop in the order of the loops over a strip: by turns inner loops, and functions of single points.

    Functions of all points of rows are between them. What is neither stands where it can first be computed, or beside
    its first use if it needs nothing computed before.
    """
    inside = opened | {axis}
    stage: dict[Item, int] = {}
    free: set[Item] = set()
    for item in items:
        earliest = max((stage[d] for d in item.deps if d in stage), default=0)
        if item in flat:
            stage[item] = earliest + (1 - earliest) % 3
        elif _depth(item, inside) or (flat and item.domain - inside):
            stage[item] = earliest + -earliest % 3
        elif item.domain == inside and has_function(item):
            stage[item] = earliest + (2 - earliest) % 3
        else:
            stage[item] = earliest
            if not any(d in stage for d in item.deps):
                free.add(item)
    for item in reversed(items):
        if item in free and item.users and all(user in stage for user in item.users):
            stage[item] = min(stage[user] for user in item.users)
    found: dict[int, list[Item]] = {}
    for item in items:
        found.setdefault(stage[item], []).append(item)
    return [found[k] for k in sorted(found)]


def _can_be_copied(operand: Node, function: Node) -> bool:
    """Whether a function's operand can be a statement of its own, at the points at which the function is."""
    return operand.axes == function.axes and operand.dtype == function.dtype and not operand.is_reduction and \
        operand.op != "scan" and operand.dtype in ("float64", "float32")


def has_function(item: Item) -> bool:
    """Whether a statement calls an elementary or special function, which takes as long as many instructions."""
    return any(is_function(node.op) for node in (item.node, *item.inline))


def _is_cut(items: Sequence[Item], axis: Axis) -> bool:
    """Whether a loop over these items may be cut, and is long enough."""
    size = axis.dim.constant
    if size is not None and size < 4 * TILE:
        return False
    for item in items:
        whole = item.reduces if item.node.op in ("argmax", "argmin") else NO_AXES
        if item.kind in ("scan", "call", "dot", "check") or axis in whole or any(axis in g.axes for g in item.guards):
            return False
    return True


def _depth(item: Item, opened: Axes) -> int:
    """How many loops of unknown or great length a statement lies in, beside those that are open."""
    return sum(a.dim.constant is None or a.dim.constant >= SHORT for a in item.domain - opened)
