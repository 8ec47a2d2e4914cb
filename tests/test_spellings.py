"""Spellings of one function: they cost the same operations, and the values are those of the interpreter."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen import indices
from gradc.ir.interpret import evaluate

from .sources import body, plain

RANDOM = np.random.default_rng(7)
POINTS = {"x": "m d", "c": "n d", "h": ""}
DENSITY = "sum(log(sum(exp(-sum((x[i,k] - c[j,k])**2 for k in range(d)) / (2*h**2)) for j in range(n))) for i in range(m))"
SCALED = DENSITY.replace("(x[i,k] - c[j,k])**2", "((x[i,k] - c[j,k])/h)**2").replace(" / (2*h**2)", "/2")
TURNED = DENSITY.replace("(x[i,k] - c[j,k])**2", "((c[j,k] - x[i,k])/h)**2").replace(" / (2*h**2)", "*0.5")


def with_norms(x: Any, c: Any, h: Any) -> Any:
    distance = np.linalg.norm(x[:, None, :] - c, axis=2)
    return np.sum(np.log(np.sum(np.exp(-(distance**2) / (2 * h**2)), axis=1)))


def with_squares(x: Any, c: Any, h: Any) -> Any:
    z = (x[:, None, :] - c) / h
    return np.sum(np.log(np.sum(np.exp(-0.5 * np.einsum("abc,abc->ab", z, z)), axis=1)))


@pytest.mark.parametrize("written", [SCALED, TURNED, with_norms, with_squares])
def test_a_scale_inside_squares_costs_no_division_and_no_function_more_than_one_outside(written: Any) -> None:
    base, other = (gradc.compile(text, POINTS, jit=False) for text in (DENSITY, written))
    found, wanted = (gradc.report(f, sizes={"m": 20, "n": 30, "d": 3}, vectors=False)["value_and_grad"]
                     for f in (other, base))
    assert found.functions == wanted.functions
    assert "/ h" not in body(other.value_and_grad.source).partition("for ")[2]      # but before the loops
    given = RANDOM.standard_normal((5, 3)), RANDOM.standard_normal((7, 3)), 0.7
    (value, gradient), (wanted, slopes) = other.value_and_grad(*given), base.value_and_grad(*given)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for one, two in zip(gradient, slopes, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-10)


def test_a_scale_that_keeps_squares_from_overflowing_stays_where_it_is() -> None:
    f = plain("s = max(abs(x[i]) for i in range(n)); s*sqrt(sum((x[i]/s)**2 for i in range(n)))", {"x": "n"})
    assert f(np.array([3e200, 4e200])) == pytest.approx(5e200)
    given = plain("s*sqrt(sum((x[i]/s)**2 for i in range(n)))", {"x": "n", "s": ""})
    value, (d_x, d_s) = given.value_and_grad(np.array([3e200, 4e200]), 1e200)
    assert value == pytest.approx(5e200) and d_s == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_allclose(d_x, [0.6, 0.8])
    assert plain("sum((x[i]/s)**2 for i in range(n))", {"x": "n", "s": ""})(
        np.array([3e-200, 4e-200]), 1e-200) == pytest.approx(25.0)
    single = plain("sum((x[i]/s)**2 for i in range(n))", {"x": "float32 n", "s": "float32"})
    assert single(np.array([3e-20, 4e-20], np.float32), np.float32(1e-20)) == pytest.approx(25.0, rel=1e-5)


@pytest.mark.parametrize("scaled", ["s*x[i]", "x[i]*s", "x[i]/s", "x[i]/s**2"])
def test_the_root_of_scaled_squares_has_no_derivative_at_zero(scaled: str) -> None:
    f = plain(f"sqrt(sum(({scaled})**2 for i in range(n)))", {"x": "n", "s": ""})
    value, (d_x, d_s) = f.value_and_grad(np.zeros(3), 2.0)
    assert value == d_s == 0.0 and not d_x.any()


@pytest.mark.parametrize("power", [2, 4, 6])
def test_an_even_power_of_a_norm_has_no_root(power: int) -> None:
    f = plain(f"sqrt(sum(x[i]**2 for i in range(n)))**{power}", {"x": "n"})
    assert "sqrt" not in body(f.value_and_grad.source)
    x = RANDOM.standard_normal(4)
    value, gradient = f.value_and_grad(x)
    assert value == pytest.approx((x @ x) ** (power / 2))
    np.testing.assert_allclose(gradient, power * (x @ x) ** (power / 2 - 1) * x)


def test_a_divisor_outside_a_loop_is_inverted_once_where_only_products_use_the_quotient() -> None:
    formula = "sum(exp(-sum((x[i,k]/h[k])**2 for k in range(d))) for i in range(n))"
    text = body(plain(formula, {"x": "n d", "h": "d"}).source)
    assert text.count("/") == 1 and "1.0 / h[k]" in text
    for shown in ("sum(floor(x[i]/h) for i in range(n))", "sum(1 if x[i]/h >= 3 else 0 for i in range(n))"):
        f = plain(shown, {"x": "n", "h": ""})
        assert f(np.array([0.3, 0.6, 0.9]), 0.1) == evaluate(f.graph, {"x": np.array([0.3, 0.6, 0.9]), "h": 0.1})[0]


def test_exponentials_over_different_axes_stay_apart() -> None:
    f = plain("sum(exp(a[i] - t[i]) * exp(b[j] - s[j]) * c[i,j] for i in range(n) for j in range(m))",
              {"a": "n", "t": "n", "b": "m", "s": "m", "c": "n m"})
    found = gradc.report(f, sizes={"n": 30, "m": 40}, vectors=False)
    assert all(part.functions["exp"].number == 70 for part in found.parts)
    one = plain("sum(exp(a[i]) * exp(-b[i]) for i in range(n))", {"a": "n", "b": "n"})
    assert one(np.array([1000.0]), np.array([1000.0])) == 1.0               # of one axis they are still one


@pytest.mark.parametrize(("header", "wrapped"), [
    ("range(i)", False), ("range(1, n)", False), ("range(start, stop)", False), ("range(i + 1, n)", True),
])
def test_an_index_that_begins_at_a_sum_is_told_to_be_no_negative_one(header: str, wrapped: bool) -> None:
    text = f"""
def f(x, n):
    for start in range(0, n, 64):
        stop = start + 64
        for i in range(n):
            for j in {header}:
                x[j] += 1.0
"""
    tree = ast.parse(text)
    assert indices.rewrite(tree, ["f"]) is wrapped
    assert (f"x[{indices.INDEX}(j)]" in ast.unparse(tree)) is wrapped
