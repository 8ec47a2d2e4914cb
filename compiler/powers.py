"""Forms taken apart: common factors, powers of 1 + z and 1 - z with z = exp(w), even functions of |u|.

Nearly every function of the sigmoid and hyperbolic family is c exp(e) (1 + z)**a (1 - z)**b. `shape`
finds these numbers in a form of `patterns`; what they are called is decided in `exponentials` and, for
logarithms, in `logarithms`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gradc.ir.graph import Node

from .patterns import (
    EPS,
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
)


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
        return mono, dict(poly)
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


def without_abs(forms: Forms, form: Ratio) -> Ratio:
    """The form with |u| replaced by u wherever it is an even function of u."""
    top, bottom = form
    if not forms.bent:
        return form
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
        if any(f != key and any(a == atom for a, _ in f) for f in (factors, *(f for f, _ in expo))):
            return None
        kept = tuple(t for t in expo if t[0] != key)
        mono = (linear_add(kept, value, sign * power) if power else kept, factors)
        total[mono] = total.get(mono, 0.0) + c
    return total


def product(forms: Forms, c: float, rest: Mono, functions: Sequence[Node]) -> Node:
    """c * rest * functions; the division by what is below comes last."""
    above = tuple((x, p) for x, p in rest[1] if p > 0)
    nodes = [forms.spell_factors(1.0, above)] if above else []
    if rest[0]:
        nodes.append(forms.graph.apply("exp", forms.spell(rest[0])))
    result = forms.product(c, [*nodes, *functions])
    for atom, power in rest[1]:
        if power < 0:
            node = forms.spell_atom(atom)
            below = node if power == -1.0 else forms.graph.apply("pow", node, -power)
            result = forms.graph.apply("div", result, below)
    return result


def with_constant(forms: Forms, sign: float, node: Node, constant: float) -> Node:
    """sign * (node + constant), a constant of rounding errors being none."""
    result = forms.product(sign, [node])
    constant *= sign
    if abs(constant) < 4 * EPS:
        return result
    return forms.plus(result, forms.graph.const(abs(constant)), constant < 0)
