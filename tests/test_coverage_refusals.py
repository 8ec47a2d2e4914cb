"""What NumPy code asks for and cannot be traced: each refusal says what, on which line, and what to write instead.

Then what is compiled, where the compiled text differs most from plain Python: masks, index arrays, running sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import gradc

from .comparison import close

N, M, PLACES, K = {"x": "n"}, {"x": "n m"}, {"x": "n", "i": "int m"}, {"x": "n", "k": ""}


def _put(x: Any, key: Any, value: Any) -> Any:
    y = x * 1
    y[key] = value
    return y


def _add_at_outside(x: Any) -> Any:
    np.add.at(np.array([1.0, 2.0]), [0], x[0])
    return x


REFUSED: list[tuple[Callable[..., Any], dict[str, str], str]] = [
    (lambda x: x.reshape(2, -1, -1), N, "more than one dimension of a shape is -1"),
    (lambda x: x + np.zeros((-3, 1)), N, "a dimension of a shape is -3"),
    (lambda x: np.diff(x, -1), N, "diff of the order -1"),
    (lambda x: x.matmul(x), N, "a traced array has no attribute matmul"),
    (lambda x: x.svd(), N, "a traced array has no attribute svd"),
    (lambda x: x[x > 0].foo, N, "elements that a mask selects have no attribute foo"),
    (lambda x: np.abs(np.fft.rfft(x)) ** 2, N, "np.fft.rfft is not known on traced arrays"),
    (lambda x, k: np.zeros(k) + x, K, "a dimension of a shape is no number and no size"),
    (lambda x, k: x[::k], K, "the step of a slice is no whole number"),
    (lambda x, k: np.sum(x, axis=k), K, "an axis is no number"),
    (lambda x, k: np.split(x, k)[0], K, "an array is split into a number of parts that is not known"),
    (lambda x, k: np.arange(k) * x, K, "np.arange of sizes takes whole numbers"),
    (lambda x, k: np.roll(x, k), K, "a shift of np.roll is no whole number"),
    (lambda x, k: x[:, : 2 * k], {"x": "n m", "k": ""}, "an end of a slice is no whole number"),
    (lambda x, k: sum(x[i] for i in range(k + 1)), K, "a traced value is needed as a Python number"),
    (lambda x, k: np.linalg.matrix_power(x, k), {"x": "n n", "k": ""}, "matrix_power is no whole number"),
    (lambda x, k: np.diff(x, k), K, "a Python branch or loop on a traced value"),
    (lambda x: np.array(x, np.float16), N, "float16"),
    (lambda x: scipy.linalg.eigvalsh(x, np.eye(2)), {"x": "2 2"}, "scipy.linalg.eigvalsh: got an unexpected keyword argument 'b'"),
    (lambda x: np.r_[x, 1:4], N, "np.r_ and np.c_ of slices or texts beside traced arrays"),
    (lambda x: x.view(), N, "a traced array has no attribute view"),
    (lambda x: np.logspace(0, 1, 3, 4, 5, 6, 7, 8), N, "np.logspace: takes from 3 to 6 positional arguments"),
    (lambda x: np.fft.fft(x), N, "np.fft.fft is not known on traced arrays"),
    (lambda x: np.angle(x), N, "np.angle is not known on traced arrays"),
    (lambda x: np.nonzero(x), N, "np.nonzero is not known on traced arrays"),
    (lambda x: np.where(x > 0), N, "np.where is not known on traced arrays"),
    (lambda x: x.tolist(), N, "np.tolist is not known on traced arrays"),
    (lambda x: scipy.special.k0(x), N, "scipy.special.k0 is not known on traced arrays"),
    (lambda x: np.exp(x, out=x), N, "np.exp(..., out=...) has no meaning here"),
    (lambda x: x.astype(complex), N, "an array of float64 cannot become complex128"),
    (lambda x: np.zeros(3, dtype=complex) + x, {"x": "3"}, "an array of complex128 cannot be traced"),
    (lambda x, i: i & 3, PLACES, "np.bitwise_and of numbers has no meaning here"),
    (lambda x: np.select([x > 0], [x, x]), N, "np.select has 1 conditions and 2 choices"),
    (lambda x: np.piecewise(x, [x > 0], [x, x, x]), N, "np.piecewise has 1 conditions and 3 functions"),
    (lambda x: np.choose([0], [x, x], mode="wrap"), N, "np.choose with mode='wrap' is not known"),
    (lambda x: np.array(x, ndmin=2), N, "ndmin= adds dimensions"),
    (lambda x: np.sum(x, where=np.ones((2, 3), bool)), {"x": "3"}, "where= has more dimensions than the array"),
    (lambda x: np.average(x, weights=x[0]), M, "the weights have another shape than the array"),
    (lambda x: scipy.special.logsumexp(x, return_sign=True), N, "scipy.special.logsumexp(..., return_sign=...)"),
    (lambda x: np.cumulative_sum(x, include_initial=True), N, "include_initial= has no meaning here"),
    (lambda x: np.cumulative_sum(x), M, "axis= is needed for an array of several dimensions"),
    (lambda x: np.cross(x, x), {"x": "n 2"}, "np.cross takes vectors of three elements, and here the dimension is 2"),
    (lambda x: np.diagonal(x), N, "a diagonal of an array of one dimension"),
    (lambda x: np.diag(x), {"x": "n n n"}, "np.diag of an array of 3 dimensions"),
    (lambda x: np.tril(x), N, "a triangle of an array of one dimension"),
    (lambda x: np.roll(x, (1, 2, 3), (0, 1)), M, "np.roll has 3 shifts and 2 axes"),
    (lambda x, i: np.repeat(x, i), {"x": "n", "i": "int n"}, "np.repeat by traced counts"),
    (lambda x: np.concatenate([x[0], x[1]]), N, "numbers are joined, and they have no dimension"),
    (lambda x: np.delete(x, 3), {"x": "3"}, "np.delete at a place outside of a dimension of 3: it needs 4 elements"),
    (lambda x: np.insert(x, -5, 1.0), {"x": "3"}, "np.insert at a place outside of a dimension of 3: it needs 5 elements"),
    (lambda x: np.partition(x, 3), {"x": "3"}, "np.partition at a place outside of a dimension of 3: it needs 4 elements"),
    (lambda x, i: np.delete(x, i), {"x": "n", "i": "int"}, "np.delete at places that are not known"),
    (lambda x: np.delete(x, [0, -1]), N, "np.insert or np.delete at places from both ends of a dimension"),
    (lambda x: np.insert(x, [1.5], 0.0), N, "np.insert at places of dtype float64"),
    (lambda x: np.delete(x, slice(2)), N, "np.delete by a slice of a dimension of n"),
    (lambda x: scipy.linalg.block_diag(x), {"x": "n n n"}, "scipy.linalg.block_diag of an array of 3 dimensions"),
    (lambda x: np.pad(x, ((1, 1), (2, 2))), N, "np.pad: pad_width does not fit an array of 1 dimensions"),
    (lambda x: np.split(x, 0), N, "an array is split into 0 parts"),
    (lambda x: np.indices((x.shape[0],), sparse=True), N, "np.indices(..., sparse=True) has no meaning here"),
    (lambda x: np.vander(x), M, "np.vander of an array of 2 dimensions"),
    (lambda x, i: np.take(x, i, mode="foo"), PLACES, "np.take with mode='foo' is not known"),
    (lambda x, i: np.take_along_axis(x, i, 0), {"x": "n m", "i": "int n"}, "the indices have 1 dimensions and the array 2"),
    (lambda x: np.compress(x > 0, x), N, "np.compress by a traced condition"),
    (lambda x: np.put([1.0, 2.0], [0], x[0]), N, "np.put writes to an array that is not traced"),
    (lambda x: np.putmask(x, x > 0, x), N, "np.putmask and np.place with several values"),
    (lambda x: np.fill_diagonal(x, x[0]), {"x": "n n"}, "np.fill_diagonal beyond a number"),
    (lambda x: np.gradient(x, edge_order=2), N, "np.gradient with edge_order=2 is not known"),
    (lambda x: np.gradient(x, 1.0, 2.0), N, "np.gradient has 2 spacings for 1 axes"),
    (lambda x: np.polyval(x, 2.0), M, "a polynomial with coefficients of several dimensions"),
    (lambda x: np.convolve(x, x), M, "np.convolve and np.correlate take arrays of one dimension"),
    (lambda x: np.convolve(x, x, "foo"), N, "np.convolve with mode='foo' is not known"),
    (lambda x, i: np.searchsorted(x, 0.5, sorter=i), PLACES, "np.searchsorted(..., sorter=...)"),
    (lambda x: np.digitize(x, np.array([1.0, 0.0])), N, "np.digitize with bins that decrease"),
    (lambda x: np.interp(x, x, x, period=1.0), N, "np.interp(..., period=...)"),
    (lambda x, i: np.bincount(i, minlength=None), PLACES, "np.bincount without minlength="),
    (_add_at_outside, N, "np.add.at of an array that is not traced"),
    (lambda x: np.multiply.at(x, [0], 2.0), N, "np.multiply.at is not known on traced arrays"),
    (lambda x: np.add.reduceat(x, [0, 2]), N, "np.add.reduceat is not known on traced arrays"),
    (lambda x: np.subtract.reduce(x), N, "np.subtract.reduce is not known on traced arrays"),
    (lambda x: np.logaddexp.accumulate(x), N, "np.logaddexp.accumulate is not known on traced arrays"),
    (lambda x: np.sin.outer(x, x), N, "np.sin.outer is not known on traced arrays"),
    (lambda x: np.block([[x], []]), N, "no arrays are joined"),
    (lambda x: x[x > 0], N, "a mask selects elements, and their number is not known"),
    (lambda x: x[x > 0][0], N, "an index of elements that a mask selects"),
    (lambda x: len(x[x > 0]), N, "len() of elements that a mask selects"),
    (lambda x: [v for v in x[x > 0]], N, "a Python loop of elements that a mask selects"),  # noqa: C416
    (lambda x: np.cumsum(x[x > 0]), N, "np.cumsum of elements that a mask selects"),
    (lambda x: np.sum(x[x > 0] * x[x < 1]), N, "elements selected by two different masks meet"),
    (lambda x: np.sum(x[x > 0] * x), N, "elements that a mask selects meet an array of another shape"),
    (lambda x: x[0][x > 0], M, "a mask of 2 dimensions for an array of 1"),
    (lambda x: _put(x, x > 0, x), N, "an array is assigned to places that a mask selects"),
    (lambda x, i: _put(i, 0, x[0]), PLACES, "values of float64 are assigned to an array of int64"),
    (lambda x: _put(x, slice(None), np.ones((2, 3))), {"x": "3"}, "more dimensions or elements than the place"),
]


@pytest.mark.parametrize(("function", "args", "message"), REFUSED)
def test_what_numpy_means_otherwise_is_refused_with_what_to_write(
        function: Callable[..., Any], args: dict[str, str], message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        gradc.compile(function, args, jit=False)
    lines = str(caught.value).splitlines()
    assert message in lines[0]
    assert "(line " in lines[0]
    assert len(lines) == 2 and lines[1].endswith(".")
    assert ('compile with static=("k",)' in lines[1]) == ("k" in args)


def test_the_fourier_transform_written_as_advised_is_that_of_numpy() -> None:
    def power(x: Any) -> Any:
        n = x.shape[0]
        angle = 2 * np.pi * np.outer(np.arange(n), np.arange(n)) / n
        return (np.cos(angle) @ x) ** 2 + (-np.sin(angle) @ x) ** 2

    f = gradc.compile(power, N, jit=False)
    for n in (1, 4, 7):
        x = np.random.default_rng(n).uniform(-1.0, 1.0, n)
        close(f(x), np.abs(np.fft.fft(x)) ** 2)


def test_a_variance_of_too_few_elements_is_no_number_below_0() -> None:
    x = np.array([1.0, 3.0])
    for ddof, of_two in ((1, 2.0), (2, np.inf), (5, np.inf)):
        variance = gradc.compile(f"var(x, ddof={ddof})", args={"x": "n"}, jit=False)
        np.testing.assert_equal([variance(x), variance(x[:1])], [of_two, np.nan])
    none = gradc.compile(lambda x: np.var(x, ddof=1, where=x > 5.0), {"x": "n"}, jit=False)
    np.testing.assert_equal(none(x), np.nan)
    assert gradc.compile(lambda x: np.cov(x, ddof=3), {"x": "n"}, jit=False)(x) == np.inf


def test_an_unknown_attribute_is_an_error_of_gradc_and_missing_for_hasattr() -> None:
    for function in (lambda x: x.foo, lambda x: x[x > 0].foo):
        with pytest.raises(AttributeError) as caught:
            gradc.compile(function, N, jit=False)
        assert isinstance(caught.value, gradc.UnsupportedError)
    f = gradc.compile(lambda x: x * (hasattr(x, "tofile") + hasattr(x[x > 0], "tofile") + 2 * hasattr(x, "shape")), N,
                      jit=False)
    close(f([1.0, 2.0]), [2.0, 4.0])


def test_a_read_may_be_proved_by_an_equality_that_is_met_later() -> None:
    f = gradc.compile(lambda x: x[0, 0] + np.array([1.0, 2.0, 3.0]) * x[0] + np.array([x[0, 0]])[0], M, jit=False)
    close(f([[1.0, 2.0, 3.0]]), [3.0, 6.0, 11.0])
    with pytest.raises(gradc.ShapeError, match="3"):
        f([[1.0, 2.0]])


def counted(x: Any, k: int = 2) -> Any:
    return np.sum(x[k:] ** 2)


def test_a_number_that_has_to_stay_one_can_be_static() -> None:
    for given in ({"x": "n", "k": ""}, {"x": "n", "k": "int"}, None):
        with pytest.raises(gradc.UnsupportedError, match=r'If k is to stay a Python number, compile with static=\("k",\)'):
            gradc.compile(counted, given, jit=False)([1.0, 2.0, 3.0])
    assert gradc.compile(counted, static="k", jit=False)([1.0, 2.0, 3.0]) == 9.0


def test_sizes_that_numpy_would_read_otherwise_are_refused_when_called() -> None:
    f = gradc.compile(lambda x, y: x[-y.shape[0]:] * 1.0, {"x": "n", "y": "m"}, jit=False)
    close(f([1.0, 2.0, 3.0], [0.0, 0.0]), [2.0, 3.0])
    with pytest.raises(gradc.GradcError, match="a slice counts from the end by m, which is 0"):
        f([1.0, 2.0], np.zeros(0))
    g = gradc.compile(lambda x, y: np.convolve(x, y, "valid"), {"x": "n", "y": "m"}, jit=False)
    with pytest.raises(gradc.GradcError, match="a first array shorter than the second: exchange them"):
        g([1.0], [1.0, 2.0])
    for edited in (lambda x: np.delete(x, 2), lambda x: np.delete(x, -3), lambda x: np.insert(x, [0, 3], 1.0),
                   lambda x: np.partition(x, 2)):
        with pytest.raises(gradc.ShapeError, match=r"at a place outside of a dimension of n: it needs 3 .*\(here n = 2\)"):
            gradc.compile(edited, {"x": "n"}, jit=False)([1.0, 2.0])


def test_masks_index_arrays_and_running_sums_compile_once_for_every_size() -> None:
    def score(x: Any, i: Any) -> Any:
        y = np.cumprod(x)
        y[i] += x[::-1][i] ** 2
        y[x < 0] = 0.5
        np.add.at(y, i, x[i])
        return np.sum(x[x > 0]) * np.sum(y * np.cumsum(y)[::-1] + np.maximum.accumulate(x) ** 2)

    f = gradc.compile(score, {"x": "n", "i": "int m"}, cache=False)
    plain = gradc.compile(score, {"x": "n", "i": "int m"}, jit=False)
    for n in (3, 6):
        x = np.random.default_rng(n).uniform(-1.0, 1.0, n)
        i = np.array([0, 2, 0, 1])
        close(f(x, i), score(x, i))
        close(f.grad(x, i), plain.grad(x, i))
    assert len(f.grad.jit.signatures) == 1
