"""Sums collected by what their terms vary with: per camera inside, per observation outside.

Where many places gather from few elements, the coefficients of linear forms (`forms`) are known once for each element.
They go into a table with a row for each; a place reads its row, and what is left for it are sums of coefficients times
atoms. Of sums over products of two atoms those are inside that more results share: with cotangents g of two residuals
and coordinates X, `sum_a g_a (sum_b C_ab X_b)` has inner sums that serve both. Equal inner sums and sums that differ
by their sign are one.

Forms that share intermediate values are replaced together, and only if operations at each place get fewer by it; what
a row costs counts too, by its share in the places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import NO_AXES, Graph, Node, copy_graph, sorted_axes
from gradc.ir.table import OPERATIONS

from .forms import ONE, Atoms, Coefficient, Form, Forms, by_atom, covers
from .jacobian import points
from .per_element import Needed, Pair, all_needed, image_at, image_of
from .protection import is_defined

MOST_NODES = 20_000     # of a graph that is looked at
COSTS = {"add": 1, "sub": 1, "mul": 1, "neg": 1, "select": 2, "div": 5}
FUNCTION = 20           # additions that a function takes the time of
LOAD = 0.5              # and a number of a row
FAR = 16                # places for each element, at least: a place bears that part of the operations for a row
Own = tuple[Node, Dim]  # an index that gathers, and the dimension that it indexes
Key = tuple[tuple[Atoms, tuple[tuple[object, float], ...]], ...]


def collected(graph: Graph, far: Iterable[Pair]) -> Graph:
    """The graph with such sums; `far` are those of `pairs` in which elements are far fewer than places.

    What is tried is left in the graph that is given, where nothing needs it.
    """
    far = set(far)
    if not far or len(graph.nodes) > MOST_NODES:
        return graph
    count = _indices(graph, far)
    own = max(count, key=lambda own: (count[own], -own[0].id), default=None)
    return graph if own is None else _Collection(graph, own).replaced()


def _indices(graph: Graph, far: set[Pair]) -> dict[Own, int]:
    """The indices that gather, each with the number of values that depend on it alone."""
    count: dict[Own, int] = {}
    for needed in all_needed(graph).values():
        if len(needed.through) == 1 and not needed.axes:
            (own,) = needed.through
            if (own[1], tuple(axis.dim for axis in sorted_axes(own[0].axes))) in far:
                count[own] = count.get(own, 0) + 1
    return count


class _Root(NamedTuple):
    node: Node
    form: Form
    interior: set[Node]


class _Collection:
    """The forms of a graph by one index that gathers."""

    def __init__(self, graph: Graph, own: Own) -> None:
        self.graph, self.own = graph, own
        self.needed: dict[Node, Needed] = all_needed(graph)
        self.order, self.size = list(self.needed), len(graph.nodes)
        self.forms = Forms(graph, self.is_fixed, self.varies)
        self.users: dict[Node, list[Node]] = {}
        for node in self.order:
            for arg in node.args:
                self.users.setdefault(arg, []).append(node)

    def is_fixed(self, node: Node) -> bool:
        if node.is_array or node.dtype not in ("float64", "bool"):
            return False
        needed = self.needed[node]
        return needed.through <= {self.own} and needed.axes == NO_AXES

    def varies(self, node: Node) -> bool:
        return not node.is_array and node.dtype == "float64" and not self.is_fixed(node)

    # -- which forms ----------------------------------------------------------------------------

    def roots(self) -> list[_Root]:
        """The forms that something other than a form needs, from the results on."""
        wanted = {node for _, node in self.graph.outputs} | {check.bad for check in self.graph.checks}
        found = []
        for node in reversed(self.order):
            if node not in wanted:
                continue
            form = self._form(node)
            if form is None:
                wanted.update(node.args)
                continue
            found.append(_Root(node, form, self.forms.interior(node)))
            wanted.update(self.graph.nodes[atom] for atoms in form.terms for atom in atoms)
        return found

    def _form(self, node: Node) -> Form | None:
        if not self.varies(node) or node not in self.forms.found:
            return None
        form = self.forms.whole(node)
        if form is None or all(set(own) == {ONE} for own in form.terms.values()):
            return None
        guarded = any(product.guards for own in form.terms.values() for product in own)
        if guarded and not all(covers(own) or is_defined(self.graph.nodes[atom])
                               for atom, own in by_atom(form).items()):
            return None
        return form

    def groups(self) -> list[list[_Root]]:
        """The roots, those together that share what they are made of."""
        head: dict[Node, Node] = {}

        def first(node: Node) -> Node:
            while head.setdefault(node, node) is not node:
                head[node] = head[head[node]]
                node = head[node]
            return node

        roots = self.roots()
        for root in roots:
            for node in root.interior:
                head[first(node)] = first(root.node)
        groups: dict[Node, list[_Root]] = {}
        for root in roots:
            groups.setdefault(first(root.node), []).append(root)
        return list(groups.values())

    # -- whether it pays ------------------------------------------------------------------------

    def replaced(self) -> Graph:
        """The graph with the forms of those groups that get cheaper, all of a group or those without products."""
        chosen: dict[Node, Form] = {}
        for group in self.groups():
            plain = [root for root in group if all(len(atoms) < 2 for atoms in root.form.terms)]
            ways = [own for own in (group, plain) if own]
            gains = [self._gain(own) for own in ways]
            best = gains.index(max(gains))
            if gains[best] > 0:
                chosen |= {root.node: root.form for root in ways[best]}
        if not chosen:
            return self.graph
        return self._written(chosen)

    def _written(self, chosen: Mapping[Node, Form]) -> Graph:
        """The graph in which chosen nodes are written as their forms, and coefficients are read in a table."""
        graph, (index, dim), order = self.graph, self.own, _Order(chosen.values())
        values: dict[object, Node] = {}
        first = _Writer(graph, graph.nodes.__getitem__, order, self.forms)
        first.coefficient = lambda own: values.setdefault(tuple(own.items()), first.value(own))
        for form in chosen.values():
            first.form(form)
        columns = {value: k for k, value in enumerate(dict.fromkeys(filter(_is_kept, values.values())))}
        made: dict[Node, Node] = {}
        table: list[Node] = []

        def coefficient(new: Graph, own: Coefficient) -> Node:
            value = values[tuple(own.items())]
            if value not in columns:
                return image_of(new, value, made)
            if not table:
                element = Axis(dim, 1 + max(axis.number for node in graph.nodes for axis in (
                    *node.axes, *([node.attr] if node.is_reduction else ()))))
                rows = {index: new.axis(element)}
                one, zero = Axis(Dim.of(1), 0), Dim.of(0)
                table.append(new.store_parts((dim, Dim.of(len(columns))), [
                    ((element, one), (zero, Dim.of(k)), (), image_at(new, value, index, rows, made))
                    for value, k in columns.items()]))
            return new.read(table[0], [made[index], new.const(columns[value])])

        def change(new: Graph, node: Node, args: list[Node]) -> Node:
            if node in chosen:
                writer = _Writer(new, lambda number: made[graph.nodes[number]], order, self.forms)
                writer.coefficient = lambda own: coefficient(new, own)
                made[node] = writer.form(chosen[node])
            else:
                made[node] = new.rebuild(node, args)
            return made[node]

        return copy_graph(graph, change=change)

    def _gain(self, roots: Sequence[_Root]) -> float:
        """How many operations fewer there are at a place."""
        forms = {root.node: root.form for root in roots}
        interior = set[Node]().union(*(root.interior for root in roots))
        rows: set[Node] = set()
        writer = _Writer(self.graph, self.graph.nodes.__getitem__, _Order(forms.values()), self.forms)
        writer.coefficient = lambda coefficient: noted(writer.value(coefficient), rows)
        made = [writer.form(form) for form in forms.values()]
        alive = set(self.graph.reachable(made))
        dead = set(forms)
        for node in sorted(interior, key=lambda node: -node.id):
            if node in alive:
                dead.discard(node)
            elif node in dead or all(user in dead for user in self.users.get(node, ())):
                dead.add(node)
        new = [node for node in alive if node.id >= self.size]
        saved = sum(map(_cost, dead))
        place = {node for node in new if not self._is_row(node)}
        row = [node for node in new if node not in place]
        entries = sum(LOAD for value in rows if _is_kept(value))
        return saved - sum(map(_cost, place)) - entries - sum(map(_cost, row)) / FAR

    def _is_row(self, node: Node) -> bool:
        if node not in self.needed:
            for one in self.graph.reachable([node]):
                if one not in self.needed:
                    parts = [self.needed[arg] for arg in one.args]
                    self.needed[one] = Needed(frozenset[Own]().union(*(part.through for part in parts)),
                                              NO_AXES.union(*(part.axes for part in parts)), works=False)
        return self.is_fixed(node)


def _cost(node: Node) -> float:
    if node.op not in OPERATIONS or not node.dtype.startswith("float"):
        return 0
    own = COSTS.get(node.op, FUNCTION if OPERATIONS[node.op].imports else 1)
    return own * points(axis.dim for axis in node.axes if axis.dim.constant is not None)


# -- how a form is written ----------------------------------------------------------------------


class _Order:
    """Which atom of a product is outside: the one in fewer terms of all forms that are written together."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self.count: dict[int, int] = {}
        for form in forms:
            for atoms in form.terms:
                for atom in atoms:
                    self.count[atom] = self.count.get(atom, 0) + 1

    def outside(self, atoms: Atoms) -> tuple[int, int]:
        one, other = sorted(atoms, key=lambda atom: (self.count[atom], atom))
        return one, other


