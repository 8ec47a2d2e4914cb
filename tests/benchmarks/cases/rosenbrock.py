"""Rosenbrock's valley: a chain of neighbours, short enough that the cost of a call shows."""

from typing import Any

import numpy as np

from ..case import Array, Case, Loops, Problem, loop


@loop
def forward(x: Array) -> float:
    """The value."""
    value = 0.0
    for i in range(x.shape[0] - 1):
        r = x[i + 1] - x[i] * x[i]
        s = 1.0 - x[i]
        value += 100.0 * r * r + s * s
    return value


@loop
def into(x: Array, out: Array) -> float:
    """The value; the gradient goes to `out`. An element gathers from two terms, so the loop vectorises."""
    n = x.shape[0]
    value = 0.0
    if n == 1:
        out[0] = 0.0
        return value
    r = x[1] - x[0] * x[0]
    s = 1.0 - x[0]
    value = 100.0 * r * r + s * s
    out[0] = -400.0 * r * x[0] - 2.0 * s
    for i in range(1, n - 1):
        before = x[i] - x[i - 1] * x[i - 1]
        r = x[i + 1] - x[i] * x[i]
        s = 1.0 - x[i]
        value += 100.0 * r * r + s * s
        out[i] = 200.0 * before - 400.0 * r * x[i] - 2.0 * s
    out[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2])
    return value


@loop
def value_and_grad(x: Array) -> tuple[float, Array]:
    """The value and a fresh gradient."""
    gradient = np.empty_like(x)
    return into(x, gradient), gradient


def array_form(np: Any, x: Any) -> Any:
    """For JAX and autograd."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def case(size: str) -> Case:
    """At a random point of n coordinates."""
    n = int(size)

    def scalar_form(m: Any, x: Any) -> Any:
        return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(n - 1))

    return Case(
        name=f"Rosenbrock {n}",
        written="sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))",
        args={"x": "n"},
        wrt=("x",),
        inputs=(np.random.default_rng(0).uniform(-2.0, 2.0, n),),
        loops=Loops(forward, value_and_grad, into),
        array_form=array_form,
        scalar_form=scalar_form,
        unrolled=n,
    )


SIZES = ("2", "5", "100", "400", "10000", "1000000")
PROBLEM = Problem("Rosenbrock", SIZES, case, quick=("5", "400"))
