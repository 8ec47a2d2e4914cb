"""Blocks as Numba sees them: one intrinsic each, whose code is the text that `block_llvm` makes.

Takes a block and the module in which its statements' other names have their meaning, and gives what compiled code
may call. Functions that the statements call are those that Numba itself would call for the same operands, each in
a small function of its own that LLVM inlines. This is the only part that knows Numba.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any

from llvmlite import ir

from .block_expressions import REAL, SINGLE, TRUTH, WHOLE, Called, Code, Kind
from .block_llvm import translate
from .blocks import OPTIMISED, Block, Unsuitable

_LLVM = {REAL: ir.DoubleType(), SINGLE: ir.FloatType(), WHOLE: ir.IntType(64), TRUTH: ir.IntType(1)}
_OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "Div": operator.truediv, "Mod": operator.mod,
    "FloorDiv": operator.floordiv, "Pow": operator.pow, "USub": operator.neg, "Lt": operator.lt, "LtE": operator.le,
    "Gt": operator.gt, "GtE": operator.ge, "Eq": operator.eq, "NotEq": operator.ne,
}


def _types() -> Any:
    return importlib.import_module("numba.core.types")


def _numba_kinds() -> dict[str, Any]:
    types = _types()
    return {REAL: types.float64, SINGLE: types.float32, WHOLE: types.int64, TRUTH: types.boolean}


def _kind(numba_type: Any) -> str:
    """The type of a number as LLVM names it here."""
    plain = _types().unliteral(numba_type)
    for kind, known in _numba_kinds().items():
        if plain == known:
            return kind
    raise Unsuitable(f"{plain} is no type of number that a block has")


def _input(numba_type: Any) -> Kind:
    if not isinstance(numba_type, _types().Array):
        return _kind(numba_type)
    if numba_type.layout != "C":
        raise Unsuitable("an array that is not contiguous")
    return _kind(numba_type.dtype), numba_type.ndim


class _Functions:
    """What the statements of a block call, found as Numba finds it."""

    def __init__(self, typing_context: Any, namespace: dict[str, Any]) -> None:
        self.typing_context, self.namespace = typing_context, namespace
        self.found: dict[str, tuple[Any, Any, tuple[str, ...]]] = {}            # type, signature, operands

    def resolve(self, name: str, operands: tuple[str, ...]) -> Called:
        function = _OPERATORS.get(name) or self.namespace.get(name) or getattr(builtins, name, None)
        if function is None:
            raise Unsuitable(f"{name} is unknown")
        kinds = _numba_kinds()
        function_type = self.typing_context.resolve_value_type(function)
        signature = self.typing_context.resolve_function_type(function_type, tuple(kinds[k] for k in operands), {})
        if signature is None:
            raise Unsuitable(f"{name} of {', '.join(operands)}")
        symbol = "_".join(("gradc_call", name, *operands))
        self.found[symbol] = function_type, signature, operands
        return Called(symbol, _kind(signature.return_type))

    def define(self, context: Any, module: Any, symbol: str, *, optimised: bool) -> None:
        """Define the small function that calls one of them, unless the LLVM module has it.

        Inside is one of Numba's own kind, which may stop early: none of these functions ever does.
        """
        if symbol in module.globals:
            return
        function_type, signature, operands = self.found[symbol]
        kinds, convention = _numba_kinds(), context.call_conv
        given = [kinds[operand] for operand in operands]
        inner = ir.Function(module, convention.get_function_type(signature.return_type, given), f"{symbol}_inside")
        builder = ir.IRBuilder(inner.append_basic_block("entry"))
        values = [context.cast(builder, value, kind, wanted) for value, kind, wanted in zip(
            convention.decode_arguments(builder, given, inner), given, signature.args, strict=True)]
        value = context.get_function(function_type, signature)(builder, values)
        convention.return_value(builder, context.get_return_value(builder, signature.return_type, value))
        result = _LLVM[_kind(signature.return_type)]
        outer = ir.Function(module, ir.FunctionType(result, [_LLVM[operand] for operand in operands]), symbol)
        builder = ir.IRBuilder(outer.append_basic_block("entry"))
        _, value = convention.call_function(builder, inner, signature.return_type, given, outer.args)
        builder.ret(value)
        for made in (inner, outer):
            made.linkage = "internal"
            made.attributes.add("alwaysinline" if made is inner or optimised else "noinline")


class _Text(ir.Function):  # type: ignore[misc]
    """A function of an LLVM module whose body is there as text already."""

    def __init__(self, module: Any, kind: Any, name: str, text: str, attributes: Sequence[str]) -> None:
        super().__init__(module, kind, name)
        self.text, self.marks = text, attributes

    def descr(self, buf: list[str]) -> None:
        """Append the definition: what llvmlite prints."""
        head, _, body = self.text.partition(" {")
        buf.append(f"define internal i32 {self.get_reference()}{head} {' '.join(self.marks)} {{{body}\n")


def intrinsic(block: Block, namespace: dict[str, Any], flags: Collection[str]) -> Callable[..., Any]:
    """The Numba intrinsic of a block: it takes the block's inputs, and a scratch array if there is more than one part.

    Its typing raises Unsuitable where the statements have no translation.
    """
    constants = {name: value for name, value in namespace.items() if isinstance(value, (bool, int, float))}

    def typed(typing_context: Any, *arguments: Any) -> Any:
        types = _types()
        functions = _Functions(typing_context, namespace)
        given = {name: _input(argument) for name, argument in zip(block.inputs, arguments, strict=False)}
        code = translate(block, given, functions.resolve, constants, flags)
        kinds = _numba_kinds()
        results = [kinds[kind] for kind in code.results]
        whole = types.void if not results else results[0] if len(results) == 1 else types.Tuple(results)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return _generate(block, code, functions, context, builder, signature, values)

        signature = importlib.import_module("numba.core.typing").signature
        return signature(whole, *arguments), generate

    names = ["typing_context", *block.inputs, *(["scratch"] if block.scratch else [])]
    positional = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(f"_{name}", positional) for name in names]
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    typed.__name__ = block.name
    made: Callable[..., Any] = importlib.import_module("numba.extending").intrinsic(typed)
    return made


def _generate(block: Block, code: Code, functions: _Functions, context: Any, builder: Any, signature: Any,
              values: Sequence[Any]) -> Any:
    """Define the block's functions and call them; the values of its outputs."""
    module, optimised = builder.module, block.statements <= OPTIMISED
    for called in code.called.values():
        functions.define(context, module, called.symbol, optimised=optimised)
    operands = {name: _operands(context, builder, kind, value)
                for name, kind, value in zip(block.inputs, signature.args, values, strict=False)}
    single = len(code.functions) == 1
    scratch = _operands(context, builder, signature.args[-1], values[-1])[0] if block.scratch else _stack(
        builder, len(block.slots))
    marks = ["alwaysinline"] if single else ["noinline", *_vector_width(builder)]
    if not optimised:
        marks.append("optnone")
    for number, (text, inputs) in enumerate(code.functions):
        given = [operand for name in inputs for operand in operands[name]] + [scratch]
        kind = ir.FunctionType(ir.IntType(32), [value.type for value in given])
        name = module.get_unique_name(f"{builder.function.name}{block.name}_{number}")
        status = builder.call(_Text(module, kind, name, text, marks), given)
        for raised, (exception, message) in enumerate(code.raises, start=1):
            failed = builder.icmp_unsigned("==", status, ir.Constant(status.type, raised))
            with builder.if_then(failed, likely=False):
                context.call_conv.return_user_exc(builder, getattr(builtins, exception), (message,))
    results = [_result(builder, scratch, block.slots[name], kind)
               for name, kind in zip(block.outputs, code.results, strict=True)]
    if not results:
        return context.get_dummy_value()
    return results[0] if len(results) == 1 else context.make_tuple(builder, signature.return_type, results)


