"""The few special functions of gradc's own: what SciPy exports no C function for.

Each is written so that the same text runs as plain Python and under Numba: the printer pastes the text
of a function, and of those that it calls, into generated modules (`kernel_text`). So these functions use
nothing but arithmetic, NumPy and the imports that `KERNELS` names, take Python floats, and never raise
or warn: where arithmetic on Python floats would raise, they branch. Poles give infinities as SciPy does.
"""

from __future__ import annotations

import inspect
from typing import NamedTuple

import numpy as np
from numpy import exp, expm1, floor, hypot, inf, log, log1p, power, rint, sign, sin, sqrt


def psi(x: float) -> float:
    """The digamma function, SciPy's, imported when called; a pasted kernel has it from SciPy directly."""
    from scipy.special import psi as digamma

    return float(digamma(x))


def hurwitz_zeta(s: int, x: float) -> float:
    """Hurwitz's zeta function, the sum of (x + k)**-s over k >= 0, for integers s >= 2 and x > 0.

    Euler-Maclaurin summation (DLMF 25.11.28): terms one by one until x + k reaches 12 + s, where the
    asymptotic series of the rest gives full accuracy. The small parts are added first.
    """
    shift = 0
    if x < 12.0 + s:
        shift = int(12.0 + s - x) + 1
    edge = x + shift
    power = 1.0
    for _ in range(s - 1):
        power *= edge
    inverse = 1.0 / edge
    total = 0.0
    term = s * inverse
    order = s
    # B[2j] / (2j)! for j = 1, 2, ...
    for coefficient in (
        8.333333333333333e-02,
        -1.388888888888889e-03,
        3.306878306878307e-05,
        -8.267195767195767e-07,
        2.08767569878681e-08,
        -5.284190138687493e-10,
        1.3382536530684679e-11,
        -3.3896802963225827e-13,
        8.586062056277845e-15,
        -2.174868698558062e-16,
    ):
        total += coefficient * term
        term *= (order + 1.0) * inverse * ((order + 2.0) * inverse)
        order += 2
    total = (1.0 / (s - 1.0) + 0.5 * inverse + total * inverse) / power
    for back in range(shift):
        base = x + (shift - 1 - back)
        power = base
        for _ in range(s - 1):
            power *= base
        if power == 0.0:
            return np.inf
        total += 1.0 / power
    return total


def polygamma(n: int, x: float) -> float:
    """The polygamma function of integer order n >= 0: the n-th derivative of the digamma function.

    For x > 0 it is (-1)**(n + 1) * n! * zeta(n + 1, x) (DLMF 5.15.1). For x < 0 the recurrence's finite
    sum is a difference of two zeta functions, so the cost does not grow with the size of x. At a pole the
    result is an infinity of the sign that SciPy gives; a negative order gives NaN. Orders beyond 50 lose
    range before digits: x**n may overflow where the result would not.
    """
    n = int(n)
    x = float(x)
    if n < 0:
        return np.nan
    if n == 0:
        return psi(x)
    s = n + 1
    if x > 0.0:
        total = hurwitz_zeta(s, x)
    elif x <= 0.0:
        # x is an integer plus offset; the subtraction is exact.
        offset = x - float(np.rint(x)) if x > -1e300 else 0.0
        if offset == 0.0:
            total = np.inf
        else:
            if offset > 0.0:
                above, below = offset, 1.0 - offset
            else:
                above, below = 1.0 + offset, -offset
            mirrored = hurwitz_zeta(s, below) - hurwitz_zeta(s, 1.0 - x)
            total = hurwitz_zeta(s, above) + (mirrored if s % 2 == 0 else -mirrored)
    else:
        return x
    factorial = 1.0
    for k in range(2, s):
        factorial *= k
    return factorial * total if n % 2 == 1 else -(factorial * total)


def sinc_series(k: int, x: float) -> float:
    """The k-th derivative of sin(x) / x by its Taylor series, for |x| up to about 30.

    The sum over j of the parity of k of (-1)**((j + k) / 2) * x**j / (j! * (j + k + 1)). Power and factorial
    are kept apart: the factorial is exact as far as it matters.
    """
    j = k % 2
    power = x if j == 1 else 1.0
    if (j + k) // 2 % 2 == 1:
        power = -power
    factorial = 1.0
    square = x * x
    first = power / (j + k + 1.0)  # added last: what follows is smaller, and so is its rounding
    rest = 0.0
    for _ in range(80):
        power *= -square
        factorial *= (j + 1.0) * (j + 2.0)
        j += 2
        term = power / (factorial * (j + k + 1.0))
        if rest + term == rest:
            break
        rest += term
    return first + rest


