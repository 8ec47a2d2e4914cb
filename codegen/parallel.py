"""The words of a loop that runs in chunks: a function of one chunk, and the loop over chunks that calls it.

Takes what `threads` decided about a loop and the printed lines of the loop itself, whose range is that of a chunk. The
function's arguments are the names in these lines that stand before the loop; buffers of one iteration are allocated in
it, so every chunk has its own, and locals are its own anyway. `prange` is Numba's in compiled code and `range` in plain
Python: both give the same bits, since the chunks' results are put together in a loop of their own, in order.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradc.ir.dims import Dim
from gradc.ir.graph import Node
from gradc.ir.table import MULTIPLY

from .expression import bracket, dimension
from .items import Item
from .threads import MOST, Parallel
from .tiles import TILE

if TYPE_CHECKING:
    from .python import BodyPrinter

PRANGE = "prange"


@dataclass
class Span:
    """The range of a loop that runs in chunks: names of a chunk's ends, and the text of the whole range."""

    start: str
    stop: str
    low: str = "0"
    high: str = ""


@dataclass(frozen=True)
class Chunked:
    """A printed loop.

    function  the text of the function of one chunk
    name      of it
    lines     what stands in place of the loop
    moved     names of buffers that are allocated in the function
    """

    name: str
    function: str
    lines: list[str]
    moved: frozenset[str]


def chunked(printer: BodyPrinter, made: Parallel, span: Span, loop: Sequence[str], rest: Sequence[str]) -> Chunked:
    """The loop's lines and those that end a chunk, as a function and a loop over its calls."""
    sums = _sums(printer, made)
    private = _private(printer, made)
    allocated = [line for line in printer.top if line.split(" = ")[0] in private]
    lines = [*allocated, *loop, *rest]
    arguments = _arguments(lines, {*(name for names, _ in sums for name in names), *_carried(printer, made)},
                           printer.used)
    name = printer.names.fresh(f"{printer.function}_chunk")
    given = [name for names, _ in sums for name in names]
    own = [text for text in arguments if text not in (span.start, span.stop)]
    function = [f"def {name}({', '.join([span.start, span.stop, *own])}):",
                f'    """The loop of {printer.function} over a part of its range."""',
                *(f"    {line}" for line in lines), *([f"    return {', '.join(given)}"] if given else [])]
    copied = {printer.memory_of(node): (node, item) for node, item in made.copied.items()}
    calls = _Calls(printer, made, span, f"{name}({{}})", own, sums, copied)
    return Chunked(name, "\n".join(function), calls.lines(), frozenset(private))


def _sums(printer: BodyPrinter, made: Parallel) -> list[tuple[tuple[str, ...], Item]]:
    """The locals of each accumulation, the value last."""
    found: list[tuple[tuple[str, ...], Item]] = []
    for item in made.sums:
        partial = printer.partial.get(item)
        if item.kind == "scatter":
            found.append(((partial or "",), item))
        elif item.node.op in ("argmax", "argmin"):
            found.append(((partial or "", printer.locals[item.node]), item))
        else:
            found.append(((printer.locals[item.node],), item))
    return found


def _carried(printer: BodyPrinter, made: Parallel) -> list[str]:
    """The locals that carry from one iteration to the next: a chunk begins with them as they are before the loop."""
    return [name for chain in printer.program.chains if chain.loop is made.loop for name in chain.names]


def _private(printer: BodyPrinter, made: Parallel) -> set[str]:
    """The names of the memory that a chunk has for itself."""
    found: set[str] = set()
    for item in made.private:
        if item.kind == "pack":
            found.add(printer.packs[item.node, printer.program.homes[item].storage])
        else:
            found.add(printer.buffers[item.node])
    for item in made.states:
        found |= {text.partition("[")[0] for text in (
            printer.states.get(item.node, ""), printer.partial.get(item, "")) if "[" in text}
    for line in reversed(printer.top):                          # a second name is one of the same memory
        target, _, value = line.partition(" = ")
        if target in found and re.fullmatch(r"\w+(  #.*)?", value):
            found.add(value.partition(" ")[0])
    return found


def _arguments(lines: Sequence[str], both: set[str], used: set[str]) -> list[str]:
    """The names in some lines that get their values before them; `both` are assigned in them too."""
    nodes = list(ast.walk(ast.parse("\n".join(lines))))
    calls = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)} - both
    known = assigned | calls | used | {"np"} | set(dir(builtins))
    found = sorted((node for node in names if node.id not in known), key=lambda n: (n.lineno, n.col_offset))
    return list(dict.fromkeys(node.id for node in found))


