"""Accumulation that LLVM may vectorise: `total += value` with the order of the additions left open.

A strict sum of floats is one dependent addition after another, seven times slower than the hardware
can go. The flag that frees the order (`reassoc`) on a whole function would also undo compensated
sums which the user wrote on purpose, so it is set on the one instruction of an accumulation and
nowhere else. Signed zeros, NaN and infinities keep their meaning: neither `nsz`, `nnan` nor `ninf` is
set (measured: the loop vectorises without them). Which of two zeros is the larger is open in NumPy, too, so
it may be here (`nsz` on that one instruction, which is three otherwise); NaN wins. `rewrite` puts the functions
of this module in place of `name += value`, `name *= value` and `name = maximum(name, value)` in a module's syntax
tree; the rest is for Numba.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EXTREMA = {"maximum": "_gradc_maximum", "minimum": "_gradc_minimum"}
ADD = "_gradc_accumulate_add"
MULTIPLY = "_gradc_accumulate_multiply"


class _Rewriter(ast.NodeTransformer):
    """Replace augmented assignments to local names; everything else stays, line numbers too.

    Accumulations in a loop that LLVM cannot vectorise anyway keep their order: freeing them there made
    loops slower (Rosenbrock's gradient 1.8 times), since LLVM then tries.
    """

    def __init__(self) -> None:
        self.carried = [False]

    def visit_For(self, node: ast.For) -> ast.AST:
        """Look at what the loop stores before its body is rewritten."""
        self.carried.append(_is_carried(node))
        self.generic_visit(node)
        self.carried.pop()
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Turn `name += value` into `name = add(name, value)`; `-=` and `*=` likewise."""
        function = {ast.Add: ADD, ast.Sub: ADD, ast.Mult: MULTIPLY}.get(type(node.op))
        if function is None or not isinstance(node.target, ast.Name) or self.carried[-1]:
            return node
        if isinstance(node.op, ast.Sub):
            node.value = ast.copy_location(ast.UnaryOp(ast.USub(), node.value), node.value)
        read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
        callee = ast.copy_location(ast.Name(function, ast.Load()), node)
        call = ast.copy_location(ast.Call(callee, [read, node.value], []), node)
        return ast.copy_location(ast.Assign([node.target], call), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Turn `name = maximum(name, value)` into the one instruction that LLVM can vectorise."""
        call, target = node.value, node.targets[0]
        if (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in EXTREMA
                and isinstance(target, ast.Name) and len(call.args) == 2
                and isinstance(call.args[0], ast.Name) and call.args[0].id == target.id):
            call.func.id = EXTREMA[call.func.id]
        return node


def _is_carried(loop: ast.For) -> bool:
    """Whether an iteration may need memory that another wrote: one array at two places, or at a read one.

    d_x[j, 0] and d_x[j, 1] are apart in all iterations.
    """
    places: dict[str, dict[str, ast.expr]] = {}
    local = {name.id for node in ast.walk(loop) if isinstance(node, (ast.Assign, ast.AugAssign))
             for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    for node in ast.walk(loop):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            index = {n.id for n in ast.walk(node.slice) if isinstance(n, ast.Name)}
            if index & local or any(isinstance(n, ast.Subscript) for n in ast.walk(node.slice)):
                return True
            places.setdefault(ast.dump(node.value), {})[ast.dump(node.slice)] = node.slice
    return any(not _apart(one, other) for found in places.values()
               for one, other in itertools.combinations(found.values(), 2))


def _apart(one: ast.expr, other: ast.expr) -> bool:
    """Whether two indices of one array differ in a literal."""
    pairs = zip(*(index.elts if isinstance(index, ast.Tuple) else [index] for index in (one, other)), strict=False)
    return any(isinstance(a, ast.Constant) and isinstance(b, ast.Constant) and a.value != b.value for a, b in pairs)


def rewrite(tree: ast.Module) -> ast.Module:
    """Replace the accumulations in a module's syntax tree, in place, by the calls of this module."""
    _Rewriter().visit(tree)
    return tree


@functools.cache
def functions() -> dict[str, Callable[..., Any]]:
    """The Numba intrinsics, under the names that `rewrite` uses. Imports Numba."""
    return {
        ADD: _accumulation(operator.iadd, "fadd"),
        MULTIPLY: _accumulation(operator.imul, "fmul"),
        **{name: _extremum(function) for function, name in EXTREMA.items()},
    }


def _extremum(function: str) -> Callable[..., Any]:
    """An intrinsic for `numpy.maximum` or `minimum` of two scalars: llvm.maximum, where NaN wins too."""
    types: Any = importlib.import_module("numba.core.types")
    signature: Any = importlib.import_module("numba.core.typing").signature
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic
    llvm: Any = importlib.import_module("llvmlite.ir")
    greater = function == "maximum"

    def extremum(_context: Any, left: Any, right: Any) -> Any:
        kinds = [kind for kind in (left, right) if isinstance(kind, types.Float)]
        kind = kinds[0] if kinds else types.int64

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, b = (context.cast(builder, argument, given, kind)
                    for argument, given in zip(arguments, signature.args, strict=True))
            if kinds:
                shape = llvm.FunctionType(a.type, (a.type, a.type))
                declared = builder.module.declare_intrinsic(f"llvm.{function}", (a.type,), shape)
                return builder.call(declared, (a, b), fastmath=("nsz",))
            return builder.select(builder.icmp_signed(">" if greater else "<", a, b), a, b)

        return signature(kind, left, right), generate

    made: Callable[..., Any] = intrinsic(extremum)
    return made


def _accumulation(operation: Callable[[Any, Any], Any], instruction: str) -> Callable[..., Any]:
    """An intrinsic `(accumulator, value) -> accumulator`.

    Floats of one width take the flagged instruction. A float32 accumulator stays float32 (as NumPy's
    scalar does with a Python number), an integer accumulator that meets a float becomes that float.
    Everything else (integers, booleans, complex numbers, arrays) takes Numba's own operation.
    """
    types: Any = importlib.import_module("numba.core.types")
    signature: Any = importlib.import_module("numba.core.typing").signature
    intrinsic: Any = importlib.import_module("numba.extending").intrinsic

    def accumulate(typing_context: Any, accumulator: Any, value: Any) -> Any:
        real = (types.Float, types.Integer, types.Boolean)
        floats = [kind for kind in (accumulator, value) if isinstance(kind, types.Float)]
        if not floats or not isinstance(accumulator, real) or not isinstance(value, real):
            plain = typing_context.resolve_function_type(operation, (accumulator, value), {})
            if plain is None:
                return None

            def generate_plain(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                # The signature that typing found may convert the arguments (bool to int64).
                converted = [
                    context.cast(builder, argument, given, wanted)
                    for argument, given, wanted in zip(arguments, signature.args, plain.args, strict=True)
                ]
                result = context.get_function(operation, plain)(builder, converted)
                return context.cast(builder, result, plain.return_type, signature.return_type)

            return signature(plain.return_type, accumulator, value), generate_plain

        kind = floats[0]

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            left, right = (
                context.cast(builder, argument, given, kind)
                for argument, given in zip(arguments, signature.args, strict=True)
            )
            return getattr(builder, instruction)(left, right, flags=("reassoc", "contract"))

        return signature(kind, accumulator, value), generate

    made: Callable[..., Any] = intrinsic(accumulate)
    return made
