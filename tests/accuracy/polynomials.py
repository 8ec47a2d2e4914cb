"""`python -m tests.accuracy.polynomials` fits the coefficients of `gradc.codegen.polynomials` and prints that file's table.

Each is mpmath's Chebyshev fit, within a small factor of the best polynomial of its degree; the comment gives the
largest error of the fit. What a polynomial stands for is written as the function that is fitted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from mpmath import MPContext

mp: Any = MPContext()
mp.dps = 60


class Fit(NamedTuple):
    """A function, the interval, the number of coefficients, and what the function is near 0 (where it is 0 / 0)."""

    meaning: str
    function: Callable[[Any], Any]
    low: float
    high: float
    count: int
    near: Callable[[Any], Any] | None = None


def odd(function: Callable[[Any], Any], first: float = 1.0) -> Callable[[Any], Any]:
    """(f(s) / s - first) / z at z = s**2."""
    return lambda z: (function(mp.sqrt(z)) / mp.sqrt(z) - first) / z


def scaled_erfc(t: Any) -> Any:
    """(1 + 2 a) exp(a**2) erfc(a) at t = (a - 4) / (a + 4)."""
    a = 4 * (1 + t) / (1 - t)
    return (1 + 2 * a) * mp.exp(a * a) * mp.erfc(a)


HALF_LN2 = 0.34661
LOG_LARGEST = 0.029441          # the square of (sqrt(2) - 1) / (sqrt(2) + 1), and a little more
THIRD, FIFTH = mp.mpf(1) / 3, mp.mpf(1) / 5

FITS = {
    "EXP": Fit("(exp(r) - 1 - r) / r**2", lambda r: (mp.exp(r) - 1 - r) / r**2, -HALF_LN2, HALF_LN2, 10,
               lambda r: mp.mpf(1) / 2 + r / 6),
    "EXP2": Fit("(2**r - 1) / r", lambda r: (mp.mpf(2) ** r - 1) / r, -0.5, 0.5, 12,
                lambda r: mp.log(2) + r * mp.log(2) ** 2 / 2),
    "LOG": Fit("(2 atanh(s) / s - 2) / z, z = s**2", odd(lambda s: 2 * mp.atanh(s), 2.0), 0.0, LOG_LARGEST, 7,
               lambda z: 2 * THIRD + 2 * FIFTH * z),
    "LOG_TAIL": Fit("((2 atanh(s) / s - 2) / z - 2 / 3) / z, z = s**2",
                    lambda z: (odd(lambda s: 2 * mp.atanh(s), 2.0)(z) - 2 * THIRD) / z, 0.0, LOG_LARGEST, 8,
                    lambda z: 2 * FIFTH + mp.mpf(2) / 7 * z),
    "CBRT": Fit("m**(-1 / 3)", lambda m: m**-THIRD, 0.49, 4.01, 6),
    "SIN": Fit("(sin(r) / r - 1) / z, z = r**2", odd(mp.sin), 0.0, 0.617, 6,
               lambda z: -THIRD / 2 + z / 120),
    "COS": Fit("(cos(r) - 1 + z / 2) / z**2, z = r**2", lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, 0.0,
               0.617, 6, lambda z: mp.mpf(1) / 24 - z / 720),
    "SINH": Fit("(sinh(x) / x - 1) / z, z = x**2", odd(mp.sinh), 0.0, 1.0, 7,
                lambda z: THIRD / 2 + z / 120),
    "ASIN": Fit("(asin(x) / x - 1) / z, z = x**2", odd(mp.asin), 0.0, 0.25, 13,
                lambda z: THIRD / 2 + 3 * z / 40),
    "ATAN": Fit("(atan(t) / t - 1) / z, z = t**2", odd(mp.atan), 0.0, 0.1716, 11, lambda z: -THIRD + FIFTH * z),
    "EXP_SINGLE": Fit("(exp(r) - 1 - r) / r**2", lambda r: (mp.exp(r) - 1 - r) / r**2, -HALF_LN2, HALF_LN2, 5,
                      lambda r: mp.mpf(1) / 2 + r / 6),
    "LOG_SINGLE": Fit("(log(1 + f) - f + f**2 / 2) / f**3", lambda f: (mp.log1p(f) - f + f * f / 2) / f**3, -0.29290,
                      0.41422, 9, lambda f: THIRD - f / 4),
    "SIN_SINGLE": Fit("(sin(r) / r - 1) / z, z = r**2", odd(mp.sin), 0.0, 0.617, 4, lambda z: -THIRD / 2 + z / 120),
    "COS_SINGLE": Fit("(cos(r) - 1 + z / 2) / z**2, z = r**2",
                      lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, 0.0, 0.617, 3,
                      lambda z: mp.mpf(1) / 24 - z / 720),
    "ERF": Fit("erf(x) / x - 1, z = x**2", lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, 0.0, 1.0, 12,
               lambda z: 2 / mp.sqrt(mp.pi) * (1 - z / 3) - 1),
    "ERF_SHORT": Fit("erf(x) / x - 1, z = x**2", lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, 0.0, 1.0, 7,
                     lambda z: 2 / mp.sqrt(mp.pi) * (1 - z / 3) - 1),
    "ERFC_SHORT": Fit("exp(a**2) erfc(a)", lambda a: mp.exp(a * a) * mp.erfc(a), 1.0, 4.0, 12),
    "ERFCX": Fit("(1 + 2 a) exp(a**2) erfc(a), t = (a - 4) / (a + 4)", scaled_erfc, -0.7778, 0.7501, 22),
}


def coefficients(fit: Fit) -> tuple[tuple[float, ...], float]:
    """The coefficients, the constant first, and the largest error of the fit."""

    def function(x: Any) -> Any:
        return fit.near(x) if fit.near is not None and abs(x) < mp.mpf(10) ** -12 else fit.function(x)

    found, error = mp.chebyfit(function, [mp.mpf(fit.low), mp.mpf(fit.high)], fit.count, error=True)
    return tuple(float(c) for c in reversed(found)), float(error)


def table() -> str:
    """The text of the table."""
    lines = []
    for name, fit in FITS.items():
        values, error = coefficients(fit)
        lines.append(f"# {fit.meaning}; from {fit.low:g} to {fit.high:g} within {error:.1e}")
        lines += [f"{name} = (", *(f"    {value!r}," for value in values), ")", ""]
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    print(table())
