"""Robertson's chemical kinetics, time constants from microseconds to ages, with an exact Jacobian.

a -> b, 2b -> b + c and b + c -> a + c have rates of 0.04, 3e7 and 1e4, which no explicit method gets past. One reactor
is integrated to t = 1e11 and compared with the reference of the Bari test set for initial value problems; then a row
of 300 reactors that exchange with their neighbours, where Radau's method factorises a sparse Jacobian.
"""

import numpy as np
from scipy.integrate import solve_ivp

import gradc

REFERENCE = 0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050


@gradc.compile(args={"a": "n", "b": "n", "c": "n", "mixing": ""}, wrt="a b c")
def rates(a, b, c, mixing):
    def exchange(y):
        edged = np.pad(y, 1, mode="edge")
        return mixing * (edged[2:] - 2 * y + edged[:-2])

    slow, fast, back = 0.04 * a, 3e7 * b**2, 1e4 * b * c
    return back - slow + exchange(a), slow - back - fast + exchange(b), fast + exchange(c)


def integrated(a, end, mixing, **options):
    """The state at `end` from pure a, and what the integration took."""
    problem = rates.scipy(mixing=mixing).sparse
    start = problem.pack(a, np.zeros_like(a), np.zeros_like(a))
    ode = problem.ode()
    run = solve_ivp(ode.fun, (0.0, end), start, method="Radau", jac=ode.jac, t_eval=[end], **options)
    return problem.unpack(run.y[:, -1]), run, problem.jac(start)


one, run, J = integrated(np.ones(1), 1e11, 0.0, rtol=1e-7, atol=1e-20)
print(f"one reactor: {run.njev} Jacobians of {J.nnz} entries in {J.shape}, {run.nfev} right-hand sides")
for name, value, reference in zip("abc", one, REFERENCE, strict=True):
    print(f"  {name} = {value[0]:.10e}   {reference:.10e}")
    assert abs(value[0] / reference - 1) < 1e-6

amount = 1 + np.cos(np.linspace(0.0, np.pi, 300)) / 2           # more on the left
many, run, J = integrated(amount, 1e4, 0.1, rtol=1e-6, atol=1e-12)
total = sum(part.sum() for part in many)
print(f"300 reactors: {run.njev} Jacobians of {J.nnz} entries in {J.shape}, {run.nfev} right-hand sides")
print(f"  c from {many.c.min():.4f} to {many.c.max():.4f}, total {total:.6f} of {amount.sum():.6f}")
assert run.success and J.nnz < 0.02 * J.shape[0] ** 2
assert abs(total / amount.sum() - 1) < 1e-9
