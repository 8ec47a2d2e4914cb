"""Several arguments as one vector: where each array of them lies in it.

Optimisers and solvers know one vector of real numbers. A `Packing` says how arguments lie in it, one after the other
and each array row by row: it is made from values, or from shapes that are known. It puts values into a vector and
takes a vector apart; what is done with the parts is for others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradc.codegen.module import safe_fields
from gradc.codegen.results import result_class
from gradc.ir.errors import ArgumentError, ShapeError

from .structures import Leaf, Tree, argument_entries, collect, fill, grow

Shape = tuple[int, ...]


class Packing:
    """Arguments in a vector: the structure of each, and the shape and dtype of every array in them, in order.

    size    the length of the vector
    """

    def __init__(self, trees: Mapping[str, Tree], arrays: Mapping[str, tuple[Shape, Any]]) -> None:
        self.trees, self.arrays = dict(trees), dict(arrays)
        ends = list(itertools.accumulate((math.prod(shape) for shape, _ in arrays.values()), initial=0))
        self.size = ends[-1]
        self._places = [(slice(start, end), shape, dtype) for start, end, (shape, dtype)
                        in zip(ends, ends[1:], arrays.values(), strict=False)]

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Packing:
        """The packing of values; ArgumentError for one that has no real numbers."""
        arrays: dict[str, tuple[Shape, Any]] = {}

        def label(name: str, leaf: Any) -> str:
            array = _real(name, leaf)
            arrays[name] = array.shape, np.dtype(np.float32 if array.dtype == np.float32 else np.float64)
            return name

        trees = {name: grow(value, name, argument_entries, label) for name, value in values.items()}
        return cls(trees, arrays)

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[Shape, Any]]) -> Packing:
        """The packing of arguments that are one array or number each."""
        return cls({name: Leaf(name) for name in shapes}, shapes)

    def __str__(self) -> str:
        return ", ".join(f"{name}: {' x '.join(map(str, shape)) or 1}" for name, (shape, _) in self.arrays.items())

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for every number of the vector: `k`, or `W[0, 1]`."""
        return tuple(f"{name}[{', '.join(map(str, index))}]" if shape else name
                     for name, (shape, _) in self.arrays.items() for index in np.ndindex(*shape))

    def vector(self, values: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        """The vector of values; ArgumentError or ShapeError for what does not fit."""
        found: list[Any] = []
        for name, tree in self.trees.items():
            collect(tree, values[name], name, found)
        return self.joined([_real(name, leaf) for name, leaf in zip(self.arrays, found, strict=True)])

    def joined(self, parts: Sequence[Any]) -> np.ndarray[Any, Any]:
        """The vector of the arrays in their order; ShapeError for one of another shape."""
        for (name, (shape, _)), part in zip(self.arrays.items(), parts, strict=True):
            if np.shape(part) != shape:
                raise ShapeError(f"{name} has shape {np.shape(part)}, but {shape} was given first: make a new "
                                 "adapter for arrays of other shapes")
        return joined(parts)

    def parts(self, x: Any) -> list[Any]:
        """The arrays and numbers in a vector, as views where they can be; ShapeError if it has another length."""
        if x.shape != (self.size,):
            raise ShapeError(f"the vector must hold {self.size} numbers ({self}), but its shape is {x.shape}: make "
                             "it with pack(...)")
        return [x[place].reshape(shape).astype(dtype, copy=False) if shape else float(x[place.start])
                for place, shape, dtype in self._places]

    def values(self, parts: Sequence[Any]) -> dict[str, Any]:
        """The arguments, in their structures, from their arrays."""
        found = dict(zip(self.arrays, parts, strict=True))
        return {name: fill(tree, found.__getitem__) for name, tree in self.trees.items()}


def joined(parts: Any) -> np.ndarray[Any, Any]:
    """Arrays and numbers, in tuples of tuples, one after the other in a vector of float64."""
    found = flat(parts)
    if len(found) == 1:
        return np.asarray(found[0], dtype=np.float64).reshape(-1)
    return np.concatenate([np.ravel(part) for part in found]).astype(np.float64, copy=False)


def flat(parts: Any) -> list[Any]:
    """The arrays and numbers in tuples of tuples, in order."""
    return [leaf for part in parts for leaf in flat(part)] if isinstance(parts, (tuple, list)) else [parts]


def in_tuple(values: Mapping[str, Any]) -> Any:
    """The only value, or a named tuple of them, as gradients come."""
    if len(values) == 1:
        return next(iter(values.values()))
    names = tuple(values)
    return result_class("Arguments", safe_fields(names), names, "gradc.compiler.packing")(*values.values())


def vector(x: Any) -> np.ndarray[Any, Any]:
    """What an optimiser gives as its vector, as float64; ArgumentError or ShapeError for anything else."""
    array = np.asarray(x)
    if array.ndim != 1:
        raise ShapeError(f"the vector must have one dimension, but its shape is {array.shape}: make it with pack(...)")
    return _real("vector", array).astype(np.float64, copy=False)


def _real(name: str, leaf: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(leaf)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise ArgumentError(f"the {name} has dtype {array.dtype}, and a vector holds real numbers: give float64 "
                            "values, or fix the argument by its name")
    return array
