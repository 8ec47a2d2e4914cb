"""Dtypes as NumPy has them, by a table: values, promotion, casts and gradients over inputs of every pair of dtypes.

NumPy itself is the judge. Where it gives half precision or whole numbers of fewer bits (for truth values), the
result here has 64 bits; where it refuses, so does gradc.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.ir.interpret import evaluate
from gradc.ir.text import from_text
from gradc.ir.verify import verify

from .comparison import close

DECLARED = {"float32": "float32 n", "float64": "n", "int64": "int n", "bool": "bool n"}
NUMBERS = {"float32": [0.75, 0.25, 2.5], "float64": [0.3, 1.7, 0.9], "int64": [2, 1, 3], "bool": [True, False, True]}
OTHERS = {"float32": [1.5, 0.25, 0.6], "float64": [0.4, 1.7, 1.1], "int64": [1, 2, 3], "bool": [True, True, False]}
GIVEN = {dtype: (np.array(NUMBERS[dtype], dtype), np.array(OTHERS[dtype], dtype)) for dtype in NUMBERS}
SMALL = ("float16", "int8")

TWO: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (y + 1),
    "floor division": lambda x, y: x // (y + 1),
    "remainder": lambda x, y: x % (y + 1),
    "power": lambda x, y: (x + np.ones_like(x, dtype=np.float32)) ** y,       # of whole numbers it is real here
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clip": lambda x, y: np.clip(x, 0, y),
    "hypot": np.hypot,
    "arctan2": np.arctan2,
    "logaddexp": np.logaddexp,
    "copysign": np.copysign,
    "less": lambda x, y: x < y,
    "equal": lambda x, y: x == y,
    "where": lambda x, y: np.where(x > y, x, y),
    "matmul": lambda x, y: x @ y,
    "outer": np.outer,
    "einsum": lambda x, y: np.einsum("i,j->j", x, y),
    "convolve": np.convolve,
    "searchsorted": lambda x, y: np.searchsorted(np.sort(x), y),
    "concatenate": lambda x, y: np.concatenate([x, y]),
    "stack": lambda x, y: np.stack([x, y]),
    "linspace": lambda x, y: np.linspace(x[0], y[0], 4),
    "interp": lambda x, y: np.interp(x, [0.0, 1.0, 5.0], [0.0, 3.0, 4.0]) + 0 * y,
    "sums": lambda x, y: np.sum(x) * y + np.cumsum(y),
    "means": lambda x, y: np.mean(x) * y + np.var(y),
    "a masked mean": lambda x, y: np.mean(x, where=x > 0) * y,
    "extremes": lambda x, y: np.max(x) * y,
    "like": lambda x, y: np.zeros_like(x) + np.ones_like(y) + np.full_like(y, 1),
}

ONE: dict[str, Callable[[Any], Any]] = {
    "a Python float": lambda x: x * 0.1 + 2,
    "a size": lambda x: x * x.shape[0],
    "a size times a literal": lambda x: x * (x.shape[0] * 0.3) + x / (x.size / 2),
    "a truth value": lambda x: x * True,
    "a power": lambda x: x**2,
    "sin": np.sin,
    "floor": np.floor,
    "abs": np.abs,
    "sum": np.sum,
    "product": np.prod,
    "mean": np.mean,
    "max": np.max,
    "cumulative sum": np.cumsum,
    "sort": np.sort,
    "argmax": np.argmax,
    "median": lambda x: np.median(x) * np.ones_like(x),
    "quantile": lambda x: np.quantile(x * 1.0, 0.3) * np.ones_like(x * 1.0),
    "norm": np.linalg.norm,
    "covariance": lambda x: np.cov(x, x),
    "diff with an end": lambda x: np.diff(x, prepend=x[:1]),
    "to single": lambda x: x.astype(np.float32),
    "to double": lambda x: x.astype(np.float64),
    "to whole": lambda x: x.astype(int),
    "to truth": lambda x: x.astype(bool),
    "by a text": lambda x: x.astype("float32"),
    "by a keyword": lambda x: x.astype(dtype=np.float32),
    "a number type called": lambda x: np.float32(x) + np.float32(1.5),
    "double called": lambda x: np.float64(x),
    "a number of another": lambda x: np.float32(x[0]) * np.ones(3, np.float32),
    "asarray": lambda x: np.asarray(x, dtype=np.float32),
    "array of elements": lambda x: np.array([x[0], x[1]], dtype=np.float32),
    "sum in double": lambda x: np.sum(x, dtype=np.float64),
    "mean in double": lambda x: x.mean(dtype=np.float64),
    "cumulative sum in single": lambda x: np.cumsum(x, dtype=np.float32),
    "sum of whole": lambda x: np.sum(x, dtype=int),
    "add in single": lambda x: np.add(x, 1, dtype=np.float32) if x.dtype != np.float64 else x,
    "stack in double": lambda x: np.stack([x, x], dtype=np.float64),
    "zeros": lambda x: x + np.zeros(3),
    "zeros in single": lambda x: x + np.zeros(3, dtype=np.float32),
    "zeros like in whole": lambda x: np.zeros_like(x, dtype=int),
    "full in single": lambda x: np.full(3, 2.0, dtype=np.float32) * x,
    "eye in single": lambda x: np.eye(3, dtype=np.float32) @ x,
    "eye": lambda x: np.eye(3) @ x,
    "arange": lambda x: np.arange(3) * x,
    "arange in single": lambda x: np.arange(3, dtype=np.float32) * x,
    "a constant array": lambda x: x * np.array([1.0, 2.0, 3.0]),
    "a constant array in single": lambda x: x * np.array([1.0, 2.0, 3.0], np.float32),
    "a list": lambda x: [1.0, 2.0, 3.0] * x,
    "ldexp": lambda x: np.ldexp(x * 1.0, 3),
    "comparison with a literal": lambda x: x <= 0.1,
    "question for a dtype": lambda x: x * 2.0 if x.dtype == np.float32 or isinstance(2.0, np.float32) else x,
}


def plain(function: Callable[..., Any], *args: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.asarray(function(*args))


def agree(function: Callable[..., Any], declared: dict[str, str], *args: Any) -> gradc.Function:
    """The compiled function, after its dtype and values were compared with NumPy's."""
    f = gradc.compile(function, declared, jit=False)
    wanted, found = plain(function, *args), f(*args)
    dtype = f.graph.outputs[0][1].dtype
    assert dtype == (wanted.dtype.name if wanted.dtype not in SMALL else
                     "float64" if wanted.dtype.kind == "f" else "int64")
    assert np.shape(found) == wanted.shape
    tolerance = 1e-13 if wanted.dtype == np.float64 else 2e-3 if wanted.dtype == np.float16 else 1e-6
    if np.ndim(found):
        assert found.dtype == dtype
    close(np.asarray(found, np.float64), np.asarray(wanted, np.float64), tolerance)
    return f


