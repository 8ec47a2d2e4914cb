"""Sums into neighbouring elements of an array, carried from one iteration to the next: the adjoint of a stencil.

Where a loop reads x[i] and x[i + 1], its adjoint adds to d_x[i] and to d_x[i + 1]. Written so, each iteration waits for
memory that the one before it wrote, and nothing is vectorised. What goes to d_x[i + 1] is kept in a local instead and
added by the next iteration, which writes that element anyway; LLVM shifts vectors for it. Nothing is computed twice.
Here such scatters are found, put in order and worded; the loops are `lower`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Node, affine
from gradc.ir.table import MULTIPLY, UNARY

from .expression import Text, bracket, dimension, extent
from .items import Item

if TYPE_CHECKING:
    from .program import Loop, Program

MOST = 4                                        # elements: each but the first costs a register and a shift


@dataclass(eq=False)
class Chain:
    """Scatters into one array that lie in one loop, each one element further than the one before.

    start  the offset of the first element from the loop's axis
    alone  whether nothing else writes the array, a vector: its first scatter then gives elements their first value
    names  the locals that carry, one for each scatter but the first

    Of a last scatter that is the negative of a value that value is carried, and taken away by the next iteration: LLVM
    would leave the loop scalar where it has to carry what it negates.
    """

    loop: Loop
    items: tuple[Item, ...]
    start: Dim
    alone: bool
    names: tuple[str, ...] = ()

    @property
    def is_negative(self) -> bool:
        """Whether what the last scatter adds is the negative of what is carried."""
        return self.items[-1].body.op == "neg"

    def _sign(self, name: str) -> str:
        return "-" if self.is_negative and name == self.names[-1] else "+"

    def zeroed(self, array: str, names: Mapping[str, str]) -> list[str]:
        """The statements that set to zero what the first scatter does not write."""
        node, size = self.items[0].node, self.loop.axis.dim
        whole, graph = node.shape[0], node.graph
        start = dimension(self.start, names)[0]
        lines = [] if self.start == Dim.of(0) else [f"{array}[:{start}] = 0.0"]
        if size.constant is not None:
            return [*lines, f"{array}[{dimension(size + self.start, names)[0]}:] = 0.0"]
        if whole - size - self.start == Dim.of(1):
            return [*lines, f"if {dimension(whole, names)[0]} > {start}:",
                    f"    {array}[{dimension(whole - 1, names)[0]}] = 0.0"]
        more = "" if self.start == Dim.of(0) else f" + {start}"
        return [*lines, f"{array}[{extent(size, names, graph)}{more}:] = 0.0"]

    def statement(self, item: Item, target: str, added: Text) -> str:
        """The statement of one of the scatters, whose value is `added`."""
        place, last = self.items.index(item), len(self.items) - 1
        if place < last:
            turned = self.is_negative and place == last - 1
            total = f"{added[0]} - {self.names[place]}" if turned else _plus(self.names[place], added)
        else:
            total = _negative(added) if self.is_negative else added[0]
        if place:
            return f"{self.names[place - 1]} = {total}"
        return f"{target} {'=' if self.alone else '+='} {total}"

    def rest(self, array: str, outer: Sequence[str], names: Mapping[str, str], start: str = "", stop: str = "") -> str:
        """The statements that add what is left after the loop; `outer` are the indices before the last.

        `start` and `stop` are the ends of a chunk of the loop, if that is what it runs over.
        """
        size = self.loop.axis.dim
        lines = []
        if stop:
            for k, name in enumerate(self.names, 1):
                more = dimension(self.start + (k - 1), names)[0]
                place = stop if more == "0" else f"{stop} + {more}".replace("+ -", "- ")
                lines.append(f"    {array}[{', '.join([*outer, place])}] {self._sign(name)}= {name}")
            return "\n".join([f"if {stop} > {start}:", *lines])
        for k, name in enumerate(self.names, 1):
            place = dimension(size + self.start + (k - 1), names)[0]
            lines.append(f"{array}[{', '.join([*outer, place])}] {self._sign(name)}= {name}")
        if size.constant is not None:
            return "\n".join(lines)
        return "\n".join([f"if {dimension(size, names)[0]} > 0:", *(f"    {line}" for line in lines)])


def _plus(carried: str, added: Text) -> str:
    text, binds = added
    if text.startswith("-") and binds in (MULTIPLY, UNARY):
        return f"{carried} - {text[1:]}"
    return f"{carried} + {bracket(added, MULTIPLY)}"


def _negative(added: Text) -> str:
    text, binds = added
    return text[1:] if text.startswith("-") and binds in (MULTIPLY, UNARY) else f"-{bracket(added, UNARY)}"


def rows(items: Sequence[Item]) -> list[list[Item]]:
    """Scatters into one array, those together that differ at most in the last index."""
    found: dict[tuple[Node, ...], list[Item]] = {}
    for item in items:
        found.setdefault(item.roots[1:len(item.node.shape)], []).append(item)
    return list(found.values())


def neighbours(items: Sequence[Item], axis: Axis) -> tuple[tuple[Item, ...], Dim] | None:
    """Scatters into one array in the order of the neighbouring elements that they go to, and the first's offset."""
    if not 1 < len(items) <= MOST:
        return None
    rank = len(items[0].node.shape)
    first: Dim | None = None
    at: dict[int, Item] = {}
    for item in items:
        *outer, last = item.roots[1:1 + rank]
        if outer != list(items[0].roots[1:rank]) or any(axis in index.axes for index in outer):
            return None
        factors, offset = affine(last)
        if [(atom.op, atom.attr, factor) for atom, factor in factors.items()] != [("axis", axis, 1)]:
            return None
        first = offset if first is None else first
        distance = (offset - first).constant
        if distance is None or distance in at:
            return None
        at[distance] = item
    low, high = min(at), max(at)
    if first is None or high - low != len(at) - 1:
        return None
    return tuple(at[k] for k in sorted(at)), first + low


def chains(program: Program, least: int) -> list[Chain]:
    """The chains of a program, in loops of at least that literal size or of an unknown one; put in their order."""
    found: list[Chain] = []
    written: dict[Node, int] = {}
    gathered = {item for stencil in program.stencils for item in stencil.shifts}
    stack: list[tuple[Loop | Item, bool]] = [(entry, True) for entry in program.body]
    for item in program.homes:
        if item.kind in ("scatter", "store"):
            written[item.node] = written.get(item.node, 0) + 1
    while stack:
        loop, outermost = stack.pop()
        if isinstance(loop, Item):
            continue
        stack += [(entry, False) for entry in loop.body]
        size = loop.axis.dim.constant
        if loop.reverse or loop.tile is not None or loop.tiled is not None or (size is not None and size < least):
            continue
        groups: dict[Node, list[Item]] = {}
        for entry in loop.body:
            if (isinstance(entry, Item) and entry.kind == "scatter" and not entry.guards and not entry.users
                    and entry not in gathered and not entry.node.attr.once):
                groups.setdefault(entry.node, []).append(entry)
        for node, members in ((node, row) for node, group in groups.items() for row in rows(group)):
            ordered = neighbours(members, loop.axis)
            if ordered is None:
                continue
            items, start = ordered
            alone = (outermost and written[node] == len(items) and len(node.shape) == 1
                     and (start.constant or 0) >= 0 and start.constant is not None)
            found.append(Chain(loop, items, start, alone))
            last = max(loop.body.index(item) for item in items)
            kept = [entry for entry in loop.body[:last + 1] if entry not in items]
            loop.body[:last + 1] = [*kept, *items]
    return found
