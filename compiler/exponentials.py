"""Ratios of exponentials recognised as one function that keeps its digits, and their logarithms.

With z = exp(w) a form is c exp(e) (1 + z)**a (1 - z)**b, which is one of the sigmoid and hyperbolic
functions at w or w/2 whatever the spelling was: Abramowitz and Stegun, "Handbook of Mathematical
Functions" (1964), 4.5. A sum of positive exponentials has a logarithm that cannot overflow. Here is
what such forms are equal to; where a rewrite is worth making is decided in `stable`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gradc.ir.graph import Node

from .patterns import (
    EPS,
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
    linear_add,
    linear_scale,
    mono_multiply,
    multiple,
    poly_multiply,
    summands,
)

LN2 = 0.6931471805599453


class Found(NamedTuple):
    """What a form is equal to: the node, the rule's name, how many functions the node multiplies."""

    node: Node
    rule: str
    functions: int


class Shape(NamedTuple):
    """c * rest * exp(expo) * (1 + z)**plus * (1 - z)**minus with z = exp(w)."""

    coefficient: float
    rest: Mono
    expo: Linear
    w: Linear
    plus: int
    minus: int


def content(poly: Poly) -> tuple[Mono, Poly]:
    """The common factors of all terms (atoms to the power that all have), and what is left."""
    monos = list(poly)
    common: dict[int, float] = dict(monos[0][1])
    for _, factors in monos[1:]:
        powers = dict(factors)
        for atom, power in common.items():
            other = powers.get(atom, 0.0)
            common[atom] = 0.0 if power * other <= 0 else min(power, other, key=abs)
    kept = tuple(sorted((a, p) for a, p in common.items() if p))
    mono: Mono = ((), kept)
    if not kept:
        return mono, poly
    return mono, {mono_multiply(m, mono, -1.0): c for m, c in poly.items()}


def lattice(polys: Sequence[Poly]) -> Linear | None:
    """The w of which all differences of exponents inside each polynomial are whole multiples."""
    differences = []
    for poly in polys:
        first = next(iter(poly))[0]
        differences += [linear_add(m[0], first, -1.0) for m in list(poly)[1:]]
    if not differences or not all(differences):
        return None
    base = differences[0]
    ratios = [multiple(d, base) for d in differences]
    if any(r is None for r in ratios):
        return None
    for divisor in (1.0, 2.0, 3.0, 4.0):
        smallest = min(abs(r) for r in ratios if r is not None) / divisor
        if all(r is not None and close(r / smallest, round(r / smallest), 64) for r in ratios):
            w = linear_scale(base, smallest)
            return w if w[-1][1] > 0 else linear_scale(w, -1.0)
    return None


def in_powers(poly: Poly, w: Linear) -> tuple[Linear, list[float]] | None:
    """poly = exp(e) * sum of p[j] z**j, as (e, p)."""
    first = next(iter(poly))[0]
    steps: dict[int, float] = {}
    for (expo, factors), c in poly.items():
        k = multiple(linear_add(expo, first, -1.0), w)
        if factors or k is None or not close(k, round(k), 64):
            return None
        steps[round(k)] = c
    low, high = min(steps), max(steps)
    if high - low > 6:
        return None
    return linear_add(first, w, float(low)), [steps.get(low + j, 0.0) for j in range(high - low + 1)]


def split_roots(p: list[float]) -> tuple[float, int, int] | None:
    """c, a, b with p = c (1 + z)**a (1 - z)**b, or None."""
    powers = [0, 0]
    tolerance = 32 * EPS * max(map(abs, p))
    for which, sign in ((0, 1.0), (1, -1.0)):
        while len(p) > 1:
            quotient: list[float] = []
            carry = 0.0
            for coefficient in p[:-1]:
                carry = coefficient - sign * carry
                quotient.append(carry)
            if abs(p[-1] - sign * carry) > tolerance:
                break
            p, powers[which] = quotient, powers[which] + 1
    return (p[0], powers[0], powers[1]) if len(p) == 1 else None


