"""From graphs to loops: fused where they may be, arrays only where they must be, guards as bounds, and right.

Texts are looked at through their syntax tree; what they compute is held against the interpreter.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen.items import Choices, make_items
from gradc.codegen.module import Group, print_module
from gradc.compiler.simplify import fold
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import DomainError, ShapeError
from gradc.ir.graph import Check, Graph, Part
from gradc.ir.interpret import evaluate

from .comparison import agrees, close, leaves
from .sources import body, buffers, functions, lines_of_code, loops, plain

ROSENBROCK = "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))"
RANDOM = np.random.default_rng(3)


def run(graph: Graph, *values: Any) -> list[Any]:
    """The outputs of a graph by its generated text."""
    groups = [Group((key,)) for key, _ in graph.outputs]
    printed = print_module(graph, "f", groups)
    scope: dict[str, Any] = {}
    exec(printed.module.source, scope)
    with np.errstate(all="ignore"):
        return leaves(scope["f"](*values))


def same_as_interpreter(graph: Graph, **values: Any) -> None:
    for found, wanted in zip(run(graph, *values.values()), evaluate(graph, values), strict=True):
        close(found, wanted)


# -- fusion and memory --------------------------------------------------------------------------


def test_the_source_of_the_rosenbrock_gradient_is_short_whatever_n() -> None:
    f = plain(ROSENBROCK, {"x": "n"})
    assert lines_of_code(f.grad.source) <= 30
    assert lines_of_code(f.value_and_grad.source) <= 30
    for n in (0, 1, 2, 5, 400):
        x = RANDOM.standard_normal(n)
        value, gradient = f.value_and_grad(x)
        ahead, behind = x[1:], x[:-1]
        assert value == pytest.approx(np.sum(100 * (ahead - behind**2) ** 2 + (1 - behind) ** 2))
        wanted = np.zeros(n)
        if n > 1:
            wanted[1:] += 200 * (ahead - behind**2)
            wanted[:-1] -= 400 * (ahead - behind**2) * behind + 2 * (1 - behind)
        close(gradient, wanted)


def test_value_and_gradient_of_a_separable_sum_are_one_loop_without_arrays() -> None:
    source = plain("sum(exp(-y[i] * w[i])**2 for i in range(n))", {"y": "n", "w": "n"}).value_and_grad.source
    assert loops(source) == ["i in range(n)"]
    assert buffers(source) == []


def test_logistic_regression_is_one_pass_over_the_data() -> None:
    source = plain("sum(log(1 + exp(-y[i] * sum(w[k] * X[i, k] for k in range(d)))) for i in range(n))",
                   {"X": "n d", "y": "n", "w": "d"}, wrt="w").value_and_grad.source
    strip = "  i in range(start, stop)"
    assert loops(source) == ["start in range(0, n, 64)", strip, "    k in range(d)", strip, strip, "    k in range(d)"]
    assert buffers(source) == ["t1 = np.empty(64)"]


def test_a_softmax_keeps_only_what_two_passes_share() -> None:
    source = plain("logsumexp(a)", {"a": "n"}).grad.source
    assert loops(source) == ["i in range(n)"] * 3
    assert len(buffers(source)) <= 1


def test_a_sum_over_two_axes_has_one_accumulator() -> None:
    source = plain("sum(A[i, k] * x[k] for i in range(n) for k in range(K))", {"A": "n K", "x": "K"}).source
    assert body(source).count("+=") == 1
    assert buffers(source) == []


def test_double_sums_over_pairs_scatter_directly() -> None:
    source = plain("sum((x[i] - x[k])**2 for i in range(n) for k in range(i))", {"x": "n"}).grad.source
    assert loops(source) == ["i in range(n)", "  k in range(i)"]
    assert buffers(source) == []


def test_reads_that_do_not_vary_are_hoisted_out_of_inner_loops() -> None:
    source = body(plain("sum(exp(x[i] * A[i, k]) for i in range(n) for k in range(K))", {"x": "n", "A": "n K"}).source)
    inner = source.split("for ")[2]
    assert "x[" not in inner
    assert "x_i" in inner


def test_accumulations_run_in_a_local_where_the_target_stays_the_same() -> None:
    source = body(plain("sum(A[i, k] * x[i] for i in range(n) for k in range(K))", {"x": "n", "A": "n K"}).grad.source)
    assert any(name in source for name in ("s1 += ", "d_x_part += "))


def test_a_dimension_of_one_has_no_loop() -> None:
    f = plain("sum(A * x)", {"A": "1 n", "x": "n"})
    assert loops(f.source) == ["i in range(n)"]
    close(f(np.ones((1, 3)), [1.0, 2.0, 3.0]), 6.0)


# -- guards -------------------------------------------------------------------------------------

BOUNDS = [
    ("sum(x[k] * x[i] for i in range(n) for k in range(i))", "range(i)"),
    ("sum(x[k] * x[i] for i in range(n) for k in range(i + 1))", "range(i + 1)"),
    ("sum(x[k] * x[i] for i in range(n) for k in range(i, n))", "range(i, n)"),
    ("sum(x[k] * x[i] for i in range(n) for k in range(n) if k > i)", "range(i + 1, n)"),
    ("sum(x[k] * x[i] for i in range(n) for k in range(n) if k <= i)", "range(i + 1)"),
]


@pytest.mark.parametrize(("formula", "span"), BOUNDS)
def test_affine_guards_are_loop_bounds(formula: str, span: str) -> None:
    f = agrees(formula, {"x": "n"}, {"x": RANDOM.standard_normal(5)})
    assert any(span in loop for loop in loops(f.source)), loops(f.source)
    assert "if " not in body(f.source)


@pytest.mark.parametrize("k", [-2, 0, 1, 3, 9])
def test_bounds_given_by_an_argument_are_clipped(k: int) -> None:
    x = RANDOM.standard_normal(4)
    agrees("sum(x[i]**2 * sum(x[j] for j in range(n) if j < k) for i in range(n) if i >= k)",
           {"x": "n", "k": "int"}, {"x": x, "k": k})


def test_other_guards_are_branches_around_the_work() -> None:
    source = body(plain("sum(exp(x[k]) for k in range(n) if k != 2 and x[k] > 0)", {"x": "n"}).source)
    assert source.index("if ") < source.index("exp(")


def test_a_value_used_only_under_a_guard_is_computed_only_there() -> None:
    source = body(plain("sum(exp(x[i]) * exp(x[i]) + exp(x[i]) for i in range(n) if i > 2)", {"x": "n"}).source)
    assert "range(3, n)" in source


def test_values_that_decide_a_guard_are_computed_before_it() -> None:
    """A guard's own values must not wait for the other conditions of the statement that they guard."""
    agrees("sum(sigmoid(tanh(x)) for i in range(1, n) if a[i] > -0.3 for j in range(1, m) if i != 1)",
           {"a": "n", "b": "m"}, {"a": np.array([0.1, 0.2, -0.5, 0.7]), "b": np.zeros(3), "x": 0.4})


