"""Table entries: roots, exponentials, logarithms, trigonometric and hyperbolic functions.

A rule is written in the form that keeps its digits, not in the one that reuses the forward value:
tanh' through exp(-2|x|), asin' through sqrt((1 - x)(1 + x)), a sigmoid's derivative through
exp(-|x|). Where the chain rule would bring a cancellation back in the second derivative, the
derivative is an operation of its own (`internal`), so that the family is closed under
differentiation and every order keeps its digits. Formulas without a source are in Abramowitz and
Stegun, "Handbook of Mathematical Functions" (1964), chapters 3 and 4.
"""

from __future__ import annotations

from typing import Any

from .table import MULTIPLY, Guarded, entry

LN2, LN10 = 0.6931471805599453, 2.302585092994046
INF = float("inf")
ANY = (-20.0, 20.0)
WIDE = (-700.0, 700.0)
POSITIVE = (1e-8, 1e8)
UNIT = (-1.0, 1.0)


def _call(name: str) -> dict[str, Any]:
    return {"spelling": name + "({0})", "imports": "numpy"}


def _kernel(name: str, count: int = 1) -> dict[str, Any]:
    return {"spelling": f"{name}({', '.join(f'{{{i}}}' for i in range(count))})", "imports": "kernels"}


def _cube_root(np: Any, x: Any) -> Any:
    """NumPy's, which may be wrong by some units in the last place, with a Newton step."""
    y = np.cbrt(x)
    inside = np.isfinite(y) & (y != 0.0)
    x, near = np.where(inside, x, 1.0), np.where(inside, y, 1.0)
    return np.where(inside, near - (near - x / (near * near)) / 3.0, y)


def _one_minus_square(np: Any, x: Any) -> Any:
    """1 - x**2 in the form that rounds least: near 1 the difference is taken before it is multiplied."""
    return np.where(np.abs(x) < 0.5, 1.0 - x * x, (1.0 - x) * (1.0 + x))


# -- roots ------------------------------------------------------------------------------------
entry("sqrt", 1, imports="numpy", is_function=False, partials=lambda o, y, x: [0.5 / y], sympy=(),
      domain=((1e-200, 1e300),), edges={(0.0,): (0.0, (INF,)), (4.0,): (2.0, (0.25,))}, note="sqrt'(0) = inf")
entry("root_of_squares", 1, numpy="sqrt", exact="sqrt", **_call("sqrt"), is_function=False, internal=True,
      partials=lambda o, y, x: [Guarded(0.5 / y, o.greater(x, 0.0))], domain=(POSITIVE,),
      edges={(0.0,): (0.0, (0.0,))}, kink=lambda o, y, x: o.eq(x, 0.0),
      note="the square root of a sum of squares, a norm: its derivative at 0 is 0")
entry("cbrt", 1, numpy=_cube_root, exact=lambda mp, x: mp.sign(x) * mp.cbrt(abs(x)), imports="kernels",
      partials=lambda o, y, x: [1.0 / (3.0 * (y * y))], domain=((-1e100, 1e100),), sympy=("cbrt",),
      edges={(8.0,): (2.0, (1 / 12,)), (0.0,): (0.0, (INF,))}, note="cbrt'(0) = inf")
entry("hypot", 2, imports="numpy", is_function=False, exact="hypot",
      partials=lambda o, y, a, b: [o.unit(a, b), o.unit(b, a)], domain=((-1e10, 1e10), (-1e10, 1e10)),
      edges={(0.0, 0.0): (0.0, (0.0, 0.0)), (3.0, 4.0): (5.0, (0.6, 0.8))},
      kink=lambda o, y, a, b: o.eq(y, 0.0), note="the derivative at (0, 0) is 0")
entry("unit", 2, internal=True, **_kernel("unit", 2), is_function=False,
      numpy=lambda np, a, b: np.where((np.hypot(a, b) == 0) | np.isinf(a), np.sign(a), a / np.hypot(a, b)),
      exact=lambda mp, a, b: a / mp.hypot(a, b) if a or b else mp.mpf(0),
      partials=lambda o, y, a, b: [
          Guarded(o.unit(b, a) * (o.unit(b, a) / o.hypot(a, b)), o.greater(o.hypot(a, b), 0.0)),
          Guarded(-(y * (o.unit(b, a) / o.hypot(a, b))), o.greater(o.hypot(a, b), 0.0))],
      domain=(ANY, ANY), edges={(0.0, 0.0): (0.0, (0.0, 0.0))},
      kink=lambda o, y, a, b: o.eq(o.hypot(a, b), 0.0),
      note="a / hypot(a, b), the cosine of the angle of (a, b); it and its derivative are 0 at (0, 0)")

