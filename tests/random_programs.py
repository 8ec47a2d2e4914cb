"""Random formulas with sums, guards, gathers, shifted reads and choices, and a third meaning for them.

A formula is Python syntax, so Python itself can evaluate it: `evaluated` is an oracle that shares no line
with the compiler. Programs are made by a `random.Random`, which Hypothesis can stand behind.
"""

from __future__ import annotations

import builtins
import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

SHAPES = {"x": "", "y": "", "a": "n", "b": "m", "A": "n m", "B": "n n", "T": "m n m", "idx": "int n", "k": "int"}
ARRAYS = {"a": "n", "b": "m", "A": "nm", "B": "nn", "T": "mnm"}
Scope = list[tuple[str, str]]           # index names in sight, and the dimension that each runs over


class Programs:
    """Makes formulas over the arguments of SHAPES."""

    def __init__(self, random: random.Random) -> None:
        self.random, self.count = random, 0

    def formula(self, depth: int) -> str:
        """One formula, sometimes with a named intermediate value."""
        total = self.reduction(depth, []) if self.chance(0.8) else self.expression(depth, [])
        if self.chance(0.3):
            return f"q = {self.expression(depth - 1, [])}\n{total} + q * x + sin(q)"
        return total

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def index(self, dim: str, scope: Scope) -> str:
        own = [name for name, other in scope if other == dim]
        if own and self.chance(0.85):
            return self.pick(*own)
        rows = [name for name, other in scope if other == "n"]
        if dim == "m" and rows and self.chance(0.6):
            return f"idx[{self.pick(*rows)}]"
        return self.pick("0", "-1")

    def read(self, scope: Scope) -> str:
        name = self.pick(*ARRAYS)
        own = [v for v, dim in scope if dim == ARRAYS[name]]
        if own and self.chance(0.35):                           # a neighbour, guarded at the border
            v, shift = self.pick(*own), self.pick("1", "1", "2")
            if self.chance(0.5):
                return f"({name}[{v}-{shift}] if {v} >= {shift} else {self.leaf(scope)})"
            return f"({name}[{v}+{shift}] if {v} + {shift} < {ARRAYS[name]} else {self.leaf(scope)})"
        return f"{name}[{', '.join(self.index(dim, scope) for dim in ARRAYS[name])}]"

    def leaf(self, scope: Scope) -> str:
        kind = self.random.random()
        if kind < 0.12:
            return self.pick("1", "2", "0.5", "1.5", "0", "pi")
        if kind < 0.25:
            return self.pick("x", "y")
        if kind < 0.32 and scope:
            return self.random.choice(scope)[0]
        return self.pick("n", "m", "k") if kind < 0.36 else self.read(scope)

    def condition(self, depth: int, scope: Scope) -> str:
        kind = self.random.random()
        if scope and kind < 0.5:
            v, dim = self.random.choice(scope)
            own = [f"{v} * {v} - 1", f"{v} // 2 + 1", f"{v} % 2", *([f"idx[{v}]"] if dim == "n" else [])]
            other = self.pick(*(name for name, _ in scope), "1", "k", self.pick(*own))
            return f"{v} {self.pick('<', '<=', '>', '>=', '==', '!=')} {other}"
        if kind < 0.6:
            joint = self.pick("and", "or")
            return f"{self.condition(depth - 1, scope)} {joint} {self.condition(depth - 1, scope)}" \
                if depth > 0 else "x > 0"
        if kind < 0.66:
            return f"not ({self.condition(depth - 1, scope)})" if depth > 0 else "y < x"
        if kind < 0.72:
            inner = self.read([*scope, ("c", "n")])
            return f"{self.pick('any', 'all')}({inner} > {self.pick('0', '-1')} for c in range(n))"
        return f"{self.expression(depth - 1, scope)} {self.pick('<', '>')} {self.pick('0.1', '-0.3')}"

    def reduction(self, depth: int, scope: Scope) -> str:
        name = self.pick("sum", "sum", "sum", "sum", "prod", "max", "min", "logsumexp", "mean")
        generators, inner = [], list(scope)
        for _ in range(self.random.choice((1, 1, 2))):
            self.count += 1
            v, dim = f"i{self.count}", self.pick("n", "n", "m")
            same = [w for w, other in inner if other == dim]
            kind = self.random.random() if name in ("sum", "prod") else 1.0
            span = self.pick(*same) if kind < 0.12 and same else f"1, {dim}" if kind < 0.2 else dim
            inner = [*inner, (v, dim)]
            test = f" if {self.condition(min(depth - 1, 1), inner)}" if self.chance(0.3) else ""
            generators.append(f"for {v} in range({span}){test}")
        return f"{name}({self.expression(depth - 1, inner)} {' '.join(generators)})"

    def expression(self, depth: int, scope: Scope) -> str:
        if depth <= 0:
            return self.leaf(scope)
        kind = self.random.random()
        if kind < 0.3:
            return self.reduction(depth, scope)

        def part() -> str:
            return self.expression(depth - 1, scope)

        if kind < 0.42:
            return f"{self.pick('sin', 'tanh', 'sigmoid', 'atan', 'cos')}({part()})"
        if kind < 0.5:
            return f"exp({self.pick('-abs', 'sin')}({part()}))" if self.chance(0.6) else f"sqrt(1 + ({part()})**2)"
        if kind < 0.56:
            return f"({part()} if {self.condition(depth - 1, scope)} else {part()})"
        if kind < 0.62:
            return f"{self.pick('max', 'min')}({part()}, {part()})"
        if kind < 0.66:
            return f"{part()} / (1 + ({self.expression(depth - 2, scope)})**2)"
        if kind < 0.69:
            return f"({part()})**{self.pick('2', '3')}"
        return f"({part()} {self.pick('+', '-', '*', '*')} {part()})"