def sinc_derivative(k: int, x: float) -> float:
    """The k-th derivative (k >= 0) of sin(x) / x, which is 1 at x = 0.

    It is s_k, the integral of t**k * cos(x * t + k * pi / 2) over t from 0 to 1. Leibniz's rule on
    x * s_0 = sin(x) gives x * s_k + k * s_(k-1) = sin^(k)(x): stable upwards where x is larger than k,
    and downwards where it is smaller, from a Taylor series of higher order, which hardly cancels.
    """
    k = int(k)
    x = float(x)
    if k == 1 and abs(x) < 1.5:     # the series of x / 3 - x**3 / 30 + ..., 2 m / (2 m + 1)!, written out
        u = x * x
        rest = u * (1.0 / 6758061133824000.0 - u * (1.0 / 2554547108585472000.0 - u / 1175091669949317120000.0))
        rest = u * (1.0 / 518918400.0 - u * (1.0 / 93405312000.0 - u * (1.0 / 22230464256000.0 - rest)))
        rest = u * (1.0 / 840.0 - u * (1.0 / 45360.0 - u * (1.0 / 3991680.0 - rest)))
        return -x * (1.0 / 3.0 - u * (1.0 / 30.0 - rest))
    if x == 0.0 or (k > 0 and abs(x) < 1.5):
        return sinc_series(k, x)
    if abs(x) == np.inf:
        return 0.0
    if k == 0:
        return float(np.sin(x)) / x
    sine, cosine = float(np.sin(x)), float(np.cos(x))
    rising = abs(x) > min(k + 1.0, 30.0)
    start = 0 if rising else k + 6
    result = sine / x if rising else sinc_series(start, x)
    for step in range(abs(start - k)):
        order = step + 1 if rising else start - step
        turn = order % 4
        if turn == 0:
            wave = sine
        elif turn == 1:
            wave = cosine
        elif turn == 2:
            wave = -sine
        else:
            wave = -cosine
        result = (wave - order * result) / x if rising else (wave - x * result) / order
    return result


def unit(a: float, b: float) -> float:
    """a / hypot(a, b), the cosine of the angle of (a, b); 0 at (0, 0)."""
    length: float = hypot(a, b)
    direction: float = sign(a)
    return direction if length == 0.0 or abs(a) == inf else a / length


def cbrt(x: float) -> float:
    """The cube root: the C library's, which is off by up to 4 units in the last place, and a Newton step."""
    y: float = np.cbrt(x)
    return y - (y - x / (y * y)) / 3.0 if 0.0 < abs(y) < inf else y


def pow_less(x: float, n: float, k: int) -> float:
    """x**(n - k) with what the difference rounds away brought back: at x = 1e-300 it costs 300 ulp."""
    less = n - k
    back = less - n
    lost = (n - (less - back)) - (k + back)
    y: float = power(x, less)
    size: float = log(abs(x)) if lost != 0.0 and 0.0 < abs(x) < inf else 0.0
    return y * (1.0 + lost * size)


def xlogy(x: float, y: float) -> float:
    """x * log(y), and its limit 0 where x is 0."""
    return 0.0 if x == 0.0 and y == y else x * log(y)


