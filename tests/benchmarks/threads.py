"""What threads cost and gain: `python -m tests.benchmarks.threads`.

A loop of growing size runs as one chunk and in chunks, by turns; the times are the least of the wall clock, since the
threads' own time is the point. From the sizes up at which chunks win, `LEAST_WORK` operations of a chunk follow: below
that a loop is not worth a thread. Other work on the machine counts: OpenMP's threads wait in a busy loop.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np

import gradc
from gradc.codegen import threads

FORMULAS = {"arithmetic": "sum((x[i] * x[i] - 0.5) * x[i] for i in range(n))", "sine": "sum(sin(x[i]) for i in range(n))"}


def made(formula: str, least: int) -> Any:
    """The value with the gradient, its chunks of at least so many operations."""
    before, threads.LEAST_WORK = threads.LEAST_WORK, least
    try:
        function = gradc.compile(formula, {"x": "n"}, parallel=True).value_and_grad
        function(np.zeros(2))
        return function
    finally:
        threads.LEAST_WORK = before


def least_times(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """Seconds of each call, the least of rounds in which they take turns."""
    found = [float("inf")] * len(calls)
    for _ in range(rounds):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            call()
            found[k] = min(found[k], time.perf_counter() - start)
    return found


def main() -> None:
    """Print a line for each formula and size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    print(f"{'loop':<12}{'elements':>10}{'one chunk':>14}{'chunks':>12}{'ratio':>8}")
    for name, formula in FORMULAS.items():
        alone, split = made(formula, 2**62), made(formula, 1)
        for power in range(10, 21, 2):
            x, out = np.linspace(-1.0, 1.0, 2**power), np.empty(2**power)
            one, many = least_times([partial(alone, x, out=out), partial(split, x, out=out)], rounds)
            print(f"{name:<12}{2**power:>10}{one * 1e6:>11.1f} us{many * 1e6:>9.1f} us{one / many:>8.2f}", flush=True)
    print(f"{numba.get_num_threads()} threads, {numba.threading_layer()}; a chunk has {threads.LEAST_WORK} operations or "
          f"more, a function counts as {threads.FUNCTION}")


if __name__ == "__main__":
    main()