def shape(form: Ratio) -> Shape | None:
    """The form as a product of powers of 1 + z and 1 - z, None where it is none."""
    over, top = content(form.top)
    under, bottom = content(form.bottom)
    rest = mono_multiply(over, under, -1.0)
    w = lattice([top, bottom])
    if w is None:
        return None
    above, below = in_powers(top, w), in_powers(bottom, w)
    if above is None or below is None:
        return None
    (e, p), (f, q) = above, below
    expo = linear_add(e, f, -1.0)
    if len(q) == 2 and q[0] * q[1] > 0 and not close(q[0], q[1]):      # 1 + s z = 1 + exp(w + log s)
        s = q[1] / q[0]
        p = [c / s**j for j, c in enumerate(p)]
        q = [q[0], q[0]]
        k = multiple(expo, w)
        if k is None:
            return None
        w = linear_add(w, (((), math.log(s)),))
        expo = linear_scale(w, k)
        p = [c / s**k for c in p]
    numerator, denominator = split_roots(p), split_roots(q)
    if numerator is None or denominator is None:
        return None
    c, a, b = numerator
    d, a2, b2 = denominator
    return Shape(c / d, rest, expo, w, a - a2, b - b2)


def recognise(forms: Forms, form: Ratio) -> Found | None:
    """The function of w, or of w/2, that a form is equal to."""
    even = without_abs(forms, form)
    found = shape(even)
    if found is None:
        return _softmax(forms, even)
    c, rest, expo, w, a, b = found
    expo, apart = _separate(expo, w)
    rest = (linear_add(rest[0], apart), rest[1])
    middle = multiple(linear_add(expo, w, 0.5 * (a + b)), w)           # exp(middle * w), times cosh, sinh
    if middle is None:
        if (a, b) != (-1, 0):
            return None
        exponent = linear_add(expo, _softplus_linear(forms, w), -1.0)
        return Found(_product(forms, c, rest, [forms.graph.apply("exp", forms.spell(exponent))]), "softmax", 1)
    return _named(forms, c, rest, w, a, b, middle)


def _separate(expo: Linear, w: Linear) -> tuple[Linear, Linear]:
    """An exponent as a multiple of w and a part that has no atom with w in common."""
    known = {f for f, _ in w}
    atoms = {a for f in known for a, _ in f}
    own = tuple(t for t in expo if t[0] in known)
    other = tuple(t for t in expo if t[0] not in known)
    if not other or any(a in atoms for f, _ in other for a, _ in f) or multiple(own, w) is None:
        return expo, ()
    if len(other) == 1 and not other[0][0]:                             # a number stays where it is
        return expo, ()
    return own, other


def _softplus_linear(forms: Forms, w: Linear) -> Linear:
    node = forms.graph.apply("softplus", forms.spell(w))
    return ((((node.id, 1.0),), 1.0),)


def _product(forms: Forms, c: float, rest: Mono, functions: Sequence[Node]) -> Node:
    """c * rest * functions; the division by what is below comes last."""
    above = tuple((x, p) for x, p in rest[1] if p > 0)
    nodes = [forms.spell_factors(1.0, above)] if above else []
    if rest[0]:
        nodes.append(forms.graph.apply("exp", forms.spell(rest[0])))
    result = forms.product(c, [*nodes, *functions])
    for atom, power in rest[1]:
        if power < 0:
            node = forms.spell_atom(atom)
            result = forms.graph.apply("div", result, node if power == -1.0 else forms.graph.apply("pow", node, -power))
    return result


