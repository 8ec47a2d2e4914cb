"""Joining, padding and splitting of traced arrays: concatenate, stack, block, insert, delete, pad, split.

What is put together from parts is a store of parts; a split is slices. Pads that repeat elements of the array read
it at an index that is clipped, mirrored or wrapped.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradc.ir.cast import cast
from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError
from gradc.ir.graph import Check, Node

from .arrays import Array
from .numpy_dtypes import converted
from .numpy_functions import FUNCTIONS, Function, known, positions
from .numpy_shapes import sizes
from .traced import Trace, Traced


def _joined(t: Trace, arrays: Any, axis: int) -> Any:
    items = [t.lift(a) for a in arrays]
    if not items:
        raise t.refused("no arrays are joined", "Give at least one.", ShapeError)
    if not items[0].axes:
        raise t.refused("numbers are joined, and they have no dimension", "Write np.stack, or np.array([x, y]).",
                        ShapeError)
    return t.value(t.joined(items, positions(t, (axis,), len(items[0].axes))[0]))


@known("concatenate concat")
def _concatenate(t: Trace, arrays: Any, axis: Any = 0) -> Any:
    if axis is None:
        return _joined(t, [FUNCTIONS["ravel"](t, a) for a in arrays], 0)
    return _joined(t, arrays, axis)


@known("stack")
def _stack(t: Trace, arrays: Any, axis: int = 0) -> Any:
    items = list(arrays)
    rank = len(t.lift(items[0]).axes) + 1 if items else 1
    at = positions(t, (axis,), rank)[0]
    return _joined(t, [FUNCTIONS["expand_dims"](t, a, at) for a in items], at)


@known("hstack")
def _hstack(t: Trace, tup: Any) -> Any:
    items = [FUNCTIONS["atleast_1d"](t, a) for a in tup]
    return _joined(t, items, 0 if items[0].ndim == 1 else 1)


@known("vstack row_stack")
def _vstack(t: Trace, tup: Any) -> Any:
    return _joined(t, [FUNCTIONS["atleast_2d"](t, a) for a in tup], 0)


@known("dstack")
def _dstack(t: Trace, tup: Any) -> Any:
    return _joined(t, [FUNCTIONS["atleast_3d"](t, a) for a in tup], 2)


@known("column_stack")
def _column_stack(t: Trace, tup: Any) -> Any:
    return _joined(t, [a[:, None] if a.ndim == 1 else a for a in (t.value(t.lift(b)) for b in tup)], 1)


@known("append")
def _append(t: Trace, arr: Any, values: Any, axis: Any = None) -> Any:
    return _concatenate(t, (arr, values), axis)


@known("block")
def _block(t: Trace, arrays: Any) -> Any:
    """Nested lists: the innermost are joined along the last dimension, those around them along the one before."""

    def depth(value: Any) -> int:
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    levels = depth(arrays)
    rank = max(levels, 1)

    def join(value: Any, level: int) -> Any:
        if not isinstance(value, list):
            x = t.value(t.lift(value))
            return x[(None,) * (rank - x.ndim)] if x.ndim < rank else x
        return _joined(t, [join(item, level - 1) for item in value], -level)

    return join(arrays, levels)


@known("scipy.linalg.block_diag")
def _block_diag(t: Trace, *arrs: Any) -> Any:
    blocks = t.promotion.alike([t.lift(FUNCTIONS["atleast_2d"](t, a)) for a in arrs])
    down, right, parts = Dim.of(0), Dim.of(0), []
    for block in blocks:
        if len(block.axes) != 2:
            raise t.refused(f"scipy.linalg.block_diag of an array of {len(block.axes)} dimensions",
                            "Give matrices, or vectors, which are rows.", ShapeError)
        own = t.arrays.plain(block)
        parts.append((own.axes, (down, right), (), own.node))
        down, right = down + own.shape[0], right + own.shape[1]
    return t.value(t.whole(t.graph.store_parts((down, right), parts)))


# -- insertions and deletions ---------------------------------------------------------------------


def places_in(t: Trace, name: str, obj: Any, size: Dim, room: int) -> list[int]:
    """Places of a dimension that are numbers, counted from its start where its size is known; others are refused.

    room    how far behind the last element a place may lie: 1 for insertions, 0 for deletions
    """
    if isinstance(obj, Traced):
        raise t.refused(f"np.{name} at places that are not known", t.or_static(obj, "Give them as numbers."))
    known = size.constant
    if isinstance(obj, slice):
        if known is None:
            raise t.refused(f"np.{name} by a slice of a dimension of {size}", "Give a list of places, or join slices.")
        obj = range(known)[obj]
    array = np.asarray(obj)
    if array.dtype == bool:
        t.run(lambda: Array(t.graph.dim(t.arrays.equal(size, Dim.of(array.size)))))
        array = np.flatnonzero(array)
    if array.size and array.dtype.kind not in "iu":
        raise t.refused(f"np.{name} at places of dtype {array.dtype}", "Give whole numbers.")
    places = [int(place) for place in array.ravel()]
    needed = max((place + 1 - room if place >= 0 else -place for place in places), default=0)
    message = f"np.{name} at a place outside of a dimension of {size}: it needs {needed} elements"
    if known is not None:
        if known < needed:
            raise t.refused(message, "Give places inside.", ShapeError)
        return [place + known if place < 0 else place for place in places]
    if needed:
        t.graph.checks.append(Check(t.graph.apply("less", t.graph.dim(size), needed), message, "IndexError"))
    return places


def _between(x: Traced, at: int, places: Sequence[tuple[int, int]]) -> list[Traced]:
    """The parts of an array between some places, ascending, each of them given with where the array goes on."""
    ends = [place for place, _ in places]
    if len({end < 0 for end in ends}) > 1:
        raise x.tracer.refused("np.insert or np.delete at places from both ends of a dimension whose size is not known",
                               "Do it twice, once from each end, or declare the size.")
    starts = [0, *(after if after or end >= 0 else x.shape[at] for end, after in places)]
    return [x[(*[slice(None)] * at, slice(start, end))] for start, end in zip(starts, [*ends, None], strict=True)]


@known("delete")
def _delete(t: Trace, arr: Any, obj: Any, axis: Any = None) -> Any:
    if axis is None:
        arr, axis = FUNCTIONS["ravel"](t, arr), 0
    x = t.value(t.lift(arr))
    at = positions(t, axis, x.ndim)[0]
    places = sorted(set(places_in(t, "delete", obj, x.array.shape[at], 0)))
    return _joined(t, _between(x, at, [(place, place + 1) for place in places]), at)


@known("insert")
def _insert(t: Trace, arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        arr, axis = FUNCTIONS["ravel"](t, arr), 0
    x = t.value(t.lift(arr))
    at = positions(t, axis, x.ndim)[0]
    places = places_in(t, "insert", obj, x.array.shape[at], 1)
    new = converted(t, values, x.array.dtype)
    new = new[(None,) * (x.ndim - new.ndim)] if new.ndim < x.ndim else new
    if np.ndim(obj) == 0 and not isinstance(obj, slice):        # all values go to one place
        new = FUNCTIONS["moveaxis"](t, new, 0, at)
    single = len(places) == 1
    shape = [(new.shape[at] if single else len(places)) if k == at else size for k, size in enumerate(x.shape)]
    new = FUNCTIONS["broadcast_to"](t, new, tuple(shape))
    order = sorted(range(len(places)), key=places.__getitem__)
    parts = _between(x, at, [(places[k], places[k]) for k in order])
    for step, k in enumerate(order):
        parts.insert(2 * step + 1, new if single else new[(*[slice(None)] * at, slice(k, k + 1))])
    return _joined(t, parts, at)


# -- pads -----------------------------------------------------------------------------------------


def _pairs(t: Trace, values: Any, rank: int, what: str) -> list[tuple[Any, Any]]:
    """One pair for each dimension, out of a number, a pair for all, or a pair for each."""
    items = list(values) if isinstance(values, (tuple, list, np.ndarray)) else [values]
    nested = [list(v) if isinstance(v, (tuple, list, np.ndarray)) else None for v in items]
    if all(v is None for v in nested):
        pairs = [(items[0], items[-1])] * rank if len(items) <= 2 else []
    else:
        pairs = [(v[0], v[-1]) for v in nested if v is not None and 0 < len(v) <= 2]
        pairs = pairs * rank if len(pairs) == 1 else pairs
    if len(pairs) != rank:
        raise t.refused(f"np.pad: {what} does not fit an array of {rank} dimensions",
                        "Give a number, a pair, or a pair for each dimension.", ShapeError)
    return pairs


@known("pad")
def _pad(t: Trace, array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    own = t.lift(array)
    rank = len(own.axes)
    ends = [(sizes(t, a)[0], sizes(t, b)[0]) for a, b in _pairs(t, pad_width, rank, "pad_width")]
    if mode == "constant":
        return t.value(_with_constants(t, own, ends, _pairs(t, constant_values, rank, "constant_values")))
    if mode not in _PLACES:
        raise t.refused(f"np.pad with mode={mode!r} is not known",
                        f"Use 'constant', {', '.join(map(repr, _PLACES))}, or np.concatenate.")
    axes = t.arrays.order([a + dim + b for (a, b), dim in zip(ends, own.shape, strict=True)])
    mapping = {}
    for (before, after), old, axis in zip(ends, own.axes, axes, strict=True):
        index = t.graph.apply("sub", t.graph.axis(axis), t.graph.dim(before))
        mapping[old] = t.graph.axis(axis) if before == after == Dim.of(0) else _PLACES[mode](t, index, old.dim)
    return t.value(Array(t.graph.substitute(own.node, mapping), axes))


def _edge(t: Trace, index: Node, dim: Dim) -> Node:
    return t.graph.apply("min", t.graph.apply("max", index, 0), t.graph.dim(dim - 1))


def _wrap(t: Trace, index: Node, dim: Dim) -> Node:
    return t.graph.apply("mod", index, t.graph.dim(dim))


def _reflect(t: Trace, index: Node, dim: Dim) -> Node:
    """Mirrored at the last element, again and again; a single element repeats."""
    graph, last = t.graph, dim - 1
    period = graph.dim(2 * last) if last.constant is None else graph.const(max(1, 2 * last.constant))
    if last.constant is None:
        period = graph.apply("max", period, 1)
    place = graph.apply("mod", index, period)
    return graph.apply("min", place, graph.apply("sub", graph.dim(2 * last), place))


def _symmetric(t: Trace, index: Node, dim: Dim) -> Node:
    """Mirrored behind the last element, which so stands twice."""
    place = t.graph.apply("mod", index, t.graph.dim(2 * dim))
    return t.graph.apply("min", place, t.graph.apply("sub", t.graph.dim(2 * dim - 1), place))


_PLACES = {"edge": _edge, "reflect": _reflect, "symmetric": _symmetric, "wrap": _wrap}


def _with_constants(t: Trace, array: Array, ends: Sequence[tuple[Dim, Dim]],
                    values: Sequence[tuple[Any, Any]]) -> Array:
    """Zeros are what lies around one part; other numbers come in a part before and one behind, by dimensions."""
    nodes = [cast(t.lift(value).node, array.dtype) for pair in values for value in pair]
    if all(node.op == "const" and not node.value for node in nodes):
        own = t.arrays.plain(array)
        shape = [before + dim + after for (before, after), dim in zip(ends, own.shape, strict=True)]
        part = (own.axes, tuple(before for before, _ in ends), (), own.node)
        return t.whole(t.graph.store_parts(shape, [part])) if tuple(shape) != own.shape else array
    for k, ((before, after), (low, high)) in enumerate(zip(ends, values, strict=True)):
        parts = [array]
        for dim, value, at in ((before, low, 0), (after, high, 2)):
            if dim != Dim.of(0):
                shape = [dim if i == k else size for i, size in enumerate(array.shape)]
                number = cast(t.lift(value).node, array.dtype)
                parts.insert(at and len(parts), Array(number, t.arrays.order(shape)))
        array = t.joined(parts, k) if len(parts) > 1 else array
    return array


# -- splits ---------------------------------------------------------------------------------------


def _pieces(t: Trace, x: Any, sections: Any, axis: int, *, uneven: bool) -> list[Any]:
    x = t.value(t.lift(x))
    at = positions(t, axis, x.ndim)[0]
    size = x.array.shape[at]
    cuts: list[Dim]
    if isinstance(sections, (int, np.integer)):
        count = int(sections)
        if count < 1:
            raise t.refused(f"an array is split into {count} parts", "Give a number of at least 1.", ShapeError)
        if uneven:                                              # the first size % count parts have one more
            lengths = [(size + (count - 1 - k)) // count for k in range(count)]
        else:
            if size.constant is not None and size.constant % count:
                raise t.refused(f"a dimension of {size} cannot be split into {count} equal parts",
                                "Give the places.")
            t.arrays.equal(count * (size // count), size)
            lengths = [size // count] * count
        cuts = list(itertools.accumulate(lengths, initial=Dim.of(0)))
        cuts[-1] = size
    elif isinstance(sections, Traced) and not sections.ndim:
        raise t.refused("an array is split into a number of parts that is not known",
                        t.or_static(sections, "Write a literal."))
    else:
        cuts = [Dim.of(0), *sizes(t, list(sections), signed=True), size]
    if size.constant is not None:                               # places beyond the end are the end, as in a slice
        cuts = [Dim.of(min(cut.constant, size.constant)) if cut.constant is not None else cut for cut in cuts]
    ends = [x.size_of(cut) for cut in cuts]
    return [x[(*[slice(None)] * at, slice(a, b))] for a, b in itertools.pairwise(ends)]


@known("split")
def _split(t: Trace, ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return _pieces(t, ary, indices_or_sections, axis, uneven=False)


@known("array_split")
def _array_split(t: Trace, ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return _pieces(t, ary, indices_or_sections, axis, uneven=True)


def _split_along(axis: int) -> Function:
    def split(t: Trace, ary: Any, indices_or_sections: Any) -> Any:
        along = 0 if axis == 1 and t.value(t.lift(ary)).ndim == 1 else axis
        return _pieces(t, ary, indices_or_sections, along, uneven=False)

    return split


FUNCTIONS |= {"vsplit": _split_along(0), "hsplit": _split_along(1), "dsplit": _split_along(2)}
FUNCTIONS["unstack"] = lambda t, x, axis=0: tuple(FUNCTIONS["moveaxis"](t, x, axis, 0))