# -- exponentials and logarithms --------------------------------------------------------------
entry("exp", 1, imports="numpy", partials=lambda o, y, x: [y], sympy=("exp",), domain=(WIDE,),
      edges={(0.0,): (1.0, (1.0,)), (-INF,): (0.0, (0.0,))})
entry("exp2", 1, imports="numpy", exact=lambda mp, x: mp.power(2, x),
      partials=lambda o, y, x: [LN2 * y], domain=((-1000.0, 1000.0),), edges={(3.0,): (8.0, (8 * LN2,))})
entry("expm1", 1, imports="numpy", partials=lambda o, y, x: [o.exp(x)], domain=(WIDE,),
      edges={(0.0,): (0.0, (1.0,))}, note="the derivative is exp(x), not expm1(x) + 1")
entry("log", 1, imports="numpy", exact="log", partials=lambda o, y, x: [1.0 / x], domain=((1e-300, 1e300),),
      formula=("log", "ln"), edges={(1.0,): (0.0, (1.0,)), (0.0,): (-INF, (INF,))})
entry("log2", 1, imports="numpy", exact=lambda mp, x: mp.log(x, 2), domain=((1e-150, 1e300),),
      partials=lambda o, y, x: [1.4426950408889634 / x], edges={(8.0,): (3.0, (1 / (8 * LN2),))})
entry("log10", 1, imports="numpy", exact="log10", partials=lambda o, y, x: [0.4342944819032518 / x],
      domain=((1e-150, 1e300),), edges={(100.0,): (2.0, (1 / (100 * LN10),))})
entry("log1p", 1, imports="numpy", exact="log1p", partials=lambda o, y, x: [1.0 / (1.0 + x)],
      domain=((-1.0, 1e300),), edges={(0.0,): (0.0, (1.0,)), (1e-20,): (1e-20, (1.0,))})
entry("logaddexp", 2, imports="numpy", exact=lambda mp, a, b: mp.log(mp.exp(a) + mp.exp(b)),
      partials=lambda o, y, a, b: [o.sigmoid(a - b), o.sigmoid(b - a)], domain=(WIDE, WIDE),
      edges={(1000.0, 1000.0): (1000.0 + LN2, (0.5, 0.5)), (-INF, 0.0): (0.0, (0.0, 1.0))})
entry("xlogy", 2, **_kernel("xlogy", 2), numpy="special.xlogy", domain=(ANY, POSITIVE),
      exact=lambda mp, x, y: x * mp.log(y) if x else mp.mpf(0),
      partials=lambda o, y, a, b: [o.log(b), Guarded(a / b, o.not_equal(a, 0.0))],
      edges={(0.0, 0.0): (0.0, (-INF, 0.0)), (0.0, 2.0): (0.0, (LN2, 0.0))}, note="x log(y), 0 at x = 0")
entry("xlogx", 1, internal=True, **_kernel("xlogx"),
      numpy=lambda np, x: np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, x))),
      exact=lambda mp, x: x * mp.log(x) if x else mp.mpf(0),
      partials=lambda o, y, x: [1.0 + o.log(x)], domain=((1e-300, 1e300),),
      edges={(0.0,): (0.0, (-INF,)), (1.0,): (0.0, (1.0,))}, note="x log(x), and 0 at 0")



def _gaussian_numpy(np: Any, x: Any) -> Any:
    """exp(-x**2) with the part that x * x rounds away (Dekker's exact product), as the kernel has it."""
    x = np.clip(x, -1e3, 1e3)
    square, scaled = x * x, 134217729.0 * x
    high = scaled - (scaled - x)
    low = x - high
    e = np.exp(-square)
    return e - e * ((high * high - square) + 2.0 * high * low + low * low)


entry("gaussian", 1, internal=True, **_kernel("gaussian"), numpy=_gaussian_numpy,
      exact=lambda mp, x: mp.exp(-x * x), partials=lambda o, y, x: [-2.0 * (x * y)], domain=((-25.0, 25.0),),
      edges={(0.0,): (1.0, (0.0,)), (INF,): (0.0, (None,))}, note="exp(-x**2), without the rounding of x*x")

