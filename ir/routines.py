"""Library routines on whole arrays: factorisations, solutions of linear systems, sorting.

What a sum over axes cannot say is one `call` node with the name of a routine of this table. An entry says the
ranks of its operands and results without their leading (batch) dimensions, and the shapes of the results. Under
the same name `interpret_routines` has its meaning in NumPy, `codegen.routines` what a generated module calls, and
`compiler.pullback_routines` its derivative. A symmetric matrix is given by its lower triangle, as in NumPy: what
stands above the diagonal is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .dims import Dim

Shape = tuple[Dim, ...]


class Routine(NamedTuple):
    """A routine: what it takes and gives.

    operands  for each operand the ranks that it may have
    results   a name for each result, used for its variable
    shapes    the shapes of the results from those of the operands
    summary   what it computes
    dtype     of the results, "" for that of the operands
    real      whether whole numbers are refused as operands
    definition  the text of what it solves, for a routine that is no library's: see `implicit`
    """

    operands: tuple[tuple[int, ...], ...]
    results: tuple[str, ...]
    shapes: Callable[[Sequence[Shape]], tuple[Shape, ...]]
    summary: str
    dtype: str = ""
    real: bool = True
    definition: str = ""


MATRIX, EITHER, VECTOR, ANY = (2,), (1, 2), (1,), (1, 2, 3, 4)


def _like(position: int) -> Callable[[Sequence[Shape]], tuple[Shape, ...]]:
    return lambda shapes: (shapes[position],)


def _numbers(count: int) -> Callable[[Sequence[Shape]], tuple[Shape, ...]]:
    return lambda shapes: ((Dim.of(count),),)


def _transposed(shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    return (shapes[0][::-1],)


def _singular(shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    rows, columns = shapes[0]
    rank = rows.minimum(columns)
    return (rows, rank), (rank,), (rank, columns)


def _factors(shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    rows, columns = shapes[0]
    rank = rows.minimum(columns)
    return (rows, rank), (rank, columns)


def _elements(shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    places, counted = shapes
    total = Dim.of(1)
    for dim in places:
        total = total * dim
    return (total.minimum(counted[0]),), places, (Dim.of(1),)


def _solution(summary: str) -> Routine:
    return Routine((MATRIX, EITHER), ("solution",), _like(1), f"solution x of {summary}")


ROUTINES: dict[str, Routine] = {
    "cholesky": Routine((MATRIX,), ("factor",), _like(0), "lower Cholesky factor of a positive definite matrix"),
    "cholesky_pullback": Routine((MATRIX, MATRIX), ("passed",), _like(0),
                                 "what the cotangent of a Cholesky factor passes back to the lower triangle"),
    "cholesky_pushforward": Routine((MATRIX, MATRIX), ("moved",), _like(0),
                                    "tangent of a Cholesky factor, from that of the matrix's lower triangle"),
    "cholesky_pullback_pushforward": Routine((MATRIX,) * 4, ("moved",), _like(0),
                                             "tangent of what cholesky_pullback gives, from its two operands' and it"),
    "solve": _solution("A x = b"),
    "solve_lower": _solution("L x = b with the lower triangle of L"),
    "solve_lower_transposed": _solution("L' x = b with the lower triangle of L"),
    "solve_upper": _solution("U x = b with the upper triangle of U"),
    "solve_upper_transposed": _solution("U' x = b with the upper triangle of U"),
    "inv": Routine((MATRIX,), ("inverse",), _like(0), "inverse of a matrix"),
    "inv_or_nan": Routine((MATRIX,), ("inverse",), _like(0), "inverse of a matrix, or NaN where there is none"),
    "det": Routine((MATRIX,), ("determinant",), _numbers(1), "determinant of a matrix, as the one element of an array"),
    "slogdet": Routine((MATRIX,), ("sign_log",), _numbers(2), "sign of the determinant, and logarithm of its size"),
    "adjugate": Routine((MATRIX,), ("adjugate",), _transposed, "transposed matrix of the cofactors"),
    "eigh": Routine((MATRIX,), ("eigenvalues", "eigenvectors"), lambda shapes: (shapes[0][:1], shapes[0]),
                    "eigenvalues and eigenvectors of a symmetric matrix"),
    "qr": Routine((MATRIX,), ("orthogonal", "triangular"), _factors,
                  "orthonormal columns Q and an upper triangle R with A = Q R"),
    "svd": Routine((MATRIX,), ("left", "singular", "right"), _singular, "thin singular value decomposition"),
    "pinv": Routine((MATRIX,), ("inverse",), _transposed, "Moore-Penrose inverse"),
    "argsort": Routine((VECTOR,), ("order",), _like(0), "indices that sort a vector, equal elements in their order",
                       "int64", real=False),
    "elements": Routine((ANY, ANY), ("rows", "row", "used"), _elements,
                        "elements along the first dimension of the second array that the places of the first name: a "
                        "row for each, for each place its row, and how many rows these are", "int64", real=False),
}
