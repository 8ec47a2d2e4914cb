"""Arguments of a call: names, dtypes, ranks and dimensions, checked with an error that says which.

This is the slow path: a call that the compiled code accepts never comes here. It gives the values
as the compiled code wants them (float64, C-contiguous), or raises ArgumentError or ShapeError.
Nothing is narrowed silently: integers become float64, complex numbers and objects are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.dims import Dim
from gradc.ir.errors import ArgumentError, ShapeError
from gradc.ir.graph import Graph, Node


class Missing:
    """The default of every argument: told apart from any value."""

    def __repr__(self) -> str:
        return "<missing>"


MISSING = Missing()


def is_traced(value: Any) -> bool:
    """Whether a value stands for an array of a function that is being traced."""
    return hasattr(type(value), "__gradc_stop_gradient__")


def bind(names: Sequence[str], args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
    """Values in the order of the names, or an ArgumentError that names what is wrong."""
    if len(args) > len(names):
        raise ArgumentError(f"{len(args)} positional arguments were given, but the function takes "
                            f"{len(names)} ({', '.join(names)}): leave out the last {len(args) - len(names)}")
    values = dict(zip(names, args, strict=False))
    for name, value in keywords.items():
        if name not in names:
            raise no_argument(name, names)
        if name in values and values[name] is not MISSING:
            raise ArgumentError(f"the argument {name} is given twice, by position and by name: give it once")
        values[name] = value
    absent = [name for name in names if values.get(name, MISSING) is MISSING]
    if absent:
        which = f"argument {absent[0]} is" if len(absent) == 1 else f"arguments {', '.join(absent)} are"
        raise ArgumentError(f"the {which} missing: the function takes ({', '.join(names)})")
    return [values[name] for name in names]


def no_argument(name: str, names: Sequence[str]) -> ArgumentError:
    """The error for a name that no argument has, with the nearest one."""
    near = difflib.get_close_matches(name, names, 1)
    known = f"the arguments are {', '.join(names)}" if names else "the function takes none"
    return ArgumentError(f"there is no argument {name}: {f'did you mean {near[0]}?' if near else known}")


NUMBERS = {
    float: frozenset((float, int, bool, np.float64, np.float32, np.float16, np.bool_, np.int64, np.int32, np.int16,
                      np.int8, np.uint64, np.uint32, np.uint16, np.uint8)),
    int: frozenset((int, bool, np.bool_, np.int64, np.int32, np.int16, np.int8, np.uint32, np.uint16, np.uint8)),
    bool: frozenset((bool, np.bool_)),
}


def scalar(value: Any, kind: type) -> Any:
    """A number as a float, int or bool, if it is of a type of which that is surely meant; else a TypeError."""
    if type(value) not in NUMBERS[kind]:
        raise TypeError(f"no {kind.__name__}")
    return kind(value)


def convert(graph: Graph, values: Sequence[Any]) -> list[Any]:
    """Values as the compiled function takes them, dimensions checked against each other."""
    result = normalised(graph, values)
    check_dimensions(graph, result)
    return result


def normalised(graph: Graph, values: Sequence[Any]) -> list[Any]:
    """Values of the types and ranks that the compiled function takes, those that have them as they are."""
    return [as_declared(node, value) for node, value in zip(graph.inputs.values(), values, strict=True)]


DTYPES = {name: np.dtype(name) for name in ("float64", "float32", "int64", "bool")}


def as_declared(node: Node, value: Any) -> Any:
    """A value of the type and rank of an argument's node; ArgumentError or ShapeError if it cannot be."""
    name, rank = node.attr.name, len(node.shape)
    target = DTYPES[node.dtype]
    if type(value) is np.ndarray and value.dtype == target and value.ndim == rank > 0:
        return plain(value, target)
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(f"the argument {name} is a masked array, whose mask would be lost: give {name}.filled(...) "
                            "or leave the masked elements out")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"the argument {name} is no array ({error}): give numbers in nested lists of equal "
                            "lengths or a NumPy array") from None
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"the argument {name} has dtype {array.dtype}, which has no place in a real "
                            f"function: give {node.dtype} values")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise ArgumentError(f"the argument {name} has dtype {array.dtype}: convert it to float64 yourself, "
                            "so that nothing is narrowed silently")
    if array.ndim != rank:
        shape = f"({', '.join(map(str, node.shape))}{',' if rank == 1 else ''})"
        wanted = f"an array of {rank} dimension{'s' if rank > 1 else ''} {shape}" if rank else "a scalar"
        raise ShapeError(f"the argument {name} must be {wanted}, but it has shape {array.shape}: "
                         "reshape it, or declare another shape in args")
    if node.dtype in ("int64", "bool"):
        allowed = "biu" if node.dtype == "int64" else "b"
        if array.dtype.kind not in allowed or array.dtype == np.uint64:
            raise ArgumentError(f"the argument {name} must be {node.dtype}, but it has dtype {array.dtype}: "
                                f"convert it with np.asarray({name}, dtype=np.{node.dtype})")
    elif node.dtype == "float32" and array.dtype.kind == "f" and array.dtype.itemsize > 4 and rank:
        raise ArgumentError(f"the argument {name} is declared float32, but it has dtype {array.dtype}: convert "
                            f"it with np.asarray({name}, dtype=np.float32), or declare it float64")
    if rank == 0:
        return value if type(value) in (float, int, bool) and array.dtype == target else array.astype(target)[()].item()
    return plain(array, target)


