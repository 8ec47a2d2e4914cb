"""Stable rewrites of products and quotients: x log(x), u / hypot(u, v), sin(u) / u and their like.

`product` looks at the atoms of a product in normal form and replaces what has a limit at 0, or loses digits
there, by a function of its own. The rules' reasons, their domains and the examples that the tests check one
by one stand in `stable`; quotients that take a series near 0 are in `series`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradc.ir.graph import Node

from .logarithms import LN2
from .patterns import (
    UNIT,
    Factors,
    Forms,
    Linear,
    close,
    constant_part,
    factors_multiply,
    linear_scale,
    multiple,
    summands,
)
from .powers import Found
from .structure import log_argument

LN10 = 2.302585092994046
PI = math.pi


def product(forms: Forms, op: str, args: Sequence[Node]) -> Found | None:
    """x log(x), u / hypot(u, v), sin(u) / u inside a product."""
    form = forms.of(op, args)
    if form is None or form.bottom != UNIT or len(form.top) != 1:
        return None
    ((expo, factors), c), = form.top.items()
    if expo:
        return None
    functions: list[Node] = []
    rule = ""
    for _ in range(3):
        known = dict(factors)
        found = next((q for a, p in factors if (q := _quotient(forms, a, p, known)) is not None), None)
        if found is None:
            break
        scale, factors, node, rule = found
        c *= scale
        functions.append(node)
    if not functions:
        return None
    above = tuple((a, p) for a, p in factors if p > 0)
    below = tuple((a, -p) for a, p in factors if p < 0)
    result = forms.product(c, [*([forms.spell_factors(1.0, above)] if above else []), *functions])
    if below:
        result = forms.graph.apply("div", result, forms.spell_factors(1.0, below))
    return Found(result, rule, 1)


def _quotient(forms: Forms, atom: int, power: float,
              factors: dict[int, float]) -> tuple[float, Factors, Node, str] | None:
    """For one atom of a product: the factor, the remaining atoms, the new function, the rule."""
    o, nodes = forms.graph.ops, forms.graph.nodes
    if atom < 0:
        entry = forms.atoms[-atom - 1]
        if entry.name == "sin" and power >= 1.0:
            return _cardinal(forms, atom, entry.argument, factors, True)
        return _over_sine(forms, atom, entry.argument, factors) if entry.name == "sin" and power == -1.0 else None
    node = nodes[atom]
    if node.op == "tan" and power == 1.0:
        argument = forms.linear(node.args[0])
        return None if not argument else _cardinal(forms, atom, argument, factors, False)
    if (node.op == "tan" and power == -1.0) or (node.op == "coth" and power == 1.0):
        argument = forms.linear(node.args[0])
        return None if not argument else _over_sine(forms, atom, argument, factors)
    if node.op == "sqrt":
        inner = node.args[0].id
        total = factors.get(inner, 0.0) + 0.5 * power
        if factors.get(inner, 0.0) >= 1.0 and power % 2 and total >= 0.5:
            left = _without(factors, {atom: power, inner: factors[inner]})
            return 1.0, left, o.sqrt(nodes[inner]) if total == 0.5 else o.pow(nodes[inner], total), "half_powers"
        return None
    if node.op == "hypot" and power <= -1.0:
        for u, v in (node.args, node.args[::-1]):
            linear = forms.linear(u)
            if linear is None or constant_part(linear) is not None:
                continue
            for other, p in factors.items():
                one = forms.linear(nodes[other]) if other >= 0 and p >= 1.0 else None
                k = multiple(one, linear) if one else None
                if k:
                    left = factors_multiply(tuple(sorted(factors.items())), ((atom, 1.0), (other, -1.0)))
                    return k, left, o.unit(u, v), "unit"
    if node.op in ("log", "log2", "log10", "log1p") and power == 1.0:
        return _entropy(forms, node, factors)
    if node.op in ("add", "sub") and power == 1.0:
        return _distributed(forms, node, factors)
    return None


def _without(factors: dict[int, float], taken: dict[int, float]) -> Factors:
    return tuple(sorted((a, p - taken.get(a, 0.0)) for a, p in factors.items() if p != taken.get(a, 0.0)))


def _cardinal(forms: Forms, atom: int, argument: Linear, factors: dict[int, float],
              sine: bool) -> tuple[float, Factors, Node, str] | None:
    """sin(k u) / u = k sinc(k u), tan(k u) / u = k sinc(k u) / cos(k u)."""
    o = forms.graph.ops
    below: dict[int, float] | None = None
    k: float | None = 1.0
    if len(argument) == 1 and all(factors.get(a, 0.0) <= -p if p > 0 else factors.get(a, 0.0) >= -p > 0
                                  for a, p in argument[0][0]):
        below, k = {a: -p for a, p in argument[0][0]}, argument[0][1]
    else:
        for other, p in factors.items():
            linear = forms.linear(forms.graph.nodes[other]) if other >= 0 and p <= -1.0 else None
            k = multiple(argument, linear) if linear else None
            if k:
                below = {other: -1.0}
                break
    if below is None or not k:
        return None
    if close(abs(k), PI, 4.0):
        node = o.sinc(forms.spell(linear_scale(argument, 1.0 / PI)))
    else:
        node = o.sinc_derivative(0, forms.spell(argument))
    if not sine:
        node = node / o.cos(forms.spell(argument))
    return k, _without(factors, {atom: 1.0, **below}), node, "sinc"


def _over_sine(forms: Forms, atom: int, argument: Linear,
               factors: dict[int, float]) -> tuple[float, Factors, Node, str] | None:
    """u / sin(k u), u / tan(k u), u coth(k u): the reciprocal of what has a value at 0."""
    o, nodes = forms.graph.ops, forms.graph.nodes
    for other, p in factors.items():
        linear = forms.linear(nodes[other]) if other >= 0 and p >= 1.0 else None
        k = multiple(argument, linear) if linear else None
        if k:
            v = forms.spell(argument)
            op = nodes[atom].op if atom >= 0 else "sin"
            node = v / o.tanh(v) if op == "coth" else (o.cos(v) if op == "tan" else 1.0) / o.sinc_derivative(0, v)
            return 1.0 / k, _without(factors, {atom: factors[atom], other: 1.0}), node, "sinc"
    return None


def _distributed(forms: Forms, node: Node, factors: dict[int, float]) -> tuple[float, Factors, Node, str] | None:
    """f (log f + b + ...) = xlogx(f) + f b + ..., which is 0 where f is."""
    o, nodes = forms.graph.ops, forms.graph.nodes
    terms = summands(node.op, node.args, 5)
    for f, p in factors.items():
        if f < 0 or p < 1.0 or not any(n.op == "log" and n.args[0].id == f for n, _ in terms):
            continue
        if len(terms) > 4:
            return None
        total: Node | None = None
        for term, sign in terms:
            part = o.xlogx(nodes[f]) if term.op == "log" and term.args[0].id == f else nodes[f] * term
            total = forms.plus(total, part, sign < 0)
        assert total is not None
        return 1.0, _without(factors, {node.id: 1.0, f: 1.0}), total, "xlogx"
    return None


def _entropy(forms: Forms, node: Node, factors: dict[int, float]) -> tuple[float, Factors, Node, str] | None:
    """f log(f) and f log(f g) are 0 where f is, and (1 + v) log1p(v) where 1 + v is 0."""
    o, nodes = forms.graph.ops, forms.graph.nodes
    v = node.args[0]
    if node.op == "log1p":
        argument = log_argument(forms, node)
        for atom, p in factors.items():
            if atom >= 0 and p >= 1.0 and argument is not None and forms.linear(nodes[atom]) == argument:
                f = nodes[atom]
                whole = o.select(o.greater(f, 0.5), f * node, o.xlogx(f))
                return 1.0, _without(factors, {node.id: 1.0, atom: 1.0}), whole, "xlogx"
        return None
    scale = {"log": 1.0, "log2": 1.0 / LN2, "log10": 1.0 / LN10}[node.op]
    if factors.get(v.id, 0.0) >= 1.0:
        return scale, _without(factors, {node.id: 1.0, v.id: 1.0}), o.xlogx(v), "xlogx"
    if v.op == "abs" and factors.get(v.args[0].id, 0.0) >= 1.0:
        taken = v.args[0].id
        return scale, _without(factors, {node.id: 1.0, taken: 1.0}), o.xlogy(nodes[taken], v), "xlogx"
    form = forms.form(v)
    if form.bottom != UNIT or len(form.top) != 1:
        return None
    ((expo, inner), c), = form.top.items()
    shared = [a for a, p in inner if a >= 0 and p >= 1.0 and factors.get(a, 0.0) >= 1.0]
    if expo or c <= 0 or not shared:
        return None
    taken = shared[0]
    return scale, _without(factors, {node.id: 1.0, taken: 1.0}), o.xlogy(nodes[taken], v), "xlogx"
