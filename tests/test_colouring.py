"""Colourings of sparse matrices: the published examples, the definitions by brute force, and what is recovered.

The definitions are held by the plain Python text of the kernels on many small patterns; that Numba's give the same is
one test. CasADi's counts are those of the installed CasADi.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import gradc
from gradc.codegen import colouring as kernels
from gradc.compiler import colouring as module
from gradc.compiler.colouring import ORDERS, Colouring

from .benchmarks import colouring as problems


@pytest.fixture(scope="module", autouse=True)
def plain() -> Any:
    """The kernels as plain Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "compiled", lambda name, dtype="": getattr(kernels, name))
        yield


def symmetric_from(edges: list[tuple[int, int]], size: int, diagonal: bool = True) -> np.ndarray:
    """The pattern of a graph whose vertices are numbered from 1, as in print."""
    pattern = np.eye(size, dtype=bool) * diagonal
    for v, w in edges:
        pattern[v - 1, w - 1] = pattern[w - 1, v - 1] = True
    return pattern


def is_star_colouring(pattern: np.ndarray, colours: Any) -> bool:
    """By the definition: neighbours differ, and every path on four vertices has three colours at least."""
    near = [[w for w in np.flatnonzero(row) if w != v] for v, row in enumerate(pattern)]
    proper = all(colours[v] != colours[w] for v, row in enumerate(near) for w in row)
    paths = ((v, w, x, y) for w, row in enumerate(near) for x in row for v in row for y in near[x]
             if len({v, w, x, y}) == 4)
    return proper and all(len({colours[u] for u in path}) >= 3 for path in paths)


def is_orthogonal(pattern: np.ndarray, colours: Any) -> bool:
    """By the definition: no row has two entries in columns of the same colour."""
    return all(len({colours[c] for c in np.flatnonzero(row)}) == np.count_nonzero(row) for row in pattern)


def fewest(pattern: np.ndarray) -> int:
    """The number of colours of the best star colouring, by trying all, vertex by vertex."""
    def possible(colours: tuple[int, ...], number: int) -> bool:
        size = len(colours)
        return is_star_colouring(pattern[:size, :size], colours) and (size == len(pattern) or any(
            possible((*colours, colour), number) for colour in range(min(number, max(colours, default=-1) + 2))))

    return next(number for number in itertools.count(1) if possible((), number))


def filled(pattern: np.ndarray, symmetric: bool = False) -> np.ndarray:
    """A matrix of different numbers with that pattern."""
    values = np.random.default_rng(1).uniform(1.0, 2.0, pattern.shape)
    return np.where(pattern, values + values.T if symmetric else values, 0.0)


def recovered(found: Colouring, matrix: np.ndarray) -> np.ndarray:
    """The matrix after compression and recovery; stored zeros stay zeros."""
    return found.recover((matrix.T if found.by == "rows" else matrix) @ found.seeds()).toarray()


# What color is your Jacobian? figures 4.1 and 6.1; the latter is also figure 1 of Gebremedhin, Tarafdar, Pothen,
# Walther, "Efficient computation of sparse Hessians using coloring and automatic differentiation" (2009).
FIGURE_4_1 = symmetric_from([(1, 2), (2, 3), (2, 5), (2, 6), (3, 4), (4, 6)], 6)
FIGURE_6_1 = symmetric_from([(1, 2), (1, 7), (2, 3), (2, 5), (3, 4), (3, 6), (4, 10), (5, 6), (5, 8), (6, 9), (7, 8),
                             (8, 9), (9, 10)], 10)


def banded(size: int, width: int) -> np.ndarray:
    """A band with that many entries on each side of the diagonal."""
    return np.abs(np.subtract.outer(np.arange(size), np.arange(size))) <= width


ARROW = problems.arrow(12).toarray() != 0


def test_the_star_colouring_of_figure_4_1_is_as_good_as_the_printed_one() -> None:
    printed = [0, 1, 0, 2, 0, 0]
    assert is_star_colouring(FIGURE_4_1, printed)
    assert gradc.colouring(FIGURE_4_1, symmetric=True).number == 3
    assert fewest(FIGURE_4_1) == 3


