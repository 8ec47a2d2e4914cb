"""Inequalities between whole numbers: is a polynomial over indices and dimensions never negative?

A `Form` is a polynomial with whole coefficients over atoms: nodes (an axis, a remainder, anything that
is not a sum or product), dimension names, and floor divisions of dimensions. `Reasoner` turns integer
nodes into forms and collects what is known of their atoms: an axis lies in its dimension, a remainder
below its divisor, a guard holds. `nonnegative` looks for a combination of such facts that proves a form
to be at least 0; it is a search with a budget, so "not proved" says nothing. What to do with an answer
is left to `bounds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import gcd

from gradc.ir.dims import Dim, FloorDivision, Minimum
from gradc.ir.graph import Graph, Node

Atom = Node | str | FloorDivision | Minimum
Monomial = tuple[Atom, ...]
Form = dict[Monomial, int]

MAX_TERMS, MAX_DEGREE = 40, 3   # a larger product is an atom of its own
STEPS, DEPTH = 400, 12          # budget of one proof
SPLITS = 4                      # nested case distinctions (min, max, choices)

_CASES = ("min", "max", "select", "clip", "abs", "relu")
_NEGATED = {"less": "greater_equal", "less_equal": "greater", "greater": "less_equal",
            "greater_equal": "less", "eq": "not_equal", "not_equal": "eq"}


def _key(atom: Atom) -> tuple[int, int, str]:
    if isinstance(atom, Node):
        return (0, atom.id, "")
    return (1, 0, atom) if isinstance(atom, str) else (2, 0, str(atom))


def plus(left: Mapping[Monomial, int], right: Mapping[Monomial, int], factor: int = 1,
         offset: int = 0) -> Form:
    """left + factor * right + offset."""
    total = dict(left)
    for monomial, coefficient in right.items():
        total[monomial] = total.get(monomial, 0) + factor * coefficient
    if offset:
        total[()] = total.get((), 0) + offset
    return {monomial: coefficient for monomial, coefficient in total.items() if coefficient}


def times(left: Mapping[Monomial, int], right: Mapping[Monomial, int]) -> Form:
    """The product of two forms."""
    total: Form = {}
    for a, p in left.items():
        for b, q in right.items():
            monomial = tuple(sorted(a + b, key=_key))
            total[monomial] = total.get(monomial, 0) + p * q
    return {monomial: coefficient for monomial, coefficient in total.items() if coefficient}


def of_dim(dim: Dim) -> Form:
    """A dimension as a form."""
    return {tuple(sorted(monomial, key=_key)): factor for monomial, factor in dim.terms}


def to_dim(form: Mapping[Monomial, int]) -> Dim | None:
    """The form as a dimension, if it holds no nodes."""
    total = Dim.of(0)
    for monomial, factor in form.items():
        term = Dim.of(factor)
        for atom in monomial:
            if isinstance(atom, Node):
                return None
            term = term * (Dim.of(atom) if isinstance(atom, str) else Dim({(atom,): 1}))
        total = total + term
    return total


class Reasoner:
    """Forms and facts of one graph. Names that an array binds are sizes, so at least 0."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sizes = {dim.name for node in graph.inputs.values() for dim in node.shape if dim.name}
        self._declared = [of_dim(dim) for node in graph.inputs.values() for dim in node.shape if not dim.name]
        self._forms: dict[Node, Form] = {}

    # -- forms --------------------------------------------------------------------------------

    def form(self, node: Node) -> Form:
        """The polynomial that an integer node is."""
        stack = [node]
        while stack:
            item = stack[-1]
            if item in self._forms:
                stack.pop()
                continue
            parts = item.args if item.op in ("add", "sub", "neg", "mul") and item.dtype == "int64" else ()
            missing = [arg for arg in parts if arg not in self._forms]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            self._forms[item] = self._combined(item)
        return self._forms[node]

    def _combined(self, node: Node) -> Form:
        if node.dtype == "int64":
            if node.op == "const":
                return {(): int(node.value)} if node.value else {}
            if node.op == "dim":
                return of_dim(node.attr)
            parts = [self._forms[arg] for arg in node.args] if node.op in ("add", "sub", "neg", "mul") else []
            if node.op in ("add", "sub"):
                return plus(parts[0], parts[1], 1 if node.op == "add" else -1)
            if node.op == "neg":
                return plus({}, parts[0], -1)
            if node.op == "mul" and len(parts[0]) * len(parts[1]) <= MAX_TERMS:
                product = times(parts[0], parts[1])
                if all(len(monomial) <= MAX_DEGREE for monomial in product):
                    return product
        return {(node,): 1}

    # -- facts --------------------------------------------------------------------------------

    def from_guards(self, guards: Iterable[Node]) -> tuple[list[Form], list[Form]]:
        """What guards say: forms that are at least 0, and forms that are not 0."""
        facts: list[Form] = []
        unequal: list[Form] = []
        waiting = [(guard, True) for guard in guards]
        while waiting:
            guard, holds = waiting.pop()
            op = guard.op
            if op == "not":
                waiting.append((guard.args[0], not holds))
            elif op == ("and" if holds else "or"):
                waiting.extend((arg, holds) for arg in guard.args)
            elif op in _NEGATED and all(arg.dtype == "int64" for arg in guard.args):
                op = op if holds else _NEGATED[op]
                ahead = plus(self.form(guard.args[1]), self.form(guard.args[0]), -1)      # right - left
                if op in ("less", "less_equal", "eq"):
                    facts.append(plus(ahead, {}, offset=-1 if op == "less" else 0))
                if op in ("greater", "greater_equal", "eq"):
                    facts.append(plus({}, ahead, -1, -1 if op == "greater" else 0))
                if op == "not_equal":
                    unequal.append(ahead)
        return facts, unequal

    def _about(self, atom: Atom) -> list[Form]:
        """What is known of one atom."""
        own: Form = {(atom,): 1}
        if isinstance(atom, str):
            return [own] if atom in self.sizes else []
        if isinstance(atom, FloorDivision):
            return self._quotient(own, of_dim(atom.numerator), of_dim(atom.denominator))
        if isinstance(atom, Minimum):
            whole = all(factor >= 0 and all(name in self.sizes for name in names)
                        for dim in atom.parts() for names, factor in dim.terms)
            return [*([own] if whole else []), *(plus(of_dim(dim), own, -1) for dim in atom.parts())]
        if atom.op == "axis":
            return [own, plus(of_dim(atom.attr.dim), own, -1, -1)]
        if atom.op in ("argmax", "argmin"):
            return [own, plus(of_dim(atom.attr.dim), own, -1, -1)]
        if atom.op in ("mod", "floordiv") and atom.dtype == "int64":
            value, divisor = self.form(atom.args[0]), self.form(atom.args[1])
            if atom.op == "floordiv":
                return self._quotient(own, value, divisor)
            points = [plus(of_dim(axis.dim), {}, offset=-1) for axis in atom.axes]
            if self.nonnegative(plus(divisor, {}, offset=-1), extra=points, splits=0, within=(atom,)):
                return [own, plus(divisor, own, -1, -1)]
        return []

    def _quotient(self, own: Form, value: Form, divisor: Form) -> list[Form]:
        """q = value // d for a whole number d > 0: d q <= value <= d q + d - 1."""
        d = divisor.get((), 0)
        if set(divisor) != {()} or d <= 0:
            return []
        facts = [plus(value, own, -d), plus({(): d - 1}, plus(value, own, -d), -1)]
        if all(factor >= 0 and all(atom in self.sizes or (isinstance(atom, Node) and atom.op == "axis")
                                   for atom in monomial) for monomial, factor in value.items()):
            facts.append(own)
        return facts

    def _facts(self, goal: Form, given: Sequence[Form], within: Sequence[Atom]) -> list[Form]:
        """The given facts and those about every atom that they, or the goal, lead to."""
        facts = [dict(fact) for fact in given]
        for left, right in self.graph.equal:
            difference = plus(of_dim(left), of_dim(right), -1)
            facts += [difference, plus({}, difference, -1)]
        seen: set[Atom] = set(within)
        waiting = [atom for form in (goal, *facts) for monomial in form for atom in monomial]
        while waiting and len(facts) < 60:
            atom = waiting.pop()
            if atom in seen:
                continue
            seen.add(atom)
            for fact in self._about(atom):
                facts.append(fact)
                waiting.extend(a for monomial in fact for a in monomial)
        return facts

    # -- proofs -------------------------------------------------------------------------------

    def nonnegative(self, goal: Form, guards: Sequence[Node] = (), extra: Sequence[Form] = (),
                    splits: int = SPLITS, within: Sequence[Atom] = ()) -> bool:
        """Whether goal >= 0 is proved wherever the guards hold and all axes that occur have points."""
        if not goal or set(goal) == {()}:
            return goal.get((), 0) >= 0
        facts, unequal = self.from_guards(guards)
        facts += extra
        case = self._case(goal) if splits else None
        if case is not None:
            return all(
                self.nonnegative(_replaced(goal, case, value), guards, [*extra, *more], splits - 1, within)
                for value, more in self._alternatives(case))
        facts = self._facts(goal, [*facts, *self._declared], within)
        for difference in unequal:
            for sign in (1, -1):
                if _implied(plus({}, difference, sign), facts):
                    facts.append(plus({}, difference, sign, -1))
        return _implied(goal, facts + self._products(goal, facts))

    def _products(self, goal: Form, facts: Sequence[Form]) -> list[Form]:
        """Facts about a factor of a product in the goal, multiplied by the other factor."""
        found = []
        for monomial in goal:
            if len(monomial) != 2:
                continue
            for atom, other in (monomial, monomial[::-1]):
                if _implied({(other,): 1}, facts):
                    found += [times(fact, {(other,): 1}) for fact in facts
                              if (atom,) in fact and all(len(m) < 2 for m in fact)]
        return found[:40]

    def _case(self, goal: Form) -> Node | None:
        for monomial in goal:
            for atom in monomial:
                if isinstance(atom, Node) and atom.op in _CASES and not atom.is_reduction:
                    return atom
        return None

    def _alternatives(self, node: Node) -> list[tuple[Form, list[Form]]]:
        """The values that a choice can have, each with what is known where it has it."""
        if node.op == "select":
            yes, _ = self.from_guards((node.args[0],))
            no, _ = self.from_guards((self.graph.apply("not", node.args[0]),))
            return [(self.form(node.args[1]), yes), (self.form(node.args[2]), no)]
        parts = [self.form(arg) for arg in node.args]
        if node.op == "abs":
            return [(parts[0], [parts[0]]), (plus({}, parts[0], -1), [plus({}, parts[0], -1)])]
        if node.op == "relu":
            return [(parts[0], [parts[0]]), ({}, [plus({}, parts[0], -1)])]
        if node.op == "clip":
            value, least, most = parts
            low, high = plus(value, least, -1), plus(most, value, -1)
            return [(value, [low, high]), (least, [plus({}, low, -1)]), (most, [plus({}, high, -1)])]
        sign = 1 if node.op == "max" else -1
        return [(part, [plus(plus({}, part, sign), other, -sign) for other in parts if other is not part])
                for part in parts]


