"""The elementary functions on the lanes of a vector: polynomials and selects, no branch in the usual case.

A kernel takes and gives `Lanes` of float64 and is right for every operand: infinities, NaN, signed zeros,
overflow and gradual underflow. Errors stay below 3 units in the last place, most below 2 (`python -m
tests.accuracy.vector_maths` measures them). Operands that would need a path of their own (a sine of 1e300) take
the C library's function lane by lane: `rarely`. Coefficients are `polynomials`'. Unless a comment says otherwise
the methods are those of J.-M. Muller, "Elementary Functions" (2016), and of Sun's fdlibm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import vector_kernels_single as singles
from .lanes import (
    MAGIC,
    Lanes,
    bits,
    clamped,
    fma,
    from_bits,
    nearest,
    polynomial,
    power_of_two,
    rarely,
    scaled,
    sign_bit,
    sqrt,
    where,
    with_sign,
)
from .polynomials import (
    ASIN,
    ATAN,
    CBRT,
    COS,
    ERF,
    ERF_SHORT,
    ERFC_SHORT,
    ERFCX,
    EXP,
    EXP2,
    EXP_SINGLE,
    LOG,
    LOG_TAIL,
    SIN,
    SINH,
)
from .vector_angles import Angles
from .vector_kernels_single import with_log_edges

LN2_HIGH, LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17
LN2_SHORT, LN2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10     # k * LN2_SHORT is exact
LOG2_E_HIGH, LOG2_E_LOW = 1.4426950408889634, 2.0355273740931033e-17
LOG10_E_HIGH, LOG10_E_LOW = 0.4342944819032518, 1.098319650216765e-17
LOG10_2_SHORT, LOG10_2_REST = 3.01029995663611771306e-01, 3.69423907715893078616e-13
HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)    # the sum is pi / 2
QUARTER_PI = (0.7853981633974483, 3.061616997868383e-17)
TINY = 2.0**-1022                   # the smallest normal number
INF, NAN = math.inf, math.nan
ROOT_HALF = 0x3FE6A09E667F3BCD      # the bits of sqrt(1/2)
MANTISSA = 0x000FFFFFFFFFFFFF
LARGEST_ANGLE = 2.0**28             # beyond it the reduction by three parts of pi / 2 loses digits


class Kernel(NamedTuple):
    """A kernel of float64, the number of its operands, and the kernel for float32.

    Without the latter float32 is computed in float64: `short` marks a kernel for that which gives just enough digits.
    """

    function: Callable[..., Lanes]
    operands: int = 1
    single: Callable[..., Lanes] | None = None
    short: Callable[..., Lanes] | None = None


def dominated(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """A polynomial whose constant outweighs the rest: it is added last, with one rounding."""
    return fma(x, polynomial(x, coefficients[1:]), coefficients[0])


# -- exponentials -----------------------------------------------------------------------------------------------


def whole_exponent(x: Lanes) -> Lanes:
    """x / log(2), rounded to a whole number."""
    return fma(x, 1.4426950408889634, MAGIC) - MAGIC


def reduced_exponent(x: Lanes, low: Lanes | None = None) -> tuple[Lanes, Lanes]:
    """exp(x + low) = 2**n * (1 + q): gives q, which keeps its own digits, and n."""
    n = whole_exponent(x)
    first = fma(n, -LN2_HIGH, x)                                # exact
    second = n * -LN2_LOW if low is None else fma(n, -LN2_LOW, low)
    r = first + second
    return r + fma(r * r, polynomial(r, EXP), (first - r) + second), n


def exp(x: Lanes) -> Lanes:
    """The exponential function."""
    x = clamped(x, -760.0, 720.0)
    n = whole_exponent(x)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
    return scaled(1.0 + fma(r * r, polynomial(r, EXP), r), n)


def exp2(x: Lanes) -> Lanes:
    """2**x."""
    x = clamped(x, -1100.0, 1100.0)
    n = nearest(x)
    r = x - n
    return scaled(fma(r, dominated(r, EXP2), 1.0), n)


def expm1_of(x: Lanes) -> Lanes:
    """exp(x) - 1 but for the sign of a zero."""
    q, n = reduced_exponent(clamped(x, -40.0, 709.9))
    half = power_of_two(n - 1.0)
    return where(n.equals(0.0), q, 2.0 * fma(half, q, half - 0.5))


def expm1(x: Lanes) -> Lanes:
    """exp(x) - 1."""
    return where(abs(x) < 2.0**-54, x, expm1_of(x))


def sixteenth(a: Lanes) -> Lanes:
    """exp(a) / 16 for a up to 711, where exp(a) itself may overflow."""
    q, n = reduced_exponent(a)
    part = power_of_two(n - 4.0)
    return fma(part, q, part)


def cosh(x: Lanes) -> Lanes:
    """The hyperbolic cosine."""
    e = sixteenth(clamped(abs(x), 0.0, 711.0))
    return 8.0 * (e + 0.00390625 / e)


def sinh(x: Lanes) -> Lanes:
    """The hyperbolic sine: below 1 a polynomial, where the difference would cancel."""
    a = clamped(abs(x), 0.0, 711.0)
    z = a * a
    e = sixteenth(a)
    size = where(a < 1.0, fma(a * z, polynomial(z, SINH), a), 8.0 * (e - 0.00390625 / e))
    return with_sign(size, sign_bit(x))


def tanh(x: Lanes) -> Lanes:
    """The hyperbolic tangent, t / (t + 2) with t = exp(2|x|) - 1."""
    a = abs(x)
    t = expm1_of(2.0 * where(a > 22.0, 22.0, a))
    return with_sign(t / (t + 2.0), sign_bit(x))


# -- logarithms -------------------------------------------------------------------------------------------------


def split(x: Lanes) -> tuple[Lanes, Lanes]:
    """x = m * 2**k for a positive normal x, m from sqrt(1/2) to sqrt(2): gives m - 1 and k."""
    shifted = bits(x) + (0x3FF0000000000000 - ROOT_HALF)
    k = from_bits((shifted >> 52) | 0x4330000000000000) - (2.0**52 + 1023.0)
    return from_bits((shifted & MANTISSA) + ROOT_HALF) - 1.0, k


def split_any(x: Lanes) -> tuple[Lanes, Lanes]:
    """As `split`, also for subnormal x."""
    small = x < TINY
    f, k = split(where(small, x * 2.0**54, x))
    return f, where(small, k - 54.0, k)


def log_parts(f: Lanes) -> tuple[Lanes, Lanes]:
    """log(1 + f) = f - h + r with h = f * f / 2: gives h and r."""
    s = f / (2.0 + f)
    z = s * s
    h = 0.5 * f * f
    return h, s * fma(z, polynomial(z, LOG), h)


def log_of(f: Lanes, k: Lanes) -> Lanes:
    """log((1 + f) * 2**k)."""
    h, r = log_parts(f)
    return fma(k, LN2_SHORT, f - (h - fma(k, LN2_REST, r)))


def log(x: Lanes) -> Lanes:
    """The natural logarithm."""
    return with_log_edges(x, log_of(*split_any(x)))


def log1p(x: Lanes) -> Lanes:
    """log(1 + x); what 1 + x rounds away comes back through f = x * 2**-k + (2**-k - 1)."""
    u = 1.0 + x
    m, k = split(u)
    s = power_of_two(-k)
    y = log_of(where(k > 60.0, m, fma(x, s, s - 1.0)), k)
    return where(abs(x) < 2.0**-54, x, with_log_edges(u, y))


def log_high_low(f: Lanes) -> tuple[Lanes, Lanes]:
    """log(1 + f) as a sum of two numbers, the second small."""
    h, r = log_parts(f)
    high = f - h
    return high, ((f - high) - h) + r


def log2(x: Lanes) -> Lanes:
    """The logarithm to base 2; exact at powers of 2."""
    f, k = split_any(x)
    high, low = log_high_low(f)
    v = high * LOG2_E_HIGH
    rest = fma(high, LOG2_E_HIGH, -v) + fma(low, LOG2_E_HIGH, high * LOG2_E_LOW)
    w = k + v
    return with_log_edges(x, w + (rest + ((k - w) + v)))


def log10(x: Lanes) -> Lanes:
    """The logarithm to base 10."""
    f, k = split_any(x)
    high, low = log_high_low(f)
    v = high * LOG10_E_HIGH
    rest = fma(high, LOG10_E_HIGH, -v) + fma(low, LOG10_E_HIGH, fma(high, LOG10_E_LOW, k * LOG10_2_REST))
    whole = k * LOG10_2_SHORT
    w = whole + v
    return with_log_edges(x, w + (rest + ((whole - w) + v)))


def logaddexp(a: Lanes, b: Lanes) -> Lanes:
    """log(exp(a) + exp(b)), the larger of the two taken out."""
    top = where(a > b, a, b)
    apart = where(a.equals(b), 0.0, -abs(a - b))
    return where(a.equals(a) & b.equals(b), top + log1p(exp(apart)), a + b)


# -- powers -----------------------------------------------------------------------------------------------------


def log_twice(f: Lanes, k: Lanes) -> tuple[Lanes, Lanes]:
    """log((1 + f) * 2**k) as a sum of two numbers with about 66 bits: 2 s + s**3 (2/3 + ...), s = f / (2 + f)."""
    d = 2.0 + f
    inverse = 1.0 / d
    s = f * inverse
    s_low = inverse * (fma(-s, d, f) - s * ((2.0 - d) + f))
    z = s * s
    z_low = fma(s, s, -z) + 2.0 * s * s_low
    tail = z * polynomial(z, LOG_TAIL)
    q = 0.6666666666666666 + tail
    q_low = ((0.6666666666666666 - q) + tail) + 3.700743415417188e-17
    u = z * q
    u_low = fma(z, q, -u) + fma(z, q_low, z_low * q)
    v = s * u
    v_low = fma(s, u, -v) + fma(s, u_low, s_low * u)
    double = 2.0 * s
    high = double + v
    low = ((double - high) + v) + (v_low + 2.0 * s_low)
    whole = k * LN2_SHORT
    total = whole + high
    return total, ((whole - total) + high) + (low + k * LN2_REST)


def with_power_edges(x: Lanes, y: Lanes, size: Lanes) -> Lanes:
    """A power from that of |x|: C's special values, signs, NaN for a negative base to a broken exponent."""
    a = abs(x)
    found = where(a.equals(0.0), where(y > 0.0, x.like(0.0), INF), size)
    half = 0.5 * y
    whole = nearest(y).equals(y)
    odd = whole & ~nearest(half).equals(half)
    found = where((x < 0.0) & ~whole, NAN, where(odd, with_sign(found, sign_bit(x)), found))
    found = where(y.equals(0.0), 1.0, found)
    return rarely(~(a < INF) | ~(abs(y) < INF) | ((a < TINY) & (a > 0.0)), found, "pow", x, y)


