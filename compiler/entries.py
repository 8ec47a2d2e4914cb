"""The entries of sparse Jacobians and Hessians: where they stand, and the graph that writes their values.

A block of a Jacobian is a list of parts, each a value over named axes with the place of its row and of its column.
Here each part becomes an `Entry`: row and column are numbers of elements in the order of memory, and an axis that
neither of them has is summed over. `pattern_graph` computes these numbers, without any value; `values_graph` adds
every value to its slot in the data of a sparse matrix. Which slots those are, `sparsity` finds at run time. A block
that is known as a whole alone (a running sum, a library routine) is an entry over all of its elements.

Of a Hessian what stands below the diagonal is computed and added to both slots, so it is symmetric to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gradc.ir.cast import cast
from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Graph, Node, Part, copy_graph, part_axes, promoted, sorted_axes, whole_axes

from .jacobian import Block, at_once, below, chosen, cost, free, points
from .simplify import fold
from .slots import Write


class Entry(NamedTuple):
    """A part of a block, one of the scatters into the data of a matrix.

    block   numbers of the output and of the argument
    row, column  numbers of the elements of both, over `axes`
    guards  the conditions under which there is a value; `shown` are those that need no real number that row and
            column do not need too
    fixed   whether the value needs none, and all conditions are shown
    """

    block: tuple[int, int]
    value: Node
    row: Node
    column: Node
    axes: tuple[Axis, ...]
    guards: tuple[Node, ...]
    shown: tuple[Node, ...]
    fixed: bool


class Entries(NamedTuple):
    """All entries in a graph, and the shapes and dtypes of the blocks.

    rows, columns  the shapes of what is differentiated and by what, in order
    """

    graph: Graph
    entries: list[Entry]
    rows: list[tuple[Dim, ...]]
    columns: list[tuple[Dim, ...]]
    dtypes: dict[tuple[int, int], str]


def jacobian_entries(graph: Graph, wrt: Sequence[str], kinks: str) -> Entries:
    """The entries of all blocks of a Jacobian; the graph keeps its outputs."""
    new = copy_graph(graph, fold=fold)
    outputs, arguments = [node for _, node in new.outputs], [new.inputs[name] for name in wrt]
    blocks = chosen(new, outputs, arguments, kinks, "", weight=_weight)
    found = Entries(new, [], [node.shape for node in outputs], [node.shape for node in arguments], {})
    for i, (output, row) in enumerate(zip(outputs, blocks, strict=True)):
        for j, (argument, block) in enumerate(zip(arguments, row, strict=True)):
            found.dtypes[i, j] = block.node.dtype
            rank = len(output.shape)
            for part in _parts(new, block):
                part = _summed(new, part)
                found.entries.append(_entry(new, (i, j), part, output.shape, argument.shape, rank, part.guards))
    return found


def hessian_entries(gradient: Graph, wrt: Sequence[str], kinks: str) -> Entries:
    """The entries of all blocks of the Jacobian of a gradient, both halves."""
    new = copy_graph(gradient, fold=fold)
    rows, arguments = [node for _, node in new.outputs], [new.inputs[name] for name in wrt]
    blocks = chosen(new, rows, arguments, kinks, "", half=True, weight=_weight)
    shapes = [node.shape for node in arguments]
    found = Entries(new, [], shapes, shapes, {})
    for i, one in enumerate(arguments):
        for j in range(i, len(arguments)):
            block, rank = blocks[i][j], len(one.shape)
            found.dtypes[i, j] = found.dtypes[j, i] = block.node.dtype
            for part in _parts(new, block):
                part = _summed(new, part)
                guards, strict = part.guards, part.guards
                if i == j:
                    row, column = part.indices[:rank], part.indices[rank:]
                    guards = (*guards, below(new, row, column))
                    strict = (*strict, below(new, row, column, strictly=True))
                entry = _entry(new, (i, j), part, one.shape, arguments[j].shape, rank, guards)
                turned = _entry(new, (i, j), part, one.shape, arguments[j].shape, rank, strict)
                turned = turned._replace(block=(j, i), row=turned.column, column=turned.row)
                found.entries.extend(each for each in (entry, turned) if new.conjunction(each.guards) is not None)
    return found


def _weight(blocks: Sequence[Block]) -> tuple[int, int, int]:
    """First how many entries there may be, then how many stand in blocks that are known as a whole, then the cost."""
    possible = whole = 0
    for block in blocks:
        dense = points(block.node.shape)
        axes = [frozenset[Axis]().union(*(node.axes for node in part.indices)) for part in block.parts or ()]
        possible += dense if block.parts is None else min(dense, sum(points(a.dim for a in own) for own in axes))
        whole += dense if block.parts is None else 0
    return possible, whole, cost(block.node for block in blocks)


def _parts(graph: Graph, block: Block) -> list[Part]:
    """The parts of a block, in which one that is known as a whole is one."""
    if block.parts is not None:
        return block.parts
    index = tuple(map(graph.axis, whole_axes(block.node.shape)))
    value = graph.read(block.node, index) if index else block.node
    guards: tuple[Node, ...] = ()
    while value.op == "select" and _is_zero(value.args[2]):     # the tangent of one element along another
        value, guards = value.args[1], (*guards, value.args[0])
    return [] if _is_zero(value) else [at_once(graph, Part(value, index, guards))]


def _is_zero(node: Node) -> bool:
    return node.op == "const" and node.value == 0


def _summed(graph: Graph, part: Part) -> Part:
    """The part without the axes along which it stays at its place: what is there is one sum."""
    value, guards = part.value, list(graph.conjunction(part.guards) or ())
    if graph.conjunction(part.guards) is None:
        return part
    stays = frozenset[Axis]().union(*(node.axes for node in part.indices))
    for axis in sorted_axes(part_axes(part) - stays):
        value = graph.reduce("sum", axis, value, [guard for guard in guards if axis in guard.axes])
        guards = [guard for guard in guards if axis not in guard.axes]
    return Part(value, part.indices, tuple(guards))


def _entry(graph: Graph, block: tuple[int, int], part: Part, rows: Sequence[Dim], columns: Sequence[Dim], rank: int,
           guards: Sequence[Node]) -> Entry:
    kept = graph.conjunction(guards)
    sorted_by = _real(graph, part.indices)                      # the structure depends on it anyway, as that of a sort
    shown = tuple(guard for guard in kept or () if _real(graph, [guard]) <= sorted_by)
    axes = frozenset[Axis]().union(*(node.axes for node in (part.value, *part.indices, *(kept or ()))))
    return Entry(block, part.value, _number(graph, part.indices[:rank], rows), _number(
        graph, part.indices[rank:], columns), tuple(sorted_axes(axes)), (graph.const(False),) if kept is None else kept,
        shown, len(shown) == len(kept or ()) and not _real(graph, [part.value]))


def _real(graph: Graph, nodes: Sequence[Node]) -> set[str]:
    """The real arguments that some nodes depend on."""
    return {name for name in _arguments(graph, nodes) if graph.inputs[name].dtype.startswith("float")}


def _number(graph: Graph, indices: Sequence[Node], shape: Sequence[Dim]) -> Node:
    """The number of an element of an array in the order of memory."""
    number = graph.const(0)
    for index, dim in zip(indices, shape, strict=True):
        number = number * graph.dim(dim) + index
    return number


# -- graphs -----------------------------------------------------------------------------------------


def pattern_graph(found: Entries) -> tuple[Graph, tuple[str, ...]]:
    """For each entry its rows, columns and whether there is one, as whole arrays, and then the values that are fixed.

    Beside the graph the names of the arguments that are read. Of the conditions that a call checks it keeps those on
    the same arguments, so on indices.
    """
    shown = [found.graph.all_of(entry.shown) for entry in found.entries]
    pattern, images = _copied(found.graph, [node for entry, condition in zip(found.entries, shown, strict=True)
                                            for node in (entry.row, entry.column, condition)]
                              + [entry.value for entry in found.entries if entry.fixed])
    needed = _arguments(pattern, images)
    pattern.checks = [check for check in pattern.checks if _arguments(pattern, [check.bad]) <= needed]
    axes = [entry.axes for entry in found.entries for _ in range(3)]
    axes += [entry.axes for entry in found.entries if entry.fixed]
    pattern.outputs = [(f"place{k}", pattern.store(own, node) if own else node)
                       for k, (own, node) in enumerate(zip(axes, images, strict=True))]
    return pattern, tuple(name for name in pattern.inputs if name in needed)


class Statements(NamedTuple):
    """What writes the data of one matrix: statements that add to their slots, or that write each slot `once`."""

    once: bool
    writes: tuple[Write, ...]


class Values(NamedTuple):
    """The graph of the values of matrices: its outputs, and what it takes after the arguments.

    value   names of the outputs that are the function's value
    data    names of the outputs that are the data of a matrix
    added   names of the added arguments: the number of slots of each matrix, for each matrix with fixed values the sum
            of these in every slot, the numbers that rules leave open, and an array of slots for each statement without
            a rule
    """

    graph: Graph
    value: tuple[str, ...]
    data: tuple[str, ...]
    added: tuple[str, ...]


def values_graph(found: Entries, matrices: Mapping[tuple[int, int], int], statements: Sequence[Statements], *,
                 with_value: bool, kept: bool) -> Values:
    """The graph that writes the data of some matrices.

    matrices    the number of the matrix in which a block stands
    statements  for each matrix
    kept        whether the values of fixed entries are given, added up, and not written by any statement
    with_value  whether the function's value is given too, the work shared
    """
    outputs, count = found.graph.outputs if with_value else [], len(statements)
    numbers = sorted({number for own in statements for write in own.writes for number, _ in write.entries})
    new, images = _copied(found.graph, [*(node for _, node in outputs), *(
        node for number in numbers for node in (found.entries[number].value, *found.entries[number].guards))])
    rest = iter(images[len(outputs):])
    terms = {number: [next(rest) for _ in range(1 + len(found.entries[number].guards))] for number in numbers}
    taken = {*new.inputs, *(name for node in new.inputs.values() for dim in node.shape for name in dim.names()),
             *(key for key, _ in outputs)}
    sizes = [new.input(free("slots" if count == 1 else f"slots_{k}", taken), "int64") for k in range(count)]
    dtypes = [promoted([found.dtypes[b] for b, m in matrices.items() if m == k]) for k in range(count)]
    parts: list[list[Part]] = [[] for _ in range(count)]
    for k in sorted({matrices[entry.block] for entry in found.entries if kept and entry.fixed}):
        dim = Dim.of(sizes[k].attr.name)
        base = new.input(free("base" if count == 1 else f"base_{k}", taken), dtypes[k], [dim])
        own = new.axis(Axis(dim, 0))
        parts[k].append(Part(new.read(base, [own]), (own,)))
    left = sum(number is None for own in statements for write in own.writes for number in write.rule or ())
    places = new.input(free("places", taken), "int64", [left])
    at = iter(range(left))
    for number, (k, write) in enumerate((k, write) for k, own in enumerate(statements) for write in own.writes):
        axes = write.axes
        if write.rule is None:
            axes = axes if write.entries else (Axis(Dim.of(free("rest", taken)), 0),)
            given = new.input(free(f"slot_{number}", taken), "int64", [axis.dim for axis in axes])
            slot = new.read(given, list(map(new.axis, axes))) if axes else given
        else:
            first, *steps = [new.read(places, [next(at)]) if n is None else new.const(n) for n in write.rule]
            slot = sum((step * new.axis(axis) for step, axis in zip(steps, axes, strict=True)), first)
        value, guards = _sum(new, found, terms, write)
        parts[k].append(Part(new.const(0.0, dtypes[k]) if value is None else value, (slot,), guards))
    data = [(free("data" if count == 1 else f"data_{k}", taken),
             new.scatter_add([Dim.of(sizes[k].attr.name)], parts[k], dtypes[k], once=statements[k].once))
            for k in range(count)]
    value_keys = tuple(key for key, _ in outputs)
    new.outputs = [*zip(value_keys, images, strict=False), *data]
    return Values(new, value_keys, tuple(key for key, _ in data), tuple(new.inputs)[len(found.graph.inputs):])


def _sum(graph: Graph, found: Entries, terms: Mapping[int, Sequence[Node]],
         write: Write) -> tuple[Node | None, tuple[Node, ...]]:
    """What a statement writes, None for 0, and the guards: of entries that are all there those on values alone."""
    total, guards = None, list[Node]()
    for number, place in write.entries:
        entry, (value, *guards) = found.entries[number], terms[number]
        if write.whole:
            guards = [guard for guard, own in zip(guards, entry.guards, strict=True) if own not in entry.shown]
        literal = {axis: graph.const(at) for axis, at in zip(entry.axes, place, strict=True) if at is not None}
        value, *guards = graph.substitute_all((cast(value, found.dtypes[entry.block]), *guards), literal)
        total = value if total is None else total + value
    return total, tuple(guards)


def _copied(graph: Graph, nodes: Sequence[Node]) -> tuple[Graph, list[Node]]:
    """A graph of what some nodes need, and their images."""
    kept, graph.outputs = graph.outputs, [("", node) for node in nodes]
    new = copy_graph(graph, fold=fold)
    graph.outputs = kept
    images = [node for _, node in new.outputs]
    new.outputs = []
    return new, images


def _arguments(graph: Graph, nodes: Sequence[Node]) -> set[str]:
    return {node.attr.name for node in graph.reachable(nodes) if node.op == "input"}
