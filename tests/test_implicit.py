"""Unknowns that equations determine: `gradc.root` and `gradc.fixed_point` with the derivatives of their solution."""

from __future__ import annotations

import pickle
import runpy
from pathlib import Path
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose

import gradc
from gradc.codegen import routines
from gradc.compiler.compiled import Options
from gradc.compiler.function import Function
from gradc.ir.errors import GraphError
from gradc.ir.implicit import Equations, defined, definition, equations
from gradc.ir.interpret import evaluate
from gradc.ir.routines import ROUTINES
from gradc.ir.text import from_text

RNG = np.random.default_rng(7)
A = 3.0 * np.eye(4) + 0.3 * RNG.standard_normal((4, 4))
B = RNG.standard_normal(4)


def compiled(function: Any, args: Any, **options: Any) -> Any:
    return gradc.compile(function, args, jit=False, **options)


def anomaly(M: Any, e: Any) -> Any:
    return gradc.root(lambda E: E - e * np.sin(E) - M, M)


def balanced(A: Any, b: Any) -> Any:
    x = gradc.root(lambda x, c: A @ x + c * x**3 - b, np.zeros_like(b), 0.3)
    return np.sum(np.sin(x))


def branch(y: Any, a: Any) -> Any:
    return gradc.root(lambda x: x**3 + x - a * y, 0.0)


KEPLER = compiled(anomaly, {"M": "", "e": ""})
ORBIT = compiled(lambda M, e: np.sum(anomaly(M, e) ** 2), {"M": "n", "e": ""})
CIRCLE = compiled(lambda a, b: np.prod(gradc.root(
    lambda x: np.array([x[0] ** 2 + x[1] ** 2 - a, x[0] - b * x[1]]), np.array([1.0, 1.0]))), {"a": "", "b": ""})
BALANCE = compiled(balanced, {"A": "n n", "b": "n"})
ROWS = compiled(lambda A, b: np.sum(gradc.root(lambda x: x @ A + x**3 - b, np.zeros_like(b)) ** 2),
                {"A": "n n", "b": "m n"})
MATRIX = compiled(lambda S: np.sum(np.cos(gradc.root(lambda X: X @ X - S, S))), {"S": "n n"})
COLUMNS = compiled(lambda a: np.sum(gradc.root(lambda x: x * np.sum(x, 0) - a, a) ** 3), {"a": "2 n"})
NESTED = compiled(lambda a: gradc.root(lambda y: y + branch(y, a) - 1.0, 0.5), {"a": ""})
CASES = {
    "one unknown": (KEPLER, (1.0, 0.5)),
    "one equation an element": (ORBIT, (np.linspace(0.1, 6.0, 5), 0.7)),
    "two unknowns": (CIRCLE, (5.0, 2.0)),
    "a vector of any size": (BALANCE, (A, B)),
    "a system for each row": (ROWS, (A, RNG.standard_normal((3, 4)))),
    "a matrix": (MATRIX, (A @ A.T,)),
    "a system for each column": (COLUMNS, (RNG.uniform(1.0, 2.0, (2, 3)),)),
    "equations in equations": (NESTED, (2.0,)),
}


# -- values and derivatives -------------------------------------------------------------------------


@pytest.mark.parametrize(("M", "e"), [(1.0, 0.5), (0.1, 0.9), (2.5, 0.0), (-1.0, 0.99), (0.01, 0.999)])
def test_keplers_equation_agrees_with_many_digits(M: float, e: float) -> None:
    def exact(M: Any, e: Any) -> Any:
        return mpmath.findroot(lambda E: E - e * mpmath.sin(E) - M, M + e * mpmath.sin(M))

    with mpmath.workdps(40):
        wanted = float(exact(mpmath.mpf(M), mpmath.mpf(e)))
        first = [float(mpmath.diff(exact, (M, e), n)) for n in ((1, 0), (0, 1))]
        second = [float(mpmath.diff(exact, (M, e), n)) for n in ((2, 0), (1, 1), (0, 2))]
    assert_allclose(KEPLER(M, e), wanted, rtol=1e-13)
    assert_allclose(KEPLER.grad(M, e), first, rtol=1e-11)
    hessian = KEPLER.hessian(M, e)
    assert_allclose([hessian.M.M, hessian.M.e, hessian.e.e], second, rtol=1e-10, atol=1e-13)