def power(x: Lanes, y: Lanes) -> Lanes:
    """x**y."""
    high, low = log_twice(*split(abs(x)))
    product = y * high
    rest = fma(y, high, -product) + y * low
    rest = where(abs(product) < 800.0, rest, 0.0)
    q, n = reduced_exponent(clamped(product, -800.0, 800.0), rest)
    return with_power_edges(x, y, scaled(1.0 + q, n))


def cbrt(x: Lanes) -> Lanes:
    """The cube root: 1 / cbrt(m) by two steps of third order, then a correction with the exact residual."""
    a = abs(x)
    small = a < TINY
    b = where(small, a * 2.0**54, a)
    exponent = from_bits((bits(b) >> 52) | 0x4330000000000000) - (2.0**52 + 1023.0)
    k = nearest(exponent * 0.3333333333333333)
    m = from_bits(bits(b) - (bits(3.0 * k + MAGIC) << 52))
    r = polynomial(m, CBRT)
    for _ in range(2):
        e = fma(-m * r, r * r, 1.0)
        r = fma(r * e, fma(e, 0.2222222222222222, 0.3333333333333333), r)
    y = m * r * r
    square = y * y
    residual = fma(-square, y, m) - y * fma(y, y, -square)
    y = fma(residual, r * r * 0.3333333333333333, y)
    y = y * power_of_two(where(small, k - 18.0, k))
    return where((a > 0.0) & (a < INF), with_sign(y, sign_bit(x)), x)


