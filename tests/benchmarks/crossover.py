"""From what size on a matrix product is the library's: `python -m tests.benchmarks.crossover`.

Generated code multiplies matrices by `matmul`, which looks at their sizes when it is called: small ones in loops, others
by the BLAS. Each line is a product of one shape, in loops, by the library, and as `matmul` decides; a decision is good
where the last number is the smaller of the two before. Nanoseconds, least process CPU time of a thousand products in
compiled code, in rounds that take turns; one thread.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit

from gradc.codegen import routines

from .case import Call
from .environment import one_core
from .timing import minimum_times

TIMES = 1000
SHAPES = (
    (2, 2, 2), (4, 4, 4), (6, 6, 6), (8, 8, 8), (12, 12, 12), (16, 16, 16), (32, 32, 32), (1, 8, 8), (1, 16, 16),
    (1, 64, 32), (1, 32, 64), (1, 10, 32), (1, 32, 10), (1, 128, 64), (1, 256, 128), (32, 64, 1), (16, 3, 3), (64, 3, 3), (3, 3, 64), (3, 3, 16), (100, 8, 8), (8, 100, 8),
    (8, 8, 100),
)  # fmt: skip
DECISION = "rows * inner * (columns + 20) > 1500"


def multiplied(decision: str) -> Callable[..., Any]:
    """`matmul` many times, with another decision in place of its own."""
    scope: dict[str, Any] = {"np": np}
    text = routines.function_text("matmul")
    assert DECISION in text
    for helper in routines.NEEDED["matmul"][:-1]:
        exec(routines.function_text(helper), scope)  # our own text, as the next
        scope[helper] = njit(error_model="numpy", fastmath={"contract"})(scope[helper])
    exec(text.replace(DECISION, decision), scope)
    product = njit(error_model="numpy", fastmath={"contract"})(scope["matmul"])

    @njit
    def often(left: Any, right: Any, out: Any) -> None:
        for _ in range(TIMES):
            product(left, right, out)

    compiled: Callable[..., Any] = often
    return compiled


def ways() -> dict[str, Callable[..., Any]]:
    """In loops, by the library, as it decides."""
    return {"loops": multiplied("False"), "BLAS": multiplied("inner > 0"), "matmul": multiplied(DECISION)}


def table(rounds: int, allowance: float) -> Iterator[str]:
    """The lines of the table."""
    random = np.random.default_rng(0)
    functions = ways()
    yield f"{'rows x inner x columns':24} {'':8}" + "".join(f"{name:>9}" for name in functions)
    for dtype in (np.float64, np.float32):
        for rows, inner, columns in SHAPES:
            left, right = random.random((rows, inner)).astype(dtype), random.random((inner, columns)).astype(dtype)
            given = (left, right, np.empty((rows, columns), dtype))
            calls = [Call(function, given) for function in functions.values()]
            for call in calls:
                call()
            taken = [time.seconds * 1e9 / TIMES for time in minimum_times(calls, rounds, allowance)]
            yield f"{f'{rows} x {inner} x {columns}':24} {np.dtype(dtype).name:8}" + "".join(
                f"{time:9.0f}" for time in taken
            )


def main(write: Callable[[str], Any] = print) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.crossover",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds; the minimum counts")
    options = parser.parse_args()
    one_core()
    for line in table(options.rounds, allowance=0.3):
        write(line)


if __name__ == "__main__":
    main()
