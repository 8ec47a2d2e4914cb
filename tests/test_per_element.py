"""Work on gathered values, done once for each element where places are many an element."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import gradc
from gradc.codegen.routines import elements
from gradc.compiler.per_element import are_fewer
from gradc.ir.interpret import evaluate
from gradc.ir.interpret_routines import MEANINGS

ARGS = {"a": "c 2", "x": "o", "k": "int o"}


def turned(a: Any, x: Any, k: Any) -> Any:
    """Each place turns by the angle of its element, and is scaled by a function of both of its numbers."""
    angle, scale = a[k, 0], np.exp(a[k, 0] * a[k, 1])
    return np.sum((np.cos(angle) * x - np.sin(angle)) ** 2 * scale)


def data(elements: int, places: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(elements + places)
    return rng.standard_normal((elements, 2)), rng.standard_normal(places), rng.integers(0, elements, places)


def compiled(function: Callable[..., Any], args: dict[str, str], **options: Any) -> Any:
    return gradc.compile(function, args, **{"jit": False, **options})


def flat(result: Any) -> Any:
    return np.concatenate([flat(part) for part in result]) if isinstance(result, tuple) else np.ravel(result)


@pytest.mark.parametrize(("count", "places"), [(3, 40), (3, 12), (3, 11), (5, 5), (9, 4), (1, 6), (4, 0), (7, 29)])
def test_values_and_derivatives_are_those_of_work_at_each_place(count: int, places: int) -> None:
    f = compiled(turned, ARGS)
    assert f.rows
    assert f.plain is not f
    a, x, k = data(count, places)
    t, u, d = np.cos(a), np.sin(x), (a, x, k)
    for ours, plain in ((f._checked(d, None, {}), f.plain(*d)), (f.grad._checked(d, None, {}), f.plain.grad(*d)),
                        (f.value_and_grad(*d), f.plain.value_and_grad(*d)),
                        (f.jvp._checked((*d, t, u), None, {}), f.plain.jvp(*d, t, u)),
                        (f.hvp._checked((*d, t, u), None, {}), f.plain.hvp(*d, t, u)),
                        (f.jvp.many(*d, t[..., None], u[..., None]), f.plain.jvp.many(*d, t[..., None], u[..., None])),
                        (f.jacobian._checked(d, None, {}), f.plain.jacobian(*d)), (f.hessian(*d), f.plain.hessian(*d))):
        np.testing.assert_allclose(flat(ours), flat(plain), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(f(*d), turned(*d), rtol=1e-13)


def test_the_interpreter_agrees_also_in_high_precision() -> None:
    f = compiled(turned, ARGS)
    given = dict(zip(ARGS, data(3, 14), strict=True))
    value = evaluate(f.prepared, given)[0]
    np.testing.assert_allclose(value, f(**given), rtol=1e-14)
    np.testing.assert_allclose(float(evaluate(f.prepared, given, exact=mpmath.mp)[0]), value, rtol=1e-13)


def test_the_functions_of_an_element_stand_in_a_loop_over_elements() -> None:
    source = compiled(turned, ARGS).value_and_grad.source
    before, _, after = source.partition("rows, row, ")
    rows, places = after.split("for i in range(o)", 1)
    assert "elements(k, a)" in rows
    assert all(f"{name}(" in rows and f"{name}(" not in places for name in ("cos", "sin", "exp"))
    assert "go to .plain" in before.replace("\n    ", " ")


def test_calls_with_few_places_an_element_go_to_the_plain_function() -> None:
    f = compiled(turned, ARGS)
    seen = []
    f.__dict__["plain"] = lambda *args, **keywords: seen.append(keywords)
    few, many = data(3, 11), data(3, 12)
    f(*few), f(*few, out=None), f(*few[:2], k=few[2]), f(*(part.tolist() for part in few))
    assert len(seen) == 4
    f(*many), f(*many[:2], k=many[2]), f(*(part.tolist() for part in many))
    f(*few, workspace=f.workspace(*few))
    assert len(seen) == 4
    assert are_fewer(f.rows, {"c": 3, "o": 12})
    assert not are_fewer(f.rows, {"c": 3, "o": 11})


def test_wrong_arguments_are_refused_as_without_rows() -> None:
    f = compiled(turned, ARGS)
    a, x, k = data(3, 20)
    with pytest.raises(gradc.ArgumentError, match="argument k is missing"):
        f(a, x)
    with pytest.raises(gradc.ShapeError, match="outside 0 .. c - 1"):
        f(a, x, k + 1)
    with pytest.raises(gradc.ShapeError, match="must be equal"):
        f(a, x[1:], k)
    with pytest.raises(gradc.ArgumentError, match="there is no argument z"):
        f(a, x, z=k)


def test_an_element_that_no_place_names_does_not_count() -> None:
    """Its row would be 0 * inf; the rows left over repeat an element whose own derivative is infinite."""
    f = compiled(lambda a, k: np.sum(np.exp(-np.sqrt(a[k])) * np.log(2.0 + a[k])), {"a": "c", "k": "int o"})
    assert f.rows
    k = np.array([1] * 12 + [3] * 8)
    value, gradient = f.value_and_grad(np.array([np.nan, 0.0, -1.0, 4.0, np.inf]), k)
    assert np.isfinite(value)
    np.testing.assert_array_equal(np.isfinite(gradient), [True, False, True, True, True])
    assert gradient[1] == -np.inf
    assert not gradient[[0, 2, 4]].any()


def test_an_untaken_branch_does_not_leak() -> None:
    def chosen(a: Any, x: Any, k: Any) -> Any:
        return np.sum(np.where(x > 0.0, np.log(a[k]) * np.exp(a[k]), 0.0) + np.cos(a[k]) * np.exp(a[k]))

    f = compiled(chosen, {"a": "c", "x": "o", "k": "int o"})
    assert f.rows
    k = np.arange(12) % 2
    a = np.array([2.0, 0.0])
    gradient = f.by("a").grad(a, np.where(k == 0, 1.0, -1.0), k)
    np.testing.assert_allclose(gradient, f.plain.by("a").grad(a, np.where(k == 0, 1.0, -1.0), k), rtol=1e-14)
    assert np.isfinite(gradient).all()


def test_places_under_a_condition_may_name_nothing() -> None:
    f = gradc.compile("sum(exp(sin(a[k[i]])) * cos(a[k[i]]) if k[i] >= 0 else 1 for i in range(o))",
                      {"a": "c", "k": "int o"}, jit=False)
    a, k = np.array([0.5, -1.0]), np.array([0, -1, 1, 1, -7, 0, 0, 1, 1])
    named = a[k[k >= 0]]
    np.testing.assert_allclose(f(a, k), np.sum(np.exp(np.sin(named)) * np.cos(named)) + 2, rtol=1e-14)


def test_indices_that_gather_the_same_share_their_rows() -> None:
    def area(p: Any, k: Any) -> Any:
        at = np.tanh(p) * np.exp(p)
        return np.sum(at[k[:, 0]] * at[k[:, 1]] - at[k[:, 1]] * at[k[:, 2]])

    f = compiled(area, {"p": "v", "k": "int n 3"})
    assert [(str(one.elements), str(one.places)) for one in f.rows] == [("v", "3*n")]
    assert f.source.count("= elements(") == 1
    rng = np.random.default_rng(0)
    p, k = rng.standard_normal(5), rng.integers(0, 5, (9, 3))
    np.testing.assert_allclose(f(p, k), area(p, k), rtol=1e-13)
    np.testing.assert_allclose(f.grad(p, k), f.plain.grad(p, k), rtol=1e-12, atol=1e-13)


def test_places_may_have_several_dimensions() -> None:
    f = compiled(lambda w, k: np.sum(np.tanh(np.exp(w[k])) * np.arange(3.0)), {"w": "v 3", "k": "int b t"})
    assert [(str(one.elements), str(one.places)) for one in f.rows] == [("v", "b*t")]
    rng = np.random.default_rng(0)
    w, k = rng.standard_normal((4, 3)), rng.integers(0, 4, (5, 6))
    np.testing.assert_allclose(f(w, k), np.sum(np.tanh(np.exp(w[k])) * np.arange(3.0)), rtol=1e-13)
    np.testing.assert_allclose(f.grad(w, k), f.plain.grad(w, k), rtol=1e-12)


@pytest.mark.parametrize("args", [{"a": "n", "k": "int n 9"}, {"a": "30", "k": "int 9000"}])
def test_where_places_are_known_to_be_many_values_stand_in_rows(args: dict[str, str]) -> None:
    f = compiled(lambda a, k: np.sum(np.cos(a[k]) * np.exp(a[k])), args)
    rng = np.random.default_rng(0)
    k = rng.integers(0, 30, (30, 9) if "n" in args["k"].split() else 9000)
    assert f.rows
    assert "rows" in f.source
    a = rng.standard_normal(30)
    np.testing.assert_allclose(f.grad(a, k), f.plain.grad(a, k), rtol=1e-11)


def test_sums_for_an_element_are_taken_once() -> None:
    """A posed vertex is a sum over the bones that move it."""
    f = compiled(lambda w, t, k: np.sum((w @ t)[k] ** 2), {"w": "v b", "t": "b 3", "k": "int n"})
    assert f.rows
    rng = np.random.default_rng(0)
    w, t, k = rng.standard_normal((4, 5)), rng.standard_normal((5, 3)), rng.integers(0, 4, 40)
    np.testing.assert_allclose(f(w, t, k), np.sum((w @ t)[k] ** 2), rtol=1e-13)
    np.testing.assert_allclose(flat(f.grad(w, t, k)), flat(f.plain.grad(w, t, k)), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("function", "args"), [
    (lambda a, k: np.sum(a[k] ** 2 + 3.0 * a[k]), {"a": "c", "k": "int o"}),
    (lambda a, k: np.sum(np.sqrt(a[k])), {"a": "c", "k": "int o"}),
    (lambda a, x, k: np.sum(np.exp(a[k] * x)), {"a": "c", "x": "o", "k": "int o"}),
    (lambda a, k: np.sum(np.cos(a[k]) * np.exp(a[k])), {"a": "c", "k": "int 40"}),
    (lambda a, k: np.sum(np.cos(a[k]) * np.exp(a[k])), {"a": "n", "k": "int n 3"}),
    (lambda a, k: np.sum(np.cos(a[k]) * np.exp(a[k])), {"a": "3000", "k": "int 9000"}),
], ids=["little work", "a root", "work on the place's own", "few places", "three places an element", "known sizes"])
def test_what_does_not_pay_stays_where_it_is(function: Callable[..., Any], args: dict[str, str]) -> None:
    f = compiled(function, args)
    assert not f.rows
    assert f.plain is f


def test_kinks_that_are_refused_are_looked_for_at_places() -> None:
    assert not compiled(turned, ARGS, kinks="raise").rows


@pytest.mark.parametrize("seed", range(6))
def test_the_routine_means_the_same_in_generated_code_and_in_the_interpreter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for shape, size in (((9,), 4), ((3, 4), 5), ((5,), 5), ((2, 2), 9), ((0,), 3), ((6,), 0)):
        places = rng.integers(-2, size + 2, shape) if seed % 2 else rng.integers(0, max(size, 1), shape)
        ours, theirs = elements(places, np.empty(size)), MEANINGS["elements"](places, np.empty(size))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
        rows, row, used = ours
        inside = (places >= 0) & (places < size)
        np.testing.assert_array_equal(rows[row[inside]], places[inside])
        assert used[0] <= len(rows) == min(places.size, size)


def test_pickled_and_saved_functions_have_rows_too(tmp_path: Path) -> None:
    f = compiled(turned, ARGS)
    given = data(3, 20)
    for one in (f, f.value_and_grad, f.plain, f.plain.value_and_grad):
        again = pickle.loads(pickle.dumps(one))
        assert again.rows == one.rows
        np.testing.assert_array_equal(flat(again(*given)), flat(one(*given)))
    f.value_and_grad.save(tmp_path / "turned.py")
    text = (tmp_path / "turned.py").read_text("utf-8")
    assert "def elements(" in text
    subprocess.run([sys.executable, str(tmp_path / "turned.py")], check=True, capture_output=True)


def test_compiled_calls_choose_by_sizes_and_agree() -> None:
    f = gradc.compile(turned, ARGS)
    g = f.value_and_grad
    for given in (data(3, 60), data(30, 60)):
        value, gradient = g(*given)
        np.testing.assert_allclose(value, turned(*given), rtol=1e-12)
        out = tuple(np.empty_like(part) for part in gradient)
        g(*given, out=out)
        again = g.jit(*given)
        with_memory = g(*given, workspace=g.workspace(*given))
        for one in (again, with_memory, (value, out), g(given[0].tolist(), *given[1:]), g(*given[:2], k=given[2])):
            np.testing.assert_allclose(flat(one), flat((value, gradient)), rtol=1e-10, atol=1e-12)


def shared_weights(a: Any, x: Any, k: Any) -> Any:
    """What all places have in common is a sum over the same places, of the same elements."""
    weight = np.exp(a[k])
    return weight / np.sum(weight) * x + np.cos(a[k]) * np.max(np.sin(a[k]))


def all_pairs(a: Any, x: Any, k: Any) -> Any:
    """Of the same name are the axis of the sum and that of the result."""
    wave = np.sin(a[k])
    return np.sum(np.cos(wave[:, None] * wave) * x, axis=1)


def joined_before(a: Any, x: Any, k: Any) -> Any:
    """Places read an array that holds the values of other places."""
    values = np.concatenate([np.sin(a[k]), x])
    return np.exp(np.sin(a[k]) * values[0]) * np.cumsum(np.cos(a[k]))[0]


def turned_by_a_sum(a: Any, x: Any, k: Any) -> Any:
    """A linear form whose coefficients are known for each element."""
    return np.cos(a[k]) * np.sum(np.cos(a[k])) * x - np.sin(a[k]) * np.sum(np.sin(a[k])) * x


@pytest.mark.parametrize("function", [shared_weights, all_pairs, joined_before, turned_by_a_sum])
@pytest.mark.parametrize(("count", "places"), [(3, 50), (3, 4), (5, 2)])
def test_a_sum_over_the_places_keeps_its_own_places(function: Callable[..., Any], count: int, places: int) -> None:
    f = compiled(function, {"a": "c", "x": "o", "k": "int o"}, wrt=("a", "x"))
    assert f.rows
    a, x, k = data(count, places)
    d = a[:, 0], x, k
    c = np.cos(np.arange(places))
    np.testing.assert_allclose(f._checked(d, None, {}), function(*d), rtol=1e-12, atol=1e-12)
    slopes = f.plain.jacobian(*d)
    for step in np.eye(count + places)[:2]:                     # along the first two numbers
        moves = 1e-6 * step[:count], 1e-6 * step[count:]
        ahead, behind = (function(d[0] + sign * moves[0], x + sign * moves[1], k) for sign in (1, -1))
        np.testing.assert_allclose(slopes.a @ step[:count] + slopes.x @ step[count:], (ahead - behind) / 2e-6,
                                   rtol=1e-6, atol=1e-8)
    for ours, wanted in zip(f.vjp._checked((*d, c), None, {}), slopes, strict=True):
        np.testing.assert_allclose(ours, c @ wanted, rtol=1e-11, atol=1e-12)
    for ours, wanted in zip(f.jacobian.sparse(*d), slopes, strict=True):
        np.testing.assert_allclose(ours.toarray(), wanted, rtol=1e-11, atol=1e-12)