# -- the logistic family ----------------------------------------------------------------------
entry("sigmoid", 1, formula=("sigmoid", "expit"), **_kernel("sigmoid"),
      numpy=lambda np, x: np.where(x >= 0, 1.0 / (1.0 + np.exp(-np.abs(x))),
                                   np.exp(-np.abs(x)) / (1.0 + np.exp(-np.abs(x)))),
      exact=lambda mp, x: 1 / (1 + mp.exp(-x)), partials=lambda o, y, x: [o.sigmoid_slope(x)],
      domain=(WIDE,), edges={(0.0,): (0.5, (0.25,)), (-800.0,): (0.0, (0.0,)),
                                      (800.0,): (1.0, (0.0,))},
      note="the derivative is exp(-|x|)/(1 + exp(-|x|))**2, not s (1 - s)")
entry("sigmoid_slope", 1, internal=True, **_kernel("sigmoid_slope"),
      numpy=lambda np, x: np.exp(-np.abs(x)) / (1.0 + np.exp(-np.abs(x))) ** 2,
      exact=lambda mp, x: mp.exp(-x) / (1 + mp.exp(-x)) ** 2,
      partials=lambda o, y, x: [-(y * o.tanh(0.5 * x))], domain=(WIDE,),
      edges={(0.0,): (0.25, (0.0,))}, note="the derivative of sigmoid")
entry("softplus", 1, **_kernel("softplus"),
      numpy=lambda np, x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
      exact=lambda mp, x: mp.log1p(mp.exp(x)), partials=lambda o, y, x: [o.sigmoid(x)],
      domain=(WIDE,), edges={(0.0,): (LN2, (0.5,)), (800.0,): (800.0, (1.0,)),
                                      (-800.0,): (0.0, (0.0,))}, note="log(1 + exp(x))")
entry("log_cosh", 1, internal=True, **_kernel("log_cosh"),
      numpy=lambda np, x: np.where(
          np.abs(x) < 1.0, 0.5 * np.log1p(np.sinh(np.clip(x, -1.0, 1.0)) ** 2),
          np.abs(x) - LN2 + np.log1p(np.exp(-2.0 * np.abs(x)))),
      exact=lambda mp, x: mp.log(mp.cosh(x)), partials=lambda o, y, x: [o.tanh(x)], domain=(WIDE,),
      edges={(0.0,): (0.0, (0.0,)), (1e-10,): (5e-21, (1e-10,))}, note="log(cosh(x))")

# -- trigonometric functions ------------------------------------------------------------------
entry("sin", 1, imports="numpy", partials=lambda o, y, x: [o.cos(x)], sympy=("sin",), domain=((-1e5, 1e5),),
      edges={(0.0,): (0.0, (1.0,))})
entry("cos", 1, imports="numpy", partials=lambda o, y, x: [-o.sin(x)], sympy=("cos",), domain=((-1e5, 1e5),),
      edges={(0.0,): (1.0, (0.0,))})
entry("tan", 1, imports="numpy", partials=lambda o, y, x: [1.0 + y * y], sympy=("tan",), domain=(ANY,),
      edges={(0.0,): (0.0, (1.0,))})
entry("cot", 1, numpy=lambda np, x: 1.0 / np.tan(x), spelling="1.0 / tan({0})", precedence=MULTIPLY,
      imports="numpy", partials=lambda o, y, x: [-(o.csc(x) * o.csc(x))], sympy=("cot",),
      domain=((1e-6, 3.14159),), edges={(1.5707963267948966,): (None, (-1.0,))})
entry("sec", 1, numpy=lambda np, x: 1.0 / np.cos(x), spelling="1.0 / cos({0})", precedence=MULTIPLY,
      imports="numpy", partials=lambda o, y, x: [y * o.tan(x)], sympy=("sec",), domain=(ANY,),
      edges={(0.0,): (1.0, (0.0,))})
entry("csc", 1, numpy=lambda np, x: 1.0 / np.sin(x), spelling="1.0 / sin({0})", precedence=MULTIPLY,
      imports="numpy", partials=lambda o, y, x: [-(y * o.cot(x))], sympy=("csc",), domain=((1e-6, 3.14159),),
      edges={(1.5707963267948966,): (1.0, (None,))})
