"""Expressions as text: one case a node kind, and no default spelling.

Takes an inline node, the text and precedence of its operands, and gives its own. Brackets are exactly
those that keep the graph's association, so the text computes what the graph says to the last bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from gradc.ir.dims import Axis, Dim, Minimum
from gradc.ir.errors import GraphError
from gradc.ir.graph import Graph, Node
from gradc.ir.table import ADD, ATOM, COMPARE, MULTIPLY, NOT, OPERATIONS, POWER, REDUCTIONS, TERNARY, UNARY, Operation

from .items import Item

Text = tuple[str, int]          # text and the precedence of its outermost operator

_INFIX = re.compile(r"\{0\} (\S+|and|or) \{1\}")
_HOLE = re.compile(r"\{(\d)\}")


def number(value: float | int | bool, dtype: str) -> Text:
    """A literal. Infinities and NaN are names that the text imports from NumPy."""
    if dtype == "bool":
        return str(bool(value)), ATOM
    if dtype == "int64":
        return str(value), UNARY if value < 0 else ATOM
    value = float(value)
    if math.isnan(value):
        text = "nan"
    elif math.isinf(value):
        text = "inf" if value > 0 else "-inf"
    else:
        text = repr(value)
    if dtype == "float32":
        return f"float32({text})", ATOM
    return text, UNARY if text.startswith("-") else ATOM


def identity(node: Node) -> str:
    """What a reduction or a scan starts from."""
    op = node.attr.kind if node.op == "scan" else node.op
    if op in ("argmax", "argmin"):
        return "-1"
    if op in ("max", "min"):
        if node.dtype == "int64":
            return str(-(2**63) + 1 if op == "max" else 2**63 - 1)
        return "-inf" if op == "max" else "inf"
    if node.op == "scan":
        return number(1.0 if op == "prod" else 0.0, node.dtype)[0]    # in single precision a running value is rounded
    start = REDUCTIONS[node.op].identity
    assert start is not None, f"{node.op} should have been expanded"
    return number(int(start) if node.dtype == "int64" else start, node.dtype)[0]


def scan_step(kind: str, state: str, operands: Sequence[Text]) -> str:
    """The statement that takes the state of a scan one point further."""
    if kind == "linrec":
        return f"{state} = {bracket(operands[0], 11)} * {state} + {bracket(operands[1], 10)}"
    if kind in ("max", "min"):
        return f"{state} = {kind}imum({state}, {operands[0][0]})"
    return f"{state} = {state} {'*' if kind == 'prod' else '+'} {bracket(operands[0], 12)}"


def dimension(dim: Dim, names: Mapping[str, str]) -> Text:
    """A dimension in terms of the text's own names."""
    text = str(dim.rename({name: Dim.of(names[name]) for name in dim.names()}))
    if text.isidentifier() or text.isdigit():
        return text, ATOM
    return text, ADD if (" + " in text or " - " in text or text.startswith("-")) else MULTIPLY


def extent(dim: Dim, names: Mapping[str, str], graph: Graph) -> str:
    """A dimension as the size of an array: an expression, or an integer argument, may be negative."""
    text, _ = dimension(dim, names)
    argument = graph.inputs.get(dim.name or "")
    bound = dim.name is not None and (argument is None or bool(argument.shape))
    return text if bound or _is_size(dim, graph) else f"max({text}, 0)"


def _is_size(dim: Dim, graph: Graph) -> bool:
    """Whether a dimension is made of sizes of arrays so that it cannot be negative."""
    def is_size(atom: object) -> bool:
        if isinstance(atom, Minimum):
            return all(_is_size(part, graph) for part in atom.parts())
        return isinstance(atom, str) and (atom not in graph.inputs or bool(graph.inputs[atom].shape))

    return all(factor >= 0 for _, factor in dim.terms) and all(map(is_size, dim.atoms()))


def bracket(text: Text, least: int) -> str:
    """The text, in brackets if its operator binds less tightly than `least`."""
    return text[0] if text[1] >= least else f"({text[0]})"


def operation(node: Node, operands: Sequence[Text]) -> Text:
    """A pointwise operation of the table."""
    entry = OPERATIONS[node.op]
    if node.op == "detach":
        return operands[0]
    if node.op == "real":
        return (f"float({operands[0][0]})", ATOM) if node.args[0].dtype == "bool" else operands[0]
    if node.dtype.startswith("float") and entry.result == "real" and all(map(is_whole, node.args)):
        operands = [(f"float({text})", ATOM) for text, _ in operands]   # or Numba would wrap around, or truncate
    if node.dtype == "int64" and "0" in (text for text, _ in operands):     # the index of an axis of size 1
        kept = [text for text in operands if text[0] != "0"]
        if node.op == "mul":
            return "0", ATOM
        if node.op == "add" or (node.op == "sub" and operands[1][0] == "0"):
            return kept[0] if kept else ("0", ATOM)
    if node.op == "pow" and node.args[1].op == "const":
        exponent = float(node.args[1].value)
        if exponent.is_integer() and abs(exponent) < 64:        # Numba multiplies for a whole exponent
            return f"{bracket(operands[0], POWER + 1)} ** {int(exponent)}", POWER
    if entry.arity is None:
        text = operands[0]
        for other in operands[1:]:
            text = _fill(entry, (text, other))
        return text
    return _fill(entry, operands)


