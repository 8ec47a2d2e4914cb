"""Kernel density: the log-density of points under normal kernels at other points, a log-sum-exp over distances."""

from typing import Any

import numpy as np

from ..case import Case, Problem

FORMULA = """
sum(log(sum(exp(-sum((x[i,k] - c[j,k])**2 for k in range(d)) / (2*h**2)) for j in range(n))
        / (n*(2*pi*h**2)**(d/2))) for i in range(m))
""".strip()


def written(x, c, h):
    """In NumPy."""
    n, d = c.shape
    squares = np.sum((x[:, None, :] - c) ** 2, axis=2)
    density = np.sum(np.exp(-squares / (2 * h**2)), axis=1) / (n * (2 * np.pi * h**2) ** (d / 2))
    return np.sum(np.log(density))


def array_form(np: Any, x: Any, c: Any, h: Any) -> Any:
    """For JAX, PyTorch and autograd."""
    n, d = c.shape
    squares = np.sum((x[:, None, :] - c) ** 2, axis=2)
    return np.sum(np.logsumexp(-squares / (2 * h**2), axis=1)) - x.shape[0] * (
        _LOG(n) + d / 2 * np.log(2 * _PI * h**2)
    )


_LOG, _PI = (lambda n: float(np.log(n))), float(np.pi)


def case(size: str) -> Case:
    """Points x centres x dimensions."""
    m, n, d = map(int, size.split("x"))
    random = np.random.default_rng(6)
    return Case(
        name=f"kernel density {size}",
        written={"formula": FORMULA, "NumPy": written},
        args={"x": "m d", "c": "n d", "h": ""},
        wrt=("x", "c", "h"),
        inputs=(random.standard_normal((m, d)), random.standard_normal((n, d)), 0.4),
        array_form=array_form,
    )


PROBLEM = Problem("kernel density", ("500x1000x3",), case)
