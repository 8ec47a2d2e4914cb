"""Quotients f(u)/u with f(0) = 0, by a short series near 0: a value at 0, and derivatives that hold.

expm1(u)/u, log1p(u)/u, sinh(u)/u and the like, and their reciprocals, are smooth at 0, but the
quotient rule cancels there: the derivative loses 1/u, the second derivative 1/u**2. Within a radius
the Taylor series of an even function takes the place of the quotient (Abramowitz and Stegun,
"Handbook of Mathematical Functions" (1964), 4.5.62, 4.6.33, 4.4.40 to 4.4.42, 4.6.31, 7.1.5);
outside it the quotient stays. sin(u)/u is an operation of its own and is not treated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradc.ir.graph import Node

from .exponentials import reciprocal_expm1
from .patterns import Forms, linear_scale, multiple
from .powers import Found

Coefficient = Callable[[int], float]


def _arcsine(k: int) -> float:
    return math.comb(2 * k, k) / (4.0**k * (2 * k + 1))


# f(u)/u = sum over k of c(k) u**(2 k), used for |u| below the radius with so many terms that what is
# left out does not show in the second derivative either, where it counts (2 k)**2/u**2 times.
ODD: dict[str, tuple[float, int, Coefficient]] = {
    "sinh": (0.5, 8, lambda k: 1.0 / math.factorial(2 * k + 1)),
    "atanh": (0.2, 14, lambda k: 1.0 / (2 * k + 1)),
    "atan": (0.2, 14, lambda k: (-1.0) ** k / (2 * k + 1)),
    "asin": (0.2, 14, _arcsine),
    "asinh": (0.2, 14, lambda k: (-1.0) ** k * _arcsine(k)),
    "erf": (0.4, 13, lambda k: (-1.0) ** k * 2.0 / math.sqrt(math.pi) / (math.factorial(k) * (2 * k + 1))),
}
NAMES = frozenset((*ODD, "tanh", "expm1", "log1p"))
MOST_FACTORS = 8        # of a product that is taken apart


def _horner(forms: Forms, u: Node, terms: int, coefficient: Coefficient) -> Node:
    square = u * u
    total = forms.graph.const(coefficient(terms - 1))
    for k in range(terms - 2, -1, -1):
        total = coefficient(k) + square * total
    return total


def near_zero(forms: Forms, name: str, u: Node) -> tuple[float, Node]:
    """A radius, and f(u)/u in a form that holds inside it."""
    o = forms.graph.ops
    if name in ODD:
        radius, terms, coefficient = ODD[name]
        return radius, _horner(forms, u, terms, coefficient)
    if name == "tanh":                                                  # (sinh(u)/u)/cosh(u)
        radius, terms, coefficient = ODD["sinh"]
        return radius, _horner(forms, u, terms, coefficient) * o.sech(u)
    if name == "expm1":                                                 # exp(u/2) sinh(u/2)/(u/2)
        radius, terms, coefficient = ODD["sinh"]
        half = 0.5 * u
        return 2 * radius, o.exp(half) * _horner(forms, half, terms, coefficient)
    w = u / (2.0 + u)                                                   # log1p(u) = 2 atanh(u/(2 + u))
    _, terms, coefficient = ODD["atanh"]
    return 0.25, 2.0 * (_horner(forms, w, terms, coefficient) / (2.0 + u))


def removable(forms: Forms, args: Sequence[Node]) -> Found | None:
    """f(k u)/u or u/f(k u) inside a quotient, on two branches: a series near 0, the quotient elsewhere."""
    above, below = ([node, *_factors(node)] for node in args)
    for up in (True, False):
        functions, others = (above, below) if up else (below, above)
        for f in functions:
            if f.op not in NAMES:
                continue
            for u in others:
                argument, plain = forms.linear(f.args[0]), forms.linear(u)
                k = multiple(argument, plain) if argument and plain and u.op != "const" else None
                if k:
                    return _rewritten(forms, args, f, u, k, up)
    return None


def _rewritten(forms: Forms, args: Sequence[Node], f: Node, u: Node, k: float, up: bool) -> Found:
    """The quotient with f(k u)/u (or u/f(k u)) replaced."""
    o, v = forms.graph.ops, f.args[0]
    radius, series = near_zero(forms, f.op, v)
    if up:
        inside, outside = series, f / v
    else:
        inside, outside = 1.0 / series, v / f
        if f.op == "expm1":                                             # no overflow for a large u
            half = forms.spell(linear_scale(forms.linear(v) or (), 0.5))
            outside = v * reciprocal_expm1(forms, v, half)
        elif f.op == "sinh":
            outside = v * o.csch(v)
        elif f.op == "tanh":
            inside = o.cosh(v) / _horner(forms, v, *ODD["sinh"][1:])
    whole = o.select(o.less(o.abs(v), radius), inside, outside)
    above, top = _product(forms, args[0], f if up else u)
    below, bottom = _product(forms, args[1], u if up else f)
    scale = above * below * (k if up else 1.0 / k)
    if top is not None and bottom is not None:                          # sinh(u)**2/u**2 has two of them
        again = removable(forms, (top, bottom))
        if again is not None:
            return again._replace(node=forms.product(scale, [whole, again.node]))
    result = forms.product(scale, [*([top] if top is not None else []), whole])
    return Found(result if bottom is None else result / bottom, "removable", 1)


def _factors(node: Node) -> list[Node]:
    """The factors of a product as written, a sign being no factor."""
    found: list[Node] = []
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if item.op in ("mul", "neg") and len(found) + len(waiting) < MOST_FACTORS:
            waiting += item.args
        elif item.op == "pow" and item.args[1].op == "const" and item.args[1].value in (2.0, 3.0, 4.0):
            waiting += [item.args[0]] * int(item.args[1].value)
        else:
            found.append(item)
    return found


def _has(node: Node, taken: Node) -> bool:
    """Whether a node is a factor of a product, taken apart as `_factors` does."""
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if item is taken:
            return True
        if item.op in ("mul", "neg"):
            waiting += item.args
        elif item.op == "pow" and item.args[1].op == "const" and item.args[1].value in (2.0, 3.0, 4.0):
            waiting.append(item.args[0])
    return False


def _product(forms: Forms, node: Node, taken: Node) -> tuple[float, Node | None]:
    """The sign of a product, and the product without one factor; None where nothing is left."""
    factors: list[Node] = []
    sign = 1.0
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if item is taken:
            waiting, rest = [], waiting
            factors += rest[::-1]
        elif item.op == "neg":
            sign = -sign
            waiting += item.args
        elif item.op == "mul" and _has(item, taken):
            waiting += item.args[::-1]
        elif item.op == "pow" and _has(item, taken):
            waiting += [item.args[0]] * int(item.args[1].value)
        else:
            factors.append(item)
    factors = [f for f in factors if not (f.op == "const" and f.value == 1.0)]
    return sign, forms.product(1.0, factors) if factors else None
