"""The adjoint: the chain rule and the fan-in sum over uses and over axes, on graphs and on whole formulas.

Each formula's value, gradient, backward half and second derivative are held against numerical
differentiation of the user's own graph at 60 digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc
from gradc.compiler.adjoint import reverse
from gradc.compiler.compiled import Options
from gradc.compiler.function import Function
from gradc.compiler.simplify import fold
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import Graph, copy_graph
from gradc.ir.interpret import evaluate

from .comparison import agrees, close

RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return RANDOM.standard_normal(shape) if shape else float(RANDOM.standard_normal())


def index(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


FORMULAS: dict[str, list[tuple[str, Any, dict[str, Any]]]] = {
    "scalars": [
        ("(x + y) * z", None, {"x": -2.0, "y": 5.0, "z": -4.0}),
        ("a = x if x > y else y; b = a * x if a > 1 else a**2; b * a + sin(b)", None, {"x": 0.3, "y": 1.4}),
        ("x if x > 1 else (x**2 if x > 0 else (sin(x) if x > -1 else exp(x)))", None, {"x": -0.5}),
        ("where(b, x**2, sin(x))", {"b": "bool"}, {"b": True, "x": 0.3}),
        ("x**k + k**x + k / 2 + k // 2 + k % 3", {"k": "int"}, {"k": 4, "x": 1.3}),
        ("floor(x) * y + round(x) * y + x % 2 + x // 2", None, {"x": 2.7, "y": 1.5}),
    ],
    "fan-in over axes": [
        ("sum((x[i] + y)**2 for i in range(n) for j in range(m))", {"x": "n", "b": "m"},
         {"x": normal(3), "b": normal(4), "y": 0.4}),
        ("sum(y for i in range(n) for j in range(i))", {"x": "n"}, {"x": normal(4), "y": 0.4}),
        ("exp(sum(y for j in range(1, k)))", {"k": "int"}, {"y": 0.1, "k": 4}),
        ("sum(A) + sum(A[i, i]**2 for i in range(n))", {"A": "n n"}, {"A": normal(3, 3)}),
        ("sum((x - mean(x))**2)", {"x": "n"}, {"x": normal(4)}),
        ("s = sum(x, axis=0); m = mean(x, axis=0); sum((x - m)**2 * s)", {"x": "n d"}, {"x": normal(3, 2)}),
    ],
    "reads": [
        ("sum(A[i, j] * A[j, i] for i in range(n) for j in range(n))", {"A": "n n"}, {"A": normal(3, 3)}),
        ("sum(T[i, j, k] * T[i, k, j] for i in range(a) for j in range(b) for k in range(b))", {"T": "a b b"},
         {"T": normal(2, 3, 3)}),
        ("sum(A[i, i, k] for i in range(n) for k in range(m))", {"A": "n n m"}, {"A": normal(3, 3, 2)}),
        ("sum(x[n - 1 - i] * x[i]**2 for i in range(n))", {"x": "n"}, {"x": normal(5)}),
        ("sum(x[2*i] * x[2*i + 1]**2 for i in range(n // 2))", {"x": "n"}, {"x": normal(5)}),
        ("sum(x[(i + 1) % n] * x[i]**2 for i in range(n))", {"x": "n"}, {"x": normal(5)}),
        ("sum((x[2:] - 2*x[1:-1] + x[:-2])**2)", {"x": "n"}, {"x": normal(6)}),
        ("x[-1] * x[0] + x[n - 2]", {"x": "n"}, {"x": normal(5)}),
        ("x[k] * y", {"x": "m", "k": "int"}, {"x": normal(5), "k": 2, "y": 0.3}),
        ("sum(w[idx[o]]**2 * v[o] for o in range(m))", {"w": "n", "idx": "int m", "v": "m"},
         {"w": normal(3), "idx": index(2, 0, 2, 1), "v": normal(4)}),
        ("sum(A[r[i], c[i]] * x[c[i]] for i in range(n))", {"A": "p q", "x": "q", "r": "int n", "c": "int n"},
         {"A": normal(3, 4), "x": normal(4), "r": index(0, 2, 2), "c": index(3, 3, 1)}),
        ("x[argmax(x)] * y", {"x": "n"}, {"x": normal(4), "y": 2.0}),
        ("sum(A[i, argmax(A[i, k] for k in range(K))] for i in range(n))", {"A": "n K"}, {"A": normal(3, 4)}),
    ],
    "guards": [
        ("sum(x[i] * x[k] for i in range(n) for k in range(n) if i != k)", {"x": "n"}, {"x": normal(4)}),
        ("sum((x[i] - x[k])**2 / (1 + x[i]**2) for i in range(n) for k in range(i))", {"x": "n"}, {"x": normal(4)}),
        ("sum((x[i-1] if i > 0 else x[n-1]) * (x[i+1] if i < n-1 else x[0]) for i in range(n))", {"x": "n"},
         {"x": normal(4)}),
        ("sum((0.0 if i == 0 else (x[i-1] if i == 1 else x[i-2])) * x[i]**2 for i in range(n))", {"x": "n"},
         {"x": normal(5)}),
        ("sum((x[i] if x[i] > 0 else (x[i+1] if i + 1 < n and x[i+1] > 0 else 1))**3 for i in range(n))", {"x": "n"},
         {"x": normal(6)}),
        ("sum(x[i]**2 for i in range(n) if m[i])", {"m": "bool n", "x": "n"},
         {"m": np.array([True, False, True]), "x": normal(3)}),
        ("sum(x[i] if any(A[i, k] > 1 for k in range(K)) else x[i]**2 for i in range(n))", {"A": "n K", "x": "n"},
         {"A": normal(3, 4), "x": normal(3)}),
        ("sum(sum(b[j] for j in range(m) if i <= k) * x[i] for i in range(n))", {"x": "n", "b": "m", "k": "int"},
         {"x": normal(4), "b": normal(2), "k": 1}),
        ("sum(u[i,j] * ((u[i-1,j] if i > 0 else 0) + (u[i+1,j] if i < n-1 else 0) + (u[i,j-1] if j > 0 else 0)"
         " + (u[i,j+1] if j < m-1 else 0) - 4*u[i,j]) for i in range(n) for j in range(m))", {"u": "n m"},
         {"u": normal(4, 3)}),
    ],
    "maxima": [
        ("max(A)", {"A": "n K"}, {"A": normal(3, 4)}),
        ("min(max(A[i, k] * x[k] for k in range(K)) for i in range(n))", {"A": "n K", "x": "K"},
         {"A": normal(4, 3), "x": normal(3)}),
        ("max(sum(0.5 * y for k in range(n)) for i in range(n) for j in range(m))", {"x": "n", "b": "m"},
         {"x": normal(3), "b": normal(2), "y": 0.7}),
        ("max(max(sin(x[j]) for j in range(n)) for i in range(n))", {"x": "n"}, {"x": normal(3)}),
        ("max(sum((a[j])**2 for j in range(1, n) for k in range(i) if k < j) for i in range(m))", {"a": "n", "b": "m"},
         {"a": normal(4), "b": normal(4)}),
        ("sum(max(A[i, k] for k in range(K) if k != i)**2 for i in range(n))", {"A": "n K"}, {"A": normal(4, 3)}),
        ("sum(where(x > 0, x, 0) * maximum(x, y) * minimum(x, 1) * abs(x))", {"x": "n", "y": "n"},
         {"x": normal(5), "y": normal(5)}),
        ("sum(clip(x, -1, 1)**2) + max(x[0], x[1], 0.5) + min(x[0], x[1], x[2])", {"x": "n"}, {"x": normal(5)}),
    ],
    "exponentials": [
        ("logsumexp(A)", {"A": "n K"}, {"A": normal(3, 4)}),
        ("sum(logsumexp(A[i, k] * x[k] for k in range(K) if k != i) for i in range(n))", {"A": "n K", "x": "K"},
         {"A": normal(4, 3), "x": normal(3)}),
        ("q = exp(a) / sum(exp(a), axis=0); sum(q * t)", {"a": "n m", "t": "n m"}, {"a": normal(4, 3), "t": normal(4, 3)}),
        ("sum(exp(x[i] * x[j]) / sum(exp(x[i] * x[k]) for k in range(n)) * A[i, j] for i in range(n) for j in range(n))",
         {"x": "n", "A": "n n"}, {"x": normal(3), "A": normal(3, 3)}),
        ("logsumexp(sum((n + a[i]) for j in range(1, n)) for i in range(n))", {"a": "n"}, {"a": normal(3)}),
    ],
    "products": [
        ("prod(x)", {"x": "n"}, {"x": normal(5)}),
        ("prod(x)", {"x": "n"}, {"x": np.array([1.0, 0.0, 3.0, 0.0])}),
        ("prod(A)", {"A": "n K"}, {"A": normal(3, 4)}),
        ("prod(A[i, i] for i in range(n))", {"A": "n n"}, {"A": normal(3, 3)}),
        ("prod(x[i] + y for i in range(n) if i != 2)", {"x": "n"}, {"x": normal(5), "y": 0.4}),
        ("prod(x[i] for i in range(n) if x[i] > 0.1)", {"x": "n"}, {"x": np.array([1.0, -2.0, 0.0, 3.0])}),
        ("prod(y + i for i in range(k))", {"k": "int"}, {"y": 1.5, "k": 5}),
        ("prod(prod(A[i, j] for j in range(i)) + 1 for i in range(n))", {"A": "n n"}, {"A": normal(3, 3)}),
        ("prod(prod(A[p, 0] for q in range(n) for p in range(m)) for j in range(n))", {"A": "m n"}, {"A": normal(2, 2)}),
        ("sum(prod(A[i, j] * b[j] for j in range(m)) * prod(A[i, j] + b[j] for j in range(m)) for i in range(n))",
         {"A": "n m", "b": "m"}, {"A": normal(3, 3), "b": normal(3)}),
        ("sum(y[i] * prod((t - x[j]) / (x[i] - x[j]) for j in range(n) if j != i) for i in range(n))",
         {"x": "n", "y": "n"}, {"x": np.array([1.0, 2.0, 4.0, 7.0]), "y": normal(4), "t": 2.5}),
    ],
    "arrays out": [
        ("A @ A", {"A": "n n"}, {"A": normal(3, 3)}),
        ("h = tanh(W1 @ x); exp(W2 @ h)", {"W1": "h d", "W2": "c h", "x": "d"},
         {"W1": normal(4, 3), "W2": normal(2, 4), "x": normal(3)}),
        ("x[j] * w", {"x": "m", "j": "int n", "w": "n"}, {"x": normal(5), "j": index(0, 4, 4, 1), "w": normal(4)}),
        ("q = sin(x); q, q, q * y, sum(q)", {"x": "n", "y": "n"}, {"x": normal(3), "y": normal(3)}),
        ("x, x", {"x": "n"}, {"x": normal(3)}),
        ("T", {"T": "a b c"}, {"T": normal(2, 3, 2)}),
        ("q = A @ x; r = q * q; sum(r), q, r, x", {"A": "n m", "x": "m"}, {"A": normal(3, 2), "x": normal(2)}),
        ("1.0, x, 2 * x", None, {"x": 3.0}),
        ("x * 0 + y", {"x": "n"}, {"x": normal(3), "y": 0.4}),
    ],
    "networks": [
        ("h = maximum(W1 @ x, 0); sum((W2 @ h - y)**2)", {"W1": "h d", "W2": "c h", "x": "d", "y": "c"},
         {"W1": normal(4, 3), "W2": normal(2, 4), "x": normal(3), "y": normal(2)}),
        ("sum(tanh(sum(W[i,j] * tanh(sum(V[j,k] * x[p,k] for k in range(d))) for j in range(h))) for i in range(c)"
         " for p in range(N))", {"W": "c h", "V": "h d", "x": "N d"},
         {"W": normal(2, 3), "V": normal(3, 2), "x": normal(4, 2)}),
        ("sum(sum(c[j] * x[i+j] for j in range(m))**2 for i in range(n - m + 1))", {"x": "n", "c": "m"},
         {"x": normal(6), "c": normal(3)}),
        ("sum(c[j] * x[i+j] for i in range(n - m + 1) for j in range(m))", {"x": "n", "c": "m"},
         {"x": normal(6), "c": normal(3)}),
        ("sum(sqrt(sum((X[i,d] - X[j,d])**2 for d in range(D))) for i in range(n) for j in range(i))", {"X": "n D"},
         {"X": normal(4, 3)}),
        ("sum(x[i] * sum(x[j] * sum(x[k] for k in range(j)) for j in range(i)) for i in range(n))", {"x": "n"},
         {"x": normal(5)}),
    ],
}
CASES = [(group, *case) for group, cases in FORMULAS.items() for case in cases]


@pytest.mark.parametrize(("group", "formula", "args", "arguments"), CASES,
                         ids=[f"{case[0]}-{k}" for k, case in enumerate(CASES)])
def test_derivatives_hold_against_many_digits(group: str, formula: str, args: Any, arguments: dict[str, Any]) -> None:
    agrees(formula, args, arguments)


def test_empty_ranges_give_zero_gradients() -> None:
    for k in (0, -2):
        for formula in ("sum(y for i in range(k))", "sum(y**i for i in range(k))", "prod(y + i for i in range(k))"):
            f = gradc.compile(formula, {"k": "int"}, jit=False)
            assert f.grad(k=k, y=1.5) == 0.0
            assert f(k=k, y=1.5) == (1.0 if formula.startswith("prod") else 0.0)


# -- the sweep itself ---------------------------------------------------------------------------


def swept(graph: Graph, wrt: str) -> Graph:
    """A copy with the adjoint of one input as its output."""
    new = copy_graph(graph, fold=fold)
    (_, output), = new.outputs
    adjoints = reverse(new, [(output, new.const(1.0))], [new.inputs[wrt]])
    new.outputs = [(f"d_{wrt}", adjoints[new.inputs[wrt]])]
    return new


def test_every_use_adds_its_share() -> None:
    g = Graph()
    x = g.input("x")
    g.outputs = [("f", g.ops.sin(x) * x + x)]
    (found,) = evaluate(swept(g, "x"), {"x": 0.5})
    assert found == pytest.approx(np.cos(0.5) * 0.5 + np.sin(0.5) + 1.0)


def test_an_axis_that_the_product_lacks_counts_its_dimension() -> None:
    """f = sum over i, j of (a + b[i]): a is used at every point, although nothing in its share varies."""
    g = Graph()
    a, b = g.input("a"), g.input("b", shape=["n"])
    m = g.input("B", shape=["m"])
    i, j = Axis(Dim.of("n"), 0), Axis(Dim.of("m"), 0)
    body = a + g.read(b, [g.axis(i)]) + 0.0 * g.read(m, [g.axis(j)])
    g.outputs = [("f", g.reduce("sum", j, g.reduce("sum", i, body)))]
    (found,) = evaluate(swept(g, "a"), {"a": 1.0, "b": np.zeros(3), "B": np.zeros(4)})
    assert found == 12.0


def test_an_input_that_nothing_depends_on_gets_zero() -> None:
    f = gradc.compile("x**2", ["x", "y"], jit=False)
    assert f.grad(3.0, 1.0) == (6.0, 0.0)
    g = gradc.compile("x**2", {"x": "", "a": "n"}, jit=False)
    assert g.grad(3.0, [1.0, 2.0])[1].tolist() == [0.0, 0.0]


def test_a_store_passes_back_what_was_stored_over_more_axes_than_it_has() -> None:
    g = Graph()
    x = g.input("x")
    axis = Axis(Dim.of("n"), 0)
    g.input("a", shape=["n"])
    stored = g.store([axis], g.ops.exp(x))
    g.outputs = [("f", g.reduce("sum", axis, g.read(stored, [g.axis(axis)], [g.apply("less", g.axis(axis), 2)])))]
    (found,) = evaluate(swept(g, "x"), {"x": 0.5, "a": np.zeros(5)})
    assert found == pytest.approx(2.0 * np.exp(0.5))


def test_what_a_later_part_of_a_store_hides_gets_nothing() -> None:
    """y = x copied, y[1:3] = u**2 over it, and y[:2] = sin(u) over both: only what is seen passes anything back."""
    g = Graph()
    x, u = g.input("x", shape=["n"]), g.input("u", shape=[2])
    n, two = Axis(Dim.of("n"), 0), Axis(Dim.of(2), 0)
    value = g.read(u, [g.axis(two)])
    stored = g.store_parts([Dim.of("n")], [
        ((two,), (Dim.of(1),), (), value * value), ((two,), (Dim.of(0),), (), g.ops.sin(value))], base=x)
    weight = g.apply("real", g.axis(n) + 1)
    g.outputs = [("f", g.reduce("sum", n, weight * g.read(stored, [g.axis(n)]))), ("y", stored)]
    f = Function(g, ("x", "u"), Options(jit=False))
    point = {"x": np.array([5.0, 6.0, 7.0, 8.0]), "u": np.array([0.3, 0.7])}
    for found, wanted in zip(f(**point), evaluate(g, point), strict=True):
        close(found, wanted)
    close(f(**point)[1], [np.sin(0.3), np.sin(0.7), 0.49, 8.0])
    _, saved = f.forward(**point)
    by_x, by_u = f.backward(saved, (1.0, np.zeros(4)))
    close(by_x, [0.0, 0.0, 0.0, 4.0])
    close(by_u, [np.cos(0.3), 2.0 * np.cos(0.7) + 3.0 * 1.4])


def test_running_sums_and_products_have_derivatives_of_every_order() -> None:
    g = Graph()
    x = g.input("x", shape=["n"])
    axis = Axis(Dim.of("n"), 0)
    element = g.read(x, [g.axis(axis)])
    running = g.scan("sum", axis, (element,), inclusive=True)
    ahead = g.scan("prod", axis, (element,))
    g.outputs = [("f", g.reduce("sum", axis, g.ops.sin(running) * ahead))]
    point, step = np.array([0.4, -1.2, 0.7]), 1e-6
    (found,) = evaluate(swept(g, "x"), {"x": point})
    for k in range(3):
        shift = step * (np.arange(3) == k)
        ends = [float(evaluate(g, {"x": point + sign * shift})[0]) for sign in (1, -1)]
        assert found[k] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-8)


def test_a_derived_function_can_be_derived_again() -> None:
    f = gradc.compile("sin(x)**3 * x", jit=False)
    third = f.grad.grad.grad
    step = 1e-4
    assert third(0.7) == pytest.approx((f.grad.grad(0.7 + step) - f.grad.grad(0.7 - step)) / (2 * step), rel=1e-6)


def test_a_derivative_has_its_value_beside_its_own_derivative() -> None:
    slope = gradc.compile("x**3 * y", wrt="x", jit=False).grad
    assert slope.value_and_grad(2.0, 5.0) == (60.0, 60.0)
    assert slope.value_and_grad(3.0, 5.0) == (135.0, 90.0)


def test_values_shared_by_function_and_gradient_are_computed_once() -> None:
    source = gradc.compile("sum(exp(x[i] * y) for i in range(n))", {"x": "n"}, jit=False).value_and_grad.source
    assert source.partition("def ")[2].count("exp(") == 1


def test_what_has_no_rule_is_refused_by_name() -> None:
    g = Graph()
    x = g.input("x", shape=["n"])
    axis = Axis(Dim.of("n"), 0)
    element = g.read(x, [g.axis(axis)])
    g.outputs = [("f", g.reduce("sum", axis, g.scan("prod", axis, (element,), inclusive=True)))]
    with pytest.raises(DerivativeError, match="an inclusive running product has no derivative rule: write it excl"):
        swept(g, "x")


def test_gradients_of_one_array_read_at_many_places_are_one_array() -> None:
    f = gradc.compile("sum(x[i] * x[j] * A[i, j] for i in range(n) for j in range(n))", {"x": "n", "A": "n n"}, jit=False)
    x, A = normal(3), normal(3, 3)
    close(f.grad(x, A)[0], (A + A.T) @ x)
    close(f.grad(x, A)[1], np.outer(x, x))
