"""A nonlinear fit with certified answers: Misra1a of NIST's Statistical Reference Datasets.

The residuals of y = b1 (1 - exp(-b2 x)) and their Jacobian go to SciPy's least_squares; two of Newton's steps on the
sum of squares, with its Hessian, bring the last digits. The Jacobian there gives the standard errors too: the square
roots of the diagonal of s^2 (J' J)^-1. NIST certifies eleven digits of both (www.itl.nist.gov/div898/strd).
"""

import numpy as np
from scipy.optimize import least_squares

import gradc

X = np.array([77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0])
Y = np.array([10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78])
CERTIFIED, DEVIATIONS = np.array([2.3894212918e02, 5.5015643181e-04]), np.array([2.7070075241e00, 7.2668688436e-06])
SUM_OF_SQUARES = 1.2455138894e-01


@gradc.compile(args={"b": "2", "x": "n", "y": "n"}, wrt="b")
def residuals(b, x, y):
    return b[0] * (1 - np.exp(-b[1] * x)) - y


@gradc.compile(args={"b": "2", "x": "n", "y": "n"}, wrt="b")
def squares(b, x, y):
    return np.sum(residuals(b, x, y) ** 2)


def fitted(start):
    b = least_squares(residuals, start, residuals.jacobian, method="lm", x_scale="jac", args=(X, Y)).x
    for _ in range(2):
        b = b - np.linalg.solve(squares.hessian(b, X, Y), squares.grad(b, X, Y))
    J = residuals.jacobian(b, X, Y)
    variance = squares(b, X, Y) / (len(Y) - len(b))
    return b, np.sqrt(variance * np.diag(np.linalg.inv(J.T @ J)))


for start in ([500.0, 0.0001], [250.0, 0.0005]):                # NIST's two starting points
    b, deviations = fitted(start)
    print(f"from {start}:")
    for name, value, deviation in zip(("b1", "b2"), b, deviations, strict=True):
        print(f"  {name} = {value:.10e}  +- {deviation:.4e}")
    assert np.allclose(b, CERTIFIED, rtol=1e-10)
    assert np.allclose(deviations, DEVIATIONS, rtol=1e-9)
    assert abs(squares(b, X, Y) / SUM_OF_SQUARES - 1) < 1e-10
