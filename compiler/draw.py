"""`draw`: the circuit diagram of a function, as the textbook draws it, in SVG, DOT or Mermaid.

Takes a graph, the arguments to differentiate by and optionally their values. Operations stand in circles,
arguments as names at their side; along each wire runs the forward value in green and the gradient in red.
This module decides what is drawn and writes DOT and Mermaid; `layout` decides where, `svg` paints.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gradc.ir.errors import FormulaError, SizeError
from gradc.ir.graph import ARRAYS, Graph, Node

from .anatomy import Anatomy, brief, examine, is_finite
from .symbols import number

MAX_NODES = 3000
DIRECTIONS = ("LR", "TB")
FORMATS = ("svg", "dot", "mermaid")
ENDINGS = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".md": "mermaid"}
GREEN, RED = "#1a7f37", "#cf222e"

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "pow": "^",
          "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "eq": "==",
          "not_equal": "!="}
_WORDS = {"neg": "*-1", "select": "if", "sum": "Σ", "prod": "Π", "scatter_add": "scatter"}
_SYMMETRIC = {"add", "mul", "and", "or", "max", "min", "eq", "not_equal", "hypot", "logaddexp"}


@dataclass(frozen=True)
class Mark:
    """One drawn node.

    label     text in the circle; an argument's name
    name      the user's name for the value, "" if there is none
    value     forward value, gradient the adjoint, as short texts, "" if unknown
    tip       everything that is known of the node, for a tooltip
    sources   numbers of the marks whose wires enter, in the order of the operands
    signs     what each wire is to the operation where the order matters: "-", "/", "^", "1", "2", ...
    argument  whether it is an argument, drawn as its bare name
    output    whether its wire leaves the picture
    bad       whether it is the first value that is not finite
    """

    label: str
    name: str
    value: str
    gradient: str
    tip: str
    sources: tuple[int, ...]
    signs: tuple[str, ...]
    argument: bool
    output: bool
    bad: bool = False


class Drawing:
    """A picture of a graph; it shows itself in Jupyter, and `save` writes it by the file's ending.

    marks      what is drawn
    direction  "LR" or "TB"
    format     what `str` gives: "svg", "dot" or "mermaid"
    """

    def __init__(self, marks: Sequence[Mark], direction: str, format: str, title: str) -> None:
        self.marks = tuple(marks)
        self.direction, self.format, self.title = direction, format, title

    @cached_property
    def svg(self) -> str:
        """The picture as SVG, the same bytes each time."""
        from .svg import render

        return render(self.marks, self.direction, self.title)

    @cached_property
    def dot(self) -> str:
        """The picture as Graphviz DOT text."""
        return to_dot(self.marks, self.direction)

    @cached_property
    def mermaid(self) -> str:
        """The picture as Mermaid text, which GitHub and many editors show."""
        return to_mermaid(self.marks, self.direction)

    def save(self, path: str | Path) -> None:
        """Write the file in the format of its ending: .svg, .dot or .gv, .mmd or .md; else a FormulaError."""
        suffix = Path(path).suffix.lower()
        if suffix not in ENDINGS:
            raise FormulaError(f"a drawing cannot be saved as {suffix or 'a file without an ending'}: "
                               "end the path in .svg, .dot or .mmd")
        text: str = getattr(self, ENDINGS[suffix])
        if suffix == ".md":
            text = f"```mermaid\n{text}```\n"
        Path(path).write_text(text, encoding="utf-8")

    def __str__(self) -> str:
        text: str = getattr(self, self.format)
        return text

    def __repr__(self) -> str:
        return f"<gradc drawing of {len(self.marks)} nodes>"

    def _repr_svg_(self) -> str:
        return self.svg


def draw(graph: Graph, wrt: Sequence[str], values: Mapping[str, Any] | None = None, direction: str = "LR",
         format: str = "svg") -> Drawing:
    """The circuit diagram of a graph.

    graph      as the user wrote it
    wrt        the arguments to differentiate by
    values     a value for each input; None draws the circuit without numbers
    direction  "LR" from left to right, "TB" from the top down
    format     what `str` of the drawing gives: "svg", "dot" or "mermaid"

    Raises FormulaError for an unknown direction or format, SizeError beyond 3,000 nodes, and for values
    what the interpreter raises.

    >>> import gradc
    >>> picture = gradc.compile("(x + y) * z", jit=False).draw(x=-2, y=5, z=-4)
    >>> [(mark.label, mark.value, mark.gradient) for mark in picture.marks]
    [('x', '-2', '-4'), ('y', '5', '-4'), ('z', '-4', '3'), ('+', '3', '-4'), ('*', '-12', '1')]
    """
    if direction not in DIRECTIONS:
        raise FormulaError(f'direction must be "LR" (left to right) or "TB" (top down), not {direction!r}')
    if format not in FORMATS:
        raise FormulaError(f'format must be "svg", "dot" or "mermaid", not {format!r}')
    found = examine(graph, wrt, values)
    if len(found.shown) > MAX_NODES:
        raise SizeError(f"the graph has {len(found.shown):,} nodes, and a picture takes at most "
                        f"{MAX_NODES:,}: draw a part of it, or print the table with explain")
    title = graph.title
    return Drawing(_marks(found), direction, format, title if len(title) <= 200 else title[:200] + " ...")


def _marks(found: Anatomy) -> list[Mark]:
    numbers = {node: k for k, node in enumerate(found.shown)}
    outputs = {node for _, node in found.graph.outputs}
    bad = next((n for n in found.shown if (v := found.value(n)) is not None and not is_finite(v)), None)
    marks = []
    for node in found.shown:
        sources = _sources(found, node, numbers)
        named = node in found.graph.names and node.op != "input"
        marks.append(Mark(
            label=_label(found, node, numbers, len(sources)), name=found.symbols.name(node) if named else "",
            value=_text(found, node), gradient=_text(found, found.adjoints.get(node)), tip=_tip(found, node),
            sources=tuple(numbers[s] for s in sources), signs=_signs(node, sources),
            argument=node.op == "input", output=node in outputs, bad=node is bad))
    return marks


def _sources(found: Anatomy, node: Node, numbers: Mapping[Node, int]) -> list[Node]:
    """The drawn nodes that enter a node; what stands between them (constants, indices) is in its label."""
    result: list[Node] = []
    for arg in node.args:
        if arg in numbers:
            result.append(arg)
            continue
        seen, stack, behind = {arg}, [arg], set[Node]()
        while stack:
            inner = stack.pop()
            if inner in numbers:
                behind.add(inner)
                continue
            if inner.op == "dim":
                behind |= {found.graph.inputs[n] for n in inner.attr.names() if n in found.graph.inputs}
            fresh = [a for a in inner.args if a not in seen]
            seen.update(fresh)
            stack += fresh
        result += sorted(behind - set(result), key=lambda n: numbers[n])
    if node.is_reduction:
        names = sorted(node.attr.dim.names())
        sizes = [found.graph.inputs[n] for n in names if n in found.graph.inputs]
        result += [size for size in sizes if size not in result]
    return result


def _label(found: Anatomy, node: Node, numbers: Mapping[Node, int], wires: int) -> str:
    """What stands in the circle: the operation, with a constant operand as in +1, 1/x, x²."""
    symbols = found.symbols
    if node.op == "input":
        shape = " ".join(map(str, node.shape))
        return f"{symbols.name(node)}: {shape}" if shape else symbols.name(node)
    if node.op == "read":
        index = ", ".join(symbols.operand(i)[0] for i in node.args[1:1 + node.attr])
        return f"[{index}]"
    if node.is_reduction:
        return f"{_WORDS.get(node.op, node.op)} {symbols.index(node.attr)}"
    if node.op in _SIGNS:
        return _infix_label(found, node, numbers) if wires == 1 else _SIGNS[node.op]
    if node.op == "scan":
        return {"sum": "cumsum", "prod": "cumprod", "max": "cummax", "min": "cummin"}.get(node.attr.kind, "scan")
    return node.attr.routine if node.op == "call" else _WORDS.get(node.op, node.op)


def _infix_label(found: Anatomy, node: Node, numbers: Mapping[Node, int]) -> str:
    sign = _SIGNS[node.op]
    left, right = node.args
    if left in numbers and right in numbers:                    # x * x: one wire would be two
        return sign
    constant = right if left in numbers else left
    text = _short(constant.value) if constant.op == "const" else found.symbols.operand(constant)[0]
    if len(text) > 12:
        return sign
    if node.op == "pow" and constant is right and text.lstrip("-").isdigit():
        return "x" + text.translate(_SUPERSCRIPT)
    if constant is left and node.op not in ("add", "mul"):
        return f"{text}{sign}x"
    return f"{'x' if node.op == 'pow' else ''}{sign}{text}"


def _signs(node: Node, sources: Sequence[Node]) -> tuple[str, ...]:
    none = ("",) * len(sources)
    if len(sources) != len(node.args) or len(sources) < 2 or node.op in _SYMMETRIC or node.op in (
            "read", "scan", *ARRAYS) or node.is_reduction:
        return none
    if node.op == "sub":
        return ("+", "-")
    if node.op == "select":
        return ("if", "yes", "no")
    if len(sources) == 2 and node.op in _SIGNS:
        return ("left", "right") if node.op not in ("div", "pow") else ("", "/" if node.op == "div" else "^")
    return tuple(str(k + 1) for k in range(len(sources)))


def _short(value: float | int | bool) -> str:
    return number(float(f"{value:.4g}")) if isinstance(value, float) else str(value)


def _text(found: Anatomy, node: Node | None) -> str:
    """A value in a few characters; an array of up to three elements in full, else its extremes."""
    if node is None or node not in found.values:
        return ""
    array = np.asarray(found.array(node))
    if array.ndim == 0:
        return _short(array.item())
    if array.ndim == 1 and array.size <= 3:
        return f"[{', '.join(_short(v.item()) for v in array)}]"
    value = found.value(node)
    if not array.size or value is None or isinstance(value, (float, int)):
        return "empty"
    low, high = _short(value.minimum), _short(value.maximum)
    return low if low == high else f"{low} … {high}"


def _tip(found: Anatomy, node: Node) -> str:
    symbols = found.symbols
    definition = symbols.definition(node)
    lines = [f"{symbols.name(node)} = {definition}" if definition else symbols.name(node)]
    value = found.value(node)
    if value is not None:
        lines.append(f"value {brief(value)}")
    adjoint = found.adjoints.get(node)
    if adjoint is not None and found.output is not None:
        known = found.value(adjoint)
        uses = len(found.users.get(node, ()))
        summed = f", the sum of {uses} uses" if uses > 1 else ""
        said = symbols.operand(adjoint)[0] if known is None else brief(known)
        lines.append(f"{found.symbol(node)} = {said}{summed}")
    return "\n".join(lines)


# -- texts for other tools ------------------------------------------------------------------------


def to_dot(marks: Sequence[Mark], direction: str) -> str:
    """Graphviz DOT: the same circuit, laid out by any tool that reads it."""
    lines = ["digraph gradc {", f"  rankdir={direction};", '  node [fontname="Helvetica"];',
             '  edge [fontname="Helvetica", fontsize=11];']
    for k, mark in enumerate(marks):
        shape = "plaintext" if mark.argument else "circle" if len(mark.label) <= 5 else "ellipse"
        outside = f", xlabel={_quoted(mark.name)}" if mark.name else ""
        lines.append(f"  n{k} [label={_quoted(mark.label)}, shape={shape}{outside}];")
    for k, mark in enumerate(marks):
        for source, sign in zip(mark.sources, mark.signs, strict=True):
            head = f", headlabel={_quoted(sign)}" if sign else ""
            lines.append(f"  n{source} -> n{k} [{_dot_label(marks[source])}{head}];")
        if mark.output:
            lines += [f"  out{k} [shape=point, width=0.05];", f"  n{k} -> out{k} [{_dot_label(mark)}];"]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dot_label(mark: Mark) -> str:
    texts = [f'<font color="{colour}">{html.escape(text)}</font>'
             for text, colour in ((mark.value, GREEN), (mark.gradient, RED)) if text]
    return f"label=<{'<br/>'.join(texts)}>" if texts else 'label=""'


def to_mermaid(marks: Sequence[Mark], direction: str) -> str:
    """Mermaid text, for pages and editors that draw it."""
    lines = [f"flowchart {direction}"]
    for k, mark in enumerate(marks):
        text = _entities(f"{mark.name} = {mark.label}" if mark.name else mark.label)
        lines.append(f'  n{k}["{text}"]' if mark.argument else f'  n{k}(("{text}"))')
    for k, mark in enumerate(marks):
        lines += [f"  n{source} --{_mermaid_label(marks[source])}> n{k}" for source in mark.sources]
        if mark.output:
            lines += [f'  out{k}[" "]', f"  n{k} --{_mermaid_label(mark)}> out{k}"]
    return "\n".join(lines) + "\n"


def _mermaid_label(mark: Mark) -> str:
    text = " | ".join(t for t in (mark.value, mark.gradient) if t)
    return f' "{_entities(text)}" --' if text else ""


def _entities(text: str) -> str:
    """Text in Mermaid's own escapes: everything but letters, digits and a few signs as #number;."""
    return "".join(c if c.isalnum() or c in " _.,+-" else f"#{ord(c)};" for c in text)