def _operands(context: Any, builder: Any, numba_type: Any, value: Any) -> list[Any]:
    """The LLVM values that stand for an input: a number, or an array's address and dimensions."""
    if not isinstance(numba_type, _types().Array):
        return [context.cast(builder, value, numba_type, _types().unliteral(numba_type))]
    array = importlib.import_module("numba.np.arrayobj").make_array(numba_type)(context, builder, value)
    cgutils: Any = importlib.import_module("numba.core.cgutils")
    return [array.data, *cgutils.unpack_tuple(builder, array.shape)]


def _stack(builder: Any, count: int) -> Any:
    """Memory for the outputs of a block, on the stack."""
    cgutils: Any = importlib.import_module("numba.core.cgutils")
    return cgutils.alloca_once(builder, _LLVM[REAL], size=max(count, 1))


def _result(builder: Any, scratch: Any, place: int, kind: str) -> Any:
    address = builder.gep(scratch, [ir.Constant(ir.IntType(64), place)], inbounds=True)
    if kind == TRUTH:
        loaded = builder.load(builder.bitcast(address, ir.IntType(8).as_pointer()))
        return builder.icmp_unsigned("!=", loaded, ir.Constant(loaded.type, 0))
    return builder.load(builder.bitcast(address, _LLVM[kind].as_pointer()))


def _vector_width(builder: Any) -> list[str]:
    """The width of vectors that the function around a block prefers: its parts prefer the same."""
    return [mark for mark in map(str, builder.function.attributes) if "prefer-vector-width" in mark]
