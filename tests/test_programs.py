"""Random whole programs: Python, the interpreter, the plain text and Numba agree; gradients hold 60 digits.

By default some hundreds of programs are tried, about forty of them compiled. A longer run, with new programs
each time: `GRADC_PROGRAMS=5000 pytest tests/test_programs.py`.
"""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st

import gradc
from gradc.compiler.function import Function
from gradc.ir.errors import DerivativeError, DomainError, GradcError
from gradc.ir.interpret import evaluate

from .comparison import agrees_twice, along, close, directions, same, slope
from .random_programs import SHAPES, EmptyReductionError, Programs, arguments, evaluated
from .test_jacobian import agrees as blocks_agree
from .test_products import agrees as products_agree

LONG = int(os.environ.get("GRADC_PROGRAMS", "0"))
CALM = {"deadline": None, "derandomize": not LONG, "database": None,
        "phases": (Phase.generate,), "suppress_health_check": list(HealthCheck)}
SIZES = [(3, 2), (2, 3), (4, 2), (3, 3), (1, 2), (2, 1)]
Program = tuple[random.Random, int, tuple[int, int]]        # a source of choices, a seed, two sizes
programs = st.tuples(st.randoms(use_true_random=False), st.integers(0, 10**6), st.sampled_from(SIZES))


def compiled(random: random.Random, depth: int) -> tuple[str, Function]:
    """A formula of some depth, which a failure shows, and its Function; what the compiler refuses is passed over."""
    text = Programs(random).formula(depth)
    note(text)
    try:
        f = gradc.compile(text, SHAPES, jit=False)
    except GradcError:                      # such as a read that is outside for every size
        assume(False)
        raise
    return text, f


def drawn(program: Program, depth: int) -> tuple[str, Function, dict[str, Any]]:
    """The same with arguments."""
    source, seed, sizes = program
    return *compiled(source, depth), arguments(seed, *sizes)


@given(programs, st.integers(2, 4))
@settings(max_examples=LONG or 250, **CALM)
def test_values_are_those_of_python_itself(program: Program, depth: int) -> None:
    text, f, values = drawn(program, depth)
    try:
        wanted = evaluated(text, values)
    except EmptyReductionError:
        with pytest.raises(DomainError):
            evaluate(f.graph, values)
        with pytest.raises(DomainError):
            f(**values)
        return
    assume(np.isfinite(wanted))
    close(evaluate(f.graph, values)[0], wanted)
    close(f(**values), wanted)


@given(programs, st.integers(2, 3))
@settings(max_examples=LONG or 200, **CALM)
def test_gradients_hold_against_many_digits(program: Program, depth: int) -> None:
    text, f, values = drawn(program, depth)
    try:
        assume(np.isfinite(evaluated(text, values)))
        gradient = f.grad(**values)
    except (EmptyReductionError, DerivativeError):              # no value; a whole number
        assume(False)
        raise
    direction = directions(f, values)
    wanted = slope(f.graph, values, direction)
    assume(not wanted.kink)
    close(along(f, gradient, direction), wanted.derivative, 1e-8)
    value, again = f.value_and_grad(**values)
    close(value, wanted.value)
    same(again, gradient)


