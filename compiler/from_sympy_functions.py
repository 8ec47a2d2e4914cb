"""What each SymPy class means in gradc: one short rule a class, and a table of them.

Functions with an entry in the operation table and the same operands need no rule of their own; the
classes are looked up as objects, so a user's function that is called `sin` is not taken for one. Rules
run in `from_sympy_walk`; arrays and sums are in `from_sympy_sums`, choices and truth values in `from_sympy_conditions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from functools import reduce
from typing import Any

import sympy
from sympy.codegen import cfunctions, numpy_nodes
from sympy.tensor.indexed import Idx

from gradc.ir.errors import FormulaError, UnsupportedError
from gradc.ir.graph import Node, affine
from gradc.ir.table import operation, sympy_names

from . import from_sympy_conditions as conditions
from .from_sympy_sums import total
from .from_sympy_survey import shown
from .from_sympy_walk import Ask, Leaf, Rule, Scope, Steps, Translator, Value, is_whole, values_of

NumberRule = Callable[[Translator, Ask], Steps]
THIRD = sympy.Rational(1, 3)


# -- leaves -----------------------------------------------------------------------------------


def literal(expr: Any) -> int | float:
    """A SymPy number as a Python number; FormulaError beyond the range of float64."""
    if expr.is_Integer and abs(int(expr)) < 2**63:
        return int(expr)
    try:
        value = int(expr.p) / int(expr.q) if expr.is_Rational else float(expr)
    except OverflowError:
        value = math.inf
    if math.isinf(value) and not expr.is_infinite:
        raise FormulaError(
            f"the number {shown(expr, 30)} is beyond the range of float64 (1.8e308): scale the expression"
        )
    return value


def _number(_t: Translator, ask: Ask) -> Value:
    value = literal(ask.expr)
    return -value if ask.negated else value


def _symbol(t: Translator, ask: Ask) -> Value:
    bound = ask.scope.bound.get(ask.expr)
    return t.scalars[ask.expr] if bound is None else bound


# -- arithmetic -------------------------------------------------------------------------------


def is_negative(expr: Any) -> bool:
    """Whether a term is written with a minus sign."""
    first = expr.args[0] if isinstance(expr, sympy.Mul) and len(expr.args) > 1 else expr
    return isinstance(first, sympy.Number) and bool(first.is_negative)


def _add(t: Translator, ask: Ask) -> Steps:
    terms = list(ask.expr.args)
    if len(terms) > 1 and is_negative(terms[0]) and not is_negative(terms[1]):
        terms[0], terms[1] = terms[1], terms[0]  # -1 + x reads x - 1, and is the same number
    total: Value | None = None
    for term in terms:
        minus = is_negative(term)
        value = yield Ask(term, ask.scope, minus)
        if total is None:
            total = t.negative(value) if minus else value
        else:
            total = t.plus(total, value, ask.scope, minus=minus)
    return 0 if total is None else total


def _is_reciprocal(expr: Any) -> bool:
    return (
        isinstance(expr, sympy.Pow)
        and isinstance(expr.exp, sympy.Number)
        and bool(expr.exp.is_negative)
        and expr.base is not sympy.E
    )


def _mul(t: Translator, ask: Ask) -> Steps:
    """A product read as a person writes it: sign, then what is multiplied, then one division."""
    factors = _innermost_first(t, list(ask.expr.args))
    minus, divisor = ask.negated, 1
    if len(factors) > 1 and isinstance(factors[0], sympy.Rational):
        first = factors[0]
        minus ^= bool(first.is_negative)
        if first.p in (1, -1) and (first.q > 1 or first.is_negative):
            divisor = int(first.q)  # x/3 divides by 3: exact, where 0.333... * x is not
            factors = factors[1:]
        elif first.is_negative:
            factors[0] = -first
    elif factors and isinstance(factors[0], sympy.Number) and factors[0].is_negative:
        minus, factors[0] = not minus, -factors[0]
    above, below = yield from _gather(t, factors, ask.scope)
    if divisor > 1:
        below.insert(0, divisor)
    product: Value = 1.0 if below else 1
    if above:
        product = reduce(lambda a, b: t.times(a, b, ask.scope), above)
    if below:
        product = t.apply("div", product, reduce(lambda a, b: t.times(a, b, ask.scope), below))
    return t.negative(product) if minus else product


def _innermost_first(t: Translator, factors: list[Any]) -> list[Any]:
    """Functions in the order in which the formula needs them: flattened products then share their beginnings.

    SymPy makes one product of sin(e) e for a product e, and puts the inner functions last where a Dummy is below.
    """
    functions = [k for k, factor in enumerate(factors) if isinstance(factor, sympy.Function)]
    if len(factors) > 2 and len(functions) > 1 and all(id(factors[k]) in t.survey.places for k in functions):
        ordered = sorted((factors[k] for k in functions), key=lambda factor: t.survey.places[id(factor)])
        for k, factor in zip(functions, ordered, strict=True):
            factors[k] = factor
    return factors


def _gather(
    t: Translator, factors: Iterable[Any], scope: Scope
) -> Generator[Ask, Value, tuple[list[Value], list[Value]]]:
    """The values of the factors above and below the line of a fraction."""
    above: list[Value] = []
    below: list[Value] = []
    signs: list[tuple[int, Value]] = []
    roots: list[tuple[int, Value]] = []
    logs: list[tuple[int, Value]] = []
    bases: list[tuple[int, int]] = []
    for factor in factors:
        if isinstance(factor, sympy.Number):
            above.append(literal(factor))  # a coefficient may be new, so the survey does not know it
        elif _is_reciprocal(factor):
            if _is_log_of(factor, (2, 10)):
                bases.append((len(below), int(factor.base.args[0])))
            value = yield Ask(factor.base, scope)
            below.append((yield from _power(t, factor.base, value, -factor.exp, scope)))
        else:
            if isinstance(factor, sympy.sign):
                signs.append((len(above), (yield Ask(factor.args[0], scope))))
            elif isinstance(factor, sympy.Pow) and factor.exp == THIRD and isinstance(factor.base, sympy.Abs):
                roots.append((len(above), (yield Ask(factor.base.args[0], scope))))
            elif isinstance(factor, sympy.log) and len(factor.args) == 1:
                logs.append((len(above), (yield Ask(factor.args[0], scope))))
            above.append((yield Ask(factor, scope)))
    for (place, of), (other, under) in zip(signs, roots, strict=False):
        if of is under:  # sign(x)*Abs(x)**(1/3) is how SymPy spells the real cube root
            above[place] = t.apply("cbrt", of)
            del above[other]
            break
    else:
        if logs and bases:  # log(x)/log(2) is how SymPy spells log(x, 2)
            above[logs[0][0]] = t.apply(f"log{bases[0][1]}", logs[0][1])
            del below[bases[0][0]]
    return above, below


def _is_log_of(expr: Any, bases: tuple[int, ...]) -> bool:
    return (
        expr.exp == -1
        and isinstance(expr.base, sympy.log)
        and len(expr.base.args) == 1
        and expr.base.args[0].is_Integer
        and int(expr.base.args[0]) in bases
    )


def _pow(t: Translator, ask: Ask) -> Steps:
    base, exponent = ask.expr.args
    if base is sympy.E:
        return t.apply("exp", (yield Ask(exponent, ask.scope)))
    return (yield from power(t, base, (yield Ask(base, ask.scope)), exponent, ask.scope))


def power(t: Translator, base: Any, value: Value, exponent: Any, scope: Scope) -> Steps:
    """value ** exponent for an exponent of either sign; `base` is what the value is of."""
    if isinstance(exponent, sympy.Number) and exponent.is_negative:
        return t.apply("div", 1.0, (yield from _power(t, base, value, -exponent, scope)))
    return (yield from _power(t, base, value, exponent, scope))


def _power(t: Translator, base: Any, value: Value, exponent: Any, scope: Scope) -> Steps:
    """value ** exponent; a literal exponent is positive (the sign has made a division)."""
    if not isinstance(exponent, sympy.Number):
        return t.apply("pow", t.real(value), (yield Ask(exponent, scope)))
    power = literal(exponent)
    if power == 1:
        return value
    if isinstance(base, sympy.Number) and base.is_negative and not exponent.is_integer:
        raise UnsupportedError(f"({shown(base)})**({shown(exponent)}) makes the result complex: gradc computes with "
                               "real numbers; write real_root(...) for the real root of a negative number")
    if power == 0.5:
        return t.apply("sqrt", t.real(value))
    if exponent == THIRD and (isinstance(base, sympy.Abs) or (base.is_Symbol and base.is_nonnegative)):
        return t.apply("cbrt", value)
    if scope.integer and is_whole(value) and isinstance(power, int) and 0 < power <= 8:
        return reduce(lambda a, b: t.times(a, b, scope), [value] * power)
    return t.apply("pow", t.real(value), power)


def _whole_ratio(t: Translator, expr: Any, scope: Scope) -> Generator[Ask, Value, tuple[Value, int] | None]:
    """(a, q) where the expression is a/q with an integer a and a literal q > 1; else None."""
    terms: list[tuple[Any, tuple[Any, ...]]] = []
    for term in expr.args if isinstance(expr, sympy.Add) else (expr,):
        if isinstance(term, sympy.Rational):
            terms.append((term, ()))
        elif isinstance(term, sympy.Mul) and isinstance(term.args[0], sympy.Rational):
            terms.append((term.args[0], term.args[1:]))
        else:
            terms.append((sympy.S.One, (term,)))
    divisor = math.lcm(*(int(coefficient.q) for coefficient, _ in terms))
    if divisor == 1:
        return None
    whole = scope._replace(integer=True)
    total: Value = 0
    for coefficient, factors in terms:
        product: Value = int(coefficient * divisor)
        for factor in factors:
            value = yield Ask(factor, whole)
            if not is_whole(value):
                return None
            product = t.apply("mul", product, value)
        total = t.apply("add", total, product)
    return total, divisor


def _rounded(t: Translator, ask: Ask) -> Steps:
    """floor and ceiling; of a quotient of integers they stay integers."""
    up = isinstance(ask.expr, sympy.ceiling)
    ratio = yield from _whole_ratio(t, ask.expr.args[0], ask.scope)
    if ratio is not None and isinstance(ratio[0], Node):
        above, divisor = (t.negative(ratio[0]) if up else ratio[0]), ratio[1]
        assert isinstance(above, Node)
        atoms, offset = affine(above)
        whole = t.apply("floordiv", above, divisor) if atoms else t.graph.dim(offset // divisor)
        return t.negative(whole) if up else whole
    value = yield Ask(ask.expr.args[0], ask.scope)
    return value if is_whole(value) else t.apply("ceil" if up else "floor", value)


# -- functions that the table has under other operands ----------------------------------------


def _of_table(op: str) -> NumberRule:
    """The rule of a function whose operands are those of an operation of the table."""
    integers = operation(op).integers

    def rule(t: Translator, ask: Ask) -> Steps:
        values: list[Value] = []
        for position, operand in enumerate(ask.expr.args):
            if position in integers:
                values.append((yield from _order(ask, position)))
            else:
                values.append((yield Ask(operand, ask.scope)))
        return t.apply(op, *values)

    return rule


def _order(ask: Ask, position: int) -> Steps:
    """The order of a Bessel function or the like, a whole number."""
    value = yield Ask(ask.expr.args[position], ask.scope._replace(integer=True))
    if not is_whole(value):
        raise UnsupportedError(
            f"the order {shown(ask.expr.args[position])} of {shown(ask.expr)} is not a whole "
            "number: use an integer, or a symbol made with integer=True"
        )
    return value


def _bessel(general: str, zero: str, one: str) -> Rule:
    """The orders 0 and 1 have operations of their own."""
    rule_of_order = _of_table(general)

    def rule(t: Translator, ask: Ask) -> Steps:
        order = ask.expr.args[0]
        if order in (0, 1):
            return t.apply(one if order else zero, (yield Ask(ask.expr.args[1], ask.scope)))
        return (yield from rule_of_order(t, ask))

    return rule


def _from_order_zero(op: str, zero: str = "") -> Rule:
    """polygamma and expint, which have no negative orders here; `zero` is the operation of order 0."""
    rule_of_order = _of_table(op)

    def rule(t: Translator, ask: Ask) -> Steps:
        order = ask.expr.args[0]
        if isinstance(order, sympy.Number) and order.is_negative:
            raise UnsupportedError(
                f"{shown(ask.expr)} has a negative order: gradc has {type(ask.expr).__name__} of the "
                "orders 0, 1, 2, ..."
            )
        if zero and order == 0:
            return t.apply(zero, (yield Ask(ask.expr.args[1], ask.scope)))
        return (yield from rule_of_order(t, ask))

    return rule


def _formula(formula: Callable[..., Value]) -> Rule:
    """The rule of a function that is a short formula of its operands' values."""

    def rule(t: Translator, ask: Ask) -> Steps:
        return formula(t, *(yield from values_of(ask.expr.args, ask.scope)))

    return rule


