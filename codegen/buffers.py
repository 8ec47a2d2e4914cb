"""Which buffers of a loop program are the same memory: one whose last use has passed serves another value.

A buffer lives in one body, that of its home, from the entry of the body that fills it to the last entry that reads
it. Two of the same shape that do not live at the same time share their memory; so do two that meet in one loop, if
there each point of the one is read for the last time before the same point of the other is written: a layer's
activation takes the place of its product. Where values live is `lower`'s, how it reads is `python`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradc.ir.dims import Axis
from gradc.ir.graph import Node

from .items import Item
from .program import Loop, Program, items_of
from .uses import covers, in_return, stored_at_once

BEFORE = -1             # the entry that fills an array with zeros


@dataclass(frozen=True)
class Buffer:
    """A value in memory: a node, the items that write and read it, and the first and last entry of its body.

    kind    what buffers must have in common: dtype, body, shape
    axes    of its elements, in order; () for an array that is read at other places too
    point   the definition that writes it point by point
    filled  the place of the first statement that writes it
    """

    node: Node
    readers: tuple[Item, ...]
    kind: tuple[object, ...]
    axes: tuple[Axis, ...]
    point: Item | None
    filled: int
    first: int
    last: int


def shared(program: Program) -> dict[Node, Node]:
    """For a value or an array that takes another's memory: the first one that lived there."""
    order = {item: k for k, item in enumerate(items_of(*program.body))}
    alike: dict[tuple[object, ...], list[Buffer]] = {}
    for buffer in (*_values(program, order), *_arrays(program, order)):
        alike.setdefault(buffer.kind, []).append(buffer)
    found: dict[Node, Node] = {}
    for buffers in alike.values():
        held: dict[Node, Buffer] = {}                           # by each owner, what lives there now
        for buffer in sorted(buffers, key=lambda one: one.filled) if len(buffers) > 1 else ():
            free = [owner for owner, before in held.items()
                    if before.last < buffer.first or _in_place(program, before, buffer, order)]
            owner = max(free, key=lambda one: held[one].filled, default=buffer.node)    # the product it comes from
            held[owner] = buffer
            if free:
                found[buffer.node] = owner
    return found


def _values(program: Program, order: Mapping[Item, int]) -> list[Buffer]:
    """The buffers of values that no array of the graph holds."""
    found = []
    entries: dict[tuple[Loop, ...], dict[Item, int]] = {}
    for item, home in program.homes.items():
        held = item.contraction is not None and item.contraction.array is not None
        if home.storage and not held and item.kind != "pack" and stored_at_once(program, item) is None:
            if home.home not in entries:
                body = home.home[-1].body if home.home else program.body
                entries[home.home] = {one: k for k, top in enumerate(body) for one in items_of(top)}
            entry = entries[home.home]
            tiled = frozenset(loop.tiled for loop in home.home)
            kind = (item.node.dtype, tuple(map(id, home.home)),
                    tuple(None if axis in tiled else axis.dim for axis in home.storage))
            point = item if item.kind == "def" else None
            found.append(Buffer(item.node, tuple(item.users), kind, home.storage, point, order[item], entry[item],
                                max(entry[user] for user in item.users)))
    return found


def _arrays(program: Program, order: Mapping[Item, int]) -> list[Buffer]:
    """The arrays of the graph that no routine or product fills, and that neither are results nor are read for one."""
    products = (item.contraction.array for item in program.homes if item.contraction is not None)
    outside = {node for _, node in program.graph.outputs} | in_return(program)
    outside |= {node for node in products if node is not None}
    writers: dict[Node, list[Item]] = {}
    for item in program.homes:
        if item.kind in ("store", "scatter") and item.node not in outside:
            writers.setdefault(item.node, []).append(item)
    entry = {item: k for k, top in enumerate(program.body) for item in items_of(top)}
    values = {store.node: item for item in program.homes if (store := stored_at_once(program, item)) is not None}
    found = []
    for node, own in writers.items():
        value = values.get(node)
        readers = dict.fromkeys(user for item in own for user in item.users if user not in own)
        readers |= dict.fromkeys(user for user in (value.users if value is not None else ()) if user not in own)
        if not readers or any(user.kind == "call" for user in readers):
            continue
        places = {read.args[1:1 + read.attr] for user in readers for read in user.inline
                  if read.op == "read" and read.args[0] is node}
        if value is not None:
            places.add(tuple(node.graph.axis(axis) for axis in value.layout))   # () for a part of the array
        place = places.pop() if len(places) == 1 else ()
        points = tuple(index.attr for index in place) if all(index.op == "axis" for index in place) else ()
        zeroed = not covers(program, node)
        filled, first = (BEFORE, BEFORE) if zeroed else min(
            (order[item], entry[item]) for item in (*own, *([value] if value is not None else ())))
        found.append(Buffer(node, tuple(readers), (node.dtype, (), node.shape), points, value, filled, first,
                            max(entry[user] for user in readers)))
    return found


def _in_place(program: Program, before: Buffer, after: Buffer, order: Mapping[Item, int]) -> bool:
    """Whether a definition may overwrite, point by point, what is read at these points for the last time before.

    The loops that a reader shares with the definition run over axes of both buffers, so no later iteration reads
    what an earlier one has overwritten.
    """
    if after.point is None or not before.axes or before.axes != program.homes[after.point].storage:
        return False
    return all(order[user] <= order[after.point] for user in before.readers)
