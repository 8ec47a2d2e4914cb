"""Every rule of the operation table, against ball arithmetic: a new row of the table is tested at once.

First and second derivatives are made by the rule itself (a forward chain rule, see `accuracy.sweep`) and
evaluated in NumPy; edges and kinks come from the table, or stand here as literal points.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from gradc.ir.graph import Graph
from gradc.ir.interpret import evaluate_nodes
from gradc.ir.table import OPERATIONS

from .accuracy.measure import by_rules, measure, ulps
from .accuracy.points import points
from .accuracy.truth import SERIES, VALUES, arb

COMPARISONS = 20_000  # in all; `python -m tests.accuracy` compares many more
DIFFERENTIABLE = sorted(set(SERIES) | set(VALUES))
NUMBERS = [name for name, entry in OPERATIONS.items() if entry.result != "bool" and name != "select"]
# By definition or by meaning: their derivative is not that of their value.
DEFINED = {"detach", "real", "float32", "float64", "stop_gradient", "with_partials"}


def quantities_of(op: str) -> int:
    """How many numbers one point gives: value, first and second derivatives."""
    real = len(OPERATIONS[op].domain) - len(OPERATIONS[op].integers)
    return 1 + real + real * (real + 1) // 2


def count_of(op: str) -> int:
    """Points for an operation so that all together make the number of comparisons."""
    share = COMPARISONS / len(DIFFERENTIABLE)
    return math.ceil(share / quantities_of(op))


def test_every_operation_on_numbers_is_measured() -> None:
    assert set(NUMBERS) - DEFINED == set(DIFFERENTIABLE)


def test_the_sample_has_the_announced_size() -> None:
    assert sum(count_of(op) * quantities_of(op) for op in DIFFERENTIABLE) >= COMPARISONS


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_derivatives_keep_to_their_bounds(op: str) -> None:
    _, first, second = measure(op, points(op, count_of(op)))
    bounds = OPERATIONS[op].ulps
    assert first.count >= count_of(op)
    assert first.normalised <= bounds[0], first
    assert second.count >= count_of(op)
    assert second.normalised <= bounds[1], second


@pytest.mark.parametrize("op", [op for op in DIFFERENTIABLE if op not in VALUES])
def test_elementary_values_are_accurate(op: str) -> None:
    value, _, _ = measure(op, points(op, 50, seed=1))
    assert value.normalised <= (64.0 if OPERATIONS[op].imports == "scipy.special" else 4.0), value


SPECIAL_BOUNDS = {name for name, entry in OPERATIONS.items() if entry.ulps != (4.0, 16.0)}


def test_only_special_functions_have_bounds_of_their_own() -> None:
    assert {OPERATIONS[name].imports for name in SPECIAL_BOUNDS} <= {"scipy.special", "kernels"}
    assert {name for name in SPECIAL_BOUNDS if OPERATIONS[name].imports == "kernels"} == {"polygamma"}


# -- the tester is tested ---------------------------------------------------------------------------

WRONG = {
    "the sign": ("sin", lambda o, y, x: [-o.cos(x)]),
    "a rule that loses digits": ("tanh", lambda o, y, x: [1.0 - y * y]),
    "a factor close to one": ("exp", lambda o, y, x: [y * (1.0 + 1e-14)]),
    "an operand's partial left out": ("hypot", lambda o, y, a, b: [o.unit(a, b), None]),
    "partials exchanged": ("div", lambda o, y, a, b: [-(y / b), 1.0 / b]),
    "not finite inside the domain": ("log1p", lambda o, y, x: [1.0 / x]),
}


@pytest.mark.parametrize(("op", "rule"), WRONG.values(), ids=WRONG)
def test_a_wrong_rule_is_found(op: str, rule: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, op, replace(OPERATIONS[op], partials=rule))
    _, first, _ = measure(op, [*points(op, 100), *[(1e-12,) * len(OPERATIONS[op].domain)]])
    assert first.normalised > OPERATIONS[op].ulps[0]


def test_a_rule_with_a_wrong_second_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(o, y, x):  # type: ignore[no-untyped-def]
        return [o.detach(o.sigmoid_slope(x))]

    monkeypatch.setitem(OPERATIONS, "sigmoid", replace(OPERATIONS["sigmoid"], partials=rule))
    _, first, second = measure("sigmoid", points("sigmoid", 100))
    assert first.normalised <= 4.0
    assert second.normalised > 16.0


# -- edges ------------------------------------------------------------------------------------------

EDGES = [(op, point) for op, entry in OPERATIONS.items() for point in entry.edges or ()]


def same(computed: float, stated: float) -> bool:
    """Equal, or within four units in the last place of a stated value that is itself rounded."""
    if math.isinf(stated) or stated == 0.0:
        return computed == stated
    return ulps(computed, arb(stated)) <= 4.0


@pytest.mark.parametrize(("op", "point"), EDGES, ids=[f"{op}{point}" for op, point in EDGES])
def test_edge_values_are_those_of_the_table(op: str, point: tuple[float, ...]) -> None:
    value, partials = OPERATIONS[op].edges[point]
    computed = by_rules(op, [tuple(float(v) for v in point)])
    if value is not None:
        assert same(float(computed[""][0]), value), computed
    for i, partial in enumerate(partials):
        if partial is not None:
            assert same(float(computed[f"{i}"][0]), partial), computed


# -- kinks ------------------------------------------------------------------------------------------

# Points on the kink, for every operation that declares one.
KINKS: dict[str, list[tuple[float, ...]]] = {
    "abs": [(0.0,)],
    "relu": [(0.0,)],
    "root_of_squares": [(0.0,)],
    "sign": [(0.0,)],
    "floor": [(2.0,), (0.0,)],
    "ceil": [(-3.0,)],
    "trunc": [(2.0,)],
    "truncated": [(2.0,)],
    "round": [(2.5,), (-0.5,)],
    "floordiv": [(4.0, 2.0)],
    "mod": [(4.0, 2.0)],
    "max": [(1.0, 1.0)],
    "min": [(-2.0, -2.0)],
    "clip": [(-1.0, -1.0, 1.0), (1.0, -1.0, 1.0)],
    "hypot": [(0.0, 0.0)],
    "unit": [(0.0, 0.0)],
    "atan2": [(0.0, 0.0)],
}
# No slope on one side: the value jumps, or ends (a sum of squares is never negative).
JUMPS = {"sign", "floor", "ceil", "trunc", "truncated", "round", "floordiv", "mod", "unit", "atan2", "root_of_squares"}


def test_every_operation_with_a_kink_has_a_point_here() -> None:
    assert set(KINKS) == {name for name, entry in OPERATIONS.items() if entry.kink is not None}


def kink_holds(op: str, point: tuple[float, ...]) -> bool:
    graph = Graph()
    operands = [graph.input(f"x{i}") for i in range(len(point))]
    entry = OPERATIONS[op]
    assert entry.kink is not None
    condition = entry.kink(graph.ops, graph.apply(op, *operands), *operands)
    return bool(evaluate_nodes(graph, {f"x{i}": v for i, v in enumerate(point)}, [condition])[condition])


POINTS_ON_KINKS = [(op, point) for op, found in KINKS.items() for point in found]


@pytest.mark.parametrize(("op", "point"), POINTS_ON_KINKS)
def test_a_kink_is_recognised_and_the_points_beside_it_are_not(op: str, point: tuple[float, ...]) -> None:
    assert kink_holds(op, point)
    assert not kink_holds(op, (point[0] + 0.25, *point[1:]))


@pytest.mark.parametrize(("op", "point"), [(op, point) for op, point in POINTS_ON_KINKS if op not in JUMPS])
def test_the_derivative_at_a_kink_lies_between_the_slopes_there(op: str, point: tuple[float, ...]) -> None:
    computed = by_rules(op, [point])
    here, step = float(computed[""][0]), 1e-6
    for i in range(len(point)):
        slopes = []
        for side in (-step, step):
            moved = tuple(v + side * (j == i) for j, v in enumerate(point))
            slopes.append((float(by_rules(op, [moved])[""][0]) - here) / side)
        partial = float(computed[f"{i}"][0])
        assert min(slopes) - 1e-9 <= partial <= max(slopes) + 1e-9


@pytest.mark.parametrize(("op", "point"), [(op, point) for op, point in POINTS_ON_KINKS if op in JUMPS])
def test_the_derivative_at_a_jump_is_finite(op: str, point: tuple[float, ...]) -> None:
    computed = by_rules(op, [point])
    assert np.all(np.isfinite([computed[f"{i}"] for i in range(len(point))]))


@pytest.mark.parametrize("tied", [(1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 0.0, 1.0)])
@pytest.mark.parametrize("op", ["max", "min"])
def test_ties_share_the_gradient_equally(op: str, tied: tuple[float, ...]) -> None:
    values = tied if op == "max" else tuple(-v for v in tied)
    computed = by_rules(op, [values])
    shares = [float(computed[f"{i}"][0]) for i in range(len(values))]
    best = [v == (max if op == "max" else min)(values) for v in values]
    assert sum(shares) == pytest.approx(1.0, abs=1e-15)
    assert shares == [1.0 / sum(best) if b else 0.0 for b in best]


# -- what has no derivative says so -----------------------------------------------------------------


@pytest.mark.parametrize("op", list(OPERATIONS))
def test_a_derivative_of_zero_is_stated_and_never_silent(op: str) -> None:
    entry = OPERATIONS[op]
    assert entry.partials is not None or "no derivative" in entry.note
    graph = Graph()
    operands = [
        graph.input(f"x{i}", "int64" if i in entry.integers else "float64") for i in range(entry.arity or 2)
    ]
    if op in ("select", "and", "or", "not"):
        operands[: 3 if op != "select" else 1] = [
            graph.apply("less", x, 0.0) for x in operands[: 3 if op != "select" else 1]
        ]
    node = graph.apply(op, *operands)
    assert entry.partials is not None
    partials = entry.partials(graph.ops, node, *operands)
    real = [p for i, p in enumerate(partials) if i not in entry.integers]
    if all(p is None for p in real):
        assert "derivative zero" in entry.note or "truth value" in entry.note
