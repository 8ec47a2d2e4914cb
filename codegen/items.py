"""From a graph to items: the values that get a statement of their own.

Reductions, scans, stores and scatters are items; so is a pointwise value that is used more than once
or that the user named. Everything else (constants, reads, index arithmetic, single-use values) is
*inline*: it is printed where it is used. An item knows its domain (the axes over which its statement
runs), the axes that it reduces, its guards, and the items that it depends on. Nothing is decided here
about loops; that is `lower`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gradc.ir.cast import CASTS
from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import (
    NO_AXES,
    Axes,
    Check,
    Graph,
    Node,
    StorePart,
    affine,
    apart,
    part_axes,
    scatter_parts,
    store_parts,
    whole_axes,
)
from gradc.ir.table import is_function

from .alike import Layout
from .contractions import Contraction, count_uses, plan, whole_parts

MOST_RECOMPUTED = 24    # nodes that may be computed again instead of being stored
INVARIANT = 4           # operations from which a value is not computed anew at each point of axes that it does not have
MERGED = ("sum", "prod", "max", "min", "any", "all")


@dataclass(eq=False)
class Item:
    """One statement: a definition, an accumulation, a scan step, a store, a scatter or a check.

    kind      "def", "acc", "scan", "dot", "store", "scatter", "call", "check", "pack" (an operand copied for one "dot")
    node      the value (for a store or scatter: the array node)
    roots     the nodes whose text the statement needs: value first, then indices
    domain    the axes over which the statement runs
    reduces   axes that are complete only after their loop
    guards    conditions under which the statement runs
    sunk      those of them that hold wherever the value is used
    layout    the order of the axes of its buffer, if a matrix product reads or makes it; () for any
    array     the array of the graph that it is an element of: what keeps the value, if anything must
    part_of   the statement that puts the value into an array, shifted or flat: what needs it later reads it there
    """

    kind: str
    node: Node
    roots: tuple[Node, ...]
    domain: Axes
    reduces: Axes = NO_AXES
    guards: tuple[Node, ...] = ()
    sunk: tuple[Node, ...] = ()
    part: StorePart | None = None
    check: Check | None = None
    layout: tuple[Axis, ...] = ()
    contraction: Contraction | None = None
    array: Node | None = None
    part_of: Item | None = None
    flat: bool = False
    inline: list[Node] = field(default_factory=list)
    deps: list[Item] = field(default_factory=list)
    users: list[Item] = field(default_factory=list)

    @property
    def direction(self) -> int:
        """+1 or -1 for a scan (its loop must run that way), 0 for anything else."""
        return 0 if self.kind != "scan" else -1 if self.node.attr.reverse else 1

    @property
    def body(self) -> Node:
        """The node whose value the statement computes."""
        return self.roots[0]


@dataclass
class Choices:
    """What earlier rounds of lowering decided.

    inline   cheap definitions that are recomputed at their uses instead of being stored
    packed   reads across memory of an axis that is worked through in tiles: copied once a tile, in its order
    flat     functions of the points of rows that one loop computes for several rows, and what they are functions of
    """

    inline: set[Node] = field(default_factory=set)
    packed: set[Node] = field(default_factory=set)
    flat: set[Node] = field(default_factory=set)


_INDEX_OPS = frozenset((
    "add", "sub", "mul", "neg", "floordiv", "mod", "less", "less_equal", "greater", "greater_equal", "eq", "not_equal"))
PASSING = (*CASTS, "detach")                                     # their operand's value
CHEAP = frozenset(("add", "sub", "mul", "neg", "read", *PASSING, *_INDEX_OPS))


def merged_reductions(graph: Graph, nodes: Sequence[Node]) -> set[Node]:
    """Reductions that only feed a like reduction, over another axis: they become part of it."""
    uses = count_uses(graph, nodes)
    reducers = {node.args[0]: node for node in nodes if node.is_reduction}

    def merges(node: Node) -> bool:
        user = reducers.get(node)
        if node.op not in MERGED or uses.get(node, 0) != 1 or node in graph.names:
            return False
        if user is None or user.op != node.op:
            return False
        while user is not None and user.op == node.op:
            if node.attr == user.attr or node.attr in user.axes:            # shadowed: not the same axis
                return False
            user = reducers.get(user)
        return True

    return {node for node in nodes if node.is_reduction and merges(node)}


def make_items(graph: Graph, choices: Choices) -> list[Item]:
    """The items of a graph in topological order, with their dependencies."""
    return _Builder(graph, choices).build()


class _Builder:
    def __init__(self, graph: Graph, choices: Choices) -> None:
        self.graph, self.choices = graph, choices
        self.order = graph.reachable()
        self.index: dict[Node, bool] = {}                       # memo of _is_index
        self.returned: set[Node] = set()                        # values that results are made of
        self.uses = count_uses(graph, self.order)
        self.invariant = invariant(self.order, self.uses)
        outputs = {node for _, node in graph.outputs}
        self.outputs = outputs
        self.merged = merged_reductions(graph, self.order)
        self.plan = plan(graph, self.order, self.merged)
        self.aligned = aligned(self.order)
        self.arrays = {value: (node, axes) for node in self.order if node.op == "store"
                       for value, axes in whole_parts(node) if self._is_kept_in(value, axes)}
        self.merged -= self.plan.contractions.keys()            # sums around a product are statements of their own

    def _is_index(self, node: Node) -> bool:
        """Whether a node is cheap integer or truth arithmetic on indices, dimensions and constants."""
        known = self.index.get(node)
        if known is None:
            known = node.op in ("const", "dim", "axis") or (
                node.dtype in ("int64", "bool") and node.op in _INDEX_OPS
                and all(self._is_index(a) for a in node.args))
            self.index[node] = known
        return known

    def _is_kept_in(self, value: Node, axes: Layout) -> bool:
        """Whether an array can be where the value is kept for its other uses."""
        if value.op in ("const", "dim", "axis", "read", "input", "scan", *PASSING) or value.is_reduction:
            return False
        return self.uses[value] > 1 and value.axes == set(axes) and self.plan.layouts.get(value, axes) == axes and \
            not self._is_index(value)

    def _has_item(self, node: Node) -> bool:
        if node in self.plan.packed:
            return False
        if node.is_reduction or node.op == "scan" or node in self.plan.layouts or \
                node in self.choices.packed or node in self.choices.flat:
            return True
        if node in self.arrays:
            return True
        if node.op in ("const", "dim", "axis", "read") or node.is_array or node.op == "input":
            return False
        if node in self.choices.inline or self._is_index(node):
            return False
        if node in self.invariant or (node in self.graph.names and node.op not in ("neg", *PASSING)):
            return True
        if node.op in ("neg", *PASSING) and not node.args[0].args:
            return False
        return self.uses.get(node, 0) > 1

    def build(self) -> list[Item]:
        """Items in topological order."""
        items: list[Item] = []
        of: dict[Node, list[Item]] = {}
        calls: dict[tuple[str, tuple[Node, ...]], list[Item]] = {}
        checks: dict[Node, list[Check]] = {}
        for check in self.graph.checks:
            checks.setdefault(check.bad, []).append(check)
        for node in self.order:
            product = None
            if node in self.merged:
                made = []
            elif node.op == "call" and (node.attr.routine, node.args) in calls:
                of[node] = calls[node.attr.routine, node.args]  # another result of the same call
                continue
            elif node.is_array:
                product = self._product_into(node, of)
                made = [] if product is not None and node.op == "store" else self._array_items(node, product)
            elif self._has_item(node):
                made = [self._item(node)]
                items += self._packs(made[0], of)
            else:
                made = []
            for item in made:
                self._connect(item, of)
            _order_parts(made)
            if product is not None:
                for item in made:                               # they add to what it writes
                    item.deps.append(product)
                    product.users.append(item)
            if node.op == "call":
                calls[node.attr.routine, node.args] = made
            if made or product is not None:
                of[node] = made if product is None else [product, *made]
                items += made
            for check in checks.get(node, ()):                  # these use the value
                items.append(Item("check", node, (node,), node.axes, check=check))
                self._connect(items[-1], of)
        scalars = [node for node in self.outputs if not node.is_array]
        self.returned.update(item.node for item in self._direct_deps(scalars, of))
        self._sink_guards(items)
        for item in items:                                      # a value under index guards may be a guard itself
            item.guards = tuple(sorted(item.guards, key=lambda n: (not self._is_index(n), n.id)))
        _keep_in_arrays(items, self.graph)
        return items

    def _item(self, node: Node) -> Item:
        layout = self.plan.layouts.get(node, ())
        contraction = self.plan.contractions.get(node)
        if contraction is not None:
            roots = (contraction.left, contraction.right)
            return Item("dot", node, roots, contraction.loops, layout=layout, contraction=contraction)
        if node.is_reduction:
            axes, guards, body = {node.attr}, list(node.args[1:]), node.args[0]
            while body in self.merged:
                axes.add(body.attr)
                guards += body.args[1:]
                body = body.args[0]
            kept = tuple(sorted(set(guards), key=lambda n: n.id))
            domain = node.axes | frozenset(axes)
            return Item("acc", node, (body, *kept), domain, frozenset(axes), kept, layout=layout)
        if node.op == "scan":
            return Item("scan", node, node.args, node.axes, layout=layout)
        array, layout = self.arrays.get(node, (None, layout))
        flat = node in self.choices.flat and is_function(node.op)
        return Item("def", node, (node,), node.axes, layout=layout, array=array, flat=flat)

    def _packs(self, product: Item, of: dict[Node, list[Item]]) -> list[Item]:
        """The copies that are made for one product alone."""
        made = []
        for node in product.contraction.packed if product.contraction is not None else ():
            made.append(Item("pack", node, (node,), node.axes, layout=self.plan.layouts[node]))
            self._connect(made[-1], of)
            made[-1].users.append(product)
        product.deps += made
        return made

    def _product_into(self, node: Node, of: dict[Node, list[Item]]) -> Item | None:
        """The matrix product that fills an array: it goes there directly, before the array's other parts."""
        for item in (item for arg in node.args for item in of.get(arg, ())):
            if item.contraction is not None and item.contraction.array is node:
                return item
        return None

    def _array_items(self, node: Node, product: Item | None) -> list[Item]:
        if node.op == "store":
            parts = store_parts(node.attr, node.args)
            if node.attr.base:                                  # copied first, the parts over it
                parts.insert(0, _whole(node.args[0]))
            own = self.aligned[node]
            return [Item("store", node, (value, *guards), frozenset(part.axes), frozenset(part.axes) - own, guards,
                         part=part) for part, value, guards in parts]
        if node.op == "scatter_add":
            made = []
            for part in scatter_parts(node.attr, node.args)[0 if starts_as(node) is None else 1:]:
                if product is not None and part.value is product.node:
                    continue
                axes = part_axes(part)
                made.append(Item("scatter", node, (part.value, *part.indices, *part.guards), axes,
                                 axes - self.aligned[node], part.guards))
            return made
        if node.op == "call":
            return [Item("call", node, node.args, NO_AXES)]
        return []

    def _connect(self, item: Item, of: dict[Node, list[Item]]) -> None:
        """Find the inline nodes of an item (operands first) and the items that it depends on."""
        start: list[Node] = []
        for root in item.roots:
            if item.kind in ("def", "pack") and root is item.node:
                start += root.args
            elif item.contraction is None or root not in item.contraction.packed:
                start.append(root)
        seen: set[Node] = set()
        deps: dict[Item, None] = {}
        stack = start
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            known = of.get(node)
            if known is not None:
                deps.update(dict.fromkeys(known))
            elif not (node.is_array and node.op != "input"):
                stack += node.args
        item.inline = sorted((n for n in seen if n not in of), key=lambda n: n.id)
        item.deps += deps
        for dep in deps:
            dep.users.append(item)

    def _direct_deps(self, roots: Iterable[Node], of: dict[Node, list[Item]]) -> list[Item]:
        """The items that the text of some nodes reads."""
        found: list[Item] = []
        seen: set[Node] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                found += of.get(node, ())
                stack += () if node in of or node.is_array else node.args
        return found

    def _sink_guards(self, items: list[Item]) -> None:
        """A value that is only used under index guards is computed only under them."""
        for item in reversed(items):
            if item.kind not in ("def", "acc") or not item.users:
                continue
            if item.node in self.returned:
                continue
            common = set(item.users[0].guards)
            for user in item.users[1:]:
                common &= set(user.guards)
            kept = {g for g in common if self._is_index(g) and g.axes <= item.domain - item.reduces}
            if kept:
                item.sunk = tuple(sorted(kept, key=lambda n: n.id))
                item.guards = tuple(sorted(kept | set(item.guards), key=lambda n: n.id))