def test_a_condition_that_is_computed_under_another_is_asked_after_it() -> None:
    f = plain("sum(log(b[j]) * a[i]**2 for i in range(n) if x > -5 for j in range(m) if m > 2)",
              {"x": "", "a": "n", "b": "m"})
    assert f.grad(1.0, [2.0], [1.0, 1.0]).a.tolist() == [0.0]
    assert f.grad(1.0, [2.0], [1.0, 1.0, np.e]).a.tolist() == [4.0]


def test_a_value_that_the_result_needs_is_not_moved_under_a_guard() -> None:
    agrees("q = prod(exp(-abs(b[j])) for j in range(n))\n"
           "sum((sum(b[k] for p in range(n)) * (a[k] * b[0])) for k in range(1, n) if n < 1.5) + q * x + sin(q)",
           {"a": "n", "b": "n"}, {"a": np.array([0.1, 0.2]), "b": np.array([0.3, 0.4]), "x": 0.4})


def test_a_guarded_sum_starts_from_zero_also_where_its_guard_fails() -> None:
    """The guard does not depend on the summed index, so it could be taken for a bound of the outer loop."""
    f = plain("sum((sum(b[j] for j in range(m) if i <= k) if x[i] > 0 else 1.0) for i in range(n))",
              {"x": "n", "b": "m", "k": "int"})
    assert f([1.0, 1.0, 1.0, -1.0], [2.0, 3.0], 1) == 11.0


def test_shadowed_axes_are_not_merged() -> None:
    """An inner product over n inside a guard on n: two different axes that bear one name."""
    f = plain("sum(prod(prod(a[p] for l in range(n) for p in range(m)) for j in range(i)) for i in range(n))",
              {"a": "m", "b": "n"})
    product = 0.5 * 3.0
    assert f([0.5, 3.0], np.zeros(3)) == pytest.approx(sum((product**3) ** i for i in range(3)))
    g = plain("sum(sum(sum(1 for l in range(n)) for j in range(m) if A[i, j] > 0) for i in range(n))", {"A": "n m"})
    assert g([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]) == 9


# -- values and where they live -----------------------------------------------------------------


def test_values_compared_for_equality_are_computed_once() -> None:
    """The tie rule of a maximum compares: a value computed twice could differ in its last bit."""
    f = gradc.compile("max(a[i] * b[i] + c[i] for i in range(n))", {"a": "n", "b": "n", "c": "n"}, cache=False)
    for n in (1, 7, 64):
        a, b, c = RANDOM.standard_normal((3, n))
        best = int(np.argmax(a * b + c))
        close(f.grad(a, b, c)[2], np.arange(n) == best)


