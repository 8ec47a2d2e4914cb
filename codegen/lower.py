"""The loop program: which loops there are, what each statement lies in, and where values live.

Items (see `items`) that share an axis go into one loop over it unless one needs the finished
reduction of another: `phases` splits them, and the lowering recurses into each loop. So the forward
and the reverse sweep end up in the same loops, and a value that is used only inside one iteration is a
local variable. Which axis is opened first is chosen by what would have to be kept in memory, then by
contiguity; an axis over which everything is independent goes outermost. `place` then finds the home
of every value: the innermost loop body that contains its statement and all its uses; the axes that
are not open there are the axes of its buffer. Two improvements run to a fixed point: cheap values are
recomputed instead of stored, and an accumulation that would only be added to an array afterwards is
scattered directly.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from gradc.ir.dims import Axis, axis_order
from gradc.ir.graph import NO_AXES, Axes, Graph, Node, Part, affine, scatter_parts

from .batches import length
from .carries import chains, neighbours, rows
from .contractions import by_axes, factors, gather, multiplied_by_axes, opened, spread
from .items import Choices, Item, is_cheap, make_items, merged_reductions, union
from .joined import joined
from .program import TILES, Home, Loop, Path, Program, items_of
from .stencils import shifts, stencils
from .tiles import SHORT, flat, is_stripped, is_tiled, row_functions, row_of, strips

ROUNDS = 6              # of improvement; each only removes buffers, so more are never needed in practice
MOST_WRITTEN_OUT = 16   # terms of a sum inside an innermost loop


def lower(graph: Graph) -> Program:
    """The loop program of a graph whose outputs are scalars or array nodes."""
    choices, tiled = Choices(), False
    for step in (opened, joined, spread, gather):
        graph = step(graph, merged_reductions(graph, graph.reachable()))
    for rounds_left in reversed(range(ROUNDS)):
        items = make_items(graph, choices)
        first, rest = _checks_of_indices(items)
        body = (_lower(first, NO_AXES) if first else []) + _lower(rest, NO_AXES)
        program = Program(graph, body, recomputed=choices.inline)
        if not tiled and (tiled := program.is_tiled):
            graph = by_axes(graph)                              # and lowered again
            continue
        if rounds_left and (packed := strided(body) - choices.packed):
            choices.packed |= packed
            continue
        if rounds_left and (functions := in_rows(body) - choices.flat):
            choices.flat |= functions
            choices.inline -= functions
            continue
        program.homes = place(program.body, items)
        improved = _scatter_directly(graph, program, items)
        if not _recompute_cheap(graph, program, items, choices) and improved is None:
            break
        graph = improved or graph
    program.stencils = stencils(program, SHORT)
    program.chains = chains(program, SHORT)
    return program


def without_stencils(program: Program, loops: Collection[int]) -> None:
    """Let what is added to arrays in some loops, by their identity, be scatters again: chunks share the rows."""
    kept = [stencil for stencil in program.stencils if id(stencil.loop) not in loops]
    if len(kept) < len(program.stencils):
        program.stencils = kept
        program.chains = chains(program, SHORT)


def _checks_of_indices(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """The checks that keep reads inside their arrays with what they need, and the rest: those come first."""
    needed: set[Item] = set()
    waiting = [item for item in items if item.check is not None and item.check.error == "IndexError"]
    while waiting:
        item = waiting.pop()
        if item not in needed:
            needed.add(item)
            waiting += item.deps
    return [item for item in items if item in needed], [item for item in items if item not in needed]


# -- loops ------------------------------------------------------------------------------------

def _lower(items: Sequence[Item], opened: Axes, tile: Loop | None = None) -> list[Loop | Item]:
    """The loops of some items inside loops over `opened`; inside a tile its own axis is opened last."""
    if all(item.domain <= opened for item in items):
        return list(items)
    stages = _stages(items, opened)
    if len(stages) > 1:
        return [entry for stage in stages for entry in _lower(stage, opened)]
    last = tile.tiled if tile is not None else None
    axis = _choose(items, opened, last)
    phase = phases(items, axis, opened)
    _part_scatters(items, axis, opened, phase)
    body: list[Loop | Item] = []
    for p in range(max(phase.values()) + 1):
        outside = [item for item in items if phase[item] == p and axis not in item.domain]
        members = [item for item in items if phase[item] == p and axis in item.domain]
        if outside:
            body += _lower(outside, opened, tile)
        if members and not opened and tile is None and is_tiled(members, axis):
            tiles = Loop(TILES, [], tiled=axis)
            tiles.body = _lower(members, opened, tiles)
            body.append(tiles)
        elif members and not opened and tile is None and (functions := flat(members, axis)):
            body.append(_by_rows(members, axis, functions))
        elif members and tile is None and is_stripped(members, axis, opened):
            tiles = Loop(TILES, [], tiled=axis, stripped=True)
            tiles.body = [Loop(axis, _lower(part, opened | {axis}), tile=tiles)
                          for part in strips(members, axis, opened)]
            body.append(tiles)
        elif members:
            scans = [m.direction for m in members if m.kind == "scan" and m.node.attr.axis == axis]
            inner = _lower(members, opened | {axis}, None if axis == last else tile)
            body.append(Loop(axis, inner, -1 in scans, bool(scans), tile=tile if axis == last else None))
    return body


def _by_rows(members: Sequence[Item], axis: Axis, functions: set[Item]) -> Loop:
    """A loop over strips of rows, some functions of whose points are computed in one loop for all of them."""
    row = row_of(members, axis)
    tiles = Loop(TILES, [], tiled=axis, stripped=True, rows=row)
    for part in strips(members, axis, NO_AXES, functions):
        tiles.body.append(Loop(axis, _lower(part, frozenset((axis,))), tile=tiles, flat=functions.issuperset(part)))
    return tiles


def _stages(items: Sequence[Item], opened: Axes) -> list[list[Item]]:
    """The items between matrix products, and the products: each loop nest is chosen for its own stage.

    A product whose loops are not all opened yet is an item like others; what is copied for a product comes just before.
    """
    stage: dict[Item, int] = {}
    products = {item for item in items if item.kind == "dot" and item.domain <= opened}
    for item in items:
        stage[item] = max((stage[d] + (d in products or item in products) for d in item.deps if d in stage), default=0)
    for item in items:
        if item.kind == "pack":
            (product,) = item.users
            stage[item] = stage.get(product, stage[item]) - (product in products)
    for item in reversed(items):                                # what needs no array is computed beside its first use
        if item not in products and item.users and not any(d.node.axes or d.node.is_array for d in item.deps):
            stage[item] = min((stage[user] for user in item.users if user in stage), default=stage[item])
        elif item.kind in ("def", "acc") and item.users and all(user in stage for user in item.users):
            latest = min(stage[user] - (user in products) for user in item.users)
            if latest > stage[item] and all(_is_in_memory(d) or any(
                    stage.get(user, 0) >= latest for user in d.users if user is not item) for d in item.deps):
                stage[item] = latest                            # nor is memory, if all that it needs is there anyway
    found: dict[tuple[int, bool], list[Item]] = {}
    for item in items:
        found.setdefault((stage[item], item in products), []).append(item)
    return [found[key] for key in sorted(found)]


def _is_written(item: Item) -> bool:
    """Whether an item writes into an array that nothing reads."""
    return item.kind in ("store", "scatter") and not item.users


def _is_in_memory(item: Item) -> bool:
    """Whether a value is kept in an array, or is one, whatever uses it."""
    return item.kind in ("store", "scatter", "call") or item.array is not None or item.part_of is not None


def phases(items: Sequence[Item], axis: Axis, opened: Axes) -> dict[Item, int]:
    """The loop over `axis` in which each item runs; items outside the loop run before their phase's."""
    phase: dict[Item, int] = {}
    direction: dict[int, int] = {}
    for item in items:
        member = axis in item.domain
        earliest = max((_ready(phase[d], d, member, axis) for d in item.deps if d in phase), default=0)
        if item.kind == "scan" and item.node.attr.axis == axis:
            while direction.get(earliest, item.direction) != item.direction:
                earliest += 1
            direction[earliest] = item.direction
        phase[item] = earliest
    _sink(items, axis, opened, phase)
    return phase


