"""A graph put into another one in place of a node: its inputs become nodes, its dimensions those of the nodes.

Operations of the user's are kept as small graphs of their own; this is what a use of one does. Axes of the small
graph get numbers that nothing else has, so that none captures an axis of the operands; reductions then name theirs
as they always do. What the small graph checks at run time is checked where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import UnsupportedError
from gradc.ir.graph import Check, Graph, Node, ScanAttr, StoreAttr

from .arrays import ArrayError, whole_dim


def inline(graph: Graph, template: Graph, operands: Mapping[str, Node]) -> list[Node]:
    """The outputs of a template over operands: a scalar node for each scalar input, an array for each array."""
    operands = {name: graph.read(node, ()) if node.is_array and not template.inputs[name].shape else node
                for name, node in operands.items()}
    dims = _dimensions(template, operands)
    numbers = {name: node for name, node in operands.items() if not node.is_array and name not in dims}
    first = 1 + max((axis.number for node in operands.values() for axis in node.axes), default=-1)
    axes: dict[Axis, Axis] = {}

    def renamed(axis: Axis) -> Axis:
        if axis not in axes:
            if not numbers.keys().isdisjoint(axis.dim.names()):
                raise ArrayError(f"the size {axis.dim} is a whole number that is computed",
                                 "Give a literal, or an argument that is declared as \"int\".", UnsupportedError)
            axes[axis] = Axis(axis.dim.rename(dims), first + len(axes))
        return axes[axis]

    made: dict[Node, Node] = {template.inputs[name]: node for name, node in operands.items()}
    for node in template.reachable():
        if node not in made:
            args = [made[arg] for arg in node.args]
            made[node] = _number(graph, node.attr, dims, numbers) if node.op == "dim" else graph.rebuild(
                node, args, _attribute(node, renamed, dims))
            if node in template.notes:
                graph.notes.setdefault(made[node], template.notes[node])
    graph.equal += [(left.rename(dims), right.rename(dims)) for left, right in template.equal]
    for check in template.checks:
        bad = made[check.bad]
        for axis in sorted(bad.axes, key=lambda a: (str(a.dim), -a.number)):
            bad = graph.reduce("any", axis, bad)
        graph.checks.append(Check(bad, check.message, check.error))
    return [made[node] for _, node in template.outputs]


def _dimensions(template: Graph, operands: Mapping[str, Node]) -> dict[str, Dim]:
    """The dimension of the operands that each named dimension of the template is."""
    found: dict[str, Dim] = {}
    for name, node in template.inputs.items():
        for dim, actual in zip(node.shape, operands[name].shape, strict=True):
            if dim.name is not None:
                found.setdefault(dim.name, actual)
        known = whole_dim(operands[name]) if node.dtype == "int64" and not node.shape else None
        if known is not None:
            found.setdefault(name, known)
    return found


def _number(graph: Graph, dim: Dim, dims: Mapping[str, Dim], numbers: Mapping[str, Node]) -> Node:
    """The value of a dimension some of whose names are numbers of the operands."""
    if numbers.keys().isdisjoint(dim.names()):
        return graph.dim(dim.rename(dims))
    total = graph.const(0)
    for monomial, factor in dim.terms:
        term = graph.const(factor)
        for atom in monomial:
            if not isinstance(atom, str):
                raise ArrayError(f"{dim} divides a whole number that is computed",
                                 "Write // on arguments declared as \"int\", or on real numbers.", UnsupportedError)
            value = numbers[atom] if atom in numbers else graph.dim(dims.get(atom, Dim.of(atom)))
            term = graph.apply("mul", term, value)
        total = graph.apply("add", total, term)
    return total


def _attribute(node: Node, renamed: Any, dims: Mapping[str, Dim]) -> Any:
    attr = node.attr
    if isinstance(attr, Axis):
        return renamed(attr)
    if isinstance(attr, ScanAttr):
        return attr._replace(axis=renamed(attr.axis))
    if isinstance(attr, StoreAttr):
        parts = tuple(part._replace(axes=tuple(map(renamed, part.axes)), offsets=tuple(
            offset.rename(dims) for offset in part.offsets)) for part in attr.parts)
        return attr._replace(shape=_shape(attr.shape, dims), parts=parts)
    return attr._replace(shape=_shape(attr.shape, dims)) if hasattr(attr, "shape") else attr


def _shape(shape: tuple[Dim, ...], dims: Mapping[str, Dim]) -> tuple[Dim, ...]:
    return tuple(dim.rename(dims) for dim in shape)
