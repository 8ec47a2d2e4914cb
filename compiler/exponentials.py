"""Ratios of exponentials recognised as one function that keeps its digits.

With z = exp(w) a form is c exp(e) (1 + z)**a (1 - z)**b, which is one of the sigmoid and hyperbolic
functions at w or w/2 whatever the spelling was: Abramowitz and Stegun, "Handbook of Mathematical
Functions" (1964), 4.5. Here is what such forms are equal to; where a rewrite is worth making is
decided in `stable`.
"""

from __future__ import annotations

import math

from gradc.ir.graph import Node

from .logarithms import log_of_sum
from .patterns import Forms, Linear, Mono, Ratio, close, linear_add, linear_scale, mono_multiply, multiple
from .powers import Found, content, product, shape, without_abs


def recognise(forms: Forms, form: Ratio) -> Found | None:
    """The function of w, or of w/2, that a form is equal to."""
    if len(form.top) > 4 or forms.shifted(form.top) or forms.shifted(form.bottom):
        return None
    even = without_abs(forms, form)
    found = shape(even)
    if found is None:
        return _softmax(forms, even)
    c, rest, expo, w, a, b = found
    expo, apart = _separate(expo, w)
    rest = (linear_add(rest[0], apart), rest[1])
    middle = multiple(linear_add(expo, w, 0.5 * (a + b)), w)           # exp(middle * w), times cosh, sinh
    if (a, b) == (-1, 0) and (middle is None or (apart and not rest[1])):
        held = dict(expo)
        if all(close(held.get(f, 0.0), c) for f, c in w):               # w - softplus(w) = -softplus(-w)
            expo, w = linear_add(expo, w, -1.0), linear_scale(w, -1.0)
        exponent = linear_add(linear_add(expo, rest[0]), _softplus_linear(forms, w), -1.0)
        node = forms.graph.apply("exp", forms.spell(exponent))
        return Found(product(forms, c, ((), rest[1]), [node]), "softmax", 1)
    if middle is None:
        return None
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
        functions += more
        return Found(product(forms, c * extra, rest, functions), rule or name, len(functions))
    if a == 0 and b == 0:
        if middle or not functions:
            return None
        return Found(product(forms, c, rest, functions), rule, len(functions))
    if a == 0 and b < 0 and middle == 0.0:
        functions += [o.csch(forms.spell(half))] * -b
        return Found(product(forms, c * (-0.5) ** -b, rest, functions), "csch", len(functions))
    if (a, b) == (0, -1) and abs(middle) == 0.5:                        # 1/(1 - z), z/(1 - z)
        u = forms.spell(linear_scale(w, -2.0 * middle))
        node = reciprocal_expm1(forms, u, forms.spell(linear_scale(w, -middle)))
        return Found(product(forms, 2.0 * middle * c, rest, [*functions, node]), "bose", 1 + len(functions))
    if a >= 0 and b >= 0 and middle == 0.0 and a + b <= 2:
        functions += [o.sinh(forms.spell(half))] * b + [o.cosh(forms.spell(half))] * a
        return Found(product(forms, c * 2.0**a * (-2.0) ** b, rest, functions), "sinh" if b else "cosh",
                     len(functions))
    if (a, b) == (0, 1):                                                # exp(k w) (1 - exp(w))
        k = middle - 0.5
        if close(k, round(k), 64):
            near, sign = (w, -1.0) if k >= 0 else (linear_scale(w, -1.0), 1.0)
            power = round(k) if k >= 0 else -round(k) - 1
            outer = [o.exp(forms.spell(linear_scale(near, float(power))))] if power else []
            return Found(product(forms, sign * c, rest, [*outer, *functions, o.expm1(forms.spell(near))]), "expm1",
                         1 + len(outer) + len(functions))
    return None


def reciprocal_expm1(forms: Forms, u: Node, half: Node) -> Node:
    """1/(exp(u) - 1), by exp(-u/2)/(2 sinh(u/2)) where exp(u) may overflow."""
    o = forms.graph.ops
    return o.select(o.greater(u, 0.0), 0.5 * (o.exp(-half) * o.csch(half)), 1.0 / o.expm1(u))


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
        return Found(product(forms, c / value, rest, [o.sigmoid(forms.spell(a) - remaining)]), "softmax", 1)
    logarithm = log_of_sum(forms, bottom)
    if logarithm is None:
        return None
    exponent = linear_add(mono[0], ((((logarithm.id, 1.0),), 1.0),), -1.0)
    node = forms.graph.apply("exp", forms.spell(exponent))
    rest = mono_multiply(((), mono[1]), over, -1.0)
    return Found(product(forms, c, rest, [node]), "softmax", 1)


def softmax_over(forms: Forms, form: Ratio, total: Node) -> Found | None:
    """c rest exp(a) / exp(total) as c rest exp(a - total)."""
    ((expo, factors), c), = form.top.items()
    if not expo:
        return None
    exponent = linear_add(expo, ((((total.id, 1.0),), 1.0),), -1.0)
    node = forms.graph.apply("exp", forms.spell(exponent))
    return Found(product(forms, c, ((), factors), [node]), "softmax", 1)
