"""Functions on the arrays of other libraries: what an adapter needs to make a function one of their operations.

Arguments may be nested and undeclared; an operation has a flat list of arrays. `flat_call` finds the one Function that
a call is about, its arguments, and how its results are put together; an adapter says only how an array of its library
looks to NumPy. What an operation computes and differentiates is always a Function of leaves.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.dims import Dim
from gradc.ir.errors import UnsupportedError
from gradc.ir.graph import Node

from .arguments import bind
from .function import Function
from .late import Late
from .structured import Structured
from .structures import Branch, Leaf, entries, fill


class FlatCall(NamedTuple):
    """A call: the Function of leaves, a value for each of its arguments, and the result from those of its outputs."""

    function: Function
    values: list[Any]
    assembled: Callable[[Sequence[Any]], Any]


def library(name: str, what: str, advice: str = "") -> Any:
    """Another library, or an UnsupportedError that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        advice = advice or f"pip install 'gradc[{top}]'"
        raise UnsupportedError(f"{what} needs {top}, which cannot be imported ({error}): {advice}") from None


def flat_call(function: Any, args: Sequence[Any], keywords: Mapping[str, Any], array_type: type | tuple[type, ...],
              example: Callable[[Any], Any]) -> FlatCall:
    """The call of a function of any kind; `example` gives a NumPy array of the kind of an array of that type."""
    values = function.values(args, keywords) if isinstance(function, Late) else bind(function.args, args, keywords)
    found = function.at(*(_mapped(value, array_type, example) for value in values)) if isinstance(
        function, Late) else function
    if isinstance(found, Structured):
        return FlatCall(found.flat, found.flattened(values, {}), found.of_outputs)
    return FlatCall(found, list(values), functools.partial(_assembled, found))


def _mapped(value: Any, array_type: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    if isinstance(value, array_type):
        return change(value)
    found = entries(value)
    if found is None:
        return value
    kind, keys, parts = found
    made = [_mapped(part, array_type, change) for part in parts]
    return fill(Branch(kind, keys, tuple(map(Leaf, range(len(made))))), made.__getitem__)


def _assembled(function: Function, outputs: Sequence[Any]) -> Any:
    return function.assembled(dict(zip((key for key, _ in function.graph.outputs), outputs, strict=True)))


def outputs_of(function: Function) -> list[Node]:
    """The nodes of the outputs, which say dtype and shape."""
    return [node for _, node in function.graph.outputs]


def computed(function: Function, values: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
    """The outputs for NumPy's arguments, each an array of the dtype of its node."""
    waiting, found = [function(*values)], []
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, tuple):
            waiting = [*value, *waiting]
        else:
            found.append(value)
    return [np.asarray(value, dtype=node.dtype) for value, node in zip(found, outputs_of(function), strict=True)]


def by(function: Function, names: Sequence[str]) -> Function:
    """The same Function, to differentiate by other arguments; made once."""
    return function if function.wrt == tuple(names) else function.once(("by", tuple(names)))


def shapes(function: Function, given: Mapping[str, int]) -> list[tuple[int, ...]]:
    """The shapes of the outputs, from the sizes of the dimensions."""
    def size(dim: Dim) -> int:
        return max(dim.evaluate(given), 0)

    return [tuple(map(size, node.shape)) for node in outputs_of(function)]
