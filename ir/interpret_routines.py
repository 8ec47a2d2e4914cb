"""What the interpreter runs for a library routine: its meaning in NumPy, for one entry of a batch.

Written apart from what generated modules call, so that one can be held against the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import DomainError

WHOLE = frozenset(("elements",))        # those of whole numbers alone, which have values in any precision
Meaning = Callable[..., tuple[Any, ...]]


class SingularError(DomainError, np.linalg.LinAlgError):
    """A matrix without the inverse, the factor or the values that were asked for; NumPy's error as well."""


def as_domain_error(error: Exception, message: str) -> DomainError:
    """The DomainError for what a routine refused: what catches NumPy's error catches it too."""
    return SingularError(message) if isinstance(error, np.linalg.LinAlgError) else DomainError(message)


def _triangular(*, lower: bool, transposed: bool) -> Meaning:
    def solve(matrix: Any, right: Any) -> tuple[Any, ...]:
        triangle = np.tril(matrix) if lower else np.triu(matrix)
        return (np.linalg.solve(triangle.T if transposed else triangle, right),)

    return solve


def _cholesky_pullback(factor: Any, cotangent: Any) -> tuple[Any, ...]:
    """S + S' below the diagonal, S on it: S = L^-T P L^-1 with P the lower triangle of L' L_, its diagonal halved."""
    lower = np.tril(factor)
    product = np.tril(lower.T @ np.tril(cotangent))
    half = np.linalg.solve(lower.T, product - 0.5 * np.diag(np.diag(product)))
    full = np.linalg.solve(lower.T, half.T)
    return (np.tril(full + full.T, -1) + np.diag(np.diag(full)),)


def _cholesky_pushforward(factor: Any, tangent: Any) -> tuple[Any, ...]:
    """L P for S = L P L' + L P' L', P a lower triangle and S the matrix's tangent."""
    lower, half = np.tril(factor), np.tril(tangent, -1) + 0.5 * np.diag(np.diag(tangent))
    full = np.linalg.solve(lower, np.linalg.solve(lower, half + half.T).T)
    return (lower @ (np.tril(full, -1) + 0.5 * np.diag(np.diag(full))),)


def _cholesky_pullback_pushforward(factor: Any, passed: Any, turn: Any, move: Any) -> tuple[Any, ...]:
    """The product rule for S + S' = L^-T (P + P') L^-1, P the lower triangle of L' C with half of its diagonal."""
    lower, turn = np.tril(factor), np.tril(turn)
    both = np.tril(passed) + np.tril(passed).T
    cotangent = np.tril(np.linalg.solve(lower.T, np.tril(lower.T @ both @ lower)))      # back from S
    moved = np.tril(turn.T @ cotangent + lower.T @ np.tril(move))
    inner = moved - 0.5 * np.diag(np.diag(moved)) - turn.T @ both @ lower
    full = np.linalg.solve(lower.T, np.linalg.solve(lower.T, inner.T).T)
    return (np.tril(full + full.T, -1) + np.diag(np.diag(full)),)


def _adjugate(matrix: Any) -> tuple[Any, ...]:
    """det(A) A^-1 from the minors of the singular values."""
    if not np.isfinite(matrix).all():
        return (np.full_like(matrix, np.nan),)
    left, values, right = np.linalg.svd(matrix)
    minors = np.array([np.prod(np.delete(values, k)) for k in range(len(values))])
    return (np.linalg.det(left) * np.linalg.det(right) * (right.T * minors) @ left.T,)


def _inverse_or_nan(matrix: Any) -> tuple[Any, ...]:
    try:
        return (np.linalg.inv(matrix),)
    except np.linalg.LinAlgError:
        return (np.full_like(matrix, np.nan),)


def _finite(meaning: Callable[[Any], tuple[Any, ...]], *, what: str, triangle: bool = False) -> Meaning:
    """The routine, which refuses infinite and NaN elements, as LAPACK does where it does not run for ever."""

    def checked(matrix: Any) -> tuple[Any, ...]:
        if not np.isfinite(np.tril(matrix) if triangle else matrix).all():
            raise np.linalg.LinAlgError(f"{what} did not converge: an element is infinite or NaN")
        return meaning(matrix)

    return checked


def _qr(matrix: Any) -> tuple[Any, ...]:
    if np.isfinite(matrix).all():
        return tuple(np.linalg.qr(matrix))
    rank = min(matrix.shape)
    return np.full_like(matrix[:, :rank], np.nan), np.triu(np.full_like(matrix[:rank], np.nan))


def _elements(places: Any, counted: Any) -> tuple[Any, ...]:
    """The elements in the order in which places name them first; places that name none have the first row."""
    size, flat = len(counted), places.ravel()
    outside = (flat < 0) | (flat >= size)
    if flat.size <= size:
        return np.where(outside, 0, flat), np.arange(flat.size).reshape(places.shape), np.array([flat.size])
    order = list(dict.fromkeys(flat[~outside].tolist()))
    rank = {element: row for row, element in enumerate(order)}
    rows = np.full(size, order[0] if order else 0, np.int64)
    rows[:len(order)] = order
    row = np.array([rank.get(element, 0) for element in flat.tolist()], np.int64)
    return rows, row.reshape(places.shape), np.array([len(order)])


MEANINGS: dict[str, Meaning] = {
    "cholesky": lambda a: (np.linalg.cholesky(a),),
    "cholesky_pullback": _cholesky_pullback,
    "cholesky_pushforward": _cholesky_pushforward,
    "cholesky_pullback_pushforward": _cholesky_pullback_pushforward,
    "solve": lambda a, b: (np.linalg.solve(a, b),),
    "solve_lower": _triangular(lower=True, transposed=False),
    "solve_lower_transposed": _triangular(lower=True, transposed=True),
    "solve_upper": _triangular(lower=False, transposed=False),
    "solve_upper_transposed": _triangular(lower=False, transposed=True),
    "inv": lambda a: (np.linalg.inv(a),),
    "inv_or_nan": _inverse_or_nan,
    "det": lambda a: (np.atleast_1d(np.linalg.det(a)),),
    "slogdet": lambda a: (np.array(tuple(np.linalg.slogdet(a))),),
    "adjugate": _adjugate,
    "eigh": _finite(lambda a: tuple(np.linalg.eigh(a)), what="Eigenvalues", triangle=True),
    "qr": _qr,
    "svd": _finite(lambda a: tuple(np.linalg.svd(a, full_matrices=False)), what="SVD"),
    "pinv": _finite(lambda a: (np.linalg.pinv(a, rcond=max(a.shape) * np.finfo(a.dtype).eps),), what="SVD"),
    "argsort": lambda x: (np.argsort(x, kind="stable"),),
    "elements": _elements,
}
