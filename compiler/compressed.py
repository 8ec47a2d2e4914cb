"""Sparse Jacobians and Hessians by compression: one product for each colour of a pattern, and recovery.

`Compressed` is what `f.jacobian.compressed(pattern)` and `f.hessian.compressed(pattern)` give. It takes any function
that has products with its derivatives, since it asks nothing else of it: the entries need not be known one by one, as
behind running values, library calls and operations of the user's own. The pattern is the user's word, so a further
direction, random, tells at every call whether the recovered matrix has the same product. Colours and recovery are for
`colouring`, products for `derive`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from gradc.codegen.colouring import compiled
from gradc.ir.errors import ArgumentError, DerivativeError, PatternError, ShapeError, UnsupportedError

from .arguments import DTYPES, bind, check_dimensions, normalised
from .colouring import Colouring, colouring
from .late import Late
from .structured import Structured

if TYPE_CHECKING:
    from .function import Function

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
    def product(self) -> Function | Late:
        """The function of the products: `f.jvp.many` by columns, `f.vjp.many` by rows, `f.hvp.many` of a Hessian."""
        if self._symmetric:
            return self.function.hvp.many
        return self.function.vjp.many if self.colouring.by == "rows" else self.function.jvp.many

    def __call__(self, /, *args: Any, out: np.ndarray | None = None, **keywords: Any) -> sparse.csr_array:
        """The matrix as CSR: a row for each element of the results, a column for each of the arguments in `wrt`.

        Several results, and several arguments, follow each other in their order, each flattened as by `np.ravel`.
        `out` receives the entries, as many as the pattern has. Raises ShapeError if these are other numbers than the
        pattern's, PatternError if the check finds that an entry which is not zero is missing in the pattern, and what
        a call of the function raises.
        """
        function, given = _bound(self.function, args, keywords)
        values = normalised(function.graph, given)
        seeds = self._seeds(function, values, check_dimensions(function.graph, values))
        columns = self.colouring.number + self.check
        found = [np.reshape(leaf, (-1, columns)) for leaf in _leaves(self.product(*values, *seeds))]
        compressed = found[0] if len(found) == 1 else np.concatenate(found)
        matrix = self.colouring.recover(compressed, out)
        if self.check:
            self._compare(compressed, matrix.data)
        return matrix

    def _seeds(self, function: Function, values: Sequence[Any], sizes: Mapping[str, int]) -> list[np.ndarray]:
        """The directions for each argument (by rows: cotangents for each result), made once for the sizes."""
        graph, found = function.graph, self.colouring
        ends = [(node.dtype, tuple(max(0, dim.evaluate(sizes)) for dim in node.shape)) for _, node in graph.outputs]
        given = dict(zip(function.args, values, strict=True))
        starts = [(graph.inputs[name].dtype, np.shape(given[name])) for name in function.wrt]
        key = (*ends, None, *starts)
        if key not in self._seeded:
            shape = tuple(sum(int(np.prod(shape)) for _, shape in side) for side in (
                starts if self._symmetric else ends, starts))
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
    """The Jacobian or Hessian, by its name, of a function by compression; see `Function.compressed`."""
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


def _split(along: np.ndarray, sides: Sequence[tuple[str, tuple[int, ...]]]) -> Iterator[np.ndarray]:
    """The rows of a matrix as arrays of these shapes, with its columns as a last dimension; for real ones only."""
    start = 0
    for dtype, shape in sides:
        stop = start + int(np.prod(shape))
        if dtype.startswith("float"):
            yield np.ascontiguousarray(along[start:stop].reshape(*shape, along.shape[1]), DTYPES[dtype])
        start = stop


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
