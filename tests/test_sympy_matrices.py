"""SymPy's matrices and arrays of symbolic sizes: values, first and second derivatives against 50 digits.

The reference of a row is NumPy's own arithmetic on arrays of mpmath numbers, its derivatives are differences of
it with a step of 1e-12 at 50 digits: nothing of gradc is shared with them, nor of SymPy's matrix calculus.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from sympy import MatrixSymbol, Rational, Sum, Symbol, Trace, symbols
from sympy.matrices import expressions as matrices
from sympy.tensor.array import expressions as tensors
from sympy.tensor.array.expressions.array_expressions import ArraySymbol, OneArray, ZeroArray

import gradc
from gradc.compiler.derive import gradient
from gradc.compiler.passes import prepare
from gradc.ir.dims import Axis
from gradc.ir.errors import DerivativeError, ShapeError
from gradc.ir.interpret import evaluate
from gradc.ir.verify import verify

from .sympy_reference import converted

Values = Mapping[str, Any]
Reference = Callable[[Any], Any]
n, m, k = symbols("n m k")                      # sizes need no assumptions
i, j = symbols("i j", integer=True)
x = Symbol("x")
A, B, C = MatrixSymbol("A", n, n), MatrixSymbol("B", n, m), MatrixSymbol("C", m, n)
u, v, w = (MatrixSymbol(name, n, 1) for name in "uvw")
X = MatrixSymbol("X", 2, 2)
T = ArraySymbol("T", (n, m, k))
SIZES = [(3, 2, 2), (1, 1, 1), (2, 3, 1)]


class Point(dict[str, Any]):
    """The arguments by name, also as attributes."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def mp(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of mpmath, element by element."""
    return np.vectorize(function, otypes=[object])


def eye(size: int) -> Any:
    return np.array([[mpmath.mpf(int(a == b)) for b in range(size)] for a in range(size)], dtype=object)


def place(rows: int, columns: int, entry: Callable[[int, int], Any]) -> Any:
    return np.array([[mpmath.mpf(0) + entry(a, b) for b in range(columns)] for a in range(rows)], dtype=object)


def inv(matrix: Any) -> Any:
    size = len(matrix)
    return np.array((mpmath.matrix(matrix.tolist()) ** -1).tolist(), dtype=object).reshape(size, size)


def det(matrix: Any) -> Any:
    return mpmath.det(mpmath.matrix(matrix.tolist()))


def kron(a: Any, b: Any) -> Any:
    return np.einsum("ij,kl->ikjl", a, b).reshape(a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])


