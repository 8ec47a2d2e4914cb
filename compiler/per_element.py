"""Work on gathered values once for each element that is gathered, where elements are fewer than places that use them.

Of many observations by few cameras each needs the sine of its own camera's angle, `sin(angle[camera[i]])`. Of
observation i that needs `camera[i]` alone, so an array over the cameras holds the values, and observations read them
there. Derivatives go through that array: cotangents are added up for each camera, and go backward from there once.
Whether elements are fewer is known where sizes are, at run time. A sparse derivative is compiled for sizes and takes
`per_element` for those. Any other function is one text for all sizes: `in_rows` has a routine find the elements, and
calls of few places go to another function, see `Function.plain`. Arrays that are computed anyway are `gathered`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import NO_AXES, Axes, Graph, Node, copy_graph, follow, scatter_parts, sorted_axes, store_parts
from gradc.ir.nodes import is_data
from gradc.ir.table import OPERATIONS

from .jacobian import points

CHEAP = frozenset(("abs", "ceil", "floor", "isfinite", "max", "min", "round", "sign", "trunc"))
FUNCTION, QUOTIENT = 8, 3       # additions that a function takes the time of, and a quotient or a root
MANY = 8                # indices that a value depends on, beyond which it is no more asked which
FEWER = 4               # places an element from which on rows pay
FEW = 1024              # places, a number of them, that are not worth a loop more
LINEAR = frozenset(("add", "sub", "mul", "neg", "select"))
THROUGH_AN_ARRAY = 4    # additions that it takes to write, read and differentiate what an array keeps
MOST_DIMENSIONS = 4     # that `elements` takes
Own = tuple[Node, Dim]  # what gathers: an index, and the dimension that it indexes
Pair = tuple[Dim, tuple[Dim, ...]]      # of what is gathered from, and of the places that gather


class Needed(NamedTuple):
    """What a value depends on.

    through  gathering indices, each with the dimension that it indexes
    axes     other axes
    works    whether a function of what is gathered, or a sum, is computed for it
    """

    through: frozenset[tuple[Node, Dim]]
    axes: Axes
    works: bool


def pairs(graph: Graph) -> list[Pair]:
    """The dimensions to compare."""
    found = {(dim, tuple(axis.dim for axis in sorted_axes(index.axes))): None
             for node in graph.reachable() if node.op == "read"
             for index, dim in zip(node.args[1:1 + node.attr], node.args[0].shape, strict=True) if is_data(index)}
    return list(found)


class Counts(NamedTuple):
    """How many elements there are to gather, and how many places that gather."""

    elements: Dim
    places: Dim


class Table(NamedTuple):
    """Rows of values: the dimension of the elements that are gathered, and the indices that gather them."""

    dim: Dim
    indices: tuple[Node, ...]


def in_rows(graph: Graph) -> tuple[Graph, tuple[Counts, ...]]:
    """The graph with such values in rows, one for each element that places name, and the numbers that decide.

    The routine `elements` finds the rows at run time. Only values that are needed whatever a condition says are kept
    so, since a row has one derivative for all its places, and those whose work is worth the way through an array.
    """
    if not pairs(graph):
        return graph, ()
    needed = all_needed(graph)
    roots = _roots(graph, needed)
    always = _always(graph) if roots else set()
    tables = _tables(graph, {node: own for node, own in roots.items()
                             if node in always and len(own[0].args) == 1 + own[0].attr})
    if not tables:
        return graph, ()
    sources = {node.args[0].shape[0]: node.args[0] for node in needed
               if node.op == "read" and node.args[0].op == "input" and len(node.args[0].shape) <= MOST_DIMENSIONS}
    unused = _unused(graph)
    rows: dict[Table, Rows] = {}
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        if node not in tables:
            made[node] = new.rebuild(node, args)
            return made[node]
        table, index = tables[node], roots[node][0]
        if table not in rows:
            rows[table] = _rows(new, table, made, sources.get(table.dim), unused + len(rows))
        element, element_of, row_of, used, images = rows[table]
        own = images.setdefault(index, {index: new.read(element_of, [new.axis(element)])})
        value = image_at(new, node, index, own, made)
        if _may_be_infinite(value, element):                             # then rows left over have no derivative
            counted = new.ops.less(new.axis(element), new.read(used, [new.const(0)]))
            value = new.ops.select(counted, value, new.ops.stop_gradient(value))
        follow(graph, node, new, value)
        axes = [element, *sorted_axes(needed[node].axes)]
        place = new.read(row_of, _place(new, table, index))
        made[node] = new.read(new.store(axes, value), [place, *map(new.axis, axes[1:])])
        return made[node]

    return copy_graph(graph, change=change), tuple(Counts(table.dim, _places(table)) for table in dict.fromkeys(
        tables.values()))


def are_fewer(counts: Iterable[Counts], sizes: Mapping[str, int]) -> bool:
    """Whether elements are so much fewer than places that rows pay: where they are not, loops read and keep less."""
    counts = list(counts)
    places = sum(one.places.evaluate(sizes) for one in counts)
    return FEWER * sum(one.elements.evaluate(sizes) for one in counts) <= places


class Rows(NamedTuple):
    """The axis of a table's rows, the results of `elements`, and for each index the images of values by rows."""

    axis: Axis
    element: Node
    row: Node
    used: Node
    images: dict[Node, dict[Node, Node]]


