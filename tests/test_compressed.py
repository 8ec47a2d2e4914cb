"""Sparse Jacobians and Hessians from products with the derivatives: equal to the dense ones, and refused if wrong."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse
from scipy.sparse.linalg import spsolve

import gradc
import gradc.compiler.compressed
from gradc.codegen import colouring as kernels

from .benchmarks import colouring as problems

plain = partial(gradc.compile, jit=False)
X = np.linspace(0.3, 2.0, 6)
LOWER = np.tri(6)
ROSENBROCK = "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))"


@pytest.fixture(scope="module", autouse=True)
def plain_kernels() -> Any:
    """The kernels as plain Python."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (gradc.compiler.colouring, gradc.compiler.compressed):
            patch.setattr(module, "compiled", lambda name, dtype="": getattr(kernels, name))
        yield


def band(size: int, *offsets: int) -> sparse.dia_array:
    return sparse.diags_array([1.0] * len(offsets), offsets=offsets, shape=(size, size))


def blocks(found: Any, rows: list[int], columns: list[int]) -> np.ndarray:
    """The blocks of a dense Jacobian, outputs down and arguments across, as one matrix."""
    found = found if isinstance(found, tuple) and len(rows) > 1 else (found,)
    return np.block([[np.reshape(part, (m, n)) for part, n in zip(
        row if isinstance(row, tuple) else (row,), columns, strict=True)] for m, row in zip(rows, found, strict=True)])


# -- equal to the dense ones -------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "pattern"), [
    (lambda x: np.cumsum(np.sin(x)), LOWER),
    (lambda x: np.cumprod(x)[::2], LOWER[::2]),
    (lambda x: np.maximum.accumulate(x), np.tri(6)),
    (lambda x: x[1:] * x[:-1], np.eye(5, 6) + np.eye(5, 6, 1)),
    (lambda x: np.array([np.sum(x), x[0] * x[5]]), [[1] * 6, [1, 0, 0, 0, 0, 1]]),
    (lambda x: np.linalg.solve(np.diag(x[:3]) + np.ones((3, 3)), x[3:]), np.ones((3, 6))),
    (lambda x: np.linalg.solve(np.reshape(x[:4], (4, 1, 1)), np.ones((4, 1, 1))), np.eye(4, 6)),
], ids=["running sum", "running product", "running maximum", "differences", "few rows", "solve", "batch of solves"])
@pytest.mark.parametrize("by", ["", "columns", "rows"])
def test_a_compressed_jacobian_is_the_dense_one(function: Any, pattern: Any, by: str) -> None:
    f = plain(function, {"x": "6"})
    compressed = f.jacobian.compressed(pattern, by=by)
    dense = np.reshape(f.jacobian(X), (-1, 6))
    assert np.allclose(compressed(X).toarray(), dense, rtol=1e-13, atol=1e-15)
    assert compressed(x=X).nnz == np.count_nonzero(pattern) and compressed.colouring.by in ("columns", "rows")


def test_few_rows_are_computed_by_rows_and_few_colours() -> None:
    f = plain("sum(x), x[0] * x[1]", "x: n")
    pattern = np.array([[1] * 6, [1, 1, 0, 0, 0, 0]])
    compressed = f.jacobian.compressed(pattern)
    assert (compressed.colouring.by, compressed.colouring.number) == ("rows", 2)
    assert compressed.product is f.vjp.many
    assert compressed(X).toarray().tolist() == [[1.0] * 6, [X[1], X[0], 0, 0, 0, 0]]


@pytest.mark.parametrize("by", ["columns", "rows"])
def test_results_and_arguments_follow_each_other_flattened(by: str) -> None:
    def function(A: Any, t: Any, x: Any) -> Any:
        return A @ x * t, np.sum(x), np.argmax(x)

    f = plain(function, {"A": "2 3", "t": "", "x": "3"}, wrt=("x", "t", "A"))
    values = np.arange(6.0).reshape(2, 3), 2.0, np.array([1.0, -1.0, 3.0])
    pattern = np.zeros((4, 10), bool)
    pattern[:3, :3] = pattern[:2, 3] = pattern[0, 4:7] = pattern[1, 7:] = True
    found = f.jacobian.compressed(pattern, by=by)(*values)
    assert np.array_equal(found.toarray(), blocks(f.jacobian(*values), [2, 1, 1], [3, 1, 6]))
    assert found.nnz == pattern.sum()


