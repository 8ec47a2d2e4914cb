"""Dtypes of traced functions: single precision stays single, whole numbers and truth values take part, complex is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import gradc

from .comparison import close

SINGLE, DOUBLE = np.array([0.3, 0.7, 1.1], np.float32), np.array([0.2, 0.5, 0.9])

STAYS_SINGLE: dict[str, Callable[[Any], Any]] = {
    "Python's numbers": lambda x: 2.0 * x + math.pi * x - 1 + x * True,
    "NumPy's float64 scalars": lambda x: x * np.float64(2.0) / np.pi + np.float32(1),
    "powers": lambda x: x**2 + x**0.5 + x**-1.5 + np.exp(x) ** 2.5,
    "means and deviations": lambda x: np.mean(x) * x + np.std(x) + np.var(x),
    "sizes": lambda x: x / x.shape[0] + np.sum(x) / x.size,
    "choices": lambda x: np.where(x > 0.5, x, 0.0) + np.maximum(x, 0) + np.clip(x, 0, 1),
    "truth values": lambda x: x * (x > 0.5) + (x < 1),
    "reductions": lambda x: np.sum(x) * x + np.max(x) - np.prod(x) + np.linalg.norm(x),
    "softmax": lambda x: scipy.special.softmax(x) - scipy.special.logsumexp(x),
    "arrays of single precision": lambda x: x * np.array([1, 2, 3], np.float32) + np.zeros(3, np.float32),
    "shapes": lambda x: np.concatenate([x[1:], x[:1] * 2.0]) + np.cumsum(x) + np.sort(x)[::-1],
    "special functions": lambda x: scipy.special.erf(x) + np.hypot(x, 1.0) + np.log1p(x),
}


@pytest.mark.parametrize("function", STAYS_SINGLE.values(), ids=STAYS_SINGLE)
def test_single_precision_stays_single_through_values_and_gradients(function: Callable[[Any], Any]) -> None:
    for args in (None, {"x": "float32 3"}):
        f = gradc.compile(function, args, jit=False)
        found = f(SINGLE)
        assert found.dtype == np.float32
        close(found, function(SINGLE.astype(np.float64)), 1e-5)
        gradient = gradc.compile(lambda x: np.sum(function(x)), args, jit=False).grad(SINGLE)
        assert gradient.dtype == np.float32


def test_sums_of_running_sums_over_literal_dimensions_are_not_written_out() -> None:
    f = gradc.compile(lambda x: np.sum(np.cumsum(x) * x) + np.sum(np.cumprod(x)), {"x": "3"}, jit=False)
    close(f(DOUBLE), np.sum(np.cumsum(DOUBLE) * DOUBLE) + np.sum(np.cumprod(DOUBLE)))
    assert f.grad(DOUBLE).shape == (3,)


def test_compiled_code_keeps_single_precision() -> None:
    f = gradc.compile(lambda x: np.mean(x) * x * (x > 0.5) / x.shape[0], {"x": "float32 n"})
    assert f(SINGLE).dtype == np.float32
    close(f(SINGLE), np.mean(SINGLE) * SINGLE * (SINGLE > 0.5) / 3, 1e-6)
    g = gradc.compile(lambda x: np.sum(np.mean(x) * x**2), {"x": "float32 n"})
    assert g.grad(SINGLE).dtype == np.float32


def test_mixed_precision_is_double_and_each_gradient_has_the_dtype_of_its_argument() -> None:
    f = gradc.compile(lambda x, y: x * y, jit=False)
    assert f(SINGLE, DOUBLE).dtype == np.float64
    g = gradc.compile(lambda x, y: np.sum(x * y), jit=False)
    gradient = g.grad(SINGLE, DOUBLE)
    assert (gradient.x.dtype, gradient.y.dtype) == (np.float32, np.float64)
    assert gradc.compile(lambda x: x * np.array([1.0, 2.0, 3.0]), jit=False)(SINGLE).dtype == np.float64      # as NumPy


def test_whole_numbers_and_truth_values_take_part_and_are_never_differentiated() -> None:
    def f(x: Any, i: Any, b: Any) -> Any:
        return np.sum(x[i] * i * b)

    args = {"x": "n", "i": "int m", "b": "bool m"}
    g = gradc.compile(f, args, jit=False)
    i, b = np.array([2, 2, 0]), np.array([True, True, False])
    assert g.wrt == ("x",)
    close(g.grad(DOUBLE, i, b), [0.0, 0.0, 4.0])
    for name, dtype in (("i", "int64"), ("b", "bool")):
        with pytest.raises(gradc.FormulaError, match=f"wrt names {name}, which is {dtype}"):
            gradc.compile(f, args, wrt=name)
        with pytest.raises(gradc.FormulaError, match=f"wrt names {name}, which is {dtype}"):
            gradc.compile(f, wrt=name, jit=False).grad(DOUBLE, i, b)


VALUES: list[tuple[Any, str]] = [
    (np.ones(3) * 1j, "the argument x has dtype complex128, which has no place in a real function"),
    (np.complex64(1), "the argument x has dtype complex64"),
    (1j, "the argument x has dtype complex128"),
    (np.array([None, 1]), "the argument x has dtype object"),
    (np.array(["a"]), "the argument x has dtype <U1"),
    (np.array(["2020-01-01"], "M8[D]"), "the argument x has dtype datetime64"),
]


@pytest.mark.parametrize("args", [None, {"x": "n"}], ids=["at the call", "declared"])
@pytest.mark.parametrize(("value", "message"), VALUES)
def test_arguments_that_are_not_real_are_refused(value: Any, message: str, args: Any) -> None:
    with pytest.raises(gradc.ArgumentError) as caught:
        gradc.compile(lambda x: np.sum(x), args, jit=False)(value)
    assert message in str(caught.value)


INSIDE: list[tuple[Callable[[Any], Any], str, str]] = [
    (lambda x: x * 1j, "a value of type complex meets a traced array", "Take real and imaginary parts apart"),
    (lambda x: np.complex64(1) * x, "a value of type complex64 meets", "Take real and imaginary parts apart"),
    (lambda x: x + np.array([1j]), "an array of dtype complex128 meets a traced array", "Take real and imaginary"),
    (lambda x: x + np.array([object()]), "an array of dtype object meets a traced array", "Use real numbers"),
    (lambda x: x + np.array(["a"]), "an array of dtype <U1 meets a traced array", "Use real numbers"),
    (lambda x: x * "a", "a value of type str meets a traced array", "Use real numbers"),
    (lambda x: x.astype(complex), "an array of float64 cannot become complex128", "Keep real and imaginary part apart"),
    (lambda x: x + np.zeros(3, dtype=complex), "an array of complex128 cannot be traced", ""),
    (lambda x: np.sum(x, dtype=complex), "an array of float64 cannot become complex128", "Keep real"),
]


@pytest.mark.parametrize(("function", "message", "advice"), INSIDE)
def test_what_is_not_real_inside_a_function_is_refused_with_the_line(
        function: Callable[[Any], Any], message: str, advice: str) -> None:
    with pytest.raises(gradc.UnsupportedError) as caught:
        gradc.compile(function, {"x": "3"}, jit=False)
    first, second = str(caught.value).splitlines()
    assert message in first and "(line " in first and advice in second


def test_a_text_is_compared_as_python_does() -> None:
    assert gradc.compile(lambda x: x if (x == "a") is False else -x, {"x": ""}, jit=False)(1.0) == 1.0