def _named(forms: Forms, c: float, rest: Mono, w: Linear, a: int, b: int, middle: float) -> Found | None:
    """c rest exp(middle w) (2 cosh(w/2))**a (-2 sinh(w/2))**b by name."""
    o = forms.graph.ops
    functions: list[Node] = []
    rule = ""
    half = linear_scale(w, 0.5)
    if a < 0 < b:                                                       # -tanh(w/2) each
        turns = min(b, -a)
        functions += [o.tanh(forms.spell(half))] * turns
        c, a, b, rule = c * (-1.0) ** turns, a + turns, b - turns, "tanh"
    elif b < 0 < a:
        turns = min(a, -b)
        functions += [o.coth(forms.spell(half))] * turns
        c, a, b, rule = c * (-1.0) ** turns, a - turns, b + turns, "coth"
    if a < 0 and b == 0:
        tail = _logistic(forms, w, -a, middle)
        if tail is None:
            return None
        extra, more, name = tail
        if more and more[0].op == "sigmoid_slope" and close(c, 4.0) and len(more) == 1:
            more, c, name = [o.tanh_slope(forms.spell(half))], 1.0, "tanh_slope"
        return Found(_product(forms, c * extra, rest, [*functions, *more]), rule or name, len(functions + more))
    if a == 0 and b == 0:
        if middle or not functions:
            return None
        return Found(_product(forms, c, rest, functions), rule, len(functions))
    if a == 0 and b < 0 and middle == 0.0:
        functions += [o.csch(forms.spell(half))] * -b
        return Found(_product(forms, c * (-0.5) ** -b, rest, functions), "csch", len(functions))
    if (a, b) == (0, -1) and abs(middle) == 0.5:                        # 1/(1 - z), z/(1 - z)
        u = forms.spell(linear_scale(w, -2.0 * middle))
        node = o.select(o.greater(u, 0.0), -(o.exp(-u) / o.expm1(-u)), 1.0 / o.expm1(u))
        return Found(_product(forms, 2.0 * middle * c, rest, [*functions, node]), "bose", 1 + len(functions))
    if a >= 0 and b >= 0 and middle == 0.0 and a + b <= 2:
        functions += [o.sinh(forms.spell(half))] * b + [o.cosh(forms.spell(half))] * a
        return Found(_product(forms, c * 2.0**a * (-2.0) ** b, rest, functions), "sinh" if b else "cosh",
                     len(functions))
    if (a, b) == (0, 1):                                                # exp(k w) (1 - exp(w))
        k = middle - 0.5
        if close(k, round(k), 64):
            near, sign = (w, -1.0) if k >= 0 else (linear_scale(w, -1.0), 1.0)
            power = round(k) if k >= 0 else -round(k) - 1
            outer = [o.exp(forms.spell(linear_scale(near, float(power))))] if power else []
            return Found(_product(forms, sign * c, rest, [*outer, o.expm1(forms.spell(near))]), "expm1",
                         1 + len(outer))
    return None


