"""Formulas as people write them, compiled, and measured as the operations' rules are.

Every operation that a formula can name is one; the compounds are expressions that lose their digits unless
they are rewritten. Value, gradient and second derivatives are Functions that the compiler made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flint import arb, arb_series

import gradc
from gradc.ir.table import OPERATIONS, Operation

from .measure import Error, normalised, quantities, ulps
from .truth import ONE, SERIES, VALUES, Truth, cosh, differences, power, series, sinh, truth, truth_of

NAMES = ("x", "y", "z")
Domain = tuple[tuple[float, float], ...]


class Program(NamedTuple):
    """A formula, the truth about it at a point, its range, and which operands are integers."""

    formula: str
    truth: Callable[[Sequence[float]], Truth]
    domain: Domain
    integers: tuple[int, ...] = ()
    bounds: tuple[float, float] = (4.0, 16.0)

    @property
    def real(self) -> list[int]:
        """The operands that derivatives are taken by."""
        return [i for i in range(len(self.domain)) if i not in self.integers]


def compound(formula: str, series: Callable[..., arb_series], *domain: tuple[float, float],
             bounds: tuple[float, float] = (4.0, 16.0)) -> Program:
    return Program(formula, lambda point: truth_of(series, point), domain, bounds=bounds)


def _phi(x: arb_series) -> arb_series:
    return (-x / arb(2).sqrt()).erfc() / 2


def _logistic(x: arb_series) -> arb_series:
    return ONE / (ONE + (-x).exp())


def _tanh(x: arb_series) -> arb_series:
    return sinh(x) / cosh(x)


WIDE = (-40.0, 40.0)
COMPOUNDS = (
    compound("1 / (1 + exp(-x))", _logistic, WIDE),
    compound("exp(x) / (1 + exp(x))", _logistic, WIDE),
    compound("0.5 * (1 + tanh(0.5 * x))", _logistic, WIDE),
    compound("log(1 + exp(x))", lambda x: (ONE + x.exp()).log(), WIDE),
    compound("log(exp(-x) + 1)", lambda x: (ONE + (-x).exp()).log(), WIDE),
    compound("log(cosh(x))", lambda x: cosh(x).log(), (-30.0, 30.0)),
    compound("1 - tanh(x)**2", lambda x: ONE / (cosh(x) * cosh(x)), (-30.0, 30.0)),
    compound("sqrt(1 + x**2)", lambda x: (ONE + x * x).sqrt(), (-1e4, 1e4)),
    compound("x / sqrt(1 + x**2)", lambda x: x / (ONE + x * x).sqrt(), (-1e4, 1e4)),
    compound("sqrt(x**2 + y**2)", lambda x, y: (x * x + y * y).sqrt(), (-20.0, 20.0), (-20.0, 20.0)),
    compound("0.5 * x * (1 + erf(x / sqrt(2)))", lambda x: x * _phi(x), (-6.0, 6.0)),
    compound("x * sigmoid(x)", lambda x: x * _logistic(x), WIDE),
    compound("sin(x) / x", lambda x: x.sin() / x, (-30.0, 30.0)),
    compound("x * log(x)", lambda x: x * x.log(), (1e-8, 1e8)),
    compound("exp(x) - 1", lambda x: x.exp() - 1, (-30.0, 30.0)),
    compound("log(1 + x)", lambda x: (ONE + x).log(), (-0.999, 1e3)),
    compound("log(exp(x) + exp(y))", lambda x, y: (x.exp() + y.exp()).log(), WIDE, WIDE),
    compound("1 - erf(x)", lambda x: x.erfc(), (-5.0, 25.0)),
    compound("(exp(x) - exp(-x)) / 2", sinh, (-30.0, 30.0)),
    compound("exp(-x**2)", lambda x: (-(x * x)).exp(), (-25.0, 25.0)),
    compound("1 / (1 + x**2)", lambda x: ONE / (ONE + x * x), (-1e3, 1e3)),
    compound("x * tanh(log(1 + exp(x)))", lambda x: x * _tanh((ONE + x.exp()).log()), WIDE),
    compound("log(1 + y * exp(x))", lambda x, y: (ONE + y * x.exp()).log(), (-300.0, 300.0), (0.1, 10.0),
             bounds=(12.0, 24.0)),
    compound("exp(-x - exp(-x))", lambda x: (-x - (-x).exp()).exp(), (-6.0, 300.0)),
    compound("sqrt(1 / (1 + exp(-x)))", lambda x: _logistic(x).sqrt(), (-300.0, 300.0)),
    compound("x / (exp(x) - 1)", lambda x: x / (x.exp() - 1), (1e-6, 300.0), bounds=(8.0, 16.0)),
    compound("x**2 * exp(x) / (exp(x) - 1)**2", lambda x: (x / (2 * sinh(x / 2))) ** 2, (1e-6, 300.0),
             bounds=(8.0, 200.0)),
    compound("x / sin(x)", lambda x: x / x.sin(), (1e-6, 3.0), bounds=(8.0, 16.0)),
    compound("1 / sqrt(1 - x**2) - 1", lambda x: (ONE - x * x).rsqrt() - 1, (-0.99, 0.99)),
    compound("(1 + x)**2.5 - 1", lambda x: power(ONE + x, series(2.5)) - 1, (-0.9, 5.0)),
    compound("x + sqrt(x**2 + 1)", lambda x: ONE / ((x * x + 1).sqrt() - x), (-1e4, 10.0), bounds=(8.0, 16.0)),
    compound("log(cos(x))", lambda x: x.cos().log(), (-1.5, 1.5)),
    compound("log(x * 3) * x**2", lambda x: (3 * x).log() * x * x, (1e-8, 1e8)),
)


def ordered(op: str, order: int, *domain: tuple[float, float]) -> Program:
    """A special function of constant order, which the rules treat by functions of that order."""

    def true(point: Sequence[float]) -> Truth:
        return truth_of(lambda x: VALUES[op](order, x), point, along=differences, bits=800)

    return Program(f"{op}({order}, x)", true, domain, bounds=OPERATIONS[op].ulps)


def raised(exponent: float) -> Program:
    """A power with a constant exponent: whole, exact when one is taken off, or not."""
    if exponent == 1.0:  # whose second derivative is exactly 0
        return compound("x ** 1.0", lambda x: x, (1e-50, 1e50))
    return compound(f"x ** {exponent}", lambda x: power(x, series(exponent)), (1e-50, 1e50))


CONSTANT_OPERANDS = (
    *(
        raised(exponent)
        for exponent in (0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 2.5, -1.5, 0.1, -0.7, 1.0 / 3.0, 1e-3)
    ),
    *(ordered("jn", order, (-20.0, 20.0)) for order in (0, 1, 2)),
    *(ordered("yn", order, (0.1, 20.0)) for order in (0, 1, 2)),
    *(ordered("besseli", order, (-20.0, 20.0)) for order in (0, 1, 2)),
    *(ordered("expint", order, (0.01, 20.0)) for order in (0, 1, 2)),
)

OPERATORS = {"add": "x + y", "sub": "x - y", "mul": "x * y", "div": "x / y", "floordiv": "x // y",
             "mod": "x % y", "pow": "x ** y", "neg": "-x"}  # fmt: skip


def of_operation(op: str) -> Program | None:
    """The formula that is one operation of the table; None where no formula can name it."""
    entry: Operation = OPERATIONS[op]
    names = NAMES[: len(entry.domain)]
    if op not in SERIES and op not in VALUES:
        return None
    if op not in OPERATORS and not entry.formula:
        return None
    formula = OPERATORS[op] if op in OPERATORS else f"{entry.formula[0]}({', '.join(names)})"
    return Program(formula, lambda point: truth(op, point), entry.domain, entry.integers, entry.ulps)


def functions(program: Program, *, jit: bool) -> dict[str, Callable[..., Any]]:
    """Value ("") and derivatives ("0", "01") of a program as compiled Functions."""
    args = {NAMES[i]: "int" for i in program.integers}
    found: dict[str, Callable[..., Any]] = {}
    for i in program.real:
        value = gradc.compile(program.formula, args=args, wrt=(NAMES[i],), jit=jit)
        found[""] = value
        first = found[f"{i}"] = value.grad
        for j in program.real:
            if j >= i:
                outer = gradc.Function(first.graph, (NAMES[j],), first.options, prepared=first.prepared)
                found[f"{i}{j}"] = outer.grad
    return found


def measure_program(program: Program, points: Sequence[tuple[float, ...]], *, jit: bool) -> list[Error]:
    """The largest errors of value, first and second derivatives, as `measure` gives them."""
    compiled = functions(program, jit=jit)
    worst = [Error(), Error(), Error()]
    for point in points:
        operands = [int(v) if i in program.integers else v for i, v in enumerate(point)]
        arguments = dict(zip(NAMES, operands, strict=False))
        for key, quantity in quantities(program.truth(point)).items():
            function = compiled[key]
            computed = float(function(**{name: arguments[name] for name in function.args}))  # type: ignore[attr-defined]
            raw = ulps(computed, quantity.value)
            worst[len(key)] = worst[len(key)].worse(raw, normalised(raw, quantity), point, key)
    return worst