def hypot(a: Lanes, b: Lanes) -> Lanes:
    """sqrt(a**2 + b**2) without overflow or underflow of the squares."""
    a, b = abs(a), abs(b)
    top, rest = where(a > b, a, b), where(a > b, b, a)
    large, small = top > 2.0**500, top < 2.0**-500
    scale = where(large, top.like(2.0**-600), where(small, top.like(2.0**600), 1.0))
    back = where(large, top.like(2.0**600), where(small, top.like(2.0**-600), 1.0))
    top, rest = top * scale, rest * scale
    length = sqrt(fma(rest, rest, top * top)) * back
    return where(a.equals(INF) | b.equals(INF), INF, length)


# -- trigonometric functions ------------------------------------------------------------------------------------


ANGLES = Angles(0.6366197723675814, MAGIC, HALF_PI, SIN, COS, LARGEST_ANGLE, 63, "")


def sin(x: Lanes) -> Lanes:
    """The sine."""
    return ANGLES.sin(x)


def cos(x: Lanes) -> Lanes:
    """The cosine."""
    return ANGLES.cos(x)


def tan(x: Lanes) -> Lanes:
    """The tangent."""
    return ANGLES.tan(x)


def asin_of(a: Lanes) -> tuple[Lanes, Lanes]:
    """For |x| up to 1/2 asin(|x|), beyond it asin(sqrt((1 - |x|) / 2)); and where it is the latter."""
    far = a > 0.5
    z = where(far, fma(a, -0.5, 0.5), a * a)
    s = where(far, sqrt(z), a)
    return fma(s * z, polynomial(z, ASIN), s), far


