"""Colourings of the patterns of Jacobians and Hessians: which columns or rows share a direction, and their entries.

`colouring` takes the places where a matrix may have entries and gives a `Colouring`: the colours, the directions
(seeds) whose products are the compressed matrix, and the way back. It knows matrices only; the products of a function
with its derivatives are for `compressed`. The algorithms are those of `gradc.codegen.colouring`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from gradc.codegen.colouring import compiled
from gradc.ir.errors import ArgumentError, ShapeError, SizeError

ORDERS = ("natural", "largest-first", "smallest-last", "incidence-degree")
SIDES = ("columns", "rows")
Graph = tuple[np.ndarray, np.ndarray]                           # the neighbours of each vertex, as pointers and indices


@dataclass(frozen=True, eq=False)
class Colouring:
    """Groups of columns or rows of a sparse matrix, each computed as one product; `gradc.colouring` makes it.

    by       "columns", "rows", or "star" for columns of a symmetric matrix
    order    the order in which they were coloured
    colours  int32, for each column or row its colour, from 0
    number   of colours
    shape    of the matrix
    indptr, indices  its pattern as CSR, int32, with sorted indices
    """

    by: str
    order: str
    colours: np.ndarray
    number: int
    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    _places: tuple[np.ndarray, np.ndarray] = field(repr=False)

    def seeds(self, dtype: Any = np.float64) -> np.ndarray:
        """The directions: shape (columns or rows, number), 1 at the colour of each and 0 elsewhere.

        >>> colouring([[1, 1, 0], [0, 0, 1]], by="columns").seeds()
        array([[1., 0.],
               [0., 1.],
               [1., 0.]])
        """
        seeds = np.zeros((len(self.colours), self.number), dtype)
        seeds[np.arange(len(self.colours)), self.colours] = 1
        return seeds

    def recover(self, compressed: Any, out: np.ndarray | None = None) -> sparse.csr_array:
        """The matrix A as CSR, from A @ seeds, or from A.T @ seeds if `by` is "rows".

        compressed  an array with a row for each row of A (for "rows": column) and a column for each colour; further
                    columns are ignored
        out         receives the entries, which the result then shares: of their number, float32 or float64

        No arithmetic is done: every entry stands alone somewhere in the compressed matrix. Of a symmetric matrix both
        entries of a pair are read at the same place, so the result is symmetric to the last bit. Raises ShapeError for
        an array of another shape, ArgumentError for one that does not hold float32 or float64.

        >>> A = np.array([[2.0, 3.0, 0.0], [0.0, 0.0, 5.0]])
        >>> groups = colouring(A, by="columns")
        >>> groups.recover(A @ groups.seeds()).toarray()
        array([[2., 3., 0.],
               [0., 0., 5.]])
        """
        values = np.ascontiguousarray(compressed)
        if values.dtype not in (np.float64, np.float32):
            if values.dtype.kind not in "iub":
                raise ArgumentError(f"compressed holds {values.dtype}: give float64 or float32")
            values = values.astype(np.float64)
        size = self.shape[1 if self.by == "rows" else 0]
        if values.ndim != 2 or values.shape[0] != size or values.shape[1] < self.number:
            raise ShapeError(f"compressed has shape {values.shape}, but the matrix has {size} "
                             f"{'columns' if self.by == 'rows' else 'rows'} and {self.number} colours: give "
                             f"{'A.T' if self.by == 'rows' else 'A'} @ seeds, of shape ({size}, {self.number})")
        data = np.empty(len(self.indices), values.dtype) if out is None else out
        if data.shape != self.indices.shape or data.dtype != values.dtype or not data.flags.c_contiguous:
            raise ShapeError(f"out has shape {data.shape} and dtype {data.dtype}: give a contiguous array of shape "
                             f"({len(self.indices)},) and dtype {values.dtype}")
        compiled("gathered", str(values.dtype))(values, *self._places, data)
        return self.matrix(data)

    def matrix(self, data: np.ndarray) -> sparse.csr_array:
        """The matrix with these entries, in the order of the pattern; it shares them and the pattern."""
        made: sparse.csr_array = sparse.csr_array((data, self.indices, self.indptr), shape=self.shape)
        made.has_canonical_format = True
        return made


def colouring(pattern: Any, *, symmetric: bool = False, by: str = "", order: str = "") -> Colouring:
    """Colour a sparse matrix, so that few products with vectors give all its entries.

    pattern    a SciPy sparse array or matrix, of which all stored entries count, zeros too; or an array, of which
               those count that are not 0
    symmetric  a Hessian: a star colouring, which takes fewer colours since each pair of entries is needed once
    by         "columns" (for products A @ v: forward mode) or "rows" (w @ A: reverse mode); "" takes whichever needs
               fewer colours, columns if both need as many
    order      in which they are coloured: "natural", "largest-first", "smallest-last" or "incidence-degree"; "" tries
               one after the other and keeps the fewest colours, until no order can need fewer

    The algorithms are those of Gebremedhin, Manne and Pothen, "What color is your Jacobian?" (2005), in time
    proportional to the number of pairs of entries that share a row (a column). Raises ArgumentError for an unknown
    order or side, ShapeError for what is no matrix, or not symmetric under `symmetric`, SizeError for 2**31 entries or
    more.

    >>> from scipy.sparse import diags_array
    >>> second_difference = diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(1000, 1000))
    >>> colouring(second_difference, symmetric=True).number
    3
    """
    if order and order not in ORDERS:
        raise ArgumentError(f"order is {order!r}: give one of {', '.join(map(repr, ORDERS))}")
    if by and (by not in SIDES or symmetric):
        raise ArgumentError(f"by is {by!r}: " + ("a star colouring is by columns, leave by out" if symmetric else
                                                 "give 'columns' or 'rows'"))
    matrix = _canonical(pattern)
    rows = _graph(matrix)
    if symmetric:
        return _symmetric(matrix, rows, order)
    sides = {"columns": (_graph(matrix.tocsc()), rows)}
    sides["rows"] = sides["columns"][::-1]
    # an entry of a row for each colour at least
    least = {side: int(np.max(np.diff(back[0]), initial=0)) for side, (_, back) in sides.items()}
    colours, chosen, name, most = np.empty(0, np.int32), "", "", 2**31
    alike = all(map(np.array_equal, *sides["columns"]))         # rows need what columns need
    for side in (by,) if by else SIDES[:1] if alike else sorted(SIDES, key=least.__getitem__):
        if most >= least[side]:
            found = _fewest(order, sides[side], sides[side], least[side], most, "orthogonal")
            if found is not None:
                colours, chosen, name = *found[:1], side, found[1]
                # then columns are taken if they need as many, rows if they need fewer
                most = _number(colours) - (side == "columns")
    every = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(rows[0]))
    places = (every, colours[rows[1]]) if chosen == "columns" else (rows[1], colours[every])
    return Colouring(chosen, name, colours, _number(colours), matrix.shape, *rows, places)


def _symmetric(matrix: sparse.csr_array, graph: Graph, order: str) -> Colouring:
    size = matrix.shape[0]
    if matrix.shape[1] != size:
        raise ShapeError(f"the pattern has shape {matrix.shape}, and a symmetric matrix is square")
    mirror = compiled("mirrored")(*graph)
    if np.any(mirror < 0):
        k = int(np.argmin(mirror))
        row, column = int(np.searchsorted(graph[0], k, side="right")) - 1, int(graph[1][k])
        raise ShapeError(f"the pattern is not symmetric: it has ({row}, {column}) and not ({column}, {row}). Give "
                         "pattern + pattern.T")
    itself = (np.arange(size + 1, dtype=np.int32), np.arange(size, dtype=np.int32))
    found = _fewest(order, (graph,), (graph, itself), _fewest_stars(matrix), size, "stars", ((False,), (True,)))
    assert found is not None                                    # a colour for each vertex is enough
    colours, order = found
    places = compiled("sources")(colours, *graph, mirror)
    return Colouring("star", order, colours, _number(colours), matrix.shape, *graph, places)


def _fewest_stars(matrix: sparse.csr_array) -> int:
    """What a star colouring needs at least: edges between two colours form a forest, so they are fewer than vertices.

    With k colours there are at most (k - 1) n - k (k - 1) / 2 edges. An edge whose ends have other neighbours is in a
    path on four vertices or a triangle.
    """
    size = matrix.shape[0]
    rows = np.repeat(np.arange(size, dtype=np.int32), np.diff(matrix.indptr))
    beside = matrix.indices != rows
    rows, columns = rows[beside], matrix.indices[beside]
    degree, edges = np.bincount(rows, minlength=size), len(rows) // 2
    number = 3 if np.any((degree[rows] > 1) & (degree[columns] > 1)) else min(size, 1)
    while (number - 1) * size - number * (number - 1) // 2 < edges:
        number += 1
    return number


def _fewest(order: str, graph: Sequence[Graph], reach: Sequence[Graph], least: int, most: int, algorithm: str,
            options: Sequence[tuple[bool, ...]] = ((),)) -> tuple[np.ndarray, str] | None:
    """The colours by the order that needs fewest, and its name; None if all need more than `most`."""
    best: tuple[np.ndarray, str] | None = None
    degree: np.ndarray | None = None
    size = len(reach[0][0]) - 1
    for name in (order,) if order else ORDERS:
        if name != "natural" and degree is None:
            degree = compiled("degrees")(*_flat(reach))
        vertices = _order(name, reach, degree)
        for option in options:
            colours = compiled(algorithm)(vertices, most, *_flat(graph), *option)
            if len(colours) == size:
                best, most = (colours, name), _number(colours) - 1
            if most < least or not size:
                return best
    return best


def _order(name: str, reach: Sequence[Graph], degree: np.ndarray | None) -> np.ndarray:
    if name == "natural" or degree is None:
        return np.arange(len(reach[0][0]) - 1, dtype=np.int32)
    if name == "largest-first":
        return np.argsort(-degree, kind="stable").astype(np.int32)
    if name == "incidence-degree":
        degree = np.argsort(degree, kind="stable").astype(np.int32)
    function: Callable[..., np.ndarray] = compiled(name.replace("-", "_"))
    return function(degree, *_flat(reach))


def _flat(pairs: Sequence[Graph]) -> list[np.ndarray]:
    return [array for pair in pairs for array in pair]


def _number(colours: np.ndarray) -> int:
    return int(np.max(colours, initial=-1)) + 1


def _graph(matrix: Any) -> Graph:
    return matrix.indptr.astype(np.int32, copy=False), matrix.indices.astype(np.int32, copy=False)


def _canonical(pattern: Any) -> sparse.csr_array:
    """The pattern as CSR of its own, with sorted indices, each once."""
    stored = sparse.issparse(pattern)
    given: Any = pattern if stored else np.asarray(pattern)
    if given.ndim != 2 or given.dtype.kind not in "biufc":
        raise ShapeError(f"the pattern is of {given.ndim} dimensions and of {given.dtype}: give a sparse matrix, or a "
                         "matrix of numbers or truth values")
    if max(*given.shape, given.nnz if stored else given.size) >= 2**31:
        raise SizeError(f"the pattern has shape {given.shape}: fewer than 2**31 entries can be coloured")
    matrix = sparse.csr_array(given if stored else given != 0, copy=True)
    matrix.sum_duplicates()
    return matrix
