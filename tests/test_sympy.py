"""SymPy expressions mean in gradc what they mean in SymPy: values, gradients, sums, arguments, size."""

from __future__ import annotations

import math
import random
import sys
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import (
    ITE,
    And,
    Derivative,
    Dummy,
    Eq,
    Equivalent,
    Implies,
    IndexedBase,
    KroneckerDelta,
    Matrix,
    Max,
    Min,
    Mod,
    Ne,
    Not,
    Or,
    Piecewise,
    Product,
    Rational,
    Subs,
    Sum,
    Symbol,
    Xor,
    symbols,
)
from sympy.codegen import cfunctions, numpy_nodes
from sympy.logic.boolalg import Xnor

from gradc.compiler.from_sympy import convert
from gradc.ir.interpret import evaluate
from gradc.ir.table import operation, sympy_names
from gradc.ir.verify import verify

from .sources import printed_in_processes
from .sympy_reference import (
    close,
    converted,
    exact_derivative,
    exact_value,
    gradient_of,
    ops,
    random_point,
    value_of,
)

x, y, z = symbols("x y z")
r = Symbol("r", real=True)
p = Symbol("p", positive=True)
i, j, k, m, n = symbols("i j k m n", integer=True)
X, A = IndexedBase("X", shape=(n,)), IndexedBase("A", shape=(n, m))
U, B = IndexedBase("U"), IndexedBase("B")  # without a shape


# -- functions and operators ------------------------------------------------------------------

DOMAINS = {
    "Pow": ((0.1, 5.0), (-3.0, 3.0)),
    "cbrt": ((0.1, 9.0),),
    "asec": ((1.1, 9.0),),
    "acsc": ((1.1, 9.0),),
}
ORDERED = ("besselj", "bessely", "besseli", "expint", "polygamma")


@pytest.mark.parametrize("name", sorted(sympy_names()))
def test_every_function_of_the_table_has_sympys_value_and_derivative(name: str) -> None:
    entry = operation(sympy_names()[name])
    function, rng = getattr(sympy, name), random.Random(name)
    a, b = symbols("a b", real=True)
    if name == "Not":
        assert value_of(Not(a > 1), {a: 2.0}) == False  # noqa: E712
        return
    for trial in range(4):
        domain = DOMAINS.get(name, entry.domain)
        operands = [a, b][: len(domain)]
        point = {
            s: rng.uniform(max(low, -9.0), min(high, 9.0))
            for s, (low, high) in zip(operands, domain, strict=False)
        }
        if name in ORDERED:
            operands[0], point = sympy.Integer(trial), {b: point[b]}
        expr = function(*operands, evaluate=name not in ("Max", "Min")) if name != "cbrt" else function(a)
        want = exact_value(expr, point)
        got = value_of(expr, point)
        assert bool(got) is want if isinstance(want, bool) else close(got, want, 1e-12), (expr, point)
        if isinstance(want, bool) or name in ("Mod", "floor", "ceiling", "sign"):
            continue
        for symbol, derivative in zip(point, gradient_of(expr, point).values(), strict=True):
            assert close(derivative, exact_derivative(expr, symbol, point), 1e-11), (expr, symbol, point)


