"""What a compiled function consists of: operations, loops, buffers, products of matrices, library routines.

`operations` counts in the loop program, so that values that are computed again count again; everything else is read
from the printed text, which is what Numba compiles. Counts are polynomials in the dimensions. Conditions count as if
they always held and both branches of a choice as if both were taken, so the numbers are bounds.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from gradc.ir.cast import CASTS
from gradc.ir.dims import Dim
from gradc.ir.graph import Graph, Node
from gradc.ir.routines import ROUTINES
from gradc.ir.table import OPERATIONS

from .items import Item
from .lower import Program
from .module import Printed
from .uses import covers

ONE = Dim.of(1)
FREE = frozenset(("neg", "detach", "abs", *CASTS))             # signs and conversions
REDUCED = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "argmax": "greater", "argmin": "less"}
PLAIN = frozenset(("add", "sub", "mul", "div", "max", "min", "select"))


@dataclass(frozen=True)
class LoopText:
    """A loop of the text: its line, how deep it is nested, and its header."""

    line: int
    depth: int
    text: str


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


def operations(program: Program) -> dict[str, Dim]:
    """How often each operation on real numbers runs, by its name in the table; a matrix product is "mul" and "add"."""
    found: dict[str, Dim] = {}
    for item, home in program.homes.items():
        trips = prod((loop.axis.dim for loop in home.path if loop.tiled is None), start=ONE)
        for name, count in _of_item(item, program).items():
            found[name] = found.get(name, Dim.of(0)) + trips * count
        if item.contraction is not None:
            made = item.contraction
            axes = [axis for layout in (made.rows, made.columns, made.summed) for axis in layout]
            for name in ("mul", "add"):
                found[name] = found.get(name, Dim.of(0)) + trips * prod((axis.dim for axis in axes), start=ONE)
    for name, count in Counter(node.op for node in _returned(program) if _is_counted(node)).items():
        found[name] = found.get(name, Dim.of(0)) + count
    return found


def _returned(program: Program) -> set[Node]:
    """The values that stand in the return statement, and nowhere else."""
    kept = {item.node for item in program.homes}
    found: set[Node] = set()
    stack = [node for _, node in program.graph.outputs if not node.is_array]
    while stack:
        node = stack.pop()
        if node not in kept and node not in found and not node.is_array:
            found.add(node)
            stack += node.args
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
    return covers(program, item.node) or any(chain.alone and item is chain.items[-1] for chain in program.chains)


def _is_counted(node: Node) -> bool:
    """Whether a node is an operation on real numbers that takes time."""
    return node.op in OPERATIONS and node.op not in FREE and any(
        a.dtype.startswith("float") for a in (node, *node.args))


def is_function(operation: str) -> bool:
    """Whether an operation is an elementary or special function and not arithmetic."""
    return operation not in PLAIN and bool(OPERATIONS[operation].imports)


def routines(program: Program) -> dict[str, int]:
    """The library routines on whole arrays, and how many calls of each there are in the text."""
    called = {(item.node.attr.routine, item.node.args) for item in program.homes if item.kind == "call"}
    return dict(Counter(name for name, _ in sorted(called, key=lambda call: call[0]) if name in ROUTINES))


# -- from the text --------------------------------------------------------------------------------


def work(printed: Printed) -> ast.FunctionDef:
    """The function of the text that does the work."""
    name = printed.into or printed.name
    return next(node for node in ast.parse(printed.module.source).body
                if isinstance(node, ast.FunctionDef) and node.name == name)


def loops(function: ast.FunctionDef) -> list[LoopText]:
    """Its loops, in the order of their lines."""
    found: list[LoopText] = []
    stack: list[tuple[ast.stmt, int]] = [(statement, 0) for statement in reversed(function.body)]
    while stack:
        node, level = stack.pop()
        if isinstance(node, ast.For):
            found.append(LoopText(node.lineno, level, f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"))
            level += 1
        stack += [(inner, level) for inner in reversed([*getattr(node, "body", []), *getattr(node, "orelse", [])])]
    return found


def _calls(function: ast.FunctionDef) -> Iterator[tuple[ast.stmt, ast.Call]]:
    for node in ast.walk(function):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Call):
                    yield node, inner


def buffers(function: ast.FunctionDef) -> list[Buffer]:
    """The arrays that it allocates."""
    found = []
    for statement, call in _calls(function):
        if isinstance(statement, ast.Assign) and ast.unparse(call.func) in ("np.empty", "np.zeros"):
            kinds = [ast.unparse(word.value).removeprefix("np.") for word in call.keywords if word.arg == "dtype"]
            found.append(Buffer(ast.unparse(statement.targets[0]), ast.unparse(call.args[0]), *kinds or ["float64"]))
    return found


def products(function: ast.FunctionDef) -> list[Product]:
    """Its products of matrices."""
    return [Product(statement.lineno, ast.unparse(call)) for statement, call in _calls(function)
            if ast.unparse(call.func) == "matmul"]


def local_sizes(printed: Printed, graph: Graph, function: ast.FunctionDef, sizes: Mapping[str, int]) -> dict[str, int]:
    """The values of the text's own names of dimensions, from the sizes of the graph's."""
    nodes = {identifier: graph.inputs[original] for original, identifier in printed.arguments}
    found = {text: sizes[node.attr.name] for text, node in nodes.items() if node.attr.name in sizes and not node.shape}
    for statement in function.body:
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
