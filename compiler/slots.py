"""Where entries lie in the data of a sparse matrix: the frame that SciPy takes beside the data, and a slot for each.

Rows and columns of entries are given as arrays, of any shape; entries at one place share a slot. Nothing here knows of
functions or of derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.errors import ArgumentError, ShapeError

Places = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]   # rows, columns, whether there is one


class Frame(NamedTuple):
    """A sparse matrix without data: its shape, and what SciPy takes beside the data (all read-only)."""

    shape: tuple[int, int]
    parts: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
    size: int


def refuse_outside(row: Any, column: Any, there: Any, rows: int, columns: int) -> None:
    """Refuse entries outside their block, which an index out of its dimension makes."""
    for place, count, what in ((row, rows, "row"), (column, columns, "column")):
        wrong = there & ((place < 0) | (place >= count))
        if wrong.any():
            raise ShapeError(f"an index is out of its dimension: it asks for {what} {int(place[wrong].flat[0])} of "
                             f"{count}")


def frame_of(matrix: Any, format: str) -> Frame:
    """The frame of a SciPy array, which the user gave as a pattern."""
    from scipy import sparse

    if not sparse.issparse(matrix):
        raise ArgumentError(f"a pattern is a SciPy sparse array, not of type {type(matrix).__name__}")
    known: Any = matrix
    own = known.asformat(format)
    index = (own.row, own.col) if format == "coo" else (own.indices, own.indptr)
    return Frame(tuple(own.shape), tuple(map(_fixed, index)), int(own.nnz))


def _fixed(array: Any) -> Any:
    """A copy that cannot be written to: all results share it."""
    array = np.array(array)
    array.flags.writeable = False
    return array


def placed(shape: tuple[int, int], places: Sequence[Places], format: str,
            given: Frame | None) -> tuple[Frame, list[np.ndarray[Any, Any]]]:
    """The frame of entries, or the given one, and the slots of each."""
    from scipy import sparse

    turned = format == "csc"
    minor = shape[0] if turned else shape[1]
    pairs = [((column, row) if turned else (row, column), there) for row, column, there in places]
    if given is None:
        major, other = (np.concatenate([np.broadcast_to(pair[k], there.shape)[there] for pair, there in pairs]
                                       or [np.zeros(0, np.int64)]) for k in (0, 1))
        ones = np.ones(len(major), np.int8)                     # as CSR they are sorted, each place once
        whole: Any = sparse.coo_array((ones, (major, other)), shape[::-1] if turned else shape).tocsr()
        rows = np.repeat(np.arange(whole.shape[0]), np.diff(whole.indptr))
        kept = (rows.astype(whole.indices.dtype), whole.indices) if format == "coo" else (whole.indices, whole.indptr)
        frame, order = Frame(shape, tuple(map(_fixed, kept)), int(whole.nnz)), None
        keys = rows * minor + whole.indices
    else:
        if given.shape != shape:
            raise ShapeError(f"the pattern has shape {given.shape}, and the matrix {shape}: give one of its shape")
        frame = given
        rows = given.parts[0] if format == "coo" else np.repeat(np.arange(len(given.parts[1]) - 1),
                                                                np.diff(given.parts[1]))
        keys = rows.astype(np.int64) * minor + given.parts[1 if format == "coo" else 0]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        if (keys[1:] == keys[:-1]).any():
            raise ArgumentError("the pattern has a place twice: call its sum_duplicates() first")
    found = []
    for (one, two), there in pairs:
        wanted = np.broadcast_to(np.asarray(one, np.int64) * minor + two, there.shape)
        slots = np.searchsorted(keys, wanted)
        if order is not None:
            safe = np.minimum(slots, max(len(keys) - 1, 0))
            missing = there & ((keys[safe] != wanted) if len(keys) else True)
            if missing.any():
                at = tuple(np.argwhere(missing)[0])
                place = (int(two[at]), int(one[at])) if turned else (int(one[at]), int(two[at]))
                raise ShapeError(f"the pattern has no place for the entry in row {place[0]} and column {place[1]}: "
                                 "give one that holds .pattern(...) of these arguments")
            slots = order[safe] if len(keys) else slots
        found.append(np.array(np.where(there, slots, 0), np.int64, order="C"))
    return frame, found


def steps_of(slots: np.ndarray[Any, Any]) -> list[int] | None:
    """The first slot and the steps along each axis that give all slots, if there are such."""
    if not slots.size:
        return [0] * (1 + slots.ndim)
    first = int(slots.flat[0])
    steps = [int(slots[(*([0] * axis), 1, *([0] * (slots.ndim - axis - 1)))]) - first if size > 1 else 0
             for axis, size in enumerate(slots.shape)]
    wanted = np.asarray(first)
    for axis, (step, size) in enumerate(zip(steps, slots.shape, strict=True)):
        wanted = wanted + (step * np.arange(size)).reshape([-1 if k == axis else 1 for k in range(slots.ndim)])
    return [first, *steps] if np.array_equal(wanted, slots) else None


