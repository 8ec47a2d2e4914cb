"""Differences, integrals, polynomials, filters, look-ups in tables: NumPy's small numerical routines on traced values.

A filter is a sum over the points where both arrays overlap, a look-up a count of the table's entries below; the
cost of a look-up is the size of the table. Nothing here has a gradient rule of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradc.ir.cast import cast
from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError
from gradc.ir.graph import Check, Node, Part

from .arrays import Array, Slice
from .numpy_constructors import powers
from .numpy_dtypes import converted
from .numpy_functions import FUNCTIONS, kept, known, positions
from .numpy_pointwise import number
from .traced import Trace, Traced

# -- differences and integrals --------------------------------------------------------------------


def _along(rank: int, at: int, part: Any) -> tuple[Any, ...]:
    """The key that takes a part along one dimension."""
    return tuple(part if k == at else slice(None) for k in range(rank))


@known("diff")
def _diff(t: Trace, a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    x = t.value(t.lift(a))
    at = positions(t, axis, x.ndim)[0]
    ends = [t.value(t.lift(end)) if end is not None else None for end in (prepend, append)]
    if any(end is not None for end in ends):
        shape = [1 if k == at else size for k, size in enumerate(x.shape)]
        whole = [FUNCTIONS["broadcast_to"](t, end, shape) if end is not None and not end.ndim else end for end in ends]
        x = FUNCTIONS["concatenate"](t, [part for part in (whole[0], x, whole[1]) if part is not None], at)
    if n < 0:
        raise t.refused(f"diff of the order {n}", "Write how often differences are taken, from 0.")
    for _ in range(n):
        low, high = x[_along(x.ndim, at, slice(0, -1))], x[_along(x.ndim, at, slice(1, None))]
        x = t.apply("not_equal", high, low) if x.array.dtype == "bool" else high - low
    return x


@known("ediff1d")
def _ediff1d(t: Trace, ary: Any) -> Any:
    return _diff(t, FUNCTIONS["ravel"](t, ary))


@known("trapezoid trapz")
def _trapezoid(t: Trace, y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = t.value(t.lift(y))
    at = positions(t, axis, y.ndim)[0]
    widths: Any = dx
    if x is not None:
        x = t.value(t.lift(x))
        widths = _diff(t, x, axis=0 if x.ndim == 1 else at)
        if x.ndim == 1:
            widths = widths[tuple(slice(None) if k == at else None for k in range(y.ndim))]
    both = y[_along(y.ndim, at, slice(1, None))] + y[_along(y.ndim, at, slice(0, -1))]
    return FUNCTIONS["sum"](t, widths * both / 2.0, at)


@known("gradient")
def _gradient(t: Trace, f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Second-order differences inside, first-order ones at the ends. Fornberg (1988), as NumPy has them."""
    if edge_order != 1:
        raise t.refused(f"np.gradient with edge_order={edge_order!r} is not known", "Leave it at 1.")
    x = number(t, f)
    axes = positions(t, axis, x.ndim)
    spacing = list(varargs) * len(axes) if len(varargs) == 1 else list(varargs) or [1.0] * len(axes)
    if len(spacing) != len(axes):
        raise t.refused(f"np.gradient has {len(spacing)} spacings for {len(axes)} axes", "Give one for each.",
                        ShapeError)
    found = tuple(_slope(t, x, at, h) for at, h in zip(axes, spacing, strict=True))
    return found[0] if len(found) == 1 else list(found)


def _slope(t: Trace, x: Traced, at: int, spacing: Any) -> Any:
    def part(value: Any, a: Any, b: Any) -> Any:
        return value[_along(value.ndim, at if value.ndim > 1 else 0, slice(a, b))]

    spacing = t.value(t.lift(spacing))
    steps = part(x, 1, None) - part(x, 0, -1)
    if not spacing.ndim:
        inner: Any = (part(x, 2, None) - part(x, 0, -2)) / (2.0 * spacing)
        ends = steps / spacing
    else:
        widths = _diff(t, spacing)[tuple(slice(None) if k == at else None for k in range(x.ndim))]
        ends = steps / widths
        h, k = part(widths, 0, -1), part(widths, 1, None)
        inner = (h * part(ends, 1, None) + k * part(ends, 0, -1)) / (h + k)
    return FUNCTIONS["concatenate"](t, [part(ends, 0, 1), inner, part(ends, -1, None)], at)