S = A * A.T + sympy.Identity(n)                 # symmetric, positive definite
ROWS: list[tuple[Any, Reference]] = [
    # what SymPy's own derivatives take for 0, or refuse
    (sympy.sin(v.T * v), lambda p: mpmath.sin((p.v.T @ p.v)[0, 0])),
    ((v.T * A * v)[0, 0], lambda p: (p.v.T @ p.A @ p.v)[0, 0]),
    (sympy.exp(Trace(A)), lambda p: mpmath.exp(np.trace(p.A))),
    (sympy.log(sympy.Determinant(S)), lambda p: mpmath.log(det(p.A @ p.A.T + eye(len(p.A))))),
    # inverses and determinants
    (A.inv(), lambda p: inv(p.A)),
    (A.inv() * v, lambda p: inv(p.A) @ p.v),
    (v.T * A.inv(), lambda p: p.v.T @ inv(p.A)),
    (v.T * S.inv() * u, lambda p: p.v.T @ inv(p.A @ p.A.T + eye(len(p.A))) @ p.u),
    (Trace(v * v.T * S.inv()), lambda p: (p.v.T @ inv(p.A @ p.A.T + eye(len(p.A))) @ p.v)[0, 0]),
    ((v.T * S.inv() * v)[0, 0], lambda p: (p.v.T @ inv(p.A @ p.A.T + eye(len(p.A))) @ p.v)[0, 0]),
    ((C * A.inv() * B).inv() * C, lambda p: inv(p.C @ inv(p.A) @ p.B) @ p.C),
    (A.inv() * S.inv(), lambda p: inv(p.A) @ inv(p.A @ p.A.T + eye(len(p.A)))),
    (A.T.inv() * (S.inv() * v), lambda p: inv(p.A.T) @ inv(p.A @ p.A.T + eye(len(p.A))) @ p.v),
    (A**-2 * v, lambda p: inv(p.A) @ inv(p.A) @ p.v),
    (sympy.Determinant(A) * x, lambda p: det(p.A) * p.x),
    (sympy.Determinant(S), lambda p: det(p.A @ p.A.T + eye(len(p.A)))),
    (sympy.log(sympy.Abs(sympy.Determinant(A))), lambda p: mpmath.log(abs(det(p.A)))),
    (sympy.log(x * sympy.Determinant(S) * sympy.Abs(sympy.Determinant(A))),
     lambda p: mpmath.log(p.x * det(p.A @ p.A.T + eye(len(p.A))) * abs(det(p.A)))),
    (Sum(Trace((S + i * sympy.Identity(n)).inv()) * v[i, 0], (i, 0, n - 1)),
     lambda p: sum(np.trace(inv(p.A @ p.A.T + (1 + a) * eye(len(p.A)))) * e[0] for a, e in enumerate(p.v))),
    # sums and products
    (A + A.T, lambda p: p.A + p.A.T),
    (A - 2 * A.T - sympy.Identity(n), lambda p: p.A - 2 * p.A.T - eye(len(p.A))),
    (-A + x * A.T, lambda p: -p.A + p.x * p.A.T),
    (-A - A.T, lambda p: -p.A - p.A.T),
    (A * B, lambda p: p.A @ p.B),
    (A * B * C * v, lambda p: p.A @ p.B @ p.C @ p.v),
    (v.T * A * B, lambda p: p.v.T @ p.A @ p.B),
    (u * v.T * A * w, lambda p: p.u @ p.v.T @ p.A @ p.w),
    (u * (v.T * A), lambda p: p.u @ (p.v.T @ p.A)),
    (3 * A * v - x * v / 7, lambda p: 3 * p.A @ p.v - p.x * p.v / 7),
    (Rational(-2, 3) * A / Trace(A), lambda p: -2 * p.A / (3 * np.trace(p.A))),
    (A**2 * B, lambda p: p.A @ p.A @ p.B),
    (A**5, lambda p: p.A @ p.A @ p.A @ p.A @ p.A),
    (A**0 + A, lambda p: eye(len(p.A)) + p.A),
    (matrices.MatPow(A, 0), lambda p: eye(len(p.A))),
    (A.adjoint() * A.conjugate(), lambda p: p.A.T @ p.A),
    ((v.T * v) ** Rational(1, 2), lambda p: mp(mpmath.sqrt)(p.v.T @ p.v)),
    (sympy.sqrt((v.T * v)[0, 0]) * x, lambda p: mpmath.sqrt((p.v.T @ p.v)[0, 0]) * p.x),
    # elements
    (matrices.hadamard_product(A, A.T, A), lambda p: p.A * p.A.T * p.A),
    (matrices.HadamardPower(A, 3), lambda p: p.A**3),
    (matrices.HadamardPower(A, -2), lambda p: 1 / p.A**2),
    (matrices.HadamardPower(A, x), lambda p: mp(lambda a: a**p.x)(p.A)),
    (matrices.HadamardPower(2, A), lambda p: mp(lambda a: mpmath.mpf(2) ** a)(p.A)),
    (matrices.HadamardPower(A, A.T), lambda p: np.vectorize(lambda a, b: a**b, otypes=[object])(p.A, p.A.T)),
    (A.applyfunc(sympy.sin), lambda p: mp(mpmath.sin)(p.A)),
    ((A * B).applyfunc(lambda e: e**2 + x), lambda p: (p.A @ p.B) ** 2 + p.x),
    (sympy.log(A[0, 0]) * A[n - 1, 0] + A[i, j], lambda p: mpmath.log(p.A[0, 0]) * p.A[-1, 0] + p.A[0, 0]),
    ((A * A)[i, j] + A.T[i, n - 1], lambda p: (p.A @ p.A)[0, 0] + p.A[-1, 0]),
    (A[0:1, :] * A[:, 0:n], lambda p: p.A[0:1] @ p.A),
    (A[0:n:2, 0], lambda p: p.A[::2, :1]),
    (Sum(A[i, j] * v[i, 0] * v[j, 0], (j, 0, i), (i, 0, n - 1)),
     lambda p: sum(p.A[a, b] * p.v[a, 0] * p.v[b, 0] for a in range(len(p.v)) for b in range(a + 1))),
    (Sum((A * B)[i, j] * x**i, (i, 0, n - 1), (j, 0, m - 1)),
     lambda p: sum(row.sum() * p.x**a for a, row in enumerate(p.A @ p.B))),
    (Sum(Trace(i * A + v[i, 0] * A * A) * v[i, 0], (i, 0, n - 1)),
     lambda p: sum(np.trace(a * p.A + e[0] * p.A @ p.A) * e[0] for a, e in enumerate(p.v))),
    (Sum(sympy.Piecewise(((A * A.T)[i + 1, 0], i < n - 1), (A[i, i], True)), (i, 0, n - 1)),
     lambda p: sum((p.A @ p.A.T)[1:, 0]) + p.A[-1, -1]),
    # numbers of matrices
    (Trace(A * B * C), lambda p: np.trace(p.A @ p.B @ p.C)),
    (Trace(A**3) + Trace(A) ** 2, lambda p: np.trace(p.A @ p.A @ p.A) + np.trace(p.A) ** 2),
    (matrices.DotProduct(v, A * u), lambda p: (p.v.T @ p.A @ p.u)[0, 0]),
    (matrices.DotProduct(v.T, u), lambda p: (p.v.T @ p.u)[0, 0]),
    # made of matrices
    (sympy.DiagMatrix(v) * A, lambda p: p.v * p.A),
    (sympy.DiagMatrix(v.T), lambda p: p.v * eye(len(p.v))),
    (matrices.DiagonalMatrix(A), lambda p: p.A * eye(len(p.A))),
    (matrices.DiagonalOf(A), lambda p: np.diagonal(p.A).reshape(-1, 1)),
    (sympy.BlockMatrix([[A, B], [C, C * B]]), lambda p: np.block([[p.A, p.B], [p.C, p.C @ p.B]])),
    (sympy.BlockDiagMatrix(A, B), lambda p: np.block(
        [[p.A, 0 * p.B], [np.zeros((len(p.B), len(p.B))), p.B]])),
    (matrices.KroneckerProduct(A, B, v.T), lambda p: kron(kron(p.A, p.B), p.v.T)),
    (matrices.FunctionMatrix(n, m, sympy.Lambda((i, j), i + 2 * j * x)) * C,
     lambda p: place(len(p.C.T), len(p.C), lambda a, b: a + 2 * b * p.x) @ p.C),
    (matrices.OneMatrix(m, n) * A + sympy.ZeroMatrix(m, n), lambda p: np.ones((len(p.B.T), len(p.A)), int) @ p.A),
    (sympy.Matrix([[1, x], [x**2, 3]]) * X + sympy.Matrix([[x, 0], [0, 1]]),
     lambda p: np.array([[1, p.x], [p.x**2, 3]], dtype=object) @ p.X + np.array([[p.x, 0], [0, 1]])),
    (sympy.Matrix([[Trace(A), x], [A[0, 0], 2]]), lambda p: np.array([[np.trace(p.A), p.x], [p.A[0, 0], 2 + 0 * p.x]])),
    (Sum(sympy.Matrix([[x, i]])[0, j] * v[i, 0], (j, 0, 1), (i, 0, n - 1)),
     lambda p: sum((p.x + a) * e[0] for a, e in enumerate(p.v))),
    # arrays of any rank
    (T[0, m - 1, 0] * T[0, 0, 0], lambda p: p.T[0, -1, 0] * p.T[0, 0, 0]),
    (Sum(T[i, 0, 0] ** 2, (i, 0, n - 1)), lambda p: sum(p.T[:, 0, 0] ** 2)),
    (sympy.tensorcontraction(sympy.tensorproduct(A, B), (1, 2)), lambda p: p.A @ p.B),
    (tensors.ArrayTensorProduct(A, v), lambda p: np.multiply.outer(p.A, p.v)),
    (tensors.ArrayContraction(tensors.ArrayTensorProduct(T, A), (0, 3), (2,)),
     lambda p: np.einsum("abc,ad->bd", p.T, p.A)),
    (tensors.ArrayContraction(tensors.ArrayTensorProduct(A, A), (0, 2), (1, 3)), lambda p: (p.A * p.A).sum()),
    (tensors.ArrayDiagonal(tensors.ArrayTensorProduct(A, v), (0, 2)), lambda p: np.einsum("ab,ac->bca", p.A, p.v)),
    (tensors.PermuteDims(T, [2, 0, 1]), lambda p: np.transpose(p.T, (2, 0, 1))),
    (tensors.ArrayAdd(tensors.ArrayTensorProduct(u, v), ZeroArray(n, 1, n, 1), OneArray(n, 1, n, 1)),
     lambda p: np.multiply.outer(p.u, p.v) + 1),
    (tensors.ArrayElementwiseApplyFunc(sympy.cos, T), lambda p: mp(mpmath.cos)(p.T)),
    (sympy.Array([[x, 1], [2, x**2]]), lambda p: np.array([[p.x, 1 + 0 * p.x], [2 + 0 * p.x, p.x**2]])),
    (sympy.Array([x, x**2, 1])[i + 1] * x, lambda p: p.x**3),
]


