"""numpy.linalg, scipy.linalg and sorting on traced values.

Each function is one of `linear_algebra` with NumPy's or SciPy's arguments around it, or a formula on singular
values. Every function that reads one triangle of a symmetric matrix has the derivative of just that triangle, so
that it agrees with differences of the function itself. What is not known is refused with what works instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array
from .linear_algebra import LinearAlgebra
from .numpy_functions import FUNCTIONS, METHODS, known, positions, trace_of
from .numpy_joins import places_in
from .numpy_pointwise import number
from .numpy_reductions import norm
from .traced import Trace, Traced


class SlogdetResult(NamedTuple):
    """As NumPy's: the sign of the determinant and the logarithm of its size."""

    sign: Any
    logabsdet: Any


class EighResult(NamedTuple):
    """As NumPy's: eigenvalues, ascending, and eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """As NumPy's: orthonormal columns and an upper triangle."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """As NumPy's: left vectors as columns, singular values, right vectors as rows."""

    U: Any
    S: Any
    Vh: Any


def _step(t: Trace, step: Callable[[LinearAlgebra], Array]) -> Traced:
    """A step whose mistakes are told with the user's line."""
    return t.run(lambda: step(LinearAlgebra(t.arrays)))


def _steps(t: Trace, step: Callable[[LinearAlgebra], list[Array]]) -> list[Traced]:
    found: list[Array] = []

    def run() -> Array:
        found.extend(step(LinearAlgebra(t.arrays)))
        return found[0]

    t.run(run)
    return [t.value(array) for array in found]


# -- systems and factors --------------------------------------------------------------------------


@known("linalg.solve")
def _solve(t: Trace, a: Any, b: Any) -> Any:
    return _step(t, lambda la: la.solve(t.lift(a), t.lift(b)))


@known("scipy.linalg.solve")
def _scipy_solve(t: Trace, a: Any, b: Any, lower: bool = False, assume_a: Any = None, transposed: bool = False) -> Any:
    """As SciPy's: of a matrix that is said to be symmetric one triangle is read, the upper one if not told."""
    symmetric = ("sym", "symmetric", "her", "hermitian", "pos", "positive definite")
    if assume_a not in (None, "gen", "general", *symmetric):
        raise t.refused(f"scipy.linalg.solve with assume_a={assume_a!r} is not known",
                        "Leave it out, or use solve_triangular.")

    def step(la: LinearAlgebra) -> Array:
        matrix = t.lift(a)
        if assume_a in symmetric:
            turned = la.transposed(la.square(matrix, "solve"))
            read = la.graph.apply("greater_equal" if lower else "less_equal", *map(la.graph.axis, matrix.axes[-2:]))
            other = la.arrays.over(turned, matrix.axes).node
            matrix = Array(la.graph.ops.select(read, matrix.node, other), matrix.axes)
        return la.solve(la.transposed(matrix) if transposed else matrix, t.lift(b))

    return _step(t, step)


@known("scipy.linalg.solve_triangular")
def _solve_triangular(t: Trace, a: Any, b: Any, trans: Any = 0, lower: bool = False,
                      unit_diagonal: bool = False) -> Any:
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise t.refused(f"solve_triangular with trans={trans!r} has no meaning", 'Write 0, 1, "N" or "T".')

    def step(la: LinearAlgebra) -> Array:
        matrix = t.lift(a)
        if unit_diagonal:
            one = Array(t.graph.const(1.0))
            off = la.compared(la.square(matrix, "solve_triangular"), "not_equal", matrix)
            matrix = la.apply("add", off, la.compared(off, "eq", la.apply(
                "add", la.apply("mul", off, Array(t.graph.const(0.0))), one)))
        return la.solve_triangular(matrix, t.lift(b), lower=lower, transposed=trans not in (0, "N"))

    return _step(t, step)


@known("linalg.inv scipy.linalg.inv")
def _inv(t: Trace, a: Any) -> Any:
    return _step(t, lambda la: la.inverse(t.lift(a)))


@known("linalg.det scipy.linalg.det")
def _det(t: Trace, a: Any) -> Any:
    return _step(t, lambda la: la.determinant(t.lift(a)))


@known("linalg.slogdet")
def _slogdet(t: Trace, a: Any) -> Any:
    return SlogdetResult(*_steps(t, lambda la: list(la.slogdet(t.lift(a)))))


