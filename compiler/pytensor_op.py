"""A compiled function as an Op of PyTensor, with the gradients and second derivatives that PyMC's samplers ask for.

PyTensor pins a version of Numba that may not be gradc's, so the Op stands on plain functions: those of gradc where both
are installed, or those of a saved file, which carries the text of `operation` and needs gradc no more.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradc.codegen.module import Group
from gradc.ir.errors import ArgumentError, DerivativeError
from gradc.ir.graph import Node

from .foreign import by, library, outputs_of
from .function import Function
from .late import Late
from .save import text
from .structured import Structured
from .wrt import real_arguments


def operation(name: str, inputs: Any, outputs: Any, chain: Any) -> Any:
    """An Op of PyTensor.

    inputs, outputs  (dtype, rank) of every argument and result
    chain            functions that take and give NumPy's arrays: the value first; then what gives, for the arguments
                     and a cotangent of each real result, the cotangents of the real arguments; then the same of that
    """
    import importlib

    import numpy as np

    basic = importlib.import_module("pytensor.graph.basic")
    op = importlib.import_module("pytensor.graph.op")
    gradient = importlib.import_module("pytensor.gradient")
    tensor = importlib.import_module("pytensor.tensor")

    def is_real(kind: Any) -> bool:
        return bool(kind[0].startswith("float"))

    class Compiled(op.Op):                                      # type: ignore[misc, name-defined]
        """The Op; `chain` says how often it can be differentiated."""

        def make_node(self, *values: Any) -> Any:
            if len(values) != len(inputs):
                raise TypeError(f"{name} takes {len(inputs)} arguments, not {len(values)}")
            given = [tensor.as_tensor_variable(value) for value in values]
            for position, (value, (dtype, rank)) in enumerate(zip(given, inputs, strict=True)):
                if value.type.ndim != rank or not np.can_cast(value.type.dtype, dtype):
                    raise TypeError(f"argument {position + 1} of {name} is a {dtype} of {rank} dimensions, and "
                                    f"{value.type} is given")
            made = [tensor.TensorType(dtype, shape=(None,) * rank)() for dtype, rank in outputs]
            return basic.Apply(self, [value if value.type.dtype == dtype else tensor.cast(value, dtype)
                                      for value, (dtype, _) in zip(given, inputs, strict=True)], made)

        def perform(self, _node: Any, given: Any, storage: Any) -> None:
            waiting = [chain[0](*(value if np.ndim(value) else np.asarray(value).item() for value in given))]
            found: list[Any] = []
            while waiting:
                part = waiting.pop(0)
                if isinstance(part, tuple):
                    waiting = [*part, *waiting]
                else:
                    found.append(part)
            for cell, value, (dtype, _) in zip(storage, found, outputs, strict=True):
                cell[0] = np.asarray(value, dtype=dtype)

        def connection_pattern(self, _node: Any) -> Any:
            return [[is_real(one) and is_real(other) for other in outputs] for one in inputs]

        def pullback(self, given: Any, results: Any, cotangents: Any) -> Any:
            if len(chain) < 2:
                raise NotImplementedError(f"{name} has no further derivatives here: gradc writes first and second ones")
            real = [result.zeros_like() if isinstance(one.type, gradient.DisconnectedType) else
                    tensor.cast(one, result.type.dtype)
                    for one, result, kind in zip(cotangents, results, outputs, strict=True) if is_real(kind)]
            kinds = [kind for kind in inputs if is_real(kind)]
            further = operation(f"the derivative of {name}", [*inputs, *(kind for kind in outputs if is_real(kind))],
                                kinds, chain[1:])
            found = further(*given, *real)
            parts = iter(found if isinstance(found, (list, tuple)) else [found])
            return [next(parts) if is_real(kind) else gradient.DisconnectedType()() for kind in inputs]

        if not hasattr(op.Op, "pullback"):                      # as older versions call it
            L_op = pullback

        def __str__(self) -> str:
            return name

    return Compiled()


def pytensor_op(function: Any, path: Any = None) -> Any:
    """The Op, or None where a file is written for another environment; see `Adapters.pytensor`."""
    flat = function.only("pytensor") if isinstance(function, Late) else function
    if isinstance(flat, Structured):
        flat = flat.flat
    chain = _chain(flat)
    inputs, outputs = [_kind(node) for node in flat.graph.inputs.values()], list(map(_kind, outputs_of(flat)))
    if path is None:
        library("pytensor", "f.pytensor()", "give a path, and import the file that is written where PyTensor is")
        return operation(flat.__name__, inputs, outputs, chain)
    names = ", ".join(part.__name__ for part in chain)
    kinds = ",\n               ".join(map(repr, (inputs, outputs)))
    written = text(chain[0], public=chain, more=(
        re.sub(r" *# type: ignore.*", "", inspect.getsource(operation)),
        f"op = operation({Path(path).stem!r}, {kinds}, [{names}])"))
    Path(path).write_text(written.replace("import sys\n", "import sys\nfrom typing import Any\n", 1), encoding="utf-8")
    return None


def _kind(node: Node) -> tuple[str, int]:
    return node.dtype, len(node.shape)


def _chain(function: Function) -> Sequence[Function]:
    """The function, its `vjp` by all real arguments, and that of the `vjp`."""
    real = real_arguments(function.graph)
    if function.__name__ != "value":
        raise ArgumentError(f"an Op is made of a function, and this is its {function.__name__}: the Op of the function "
                            "has derivatives")
    if not real or not any(node.dtype.startswith("float") for node in outputs_of(function)):
        raise DerivativeError("an Op needs a real argument and a real result")
    first = by(function, real).vjp
    return [_plain(function, "value"), _plain(first, "vjp"),
            _plain(by(first, real_arguments(first.graph)).vjp, "vjp_of_vjp")]


def _plain(function: Function, name: str) -> Function:
    """The Function under a name of its own, its results in no named tuple."""
    graph, groups = function.graph, [Group((key,)) for key, _ in function.graph.outputs]
    return Function(graph, function.wrt, function.options, name=name, groups=groups, prepared=function.unshared)
