"""Stable rewrites that do not come from exponentials: roots, logarithms, quotients, differences.

Each function takes the operands of a node that is about to be made and gives a node that is equal to
it and keeps its digits, with the name of the rule, or None. The rules' reasons, their domains and the
examples that the tests check one by one stand in `stable`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradc.ir.graph import Node

from .patterns import (
    ONE,
    UNIT,
    Factors,
    Forms,
    Linear,
    Mono,
    Poly,
    Ratio,
    close,
    constant_part,
    factors_multiply,
    linear_add,
    linear_scale,
    mono_multiply,
    multiple,
    poly_add,
    poly_multiply,
    summands,
)
from .powers import Found, content

# -- sums -------------------------------------------------------------------------------------


def paired(forms: Forms, form: Ratio) -> Found | None:
    """c + c erf(u), c - c cos(u), c - c cos(u)**2 and the like, times any common factor."""
    if form.bottom != UNIT or len(form.top) > 2:
        return None
    over, top = content(form.top)
    if len({m[0] for m in top}) > 1:
        return None
    common = mono_multiply((next(iter(top))[0], ()), over)
    top = {((), m[1]): c for m, c in top.items()}
    if common[0]:
        return None
    if len(top) == 1:
        (atom, power), = common[1] if len(common[1]) == 1 else ((0, 0.0),)
        if atom < 0 and power == 1.0 and forms.atoms[-atom - 1].name == "erf":
            node = forms.product(next(iter(top.values())), [forms.spell_atom(atom)])
            return Found(node, "erf", 1)
        return None
    constant = top.pop(ONE, 0.0)
    (mono, d), = list(top.items())[:1]
    if not constant or len(top) > 1 or len(mono[1]) != 1 or not close(abs(constant), abs(d)):
        return None
    (atom, power), = mono[1]
    if atom >= 0:
        return None
    entry = forms.atoms[-atom - 1]
    same = constant * d > 0
    found = _pair(forms, entry.name, power, entry.argument, same)
    if found is None:
        return None
    factor, nodes, rule = found
    above = [forms.spell_factors(1.0, common[1])] if common[1] else []
    return Found(forms.product(constant * factor, [*above, *nodes]), rule, len(nodes))


def _pair(forms: Forms, name: str, power: float, argument: Linear,
          same: bool) -> tuple[float, list[Node], str] | None:
    o = forms.graph.ops
    if name == "erf" and power == 1.0:
        return 1.0, [o.erfc(forms.spell(linear_scale(argument, -1.0 if same else 1.0)))], "erfc"
    if name == "cos" and power == 1.0:
        half = forms.spell(linear_scale(argument, 0.5))
        node = o.cos(half) if same else o.sin(half)
        return 2.0, [node, node], "half_angle"
    if name in ("sin", "cos") and power == 2.0 and not same:
        u = forms.spell(argument)
        node = o.cos(u) if name == "sin" else o.sin(u)
        return 1.0, [node, node], "pythagoras"
    return None


def difference(forms: Forms, op: str, args: Sequence[Node]) -> Found | None:
    """sqrt(a) - sqrt(b), log(a) - log(b), 1/a - 1/b where a - b is one term: without the cancellation."""
    form = forms.sum(op, args, False)
    if form is None or form.bottom != UNIT or len(form.top) != 2:
        return None
    over, top = content(form.top)
    if len({m[0] for m in form.top}) > 1:
        return None
    ((m, c), (n, d)) = top.items()
    if c < d:
        (m, c), (n, d) = (n, d), (m, c)
    if c <= 0:
        return None
    left, right = _only(forms, m), _only(forms, n)
    if left is None and right is None:
        return None
    outer = mono_multiply((m[0], ()), over)
    if outer[0]:
        return None
    found = _roots(forms, left, right, m, n, c, d)
    if found is None and left is not None and right is not None and close(c, -d):
        found = _logarithms(forms, left, right)
        if found is not None:
            found = found._replace(node=forms.product(c, [found.node]))
    if found is None:
        return None
    if not outer[1]:
        return found
    return found._replace(node=_times(forms, outer[1], found.node))


def complement(forms: Forms, form: Ratio) -> Found | None:
    """1 - u/hypot(u, v) = v**2/(h (h + u)) where u is the longer side, else as it is."""
    if form.bottom != UNIT or len(form.top) != 2 or any(m[0] for m in form.top):
        return None
    over, top = content(form.top)
    c = top.pop(ONE, 0.0)
    (mono, d), = list(top.items())[:1]
    item = _only(forms, mono)
    if not c or len(top) > 1 or not close(abs(c), abs(d)) or item is None or item[0].op != "unit":
        return None
    o = forms.graph.ops
    u, v = item[0].args
    h = o.hypot(u, v)
    long = u if c * d < 0 else -u
    plain = 1.0 - item[0] if c * d < 0 else 1.0 + item[0]
    node = o.select(o.greater(long, o.abs(v)), v * v / (h * (h + long)), plain)
    outer = [forms.spell_factors(1.0, over[1])] if over[1] else []
    return Found(forms.product(c, [*outer, node]), "hypot_difference", 1)


def _times(forms: Forms, factors: Factors, node: Node) -> Node:
    """node times powers of atoms, with what is below as a division."""
    above = tuple((a, p) for a, p in factors if p > 0)
    below = tuple((a, -p) for a, p in factors if p < 0)
    result = forms.product(1.0, [forms.spell_factors(1.0, above), node]) if above else node
    return forms.graph.apply("div", result, forms.spell_factors(1.0, below)) if below else result


def _only(forms: Forms, mono: Mono) -> tuple[Node, float] | None:
    """The node and the power where a monomial is one node alone."""
    if len(mono[1]) != 1 or mono[1][0][0] < 0:
        return None
    return forms.graph.nodes[mono[1][0][0]], mono[1][0][1]


def _square(forms: Forms, item: tuple[Node, float] | None, mono: Mono, c: float) -> Poly | None:
    """The form of the square of c * mono where that is a root or a number."""
    if mono == ONE:
        return {ONE: c * c}
    if mono[0]:
        return None
    if item is None or item[1] != 1.0:
        return {((), factors_multiply((), mono[1], 2.0)): c * c}
    node = item[0]
    if node.op == "sqrt":
        inner = forms.form(node.args[0])
        return {m: c * c * v for m, v in inner.top.items()} if inner.bottom == UNIT else None
    total: Poly = {}
    for x in node.args if node.op == "hypot" else (node,):
        linear = forms.linear(x)
        if linear is None or len(linear) != 1:
            return None
        total, _ = poly_add(total, {((), factors_multiply((), linear[0][0], 2.0)): (c * linear[0][1]) ** 2})
    return total


Side = tuple["tuple[Node, float] | None", Mono, float]


def _difference_of_squares(forms: Forms, left: Side, right: Side) -> tuple[Mono, float] | None:
    """The difference of two squares where it is one term, a monomial and its number."""
    a, b = (_square(forms, *side) for side in (left, right))
    if a is None or b is None:
        return None
    top, vanished = poly_add(a, b, -1.0)
    if len(top) != 1 or not vanished:
        return None
    (mono, value), = top.items()
    return None if mono[0] else (mono, value)


def _roots(forms: Forms, left: tuple[Node, float] | None, right: tuple[Node, float] | None, m: Mono,
           n: Mono, c: float, d: float) -> Found | None:
    """c sqrt(a) - d sqrt(b) = (c c a - d d b) / (c sqrt(a) + d sqrt(b)) where the top is one term."""
    ops = [item[0].op if item is not None else "" for item in (left, right)]
    if not {"sqrt", "hypot"} & set(ops):
        return None
    if d >= 0:
        return _hypot_and_side(forms, left, right, m, n, c, d)
    found = _difference_of_squares(forms, (left, m, c), (right, n, d))
    if found is None:
        return None
    mono, value = found
    graph, o = forms.graph, forms.graph.ops
    first = forms.spell_factors(c, m[1]) if m != ONE else graph.const(c)
    second = forms.spell_factors(-d, n[1]) if n != ONE else graph.const(-d)
    plain = first - second
    quotient = forms.spell_factors(value, mono[1]) / (first + second) if mono != ONE \
        else value / (first + second)
    signed = [x for x, op in ((first, ops[0]), (second, ops[1])) if op not in ("sqrt", "hypot")]
    if not signed or (signed[0].op == "const" and "hypot" not in ops):
        return Found(quotient, "root_difference", 1)
    if "sqrt" in ops:
        return None
    if signed[0].op != "const":                                         # hypot(c, u) - u: u may be negative
        above = forms.spell_factors(value, mono[1]) if mono != ONE else graph.const(value)
        quotient = above / ((second if signed[0] is first else first) + o.abs(signed[0]))
        return Found(o.select(o.greater(signed[0], 0.0), quotient, plain), "hypot_difference", 1)
    root = left[0] if left is not None and ops[0] == "hypot" else right[0] if right is not None else None
    assert root is not None
    inner = [x for x in root.args if x.op != "const"]
    if len(inner) != 1:
        return None
    near = o.less(o.abs(inner[0]), abs(signed[0].value))
    return Found(o.select(near, quotient, plain), "hypot_difference", 1)


def _hypot_and_side(forms: Forms, left: tuple[Node, float] | None, right: tuple[Node, float] | None, m: Mono,
                    n: Mono, c: float, d: float) -> Found | None:
    """h + u = (h**2 - u**2)/(h - u) for a hypotenuse h and a negative u."""
    if left is None or left[0].op != "hypot":
        left, right, m, n, c, d = right, left, n, m, d, c
    if left is None or left[0].op != "hypot" or left[1] != 1.0 or n == ONE:
        return None
    found = _difference_of_squares(forms, (left, m, c), (right, n, d))
    if found is None:
        return None
    mono, value = found
    o = forms.graph.ops
    h, u = forms.spell_factors(c, m[1]), forms.spell_factors(d, n[1])
    above = forms.spell_factors(value, mono[1]) if mono != ONE else forms.graph.const(value)
    quotient = above / (h + o.abs(u))
    return Found(o.select(o.less(u, 0.0), quotient, h + u), "hypot_difference", 1)


def power_less_one(forms: Forms, op: str, args: Sequence[Node]) -> Found | None:
    """c (1 + v)**n - c = c expm1(n log1p(v)), which does not cancel at v = 0."""
    form = forms.sum(op, args, False)
    if form is None or form.bottom != UNIT or len(form.top) != 2 or any(m[0] for m in form.top):
        return None
    over, top = content(form.top)
    d = top.pop(ONE, 0.0)
    (mono, c), = list(top.items())[:1]
    item = _only(forms, mono)
    if not d or len(top) > 1 or not close(c, -d) or item is None:
        return None
    node, power = item
    if node.op == "sqrt":
        node, power = node.args[0], 0.5 * power
    elif node.op == "pow" and node.args[1].op == "const":
        node, power = node.args[0], power * float(node.args[1].value)
    exponent: Node | float = power
    if node.op == "pow" and power == 1.0:
        node, exponent = node.args
    elif power in (0.5, 1.0):                                           # a root's quotient has no logarithm
        return None
    rest = _without_one(forms, node) if node.op in ("add", "sub") else None
    if rest is None:
        return None
    value = _power_less_one(forms, node, rest, exponent)
    if value is None:
        return None
    outer = [forms.spell_factors(1.0, over[1])] if over[1] else []
    return Found(forms.product(c, [*outer, value]), "power_less_one", 1)


def _power_less_one(forms: Forms, base: Node, rest: Node, exponent: Node | float) -> Node | None:
    """base**n - 1 for base = 1 + rest: a polynomial for a small whole n, a logarithm only where it exists."""
    o = forms.graph.ops
    if isinstance(exponent, float) and exponent == round(exponent) and 1 <= abs(exponent) <= 8:
        n = round(abs(exponent))
        polynomial = forms.graph.const(1.0)                     # (b**n - 1)/(b - 1) = 1 + b + ... + b**(n - 1)
        for _ in range(1, n):
            polynomial = 1.0 + base * polynomial
        if exponent > 0:
            return rest * polynomial
        return -(rest * polynomial) / (base if n == 1 else o.pow(base, float(n)))
    near = o.expm1(exponent * o.log1p(rest))
    if isinstance(exponent, float) and exponent != round(exponent):     # both are NaN below -1
        return near
    return o.select(o.greater(rest, -0.5), near, o.pow(base, exponent) - 1.0)


def log_argument(forms: Forms, node: Node) -> Linear | None:
    """What a logarithm is taken of, as a linear form."""
    if node.op not in ("log", "log1p"):
        return None
    inner = forms.linear(node.args[0])
    return None if inner is None else linear_add(inner, (((), 1.0),)) if node.op == "log1p" else inner


def _logarithms(forms: Forms, left: tuple[Node, float], right: tuple[Node, float]) -> Found | None:
    if left[1] != 1.0 or right[1] != 1.0:
        return None
    a, b = log_argument(forms, left[0]), log_argument(forms, right[0])
    return None if a is None or b is None else log_of_quotient(forms, a, b)


def log_of_quotient(forms: Forms, a: Linear, b: Linear) -> Found | None:
    """log(a/b): 2 atanh where a = s + v and b = s - v, log1p where a - b is one term."""
    total, gap = linear_add(a, b), linear_add(a, b, -1.0)
    s, shared = constant_part(total), linear_scale(gap, 0.5)
    if not gap or constant_part(a) is not None or constant_part(b) is not None:
        return None
    if s is not None and s > 0 and () not in dict(shared):
        return Found(2.0 * forms.graph.apply("atanh", forms.spell(linear_scale(gap, 1.0 / s))), "atanh", 1)
    if len(gap) != 1 or len(a) + len(b) == 2:
        return None
    o = forms.graph.ops
    smaller, sign = (b, 1.0) if gap[0][1] > 0 else (a, -1.0)
    below = forms.spell(smaller)                                        # NaN where it has no logarithm
    node = o.select(o.less(below, 0.0), math.nan, o.log1p(forms.spell(linear_scale(gap, sign)) / below))
    return Found(forms.product(sign, [node]), "log_quotient", 1)


def fractions(forms: Forms, op: str, args: Sequence[Node]) -> Found | None:
    """a/d - b/d**2 and the like over one denominator, where the numerator cancels to one term."""
    form = forms.sum(op, args, False)
    if form is None or form.bottom != UNIT or not 2 <= len(form.top) <= 4 or any(m[0] for m in form.top):
        return None
    nodes = forms.graph.nodes
    lowest: dict[int, float] = {}
    for _, factors in form.top:
        for atom, power in factors:
            if power < 0:
                lowest[atom] = min(lowest.get(atom, 0.0), power)
    sums = [a for a in lowest if a >= 0 and nodes[a].op in ("add", "sub", "hypot", "sqrt")]
    if not 1 <= len(lowest) <= 3 or not sums:
        return None
    signs = {n.args[0].id: a for m in form.top for a, _ in m[1] if a >= 0 and (n := nodes[a]).op == "sign"}
    top: Poly = {}
    count = 0
    for (_, factors), c in form.top.items():
        powers = dict(factors)
        term: Poly | None = {((), tuple(f for f in factors if f[0] not in lowest)): c}
        for atom, low in sorted(lowest.items()):
            raised = _raised(forms, atom, powers.get(atom, 0.0) - low, signs)
            term = None if term is None or raised is None else poly_multiply(term, raised)
        if term is None:
            return None
        count += len(term)
        top, _ = poly_add(top, term)
    if len(top) != 1 or count < 3:
        return None
    ((_, factors), c), = top.items()
    below = forms.spell_factors(1.0, tuple((a, -p) for a, p in sorted(lowest.items())))
    return Found(forms.spell_factors(c, factors) / below, "fractions", 1)


def _raised(forms: Forms, atom: int, power: float, signs: dict[int, int]) -> Poly | None:
    """A power of a denominator, a sum or a root written out."""
    if power == 0.0:
        return UNIT
    node = forms.graph.nodes[atom] if atom >= 0 else None
    if power != round(power) or power > 4:
        return None
    base: Poly | None
    if node is not None and node.op in ("hypot", "sqrt"):
        if power % 2:
            return None
        base, power = _square(forms, (node, 1.0), ((), ((atom, 1.0),)), 1.0), power / 2
    elif node is not None and node.op in ("add", "sub"):
        base = {}
        for factors, c in forms.linear(node) or ():
            if len(factors) == 1 and factors[0][0] < 0:                 # |u| = sign(u) u
                entry = forms.atoms[-factors[0][0] - 1]
                single = len(entry.argument) == 1 and entry.argument[0][1] == 1.0
                only = entry.argument[0][0] if single else ()
                sign = signs.get(only[0][0]) if len(only) == 1 and only[0][1] == 1.0 else None
                if entry.name == "abs" and sign is not None:
                    factors = factors_multiply(only, ((sign, 1.0),))
            base[(), factors] = c
    else:
        return {((), ((atom, power),)): 1.0}
    result: Poly | None = UNIT
    for _ in range(round(power)):
        result = None if result is None or not base else poly_multiply(result, base)
    return result


# -- roots ------------------------------------------------------------------------------------


def root(forms: Forms, x: Node) -> Found | None:
    """sqrt(x) where x is a square or a sum of squares."""
    graph = forms.graph
    if _is_square(x, (2.0,)):
        return Found(graph.apply("abs", x.args[0]), "root_of_square", 1)
    form = forms.form(x)
    if form.bottom != UNIT or x.op in ("input", "read", "const"):
        return None
    even = all(c > 0 and not m[0] and all(p % 2 == 0 for _, p in m[1]) for m, c in form.top.items())
    if not even or len(form.top) > 2 or form.top.keys() == {ONE}:
        never_zero = form.top.get(ONE, 0.0) > 0.0
        return Found(graph.apply("root_of_squares", x), "norm", 1) if is_sum_of_squares(x) and not never_zero else None
    sides: list[Node] = []
    for (_, factors), c in sorted(form.top.items(), key=lambda item: item[0] != ONE):
        size = _exact_root(c)
        if not factors:
            sides.append(graph.const(size))
            continue
        half = tuple((a, p / 2) for a, p in factors)
        if len(form.top) == 1 and any(p % 2 for _, p in half):
            outside = tuple(f for f in half if f[1] % 2 == 0)
            inside = tuple(f for f in half if f[1] % 2)
            node = graph.apply("abs", forms.spell_factors(1.0, inside))
            nodes = [forms.spell_factors(1.0, outside), node] if outside else [node]
            sides.append(forms.product(size, nodes))
        else:
            sides.append(forms.spell_factors(size, half))
    if len(sides) == 1:
        return Found(sides[0], "root_of_square", 1)
    return Found(graph.apply("hypot", *sides), "hypot", 1)


def _exact_root(c: float) -> float:
    return math.sqrt(c)


def is_sum_of_squares(x: Node) -> bool:
    """Whether a node is a sum (also over axes) of squares with positive factors, more than a number."""
    waiting, steps, real = [x], 0, False
    while waiting:
        node = waiting.pop()
        steps += 1
        if steps > 4096:
            return False
        if node.is_reduction and node.op in ("sum", "mean"):
            waiting.append(node.args[0])
        elif node.op == "add":
            waiting += node.args
        elif node.op == "const" and node.dtype != "bool" and node.value >= 0:
            continue
        elif node.op in ("mul", "div") and (_positive(node.args[1]) or (
                node.op == "mul" and _positive(node.args[0]))):
            waiting.append(node.args[0] if _positive(node.args[1]) else node.args[1])
        elif node.op == "mul" and node.args[0] is not node.args[1] and any(map(_is_square, node.args)):
            waiting.append(node.args[1] if _is_square(node.args[0]) else node.args[0])
        elif _is_square(node):
            real = True
        else:
            return False
    return real


def _positive(node: Node) -> bool:
    return node.op == "dim" or (node.op == "const" and node.dtype != "bool" and node.value > 0) or (
        node.op == "real" and node.args[0].op == "dim")


def _is_square(node: Node, powers: tuple[float, ...] = (2.0, 4.0, 6.0)) -> bool:
    if node.op == "mul":
        return node.args[0] is node.args[1]
    return node.op == "pow" and node.args[1].op == "const" and node.args[1].value in powers


# -- logarithms -------------------------------------------------------------------------------


def logarithm(forms: Forms, x: Node, written: dict[Node, tuple[str, Sequence[Node]]]) -> Found | None:
    """log(x) as log1p, asinh, acosh, atanh, where x has no exponentials.

    `written` gives for a node that a rule has made the operation and the operands it was made from.
    """
    graph, o = forms.graph, forms.graph.ops
    if x in written and written[x][0] in ("add", "sub"):
        form = forms.sum(*written[x], False)
        return None if form is None or form.bottom != UNIT else _area(forms, form)
    if x.op == "hypot":
        for one, u in (x.args, x.args[::-1]):
            if one.op == "const" and one.value == 1.0:
                return Found(0.5 * o.log1p(u * u), "log_hypot", 1)
    if x.op == "sqrt":
        inner = logarithm(forms, x.args[0], written)
        return None if inner is None else inner._replace(node=0.5 * inner.node)
    if x.op == "cos":
        u = x.args[0]
        near = 0.5 * o.log1p(-(o.sin(u) * o.sin(u)))
        return Found(o.select(o.greater(x, 0.7), near, o.log(x)), "log_cos", 1)
    if x.op not in ("add", "sub", "div", "mul"):
        return None
    form = forms.form(x)
    if form.bottom != UNIT or any(m[0] for m in form.top):
        return None
    if len(form.top) == 1:
        ((_, factors), c), = form.top.items()
        if c == 1.0 and sorted(p for _, p in factors) == [-1.0, 1.0] and all(a >= 0 for a, _ in factors):
            a, b = sorted(factors, key=lambda f: -f[1])
            top, bottom = (forms.linear(graph.nodes[atom]) for atom, _ in (a, b))
            return None if top is None or bottom is None else log_of_quotient(forms, top, bottom)
        return None
    if close(form.top.get(ONE, 0.0), 1.0, 2.0):
        rest = _without_one(forms, x)
        return None if rest is None else Found(o.log1p(rest), "log1p", 1)
    return _area(forms, form)


def _without_one(forms: Forms, x: Node) -> Node | None:
    """x - 1 for a sum that has the term 1."""
    terms = summands(x.op, x.args)
    ones = [i for i, (n, s) in enumerate(terms) if n.op == "const" and close(s * n.value, 1.0, 2.0)]
    if len(ones) != 1 or len(terms) < 2:
        return None
    total: Node | None = None
    for i, (node, sign) in enumerate(terms):
        if i != ones[0]:
            total = forms.plus(total, node, sign < 0)
    return total


def _area(forms: Forms, form: Ratio) -> Found | None:
    """log(u + sqrt(u**2 + c**2)) = log(c) + asinh(u/c); log(u + sqrt(u**2 - 1)) = acosh(u)."""
    o, nodes = forms.graph.ops, forms.graph.nodes
    for mono, c in form.top.items():
        item = _only(forms, mono)
        if item is None or item[1] != 1.0 or c != 1.0 or item[0].op not in ("hypot", "sqrt"):
            continue
        root_node = nodes[item[0].id]
        rest: Linear = tuple(sorted((m[1], forms.same(v)) for m, v in form.top.items() if m != mono))
        if root_node.op == "hypot":
            for size, u in (root_node.args, root_node.args[::-1]):
                linear = forms.linear(u)
                k = multiple(rest, linear) if linear else None
                if size.op == "const" and size.value > 0 and k in (1.0, -1.0):
                    ratio = forms.spell(linear_scale(rest, 1.0 / size.value))
                    node = o.asinh(ratio)
                    return Found(node if size.value == 1.0 else node + math.log(size.value), "asinh", 1)
        else:
            square = forms.form(root_node.args[0])
            if len(rest) == 1 and square.bottom == UNIT and square.top == {
                    ONE: -1.0, ((), factors_multiply((), rest[0][0], 2.0)): rest[0][1] ** 2}:
                return Found(o.acosh(forms.spell(rest)), "acosh", 1)
    return None


def even_argument(forms: Forms, op: str, x: Node) -> Found | None:
    """f(abs(u)) = f(u) for an even f."""
    return Found(forms.graph.apply(op, x.args[0]), "even", 1) if x.op == "abs" else None