def test_a_square_root_is_a_fixed_point_of_its_mean() -> None:
    f = compiled(lambda a: gradc.fixed_point(lambda x: (x + a / x) / 2.0, 1.0), {"a": ""})
    assert_allclose([f(4.0), f.grad(4.0), f.grad.grad(4.0), f.grad.grad.grad(4.0)],
                    [2.0, 0.25, -1 / 32, 3 / 256], rtol=1e-12)


def test_a_fixed_point_need_not_attract() -> None:
    f = compiled(lambda a: gradc.fixed_point(lambda x: x**3 + a, 0.7), {"a": ""})
    assert_allclose(f(0.1), f(0.1) ** 3 + 0.1, rtol=1e-14)
    assert_allclose(f.grad(0.1), 1.0 / (1.0 - 3.0 * f(0.1) ** 2), rtol=1e-12)


def test_two_unknowns_agree_with_their_closed_form() -> None:
    closed = compiled("a * b / (1 + b**2)", None)
    assert_allclose(CIRCLE(5.0, 2.0), closed(5.0, 2.0), rtol=1e-14)
    assert_allclose(CIRCLE.grad(5.0, 2.0), closed.grad(5.0, 2.0), rtol=1e-13)
    assert_allclose(CIRCLE.hessian(5.0, 2.0).b.b, closed.hessian(5.0, 2.0).b.b, rtol=1e-12)


def test_linear_equations_agree_with_solve() -> None:
    f = compiled(lambda A, b: np.sum(gradc.root(lambda x: A @ x - b, b) ** 2), {"A": "n n", "b": "n"})
    g = compiled(lambda A, b: np.sum(np.linalg.solve(A, b) ** 2), {"A": "n n", "b": "n"})
    assert_allclose(f(A, B), g(A, B), rtol=1e-13)
    for found, wanted in zip(f.grad(A, B), g.grad(A, B), strict=True):
        assert_allclose(found, wanted, rtol=1e-12)
    assert_allclose(f.hvp(A, B, A + 1.0, B).A, g.hvp(A, B, A + 1.0, B).A, rtol=1e-11)


