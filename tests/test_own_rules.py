"""Derivatives that the user decides: `stop_gradient`, and operations with partial derivatives of their own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import sympy

import gradc
from gradc.ir.graph import NO_AXES, Graph, RuledAttr, copy_graph
from gradc.ir.text import from_text
from gradc.ir.verify import verify

from .comparison import close


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


# -- operations on numbers ----------------------------------------------------------------------------


def wave_itself(x: Any, y: Any) -> Any:
    return np.sin(x) * y


X, Y = sympy.symbols("x y")
PARTIALS: dict[str, Any] = {
    "formulas": ("cos(x) * y", "sin(x)"),
    "by name": {"y": "sin(x)", "x": "y * cos(x)"},
    "functions": (lambda x, y: np.cos(x) * y, lambda x, y: np.sin(x)),
    "SymPy": (sympy.cos(X) * Y, sympy.sin(X)),
}
POINTS = np.array([[0.3], [1.2]]), np.array([0.5, 2.0, -1.0])


def _squares(wave: Any) -> Any:
    return gradc.compile(lambda x, y: np.sum(wave(x, y) ** 2), {"x": "n 1", "y": "m"}, jit=False)


def _product(wave: Any) -> Any:
    return gradc.compile(lambda x, y: wave(x, y) * x, {"x": "", "y": ""}, wrt="x", jit=False)


def _cubes(solve: Any) -> Any:
    return gradc.compile(lambda A, b: np.sum(solve(A, b) ** 3), {"A": "n n", "b": "n"}, jit=False)


@pytest.mark.parametrize("partials", PARTIALS.values(), ids=PARTIALS)
def test_an_operation_has_the_partials_it_was_given_to_the_second_order(partials: Any) -> None:
    wave = gradc.operation(wave_itself, partials=partials)
    f, g = map(_squares, (wave, wave_itself))
    x, y = POINTS
    close(f(x, y), g(x, y))
    for found, wanted in zip(f.grad(x, y), g.grad(x, y), strict=True):
        close(found, wanted)
    f1, g1 = map(_product, (wave, wave_itself))
    close(f1.grad.grad(0.3, 0.5), g1.grad.grad(0.3, 0.5))
    close(wave(x, y), wave_itself(x, y))


def test_an_operation_is_a_ufunc_whatever_its_function_would_do_with_arrays() -> None:
    total = gradc.operation(lambda x: np.sum(x) * 2.0, partials="7.0")
    f = gradc.compile(lambda x: np.sum(total(x)), {"x": "n"}, jit=False)
    assert f([1.0, 2.0]) == 6.0
    assert list(f.grad([1.0, 2.0])) == [7.0, 7.0]               # the user's rule, right or wrong


def test_formulas_call_operations_by_name() -> None:
    wave = gradc.operation(wave_itself, partials=("cos(x) * y", "sin(x)"))
    text = "sum({0}(a[i], b) + {0}(2*a[i], 1) for i in range(n))"
    plain = gradc.compile("sum(sin(a[i])*b + sin(2*a[i])*1 for i in range(n))", {"a": "n", "b": ""}, jit=False)
    for name, operations in (("wave_itself", wave), ("wave_itself", [wave]), ("w", {"w": wave})):
        f = gradc.compile(text.format(name), {"a": "n", "b": ""}, jit=False, operations=operations)
        close(f([0.3, 0.4], 2.0), plain([0.3, 0.4], 2.0))
        close(f.grad([0.3, 0.4], 2.0).a, plain.grad([0.3, 0.4], 2.0).a)
    assert "wave_itself(a[i], b)" in str(f.explain())


def test_partials_may_sum_over_literal_ranges_of_their_own() -> None:
    series = gradc.operation(lambda x: x**3, partials="sum(x**2 for i in range(3))")
    f = gradc.compile(lambda x: np.sum(series(x) * x), {"x": "3"}, jit=False)       # the same dimension as the range
    close(f.grad([1.0, 2.0, 3.0]), 4 * np.array([1.0, 2.0, 3.0]) ** 3)


def test_integers_defaults_and_compiled_functions() -> None:
    @gradc.operation(partials={"n": None, "x": "n * x**(n - 1)", "scale": 0})
    @numba.njit
    def power(n: int, x, scale=1.0):  # type: ignore[no-untyped-def]
        return x**n * scale

    f = gradc.compile(lambda x: power(3, x), {"x": ""})
    assert (f(2.0), f.grad(2.0), power(3, 2.0)) == (8.0, 12.0, 8.0)
    with pytest.raises(gradc.UnsupportedError, match="the argument n of power is a whole number, and float64 is given"):
        gradc.compile(lambda x: power(x, x), {"x": ""})
    close(gradc.compile(lambda x, k: np.sum(power(k, x)), {"x": "n", "k": "int n"}, jit=False).grad([2.0, 3.0], [3, 2]), [12.0, 6.0])
    floor = gradc.operation(lambda x: np.floor(x) > 0, partials="1.0")      # straight through
    assert gradc.compile("f(x)", operations={"f": floor}, jit=False).grad(1.5) == 1.0


def test_operations_travel_in_pickles_graphs_and_files(tmp_path: Path) -> None:
    wave = gradc.operation(wave_itself, partials=("cos(x) * y + 1", "sin(x)"))
    f = gradc.compile(lambda x, y: wave(x, y) * x, {"x": "", "y": ""}, jit=False)
    assert str(from_text(str(f.graph))) == str(f.graph)
    assert pickle.loads(pickle.dumps(f)).grad(0.3, 0.4) == f.grad(0.3, 0.4)
    f.save(tmp_path / "own.py")
    run = subprocess.run([sys.executable, tmp_path / "own.py"], capture_output=True, text=True, check=False)
    assert run.stdout == "ok\n", run.stderr
    assert "with_partials" not in f.source and "sin(x) * y * x" in f.source


# -- operations on arrays -----------------------------------------------------------------------------


def _solve(A: Any, b: Any) -> Any:
    return np.linalg.solve(A, b)


def _solve_vjp(A: Any, b: Any, cotangent: Any) -> Any:
    d_b = np.linalg.solve(A.T, cotangent)
    return -np.outer(d_b, np.linalg.solve(A, b)), d_b


def _solve_jvp(A: Any, b: Any, d_A: Any, d_b: Any) -> Any:
    return np.linalg.solve(A, d_b - d_A @ np.linalg.solve(A, b))


MATRIX, RIGHT = np.array([[2.0, 1.0], [0.5, 3.0]]), np.array([1.0, -2.0])


def test_an_array_operation_passes_back_what_its_vjp_says() -> None:
    own = gradc.operation(_solve, vjp=_solve_vjp, jvp=_solve_jvp)
    assert own.check(MATRIX, RIGHT) < 1e-8
    f, g = map(_cubes, (own, _solve))
    for found, wanted in zip(f.value_and_grad(MATRIX, RIGHT)[1], g.grad(MATRIX, RIGHT), strict=True):
        close(found, wanted)
    close(f.grad(np.eye(3), np.ones(3)).b, 3 * np.ones(3))
    assert pickle.loads(pickle.dumps(f)).grad(MATRIX, RIGHT).b.tolist() == f.grad(MATRIX, RIGHT).b.tolist()
    assert str(from_text(str(f.graph))) == str(f.graph)
    assert "_solve(A, b)" in str(f.explain())
    h = gradc.compile("s(A, b) @ b", {"A": "n n", "b": "n"}, operations={"s": own}, jit=False)
    close(h(MATRIX, RIGHT), _solve(MATRIX, RIGHT) @ RIGHT)


def test_array_operations_have_second_derivatives_and_take_numbers_and_sizes_of_one() -> None:
    square = gradc.operation(lambda x, t: np.sum(x * x) * t, vjp=lambda x, t, c: (2 * c * t * x, c * np.sum(x * x)))
    f = gradc.compile(lambda x, t: square(x, t), {"x": "n", "t": ""}, jit=False)
    close(f.grad([1.0, 2.0], 3.0).x, [6.0, 12.0])
    assert f.grad([1.0, 2.0], 3.0).t == 5.0
    g = gradc.compile(lambda x: square(x * np.ones(2), 1.0), {"x": ""}, wrt="x", jit=False)
    assert g.grad.grad(3.0) == 4.0
    shifted = gradc.operation(lambda x, b: x + b, vjp=lambda x, b, c: (c, np.sum(c, keepdims=True)))
    h = gradc.compile(lambda x, b: np.sum(shifted(x, b) ** 2), jit=False)
    close(h.grad([1.0, 2.0], [3.0]).b, [18.0])
    count = gradc.operation(lambda x, i: x * i, vjp=lambda x, i, c: (c * i, None))
    k = gradc.compile(lambda x, i: np.sum(count(x, i)), {"x": "n", "i": "int n"}, jit=False)
    close(k.grad([1.0, 2.0], [3, 4]), [3.0, 4.0])
    one = gradc.operation(lambda x: x * 2.0, vjp=lambda x, c: np.ones(x.shape[0], dtype=int))
    close(gradc.compile(lambda x: np.sum(one(x)), {"x": "n"}, jit=False).grad([5.0, 6.0]), [1.0, 1.0])


def test_rules_hold_in_branches_and_for_numbers_used_twice() -> None:
    square = gradc.operation(lambda x, t: np.sum(x * x) * t, vjp=lambda x, t, c: (2 * c * t * x, c * np.sum(x * x)))
    f = gradc.compile(lambda x, t: square(x, t) * square(2 * x, t) + np.where(t > 0, square(x, t), 0), {"x": "n", "t": ""},
                      jit=False)
    gradient = f.grad([1.0, 2.0], 3.0)                          # 4 s**2 t**2 + s t with s = 5
    close(gradient.t, 8 * 25 * 3.0 + 5)
    close(gradient.x, (8 * 5 * 9.0 + 3) * np.array([2.0, 4.0]))
    close(f.grad([1.0, 2.0], -3.0).t, -8 * 25 * 3.0)


def test_the_verifier_looks_at_rules() -> None:
    graph = Graph()
    a, x = graph.input("a", "float64", ("n",)), graph.input("x")
    broken: list[tuple[Any, tuple[Any, ...], str]] = [
        (None, (a, a), "it is no value with operands and a rule"),
        (RuledAttr("f", "", (), a.shape), (a, x), "its operands are arrays"),
        (RuledAttr("f", "", (), ()), (a, a), "its shape and type are those of its value"),
        (RuledAttr("f", "", (1,), a.shape), (a, a), "its rule passes cotangents to operands that it has not"),
    ]
    for attr, args, message in broken:
        other = copy_graph(graph)
        node = other._make("ruled", tuple(other.inputs[arg.attr.name] for arg in args), attr, NO_AXES, "float64")
        other.outputs = [("f", node)]
        with pytest.raises(gradc.GraphError, match=message):
            verify(other)


def _used(own: Any, args: Any = None) -> Callable[[], Any]:
    return lambda: gradc.compile(lambda x: np.sum(own(x)), args or {"x": "n"}, jit=False)


def _identity(x: Any) -> Any:
    return x * 1.0


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: gradc.operation(wave_itself, partials=("1",)), "wave_itself has 2 arguments (x, y), and partials has 1"),
    (lambda: gradc.operation(wave_itself, partials={"x": "1"}), "partials leaves out y, which is an argument of wave_itself"),
    (lambda: gradc.operation(wave_itself, partials={"z": "1"}), "partials names z, which is no argument of wave_itself"),
    (lambda: gradc.operation(wave_itself), "an operation has either partials=, of a function of numbers, or vjp="),
    (lambda: gradc.operation("x", partials="1"), "an operation is made from a Python function, not from type str"),
    (_used(gradc.operation(_identity, partials="2 * z")), "(its partial by x) uses z, which is no argument"),
    (_used(gradc.operation(_identity, partials="2 *")), "the operation _identity (its partial by x): "),
    (_used(gradc.operation(_identity, partials="x, x")), "(its partial by x) is no single number"),
    (_used(gradc.operation(lambda x: x if x > 0 else -x, partials="1")), "the operation <lambda> cannot be traced: a Python branch"),
    (_used(gradc.operation(_identity, partials=lambda x: x if x > 0 else -x)), "(its partial by x) cannot be traced: a Python"),
    (_used(gradc.operation(lambda x: (x, x), partials="1")), "the operation <lambda> gives no single number for numbers"),
    (lambda: gradc.compile("f(x)", operations={"f": _declared_on_arrays()}), "the operation f is declared on arrays"),
    (lambda: gradc.compile("f(2)", operations={"f": _with_partial_by_a_whole_number()}), "by n, which is a whole number"),
    (lambda: gradc.compile("f(x, x)", operations={"f": gradc.operation(_identity, partials="1")}), "_identity takes 1 operands"),
    (lambda: gradc.compile("sin(x)", operations={"sin": gradc.operation(_identity, partials="1")}), "'sin' is a function already"),
    (lambda: gradc.compile("f(x)", operations=[np.sin]), "operations holds a value of type ufunc: make it with gradc.operation"),
    (lambda: gradc.compile(_identity, {"x": ""}, operations=[gradc.operation(_identity, partials="1")]), "operations= are what a formula"),
    (lambda: gradc.operation(_identity, vjp=lambda x: x), "the vjp of _identity takes 1 arguments, not 2"),
    (lambda: gradc.operation(_identity, vjp=lambda x, c: x, jvp=lambda x: x), "the jvp of _identity takes 1 arguments, not 2"),
    (_used(gradc.operation(_identity, vjp=lambda x, c: (c, c))), "the vjp of _identity gives 2 results for 1 arguments"),
    (_used(gradc.operation(_identity, vjp=lambda x, c: np.sum(c))), "gives x a cotangent of shape (), but it has shape (x_0)"),
    (_used(gradc.operation(_identity, vjp=lambda x, c: c if c > 0 else x)), "the operation _identity (its vjp) cannot be traced"),
    (_used(gradc.operation(lambda x: (x, x), vjp=lambda x, c: c)), "the operation <lambda> gives several results"),
    (_used(gradc.operation(lambda x: x > 0, vjp=lambda x, c: c)), "the value of <lambda> is bool, which has no derivative"),
    (_used(gradc.operation(lambda x: x * 1.0, vjp=lambda x, c: c), {"x": "int n"}), "gives a cotangent for x, which is int64"),
    (lambda: gradc.compile("sum(f(x[i] * x) @ x for i in range(n))", {"x": "n"}, operations={
        "f": gradc.operation(_identity, vjp=lambda x, c: c)}), "takes whole arrays, and stands in a generator here"),
    (lambda: gradc.compile("f(k[0], 1.0)", {"k": "int n"}, operations={"f": _series("sum(x for i in range(n))")}),
     "the size n is a whole number that is computed"),
    (lambda: gradc.compile("f(k[0], 1.0)", {"k": "int n"}, operations={"f": _series("x * (n // 2)")}),
     "(n//2) divides a whole number that is computed"),
    (lambda: gradc.operation(_identity, vjp=lambda x, c: 2 * c).check(np.ones(2)), "the vjp of _identity differs from differences"),
    (lambda: gradc.operation(_identity, vjp=lambda x, c: c, jvp=lambda x, d: -d).check(np.ones(2)), "the jvp of _identity differs"),
]


def _series(partial: str) -> Any:
    return gradc.operation(_power, partials=(None, partial))


def _power(n: int, x: Any) -> Any:
    return x**n


def _declared_on_arrays() -> Any:
    def f(x):  # type: ignore[no-untyped-def]
        return x

    f.__annotations__ = {"x": "'n'"}
    return gradc.operation(f, partials="1")


def _with_partial_by_a_whole_number() -> Any:
    def f(n):  # type: ignore[no-untyped-def]
        return n * 1.0

    f.__annotations__ = {"n": int}
    return gradc.operation(f, partials="1")


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_rules_that_do_not_fit_are_told(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(gradc.GradcError) as caught:
        wrong()
    assert message in str(caught.value)
