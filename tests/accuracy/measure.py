"""Errors in units in the last place: what the rules give in float64, against the truth.

An error is |computed - true| divided by the spacing of floats at the true value; `normalised` divides it by
max(1, condition number) as well, which is the bound's unit: an operand that is itself rounded already moves
the result by that much. A value that is not finite where the true one is counts as an infinite error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Graph, Node
from gradc.ir.interpret import evaluate_nodes
from gradc.ir.table import OPERATIONS

from .sweep import derivative
from .truth import Quantity, Truth, truth

LARGEST = arb(2) ** 1024 - arb(2) ** 970


class Error(NamedTuple):
    """The largest error of one order of derivative, raw and normalised, and where the latter is."""

    raw: float = 0.0
    normalised: float = 0.0
    where: tuple[float, ...] = ()
    what: str = ""
    count: int = 0

    def worse(self, raw: float, normalised: float, where: tuple[float, ...], what: str) -> Error:
        """With one more comparison."""
        if normalised > self.normalised or not self.count:
            return Error(max(raw, self.raw), normalised, where, what, self.count + 1)
        return self._replace(raw=max(raw, self.raw), count=self.count + 1)


def ulps(computed: float, true: arb) -> float:
    """The error of a float in units in the last place of the true value."""
    if abs(true) > LARGEST:
        return 0.0 if math.isinf(computed) and (computed > 0) == bool(true > 0) else math.inf
    if not math.isfinite(computed):
        return math.inf
    spacing = math.ulp(float(true.mid()))
    return float((abs(arb(computed) - true) / spacing).mid())


def normalised(error: float, quantity: Quantity) -> float:
    """The error in units of max(1, condition number)."""
    if math.isinf(quantity.condition):
        return error if math.isinf(error) else 0.0
    return error / max(1.0, quantity.condition)


def by_rules(op: str, points: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    """Value and derivatives of an operation by its own rule, in NumPy, at many points at once.

    Keys are "" for the value, "0" for the derivative by the first operand, "01" for the mixed one.
    """
    entry = OPERATIONS[op]
    graph, axis = Graph(), Axis(Dim.of("n"), 0)
    names = [f"x{i}" for i in range(len(points[0]))]
    operands = [
        graph.read(
            graph.input(name, "int64" if i in entry.integers else "float64", ("n",)), [graph.axis(axis)]
        )
        for i, name in enumerate(names)
    ]
    nodes: dict[str, Node | None] = {"": graph.apply(op, *operands)}
    real = [i for i in range(len(names)) if i not in entry.integers]
    for i in real:
        nodes[f"{i}"] = derivative(graph, _known(nodes[""]), operands[i])
        for j in real:
            if j >= i and nodes[f"{i}"] is not None:
                nodes[f"{i}{j}"] = derivative(graph, _known(nodes[f"{i}"]), operands[j])
            elif j >= i:
                nodes[f"{i}{j}"] = None
    columns = {
        name: np.array([p[i] for p in points]).astype("int64" if i in entry.integers else float)
        for i, name in enumerate(names)
    }
    values = evaluate_nodes(graph, columns, [n for n in nodes.values() if n is not None])
    return {
        key: np.broadcast_to(0.0 if node is None else values[node], len(points))
        for key, node in nodes.items()
    }


def _known(node: Node | None) -> Node:
    assert node is not None
    return node


def quantities(true: Truth) -> Mapping[str, Quantity]:
    """The truth under the keys of `by_rules`."""
    return {
        "": true.value,
        **{f"{i}": q for i, q in true.first.items()},
        **{f"{i}{j}": q for (i, j), q in true.second.items()},
    }


def measure(op: str, points: Sequence[tuple[float, ...]]) -> list[Error]:
    """The largest errors of value, first and second derivatives of one operation."""
    computed = by_rules(op, points)
    worst = [Error(), Error(), Error()]
    for number, point in enumerate(points):
        for key, quantity in quantities(truth(op, point)).items():
            raw = ulps(float(computed[key][number]), quantity.value)
            order = len(key)
            worst[order] = worst[order].worse(raw, normalised(raw, quantity), point, key)
    return worst