def _ready(phase: int, dep: Item, member: bool, axis: Axis) -> int:
    """The first phase in which a dependency's value is complete for a user."""
    if axis in dep.domain and (axis in dep.reduces or not member):
        return phase + 1
    return phase


def _sink(items: Sequence[Item], axis: Axis, opened: Axes, phase: dict[Item, int]) -> None:
    """Move definitions, and sums with all that they are made of, to their users where that keeps no more values.

    What is written into an array that nobody reads goes to the last loops over the same axes, so that these are one.
    """
    last: dict[Axes, int] = {}
    for item in items:
        if axis not in item.domain:
            last[item.domain] = max(phase[item], last.get(item.domain, 0))
    for item in reversed(items):
        users = [u for u in item.users if u in phase]
        if _is_written(item) and phase[item] < last.get(item.domain, 0) and item.domain - opened and all(
                d not in phase or _is_in_memory(d) or all(
                    phase[u] >= last[item.domain] or (_is_written(u) and u.domain == item.domain)
                    for u in d.users if u in phase) for d in item.deps):
            phase[item] = last[item.domain]
        if item.kind not in ("def", "pack", "acc") or not users or len(users) != len(item.users):
            continue
        member = axis in item.domain
        target = min(phase[u] - 1 if member and axis not in u.domain else phase[u] for u in users)
        if target <= phase[item]:
            continue
        if item.kind == "acc":
            moves = axis not in item.reduces and not item.node.axes <= opened and all(
                d not in phase or _is_in_memory(d)
                or all(phase[u] >= target for u in d.users if u in phase and u is not item) for d in item.deps)
        else:
            moves = sum(
                d in phase and axis in d.domain - d.reduces and not _is_in_memory(d) and not is_cheap(d)
                and all(phase[u] < target for u in d.users if u in phase and u is not item) and phase[d] < target
                for d in item.deps) <= 1
        if moves:
            phase[item] = target