def test_the_root_of_a_matrix_is_the_one_of_its_squares() -> None:
    S = A @ A.T
    assert_allclose(MATRIX(S), np.sum(np.cos(scipy.linalg.sqrtm(S))), rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_both_modes_converge_at_the_rates_of_taylor(name: str) -> None:
    f, args = CASES[name]
    gradc.check_gradients(f, *args, order=2, modes=("fwd", "rev"))


@pytest.mark.parametrize("name", CASES)
def test_the_generated_text_agrees_with_the_interpreter(name: str) -> None:
    f, args = CASES[name]
    given = dict(zip(f.args, args, strict=True))
    assert_allclose(f(*args), evaluate(f.graph, given)[0], rtol=1e-13)
    found = f.grad(*args)
    for one, other in zip(found if isinstance(found, tuple) else [found], evaluate(f.grad.graph, given), strict=True):
        assert_allclose(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ["one equation an element", "a vector of any size", "a system for each row"])
def test_the_hessian_is_what_hvp_multiplies_with_and_symmetric(name: str) -> None:
    f, args = CASES[name]
    along = tuple(RNG.standard_normal(np.shape(x)) for x in args)
    product, hessian = f.hvp(*args, *along), f.hessian(*args)
    for row, wanted in zip(hessian, product, strict=True):
        total = sum(np.tensordot(block, v, np.ndim(v)) for block, v in zip(row, along, strict=True))
        assert_allclose(total, wanted, rtol=1e-9, atol=1e-10)
    for j, other in enumerate(hessian):
        assert np.array_equal(np.ravel(hessian[0][j]), np.ravel(np.moveaxis(
            other[0], range(np.ndim(args[j])), range(-np.ndim(args[j]), 0))))


def test_several_directions_at_once_are_those_one_by_one() -> None:
    v = RNG.standard_normal((4, 3))
    f = BALANCE.by("b")
    many = f.hvp.many(A, B, v)
    for k in range(3):
        assert_allclose(many[:, k], f.hvp(A, B, v[:, k].copy()), rtol=1e-11)
    orbit, args = CASES["one equation an element"]
    w = RNG.standard_normal((5, 2))
    many = orbit.by("M").hvp.many(*args, w)
    assert_allclose(many[:, 1], orbit.by("M").hvp(*args, w[:, 1].copy()), rtol=1e-11)


def test_the_solution_is_part_of_a_larger_loss() -> None:
    def loss(k: Any, times: Any, seen: Any) -> Any:
        x = anomaly(k[0] * times, k[1])
        return np.mean((np.cos(x) - k[1] - seen) ** 2)

    f = compiled(loss, {"k": "2", "times": "n", "seen": "n"}, wrt="k")
    gradc.check_gradients(f, np.array([1.3, 0.4]), np.linspace(0.0, 3.0, 7), RNG.standard_normal(7), order=2)


def test_the_jacobian_of_a_solution_is_that_of_the_theorem() -> None:
    f = compiled(lambda b: gradc.root(lambda x: x**3 + x + 0.1 * np.sum(x) - b, b), {"b": "n"})
    x = f(B)
    wanted = np.linalg.inv(np.diag(3.0 * x**2 + 1.0) + 0.1)
    for mode in ("forward", "reverse"):
        assert_allclose(f.by_mode(mode)(B), wanted, rtol=1e-12)


# -- what is solved ---------------------------------------------------------------------------------


def test_equations_of_an_element_alone_are_solved_alone() -> None:
    assert " over 1 of " in str(ORBIT.graph) and "jacobian" not in ORBIT.source and "newton_step" not in ORBIT.source
    assert " over 1 of " in str(ROWS.graph) and " over 1 of " in str(COLUMNS.graph)
    assert " over 0 of " in str(BALANCE.graph)
    f = compiled(lambda a: gradc.root(lambda x: x**2 + x - np.flip(x) - a, a), {"a": "n"})
    assert " over 0 of " in str(f.graph)
    f = compiled(lambda a: gradc.root(lambda x: np.cumsum(x) - a, a), {"a": "n"})
    assert " over 0 of " in str(f.graph)


def test_what_does_not_depend_on_the_unknown_is_computed_once() -> None:
    f = compiled(lambda a: gradc.root(lambda x: x**3 + np.exp(a) * x - np.sin(a), 0.0), {"a": ""})
    system = f.source.partition("def system")[2].partition("\n\n")[0]
    assert "exp" not in system and "sin" not in system and "exp" in f.source


def test_parameters_may_have_any_rank_and_be_whole_numbers_sizes_and_conditions() -> None:
    def solved(c: Any, w: Any, flags: Any, k: Any) -> Any:
        n = c.shape[0]
        x = gradc.root(lambda x: np.where(flags[:, None], x + x**3, 2.0 * x) - c[:, None] * w / n - k, np.zeros((n, 3)))
        return np.sum(x * x)

    f = compiled(solved, {"c": "n", "w": "3", "flags": "bool n", "k": "int"}, wrt=("c", "w"))
    args = (B, np.array([1.0, 2.0, -1.0]), np.array([True, False, True, False]), 2)
    gradc.check_gradients(f, *args, order=2)
    assert_allclose(f(*args), evaluate(f.graph, dict(zip(f.args, args, strict=True)))[0], rtol=1e-13)


def test_a_size_that_no_array_has_is_a_parameter() -> None:
    f = compiled(lambda a: np.sum(gradc.root(lambda x: x * (1.0 + np.sum(np.arange(a.shape[0] - 1) * 0.1)) + x**3 - 1.0,
                                             0.0) * a), {"a": "n"})
    assert_allclose(f(np.ones(3)), 3.0 * compiled(lambda: gradc.root(lambda x: 1.1 * x + x**3 - 1.0, 0.0), {})(),
                    rtol=1e-14)
    gradc.check_gradients(f, np.ones(3), order=2)


def test_single_precision_stays_single() -> None:
    f = compiled(lambda a: gradc.root(lambda x: x * x * np.float32(1.0) - a, a), {"a": "float32 n"})
    a = np.array([4.0, 9.0], np.float32)
    assert f(a).dtype == np.float32 and f.vjp(a, np.ones(2, np.float32)).dtype == np.float32
    assert_allclose(f(a), [2.0, 3.0], rtol=1e-6)
    assert_allclose(f.vjp(a, np.ones(2, np.float32)), [0.25, 1 / 6], rtol=1e-6)
    wider = compiled(lambda a, b: gradc.root(lambda x: x * x - a * b, a), {"a": "float32 n", "b": "n"})
    assert wider(a, np.ones(2)).dtype == np.float64


def test_whole_numbers_and_lists_are_guesses() -> None:
    f = compiled(lambda a: gradc.root(lambda x: x * x - a, 1), {"a": ""})
    assert_allclose(f(4.0), 2.0, rtol=1e-15)
    f = compiled(lambda a: gradc.root(lambda x: x * x - a, [1, 2]), {"a": "2"})
    assert_allclose(f([4.0, 9.0]), [2.0, 3.0], rtol=1e-15)


def test_equations_may_be_as_simple_as_can_be() -> None:
    assert compiled(lambda a: gradc.root(lambda x: 1.0 * x, a), {"a": "n"})(B).tolist() == [0.0] * 4
    f = compiled(lambda A: gradc.root(lambda x: A @ x, A[0]), {"A": "n n"})
    assert_allclose(f(A), np.zeros(4), atol=1e-15)
    assert_allclose(f.vjp(A, np.ones(4)), np.zeros((4, 4)), atol=1e-15)


def test_a_solution_of_nothing_is_nothing() -> None:
    assert BALANCE(np.zeros((0, 0)), np.zeros(0)) == 0.0
    assert ORBIT(np.zeros(0), 0.5) == 0.0


def test_the_guess_has_no_derivative() -> None:
    f = compiled(lambda a, g: gradc.root(lambda x: x * x - a, g), {"a": "", "g": ""})
    assert f.grad(4.0, 1.0).g == 0.0 and f.jvp(4.0, 1.0, 0.0, 1.0) == 0.0
    assert compiled(lambda g: gradc.root(lambda x: x * x - 4.0, g), {"g": ""}).jvp(1.0, 1.0) == 0.0


def test_a_user_rule_inside_the_equations_counts() -> None:
    @gradc.operation(partials=("3 * x**2",))
    def cubed(x: Any) -> Any:
        return x * x * x

    f = compiled(lambda a: gradc.root(lambda x: cubed(x) - a, 1.0), {"a": ""})
    assert_allclose([f(8.0), f.grad(8.0), f.grad.grad(8.0)], [2.0, 1 / 12, -1 / 144], rtol=1e-12)


def test_outside_of_a_compiled_function_numbers_come_back() -> None:
    assert_allclose(gradc.root(lambda x, a: x * x - a, 1.0, 2.0), 2.0**0.5, rtol=1e-15)
    assert_allclose(gradc.fixed_point(np.cos, 1.0), 0.7390851332151607, rtol=1e-15)
    assert_allclose(gradc.root(lambda x: A @ x - B, B), np.linalg.solve(A, B), rtol=1e-13)


def test_undeclared_functions_and_transforms_know_it() -> None:
    assert_allclose(gradc.grad(lambda a: gradc.root(lambda x: x * x - a, a))(4.0), 0.25, rtol=1e-12)


# -- compiled, kept, saved --------------------------------------------------------------------------


def test_compiled_code_agrees_also_inside_the_users_own() -> None:
    f = Function(ORBIT.graph, ORBIT.wrt, Options(cache=False))
    jitted = f.value_and_grad.jit

    @numba.njit
    def twice(M: Any, e: float) -> float:
        return 2.0 * jitted(M, e)[0]

    args = CASES["one equation an element"][1]
    assert_allclose(twice(*args), 2.0 * ORBIT(*args), rtol=1e-14)
    assert_allclose(f.grad(*args).M, ORBIT.grad(*args).M, rtol=1e-12)
    with pytest.raises(gradc.DomainError, match="residual at the guess"):
        f(np.array([np.nan]), 0.5)


def test_compiled_systems_agree() -> None:
    f, args = CASES["equations in equations"]
    assert_allclose(Function(f.graph, f.wrt, Options(cache=False)).value_and_grad(*args), f.value_and_grad(*args), rtol=1e-13)
    f, args = CASES["two unknowns"]
    assert_allclose(Function(f.graph, f.wrt, Options(cache=False))(*args), f(*args), rtol=1e-14)


def test_a_pickle_holds_the_equations() -> None:
    text = pickle.dumps(CIRCLE.grad)
    (name,) = {node.attr.routine for node in CIRCLE.graph.nodes if node.op == "call"}
    kept = ROUTINES.pop(name)
    try:
        assert_allclose(pickle.loads(text)(5.0, 2.0), CIRCLE.grad(5.0, 2.0), rtol=1e-15)
        assert ROUTINES[name].definition == kept.definition
    finally:
        ROUTINES[name] = kept


def test_a_saved_file_holds_the_equations(tmp_path: Path) -> None:
    KEPLER.save(tmp_path / "kepler.py")
    saved = runpy.run_path(str(tmp_path / "kepler.py"))
    assert_allclose(saved["value"](1.0, 0.5), KEPLER(1.0, 0.5), rtol=1e-15)
    assert_allclose(saved["grad"](1.0, 0.5), KEPLER.grad(1.0, 0.5), rtol=1e-14)


def test_equal_equations_have_one_routine_and_others_another() -> None:
    f = compiled(lambda a: gradc.root(lambda x: x * x - a, 1.0) + gradc.root(lambda x: x * x - a, 1.0), {"a": ""})
    assert f.source.count("= root_") == 1
    g = compiled(lambda a: gradc.root(lambda x: x * x - a, 1.0) + gradc.root(lambda x: x**3 - a, 1.0), {"a": ""})
    assert g.source.count("= root_") == 2
    assert_allclose(g(8.0), 8.0**0.5 + 2.0, rtol=1e-14)


def test_explain_draw_and_report_show_the_solution() -> None:
    assert "root_" in str(KEPLER.explain()) and "root_" in str(KEPLER.explain(1.0, 0.5))
    assert "root_" in str(CIRCLE.draw())
    assert "root_" in str(gradc.report(KEPLER))


def test_the_texts_of_routines_use_loops_only() -> None:
    assert "np.linalg" not in routines.function_text("newton_step")


# -- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(("residual", "guess", "match"), [
    (lambda x: x * x + 1.0, 0.6, "no step reduces the residual|no solution after|singular"),
    (lambda x: x * x + 1.0, 0.0, "singular or not finite"),
    (lambda x: np.log(x), -1.0, "infinite or NaN"),
    (lambda x: np.array([x[0] + x[1] - 1.0, 2.0 * x[0] + 2.0 * x[1]]), np.array([1.0, 0.0]), "singular or not finite"),
    (lambda x: np.array([x[0] ** 2 + 1.0, x[1]]), np.array([0.3, 1.0]), "no step reduces|no solution|singular"),
    (lambda x: np.array([np.log(x[0]), x[1]]), np.array([-1.0, 1.0]), "infinite or NaN"),
])
def test_equations_without_a_solution_are_refused_alike_by_text_and_interpreter(residual: Any, guess: Any,
                                                                                match: str) -> None:
    f = compiled(lambda c: c * gradc.root(residual, guess), {"c": ""})
    with pytest.raises(gradc.DomainError, match=match) as one:
        f(1.0)
    with pytest.raises(gradc.DomainError, match=match) as other:
        evaluate(f.graph, {"c": 1.0})
    assert str(one.value) in str(other.value)


