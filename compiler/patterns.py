"""Normal forms of sums, products and exponentials, so that all spellings of one formula meet.

A form is a ratio of two small polynomials. Their monomials are exp(linear) times powers of atoms; an
atom is a node, or a function of a linear form (erf, cos, sin, abs, a logsumexp), so that two spellings
of its argument give one atom. sinh, cosh, tanh, sigmoid and expm1 are written out as exponentials.
Sums without such a function are left alone inside products, and what grows beyond a few terms is an
atom again, so a form costs a bounded amount however large the graph is. Forms are only looked at:
what is rewritten, and when, is decided in `exponentials` and `stable`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node

Factors = tuple[tuple[int, float], ...]
Linear = tuple[tuple[Factors, float], ...]
Mono = tuple[Linear, Factors]
Poly = dict[Mono, float]

ONE: Mono = ((), ())
TERMS, FACTORS, EPS = 6, 6, 2.0**-52
ARITHMETIC = frozenset(("add", "sub", "mul", "div", "neg", "pow"))
EXPONENTIAL = frozenset(
    ("exp", "exp2", "expm1", "sinh", "cosh", "tanh", "sigmoid", "sech", "sigmoid_slope", "tanh_slope"))
OTHERS = frozenset(("erf", "erfc", "sin", "cos"))
NUMBERS = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp, "real": float}
BENT = frozenset(("abs", "relu", "max", "min"))
FORMED = ARITHMETIC | EXPONENTIAL | OTHERS | BENT


class Ratio(NamedTuple):
    """A form: numerator and denominator."""

    top: Poly
    bottom: Poly


class Atom(NamedTuple):
    """A function of a linear form: its name, its key, and the node that computes it when asked."""

    name: str
    argument: Linear
    build: Callable[[], Node]
    axes: frozenset[Axis]


UNIT: Poly = {ONE: 1.0}


def close(a: float, b: float, ulps: float = 8.0) -> bool:
    """Whether two coefficients are equal up to a few rounding errors."""
    return a == b or abs(a - b) <= ulps * EPS * max(abs(a), abs(b))


# -- linear forms -----------------------------------------------------------------------------


def linear_add(a: Linear, b: Linear, scale: float = 1.0) -> Linear:
    """a + scale * b; terms that vanish up to rounding are dropped."""
    if not b or scale == 0.0:
        return a
    if not a and scale == 1.0:
        return b
    total = dict(a)
    for factors, coefficient in b:
        old = total.get(factors, 0.0)
        new = old + scale * coefficient
        if abs(new) <= 8 * EPS * max(abs(old), abs(scale * coefficient)):
            total.pop(factors, None)
        else:
            total[factors] = new
    return tuple(sorted(total.items()))


def linear_scale(a: Linear, scale: float) -> Linear:
    """scale * a."""
    return a if scale == 1.0 else tuple((f, scale * c) for f, c in a) if scale else ()


def constant_part(a: Linear) -> float | None:
    """The value of a linear form that is a constant, else None."""
    if not a:
        return 0.0
    return a[0][1] if len(a) == 1 and not a[0][0] else None


def multiple(a: Linear, b: Linear) -> float | None:
    """The number k with a = k * b, or None."""
    if not a:
        return 0.0
    if len(a) != len(b):
        return None
    k = a[0][1] / b[0][1]
    for (f, x), (g, y) in zip(a, b, strict=True):
        if f != g or not close(x, k * y, 16):
            return None
    near = round(2 * k) / 2
    return near if near and close(k, near, 16) else k


def factors_multiply(a: Factors, b: Factors, power: float = 1.0) -> Factors:
    """The product of a and b**power."""
    if not b:
        return a
    if not a and power == 1.0:
        return b
    total = dict(a)
    for atom, exponent in b:
        total[atom] = total.get(atom, 0.0) + power * exponent
        if total[atom] == 0.0:
            del total[atom]
    return tuple(sorted(total.items()))


def mono_multiply(a: Mono, b: Mono, power: float = 1.0) -> Mono:
    """The product of a and b**power."""
    return linear_add(a[0], b[0], power), factors_multiply(a[1], b[1], power)


# -- polynomials ------------------------------------------------------------------------------


def poly_add(a: Poly, b: Poly, sign: float = 1.0) -> tuple[Poly, bool]:
    """a + sign * b, and whether a term vanished."""
    total, vanished = dict(a), False
    for mono, coefficient in b.items():
        old = total.get(mono, 0.0)
        new = old + sign * coefficient
        if abs(new) <= 8 * EPS * max(abs(old), abs(coefficient)):
            vanished = total.pop(mono, None) is not None or vanished
        else:
            total[mono] = new
    return total, vanished


def poly_multiply(a: Poly, b: Poly) -> Poly | None:
    """a * b, or None where that has too many terms."""
    if a is UNIT or b is UNIT:
        return b if a is UNIT else a
    if len(a) * len(b) > 4 * TERMS:
        return None
    total: Poly = {}
    sizes: dict[Mono, float] = {}
    for x, c in a.items():
        for y, d in b.items():
            mono = mono_multiply(x, y)
            total[mono] = total.get(mono, 0.0) + c * d
            sizes[mono] = max(sizes.get(mono, 0.0), abs(c * d))
    if len(total) < len(a) * len(b):
        total = {m: c for m, c in total.items() if abs(c) > 8 * EPS * sizes[m]}
    return total if len(total) <= TERMS and all(len(m[1]) <= FACTORS for m in total) else None


def normal(top: Poly | None, bottom: Poly | None) -> Ratio | None:
    """The ratio, with a denominator of one term divided out."""
    if not top or not bottom:
        return None
    if len(bottom) == 1:
        (mono, coefficient), = bottom.items()
        if mono != ONE or coefficient != 1.0:
            top = {mono_multiply(m, mono, -1.0): c / coefficient for m, c in top.items()}
        bottom = UNIT
    if not all(map(math.isfinite, top.values())):
        return None
    return Ratio(top, bottom)


def related(a: Poly, b: Poly) -> bool:
    """Whether two denominators can be brought together: one is 1, or they are in the same exponential."""
    if len(a) < 2 or len(b) < 2:
        return True
    (p, q), (r, s) = [m[0] for m in a][:2], [m[0] for m in b][:2]
    return multiple(linear_add(p, q, -1.0), linear_add(r, s, -1.0)) is not None


def add(a: Ratio, b: Ratio, sign: float) -> tuple[Ratio | None, bool]:
    """a + sign * b, and whether a term vanished."""
    if a.bottom == b.bottom:
        top, vanished = poly_add(a.top, b.top, sign)
        return (normal(top, a.bottom) if len(top) <= TERMS else None), vanished
    if not related(a.bottom, b.bottom):
        return None, False
    left, right = poly_multiply(a.top, b.bottom), poly_multiply(b.top, a.bottom)
    if left is None or right is None:
        return None, False
    top, vanished = poly_add(left, right, sign)
    return (normal(top, poly_multiply(a.bottom, b.bottom)) if len(top) <= TERMS else None), vanished


def multiply(a: Ratio, b: Ratio) -> Ratio | None:
    """a * b."""
    if not related(a.bottom, b.bottom):
        return None
    return normal(poly_multiply(a.top, b.top), poly_multiply(a.bottom, b.bottom))


def divide(a: Ratio, b: Ratio) -> Ratio | None:
    """a / b."""
    return multiply(a, Ratio(b.bottom, b.top))


# -- nodes to forms ---------------------------------------------------------------------------


class Forms:
    """The forms of the nodes of one growing graph; each is computed once, without recursion."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[Node, Ratio] = {}
        self.atoms: list[Atom] = []                             # atom -k-1 is atoms[k]
        self.origin: dict[Linear, Node] = {}                    # a node for a linear form
        self.bent = False                                       # whether an abs is among the atoms
        self._atom: dict[tuple[object, ...], int] = {}
        self._sums: dict[tuple[str, Node, Node], tuple[Ratio | None, bool]] = {}
        self._near: dict[float, float] = {}
        self._rich: list[bool] = []

    def rich(self, node: Node) -> bool:
        """Whether the form of the node can contain an exponential or another listed function."""
        nodes, flags = self.graph.nodes, self._rich
        while len(flags) <= node.id:
            other = nodes[len(flags)]
            if _base(other):
                flags.append(True)
            elif other.op in ARITHMETIC:
                flags.append(other.dtype != "int64" and any(flags[a.id] for a in other.args))
            elif other.op in ("sum", "mean"):
                flags.append(other.is_reduction and flags[other.args[0].id])
            else:
                flags.append(other.op in EXPONENTIAL or other.op in OTHERS)
        return flags[node.id]

    def plain(self, node: Node) -> None:
        """Note that the form of a node is no more than the node itself."""
        self._rich[node.id] = False

    def form(self, node: Node) -> Ratio:
        """The form of a node."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self.known:
                stack.pop()
                continue
            missing = [a for a in self._inside(top) if a not in self.known]
            if missing:
                stack.extend(missing)
                continue
            self.known[top] = self._form(top)
            stack.pop()
        return self.known[node]

    def _inside(self, node: Node) -> Sequence[Node]:
        if node.dtype == "int64":
            return ()
        if node.op in FORMED or node.op in NUMBERS:
            return () if node.is_reduction else node.args
        return node.args[:1] if node.op in ("sum", "mean") and self.rich(node) else ()

    def _form(self, node: Node) -> Ratio:
        found: Ratio | None = None
        if node.op == "const" and node.dtype != "bool" and math.isfinite(node.value):
            found = Ratio({ONE: float(node.value)}, UNIT) if node.value else Ratio({}, UNIT)
        elif node.op in NUMBERS and node.dtype != "int64" and self._is_number(self.known[node.args[0]]):
            found = _number(node.op, self.known[node.args[0]])
        elif (node.op in FORMED or node.is_reduction) and self._inside(node):
            found = self.of(node.op, node.args, node)
            if found is None and node.op in ARITHMETIC and self.rich(node):
                self.plain(node)
        return self.atom(node) if found is None else found

    @staticmethod
    def _is_number(form: Ratio) -> bool:
        return form.bottom == UNIT and form.top.keys() == {ONE}

    @staticmethod
    def atom(node: Node) -> Ratio:
        """The form that is the node itself."""
        return Ratio({((), ((node.id, 1.0),)): 1.0}, UNIT)

    def of(self, op: str, args: Sequence[Node], node: Node | None = None) -> Ratio | None:
        """The form of op(*args), None where it would be an atom."""
        if op in ("add", "sub"):
            return self.sum(op, args, False)
        if op in ARITHMETIC:
            return self._product(op, args)
        if op in EXPONENTIAL:
            argument = self.linear(args[0])
            return None if argument is None else self._exponential(op, argument)
        if op in OTHERS:
            argument = self.linear(args[0])
            return None if argument is None else self._function(op, args[0], argument)
        if op in BENT:
            return self._bent(op, args)
        assert node is not None
        return self._sum_of_exponentials(node)

    def linear(self, node: Node) -> Linear | None:
        """The node as a linear form over atoms, None where exponentials or a ratio are in it.

        Coefficients that are equal up to rounding are made the same number.
        """
        top, bottom = self.form(node)
        if (bottom is not UNIT and bottom != UNIT) or any(m[0] for m in top):
            top = self._split(node)
        result = tuple(sorted((m[1], self.same(c)) for m, c in top.items()))
        if result:
            self.origin.setdefault(result, node)
        return result

    def _split(self, node: Node) -> Poly:
        """A sum with exponentials in it: each term that has one is an atom."""
        total: Poly = {}
        for term, sign in summands(node.op, node.args) if node.op in ("add", "sub", "neg") else [(node, 1.0)]:
            top, bottom = self.form(term)
            if term is node or bottom != UNIT or any(m[0] for m in top):
                top = self.atom(term).top
            total, _ = poly_add(total, top, sign)
        return total

    def same(self, value: float) -> float:
        """The first number met that is within a few roundings of this one."""
        if value == int(value) if abs(value) < 1e9 else False:
            return value
        for near in (value, value * (1 + 3 * EPS), value * (1 - 3 * EPS)):
            key = float(f"{near:.15g}")
            if key in self._near:
                return self._near[key]
        self._near[float(f"{value:.15g}")] = value
        return value

    # -- sums and products --------------------------------------------------------------------

    def sum(self, op: str, args: Sequence[Node], compensated: bool) -> Ratio | None:
        """The form of a sum or difference.

        Where a term vanishes that the user added and takes away again (as in Kahan's summation), the
        answer is None: rounding errors are meant. `compensated` allows it.
        """
        key = (op, args[0], args[1])
        if key not in self._sums:
            self._sums[key] = add(self.form(args[0]), self.form(args[1]), 1.0 if op == "add" else -1.0)
        found, vanished = self._sums[key]
        return None if vanished and not compensated and takes_back(summands(op, args)) else found

    def vanished(self, op: str, args: Sequence[Node]) -> bool:
        """Whether a term of the sum vanished, asked after `sum`."""
        return self._sums[op, args[0], args[1]][1]

    def _product(self, op: str, args: Sequence[Node]) -> Ratio | None:
        if op == "neg":
            top, bottom = self.form(args[0])
            return Ratio({m: -c for m, c in top.items()}, bottom)
        if op == "pow":
            return self._power(*args)
        left, right = self._factor(args[0], args[1]), self._factor(args[1], args[0] if op == "mul" else None)
        return multiply(left, right) if op == "mul" else divide(left, right)

    def _factor(self, node: Node, other: Node | None) -> Ratio:
        """The form of a factor: a plain sum stays one atom unless the other factor is a number."""
        form = self.form(node)
        if len(form.top) > 1 and not self.rich(node) and (other is None or other.op != "const"):
            return self.atom(node)
        return form

    def _power(self, base: Node, exponent: Node) -> Ratio | None:
        if exponent.op != "const":                              # 10**u is exp(u log 10)
            scale = _logarithm_of_base(base)
            argument = self.linear(exponent) if scale else None
            return None if argument is None else self._exponential("exp", linear_scale(argument, scale))
        if exponent.dtype == "bool":
            return None
        n = float(exponent.value)
        if n != int(n) or not 1 <= abs(n) <= 4 if abs(n) < 9 else True:
            return None
        form = self._factor(base, None)
        result: Ratio | None = form
        for _ in range(int(abs(n)) - 1):
            result = None if result is None else multiply(result, form)
        if result is None or n > 0:
            return result
        return normal(result.bottom, result.top)

    # -- functions ----------------------------------------------------------------------------

    @staticmethod
    def _exponential(op: str, u: Linear) -> Ratio | None:
        up: Mono = (u, ())
        down: Mono = (linear_scale(u, -1.0), ())
        twice: Mono = (linear_scale(u, 2.0), ())
        if not u:
            return None
        if op == "exp2":
            return Forms._exponential("exp", linear_scale(u, math.log(2.0)))
        forms: dict[str, tuple[Poly, Poly]] = {
            "exp": ({up: 1.0}, UNIT),
            "expm1": ({up: 1.0, ONE: -1.0}, UNIT),
            "sinh": ({up: 0.5, down: -0.5}, UNIT),
            "cosh": ({up: 0.5, down: 0.5}, UNIT),
            "tanh": ({twice: 1.0, ONE: -1.0}, {twice: 1.0, ONE: 1.0}),
            "sigmoid": ({up: 1.0}, {up: 1.0, ONE: 1.0}),
            "sech": ({up: 2.0}, {twice: 1.0, ONE: 1.0}),
            "sigmoid_slope": ({up: 1.0}, {twice: 1.0, up: 2.0, ONE: 1.0}),
            "tanh_slope": ({twice: 4.0}, {(linear_scale(u, 4.0), ()): 1.0, twice: 2.0, ONE: 1.0}),
        }
        top, bottom = forms[op]
        return Ratio(top, bottom)

    def _function(self, op: str, node: Node, argument: Linear) -> Ratio | None:
        """erf, erfc = 1 - erf, sin, cos; the sign of the argument is moved outside."""
        if not argument:
            return None
        negative = argument[-1][1] < 0
        positive = linear_scale(argument, -1.0) if negative else argument
        name = "erf" if op == "erfc" else op
        inner = node if not negative else None
        atom = self.register((name, positive), name, positive, lambda: self.graph.apply(
            name, self.spell(positive) if inner is None else inner), node.axes)
        sign = -1.0 if negative and name != "cos" else 1.0
        mono: Mono = ((), ((atom, 1.0),))
        return Ratio({ONE: 1.0, mono: -sign} if op == "erfc" else {mono: sign}, UNIT)

    def _bent(self, op: str, args: Sequence[Node]) -> Ratio | None:
        """abs as an atom; max, min and relu as (a + b)/2 +- |a - b|/2."""
        if len(args) > 2:
            return None
        a = self.linear(args[0])
        b = self.linear(args[1]) if len(args) == 2 else ()
        if a is None or b is None:
            return None
        difference = linear_add(a, b, -1.0)
        if not difference or len(difference) > TERMS or constant_part(difference) is not None:
            return None
        if difference[-1][1] < 0:
            difference = linear_scale(difference, -1.0)
        self.bent = True
        axes = frozenset[Axis]().union(*(x.axes for x in args))
        atom = self.register(("abs", difference), "abs", difference,
                             lambda: self.graph.apply("abs", self.spell(difference)), axes)
        if op == "abs":
            return Ratio({((), ((atom, 1.0),)): 1.0}, UNIT)
        half: Poly = {((), f): 0.5 * c for f, c in linear_add(a, b)}
        half[(), ((atom, 1.0),)] = -0.5 if op == "min" else 0.5
        return Ratio(half, UNIT) if len(half) <= TERMS else None

    def _sum_of_exponentials(self, node: Node) -> Ratio | None:
        """sum_i c exp(e_i) is c exp(L) with L = logsumexp_i e_i; what does not vary leaves L."""
        body = self.form(node.args[0])
        if body.bottom != UNIT or len(body.top) != 1 or (node.op == "mean" and len(node.args) > 1):
            return None
        ((expo, factors), coefficient), = body.top.items()
        if self.shifted(body.top):
            return None
        axis: Axis = node.attr
        fixed = tuple(t for t in expo if not any(axis in self.axes_of(a) for a, _ in t[0]))
        varying = tuple(t for t in expo if t not in fixed)
        if not varying or coefficient <= 0 or any(axis in self.axes_of(a) for a, _ in factors):
            return None
        guards = node.args[1:]
        atom = self.register(("logsumexp", axis, varying, *(g.id for g in guards)), "logsumexp", varying,
                             lambda: self.graph.reduce("logsumexp", axis, self.spell(varying), guards),
                             node.axes)
        top = linear_add(fixed, ((((atom, 1.0),), 1.0),))
        if node.op == "mean":
            factors = factors_multiply(factors, ((self.graph.dim(axis.dim).id, 1.0),), -1.0)
        return Ratio({(top, factors): coefficient}, UNIT)

    def shifted(self, poly: Poly) -> bool:
        """Whether the largest exponent is taken out already."""
        atoms = (a for mono in poly for factors, _ in mono[0] for a, _ in factors)
        return any(a >= 0 and self.graph.nodes[a].op == "detach" for a in atoms)

    # -- atoms --------------------------------------------------------------------------------

    def register(self, key: tuple[object, ...], name: str, argument: Linear,
                 build: Callable[[], Node], axes: frozenset[Axis]) -> int:
        """The number of the atom with this key (negative: a node's number is its own)."""
        if key not in self._atom:
            self.atoms.append(Atom(name, argument, build, axes))
            self._atom[key] = -len(self.atoms)
        return self._atom[key]

    def axes_of(self, atom: int) -> frozenset[Axis]:
        """The axes over which an atom varies."""
        return self.graph.nodes[atom].axes if atom >= 0 else self.atoms[-atom - 1].axes

    def spell_atom(self, atom: int) -> Node:
        """The node of an atom."""
        return self.graph.nodes[atom] if atom >= 0 else self.atoms[-atom - 1].build()

    # -- forms back to nodes ------------------------------------------------------------------

    def spell(self, linear: Linear) -> Node:
        """A node for a linear form: one that exists, or a small multiple of one, or the sum."""
        if len(linear) == 1 and linear[0][1] == 1.0 and len(linear[0][0]) == 1 and linear[0][0][0][1] == 1.0:
            return self.spell_atom(linear[0][0][0][0])
        for scale in (1.0, -1.0, 0.5, -0.5, 2.0, -2.0):
            known = self.origin.get(linear_scale(linear, 1.0 / scale))
            if known is not None and known.op != "const":
                return self.product(scale, [known])
        total: Node | None = None
        constant = 0.0
        for factors, coefficient in sorted(linear, key=lambda t: (t[1] < 0, _order(t[0]))):
            if not factors:
                constant = coefficient
                continue
            total = self.plus(total, self.spell_factors(abs(coefficient), factors), coefficient < 0)
        if total is None:
            return self.graph.const(constant)
        return total if constant == 0.0 else self.plus(total, self.graph.const(abs(constant)), constant < 0)

    def plus(self, total: Node | None, term: Node, negative: bool) -> Node:
        """total + term, or total - term; without a total the term alone."""
        if total is None:
            return self.graph.apply("neg", term) if negative else term
        return self.graph.apply("sub" if negative else "add", total, term)

    def spell_factors(self, coefficient: float, factors: Factors) -> Node:
        """coefficient * product of atoms."""
        above: list[Node] = []
        below: list[Node] = []
        for atom, power in sorted(factors, key=lambda f: _order((f,))):
            node = self.spell_atom(atom)
            side = above if power > 0 else below
            side.append(node if abs(power) == 1.0 else self.graph.apply("pow", node, abs(power)))
        result = self.product(coefficient, above)
        for node in below:
            result = self.graph.apply("div", result, node)
        return result

    def product(self, coefficient: float, nodes: Sequence[Node]) -> Node:
        """coefficient * n1 * n2 ..., without factors of one."""
        if not nodes:
            return self.graph.const(coefficient)
        result = nodes[0]
        if coefficient == -1.0:
            result = result.args[0] if result.op == "neg" else self.graph.apply("neg", result)
        elif coefficient != 1.0:
            result = self.graph.apply("mul", coefficient, result)
        for node in nodes[1:]:
            result = self.graph.apply("mul", result, node)
        return result


def _logarithm_of_base(base: Node) -> float:
    """log(a) of a positive constant a, 0 for anything else."""
    known = base.op == "const" and base.dtype != "bool" and 0 < base.value < math.inf
    return math.log(base.value) if known else 0.0


def _base(node: Node) -> bool:
    """Whether a node is a constant to a power that varies."""
    return node.op == "pow" and node.args[1].op != "const" and _logarithm_of_base(node.args[0]) != 0.0


def _order(factors: Factors) -> tuple[tuple[bool, int, float], ...]:
    """Nodes before functions, each in the order in which they were met."""
    return tuple((atom < 0, abs(atom), power) for atom, power in factors)


def _number(op: str, form: Ratio) -> Ratio | None:
    """The value of a function of a constant: sqrt(2), log(2)."""
    try:
        value = NUMBERS[op](form.top[ONE])
    except (ArithmeticError, ValueError):
        return None
    return Ratio({ONE: value}, UNIT) if value and math.isfinite(value) else None


def summands(op: str, args: Sequence[Node], limit: int = 12) -> list[tuple[Node, float]]:
    """The signed terms of the sum op(*args) as the user wrote it, at most `limit`."""
    found: list[tuple[Node, float]] = []
    waiting = [(args[-1], -1.0 if op in ("sub", "neg") else 1.0), *[(a, 1.0) for a in args[:-1]]]
    while waiting:
        item, factor = waiting.pop()
        if len(found) + len(waiting) < limit and item.op in ("add", "sub", "neg") and item.dtype != "int64":
            last = -factor if item.op in ("sub", "neg") else factor
            waiting += [(item.args[-1], last), *[(a, factor) for a in item.args[:-1]]]
        else:
            found.append((item, factor))
    return found


def takes_back(terms: Sequence[tuple[Node, float]]) -> bool:
    """Whether a sum adds a term and takes it away again."""
    seen: set[tuple[object, float]] = set()
    for node, sign in terms:
        number = node.op == "const"
        factor = math.copysign(1.0, sign * node.value) if number else sign
        term = abs(node.value) if number else node
        if (term, -factor) in seen:
            return True
        seen.add((term, factor))
    return False
