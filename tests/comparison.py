"""Judges for whole programs: the interpreter in many digits, and what every Function must agree with.

`slope` differentiates the user's own graph numerically, at 60 digits with a step of 1e-25, so that the only
error left is that of the function under test. It says where the point stands on a kink, so that a test can
tell a wrong derivative from one that does not exist. `agrees` holds values, gradients and the two halves of
the gate interface of one formula against it, and refuses to pass on values that are not finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np

import gradc
from gradc.compiler.function import Function
from gradc.ir.graph import Graph
from gradc.ir.interpret import evaluate

DIGITS, STEP = 60, "1e-25"


class Slope(NamedTuple):
    """Value and directional derivative of a weighted sum of outputs, and whether a kink is there."""

    value: float
    derivative: float
    kink: bool


def leaves(result: Any) -> list[Any]:
    """The scalars and arrays of a result, in order."""
    return [leaf for part in result for leaf in leaves(part)] if isinstance(result, tuple) else [result]


def slope(graph: Graph, arguments: Mapping[str, Any], direction: Mapping[str, Any],
          weights: Sequence[Any] | None = None) -> Slope:
    """The derivative along `direction` of the sum of `weights` times the outputs, to about 30 digits."""
    mp = mpmath.mp
    with mp.workdps(DIGITS):
        step = mp.mpf(STEP)
        totals = []
        for sign in (0, 1, -1):
            moved = {name: _moved(value, direction.get(name), sign * step) for name, value in arguments.items()}
            outputs = evaluate(graph, moved, exact=mp)
            totals.append(mp.fsum(_weighted(outputs, weights)))
        here, ahead, behind = totals
        derivative = (ahead - behind) / (2 * step)
        kink = abs(ahead + behind - 2 * here) / step > mp.mpf("1e-12") * (1 + abs(derivative))
        return Slope(float(here), float(derivative), bool(kink))


def _moved(value: Any, direction: Any, step: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind != "f" or direction is None:
        return value
    exact = np.frompyfunc(mpmath.mp.mpf, 1, 1)
    return exact(array) + step * exact(np.asarray(direction))


def _weighted(outputs: Sequence[Any], weights: Sequence[Any] | None) -> list[Any]:
    found = []
    for k, output in enumerate(outputs):
        values = np.asarray(output, dtype=object).ravel()
        factors = np.ones(values.size) if weights is None else np.asarray(weights[k], dtype=float).ravel()
        found += [v * mpmath.mp.mpf(float(w)) for v, w in zip(values, factors, strict=True) if w]
    return found


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    """Equal shapes, finite and equal up to rounding (of the largest element)."""
    found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
    assert found.shape == wanted.shape
    assert np.all(np.isfinite(wanted)), f"nothing can be compared with {wanted}"
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
    assert np.all(np.abs(found - wanted) <= tolerance * scale), f"{found} is not {wanted}"


def same(found: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    """Two results of one structure, equal up to rounding; NaN and infinities at the same places."""
    found, wanted = leaves(found), leaves(wanted)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert np.shape(a) == np.shape(b)
        assert getattr(a, "dtype", type(a)) == getattr(b, "dtype", type(b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def directions(function: Function, arguments: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """A random direction in the space of the arguments that derivatives are taken by."""
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(np.shape(arguments[name])) for name in function.wrt}


def along(function: Function, gradient: Any, direction: Mapping[str, Any]) -> float:
    """The inner product of a gradient with a direction."""
    parts = [gradient] if len(function.wrt) == 1 else list(gradient)
    return float(sum(np.sum(np.asarray(part) * direction[name])
                     for part, name in zip(parts, function.wrt, strict=True)))


def agrees(formula: Any, args: Any, arguments: Mapping[str, Any], *, tolerance: float = 1e-9,
           second: bool = True, **options: Any) -> Function:
    """Hold a formula's value, gradient, gate and second derivative against the interpreter in many digits."""
    options.setdefault("jit", False)
    f = gradc.compile(formula, args, cache=False, **options)
    values = [arguments[name] for name in f.args]
    given = dict(zip(f.args, values, strict=True))
    wanted = evaluate(f.graph, given)
    for found, value in zip(leaves(f(*values)), wanted, strict=True):
        close(found, value, tolerance)
    random = np.random.default_rng(1)
    direction = directions(f, given)
    scalar = len(wanted) == 1 and np.ndim(wanted[0]) == 0
    weights = [np.float64(1.0) if scalar else random.standard_normal(np.shape(v)) for v in wanted]
    expected = slope(f.graph, given, direction, weights)
    assert not expected.kink, "the test stands on a kink"
    value, saved = f.forward(*values)
    for found, one in zip(leaves(value), wanted, strict=True):
        close(found, one, tolerance)
    cotangents = tuple(w if np.ndim(w) else float(w) for w in weights)
    backward = f.backward(saved, cotangents if len(cotangents) > 1 else cotangents[0])
    close(along(f, backward, direction), expected.derivative, tolerance)
    if scalar:
        gradient = f.grad(*values)
        close(along(f, gradient, direction), expected.derivative, tolerance)
        both = f.value_and_grad(*values)
        close(both[0], wanted[0], tolerance)
        same(both[1], gradient, tolerance)
        if second:
            agrees_twice(f, given, direction, tolerance)
    return f


def agrees_twice(f: Function, arguments: Mapping[str, Any], direction: Mapping[str, Any],
                 tolerance: float = 1e-9) -> None:
    """Hold the derivative of a gradient (one product with the Hessian) against the gradient's own graph."""
    random = np.random.default_rng(2)
    weights = [random.standard_normal(np.shape(arguments[name])) for name in f.wrt]
    expected = slope(f.grad.graph, arguments, direction, weights)
    assert not expected.kink, "the gradient stands on a kink"
    _, saved = f.grad.forward(*(arguments[name] for name in f.args))
    cotangents = tuple(w if np.ndim(w) else float(w) for w in weights)
    product = f.grad.backward(saved, cotangents if len(cotangents) > 1 else cotangents[0])
    close(along(f, product, direction), expected.derivative, tolerance)
