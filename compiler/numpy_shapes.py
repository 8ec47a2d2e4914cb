"""Shapes and constructors on traced values: transposes, reshapes, joins, pads, and arrays made from sizes.

Nothing is copied here: an axis is renamed or moved, an index computed from another, and only what is put
together from parts (concatenate, stack, constant pads) is a store. A reshape regroups axes where their
products agree, and reads through the flat index elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from gradc.ir.dims import Axis, Dim, Monomial
from gradc.ir.errors import ShapeError

from .arrays import ONE, Array, ArrayError, Slice, whole_dim
from .numpy_functions import FUNCTIONS, Function, kept, known, positions
from .traced import Trace


@known("transpose permute_dims")
def _transpose(t: Trace, x: Any, axes: Any = None, *more: int) -> Any:
    array = t.lift(x)
    rank = len(array.axes)
    order = (axes, *more) if isinstance(axes, int) else axes
    chosen = list(range(rank))[::-1] if order is None else positions(t, list(order), rank)
    if len(chosen) != rank:
        raise t.refused(f"{len(chosen)} axes for an array of {rank} dimensions", "Name every axis once.", ShapeError)
    return t.value(Array(array.node, tuple(array.axes[p] for p in chosen)))


@known("swapaxes")
def _swapaxes(t: Trace, x: Any, axis1: int, axis2: int) -> Any:
    rank = len(t.lift(x).axes)
    a, b = positions(t, (axis1,), rank)[0], positions(t, (axis2,), rank)[0]
    order = list(range(rank))
    order[a], order[b] = b, a
    return _transpose(t, x, order)


@known("moveaxis")
def _moveaxis(t: Trace, x: Any, source: Any, destination: Any) -> Any:
    rank = len(t.lift(x).axes)
    sources, places = (positions(t, s if isinstance(s, (tuple, list)) else (s,), rank) for s in (source, destination))
    order = [k for k in range(rank) if k not in sources]
    for place, taken in sorted(zip(places, sources, strict=True)):
        order.insert(place, taken)
    return _transpose(t, x, order)


@known("expand_dims")
def _expand_dims(t: Trace, x: Any, axis: Any) -> Any:
    array = t.lift(x)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    rank = len(array.axes) + len(axes)
    return kept(t, array, positions(t, axes, rank), True, rank)


@known("squeeze")
def _squeeze(t: Trace, x: Any, axis: Any = None) -> Any:
    array = t.lift(x)
    rank = len(array.axes)
    ones = [k for k in range(rank) if array.shape[k] == ONE] if axis is None else positions(t, axis, rank)
    if any(array.shape[k] != ONE for k in ones):
        raise t.refused("np.squeeze of a dimension that is not 1", "Declare it as 1, or index it.", ShapeError)
    return t.value(t.element(array, [Array(t.graph.const(0)) if k in ones else Slice(
        t.graph.const(0), 1, array.shape[k]) for k in range(rank)]))


@known("broadcast_to")
def _broadcast_to(t: Trace, x: Any, shape: Any) -> Any:
    dims = _shape(t, shape)
    target = Array(t.graph.const(0.0), t.arrays.order(dims))
    (node, _), axes = t.arrays.broadcast([t.lift(x), target])
    return t.value(Array(node, axes))


def _shape(t: Trace, shape: Any) -> list[Dim]:
    """The dimensions of a shape that the user gives: numbers and traced sizes."""
    found = []
    for size in shape if isinstance(shape, (tuple, list)) else (shape,):
        dim = whole_dim(t.lift(size).node)
        if dim is None:
            raise t.refused("a dimension of a shape is no number and no size",
                            "Write numbers, and sizes such as x.shape[0].")
        found.append(dim)
    return found


@known("reshape")
def _reshape(t: Trace, x: Any, shape: Any = None, *more: Any, newshape: Any = None) -> Any:
    array = t.lift(x)
    wanted = (shape, *more) if more else shape if shape is not None else newshape
    wanted = list(wanted) if isinstance(wanted, (tuple, list)) else [wanted]
    total = _product(array.shape)
    if any(isinstance(size, int) and size == -1 for size in wanted):
        at = next(i for i, size in enumerate(wanted) if isinstance(size, int) and size == -1)
        rest = _product(_shape(t, [size for i, size in enumerate(wanted) if i != at]))
        wanted[at] = t.value(Array(t.graph.dim(_quotient(total, rest))))
    dims = _shape(t, wanted)
    gap = (_product(dims) - total).constant
    if gap is None and (total, _product(dims)) not in t.graph.equal:
        t.graph.equal.append((total, _product(dims)))
    elif gap:
        raise ArrayError(f"{total} elements cannot be reshaped to ({', '.join(map(str, dims))})",
                         "The products of the dimensions must be equal.")
    return t.value(_regrouped(t, array, dims))


def _product(dims: Iterable[Dim]) -> Dim:
    total = Dim.of(1)
    for dim in dims:
        total = total * dim
    return total


def _quotient(total: Dim, rest: Dim) -> Dim:
    """total // rest, exact where rest divides every term."""
    if len(rest.terms) == 1:
        (below, factor), = rest.terms
        terms: dict[Monomial, int] = {}
        for monomial, count in total.terms:
            left = list(monomial)
            for atom in below:
                if atom not in left:
                    return total // rest
                left.remove(atom)
            if count % factor:
                return total // rest
            terms[tuple(left)] = count // factor
        return Dim(terms)
    return total // rest