@pytest.mark.parametrize(("expr", "reference"), ROWS, ids=[" ".join(str(row[0]).split())[:50] for row in ROWS])
def test_every_kind_has_the_value_and_the_gradient_of_its_elements(expr: Any, reference: Reference) -> None:
    for sizes in SIZES:
        if not expr.has(B) or not expr.has(sympy.Inverse) or sizes[1] <= sizes[0]:   # else no inverse
            check(expr, reference, sizes)


def check(expr: Any, reference: Reference, sizes: tuple[int, int, int], tolerance: float = 1e-10) -> None:
    """Value and gradient of an expression at random positive elements; of an array, of a weighted sum of it."""
    graph = converted(expr)
    point = random_point(graph, sizes)
    with mpmath.workdps(50):
        exact = Point({name: mp(mpmath.mpf)(value) if np.ndim(value) else mpmath.mpf(value) if isinstance(
            value, float) else value for name, value in {**everything(sizes), **point}.items()})
        want = reference(exact)
        got = evaluate(graph, point)[0]
        assert np.shape(got) == np.shape(want), expr
        np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), 1e-12, 1e-12, err_msg=str(expr))
        weights = np.random.default_rng(7).normal(size=np.shape(want)) if np.ndim(want) else 1
        weigh(graph)
        wrt = [name for name in point if isinstance(point[name], float) or np.ndim(point[name])]
        if not wrt:
            return
        derived = gradient(prepare(graph), wrt, with_value=False, kinks="subgradient")
        verify(derived)
        given = {**point, "weights": weights} if "weights" in derived.inputs else point
        for name, slope in zip(wrt, evaluate(derived, given), strict=True):
            exact_slope = differences(lambda p: np.sum(weights * reference(p)), exact, name)
            np.testing.assert_allclose(np.asarray(slope, float), exact_slope, tolerance, tolerance, err_msg=str(expr))


