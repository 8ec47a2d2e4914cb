"""Products with the Jacobian and the Hessian: `jvp`, `vjp`, `hvp`, and several directions at once.

Every entry of the operation table, every formula of the adjoint's tests and every NumPy function that may be traced
is held to the dot-product test <jvp(v), w> = <v, vjp(w)>, which sees any difference between the two modes; the
reverse mode has judges of its own in `test_adjoint` and `test_coverage`. All by the interpreter.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.compiler.compiled import Options
from gradc.compiler.function import Function
from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Graph
from gradc.ir.interpret import evaluate
from gradc.ir.table import OPERATIONS
from gradc.ir.text import from_text

from .comparison import close, slope
from .coverage_table import CASES, Case
from .test_adjoint import CASES as FORMULAS
from .test_coverage import SIZES, drawn
from .test_linear_algebra import CASES as MATRICES
from .test_linear_algebra import weighted

MANY = 3
MEASURED = [name for name, entry in OPERATIONS.items() if entry.domain and not entry.internal]


def along(function: Function, values: Sequence[Any], *more: Any) -> list[Any]:
    """A derived function at the arguments of its primal and further ones, by the interpreter."""
    return evaluate(function.graph, dict(zip(function.args, (*values, *more), strict=True)))


def dot(left: Sequence[Any], right: Sequence[Any]) -> float:
    return float(sum(np.sum(np.asarray(a, float) * b) for a, b in zip(left, right, strict=True)))


def agrees(f: Function, arguments: Mapping[str, Any], tolerance: float = 1e-9) -> None:
    """Both modes agree, along one direction and along several; the Hessian's products are symmetric."""
    values = [arguments[name] for name in f.args]
    outputs = evaluate(f.graph, dict(arguments))
    real = [node.dtype.startswith("float") for _, node in f.graph.outputs]
    if not f.wrt or not any(real):
        return
    random = np.random.default_rng(11)
    shapes = [np.shape(arguments[name]) for name in f.wrt]
    v = [random.standard_normal(shape) for shape in shapes]
    w = [random.standard_normal(np.shape(out)) for out, own in zip(outputs, real, strict=True) if own]
    tangents, back = along(f.jvp, values, *v), along(f.vjp, values, *w)
    kept = [t for t, own in zip(tangents, real, strict=True) if own]
    scale = max(1.0, *(float(np.max(np.abs(t), initial=0.0)) for t in kept))
    assert np.isfinite(scale)
    assert abs(dot(kept, w) - dot(back, v)) <= tolerance * scale * max(1.0, sum(np.size(t) for t in kept))
    several = [random.standard_normal((*shape, MANY)) for shape in shapes]
    for found, one in zip(along(f.jvp.many, values, *several), zip(*(
            along(f.jvp, values, *(part[..., k] for part in several)) for k in range(MANY)), strict=True), strict=True):
        close(found, np.stack(one, axis=-1), tolerance)
    several = [random.standard_normal((*np.shape(part), MANY)) for part in w]
    for found, one in zip(along(f.vjp.many, values, *several), zip(*(
            along(f.vjp, values, *(part[..., k] for part in several)) for k in range(MANY)), strict=True), strict=True):
        close(found, np.stack(one, axis=-1), tolerance)
    if len(outputs) == 1 and not np.shape(outputs[0]):
        other = [random.standard_normal(shape) for shape in shapes]
        first, second = along(f.hvp, values, *v), along(f.hvp, values, *other)
        size = max(1.0, *(float(np.max(np.abs(part), initial=0.0)) for part in (*first, *second)))
        assert abs(dot(first, other) - dot(second, v)) <= tolerance * size * max(1.0, sum(map(np.size, v)))


@pytest.mark.parametrize("op", MEASURED)
def test_both_modes_agree_for_every_operation_of_the_table(op: str) -> None:
    entry, random = OPERATIONS[op], np.random.default_rng(3)
    graph, values = Graph(), {}
    for k, (low, high) in enumerate(entry.domain):
        whole = k in entry.integers
        graph.input(f"x{k}", "int64" if whole else "float64")
        low, high = max(low, -3.0), min(high, 3.0)
        values[f"x{k}"] = int(max(low, 1)) if whole else float(random.uniform(low, high) if low < high else low)
    graph.outputs = [("value", graph.apply(op, *graph.inputs.values()))]
    real = tuple(name for k, name in enumerate(graph.inputs) if k not in entry.integers)
    agrees(Function(graph, real, Options(jit=False)), values)


@pytest.mark.parametrize(("group", "formula", "args", "arguments"), FORMULAS,
                         ids=[f"{case[0]}-{k}" for k, case in enumerate(FORMULAS)])
