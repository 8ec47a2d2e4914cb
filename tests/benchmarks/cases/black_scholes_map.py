"""The Black-Scholes prices of many calls: an elementwise map, of which the gradient of the sum gives all the Greeks."""

from typing import Any

import numpy as np
from scipy.special import erf

from ..case import Case, Problem
from .black_scholes import form


def written(S, K, T, r, sigma):
    """The sum of the prices, in NumPy."""
    d1 = (np.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * np.sqrt(T))
    d2 = d1 - sigma * np.sqrt(T)
    n1 = (1 + erf(d1 / np.sqrt(2))) / 2
    n2 = (1 + erf(d2 / np.sqrt(2))) / 2
    return np.sum(S * n1 - K * np.exp(-r * T) * n2)


def array_form(np: Any, *args: Any) -> Any:
    """For JAX, PyTorch and autograd."""
    return np.sum(form(np, *args))


def case(size: str) -> Case:
    """n options."""
    n = int(size)
    random = np.random.default_rng(9)
    names = ("S", "K", "T", "r", "sigma")
    ranges = ((80, 120), (80, 120), (0.1, 2), (0.0, 0.05), (0.1, 0.5))
    return Case(
        name=f"Black-Scholes map {size}",
        written=written,
        args=dict.fromkeys(names, "n"),
        wrt=names,
        inputs=tuple(random.uniform(low, high, n) for low, high in ranges),
        array_form=array_form,
    )


PROBLEM = Problem("Black-Scholes map", ("1000", "1000000"), case, quick=("1000",))