def test_a_product_of_guarded_factors_counts_the_others_as_one() -> None:
    f = plain("prod(x[i] for i in range(n) if m[i])", {"x": "n", "m": "bool n"})
    mask = np.array([True, False, True])
    assert f([2.0, 5.0, 3.0], mask) == 6.0
    assert f.grad([2.0, 5.0, 3.0], mask).tolist() == [3.0, 0.0, 2.0]
    assert f.grad([2.0, 5.0, 3.0], np.zeros(3, bool)).tolist() == [0.0, 0.0, 0.0]


def test_reads_at_the_place_of_a_maximum_of_products_take_its_statement_as_it_stands() -> None:
    """What leads to the place is computed by a matrix product, inside which no axis has a loop."""
    def best(C: Any) -> Any:
        scores = C @ C
        found = scores[np.arange(scores.shape[0]), np.argmax(scores, axis=1)]
        return found * np.sin(found)

    f = gradc.compile(best, {"C": "n n"}, jit=False)
    C, d = RANDOM.standard_normal((2, 5, 5))
    close(f(C), best(C))
    close(f.jvp(C, d), (best(C + 1e-6 * d) - best(C - 1e-6 * d)) / 2e-6, 1e-7)


def test_argmax_takes_the_first_of_equal_elements_and_any_nan() -> None:
    f = plain("argmax(x), argmin(x)", {"x": "n"})
    assert f([1.0, 3.0, 3.0, 1.0]) == (1, 0)
    assert f([-np.inf, -np.inf]) == (0, 0)
    assert f([1.0, np.nan, 3.0]) == (1, 1)


def test_truth_values_and_whole_numbers_are_results_too() -> None:
    f = plain("x > 0, any(x > 0), all(x > 0), sum(x > 0), n", {"x": "n"})
    found = f([1.0, -1.0, 2.0])
    assert found[0].tolist() == [True, False, True]
    assert found[0].dtype == bool
    assert found[1:] == (True, False, 2, 3)
    assert [type(v) for v in found[1:]] == [bool, bool, int, int]


def test_scans_keep_their_state_where_other_axes_open_inside() -> None:
    g = Graph(fold=fold)
    A = g.input("A", shape=["n", "m"])
    i, j = Axis(Dim.of("n"), 0), Axis(Dim.of("m"), 0)
    element = g.read(A, [g.axis(i), g.axis(j)])
    down = g.scan("sum", i, (element,), inclusive=True)
    up = g.scan("prod", i, (element,), reverse=True)
    across = g.scan("sum", j, (down * up,))
    lowest, highest = g.scan("min", i, (element,), inclusive=True), g.scan("max", i, (down,), inclusive=True, reverse=True)
    g.outputs = [("lowest", g.store([i, j], lowest)), ("highest", g.store([i, j], highest)),
                 ("down", g.store([i, j], down)), ("up", g.store([i, j], up)), ("both", g.store([j, i], across))]
    same_as_interpreter(g, A=RANDOM.standard_normal((3, 4)))
    same_as_interpreter(g, A=RANDOM.standard_normal((1, 1)))
    assert run(g, np.zeros((0, 2)))[0].shape == (0, 2)


def test_a_running_sum_in_single_precision_equals_what_is_stored_of_it() -> None:
    f = gradc.compile(lambda x: np.sum(np.maximum(np.cumsum(x), np.cumsum(x))), {"x": "float32 n"}, jit=False)
    x = RANDOM.standard_normal(5).astype("float32")
    assert f.grad(x).tolist() == [5.0, 4.0, 3.0, 2.0, 1.0]


def test_linear_recurrences_run_both_ways() -> None:
    g = Graph(fold=fold)
    a, b = g.input("a", shape=["n"]), g.input("b", shape=["n"])
    i = Axis(Dim.of("n"), 0)
    pair = (g.read(a, [g.axis(i)]), g.read(b, [g.axis(i)]))
    ahead, behind = g.scan("linrec", i, pair), g.scan("linrec", i, pair, reverse=True)
    g.outputs = [("f", g.store([i], ahead + behind)), ("g", g.reduce("sum", i, ahead * behind))]
    same_as_interpreter(g, a=RANDOM.standard_normal(5), b=RANDOM.standard_normal(5))


@pytest.mark.parametrize("condition", [
    "i <= k[i]", "i*i < i + 2", "i < i//2 + 1", "i <= i % 2", "abs(i - 2) < i", "i < min(i*i, 5)", "i < n - 1"])