def arguments(seed: int, n: int, m: int) -> dict[str, Any]:
    """Values for SHAPES."""
    numbers = np.random.default_rng(seed)
    return {"x": float(numbers.standard_normal()), "y": float(numbers.standard_normal()),
            "a": numbers.standard_normal(n), "b": numbers.standard_normal(m),
            "A": numbers.standard_normal((n, m)), "B": numbers.standard_normal((n, n)),
            "T": numbers.standard_normal((m, n, m)), "idx": numbers.integers(0, m, n),
            "k": int(numbers.integers(-1, 4))}


# -- Python's own meaning -----------------------------------------------------------------------


class EmptyReductionError(Exception):
    """A reduction without a value."""


def _listed(terms: Iterable[Any]) -> list[Any]:
    found = list(terms)
    if not found:
        raise EmptyReductionError
    return found


def _logsumexp(terms: Iterable[float]) -> float:
    found = _listed(terms)
    top = builtins.max(found)
    return top + math.log(sum(math.exp(term - top) for term in found))


def _mean(terms: Iterable[float]) -> float:
    found = _listed(terms)
    return sum(found) / len(found)


def _extremum(choose: Any) -> Any:
    return lambda *args: choose(_listed(args[0]) if len(args) == 1 else args)


_MEANING = {
    "__builtins__": {}, "sum": builtins.sum, "prod": math.prod, "any": any, "all": all, "range": range,
    "abs": abs, "max": _extremum(builtins.max), "min": _extremum(builtins.min), "mean": _mean,
    "logsumexp": _logsumexp, "sin": math.sin, "cos": math.cos, "tanh": math.tanh, "atan": math.atan,
    "exp": math.exp, "sqrt": math.sqrt, "pi": math.pi, "sigmoid": lambda x: 1.0 / (1.0 + math.exp(-x)),
}


def evaluated(formula: str, values: Mapping[str, Any]) -> float:
    """The value of a formula by Python itself; EmptyReductionError where it has none."""
    names = {**_MEANING, **values, "n": len(values["a"]), "m": len(values["b"])}
    *statements, last = formula.split("\n")
    for statement in statements:
        name, _, expression = statement.partition(" = ")
        names[name] = eval(expression, names)
    return float(eval(last, names))
