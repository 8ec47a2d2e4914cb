"""Elementary functions on lanes of float32: those of `vector_kernels` that networks live on, at twice the width.

The methods are those of the float64 kernels with shorter polynomials; errors stay below 3 units in the last place of
a float32. A function that is not here is computed in float64 and rounded.
"""

from __future__ import annotations

import math

from .lanes import (
    MAGIC_SINGLE,
    Lanes,
    bits,
    clamped,
    fma,
    from_bits,
    polynomial,
    power_of_two,
    scaled,
    sign_bit,
    where,
    with_sign,
)
from .polynomials import COS_SINGLE, EXP_SINGLE, LOG_SINGLE, SIN_SINGLE
from .vector_angles import Angles

LN2_HIGH, LN2_LOW = 0.693147182464599609375, -1.904654323148236017e-09
LN2_SHORT, LN2_REST = 0.693359375, -2.12194440054690583e-04                     # k * LN2_SHORT is exact
HALF_PI = (1.57079637050628662109375, -4.371138828673792886e-08, -1.715124510145325840e-15)
TINY = 2.0**-126
ROOT_HALF = 0x3F3504F3
MANTISSA = 0x007FFFFF
LARGEST_ANGLE = 2.0**15
INF, NAN = math.inf, math.nan


def reduced_exponent(x: Lanes) -> tuple[Lanes, Lanes]:
    """exp(x) = 2**n * (1 + q): gives q and n."""
    n = fma(x, 1.44269504, MAGIC_SINGLE) - MAGIC_SINGLE
    first = fma(n, -LN2_HIGH, x)                                # exact
    second = n * -LN2_LOW
    r = first + second
    return r + fma(r * r, polynomial(r, EXP_SINGLE), (first - r) + second), n


def exp(x: Lanes) -> Lanes:
    """The exponential function."""
    q, n = reduced_exponent(clamped(x, -110.0, 95.0))
    return scaled(1.0 + q, n)


def expm1_of(x: Lanes) -> Lanes:
    """exp(x) - 1 but for the sign of a zero."""
    q, n = reduced_exponent(clamped(x, -20.0, 88.8))
    half = power_of_two(n - 1.0)
    return where(n.equals(0.0), q, 2.0 * fma(half, q, half - 0.5))


def expm1(x: Lanes) -> Lanes:
    """exp(x) - 1."""
    return where(abs(x) < 2.0**-26, x, expm1_of(x))


def tanh(x: Lanes) -> Lanes:
    """The hyperbolic tangent, t / (t + 2) with t = exp(2|x|) - 1."""
    a = abs(x)
    t = expm1_of(2.0 * where(a > 11.0, 11.0, a))
    return with_sign(t / (t + 2.0), sign_bit(x))


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), in the form that keeps the digits of both tails."""
    e = exp(-abs(x))
    return where(x < 0.0, e, 1.0) / (1.0 + e)


def split(x: Lanes) -> tuple[Lanes, Lanes]:
    """x = m * 2**k for a positive normal x, m from sqrt(1/2) to sqrt(2): gives m - 1 and k."""
    shifted = bits(x) + (0x3F800000 - ROOT_HALF)
    k = from_bits((shifted >> 23) | 0x4B000000) - (2.0**23 + 127.0)
    return from_bits((shifted & MANTISSA) + ROOT_HALF) - 1.0, k


def log_of(f: Lanes, k: Lanes) -> Lanes:
    """log((1 + f) * 2**k) from f - f**2 / 2 + f**3 (1/3 - ...)."""
    square = f * f
    rest = fma(square * f, polynomial(f, LOG_SINGLE), k * LN2_REST)
    return fma(k, LN2_SHORT, f + fma(square, -0.5, rest))


def with_log_edges(x: Lanes, y: Lanes) -> Lanes:
    """A logarithm y of x with its values at zero, infinity, and below zero."""
    return where(x > 0.0, where(x < INF, y, x), where(x.equals(0.0), y.like(-INF), NAN))


def log(x: Lanes) -> Lanes:
    """The natural logarithm."""
    small = x < TINY
    f, k = split(where(small, x * 2.0**24, x))
    return with_log_edges(x, log_of(f, where(small, k - 24.0, k)))


def log1p(x: Lanes) -> Lanes:
    """log(1 + x); what 1 + x rounds away comes back through f = x * 2**-k + (2**-k - 1)."""
    u = 1.0 + x
    m, k = split(u)
    s = power_of_two(-k)
    y = log_of(where(k > 30.0, m, fma(x, s, s - 1.0)), k)
    return where(abs(x) < 2.0**-25, x, with_log_edges(u, y))


ANGLES = Angles(0.636619772, MAGIC_SINGLE, HALF_PI, SIN_SINGLE, COS_SINGLE, LARGEST_ANGLE, 31, "f")


def sin(x: Lanes) -> Lanes:
    """The sine."""
    return ANGLES.sin(x)


def cos(x: Lanes) -> Lanes:
    """The cosine."""
    return ANGLES.cos(x)
