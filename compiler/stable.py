"""Stable rewrites: forms that lose digits or overflow become functions that do not.

`stable` takes a graph and gives a new one. Rules look at structure, not at spelling: sums and products
are compared in the normal form of `patterns`, so `1/(1 + exp(-x))`, `exp(x)/(exp(x) + 1)` and
`tanh(x/2)/2 + 1/2` are one sigmoid. Each rewrite is equal to what it replaces on the domain that its
rule names; nothing else is cancelled or regrouped. The families that rules lead to are closed under
differentiation (`ir.elementary`), so derivatives keep their digits too. What follows from the formula
of one node alone, without a loss of digits, is left to `simplify`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradc.ir.graph import Check, Graph, Node, copy_graph, follow

from . import quotients, shifts, structure
from .exponentials import recognise, softmax_over
from .logarithms import EXPANDED, exp_of_logs, log_of, log_of_sum_of_logs, log_of_terms
from .patterns import (
    ONE,
    TERMS,
    UNIT,
    Forms,
    Ratio,
    add,
    factors_multiply,
    linear_add,
    linear_scale,
    multiple,
    summands,
    takes_back,
)
from .powers import Found, content, shape
from .series import NAMES, removable
from .stable_rules import RULES

ROUNDS = 3              # that a graph is gone over, at most
SMALL = 5000            # nodes of a graph that is gone over more than once
MOST_FACTORS = 8        # of a product that is taken apart
LOGS = {"log2": math.log(2.0), "log10": math.log(10.0)}
_BOUNDED = ("sigmoid", "tanh", "sech", "sigmoid_slope", "tanh_slope")
_POSITIVE = ("softplus", "log_cosh", "logaddexp")
_LINEAR = ("add", "sub", "neg", "mul", "div")
_KINDS = {
    "log": (frozenset((*EXPANDED, "logsumexp", "log", "log1p")), _LINEAR),
    "removable": (NAMES, ("mul", "neg", "pow")),
    "product": (frozenset(("log", "log1p", "log2", "log10", "sin", "tan", "hypot", "sqrt", "coth")),
                ("mul", "div", "neg", "pow")),
}
_DIFFERENCES = ("sqrt", "hypot", "log", "log1p", "div", "pow", "unit")


def stable(graph: Graph) -> Graph:
    """The graph with every stable rewrite made; `graph.notes` says at each new node why.

    A small graph is gone over again until nothing changes, since one rewrite can make way for another.

    >>> g = Graph()
    >>> x = g.input("x")
    >>> g.outputs = [("f", g.ops.log(1.0 + g.ops.exp(x)))]
    >>> [node.op for node in stable(g).nodes]
    ['input', 'softplus']
    """
    new = _one_round(graph)
    for _ in range(ROUNDS - 1):
        if len(new.nodes) > SMALL or not new.notes:
            break
        again = _one_round(new)
        if [(n.op, n.attr, [a.id for a in n.args]) for n in again.nodes] == [
                (n.op, n.attr, [a.id for a in n.args]) for n in new.nodes]:
            break
        new = again
    return new


def _one_round(graph: Graph) -> Graph:
    new = Graph(source=graph.source, equal=list(graph.equal), remarks=dict(graph.remarks))
    for name, node in graph.inputs.items():
        new.input(name, node.dtype, node.shape)
    rewriter = Rewriter(new)
    nodes = graph.reachable()
    uses: dict[Node, int] = {}
    for node in nodes:
        for operand in node.args:
            uses[operand] = uses.get(operand, 0) + 1
    made: dict[Node, Node] = {}
    for node in nodes:
        args = [made[a] for a in node.args]
        found = None if node.is_reduction else rewriter.rewrite(node.op, args)
        image = new.rebuild(node, args) if found is None else found.node
        if found is not None:
            new.notes.setdefault(image, RULES[found.rule].note)
            rewriter.written.setdefault(image, (node.op, args))
        made[node] = image
        rewriter.uses[image] = rewriter.uses.get(image, 0) + uses.get(node, 0)
        follow(graph, node, new, image)
    new.outputs = [(name, made[node]) for name, node in graph.outputs]
    new.checks = [Check(made[c.bad], c.message, c.error) for c in graph.checks]
    used = len(new.nodes) == len(nodes) and not rewriter.written
    return new if used else copy_graph(new)                             # without what is not used


class Rewriter:
    """The rules at work on one growing graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.forms = Forms(graph)
        self.uses: dict[Node, int] = {}
        self._logarithms: dict[Node, Node | None] = {}
        self.written: dict[Node, tuple[str, Sequence[Node]]] = {}       # what a rule's result stands for
        self._flags: dict[str, list[bool]] = {kind: [] for kind in _KINDS}
        self._handlers: dict[str, Callable[[str, Sequence[Node]], Found | None]] = {
            "add": self._sum, "sub": self._sum, "mul": self._product, "div": self._product,
            "pow": self._power, "cosh": self._even, "cos": self._even, "log_cosh": self._even,
            "sqrt": lambda _, args: self._root(args[0]),
            "log": lambda _, args: self._log(args[0]), "log1p": lambda _, args: self._log1p(args[0]),
            "log2": self._log_to_base, "log10": self._log_to_base,
            "exp": lambda _, args: self._exp(args[0]), "logaddexp": lambda _, args: self._logaddexp(args),
            "select": lambda _, args: self._select(*args),
        }

    def rewrite(self, op: str, args: Sequence[Node]) -> Found | None:
        """What op(*args) becomes, or None."""
        handler = self._handlers.get(op)
        if handler is None or not any(a.dtype.startswith("float") for a in args):
            return None
        return handler(op, args)

    def _flagged(self, kind: str, node: Node) -> bool:
        """Whether a sum has a logarithmic term, or a product a factor that product rules look for."""
        flags, nodes = self._flags[kind], self.graph.nodes
        starts, through = _KINDS[kind]
        while len(flags) <= node.id:
            other = nodes[len(flags)]
            inside = other.op in through and not other.is_reduction
            flags.append(other.op in starts or (inside and any(flags[a.id] for a in other.args)))
        return flags[node.id]

    # -- one method for each operation --------------------------------------------------------

    def _sum(self, op: str, args: Sequence[Node]) -> Found | None:
        forms = self.forms
        found: Found | None = None
        if forms.rich(args[0]) or forms.rich(args[1]):
            form = forms.sum(op, args, False)
            found = None if form is None else self._recognised_sum(op, args, form)
            if found is None:
                found = self._partners(op, args)
        if found is None and (self._flagged("log", args[0]) or self._flagged("log", args[1])):
            found = log_of_sum_of_logs(forms, op, args, any(a in self.written for a in args))
        if found is None and any(a.op in _DIFFERENCES for a in _bare(args)):
            form = forms.sum(op, args, False)
            found = None if form is None else structure.complement(forms, form)
            found = found or structure.power_less_one(forms, op, args)
            found = found or structure.difference(forms, op, args) or structure.fractions(forms, op, args)
        return found

    def _recognised_sum(self, op: str, args: Sequence[Node], form: Ratio) -> Found | None:
        found = structure.paired(self.forms, form) or recognise(self.forms, form)
        if found is not None:
            return found
        _, vanished = add(self.forms.form(args[0]), self.forms.form(args[1]), 1.0 if op == "add" else -1.0)
        if vanished and form.bottom == UNIT and len(form.top) == 1:
            ((expo, factors), c), = form.top.items()
            if expo and not factors:
                node = self.graph.apply("exp", self.forms.spell(expo))
                return Found(self.forms.product(c, [node]), "exp", 1)
        return None

    def _partners(self, op: str, args: Sequence[Node]) -> Found | None:
        """Two terms of a longer sum that belong together: b + 1/2 + tanh(u)/2."""
        forms = self.forms
        terms: list[tuple[Node, float]] = []
        for node, sign in ((args[0], 1.0), (args[1], 1.0 if op == "add" else -1.0)):
            single = node.op in ("add", "sub") and self.uses.get(node, 0) <= 1
            terms += [(n, s * sign) for n, s in summands(node.op, node.args, 6)] if single else [(node, sign)]
        if not 3 <= len(terms) <= 8:
            return None
        plain = [(i, f) for i, (n, _) in enumerate(terms)
                 if not forms.rich(n) and len((f := forms.form(n)).top) == len(f.bottom) == 1]
        functions = [(i, forms.form(n)) for i, (n, _) in enumerate(terms) if forms.rich(n)] if plain else []
        if not functions or not plain or takes_back(terms):
            return None
        for i, first in functions:
            over = content(first.top)[0]
            for j, second in plain:
                if second.bottom != UNIT or second.top.keys() != {((), over[1])}:
                    continue
                form, _ = add(first, second, terms[i][1] * terms[j][1])
                found = None if form is None else structure.paired(forms, form) or recognise(forms, form)
                if found is not None:
                    total: Node | None = None
                    for k, (node, sign) in enumerate(terms):
                        if k == i:
                            total = forms.plus(total, found.node, terms[i][1] < 0)
                        elif k != j:
                            total = forms.plus(total, node, sign < 0)
                    assert total is not None
                    return found._replace(node=total)
        return None

    def _product(self, op: str, args: Sequence[Node]) -> Found | None:
        forms = self.forms
        found: Found | None = None
        if op == "div" and args[1].op == "add" and forms.rich(args[0]):
            total, above = self._long_sum(args[1]), forms.form(args[0])
            if total is not None and above.bottom == UNIT and len(above.top) == 1:
                found = softmax_over(forms, above, total)
        if found is None and op == "div" and forms.rich(args[0]) and forms.rich(args[1]):
            found = shifts.weighted_mean(forms, args)
        if found is None and forms.rich(args[1]) and (op == "div" or forms.rich(args[0])):
            form = forms.of(op, args)
            if form is not None:
                found = self._recognised_product(op, args, form)
        if found is None and any(self._flagged(kind, a) for a in args for kind in ("product", "log")):
            found = quotients.product(forms, op, args)
        if found is None and op == "div" and args[0] in self.written and args[0].op == "div":
            found = self._cancelled(args[0], args[1])
        if found is None and op == "div" and any(self._flagged("removable", a) for a in args):
            found = removable(forms, args)
        return found

    def _cancelled(self, quotient: Node, divisor: Node) -> Found | None:
        """(k u / v) / u = k / v where a rule has made the quotient: (sqrt(1 + u) - 1)/u at 0."""
        above, below = self.forms.linear(quotient.args[0]), self.forms.linear(divisor)
        k = multiple(above, below) if above and below and divisor.op != "const" else None
        return Found(k / quotient.args[1], "root_difference", 1) if k else None

    def _recognised_product(self, op: str, args: Sequence[Node], form: Ratio) -> Found | None:
        forms = self.forms
        if op == "div":
            found = self._planck(form) if forms.rich(args[0]) else None
            found = found or removable(forms, args)
            if found is not None:
                return found
        below = forms.form(args[1])
        factors = [n for a in args for n in _factors(a)]
        count = sum(1 for n in factors if forms.rich(n))
        if op == "div" and len(below.top) == len(below.bottom) == 1:
            return self._over_logsumexp(args, form) or shifts.merged(forms, form, factors)
        found = recognise(forms, form)
        if op == "div":
            grows = any(n.op not in _BOUNDED for n in _factors(args[1]) if forms.rich(n))
            return found or (shifts.ratio(forms, form) if grows else None)
        if found is not None and found.functions < count:
            return found
        return shifts.merged(forms, form, factors)

    def _planck(self, form: Ratio) -> Found | None:
        """u exp(u)/(exp(u) - 1) as u/(1 - exp(-u)), u**2 exp(u)/(exp(u) - 1)**2 as (u/2)**2/sinh(u/2)**2."""
        forms, found = self.forms, shape(form)
        if found is None or found.plus or found.minus not in (-1, -2) or found.rest[0]:
            return None
        middle = multiple(linear_add(found.expo, found.w, 0.5 * found.minus), found.w)
        w, c, rest = found.w, found.coefficient, found.rest[1]
        whole: list[Node] = []                                          # (E/T)**2 as factors E/T
        if len(w) == 1 and w[0][0] and all(abs(p) == 1.0 for _, p in w[0][0]):
            powers = dict(rest)
            count = min(int(powers.get(a, 0.0) * p) for a, p in w[0][0])
            if count >= -found.minus:
                rest = factors_multiply(rest, w[0][0], -float(count))
                whole = [forms.spell(((w[0][0], 1.0),))] * count
        above = forms.product(1.0, [*whole, *([forms.spell_factors(1.0, rest)] if rest or not whole else [])])
        if found.minus == -2 and middle == 0.0:
            root = self.graph.apply("sinh", forms.spell(linear_scale(w, 0.5)))
            return removable(forms, (forms.product(0.25 * c, [above]), root * root))
        if found.minus == -1 and middle is not None and abs(middle) == 0.5:
            below = self.graph.apply("expm1", forms.spell(linear_scale(w, -2.0 * middle)))
            return removable(forms, (forms.product(2.0 * middle * c, [above]), below))
        return None

    def _over_logsumexp(self, args: Sequence[Node], form: Ratio) -> Found | None:
        """exp(a) / sum_i exp(b_i) = exp(a - logsumexp_i b_i)."""
        forms = self.forms
        (mono, _), = forms.form(args[1]).top.items()
        if not any(a < 0 and forms.atoms[-a - 1].name == "logsumexp" for f, _ in mono[0] for a, _ in f):
            return None
        if len(form.top) != 1 or form.bottom != UNIT or not forms.rich(args[0]):
            return None
        ((expo, factors), c), = form.top.items()
        node = self.graph.apply("exp", forms.spell(expo))
        above = tuple((a, p) for a, p in factors if p > 0)
        below = tuple((a, -p) for a, p in factors if p < 0)
        result = forms.product(c, [*([forms.spell_factors(1.0, above)] if above else []), node])
        if below:
            result = result / forms.spell_factors(1.0, below)
        return Found(result, "softmax", 1)

    def _power(self, op: str, args: Sequence[Node]) -> Found | None:
        base, exponent = args
        if exponent.op != "const":
            return None
        n = float(exponent.value)
        if base.op == "sqrt" and n in (3.0, 5.0):
            return Found(self.graph.apply("pow", base.args[0], 0.5 * n), "half_powers", 1)
        if abs(n) == 0.5:
            found = self._root_of_exponentials(base, n)
            if found is not None:
                return found
            found = structure.root(self.forms, base)
            rule = "half_power" if found is None else found.rule
            node = self.graph.apply("sqrt", base) if found is None else found.node
            return Found(node if n > 0 else 1.0 / node, rule, 1)
        if n < 0 and self.forms.rich(base):
            form = self.forms.of(op, args)
            below = self.forms.form(base)
            if form is not None and len(below.top) + len(below.bottom) > 2:
                return recognise(self.forms, form) or shifts.ratio(self.forms, form)
        return self._root_of_exponentials(base, n)

    def _root(self, base: Node) -> Found | None:
        return structure.root(self.forms, base) or self._root_of_exponentials(base, 0.5)

    def _root_of_exponentials(self, base: Node, n: float) -> Found | None:
        """(1 + exp(u))**n as exp(n softplus(u)), exp(u)**n as exp(n u)."""
        if not self.forms.rich(base) or (n == int(n) and abs(n) <= 4):
            return None
        form = self.forms.form(base)
        if form.bottom == UNIT and len(form.top) == 1:
            ((expo, factors), c), = form.top.items()
            node = None if factors or not expo or c != 1.0 else self.forms.spell(expo)
        else:
            found = log_of(self.forms, form)
            known = _POSITIVE if n == int(n) else (*_POSITIVE, "shift")     # a negative sum has whole powers
            node = found.node if found is not None and found.rule in known else None
        return None if node is None else Found(self.graph.apply("exp", n * node), "root_of_exponentials", 1)

    def _log(self, x: Node) -> Found | None:
        total = self._long_sum(x)
        if total is not None:
            return Found(total, "logaddexp", 1)
        if not self.forms.rich(x):
            return structure.logarithm(self.forms, x, self.written)
        if x.is_reduction and self.forms.form(x) == self.forms.atom(x):
            return shifts.log_of_weighted_sum(self.forms, x)
        return self._log_of(x) or structure.logarithm(self.forms, x, self.written)

    def _log_to_base(self, op: str, args: Sequence[Node]) -> Found | None:
        found = self._log(args[0])
        return None if found is None else found._replace(node=found.node * (1.0 / LOGS[op]))

    def _long_sum(self, x: Node) -> Node | None:
        """The logarithm of a sum of many exponentials, as a balanced tree of logaddexp."""
        if x.op != "add":
            return None
        if x not in self._logarithms:
            terms = summands(x.op, x.args, 4096)
            self._logarithms[x] = log_of_terms(self.forms, terms) if len(terms) > TERMS else None
        return self._logarithms[x]

    def _log_of(self, x: Node) -> Found | None:
        if x.op in ("mul", "div") and all(self.forms.rich(a) for a in x.args):
            left, right = (log_of(self.forms, self.forms.form(a)) for a in x.args)
            if left is not None and right is not None and not {"log1mexp", "shift"} & {left.rule, right.rule}:
                node = self.forms.plus(left.node, right.node, x.op == "div")
                return Found(node, left.rule, 2)
        return log_of(self.forms, self.forms.form(x))

    def _exp(self, x: Node) -> Found | None:
        """exp(-softplus(u)) as a sigmoid, exp(log(v)/2) as a root."""
        forms = self.forms
        linear = forms.linear(x) if self._flagged("log", x) else None
        if not linear:
            return None
        form = exp_of_logs(forms, linear)
        found = None if form is None else recognise(forms, form)
        if found is not None and found.rule != "softmax":               # that would be the same again
            return found
        if len(linear) != 1:
            return None
        (factors, c), = linear
        if len(factors) != 1 or factors[0][0] < 0 or factors[0][1] != 1.0 or abs(c) not in (0.5, 1.0):
            return None
        inner = self.graph.nodes[factors[0][0]]
        if inner.op not in ("log", "log1p"):
            return None
        v = inner.args[0] if inner.op == "log" else 1.0 + inner.args[0]
        if abs(c) == 1.0 and not structure.is_sum_of_squares(v):        # exp(log(v)) is NaN for a negative v
            return None
        if abs(c) == 0.5:
            root = structure.root(forms, v)
            v = self.graph.apply("sqrt", v) if root is None else root.node
        return Found(v if c > 0 else 1.0 / v, "exp_log", 1)

    def _log1p(self, x: Node) -> Found | None:
        if not self.forms.rich(x):
            return None
        form, _ = add(self.forms.form(x), Ratio({ONE: 1.0}, UNIT), 1.0)
        return None if form is None else log_of(self.forms, form)

    def _logaddexp(self, args: Sequence[Node]) -> Found | None:
        for one, other in (args, args[::-1]):
            if one.op == "const" and one.value == 0.0:
                return Found(self.graph.apply("softplus", other), "softplus", 1)
        return None

    def _select(self, condition: Node, a: Node, b: Node) -> Found | None:
        first = a.args[1] if a.op == "select" and a.args[0] is condition else a
        second = b.args[2] if b.op == "select" and b.args[0] is condition else b
        if first is a and second is b and a is not b:
            return None
        a, b = first, second
        return Found(a if a is b else self.graph.apply("select", condition, a, b), "same_branches", 1)

    def _even(self, op: str, args: Sequence[Node]) -> Found | None:
        return structure.even_argument(self.forms, op, args[0])



def _bare(args: Sequence[Node]) -> list[Node]:
    """The operands of a sum, each without a constant factor or a sign."""
    found = []
    for node in args:
        while node.op == "neg" or (node.op in ("mul", "div") and node.args[1].op == "const") or (
                node.op == "mul" and node.args[0].op == "const"):
            node = node.args[1] if node.op == "mul" and node.args[0].op == "const" else node.args[0]
        found.append(node)
    return found


def _factors(node: Node) -> list[Node]:
    """The factors of a product as written."""
    found: list[Node] = []
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if item.op in ("mul", "div", "neg") and len(found) + len(waiting) < MOST_FACTORS:
            waiting += item.args
        elif item.op == "pow" and item.args[1].op == "const" and abs(item.args[1].value) in (2, 3, 4):
            waiting += [item.args[0]] * int(abs(item.args[1].value))
        else:
            found.append(item)
    return found