def asin(x: Lanes) -> Lanes:
    """The inverse sine."""
    y, far = asin_of(abs(x))
    return with_sign(where(far, HALF_PI[0] - (2.0 * y - HALF_PI[1]), y), sign_bit(x))


def acos(x: Lanes) -> Lanes:
    """The inverse cosine."""
    y, far = asin_of(abs(x))
    near = HALF_PI[0] - (with_sign(y, sign_bit(x)) - HALF_PI[1])
    beyond = where(x > 0.0, 2.0 * y, 2.0 * (HALF_PI[0] - (y - HALF_PI[1])))
    return where(far, beyond, near)


def atan_rest(t: Lanes) -> Lanes:
    """atan(t) - t for |t| up to tan(pi / 8)."""
    z = t * t
    return t * z * polynomial(z, ATAN)


def atan(x: Lanes) -> Lanes:
    """The inverse tangent, the argument reduced by pi / 4 or pi / 2."""
    a = abs(x)
    middle, far = a > 0.4142135623730951, a > 2.414213562373095
    t = where(far, a.like(-1.0), where(middle, a - 1.0, a)) / where(far, a, where(middle, a + 1.0, 1.0))
    high = where(far, a.like(HALF_PI[0]), where(middle, a.like(QUARTER_PI[0]), 0.0))
    low = where(far, a.like(HALF_PI[1]), where(middle, a.like(QUARTER_PI[1]), 0.0))
    return with_sign(high + (t + (atan_rest(t) + low)), sign_bit(x))


def atan2(y: Lanes, x: Lanes) -> Lanes:
    """The angle of the point (x, y): a multiple of pi / 4 and the inverse tangent of at most tan(pi / 8)."""
    a, b = abs(y), abs(x)
    steep = a > b
    less, more = where(steep, b, a), where(steep, a, b)
    middle = less > 0.4142135623730951 * more
    t = where(middle, less - more, less) / where(middle, less + more, more)
    t = where((a + b).equals(0.0), 0.0, t)
    quarters = where(middle, t.like(1.0), 0.0)
    quarters = where(steep, 2.0 - quarters, quarters)
    left = bits(x) < 0
    quarters = where(left, 4.0 - quarters, quarters)
    turned = where(steep, -t, t)
    turned = where(left, -turned, turned)
    high = quarters * QUARTER_PI[0]
    low = fma(quarters, QUARTER_PI[0], -high) + quarters * QUARTER_PI[1]
    angle = with_sign(high + (turned + (atan_rest(turned) + low)), sign_bit(y))
    return rarely((more > 2.0**1000) | ((more < 2.0**-900) & (more > 0.0)), angle, "atan2", y, x)


# -- inverse hyperbolic functions -------------------------------------------------------------------------------


def asinh(x: Lanes) -> Lanes:
    """The inverse hyperbolic sine, log1p(a + a**2 / (1 + sqrt(1 + a**2)))."""
    a = abs(x)
    far = a > 2.0**400
    square = where(far, 0.0, a * a)
    u = a + square / (1.0 + sqrt(1.0 + square))
    return with_sign(log1p(u) + where(far, a.like(LN2_HIGH), 0.0), sign_bit(x))


