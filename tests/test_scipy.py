"""`f.scipy`: gradc's derivatives in SciPy's own optimisers and solvers, on problems whose solutions are known."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from scipy.integrate import solve_ivp
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, approx_fprime, least_squares, minimize, root

import gradc
from gradc import ArgumentError, DerivativeError, FormulaError, ShapeError

VALLEY = gradc.compile("sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", "x: n", jit=False)
START = np.array([-1.2, 1.0, -1.2, 1.0])
GRADIENT = ["CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP"]
HESSIAN = ["Newton-CG", "dogleg", "trust-ncg", "trust-krylov", "trust-exact", "trust-constr"]
PRODUCT = ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"]


@gradc.compile(args={"W": "2 d", "b": "2", "s": "", "X": "n d", "Y": "n 2"}, jit=False)
def affine_fit(W, b, s, X, Y):
    return np.sum((X @ W.T + b - Y) ** 2) + (s - 2.0) ** 2


@gradc.compile(args={"p": "3", "t": "n", "y": "n"}, wrt="p", jit=False)
def decay(p, t, y):
    return p[0] * np.exp(-p[1] * t) + p[2] - y


@gradc.compile(jit=False)
def network(layers, x, y):
    for W, b in layers:
        x = np.tanh(x @ W + b)
    return np.mean((x[:, 0] - y) ** 2)


def data():
    random = np.random.default_rng(0)
    X = random.standard_normal((12, 3))
    W, b = np.arange(6.0).reshape(2, 3), np.array([1.0, -1.0])
    return {"X": X, "Y": X @ W.T + b}, W, b


# -- minimize ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", GRADIENT)
def test_methods_that_take_a_gradient_find_the_minimum_of_rosenbrock(method):
    p = VALLEY.scipy()
    options = {"maxfun" if method == "TNC" else "maxiter": 1000}
    found = minimize(p.fun, START, jac=p.jac, method=method, options=options)
    assert np.allclose(found.x, 1.0, atol=1e-2)
    both = minimize(p.value_and_jac, START, jac=True, method=method, options=options)
    assert np.array_equal(both.x, found.x)


@pytest.mark.parametrize("method", HESSIAN)
def test_methods_that_take_a_hessian_find_the_minimum_of_rosenbrock(method):
    p = VALLEY.scipy()
    start = np.array([1.2, 1.3, 1.5, 2.2]) if method == "dogleg" else START     # dogleg wants it positive definite
    found = minimize(p.fun, start, jac=p.jac, hess=p.hess, method=method, tol=1e-8)
    assert np.allclose(found.x, 1.0, atol=1e-4)


@pytest.mark.parametrize("method", PRODUCT)
def test_methods_that_take_products_with_the_hessian_find_the_minimum_of_rosenbrock(method):
    p = VALLEY.scipy()
    found = minimize(p.fun, START, jac=p.jac, hessp=p.hessp, method=method, tol=1e-8)
    assert np.allclose(found.x, 1.0, atol=1e-4)


def test_several_arrays_are_one_vector():
    fixed, W, b = data()
    p = affine_fit.scipy(wrt=("W", "s", "b"), **fixed)
    x0 = p.pack(np.zeros((2, 3)), 0.0, b=np.zeros(2))
    found = minimize(p.fun, x0, jac=p.jac, hess=p.hess, method="trust-exact")
    best = p.unpack(found.x)
    assert best._fields == ("W", "s", "b") and type(best.s) is float
    assert np.allclose(best.W, W) and np.allclose(best.b, b) and np.isclose(best.s, 2.0)
    assert p.wrt == ("W", "s", "b") and p.free == ()


def test_derivatives_of_several_arrays_are_laid_out_as_the_vector():
    fixed, _, _ = data()
    p = affine_fit.scipy(wrt=("W", "b", "s"), **fixed)
    x, v = np.linspace(-1.0, 1.0, 9), np.linspace(2.0, 1.0, 9)
    assert np.allclose(p.jac(x), approx_fprime(x, p.fun), rtol=1e-5, atol=1e-5)
    assert np.allclose(p.hess(x), approx_fprime(x, p.jac), rtol=1e-5, atol=1e-5)
    assert np.array_equal(p.hess(x), p.hess(x).T)
    assert np.allclose(p.hessp(x, v), p.hess(x) @ v)


def test_pack_and_unpack_are_inverse_and_unpack_gives_arrays_of_its_own():
    fixed, W, b = data()
    p = affine_fit.scipy(wrt=("W", "b"), s=1.0, **fixed)
    x = p.pack(W, b)
    assert np.array_equal(p.pack(*p.unpack(x)), x)
    p.unpack(x).W[:] = 7.0
    assert np.array_equal(p.unpack(x).W, W)


def test_nested_arguments_of_an_undeclared_function_are_one_vector_too():
    random = np.random.default_rng(1)
    layers = [(random.standard_normal((2, 3)), np.zeros(3)), (random.standard_normal((3, 1)), np.zeros(1))]
    X = random.standard_normal((20, 2))
    p = network.scipy("layers", x=X, y=np.tanh(X[:, 0]))
    x0 = p.pack(layers)
    assert x0.shape == (2 * 3 + 3 + 3 + 1,)
    found = minimize(p.fun, x0, jac=p.jac, method="BFGS")
    assert found.fun < 1e-5 < p.fun(x0)
    assert network(p.unpack(found.x), X, np.tanh(X[:, 0])) == found.fun
    assert np.allclose(p.jac(x0), approx_fprime(x0, p.fun), rtol=1e-5, atol=1e-6)


def test_declared_structures_are_one_vector_too():
    f = gradc.compile(lambda p, x: np.sum((p["W"] @ x + p["b"]) ** 2), {"p": {"W": "m n", "b": "m"}, "x": "n"}, jit=False)
    p = f.scipy("p", x=[1.0, 2.0])
    x0 = p.pack({"W": np.ones((3, 2)), "b": np.zeros(3)})
    assert p.fun(x0) == 27.0 and p.unpack(x0)["W"].shape == (3, 2)
    assert np.allclose(p.jac(x0), approx_fprime(x0, p.fun), rtol=1e-5)
    assert np.allclose(p.hess(x0), approx_fprime(x0, p.jac), atol=1e-5)


def test_without_wrt_the_vector_holds_what_has_no_value():
    fixed, _, _ = data()
    assert affine_fit.scipy(**fixed).wrt == ("W", "b", "s")
    assert affine_fit.scipy(s=1.0, **fixed).wrt == ("W", "b")
    assert network.scipy(x=0, y=0).wrt == ("layers",)


def test_arguments_without_a_value_are_given_by_scipys_args():
    f = gradc.compile("sum((x - k)**2) * s", {"x": "n", "k": "", "s": ""}, jit=False)
    p = f.scipy("x", s=2.0)
    assert p.free == ("k",)
    found = minimize(p.fun, [0.0, 1.0], args=(3.0,), jac=p.jac, hess=p.hess, method="Newton-CG")
    assert np.allclose(found.x, 3.0)


def test_the_gradient_is_computed_with_the_value_where_the_optimiser_wants_both():
    f = gradc.compile("sum((x - 1)**2)", "x: n", jit=False)
    calls = []

    def counted(name, function):
        f.__dict__[name] = lambda *args: calls.append(name) or function(*args)

    for name in "grad", "value_and_grad":
        counted(name, getattr(f, name))
    p = f.scipy()
    x = np.array([3.0, 4.0])
    for _ in range(3):
        assert p.fun(x) == np.sum((x - 1) ** 2)
        assert np.array_equal(p.jac(x), 2 * (x - 1))
        x += 1.0                                                # in place, as some optimisers do
    assert calls == ["grad", "value_and_grad", "value_and_grad"]
    p.fun(x)
    p.fun(x + 1)                                                # nobody asked for the gradient at x
    assert calls[3:] == ["value_and_grad"]
    assert np.array_equal(p.jac(x), 2 * (x - 1))


def test_a_gradient_is_not_kept_for_arguments_that_changed_in_place():
    p = gradc.compile("sum((x - k)**2) * m", {"x": "n", "k": "n", "m": "int"}, wrt="x", jit=False).scipy()
    x, k = np.ones(2), np.zeros(2)
    p.jac(x, k, 1)
    p.fun(x, k, 1)
    k[:] = 5.0
    assert np.array_equal(p.jac(x, k, 1), [-8.0, -8.0])
    p.fun(x, k, 1)
    assert np.array_equal(p.jac(x, k, 2), [-16.0, -16.0])


def test_a_vector_is_rounded_for_an_argument_of_float32_also_before_its_size_is_known():
    p = gradc.compile("sum(x**3)", {"x": "float32 n"}, jit=False).scipy()
    assert p.fun([1.0, 2.0]) == 9.0 and np.array_equal(p.jac([1.0, 2.0]), [3.0, 12.0])
    assert p.jac([1.0, 2.0]).dtype == p.hess([1.0, 2.0]).dtype == np.float64


def test_it_pickles():
    p = VALLEY.scipy()
    assert pickle.loads(pickle.dumps(p)).fun(START) == p.fun(START)


# -- constraints ---------------------------------------------------------------------------------------


HS71 = gradc.compile("x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]", "x: 4", jit=False)
PRODUCT_OF_ALL = gradc.compile("x[0] * x[1] * x[2] * x[3]", "x: 4", jit=False)
SQUARES = gradc.compile("sum(x**2)", "x: 4", jit=False)
HS71_SOLUTION = [1.0, 4.74299964, 3.82114998, 1.37940829]      # Hock and Schittkowski 1981, problem 71


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_nonlinear_constraints_bring_their_derivatives(method):
    p, product, squares = HS71.scipy(), PRODUCT_OF_ALL.scipy(), SQUARES.scipy()
    second = method == "trust-constr"                           # SLSQP would warn that it has no use for a Hessian
    constraints = [product.constraint(25.0, np.inf, hess=second), squares.constraint(40.0, 40.0, hess=second)]
    assert all(isinstance(c, NonlinearConstraint) for c in constraints)
    hessian = {"hess": p.hess} if second else {}
    found = minimize(p.fun, [1.0, 5.0, 5.0, 1.0], jac=p.jac, method=method, bounds=Bounds(1.0, 5.0),
                     constraints=constraints, **hessian)
    assert np.allclose(found.x, HS71_SOLUTION, atol=1e-4)


def test_a_constraint_of_several_values_weights_their_second_derivatives():
    c = gradc.compile("x[0]**2 * y, sin(x[1]) * x[0]", {"x": "2", "y": ""}, jit=False).scipy()
    x, v = np.array([0.5, 1.0, 2.0]), np.array([2.0, -3.0])
    assert c.fun(x).shape == (2,) and c.jac(x).shape == (2, 3)
    assert np.allclose(c.jac(x), approx_fprime(x, c.fun), atol=1e-6)
    assert np.allclose(c.hess(x, v), approx_fprime(x, lambda x: v @ c.jac(x)), atol=1e-6)
    one = gradc.compile("x[0]**2 * x[1]", "x: 2", jit=False).scipy()
    assert np.allclose(one.hess(np.ones(2), [3.0]), 3 * one.hess(np.ones(2)))


def test_values_that_are_no_real_numbers_have_no_second_derivatives():
    p = gradc.compile(lambda x: (np.argmax(x), x**2, x > 0), {"x": "n"}, jit=False).scipy()
    assert np.array_equal(p.hess([1.0, 2.0], [9.0, 1.0, 2.0, 9.0, 9.0]), np.diag([2.0, 4.0]))


def test_a_constraint_with_constant_derivatives_is_a_linear_one():
    c = gradc.compile("A @ x - b + x[0]", {"A": "m 2", "x": "2", "b": "m"}, jit=False)
    p = c.scipy("x", A=[[1.0, 2.0], [3.0, 4.0]], b=[1.0, 1.0])
    linear = p.constraint(0.0, [np.inf, 5.0])
    assert isinstance(linear, LinearConstraint)
    assert np.array_equal(linear.A, [[2.0, 2.0], [4.0, 4.0]])
    assert np.array_equal(linear.lb, [1.0, 1.0]) and np.array_equal(linear.ub, [np.inf, 6.0])
    bowl = gradc.compile("sum(x**2)", "x: n", jit=False).scipy()
    found = minimize(bowl.fun, [3.0, 3.0], jac=bowl.jac, method="SLSQP", constraints=[p.constraint(0.0, np.inf)])
    assert np.allclose(found.x, [0.25, 0.25])


@pytest.mark.parametrize("function", [
    "floor(x) + x", "sign(x) * 1.0", "where(x > 0, 1, 2) * k", "x + k * stop_gradient(x)**2",
])
def test_a_constraint_of_what_has_derivative_zero_by_definition_is_none_of_a_straight_line(function):
    p = gradc.compile(function, {"x": "2", "k": ""}, wrt="x", jit=False).scipy(k=1.0)
    assert isinstance(p.constraint(0.0, 1.0), NonlinearConstraint)


def test_running_sums_and_choices_by_place_are_linear():
    p = gradc.compile(lambda x: np.cumsum(x[::-1]) / 3 + np.where(np.arange(3) > 1, np.diff(x, append=0), np.mean(x)),
                      {"x": "3"}, jit=False).scipy()
    linear = p.constraint(0.0, 1.0)
    assert isinstance(linear, LinearConstraint) and np.array_equal(linear.A, p.jac(np.ones(3)))


# -- least_squares, root, solve_ivp --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lm", "trf", "dogbox"])
def test_least_squares_fits_a_decay(method):
    t, truth = np.linspace(0.0, 4.0, 30), np.array([2.5, 1.3, 0.5])
    p = decay.scipy(t=t, y=decay(truth, t, np.zeros(30)))
    found = least_squares(p.fun, [1.0, 1.0, 1.0], p.jac, method=method)
    assert np.allclose(found.x, truth)
    given = decay.scipy("p")
    again = least_squares(given.fun, [1.0, 1.0, 1.0], given.jac, method=method, args=(t, decay(truth, t, np.zeros(30))))
    assert np.array_equal(again.x, found.x)


def test_residuals_of_several_parameters_have_one_matrix():
    f = gradc.compile("k * exp(-r * t)", {"k": "", "r": "m", "t": "m"}, jit=False)
    p = f.scipy(("r", "k"), t=[1.0, 2.0])
    x = p.pack([0.5, 0.25], 3.0)
    assert p.jac(x).shape == (2, 3)
    assert np.allclose(p.jac(x), approx_fprime(x, p.fun), atol=1e-6)


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root_solves_equations_of_chemical_equilibrium(method):
    # x + y + z = 1, x*y = 0.1 z, y*z = 0.02 x
    f = gradc.compile("x[0] + x[1] + x[2] - 1, x[0]*x[1] - 0.1*x[2], x[1]*x[2] - 0.02*x[0]", "x: 3", jit=False)
    p = f.scipy()
    found = root(p.fun, [0.5, 0.1, 0.4], jac=p.jac, method=method, tol=1e-12)
    assert found.success and np.allclose(p.fun(found.x), 0.0, atol=1e-12)
    both = root(p.value_and_jac, [0.5, 0.1, 0.4], jac=True, method=method, tol=1e-12)
    assert np.array_equal(both.x, found.x)


def test_the_gradient_of_a_function_is_a_system_of_equations():
    p = gradc.compile("(x - 1)**4 + (x - y)**2", jit=False).grad.scipy(("x", "y"))
    found = root(p.fun, [2.0, 0.0], jac=p.jac, tol=1e-14)
    assert np.allclose(found.x, 1.0, atol=1e-3)


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_solve_ivp_integrates_a_stiff_system_with_its_jacobian(method):
    f = gradc.compile("y[1], mu * (1 - y[0]**2) * y[1] - y[0] + 0 * t", {"t": "", "y": "2", "mu": ""}, jit=False)
    ode = f.scipy("y", mu=50.0).ode()
    found = solve_ivp(ode.fun, (0.0, 20.0), [2.0, 0.0], method=method, jac=ode.jac, rtol=1e-6, atol=1e-8)
    plain = solve_ivp(ode.fun, (0.0, 20.0), [2.0, 0.0], method=method, rtol=1e-6, atol=1e-8)
    assert np.allclose(found.y[:, -1], plain.y[:, -1], rtol=1e-3) and found.nfev <= plain.nfev


def test_the_time_and_parameters_find_their_places():
    f = gradc.compile("k * y + tau", {"y": "n", "k": "", "tau": ""}, jit=False)
    ode = f.scipy("y").ode("tau")
    assert np.array_equal(ode.fun(5.0, np.ones(2), 3.0), [8.0, 8.0])
    assert np.array_equal(ode.jac(5.0, np.ones(2), 3.0), 3.0 * np.eye(2))
    found = solve_ivp(ode.fun, (0.0, 1.0), [1.0], method="Radau", jac=ode.jac, args=(-1.0,), rtol=1e-8, atol=1e-10)
    assert np.isclose(found.y[0, -1], 2 * np.exp(-1.0))         # y' = tau - y


def test_a_single_equation_and_one_without_time_are_integrated():
    f = gradc.compile("-50 * y", jit=False)
    ode = f.scipy().ode()
    found = solve_ivp(ode.fun, (0.0, 1.0), [1.0], method="BDF", jac=ode.jac, rtol=1e-8, atol=1e-12)
    assert np.isclose(found.y[0, -1], np.exp(-50.0), atol=1e-10)


def test_an_undeclared_right_hand_side_is_integrated():
    f = gradc.compile(lambda t, y: np.stack([y[1], -y[0]]) * (1 + 0 * t), jit=False)
    ode = f.scipy("y").ode()
    found = solve_ivp(ode.fun, (0.0, np.pi), [1.0, 0.0], method="Radau", jac=ode.jac, rtol=1e-8, atol=1e-10)
    assert np.allclose(found.y[:, -1], [-1.0, 0.0], atol=1e-6)


# -- what goes wrong -----------------------------------------------------------------------------------


LINE = gradc.compile("sum((a * x + b - y)**2)", {"a": "", "b": "", "x": "n", "y": "n", "k": "int"}, jit=False)


def whole_part():
    f = gradc.compile(lambda p: p["x"][p["k"]], {"p": {"x": "n", "k": "int"}}, jit=False)
    p = f.scipy("p")
    return p.fun(p.pack({"x": [1.0, 2.0], "k": 1}))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: LINE.scipy(wrt="a", z=1.0), ArgumentError, "there is no argument z: the arguments are a, b, x, y"),
    (lambda: LINE.scipy(wrt="q"), FormulaError, "wrt names q, which is no argument"),
    (lambda: LINE.scipy(wrt="k"), FormulaError, "wrt names k, which is int64: only real arguments"),
    (lambda: LINE.scipy(wrt=("a", "a")), FormulaError, "wrt names an argument twice"),
    (lambda: LINE.scipy(wrt="a", a=1.0), ArgumentError, "the argument a is in wrt and has a value too"),
    (lambda: LINE.scipy(a=1, b=1, x=[1], y=[1]), DerivativeError, "the vector holds no argument: name one in wrt"),
    (lambda: LINE.scipy(wrt="a", x="text"), ArgumentError, "the argument x has dtype"),
    (lambda: LINE.scipy(wrt="a", x=[[1.0]]), ShapeError, "the argument x must be an array of 1 dimension"),
    (lambda: LINE.scipy(wrt="a", x=[1.0], y=[1.0], k=1).fun([1.0]), ArgumentError, "the argument b has no value: give b="),
    (lambda: LINE.scipy(wrt="a", x=[1.0]).fun([1.0]), ArgumentError, "the arguments b, y, k have no value: give b="),
    (lambda: LINE.scipy(wrt="a", x=[1.0], b=1.0, k=1).fun([1.0], [1.0], 2.0), ArgumentError,
     r"2 arguments follow the vector, and 1 have no value yet \(y\): leave out 1"),
    (lambda: LINE.scipy(wrt="a", x=[1.0], b=1.0, y=[1.0], k=1).fun([1.0], 2.0), ArgumentError, "leave out 1"),
    (lambda: LINE.scipy(wrt=("a", "b"), x=[1.0], y=[1.0], k=1).fun([1.0]), ShapeError,
     r"the vector must hold 2 numbers \(a: 1, b: 1\), but its shape is \(1,\): make it with pack"),
    (lambda: LINE.scipy(wrt=("a", "b"), x=[1.0], y=[1.0], k=1).fun([[1.0, 2.0]]), ShapeError, "must have one dimension"),
    (lambda: LINE.scipy(wrt=("a", "b"), x=[1.0], y=[1.0], k=1).fun([1j, 2.0]), ArgumentError, "vector has dtype complex128"),
    (lambda: LINE.scipy(wrt=("a", "b"), x=[1.0], y=[1.0, 2.0], k=1).fun([1.0, 2.0]), ShapeError, "must be equal"),
    (lambda: LINE.scipy(wrt=("x", "y"), a=1.0, b=1.0, k=1).fun([1.0, 2.0]), ArgumentError,
     r"the sizes of x, y are not known yet: call pack\(...\)"),
    (lambda: LINE.scipy(wrt=("a", "b"), x=[1.0], y=[1.0], k=1).pack(1.0), ArgumentError, "the argument b is missing"),
    (lambda: LINE.scipy(wrt="a", x=[1.0], y=[1.0], k=1, b=1).pack([1.0]), ShapeError, "must be a scalar"),
    (lambda: network.scipy("layers", x=1, y=1).pack([("text", 1.0)]), ArgumentError, "the layers_0_0 has dtype"),
    (lambda: whole_part(), ArgumentError, "p hold 2 arrays, of which 1 are real: give what is a whole number"),
    (lambda: decay.scipy(t=[1.0], y=[1.0]).hess(np.ones(3)), ArgumentError, r"call hess\(x, v\)"),
    (lambda: decay.scipy(t=[1.0], y=[1.0]).hess(np.ones(3), [1.0, 2.0]), ShapeError, "must hold 1 numbers"),
    (lambda: decay.scipy(t=[1.0], y=[1.0]).hessp(np.ones(3), np.ones(3)), DerivativeError, "needs one scalar output"),
])
def test_what_does_not_fit_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_other_shapes_than_those_first_packed_are_refused():
    p = LINE.scipy(wrt=("x", "y"), a=1.0, b=1.0, k=1)
    p.pack([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ShapeError, match=r"x has shape \(3,\), but \(2,\) was given first"):
        p.pack([1.0, 2.0, 3.0], [1.0, 2.0])


# -- other functions of the same vector ----------------------------------------------------------------


COST = gradc.compile("sum(u**2) + T**2", {"x": "n", "u": "n", "T": ""}, jit=False)


def test_a_function_of_a_part_of_the_vector_has_zero_derivatives_by_the_rest():
    p = COST.scipy(("x", "T", "u"))
    z = p.pack([1.0, 2.0], 3.0, [4.0, 5.0])
    part = p.of(gradc.compile("u * x * k", {"u": "n", "x": "n", "k": ""}, jit=False))
    with pytest.raises(ArgumentError, match="the argument k has no value"):
        part.fun(z)
    assert np.array_equal(part.fun(z, 2.0), [8.0, 20.0])
    assert np.array_equal(part.jac(z, 2.0), [[8.0, 0.0, 0.0, 2.0, 0.0], [0.0, 10.0, 0.0, 0.0, 4.0]])
    H = part.hess(z, [1.0, 10.0], 2.0)
    assert np.array_equal(H, H.T) and H[0, 3] == 2.0 and H[1, 4] == 20.0 and np.count_nonzero(H) == 4
    energy = p.of(gradc.compile("T * u[0]**2", {"T": "", "u": "n"}, jit=False))
    v = np.arange(5.0)
    assert np.allclose(energy.hessp(z, v), energy.hess(z) @ v)
    assert np.allclose(energy.jac(z), approx_fprime(z, energy.fun), atol=1e-5)


def test_it_shares_the_fixed_values_and_becomes_a_constraint():
    p = COST.scipy(("u", "T"), x=[1.0, 2.0])
    work = p.of(gradc.compile("sum(u * x)", {"u": "n", "x": "n"}, jit=False))
    linear = work.constraint(5.0, np.inf)
    assert isinstance(linear, LinearConstraint)
    found = minimize(p.fun, np.ones(3), jac=p.jac, hess=p.hess, method="trust-constr", constraints=[linear])
    assert np.allclose(found.x, [1.0, 2.0, 0.0], atol=1e-4)
    whole = p.of(gradc.compile("T + sum(u)", {"T": "", "u": "n"}, jit=False))
    assert np.array_equal(whole.jac(np.ones(3)), [1.0, 1.0, 1.0])


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: COST.scipy("u", x=[1.0], T=1.0).of(gradc.compile("a + b")), DerivativeError,
     r"the function takes a, b, and none of what is in the vector \(u\): give its arguments"),
    (lambda: COST.scipy().of("T**2"), ArgumentError, r"'T\*\*2' is no function of gradc: give what gradc.compile makes"),
    (lambda: COST.scipy().of(gradc.compile("T**2")).fun([1.0]), ArgumentError, "the sizes of x, u, T are not known yet"),
    (lambda: COST.scipy(("u", "T"), x=[1.0]).of(gradc.compile("T**2")).fun([1.0]), ShapeError, r"must hold 2 numbers \(u: 1, T: 1\)"),
])
def test_a_function_that_is_none_of_the_vector_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


# -- sparse matrices -----------------------------------------------------------------------------------


@gradc.compile(args={"x": "n"}, jit=False)
def tridiagonal(x):
    """Broyden 1965, problem 30 of Moré, Garbow and Hillstrom."""
    before, after = np.concatenate([np.zeros(1), x[:-1]]), np.concatenate([x[1:], np.zeros(1)])
    return (3 - 2 * x) * x - before - 2 * after + 1


@gradc.compile(args={"u": "n"}, jit=False)
def heat(u):
    edged = np.pad(u, 1)
    return (u.shape[0] + 1) ** 2 * (edged[2:] - 2 * u + edged[:-2])


def test_another_function_of_a_sparse_one_is_sparse():
    p = gradc.compile("sum(x**2) * y", {"x": "2", "y": ""}, jit=False).scipy()
    other, v = gradc.compile("x * y", {"x": "2", "y": ""}, jit=False), np.array([1.0, 2.0, 3.0])
    assert np.array_equal(p.sparse.of(other).jac(v).toarray(), p.of(other).jac(v))


def test_sparse_matrices_are_the_dense_ones():
    p = COST.scipy(("x", "T", "u"))
    z = p.pack([1.0, 2.0, 3.0], 3.0, [4.0, 5.0, 6.0])
    part = p.of(gradc.compile("u * x**2 * u[0]", {"u": "n", "x": "n"}, jit=False))
    for each, weights in (p, ()), (part, (np.array([1.0, 2.0, -3.0]),)):
        H = each.sparse.hess(z, *weights)
        assert sparse.issparse(H) and H.nnz < H.shape[0] * H.shape[1] / 2
        assert np.allclose(H.toarray(), each.hess(z, *weights), rtol=1e-14)
    J = part.sparse.jac(z)
    assert sparse.issparse(J) and J.nnz == 3 + 5 and np.array_equal(J.toarray(), part.jac(z))
    value, matrix = part.sparse.value_and_jac(z)
    assert np.array_equal(value, part.fun(z)) and np.allclose(matrix.toarray(), part.jac(z), rtol=1e-14)
    value, matrix = part.value_and_jac(z)
    assert np.array_equal(value, part.fun(z)) and np.allclose(matrix, part.jac(z), rtol=1e-14)
    assert type(p.sparse.jac(z)) is np.ndarray and np.array_equal(p.sparse.jac(z), p.jac(z))
    assert np.array_equal(p.sparse.unpack(z).u, p.unpack(z).u)


@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_least_squares_takes_a_sparse_jacobian(method):
    p = tridiagonal.scipy().sparse
    found = least_squares(p.fun, np.full(60, -1.0), p.jac, method=method, tr_solver="lsmr", xtol=1e-12, ftol=1e-12)
    assert found.success and found.cost < 1e-15


@pytest.mark.parametrize("method", ["Radau", "BDF"])
def test_solve_ivp_takes_a_sparse_jacobian(method):
    ode = heat.scipy().sparse.ode()
    n = 30
    x = np.arange(1, n + 1) / (n + 1)
    found = solve_ivp(ode.fun, (0.0, 0.1), np.sin(np.pi * x), method=method, jac=ode.jac, rtol=1e-6, atol=1e-9)
    rate = 4 * (n + 1) ** 2 * np.sin(np.pi / (2 * (n + 1))) ** 2
    assert np.allclose(found.y[:, -1], np.exp(-0.1 * rate) * np.sin(np.pi * x), rtol=1e-3)


def test_trust_constr_takes_sparse_hessians_and_constraints():
    n = 20
    bowl = gradc.compile("sum((x - 1)**4 + x**2)", "x: n", jit=False).scipy()
    x0 = bowl.pack(np.full(n, 2.0))
    ring = bowl.of(gradc.compile("x[1:]**2 + x[:-1]**2", "x: n", jit=False)).sparse
    line = bowl.of(gradc.compile("x[:-1] - x[1:]", "x: n", jit=False)).sparse
    constraints = [ring.constraint(0.0, 0.5), line.constraint(0.0, np.inf)]
    assert isinstance(constraints[1], LinearConstraint) and sparse.issparse(constraints[1].A)
    found = minimize(bowl.fun, x0, jac=bowl.jac, hess=bowl.sparse.hess, method="trust-constr", constraints=constraints,
                     options={"gtol": 1e-8})
    alone = minimize(lambda y: (y - 1) ** 4 + y**2, 0.4).x                  # each number by itself
    assert np.allclose(found.x, min(alone[0], 0.5), atol=5e-3)
