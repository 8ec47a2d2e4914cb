"""Shapes on traced values: transposes, reshapes, broadcasting, turns, repetitions.

Nothing is copied here: an axis is renamed or moved, or an index is computed from another. A reshape regroups axes
where their products agree, and reads through the flat index elsewhere. What is put together from parts, or taken
apart, is in `numpy_joins`; arrays made from sizes are in `numpy_constructors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gradc.ir.dims import Axis, Dim, Monomial
from gradc.ir.errors import ShapeError
from gradc.ir.graph import Node, Part

from .arrays import ONE, Array, ArrayError, Slice, whole_dim
from .numpy_functions import FUNCTIONS, Function, kept, known, positions
from .traced import Trace, Traced


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
    dims = sizes(t, shape)
    target = Array(t.graph.const(0.0), t.arrays.order(dims))
    (node, _), axes = t.arrays.broadcast([t.lift(x), target])
    return t.value(Array(node, axes))


def sizes(t: Trace, shape: Any, *, signed: bool = False) -> list[Dim]:
    """The dimensions of a shape that the user gives: numbers and traced sizes, below 0 only where they are `signed`."""
    found = []
    for size in shape if isinstance(shape, (tuple, list)) or np.ndim(shape) else (shape,):
        dim = whole_dim(t.lift(size).node)
        if dim is None:
            raise t.refused("a dimension of a shape is no number and no size",
                            t.or_static(size, "Write numbers, and sizes such as x.shape[0]."))
        if dim.constant is not None and dim.constant < 0 and not signed:
            raise t.refused(f"a dimension of a shape is {dim.constant}", "Write a whole number from 0.", ShapeError)
        found.append(dim)
    return found


@known("reshape")
def _reshape(t: Trace, x: Any, shape: Any = None, *more: Any, newshape: Any = None, order: str = "C",
             copy: Any = None) -> Any:
    del copy
    array = t.lift(x)
    if len(more) == 1 and isinstance(more[0], str):             # np.reshape(x, shape, order)
        order, more = more[0], ()
    if order == "F":                                            # the first index runs fastest
        given = (shape, *more) if more else shape if isinstance(shape, (tuple, list)) else (shape,)
        return _reshape(t, t.value(array).T, tuple(given)[::-1]).T
    wanted = (shape, *more) if more else shape if shape is not None else newshape
    wanted = list(wanted) if isinstance(wanted, (tuple, list)) else [wanted]
    total = _product(array.shape)
    unknown = [i for i, size in enumerate(wanted) if isinstance(size, int) and size == -1]
    if len(unknown) > 1:
        raise t.refused("more than one dimension of a shape is -1", "Leave one of them to be worked out.", ShapeError)
    for at in unknown:
        rest = _product(sizes(t, [size for i, size in enumerate(wanted) if i != at]))
        wanted[at] = t.value(Array(t.graph.dim(_quotient(total, rest))))
    dims = sizes(t, wanted)
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
    """Groups of old dimensions whose product is that of a group of new ones: each is read through its flat index.

    Where a sum or the like is merged into one dimension, it is kept in an array of that shape: what reads it then has
    a plain index, and none that a division took apart.
    """
    graph, axes = t.graph, t.arrays.order(dims)
    groups: list[tuple[list[Axis], list[Axis]]] = []
    old, new = list(array.axes), list(axes)
    while old or new:
        ours, theirs = [old.pop(0)] if old else [], [new.pop(0)] if new else []
        while (own := _product(a.dim for a in ours)) != (wanted := _product(a.dim for a in theirs)):
            divided = _quotient(own, wanted) * wanted == own    # some of the old dimension is still to come
            if old and (not new or (len(ours) <= len(theirs) and not divided)):
                ours.append(old.pop(0))
            elif new:
                theirs.append(new.pop(0))
            else:
                break
        groups.append((ours, theirs))
    if any(len(ours) > len(theirs) == 1 for ours, theirs in groups) and _is_reduced(array):
        return _regrouped(t, _merged(t, array, groups), dims)
    indices = [index for ours, theirs in groups for index in _through_flat(t, [a.dim for a in ours], theirs)]
    return Array(graph.substitute(array.node, dict(zip(array.axes, indices, strict=True))), axes)


def _is_reduced(array: Array) -> bool:
    """Whether a value is made of reductions over others, which are not to be made again for every use of an element."""
    waiting, seen = [array.node], set()
    while waiting:
        node = waiting.pop()
        if node in seen or node.is_array or not node.axes:
            continue
        if node.is_reduction:
            return True
        seen.add(node)
        waiting += node.args
    return False


def _merged(t: Trace, array: Array, groups: Sequence[tuple[Sequence[Axis], Sequence[Axis]]]) -> Array:
    """The array kept with its groups of several dimensions as one."""
    shape: list[Dim] = []
    indices: list[Node] = []
    for ours, theirs in groups:
        merged = len(ours) > len(theirs) == 1
        shape += [theirs[0].dim] if merged else [a.dim for a in ours]
        indices += [_flat(t, ours)] if merged else [t.graph.axis(a) for a in ours]
    return t.whole(t.graph.scatter_add(shape, [Part(array.node, tuple(indices))], array.dtype))


def _flat(t: Trace, axes: Sequence[Axis]) -> Node:
    flat = t.graph.const(0)
    for axis in axes:
        flat = t.graph.apply("add", t.graph.apply("mul", flat, t.graph.dim(axis.dim)), t.graph.axis(axis))
    return flat


def _through_flat(t: Trace, ours: Sequence[Dim], theirs: Sequence[Axis]) -> list[Any]:
    graph = t.graph
    if len(ours) == len(theirs) == 1:
        return [graph.axis(theirs[0])]
    flat = _flat(t, theirs)
    found: list[Any] = []
    for k, dim in enumerate(ours):
        stride = _product(ours[k + 1:])
        index = flat if stride == ONE else graph.apply("floordiv", flat, graph.dim(stride))
        found.append(index if k == 0 else graph.apply("mod", index, graph.dim(dim)))
    return found


def ravelled(t: Trace, x: Any, order: str = "C") -> Any:
    """The array as one row; in Fortran's order the first index runs fastest."""
    return _reshape(t, x, (-1,), order=order)