def acosh(x: Lanes) -> Lanes:
    """The inverse hyperbolic cosine, log1p(t + sqrt(t**2 + 2 t)) with t = x - 1."""
    far = x > 2.0**400
    t = x - 1.0
    root = sqrt(fma(t, t, 2.0 * t))
    y = log1p(t + where(far, 0.0, root)) + where(far, x.like(LN2_HIGH), 0.0)
    return where(x < 1.0, NAN, y)


def atanh(x: Lanes) -> Lanes:
    """The inverse hyperbolic tangent, log1p(2 a / (1 - a)) / 2."""
    a = abs(x)
    return with_sign(0.5 * log1p(2.0 * a / (1.0 - a)), sign_bit(x))


# -- the error function -----------------------------------------------------------------------------------------


def erfc_parts(a: Lanes) -> tuple[Lanes, Lanes]:
    """erfc(a) = w * 2**n for a from 1/2 to 28: exp(-a**2) times a polynomial in (a - 4) / (a + 4) over 1 + 2 a.

    The form is that of M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x**2)
    erfc x in 0 <= x < inf", Mathematics of Computation 36 (1981). What a * a rounds away goes into the exponent.
    """
    square = a * a
    q, n = reduced_exponent(-square, fma(-a, a, square))
    top, below = dominated((a - 4.0) / (a + 4.0), ERFCX), fma(a, 2.0, 1.0)
    inverse = 1.0 / below
    value = top * inverse
    left = fma(-value, below, top) - value * fma(a, 2.0, 1.0 - below)      # what the quotient and 1 + 2 a round away
    return value + fma(value, q, left * inverse), n


def erf(x: Lanes) -> Lanes:
    """The error function: an odd polynomial below 1, 1 - erfc beyond."""
    a = abs(x)
    z = a * a
    w, n = erfc_parts(clamped(a, 0.0, 6.0))
    size = where(a < 1.0, fma(a, polynomial(where(a < 1.0, z, 1.0), ERF), a), 1.0 - w * power_of_two(n))
    return with_sign(size, sign_bit(x))


def short_erf(x: Lanes) -> Lanes:
    """`erf` with enough digits for float32, where it is 1 from 4 on."""
    a = abs(x)
    z = clamped(a * a, 0.0, 16.0)
    n = whole_exponent(-z)
    r = fma(n, -LN2_HIGH, -z)
    e = fma(r * r, polynomial(r, EXP_SINGLE), r) + 1.0
    tail = e * power_of_two(n) * polynomial(clamped(a, 0.0, 4.0), ERFC_SHORT)
    return with_sign(where(a < 1.0, fma(a, polynomial(z, ERF_SHORT), a), 1.0 - tail), sign_bit(x))


def erfc(x: Lanes) -> Lanes:
    """The complementary error function."""
    a = abs(x)
    near = a < 0.5
    w, n = erfc_parts(clamped(a, 0.0, 28.0))
    tail = scaled(w, n)
    z = where(near, x * x, 0.25)
    return where(near, fma(-x, polynomial(z, ERF), 1.0 - x), where(x < 0.0, 2.0 - tail, tail))


# -- the logistic function --------------------------------------------------------------------------------------


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), in the form that keeps the digits of both tails."""
    e = exp(-abs(x))
    return where(x < 0.0, e, 1.0) / (1.0 + e)


def short_power(x: Lanes, y: Lanes) -> Lanes:
    """`power` with the digits of a float64's logarithm alone: enough for float32."""
    return with_power_edges(x, y, exp(clamped(y * log(abs(x)), -800.0, 800.0)))


KERNELS = {
    **{function.__name__: Kernel(function, single=getattr(singles, function.__name__, None)) for function in (
        acos, acosh, asin, asinh, atan, atanh, cbrt, cos, cosh, erfc, exp, exp2, expm1, log, log10, log1p,
        log2, sigmoid, sin, sinh, tan, tanh)},
    **{function.__name__: Kernel(function, 2) for function in (atan2, hypot, logaddexp)},
    "erf": Kernel(erf, short=short_erf),
    "pow": Kernel(power, 2, short=short_power),
}
