"""Logistic regression, the loss as one formula with sums: a matrix read forward and in reverse."""

import math
from typing import Any

import numpy as np

from ..case import Array, Case, Loops, Problem, loop


@loop
def forward(w: Array, X: Array, y: Array) -> float:
    """The loss."""
    n, d = X.shape
    value = 0.0
    for i in range(n):
        margin = 0.0
        for j in range(d):
            margin += w[j] * X[i, j]
        value += math.log1p(math.exp(-y[i] * margin))
    return value


@loop
def into(w: Array, X: Array, y: Array, out: Array) -> float:
    """The loss; the gradient goes to `out`. One pass: a row is used twice while it is in the cache."""
    n, d = X.shape
    value = 0.0
    out[:] = 0.0
    for i in range(n):
        margin = 0.0
        for j in range(d):
            margin += w[j] * X[i, j]
        e = math.exp(-y[i] * margin)
        value += math.log1p(e)
        weight = -y[i] * e / (1.0 + e)
        for j in range(d):
            out[j] += weight * X[i, j]
    return value


@loop
def value_and_grad(w: Array, X: Array, y: Array) -> tuple[float, Array]:
    """The loss and a fresh gradient."""
    gradient = np.empty_like(w)
    return into(w, X, y, gradient), gradient


def array_form(np: Any, w: Any, X: Any, y: Any) -> Any:
    """For JAX and autograd."""
    return np.sum(np.log1p(np.exp(-y * (X @ w))))


def matrix_form(casadi: Any, w: Any, X: Any, y: Any) -> Any:
    """For CasADi, by matrices."""
    return casadi.sum1(casadi.log1p(casadi.exp(-y * casadi.mtimes(X, w))))


def case(size: str) -> Case:
    """n random points in d dimensions, labels 1 and -1."""
    n, d = map(int, size.split("x"))
    rng = np.random.default_rng(1)

    def scalar_form(m: Any, w: Any, X: Any, y: Any) -> Any:
        margins = (sum(w[j] * X[i, j] for j in range(d)) for i in range(n))
        return sum(m.log(1 + m.exp(-y[i] * margin)) for i, margin in enumerate(margins))

    return Case(
        name=f"logistic {n}x{d}",
        written="sum(log(1 + exp(-y[i]*sum(w[j]*X[i,j] for j in range(d)))) for i in range(n))",
        args={"w": "d", "X": "n d", "y": "n"},
        wrt=("w",),
        inputs=(0.3 * rng.standard_normal(d), rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)),
        loops=Loops(forward, value_and_grad, into),
        array_form=array_form,
        scalar_form=scalar_form,
        matrix_form=matrix_form,
        unrolled=n * d,
    )


PROBLEM = Problem("logistic", ("1000x100", "10000x20"), case, quick=("10000x20",))