@pytest.mark.parametrize(("expression", "args", "pattern", "values"), [
    (ROSENBROCK, "x: n", band(6, -1, 0, 1), (X,)),
    ("sum(a[i] * x[0] * x[i]**2 for i in range(n))", "a: n; x: n", problems.arrow(6), (X, X + 1)),
    ("sum(x[i, j] * x[i + 1, j]**3 * x[i, j + 1] for i in range(m - 1) for j in range(n - 1))", "x: m n",
     problems.stencil((2, 3), [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)]), (X.reshape(2, 3),)),
], ids=["Rosenbrock", "arrow", "grid"])
def test_a_compressed_hessian_is_the_dense_one_and_symmetric(expression: str, args: str, pattern: Any, values: Any) -> None:
    f = plain(expression, args).by("x")
    compressed = f.hessian.compressed(pattern)
    found = compressed(*values).toarray()
    assert np.allclose(found, np.reshape(f.hessian(*values), found.shape), rtol=1e-13, atol=1e-13)
    assert np.array_equal(found, found.T)
    assert compressed.product is f.hvp.many and compressed.colouring.by == "star"


def test_a_hessian_by_several_arguments_is_one_matrix() -> None:
    f = plain("sum(x[i]**2 * t for i in range(n))", {"x": "n", "t": ""})
    pattern = np.pad(np.eye(6), (0, 1), constant_values=1.0)
    compressed = f.hessian.compressed(pattern)
    expected = np.diag([*(4.0 * np.ones(6)), 0.0])
    expected[6, :6] = expected[:6, 6] = 2 * X
    assert compressed.colouring.number == 2
    assert np.allclose(compressed(X, 2.0).toarray(), expected, rtol=1e-15)


def double_well(x: Any) -> Any:
    y = np.empty_like(x)
    for k in range(len(x)):
        y[k] = x[k] * x[k - 1] ** 2
    return y


def test_an_operation_with_a_vjp_alone_is_compressed_by_rows() -> None:
    step = gradc.operation(double_well, signature="(n)->(n)", vjp=lambda x, c: (
        c * np.roll(x, 1) ** 2 + np.roll(2 * c * x * np.roll(x, 1), -1)))
    f = plain(lambda x: 2 * step(x), "x: n")
    pattern = np.eye(6) + np.roll(np.eye(6), 1, 0)
    compressed = f.jacobian.compressed(pattern)
    assert (compressed.colouring.by, compressed.colouring.number) == ("rows", 2)
    expected = np.diag(2 * np.roll(X, 1) ** 2) + np.roll(np.diag(4 * np.roll(X, -1) * X), 1, 0)
    assert np.allclose(compressed(X).toarray(), expected, rtol=1e-14)
    assert np.allclose(f.jacobian(X), expected, rtol=1e-14)


def test_a_function_without_declarations_is_compressed_when_it_is_called() -> None:
    f = plain(lambda x, k=2.0: k * x * np.roll(x, 1))
    pattern = np.eye(6) + np.roll(np.eye(6), 1, 0)
    by_x = f.by("x").jacobian.compressed(pattern)
    assert np.allclose(by_x(X).toarray(), f.by("x").jacobian(X), rtol=1e-14)
    assert np.allclose(by_x(X, k=3.0).toarray(), f.by("x").jacobian(X, 3.0), rtol=1e-14)
    g = plain(lambda x: np.sum(x[1:] * x[:-1] ** 2))
    assert np.allclose(g.hessian.compressed(band(6, -1, 0, 1))(X).toarray(), g.hessian(X), rtol=1e-14)


def test_single_precision_stays_single() -> None:
    f = plain("x * x[0]", "x: float32 n")
    found = f.jacobian.compressed(problems.arrow(6))(X.astype(np.float32))
    assert found.dtype == np.float32
    assert np.allclose(found.toarray(), np.diag([X[0]] * 6) + np.outer(X, np.eye(6)[0]), rtol=1e-6)


def test_the_pattern_is_shared_and_values_are_new_at_every_call() -> None:
    compressed = plain("x**2", "x: n").jacobian.compressed(np.eye(6))
    first, second = compressed(X), compressed(2 * X)
    assert np.shares_memory(first.indices, second.indices) and not np.shares_memory(first.data, second.data)
    data = np.empty(6)
    assert np.shares_memory(compressed(X, out=data).data, data) and list(data) == list(2 * X)


