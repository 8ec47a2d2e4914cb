"""Sums of products that are matrix products, so that a library multiplies.

A sum over some axes of a product is a *contraction* if its factors fall into two operands that share no free axis,
each with free axes of its own and all of the summed ones: the rows, the columns and the summed axes of a matrix
product. `gather` finds such sums, for any order of factors, and writes their body as one product of the two
operands; `plan` reads that form and chooses the order of the axes in which each operand and each result is kept.
Here the loops are whole; once they are fused, a contraction has dissolved. A short axis of known length stays a
loop. Batch axes, and the samples of a convolution, are loops around a product (`batches`). Where sizes are unknown
`matmul` (in `routines`) decides when it is called, and loops over what is small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gradc.ir.dims import Axis, axis_order
from gradc.ir.graph import NO_AXES, Axes, Graph, Node, Part, copy_graph, scatter_parts, store_parts

from .alike import Layout, Pattern, asked_to_be_equal, known_as
from .batches import Around, around, leads, plain, scattered

SHORT = 8               # a product of known lengths below this is a loop: a library call would not pay


@dataclass(frozen=True)
class Contraction:
    """A sum as a matrix product: result[rows, columns] = left[rows, summed] right[summed, columns].

    array     the array node that the result goes into without a copy, None where it is kept by itself
    loops     axes of the loops around the product
    packed    operands that are copied just before, for this product alone
    """

    left: Node
    right: Node
    rows: Layout
    columns: Layout
    summed: Layout
    array: Node | None = None
    loops: Axes = NO_AXES
    packed: tuple[Node, ...] = ()


class Plan(NamedTuple):
    """The contractions of a graph by their outermost sum, and the order of axes of what is kept for them.

    packed   operands that each product copies for itself, and that are read in place by everything else
    """

    contractions: dict[Node, Contraction]
    layouts: dict[Node, Layout]
    packed: set[Node]


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


def nested_sums(nodes: Sequence[Node], merged: Collection[Node]) -> dict[Node, Chain]:
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


class _Product(NamedTuple):
    """A chain as a product: its two operands, its sign, and what is around it."""

    sides: tuple[_Side, _Side]
    sign: int
    around: Around


def _products(nodes: Sequence[Node], merged: Collection[Node]) -> dict[Node, tuple[Chain, _Product]]:
    """The contractions among some nodes, by their outermost sum."""
    scatters = scattered(nodes)
    found: dict[Node, tuple[Chain, _Product]] = {}
    in_loops: set[Node] = set()
    for top, chain in nested_sums(nodes, merged).items():
        product = _product(chain, scatters, in_loops)
        if product is not None:
            found[top] = chain, product
            in_loops.update([top] if product.around.loops else [])
    return found


def _product(chain: Chain, scatters: Mapping[Node, Part] | None = None,
             in_loops: Collection[Node] = ()) -> _Product | None:
    """The two operands of a chain and the sign of their product, None where it is no contraction."""
    free, leaves = chain.links[0].axes, _leaves(chain.body)
    outside = around(chain.links[0], leaves, chain.summed, scatters or {}, in_loops)
    summed = chain.summed - outside.loops
    groups = _groups([node.axes & free - outside.loops for node in (*leaves, *chain.guards)])
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
    return _Product(sides, sign, outside) if all(side.covers(summed) for side in sides) else None


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


def opened(graph: Graph, merged: Collection[Node]) -> Graph:
    """The graph with a sum of products with sums as one sum over all their axes, where that makes a contraction.

    sum_k w[i, k] (sum_p b[i, p] t[k, p, l]) multiplies matrices once w and b are multiplied first. The inner sum goes
    through all points of the whole already, so nothing is computed more often; one that is a contraction itself stays.
    """
    nodes = graph.reachable()
    chains, uses = nested_sums(nodes, merged), count_uses(graph, nodes)
    found: dict[Node, Chain] = {}
    for top, chain in chains.items():
        whole = chain
        while (inner := _inner(graph, whole, chains, uses)) is not None:
            parts = [chains[inner].body if factor is inner else factor for factor in factors(whole.body)]
            whole = Chain((*whole.links, *chains[inner].links), _multiplied(graph, parts),
                          tuple(dict.fromkeys((*whole.guards, *chains[inner].guards))))
        if whole is not chain and _product(whole) is not None:
            found[top] = whole
    if not found:
        return graph
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        chain = found.get(node)
        if chain is None:
            made[node] = new.rebuild(node, args)
        else:
            value = _multiplied(new, [made[factor] for factor in factors(chain.body)])
            guards = [made[guard] for guard in chain.guards]
            for axis in (link.attr for link in reversed(chain.links)):
                value = new.reduce("sum", axis, value, [g for g in guards if axis in g.axes])
                guards = [g for g in guards if axis not in g.axes]
            made[node] = value
        return made[node]

    return copy_graph(graph, change=change)


def _inner(graph: Graph, chain: Chain, chains: Mapping[Node, Chain], uses: Mapping[Node, int]) -> Node | None:
    """A sum among the factors of a chain that goes through all of its points; None where there is none to open."""
    parts = factors(chain.body)
    for inner in parts if len(parts) > 1 and _product(chain) is None else ():
        if inner in chains and uses[inner] == 1 and inner not in graph.names and _product(chains[inner]) is None:
            others = frozenset(a for node in (*parts, *chain.guards) if node is not inner for a in node.axes)
            if others <= inner.axes and not others & chains[inner].summed:
                return inner
    return None


def spread(graph: Graph, merged: Collection[Node]) -> Graph:
    """The graph with a sum of several terms as several sums, where a term by itself makes a contraction."""
    chains = nested_sums(graph.reachable(), merged)
    parted: dict[Node, list[tuple[bool, Node]]] = {}
    for top, chain in chains.items():
        if chain.body.op in ("add", "sub"):
            terms = _terms(chain.body)
            if any(_product(chain._replace(body=term)) is not None for _, term in terms):
                parted[top] = terms
    if not parted:
        return graph
    made: dict[Node, Node] = {}

    def summed(new: Graph, chain: Chain, value: Node) -> Node:
        for link in reversed(chain.links):
            value = new.reduce("sum", link.attr, value, [made[guard] for guard in link.args[1:]])
        return value

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        if node not in parted:
            made[node] = new.rebuild(node, args)
            return made[node]
        chain, total, rest = chains[node], new.const(0.0, node.dtype), new.const(0.0, node.dtype)
        for plus, term in parted[node]:
            op = "add" if plus else "sub"
            if _product(chain._replace(body=term)) is None:
                rest = _added(new, op, rest, made[term])
            else:
                total = _added(new, op, total, summed(new, chain, made[term]))
        made[node] = total if rest.op == "const" else new.apply("add", total, summed(new, chain, rest))
        return made[node]

    return copy_graph(graph, change=change)


def _terms(body: Node) -> list[tuple[bool, Node]]:
    """The terms of a sum, with their signs."""
    found, waiting = [], [(True, body)]
    while waiting:
        plus, node = waiting.pop()
        if node.op in ("add", "sub"):
            waiting += [(plus == (node.op == "add"), node.args[1]), (plus, node.args[0])]
        elif node.op == "neg":
            waiting.append((not plus, node.args[0]))
        else:
            found.append((plus, node))
    return found


def _added(graph: Graph, op: str, total: Node, term: Node) -> Node:
    if total.op != "const":
        return graph.apply(op, total, term)
    return term if op == "add" else graph.apply("neg", term)


def summed_by_products(graph: Graph, merged: Collection[Node]) -> set[Node]:
    """The sums that are matrix products, with the sums inside them."""
    return {link for chain, _ in _products(graph.reachable(), merged).values() for link in chain.links}


def gather(graph: Graph, merged: Collection[Node]) -> Graph:
    """The graph with the body of each contraction as one product of its two operands; sums of loops come last.

    One that is there already, over other axes, is kept in an array and read from it; so is any sum of which it is asked
    whether it equals something: loops over other axes could add its terms in another order.
    """
    chosen = _products(graph.reachable(), merged)
    compared = asked_to_be_equal(graph) - set(merged)
    if not chosen and not compared:
        return graph
    made: dict[Node, Node] = {}
    seen: dict[Pattern, tuple[Node, Layout]] = {}
    masked = {(side.factors[0], frozenset(side.guards)) for _, product in chosen.values() for side in product.sides
              if side.guards and len(side.factors) == 1 and not side.divisors}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        if node.op == "sum" and node not in chosen and (node.args[0], frozenset(node.args[1:])) in masked:
            kept = new.apply("select", new.all_of([made[guard] for guard in node.args[1:]]), args[0], 0.0)
            made[node] = new.reduce("sum", node.attr, kept)     # of the values that an operand keeps anyway
        elif node not in chosen:
            made[node] = known_as(new, new.rebuild(node, args), seen) if node in compared else new.rebuild(node, args)
        else:
            chain, ((left, right), sign, outside) = chosen[node]
            total = new.apply("mul", left.product(new, made, sign), right.product(new, made, 1))
            axes = [link.attr for link in reversed(chain.links)]
            for axis in (*(a for a in axes if a not in outside.loops), *(a for a in axes if a in outside.loops)):
                total = new.reduce("sum", axis, total)
            made[node] = known_as(new, total, seen)
        return made[node]

    return copy_graph(replace(graph, forwards=False), change=change)


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

    An axis along which memory runs in every array that has it comes last; of others the one that more values have comes
    first: in a network the samples, so that a row is a sample.
    """
    count: dict[Axis, int] = {}
    for node in nodes:
        for axis in node.axes:
            count[axis] = count.get(axis, 0) + 1
    along = contiguous(nodes)

    def ranked(axes: Iterable[Axis]) -> Layout:
        return tuple(sorted(axes, key=lambda axis: (axis in along, -count[axis], axis_order(axis))))

    found = Plan({}, {}, set())
    targets = _targets(graph, nodes)
    for chain, made in _products(nodes, merged).values():
        if chain.body.op != "mul" or chain.guards or made.sign < 0 or any(
                side.divisors or len(side.factors) != 1 for side in made.sides):
            continue
        loops = made.around.loops
        inner = [link for link in chain.links if link.attr not in loops]
        top, fitting = inner[0], _fit(made, found.layouts, chain.summed - loops, ranked)
        if fitting is None or inner != list(chain.links[-len(inner):]):
            continue
        left, right, rows, columns, summed = fitting
        outer = ranked(loops)
        array, order = targets.get(top, (None, ()))
        free = tuple(axis for axis in order if axis in loops)
        if free + columns + rows == order and len(rows) == len(columns) == 1:
            left, right, rows, columns = right, left, columns, rows
        elif free + rows + columns != order or len(rows) != 1 or len(columns) != 1:
            array, free = None, tuple(axis for axis in outer if axis in top.axes)
            first, *_, last = ranked(rows + columns)
            if made.around.turned(rows, columns) if made.around.indices else (
                    last in rows if last in along else first in columns):
                left, right, rows, columns = right, left, columns, rows
        packed = []
        for node, group in ((left, rows), (right, columns)):
            if plain(node, loops) is None:
                rowwise = made.around.turned(summed, group) if loops else (  # places run innermost, not the window
                    _runs_along(node, group, summed, ranked) == summed)
                found.layouts.setdefault(node, outer + (group + summed if rowwise else summed + group))
                packed += [node] if loops and node.op == "read" else []
        found.packed.update(packed)
        found.contractions[top] = Contraction(left, right, rows, columns, summed, array, loops, tuple(packed))
        found.layouts[top] = free + rows + columns
    return found


