"""Optimal control by direct collocation: a cart swings up the pendulum that hangs from it, with the least force.

States and forces at some times are the unknowns, and the equations of motion constraints between neighbours by the
trapezoidal rule (the problem of Kelly, SIAM Review 59, 2017). Ipopt, through cyipopt, gets the sparse Jacobian of the
constraints and the sparse Hessian of the Lagrangian; without cyipopt SciPy's SLSQP solves a smaller problem, dense.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import Bounds, minimize

import gradc

try:
    import cyipopt
except ImportError:
    cyipopt = None

N = 81 if cyipopt else 21
SECONDS, LENGTH, CART, BOB, GRAVITY = 2.0, 0.5, 1.0, 0.3, 9.81


def slopes(angle, speed, turning, force):
    """How fast place, angle, speed and turning change."""
    s, c = np.sin(angle), np.cos(angle)
    mass = CART + BOB * s**2
    push = LENGTH * BOB * s * turning**2 + force
    gaining = (push + BOB * GRAVITY * c * s) / mass
    return speed, turning, gaining, -(push * c + (CART + BOB) * GRAVITY * s) / (LENGTH * mass)


@gradc.compile(args={"force": "n"})
def effort(force):
    return np.sum(force[1:] ** 2 + force[:-1] ** 2) * SECONDS / (N - 1) / 2


@gradc.compile(args={"place": "n", "angle": "n", "speed": "n", "turning": "n", "force": "n"})
def defects(place, angle, speed, turning, force):
    states, changes = (place, angle, speed, turning), slopes(angle, speed, turning, force)
    return tuple(y[1:] - y[:-1] - SECONDS / (N - 1) * (dy[1:] + dy[:-1]) / 2
                 for y, dy in zip(states, changes, strict=True))


UNKNOWN = "place", "angle", "speed", "turning", "force"
motion = defects.scipy(UNKNOWN)                                 # one vector of all unknowns
line, zero = np.linspace(0.0, 1.0, N), np.zeros(N)
start = motion.pack(line, np.pi * line, zero, zero, zero)
upper = [np.full(N, bound) for bound in (2.0, 20.0, 50.0, 50.0, 20.0)]
lower = [-bound for bound in upper]
for k, final in enumerate((1.0, np.pi, 0.0, 0.0)):
    lower[k][[0, -1]] = upper[k][[0, -1]] = 0.0, final          # from rest, hanging, to rest, upright
lower, upper = motion.pack(*lower), motion.pack(*upper)

if cyipopt is None:
    print("cyipopt is not installed (pip install cyipopt, which needs Ipopt), so SciPy's SLSQP solves the problem")
    cost = motion.of(effort)
    z = minimize(cost.fun, start, jac=cost.jac, method="SLSQP", bounds=Bounds(lower, upper), options={"maxiter": 500},
                 constraints=motion.constraint(0.0, 0.0, hess=False)).x
else:
    nlp = effort.cyipopt(defects, wrt=UNKNOWN)
    nlp.pack(*motion.unpack(start))
    ipopt = cyipopt.Problem(n=nlp.n, m=nlp.m, problem_obj=nlp, lb=lower, ub=upper, cl=np.zeros(nlp.m),
                            cu=np.zeros(nlp.m))
    ipopt.add_option("print_level", 0)
    ipopt.add_option("sb", "yes")
    z = ipopt.solve(start)[0]
    print(f"Ipopt: {len(nlp.jacobianstructure()[0])} of {nlp.m * nlp.n} derivatives of the constraints,", end=" ")
    print(f"{len(nlp.hessianstructure()[0])} second ones")

best, times = motion.unpack(z), np.linspace(0.0, SECONDS, N)
run = solve_ivp(lambda t, y: np.array(slopes(*y[1:], np.interp(t, times, best.force))), (0.0, SECONDS), np.zeros(4),
                rtol=1e-8)
print(f"effort {effort(best.force):.2f}, largest force {np.max(np.abs(best.force)):.2f}")
print(f"driven by these forces the cart ends at {run.y[0, -1]:.3f}, the pendulum at {run.y[1, -1] / np.pi:.3f} pi")
assert np.max(np.abs(motion.fun(z))) < 1e-6
assert abs(effort(best.force) - 59) < 3 and abs(run.y[0, -1] - 1.0) < 0.2
