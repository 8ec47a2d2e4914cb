"""The test problems of Moré, Garbow and Hillstrom (1981): derivatives held to other means, published minima reached.

The Jacobian of each problem's residuals is held against complex steps through the same NumPy code, the gradient of its
formula against that Jacobian, and the Hessian against second differences in 60 digits. The minima are reached through
`f.scipy`, from the published starting points.
"""

from __future__ import annotations

import functools
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.optimize import least_squares, minimize

import gradc
from gradc.ir.interpret import evaluate

from .more_garbow_hillstrom import PROBLEMS, Problem, osborne_2

STEP = 1e-30                                                    # of complex steps, which have no cancellation
every = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)


@functools.cache
def residuals(number: int) -> Any:
    problem = PROBLEMS[number - 1]
    return gradc.compile(problem.residuals, {"x": str(len(problem.start))}, jit=False)


@functools.cache
def objective(number: int) -> Any:
    problem = PROBLEMS[number - 1]
    declared = {"x": str(len(problem.start)), **{name: str(len(values)) for name, values in problem.data.items()}}
    return gradc.compile(problem.formula, declared, wrt="x", jit=False)


def points(problem: Problem) -> list[np.ndarray[Any, Any]]:
    """The starting point, and one near to it at which no symmetry hides a derivative."""
    start = np.array(problem.start)
    return [start, start + 0.02 * (1 + np.abs(start)) * np.sin(1 + np.arange(len(start)))]


def by_complex_steps(problem: Problem, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    code = problem.plain or problem.residuals
    return np.stack([np.imag(code(x + 1j * STEP * unit)) / STEP for unit in np.eye(len(x))], axis=1)


def close(found: Any, wanted: Any, digits: int) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=10.0**-digits * max(1e-30, np.max(np.abs(wanted))))


def test_all_problems_of_the_paper_are_here() -> None:
    assert [problem.number for problem in PROBLEMS] == list(range(1, 36))


@every
def test_formula_and_code_are_the_same_function(problem: Problem) -> None:
    for x in points(problem):
        found = residuals(problem.number)(x)
        assert objective(problem.number)(x, **problem.data) == pytest.approx(np.sum(found**2), rel=1e-12)
        np.testing.assert_allclose(found, problem.residuals(x), rtol=1e-12, atol=1e-12)


@every
def test_jacobian_and_gradient_are_those_of_complex_steps(problem: Problem) -> None:
    for x in points(problem):
        wanted = by_complex_steps(problem, x)
        close(residuals(problem.number).jacobian(x), wanted, 14)
        close(objective(problem.number).grad(x, **problem.data), 2 * wanted.T @ problem.residuals(x), 12)


@every
def test_hessian_is_that_of_differences_in_many_digits(problem: Problem) -> None:
    function, x = objective(problem.number), points(problem)[1]
    hessian = function.hessian(x, **problem.data)
    assert np.array_equal(hessian, hessian.T)
    for seed in range(3):
        direction = np.random.default_rng(seed).choice([-1.0, -0.5, 0.5, 1.0], len(x))
        close(direction @ hessian @ direction, curvature(function, x, direction, problem.data), 12)
        close(function.hvp(x, **problem.data, v_x=direction), hessian @ direction, 12)


def curvature(function: Any, x: Any, direction: Any, data: dict[str, Any]) -> float:
    """The second derivative along a direction: central differences with a step of 1e-18 in 60 digits."""
    exact = np.frompyfunc(mpmath.mp.mpf, 1, 1)
    with mpmath.mp.workdps(60):
        step = mpmath.mp.mpf("1e-18")
        below, here, above = (evaluate(function.graph, {"x": exact(x) + k * step * exact(direction), **data},
                                       exact=mpmath.mp)[0] for k in (-1, 0, 1))
        return float((below + above - 2 * here) / step**2)


def reached(problem: Problem, value: float) -> bool:
    """Whether a sum of squares is one of the published minima, to their six digits; zeros to 1e-12."""
    return any(value == pytest.approx(minimum, rel=5e-6, abs=0.0 if minimum else 1e-12) for minimum in problem.minima)


@every
def test_least_squares_reach_a_published_minimum(problem: Problem) -> None:
    f = residuals(problem.number).scipy()
    found = least_squares(f.fun, problem.start, f.jac, method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=1000)
    assert reached(problem, 2 * found.cost)
    if problem.solution is not None:
        np.testing.assert_allclose(found.x, problem.solution, rtol=2e-4, atol=1e-10)


@every
def test_minimisers_reach_a_published_minimum(problem: Problem) -> None:
    f = objective(problem.number).scipy("x", **problem.data)
    given: dict[str, Any] = {"method": "trust-exact", "hess": f.hess}
    if problem.name == "Brown badly scaled":                    # a million steps of trust-exact's largest radius
        given = {"method": "BFGS"}
    with np.errstate(over="ignore"):                            # the exponentials of Osborne 1, at a step not taken
        found = minimize(f.fun, problem.start, jac=f.jac, options={"gtol": 1e-9, "maxiter": 500}, **given)
    assert reached(problem, found.fun)


def test_a_compiled_problem_reaches_it_too() -> None:
    problem = PROBLEMS[18]
    assert problem.residuals is osborne_2
    f = gradc.compile(lambda x: np.sum(osborne_2(x) ** 2), {"x": "11"}).scipy()
    found = minimize(f.fun, problem.start, jac=f.jac, method="BFGS", options={"gtol": 1e-9})
    assert reached(problem, found.fun)