entry("asin", 1, numpy="arcsin", **_call("arcsin"), formula=("asin", "arcsin"), sympy=("asin",),
      partials=lambda o, y, x: [o.asin_slope(x)], domain=(UNIT,), edges={(0.0,): (0.0, (1.0,))},
      note="the derivative is 1/sqrt((1 - x)(1 + x)), exact near 1")
entry("asin_slope", 1, numpy=lambda np, x: 1.0 / np.sqrt(_one_minus_square(np, x)), internal=True,
      exact=lambda mp, x: 1 / mp.sqrt(1 - x * x), **_kernel("asin_slope"),
      partials=lambda o, y, x: [x * y * o.atanh_slope(x)], domain=(UNIT,), edges={(0.0,): (1.0, (0.0,))},
      note="1/sqrt(1 - x**2)")
entry("acos", 1, numpy="arccos", **_call("arccos"), formula=("acos", "arccos"), sympy=("acos",),
      partials=lambda o, y, x: [-o.asin_slope(x)], domain=(UNIT,), edges={(0.0,): (None, (-1.0,))})
entry("atan", 1, numpy="arctan", **_call("arctan"), formula=("atan", "arctan"), sympy=("atan",),
      partials=lambda o, y, x: [1.0 / (1.0 + x * x)], domain=((-1e8, 1e8),),
      edges={(0.0,): (0.0, (1.0,))})
entry("acot", 1, numpy=lambda np, x: np.arctan(1.0 / x), exact=lambda mp, x: mp.atan(1 / x),
      spelling="arctan(1.0 / {0})", imports="numpy", formula=("acot", "arccot"), sympy=("acot",),
      partials=lambda o, y, x: [-(1.0 / (1.0 + x * x))], domain=((1e-6, 1e6),),
      edges={(1.0,): (0.7853981633974483, (-0.5,))}, note="atan(1/x), as SymPy's")
entry("asec", 1, numpy=lambda np, x: np.arccos(1.0 / x), spelling="arccos(1.0 / {0})", imports="numpy",
      exact=lambda mp, x: mp.acos(1 / x), formula=("asec", "arcsec"), sympy=("asec",),
      partials=lambda o, y, x: [o.acosh_slope(o.abs(x)) / o.abs(x)], domain=((1.0, 1e6),),
      edges={(2.0,): (None, (0.28867513459481287,))})
entry("acsc", 1, numpy=lambda np, x: np.arcsin(1.0 / x), spelling="arcsin(1.0 / {0})", imports="numpy",
      exact=lambda mp, x: mp.asin(1 / x), formula=("acsc", "arccsc"), sympy=("acsc",),
      partials=lambda o, y, x: [-(o.acosh_slope(o.abs(x)) / o.abs(x))], domain=((1.0, 1e6),),
      edges={(2.0,): (None, (-0.28867513459481287,))})
entry("atan2", 2, numpy="arctan2", spelling="arctan2({0}, {1})", imports="numpy",
      formula=("atan2", "arctan2"), sympy=("atan2",), domain=((-1e3, 1e3), (-1e3, 1e3)),
      partials=lambda o, y, b, a: [
          Guarded(o.unit(a, b) / o.hypot(a, b), o.greater(o.hypot(a, b), 0.0)),
          Guarded(-(o.unit(b, a) / o.hypot(a, b)), o.greater(o.hypot(a, b), 0.0))],
      edges={(0.0, 0.0): (0.0, (0.0, 0.0)), (0.0, 2.0): (0.0, (0.5, 0.0))},
      kink=lambda o, y, b, a: o.eq(o.hypot(a, b), 0.0), note="the derivative at (0, 0) is (0, 0)")


def _sinc_numpy(np: Any, x: Any) -> Any:
    """NumPy's sinc with the argument reduced before pi comes in, as the kernel has it."""
    turns = np.rint(x)
    wave = np.sin(np.pi * (x - turns)) * (1.0 - 2.0 * np.mod(turns, 2.0))
    return np.where(x == 0, 1.0, wave / np.where(x == 0, 1.0, np.pi * x))


