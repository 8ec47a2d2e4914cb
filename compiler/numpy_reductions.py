"""Reductions of NumPy on traced values: sums and their kin, statistics, norms, running sums and products.

Over which points a reduction counts (`where=`) is a guard of the reduction; nothing is put in the place of what
is left out. `nansum` and its kin are reductions guarded by "is a number".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradc.ir.cast import cast
from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError
from gradc.ir.table import REDUCTIONS

from .arrays import Array
from .numpy_dtypes import converted
from .numpy_functions import FUNCTIONS, Function, kept, known, positions
from .numpy_pointwise import condition, number
from .traced import Trace, Traced


def reduced(t: Trace, op: str, x: Any, axis: Any, keepdims: bool, where: Any = None, initial: Any = None) -> Any:
    """A reduction of the table over some dimensions, over the points where `where` holds."""
    array = t.lift(x)
    rank = len(array.axes)
    chosen = positions(t, axis, rank)
    truth = array.dtype == "bool" and op in ("max", "min") and (initial is None or t.lift(initial).dtype == "bool")
    if where is None or where is True:
        found = t.arrays.reduce(op, array, chosen)
        some = _some(t, array, chosen) if initial is not None and REDUCTIONS[op].identity is None else None
    else:
        array, mask = _alike(t, array, condition(t, where).array, rank)
        found = _guarded(t, op, array, mask, chosen)
        some = t.arrays.reduce("any", mask, chosen)
    if initial is not None:
        pair = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}[op]
        joined = t.operated(pair, found, t.lift(initial))
        found = joined if some is None or REDUCTIONS[op].identity is not None else t.operated(
            "select", some, joined, t.lift(initial))
    found = found._replace(node=cast(found.node, "bool")) if truth else found      # the largest truth value is one
    return kept(t, found, chosen, keepdims, rank)


def _some(t: Trace, array: Array, chosen: Sequence[int]) -> Array:
    """Whether there is any point to reduce."""
    sizes = [t.graph.dim(array.axes[k].dim) for k in chosen]
    return Array(t.graph.all_of([t.graph.apply("less", 0, size) for size in sizes]))


def _or_of_nothing(t: Trace, x: Any, chosen: Sequence[int], found: Any, value: float) -> Any:
    """What was found, or over no points a value."""
    some = _some(t, t.lift(x), chosen)
    return found if some.node.op == "const" and some.node.value else t.apply(
        "select", t.value(some), found, t.value(Array(t.graph.const(value, t.lift(found).dtype))))


def _alike(t: Trace, array: Array, mask: Array, rank: int) -> tuple[Array, Array]:
    (node, guard), axes = t.arrays.broadcast([array, mask])
    if len(axes) != rank:
        raise t.refused("where= has more dimensions than the array", "Give both the same dimensions.", ShapeError)
    return Array(node, axes), Array(guard, axes)


def _guarded(t: Trace, op: str, array: Array, mask: Array, chosen: Sequence[int]) -> Array:
    """The reduction axis by axis; what has no value over nothing passes over rows in which nothing is left."""
    graph, node, guard = t.graph, t.arrays.body(op, array.node), mask.node
    for position in sorted(chosen, reverse=True):
        axis = array.axes[position]
        node, inner = graph.reduce(op, axis, node, [guard]), guard
        guard = graph.reduce("any", axis, inner) if REDUCTIONS[op].identity is None else graph.const(True)
    return Array(node, tuple(axis for i, axis in enumerate(array.axes) if i not in chosen))


def _total(op: str) -> Function:
    def reduce(t: Trace, x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None,
               where: Any = None) -> Any:
        return reduced(t, op, x, axis, keepdims, where, initial)

    return reduce


def _index(op: str) -> Function:
    def reduce(t: Trace, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        rank = len(t.lift(x).axes)
        if axis is None and rank != 1:
            found = reduced(t, op, FUNCTIONS["ravel"](t, x), 0, False)
            return kept(t, t.lift(found), range(rank), keepdims, rank)
        return reduced(t, op, x, 0 if axis is None else axis, keepdims)

    return reduce


def _logical(op: str) -> Function:
    def reduce(t: Trace, x: Any, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
        return reduced(t, op, x, axis, keepdims, where)

    return reduce


FUNCTIONS |= {name: _total(name) for name in ("sum", "prod", "max", "min")}
FUNCTIONS |= {name: _logical(name) for name in ("any", "all")} | {name: _index(name) for name in ("argmax", "argmin")}
FUNCTIONS |= {"amax": FUNCTIONS["max"], "amin": FUNCTIONS["min"], "prod": _total("prod")}


def _count(t: Trace, array: Array, chosen: Sequence[int]) -> Any:
    """The number of points over some dimensions."""
    count = Dim.of(1)
    for position in chosen:
        count = count * array.shape[position]
    return t.value(Array(t.graph.dim(count)))


@known("mean")
def _mean(t: Trace, x: Any, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    if where is None:
        return reduced(t, "mean", x, axis, keepdims)
    array = t.lift(x)
    array, mask = _alike(t, array, condition(t, where).array, len(array.axes))
    total = reduced(t, "sum", t.value(array), axis, keepdims, t.value(mask))
    return total / _as_in(t, reduced(t, "sum", t.value(mask), axis, keepdims), total)


def _as_in(t: Trace, count: Any, total: Any) -> Any:
    """A count of elements in the precision of their sum, as NumPy divides by it."""
    return converted(t, count, total.dtype) if total.array.dtype.startswith("float") else count


@known("var")
def _var(t: Trace, x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False, where: Any = None,
         mean: Any = None, correction: Any = 0) -> Any:
    centred = number(t, x) - (_mean(t, x, axis, True, where) if mean is None else mean)
    ddof = ddof or correction
    if not ddof:
        return _mean(t, centred * centred, axis, keepdims, where)
    total = reduced(t, "sum", centred * centred, axis, keepdims, where)
    if where is not None:
        mask = _alike(t, t.lift(x), condition(t, where).array, len(t.lift(x).axes))[1]
        return total / _freedom(t, _as_in(t, reduced(t, "sum", t.value(mask), axis, keepdims), total), ddof, 0)
    array = t.lift(x)
    return total / _freedom(t, _count(t, array, positions(t, axis, len(array.axes))), ddof)


def _freedom(t: Trace, count: Any, ddof: Any, least: int = 1) -> Any:
    """The degrees of freedom, never below 0: with too few elements a variance is infinite or NaN, as in NumPy."""
    freedom = count - ddof
    few = isinstance(ddof, Traced) or ddof > least              # a mean has seen to one element
    return t.apply("max", freedom, 0) if few else freedom


@known("std")
def _std(t: Trace, x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False, where: Any = None,
         mean: Any = None, correction: Any = 0) -> Any:
    return t.apply("sqrt", _var(t, x, axis, ddof, keepdims, where, mean, correction))


@known("ptp")
def _ptp(t: Trace, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return reduced(t, "max", x, axis, keepdims) - reduced(t, "min", x, axis, keepdims)


@known("count_nonzero")
def _count_nonzero(t: Trace, x: Any, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    return reduced(t, "sum", condition(t, x), axis, keepdims, where)


@known("average")
def _average(t: Trace, x: Any, axis: Any = None, weights: Any = None, returned: bool = False,
             keepdims: bool = False) -> Any:
    if weights is None:
        mean = _mean(t, x, axis, keepdims)
        array = t.lift(x)
        return (mean, _count(t, array, positions(t, axis, len(array.axes))) * 1.0) if returned else mean
    weights = t.value(t.lift(weights))
    array = t.lift(x)
    if weights.ndim != len(array.axes):
        at = positions(t, axis, len(array.axes))
        if axis is None or weights.ndim != len(at):
            raise t.refused("the weights have another shape than the array, and axis= does not say where they lie",
                            "Give axis=, or weights of the same shape.", ShapeError)
        weights = kept(t, weights.array, [k for k in range(len(array.axes)) if k not in at], True, len(array.axes))
    whole = t.value(_alike(t, array, weights.array, len(array.axes))[1])
    total = reduced(t, "sum", whole, axis, keepdims)
    mean = reduced(t, "sum", number(t, x) * weights, axis, keepdims) / total
    return (mean, total) if returned else mean


def _nan(name: str) -> Function:
    def reduce(t: Trace, x: Any, axis: Any = None, keepdims: bool = False, where: Any = None, **options: Any) -> Any:
        if not t.lift(x).dtype.startswith("float"):
            return FUNCTIONS[name](t, x, axis=axis, keepdims=keepdims, **({} if where is None else {"where": where}),
                                   **options)
        is_number = t.apply("not", t.apply("isnan", x))
        there = is_number if where is None else t.apply("and", is_number, condition(t, where))
        return FUNCTIONS[name](t, x, axis=axis, keepdims=keepdims, where=there, **options)

    return reduce


FUNCTIONS |= {f"nan{name}": _nan(name) for name in ("sum", "prod", "mean", "max", "min", "var", "std")}


def _nan_index(name: str, worst: float) -> Function:
    def reduce(t: Trace, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        filled = t.apply("select", t.apply("isnan", x), worst, x)
        return FUNCTIONS[name](t, filled, axis, keepdims)

    return reduce


FUNCTIONS |= {"nanargmax": _nan_index("argmax", -math.inf), "nanargmin": _nan_index("argmin", math.inf)}


# -- exponentials ---------------------------------------------------------------------------------


@known("special.logsumexp logsumexp")
def _logsumexp(t: Trace, x: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False,
               where: Any = None) -> Any:
    """With weights b the largest x at which b is not 0 is taken out first."""
    if return_sign:
        raise t.refused("scipy.special.logsumexp(..., return_sign=...) has no meaning here", "Leave it out.")
    if b is None:
        return reduced(t, "logsumexp", x, axis, keepdims, where)
    array = t.lift(x)
    (node, factor), axes = t.arrays.broadcast([array, t.lift(b)])
    x, b = t.value(Array(t.arrays.real(node), axes)), t.value(Array(factor, axes))
    used = t.apply("not_equal", b, 0)
    largest = t.apply("detach", reduced(t, "max", x, axis, True, used if where is None else used & where))
    total = reduced(t, "sum", b * t.apply("exp", x - largest), axis, keepdims, used if where is None else used & where)
    shift = reduced(t, "sum", largest, axis, keepdims) if not keepdims else largest
    return t.apply("log", total) + shift


@known("special.log_softmax log_softmax")
def _log_softmax(t: Trace, x: Any, axis: Any = None) -> Any:
    return x - _logsumexp(t, x, axis, keepdims=True)


@known("special.softmax softmax")
def _softmax(t: Trace, x: Any, axis: Any = None) -> Any:
    return t.apply("exp", _log_softmax(t, x, axis))


# -- norms ----------------------------------------------------------------------------------------


@known("linalg.norm")
def norm(t: Trace, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norms that are made of elements; a matrix's others are `numpy_linalg`'s."""
    rank = len(t.lift(x).axes)
    chosen = positions(t, axis, rank)
    if ord is None or (ord == "fro" and len(chosen) == 2) or (ord == 2 and len(chosen) == 1):
        return t.apply("sqrt", reduced(t, "sum", number(t, x) * x, axis, keepdims))
    size = t.apply("abs", x)
    if len(chosen) == 1:
        if ord in (math.inf, -math.inf):
            found = reduced(t, "max" if ord > 0 else "min", size, axis, keepdims)
            return found if ord < 0 else _or_of_nothing(t, x, chosen, found, 0.0)
        if ord == 0:
            kind = t.lift(size).dtype if t.lift(size).dtype.startswith("float") else "float64"
            one, none = (t.value(Array(t.graph.const(number, kind))) for number in (1.0, 0.0))
            return reduced(t, "sum", t.apply("select", condition(t, x), one, none), axis, keepdims)
        if ord == 1:
            return reduced(t, "sum", size, axis, keepdims)
        if isinstance(ord, (int, float)):
            return reduced(t, "sum", size ** float(ord), axis, keepdims) ** (1.0 / ord)
    if len(chosen) == 2 and ord in (1, -1, math.inf, -math.inf):
        inner, outer = chosen if abs(ord) == 1 else chosen[::-1]
        sums = reduced(t, "sum", size, inner, True)
        found = reduced(t, "max" if ord > 0 else "min", sums, outer, True)
        found = found if ord < 0 else _or_of_nothing(t, x, (outer,), found, 0.0)
        return found if keepdims else FUNCTIONS["squeeze"](t, found, tuple(chosen))
    raise t.refused(f"np.linalg.norm with ord={ord!r} over {len(chosen)} axes is not known",
                    "Use ord None, 'fro', 1 or inf over two axes, any number over one.")


