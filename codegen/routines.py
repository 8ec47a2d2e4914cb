"""Library routines on whole arrays, as generated modules call them: one function for each entry of `ir.routines`.

The printer pastes the text of a function into a module that calls it, so each uses NumPy alone, and the same
text runs as plain Python and under Numba, which hands it to LAPACK. Results are C-contiguous, so that loops that
read them run along memory. What NumPy refuses (a singular matrix, one that is not positive definite) is refused
here with its error; what is infinite or NaN passes as in NumPy, also where Numba's LAPACK takes no such array. What
the routines mean and which shapes they give stands in `ir.routines`.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

Matrix = Any        # np.ndarray in the text that is pasted


PASTED: dict[str, str] = {}                 # texts of routines that are the user's own functions
MATRIX_BLOCKS = ("block", "put_turned", "take_product", "lower_triangle", "mirrored_block")
SUBSTITUTIONS = ("substitute_forward", "substitute_back")
# what the printer or a routine calls, no routine of a graph
OWN = ("matmul", "sparse_matmul", "eliminated", "newton_step", *MATRIX_BLOCKS, *SUBSTITUTIONS)
# the functions that a routine consists of, callee first, where it is not one alone
NEEDED: dict[str, tuple[str, ...]] = {
    "matmul": ("sparse_matmul", "matmul"),
    **{name: ("eliminated", name) for name in ("solve", "inv", "inv_or_nan", "det", "slogdet")},
    "solve_lower": ("block", "take_product", "substitute_forward", "solve_lower"),
    "solve_lower_transposed": ("block", "take_product", "substitute_back", "solve_lower_transposed"),
    "solve_upper": ("block", "take_product", "substitute_back", "solve_upper"),
    "solve_upper_transposed": ("block", "take_product", "substitute_forward", "solve_upper_transposed"),
    "cholesky_pushforward": (*MATRIX_BLOCKS[:-1], "cholesky_pushforward"),
    "cholesky_pullback": (*MATRIX_BLOCKS, "cholesky_pullback"),
    "cholesky_pullback_pushforward": (*MATRIX_BLOCKS, "cholesky_pullback_pushforward"),
}


def function_text(name: str) -> str:
    """The text of one routine, ready to paste."""
    if name in PASTED:
        return PASTED[name]
    return inspect.getsource(globals()[name]).replace("Matrix", "np.ndarray")


def cholesky(matrix: Matrix) -> Matrix:
    """The lower Cholesky factor; only the lower triangle of the matrix is read."""
    return np.ascontiguousarray(np.linalg.cholesky(matrix))


def block(matrix: Matrix, top: int, bottom: int, left: int, right: int) -> Matrix:
    """Rows `top` to `bottom` and columns `left` to `right`, as a matrix of their own: of matrix.T, a block turned."""
    found = np.empty((bottom - top, right - left), matrix.dtype)
    for i in range(bottom - top):
        for j in range(right - left):
            found[i, j] = matrix[top + i, left + j]
    return found


def put_turned(matrix: Matrix, top: int, left: int, part: Matrix) -> None:
    """Write a block, given with its columns as rows, where it begins."""
    for i in range(part.shape[1]):
        for j in range(part.shape[0]):
            matrix[top + i, left + j] = part[j, i]


def take_product(matrix: Matrix, top: int, left: int, first: Matrix, second: Matrix) -> None:
    """Subtract first @ second from the block of its size that begins at `top` and `left`."""
    product = np.dot(first, second)
    for i in range(product.shape[0]):
        for j in range(product.shape[1]):
            matrix[top + i, left + j] -= product[i, j]


def mirrored_block(matrix: Matrix, start: int, stop: int) -> Matrix:
    """S + S' for a lower triangle S on the diagonal."""
    found = np.empty((stop - start, stop - start), matrix.dtype)
    for i in range(stop - start):
        for j in range(i + 1):
            found[i, j] = found[j, i] = matrix[start + i, start + j]
        found[i, i] *= 2.0
    return found


