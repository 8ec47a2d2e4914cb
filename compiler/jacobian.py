"""Dense Jacobians and Hessians, as lists of blocks: one for each output and each argument.

Reverse mode takes all rows at once. The axes along which an output lies are *held*: the sweep starts at one element,
and its adjoints keep those axes, over which nothing is summed. What reaches a read of the argument is an entry of the
block, at the element's place and the read's: a scatter. So where each element depends on its own data, the derivatives
of its row stand in one loop, and where an element depends on few, only these are written. Forward mode takes all
columns at once: the tangent of a read is 1 where its index is that of the column. Both are appended to one graph, and
the blocks are taken from the cheaper one, argument by argument. A Hessian is the Jacobian of a gradient; below the
diagonal it is computed, above it is copied, so it is symmetric to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gradc.ir.cast import cast
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import (
    Graph,
    Node,
    Part,
    apart,
    copy_graph,
    part_axes,
    promoted,
    scatter_parts,
    sorted_axes,
    store_parts,
    whole_axes,
)

from .adjoint import reverse
from .simplify import fold, pinned
from .tangent import forward

NOMINAL = 32            # what a named dimension counts in the cost, which no size is known for
MODES = ("", "forward", "reverse")


class Block(NamedTuple):
    """The derivatives of an output by an argument: the node that holds them, of the shape of both, and its entries.

    parts  the entries of an array, each at the place of the output and that of the argument; None if only forward
           mode knows them, as a whole
    """

    node: Node
    parts: list[Part] | None


def jacobian(graph: Graph, wrt: Sequence[str], kinks: str, mode: str = "", *,
             with_value: bool = False) -> tuple[Graph, dict[str, list[str]]]:
    """The graph of all blocks, after the value if it is wanted, and for each output their names in the order of `wrt`.

    mode  "forward" or "reverse" for that alone; "" chooses by cost
    """
    new = copy_graph(graph, fold=fold)
    outputs, arguments = list(new.outputs), [new.inputs[name] for name in wrt]
    blocks = chosen(new, [node for _, node in outputs], arguments, kinks, mode)
    names, taken = {}, {*new.inputs, *(key for key, _ in outputs)}
    new.outputs = outputs if with_value else []
    for (key, _), row in zip(outputs, blocks, strict=True):
        names[key] = [free(f"by_{name}" if len(outputs) == 1 else f"{key}_by_{name}", taken) for name in wrt]
        new.outputs = [*new.outputs, *zip(names[key], (block.node for block in row), strict=True)]
    return new, names


def hessian(gradient: Graph, wrt: Sequence[str], kinks: str) -> tuple[Graph, list[list[str]]]:
    """The graph of all blocks of the Jacobian of a gradient, and their names row by row."""
    new = copy_graph(gradient, fold=fold)
    rows, arguments = [node for _, node in new.outputs], [new.inputs[name] for name in wrt]
    blocks = chosen(new, rows, arguments, kinks, "", half=True)
    names, taken = [], set(new.inputs)
    new.outputs = []
    for i, one in enumerate(arguments):
        names.append([free(f"by_{wrt[i]}_{name}", taken) for name in wrt])
        for j, other in enumerate(arguments):
            node = _symmetric(new, blocks[i][i], one) if i == j else _copied(
                new, blocks[min(i, j)][max(i, j)].node, other, one, turned=i > j)
            new.outputs.append((names[i][j], node))
    return new, names


def free(name: str, taken: set[str]) -> str:
    """A name like this one that nothing else has; it is then taken."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


# -- which mode -----------------------------------------------------------------------------------


