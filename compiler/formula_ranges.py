"""Ranges of formula strings: `for i in range(start, stop, step)` as an axis, an index and guards.

A range whose length is a dimension becomes an axis of that length, the index being start + step * axis. A
range that depends on an outer index becomes an axis over the largest range that can occur, with guards
that keep the index inside the range. What has no known bound is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Generator
from typing import TYPE_CHECKING, NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import GradcError, UnsupportedError
from gradc.ir.graph import Node

from .arrays import Array, fresh, whole_dim
from .inequalities import to_dim
from .syntax import shown

if TYPE_CHECKING:
    from .formula import Walker

Found = tuple[Axis, Node, list[Node]]


class Ends(NamedTuple):
    """The ends of a range as integer nodes, and its step."""

    start: Node
    stop: Node
    step: int


def range_ends(walker: Walker,
               comprehension: ast.comprehension) -> Generator[ast.expr, Array, tuple[str, Ends]]:
    """The name of the index and the ends of one `for ... in range(...)`."""
    target, iterated = comprehension.target, comprehension.iter
    if comprehension.is_async:
        raise walker.refused(iterated, "async has no meaning in a formula", "Write for i in range(n).",
                             error=UnsupportedError)
    if not isinstance(target, ast.Name):
        raise walker.refused(target, "a generator has one index",
                             "Write for i in range(n) for j in range(m).", error=UnsupportedError)
    if not (isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name)
            and iterated.func.id == "range"):
        text = shown(walker.text(iterated), 30)
        advice = f"Write for {target.id} in range(len({text})), and {text}[{target.id}]." \
            if isinstance(iterated, ast.Name) else f"Write for {target.id} in range(n)."
        raise walker.refused(iterated, "a generator runs over a range", advice, error=UnsupportedError)
    if iterated.keywords or not 1 <= len(iterated.args) <= 3:
        raise walker.refused(iterated, "range takes one to three whole numbers",
                             "Write range(stop), range(start, stop) or range(start, stop, step).")
    ends = []
    for argument in iterated.args:
        if isinstance(argument, ast.Starred):
            raise walker.refused(argument, "* does not unpack here", "Write the operands one by one.",
                                 error=UnsupportedError)
        ends.append(walker.whole(argument, (yield argument), "an end of a range").node)
    if len(ends) == 1:
        ends.insert(0, walker.graph.const(0))
    step = ends[2] if len(ends) == 3 else walker.graph.const(1)
    if step.op != "const" or not step.value:
        raise walker.refused(iterated, "the step of a range is a literal whole number other than 0",
                             "Write a literal such as 2 or -1.")
    return target.id, Ends(ends[0], ends[1], int(step.value))


def range_axis(walker: Walker, tree: ast.expr, ends: Ends) -> Found:
    """The axis of a range, the index as a node, and the guards that keep it inside the range."""
    graph, (start, stop, step) = walker.graph, ends
    low, high = (start, stop) if step > 0 else (stop, start)
    length = whole_dim(graph.apply("sub", high, low))
    if length is not None:
        axis = _axis(walker, _steps(length, step))
        return axis, _moved(walker, start, axis, step), []
    if step == 1:
        return _dependent(walker, tree, start, stop)
    least, most = bound(walker, low, lowest=True), bound(walker, high, lowest=False)
    if least is None or most is None:
        raise _boundless(walker, tree)
    axis = _axis(walker, _steps(most - least, step))
    index = _moved(walker, start, axis, step)
    return axis, index, [graph.apply("less" if step > 0 else "greater", index, stop)]


def _dependent(walker: Walker, tree: ast.expr, start: Node, stop: Node) -> Found:
    """A range whose ends vary with other indices: an axis from the least to the largest, with guards."""
    graph = walker.graph
    least, most = bound(walker, start, lowest=True), bound(walker, stop, lowest=False)
    if least is None or most is None:
        raise _boundless(walker, tree)
    if walker.bounds.nonnegative(start, walker.conditions):
        least = Dim.of(0)
    outer = [axis.dim for axis in stop.axes if axis.dim - 1 == most]     # range(i), i < n: the axis of n
    axis = _axis(walker, (outer[0] if outer else most) - least)
    index = graph.apply("add", graph.axis(axis), graph.dim(least))
    guards = []
    if whole_dim(start) != least:
        guards.append(graph.apply("less_equal", start, index))
    if outer or whole_dim(stop) != most:
        guards.append(graph.apply("less", index, stop))
    return axis, index, guards


def _steps(length: Dim, step: int) -> Dim:
    count = (length + (abs(step) - 1)) // abs(step)
    return count if count.constant is None else Dim.of(max(0, count.constant))


def _axis(walker: Walker, dim: Dim) -> Axis:
    return fresh(dim, walker.arrays.taken)


def _moved(walker: Walker, start: Node, axis: Axis, step: int) -> Node:
    graph = walker.graph
    return graph.apply("add", start, graph.apply("mul", graph.axis(axis), step))


def bound(walker: Walker, node: Node, lowest: bool, depth: int = 4) -> Dim | None:
    """A dimension that an integer never goes below (or above), if one is known."""
    low, high = walker.bounds.extremes(node)
    form = low if lowest else high
    if form is not None:
        return to_dim(form)
    if node.op not in ("min", "max") or node.is_reduction or not depth:
        return None
    ends = [bound(walker, arg, lowest, depth - 1) for arg in node.args]
    known = [end for end in ends if end is not None]
    if (node.op == "max") == lowest:                            # one operand alone bounds the whole
        plain = [end for end in known if end.constant is not None or end.name is not None]
        return plain[0] if plain else known[0] if known else None
    graph = walker.graph
    for end in known if len(known) == len(ends) else []:
        gaps = [other - end if lowest else end - other for other in known]
        if all(walker.bounds.nonnegative(graph.dim(gap)) for gap in gaps):
            return end
    return None


def _boundless(walker: Walker, tree: ast.expr) -> GradcError:
    return walker.refused(tree, "no dimension is known that bounds this range",
                          "Write a range over a dimension with a condition: range(m) if j < length[i].",
                          error=UnsupportedError)