def test_both_modes_agree_for_formulas(group: str, formula: str, args: Any, arguments: dict[str, Any]) -> None:
    agrees(gradc.compile(formula, args, jit=False), arguments)


@pytest.mark.parametrize("case", CASES, ids=[f"{k}-{case.name}" for k, case in enumerate(CASES)])
def test_both_modes_agree_for_everything_of_numpy(case: Case) -> None:
    agrees(gradc.compile(case.function, case.args, jit=False), drawn(case, SIZES))


@pytest.mark.parametrize("name", MATRICES)
def test_both_modes_agree_for_linear_algebra_and_sorting(name: str) -> None:
    function, args = MATRICES[name]
    f = gradc.compile(function, jit=False).at(*args)
    agrees(f, dict(zip(f.args, args, strict=True)), 1e-7)
    one, two = (lambda a: weighted(function(a))), (lambda a, b: weighted(function(a, b)))
    g = gradc.compile(one if len(args) == 1 else two, jit=False).at(*args)
    agrees(g, dict(zip(g.args, args, strict=True)), 1e-6)


# -- what is delivered ----------------------------------------------------------------------------


def test_a_jvp_holds_against_many_digits_and_converges_as_taylor_says() -> None:
    f = gradc.compile("sum(exp(-x[i]**2) * sin(y * x[i]) for i in range(n)) / (1 + y**2)", {"x": "n", "y": ""}, jit=False)
    x, y, direction = np.array([0.3, -1.2, 0.7]), 0.9, {"x": np.array([1.0, 0.5, -2.0]), "y": 0.4}
    found = f.jvp(x, y, direction["x"], direction["y"])
    assert found == pytest.approx(slope(f.graph, {"x": x, "y": y}, direction).derivative, rel=1e-14)
    curve = dot(list(f.hvp(x, y, direction["x"], direction["y"])), list(direction.values()))
    rests = [f(x + h * direction["x"], y + h * direction["y"]) - f(x, y) - h * found - h * h / 2 * curve
             for h in (1e-2, 5e-3, 2.5e-3)]
    for coarse, fine in pairwise(rests):
        assert 2.8 < np.log2(abs(coarse / fine)) < 3.2           # what is left is of third order


def test_products_of_every_order_in_every_mixture() -> None:
    f = gradc.compile("x**5", jit=False)
    assert f.grad.jvp.grad(2.0, 1.0) == f.jvp.grad.grad(2.0, 1.0) == f.grad.grad.jvp(2.0, 1.0) == 60 * 4.0
    assert f.jvp.jvp.args == ("x", "d_x", "d_x_")
    assert f.jvp.jvp(2.0, 3.0, 5.0) == 15 * 20 * 8.0
    assert f.hvp.vjp(2.0, 3.0, 7.0) == 21 * 60 * 4.0
    assert f.vjp.jvp.many(2.0, 3.0, np.array([1.0, 2.0])).tolist() == [3 * 160.0, 6 * 160.0]
    g = gradc.compile("x**2 * y", wrt="x", jit=False)
    assert g.jvp.args == ("x", "y", "d_x")                      # a tangent for each of wrt
    assert g.jvp.wrt == ("x",)


def test_compiled_products_are_those_of_the_plain_text(tmp_path: Path) -> None:
    def residual(A: Any, x: Any) -> Any:
        return np.tanh(A @ x) * x[0]

    args, random = {"A": "m n", "x": "n"}, np.random.default_rng(5)
    A, x, V, v, w = (random.standard_normal(shape) for shape in ((3, 4), 4, (3, 4), 4, 3))
    f, plain = (gradc.compile(residual, args, jit=jit) for jit in (True, False))
    close(f.jvp(A, x, V, v), plain.jvp(A, x, V, v), 1e-14)
    close(f.jvp.jit(A, x, V, v), plain.jvp(A, x, V, v), 1e-14)
    out = np.empty(3)
    assert f.jvp(A, x, d_x=v, d_A=V, out=out) is out
    several = np.stack([v, 2 * v], axis=-1)
    close(f.jvp.many(A, x, np.zeros((3, 4, 2)), several), plain.jvp.many(A, x, np.zeros((3, 4, 2)), several), 1e-14)
    close(f.vjp(A, x, w).A, plain.vjp(A, x, w).A, 1e-14)
    again = pickle.loads(pickle.dumps(f.jvp.many))
    assert str(again.graph) == str(f.jvp.many.graph)
    for part in (plain.jvp, plain.vjp, gradc.compile("x**3 * y", jit=False).hvp):
        part.save(tmp_path / "product.py")
        run = subprocess.run([sys.executable, tmp_path / "product.py"], capture_output=True, text=True, check=False)
        assert run.stdout == "ok\n", run.stderr


