"""A double pendulum, from a SymPy Lagrangian to its motion, by two roads that must meet.

Euler and Lagrange: SymPy derives the accelerations, gradc compiles the four right-hand sides at once.
Hamilton: SymPy forms the energy H(q, p), and gradc's gradient of it is the right-hand side: q' = dH/dp,
p' = -dH/dq.
"""

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

import gradc

a, b, va, vb, pa, pb = sp.symbols("a b va vb pa pb", real=True)  # angles, their velocities and momenta
m1, m2, l1, l2, g = constants = sp.symbols("m1 m2 l1 l2 g", positive=True)
q, v, p = sp.Matrix([a, b]), sp.Matrix([va, vb]), sp.Matrix([pa, pb])

first = sp.Matrix([l1 * sp.sin(a), -l1 * sp.cos(a)])
second = first + sp.Matrix([l2 * sp.sin(b), -l2 * sp.cos(b)])
velocity1, velocity2 = first.jacobian(q) * v, second.jacobian(q) * v
kinetic = (m1 * velocity1.dot(velocity1) + m2 * velocity2.dot(velocity2)) / 2
potential = m1 * g * first[1] + m2 * g * second[1]
lagrangian = kinetic - potential

# Euler and Lagrange: d/dt dL/dv = dL/dq, solved for the accelerations.
momenta = sp.Matrix([lagrangian]).jacobian(v).T
mass = momenta.jacobian(v)
force = sp.Matrix([lagrangian]).jacobian(q).T - momenta.jacobian(q) * v
accelerations = mass.inv() * force
lagrange = gradc.compile((va, vb, *accelerations), args=(a, b, va, vb, *constants))

# Hamilton: the energy in terms of the momenta, and its gradient.
energy = gradc.compile((p.T * mass.inv() * p)[0] / 2 + potential, args=(a, b, pa, pb, *constants), wrt=(a, b, pa, pb))
momentum = gradc.compile(tuple(momenta), args=(a, b, va, vb, *constants))


def hamilton(*state_and_constants: float) -> tuple[float, ...]:
    d = energy.grad(*state_and_constants)
    return d.pa, d.pb, -d.a, -d.b


def motion(rates, state: np.ndarray) -> np.ndarray:
    result = solve_ivp(lambda t, s: rates(*s, *values), (0, 5), state, method="DOP853", rtol=1e-11, atol=1e-11)
    return result.y


values = (1.0, 0.7, 1.0, 0.8, 9.81)
start = np.array([2.0, 2.5, 0.0, 0.3])

by_lagrange = motion(lagrange, start)
by_hamilton = motion(hamilton, np.array([*start[:2], *momentum(*start, *values)]))

energies = np.array([energy(*state, *values) for state in by_hamilton.T])
drift = np.abs(energies - energies[0]).max()
apart = np.abs(by_lagrange[:2, -1] - by_hamilton[:2, -1]).max()
print(f"after 5 s the angles are {by_hamilton[:2, -1].round(6)}; the two roads differ by {apart:.1e}")
print(f"energy {energies[0]:.6f}, drift {drift:.1e} over {energies.size} steps")

assert drift < 1e-8
assert apart < 1e-5
