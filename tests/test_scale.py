"""Large programs: the gradient costs a small multiple of the function, and no depth or size breaks anything.

Operations are counted in the text's syntax tree; nothing here is timed.
"""

from __future__ import annotations

import ast
import math
import sys
from typing import Any

import numpy as np
import pytest
import sympy

import gradc
from gradc.codegen.module import Group, print_module
from gradc.compiler.derive import gradient
from gradc.ir.graph import Graph

from .sources import operations, plain


def nested_sines(levels: int) -> str:
    return "\n".join(["e = x", *["e = sin(e) * e"] * levels])


def nested_sines_in_sympy(levels: int, evaluate: bool) -> Any:
    e = sympy.Symbol("x")
    for _ in range(levels):
        e = sympy.Mul(sympy.sin(e, evaluate=evaluate), e, evaluate=evaluate)
    return e


def wanted_sines(levels: int, x: float) -> tuple[float, float]:
    """Value and derivative by the chain rule, forward."""
    value, slope = x, 1.0
    for _ in range(levels):
        value, slope = math.sin(value) * value, (math.cos(value) * value + math.sin(value)) * slope
    return value, slope


@pytest.mark.parametrize(("kind", "levels"), [("formula", 10), ("formula", 1000), ("sympy", 1000), ("flattened", 60)])
def test_a_gradient_with_its_value_costs_at_most_four_times_the_function(kind: str, levels: int) -> None:
    f = plain(nested_sines(levels) if kind == "formula" else nested_sines_in_sympy(levels, kind == "flattened"))
    forward = operations(f.source)
    assert forward == 2 * levels
    assert operations(f.value_and_grad.source) <= 4 * forward
    for x in (math.pi / 2, 1.1, 4.9):                           # the first stays where it is, with slope 1
        value, slope = wanted_sines(levels, x)
        assert f.value_and_grad(x) == (pytest.approx(value, rel=1e-9), pytest.approx(slope, rel=1e-9))


def test_the_product_of_a_thousand_variables_is_right_with_zeros_and_divides_by_nothing() -> None:
    names = [f"x{k}" for k in range(1000)]
    symbols = [sympy.Symbol(name) for name in names]
    for expression in (" * ".join(names), sympy.Mul(*symbols)):
        f = gradc.compile(expression, names if isinstance(expression, str) else symbols, jit=False)
        forward = operations(f.source)
        assert forward == 999
        assert operations(f.value_and_grad.source) <= 4 * forward
        assert not any(isinstance(node, ast.Div | ast.Pow) for node in ast.walk(ast.parse(f.value_and_grad.source)))
        point = np.random.default_rng(0).uniform(0.9, 1.1, 1000)
        for zeros in ((), (17,), (3, 500)):
            values = point.copy()
            values[list(zeros)] = 0.0
            value, gradient = f.value_and_grad(*values)
            rest = [float(np.prod(np.delete(values, k))) for k in range(1000)]
            assert value == pytest.approx(np.prod(values))
            np.testing.assert_allclose(gradient, rest, rtol=1e-10)


def test_products_over_an_array_are_right_with_zeros_too() -> None:
    f = plain("prod(x)", {"x": "n"})
    x = np.random.default_rng(0).uniform(0.9, 1.1, 1000)
    x[[3, 500]] = 0.0
    assert not f.grad(x).any()
    x[3] = 2.0
    assert np.flatnonzero(f.grad(x)).tolist() == [500]
    assert "/" not in f.grad.source.partition("def ")[2]


def test_sympy_trees_of_depth_ten_thousand_are_derived_and_printed() -> None:
    x = sympy.Symbol("x")
    e = x
    for _ in range(10_000):
        e = sympy.sin(e, evaluate=False)
    limit = sys.getrecursionlimit()
    f = plain(e)
    value, slope, wanted, product = *f.value_and_grad(1.1), 1.1, 1.0
    for _ in range(10_000):
        wanted, product = math.sin(wanted), product * math.cos(wanted)
    assert value == pytest.approx(wanted, rel=1e-9)
    assert slope == pytest.approx(product, rel=1e-9)
    assert sys.getrecursionlimit() == limit


def test_ten_thousand_statements_are_derived_and_printed() -> None:
    count = 10_000
    lines = ["v0 = x", *(f"v{i + 1} = sin(v{i}) + v{i // 2} * y" for i in range(count))]
    f = plain("\n".join(lines))
    value, gradient = f.value_and_grad(0.1, 0.2)
    known, by_x, by_y = [0.1], [1.0], [0.0]
    for i in range(count):
        slope, half = math.cos(known[i]), i // 2
        known.append(math.sin(known[i]) + known[half] * 0.2)
        by_x.append(slope * by_x[i] + by_x[half] * 0.2)
        by_y.append(slope * by_y[i] + by_y[half] * 0.2 + known[half])
    assert value == pytest.approx(known[-1])
    assert gradient == (pytest.approx(by_x[-1]), pytest.approx(by_y[-1]))
    assert len(f.value_and_grad.graph.reachable()) > 50_000


def test_a_graph_of_a_hundred_thousand_nodes_is_derived_and_printed() -> None:
    g = Graph()
    x, y = g.input("x"), g.input("y")
    values = [x, y]
    for k in range(33_000):
        values.append(g.ops.sin(values[-1] * 0.5) + values[k // 2])
    g.outputs = [("f", values[-1])]
    assert len(g.nodes) > 99_000
    new = gradient(g, ["x", "y"], with_value=False, kinks="subgradient")
    assert [name for name, _ in new.outputs] == ["d_x", "d_y"]
    assert len(new.nodes) < 4 * len(g.nodes)
    printed = print_module(new, "grad", [Group(("d_x",)), Group(("d_y",))])
    assert operations(printed.module.source) > 100_000
    scope: dict[str, Any] = {}
    exec(printed.module.source, scope)
    assert np.isfinite(scope["grad"](0.1, 0.2)).all()


@pytest.mark.parametrize("levels", [40])
def test_shared_values_are_derived_once(levels: int) -> None:
    """A value used twice at each level has two to the fortieth paths to the output, and one adjoint."""
    text = "\n".join(["q = x", *["q = q * q + q"] * levels])
    f = plain(text)
    assert operations(f.grad.source) <= 8 * levels


def test_deeply_nested_choices_and_sums() -> None:
    text = "x"
    for k in range(60):
        text = f"({text} * 0.9 if x > {k} else {text.count('x')} + x)" if k < 6 else f"sin({text})"
    f = plain(text)
    h = 1e-6
    assert f.grad(2.5) == pytest.approx((f(2.5 + h) - f(2.5 - h)) / (2 * h), rel=1e-6)
    sums = "x[i0]"
    for k in range(8):
        sums = f"sum({sums} * x[i{k}] for i{k} in range(n))" if k else "sum(x[i0] for i0 in range(n))"
    g = plain(sums, {"x": "n"})
    assert g([0.5, 0.25]) == pytest.approx(0.75**8)
    np.testing.assert_allclose(g.grad([0.5, 0.25]), [8 * 0.75**7] * 2)
