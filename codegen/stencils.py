"""The adjoint of a stencil on rows: an array gathers from the last few rows of terms instead of being added to.

Where a loop reads u[i, j] and u[i + 2, j], its adjoint adds to two rows of d_u, and each row of d_u is filled with
zeros, then read and written once for each shift. Instead the terms of a row are written into a ring of rows, as many
as the shifts reach over, with zeros beyond their ends. When a row of d_u has all its terms it is written once, as the
sum of shifted rows of the ring. A shift costs a load from the nearest cache then, not a load and a store, and nothing
is computed twice. It pays where more than one row is added to, until the terms are so many that their rows leave that
cache: a product of nine neighbours, all terms different, was slower at a thousand elements a row. The rows of all terms
are one piece of memory: with two, loops were slower by half, as LLVM checks more often whether they overlap. Rows are
planes where an array has three axes.
Here such scatters are found and worded; in chunks that run in threads they stay scatters (see `threads`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Node, affine

from .expression import dimension
from .items import Item, starts_as
from .loop_bounds import bound_of

if TYPE_CHECKING:
    from .program import Loop, Program

MOST = 32                                       # shifts: the sum of a row is one expression
MOST_ROWS = 16                                  # of the ring: with more, those of a thousand elements leave the cache
Term = tuple[Node, tuple[Node, ...]]            # a value, and the conditions without which it is zero


@dataclass(eq=False)
class Stencil:
    """Scatters into one array at literal shifts of a loop nest's axes, with the words that they become.

    loop     the loop over rows
    axes     of the nest, in the order of the array's dimensions
    shifts   of each scatter, along each axis
    terms    of each scatter, those that are alike once
    alone    whether nothing else writes the array: then all of it is written here
    ring     the name of the rows
    row      the names of the ring's rows by term and by how many iterations ago they were filled
    """

    loop: Loop
    node: Node
    axes: tuple[Axis, ...]
    shifts: dict[Item, tuple[int, ...]]
    terms: dict[Item, Term]
    alone: bool
    ring: str = ""
    row: dict[tuple[Term, int], str] = field(default_factory=dict)

    @property
    def low(self) -> int:
        """The row that is complete after an iteration, from that iteration on."""
        return min(shift[0] for shift in self.shifts.values())

    @property
    def reach(self) -> tuple[int, ...]:
        """The largest shift along each axis: where the terms of a row begin in the ring."""
        return tuple(max(0, *along) for along in zip(*self.shifts.values(), strict=True))

    @property
    def repeated(self) -> set[Item]:
        """The scatters whose term another one has kept before."""
        first: dict[Term, Item] = {}
        return {item for item, term in self.terms.items() if first.setdefault(term, item) is not item}

    def shape(self) -> list[Dim]:
        """The shape of the ring: rows of all terms, each with room for the shifts."""
        back = [min(0, *along) for along in zip(*self.shifts.values(), strict=True)]
        wide = [dim + (reach - less) for dim, reach, less in zip(
            self.node.shape[1:], self.reach[1:], back[1:], strict=True)]
        return [Dim.of(sum(depths(self.shifts, self.terms).values())), *wide]

    def name_rows(self, fresh: Callable[[str], str], array: str) -> None:
        """Names for the ring and its rows."""
        self.ring = fresh(f"{array}_rows")
        for term, depth in depths(self.shifts, self.terms).items():
            for ago in range(depth):
                if not ago or any(self.terms[item] == term and shift[0] - self.low == ago
                                  for item, shift in self.shifts.items()):
                    self.row[term, ago] = fresh(f"{array}_row")

    def zeroed(self, array: str) -> list[str]:
        """The statement that clears the rows that no term goes to, before the others."""
        return [f"{array}[:{self.low}] = 0.0"] if self.low > 0 else []

    def statement(self, item: Item, added: str, names: Mapping[Axis, str]) -> str:
        """The statement that keeps a scatter's value."""
        index = [_plus(names[axis], reach) for axis, reach in zip(self.axes[1:], self.reach[1:], strict=True)]
        return f"{self.row[self.terms[item], 0]}[{', '.join(index)}] = {added}"

    def rows(self, names: Mapping[Axis, str], *, inside: bool = True) -> list[str]:
        """The statements that say which rows of the ring an iteration has to do with, `inside` the loop or after it."""
        lines, first, at = [], 0, names[self.axes[0]]
        for term, depth in depths(self.shifts, self.terms).items():
            for ago in range(depth):
                if (term, ago) in self.row:
                    place = f"({at} + {depth - ago}) % {depth}" if ago else f"{at} % {depth}"
                    place = str(first) if depth == 1 else f"{first} + {place}" if first else place
                    lines.append(f"{self.row[term, ago]} = {self.ring}[{place}]")
            if term[1] or not inside:                           # zero where the conditions fail
                lines.append(f"{self.row[term, 0]}[:] = 0.0")
            first += depth
        return lines

    def finished(self, array: str, names: Mapping[Axis, str], dims: Mapping[str, str]) -> list[str]:
        """The loops that write the row that has all its terms after an iteration."""
        lines = [f"{'    ' * depth}for {names[axis]} in range({dimension(dim, dims)[0]}):"
                 for depth, (axis, dim) in enumerate(zip(self.axes[1:], self.node.shape[1:], strict=True))]
        terms = []
        for item, shift in self.shifts.items():
            index = [_plus(names[axis], reach - one) for axis, reach, one in zip(
                self.axes[1:], self.reach[1:], shift[1:], strict=True)]
            terms.append(f"{self.row[self.terms[item], shift[0] - self.low]}[{', '.join(index)}]")
        target = [_plus(names[self.axes[0]], self.low), *(names[axis] for axis in self.axes[1:])]
        lines.append(f"{'    ' * len(lines)}{array}[{', '.join(target)}] {'=' if self.alone else '+='} "
                     f"{' + '.join(terms)}")
        at, room = names[self.axes[0]], (self.node.shape[0] - self.axes[0].dim).constant
        inside = f"{at} >= {-self.low}" if self.low < 0 else ""
        if room is None or self.low > room:                     # conditions keep the last terms from the array
            inside = f"{at} < {dimension(self.node.shape[0] - self.low, dims)[0]}"
        return [f"if {inside}:", *(f"    {line}" for line in lines)] if inside else lines

    def rest(self, array: str, names: Mapping[Axis, str], dims: Mapping[str, str]) -> list[str]:
        """The loop after the loop over rows: no terms come any more, and the last rows are written."""
        size, whole = self.axes[0].dim, self.node.shape[0]
        begin = dimension(size, dims)[0] if size.constant is not None else f"max({dimension(size, dims)[0]}, 0)"
        lines = [*self.rows(names, inside=False), *self.finished(array, names, dims)]
        end = dimension(whole - self.low, dims)[0]
        return [f"for {names[self.axes[0]]} in range({begin}, {end}):  # rows after the last terms",
                *(f"    {line}" for line in lines)]