def everything(sizes: tuple[int, int, int]) -> dict[str, Any]:
    """Every argument that a row may name, also if its expression has lost it: the references want shapes."""
    rows, columns, depth = sizes
    rng = np.random.default_rng(rows)
    shapes = {"A": (rows, rows), "B": (rows, columns), "C": (columns, rows), "u": (rows, 1), "v": (rows, 1),
              "w": (rows, 1), "X": (2, 2), "T": (rows, columns, depth)}
    found = {name: rng.uniform(0.5, 1.5, size=shape) for name, shape in shapes.items()}
    return {**found, "x": 0.7, "i": 0, "j": 0, "n": rows, "m": columns, "k": depth}


def random_point(graph: Any, sizes: tuple[int, int, int]) -> dict[str, Any]:
    return {name: value for name, value in everything(sizes).items() if name in graph.inputs}


def weigh(graph: Any) -> None:
    """Make an array output one number: the sum of its elements times weights."""
    name, node = graph.outputs[0]
    if not node.shape:
        return
    axes = [Axis(dim, number) for number, dim in enumerate(node.shape)]
    index = [graph.axis(axis) for axis in axes]
    total = graph.apply("mul", graph.read(node, index), graph.read(graph.input("weights", shape=node.shape), index))
    for axis in reversed(axes):
        total = graph.reduce("sum", axis, total)
    graph.outputs[0] = (name, total)


