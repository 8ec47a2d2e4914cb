"""The small functions that generated text carries with it: as plain Python, and compiled.

They must run on Python floats and NumPy scalars without raising or warning (warnings are errors here), agree
with the NumPy meaning in the operation table, and be as accurate as it when Numba compiles them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np
import pytest

from gradc.codegen import kernels
from gradc.ir.graph import Graph
from gradc.ir.interpret import evaluate_nodes
from gradc.ir.table import OPERATIONS

from .accuracy.measure import normalised, ulps
from .accuracy.points import points
from .accuracy.truth import truth

KERNELS = [name for name, entry in OPERATIONS.items() if entry.imports == "kernels" and name != "polygamma"]
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-300,
    5e-324,
    1e300,
    -1e300,
    800.0,
    -800.0,
    math.inf,
    -math.inf,
    math.nan,
]
# Outside the domain the C library itself warns: asin of 2, acosh of 0, a negative number to a broken power.
WARNS = {"asin_slope", "acosh_slope", "xlogx", "xlogy", "pow_less", "sinc", "sinc_derivative", "cbrt"}


def operands_at(op: str, value: float) -> tuple[float | int, ...]:
    entry = OPERATIONS[op]
    return tuple(1 if i in entry.integers else value for i in range(len(entry.domain)))


def meaning(op: str, operands: tuple[float | int, ...]) -> float:
    graph = Graph()
    entry = OPERATIONS[op]
    nodes = [
        graph.input(f"x{i}", "int64" if i in entry.integers else "float64") for i in range(len(operands))
    ]
    node = graph.apply(op, *nodes)
    return float(evaluate_nodes(graph, {f"x{i}": v for i, v in enumerate(operands)}, [node])[node])


@pytest.mark.parametrize("kind", [float, np.float64])
@pytest.mark.parametrize("op", KERNELS)
def test_special_numbers_give_the_meaning_of_the_table(op: str, kind: Callable[[float], float]) -> None:
    function = getattr(kernels, op)
    for value in SPECIAL:
        operands = operands_at(op, value)
        given = [v if isinstance(v, int) else kind(v) for v in operands]
        if op in WARNS:
            with np.errstate(all="ignore"):
                found = function(*given)
        else:
            with np.errstate(over="ignore", under="ignore"):  # scalars of NumPy tell of an overflow
                found = function(*given)
        expected = meaning(op, operands)
        assert (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(
            expected, rel=2e-15, abs=0.0
        )


@pytest.mark.parametrize("op", KERNELS)
def test_plain_and_compiled_values_are_true(op: str) -> None:
    entry = OPERATIONS[op]
    plain = getattr(kernels, op)
    namespace = dict(vars(kernels))
    for name in kernels.KERNELS[op].functions[:-1]:
        namespace[name] = numba.njit(error_model="numpy")(getattr(kernels, name))
    exec(
        compile("\n\n".join(map(kernels.function_text, kernels.KERNELS[op].functions[-1:])), op, "exec"),
        namespace,
    )
    compiled = numba.njit(error_model="numpy")(namespace[op])
    for point in points(op, 200, seed=4):
        operands = [int(v) if i in entry.integers else v for i, v in enumerate(point)]
        quantity = truth(op, point).value
        for function in (plain, compiled):
            assert normalised(ulps(float(function(*operands)), quantity.value), quantity) <= 3.5, (
                function,
                point,
            )