@pytest.mark.parametrize("check", [False, True])
def test_empty_arguments_have_empty_derivatives(check: bool) -> None:
    f = plain("sum(x**2)", "x: n")
    assert f.hessian.compressed(np.zeros((0, 0)), check=check)(np.empty(0)).shape == (0, 0)
    assert f.grad.jacobian.compressed(np.zeros((0, 0)), check=check)(np.empty(0)).shape == (0, 0)


def test_a_colouring_serves_several_functions() -> None:
    found = gradc.colouring(band(6, -1, 0, 1), symmetric=True, order="natural")
    f, g = plain(ROSENBROCK, "x: n"), plain("sum(x[i]**2 * x[i + 1] for i in range(n - 1))", "x: n")
    assert f.hessian.compressed(found).colouring is found
    assert np.allclose(g.hessian.compressed(found)(X).toarray(), g.hessian(X), rtol=1e-14)
    assert np.allclose(g.grad.jacobian.compressed(found)(X).toarray(), g.hessian(X), rtol=1e-14)


def test_a_compressed_derivative_is_found_again_in_a_pickle() -> None:
    compressed = plain(ROSENBROCK, "x: n").hessian.compressed(band(6, -1, 0, 1), check=False)
    again = pickle.loads(pickle.dumps(compressed))
    assert np.array_equal(again(X).data, compressed(X).data) and again.check is False
    assert repr(again) == "<gradc compressed Hessian of value(x), 3 products by star>"


# -- a pattern that the data contradict --------------------------------------------------------------------


@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 2**32), st.sampled_from(["", "columns", "rows"]))
@settings(max_examples=150, deadline=None)
def test_a_missing_entry_is_found_wherever_it_is(m: int, n: int, seed: int, by: str) -> None:
    random = np.random.default_rng(seed)
    A = np.where(random.random((m, n)) < 0.5, random.uniform(-2, 2, (m, n)), 0.0)
    f = LINEAR
    x = random.uniform(-1, 1, n)
    assert np.allclose(f.jacobian.compressed((A != 0) | (random.random((m, n)) < 0.2), by=by)(A, x).toarray(), A,
                       rtol=1e-14, atol=0)
    entries = np.argwhere(A)
    if len(entries):
        row, column = random.choice(entries)
        pattern = A != 0
        pattern[row, column] = False
        compressed = f.jacobian.compressed(pattern, by=by)
        place = f"row {row}" if compressed.colouring.by == "columns" else f"column {column}"
        with pytest.raises(gradc.PatternError, match=f"{place} of the Jacobian has an entry that the pattern leaves out"):
            compressed(A, x)


LINEAR = plain("A @ x", "A: m n; x: n", wrt="x")


def test_index_data_that_leave_the_pattern_are_found() -> None:
    f = plain(lambda x, index: x * x[index], {"x": "n", "index": "int n"})
    compressed = f.jacobian.compressed(np.eye(6) + np.roll(np.eye(6), 1, 1))
    assert np.allclose(compressed(X, (np.arange(6) + 1) % 6).toarray(), f.jacobian(X, (np.arange(6) + 1) % 6))
    with pytest.raises(gradc.PatternError, match="row 2 of the Jacobian"):
        compressed(X, np.array([1, 2, 4, 4, 5, 0]))


def test_a_missing_pair_of_a_hessian_is_found() -> None:
    f = plain("sum(x[i]**2 * x[n - 1 - i] for i in range(n))", "x: n")
    with pytest.raises(gradc.PatternError, match=r"row \d of the Hessian has an entry"):
        f.hessian.compressed(band(6, -1, 0, 1))(X)


def test_without_the_check_nothing_is_refused() -> None:
    found = LINEAR.jacobian.compressed(np.eye(2), check=False)(np.array([[1.0, 2.0], [0.0, 3.0]]), np.ones(2))
    assert found.toarray().tolist() == [[3.0, 0.0], [0.0, 3.0]]             # columns that are not orthogonal are added


def test_scipy_takes_compressed_jacobians() -> None:
    def broyden(x: Any) -> Any:                                 # Moré, Garbow, Hillstrom (1981), problem 30
        padded = np.pad(x, 1)
        return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1

    f = plain(broyden, {"x": "n"})
    jacobian = f.jacobian.compressed(band(40, -1, 0, 1))
    found = optimize.least_squares(f, -np.ones(40), jac=jacobian, method="trf", tr_solver="lsmr", xtol=1e-15, gtol=1e-14)
    assert np.max(np.abs(f(found.x))) < 1e-10
    step = spsolve(jacobian(found.x).tocsc(), f(found.x))
    assert np.max(np.abs(f(found.x - step))) < 1e-13


