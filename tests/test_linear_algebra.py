"""Linear algebra and sorting: NumPy's values, and first and second derivatives against differences of NumPy's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import gradc
from gradc.codegen import routines
from gradc.compiler.arrays import Arrays
from gradc.compiler.compiled import Options
from gradc.compiler.function import Function
from gradc.compiler.linear_algebra import LinearAlgebra
from gradc.compiler.passes import prepare
from gradc.compiler.routine_formulas import FORMULAS
from gradc.compiler.simplify import fold
from gradc.ir.dims import Dim
from gradc.ir.graph import Graph, copy_graph, whole_axes
from gradc.ir.interpret import evaluate
from gradc.ir.interpret_routines import MEANINGS
from gradc.ir.text import from_text

from .comparison import close

RANDOM = np.random.default_rng(11)


def definite(n: int, *batch: int) -> Any:
    """A symmetric positive definite matrix, or several."""
    a = RANDOM.standard_normal((*batch, n, n))
    return a @ np.swapaxes(a, -1, -2) + n * np.eye(n)


def regular(n: int, *batch: int) -> Any:
    """A matrix with an inverse, or several."""
    return RANDOM.standard_normal((*batch, n, n)) + 3 * np.eye(n)


def weighted(x: Any) -> Any:
    """A scalar that depends on each element in its own way."""
    x = np.ravel(x)
    return np.sum(x * np.sin(np.arange(x.shape[0]) + 1.0))


S, A, b, B, TALL, WIDE = definite(4), regular(4), RANDOM.standard_normal(4), RANDOM.standard_normal((4, 3)), \
    RANDOM.standard_normal((5, 3)), RANDOM.standard_normal((3, 5))
CASES: dict[str, tuple[Callable[..., Any], Sequence[Any]]] = {
    "solve a vector": (lambda a, b: np.linalg.solve(a, b), (A, b)),
    "solve a matrix": (lambda a, b: np.linalg.solve(a, b), (A, B)),
    "solve, the same matrix for a batch": (lambda a, b: np.linalg.solve(a, b), (A, RANDOM.standard_normal((2, 4, 3)))),
    "solve, a batch": (lambda a, b: np.linalg.solve(a, b), (regular(3, 2), RANDOM.standard_normal((2, 3, 2)))),
    "solve, one vector for a batch": (lambda a, b: np.linalg.solve(a, b), (regular(4, 2), b)),
    "solve, vectors in a loop": (lambda a, b: sum(np.linalg.solve(a[k], b[k]) for k in range(2)), (
        regular(3, 2), RANDOM.standard_normal((2, 3)))),
    "scipy solve": (lambda a, b: scipy.linalg.solve(a, b, transposed=True), (A, b)),
    "scipy solve, the upper triangle": (lambda a, b: scipy.linalg.solve(a, b, assume_a="pos"), (S + np.tril(A, -1), b)),
    "scipy solve, the lower triangle": (lambda a, b: scipy.linalg.solve(a, b, lower=True, assume_a="sym"), (A, B)),
    "inv": (lambda a: np.linalg.inv(a), (A,)),
    "inv, a batch of batches": (lambda a: np.linalg.inv(a), (regular(2, 2, 2),)),
    "det": (lambda a: np.linalg.det(a), (A,)),
    "det, a batch": (lambda a: np.linalg.det(a), (regular(3, 2),)),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], (A,)),
    "sign and logabsdet": (lambda a: np.linalg.slogdet(a).sign * np.linalg.slogdet(a).logabsdet, (-A,)),
    "cholesky": (lambda a: np.linalg.cholesky(a), (S,)),
    "cholesky of the upper triangle": (lambda a: np.linalg.cholesky(a, upper=True), (S,)),
    "scipy cholesky": (lambda a: scipy.linalg.cholesky(a), (S,)),
    "cholesky, a batch": (lambda a: np.linalg.cholesky(a), (definite(3, 2),)),
    "lower triangular": (lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), (A, b)),
    "lower triangular, transposed": (lambda a, b: scipy.linalg.solve_triangular(a, b, trans="T", lower=True), (A, B)),
    "upper triangular": (lambda a, b: scipy.linalg.solve_triangular(a, b), (A, B)),
    "upper triangular, transposed": (lambda a, b: scipy.linalg.solve_triangular(a, b, trans=1), (A, b)),
    "unit diagonal": (lambda a, b: scipy.linalg.solve_triangular(a, b, unit_diagonal=True), (A, b)),
    "cho_solve": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(a), b), (S, b)),
    "cho_solve, lower": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(a, lower=True), b), (S, B)),
    "solve with a Cholesky factor": (lambda a, b: np.linalg.solve(np.linalg.cholesky(a).T, b), (S, b)),
    "matrix_power": (lambda a: np.linalg.matrix_power(a, 5), (A,)),
    "matrix_power of the inverse": (lambda a: np.linalg.matrix_power(a, -2), (A,)),
    "matrix_power 0": (lambda a: np.linalg.matrix_power(a, 0) + a, (A,)),
    "multi_dot": (lambda a, b: np.linalg.multi_dot([a, b, b.T]), (A, B)),
    "eigvalsh": (lambda a: np.linalg.eigvalsh(a), (S,)),
    "eigh": (lambda a: np.linalg.eigh(a)[0] + np.linalg.eigh(a).eigenvectors ** 2, (S,)),
    "eigh of the upper triangle": (lambda a: np.linalg.eigh(a, UPLO="U")[1] ** 2, (S,)),
    "eigh, a batch": (lambda a: np.linalg.eigh(a)[1] ** 2, (definite(3, 2),)),
    "scipy eigh": (lambda a: scipy.linalg.eigh(a)[1] ** 2 + scipy.linalg.eigvalsh(a, lower=False), (S,)),
    "orthonormal columns": (lambda a: np.linalg.qr(a)[0], (TALL,)),
    "triangle": (lambda a: np.linalg.qr(a, mode="r"), (TALL,)),
    "both factors": (lambda a: np.linalg.qr(a).Q @ np.sin(np.linalg.qr(a).R), (TALL,)),
    "factors, square": (lambda a: np.linalg.qr(a)[0] + np.linalg.qr(a)[1] ** 2, (A,)),
    "factors, a batch": (lambda a: np.linalg.qr(a)[0] @ np.linalg.qr(a)[1] ** 2, (RANDOM.standard_normal((2, 4, 3)),)),
    "factors, SciPy's": (lambda a: scipy.linalg.qr(a, mode="economic")[0] + scipy.linalg.qr(a, mode="r")[0][0], (TALL,)),
    "singular values, tall": (lambda a: np.linalg.svd(a, compute_uv=False), (TALL,)),
    "singular values, wide": (lambda a: np.linalg.svdvals(a), (WIDE,)),
    "left vectors": (lambda a: np.linalg.svd(a, full_matrices=False)[0] ** 2, (TALL,)),
    "right vectors": (lambda a: np.linalg.svd(a, full_matrices=False).Vh ** 2, (TALL,)),
    "left vectors, wide": (lambda a: np.linalg.svd(a, full_matrices=False).U ** 2, (WIDE,)),
    "right vectors, wide": (lambda a: np.linalg.svd(a, full_matrices=False)[2] ** 2, (WIDE,)),
    "pinv, tall": (lambda a: np.linalg.pinv(a), (TALL,)),
    "pinv, wide": (lambda a: scipy.linalg.pinv(a), (WIDE,)),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], (TALL, RANDOM.standard_normal(5))),
    "residuals": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[1], (TALL, RANDOM.standard_normal((5, 2)))),
    "norm 2": (lambda a: np.linalg.norm(a, 2), (TALL,)),
    "norm -2": (lambda a: np.linalg.norm(a, -2, keepdims=True), (A,)),
    "nuclear norm": (lambda a: np.linalg.norm(a, "nuc", axis=(0, 2)), (RANDOM.standard_normal((3, 2, 4)),)),
    "cond": (lambda a: np.linalg.cond(a), (A,)),
    "cond, largest sums": (lambda a: np.linalg.cond(a, "fro"), (A,)),
    "sort": (lambda x: np.sort(x), (b,)),
    "sort, first axis": (lambda x: np.sort(x, axis=0), (B,)),
    "sort, flat": (lambda x: np.sort(x, axis=None), (B,)),
    "argsort": (lambda x: x[np.argsort(x)], (b,)),
    "argsort, method": (lambda x: np.take_along_axis(x, x.argsort(axis=0), 0), (B,)),
    "median, even": (lambda x: np.median(x), (b,)),
    "median, odd": (lambda x: np.median(x, axis=1), (B,)),
    "median of all": (lambda x: np.median(x, keepdims=True), (B,)),
    "quantile": (lambda x: np.quantile(x, 0.3), (b,)),
    "quantiles": (lambda x: np.quantile(x, [0.1, 0.5, 0.75], axis=1, keepdims=True), (B,)),
    "percentiles": (lambda x: np.percentile(x, np.array([[0, 25], [60, 100]])), (b,)),
    "no quantiles": (lambda x: np.quantile(x, [], axis=0), (B,)),
    "percentile": (lambda x: np.percentile(x, 80, axis=0), (B,)),
}


def curvature(f: Function) -> Function:
    """The Function whose gradient is the Hessian times a direction: the sum of the gradient times `to_...`."""
    graph = copy_graph(f.grad.graph, fold=fold)
    total = None
    for (_, node), name in zip(list(graph.outputs), f.wrt, strict=True):
        axes = whole_axes(node.shape)
        to = graph.input(f"to_{name}", "float64", node.shape)
        term = graph.read(node, [graph.axis(a) for a in axes]) * graph.read(to, [graph.axis(a) for a in axes])
        for axis in axes:
            term = graph.reduce("sum", axis, term)
        total = term if total is None else total + term
    assert total is not None
    graph.outputs = [("value", total)]
    return Function(graph, f.wrt, Options(jit=False))


def bundle(result: Any, count: int) -> tuple[Any, ...]:
    """The gradient as a tuple, also by one argument."""
    return tuple(result) if count > 1 else (result,)


def moved(args: Sequence[Any], direction: Sequence[Any], step: float) -> list[Any]:
    """The arguments a step further."""
    return [x + step * d for x, d in zip(args, direction, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_numpy_and_two_derivatives_are_right(name: str) -> None:
    function, args = CASES[name]
    count = len(args)
    close(gradc.compile(function, jit=False)(*args), function(*args))

    def scalar(*values: Any) -> Any:
        return weighted(function(*values))

    names = ("a",) if count == 1 else ("a", "b")
    one, two = (lambda a: scalar(a)), (lambda a, b: scalar(a, b))
    f = gradc.compile(one if count == 1 else two, jit=False).at(*args)
    close(evaluate(f.graph, dict(zip(names, args, strict=True)))[0], scalar(*args))
    gradient = bundle(f.grad(*args), count)
    for found, wanted in zip(gradient, evaluate(f.grad.graph, dict(zip(names, args, strict=True))), strict=True):
        close(found, wanted, 1e-8)
    direction = [RANDOM.standard_normal(np.shape(x)) for x in args]
    h = 1e-3
    slope = sum(weight * scalar(*moved(args, direction, k * h)) for k, weight in (
        (1, 45), (-1, -45), (2, -9), (-2, 9), (3, 1), (-3, -1))) / (60 * h)
    close(sum(float(np.sum(g * d)) for g, d in zip(gradient, direction, strict=True)), slope, 1e-6)
    second = bundle(curvature(f).grad(*args, *direction), count)
    for position, found in enumerate(second):
        wanted = sum(weight * bundle(f.grad(*moved(args, direction, k * h)), count)[position] for k, weight in (
            (1, 45), (-1, -45), (2, -9), (-2, 9), (3, 1), (-3, -1))) / (60 * h)
        close(found, wanted, 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_public_checker_passes_both_orders(name: str) -> None:
    function, args = CASES[name]
    assert gradc.check_gradients(gradc.compile(function, jit=False).at(*args), *args, order=2).ok


COMPILED = ("both factors", "factors, a batch", "solve a matrix", "solve, a batch", "cholesky", "lower triangular, transposed", "upper triangular",
            "det", "sign and logabsdet", "eigh, a batch", "right vectors", "pinv, tall", "sort, first axis", "inv",
            "upper triangular, transposed", "cho_solve, lower", "median of all")


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_code_agrees_with_the_plain_text(name: str) -> None:
    function, args = CASES[name]

    def scalar(*values: Any) -> Any:
        return weighted(function(*values))

    one, two = (lambda a: scalar(a)), (lambda a, b: scalar(a, b))
    chosen = one if len(args) == 1 else two
    plain, compiled = (gradc.compile(chosen, jit=jit).value_and_grad for jit in (False, True))
    value, gradient = plain(*args)
    again, same = compiled(*args)
    close(again, value)
    for found, wanted in zip(bundle(same, len(args)), bundle(gradient, len(args)), strict=True):
        close(found, wanted, 1e-8)


def test_one_compilation_serves_every_size_and_float32_stays() -> None:
    f = gradc.compile(lambda a, b: np.sum(np.linalg.solve(a, b)), {"a": "n n", "b": "n m"}, jit=False)
    for n, m in ((1, 1), (3, 2), (6, 1), (2, 0)):
        a, right = regular(n), RANDOM.standard_normal((n, m))
        close(f(a, right), np.sum(np.linalg.solve(a, right)))
        close(f.grad(a, right).b, np.linalg.solve(a.T, np.ones((n, m))))
    low = gradc.compile(lambda a: np.sum(np.linalg.inv(a)), {"a": "float32 n n"}, jit=False)
    found = low.grad(A.astype(np.float32))
    assert found.dtype == np.float32
    power = gradc.compile(lambda a: np.linalg.matrix_power(a, 0), {"a": "float32 n n"}, jit=False)
    assert power(A.astype(np.float32)).dtype == np.float32
    close(found, gradc.compile(lambda a: np.sum(np.linalg.inv(a)), {"a": "n n"}, jit=False).grad(A), 1e-5)
    several = gradc.compile(lambda a: np.linalg.det(a) + np.sum(np.linalg.inv(a)), {"a": "float32 n n"})
    assert several.grad(A.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("n", [0, 1, 32, 33, 70])
def test_what_a_cholesky_factor_passes_back_block_by_block_is_that_of_the_formula(n: int) -> None:
    rng = np.random.default_rng(n)
    square = rng.standard_normal((n, n))
    factor, cotangent = np.linalg.cholesky(square @ square.T + n * np.eye(n)), rng.standard_normal((n, n))
    (expected,) = MEANINGS["cholesky_pullback"](factor, cotangent)
    for garbage in (0.0, 1.0):                                  # above the diagonal nothing is read
        close(routines.cholesky_pullback(factor + np.triu(np.full((n, n), garbage), 1), cotangent), expected)


@pytest.mark.parametrize("n", [0, 1, 32, 33, 70])
def test_tangents_of_a_cholesky_factor_block_by_block_are_those_of_the_formula(n: int) -> None:
    rng = np.random.default_rng(n)
    square, tangent, turn, move = rng.standard_normal((4, n, n))
    factor = np.linalg.cholesky(square @ square.T + n * np.eye(n))
    (passed,) = MEANINGS["cholesky_pullback"](factor, square)
    upper = np.triu(np.ones((n, n)), 1)
    for garbage in (0.0 * upper, upper):                        # above the diagonal nothing is read
        close(routines.cholesky_pushforward(factor + garbage, tangent + garbage),
              MEANINGS["cholesky_pushforward"](factor, tangent)[0])
        close(routines.cholesky_pullback_pushforward(factor + garbage, passed + garbage, turn + garbage, move),
              MEANINGS["cholesky_pullback_pushforward"](factor, passed, turn, move)[0])


@pytest.mark.parametrize("routine", ["cholesky_pushforward", "cholesky_pullback_pushforward"])
def test_the_formula_of_a_routine_says_what_the_routine_computes(routine: str) -> None:
    operands = RANDOM.standard_normal((2 if routine == "cholesky_pushforward" else 4, 5, 5))
    operands[0] += 5.0 * np.eye(5)
    graph = Graph()
    algebra = LinearAlgebra(Arrays(graph))
    given = {f"x{k}": operand for k, operand in enumerate(operands)}
    arrays = [algebra.whole(graph.input(name, "float64", (Dim.of(5), Dim.of(5)))) for name in given]
    graph.outputs = [("result", algebra.stored(FORMULAS[routine](algebra, *arrays)))]
    close(evaluate(graph, given)[0], MEANINGS[routine](*operands)[0])


@pytest.mark.parametrize("shape", ["n n", "k n n"])
def test_a_cholesky_factor_has_derivatives_of_third_order_in_every_mixture_of_modes(shape: str) -> None:
    a = definite(3, 2) if shape == "k n n" else S
    f = gradc.compile(lambda a: np.sum(np.tanh(np.linalg.cholesky(a))), {"a": shape}, jit=False)
    one, two = RANDOM.standard_normal((2, *a.shape))
    zero = np.zeros_like(a)

    def difference(function: Any, *more: Any) -> Any:
        h = 1e-3
        return sum(weight * np.asarray(function(a + k * h * two, *more)) for k, weight in (
            (1, 45), (-1, -45), (2, -9), (-2, 9), (3, 1), (-3, -1))) / (60 * h)

    close(f.jvp.jvp(a, one, two), difference(f.jvp, one), 1e-7)
    close(np.sum(two * f.jvp.grad(a, one)), difference(f.jvp, one), 1e-7)
    third = difference(f.hvp, one)
    along, by, cotangent = f.hvp.jvp, f.hvp.vjp, RANDOM.standard_normal(a.shape)
    close(along(a, one, *([two, zero] if len(along.args) == 4 else [two])), third, 1e-6)
    found = by(a, one, cotangent)
    close(np.sum(two * (found if isinstance(found, np.ndarray) else found[0])), np.sum(cotangent * third), 1e-6)


def test_compiled_code_takes_empty_matrices_as_numpy_does() -> None:
    f = gradc.compile(lambda a: np.linalg.det(a) + np.sum(np.linalg.svd(a, compute_uv=False)), {"a": "n n"})
    assert f(np.empty((0, 0))) == 1.0
    assert f.grad(np.empty((0, 0))).shape == (0, 0)


def test_a_determinant_has_a_gradient_where_there_is_no_inverse() -> None:
    singular = A.copy()
    singular[3] = singular[0]
    for size in (3, 4):
        part = singular[4 - size:, 4 - size:] if size == 4 else np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]])
        cofactors = np.array([[(-1.0) ** (i + j) * np.linalg.det(np.delete(np.delete(part, i, 0), j, 1))
                               for j in range(size)] for i in range(size)])
        for shape in (f"{size} {size}", "n n"):
            close(gradc.compile(lambda a: np.linalg.det(a), {"a": shape}, jit=False).grad(part), cofactors)


def test_what_lapack_refuses_is_a_domain_error() -> None:
    f = gradc.compile(lambda a: np.linalg.inv(a), {"a": "n n"}, jit=False)
    with pytest.raises(gradc.DomainError, match="[Ss]ingular"):
        f(np.zeros((2, 2)))
    g = gradc.compile(lambda a: np.sum(np.linalg.cholesky(a)), {"a": "n n"})
    with pytest.raises(gradc.DomainError, match="not positive definite"):
        g(-np.eye(2))
    with pytest.raises(gradc.DomainError, match="cholesky: Matrix is not positive definite"):
        evaluate(g.graph, {"a": -np.eye(2)})
    for call in (lambda: f(np.zeros((2, 2))), lambda: g(-np.eye(2)), lambda: evaluate(g.graph, {"a": -np.eye(2)})):
        with pytest.raises(np.linalg.LinAlgError):              # what a program that used NumPy catches
            call()


BAD = {"NaN": np.array([[np.nan, 1.0, 0.5], [2.0, 3.0, 1.0], [np.nan, 1.0, 1.0]]),
       "infinite": np.array([[np.inf, 0.0, 1.0], [1.0, -2.0, 0.0], [0.0, 1.0, 1.0]]),
       "NaN, and no inverse": np.array([[0.0, np.nan, 1.0], [0.0, 1.0, 2.0], [0.0, 2.0, 3.0]])}


@pytest.mark.parametrize("kind", list(BAD))
@pytest.mark.parametrize("name", ["solve", "inv", "det", "slogdet"])
def test_infinite_elements_and_nan_pass_through_routines_as_in_numpy(name: str, kind: str) -> None:
    routine = getattr(np.linalg, name)
    matrix, right = BAD[kind], np.array([[1.0, np.nan], [2.0, 1.0], [3.0, 1.0]])

    def function(a: Any, b: Any) -> Any:
        return routine(a, b) if name == "solve" else routine(a) if name != "slogdet" else routine(a)[1]

    for compiled in (True, False):
        f = gradc.compile(function, {"a": "n n", "b": "n m"}, jit=compiled)
        for a in (matrix, np.eye(3)):
            try:
                with np.errstate(all="ignore"):
                    wanted = function(a, right)
            except np.linalg.LinAlgError:
                with pytest.raises(gradc.DomainError, match="Singular matrix"):
                    f(a, right)
                continue
            np.testing.assert_allclose(f(a, right), wanted)
            np.testing.assert_allclose(evaluate(f.graph, {"a": a, "b": right})[0], wanted)


@pytest.mark.parametrize("jit", [False, True])
def test_factors_of_what_is_not_finite_are_nan_or_refused(jit: bool) -> None:
    wide = BAD["NaN"][:2]
    factors = gradc.compile(lambda a: np.linalg.qr(a), {"a": "n m"}, jit=jit)
    assert np.isnan(factors(wide).Q).all() and np.isnan(factors(wide).R[np.triu_indices(2)]).all()
    for found, wanted in zip(evaluate(factors.graph, {"a": wide}), factors(wide), strict=True):
        np.testing.assert_array_equal(found, wanted)
    for function, what in ((lambda a: np.linalg.eigvalsh(a), "Eigenvalues"), (lambda a: np.linalg.pinv(a), "SVD"),
                           (lambda a: np.linalg.svd(a, compute_uv=False), "SVD")):
        f = gradc.compile(function, {"a": "n n"}, jit=jit)
        message = f"{what} did not converge: an element is infinite or NaN"
        with pytest.raises(gradc.DomainError, match=message):
            f(BAD["infinite"])
        with pytest.raises(gradc.DomainError, match=message):
            evaluate(f.graph, {"a": BAD["infinite"]})
    upper = np.eye(3) + np.triu(np.full((3, 3), np.nan), 1)             # is not read
    close(gradc.compile(lambda a: np.linalg.eigvalsh(a), {"a": "n n"}, jit=jit)(upper), np.ones(3))


@pytest.mark.parametrize("jit", [False, True])
def test_a_logarithm_of_a_determinant_in_an_untaken_branch_has_no_part_in_the_gradient(jit: bool) -> None:
    def guarded(a: Any) -> Any:
        sign, size = np.linalg.slogdet(a)
        return np.where(sign > 0, size, -9.0) + np.sum(a)

    f = gradc.compile(guarded, {"a": "n n"}, jit=jit)
    assert f(np.zeros((2, 2))) == -9.0
    close(f.grad(np.zeros((2, 2))), np.ones((2, 2)))
    close(f.grad(np.diag([2.0, 4.0])), np.array([[1.5, 1.0], [1.0, 1.25]]))
    assert np.isnan(gradc.compile(lambda a: np.linalg.det(a), {"a": "n n"}, jit=jit).grad(BAD["NaN"])).all()


def test_vectors_of_equal_eigenvalues_have_no_derivative_and_the_values_have() -> None:
    vectors = gradc.compile(lambda a: np.sum(np.linalg.eigh(a)[1]), {"a": "n n"}, jit=False)
    with pytest.raises(gradc.DomainError, match="two eigenvalues are equal, and their eigenvectors have no derivative"):
        vectors.grad(np.eye(3))
    values = gradc.compile(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2), {"a": "n n"}, jit=False)
    close(values.grad(2 * np.eye(3)), 4 * np.eye(3))
    left = gradc.compile(lambda a: np.sum(np.linalg.svd(a, full_matrices=False)[0]), {"a": "n n"}, jit=False)
    with pytest.raises(gradc.DomainError, match="two singular values are equal"):
        left.grad(np.eye(3))


@pytest.mark.parametrize("p", [None, -2, 1, "fro"])
@pytest.mark.parametrize("jit", [False, True])
def test_the_condition_of_a_singular_matrix_is_infinite_as_in_numpy(p: Any, jit: bool) -> None:
    f = gradc.compile(lambda a: np.linalg.cond(a, p), {"a": "b n n"}, jit=jit)
    matrices = np.array([np.diag([1.0, 0.0, 2.0]), np.zeros((3, 3)), A[:3, :3]])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(f(matrices), np.linalg.cond(matrices, p), rtol=1e-9)
    np.testing.assert_allclose(evaluate(f.graph, {"a": matrices})[0], f(matrices), rtol=1e-9)


@pytest.mark.parametrize("jit", [False, True])
def test_operands_of_both_precisions_are_solved_in_double_precision(jit: bool) -> None:
    for one, other in (("float32", "float64"), ("float64", "float32")):
        f = gradc.compile(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2), {"a": f"{one} n n", "b": f"{other} n"}, jit=jit)
        matrix, right = A.astype(one), b.astype(other)
        value, slopes = f.value_and_grad(matrix, right)
        close(value, np.sum(np.linalg.solve(matrix, right) ** 2))
        close(evaluate(f.graph, {"a": matrix, "b": right})[0], value)
        assert (slopes.a.dtype, slopes.b.dtype) == (one, other)
        solved = np.linalg.solve(np.asarray(matrix, float), right)
        close(slopes.b, 2 * np.linalg.solve(np.asarray(matrix, float).T, solved), 1e-6)
    gradc.compile("sum(sum(solve(A, i*x)) for i in range(3))", {"A": "n n", "x": "float32 n"}, jit=jit)


def test_factors_without_a_derivative_are_refused_when_called() -> None:
    f = gradc.compile(lambda a: np.sum(np.linalg.qr(a).Q), {"a": "m n"}, jit=False)
    dependent = TALL.copy()
    dependent[:, 2] = 2 * dependent[:, 0]
    with pytest.raises(gradc.DomainError, match="columns of a matrix depend on each other, and its factors Q and R"):
        f.grad(dependent)
    with pytest.raises(gradc.DomainError, match="more columns than rows has factors Q and R without a derivative"):
        f.grad(WIDE)
    close(f(WIDE), np.sum(np.linalg.qr(WIDE).Q))
    wide = gradc.compile(lambda a: np.linalg.qr(a).Q @ np.linalg.qr(a).R ** 2, {"a": "3 5"}, jit=False)
    close(wide(WIDE), np.linalg.qr(WIDE).Q @ np.linalg.qr(WIDE).R ** 2)
    assert gradc.check_gradients(wide, WIDE, order=2).ok
    complete = gradc.compile(lambda a: scipy.linalg.qr(a)[0] + np.linalg.qr(a, "complete").R, {"a": "n n"}, jit=False)
    close(complete(A), sum(scipy.linalg.qr(A)))
    assert gradc.check_gradients(complete, A, order=2).ok
    assert f.grad(np.zeros((3, 0))).shape == (3, 0)
    assert gradc.compile(lambda a: np.sum(np.linalg.qr(a).R), {"a": "m n"}).grad(np.zeros((0, 0))).shape == (0, 0)


REFUSED: list[tuple[Callable[..., Any], dict[str, str], str]] = [
    (lambda a: np.linalg.inv(a), {"a": "2 3"}, "cannot be equal"),
    (lambda a: np.linalg.inv(a), {"a": "n"}, "inv takes a matrix, not an array of 1 dimensions"),
    (lambda a: np.linalg.inv(a), {"a": "n 1"}, "inv takes a square matrix, not one of n times 1"),
    (lambda a: np.linalg.svdvals(a), {"a": "n"}, "svd takes a matrix"),
    (lambda x: np.sort(x), {"x": ""}, "there is no axis -1"),
    (lambda a, b: np.linalg.solve(a, b), {"a": "n n", "b": ""}, "the right-hand side is a number"),
    (lambda a, b: np.linalg.solve(a, b), {"a": "n n", "b": "1 n"}, "the dimensions n and 1 cannot be equal"),
    (lambda a: np.linalg.qr(a, "complete"), {"a": "m n"}, "np.linalg.qr with mode='complete' is not known: it completes"),
    (lambda a: np.linalg.qr(a, "raw"), {"a": "m n"}, "np.linalg.qr with mode='raw' is not known"),
    (lambda a: np.linalg.qr(a), {"a": "n"}, "qr takes a matrix, not an array of 1 dimensions"),
    (lambda a: np.linalg.eigvals(a), {"a": "n n"}, "np.linalg.eigvals is not known on traced arrays"),
    (lambda a: np.linalg.eig(a)[1], {"a": "n n"}, "np.linalg.eig is not known on traced arrays"),
    (lambda a: np.linalg.svd(a), {"a": "m n"}, "full_matrices=True"),
    (lambda a, b: np.linalg.lstsq(a, b, rcond=0.5)[0], {"a": "m n", "b": "m"}, "lstsq with rcond=0.5 is not known"),
    (lambda a: np.linalg.eigh(a, UPLO="X"), {"a": "n n"}, "UPLO='X'"),
    (lambda a: np.linalg.matrix_power(a, 0.5), {"a": "n n"}, "no whole number"),
    (lambda a, b: scipy.linalg.solve(a, b, assume_a="banded"), {"a": "n n", "b": "n"}, "assume_a='banded'"),
    (lambda a, b: scipy.linalg.solve_triangular(a, b, trans=3), {"a": "n n", "b": "n"}, "trans=3"),
    (lambda x: np.quantile(x, [0.1, x[0]]), {"x": "n"}, "np.quantile is known for literals q from 0 to 1"),
    (lambda x: np.percentile(x, [50, 120]), {"x": "n"}, "np.quantile is known for literals q from 0 to 1"),
    (lambda x: np.percentile(x, 10, method="lower"), {"x": "n"}, "and the linear method"),
]


@pytest.mark.parametrize(("function", "args", "message"), REFUSED)
def test_what_has_no_meaning_is_refused_with_the_line(
        function: Callable[..., Any], args: dict[str, str], message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(function, args)
    assert message in str(caught.value)
    assert "(line " in str(caught.value)


def test_a_call_travels_as_text_and_has_no_value_in_high_precision() -> None:
    import mpmath

    f = gradc.compile(lambda a: np.sum(np.linalg.svdvals(a)), {"a": "m n"}, jit=False)
    for graph in (f.graph, prepare(f.grad.graph)):
        again = from_text(str(graph))
        assert str(again) == str(graph)
        close(evaluate(again, {"a": TALL})[0], evaluate(graph, {"a": TALL})[0])
    with pytest.raises(gradc.UnsupportedError, match="the routine svd has no value in high precision"):
        evaluate(f.graph, {"a": TALL}, exact=mpmath.mp)


@pytest.mark.parametrize(("line", "message"), [
    ("call lu result 0 over 0 of %0", "lu is no routine"),
    ("call inv result 1 over 0 of %0", "inv has 1 operands and 1 results"),
    ("call inv result 0 over 1 of %0", "an operand of inv has 2 dimensions"),
])
def test_a_damaged_call_in_a_text_is_refused(line: str, message: str) -> None:
    text = f'gradc graph 1\n%0: float64 = input "a" [n, n]\n%1: float64 = {line}\noutput "value" %1\n'
    with pytest.raises(gradc.GraphError, match=message):
        from_text(text)


def test_the_verifier_looks_at_calls() -> None:
    graph = Graph()
    a, k = graph.input("a", "float64", ("n", "n")), graph.input("k", "int64", ("n", "n"))
    node = graph.call("inv", [a])
    graph.outputs = [("value", node)]
    prepare(graph)
    for attr, args, message in (
            (node.attr._replace(routine="lu"), (a,), "it names no routine"),
            (node.attr._replace(result=2), (a,), "inv has no result 2"),
            (node.attr, (a, a), "it takes 1 operands"),
            (node.attr._replace(batch=1), (a,), "is no array of 1 dimensions and those of inv"),
            (node.attr, (k,), "is int64, not real"),
            (node.attr._replace(shape=a.shape[:1]), (a,), "its shape is not that of a result of inv")):
        node.attr, node.args = attr, args
        with pytest.raises(gradc.GraphError, match=message):
            prepare(graph)
        node.attr, node.args = graph.call("inv", [graph.inputs["a"]]).attr, (a,)


@pytest.mark.parametrize(("shape", "order"), [
    ("n", np.inf), ("n m", 1), ("n m", np.inf)], ids=["largest element", "largest column", "largest row"])
def test_the_norm_of_nothing_is_0_as_in_numpy(shape: str, order: float) -> None:
    f = gradc.compile(lambda x: np.linalg.norm(x, order), {"x": shape}, jit=False)
    assert "raise ValueError('max over" not in f.value_and_grad.source
    for n, m in ((0, 3), (3, 0), (0, 0), (2, 3)):
        x = RANDOM.standard_normal((n, m)[:len(shape.split())])
        assert f(x) == pytest.approx(np.linalg.norm(x, order))
        assert f.grad(x).shape == x.shape
    x = RANDOM.standard_normal((4, 3)[:len(shape.split())])
    gradc.check_gradients(f, x, order=1)


@pytest.mark.parametrize(("name", "lower", "transposed"), [
    ("solve_lower", True, False), ("solve_lower_transposed", True, True),
    ("solve_upper", False, False), ("solve_upper_transposed", False, True)])
@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 70])
def test_triangular_systems_of_more_than_one_block_of_rows_are_solved(
        name: str, lower: bool, transposed: bool, n: int) -> None:
    matrix = 0.1 * RANDOM.standard_normal((n, n)) + 2.0 * np.eye(n)
    wide = RANDOM.standard_normal((n, 3))
    for right in (wide[:, 0], wide, np.asfortranarray(wide), wide.T.copy().T[::-1]):
        found = getattr(routines, name)(matrix, right)
        assert found.shape == right.shape
        if n:
            close(found, scipy.linalg.solve_triangular(matrix, right, lower=lower, trans=int(transposed)))


def test_saved_files_carry_their_routines(tmp_path: Any) -> None:
    f = gradc.compile(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2), {"a": "n n", "b": "n"}, jit=False)
    f.value_and_grad.save(tmp_path / "solved.py")
    space: dict[str, Any] = {"__name__": "solved"}
    exec((tmp_path / "solved.py").read_text(), space)  # the file that was just written
    value, gradient = space["value_and_grad"](A, b)
    close(value, f(A, b))
    close(gradient.a, f.grad(A, b).a)


def test_keywords_that_only_say_how_scipy_works_are_passed_over() -> None:
    f = gradc.compile(lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True, check_finite=False, overwrite_b=True),
                      {"a": "n n", "b": "n"}, jit=False)
    close(f(A, b), scipy.linalg.solve_triangular(A, b, lower=True))


def test_a_matrix_that_is_put_together_and_solved_with_for_many_right_sides_is_written_whole() -> None:
    """Second derivatives hold it for every direction: stretched, in loops that are cut into tiles."""
    def f(A: Any, b: Any, k: Any) -> Any:
        M = np.zeros(A.shape)
        M[k[:, None], k] = A
        return np.sum(np.sin(np.linalg.solve(M, b)))

    hessian = gradc.compile(f, {"A": "n n", "b": "n", "k": "int n"}, jit=False, wrt="A").hessian
    args = {"A": np.diag([3.0, 4.0, 5.0]) + 0.1 * np.arange(9.0).reshape(3, 3), "b": np.array([1.0, -2.0, 0.5]),
            "k": np.array([2, 0, 1])}
    assert np.array_equal(hessian(**args), evaluate(hessian.graph, args)[0])