def test_float32_stays_in_products() -> None:
    f = gradc.compile(lambda x: np.exp(x) * x[0], {"x": "float32 n"}, jit=False)
    x = np.array([0.5, 0.25], np.float32)
    assert f.jvp(x, x).dtype == f.vjp(x, x).dtype == f.jvp.many(x, np.eye(2, dtype=np.float32)).dtype == np.float32


def test_functions_of_structures_take_tangents_in_them() -> None:
    f = gradc.compile(lambda p, x: {"u": p["a"] * x, "v": (np.sum(p["b"] ** 2), 3)}, jit=False)
    p, d = {"a": 2.0, "b": np.array([1.0, 2.0])}, {"a": 1.0, "b": np.array([0.0, 1.0])}
    assert f.jvp(p, 3.0, d, 0.5) == f.jvp(p, 3.0, d_x=0.5, d_p=d) == {"u": 4.0, "v": (4.0, 0.0)}
    back = f.vjp(p, 3.0, {"u": 1.0, "v": (2.0, None)})
    assert (back.p["a"], back.p["b"].tolist(), back.x) == (3.0, [4.0, 8.0], 2.0)
    many = f.jvp.many(p, 3.0, {"a": np.ones(2), "b": np.eye(2)}, np.zeros(2))
    assert (many["u"].tolist(), many["v"][0].tolist()) == ([3.0, 3.0], [2.0, 4.0])
    g = gradc.compile(lambda p: p["a"] ** 3, jit=False)
    assert g.hvp({"a": 2.0}, {"a": 1.0}) == {"a": 12.0}


def test_a_function_compiled_at_its_first_call_has_products() -> None:
    f = gradc.compile(lambda x, k=2.0: np.sin(x) * k, jit=False)
    close(f.jvp([0.0, 0.5], 2.0, [1.0, 1.0], 0.0), 2 * np.cos([0.0, 0.5]))
    close(f.vjp(0.5, 3.0, 1.0).x, 3 * np.cos(0.5))
    close(f.jvp.many(0.5, 3.0, np.array([1.0, 2.0]), np.zeros(2)), 3 * np.cos(0.5) * np.array([1.0, 2.0]))
    assert pickle.loads(pickle.dumps(gradc.compile(np_cube, jit=False).hvp))(2.0, 1.0) == 12.0


def np_cube(x: Any) -> Any:
    return x**3


def test_products_serve_inside_other_functions() -> None:
    f = gradc.compile("sin(x) * y", jit=False)
    g = gradc.compile(lambda x: f.jvp(x, x, 1.0, 0.0) + f.hvp(x, x, 1.0, 1.0).y, {"x": ""}, jit=False)
    assert g(0.7) == pytest.approx(np.cos(0.7) * 0.7 + np.cos(0.7))


# -- kinks, branches and rules of the user's own ------------------------------------------------------


def test_a_branch_that_is_not_taken_never_leaks_into_a_tangent() -> None:
    f = gradc.compile("where(x > 0, sqrt(x), 0.0) * y", jit=False)
    assert f.jvp(0.0, 2.0, 1.0, 1.0) == 0.0
    g = gradc.compile("sum((x[i-1] if i > 0 else 0)**2 / x[i] for i in range(n))", {"x": "n"}, jit=False)
    close(g.jvp([1.0, 2.0], [1.0, 0.0]), 1.0)


def test_kinks_are_refused_where_they_count() -> None:
    f = gradc.compile("where(x > 1, abs(x - 2), x) + max(x, y)", kinks="raise", jit=False)
    assert f.jvp(0.5, 0.0, 1.0, 0.0) == 2.0
    for point, what in (((2.0, 0.0), "abs"), ((0.5, 0.5), r"max\(x, y\)")):
        with pytest.raises(gradc.DomainError, match=rf"{what}.* stands on a kink"):
            f.jvp(*point, 1.0, 0.0)


def test_ties_share_a_tangent_as_they_share_a_gradient() -> None:
    f = gradc.compile("max(x)", {"x": "n"}, jit=False)
    assert f.jvp([1.0, 1.0, 0.0], [1.0, 3.0, 9.0]) == 2.0
    g = gradc.compile(lambda x: np.maximum.accumulate(x), {"x": "n"}, jit=False)
    assert g.jvp([1.0, 1.0, 0.0], [1.0, 3.0, 9.0]).tolist() == [1.0, 2.0, 2.0]


def counted_jvp(calls: list[int]) -> Any:
    def rule(x: Any, t: Any, d_x: Any, d_t: Any) -> Any:
        calls.append(1)
        return 2 * t * np.sum(x * d_x) + d_t * np.sum(x * x)

    return rule


