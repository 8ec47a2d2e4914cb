"""What a system of equations passes on to its parameters: the implicit function theorem, in both modes.

Where r(x(p), p) = 0, the tangents satisfy (dr/dx) x. = -(dr/dp) p., and a cotangent x_ of the solution gives
p_ = -(dr/dp)' l with (dr/dx)' l = x_: one linear solve, however many steps the solution took (Krantz and Parks, "The
implicit function theorem", 2002; Christianson, "Reverse accumulation and implicit functions", 1998). The products with
dr/dp are the residual's own, put in place at the solution, which is the node itself; so derivatives of any order
follow. The guess has no derivative.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Check, Graph, Node, sorted_axes, whole_axes
from gradc.ir.implicit import JACOBIAN, RESIDUAL, Equations, equations
from gradc.ir.text import from_text

from .arrays import Array, Arrays
from .derive import jvp, vjp
from .inline import at_points
from .jacobian import jacobian
from .linear_algebra import LinearAlgebra
from .passes import finish, prepare, refine

KINKS = "subgradient"
NO_SLOPE = "the residual of gradc.root has the slope 0 at its solution, which therefore has no derivative"


@functools.lru_cache(maxsize=256)
def prepared(residual: str) -> Graph:
    """The residual in the form that is differentiated."""
    return prepare(from_text(residual))


@functools.lru_cache(maxsize=256)
def derived(residual: str, kind: str, by: tuple[str, ...]) -> Graph:
    """A derivative of a residual by some of its inputs: "jvp", "vjp" or "jacobian"."""
    graph = prepared(residual)
    if kind == "jacobian":
        return refine(jacobian(graph, by, KINKS)[0])
    return refine((jvp if kind == "jvp" else vjp)(graph, by, KINKS))


def system(residual: str) -> str:
    """The text of the graph of a residual and its Jacobian, ready to print."""
    own = prepared(residual)
    graph = jacobian(own, [next(iter(own.inputs))], KINKS)[0]
    ((_, slopes),) = graph.outputs
    made: dict[Node, Node] = {}
    for node in own.reachable():
        made[node] = graph.rebuild(node, [made[arg] for arg in node.args])
    graph.outputs = [(key, _of_its_own(graph, node)) for key, node in (
        (RESIDUAL, made[own.outputs[0][1]]), (JACOBIAN, slopes))]
    graph.checks = [Check(made[check.bad], check.message, check.error) for check in own.checks]
    return str(finish(refine(graph)))


def _of_its_own(graph: Graph, node: Node) -> Node:
    """An output as an array that is written, also where it is an input."""
    if node.op != "input" or not node.shape:
        return node
    axes = whole_axes(node.shape)
    return graph.store(axes, graph.read(node, [graph.axis(axis) for axis in axes]))


class _Solved:
    """A call that solves equations as its rules see it: unknown and parameters at the solution."""

    def __init__(self, graph: Graph, y: Node) -> None:
        found = equations(y.attr.routine)
        assert found is not None
        self.algebra, self.equations, self.batch = LinearAlgebra(Arrays(graph)), found, y.attr.batch
        self.inputs = list(prepared(found.residual).inputs.items())
        self.values = {name: self.algebra.whole(node) for (name, _), node in zip(
            self.inputs, (y, *y.args[1:]), strict=True)}

    def parameters(self, y: Node, active: Mapping[Node, Any]) -> list[tuple[str, Node]]:
        """The names of the real parameters among the active nodes, and these nodes."""
        return [(name, arg) for (name, node), arg in zip(self.inputs[1:], y.args[1:], strict=True)
                if arg in active and node.dtype.startswith("float")]

    def at(self, kind: str, by: Sequence[str], lead: Sequence[Dim], **given: Array) -> list[Array]:
        """A derivative of the residual at the solution, for each point of some leading dimensions."""
        template = derived(self.equations.residual, kind, tuple(by))
        more = dict(zip(list(template.inputs)[len(self.inputs):], given.values(), strict=True))
        return at_points(self.algebra, template, {**self.values, **more}, lead)

    def solved(self, right: Array, directions: int, *, transposed: bool) -> Array:
        """-l with (dr/dx) l = right, or with the transposed matrix; the directions are leading dimensions."""
        la = self.algebra
        unknown, node = self.inputs[0]
        shape = self.values[unknown].shape[:self.batch]
        (slopes,) = self.at("jacobian", [unknown], shape)
        right = la.apply("neg", right)
        if not node.shape:
            graph = la.graph
            bad = graph.apply("eq", slopes.node, 0.0)
            for axis in sorted_axes(bad.axes):
                bad = graph.reduce("any", axis, bad)
            if not any(check.bad is bad for check in graph.checks):
                graph.checks.append(Check(bad, NO_SLOPE))
            return la.apply("div", right, slopes)
        matrix = la.transposed(slopes) if transposed else slopes
        if directions == 1 and not self.batch:                  # the columns of one matrix
            return la.transposed(la.call("solve", matrix, la.transposed(right))[0])
        return la.call("solve", matrix, right, vectors=True)[0]


def pull(graph: Graph, y: Node, y_: Node, active: Mapping[Node, Any],
         held: Sequence[Axis]) -> Iterator[tuple[Node, Node]]:
    """The parameters of a call with their cotangent arrays; the last dimensions are those of the held axes."""
    use, count = _Solved(graph, y), len(held)
    wanted = use.parameters(y, active)
    if not wanted:
        return
    multiplier = use.solved(use.algebra.leading(y_, count), count, transposed=True)
    lead = multiplier.shape[:count + use.batch]
    found = use.at("vjp", [name for name, _ in wanted], lead, cotangent=multiplier)
    for (_, arg), share in zip(wanted, found, strict=True):
        yield arg, use.algebra.stored(share._replace(axes=(*share.axes[count:], *share.axes[:count])))


def push(graph: Graph, y: Node, tangents: Mapping[Node, Node], held: Sequence[Axis]) -> Node | None:
    """The tangent array of a call; None if no parameter has one."""
    use, count = _Solved(graph, y), len(held)
    wanted = use.parameters(y, tangents)
    if not wanted:
        return None
    given = {name: use.algebra.leading(tangents[arg], count) for name, arg in wanted}
    lead = (*next(iter(given.values())).shape[:count], *y.shape[:use.batch])
    (moved,) = use.at("jvp", list(given), lead, **given)
    found = use.solved(moved, count, transposed=False)
    return use.algebra.stored(found._replace(axes=(*found.axes[count:], *found.axes[:count])))


def definition(residual: Graph, tolerance: float, iterations: int) -> Equations:
    """The equations of a residual's graph, as a routine is defined by them."""
    text = str(residual)
    return Equations(text, system(text), tolerance, iterations)
