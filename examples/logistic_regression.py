"""Logistic regression on scikit-learn's breast-cancer table: objective and penalty as a formula.

It is fitted with SciPy's L-BFGS and `value_and_grad`, and the coefficients are compared with those of
scikit-learn's own LogisticRegression at the same penalty.
"""

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import gradc

# log(1 + exp(z)) is written as it stands: gradc computes it without overflow.
objective = gradc.compile(
    """
    z = X @ w + b
    C * sum(log(1 + exp(z[i])) - y[i] * z[i] for i in range(n)) + sum(w[k]**2 for k in range(d)) / 2
    """,
    args={"w": "d", "b": "", "X": "n d", "y": "n", "C": ""},
    wrt=("w", "b"),
)

data = load_breast_cancer()
X, y, C = StandardScaler().fit_transform(data.data), data.target.astype(float), 1.0
features = X.shape[1]


def value_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
    value, gradient = objective.value_and_grad(parameters[:-1], parameters[-1], X, y, C)
    return value, np.append(gradient.w, gradient.b)


found = minimize(
    value_and_gradient,
    np.zeros(features + 1),
    jac=True,
    method="L-BFGS-B",
    options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10_000},
)
w, b = found.x[:-1], found.x[-1]

reference = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X, y)
largest = np.abs(np.append(w, b) - np.append(reference.coef_, reference.intercept_)).max()
accuracy = np.mean((X @ w + b > 0) == y)

strongest = np.argsort(-np.abs(w))[:5]
print(f"{'feature':24}{'gradc':>12}{'scikit-learn':>14}")
for k in strongest:
    print(f"{data.feature_names[k]:24}{w[k]:12.6f}{reference.coef_[0, k]:14.6f}")
print(
    f"{len(y)} rows, {found.nfev} gradients, objective {found.fun:.6f}, accuracy {accuracy:.4f}, "
    f"largest difference of a coefficient {largest:.1e}"
)

assert largest < 1e-4
assert accuracy > 0.98
