"""Programs as JAX's and autograd's documentation has them, with only the imports changed: the forms of their calls.

Each is small and written anew; what it gives is held against formulas or central differences in NumPy. Functions run
as plain Python here, where nothing is said of compiling; `tests/test_transforms.py` compiles.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradc
from gradc import (
    check_grads,
    elementwise_grad,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)
from gradc.compiler import transforms

RANDOM = np.random.default_rng(3)
X, Y, V = RANDOM.standard_normal(4), RANDOM.standard_normal(4), RANDOM.standard_normal(4)
M = RANDOM.standard_normal((3, 4))
INPUTS, TARGETS = RANDOM.standard_normal((6, 4)), np.array([True, False, True, True, False, False])
W, b = 0.3 * RANDOM.standard_normal(4), 0.2


class Point(NamedTuple):
    x: float
    y: float



@pytest.fixture(autouse=True)
def run_as_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "compiled_from", partial(gradc.compile, jit=False))


def sigmoid(x):
    return 0.5 * (np.tanh(x / 2.0) + 1)


def predict(W, b, inputs):
    return sigmoid(np.dot(inputs, W) + b)


def loss(W, b):
    preds = predict(W, b, INPUTS)
    return -np.sum(np.log(preds * TARGETS + (1 - preds) * (1 - TARGETS)))


def of_params(params):
    return loss(params["W"], params["b"])


def with_norm(x):
    return np.sum(np.sin(x) ** 2), {"norm": np.sqrt(np.sum(x**2)), "x": x}


def waves(x):
    return np.sum(np.sin(x) ** 2)


def logistic(x):
    return 1.0 / (1.0 + np.exp(-x))


def tanh(x):
    y = np.exp(-2.0 * x)
    return (1.0 - y) / (1.0 + y)


def squared(x, y):
    return np.sum((x - y) ** 2)


def rows(x):
    return np.array([x[0] * x[1], np.sin(x[2]), np.exp(x[3]) * x[0]])


S = logistic(1.0)
P = predict(W, b, INPUTS)
D_W, D_B = INPUTS.T @ (P - TARGETS), np.sum(P - TARGETS)
H_W = INPUTS.T @ (INPUTS * (P * (1 - P))[:, None])
CURVE = 2 * np.cos(2 * X)                                       # second derivatives of waves
J_ROWS = np.array([[X[1], X[0], 0, 0], [0, 0, np.cos(X[2]), 0], [np.exp(X[3]), 0, 0, np.exp(X[3]) * X[0]]])


def forward_of_reverse(f):
    return jacfwd(jacrev(f))


def hvp_forward_over_reverse(f, primals, tangents):
    return jvp(grad(f), primals, tangents)[1]


def hvp_reverse_over_forward(f, primals, tangents):
    def g(primals):
        return jvp(f, primals, tangents)[1]
    return grad(g)(primals)


def hvp_reverse_over_reverse(f, x, v):
    return grad(lambda x: np.vdot(grad(f)(x), v))(x)


def sum_of_vjps(f, x, cotangents):
    _, back = vjp(f, x)
    return np.stack([back(row)[0] for row in cotangents])


def temporal_difference(theta, s_before, r, s_after):
    def value(theta, s):
        return np.dot(theta, s)
    target = r + value(theta, s_after)
    return (stop_gradient(target) - value(theta, s_before)) ** 2


def straight_through(x):
    return x + stop_gradient(np.round(x) - x)


def trained(steps):
    weights = np.zeros(4)
    step = grad(lambda w: -np.mean(np.log(np.where(TARGETS, sigmoid(INPUTS @ w), 1 - sigmoid(INPUTS @ w)))))
    for _ in range(steps):
        weights = weights - 0.1 * step(weights)
    return weights


def trained_by_hand(steps):
    weights = np.zeros(4)
    for _ in range(steps):
        weights = weights - 0.1 * INPUTS.T @ (sigmoid(INPUTS @ weights) - TARGETS) / 6
    return weights


def newton(f, x):
    for _ in range(6):
        x = x - np.linalg.solve(hessian(f)(x), grad(f)(x))
    return x


JAX: dict[str, tuple[Callable[[], Any], Any]] = {
    "the sum of logistics": (lambda: grad(lambda x: np.sum(logistic(x)))(np.arange(3.0)), logistic(np.arange(3.0)) * (
        1 - logistic(np.arange(3.0)))),
    "third derivatives": (lambda: grad(grad(grad(lambda x: np.sum(logistic(x)))))(1.0), S * (1 - S) * (1 - 6 * S * (1 - S))),
    "polynomial, all derivatives": (lambda: [d(1.0) for d in functools.reduce(
        lambda found, _: [*found, grad(found[-1])], range(3), [grad(lambda x: x**3 + 2 * x**2 - 3 * x + 1)])], [4, 10, 6, 0]),
    "by the weights": (lambda: grad(loss, argnums=0)(W, b), D_W),
    "by the default": (lambda: grad(loss)(W, b), D_W),
    "by the bias": (lambda: grad(loss, argnums=1)(W, b), D_B),
    "by the bias, in place": (lambda: grad(loss, 1)(W, b), D_B),
    "by both": (lambda: grad(loss, (0, 1))(W, b), (D_W, D_B)),
    "by names": (lambda: grad(loss, ("b", "W"))(W, b), (D_B, D_W)),
    "by one name": (lambda: grad(loss, argnums="b")(W, b), D_B),
    "by a dictionary": (lambda: grad(of_params)({"W": W, "b": b}), {"W": D_W, "b": D_B}),
    "by a named tuple": (lambda: grad(lambda p: p.x * p.y**2)(Point(2.0, 3.0)), Point(9.0, 12.0)),
    "by a list of layers": (lambda: grad(lambda ps: sum(np.sum(p**2) for p in ps))([X, M]), [2 * X, 2 * M]),
    "value and gradient": (lambda: value_and_grad(loss, (0, 1))(W, b), (loss(W, b), (D_W, D_B))),
    "value and gradient of a dictionary": (lambda: value_and_grad(of_params)({"W": W, "b": b})[1]["b"], D_B),
    "a keyword that is not differentiated": (lambda: grad(lambda x, power=2: x**power)(3.0, power=3), 27.0),
    "aux of grad": (lambda: grad(with_norm, has_aux=True)(X), (np.sin(2 * X), {"norm": np.linalg.norm(X), "x": X})),
    "aux of value_and_grad": (lambda: value_and_grad(with_norm, has_aux=True)(X), (
        (waves(X), {"norm": np.linalg.norm(X), "x": X}), np.sin(2 * X))),
    "aux of two": (lambda: grad(lambda x, y: (squared(x, y), x - y), argnums=(0, 1), has_aux=True)(X, Y), (
        (2 * (X - Y), 2 * (Y - X)), X - Y)),
    "aux of one in a tuple": (lambda: grad(lambda x, y: (squared(x, y), x - y), (1,), has_aux=True)(X, Y), (
        (2 * (Y - X),), X - Y)),
    "aux of one in a tuple, with the value": (lambda: value_and_grad(lambda x, y: (x * y, y), (1,), has_aux=True)(2.0, 3.0), (
        (6.0, 3.0), (2.0,))),
    "aux of jacfwd": (lambda: jacfwd(lambda x: (rows(x), x), has_aux=True)(X), (J_ROWS, X)),
    "aux of jacrev": (lambda: jacrev(lambda x: (rows(x), {"x": x}), has_aux=True)(X), (J_ROWS, {"x": X})),
    "aux of hessian": (lambda: hessian(lambda x: (waves(x), 2 * x), has_aux=True)(X), (np.diag(CURVE), 2 * X)),
    "aux of jvp": (lambda: jvp(with_norm, (X,), (V,), has_aux=True)[:2], (waves(X), np.sin(2 * X) @ V)),
    "aux of jvp, more": (lambda: jvp(with_norm, (X,), (V,), has_aux=True)[2], {"norm": np.linalg.norm(X), "x": X}),
    "aux of vjp": (lambda: vjp(with_norm, X, has_aux=True)[::2], (waves(X), {"norm": np.linalg.norm(X), "x": X})),
    "aux of vjp, back": (lambda: vjp(with_norm, X, has_aux=True)[1](2.0), (2 * np.sin(2 * X),)),
    "aux of nothing": (lambda: grad(lambda x: (x**2, None), has_aux=True)(3.0), (6.0, None)),
    "aux of whole numbers": (lambda: grad(lambda x: (np.sum(x**2), np.argmax(x)), has_aux=True)(X), (2 * X, np.argmax(X))),
    "aux inside": (lambda: grad(lambda x: grad(lambda y: (y**3, y), has_aux=True)(x)[0])(3.0), 18.0),
    "aux of what is compiled": (lambda: grad(gradc.compile("x*y, x + y", jit=False), 1, has_aux=True)(3.0, 4.0), (3.0, 7.0)),
    "jacfwd": (lambda: jacfwd(lambda W: predict(W, b, INPUTS))(W), (P * (1 - P))[:, None] * INPUTS),
    "jacrev": (lambda: jacrev(lambda W: predict(W, b, INPUTS))(W), (P * (1 - P))[:, None] * INPUTS),
    "jacfwd of two": (lambda: jacfwd(predict, argnums=(0, 1))(W, b, INPUTS)[1], P * (1 - P)),
    "jacobian of a dictionary": (lambda: jacrev(lambda p: predict(p["W"], p["b"], INPUTS))({"W": W, "b": b})["b"], P * (1 - P)),
    "jacobian of a list of results": (lambda: jacrev(lambda x: [rows(x), np.sum(x)])(X), [J_ROWS, np.ones(4)]),
    "hessian": (lambda: hessian(lambda W: loss(W, b))(W), H_W),
    "hessian by jacfwd of jacrev": (lambda: forward_of_reverse(lambda W: loss(W, b))(W), H_W),
    "hessian of a dictionary": (lambda: hessian(of_params)({"W": W, "b": b})["W"]["W"], H_W),
    "hessian of two": (lambda: hessian(loss, (0, 1))(W, b)[1][1], np.sum(P * (1 - P))),
    "hessian of vector functions": (lambda: jacfwd(jacrev(rows))(X)[0][:2, :2], np.array([[0.0, 1.0], [1.0, 0.0]])),
    "jvp": (lambda: jvp(lambda W: predict(W, b, INPUTS), (W,), (V,)), (P, P * (1 - P) * (INPUTS @ V))),
    "jvp of a dictionary": (lambda: jvp(of_params, ({"W": W, "b": b},), ({"W": V, "b": 1.0},))[1], D_W @ V + D_B),
    "jvp of several results": (lambda: jvp(lambda x: (x**2, np.sin(x)), (2.0,), (1.0,)), ((4.0, np.sin(2.0)), (
        4.0, np.cos(2.0)))),
    "jvp of a gradient": (lambda: jvp(grad(loss, (0, 1)), (W, b), (V, 0.0))[1][0], H_W @ V),
    "vjp": (lambda: vjp(lambda W: predict(W, b, INPUTS), W)[1](np.ones(6))[0], INPUTS.T @ (P * (1 - P))),
    "vjp of two": (lambda: vjp(np.multiply, X, Y)[1](V), (V * Y, V * X)),
    "vjp of several results": (lambda: vjp(lambda x: (x**2, np.sin(x)), 2.0)[1]((1.0, 10.0)), (4.0 + 10 * np.cos(2.0),)),
    "a Jacobian by vjps": (lambda: sum_of_vjps(rows, X, np.eye(3)), J_ROWS),
    "hvp, forward over reverse": (lambda: hvp_forward_over_reverse(waves, (X,), (V,)), CURVE * V),
    "hvp, reverse over forward": (lambda: hvp_reverse_over_forward(waves, (X,), (V,)), (CURVE * V,)),
    "hvp, reverse over reverse": (lambda: hvp_reverse_over_reverse(waves, X, V), CURVE * V),
    "stopping a gradient": (lambda: grad(temporal_difference)(X, Y, 0.5, V), -2 * (0.5 + X @ V - X @ Y) * Y),
    "straight through": (lambda: grad(straight_through)(3.2), 1.0),
    "where": (lambda: grad(lambda x: np.where(x < 3.0, 3.0 * x**2, -4 * x))(2.0), 12.0),
    "a partial application": (lambda: grad(partial(loss, W))(b), D_B),
    "partial transforms": (lambda: partial(grad, argnums=1)(loss)(W, b), D_B),
    "Newton's method": (lambda: newton(lambda x: np.sum(np.cosh(x - 1.0)), np.zeros(4)), np.ones(4)),
    "training": (lambda: trained(5), trained_by_hand(5)),
}

AUTOGRAD: dict[str, tuple[Callable[[], Any], Any]] = {
    "the first example": (lambda: grad(tanh)(1.0), 1 - np.tanh(1.0) ** 2),
    "argnum": (lambda: grad(loss, argnum=1)(W, b), D_B),
    "argnum, in place": (lambda: grad(loss, 1)(W, b), D_B),
    "argnums of names": (lambda: value_and_grad(loss, argnum=["W", "b"])(W, b)[1], (D_W, D_B)),
    "elementwise": (lambda: elementwise_grad(tanh)(X), 1 - np.tanh(X) ** 2),
    "elementwise twice": (lambda: elementwise_grad(elementwise_grad(tanh))(X), -2 * np.tanh(X) * (1 - np.tanh(X) ** 2)),
    "elementwise, four times": (lambda: functools.reduce(lambda f, _: elementwise_grad(f), range(4), np.sin)(X), np.sin(X)),
    "elementwise by the second": (lambda: elementwise_grad(np.power, 1)(np.abs(X), Y), np.abs(X)**Y * np.log(np.abs(X))),
    "elementwise, argnum": (lambda: elementwise_grad(np.arctan2, argnum=1)(X, Y), -X / (X**2 + Y**2)),
    "elementwise by both": (lambda: elementwise_grad(np.multiply, (0, 1))(X, Y), (Y, X)),
    "elementwise of a matrix": (lambda: elementwise_grad(np.exp)(M), np.exp(M)),
    "elementwise of a number": (lambda: elementwise_grad(np.exp)(1.0), np.exp(1.0)),
    "elementwise of a broadcast": (lambda: elementwise_grad(lambda x, m: x * m)(X, M), np.sum(M, 0)),
    "elementwise inside": (lambda: grad(lambda x: np.sum(elementwise_grad(np.sin)(x)))(X), -np.sin(X)),
    "jacobian": (lambda: jacobian(rows)(X), J_ROWS),
    "jacobian, argnum": (lambda: jacobian(predict, argnum=1)(W, b, INPUTS), P * (1 - P)),
    "jacobian of grad": (lambda: jacobian(grad(waves))(X), np.diag(CURVE)),
    "hessian, argnum": (lambda: hessian(loss, argnum=0)(W, b), H_W),
    "hvp": (lambda: hvp(waves)(X, V), CURVE * V),
    "hvp by the first of two": (lambda: hvp(loss)(W, b, V), H_W @ V),
    "hvp, argnum": (lambda: hvp(loss, argnum=1)(W, b, 2.0), 2 * np.sum(P * (1 - P))),
    "hvp by both": (lambda: hvp(loss, (0, 1))(W, b, V, 0.0)[0], H_W @ V),
    "loops over a fixed number": (lambda: grad(lambda x: functools.reduce(lambda s, k: s + x**k / k, range(1, 6), 0.0))(0.5), 1.9375),
}


def same(found: Any, wanted: Any) -> None:
    """Equal in nesting and, to 1e-9, in numbers."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            same(found[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        assert isinstance(found, type(wanted))
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif wanted is None:
        assert found is None
    else:
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("form", JAX)
def test_forms_of_jaxs_documentation(form: str) -> None:
    call, wanted = JAX[form]
    same(call(), wanted)


