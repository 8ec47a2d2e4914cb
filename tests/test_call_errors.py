"""Every refusal of a call, of `wrt`, of `out` and of a derivative: its class, and a message that names the thing.

Each is tried on the plain and on the compiled function, before and after the call has its own signature.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc
from gradc.compiler.compiled import Options
from gradc.compiler.derive import gradient
from gradc.compiler.function import Function
from gradc.compiler.pullback import local_pullback
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import (
    ArgumentError,
    DerivativeError,
    DomainError,
    FormulaError,
    GradcError,
    ShapeError,
    UnsupportedError,
)
from gradc.ir.graph import Graph
from gradc.ir.interpret import evaluate

SHAPES = {"x": "n", "A": "n m", "k": "int", "flag": "bool", "t": "3", "half": "float32 n"}
FORMULA = "sum(A[i, j] * x[i] for i in range(n) for j in range(m)) * scale + k * sum(t) + sum(half) * flag"
GOOD: dict[str, Any] = {"x": np.ones(2), "A": np.ones((2, 4)), "k": 2, "flag": True, "t": np.ones(3),
                        "half": np.ones(2, np.float32), "scale": 1.5}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "compiled"])
def f(request: pytest.FixtureRequest) -> Function:
    made = gradc.compile(FORMULA, SHAPES, jit=request.param)
    assert made(**GOOD) == 20.0
    return made


BAD_VALUES = [
    # unknown, missing and extra arguments
    ({"scal": 2.0}, ArgumentError, "there is no argument scal: did you mean scale?"),
    ({"q": 2.0}, ArgumentError, "there is no argument q: the arguments are x, A, k, flag, t, half, scale"),
    # kinds of data
    ({"x": np.ones(2, complex)}, ArgumentError,
     "the argument x has dtype complex128, which has no place in a real function: give float64 values"),
    ({"scale": 1j}, ArgumentError, "the argument scale has dtype complex128"),
    ({"scale": "1.5"}, ArgumentError, "the argument scale has dtype <U3"),
    ({"scale": None}, ArgumentError, "the argument scale has dtype object"),
    ({"x": np.array([1, None])}, ArgumentError, "the argument x has dtype object"),
    ({"x": [[1.0], [1.0, 2.0]]}, ArgumentError,
     "the argument x is no array (setting an array element with a sequence"),
    ({"x": np.ones(2, np.longdouble)}, ArgumentError,
     f"the argument x has dtype {np.dtype(np.longdouble)}: convert it to float64 yourself"),
    ({"x": np.ma.masked_array(np.ones(2), [True, False])}, ArgumentError,
     "the argument x is a masked array, whose mask would be lost: give x.filled(...)"),
    ({"k": 2.0}, ArgumentError,
     "the argument k must be int64, but it has dtype float64: convert it with np.asarray(k, dtype=np.int64)"),
    ({"k": np.uint64(2)}, ArgumentError, "the argument k must be int64, but it has dtype uint64"),
    ({"flag": 1}, ArgumentError, "the argument flag must be bool, but it has dtype int64"),
    ({"half": np.ones(2)}, ArgumentError, "the argument half is declared float32, but it has dtype float64: convert "
                                          "it with np.asarray(half, dtype=np.float32), or declare it float64"),
    # ranks
    ({"x": np.ones((2, 1))}, ShapeError, "the argument x must be an array of 1 dimension (n,), but it has shape "
                                         "(2, 1): reshape it, or declare another shape in args"),
    ({"x": 1.0}, ShapeError, "the argument x must be an array of 1 dimension (n,), but it has shape ()"),
    ({"A": np.ones(2)}, ShapeError, "the argument A must be an array of 2 dimensions (n, m), but it has shape (2,)"),
    ({"scale": np.ones(2)}, ShapeError, "the argument scale must be a scalar, but it has shape (2,)"),
    # dimensions
    ({"x": np.ones(5)}, ShapeError, "A.shape[0] is 2, but n (x.shape[0]) is 5: these two must be equal"),
    ({"half": np.ones(7, np.float32)}, ShapeError, "half.shape[0] is 7, but n (x.shape[0]) is 2"),
    ({"t": np.ones(4)}, ShapeError, "t.shape[0] is 4, but it is declared to be 3"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_VALUES, ids=lambda value: str(value)[:30])
def test_a_bad_argument_is_named(f: Function, change: dict[str, Any], error: type[GradcError], message: str) -> None:
    for _ in range(2):
        with pytest.raises(error) as caught:
            f(**{**GOOD, **change})
        assert message in str(caught.value)
        assert caught.value.__cause__ is None


def test_missing_and_extra_arguments_are_named(f: Function) -> None:
    values = list(GOOD.values())
    cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        (tuple(values[:-1]), {}, "the argument scale is missing: the function takes (x, A, k, flag, t, half, scale)"),
        ((), {k: v for k, v in GOOD.items() if k not in ("x", "t")}, "the arguments x, t are missing"),
        ((*values, 1.0, 2.0), {}, "9 positional arguments were given, but the function takes 7 "
                                  "(x, A, k, flag, t, half, scale): leave out the last 2"),
        ((), {}, "the arguments x, A, k, flag, t, half, scale are missing"),
    ]
    for args, keywords, message in cases:
        for _ in range(2):
            with pytest.raises(ArgumentError) as caught:
                f(*args, **keywords)
            assert message in str(caught.value)


def test_an_argument_given_twice_is_named(f: Function) -> None:
    """Once compiled, the call has parameters of its own, and Python itself refuses (also a TypeError)."""
    with pytest.raises(TypeError, match="the argument x is given twice, by position and by name|values for argument 'x'"):
        f(*GOOD.values(), x=np.ones(2))
    with pytest.raises(ArgumentError, match="the argument x is given twice, by position and by name: give it once"):
        gradc.compile("x * y", jit=False)(1.0, 2.0, x=3.0)


def test_dimensions_that_meet_in_an_expression_must_be_equal() -> None:
    for jit in (False, True):
        f = gradc.compile("sum(x * y)", {"x": "n", "y": "m"}, jit=jit)
        for _ in range(2):
            with pytest.raises(ShapeError, match=r"and . \(y.shape\[0\]\) is 3|\(x.shape\[0\]\) is 2") as caught:
                f(np.ones(2), np.ones(3))
            assert "they meet in one expression and must be equal" in str(caught.value)
    g = gradc.compile("sum(x + y)", {"x": "n-1", "y": "m", "z": "n"}, jit=False)
    with pytest.raises(ShapeError, match=r"n - 1 \(computed\) is 3"):
        g(np.ones(3), np.ones(2), np.ones(4))


def test_a_computed_dimension_names_what_it_must_be() -> None:
    f = gradc.compile("sum(x) + sum(z)", {"x": "n-1", "z": "n"}, jit=False)
    with pytest.raises(ShapeError, match=r"x.shape\[0\] is 3, but n - 1 is 4: these two must be equal"):
        f(np.ones(3), np.ones(5))


def test_an_integer_argument_and_a_dimension_of_one_name_must_agree() -> None:
    f = gradc.compile("sum(x[i] * n for i in range(n))", {"x": "n", "n": "int"}, jit=False)
    with pytest.raises(ShapeError, match=r"x.shape\[0\] is 3, but n \(the argument n\) is 2"):
        f(np.ones(3), 2)


def test_an_index_outside_is_refused() -> None:
    for jit in (False, True):
        f = gradc.compile("x[k]", {"x": "n", "k": "int"}, jit=jit)
        for function in (f, f.grad):
            for k in (-1, 3):
                with pytest.raises(ShapeError, match=r"the index of x along axis 0 is outside 0 .. n - 1 in x\[k\]"):
                    function(np.ones(3), k)


def test_an_empty_reduction_is_refused() -> None:
    for jit in (False, True):
        f = gradc.compile("mean(x)", {"x": "n"}, jit=jit)
        with pytest.raises(DomainError, match="mean over an empty axis of dimension n"):
            f(np.ones(0))


def test_a_mean_over_several_generators_is_refused_where_nothing_is_left() -> None:
    f = gradc.compile("mean(u[i] for i in range(n) if u[i] > 9 for j in range(n))", {"u": "n"}, jit=False)
    assert f([1.0, 10.0, 12.0]) == 11.0
    assert f.grad([1.0, 10.0, 12.0]).tolist() == [0.0, 0.5, 0.5]
    for call in (f, f.grad):
        with pytest.raises(DomainError, match="mean over the dimension n: its condition holds nowhere"):
            call([1.0, 1.0])


def test_conditions_are_asked_in_order_so_one_can_protect_the_next() -> None:
    f = gradc.compile("1 if n > 0 and max(x[i] for i in range(n)) > 0 else 2", {"x": "n"}, jit=False)
    g = gradc.compile("1 if n == 0 or max(x[i] for i in range(n)) > 0 else 2", {"x": "n"}, jit=False)
    for point, first, second in (([], 2, 1), ([1.0], 1, 1), ([-1.0], 2, 2)):
        assert f(point) == evaluate(f.graph, {"x": np.array(point)})[0] == first
        assert g(point) == evaluate(g.graph, {"x": np.array(point)})[0] == second
    h = gradc.compile("1 if max(x[i] for i in range(n)) > 0 and n > 0 else 2", {"x": "n"}, jit=False)
    with pytest.raises(DomainError, match="max over an empty axis"):
        h([])


# -- out= ---------------------------------------------------------------------------------------


def test_a_result_without_arrays_takes_no_out(f: Function) -> None:
    with pytest.raises(ArgumentError, match="out= was given, but the result has no array: leave it out"):
        f(**GOOD, out=np.empty(2))


@pytest.mark.parametrize("jit", [False, True])
def test_a_bad_out_is_refused(jit: bool) -> None:
    f = gradc.compile("sum(x**2)", {"x": "n"}, jit=jit).grad
    x = np.ones(4)
    locked = np.empty(4)
    locked.flags.writeable = False
    cases: list[tuple[Any, type[GradcError], str]] = [
        ([1.0, 2.0, 3.0, 4.0], ArgumentError, "out must be one array"),
        ((np.empty(4), np.empty(4)), ArgumentError, "out must be one array"),
        (3.0, ArgumentError, "out must be one array"),
        ([[0.0] * 4], ArgumentError, "out for x must be a NumPy array of dtype float64"),
        (np.empty(4, np.float32), ArgumentError, "out for x must be a NumPy array of dtype float64"),
        (np.empty(4, int), ArgumentError, "out for x must be a NumPy array of dtype float64"),
        (np.empty(5), ShapeError, "out for x has shape (5,), but the result has shape (4,)"),
        (np.empty((4, 1)), ShapeError, "out for x has shape (4, 1), but the result has shape (4,)"),
        (np.empty(8)[::2], ArgumentError, "out for x must be C-contiguous, aligned and writeable: use np.empty((4,))"),
        (locked, ArgumentError, "out for x must be C-contiguous, aligned and writeable"),
        (x, ArgumentError, "out for x shares memory with an argument: give an array of its own"),
        (x[:], ArgumentError, "out for x shares memory with an argument"),
    ]
    for _ in range(2):
        for out, error, message in cases:
            with pytest.raises(error) as caught:
                f(x, out=out)
            assert message in str(caught.value)
        np.testing.assert_array_equal(f(x, out=np.empty(4)), 2.0 * x)
    assert x.tolist() == [1.0] * 4


def test_a_bad_tuple_of_outs_is_refused() -> None:
    f = gradc.compile("sum(x * y)", {"x": "n", "y": "n"}, jit=False).grad
    shared = np.empty(6)
    for out, message in ((np.empty(3), r"out must be a tuple of 2 arrays \(x, y\)"),
                         ((np.empty(3),), r"out must be a tuple of 2 arrays \(x, y\)"),
                         ((shared[:3], shared[2:5]), "two arrays in out share memory: give each its own")):
        with pytest.raises(ArgumentError, match=message):
            f(np.ones(3), np.ones(3), out=out)


def test_out_that_overlaps_an_argument_in_part_is_refused_compiled_too() -> None:
    f = gradc.compile("sum(x[i] * x[i + 1] for i in range(n - 1))", {"x": "n"}).grad
    held = np.arange(10.0)
    for _ in range(2):
        with pytest.raises(ArgumentError, match="shares memory"):
            f(held[:5], out=held[3:8])
        with pytest.raises(ArgumentError, match="shares memory"):
            f(held[5:], out=np.frombuffer(held.data, count=5, offset=16))


# -- wrt, expressions, options ------------------------------------------------------------------


@pytest.mark.parametrize(("wrt", "message"), [
    ("q", "wrt names q, which is no argument: the arguments are k, x, y"),
    ("k", "wrt names k, which is int64: only real arguments can be differentiated by"),
    ("x, x", "wrt names an argument twice: list each once"),
    (("x", "q"), "wrt names q, which is no argument"),
])
def test_a_bad_wrt_is_named(wrt: Any, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        gradc.compile("x * y + k", {"k": "int"}, wrt=wrt)
    assert message in str(caught.value)


def test_what_is_no_expression_is_refused() -> None:
    for wrong in (3, None, [], ["x"], b"x", object()):
        with pytest.raises(UnsupportedError, match="cannot be compiled: give a formula string, a SymPy expression or a Python function"):
            gradc.compile(wrong)


def test_there_is_nothing_to_differentiate_by() -> None:
    for formula, args in (("2 + 3", None), ("k * 2.0", {"k": "int"})):
        f = gradc.compile(formula, args, jit=False)
        for derivative in ("grad", "value_and_grad"):
            with pytest.raises(DerivativeError, match="there is no argument to differentiate by: declare a real"):
                getattr(f, derivative)
    with pytest.raises(DerivativeError, match="there is no argument to differentiate by: name one in wrt"):
        _ = gradc.compile("x * y", wrt=(), jit=False).grad


@pytest.mark.parametrize("jit", [False, True])
def test_whole_numbers_are_not_divided_by_zero_silently(jit: bool) -> None:
    args = {"k": "int", "j": "int", "x": ""}
    for formula, place in (("k//j*x", "k//j"), ("k % j * x", "k % j")):
        f = gradc.compile(formula, args, jit=jit)
        assert f(7, 2, 1.0) == eval(formula, {"k": 7, "j": 2, "x": 1.0})
        with pytest.raises(DomainError, match=f"a whole number is divided by 0 in {place}: give another divisor"):
            f(7, 0, 1.0)
    f = gradc.compile("(k//j if j != 0 else 3) * x", args, jit=jit)
    assert (f(7, 2, 1.0), f(7, 0, 1.0)) == (3.0, 3.0)
    f = gradc.compile("sum(x for i in range(k//j))", args, jit=jit)
    assert f(7, 2, 1.0) == 3.0
    with pytest.raises(DomainError, match=r"the size \(k//j\) divides by 0: give another divisor"):
        f(7, 0, 1.0)
    f = gradc.compile("k**j * x", args, jit=jit)
    assert f(2, -1, 3.0) == 1.5
    assert f.grad(2, -1, 3.0) == 0.5


def test_a_gradient_needs_one_real_scalar() -> None:
    cases = [
        ("x, 2 * x", None, "the gradient needs one scalar output, this function has 2: compile one of them"),
        ("2 * v", {"v": "n"}, "the gradient needs one scalar output, this one is an array of shape (n): reduce it, "
                              "for example with sum(...), or use .vjp with a cotangent, or .jacobian"),
        ("x > 0", None, "the output is bool and has no derivative: return a real number"),
        ("argmax(v)", {"v": "n"}, "the output is int64 and has no derivative: return a real number"),
    ]
    for formula, args, message in cases:
        with pytest.raises(DerivativeError) as caught:
            _ = gradc.compile(formula, args, jit=False).grad
        assert message in str(caught.value)


def test_the_gate_refuses_what_forward_did_not_return() -> None:
    f = gradc.compile("q = exp(x); q * y, q", jit=False)
    _, saved = f.forward(1.0, 2.0)
    for wrong in (None, (1.0, 2.0), saved._replace(values=())):
        with pytest.raises(ArgumentError, match="saved must be what this function's forward returned as its second"):
            f.backward(wrong, (1.0, 1.0))
    with pytest.raises(ArgumentError, match="d_value must hold 2 cotangents, one for each output"):
        f.backward(saved, (1.0, 1.0, 1.0))


def test_the_gate_refuses_a_cotangent_of_another_shape() -> None:
    f = gradc.compile("2 * x", {"x": "n"}, jit=False)
    _, saved = f.forward(np.ones(3))
    with pytest.raises(ShapeError, match=r"d_value.shape\[0\] is 2, but n \(x.shape\[0\]\) is 3"):
        f.backward(saved, np.ones(2))


def test_a_result_has_no_field_of_another_name() -> None:
    found = gradc.compile("x * y", jit=False).grad(1.0, 2.0)
    with pytest.raises(GradcError, match="Gradient has no field 'z'. Its fields are 'x', 'y'"):
        found["z"]


def test_operations_without_a_rule_are_refused_by_name() -> None:
    """Of the table all have a rule; what has none can come only from a graph made by hand."""
    g = Graph()
    x = g.input("x", shape=["n"])
    axis = Axis(Dim.of("n"), 0)
    running = g.scan("prod", axis, (g.read(x, [g.axis(axis)]),), inclusive=True)
    g.outputs = [("f", g.reduce("sum", axis, running))]
    with pytest.raises(DerivativeError, match="an inclusive running product has no derivative rule"):
        _ = Function(g, ("x",), Options(jit=False)).grad
    with pytest.raises(DerivativeError, match="there is no real argument|one scalar output, this function has 0"):
        gradient(Graph(), [], with_value=False, kinks="subgradient")
    with pytest.raises(DerivativeError, match="the operation input has no derivative rule: rewrite the expression"):
        list(local_pullback(g, x, x, frozenset(), {}, {}, "subgradient"))


def test_the_compiled_function_itself_refuses_in_its_own_words() -> None:
    """`.jit` has no slow path: it raises what nopython code can raise."""
    f = gradc.compile("sum(x * y)", {"x": "n", "y": "n"})
    with pytest.raises(ValueError, match=r"y.shape\[0\] must equal n"):
        f.jit(np.ones(2), np.ones(3))
    with pytest.raises(TypeError, match="No matching definition"):
        f.jit(np.ones(2), [1, 2])


def test_every_error_is_one_of_ours_and_of_pythons() -> None:
    assert issubclass(ArgumentError, TypeError)
    for kind in (ShapeError, DomainError, DerivativeError, FormulaError):
        assert issubclass(kind, ValueError)
        assert issubclass(kind, GradcError)
