"""Sparse Jacobians and Hessians by compression: one product for each colour of a pattern, and recovery.

`Compressed` is what `f.jacobian.compressed(pattern)` and `f.hessian.compressed(pattern)` give. It takes any function
that has products with its derivatives, since it asks nothing else of it: the entries need not be known one by one, as
behind running values, library calls and operations of the user's own. The pattern is the user's word, so a further
direction, random, tells at every call whether the recovered matrix has the same product; `sampled_pattern` finds
patterns where there is nothing to read them off. Colours and recovery are for
`colouring`, products for `derive`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from gradc.codegen.colouring import compiled
from gradc.ir.errors import ArgumentError, DerivativeError, PatternError, ShapeError, UnsupportedError

from .arguments import DTYPES, bind, check_dimensions, is_traced, normalised
from .colouring import Colouring, colouring
from .function import Function
from .late import Late
from .structured import Structured

TOGETHER = 64                       # products of a sample that are computed at once
# Where a product counts as another: roundoff of a derivative is that of what it cancels, which nobody knows here.
NEARLY, NOTHING = 0.4, 0.75         # powers of the machine precision: 5e-7 and 2e-12 in float64


class Compressed:
    """A sparse Jacobian or Hessian of a function, recovered from products; called as the function.

    function   the function whose derivative it is
    colouring  of the pattern, with the number of products that a call computes
    check      whether a call holds the result against the product with a random vector
    """

    def __init__(self, function: Function | Late, symmetric: bool, found: Colouring, check: bool) -> None:
        self.function, self.colouring, self.check = function, found, check
        self._symmetric = symmetric
        self._seeded: dict[tuple[Any, ...], list[np.ndarray]] = {}

    @property
    def _kind(self) -> str:
        return "Hessian" if self._symmetric else "Jacobian"

    @functools.cached_property
    def probe(self) -> np.ndarray:
        """The random vector of the check, of the length of a row (by rows: of a column)."""
        random = np.random.default_rng(20050401)
        size = len(self.colouring.colours)
        probe: np.ndarray = random.uniform(0.5, 1.5, size) * random.choice([-1.0, 1.0], size)
        return probe

    @property
    def product(self) -> Any:
        """The function of the products: `f.jvp.many` by columns, `f.vjp.many` by rows, `f.hvp.many` of a Hessian."""
        return _products(self.function, self._symmetric, self.colouring.by == "rows")

    def __call__(self, /, *args: Any, out: np.ndarray | None = None, **keywords: Any) -> sparse.csr_array:
        """The matrix as CSR: a row for each element of the results, a column for each of the arguments in `wrt`.

        Several results, and several arguments, follow each other in their order, each flattened as by `np.ravel`.
        `out` receives the entries, as many as the pattern has. Raises ShapeError if these are other numbers than the
        pattern's, PatternError if the check finds that an entry which is not zero is missing in the pattern, and what
        a call of the function raises.
        """
        if any(map(is_traced, (*args, *keywords.values()))):
            raise DerivativeError("a compressed derivative cannot be called in a function that is being traced: call "
                                  "the dense one there")
        function, given = _bound(self.function, args, keywords)
        values = normalised(function.graph, given)
        seeds = self._seeds(function, values, check_dimensions(function.graph, values))
        compressed = _stacked(self.product(*values, *seeds), self.colouring.number + self.check)
        matrix = self.colouring.recover(compressed, out)
        if self.check:
            self._compare(compressed, matrix.data)
        return matrix

    def _seeds(self, function: Function, values: Sequence[Any], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """The directions for each argument (by rows: cotangents for each result), made once for the sizes."""
        found, (ends, starts) = self.colouring, _sides(function, values, sizes)
        key = (*ends, None, *starts)
        if key not in self._seeded:
            shape = (_count(starts if self._symmetric else ends), _count(starts))
            if shape != found.shape:
                raise ShapeError(f"the pattern has shape {found.shape}, but the {self._kind} has {shape} here: give a "
                                 "pattern for these sizes")
            along = found.seeds()
            if self.check:
                along = np.column_stack([along, self.probe])
            self._seeded = {key: list(_split(along, ends if found.by == "rows" else starts))}
        return self._seeded[key]

    def _compare(self, compressed: np.ndarray, data: np.ndarray) -> None:
        found, precision = self.colouring, float(np.finfo(data.dtype).eps)
        by_rows = found.by == "rows"
        place = compiled("contradicted", str(data.dtype))(
            compressed, found.indptr, found.indices, data, self.probe.astype(data.dtype, copy=False), by_rows,
            precision**NEARLY, precision**NOTHING)
        if place >= 0:
            raise PatternError(
                f"{'column' if by_rows else 'row'} {place} of the {self._kind} has an "
                "entry that the pattern leaves out: its product with a random vector is not that of the recovered "
                "matrix. Add what is missing to the pattern, in which stored zeros count")

    def __repr__(self) -> str:
        return (f"<gradc compressed {self._kind} of {self.function.__name__}({', '.join(self.function.args)}), "
                f"{self.colouring.number} products by {self.colouring.by}>")

    def __reduce__(self) -> tuple[Any, ...]:
        return Compressed, (self.function, self._symmetric, self.colouring, self.check)


def compressed(primal: Any, name: Any, pattern: Any, by: str = "", order: str = "", check: bool = True) -> Compressed:
    """What `f.jacobian.compressed(pattern)` and `f.hessian.compressed(pattern)` are.

    pattern    where entries may be, as for `gradc.colouring`, which takes `by` and `order` too, or what that made: a
               row for each element of the results, a column for each element of the arguments in `wrt`
    check      at every call hold the result against the product with a random vector

    Raises what `gradc.colouring` raises, DerivativeError for another derivative, ArgumentError for options that do not
    suit a Hessian or a colouring.

    >>> import gradc
    >>> f = gradc.compile(lambda x: x * np.roll(x, 1), "x: n", jit=False)
    >>> f.jacobian.compressed(np.eye(4) + np.roll(np.eye(4), 1, 0))([1.0, 2.0, 3.0, 4.0]).toarray()
    array([[4., 0., 0., 1.],
           [2., 1., 0., 0.],
           [0., 3., 2., 0.],
           [0., 0., 4., 3.]])
    """
    if primal is None or name not in ("jacobian", "hessian"):
        raise DerivativeError(f"{name} has no entries to compress: compressed belongs to f.jacobian and f.hessian")
    symmetric = name == "hessian"
    if symmetric and by:
        raise ArgumentError(f"by is {by!r}: a Hessian has products from one side only, leave by out")
    if isinstance(pattern, Colouring):
        return Compressed(primal, symmetric, _suited(pattern, symmetric, by or order), check)
    found = colouring(pattern, symmetric=symmetric, by=by, order=order)
    if found.by == "columns" and not by and not _has_tangents(primal):
        found = colouring(pattern, by="rows", order=order)
    return Compressed(primal, symmetric, found, check)


def _suited(found: Colouring, symmetric: bool, options: str) -> Colouring:
    if options:
        raise ArgumentError("the colouring is made already: give by and order to gradc.colouring")
    if symmetric and found.by != "star":
        raise ArgumentError(f"the colouring is by {found.by}, and a Hessian takes one made with symmetric=True")
    return found


def _has_tangents(function: Function | Late) -> bool:
    """Whether there is a derivative along a direction: an operation of the user's own may have a vjp alone."""
    try:
        return isinstance(function, Late) or function.jvp is not None
    except DerivativeError:
        return False