def lower_triangle(matrix: Matrix) -> Matrix:
    """A copy, with zeros above the diagonal."""
    found = np.zeros(matrix.shape, matrix.dtype)
    for i in range(len(matrix)):
        for j in range(i + 1):
            found[i, j] = matrix[i, j]
    return found


def cholesky_pushforward(factor: Matrix, tangent: Matrix) -> Matrix:
    """How a Cholesky factor moves along a tangent of the matrix's lower triangle, 32 columns at once."""
    moved, size = lower_triangle(tangent), len(factor)
    for start in range(0, size, 32):
        stop = min(start + 32, size)
        if start:
            take_product(moved, start, start, block(factor, start, size, 0, start),
                         block(moved.T, 0, start, start, stop))
            take_product(moved, start, start, block(moved, start, size, 0, start),
                         block(factor.T, 0, start, start, stop))
        own, change = block(factor.T, start, stop, start, size), block(moved.T, start, stop, start, size)
        for j in range(stop - start):
            for k in range(j):
                row, row_change = own[k, j], change[k, j]
                for i in range(j, size - start):
                    change[j, i] -= own[k, i] * row_change + change[k, i] * row
            slope = 0.5 * change[j, j] / own[j, j]
            change[j, j] = slope
            for i in range(j + 1, size - start):
                change[j, i] = (change[j, i] - own[j, i] * slope) / own[j, j]
            for i in range(j):
                change[j, i] = 0.0
        put_turned(moved, start, start, change)
    return moved


def cholesky_pullback(factor: Matrix, cotangent: Matrix) -> Matrix:
    """What the lower triangle of a Cholesky factor's cotangent passes back to that of the matrix, 32 rows at once."""
    passed, size = lower_triangle(cotangent), len(factor)
    for stop in range(size, 0, -32):
        start = max(stop - 32, 0)
        row = block(factor, start, stop, 0, start)
        if stop < size:
            below, corner = block(passed.T, start, stop, stop, size), block(factor, start, stop, start, stop)
            for i in range(stop - start - 1, -1, -1):
                for j in range(i + 1, stop - start):
                    for k in range(size - stop):
                        below[i, k] -= corner[j, i] * below[j, k]
                for k in range(size - stop):
                    below[i, k] /= corner[i, i]
            put_turned(passed, stop, start, below)
            take_product(passed, start, 0, below, block(factor, stop, size, 0, stop))
            take_product(passed, stop, 0, block(passed, stop, size, start, stop), row)
        for k in range(stop - 1, start - 1, -1):            # the same, one row at a time
            for i in range(k + 1, stop):
                passed[i, k] /= factor[k, k]
                passed[k, k] -= passed[i, k] * factor[i, k]
            passed[k, k] *= 0.5 / factor[k, k]
            for j in range(start, k):
                passed[k, j] -= 2.0 * passed[k, k] * factor[k, j]
            for i in range(k + 1, stop):
                for j in range(start, k):
                    passed[k, j] -= passed[i, k] * factor[i, j]
                    passed[i, j] -= passed[i, k] * factor[k, j]
        take_product(passed, start, 0, mirrored_block(passed, start, stop), row)
    return lower_triangle(passed)


