"""The public entry: `compile` takes a formula, a SymPy expression or a Python function and gives a Function."""

from __future__ import annotations

import functools
import time
import types
from collections.abc import Mapping, Sequence
from typing import Any

from gradc.ir.errors import FormulaError, UnsupportedError

KINKS = ("subgradient", "raise")
LEFT_OUT = object()


def compile(expression: Any = LEFT_OUT, args: Mapping[Any, Any] | Sequence[Any] | str | None = None,
            wrt: str | Sequence[Any] | None = None, *, jit: bool = True, cache: bool = True,
            kinks: str = "subgradient", static: str | Sequence[str] | None = None,
            operations: Any = (), parallel: bool = False) -> Any:
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
    parallel    run the outermost loops in threads where an iteration needs no other and there is enough work: in
                chunks whose number depends on the sizes alone, put together in order, so that every number of
                threads gives the same bits (not those of one loop). Numba's NUMBA_NUM_THREADS and
                numba.set_num_threads choose the number of threads
    operations  what `gradc.operation` made, for a formula to call by name: one, several, or a mapping from names

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
        return functools.partial(compile, args=args, wrt=wrt, jit=jit, cache=cache, kinks=kinks, static=static,
                                 operations=operations, parallel=parallel)
    from .compiled import Options
    from .function import Function  # the whole compiler: only when it is needed
    from .wrt import checked_wrt

    if kinks not in KINKS:
        raise FormulaError(f'kinks must be "subgradient" or "raise", not {kinks!r}')
    if not isinstance(parallel, bool):
        raise FormulaError(f"parallel must be True or False, not {parallel!r}: numba.set_num_threads chooses the "
                           "number of threads")
    function = None if isinstance(expression, (str, Function)) or _is_sympy(expression) else _plain(expression)
    if static is not None and function is None:
        raise FormulaError("static= names arguments of a Python function, and this is none: leave it out")
    if operations and not isinstance(expression, str):
        raise FormulaError("operations= are what a formula string calls: a Python function calls its own")
    options, start = Options(jit, cache, kinks, parallel), time.perf_counter()
    if isinstance(expression, str):
        from .formula import parse

        graph = parse(expression, args, _named(operations))
    elif function is not None:
        from .from_python import declared, is_declared, traced
        from .late import Late, statics
        from .structured import compiled

        fixed = statics(function, args, static)
        if fixed or not is_declared(function, args):
            return Late(function, wrt, options, args, fixed)
        return compiled(traced(function, *declared(function, args)), wrt, options, start)
    elif _is_sympy(expression):
        from .from_sympy import convert

        graph = convert(expression, args)
    else:
        raise UnsupportedError(f"an expression of type {type(expression).__name__} cannot be compiled: give a formula "
                               "string, a SymPy expression or a Python function")
    made = Function(graph, checked_wrt(graph, wrt), options)
    made.begun(start)
    return made


def operation(function: Any = None, *, partials: Any = None, vjp: Any = None, jvp: Any = None,
              signature: str | None = None) -> Any:
    """An operation with a derivative of its own, for traced functions and formulas; also a decorator.

    function  with partials: a function of numbers, which broadcasts; with vjp: a function of arrays. It is
              called as it is on numbers and arrays, and traced where gradc compiles a use of it
    partials  one for each argument, in order or by name: a formula of the arguments, a Python function of
              them, a SymPy expression or a number; None or 0 for a derivative that is zero by definition
    vjp       vjp(*arguments, cotangent): the cotangents of the arguments, None for one without
    jvp       jvp(*arguments, *tangents): the tangent of the value; `check` holds it against vjp
    signature "(n,n),(n)->(n)", as for numpy.vectorize: the function is not traced but becomes part of the
              generated module as it is, so it may loop until something converges; Numba must be able to compile
              it, and all that it uses are its arguments, numbers, np, math and such functions. With a vjp it
              gives one result; without one it has no derivative

    Second derivatives are those of the partials, or of vjp. Raises FormulaError for rules that do not fit the
    arguments, and UnsupportedError, at the first use, for what cannot be traced.

    >>> import numpy as np
    >>> @operation(partials=("cos(x) * y", "sin(x)"))
    ... def wave(x, y):
    ...     return np.sin(x) * y
    >>> wave(0.0, 2.0)
    np.float64(0.0)
    >>> compile("wave(x, y)**2 + wave(2 * x, y)", operations=wave, jit=False).grad(0.0, 2.0)
    Gradient(x=4.0, y=0.0)
    """
    if function is None:
        return functools.partial(operation, partials=partials, vjp=vjp, jvp=jvp, signature=signature)
    if not isinstance(getattr(function, "py_func", function), types.FunctionType):
        raise UnsupportedError(f"an operation is made from a Python function, not from type {type(function).__name__}")
    if (partials is None) == (vjp is None and signature is None) or (jvp is not None and vjp is None):
        raise FormulaError("an operation has either partials=, of a function of numbers, or vjp=, of arrays, and with "
                           "it jvp= if you like")
    if partials is not None:
        from .operation import Pointwise

        return Pointwise(function, partials)
    from .array_operation import ArrayOperation

    return ArrayOperation(function, vjp, jvp, signature)


def _named(operations: Any) -> dict[str, Any]:
    """Operations by the names under which a formula calls them."""
    if isinstance(operations, (tuple, list)) and not operations:
        return {}
    from .formula_calls import FUNCTIONS
    from .operation import Operation
    from .syntax import check_name

    given = [operations] if isinstance(operations, Operation) else operations
    pairs = given.items() if isinstance(given, Mapping) else [(getattr(own, "name", ""), own) for own in given]
    found = {}
    for name, own in pairs:
        if not isinstance(own, Operation):
            raise FormulaError(f"operations holds a value of type {type(own).__name__}: make it with gradc.operation")
        if check_name(name) or name in FUNCTIONS or name in found:
            wrong = check_name(name) or f"is {'listed twice' if name in found else 'a function already'}"
            raise FormulaError(f'the operation {name!r} {wrong}: write operations={{"another_name": ...}}')
        found[name] = own
    return found


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


def _plain(expression: Any) -> types.FunctionType | None:
    if isinstance(expression, types.FunctionType):
        return expression
    from .calls import plain

    return plain(expression) if callable(expression) else None


def _is_sympy(expression: Any) -> bool:
    """Whether a value comes from SymPy (a tuple: at least one entry, the others numbers), without importing it."""
    items = list(expression) if isinstance(expression, (tuple, list)) else [expression]
    known = [any(str(cls.__module__).partition(".")[0] == "sympy" for cls in type(item).__mro__) for item in items]
    return any(known) and all(k or isinstance(item, (int, float)) for k, item in zip(known, items, strict=True))