@pytest.mark.parametrize("name", TWO)
def test_two_arrays_promote_as_in_numpy_and_each_gradient_has_the_dtype_of_its_argument(name: str) -> None:
    function = TWO[name]
    for one, other in itertools.product(DECLARED, repeat=2):
        x, y = GIVEN[one][0], GIVEN[other][1]
        declared = {"x": DECLARED[one], "y": DECLARED[other]}

        def named(x: Any, y: Any) -> Any:
            return function(x, y)

        try:
            plain(function, x, y)
        except TypeError:
            with pytest.raises(gradc.UnsupportedError, match="of truth values"):
                gradc.compile(named, declared, jit=False)
            continue
        f = agree(named, declared, x, y)
        if f.wrt and f.graph.outputs[0][1].dtype.startswith("float"):
            value, saved = f.forward(x, y)
            gradient = f.backward(saved, np.ones_like(value) if np.ndim(value) else 1.0)
            gradient = list(gradient) if len(f.wrt) > 1 else [gradient]
            assert [g.dtype for g in gradient] == [{"x": x, "y": y}[w].dtype for w in f.wrt]


@pytest.mark.parametrize("name", ONE)
def test_one_array_keeps_or_changes_its_dtype_as_in_numpy(name: str) -> None:
    function = ONE[name]

    def named(x: Any) -> Any:
        return function(x)

    for dtype, (x, _) in GIVEN.items():
        try:
            plain(function, x)
        except TypeError:
            continue
        f = agree(named, {"x": DECLARED[dtype]}, x)
        if f.wrt and f.graph.outputs[0][1].dtype.startswith("float"):
            value, saved = f.forward(x)
            assert f.backward(saved, np.ones_like(value) if np.ndim(value) else 1.0).dtype == dtype


