"""The operation table itself: names, domains, spellings, and that its three meanings are one."""

import importlib
import math
import re

import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from gradc.codegen import kernels
from gradc.ir.graph import Graph, Node
from gradc.ir.interpret import evaluate_nodes
from gradc.ir.table import OPERATIONS, REDUCTIONS, Operation, entry, formula_names, is_function, operation, sympy_names

from .accuracy.points import points
from .accuracy.truth import SERIES, VALUES, truth

MEASURED = sorted(set(SERIES) | set(VALUES))


def operands_of(graph: Graph, item: Operation) -> list[Node]:
    """One scalar input an operand, an integer where the operation wants one."""
    dtypes = ["int64" if i in item.integers else "float64" for i in range(item.arity or 2)]
    return [graph.input(f"x{i}", dtype) for i, dtype in enumerate(dtypes)]


def test_formula_names_are_unambiguous() -> None:
    listed = [name for op in OPERATIONS.values() for name in op.formula]
    assert len(listed) == len(set(listed))
    assert formula_names()["arcsin"] == "asin"


def test_sympy_names_are_unambiguous() -> None:
    listed = [name for op in OPERATIONS.values() for name in op.sympy]
    assert len(listed) == len(set(listed))
    assert sympy_names()["Max"] == "max"


def test_internal_operations_have_no_formula_name() -> None:
    assert all(not op.formula for op in OPERATIONS.values() if op.internal)


def test_an_operation_stands_in_the_table_once() -> None:
    with pytest.raises(ValueError, match="the operation sin is in the table twice"):
        entry("sin", 1, partials=None)


def test_functions_are_told_from_arithmetic() -> None:
    assert all(map(is_function, ("exp", "pow", "pow_less", "cbrt", "softplus", "gamma")))
    assert not any(map(is_function, ("mul", "max", "relu", "floor", "sqrt", "hypot", "isnan", "float32", "select")))
    assert not any(map(is_function, ("read", "axis", "input", *REDUCTIONS)))


def test_an_unknown_operation_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="frobnicate"):
        operation("frobnicate")


@pytest.mark.parametrize("op", MEASURED)
def test_domain_and_edges_fit_the_arity(op: str) -> None:
    item = OPERATIONS[op]
    assert len(item.domain) == (item.arity or 2)
    assert all(low < high for low, high in item.domain)
    for point, (_, partials) in (item.edges or {}).items():
        assert len(point) == len(partials)
        assert item.arity is None or len(point) == item.arity


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_spelled_functions_exist_where_they_are_imported_from(name: str) -> None:
    item = OPERATIONS[name]
    called = re.findall(r"([A-Za-z_]\w*)\(", item.spelling)
    if item.imports == "kernels":
        assert called
        assert all(c in kernels.KERNELS for c in called)
    elif item.imports:
        module = importlib.import_module(item.imports)
        assert called
        assert all(hasattr(module, c) for c in called)
    else:
        assert set(called) <= {"abs", "float"}
    assert sorted(set(re.findall(r"\{(\d)\}", item.spelling))) == [str(i) for i in range(item.arity or 2)]


@pytest.mark.parametrize("op", MEASURED)
def test_the_exact_meaning_is_the_true_one(op: str) -> None:
    item = OPERATIONS[op]
    for point in points(op, 6, seed=2):
        graph = Graph()
        operands = operands_of(graph, item)
        node = graph.apply(op, *operands)
        arguments = {f"x{i}": int(v) if i in item.integers else v for i, v in enumerate(point)}
        digits = 50 if op in VALUES else 100 if min(map(abs, point)) > 1e-25 else 700  # as for 1 + 1e-300
        with mpmath.workdps(digits):
            found = evaluate_nodes(graph, arguments, [node], exact=mpmath.mp)[node]
            ball = arb(mpmath.mpf(found))
        true = truth(op, point).value.value
        with ctx.workprec(3000):
            scale = abs(true) if true != 0 else arb(1)
            assert bool(abs(ball - true) <= scale * arb(2) ** -95), point


BOOLEAN = [name for name, item in OPERATIONS.items() if item.result == "bool"]
SPECIAL_NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.5, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("op", BOOLEAN)
def test_truth_values_agree_in_both_meanings(op: str) -> None:
    item = OPERATIONS[op]
    graph = Graph()
    count = item.arity or 2
    operands = [graph.input(f"x{i}") for i in range(count)]
    if op in ("and", "or", "not"):
        operands = [graph.apply("greater", x, 0.0) for x in operands]
    node = graph.apply(op, *operands)
    for a in SPECIAL_NUMBERS:
        for b in SPECIAL_NUMBERS:
            arguments = {f"x{i}": v for i, v in enumerate((a, b)[:count])}
            plain = evaluate_nodes(graph, arguments, [node])[node]
            assert plain == evaluate_nodes(graph, arguments, [node], exact=mpmath.mp)[node]
            assert plain.dtype == np.bool_


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_every_operation_meets_special_numbers_without_an_error(name: str) -> None:
    """Poles, infinities and NaN give a value in both meanings: nothing is raised, nothing warns."""
    item = OPERATIONS[name]
    graph = Graph()
    operands = operands_of(graph, item)
    logical = {"and": 2, "or": 2, "not": 1, "select": 1}.get(name, 0)
    used = [graph.apply("greater", x, 0.0) for x in operands[:logical]] + operands[logical:]
    node = graph.apply(name, *used)
    for value in SPECIAL_NUMBERS:
        arguments = {f"x{i}": 1 if i in item.integers else value for i in range(len(operands))}
        assert np.ndim(evaluate_nodes(graph, arguments, [node])[node]) == 0
        assert np.ndim(evaluate_nodes(graph, arguments, [node], exact=mpmath.mp)[node]) == 0


@pytest.mark.parametrize("name", list(REDUCTIONS))
def test_reductions_say_what_their_derivative_is(name: str) -> None:
    assert REDUCTIONS[name].note
    assert REDUCTIONS[name].formula == (name,)
