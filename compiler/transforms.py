"""Derivatives under the names and with the argument order of JAX and autograd: `gradc.grad(fun, argnums)` and others.

Each takes a Python function, a formula, a SymPy expression or a compiled Function and gives a function of the same
arguments; `argnums` says by which of them, by position or by name. All the work is done by what `compile` returns;
this module turns positions into names, and results into the tuples that are expected.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradc.ir.errors import ArgumentError, UnsupportedError

from .api import compile as compiled_from
from .calls import around, plain
from .from_python import Either
from .function import Function
from .jacobian import MODES
from .late import Late
from .structured import Structured

Argnums = int | str | Sequence[int | str]


def grad(fun: Any, argnums: Argnums = 0, has_aux: bool = False, *, argnum: Argnums | None = None) -> Any:
    """The gradient of a function of one real result.

    fun      a Python function, which is compiled at its first call, or whatever `compile` takes or returns
    argnums  by which arguments: a position or a name, or a sequence of them, for which the gradient is a tuple
    has_aux  the function returns (value, more), and its gradient (gradient, more)
    argnum   autograd's name of `argnums`

    Raises ArgumentError for an argument that it has not, and what `compile` and the calls of a Function raise.

    >>> import numpy as np
    >>> grad(lambda x, y: np.sum(x**2) * y, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    Gradient(x=array([ 6., 12.]), y=5.0)
    """
    return _transformed(fun, argnums, has_aux, "grad", argnum)


def value_and_grad(fun: Any, argnums: Argnums = 0, has_aux: bool = False, *, argnum: Argnums | None = None) -> Any:
    """(value, gradient); with has_aux ((value, more), gradient). Arguments and errors are those of `grad`.

    >>> value_and_grad(lambda x: x**3)(2.0)
    (8.0, 12.0)
    """
    return _transformed(fun, argnums, has_aux, "value_and_grad", argnum)


def jacobian(fun: Any, argnums: Argnums = 0, has_aux: bool = False, *, argnum: Argnums | None = None) -> Any:
    """All first derivatives, by forward or reverse mode, whichever costs less; arguments as for `grad`.

    >>> import numpy as np
    >>> jacobian(lambda x: np.sin(x) * x[0])(np.array([1.0, 0.0]))
    array([[1.38177329, 0.        ],
           [0.        , 1.        ]])
    """
    return _transformed(fun, argnums, has_aux, "jacobian", argnum)


def jacfwd(fun: Any, argnums: Argnums = 0, has_aux: bool = False) -> Any:
    """`jacobian` by forward mode: for fewer arguments than results.

    >>> import numpy as np
    >>> jacfwd(lambda x: np.array([x, x**2]))(3.0)
    array([1., 6.])
    """
    return _transformed(fun, argnums, has_aux, ("mode", MODES[1]))


def jacrev(fun: Any, argnums: Argnums = 0, has_aux: bool = False) -> Any:
    """`jacobian` by reverse mode: for fewer results than arguments.

    >>> import numpy as np
    >>> jacrev(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    return _transformed(fun, argnums, has_aux, ("mode", MODES[2]))


def hessian(fun: Any, argnums: Argnums = 0, has_aux: bool = False, *, argnum: Argnums | None = None) -> Any:
    """All second derivatives of a function of one real result, symmetric to the last bit; arguments as for `grad`.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return _transformed(fun, argnums, has_aux, "hessian", argnum)


def hvp(fun: Any, argnums: Argnums = 0, *, argnum: Argnums | None = None) -> Any:
    """The product of the Hessian with a vector, which is given after the arguments, as in autograd.

    >>> import numpy as np
    >>> hvp(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]), np.array([1.0, 0.0]))
    array([6., 2.])
    """
    return _transformed(fun, argnums, False, "hvp", argnum)


def elementwise_grad(fun: Any, argnums: Argnums = 0, *, argnum: Argnums | None = None) -> Any:
    """The derivative of each element of the result by the same element of the argument: for functions like ufuncs.

    Of other functions it is the gradient of the sum of the result, as in autograd.

    >>> import numpy as np
    >>> elementwise_grad(np.sin)(np.array([0.0, np.pi]))
    array([ 1., -1.])
    """
    return _transformed(_compiled(fun).summed, argnums, False, "grad", argnum)


def jvp(fun: Any, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """(value, derivative along a direction), with has_aux (value, derivative, more).

    primals, tangents  the arguments, and a tangent for each of them; None for an argument that is not real

    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))
    (6.0, 3.0)
    """
    primals, tangents = _sequence(primals, "primals"), _sequence(tangents, "tangents")
    if len(primals) != len(tangents):
        raise ArgumentError(f"there are {len(primals)} primals and {len(tangents)} tangents: give a tangent for each "
                            "argument, None for one that is not real")
    function = _at(_compiled(fun), primals)
    given = dict(zip(function.args, tangents, strict=True))
    both = function.once(("along", ("jvp", has_aux, True)))
    tangent, value = both(*primals, *(given[name] for name in function.wrt))
    return (value[0], tangent, value[1]) if has_aux else (value, tangent)


def vjp(fun: Any, *primals: Any, has_aux: bool = False) -> Any:
    """(value, function from a cotangent of the value to a tuple of gradients), with has_aux (value, function, more).

    The gradients are one for each argument, None for one that is not real; what the value has computed is kept.

    >>> value, back = vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> value, back(1.0)
    (6.0, (3.0, 2.0))
    """
    function = _at(_compiled(fun), primals)
    if has_aux:
        function = function.once(("along", ("", True, False)))
    value, saved = function.forward(*primals)

    def back(cotangent: Any) -> tuple[Any, ...]:
        found = function.backward(saved, cotangent)
        given = dict(zip(function.wrt, found if len(function.wrt) > 1 else (found,), strict=True))
        return tuple(given.get(name) for name in function.args)

    return (value[0], back, value[1]) if has_aux else (value, back)


# -- what they are made of --------------------------------------------------------------------------


def _compiled(fun: Any) -> Any:
    if isinstance(fun, (Function, Late, Structured)):
        return fun
    if isinstance(fun, Either):                                 # inside a traced function
        fun = fun.original
    if callable(fun) and plain(fun) is None:                    # np.sin, np.linalg.norm: by what they must be given
        if isinstance(fun, np.ufunc):
            names = [f"x{k}" for k in range(fun.nin)] if fun.nin > 1 else ["x"]
        else:
            try:
                parameters = inspect.signature(fun).parameters.values()
            except ValueError:                                  # max, which takes any number of arguments
                raise UnsupportedError(f"{fun!r} does not say what arguments it takes: write a function of named "
                                       "arguments that calls it, such as lambda x, y: ...") from None
            names = [p.name for p in parameters
                     if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        fun = around(fun, names)
    return compiled_from(fun)


def _at(function: Any, primals: Sequence[Any]) -> Any:
    return function.at(*primals) if isinstance(function, Late) else function


def _by(function: Any, argnums: Argnums) -> Any:
    several = argnums if isinstance(argnums, (tuple, list)) else [argnums]
    return function.by(tuple(_name(function, one) for one in several))


def _name(function: Any, argnum: Any) -> str:
    names = function.args
    if isinstance(argnum, str) and argnum in names:
        return argnum
    if isinstance(argnum, int) and not isinstance(argnum, bool) and -len(names) <= argnum < len(names):
        return str(names[argnum])
    raise ArgumentError(f"argnums is {argnum!r}, but the function takes ({', '.join(names)}): give a position from 0 "
                        f"to {len(names) - 1}, or a name")


def _transformed(fun: Any, argnums: Argnums, has_aux: bool, step: Any, argnum: Argnums | None = None) -> Any:
    argnums = argnums if argnum is None else argnum
    function = _by(_compiled(fun), argnums)
    if has_aux:
        derived = function.along((step, True, False))
    else:
        derived = function.by_mode(step[1]) if isinstance(step, tuple) else getattr(function, step)
    if isinstance(argnums, (tuple, list)) and len(argnums) == 1:
        return _in_a_tuple(derived, step, has_aux)
    return derived


def _in_a_tuple(derived: Any, step: Any, has_aux: bool) -> Callable[..., Any]:
    """A derivative by a sequence of one argument: a tuple of one."""
    def function(*args: Any, **keywords: Any) -> Any:
        found = derived(*args, **keywords)
        if step == "value_and_grad":
            return found[0], (found[1],)
        return ((found[0],), found[1]) if has_aux else (found,)

    return function


def _sequence(values: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(values, (tuple, list)):
        raise ArgumentError(f"{what} is of type {type(values).__name__}: give a tuple with one entry for each argument")
    return tuple(values)
