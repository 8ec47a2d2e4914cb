"""The table of NumPy functions that a traced function may use: each as people write it, with its arguments' shapes.

One entry is a case: a name, an ordinary NumPy function, the declarations of its arguments, and the range from
which numbers are drawn (both signs, unless told otherwise). How a case is judged is left to `test_coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.special


class Case(NamedTuple):
    """One entry of the table.

    within   the range of the numbers, in absolute value; `signed` says that both signs are drawn
    seed     of the numbers, chosen so that steps of a difference do not cross a jump
    smallest the smallest size at which the function has a value; below it a call is refused, or NumPy refuses it
    single   whether the dtype for single precision is NumPy's (`item` gives a Python number there)
    """

    name: str
    function: Callable[..., Any]
    args: dict[str, str]
    within: tuple[float, float] = (0.2, 1.5)
    signed: bool = True
    seed: int = 0
    smallest: int = 0
    single: bool = True


A, B, V, W, X, T, S = "n m", "m k", "n", "m", "n m", "b n m", "n n"
SEED = 4                    # numbers whose quotients stay away from whole ones
UNIT: dict[str, Any] = {"within": (0.1, 0.9)}


def _called(function: Callable[..., Any], names: str) -> Callable[..., Any]:
    """The function with named parameters, as tracing needs them."""
    scope: dict[str, Any] = {"function": function}
    exec(f"def named({names}):\n    return function({names})\n", scope)
    return scope["named"]  # type: ignore[no-any-return]


def _one(names: str, shape: str = X, **fields: Any) -> Iterator[Case]:
    """NumPy functions of one argument, by name."""
    for name in names.split():
        function = getattr(scipy.special, name[8:]) if name.startswith("special.") else getattr(np, name)
        yield Case(name, _called(function, "x"), {"x": shape}, **fields)


def _two(names: str, left: str = X, right: str = W, **fields: Any) -> Iterator[Case]:
    """NumPy functions of two arguments that broadcast, by name."""
    for name in names.split():
        function = getattr(scipy.special, name[8:]) if name.startswith("special.") else getattr(np, name)
        yield Case(name, _called(function, "x, y"), {"x": left, "y": right}, **fields)


def _assign(change: Callable[..., Any]) -> Callable[..., Any]:
    """The function that copies its first argument, changes the copy and returns it."""

    def assigning(x: Any, *others: Any) -> Any:
        y = x + 0.0
        change(y, x, *others)
        return y

    return assigning


ELEMENTWISE = [
    *_one("exp exp2 expm1 sin cos tan arctan sinh cosh tanh arcsinh square absolute abs fabs negative positive sinc cbrt"),
    *_one("log log2 log10 log1p sqrt reciprocal special.log1p", signed=False),
    *_one("arcsin arccos arctanh", **UNIT), *_one("arccosh", within=(1.1, 3.0), signed=False),
    *_one("deg2rad rad2deg degrees radians sign floor ceil trunc rint round around fix i0"),
    *_one("isfinite isnan isinf signbit logical_not"),
    *_one("special.expit special.erf special.erfc   special.ndtr special.log_expit "
          "special.softplus special.j0 special.j1 special.i0 special.i1   special.sinc "
          "special.exp10 special.expm1 special.exp2 special.cbrt  special.cosm1"),
    *_one("special.y0 special.y1     special.gamma special.gammaln "
          "special.loggamma special.psi special.digamma special.entr special.factorial special.rgamma "
          "  ", signed=False),
    *_one("special.erfinv special.logit  ", within=(0.1, 0.9), signed=False),
    *_two("add subtract multiply divide true_divide maximum minimum fmax fmin hypot arctan2 logaddexp logaddexp2 copysign "
          "heaviside"),
    *_two("fmod remainder mod floor_divide", seed=SEED),
    *_two("power float_power pow", signed=False),
    *_two("less less_equal greater greater_equal equal not_equal logical_and logical_or logical_xor isclose"),
    *_two("special.xlogy special.xlog1py special.rel_entr special.kl_div special.beta special.betaln  "
          " special.huber special.boxcox", signed=False),
    Case("divmod", lambda x, y: np.divmod(x, y)[0] + np.divmod(x, y)[1], {"x": X, "y": W}, seed=SEED),
    Case("divmod of Python", lambda x, y: divmod(x, y)[0] + divmod(x, y)[1], {"x": X, "y": W}, seed=SEED),
    Case("modf", lambda x: np.modf(x)[0] + 2 * np.modf(x)[1], {"x": X}),
    Case("ldexp", lambda x, i: np.ldexp(x, i), {"x": V, "i": "int n"}),
    Case("polygamma", lambda x: scipy.special.polygamma(1, x), {"x": V}, signed=False),
    Case("jv, yn, iv, kv", lambda x: scipy.special.jv(2, x) + scipy.special.yn(1, x) + scipy.special.iv(2, x), {"x": V},
         signed=False),
    Case("expn", lambda x: scipy.special.expn(2, x), {"x": V}, signed=False),
    Case("round to decimals", lambda x: np.round(x, 1) + np.around(x, decimals=-1) + x.round(1), {"x": V}, seed=3),
    Case("clip", lambda x: np.clip(x, -0.3, 0.4) + x.clip(0.1, None) + np.clip(x, a_min=None, a_max=0.5)
         + np.clip(x, min=-0.3, max=None), {"x": X}),
    Case("clip by arrays", lambda x, y: np.clip(x, -abs(y), abs(y)), {"x": X, "y": W}),
    Case("where", lambda x, y: np.where(x > y, np.log(abs(x)), x * y), {"x": X, "y": W}),
    Case("select", lambda x: np.select([x > 1, x > 0], [x * x, np.exp(x)], default=-1.0), {"x": X}),
    Case("select without default", lambda x: np.select([x > 1, x < 0], [x * x, x**3]), {"x": X}),
    Case("piecewise", lambda x: np.piecewise(x, [x < 0, x >= 1], [lambda v: v**2, np.sin, 0.5]), {"x": X}),
    Case("piecewise with an argument", lambda x: np.piecewise(x, [x < 0], [lambda v, a: v * a, 2.0], 3.0), {"x": V}),
    Case("choose", lambda x, y, i: np.choose(i, [x, y, x * y]), {"x": V, "y": V, "i": "int n"}),
    Case("nan_to_num", lambda x: np.nan_to_num(np.where(x > 1, np.nan, x)) + np.nan_to_num(np.where(x < -1, -np.inf, x), neginf=-3.0)
         + np.nan_to_num(np.where(x < 0.5, np.inf, x * x), posinf=2.0), {"x": X}),
    Case("truth values", lambda x: np.where(((x > 0) & ~(x > 1)) | (x < -1) ^ (x < 0.5), x, -x), {"x": V}),
    Case("isneginf and isposinf", lambda x: np.isneginf(x) | np.isposinf(x), {"x": V}),
    Case("array_equal and allclose", lambda x, y: np.where(np.array_equal(x, y) | np.allclose(x, x), x, y), {"x": V, "y": V}),
    Case("broadcast in three dimensions", lambda x, y, z: x * y[:, None] + z / (2 + x * x), {"x": T, "y": V, "z": "b 1 m"}),
    Case("numbers", lambda x, y: x * y + x**2 / y - 3 + 2 ** x, {"x": "", "y": ""}),
    Case("mirrored operators", lambda x: 2 - x + 1 / (2 + x * x) + 2**x + 3 * x + 7 // x + 5 % x, {"x": V}, seed=2),
    Case("powers", lambda x: x**3 + x**-2 + abs(x) ** 0.5 + x**0 + x**1, {"x": X}),
    Case("integers and truth values", lambda x, i: x * i + (x > 0) * x - (i == 1) * 2.0 + i**2 + i // 2 + i % 2,
         {"x": V, "i": "int n"}),
    Case("real parts", lambda x: np.real(x) + x.real + np.conj(x) + x.conj() + np.conjugate(x) + np.imag(x) + x.imag, {"x": V}),
]

REDUCTIONS = [
    *_one("sum prod mean var std max min ptp any all amax amin argmax argmin count_nonzero average cumsum cumprod "
          "nansum nanmean nanmax nanmin nanprod nanvar nanstd nanargmax nanargmin nancumsum nancumprod "
          "cumulative_sum cumulative_prod special.logsumexp special.softmax special.log_softmax diff trapezoid",
          shape=V),
    *_one("sum prod mean var std max min ptp any all argmax argmin count_nonzero cumsum cumprod nansum nanmean nanmax "
          "special.logsumexp special.softmax", shape=T),
    Case("methods", lambda x: x.sum(0) + x.prod(axis=0) + x.mean(axis=0) + x.var(axis=0) + x.std(0) + x.max(0) + x.min(axis=0),
         {"x": X}),
    Case("more methods", lambda x: np.where(x.any(0) & x.all(axis=0), x.cumsum(0)[-1] * x.cumprod(axis=0)[-1], x.ptp(0) if
         hasattr(x, "ptp") else 0.0), {"x": X}),
    Case("several axes", lambda x: x.mean(axis=(0, 2)) + np.sum(x, axis=(2, 0)) * np.prod(x, (0, -1)) + np.max(x, (0, 2)), {"x": T}),
    Case("keepdims", lambda x: x - np.mean(x, axis=1, keepdims=True) + np.max(x, axis=(0, 1), keepdims=True)
         + x.sum(keepdims=True) * np.std(x, 0, keepdims=True), {"x": X}),
    Case("argmax with keepdims", lambda x: np.argmax(x, axis=1, keepdims=True) + np.argmin(x, axis=0), {"x": X}),
    Case("ddof", lambda x: np.var(x, ddof=1) + np.std(x, axis=0, ddof=1) + np.var(x, axis=(0, 1), ddof=2), {"x": "5 m"}, smallest=1),
    Case("sum where", lambda x: np.sum(x * x, where=x > 0) + np.sum(x, axis=0, where=x < 0.5), {"x": X}),
    Case("mean where", lambda x: np.mean(x * x, where=x > -2) + np.mean(x, axis=0, where=x < 9.0), {"x": X}),
    Case("prod where", lambda x: np.prod(x, axis=0, where=x > 0), {"x": X}),
    Case("max where", lambda x: np.max(x, axis=0, where=x > 0.3, initial=-4.0) + np.min(x, where=x > 0, initial=7.0), {"x": X}),
    Case("any and all where", lambda x: np.any(x > 0, axis=0, where=x < 1) | np.all(x > 0, where=x > -1), {"x": X}),
    Case("var where", lambda x: np.var(x, where=x > -9) + np.std(x, axis=0, where=x < 9), {"x": X}),
    Case("initial", lambda x: np.sum(x, initial=2.0) + np.prod(x, axis=0, initial=3.0) + np.max(x, initial=0.1) + x.sum(initial=1),
         {"x": X}),
    Case("dtype", lambda x: np.sum(x, dtype=np.float64) + np.mean(x, axis=0, dtype=float), {"x": X}),
    Case("average with weights", lambda x, w: np.average(x, weights=w) + np.average(x, axis=1, weights=np.sum(w, axis=0))[0],
         {"x": X, "w": X}, signed=False, smallest=1),
    Case("average along an axis", lambda x, w: np.average(x, axis=0, weights=w), {"x": X, "w": V}, signed=False),
    Case("logsumexp", lambda x, b: scipy.special.logsumexp(x, axis=1) + scipy.special.logsumexp(x, axis=1, b=abs(b)), {"x": X, "b": X}),
    Case("logsumexp keepdims", lambda x: scipy.special.logsumexp(x, axis=0, keepdims=True) + scipy.special.logsumexp(x), {"x": X}),
    Case("softmax over axes", lambda x: scipy.special.softmax(x, axis=(0, 1)) * scipy.special.log_softmax(x, axis=-1), {"x": X}),
    Case("norms", lambda x: np.linalg.norm(x) + np.linalg.norm(x, axis=0) + np.linalg.norm(x, 1, axis=0)
         + np.linalg.norm(x, np.inf, axis=0) + np.linalg.norm(x, -np.inf, axis=0) + np.linalg.norm(x, 3, axis=0), {"x": X}),
    Case("norms of matrices", lambda x: np.linalg.norm(x, "fro") + np.linalg.norm(x, 1) + np.linalg.norm(x, np.inf)
         + np.linalg.norm(x, -1) + np.linalg.norm(x, -np.inf), {"x": X}),
    Case("norms of stacks", lambda x: np.linalg.norm(x, 1, axis=(1, 2)) + np.linalg.norm(x, np.inf, axis=(2, 1))
         + np.linalg.norm(x, axis=(-2, -1)), {"x": T}),
    Case("norm keepdims", lambda x: x / np.linalg.norm(x, axis=1, keepdims=True), {"x": X}),
    Case("norm order 0", lambda x: np.linalg.norm(x, 0, axis=0), {"x": X}),
    Case("vector_norm and matrix_norm", lambda x: np.linalg.vector_norm(x, axis=0) + np.linalg.matrix_norm(x), {"x": X}),
    Case("running sums", lambda x: np.cumsum(x, axis=0) * np.cumsum(x) [0] + x.cumsum(axis=1), {"x": X}),
    Case("running products", lambda x: np.cumprod(x, axis=0) * x + x.cumprod(axis=1), {"x": X}),
    Case("running sum at an index", lambda x: np.cumsum(x)[2] * np.cumsum(x)[1:] + np.cumsum(x)[::-1][1:], {"x": "4"}),
    Case("running sum on a diagonal", lambda A: np.trace(np.cumsum(A, axis=1)) + np.diag(np.cumprod(A, axis=0)), {"A": S}),
    Case("running product reshaped", lambda x: np.cumprod(x, axis=1).reshape(-1), {"x": X}),
    Case("ufuncs reduced", lambda x: np.add.reduce(x) * np.multiply.reduce(x, 0) + np.maximum.reduce(x, axis=None)
         + np.minimum.reduce(x, axis=-2) * np.hypot.reduce(x) + np.logaddexp.reduce(x, axis=(0, 1))
         + np.add.reduce(x, axis=0, initial=2.0, where=x > 0), {"x": X}),
    Case("ufuncs reduced, kept", lambda x: np.add.reduce(x, axis=1, keepdims=True) * np.fmax.reduce(x, keepdims=True), {"x": X}, seed=2),
    Case("ufuncs reduced over a list", lambda x, y: np.maximum.reduce([x, y, x * y]) + np.add.reduce((x, y)), {"x": V, "y": V}),
    Case("truth values reduced", lambda x: np.logical_and.reduce(x > -1) | np.logical_or.reduce(x > 1, axis=0), {"x": X}),
    Case("ufuncs accumulated", lambda x: np.add.accumulate(x) * np.multiply.accumulate(x, axis=1), {"x": X}),
    Case("running maximum", lambda x: np.maximum.accumulate(x, axis=1) * np.minimum.accumulate(x), {"x": T}),
    Case("running maximum of sums", lambda x: np.cumsum(x) - np.maximum.accumulate(np.cumsum(x)), {"x": V}),
    Case("running minimum of whole numbers", lambda x, i: np.minimum.accumulate(i) * x, {"x": V, "i": "int n"}),
    Case("outer operations", lambda x, y: np.add.outer(x, y) * np.subtract.outer(x, y) + np.maximum.outer(x, y)
         + np.multiply.outer(x, [1.0, 2.0])[..., 1:2], {"x": X, "y": W}),
    Case("diff", lambda x: np.diff(x) ** 2, {"x": V}),
    Case("second differences", lambda x: np.diff(x, 2, axis=0) + np.diff(x, n=1, axis=-2)[1:], {"x": "5 m"}),
    Case("diff with ends", lambda x: np.diff(x, prepend=0.0, append=x[-1:] * 2), {"x": V}, smallest=1),
    Case("trapezoid", lambda x, y: np.trapezoid(y, x) + np.trapezoid(y, dx=0.5), {"x": V, "y": V}),
    Case("trapezoid along an axis", lambda x, y: np.trapezoid(y, x, axis=0), {"x": V, "y": X}),
    Case("gradient", lambda x: np.gradient(x) + np.gradient(x, 0.5), {"x": "5"}),
    Case("gradient of a matrix", lambda x: np.gradient(x)[0] * np.gradient(x, axis=1), {"x": "4 3"}),
    Case("gradient on points", lambda x, y: np.gradient(y, np.cumsum(abs(x))), {"x": "5", "y": "5"}),
    Case("cov", lambda x: np.cov(x) + np.cov(x, bias=True), {"x": "3 n"}),
    Case("cov of columns", lambda x: np.cov(x, rowvar=False, ddof=0) + np.corrcoef(x, rowvar=False), {"x": "5 3"}),
    Case("cov of two", lambda x, y: np.cov(x, y), {"x": V, "y": V}),
    Case("argmax as an index", lambda x: x[np.argmax(x)] * x[x.argmin()] + x[np.argmax(abs(x))], {"x": V}),
    Case("count_nonzero", lambda x: np.count_nonzero(x > 0, axis=0) + np.count_nonzero(x > 0.5), {"x": X}),
    Case("nan functions", lambda x: np.nansum(np.where(x > 1, np.nan, x), axis=0) + np.nanmax(np.where(x > 1, np.nan, x))
         + np.nanmean(np.where(x > 1, np.nan, x)) + np.nanprod(np.where(x > 1, np.nan, x), axis=0), {"x": X}),
]

PRODUCTS = [
    Case("matrix vector", lambda A, x: A @ x, {"A": A, "x": W}),
    Case("vector matrix", lambda A, x: x @ A, {"A": A, "x": V}),
    Case("matrix matrix", lambda A, B: A @ B, {"A": A, "B": B}),
    Case("vector vector", lambda x, y: x @ y, {"x": V, "y": V}),
    Case("batched matmul", lambda A, B: A @ B, {"A": T, "B": B}),
    Case("matmul of stacks", lambda A, B: np.matmul(A, np.swapaxes(B, -1, -2)), {"A": T, "B": T}),
    Case("stack times vector", lambda A, x, y: (A @ x)[:, 0] + y @ A @ x, {"A": T, "x": W, "y": V}),
    Case("matmul of four dimensions", lambda A, B: A @ B, {"A": "k b n m", "B": "b m 2"}),
    Case("matmul that broadcasts", lambda A, B: A @ B, {"A": "k 1 n m", "B": "1 b m 2"}),
    Case("dot", lambda A, x: np.dot(A, x) * np.dot(x, x) + A.dot(x), {"A": A, "x": W}),
    Case("dot of a stack", lambda A, B: np.dot(A, B), {"A": T, "B": "b m k"}),
    Case("dot of numbers", lambda x, y: np.dot(x, y) + np.inner(x, y), {"x": V, "y": ""}),
    Case("inner, outer, vdot", lambda x, y: np.outer(x, y) * np.inner(x, x) + np.vdot(y, y), {"x": V, "y": W}),
    Case("inner of matrices", lambda A, B: np.inner(A, B), {"A": A, "B": "k m"}),
    Case("outer of matrices", lambda A, x: np.outer(A, x), {"A": A, "x": W}),
    Case("vecdot", lambda A, B: np.vecdot(A, B) + np.linalg.vecdot(A, B), {"A": A, "B": A}),
    Case("tensordot", lambda A, B: np.tensordot(A, B, axes=([1, 2], [0, 1])), {"A": T, "B": "n m"}),
    Case("tensordot by a number", lambda A, B: np.tensordot(A, B, axes=2) + np.tensordot(A, B, 2), {"A": T, "B": "n m k"}),
    Case("tensordot of nothing", lambda x, y: np.tensordot(x, y, axes=0), {"x": V, "y": W}),
    Case("tensordot by one axis", lambda A, B: np.tensordot(A, B, axes=(-1, 0)), {"A": T, "B": "m k"}),
    Case("einsum", lambda A, x: np.einsum("bij,j->bi", A, x), {"A": T, "x": W}),
    Case("einsum with dots", lambda A, B: np.einsum("...ij,jk->...ik", A, B), {"A": T, "B": B}),
    Case("einsum without arrow", lambda A, B: np.einsum("ij,jk", A, B), {"A": A, "B": B}),
    Case("einsum transposes", lambda A: np.einsum("ba", A) + np.einsum("ij->ji", A), {"A": A}),
    Case("einsum diagonal", lambda A: np.einsum("ii->i", A) * np.einsum("ii", A), {"A": S}),
    Case("einsum of many", lambda A, B, x, y: np.einsum("ij,jk,j,i->k", A, B, x, y), {"A": A, "B": B, "x": W, "y": V}),
    Case("einsum sums", lambda A: np.einsum("ijk->j", A) + np.einsum("ijk->", A), {"A": T}),
    Case("einsum implicit dots", lambda A, B: np.einsum("...j,j", A, B) + np.einsum("i...->...", A)[0], {"A": "m m", "B": W}),
    Case("einsum by lists", lambda A, B: np.einsum(A, [0, 1], B, [1, 2], [0, 2]), {"A": A, "B": B}),
    Case("einsum with dots on both", lambda A, B: np.einsum("...i,...i->...", A, B), {"A": T, "B": "n m"}),
    Case("einsum repeated letters", lambda A, x: np.einsum("iij,j->i", A, x), {"A": "n n m", "x": W}),
    Case("kron of vectors", lambda x, y: np.kron(x, y), {"x": V, "y": W}),
    Case("kron of matrices", lambda A, B: np.kron(A, B), {"A": A, "B": "2 k"}),
    Case("kron taken apart", lambda A, B: np.kron(A, B).reshape(A.shape[0], B.shape[0], A.shape[1], B.shape[1]),
         {"A": A, "B": "b k"}),
    Case("kron of ranks", lambda A, x: np.kron(A, x), {"A": A, "x": W}),
    Case("cross", lambda x, y: np.cross(x, y), {"x": "3", "y": "3"}),
    Case("cross of rows", lambda x, y: np.cross(x, y), {"x": "n 3", "y": "3"}),
    Case("cross of declared sizes", lambda x, y: np.cross(x[:3], y[1:]), {"x": V, "y": V}, smallest=4),
    Case("cross of columns", lambda x, y: np.cross(x, y, axis=0), {"x": "3 n", "y": "3 n"}),
    Case("linalg.cross", lambda x, y: np.linalg.cross(x, y), {"x": "n 3", "y": "n 3"}),
    Case("trace", lambda A: np.trace(A) + A.trace(1) + np.trace(A, -1) + np.linalg.trace(A), {"A": S}),
    Case("trace of a rectangle", lambda A: np.trace(A) + np.trace(A, offset=1), {"A": A}),
    Case("trace of a stack", lambda A: np.trace(A, axis1=1, axis2=2) + np.trace(A, 0, 2, 1), {"A": "b n n"}),
    Case("diagonal", lambda A: np.diagonal(A) * np.diag(A) + A.diagonal(), {"A": S}),
    Case("diagonal with offset", lambda A: np.diagonal(A, 1) * np.diag(A, -1) + A.diagonal(offset=1), {"A": S}),
    Case("diagonal of a stack", lambda A: np.diagonal(A, axis1=1, axis2=2) * np.diagonal(A, 0, -1, -2) + np.linalg.diagonal(A),
         {"A": "b n n"}),
    Case("diagonal of a literal rectangle", lambda A: np.diagonal(A, 1) * np.diag(A, 1), {"A": "3 5"}),
    Case("diag of a vector", lambda x: np.diag(x) @ x, {"x": V}),
    Case("diag with offset", lambda x: np.diag(x, 1) + np.diag(x, -1) + np.diagflat(x, 1), {"x": V}),
    Case("triangles", lambda A: np.tril(A) + np.triu(A, 1) * 2 + np.tril(A, -1), {"A": A}),
    Case("triangles of a stack", lambda A: np.tril(A, k=1) * np.triu(A), {"A": T}),
    Case("convolve", lambda x, y: np.convolve(x, y), {"x": V, "y": W}),
    Case("convolve same", lambda x, y: np.convolve(x, y, "same"), {"x": "5", "y": "3"}),
    Case("convolve same even", lambda x, y: np.convolve(x, y, mode="same") + np.convolve(y, x, mode="same"), {"x": "5", "y": "4"}),
    Case("convolve valid", lambda x, y: np.convolve(x, y, "valid"), {"x": "5", "y": "3"}),
    Case("convolve with a literal", lambda x: np.convolve(x, np.array([1.0, -2.0, 1.0]), "same"), {"x": V}, smallest=3),
    Case("correlate", lambda x, y: np.correlate(x, y) + np.correlate(x, y, "valid"), {"x": "5", "y": "3"}),
    Case("correlate full", lambda x, y: np.correlate(x, y, "full"), {"x": "5", "y": "3"}),
    Case("correlate same", lambda x, y: np.correlate(x, y, "same"), {"x": "5", "y": "4"}),
    Case("polyval", lambda p, x: np.polyval(p, x), {"p": "m", "x": "n k"}),
    Case("polyval of literals", lambda x: np.polyval([1.0, -2.0, 0.5], x), {"x": V}),
    Case("polynomial polyval", lambda c, x: np.polynomial.polynomial.polyval(x, c), {"c": "m", "x": V}),
    Case("vander", lambda x: np.vander(x) @ x + np.vander(x, 3, increasing=True) @ np.array([1.0, 2.0, 3.0]), {"x": V}),
    Case("matrix_transpose", lambda A: np.matrix_transpose(A) + A.mT, {"A": T}),
]

SHAPES = [
    Case("transpose", lambda x: x.T * np.transpose(x) + x.transpose() + x.transpose(1, 0) + np.permute_dims(x, (1, 0)), {"x": X}),
    Case("transpose of three", lambda x: np.transpose(x, (1, 2, 0)) + x.transpose((1, -1, 0)) + np.moveaxis(x, 0, -1), {"x": T}),
    Case("swapaxes", lambda x: np.swapaxes(x, 0, 2) + x.swapaxes(-1, 0), {"x": T}),
    Case("moveaxis of several", lambda x: np.moveaxis(x, [0, 1], [-1, 0]) + np.moveaxis(x, (0, 1), (2, 0)), {"x": T}),
    Case("rollaxis", lambda x: np.rollaxis(x, 2) * 2, {"x": T}),
    Case("rollaxis to a place", lambda x: np.rollaxis(x, 0, 3) + np.rollaxis(x, axis=0, start=3), {"x": T}),
    Case("reshape", lambda x: x.reshape(-1) * np.ravel(x) + x.flatten() + np.reshape(x, -1), {"x": X}),
    Case("merged axes", lambda x: x.reshape(x.shape[0], -1) * 2, {"x": T}),
    Case("split axes", lambda x: x.reshape(2, 3).sum(axis=0), {"x": "6"}),
    Case("split by a size", lambda x, y: x.reshape(y.shape[0], -1) + x.reshape((-1, y.shape[1])), {"x": "n*m", "y": X}),
    Case("unaligned reshape", lambda x: x.reshape(3, 4) * 2, {"x": "2 6"}),
    Case("reshape there and back", lambda x: (x.reshape(-1, 2) ** 2).reshape(x.shape), {"x": "n 4"}),
    Case("reshape in Fortran order", lambda x: x.reshape(3, 4, order="F") + np.ravel(x, order="F").reshape((3, 4)), {"x": "2 6"}),
    Case("reshape to a number", lambda x: x.reshape(()) * 2, {"x": "1 1"}),
    Case("new axes", lambda x: x[:, None] - x[None, :] + np.expand_dims(x, 0) + x[..., np.newaxis], {"x": V}),
    Case("expand_dims of several", lambda x: np.expand_dims(x, (0, -1)), {"x": X}),
    Case("squeeze", lambda x: np.squeeze(x, 1) * x.squeeze() + np.squeeze(x, axis=-1), {"x": "n 1"}),
    Case("atleast", lambda x: np.atleast_1d(x)[0] + np.atleast_2d(x)[0, 0] + np.atleast_3d(x)[0, 0, 0], {"x": ""}),
    Case("atleast of a vector", lambda x: np.atleast_1d(x) + np.atleast_2d(x) + np.atleast_3d(x)[0, :, 0], {"x": V}),
    Case("atleast_3d of a matrix", lambda x: np.atleast_3d(x), {"x": X}),
    Case("broadcast_to", lambda x: np.broadcast_to(x, (5, x.shape[0])), {"x": V}),
    Case("broadcast_arrays", lambda x, y: np.broadcast_arrays(x, y)[1] + np.broadcast_arrays(x, y)[0], {"x": X, "y": W}),
    Case("concatenate", lambda x, y: np.concatenate([x, y, 2 * x]) ** 2, {"x": V, "y": W}),
    Case("concatenate along an axis", lambda x: np.concatenate((x, x * x), axis=1), {"x": X}),
    Case("concatenate flat", lambda x, y: np.concatenate((x, y), axis=None), {"x": X, "y": V}),
    Case("concatenate numbers", lambda x: np.concatenate([x, [1.0, 2.0], np.zeros(2)]), {"x": V}),
    Case("append", lambda x, y: np.append(x, y) * np.append(x, y[::-1]), {"x": V, "y": W}),
    Case("delete", lambda x: np.delete(x, 1) * np.delete(x, -1) + np.delete(x, 0)[::-1], {"x": V}, smallest=2),
    Case("delete several", lambda x: np.delete(x, [2, 0, 2]) * np.delete(x, [-1, -2]) + np.delete(x, []).sum(), {"x": V},
         smallest=3),
    Case("delete along an axis", lambda x: np.delete(x, [0, 2], axis=1) ** 2, {"x": "n 4"}),
    Case("delete flat", lambda x: np.delete(x, 1) ** 2, {"x": "n 4"}, smallest=1),
    Case("delete by a mask or a slice", lambda x: np.delete(x, np.array([True, False, True, False]), 1)
         * np.delete(x, slice(1, 3), axis=1), {"x": "n 4"}),
    Case("insert", lambda x, y: np.insert(x, 1, y) * np.insert(x, -1, [2.0, 3.0, y[0]])[0], {"x": V, "y": W}, smallest=1),
    Case("insert a number", lambda x: np.insert(x, [2, 0, 2], 3.0) ** 2 * np.insert(x, [-1, -2, -2], x[0]), {"x": V},
         smallest=2),
    Case("insert along an axis", lambda x, y: np.insert(x, 1, y, axis=1) * np.insert(x, [0], x[:, :1], axis=1),
         {"x": "n 3", "y": V}),
    Case("insert columns", lambda x: np.insert(x, [3, 1], x[:, :2], axis=1) ** 2, {"x": "n 3"}),
    Case("insert rows", lambda x: np.insert(x, 1, x[:1], axis=0) * np.insert(x, 2, 7.0)[0], {"x": X}, smallest=1),
    Case("block_diag", lambda x, y: scipy.linalg.block_diag(x, 2.0, y, x * x), {"x": X, "y": W}),
    Case("toeplitz", lambda x, y: scipy.linalg.toeplitz(x, y) @ y + scipy.linalg.toeplitz(x) @ x, {"x": V, "y": W}),
    Case("partition", lambda x: np.partition(x, 1)[1] * np.partition(x, (0, -1))[-1] + np.sum(np.partition(x, 1)[:1] ** 2),
         {"x": V}, smallest=2),
    Case("partition of rows", lambda x: np.partition(x, 2)[:, 2] + x[0, np.argpartition(x[0], 0)[0]], {"x": "n 4"},
         smallest=1),
    Case("stack", lambda x: np.stack([x, x**2], axis=1) + np.array([1.0, 2.0]), {"x": V}),
    Case("stack at the end", lambda x: np.stack((x, 2 * x, x * x), axis=-1) + np.stack([x, x, x], -1), {"x": X}),
    Case("hstack and vstack", lambda x: np.hstack([x, x]) * np.vstack([x, -x])[:, 0].sum(), {"x": V}),
    Case("hstack of matrices", lambda x, y: np.hstack((x, y)), {"x": X, "y": "n k"}),
    Case("vstack of matrices", lambda x, y: np.vstack((x, y)), {"x": X, "y": "k m"}),
    Case("dstack", lambda x: np.dstack((x, 2 * x)), {"x": X}),
    Case("dstack of vectors", lambda x: np.dstack((x, 2 * x)), {"x": V}),
    Case("column_stack", lambda x, y: np.column_stack((x, x * x, y)), {"x": V, "y": X}),
    Case("block", lambda A, B: np.block([[A, B], [2 * A, -B]]), {"A": A, "B": "n k"}),
    Case("array of values", lambda x, y: np.array([[x, y], [x * y, 1.0]]) @ np.array([1.0, 2.0]), {"x": "", "y": ""}),
    Case("array of rows", lambda x, y: np.array([x, y, x * y]) + np.asarray([x, y, x]), {"x": V, "y": V}),
    Case("split", lambda x: np.split(x, 2)[0] * np.split(x, 2)[1], {"x": "4"}),
    Case("split of a size", lambda x, y: np.split(x, 2)[0] * y + np.split(x, 2)[1], {"x": "2*n", "y": V}),
    Case("split at places", lambda x: np.concatenate(np.split(x, [1, 3])[::-1]), {"x": "5"}),
    Case("array_split", lambda x: np.concatenate([part * (k + 1) for k, part in enumerate(np.array_split(x, 3))]), {"x": "n"}),
    Case("array_split of a literal", lambda x: np.concatenate([p * (k + 1) for k, p in enumerate(np.array_split(x, 3))]), {"x": "5"}),
    Case("hsplit and vsplit", lambda x: np.hsplit(x, 2)[1] * np.vsplit(x, 2)[0].sum() + np.hsplit(x, 2)[0], {"x": "2 4"}),
    Case("dsplit", lambda x: np.dsplit(x, 2)[1] * 2, {"x": "n m 4"}),
    Case("pad", lambda x: np.pad(x, 1) * np.pad(x, (1, 1), mode="edge") + np.pad(x, 1, constant_values=3.0), {"x": V}),
    Case("pad by two values", lambda x: np.pad(x, (1, 2), constant_values=(2.0, -1.0)), {"x": V}),
    Case("pad of a matrix", lambda x: np.pad(x, ((1, 2), (0, 3))) + np.pad(x, ((1, 2), (0, 3)), "edge"), {"x": X}),
    Case("pad by an array of values", lambda x: np.pad(x, ((1, 2), (2, 1)), constant_values=((1.0, 2.0), (3.0, 4.0))), {"x": X}),
    Case("pad reflect", lambda x: np.pad(x, 2, mode="reflect"), {"x": "n m"}),
    Case("pad reflect far", lambda x: np.pad(x, (5, 7), mode="reflect"), {"x": V}),
    Case("pad symmetric", lambda x: np.pad(x, (3, 6), mode="symmetric"), {"x": V}),
    Case("pad wrap", lambda x: np.pad(x, (3, 6), mode="wrap"), {"x": V}),
    Case("roll", lambda x: np.roll(x, 1) * np.roll(x, -2) + np.roll(x, 7), {"x": V}),
    Case("roll of axes", lambda x: np.roll(x, (1, 2), axis=(0, 1)) + np.roll(x, 1, axis=1) + np.roll(x, 2) + np.roll(x, 1, (0, 1)),
         {"x": X}),
    Case("roll twice along an axis", lambda x: np.roll(x, (1, 1), axis=(0, 0)), {"x": X}),
    Case("flip", lambda x: np.flip(x) + np.flip(x, 0) * np.flip(x, axis=1) + np.fliplr(x) * np.flipud(x) + np.flip(x, (0, 1)), {"x": X}),
    Case("rot90", lambda x: np.rot90(x) * np.rot90(x, 3) + np.rot90(x, k=-1), {"x": X}),
    Case("rot90 by 180", lambda x: np.rot90(x, 2) + np.rot90(x, 0) + np.rot90(x, 2, (1, 0)), {"x": X}),
    Case("tile", lambda x: np.tile(x, 2), {"x": V}),
    Case("tile of a matrix", lambda x: np.tile(x, (2, 3)), {"x": X}),
    Case("tile to more dimensions", lambda x: np.tile(x, (2, 1, 2)), {"x": X}),
    Case("repeat", lambda x: np.repeat(x, 2) * x.repeat(2), {"x": V}),
    Case("repeat along an axis", lambda x: np.repeat(x, 3, axis=1), {"x": X}),
    Case("repeat by counts", lambda x: np.repeat(x, [2, 0, 1], axis=0), {"x": "3 m"}),
    Case("repeat of a matrix", lambda x: np.repeat(x, 2), {"x": X}),
    Case("resize", lambda x: np.resize(x, (3, 4)), {"x": V}, smallest=1),
    Case("meshgrid", lambda x, y: np.meshgrid(x, y)[0] * np.meshgrid(x, y)[1], {"x": V, "y": W}),
    Case("meshgrid ij", lambda x, y: np.meshgrid(x, y, indexing="ij")[0] + np.meshgrid(x, y, indexing="ij", sparse=True)[1],
         {"x": V, "y": W}),
    Case("meshgrid of three", lambda x, y: np.meshgrid(x, y, x)[2] * np.meshgrid(x, y, x)[0], {"x": V, "y": W}),
    Case("sizes in arithmetic", lambda x: x / x.shape[0] + x.size * 0.5 + np.sum(x) / x.shape[1] + np.size(x, 0) + np.ndim(x), {"x": X}),
    Case("astype", lambda x, i: x.astype(float) + i.astype(np.float64) + (x > 0).astype(int), {"x": V, "i": "int n"}),
    Case("copies", lambda x: x.copy() + np.copy(x) + np.ascontiguousarray(x) + np.asarray(x, dtype=float), {"x": X}),
    Case("trim and item", lambda x: x[0].item() * 2 if hasattr(x, "item") else x[0], {"x": V},
         single=False),
    Case("iteration", lambda x: sum(row * (k + 1) for k, row in enumerate(x)), {"x": "3 n"}),
    Case("unpacking", lambda x: x[0] * 2 if len(x) == 3 else x[1], {"x": "3 n"}),
]

INDEXING = [
    Case("slices", lambda x: x[1:] * x[:-1] + x[::-1][1:], {"x": V}),
    Case("slices of matrices", lambda x: x[1:-1, ::2].sum() * x[..., 0] + x[0, 0], {"x": "n 3"}),
    Case("steps", lambda x: x[::2][:1] + x[1::3][:1] + x[::-2][:1] + x[-2::-1][:1], {"x": "6"}),
    Case("steps of a size", lambda x, y: x[::2] * y + x[::-2], {"x": "2*n", "y": V}),
    Case("steps from places", lambda x: x[1:6:2] * x[5:0:-2], {"x": "7"}),
    Case("symbolic ends", lambda x, y: x[: y.shape[0]] * y + x[-y.shape[0]:], {"x": "n+3", "y": V}),
    Case("negative indices", lambda x: x[-1] * x[0] + x[-2, -1], {"x": "4 m"}),
    Case("dots and new axes", lambda x: x[..., None, 0] + x[:, None, ..., 1], {"x": "n m 2"}),
    Case("gather", lambda x, i: x[i] * x[i, 0][:, None], {"x": X, "i": "int m"}),
    Case("gather by a table", lambda x, i: x[i], {"x": X, "i": "int k 2"}),
    Case("several index arrays", lambda x, i, j: x[i, j] * x[i, 0], {"x": "n 3", "i": "int m", "j": "int m"}),
    Case("index arrays that broadcast", lambda x, i, j: x[i[:, None], j], {"x": "n 3", "i": "int m", "j": "int k"}),
    Case("index arrays apart", lambda x, i: x[i, :, i], {"x": "n 2 3", "i": "int m"}),
    Case("index arrays and slices", lambda x, i: x[:, i, 1:] + x[:, i][:, :, :-1], {"x": "n 3 m", "i": "int k"}),
    Case("constant indices", lambda x: x[[2, 0, 1]] * x[np.array([0, -1, 1])] + x[np.array([[0, 1, -2]])], {"x": "4"}),
    Case("constant mask", lambda x: x[np.array([True, False, True, True])] + x[[True, True, False, True]], {"x": "4"}),
    Case("constant mask of a size", lambda x: x[np.array([True, False, True, True])].sum() * x, {"x": V}),
    Case("constant mask of two dimensions", lambda x: x[np.array([[True, False], [True, True]])] * 2, {"x": "2 2 n"}),
    Case("constant mask and slices", lambda x: x[:, np.array([True, False, True])], {"x": "n 3"}),
    Case("one number", lambda x, i: x[i] * 2, {"x": X, "i": "int"}),
    Case("take", lambda x, i: np.take(x, i, axis=1) + x.take(i, axis=1), {"x": "n 3", "i": "int m"}),
    Case("take flat", lambda x, i: np.take(x, i) + np.take(x, [0, 1, 0]), {"x": X, "i": "int 3"}),
    Case("take_along_axis", lambda x, i: np.take_along_axis(x, i, axis=1), {"x": "n 3", "i": "int n 1"}),
    Case("take_along_axis of argmax", lambda x: np.take_along_axis(x, np.argmax(x, axis=0)[None], 0), {"x": X}),
    Case("mask reduced", lambda x: x[x > 0].sum() + np.sum(x[x < 0.5] ** 2), {"x": X}),
    Case("mask in an expression", lambda x: np.mean(np.exp(x[x > -9] * 2) + x[x > -9]) + np.max(x[x > -9]), {"x": V}),
    Case("mask of rows", lambda x: x[x[:, 0] > 0].sum(axis=0) + np.sum(x[x[:, 0] > 0] * x[0]), {"x": X}),
    Case("mask counted", lambda x: x[x > 0].size + x[x > 0].shape[0] + np.size(x[x > 0]), {"x": X}),
    Case("mask of another", lambda x, y: np.dot(x[y > 0], y[y > 0]) + np.sum(x[y > 0] * y[y > 0]), {"x": V, "y": V}),
    Case("compress", lambda x: np.compress([True, False, True], x, axis=1), {"x": "n 3"}),
    Case("extract", lambda x: np.sum(np.extract(x > 0, x)), {"x": X}),
    Case("where on a constant", lambda x: x[np.where(np.array([1, 0, 2]) > 0)] + x[np.flatnonzero([1, 1, 0])], {"x": "3"}),
    Case("interp", lambda x, p, f: np.interp(x, np.cumsum(abs(p)), f), {"x": V, "p": "5", "f": "5"}),
    Case("interp outside", lambda x, f: np.interp(3 * x, np.array([0.0, 1.0, 2.5]), f, left=-1.0, right=7.0), {"x": X, "f": "3"}),
    Case("searchsorted", lambda x, v: np.searchsorted(np.cumsum(abs(x)), v) + np.searchsorted(np.cumsum(abs(x)), v, side="right"),
         {"x": V, "v": X}),
    Case("digitize", lambda v: np.digitize(v, np.array([-0.5, 0.0, 0.7])), {"v": X}),
    Case("bincount", lambda w, i: np.bincount(i, w, minlength=4), {"w": "n", "i": "int n"}),
]

def _mask_set(y: Any, x: Any) -> None:
    y[x > 0] = 2.0
    y[x < -0.5] *= 3.0
    y[x < 0] += x[x < 0] ** 2


def _gather_set(y: Any, x: Any, i: Any, v: Any) -> None:
    y[i] = v
    y[i] += 2.0 * v
    y[i] *= x[0]


def _parts_set(y: Any, x: Any) -> None:
    y[1:-1] = x[2:]
    y[0] = x[1] * x[-1]
    y[-1] += 3.0
    y[::2] *= 2.0
    y[::-1] = y * 1.0


def _places_set(y: Any, x: Any, i: Any) -> None:
    y[i] = x[0] * 3.0
    y[i, 1:] = x[1, 0] ** 2
    y[:, i] += x[:, 0]


ASSIGNMENT = [
    Case("assignment to parts", _called(_assign(_parts_set), "x"), {"x": "6"}),
    Case("assignment to places", _called(_assign(_places_set), "x, i"), {"x": S, "i": "int"}),
    Case("assignment by masks", _called(_assign(_mask_set), "x"), {"x": X}),
    Case("assignment by index arrays", _called(_assign(_gather_set), "x, i, v"), {"x": V, "i": "int m", "v": W}),
    Case("assignment by constants", _called(_assign(lambda y, x: (y.__setitem__([0, 2], x[:2]), y.__setitem__([1, 1, -1], x[:3] * 3))),
         "x"), {"x": "4"}),
    Case("assignment by two index arrays", _called(_assign(lambda y, x, i, j, v: y.__setitem__((i, j), v)), "x, i, j, v"),
         {"x": "n 3", "i": "int m", "j": "int m", "v": W}),
    Case("assignment by rows", _called(_assign(lambda y, x, i, v: y.__setitem__(i, v)), "x, i, v"),
         {"x": X, "i": "int k", "v": "k m"}),
    Case("assignment of a constant mask", _called(_assign(lambda y, x: y.__setitem__(np.array([True, False, True]), x[:2] * 2)), "x"),
         {"x": "3"}),
    Case("assignment by a mask of rows", _called(_assign(lambda y, x: y.__setitem__(x[:, 0] > 0, x[0] * 2)), "x"), {"x": X}),
    Case("assignment of mask to mask", _called(_assign(lambda y, x: y.__setitem__(x > 0, np.exp(x[x > 0]))), "x"), {"x": X}),
    Case("assignment of everything", _called(_assign(lambda y, x: (y.__setitem__(Ellipsis, x * 2), y.__setitem__(slice(None), y + 1))),
         "x"), {"x": X}),
    Case("add.at", _called(_assign(lambda y, x, i, v: np.add.at(y, i, v)), "x, i, v"), {"x": V, "i": "int m", "v": W}),
    Case("add.at of rows", _called(_assign(lambda y, x, i, v: (np.add.at(y, i, v), np.subtract.at(y, i, 2.0))), "x, i, v"),
         {"x": X, "i": "int k", "v": "k m"}),
    Case("add.at of pairs", _called(_assign(lambda y, x, i, j: np.add.at(y, (i, j), x[0, 0])), "x, i, j"),
         {"x": "n 3", "i": "int m", "j": "int m"}),
    Case("put and fill", _called(_assign(lambda y, x: (y.fill(2.0), np.put(y, [0, 1], x[:2]))), "x"), {"x": V}),
    Case("fill_diagonal", _called(_assign(lambda y, x: np.fill_diagonal(y, x[0, 0] * 2)), "x"), {"x": S}),
    Case("put_along_axis and place", _called(_assign(lambda y, x: np.put_along_axis(y, np.argmax(y, axis=1)[:, None], 2.0, 1)), "x"),
         {"x": X}),
    Case("copyto", _called(_assign(lambda y, x: np.copyto(y, x * 2, where=x > 0)), "x"), {"x": X}),
]

CONSTRUCTORS = [
    Case("zeros, ones, full, empty", lambda x: np.zeros((x.shape[0], 2)) + x[:, None] * np.ones(2) + np.full(2, 3.0)
         + 0 * np.empty(2).size, {"x": V}),
    Case("whole constructors", lambda x: x * np.arange(x.shape[0]) + np.zeros(x.shape[0], dtype=int) + np.full(x.shape, 2), {"x": V}),
    Case("full of a traced value", lambda x: np.full((3, x.shape[0]), x) + np.full_like(x, x[0]), {"x": V}),
    Case("likes", lambda x: np.zeros_like(x) + np.ones_like(x) * x + np.empty_like(x) * 0 + np.full_like(x, 2), {"x": X}),
    Case("eye", lambda x: np.eye(x.shape[0]) * x + np.eye(x.shape[0], k=1) + np.identity(x.shape[0]), {"x": V}),
    Case("eye of a rectangle", lambda x: np.eye(x.shape[0], x.shape[1], -1) * x + np.eye(*x.shape), {"x": X}),
    Case("arange", lambda x: x[np.arange(3)] + np.arange(1, 6, 2) + np.arange(0.0, 1.5, 0.5) + np.arange(3, 0, -1), {"x": "4"}),
    Case("arange of sizes", lambda x: np.arange(x.shape[0]) * x + np.arange(1, x.shape[0] + 1)
         + np.arange(0, 2 * x.shape[0], 2) + np.arange(x.shape[0], 0, -1), {"x": V}),
    Case("arange of floats", lambda x: np.arange(x.shape[0], dtype=float) * x + np.arange(float(3))[0], {"x": V}),
    Case("linspace", lambda x: x * np.linspace(0.0, 1.0, 4) + np.linspace(2, 5, 4, endpoint=False) + np.linspace(0, 1, 4, dtype=float),
         {"x": "4"}),
    Case("linspace of traced ends", lambda x, y: np.linspace(x, y, 5) + np.linspace(x[0], y[0], 5)[:, None], {"x": V, "y": V}),
    Case("linspace with a size", lambda x: np.linspace(0, 1, x.shape[0]) * x + np.linspace(x[0], 1, x.shape[0]), {"x": V}),
    Case("linspace of one", lambda x: np.linspace(x[0], 1.0, 1) * 2, {"x": V}),
    Case("linspace with its step", lambda x: np.linspace(x[0], 2.0, 4, retstep=True)[1] * 2, {"x": V}),
    Case("logspace and geomspace", lambda x: np.logspace(0, 1, 4) * x + np.geomspace(1.0, 8.0, 4), {"x": "4"}),
    Case("geomspace of traced ends", lambda x: np.geomspace(x[0], 2.0, 4) + np.logspace(x[0], 2.0, 4, base=2.0), {"x": V}, signed=False),
    Case("tri and indices", lambda x: np.tri(3) * x + np.indices((3, 3))[1] * x + np.tri(3, 3, 1), {"x": "3 3"}),
    Case("tri and indices of sizes", lambda x: np.tri(*x.shape) * x + np.indices(x.shape)[0] * x + np.tri(x.shape[0], x.shape[1], -1),
         {"x": X}),
    Case("fromfunction", lambda x: np.fromfunction(lambda i, j: i + 2 * j, (2, 3)) * x, {"x": "2 3"}),
    Case("ix_", lambda x: x[np.ix_([0, 1], [2, 0])] * 2, {"x": "3 3"}),
    Case("concrete arrays", lambda x: x * np.array([1.0, 2.0]) + np.array([True, False]) * x + np.float64(2) * x + np.linspace(0, 1, 2),
         {"x": "2"}),
    Case("hanning and constants", lambda x: x * np.hanning(4) + np.pi * np.e, {"x": "4"}),
]

FORMS = [
    Case("options by position", lambda x: np.sum(x, 0, None, None, True) + np.mean(x, 0, None, None, True)
         + np.max(x, 0, None, True) + np.var(x, 0, None, None, 0, True) + np.median(x, 0, None, False, True)
         + np.quantile(x, 0.3, 0, None, False, "linear", True), {"x": X}, seed=1, single=False),
    Case("options of methods by position", lambda x: x.sum(0, None, None, True) + x.max(0, None, True) * x.min(0, None, True)
         + x.prod(0, None, None, True, 2.0) + x.std(0, None, None, 0, True), {"x": X}),
    Case("names of NumPy's parameters", lambda x: np.sum(a=x, axis=0) + np.clip(a=x, a_min=-0.3, a_max=1.1)
         + scipy.special.logsumexp(a=x) + np.mean(a=x) + np.transpose(a=x).T + np.squeeze(a=x[None], axis=0)
         + np.roll(a=x, shift=1, axis=0) + np.broadcast_to(array=x, shape=x.shape) + np.asarray(a=x) + np.array(object=x), {"x": X},
         smallest=1),
    Case("constructors by position", lambda x: np.logspace(0, 1, 4, True, 10.0, float) * x + np.arange(0, 4, 1, float)
         + np.zeros(4, float, "C") + np.full(4, 2, order="C") + np.ones(4, like=None), {"x": "4"}),
    Case("assignment through a view by name", _called(_assign(lambda y, x: np.transpose(a=y).__setitem__(0, x[0, 0] * 2)), "x"), {"x": X},
         smallest=1),
    Case("dtypes by position", lambda x: np.asarray(x, float) + np.array(x, np.float64) + x.astype(dtype=float)
         + np.cumsum(x, 0, np.float64) + np.zeros_like(x, int) + np.ones_like(x, dtype=bool), {"x": X}),
    Case("reshape with an order by position", lambda x: np.reshape(x, (4, 3), "F") + np.reshape(x, (4, 3), "C"), {"x": "2 6"}),
    Case("tile and repeat by arrays", lambda x: np.tile(x, np.array([2, 1])) * np.repeat(x, [2], axis=0), {"x": "n 3"}),
    Case("arrays in brackets", lambda x, y: np.r_[x, y, 1.0] * np.r_[2.0, y, x] + np.c_[x, x, [1.0, 2.0, 3.0]].sum(), {"x": "3", "y": V}),
    Case("where=True", lambda x: np.add(x, 1.0, where=True) + np.sum(x, where=True) + x.max(where=True, initial=-9.0), {"x": X}),
    Case("compress as a method", lambda x: x.compress([True, False, True], axis=1) + x.compress([0, 1, 1], 1), {"x": "n 3"}),
    Case("select and piecewise keep the dtype", lambda x: np.select((x > 1, x > 0), (x, 2.0)) + np.select([x > 0], [1.0], 2.0) * x
         + np.piecewise(x, [x < 0], [-1.0, lambda v: v * 2]), {"x": V}, single=False),
    Case("numbers of Python's math", lambda x: math.log(x, 2) + math.hypot(x, 2.0, x) + math.dist([x, 1.0], [2.0, x])
         + math.fsum([x, x * x]) + math.prod([x, x]) + round(x, 1) * x + round(x) * x, {"x": ""}, signed=False),
]

CASES: list[Case] = [*ELEMENTWISE, *REDUCTIONS, *PRODUCTS, *SHAPES, *INDEXING, *ASSIGNMENT, *CONSTRUCTORS, *FORMS]