def _part_scatters(items: Sequence[Item], axis: Axis, opened: Axes, phase: dict[Item, int]) -> None:
    """Give a second scatter into one array at another index a loop of its own, if its value is cheap.

    x[i] and x[2 * i] in one innermost loop may make an iteration wait for the one before it; two loops
    are vectorised, which is worth computing a few operations twice. Neighbouring elements are carried instead.
    """
    size = axis.dim.constant
    if size is not None and size < SHORT:
        return
    last = max(phase.values())
    groups: dict[tuple[Node, int], list[Item]] = {}
    for item in items:                                          # an array that is read must be complete before
        if item.kind == "scatter" and item.domain - opened == {axis} and not item.guards and not item.users and \
                not item.node.attr.once:                        # its elements are apart
            groups.setdefault((item.node, phase[item]), []).append(item)
    for group in groups.values():
        if group[0].domain == opened | {axis} and shifts(group, SHORT) is not None:
            continue                                            # rows gather them, all from one loop
        first, *others = [unit for row in rows(group)
                          for unit in ([row] if neighbours(row, axis) else [[item] for item in row])]
        for unit in others:
            one, other = first[0].roots[1:], unit[0].roots[1:]
            if one == other or not all(i.dtype == "int64" and _is_affine(i) for i in (*one, *other)):
                continue
            if all(is_cheap(d) for item in unit for d in item.deps if d in phase and axis in d.domain):
                last += 1
                phase.update(dict.fromkeys(unit, last))


def _is_affine(index: Node) -> bool:
    return all(atom.op == "axis" for atom in affine(index)[0])


