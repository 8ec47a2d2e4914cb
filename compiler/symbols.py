"""Nodes as symbols for people: names for every value, and expressions of one operation in those names.

`Symbols` takes a graph and the nodes that are to have a name, and spells any node: a named node by its
name, any other by its operation. Texts are cut at a fixed length, so a graph of any size is spelled in
linear time. This is for reading (`explain`, `draw`), not for running: generated code has its own printer.
Names of the user's are data; what is not a plain name is shown quoted and escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gradc.codegen.expression import Text, bracket
from gradc.ir.dims import Axis, axis_order
from gradc.ir.graph import Graph, Node, scatter_parts, store_parts
from gradc.ir.routines import ROUTINES
from gradc.ir.table import ADD, ATOM, COMPARE, OPERATIONS, POWER, TERNARY, UNARY

LONGEST = 60                    # characters of one spelled expression
_LETTERS = ("q", "r", "s", "t", "u", "v", "w")
_INDICES = ("i", "j", "k", "l", "m")
_INFIX = re.compile(r"\{0\} (\S+) \{1\}")


def number(value: float | int | bool) -> str:
    """A number as one writes it: the shortest text that gives it back, whole numbers without a point.

    >>> number(-4.0), number(0.1), number(2), number(1e22), number(float("inf"))
    ('-4', '0.1', '2', '1e+22', 'inf')
    """
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def shown(name: str) -> str:
    """A user's name on one line: as it is if it is an identifier, else quoted, escaped and cut.

    >>> shown("x"), shown("a b"), shown("<b>"), shown("x\\n")
    ('x', "'a b'", "'<b>'", "'x\\\\n'")
    """
    if name.isidentifier() and len(name) <= LONGEST:
        return name
    text = repr(name) if name.isprintable() else ascii(name)
    return text if len(text) <= LONGEST else f"{text[:LONGEST - 4]}...{text[-1]}"


class Symbols:
    """Names and texts of the nodes of one graph.

    names  node -> its name: what the user called it, an element `x[i]`, or an invented letter
    texts  node -> what it is, in terms of names, with the precedence of the outermost operator
    """

    def __init__(self, graph: Graph, named: Iterable[Node]) -> None:
        self.graph = graph
        self.names: dict[Node, str] = {}
        self.texts: dict[Node, Text] = {}
        self.aliases: dict[Node, str] = {}                      # used where a text would be too long
        named = list(named)
        self._taken = {name for node, names in graph.names.items() if node.op != "axis" for name in names}
        self._taken |= set(graph.inputs)
        for node in graph.inputs.values():
            self.names[node] = shown(node.attr.name)
            self._taken |= {name for dim in node.shape for name in dim.names()}
        self._used = set(self.names.values())
        self._indices = self._index_names()
        self._order = {axis: place for place, axis in enumerate(self._indices)}
        self._name_outputs(named)
        self._name_all(named)
        self.spell(graph.nodes)

    # -- names --------------------------------------------------------------------------------

    def _index_names(self) -> dict[Axis, str]:
        """The user's own index names where they are known, else i, j, k, ..."""
        found: dict[Axis, str] = {}
        for node in self.graph.nodes:
            if node.op == "axis":
                start, stop = self.graph.spans.get(node, (0, 0))
                wanted = (*self.graph.names.get(node, ()), self.graph.source[start:stop])
                fits = (text for text in wanted if text.isidentifier() and text not in self._taken
                        and text not in found.values())
                found.setdefault(node.attr, next(fits, ""))
            axes = [node.attr] if node.is_reduction else sorted(node.axes - found.keys(), key=axis_order)
            if node.op == "store":                              # a part may have axes that its value lacks
                axes = [*axes, *(axis for part, *_ in store_parts(node.attr, node.args) for axis in part.axes)]
            for axis in axes:
                found.setdefault(axis, "")
        pool = [name for name in _INDICES if name not in self._taken and name not in found.values()]
        for axis, name in found.items():
            if not name:
                found[axis] = pool.pop(0) if pool else self._numbered("i", 1, set(found.values()))
        self._taken |= set(found.values())
        return found

    def _numbered(self, prefix: str, start: int, taken: set[str]) -> str:
        while f"{prefix}{start}" in taken or f"{prefix}{start}" in self._taken:
            start += 1
        return f"{prefix}{start}"

    def _name_outputs(self, named: Sequence[Node]) -> None:
        """An output without a name is f if it is the only one, else bears its key."""
        only = len(self.graph.outputs) == 1
        for key, node in self.graph.outputs:
            if node in self.names or node in self.graph.names or node not in named or node.op == "read":
                continue
            wanted = key if not only or key != "value" else "f" if "f" not in self._taken else "value"
            self._give(node, wanted)

    def _name_all(self, named: Sequence[Node]) -> None:
        rest = []
        for node in named:
            if node in self.names:
                continue
            if node in self.graph.names:
                self._give(node, self.graph.names[node][0])
            elif node.op != "read":                             # an element is called by its own text
                rest.append(node)
        letters = [c for c in _LETTERS if c not in self._taken and c not in self._used]
        short = len(rest) <= len(letters)
        for k, node in enumerate(rest):
            self._give(node, letters[k] if short else f"t{k + 1}")

    def _give(self, node: Node, wanted: str) -> None:
        name, number = shown(wanted), 1
        while name in self._used:
            name, number = f"{shown(wanted)}_{number}", number + 1
        self._used.add(name)
        self.names[node] = name

    def index(self, axis: Axis) -> str:
        """The name of the index along an axis; derivatives may bring axes that the formula has not."""
        if axis not in self._indices:
            known = set(self._indices.values()) | self._taken
            free = next((name for name in _INDICES if name not in known), "")
            self._indices[axis] = free or self._numbered("i", 1, known)
            self._order[axis] = len(self._order)
        return self._indices[axis]

    def rank(self, axis: Axis) -> int:
        """The place of an axis in the order in which the formula names the indices."""
        return self._order[axis]

    # -- texts --------------------------------------------------------------------------------

    def spell(self, nodes: Sequence[Node]) -> None:
        """Spell nodes, operands before users."""
        for node in nodes:
            if node not in self.texts:
                text, precedence = self._text(node)
                self.texts[node] = (text, precedence) if len(text) <= LONGEST else ("...", ATOM)
            if node.op == "read" and node not in self.names:
                self.names[node] = self.texts[node][0]

    def name(self, node: Node) -> str:
        """The name of a node that has one, else its text."""
        return self.names[node] if node in self.names else self.texts[node][0]

    def definition(self, node: Node) -> str:
        """What a named node is, in other names; "" for an argument or an element."""
        return "" if node.op in ("input", "read") else self.texts[node][0]

    def operand(self, node: Node) -> Text:
        """A node inside the expression of another one."""
        if node in self.names:
            return self.names[node], ATOM
        text = self.texts[node]
        return (self.aliases[node], ATOM) if text[0] == "..." and node in self.aliases else text

    def _text(self, node: Node) -> Text:
        operands = [self.operand(a) for a in node.args]
        if node.is_reduction:
            return self._reduction(node, operands), ATOM
        if node.op in ("with_partials", "ruled"):
            name = node.attr.name if node.op == "ruled" else self.graph.notes.get(node, node.op)
            own = operands[1:] if node.op == "ruled" else operands[1:1 + len(operands) // 2]
            return f"{name}({', '.join(text for text, _ in own)})", ATOM
        if node.op in OPERATIONS:
            return operation(node, operands)
        if node.op == "const":
            text = number(node.value)
            return text, UNARY if text.startswith("-") else ATOM
        if node.op == "dim":
            text = str(node.attr)
            return text, ATOM if text.isidentifier() else ADD
        if node.op == "axis":
            return self.index(node.attr), ATOM
        if node.op == "input":
            return self.names[node], ATOM
        if node.op == "read":
            index = ", ".join(text for text, _ in operands[1:1 + node.attr])
            return f"{operands[0][0]}[{index}]", ATOM
        return self._array(node), ATOM

    def _reduction(self, node: Node, operands: Sequence[Text]) -> str:
        conditions = "".join(f" if {text}" for text, _ in operands[1:])
        loop = f"for {self.index(node.attr)} in range({node.attr.dim})"
        return f"{node.op}({operands[0][0]} {loop}{conditions})"

    def _array(self, node: Node) -> str:
        if node.op == "scan":
            kind, axis, inclusive, backward = node.attr
            what = {"sum": "running sum", "prod": "running product", "max": "running maximum",
                    "min": "running minimum"}.get(kind, "linear recurrence")
            over = ", ".join(self.operand(a)[0] for a in node.args)
            how = (", backward" if backward else "") + ("" if inclusive else ", each without itself")
            return f"{what} of {over} over {self.index(axis)}{how}"
        if node.op == "call":
            results, position = ROUTINES[node.attr.routine].results, node.attr.result
            which = f".{results[position]}" if len(results) > 1 else ""
            return f"{node.attr.routine}({', '.join(self.operand(a)[0] for a in node.args)}){which}"
        parts = []
        if node.op == "store":
            for part, value, _ in store_parts(node.attr, node.args):
                loops = "".join(f" for {self.index(a)} in range({a.dim})" for a in part.axes)
                parts.append(f"[{self.operand(value)[0]}{loops}]")
            return " and ".join(parts) or "zeros"
        for scatter in scatter_parts(node.attr, node.args):
            index = ", ".join(self.operand(i)[0] for i in scatter.indices)
            parts.append(f"{self.operand(scatter.value)[0]} at [{index}]")
        return " plus ".join(parts) or "zeros"


def operation(node: Node, operands: Sequence[Text]) -> Text:
    """A pointwise operation as one writes it in a formula."""
    entry = OPERATIONS[node.op]
    p = entry.precedence
    if node.op in ("real", "detach"):
        return operands[0]
    if _INFIX.fullmatch(entry.spelling):
        left, right = operands
        if p == POWER:
            texts = bracket(left, POWER + 1), bracket(right, UNARY)
        elif p == COMPARE:
            texts = bracket(left, COMPARE + 1), bracket(right, COMPARE + 1)
        else:
            texts = bracket(left, p), bracket(right, p + 1)
        return entry.spelling.format(*texts), p
    if p == TERNARY:
        texts3 = bracket(operands[0], p + 1), bracket(operands[1], p + 1), operands[2][0]
        return entry.spelling.format(*texts3), p
    if node.op in ("neg", "not"):
        return entry.spelling.format(bracket(operands[0], p)), p
    name = entry.formula[0] if entry.formula else entry.name
    return f"{name}({', '.join(text for text, _ in operands)})", ATOM


def derivative(of: str, by: str) -> str:
    """The symbol of a derivative: dq/dx."""
    return f"d{of}/d{by}"
