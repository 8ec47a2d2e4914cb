"""The text form of a graph: readable, deterministic, one line a node, and it parses back.

`to_text` prints what outputs and checks need, with inputs, names, spans, notes, dimensions that must be
equal and checks; `from_text` reads it again, and the result prints the same text. It is what `str(graph)`
shows and what a pickle carries. Everything a user wrote is quoted as data; nothing is evaluated, and
malformed text is a GraphError with the number of the line.

    gradc graph 1
    %0: float64 = input "x" [n]
    %1: int64 = axis n#0
    %2: float64 = read %0[%1]
    %3: float64 = mul(%2, %2) ; name "square"
    %4: float64 = sum over n#0 of %3
    output "f" %4
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from .dims import Axis, Dim, FloorDivision, Minimum
from .errors import GraphError
from .graph import (
    DTYPES,
    CallAttr,
    Check,
    Graph,
    InputAttr,
    Node,
    RuledAttr,
    ScanAttr,
    ScatterAttr,
    Span,
    StoreAttr,
    StorePart,
    pack,
    scatter_parts,
    store_parts,
    unpack,
)
from .routines import ROUTINES
from .table import OPERATIONS, REDUCTIONS
from .verify import SCANS, axes_of, verify

HEADER = "gradc graph 1"
NAN = pack("float64", math.nan)
_NESTING = 50
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_TOKEN = re.compile(
    r'\s*(?:(?P<node>%\d{1,12})|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>\d{1,400}(?:\.\d{0,400})?(?:e[+-]?\d{1,4})?)"
    r"|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<mark>//|\+=|[\[\](){},:=;#*+-]))",
    re.ASCII,
)


def to_text(graph: Graph) -> str:
    """The graph as text; equal graphs give equal text in every process.

    >>> g = Graph()
    >>> g.outputs = [("f", g.input("x") * 2.0)]
    >>> print(to_text(g))
    gradc graph 1
    %0: float64 = input "x" []
    %1: float64 = const 2.0
    %2: float64 = mul(%0, %1)
    output "f" %2
    """
    nodes = sorted({*graph.reachable(), *graph.inputs.values()}, key=lambda n: n.id)
    numbers = {node: f"%{i}" for i, node in enumerate(nodes)}
    lines = [HEADER]
    if graph.source:
        lines.append(f"source {_quoted(graph.source)}")
    lines += [f"{numbers[n]}: {n.dtype} = {_body(n, numbers)}{_origin(graph, n)}" for n in nodes]
    lines += [f"equal {_dim_text(left)}, {_dim_text(right)}" for left, right in graph.equal]
    lines += [f"check {_quoted(c.error)} {_quoted(c.message)} {numbers[c.bad]}" for c in graph.checks]
    lines += [f"output {_quoted(name)} {numbers[node]}" for name, node in graph.outputs]
    lines += [f"remark {_quoted(name)} {_quoted(text)}" for name, text in graph.remarks.items()]
    return "\n".join(lines)


def from_text(text: str) -> Graph:
    """The graph that `to_text` printed; a GraphError names the line of what is malformed.

    >>> str(from_text('gradc graph 1\\n%0: float64 = const 1.5\\noutput "f" %0')).splitlines()[1]
    '%0: float64 = const 1.5'
    """
    graph = Graph()
    lines = text.split("\n")
    if not lines or lines[0].strip() != HEADER:
        raise GraphError(f"line 1: a graph's text begins with {HEADER!r}")
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            _Line(graph, line, number).read()
    verify(graph)
    return graph


# -- printing -------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return json.dumps(text)


def _origin(graph: Graph, node: Node) -> str:
    facts = [f"name {_quoted(name)}" for name in graph.names.get(node, ())]
    if node in graph.spans:
        facts.append(f"span {graph.spans[node].start} {graph.spans[node].stop}")
    if node in graph.notes:
        facts.append(f"note {_quoted(graph.notes[node])}")
    return f" ; {', '.join(facts)}" if facts else ""


def _body(node: Node, numbers: dict[Node, str]) -> str:
    def listed(nodes: Iterable[Node]) -> str:
        return ", ".join([numbers[n] for n in nodes])

    def guarded(guards: Sequence[Node]) -> str:
        return f" if {listed(guards)}" if guards else ""

    op, args, attr = node.op, node.args, node.attr
    if node.is_reduction:
        return f"{op} over {_axis_text(attr)} of {numbers[args[0]]}{guarded(args[1:])}"
    if op in OPERATIONS:
        return f"{op}({listed(args)})"
    if op == "const":
        return f"const {_literal(node)}"
    if op == "dim":
        return f"dim {_dim_text(attr)}"
    if op == "axis":
        return f"axis {_axis_text(attr)}"
    if op == "input":
        return f"input {_quoted(attr.name)} {_shape_text(attr.shape)}"
    if op == "read":
        return f"read {numbers[args[0]]}[{listed(args[1 : 1 + attr])}]{guarded(args[1 + attr :])}"
    if op == "scan":
        flags = (" inclusive" if attr.inclusive else "") + (" reverse" if attr.reverse else "")
        return f"scan {attr.kind}{flags} over {_axis_text(attr.axis)} of {listed(args)}"
    if op == "store":
        base = f" onto {numbers[args[0]]}" if attr.base else ""
        parts = [
            f" {{[{', '.join(map(_place_text, p.axes, p.offsets))}] = {numbers[v]}{guarded(held)}}}"
            for p, v, held in store_parts(attr, args)
        ]
        return f"store {_shape_text(attr.shape)}{base}{''.join(parts)}"
    if op == "scatter_add":
        sums = "".join(
            f" {{[{listed(p.indices)}] += {numbers[p.value]}{guarded(p.guards)}}}"
            for p in scatter_parts(attr, args)
        )
        return f"scatter_add {_shape_text(attr.shape)}{' once' if attr.once else ''}{sums}"
    if op == "ruled":
        passes = ", ".join(map(str, attr.passes))
        along = f" along {_quoted(attr.tangent)}" if attr.tangent else ""
        return f"ruled {_quoted(attr.name)} by {_quoted(attr.rule)} passes ({passes}){along} of {listed(args)}"
    if op == "call":
        solves = f" of {_quoted(ROUTINES[attr.routine].definition)}" if ROUTINES[attr.routine].definition else ""
        return f"call {attr.routine}{solves} result {attr.result} over {attr.batch} of {listed(args)}"
    raise GraphError(f"the text form knows no node of kind {op}")


def _literal(node: Node) -> str:
    value = node.value
    if isinstance(value, float) and math.isnan(value) and node.attr != NAN:
        return f'bits "{node.attr.hex()}"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _dim_text(dim: Dim) -> str:
    """As `str(dim)`, with names that are no plain identifiers quoted."""
    text = ""
    for monomial, factor in dim.terms:
        sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
        size = [str(abs(factor))] if abs(factor) != 1 or not monomial else []
        text += sign + "*".join(size + [_atom_text(atom) for atom in monomial])
    return text or "0"


def _atom_text(atom: str | FloorDivision | Minimum) -> str:
    if isinstance(atom, str):
        return atom if _PLAIN.fullmatch(atom) else _quoted(atom)
    if isinstance(atom, Minimum):
        return f"(({_dim_text(atom.left)}) min ({_dim_text(atom.right)}))"
    return f"(({_dim_text(atom.numerator)})//({_dim_text(atom.denominator)}))"


def _axis_text(axis: Axis) -> str:
    plain = axis.dim.name is not None or (axis.dim.constant or -1) >= 0
    text = _dim_text(axis.dim)
    return f"{text}#{axis.number}" if plain else f"({text})#{axis.number}"


def _place_text(axis: Axis, offset: Dim) -> str:
    return _axis_text(axis) + (f" + ({_dim_text(offset)})" if offset != Dim.of(0) else "")


def _shape_text(shape: Sequence[Dim]) -> str:
    return f"[{', '.join(map(_dim_text, shape))}]"


# -- parsing --------------------------------------------------------------------------------------


class _Line:
    """One line of text as tokens, and the methods that read them into the graph."""

    def __init__(self, graph: Graph, line: str, number: int) -> None:
        self.graph, self.line, self.number, self.at = graph, line, number, 0
        self.tokens: list[tuple[str, str]] = []
        end = 0
        while end < len(line.rstrip()):
            match = _TOKEN.match(line, end)
            if match is None:
                self.fail(f"unreadable text at column {end + 1}")
            self.tokens.append((str(match.lastgroup), match[match.lastgroup or 0]))
            end = match.end()

    def fail(self, message: str) -> NoReturn:
        raise GraphError(f"line {self.number}: {message}")

    # -- tokens -------------------------------------------------------------------------------

    def peek(self, text: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][1] == text

    def accept(self, text: str) -> bool:
        """Whether the next token is `text`; if so it is taken."""
        found = self.peek(text)
        self.at += found
        return found

    def expect(self, text: str) -> None:
        if not self.accept(text):
            shown = self.tokens[self.at][1] if self.at < len(self.tokens) else "the end"
            self.fail(f"{text!r} is expected before {shown!r}")

    def take(self, kind: str, what: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != kind:
            self.fail(f"{what} is missing")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def string(self) -> str:
        try:
            return str(json.loads(self.take("string", "a quoted text")))
        except ValueError:
            self.fail("a quoted text has a wrong escape")

    def integer(self) -> int:
        text = self.take("number", "a whole number")
        if not text.isdigit() or len(text) > 20:
            self.fail(f"{text} is no whole number of at most 20 digits")
        return int(text)

    def node(self) -> Node:
        number = int(self.take("node", "a node")[1:])
        if number >= len(self.graph.nodes):
            self.fail(f"%{number} is used before it is defined")
        return self.graph.nodes[number]

    def node_list(self) -> list[Node]:
        found = [self.node()]
        while self.accept(","):
            found.append(self.node())
        return found

    def guards(self) -> list[Node]:
        return self.node_list() if self.accept("if") else []

    # -- dimensions ---------------------------------------------------------------------------

    def dim(self, depth: int = 0) -> Dim:
        if depth > _NESTING:
            self.fail("a dimension is nested too deeply")
        sign = -1 if self.accept("-") else 1
        total = sign * self._term(depth)
        while self.peek("+") or self.peek("-"):
            sign = 1 if self.accept("+") else -1
            self.at += sign < 0
            total = total + sign * self._term(depth)
        return total

    def _term(self, depth: int) -> Dim:
        value = self._atom(depth)
        while self.accept("*"):
            value = value * self._atom(depth)
        return value

    def _atom(self, depth: int) -> Dim:
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        if kind == "word":
            self.at += 1
            return Dim.of(text)
        if kind == "string":
            return Dim.of(self.string())
        if kind == "number":
            return Dim.of(self.integer())
        self.expect("(")
        self.expect("(")
        numerator = self.dim(depth + 1)
        self.expect(")")
        smaller = self.accept("min")
        for mark in ("(",) if smaller else ("//", "("):
            self.expect(mark)
        denominator = self.dim(depth + 1)
        if smaller:
            self.expect(")")
            self.expect(")")
            return numerator.minimum(denominator)
        if denominator == Dim.of(0):
            self.fail("a dimension is divided by zero")
        self.expect(")")
        self.expect(")")
        return numerator // denominator

    def axis(self) -> Axis:
        if self.accept("("):
            dim = self.dim()
            self.expect(")")
        else:
            dim = self._atom(0)
        self.expect("#")
        return Axis(dim, self.integer())

    def shape(self) -> tuple[Dim, ...]:
        self.expect("[")
        found: list[Dim] = []
        while not self.accept("]"):
            if found:
                self.expect(",")
            found.append(self.dim())
        return tuple(found)

    # -- lines --------------------------------------------------------------------------------

    def read(self) -> None:
        """The whole line into the graph."""
        graph = self.graph
        if self.tokens[0][0] == "node":
            self._definition()
        elif self.accept("source"):
            graph.source = self.string()
        elif self.accept("equal"):
            left = self.dim()
            self.expect(",")
            graph.equal.append((left, self.dim()))
        elif self.accept("check"):
            error = self.string()
            message = self.string()
            graph.checks.append(Check(self.node(), message, error))
        elif self.accept("output"):
            name = self.string()
            graph.outputs.append((name, self.node()))
        elif self.accept("remark"):
            name = self.string()
            graph.remarks[name] = self.string()
        else:
            self.fail(f"a line begins with a node or a known word, not {self.tokens[0][1]!r}")
        if self.at < len(self.tokens):
            self.fail(f"nothing may follow before {self.tokens[self.at][1]!r}")

    def _definition(self) -> None:
        number = int(self.take("node", "a node")[1:])
        if number != len(self.graph.nodes):
            self.fail(f"the next node is %{len(self.graph.nodes)}, not %{number}")
        self.expect(":")
        dtype = self.take("word", "a type")
        if dtype not in DTYPES:
            self.fail(f"{dtype} is not a type")
        self.expect("=")
        op = self.take("word", "an operation")
        parse = _PARSERS.get(op)
        if parse is not None:
            args, attr = parse(self, dtype)
        elif self.accept("over") and op in REDUCTIONS:
            args, attr = self._reduction()
        elif op in OPERATIONS:
            self.expect("(")
            args, attr = self.node_list(), None
            self.expect(")")
        else:
            self.fail(f"no operation {op} in the table")
        node = self.graph._make(op, tuple(args), attr, axes_of(op, args, attr), dtype)
        if node.id != number:
            self.fail(f"%{number} repeats %{node.id}")
        if op == "input":
            if attr.name in self.graph.inputs:
                self.fail(f"the input {attr.name!r} is declared twice")
            self.graph.inputs[attr.name] = node
        if self.accept(";"):
            self._facts(node)

    def _facts(self, node: Node) -> None:
        graph = self.graph
        while True:
            if self.accept("name"):
                graph.name(node, self.string())
            elif self.accept("span"):
                start = self.integer()
                graph.spans[node] = Span(start, self.integer())
            else:
                self.expect("note")
                graph.notes[node] = self.string()
            if not self.accept(","):
                return

    def _reduction(self) -> tuple[list[Node], Any]:
        axis = self.axis()
        self.expect("of")
        return [self.node(), *self.guards()], axis

    def _const(self, dtype: str) -> tuple[list[Node], Any]:
        sign = "-" if self.accept("-") else ""
        if self.accept("bits"):
            text = self.string()
            bits = bytes.fromhex(text) if re.fullmatch("[0-9a-f]{16}", text) else NAN
            if bits == NAN or not math.isnan(unpack("float64", bits)):
                self.fail("a constant's bits are 16 hexadecimal digits of a NaN with a payload")
            return [], bits
        words = ("true", "false") if dtype == "bool" else ("inf", "nan") if dtype.startswith("float") else ()
        for word in words:
            if self.accept(word):
                return [], pack(dtype, word == "true" if dtype == "bool" else float(sign + word))
        if dtype.startswith("float"):
            return [], pack(dtype, float(sign + self.take("number", "a number")))
        if dtype == "bool":
            self.fail("a truth value is true or false")
        value = int(f"{sign}{self.integer()}")
        try:
            return [], pack(dtype, value)
        except GraphError as error:
            self.fail(str(error))

    def _dim(self, _dtype: str) -> tuple[list[Node], Any]:
        return [], self.dim()

    def _axis(self, _dtype: str) -> tuple[list[Node], Any]:
        return [], self.axis()

    def _input(self, _dtype: str) -> tuple[list[Node], Any]:
        name = self.string()
        return [], InputAttr(name, self.shape())

    def _read(self, _dtype: str) -> tuple[list[Node], Any]:
        array = self.node()
        self.expect("[")
        indices = [] if self.peek("]") else self.node_list()
        self.expect("]")
        return [array, *indices, *self.guards()], len(indices)

    def _scan(self, _dtype: str) -> tuple[list[Node], Any]:
        kind = self.take("word", "the kind of a scan")
        if kind not in SCANS:
            self.fail(f"{kind} is no kind of scan")
        inclusive, reverse = self.accept("inclusive"), self.accept("reverse")
        self.expect("over")
        axis = self.axis()
        self.expect("of")
        return self.node_list(), ScanAttr(kind, axis, inclusive, reverse)

    def _store(self, _dtype: str) -> tuple[list[Node], Any]:
        shape = self.shape()
        args = [self.node()] if self.accept("onto") else []
        base, parts = bool(args), []
        while self.accept("{"):
            self.expect("[")
            axes: list[Axis] = []
            offsets: list[Dim] = []
            while not self.accept("]"):
                if axes:
                    self.expect(",")
                axes.append(self.axis())
                offset = Dim.of(0)
                if self.accept("+"):
                    self.expect("(")
                    offset = self.dim()
                    self.expect(")")
                offsets.append(offset)
            self.expect("=")
            args.append(self.node())
            guards = self.guards()
            args += guards
            parts.append(StorePart(tuple(axes), tuple(offsets), len(guards)))
            self.expect("}")
        return args, StoreAttr(shape, tuple(parts), base)

    def _scatter_add(self, _dtype: str) -> tuple[list[Node], Any]:
        shape, args, counts = self.shape(), [], []
        once = self.accept("once")
        while self.accept("{"):
            self.expect("[")
            indices = [] if self.peek("]") else self.node_list()
            self.expect("]")
            self.expect("+=")
            args += [self.node(), *indices]
            guards = self.guards()
            args += guards
            counts.append(len(guards))
            if len(indices) != len(shape):
                self.fail(f"{len(indices)} indices for {len(shape)} dimensions")
            self.expect("}")
        return args, ScatterAttr(shape, tuple(counts), once)

    def _ruled(self, _dtype: str) -> tuple[list[Node], Any]:
        name = self.string()
        self.expect("by")
        rule = self.string()
        self.expect("passes")
        self.expect("(")
        passes: list[int] = []
        while not self.accept(")"):
            passes.append(self.integer())
            self.accept(",")
        tangent = self.string() if self.accept("along") else ""
        self.expect("of")
        args = self.node_list()
        return args, RuledAttr(name, rule, tuple(passes), args[0].shape if args else (), tangent)

    def _call(self, _dtype: str) -> tuple[list[Node], Any]:
        routine = self.take("word", "a routine")
        if self.accept("of"):
            from .implicit import defined

            if defined(self.string()) != routine:
                self.fail(f"{routine} is not the name of the equations that follow it")
        if routine not in ROUTINES:
            self.fail(f"{routine} is no routine: an operation of your own is defined before what uses it is read")
        self.expect("result")
        result = self.integer()
        self.expect("over")
        batch = self.integer()
        self.expect("of")
        args, entry = self.node_list(), ROUTINES[routine]
        if result >= len(entry.results) or len(args) != len(entry.operands):
            self.fail(f"{routine} has {len(entry.operands)} operands and {len(entry.results)} results")
        for arg, ranks in zip(args, entry.operands, strict=True):
            if len(arg.shape) - batch not in ranks:
                self.fail(f"an operand of {routine} has {len(arg.shape)} dimensions")
        shape = (*args[0].shape[:batch], *entry.shapes([arg.shape[batch:] for arg in args])[result])
        return args, CallAttr(routine, result, batch, shape)


_PARSERS: dict[str, Callable[[_Line, str], tuple[list[Node], Any]]] = {
    "const": _Line._const,
    "dim": _Line._dim,
    "axis": _Line._axis,
    "input": _Line._input,
    "read": _Line._read,
    "scan": _Line._scan,
    "store": _Line._store,
    "scatter_add": _Line._scatter_add,
    "call": _Line._call,
    "ruled": _Line._ruled,
}
