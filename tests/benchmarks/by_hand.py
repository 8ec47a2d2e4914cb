"""What the hand-written loops for Numba share: the exponential, aligned scratch, and bits as a number.

Numba has no vector exponential of its own, so an expert who wants his loop vectorised writes the polynomial.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .case import Array, loop


@intrinsic
def as_double(context: Any, bits: Any) -> Any:
    """The float64 that has these bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@njit(error_model="numpy", fastmath={"contract"})
def exp_of_negative(x: float) -> float:
    """exp(x) for x <= 0, within 2 ulp; 0 below -650, so that no product with it is denormal and slow."""
    tiny = x < -650.0
    x = max(x, -650.0)
    n = np.int64(x * 1.4426950408889634 - 0.5)
    f = np.float64(n)
    r = (x - f * 6.93147180369123816490e-01) - f * 1.90821492927058770002e-10
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return 0.0 if tiny else p * as_double((n + 1023) << 52)


@loop
def aligned(size: int) -> Array:
    """Scratch that begins at a multiple of 64 bytes."""
    block = np.empty(size + 8)
    skip = (64 - block.ctypes.data % 64) % 64 // 8
    return block[skip : skip + size]