def chosen(graph: Graph, outputs: Sequence[Node], arguments: Sequence[Node], kinks: str, mode: str, *,
           half: bool = False, weight: Callable[[Sequence[Block]], Any] | None = None) -> list[list[Block]]:
    """For each output its blocks, by the mode that costs less: for all arguments, or for each its own.

    Of numbers alone their count decides, of one number it is reverse mode. With `half` the blocks below the diagonal
    are left empty. `weight` says what blocks cost, by default the values that they need.
    """
    weight = weight or (lambda blocks: cost(block.node for block in blocks))
    if not any(output.dtype.startswith("float") for output in outputs):
        raise DerivativeError(f"the output is {outputs[0].dtype} and has no derivative: return a real number (1.0 in "
                              "place of 1)")
    arrays = any(node.is_array for node in (*outputs, *arguments))
    rows = mode == "reverse" or (mode != "forward" and (arrays or len(outputs) < len(arguments)))
    columns = not rows or (not mode and arrays and (len(outputs) > 1 or outputs[0].is_array))
    ways, empty = [], Block(graph.const(0.0), [])
    if rows:
        first = [k if half else 0 for k in range(len(outputs))]
        ways.append([[empty] * k + _by_rows(graph, output, arguments[k:], kinks)
                     for k, output in zip(first, outputs, strict=True)])
    elif kinks == "raise":                                      # where a value counts is what the adjoint knows
        reverse(graph, [(output, ones(graph, output)) for output in outputs], arguments, kinks)
    if columns:
        try:
            found = [_by_columns(graph, outputs[:k + 1 if half else None], argument)
                     for k, argument in enumerate(arguments)]
            ways.append([[column[k] if k < len(column) else empty for column in found] for k in range(len(outputs))])
        except DerivativeError:                                 # an operation of the user's own may have a vjp alone
            if not rows:
                raise
    if len(ways) == 2:
        ways.append([[min(pair, key=lambda block: weight([block])) for pair in zip(*pairs, strict=True)]
                     for pairs in zip(*ways, strict=True)])
    return min(ways, key=lambda blocks: weight([block for row in blocks for block in row]))


def ones(graph: Graph, node: Node) -> Node:
    """What a sum of all elements passes back to a node, a number or an array."""
    one = graph.const(1.0, node.dtype)
    return graph.store(whole_axes(node.shape), one) if node.is_array else one


def cost(nodes: Iterable[Node]) -> int:
    """The number of values that some nodes need, a nominal size in place of each named dimension."""
    nodes = list(nodes)
    total = 0
    for node in nodes[0].graph.reachable(nodes):
        axes = set(node.axes)
        if node.is_reduction:
            axes.add(node.attr)
        elif node.op == "store":
            axes.update(*(part.axes for part in node.attr.parts))
        elif node.op == "scatter_add":
            axes.update(*(part_axes(part) for part in scatter_parts(node.attr, node.args)))
        dims = node.shape if node.op == "call" else [axis.dim for axis in axes]
        total += points(dims) * (NOMINAL if node.op == "call" else 1)
    return total


def points(dims: Iterable[Dim]) -> int:
    """The number of points of some dimensions, a nominal size in place of each name."""
    total = 1
    for dim in dims:
        total *= max(1, dim.evaluate(dict.fromkeys(dim.names(), NOMINAL)))
    return total


# -- reverse mode: all rows -------------------------------------------------------------------------


def _by_rows(graph: Graph, output: Node, arguments: Sequence[Node], kinks: str) -> list[Block]:
    """The blocks of one output by a sweep for each of its parts, or by one for all where a running value mixes them."""
    entries: dict[Node, list[Part]] = {argument: [] for argument in arguments}
    if output.dtype.startswith("float"):
        swept = [_row(graph, part, arguments, kinks) for part in elements(graph, output)]
        for found in swept if None not in swept else [_all_rows(graph, output, arguments, kinks)]:
            for argument, parts in (found or {}).items():
                entries[argument] += parts
    return [_assembled(graph, output, argument, entries[argument]) for argument in arguments]


def elements(graph: Graph, output: Node) -> list[Part]:
    """The elements of an output: values, the places where they stand, and the conditions under which they do."""
    if not output.is_array:
        return [Part(output, ())]
    output = _itself(graph, output)
    if output.op == "scatter_add":
        return scatter_parts(output.attr, output.args)
    if output.op == "store" and not output.attr.base:
        parts = store_parts(output.attr, output.args)
        if all(apart(one[0], other[0]) for k, one in enumerate(parts) for other in parts[k + 1:]):
            return [Part(value, tuple(graph.axis(a) + graph.dim(o) for a, o in zip(
                part.axes, part.offsets, strict=True)), guards) for part, value, guards in parts]
    index = tuple(map(graph.axis, whole_axes(output.shape)))
    return [Part(graph.read(output, index), index)]


def _itself(graph: Graph, array: Node) -> Node:
    """The array of which another one is a copy."""
    while array.op == "store" and not array.attr.base and len(array.attr.parts) == 1:
        (part, value, guards), = store_parts(array.attr, array.args)
        index = (value.args[0].shape, tuple(map(graph.axis, part.axes))) if value.op == "read" else ()
        if guards or any(offset.constant != 0 for offset in part.offsets) or index != (array.shape, value.args[1:]):
            break
        array = value.args[0]
    return array