def test_a_condition_on_an_index_and_itself_is_no_bound_of_its_loop(condition: str) -> None:
    formula = f"sum(exp(x[i] - max(x)) for i in range(n) if {condition})"
    f = plain(formula, {"x": "n", "k": "int n"})
    x, k = np.array([0.3, 1.2, -0.7, 2.0]), [0, 3, 1, 3]
    kept = [eval(condition, {"i": i, "k": k, "n": 4, "abs": abs, "min": min}) for i in range(4)]
    close(f(x, k), np.sum(np.exp(x - 2.0)[kept]))


def test_arrays_put_together_from_parts() -> None:
    g = Graph(fold=fold)
    x, y = g.input("x", shape=["n"]), g.input("y", shape=["m"])
    n, m = Dim.of("n"), Dim.of("m")
    i, j = Axis(n, 0), Axis(m, 0)
    first, second = g.read(x, [g.axis(i)]), g.read(y, [g.axis(j)])
    guard = g.apply("less", g.axis(j), 2)
    joined = g.store_parts([n + m], [((i,), (Dim.of(0),), (), first), ((j,), (n,), (guard,), second)])
    g.outputs = [("joined", joined)]
    same_as_interpreter(g, x=RANDOM.standard_normal(3), y=RANDOM.standard_normal(4))


def test_a_scattered_array_may_be_read_again() -> None:
    """A histogram, and then its squares: the scatter is finished before it is read."""
    g = Graph(fold=fold)
    w, k = g.input("w", shape=["n"]), g.input("k", "int64", ["n"])
    g.input("b", shape=["m"])
    i, j = Axis(Dim.of("n"), 0), Axis(Dim.of("m"), 0)
    bins = g.scatter_add([Dim.of("m")], [Part(g.read(w, [g.axis(i)]), (g.read(k, [g.axis(i)]),))])
    held = g.read(bins, [g.axis(j)])
    g.outputs = [("f", g.reduce("sum", j, held * held)), ("bins", bins)]
    same_as_interpreter(g, w=RANDOM.standard_normal(6), k=np.array([0, 2, 2, 1, 0, 0]), b=np.zeros(3))


def test_what_is_written_once_is_assigned_where_guards_of_indices_hold_and_0_where_those_on_values_fail() -> None:
    g = Graph(fold=fold)
    x, k = g.input("x", shape=["n"]), g.input("k", "int64", ["n"])
    i = g.axis(Axis(Dim.of("n"), 0))
    guards = (g.ops.greater(g.read(x, [i]), 0.0), g.ops.greater(i, 0))
    parts = [Part(g.read(x, [i]), (g.read(k, [i]),), guards), Part(g.const(7.0), (g.read(k, [g.const(0)]),))]
    g.outputs = [("y", g.scatter_add([Dim.of("n")], parts, once=True))]
    same_as_interpreter(g, x=np.array([9.0, 1.0, -2.0, 3.0]), k=np.array([2, 0, 3, 1]))
    source = print_module(g, "f", (Group(("y",)),)).module.source
    assert "+=" not in source and "zeros" not in source and "] = 0.0" not in source


def test_a_sum_that_counts_points_without_using_them_is_not_scattered() -> None:
    f = plain("logsumexp(sum((n + a[i]) for j in range(1, n)) for i in range(n))", {"a": "n"})
    close(np.sum(f.grad([1.0, 3.0, 2.0])), 2.0)


def test_scalar_outputs_may_be_parts_of_one_another() -> None:
    """A reduction that is an output and also the body of another is an accumulator of its own."""
    g = Graph(fold=fold)
    A = g.input("A", shape=["n", "n"])
    i, j = Axis(Dim.of("n"), 0), Axis(Dim.of("n"), 1)
    total = g.reduce("prod", i, g.read(A, [g.axis(i), g.const(0)]))
    g.outputs = [("one", total), ("other", g.reduce("prod", j, total))]
    same_as_interpreter(g, A=RANDOM.standard_normal((3, 3)))


def test_a_check_may_be_part_of_another_one() -> None:
    g = Graph(fold=fold)
    A = g.input("A", shape=["n", "m"])
    i, j = Axis(Dim.of("n"), 0), Axis(Dim.of("m"), 0)
    row = g.reduce("any", j, g.apply("less", g.read(A, [g.const(0), g.axis(j)]), 0.0))
    g.outputs = [("f", g.const(1.0))]
    g.checks = [Check(row, "one"), Check(g.reduce("any", i, row), "other")]
    assert run(g, np.ones((2, 2))) == [1.0]
    with pytest.raises(ValueError, match="one"):
        run(g, -np.ones((2, 2)))


def test_items_depend_only_on_items_before_them() -> None:
    graph = plain("q = exp(a); sum(q / sum(q)) + max(q)", {"a": "n"}).value_and_grad.graph
    seen: set[int] = set()
    for item in make_items(graph, Choices()):
        assert all(id(dep) in seen for dep in item.deps)
        seen.add(id(item))


# -- sizes and checks ---------------------------------------------------------------------------

