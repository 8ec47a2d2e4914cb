"""The public entry: `compile` takes a formula, a SymPy expression or a Python function and gives a Function."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from typing import Any

from gradc.ir.errors import FormulaError, UnsupportedError

KINKS = ("subgradient", "raise")
LEFT_OUT = object()


def compile(expression: Any = LEFT_OUT, args: Mapping[Any, Any] | Sequence[Any] | str | None = None,
            wrt: str | Sequence[Any] | None = None, *, jit: bool = True, cache: bool = True,
            kinks: str = "subgradient", static: str | Sequence[str] | None = None) -> Any:
    """Compile a formula string, a SymPy expression or a Python function that uses NumPy.

    expression  a formula in Python's expression syntax (statements separated by newlines or `;` name
                intermediate values, the last one is the result), a SymPy expression, Matrix or tuple, or a
                function of arrays and numbers, which is run once on traced values; left out, a decorator
    args        names in order, a text such as "x: n; k: int", or a mapping from a name to its declaration:
                "n" a vector of n elements, "n K" a matrix, "3" a fixed dimension, "int" a whole number,
                "float32 n", "" a real scalar; for a Python function also tuples, lists, dicts, named tuples and
                dataclasses of declarations, in whose structure the gradient comes back
    wrt         the arguments that derivatives are taken by; every real one by default
    jit         False runs the generated text as plain Python
    cache       False keeps no compiled code on disk
    kinks       "subgradient", or "raise" to refuse to pass over a kink at run time
    static      arguments of a Python function that it gets as they are, so that it can branch on them: it is
                compiled for each of their values, which must have a hash; an undeclared argument whose default
                is a text, a truth value or a function is static by itself

    Returns a Function, or without an expression a decorator that makes one. A Python function whose arguments
    are not declared, in args or by annotations such as "n K", is compiled at its first call for each rank, dtype
    and dimension of 1 that it is called with, never for sizes. Raises FormulaError (with a caret under the place),
    UnsupportedError (what has no meaning here, by name), ShapeError (dimensions that cannot agree), SizeError
    (beyond the limits).

    >>> f = compile("sum((x[i + 1] - x[i])**2 for i in range(n - 1))", args={"x": "n"}, jit=False)
    >>> f.grad([1.0, 2.0, 4.0])
    array([-2., -2.,  4.])
    """
    if expression is LEFT_OUT:
        return functools.partial(compile, args=args, wrt=wrt, jit=jit, cache=cache, kinks=kinks, static=static)
    from .function import Function, Options, checked_wrt  # the whole compiler: only when it is needed

    if kinks not in KINKS:
        raise FormulaError(f'kinks must be "subgradient" or "raise", not {kinks!r}')
    if static is not None and not isinstance(expression, types.FunctionType):
        raise FormulaError("static= names arguments of a Python function, and this is none: leave it out")
    options = Options(jit=jit, cache=cache, kinks=kinks)
    if isinstance(expression, str):
        from .formula import parse

        graph = parse(expression, args)
    elif isinstance(expression, types.FunctionType):
        from .from_python import declared, is_declared, traced
        from .late import Late, statics
        from .structured import compiled

        fixed = statics(expression, args, static)
        if fixed or not is_declared(expression, args):
            return Late(expression, wrt, options, args, fixed)
        return compiled(traced(expression, *declared(expression, args)), wrt, options)
    elif _is_sympy(expression):
        from .from_sympy import convert

        graph = convert(expression, args)
    else:
        raise UnsupportedError(f"an expression of type {type(expression).__name__} cannot be compiled: give a formula "
                               "string, a SymPy expression or a Python function")
    return Function(graph, checked_wrt(graph, wrt), options)


def stop_gradient(x: Any) -> Any:
    """x itself, as a constant for every derivative: in traced functions, and in formulas under the same name.

    x  a number, an array, or tuples, lists and dicts of them; outside a traced function it comes back as it is

    >>> f = compile("x * stop_gradient(x)", jit=False)
    >>> f(3.0), f.grad(3.0)
    (9.0, 3.0)
    """
    if isinstance(x, dict):
        return {key: stop_gradient(value) for key, value in x.items()}
    if isinstance(x, (tuple, list)):
        items = [stop_gradient(item) for item in x]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    stopped = getattr(x, "__gradc_stop_gradient__", None)       # a traced value knows how
    return stopped() if stopped is not None else x


def _is_sympy(expression: Any) -> bool:
    """Whether a value comes from SymPy (a tuple: at least one entry, the others numbers), without importing it."""
    items = list(expression) if isinstance(expression, (tuple, list)) else [expression]
    known = [any(str(cls.__module__).partition(".")[0] == "sympy" for cls in type(item).__mro__) for item in items]
    return any(known) and all(k or isinstance(item, (int, float)) for k, item in zip(known, items, strict=True))
