"""Casts: the value of a node in another dtype, as NumPy's `astype` has it.

The casts between the precisions and to whole numbers are entries of the operation table; a constant is cast at
once, a truth value is a choice between 0 and 1, a whole number in double precision is the entry `real`. When a
cast is due is left to the front ends (NumPy's promotion) and to the adjoint (a cotangent has the dtype of its
primal).
"""

from __future__ import annotations

import math
import struct
from typing import Any

from .nodes import Node, whole_axes

CASTS = ("real", "float32", "float64")          # the entries that give their operand as a real number


def cast(node: Node, dtype: str) -> Node:
    """The node in a dtype, made in its own graph; an array (an edge of the graph) is read and stored anew.

    >>> from .graph import Graph
    >>> g = Graph()
    >>> cast(g.input("x"), "float32"), cast(g.const(True), "int64"), cast(g.const(0.1, "float32"), "float64")
    (%1 = float32 %0, %3 = const 1 , %5 = const 0.10000000149011612 )
    """
    graph = node.graph
    if node.dtype == dtype:
        return node
    if node.is_array:
        axes = whole_axes(node.shape)
        return graph.store(axes, cast(graph.read(node, [graph.axis(axis) for axis in axes]), dtype))
    if node.op == "const" and (dtype != "int64" or math.isfinite(node.value)):
        return graph.const(_number(node, dtype), dtype)
    if dtype == "bool":
        return graph.apply("not_equal", node, 0)
    if node.dtype == "bool":
        return graph.apply("select", node, graph.const(1, dtype), graph.const(0, dtype))
    if dtype == "int64":
        return graph.apply("truncated", node)
    return graph.apply("real" if node.dtype == "int64" and dtype == "float64" else dtype, node)


def _number(node: Node, dtype: str) -> Any:
    """The value of a constant in a dtype; single precision rounds it where it is read (`float32(0.1)`)."""
    value = node.value
    if node.dtype == "float32" and dtype == "float64":
        try:
            return struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            return math.copysign(math.inf, value)
    return bool(value) if dtype == "bool" else int(value) if dtype == "int64" else float(value)