SIZES = [
    (ROSENBROCK, {"x": "n"}, {"x": 0}), (ROSENBROCK, {"x": "n"}, {"x": 1}),
    ("prod(x)", {"x": "n"}, {"x": 0}), ("prod(x)", {"x": "n"}, {"x": 1}),
    ("sum(sum(c[j] * x[i+j] for j in range(m))**2 for i in range(n-m+1))", {"x": "n", "c": "m"}, {"x": 2, "c": 4}),
    ("sum(sum(c[j] * x[i+j] for j in range(m))**2 for i in range(n-m+1))", {"x": "n", "c": "m"}, {"x": 2, "c": 2}),
    ("sum(log(sum(exp(a[i,k]) for k in range(K))) for i in range(n))", {"a": "n K"}, {"a": (0, 4)}),
    ("h = tanh(W @ x); exp(h)", {"W": "h d", "x": "d"}, {"W": (0, 3), "x": 3}),
    ("h = tanh(W @ x); exp(h)", {"W": "h d", "x": "d"}, {"W": (3, 0), "x": 0}),
    ("sum(x[i] * y[j] for i in range(n) for j in range(m))", {"x": "n", "y": "m"}, {"x": 0, "y": 2}),
    ("x[1:] * x[:-1]", {"x": "n"}, {"x": 1}),
]


@pytest.mark.parametrize(("formula", "args", "shapes"), SIZES)
def test_empty_and_single_sizes(formula: str, args: Any, shapes: dict[str, Any]) -> None:
    agrees(formula, args, {name: RANDOM.standard_normal(shape) for name, shape in shapes.items()})


@pytest.mark.parametrize("name", ["max", "min", "mean", "logsumexp"])
def test_reductions_over_nothing_are_refused(name: str) -> None:
    f = plain(f"{name}(x)", {"x": "n"})
    for function in (f, f.grad, f.value_and_grad):
        with pytest.raises(DomainError, match=f"{name} over an empty axis of dimension n"):
            function([])


def test_conditions_that_hold_nowhere_are_refused() -> None:
    f = plain("max(x[i] for i in range(n) if x[i] > y)", {"x": "n", "y": ""})
    assert f([1.0, 2.0], 1.5) == 2.0
    for function in (f, f.grad):
        with pytest.raises(DomainError, match="max over the dimension n: its condition holds nowhere"):
            function([1.0, 2.0], 5.0)
    g = plain("sum(max(x[k] for k in range(n) if k != i) for i in range(n))", {"x": "n"})
    assert g([1.0, 2.0]) == 3.0
    with pytest.raises(DomainError, match="its condition holds nowhere"):
        g([1.0])


@pytest.mark.parametrize("formula", [
    "max(x) if n > 0 else -1", "where(n > 0, mean(x), -1)", "(max(x) if y > 0 else 0) if n > 0 else -1",
    "sum(max(x[k] for k in range(n) if k != i) for i in range(n) if n > 1) - 1",
])
def test_an_empty_reduction_that_nothing_asks_for_is_none(formula: str) -> None:
    f = plain(formula, {"x": "n", "y": ""})
    assert f([], 1.0) == -1.0
    assert f.grad([], 1.0)[0].tolist() == []
    assert f([3.0, 1.0], 1.0) == evaluate(f.graph, {"x": np.array([3.0, 1.0]), "y": 1.0})[0]


def test_an_empty_reduction_made_by_a_rewrite_is_no_error() -> None:
    assert plain("log(sum(exp(x)))", {"x": "n"})([]) == -np.inf


def test_indices_are_checked_before_anything_is_read_or_written() -> None:
    f = gradc.compile("sum(w[k[i]]**2 * v[i] for i in range(n))", {"w": "m", "k": "int n", "v": "n"}, cache=False)
    source = body(f.value_and_grad.source)
    assert source.index("raise IndexError") < source.index("w[k_")
    for wrong in (-1, 3, 10**9):
        with pytest.raises(ShapeError, match=r"the index of w along axis 0 is outside 0 .. m - 1 in w\[k\[i\]\]"):
            f.value_and_grad(np.zeros(3), np.array([0, wrong]), np.zeros(2))
    _, saved = f.forward(np.ones(3), np.array([0, 1]), np.ones(2))
    saved.arguments[1][1] = 10**9
    with pytest.raises(ShapeError, match="outside"):
        f.backward(saved)


def test_division_by_zero_in_plain_python_is_that_of_compiled_code() -> None:
    for formula, point in (("max(x, y, 0.5)", (0.1, 0.2)), ("1 / (x - x)", (1.0, 1.0)), ("1 / k", (1.0, 0))):
        args = {"x": "", "k": "int"} if "k" in formula else {"x": "", "y": ""}
        slow, fast = plain(formula, args), gradc.compile(formula, args, cache=False)
        assert slow(*point) == fast(*point)
        if "k" not in formula:
            np.testing.assert_equal(tuple(slow.grad(*point)), tuple(fast.grad(*point)))


