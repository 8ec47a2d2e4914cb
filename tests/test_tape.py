"""Graphs of tens of thousands of operations run from a table of them: the same values as the text, at once."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen import tape
from gradc.compiler.function import Function
from gradc.ir.errors import DomainError, ShapeError

UNARY = ("sin({})", "cos({})", "exp(-abs({}))", "tanh({})", "sqrt(abs({}) + 1)", "log(abs({}) + 1)", "-{}", "{}**3",
         "sigmoid({})", "atan({})", "abs({})", "erf({})", "log1p(abs({}))", "{}**0.5 if {} > 1 else 2.5")
BINARY = ("{} + {}", "{} - {}", "{} * {}", "{} / (abs({}) + 1)", "max({}, {}, 0.25)", "min({}, {})", "hypot({}, {})",
          "({} if {} > 0.1 else 0.3)", "max({}, {}, 0.5, sin(x), cos(y))", "atan2({}, abs({}) + 1)",
          "(1.5 if {} > 0 and not {} > 1 else -0.5)")


def program(statements: int, seed: int) -> str:
    """A formula of so many statements, each on two of the values before it."""
    draw = random.Random(seed)
    names, lines = ["x", "y", "z"], []
    for k in range(statements):
        form = draw.choice(UNARY if draw.random() < 0.5 else BINARY)
        one, other = draw.choice(names[-6:]), draw.choice(names)
        lines.append(f"t{k} = {form.format(*([one, other] if form in BINARY else [one] * form.count('{}')))}")
        names.append(f"t{k}")
    return "\n".join([*lines, f"sin({' + '.join(names[-4:])})"])


def run(function: Function, *values: Any) -> tuple[Any, ...]:
    """What the tape of a function gives, however short it is."""
    found = tape.recorded(function.prepared, function.groups, least=1)
    assert found is not None
    result = found.bound(cache=True)(*values)
    return result if isinstance(result, tuple) else (result,)


def flat(result: Any) -> list[float]:
    return [number for part in result for number in flat(part)] if isinstance(result, tuple) else [float(result)]


@pytest.mark.parametrize("seed", range(6))
def test_a_tape_gives_the_bits_of_the_text(seed: int) -> None:
    f = gradc.compile(program(120, seed), ("x", "y", "z"), jit=False)
    for point in ((0.3, -1.2, 2.0), (0.0, 1.5, -0.7)):
        assert run(f, *point) == (f(*point),)
        wanted = flat(f.value_and_grad(*point))
        assert np.all(np.isfinite(wanted))
        np.testing.assert_allclose(run(f.value_and_grad, *point), wanted, rtol=1e-13, atol=1e-300)


def test_a_value_that_is_no_longer_needed_leaves_its_place() -> None:
    f = gradc.compile(program(400, 3), ("x", "y", "z"), jit=False)
    found = tape.recorded(f.prepared, f.groups, least=1)
    assert found is not None
    assert len(found.start) < len(found.table)


def test_elements_of_arrays_are_read_and_written() -> None:
    def f(x: Any, w: Any) -> Any:
        return x[0] * w[1, 2] + np.sin(x[3] * x[0]) * w[0, 0]

    g = gradc.compile(f, {"x": "4", "w": "2 3"}, jit=False).value_and_grad
    found = tape.recorded(g.prepared, g.groups, least=1)
    assert found is not None
    x, w = np.arange(1.0, 5.0), np.arange(6.0).reshape(2, 3)
    arrays = [np.full(4, 9.0), np.full((2, 3), 9.0)]
    value = found.bound(cache=True)(x, w, *arrays)
    wanted = g(x, w)
    assert value == wanted[0]
    for array, gradient in zip(arrays, wanted[1], strict=True):
        np.testing.assert_allclose(array, gradient, rtol=1e-15)


@pytest.mark.parametrize(("text", "args"), [
    ("sum(x[i] for i in range(n))", {"x": "n"}), ("x[k] * 2.0", {"x": "3", "k": "int"}),
    ("x * y", {"x": "float32", "y": ""}), ("x[0] + x[1]", {"x": "n"}), ("a @ b", {"a": "3 n", "b": "n"}),
])
def test_what_is_no_straight_line_of_real_numbers_has_no_tape(text: str, args: Any) -> None:
    f = gradc.compile(text, args, jit=False)
    assert tape.recorded(f.prepared, f.groups, least=1) is None


def test_what_a_tape_is_for_is_ten_thousand_operations_and_more() -> None:
    assert 10_000 < tape.LEAST < 50_000


def test_a_short_function_has_no_tape() -> None:
    f = gradc.compile("sin(x) * y")
    assert f.tape is None
    assert f.value_and_grad.tape is None


def by_hand(x: Any, y: Any) -> Any:
    for k in range(200):
        x, y = np.sin(x + y) * 0.9 + 0.01 * (k % 7), y - 0.1 * x
    return x * y


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> Function:
    monkeypatch.setattr(tape, "LEAST", 500)
    return gradc.compile(by_hand, {"x": "", "y": ""})


def test_a_long_function_is_called_through_its_tape(long: Function) -> None:
    assert long.tape is not None
    assert long.value_and_grad.tape is not None
    value, gradient = long.value_and_grad(0.3, 0.4)
    assert value == long(0.3, 0.4) == pytest.approx(by_hand(0.3, 0.4), rel=1e-12)
    assert isinstance(value, float)
    assert type(gradient)._fields == ("x", "y")
    step = 1e-30
    assert gradient.x == pytest.approx(by_hand(0.3 + step * 1j, 0.4).imag / step, rel=1e-9)
    assert long.value_and_grad(y=0.4, x=0.3)[1] == gradient


def test_a_long_function_pickles_and_says_where_its_code_came_from(long: Function) -> None:
    again = pickle.loads(pickle.dumps(long))
    assert again(0.3, 0.4) == long(0.3, 0.4)
    assert long.build() in {"hit", "miss"}
    assert "tape" in long.seconds


def test_the_report_says_that_calls_go_through_a_tape(long: Function) -> None:
    assert long.tape is not None
    report = gradc.report(long)
    assert report["value"].tape == len(long.tape.table)
    assert f"a table of {len(long.tape.table)} operations" in str(report)


def test_arguments_of_a_long_function_are_checked(long: Function) -> None:
    with pytest.raises(gradc.GradcError, match="x"):
        long(np.ones(3), 0.4)
    with pytest.raises(gradc.GradcError, match="y"):
        long(0.3)
    with pytest.raises(gradc.GradcError, match="the result has no array"):
        long(0.3, 0.4, out=np.empty(2))


def test_kinks_are_refused_by_a_tape_as_by_the_text() -> None:
    f = gradc.compile("abs(x - 1) * y", kinks="raise", jit=False)
    assert run(f.grad, 2.0, 3.0) == (3.0, 1.0)
    with pytest.raises(FloatingPointError, match="kink"):
        run(f.grad, 1.0, 3.0)
    with pytest.raises(DomainError, match="kink"):
        f.grad(1.0, 3.0)


def test_a_long_function_of_arrays_takes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "LEAST", 1)

    def f(x: Any) -> Any:
        return x[0] * np.exp(x[1]) + x[2] * x[0]

    g = gradc.compile(f, {"x": "3"}).value_and_grad
    assert g.tape is not None
    x, out = np.array([0.5, 0.25, 2.0]), np.empty(3)
    value, gradient = g(x, out=out)
    assert gradient is out
    assert value == 0.5 * np.exp(0.25) + 1.0
    np.testing.assert_allclose(out, [np.exp(0.25) + 2.0, 0.5 * np.exp(0.25), 0.5], rtol=1e-15)
    with pytest.raises(ShapeError):
        g(np.ones(4))
