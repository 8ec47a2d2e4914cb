"""The orbit of a planet from the radial velocities of its star: Kepler's equation inside a least-squares fit.

The eccentric anomaly E has no formula: `gradc.root` solves E - e sin E = M for each observation, and the Jacobian of
the fit goes through the solution by the implicit function theorem, one division for each observation.
"""

import numpy as np
from scipy.optimize import least_squares

import gradc


@gradc.compile(args={"p": "6", "t": "n"}, wrt="p")
def velocity(p, t):
    amplitude, period, eccentricity, angle, passage, drift = p[0], p[1], p[2], p[3], p[4], p[5]
    M = 2.0 * np.pi * (t - passage) / period
    E = gradc.root(lambda E: E - eccentricity * np.sin(E) - M, M)
    distance = 1.0 - eccentricity * np.cos(E)
    cosine = (np.cos(E) - eccentricity) / distance
    sine = np.sqrt(1.0 - eccentricity**2) * np.sin(E) / distance
    return amplitude * (np.cos(angle) * (cosine + eccentricity) - np.sin(angle) * sine) + drift


truth = np.array([55.0, 4.23, 0.42, 1.1, 0.7, -3.0])  # m/s, days, 1, rad, days, m/s
generator = np.random.default_rng(5)
t = np.sort(generator.uniform(0.0, 40.0, 120))
noise = 2.0
observed = velocity(truth, t) + noise * generator.standard_normal(t.size)

fit = least_squares(
    lambda p: (velocity(p, t) - observed) / noise,
    truth * [0.8, 1.001, 0.6, 1.2, 1.1, 0.0],
    jac=lambda p: velocity.jacobian(p, t) / noise,
    x_scale="jac",
)
errors = np.sqrt(np.diag(np.linalg.inv(fit.jac.T @ fit.jac)))
for name, found, error, own in zip(("K", "P", "e", "omega", "t0", "v0"), fit.x, errors, truth, strict=True):
    print(f"{name:5} {found:9.4f} +- {error:.4f}   (made with {own})")

# the same derivatives by central differences, of step 1e-6 in each parameter
steps = 1e-6 * np.eye(6)
differences = np.stack([(velocity(fit.x + h, t) - velocity(fit.x - h, t)) / 2e-6 for h in steps], axis=1)
worst = np.abs(velocity.jacobian(fit.x, t) - differences).max() / np.abs(differences).max()
print(f"{fit.nfev} evaluations; the Jacobian differs from differences by {worst:.0e}")
assert fit.success
assert worst < 1e-7
assert np.all(np.abs(fit.x - truth) < 4.0 * errors)