def _choose(items: Sequence[Item], opened: Axes, last: Axis | None = None) -> Axis:
    """The axis to open next: free ones first, then the one that keeps least in memory; `last` when it is alone.

    In a tile, where arrays are small, only the order of magnitude of that counts, then how many values have the axis.
    """
    closed = union(items) - opened
    products = frozenset[Axis]().union(*(item.domain for item in items if item.kind == "dot")) - opened
    candidates = sorted(products or closed - {last} or closed, key=axis_order)
    if len(candidates) == 1:
        return candidates[0]
    for axis in candidates if last is None else ():             # a vector of sums that LLVM writes out
        if _is_written_out(items, closed - {axis}) and not any(axis in item.reduces for item in items) and \
                _contiguity(items, axis)[0] == 1.0:
            return axis
    best: list[tuple[tuple[int, ...], float, float, int, Axis]] = []
    waiting = sum(1 for item in items if item.domain - opened)
    for rank, axis in enumerate(candidates):
        phase = phases(items, axis, opened)
        kept = _kept(items, axis, phase, opened)
        members = sum(1 for item in items if axis in item.domain)
        free = kept == 0 and max(phase.values()) == 0 and 2 * members >= waiting
        memory = kept + _arrays(items, axis, opened) + _rest(items, axis, phase, opened)
        key = (0, 0) if free or (not memory and last is None) else (1, memory) if last is None else (
            1, len(str(memory)), -members)
        best.append((key, *_contiguity(items, axis), rank, axis))
    return min(best, key=lambda entry: entry[:-1])[-1]


def _is_written_out(items: Sequence[Item], axes: Collection[Axis]) -> bool:
    """Whether some axes are those of sums over a few literal points."""
    size = 1
    axes = {axis for axis in axes if axis.dim.constant != 1}    # no loop
    for axis in axes:
        size *= axis.dim.constant or MOST_WRITTEN_OUT + 1
    return size <= MOST_WRITTEN_OUT and all(
        item.domain.isdisjoint(axes) or (item.kind == "acc" and item.domain.intersection(axes) <= item.reduces)
        for item in items)


def _rest(items: Sequence[Item], axis: Axis, phase: dict[Item, int], opened: Axes) -> int:
    """What the items outside the loops over `axis` will keep in memory at least, one step ahead."""
    total = 0
    for p in range(max(phase.values()) + 1):
        outside = [item for item in items if phase[item] == p and axis not in item.domain]
        candidates = union(outside) - opened
        if candidates:
            total += min(_kept(outside, other, phases(outside, other, opened), opened) + _arrays(outside, other, opened)
                         for other in candidates)
    return total


def _arrays(items: Sequence[Item], axis: Axis, opened: Axes) -> int:
    """How much memory the accumulators take that a loop over `axis` goes around (10 an axis).

    A sum that is only put into an array can be added to that array instead.
    """
    return sum(10 ** len(item.node.axes - opened - {axis}) for item in items
               if item.kind in ("acc", "scan") and axis in item.domain and (
                   axis in item.reduces or _scans(item, axis)) and item.node.axes - opened - {axis}
               and not all(user.kind in ("store", "scatter") for user in item.users))


def _scans(item: Item, axis: Axis) -> bool:
    return item.kind == "scan" and bool(item.node.attr.axis == axis)


def _kept(items: Sequence[Item], axis: Axis, phase: dict[Item, int], opened: Axes) -> int:
    """How much memory the values take that a split over `axis` separates from a use (10 an axis)."""
    total = 0
    for item in items:
        if item.kind in ("def", "acc", "scan") and axis in item.domain - item.reduces and not _is_in_memory(item):
            if not is_cheap(item) and any(phase[u] != phase[item] for u in item.users if u in phase):
                total += 10 ** len(item.node.axes - opened)
    return total


