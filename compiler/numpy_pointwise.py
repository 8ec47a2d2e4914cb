"""Pointwise functions of NumPy and SciPy that are no operation of the table: composed of those that are.

Each is an expression that keeps its digits and takes no branch that is not chosen, so derivatives follow from it.
Ufuncs that are operations are in `numpy_functions`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradc.ir.errors import ShapeError

from .arrays import Array
from .numpy_dtypes import converted
from .numpy_functions import FUNCTIONS, POINTWISE, Function, known
from .traced import Trace


def condition(t: Trace, c: Any) -> Any:
    """A value as a truth value: a number is true where it is not 0."""
    array = t.lift(c)
    return t.value(array) if array.dtype == "bool" else t.apply("not_equal", c, 0)


def number(t: Trace, x: Any) -> Any:
    """A value as a number: a truth value counts 0 and 1."""
    array = t.lift(x)
    return t.value(array._replace(node=t.arrays.number(array.node)))


def _same(t: Trace, x: Any) -> Any:
    return t.value(t.lift(x))


def _logical(op: str) -> Function:
    return lambda t, *args: t.apply(op, *(condition(t, a) for a in args))


def _bitwise(op: str, name: str) -> Function:
    def apply(t: Trace, *args: Any) -> Any:
        for value in args:
            if t.lift(value).dtype != "bool":
                raise t.refused(f"np.{name} of numbers has no meaning here",
                                "Use it on truth values, such as (x > 0) & (x < 1), or write np.logical_and.")
        return t.apply(op, *args)

    return apply


COMPOSED: dict[str, Function] = {
    "logical_and": _logical("and"), "logical_or": _logical("or"), "logical_not": _logical("not"),
    "logical_xor": _logical("not_equal"), "bitwise_and": _bitwise("and", "bitwise_and"),
    "bitwise_or": _bitwise("or", "bitwise_or"), "bitwise_xor": _bitwise("not_equal", "bitwise_xor"),
    "invert": _bitwise("not", "invert"), "bitwise_not": _bitwise("not", "bitwise_not"),
    "bitwise_invert": _bitwise("not", "bitwise_invert"),
    "positive": _same, "square": lambda t, x: t.apply("mul", x, x), "reciprocal": lambda t, x: t.apply("div", 1.0, x),
    "deg2rad": lambda t, x: t.apply("mul", x, math.pi / 180), "radians": lambda t, x: t.apply("mul", x, math.pi / 180),
    "rad2deg": lambda t, x: t.apply("mul", x, 180 / math.pi), "degrees": lambda t, x: t.apply("mul", x, 180 / math.pi),
    "logaddexp2": lambda t, x, y: t.apply("logaddexp", x * math.log(2), y * math.log(2)) / math.log(2),
    "isinf": lambda t, x: t.apply("eq", t.apply("abs", x), math.inf),
    "isposinf": lambda t, x: t.apply("eq", x, math.inf), "isneginf": lambda t, x: t.apply("eq", x, -math.inf),
    "where": lambda t, c, a, b: t.apply("select", condition(t, c), a, b),
    "clip": lambda t, x, a_min=None, a_max=None, **ends: _clip(
        t, x, ends.pop("min", a_min), ends.pop("max", a_max), **ends),
    "real": _same, "imag": lambda t, x: _same(t, x).imag, "conj": _same, "conjugate": _same, "real_if_close": _same,
    "isreal": lambda t, x: t.apply("eq", x, x) | True, "iscomplex": lambda t, x: t.apply("not_equal", x, x) & False,
    "ldexp": lambda t, x, i: _scaled(t, _scaled(t, x, t.apply("floordiv", i, 2)), i - t.apply("floordiv", i, 2)),
    "modf": lambda t, x: (x - t.apply("trunc", x), t.apply("trunc", x)),
    "divmod": lambda t, x, y: (t.apply("floordiv", x, y), t.apply("mod", x, y)),
    "isclose": lambda t, a, b, rtol=1e-5, atol=1e-8: t.apply("eq", a, b) | t.apply(
        "less_equal", abs(_same(t, a) - b), atol + rtol * abs(_same(t, b))),
    "special.entr": lambda t, x: -t.apply("xlogy", x, x),
    "special.rel_entr": lambda t, x, y: t.apply("xlogy", x, x / y),
    "special.kl_div": lambda t, x, y: t.apply("xlogy", x, x / y) - x + y,
    "special.xlog1py": lambda t, x, y: t.apply("select", t.apply("eq", x, 0.0), 0.0, x * t.apply("log1p", y)),
    "special.logit": lambda t, x: t.apply("log", x) - t.apply("log1p", -x),
    "special.log_expit": lambda t, x: -t.apply("softplus", -x),
    "special.ndtr": lambda t, x: 0.5 * t.apply("erfc", -x / math.sqrt(2)),
    "special.betaln": lambda t, a, b: t.apply("loggamma", a) + t.apply("loggamma", b) - t.apply("loggamma", a + b),
    "special.factorial": lambda t, x: t.apply("gamma", converted(t, x, float) + 1.0),
    "special.polygamma": lambda t, n, x: t.apply("polygamma", n, converted(t, x, float)),
    "special.yn": lambda t, n, x: t.apply("yn", n, converted(t, x, float)),
    "special.expn": lambda t, n, x: t.apply("expint", n, converted(t, x, float)),
    "float_power": lambda t, x, y: t.apply("pow", converted(t, x, float), converted(t, y, float)),
    "special.rgamma": lambda t, x: 1.0 / t.apply("gamma", x),
    "special.exp10": lambda t, x: t.apply("pow", 10.0, x), "special.sinc": lambda t, x: t.apply("sinc", x),
    "special.cosm1": lambda t, x: -2.0 * t.apply("sin", 0.5 * x) ** 2,
    "special.huber": lambda t, d, r: t.apply("select", t.apply("less_equal", abs(r), d), 0.5 * r * r, d * (
        abs(r) - 0.5 * d)),
    "special.pseudo_huber": lambda t, d, r: d * d * (t.apply("hypot", 1.0, r / d) - 1.0),
    "special.boxcox": lambda t, x, p: t.apply("select", t.apply("eq", p, 0.0), t.apply("log", x), t.apply(
        "expm1", p * t.apply("log", x)) / p),
}
FUNCTIONS |= COMPOSED
POINTWISE.update(COMPOSED)


def _clip(t: Trace, x: Any, low: Any, high: Any) -> Any:
    if low is not None and high is not None:
        return t.apply("clip", x, low, high)
    if low is None and high is None:
        return x
    return t.apply("max", x, low) if high is None else t.apply("min", x, high)


def _scaled(t: Trace, x: Any, i: Any) -> Any:
    """x times a power of two, which as a number of its own would leave the range before the product does."""
    power = t.apply("detach", t.apply("exp2", i))               # or two of them would become the power of the sum
    return t.apply("mul", x, converted(t, power, t.value(t.lift(x)).dtype))


@known("frexp")
def _frexp(t: Trace, x: Any) -> Any:
    """Mantissa, from 0.5 to below 1 in size, and exponent; the logarithm may be one off beside a power of two."""
    size = abs(_same(t, x))
    plain = t.apply("isfinite", size) & t.apply("greater", size, 0.0)
    near = converted(t, t.apply("floor", t.apply("log2", t.apply("select", plain, size, 1.0))), int)
    mantissa = COMPOSED["ldexp"](t, size, -near)                # about 1 to 2
    more = t.apply("select", t.apply("less", mantissa, 1.0), 0, t.apply(
        "select", t.apply("greater_equal", mantissa, 2.0), 2, 1))
    exponent = t.apply("select", plain, near + more, 0)
    return COMPOSED["ldexp"](t, x, -exponent), exponent


@known("math.log", pointwise=True)
def _log(t: Trace, x: Any, base: Any = None) -> Any:
    return t.apply("log", x) if base is None else t.apply("log", x) / t.apply("log", base)


@known("math.hypot")
def _length(t: Trace, *coordinates: Any) -> Any:
    return t.apply("sqrt", sum(t.apply("mul", one, one) for one in coordinates))


@known("math.dist")
def _distance(t: Trace, p: Any, q: Any) -> Any:
    return _length(t, *(t.apply("sub", one, other) for one, other in zip(p, q, strict=True)))


@known("fmax", pointwise=True)
def _fmax(t: Trace, x: Any, y: Any) -> Any:
    return _beside_nan(t, "max", x, y)


@known("fmin", pointwise=True)
def _fmin(t: Trace, x: Any, y: Any) -> Any:
    return _beside_nan(t, "min", x, y)


def _beside_nan(t: Trace, op: str, x: Any, y: Any) -> Any:
    """The extremum of two values of which one may be no number: then it is the other."""
    inner = t.apply("select", t.apply("isnan", y), x, t.apply(op, x, y))
    return t.apply("select", t.apply("isnan", x), y, inner)


@known("fmod", pointwise=True)
def _fmod(t: Trace, x: Any, y: Any) -> Any:
    """The remainder with the sign of x; exact, as that of the absolute values is."""
    size = t.apply("mod", abs(_same(t, x)), abs(_same(t, y)))
    return t.apply("select", t.apply("less", x, 0), -size, size)


@known("signbit", pointwise=True)
def _signbit(t: Trace, x: Any) -> Any:
    """Whether the sign is minus, also that of a zero, which its reciprocal shows."""
    return t.apply("or", t.apply("less", x, 0.0), t.apply("less", t.apply("div", 1.0, x), 0.0))


@known("copysign", pointwise=True)
def _copysign(t: Trace, x: Any, y: Any) -> Any:
    x, y = map(t.value, t.promotion.alike([t.lift(x), t.lift(y), Array(t.graph.const(1.0))])[:2])
    size = t.apply("abs", x)
    return t.apply("select", _signbit(t, y), -size, size)


@known("heaviside", pointwise=True)
def _heaviside(t: Trace, x: Any, h: Any) -> Any:
    """0, h or 1 for a negative, zero or positive x; no number stays none."""
    side = t.apply("select", t.apply("less", x, 0.0), 0.0, t.apply("select", t.apply("greater", x, 0.0), 1.0, x))
    return t.apply("select", t.apply("eq", x, 0.0), h, side)


@known("round around special.round", pointwise=True)
def _round(t: Trace, x: Any, decimals: int = 0) -> Any:
    """Half to even, at a decimal place as NumPy does it: scaled, rounded and scaled back."""
    if t.lift(x).dtype != "float64" and not t.lift(x).dtype.startswith("float"):
        return _same(t, x) if decimals >= 0 else t.apply("round", x)
    if not decimals:
        return t.apply("round", x)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return t.apply("round", x * scale) / scale
    return t.apply("round", x / scale) * scale


@known("nan_to_num", pointwise=True)
def _nan_to_num(t: Trace, x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Numbers in place of NaN and infinities; the largest of the dtype for these, unless they are given."""
    del copy
    array = t.lift(x)
    if not array.dtype.startswith("float"):
        return _same(t, x)
    largest = float(np.finfo(np.float32).max) if array.dtype == "float32" else sys.float_info.max
    low = t.apply("select", t.apply("eq", x, -math.inf), -largest if neginf is None else neginf, x)
    high = t.apply("select", t.apply("eq", x, math.inf), largest if posinf is None else posinf, low)
    return t.apply("select", t.apply("isnan", x), nan, high)


