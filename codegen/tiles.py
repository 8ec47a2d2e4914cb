"""Which loops are worked through in pieces of `TILE` points, and what runs over a piece at a time.

A *tile* is for deep nests of short loops: its points run innermost, along vector instructions, and what they need from
memory is copied once in that order. A *strip* is for a loop that has both loops of its own and elementary functions of
single points, as in a sum over j before the logarithm of each i: nothing is vectorised around an inner loop, so a piece
runs through the sums first and then, in a loop of its own, through the functions. Here that is decided from items;
`lower` makes the loops. Source: M. Wolfe, "More iteration space tiling" (1989), on strip-mining and loop distribution.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradc.ir.dims import Axis
from gradc.ir.graph import NO_AXES, Axes
from gradc.ir.table import is_function

from .items import Item

SHORT = 9               # a literal dimension below this is unrolled by LLVM
DEEP = 3                # axes of a statement beyond which its outermost loop is cut into tiles
TILE = 64               # points: a few vectors of the widest kind, and buffers that stay in the nearest cache



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


def strips(items: Sequence[Item], axis: Axis, opened: Axes) -> list[list[Item]]:
    """The items of a loop in the order of the loops over a strip: by turns inner loops, and functions of single points.

    What is neither stands where it can first be computed, or beside its first use if it needs nothing computed before.
    """
    inside = opened | {axis}
    stage: dict[Item, int] = {}
    free: set[Item] = set()
    for item in items:
        earliest = max((stage[d] for d in item.deps if d in stage), default=0)
        if _depth(item, inside):
            stage[item] = earliest + earliest % 2
        elif item.domain == inside and has_function(item):
            stage[item] = earliest + 1 - earliest % 2
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