def test_the_into_form_refuses_arrays_of_another_size() -> None:
    source = plain("sum(x**2)", {"x": "n"}).grad.source
    assert 'raise ValueError("d_x.shape[0] must equal n")' in source
    assert set(functions(source)) == {"grad", "grad_into"}


def test_an_adjoint_that_is_a_sum_is_finished_before_it_is_multiplied_by_another_axis() -> None:
    def scores(x: Any, W1: Any, W2: Any, y: Any) -> Any:
        return np.sum(np.maximum(np.maximum(x @ W1.T, 0) @ W2.T, 0) * y)

    f = gradc.compile(scores, {"x": "n 5", "W1": "7 5", "W2": "6 7", "y": "n 6"}, wrt="W1", jit=False)
    assert max(line.count("  ") for line in loops(f.grad.source)) == 2      # n, and two of d, h, k: never all four


@pytest.mark.parametrize(("formula", "args", "carried"), [
    (ROSENBROCK, {"x": "n"}, 1),
    ("sum(x[i] * x[i+1]**2 * x[i+2] for i in range(n - 2))", {"x": "n"}, 2),
    ("sum((x[i-1] - 2*x[i] + x[i+1])**2 for i in range(1, n - 1))", {"x": "n"}, 2),
    ("sum(sin(x[i+1]) * x[i+2] for i in range(n - 3))", {"x": "n"}, 1),
    ("sum(x[i+1] * x[i+2] for i in range(9)) + x[3]**2", {"x": "12"}, 1),
    ("sum(x[i+1] / x[i+2] for i in range(10))", {"x": "12"}, 1),
    ("sum(x[i+1] * x[i+2] for i in range(8))", {"x": "12"}, 0),           # unrolled
    ("sum(x[i] * x[i+2] for i in range(n - 2))", {"x": "n"}, 0),           # no neighbours
    ("sum(x[i] * x[2*i+1] for i in range(n - 4) if 2*i + 1 < n)", {"x": "n"}, 0),
    ("sum(x[i+k] * x[i+k+1] for i in range(n - 4))", {"x": "n", "k": "int"}, 1),
    ("sum(x[i] * x[i+1] for i in range(n - 1))", {"x": "float32 n"}, 1),
    ("sum(A[i,j] * A[i,j+1]**2 for i in range(m) for j in range(n - 1))", {"A": "m n"}, 1),
    ("sum(A[i,j] * A[i,j+1] + A[i+1,j]**2 for i in range(m - 1) for j in range(n - 1))", {"A": "m n"}, 0),     # rows
])
def test_what_goes_to_the_next_element_is_carried_there(formula: str, args: Any, carried: int) -> None:
    f = plain(formula, args)
    text = f.value_and_grad.source
    assert len(set(re.findall(r"\bd_[Ax]_next\w*", text))) == carried
    sizes = [12] if "12" in args.values() else [4, 5, 9] if "k" in args else [0, 1, 2, 3, 4, 12]
    for n in sizes:
        shape = (n,) if "x" in args else (5, n)
        given = [RANDOM.uniform(0.5, 1.5, shape).astype("float32" if "float32 n" in args.values() else float)]
        given += [2] if "k" in args else []
        wanted = evaluate(f.value_and_grad.graph, dict(zip(args, given, strict=True)))
        out = np.full_like(given[0], np.nan)
        value, found = f.value_and_grad(*given, out=out) if len(given) == 1 else f.value_and_grad(*given)
        close(value, wanted[0], 1e-5 if out.dtype == np.float32 else 1e-12)
        close(found, wanted[1], 1e-5 if out.dtype == np.float32 else 1e-12)


def test_compiled_carries_give_what_the_text_gives() -> None:
    f = gradc.compile("sum(x[i] * x[i+1]**2 * sin(x[i+2]) for i in range(n - 2))", {"x": "n"})
    for n in (0, 1, 2, 3, 4, 17, 100):
        x = RANDOM.standard_normal(n)
        value, found = f.value_and_grad(x, out=np.full(n, np.nan))
        close(value, plain(str(f.graph.title), {"x": "n"})(x))
        close(found, plain(str(f.graph.title), {"x": "n"}).grad(x))
        close(f.value_and_grad.jit(x)[1], found)


LAPLACE = "A[i-1,j] + A[i+1,j] + A[i,j-1] + A[i,j+1] - 4*A[i,j]"