@known("select")
def _select(t: Trace, condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise t.refused(f"np.select has {len(condlist)} conditions and {len(choicelist)} choices",
                        "Write one choice for each condition.", ShapeError)
    *choices, result = map(t.value, t.promotion.alike([t.lift(choice) for choice in (*choicelist, default)]))
    for test, choice in zip(reversed(condlist), reversed(choices), strict=True):
        result = t.apply("select", condition(t, test), choice, result)
    return result


@known("piecewise")
def _piecewise(t: Trace, x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **keywords: Any) -> Any:
    """Each function is evaluated where its condition holds, the last such; the result has the dtype of x."""
    x = _same(t, x)
    tests = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    if len(funclist) not in (len(tests), len(tests) + 1):
        raise t.refused(f"np.piecewise has {len(tests)} conditions and {len(funclist)} functions",
                        "Write one function for each condition, and perhaps one for elsewhere.", ShapeError)
    values = [f(x, *args, **keywords) if callable(f) else f for f in funclist]
    values = list(map(t.value, t.promotion.alike([x.array, *map(t.lift, values)])))[1:]
    result = values.pop() if len(values) > len(tests) else 0
    for test, value in zip(tests, values, strict=True):
        result = t.apply("select", condition(t, test), value, result)
    like = t.arrays.broadcast([x.array, t.lift(result)])
    return converted(t, t.value(Array(like[0][1], like[1])), x.dtype)


@known("choose")
def _choose(t: Trace, a: Any, choices: Any, mode: str = "raise") -> Any:
    """The element of one of several arrays; an index outside is refused at run time."""
    if mode != "raise":
        raise t.refused(f"np.choose with mode={mode!r} is not known", "Clip the index by np.clip.")
    index = t.lift(a)
    options = list(choices)
    t.run(lambda: _checked(t, index, len(options)))
    result = options[-1]
    for k in reversed(range(len(options) - 1)):
        result = t.apply("select", t.apply("eq", a, k), options[k], result)
    return result


def _checked(t: Trace, index: Array, count: int) -> Array:
    from gradc.ir.dims import Dim

    t.bounds.require("the choices", [Dim.of(count)], [index.node], [], None)
    return index


@known("array_equal")
def _array_equal(t: Trace, a1: Any, a2: Any) -> Any:
    """False for arrays of different ranks; sizes must be equal, or the call is refused."""
    left, right = t.lift(a1), t.lift(a2)
    if len(left.axes) != len(right.axes):
        return t.value(Array(t.graph.const(False)))
    for one, other in zip(left.shape, right.shape, strict=True):
        t.arrays.equal(one, other)
    return _all_equal(t, a1, a2)


@known("array_equiv")
def _all_equal(t: Trace, a: Any, b: Any, rtol: float = 0.0, atol: float = 0.0) -> Any:
    return FUNCTIONS["all"](t, COMPOSED["isclose"](t, a, b, rtol, atol))


FUNCTIONS["allclose"] = lambda t, a, b, rtol=1e-5, atol=1e-8: _all_equal(t, a, b, rtol, atol)


def _copies() -> dict[str, Callable[..., Any]]:
    def copied(t: Trace, x: Any, order: Any = "K", copy: Any = True, subok: Any = False, ndmin: int = 0) -> Any:
        del order, copy, subok
        array = t.lift(x)
        if len(array.axes) < ndmin:
            raise t.refused("ndmin= adds dimensions", "Write np.atleast_1d, np.atleast_2d, or x[None].")
        return t.value(array)

    return dict.fromkeys(("array", "asarray", "copy", "ascontiguousarray", "asfortranarray", "asanyarray",
                          "asarray_chkfinite", "require"), copied)


FUNCTIONS |= _copies()
FUNCTIONS |= {
    "astype": lambda t, x, dtype, order="K", casting="unsafe", subok=True, copy=True: converted(t, x, dtype),
    "item": lambda t, x: x.reshape(()) if x.ndim else x,
}
