"""Functions of the user's that are not traced but called: loops until convergence, branches on values, whole solvers.

The text of such a function, which Numba must be able to compile, is put into the generated module as a routine of
its own, beside those of `codegen.routines`; a NumPy signature such as "(n,n),(n)->(n)" says what shapes it gives.
Numbers that it takes from around it are written into the text, other functions that it calls are taken along. Its
derivative is the `vjp` of the operation that it belongs to: see `array_operation`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import math
import re
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.codegen import routines
from gradc.ir.dims import Dim
from gradc.ir.errors import FormulaError, UnsupportedError
from gradc.ir.graph import Graph, Node
from gradc.ir.interpret_routines import MEANINGS
from gradc.ir.routines import ROUTINES, Routine

MODULES = {np: "np", math: "math"}


class Signature(NamedTuple):
    """The dimensions of operands and results: names, or numbers as text."""

    operands: tuple[tuple[str, ...], ...]
    results: tuple[tuple[str, ...], ...]


def parsed(text: str, name: str, args: Sequence[str]) -> Signature:
    """A signature as `numpy.vectorize` has it, or a FormulaError that says what is wrong with it."""
    squeezed = "".join(text.split())
    group = r"\((?:\w+(?:,\w+)*)?\)"
    if not re.fullmatch(rf"{group}(?:,{group})*->{group}(?:,{group})*", squeezed, re.ASCII):
        raise FormulaError(f"the signature {text!r} of {name} is none\n"
                           'Write the dimensions of every argument and result, as in "(n,n),(n)->(n)".')
    left, right = (tuple(tuple(filter(None, part.split(","))) for part in re.findall(r"\(([^)]*)\)", side))
                   for side in squeezed.split("->"))
    if len(left) != len(args):
        raise FormulaError(f"the signature {text!r} has {len(left)} arguments, {name} has {len(args)} "
                           f"({', '.join(args)})\nWrite one group for each; () for a number.")
    known = {dim for dims in left for dim in dims}
    unknown = [dim for dims in right for dim in dims if dim not in known and not dim.isdigit()]
    if unknown:
        raise FormulaError(f"the signature {text!r} of {name} gives a result of size {unknown[0]}, which no argument "
                           "has\nWrite dimensions of the arguments, or numbers.")
    return Signature(left, right)


def registered(function: types.FunctionType, signature: Signature) -> str:
    """The name of the routine that a function becomes; the same text and signature give the same name."""
    texts: dict[str, str] = {}
    scalar = [k for k, dims in enumerate(signature.operands) if not dims]
    inner = _taken(function, texts)
    whole = "\n\n".join(texts.values()) + repr(signature)
    name = f"{inner}_{hashlib.sha256(whole.encode()).hexdigest()[:6]}"
    own = [f"x{k}" for k in range(len(signature.operands))]
    given = ", ".join(f"{x}[()]" if k in scalar else x for k, x in enumerate(own))
    numbers = [k for k, dims in enumerate(signature.results) if not dims]
    lines = [f"def {name}({', '.join(own)}):",
             f'    """{inner}, as it is called here: a number is an array of one element."""']
    if not numbers:
        lines.append(f"    return {inner}({given})")
    else:
        found = [f"y{k}" for k in range(len(signature.results))]
        lines.append(f"    {', '.join(found)} = {inner}({given})")
        lines += [f"    {found[k]}_cell = np.full(1, {found[k]})" for k in numbers]
        lines.append("    return " + ", ".join(f"{y}_cell" if k in numbers else y for k, y in enumerate(found)))
    texts[name] = "\n".join(lines)
    for part, text in texts.items():
        routines.PASTED[part] = text
    routines.NEEDED[name] = tuple(texts)
    ROUTINES[name] = Routine(tuple((len(dims),) for dims in signature.operands),
                             tuple("value" if len(signature.results) == 1 else f"value_{k}"
                                   for k in range(len(signature.results))),
                             _shapes(signature), f"{inner}, a function of the user's", real=False)
    MEANINGS[name] = _meaning(function, signature)
    return name


def called(graph: Graph, name: str, signature: Signature, operands: Sequence[Node]) -> list[Node]:
    """The results of a routine over operands: arrays, or scalar nodes where the signature has ()."""
    arrays = [node if node.is_array else graph.store((), node) for node in operands]
    made = [graph.call(name, arrays, k) for k in range(len(signature.results))]
    return [graph.read(node, [0]) if not dims else node for node, dims in zip(made, signature.results, strict=True)]


def _shapes(signature: Signature) -> Callable[[Sequence[tuple[Dim, ...]]], tuple[tuple[Dim, ...], ...]]:
    def shapes(operands: Sequence[tuple[Dim, ...]]) -> tuple[tuple[Dim, ...], ...]:
        sizes: dict[str, Dim] = {}
        for dims, shape in zip(signature.operands, operands, strict=True):
            for dim, size in zip(dims, shape, strict=True):
                sizes.setdefault(dim, size)
        return tuple(tuple(Dim.of(int(dim)) if dim.isdigit() else sizes[dim] for dim in dims) or (Dim.of(1),)
                     for dims in signature.results)

    return shapes


def _meaning(function: types.FunctionType, signature: Signature) -> Callable[..., tuple[Any, ...]]:
    def meaning(*operands: Any) -> tuple[Any, ...]:
        found = function(*(x if dims else x[()] for x, dims in zip(operands, signature.operands, strict=True)))
        results = found if len(signature.results) > 1 else (found,)
        return tuple(np.atleast_1d(result) for result in results)

    return meaning


def _taken(function: types.FunctionType, texts: dict[str, str]) -> str:
    """Put the text of a function, after those that it calls, among the texts; its name there."""
    name = function.__name__
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        tree = ast.Module([], [])
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        raise UnsupportedError(f"the text of {name} is not found, so it cannot become part of a generated module\n"
                               "Define it by def, in a file.")
    definition = tree.body[0]
    if definition.args.vararg or definition.args.kwarg or definition.args.kwonlyargs:
        raise UnsupportedError(f"{name} has arguments by name only, or *, which no signature has\n"
                               "Take every argument by position.")
    definition.decorator_list, definition.returns, definition.args.defaults = [], None, []
    for argument in (*definition.args.args, *definition.args.posonlyargs):
        argument.annotation = None
    around = inspect.getclosurevars(function)
    values = {**around.globals, **around.nonlocals}
    _Outside(name, values, texts).visit(definition)
    unique = f"{name}_{hashlib.sha256(ast.unparse(definition).encode()).hexdigest()[:6]}" if name in texts else name
    definition.name = unique
    texts[unique] = ast.unparse(definition)
    return unique


class _Outside(ast.NodeTransformer):
    """Names from outside a function: modules as generated modules call them, numbers as literals, functions taken."""

    def __init__(self, owner: str, values: dict[str, Any], texts: dict[str, str]) -> None:
        self.owner, self.values, self.texts = owner, values, texts

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.values:
            return node
        value = self.values[node.id]
        value = getattr(value, "py_func", value)
        if isinstance(value, types.ModuleType) and value in MODULES:
            return ast.Name(MODULES[value], node.ctx)
        if isinstance(value, (bool, int, float)):
            return ast.Constant(value) if math.isfinite(value) else ast.parse(
                f"np.{'nan' if math.isnan(value) else 'inf'}", mode="eval").body
        if isinstance(value, types.FunctionType):
            return ast.Name(self.owner if value.__name__ == self.owner else _taken(value, self.texts), node.ctx)
        raise UnsupportedError(f"{self.owner} uses {node.id}, which is of type {type(value).__name__}\n"
                               "It may use its arguments, numbers, np, math and functions that do the same.")
