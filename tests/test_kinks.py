"""Where there is no derivative, or where a careless chain rule gives NaN: what gradc decides, and keeps to.

The first table is the column "gradc" of the comparison with other tools: abs, ties of max and min, relu, norms,
untaken branches, atan2 and powers at the origin. Then strong zeros, second derivatives, and `kinks="raise"`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy

import gradc
from gradc.ir.errors import DomainError, FormulaError
from gradc.ir.interpret import evaluate

X, Y, Z = sympy.symbols("x y z", real=True)
THIRD = 1 / 3
ONES, ZEROS = np.ones(3), np.zeros(3)


def named(value: Any) -> str:
    """What a case is called, the same in every process."""
    return str(getattr(value, "__name__", value))[:40]


def gradient(expression: Any, *values: Any, args: Any = None, **options: Any) -> Any:
    """The gradient as one flat list of numbers."""
    found = gradc.compile(expression, args, jit=False, **options).grad(*values)
    parts = found if isinstance(found, tuple) else (found,)
    return [float(number) for part in parts for number in np.ravel(part)]


TABLE = [
    # abs at 0
    ("abs(x)", None, (0.0,), [0.0]),
    (sympy.Abs(X), None, (0.0,), [0.0]),
    ("sum(abs(x))", {"x": "n"}, (ZEROS,), [0.0, 0.0, 0.0]),
    # ties of max and min share equally, whatever the nesting
    ("max(x, y, z)", None, (1.0, 1.0, 1.0), [THIRD, THIRD, THIRD]),
    ("max(max(x, y), z)", None, (1.0, 1.0, 1.0), [THIRD, THIRD, THIRD]),
    ("max(x, max(y, z))", None, (1.0, 1.0, 1.0), [THIRD, THIRD, THIRD]),
    ("min(x, y, z)", None, (1.0, 1.0, 1.0), [THIRD, THIRD, THIRD]),
    ("max(x, y)", None, (2.0, 1.0), [1.0, 0.0]),
    (sympy.Max(X, Y, Z), None, (1.0, 1.0, 1.0), [THIRD, THIRD, THIRD]),
    ("max(x)", {"x": "n"}, (ONES,), [THIRD, THIRD, THIRD]),
    ("max(x[i] for i in range(n))", {"x": "n"}, (np.array([1.0, 1.0, 0.0]),), [0.5, 0.5, 0.0]),
    ("max(A)", {"A": "n m"}, (np.ones((2, 2)),), [0.25] * 4),
    ("max(A[i, j] for i in range(n) for j in range(m) if i != j)", {"A": "n m"}, (np.ones((2, 2)),),
     [0.0, 0.5, 0.5, 0.0]),
    (lambda x: np.sum(np.maximum.accumulate(x) * [1.0, 2.0, 4.0, 8.0]), {"x": "4"}, (np.array([1.0, 2.0, 2.0, 1.0]),),
     [1.0, 2.0 + 2.0 + 4.0, 2.0 + 4.0, 0.0]),
    ("max(x[j] for i in range(n) for j in range(n))", {"x": "n"}, (ONES,), [THIRD, THIRD, THIRD]),
    ("max(max(x[j] for j in range(n)) for i in range(n))", {"x": "n"}, (ONES,), [THIRD, THIRD, THIRD]),
    # a tie with a constant gives 0: relu and clip
    ("max(x, 0)", None, (0.0,), [0.0]),
    ("maximum(x, 0)", None, (0.0,), [0.0]),
    ("min(x, 0)", None, (0.0,), [0.0]),
    ("relu(x)", None, (0.0,), [0.0]),
    ("max(x, 0)", None, (1.0,), [1.0]),
    (sympy.Max(X, 0), None, (0.0,), [0.0]),
    ("max(x, y, 0)", None, (0.0, 0.0), [0.0, 0.0]),
    ("max(x, y, 0)", None, (1.0, 1.0), [0.5, 0.5]),
    ("clip(x, 0, 1)", None, (0.0,), [0.0]),
    ("clip(x, 0, 1)", None, (1.0,), [0.0]),
    ("clip(x, 0, 1)", None, (0.5,), [1.0]),
    ("min(max(x, 0), 1)", None, (1.0,), [0.0]),
    # norms at 0
    ("sqrt(sum(x**2))", {"x": "n"}, (ZEROS,), [0.0, 0.0, 0.0]),
    ("sqrt(sum(x[i]**2 for i in range(n)))", {"x": "n"}, (ZEROS,), [0.0, 0.0, 0.0]),
    ("sqrt(x @ x)", {"x": "n"}, (ZEROS,), [0.0, 0.0, 0.0]),
    ("sqrt(x**2 + y**2)", None, (0.0, 0.0), [0.0, 0.0]),
    ("hypot(x, y)", None, (0.0, 0.0), [0.0, 0.0]),
    (sympy.sqrt(X**2 + Y**2), None, (0.0, 0.0), [0.0, 0.0]),
    # an untaken branch never leaks
    ("where(x > 0, sqrt(x), 0)", None, (0.0,), [0.0]),
    ("where(x > 0, sqrt(x), 0)", None, (-1.0,), [0.0]),
    ("sqrt(x) if x > 0 else 0", None, (0.0,), [0.0]),
    ("log(x) if x > 0 else x", None, (0.0,), [1.0]),
    ("1 / x if x != 0 else x", None, (0.0,), [1.0]),
    (sympy.Piecewise((sympy.sqrt(X), X > 0), (0, True)), None, (0.0,), [0.0]),
    ("sum(sqrt(x[i]) if x[i] > 0 else 0 for i in range(n))", {"x": "n"}, (np.array([4.0, 0.0, -1.0]),),
     [0.25, 0.0, 0.0]),
    ("sum(sqrt(x[i]) for i in range(n) if x[i] > 0)", {"x": "n"}, (np.array([4.0, 0.0, -1.0]),), [0.25, 0.0, 0.0]),
    ("sum(where(x > 0, log(x), 0))", {"x": "n"}, (np.array([2.0, 0.0, -1.0]),), [0.5, 0.0, 0.0]),
    # atan2 and powers at the origin
    ("atan2(y, x)", None, (0.0, 0.0), [0.0, 0.0]),
    (sympy.atan2(Y, X), None, (0.0, 0.0), [0.0, 0.0]),
    ("x**y", None, (0.0, 2.0), [0.0, 0.0]),
    ("x**y", None, (0.0, 0.0), [0.0, 0.0]),
    ("x**y", None, (0.0, 1.0), [1.0, 0.0]),
    (X**Y, None, (0.0, 2.0), [0.0, 0.0]),
    # the jumps have derivative zero by definition
    ("floor(x) + sign(x) + round(x) + trunc(x)", None, (1.0,), [0.0]),
    ("x % 2", None, (4.0,), [1.0]),
]


@pytest.mark.parametrize(("expression", "args", "point", "wanted"), TABLE, ids=named)
def test_the_table_of_kinks(expression: Any, args: Any, point: tuple[Any, ...], wanted: list[float]) -> None:
    assert gradient(expression, *point, args=args) == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize(("expression", "args", "point", "wanted"),
                         [TABLE[k] for k in (0, 3, 9, 13, 18, 26, 28, 32, 38, 41, 45)],
                         ids=named)
def test_compiled_code_decides_as_plain_text(expression: Any, args: Any, point: tuple[Any, ...],
                                             wanted: list[float]) -> None:
    found = gradc.compile(expression, args).grad(*point)
    parts = found if isinstance(found, tuple) else (found,)
    assert [float(n) for part in parts for n in np.ravel(part)] == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize(("expression", "args", "point", "value"), [
    ("log(1 + x)", None, (1e-20,), 1e-20),
    ("log(exp(x) + exp(y))", None, (1000.0, 1000.0), 1000.0 + math.log(2.0)),
    ("log(sum(exp(x)))", {"x": "n"}, (np.full(2, 1000.0),), 1000.0 + math.log(2.0)),
    ("log(sum(exp(x[i]) for i in range(n)))", {"x": "n"}, (np.full(2, -1000.0),), math.log(2.0) - 1000.0),
])
def test_naive_spellings_give_the_stable_value(expression: str, args: Any, point: Any, value: float) -> None:
    f = gradc.compile(expression, args, jit=False)
    assert f(*point) == pytest.approx(value, rel=1e-15)
    assert sum(gradient(expression, *point, args=args)) == pytest.approx(1.0, rel=1e-15)


def test_the_shares_of_a_tie_lie_in_the_subdifferential() -> None:
    """Along every direction, max(x) cannot grow slower than its chosen gradient says: it is convex."""
    f = gradc.compile("max(x)", {"x": "n"}, jit=False)
    point = np.array([1.0, 2.0, 2.0, 2.0, 0.0])
    chosen = f.grad(point)
    random = np.random.default_rng(0)
    for _ in range(50):
        direction = random.standard_normal(5)
        assert f(point + 1e-3 * direction) >= f(point) + 1e-3 * (chosen @ direction) - 1e-15
    assert chosen.sum() == pytest.approx(1.0)


# -- strong zeros -------------------------------------------------------------------------------


def test_an_infinite_slope_is_infinite_only_where_the_value_is_used() -> None:
    assert gradient("sqrt(x)", 0.0) == [math.inf]
    assert gradient("sqrt(x) if y > 0 else y", 0.0, -1.0) == [0.0, 1.0]
    assert gradient("max(sqrt(x), y)", 0.0, 2.0) == [0.0, 1.0]


def test_a_guarded_zero_survives_a_chain_of_operations() -> None:
    """Zero times infinity never arises on the way back through what a branch alone uses."""
    text = "a = sqrt(x); b = 1 / a; c = exp(b); c if x > 1 else x"
    assert gradient(text, 0.0) == [1.0]
    assert gradient("sum((log(x[i]) * x[i])**2 if x[i] > 0 else 0 for i in range(n))", np.zeros(2),
                    args={"x": "n"}) == [0.0, 0.0]


PROTECTED = [
    ("sum(log(x) * a[i] for i in range(n) if x > 0)", -1.0),
    ("sum(a[i] / x for i in range(n) if x > 0)", 0.0),
    ("sum(sqrt(x) * a[i] for i in range(n) if a[i] < x)", 0.0),
    ("sum(sqrt(x) * a[i] for i in range(n) if a[i] < x)", -1.0),
    ("sum(a[i] * sum(a[k] / i for k in range(i)) / 1e9 for i in range(n) if x > 5)", 1.0),
    ("sum(sum(log(x) * a[i] for i in range(k)) for k in range(n) if k < 0)", -1.0),
    ("sum(a[i] * mean(log(x) for k in range(n) if x > 0) for i in range(n) if x > 0)", -1.0),
    ("sum(sum(mean(a[i] for k in range(n) if x > 0) for j in range(i) if j >= i) for i in range(n))", -1.0),
    ("sum(exp(1000 * x) * a[i] for i in range(n) if i > 100)", 1.0),
    ("sum(exp(1000 * x) * a[i] for i in range(n) if i < n - 3)", 1.0),
    ("sum(exp(1000 * x) * a[i] for i in range(n) if 2 * i + 1 < 0)", 1.0),
    ("sum(log(x) * a[i] for i in range(n) if i >= n)", 0.0),
    ("sum(a[i] / x for i in range(n) if a[i] > 5)", 0.0),
    ("sum(sum(exp(1000 * x * a[i]) * a[k] for k in range(n) if k > n + i) for i in range(n))", 1.0),
    ("sum(sum(sqrt(x) * a[k] for k in range(n) if k != i and k > 2) for i in range(n))", -1.0),
]


@pytest.mark.parametrize(("text", "x"), PROTECTED)
def test_a_guard_protects_the_factors_of_its_sum(text: str, x: float) -> None:
    """Where no guard holds the sum is 0, and no derivative knows what stands in it."""
    f = gradc.compile(text, {"x": "", "a": "n"}, jit=False)
    a = np.array([1.0, 2.0, 3.0])
    assert f(x, a) == 0.0
    assert np.array_equal(gradient(text, x, a, args={"x": "", "a": "n"}), np.zeros(4))
    assert f.jvp(x, a, 1.0, ONES) == 0.0
    assert np.array_equal(np.hstack([np.ravel(part) for part in f.hvp(x, a, 1.0, ONES)]), np.zeros(4))


@pytest.mark.parametrize("condition", ["i > k", "k < i", "k >= i", "2 * i <= k", "i != k", "n - i > k + 2"])
def test_an_index_guard_that_holds_somewhere_passes_the_derivative_on(condition: str) -> None:
    """A comparison of indices is asked at the ends of its axis: the answer is that of all points."""
    text = f"sum(sum(exp(1000 * x * (1 - b[k])) * a[i] for i in range(n) if {condition}) for k in range(n))"
    f = gradc.compile(text, {"x": "", "a": "n", "b": "n"}, jit=False, wrt="x")
    for n in (1, 2, 4):
        a = np.arange(1.0, n + 1)
        for only in range(n):
            b = np.ones(n)
            b[only] = 0.0                                       # the exponential of this point alone overflows
            some = any(eval(condition, {"i": i, "k": only, "n": n}) for i in range(n))
            assert f.grad(1.0, a, b) == (math.inf if some else 0.0)


def test_a_factor_that_is_always_finite_still_leaves_a_guarded_sum() -> None:
    f = gradc.compile("sum(sin(x) * a[i] for i in range(n) if a[i] > 0)", {"x": "", "a": "n"}, jit=False)
    assert "return s1 * sin(x)" in f.source or "return sin(x) * s1" in f.source


def test_a_sum_keeps_a_logarithm_that_its_guard_protects_in_compiled_code() -> None:
    f = gradc.compile("sum(log(x) * a[i] for i in range(n) if a[i] < x)", {"x": "", "a": "n"})
    assert f(-1.0, ONES) == 0.0
    assert f.value_and_grad(-1.0, ONES)[1].x == 0.0


def test_branches_that_share_a_value_add_up() -> None:
    text = "q = sqrt(x); (q if y > 0 else 0) + (q * 2 if z > 0 else 0)"
    assert gradient(text, 4.0, 1.0, 1.0)[0] == pytest.approx(0.75)
    assert gradient(text, 4.0, 1.0, -1.0)[0] == pytest.approx(0.25)
    assert gradient(text, 4.0, -1.0, 1.0)[0] == pytest.approx(0.5)
    assert gradient(text, 0.0, -1.0, -1.0)[0] == 0.0


def test_a_guarded_read_is_made_only_in_its_branch() -> None:
    f = gradc.compile("sum(x[i] * (x[i - 1] if i > 0 else 0) for i in range(n))", {"x": "n"}, jit=False)
    assert f([2.0]) == 0.0
    assert f.grad([2.0]).tolist() == [0.0]
    assert f.grad([2.0, 3.0]).tolist() == [3.0, 2.0]


def test_nan_that_is_not_used_does_not_reach_the_gradient() -> None:
    values = np.array([np.nan, 4.0])
    assert gradient("sum(sqrt(x[i]) for i in range(n) if i > 0)", values, args={"x": "n"}) == [0.0, 0.25]


def test_nan_that_is_used_reaches_maxima_and_minima() -> None:
    for name in ("max", "min"):
        f = gradc.compile(f"{name}(x)", {"x": "n"}, jit=False)
        assert math.isnan(f([1.0, np.nan, 2.0]))
        assert math.isnan(gradc.compile(f"{name}(x, y)", jit=False)(np.nan, 1.0))


# -- second derivatives -------------------------------------------------------------------------

SECOND = [
    ("abs(x)**3", 0.0, 0.0), ("max(x, 0)**3", 0.0, 0.0), ("sqrt(1 + x**2)", 0.0, 1.0), ("hypot(x, 1)", 0.0, 1.0),
    ("log(1 + exp(x))", 1000.0, 0.0), ("log(1 + exp(x))", 0.0, 0.25), ("sigmoid(x)", -1000.0, 0.0),
    ("log(cosh(x))", 0.0, 1.0), ("log(cosh(x))", 800.0, 0.0), ("sinc(x)", 0.0, -math.pi**2 / 3),
    ("tanh(x)", 500.0, 0.0), ("x**3", 0.0, 0.0), ("x * log(x)", 1.0, 1.0), ("atan2(x, 1)", 0.0, 0.0),
    ("where(x > 0, x**2 * sqrt(x), 0)", 0.0, 0.0), ("exp(-1 / x**2) if x != 0 else 0", 0.0, 0.0),
    ("x**2 * log(x**2) if x != 0 else 0", 0.0, 0.0), ("sqrt(x**2)**3", 0.0, 0.0), ("erf(x)", 0.0, 0.0),
]


@pytest.mark.parametrize(("formula", "point", "wanted"), SECOND)
def test_second_derivatives_are_finite_where_the_limit_is(formula: str, point: float, wanted: float) -> None:
    f = gradc.compile(formula, jit=False)
    assert f.grad.grad(point) == pytest.approx(wanted, rel=1e-12, abs=1e-300)


def test_the_hessian_of_a_norm_is_finite_at_zero() -> None:
    f = gradc.compile("sqrt(sum(x**2))", {"x": "n"}, jit=False)
    _, saved = f.grad.forward(np.zeros(2))
    assert f.grad.backward(saved, np.ones(2)).tolist() == [0.0, 0.0]


# -- kinks="raise" ------------------------------------------------------------------------------

RAISES = [
    ("abs(x)", None, (0.0,), r"abs\(x\) stands on a kink"),
    ("max(x, y)", None, (1.0, 1.0), r"max\(x, y\) stands on a kink"),
    ("max(x, 0)", None, (0.0,), r"max\(x, 0\) stands on a kink"),
    ("relu(x)", None, (0.0,), "stands on a kink"),
    ("clip(x, 0, 1)", None, (1.0,), "stands on a kink"),
    ("sqrt(sum(x**2))", {"x": "n"}, (ZEROS,), r"sqrt\(sum\(x\*\*2\)\) stands on a kink"),
    ("hypot(x, y)", None, (0.0, 0.0), "stands on a kink"),
    ("atan2(x, y)", None, (0.0, 0.0), "stands on a kink"),
    ("floor(x) * x", None, (1.0,), "stands on a kink"),
    ("max(x)", {"x": "n"}, (ONES,), r"max\(x\) has a tie"),
    (lambda x: np.sum(np.sort(x)[::-1] * [1.0, 2.0, 3.0]), {"x": "3"}, (np.array([2.0, 1.0, 2.0]),),
     "an array that is sorted has a tie"),
    (lambda x: np.median(np.exp(x), axis=1)[0], {"x": "n m"}, (np.array([[2.0, 1.0, 2.0]]),), "sorted has a tie"),
    (lambda x: np.quantile(x, 0.4), {"x": "n"}, (np.array([2.0, 1.0, 2.0]),), "sorted has a tie"),
    (lambda x: np.sum(np.minimum.accumulate(x)), {"x": "n"}, (np.array([2.0, 1.0, 1.0]),), "a running minimum has a tie"),
    ("sum(abs(A[i, j]) for i in range(n) for j in range(n))", {"A": "n n"}, (np.eye(2),), "stands on a kink"),
    (sympy.Abs(X), None, (0.0,), "abs stands on a kink"),
]


@pytest.mark.parametrize(("expression", "args", "point", "message"), RAISES, ids=named)
def test_a_kink_is_refused_on_request(expression: Any, args: Any, point: Any, message: str) -> None:
    f = gradc.compile(expression, args, jit=False, kinks="raise")
    f(*point)                                               # the value itself has no kink
    for derivative in (f.grad, f.value_and_grad):
        with pytest.raises(DomainError, match=message) as caught:
            derivative(*point)
        assert 'compile without kinks="raise"' in str(caught.value)
    _, saved = f.forward(*point)
    with pytest.raises(DomainError, match=message):
        f.backward(saved)


def test_compiled_code_refuses_kinks_too() -> None:
    f = gradc.compile("sum(abs(x[i]) for i in range(n) if i != 1)", {"x": "n"}, kinks="raise")
    assert f.grad(np.array([1.0, 0.0, -2.0])).tolist() == [1.0, 0.0, -1.0]
    with pytest.raises(DomainError, match="stands on a kink"):
        f.grad(np.array([0.0, 1.0, 1.0]))


def test_a_tie_away_from_the_median_is_no_kink() -> None:
    f = gradc.compile(lambda x: np.median(x), {"x": "n"}, jit=False, kinks="raise")
    assert f.grad([1.0, 1.0, 2.0, 4.0, 4.0]).tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    g = gradc.compile(lambda x, i: np.sum(x[i[np.argsort([2.0, 2.0])]]), {"x": "n", "i": "int n"}, kinks="raise")
    assert g.grad([1.0, 1.0], [0, 1]).tolist() == [1.0, 1.0]


def test_a_kink_in_an_untaken_branch_is_none() -> None:
    f = gradc.compile("abs(x) if x != 0 else x**2", jit=False, kinks="raise")
    assert f.grad(0.0) == 0.0
    g = gradc.compile("sum(abs(x[i]) for i in range(n) if i != 1)", {"x": "n"}, jit=False, kinks="raise")
    assert g.grad([1.0, 0.0, 2.0]).tolist() == [1.0, 0.0, 1.0]


def test_there_are_two_policies() -> None:
    with pytest.raises(FormulaError, match='kinks must be "subgradient" or "raise", not \'ignore\''):
        gradc.compile("abs(x)", kinks="ignore")


def test_the_header_states_the_policy() -> None:
    assert "abs'(0) = 0" in gradc.compile("abs(x)", jit=False).grad.source
    assert 'kinks="raise"' in gradc.compile("abs(x)", jit=False, kinks="raise").grad.source


def test_powers_and_entropies_have_their_limits_at_zero() -> None:
    for formula, value, slope in (
            ("x*sqrt(x)", 0.0, 0.0), ("sqrt(x)**3", 0.0, 0.0), ("x**2*sqrt(x)", 0.0, 0.0), ("x/sqrt(x)", 0.0, np.inf)):
        f = gradc.compile(formula, jit=False)
        assert (f(0.0), f.grad(0.0)) == (value, slope)
        assert f(4.0) == pytest.approx(evaluate(f.graph, {"x": 4.0})[0])
    f = gradc.compile("x*log(x/y)", jit=False)
    assert f(0.0, 2.0) == 0.0
    assert f.grad(0.0, 2.0) == (-np.inf, 0.0)
    assert f.grad(1e-300, 2.0).y == -5e-301


def test_a_tie_is_found_where_loops_over_other_axes_would_add_the_terms_in_another_order() -> None:
    f = gradc.compile("max(sum(a[j]**2 for j in range(1, n) for k in range(i) if k < j) for i in range(m))",
                      {"a": "n", "b": "m"}, wrt="a", jit=False)
    a = np.array([-1.44986382, -0.46019381, 0.74319726, -0.08247837])
    own = f.grad.source.partition("def grad_into")[2]
    assert own.count("+= a_j1 * a_j1") == own.count("* a_j1") == 1      # the sums are computed once, and compared
    assert f.grad(a, np.zeros(4)) == pytest.approx(2 * np.array([0.0, 1.0, 2.0, 3.0]) * a)
