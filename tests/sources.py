"""Looking at text that is generated: its lines of code, its loops, its operations, and that it is always the same."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import gradc
from gradc.compiler.function import Function


def plain(formula: str, args: object = None, **options: object) -> Function:
    """A formula as plain Python."""
    return gradc.compile(formula, args, jit=False, **options)  # type: ignore[arg-type]


def printed_in_processes(script: str, seeds: tuple[str, ...] = ("0", "1", "2", "12345")) -> set[str]:
    """What a script prints in processes with other hash seeds, by which sets and dictionaries are ordered."""
    path = os.pathsep.join(filter(None, sys.path))
    return {subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, encoding="utf-8",
                           env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
                           ).stdout for seed in seeds}


def functions(source: str) -> dict[str, ast.FunctionDef]:
    """The functions of a module's text."""
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def body(source: str) -> str:
    """The text of the function that does the work: the first that is not a helper."""
    found = functions(source)
    name = next((name for name in found if name.endswith("_into")), list(found)[-1])
    return ast.unparse(found[name])


def lines_of_code(source: str) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    tree = ast.parse(source)
    held: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            held.update(range(node.lineno, (node.body[0].lineno if hasattr(node, "body") else node.end_lineno + 1)))
    text = source.splitlines()
    return sum(1 for line in held if text[line - 1].strip() and not text[line - 1].strip().startswith('"""'))


def loops(source: str) -> list[str]:
    """The headers of the working function's loops, in order, indented by their depth."""
    found: list[str] = []
    stack: list[tuple[ast.stmt, int]] = [(s, 0) for s in reversed(ast.parse(body(source)).body)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, ast.For):
            found.append("  " * depth + f"{ast.unparse(node.target)} in {ast.unparse(node.iter)}")
            depth += 1
        stack += [(s, depth) for s in reversed([*getattr(node, "body", []), *getattr(node, "orelse", [])])]
    return found


def buffers(source: str) -> list[str]:
    """The arrays that the working function allocates."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(body(source)))
            if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(("np.empty", "np.zeros"))]


def operations(source: str) -> int:
    """Arithmetic operations and calls in the working function, each counted once."""
    kinds = (ast.BinOp, ast.Call)
    tree = ast.parse(body(source))
    inside = [n for n in ast.walk(tree) if isinstance(n, (*kinds, ast.AugAssign))]
    return sum(1 for n in inside if not (isinstance(n, ast.Call) and ast.unparse(n.func) in ("range", "float")))