def _sinc_derivative_numpy(np: Any, k: Any, x: Any) -> Any:
    """As the kernel has it: Leibniz's rule on x s_0 = sin(x) upwards in k where |x| is large, downwards from
    a Taylor series of higher order where it is small, and the series alone near 0.
    """
    k, x = np.broadcast_arrays(np.asarray(k), np.asarray(x, dtype=float))
    large = np.where(x == 0, 1.0, x)

    def wave(order: Any) -> Any:
        turn = order % 4
        swing = np.where(turn % 2 == 1, np.cos(large), np.sin(large))
        return np.where(turn < 2, swing, -swing)

    def series(order: Any) -> Any:
        j = order % 2
        small = np.where(np.abs(x) < 40.0, x, 0.0)
        power = np.where(j == 1, small, 1.0) * np.where((j + order) // 2 % 2 == 1, -1.0, 1.0)
        first, rest, factorial = power / (j + order + 1.0), np.zeros(x.shape), np.ones(x.shape)
        for _ in range(60):
            power, factorial = power * -(small * small), factorial * ((j + 1.0) * (j + 2.0))
            j = j + 2
            rest = rest + power / (factorial * (j + order + 1.0))
        return first + rest

    falling = series(k + 6)
    for step in range(6):
        falling = (wave(k + 6 - step) - x * falling) / (k + 6.0 - step)
    rising = np.sin(large) / large
    for order in range(1, int(np.max(k, initial=0)) + 1):
        rising = np.where(order <= k, (wave(order) - order * rising) / large, rising)
    value = np.where(np.abs(x) > np.minimum(k + 1.0, 30.0), rising, falling)
    value = np.where((x == 0) | ((k > 0) & (np.abs(x) < 1.5)), series(k), value)
    return np.where(np.isinf(x), 0.0, value)


entry("sinc", 1, numpy=_sinc_numpy, imports="kernels", exact=lambda mp, x: mp.sinc(mp.pi * x),
      partials=lambda o, y, x: [3.141592653589793 * o.sinc_derivative(1, 3.141592653589793 * x)],
      domain=((-100.0, 100.0),), edges={(0.0,): (1.0, (0.0,))}, note="sin(pi x)/(pi x), NumPy's")


entry("sinc_derivative", 2, numpy=_sinc_derivative_numpy, **_kernel("sinc_derivative", 2), internal=True,
      exact=lambda mp, k, x: mp.quad(lambda t: t ** int(k) * mp.cos(x * t + int(k) * mp.pi / 2), [0, 1]),
      partials=lambda o, y, k, x: [None, o.sinc_derivative(k + 1, x)], integers=(0,),
      domain=((0, 3), (-30.0, 30.0)), edges={(0, 0.0): (1.0, (None, 0.0)), (1, 0.0): (0.0, (None, -1 / 3))},
      note="the k-th derivative of sin(x)/x, from its integral over t**k cos(x t + k pi/2)")

# -- hyperbolic functions ---------------------------------------------------------------------
entry("sinh", 1, imports="numpy", partials=lambda o, y, x: [o.cosh(x)], sympy=("sinh",),
      domain=(WIDE,), edges={(0.0,): (0.0, (1.0,))})
entry("cosh", 1, imports="numpy", partials=lambda o, y, x: [o.sinh(x)], sympy=("cosh",), domain=(WIDE,),
      edges={(0.0,): (1.0, (0.0,))})
entry("tanh", 1, imports="numpy", partials=lambda o, y, x: [o.tanh_slope(x)], sympy=("tanh",),
      domain=((-300.0, 300.0),), edges={(0.0,): (0.0, (1.0,)), (400.0,): (1.0, (0.0,))},
      note="the derivative is 4 exp(-2|x|)/(1 + exp(-2|x|))**2, not 1 - tanh(x)**2")
entry("tanh_slope", 1, internal=True, **_kernel("tanh_slope"),
      numpy=lambda np, x: 4.0 * np.exp(-2.0 * np.abs(x)) / (1.0 + np.exp(-2.0 * np.abs(x))) ** 2,
      exact=lambda mp, x: 1 / mp.cosh(x) ** 2, partials=lambda o, y, x: [-2.0 * (o.tanh(x) * y)],
      domain=((-350.0, 350.0),), edges={(0.0,): (1.0, (0.0,))}, note="the derivative of tanh")
entry("coth", 1, numpy=lambda np, x: 1.0 / np.tanh(x), spelling="1.0 / tanh({0})", precedence=MULTIPLY,
      imports="numpy", partials=lambda o, y, x: [-(o.csch(x) * o.csch(x))], sympy=("coth",),
      domain=((1e-6, 300.0),), edges={(400.0,): (1.0, (0.0,))})
entry("sech", 1, imports="kernels",
      numpy=lambda np, x: 2.0 * np.exp(-np.abs(x)) / (1.0 + np.exp(-2.0 * np.abs(x))),
      partials=lambda o, y, x: [-(o.tanh(x) * y)], sympy=("sech",), domain=(WIDE,),
      edges={(0.0,): (1.0, (0.0,)), (800.0,): (0.0, (0.0,))})
entry("csch", 1, numpy=lambda np, x: 1.0 / np.sinh(x), spelling="1.0 / sinh({0})", precedence=MULTIPLY,
      imports="numpy", partials=lambda o, y, x: [-(o.coth(x) * y)], sympy=("csch",),
      domain=((1e-6, 700.0),), edges={(800.0,): (0.0, (0.0,))})
entry("asinh", 1, numpy="arcsinh", **_call("arcsinh"), formula=("asinh", "arcsinh"), sympy=("asinh",),
      partials=lambda o, y, x: [o.asinh_slope(x)], domain=((-1e75, 1e75),), edges={(0.0,): (0.0, (1.0,))})
entry("asinh_slope", 1, numpy=lambda np, x: 1.0 / np.hypot(1.0, x), internal=True,
      exact=lambda mp, x: 1 / mp.sqrt(1 + x * x), **_kernel("asinh_slope"),
      partials=lambda o, y, x: [-(x * y / (1.0 + x * x))], domain=((-1e75, 1e75),),
      edges={(0.0,): (1.0, (0.0,))}, note="1/sqrt(1 + x**2)")
entry("acosh", 1, numpy="arccosh", **_call("arccosh"), formula=("acosh", "arccosh"), sympy=("acosh",),
      partials=lambda o, y, x: [o.acosh_slope(x)], domain=((1.0, 1e8),),
      edges={(1.0,): (0.0, (INF,))}, note="the derivative is 1/sqrt((x - 1)(x + 1)), exact near 1")
entry("acosh_slope", 1, internal=True,
      numpy=lambda np, x: 1.0 / np.where(x < 1e150, np.sqrt((x - 1.0) * (x + 1.0) + 0.0), x),
      exact=lambda mp, x: 1 / mp.sqrt(x * x - 1), **_kernel("acosh_slope"),
      partials=lambda o, y, x: [-(x * y / ((x - 1.0) * (x + 1.0)))], domain=((1.0, 1e8),),
      edges={(2.0,): (0.5773502691896258, (None,))}, note="1/sqrt(x**2 - 1)")
entry("atanh", 1, numpy="arctanh", **_call("arctanh"), formula=("atanh", "arctanh"), sympy=("atanh",),
      partials=lambda o, y, x: [o.atanh_slope(x)], domain=(UNIT,),
      edges={(0.0,): (0.0, (1.0,))})
entry("atanh_slope", 1, numpy=lambda np, x: 1.0 / _one_minus_square(np, x), internal=True,
      exact=lambda mp, x: 1 / (1 - x * x), **_kernel("atanh_slope"),
      partials=lambda o, y, x: [2.0 * (x * y * y)], domain=(UNIT,),
      edges={(0.0,): (1.0, (0.0,))}, note="1/(1 - x**2)")
entry("acoth", 1, numpy=lambda np, x: np.arctanh(1.0 / x), spelling="arctanh(1.0 / {0})",
      exact=lambda mp, x: mp.atanh(1 / x), imports="numpy", formula=("acoth", "arccoth"),
      sympy=("acoth",), partials=lambda o, y, x: [o.atanh_slope(x)], domain=((1.0, 1e8),),
      edges={(2.0,): (0.5493061443340549, (-1 / 3,))})
entry("asech", 1, numpy=lambda np, x: np.arccosh(1.0 / x), spelling="arccosh(1.0 / {0})",
      exact=lambda mp, x: mp.acosh(1 / x), imports="numpy", formula=("asech", "arcsech"),
      sympy=("asech",), partials=lambda o, y, x: [-(o.asin_slope(x) / x)], domain=((1e-6, 1.0),),
      edges={(0.5,): (None, (-2.3094010767585034,))})
entry("acsch", 1, numpy=lambda np, x: np.arcsinh(1.0 / x), spelling="arcsinh(1.0 / {0})",
      exact=lambda mp, x: mp.asinh(1 / x), imports="numpy", formula=("acsch", "arccsch"),
      sympy=("acsch",), partials=lambda o, y, x: [-(o.asinh_slope(x) / o.abs(x))],
      domain=((1e-6, 1e6),), edges={(1.0,): (0.881373587019543, (-0.7071067811865475,))})
