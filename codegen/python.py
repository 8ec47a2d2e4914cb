"""Printing a loop program as statements: one a value, with the user's names and the rule in a comment.

Takes a `Program` (which loops, where values live) and gives the lines of a function's body. Values get
the user's names, adjoints d_name; unnamed ones are numbered. Reads that do not vary over an inner loop,
or that are used more than once in a body, become locals of the outermost body in which they are known
(LLVM cannot hoist them itself: arrays may overlap). Accumulations whose target does not vary over the
trailing loops run in a local. The function around these lines is `module`'s.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence

from gradc.ir.dims import Dim
from gradc.ir.graph import Axes, Node, on_values
from gradc.ir.table import AND, MULTIPLY, TERNARY

from .carries import Chain
from .expression import added_to, bracket, dimension, extent, identity, is_wrapped, product, scan_step
from .items import Item
from .loop_bounds import at_least_zero, at_most, bound_of, bounding
from .memory import MemoryPrinter
from .names import Names, name_of_read
from .notes import comment, sections
from .parallel import Chunked, Span, chunked
from .program import Home, Loop, Path, Program, items_of
from .threads import Parallel
from .tiles import FLAT, TILE
from .uses import reads_worth_a_local, trailing_loop

LOOP_NAMES = "ijklmpqr"
WORD = re.compile(r"\w+")


class BodyPrinter(MemoryPrinter):
    """Prints the statements of one program.

    names    the allocator, which already knows the arguments
    inputs   input node -> identifier
    dims     dimension name -> identifier
    outputs  array output node -> identifier of the argument that receives it
    function name of the function
    parallel loops that run in chunks, by identity
    """

    def __init__(self, program: Program, names: Names, inputs: dict[Node, str], dims: dict[str, str],
                 outputs: dict[Node, str], function: str = "", parallel: Mapping[int, Parallel] | None = None) -> None:
        super().__init__(program, names, inputs, dims, outputs)
        self.function, self.parallel = function, dict(parallel or {})
        self.spans = {key: Span(names.fresh("start"), names.fresh("stop")) for key in self.parallel}
        self.rest: dict[int, list[str]] = {}                    # what ends a chunk
        self.chunked: list[Chunked] = []
        self.stops: dict[int, str] = {}                         # of tiles
        self.before: dict[int, list[str]] = {}
        self.after: dict[int, list[str]] = {}
        self.partial: dict[Item, str] = {}
        self.lines: list[str] = []
        self.checked = 0                                        # lines up to the last check before a result
        self.writing = False
        self.states: dict[Node, str] = {}
        self.index_names = {n.attr: names for n, names in self.graph.names.items() if n.op == "axis"}
        self.chains = {item: chain for chain in program.chains for item in chain.items}
        self.stencils = {item: stencil for stencil in program.stencils for item in stencil.shifts}
        self.silent: set[Item] = set()                          # whose value another statement has kept
        self.sections = sections(program)

    # -- the whole body -----------------------------------------------------------------------

    def print(self) -> list[str]:
        """The lines of the body, without the return statement."""
        self._name_axes()
        self._allocate()
        self._prepare()
        self._emit(self.program.body, 0, (), frozenset())
        checked = self.checked                                  # a call that is refused leaves `out` alone
        return self._kept(self.lines[:checked] + self.zeroed + self.lines[checked:])

    def _kept(self, lines: list[str]) -> list[str]:
        """The lines with the memory that they need; what only chunks use they allocate."""
        moved = frozenset[str]().union(*(made.moved for made in self.chunked))
        words = {word for line in lines for word in WORD.findall(line)} if moved else set()
        kept: list[str] = []
        for line in reversed(self.top):
            if line.split(" = ")[0] not in moved - words:
                words |= set(WORD.findall(line))
                kept.append(line)
        return kept[::-1] + lines

    def _name_axes(self) -> None:
        """Loop variables: the user's index names where they are known, else i, j, k, ..."""
        stack: list[Loop | Item] = list(reversed(self.program.body))
        letters = list(LOOP_NAMES)
        while stack:
            entry = stack.pop()
            if isinstance(entry, Item):
                continue
            if entry.tiled is not None:
                self.starts[id(entry)] = self.names.fresh("start")
                self.stops[id(entry)] = self.names.fresh("stop")
                if entry.rows is not None:
                    self._name_rows(entry, entry.rows.dim)
            elif entry.axis.dim.constant == 1:
                self.axes[entry.axis] = "0"                     # its loop is not printed
            elif entry.axis not in self.axes:
                known = self.index_names.get(entry.axis, [])
                wanted = next((name for name in known if name not in self.names.taken), "")
                while not wanted and letters:
                    letter = letters.pop(0)
                    wanted = "" if letter in self.names.taken else letter
                self.axes[entry.axis] = self.names.fresh(wanted or "i")
            stack += reversed(entry.body)

    def _name_rows(self, loop: Loop, length: Dim) -> None:
        """How many rows a strip has: as many as have `FLAT` points together, or one."""
        if length.constant is not None:
            self.steps[id(loop)] = str(max(1, FLAT // length.constant))
            return
        self.steps[id(loop)] = name = self.names.fresh("rows")
        count = f"max(1, {FLAT} // max(1, {extent(length, self.dims, self.graph)}))"
        self.top.append(f"{name} = {count}  # that are worked through together, if they are short")

    # -- what stands before and after loops ---------------------------------------------------

    def _prepare(self) -> None:
        self._hoist_reads()
        for item, home in self.program.homes.items():
            if item.kind in ("acc", "scan"):
                self._prepare_accumulator(item, home)
            elif item.kind == "scatter" and not self.plain[item.node] and item not in self.stencils:
                self._prepare_scatter(item, home)
        for chain in self.program.chains:
            self._prepare_chain(chain)
        for stencil in self.program.stencils:
            stencil.name_rows(self.names.fresh, self.arrays[stencil.node])
            self.silent |= stencil.repeated
            self.top.append(f"{stencil.ring} = np.zeros({self._shape(stencil.shape())}{self._dtype(stencil.node)})")

    def _prepare_accumulator(self, item: Item, home: Home) -> None:
        name = self.locals[item.node]
        loop = home.path[len(home.local)]
        start = self._identity(item)
        if item.kind == "scan":
            self._prepare_scan(item, home, loop, start)
        elif home.in_array:
            opened = {inner.axis for inner in home.local}
            index = [self.axes[a] if a in opened else ":" for a in home.storage]
            state = self.buffers[item.node]
            self._at(self.before, loop, f"{state}[{', '.join(index)}] = {start}")
            if item.node.op in ("argmax", "argmin"):
                self._prepare_best(item, home, loop, index)
            self._prepare_partial(item, home)
        else:
            self._at(self.before, loop, f"{name} = {start}")
            if item.node.op in ("argmax", "argmin"):
                self.partial[item] = self.names.fresh(f"best_{name}")
                sign = "-inf" if item.node.op == "argmax" else "inf"
                self._at(self.before, loop, f"{self.partial[item]} = {sign}")
                self.used.add("inf")
            if home.storage:
                target = self._element(item.node)
                self._at(self.after, loop, f"{target} = {name}")

    def _prepare_scan(self, item: Item, home: Home, loop: Loop, start: str) -> None:
        """The running state: a local, or an array where the scan's other axes are opened inside its loop."""
        state = self.names.fresh(f"{self.locals[item.node]}_state")
        inside = [inner.axis for inner in home.path[len(home.local) + 1:] if inner.axis in item.node.axes]
        if inside:
            self.top.append(f"{state} = np.empty({self._shape([a.dim for a in inside])}{self._dtype(item.node)})")
            self._at(self.before, loop, f"{state}[:] = {start}")
            state += f"[{', '.join(self.axes[a] for a in inside)}]"
        else:
            self._at(self.before, loop, f"{state} = {start}")
        self.states[item.node] = state

    def _prepare_best(self, item: Item, home: Home, loop: Loop, index: Sequence[str]) -> None:
        """The best values so far, beside an array of their places."""
        best = self.names.fresh(f"best_{self.locals[item.node]}")
        self.top.append(f"{best} = np.empty({self._shape([a.dim for a in home.storage])})")
        self._at(self.before, loop, f"{best}[{', '.join(index)}] = {'-inf' if item.node.op == 'argmax' else 'inf'}")
        self.partial[item] = f"{best}[{', '.join(self.axes[a] for a in home.storage)}]"
        self.used.add("inf")

    def _prepare_partial(self, item: Item, home: Home) -> None:
        """A local for the trailing loops over which the target's element stays the same."""
        if item.kind != "acc" or item.node.op != "sum":
            return
        trailing = trailing_loop(home.path, item.node.axes)
        if trailing is None:
            return
        local = self.names.fresh(f"{self.locals[item.node]}_part")
        self.partial[item] = local
        self._at(self.before, trailing, f"{local} = 0.0")
        self._at(self.after, trailing, f"{self._element(item.node)} += {local}")

    def _prepare_scatter(self, item: Item, home: Home) -> None:
        indices = item.roots[1:1 + len(item.node.shape)]
        taken: Axes = frozenset(a for i in indices for a in i.axes)
        trailing = trailing_loop(home.path, taken)
        if trailing is None:
            return
        inside = {loop.axis for loop in home.path[home.path.index(trailing):]}
        outer = self._implied(home.path[:home.path.index(trailing)])
        guards = [g for g in item.guards if not g.axes & inside]
        if len(guards) != len(item.guards) and any(i.op != "axis" for i in indices):
            return
        local = self.names.fresh(f"{self.arrays[item.node]}_part")
        self.partial[item] = local
        self._at(self.before, trailing, f"{local} = 0.0")
        depth = home.path.index(trailing)
        target, lines = self._target(item, home.path[:depth])
        flush = f"{target} += {local}"
        condition = self._condition(item, [g for g in guards if g not in outer], home.path[:depth], lines)
        for line in lines:
            self._at(self.after, trailing, line)
        self._at(self.after, trailing, f"if {condition}:\n    {flush}" if condition else flush)

    def _prepare_chain(self, chain: Chain) -> None:
        first = chain.items[0]
        array, path = self.arrays[first.node], self.program.homes[first].path[:-1]
        chain.names = tuple(self.names.fresh(f"{array}_next") for _ in chain.items[1:])
        for name in chain.names:
            self._at(self.before, chain.loop, f"{name} = 0.0")
        outer = [self._inline(index, path) for index in first.roots[1:len(first.node.shape)]]
        span = self.spans.get(id(chain.loop))
        if span is None:
            self._at(self.after, chain.loop, chain.rest(array, outer, self.dims))
        else:
            self._at(self.rest, chain.loop, chain.rest(array, outer, self.dims, span.start, span.stop))

    def _at(self, where: dict[int, list[str]], entry: Loop | Item, line: str) -> None:
        where.setdefault(id(entry), []).append(line)

    def _identity(self, item: Item) -> str:
        text = identity(item.node)
        self.used.update(name for name in ("inf", "float32") if name in text)
        return text

    def _hoist_reads(self) -> None:
        """A local for each read that is worth one, in the body that it belongs to."""
        for node, owner, first, path in reads_worth_a_local(self.program, self._implied):
            text = self._read(node, {}, functools.partial(self._known, path=path), node.args[1 + node.attr:])[0]
            name = self.names.fresh(name_of_read(text))
            self.hoisted[owner, node] = name
            self._at(self.before, first, f"{name} = {text}")

    # -- statements ---------------------------------------------------------------------------

    def _emit(self, body: Sequence[Loop | Item], depth: int, path: Path, implied: frozenset[Node]) -> None:
        """Print a body. Recursion goes as deep as loops nest, never as deep as the user's graph.

        Neighbours under the same guards share one `if`.
        """
        pad, block = "    " * depth, ""
        for entry in body:
            title = self.sections.get(id(entry), "")
            if title:
                block = ""
                self.lines.append(f"{pad}# {title}")
            before = self.before.get(id(entry), [])
            if before:
                block = ""
                self._lines(before, pad)
            if entry in self.silent:
                continue
            guards = [g for g in self._guards(entry, path) if g not in implied]
            lines: list[str] = []
            first = entry if isinstance(entry, Item) else items_of(entry)[0]
            condition = self._condition(first, guards, path, lines)
            if condition != block:
                self._lines([*lines, f"if {condition}:"] if condition else lines, pad)
                block = condition
            inner = depth + 1 if condition else depth
            if isinstance(entry, Loop) and set(items_of(entry)) <= self.stored:
                pass
            elif isinstance(entry, Loop) and id(entry) in self.spans:
                self._lines(self._in_chunks(entry, implied | frozenset(guards)), "    " * inner)
            elif isinstance(entry, Loop):
                self._emit_loop(entry, inner, path, implied | frozenset(guards))
            else:
                self._lines(self._statement(entry, path), "    " * inner)
                self.writing |= entry.kind in ("store", "scatter")
                if entry.kind in ("check", "call") and not path and not self.writing:
                    self.checked = len(self.lines)
            after = self.after.get(id(entry), [])
            if after:
                block = ""
                self._lines(after, pad)

    def _lines(self, lines: Iterable[str], pad: str) -> None:
        for line in lines:
            self.lines += [pad + part for part in line.split("\n")]

    def _guards(self, entry: Loop | Item, path: Path) -> list[Node]:
        """The guards under which an entry runs as a whole: a loop's are those that all in it share."""
        if isinstance(entry, Item):
            return list(self._conditions(entry))
        opened = {loop.axis for loop in path}
        return [g for g in self._common_guards(entry) if g.axes <= opened]

    def _common_guards(self, loop: Loop) -> list[Node]:
        """The guards of everything in a loop; a reduction that starts in it has a value where its own fail.

        They stay in a statement's order: one may be computed only where those before it hold.
        """
        common: list[Node] | None = None
        for item in items_of(loop):
            starts = item.kind == "acc" and loop in self.program.homes[item].local
            guards = item.sunk if starts else self._conditions(item)
            common = [guard for guard in guards if common is None or guard in common]
        return common or []

    def _conditions(self, item: Item) -> tuple[Node, ...]:
        """The guards of a statement; one that fills an array writes 0 where those on values fail."""
        if item in self.stencils:
            return self.stencils[item].terms[item][1]
        if item.kind == "scatter" and self.plain[item.node]:
            return tuple(guard for guard in item.guards if not on_values(guard))
        return item.guards

    def _implied(self, path: Path) -> set[Node]:
        """The guards that hold inside some loops because they are the loops' bounds."""
        found: set[Node] = set()
        for depth, loop in enumerate(path):
            opened = {outer.axis for outer in path[:depth + 1]}
            if loop.tile is None and loop.tiled is None and loop.axis.dim.constant != 1:
                guards = [g for g in self._common_guards(loop) if g not in found and g.axes <= opened]
                found |= bounding(guards, loop.axis)
        return found

    def _in_chunks(self, loop: Loop, implied: frozenset[Node]) -> list[str]:
        """The lines that run a loop at the top in chunks."""
        first = len(self.lines)
        self._emit_loop(loop, 0, (), implied)
        lines = self.lines[first:]
        del self.lines[first:]
        rest = [part for line in self.rest.get(id(loop), []) for part in line.split("\n")]
        made = chunked(self, self.parallel[id(loop)], self.spans[id(loop)], lines, rest)
        self.chunked.append(made)
        return made.lines

    def _emit_loop(self, loop: Loop, depth: int, path: Path, implied: frozenset[Node]) -> None:
        if loop.axis.dim.constant == 1:
            self._emit(loop.body, depth, (*path, loop), implied)
            return
        pad, chunk = "    " * depth, self.spans.get(id(loop))
        if loop.tiled is not None:
            start, stop = self.starts[id(loop)], self.stops[id(loop)]
            whole, begin = dimension(loop.tiled.dim, self.dims)[0], "0"
            if chunk is not None:
                chunk.high = whole
                begin, whole = chunk.start, chunk.stop
            step = self.steps.get(id(loop), str(TILE))
            self.lines += [f"{pad}for {start} in range({begin}, {whole}, {step}):",
                           f"{pad}    {stop} = min({start} + {step}, {whole})"]
            self._emit(loop.body, depth + 1, (*path, loop), implied)
            return
        if loop.flat and loop.tile is not None:
            self._emit_flat(loop, loop.tile, depth, (*path, loop), implied)
            return
        if loop.tile is not None:
            span = f"{self.starts[id(loop.tile)]}, {self.stops[id(loop.tile)]}"
            self.lines.append(f"{pad}for {self.axes[loop.axis]} in range({span}):")
            self._emit(loop.body, depth + 1, (*path, loop), implied)
            return
        opened = {outer.axis for outer in path}
        bounds = [g for g in self._common_guards(loop) if g not in implied and loop.axis in g.axes
                  and g.axes <= opened | {loop.axis}]
        low, high, kept = self._bounds(loop, bounds, path)
        stop = dimension(loop.axis.dim, self.dims)[0] if high is None else high
        stop = stop[1:-1] if is_wrapped(stop) and not loop.reverse else stop
        if chunk is not None:
            chunk.low, chunk.high = low or "0", stop
            low, stop = chunk.start, chunk.stop
        span = f"{low}, {stop}" if low is not None else stop
        if loop.reverse:
            last = f"{stop} - 1" if stop.isidentifier() else f"({stop}) - 1"
            span = f"{last}, {'-1' if low is None else f'{low} - 1'}, -1"
        self.lines.append(f"{pad}for {self.axes[loop.axis]} in range({span}):")
        own = [(stencil, self.arrays[stencil.node]) for stencil in self.program.stencils if stencil.loop is loop]
        for stencil, _ in own:
            self._lines(stencil.rows(self.axes), f"{pad}    ")
        self._emit(loop.body, depth + 1, (*path, loop), implied | frozenset(kept))
        for stencil, array in own:
            self._lines(stencil.finished(array, self.axes, self.dims), f"{pad}    ")
        for stencil, array in own:
            self._lines(stencil.rest(array, self.axes, self.dims), pad)

    def _emit_flat(self, loop: Loop, strip: Loop, depth: int, path: Path, implied: frozenset[Node]) -> None:
        """One loop over all points of the rows of a strip, which lie one after the other."""
        (inner,) = (entry for entry in loop.body if isinstance(entry, Loop))
        length = bracket(dimension(inner.axis.dim, self.dims), MULTIPLY + 1)
        self.flat = self.names.fresh("point")
        size = f"({self.stops[id(strip)]} - {self.starts[id(strip)]}) * {length}"
        self.lines.append(f"{'    ' * depth}for {self.flat} in range({size}):")
        self._emit(inner.body, depth + 1, (*path, inner), implied)
        self.flat = ""

    def _bounds(self, loop: Loop, guards: Sequence[Node], path: Path) -> tuple[str | None, str | None, list[Node]]:
        """Affine guards `axis < e`, `axis > e` as loop bounds: (low, high, guards used)."""
        low = high = None
        kept: list[Node] = []
        for guard in guards:
            bound = bound_of(guard, loop.axis)
            if bound is None:
                continue
            kind, expression = bound
            text = self._inline(expression, path)
            whole = dimension(loop.axis.dim, self.dims)[0]
            if kind == "high" and high is None:
                high = text if at_most(expression, loop.axis.dim) else f"min({text}, {whole})"
                kept.append(guard)
            elif kind == "low" and low is None:
                low = text if at_least_zero(expression) else f"max({text}, 0)"
                kept.append(guard)
        return low, high, kept

    def _condition(self, item: Item, guards: Sequence[Node], path: Path, lines: list[str]) -> str:
        """Guards as one condition, "" for none; `lines` gets what must come first."""
        texts = [bracket(self._expression(item, guard, path, lines), AND) for guard in guards]
        return " and ".join(texts)

    def _statement(self, item: Item, path: Path) -> list[str]:
        home = self.program.homes[item]
        lines: list[str] = []
        note = self._note(item)
        if item.kind == "def":
            text = self._expression(item, item.node, path, lines)[0]
            if item.node.dtype == "float32" and home.storage:   # what is stored must be equal to what is compared
                text = f"float32({text})"
                self.used.add("float32")
            if home.storage and self.locals[item.node] == self.buffers[item.node]:
                lines.append(f"{self._element(item.node)} = {text}{note}")
                return lines
            name = self.locals[item.node]
            lines.append(f"{name} = {text}{note}")
            if home.storage:
                lines.append(f"{self._element(item.node)} = {name}")
        elif item.kind == "pack":
            text = self._expression(item, item.node, path, lines)[0]
            lines.append(f"{self._place(self.packs[item.node, home.storage], home)} = {text}")
        elif item.kind == "acc":
            lines += self._accumulate(item, home, path, note)
        elif item.kind == "scan":
            lines += self._scan(item, home, path, note)
        elif item.kind == "check":
            assert item.check is not None
            condition = self._expression(item, item.body, path, lines)[0]
            lines.append(f"if {condition}:")
            lines.append(f"    raise {item.check.error}({item.check.message!r})")
        elif item.kind == "call":
            lines += self._call(item, note)
        elif item.contraction is not None:
            self.used.add("matmul")
            lines.append(product(item, lambda node: self._matrix(node, item), self._size, self.axes) + note)
        elif item in self.stored:
            return []
        elif item.kind == "store":
            value = self._expression(item, item.body, path, lines)[0]
            lines.append(f"{self._store_target(item)} = {value}{note}")
        else:
            added = self._expression(item, item.body, path, lines)
            if item in self.stencils:
                return [*lines, self.stencils[item].statement(item, added[0], self.axes) + note]
            target = self.partial.get(item, "")
            if not target:
                target, more = self._target(item, path)
                lines += more
            chain = self.chains.get(item)
            if chain is not None:
                lines.append(chain.statement(item, target, added) + note)
            elif self.plain[item.node]:
                condition = self._condition(item, list(filter(on_values, item.guards)), path, lines)
                text = f"{bracket(added, TERNARY + 1)} if {condition} else 0.0" if condition else added[0]
                lines.append(f"{target} = {text}{note}")
            else:
                lines.append(added_to(target, added) + note)
        return lines

    def _note(self, item: Item) -> str:
        """What the comment behind a statement says, "" for nothing."""
        element = ""
        if item.kind == "scatter" and self.arrays[item.node].startswith("d_"):
            path = self.program.homes[item].path
            texts = [self._inline(node, path) for node in item.roots[1:1 + len(item.node.shape)]]
            element = f"{self.arrays[item.node][2:]}[{', '.join(texts)}]"
        return comment(self.graph, item, element)

    def _accumulate(self, item: Item, home: Home, path: Path, note: str) -> list[str]:
        lines: list[str] = []
        text = self._expression(item, item.body, path, lines)
        name = self.partial.get(item) or (
            self._element(item.node) if home.in_array else self.locals[item.node])
        op = item.node.op
        if op == "sum":
            lines.append(added_to(name, text) + note)
        elif op == "prod":
            lines.append(f"{name} *= {text[0]}{note}")
        elif op in ("max", "min"):
            self.used.add(f"{op}imum")
            lines.append(f"{name} = {op}imum({name}, {text[0]}){note}")
        elif op in ("any", "all"):
            joint = "or" if op == "any" else "and"
            whole = item.body.op == "const" and item.body.value == (op == "any")
            found = text[0] if whole else f"{name} {joint} {bracket(text, AND + 1)}"
            lines.append(f"{name} = {found}{note}")
        else:
            best, target = self.partial[item], self._element(item.node) if home.in_array else self.locals[item.node]
            value = self.names.numbered("t")
            sign = ">" if op == "argmax" else "<"
            (axis,) = item.reduces
            lines += [f"{value} = {text[0]}",
                      f"if {target} < 0 or {value} {sign} {best} or ({value} != {value} and {best} == {best}):{note}",
                      f"    {best} = {value}", f"    {target} = {self.axes[axis]}"]
        return lines

    def _scan(self, item: Item, home: Home, path: Path, note: str) -> list[str]:
        """The running value before (or after) this point, then the step."""
        lines: list[str] = []
        texts = [self._expression(item, root, path, lines) for root in item.roots]
        kind, _, inclusive, _ = item.node.attr
        name = self.locals[item.node]
        state = self.states[item.node]
        self.used |= {f"{kind}imum"} if kind in ("max", "min") else set()
        step = scan_step(kind, state, texts)
        show = f"{name} = {state}{note}"
        lines += [step, show] if inclusive else [show, step]
        if home.storage:
            lines.append(f"{self._element(item.node)} = {name}")
        return lines

    def _call(self, item: Item, note: str) -> list[str]:
        """A library routine on whole arrays, in loops over its leading dimensions."""
        attr = item.node.attr
        self.used.add(attr.routine)
        index = [self.names.fresh(name) for name in LOOP_NAMES[:attr.batch]]
        place = f"[{', '.join(index)}]" if index else ""
        targets = [("_" if len(self.called[item]) > 1 else "") if node is None else
                   self.arrays[node] + (place if place or node in self.fresh else "[...]")
                   for node in self.called[item]]
        operands = ", ".join((self.variables.get(arg) or self.arrays[arg]) + place for arg in item.node.args)
        lines = [f"{'    ' * k}for {name} in range({extent(dim, self.dims, self.graph)}):"
                 for k, (name, dim) in enumerate(zip(index, attr.shape, strict=False))]
        return [*lines, f"{'    ' * len(index)}{', '.join(targets)} = {attr.routine}({operands}){note}"]

    def result(self, node: Node, lines: list[str]) -> str:
        """The text of a scalar output, as it stands in the return statement; `lines` gets what comes before."""
        return self._inline(node, (), lines)

    def dtype_text(self, node: Node) -> str:
        """The dtype of an array of a value's, as `np.empty` takes it after the shape."""
        return self._dtype(node)

    def extents(self, dims: Sequence[Dim]) -> str:
        """Dimensions as they stand in a shape."""
        return ", ".join(extent(dim, self.dims, self.graph) for dim in dims)

    def start_text(self, item: Item) -> str:
        """What an accumulation starts from."""
        return self._identity(item)

    def shape_text(self, node: Node) -> str:
        """The arguments of `np.empty` for an array output."""
        return self._shape(node.shape) + self._dtype(node)

    # -- targets ------------------------------------------------------------------------------

    def _target(self, item: Item, path: Path) -> tuple[str, list[str]]:
        lines: list[str] = []
        indices = item.roots[1:1 + len(item.node.shape)]
        texts = [self._expression(item, index, path, lines)[0] for index in indices]
        return f"{self.arrays[item.node]}[{', '.join(texts)}]", lines