def invariant(nodes: Sequence[Node], uses: Mapping[Node, int]) -> set[Node]:
    """Values used once, by one with more axes, that are worth computing once for all points of those."""
    work: dict[Node, int] = {}
    found: set[Node] = set()
    for node in nodes:
        if not is_pointwise(node):
            continue
        own = 0
        for arg in node.args:
            if work.get(arg, 0) >= INVARIANT and node.op != "select" and arg.axes < node.axes and arg.axes:
                found.add(arg)
            elif uses.get(arg, 0) == 1:
                own += work.get(arg, 0)
        if node.dtype.startswith("float") and node.op not in PASSING:
            own += INVARIANT if is_function(node.op) else 1
        work[node] = own
    return found


def is_pointwise(node: Node) -> bool:
    """Whether a node is arithmetic on numbers, no access, reduction or array."""
    return bool(node.args) and not (node.is_array or node.is_reduction or node.op in ("read", "scan"))


def aligned(nodes: Sequence[Node]) -> dict[Node, Axes]:
    """For each array that is put together, the axes that it is written and read along point by point.

    What is read at a point of such an axis is complete when the loop over it has come there.
    """
    index: dict[Node, list[tuple[Node | None, ...]]] = {}
    for node in nodes:
        if node.op == "store":
            for part in node.attr.parts:
                index.setdefault(node, []).append(tuple(node.graph.axis(axis) if offset == Dim.of(0) else None
                                                        for axis, offset in zip(part.axes, part.offsets, strict=True)))
        elif node.op == "scatter_add":
            index.setdefault(node, []).extend(part.indices for part in scatter_parts(node.attr, node.args))
        if node.op == "read":
            index.setdefault(node.args[0], []).append(node.args[1:1 + node.attr])
        else:
            whole = node.args[:1] if node.op == "store" and node.attr.base else node.args
            for array in (arg for arg in whole if arg.is_array):
                index.setdefault(array, []).append((None,) * len(array.shape))
    return {array: frozenset(at[0].attr for at in zip(*places, strict=True)
                             if at[0] is not None and at[0].op == "axis" and all(one is at[0] for one in at))
            for array, places in index.items() if array.op in ("store", "scatter_add")}