def test_what_is_not_finite_contradicts_nothing() -> None:
    f = plain("1 / x", "x: n")
    with np.errstate(all="ignore"):
        found = f.jacobian.compressed(np.eye(3))(np.array([0.0, np.nan, 2.0]))
    assert found.data[0] == -np.inf and np.isnan(found.data[1]) and found.data[2] == -0.25


def test_entries_of_very_different_sizes_are_no_contradiction() -> None:
    scales = 10.0 ** np.arange(-8, 9, 2)
    A = np.outer(scales, 1 / scales) * (np.abs(np.subtract.outer(np.arange(9), np.arange(9))) <= 2)
    for by in ("columns", "rows"):
        assert np.allclose(LINEAR.jacobian.compressed(A, by=by)(A, np.ones(9)).toarray(), A, rtol=1e-14, atol=0)


def test_the_pattern_of_the_structure_compresses() -> None:
    f = plain(lambda x, t: (x[1:] * x[:-1] * t, np.sum(x[::2])), {"x": "n", "t": ""})
    expected = f.jacobian.sparse.stacked
    found = f.jacobian.compressed(expected.pattern(X, 2.0))(X, 2.0)
    assert np.array_equal(found.indices, expected(X, 2.0).indices)
    assert np.allclose(found.data, expected(X, 2.0).data, rtol=1e-15)


# -- sampled patterns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "args", "values", "pattern"), [
    (lambda x: np.cumsum(x), {"x": "6"}, (X,), LOWER),
    (lambda x: np.array([np.sum(x), x[0] * x[5]]), {"x": "6"}, (X,), [[1] * 6, [1, 0, 0, 0, 0, 1]]),
    (lambda A, x: A @ x, {"A": "2 2", "x": "2"}, (np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.0, 1.0])),
     [[1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]]),
    (lambda x, t: (x * t, np.sum(np.sign(x)), np.argmax(x)), {"x": "2", "t": ""}, (X[:2], 2.0),
     [[1, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0]]),
    (lambda x: x[:0], {"x": "n"}, (X,), np.zeros((0, 6))),
    (lambda x: 1 / x, {"x": "n"}, (np.zeros(2),), np.ones((2, 2))),         # the inverse of 0 spreads NaN
    (lambda x: np.concatenate([x, x]), {"x": "70"}, (np.ones(70),), np.tile(np.eye(70), (2, 1))),
])
def test_a_sampled_pattern_is_where_the_derivatives_are(function: Any, args: Any, values: Any, pattern: Any) -> None:
    f = plain(function, args)
    with np.errstate(all="ignore"):
        found = gradc.sampled_pattern(f.jacobian, *values)
    assert found.dtype == bool and np.array_equal(found.toarray(), np.array(pattern, bool))


def test_a_sampled_pattern_of_a_hessian_is_symmetric_and_compresses_it() -> None:
    f = plain(ROSENBROCK, "x: n")
    pattern = gradc.sampled_pattern(f.hessian, x=X)
    assert np.array_equal(pattern.toarray(), band(6, -1, 0, 1).toarray() != 0)
    assert np.allclose(f.hessian.compressed(pattern)(X).toarray(), f.hessian(X), rtol=1e-13)


def test_points_beside_the_given_one_show_what_is_zero_there() -> None:
    f = plain("x**2 * x[0]", "x: n")
    assert gradc.sampled_pattern(f.jacobian, [0.0, 1.0, 0.0], times=1).nnz == 1
    assert gradc.sampled_pattern(f.jacobian, [0.0, 1.0, 0.0]).nnz == 5
    assert gradc.sampled_pattern(f.jacobian, np.zeros(3)).nnz == 5
    with pytest.raises(gradc.ArgumentError, match="times is 0: give a whole number from 1"):
        gradc.sampled_pattern(f.jacobian, np.ones(3), times=0)


def test_an_operation_with_a_vjp_alone_is_sampled_by_rows() -> None:
    step = gradc.operation(double_well, signature="(n)->(n)", vjp=lambda x, c: (
        c * np.roll(x, 1) ** 2 + np.roll(2 * c * x * np.roll(x, 1), -1)))
    found = gradc.sampled_pattern(plain(lambda x: step(x), "x: n").jacobian, X)
    assert np.array_equal(found.toarray(), (np.eye(6) + np.roll(np.eye(6), 1, 0)) > 0)


# -- errors ------------------------------------------------------------------------------------------------


DIAGONAL = LINEAR.jacobian.compressed(sparse.csr_array((0, 0)))


