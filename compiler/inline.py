"""A graph put into another one in place of a node: its inputs become nodes, its dimensions those of the nodes.

Operations of the user's are kept as small graphs of their own; this is what a use of one does. Axes of the small
graph get numbers that nothing else has, so that none captures an axis of the operands; reductions then name theirs
as they always do. What the small graph checks at run time is checked where it is used. Operands may be several at
once, over *held* axes: then what depends on them is too, and arrays have their dimensions as further, last ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import DerivativeError, UnsupportedError
from gradc.ir.graph import Check, Graph, Node, Part, ScanAttr, StoreAttr, scatter_parts, store_parts, whole_axes

from .arrays import Array, ArrayError, Arrays, whole_dim
from .linear_algebra import LinearAlgebra


def inline(graph: Graph, template: Graph, operands: Mapping[str, Node], held: Sequence[Axis] = ()) -> list[Node]:
    """The outputs of a template over operands: a scalar node for each scalar input, an array for each array.

    An operand over the held axes, and an output that depends on one, has their dimensions last.
    """
    operands = {name: _element(graph, node, held) if node.is_array and not template.inputs[name].shape else node
                for name, node in operands.items()}
    dims = _dimensions(template, operands)
    numbers = {name: node for name, node in operands.items() if not node.is_array and name not in dims}
    first = 1 + max((axis.number for node in operands.values() for axis in (*node.axes, *held)), default=-1)
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
            attribute = _attribute(node, renamed, dims)
            made[node] = _number(graph, node.attr, dims, numbers) if node.op == "dim" else _over(
                graph, node, args, attribute, held) if held else graph.rebuild(node, args, attribute)
            if node in template.notes:
                graph.notes.setdefault(made[node], template.notes[node])
    graph.equal += [(left.rename(dims), right.rename(dims)) for left, right in template.equal]
    for check in template.checks:
        bad = made[check.bad]
        for axis in sorted(bad.axes, key=lambda a: (str(a.dim), -a.number)):
            bad = graph.reduce("any", axis, bad)
        graph.checks.append(Check(bad, check.message, check.error))
    return [made[node] for _, node in template.outputs]


def at_points(la: LinearAlgebra, template: Graph, operands: Mapping[str, Array], lead: Sequence[Dim]) -> list[Array]:
    """The outputs of a template with the leading dimensions; a number has one more dimension, of one element.

    An operand has the last ones of the leading dimensions, or none of them.
    """
    graph, count = la.graph, len(lead)
    held = la.arrays.order(lead)
    nodes = {}
    for name, array in operands.items():
        core = len(template.inputs[name].shape)
        own = len(array.axes) - max(core, 1)
        axes = la.arrays.order((*lead, *array.shape[own:]))
        over = la.arrays.over(array, axes[count - own:])
        if not core:
            nodes[name] = graph.substitute(over.node, {axes[-1]: graph.const(0)})
        elif own:
            nodes[name] = graph.store((*axes[count:], *held), over.node)
        else:
            nodes[name] = la.stored(over)
    found = []
    for node in inline(graph, template, nodes, held):
        if not node.is_array:
            found.append(Array(node, held))
        elif len(node.shape) > len(template.outputs[len(found)][1].shape):
            found.append(la.leading(node, count))
        else:                                                   # the same at every point
            axes = la.arrays.order((*lead, *node.shape))
            found.append(Array(graph.read(node, [graph.axis(axis) for axis in axes[count:]]), axes))
    return [array if template.outputs[k][1].is_array else la.column(array) for k, array in enumerate(found)]


def _element(graph: Graph, array: Node, held: Sequence[Axis]) -> Node:
    return graph.read(array, [graph.axis(axis) for axis in held[:len(array.shape)]])


def _over(graph: Graph, node: Node, args: Sequence[Node], attr: Any, held: Sequence[Axis]) -> Node:
    """A node of a template over the held axes, if some operand is."""
    axes, dims, zeros = tuple(map(graph.axis, held)), [axis.dim for axis in held], [Dim.of(0) for _ in held]
    wide = [len(arg.shape) > len(own.shape) for own, arg in zip(node.args, args, strict=True)]
    varies = any(wide) or any(not arg.axes.isdisjoint(held) for arg in args)
    if not varies or not (node.is_array or node.op == "read"):
        return graph.rebuild(node, args, attr)
    if node.op == "read":
        return graph.read(args[0], (*args[1:1 + attr], *(axes if wide[0] else ())), args[1 + attr:])
    if node.op == "store":
        parts = [((*part.axes, *held), (*part.offsets, *zeros), guards, value)
                 for part, value, guards in store_parts(attr, args)]
        base = args[0] if attr.base else None
        if base is not None and not wide[0]:                    # the same along all held axes
            own = whole_axes(base.shape)
            base = graph.store((*own, *held), graph.read(base, [graph.axis(axis) for axis in own]))
        return graph.store_parts((*attr.shape, *dims), parts, base)
    if node.op == "scatter_add":
        sums = [Part(part.value, (*part.indices, *axes), part.guards) for part in scatter_parts(attr, args)]
        return graph.scatter_add((*attr.shape, *dims), sums, node.dtype, once=attr.once)
    if node.op == "call":
        algebra, ranks = LinearAlgebra(Arrays(graph)), [len(own.shape) - attr.batch for own in node.args]
        operands = [algebra.leading(arg, len(held) if wider else 0) for arg, wider in zip(args, wide, strict=True)]
        found = algebra.call(attr.routine, *operands, vectors=1 in ranks)[attr.result]
        count = len(held)
        return algebra.stored(found._replace(axes=(*found.axes[count:], *found.axes[:count])))
    raise DerivativeError(f"the rule of {node.attr.name} stands in the rule of another operation, which has no "
                          "derivative along several directions at once: take them one after the other")


def _dimensions(template: Graph, operands: Mapping[str, Node]) -> dict[str, Dim]:
    """The dimension of the operands that each named dimension of the template is."""
    found: dict[str, Dim] = {}
    for name, node in template.inputs.items():
        for dim, actual in zip(node.shape, operands[name].shape, strict=False):     # held dimensions are beyond
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
