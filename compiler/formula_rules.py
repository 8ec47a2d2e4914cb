"""The derivatives of a routine that has a formula: those of its formula, put in place of the call.

A formula of `routine_formulas` becomes a small graph with an input for each operand; that is differentiated once, like
any other, and what comes out is inlined at the operands. So derivatives of any order follow.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Graph, Node
from gradc.ir.routines import ROUTINES

from .arrays import Arrays
from .derive import jvp, vjp
from .inline import at_points
from .linear_algebra import LinearAlgebra
from .passes import prepare, refine
from .routine_formulas import FORMULAS

KINKS = "subgradient"


@functools.lru_cache(maxsize=64)
def derived(routine: str, dtype: str, kind: str, by: tuple[str, ...]) -> Graph:
    """The "jvp" or the "vjp" of a formula by some of its operands, square matrices that are called x0, x1, ..."""
    graph, size = Graph(), Dim.of("n")
    algebra, formula = LinearAlgebra(Arrays(graph)), FORMULAS[routine]
    operands = [algebra.whole(graph.input(f"x{k}", dtype, (size, size)))
                for k in range(len(ROUTINES[routine].operands))]
    graph.outputs = [("result", algebra.stored(formula(algebra, *operands)))]
    return refine((jvp if kind == "jvp" else vjp)(prepare(graph), by, KINKS))


def pull(graph: Graph, y: Node, y_: Node, active: Mapping[Node, Any],
         held: Sequence[Axis]) -> Iterator[tuple[Node, Node]]:
    """The operands of a call with their cotangent arrays; the last dimensions are those of the held axes."""
    algebra, count = LinearAlgebra(Arrays(graph)), len(held)
    names = _names(y, active)
    cotangent = algebra.leading(y_, count)
    template = derived(y.attr.routine, y.dtype, "vjp", tuple(names))
    given = {f"x{k}": algebra.whole(arg) for k, arg in enumerate(y.args)}
    found = at_points(algebra, template, {**given, "cotangent": cotangent}, cotangent.shape[:count + y.attr.batch])
    for arg, share in zip(names.values(), found, strict=True):
        yield arg, algebra.stored(share._replace(axes=(*share.axes[count:], *share.axes[:count])))


def push(graph: Graph, y: Node, tangents: Mapping[Node, Node], held: Sequence[Axis]) -> Node:
    """The tangent array of a call."""
    algebra, count = LinearAlgebra(Arrays(graph)), len(held)
    names = _names(y, tangents)
    template = derived(y.attr.routine, y.dtype, "jvp", tuple(names))
    given = {f"x{k}": algebra.whole(arg) for k, arg in enumerate(y.args)}
    moved = {f"d_{name}": algebra.leading(tangents[arg], count) for name, arg in names.items()}
    lead = next(iter(moved.values())).shape[:count + y.attr.batch]
    (found,) = at_points(algebra, template, {**given, **moved}, lead)
    return algebra.stored(found._replace(axes=(*found.axes[count:], *found.axes[:count])))


def _names(y: Node, active: Mapping[Node, Any]) -> dict[str, Node]:
    """The operands that are active, by the names that they have in the template."""
    return {f"x{k}": arg for k, arg in enumerate(y.args) if arg in active}