def _tables(graph: Graph, roots: Mapping[Node, Own]) -> dict[Node, Table]:
    """The table in which each value stands; indices that gather the same values share one."""
    scratch, unused = Graph(), _unused(graph) if roots else 0
    images: dict[Own, dict[Node, Node]] = {}
    made: dict[Node, Node] = {}
    alike: dict[tuple[Dim, Node], dict[Node, Node]] = {}        # for each value by elements: index and root
    for node, (index, dim) in roots.items():
        own = images.setdefault((index, dim), {index: scratch.axis(Axis(dim, unused))})
        alike.setdefault((dim, image_at(scratch, node, index, own, made)), {})[index] = node
    members: dict[Table, list[Node]] = {}
    found: dict[Node, Table] = {}
    for (dim, image), places in alike.items():
        joined = all(len(index.axes) == 1 for index in places)
        for indices in [tuple(places)] if joined else [(index,) for index in places]:
            table = Table(dim, indices)
            members.setdefault(table, []).append(image)
            found |= {places[index]: table for index in indices}
    worth = {table for table, values in members.items()
             if _may_be_many(table) and _is_worth(scratch, values, unused)}
    return {node: table for node, table in found.items() if table in worth}


def _may_be_many(table: Table) -> bool:
    """Whether places may be as many as rows need, as far as is known without sizes."""
    places = _places(table)
    missing = FEWER * table.dim - places
    return (places.constant is None or places.constant >= FEW) and any(factor < 0 for _, factor in missing.terms)


def _is_worth(graph: Graph, values: Sequence[Node], unused: int) -> bool:
    """Whether the operations behind some values by elements count more than their way through an array."""
    def size(axes: Iterable[Axis]) -> int:
        return points(axis.dim for axis in axes if axis.number != unused)

    work = 0
    for node in graph.reachable(values):
        if node.is_reduction:
            work += size(node.args[0].axes)
        elif node.op in OPERATIONS and node.dtype.startswith("float"):
            quick = node.op in ("div", "sqrt", "root_of_squares")
            work += size(node.axes) * (QUOTIENT if quick else FUNCTION if _is_function(node) else 1)
    return work >= THROUGH_AN_ARRAY * sum(size(value.axes) for value in values)


def _may_be_infinite(value: Node, row: Axis) -> bool:
    """Whether a value may have infinite partial derivatives by what rows hold, where that is finite."""
    return any(row in node.axes and node.dtype.startswith("float") and node.op in OPERATIONS and node.op not in LINEAR
               for node in value.graph.reachable([value]))