FUNCTIONS |= {"ravel": ravelled, "flatten": ravelled}


@known("rollaxis")
def _rollaxis(t: Trace, a: Any, axis: int, start: int = 0) -> Any:
    rank = len(t.lift(a).axes)
    at = positions(t, (axis,), rank)[0]
    start = start + rank if start < 0 else start
    return _moveaxis(t, a, at, start - 1 if at < start else start)


@known("matrix_transpose linalg.matrix_transpose")
def _matrix_transpose(t: Trace, x: Any) -> Any:
    return _swapaxes(t, x, -1, -2)


@known("broadcast_arrays")
def _broadcast_arrays(t: Trace, *arrays: Any) -> Any:
    nodes, axes = t.arrays.broadcast([t.lift(a) for a in arrays])
    return tuple(t.value(Array(node, axes)) for node in nodes)


def _at_least(rank: int) -> Function:
    def grown(t: Trace, *arrays: Any) -> Any:
        found = []
        for one in arrays:
            x = t.value(t.lift(one))
            missing = rank - x.ndim
            if rank == 3 and 0 < missing < 3:                   # NumPy: (n,) is (1, n, 1), and (n, m) is (n, m, 1)
                x = x[None, :, None] if x.ndim == 1 else x[:, :, None]
            elif missing > 0:
                x = x[(None,) * missing]
            found.append(x)
        return found[0] if len(found) == 1 else tuple(found)

    return grown


FUNCTIONS |= {f"atleast_{rank}d": _at_least(rank) for rank in (1, 2, 3)}


@known("flip")
def _flip(t: Trace, m: Any, axis: Any = None) -> Any:
    x = t.value(t.lift(m))
    chosen = positions(t, axis, x.ndim)
    return x[tuple(slice(None, None, -1) if k in chosen else slice(None) for k in range(x.ndim))]


FUNCTIONS |= {"flipud": lambda t, m: _flip(t, m, 0), "fliplr": lambda t, m: _flip(t, m, 1)}


