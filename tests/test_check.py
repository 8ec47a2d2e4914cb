"""The public checker: right gradients pass, damaged ones are found and named, and special points are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc
from gradc.compiler.function import Function

RANDOM = np.random.default_rng(3)
WEIGHTS = RANDOM.standard_normal((3, 4))


def verdicts(report: Any, order: int = 1) -> set[str]:
    return {row.verdict for row in report.rows if row.order == order}


def damaged() -> Function:
    """The sum of sines, whose gradient is twice what it should be at x[2]."""
    f: Function = gradc.compile(lambda x: np.sum(np.sin(x)), {"x": "n"}, jit=False)
    f.__dict__["grad"] = gradc.compile(
        lambda x: np.where(np.arange(x.shape[0]) == 2, 2 * np.cos(x), np.cos(x)), {"x": "n"}, jit=False)
    return f


# -- what is right ------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "args"), [
    ("x * exp(-x**2 / y)", (1.0, 2.0)),
    (lambda x, W: np.tanh(W @ x) ** 2, (np.array([1.0, -2.0, 0.3]), RANDOM.standard_normal((20, 3)))),
    (lambda x: (np.exp(x), np.sum(x * x), np.argmax(x)), (RANDOM.standard_normal(4),)),
    (lambda x: np.linalg.norm(x) + np.max(x), ([1.0, 3.0, -2.0],)),
    (lambda x: np.sum(x) * x[:0], (np.ones(2),)),
], ids=["formula", "vector", "several outputs", "list", "empty"])
def test_right_gradients_pass_to_the_third_order(f: Any, args: tuple[Any, ...]) -> None:
    report = gradc.check_gradients(f, *args, order=3)
    assert report.ok
    assert verdicts(report) | verdicts(report, 2) | verdicts(report, 3) <= {"right", "small"}
    assert {row.order for row in report.rows} == {1, 2, 3}


def test_a_compiled_function_is_checked_as_it_is_and_arguments_may_come_by_name() -> None:
    f = gradc.compile("sum(exp(x[i] * y) for i in range(n))", {"x": "n", "y": ""}, wrt="x")
    report = gradc.check_gradients(f, y=0.5, x=np.array([1.0, 2.0]), order=1)
    assert {row.argument for row in report.rows} == {"x"}
    assert [row.place for row in report.rows] == ["a direction", "[0]", "[1]"]


def test_whole_numbers_are_never_moved() -> None:
    report = gradc.check_gradients(lambda x, i: x[i] ** 2, RANDOM.standard_normal(4), np.array([0, 2, 2]))
    assert {row.argument for row in report.rows} == {"x"}


def test_float32_is_checked_with_coarser_steps() -> None:
    x, W = RANDOM.standard_normal((5, 4)).astype(np.float32), RANDOM.standard_normal((4, 3)).astype(np.float32)
    report = gradc.check_gradients(lambda x, W: np.tanh(x @ W), x, W)
    assert verdicts(report) | verdicts(report, 2) == {"right"}
    assert all(row.allowed > 1e-6 for row in report.rows)


def test_the_rate_is_that_of_central_differences() -> None:
    (right,) = gradc.check_gradients("exp(x)", 0.5, order=1).rows
    assert right.rate == pytest.approx(2.0, abs=0.01)
    (linear,) = gradc.check_gradients("3 * x", 0.5, order=1).rows
    assert linear.rate is None


def test_scales_far_from_one_are_no_obstacle() -> None:
    for formula, at in (("log(x)", 1e-9), ("sin(10000 * x)", 0.01), ("x**2", 1e8), ("1e-20 * exp(x)", 1.0),
                        ("sin(x) - x", 0.0), ("1 / x", 1e-5)):
        assert gradc.check_gradients(formula, at).ok


def test_a_slope_that_rounding_hides_is_called_small() -> None:
    (row,) = gradc.check_gradients("1e15 + x", 1.0, order=1).rows
    assert row.verdict == "small"


def test_jax_spelling() -> None:
    assert gradc.check_grads(lambda x: np.sum(np.cos(x)), (np.ones(3),), 2, modes=("rev",), atol=1e-6, rtol=1e-6, eps=1e-2).ok


def test_both_modes_are_checked() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.tanh(x) * y

    report = gradc.check_gradients(f, np.ones(3), 2.0, modes=("fwd", "rev"))
    assert {row.mode for row in report.rows} == {"fwd", "rev"}
    right = gradc.operation(lambda x: x * x, vjp=lambda x, c: 2 * c * x, jvp=lambda x, d: 3 * x * d)
    wrong = gradc.compile(lambda x: np.sum(right(x)), {"x": "n"}, jit=False)
    assert gradc.check_gradients(wrong, np.ones(2), modes="rev").ok
    with pytest.raises(gradc.GradientError, match=r"is 3, and differences say 2 .* \(partials, jvp\), then f.jvp.source"):
        gradc.check_grads(wrong, (np.ones(1),), 1)


# -- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 300])
def test_a_wrong_element_is_found_and_named(size: int) -> None:
    x = np.linspace(0.1, 1.0, size)
    with pytest.raises(gradc.GradientError) as caught:
        gradc.check_gradients(damaged(), x)
    message = str(caught.value)
    assert f"the gradient by x[2] is {2 * np.cos(x[2]):.10g}, and differences say {np.cos(x[2]):.9g}" in message
    assert "it falls with the power 0.0 of the step" in message
    assert "look first at rules of your own (partials, vjp), then the lines of d_x in f.grad.source" in message
    assert "wrong: the gradient is not the slope of the function" in message
    assert isinstance(caught.value, AssertionError)


def test_the_report_of_a_failure_can_be_had_instead() -> None:
    report = gradc.check_gradients(damaged(), np.ones(3), order=1, raises=False)
    assert not report.ok
    assert [row.verdict for row in report.rows if row.place in ("[0]", "[1]", "[2]")] == ["right", "right", "wrong"]
    assert report.worst is not None and report.worst.place == "[2]"
    assert str(report).splitlines()[0].split() == ["argument", "order", "checked", "worst", "at", "analytic", "numeric",
                                                   "error", "rate", "verdict"]


def test_a_wrong_second_order_is_found() -> None:
    f = gradc.compile("sum(exp(x[i]) for i in range(n))", {"x": "n"}, jit=False)
    other = gradc.compile("sum(exp(x[i]) + x[i]**2 for i in range(n))", {"x": "n"}, jit=False)
    f.grad.__dict__["_gate"] = other.grad._gate
    assert gradc.check_gradients(f, [0.5, 1.0], order=1).ok
    with pytest.raises(gradc.GradientError, match=r"the derivative of order 2 by x\[\d\] is .*"
                                                  "the orders below are right, so it is a derivative of partial"):
        gradc.check_gradients(f, [0.5, 1.0])


# -- special points -----------------------------------------------------------------------------


def test_a_kink_passes_between_the_slopes_of_its_sides() -> None:
    report = gradc.check_gradients(lambda x: np.sum(np.maximum(x, 0)), np.array([1.0, 0.0, -2.0]))
    found = {row.place: row.verdict for row in report.rows if row.order == 1}
    assert (found["[0]"], found["[1]"], found["[2]"]) == ("right", "kink", "right")
    assert "jump" in verdicts(report, 2)                        # the gradient jumps there
    assert "kink: the slopes on the two sides differ, and the gradient lies between them" in str(report)
    assert "jump: the function is not continuous here" in str(report)


def test_a_gradient_outside_the_slopes_of_a_kink_is_wrong() -> None:
    f = gradc.compile("abs(x)", jit=False)
    f.__dict__["grad"] = gradc.compile("1.5 + 0*x", jit=False)
    assert verdicts(gradc.check_gradients(f, 0.0, order=1, raises=False)) == {"wrong"}


def test_a_kink_near_the_point_does_not_disturb() -> None:
    assert verdicts(gradc.check_gradients("abs(x - 1e-6)", 0.0, order=1)) == {"right"}


def test_the_edge_of_the_domain_is_checked_from_inside() -> None:
    assert verdicts(gradc.check_gradients("x**3.5", 0.0, order=1)) == {"right"}


def test_a_gradient_that_is_not_finite_is_refused() -> None:
    with pytest.raises(gradc.GradientError, match="the gradient by x is inf, where the function has a value: "
                                                  "f.explain.* shows the local partial"):
        gradc.check_gradients("sqrt(x) * y", 0.0, 2.0)


def test_a_point_without_a_value_is_refused() -> None:
    with pytest.raises(gradc.GradientError, match="the function is nan at these arguments, so there is no gradient"):
        gradc.check_gradients("log(x)", -1.0)
    report = gradc.check_gradients("log(x)", -1.0, raises=False)
    assert verdicts(report) == {"no value"}
    assert not verdicts(report, 2)


def test_what_differences_cannot_confirm_is_not_passed() -> None:
    with pytest.raises(gradc.GradientError, match="differences say .* but these are too inexact to be sure .* choose "
                                                  "other arguments, another first step eps, or larger rtol and atol"):
        gradc.check_gradients("x**1.5", 0.0, order=1)


def test_misuse_is_refused() -> None:
    with pytest.raises(gradc.ArgumentError, match="order is 0: give a whole number from 1"):
        gradc.check_gradients("x", 1.0, order=0)
    with pytest.raises(gradc.ArgumentError, match=r"the mode 'both' is none: modes are .fwd. and .rev., or leave mod"):
        gradc.check_gradients("x", 1.0, modes="both")
    with pytest.raises(gradc.DerivativeError, match="there is nothing to check: the function needs a real argument"):
        gradc.check_gradients(lambda x: np.argmax(x), np.ones(3))