class _Calls:
    """The lines that call the function of a chunk, for all chunks, and put the results together."""

    def __init__(self, printer: BodyPrinter, made: Parallel, span: Span, call: str, arguments: list[str],
                 sums: list[tuple[tuple[str, ...], Item]], copied: dict[str, tuple[Node, Item]]) -> None:
        self.printer, self.made, self.span, self.call, self.arguments = printer, made, span, call, arguments
        self.sums, self.copied = sums, copied
        fresh = printer.names.fresh
        self.chunks, self.chunk = fresh("chunks"), fresh("chunk")
        self.results = [name for names, _ in sums for name in names]
        self.parts = {name: fresh(f"{name}_parts") for name in (*self.results, *copied)}

    def lines(self) -> list[str]:
        """All of them."""
        count = ", ".join(["1", f"min({', '.join([str(MOST), *self._bounds()])})"])
        alone = self._call(self.span.low, self.span.high, self.arguments, self.results)
        return ["# The sizes decide how many chunks there are: the number of threads changes no bit.",
                f"{self.chunks} = max({count})",
                f"if {self.chunks} == 1:", f"    {alone}", "else:",
                *(f"    {line}" for line in (*self._allocations(), *self._loops(), *self._combination()))]

    def _bounds(self) -> list[str]:
        found = []
        for dividend, divisor in self.made.bounds():
            text = dimension(dividend, self.printer.dims)
            least = self._at_least_one(divisor)
            found.append(text[0] if least == "1" else f"{bracket(text, MULTIPLY)} // {least}")
        return found

    def _at_least_one(self, dim: Dim) -> str:
        known = dim.constant
        return f"max(1, {dimension(dim, self.printer.dims)[0]})" if known is None else str(max(known, 1))

    def _call(self, start: str, stop: str, arguments: Sequence[str], targets: Sequence[str]) -> str:
        call = self.call.format(", ".join([start, stop, *arguments]))
        return f"{', '.join(targets)} = {call}" if targets else call

    def _allocations(self) -> list[str]:
        lines = []
        for names, item in self.sums:
            for name in names:
                kind = "" if name != names[-1] else self.printer.dtype_text(item.node)      # the best value is real
                lines.append(f"{self.parts[name]} = np.empty({self.chunks}{kind})")
        for name, (node, item) in self.copied.items():
            axes = self.printer.program.homes[item].storage
            shape = self.printer.extents(node.shape if node.is_array else [axis.dim for axis in axes])
            dtype = self.printer.dtype_text(node)
            start = "0.0" if item.kind == "scatter" else self.printer.start_text(item)
            made = f"np.zeros(({self.chunks}, {shape}){dtype})" if start in ("0.0", "0") else (
                f"np.full(({self.chunks}, {shape}), {start}{dtype})")
            lines.append(f"{self.parts[name]} = {made}")
        return lines

    def _ends(self, chunk: str) -> tuple[str, str]:
        """The first iteration of a chunk, and the first after it."""
        low, high = self.span.low, self.span.high
        if self.made.loop.tiled is not None:
            tiles = f"(({high} + {TILE - 1}) // {TILE})"
            return (f"{chunk} * {tiles} // {self.chunks} * {TILE}",
                    f"min(({chunk} + 1) * {tiles} // {self.chunks} * {TILE}, {high})")
        size = high if high.isidentifier() or high.isdigit() else f"({high})"
        size, more = (size, "") if low == "0" else (f"({high} - ({low}))", f"{low} + ")
        return (f"{more}{chunk} * {size} // {self.chunks}", f"{more}({chunk} + 1) * {size} // {self.chunks}")

    def _loops(self) -> list[str]:
        arguments = [f"{self.parts[text]}[{self.chunk}]" if text in self.copied else text for text in self.arguments]
        targets = [f"{self.parts[name]}[{self.chunk}]" for name in self.results]
        call = self._call(*self._ends(self.chunk), arguments, targets)
        if not self.made.halo:
            return [f"for {self.chunk} in {PRANGE}({self.chunks}):", f"    {call}"]
        fresh = self.printer.names.fresh
        first, pair = fresh("first"), fresh("pair")
        return [f"for {first} in range(2):  # neighbours add to the same elements: every other chunk first",
                f"    for {pair} in {PRANGE}(({self.chunks} + 1 - {first}) // 2):",
                f"        {self.chunk} = 2 * {pair} + {first}", f"        {call}"]

    def _combination(self) -> list[str]:
        lines: list[str] = []
        for names, item in self.sums:
            lines += self._combined(names, item)
        for name, (_, item) in self.copied.items():
            part = f"{self.parts[name]}[{self.chunk}]"
            op = "sum" if item.kind == "scatter" else item.node.op
            lines.append(f"np.{op}imum({name}, {part}, {name})" if op in ("max", "min") else
                         f"{name} {'*' if op == 'prod' else '+'}= {part}")
        if not lines:
            return []
        return [f"for {self.chunk} in range({self.chunks}):", *(f"    {line}" for line in lines)]

    def _combined(self, names: tuple[str, ...], item: Item) -> list[str]:
        name = names[-1]
        part = f"{self.parts[name]}[{self.chunk}]"
        op = "sum" if item.kind == "scatter" else item.node.op
        if op in ("max", "min"):
            return [f"{name} = {op}imum({name}, {part})"]
        if op in ("any", "all"):
            return [f"{name} = {name} {'or' if op == 'any' else 'and'} {part}"]
        if op in ("argmax", "argmin"):
            best, value = names[0], f"{self.parts[names[0]]}[{self.chunk}]"
            sign = ">" if op == "argmax" else "<"
            return [f"if {part} >= 0 and ({name} < 0 or {value} {sign} {best} or ({value} != {value} and "
                    f"{best} == {best})):", f"    {best} = {value}", f"    {name} = {part}"]
        return [f"{name} {'*' if op == 'prod' else '+'}= {part}"]