def test_the_star_colouring_of_figure_6_1_is_as_good_as_the_printed_one() -> None:
    printed = [0, 1, 0, 2, 0, 3, 2, 4, 0, 1]                    # the one of 2009, with five colours
    acyclic = [0, 1, 0, 1, 0, 2, 1, 2, 1, 2]                    # of 2005: an acyclic colouring is not always a star
    assert is_star_colouring(FIGURE_6_1, printed) and not is_star_colouring(FIGURE_6_1, acyclic)
    assert gradc.colouring(FIGURE_6_1, symmetric=True).number <= 4
    assert fewest(FIGURE_6_1) == 4


def test_a_symmetric_matrix_needs_fewer_colours_than_its_columns() -> None:
    assert gradc.colouring(FIGURE_4_1).number == 5              # a row of five entries
    assert gradc.colouring(ARROW).number == 12
    assert gradc.colouring(ARROW, symmetric=True).number == 2


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("last", [False, True])
def test_an_arrow_needs_two_colours_wherever_its_head_is(order: str, last: bool) -> None:
    pattern = ARROW[::-1, ::-1] if last else ARROW
    assert gradc.colouring(pattern, symmetric=True, order=order).number == 2


@pytest.mark.parametrize("width", [0, 1, 2, 3, 5])
def test_a_band_needs_as_many_colours_as_a_row_has_entries(width: int) -> None:
    pattern = banded(20, width)
    assert gradc.colouring(pattern).number == 2 * width + 1     # Coleman, Moré (1984): optimal for columns and stars
    assert gradc.colouring(pattern, symmetric=True).number == 2 * width + 1


def test_the_side_that_needs_fewer_colours_is_taken() -> None:
    tall, wide = np.ones((7, 2), bool), np.ones((2, 7), bool)
    assert [(c.by, c.number) for c in map(gradc.colouring, (tall, wide))] == [("columns", 2), ("rows", 2)]
    assert gradc.colouring(wide, by="columns").number == 7
    found = gradc.colouring(wide[:, :2])
    assert (found.by, found.number) == ("columns", 2)           # as many on both sides


def test_a_colouring_of_columns_of_the_five_point_grid_reaches_its_lower_bound() -> None:
    found = gradc.colouring(problems.bratu(32))
    assert (found.number, found.order) == (5, "smallest-last")
    assert gradc.colouring(problems.bratu(32), order="natural").number == 7


patterns = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.15, 0.4, 0.7]), st.integers(0, 2**32)).map(
    lambda drawn: np.random.default_rng(drawn[3]).random(drawn[:2]) < drawn[2])
orders = st.sampled_from(ORDERS)


@given(patterns, orders, st.sampled_from(["columns", "rows"]))
@settings(max_examples=300, deadline=None)
def test_columns_or_rows_of_a_colour_are_structurally_orthogonal(pattern: np.ndarray, order: str, by: str) -> None:
    found = gradc.colouring(pattern, by=by, order=order)
    assert found.by == by and found.order == order and found.number == max(found.colours, default=-1) + 1
    assert is_orthogonal(pattern if by == "columns" else pattern.T, found.colours)
    matrix = filled(pattern)
    assert np.array_equal(recovered(found, matrix), matrix)


@given(patterns, orders, st.booleans())
@settings(max_examples=400, deadline=None)
def test_every_path_on_four_vertices_has_three_colours(pattern: np.ndarray, order: str, tried: bool) -> None:
    size = min(pattern.shape)
    pattern = pattern[:size, :size] | pattern[:size, :size].T
    found = gradc.colouring(pattern, symmetric=True, order="" if tried else order)
    assert is_star_colouring(pattern, found.colours)
    matrix = filled(pattern, symmetric=True)
    assert np.array_equal(recovered(found, matrix), matrix)


@pytest.mark.parametrize("hubs_first", [False, True])
def test_both_star_algorithms_hold_on_denser_graphs(hubs_first: bool) -> None:
    random = np.random.default_rng(2)
    for _ in range(60):
        size, density = int(random.integers(8, 18)), random.uniform(0.2, 0.6)
        pattern = random.random((size, size)) < density
        pattern |= pattern.T
        graph = module._graph(sparse.csr_array(pattern))
        colours = kernels.stars(np.arange(size, dtype=np.int32), size, *graph, hubs_first)
        assert is_star_colouring(pattern, colours)