def _runs_along(operand: Node, group: Layout, summed: Layout, ranked: Callable[[Iterable[Axis]], Layout]) -> Layout:
    """Which axes of an operand come last: those along which all that it is computed from lies in memory, if any do."""
    last: set[Axis] = set()
    waiting, seen = [operand], set[Node]()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            if node.op == "read" and node.attr > 1:
                last |= node.args[node.attr].axes
            elif not (node.is_array or node.is_reduction):
                waiting += node.args
    found = [axes for axes in (group, summed) if not last.isdisjoint(axes)]
    return found[0] if len(found) == 1 else summed if ranked(group + summed)[0] in group else group


def contiguous(nodes: Iterable[Node]) -> Axes:
    """The axes that are the last index, by themselves, wherever arrays of several dimensions have them."""
    last: set[Axis] = set()
    other: set[Axis] = set()
    for node in nodes:
        places: list[tuple[Node, ...]] = []
        if node.op == "read":
            places.append(node.args[1:1 + node.attr])
        elif node.op == "scatter_add":
            places += [part.indices for part in scatter_parts(node.attr, node.args)]
        elif node.op == "store":
            places += [tuple(map(node.graph.axis, part.axes)) for part in node.attr.parts]
        for index in places:
            if len(index) > 1:
                other.update(*(one.axes for one in index[:-1]), index[-1].axes if index[-1].op != "axis" else ())
                last |= index[-1].axes
    return frozenset(last - other)