@pytest.mark.parametrize(("residual", "guess"), [
    (lambda x, a: x**3 - a, 1.0), (lambda x, a: np.array([x[0] - a, x[1] + np.sin(x[0])]), np.ones(2))])
def test_too_few_iterations_are_refused(residual: Any, guess: Any) -> None:
    f = compiled(lambda a: gradc.root(residual, guess, a, iterations=1), {"a": ""})
    for run in (lambda: f(8.0), lambda: evaluate(f.graph, {"a": 8.0})):
        with pytest.raises(gradc.DomainError, match="no solution after 1 iterations"):
            run()


def test_a_tolerance_ends_the_search_sooner() -> None:
    rough = compiled(lambda a: gradc.root(lambda x: x**3 - a, 3.0, tolerance=0.1), {"a": ""})
    fine = compiled(lambda a: gradc.root(lambda x: x**3 - a, 3.0, tolerance=1e-12), {"a": ""})
    assert 1e-8 < abs(rough(8.0) - 2.0) < 0.1
    assert_allclose(fine(8.0), 2.0, rtol=1e-15)


def test_a_solution_where_the_slope_is_0_has_no_derivative() -> None:
    f = compiled(lambda a: gradc.root(lambda x: (x - a) ** 3, a), {"a": ""})
    assert f(1.0) == 1.0
    with pytest.raises(gradc.DomainError, match="slope 0 at its solution"):
        f.grad(1.0)
    g = compiled(lambda a: np.sum(gradc.root(lambda x: np.sum(x - a) ** 3 + 0.0 * x, a)), {"a": "n"})
    with pytest.raises(gradc.DomainError, match="[Ss]ingular"):
        g.grad(np.ones(2))


