"""Linear forms: sums of terms, each a coefficient that is known once for many places times what varies from place to
place.

Of observation i the camera's turned point is `X c + (a x X) s + a (a . X) (1 - c)`: with the camera's numbers as
coefficients three sums over the three atoms X_k, whose nine coefficients are the rotation matrix. A derivative of it
is such a sum over products of two atoms, a cotangent and a coordinate. `Forms` finds them, from operands to users;
`collect` decides which are worth it.

A coefficient is a sum of products of the values met on the way, in a normal form, so that two spellings of one
coefficient are one. Distributing it must not cost digits: `R (X - C)` is exact in X - C where R X - R C cancels. So a
sum is taken apart only if at most one of its terms was not rounded itself (`loose`): the terms of others were in error
by as much as distributing adds. What a condition on the camera guards stays guarded within the coefficient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gradc.ir.graph import Graph, Node
from gradc.ir.table import OPERATIONS

MOST_TERMS = 32         # of a form
MOST_PRODUCTS = 24      # of a coefficient
MOST_FACTORS = 12       # of a product


class Product(NamedTuple):
    """A product of values where all guards hold: numbers of nodes, in order; a guard is a condition and whether."""

    guards: tuple[tuple[int, bool], ...] = ()
    above: tuple[int, ...] = ()
    below: tuple[int, ...] = ()


ONE = Product()
Coefficient = dict[Product, float]
Atoms = tuple[int, ...]                 # none, one or two


@dataclass
class Form:
    """A sum of coefficients times atoms; `loose` counts the terms that were not rounded."""

    terms: dict[Atoms, Coefficient] = field(default_factory=dict)
    loose: int = 0

    @property
    def opens(self) -> bool:
        """Whether users may take it apart."""
        return self.loose <= 1 and () not in self.terms

    @property
    def plain(self) -> bool:
        """Whether there are several atoms and nothing is a coefficient but signs."""
        return len(self.terms) > 1 and all(set(c) == {ONE} and abs(c[ONE]) == 1 for c in self.terms.values())


def is_rounded(node: Node) -> bool:
    """Whether a value is in error by its own rounding."""
    return node.op in ("mul", "div", "sqrt") or (node.op in OPERATIONS and bool(OPERATIONS[node.op].imports))


class Forms:
    """The forms of the nodes of a graph.

    fixed     whether a node is known once for many places, so belongs to a coefficient
    varies    whether it is a number that varies from place to place
    products  for each product of two that vary the forms of both
    natural   the pairs of nodes of which there is a product
    """

    def __init__(self, graph: Graph, fixed: Callable[[Node], bool], varies: Callable[[Node], bool]) -> None:
        self.graph, self.fixed, self.varies = graph, fixed, varies
        self.found: dict[Node, Form] = {}
        self.products: dict[int, tuple[Node, Node]] = {}
        for node in graph.reachable():
            if varies(node):
                made = self._made(node)
                if made is not None and 0 < len(made.terms) <= MOST_TERMS and all(
                        len(c) <= MOST_PRODUCTS for c in made.terms.values()):
                    self.found[node] = made
        self.natural = {(min(a.id, b.id), max(a.id, b.id)) for a, b in self.products.values()}

    def seen(self, node: Node) -> Form:
        """The form of a node as its users see it: of one that they cannot take apart that node alone."""
        if self.fixed(node):
            return Form({(): _factor(node)}, 1)
        own = self.found.get(node)
        if own is not None and own.opens:
            return own
        return Form({(node.id,): {ONE: 1.0}}, 0 if is_rounded(node) else 1)

    def _made(self, node: Node) -> Form | None:
        args = node.args
        if node.op == "neg":
            return scaled(self.seen(args[0]), {ONE: -1.0}, rounds=False)
        if node.op in ("add", "sub"):
            return joined(self.seen(args[0]), self.seen(args[1]), 1.0 if node.op == "add" else -1.0)
        if node.op == "mul":
            for one, other in (args, args[::-1]):
                if self.fixed(one):
                    if one.op == "const":
                        exact = abs(one.value) in (0.5, 1.0, 2.0, 4.0)
                        return scaled(self.seen(other), {ONE: float(one.value)}, rounds=not exact)
                    return scaled(self.seen(other), _factor(one))
            self.products[node.id] = (args[0], args[1])
        if node.op == "div" and self.fixed(args[1]):
            return scaled(self.seen(args[0]), {Product(below=(args[1].id,)): 1.0})
        if node.op == "select" and self.fixed(args[0]):
            parts = [part for arg, whether in ((args[1], True), (args[2], False)) if not _is_zero(arg) and (
                part := scaled(self.seen(arg), {Product(((args[0].id, whether),)): 1.0}, rounds=False)) is not None]
            if len(parts) == 2:
                return joined(parts[0], parts[1], 1.0)
            return parts[0] if parts and any(map(_is_zero, args[1:])) else None
        return None

    def whole(self, node: Node) -> Form | None:
        """The form of a node over atoms and products of two; None where it is too large or something cancels.

        A product is multiplied out where a factor is a sum with coefficients, and where it meets what that gives.
        """
        total, single = Form(), []
        own = self.found[node]
        for atoms, coefficient in own.terms.items():
            pair = self.products.get(atoms[0]) if len(atoms) == 1 and len(own.terms) > 1 else None
            if pair is None or not any(self._is_rich(factor) for factor in pair):
                single.append((atoms, coefficient, pair))
                continue
            joint = _added(total, times(self.seen(pair[0]), self.seen(pair[1])), coefficient)
            if joint is None:
                return None
            total = joint
        for atoms, coefficient, pair in single:
            part = Form({atoms: {ONE: 1.0}})
            if pair is not None:
                whole, product = times(*map(self.seen, pair)), times(*map(self._as_one, pair))
                if whole is not None and whole.terms.keys() <= total.terms.keys():
                    part = whole
                elif product is not None:
                    (both, factor), = product.terms.items()
                    if both in self.natural and set(factor) != {ONE}:
                        part = product
            joint = _added(total, part, coefficient)
            if joint is None:
                return None
            total = joint
        return total

    def _is_rich(self, node: Node) -> bool:
        """Whether a factor is a sum with coefficients that may be taken apart."""
        seen = self.seen(node)
        return len(seen.terms) > 1 and not seen.plain

    def _as_one(self, node: Node) -> Form:
        """A factor as one atom with its coefficient."""
        seen = self.seen(node)
        return seen if len(seen.terms) == 1 else Form({(node.id,): {ONE: 1.0}})

    def interior(self, node: Node) -> set[Node]:
        """The nodes that are taken apart on the way from a form to its atoms, the node among them."""
        found, waiting = set(), [node]
        while waiting:
            one = waiting.pop()
            if one in found or (one is not node and not self._is_open(one)):
                continue
            found.add(one)
            for arg in one.args:
                if self.varies(arg):
                    pair = self.products.get(arg.id)
                    if pair is None:
                        waiting.append(arg)
                    else:
                        found.add(arg)
                        waiting += pair
        return found

    def _is_open(self, node: Node) -> bool:
        own = self.found.get(node)
        return own is not None and own.opens


def _added(total: Form, part: Form | None, coefficient: Coefficient) -> Form | None:
    part = scaled(part, coefficient) if part is not None else None
    joint = joined(total, part, 1.0) if part is not None else None
    return joint if joint is not None and len(joint.terms) <= 2 * MOST_TERMS else None


def _factor(node: Node) -> Coefficient:
    return {ONE: float(node.value)} if node.op == "const" else {Product(above=(node.id,)): 1.0}


def _is_zero(node: Node) -> bool:
    return node.op == "const" and node.value == 0


def joined(one: Form, other: Form, sign: float) -> Form | None:
    """The sum of two forms, or their difference; None where something cancels: then the user wrote it so."""
    terms = {atoms: dict(coefficient) for atoms, coefficient in one.terms.items()}
    for atoms, coefficient in other.terms.items():
        own = terms.setdefault(atoms, {})
        for product, number in coefficient.items():
            own[product] = own.get(product, 0.0) + sign * number
            if not own[product]:
                return None
    return Form(terms, one.loose + other.loose)


def scaled(form: Form, factor: Coefficient, *, rounds: bool = True) -> Form | None:
    """A form times a coefficient; None where products get too long."""
    terms: dict[Atoms, Coefficient] = {}
    for atoms, coefficient in form.terms.items():
        found = multiplied(coefficient, factor)
        if found is None:
            return None
        terms[atoms] = found
    return Form(terms, 0 if rounds else form.loose)


def multiplied(one: Coefficient, other: Coefficient) -> Coefficient | None:
    """The product of two coefficients; None where it is too long."""
    if len(one) * len(other) > MOST_PRODUCTS:
        return None
    found: Coefficient = {}
    for a, x in one.items():
        for b, y in other.items():
            product = Product(tuple(sorted({*a.guards, *b.guards})), tuple(sorted(a.above + b.above)),
                              tuple(sorted(a.below + b.below)))
            if len(product.above) + len(product.below) > MOST_FACTORS:
                return None
            found[product] = found.get(product, 0.0) + x * y
    return found


def times(one: Form, other: Form) -> Form | None:
    """The form of a product of two forms, each over single atoms; None where it is too large."""
    terms: dict[Atoms, Coefficient] = {}
    for a, x in one.terms.items():
        for b, y in other.terms.items():
            if len(a) != 1 or len(b) != 1:
                return None
            found = multiplied(x, y)
            if found is None:
                return None
            own = terms.setdefault((min(a[0], b[0]), max(a[0], b[0])), {})
            for product, number in found.items():
                own[product] = own.get(product, 0.0) + number
    return Form(terms)


def covers(coefficients: list[Coefficient]) -> bool:
    """Whether under all conditions one of some coefficients may count."""
    guards = {product.guards for coefficient in coefficients for product in coefficient}
    return () in guards or any(len(own) == 1 and ((own[0][0], not own[0][1]),) in guards for own in guards)


def by_atom(form: Form) -> Mapping[int, list[Coefficient]]:
    """For each atom the coefficients of what it is in."""
    found: dict[int, list[Coefficient]] = {}
    for atoms, coefficient in form.terms.items():
        for atom in set(atoms):
            found.setdefault(atom, []).append(coefficient)
    return found
