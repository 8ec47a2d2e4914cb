"""Arrays that compiled code checks itself: what a call from Python needs, without a look by Numba's dispatcher.

The dispatcher takes longer to look at one array than a small gradient takes to run, so a function that is called
from Python only takes its arrays as objects of type `Checked`. Their unboxing reads NumPy's own structure and refuses
with a TypeError whatever is not exactly an ndarray of the declared dtype and rank, aligned, C-contiguous, and
writeable where it is written. `rewrite` puts one statement in front of such a function, which gives the arrays their
ordinary Numba types and refuses with a ValueError those that are written and share memory with another. The arrays are
borrowed: the caller holds them during the call, and none may be returned. Where NumPy's structure is not the expected
one (`available`), `in_python` checks the same in front of the dispatcher. This module imports Numba.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import binding, ir

# Numba tells its types of some functions and not of others.
types: Any = importlib.import_module("numba.core.types")
cgutils: Any = importlib.import_module("numba.core.cgutils")
models: Any = importlib.import_module("numba.core.datamodel.models")
extending: Any = importlib.import_module("numba.extending")
arrayobj: Any = importlib.import_module("numba.np.arrayobj")
as_dtype: Any = importlib.import_module("numba.np.numpy_support").as_dtype

ARGUMENTS = "_gradc_arguments"
NDARRAY = "gradc_ndarray"                       # the symbol of NumPy's class; its address is another in each process
HEAD = object.__basicsize__                     # then PyArrayObject: data, nd, dimensions, strides, base, descr, flags
WORD = ctypes.sizeof(ctypes.c_void_p)
DATA, RANK, SHAPE, STRIDES, DESCR, FLAGS = HEAD, HEAD + WORD, HEAD + 2 * WORD, HEAD + 3 * WORD, HEAD + 5 * WORD, \
    HEAD + 6 * WORD
BYTE_ORDER, NUMBER = HEAD + WORD + 2, HEAD + WORD + 4       # in PyArray_Descr
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
SWAPPED = ">" if sys.byteorder == "little" else "<"
MESSAGE = "an array is not as declared"
OVERLAP = "an array that is written shares memory with another"

_byte, _int = ir.IntType(8), ir.IntType(32)
_size = ir.IntType(8 * WORD)
_pointer = _byte.as_pointer()


class Checked(types.Type):  # type: ignore[misc]  # Numba has no type information
    """An array object that is looked at when the compiled function is called; `array` is its ordinary type."""

    def __init__(self, array: Any) -> None:
        self.array = array
        super().__init__(name=f"checked({array})")


@extending.register_model(Checked)
class _Model(models.StructModel):  # type: ignore[misc]
    """Where the elements are, and how many along each axis."""

    def __init__(self, manager: Any, checked: Checked) -> None:
        array = checked.array
        members = [("data", types.CPointer(array.dtype)), ("shape", types.UniTuple(types.intp, array.ndim))]
        super().__init__(manager, checked, members)


@functools.cache
def available() -> bool:
    """Whether arrays of this NumPy lie in memory as `Checked` reads them."""
    if sys.implementation.name != "cpython":
        return False

    def read(place: int, kind: Any) -> Any:
        return kind.from_address(place).value

    for array in (np.zeros((2, 3)), np.zeros((5, 7), np.float32)[1::2, ::3], np.frombuffer(bytes(16), np.int64)):
        start, dtype = id(array), array.dtype
        flags = CONTIGUOUS * array.flags.c_contiguous + ALIGNED + WRITEABLE * array.flags.writeable
        if (read(start + DATA, ctypes.c_void_p) != array.ctypes.data or read(start + RANK, ctypes.c_int) != array.ndim
                or read(start + DESCR, ctypes.c_void_p) != id(dtype)
                or read(start + FLAGS, ctypes.c_int) & (CONTIGUOUS | ALIGNED | WRITEABLE) != flags
                or read(id(dtype) + NUMBER, ctypes.c_int) != dtype.num
                or read(id(dtype) + BYTE_ORDER, ctypes.c_char) != dtype.byteorder.encode()):
            return False
        for place, wanted in ((SHAPE, array.shape), (STRIDES, array.strides)):
            found = (ctypes.c_ssize_t * array.ndim).from_address(read(start + place, ctypes.c_void_p))
            if tuple(found) != wanted:
                return False
    return True


def bind() -> None:
    """Announce NumPy's class to LLVM; before any code that checks arrays is loaded."""
    binding.add_symbol(NDARRAY, id(np.ndarray))


