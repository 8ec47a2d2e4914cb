"""The cost of a call from Python beside Numba's own: `python -m tests.benchmarks.calls`.

Each line is one way to call a gradient of so few elements that the call is what it costs. Beside it runs the same
compiled loop behind a bare Numba dispatcher, which takes the same arguments by position, a leaf of a structure each,
and writes into arrays that are given; where the call is to allocate, the dispatcher still does not. Nanoseconds are
the least process CPU time of calls that take turns; the ratio is what gradc adds for names, checks, conversions,
structures and allocation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit

import gradc

from .case import Call
from .environment import one_core
from .timing import minimum_times

ROSENBROCK = "sum(100 * (x[i + 1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))"


class Way(NamedTuple):
    """A way to call, and the bare dispatcher with its arguments."""

    name: str
    call: Call
    bare: Call


@njit
def rosenbrock(x: Any, d_x: Any) -> float:
    """Value and gradient by hand."""
    total = 0.0
    d_x[:] = 0.0
    for i in range(x.shape[0] - 1):
        a, b = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        total += 100.0 * a * a + b * b
        d_x[i] -= 400.0 * a * x[i] + 2.0 * b
        d_x[i + 1] += 200.0 * a
    return total


@njit
def squares(w: Any, X: Any, y: Any, d_w: Any) -> float:
    """The sum of (X w - y)^2 and its gradient by w, by hand."""
    total = 0.0
    d_w[:] = 0.0
    for i in range(X.shape[0]):
        r = -y[i]
        for j in range(w.shape[0]):
            r += X[i, j] * w[j]
        total += r * r
        for j in range(w.shape[0]):
            d_w[j] += 2.0 * r * X[i, j]
    return total


@njit
def product(x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """(x + y) * z and its gradient, by hand."""
    return (x + y) * z, z, z, x + y


@njit
def affine(w: Any, b: float, X: Any, y: Any, d_w: Any) -> tuple[float, float]:
    """The sum of (X w + b - y)^2 and its gradient by w and b, by hand."""
    total = d_b = 0.0
    d_w[:] = 0.0
    for i in range(X.shape[0]):
        r = b - y[i]
        for j in range(w.shape[0]):
            r += X[i, j] * w[j]
        total += r * r
        d_b += 2.0 * r
        for j in range(w.shape[0]):
            d_w[j] += 2.0 * r * X[i, j]
    return total, d_b


def loss(w: Any, X: Any, y: Any) -> Any:
    """As `squares`, for gradc."""
    return np.sum((X @ w - y) ** 2)


def model(p: Any, X: Any, y: Any) -> Any:
    """As `affine`, of a dict, for gradc."""
    return np.sum((X @ p["w"] + p["b"] - y) ** 2)


def ways() -> Iterator[Way]:
    """Every way that is measured."""
    random = np.random.default_rng(0)
    x, y, X = random.uniform(size=5), random.uniform(size=4), random.uniform(size=(4, 5))
    out = np.empty(5)
    scalar = gradc.compile("(x + y) * z").value_and_grad
    bare = Call(product, (1.0, 2.0, 3.0))
    yield Way("three numbers", Call(scalar, (1.0, 2.0, 3.0)), bare)
    yield Way("three numbers of NumPy", Call(scalar, tuple(np.float64([1.0, 2.0, 3.0]))), bare)
    vector = gradc.compile(ROSENBROCK, {"x": "n"}).value_and_grad
    bare = Call(rosenbrock, (x, out))
    yield Way("a vector, out=", Call(vector, (x,), {"out": out}), bare)
    yield Way("a vector", Call(vector, (x,)), bare)
    yield Way("a vector by name", Call(vector, (), {"x": x}), bare)
    yield Way("a vector that is strided", Call(vector, (np.repeat(x, 2)[::2],)), bare)
    yield Way("a vector that is a list", Call(vector, (x.tolist(),)), bare)
    bare = Call(squares, (x, X, y, out))
    declared = gradc.compile(loss, {"w": "d", "X": "n d", "y": "n"}, wrt="w").value_and_grad
    yield Way("three arrays, out=", Call(declared, (x, X, y), {"out": out}), bare)
    yield Way("three arrays", Call(declared, (x, X, y)), bare)
    first = gradc.compile(loss, wrt="w").value_and_grad
    yield Way("three arrays, undeclared", Call(first, (x, X, y)), bare)
    bare = Call(affine, (x, 0.5, X, y, out))
    p = {"w": x, "b": 0.5}
    declared = gradc.compile(model, {"p": {"w": "d", "b": ""}, "X": "n d", "y": "n"}, wrt="p").value_and_grad
    yield Way("a dict and two arrays", Call(declared, (p, X, y)), bare)
    first = gradc.compile(model, wrt="p").value_and_grad
    yield Way("a dict and two arrays, undeclared", Call(first, (p, X, y)), bare)


def table(rounds: int, allowance: float) -> Iterator[str]:
    """The lines of the table."""
    yield f"{'':36} {'gradc':>8} {'Numba':>8} {'ratio':>7}"
    for way in ways():
        way.call()
        way.bare()
        ours, bare = (time.seconds * 1e9 for time in minimum_times([way.call, way.bare], rounds, allowance))
        yield f"{way.name:36} {ours:8.0f} {bare:8.0f} {ours / bare:7.2f}"


def main(write: Callable[[str], Any] = print) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.calls", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="interleaved rounds; the minimum counts")
    options = parser.parse_args()
    one_core()
    write("Nanoseconds a call, least process CPU time, one thread.\n")
    for line in table(options.rounds, allowance=2.0):
        write(line)


if __name__ == "__main__":
    main()