def differences(function: Callable[[Point], Any], point: Point, name: str) -> Any:
    """The derivative by every element of an argument, from symmetric differences."""
    step = mpmath.mpf(10) ** -12
    base = point[name]
    found = np.zeros(np.shape(base))
    for at in itertools.product(*map(range, found.shape)):
        ends = []
        for sign in (1, -1):
            moved = np.array(base, dtype=object)
            moved[at] = moved[at] + sign * step
            ends.append(function(Point({**point, name: moved if np.ndim(base) else moved[()]})))
        found[at] = float((ends[0] - ends[1]) / (2 * step))
    return found


# -- arguments, compiled functions -----------------------------------------------------------------------


def test_matrices_need_no_declarations_and_bring_their_shapes() -> None:
    graph = converted(Trace(A * B * C) + (T[i, 0, 0] + x) * v[0, 0])
    assert {name: (node.dtype, [str(dim) for dim in node.shape]) for name, node in graph.inputs.items()} == {
        "A": ("float64", ["n", "n"]), "B": ("float64", ["n", "m"]), "C": ("float64", ["m", "n"]),
        "T": ("float64", ["n", "m", "k"]), "i": ("int64", []), "v": ("float64", ["n", "1"]), "x": ("float64", [])}
    assert list(converted(A * v, args=(v, A)).inputs) == list(converted(A * v, args=["v", "A"]).inputs) == ["v", "A"]
    assert converted(A * v, args={v: "float32 n 1", A: "float32 n n"}).inputs["v"].dtype == "float32"


def test_a_size_that_is_used_as_a_number_is_the_size() -> None:
    assert list(converted(Trace(A) / n).inputs) == ["A"]
    assert evaluate(converted(Trace(A) / n), {"A": np.eye(4)})[0] == 1.0
    assert list(converted(Trace(sympy.Identity(k)) * A).inputs) == ["A", "k"]   # no array has k


def test_an_argument_that_the_expression_has_lost_keeps_its_shape() -> None:
    derivative = Trace(A * B * C).diff(B)
    assert list(converted(derivative, args=(B, C, A)).inputs) == ["B", "C", "A"]
    assert [str(dim) for dim in converted(x, args=(x, MatrixSymbol("V", n, 2))).inputs["V"].shape] == ["n", "2"]


def test_one_compilation_serves_every_size() -> None:
    score = gradc.compile(sympy.sin(v.T * A * v) + Trace(A.T * A))
    for size in (1, 2, 5):
        values = np.linspace(0.1, 1.0, size * size).reshape(size, size), np.linspace(-1.0, 1.0, size).reshape(size, 1)
        matrix, vector = values
        quadratic = (vector.T @ matrix @ vector)[0, 0]
        got, slopes = score.value_and_grad(*values)
        np.testing.assert_allclose(got, np.sin(quadratic) + (matrix**2).sum(), 1e-13)
        np.testing.assert_allclose(slopes.A, np.cos(quadratic) * vector @ vector.T + 2 * matrix, 1e-12)
        np.testing.assert_allclose(slopes.v, np.cos(quadratic) * (matrix + matrix.T) @ vector, 1e-12, 1e-14)
    assert len(score.value_and_grad.jit.signatures) == 1


def test_single_precision_stays_single() -> None:
    f = gradc.compile(2 * A * v / Trace(A), args={A: "float32 n n", v: "float32 n 1"}, jit=False)
    assert f(np.eye(2, dtype="float32"), np.ones((2, 1), "float32")).dtype == np.float32


def test_a_column_is_not_an_array_of_one_dimension() -> None:
    with pytest.raises(ShapeError, match="v.*2 dimensions"):
        gradc.compile((v.T * v)[0, 0], jit=False)(np.ones(3))
    with pytest.raises(DerivativeError, match=r"one scalar output, this one is an array of shape \(n, 1\)"):
        gradc.compile(A * v, jit=False).grad(np.eye(2), np.ones((2, 1)))


SECOND: list[tuple[Any, Reference]] = [
    (sympy.exp(-(v.T * A * v) / 2), lambda p: mpmath.exp(-(p.v.T @ p.A @ p.v)[0, 0] / 2)),
    (Trace(A**3) * x, lambda p: np.trace(p.A @ p.A @ p.A) * p.x),
    (sympy.sin(v.T * v) * Trace(A), lambda p: mpmath.sin((p.v.T @ p.v)[0, 0]) * np.trace(p.A)),
    (sympy.log(sympy.Determinant(S)), lambda p: mpmath.log(det(p.A @ p.A.T + eye(len(p.A))))),
    (Trace(v * v.T * S.inv()), lambda p: (p.v.T @ inv(p.A @ p.A.T + eye(len(p.A))) @ p.v)[0, 0]),
]


