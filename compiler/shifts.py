"""Sums of exponentials with any coefficients, and products of exponentials: what is left to overflow.

`exponentials` and `logarithms` recognise sums whose coefficients are numbers. Where they are variables
there is no function to name, but the largest exponent can be taken out of numerator and denominator, or of
a logarithm, so that no exponential overflows. It is detached: a shift cancels in the value and in every
derivative. Products and quotients of exponentials become one, so that infinity does not meet zero.
Where a rewrite is worth making is decided in `stable`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradc.ir.dims import Axis
from gradc.ir.graph import Node

from .patterns import ONE, UNIT, Forms, Linear, Mono, Poly, Ratio, close, linear_add, multiple, summands
from .powers import Found, product


def merged(forms: Forms, form: Ratio, factors: Sequence[Node]) -> Found | None:
    """exp(a) exp(b) / exp(c) as exp(a + b - c), also where one factor is a sum of exponentials."""
    exponentials = [node for node in factors if _is_exponential(forms, node)]
    if any(_is_settled(forms, node) for node in exponentials):
        return None
    less_one = [node for node in factors if node.op == "expm1"]
    if len(less_one) == 1 and exponentials and form.bottom == UNIT and len(form.top) == 2:
        return _times_less_one(forms, form, less_one[0], factors)
    sums = [node for node in factors if _is_sum_of_exponentials(forms, node)]
    if form.bottom != UNIT or len(exponentials) + len(sums) < 2 or len(sums) > 1 or not exponentials:
        return None
    if any(forms.rich(node) for node in factors if node not in exponentials and node not in sums):
        return None
    if not sums and _one_way(forms, next(iter(form.top))[0], exponentials):
        return None
    known = {_axes(forms, mono[0]) for node in (*exponentials, *sums) for mono in forms.form(node).top}
    if any(_axes(forms, mono[0]) not in known for mono in form.top):        # exp(a[i]) exp(b[j]): one for each pair
        return None
    total: Node | None = None
    for mono, c in form.top.items():
        total = forms.plus(total, product(forms, abs(c), mono, ()), c < 0)
    return None if total is None else Found(total, "exp_product", 1)


def _axes(forms: Forms, exponent: Linear) -> frozenset[Axis]:
    return frozenset[Axis]().union(*(forms.axes_of(atom) for factors, _ in exponent for atom, _ in factors))


def _one_way(forms: Forms, whole: Linear, exponentials: Sequence[Node]) -> bool:
    """Whether all exponents have the sign of the whole one and are no larger, as in exp(u) exp(u)."""
    for node in exponentials:
        (mono, _), = forms.form(node).top.items()
        ratio = multiple(mono[0], whole) if whole else None
        if ratio is None or not 0 < ratio <= 1:
            return False
    return True


def _times_less_one(forms: Forms, form: Ratio, less_one: Node, factors: Sequence[Node]) -> Found | None:
    """exp(a) expm1(b) = exp(a + b) - exp(a) where b is large, so that 0 does not meet infinity."""
    o, others = forms.graph.ops, [node for node in factors if node is not less_one]
    b = forms.linear(less_one.args[0])
    if not b or any(forms.rich(node) and not _is_exponential(forms, node) for node in others):
        return None
    pairs = [(m, c) for m, c in form.top.items() if (linear_add(m[0], b, -1.0), m[1]) in form.top]
    if len(pairs) != 1:
        return None
    (upper, c), = pairs
    lower: Mono = (linear_add(upper[0], b, -1.0), upper[1])
    if multiple(lower[0], b) is not None:                               # a = k b: they do not meet as 0 and inf
        return None
    near = product(forms, c, lower, [less_one])
    far = product(forms, c, upper, ()) - product(forms, c, lower, ())
    return Found(o.select(o.greater(less_one.args[0], 1.0), far, near), "exp_product", 1)


def _is_settled(forms: Forms, node: Node) -> bool:
    """Whether an exponent is a difference as written, u - log(exp(u) + ...), in which nothing may be put first."""
    (mono, _), = forms.form(node).top.items()
    for factors, _ in mono[0]:
        for atom, _ in factors:
            if (forms.atoms[-atom - 1].name if atom < 0 else forms.graph.nodes[atom].op) in _LARGEST:
                return True
    return False


_LARGEST = ("detach", "max", "softplus", "logaddexp", "logsumexp")


def _is_exponential(forms: Forms, node: Node) -> bool:
    return node.op in ("exp", "exp2", "pow") and forms.rich(node) and _one_exponent(forms, node)


def _one_exponent(forms: Forms, node: Node) -> bool:
    form = forms.form(node)
    return form.bottom == UNIT and len(form.top) == 1 and all(mono[0] for mono in form.top)


def _is_sum_of_exponentials(forms: Forms, node: Node) -> bool:
    """Whether every term is an exponential as written, so that no cancellation is hidden by a function."""
    if node.op == "cosh":
        return True
    if node.op not in ("add", "sub"):
        return False
    terms = [n for n, _ in summands(node.op, node.args, 4)]
    return all(_one_exponent(forms, n) and any(_is_exponential(forms, f) for f in (n, *n.args)) for n in terms)


def _exponents(poly: Poly) -> list[Linear]:
    return list(dict.fromkeys(mono[0] for mono in poly))


def _shiftable(forms: Forms, poly: Poly) -> bool:
    """Whether all terms have positive numbers as factors, with two exponents or more, none of them shifted."""
    return len(_exponents(poly)) > 1 and min(poly.values()) > 0 and not forms.shifted(poly)


def _detached(forms: Forms, largest: Node) -> Node:
    o = forms.graph.ops
    return o.detach(o.select(o.isfinite(largest), largest, 0.0))


def _largest(forms: Forms, poly: Poly) -> Node:
    """The largest exponent of the terms, detached."""
    nodes = [forms.spell(expo) if expo else forms.graph.const(0.0) for expo in _exponents(poly)]
    return _detached(forms, forms.graph.apply("max", *nodes))


def _less(expo: Linear, shift: Node) -> Linear:
    return linear_add(expo, ((((shift.id, 1.0),), 1.0),), -1.0)


def _spelled(forms: Forms, poly: Poly, shift: Node) -> Node:
    """The sum of the terms, each with its exponent less the shift."""
    total: Node | None = None
    for (expo, factors), c in sorted(poly.items(), key=lambda item: (item[1] < 0, item[0])):
        mono: Mono = (_less(expo, shift), factors)
        total = forms.plus(total, product(forms, abs(c), mono, ()), c < 0)
    assert total is not None
    return total


def ratio(forms: Forms, form: Ratio) -> Found | None:
    """(a exp(u) + ...)/(b exp(v) + ...) with the largest exponent below taken out of both."""
    top, bottom = form
    if not _shiftable(forms, bottom) or (len(top) > 1 and min(top.values()) <= 0):
        return None
    shift = _largest(forms, bottom)
    return Found(_spelled(forms, top, shift) / _spelled(forms, bottom, shift), "shift", 1)


def logarithm(forms: Forms, poly: Poly, sign: float) -> Found | None:
    """sign * log(a exp(u) + b exp(v) + ...); log1p where the terms are 1 and a small one."""
    if not _shiftable(forms, poly):
        return None
    o = forms.graph.ops
    if len(poly) == 2 and close(poly.get(ONE, 0.0), 1.0):
        ((expo, factors), c), = ((mono, c) for mono, c in poly.items() if mono != ONE)
        u = forms.spell(expo)
        far = u + o.log(o.exp(-u) + product(forms, c, ((), factors), ()))
        node = o.select(o.greater(u, 0.0), far, o.log1p(product(forms, c, (expo, factors), ())))
    else:
        shift = _largest(forms, poly)
        node = shift + o.log(_spelled(forms, poly, shift))
    return Found(forms.product(sign, [node]), "shift", 1)


def log_of_weighted_sum(forms: Forms, x: Node) -> Found | None:
    """log(sum_i b_i exp(a_i)) with the largest exponent taken out."""
    mono = _weighted(forms, x)
    if mono is None:
        return None
    graph, (expo, factors), c = forms.graph, *mono
    shift = _detached(forms, graph.reduce("max", x.attr, forms.spell(expo), x.args[1:]))
    inside = product(forms, c, (_less(expo, shift), factors), ())
    return Found(shift + graph.ops.log(graph.reduce("sum", x.attr, inside, x.args[1:])), "shift", 1)


def weighted_mean(forms: Forms, args: Sequence[Node]) -> Found | None:
    """sum_i b_i exp(a_i) / sum_i exp(c_i) as sum_i b_i exp(a_i - log of the sum below)."""
    above, below = args[0], forms.form(args[1])
    if below.bottom != UNIT or len(below.top) != 1 or not above.is_reduction or above.attr in args[1].axes:
        return None
    ((expo, factors), d), = below.top.items()
    mono = _weighted(forms, above)
    if mono is None or not any(a < 0 and forms.atoms[-a - 1].name == "logsumexp" for f, _ in expo for a, _ in f):
        return None
    (own, inner), c = mono
    body = product(forms, c / d, (linear_add(own, expo, -1.0), inner), ())
    total = forms.graph.reduce("sum", above.attr, body, above.args[1:])
    return Found(product(forms, 1.0, ((), tuple((a, -p) for a, p in factors)), [total]), "shift", 1)


def _weighted(forms: Forms, x: Node) -> tuple[Mono, float] | None:
    """The terms b exp(a) of a sum over an axis whose exponents vary over it, as (monomial, number)."""
    if not x.is_reduction or x.op != "sum" or not forms.rich(x):
        return None
    body = forms.form(x.args[0])
    if body.bottom != UNIT or len(body.top) != 1:
        return None
    (mono, c), = body.top.items()
    atoms = {a for factors, _ in mono[0] for a, _ in factors}
    varies = any(x.attr in forms.axes_of(a) for a in atoms)
    return (mono, c) if varies and not forms.shifted(body.top) else None
