"""What the accuracy table promises, on a sample: compounds in the generated text, and the command itself."""

from dataclasses import replace

import pytest

from gradc.ir.table import OPERATIONS

from .accuracy.__main__ import COMPOUND_BOUND, main
from .accuracy.points import points, points_in
from .accuracy.programs import COMPOUNDS, CONSTANT_OPERANDS, Program, functions, measure_program, of_operation

# Formulas whose names the operations' own tests do not cover: the generated text, run as plain Python.
ELEMENTARY = [op for op in OPERATIONS if of_operation(op) is not None and OPERATIONS[op].ulps == (4.0, 16.0)]


@pytest.mark.parametrize("program", COMPOUNDS, ids=lambda program: program.formula)
def test_compounds_keep_their_digits(program: Program) -> None:
    """Undivided: the condition number is no excuse here."""
    errors = measure_program(program, points_in(program.domain, 150), jit=False)
    assert all(error.count >= 150 for error in errors)
    assert max(error.raw for error in errors) <= COMPOUND_BOUND, errors
    assert errors[1].normalised <= program.bounds[0]
    assert errors[2].normalised <= program.bounds[1]


@pytest.mark.parametrize("program", CONSTANT_OPERANDS, ids=lambda program: program.formula)
def test_constant_exponents_and_orders_keep_the_bounds(program: Program) -> None:
    _, first, second = measure_program(program, points_in(program.domain, 60), jit=False)
    assert first.normalised <= program.bounds[0], first
    assert second.normalised <= program.bounds[1], second


@pytest.mark.parametrize("op", ELEMENTARY)
def test_generated_text_of_an_operation_keeps_the_bounds(op: str) -> None:
    program = of_operation(op)
    assert program is not None
    _, first, second = measure_program(program, points(op, 40, seed=3), jit=False)
    assert first.normalised <= 4.0, first
    assert second.normalised <= 16.0, second


def test_compiled_code_is_measured_too() -> None:
    program = of_operation("tanh")
    assert program is not None
    assert set(functions(program, jit=True)) == {"", "0", "00"}
    _, first, second = measure_program(program, points("tanh", 500), jit=True)
    assert first.normalised <= 4.0
    assert second.normalised <= 16.0


def test_the_command_prints_one_line_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--points", "20", "--plain", "tanh", "sinc_derivative", "log(cosh(x))"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:-1]] == ["sinc_derivative", "tanh(x)", "log(cosh(x))"]
    assert lines[-1].endswith("0 functions exceed their bound")


def test_the_command_prints_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--points", "20", "--plain", "--markdown", "tanh", "x + y"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "|---|---|---|---|---|"
    assert [line.split(" ")[1] for line in lines[2:]] == ["`tanh(x)`"]  # a sum is rounded once: no line


def test_the_command_fails_where_a_bound_is_exceeded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(
        OPERATIONS["tanh_slope"], partials=lambda o, y, x: [y * (1.0 - 2.0 / (1.0 + o.exp(-2.0 * x)))]
    )
    monkeypatch.setitem(OPERATIONS, "tanh_slope", wrong)
    assert main(["--points", "20", "--plain", "tanh"]) == 1
    assert "exceeds its bound at" in capsys.readouterr().out
