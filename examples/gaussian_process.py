"""A Gaussian process fitted to a real table: the marginal likelihood and its gradient through a Cholesky factor.

The covariance is a squared exponential with a length for each column, plus noise. The five logarithms are found by
SciPy's L-BFGS on half of scikit-learn's diabetes table and judged on the other half: the prediction must be
better than a straight line's, and the noise near what remains. After C. E. Rasmussen and C. K. I. Williams,
"Gaussian Processes for Machine Learning" (2006), algorithm 2.1 and equation 5.9.
"""

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes

import gradc


def covariance(log_scale: float, log_length: np.ndarray, x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The covariance of the values at two sets of points."""
    gap = (x[:, None, :] - other[None, :, :]) / np.exp(log_length)
    return np.exp(2 * log_scale - 0.5 * np.sum(gap**2, axis=2))


@gradc.compile(args={"log_scale": "", "log_length": "d", "log_noise": "", "x": "n d", "y": "n"},
               wrt=("log_scale", "log_length", "log_noise"))
def unlikelihood(log_scale, log_length, log_noise, x, y):
    """Minus the logarithm of the marginal likelihood."""
    size = x.shape[0]
    K = covariance(log_scale, log_length, x, x) + np.exp(2 * log_noise) * np.eye(size)
    L = np.linalg.cholesky(K)
    white = np.linalg.solve(L, y)
    return 0.5 * white @ white + np.sum(np.log(np.diag(L))) + 0.5 * size * np.log(2 * np.pi)


table, target = load_diabetes(return_X_y=True)
x = (table[:, [2, 3, 8]] / table.std(axis=0)[[2, 3, 8]])            # body mass, blood pressure, a serum
y = (target - target.mean()) / target.std()
order = np.random.default_rng(0).permutation(len(y))
train, test = order[:221], order[221:]


def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
    """The value and the gradient as one vector, as SciPy wants them."""
    value, gradient = unlikelihood.value_and_grad(theta[0], theta[1:4], theta[4], x[train], y[train])
    return value, np.array([gradient.log_scale, *gradient.log_length, gradient.log_noise])


start = np.array([0.0, 0.0, 0.0, 0.0, -1.0])
found = minimize(objective, start, jac=True, method="L-BFGS-B")
scale, length, noise = found.x[0], found.x[1:4], found.x[4]
K = covariance(scale, length, x[train], x[train]) + np.exp(2 * noise) * np.eye(len(train))
L = np.linalg.cholesky(K)
predicted = covariance(scale, length, x[test], x[train]) @ cho_solve((L, True), y[train])
error = np.sqrt(np.mean((predicted - y[test]) ** 2))
line, *_ = np.linalg.lstsq(np.column_stack([x[train], np.ones(len(train))]), y[train], rcond=None)
straight = np.sqrt(np.mean((np.column_stack([x[test], np.ones(len(test))]) @ line - y[test]) ** 2))
print(f"minus log likelihood {objective(start)[0]:.1f} -> {found.fun:.1f} in {found.nfev} gradients")
print(f"lengths {np.exp(length).round(1)}, noise {np.exp(noise):.2f}")
print(f"error on the other half: {error:.3f}, of a straight line {straight:.3f}, of the mean {y[test].std():.3f}")
assert np.abs(found.jac).max() < 0.01
assert error < straight
assert abs(np.exp(noise) - error) < 0.1
