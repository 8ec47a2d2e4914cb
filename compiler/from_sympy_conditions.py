"""What SymPy's choices and truth values mean in gradc: `Piecewise`, `ITE`, and what joins conditions.

A branch is evaluated where it is taken and a later operand where the earlier ones leave the outcome open, so each is
asked for under the conditions before it. Comparisons are operations of the table, and numbers are left to
`from_sympy_functions`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import reduce
from typing import Any

import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue, Xnor

from gradc.ir.graph import Node

from .from_sympy_survey import operands_of
from .from_sympy_walk import Ask, Leaf, Rule, Scope, Steps, Translator, Value, values_of


def _piecewise(t: Translator, ask: Ask) -> Steps:
    """The first branch whose condition holds, each evaluated where it is taken; nan where none is."""
    scope, branches = ask.scope, []
    result: Value = math.nan
    parts = operands_of(ask.expr)
    for expr, condition in zip(parts[::2], parts[1::2], strict=True):
        test = t.condition((yield Ask(condition, scope)))
        if test is False:
            continue
        inside = t.under(scope, test, True)
        value = math.nan if expr is sympy.nan else (yield Ask(expr, inside))
        if test is True:
            result = value
            break
        branches.append((test, value))
        scope = t.under(scope, test, False)
    for test, value in reversed(branches):
        result = t.apply("select", test, value, result)
    return result


def _either(t: Translator, ask: Ask) -> Steps:
    """ITE(c, a, b)."""
    test = t.condition((yield Ask(ask.expr.args[0], ask.scope)))
    if isinstance(test, bool):
        return (yield Ask(ask.expr.args[1 if test else 2], ask.scope))
    then = yield Ask(ask.expr.args[1], t.under(ask.scope, test, True))
    other = yield Ask(ask.expr.args[2], t.under(ask.scope, test, False))
    return t.apply("select", test, then, other)


def _joined(t: Translator, operands: Iterable[Any], scope: Scope, op: str) -> Steps:
    """And, Or: literals are absorbed; the later operands are evaluated where the earlier leave it open."""
    found: Value | None = None
    absorbing = op == "or"
    for operand in operands:
        value = t.condition((yield Ask(operand, scope)))
        if value is absorbing:
            return absorbing
        if isinstance(value, Node):
            found = value if found is None else t.apply(op, found, value)
            scope = t.under(scope, value, not absorbing)
    return (not absorbing) if found is None else found


def _and(t: Translator, ask: Ask) -> Steps:
    return (yield from _joined(t, ask.expr.args, ask.scope, "and"))


def _or(t: Translator, ask: Ask) -> Steps:
    return (yield from _joined(t, ask.expr.args, ask.scope, "or"))


def _nand(t: Translator, ask: Ask) -> Steps:
    return _not_value(t, (yield from _and(t, ask)))


def _nor(t: Translator, ask: Ask) -> Steps:
    return _not_value(t, (yield from _or(t, ask)))


def _not(t: Translator, ask: Ask) -> Steps:
    return _not_value(t, t.condition((yield Ask(ask.expr.args[0], ask.scope))))


def _not_value(t: Translator, value: Value) -> Value:
    return t.apply("not", value) if isinstance(value, Node) else not value


def _xor(t: Translator, ask: Ask) -> Steps:
    """True for an odd number of true operands (Xnor: an even one)."""
    total: Value = isinstance(ask.expr, Xnor)
    for operand in ask.expr.args:
        value = t.condition((yield Ask(operand, ask.scope)))
        if not isinstance(value, Node):
            total = _not_value(t, total) if value else total
        elif not isinstance(total, Node):
            total = _not_value(t, value) if total else value
        else:
            total = t.apply("not_equal", total, value)
    return total


def _implies(t: Translator, ask: Ask) -> Steps:
    test = t.condition((yield Ask(ask.expr.args[0], ask.scope)))
    if test is False:
        return True
    value = t.condition((yield Ask(ask.expr.args[1], t.under(ask.scope, test, True))))
    if test is True or value is True:
        return value
    negated = _not_value(t, test)
    return t.apply("or", negated, value) if isinstance(value, Node) else negated


def _equivalent(t: Translator, ask: Ask) -> Steps:
    values = yield from values_of(ask.expr.args, ask.scope)
    for value in values:
        t.condition(value)
    tests = [t.apply("eq", values[0], value) for value in values[1:]]
    return reduce(lambda a, b: t.apply("and", a, b), tests)


RULES: dict[type, Rule] = {
    sympy.Piecewise: _piecewise,
    sympy.ITE: _either,
    sympy.And: _and,
    sympy.Or: _or,
    sympy.Not: _not,
    sympy.Nand: _nand,
    sympy.Nor: _nor,
    sympy.Xor: _xor,
    Xnor: _xor,
    sympy.Implies: _implies,
    sympy.Equivalent: _equivalent,
}
LEAVES: dict[type, Leaf] = {BooleanTrue: lambda t, ask: True, BooleanFalse: lambda t, ask: False}
