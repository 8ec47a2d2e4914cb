"""Multinomial logistic regression: a matrix product, a log-sum-exp of each row, and one element of each row."""

from typing import Any

import numpy as np

from ..case import Case, Problem


def written(W, X, y):
    """The loss, as one writes it in NumPy."""
    z = X @ W.T
    return np.sum(np.log(np.sum(np.exp(z), axis=1))) - np.sum(z[np.arange(len(y)), y])


def array_form(np: Any, W: Any, X: Any, y: Any) -> Any:
    """For JAX, PyTorch and autograd."""
    z = X @ W.T
    return np.sum(np.logsumexp(z, axis=1)) - np.sum(z[np.arange(len(y)), y])


def case(size: str) -> Case:
    """Random points and labels; a size is points x dimensions x classes."""
    n, d, c = map(int, size.split("x"))
    random = np.random.default_rng(4)
    return Case(
        name=f"multinomial {size}",
        written=written,
        args={"W": "c d", "X": "n d", "y": "int n"},
        wrt=("W",),
        inputs=(0.3 * random.standard_normal((c, d)), random.standard_normal((n, d)), random.integers(0, c, n)),
        array_form=array_form,
    )


PROBLEM = Problem("multinomial", ("1000x50x10", "10000x20x5"), case, quick=("1000x50x10",))