@pytest.mark.parametrize(("formula", "args", "alone"), [
    ("sum(A[i,j] * A[i,j+1] + A[i+1,j]**2 for i in range(m - 1) for j in range(n - 1))", {"A": "m n"}, True),
    (f"sum(({LAPLACE})**3 for i in range(1, m-1) for j in range(1, n-1))", {"A": "m n"}, True),
    (f"sum(({LAPLACE})**2 for i in range(1, m-1) for j in range(1, n-1))", {"A": "float32 m n"}, True),
    (f"sum(({LAPLACE})**2 for i in range(1, m-1) for j in range(1, n-1)) + sum(A[i,j]**2 for i in range(m) for j in "
     "range(n))", {"A": "m n"}, False),
    ("sum((A[i+2,j+1] * A[i+4,j])**2 for i in range(m - 5) for j in range(n - 3))", {"A": "m n"}, True),
    ("sum(sin(A[i,j] * A[i+2,j+3]) * B[i+1,j]**2 / B[i,j+1] for i in range(m - 3) for j in range(n - 3))",
     {"A": "m n", "B": "m n"}, True),
    ("sum((A[i,j,k] * A[i+1,j,k] + A[i,j+1,k+2] * A[i+2,j,k+1])**2 for i in range(m - 2) for j in range(n - 1) "
     "for k in range(l - 2))", {"A": "m n l"}, True),
    ("sum((A[i,j] - (A[i-1,j] if i > 0 else 0) - (A[i+1,j] if i < m-1 else 0) + 2*(A[i,j-1] if j > 0 else 1)"
     " - (A[i,j+1] if j < n-1 else 0))**2 for i in range(m) for j in range(n))", {"A": "m n"}, True),
    ("sum(((A[i+1,j] - A[i,j])**2 if i < m-1 else 0) + (sin(A[i,j+1] - A[i,j])**2*A[i,j] if j < n-1 else 0)"
     " for i in range(m) for j in range(n))", {"A": "m n"}, True),
    ("sum(sin(A[i-3,j] * B[i,j]) + A[i-2,j-2]**2 * B[i,j] for i in range(m) for j in range(n) if i > 2 and j > 1)",
     {"A": "m n", "B": "m n"}, None),                                                                # bounds of loops
    ("sum((sin(A[i-3,j]) if i > 2 else 0) + ((A[i-2,j-2]*A[i,j])**2 if i > 1 and j > 1 else A[i,j]) + "
     "(exp(A[i-3,j]) if i > 4 else 0) for i in range(m) for j in range(n))", {"A": "m n"}, True),
    ("sum(((A[i+2,j+2] if i < m-2 and j < n-2 else 0) - (A[i+1,j] if i < m-1 else 1))**2 for i in range(m) "
     "for j in range(n))", {"A": "m n"}, True),
    ("sum((A[i-1,j] if i > 0 else 0) * (A[i-2,j] if i > 1 else 0) * A[i,j]**2 for i in range(m) for j in range(n) "
     "if A[i,j] > 1)", {"A": "m n"}, None),
    ("sum((A[i,j,k] - A[i+1,j,k])**2 for i in range(m - 1) for j in range(n) for k in range(3))", {"A": "m n 3"}, None),
    ("sum((A[i,j] - A[i,j+1])**2 for i in range(m) for j in range(n - 1))", {"A": "m n"}, None),    # one row
    ("sum((A[i,j]*A[i,j+1]*A[i,j+2]*A[i+1,j]*A[i+1,j+1]*A[i+1,j+2]*A[i+2,j]*A[i+2,j+1]*A[i+2,j+2])**2"
     " for i in range(m - 2) for j in range(n - 2))", {"A": "m n"}, None),                           # too many terms
    ("sum((A[i,j] - A[i+1,j])**2 for i in range(3) for j in range(n - 1))", {"A": "4 n"}, None),    # few rows
    ("sum((A[i,j] - A[i+k,j])**2 for i in range(m - 4) for j in range(n))", {"A": "m n", "k": "int"}, None),
])
def test_rows_gather_the_terms_of_a_stencil(formula: str, args: Any, alone: bool | None) -> None:
    f = plain(formula, args)
    text, rank = f.value_and_grad.source, len(args["A"].removeprefix("float32 ").split())
    assert ("d_A_rows" in text) == (alone is not None)
    if alone is not None:
        assert ("d_A[:] = 0" not in text) is alone
    narrow = "float32" in args["A"]
    for shape in [(m, n) for m in (0, 1, 2, 3, 7) for n in (0, 1, 2, 3, 8)]:
        whole = {1: shape, 2: shape, 3: (*shape, 3 if args["A"].endswith("3") else 5)}[rank]
        whole = (4, *whole[1:]) if args["A"].startswith("4") else whole
        given: list[Any] = [RANDOM.uniform(0.5, 1.5, whole).astype("float32" if narrow else float)
                            for name in args if name in "AB"]
        given += [3] if "k" in args else []
        if "k" in args and whole[0] < 4:
            continue
        wanted = evaluate(f.value_and_grad.graph, dict(zip(args, given, strict=True)))
        out = tuple(np.full_like(one, np.nan) for one in given if isinstance(one, np.ndarray))
        found = f.value_and_grad(*given, out=out[0] if len(out) == 1 else out)
        for one, other in zip((found[0], *out), wanted, strict=True):
            close(one, other, 1e-5 if narrow else 1e-12)


