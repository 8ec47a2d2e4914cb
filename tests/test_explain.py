"""The table of every node: the textbook circuit in numbers and symbols, arrays, fan-in, infinities."""

import io
import math

import numpy as np
import pytest
import sympy
from rich.console import Console

import gradc
from gradc.compiler.explain import Explanation
from gradc.compiler.symbols import number, shown
from gradc.ir.errors import ArgumentError, DomainError, ShapeError

from .sources import plain


@pytest.mark.parametrize("formula", ["q = x + y; f = q * z", "(x + y) * z"])
def test_the_textbook_circuit_in_numbers(formula):
    table = plain(formula).explain(x=-2, y=5, z=-4)
    assert [row.name for row in table.rows] == ["x", "y", "z", "q", "f"]
    assert [row.value for row in table.rows] == [-2.0, 5.0, -4.0, 3.0, -12.0]
    assert [row.derivative for row in table.rows] == [-4.0, -4.0, 3.0, -4.0, 1.0]
    assert [(p.symbol, p.value) for p in table["f"].partials] == [("df/dq", -4.0), ("df/dz", 3.0)]


@pytest.mark.parametrize("formula", ["q = x + y; f = q * z", "(x + y) * z"])
def test_the_textbook_circuit_in_symbols(formula):
    table = plain(formula).explain()
    assert table["q"].equation == "q = x + y"
    assert list(map(str, table["q"].partials)) == ["dq/dx = 1", "dq/dy = 1"]
    assert list(map(str, table["f"].partials)) == ["df/dq = z", "df/dz = q"]
    assert [row.rule for row in table.rows] == [
        "df/dx = df/dq · dq/dx = z", "df/dy = df/dq · dq/dy = z", "df/dz = q", "df/dq = z", "df/df = 1"]
    assert all(row.value is None and row.derivative is None for row in table.rows)


def test_the_plain_table_lines_up():
    assert str(plain("q = x + y; f = q * z").explain(-2, 5, -4)) == """\
q = x + y; f = q * z

node       value  local partials                 adjoint     uses
---------  -----  -----------------------------  ----------  ----
x             -2                                 df/dx = -4     1
y              5                                 df/dy = -4     1
z             -4                                 df/dz = 3      1
q = x + y      3  dq/dx = 1, dq/dy = 1           df/dq = -4     1
f = q * z    -12  df/dq = z = -4, df/dz = q = 3  df/df = 1"""


def test_fan_in_is_spelled_as_a_sum_over_the_users():
    table = plain("a = x * x; b = sin(x); f = a * b").explain()
    assert table["x"].rule == "df/dx = df/da · da/dx + df/db · db/dx = a * cos(x) + 2 * (b * x)"
    assert table["x"].uses == 3
    assert str(table["a"].partials[0]) == "da/dx = 2 * x"
    numbers = plain("a = x * x; b = sin(x); f = a * b").explain(x=2.0)
    assert numbers["x"].derivative == pytest.approx(4 * math.sin(2) + 4 * math.cos(2), rel=1e-15)


def test_a_direct_use_by_the_output_is_a_partial_derivative_when_there_are_others():
    table = plain("a = x * x; f = a + x").explain()
    assert table["x"].rule == "df/dx = df/da · da/dx + ∂f/∂x = 1 + 2 * x"
    assert [p.symbol for p in table["f"].partials] == ["df/da", "∂f/∂x"]


def test_an_argument_that_the_output_does_not_need_has_adjoint_zero():
    table = plain("x * 2.0", args=["x", "y"]).explain(x=1.0, y=5.0)
    assert (table["y"].derivative, table["y"].uses, table["y"].value) == (0.0, 0, 5.0)


def test_only_the_arguments_asked_for_have_adjoints():
    table = plain("(x + y) * z", wrt="x").explain(-2, 5, -4)
    assert [row.adjoint for row in table.rows] == ["df/dx", "", "", "df/dq", "df/df"]


def test_adjoints_of_arguments_agree_with_the_gradient():
    formula, args = "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", {"x": "n"}
    x = np.linspace(-1.0, 2.0, 5)
    f = plain(formula, args)
    gradient, row = f.grad(x), f.explain(x)["x"]
    assert row.derivative.shape == (5,)
    assert row.derivative.minimum == pytest.approx(gradient.min(), rel=1e-14)
    assert row.derivative.maximum == pytest.approx(gradient.max(), rel=1e-14)
    assert row.derivative.norm == pytest.approx(np.linalg.norm(gradient), rel=1e-14)