def _bound(function: Function | Late, args: Sequence[Any], keywords: Mapping[str, Any]
           ) -> tuple[Function, Sequence[Any]]:
    """The Function for the arguments of a call, and these arguments in their order."""
    if not isinstance(function, Late):
        return function, bind(function.args, args, keywords)
    found, values = function.bound(args, keywords)
    if isinstance(found, Structured):
        raise UnsupportedError("a function of nested structures has no one matrix of derivatives: compress the "
                               "derivative of .at(...).flat, the function of their leaves")
    return found, values


def sampled_pattern(derivative: Any, *args: Any, times: int = 3, **keywords: Any) -> sparse.csr_array:
    """Where a Jacobian or Hessian is not zero, at given arguments and at some random ones beside them.

    derivative  `f.jacobian` or `f.hessian` of declared shapes
    args        arguments of f; those in `wrt` are changed by a tenth of themselves and a hundredth of the largest, or
                of 1 if all are 0
    times       at how many points

    A sparse array of truth values, with a row for each element of the results and a column for each element of the
    arguments in `wrt`; what is not finite counts. It takes as many products as there are columns (rows if these are
    fewer, or if there is no forward mode), so it is for functions whose structure cannot be read off, as behind an
    operation of your own. An entry that is zero at all of the points is missed, which the check of
    `compressed` tells when it is not zero. Raises DerivativeError for another derivative, ArgumentError for no
    point at all, and what a call raises.

    >>> import gradc
    >>> f = gradc.compile("x[0] * x**2", "x: n", jit=False)
    >>> sampled_pattern(f.jacobian, [1.0, 0.0, 3.0]).toarray().astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 0, 1]])
    """
    primal = derivative.primal if isinstance(derivative, Function) else None
    name = getattr(derivative, "__name__", type(derivative).__name__)
    if primal is None or name not in ("jacobian", "hessian"):
        raise DerivativeError(f"{name} of type {type(derivative).__name__} has no pattern: give f.jacobian or "
                              "f.hessian of a function of declared shapes")
    if times < 1:
        raise ArgumentError(f"times is {times}: give a whole number from 1")
    values = normalised(primal.graph, bind(primal.args, args, keywords))
    ends, starts = _sides(primal, values, check_dimensions(primal.graph, values))
    symmetric, wide = name == "hessian", _count(ends) < _count(starts)
    by_rows = not symmetric and (wide or not _has_tangents(primal))
    product, along = _products(primal, symmetric, by_rows), ends if by_rows else starts
    size, places = _count(along), [np.zeros((2, 0), np.int64)]
    for point in _points(primal, values, times):
        for start in range(0, size, TOGETHER):
            directions = np.eye(size, min(TOGETHER, size - start), -start)
            found = _stacked(product(*point, *_split(directions, along)), directions.shape[1])
            rows, columns = np.nonzero(found)
            places.append(np.array([rows, columns + start]))
    rows, columns = np.hstack(places)[::-1] if by_rows else np.hstack(places)
    shape = (size if by_rows or symmetric else _count(ends), _count(starts))
    pattern: sparse.csr_array = sparse.csr_array((np.ones(len(rows), bool), (rows, columns)), shape=shape)
    return sparse.csr_array(pattern + pattern.T) if symmetric else pattern