@pytest.mark.parametrize("parallel", [False, True])
def test_compiled_stencils_give_what_the_text_gives(parallel: bool) -> None:
    formula = f"sum(sin({LAPLACE})**2 for i in range(1, m-1) for j in range(1, n-1))"
    f = gradc.compile(formula, {"A": "m n"}, parallel=parallel)
    for shape in ((0, 0), (1, 4), (2, 2), (3, 3), (2, 40), (40, 2), (37, 70)):
        a = RANDOM.standard_normal(shape)
        _, found = f.value_and_grad(a, out=np.full(shape, np.nan))
        close(found, plain(formula, {"A": "m n"}).grad(a))


def test_what_takes_work_is_computed_once_for_the_axes_that_it_does_not_have() -> None:
    def costly(a: Any, b: Any, c: Any, x: Any) -> Any:
        return np.sum((a * b + a * c - b * c) * x, axis=1)

    args = {"a": "m", "b": "m", "c": "m", "x": "n m"}
    f = gradc.compile(costly, args, jit=False)
    before, _, inside = f.source.partition("for j in range(n):")
    assert "b_i * c_i" in before and "c_i" not in inside
    a, b, c, x = np.arange(5.0), np.full(5, 0.5), np.arange(5.0)**2, np.linspace(0.0, 1.0, 20).reshape(4, 5)
    np.testing.assert_allclose(f(a, b, c, x), x @ (a * b + a * c - b * c), rtol=1e-12)
    cheap = gradc.compile(lambda a, b, c, x: np.sum((a - b + c) * x, axis=1), args, jit=False)
    assert not buffers(cheap.source)


@pytest.mark.parametrize(("taken", "kept"), [(range(6), True), (range(3), True), (range(2), False)])
def test_matrices_that_are_made_together_and_taken_one_by_one_are_one_array(taken: range, kept: bool) -> None:
    def chain(a: Any, b: Any) -> Any:
        made = np.matmul(a, b)
        total = np.eye(4)
        for k in taken:
            total = total @ made[k]
        return total

    f = gradc.compile(chain, {"a": "6 4 4", "b": "6 4 4"}, jit=False)
    assert ("for k in range(6)" in f.source or "for i in range(6)" in f.source) is kept
    a, b = np.linspace(-1.0, 1.0, 96).reshape(6, 4, 4), np.cos(np.arange(96.0)).reshape(6, 4, 4)
    np.testing.assert_allclose(f(a, b), chain(a, b), rtol=1e-12)
    tangent = f.jvp(a, b, np.sin(a), np.cos(b))
    np.testing.assert_allclose(tangent, (chain(a + 1e-6 * np.sin(a), b + 1e-6 * np.cos(b))
                                         - chain(a - 1e-6 * np.sin(a), b - 1e-6 * np.cos(b))) / 2e-6, rtol=1e-6, atol=1e-8)
    slope = f.vjp(a, b, np.ones((4, 4)))
    assert np.sum(slope.a * np.sin(a)) + np.sum(slope.b * np.cos(b)) == pytest.approx(np.sum(tangent), rel=1e-10)


def test_the_loop_along_memory_goes_around_a_sum_of_few_terms() -> None:
    def turned(a: Any, r: Any, x: Any) -> Any:
        return np.sum(a[None] * r[:, :, None] * np.exp(x), axis=1)

    f = gradc.compile(turned, {"a": "7 n", "r": "m 7", "x": "m 7 n"}, jit=False)
    order = [line.strip() for line in body(f.source).splitlines() if line.strip().startswith("for ")]
    assert [line.partition(" in ")[2] for line in order] == ["range(m):", "range(n):", "range(7):"]
    assert not buffers(f.source)
    a, r, x = np.arange(21.0).reshape(7, 3), np.ones((2, 7)), np.linspace(0.0, 1.0, 42).reshape(2, 7, 3)
    np.testing.assert_allclose(f(a, r, x), turned(a, r, x), rtol=1e-12)


def test_the_loop_along_memory_goes_inside_those_that_fill_matrices() -> None:
    def chain(a: Any, b: Any) -> Any:
        made = np.matmul(a, b)
        return made[0] @ made[1] @ made[2]

    f = gradc.compile(chain, {"a": "3 4 4", "b": "3 4 4"}, jit=False)
    lines = [line.strip() for line in body(f.jvp.many.source).splitlines()]
    outside = [line.endswith("range(directions):") for line in lines]
    assert any(outside) and not any(out and inner.startswith("for ") for out, inner in zip(outside, lines[1:], strict=False))