def test_arrays_show_shape_extremes_norm_and_the_first_index_that_is_not_finite():
    table = plain("sum(log(a[i, k]) for i in range(n) for k in range(K))", {"a": "n K"}).explain(
        np.array([[1.0, 2.0, 4.0], [1.0, 0.0, 1.0]]))
    assert str(table["a"].value) == "shape (2, 3), min 0, max 4, norm 4.79583"
    logs = table["q"].value
    assert logs.shape == (2, 3)
    assert logs.nonfinite == (1, 1)
    assert str(logs).endswith("min -inf, max 1.38629, norm inf, not finite at i = 1, k = 1")
    assert table["q"].mark == "value"


def test_indices_have_the_names_that_the_user_gave_them():
    formula = "sum(a[p, s] * b[s] for p in range(n) for s in range(K))"
    table = plain(formula, {"a": "n K", "b": "K"}).explain()
    assert "a[p, s]" in [row.name for row in table.rows]
    assert table["a[p, s]"].rule.startswith("df/da[p, s] = df/dq · dq/da[p, s] = b[s]")
    assert table["a"].rule == "df/da = df/da[p, s] at [p, s] = b[s] at [p, s]"


def test_an_argument_that_is_used_as_an_index_is_not_taken_for_the_index():
    table = plain("sum(x[j] for j in range(n)) + i", {"x": "n"}).explain()
    assert "x[j]" in [row.name for row in table.rows]
    nested = plain("x @ x + j", {"x": "n"}).explain()
    assert "x[i]" in [row.name for row in nested.rows]


def test_a_broadcast_use_is_a_sum_over_the_points():
    table = plain("sum(w * x[i] for i in range(n))", {"x": "n", "w": ""}).explain()
    assert table["w"].rule == "df/dw = sum over i of df/dq · dq/dw = sum(x[i] for i in range(n))"


@pytest.mark.parametrize(("name", "words"), [("prod", "the product of the others"),
                                             ("max", "1 at the maximum, shared by ties"),
                                             ("min", "1 at the minimum, shared by ties")])
def test_partials_of_reductions_are_said_in_words(name, words):
    table = plain(f"{name}(x[i] for i in range(n))", {"x": "n"}).explain()
    assert [p.formula for p in table["f"].partials] == [words]


def test_the_first_value_that_is_not_finite_is_marked_forward_first():
    table = plain("log(1 + exp(x))").explain(x=800.0)
    assert [row.mark for row in table.rows] == ["", "value", "", ""]
    assert "<-- the first value that is not finite" in str(table).splitlines()[5]
    assert "stable form" in table.note


def test_the_first_adjoint_that_is_not_finite_is_marked_when_all_values_are():
    table = plain("q = sqrt(x); f = 3 * q").explain(x=0.0)
    assert {row.name: row.mark for row in table.rows} == {"x": "adjoint", "q": "", "f": ""}
    assert "<-- the first adjoint that is not finite" in str(table)


def test_a_branch_that_is_not_taken_has_a_zero_adjoint_and_may_be_empty():
    table = plain("sqrt(x) if x > 0 else 0 * y").explain(x=0.0, y=1.0)
    assert table["x"].derivative == 0.0
    empty = plain("max(x[i] for i in range(n)) if n > 0 else y", {"x": "n", "y": ""})
    assert empty.explain(x=np.zeros(0), y=3.0)["f"].value == 3.0


def test_an_empty_reduction_that_is_needed_is_refused():
    with pytest.raises(DomainError, match="the reduction max"):
        plain("max(x[i] for i in range(n))", {"x": "n"}).explain(np.zeros(0))


@pytest.mark.parametrize(("formula", "args", "note"), [
    ("x * 2.0", {"x": "n"}, "adjoints need one output that is a real number"),
    ("x + y, x * y", None, "adjoints need one output that is a real number"),
    ("k * 2", {"k": "int"}, "there is no real argument to differentiate by"),
    ("x > 0", None, "adjoints need one output that is a real number"),
])
def test_without_one_real_output_there_are_no_adjoints_and_the_table_says_so(formula, args, note):
    table = plain(formula, args).explain()
    assert table.note.startswith(note)
    assert not any(row.adjoint for row in table.rows)
    assert str(table).endswith(table.note)


