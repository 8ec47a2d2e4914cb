"""Kepler's equation M = E - e sin(E), solved for 100,000 orbits by Newton's method in one's own @njit code.

`residual.value_and_grad.jit` is an ordinary Numba function: it is called, and inlined, inside the loop.
"""

import math

import numpy as np
from numba import njit

import gradc

residual = gradc.compile("E - e * sin(E) - M", args="E, e, M", wrt="E")  # listed in args, e is no longer 2.718...
residual_and_slope = residual.value_and_grad.jit


@njit
def eccentric_anomaly(e, M):
    E = M if e < 0.8 else math.pi
    for step in range(50):
        value, slope = residual_and_slope(E, e, M)
        E -= value / slope
        if abs(value) <= 4e-16 * max(1.0, abs(M)):
            return E, step
    return E, 50


@njit
def all_orbits(e, M):
    E = np.empty_like(M)
    most = 0
    for i in range(M.size):
        E[i], steps = eccentric_anomaly(e[i], M[i])
        most = max(most, steps)
    return E, most


generator = np.random.default_rng(1)
e = generator.uniform(0, 0.95, 100_000)
exact = generator.uniform(0, 2 * np.pi, e.size)  # the answer is chosen first, the question made from it
E, most = all_orbits(e, exact - e * np.sin(exact))

error = np.abs(E - exact).max()
print(f"{E.size} orbits, at most {most} Newton steps, largest error {error:.1e}")
assert error < 1e-13
assert most < 20
