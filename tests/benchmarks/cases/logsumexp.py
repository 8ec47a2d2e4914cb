"""A log-sum-exp of every row, summed: a reduction inside a reduction, and nothing but exponentials."""

import math
from typing import Any

import numpy as np

from ..case import Array, Case, Loops, Problem, loop


@loop
def forward(a: Array) -> float:
    """The value, the largest of a row taken out first."""
    value = 0.0
    for i in range(a.shape[0]):
        top = a[i, 0]
        for k in range(1, a.shape[1]):
            top = max(top, a[i, k])
        total = 0.0
        for k in range(a.shape[1]):
            total += math.exp(a[i, k] - top)
        value += top + math.log(total)
    return value


@loop
def into(a: Array, out: Array) -> float:
    """The value; the gradient goes to `out`, where the exponentials wait for the sum of their row."""
    value = 0.0
    for i in range(a.shape[0]):
        top = a[i, 0]
        for k in range(1, a.shape[1]):
            top = max(top, a[i, k])
        total = 0.0
        for k in range(a.shape[1]):
            e = math.exp(a[i, k] - top)
            out[i, k] = e
            total += e
        value += top + math.log(total)
        share = 1.0 / total
        for k in range(a.shape[1]):
            out[i, k] *= share
    return value


@loop
def value_and_grad(a: Array) -> tuple[float, Array]:
    """The value and a fresh gradient."""
    gradient = np.empty_like(a)
    return into(a, gradient), gradient


def array_form(np: Any, a: Any) -> Any:
    """For JAX and autograd."""
    return np.sum(np.logsumexp(a, axis=1))


def case(size: str) -> Case:
    """n random rows of k numbers."""
    n, k = map(int, size.split("x"))

    def scalar_form(m: Any, a: Any) -> Any:
        # No largest is taken out: the inputs are small, and the peers that unroll are the faster for it.
        return sum(m.log(sum(m.exp(a[i, j]) for j in range(k))) for i in range(n))

    return Case(
        name=f"logsumexp {n}x{k}",
        written="sum(log(sum(exp(a[i,k]) for k in range(K))) for i in range(n))",
        args={"a": "n K"},
        wrt=("a",),
        inputs=(np.random.default_rng(3).standard_normal((n, k)),),
        loops=Loops(forward, value_and_grad, into),
        array_form=array_form,
        scalar_form=scalar_form,
        unrolled=n * k,
    )


PROBLEM = Problem("logsumexp", ("1000x32",), case, quick=("1000x32",))
