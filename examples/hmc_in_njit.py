"""Hamiltonian Monte Carlo in the user's own @njit code, with the gradient of a log density from a formula.

The density is a three-dimensional Gaussian with correlations, so the mean and the covariance that the samples
should have are known.
"""

import numpy as np
from numba import njit

import gradc

log_density = gradc.compile("-(x - m) @ P @ (x - m) / 2", args={"x": "d", "m": "d", "P": "d d"}, wrt="x")
value_and_gradient = log_density.value_and_grad.jit


@njit
def sample(x, mean, precision, count, steps, size, generator):
    kept = np.empty((count, x.size))
    accepted = 0
    for k in range(count):
        start = generator.standard_normal(x.size)
        momentum = start.copy()
        position = x.copy()
        before, gradient = value_and_gradient(position, mean, precision)
        after = before
        for _ in range(steps):  # leapfrog
            momentum += 0.5 * size * gradient
            position += size * momentum
            after, gradient = value_and_gradient(position, mean, precision)
            momentum += 0.5 * size * gradient
        gained = after - before - 0.5 * (momentum @ momentum - start @ start)
        if np.log(generator.random()) < gained:
            x = position
            accepted += 1
        kept[k] = x
    return kept, accepted / count


mean = np.array([1.0, -2.0, 0.5])
covariance = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.5], [0.0, -0.5, 0.7]])
samples, rate = sample(mean, mean, np.linalg.inv(covariance), 100_000, 5, 0.25, np.random.default_rng(1))

mean_found, covariance_found = samples.mean(axis=0), np.cov(samples.T)
print(f"{len(samples)} samples, {rate:.1%} accepted")
print("mean      ", mean_found.round(3))
print("covariance", *covariance_found.round(3), sep="\n  ")

assert rate > 0.9
assert np.abs(mean_found - mean).max() < 0.02
assert np.abs(covariance_found - covariance).max() < 0.05