@pytest.mark.parametrize("form", AUTOGRAD)
def test_forms_of_autograds_documentation(form: str) -> None:
    call, wanted = AUTOGRAD[form]
    same(call(), wanted)


@pytest.mark.parametrize("check", [
    lambda: check_grads(loss, (W, b), order=2),
    lambda: check_grads(loss, (W, b), 2),
    lambda: check_grads(loss, (W, b), order=1, modes=("fwd", "rev")),
    lambda: check_grads(loss, (W, b), order=1, modes=["rev"], atol=1e-3, rtol=1e-3),
    lambda: check_grads(loss, modes=["rev"], order=2)(W, b),
    lambda: check_grads(waves)(X),
])
def test_check_grads_has_both_signatures(check: Callable[[], Any]) -> None:
    assert check().ok


def test_a_wrong_gradient_does_not_pass_in_either_signature() -> None:
    wrong = gradc.operation(lambda x: x**2, partials="3*x")
    with pytest.raises(gradc.GradientError):
        check_grads(lambda x: wrong(x), (2.0,), 1)
    with pytest.raises(gradc.GradientError):
        check_grads(lambda x: wrong(x))(2.0)


# -- one computation -----------------------------------------------------------------------------------


def body(function: Any) -> str:
    """The statements of a source."""
    return str(function.source).partition("\ndef ")[2]