def xlogx(x: float) -> float:
    """x * log(x), and its limit 0 at x = 0."""
    exponent: float = log(x if x != 0.0 else 1.0)
    return x * exponent


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)); exp never overflows, so both tails keep their digits."""
    e: float = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


def sigmoid_slope(x: float) -> float:
    """The derivative of the sigmoid, from exp(-|x|): sigmoid * (1 - sigmoid) would lose all digits."""
    e: float = exp(-abs(x))
    return e / ((1.0 + e) * (1.0 + e))


def softplus(x: float) -> float:
    """log(1 + exp(x)) without overflow."""
    tail: float = log1p(exp(-abs(x)))
    return (x if x > 0.0 else 0.0) + tail


def log_cosh(x: float) -> float:
    """log(cosh(x)): near 0 from cosh(x) - 1 = s**2 / (2 * (1 + s)) with s = exp(-|x|) - 1."""
    size = abs(x)
    s: float = expm1(-size)
    e = 1.0 + s
    near = size < 1.0
    inside = s * s / (2.0 * e) if near else e * e
    rest: float = log1p(inside)
    return rest + (0.0 if near else size - 0.6931471805599453)


def gaussian(x: float) -> float:
    """exp(-x**2), with what x * x rounds away brought back: at x = 25 that is 300 units in the last place.

    Dekker's exact product (T. J. Dekker, "A floating-point technique for extending the available
    precision", Numerische Mathematik 18, 1971).
    """
    x = 1e3 if abs(x) > 1e3 else x  # the product below must not overflow; a NaN passes
    square = x * x
    scaled = 134217729.0 * x
    high = scaled - (scaled - x)
    low = x - high
    e: float = exp(-square)
    return e - e * ((high * high - square) + 2.0 * high * low + low * low)


def tanh_slope(x: float) -> float:
    """The derivative of tanh, from exp(-2|x|): 1 - tanh(x)**2 would lose all digits."""
    e: float = exp(-2.0 * abs(x))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


def sech(x: float) -> float:
    """1 / cosh(x) without overflow."""
    e: float = exp(-abs(x))
    return 2.0 * e / (1.0 + e * e)


def asin_slope(x: float) -> float:
    """1 / sqrt(1 - x**2), the derivative of asin; near 1 the difference is taken before it is multiplied."""
    root: float = sqrt(1.0 - x * x if abs(x) < 0.5 else (1.0 - x) * (1.0 + x))
    return 1.0 / root if root != 0.0 else inf


def asinh_slope(x: float) -> float:
    """1 / sqrt(1 + x**2), the derivative of asinh, without overflow."""
    size = abs(x)
    root: float = sqrt(1.0 + size * size) if size < 1e150 else size
    return 1.0 / root


def acosh_slope(x: float) -> float:
    """1 / sqrt(x**2 - 1), the derivative of acosh, without overflow or cancellation."""
    root: float = sqrt((x - 1.0) * (x + 1.0)) if x < 1e150 else x
    return 1.0 / root if root != 0.0 else inf


def atanh_slope(x: float) -> float:
    """1 / (1 - x**2), the derivative of atanh; near 1 the difference is taken before it is multiplied."""
    product = 1.0 - x * x if abs(x) < 0.5 else (1.0 - x) * (1.0 + x)
    return 1.0 / product if product != 0.0 else inf


def sinc(x: float) -> float:
    """sin(pi x) / (pi x), as NumPy's, and 1 at 0; the sine's argument is reduced before pi comes in."""
    turns: float = rint(x)
    odd: float = turns - 2.0 * floor(0.5 * turns)
    wave: float = sin(3.141592653589793 * (x - turns)) * (1.0 - 2.0 * odd)
    return wave / (3.141592653589793 * x) if x != 0.0 else 1.0


def truncated(x: float) -> int:
    """x cut to a whole number; what has none in 64 bits (NaN too) is the least of them, as NumPy's astype gives it."""
    return int(x) if -9.2233720368547758e18 <= x < 9.2233720368547758e18 else -9223372036854775807 - 1


class Kernel(NamedTuple):
    """What a kernel needs around it: the functions to paste, callee first, and the import lines."""

    functions: tuple[str, ...]
    imports: tuple[str, ...]


KERNELS = {
    "acosh_slope": Kernel(("acosh_slope",), ("from numpy import inf, sqrt",)),
    "asin_slope": Kernel(("asin_slope",), ("from numpy import inf, sqrt",)),
    "asinh_slope": Kernel(("asinh_slope",), ("from numpy import sqrt",)),
    "atanh_slope": Kernel(("atanh_slope",), ("from numpy import inf",)),
    "cbrt": Kernel(("cbrt",), ("import numpy as np", "from numpy import inf")),
    "gaussian": Kernel(("gaussian",), ("from numpy import exp",)),
    "hurwitz_zeta": Kernel(("hurwitz_zeta",), ("import numpy as np",)),
    "log_cosh": Kernel(("log_cosh",), ("from numpy import expm1, log1p",)),
    "polygamma": Kernel(
        ("hurwitz_zeta", "polygamma"), ("import numpy as np", "from scipy.special import psi")
    ),
    "pow_less": Kernel(("pow_less",), ("from numpy import inf, log, power",)),
    "sech": Kernel(("sech",), ("from numpy import exp",)),
    "sigmoid": Kernel(("sigmoid",), ("from numpy import exp",)),
    "sigmoid_slope": Kernel(("sigmoid_slope",), ("from numpy import exp",)),
    "sinc": Kernel(("sinc",), ("from numpy import floor, rint, sin",)),
    "sinc_derivative": Kernel(("sinc_series", "sinc_derivative"), ("import numpy as np",)),
    "softplus": Kernel(("softplus",), ("from numpy import exp, log1p",)),
    "tanh_slope": Kernel(("tanh_slope",), ("from numpy import exp",)),
    "truncated": Kernel(("truncated",), ()),
    "unit": Kernel(("unit",), ("from numpy import hypot, inf, sign",)),
    "xlogy": Kernel(("xlogy",), ("from numpy import log",)),
    "xlogx": Kernel(("xlogx",), ("from numpy import log",)),
}


def kernel_text(name: str) -> str:
    """The text of a kernel and of the kernels it calls, ready to paste into a module.

    Args:
        name: a key of `KERNELS`, whose `imports` the module must make.
    """
    return "\n\n".join(inspect.getsource(globals()[function]) for function in KERNELS[name].functions)


def function_text(name: str) -> str:
    """The text of one function of this module, ready to paste."""
    return inspect.getsource(globals()[name])