EXPRESSIONS = [
    -2.5 * x * y,
    sympy.sign(x) * sympy.Abs(y) ** Rational(1, 3),
    x - y,
    x**2 - y - 1,
    -x - y,
    2 * x - 3 * y * z,
    -x * y,
    -2 * x / y,
    x / 3,
    2 * x / 3,
    -x / 3,
    (x + 1) / 2,
    x / sympy.pi,
    x * y / z,
    x / y * z,
    x / (y * z),
    1 / (x * y),
    x**-2,
    x**-3.5,
    x**20,
    (x + y) ** 2 / (x - y - 5) ** 2,
    2.5 * x,
    10**30 * x,
    Rational(10**40, 3) * x,
    sympy.E * x + sympy.EulerGamma * y,
    sympy.GoldenRatio * x - sympy.Catalan,
    sympy.TribonacciConstant * x,
    sympy.sqrt(x) / y,
    1 / sympy.sqrt(x),
    x ** Rational(3, 2),
    sympy.root(x, 3),
    sympy.cbrt(p),
    sympy.root(p, 3) / x,
    sympy.real_root(x, 3),
    sympy.real_root(r, 3),
    sympy.root(x, 5),
    x**y,
    x**n,
    2**n * x,
    (-1) ** n * x,
    sympy.exp(2 * x),
    sympy.Pow(sympy.E, x, evaluate=False),
    sympy.log(x, 2),
    sympy.log(x, 10) * y,
    sympy.log(x, y),
    sympy.log(x, y, evaluate=False),
    sympy.log(x, 10, evaluate=False),
    sympy.log(x) / sympy.log(3),
    sympy.sinc(x),
    sympy.factorial(x),
    sympy.factorial(n) * x,
    sympy.binomial(x, 1),
    sympy.binomial(x, 3),
    sympy.binomial(n, 2) * x,
    sympy.binomial(x + 5, y),
    sympy.digamma(x),
    sympy.trigamma(x),
    sympy.polygamma(0, x),
    sympy.E1(x),
    sympy.besselj(0, x),
    sympy.besselj(1, x),
    sympy.besselj(n, x),
    sympy.besselj(-2, x),
    sympy.bessely(0, x),
    sympy.bessely(1, x),
    sympy.besseli(0, x),
    sympy.besseli(1, x),
    sympy.beta(x, x),
    sympy.Abs(x - y),
    sympy.sign(x - y) * x,
    Max(x, y, 3),
    Min(x, y, z, 2),
    sympy.re(x) * y,
    sympy.im(x) + y,
    sympy.conjugate(x) * x,
    sympy.Heaviside(x - y) * x,
    sympy.Heaviside(x - y, 1) + x,
    sympy.Heaviside(y - x, 0) * y,
    KroneckerDelta(n, 2) * x,
    KroneckerDelta(n, m) * x,
    Piecewise((x**2, x > y), (y, True)),
    Piecewise((sympy.sqrt(x - 2), x > 2), (y, And(y > 1, y < 2)), (z, Or(z > 3, x > 1)), (0, True)),
    Piecewise((x, Xor(x > 2, y > 2)), (y, Implies(x > 2, z > 2)), (z, True)),
    Piecewise((x, Equivalent(x > 2, y > 2, z > 2)), (y, ITE(x > 2, y > 2, z > 2)), (z, True)),
    Piecewise((x, Eq(n, 3)), (y, Ne(n, m)), (z, True)),
    n * (n - 1) / 2 * x,
    n * m * x - n,
    x**n / sympy.factorial(n),
    sympy.floor((n + 1) / 2) * x,
    sympy.ceiling(n / 3) * x,
    sympy.floor(n / 2 + m / 3) * x,
    Derivative(sympy.sin(x) * y, x),
    Derivative(x * Derivative(x**3 * y, x), x),
    Subs(x**2 * y, x, 3) * z,
    Subs(Derivative(sympy.sin(x), x), x, y),
    Subs(x + 2 * y, (x, y), (y, x)),
    sympy.UnevaluatedExpr(x + 1) * y,
    sympy.erf2(0, x) - y,
]


@pytest.mark.parametrize("expr", EXPRESSIONS, ids=str)
def test_values_and_gradients_are_sympys(expr: Any) -> None:
    rng = random.Random(str(expr))
    for _ in range(3):
        point = random_point(expr, rng)
        assert close(value_of(expr, point), exact_value(expr, point)), point
        for name, derivative in gradient_of(expr, point).items():
            symbol = next(s for s in point if s.name == name)
            assert close(derivative, exact_derivative(expr, symbol, point), 1e-11), (name, point)