def _places(table: Table) -> Dim:
    """How many places the indices of a table have."""
    total = Dim.of(0)
    for index in table.indices:
        own = Dim.of(1)
        for axis in index.axes:
            own = own * axis.dim
        total = total + own
    return total


def _rows(new: Graph, table: Table, made: dict[Node, Node], source: Node | None, unused: int) -> Rows:
    """What `elements` says of the places of a table, put together in one array where they are several."""
    first = table.indices[0]
    axes = tuple(sorted_axes(first.axes))
    if len(table.indices) > 1:
        offset, parts = Dim.of(0), []
        for index in table.indices:
            (axis,) = index.axes
            parts.append(((axis,), (offset,), (), image_of(new, index, made)))
            offset = offset + axis.dim
        places = new.store_parts((offset,), parts)
    elif first.args[0].shape == tuple(axis.dim for axis in axes) and all(
            index.op == "axis" and index.attr == axis for index, axis in zip(first.args[1:], axes, strict=True)):
        places = made[first.args[0]]
    else:
        places = new.store(axes, made[first])
    counted = made[source] if source is not None else new.store([Axis(table.dim, unused)], new.const(0))
    element, row, used = (new.call("elements", [places, counted], number) for number in range(3))
    new.notes[element] = "rows of what is computed once for each element, or for each place where these are fewer"
    return Rows(Axis(element.shape[0], unused), element, row, used, {})


def _place(new: Graph, table: Table, index: Node) -> list[Node]:
    """Where a place of an index stands among those of its table."""
    before = Dim.of(0)
    for other in table.indices[:table.indices.index(index)]:
        for axis in other.axes:
            before = before + axis.dim
    axes = [new.axis(axis) for axis in sorted_axes(index.axes)]
    return axes if len(axes) > 1 else [axes[0] + new.dim(before)]


def _always(graph: Graph) -> set[Node]:
    """What outputs need whatever conditions say."""
    found: set[Node] = set()
    waiting = [node for _, node in graph.outputs]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found.add(node)
        if node.op == "select":
            waiting.append(node.args[0])
        elif node.op == "store":
            waiting += [value for _, value, guards in store_parts(node.attr, node.args) if not guards]
            waiting += node.args[:1] if node.attr.base else []
        elif node.op == "scatter_add":
            waiting += [part.value for part in scatter_parts(node.attr, node.args) if not part.guards]
        elif node.op == "read":
            waiting += node.args[1:] if len(node.args) > 1 + node.attr else node.args
        else:
            waiting += () if node.is_reduction and len(node.args) > 1 else node.args
    return found


def per_element(graph: Graph, fewer: Collection[Pair]) -> Graph:
    """The graph with such values in arrays, one for each; `fewer` are those of `pairs` where elements are fewer."""
    if not fewer:
        return graph
    needed = all_needed(graph)
    roots = {node: own for node, own in _roots(graph, needed).items() if _pair(*own) in fewer}
    if not roots:
        return graph
    unused = _unused(graph)
    places = {own: Axis(own[1], unused + k) for k, own in enumerate(dict.fromkeys(roots.values()))}
    images: dict[Own, dict[Node, Node]] = {own: {} for own in places}
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        if node not in roots:
            made[node] = new.rebuild(node, args)
            return made[node]
        own = roots[node]
        element = places[own]
        images[own].setdefault(own[0], new.axis(element))
        value = image_at(new, node, own[0], images[own], made)
        axes = [element, *sorted_axes(needed[node].axes)]
        made[node] = new.read(new.store(axes, value), [made[own[0]], *map(new.axis, axes[1:])])
        return made[node]

    return copy_graph(graph, change=change)


def all_needed(graph: Graph) -> dict[Node, Needed]:
    """What each value depends on."""
    needed: dict[Node, Needed] = {}
    for node in graph.reachable():
        needed[node] = _needed(node, needed)
    return needed


