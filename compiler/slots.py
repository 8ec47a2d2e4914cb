"""Where entries lie in the data of a sparse matrix: the frame that SciPy takes beside the data, and a slot for each.

Rows and columns of entries are given as arrays, of any shape; entries at one place share a slot. Where that can be had
`written_once` puts entries together so that each slot is written by one statement at one point: nothing need be zeroed
or added then. Nothing here knows of functions or of derivatives.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.dims import Axis
from gradc.ir.errors import ArgumentError, ShapeError

LONGEST = 4             # points of an axis that is written out
MOST_WRITES = 128       # statements
MOST_REST = 0.25        # of all slots, that have no entry and follow no rule
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


# -- each slot once ---------------------------------------------------------------------------------


class Entered(NamedTuple):
    """An entry by its number: the axes that it runs over, and arrays over them of its slots and of whether it is there.

    alone  whether it cannot be added to others at its slots: it stands under conditions on values
    """

    number: int
    axes: tuple[Axis, ...]
    slots: np.ndarray[Any, Any]
    there: np.ndarray[Any, Any]
    alone: bool


class Write(NamedTuple):
    """A statement: the sum of some entries goes to slots over some axes; 0 where there are none.

    entries  numbers, each with an index for each axis of the entry, None for one that the statement runs over
    axes     what it runs over; without entries and axes, over as many slots as there are
    rule     the first slot and a step along each axis, None for an array of slots; a number of it may be left open
    whole    whether the entries are there at all points
    """

    entries: tuple[tuple[int, tuple[int | None, ...]], ...]
    axes: tuple[Axis, ...]
    rule: tuple[int | None, ...] | None
    whole: bool


Written = list[tuple[Write, np.ndarray[Any, Any]]]              # statements with their slots


def written_once(entered: Sequence[Entered], size: int) -> Written | None:
    """Statements that write each of `size` slots once; None where entries at one place cannot be put together.

    Entries that run over short literal axes are taken apart if need be: of two residuals by three coordinates each row
    may have its own entries at its places.
    """
    for apart in (False, True):
        found = _together([piece for one in entered for piece in (_pieces(one) if apart else [_piece(one, ())])])
        if len(found) <= MOST_WRITES and sum(there.sum() for _, _, there in found) <= size:
            taken = np.bincount(np.concatenate([slots[there] for _, slots, there in found] or [np.zeros(0, np.int64)]),
                                minlength=size)
            if (taken <= 1).all():
                made = [(write, slots) for write, slots, _ in found]
                rest = _rest(made, taken == 0)
                return None if rest is None else made + rest
    return None


Piece = tuple[Entered, tuple[int | None, ...]]


def _pieces(one: Entered) -> Iterator[Piece]:
    """An entry along its short axes, point by point."""
    short = [1 < (axis.dim.constant or 0) <= LONGEST for axis in one.axes]
    points = [range(size) if literal else [None] for size, literal in zip(one.slots.shape, short, strict=True)]
    for place in itertools.product(*points):
        yield _piece(one, place)


def _piece(one: Entered, place: tuple[int | None, ...]) -> Piece:
    place = place or (None,) * len(one.axes)
    index = tuple(slice(None) if at is None else at for at in place)
    axes = tuple(axis for axis, at in zip(one.axes, place, strict=True) if at is None)
    return one._replace(axes=axes, slots=one.slots[index], there=one.there[index]), place


def _together(pieces: Sequence[Piece]) -> list[tuple[Write, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """A statement for each piece, or for several whose slots are the same at all points; with slots and presence."""
    found: dict[Any, tuple[Write, np.ndarray[Any, Any], np.ndarray[Any, Any]]] = {}
    for number, (one, place) in enumerate(pieces):
        if not one.there.any():
            continue
        whole = bool(one.there.all())
        steps = steps_of(one.slots) if whole else None
        rule = None if steps is None else tuple(steps)
        own = rule if rule is not None else one.slots.tobytes()
        key = (one.axes, own) if whole and not one.alone else number
        known = found.get(key)
        entries = (*(known[0].entries if known is not None else ()), (one.number, place))
        found[key] = Write(entries, one.axes, rule, whole), one.slots, one.there
    return list(found.values())


def _rest(made: Written, free: np.ndarray[Any, Any]) -> Written | None:
    """Statements that write 0 to the free slots: by the rules of others as far as they go, then by an array of slots.

    None where the array would be so large that it is better to start with zeros.
    """
    strides = {(axis, step): slots.shape[k] for write, slots in made if write.rule is not None
               for k, (axis, step) in enumerate(zip(write.axes, write.rule[1:], strict=True)) if step}
    left, going = np.flatnonzero(free), True
    found: Written = []
    while len(left) and going and len(found) < MOST_WRITES:
        going = False
        for (axis, step), size in strides.items():
            slots = left[0] + (step or 0) * np.arange(size)
            if slots[-1] < len(free) and free[slots].all():
                free[slots], going = False, True
                found.append((Write((), (axis,), (int(slots[0]), step), True), slots))
                left = np.flatnonzero(free)
                break
    if len(left) > MOST_REST * len(free):
        return None
    return [*found, (Write((), (), None, True), left)] if len(left) else found
