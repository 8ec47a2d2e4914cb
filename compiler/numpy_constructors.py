"""Arrays made from sizes and numbers while a function is traced: zeros, eye, arange, linspace, meshgrid, tri, vander.

Each is a formula in its indices; nothing is stored. Most see no traced array, so the stand-in for NumPy gives them
the trace. Without a traced size or value `np.arange(0.0, 1.0, 0.1)` and its like are NumPy's own arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradc.ir.cast import cast
from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError
from gradc.ir.graph import Node

from .arrays import Array, whole_dim
from .numpy_dtypes import converted, named
from .numpy_functions import FUNCTIONS, Function, known
from .numpy_shapes import sizes
from .traced import Trace, Traced


def _kind(dtype: Any, default: str = "float64") -> str:
    """The dtype of what is made."""
    return default if dtype is None else named(dtype)


def _constant(t: Trace, value: int, dtype: str) -> Node:
    return cast(t.graph.const(value), dtype)


def _filled(value: int) -> Function:
    def fill(t: Trace, shape: Any, dtype: Any = None, order: str = "C") -> Any:
        del order
        return t.value(Array(_constant(t, value, _kind(dtype)), t.arrays.order(sizes(t, shape))))

    return fill


def _filled_like(value: int) -> Function:
    def fill(t: Trace, a: Any, dtype: Any = None, order: str = "K", shape: Any = None) -> Any:
        del order
        array = t.lift(a)
        axes = array.axes if shape is None else t.arrays.order(sizes(t, shape))
        kind = _kind(dtype, array.dtype)
        return t.value(Array(_constant(t, value, kind), axes))

    return fill


FUNCTIONS |= {"zeros": _filled(0), "ones": _filled(1), "empty": _filled(0), "zeros_like": _filled_like(0),
              "ones_like": _filled_like(1), "empty_like": _filled_like(0)}


@known("full")
def _full(t: Trace, shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
    del order
    filled = FUNCTIONS["broadcast_to"](t, fill_value, shape)
    return filled if dtype is None else converted(t, filled, dtype)


@known("full_like")
def _full_like(t: Trace, a: Any, fill_value: Any, dtype: Any = None) -> Any:
    array = t.lift(a)
    return _full(t, t.value(array).shape, fill_value, np.dtype(array.dtype) if dtype is None else dtype)


def _where(t: Trace, on: Node, axes: Sequence[Any], dtype: Any) -> Any:
    """1 where a condition on the indices holds, else 0."""
    kind = _kind(dtype)
    if kind == "bool":
        return t.value(Array(on, tuple(axes)))
    return t.value(Array(t.graph.apply("select", on, _constant(t, 1, kind), _constant(t, 0, kind)), tuple(axes)))


@known("eye")
def _eye(t: Trace, N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Any:
    i, j = t.arrays.order(sizes(t, (N, N if M is None else M)))
    return _where(t, t.graph.apply("eq", t.graph.apply("add", t.graph.axis(i), k), t.graph.axis(j)), (i, j), dtype)


@known("scipy.linalg.toeplitz")
def _toeplitz(t: Trace, c: Any, r: Any = None) -> Any:
    """The column at i - j, above the diagonal the row at j - i."""
    column, row = (t.value(t.lift(FUNCTIONS["ravel"](t, values))) for values in (c, c if r is None else r))
    i, j = t.arrays.order([column.array.shape[0], row.array.shape[0]])
    apart = t.value(Array(t.graph.apply("sub", t.graph.axis(i), t.graph.axis(j)), (i, j)))
    below, above = column[t.apply("max", apart, 0)], row[t.apply("max", t.apply("neg", apart), 0)]
    return FUNCTIONS["where"](t, t.apply("greater_equal", apart, 0), below, above)


@known("identity")
def _identity(t: Trace, n: Any, dtype: Any = None) -> Any:
    return _eye(t, n, dtype=dtype)


@known("tri")
def _tri(t: Trace, N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Any:
    i, j = t.arrays.order(sizes(t, (N, N if M is None else M)))
    below = t.graph.apply("less_equal", t.graph.axis(j), t.graph.apply("add", t.graph.axis(i), k))
    return _where(t, below, (i, j), dtype)


@known("arange")
def _arange(t: Trace, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    low: Any = 0 if stop is None else start
    high: Any = start if stop is None else stop
    if not any(isinstance(end, Traced) for end in (low, high, step)) and any(
            isinstance(end, (float, np.floating)) for end in (low, high, step)):
        (axis,) = t.arrays.order([Dim.of(len(np.arange(low, high, step)))])
        index = t.value(Array(t.graph.apply("real", t.graph.axis(axis)), (axis,)))
        found = float(low) + index * ((float(low) + float(step)) - float(low))
        return found if dtype is None else converted(t, found, dtype)
    if not isinstance(step, (int, np.integer)) or not step or any(
            whole_dim(t.lift(end).node) is None for end in (low, high)):
        raise t.refused("np.arange of sizes takes whole numbers and a step that is a literal other than 0",
                        t.or_static(next((end for end in (step, high, low) if isinstance(end, Traced)), None),
                                    "Write np.arange(n) * step."))
    (first,), (last,) = sizes(t, low, signed=True), sizes(t, high, signed=True)
    by = int(step)
    span = last - first if by > 0 else first - last
    (axis,) = t.arrays.order([(span + (abs(by) - 1)) // abs(by)])
    node = t.graph.apply("add", t.graph.dim(first), t.graph.apply("mul", t.graph.axis(axis), by))
    found = t.value(Array(node, (axis,)))
    return found if dtype is None else converted(t, found, dtype)


@known("linspace")
def _linspace(t: Trace, start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False,
              dtype: Any = None, axis: int = 0) -> Any:
    """start + k (stop - start)/(num - 1), along a new dimension; the last is `stop` itself, as NumPy has it."""
    (dim,) = sizes(t, num)
    (along,) = t.arrays.order([dim])
    last = dim - 1 if endpoint else dim
    steps = last.constant
    kind = t.promotion.common([t.lift(start), t.lift(stop), t.lift(1.0)])
    start, stop = (converted(t, end, kind) for end in (start, stop))
    count: Any = max(1, steps) if steps is not None else t.apply("max", t.value(Array(t.graph.dim(last))), 1)
    step = (stop - start) / count
    rank = step.ndim
    place = t.value(Array(t.graph.axis(along), (along,)))[(slice(None), *[None] * rank)]
    found = t.apply("add", start, converted(t, place, kind) * step)
    if endpoint:
        at_end = t.apply("eq", place, t.value(Array(t.graph.dim(last))))
        if steps != 0:
            final = at_end if steps is not None else at_end & t.apply("greater", t.value(Array(t.graph.dim(last))), 0)
            found = t.apply("select", final, stop, found)
    if axis:
        found = FUNCTIONS["moveaxis"](t, found, 0, axis)
    found = found if dtype is None else converted(t, found, dtype)
    return (found, step) if retstep else found


@known("logspace")
def _logspace(t: Trace, start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0) -> Any:
    return converted(t, t.apply("pow", base, _linspace(t, start, stop, num, endpoint)), float)


@known("geomspace")
def _geomspace(t: Trace, start: Any, stop: Any, num: Any = 50, endpoint: bool = True) -> Any:
    """Powers between two numbers of one sign: by logarithms, which as in NumPy need positive ends."""
    start, stop = converted(t, start, float), converted(t, stop, float)
    ratio = t.apply("log", t.apply("div", stop, start))
    return start * t.apply("exp", _linspace(t, 0.0, ratio, num, endpoint))


@known("meshgrid")
def _meshgrid(t: Trace, *xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> Any:
    del copy
    rows = [FUNCTIONS["ravel"](t, x) for x in xi]
    order = list(range(len(rows)))
    if indexing == "xy" and len(rows) > 1:
        order[:2] = [1, 0]
    found = [row[tuple(slice(None) if order[k] == place else None for place in range(len(rows)))]
             for k, row in enumerate(rows)]
    return tuple(found) if sparse or not found else FUNCTIONS["broadcast_arrays"](t, *found)


@known("indices")
def _indices(t: Trace, dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    axes = t.arrays.order(sizes(t, dimensions))
    kind = _kind(dtype)
    nodes = [cast(t.graph.axis(axis), kind) for axis in axes]
    if sparse:
        raise t.refused("np.indices(..., sparse=True) has no meaning here", "Write np.arange(n)[:, None] and its like.")
    return FUNCTIONS["stack"](t, [t.value(Array(node, axes)) for node in nodes], 0)


@known("vander")
def _vander(t: Trace, x: Any, N: Any = None, increasing: bool = False) -> Any:
    """The powers by running products, whose derivative at 0 is right."""
    row = t.lift(x)
    if len(row.axes) != 1:
        raise t.refused(f"np.vander of an array of {len(row.axes)} dimensions", "Give it one.", ShapeError)
    found = powers(t, row, row.shape[0] if N is None else sizes(t, N)[0])
    return found if increasing else found[:, ::-1]


def powers(t: Trace, x: Array, count: Dim) -> Traced:
    """x**0, x**1, ... along a new last dimension."""
    axes = t.arrays.order([*x.shape, count])
    node = t.arrays.over(x, axes[:-1]).node
    return t.value(Array(t.graph.scan("prod", axes[-1], (t.arrays.number(node),)), axes))


CONSTRUCTORS = ("zeros", "ones", "empty", "full", "eye", "identity", "arange", "linspace", "logspace", "geomspace",
                "tri", "indices")