def nested(p: Any) -> Any:
    return p["a"] * p["b"]


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: plain("x**2", "x: n").compressed(np.eye(2)), gradc.DerivativeError,
     "value has no entries to compress: compressed belongs to f.jacobian and f.hessian"),
    (lambda: plain("sum(x)", "x: n").grad.compressed(np.eye(2)), gradc.DerivativeError, "grad has no entries to compress"),
    (lambda: plain(lambda x: x).compressed(np.eye(2)), gradc.DerivativeError, "<lambda> has no entries to compress"),
    (lambda: plain(lambda x: x).jvp.compressed(np.eye(2)), gradc.DerivativeError, "jvp has no entries to compress"),
    (lambda: plain("x**2", "x: n").jacobian.compressed(np.eye(2))(X), gradc.ShapeError,
     r"the pattern has shape \(2, 2\), but the Jacobian has \(6, 6\) here: give a pattern for these sizes"),
    (lambda: plain("sum(x**2)", "x: n").hessian.compressed(np.eye(2))(X), gradc.ShapeError, r"but the Hessian has \(6, 6\)"),
    (lambda: plain("sum(x**2)", "x: n").hessian.compressed(np.eye(2), by="rows"), gradc.ArgumentError,
     "by is 'rows': a Hessian has products from one side only, leave by out"),
    (lambda: plain("sum(x**2)", "x: n").hessian.compressed(gradc.colouring(np.eye(2))), gradc.ArgumentError,
     "the colouring is by columns, and a Hessian takes one made with symmetric=True"),
    (lambda: plain("x**2", "x: n").jacobian.compressed(gradc.colouring(np.eye(2)), order="natural"), gradc.ArgumentError,
     "the colouring is made already: give by and order to gradc.colouring"),
    (lambda: plain("x**2", "x: n").jacobian.compressed(np.eye(2))(), gradc.ArgumentError, "the argument x is missing"),
    (lambda: gradc.sampled_pattern(plain("x**2", "x: n").grad, X), gradc.DerivativeError,
     "the gradient needs one scalar output"),
    (lambda: gradc.sampled_pattern(plain("x**2", "x: n"), X), gradc.DerivativeError,
     "value of type Function has no pattern: give f.jacobian or f.hessian of a function of declared shapes"),
    (lambda: gradc.sampled_pattern(plain(lambda x: x).jacobian, X), gradc.DerivativeError,
     "<lambda> of type Late has no pattern"),
    (lambda: gradc.sampled_pattern(3, X), gradc.DerivativeError, "int of type int has no pattern"),
    (lambda: plain(lambda x: np.sum(DIAGONAL(np.eye(2), x)), "x: 2"), gradc.DerivativeError,
     "a compressed derivative cannot be called in a function that is being traced: call the dense one there"),
    (lambda: plain(nested).jacobian.compressed(np.eye(2))({"a": X, "b": X}), gradc.UnsupportedError,
     r"a function of nested structures has no one matrix of derivatives: compress the derivative of .at\(...\).flat"),
])
def test_what_cannot_be_compressed_is_refused(call: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# -- compiled ----------------------------------------------------------------------------------------------


def test_compiled_functions_and_kernels_work_together() -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (gradc.compiler.colouring, gradc.compiler.compressed):
            patch.setattr(module, "compiled", kernels.compiled)
        f = gradc.compile(ROSENBROCK, "x: n")
        x = np.linspace(-1, 1, 2000)
        compressed = f.hessian.compressed(band(2000, -1, 0, 1))
        diagonal = np.r_[0.0, 200.0 * np.ones(1999)] + np.r_[1200 * x[:-1] ** 2 - 400 * x[1:] + 2, 0.0]
        assert compressed.colouring.number == 3
        assert np.allclose(compressed(x).diagonal(), diagonal, rtol=1e-12)
        assert np.allclose(compressed(x).diagonal(1), -400 * x[:-1], rtol=1e-12)
        with pytest.raises(gradc.PatternError):
            f.hessian.compressed(band(2000, 0))(x)
        single = gradc.compile("x * x[0]", "x: float32 n").jacobian.compressed(problems.arrow(9), by="rows")
        assert np.allclose(single(np.ones(9, np.float32)).toarray(), np.eye(9) + np.outer(np.ones(9), np.eye(9)[0]))
        with pytest.raises(gradc.PatternError):
            gradc.compile("x * x[0]", "x: float32 n").jacobian.compressed(np.eye(9))(np.ones(9, np.float32))