def test_recovery_of_a_symmetric_matrix_is_symmetric_to_the_last_bit() -> None:
    pattern = problems.random(40, 6)
    found = gradc.colouring(pattern, symmetric=True)
    noisy = filled(pattern.toarray() != 0, symmetric=True) @ found.seeds()
    noisy *= np.random.default_rng(3).uniform(0.99, 1.01, noisy.shape)
    matrix = found.recover(noisy).toarray()
    assert np.array_equal(matrix, matrix.T)


# -- orders -----------------------------------------------------------------------------------------------


def neighbours_in_common_rows(pattern: np.ndarray) -> np.ndarray:
    """Which columns share a row."""
    shared = pattern.T.astype(int) @ pattern.astype(int) > 0
    np.fill_diagonal(shared, False)
    return shared


@given(patterns)
@settings(max_examples=150, deadline=None)
def test_the_orders_are_what_their_names_say(pattern: np.ndarray) -> None:
    matrix = sparse.csr_array(pattern)
    reach = (module._graph(matrix.tocsc()), module._graph(matrix))
    degree = kernels.degrees(*module._flat(reach))
    near = neighbours_in_common_rows(pattern)
    assert np.array_equal(degree, near.sum(axis=1))
    found = {name: module._order(name, reach, degree) for name in ORDERS}
    assert all(sorted(order) == list(range(pattern.shape[1])) for order in found.values())
    assert list(degree[found["largest-first"]]) == sorted(degree, reverse=True)
    for place, v in enumerate(found["smallest-last"]):
        before = found["smallest-last"][:place + 1]
        assert near[v, before].sum() == near[np.ix_(before, before)].sum(axis=1).min()
    for place, v in enumerate(found["incidence-degree"]):
        before, rest = found["incidence-degree"][:place], found["incidence-degree"][place:]
        assert near[v, before].sum() == near[np.ix_(rest, before)].sum(axis=1).max()


def test_incidence_degree_begins_with_the_largest() -> None:
    head = problems.arrow(6)
    assert gradc.colouring(head[::-1, ::-1], symmetric=True, order="incidence-degree").colours[5] == 0


# -- the compiled kernels ---------------------------------------------------------------------------------


def test_compiled_kernels_give_what_their_plain_text_gives() -> None:
    random = np.random.default_rng(4)
    cases = [(random.random((30, 24)) < 0.1, False), (random.random((8, 40)) < 0.3, False), (problems.random(60, 5), True)]
    for (pattern, symmetric), order in itertools.product(cases, ORDERS):
        expected = gradc.colouring(pattern, symmetric=symmetric, order=order)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "compiled", kernels.compiled)
            found = gradc.colouring(pattern, symmetric=symmetric, order=order)
            assert np.array_equal(found.colours, expected.colours) and found.by == expected.by
            matrix = sparse.csr_array(pattern).toarray() * 1.5
            for dtype in (np.float64, np.float32):
                compressed = ((matrix.T if found.by == "rows" else matrix) @ found.seeds()).astype(dtype)
                assert np.array_equal(found.recover(compressed).toarray(), matrix)
                assert found.recover(compressed).dtype == dtype


def test_a_star_colouring_of_long_rows_takes_time_in_proportion_to_their_entries() -> None:
    size = 20_000                                               # every two of them share a column
    every = np.arange(size)
    both = sparse.csr_array((np.ones(2 * size), (np.r_[every, every], np.repeat([size, size + 1], size))),
                            shape=(size + 2, size + 2))
    found = gradc.colouring(both + both.T, symmetric=True, order="natural")
    assert found.number == 3                                    # two parameters that every unknown meets


# -- input and errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.csr_matrix, np.asarray])
def test_any_sparse_format_is_a_pattern(make: Any) -> None:
    pattern = np.array([[2.0, 0.0, -1.0], [0.0, 3.0, 0.0]])
    found = gradc.colouring(make(pattern), by="columns")
    assert (found.number, found.shape, list(found.indices), list(found.indptr)) == (2, (2, 3), [0, 2, 1], [0, 2, 3])


