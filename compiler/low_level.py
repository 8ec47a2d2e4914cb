"""A compiled function as a C function that SciPy's integrators call without Python: `scipy.LowLevelCallable`.

`quad` and `nquad` give the numbers to integrate over in a C array; values of other arguments stand in a block of
memory that the callable carries with it. A text that reads both and calls the compiled function is made from the
places and shapes alone, so one compilation serves all values.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gradc.ir.errors import ArgumentError, DerivativeError, UnsupportedError

from .arguments import as_declared, check_dimensions, no_argument
from .variables import plain_call
from .vector_function import is_scalar

if TYPE_CHECKING:
    from scipy import LowLevelCallable

    from .function import Function

Place = tuple[int, tuple[int, ...], str]        # in the block: the first byte, the shape, the dtype
_compiled: weakref.WeakKeyDictionary[Function, dict[tuple[Place | int, ...], Any]] = weakref.WeakKeyDictionary()


def low_level(of: Any, fixed: Mapping[str, Any]) -> LowLevelCallable:
    """The callable of the arguments that have no value, numbers in their order; see `Adapters.lowlevel`."""
    from scipy import LowLevelCallable

    for name in fixed:
        if name not in of.args:
            raise no_argument(name, of.args)
    open_ = [name for name in of.args if name not in fixed]
    function, values = plain_call(of, {**dict.fromkeys(open_, 0.0), **fixed})
    if not function.options.jit:
        raise UnsupportedError("a function with jit=False has no compiled code that SciPy could call: compile it with "
                               "jit=True, or give the function itself to SciPy")
    if not is_scalar(function):
        raise DerivativeError("an integrand has one number as its value, and this function has more: compile one of "
                              "them, or reduce it, for example with sum(...)")
    nodes = function.graph.inputs
    for name in open_:
        if name in nodes and (nodes[name].shape or nodes[name].dtype != "float64"):
            raise ArgumentError(f"the argument {name} is no number of float64, so it cannot be integrated over: give "
                                f"its value, lowlevel({name}=...)")
    if not open_:
        raise ArgumentError("all arguments have a value, so nothing is left to integrate over: leave one out")
    arrays = {name: as_declared(node, value) for (name, node), value in zip(nodes.items(), values, strict=True)}
    check_dimensions(function.graph, list(arrays.values()))
    block, places = _laid_out([name if name in open_ else arrays[name] for name in nodes], open_)
    made = _compiled.setdefault(function, {})
    if places not in made:
        made[places] = _callback(function, places, len(open_))
    pointer = made[places].ctypes
    pointer.compiled = made[places]                             # code and values live as long as the callable
    with_data: Any = LowLevelCallable                       # the stubs know of no user_data
    return cast("LowLevelCallable", with_data(pointer, user_data=block.ctypes.data_as(ctypes.c_void_p)))


def _laid_out(values: Sequence[Any], open_: Sequence[str]) -> tuple[np.ndarray[Any, Any], tuple[Place | int, ...]]:
    """The block with the values, and for each argument its place in it, or that among the numbers to integrate over."""
    places: list[Place | int] = []
    parts = [b""]
    for value in values:
        if isinstance(value, str):
            places.append(open_.index(value))
            continue
        array = np.asarray(value)
        data = array.tobytes()
        places.append((sum(map(len, parts)), array.shape, array.dtype.name))
        parts.append(data + bytes(-len(data) % 8))
    return np.frombuffer(b"".join(parts) or bytes(8), dtype=np.uint8).copy(), tuple(places)


def _callback(function: Function, places: Sequence[Place | int], count: int) -> Any:
    """The C function `double (int, double *, void *)`; it gives nan where the compiled function refuses."""
    from numba import cfunc, types
    from numba.np.numpy_support import carray

    arguments, size = [], 8
    for place in places:
        if isinstance(place, int):
            arguments.append(f"xx[{place}]")
            continue
        start, shape, dtype = place
        end = start + int(np.prod(shape)) * np.dtype(dtype).itemsize
        part = f"block[{start}:{end}].view({dtype})"
        arguments.append(f"{part}.reshape({shape})" if len(shape) > 1 else part if shape else f"{part}[0]")
        size = max(size, end)
    text = f"""\
def integrand(n, xx, values):
    if n != {count}:
        return nan
    block = carray(values, {size}, uint8)
    try:
        result = value({', '.join(arguments)})
    except Exception:
        result = nan
    return result
"""
    scope: dict[str, Any] = {"value": function.jit, "carray": carray, "nan": np.nan, "uint8": np.uint8,
                             "float64": np.float64, "float32": np.float32, "int64": np.int64, "bool": np.bool_}
    exec(compile(text, "<gradc integrand>", "exec"), scope)  # noqa: S102  (numbers and names of dtypes only)
    exact: Any = types
    c_function = exact.double(exact.intc, exact.CPointer(exact.double), exact.voidptr)
    return cfunc(c_function)(scope["integrand"])