# -- polynomials ----------------------------------------------------------------------------------


@known("polyval")
def _polyval(t: Trace, p: Any, x: Any) -> Any:
    return _polynomial(t, x, t.value(t.lift(p))[::-1])


@known("polynomial.polynomial.polyval")
def _polynomial(t: Trace, x: Any, c: Any) -> Any:
    """The sum of the coefficients, lowest first, times powers that are running products."""
    coefficients = t.lift(c)
    if len(coefficients.axes) != 1:
        raise t.refused("a polynomial with coefficients of several dimensions", "Give one row of them.", ShapeError)
    return FUNCTIONS["sum"](t, powers(t, t.lift(x), coefficients.shape[0]) * t.value(coefficients), -1)


# -- filters --------------------------------------------------------------------------------------


@known("convolve")
def _convolve(t: Trace, a: Any, v: Any, mode: str = "full") -> Any:
    """sum over k of a[i - k] v[k], over the points that both have."""
    long, short = t.promotion.precise([t.lift(a), t.lift(v)])
    if len(long.axes) != 1 or len(short.axes) != 1:
        raise t.refused("np.convolve and np.correlate take arrays of one dimension",
                        "Use gradc.nn.conv1d or conv2d, or np.einsum of shifted slices.", ShapeError)
    if mode not in ("full", "same", "valid"):
        raise t.refused(f"np.convolve with mode={mode!r} is not known", "Use 'full', 'same' or 'valid'.")
    n, m = long.shape[0], short.shape[0]
    if mode != "full":
        gap = (n - m).constant
        if gap is not None and gap < 0:
            (long, short), (n, m) = (short, long), (m, n)
        elif gap is None:
            t.graph.checks.append(Check(t.graph.apply("less", t.graph.dim(n), t.graph.dim(m)), (
                f"np.convolve with mode={mode!r} has a first array shorter than the second: exchange them")))
    offset, size = {"full": (Dim.of(0), n + m - 1), "same": ((m - 1) // 2, n), "valid": (m - 1, n - m + 1)}[mode]
    return t.value(_filtered(t, long, short, offset, size))


def _filtered(t: Trace, long: Array, short: Array, offset: Dim, size: Dim) -> Array:
    graph = t.graph
    i, k = t.arrays.order([size, short.shape[0]])
    place = graph.apply("sub", graph.apply("add", graph.axis(i), graph.dim(offset)), graph.axis(k))
    guards = [] if t.bounds.inside(place, long.shape[0]) == "yes" else [
        graph.apply("greater_equal", place, 0), graph.apply("less", place, graph.dim(long.shape[0]))]
    element = read_under(t, long, [place], guards)
    product = t.arrays.apply("mul", Array(element), Array(t.arrays.over(short, [k]).node)).node
    total = graph.reduce("sum", k, product, guards)
    return Array(cast(total, "bool") if long.dtype == short.dtype == "bool" else total, (i,))


def read_under(t: Trace, array: Array, indices: Sequence[Node], guards: Sequence[Node]) -> Node:
    """An element that is read only where the guards hold, so that the index may lie outside elsewhere."""
    graph = t.graph
    node = t.arrays.number(array.node)
    if node.op == "read":
        rank = node.attr
        source, *args = node.args
        replaced = graph.substitute_all(args, dict(zip(array.axes, indices, strict=True)))
        return graph.read(source, replaced[:rank], [*replaced[rank:], *guards])
    plain = t.arrays.plain(Array(node, array.axes))
    return graph.read(graph.store(plain.axes, plain.node), indices, guards)


@known("correlate")
def _correlate(t: Trace, a: Any, v: Any, mode: str = "valid") -> Any:
    first, second = t.value(t.lift(a)), t.value(t.lift(v))
    gap = (first.array.shape[0] - second.array.shape[0]).constant if first.ndim == second.ndim == 1 else 0
    if gap is not None and gap < 0:                             # exchanged, the result runs backwards
        return _convolve(t, second, first[::-1], mode)[::-1]
    return _convolve(t, first, second[::-1], mode)


# -- look-ups -------------------------------------------------------------------------------------


def _below(t: Trace, table: Array, value: Array, compare: str) -> Array:
    """How many entries of a table compare with the value."""
    rank = len(value.axes)
    lifted = t.element(value, [*(Slice(t.graph.const(0), 1, dim) for dim in value.shape)])
    column = t.lift(kept(t, lifted, [rank], True, rank + 1))
    return t.arrays.reduce("sum", t.operated(compare, table, column), [rank])


@known("searchsorted")
def _searchsorted(t: Trace, a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if sorter is not None:
        raise t.refused("np.searchsorted(..., sorter=...) has no meaning here", "Index the table by it first.")
    return t.value(_below(t, t.lift(a), t.lift(v), "less" if side == "left" else "less_equal"))


@known("digitize")
def _digitize(t: Trace, x: Any, bins: Any, right: bool = False) -> Any:
    """For bins that increase, as np.searchsorted."""
    if not isinstance(bins, Traced) and np.size(bins) > 1 and np.any(np.diff(bins) < 0):
        raise t.refused("np.digitize with bins that decrease is not known", "Give them in increasing order.")
    return t.value(_below(t, t.lift(bins), t.lift(x), "less" if right else "less_equal"))


@known("interp")
def _interp(t: Trace, x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear between the points of a table that increases, constant beyond it."""
    if period is not None:
        raise t.refused("np.interp(..., period=...) has no meaning here", "Take x modulo the period.")
    points, values, x = (converted(t, one, float) for one in (xp, fp, x))       # as in NumPy, whatever they are
    t.arrays.equal(points.array.shape[0], values.array.shape[0])
    last = points.shape[0] - 1
    count = t.value(_below(t, points.array, t.lift(x), "less_equal"))
    at = t.apply("min", t.apply("max", count - 1, 0), t.apply("max", last - 1, 0))
    after = t.apply("min", at + 1, last)
    width = points[after] - points[at]
    inside = values[at] + (values[after] - values[at]) * ((x - points[at]) / t.apply(
        "select", t.apply("eq", width, 0), 1.0, width))
    found = t.apply("select", t.apply("less", x, points[0]), values[0] if left is None else left, inside)
    return t.apply("select", t.apply("greater_equal", x, points[-1]), t.apply("select", t.apply(
        "greater", x, points[-1]), values[-1] if right is None else right, values[-1]), found)


@known("bincount")
def _bincount(t: Trace, x: Any, weights: Any = None, minlength: Any = None) -> Any:
    """The sums over equal indices; the number of bins is `minlength`, and an index beyond it is refused."""
    index = t.lift(x)
    if minlength is None:
        raise t.refused("np.bincount without minlength= has a length that is not known", "Give minlength=.")
    (size,) = (t.value(t.lift(minlength)).array,)
    bins = FUNCTIONS["zeros"](t, (t.value(size),), int if weights is None else float)
    t.bounds.require("the bins", bins.array.shape, [index.node], [], None)
    if weights is None:
        weight, axes = t.graph.const(1), index.axes
    else:
        (index_node, weight), axes = t.arrays.broadcast([index, t.lift(weights)])
        index = Array(index_node, axes)
    dtype = "int64" if weights is None else "float64"
    return t.value(t.whole(t.graph.scatter_add(bins.array.shape, [Part(weight, (index.node,))], dtype)))