@pytest.mark.parametrize(
    ("expr", "want"),
    [
        (cfunctions.expm1(x), math.expm1(0.3)),
        (cfunctions.log1p(x), math.log1p(0.3)),
        (cfunctions.exp2(x), 2**0.3),
        (cfunctions.log2(x), math.log2(0.3)),
        (cfunctions.log10(x), math.log10(0.3)),
        (cfunctions.Sqrt(x), math.sqrt(0.3)),
        (cfunctions.Cbrt(-x), -math.cbrt(0.3)),
        (cfunctions.hypot(x, 4), math.hypot(0.3, 4)),
        (cfunctions.fma(x, 2, 1), 1.6),
        (numpy_nodes.logaddexp(x, 1), float(np.logaddexp(0.3, 1))),
        (sympy.frac(-x), 0.7),
        (sympy.floor(-x / 2) + sympy.ceiling(x / 2 + 1) + x, 1.3),
        (Mod(-x, 2), 1.7),
        (sympy.erfcinv(x), 0.7328690779592168),
        (sympy.erf2(x, 1), math.erf(1) - math.erf(0.3)),
        (Max(x, -sympy.oo, evaluate=False), 0.3),
        (sympy.binomial(5, x - x + 7, evaluate=False) + x, 0.3),
    ],
    ids=str,
)
def test_functions_that_sympy_cannot_evaluate_have_their_value(expr: Any, want: float) -> None:
    assert math.isclose(value_of(expr, {x: 0.3}), want, rel_tol=1e-14)


@pytest.mark.parametrize(
    ("expr", "want"),
    [
        (And(x > 1, y < 2), False),
        (Or(x > 1, y < 2), True),
        (Not(And(x > 1, y < 2)), True),
        (Xor(x > 0, y > 0, x > 9), False),
        (sympy.Nand(x > 1, y < 2, evaluate=False), True),
        (sympy.Nor(x > 3, y < 2, evaluate=False), True),
        (Xnor(x > 0, y > 0, evaluate=False), True),
        (Implies(x > 1, y < 2), False),
        (Equivalent(x > 1, y > 1, y > 2), True),
        (ITE(x > 1, y > 1, y > 9), True),
        (Implies(x > 9, y < 2), True),
        (sympy.true, True),
        (Eq(x, 2.0), True),
        (Ne(x, 2.0), False),
        (sympy.false, False),
        (True, True),
    ],
    ids=str,
)
def test_conditions_are_truth_values(expr: Any, want: bool) -> None:
    graph = converted(expr)
    assert graph.outputs[0][1].dtype == "bool"
    assert bool(evaluate(graph, {name: {"x": 2.0, "y": 3.0}[name] for name in graph.inputs})[0]) is want


def test_literal_conditions_are_absorbed() -> None:
    never = Eq(1, 2, evaluate=False)
    for expr, want in [
        (And(x > 1, ~never, evaluate=False), True),
        (Or(never, x > 1, evaluate=False), True),
        (And(never, x > 1, evaluate=False), False),
        (Xor(x > 1, ~never, evaluate=False), False),
        (ITE(never, x > 9, x > 1, evaluate=False), True),
        (Implies(never, x > 9, evaluate=False), True),
        (Implies(x > 9, never, evaluate=False), True),
        (Implies(~never, x > 1, evaluate=False), True),
        (Equivalent(x > 1, ~never, evaluate=False), True),
        (Equivalent(x > 1, never, ~never, evaluate=False), False),
        (KroneckerDelta(1, 2, evaluate=False) > x, False),
    ]:
        assert bool(value_of(expr, {x: 2.0, y: 3.0})) is want, expr
    assert (
        value_of(Piecewise((y, never), (x, ~never), (z, True), evaluate=False), {x: 2.0, y: 3.0, z: 4.0})
        == 2.0
    )


def test_symbols_as_conditions_are_truth_arguments() -> None:
    graph = converted(Piecewise((x, And(y, Not(z))), (-x, True)))
    assert [node.dtype for node in graph.inputs.values()] == ["float64", "bool", "bool"]
    assert evaluate(graph, {"x": 2.0, "y": True, "z": False})[0] == 2.0
    assert evaluate(graph, {"x": 2.0, "y": True, "z": True})[0] == -2.0