def _row(graph: Graph, part: Part, arguments: Sequence[Node], kinks: str) -> dict[Node, list[Part]] | None:
    """What one sweep from the elements of a part gives to every argument; None if a running value mixes them."""
    own = sorted_axes(part_axes(part))
    first = _unused(graph) if own else 0
    held = [Axis(axis.dim, first + k) for k, axis in enumerate(own)]
    value, place, guards = _substituted(graph, part, dict(zip(own, map(graph.axis, held), strict=True)))
    if held and any(node.op == "scan" and node.attr.axis in held for node in graph.reachable([value])):
        return None
    adjoints = reverse(graph, [(value, graph.const(1.0, value.dtype))], arguments, kinks, held=held)
    return _collected(graph, adjoints, place, guards, held)


def _all_rows(graph: Graph, output: Node, arguments: Sequence[Node], kinks: str) -> dict[Node, list[Part]]:
    """The same from all elements of an output, each of which has a cotangent for each of them."""
    held, units = _units(graph, output)
    adjoints = reverse(graph, [(output, units)], arguments, kinks, held=held)
    return _collected(graph, adjoints, tuple(map(graph.axis, held)), (), held)


def _units(graph: Graph, array: Node) -> tuple[list[Axis], Node]:
    """Held axes for the dimensions of an array (none of a number), and along them the unit arrays of its shape."""
    own = whole_axes(array.shape)
    first = _unused(graph) if own else 0
    held = [Axis(axis.dim, first + k) for k, axis in enumerate(own)]
    one = graph.const(1.0, array.dtype)
    if not held:
        return held, one
    same = [graph.apply("eq", graph.axis(a), graph.axis(b)) for a, b in zip(own, held, strict=True)]
    return held, graph.store((*own, *held), graph.ops.select(graph.all_of(same), one, graph.const(0.0, array.dtype)))


def _collected(graph: Graph, adjoints: Mapping[Node, Node], place: tuple[Node, ...], guards: tuple[Node, ...],
               held: Sequence[Axis]) -> dict[Node, list[Part]]:
    return {argument: [_renamed(graph, at_once(graph, entry, held), held) for entry in _entries(
        graph, argument, adjoint, place, guards, held)] for argument, adjoint in adjoints.items()}


def _unused(graph: Graph) -> int:
    """A number from which on no axis of the graph is named, bound ones among them."""
    numbers = [axis.number for node in graph.nodes for axis in node.axes]
    numbers += [node.attr.number for node in graph.nodes if node.is_reduction]
    numbers += [len(node.shape) for node in graph.nodes]        # whole arrays are read over the lowest ones
    return 1 + max(numbers, default=0)


def _entries(graph: Graph, argument: Node, adjoint: Node, place: tuple[Node, ...], guards: tuple[Node, ...],
             held: Sequence[Axis]) -> Iterator[Part]:
    if not argument.is_array:
        if not (adjoint.op == "const" and adjoint.value == 0.0):
            yield Part(adjoint, place, guards)
    elif adjoint.op == "scatter_add" and all(part.indices[len(argument.shape):] == tuple(map(graph.axis, held))
                                             for part in scatter_parts(adjoint.attr, adjoint.args)):
        for part in scatter_parts(adjoint.attr, adjoint.args):
            yield Part(part.value, (*place, *part.indices[:len(argument.shape)]), (*guards, *part.guards))
    else:
        index = tuple(map(graph.axis, whole_axes(argument.shape)))
        yield Part(graph.read(adjoint, (*index, *map(graph.axis, held))), (*place, *index), guards)


def _renamed(graph: Graph, part: Part, held: Sequence[Axis]) -> Part:
    """The part on the lowest axes, the held ones first, so that its loops are those of the rest."""
    axes = part_axes(part)
    order = [axis for axis in held if axis in axes] + sorted_axes(axes.difference(held))
    targets = whole_axes([axis.dim for axis in order])
    return _substituted(graph, part, dict(zip(order, map(graph.axis, targets), strict=True)))


def _substituted(graph: Graph, part: Part, mapping: Mapping[Axis, Node]) -> Part:
    value, *others = graph.substitute_all((part.value, *part.indices, *part.guards), mapping)
    return Part(value, tuple(others[:len(part.indices)]), tuple(others[len(part.indices):]))