def test_equations_that_are_none_are_refused_with_the_line() -> None:
    def wrong(a: Any) -> Any:
        return gradc.root(lambda x: a * 2.0, 1.0)

    with pytest.raises(gradc.UnsupportedError, match=r"does not depend on its unknown \(line \d+: .*gradc.root"):
        compiled(wrong, {"a": ""})

    def uneven(a: Any) -> Any:
        return gradc.root(lambda x: x - a, 1.0)

    with pytest.raises(gradc.ShapeError, match=r"has shape \(n\), and its unknown \(\)"):
        compiled(uneven, {"a": "n"})
    with pytest.raises(gradc.ShapeError, match="cannot be equal"):
        compiled(lambda a: gradc.root(lambda x: np.array([x[0], x[1], a]), np.ones(2)), {"a": ""})


@pytest.mark.parametrize(("options", "match"), [
    ({"tolerance": 0.0}, "the tolerance of gradc.root is 0.0: give a number between 0 and 1"),
    ({"tolerance": "small"}, "the tolerance of gradc.root is 'small'"),
    ({"iterations": 0}, "the iterations of gradc.root are 0: give a whole number from 1"),
    ({"iterations": True}, "the iterations of gradc.root are True"),
])
def test_wrong_options_are_refused(options: Any, match: str) -> None:
    with pytest.raises(gradc.FormulaError, match=match):
        compiled(lambda a: gradc.root(lambda x: x - a, 1.0, **options), {"a": ""})


def test_equations_that_are_no_function_are_refused() -> None:
    with pytest.raises(gradc.FormulaError, match=r"gradc.root was given 3: give a function of the unknown first"):
        compiled(lambda a: gradc.root(3, a), {"a": ""})
    with pytest.raises(gradc.FormulaError, match=r"gradc.fixed_point was given 1.0: give a function"):
        gradc.fixed_point(1.0, np.cos)


def test_the_text_of_a_definition_is_checked() -> None:
    (name,) = {node.attr.routine for node in KEPLER.graph.nodes if node.op == "call"}
    text = str(KEPLER.graph)
    assert str(from_text(text)) == text
    with pytest.raises(GraphError, match="is not the name of the equations that follow it"):
        from_text(text.replace(name, "root_00000000"))
    with pytest.raises(GraphError, match="definition of a system of equations is malformed"):
        defined("[1, 2]")
    known = equations(name)
    assert known is not None
    with pytest.raises(GraphError, match="has a residual and a Jacobian as its outputs"):
        defined(definition(Equations(known.residual, known.residual, 0.0, 1)))