def _contiguity(items: Sequence[Item], axis: Axis) -> tuple[float, float]:
    """The share of the accesses with this axis in which it is the last index (opened late if high).

    The second number, for axes alike in that, is its mean distance from the first index.
    """
    last = total = 0
    place = 0.0
    for item in items:
        for indices in _accesses(item):
            found = [k for k, index in enumerate(indices) if axis in index.axes]
            if found:
                total += 1
                last += found[-1] == len(indices) - 1
                place += found[0] + _within(indices[found[0]], axis)
    return (last / total, place / total) if total else (0.0, 0.0)


def _within(index: Node, axis: Axis) -> float:
    """Where an axis stands among those of an index, from 0 to 1: by its stride, then the shortest first."""
    strides = {atom.attr: factor for atom, factor in affine(index)[0].items() if atom.op == "axis"}
    order = sorted(strides, key=lambda a: (-abs(strides[a]), length(a.dim), axis_order(a)))
    return order.index(axis) / len(order) if axis in strides else 0.0


def _accesses(item: Item) -> list[tuple[Node, ...]]:
    if item.kind == "def" and item.node.op == "read":
        return []                                               # packed: it counts where it is used
    reads = [n for n in (*item.inline, *(dep.node for dep in item.deps)) if n.op == "read"
             and not (n.args[0].op == "call" and n.dtype == "int64")]       # places: what lies there counts
    found = [n.args[1:1 + n.attr] for n in reads]
    found += [tuple(kept.node.graph.axis(axis) for axis in kept.layout) for kept in (item, *item.deps) if kept.layout]
    if item.kind == "scatter":
        found.append(item.roots[1:1 + len(item.node.shape)])
    elif item.kind == "store" and item.part is not None and item.part.axes:
        graph = item.node.graph
        found.append(tuple(graph.axis(axis) for axis in item.part.axes))
    return [indices for indices in found if indices]


# -- tiles ------------------------------------------------------------------------------------

def strided(body: Sequence[Loop | Item]) -> set[Node]:
    """Reads inside tiles in which the tile's axis is not the last index, and is not alone."""
    found: set[Node] = set()
    products = [item.contraction for item in items_of(*body) if item.contraction is not None]
    for loop in body:
        if isinstance(loop, Loop) and loop.tiled is not None and not loop.stripped:
            for node in (n for item in items_of(loop) for n in item.inline if n.op == "read" and n.attr > 1):
                index = node.args[1:1 + node.attr]
                if loop.tiled in node.axes and loop.tiled not in index[-1].axes and len(node.args) == 1 + node.attr:
                    found.add(node)
    return found - {operand for made in products for operand in (made.left, made.right)}


def in_rows(body: Sequence[Loop | Item]) -> set[Node]:
    """The functions of the points of rows that are to be computed for several rows at a time, and their operands."""
    return {node for loop in body if isinstance(loop, Loop) and loop.tiled is None
            for node in row_functions(items_of(loop), loop.axis)}


# -- homes ------------------------------------------------------------------------------------

def place(body: Sequence[Loop | Item], items: Sequence[Item]) -> dict[Item, Home]:
    """The home of every item's value."""
    paths: dict[Item, Path] = {}
    stack: list[tuple[Loop | Item, Path]] = [(entry, ()) for entry in reversed(body)]
    while stack:
        entry, path = stack.pop()
        if isinstance(entry, Loop):
            stack += [(inner, (*path, entry)) for inner in reversed(entry.body)]
        else:
            paths[entry] = path
    homes: dict[Item, Home] = {}
    for item in items:
        path = paths[item]
        reduced = item.reduces if item.kind == "acc" else (
            frozenset((item.node.attr.axis,)) if item.kind == "scan" else NO_AXES)
        local = path                                            # a scan keeps its state there
        for depth, loop in enumerate(path):
            if loop.axis in reduced or loop.tiled in reduced:
                local = path[:depth]
                break
        home = local if item.kind == "acc" else path
        for user in item.users:
            home = _common(home, paths[user])
        axes = item.node.axes if item.kind in ("def", "acc", "scan", "dot", "pack") else NO_AXES
        closed = axes - {loop.axis for loop in home}
        whole = item.array if item.contraction is None else item.contraction.array
        storage = tuple(axis for axis in item.layout or [loop.axis for loop in path]
                        if axis in closed or (whole is not None and closed))            # an array is there as a whole
        homes[item] = Home(path, local, home, storage, item.kind in ("acc", "dot"))
    return homes


