"""The proof of reads: what is proved, what is refused, and what is checked at run time and how cheaply."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gradc.compiler.bounds import Bounds, check_reads, inside
from gradc.compiler.formula import parse
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import GradcError, ShapeError
from gradc.ir.graph import Graph, Node
from gradc.ir.interpret import evaluate

n, K, m = Dim.of("n"), Dim.of("K"), Dim.of("m")


@pytest.fixture
def g() -> Graph:
    graph = Graph()
    graph.input("x", shape=(n,))
    graph.input("A", shape=(n, K))
    graph.input("idx", "int64", (m,))
    return graph


def axis(graph: Graph, dim: Dim | int, number: int = 0) -> Node:
    return graph.axis(Axis(Dim.of(dim), number))


PROVED = {
    "the whole axis": lambda g: (axis(g, n), n),
    "a shorter axis and a shift": lambda g: (axis(g, n - 1) + 1, n),
    "from the end": lambda g: (g.dim(n - 1) - axis(g, n), n),
    "a literal": lambda g: (g.const(2), Dim.of(3)),
    "a sum of two axes": lambda g: (axis(g, n - K + 1) + axis(g, K), n),
    "flat, row by row": lambda g: (axis(g, n) * g.dim(K) + axis(g, K), n * K),
    "flat, column by column": lambda g: (axis(g, K) * g.dim(n) + axis(g, n), n * K),
    "a remainder by the dimension": lambda g: (g.ops.mod(axis(g, n) + 1, g.dim(n)), n),
    "a remainder by a number": lambda g: (g.ops.mod(axis(g, n), 3), Dim.of(3)),
    "half the index": lambda g: (g.ops.floordiv(axis(g, n), 2), n),
    "the mean of two indices": lambda g: (g.ops.floordiv(axis(g, n) + axis(g, n, 1), 2), n),
    "even and odd": lambda g: (2 * axis(g, n // 2) + 1, n),
    "every second": lambda g: (2 * axis(g, (n + 1) // 2), n),
    "a minimum": lambda g: (g.ops.min(axis(g, n) + 1, g.dim(n - 1)), n),
    "a maximum": lambda g: (g.ops.max(axis(g, n) - 1, 0), n),
    "clipped": lambda g: (g.ops.clip(axis(g, n) + 5, 0, g.dim(n - 1)), n),
    "a distance": lambda g: (g.ops.abs(axis(g, n) - axis(g, n, 1)), n),
    "a choice": lambda g: (g.ops.select(g.ops.greater(axis(g, n), 0), axis(g, n) - 1, g.dim(n - 1)), n),
    "relu": lambda g: (g.ops.relu(axis(g, n) - 3), n),
    "argmax": lambda g: (g.reduce("argmax", Axis(n, 0), g.read(g.inputs["x"], [axis(g, n)])), n),
    "an empty axis": lambda g: (axis(g, 0) + 7, n),
}


@pytest.mark.parametrize("case", PROVED)
def test_is_proved_inside(g: Graph, case: str) -> None:
    index, dim = PROVED[case](g)
    assert inside(g, index, dim) == "yes"


GUARDED = {
    "i > 0": lambda o, i, j, d: (i - 1, [o.greater(i, 0)]), "j < i": lambda o, i, j,
    d: (i - 1, [o.less(j, i)]),
    "i != 0": lambda o, i, j, d: (i - 1, [o.not_equal(i, 0)]), "i + 1 < n": lambda o, i, j,
    d: (i + 1, [o.less(i + 1, d)]),
    "i != n - 1": lambda o, i, j, d: (i + 1, [o.not_equal(i, d - 1)]),
    "not i + 1 >= n": lambda o, i, j, d: (i + 1, [o.not_(o.greater_equal(i + 1, d))]),
    "not (i == 0 or j == 0)": lambda o, i, j, d: (i - 1, [o.not_(o.or_(o.eq(i, 0), o.eq(j, 0)))]),
    "i == j + 1": lambda o, i, j, d: (i - 1, [o.eq(i, j + 1)]),
    "i + j < n": lambda o, i, j, d: (i + j, [o.less(i + j, d)]),
}


@pytest.mark.parametrize("case", GUARDED)
def test_is_proved_under_a_guard_and_not_without(g: Graph, case: str) -> None:
    index, guards = GUARDED[case](g.ops, axis(g, n), axis(g, n, 1), g.dim(n))
    assert inside(g, index, n, guards) == "yes"
    assert inside(g, index, n) != "yes"


OUTSIDE = {
    "a shift": lambda g: (axis(g, n) + 1, n), "a shift below": lambda g: (axis(g, n) - 1, n),
    "one beyond": lambda g: (g.dim(n), n), "a literal": lambda g: (g.const(3), Dim.of(3)),
    "negative": lambda g: (g.const(-1), n), "a longer axis": lambda g: (axis(g, 4), Dim.of(3)),
    "backwards": lambda g: (g.dim(n) - axis(g, n), n),
    "flat": lambda g: (axis(g, n) * g.dim(K) + axis(g, K) + 1, n * K),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_is_outside_whatever_the_size(g: Graph, case: str) -> None:
    index, dim = OUTSIDE[case](g)
    assert inside(g, index, dim) == "no"


UNKNOWN = {
    "the first element, which an empty array lacks": lambda g: (g.const(0), n),
    "the last": lambda g: (g.dim(n - 1), n),
    "another dimension": lambda g: (axis(g, m), n), "an argument": lambda g: (g.dim("k"), n),
    "an index array": lambda g: (g.read(g.inputs["idx"], [axis(g, m)]), n),
    "twice": lambda g: (2 * axis(g, n), n),
    "a remainder by a number": lambda g: (g.ops.mod(axis(g, n), 3), n),
    "a remainder by an argument": lambda g: (g.ops.mod(axis(g, n), g.dim("k")), n),
    "a remainder by a number, in a small array": lambda g: (g.ops.mod(axis(g, n), 3), Dim.of(2)),
    "a product": lambda g: (axis(g, n) * axis(g, n, 1), n),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_depends_on_the_sizes(g: Graph, case: str) -> None:
    index, dim = UNKNOWN[case](g)
    assert inside(g, index, dim) == "unknown"


def test_dimensions_that_must_be_equal_count_as_equal(g: Graph) -> None:
    assert inside(g, axis(g, m), n) == "unknown"
    g.equal.append((m, n))
    assert inside(g, axis(g, m), n) == "yes"


def test_an_array_that_binds_a_dimension_later_is_seen(g: Graph) -> None:
    bounds = Bounds(g)
    assert bounds.inside(g.dim("p"), Dim.of("p") + 1) == "unknown"         # p may be negative
    g.input("z", shape=("p",))
    assert bounds.inside(g.dim("p") + 0 * axis(g, n), Dim.of("p") + 2) == "yes"


def test_extremes_are_dimensions_for_affine_indices_only(g: Graph) -> None:
    bounds = Bounds(g)
    low, high = bounds.extremes(2 * axis(g, n) - axis(g, K) + 1)
    assert (low, high) == ({("K",): -1, (): 2}, {("n",): 2, (): -1})
    assert bounds.extremes(g.ops.mod(axis(g, n), 3)) == (None, None)
    assert bounds.extremes(axis(g, n) * axis(g, n, 1)) == (None, None)
    assert bounds.extremes(axis(g, n) * g.dim("k")) == (None, None)         # k may be negative
    assert bounds.extremes(axis(g, n) * g.dim(K) - axis(g, n)) == (None, None)


coefficients = st.integers(-3, 3)


def sized(index: Node, dims: Mapping[str, int], points: Mapping[Axis, int]) -> int:
    """The value of an affine index at one point."""
    if index.op == "const":
        return int(index.value)
    if index.op == "dim":
        return int(index.attr.evaluate(dims))
    if index.op == "axis":
        return points[index.attr]
    args = [sized(arg, dims, points) for arg in index.args]
    return {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
            "neg": lambda a: -a,
            "mod": lambda a, b: a % b, "floordiv": lambda a, b: a // b, "min": min,
            "max": max}[index.op](*args)


@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])  # most forms are rightly "unknown"
@given(a=coefficients, b=coefficients, c=coefficients, p=coefficients, q=coefficients,
       shift=st.integers(-2, 2),
       wrap=st.sampled_from(["", "mod", "floordiv", "min", "max"]),
       guard=st.sampled_from(["", "less", "not_equal"]))
def test_answers_hold_for_every_small_size(a: int, b: int, c: int, p: int, q: int, shift: int, wrap: str,
                                           guard: str) -> None:
    """"yes": no size has a point outside; "no": every size with points has one (under the guard: all are)."""
    g = Graph()
    g.input("x", shape=(n,))
    g.input("y", shape=(K,))
    i, j = Axis(n + shift, 0), Axis(K, 0)
    index = a * g.axis(i) + b * g.axis(j) + c + p * g.dim(n) + q * g.dim(K)
    if wrap in ("mod", "floordiv"):
        index = g.apply(wrap, index, 2)
    elif wrap:
        index = g.apply(wrap, index, g.dim(n - 1) if wrap == "min" else 0)
    guards = [g.apply(guard, g.axis(j), g.axis(i) + c)] if guard else []
    answer = inside(g, index, n, guards)
    assume(answer != "unknown")
    compare = {"less": lambda s, t: s < t, "not_equal": lambda s, t: s != t}
    for size, other in itertools.product(range(5), repeat=2):
        dims = {"n": size, "K": other}
        runs = [range(max(0, d.dim.evaluate(dims))) if d in index.axes or guards else range(1) for d in (i,
                                                                                                         j)]
        points = [(s, t) for s, t in itertools.product(*runs) if not guard or compare[guard](t, s + c)]
        outside = [not 0 <= sized(index, dims, {i: s, j: t}) < size for s, t in points]
        if answer == "yes":
            # Without axes the index is read at any size; with axes, only where they have points.
            assert not any(outside)
        elif guards:
            assert not points or any(outside)
        else:
            assert not points or any(outside), dims


def checks(text: str, args: Mapping[str, str]) -> list[tuple[bool, str]]:
    """For each check whether it looks at single points, and its message."""
    graph = parse(text, args)
    return [(any(node.op in ("axis", "read") for node in graph.reachable([check.bad])), check.message)
            for check in graph.checks]


def test_a_proved_formula_has_no_checks() -> None:
    text = "sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))"
    assert checks(text, {"x": "n"}) == []
    assert checks("sum((A @ x)[1:] * x[:-1])", {"A": "n n", "x": "n"}) == []


def test_affine_indices_are_checked_by_comparing_sizes() -> None:
    message = "the index of x along axis 0 is outside 0 .. n - 1 in "
    assert checks("sum(x[i] for i in range(m))", {"x": "n"}) == [(False, message + "x[i]")]
    assert checks("x[k]", {"x": "n", "k": "int"}) == [(False, message + "x[k]")]
    assert checks("x[0] + x[-1]", {"x": "n"}) == [(False, message + "x[0]"), (False, message + "x[-1]")]
    assert checks("sum(x[i]*x[j] for i in range(m) for j in range(m) if i != j)",
                  {"x": "n"}) == [(False, message + "x[i]")]


def test_index_arrays_and_guarded_reads_are_checked_point_by_point() -> None:
    assert checks("sum(x[idx[i]] for i in range(m))", {"x": "n", "idx": "int m"}) == [
        (True, "the index of x along axis 0 is outside 0 .. n - 1 in x[idx[i]]")]
    assert checks("sum(A[i, i] if y[i] > 0 else 0 for i in range(n))", {"A": "n K", "y": "n"}) == [
        (True, "the index of A along axis 1 is outside 0 .. K - 1 in A[i, i]")]


def test_one_bad_index_is_checked_once() -> None:
    assert len(checks("x[k] + x[k]**2 + sum(x[k] * x[i] for i in range(n))", {"x": "n", "k": "int"})) == 1


@pytest.mark.parametrize(("text", "args", "good", "bad"), [
    ("x[k]", {"x": "n", "k": "int"}, {"x": np.ones(3), "k": 2}, {"x": np.ones(3), "k": 3}),
    ("x[k]", {"x": "n", "k": "int"}, {"x": np.ones(3), "k": 0}, {"x": np.ones(3), "k": -1}),
    ("x[-1]", {"x": "n"}, {"x": np.ones(1)}, {"x": np.ones(0)}),
    ("sum(x[i] for i in range(m))", {"x": "n"}, {"x": np.ones(3), "m": 3}, {"x": np.ones(3), "m": 4}),
    ("sum(x[i + 1] for i in range(m))", {"x": "n"}, {"x": np.ones(0), "m": 0}, {"x": np.ones(3), "m": 3}),
    ("sum(x[2*i] for i in range(n))", {"x": "n"}, {"x": np.ones(1)}, {"x": np.ones(2)}),
    ("sum(x[idx])", {"x": "n", "idx": "int m"}, {"x": np.ones(3), "idx": [0, 2]},
     {"x": np.ones(3), "idx": [0, 3]}),
    ("sum(x[idx[i]] if y[i] > 0 else 0 for i in range(m))", {"x": "n", "idx": "int m", "y": "m"},
     {"x": np.ones(3), "idx": [0, 9], "y": [1.0, -1.0]}, {"x": np.ones(3), "idx": [0, 9], "y": [1.0, 1.0]}),
    ("x[k] if y > 0 else 0", {"x": "n", "k": "int"}, {"x": np.ones(3), "k": 7, "y": -1.0},
     {"x": np.ones(3), "k": 7, "y": 1.0}),
    ("(x * x)[k]", {"x": "n", "k": "int"}, {"x": np.ones(3), "k": 2}, {"x": np.ones(3), "k": 3}),
    ("x[1:][k]", {"x": "n", "k": "int"}, {"x": np.ones(3), "k": 1}, {"x": np.ones(3), "k": -1}),
])
def test_checks_fail_exactly_for_bad_calls(text: str, args: dict[str, str], good: dict[str, object],
                                           bad: dict[str, object]) -> None:
    graph = parse(text, args)
    evaluate(graph, good)
    with pytest.raises(GradcError) as caught:
        evaluate(graph, bad)
    assert str(caught.value) in [check.message for check in graph.checks]
    assert {check.error for check in graph.checks} == {"IndexError"}


def test_a_graph_without_a_text_is_checked_without_carets() -> None:
    g = Graph()
    x = g.input("x", shape=(n,))
    g.outputs = [("f", g.reduce("sum", Axis(n, 0), g.read(x, [axis(g, n) + 1])))]
    with pytest.raises(ShapeError) as caught:
        check_reads(g)
    assert str(caught.value).startswith("a read reaches index n, and the last index of x is n - 1\n")