def test_a_piecewise_without_a_default_is_nan_where_nothing_holds() -> None:
    for expr in (Piecewise((x, x > 1)), Piecewise((x, x > 1), (sympy.nan, True))):
        assert value_of(expr, {x: 2.0}) == 2.0
        assert math.isnan(value_of(expr, {x: 0.0}))


def test_a_branch_that_is_not_taken_does_not_reach_the_gradient() -> None:
    expr = Piecewise((sympy.sqrt(x), x > 0), (0, True))
    assert gradient_of(expr, {x: 0.0}) == {"x": 0.0}


def test_principal_roots_of_negative_numbers_are_nan_and_real_roots_are_not() -> None:
    assert math.isnan(value_of(sympy.cbrt(x), {x: -8.0}))
    assert value_of(sympy.real_root(x, 3), {x: -8.0}) == -2.0
    assert gradient_of(sympy.real_root(r, 3), {r: -8.0}) == {"r": pytest.approx(1 / 12, rel=1e-15)}


def test_heaviside_has_its_value_at_zero_and_passes_nan_on() -> None:
    for given, want in [((), 0.5), ((1,), 1.0), ((Rational(1, 4),), 0.25), ((y,), 7.0)]:
        assert value_of(sympy.Heaviside(x, *given), {x: 0.0, y: 7.0}) == want
        assert math.isnan(value_of(sympy.Heaviside(x, *given), {x: math.nan, y: 7.0}))
    assert gradient_of(sympy.Heaviside(x), {x: 0.0}) == {"x": 0.0}


# -- the form of the graph --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "want"),
    [
        (x - y, ["sub"]),
        (x**2 - 1, ["pow", "sub"]),
        (x / y, ["div"]),
        (-x, ["neg"]),
        (1 / x, ["div"]),
        (x / 3, ["div"]),
        (x / (3 * y), ["mul", "div"]),
        (x * y / z, ["mul", "div"]),
        (sympy.sqrt(x), ["sqrt"]),
        (1 / sympy.sqrt(x), ["sqrt", "div"]),
        (sympy.log(x, 2), ["log2"]),
        (sympy.real_root(r, 3), ["cbrt"]),
        (sympy.besselj(0, x), ["j0"]),
        (3 * x / 2, ["mul"]),
        (sympy.polygamma(0, x), ["digamma"]),
        (x - 2 * y, ["mul", "sub"]),
        (sympy.cbrt(p), ["cbrt"]),
    ],
    ids=str,
)
def test_operators_are_written_as_a_person_writes_them(expr: Any, want: list[str]) -> None:
    assert ops(expr) == want


def test_unevaluated_expressions_keep_their_grouping() -> None:
    def add(*terms: Any) -> Any:
        return sympy.Add(*terms, evaluate=False)

    kahan = add(add(add(x, y), -x), -y)  # 0 in SymPy's arithmetic, the rounding error in ours
    assert value_of(kahan, {x: 1e16, y: 1.0}) == -1.0
    assert value_of(add(x, x), {x: 3.0}) == 6.0
    assert ops(sympy.Mul(sympy.Mul(x, 1 / y, evaluate=False), 1 / z, evaluate=False)) == ["div", "div"]
    assert ops(sympy.Mul(1, x, evaluate=False)) == ["mul"]


def test_equal_parts_are_one_node() -> None:
    shared = sympy.sin(x + y)
    assert ops(shared**2 + sympy.exp(shared)).count("sin") == 1
    assert ops(sympy.sin(x) * sympy.sin(sympy.Symbol("x"))) == ["sin", "pow"]


def test_products_of_integers_do_not_wrap_around() -> None:
    point = {n: 3_000_000_000, m: 4_000_000_000}
    assert value_of(n * m * (n - 1), point) == pytest.approx(3e9 * 4e9 * 3e9, rel=1e-9)
    assert value_of(n**7, point) == pytest.approx(3e9**7, rel=1e-14)
    assert value_of(2**40 * n * m, point) == pytest.approx(2**40 * 12e18, rel=1e-14)
    assert value_of(Product(i, (i, 1, n)), {n: 30}) == pytest.approx(math.factorial(30), rel=1e-14)


