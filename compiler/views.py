"""Views: traced values that share memory in NumPy, so that assignment to one is seen by the other.

`y[1:]`, `y[0]` and `y.T` are parts of `y`: what is assigned to them is assigned to `y`, and they show what is
assigned to `y` later. NumPy shares memory behind `reshape`, `ravel`, `flip` and their like too, some of them only for
some layouts: they show later assignments to the array no longer, nor the array theirs, and what would be read then
is refused. How elements are assigned is left to `assignment`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Array

if TYPE_CHECKING:
    from .traced import Traced

VIEWS = frozenset((
    "transpose", "permute_dims", "swapaxes", "moveaxis", "rollaxis", "matrix_transpose", "reshape", "ravel", "squeeze",
    "expand_dims", "atleast_1d", "atleast_2d", "atleast_3d", "flip", "flipud", "fliplr", "rot90", "split",
    "array_split", "hsplit", "vsplit", "dsplit", "broadcast_to", "diagonal", "asarray", "asanyarray",
    "ascontiguousarray"))
ADVICE = "Assign to one array only, and make the other by .copy()."


class View:
    """What a value shows of the memory of another: how it is read again, and how its assignments get there.

    base    the value whose memory it is, perhaps a view itself
    take    what the view shows now; None where this is not known
    put     assigns to the base what was assigned to the view; None where this is not known
    key     of `base[key]`, else None
    """

    def __init__(self, base: Traced, take: Callable[[], Array] | None, put: Callable[[Array], None] | None,
                 key: Any = None) -> None:
        self.base, self.take, self.put, self.key = base, take, put, key
        self.seen = version(base)

    def current(self, last: Array) -> Array:
        """What the view shows, where it showed `last` before."""
        if version(self.base) == self.seen:
            return last
        if self.take is None:
            raise self.base.tracer.refused(
                "this array may share its memory with another one that was assigned to, and what it holds now is not "
                "known", ADVICE)
        found = self.take()
        self.seen = version(self.base)
        return found

    def written(self, array: Array) -> View:
        """The view after an assignment to it."""
        if self.put is None:
            owner = self.base
            while owner.seen_through is not None and owner.seen_through.base is not owner:
                owner = owner.seen_through.base
            owner.seen_through = View(owner, None, None)                # a view of itself that is out of date for good
            owner.version += 1
            return View(self.base, None, None)
        self.put(array)
        self.seen = version(self.base)
        return self

    def is_item(self, base: Traced, key: Any) -> bool:
        """Whether this is `base[key]`, by the same key, as in `y[key] += 1`."""
        return self.base is base and self.key is key and key is not None and version(base) == self.seen


def version(value: Traced) -> int:
    """How often the memory of a value was assigned to."""
    while value.seen_through is not None and value.seen_through.base is not value:
        value = value.seen_through.base
    return value.version


def basic(key: Any) -> bool:
    """Whether NumPy's x[key] is a view: slices and single indices, no index arrays."""
    return all(k is None or k is Ellipsis or isinstance(k, slice) or (np.ndim(k) == 0 and not isinstance(k, bool))
               for k in (key if isinstance(key, tuple) else (key,)))


def transposed(base: Traced, value: Traced) -> Traced:
    """A value that has the axes of another in another order, as a view of it."""
    order = [base.last.axes.index(axis) for axis in value.last.axes]

    def take() -> Array:
        now = base.array
        return Array(now.node, tuple(now.axes[k] for k in order))

    def put(array: Array) -> None:
        base.array = Array(array.node, tuple(array.axes[order.index(k)] for k in range(len(order))))

    value.seen_through = View(base, take, put)
    return value


def viewed(base: Traced, result: Any) -> None:
    """Mark the result of one of VIEWS as a view of its first argument; several results are several views."""
    several = isinstance(result, (list, tuple))
    for value in result if several else [result]:
        if value is base or not value.last.axes:
            continue
        if not several and value.last.node is base.last.node and set(value.last.axes) == set(base.last.axes):
            transposed(base, value)
        else:
            value.seen_through = View(base, None, None)