def cholesky_pullback_pushforward(factor: Matrix, passed: Matrix, turn: Matrix, move: Matrix) -> Matrix:
    """How what is passed back moves along tangents of the factor and of its cotangent, 32 rows at once."""
    moved, size = lower_triangle(move), len(factor)
    for stop in range(size, 0, -32):
        start = max(stop - 32, 0)
        row, row_turn = block(factor, start, stop, 0, start), block(turn, start, stop, 0, start)
        if stop < size:
            below, corner = block(passed.T, start, stop, stop, size), block(factor, start, stop, start, stop)
            change, corner_turn = block(moved.T, start, stop, stop, size), block(turn, start, stop, start, stop)
            for i in range(stop - start - 1, -1, -1):
                for j in range(i, stop - start):
                    for k in range(size - stop):
                        change[i, k] -= corner_turn[j, i] * below[j, k]
                for j in range(i + 1, stop - start):
                    for k in range(size - stop):
                        change[i, k] -= corner[j, i] * change[j, k]
                for k in range(size - stop):
                    change[i, k] /= corner[i, i]
            put_turned(moved, stop, start, change)
            take_product(moved, start, 0, change, block(factor, stop, size, 0, stop))
            take_product(moved, start, 0, below, block(turn, stop, size, 0, stop))
            take_product(moved, stop, 0, block(moved, stop, size, start, stop), row)
            take_product(moved, stop, 0, block(passed, stop, size, start, stop), row_turn)
        for k in range(stop - 1, start - 1, -1):            # the same, one row at a time
            for i in range(k + 1, stop):
                moved[i, k] = (moved[i, k] - passed[i, k] * turn[k, k]) / factor[k, k]
                moved[k, k] -= moved[i, k] * factor[i, k] + passed[i, k] * turn[i, k]
            moved[k, k] = (0.5 * moved[k, k] - passed[k, k] * turn[k, k]) / factor[k, k]
            for j in range(start, k):
                moved[k, j] -= 2.0 * (moved[k, k] * factor[k, j] + passed[k, k] * turn[k, j])
            for i in range(k + 1, stop):
                for j in range(start, k):
                    moved[k, j] -= moved[i, k] * factor[i, j] + passed[i, k] * turn[i, j]
                    moved[i, j] -= moved[i, k] * factor[k, j] + passed[i, k] * turn[k, j]
        take_product(moved, start, 0, mirrored_block(moved, start, stop), row)
        take_product(moved, start, 0, mirrored_block(passed, start, stop), row_turn)
    return lower_triangle(moved)