def test_an_operation_has_its_jvp_or_the_transpose_of_its_vjp() -> None:
    rules: list[dict[str, Any]] = [{}, {"jvp": counted_jvp(calls := [])}]
    for more in rules:
        square = gradc.operation(lambda x, t: np.sum(x * x) * t,
                                 vjp=lambda x, t, c: (2 * c * t * x, c * np.sum(x * x)), **more)
        f = gradc.compile("own(x, t) + t", {"x": "n", "t": ""}, operations={"own": square}, jit=False)
        agrees(f, {"x": np.array([1.0, 2.0]), "t": 3.0})
        assert f.jvp([1.0, 2.0], 3.0, [1.0, 0.5], 2.0) == 24.0
        assert str(from_text(str(f.graph))) == str(f.graph)
        count = gradc.operation(lambda x, i: x * i, vjp=lambda x, i, c: (c * i, None))
        g = gradc.compile("sum(own(x, i))", {"x": "n", "i": "int n"}, operations={"own": count}, jit=False)
        assert g.jvp([1.0, 2.0], [3, 4], [1.0, 1.0]) == 7.0
    assert calls


@pytest.mark.parametrize(("wrong", "error", "message"), [
    ({"vjp": lambda x, c: x}, gradc.DerivativeError, "the vjp of own is not linear in its cotangent, so it gives no ta"),
    ({"vjp": lambda x, c: c, "jvp": lambda x, d: np.sum(d)}, gradc.ShapeError,
     r"the jvp of own gives its value a tangent of shape \(\), but it has shape \(x_0\)\nReturn one for each element"),
    ({"vjp": lambda x, c: c, "jvp": lambda x, d: (d, d)}, gradc.FormulaError, "the jvp of own gives several results"),
])
def test_rules_that_give_no_tangent_are_told(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    def own(x: Any) -> Any:
        return 2.0 * x

    operation = gradc.operation(own, **wrong)
    with pytest.raises(error, match=message):
        gradc.compile(lambda x: operation(x), {"x": "n"}, jit=False).jvp([1.0], [1.0])


def test_a_routine_without_a_derivative_is_named_in_both_modes() -> None:
    g = Graph()
    x = g.input("x", shape=["n"])
    axis = Axis(Dim.of("n"), 0)
    g.outputs = [("f", g.store([axis], g.scan("prod", axis, (g.read(x, [g.axis(axis)]),), inclusive=True)))]
    for name in ("jvp", "vjp"):
        with pytest.raises(gradc.DerivativeError, match="an inclusive running product has no derivative rule"):
            getattr(Function(g, ("x",), Options(jit=False)), name)


# -- errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "error", "message"), [
    (lambda f: f.jvp([1.0, 2.0], 1.0, [1.0], 1.0), gradc.ShapeError, r"d_x.shape\[0\] is 1, but n \(x.shape\[0\]\) is 2"),
    (lambda f: f.jvp([1.0, 2.0], 1.0, 1.0, 1.0), gradc.ShapeError, "the argument d_x must be an array of 1 dimension"),
    (lambda f: f.jvp([1.0, 2.0], 1.0, [1.0, 2.0]), gradc.ArgumentError, r"the argument d_y is missing: .* \(x, y, d_x, d_y\)"),
    (lambda f: f.hvp([1.0, 2.0], 1.0, [1.0, 2.0], v_z=1.0), gradc.ArgumentError, "no argument v_z: did you mean v_y"),
    (lambda f: f.vjp([1.0, 2.0], 1.0, [1.0]), gradc.ShapeError, "cotangent"),
    (lambda f: f.jvp.many([1.0, 2.0], 1.0, np.ones((2, 3)), np.ones(2)), gradc.ShapeError,
     r"d_y.shape\[0\] is 2, but directions \(d_x.shape\[1\]\) is 3: these two must be equal"),
    (lambda f: f.many, gradc.DerivativeError, "value takes no directions, so there are not many of them: many belongs"),
    (lambda f: f.grad.hvp, gradc.DerivativeError, "the Hessian needs one scalar output, this function has 2: compile"),
    (lambda f: gradc.compile("x * x", {"x": "n"}).hvp, gradc.DerivativeError,
     r"the Hessian needs one scalar output, this one is an array of shape \(n\): reduce it, .* or use .jacobian.jac"),
    (lambda f: gradc.compile("2 * k", {"k": "int"}).jvp, gradc.DerivativeError, "there is no argument to differentiate"),
    (lambda f: gradc.compile("x > 2", {"x": ""}).vjp, gradc.DerivativeError, "the output is bool and has no derivative"),
])
def test_directions_that_do_not_fit_are_told(wrong: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong(gradc.compile("sum(x**2) * y", {"x": "n", "y": ""}, jit=False))
