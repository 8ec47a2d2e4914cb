"""SymPy's own values and derivatives, in high precision, for the tests of the SymPy front end.

`spelled_out` writes every Sum and Product as the terms that it stands for, so nothing of gradc's treatment
of bounds, guards and axes is shared with the reference.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy
from sympy.tensor.indexed import Indexed

from gradc.compiler.derive import gradient
from gradc.compiler.from_sympy import convert
from gradc.compiler.passes import prepare
from gradc.ir.interpret import evaluate
from gradc.ir.text import from_text, to_text
from gradc.ir.verify import verify

DIGITS = 40


def converted(expr: Any, args: Any = None) -> Any:
    """The graph of an expression, verified, and equal to what its text form gives back."""
    graph = convert(expr, args)
    verify(graph)
    assert to_text(from_text(to_text(graph))) == to_text(graph)
    return graph


def value_of(expr: Any, point: Mapping[Any, Any], args: Any = None) -> Any:
    """gradc's value of an expression at a point that maps symbols to numbers or arrays."""
    graph = converted(expr, args)
    named = {str(symbol): value for symbol, value in point.items()}
    return evaluate(graph, {name: named[name] for name in graph.inputs})[0]


def gradient_of(expr: Any, point: Mapping[Any, Any], args: Any = None) -> dict[str, Any]:
    """gradc's derivatives by every real argument, by name."""
    graph = converted(expr, args)
    wrt = [name for name, node in graph.inputs.items() if node.dtype.startswith("float")]
    derived = gradient(prepare(graph), wrt, with_value=False, kinks="subgradient")
    verify(derived)
    named = {str(symbol): value for symbol, value in point.items()}
    return dict(zip(wrt, evaluate(derived, {name: named[name] for name in graph.inputs}), strict=True))


def exact_value(expr: Any, point: Mapping[Any, Any]) -> Any:
    """SymPy's value: a bool, or a Float of many digits."""
    exact = {s: sympy.Float(v, DIGITS) if isinstance(v, float) else v for s, v in point.items()}
    value = expr.subs(exact).doit()
    return bool(value) if value in (sympy.true, sympy.false) else sympy.N(value, DIGITS)


def exact_derivative(expr: Any, symbol: Any, point: Mapping[Any, Any]) -> Any:
    """SymPy's derivative, with plain symbols made real (else |x| is differentiated as a complex one)."""
    real = {s: sympy.Dummy(s.name, real=True) for s in point if s.is_real is None}
    derivative = expr.doit().xreplace(real).diff(real.get(symbol, symbol))
    return exact_value(derivative, {real.get(s, s): v for s, v in point.items()})


def spelled_out(expr: Any, sizes: Mapping[Any, int]) -> Any:
    """The expression with sizes put in and every Sum and Product written as its terms."""
    if isinstance(expr, (sympy.Sum, sympy.Product)):
        join = sympy.Add if isinstance(expr, sympy.Sum) else sympy.Mul
        *inner, (variable, lower, upper) = [tuple(limit) for limit in expr.limits]
        body = expr.func(expr.function, *inner) if inner else expr.function
        first, last = (int(spelled_out(bound, sizes)) for bound in (lower, upper))
        terms = [spelled_out(body, {**sizes, variable: value}) for value in range(first, last + 1)]
        return join(*terms)
    if isinstance(expr, sympy.Piecewise):
        for branch, condition in expr.args:
            if spelled_out(condition, sizes) == True:  # noqa: E712  (SymPy's true is no bool)
                return spelled_out(branch, sizes)
        return sympy.nan
    if isinstance(expr, Indexed):
        return expr.base[tuple(spelled_out(index, sizes) for index in expr.indices)]
    if expr in sizes:
        return sympy.Integer(sizes[expr])
    return expr.func(*[spelled_out(arg, sizes) for arg in expr.args]) if expr.args else expr


def exact_over_arrays(expr: Any, sizes: Mapping[Any, int], point: Mapping[Any, Any], by: Any = None) -> Any:
    """The value (or the derivative by an array or a symbol) of an expression of arrays, term by term."""
    terms = spelled_out(expr, sizes)
    elements = {item: sympy.Dummy(real=True) for item in terms.atoms(Indexed)}
    arrays = {str(name): value for name, value in point.items()}
    values = {
        dummy: sympy.Float(float(arrays[str(item.base.label)][tuple(map(int, item.indices))]), DIGITS)
        for item, dummy in elements.items()
    }
    values.update(
        {
            s: sympy.Float(v, DIGITS)
            for s, v in point.items()
            if isinstance(s, sympy.Symbol) and isinstance(v, float)
        }
    )
    plain = terms.xreplace(elements)
    if by is None:
        return sympy.N(plain.subs(values), DIGITS)
    if isinstance(by, sympy.Symbol):
        return sympy.N(plain.diff(by).subs(values), DIGITS)
    result = np.zeros(np.shape(point[by]))
    for place in itertools.product(*map(range, result.shape)):
        dummy = next(
            (
                d
                for item, d in elements.items()
                if item.base.label == by.label and tuple(map(int, item.indices)) == place
            ),
            None,
        )
        result[place] = 0.0 if dummy is None else float(plain.diff(dummy).subs(values))
    return result


def random_point(expr: Any, rng: random.Random, low: float = 1.1, high: float = 4.0) -> dict[Any, Any]:
    """Numbers for the free symbols of an expression: integers for integer symbols."""
    symbols = sorted(expr.free_symbols, key=lambda s: s.name)
    return {s: rng.randint(2, 6) if s.is_integer else rng.uniform(low, high) for s in symbols}


def close(got: Any, want: Any, tolerance: float = 1e-13) -> bool:
    """Whether a float agrees with a value of many digits, relative to it or to 1."""
    return bool(abs(sympy.Float(float(got), 30) - want) <= tolerance * max(1, abs(want)))


def ops(expr: Any, args: Any = None) -> list[str]:
    """The operations of an expression's graph, in order, without its leaves."""
    return [node.op for node in converted(expr, args).reachable() if node.op not in ("input", "const")]