def eliminated(matrix: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """The pivots, with the sign of their order, and the solution x of A x = b; a pivot of 0 ends it.

    For matrices with infinite or NaN elements, which LAPACK spreads as arithmetic does, and Numba does not give it.
    """
    work, x, pivots = matrix.copy(), right.copy(), np.empty(len(matrix), matrix.dtype)
    for k in range(len(work)):
        best = k
        for i in range(k + 1, len(work)):
            if abs(work[i, k]) > abs(work[best, k]) or (np.isnan(work[best, k]) and not np.isnan(work[i, k])):
                best = i
        order = np.arange(len(work))
        order[k], order[best] = best, k
        work, x = work[order], x[order]
        pivots[k] = work[k, k] if best == k else -work[k, k]
        if work[k, k] == 0.0:
            pivots[k:] = 0.0
            return pivots, x
        for i in range(k + 1, len(work)):
            factor = work[i, k] / work[k, k]
            work[i] -= factor * work[k]
            x[i] -= factor * x[k]
    for k in range(len(work) - 1, -1, -1):
        x[k] /= work[k, k]
        for i in range(k):
            x[i] -= work[i, k] * x[k]
    return pivots, x


def newton_step(matrix: Matrix, right: Matrix, x: Matrix) -> float:
    """The solution of A x = b, written into x, and its largest element; no finite number if A is singular.

    In loops, which Numba compiles in a fraction of the time that a call of LAPACK takes; A is overwritten.
    """
    size = len(right)
    for i in range(size):
        x[i] = right[i]
    for k in range(size):
        best = k
        for i in range(k + 1, size):
            if abs(matrix[i, k]) > abs(matrix[best, k]):
                best = i
        if best != k:
            for j in range(k, size):
                matrix[k, j], matrix[best, j] = matrix[best, j], matrix[k, j]
            x[k], x[best] = x[best], x[k]
        for i in range(k + 1, size):
            factor = matrix[i, k] / matrix[k, k]
            for j in range(k + 1, size):
                matrix[i, j] -= factor * matrix[k, j]
            x[i] -= factor * x[k]
    largest = 0.0
    for k in range(size - 1, -1, -1):
        for j in range(k + 1, size):
            x[k] -= matrix[k, j] * x[j]
        x[k] /= matrix[k, k]
        largest = abs(x[k]) if abs(x[k]) > largest or np.isnan(x[k]) else largest
    return largest


def solve(matrix: Matrix, right: Matrix) -> Matrix:
    """The solution x of A x = b."""
    if np.isfinite(np.sum(matrix) + np.sum(right)):
        return np.ascontiguousarray(np.linalg.solve(matrix, right))
    pivots, x = eliminated(matrix, right)
    if np.any(pivots == 0.0):
        raise np.linalg.LinAlgError("Singular matrix")
    return x


def substitute_forward(corner: Matrix, x: Matrix, start: int) -> None:
    """Solve L x = b in place for the rows from `start` on, as many as the triangle has."""
    for i in range(len(corner)):
        if x.shape[1] == 1:                                     # no loop over columns
            for j in range(i):
                x[start + i, 0] -= corner[i, j] * x[start + j, 0]
            x[start + i, 0] /= corner[i, i]
            continue
        for j in range(i):
            factor = corner[i, j]
            for k in range(x.shape[1]):
                x[start + i, k] -= factor * x[start + j, k]
        for k in range(x.shape[1]):
            x[start + i, k] /= corner[i, i]


def substitute_back(corner: Matrix, x: Matrix, start: int) -> None:
    """The same for U x = b, from the last row on."""
    for i in range(len(corner) - 1, -1, -1):
        if x.shape[1] == 1:
            for j in range(i + 1, len(corner)):
                x[start + i, 0] -= corner[i, j] * x[start + j, 0]
            x[start + i, 0] /= corner[i, i]
            continue
        for j in range(i + 1, len(corner)):
            factor = corner[i, j]
            for k in range(x.shape[1]):
                x[start + i, k] -= factor * x[start + j, k]
        for k in range(x.shape[1]):
            x[start + i, k] /= corner[i, i]


def solve_lower(lower: Matrix, right: Matrix) -> Matrix:
    """The solution x of L x = b by forward substitution, 32 rows at once; only the lower triangle is read."""
    x = right.copy().reshape(len(right), right.size // max(len(right), 1))          # a vector is one column
    for start in range(0, len(x), 32):
        stop = min(start + 32, len(x))
        if start:
            take_product(x, start, 0, block(lower, start, stop, 0, start), x[:start])
        substitute_forward(block(lower, start, stop, start, stop), x, start)
    return x.reshape(right.shape)


def solve_lower_transposed(lower: Matrix, right: Matrix) -> Matrix:
    """The solution x of L' x = b by back substitution, 32 rows at once; only the lower triangle of L is read."""
    x = right.copy().reshape(len(right), right.size // max(len(right), 1))
    for stop in range(len(x), 0, -32):
        start = max(stop - 32, 0)
        if stop < len(x):
            take_product(x, start, 0, block(lower.T, start, stop, stop, len(x)), x[stop:])
        substitute_back(block(lower.T, start, stop, start, stop), x, start)
    return x.reshape(right.shape)


def solve_upper(upper: Matrix, right: Matrix) -> Matrix:
    """The solution x of U x = b by back substitution, 32 rows at once; only the upper triangle is read."""
    x = right.copy().reshape(len(right), right.size // max(len(right), 1))
    for stop in range(len(x), 0, -32):
        start = max(stop - 32, 0)
        if stop < len(x):
            take_product(x, start, 0, block(upper, start, stop, stop, len(x)), x[stop:])
        substitute_back(block(upper, start, stop, start, stop), x, start)
    return x.reshape(right.shape)


def solve_upper_transposed(upper: Matrix, right: Matrix) -> Matrix:
    """The solution x of U' x = b by forward substitution, 32 rows at once; only the upper triangle of U is read."""
    x = right.copy().reshape(len(right), right.size // max(len(right), 1))
    for start in range(0, len(x), 32):
        stop = min(start + 32, len(x))
        if start:
            take_product(x, start, 0, block(upper.T, start, stop, 0, start), x[:start])
        substitute_forward(block(upper.T, start, stop, start, stop), x, start)
    return x.reshape(right.shape)


def inv(matrix: Matrix) -> Matrix:
    """The inverse of a matrix."""
    if np.isfinite(np.sum(matrix)):
        return np.ascontiguousarray(np.linalg.inv(matrix))
    pivots, x = eliminated(matrix, np.eye(len(matrix), dtype=matrix.dtype))
    if np.any(pivots == 0.0):
        raise np.linalg.LinAlgError("Singular matrix")
    return x


def inv_or_nan(matrix: Matrix) -> Matrix:
    """The inverse of a matrix, or NaN where it is singular."""
    if not np.isfinite(np.sum(matrix)):
        return eliminated(matrix, np.eye(len(matrix), dtype=matrix.dtype))[1]
    if np.linalg.slogdet(matrix)[0] == 0.0:
        return np.full_like(matrix, np.nan)
    return np.ascontiguousarray(np.linalg.inv(matrix))


def det(matrix: Matrix) -> Matrix:
    """The determinant, as the one element of an array."""
    found = np.empty(1, matrix.dtype)
    if np.isfinite(np.sum(matrix)):
        found[0] = np.linalg.det(matrix)
    else:
        found[0] = np.prod(eliminated(matrix, matrix[:, :0])[0])
    return found


def slogdet(matrix: Matrix) -> Matrix:
    """The sign of the determinant and the logarithm of its size."""
    found = np.empty(2, matrix.dtype)
    if np.isfinite(np.sum(matrix)):
        found[0], found[1] = np.linalg.slogdet(matrix)
    else:
        pivots = eliminated(matrix, matrix[:, :0])[0]
        found[0] = 0.0 if np.any(pivots == 0.0) else 1.0 - 2.0 * (np.sum(pivots < 0.0) % 2)
        found[1] = np.sum(np.log(np.abs(pivots)))
    return found


def adjugate(matrix: Matrix) -> Matrix:
    """The transposed cofactors, det(A) A^-1, from the singular values, so also where there is no inverse."""
    if len(matrix) == 0:                # Numba's LAPACK takes no empty array
        return np.empty_like(matrix)
    if not np.isfinite(np.sum(matrix)):
        return np.full_like(matrix, np.nan)
    left, values, right = np.linalg.svd(matrix)
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    scaled = np.ascontiguousarray(right.T)
    for k in range(len(values)):
        for other in range(len(values)):
            if other != k:
                scaled[:, k] *= values[other]
    scaled *= np.linalg.det(left) * np.linalg.det(right)
    return np.dot(scaled, np.ascontiguousarray(left.T))


def eigh(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues, ascending, and eigenvectors as columns; only the lower triangle of the matrix is read."""
    lower = np.tril(matrix)
    if not np.isfinite(np.sum(lower)):
        raise np.linalg.LinAlgError("Eigenvalues did not converge: an element is infinite or NaN")
    values, vectors = np.linalg.eigh(lower)
    return values, np.ascontiguousarray(vectors)


def qr(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Orthonormal columns Q and an upper triangle R with A = Q R."""
    rows, columns = matrix.shape
    if rows == 0 or columns == 0:       # Numba's LAPACK takes no empty array
        return np.empty((rows, 0), matrix.dtype), np.empty((0, columns), matrix.dtype)
    if not np.isfinite(np.sum(matrix)):
        rank = min(rows, columns)
        return np.full((rows, rank), np.nan, matrix.dtype), np.triu(np.full((rank, columns), np.nan, matrix.dtype))
    orthogonal, triangular = np.linalg.qr(matrix)
    return np.ascontiguousarray(orthogonal), np.ascontiguousarray(triangular)


def svd(matrix: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """The thin singular value decomposition: left vectors, values in descending order, right vectors as rows."""
    rows, columns = matrix.shape
    if rows == 0 or columns == 0:       # Numba's LAPACK takes no empty array
        return np.empty((rows, 0), matrix.dtype), np.empty(0, matrix.dtype), np.empty((0, columns), matrix.dtype)
    if not np.isfinite(np.sum(matrix)):
        raise np.linalg.LinAlgError("SVD did not converge: an element is infinite or NaN")
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return np.ascontiguousarray(left), values, np.ascontiguousarray(right)


def pinv(matrix: Matrix) -> Matrix:
    """The Moore-Penrose inverse; singular values below max(m, n) eps times the largest count as zero."""
    if not np.isfinite(np.sum(matrix)):
        raise np.linalg.LinAlgError("SVD did not converge: an element is infinite or NaN")
    return np.ascontiguousarray(np.linalg.pinv(matrix, max(matrix.shape) * np.finfo(matrix.dtype).eps))


def argsort(x: Matrix) -> Matrix:
    """The indices that sort a vector; equal elements keep their order."""
    return np.argsort(x, kind="mergesort")


def elements(places: Matrix, counted: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """The elements that places name, each in a row: the element of each row, the row of each place, how many rows.

    They stand in the order in which places name them first; rows left over repeat the first one. Where places are no
    more than all elements, the length of `counted`, each place has a row instead. A place outside is not looked at.
    """
    flat, size = places.reshape(-1), counted.shape[0]
    total, found = flat.shape[0], 0
    each = total <= size
    rows, row = np.zeros(min(total, size), np.int64), np.zeros(total, np.int64)
    known = np.full(0 if each else size, -1, np.int64)
    for i in range(total):
        element = flat[i]
        inside = element >= 0 and element < size
        if each:
            rows[i], row[i] = element if inside else 0, i
        elif inside:
            if known[element] < 0:
                rows[found], known[element] = element, found
                found += 1
            row[i] = known[element]
    if not each and found > 0:
        rows[found:] = rows[0]
    return rows, row.reshape(places.shape), np.full(1, total if each else found)


def matmul(left: Matrix, right: Matrix, out: Matrix) -> None:
    """Write left @ right into `out`: by the library if the matrices are large, in loops if they are small.

    Where few elements of a large `left` are not zero, and `right` is finite, the products with zeros are left out.
    """
    rows, inner = left.shape
    columns = right.shape[1]
    if inner > 1 and rows * inner * (columns + 20) > 1500 and out.flags.c_contiguous:  # a loop's start counts as 20
        if not sparse_matmul(left, right, out):
            np.dot(left, right, out)
    elif right.flags.c_contiguous and inner > 0:
        for i in range(rows):           # a row of the result is written once, then added to: an outer product ends here
            factor = left[i, 0]
            for j in range(columns):
                out[i, j] = factor * right[0, j]
            for k in range(1, inner):
                factor = left[i, k]
                for j in range(columns):
                    out[i, j] += factor * right[k, j]
    else:
        for i in range(rows):
            for j in range(columns):
                total = out.dtype.type(0.0)
                for k in range(inner):
                    total += left[i, k] * right[k, j]
                out[i, j] = total


def sparse_matmul(left: Matrix, right: Matrix, out: Matrix) -> bool:
    """Write left @ right into `out` if most elements of `left` are zero; else False, and `out` is as it was.

    A few rows say whether that may be so, so it costs next to nothing where it is not. A row of the result is the sum
    of the rows of `right` that count, four at a time. 0 * inf is NaN, so all of `right` must be finite.
    """
    rows, inner = left.shape
    columns = right.shape[1]
    if inner < 16 or columns < 16 or rows < 16 or not (left.flags.c_contiguous and right.flags.c_contiguous):
        return False
    found, looked = 0, 0
    for i in range(0, rows, (rows + 7) >> 3):                   # up to eight
        looked += inner
        for k in range(inner):
            found += left[i, k] != 0.0
    if 4 * found > looked:
        return False
    finite, zero = 0, out.dtype.type(0.0)
    for k in range(inner):
        for j in range(columns):
            finite += abs(right[k, j]) < np.inf
    if finite < inner * columns:
        return False
    counting, factors = np.empty(inner + 4, np.int64), np.empty(inner + 4, out.dtype)
    for i in range(rows):
        found = 0
        for k in range(inner):
            counting[found], factors[found] = k, left[i, k]     # the next one takes its place if it is zero
            found += left[i, k] != 0.0
        for n in range(found, found + 4):
            counting[n], factors[n] = 0, zero
        for n in range(0, max(found, 1), 4):
            a, b, c, d = counting[n], counting[n + 1], counting[n + 2], counting[n + 3]
            by_a, by_b, by_c, by_d = factors[n], factors[n + 1], factors[n + 2], factors[n + 3]
            for j in range(columns):
                share = by_a * right[a, j] + by_b * right[b, j] + by_c * right[c, j] + by_d * right[d, j]
                out[i, j] = share if n == 0 else out[i, j] + share
    return True
