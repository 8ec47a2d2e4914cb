"""`gradc.grad` and its relatives: the call forms of JAX's and autograd's documentation, with only the import changed.

Each form is held against what NumPy gives. Functions go in as `once` leaves them, run as plain Python; a few are
compiled, as they are where nothing else is said.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import sympy

import gradc
from gradc import elementwise_grad, grad, hessian, hvp, jacfwd, jacobian, jacrev, jvp, value_and_grad, vjp

from .comparison import close

once = partial(gradc.compile, jit=False)
RANDOM = np.random.default_rng(8)
INPUTS = np.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]])
TARGETS = np.array([True, True, False, True])
W, b, X = np.array([0.1, -0.2, 0.3]), 0.5, RANDOM.standard_normal((3, 4))
V = RANDOM.standard_normal((3, 4))


def predict(W: Any, b: Any, inputs: Any) -> Any:
    return 0.5 * (np.tanh((np.dot(inputs, W) + b) / 2) + 1)


def loss(W: Any, b: Any) -> Any:
    preds = predict(W, b, INPUTS)
    return -np.sum(np.log(preds * TARGETS + (1 - preds) * (1 - TARGETS)))


def by_dict(params: Any) -> Any:
    return loss(params["W"], params["b"])


def logistic(W: Any) -> Any:
    return predict(W, b, INPUTS)


def squares(x: Any) -> Any:
    return np.sum(np.tanh(x) ** 2)


def pair(x: Any, y: Any) -> Any:
    return x**2 * y


P = predict(W, b, INPUTS)
D_W, D_B = INPUTS.T @ (P - TARGETS), np.sum(P - TARGETS)
J = (P * (1 - P))[:, None] * INPUTS
H = np.einsum("i,ij,ik->ijk", P * (1 - P) * (1 - 2 * P), INPUTS, INPUTS)
T, S = np.tanh(X), 1 - np.tanh(X) ** 2
CURVE = 2 * S**2 - 4 * T**2 * S

FORMS: dict[str, tuple[Callable[[], Any], Any]] = {
    "grad of a ufunc": (lambda: grad(once(lambda x: np.tanh(x)))(2.0), 1 - np.tanh(2.0) ** 2),
    "grad of grad": (lambda: grad(grad(once(lambda x: np.tanh(x))))(2.0), -2 * np.tanh(2.0) * (1 - np.tanh(2.0) ** 2)),
    "grad of grad of grad": (lambda: grad(grad(grad(once(lambda x: x**5))))(2.0), 240.0),
    "argnums 0": (lambda: grad(once(loss), argnums=0)(W, b), D_W),
    "argnums by position": (lambda: grad(once(loss), 1)(W, b), D_B),
    "argnums from the end": (lambda: grad(once(loss), -1)(W, b), D_B),
    "argnums by name": (lambda: grad(once(loss), "b")(W, b), D_B),
    "argnums, a pair": (lambda: grad(once(loss), (0, 1))(W, b)[0], D_W),
    "argnums, a pair turned": (lambda: grad(once(loss), (1, 0))(W, b)[1], D_W),
    "argnums, names": (lambda: grad(once(loss), ["W", "b"])(W, b).b, D_B),
    "argnums, one in a tuple": (lambda: grad(once(loss), (1,))(W, b)[0], D_B),
    "arguments by name": (lambda: grad(once(loss))(b=b, W=W), D_W),
    "a dictionary": (lambda: grad(once(by_dict))({"W": W, "b": b})["W"], D_W),
    "value_and_grad": (lambda: value_and_grad(once(loss), (0, 1))(W, b)[1].W, D_W),
    "value_and_grad, value": (lambda: value_and_grad(once(loss))(W, b)[0], loss(W, b)),
    "value_and_grad, one in a tuple": (lambda: value_and_grad(once(loss), [1])(W, b)[1][0], D_B),
    "jacfwd": (lambda: jacfwd(once(logistic))(W), J),
    "jacrev": (lambda: jacrev(once(logistic))(W), J),
    "jacrev of a running sum": (lambda: jacrev(once(lambda x: np.cumsum(x)))(W), np.tril(np.ones((3, 3)))),
    "jacobian": (lambda: jacobian(once(logistic))(W), J),
    "jacobian, argnums": (lambda: jacobian(once(lambda x, y: x * y), (0, 1))(W, W).y, np.diag(W)),
    "jacobian, one in a tuple": (lambda: jacobian(once(lambda x, y: x * y), (1,))(W, W)[0], np.diag(W)),
    "jacfwd of jacrev": (lambda: jacfwd(jacrev(once(logistic)))(W), H),
    "jacrev of jacfwd": (lambda: jacrev(jacfwd(once(logistic)))(W), H),
    "jacobian of jacobian": (lambda: jacobian(jacobian(once(logistic)))(W), H),
    "jacobian of grad": (lambda: jacobian(grad(once(squares)))(X).reshape(12, 12), np.diag(CURVE.ravel())),
    "hessian": (lambda: hessian(once(squares))(X).reshape(12, 12), np.diag(CURVE.ravel())),
    "hessian of a vector function is a Jacobian": (lambda: jacfwd(jacrev(once(lambda x: x**3)))(W)[1, 1, 1], 6 * W[1]),
    "hessian, argnums": (lambda: hessian(once(pair), (0, 1))(2.0, 3.0).x.y, 4.0),
    "hessian, one argument of two": (lambda: hessian(once(pair), 0)(2.0, 3.0), 6.0),
    "hvp": (lambda: hvp(once(squares))(X, V), CURVE * V),
    "hvp by grad of a dot product": (lambda: grad(once(lambda x: np.vdot(GRADIENT(x), V)))(X), CURVE * V),
    "hvp by jvp of grad": (lambda: jvp(grad(once(squares)), (X,), (V,))[1], CURVE * V),
    "hvp by vjp of grad": (lambda: vjp(grad(once(squares)), X)[1](V)[0], CURVE * V),
    "jvp, value": (lambda: jvp(once(logistic), (W,), (np.ones(3),))[0], P),
    "jvp, tangent": (lambda: jvp(once(logistic), (W,), (np.ones(3),))[1], J @ np.ones(3)),
    "jvp of two": (lambda: jvp(once(pair), (2.0, 3.0), (1.0, 10.0))[1], 12.0 + 40.0),
    "jvp in lists": (lambda: jvp(once(pair), [2.0, 3.0], [1.0, 0.0])[1], 12.0),
    "jvp with a whole number": (lambda: jvp(once(lambda x, k: x * k, args={"x": "", "k": "int"}), (2.0, 3), (1.0, None))[1], 3.0),
    "vjp, value": (lambda: vjp(once(logistic), W)[0], P),
    "vjp, gradient": (lambda: vjp(once(logistic), W)[1](np.ones(4))[0], J.T @ np.ones(4)),
    "vjp of two": (lambda: vjp(once(pair), 2.0, 3.0)[1](2.0)[1], 8.0),
    "vjp with a whole number": (lambda: vjp(once(lambda x, k: x * k, args={"x": "", "k": "int"}), 2.0, 3)[1](1.0)[0], 3.0),
    "rows of a Jacobian by vjp": (
        lambda: np.stack([vjp(once(logistic), W)[1](row)[0] for row in np.eye(4)]), J),
    "elementwise_grad": (lambda: elementwise_grad(once(lambda x: np.tanh(x)))(X), S),
    "elementwise_grad twice": (lambda: elementwise_grad(lambda x: np.tanh(x) * x[:1])(X[:1, 0])[0], S[0, 0] * X[0, 0] + T[0, 0]),
    "elementwise_grad of a number": (lambda: elementwise_grad(once(lambda x, y: x**y))(2.0, y=3.0), 12.0),
    "a formula": (lambda: grad("x**2 * y", 1)(2.0, 3.0), 4.0),
    "a SymPy expression": (lambda: grad(sympy.Symbol("x") ** 3)(2.0), 12.0),
    "a compiled Function": (lambda: jacobian(once("x * y", {"x": "n"}), "y")(W, 2.0), W),
    "another argument of a derivative": (lambda: grad(grad(once(pair), "x"), "y")(2.0, 3.0), 4.0),
    "static by default": (lambda: grad(once(lambda x, sign="+": x if sign == "+" else -x))(2.0), 1.0),
    "inside another function": (lambda: once(lambda x: x * grad(pair)(x, 1.0))(3.0), 18.0),
}
GRADIENT = once(squares).grad


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_documentation_give_what_numpy_gives(form: str) -> None:
    call, wanted = FORMS[form]
    close(call(), wanted, 1e-12)


def test_functions_are_compiled_where_nothing_else_is_said() -> None:
    assert grad(np.tanh)(2.0) == pytest.approx(1 - np.tanh(2.0) ** 2, rel=1e-14)
    assert grad(np.hypot, (0, 1))(3.0, 4.0) == pytest.approx((0.6, 0.8))
    close(grad(np.linalg.norm)(np.array([3.0, 4.0])), [0.6, 0.8])
    derivative = grad(pair)
    assert derivative(2.0, 3.0) == 12.0
    assert "def grad(" in derivative.source
    assert pickle.loads(pickle.dumps(grad(gradc.compile(pair), "y")))(2.0, 3.0) == 4.0


def test_more_results_come_along() -> None:
    def both(x: Any, y: Any = 2.0) -> Any:
        return x * y, {"sum": x + y}

    assert grad(both, has_aux=True)(3.0, 2.0) == (2.0, {"sum": 5.0})
    assert value_and_grad(both, (0, 1), has_aux=True)(3.0) == ((6.0, {"sum": 5.0}), (2.0, 3.0))
    assert jvp(both, (3.0, 2.0), (1.0, 0.0), has_aux=True) == (6.0, 2.0, {"sum": 5.0})
    value, back, more = vjp(both, 3.0, 2.0, has_aux=True)
    assert (value, back(1.0), more) == (6.0, (2.0, 3.0), {"sum": 5.0})


@pytest.mark.parametrize(("wrong", "error", "message"), [
    (lambda: grad(once(pair), 2), gradc.ArgumentError, r"argnums is 2, but the function takes \(x, y\): give a position"),
    (lambda: grad(once(pair), "z"), gradc.ArgumentError, "argnums is 'z', but the function takes"),
    (lambda: grad(max)(1.0, 2.0), gradc.UnsupportedError, "max> does not say what arguments it takes: write a function"),
    (lambda: grad(once(pair), True), gradc.ArgumentError, "argnums is True, but the function takes"),
    (lambda: grad(once(lambda x: x * np.ones(2)))(1.0), gradc.DerivativeError, "the gradient needs one scalar output"),
    (lambda: hessian(once(logistic))(W), gradc.DerivativeError, "the Hessian needs one scalar output"),
    (lambda: jvp(once(pair), 2.0, 1.0), gradc.ArgumentError, "primals is of type float: give a tuple with one entry"),
    (lambda: jvp(once(pair), (2.0, 3.0), (1.0,)), gradc.ArgumentError, "there are 2 primals and 1 tangents: give a tan"),
    (lambda: grad("x", has_aux=True), gradc.ArgumentError, "has_aux=True takes a function that returns"),
    (lambda: once(pair).by("z"), gradc.FormulaError, "wrt names z, which is no argument: the arguments are x, y"),
])
def test_what_does_not_fit_is_told(wrong: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()