def _whole(array: Node) -> tuple[StorePart, Node, tuple[Node, ...]]:
    """An array as a part of a store that covers all of it."""
    axes = whole_axes(array.shape)
    value = array.graph.read(array, [array.graph.axis(axis) for axis in axes])
    return StorePart(axes, tuple(Dim.of(0) for _ in axes), 0), value, ()


def starts_as(node: Node) -> Node | None:
    """The argument of which an output starts as a copy, where all else is added to it at places that are read."""
    if node.op != "scatter_add" or node.attr.once or all(node is not output for _, output in node.graph.outputs):
        return None
    parts = scatter_parts(node.attr, node.args)
    if len(parts) < 2:
        return None
    first, *others = parts
    if first.guards or first.value.op != "read" or first.value.dtype != node.dtype:
        return None
    source, *index = first.value.args
    if source.op != "input" or source.shape != node.shape or not tuple(index) == first.indices == tuple(
            map(node.graph.axis, whole_axes(node.shape))):
        return None
    return source if all(any(n.op == "read" for n in node.graph.reachable(part.indices)) for part in others) else None


def fills(indices: Sequence[Node], shape: Sequence[Dim]) -> bool:
    """Whether indices reach every element of an array once: whole axes, each its own, also several in one dimension."""
    taken: list[Axis] = []
    for index, dim in zip(indices, shape, strict=True):
        atoms, offset = affine(index)
        if offset.constant != 0 or any(atom.op != "axis" for atom in atoms):
            return False
        size = Dim.of(1)
        for atom, stride in sorted(atoms.items(), key=lambda item: item[1]):
            if size != Dim.of(stride):
                return False
            size = size * atom.attr.dim
            taken.append(atom.attr)
        if size != dim:
            return False
    return len(set(taken)) == len(taken)


