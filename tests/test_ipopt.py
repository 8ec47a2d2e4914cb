"""`f.cyipopt`: the triplets that Ipopt asks for against dense derivatives, and problems solved by Ipopt itself.

cyipopt needs Ipopt; where it is not installed the problems are skipped, and the triplets are tested all the same.
"""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import gradc
from gradc import ArgumentError, DerivativeError, FormulaError

HS71 = gradc.compile("x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]", "x: 4", jit=False)
BOUNDED = gradc.compile("x[0] * x[1] * x[2] * x[3], sum(x**2)", "x: 4", jit=False)


@gradc.compile(args={"x": "n 2", "u": "n", "T": ""}, jit=False)
def effort(x, u, T):
    return np.sum(u**2) * T


@gradc.compile(args={"x": "n 2", "u": "n", "T": "", "drag": ""}, wrt=("x", "u", "T"), jit=False)
def defects(x, u, T, drag):
    """A cart with drag by the midpoint rule, n - 1 intervals of equal length."""
    slope = np.stack([x[:, 1], u - drag * x[:, 1] ** 2], axis=1)
    return x[1:] - x[:-1] - T / (x.shape[0] - 1) * (slope[1:] + slope[:-1]) / 2


@gradc.compile(args={"x": "n 2"}, jit=False)
def ends(x):
    return x[0, 0], x[0, 1], x[-1, 0] - 1.0, x[-1, 1]


def problem(n=6):
    p = effort.cyipopt((defects, ends), wrt=("T", "x", "u"), drag=0.5)
    random = np.random.default_rng(2)
    return p, p.pack(1.5, random.standard_normal((n, 2)), random.standard_normal(n))


def dense(structure, values, shape):
    found = np.zeros(shape)
    np.add.at(found, structure, values)
    return found


def solved(p, x0, **bounds):
    cyipopt = pytest.importorskip("cyipopt", reason="cyipopt is not installed: pip install cyipopt, with Ipopt")
    nlp = cyipopt.Problem(n=p.n, m=p.m, problem_obj=p, **bounds)
    nlp.add_option("print_level", 0)
    nlp.add_option("sb", "yes")
    nlp.add_option("tol", 1e-9)
    x, info = nlp.solve(x0)
    assert info["status"] == 0, info["status_msg"]
    return x, info


# -- without Ipopt -------------------------------------------------------------------------------------


def test_the_triplets_of_the_jacobian_are_the_dense_one():
    p, z = problem()
    assert (p.n, p.m) == (1 + 12 + 6, 10 + 4)
    assert p.constraints(z).shape == (14,)
    found = dense(p.jacobianstructure(), p.jacobian(z), (p.m, p.n))
    assert np.allclose(found, approx_fprime(z, p.constraints), atol=1e-6)


def test_the_triplets_of_the_hessian_are_the_lower_triangle_of_that_of_the_lagrangian():
    p, z = problem()
    weights = np.linspace(-1.0, 2.0, p.m)

    def gradient(z):
        return 0.7 * p.gradient(z) + weights @ dense(p.jacobianstructure(), p.jacobian(z), (p.m, p.n))

    rows, columns = p.hessianstructure()
    assert np.all(rows >= columns)
    found = dense((rows, columns), p.hessian(z, weights, 0.7), (p.n, p.n))
    assert np.allclose(found, np.tril(approx_fprime(z, gradient)), atol=1e-5)


def test_the_gradient_is_that_of_the_objective_by_all_variables():
    p, z = problem()
    assert np.allclose(p.gradient(z), approx_fprime(z, p.objective), atol=1e-5)
    assert type(p.objective(z)) is float


def test_an_objective_of_some_of_the_variables_and_no_constraints_will_do():
    p = gradc.compile("T**2", jit=False).cyipopt(defects, wrt=("x", "u", "T"), drag=0.0)
    z = p.pack(np.ones((3, 2)), np.ones(3), 2.0)
    assert np.array_equal(p.gradient(z), [*np.zeros(9), 4.0])
    free = gradc.compile("sum((x - 1)**4)", "x: n", jit=False).cyipopt()
    x = free.pack([2.0, 3.0])
    assert free.m == 0 and free.constraints(x).shape == free.jacobian(x).shape == (0,)
    assert np.array_equal(dense(free.hessianstructure(), free.hessian(x, [], 2.0), (2, 2)), [[24.0, 0.0], [0.0, 96.0]])


def test_undeclared_functions_are_problems_too():
    p = gradc.compile(lambda x: np.sum(x**2), jit=False).cyipopt(gradc.compile(lambda x: x[0] * x[1], jit=False))
    x = p.pack([2.0, 3.0])
    assert p.objective(x) == 13.0 and np.array_equal(p.jacobian(x), [3.0, 2.0]) and p.m == 1


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: HS71.cyipopt(BOUNDED, k=1.0), ArgumentError, "there is no argument k"),
    (lambda: HS71.cyipopt(BOUNDED, wrt="z"), FormulaError, "wrt names z, which is no argument"),
    (lambda: HS71.cyipopt(gradc.compile("z**2"), wrt="x"), DerivativeError,
     r"the function takes z, and none of what is in the vector \(x\)"),
    (lambda: HS71.cyipopt("x"), ArgumentError, "'x' is no function of gradc: give what gradc.compile makes"),
    (lambda: BOUNDED.cyipopt().m, DerivativeError, "the objective must be one number"),
    (lambda: gradc.compile("x", "x: 3", jit=False).cyipopt().objective(np.ones(3)), DerivativeError, "must be one number"),
    (lambda: effort.cyipopt((defects,), drag=1.0).n, ArgumentError, r"the sizes of x, u, T are not known yet: call pack"),
    (lambda: HS71.cyipopt(gradc.compile("x * k", {"x": "4", "k": ""}, wrt="x", jit=False), wrt="x").constraints(np.ones(4)),
     ArgumentError, "the argument k has no value"),
])
def test_what_is_no_problem_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


# -- with Ipopt ----------------------------------------------------------------------------------------


def test_ipopt_solves_problem_71_of_hock_and_schittkowski():
    p = HS71.cyipopt(BOUNDED)
    x, info = solved(p, [1.0, 5.0, 5.0, 1.0], lb=np.ones(4), ub=np.full(4, 5.0), cl=[25.0, 40.0], cu=[2e19, 40.0])
    assert np.allclose(x, [1.0, 4.74299964, 3.82114998, 1.37940829])
    assert np.isclose(info["obj_val"], 17.0140173)


def test_ipopt_finds_the_quickest_way_of_a_cart():
    """From rest to rest over a distance of 1 with |u| <= 1 takes a time of 2, half of it braking."""
    n = 21
    p = gradc.compile("T", jit=False).cyipopt((defects, ends), wrt=("x", "u", "T"), drag=0.0)
    start = p.pack(np.linspace(0.0, 1.0, 2 * n).reshape(n, 2), np.zeros(n), 3.0)
    z, _ = solved(p, start, lb=p.pack(np.full((n, 2), -5.0), np.full(n, -1.0), 0.1),
                  ub=p.pack(np.full((n, 2), 5.0), np.full(n, 1.0), 10.0), cl=np.zeros(p.m), cu=np.zeros(p.m))
    best = p.unpack(z)
    assert np.isclose(best.T, 2.0, atol=1e-2)
    assert np.all(best.u[:8] > 0.9) and np.all(best.u[-8:] < -0.9)
