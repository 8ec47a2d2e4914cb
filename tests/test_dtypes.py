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


LONG = np.dtype(np.longdouble).name
NARROW = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "bool", "float16")

VALUES: list[tuple[Any, str]] = [
    (np.ones(3) * 1j, "the argument x has dtype complex128, which has no place in a real function"),
    (np.complex64(1), "the argument x has dtype complex64"),
    (1j, "the argument x has dtype complex128"),
    (np.array([None, 1]), "the argument x has dtype object"),
    (np.array(["a"]), "the argument x has dtype <U1"),
    (np.array(["2020-01-01"], "M8[D]"), "the argument x has dtype datetime64"),
    (np.ones(3, np.longdouble), f"the argument x has dtype {LONG}: convert it to float64 yourself"),
]


@pytest.mark.parametrize("args", [None, {"x": "n"}], ids=["at the call", "declared"])
@pytest.mark.parametrize(("value", "message"), VALUES)
def test_arguments_that_are_not_real_are_refused(value: Any, message: str, args: Any) -> None:
    with pytest.raises(gradc.ArgumentError) as caught:
        gradc.compile(lambda x: np.sum(x), args, jit=False)(value)
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", NARROW)
def test_narrower_numbers_are_widened_to_those_that_are_declared(dtype: str) -> None:
    values = np.array([1, 0, 1]).astype(dtype)
    for declared, wanted in (("n", np.float64), ("float32 n", np.float32)):
        f = gradc.compile(lambda x: x * x + 1, {"x": declared}, jit=False)
        assert f(values).dtype == wanted
        close(f(values), values.astype(float) ** 2 + 1)
        assert gradc.compile(lambda x: np.sum(x * x), {"x": declared}, jit=False).grad(values).dtype == wanted
    counted = gradc.compile(lambda x: x + 1, {"x": "int n"}, jit=False)
    if dtype == "float16":
        with pytest.raises(gradc.ArgumentError, match="the argument x must be int64, but it has dtype float16"):
            counted(values)
    else:
        assert counted(values).dtype == np.int64


def test_unsigned_numbers_of_64_bits_are_no_whole_numbers_here() -> None:
    with pytest.raises(gradc.ArgumentError, match="the argument x must be int64, but it has dtype uint64"):
        gradc.compile(lambda x: x + 1, {"x": "int n"}, jit=False)(np.array([1], np.uint64))


def test_truth_values_and_constants_take_on_whole_numbers_of_any_width() -> None:
    f = gradc.compile(lambda x: (x > 0.5).astype(np.uint8) + np.zeros(3, np.int32), {"x": "3"}, jit=False)
    assert f(DOUBLE).tolist() == [0, 0, 1]
    assert f(DOUBLE).dtype == np.int64


def test_a_compiled_function_of_single_precision_is_given_no_double_precision() -> None:
    inner = gradc.compile(lambda x: np.sum(x * x), {"x": "float32 n"}, jit=False)
    outer = gradc.compile(lambda x: inner(x.astype(np.float32)), {"x": "n"}, jit=False)
    close(outer.grad(DOUBLE), 2 * DOUBLE, 1e-6)
    assert outer.grad(DOUBLE).dtype == np.float64
    with pytest.raises(gradc.ArgumentError, match="is float32, and a traced array of float64 is given"):
        gradc.compile(lambda x: inner(x), {"x": "n"}, jit=False)
    wide = gradc.compile(lambda x: np.sum(x * x), {"x": "n"}, jit=False)
    assert gradc.compile(lambda x: wide(x), {"x": "float32 n"}, jit=False).grad(SINGLE).dtype == np.float32


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
    (lambda x: np.asarray(x, dtype=complex), "an array of float64 cannot become complex128", "Keep real"),
    (lambda x: np.complex128(x), "an array of float64 cannot become complex128", "Keep real"),
    (lambda x: x.astype(np.float16), "an array of float64 cannot become float16", "Write np.float32 or np.float64"),
    (lambda x: np.float16(x), "an array of float64 cannot become float16", "Write np.float32 or np.float64"),
    (lambda x: x + np.zeros(3, np.float16), "an array of float16 cannot be traced", "Write np.float32 or np.float64"),
    (lambda x: x.astype(np.longdouble), f"an array of float64 cannot become {LONG}", "Write np.float32 or np.float64"),
    (lambda x: x + np.ones(3, np.longdouble), f"an array of {LONG} cannot be traced", "Write np.float32 or np.float64"),
    (lambda x: x + np.asarray([1.0], np.longdouble), f"a value of dtype {LONG} meets a traced array", "Convert it to"),
    (lambda x: x * np.longdouble(2), f"a value of dtype {LONG} meets a traced array", "Convert it to float64 yourself"),
    (lambda x: x.astype(object), "an array of float64 cannot become object", "Use real numbers"),
    (lambda x: x.astype(str), "an array of float64 cannot become <U", "Use real numbers"),
    (lambda x: x + np.zeros(3, object), "an array of object cannot be traced", "Use real numbers"),
    (lambda x: x.astype(np.int8), "an array of float64 cannot become int8, in which NumPy would wrap", "write int, or"),
    (lambda x: x.astype(np.uint64), "an array of float64 cannot become uint64, in which", "write int, or np.int64"),
    (lambda x: x * 2**64, "the integer 18446744073709551616 does not fit into 64 bits", "Write it as a float"),
    (lambda x: x * np.array([2**63], np.uint64), "the integer 9223372036854775808 does not fit into 64", "Write it as"),
    (lambda x: (x > 0) - (x > 1), "the difference of truth values", "Write ^ or ~ for truth values"),
    (lambda x: -(x > 0), "the negative of truth values", "Write ^ or ~ for truth values"),
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
