"""Loops in threads: which loops of a program can run in parts, and what the parts must keep apart.

A loop at the top of a function is cut into chunks of its iterations if no iteration needs another. What an iteration
uses alone, a local or a buffer, each chunk has for itself. What iterations write at places of their own they share.
What they add up, sums and the largest, every chunk begins anew, and the chunks' results are put together in their
order; so are arrays to which an iteration adds at computed places. Where an iteration adds to a neighbour's element, as
the adjoint of a stencil does, every other chunk runs first and then those between them. A loop for which none of this
holds runs as it is: there is no case that is left to luck. The number of chunks depends on the sizes alone, so the
number of threads changes no bit; a loop that has less work than two chunks are worth is one chunk.

Here that is decided; `parallel` words it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import prod

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Node, StorePart, affine, apart
from gradc.ir.table import is_function

from .counts import ONE, operations_of
from .items import Item
from .program import Loop, Program, items_of
from .uses import covers, stored_at_once, trailing_loop

MOST = 64               # chunks: enough for many threads, and for loops whose iterations differ
LEAST_WORK = 2**18      # operations of a chunk: `python -m tests.benchmarks.threads` measures what threads cost: two
                        # threads of OpenMP pay from half of this up, those of Numba's workqueue from twice this up
FUNCTION = 10           # operations that an elementary function counts as
PER_COPIED = 8          # operations for each element that is copied, or there are fewer chunks
MOST_COPIED = 2**22     # elements of all copies together
COMBINED = ("sum", "prod", "max", "min")


@dataclass(eq=False)
class Parallel:
    """A loop that runs in chunks.

    sums     accumulations in a local that every chunk begins anew
    copied   statements that accumulate into an array that every chunk has for itself, one an array
    private  statements whose buffer lives in one iteration
    states   scans, and searches for the place of the largest: what they keep meanwhile lives in one iteration
    halo     how many iterations further an iteration adds to elements, which chunks share: 0 for none
    work     operations of all iterations, in the leading powers of the sizes
    """

    loop: Loop
    sums: list[Item]
    copied: dict[Node, Item]
    private: list[Item]
    states: list[Item]
    halo: int
    work: Dim

    @property
    def axis(self) -> Axis:
        """The axis that is cut into chunks."""
        return self.loop.tiled or self.loop.axis

    @property
    def elements(self) -> Dim:
        """The elements of one chunk's copies."""
        return sum((prod(_shape(node), start=ONE) for node in self.copied), start=Dim.of(0))

    def bounds(self) -> Iterator[tuple[Dim, Dim]]:
        """What the number of chunks may not exceed, each as a dividend and a divisor."""
        size = self.axis.dim
        yield self.work, Dim.of(LEAST_WORK)
        yield size, Dim.of(max(self.halo, 1))
        if self.copied:
            yield self.work, PER_COPIED * self.elements
            yield Dim.of(MOST_COPIED), self.elements


def _shape(node: Node) -> list[Dim]:
    return list(node.shape) if node.is_array else [axis.dim for axis in node.axes]


def parallel_loops(program: Program) -> dict[int, Parallel]:
    """The loops of a program that run in chunks, by their identity."""
    found = {}
    for entry in program.body:
        if isinstance(entry, Loop):
            made = _parallel(entry, program)
            if made is not None and not _is_too_small(made):
                found[id(entry)] = made
    return found