def _regrouped(t: Trace, array: Array, dims: Sequence[Dim]) -> Array:
    """Groups of old dimensions whose product is that of a group of new ones: each is read through its flat index."""
    graph, axes = t.graph, t.arrays.order(dims)
    indices: list[Any] = []
    old, new = list(array.shape), list(zip(dims, axes, strict=True))
    while old or new:
        ours, theirs = [old.pop(0)] if old else [], [new.pop(0)] if new else []
        while _product(ours) != _product(d for d, _ in theirs):
            if (old and len(ours) <= len(theirs)) or (old and not new):
                ours.append(old.pop(0))
            elif new:
                theirs.append(new.pop(0))
            else:
                break
        indices += _through_flat(t, ours, theirs)
    return Array(graph.substitute(array.node, dict(zip(array.axes, indices, strict=True))), axes)


def _through_flat(t: Trace, ours: Sequence[Dim], theirs: Sequence[tuple[Dim, Axis]]) -> list[Any]:
    graph = t.graph
    if len(ours) == len(theirs) == 1:
        return [graph.axis(theirs[0][1])]
    flat = graph.const(0)
    for dim, axis in theirs:
        flat = graph.apply("add", graph.apply("mul", flat, graph.dim(dim)), graph.axis(axis))
    found: list[Any] = []
    for k, dim in enumerate(ours):
        stride = _product(ours[k + 1:])
        index = flat if stride == ONE else graph.apply("floordiv", flat, graph.dim(stride))
        found.append(index if k == 0 else graph.apply("mod", index, graph.dim(dim)))
    return found


FUNCTIONS["ravel"] = FUNCTIONS["flatten"] = lambda t, x: _reshape(t, x, (-1,))


def _joined(t: Trace, arrays: Any, axis: int) -> Any:
    items = [t.lift(a) for a in arrays]
    return t.value(t.joined(items, positions(t, (axis,), len(items[0].axes))[0]))


@known("concatenate")
def _concatenate(t: Trace, arrays: Any, axis: Any = 0) -> Any:
    if axis is None:
        return _joined(t, [FUNCTIONS["ravel"](t, a) for a in arrays], 0)
    return _joined(t, arrays, axis)


@known("stack")
def _stack(t: Trace, arrays: Any, axis: int = 0) -> Any:
    return _joined(t, [_expand_dims(t, a, axis) for a in arrays], axis)


@known("hstack")
def _hstack(t: Trace, arrays: Any) -> Any:
    items = [FUNCTIONS["atleast_1d"](t, a) for a in arrays]
    return _joined(t, items, 0 if items[0].ndim == 1 else 1)


@known("vstack")
def _vstack(t: Trace, arrays: Any) -> Any:
    return _joined(t, [FUNCTIONS["atleast_2d"](t, a) for a in arrays], 0)


@known("column_stack")
def _column_stack(t: Trace, arrays: Any) -> Any:
    return _joined(t, [_expand_dims(t, a, 1) if t.value(t.lift(a)).ndim == 1 else a for a in arrays], 1)


FUNCTIONS |= {
    "atleast_1d": lambda t, x: _expand_dims(t, x, 0) if not t.lift(x).axes else t.value(t.lift(x)),
    "atleast_2d": lambda t, x: _expand_dims(t, _expand_dims(t, x, 0) if not t.lift(x).axes else x, 0)
    if len(t.lift(x).axes) < 2 else t.value(t.lift(x)),
    "append": lambda t, x, values, axis=None: _concatenate(t, (x, values), axis),
}


@known("flip")
def _flip(t: Trace, x: Any, axis: Any = None) -> Any:
    x = t.value(t.lift(x))
    chosen = positions(t, axis, x.ndim)
    return x[tuple(slice(None, None, -1) if k in chosen else slice(None) for k in range(x.ndim))]


FUNCTIONS |= {"flipud": lambda t, x: _flip(t, x, 0), "fliplr": lambda t, x: _flip(t, x, 1)}


