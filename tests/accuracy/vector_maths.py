"""`python -m tests.accuracy.vector_maths` prints the largest error of the functions that loops call, against mpmath.

    python -m tests.accuracy.vector_maths                   all, 20,000 points each, in float64 and float32
    python -m tests.accuracy.vector_maths --points 500 exp  one or more

A third of the points are random bit patterns, so all magnitudes, infinities and NaN are among them; a third lie where
functions bend; the rest close in on special points. Errors are in units in the last place of the true value, that of
logaddexp divided by its condition number. Special values must be NumPy's, signs of zeros included. Calls go through
a compiled loop, as in a generated module. The exit status is 1 if an error exceeds 4 or a special value is wrong.
"""

from __future__ import annotations

import argparse
import math
import random
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mpmath import MPContext
from numpy.typing import NDArray

from gradc.codegen import kernels
from gradc.codegen.load import Entry, Module, load
from gradc.codegen.vector_kernels import KERNELS
from gradc.codegen.vector_maths import MATH, NUMPY
from gradc.ir.interpret import FloatNumbers
from gradc.ir.table import OPERATIONS

BOUND = 4.0
FORMS = {"float64": ("<d", "<Q", 64), "float32": ("<f", "<I", 32)}
CALLED = {kernel: name for name, kernel in (*NUMPY.items(), *MATH.items()) if name != "power"}
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, math.inf, -math.inf, math.nan, 1e-320, -1e-320,
           2.2250738585072014e-308, 1.1754943508222875e-38, 1e-40, 1e300, -1e300, 1e22, 1.7976931348623157e308,
           3.4028234663852886e38)
BENDS = (math.pi / 4, math.pi / 2, math.pi, 2.0**28, 0.34657359, 0.70710678, 1.41421356, 0.41421356, 2.41421356, 6.0,
         22.0, 26.5, 27.2, 37.0, 87.3, 88.7, 103.9, 709.78, 710.47, 745.1, 1022.0, 1023.9, 1074.9)
RANGES = (1.0, 3.0, 10.0, 100.0, 1000.0, 1e6)


class Report(NamedTuple):
    """The largest error, where it is, and the operands at which a special value is wrong."""

    error: float
    where: tuple[float, ...]
    wrong: tuple[tuple[float, ...], ...]


def compiled(kernel: str, dtype: str) -> Callable[..., None]:
    """A function of the operands' arrays and of an array for the results, compiled with its loop."""
    count = KERNELS[kernel].operands
    operands = ", ".join("xy"[:count])
    elements = [f"{name}[i]" for name in "xy"[:count]]
    value = f"{CALLED.get(kernel, kernel)}({', '.join(elements)})" if kernel != "pow" else " ** ".join(elements)
    module, helpers = "math" if kernel in MATH.values() else "numpy", ()
    head = f"from {module} import {CALLED[kernel]}\n" if kernel in CALLED else ""
    if kernel in kernels.KERNELS:
        head, helpers = "\n".join((*kernels.KERNELS[kernel].imports, "", "", kernels.kernel_text(kernel))), (kernel,)
    text = (f'"""One function."""\n{head}\n\ndef fill({operands}, out):\n'
            f"    for i in range(x.shape[0]):\n        out[i] = {value}\n")
    types = (f"{dtype}[::1]",) * (count + 1)
    return load(Module(text, helpers, (Entry("fill", types),)), cache=False)["fill"]


def points(kernel: str, dtype: str, count: int, seed: int = 0) -> NDArray[Any]:
    """Operands, one row each; the same in every run. All pairs of special points come first."""
    source = random.Random(f"{kernel} {dtype} {seed}")
    operands = KERNELS[kernel].operands
    special = [(a, b) for a in SPECIAL for b in SPECIAL] if operands == 2 else [(a,) for a in SPECIAL]
    drawn = [tuple(_draw(source, kernel, dtype) for _ in range(operands)) for _ in range(count)]
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(np.array([*special, *drawn]).T, dtype=dtype)


def _draw(source: random.Random, kernel: str, dtype: str) -> float:
    kind = source.random()
    if kind < 0.33:
        floating, whole, size = FORMS[dtype]
        drawn: float = struct.unpack(floating, struct.pack(whole, source.getrandbits(size)))[0]
        return drawn
    if kind < 0.5:
        return source.choice((-1, 1)) * source.choice(BENDS) * (1.0 + source.choice((-1, 1)) * 2.0 ** -source.uniform(2, 53))
    if kind < 0.67:
        return source.choice((0.0, 1.0, -1.0)) + source.choice((-1, 1)) * 2.0 ** -source.uniform(0, 60)
    size_of = source.choice(RANGES)
    return source.uniform(0.0 if kernel in ("log", "log2", "log10") else -size_of, size_of)