def test_a_tangent_shares_the_work_of_its_value() -> None:
    f = gradc.compile("exp(sin(x)) * y", jit=False)
    both = f.along(("jvp", False, True))
    assert body(both).count("exp(") == body(both).count("sin(") == 1
    value, tangent = jvp(f, (2.0, 3.0), (1.0, 0.5))
    assert value == f(2.0, 3.0)
    assert tangent == f.jvp(2.0, 3.0, 1.0, 0.5)


@pytest.mark.parametrize("step", ["grad", "value_and_grad", "hessian", ("mode", "reverse")])
def test_what_comes_along_shares_the_work_of_the_derivative(step: Any) -> None:
    f = gradc.compile("e = exp(x); e * y, e + y", jit=False)
    assert body(f.along((step, True, False))).count("exp(") == 1


def test_what_comes_along_of_a_gate_is_computed_with_it() -> None:
    f = gradc.compile("e = exp(x); e * y, e + y", jit=False)
    shell = f.along(("", True, False))
    (value, more), saved = shell.forward(1.0, 2.0)
    assert (value, more) == f(1.0, 2.0)
    assert shell.backward(saved, 1.0) == gradc.compile("exp(x) * y", jit=False).grad(1.0, 2.0)


def test_a_zero_derivative_of_what_comes_along_is_never_multiplied() -> None:
    value, back, more = vjp(lambda x: (x**2, np.sqrt(x)), 0.0, has_aux=True)      # sqrt'(0) is inf
    assert (value, back(1.0), more) == (0.0, (0.0,), 0.0)
    assert grad(lambda x: (x**2, np.sqrt(x)), has_aux=True)(0.0) == (0.0, 0.0)