# -- outputs and arguments --------------------------------------------------------------------


def test_a_matrix_is_one_array_and_a_tuple_is_several_outputs() -> None:
    matrix = Matrix([[x, x * y, 0], [1, n, sympy.sin(x)]])
    for kind in (matrix, sympy.ImmutableMatrix(matrix), sympy.SparseMatrix(matrix)):
        graph = converted(kind)
        assert [name for name, _ in graph.outputs] == ["value"]
        want = [[2.0, 6.0, 0.0], [1.0, 4.0, math.sin(2.0)]]
        np.testing.assert_array_equal(evaluate(graph, {"x": 2.0, "y": 3.0, "n": 4})[0], want)
    for several in ((x, matrix.T, 2), [x, matrix.T, 2]):
        graph = converted(several)
        assert [name for name, _ in graph.outputs] == ["value_0", "value_1", "value_2"]
        first, second, third = evaluate(graph, {"x": 2.0, "y": 3.0, "n": 4})
        assert (first, second.shape, third) == (2.0, (3, 2), 2)
    assert len(converted(sympy.Tuple(x, y)).outputs) == 2
    assert converted(1.5).outputs[0][1].value == 1.5


def test_arguments_are_ordered_by_name_or_as_listed() -> None:
    expr = y * x + sympy.exp(z)
    assert list(converted(expr).inputs) == ["x", "y", "z"]
    assert list(converted(expr, (z, x, y)).inputs) == ["z", "x", "y"]
    assert list(converted(expr, ["z", x, "y"]).inputs) == ["z", "x", "y"]
    assert list(converted(expr, sympy.Tuple(z, x, y)).inputs) == ["z", "x", "y"]
    assert list(converted(expr, (z, x, y, "t", n)).inputs) == ["z", "x", "y", "t", "n"]
    assert list(converted(expr, {z: "", "y": "float32"}).inputs) == ["z", "y", "x"]


def test_declarations_give_types_and_shapes() -> None:
    expr = Sum(U[i] * x, (i, 0, k - 1))
    graph = converted(expr, {U: "float32 k", "x": "float32"})
    assert {name: node.dtype for name, node in graph.inputs.items()} == {"U": "float32", "x": "float32"}
    assert not graph.checks
    graph = converted(expr, {"U": "k+1"})
    assert list(graph.inputs) == ["U", "k", "x"]
    assert evaluate(graph, {"U": [1.0, 2.0, 3.0], "x": 2.0, "k": 2})[0] == 6.0
    graph = converted(Sum(U[i], (i, 0, 2)), {"U": "q+1"})
    assert list(graph.inputs) == ["U", "q"]
    assert list(converted(x * y, {x: "int"}).inputs) == ["x", "y"]
    assert list(converted(x, {"V": "n"}).inputs) == ["V", "x"]


def test_integer_symbols_are_dimensions_or_integer_arguments() -> None:
    assert list(converted(Sum(X[i], (i, 0, n - 1)) / n).inputs) == ["X"]
    assert list(converted(Sum(X[i], (i, 0, n - 1)) / n, (n, X)).inputs) == ["n", "X"]
    graph = converted(Sum(U[i], (i, 0, n - 1)) / n)
    assert {name: node.dtype for name, node in graph.inputs.items()} == {"U": "float64", "n": "int64"}
    plain = Symbol("n")  # what stands in a bound or in a shape is an integer
    assert converted(Sum(y**i, (i, 0, plain))).inputs["n"].dtype == "int64"
    assert list(converted(Sum(U[i], (i, 0, 2)) * plain, {"U": "n"}).inputs) == ["U"]