def _common(one: Path, other: Path) -> Path:
    depth = 0
    while depth < min(len(one), len(other)) and one[depth] is other[depth]:
        depth += 1
    return one[:depth]


# -- improvements -----------------------------------------------------------------------------

def _recompute_cheap(graph: Graph, program: Program, items: Sequence[Item], choices: Choices) -> bool:
    """Mark cheap values that would be stored as inline; False when there are none."""
    kept = {node for _, node in graph.outputs}
    for item in items:                                          # computed twice, equal values may differ
        kept.update(a for n in (item.node, *item.inline) if n.op in ("eq", "not_equal") for a in n.args)
    found = {item.node for item in items
             if program.homes[item].storage and not item.layout and not program.homes[item].in_tile
             and item.node not in kept | choices.packed | choices.flat and (
                 is_cheap(item) or is_cheap(item, _kept_as_long(item, program)))}
    new = found - choices.inline
    choices.inline |= new
    return bool(new)


def _kept_as_long(item: Item, program: Program) -> set[Item]:
    """The operands of an item that stay in memory wherever its own value is used."""
    own = program.homes[item]
    return {dep for dep in item.deps if program.homes[dep].storage
            and program.homes[dep].home == own.home[:len(program.homes[dep].home)]}


def _scatter_directly(graph: Graph, program: Program, items: Sequence[Item]) -> Graph | None:
    """The graph with stored sums, which only feed an output array, scattered term by term; or None.

    The nodes are shared with the graph that was given; only the outputs differ.
    """
    used = {a for item in items for a in item.inline} | {r for item in items for r in item.roots}
    accumulated = {item.node: item for item in items if item.kind == "acc" and item.node.op == "sum"}
    outputs, changed = [], False
    for key, array in graph.outputs:
        if array.op == "scatter_add" and not array.attr.once and array not in used:
            parts = [(part, _direct(part, accumulated, program))
                     for part in scatter_parts(array.attr, array.args)]
            if any(new is not None for _, new in parts):
                array = array.graph.scatter_add(array.shape, [new or old for old, new in parts], array.dtype)
                changed = True
        outputs.append((key, array))
    return replace(graph, outputs=outputs) if changed else None


def _direct(part: Part, accumulated: dict[Node, Item], program: Program) -> Part | None:
    """The part that adds the terms of a stored sum one by one, if its value is linear in such a sum."""
    factor: Node | None = None
    sign, value = 1, part.value
    while value not in accumulated:
        if value.op == "neg":
            sign, value = -sign, value.args[0]
        elif value.op == "mul" and factor is None and value.args[1] in accumulated:
            factor, value = value.args
        elif value.op == "mul" and factor is None and value.args[0] in accumulated:
            value, factor = value.args
        else:
            return None
    item = accumulated[value]
    if not program.homes[item].storage or len(item.users) != 1:
        return None
    taken = {a for node in (*part.indices, *part.guards, *([factor] if factor else [])) for a in node.axes}
    varying = {a for node in item.roots for a in node.axes}     # a sum may count points without using them
    if item.reduces & taken or not item.reduces <= varying:
        return None
    if not taken <= item.node.axes:                             # the terms would be summed anew along the other axes
        return None
    origin = item.body.graph                                    # the graph given may share its nodes
    if factor is None:
        term = item.body
    elif program.is_tiled:
        term = multiplied_by_axes(origin, [factor, *factors(item.body)], {})
    else:
        term = origin.apply("mul", factor, item.body)
    term = term if sign > 0 else origin.apply("neg", term)
    note = program.graph.notes.get(part.value)
    if note:
        program.graph.notes.setdefault(term, note)
    return Part(term, part.indices, (*part.guards, *item.guards))