def _plus(name: str, shift: int) -> str:
    return f"{name} + {shift}" if shift > 0 else f"{name} - {-shift}" if shift else name


def depths(shifts: Mapping[Item, tuple[int, ...]], terms: Mapping[Item, Term]) -> dict[Term, int]:
    """How many rows are kept of each term: as many as lie between it and the row that is complete first."""
    low = min(shift[0] for shift in shifts.values())
    found: dict[Term, int] = {}
    for item, shift in shifts.items():
        found[terms[item]] = max(found.get(terms[item], 0), shift[0] - low + 1)
    return found


def stencils(program: Program, least: int) -> list[Stencil]:
    """The stencils of a program, in loops of at least that literal size or of an unknown one."""
    found: list[Stencil] = []
    written: dict[Node, int] = {}
    filled = {item.contraction.array for item in program.homes if item.contraction is not None}
    groups: dict[tuple[int, Node], list[Item]] = {}
    for item, home in program.homes.items():
        if item.kind in ("scatter", "store"):
            written[item.node] = written.get(item.node, 0) + 1
        if item.kind == "scatter" and home.path:
            groups.setdefault((id(home.path[0]), item.node), []).append(item)
    for (_, node), items in groups.items():
        made = _stencil(program, items, least) if starts_as(node) is None and not _is_once(node) else None
        if made is not None:
            made.alone = written[node] == len(items) and node not in filled
            found.append(made)
    return found