def test_stored_zeros_and_repeated_entries_count_once() -> None:
    pattern = sparse.coo_array(([1.0, -1.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    found = gradc.colouring(pattern)
    assert list(found.indices) == [1, 0] and pattern.nnz == 3
    assert found.recover(np.array([[5.0], [7.0]])).toarray().tolist() == [[0.0, 5.0], [7.0, 0.0]]


def test_a_colouring_keeps_no_memory_of_the_pattern_given() -> None:
    pattern = sparse.csr_array(np.array([[1.0, 0.0], [0.0, 1.0]]))
    found = gradc.colouring(pattern)
    pattern.indices[:] = 0
    assert list(found.indices) == [0, 1]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (3, 3)])
def test_patterns_without_entries_have_colourings(shape: tuple[int, int]) -> None:
    found = gradc.colouring(np.zeros(shape))
    assert recovered(found, np.zeros(shape)).shape == shape
    if shape[0] == shape[1]:
        assert gradc.colouring(np.zeros(shape), symmetric=True).number == min(shape[0], 1)


def test_recovery_writes_into_an_array_that_is_given() -> None:
    found = gradc.colouring(np.eye(3))
    data = np.zeros(3)
    matrix = found.recover(np.array([[1], [2], [3]]), out=data)
    assert list(data) == [1.0, 2.0, 3.0] and np.shares_memory(matrix.data, data)


@pytest.mark.parametrize(("pattern", "options", "error", "text"), [
    (np.ones((2, 3)), {"symmetric": True}, gradc.ShapeError, r"shape \(2, 3\), and a symmetric matrix is square"),
    ([[1, 1], [0, 1]], {"symmetric": True}, gradc.ShapeError, r"it has \(0, 1\) and not \(1, 0\). Give pattern \+ pattern.T"),
    ([[1, 0, 0], [0, 1, 0], [1, 0, 1]], {"symmetric": True}, gradc.ShapeError, r"it has \(2, 0\) and not \(0, 2\)"),
    (np.eye(2), {"order": "random"}, gradc.ArgumentError, "order is 'random': give one of 'natural', 'largest-first'"),
    (np.eye(2), {"by": "diagonals"}, gradc.ArgumentError, "by is 'diagonals': give 'columns' or 'rows'"),
    (np.eye(2), {"by": "rows", "symmetric": True}, gradc.ArgumentError, "by is 'rows': a star colouring is by columns"),
    (np.ones(3), {}, gradc.ShapeError, "of 1 dimensions and of float64: give a sparse matrix"),
    (np.array([["a"]]), {}, gradc.ShapeError, "of 2 dimensions and of <U1"),
    (sparse.coo_array((2**31, 2)), {}, gradc.SizeError, r"shape \(2147483648, 2\): fewer than 2\*\*31"),
])
def test_what_is_no_pattern_is_refused(pattern: Any, options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        gradc.colouring(pattern, **options)


@pytest.mark.parametrize(("compressed", "out", "error", "text"), [
    (np.zeros((3, 1)), None, gradc.ShapeError, r"shape \(3, 1\), but the matrix has 2 rows and 1 colours: give A @ seeds, of shape \(2, 1\)"),
    (np.zeros(2), None, gradc.ShapeError, r"shape \(2,\)"),
    (np.zeros((2, 1), complex), None, gradc.ArgumentError, "compressed holds complex128: give float64 or float32"),
    (np.zeros((2, 1)), np.zeros(3), gradc.ShapeError, r"out has shape \(3,\) and dtype float64: give a contiguous array of shape \(2,\)"),
])
def test_what_is_no_compressed_matrix_is_refused(compressed: Any, out: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        gradc.colouring(np.eye(2)).recover(compressed, out)


# -- CasADi -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "symmetric", "make", "sizes"), problems.CASES, ids=[case[0] for case in problems.CASES])
def test_no_more_colours_than_casadi(name: str, symmetric: bool, make: Any, sizes: tuple[int, ...]) -> None:
    casadi = pytest.importorskip("casadi", reason="CasADi is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "compiled", kernels.compiled)
        for size in (sizes[0] // 4, sizes[0]):
            pattern = make(size)
            peer = problems.casadi_counts(pattern, symmetric, casadi)
            assert gradc.colouring(pattern, symmetric=symmetric).number <= min(number for number, _ in peer.values())
