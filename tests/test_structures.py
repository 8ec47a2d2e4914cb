"""Nested structures and static arguments of traced functions: tuples, lists, dicts, named tuples, dataclasses."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradc
from gradc.compiler.function import Function

from .comparison import close

RANDOM = np.random.default_rng(5)


class Layer(NamedTuple):
    W: Any
    b: Any


@dataclass(frozen=True)
class Model:
    first: Layer
    scale: Any = 1.0


def affine(params: Any, x: Any) -> Any:
    return np.sum(np.tanh(params["W"] @ x + params["b"]))


def deep(layers: Any, x: Any) -> Any:
    for W, b in layers:
        x = np.tanh(W @ x + b)
    return np.sum(x)


def draw(*shape: int) -> Any:
    return RANDOM.standard_normal(shape)


PARAMS, POINT = {"W": draw(3, 2), "b": draw(3)}, draw(2)


def by_hand(params: Any, x: Any) -> Any:
    slope = 1 - np.tanh(params["W"] @ x + params["b"]) ** 2
    return {"W": np.outer(slope, x), "b": slope}


@pytest.mark.parametrize("args", [None, {"params": {"W": "h d", "b": "h"}, "x": "d"}], ids=["at the call", "declared"])
def test_a_gradient_comes_back_in_the_structure_of_the_argument(args: Any) -> None:
    f = gradc.compile(affine, args, jit=False)
    wanted = by_hand(PARAMS, POINT)
    close(f(PARAMS, POINT), affine(PARAMS, POINT))
    gradient = f.grad(PARAMS, x=POINT)
    assert gradient._fields == ("params", "x") and list(gradient.params) == ["W", "b"]
    for key in ("W", "b"):
        close(gradient.params[key], wanted[key])
    close(gradient.x, PARAMS["W"].T @ wanted["b"])
    value, again = f.value_and_grad(PARAMS, POINT)
    close(value, affine(PARAMS, POINT))
    close(again["params"]["b"], wanted["b"])
    assert f.args == ("params", "x") and f.wrt == ("params", "x")
    assert f.flat.args == ("params_W", "params_b", "x") and "def value(params_W, params_b, x):" in f.source


def test_one_structured_argument_to_differentiate_by_gives_it_bare() -> None:
    f = gradc.compile(affine, {"params": {"W": "h d", "b": "h"}, "x": "d"}, wrt="params", jit=False)
    assert f.wrt == ("params",)
    assert set(f.grad(PARAMS, POINT)) == {"W", "b"}
    value, saved = f.forward(PARAMS, POINT)
    close(value, affine(PARAMS, POINT))
    close(f.backward(saved, 2.0)["b"], 2.0 * by_hand(PARAMS, POINT)["b"])
    out = {"W": np.empty((3, 2)), "b": np.empty(3)}
    assert f.grad(PARAMS, POINT, out=out)["W"] is out["W"]
    assert "params_W" in str(f.explain()) and "params_W" in str(f.draw(PARAMS, POINT))


def test_lists_of_named_tuples_of_any_length_and_dataclasses() -> None:
    f = gradc.compile(deep, wrt="layers", jit=False)
    for sizes in ((2, 3), (2, 3, 4)):
        layers = [Layer(draw(n, m), draw(n)) for m, n in itertools.pairwise(sizes)]
        found = f.grad(layers, POINT)
        assert isinstance(found, list) and all(type(layer) is Layer for layer in found)
        eps = 1e-6
        moved = [layer._replace(b=layer.b + eps) for layer in layers]
        back = [layer._replace(b=layer.b - eps) for layer in layers]
        close(sum(layer.b.sum() for layer in found), (deep(moved, POINT) - deep(back, POINT)) / (2 * eps), 1e-7)
    assert f.at(layers, POINT).flat.args == ("layers_0_W", "layers_0_b", "layers_1_W", "layers_1_b", "x")
    g = gradc.compile(lambda model, x: model.scale * deep([model.first], x),
                      {"model": Model(Layer("3 2", "3"), ""), "x": "2"}, jit=False)
    model = Model(Layer(draw(3, 2), draw(3)), 2.0)
    gradient = g.grad(model, POINT).model
    assert type(gradient) is Model and type(gradient.first) is Layer
    close(gradient.scale, deep([model.first], POINT))


def test_results_keep_their_structure() -> None:
    def f(x: Any, y: Any) -> Any:
        return {"sum": x + y, "parts": [x, (y, None)], "layer": Layer(x, 1.0)}

    found = gradc.compile(f, {"x": "n", "y": "n"}, jit=False)([1.0], [2.0])
    assert list(found) == ["sum", "parts", "layer"]
    assert found["sum"] == [3.0] and found["parts"][1] == (np.array([2.0]), None) and found["layer"].b == 1.0
    assert gradc.compile(lambda x: [x, x], {"x": ""}, jit=False)(1.0) == [1.0, 1.0]
    assert gradc.compile(lambda x: (x,), {"x": ""}, jit=False)(1.0) == (1.0,)
    assert isinstance(gradc.compile(lambda x: (x, x), {"x": ""}, jit=False), Function)      # as ever
    g = gradc.compile(lambda x: {"loss": x["a"] * x["b"]}, {"x": OrderedDict(a="", b="")}, jit=False)
    assert g.value_and_grad({"a": 2.0, "b": 3.0}) == ({"loss": 6.0}, OrderedDict(a=3.0, b=2.0))
    h = gradc.compile(lambda x: {"a": 2 * x, "b": x * x}, {"x": ""}, jit=False)
    _, saved = h.forward(3.0)
    assert h.backward(saved, {"a": 1.0, "b": 10.0}) == 62.0


def test_leaves_that_are_not_real_have_no_gradient_and_none_is_part_of_the_structure() -> None:
    def f(data: Any) -> Any:
        total = np.sum(data["x"][data["index"]])
        return total if data["weight"] is None else total * data["weight"]

    g = gradc.compile(f, jit=False)
    data = {"x": np.arange(3.0), "index": np.array([1, 1]), "weight": None}
    gradient = g.grad(data)
    assert gradient["index"] is None and gradient["weight"] is None
    close(gradient["x"], [0.0, 2.0, 0.0])
    close(g.grad({**data, "weight": 3.0})["x"], [0.0, 6.0, 0.0])


def test_names_of_leaves_do_not_meet_other_names() -> None:
    f = gradc.compile(lambda a, a_x: a["x"] * a["x "] * a_x, {"a": {"x": "", "x ": ""}, "a_x": ""}, jit=False)
    assert f.flat.args == ("a_x_1", "a_x_", "a_x")
    assert f({"x": 2.0, "x ": 3.0}, 5.0) == 30.0
    g = gradc.compile(lambda a, a_0: np.sum(a) * a_0, jit=False)        # dimensions are named after arguments, too
    assert g(np.ones((2, 3)), 2.0) == 12.0


MISFITS: list[tuple[Any, str]] = [
    ({"W": 1.0}, r"p has no key 'l': its keys must be 'W', 'l'"),
    ({"W": 1.0, "l": [1.0, (1.0, 2.0)], "b": 0.0}, r"p has a key 'b' too many"),
    ([1.0], r"p must be a dict with the keys 'W', 'l', but it is of type list"),
    ({"W": 1.0, "l": [1.0]}, r"p\['l'\] must be a list of 2 entries, but it has 1"),
    ({"W": 1.0, "l": 1.0}, r"p\['l'\] must be a list of 2 entries, but it is of type float"),
    ({"W": 1.0, "l": [1.0, None]}, r"p\['l'\]\[1\] must be a Layer of 2 entries, but it is of type NoneType"),
    ({"W": 1.0, "l": [1.0, Layer([1.0], 2.0)]}, r"the argument p_l_1_W must be a scalar, but it has shape \(1,\)"),
]


@pytest.mark.parametrize(("value", "message"), MISFITS)
def test_a_structure_that_does_not_fit_is_told_by_its_leaf(value: Any, message: str) -> None:
    f = gradc.compile(lambda p: p["W"] * p["l"][0] * p["l"][1].W, {"p": {"W": "", "l": ["", Layer("", "")]}}, jit=False)
    with pytest.raises(gradc.GradcError, match=message):
        f(value)


def test_other_misfits() -> None:
    f = gradc.compile(lambda m: m.scale, {"m": Model(Layer("", ""), "")}, jit=False)
    with pytest.raises(gradc.ArgumentError, match="m must be a Model, but it is of type dict"):
        f({})
    with pytest.raises(AttributeError, match=r"has no attribute hessian_of: look at \.flat"):
        _ = f.hessian_of
    with pytest.raises(gradc.FormulaError, match="wrt names m_scale, which is no argument: the arguments are m"):
        gradc.compile(lambda m: m.scale, {"m": Model(Layer("", ""), "")}, wrt="m_scale")
    with pytest.raises(gradc.FormulaError, match="wrt names i, which holds nothing real"):
        gradc.compile(lambda i, x: x * i[0], {"i": ["int"], "x": ""}, wrt="i")
    with pytest.raises(gradc.FormulaError, match="wrt names i, which is int64"):
        gradc.compile(lambda i, x: x[0] * i, {"i": "int", "x": [""]}, wrt="i")
    with pytest.raises(gradc.FormulaError, match="wrt names an argument twice"):
        gradc.compile(lambda x: x[0], {"x": [""]}, wrt=("x", "x"))
    assert "of nested structures" in repr(f)


def test_structured_functions_pickle_and_save_the_function_of_their_leaves(tmp_path: Path) -> None:
    f = gradc.compile(lambda p, x: deep([p], x), {"p": Layer("3 2", "3"), "x": "2"}, jit=False)
    layer = Layer(PARAMS["W"], PARAMS["b"])
    for function in (f, f.grad, f.value_and_grad):
        again = pickle.loads(pickle.dumps(function))
        assert repr(again(layer, POINT)) == repr(function(layer, POINT))
    f.save(tmp_path / "layer.py")
    run = subprocess.run([sys.executable, tmp_path / "layer.py"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("args", [None, {"params": {"W": "h d", "b": "h"}, "x": "d"}], ids=["at the call", "declared"])
def test_gradients_of_structures_can_be_checked(args: Any) -> None:
    report = gradc.check_gradients(gradc.compile(affine, args, jit=False), PARAMS, x=POINT)
    assert report.ok and {row.argument for row in report.rows} >= {"params_W", "params_b", "x"}
    assert gradc.check_gradients(polynomial, POINT, 2, order=1).ok          # defaults and static arguments too


def test_compiled_functions_of_structures() -> None:
    f = gradc.compile(affine, wrt="params", cache=False)
    close(f.grad(PARAMS, POINT)["W"], by_hand(PARAMS, POINT)["W"])
    close(f.jit(PARAMS["W"], PARAMS["b"], POINT), affine(PARAMS, POINT))


# -- static arguments ---------------------------------------------------------------------------------


@gradc.compile(static=("order", "mode"), wrt="x", jit=False)
def polynomial(x: Any, order: Any, /, mode: Any = "sum", *, combine: Any = np.add, flag: Any = True) -> Any:
    y = 0.0 * x
    for _ in range(order):
        y = combine(y * x, x)
    total = np.sum(y) if mode == "sum" else np.max(y)
    return total if flag else -total


def test_a_static_argument_is_the_value_itself_and_is_compiled_for_once() -> None:
    x = np.array([0.5, 2.0])
    assert polynomial(x, 2) == np.sum(x * x + x)
    assert polynomial(x, 3, mode="max", flag=False) == -14.0
    close(polynomial.grad(x, 2), 2 * x + 1)
    before = len({id(f) for f in polynomial._made.values()})
    polynomial(x[:1].repeat(5), 2)
    polynomial(x, 2, "sum")
    polynomial.grad(x, 3, flag=False, mode="max")
    assert len({id(f) for f in polynomial._made.values()}) == before
    polynomial(x, 2, combine=np.subtract)
    assert len({id(f) for f in polynomial._made.values()}) == before + 1
    assert polynomial.args == ("x", "order", "mode", "combine", "flag")
    made = polynomial.at(x, 2)
    assert made.args == polynomial.args and made.wrt == ("x",)
    with pytest.raises(gradc.ArgumentError, match="order is 3, but this function was compiled for 2"):
        made(x, 3, "sum", np.add, True)


def test_declared_functions_with_options_have_a_source_before_any_call() -> None:
    f = gradc.compile(lambda x, flag=True: np.sum(x) if flag else np.prod(x), {"x": "n"}, jit=False)
    assert "def value(x):" in f.source and f.wrt == ("x",)
    assert f([2.0, 3.0]) == 5.0 and f([2.0, 3.0], False) == 6.0
    g = gradc.compile(lambda x, flag: x, {"x": "n"}, static="flag", jit=False)
    with pytest.raises(gradc.ArgumentError, match="source needs the shapes of the arguments, and it was called with no kinds"):
        _ = g.source


def test_values_that_are_equal_in_python_are_told_apart() -> None:
    f = gradc.compile(lambda x, k: x * 1.0 if isinstance(k[0], bool) else x * 2.0, static="k", jit=False)
    assert f(1.0, (True,)) == 1.0
    assert f(1.0, (1,)) == 2.0
    g = gradc.compile(lambda x, c: x / c, {"x": ""}, static="c", jit=False)
    assert (g(1.0, 0.0), g(1.0, -0.0)) == (np.inf, -np.inf)


def test_static_functions_are_traced_as_helpers_are() -> None:
    def helper(x: Any) -> Any:
        return np.zeros(x.shape[0]) + np.exp(x)

    f = gradc.compile(lambda x, g: np.sum(g(x)), {"x": "n"}, static="g", jit=False)
    assert f.grad([0.0], helper) == [1.0]
    again = pickle.loads(pickle.dumps(f.at(np.ones(2), np.exp)))
    assert again.grad([0.0], np.exp) == [1.0]


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: gradc.compile(lambda x, k: x * k, static="k", jit=False)(1.0, [1]),
     "the static argument k is of type list, which has no hash"),
    (lambda: gradc.compile(lambda x, k: x, jit=False)(1.0, "a"),
     'the argument k is of type str, which is no array: list k in static=("k",)'),
    (lambda: gradc.compile(lambda x, k: x, jit=False)(1.0, {"f": np.sin}), "the argument k_f is of type ufunc"),
    (lambda: gradc.compile(lambda x: x, static="y"), "static names y, which is no argument of <lambda>"),
    (lambda: gradc.compile(lambda x: x, {"x": "n"}, static="x"), "x is static, and is declared in args"),
    (lambda: gradc.compile("x", static="x"), "static= names arguments of a Python function, and this is none"),
    (lambda: gradc.compile(lambda x, k: x, static="k", wrt="k", jit=False)(1.0, 2), "wrt names k, which is static"),
    (lambda: pickle.dumps(gradc.compile(lambda x: x)), "<lambda> cannot be pickled, since its Python function"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_what_cannot_be_static_or_an_argument_is_told(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        wrong()
    assert message in str(caught.value)


def test_functions_compiled_at_their_first_call_pickle_by_name() -> None:
    for function in (polynomial, polynomial.grad, polynomial.grad.grad):
        again = pickle.loads(pickle.dumps(function))
        assert again.__name__ == "polynomial" and again._path == function._path
    assert pickle.loads(pickle.dumps(polynomial)) is polynomial
    f = pickle.loads(pickle.dumps(gradc.compile(affine, wrt="params", jit=False)))
    close(f.grad(PARAMS, POINT)["W"], by_hand(PARAMS, POINT)["W"])


# -- one call after another ---------------------------------------------------------------------


def test_calls_of_another_kind_than_the_one_before_are_told_apart() -> None:
    f = gradc.compile(lambda x, k: np.sum(x["a"]) * np.sum(k) if isinstance(x, dict) else np.sum(x * k), jit=False)
    a, one = np.array([1.0, 2.0]), np.array([3.0])
    calls: list[tuple[tuple[Any, Any], float]] = [
        ((a, a), 5.0), ((a, one), 9.0), ((one, one), 9.0), ((a, 2.0), 6.0), ((a, np.float64(2.0)), 6.0), ((a, 2), 6.0),
        ((a.reshape(2, 1), one), 9.0), ((a.astype(np.float32), 2.0), 6.0), ((a.astype(">f8"), 2.0), 6.0),
        (({"a": a}, 2.0), 6.0), ((OrderedDict(a=a), 2.0), 6.0), (([1.0, 2.0], True), 3.0), ((a[::-1], a), 4.0),
    ]
    for _, (first, second) in itertools.product(range(2), itertools.product(calls, calls)):
        for arguments, wanted in (first, second):
            assert f(*arguments) == wanted
    assert f(a.astype(np.float32), np.float32(2.0)) == f.grad(np.float32([1.0, 3.0]), np.float32(1.0)).k + 2.0


@pytest.mark.parametrize("args", [None, {"p": [{"a": "n", "b": ""}, Layer("n", "n")], "x": "n"}],
                         ids=["at the call", "declared"])
def test_what_is_not_plainly_of_the_structure_is_looked_at_closer(args: Any) -> None:
    f = gradc.compile(lambda p, x: np.sum(p[0]["a"] * p[1].W * x) + p[0]["b"] * np.sum(p[1].b), args, jit=False)
    a = np.array([1.0, 2.0])
    plain = [{"a": a, "b": 2.0}, Layer(a, a)]
    again = [OrderedDict(b=2.0, a=a), Layer(a, a)]
    wanted = f.value_and_grad(plain, a)
    for given in (plain, again, plain, (plain[0], plain[1]) if args else plain, plain):
        assert f(given, a) == wanted[0] == f(p=given, x=a)
        found = f.value_and_grad(given, a)[1].p
        assert type(found) is list and type(found[1]) is Layer
        close(found[0]["a"], a * a)
        close(found[1].b, [2.0, 2.0])
    f.value_and_grad(plain, a)
    with pytest.raises(gradc.ArgumentError, match="missing"):
        f.value_and_grad(plain)
    if args:
        with pytest.raises(gradc.ArgumentError, match=r"p\[0\] has no key 'a'"):
            f.value_and_grad([{"A": a, "b": 2.0}, Layer(a, a)], a)
        with pytest.raises(gradc.ArgumentError, match=r"p\[1\] must be a Layer"):
            f.value_and_grad([plain[0], 3.0], a)


def test_results_go_into_arrays_that_are_given_at_every_call() -> None:
    f = gradc.compile(lambda p, x: np.sum(p["a"] * x), wrt="p", jit=False)
    a, out = np.array([1.0, 2.0]), np.empty(2)
    for factor in (1.0, 2.0, 3.0):
        found = f.value_and_grad({"a": a}, factor * a, out=(0.0, {"a": out}))
        assert found[0] == factor * 5.0 and found[1]["a"] is out
        close(out, factor * a)
    assert f.grad is f.grad