def true_values(kernel: str, operands: NDArray[Any]) -> list[Any]:
    """mpmath's values, None where NumPy's counts: an operand is 0 or not finite, there is a pole or no real value."""
    mp: Any = MPContext()
    mp.prec = 1300 if kernel == "logaddexp" else 140  # its terms may differ by any factor
    exact = OPERATIONS[kernel].exact
    meaning = getattr(mp, exact) if isinstance(exact, str) else lambda *args: exact(mp, *args)
    found: list[Any] = []
    for column in operands.T.tolist():
        value = None
        if all(math.isfinite(v) and v != 0.0 for v in column) and not _is_extreme(kernel, column):
            try:
                value = meaning(*map(mp.mpf, column))
            except (ArithmeticError, ValueError):
                value = None
        found.append(value if isinstance(value, mp.mpf) and mp.isfinite(value) and value != 0 else None)
    return found


def _is_extreme(kernel: str, column: Sequence[float]) -> bool:
    """Whether mpmath would need an age: exponentials of thousands of digits. NumPy's value, 0 or infinity, is exact."""
    if kernel == "pow":
        return column[0] != 0.0 and abs(column[1] * math.log(abs(column[0]))) > 2000.0
    growing = kernel in ("exp", "exp2", "expm1", "sinh", "cosh", "tanh", "sigmoid", "erf", "erfc", "logaddexp")
    return growing and max(map(abs, column)) > 1e6


def measure(kernel: str, dtype: str, count: int, seed: int = 0) -> Report:
    """Compare one function at special points and at `count` others."""
    operands = points(kernel, dtype, count, seed)
    out = np.empty(operands.shape[1], dtype)
    compiled(kernel, dtype)(*operands, out)
    with np.errstate(all="ignore"):
        plain = np.asarray(FloatNumbers().apply(kernel, "float64", list(operands.astype("float64")))).astype(dtype)
    limits = np.finfo(dtype)
    worst, where, wrong = 0.0, (), []
    for at, true in enumerate(true_values(kernel, operands)):
        column, value = tuple(operands[:, at].tolist()), float(out[at])
        if true is None:
            expected = float(plain[at])
            same = math.isnan(value) if math.isnan(expected) else (
                value == expected and math.copysign(1.0, value) == math.copysign(1.0, expected))
            if not same:
                wrong.append(column)
            continue
        error = _ulps(value, true, limits)
        if kernel == "logaddexp":
            error /= max(1.0, max(map(abs, column)) / float(abs(true)))
        if error > worst:
            worst, where = error, column
    return Report(worst, where, tuple(wrong))


def _ulps(value: float, true: Any, limits: Any) -> float:
    """The error in units in the last place of the true value; an infinity stands for the first float too large."""
    mp, largest = true.context, float(limits.max)
    overflow = mp.mpf(2) ** int(limits.maxexp)
    exponent = max(mp.frexp(min(abs(true), largest))[1], int(limits.minexp) + 1) - int(limits.nmant) - 1
    true = max(-overflow, min(overflow, true))
    found = mp.mpf(math.copysign(1.0, value)) * overflow if math.isinf(value) else mp.mpf(value)
    return math.inf if math.isnan(value) else float(mp.ldexp(abs(found - true), -exponent))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a function does not hold its bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.vector_maths", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="functions (default: all)")
    parser.add_argument("--points", type=int, default=20000, help="points a function (default 20000)")
    options = parser.parse_args(arguments)
    print(f"{'':10} " + " ".join(f"{dtype:>8}" for dtype in FORMS))
    failed = False
    for kernel in options.names or KERNELS:
        reports = [measure(kernel, dtype, options.points) for dtype in FORMS]
        print(f"{kernel:10} " + " ".join(f"{report.error:8.2f}" for report in reports), flush=True)
        for dtype, report in zip(FORMS, reports, strict=True):
            if report.wrong or report.error > BOUND:
                failed = True
                print(f"    {dtype}: largest error at {report.where}, wrong special values at {report.wrong[:5]}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
