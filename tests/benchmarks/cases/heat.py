"""One implicit step of the heat equation on a square grid: the sum of squared residuals, by shifted reads."""

from typing import Any

import numpy as np

from ..case import Array, Case, Loops, Problem, loop

FORMULA = """
sum((u[i,j] - v[i,j] - a*(u[i-1,j] + u[i+1,j] + u[i,j-1] + u[i,j+1] - 4*u[i,j]))**2
    for i in range(1, n - 1) for j in range(1, m - 1))
"""


def written(u, v, a):
    """In NumPy."""
    flow = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
    return np.sum((u[1:-1, 1:-1] - v[1:-1, 1:-1] - a * flow) ** 2)


@loop
def forward(u: Array, v: Array, a: float) -> float:
    """The value."""
    value = 0.0
    for i in range(1, u.shape[0] - 1):
        for j in range(1, u.shape[1] - 1):
            flow = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4.0 * u[i, j]
            r = u[i, j] - v[i, j] - a * flow
            value += r * r
    return value


@loop
def residuals(u: Array, v: Array, a: float, i: int, row: Array) -> float:
    """Twice the residuals of a row, zero at its ends; gives the sum of squares."""
    m = u.shape[1]
    above, here, below, old = u[i - 1], u[i], u[i + 1], v[i]
    value = 0.0
    row[0] = 0.0
    row[m - 1] = 0.0
    for j in range(1, m - 1):
        r = here[j] - old[j] - a * (above[j] + below[j] + here[j - 1] + here[j + 1] - 4.0 * here[j])
        value += r * r
        row[j] = 2.0 * r
    return value


@loop
def into(u: Array, v: Array, a: float, out: Array) -> float:
    """The value; the gradient goes to `out`. Three rows of residuals are held, and each element gathers from five."""
    n, m = u.shape
    rows = np.zeros((3, m))
    value = residuals(u, v, a, 1, rows[1])
    for j in range(m):
        out[0, j] = -a * rows[1, j]
    for i in range(1, n - 1):
        before, r, after = rows[(i - 1) % 3], rows[i % 3], rows[(i + 1) % 3]
        if i + 1 < n - 1:
            value += residuals(u, v, a, i + 1, after)
        else:
            after[:] = 0.0
        to = out[i]
        to[0] = -a * r[1]
        to[m - 1] = -a * r[m - 2]
        for j in range(1, m - 1):
            to[j] = (1.0 + 4.0 * a) * r[j] - a * (before[j] + after[j] + r[j - 1] + r[j + 1])
    last = rows[(n - 2) % 3]
    for j in range(m):
        out[n - 1, j] = -a * last[j]
    return value


@loop
def value_and_grad(u: Array, v: Array, a: float) -> tuple[float, Array]:
    """The value and a fresh gradient."""
    gradient = np.empty_like(u)
    return into(u, v, a, gradient), gradient


def array_form(np: Any, u: Any, v: Any, a: Any) -> Any:
    """For JAX, PyTorch and autograd."""
    flow = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
    return np.sum((u[1:-1, 1:-1] - v[1:-1, 1:-1] - a * flow) ** 2)


def case(size: str) -> Case:
    """n x n random values at two times."""
    n = int(size)
    random = np.random.default_rng(8)
    return Case(
        name=f"heat {size}",
        written={"formula": FORMULA.strip(), "NumPy": written},
        args={"u": "n m", "v": "n m", "a": ""},
        wrt=("u",),
        inputs=(random.random((n, n)), random.random((n, n)), 0.3),
        loops=Loops(forward, value_and_grad, into),
        array_form=array_form,
    )


PROBLEM = Problem("heat", ("128", "1024"), case, quick=("128",))
