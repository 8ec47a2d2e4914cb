"""Logarithms of sums of exponentials, and sums of such logarithms, in forms that cannot overflow.

A form whose terms are positive multiples of exponentials has a logarithm made of softplus, log_cosh
and logaddexp; a difference of two has one on two branches. Sums like u + softplus(-u), or the ones
with max(u, 0) and abs(u), are recognised by their exponential. Where a rewrite is worth making is
decided in `stable`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradc.ir.graph import Node

from . import shifts
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
    linear_add,
    linear_scale,
    mono_multiply,
    multiple,
    normal,
    poly_add,
    poly_multiply,
)
from .powers import Found, content, product, shape, with_constant, without_abs

LN2 = 0.6931471805599453


def log_of(forms: Forms, form: Ratio) -> Found | None:
    """log of a ratio of positive sums of exponentials, None where it is no such ratio."""
    top, bottom = without_abs(forms, form)
    if len(bottom) == 1:
        return _log_of_powers(forms, Ratio(top, bottom)) or _log_of_poly(forms, top, 1.0)
    if len(top) == 1:
        (mono, c), = top.items()
        inverse = {mono_multiply(m, mono, -1.0): d / c for m, d in bottom.items()}
        return _log_of_powers(forms, Ratio(top, bottom)) or _log_of_poly(forms, inverse, -1.0)
    found = _log_of_powers(forms, Ratio(top, bottom))
    if found is not None:
        return found
    signed = next((p for p in (top, bottom) if len(p) == 2 and min(p.values()) < 0 < max(p.values())), None)
    if signed is None or any(m[1] for p in (top, bottom) for m in p):   # both logarithms may be large; signs are open
        return None
    if min((bottom if signed is top else top).values()) < 0:            # signs of both are open
        return None
    first = max(signed, key=lambda m: signed[m])                        # 1 - exp(-v) over 1 + exp(-v)
    top, bottom = ({mono_multiply(m, first, -1.0): c for m, c in p.items()} for p in (top, bottom))
    above, below = _log_of_poly(forms, top, 1.0), _log_of_poly(forms, bottom, 1.0)
    if above is None or below is None:
        return None
    return Found(forms.graph.apply("sub", above.node, below.node), above.rule, 2)


def _log_of_poly(forms: Forms, poly: Poly, sign: float) -> Found | None:
    """sign * log(poly)."""
    o = forms.graph.ops
    if len(poly) == 1:
        return _log_of_mono(forms, *next(iter(poly.items())), sign)
    over, inner = content(poly)
    if any(m[1] for m in inner) or over != ONE:
        return shifts.logarithm(forms, poly, sign)
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
            node = with_constant(forms, sign, o.log_cosh(forms.spell(u)), math.log(2 * c))
            return Found(node, "log_cosh", 1)
        if close(c, 0.5) and not a:                                     # the mean of 1 and exp(b)
            whole, half = forms.spell(b), forms.spell(linear_scale(b, 0.5))
            far = o.logaddexp(whole - LN2, -LN2)                        # where 1/2 + tanh(u/2)/2 would cancel
            mean = o.select(o.less(o.abs(whole), 1.0), half + o.log_cosh(half), far)
            return Found(forms.product(sign, [mean]), "log_mean", 1)
        if not a:
            return Found(with_constant(forms, sign, o.softplus(forms.spell(b)), math.log(c)), "softplus", 1)
    node = log_of_sum(forms, poly)
    if node is not None and not a and close(c + d, 1.0):                # 0 at 0: log(1 + d (exp(b) - 1))
        whole = forms.spell(b)
        node = o.select(o.less(o.abs(whole), 1.0), o.log1p(d * o.expm1(whole)), node)
        return Found(forms.product(sign, [node]), "log_mean", 1)
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
        return Found(with_constant(forms, 1.0, node, math.log(found.coefficient) + a * LN2), "log_cosh", 1)
    if middle is not None and close(abs(middle), 0.5 * abs(a)):
        sign = math.copysign(1.0, middle * a)
        node = forms.product(float(a), [o.softplus(forms.spell(linear_scale(w, sign)))])
        return Found(with_constant(forms, 1.0, node, math.log(found.coefficient)), "softplus", 1)
    return None


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
            node = with_constant(forms, 1.0, forms.graph.ops.log_cosh(forms.spell(u)), math.log(2 * c))
            total = node if total is None else _log_add(forms, total, node)
            continue
        constant = 0.0 if close(c, 1.0) else math.log(c)
        exponent = linear_add(expo, (((), constant),)) if constant else expo
        node = forms.spell(exponent)
        total = node if total is None else _log_add(forms, total, node)
    return total


def _log_add(forms: Forms, a: Node, b: Node) -> Node:
    zero = a.op == "const" and a.value == 0.0
    if zero or (b.op == "const" and b.value == 0.0):
        return forms.graph.apply("softplus", b if zero else a)
    return forms.graph.apply("logaddexp", a, b)


def log_of_terms(forms: Forms, terms: Sequence[tuple[Node, float]]) -> Node | None:
    """log of a long sum of exponentials as a balanced tree of logaddexp; None where a term is none."""
    level: list[Node] = []
    for node, sign in terms:
        form = forms.form(node)
        if form.bottom != UNIT or len(form.top) != 1:
            return None
        ((expo, factors), c), = form.top.items()
        if factors or c * sign <= 0 or (not expo and node.op != "const"):
            return None
        constant = 0.0 if close(c * sign, 1.0) else math.log(c * sign)
        level.append(forms.spell(linear_add(expo, (((), constant),)) if constant else expo))
    while len(level) > 1:
        pairs = [forms.graph.apply("logaddexp", a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + (level[-1:] if len(level) % 2 else [])
    return level[0]


def _log_of_mono(forms: Forms, mono: Mono, c: float, sign: float) -> Found | None:
    """log(r exp(e)) = e + log(r): exp(e) is positive, so r has the sign that the logarithm needs."""
    expo, factors = mono
    if not expo or (c <= 0 and not factors):
        return None
    inner = any(a < 0 and forms.atoms[-a - 1].name == "logsumexp" for f, _ in expo for a, _ in f)
    plain = all(a >= 0 and forms.graph.nodes[a].op in ("dim", "const") for a, _ in factors)
    constant = math.log(c) if c > 0 and plain and not close(c, 1.0) else 0.0
    whole = linear_add(expo, (((), constant),)) if constant else expo
    result = forms.spell(linear_scale(whole, sign))
    for atom, power in factors if plain else ():
        logarithm = forms.product(abs(power), [forms.graph.apply("log", forms.graph.nodes[atom])])
        result = forms.plus(result, logarithm, power * sign < 0)
    if not plain:
        logarithm = forms.graph.apply("log", product(forms, c, ((), factors), ()))
        result = forms.plus(result, logarithm, sign < 0)
    return Found(result, "logsumexp" if inner else "log_exp", 1)


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
    return Found(with_constant(forms, sign, node, math.log(c)), "log1mexp", 1)


EXPANDED = frozenset(("softplus", "log_cosh", "logaddexp"))


def _expanded(op: str, arguments: Sequence[Linear]) -> Poly:
    """exp(op(arguments)) as a sum of two exponentials."""
    other = arguments[1] if op == "logaddexp" else ()
    if op == "log_cosh":
        other = linear_scale(arguments[0], -1.0)
    factor = 0.5 if op == "log_cosh" else 1.0
    return poly_add({(arguments[0], ()): factor}, {(other, ()): factor})[0]


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
            linears = [u for x in node.args if (u := forms.linear(x)) is not None]
            if len(linears) < len(node.args):
                return None
            factor = _expanded(node.op, linears)
            if c > 0:
                top = None if top is None else poly_multiply(top, factor)
            else:
                bottom = None if bottom is None else poly_multiply(bottom, factor)
    if top is None or bottom is None or abs(constant) > 700 or (top is UNIT and bottom is UNIT):
        return None
    outer: Poly = {(tuple(rest), ()): math.exp(constant)}
    return normal(poly_multiply(top, outer), bottom)


def log_of_sum_of_logs(forms: Forms, op: str, args: Sequence[Node], shifted: bool) -> Found | None:
    """a + softplus(b) and the like: the logarithm of exp(a) (1 + exp(b)) under one name.

    A shift that is added and taken away again (u + softplus(-u), m + logsumexp(x - m)), the form with
    max(u, 0) and abs(u), and log 2 beside log_cosh are seen; other sums are left as they are. A term
    may be taken away again only where a rule, not the user, has added it (`shifted`).
    """
    form = forms.sum(op, args, shifted)
    if form is None or form.bottom != UNIT or any(m[0] for m in form.top):
        return None
    nodes = forms.graph.nodes
    found = _logit(forms, form)
    if found is not None:
        return found
    logs = [(m, c) for m, c in form.top.items()
            if len(m[1]) == 1 and m[1][0][1] == 1.0 and m[1][0][0] >= 0
            and (nodes[m[1][0][0]].op in EXPANDED or nodes[m[1][0][0]].op == "logsumexp")]
    if len(logs) != 1:
        return None
    scale = logs[0][1]
    first = nodes[logs[0][0][1][0][0]]
    if first.op == "logsumexp":
        return None if len(form.top) > 1 else Found(forms.product(scale, [first]), "logsumexp", 1)
    before = exp_of_logs(forms, tuple(sorted((m[1], c / scale) for m, c in form.top.items())))
    if before is None:
        return None
    even = without_abs(forms, before)
    if len(even.bottom) > 1 or len(even.top) != 2:
        return None
    terms = len(form.top) - 1 + sum(len(forms.linear(x) or ()) for x in first.args)
    terms += forms.vanished(op, args)                                   # one was taken away again
    if even.top == before.top and not _simpler(even.top, terms, first.op == "softplus"):
        return None
    found = _shared(forms, even.top) or log_of(forms, even)
    if found is None or found.rule not in ("softplus", "log_cosh", "logaddexp", "log_mean", "cross_entropy"):
        return None
    return Found(forms.product(scale, [found.node]), found.rule, 1)


def _logit(forms: Forms, form: Ratio) -> Found | None:
    """c softplus(u) - c softplus(-u) = c u, also beside other terms."""
    nodes = forms.graph.nodes
    of = {u: (m, c) for m, c in form.top.items()
          if len(m[1]) == 1 and m[1][0][1] == 1.0 and m[1][0][0] >= 0
          and (node := nodes[m[1][0][0]]).op == "softplus" and (u := forms.linear(node.args[0]))}
    for u, (mono, c) in of.items():
        other = of.get(linear_scale(u, -1.0))
        if other is not None and close(c, -other[1]):
            rest = tuple(sorted((m[1], v) for m, v in form.top.items() if m not in (mono, other[0])))
            return Found(forms.spell(linear_add(rest, linear_scale(u, c))), "logit", 1)
    return None


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
