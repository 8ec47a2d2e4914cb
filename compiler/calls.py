"""Callables of all kinds as plain Python functions, and calls of compiled functions on traced values.

`plain` gives the Python function behind a function that Numba has compiled, a bound method, a partial application
or an object that can be called, so that it can be traced. `nested` puts the graph of a compiled Function into the
graph of the function that calls it; so gradients can be used inside functions too.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from gradc.ir.cast import cast as in_dtype
from gradc.ir.errors import ArgumentError, ShapeError
from gradc.ir.graph import Node

from .arguments import bind
from .arrays import Array
from .inline import inline
from .linear_algebra import LinearAlgebra
from .numpy_functions import trace_of

if TYPE_CHECKING:
    from .function import Function
    from .traced import Trace


def plain(value: Any) -> types.FunctionType | None:
    """The Python function that a callable is or wraps; None for what is none of the known kinds."""
    value = getattr(value, "py_func", value)                    # compiled by Numba
    if isinstance(value, types.FunctionType):
        return value
    if isinstance(value, (types.MethodType, functools.partial)):
        inner = plain(value.__func__ if isinstance(value, types.MethodType) else value.func)
    else:
        own = None if isinstance(value, type) else inspect.getattr_static(type(value), "__call__", None)
        inner = own if isinstance(own, types.FunctionType) else None
    if inner is None:
        return None

    def function(*args: Any, **keywords: Any) -> Any:
        return value(*args, **keywords)

    named: Any = function
    named.__signature__ = inspect.signature(value)
    named.__name__, named.__qualname__, named.__module__ = inner.__name__, inner.__qualname__, inner.__module__
    named.__wrapped__, named.__doc__ = inner, inner.__doc__
    return cast("types.FunctionType", named)


def around(fun: Any, names: Sequence[str], what: str = "") -> Any:
    """A Python function of the arguments of that name, around another one; `what` is taken of its result."""
    scope: dict[str, Any] = {"fun": fun}
    listed = ", ".join(names)
    exec(f"def function({listed}):\n    return fun({listed}){what}\n", scope)  # noqa: S102  (names of parameters)
    return scope.pop("function")


def copied(value: Any, copy: Callable[[Any], Any]) -> Any:
    """A method, a partial application or a compiled function around the copy of its function; None for others."""
    if isinstance(value, types.MethodType) and isinstance(value.__func__, types.FunctionType):
        return types.MethodType(copy(value.__func__), copy(value.__self__))
    if isinstance(value, functools.partial) and plain(value.func) is not None:
        inner = value.func
        function = inner if isinstance(inner, types.FunctionType) else getattr(inner, "py_func", None)
        target = copy(function) if function is not None else copied(inner, copy)
        return functools.partial(target, *value.args, **value.keywords)
    function = getattr(value, "py_func", None)
    return copy(function) if isinstance(function, types.FunctionType) else None


def nested(function: Function, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """The result of a compiled function on traced values, in the graph that they belong to.

    Raises ShapeError where a number is declared and an array given, or the other way about.
    """
    trace = trace_of((*args, *keywords.values()))
    assert trace is not None
    algebra = LinearAlgebra(trace.arrays)
    operands: dict[str, Node] = {}
    called = function.plain.prepared
    for (name, declared), value in zip(called.inputs.items(), bind(function.args, args, keywords),
                                       strict=True):
        operands[name] = _operand(trace, algebra, name, declared, trace.lift(value))
    outputs = inline(trace.graph, called, operands)
    found = {key: trace.value(algebra.whole(node) if node.is_array else Array(node))
             for (key, _), node in zip(called.outputs, outputs, strict=True)}
    return function.assembled(found)


def _operand(trace: Trace, algebra: LinearAlgebra, name: str, declared: Node, array: Array) -> Node:
    if len(array.axes) != len(declared.shape):
        raise trace.refused(f"the argument {name} of a compiled function has {len(declared.shape)} dimensions, "
                            f"and a traced value of {len(array.axes)} is given",
                            "Give a value of the rank that it was compiled for.", ShapeError)
    if declared.dtype.startswith("float"):
        if declared.dtype == "float32" and array.dtype == "float64" and array.axes:
            raise trace.refused(f"the argument {name} of a compiled function is float32, and a traced array of float64 "
                                f"is given", f"Write {name}.astype(np.float32), so that nothing is narrowed silently.",
                                ArgumentError)
        array = array._replace(node=in_dtype(array.node, declared.dtype))
    elif declared.dtype != array.dtype:
        raise trace.refused(f"the argument {name} of a compiled function is {declared.dtype}, and a traced value of "
                            f"{array.dtype} is given", "Declare both in the same way.", ArgumentError)
    return algebra.stored(array) if array.axes else array.node
