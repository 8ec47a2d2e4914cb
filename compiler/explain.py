"""`explain`: the table of every node of the user's graph, in numbers or in symbols.

Takes a graph, the arguments to differentiate by and optionally their values, and gives an `Explanation`
whose rows are data and which shows itself as text, in a rich console and in Jupyter. What stands in the
rows comes from `anatomy`; this module says it in words and lays it out.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradc.ir.dims import Dim
from gradc.ir.graph import ARRAYS, Graph, Node, store_parts

from .anatomy import Anatomy, Summary, Value, brief, examine, is_finite
from .symbols import derivative

if TYPE_CHECKING:
    from rich.table import Table

ROWS_SHOWN = 200
TERMS_SHOWN = 4
IN_WORDS = {"prod": "the product of the others", "max": "1 at the maximum, shared by ties",
            "min": "1 at the minimum, shared by ties"}


@dataclass(frozen=True)
class Partial:
    """A local partial derivative: its symbol dq/dx, its formula, and its value if values were given."""

    symbol: str
    formula: str
    value: Value | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.symbol} = {self.formula}"
        number = brief(self.value)
        if isinstance(self.value, Summary):
            number = f"[{brief(self.value.minimum)} .. {brief(self.value.maximum)}]"
        if self.formula in (number, "..."):
            return f"{self.symbol} = {number}"
        return f"{self.symbol} = {self.formula} = {number}"


@dataclass(frozen=True)
class Row:
    """One node.

    name        what it is called: an argument, the user's name, an element x[i], or an invented letter
    expression  what it computes, in terms of names; "" for an argument and an element
    partials    its derivative by each operand
    adjoint     symbol of the output's derivative by it (df/dq); "" where there is none
    rule        the chain rule for that derivative, and what it comes to: df/dx = df/dq · dq/dx = z
    uses        how many uses were summed into the adjoint
    value       forward value, an array as its summary; None in symbols
    derivative  value of the adjoint
    mark        "value" or "adjoint" if that is the first one that is not finite, else ""
    """

    name: str
    expression: str
    partials: tuple[Partial, ...] = ()
    adjoint: str = ""
    rule: str = ""
    uses: int = 0
    value: Value | None = None
    derivative: Value | None = None
    mark: str = ""

    @property
    def equation(self) -> str:
        """The node as one writes it: q = x + y."""
        return f"{self.name} = {self.expression}" if self.expression else self.name


@dataclass(frozen=True)
class Explanation:
    """The table of a function: `rows` are data, `str` a plain table; it shows itself in Jupyter and rich.

    title    the formula
    rows     one for each node, arguments first, then operands before users
    numeric  whether values were given
    note     what a reader must know, such as why there are no adjoints
    """

    title: str
    rows: tuple[Row, ...]
    numeric: bool
    note: str = ""

    def __getitem__(self, name: str) -> Row:
        """The row of a node by its name; a KeyError lists the names."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no node is called {name}: the names are {', '.join(r.name for r in self.rows[:50])}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the table; the last one is there for the mark."""
        marked = ("",) if any(row.mark for row in self.rows) else ()
        if self.numeric:
            return ("node", "value", "local partials", "adjoint", "uses", *marked)
        return ("node", "local partials", "adjoint by the chain rule", "uses")

    def cells(self) -> Iterator[tuple[str, ...]]:
        """The table as texts, cut after 200 rows."""
        for row in self.rows[:ROWS_SHOWN]:
            partials = ", ".join(map(str, row.partials))
            uses = str(row.uses) if row.uses else ""
            if not self.numeric:
                yield row.equation, partials, row.rule, uses
                continue
            value = "" if row.value is None else brief(row.value)
            adjoint = "" if row.derivative is None else f"{row.adjoint} = {brief(row.derivative)}"
            mark = f"<-- the first {row.mark} that is not finite" if row.mark else ""
            yield (row.equation, value, partials, adjoint, uses, mark)[:len(self.columns)]

    def _remarks(self) -> list[str]:
        more = len(self.rows) - ROWS_SHOWN
        cut = [f"... and {more} more rows: they are all in .rows"] if more > 0 else []
        return [*cut, *([self.note] if self.note else [])]

    def __str__(self) -> str:
        table = [self.columns, *self.cells()]
        widths = [max(len(line[k]) for line in table) for k in range(len(self.columns))]
        right = {"value", "uses"}
        lines = [self.title, ""] if self.title else []
        for number, line in enumerate(table):
            cells = [text.rjust(width) if heading in right else text.ljust(width)
                     for text, width, heading in zip(line, widths, self.columns, strict=True)]
            lines.append("  ".join(cells).rstrip())
            if number == 0:
                lines.append("  ".join("-" * width for width in widths))
        return "\n".join([*lines, *self._remarks()])

    def __rich__(self) -> Table:
        """The table for a rich console."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.title) if self.title else None, title_justify="left",
                      caption=Text("\n".join(self._remarks())) if self._remarks() else None)
        styles = {"value": "green", "adjoint": "red", "adjoint by the chain rule": "red"}
        for heading in self.columns:
            table.add_column(heading, style=styles.get(heading, ""), overflow="fold",
                             justify="right" if heading == "uses" else "left")
        for line in self.cells():
            table.add_row(*map(Text, line))                     # names are data, not markup
        return table

    def _repr_html_(self) -> str:
        """The table for Jupyter."""
        def line(kind: str, cells: Sequence[str]) -> str:
            inner = "".join(f"<{kind} style='text-align:left'>{html.escape(text)}</{kind}>" for text in cells)
            return f"<tr>{inner}</tr>"

        body = "".join(line("td", cells) for cells in self.cells())
        title = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        notes = "".join(f"<p>{html.escape(text)}</p>" for text in self._remarks())
        head = line("th", self.columns)
        return f"<table>{title}<thead>{head}</thead><tbody>{body}</tbody></table>{notes}"


def explain(graph: Graph, wrt: Sequence[str], values: Mapping[str, Any] | None = None) -> Explanation:
    """The table of every node: what it computes, its value, its local partials, its adjoint.

    graph   as the user wrote it
    wrt     the arguments to differentiate by
    values  a value for each input of the graph; None gives the table in symbols

    Raises what the interpreter raises for values: ArgumentError, ShapeError, DomainError.

    >>> import gradc
    >>> f = gradc.compile("q = x + y; f = q * z", jit=False)
    >>> f.explain()["x"].rule
    'df/dx = df/dq · dq/dx = z'
    >>> [row.derivative for row in f.explain(x=-2, y=5, z=-4).rows]
    [-4.0, -4.0, 3.0, -4.0, 1.0]
    """
    found = examine(graph, wrt, values)
    place = _first_not_finite(found)
    rows = [_row(found, node, place[1] if place and place[0] is node else "") for node in found.shown]
    note = found.note
    if place is not None and not note:
        note = ("Values are those of the formula as it is written; the compiled function may avoid this one "
                "by a stable form.")
    title = graph.title
    title = title if title.isprintable() else ascii(title)
    title = title if len(title) <= 200 else title[:200] + " ..."
    return Explanation(title, tuple(rows), values is not None, note)


def _first_not_finite(found: Anatomy) -> tuple[Node, str] | None:
    """The first value that is not finite: forward, then among the adjoints from the output back."""
    for node in found.shown:
        value = found.value(node)
        if value is not None and not is_finite(value):
            return node, "value"
    for node in reversed(found.shown):
        value = found.value(found.adjoints.get(node))
        if value is not None and not is_finite(value):
            return node, "adjoint"
    return None


def _row(found: Anatomy, node: Node, mark: str) -> Row:
    symbols = found.symbols
    partials = []
    for x in dict.fromkeys(node.args):
        partial = found.partials.get((node, x))
        if partial is not None:
            said = IN_WORDS.get(node.op) if node.is_reduction else None
            formula = said or symbols.operand(partial)[0]
            partials.append(Partial(_local(found, node, x), formula, found.value(partial)))
    adjoint = found.adjoints.get(node) if found.output is not None else None
    return Row(
        name=symbols.name(node), expression=symbols.definition(node), partials=tuple(partials),
        adjoint=found.symbol(node) if adjoint is not None else "",
        rule=_rule(found, node, adjoint) if adjoint is not None else "",
        uses=len(found.users.get(node, ())) if adjoint is not None else 0,
        value=found.value(node), derivative=found.value(adjoint), mark=mark,
    )


def _local(found: Anatomy, user: Node, x: Node) -> str:
    """The symbol of a local partial; with a curly d where df/dx is already the sum over all uses of x."""
    of, by = found.symbols.name(user), found.symbols.name(x)
    many = user is found.output and len(set(found.users.get(x, ()))) > 1
    return f"∂{of}/∂{by}" if many else derivative(of, by)


def _passed(found: Anatomy, user: Node, x: Node) -> str:
    """What an array passes back: its element where x stands in it, or what the rule of a routine makes."""
    outer = found.symbol(user)
    if user.op == "call":
        return f"{outer} through {user.attr.routine}"
    for part, value, _ in store_parts(user.attr, user.args) if user.op == "store" else ():
        if value is x:
            places = [found.symbols.index(axis) + (f" + {offset}" if offset != Dim.of(0) else "")
                      for axis, offset in zip(part.axes, part.offsets, strict=True)]
            return f"{outer}[{', '.join(places)}]"
    return f"{outer} where it shows"


def _rule(found: Anatomy, node: Node, adjoint: Node) -> str:
    """df/dx = df/dq · dq/dx = z: one product for each user, then what the sum comes to."""
    symbol = found.symbol(node)
    if node is found.output:
        return f"{symbol} = 1"
    terms = []
    users = list(dict.fromkeys(found.users.get(node, ())))
    for user in users[:TERMS_SHOWN]:
        outer, local = found.symbol(user), _local(found, user, node)
        if user.op == "read":
            index = ", ".join(found.symbols.operand(i)[0] for i in user.args[1:1 + user.attr])
            terms.append(f"{outer} at [{index}]")
            continue
        if user.op in ARRAYS:
            terms.append(_passed(found, user, node))
            continue
        term = local if user is found.output else f"{outer} · {local}"      # df/df = 1 is left out
        over = sorted(user.axes - node.axes, key=found.symbols.rank)
        if over:
            term = f"sum over {', '.join(map(found.symbols.index, over))} of {term}"
        terms.append(term if term != symbol else "")
    if len(users) > TERMS_SHOWN:
        terms.append("...")
    text = found.symbols.names.get(adjoint) or found.symbols.texts[adjoint][0]
    chain = " + ".join(term for term in terms if term)
    parts = [symbol, *([chain] if chain else []), *([text] if "..." not in text and text != chain else [])]
    return " = ".join(parts)
