"""A compiled function as an operation of PyTorch: on tensors, recorded by autograd, differentiable any number of times.

Forward it is the function itself, on the tensors' own memory. Backward it is the function's `vjp`, again as such an
operation, so a gradient that is asked for with `create_graph=True` has derivatives in its turn; forward mode is its
`jvp`. PyTorch is imported when the adapter is asked for.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from gradc.ir.errors import ArgumentError
from gradc.ir.graph import Node

from .arguments import check_dimensions, normalised
from .foreign import by, computed, flat_call, library, outputs_of
from .function import Function


class TorchFunction:
    """The operation; see `Adapters.torch`. It pickles as its function does, so a module that holds it can be saved."""

    def __init__(self, function: Any) -> None:
        library("torch", "f.torch()")
        self._function = function

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """The value on tensors; nested arguments hold tensors, and so do results that are nested."""
        torch = library("torch", "f.torch()")
        call = flat_call(self._function, args, keywords, torch.Tensor, _array)
        return call.assembled(_applied(call.function, call.values))

    def __repr__(self) -> str:
        return f"<{self._function.__name__} of gradc on tensors>"


def _applied(function: Function, values: Any) -> tuple[Any, ...]:
    found = _operation().apply(function, *values)
    return found if isinstance(found, tuple) else (found,)


def _array(tensor: Any) -> np.ndarray[Any, Any]:
    """The memory of a tensor as an array."""
    if tensor.device.type != "cpu":
        raise ArgumentError(f"a tensor is on {tensor.device}, and compiled functions run on the processor: give "
                            "x.cpu()")
    if tensor.layout is not library("torch", "f.torch()").strided:
        raise ArgumentError(f"a tensor has the layout {tensor.layout}: give x.to_dense()")
    if tensor.is_complex():
        raise ArgumentError("a tensor is complex, and all numbers are real here: give its real and imaginary parts")
    if str(tensor.dtype) == "torch.bfloat16":
        raise ArgumentError("a tensor is torch.bfloat16, which NumPy has not: give x.float()")
    found: np.ndarray[Any, Any] = tensor.detach().resolve_neg().numpy()
    return found


def _argument(node: Node, value: Any) -> Any:
    """A value as the function takes it: no tensor that has derivatives changes its precision."""
    if not isinstance(value, library("torch", "f.torch()").Tensor):
        return value
    array = _array(value)
    if node.shape and array.dtype.kind == "f" and array.dtype != node.dtype:
        ending = {"float64": "double()", "float32": "float()"}.get(node.dtype, "to(torch.int64)")
        raise ArgumentError(f"the argument {node.attr.name} is {node.dtype}, and a tensor of {value.dtype} is given: "
                            f'write x.{ending}, or declare "{array.dtype} {" ".join(map(str, node.shape))}"')
    return array if node.shape else array.item() if array.ndim == 0 else array


@functools.cache
def _operation() -> Any:
    """The class that autograd records, made when PyTorch is there."""
    torch = library("torch", "f.torch()")

    class Compiled(torch.autograd.Function):                    # type: ignore[misc, name-defined]
        """A Function of leaves and its arguments; tensors and other values."""

        @staticmethod
        def forward(function: Function, *values: Any) -> Any:
            nodes = function.graph.inputs.values()
            arrays = normalised(function.graph, [_argument(n, v) for n, v in zip(nodes, values, strict=True)])
            check_dimensions(function.graph, arrays)
            return tuple(torch.from_numpy(array) for array in computed(function, arrays))

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            function, *values = inputs
            tensors = [value for value in values if isinstance(value, torch.Tensor)]
            ctx.save_for_backward(*tensors)
            ctx.save_for_forward(*tensors)
            ctx.function = function
            ctx.others = [None if isinstance(value, torch.Tensor) else (value,) for value in values]
            ctx.mark_non_differentiable(*(tensor for tensor in output if not tensor.is_floating_point()))

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            names = _wanted(ctx, ctx.needs_input_grad[1:])
            real = [cotangent for cotangent, node in zip(cotangents, outputs_of(ctx.function), strict=True)
                    if node.dtype.startswith("float")]
            values = _values(ctx)
            found = dict(zip(names, _applied(by(ctx.function, names).vjp, (*values, *real)), strict=True))
            return None, *(found[name].to(value.dtype) if name in found else None
                           for name, value in zip(ctx.function.args, values, strict=True))

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            names = _wanted(ctx, [tangent is not None for tangent in tangents[1:]])
            along = [tangent for name, tangent in zip(ctx.function.args, tangents[1:], strict=True) if name in names]
            found = _applied(by(ctx.function, names).jvp, (*_values(ctx), *along))
            return tuple(tangent if node.dtype.startswith("float") else None
                         for tangent, node in zip(found, outputs_of(ctx.function), strict=True))

        @staticmethod
        def vmap(info: Any, in_dims: Any, function: Function, *values: Any) -> Any:
            rows = [_applied(function, [value if dim is None else value.select(dim, k)
                                        for value, dim in zip(values, in_dims[1:], strict=True)])
                    for k in range(info.batch_size)]
            return tuple(map(torch.stack, zip(*rows, strict=True))), (0,) * len(outputs_of(function))

    return Compiled


def _values(ctx: Any) -> list[Any]:
    """The arguments of a recorded call."""
    saved = iter(ctx.saved_tensors)
    return [next(saved) if other is None else other[0] for other in ctx.others]


def _wanted(ctx: Any, needed: Any) -> tuple[str, ...]:
    """The real arguments by which derivatives are wanted."""
    inputs = ctx.function.graph.inputs
    return tuple(name for (name, node), wanted in zip(inputs.items(), needed, strict=True)
                 if wanted and node.dtype.startswith("float"))
