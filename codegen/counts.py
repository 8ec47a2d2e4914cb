"""How much a loop program computes: each operation's number of runs, as polynomials in the dimensions.

They are counted in the loops, so that values that are computed again count again. Conditions count as if they always
held and both branches of a choice as if both were taken, so the numbers are bounds. What the printed text consists of
is `inventory`'s; whether a loop is worth threads is decided in `threads`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import prod

from gradc.ir.cast import CASTS
from gradc.ir.dims import Dim
from gradc.ir.graph import Node
from gradc.ir.routines import ROUTINES
from gradc.ir.table import OPERATIONS

from .items import Item
from .program import Program
from .uses import covers, in_return

ONE = Dim.of(1)
FREE = frozenset(("neg", "detach", "abs", *CASTS))             # signs and conversions
REDUCED = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "argmax": "greater", "argmin": "less"}


def operations(program: Program) -> dict[str, Dim]:
    """How often each operation on real numbers runs, by its name in the table; a matrix product is "mul" and "add"."""
    found = operations_of(program.homes, program)
    for name, count in Counter(node.op for node in in_return(program) if _is_counted(node)).items():
        found[name] = found.get(name, Dim.of(0)) + count
    return found


def operations_of(items: Iterable[Item], program: Program) -> dict[str, Dim]:
    """The same for some of its statements."""
    found: dict[str, Dim] = {}
    for item in items:
        home = program.homes[item]
        trips = prod((loop.axis.dim for loop in home.path if loop.tiled is None), start=ONE)
        for name, count in _of_item(item, program).items():
            found[name] = found.get(name, Dim.of(0)) + trips * count
        if item.contraction is not None:
            made = item.contraction
            axes = [axis for layout in (made.rows, made.columns, made.summed) for axis in layout]
            for name in ("mul", "add"):
                found[name] = found.get(name, Dim.of(0)) + trips * prod((axis.dim for axis in axes), start=ONE)
    return found


def _of_item(item: Item, program: Program) -> Counter[str]:
    count: Counter[str] = Counter()
    for node in (*([item.node] if item.kind == "def" else []), *item.inline):
        if _is_counted(node):
            count[node.op] += 1
    if item.kind == "acc" and item.node.op in REDUCED:
        count[REDUCED[item.node.op]] += 1
    elif item.kind == "scan" or (item.kind == "scatter" and not _is_plain(item, program)):
        count["add"] += 1
    return count


def _is_plain(item: Item, program: Program) -> bool:
    """Whether a scatter assigns its value, to an array or to a local that carries it, where others add it."""
    return (covers(program, item.node) or any(chain.alone and item is chain.items[-1] for chain in program.chains)
            or any(stencil.alone and item is next(iter(stencil.shifts)) for stencil in program.stencils))


def _is_counted(node: Node) -> bool:
    """Whether a node is an operation on real numbers that takes time."""
    return node.op in OPERATIONS and node.op not in FREE and any(
        a.dtype.startswith("float") for a in (node, *node.args))


def routines(program: Program) -> dict[str, int]:
    """The library routines on whole arrays, and how many calls of each there are in the text."""
    called = {(item.node.attr.routine, item.node.args) for item in program.homes if item.kind == "call"}
    return dict(Counter(name for name, _ in sorted(called, key=lambda call: call[0]) if name in ROUTINES))
