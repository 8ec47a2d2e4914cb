"""Operations that are called and not traced: loops until convergence, with a derivative by the user's vjp."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import gradc
from gradc.compiler.external import parsed
from gradc.ir.interpret import evaluate

from .comparison import close

TOLERANCE = 1e-14
OFFSET = np.arange(3.0)


@numba.njit
def step(A: Any, x: Any, b: Any) -> Any:
    return x + (b - A @ x) / np.max(np.abs(A).sum(axis=1))


def iterated(A: Any, b: Any) -> Any:
    """The solution of A x = b by Richardson's iteration."""
    x = np.zeros_like(b)
    for _ in range(10000):
        y = step(A, x, b)
        if np.max(np.abs(y - x)) < TOLERANCE:
            return y
        x = y
    return x


plainly = gradc.operation(iterated, signature="(n,n),(n)->(n)")
solved = gradc.operation(numba.njit(iterated), signature="(n, n), (n) -> (n)",
                         vjp=lambda A, b, c: (-np.outer(plainly(A.T, c), plainly(A, b)), plainly(A.T, c)))


@gradc.operation(signature="(n),()->()", vjp=lambda x, t, c: (c * np.where(x > t, x, 0.0), None))
def above(x: Any, t: float) -> Any:
    """Half the squares of what is above t; a Python branch on each element."""
    total = 0.0
    for value in x:
        if value > t:
            total += value * value / 2
    return total + math.pi * 0.0


@gradc.operation(signature="(n)->(),(2)")
def ends(x: Any) -> Any:
    found = np.empty(2)
    found[0], found[1] = x[0], x[-1]
    return len(x) * 1.0, found


A, b = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([1.0, 2.0])


@pytest.mark.parametrize("jit", [False, True])
def test_a_solver_with_a_vjp_has_the_derivative_of_what_it_solves(jit: bool) -> None:
    f = gradc.compile(lambda A, b: np.sum(solved(A, b) ** 2), {"A": "n n", "b": "n"}, jit=jit)
    wanted = gradc.compile(lambda A, b: np.sum(np.linalg.solve(A, b) ** 2), {"A": "n n", "b": "n"}, jit=False)
    close(f(A, b), wanted(A, b))
    for found, right in zip(f.grad(A, b), wanted.grad(A, b), strict=True):
        close(found, right)
    close(evaluate(f.graph, {"A": A, "b": b})[0], wanted(A, b))
    assert gradc.check_gradients(f, A, b, order=1).ok
    close(pickle.loads(pickle.dumps(f))(A, b), f(A, b))
    assert "def iterated(A, b):" in f.source
    assert "1e-14" in f.source


@pytest.mark.parametrize("jit", [False, True])
def test_numbers_come_and_go_and_several_results_have_no_derivative(jit: bool) -> None:
    f = gradc.compile(lambda x, t: 2 * above(x, t), {"x": "n", "t": ""}, jit=jit)
    close(f(b, 1.5), 4.0)
    close(f.grad(b, 1.5).x, [0.0, 4.0])
    both = gradc.compile(lambda x: np.sum(ends(x)[1]) + ends(x)[0], {"x": "n"}, jit=jit)
    close(both(b), 5.0)
    with pytest.raises(gradc.DerivativeError, match="has no derivative: give the operation that calls it a vjp="):
        both.grad(b)


def test_the_operation_itself_is_the_function() -> None:
    close(solved(A, b), np.linalg.solve(A, b))
    assert solved.check(A, b) < 1e-6
    with pytest.raises(gradc.DerivativeError, match="has no vjp to check"):
        plainly.check(A, b)


@pytest.mark.parametrize(("text", "message"), [
    ("n,n->n", "is none"), ("(n)->(n)", "has 1 arguments, f has 2"), ("(n),(m)->(k)", "a result of size k")])
def test_a_signature_that_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(gradc.FormulaError, match=message):
        parsed(text, "f", ("a", "b"))


def test_what_cannot_become_part_of_a_module_is_refused() -> None:
    def uses(x: Any) -> Any:
        return x + OFFSET

    def starred(*x: Any) -> Any:
        return x

    with pytest.raises(gradc.UnsupportedError, match="uses uses OFFSET, which is of type ndarray"):
        gradc.operation(uses, signature="(n)->(n)")
    def named(x: Any, *, k: float) -> Any:
        return x * k

    with pytest.raises(gradc.UnsupportedError, match="named has arguments by name only"):
        gradc.operation(named, signature="(n),()->(n)")
    with pytest.raises(gradc.UnsupportedError, match=r"takes \*x"):
        gradc.operation(starred, signature="(n)->(n)")
    space: dict[str, Any] = {}
    exec("def unseen(x):\n    return x", space)
    with pytest.raises(gradc.UnsupportedError, match="the text of unseen is not found"):
        gradc.operation(space["unseen"], signature="(n)->(n)")
    with pytest.raises(gradc.FormulaError, match="gives several results, and has a vjp"):
        gradc.operation(iterated, signature="(n,n),(n)->(n),(n)", vjp=lambda A, b, c: (None, c))


def test_shapes_that_do_not_fit_a_signature_are_refused() -> None:
    with pytest.raises(gradc.ShapeError, match="takes b of 1 dimensions, and 2 are given"):
        gradc.compile(lambda A: np.sum(solved(A, A)), {"A": "n n"})
    with pytest.raises(gradc.ShapeError, match="with a dimension of 2, and 3 is given"):
        gradc.compile(lambda A, b: np.sum(solved(A, b)), {"A": "2 2", "b": "3"})
    f = gradc.compile(lambda A, b: np.sum(solved(A, b)), {"A": "n n", "b": "m"}, jit=False)
    with pytest.raises(gradc.ShapeError):
        f(A, np.ones(3))
    with pytest.raises(gradc.UnsupportedError, match="has no vjp, and stands in a formula"):
        gradc.compile("sum(iterated(A, b))", {"A": "n n", "b": "n"}, operations=plainly)


@gradc.operation(signature="(n)->(n)", vjp=lambda x, c: c / x)
def strict_log(x: Any) -> Any:
    """A logarithm that refuses what is below 1."""
    found = np.empty_like(x)
    for i in range(len(x)):
        if x[i] < 1.0:
            raise ValueError("x must be at least 1")
        found[i] = np.log(x[i])
    return found


def test_a_saved_operation_is_checked_inside_its_domain(tmp_path: Path) -> None:
    f = gradc.compile(lambda x: np.sum(strict_log(x) ** 2), {"x": "n"}, jit=False)
    with pytest.raises(gradc.DomainError, match="x must be at least 1"):
        f([0.5])
    with pytest.raises(gradc.DomainError, match=r"strict_log\w*: x must be at least 1"):
        evaluate(f.graph, {"x": np.array([0.5])})
    f.grad.save(tmp_path / "strict.py")
    assert "rng.uniform(1.1, 3.0" in (tmp_path / "strict.py").read_text()
    assert subprocess.run([sys.executable, tmp_path / "strict.py"], capture_output=True, check=True, text=True).stdout == "ok\n"
