"""What the guards of a sum may protect: values that need not exist where no guard holds.

sum(log(x) * a[i] for i in range(n) if x > 0) is 0 where x is negative, and so are its derivatives. A pass that moves
a factor out of such a sum, or a rule that multiplies the sum by something, asks here first whether that is finite
without the guards. Input is taken to be finite, and products to stay in range.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradc.ir.dims import Axis
from gradc.ir.graph import Node

FINITE = frozenset(("const", "dim", "axis", "input", "read", "store", "scatter_add", "sum", "add", "sub", "mul", "neg",
                    "real", "float32", "float64", "abs", "min", "max", "clip", "relu", "select", "sin", "cos", "tanh",
                    "sigmoid", "atan", "erf", "floor", "ceil", "sign", "less", "less_equal", "greater",
                    "greater_equal", "eq", "not_equal", "and", "or", "not"))
LOOKED_AT = 256         # nodes under a value; of a larger one nothing is known


def is_defined(value: Node) -> bool:
    """Whether a value is known to be finite for all finite input, and its derivatives with it."""
    return _sources([value], None)[0]


def protects(guards: Sequence[Node], axis: Axis, value: Node) -> bool:
    """Whether conditions along an axis may be there because the value does not exist, or has no derivative, without.

    They may if they and the value depend on something in common.
    """
    defined, read = _sources([value], axis)
    if defined:
        return False
    conditions = _sources(guards, axis)[1]
    return read is None or conditions is None or not read.isdisjoint(conditions)


def _sources(nodes: Sequence[Node], axis: Axis | None) -> tuple[bool, set[object] | None]:
    """Whether all under some nodes is finite, and what they depend on: other axes, dimensions, inputs.

    None instead of these where there is too much to look at.
    """
    seen, waiting, defined = set(nodes), list(nodes), True
    read: set[object] = {a for node in nodes for a in node.axes if a != axis}
    while waiting:
        node = waiting.pop()
        if node.op in ("min", "max") and node.is_reduction:
            defined = False                                     # of nothing there is none
        elif node.op == "div":
            defined = defined and node.args[1].op == "const" and bool(node.args[1].value)
        else:
            defined = defined and node.op in FINITE
        if node.op == "input":
            read.add(node)
        elif node.op == "dim":
            read.add(node.attr)
        elif node.is_reduction:
            read.add(node.attr.dim)
        new = [arg for arg in node.args if arg not in seen]
        seen.update(new)
        waiting += new
        if len(seen) > LOOKED_AT:
            return False, None
    return defined, read
