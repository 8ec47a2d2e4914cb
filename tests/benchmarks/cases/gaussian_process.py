"""The marginal likelihood of a Gaussian process: a covariance of all pairs, its Cholesky factor, and a solution.

After C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning" (2006), algorithm 2.1.
"""

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from ..case import Case, Problem


def written(log_scale, log_length, log_noise, x, y):
    """Minus the log-likelihood, in NumPy and SciPy."""
    n = x.shape[0]
    gap = (x[:, None, :] - x[None, :, :]) / np.exp(log_length)
    K = np.exp(2 * log_scale - 0.5 * np.sum(gap**2, axis=2)) + np.exp(2 * log_noise) * np.eye(n)
    L = np.linalg.cholesky(K)
    white = solve_triangular(L, y, lower=True)
    return 0.5 * white @ white + np.sum(np.log(np.diag(L))) + 0.5 * n * np.log(2 * np.pi)


def array_form(np: Any, log_scale: Any, log_length: Any, log_noise: Any, x: Any, y: Any) -> Any:
    """For JAX, PyTorch and autograd."""
    n = x.shape[0]
    gap = (x[:, None, :] - x[None, :, :]) / np.exp(log_length)
    K = np.exp(2 * log_scale - 0.5 * np.sum(gap**2, axis=2)) + np.exp(2 * log_noise) * np.eye(n)
    L = np.cholesky(K)
    white = np.solve_lower(L, y)
    return 0.5 * (white @ white) + np.sum(np.log(np.diag(L))) + 0.5 * n * _LOG_2_PI


_LOG_2_PI = float(np.log(2 * np.pi))


def case(size: str) -> Case:
    """Random points in three dimensions."""
    n = int(size)
    random = np.random.default_rng(5)
    x = random.standard_normal((n, 3))
    y = np.sin(x[:, 0]) + 0.1 * random.standard_normal(n)
    wrt = ("log_scale", "log_length", "log_noise")
    return Case(
        name=f"Gaussian process {size}",
        written=written,
        args={"log_scale": "", "log_length": "d", "log_noise": "", "x": "n d", "y": "n"},
        wrt=wrt,
        inputs=(0.1, np.array([0.1, 0.2, -0.1]), -1.5, x, y),
        array_form=array_form,
        tolerance=1e-7,  # the covariance's condition takes digits
    )


PROBLEM = Problem("Gaussian process", ("100", "400"), case, quick=("100",))