def test_dummies_of_one_name_are_told_apart() -> None:
    first, second = Dummy("x"), Dummy("x")
    graph = converted(first - 10 * second)
    assert list(graph.inputs) == ["x", "x_1"]
    assert evaluate(graph, {"x": 1.0, "x_1": 2.0})[0] == -19.0
    assert list(converted(first - second + x).inputs) == ["x", "x_1", "x_2"]
    assert list(converted(first - 10 * second, (second, first)).inputs) == ["x_1", "x"]


def test_an_undeclared_array_that_is_too_short_is_refused_by_size() -> None:
    graph = converted(Sum(U[i], (i, 0, n - 1)))
    with pytest.raises(Exception, match="the index of U along axis 0 is outside"):
        evaluate(graph, {"U": [1.0, 2.0], "n": 3})


def test_the_source_is_the_expression_where_it_is_small() -> None:
    assert converted(x + sympy.sin(y)).source == "x + sin(y)"
    assert converted((x, Matrix([[y]]))).source == "(x, Matrix([[y]]))"
    assert converted(sum(symbols("v:300"))).source == "a SymPy expression of 200 or more nodes"
    assert (
        converted(tuple(sum(symbols("v:150")) for _ in range(2))).source == "a SymPy expression of 302 nodes"
    )


# -- size and determinism ---------------------------------------------------------------------


def nested(levels: int) -> Any:
    expr = x
    for _ in range(levels):
        expr = sympy.Mul(sympy.sin(expr, evaluate=False), expr, evaluate=False)
    return expr


def test_a_chain_of_ten_thousand_levels_converts_without_recursion() -> None:
    limit = sys.getrecursionlimit()
    graph = convert(nested(10_000))
    verify(graph)
    assert len(graph.nodes) == 20_001
    assert sys.getrecursionlimit() == limit


def test_deep_choices_convert_without_recursion() -> None:
    choice = x
    for level in range(2_000):
        choice = Piecewise((choice, x > level), (sympy.sin(choice, evaluate=False), True), evaluate=False)
    graph = convert(choice)
    verify(graph)
    assert sum(node.op == "select" for node in graph.nodes) == 2_000


def test_a_dag_of_a_hundred_thousand_nodes_converts_each_once() -> None:
    rng, pool = random.Random(0), list(symbols("a:20"))
    for step in range(100_000):
        left, right = rng.choice(pool[-50:]), rng.choice(pool[-50:])
        if step % 5:
            pool.append((sympy.Add if step % 2 else sympy.Mul)(left, right, evaluate=False))
        else:
            pool.append(sympy.cos(left, evaluate=False))
    graph = convert(sympy.Add(*pool[-50:], evaluate=False))
    assert 60_000 < len(graph.nodes) < 100_100


def test_flattened_products_share_their_beginnings() -> None:
    expr = sympy.Dummy("own")  # an equal expression in SymPy's cache would be compared, all of it
    for _ in range(60):
        expr = sympy.sin(expr) * expr  # SymPy makes one product of k + 1 factors of it
    assert len(convert(expr).nodes) == 121


def test_wide_sums_of_integers_stay_linear() -> None:
    terms = symbols("v:2000", integer=True)
    assert len(convert(sympy.Add(*terms)).nodes) < 20_000


TEXTS = """
import sympy, sys
from sympy import *
from gradc.compiler.from_sympy import convert
x, y, z, w = symbols("x y z w"); i, n = symbols("i n", integer=True); X = IndexedBase("X")
d = Dummy("d"), Dummy("d")
for expr in [x*y - z/w + 3*sin(x)*w - y**2*z, Max(x, y, z, w, 2), Or(x > y, y > z, z > w), d[0]*2 - d[1],
             Sum(X[i]*x*z + y, (i, 0, n)), Piecewise((x, And(x > 1, y > 2, z > 3)), (w, True)), Min(*d, x)]:
    print(convert(expr))
"""


def test_the_same_graph_comes_out_in_every_process() -> None:
    texts = printed_in_processes(TEXTS)
    assert len(texts) == 1
    assert texts.pop().count("gradc graph 1") == 7