@known("linalg.cholesky")
def _cholesky(t: Trace, a: Any, upper: bool = False) -> Any:
    def step(la: LinearAlgebra) -> Array:
        matrix = la.square(t.lift(a), "cholesky")
        return la.transposed(la.cholesky(la.transposed(matrix))) if upper else la.cholesky(matrix)

    return _step(t, step)


@known("scipy.linalg.cholesky")
def _scipy_cholesky(t: Trace, a: Any, lower: bool = False) -> Any:
    return _cholesky(t, a, upper=not lower)


@known("scipy.linalg.cho_factor")
def _cho_factor(t: Trace, a: Any, lower: bool = False) -> Any:
    return _cholesky(t, a, upper=not lower), lower


@known("scipy.linalg.cho_solve")
def _cho_solve(t: Trace, c_and_lower: Any, b: Any) -> Any:
    factor, lower = c_and_lower

    def step(la: LinearAlgebra) -> Array:
        half = la.solve_triangular(t.lift(factor), t.lift(b), lower=lower, transposed=not lower)
        return la.solve_triangular(t.lift(factor), half, lower=lower, transposed=lower)

    return _step(t, step)


@known("linalg.qr")
def _qr(t: Trace, a: Any, mode: str = "reduced") -> Any:
    """Of a matrix that is known to be wide the first columns are factored, and Q' turns the others."""
    shape = t.lift(a).shape[-2:]
    square = len(shape) == 2 and shape[0] == shape[1]
    if mode not in ("reduced", "r") and not (mode == "complete" and square):
        raise t.refused(f"np.linalg.qr with mode={mode!r} is not known" + (
                        ": it completes the columns in a way that has no derivative" if mode == "complete" else ""),
                        'Write mode="reduced", or mode="r" for the triangle alone.')
    gap = (shape[0] - shape[1]).constant if len(shape) == 2 else None
    if gap is not None and gap < 0:
        matrix, rows = t.value(t.lift(a)), t.value(t.lift(a)).shape[-2]
        first, others = matrix[..., :rows], matrix[..., rows:]
        orthogonal, triangle = _steps(t, lambda la: la.call("qr", t.lift(first)))
        turned = FUNCTIONS["matmul"](t, FUNCTIONS["swapaxes"](t, orthogonal, -1, -2), others)
        triangle = FUNCTIONS["concatenate"](t, [triangle, turned], -1)
    else:
        orthogonal, triangle = _steps(t, lambda la: la.call("qr", t.lift(a)))
    return triangle if mode == "r" else QRResult(orthogonal, triangle)


@known("scipy.linalg.qr")
def _scipy_qr(t: Trace, a: Any, mode: str = "full") -> Any:
    found = _qr(t, a, {"full": "complete", "economic": "reduced"}.get(mode, mode))
    return (found,) if mode == "r" else tuple(found)


@known("linalg.matrix_power")
def _matrix_power(t: Trace, a: Any, n: Any) -> Any:
    if not isinstance(n, (int, np.integer)):
        raise t.refused("the exponent of np.linalg.matrix_power is no whole number",
                        t.or_static(n, "Write a literal such as 2 or -1."))
    return _step(t, lambda la: la.power(t.lift(a), int(n)))


@known("linalg.multi_dot")
def _multi_dot(t: Trace, arrays: Any) -> Any:
    total = arrays[0]
    for array in arrays[1:]:
        total = FUNCTIONS["dot"](t, total, array)
    return total


# -- eigenvalues and singular values --------------------------------------------------------------


@known("linalg.eigh")
def _eigh(t: Trace, a: Any, UPLO: str = "L") -> Any:
    if UPLO not in ("L", "U", "l", "u"):
        raise t.refused(f"np.linalg.eigh with UPLO={UPLO!r} has no meaning", 'Write "L" or "U".')

    def step(la: LinearAlgebra) -> list[Array]:
        matrix = la.square(t.lift(a), "eigh")
        return la.call("eigh", la.transposed(matrix) if UPLO in "Uu" else matrix)

    return EighResult(*_steps(t, step))


@known("scipy.linalg.eigh")
def _scipy_eigh(t: Trace, a: Any, lower: bool = True, eigvals_only: bool = False) -> Any:
    found = _eigh(t, a, "L" if lower else "U")
    return found.eigenvalues if eigvals_only else tuple(found)


@known("linalg.eigvalsh")
def _eigvalsh(t: Trace, a: Any, UPLO: str = "L") -> Any:
    return _eigh(t, a, UPLO).eigenvalues


