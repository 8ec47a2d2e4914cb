"""The data of a loop program: its loops, the homes of its values, and what it is printed from.

What decides them is `lower`; who prints, counts or shares memory reads them here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Graph, Node

from .carries import Chain
from .items import Item
from .stencils import Stencil


@dataclass(eq=False)
class Loop:
    """A loop over one axis.

    carried   an iteration needs the one before it (a scan)
    tiled     for a loop over tiles or strips, the axis that they cut: such a loop has an axis of its own, of no value
    tile      for a loop inside a tile or a strip, the loop over these
    stripped  for a loop over strips, whose points do not run innermost
    rows      for a loop over strips of rows, the axis of these
    flat      for a loop over the rows of a strip, whether it and the one inside are one loop over all points
    """

    axis: Axis
    body: list[Loop | Item]
    reverse: bool = False
    carried: bool = False
    tiled: Axis | None = None
    tile: Loop | None = None
    stripped: bool = False
    rows: Axis | None = None
    flat: bool = False


Path = tuple[Loop, ...]
TILES = Axis(Dim.of("tiles"), 0)                                # of the loops over tiles; no value has it


@dataclass(eq=False)
class Home:
    """Where a value lives.

    path      loops around its statement
    local     loops around its accumulator: the path up to the first axis that it reduces
    home      loops around everything that uses it
    storage   axes of its buffer, in the order of its path; () for a local variable
    reducing  whether the value is complete only after its loops
    """

    path: Path
    local: Path
    home: Path
    storage: tuple[Axis, ...] = ()
    reducing: bool = False

    @property
    def in_tile(self) -> bool:
        """Whether the buffer holds no more than the points of a tile: cheaper to read than to compute again."""
        return set(self.storage) <= {loop.tiled for loop in self.home}

    @property
    def rows(self) -> Loop | None:
        """The loop over strips in which the buffer holds the points of all rows, one row after the other."""
        last = self.home[-1] if self.home else None
        return last if last is not None and last.rows in self.storage and len(self.storage) > 1 else None

    @property
    def in_array(self) -> bool:
        """Whether an accumulation goes straight into the buffer (its own axes are opened inside)."""
        return self.reducing and any(axis not in {loop.axis for loop in self.local} for axis in self.storage)


@dataclass
class Program:
    """The loop program of a graph, ready to be printed."""

    graph: Graph
    body: list[Loop | Item]
    homes: dict[Item, Home] = field(default_factory=dict)
    recomputed: set[Node] = field(default_factory=set)
    chains: list[Chain] = field(default_factory=list)
    stencils: list[Stencil] = field(default_factory=list)

    @property
    def is_tiled(self) -> bool:
        """Whether some loop is cut into tiles."""
        return any(isinstance(entry, Loop) and entry.tiled is not None and not entry.stripped for entry in self.body)


def items_of(*entries: Loop | Item) -> list[Item]:
    """The items of a body in the order in which they are printed."""
    found: list[Item] = []
    stack: list[Loop | Item] = list(reversed(entries))
    while stack:
        entry = stack.pop()
        if isinstance(entry, Loop):
            stack += reversed(entry.body)
        else:
            found.append(entry)
    return found
