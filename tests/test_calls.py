"""Callables of every kind as functions to compile, and compiled functions called inside others."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
import pytest

import gradc

from .comparison import close


def power(x: Any, exponent: float, scale: float = 1.0) -> Any:
    return np.sum(scale * x ** exponent)


compiled_by_numba = numba.njit(power)
X = np.array([0.5, 1.5, 2.0])


class Model:
    """An object that can be called, and has a method."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, x: Any) -> Any:
        return np.sum(self.rate * x ** 2)

    def loss(self, x: Any) -> Any:
        return self(x) + compiled_by_numba(x, 3.0)


@pytest.mark.parametrize(("value", "wanted"), [
    (compiled_by_numba, 3.0 * X ** 2),
    (functools.partial(power, exponent=3.0), 3.0 * X ** 2),
    (functools.partial(compiled_by_numba, exponent=3.0, scale=2.0), 6.0 * X ** 2),
    (Model(2.0), 4.0 * X),
    (Model(2.0).loss, 4.0 * X + 3.0 * X ** 2),
    (functools.partial(Model(2.0).loss), 4.0 * X + 3.0 * X ** 2),
], ids=["njit", "partial", "partial of njit", "object", "method", "partial of a method"])
def test_every_kind_of_callable_is_traced(value: Any, wanted: Any) -> None:
    f = gradc.compile(value, wrt="x", jit=False)
    arguments = (X, 3.0) if value is compiled_by_numba else (X,)
    close(f(*arguments), value(*arguments))
    close(f.grad(*arguments), wanted)


def test_helpers_of_every_kind_are_traced_inside_a_function() -> None:
    cube, model = functools.partial(compiled_by_numba, exponent=3.0), Model(2.0)
    loss = model.loss

    def total(x: Any) -> Any:
        return cube(x) + loss(x) + model(x) + compiled_by_numba(x, 2.0)

    close(gradc.compile(total, {"x": "n"}, jit=False).grad(X), 6.0 * X ** 2 + 10.0 * X)
    with pytest.raises(gradc.UnsupportedError, match="<lambda> calls a function that Numba compiled in a place"):
        gradc.compile(lambda x: model.loss(x), {"x": "n"})


def test_compiled_functions_and_their_gradients_are_called_inside_others() -> None:
    wave = gradc.compile("sin(x) * y", jit=False)
    squares = gradc.compile(lambda x: np.sum(x ** 3), jit=False)
    declared = gradc.compile("sum(log(a[i, j] + b[j]) for i in range(m) for j in range(n))",
                             {"a": "m n", "b": "n"}, jit=False)

    def outer(x: Any, a: Any) -> Any:
        slope = wave.grad(x[0], 2.0)
        return slope.x * slope.y + squares(x) + np.sum(squares.grad(x) ** 2) + declared(a, b=x)

    a = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 4.0]])
    f = gradc.compile(outer, jit=False)
    close(f(X, a), 2 * np.cos(0.5) * np.sin(0.5) + np.sum(X ** 3) + np.sum(9 * X ** 4) + np.sum(np.log(a + X)))
    assert gradc.check_gradients(f, X, a, order=2).ok
    assert gradc.compile(outer, {"x": "n", "a": "m n"}).value_and_grad(X, a)[0] == pytest.approx(f(X, a))


def test_a_function_of_structures_is_called_inside_another() -> None:
    layer = gradc.compile(lambda p, x: np.sum(np.tanh(p["W"] @ x + p["b"])), jit=False)

    def loss(p: Any, x: Any) -> Any:
        return layer(p, x) ** 2

    p = {"W": np.array([[0.5, -1.0, 0.3]]), "b": np.array([0.2])}
    found = gradc.compile(loss, wrt="p", jit=False).grad(p, X)
    wanted = layer.grad(p, X).p
    close(found["W"], 2 * layer(p, X) * wanted["W"])
    close(found["b"], 2 * layer(p, X) * wanted["b"])


def test_what_does_not_fit_a_compiled_function_is_refused_with_the_line() -> None:
    f = gradc.compile("sum(x) * k", {"x": "n", "k": "int"}, jit=False)
    with pytest.raises(gradc.ShapeError, match=r"x of a compiled function has 1 dimensions.*\(line"):
        gradc.compile(lambda y: f(y, 2), {"y": ""})
    with pytest.raises(gradc.ArgumentError, match=r"k of a compiled function is int64.*\(line"):
        gradc.compile(lambda x, y: f(x, y), {"x": "n", "y": ""})