@known("scipy.linalg.eigvalsh")
def _scipy_eigvalsh(t: Trace, a: Any, lower: bool = True) -> Any:
    return _scipy_eigh(t, a, lower, eigvals_only=True)


@known("linalg.svd scipy.linalg.svd")
def _svd(t: Trace, a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return _svdvals(t, a)
    shape = t.lift(a).shape[-2:]
    if full_matrices and (len(shape) < 2 or shape[0] != shape[1]):
        raise t.refused("np.linalg.svd with full_matrices=True completes the vectors in a way that has no derivative",
                        "Write full_matrices=False, or compute_uv=False for the values alone.")
    return SVDResult(*_steps(t, lambda la: la.call("svd", t.lift(a))))


@known("linalg.svdvals scipy.linalg.svdvals")
def _svdvals(t: Trace, x: Any) -> Any:
    return _steps(t, lambda la: la.call("svd", t.lift(x)))[1]


@known("linalg.pinv")
def _pinv(t: Trace, a: Any) -> Any:
    return _step(t, lambda la: la.call("pinv", t.lift(a))[0])


FUNCTIONS["scipy.linalg.pinv"] = FUNCTIONS["linalg.pinv"]


@known("linalg.lstsq scipy.linalg.lstsq")
def _lstsq(t: Trace, a: Any, b: Any, rcond: Any = None) -> Any:
    """The solution of least norm, residuals as for a full rank, the rank, the singular values."""
    if rcond is not None:
        raise t.refused(f"lstsq with rcond={rcond!r} is not known: singular values below max(m, n) eps times the "
                        "largest count as zero", "Write rcond=None, or solve with a term that keeps x small: "
                        "np.linalg.solve(a.T @ a + c * np.eye(n), a.T @ b).")
    inverse = _pinv(t, a)
    x = FUNCTIONS["matmul"](t, inverse, b)
    rest = FUNCTIONS["matmul"](t, a, x) - b
    squares = FUNCTIONS["sum"](t, rest * rest, 0)
    values = _svdvals(t, a)
    return x, squares, _rank(t, a), values


def _rank(t: Trace, a: Any) -> Any:
    values = _svdvals(t, a)
    rows, columns = t.lift(a).shape[-2:]
    largest = FUNCTIONS["max"](t, values, -1, keepdims=True)
    sizes = t.apply("max", t.value(Array(t.graph.dim(rows))), t.value(Array(t.graph.dim(columns))))
    return FUNCTIONS["sum"](t, values > largest * sizes * np.finfo(t.lift(a).dtype).eps, -1)


@known("linalg.matrix_rank")
def _matrix_rank(t: Trace, A: Any) -> Any:
    return _rank(t, A)


@known("linalg.cond")
def _cond(t: Trace, x: Any, p: Any = None) -> Any:
    if p in (None, 2, -2):
        values = _svdvals(t, x)
        most, least = FUNCTIONS["max"](t, values, -1), FUNCTIONS["min"](t, values, -1)
        found = least / most if p == -2 else most / least
    else:
        size = FUNCTIONS["linalg.norm"]
        inverse = _step(t, lambda la: la.call("inv_or_nan", la.square(t.lift(x), "cond"))[0])
        found = size(t, x, p, (-2, -1)) * size(t, inverse, p, (-2, -1))
    known = FUNCTIONS["all"](t, t.apply("not", t.apply("isnan", x)), (-2, -1))
    return t.apply("select", t.apply("isnan", found) & known, math.inf, found)


@known("linalg.norm scipy.linalg.norm linalg.matrix_norm")
def _norm(t: Trace, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norms of a matrix that are made of singular values; the others are made of its elements."""
    rank = len(t.lift(x).axes)
    chosen = positions(t, axis, rank)
    if ord not in (2, -2, "nuc") or len(chosen) != 2:
        return norm(t, x, ord, axis, keepdims)
    values = _svdvals(t, FUNCTIONS["moveaxis"](t, x, chosen, (-2, -1)))
    result = FUNCTIONS["sum" if ord == "nuc" else "max" if ord > 0 else "min"](t, values, -1)
    for k in sorted(chosen) if keepdims else ():
        result = FUNCTIONS["expand_dims"](t, result, k)
    return result


# -- sorting --------------------------------------------------------------------------------------


def _along(t: Trace, x: Any, axis: Any, chosen: int) -> Any:
    """The sorted array (0) or the order (1) along any dimension."""
    if axis is None:
        x, axis = FUNCTIONS["ravel"](t, x), -1
    x = t.value(t.lift(x))
    at = positions(t, axis, x.ndim)[0]
    moved = FUNCTIONS["moveaxis"](t, x, at, -1)
    return FUNCTIONS["moveaxis"](t, _steps(t, lambda la: list(la.sorted(t.lift(moved))))[chosen], -1, at)


@known("sort")
def _sort(t: Trace, a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Any:
    del kind, stable
    return _along(t, a, axis, 0)


@known("partition")
def _partition(t: Trace, a: Any, kth: Any, axis: Any = -1, kind: Any = None) -> Any:
    """The order within the parts is free: here it ascends."""
    _check_kth(t, a, kth, axis)
    return _sort(t, a, axis, kind)


@known("argpartition")
def _argpartition(t: Trace, a: Any, kth: Any, axis: Any = -1, kind: Any = None) -> Any:
    _check_kth(t, a, kth, axis)
    return _argsort(t, a, axis, kind)


def _check_kth(t: Trace, a: Any, kth: Any, axis: Any) -> None:
    """Each of the places must be one of the dimension."""
    x = FUNCTIONS["ravel"](t, a) if axis is None else t.value(t.lift(a))
    at = 0 if axis is None else positions(t, axis, x.ndim)[0]
    places_in(t, "partition", kth, x.array.shape[at], 0)


@known("argsort")
def _argsort(t: Trace, a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Any:
    del kind, stable
    return _along(t, a, axis, 1)


@known("median")
def _median(t: Trace, a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _quantile(t, a, 0.5, axis, keepdims=keepdims)


@known("quantile")
def _quantile(t: Trace, a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """Between the two nearest elements in order, in proportion; ties of whole places give the element itself."""
    if method != "linear" or trace_of((q,)) is not None or not np.all((np.asarray(q) >= 0) & (np.asarray(q) <= 1)):
        raise t.refused("np.quantile is known for literals q from 0 to 1 and the linear method",
                        "Sort by np.sort and choose between its elements.")
    if np.ndim(q):                                              # sorted once: equal nodes are one node
        rows = [_quantile(t, a, float(one), axis, method, keepdims) for one in np.ravel(q)]
        found = FUNCTIONS["stack"](t, rows or [_quantile(t, a, 0.5, axis, method, keepdims)])[:len(rows)]
        return found if np.ndim(q) == 1 else found.reshape((*np.shape(q), *found.shape[1:]))
    array = number(t, a)
    chosen = sorted(positions(t, axis, array.ndim))
    rest = [k for k in range(array.ndim) if k not in chosen]
    moved = FUNCTIONS["transpose"](t, array, (*rest, *chosen))
    size = _size_of(array, chosen)
    if len(chosen) != 1:
        moved = FUNCTIONS["reshape"](t, moved, (*(array.shape[k] for k in rest), size))
    values = _along(t, moved, -1, 0)
    if q == 0.5:                                                # whole numbers: right for every size
        low, high = values[..., (size - 1) // 2], values[..., size // 2]
        result = (low + high) * 0.5
    else:
        place = (size - 1) * float(q)
        below = FUNCTIONS["floor"](t, place) if isinstance(place, Traced) else np.floor(place)
        low, high = _neighbours(t, values, below, size)
        result = low + (high - low) * (place - below)
    last = values[..., size - 1]
    result = FUNCTIONS["where"](t, FUNCTIONS["isnan"](t, last), np.nan, result)
    for k in chosen if keepdims else ():
        result = FUNCTIONS["expand_dims"](t, result, k)
    return result


def _size_of(array: Any, chosen: list[int]) -> Any:
    size: Any = 1
    for k in chosen:
        size = size * array.shape[k]
    return size


def _neighbours(t: Trace, values: Any, below: Any, size: Any) -> tuple[Any, Any]:
    """The elements at a place and at the next one, summed out of the sorted values: the place is a real number."""
    index = FUNCTIONS["arange"](t, size)
    low = FUNCTIONS["sum"](t, FUNCTIONS["where"](t, index == below, values, 0.0), -1)
    nearest = FUNCTIONS["minimum"](t, below + 1, size - 1) if isinstance(below, Traced) else min(below + 1, size - 1)
    return low, FUNCTIONS["sum"](t, FUNCTIONS["where"](t, index == nearest, values, 0.0), -1)


@known("percentile")
def _percentile(t: Trace, a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    return _quantile(t, a, q if trace_of((q,)) else np.asarray(q) / 100, axis, method, keepdims)


METHODS |= {"argsort": "argsort", "sort": "ndarray.sort"}