def log_of(t: Translator, ask: Ask) -> Steps:
    """log(x), and log(x, b)."""
    value, *bases = yield from values_of(ask.expr.args, ask.scope)
    base = bases[0] if bases else None
    if base is None:
        return t.apply("log", value)
    if not isinstance(base, Node) and base in (2, 10):
        return t.apply(f"log{int(base)}", value)
    return t.apply("div", t.apply("log", value), t.apply("log", base))


def _binomial(t: Translator, ask: Ask) -> Steps:
    """binomial(n, k): a product for a small literal k, else 1/((n + 1) B(n - k + 1, k + 1)); DLMF 1.2.6."""
    n, k = ask.expr.args
    top = t.real((yield Ask(n, ask.scope)))
    if k.is_Integer and 0 < int(k) <= 8:
        factors = [top if j == 0 else t.apply("sub", top, float(j)) for j in range(int(k))]
        product = reduce(lambda a, b: t.apply("mul", a, b), factors)
        return t.apply("div", product, float(math.factorial(int(k)))) if int(k) > 1 else product
    down = t.real((yield Ask(k, ask.scope)))
    rest = t.apply("add", t.apply("sub", top, down), 1.0)
    beta = t.apply("beta", rest, t.apply("add", down, 1.0))
    return t.apply("div", 1.0, t.apply("mul", t.apply("add", top, 1.0), beta))


