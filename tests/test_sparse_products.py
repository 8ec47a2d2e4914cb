"""Products of matrices of which the left one is mostly zero: the terms with zeros are left out where that is exact."""

from __future__ import annotations

import numpy as np
import pytest

import gradc
from gradc.codegen.routines import matmul, sparse_matmul
from gradc.ir.interpret import evaluate

RNG = np.random.default_rng(5)


def mostly_zero(rows: int, inner: int, kept: int, dtype: type = np.float64) -> np.ndarray:
    """A matrix with so many elements in each row that are not zero."""
    made = np.zeros((rows, inner), dtype)
    for row in made:
        row[RNG.choice(inner, kept, replace=False)] = RNG.normal(size=kept)
    return made


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kept", range(13))
def test_rows_with_any_number_of_elements_are_summed(kept: int, dtype: type) -> None:
    left, right = mostly_zero(40, 64, kept, dtype), RNG.normal(size=(64, 19)).astype(dtype)
    out = np.full((40, 19), np.nan, dtype)
    assert sparse_matmul(left, right, out)
    np.testing.assert_allclose(out, left @ right, rtol=1e-4 if dtype is np.float32 else 1e-12, atol=1e-5 if dtype is
                               np.float32 else 1e-13)


def test_full_rows_among_empty_ones_are_summed() -> None:
    left, right = mostly_zero(41, 50, 2), RNG.normal(size=(50, 33))
    left[1], left[7], left[40] = RNG.normal(size=50), 0.0, RNG.normal(size=50)
    out = np.full((41, 33), np.nan)
    matmul(left, right, out)
    np.testing.assert_allclose(out, left @ right, rtol=1e-12, atol=1e-13)


def test_what_is_not_zero_passes_as_in_numpy() -> None:
    left, right = mostly_zero(40, 64, 3), RNG.normal(size=(64, 20))
    left[3, 5], left[9, 11], left[12, 13] = np.nan, np.inf, -0.0
    out = np.empty((40, 20))
    assert sparse_matmul(left, right, out)
    np.testing.assert_allclose(out, left @ right, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_zeros_times_what_is_not_finite_are_not_left_out(bad: float) -> None:
    left, right = mostly_zero(40, 64, 3), RNG.normal(size=(64, 20))
    right[17, 4] = bad
    out = np.zeros((40, 20))
    assert not sparse_matmul(left, right, out)
    assert not out.any()
    with np.errstate(invalid="ignore"):
        matmul(left, right, out)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(left @ right))


@pytest.mark.parametrize("case", ["dense", "few rows", "few columns", "few terms", "turned left", "turned right"])
def test_other_products_are_the_librarys(case: str) -> None:
    rows, inner, columns = {"few rows": (15, 64, 20), "few columns": (40, 64, 15), "few terms": (40, 15, 20)}.get(
        case, (40, 64, 20))
    left, right = mostly_zero(rows, inner, 40 if case == "dense" else 3), RNG.normal(size=(inner, columns))
    left = np.asfortranarray(left) if case == "turned left" else left
    right = np.asfortranarray(right) if case == "turned right" else right
    out = np.empty((rows, columns))
    assert not sparse_matmul(left, right, out)
    matmul(left, right, out)
    np.testing.assert_array_equal(out, np.dot(left, right))


@pytest.mark.parametrize("kept", [2, 30])
def test_a_compiled_function_gives_the_interpreters_values(kept: int) -> None:
    f = gradc.compile(lambda A, B: np.sum(np.sin(A @ B) ** 2), args={"A": "n d", "B": "d h"})
    A, B = mostly_zero(40, 40, kept), RNG.normal(size=(40, 30))
    assert "matmul(A, B, " in f.source
    np.testing.assert_allclose(f(A, B), evaluate(f.graph, {"A": A, "B": B})[0], rtol=1e-12)
    assert gradc.check_gradients(f, A, B)