def assigned(x: Any, y: Any, A: Any) -> Any:
    single, double = np.zeros(3, dtype=np.float32), np.zeros(3)
    single[1:], single[0], double[:2] = y[1:], x[0] * y[0], x[:2]
    single += y
    return np.sum(single * single * x) + np.sum(double * double * y)


MIXED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a product": lambda x, y, A: np.sum(x * y * y),
    "a linear system": lambda x, y, A: np.sum(np.linalg.solve(A, y) * x),
    "a quadratic form": lambda x, y, A: y @ A @ x,
    "a determinant": lambda x, y, A: np.linalg.slogdet(A)[1] * y[0] + np.linalg.norm(x) * y[1],
    "casts": lambda x, y, A: np.sum(x.astype(np.float64) * y**2) + np.sum(np.float32(y) * x * x),
    "joined": lambda x, y, A: np.sum(np.concatenate([x, y]) ** 3),
    "assigned": assigned,
    "chosen": lambda x, y, A: np.sum(np.where(x > 0.5, x, y) ** 3) + np.sum(np.maximum(x, y) ** 2),
    "cut to whole numbers": lambda x, y, A: np.sum(x[(2 * y).astype(int)] * y * np.trunc(7 * x).astype(np.int64)),
    "summed in double": lambda x, y, A: np.sum(x * x, dtype=np.float64) * y[0],
    "scaled by sizes": lambda x, y, A: np.mean(x * x) * (x.shape[0] * 0.3) / np.sqrt(x.shape[0]) + y[0] ** 2,
    "quantiles": lambda x, y, A: np.quantile(x, 0.3) * np.median(y) ** 2,
    "binary exponents": lambda x, y, A: np.sum(np.ldexp(x, 3) * np.frexp(y)[0] * np.frexp(x)[1]),
    "exponentials": lambda x, y, A: np.log(np.sum(np.exp(x) * np.exp(y))),
}
X, Y = np.array([0.3, 0.7, 1.1], np.float32), np.array([0.2, 0.55, 0.9])
MATRIX = np.array([[2.0, 0.3, 0.1], [0.3, 3.0, 0.2], [0.1, 0.2, 4.0]], np.float32)
SHAPES = {"x": "float32 n", "y": "n", "A": "float32 n n"}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_precision_is_differentiated_twice_and_each_derivative_has_the_dtype_of_its_argument(name: str) -> None:
    f = gradc.compile(MIXED[name], SHAPES, jit=False)
    double = gradc.compile(MIXED[name], {"x": "n", "y": "n", "A": "n n"}, jit=False)
    wide = (X.astype(float), Y, MATRIX.astype(float))
    assert f.graph.outputs[0][1].dtype == "float64"
    close(f(X, Y, MATRIX), plain(MIXED[name], X, Y, MATRIX), 1e-6)
    for found, wanted in zip(f.grad(X, Y, MATRIX), double.grad(*wide), strict=True):
        close(found, wanted, 1e-5)
    _, saved = f.grad.forward(X, Y, MATRIX)
    second = f.grad.backward(saved, (X, Y, MATRIX))
    _, saved = double.grad.forward(*wide)
    for found, wanted in zip(second, double.grad.backward(saved, wide), strict=True):
        close(found, wanted, 2e-5)
    for derivative in (f.grad(X, Y, MATRIX), second):
        assert [d.dtype for d in derivative] == [np.float32, np.float64, np.float32]
    graph = f.grad.graph
    verify(graph)
    assert str(from_text(str(graph))) == str(graph)
    for found, wanted in zip(evaluate(graph, {"x": X, "y": Y, "A": MATRIX}), f.grad(X, Y, MATRIX), strict=True):
        assert found.dtype == wanted.dtype
        close(found, wanted, 1e-6)