@pytest.mark.parametrize(("expr", "reference"), SECOND, ids=[str(row[0]) for row in SECOND])
def test_second_derivatives(expr: Any, reference: Reference) -> None:
    """The gradient of a weighted sum of a gradient, against differences of gradients at 50 digits."""
    graph = gradient(prepare(converted(expr)), ["A"], with_value=False, kinks="subgradient")
    weigh(graph)
    twice = gradient(prepare(graph), ["A"], with_value=False, kinks="subgradient")
    point = {name: value for name, value in everything((3, 2, 2)).items() if name in twice.inputs}
    weights = np.random.default_rng(3).normal(size=(3, 3))
    got = evaluate(twice, {**point, "weights": weights} if "weights" in twice.inputs else point)[0]
    with mpmath.workdps(50):
        exact = Point({name: mp(mpmath.mpf)(value) if np.ndim(value) else mpmath.mpf(value)
                       for name, value in point.items()})
        step = mpmath.mpf(10) ** -12

        def along(p: Point) -> Any:
            ends = [reference(Point({**p, "A": p.A + sign * step * weights})) for sign in (1, -1)]
            return (ends[0] - ends[1]) / (2 * step)

        np.testing.assert_allclose(np.asarray(got, float), differences(along, exact, "A"), 1e-9, 1e-9)


def test_the_logarithm_of_a_determinant_neither_overflows_nor_takes_a_negative_one() -> None:
    log_det = gradc.compile(sympy.log(sympy.Determinant(A)), jit=False)
    np.testing.assert_allclose(log_det(1e-9 * np.eye(100)), 100 * np.log(1e-9), 1e-14)
    assert np.isnan(log_det(np.diag([1.0, -1.0])))
    assert log_det(np.zeros((2, 2))) == -np.inf
    two = gradc.compile(sympy.log(-x * sympy.Determinant(A) * sympy.Determinant(A.T * A)), jit=False)
    np.testing.assert_allclose(two(np.diag([2.0, -3.0]), 5.0), np.log(30 * 36), 1e-14)


def test_an_inverse_beside_a_matrix_is_solved_not_inverted() -> None:
    routines = [{node.attr.routine for node in converted(expr).reachable() if node.op == "call"} for expr in (
        A.inv() * v, v.T * A.inv(), A.inv() * B * C * v, Trace(v.T * A.inv() * v), A.inv())]
    assert routines == [{"solve"}] * 4 + [{"inv"}]


def test_a_density_of_matrices_compiles() -> None:
    density = gradc.compile(-(sympy.log(sympy.Determinant(S)) + Trace(v.T * S.inv() * v)) / 2)
    matrix, vector = np.array([[1.0, 0.5], [0.2, 2.0]]), np.array([[1.0], [-2.0]])
    covariance = matrix @ matrix.T + np.eye(2)
    solved = np.linalg.solve(covariance, vector)
    got, slopes = density.value_and_grad(matrix, vector)
    np.testing.assert_allclose(got, -(np.log(np.linalg.det(covariance)) + (vector.T @ solved)[0, 0]) / 2, 1e-13)
    np.testing.assert_allclose(slopes.v, -solved, 1e-13)
    np.testing.assert_allclose(slopes.A, (solved @ solved.T - np.linalg.inv(covariance)) @ matrix, 1e-12)


def test_a_matrix_of_one_element_has_a_gradient_by_its_element_or_its_trace() -> None:
    with pytest.raises(DerivativeError, match=r"take its one element, by \[0, 0\] or Trace \(trace\)"):
        _ = gradc.compile(v.T * v, jit=False).grad
    for one in (Trace(v.T * v), (v.T * v)[0, 0]):
        assert gradc.compile(one, jit=False).grad(np.array([[1.0], [2.0]])).tolist() == [[2.0], [4.0]]
    with pytest.raises(DerivativeError, match=r"take its one element, by \[0\], or use \.vjp"):
        _ = gradc.compile("x", {"x": "1"}, jit=False).grad
