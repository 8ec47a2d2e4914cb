"""Derivatives that the user decides: `stop_gradient`, and operations with partial derivatives of their own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradc


def test_stop_gradient_is_a_constant_for_first_and_second_derivatives() -> None:
    f = gradc.compile("x**2 * stop_gradient(x**3)", jit=False)
    assert f(2.0) == 32.0
    assert f.grad(2.0) == 2 * 2.0 * 8.0
    assert f.grad.grad(2.0) == 2 * 8.0
    assert "stop_gradient(" not in f.grad.source.partition('"""')[2].partition('"""')[2]


def test_stop_gradient_in_a_function_is_the_same_whatever_holds_it() -> None:
    holder = {"stop": gradc.stop_gradient}                      # neither a global nor a closed-over function

    @gradc.compile(args={"x": "n"}, jit=False)
    def f(x):  # type: ignore[no-untyped-def]
        kept = gradc.stop_gradient({"a": [x], "b": (x, 1)})
        return np.sum(x * kept["a"][0] + x * kept["b"][0] * holder["stop"](kept["b"][1]) + (x > gradc.stop_gradient(x > 1)))

    assert np.array_equal(f.grad([1.0, 2.0]), [2.0, 4.0])
    x = np.ones(2)
    assert gradc.stop_gradient(x) is x


def test_stable_forms_do_not_look_through_stop_gradient() -> None:
    f = gradc.compile("log(exp(x) + exp(y)) - stop_gradient(log(exp(x)))", jit=False)
    assert f.grad(1.0, 2.0) == pytest.approx((1 / (1 + np.e), np.e / (1 + np.e)))


def test_a_saved_file_checks_itself_against_known_values_where_differences_cannot_confirm(tmp_path: Path) -> None:
    f = gradc.compile("x * stop_gradient(x * y)", jit=False)
    for function in (f, f.grad):
        function.save(tmp_path / "own.py")
        run = subprocess.run([sys.executable, tmp_path / "own.py"], capture_output=True, text=True, check=False)
        assert run.stdout == "ok\n", run.stderr
    assert pickle.loads(pickle.dumps(f)).grad(2.0, 3.0) == f.grad(2.0, 3.0)
