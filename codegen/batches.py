"""Which axes of a product are loops around it, so that each turn of them multiplies two matrices.

A batch axis, which both operands have, is such a loop where the operands are arrays. A convolution is a sum over
channels and a window, x[n, c, y + r, z + s] w[k, c, r, s]: a matrix product of w with the *windows* of x, once they are
copied beside one another (im2col). The copy is as many times larger than x as a window has elements, so the product is
made for one sample after the other, and the copy stays in the nearest cache. The gradient by w is the same product with
the sum over places in place of that over the window; the gradient by x is a matrix product whose elements are added to
x's at overlapping windows. In all three the samples are the axes that stand alone in an index of x and go with the
places, not with the window. Source: Chellapilla, Puri and Simard, "High performance convolutional neural networks for
document processing" (2006).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import NO_AXES, Axes, Node, Part, affine, scatter_parts


class Around(NamedTuple):
    """The loops around a product.

    loops     their axes
    indices   the indices at which windows are read or added, () where there are none
    places    the axes of those indices along which windows lie
    """

    loops: Axes = NO_AXES
    indices: tuple[Node, ...] = ()
    places: Axes = NO_AXES

    def position(self, axis: Axis) -> int:
        """Where an axis stands in the indices, so that memory is run through in its order."""
        return next((k for k, index in enumerate(self.indices) if axis in index.axes), len(self.indices))

    def turned(self, rows: Sequence[Axis], columns: Sequence[Axis]) -> bool:
        """Whether rows and columns are to change places: memory runs along places, or else along windows."""
        return self._rank(rows) > self._rank(columns)

    def _rank(self, axes: Sequence[Axis]) -> tuple[bool, bool]:
        return bool(self.places.intersection(axes)), any(self.position(axis) < len(self.indices) for axis in axes)


def scattered(nodes: Iterable[Node]) -> dict[Node, Part]:
    """The values that scatters add to arrays, up to a factor, with where they are added."""
    found: dict[Node, Part] = {}
    for part in (part for node in nodes if node.op == "scatter_add" for part in scatter_parts(node.attr, node.args)):
        value = part.value
        while value.op == "neg" or (value.op == "mul" and not all(arg.axes for arg in value.args)):
            value = next((arg for arg in value.args if arg.axes), value.args[0])
        found[value] = part
    return found


def around(total: Node, leaves: Sequence[Node], summed: Axes, scatters: Mapping[Node, Part],
           known: Collection[Node]) -> Around:
    """The loops around a product.

    total    the sum
    leaves   its factors
    summed   the axes of the sum
    known    sums that are products in loops: what is made of them is kept as a matrix, too
    """
    operands = [leaf for leaf in leaves if leaf.axes & summed]
    if len(operands) < 2:
        return Around()
    shared = frozenset.intersection(*(leaf.axes for leaf in operands)) - summed
    for leaf in operands:
        if leaf.op == "read":
            found = _samples(leaf.args[1:1 + leaf.attr], leaf.axes - shared, summed)
            if found is not None:
                return found._replace(loops=found.loops | shared)
    for leaf in operands if total in scatters else ():
        found = _samples(scatters[total].indices, total.axes - shared, leaf.axes)
        if found is not None:
            return found._replace(loops=found.loops | shared)
    whole = all(plain(leaf, shared) is not None or _made_of(leaf, known) for leaf in operands)
    return Around(shared) if whole else Around()


def _made_of(value: Node, known: Collection[Node]) -> bool:
    """Whether a value is computed from one of the known ones."""
    waiting, seen = [value], set()
    while waiting:
        node = waiting.pop()
        if node in known:
            return True
        if node not in seen and node.axes and not node.is_array:
            seen.add(node)
            waiting += node.args
    return False


def _samples(indices: tuple[Node, ...], axes: Axes, group: Axes) -> Around | None:
    """The axes that are an index of their own and lie, as the places of windows do, inside `group` or outside it."""
    places = set()
    for index in indices:
        atoms = affine(index)[0]
        terms = [atom.attr for atom in atoms if atom.op == "axis" and atom.attr in axes]
        if len(terms) == 2 and all(atom.op == "axis" for atom in atoms) and (terms[0] in group) != (terms[1] in group):
            places.add(max(terms, key=lambda axis: length(axis.dim)))
    if len({place in group for place in places}) != 1:
        return None
    inside = next(iter(places)) in group
    alone = axes.intersection(index.attr for index in indices if index.op == "axis")
    return Around(frozenset(axis for axis in alone if (axis in group) == inside), indices, frozenset(places))


def length(dim: Dim) -> tuple[float, int]:
    """How long an axis may be: an unknown one is longer than a number, and h - r + 1 longer than r."""
    return (float("inf"), len(dim.terms)) if dim.constant is None else (float(dim.constant), 0)


def plain(node: Node, loops: Axes = NO_AXES) -> tuple[Axis, ...] | None:
    """The axes of a whole array that is read as it is, those of the loops first; a dimension of 1 has none."""
    if node.op != "read" or len(node.args) != 1 + node.attr or node.dtype != node.args[0].dtype:
        return None
    axes = []
    for index, dim in zip(node.args[1:], node.args[0].shape, strict=True):
        if index.op == "axis" and index.attr.dim == dim:
            axes.append(index.attr)
        elif dim.constant != 1:
            return None
    return tuple(axes) if len(set(axes)) == len(axes) and leads(axes, loops) else None


def leads(axes: Sequence[Axis], loops: Axes) -> bool:
    """Whether the loops' axes come first in an array, so that what is left is one block of memory."""
    return set(axes[:len(loops.intersection(axes))]) <= loops