def _assembled(graph: Graph, output: Node, argument: Node, parts: Sequence[Part]) -> Block:
    dtype = promoted([output.dtype if output.dtype.startswith("float") else "float64", argument.dtype])
    merged: dict[tuple[Any, ...], Part] = {}
    for part in (at_once(graph, part._replace(value=cast(part.value, dtype))) for part in parts):
        key = (part.indices, part.guards, part_axes(part))      # what goes to one place goes there at once
        merged[key] = part if key not in merged else part._replace(value=merged[key].value + part.value)
    parts = list(merged.values())
    shape = (*output.shape, *argument.shape)
    if shape:
        return Block(graph.scatter_add(shape, parts, dtype), parts)
    node = graph.const(0.0, dtype)
    for value, _, guards in parts:
        node = node + (graph.ops.select(graph.all_of(guards), value, 0.0) if guards else value)
    return Block(node, parts)


def at_once(graph: Graph, part: Part, held: Sequence[Axis] = ()) -> Part:
    """The part without axes on which a condition leaves one point; the held ones stay if they can."""
    for axis in sorted(sorted_axes(part_axes(part)), key=lambda axis: axis in held):
        found = pinned(axis, part.guards)
        if found is not None:
            point, guards = found
            part = _substituted(graph, part._replace(guards=guards), {axis: point})
    return part


# -- forward mode: all columns ----------------------------------------------------------------------


def _by_columns(graph: Graph, outputs: Sequence[Node], argument: Node) -> list[Block]:
    """The blocks of one argument by one sweep, in which it has a direction for each of its elements."""
    held, seed = _units(graph, argument)
    blocks = []
    for output, tangent in zip(outputs, forward(graph, {argument: seed}, outputs, held), strict=True):
        dtype = promoted([output.dtype if output.dtype.startswith("float") else "float64", argument.dtype])
        if not output.is_array and held:
            tangent = graph.store(held, tangent)
        if tangent.op == "scatter_add":
            parts = [_renamed(graph, at_once(graph, part), held) for part in scatter_parts(tangent.attr, tangent.args)]
            blocks.append(_assembled(graph, output, argument, parts))
        else:
            blocks.append(Block(cast(tangent, dtype), None))
    return blocks


# -- symmetry ----------------------------------------------------------------------------------------


def _symmetric(graph: Graph, block: Block, argument: Node) -> Node:
    """A block on the diagonal: what stands below its own diagonal is computed, and copied to above."""
    rank, half = len(argument.shape), block.node
    places = [(part.indices[:rank], part.indices[rank:]) for part in block.parts or ()]
    if not rank or (block.parts is not None and all(row == column for row, column in places)):
        return half
    if block.parts is not None:
        half = graph.scatter_add(half.shape, [part._replace(guards=(*part.guards, below(graph, row[:1], column[:1])))
                                 for part, (row, column) in zip(block.parts, places, strict=True)], half.dtype)
    axes = whole_axes(half.shape)
    row, column = tuple(map(graph.axis, axes[:rank])), tuple(map(graph.axis, axes[rank:]))
    lower, upper = graph.read(half, (*row, *column)), graph.read(half, (*column, *row))
    return graph.store(axes, graph.ops.select(below(graph, row, column), lower, upper))


def below(graph: Graph, row: Sequence[Node], column: Sequence[Node], *, strictly: bool = False) -> Node:
    """The condition that one place is the other (unless `strictly`) or comes after it, in the order of memory."""
    found = graph.const(not strictly)
    for last, (a, b) in enumerate(zip(reversed(row), reversed(column), strict=True)):
        step = graph.apply("sub", a, b)
        if step.op == "const":                                  # x[i + 1] is after x[i]
            found = found if step.value == 0 else graph.const(step.value > 0)
        elif not last:
            found = graph.ops.greater(a, b) if strictly else graph.ops.greater_equal(a, b)
        else:
            found = graph.ops.or_(graph.ops.greater(a, b), graph.ops.and_(graph.ops.eq(a, b), found))
    return found


def _copied(graph: Graph, block: Node, columns: Node, rows: Node, *, turned: bool) -> Node:
    """The block of two arguments beside the diagonal, or its transpose: copies of one array, so equal in every bit."""
    if not rows.shape or not columns.shape:
        return block
    axes = whole_axes((*rows.shape, *columns.shape))
    index = (*axes[len(rows.shape):], *axes[:len(rows.shape)]) if turned else axes
    return graph.store(axes, graph.read(block, list(map(graph.axis, index))))