@known("linalg.vector_norm")
def _vector_norm(t: Trace, x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    if axis is None and ord == 2:
        return norm(t, x, None, None, keepdims)
    if axis is None:
        rank = len(t.lift(x).axes)
        return kept(t, t.lift(norm(t, FUNCTIONS["ravel"](t, x), ord, 0)), range(rank), keepdims, rank)
    return norm(t, x, ord, axis, keepdims)


@known("linalg.matrix_norm")
def _matrix_norm(t: Trace, x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(t, x, ord, (-2, -1), keepdims)


# -- running sums and products --------------------------------------------------------------------


def running(kind: str, *, skip: bool = False, flat: bool = True) -> Function:
    """A running sum, product, maximum or minimum.

    `skip` leaves out what is no number; `flat` says that without an axis the array is taken as one row.
    """

    def run(t: Trace, x: Any, axis: Any = None, include_initial: bool = False) -> Any:
        if include_initial:
            raise t.refused("include_initial= has no meaning here", "Write np.concatenate([[0.0], np.cumsum(x)]).")
        array = t.lift(x)
        if axis is None:
            if not flat and len(array.axes) != 1:
                raise t.refused("axis= is needed for an array of several dimensions", "Name one axis.", ShapeError)
            array, axis = t.lift(FUNCTIONS["ravel"](t, x)), 0
        along = array.axes[positions(t, axis, len(array.axes))[0]]
        node = t.arrays.number(array.node)
        if skip and node.dtype.startswith("float"):
            node = t.graph.apply("select", t.graph.apply("isnan", node), 0.0 if kind == "sum" else 1.0, node)
        if kind != "prod":
            return t.value(array._replace(node=t.graph.scan(kind, along, (node,), inclusive=True)))
        before = t.graph.scan("prod", along, (node,))           # exclusive: its derivative divides by nothing
        return t.value(array._replace(node=t.graph.apply("mul", before, node)))

    return run


FUNCTIONS |= {"cumsum": running("sum"), "cumprod": running("prod"), "nancumsum": running("sum", skip=True),
              "nancumprod": running("prod", skip=True), "cumulative_sum": running("sum", flat=False),
              "cumulative_prod": running("prod", flat=False)}


# -- covariances ----------------------------------------------------------------------------------


@known("cov")
def _cov(t: Trace, m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Any:
    def rows(x: Any) -> Any:
        x = converted(t, x, float)                              # as in NumPy, whatever the precision of x
        return x[None] if x.ndim == 1 else x if rowvar else x.T

    table = rows(m)
    if y is not None:
        table = FUNCTIONS["concatenate"](t, [table, rows(y)], 0)
    centred = table - _mean(t, table, 1, True)
    count = t.value(Array(t.graph.dim(table.array.shape[1])))
    found = (centred @ centred.T) / _freedom(t, count, (0 if bias else 1) if ddof is None else ddof)
    return FUNCTIONS["squeeze"](t, found)


@known("corrcoef")
def _corrcoef(t: Trace, x: Any, y: Any = None, rowvar: bool = True) -> Any:
    found = _cov(t, x, y, rowvar)
    if not found.ndim:
        return found / found
    spread = t.apply("sqrt", FUNCTIONS["diagonal"](t, found))
    return t.apply("clip", found / spread[:, None] / spread[None, :], -1.0, 1.0)