def plain(array: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array as compiled code takes it: exactly an ndarray, C-contiguous and aligned; itself if it is so."""
    found = np.ascontiguousarray(array, dtype=dtype)
    if found.dtype.num != dtype.num:                            # np.longlong is np.int64 under another number
        found = found.view(dtype)
    return found if found.flags.aligned else found.copy()


def check_dimensions(graph: Graph, values: Sequence[Any]) -> dict[str, int]:
    """The size of every dimension name; ShapeError with both values where two disagree."""
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    later: list[tuple[str, int, Dim]] = []
    inputs = list(graph.inputs.values())
    for node, value in zip(inputs, values, strict=True):
        if not node.shape and node.dtype == "int64":
            sizes[node.attr.name], origin[node.attr.name] = int(value), f"the argument {node.attr.name}"
    for node, value in zip(inputs, values, strict=True):
        for axis, dim in enumerate(node.shape):
            place = f"{node.attr.name}.shape[{axis}]"
            if dim.name is not None and dim.name not in sizes:
                sizes[dim.name], origin[dim.name] = value.shape[axis], place
            else:
                later.append((place, value.shape[axis], dim))
    for place, size, dim in later:
        wanted = max(0, dim.evaluate(sizes))
        if size != wanted:
            known = f" ({origin[dim.name]})" if dim.name else ""
            raise ShapeError(f"{place} is {size}, but {dim}{known} is {wanted}: these two must be equal"
                             if dim.constant is None else f"{place} is {size}, but it is declared to be {dim}")
    for one, other in graph.equal:
        a, b = one.evaluate(sizes), other.evaluate(sizes)
        if a != b:
            raise ShapeError(f"{one} ({_origin(one, origin)}) is {a} and {other} ({_origin(other, origin)}) is {b}: "
                             "they meet in one expression and must be equal")
    return sizes


def at_sizes(message: object, sizes: Mapping[str, int], inner: Collection[str] = ()) -> str:
    """The message of an error with the sizes at which it was met, those that the user knows."""
    here = ", ".join(f"{name} = {size}" for name, size in sizes.items() if name not in inner)
    return f"{message} (here {here})" if here else str(message)


def _origin(dim: Dim, origin: Mapping[str, str]) -> str:
    return origin.get(dim.name or "", "computed")


def check_out(arrays: Sequence[tuple[str, Node]], out: Any, values: Sequence[Any], sizes: Mapping[str, int],
              names: Sequence[str]) -> list[np.ndarray[Any, Any]]:
    """The arrays given in `out`, one for each array result, checked as the compiled function needs them."""
    if not arrays:
        raise ArgumentError("out= was given, but the result has no array: leave it out")
    given = [out] if isinstance(out, np.ndarray) else list(out.values()) if isinstance(out, Mapping) else (
        list(out) if isinstance(out, (tuple, list)) else None)
    if given is None or len(given) != len(arrays):
        wanted = "one array" if len(arrays) == 1 else f"a tuple of {len(arrays)} arrays ({', '.join(names)})"
        raise ArgumentError(f"out must be {wanted}")
    for (_, node), array, name in zip(arrays, given, names, strict=True):
        shape = tuple(max(dim.evaluate(sizes), 0) for dim in node.shape)
        dtype = DTYPES[node.dtype]
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.dtype.num != dtype.num:
            raise ArgumentError(f"out for {name} must be a NumPy array of dtype {node.dtype}")
        if array.shape != shape:
            raise ShapeError(f"out for {name} has shape {array.shape}, but the result has shape {shape}")
        if not array.flags.c_contiguous or not array.flags.aligned or not array.flags.writeable:
            raise ArgumentError(f"out for {name} must be C-contiguous, aligned and writeable: use np.empty({shape})")
        if any(isinstance(v, np.ndarray) and np.shares_memory(array, v) for v in values):
            raise ArgumentError(f"out for {name} shares memory with an argument: give an array of its own")
    for k, array in enumerate(given):
        if any(np.shares_memory(array, other) for other in given[:k]):
            raise ArgumentError("two arrays in out share memory: give each its own")
    return given


def check_workspace(workspace: Any, needed: int, given: Sequence[Any], name: str) -> np.ndarray[Any, Any]:
    """The memory that a call is lent, as the compiled function takes it; ArgumentError if it will not do.

    needed  float64 that the function's buffers take the place of
    given   the arguments, and the arrays for the results
    name    of the function
    """
    dtype = DTYPES["float64"]
    if not isinstance(workspace, np.ndarray) or workspace.dtype != dtype or workspace.ndim != 1 or not (
            workspace.flags.c_contiguous and workspace.flags.aligned and workspace.flags.writeable):
        raise ArgumentError("workspace must be a vector of float64 that is C-contiguous, aligned and writeable: give "
                            f"what {name}.workspace(...) returns")
    if workspace.size < needed:
        raise ArgumentError(f"workspace has {workspace.size} elements, but {needed} are needed for these arguments: "
                            f"make it with {name}.workspace(...) for the largest ones; it serves all smaller ones")
    if any(isinstance(array, np.ndarray) and np.shares_memory(workspace, array) for array in given):
        raise ArgumentError("workspace shares memory with an argument or with out: give memory of its own")
    return plain(workspace, dtype)


def new_arrays(arrays: Sequence[tuple[str, Node]], sizes: Mapping[str, int]) -> list[np.ndarray[Any, Any]]:
    """Arrays for the results, not yet filled."""
    return [np.empty(tuple(max(dim.evaluate(sizes), 0) for dim in node.shape), DTYPES[node.dtype])
            for _, node in arrays]