def test_derivatives_with_more_can_be_pickled_and_shown() -> None:
    derivative = grad(gradc.compile("x**2 * y, x + y", jit=False), has_aux=True)
    assert pickle.loads(pickle.dumps(derivative))(2.0, 3.0) == (12.0, 5.0)
    assert "def grad(" in derivative.source
    assert pickle.loads(pickle.dumps(elementwise_grad(gradc.compile("x**3", "x: n", jit=False))))([2.0]) == [12.0]
    late = grad(gradc.compile(with_norm, jit=False), has_aux=True)
    assert pickle.loads(pickle.dumps(late))(X)[1]["norm"] == pytest.approx(np.linalg.norm(X))


@pytest.mark.parametrize("wrong", [
    lambda: grad(lambda x: x**2, has_aux=True)(2.0),
    lambda: grad(lambda x: (x, x, x), has_aux=True)(2.0),
    lambda: jvp(lambda x: {"value": x, "more": x}, (2.0,), (1.0,), has_aux=True),
    lambda: vjp(lambda x: x, 2.0, has_aux=True),
])
def test_more_must_be_a_second_result(wrong: Callable[[], Any]) -> None:
    with pytest.raises(gradc.ArgumentError, match=r"has_aux=True takes a function that returns \(value, more\), and this"):
        wrong()


def test_elements_of_truth_values_have_no_derivative() -> None:
    with pytest.raises(gradc.DerivativeError, match="the output is bool and has no derivative"):
        elementwise_grad(lambda x: x > 0)(X)