def _needed(node: Node, needed: dict[Node, Needed]) -> Needed:
    if node.op == "axis":
        return Needed(frozenset(), frozenset((node.attr,)), works=False)
    if node.is_array or node.op == "scan":
        return Needed(frozenset(), frozenset(node.axes), works=False)
    parts = [needed[arg] for arg in node.args]
    if node.op == "read":
        indices = node.args[1:1 + node.attr]
        parts = [Needed(frozenset(((index, dim),)), NO_AXES, works=False)
                 if is_data(index) and index.op == "read" else needed[index]
                 for index, dim in zip(indices, node.args[0].shape, strict=True)]
        parts += [needed[guard] for guard in node.args[1 + node.attr:]]
    through = frozenset[tuple[Node, Dim]]().union(*(part.through for part in parts))
    axes = NO_AXES.union(*(part.axes for part in parts))
    if node.is_reduction:
        mixed = {own for own in through if node.attr in own[0].axes}
        axes = axes.union(*(own[0].axes for own in mixed)) - {node.attr}
        through -= mixed
    if len(through) > MANY:                                     # of no use, and long to carry along
        axes, through = axes.union(*(own[0].axes for own in through)), frozenset()
    works = any(part.works for part in parts) or (bool(through) and (node.is_reduction or _is_function(node)))
    return Needed(through, axes, works)


def _is_function(node: Node) -> bool:
    return node.op in OPERATIONS and bool(OPERATIONS[node.op].imports) and node.op not in CHEAP


def _roots(graph: Graph, needed: Mapping[Node, Needed]) -> dict[Node, Own]:
    """The values that take work and depend on places through one index alone, as far out as that holds."""
    found = {node: own for node in needed if (own := _gathered(node, needed[node])) is not None}
    users: dict[Node, list[Node]] = {}
    for node in needed:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    returned = {node for _, node in graph.outputs}
    return {node: own for node, own in found.items()
            if node in returned or any(found.get(user) != own for user in users.get(node, ()))}


def _gathered(node: Node, own: Needed) -> Own | None:
    """The index and dimension through which alone a value that takes work depends on places."""
    if not own.works or len(own.through) != 1 or not node.dtype.startswith("float"):
        return None
    (index, dim), = own.through
    return (index, dim) if own.axes.isdisjoint(index.axes) else None


def _pair(index: Node, dim: Dim) -> Pair:
    return dim, tuple(axis.dim for axis in sorted_axes(index.axes))


def _unused(graph: Graph) -> int:
    """A number that no axis has."""
    return 1 + max((axis.number for node in graph.nodes for axis in (
        *node.axes, *([node.attr] if node.is_reduction else ()))), default=0)


def image_at(new: Graph, root: Node, index: Node, images: dict[Node, Node], made: dict[Node, Node]) -> Node:
    """The image of a value with something else for an index: `images` holds that, `made` the images of other values.

    A sum inside may run over the axis of the index, and read at the same index for each of its terms. It has one value
    for all places, as arrays have: such parts stay as they are.
    """
    for node in _same_everywhere(root, index, images):
        images[node] = image_of(new, node, made)
    return image_of(new, root, images)


def _same_everywhere(root: Node, index: Node, images: Collection[Node]) -> list[Node]:
    """The outermost parts of a value that have no axis of an index."""
    found, seen, waiting = [], {root}, [root]
    while waiting:
        node = waiting.pop()
        if node in images:
            continue
        if index.axes and node.axes.isdisjoint(index.axes):
            found.append(node)
            continue
        waiting += [arg for arg in node.args if arg not in seen]
        seen.update(node.args)
    return found


def image_of(new: Graph, root: Node, images: dict[Node, Node]) -> Node:
    """The image of a value in another graph, given those of some that it is made of."""
    waiting = [root]
    while waiting:
        node = waiting[-1]
        missing = [arg for arg in node.args if arg not in images]
        if node in images or not missing:
            waiting.pop()
            if node not in images:
                images[node] = new.rebuild(node, [images[arg] for arg in node.args])
        else:
            waiting += missing
    return images[root]
