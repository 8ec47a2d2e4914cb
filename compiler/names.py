"""Which names a formula leaves free: its arguments, in order of appearance, and which are whole numbers.

It takes the statements of `syntax` and gives `Usage`: every name that is neither assigned before nor the
index of an enclosing generator, with its first place; the names that stand in `range(...)` or in an
index, which are whole numbers; and the names that are called. Nothing is evaluated or built.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from gradc.ir.graph import Span

from .formula_arrays import SIZED
from .syntax import Statement

_PASS_ON = ("min", "max", "minimum", "maximum", "abs", "clip", "where", "mod")   # whole if their operands are
_WHOLE_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.Pow)


class Usage(NamedTuple):
    """Names of a formula and where each first stands."""

    free: dict[str, Span]
    whole: set[str]
    called: dict[str, Span]
    assigned: set[str]
    indices: set[str]


class _Task(NamedTuple):
    node: ast.AST
    bound: frozenset[str]
    whole: bool


def usage(statements: Sequence[Statement]) -> Usage:
    """The names of a formula; iterative, linear in the size of the trees."""
    found = Usage({}, set(), {}, {s.target for s in statements if s.target}, set())
    assigned: set[str] = set()
    for statement in statements:
        here: list[tuple[Span, str]] = []
        stack = [_Task(statement.tree, frozenset(), False)]
        while stack:
            task = stack.pop()
            node = task.node
            if isinstance(node, ast.Name):
                if node.id not in task.bound and node.id not in assigned:
                    here.append((statement.place(node), node.id))
                    if task.whole:
                        found.whole.add(node.id)
            elif isinstance(node, ast.Call):
                stack += _call(node, task, statement, found)
            elif isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
                stack += _generator(node, task, found)
            else:
                stack += _children(node, task)
        for span, name in sorted(here):
            found.free.setdefault(name, span)
        if statement.target:
            assigned.add(statement.target)
    return found


def _call(node: ast.Call, task: _Task, statement: Statement, found: Usage) -> list[_Task]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name:
        found.called.setdefault(name, statement.place(node.func))
    whole = name == "range" or name in SIZED or (task.whole and name in _PASS_ON)
    tasks = [task._replace(node=arg, whole=whole) for arg in node.args]
    tasks += [task._replace(node=keyword.value, whole=False) for keyword in node.keywords]
    return tasks if name else [*tasks, task._replace(node=node.func, whole=False)]


def _generator(node: ast.GeneratorExp | ast.ListComp | ast.SetComp, task: _Task, found: Usage) -> list[_Task]:
    tasks, bound = [], task.bound
    for generator in node.generators:
        tasks.append(_Task(generator.iter, bound, False))
        if isinstance(generator.target, ast.Name):
            bound = bound | {generator.target.id}
            found.indices.add(generator.target.id)
        tasks += [_Task(condition, bound, False) for condition in generator.ifs]
    return [*tasks, _Task(node.elt, bound, False)]


def _children(node: ast.AST, task: _Task) -> list[_Task]:
    if isinstance(node, ast.Subscript):
        return [task._replace(node=node.value, whole=False), task._replace(node=node.slice, whole=True)]
    if isinstance(node, ast.IfExp):
        return [task._replace(node=node.test, whole=False), task._replace(node=node.body),
                task._replace(node=node.orelse)]
    whole = task.whole and (isinstance(node, ast.Tuple | ast.Slice | ast.UnaryOp) or (
        isinstance(node, ast.BinOp) and isinstance(node.op, _WHOLE_OPERATORS)))
    return [_Task(child, task.bound, whole) for child in ast.iter_child_nodes(node)]