def is_whole(node: Node) -> bool:
    """Whether the text of a node is that of a whole number, also where its value counts as real."""
    while node.op in ("real", "detach", "neg"):
        node = node.args[0]
    return node.dtype == "int64"


def _fill(entry: Operation, operands: Sequence[Text]) -> Text:
    spelling = entry.spelling
    if _INFIX.fullmatch(spelling):
        return spelling.format(*_infix(entry, operands)), entry.precedence
    if entry.precedence == TERNARY:
        texts = [bracket(operands[0], TERNARY + 1), bracket(operands[1], TERNARY + 1), operands[2][0]]
        return spelling.format(*texts), TERNARY
    if entry.precedence in (UNARY, NOT):
        return spelling.format(bracket(operands[0], entry.precedence)), entry.precedence

    def hole(match: re.Match[str]) -> str:
        before, after = spelling[:match.start()], spelling[match.end():]
        alone = before.endswith(("(", ", ")) and after.startswith((")", ", "))
        return bracket(operands[int(match[1])], 0 if alone else ATOM)

    return _HOLE.sub(hole, spelling), entry.precedence


def _infix(entry: Operation, operands: Sequence[Text]) -> tuple[str, str]:
    p = entry.precedence
    left, right = operands
    if p == POWER:
        return bracket(left, POWER + 1), bracket(right, UNARY)
    if p == COMPARE:
        return bracket(left, COMPARE + 1), bracket(right, COMPARE + 1)
    if p in (ADD, MULTIPLY):
        return bracket(left, p), bracket(right, p + 1)
    return bracket(left, p), bracket(right, p)


def leaf(node: Node, dims: Mapping[str, str], axis: Callable[[Node], str],
         variable: Callable[[Node], str]) -> Text:
    """A constant, a dimension, an axis or an input."""
    if node.op == "const":
        return number(node.value, node.dtype)
    if node.op == "dim":
        return dimension(node.attr, dims)
    if node.op == "axis":
        return axis(node), ATOM
    if node.op == "input":
        return variable(node), ATOM
    raise GraphError(f"no spelling for a node of kind {node.op}")


def closure(root: Node, stop: object) -> list[Node]:
    """The nodes under a root, operands first, not going below those where `stop` holds."""
    seen: set[Node] = set()
    stack = [root]
    assert callable(stop)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if not stop(node) and not (node.is_array and node.op != "input"):
            stack += node.args
    return sorted(seen, key=lambda n: n.id)


def added_to(target: str, text: Text) -> str:
    """`target += text`, with a leading sign turned into `-=`."""
    if text[0].startswith("-") and text[1] in (11, 12):
        inner = text[0][1:]
        return f"{target} -= {inner[1:-1] if is_wrapped(inner) else inner}"
    return f"{target} += {text[0]}"


def is_wrapped(text: str) -> bool:
    """Whether one pair of brackets encloses the whole text."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


def product(item: Item, held: Callable[[Node], tuple[str, tuple[Axis, ...]]],
            size: Callable[[Sequence[Axis]], str], names: Mapping[Axis, str]) -> str:
    """The call that multiplies two matrices into a third: `matmul(x, W.T, scores)`.

    held    the array that holds a value, with its axes in order
    size    the text of the product of some axes' lengths
    names   the variables of the loops around the call
    """
    made = item.contraction
    assert made is not None

    def matrix(node: Node, first: tuple[Axis, ...], second: tuple[Axis, ...]) -> str:
        text, axes = held(node)
        around = [names[axis] for axis in axes if axis in made.loops]
        axes = axes[len(around):]
        turned = axes == second + first
        text += f"[{', '.join(around)}]" if around else ""
        if len(axes) > 2:
            before, after = (second, first) if turned else (first, second)
            text = f"{text}.reshape({size(before)}, {size(after)})"
        return text + ".T" * turned

    return (f"matmul({matrix(made.left, made.rows, made.summed)}, {matrix(made.right, made.summed, made.columns)}, "
            f"{matrix(item.node, made.rows, made.columns)})")
