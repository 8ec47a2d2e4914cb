"""`report`: what was compiled: operations, loops and which of them are vectorised, memory, time, cache.

Takes a Function (or what `compile` gives for functions of structures and of undeclared shapes) and gives a `Report`
whose parts are data and which shows itself as text, in a rich console and in Jupyter. What is counted and read from
the text comes from `gradc.codegen.inventory`, what LLVM made of loops from `gradc.codegen.vectorised`.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gradc.codegen import counts, inventory
from gradc.codegen.load import long_runs, optimised, rows_together
from gradc.codegen.lower import lower
from gradc.codegen.vectorised import vector_loops
from gradc.ir.dims import Dim
from gradc.ir.errors import ArgumentError, DerivativeError
from gradc.ir.graph import Graph
from gradc.ir.table import operation

from .arguments import bind, check_dimensions, convert
from .function import Function
from .late import Late
from .passes import finish
from .structured import Structured

if TYPE_CHECKING:
    from rich.table import Table

ASSUMED = 1000              # of every size, for a ratio where none is known
LONG = 100                  # characters of a polynomial that are shown
MOST_LOOPS = 60             # that are shown


@dataclass(frozen=True)
class Count:
    """A number as a polynomial in the sizes, as text, and its value where the sizes are known."""

    symbolic: str
    number: int | None = None

    def __str__(self) -> str:
        text = self.symbolic
        if len(text) > LONG:
            text = f"{text[:max(text.rfind(' + ', 0, LONG), text.rfind(' - ', 0, LONG))]} + ..."
        if self.number is None:
            return text
        return f"{self.number:,}" if text == str(self.number) else f"{text} = {self.number:,}"


@dataclass(frozen=True)
class LoopReport:
    """A loop of the source: its line, its depth, its header, and what LLVM made of it.

    lanes    numbers that one instruction works on; 1 for a loop that is not vectorised, None where that is not known:
             without `vectors`, for plain Python, in a block, and around loops that run in threads
    threads  whether its iterations run in threads: the call in it runs a chunk of a loop
    rows     iterations that run together, what they share in registers; 1 for a loop that runs as it is written
    """

    line: int
    depth: int
    text: str
    lanes: int | None
    threads: bool = False
    rows: int = 1


@dataclass(frozen=True)
class BufferReport:
    """Memory that a call allocates beside its results: the name in the source, its shape and its bytes."""

    name: str
    shape: str
    dtype: str
    bytes: Count


@dataclass(frozen=True)
class ProductReport:
    """A contraction that became a call of a matrix product: BLAS multiplies what is large, loops what is small."""

    line: int
    text: str


@dataclass(frozen=True)
class BlockReport:
    """A long run of statements that is compiled through LLVM directly: its lines in the source, and how many it has."""

    first: int
    last: int
    statements: int

    def __str__(self) -> str:
        return f"lines {self.first} to {self.last}, {self.statements} statements, compiled through LLVM directly"


@dataclass(frozen=True)
class FunctionReport:
    """One compiled function.

    name        value, grad, value_and_grad, ...
    operations  operations on real numbers of one call, functions among them
    functions   calls of each elementary or special function
    loops, buffers, products    as the source has them
    routines    calls of library routines on whole arrays (LAPACK, sorting) by name; not among the operations
    blocks      what Numba's own front end does not see, since it would take long; () for plain Python
    tape        rows of the table that a call from Python goes through in place of compiled code, 0 for none
    seconds     of each stage of compilation, in the order in which they ran
    cache       "hit", "miss", "rebuilt" (the entry was damaged), "off", or "" for plain Python
    """

    name: str
    operations: Count
    functions: dict[str, Count]
    loops: tuple[LoopReport, ...]
    buffers: tuple[BufferReport, ...]
    products: tuple[ProductReport, ...]
    routines: dict[str, int]
    blocks: tuple[BlockReport, ...]
    tape: int
    seconds: dict[str, float]
    cache: str


@dataclass(frozen=True)
class Report:
    """What was compiled: `parts` are data, `str` is a page of text; it shows itself in Jupyter and rich.

    title   the formula
    sizes   of the dimensions, None where they are not known
    parts   the function itself, then its value with the gradient (of a derivative: its function, then itself)
    ratio   operations of the second part over those of the first; None where there is only one
    note    what a reader must know, such as why there is no gradient
    """

    title: str
    sizes: dict[str, int] | None
    parts: tuple[FunctionReport, ...]
    ratio: float | None
    note: str = ""

    def __getitem__(self, name: str) -> FunctionReport:
        """The part of that name; a KeyError lists the names."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(f"no part is called {name}: the names are {', '.join(part.name for part in self.parts)}")

    def as_dict(self) -> dict[str, Any]:
        """The report as dicts, lists, texts and numbers, as `json.dumps` takes them."""
        found: dict[str, Any] = asdict(self)
        return found

    def rows(self) -> Iterator[tuple[str, str]]:
        """The page as pairs of a heading and a text; a part begins with its name and no text."""
        for k, part in enumerate(self.parts):
            yield part.name, ""
            text = str(part.operations)
            if k and self.ratio is not None:
                about = "" if self.sizes is not None else f" (with every size {ASSUMED})"
                text += f", {self.ratio:.3g} times those of {self.parts[0].name}{about}"
            yield "operations", text
            for name, count in part.functions.items():
                yield "", f"of which {name}: {count}"
            yield from _labelled("loops", [*map(_shown, part.loops[:MOST_LOOPS]), *(
                [f"... and {len(part.loops) - MOST_LOOPS} more"] if len(part.loops) > MOST_LOOPS else [])])
            yield from _labelled("BLAS", [f"line {product.line}  {product.text}" for product in part.products])
            yield from _labelled("routines", [name if count == 1 else f"{name}, {count} calls"
                                            for name, count in part.routines.items()])
            yield from _labelled("buffers", [f"{made.name}[{made.shape}] of {made.dtype}: {made.bytes} bytes"
                                             for made in part.buffers])
            yield from _labelled("blocks", list(map(str, part.blocks)))
            if part.tape:
                yield "tape", f"calls go through a table of {part.tape} operations; .jit compiles the text"
            yield "time", ", ".join(f"{stage} {_duration(seconds)}" for stage, seconds in part.seconds.items())
            yield "cache", part.cache or "none: it runs as plain Python"

    def _head(self) -> list[str]:
        sizes = [f"sizes: {', '.join(f'{name} = {size}' for name, size in self.sizes.items())}"] if self.sizes else []
        return [*([self.title] if self.title else []), *sizes]

    def __str__(self) -> str:
        lines = self._head()
        for label, text in self.rows():
            lines += ["", label] if not text else [f"  {label:<10}  {text}".rstrip()]
        return "\n".join([*lines, *(["", self.note] if self.note else [])])

    def __rich__(self) -> Table:
        """The page for a rich console."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text("\n".join(self._head())), title_justify="left", show_header=False,
                      caption=Text(self.note) if self.note else None)
        for label, text in self.rows():
            if not text and table.row_count:
                table.add_section()
            table.add_row(Text(label, style="" if text else "bold"), Text(text))    # names are data, not markup
        return table

    def _repr_html_(self) -> str:
        """The page for Jupyter."""
        return f"<pre>{html.escape(str(self))}</pre>"


def _labelled(label: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    for k, text in enumerate(texts):
        yield ("" if k else label), text


def _shown(loop: LoopReport) -> str:
    made = "" if loop.lanes is None else "scalar" if loop.lanes == 1 else f"vectors of {loop.lanes}"
    made = "in threads" if loop.threads else f"{loop.rows} rows together" if loop.rows > 1 else made
    return f"line {loop.line:<3} {'  ' * loop.depth + loop.text:<44} {made}".rstrip()


def _duration(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 0.1 else f"{seconds * 1e3:.2g} ms"


def report(f: Any, /, *args: Any, sizes: Mapping[str, int] | None = None, vectors: bool = True,
           **values: Any) -> Report:
    """What a function and its gradient were compiled to; it is compiled if it was not yet.

    f        what `gradc.compile` gives, or a derivative of it
    args     arguments of a call, by position or by name, for numbers beside the polynomials; nothing is called
    sizes    or the sizes themselves, by the names of the dimensions: {"n": 1000}
    vectors  which loops LLVM vectorised: it is read from a copy that is compiled with line numbers, which takes as
             long as compiling again; False leaves that out

    Operations are counted in the loops as they are printed, so they show what is computed again. A condition counts
    as if it always held, and a choice as if both its sides were computed. A loop of a small literal size that LLVM
    unrolled counts as scalar. BLAS is called where a product is large; the choice is made at run time.

    Raises ArgumentError for arguments or sizes that do not fit, and for a function of undeclared shapes that has
    not been called or was called with several kinds of arguments, if none are given.

    >>> import gradc
    >>> f = gradc.compile("sum((x[i] - m)**2 for i in range(n))", args={"x": "n", "m": ""}, jit=False)
    >>> found = report(f, sizes={"n": 1000})
    >>> found["value"].operations
    Count(symbolic='3*n', number=3000)
    >>> round(found.ratio, 1)
    1.7
    """
    function, given = _function(f, args, values)
    known = _sizes(function.graph, given, sizes)
    note, functions = "", [function]
    if function.primal is not None:
        functions = [function.primal, function]
    else:
        try:
            functions.append(function.value_and_grad)
        except DerivativeError as error:
            note = f"no gradient: {error}"
    counted = [_counted(one) for one in functions]
    totals = [sum(operations.values(), start=Dim.of(0)) for operations, _ in counted]
    parts = [_part(one, operations, called, known, vectors)
             for one, (operations, called) in zip(functions, counted, strict=True)]
    title = function.graph.title or (function.primal.graph.title if function.primal else "")
    title = title if title.isprintable() else ascii(title)
    title = title if len(title) <= 200 else f"{title[:200]} ..."
    return Report(title, known, tuple(parts), _ratio(totals, known), note)


def _function(f: Any, args: tuple[Any, ...], values: Mapping[str, Any]) -> tuple[Function, list[Any] | None]:
    """The Function of arrays behind what `compile` gave, and its arguments if any were given."""
    if isinstance(f, Late):
        if args or values:
            f, bound = f.bound(args, values)
            args, values = tuple(bound), {}
        else:
            f = f.only("report")
    if isinstance(f, Structured):
        return f.flat, f.flattened(args, values) if args or values else None
    if not isinstance(f, Function):
        raise ArgumentError(f"report takes what gradc.compile gives, not a value of type {type(f).__name__}: "
                            "compile it first")
    return f, bind(f.args, args, values) if args or values else None


def _sizes(graph: Graph, given: list[Any] | None, sizes: Mapping[str, int] | None) -> dict[str, int] | None:
    """The size of every dimension: of the arguments, as they are stated, or {} where there are none."""
    names = list(dict.fromkeys(
        name for node in graph.inputs.values() for name in (
            [name for dim in node.shape for name in sorted(dim.names())] if node.shape else
            [node.attr.name] if node.dtype == "int64" else [])))
    if given is not None:
        if sizes is not None:
            raise ArgumentError("sizes= and arguments were given: the arguments have sizes, leave out one of them")
        found = check_dimensions(graph, convert(graph, given))
        return {name: found[name] for name in names if name in found}
    if sizes is None:
        return None if names else {}
    shown = ", ".join(names) or "none"
    for name, size in sizes.items():
        if name not in names:
            raise ArgumentError(f"there is no size {name}: the sizes are {shown}")
        if type(size) is not int or size < 0:
            raise ArgumentError(f"the size {name} is {size!r}: give a whole number that is not negative")
    absent = [name for name in names if name not in sizes]
    if absent:
        raise ArgumentError(f"sizes lacks {', '.join(absent)}: the sizes are {shown}")
    return {name: sizes[name] for name in names}


def _counted(function: Function) -> tuple[dict[str, Dim], dict[str, int]]:
    """Operations and routines of the loop program, which is made once more: a Function does not keep it."""
    program = lower(finish(function.prepared))
    return counts.operations(program), counts.routines(program)


def _ratio(totals: list[Dim], sizes: Mapping[str, int] | None) -> float | None:
    if len(totals) < 2:
        return None
    names = {name for total in totals for name in total.names()}
    one, other = (total.evaluate({**dict.fromkeys(names, ASSUMED), **(sizes or {})}) for total in totals)
    return other / one if one else None


def _part(function: Function, operations: Mapping[str, Dim], called: dict[str, int], sizes: Mapping[str, int] | None,
          vectors: bool) -> FunctionReport:
    def count(number: Dim) -> Count:
        return Count(str(number), None if sizes is None else number.evaluate(sizes))

    printed, cache = function.printed, function.build()
    work = inventory.work(printed)
    compiled = bool(cache) and function.tape is None
    blocks = tuple(BlockReport(*run) for run in long_runs(printed.module)) if compiled else ()
    lanes = vector_loops(optimised(printed.module), function.source) if vectors and compiled else None
    rows = rows_together(printed.module) if compiled else {}
    loops = tuple(LoopReport(loop.line, loop.depth, loop.text, None if loop.threads else _lanes(
        loop.line, lanes, blocks), loop.threads, rows.get(loop.line, 1)) for loop in inventory.loops(work))
    texts = None if sizes is None else inventory.local_sizes(printed, function.graph, work, sizes)
    return FunctionReport(
        name=function.__name__, operations=count(sum(operations.values(), start=Dim.of(0))),
        functions={name: count(number) for name, number in operations.items() if _is_called(name)},
        loops=loops, buffers=tuple(_buffer(made, texts) for made in inventory.buffers(work)),
        products=tuple(ProductReport(product.line, product.text) for product in inventory.products(work)),
        routines=called, blocks=blocks, tape=0 if function.tape is None else len(function.tape.table),
        seconds=dict(function.seconds), cache=cache)


def _is_called(name: str) -> bool:
    """Whether an operation is a call of a function in the text; an extremum counts as arithmetic."""
    return bool(operation(name).imports) and name not in ("max", "min")


def _lanes(line: int, lanes: Mapping[int, int] | None, blocks: Sequence[BlockReport]) -> int | None:
    """What is known of a loop: in a block instructions do not tell their lines."""
    if lanes is None or any(block.first <= line <= block.last for block in blocks):
        return None
    return lanes.get(line, 1)


def _buffer(made: inventory.Buffer, sizes: Mapping[str, int] | None) -> BufferReport:
    factors = [text if text.isidentifier() or text.isdigit() else f"({text})" for text in made.dimensions]
    number = None if sizes is None else made.elements(sizes)
    count = Count("*".join([str(made.width), *factors]), None if number is None else made.width * number)
    return BufferReport(made.name, ", ".join(made.dimensions), made.dtype, count)
