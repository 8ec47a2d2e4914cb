"""Elements of traced arrays by function: take, take_along_axis, compress, extract, and those that write, as np.put.

A function that writes changes what its first argument stands for from then on, and no other name of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradc.ir.errors import ShapeError

from .arrays import Array
from .numpy_functions import FUNCTIONS, METHODS, kept, known, positions
from .numpy_pointwise import condition
from .traced import Trace, Traced


@known("take")
def _take(t: Trace, a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    if axis is None:
        a, axis = FUNCTIONS["ravel"](t, a), 0
    x = t.value(t.lift(a))
    at = positions(t, axis, x.ndim)[0]
    if mode == "wrap":
        indices = t.apply("mod", indices, x.shape[at])
    elif mode == "clip":
        indices = t.apply("min", t.apply("max", indices, 0), x.shape[at] - 1)
    elif mode != "raise":
        raise t.refused(f"np.take with mode={mode!r} is not known", "Use 'raise', 'wrap' or 'clip'.")
    return x[(*[slice(None)] * at, indices)]


def _along(t: Trace, x: Traced, indices: Any, axis: Any) -> tuple[Any, ...]:
    """The key that takes, along one dimension, the element that the index at the same place names."""
    at = positions(t, axis, x.ndim)[0]
    chosen = t.lift(np.asarray(indices) if isinstance(indices, (list, tuple)) else indices)
    if len(chosen.axes) != x.ndim:
        raise t.refused(f"the indices have {len(chosen.axes)} dimensions and the array {x.ndim}",
                        "Give both the same number of dimensions.", ShapeError)
    key: list[Any] = []
    for k, axis_of in enumerate(chosen.axes):
        if k == at:
            key.append(indices)
            continue
        dim = t.arrays.unified(axis_of.dim, x.array.shape[k])
        (own,) = t.arrays.order([dim])
        row = Array(t.graph.axis(own), (own,))
        key.append(kept(t, row, [j for j in range(x.ndim) if j != k], True, x.ndim))
    return tuple(key)


@known("take_along_axis")
def _take_along_axis(t: Trace, arr: Any, indices: Any, axis: Any = -1) -> Any:
    if axis is None:
        arr, axis = FUNCTIONS["ravel"](t, arr), 0
    x = t.value(t.lift(arr))
    return x[_along(t, x, indices, axis)]


@known("compress")
def _compress(t: Trace, condition: Any, a: Any, axis: Any = None) -> Any:
    if isinstance(condition, Traced):
        raise t.refused("np.compress by a traced condition has a length that is not known",
                        "Reduce at once, np.sum(x[mask]), or write np.where(mask, x, 0.0).")
    mask = np.asarray(condition, dtype=bool)
    if axis is None:
        a, axis = FUNCTIONS["ravel"](t, a), 0
    return _take(t, a, np.flatnonzero(mask), axis)


@known("ndarray.compress")
def _compressed(t: Trace, self: Any, condition: Any, axis: Any = None) -> Any:
    return _compress(t, condition, self, axis)


METHODS["compress"] = "ndarray.compress"


@known("extract")
def _extract(t: Trace, condition: Any, arr: Any) -> Any:
    mask = _flat_condition(t, condition)
    return FUNCTIONS["ravel"](t, arr)[mask]


def _flat_condition(t: Trace, value: Any) -> Any:
    if isinstance(value, Traced):
        return FUNCTIONS["ravel"](t, condition(t, value))
    return np.asarray(value, dtype=bool).ravel()


@known("ix_")
def _ix(t: Trace, *args: Any) -> Any:
    rank = len(args)
    return tuple(t.value(t.lift(a))[tuple(slice(None) if j == k else None for j in range(rank))]
                 for k, a in enumerate(args))


# -- functions that write -------------------------------------------------------------------------


def _target(t: Trace, name: str, a: Any) -> Traced:
    if not isinstance(a, Traced):
        raise t.refused(f"np.{name} writes to an array that is not traced", "Make it by np.zeros inside the function.")
    return a


@known("fill")
def _fill(t: Trace, a: Any, value: Any) -> None:
    _target(t, "fill", a)[...] = value


@known("ndarray.sort")
def _sort_in_place(t: Trace, a: Any, axis: int = -1) -> None:
    target = _target(t, "sort", a)
    target.array = FUNCTIONS["sort"](t, target, axis).array


@known("put")
def _put(t: Trace, a: Any, ind: Any, v: Any) -> None:
    target = _target(t, "put", a)
    row = FUNCTIONS["ravel"](t, target)
    row[ind] = v
    target.array = FUNCTIONS["reshape"](t, row, target.shape).array


@known("put_along_axis")
def _put_along_axis(t: Trace, arr: Any, indices: Any, values: Any, axis: Any = -1) -> None:
    target = _target(t, "put_along_axis", arr)
    target[_along(t, target, indices, axis)] = values


@known("copyto")
def _copyto(t: Trace, dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    del casting
    target = _target(t, "copyto", dst)
    filled = Traced(t, target.array)
    filled[...] = src
    target.array = filled.array if where is True else t.apply("select", condition(t, where), filled, target).array


@known("putmask place")
def _putmask(t: Trace, a: Any, mask: Any, values: Any) -> None:
    target = _target(t, "putmask", a)
    given = t.lift(values)
    if given.axes:
        raise t.refused("np.putmask and np.place with several values",
                        "Write np.where(mask, values, x), or assign a number.")
    target[mask] = values


@known("fill_diagonal")
def _fill_diagonal(t: Trace, a: Any, val: Any, wrap: bool = False) -> None:
    target = _target(t, "fill_diagonal", a)
    if target.ndim != 2 or wrap or t.lift(val).axes:
        raise t.refused("np.fill_diagonal beyond a number on the diagonal of a matrix",
                        "Write np.where(np.eye(n, dtype=bool), value, A).")
    i, j = target.array.axes
    on = t.value(Array(t.graph.apply("eq", t.graph.axis(i), t.graph.axis(j)), (i, j)))
    _copyto(t, target, val, where=on)
