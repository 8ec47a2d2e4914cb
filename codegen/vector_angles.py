"""Sine, cosine and tangent on lanes of either precision: the angle is reduced, and its quadrant decides.

An angle loses its whole quarter turns in three steps, since one part of pi / 2 has too few digits (W. J. Cody and
W. Waite, 1980); what is left has two short polynomials. Angles for which three parts are not enough go to the C
library's function. `Angles` holds what differs between precisions; `vector_kernels` and `vector_kernels_single` each
have theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .lanes import Lanes, bits, fma, polynomial, rarely, sign_bit, where, with_sign


class Angles(NamedTuple):
    """The trigonometric functions of a precision.

    turns    2 / pi
    magic    the number that rounds to whole numbers what is added to it, which then stand in its low bits
    half_pi  three parts whose sum is pi / 2
    sine, cosine  the coefficients of (sin(r) / r - 1) / r**2 and (cos(r) - 1 + r**2 / 2) / r**4 by r**2
    largest  the angle from which the three parts are not enough
    sign     the place of the sign bit
    suffix   of the C library's functions
    """

    turns: float
    magic: float
    half_pi: tuple[float, float, float]
    sine: Sequence[float]
    cosine: Sequence[float]
    largest: float
    sign: int
    suffix: str

    def _parts(self, a: Lanes) -> tuple[Lanes, Lanes, Lanes]:
        """Sine and cosine of what is left of a positive angle, up to pi / 4, and the quarter turns in low bits."""
        shifted = fma(a, self.turns, self.magic)
        n = shifted - self.magic
        r = a
        for part in self.half_pi:
            r = fma(n, -part, r)
        z = r * r
        half = 0.5 * z
        w = 1.0 - half
        sine = fma(r * z, polynomial(z, self.sine), r)
        return sine, w + fma(z * z, polynomial(z, self.cosine), (1.0 - w) - half), bits(shifted)

    def _unless_large(self, a: Lanes, y: Lanes, name: str, x: Lanes) -> Lanes:
        return rarely((a > self.largest) & (a < math.inf), y, name + self.suffix, x)

    def sin(self, x: Lanes) -> Lanes:
        """The sine."""
        a = abs(x)
        s, c, quadrant = self._parts(a)
        y = where((quadrant & 1).equals(0), s, c)
        return self._unless_large(a, with_sign(y, sign_bit(x) ^ ((quadrant & 2) << self.sign - 1)), "sin", x)

    def cos(self, x: Lanes) -> Lanes:
        """The cosine."""
        a = abs(x)
        s, c, quadrant = self._parts(a)
        y = where((quadrant & 1).equals(0), c, s)
        return self._unless_large(a, with_sign(y, ((quadrant + 1) & 2) << self.sign - 1), "cos", x)

    def tan(self, x: Lanes) -> Lanes:
        """The tangent."""
        a = abs(x)
        s, c, quadrant = self._parts(a)
        even = (quadrant & 1).equals(0)
        y = where(even, s, c) / where(even, c, s)
        return self._unless_large(a, with_sign(y, sign_bit(x) ^ (quadrant << self.sign)), "tan", x)
