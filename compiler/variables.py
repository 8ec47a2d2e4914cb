"""The arguments that one vector holds: which they are, of what shapes, and what functions of any kind say of that.

Functions that are compiled, that wait for their first call and that take nested structures are all asked here, so what
works on a vector sees plain functions of plain arrays only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.errors import ArgumentError, DerivativeError
from gradc.ir.graph import Node

from .arguments import as_declared, bind, no_argument
from .function import Function
from .late import Late
from .packing import Packing, Shape, in_tuple, vector
from .structured import Structured
from .wrt import distinct, named_in, no_such


class Variables:
    """Arguments of one or several functions as one vector.

    names       the arguments in the vector, in order
    packing     where each lies in it; None where that is not known before `pack`
    """

    def __init__(self, names: Sequence[str], functions: Sequence[Any], fixed: Mapping[str, Any]) -> None:
        self.names = tuple(names)
        self._nodes: dict[str, Node] = {}
        shapes: dict[str, tuple[Shape, Any]] = {}
        for function in functions:
            if isinstance(function, Function):
                for name in self.names:
                    if name in function.graph.inputs and name not in self._nodes:
                        self._nodes[name] = function.graph.inputs[name]
                shapes = {**_known(function, self.names, fixed), **shapes}
        known = all(name in shapes for name in self.names)
        self.packing = Packing.of_shapes({name: shapes[name] for name in self.names}) if known else None

    def pack(self, /, *arrays: Any, **named: Any) -> np.ndarray[Any, Any]:
        """The vector of values of the arguments, by position or by name.

        The first call settles the shapes, where these do not follow from the declarations and the fixed arguments; a
        ShapeError says what does not fit them later.
        """
        values = dict(zip(self.names, bind(self.names, arrays, named), strict=True))
        values = {name: as_declared(self._nodes[name], value) if name in self._nodes else value
                  for name, value in values.items()}
        if self.packing is None:
            self.packing = Packing.of_values(values)
        return self.packing.vector(values)

    def unpack(self, x: Any) -> Any:
        """The arguments in a vector: bare for one, else a named tuple of them."""
        parts = self.parts(np.array(x))
        return parts[0] if self.packing is None else in_tuple(self.packing.values(parts))

    def settled(self) -> Packing:
        """The packing; ArgumentError if it is not known yet."""
        if self.packing is None:
            raise ArgumentError(f"the sizes of {', '.join(self.names)} are not known yet: call pack(...) with the "
                                "arrays to start from")
        return self.packing

    def parts(self, x: Any) -> list[Any]:
        """The arrays and numbers in a vector: of one argument of unknown size it is the whole."""
        if self.packing is None and len(self.names) == 1:
            node = self._nodes.get(self.names[0])
            if node is None or len(node.shape) == 1:
                return [vector(x).astype(node.dtype if node else np.float64, copy=False)]
        return self.settled().parts(x)


def chosen(wrt: Any, functions: Sequence[Any], fixed: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments in the vector: `wrt`, or all to differentiate by that have no value.

    ArgumentError for what is no function of gradc, for a fixed argument that no function has or that is in wrt too,
    FormulaError for a name in wrt that no function has or that is there twice, DerivativeError for none at all.
    """
    for function in functions:
        if not isinstance(function, (Function, Late, Structured)):
            raise ArgumentError(f"{function!r:.60} is no function of gradc: give what gradc.compile makes of it")
    args = tuple(dict.fromkeys(name for function in functions for name in function.args))
    for name in fixed:
        if name not in args:
            raise no_argument(name, args)
    if wrt is None:
        found = [name for function in functions
                 for name in (function.candidates if isinstance(function, Late) else function.wrt)]
        names = tuple(name for name in dict.fromkeys(found) if name not in fixed)
    else:
        names = distinct(named_in(wrt, args))
    for name in names:
        if name not in args:
            raise no_such(name, args)
        if name in fixed:
            raise ArgumentError(f"the argument {name} is in wrt and has a value too: leave one of them out")
    if not names:
        raise DerivativeError("the vector holds no argument: name one in wrt, or leave one without a value")
    return names


def plain_call(function: Any, found: Mapping[str, Any]) -> tuple[Function, list[Any]]:
    """The function of plain arrays behind one of any kind, and its arguments in order."""
    values: Sequence[Any] = [found[name] for name in function.args if name in found]
    if isinstance(function, Late):
        function, values = function.bound((), found)
    if isinstance(function, Structured):
        function, values = function.flat, function.flattened(values, {})
    return function, list(values)


def converted(function: Any, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The fixed arguments as the function takes them, where it is known already; errors as for a call."""
    if not isinstance(function, Function):
        return dict(fixed)
    return {name: as_declared(function.graph.inputs[name], value) for name, value in fixed.items()}


def _known(function: Function, names: Sequence[str], fixed: Mapping[str, Any]) -> dict[str, tuple[Shape, Any]]:
    """The shapes that the declarations and the sizes of the fixed arguments say."""
    inputs, sizes = function.graph.inputs, {}
    for name, value in converted(function, {n: value for n, value in fixed.items() if n in function.args}).items():
        node = inputs[name]
        if not node.shape and node.dtype == "int64":
            sizes[name] = int(value)
        for axis, dim in enumerate(node.shape):
            if dim.name is not None:
                sizes.setdefault(dim.name, value.shape[axis])
    return {name: (tuple(max(0, dim.evaluate(sizes)) for dim in inputs[name].shape), np.dtype(inputs[name].dtype))
            for name in names if name in inputs and all(sizes.keys() >= dim.names() for dim in inputs[name].shape)}
