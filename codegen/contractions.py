"""Sums of products that are matrix products, so that a library multiplies.

A sum over some axes of a product is a *contraction* if its factors fall into two operands that share no free axis,
each with free axes of its own and all of the summed ones: the rows, the columns and the summed axes of a matrix
product. `gather` finds such sums, for any order of factors, and writes their body as one product of the two
operands; `plan` reads that form and chooses the order of the axes in which each operand and each result is kept.
Here the loops are whole; once they are fused, a contraction has dissolved. A short axis of known length stays a
loop, and so does a sum with a batch axis, which both operands have. Where sizes are unknown `matmul` (in `routines`)
decides when it is called, and loops over what is small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gradc.ir.dims import Axis, axis_order
from gradc.ir.graph import Axes, Graph, Node, copy_graph, scatter_parts, store_parts

SHORT = 8               # a product of known lengths below this is a loop: a library call would not pay
Layout = tuple[Axis, ...]


@dataclass(frozen=True)
class Contraction:
    """A sum as a matrix product: result[rows, columns] = left[rows, summed] right[summed, columns].

    array     the array node that the result goes into without a copy, None where it is kept by itself
    """

    left: Node
    right: Node
    rows: Layout
    columns: Layout
    summed: Layout
    array: Node | None = None


class Plan(NamedTuple):
    """The contractions of a graph by their outermost sum, and the order of axes of what is kept for them."""

    contractions: dict[Node, Contraction]
    layouts: dict[Node, Layout]


# -- finding ------------------------------------------------------------------------------------

class Chain(NamedTuple):
    """Sums of sums that nothing else uses: the sums, the outermost first, and what is summed under which guards."""

    links: tuple[Node, ...]
    body: Node
    guards: tuple[Node, ...]

    @property
    def summed(self) -> Axes:
        """The axes of the sums."""
        return frozenset(link.attr for link in self.links)


def count_uses(graph: Graph, nodes: Sequence[Node]) -> Counter[Node]:
    """How often each node is an operand, an output or a check."""
    uses = Counter(arg for node in nodes for arg in node.args)
    uses.update(node for _, node in graph.outputs)
    uses.update(check.bad for check in graph.checks)
    return uses


def _chains(nodes: Sequence[Node], merged: Collection[Node]) -> dict[Node, Chain]:
    """The outermost sums of floats; `merged` are the sums that are part of the one around them."""
    found = {}
    for node in nodes:
        if node.op == "sum" and node.axes and node.dtype.startswith("float") and node not in merged:
            links, guards, body = [node], list(node.args[1:]), node.args[0]
            while body in merged:
                links.append(body)
                guards += body.args[1:]
                body = body.args[0]
            found[node] = Chain(tuple(links), body, tuple(dict.fromkeys(guards)))
    return found


@dataclass
class _Side:
    """An operand in the making."""

    axes: Axes
    factors: list[Node] = field(default_factory=list)
    divisors: list[Node] = field(default_factory=list)
    guards: list[Node] = field(default_factory=list)

    def covers(self, summed: Axes) -> bool:
        return summed <= frozenset(a for node in (*self.factors, *self.divisors) for a in node.axes)

    def product(self, graph: Graph, made: dict[Node, Node], sign: int) -> Node:
        value = _multiplied(graph, [made[node] for node in self.factors])
        if self.divisors:
            value = graph.apply("div", value, _multiplied(graph, [made[node] for node in self.divisors]))
        if self.guards:
            value = graph.apply("select", graph.all_of([made[guard] for guard in self.guards]), value, 0.0)
        return graph.apply("neg", value) if sign < 0 else value


def _multiplied(graph: Graph, factors: Sequence[Node]) -> Node:
    value = factors[0]
    for factor in factors[1:]:
        value = graph.apply("mul", value, factor)
    return value


def _sides(chain: Chain) -> tuple[_Side, _Side, int] | None:
    """The two operands of a chain and the sign of their product, None where it is no contraction."""
    summed, free = chain.summed, chain.links[0].axes
    groups = _groups([node.axes & free for node in (*_leaves(chain.body), *chain.guards)])
    if len(groups) != 2 or any(_is_short(group) for group in (*groups, summed)):
        return None
    sides = (_Side(groups[0]), _Side(groups[1]))
    neutral: list[tuple[Node, bool]] = []
    sign, waiting = 1, [(chain.body, True)]
    while waiting:
        node, above = waiting.pop()
        own = [side for side in sides if node.axes & side.axes]
        if len(own) == 1:
            (own[0].factors if above else own[0].divisors).append(node)
        elif not own:
            neutral.append((node, above))
        elif node.op == "neg":
            sign = -sign
            waiting.append((node.args[0], above))
        else:
            waiting += [(node.args[1], above == (node.op == "mul")), (node.args[0], above)]
    dtypes = {node.dtype for side in sides for node in (*side.factors, *side.divisors)}
    if not all(side.factors for side in sides) or dtypes != {chain.links[0].dtype}:
        return None
    computed = max(sides, key=lambda side: len(side.factors) + len(side.divisors) + (side.factors[0].op != "read"))
    for node, above in neutral:
        (computed.factors if above else computed.divisors).append(node)
    for guard in chain.guards:
        next((side for side in sides if guard.axes & side.axes), computed).guards.append(guard)
    return (*sides, sign) if all(side.covers(summed) for side in sides) else None


def _leaves(body: Node) -> list[Node]:
    """The factors and divisors of a product."""
    found, waiting, seen = [], [body], set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op in ("mul", "div", "neg"):
            waiting += node.args
        else:
            found.append(node)
    return found


def _groups(sets: Iterable[Axes]) -> list[Axes]:
    """The sets joined where they share an axis."""
    groups: list[Axes] = []
    for one in sets:
        if one:
            joined = [group for group in groups if group & one]
            groups = [group for group in groups if not group & one] + [one.union(*joined)]
    return sorted(groups, key=lambda group: sorted(map(axis_order, group)))


def _is_short(axes: Iterable[Axis]) -> bool:
    size = 1
    for axis in axes:
        if axis.dim.constant is None:
            return False
        size *= axis.dim.constant
    return size < SHORT


def gather(graph: Graph, merged: Collection[Node]) -> Graph:
    """The graph with the body of each contraction as one product of its two operands."""
    chains = _chains(graph.reachable(), merged)
    chosen = {top: sides for top, chain in chains.items() if (sides := _sides(chain)) is not None}
    if not chosen:
        return graph
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        if node not in chosen:
            made[node] = new.rebuild(node, args)
            return made[node]
        left, right, sign = chosen[node]
        total = new.apply("mul", left.product(new, made, sign), right.product(new, made, 1))
        for link in reversed(chains[node].links):
            total = new.reduce("sum", link.attr, total)
        made[node] = total
        return total

    return copy_graph(graph, change=change)


def by_axes(graph: Graph) -> Graph:
    """The graph with products multiplied from few axes to many, so that what is common to a loop stands before it."""
    uses = count_uses(graph, graph.reachable())
    inner = {a for n in graph.nodes if n.op == "mul" for a in n.args
             if a.op == "mul" and uses[a] == 1 and a not in graph.names}
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        made[node] = new.rebuild(node, args)
        if node.op != "mul" or node in inner or not inner.intersection(node.args) or not node.axes:
            return made[node]
        parts = factors(node, inner)
        made[node] = multiplied_by_axes(new, parts, uses, made)
        return made[node]

    return copy_graph(graph, change=change)


def factors(product: Node, inner: Collection[Node] | None = None) -> list[Node]:
    """The factors of a product, through those of its parts that are products too (and among `inner`)."""
    found, waiting = [], [product]
    while waiting:
        node = waiting.pop()
        if node is product or inner is None or node in inner:
            if node.op == "mul":
                waiting += node.args[::-1]
                continue
        found.append(node)
    return found


def multiplied_by_axes(graph: Graph, parts: Sequence[Node], uses: Mapping[Node, int],
                       made: Mapping[Node, Node] | None = None) -> Node:
    """The product of some factors, at each step with the one that brings the fewest axes."""
    rest, order = list(parts), []
    taken: Axes = frozenset()
    while rest:
        best = min(rest, key=lambda factor: (len(factor.axes | taken), -len(factor.axes), -uses.get(factor, 0),
                                               factor.id))
        rest.remove(best)
        order.append(best)
        taken |= best.axes
    return _multiplied(graph, [made[factor] for factor in order] if made is not None else order)


# -- the order of axes in memory ------------------------------------------------------------------

def plan(graph: Graph, nodes: Sequence[Node], merged: Collection[Node]) -> Plan:
    """The contractions of a gathered graph; one whose operands cannot be kept as matrices stays a loop.

    The axis that more values have comes first: in a network the samples, so that a row is a sample.
    """
    count: dict[Axis, int] = {}
    for node in nodes:
        for axis in node.axes:
            count[axis] = count.get(axis, 0) + 1

    def ranked(axes: Iterable[Axis]) -> Layout:
        return tuple(sorted(axes, key=lambda axis: (-count[axis], axis_order(axis))))

    found = Plan({}, {})
    targets = _targets(graph, nodes)
    for top, chain in _chains(nodes, merged).items():
        sides = _sides(chain) if chain.body.op == "mul" and not chain.guards else None
        if sides is None or any(side.divisors or len(side.factors) != 1 for side in sides[:2]) or sides[2] < 0:
            continue
        known = [_layout(side.factors[0], found.layouts) for side in sides[:2]]
        made = _fit(sides[:2], known, chain.summed, ranked)
        if made is None:
            continue
        left, right, rows, columns, summed = made
        target = targets.get(top)
        array = None
        if target is not None and len(rows) == len(columns) == 1:
            array, order = target
            if order == columns + rows:
                left, right, rows, columns = right, left, columns, rows
        elif ranked(rows + columns)[0] in columns:
            left, right, rows, columns = right, left, columns, rows
        for node, group in ((left, rows), (right, columns)):
            if _plain(node) is None:
                found.layouts.setdefault(node, group + summed if ranked(group + summed)[0] in group else summed + group)
        found.contractions[top] = Contraction(left, right, rows, columns, summed, array)
        found.layouts[top] = rows + columns
    return found


def _layout(node: Node, known: dict[Node, Layout]) -> Layout | None:
    """The order of axes in which an operand is there already, None where it is still open."""
    return known.get(node) or _plain(node)


def _plain(node: Node) -> Layout | None:
    """The axes of a whole array that is read as it is."""
    if node.op != "read" or len(node.args) != 1 + node.attr or any(index.op != "axis" for index in node.args[1:]):
        return None
    axes = tuple(index.attr for index in node.args[1:])
    whole = tuple(axis.dim for axis in axes) == node.args[0].shape and node.dtype == node.args[0].dtype
    return axes if whole and len(set(axes)) == len(axes) else None


def _fit(sides: Sequence[_Side], known: Sequence[Layout | None], summed: Axes,
         ranked: Callable[[Iterable[Axis]], Layout]) -> tuple[Node, Node, Layout, Layout, Layout] | None:
    """Operands, rows, columns and summed axes in an order that the layouts allow; None where there is none."""
    order: Layout | None = None
    groups = []
    for side, layout in zip(sides, known, strict=True):
        own = side.factors[0].axes - summed
        if layout is None:
            groups.append(ranked(own))
            continue
        inner = tuple(axis for axis in layout if axis in summed)
        outer = tuple(axis for axis in layout if axis in own)
        if layout not in (inner + outer, outer + inner) or (order is not None and order != inner):
            return None
        order = inner
        groups.append(outer)
    return sides[0].factors[0], sides[1].factors[0], groups[0], groups[1], order or ranked(summed)


def _targets(graph: Graph, nodes: Sequence[Node]) -> dict[Node, tuple[Node, Layout]]:
    """Values that fill a whole array and are used for nothing else, with the array and the order of its axes."""
    uses = count_uses(graph, nodes)
    found: dict[Node, tuple[Node, Layout]] = {}
    for node in nodes:
        for value, axes in _whole_parts(node):
            if uses[value] == 1:
                found[value] = node, axes
                break                                           # the array's other parts are added to it
    return found


def _whole_parts(node: Node) -> Iterable[tuple[Node, Layout]]:
    """The values of an array's parts that cover it."""
    if node.op == "store" and len(node.attr.parts) == 1 and not node.attr.base:
        ((part, value, guards),) = store_parts(node.attr, node.args)
        if not guards and tuple(axis.dim for axis in part.axes) == node.shape and not any(
                offset.constant != 0 for offset in part.offsets):
            yield value, part.axes
    elif node.op == "scatter_add":
        for term in scatter_parts(node.attr, node.args):
            axes = tuple(index.attr for index in term.indices if index.op == "axis")
            if (not term.guards and len(set(axes)) == len(term.indices) and term.value.axes == frozenset(axes)
                    and tuple(axis.dim for axis in axes) == node.shape):
                yield term.value, axes