def _logistic(forms: Forms, w: Linear, n: int, middle: float) -> tuple[float, list[Node], str] | None:
    """exp(middle w) / (2 cosh(w/2))**n through sigmoid(w) and sigmoid(-w): (factor, functions, rule)."""
    o = forms.graph.ops
    twice = 2 * middle
    if not close(twice, round(twice), 64):
        return None
    k = round(twice)                                                    # sigmoid(+-w) counts +-1
    down = linear_scale(w, -1.0)
    if (n - k) % 2:                                                     # an odd half power is left: sech
        if k or n % 2 == 0:
            return None
        slopes = [o.sigmoid_slope(forms.spell(w))] * (n // 2)
        return 0.5, [*slopes, o.sech(forms.spell(linear_scale(w, 0.5)))], "sech"
    outer: list[Node] = []
    if abs(k) > n:                                                      # exp(j w) beyond sigmoid**n
        if n > 1:
            return None
        power = (abs(k) - n) // 2
        outer = [o.exp(forms.spell(linear_scale(w, float(math.copysign(power, k)))))]
        k = int(math.copysign(n, k))
    ups, downs = (n + k) // 2, (n - k) // 2
    pairs = min(ups, downs)
    functions = [o.sigmoid_slope(forms.spell(w))] * pairs
    functions += [o.sigmoid(forms.spell(w))] * (ups - pairs)
    functions += [o.sigmoid(forms.spell(down))] * (downs - pairs)
    return 1.0, outer + functions, "sigmoid_slope" if pairs else "sigmoid"


def _softmax(forms: Forms, form: Ratio) -> Found | None:
    """exp(a) / (exp(b) + exp(c) + ...) as exp(a - log of the sum), which no term can overflow."""
    if len(form.top) != 1 or len(form.bottom) < 2:
        return None
    (mono, c), = form.top.items()
    over, bottom = content(form.bottom)
    if not mono[0] or any(value <= 0 for value in bottom.values()) or any(m[1] for m in bottom):
        return None
    o = forms.graph.ops
    if mono[0] in {m[0] for m in bottom}:                               # exp(a) is one of the terms
        others = {m: v for m, v in bottom.items() if m[0] != mono[0]}
        remaining = log_of_sum(forms, others)
        if remaining is None:
            return None
        value = bottom[mono[0], ()]
        a = linear_add(mono[0], (((), math.log(value)),)) if value != 1.0 else mono[0]
        rest = mono_multiply(((), mono[1]), over, -1.0)
        return Found(_product(forms, c / value, rest, [o.sigmoid(forms.spell(a) - remaining)]), "softmax", 1)
    logarithm = log_of_sum(forms, bottom)
    if logarithm is None:
        return None
    exponent = linear_add(mono[0], ((((logarithm.id, 1.0),), 1.0),), -1.0)
    node = forms.graph.apply("exp", forms.spell(exponent))
    rest = mono_multiply(((), mono[1]), over, -1.0)
    return Found(_product(forms, c, rest, [node]), "softmax", 1)


# -- logarithms -------------------------------------------------------------------------------


def without_abs(forms: Forms, form: Ratio) -> Ratio:
    """The form with |u| replaced by u wherever it is an even function of u."""
    top, bottom = form
    for atom in sorted({a for poly in form for m in poly for f, _ in m[0] for a, _ in f if a < 0}):
        entry = forms.atoms[-atom - 1]
        if entry.name != "abs":
            continue
        changed = [_replace(poly, atom, entry.argument, 1.0) for poly in (top, bottom)]
        mirrored = [_replace(poly, atom, entry.argument, -1.0) for poly in (top, bottom)]
        if changed[0] is None or changed[1] is None or None in mirrored:
            continue
        if _same_poly(changed[0], mirrored[0]) and _same_poly(changed[1], mirrored[1]):
            if not changed[0] or not changed[1]:
                continue
            top, bottom = changed[0], changed[1]
    return Ratio(top, bottom)


def _same_poly(a: Poly, b: Poly | None) -> bool:
    return b is not None and a.keys() == b.keys() and all(close(a[m], b[m]) for m in a)


def _replace(poly: Poly, atom: int, value: Linear, sign: float) -> Poly | None:
    """The polynomial with the atom in its exponents replaced by sign * value."""
    total: Poly = {}
    key = ((atom, 1.0),)
    for (expo, factors), c in poly.items():
        power = dict(expo).get(key, 0.0)
        if any(a == atom for a, _ in factors) or any(f != key and any(a == atom for a, _ in f) for f, _ in expo):
            return None
        kept = tuple(t for t in expo if t[0] != key)
        mono = (linear_add(kept, value, sign * power) if power else kept, factors)
        total[mono] = total.get(mono, 0.0) + c
    return total


def log_of(forms: Forms, form: Ratio) -> Found | None:
    """log of a ratio of positive sums of exponentials, None where it is no such ratio."""
    top, bottom = without_abs(forms, form)
    if len(bottom) == 1:
        return _log_of_powers(forms, Ratio(top, bottom)) or _log_of_poly(forms, top, 1.0)
    if len(top) == 1:
        (mono, c), = top.items()
        return _log_of_powers(forms, Ratio(top, bottom)) or _log_of_poly(forms, {mono_multiply(m, mono, -1.0): d / c for m, d in bottom.items()}, -1.0)
    found = _log_of_powers(forms, Ratio(top, bottom))
    if found is not None:
        return found
    for poly in (top, bottom):
        if len(poly) == 2 and min(poly.values()) < 0 < max(poly.values()):    # 1 - exp(-v) over 1 + exp(-v)
            first = max(poly, key=lambda m: poly[m])
            top = {mono_multiply(m, first, -1.0): c for m, c in top.items()}
            bottom = {mono_multiply(m, first, -1.0): c for m, c in bottom.items()}
            break
    above, below = _log_of_poly(forms, top, 1.0), _log_of_poly(forms, bottom, 1.0)
    if above is None or below is None:
        return None
    return Found(forms.graph.apply("sub", above.node, below.node), above.rule, 2)


def _log_of_poly(forms: Forms, poly: Poly, sign: float) -> Found | None:
    """sign * log(poly)."""
    o = forms.graph.ops
    if len(poly) == 1:
        return _log_of_mono(forms, *next(iter(poly.items())), sign)
    over, poly = content(poly)
    if any(m[1] for m in poly) or over != ONE:
        return None
    if len(poly) == 2 and min(poly.values()) < 0 < max(poly.values()):
        return _log_of_difference(forms, poly, sign)
    if min(poly.values()) <= 0:
        return None
    if len(poly) > 2:
        node = log_of_sum(forms, poly)
        return None if node is None else Found(forms.product(sign, [node]), "logaddexp", 1)
    ((a, _), c), ((b, _), d) = sorted(poly.items(), key=lambda item: len(item[0][0]))
    if close(c, d):
        if linear_add(a, b) == ():                                      # c (exp(u) + exp(-u))
            u = a if a[-1][1] > 0 else b
            return Found(_with_constant(forms, sign, o.log_cosh(forms.spell(u)), math.log(2 * c)), "log_cosh", 1)
        if close(c, 0.5) and not a:                                     # the mean of 1 and exp(b)
            half = forms.spell(linear_scale(b, 0.5))
            return Found(forms.product(sign, [half + o.log_cosh(half)]), "log_cosh", 2)
        if not a:
            return Found(_with_constant(forms, sign, o.softplus(forms.spell(b)), math.log(c)), "softplus", 1)
    node = log_of_sum(forms, poly)
    return None if node is None else Found(forms.product(sign, [node]), "logaddexp", 1)


def _log_of_powers(forms: Forms, form: Ratio) -> Found | None:
    """log(c exp(middle w) (2 cosh(w/2))**a) for |a| > 1: log_cosh, or softplus where it is sigmoid**n."""
    found = shape(form)
    if found is None or found.rest != ONE or found.minus or abs(found.plus) < 2 or found.coefficient <= 0:
        return None
    a, w, o = found.plus, found.w, forms.graph.ops
    middle = multiple(linear_add(found.expo, w, 0.5 * a), w)
    if middle == 0.0:
        node = forms.product(float(a), [o.log_cosh(forms.spell(linear_scale(w, 0.5)))])
        return Found(_with_constant(forms, 1.0, node, math.log(found.coefficient) + a * LN2), "log_cosh", 1)
    if middle is not None and close(abs(middle), 0.5 * abs(a)):
        sign = math.copysign(1.0, middle * a)
        node = forms.product(float(a), [o.softplus(forms.spell(linear_scale(w, sign)))])
        return Found(_with_constant(forms, 1.0, node, math.log(found.coefficient)), "softplus", 1)
    return None


def _with_constant(forms: Forms, sign: float, node: Node, constant: float) -> Node:
    result = forms.product(sign, [node])
    constant *= sign
    if abs(constant) < 4 * EPS:
        return result
    return forms.plus(result, forms.graph.const(abs(constant)), constant < 0)


def log_of_sum(forms: Forms, poly: Poly) -> Node | None:
    """log of a sum of positive multiples of exponentials, two at a time."""
    total: Node | None = None
    ordered = sorted(poly.items(), key=lambda item: (not item[0][0], item[0]))
    paired: set[Linear] = set()
    for (expo, factors), c in ordered:
        if factors or c <= 0:
            return None
        if expo in paired:
            continue
        opposite = linear_scale(expo, -1.0)
        if len(poly) > 2 and expo and close(poly.get((opposite, ()), 0.0), c):    # 2 c cosh(expo)
            paired.add(opposite)
            u = expo if expo[-1][1] > 0 else opposite
            node = _with_constant(forms, 1.0, forms.graph.ops.log_cosh(forms.spell(u)), math.log(2 * c))
            total = node if total is None else forms.graph.apply("logaddexp", total, node)
            continue
        constant = 0.0 if close(c, 1.0) else math.log(c)
        exponent = linear_add(expo, (((), constant),)) if constant else expo
        node = forms.spell(exponent)
        total = node if total is None else forms.graph.apply("logaddexp", total, node)
    return total


def _log_of_mono(forms: Forms, mono: Mono, c: float, sign: float) -> Found | None:
    """log(c exp(e) n**k) where e has a logsumexp and the n are dimensions."""
    expo, factors = mono
    nodes = forms.graph.nodes
    if c <= 0 or any(a < 0 or nodes[a].op not in ("dim", "const") for a, _ in factors):
        return None
    if not any(a < 0 and forms.atoms[-a - 1].name == "logsumexp" for f, _ in expo for a, _ in f):
        return None
    constant = 0.0 if close(c, 1.0) else math.log(c)
    result = forms.spell(linear_scale(linear_add(expo, (((), constant),)) if constant else expo, sign))
    for atom, power in factors:
        logarithm = forms.product(abs(power), [forms.graph.apply("log", nodes[atom])])
        result = forms.plus(result, logarithm, power * sign < 0)
    return Found(result, "logsumexp", 1)


def _log_of_difference(forms: Forms, poly: Poly, sign: float) -> Found | None:
    """log(c (exp(a) - exp(b))) = log c + a + log(1 - exp(b - a)), the last one on two branches."""
    o = forms.graph.ops
    ((a, _), c), ((b, _), d) = sorted(poly.items(), key=lambda item: -item[1])
    if not close(c, -d) or (a and b and multiple(a, b) is None):
        return None
    v = forms.spell(linear_add(b, a, -1.0))
    node = o.select(o.greater(v, -LN2), o.log(-o.expm1(v)), o.log1p(-o.exp(v)))
    if a:
        node = forms.spell(a) + node
    return Found(_with_constant(forms, sign, node, math.log(c)), "log1mexp", 1)


EXPANDED = {
    "softplus": lambda u: {(u[0], ()): 1.0, ONE: 1.0},
    "log_cosh": lambda u: {(u[0], ()): 0.5, (linear_scale(u[0], -1.0), ()): 0.5},
    "logaddexp": lambda u: {(u[0], ()): 1.0, (u[1], ()): 1.0},
}


def exp_of_logs(forms: Forms, linear: Linear) -> Ratio | None:
    """exp of a sum in which softplus, log_cosh and logaddexp stand with factors 1 and -1."""
    nodes = forms.graph.nodes
    top: Poly | None = UNIT
    bottom: Poly | None = UNIT
    rest: list[tuple[Factors, float]] = []
    constant = 0.0
    for factors, c in linear:
        node = nodes[factors[0][0]] if len(factors) == 1 and factors[0][0] >= 0 else None
        if not factors:
            constant = c
        elif node is None or node.op not in EXPANDED or factors[0][1] != 1.0 or not close(abs(c), 1.0):
            rest.append((factors, c))
        else:
            linears = [forms.linear(x) for x in node.args]
            if None in linears:
                return None
            factor: Poly = EXPANDED[node.op](linears)
            if c > 0:
                top = None if top is None else poly_multiply(top, factor)
            else:
                bottom = None if bottom is None else poly_multiply(bottom, factor)
    if top is None or bottom is None or abs(constant) > 700 or (top is UNIT and bottom is UNIT):
        return None
    outer: Poly = {(tuple(rest), ()): math.exp(constant)}
    top = poly_multiply(top, outer)
    return None if top is None else Ratio(top, bottom)


def log_of_sum_of_logs(forms: Forms, op: str, args: Sequence[Node]) -> Found | None:
    """a + softplus(b) and the like: the logarithm of exp(a) (1 + exp(b)) under one name.

    A shift that is added and taken away again (u + softplus(-u), m + logsumexp(x - m)), the form with
    max(u, 0) and abs(u), and log 2 beside log_cosh are seen; other sums are left as they are.
    """
    form = forms.sum(op, args, True)
    if form is None or form.bottom != UNIT or any(m[0] for m in form.top):
        return None
    nodes = forms.graph.nodes
    logs = [(m, c) for m, c in form.top.items()
            if len(m[1]) == 1 and m[1][0][1] == 1.0 and m[1][0][0] >= 0
            and (nodes[m[1][0][0]].op in EXPANDED or nodes[m[1][0][0]].op == "logsumexp")]
    if not 1 <= len(logs) <= 2:
        return None
    scale = logs[0][1]
    logs = [(m, c / scale) for m, c in logs]
    rest: Linear = tuple(sorted((m[1], c / scale) for m, c in form.top.items()
                                if (m, c / scale) not in logs))
    if any(nodes[m[1][0][0]].op == "logsumexp" for m, _ in logs):
        return None if rest or len(logs) > 1 else Found(forms.product(scale, [nodes[logs[0][0][1][0][0]]]), "logsumexp", 1)
    before = exp_of_logs(forms, tuple(sorted([*rest, *((m[1], c) for m, c in logs)])))
    if before is None:
        return None
    even = without_abs(forms, before)
    if len(even.bottom) > 1 or len(even.top) != 2:
        return None
    softplus = nodes[logs[0][0][1][0][0]].op == "softplus"
    if even.top == before.top and not _simpler(even.top, len(summands(op, args)), softplus):
        return None
    found = _shared(forms, even.top) or log_of(forms, even)
    if found is None or found.rule not in ("softplus", "log_cosh", "logaddexp", "cross_entropy"):
        return None
    return Found(forms.product(scale, [found.node]), found.rule, 1)


def _shared(forms: Forms, top: Poly) -> Found | None:
    """softplus(w) - t w = (1 - t) softplus(w) + t softplus(-w), where nothing cancels for t = 0 and 1."""
    (a, c), (b, d) = top.items()
    if not (close(c, 1.0) and close(d, 1.0)) or a[1] or b[1]:
        return None
    o, nodes = forms.graph.ops, forms.graph.nodes
    for low, high in ((a[0], b[0]), (b[0], a[0])):
        w = linear_add(high, low, -1.0)
        if len(low) != 1 or not w or low[0][1] > 0:
            continue
        factors, k = low[0]
        for atom, power in factors:
            linear = forms.linear(nodes[atom]) if atom >= 0 and power == 1.0 else None
            scale = multiple(linear, w) if linear else None
            rest = tuple(f for f in factors if f[0] != atom)
            if not scale or scale < 0 or not rest:
                continue
            t, u = forms.spell_factors(-k * scale, rest), forms.spell(w)
            down = forms.spell(linear_scale(w, -1.0))
            return Found((1.0 - t) * o.softplus(u) + t * o.softplus(down), "cross_entropy", 2)
    return None


def _simpler(top: Poly, terms: int, softplus: bool) -> bool:
    """Whether the logarithm of two exponentials is written with fewer terms than before."""
    (a, c), (b, d) = top.items()
    if not a[0] or not b[0]:
        if softplus and close(c, 0.5) and close(d, 0.5):                # softplus(u) - log 2, 0 at 0
            return True
        after = 1 if close(c, 1.0) and close(d, 1.0) else 2
    elif linear_add(a[0], b[0]) == () and close(c, d):
        after = 1 if close(c, 0.5) else 2
    else:
        after = len(a[0]) + len(b[0])
    return after < terms