def test_values_are_checked_as_in_a_call():
    f = plain("x @ y", {"x": "n", "y": "n"})
    with pytest.raises(ArgumentError, match="y is missing"):
        f.explain(x=[1.0])
    with pytest.raises(ShapeError, match="must be equal"):
        f.explain(x=[1.0], y=[1.0, 2.0])


def test_many_nodes_take_numbered_names_and_the_text_is_cut():
    f = plain("; ".join(f"v = sin({'x' if k == 0 else 'v'})" for k in range(260)) + "; f = v + exp(x)")
    table = f.explain(x=0.5)
    assert len(table.rows) == 263
    assert "... and 63 more rows: they are all in .rows" in str(table)
    long = plain(" + ".join(f"sin({k} * x)" for k in range(2, 20))).explain()
    assert {"t1", "t2"} < {row.name for row in long.rows}


def test_a_deep_graph_is_explained_without_recursion():
    graph = gradc.ir.graph.Graph()
    node = x = graph.input("x")
    for _ in range(20_000):
        node = graph.ops.sin(node) * x
    graph.outputs = [("value", node)]
    table = gradc.compiler.explain.explain(graph, ["x"], {"x": 1.0})
    assert len(table.rows) == 40_001


def test_a_name_twice_is_told_apart():
    table = plain("e = sin(e) * e").explain(e=1.0)
    assert [row.name for row in table.rows] == ["e", "q", "e_1"]


def test_an_output_is_called_f_unless_an_argument_is():
    assert plain("f * x").explain().rows[-1].name == "value"
    assert plain("y * x").explain().rows[-1].name == "f"


def test_an_unknown_row_is_refused_with_the_names():
    with pytest.raises(KeyError, match="the names are x, y, f"):
        plain("x * y").explain()["w"]


def test_hostile_names_are_quoted_and_escaped_everywhere():
    symbol = sympy.Symbol("<script>alert('x')</script>\n[red]")
    table = plain(symbol * 2).explain(1.0)
    html, text = table._repr_html_(), str(table)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "\n[red]" not in text
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    assert "[red]" in console.export_text()


def test_it_shows_itself_in_a_rich_console_and_in_jupyter():
    table = plain("(x + y) * z").explain(-2, 5, -4)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table)
    assert "dq/dx = 1, dq/dy = 1" in console.export_text()
    assert "<td style='text-align:left'>q = x + y</td>" in table._repr_html_()
    assert isinstance(table, Explanation)


def test_choices_conditions_and_integers_are_rows_or_texts():
    table = plain("sum(i * x[i] if i != k else clip(x[i], 0, 1) for i in range(n))",
                     {"x": "n", "k": "int"}).explain(x=[1.0, 2.0, 3.0], k=1)
    assert table["k"].value == 1
    assert table["f"].value == 0.0 + 1.0 + 6.0
    assert any("if i != k" in row.expression or "i - k != 0" in row.expression for row in table.rows)


def test_numbers_are_the_shortest_text_that_gives_them_back():
    assert [number(v) for v in (-12.0, 0.1, 1e300, math.inf, math.nan, True, 7)] == [
        "-12", "0.1", "1e+300", "inf", "nan", "True", "7"]


def test_long_names_are_cut():
    assert len(shown("x" * 500)) <= 62
    assert shown("α") == "α"


def test_matrices_and_new_dimensions_are_explained_and_drawn() -> None:
    for f in (gradc.compile(sympy.Matrix([sympy.Symbol("x") * sympy.Symbol("y"), 2])), gradc.compile("x[:, None]", {"x": "n"})):
        assert "x" in str(f.explain())
        assert f.graph.to_svg().startswith("<svg")
        assert "digraph" in f.graph.to_dot()


def test_arrays_and_library_routines_say_what_they_pass_back():
    def energy(s, a, y):
        matrix = np.exp(s) * a
        whole = np.concatenate([np.linalg.solve(matrix, y), y])
        whole[0] = 1.0
        return np.sum(whole)

    table = gradc.compile(energy, {"s": "", "a": "n n", "y": "n"}, jit=False).explain()
    rules = " ".join(row.rule for row in table.rows)
    assert "through solve" in rules
    assert "[i + n]" in rules
    assert "where it shows" in rules
    assert table["matrix"].rule.startswith("df/dmatrix = df/d")
    values = gradc.compile(energy, {"s": "", "a": "n n", "y": "n"}, jit=False).explain(
        s=0.5, a=np.eye(2), y=np.ones(2))
    assert values["y"].uses == 2