def _is_too_small(made: Parallel) -> bool:
    """Whether the sizes are known and give one chunk."""
    bounds = [(dividend.constant, divisor.constant) for dividend, divisor in made.bounds()]
    return any(a is not None and b is not None and a // max(b, 1) < 2 for a, b in bounds)


def _parallel(loop: Loop, program: Program) -> Parallel | None:
    """How a loop runs in chunks; None where iterations need each other, or may stop the call."""
    items = items_of(loop)
    if loop.carried or loop.reverse or any(item.kind in ("check", "call") for item in items):
        return None
    made = Parallel(loop, [], {}, [], [], 0, _leading(_work(items, program)))
    inside = set(items)
    arrays: dict[Node, list[Item]] = {}
    for item in items:
        if item.kind in ("store", "scatter"):
            arrays.setdefault(item.node, []).append(item)
        elif not _add_value(made, item, program):
            return None
    for node, parts in arrays.items():
        if not _add_array(made, node, parts, inside, program):
            return None
    return made


def _add_value(made: Parallel, item: Item, program: Program) -> bool:
    """Find the place of a value; False if it has none that chunks can keep apart."""
    home, loop = program.homes[item], made.loop
    if item.kind == "acc" and made.axis in item.reduces:
        if not home.in_array:
            made.sums.append(item)
        elif item.node.op in COMBINED and home.storage:
            made.copied[item.node] = item
        else:
            return False
        return True
    inside = loop in home.home and (loop.tiled is not None or made.axis not in home.storage)
    if item.kind == "scan" or (item.kind == "acc" and inside):
        made.states.append(item)
    if not home.storage or stored_at_once(program, item) is not None:
        return True
    if inside:
        made.private.append(item)
    return inside or made.axis in home.storage


def _add_array(made: Parallel, node: Node, parts: list[Item], inside: set[Item], program: Program) -> bool:
    """Find out how chunks share an array that is written; False if they cannot."""
    if parts[0].kind == "store":
        return _are_apart([item.part for item in parts if item.part is not None], made.axis)
    if covers(program, node):
        return True
    local = [item for item in parts if _trailing(item, program) is made.loop]
    if any(item.guards for item in local):
        return False
    made.sums += local
    parts = [item for item in parts if item not in local]
    if not parts:
        return True
    halo = min((_halo(index, made.axis) for index in zip(
        *(item.roots[1:1 + len(node.shape)] for item in parts), strict=True)), default=None, key=_order)
    if halo == 0:
        return True
    if any(user in inside for item in parts for user in item.users) or not node.shape:
        return False
    if halo is not None:
        made.halo = max(made.halo, halo)
    else:
        made.copied[node] = parts[0]
    return True


def _trailing(item: Item, program: Program) -> Loop | None:
    """The loop around which a scatter is added up in a local."""
    indices = item.roots[1:1 + len(item.node.shape)]
    return trailing_loop(program.homes[item].path, (axis for index in indices for axis in index.axes))


def _are_apart(parts: list[StorePart], axis: Axis) -> bool:
    """Whether parts of an array that are written along an axis never meet in different iterations."""
    if not all(axis in part.axes for part in parts):
        return False
    places = {(part.axes.index(axis), part.offsets[part.axes.index(axis)]) for part in parts}
    return len(places) == 1 or all(apart(one, other) for one, other in combinations(parts, 2))


def _order(halo: int | None) -> float:
    return float("inf") if halo is None else halo


def _halo(indices: Iterable[Node], axis: Axis) -> int | None:
    """How many iterations apart two of these indices can be equal; None if they are not affine in the axis alone."""
    found: list[tuple[int, Dim]] = []
    for index in indices:
        if index.dtype != "int64":
            return None
        factors, offset = affine(index)
        if [(atom.op, atom.attr) for atom in factors] != [("axis", axis)]:
            return None
        found.append((next(iter(factors.values())), offset))
    distances = [(offset - found[0][1]).constant for _, offset in found]
    factor = abs(found[0][0])
    if len({factor for factor, _ in found}) > 1 or any(distance is None for distance in distances):
        return None
    known = [distance for distance in distances if distance is not None]
    return -(-(max(known) - min(known)) // factor)


def _work(items: Iterable[Item], program: Program) -> Dim:
    """The operations of some statements, and one for each time that one runs."""
    inside = list(items)
    total = Dim.of(0)
    for name, count in operations_of(inside, program).items():
        total = total + count * (FUNCTION if is_function(name) else 1)
    for item in inside:
        total = total + prod((loop.axis.dim for loop in program.homes[item].path if loop.tiled is None), start=ONE)
    return total


def _leading(work: Dim) -> Dim:
    """The terms with the most factors: the others count only where all is small."""
    most = max((len(monomial) for monomial, _ in work.terms), default=0)
    return Dim({monomial: factor for monomial, factor in work.terms if len(monomial) == most})