def _fit(product: _Product, known: Mapping[Node, Layout], summed: Axes,
         ranked: Callable[[Iterable[Axis]], Layout]) -> tuple[Node, Node, Layout, Layout, Layout] | None:
    """Operands, rows, columns and summed axes in an order that the layouts allow; None where there is none."""
    loops, order = product.around.loops, None
    groups = []

    def arranged(axes: Iterable[Axis]) -> Layout:
        return tuple(sorted(ranked(axes), key=product.around.position))

    for side in product.sides:
        node = side.factors[0]
        own = node.axes - summed - loops
        layout = known.get(node) or plain(node, loops)
        if layout is None:
            groups.append(arranged(own))
            continue
        if not leads(layout, loops):
            return None
        layout = tuple(axis for axis in layout if axis not in loops)
        inner = tuple(axis for axis in layout if axis in summed)
        outer = tuple(axis for axis in layout if axis in own)
        if layout not in (inner + outer, outer + inner) or (order is not None and order != inner):
            return None
        order = inner
        groups.append(outer)
    left, right = (side.factors[0] for side in product.sides)
    return left, right, groups[0], groups[1], order or arranged(summed)


def _targets(graph: Graph, nodes: Sequence[Node]) -> dict[Node, tuple[Node, Layout]]:
    """Values that fill a whole array, to which nothing is added if they are used elsewhere too; and its axes' order."""
    uses = count_uses(graph, nodes)
    found: dict[Node, tuple[Node, Layout]] = {}
    for node in nodes:
        for value, axes in whole_parts(node):
            if uses[value] == 1 or (node.op == "store" and value not in found):
                found[value] = node, axes
                break                                           # the array's other parts are added to it
    return found


def whole_parts(node: Node) -> Iterable[tuple[Node, Layout]]:
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