class _Writer:
    """Writes forms into a graph.

    image        of an atom or a factor, which are given by number
    coefficient  what stands at a place for one
    """

    def __init__(self, graph: Graph, image: Callable[[int], Node], order: _Order, forms: Forms) -> None:
        self.graph, self.image, self.order = graph, image, order
        self.coefficient: Callable[[Coefficient], Node] = self.value
        self.natural = forms.natural

    def form(self, form: Form) -> Node:
        """The value of a form."""
        inner: dict[int, dict[Atoms, Coefficient]] = {}
        alone: dict[Key, list[tuple[Atoms, float]]] = {}
        for atoms, coefficient in form.terms.items():
            if len(atoms) == 2:
                one, other = self.order.outside(atoms)
                inner.setdefault(one, {})[(other,)] = coefficient
            else:
                _put(alone, {(): coefficient}, atoms)
        for atom, terms in inner.items():
            if len(terms) == 1:
                ((other,), coefficient), = terms.items()
                if (min(atom, other), max(atom, other)) in self.natural:
                    _put(alone, {(): coefficient}, (min(atom, other), max(atom, other)))
                    continue
            _put(alone, terms, (atom,))
        signed = []
        for key, members in sorted(alone.items(), key=lambda item: item[1]):
            outside = sorted(members)
            sign = outside[0][1]
            signed.append((self._inner(key, [(own, sign * other) for own, other in outside]), sign))
        return self._sum(signed)

    def _inner(self, key: Key, outside: Sequence[tuple[Atoms, float]]) -> Node:
        """A sum of atoms times a coefficient or a sum that they share."""
        terms = []
        for atoms, coefficient in key:
            value = self._coefficient(dict(coefficient))        # type: ignore[arg-type]
            terms.append((self._times(value, self._product(atoms)), 1.0))
        inside = self._sum(terms)
        if outside[0][0] == ():
            return inside
        total = self._sum([(self._product(atoms), sign) for atoms, sign in outside])
        return self._times(inside, total)

    def _product(self, atoms: Atoms) -> Node | None:
        if not atoms:
            return None
        one = self.image(atoms[0])
        return one if len(atoms) == 1 else self.graph.apply("mul", one, self.image(atoms[1]))

    def _times(self, one: Node, other: Node | None) -> Node:
        if other is None or (other.op == "const" and other.value == 1):
            return one
        return other if one.op == "const" and one.value == 1 else self.graph.apply("mul", one, other)

    def _sum(self, terms: Sequence[tuple[Node | None, float]]) -> Node:
        total: Node | None = None
        first = terms[0][1]
        for value, sign in terms:
            assert value is not None
            total = value if total is None else self.graph.apply("add" if sign * first > 0 else "sub", total, value)
        assert total is not None
        return total if first > 0 else self.graph.apply("neg", total)

    def _coefficient(self, coefficient: Coefficient) -> Node:
        if set(coefficient) == {ONE}:
            return self.graph.const(coefficient[ONE])
        return self.coefficient(coefficient)

    def value(self, coefficient: Coefficient) -> Node:
        """The value of a coefficient where it is fixed."""
        graph, total = self.graph, None
        for guards in sorted({product.guards for product in coefficient}):
            part: Node | None = None
            for product in sorted(own for own in coefficient if own.guards == guards):
                number = coefficient[product]
                term: Node | None = None
                for factor in product.above:
                    term = self.image(factor) if term is None else graph.apply("mul", term, self.image(factor))
                if abs(number) != 1 or term is None:
                    size = graph.const(abs(number))
                    term = size if term is None else graph.apply("mul", size, term)
                for factor in product.below:
                    term = graph.apply("div", term, self.image(factor))
                if part is None:
                    part = term if number > 0 else graph.apply("neg", term)
                else:
                    part = graph.apply("add" if number > 0 else "sub", part, term)
            assert part is not None
            for condition, whether in guards:
                zero = graph.const(0.0)
                part = graph.ops.select(self.image(condition), *((part, zero) if whether else (zero, part)))
            total = part if total is None else graph.apply("add", total, part)
        assert total is not None
        return total


def _put(found: dict[Key, list[tuple[Atoms, float]]], terms: Mapping[Atoms, Coefficient], outside: Atoms) -> None:
    """Note that atoms stand before a sum, whose first sign is made positive so that it meets its opposite."""
    rows = [(atoms, sorted(coefficient.items())) for atoms, coefficient in sorted(terms.items())]
    sign = 1.0 if rows[0][1][0][1] > 0 else -1.0
    key = tuple((atoms, tuple((product, sign * number) for product, number in row)) for atoms, row in rows)
    found.setdefault(key, []).append((outside, sign))


def _is_kept(value: Node) -> bool:
    """Whether a coefficient has a place in the table: it takes work."""
    return value.op not in ("const", "read", "input")


def noted(value: Node, found: set[Node]) -> Node:
    """The value, which is then among those found."""
    found.add(value)
    return value