def _heaviside(t: Translator, ask: Ask) -> Steps:
    """(1 + sign(x))/2 with the given value at 0: a NaN stays one, and the derivative is 0 as sign's."""
    x = yield Ask(ask.expr.args[0], ask.scope)
    step = t.apply("mul", 0.5, t.apply("add", 1.0, t.apply("sign", t.real(x))))
    if ask.expr.args[1] == sympy.S.Half:
        return step
    at_zero = yield Ask(ask.expr.args[1], ask.scope)
    return t.apply("select", t.graph.apply("eq", x, 0), t.real(at_zero), step)


def _kronecker(t: Translator, ask: Ask) -> Steps:
    left = yield Ask(ask.expr.args[0], ask.scope)
    right = yield Ask(ask.expr.args[1], ask.scope)
    one, zero = (1, 0) if ask.scope.integer else (1.0, 0.0)
    test = t.apply("eq", left, right)
    return t.apply("select", test, one, zero) if isinstance(test, Node) else one if test else zero


def _identity(_t: Translator, ask: Ask) -> Steps:
    return (yield Ask(ask.expr.args[0], ask.scope))


# -- the table --------------------------------------------------------------------------------


def _classes() -> dict[type, str]:
    """SymPy's classes with an entry of the same operands, looked up as objects, never by a user's name."""
    found: dict[type, str] = {}
    for name, op in sympy_names().items():
        kind = getattr(sympy, name, None)
        if isinstance(kind, type):
            found[kind] = op
    found.update(
        {
            cfunctions.expm1: "expm1",
            cfunctions.log1p: "log1p",
            cfunctions.exp2: "exp2",
            cfunctions.log2: "log2",
            cfunctions.log10: "log10",
            cfunctions.Sqrt: "sqrt",
            cfunctions.Cbrt: "cbrt",
            cfunctions.hypot: "hypot",
            numpy_nodes.logaddexp: "logaddexp",
        }
    )
    for name, same in (("maximum", sympy.Max), ("minimum", sympy.Min)):     # of SymPy 1.14
        if hasattr(numpy_nodes, name):
            found[getattr(numpy_nodes, name)] = found[same]
    return found


