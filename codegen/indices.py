"""Indices that LLVM takes for what they are: never negative.

Numba lets an index count from the end if it is negative, so `x[i]` is `x[i + n if i < 0 else i]` unless LLVM can tell
that i is not. Where a loop begins at an argument, as that of a chunk does, or a size is added, it cannot: then the
elements are gathered one by one in place of whole vectors, and a test for arrays that overlap takes neighbours for
one array and leaves the loop scalar. In the loops of generated text no index that is computed from axes, sizes and
arguments is negative (what a user gives is checked first), so `rewrite` reads those of which LLVM could not tell as
unsigned numbers. The others, those that are read from arrays, which are gathered anyway, and those outside loops stay
as they are: every call costs Numba's time.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable, Collection
from typing import Any

INDEX = "_gradc_index"


class _Rewriter(ast.NodeTransformer):
    """Wrap the indices that may be negative for all that is seen here."""

    def __init__(self, data: Collection[str]) -> None:
        self.data = data                            # names of values that are read from arrays
        self.least: dict[str, int] = {}             # the least value of the targets of the loops around
        self.starts: dict[str, str] = {}            # the name at which such a target begins
        self.depth = 0
        self.changed = False

    def visit_For(self, node: ast.For) -> ast.AST:
        """Learn where the loop begins, for its body."""
        call = node.iter
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and isinstance(node.target, ast.Name)):
            return self.generic_visit(node)
        if call.func.id != "range":                 # in threads: Numba looks at these indices itself
            return node
        target, before = node.target.id, (dict(self.least), dict(self.starts))
        self.least.pop(target, None)
        self.starts.pop(target, None)
        low = _range_low(call, self._at_least)
        if low is not None:
            self.least[target] = low
        if len(call.args) > 1 and isinstance(call.args[0], ast.Name):
            self.starts[target] = call.args[0].id
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        self.least, self.starts = before
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Wrap what is not a literal, a slice, or known."""
        self.generic_visit(node)
        if isinstance(node.slice, ast.Tuple):
            node.slice.elts = [self._wrapped(index) for index in node.slice.elts]
        else:
            node.slice = self._wrapped(node.slice)
        return node

    def _wrapped(self, index: ast.expr) -> ast.expr:
        if not self.depth or isinstance(index, (ast.Slice, ast.Constant, ast.UnaryOp)):
            return index
        low = self._at_least(index)
        if (low is not None and low >= 0) or _is_data(index, self.data):
            return index
        self.changed = True
        return ast.copy_location(ast.Call(ast.copy_location(ast.Name(INDEX, ast.Load()), index), [index], []), index)

    def _at_least(self, node: ast.expr) -> int | None:
        """A number that an integer does not fall below; None where none is known."""
        if isinstance(node, (ast.Constant, ast.UnaryOp)):
            return _literal(node)
        if isinstance(node, ast.Name):
            return self.least.get(node.id)
        if not isinstance(node, ast.BinOp):
            return None
        left = self._at_least(node.left)
        if isinstance(node.op, ast.Sub):
            if isinstance(node.left, ast.Name) and isinstance(node.right, ast.Name) and (
                    self.starts.get(node.left.id) == node.right.id):
                return 0
            literal = _literal(node.right)
            return None if left is None or literal is None else left - literal
        right = self._at_least(node.right)
        if left is None or right is None:
            return None
        if isinstance(node.op, ast.Add):
            return left + right
        return left * right if isinstance(node.op, ast.Mult) and min(left, right) >= 0 else None


def _data(function: ast.FunctionDef) -> set[str]:
    """The names that stand for what is read from arrays, or computed from it."""
    found: set[str] = set()
    before = -1
    while before < len(found):                                  # a name may be used above its assignment, in a loop
        before = len(found)
        for node in ast.walk(function):
            if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and node.value is not None and _is_data(
                    node.value, found):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
                          and isinstance(name.ctx, ast.Store)}
            elif isinstance(node, ast.For) and isinstance(node.target, ast.Name) and _is_data(node.iter, found):
                found.add(node.target.id)
    return found


def _is_data(value: ast.expr, data: Collection[str]) -> bool:
    """Whether a value is read from an array, which a size is not, or has such a name in it."""
    return any((isinstance(node, ast.Subscript) and not (isinstance(node.value, ast.Attribute)
                                                         and node.value.attr == "shape"))
               or (isinstance(node, ast.Name) and node.id in data) for node in ast.walk(value))


def _range_low(call: ast.Call, at_least: Callable[[ast.expr], int | None]) -> int | None:
    """The least number of a range: its first, or the one above its end if it runs down by ones."""
    if len(call.args) == 1:
        return 0
    step = _literal(call.args[2]) if len(call.args) == 3 else 1
    if step is None or step < -1:
        return None
    if step > 0 and isinstance(call.args[0], ast.BinOp):
        return None                                 # a sum might overflow, as far as LLVM knows: i + 1 of a triangle
    low = at_least(call.args[0] if step > 0 else call.args[1])
    return low if low is None or step > 0 else low + 1


def _literal(node: ast.expr) -> int | None:
    """The whole number that is written there."""
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    if not isinstance(inner, ast.Constant) or not isinstance(inner.value, int):
        return None
    return inner.value if inner is node else -inner.value


def rewrite(tree: ast.Module, names: Collection[str]) -> bool:
    """Let functions of a module's syntax tree call `functions` for indices; in place. Whether there was any."""
    changed = False
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in names:
            rewriter = _Rewriter(_data(function))
            rewriter.generic_visit(function)
            changed |= rewriter.changed
    return changed


@functools.cache
def functions() -> dict[str, Callable[..., Any]]:
    """The Numba intrinsic, under the name that `rewrite` uses: a whole number as an unsigned one. Imports Numba."""
    types: Any = importlib.import_module("numba.core.types")
    signature: Any = importlib.import_module("numba.core.typing").signature
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic

    def index(_context: Any, number: Any) -> Any:
        kind = types.uint64 if number in (types.int64, types.intp) else number

        def generate(_context: Any, _builder: Any, _signature: Any, arguments: Any) -> Any:
            return arguments[0]

        return signature(kind, number), generate

    return {INDEX: intrinsic(index)}
