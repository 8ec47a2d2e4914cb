"""The order of sums that lie in each other: first the one that leaves factors outside.

The chain rule puts together a sum over the points of a value's use and one over the points of the use before. Of
sum_n p[n] (sum_r t[n, r] a[r, c]) each point n goes through all pairs of r and c; sum_r a[r, c] (sum_n p[n] t[n, r])
goes through the pairs once. That is the choice of a contraction order: a sum is taken first if the factors that vary
over its axis have the fewest axes together (Lam, Sadayappan and Wenger, "On optimizing a class of multi-dimensional
loops with reductions for parallel execution", 1997). What the user wrote stays; only derivatives are put in order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis
from gradc.ir.graph import Axes, Graph, Node, copy_graph

from .protection import is_defined
from .simplify import fold

SHORT = 8               # a sum over fewer points of known number costs next to nothing
MOST = 24               # factors of one product


class Product(NamedTuple):
    """A sum over several axes, the outermost first, of a product under guards; and the axes of each sum that it was."""

    axes: list[Axis]
    factors: list[Node]
    guards: list[Node]
    domains: list[Axes]


def interchange(graph: Graph) -> Graph:
    """The graph with nested sums of products in the order that computes least."""
    nodes = graph.reachable()
    uses: dict[Node, int] = {}
    for node in nodes:
        for arg in node.args:
            uses[arg] = uses.get(arg, 0) + 1
    returned = {node for _, node in graph.outputs} | {check.bad for check in graph.checks}
    alone = {node for node in nodes if node.op == "sum" and uses.get(node) == 1
             and node not in graph.names and node not in returned}
    if not alone:
        return graph
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        product = _product(node, alone) if node.op == "sum" else Product([], [], [], [])
        steps = _order(product)
        if len(steps) > 1 and _cost(domain for _, domain in steps) < _cost(product.domains):
            made[node] = _summed(new, [axis for axis, _ in steps], [made[factor] for factor in product.factors],
                                 [made[guard] for guard in product.guards])
        else:
            made[node] = new.rebuild(node, args)
        return made[node]

    return copy_graph(graph, fold=fold, change=change)


def _product(node: Node, alone: Collection[Node]) -> Product:
    """What a sum sums, through the sums inside it that nothing else uses."""
    product = Product([], [], [], [])
    waiting = [node]
    while waiting:
        one = waiting.pop(0)
        if one.op == "mul" and len(product.factors) < MOST:
            waiting[:0] = one.args
        elif one is node or _is_open(one, alone, product, waiting):
            product.axes.append(one.attr)
            product.guards.extend(guard for guard in one.args[1:] if guard not in product.guards)
            product.domains.append(_axes(one.args))
            waiting.insert(0, one.args[0])
        else:
            product.factors.append(one)
    return product


def _is_open(node: Node, alone: Collection[Node], product: Product, waiting: Sequence[Node]) -> bool:
    """Whether the axis of an inner sum has no other meaning outside it."""
    outside = _axes((*product.factors, *product.guards, *waiting, node)) | set(product.axes)
    return node in alone and node.attr not in outside


def _axes(nodes: Iterable[Node]) -> Axes:
    return frozenset(axis for node in nodes for axis in node.axes)


def _order(product: Product) -> list[tuple[Axis, Axes]]:
    """The axes in the order in which they are summed best, each with the axes of what is summed."""
    terms = [(node.axes, not product.guards or is_defined(node)) for node in product.factors]
    guards = [guard.axes for guard in product.guards]
    rest, found = product.axes[::-1], []
    while rest:
        domains = {axis: _domain(axis, terms, guards) for axis in rest}
        axis = min(rest, key=lambda axis: (_size(domains[axis]), rest.index(axis)))
        rest.remove(axis)
        found.append((axis, domains[axis]))
        joined = [_joins(axis, term, guards, defined=defined) for term, defined in terms]
        whole = all(defined for (_, defined), joins in zip(terms, joined, strict=True) if joins)
        terms = [term for term, joins in zip(terms, joined, strict=True) if not joins]
        terms.append((domains[axis] - {axis}, whole))
        guards = [guard for guard in guards if axis not in guard]
    return found


def _joins(axis: Axis, term: Axes, guards: Sequence[Axes], *, defined: bool) -> bool:
    """Whether a factor stands in the sum over an axis: it varies, or guards of the sum may protect it."""
    return axis in term or (not defined and any(axis in guard for guard in guards))


def _domain(axis: Axis, terms: Sequence[tuple[Axes, bool]], guards: Sequence[Axes]) -> Axes:
    """The axes of what is summed over an axis."""
    inside = [term for term, defined in terms if _joins(axis, term, guards, defined=defined)]
    return frozenset(a for term in (*inside, *(guard for guard in guards if axis in guard)) for a in term)


def _size(domain: Axes) -> int:
    """The order of magnitude of a loop nest, in axes."""
    return sum(axis.dim.constant is None or axis.dim.constant >= SHORT for axis in domain)


def _cost(domains: Iterable[Axes]) -> list[int]:
    return sorted(map(_size, domains), reverse=True)


def _summed(graph: Graph, axes: Sequence[Axis], factors: list[Node], guards: list[Node]) -> Node:
    """The sum over the axes in turn, each of the factors that vary over it."""
    for k, axis in enumerate(axes):
        last = k == len(axes) - 1
        conditions = [guard for guard in guards if axis in guard.axes or last]
        inside = [factor for factor in factors if axis in factor.axes or (conditions and not is_defined(factor))]
        total = graph.reduce("sum", axis, _multiplied(graph, inside), conditions)
        factors = [*(factor for factor in factors if factor not in inside), total]
        guards = [guard for guard in guards if guard not in conditions]
    return _multiplied(graph, factors)


def _multiplied(graph: Graph, factors: Sequence[Node]) -> Node:
    return math.prod(factors[1:], start=factors[0]) if factors else graph.const(1.0)
