"""Assignment to elements while a function is traced: `y[1:-1] = v`, `y[i] = v`, `y[mask] = v`, `np.add.at(y, i, v)`.

Values are never changed: each function here gives the array as it is afterwards. Plain places are a part of a
store over the whole; one computed place, a stride or a mask is a choice at each element; index arrays scatter,
and where they name a place twice the last one counts, as NumPy has it. What a key means is left to `traced`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradc.ir.cast import cast
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import UnsupportedError
from gradc.ir.graph import DTYPES, Node, Part

from .arrays import ONE, Array, ArrayError, Item, NewAxis, Slice, whole_dim

if TYPE_CHECKING:
    from .traced import Trace


def assigned(trace: Trace, array: Array, items: Sequence[Item], value: Array, *, distinct: bool = False) -> Array:
    """The array with a part replaced; `distinct` says that no place is named twice."""
    given = sum(not isinstance(item, NewAxis) for item in items)
    items = [*items, *(Slice(trace.graph.const(0), 1, dim) for dim in array.shape[given:])]
    value = _fitting(array, value)
    plain = [_start(item) for item in items]
    if all(start is not None for start in plain):
        return _as_part(trace, array, items, [start for start in plain if start is not None], value)
    indices, axes = trace.arrays.index_nodes(array.shape, items)
    trace.bounds.require("the array", array.shape, indices, [], None)
    node = _over(trace, value, axes)
    own = trace.arrays.order(array.shape)
    before = trace.arrays.over(array, own)
    there = _hit(trace, items, indices, own)
    if value.axes:
        pointers = [index for item, index in zip(_named(items), indices, strict=True) if isinstance(item, Array)]
        guards = () if distinct else _last(trace, pointers)
        scattered = trace.graph.scatter_add(array.shape, [Part(node, tuple(indices), guards)], array.dtype)
        node = trace.graph.read(scattered, [trace.graph.axis(axis) for axis in own])
    return trace.arrays.apply("select", Array(trace.graph.all_of(there), own), Array(node, own), before)


def accumulated(trace: Trace, array: Array, items: Sequence[Item], value: Array) -> Array:
    """The array with values added at places, each as often as it is named: `np.add.at`."""
    value = _fitting(array, value)
    indices, axes = trace.arrays.index_nodes(array.shape, items)
    trace.bounds.require("the array", array.shape, indices, [], None)
    part = Part(_over(trace, value, axes), tuple(indices))
    return trace.arrays.apply("add", array, trace.whole(trace.graph.scatter_add(array.shape, [part], array.dtype)))


def chosen(trace: Trace, array: Array, mask: Array, value: Array, *, same: bool) -> Array:
    """The array with the value wherever the mask, which has its first dimensions, is true.

    `same` says that the value has the shape of the whole array and is taken where the mask takes its places.
    """
    if not same and len(value.axes) > len(array.axes) - len(mask.axes):
        raise ArrayError("an array is assigned to places that a mask selects, whose number is not known",
                         "Assign a number, or what the same mask selects: y[mask] = x[mask].", UnsupportedError)
    value = _fitting(array, value)
    return trace.arrays.apply("select", spread(trace, mask, len(array.axes)), value, array)


def spread(trace: Trace, mask: Array, rank: int) -> Array:
    """A mask of the first dimensions of an array of that rank, with dimensions of size 1 behind."""
    items = [Slice(trace.graph.const(0), 1, dim) for dim in mask.shape] + [NewAxis()] * (rank - len(mask.axes))
    return trace.element(mask, items)


def _fitting(array: Array, value: Array) -> Array:
    """The value in a dtype that the array can hold."""
    if not array.dtype.startswith("float") and DTYPES.index(value.dtype) > DTYPES.index(array.dtype):
        raise ArrayError(f"values of {value.dtype} are assigned to an array of {array.dtype}, which NumPy would cut",
                         "Make the array real where it begins: np.zeros(n), or x.astype(float).", UnsupportedError)
    return value._replace(node=cast(value.node, array.dtype))


def _start(item: Item) -> Dim | None:
    """The place where an item begins, if it is one element or a plain range at a known place."""
    if isinstance(item, Slice):
        return whole_dim(item.start) if item.step == 1 else None
    return whole_dim(item.node) if isinstance(item, Array) and not item.axes else None


def _named(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if not isinstance(item, NewAxis)]


def _over(trace: Trace, value: Array, axes: Sequence[Axis]) -> Node:
    """The value at each point of the places that are assigned."""
    target = Array(trace.graph.const(0), tuple(axes))
    (node, _), joint = trace.arrays.broadcast([value, target])
    if len(joint) != len(axes) or any(a.dim == ONE != b.dim for a, b in zip(axes, joint, strict=True)):
        raise ArrayError("the value that is assigned has more dimensions or elements than the place",
                         "Index the value.")
    return trace.arrays.over(Array(node, joint), axes).node


def _as_part(trace: Trace, array: Array, items: Sequence[Item], starts: Sequence[Dim], value: Array) -> Array:
    graph, arrays = trace.graph, trace.arrays
    axes = arrays.order([item.length if isinstance(item, Slice) else ONE for item in items])
    trace.bounds.require("the array", array.shape, [
        graph.apply("add", graph.axis(a), graph.dim(o)) for a, o in zip(axes, starts, strict=True)], [], None)
    kept = [axis for axis, item in zip(axes, items, strict=True) if isinstance(item, Slice)]
    before = arrays.plain(array)
    whole = graph.store(before.axes, before.node)
    return trace.whole(graph.store_parts(array.shape, [(axes, tuple(starts), (), _over(trace, value, kept))],
                                         base=whole))


def _hit(trace: Trace, items: Sequence[Item], indices: Sequence[Node], own: Sequence[Axis]) -> list[Node]:
    """The conditions under which an element of the array, at its own axes, is among the places."""
    graph = trace.graph
    found: list[Node] = []
    pointed: list[tuple[Node, Axis]] = []
    for item, index, axis in zip(_named(items), indices, own, strict=True):
        here = graph.axis(axis)
        if isinstance(item, Slice):
            ahead = graph.apply("sub", here, item.start) if item.step > 0 else graph.apply("sub", item.start, here)
            step = abs(item.step)
            found += [graph.apply("greater_equal", ahead, 0),
                      graph.apply("less", ahead, graph.dim(item.length * step))]
            if step > 1:
                found.append(graph.apply("eq", graph.apply("mod", ahead, step), 0))
        elif isinstance(item, Array) and not item.axes:
            found.append(graph.apply("eq", here, item.node))
        else:
            pointed.append((index, axis))
    if pointed:
        hits = graph.scatter_add([axis.dim for _, axis in pointed], [
            Part(graph.const(1.0), tuple(index for index, _ in pointed))])
        found.append(graph.apply("greater", graph.read(hits, [graph.axis(axis) for _, axis in pointed]), 0.0))
    return found


def _last(trace: Trace, pointers: Sequence[Node]) -> tuple[Node, ...]:
    """The condition that no later entry of some index arrays names the same place."""
    graph = trace.graph
    axes = sorted({axis for node in pointers for axis in node.axes}, key=lambda a: (str(a.dim), a.number))
    if not axes:
        return ()
    later = [Axis(axis.dim, axis.number + 1 + max(a.number for a in axes)) for axis in axes]
    mapping = {axis: graph.axis(other) for axis, other in zip(axes, later, strict=True)}
    same = [graph.apply("eq", node, graph.substitute(node, mapping)) for node in pointers]
    flat = graph.const(0)
    for axis in axes:
        flat = graph.apply("add", graph.apply("mul", flat, graph.dim(axis.dim)), graph.axis(axis))
    again = graph.all_of([*same, graph.apply("less", flat, graph.substitute(flat, mapping))])
    for axis in reversed(later):
        again = graph.reduce("any", axis, again)
    return (graph.apply("not", again),)


def are_distinct(keys: Sequence[Any]) -> bool:
    """Whether index arrays that hold numbers, and no traced ones, name no place twice."""
    if not all(isinstance(key, (np.ndarray, int, np.integer)) for key in keys):
        return False
    if not keys:
        return True
    places = np.stack([np.ravel(key) for key in np.broadcast_arrays(*keys)])
    signs = np.any(places < 0, axis=1) & np.any(places >= 0, axis=1)
    return not signs.any() and np.unique(places, axis=1).shape[1] == places.shape[1]
