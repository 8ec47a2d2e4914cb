"""Elementary functions in loops beside NumPy and plain Numba: `python -m tests.benchmarks.vector_maths`.

    python -m tests.benchmarks.vector_maths             all, in float64 and float32
    python -m tests.benchmarks.vector_maths exp tanh    one or more

One array of 4,096 numbers, in a compiled loop `out[i] = f(x[i])`: with vector maths, without it (Numba's own call of
the C library), and NumPy's function with `out`. Nanoseconds an element are the least process CPU time of calls that
take turns; the other columns are the time of NumPy and of plain Numba over that of gradc.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from gradc.codegen.vector_kernels import KERNELS
from gradc.codegen.vector_maths import NUMPY, VARIABLE

from ..accuracy.vector_maths import FORMS, compiled
from .case import Call
from .environment import one_core
from .timing import minimum_times

COUNT = 4096
DOMAINS = {"acosh": (1.1, 5.0), **dict.fromkeys(("acos", "asin", "atanh"), (-0.9, 0.9))}
IN_NUMPY = {"cbrt": np.cbrt, **{kernel: getattr(np, name) for name, kernel in NUMPY.items()}}


def numpy_function(kernel: str) -> Callable[..., Any] | None:
    """NumPy's function, if it has one."""
    return IN_NUMPY.get(kernel)


def row(kernel: str, dtype: str, rounds: int) -> list[float]:
    """Nanoseconds an element of gradc, and how many times as long NumPy and plain Numba take."""
    source = np.random.default_rng(0)
    low, high = DOMAINS.get(kernel, (0.1, 5.0))
    operands = [source.uniform(low, high, COUNT).astype(dtype) for _ in range(KERNELS[kernel].operands)]
    out = np.empty(COUNT, dtype)
    calls = []
    for setting in ("on", "off"):
        os.environ[VARIABLE] = setting
        calls.append(Call(compiled(kernel, dtype), (*operands, out)))
    function = numpy_function(kernel)
    if function is not None:
        calls.append(Call(function, (*operands, out)))
    ours, plain, *numpy = (time.seconds / COUNT * 1e9 for time in minimum_times(calls, rounds))
    return [ours, numpy[0] / ours if numpy else math.nan, plain / ours]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.vector_maths", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="functions (default: all)")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds; the minimum counts")
    options = parser.parse_args()
    one_core()
    print("Nanoseconds an element, and the time of others over it: least process CPU time, one thread.\n")
    print(" " * 10 + "".join(f"  {dtype:>8} {'NumPy':>7} {'Numba':>7}" for dtype in FORMS))
    for kernel in options.names or KERNELS:
        cells = [row(kernel, dtype, options.rounds) for dtype in FORMS]
        print(f"{kernel:10}" + "".join(f"  {ours:8.2f} {_ratio(numpy)} {_ratio(plain)}" for ours, numpy, plain in cells),
              flush=True)


def _ratio(value: float) -> str:
    return f"{'-':>7}" if math.isnan(value) else f"{value:7.1f}"


if __name__ == "__main__":
    main()
