"""Callables of every kind as functions to compile, and compiled functions called inside others."""

from __future__ import annotations

import abc
import functools
import math
import types
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
    close(gradc.compile(lambda x: model.loss(x), {"x": "n"}, jit=False).grad(X), 4.0 * X + 3.0 * X ** 2)


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


class Padding(abc.ABC):
    """What a layer can do."""

    @abc.abstractmethod
    def padded(self, x: Any) -> Any:
        """An array."""


class Layer(Padding):
    """A base of layers: what it does needs stand-ins for NumPy."""

    scale = staticmethod(lambda x: np.array([x[0], x[1]]) * 2.0)

    def __init__(self, weight: float) -> None:
        self.weight, self.act, self.calls = weight, np.tanh, 0

    def padded(self, x: Any) -> Any:
        y = np.zeros(2)
        y[0] = x[0] * math.exp(x[1])
        return y + self.scale(x)

    @property
    def doubled(self) -> Any:
        return np.array([self.weight, 1.0]) * 2.0

    @functools.cached_property
    def halved(self) -> float:
        return self.weight / 2.0

    @classmethod
    def made(cls, weight: Any) -> Any:
        return cls(np.array([weight, weight])[0])


class Thick(Layer):
    """A layer that calls the one it inherits from."""

    def padded(self, x: Any) -> Any:
        assert isinstance(self, Thick) and isinstance(self, Layer) and type(self).__name__ == "Thick"
        self.calls += 1
        return self.act(super().padded(x)) * self.doubled + self.halved


LAYERS = [Layer(1.5), Thick(0.5)]
HELD = types.SimpleNamespace(layers={"first": LAYERS[0]}, pair=(lambda x: np.array([x[1], math.sin(x[0])]), 3.0))


def _through_a_list(x: Any) -> Any:
    for layer in LAYERS:
        x = layer.padded(x)
    return np.sum(x ** 2)


THROUGH_OBJECTS = {
    "a list of layers": _through_a_list,
    "an attribute": lambda x: np.sum(HELD.layers["first"].padded(x) * HELD.pair[0](x)) * HELD.pair[1],
    "a new object": lambda x: np.sum(Thick(2.0).padded(x)),
    "an object made of a traced value": lambda x: np.sum(Thick.made(x[0]).padded(x)),
    "a method of a class": lambda x: np.sum(Layer.scale(x) + Layer.padded(LAYERS[1], x)),
    "a method as a default": lambda x, f=LAYERS[1].padded: np.sum(f(x)),
}


@pytest.mark.parametrize("way", list(THROUGH_OBJECTS))
def test_methods_that_are_reached_through_objects_are_traced(way: str) -> None:
    function, x = THROUGH_OBJECTS[way], np.array([0.3, 0.7])
    f = gradc.compile(function, {"x": "n"}, jit=False)
    close(f(x), function(x))
    steps = np.eye(2) * 1e-6
    close(f.grad(x), [(function(x + step) - function(x - step)) / 2e-6 for step in steps], 1e-7)


def test_an_object_keeps_what_a_traced_method_gives_it_and_stays_what_it_is() -> None:
    layer = Thick(1.0)
    before = layer.calls
    f = gradc.compile(lambda x: np.sum(layer.padded(x)), {"x": "n"}, jit=False)
    assert layer.calls > before and type(layer) is Thick and layer.padded.__func__ is Thick.padded
    assert f.grad(np.ones(2)).shape == (2,)


class Slotted:
    """An object that has no view."""

    __slots__ = ()

    def first(self, x: Any) -> Any:
        y = np.zeros(2)
        y[0] = x[0]
        return y

    def total(self, x: Any) -> Any:
        return compiled_by_numba(x, 2.0)


def test_a_method_of_an_object_that_cannot_be_followed_is_refused_by_name() -> None:
    slotted = Slotted()
    with pytest.raises(gradc.UnsupportedError, match=r"runs first \(line \d+ of test_calls.py\) as it is, since it is "
                       r"reached through an object[^\n]*ValueError: setting an array element.*\nPass the function or the "
                       r"method itself"):
        gradc.compile(lambda x: slotted.first(x), {"x": "2"})
    with pytest.raises(gradc.UnsupportedError, match="runs power.* and it ended with TypingError|runs total"):
        gradc.compile(lambda x: slotted.total(x), {"x": "2"})
    first = slotted.first
    assert gradc.compile(lambda x: np.sum(first(x)), {"x": "2"}, jit=False)(np.ones(2)) == 1.0