@extending.unbox(Checked)  # type: ignore[untyped-decorator]
def _unbox(checked: Checked, given: Any, unboxing: Any) -> Any:
    """Read an array object, or raise a TypeError."""
    builder, array = unboxing.builder, checked.array
    place = builder.bitcast(given, _pointer)

    def read(start: Any, offset: int, kind: Any) -> Any:
        return builder.load(builder.bitcast(builder.gep(start, [_size(offset)]), kind.as_pointer()))

    ndarray = builder.module.globals.get(NDARRAY) or ir.GlobalVariable(builder.module, _byte, NDARRAY)
    result = cgutils.create_struct_proxy(checked)(unboxing.context, builder)
    refused = cgutils.alloca_once_value(builder, cgutils.true_bit)
    with builder.if_then(builder.icmp_unsigned("==", read(place, HEAD - WORD, _pointer), ndarray), likely=True):
        needed = _int(CONTIGUOUS | ALIGNED | WRITEABLE * array.mutable)
        descr = read(place, DESCR, _pointer)
        tests = [builder.icmp_signed("==", read(place, RANK, _int), _int(array.ndim)),
                 builder.icmp_signed("==", builder.and_(read(place, FLAGS, _int), needed), needed),
                 builder.icmp_signed("==", read(descr, NUMBER, _int), _int(as_dtype(array.dtype).num)),
                 builder.icmp_signed("!=", read(descr, BYTE_ORDER, _byte), _byte(ord(SWAPPED)))]
        with builder.if_then(functools.reduce(builder.and_, tests), likely=True):
            sizes = read(place, SHAPE, _pointer)
            result.data = builder.bitcast(read(place, DATA, _pointer), result.data.type)
            result.shape = cgutils.pack_array(builder, [read(sizes, WORD * k, _size) for k in range(array.ndim)])
            builder.store(cgutils.false_bit, refused)
    is_refused = builder.load(refused)
    with builder.if_then(is_refused, likely=False):
        unboxing.pyapi.err_set_string("PyExc_TypeError", MESSAGE)
    return extending.NativeValue(result._getvalue(), is_error=is_refused)


@functools.cache
def functions() -> dict[str, Callable[..., Any]]:
    """The function that `rewrite` calls: from a tuple of `Checked` to the tuple of their arrays."""

    def arguments(_context: Any, given: Any) -> Any:
        arrays = types.Tuple([checked.array for checked in given])

        def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            found = [_array(context, builder, checked, builder.extract_value(values[0], k))
                     for k, checked in enumerate(given)]
            ranges = [_range(builder, array) for array in found]
            for k, one in enumerate(given):
                for other in range(len(given)):
                    if one.array.mutable and (other < k or (other > k and not given[other].array.mutable)):
                        with builder.if_then(_meet(builder, ranges[k], ranges[other]), likely=False):
                            context.call_conv.return_user_exc(builder, ValueError, (OVERLAP,))
            return context.make_tuple(builder, arrays, [array._getvalue() for array in found])

        return arrays(given), generate

    return {ARGUMENTS: extending.intrinsic(arguments)}


def _array(context: Any, builder: Any, checked: Checked, value: Any) -> Any:
    """The Numba array of a checked one; it owns nothing."""
    kind = checked.array
    given = cgutils.create_struct_proxy(checked)(context, builder, value)
    shape = cgutils.unpack_tuple(builder, given.shape, kind.ndim)
    width = _size(as_dtype(kind.dtype).itemsize)
    strides = [width]
    for size in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], size))
    array = context.make_array(kind)(context, builder)
    arrayobj.populate_array(array, data=given.data, shape=shape, strides=strides, itemsize=width, meminfo=None)
    return array


def _range(builder: Any, array: Any) -> tuple[Any, Any]:
    """The address of the first byte, and that behind the last one."""
    start = builder.ptrtoint(array.data, _size)
    return start, builder.add(start, builder.mul(array.nitems, array.itemsize))


def _meet(builder: Any, one: tuple[Any, Any], other: tuple[Any, Any]) -> Any:
    """Whether two ranges have a byte in common; an empty one has none."""
    def last(left: Any, right: Any) -> Any:
        return builder.select(builder.icmp_unsigned("<", left, right), left, right)

    def first(left: Any, right: Any) -> Any:
        return builder.select(builder.icmp_unsigned("<", left, right), right, left)

    return builder.icmp_unsigned("<", first(one[0], other[0]), last(one[1], other[1]))


def rewrite(tree: ast.Module, name: str, checked: Sequence[int]) -> None:
    """Put the statement that gives arrays their ordinary types in front of a function of a syntax tree.

    checked  the positions of the arguments that are `Checked`
    """
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    parameters = [function.args.args[k] for k in checked]
    names = [parameter.arg for parameter in parameters]
    for k, parameter in enumerate(parameters):
        parameter.arg = f"{ARGUMENTS}_{k}"
    place = function.body[0]
    targets = ast.Tuple([ast.Name(own, ast.Store()) for own in names], ast.Store())
    given = ast.Tuple([ast.Name(parameter.arg, ast.Load()) for parameter in parameters], ast.Load())
    statement = ast.Assign([targets], ast.Call(ast.Name(ARGUMENTS, ast.Load()), [given], []))
    after = isinstance(place, ast.Expr) and isinstance(place.value, ast.Constant)       # the docstring
    function.body.insert(int(after), ast.fix_missing_locations(ast.copy_location(statement, place)))


def in_python(function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
    """The same checks in front of a dispatcher, whose types of arguments are `signature`."""
    kinds = [(k, as_dtype(kind.dtype), kind.ndim, kind.mutable) for k, kind in enumerate(signature)
             if isinstance(kind, types.Array)]

    def call(*args: Any) -> Any:
        for k, dtype, rank, written in kinds:
            array = args[k]
            if (type(array) is not np.ndarray or array.dtype != dtype or array.ndim != rank
                    or not (array.flags.c_contiguous and array.flags.aligned)
                    or (written and not array.flags.writeable)):
                raise TypeError(MESSAGE)
        for k, _, _, written in kinds:
            if written and any(other != k and np.may_share_memory(args[k], args[other]) for other, *_ in kinds):
                raise ValueError(OVERLAP)
        return function(*args)

    return call