def _replaced(form: Form, atom: Node, value: Form) -> Form:
    total: Form = {}
    for monomial, factor in form.items():
        product: Form = {(): factor}
        for item in monomial:
            product = times(product, value if item is atom else {(item,): 1})
        total = plus(total, product)
    return total


def _reduced(form: Form) -> Form:
    """Divided by the common factor of its terms; the constant is rounded down, as all values are whole."""
    common = 0
    for monomial, factor in form.items():
        if monomial:
            common = gcd(common, factor)
    if common <= 1:
        return form
    divided = {monomial: factor // common for monomial, factor in form.items()}
    return {monomial: factor for monomial, factor in divided.items() if factor}


def _rank(monomial: Monomial) -> tuple[int, list[tuple[int, int, str]]]:
    return (-len(monomial), [_key(atom) for atom in monomial])


def _implied(goal: Form, facts: Sequence[Form]) -> bool:
    """Whether goal is a sum of non-negative multiples of facts and a number >= 0 (a bounded search)."""
    budget = STEPS
    stack = [(_reduced(goal), DEPTH)]
    seen: set[frozenset[tuple[Monomial, int]]] = set()
    while stack and budget:
        budget -= 1
        form, depth = stack.pop()
        terms = [monomial for monomial in form if monomial]
        if not terms:
            if form.get((), 0) >= 0:
                return True
            continue
        key = frozenset(form.items())
        if not depth or key in seen:
            continue
        seen.add(key)
        monomial = min(terms, key=_rank)
        mine = form[monomial]
        for fact in facts:
            theirs = fact.get(monomial, 0)
            if theirs and (theirs > 0) == (mine > 0):
                stack.append((_reduced(plus(plus({}, form, abs(theirs)), fact, -abs(mine))), depth - 1))
    return False