@given(programs)
@settings(max_examples=LONG // 4 or 60, **CALM)
def test_second_derivatives_hold_against_many_digits(program: Program) -> None:
    text, f, values = drawn(program, 3)
    try:
        assume(np.isfinite(evaluated(text, values)))
        f.grad(**values)
    except (EmptyReductionError, DerivativeError):
        assume(False)
        raise
    direction = directions(f, values)
    weights = [np.random.default_rng(2).standard_normal(np.shape(values[name])) for name in f.wrt]
    assume(not slope(f.grad.graph, values, direction, weights).kink)
    agrees_twice(f, values, direction, 1e-8)


@given(programs, st.integers(2, 3))
@settings(max_examples=LONG // 4 or 50, **CALM)
def test_jacobians_hessians_and_their_products_agree(program: Program, depth: int) -> None:
    text, f, values = drawn(program, depth)
    try:
        assume(np.isfinite(evaluated(text, values)))
        assume(all(np.all(np.isfinite(part)) for part in f.grad(**values)))
        evaluate(f.prepared, values)
    except (EmptyReductionError, DerivativeError, DomainError):
        assume(False)
        raise
    products_agree(f, values, 1e-8)
    blocks_agree(f, values, 1e-8)


@pytest.mark.parametrize("number", range(LONG // 10 or 40))
def test_compiled_code_gives_what_the_plain_text_gives(number: int) -> None:
    """The compiled functions are fewer, since each costs Numba a second."""
    source = random.Random(number)
    values, text, plain = arguments(number, *source.choice(SIZES)), "", None
    while plain is None:
        text = Programs(source).formula(3)
        try:
            plain = gradc.compile(text, SHAPES, jit=False)
            plain = plain if np.isfinite(evaluated(text, values)) and plain.grad.source else None
        except (EmptyReductionError, GradcError):
            plain = None
    f = gradc.compile(text, SHAPES, cache=False)
    both = f.value_and_grad if number % 2 else f.grad
    wanted = plain.value_and_grad if number % 2 else plain.grad
    same(both(**values), wanted(**values), 1e-10)


@given(st.randoms(use_true_random=False))
@settings(max_examples=LONG or 40, **CALM)
def test_a_program_compiled_twice_gives_the_same_text(source: random.Random) -> None:
    text, f = compiled(source, 3)
    again = gradc.compile(text, SHAPES, jit=False)
    assert f.source == again.source
    assert str(f.graph) == str(again.graph)
    try:
        assert f.value_and_grad.source == again.value_and_grad.source
    except DerivativeError:
        assume(False)


SMOOTH = [
    ("sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", {"x": "n"}),
    ("logsumexp(sin(x[i]) * x[j] for i in range(n) for j in range(n) if i != j)", {"x": "n"}),
    ("prod(1 + x[i]**2 / (1 + exp(-x[i])) for i in range(n))", {"x": "n"}),
    ("q = tanh(x @ x); sum(exp(q * x) for i in range(3)) @ x", {"x": "n"}),
]


@pytest.mark.parametrize(("formula", "args"), SMOOTH)
def test_the_taylor_remainder_falls_as_the_square_of_the_step(formula: str, args: dict[str, str]) -> None:
    f = gradc.compile(formula, args, jit=False)
    point = np.array([0.3, -0.8, 1.1, 0.5])
    direction = np.array([1.0, 0.5, -0.7, 0.2])
    value, gradient = f.value_and_grad(point)
    steps = [1e-2, 1e-3, 1e-4]
    remainders = [abs(f(point + h * direction) - value - h * (gradient @ direction)) for h in steps]
    rates = np.diff(np.log(remainders)) / np.diff(np.log(steps))
    assert remainders[-1] > 1e-10                               # far above rounding: the rate means something
    assert np.all(np.abs(rates - 2.0) < 0.1), rates


def test_the_judge_refuses_a_wrong_gradient() -> None:
    f = gradc.compile("sum(sin(x[i]) * x[0] for i in range(n))", {"x": "n"}, jit=False)
    point = {"x": np.array([0.3, 1.2])}
    direction = directions(f, point)
    wanted = slope(f.graph, point, direction)
    right = f.grad(point["x"])
    close(along(f, right, direction), wanted.derivative)
    with pytest.raises(AssertionError, match="is not"):
        close(along(f, right * (1.0 + 1e-7), direction), wanted.derivative)
    with pytest.raises(AssertionError, match="nothing can be compared"):
        close(np.nan, np.nan)


def test_the_judge_sees_kinks() -> None:
    f = gradc.compile("abs(x)", jit=False)
    assert slope(f.graph, {"x": 0.0}, {"x": 1.0}).kink
    assert not slope(f.graph, {"x": 0.1}, {"x": 1.0}).kink


def test_the_judge_tells_a_maximum_of_two_from_one_of_three() -> None:
    f = gradc.compile("max(x, y) + max(x, y, z)", jit=False)
    assert slope(f.graph, {"x": 1.0, "y": 2.0, "z": 3.0}, {"z": 1.0}) == (5.0, 1.0, False)