def _keep_in_arrays(items: Sequence[Item], graph: Graph) -> None:
    """Find the values that stand in an array anyway, where nothing else is written over them.

    A call that is refused leaves `out` alone, so what is given back takes a value only where nothing is checked.
    """
    given = {node for _, node in graph.outputs if graph.checks}
    parts: dict[Node, list[Item]] = {}
    for item in items:
        if item.kind in ("store", "scatter") and item.node not in given:
            parts.setdefault(item.node, []).append(item)
    for item in (part for written in parts.values() for part in written):
        if item.guards or not (_is_flat(item) and len(parts[item.node]) == 1 if item.part is None else all(
                one is item or (one.part is not None and apart(one.part, item.part)) for one in parts[item.node])):
            continue
        for dep in item.deps:
            if (dep.node is item.body and dep.kind in ("def", "acc") and not dep.guards and dep.array is None
                    and dep.part_of is None and not dep.layout and dep.node.dtype == item.node.dtype
                    and dep.node.axes == item.domain):          # a value that is stretched has a loop of its own
                dep.part_of = item


def _is_flat(item: Item) -> bool:
    """Whether a scatter writes every element of its array once."""
    indices = item.roots[1:1 + len(item.node.shape)]
    return fills(indices, item.node.shape) and item.domain == frozenset(a for index in indices for a in index.axes)