def _is_once(node: Node) -> bool:
    """Whether nothing is added up in an array: each element is written once."""
    return node.op == "scatter_add" and bool(node.attr.once)


def _stencil(program: Program, items: Sequence[Item], least: int) -> Stencil | None:
    """The stencil that some scatters of one loop nest into one array are; None if they are none."""
    path, made = program.homes[items[0]].path, shifts(items, least)
    if made is None or any(one.reverse or one.carried or one.tile is not None or one.tiled is not None for one in path):
        return None
    axes, found, terms = made
    for item in items:
        if program.homes[item].path != path or any(program.homes[user].path[:1] == path[:1] for user in item.users):
            return None
    if axes != tuple(one.axis for one in path):
        return None
    return Stencil(path[0], items[0].node, axes, found, terms, alone=False)


def shifts(items: Sequence[Item], least: int) -> tuple[
        tuple[Axis, ...], dict[Item, tuple[int, ...]], dict[Item, Term]] | None:
    """Scatters into one array whose indices are axes with literal shifts, to a few rows: the axes, shifts and terms."""
    node = items[0].node
    axes: tuple[Axis, ...] = ()
    found: dict[Item, tuple[int, ...]] = {}
    for item in items:
        at = [affine(index) if index.dtype == "int64" else ({}, Dim.of(0))
              for index in item.roots[1:1 + len(node.shape)]]
        own = tuple(atom.attr for factors, _ in at for atom, factor in factors.items()
                    if atom.op == "axis" and factor == 1 and len(factors) == 1)
        axes = axes or own
        if len(own) < len(node.shape) or own != axes or item.domain != frozenset(axes):
            return None
        shift = tuple(offset.constant for _, offset in at if offset.constant is not None)
        if len(shift) < len(axes) or not all(_is_inside(item, *one) for one in zip(
                axes, node.shape, shift, strict=True)):
            return None
        found[item] = shift
    for axis, dim, along in zip(axes, node.shape, zip(*found.values(), strict=True), strict=True):
        room, size = (dim - axis.dim).constant, axis.dim.constant
        if room is None or room < min(0, *along) or (size is not None and size < least):
            return None
    if len(axes) < 2 or not 1 < len(items) <= MOST or len({shift[0] for shift in found.values()}) == 1:
        return None
    if set(items[0].guards).intersection(*(item.guards for item in items)):
        return None                                             # the bounds of a loop
    terms = {item: (item.body, _conditions(item, axes, found[item])) for item in items}
    return (axes, found, terms) if sum(depths(found, terms).values()) <= MOST_ROWS else None


def _is_inside(item: Item, axis: Axis, dim: Dim, shift: int) -> bool:
    """Whether an index stays in its dimension, by its axis or by conditions that say so."""
    ends = {end for end, slack in (_end(guard, axis, dim, shift) for guard in item.guards) if slack >= 0}
    room = (dim - axis.dim).constant
    return room is not None and (shift >= 0 or "low" in ends) and (shift <= room or "high" in ends)


def _end(guard: Node, axis: Axis, dim: Dim, shift: int) -> tuple[str, int]:
    """The end of its dimension, "low" or "high", from which a condition keeps an index that far; else "" and -1."""
    bound = bound_of(guard, axis)
    factors, offset = affine(bound[1]) if bound is not None else ({}, Dim.of(0))
    if bound is None or factors:
        return "", -1
    slack = (offset + shift if bound[0] == "low" else dim - shift - offset).constant
    return ("", -1) if slack is None else (bound[0], slack)


def _conditions(item: Item, axes: Sequence[Axis], shift: Sequence[int]) -> tuple[Node, ...]:
    """The conditions of a scatter's value but for those that only keep it in the array, where no row is gathered.

    Only a value that is computed at every point is kept at every point.
    """
    if not any(dep.node is item.body and not dep.guards for dep in item.deps):
        return item.guards
    return tuple(guard for guard in item.guards if all(_end(guard, axis, dim, one)[1] for axis, dim, one in zip(
        axes, item.node.shape, shift, strict=True)))