def _rules() -> dict[type, Rule]:
    found: dict[type, Rule] = {kind: _of_table(op) for kind, op in _classes().items()}
    found.update(
        {
            sympy.Add: _add,
            sympy.Mul: _mul,
            sympy.Pow: _pow,
            sympy.floor: _rounded,
            sympy.ceiling: _rounded,
            sympy.Heaviside: _heaviside,
            sympy.KroneckerDelta: _kronecker,
            sympy.binomial: _binomial,
            sympy.Sum: total,
            sympy.Product: total,
            sympy.besselj: _bessel("jn", "j0", "j1"),
            sympy.bessely: _bessel("yn", "y0", "y1"),
            sympy.besseli: _bessel("besseli", "i0", "i1"),
            sympy.polygamma: _from_order_zero("polygamma", "digamma"),
            sympy.expint: _from_order_zero("expint"),
            sympy.sinc: _formula(lambda t, x: t.apply("sinc_derivative", 0, t.real(x))),
            sympy.frac: _formula(lambda t, x: t.apply("mod", t.real(x), 1.0)),
            sympy.factorial: _formula(lambda t, n: t.apply("gamma", t.apply("add", t.real(n), 1.0))),
            sympy.trigamma: _formula(lambda t, x: t.apply("polygamma", 1, x)),
            sympy.erf2: _formula(lambda t, a, b: t.apply("sub", t.apply("erf", b), t.apply("erf", a))),
            sympy.erfcinv: _formula(lambda t, x: t.apply("erfinv", t.apply("sub", 1.0, x))),
            cfunctions.fma: _formula(lambda t, a, b, c: t.apply("add", t.apply("mul", a, b), c)),
        }
    )
    found.update(dict.fromkeys([sympy.re, sympy.conjugate, sympy.UnevaluatedExpr], _identity))
    return found


def _leaves() -> dict[type, Leaf]:
    numbers = [
        type(n)
        for n in (
            sympy.S.Zero,
            sympy.S.One,
            sympy.S.NegativeOne,
            sympy.S.Half,
            sympy.pi,
            sympy.E,
            sympy.EulerGamma,
            sympy.GoldenRatio,
            sympy.TribonacciConstant,
            sympy.Catalan,
            sympy.oo,
            -sympy.oo,
        )
    ]
    found: dict[type, Leaf] = dict.fromkeys([*numbers, sympy.Integer, sympy.Rational, sympy.Float], _number)
    found.update(dict.fromkeys([sympy.Symbol, sympy.Dummy, sympy.Wild, Idx], _symbol))
    found[sympy.im] = lambda t, ask: 0  # every value is real
    return found


RULES = _rules() | conditions.RULES
LEAVES = _leaves() | conditions.LEAVES
KNOWN = frozenset({*RULES, *LEAVES, sympy.Derivative, sympy.Subs})