def test_compiled_and_saved_code_casts_too(tmp_path: Any) -> None:
    def loss(x: Any, y: Any) -> Any:
        return np.sum(x[(2 * y).astype(int)] * np.float32(y) * x.shape[0]) + np.sum(x.astype(np.float64) * y**2)

    f = gradc.compile(loss, {"x": "float32 n", "y": "n"})
    plainly = gradc.compile(loss, {"x": "float32 n", "y": "n"}, jit=False)
    gradient = f.grad(X, Y)
    assert "float64(x[" in f.grad.source and "truncated(" in f.grad.source
    assert (gradient.x.dtype, gradient.y.dtype) == (np.float32, np.float64)
    for found, wanted in zip(gradient, plainly.grad(X, Y), strict=True):
        close(found, wanted, 1e-6)
    f.grad.save(tmp_path / "saved_casts.py")
    scope: dict[str, Any] = {"__name__": "saved_casts"}
    exec((tmp_path / "saved_casts.py").read_text(), scope)
    for found, wanted in zip(scope["grad"](X, Y), gradient, strict=True):
        assert found.dtype == wanted.dtype
        close(found, wanted, 1e-6)


def test_numbers_take_on_the_precision_of_the_arrays_they_meet() -> None:
    def loss(x: Any, rate: Any, count: Any) -> Any:
        return x * rate - rate**2 * x / count

    for args in (None, {"x": "float32 n", "rate": "", "count": "int"}):
        f = gradc.compile(loss, args, jit=False)
        assert f(X, 0.1, 3).dtype == np.float32 == plain(loss, X, 0.1, 3).dtype
        close(f(X, 0.1, 3), plain(loss, X, 0.1, 3), 1e-6)
    g = gradc.compile(lambda x, rate: np.sum(x * rate), jit=False)
    gradient = g.grad(X, 0.1)
    assert gradient.x.dtype == np.float32
    close(gradient.rate, np.sum(X), 1e-6)
    numbers = gradc.compile(lambda a, b: a * b, {"a": "float32", "b": ""}, jit=False)
    assert numbers.graph.outputs[0][1].dtype == "float64"                     # no array: nothing is narrowed


def test_values_that_are_no_whole_numbers_become_the_least_one_as_in_numpy() -> None:
    f = gradc.compile(lambda x: x.astype(int), {"x": "n"})
    values = np.array([1.7, -1.7, -0.0, np.nan, np.inf, -np.inf, 1e300, 9.3e18, -(2.0**63)])
    with np.errstate(invalid="ignore"):
        wanted = values.astype(int)
    assert np.array_equal(f(values), wanted)
    assert np.array_equal(gradc.compile(lambda x: x.astype(int), {"x": "n"}, jit=False)(values), wanted)
    taken = gradc.compile(lambda x, y: y[x.astype(int)], {"x": "n", "y": "m"})
    with pytest.raises(gradc.ShapeError, match="the index of the array"):
        taken(values[3:4], Y)


def test_binary_exponents_are_those_of_numpy() -> None:
    values = np.array([0.0, -0.0, 1.0, 0.5, -0.75, 3.0, 8.0, 1e300, 5e-324, np.inf, np.nan, -np.inf, 0.1])
    f = gradc.compile(lambda x: np.frexp(x), {"x": "n"}, jit=False)
    for found, wanted in zip(f(values), np.frexp(values), strict=True):
        np.testing.assert_array_equal(found, wanted)
    exponents = np.array([0, -3, 10, 1023, 1070, -1070, 5, 3, 1, 2, 3, 4, -1074])
    g = gradc.compile(lambda x, i: np.ldexp(x, i), {"x": "n", "i": "int n"}, jit=False)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(g(values, exponents), np.ldexp(values, exponents))


def test_an_explanation_shows_the_casts() -> None:
    f = gradc.compile(lambda x, y: np.sum(x * y), {"x": "float32 n", "y": "n"}, jit=False)
    assert "float64(x[i])" in str(f.explain())
    assert "float64 = float64(%" in str(f.graph)