@known("roll")
def _roll(t: Trace, x: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        x = t.value(t.lift(x))
        return _reshape(t, _roll(t, FUNCTIONS["ravel"](t, x), shift, 0), x.shape)
    array = t.lift(x)
    mapping = {}
    shifts = shift if isinstance(shift, (tuple, list)) else [shift] * len(positions(t, axis, len(array.axes)))
    for position, by in zip(positions(t, axis, len(array.axes)), shifts, strict=True):
        own = array.axes[position]
        moved = t.graph.apply("sub", t.graph.axis(own), t.lift(by).node)
        mapping[own] = t.graph.apply("mod", moved, t.graph.dim(own.dim))
    return t.value(array._replace(node=t.graph.substitute(array.node, mapping)))


@known("pad")
def _pad(t: Trace, x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0.0) -> Any:
    """Constant, edge or reflect: the index is clipped or mirrored, and a constant stands beyond the ends."""
    array = t.lift(x)
    graph, rank = t.graph, len(array.axes)
    widths = [[pad_width] * 2] * rank if isinstance(pad_width, int) else [
        list(w) if isinstance(w, (tuple, list)) else [w, w] for w in pad_width]
    if len(widths) == 2 and rank != 2 and all(isinstance(w, int) for w in pad_width):
        widths = [list(pad_width)] * rank
    if len(widths) == 1:
        widths = widths * rank
    ends = [[_shape(t, w)[0] for w in pair] for pair in widths]
    axes = t.arrays.order([a + dim + b for (a, b), dim in zip(ends, array.shape, strict=True)])
    mapping, inside = {}, []
    for (before, after), own, axis in zip(ends, array.axes, axes, strict=True):
        index = graph.apply("sub", graph.axis(axis), graph.dim(before))
        last = graph.dim(own.dim - 1)
        if before == after == Dim.of(0):
            mapping[own] = graph.axis(axis)
        elif mode == "edge":
            mapping[own] = graph.apply("min", graph.apply("max", index, 0), last)
        elif mode == "reflect":
            low = graph.apply("max", index, graph.apply("neg", index))
            mapping[own] = graph.apply("min", low, graph.apply("sub", graph.dim(2 * (own.dim - 1)), low))
        elif mode == "constant":
            mapping[own] = index
            inside += [graph.apply("greater_equal", index, 0), graph.apply("less", index, graph.dim(own.dim))]
        else:
            raise t.refused(f"np.pad with mode={mode!r} is not known", "Use 'constant', 'edge' or 'reflect'.")
    if not inside:
        return t.value(Array(graph.substitute(array.node, mapping), axes))
    plain = t.arrays.plain(array)
    parts = [(plain.axes, tuple(before for before, _ in ends), (), t.arrays.real(plain.node))]
    whole = t.arrays.order([axis.dim for axis in axes])
    base = graph.store(whole, t.arrays.real(t.lift(constant_values).node))
    return t.value(t.whole(graph.store_parts([axis.dim for axis in axes], parts, base=base)))


@known("tile")
def _tile(t: Trace, x: Any, reps: Any) -> Any:
    x = t.value(t.lift(x))
    counts = list(reps) if isinstance(reps, (tuple, list)) else [reps]
    while x.ndim < len(counts):
        x = _expand_dims(t, x, 0)
    counts = [1] * (x.ndim - len(counts)) + counts
    array = t.lift(x)
    dims = [dim * count for dim, count in zip(array.shape, _shape(t, counts), strict=True)]
    axes = t.arrays.order(dims)
    mapping = {own: t.graph.axis(axis) if own.dim == axis.dim else t.graph.apply("mod", t.graph.axis(axis), t.graph.dim(
        own.dim)) for own, axis in zip(array.axes, axes, strict=True)}
    return t.value(Array(t.graph.substitute(array.node, mapping), axes))


@known("repeat")
def _repeat(t: Trace, x: Any, repeats: Any, axis: Any = None) -> Any:
    if axis is None:
        x, axis = FUNCTIONS["ravel"](t, x), 0
    array = t.lift(x)
    at = positions(t, axis, len(array.axes))[0]
    count = _shape(t, repeats)[0]
    dims = [dim * count if k == at else dim for k, dim in enumerate(array.shape)]
    axes = t.arrays.order(dims)
    mapping = {own: t.graph.apply("floordiv", t.graph.axis(axis), t.graph.dim(count)) if k == at else t.graph.axis(axis)
               for k, (own, axis) in enumerate(zip(array.axes, axes, strict=True))}
    return t.value(Array(t.graph.substitute(array.node, mapping), axes))


@known("take")
def _take(t: Trace, x: Any, indices: Any, axis: Any = None) -> Any:
    if axis is None:
        x, axis = FUNCTIONS["ravel"](t, x), 0
    x = t.value(t.lift(x))
    at = positions(t, axis, x.ndim)[0]
    return x[(*[slice(None)] * at, indices)]


@known("take_along_axis")
def _take_along_axis(t: Trace, x: Any, indices: Any, axis: int) -> Any:
    array, chosen = t.lift(x), t.lift(indices)
    at = positions(t, axis, len(array.axes))[0]
    where = [Array(t.graph.axis(a), (a,)) for a in chosen.axes]
    items = [chosen if k == at else _expanded_index(t, w, k, len(where)) for k, w in enumerate(where)]
    return t.value(t.element(array, items))


def _expanded_index(t: Trace, index: Array, place: int, rank: int) -> Array:
    """An index that varies along one dimension of `rank`, as an array of that rank."""
    return t.lift(kept(t, index, [k for k in range(rank) if k != place], True, rank))


@known("split array_split")
def _split(t: Trace, x: Any, sections: Any, axis: int = 0) -> Any:
    x = t.value(t.lift(x))
    at = positions(t, axis, x.ndim)[0]
    size = x.array.shape[at]
    if isinstance(sections, int):
        step = size // sections
        cuts = [k * step for k in range(sections)] + [size]
        if size.constant is not None and size.constant % sections:
            raise t.refused(f"a dimension of {size} cannot be split into {sections} equal parts", "Give the places.")
    else:
        cuts = [Dim.of(0), *_shape(t, list(sections)), size]
    ends = [x.size_of(cut) for cut in cuts]
    return [x[(*[slice(None)] * at, slice(a, b))] for a, b in itertools.pairwise(ends)]


# -- constructors: these see no traced array, and are given the trace by the stand-in for NumPy ----


def _filled(value: Any) -> Function:
    def fill(t: Trace, shape: Any, *_: Any, **__: Any) -> Any:
        return t.value(Array(t.graph.const(float(value)), t.arrays.order(_shape(t, shape))))

    return fill


@known("full")
def _full(t: Trace, shape: Any, fill_value: Any) -> Any:
    node = t.arrays.real(t.lift(fill_value).node)
    return t.value(Array(node, t.arrays.order(_shape(t, shape))))


@known("eye identity")
def _eye(t: Trace, N: Any, M: Any = None, k: int = 0) -> Any:
    i, j = t.arrays.order(_shape(t, (N, N if M is None else M)))
    on = t.graph.apply("eq", t.graph.apply("add", t.graph.axis(i), k), t.graph.axis(j))
    return t.value(Array(t.graph.apply("select", on, 1.0, 0.0), (i, j)))


@known("arange")
def _arange(t: Trace, start: Any, stop: Any = None, step: Any = 1) -> Any:
    low, high = (0, start) if stop is None else (start, stop)
    if not isinstance(step, int) or step <= 0 or any(t.lift(end).dtype != "int64" for end in (low, high)):
        raise t.refused("np.arange of sizes takes whole numbers and a step that is a positive literal",
                        "Write np.arange(n) * step.")
    (first,), (last,) = _shape(t, low), _shape(t, high)
    (axis,) = t.arrays.order([(last - first + (step - 1)) // step])
    node = t.graph.apply("add", t.graph.dim(first), t.graph.apply("mul", t.graph.axis(axis), step))
    return t.value(Array(node, (axis,)))


@known("linspace")
def _linspace(t: Trace, start: Any, stop: Any, num: Any = 50) -> Any:
    (axis,) = t.arrays.order(_shape(t, num))
    index = t.value(Array(t.graph.apply("real", t.graph.axis(axis)), (axis,)))
    return t.apply("add", start, index * ((t.value(t.lift(stop)) - start) / (t.value(t.lift(num)) - 1)))


FUNCTIONS |= {"zeros": _filled(0), "ones": _filled(1), "empty": _filled(0)}
CONSTRUCTORS = ("zeros", "ones", "empty", "full", "eye", "identity", "arange", "linspace")
FUNCTIONS |= {
    "zeros_like": lambda t, x: _filled(0)(t, t.value(t.lift(x)).shape),
    "ones_like": lambda t, x: _filled(1)(t, t.value(t.lift(x)).shape),
    "empty_like": lambda t, x: _filled(0)(t, t.value(t.lift(x)).shape),
    "full_like": lambda t, x, fill_value: _full(t, t.value(t.lift(x)).shape, fill_value),
    "shape": lambda t, x: t.value(t.lift(x)).shape, "ndim": lambda t, x: len(t.lift(x).axes),
    "size": lambda t, x: t.value(t.lift(x)).size,
}
