"""The interpreter: what each kind of node means, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mpmath
import numpy as np
import pytest

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import ArgumentError, DomainError, GraphError, ShapeError
from gradc.ir.graph import Check, Graph, Node, Part
from gradc.ir.interpret import evaluate, evaluate_nodes
from gradc.ir.table import REDUCTIONS

EXACT = [None, mpmath.mp]
N, M = Dim.of("n"), Dim.of("m")
ROW, COL = Axis(N, 0), Axis(M, 0)


class Vector:
    """A graph with one input x over n, its element and its index."""

    def __init__(self, dtype: str = "float64") -> None:
        self.graph = Graph()
        self.array = self.graph.input("x", dtype, ("n",))
        self.index = self.graph.axis(ROW)
        self.element = self.graph.read(self.array, [self.index])

    def value(self, node: Node, x: Sequence[float], exact: object = None) -> object:
        return evaluate_nodes(self.graph, {"x": x}, [node], exact=exact)[node]


def as_floats(value: object) -> list[float]:
    return [float(v) for v in np.atleast_1d(np.asarray(value, dtype=object)).ravel()]


# -- leaves, broadcasting, types --------------------------------------------------------------------


@pytest.mark.parametrize("exact", EXACT)
def test_a_value_lies_over_its_axes_in_their_sorted_order(exact: object) -> None:
    graph = Graph()
    table = graph.input("A", "float64", ("n", "m"))
    x = graph.input("x", "float64", ("m",))
    i, j = graph.axis(ROW), graph.axis(COL)
    product = graph.read(table, [i, j]) * graph.read(x, [j])
    graph.outputs = [
        ("rows", graph.store((ROW, COL), product)),
        ("columns", graph.store((COL, ROW), product)),
    ]
    rows, columns = evaluate(graph, {"A": [[1, 2, 3], [4, 5, 6]], "x": [1, 10, 100]}, exact=exact)
    assert as_floats(rows) == [1, 20, 300, 4, 50, 600]
    assert as_floats(columns) == [1, 4, 20, 50, 300, 600]
    value = evaluate_nodes(graph, {"A": np.ones((2, 3)), "x": np.ones(3)}, [product], exact=exact)[product]
    assert value.shape == (3, 2)  # m before n


@pytest.mark.parametrize("exact", EXACT)
def test_constants_axes_and_dimensions(exact: object) -> None:
    v = Vector()
    total = v.graph.axis(ROW) * 2 + v.graph.dim(2 * N - 1)
    assert as_floats(v.value(total, [0, 0, 0], exact)) == [5, 7, 9]
    for number in (math.inf, -0.0, 5e-324):
        found = float(v.value(v.graph.const(number), [1], exact))
        assert found == number
        assert exact or math.copysign(1, found) == math.copysign(1, number)


def test_single_precision_stays_single() -> None:
    v = Vector("float32")
    for node in (
        v.element * 2.0,
        v.graph.ops.sin(v.element),
        v.graph.reduce("mean", ROW, v.element),
        v.graph.reduce("logsumexp", ROW, v.element),
        v.element + v.index,
    ):
        assert v.value(node, np.array([1, 2], dtype="float32")).dtype == np.float32


def test_truth_values_in_arithmetic_are_integers() -> None:
    v = Vector()
    positive = v.graph.ops.greater(v.element, 0.0)
    assert v.value(positive + positive, [1, -1]).tolist() == [2, 0]
    assert v.value(-positive, [1, -1]).tolist() == [-1, 0]
    assert v.value(v.graph.ops.exp(positive), [1, -1]).tolist() == [math.e, 1.0]
    assert v.value(v.graph.reduce("sum", ROW, positive), [1, 1, -1]) == 2


@pytest.mark.parametrize("exact", EXACT)
def test_both_branches_of_a_choice_are_computed_and_the_untaken_one_leaves_no_trace(exact: object) -> None:
    v = Vector()
    o = v.graph.ops
    node = o.select(o.greater(v.element, 0.0), o.sqrt(v.element) + 1.0 / v.element, 0.0)
    assert as_floats(v.value(node, [4, 0, -1], exact)) == [2.25, 0, 0]


def test_an_integer_to_a_negative_power_is_refused() -> None:
    graph = Graph()
    graph.outputs = [("f", graph.apply("pow", graph.input("k", "int64"), graph.input("m", "int64")))]
    assert evaluate(graph, {"k": 2, "m": 3}) == [8]
    with pytest.raises(DomainError, match="an integer to a negative power is no integer: write the base"):
        evaluate(graph, {"k": 2, "m": -1})


# -- reads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", EXACT)
def test_a_guarded_read_touches_nothing_where_its_guard_fails(exact: object) -> None:
    v = Vector()
    before = v.graph.read(v.array, [v.index - 1], [v.graph.ops.greater(v.index, 0)])
    assert as_floats(v.value(before, [5, 6, 7], exact)) == [0, 5, 6]
    assert as_floats(v.value(before, [], exact)) == []


@pytest.mark.parametrize(("shift", "bad"), [(1, 3), (-1, -1)])
def test_an_index_outside_its_dimension_is_refused(shift: int, bad: int) -> None:
    v = Vector()
    node = v.graph.read(v.array, [v.index + shift])
    with pytest.raises(ShapeError, match=f"the index {bad} is outside dimension 1 of x, which is n = 3"):
        v.value(node, [1, 2, 3])


def test_a_computed_array_is_named_when_an_index_is_outside_it() -> None:
    v = Vector()
    part = ((ROW,), (Dim.of(0),), (), v.element)
    stored = v.graph.store_parts((N,), [part, part])
    node = v.graph.read(stored, [v.index + 2])
    with pytest.raises(
        ShapeError, match=f"index 2 is outside dimension 1 of the computed array %{stored.id}"
    ):
        v.value(node, [1, 2])
    v.graph.name(stored, "hidden")
    with pytest.raises(ShapeError, match="outside dimension 1 of hidden, which is n = 2"):
        v.value(node, [1, 2])


@pytest.mark.parametrize("exact", EXACT)
def test_a_gather_reads_at_indices_that_were_read(exact: object) -> None:
    graph = Graph()
    x, k = graph.input("x", "float64", ("m",)), graph.input("k", "int64", ("n",))
    graph.outputs = [("y", graph.store((ROW,), graph.read(x, [graph.read(k, [graph.axis(ROW)])])))]
    (found,) = evaluate(graph, {"x": [10, 20, 30], "k": [2, 0, 2, 1]}, exact=exact)
    assert as_floats(found) == [30, 10, 30, 20]


# -- reductions and scans ---------------------------------------------------------------------------

REDUCED = {
    "sum": 6.0,
    "prod": 6.0,
    "max": 3.0,
    "min": 1.0,
    "mean": 2.0,
    "argmax": 1.0,
    "argmin": 0.0,
    "logsumexp": math.log(math.exp(1) + math.exp(3) + math.exp(2)),
    "any": 1.0,
    "all": 1.0,
}
GUARDED = {
    "sum": 5.0,
    "prod": 6.0,
    "max": 3.0,
    "min": 2.0,
    "mean": 2.5,
    "argmax": 1.0,
    "argmin": 2.0,
    "logsumexp": math.log(math.exp(3) + math.exp(2)),
    "any": 1.0,
    "all": 1.0,
}


def test_every_reduction_of_the_table_is_tried() -> None:
    assert set(REDUCED) == set(GUARDED) == set(REDUCTIONS)


@pytest.mark.parametrize("exact", EXACT)
@pytest.mark.parametrize("op", list(REDUCTIONS))
def test_reductions(op: str, exact: object) -> None:
    v = Vector()
    node = v.graph.reduce(op, ROW, v.element)
    assert float(v.value(node, [1, 3, 2], exact)) == pytest.approx(REDUCED[op], rel=1e-15)


@pytest.mark.parametrize("exact", EXACT)
@pytest.mark.parametrize("op", list(REDUCTIONS))
def test_reductions_over_the_points_where_the_guard_holds(op: str, exact: object) -> None:
    v = Vector()
    node = v.graph.reduce(op, ROW, v.element, [v.graph.ops.greater(v.index, 0)])
    assert float(v.value(node, [1, 3, 2], exact)) == pytest.approx(GUARDED[op], rel=1e-15)


@pytest.mark.parametrize("exact", EXACT)
@pytest.mark.parametrize("op", [op for op, item in REDUCTIONS.items() if item.identity is not None])
def test_an_empty_reduction_gives_the_identity(op: str, exact: object) -> None:
    v = Vector()
    assert v.value(v.graph.reduce(op, ROW, v.element), [], exact) == REDUCTIONS[op].identity


@pytest.mark.parametrize("exact", EXACT)
@pytest.mark.parametrize("op", [op for op, item in REDUCTIONS.items() if item.identity is None])
def test_an_empty_reduction_without_a_value_is_refused(op: str, exact: object) -> None:
    v = Vector()
    node = v.graph.reduce(op, ROW, v.element)
    with pytest.raises(
        DomainError, match=f"{op} over the dimension n = 0, which is empty, has no value: give"
    ):
        v.value(node, [], exact)
    v.graph.name(node, "best")
    none = v.graph.reduce(op, ROW, v.element, [v.graph.ops.greater(v.element, 5.0)])
    with pytest.raises(DomainError, match=rf"{op} over the dimension n = 2, whose condition holds nowhere"):
        v.value(none, [1, 2], exact)
    with pytest.raises(DomainError, match=rf"the reduction {op} \(best\) over"):
        v.value(node, [], exact)


@pytest.mark.parametrize("exact", EXACT)
def test_an_empty_reduction_that_no_output_needs_is_no_error(exact: object) -> None:
    """The largest earlier element, asked for only where there is one: by choice, by guard, by both."""
    v = Vector()
    g, inner = v.graph, v.graph.axis(Axis(N, 1))
    earlier = g.reduce("max", Axis(N, 1), g.read(v.array, [inner]), [g.ops.less(inner, v.index)])
    first = g.ops.greater(v.index, 0)
    chosen = g.reduce("sum", ROW, g.ops.select(first, earlier, 0.0))
    guarded = g.reduce("sum", ROW, earlier, [first])
    scattered = g.scatter_add((N,), [Part(earlier, (v.index,), (first,))])
    stored = g.store_parts((N,), [((ROW,), (Dim.of(0),), (first,), earlier)], base=v.array)
    again = g.read(stored, [v.index])
    running = g.scan("sum", ROW, [g.ops.select(first, earlier, 0.0)], inclusive=True)
    assert float(v.value(chosen, [1, 3, 2], exact)) == float(v.value(guarded, [1, 3, 2], exact)) == 4
    assert as_floats(v.value(scattered, [1, 3, 2], exact)) == [0, 1, 3]
    assert as_floats(v.value(again, [1, 3, 2], exact)) == [1, 1, 3]
    assert as_floats(v.value(running, [1, 3, 2], exact)) == [0, 1, 4]
    assert float(v.value(chosen, [], exact)) == 0
    with pytest.raises(DomainError, match="max over the dimension n = 3, whose condition holds nowhere"):
        v.value(g.reduce("sum", ROW, earlier), [1, 3, 2], exact)
    with pytest.raises(DomainError, match="max over the dimension n = 3"):
        v.value(g.scan("sum", ROW, [earlier]), [1, 3, 2], exact)


def test_logsumexp_takes_the_maximum_out_first() -> None:
    v = Vector()
    node = v.graph.reduce("logsumexp", ROW, v.element)
    assert v.value(node, [1000.0, 1000.0]) == 1000.0 + math.log(2)
    assert v.value(node, [-math.inf, -math.inf]) == -math.inf
    assert v.value(node, [math.inf, 0.0]) == math.inf
    assert math.isnan(v.value(node, [math.nan, 0.0]))


def test_extrema_of_integers_truth_values_and_nan() -> None:
    v = Vector("int64")
    odd = v.graph.ops.eq(v.graph.ops.mod(v.element, 2), 1)
    for op, best in (("max", 3), ("min", 1), ("argmax", 2), ("argmin", 1)):
        assert v.value(v.graph.reduce(op, ROW, v.element, [odd]), [8, 1, 3, -6]) == best
    assert v.value(v.graph.reduce("max", ROW, odd), [2, 1]) == 1
    assert v.value(v.graph.reduce("min", ROW, odd, [odd]), [2, 1]) == 1
    f = Vector()
    assert math.isnan(f.value(f.graph.reduce("max", ROW, f.element), [1, math.nan, 2]))
    assert f.value(f.graph.reduce("argmax", ROW, f.element), [1, math.nan, 2]) == 1
    assert (
        f.value(
            f.graph.reduce("argmax", ROW, f.element, [f.graph.ops.greater(f.index, 0)]),
            [5, -math.inf, -math.inf],
        )
        == 1
    )


SCANS = {
    ("sum", False, False): [0, 1, 4],
    ("sum", True, False): [1, 4, 6],
    ("sum", False, True): [5, 2, 0],
    ("sum", True, True): [6, 5, 2],
    ("prod", False, False): [1, 1, 3],
    ("prod", True, False): [1, 3, 6],
    ("prod", False, True): [6, 2, 1],
    ("prod", True, True): [6, 6, 2],
    ("max", False, False): [-np.inf, 1, 3],
    ("max", True, False): [1, 3, 3],
    ("min", False, True): [2, 2, np.inf],
    ("min", True, True): [1, 2, 2],
}


@pytest.mark.parametrize("exact", EXACT)
@pytest.mark.parametrize(("kind", "inclusive", "reverse"), list(SCANS))
def test_scans(kind: str, inclusive: bool, reverse: bool, exact: object) -> None:
    v = Vector()
    node = v.graph.scan(kind, ROW, [v.element], inclusive=inclusive, reverse=reverse)
    assert as_floats(v.value(node, [1, 3, 2], exact)) == SCANS[kind, inclusive, reverse]
    assert as_floats(v.value(node, [], exact)) == []


@pytest.mark.parametrize("exact", EXACT)
@pytest.mark.parametrize(("reverse", "expected"), [(False, [0, 1, 6]), (True, [9, 2, 0])])
def test_a_linear_recurrence_starts_at_zero(reverse: bool, expected: list[float], exact: object) -> None:
    """Forward: 1 * 0 + 1, then 3 * 1 + 3; from the end: 2 * 0 + 2, then 3 * 2 + 3."""
    v = Vector()
    node = v.graph.scan("linrec", ROW, [v.element + 0.0, v.element], reverse=reverse)
    assert as_floats(v.value(node, [1, 3, 2], exact)) == expected


def test_a_scan_runs_along_one_of_several_axes() -> None:
    graph = Graph()
    table = graph.input("A", "float64", ("n", "m"))
    node = graph.scan("sum", COL, [graph.read(table, [graph.axis(ROW), graph.axis(COL)])], inclusive=True)
    graph.outputs = [("y", graph.store((ROW, COL), node))]
    a = np.arange(6.0).reshape(2, 3)
    assert evaluate(graph, {"A": a})[0].tolist() == np.cumsum(a, axis=1).tolist()


# -- arrays -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", EXACT)
def test_parts_of_a_store_lie_at_their_offsets_and_later_ones_win(exact: object) -> None:
    v = Vector()
    g = v.graph
    joined = g.store_parts(
        (2 * N + 1,),
        [((ROW,), (Dim.of(0),), (), v.element), ((ROW,), (N,), (g.ops.less(v.index, 1),), -v.element)],
    )
    assert as_floats(v.value(joined, [1, 2], exact)) == [1, 2, -1, 0, 0]
    assert as_floats(
        v.value(
            g.store_parts((N,), [((Axis(Dim.of(1), 0),), (Dim.of(1),), (), g.const(9.0))], base=v.array),
            [1, 2, 3],
            exact,
        )
    ) == [1, 9, 3]


@pytest.mark.parametrize("exact", EXACT)
def test_an_array_without_dimensions_is_stored_and_read(exact: object) -> None:
    v = Vector()
    g = v.graph
    total = g.reduce("sum", ROW, v.element)
    chosen = g.store_parts((), [((), (), (), total), ((), (), (g.ops.greater(total, 5.0),), g.const(-1.0))])
    assert float(v.value(chosen, [1, 2], exact)) == 3
    assert float(v.value(g.read(chosen, []), [3, 4], exact)) == -1
    assert float(v.value(g.scatter_add((), [Part(v.element, ())]), [3, 4], exact)) == 7


def test_a_store_over_a_base_of_another_shape_is_refused() -> None:
    v = Vector()
    node = v.graph.store_parts((2 * N,), [((ROW,), (N,), (), v.element)], base=v.array)
    with pytest.raises(ShapeError, match=r"an array of shape \(4,\) cannot be stored over one of \(2,\)"):
        v.value(node, [1, 2])


def test_a_part_that_leaves_the_array_is_refused() -> None:
    v = Vector()
    node = v.graph.store_parts((N,), [((ROW,), (Dim.of(1),), (), v.element)])
    with pytest.raises(
        ShapeError, match=r"index 2 is outside dimension 1 of the computed array %\d+, which is"
    ):
        v.value(node, [1, 2])


def gathering() -> tuple[Graph, Node, Node]:
    """A graph with elements of k, whole numbers, and of x along one axis."""
    graph = Graph()
    k, x = graph.input("k", "int64", ("n",)), graph.input("x", "float64", ("n",))
    i = graph.axis(ROW)
    return graph, graph.read(k, [i]), graph.read(x, [i])


@pytest.mark.parametrize("exact", EXACT)
def test_a_scatter_adds_every_part_also_at_equal_positions(exact: object) -> None:
    graph, at, value = gathering()
    node = graph.scatter_add(
        (Dim.of(3),),
        [Part(value, (at,), (graph.ops.greater(value, 0.0),)), Part(graph.const(0.5), (graph.const(1),))],
    )
    graph.outputs = [("y", node)]
    assert as_floats(evaluate(graph, {"k": [0, 2, 0, 1], "x": [1, 2, 3, -9]}, exact=exact)[0]) == [4, 0.5, 2]
    with pytest.raises(ShapeError, match="the index 7 is outside dimension 1"):
        evaluate(graph, {"k": [7], "x": [1]}, exact=exact)


@pytest.mark.parametrize("exact", EXACT)
def test_a_scatter_that_promises_to_write_each_element_once_is_held_to_it(exact: object) -> None:
    graph, at, value = gathering()
    guards = (graph.ops.greater(value, 0.0), graph.ops.greater(at, 0))
    parts = [Part(value, (at - 1,), guards), Part(graph.const(0.5), (graph.const(2),))]
    graph.outputs = [("y", graph.scatter_add((Dim.of(3),), parts, once=True))]
    assert as_floats(evaluate(graph, {"k": [0, 2, 1], "x": [1, -9, 3]}, exact=exact)[0]) == [3, 0, 0.5]
    for places, wrong in (([2, 2, 1], r"that at \[1\] 2 times"), ([0, 0, 1], r"that at \[1\] 0 times")):
        with pytest.raises(GraphError, match=wrong):
            evaluate(graph, {"k": places, "x": [1, 2, 3]}, exact=exact)


# -- arguments, sizes, checks -----------------------------------------------------------------------


def test_a_dimension_comes_from_the_first_array_then_from_an_integer() -> None:
    graph = Graph()
    graph.input("k", "int64")
    graph.input("x", "float64", ("n",))
    graph.outputs = [("n", graph.dim("n")), ("k", graph.dim(Dim.of("k") * 2)), ("h", graph.dim(N // 2))]
    assert evaluate(graph, {"k": 5, "x": [1, 2, 3]}) == [3, 10, 1]


def test_dimensions_that_disagree_are_refused_with_both_values() -> None:
    graph = Graph()
    graph.input("x", "float64", ("n",))
    graph.input("y", "float64", (N + 1,))
    graph.input("z", "float64", (4,))
    graph.equal = [(N, 2 * M)]
    graph.input("w", "float64", ("m",))
    good = {"x": np.ones(2), "y": np.ones(3), "z": np.ones(4), "w": np.ones(1)}
    assert evaluate(graph, good) == []
    with pytest.raises(ShapeError, match=r"dimension 1 of y is 5, but n \+ 1 is 3 \(from dimension 1 of x\)"):
        evaluate(graph, {**good, "y": np.ones(5)})
    with pytest.raises(ShapeError, match=r"dimension 1 of z is 3, but 4 is 4$"):
        evaluate(graph, {**good, "z": np.ones(3)})
    with pytest.raises(ShapeError, match=r"the dimensions n = 2 and 2\*m = 6 must be equal here"):
        evaluate(graph, {**good, "w": np.ones(3)})


def test_a_dimension_without_a_size_is_refused() -> None:
    graph = Graph()
    graph.outputs = [("n", graph.dim("n"))]
    with pytest.raises(ShapeError, match="no argument gives the size of the dimension n: declare an integer"):
        evaluate(graph, {})


def test_wrong_arguments_are_refused() -> None:
    v = Vector()
    v.graph.input("k", "int64")
    v.graph.input("b", "bool")
    good = {"x": [1.0], "k": 3, "b": True}
    for arguments, error, message in (
        ({**good, "y": 1}, ArgumentError, "there is no argument y; the arguments are x, k, b"),
        ({"x": [1.0], "b": True}, ArgumentError, "the argument k is missing"),
        ({**good, "x": [1j]}, ArgumentError, r"x holds complex128 values: give real numbers \(float64\)"),
        ({**good, "x": ["a"]}, ArgumentError, "x holds <U1 values"),
        ({**good, "k": 2.0}, ArgumentError, "k must be int64, not float64: convert it first"),
        ({**good, "b": 1}, ArgumentError, "b must be bool, not int64: convert it first"),
        ({**good, "x": 1.0}, ShapeError, "x must be an array of 1 dimensions, not of 0 dimensions"),
        ({**good, "k": [1]}, ShapeError, "k must be a number, not of 1 dimensions"),
    ):
        with pytest.raises(error, match=message):
            evaluate(v.graph, arguments)
    assert evaluate(v.graph, good) == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ShapeError", ShapeError),
        ("ValueError", DomainError),
        ("ArgumentError", ArgumentError),
        ("DomainError", DomainError),
    ],
)
def test_a_check_refuses_before_anything_else_is_computed(name: str, error: type[Exception]) -> None:
    v = Vector()
    outside = v.graph.read(v.array, [v.index + 7])
    v.graph.outputs = [("y", v.graph.reduce("sum", ROW, outside))]
    v.graph.checks = [Check(v.graph.ops.less(v.element, 0.0), "x must be positive", name)]
    with pytest.raises(error, match="x must be positive"):
        evaluate(v.graph, {"x": [1, -1]})
    with pytest.raises(ShapeError, match="the index 7"):
        evaluate(v.graph, {"x": [1]})


def test_an_unknown_kind_of_node_is_refused() -> None:
    graph = Graph()
    node = graph._make("mystery", (), None, frozenset(), "float64")
    with pytest.raises(GraphError, match="the interpreter knows no node of kind mystery"):
        evaluate_nodes(graph, {}, [node])


# -- size, and arbitrary precision ------------------------------------------------------------------


def test_a_graph_of_100_000_nodes_needs_no_recursion() -> None:
    graph = Graph()
    x = value = graph.input("x")
    for _ in range(50_000):
        value = graph.ops.sin(value) + x
    graph.outputs = [("f", value)]
    expected = 0.5
    for _ in range(50_000):
        expected = math.sin(expected) + 0.5
    assert float(evaluate(graph, {"x": 0.5})[0]) == pytest.approx(expected, rel=1e-12)


def test_all_nodes_that_an_output_needs_are_given_by_default() -> None:
    v = Vector()
    square = v.element * v.element
    v.graph.outputs = [("f", v.graph.reduce("sum", ROW, square))]
    unused = v.graph.ops.exp(v.element)
    values = evaluate_nodes(v.graph, {"x": [1, 2]})
    assert values[square].tolist() == [1, 4]
    assert unused not in values
    assert set(values) == set(v.graph.reachable())


def test_arbitrary_precision_keeps_what_floats_lose() -> None:
    v = Vector()
    total = v.graph.reduce("sum", ROW, v.element)
    with mpmath.workdps(60):
        assert v.value(total, [1e30, 1.0, -1e30], mpmath.mp) == 1
        third = v.graph.ops.exp(v.graph.const(1.0)) / 3.0
        assert abs(v.value(third, [0.0], mpmath.mp) - mpmath.e / 3) < mpmath.mpf(10) ** -58
        given = v.graph.reduce("max", ROW, v.element)
        assert v.value(given, np.array([mpmath.mpf(1) / 3], dtype=object), mpmath.mp) == mpmath.mpf(1) / 3


def test_arbitrary_precision_gives_the_values_of_floats_at_poles() -> None:
    v = Vector()
    o = v.graph.ops
    for node in (1.0 / v.element, o.log(v.element), o.sqrt(v.element - 1.0), o.digamma(v.element)):
        plain, exact = v.value(node, [0.0]), v.value(node, [0.0], mpmath.mp)
        assert as_floats(plain) == as_floats(exact) or (np.isnan(plain[0]) and mpmath.isnan(exact[0]))