def _order_parts(items: Sequence[Item]) -> None:
    """Later parts of a store win: one that may lie over another is written in a later loop."""
    for k, item in enumerate(items):
        for before in items[:k]:
            if before.part is not None and item.part is not None and not apart(before.part, item.part):
                item.deps.append(before)
                before.users.append(item)


def is_cheap(item: Item, kept: Container[Item] = ()) -> bool:
    """Whether recomputing a definition at its uses costs less than keeping it in memory.

    What is `kept` in memory anyway is only read again.
    """
    if _is_repeated(item):
        return False
    waiting, seen, steps = [item], {item}, 0
    while waiting:
        one = waiting.pop()
        steps += len(one.inline) + 1
        if one.kind != "def" or steps > MOST_RECOMPUTED:
            return False
        if any(n.op not in CHEAP and n.args for n in (one.node, *one.inline)):
            return False
        for dep in one.deps:
            if dep not in seen and dep not in kept:
                seen.add(dep)
                waiting.append(dep)
    return True


def _is_repeated(item: Item) -> bool:
    """Whether a value that takes work would be computed again at each point of axes that it does not have."""
    nodes = (item.node, *item.inline)
    work = sum(n.dtype.startswith("float") and n.op not in PASSING and is_pointwise(n) for n in nodes)
    return work >= INVARIANT and any(item.domain < user.domain for user in item.users)


def union(items: Iterable[Item]) -> set[Axis]:
    """All axes of the items' domains."""
    axes: set[Axis] = set()
    for item in items:
        axes |= item.domain
    return axes
