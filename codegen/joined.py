"""Sums of products that share a factor, joined: u (A T) + v (B T) is one product, (u A + v B) T.

A tangent of what is put together of several products, and the adjoint of what several products use, are sums of
contractions over the same axes. Where terms have a factor in common, and what is left of them has fewer axes than
they have with it, adding up what is left first takes one sum in place of several: their coefficients are pushed into
the sums, and what is left is joined in the same way. A term that has fewer axes than the others stays by itself,
since it costs less so. Sums of several terms as several sums, the way back, are `contractions`'.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis
from gradc.ir.graph import Axes, Graph, Node, copy_graph

from .contractions import Chain, count_uses, factors, nested_sums

LINEAR = ("add", "sub", "neg", "mul")
MOST = 64               # terms of one sum
DEEPEST = 8             # sums in sums that are joined


class Term(NamedTuple):
    """A part of a sum: its sign, its factors, and a sum that it is multiplied by, if it may be joined."""

    plus: bool
    factors: tuple[Node, ...]
    chain: Chain | None = None

    @property
    def axes(self) -> Axes:
        """The axes of its value."""
        return _axes(self.factors if self.chain is None else (*self.factors, self.chain.links[0]))

    def without(self, factor: Node) -> Term:
        """What is left of it."""
        place = self.factors.index(factor)
        return self._replace(factors=self.factors[:place] + self.factors[place + 1:])


class Total(NamedTuple):
    """A sum of terms, and of sums that were joined."""

    terms: tuple[Term, ...]
    joined: tuple[Joined, ...] = ()


class Joined(NamedTuple):
    """Sums over the same axes as one: what is summed, each time a factor (None for 1) and what it is multiplied by."""

    axes: tuple[Axis, ...]
    body: tuple[tuple[Node | None, Total], ...]
    note: str = ""


def joined(graph: Graph, merged: Collection[Node]) -> Graph:
    """The graph with sums of products that share a factor as one sum; `merged` are part of the sums around them."""
    nodes = graph.reachable()
    found = _Finder(graph, nodes, merged).totals(nodes)
    if not found:
        return graph
    made: dict[Node, Node] = {}

    def change(new: Graph, node: Node, args: list[Node]) -> Node:
        total = found.get(node)
        made[node] = new.rebuild(node, args) if total is None else _built(new, total, made, node.dtype)
        return made[node]

    return copy_graph(graph, change=change)


# -- finding ------------------------------------------------------------------------------------

class _Finder:
    """What of a graph may be joined: sums, and what is linear in one, that one thing alone uses."""

    def __init__(self, graph: Graph, nodes: Sequence[Node], merged: Collection[Node]) -> None:
        uses, self.notes = count_uses(graph, nodes), graph.notes
        self.alone = {node for node in nodes if uses[node] == 1 and node not in graph.names}
        self.chains = {top: chain for top, chain in nested_sums(nodes, merged).items()
                       if top in self.alone and not chain.guards}
        self.holding: set[Node] = set(self.chains)
        for node in nodes:
            if node in self.alone and self._held(node):
                self.holding.add(node)

    def totals(self, nodes: Sequence[Node]) -> dict[Node, Total]:
        """Sums of terms some of which are joined, each from its outermost addition on."""
        inside: set[Node] = set()
        found: dict[Node, Total] = {}
        for node in reversed(nodes):
            held = self._held(node)
            if node in inside or node.op in ("add", "sub"):
                inside.update(held if node.op != "mul" or len(held) == 1 else ())
            if node.op in ("add", "sub") and node not in inside and held:
                total = self._total(self._terms(node))
                found.update({node: total} if total.joined else {})
        return found

    def _held(self, node: Node) -> list[Node]:
        return [arg for arg in node.args if arg in self.holding] if node.op in LINEAR else []

    def _terms(self, root: Node) -> list[Term]:
        """The terms of a sum, through additions and products by other factors."""
        found: list[Term] = []
        waiting: list[tuple[Node, bool, tuple[Node, ...]]] = [(root, True, ())]
        while waiting:
            node, plus, outside = waiting.pop()
            held = self._held(node) if node is root or node in self.holding else []
            if node in self.chains and node is not root:
                found.append(Term(plus, outside, self.chains[node]))
            elif node.op in ("add", "sub") and (held or node is root) and len(found) + len(waiting) < MOST:
                waiting += [(node.args[1], plus == (node.op == "add"), outside), (node.args[0], plus, outside)]
            elif node.op == "neg" and held:
                waiting.append((node.args[0], not plus, outside))
            elif node.op == "mul" and len(held) == 1:
                others = [arg for arg in node.args if arg is not held[0]]
                waiting.append((held[0], plus, (*outside, *(part for arg in others for part in self._factors(arg)))))
            else:
                found.append(Term(plus, (*outside, *self._factors(node))))
        return found

    def _factors(self, node: Node) -> list[Node]:
        return factors(node, self.alone) if node in self.alone else [node]

    def _total(self, terms: Sequence[Term], depth: int = 0) -> Total:
        """The terms, with those sums joined that share a factor."""
        groups: dict[tuple[Axis, ...], list[Term]] = {}
        for term in terms:
            if term.chain is not None:
                axes = tuple(link.attr for link in term.chain.links)
                if _axes(term.factors) <= term.chain.body.axes - set(axes):
                    groups.setdefault(axes, []).append(term)
        found = {}
        for axes, group in groups.items():
            while len(group) > 1 and depth < DEEPEST:
                whole, sharing = self._joined(axes, group, depth + 1)
                if len(sharing) == len(group):
                    found[whole] = group
                    break
                group = sharing
        done = [id(term) for group in found.values() for term in group]
        return Total(tuple(term for term in terms if id(term) not in done), tuple(found))

    def _joined(self, axes: tuple[Axis, ...], group: Sequence[Term], depth: int) -> tuple[Joined, list[Term]]:
        """Some sums as one, and those among them that share a factor with another."""
        parts = [(k, inner._replace(plus=inner.plus == term.plus, factors=(*term.factors, *inner.factors)))
                 for k, term in enumerate(group) if term.chain is not None for inner in self._terms(term.chain.body)]
        body: list[tuple[Node | None, Total]] = []
        sharing: set[int] = set()
        while (shared := _shared(axes, parts)) is not None:
            factor, chosen = shared
            body.append((factor, self._total([parts[k][1].without(factor) for k in chosen], depth)))
            sharing.update(parts[k][0] for k in chosen)
            parts = [part for k, part in enumerate(parts) if k not in chosen]
        if parts:
            body.append((None, self._total([term for _, term in parts], depth)))
        notes = [self.notes.get(term.chain.links[0], "") for term in group if term.chain is not None]
        return Joined(axes, tuple(body), notes[0]), [term for k, term in enumerate(group) if k in sharing]


def _shared(axes: Sequence[Axis], parts: Sequence[tuple[int, Term]]) -> tuple[Node, list[int]] | None:
    """A factor of most of the terms that vary over the same axes, and over fewer without it; and their places."""
    best: tuple[int, Node, list[int]] | None = None
    for factor in dict.fromkeys(one for _, term in parts for one in term.factors if not one.axes.isdisjoint(axes)):
        places = [k for k, (_, term) in enumerate(parts) if factor in term.factors]
        whole = _joint(parts[k][1].axes for k in places)
        places = [k for k in places if parts[k][1].axes == whole]
        rest = _joint(parts[k][1].without(factor).axes for k in places)
        several = len({parts[k][0] for k in places})
        if several > 1 and rest < whole and (best is None or several > best[0]):
            best = several, factor, places
    return best and best[1:]


def _axes(nodes: Iterable[Node]) -> Axes:
    return _joint(node.axes for node in nodes)


def _joint(sets: Iterable[Axes]) -> Axes:
    return frozenset(axis for axes in sets for axis in axes)


# -- building -----------------------------------------------------------------------------------

def _built(graph: Graph, total: Total, made: Mapping[Node, Node], dtype: str) -> Node:
    """The value of a sum in a new graph."""
    parts: list[tuple[bool, Node]] = []
    together: dict[Node | None, list[Term]] = {}                # terms that were in one bracket
    for term in total.terms:
        together.setdefault(term.factors[0] if term.factors else None, []).append(term)
    for factor, terms in together.items():
        rest = [term.without(factor) for term in terms] if factor is not None else []
        if len(rest) > 1 and all(term.factors or term.chain for term in rest):
            plus = any(term.plus for term in rest)
            rest = [term._replace(plus=term.plus == plus) for term in rest]
            inside = _built(graph, Total(tuple(rest)), made, dtype)
            parts.append((plus, graph.apply("mul", made[terms[0].factors[0]], inside)))
            continue
        parts += [(term.plus, _product(graph, [*term.factors, *(term.chain.links[:1] if term.chain else ())], made,
                                       dtype)) for term in terms]
    for whole in total.joined:
        value: Node | None = None
        for shared, left in whole.body:
            added = _built(graph, left, made, dtype)
            added = added if shared is None else graph.apply("mul", added, made[shared])
            value = added if value is None else graph.apply("add", value, added)
        assert value is not None
        for axis in reversed(whole.axes):
            value = graph.reduce("sum", axis, value)
        if whole.note:
            graph.notes.setdefault(value, whole.note)
        parts.append((True, value))
    parts.sort(key=lambda part: not part[0])                    # what is added first, then what is subtracted
    (plus, result), *others = parts
    for is_added, other in others:
        result = graph.apply("add" if is_added or not plus else "sub", result, other)
    return result if plus else graph.apply("neg", result)


def _product(graph: Graph, parts: Sequence[Node], made: Mapping[Node, Node], dtype: str) -> Node:
    if not parts:
        return graph.const(1.0, dtype)
    value = made[parts[0]]
    for part in parts[1:]:
        value = graph.apply("mul", value, made[part])
    return value
