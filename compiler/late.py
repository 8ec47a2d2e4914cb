"""Functions whose shapes are not declared: compiled when they are first called, for the kinds of their arguments.

A `Late` holds a Python function. Each call looks at rank, dtype and the dimensions that are exactly 1 of every
argument, never at sizes, and goes to the Function compiled for them. Dimensions that the function itself needs
to be equal get one name: tracing runs twice, the first time to find them. A derivative of a Late is a Late that
asks for the derivative of what was compiled.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.dims import Dim
from gradc.ir.errors import ArgumentError
from gradc.ir.graph import Graph

from .arguments import bind
from .from_python import NeededWhole, convert, parameters_of
from .function import Function, Options, checked_wrt

Kind = tuple[tuple[str, tuple[bool, ...]], ...]
_DTYPES = {"b": "bool", "i": "int", "u": "int"}


class Late:
    """A function that is compiled at its first call; otherwise it is used as a Function.

    >>> import numpy as np
    >>> import gradc
    >>> f = gradc.compile(lambda x: np.sum(x * x), jit=False)
    >>> f([1.0, 2.0]), f.grad([1.0, 2.0])
    (5.0, array([2., 4.]))
    """

    def __init__(self, function: Callable[..., Any], wrt: Any, options: Options, path: tuple[str, ...] = (),
                 made: dict[Kind, Function] | None = None) -> None:
        self._function, self._wrt, self._options, self._path = function, wrt, options, path
        self._made: dict[Kind, Function] = {} if made is None else made
        parameters_of(function)
        self._signature = inspect.signature(function)
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__ or Late.__doc__

    @property
    def args(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return tuple(self._signature.parameters)

    @property
    def grad(self) -> Late:
        """The gradient, compiled at its first call."""
        return self._derived("grad")

    @property
    def value_and_grad(self) -> Late:
        """(value, gradient), compiled at its first call."""
        return self._derived("value_and_grad")

    def _derived(self, name: str) -> Late:
        return Late(self._function, self._wrt, self._options, (*self._path, name), self._made)

    def __call__(self, /, *args: Any, out: Any = None, **keywords: Any) -> Any:
        """The value for arguments of any kind; errors are those of a Function."""
        values = self._values(args, keywords)
        return self.at(*values)(*values, out=out)

    def at(self, /, *args: Any, **keywords: Any) -> Function:
        """The Function for arguments of this kind, compiled if it is the first time."""
        values = self._values(args, keywords)
        kind = tuple(_kind(value) for value in values)
        if kind not in self._made:
            graph, settled = self._traced(kind)
            self._made[kind] = self._made.get(settled) or Function(graph, checked_wrt(graph, self._wrt), self._options)
            self._made[settled] = self._made[kind]
        found = self._made[kind]
        for name in self._path:
            found = getattr(found, name)
        return found

    def _traced(self, kind: Kind) -> tuple[Graph, Kind]:
        """The graph for arguments of a kind; whole numbers are real ones, unless the function needs them whole."""
        whole: set[str] = set()
        while True:
            settled = tuple(("float" if dtype == "int" and name not in whole else dtype, ones)
                            for name, (dtype, ones) in zip(self.args, kind, strict=True))
            try:
                return convert(self._function, _declared(self._function, self.args, settled)), settled
            except NeededWhole as error:
                if dict(zip(self.args, kind, strict=True))[error.argument][0] != "int" or error.argument in whole:
                    raise
                whole.add(error.argument)

    def _values(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        defaults = {name: p.default for name, p in self._signature.parameters.items() if p.default is not p.empty}
        missing = {name: value for name, value in defaults.items()
                   if name not in keywords and name not in self.args[:len(args)]}
        return bind(self.args, args, {**missing, **keywords})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Function, name):
            raise AttributeError(f"a function that is compiled at its first call has no attribute {name}")
        found = list(dict.fromkeys(self._made.values()))
        if len(found) != 1:
            raise ArgumentError(
                f"{self.__name__}.{name} needs the shapes of the arguments, and it was called with "
                f"{len(found) or 'no'} kinds of them: declare them in args, or take .at(...) of some arguments")
        chosen = found[0]
        for step in self._path:
            chosen = getattr(chosen, step)
        return getattr(chosen, name)

    def __repr__(self) -> str:
        return f"<gradc function {self.__name__}({', '.join(self.args)}), compiled when it is called>"


def _kind(value: Any) -> tuple[str, tuple[bool, ...]]:
    """The dtype of an argument, and for each dimension whether it is exactly 1."""
    array = np.asarray(value)
    dtype = "float32" if array.dtype == np.float32 else _DTYPES.get(array.dtype.kind, "float")
    return dtype, tuple(size == 1 for size in array.shape)


def _declared(function: Callable[..., Any], names: Sequence[str], kind: Kind) -> dict[str, str]:
    """Declarations for arguments of a kind: a name for each dimension, one for those that must be equal."""
    first = {name: [f"{name}_{k}" if len(ones) > 1 else f"n_{name}" for k in range(len(ones))]
             for name, (_, ones) in zip(names, kind, strict=True)}

    def text(name: str, dtype: str, ones: Sequence[bool], renamed: Mapping[str, str]) -> str:
        dims = ["1" if one else renamed.get(dim, dim) for dim, one in zip(first[name], ones, strict=True)]
        return " ".join([dtype, *dims])

    graph = convert(function, {name: text(name, dtype, ones, {}) for name, (dtype, ones) in zip(
        names, kind, strict=True)})
    renamed: dict[str, str] = {}
    for left, right in graph.equal:
        a, b = (_plain(dim, renamed) for dim in (left, right))
        if a and b and a != b:
            renamed = {dim: b if to == a else to for dim, to in renamed.items()} | {a: b}
    return {name: text(name, dtype, ones, renamed) for name, (dtype, ones) in zip(names, kind, strict=True)}


def _plain(dim: Dim, renamed: Mapping[str, str]) -> str:
    """The name that a dimension has now; "" for a number or a computed size."""
    if dim.name is None:
        return str(dim.constant) if dim.constant is not None else ""
    return renamed.get(dim.name, dim.name)
