"""What a compiled function consists of: loops, buffers, products of matrices.

All is read from the printed text, which is what Numba compiles, also of loops that run in threads: those are functions
of their own. How often its operations run is counted in `counts`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from gradc.ir.graph import Graph

from .module import Printed
from .parallel import PRANGE


@dataclass(frozen=True)
class LoopText:
    """A loop of the text: its line, how deep it is nested, its header, and whether its iterations run in threads."""

    line: int
    depth: int
    text: str
    threads: bool


@dataclass(frozen=True)
class Buffer:
    """Memory that a call allocates: its name, the text of its shape, and its dtype."""

    name: str
    shape: str
    dtype: str

    def elements(self, sizes: Mapping[str, int]) -> int | None:
        """How many elements it has, for sizes of the names in the text; None if its shape depends on something else."""
        try:
            found = _number(ast.parse(self.shape, mode="eval").body, sizes)
        except (KeyError, ValueError):
            return None
        return prod(found) if isinstance(found, tuple) else found

    @property
    def dimensions(self) -> list[str]:
        """The text of each dimension."""
        shape = ast.parse(self.shape, mode="eval").body
        return [ast.unparse(part) for part in (shape.elts if isinstance(shape, ast.Tuple) else [shape])]

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return {"float32": 4, "bool": 1, "bool_": 1}.get(self.dtype, 8)


@dataclass(frozen=True)
class Product:
    """A contraction that became a product of matrices: its line and the call."""

    line: int
    text: str


# -- from the text --------------------------------------------------------------------------------


def work(printed: Printed) -> list[ast.FunctionDef]:
    """The functions of the text that do the work: those of a chunk of a loop, and the one that calls them."""
    names = {*printed.module.chunked, printed.into or printed.name}
    return [node for node in ast.parse(printed.module.source).body
            if isinstance(node, ast.FunctionDef) and node.name in names]


def loops(functions: Sequence[ast.FunctionDef]) -> list[LoopText]:
    """Their loops, in the order of their lines."""
    found: list[LoopText] = []
    stack: list[tuple[ast.stmt, int]] = [(statement, 0) for one in reversed(functions) for statement in one.body[::-1]]
    while stack:
        node, level = stack.pop()
        if isinstance(node, ast.For):
            text = f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
            found.append(LoopText(node.lineno, level, text, f" in {PRANGE}(" in text))
            level += 1
        stack += [(inner, level) for inner in reversed([*getattr(node, "body", []), *getattr(node, "orelse", [])])]
    return found


def _calls(functions: Sequence[ast.FunctionDef]) -> Iterator[tuple[ast.stmt, ast.Call]]:
    for node in (inner for function in functions for inner in ast.walk(function)):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call):
                    yield node, inner


def buffers(functions: Sequence[ast.FunctionDef]) -> list[Buffer]:
    """The arrays that they allocate."""
    found = []
    for statement, call in _calls(functions):
        if isinstance(statement, ast.Assign) and ast.unparse(call.func) in ("np.empty", "np.zeros"):
            kinds = [ast.unparse(word.value).removeprefix("np.") for word in call.keywords if word.arg == "dtype"]
            found.append(Buffer(ast.unparse(statement.targets[0]), ast.unparse(call.args[0]), *kinds or ["float64"]))
    return found


def products(functions: Sequence[ast.FunctionDef]) -> list[Product]:
    """Their products of matrices."""
    return [Product(statement.lineno, ast.unparse(call)) for statement, call in _calls(functions)
            if ast.unparse(call.func) == "matmul"]


def local_sizes(printed: Printed, graph: Graph, functions: Sequence[ast.FunctionDef],
                sizes: Mapping[str, int]) -> dict[str, int]:
    """The values of the text's own names of dimensions, from the sizes of the graph's."""
    nodes = {identifier: graph.inputs[original] for original, identifier in printed.arguments}
    found = {text: sizes[node.attr.name] for text, node in nodes.items() if node.attr.name in sizes and not node.shape}
    for statement in functions[-1].body:
        value = statement.value if isinstance(statement, ast.Assign) else None
        if (isinstance(value, ast.Subscript) and isinstance(value.value, ast.Attribute) and value.value.attr == "shape"
                and isinstance(value.slice, ast.Constant) and isinstance(statement, ast.Assign)):
            node = nodes.get(ast.unparse(value.value.value))
            if node is not None and isinstance(value.slice.value, int):
                found[ast.unparse(statement.targets[0])] = max(node.shape[value.slice.value].evaluate(sizes), 0)
    return found


def _number(node: ast.expr, sizes: Mapping[str, int]) -> int | tuple[int, ...]:
    """The value of the text of a shape; KeyError or ValueError where it is something else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.Tuple):
        return tuple(_whole(part, sizes) for part in node.elts)
    if isinstance(node, ast.BinOp):
        left, right = _whole(node.left, sizes), _whole(node.right, sizes)
        if isinstance(node.op, (ast.FloorDiv, ast.Mod)) and right == 0:
            raise ValueError("division by zero")
        for kind, result in ((ast.Add, left + right), (ast.Sub, left - right), (ast.Mult, left * right)):
            if isinstance(node.op, kind):
                return result
        if isinstance(node.op, ast.FloorDiv):
            return left // right
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_whole(node.operand, sizes)
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("max", "min"):
        numbers = [_whole(part, sizes) for part in node.args]
        return max(numbers) if ast.unparse(node.func) == "max" else min(numbers)
    raise ValueError(f"{ast.unparse(node)} is no size")


def _whole(node: ast.expr, sizes: Mapping[str, int]) -> int:
    found = _number(node, sizes)
    if isinstance(found, tuple):
        raise ValueError("a tuple is no size")
    return found
