"""A compiled function as an operation of JAX, under `jit`, `grad`, `jvp` and `vmap`, and any order of them.

The operation is a primitive of JAX, the same for all functions: it calls compiled code on the host, its derivative
along tangents is the function's `jvp`, again such an operation, and that one's transpose the function's `vjp`. So
JAX has from gradc what it has from its own operations, and composes it as it does these. Under `vmap` it is called
for one entry after the other. JAX is imported when the adapter is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.errors import ArgumentError, ShapeError
from gradc.ir.graph import Node

from .arguments import check_dimensions
from .foreign import by, computed, flat_call, library, outputs_of, shapes
from .function import Function


class JaxFunction:
    """The operation; see `Adapters.jax`."""

    def __init__(self, function: Any) -> None:
        library("jax", "f.jax()")
        self._function = function
        self.__name__ = str(function.__name__)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """The value on arrays of JAX; nested arguments hold arrays, and so do results that are nested."""
        jax = library("jax", "f.jax()")
        call = flat_call(self._function, args, keywords, jax.Array, _example)
        nodes = call.function.graph.inputs.values()
        sizes = _sizes(call.function)
        values, fixed = [], []
        for position, (node, value) in enumerate(zip(nodes, call.values, strict=True)):
            if node.dtype in ("int64", "bool") and not node.shape and not isinstance(value, jax.Array):
                fixed.append((position, value))
            elif node.attr.name in sizes:
                raise ArgumentError(f"the argument {node.attr.name} is a size, and JAX must know the shapes of results "
                                    "before it runs: give a Python number")
            else:
                values.append(_argument(node, value))
        return call.assembled(_applied(_Call(call.function, tuple(fixed)), values))

    def __repr__(self) -> str:
        return f"<{self.__name__} of gradc on arrays of JAX>"


class _Call(NamedTuple):
    """What the operation computes: the Function, arguments that are numbers for good, and whether it is linear.

    along    (function, names): the Function is the `jvp` of that one by those arguments, whose tangents come last
    """

    function: Function
    fixed: tuple[tuple[int, Any], ...]
    along: tuple[Function, tuple[str, ...]] | None = None

    def whole(self, values: Sequence[Any]) -> list[Any]:
        """All arguments in their order."""
        found = list(values)
        for position, value in self.fixed:
            found.insert(position, value)
        return found

    def of(self, values: Sequence[Any]) -> list[Any]:
        """Of a list of all arguments those that are not fixed."""
        positions = {position for position, _ in self.fixed}
        return [value for position, value in enumerate(values) if position not in positions]


def _applied(call: _Call, values: Sequence[Any]) -> list[Any]:
    return list(_primitive().bind(*values, call=call))


def _sizes(function: Function) -> set[str]:
    """The names that dimensions are computed from."""
    dims = [dim for node in (*function.graph.inputs.values(), *outputs_of(function)) for dim in node.shape]
    dims += [dim for pair in function.graph.equal for dim in pair]
    return {name for dim in dims for name in dim.names()}


def _example(array: Any) -> np.ndarray[Any, Any]:
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _argument(node: Node, value: Any) -> Any:
    """A value as an array of JAX of the dtype of the argument; only numbers change their precision."""
    jax = library("jax", "f.jax()")
    name, wanted = node.attr.name, jax.dtypes.canonicalize_dtype(node.dtype)
    try:
        array = jax.numpy.asarray(value)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"the argument {name} is no array for JAX ({error}): give an array or a number") from None
    if array.ndim != len(node.shape):
        raise ShapeError(f"the argument {name} must have {len(node.shape)} dimensions, but it has shape {array.shape}: "
                         "reshape it, or declare another shape in args")
    kind = array.dtype.kind
    if kind == "V" or (node.shape and kind == "f" and array.dtype != node.dtype) or kind == "c" or (
            not node.dtype.startswith("float") and kind == "f"):
        raise ArgumentError(f"the argument {name} is {node.dtype}, and an array of {array.dtype} is given: convert it "
                            'by x.astype(...), declare it float32, or have JAX compute with float64 '
                            '(jax.config.update("jax_enable_x64", True))')
    return array.astype(wanted) if node.dtype.startswith("float") else array


@functools.cache
def _primitive() -> Any:
    """The primitive with its rules, made when JAX is there."""
    jax = library("jax", "f.jax()")
    ad, batching, mlir = (library(f"jax.interpreters.{name}", "f.jax()") for name in ("ad", "batching", "mlir"))
    primitive: Any = library("jax.extend.core", "f.jax()").Primitive("gradc")
    primitive.multiple_results = True

    def result_types(values: Sequence[Any], call: _Call) -> list[Any]:
        sizes = check_dimensions(call.function.graph, [
            0 if not node.shape and hasattr(value, "shape") else value
            for node, value in zip(call.function.graph.inputs.values(), call.whole(values), strict=True)])
        return [jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(node.dtype)) for shape, node in zip(
            shapes(call.function, sizes), outputs_of(call.function), strict=True)]

    def on_host(call: _Call, types: Sequence[Any], *values: Any) -> list[Any]:
        given = [np.asarray(value) for value in values]
        found = computed(call.function, call.whole([value if value.ndim else value.item() for value in given]))
        return [array.astype(kind.dtype, copy=False) for array, kind in zip(found, types, strict=True)]

    def run(*values: Any, call: _Call) -> list[Any]:
        return list(map(jax.numpy.asarray, on_host(call, result_types(values, call), *values)))

    def called(*values: Any, call: _Call) -> Any:
        types = result_types(values, call)
        return jax.pure_callback(functools.partial(on_host, call, types), types, *values, vmap_method="sequential")

    def types_of(*values: Any, call: _Call) -> list[Any]:
        return [jax.core.ShapedArray(kind.shape, kind.dtype) for kind in result_types(values, call)]

    def along(values: Any, tangents: Any, *, call: _Call) -> Any:
        out = primitive.bind(*values, call=call)
        names = call.of(call.function.args)
        moved = {name: tangent for name, tangent in zip(names, tangents, strict=True)
                 if type(tangent) is not ad.Zero and tangent.dtype != jax.dtypes.float0}
        real = [node.dtype.startswith("float") for node in outputs_of(call.function)]
        zeros = [ad.Zero(jax.core.ShapedArray(value.shape, value.dtype if own else jax.dtypes.float0))
                 for value, own in zip(out, real, strict=True)]
        if not moved:
            return out, zeros
        function = by(call.function, tuple(moved))
        found = primitive.bind(*values, *moved.values(), call=_Call(
            function.jvp, call.fixed, (function, tuple(moved))))
        return out, [one if own else zero for one, own, zero in zip(found, real, zeros, strict=True)]

    def back(cotangents: Any, *values: Any, call: _Call) -> Any:
        assert call.along is not None                           # nothing else is linear in what is undefined
        function, names = call.along
        primals = values[:len(values) - len(names)]
        real = [ad.instantiate_zeros(one) for one, node in zip(cotangents, outputs_of(function), strict=True)
                if node.dtype.startswith("float")]
        found = primitive.bind(*primals, *real, call=_Call(function.vjp, call.fixed))
        return [*(None for _ in primals), *found]

    def batched(values: Any, places: Any, *, call: _Call) -> Any:
        moving = [place is not None for place in places]
        rows = tuple(jax.numpy.moveaxis(value, place, 0) for value, place in zip(values, places, strict=True)
                     if place is not None)

        def one(row: Any) -> Any:
            parts = iter(row)
            return primitive.bind(*(next(parts) if moves else value for value, moves in zip(
                values, moving, strict=True)), call=call)

        found = jax.lax.map(one, rows)
        return found, [0] * len(found)

    primitive.def_impl(run)
    primitive.def_abstract_eval(types_of)
    ad.primitive_jvps[primitive] = along
    ad.primitive_transposes[primitive] = back
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(called, multiple_results=True))
    return primitive
