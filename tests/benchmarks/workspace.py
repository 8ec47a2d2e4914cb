"""What reused memory gains: `python -m tests.benchmarks.workspace` prints one table, measured in one run.

Value and gradient of networks and of Gaussian mixtures with arrays that the call allocates, with `out=`, and with
`out=` and `workspace=`; the last column is what the workspace gains over `out=` alone. Times are the least process CPU
time of calls that take turns, each after one that is not counted, since memory that only one of them uses has left the
cache in between; and the three must agree to the last bit.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import Call
from .cases import gmm
from .environment import SINGLE_THREAD, one_core
from .networks import SHAPES, arguments, in_gradc
from .timing import minimum_times

MIXTURES = ("1k d2 K5", "1k d10 K25", "1k d64 K25")


def functions() -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Name, function with gradient, and arguments."""
    for network in SHAPES:
        for dtype in ("float64", "float32"):
            for batch in (1, 32, 1024):
                _, both, given = in_gradc(network, arguments(network, batch, dtype))
                yield f"{network}, {dtype}, batch {batch}", both, given
    for size in MIXTURES:
        case = gmm.case(size)
        calls = case.forms["gradc"]["formula"](case)
        yield f"GMM {size}", calls.gradient.function, calls.gradient.args


def bits(result: Any) -> list[bytes]:
    """Every number of a value with its gradient."""
    return [np.asarray(part).tobytes() for part in (result[0], *result[1])]


def line(name: str, both: Any, given: tuple[Any, ...], rounds: int) -> str:
    """The times of one function."""
    wanted = both(*given)
    out = tuple(np.empty_like(part) for part in wanted[1])
    work = both.workspace(*given)
    calls = [Call(both, given), Call(both, given, {"out": out}),
             Call(both, given, {"out": out, "workspace": work})]
    same = all(bits(call()) == bits(wanted) for call in calls)
    times = [time.seconds * 1e6 for time in minimum_times(calls, rounds, warm=True)]
    gained = times[1] / times[2]
    return (f"{name:40} {work.nbytes / 1e3:9,.0f} " + " ".join(f"{time:14,.1f}" for time in times)
            + f" {gained:8.2f}{'' if same else '  DIFFERS'}")


def main() -> int:
    """Print the table; 1 if a result differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.workspace", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="functions whose name has this text in it")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds; the minimum counts")
    options = parser.parse_args()
    os.environ.update(SINGLE_THREAD)
    one_core()
    print("Microseconds a call of value and gradient, least process CPU time, one thread.\n")
    print(f"{'':40} {'kilobytes':>9} {'':>14} {'out=':>14} {'and workspace=':>14} {'gained':>8}")
    differs = False
    for name, both, given in functions():
        if options.only in name:
            text = line(name, both, given, options.rounds)
            differs |= text.endswith("DIFFERS")
            print(text, flush=True)
    return int(differs)


if __name__ == "__main__":
    raise SystemExit(main())