@known("rot90")
def _rot90(t: Trace, m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    first, second = positions(t, tuple(axes), len(t.lift(m).axes))
    if k % 4 == 0:
        return t.value(t.lift(m))
    if k % 4 == 2:
        return _flip(t, m, (first, second))
    if k % 4 == 1:
        return _swapaxes(t, _flip(t, m, second), first, second)
    return _flip(t, _swapaxes(t, m, first, second), second)


@known("roll")
def _roll(t: Trace, x: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        x = t.value(t.lift(x))
        return _reshape(t, _roll(t, ravelled(t, x), shift, 0), x.shape)
    array = t.lift(x)
    axes = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    shifts = list(shift) if isinstance(shift, (tuple, list)) else [shift]
    count = max(len(axes), len(shifts))
    if {len(axes), len(shifts)} - {1, count}:
        raise t.refused(f"np.roll has {len(shifts)} shifts and {len(axes)} axes", "Give one shift for each axis.",
                        ShapeError)
    node = array.node
    for one, by in zip(axes * (count // len(axes)), shifts * (count // len(shifts)), strict=True):
        own = array.axes[positions(t, one, len(array.axes))[0]]
        t.need_whole(t.lift(by), "a shift of np.roll")
        moved = t.graph.apply("sub", t.graph.axis(own), t.lift(by).node)
        node = t.graph.substitute(node, {own: t.graph.apply("mod", moved, t.graph.dim(own.dim))})
    return t.value(array._replace(node=node))


@known("tile")
def _tile(t: Trace, A: Any, reps: Any) -> Any:
    x = t.value(t.lift(A))
    counts = list(reps) if isinstance(reps, (tuple, list)) or np.ndim(reps) else [reps]
    while x.ndim < len(counts):
        x = _expand_dims(t, x, 0)
    counts = [1] * (x.ndim - len(counts)) + counts
    array = t.lift(x)
    dims = [dim * count for dim, count in zip(array.shape, sizes(t, counts), strict=True)]
    axes = t.arrays.order(dims)
    mapping = {own: t.graph.axis(axis) if own.dim == axis.dim else t.graph.apply("mod", t.graph.axis(axis), t.graph.dim(
        own.dim)) for own, axis in zip(array.axes, axes, strict=True)}
    return t.value(Array(t.graph.substitute(array.node, mapping), axes))


@known("repeat")
def _repeat(t: Trace, a: Any, repeats: Any, axis: Any = None) -> Any:
    if axis is None:
        a, axis = ravelled(t, a), 0
    array = t.lift(a)
    at = positions(t, axis, len(array.axes))[0]
    if isinstance(repeats, (list, tuple, np.ndarray)) and np.size(repeats) == 1:
        repeats = np.ravel(repeats)[0]
    if isinstance(repeats, (list, tuple, np.ndarray)) and np.ndim(repeats):
        places = np.repeat(np.arange(len(repeats)), repeats)
        t.run(lambda: Array(t.graph.dim(t.arrays.equal(array.shape[at], Dim.of(len(repeats))))))
        return t.value(array)[(*[slice(None)] * at, places)]
    if isinstance(repeats, Traced) and repeats.ndim:
        raise t.refused("np.repeat by traced counts has a length that is not known", "Give the counts as numbers.")
    count = sizes(t, repeats)[0]
    dims = [dim * count if k == at else dim for k, dim in enumerate(array.shape)]
    axes = t.arrays.order(dims)
    mapping = {own: t.graph.apply("floordiv", t.graph.axis(axis), t.graph.dim(count)) if k == at else t.graph.axis(axis)
               for k, (own, axis) in enumerate(zip(array.axes, axes, strict=True))}
    return t.value(Array(t.graph.substitute(array.node, mapping), axes))


@known("resize")
def _resize(t: Trace, a: Any, new_shape: Any) -> Any:
    """The elements in order, begun again when they are used up."""
    row, dims = t.lift(ravelled(t, a)), sizes(t, new_shape)
    (axis,) = t.arrays.order([_product(dims)])
    index = t.graph.apply("mod", t.graph.axis(axis), t.graph.dim(row.shape[0]))
    flat = Array(t.graph.substitute(row.node, {row.axes[0]: index}), (axis,))
    return _reshape(t, t.value(flat), tuple(new_shape) if isinstance(new_shape, (tuple, list)) else (new_shape,))


def _size(t: Trace, a: Any, axis: Any = None) -> Any:
    x = t.value(t.lift(a))
    return x.size if axis is None else x.shape[positions(t, axis, x.ndim)[0]]


FUNCTIONS |= {
    "shape": lambda t, a: t.value(t.lift(a)).shape, "ndim": lambda t, a: len(t.lift(a).axes), "size": _size,
    "isscalar": lambda t, a: not t.lift(a).axes, "iterable": lambda t, a: bool(t.lift(a).axes),
}