def _points(function: Function, values: Sequence[Any], times: int) -> Iterator[list[Any]]:
    """The arguments, then arguments beside them."""
    random = np.random.default_rng(20050401)
    yield list(values)
    for _ in range(1, times):
        point = list(values)
        for name in function.wrt:
            place = function.args.index(name)
            near = np.asarray(values[place])
            away = np.abs(near) / 10 + (np.max(np.abs(near), initial=0.0) or 1.0) / 100
            moved = (near + away * random.uniform(-1, 1, near.shape)).astype(near.dtype)
            point[place] = moved if near.ndim else float(moved)
        yield point


# -- products ------------------------------------------------------------------------------------------


Side = Sequence[tuple[str, tuple[int, ...]]]        # dtype and shape of the results, or of the arguments in `wrt`


def _products(function: Any, symmetric: bool, by_rows: bool) -> Any:
    return function.hvp.many if symmetric else function.vjp.many if by_rows else function.jvp.many


def _sides(function: Function, values: Sequence[Any], sizes: Mapping[str, int]) -> tuple[Side, Side]:
    ends = [(node.dtype, tuple(max(0, dim.evaluate(sizes)) for dim in node.shape))
            for _, node in function.graph.outputs]
    given, inputs = dict(zip(function.args, values, strict=True)), function.graph.inputs
    return ends, [(inputs[name].dtype, np.shape(given[name])) for name in function.wrt]


def _count(side: Side) -> int:
    return sum(int(np.prod(shape)) for _, shape in side)


def _split(along: np.ndarray, side: Side) -> Iterator[np.ndarray]:
    """The rows of a matrix as arrays of these shapes, with its columns as a last dimension; for real ones only."""
    start = 0
    for dtype, shape in side:
        stop = start + int(np.prod(shape))
        if dtype.startswith("float"):
            yield np.ascontiguousarray(along[start:stop].reshape(*shape, along.shape[1]), DTYPES[dtype])
        start = stop


def _stacked(found: Any, columns: int) -> np.ndarray:
    """What products return, as one matrix with that many columns."""
    parts = [np.reshape(leaf, (int(np.prod(np.shape(leaf)[:-1])), columns)) for leaf in _leaves(found)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
