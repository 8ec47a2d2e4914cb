"""What the guards of a sum may protect: values that need not exist where no guard holds.

sum(log(x) * a[i] for i in range(n) if x > 0) is 0 where x is negative, and so are its derivatives. A pass that moves
a factor out of such a sum, or a rule that multiplies the sum by something, asks here first whether that is finite
without the guards. exp(x) may overflow, so it is not. Input is taken to be finite, and products to stay in range. A sum
over no element at all is not looked after: its zero times infinity is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node, affine

FINITE = frozenset(("const", "dim", "axis", "input", "read", "store", "scatter_add", "sum", "add", "sub", "mul", "neg",
                    "real", "float32", "float64", "abs", "min", "max", "clip", "relu", "select", "sin", "cos", "tanh",
                    "sigmoid", "atan", "erf", "floor", "ceil", "sign", "less", "less_equal", "greater",
                    "greater_equal", "eq", "not_equal", "and", "or", "not"))
UP = {"less": False, "less_equal": False, "greater": True, "greater_equal": True}   # holds for large left sides?
LOOKED_AT = 256         # nodes under a value; of a larger one nothing is known


def is_defined(value: Node) -> bool:
    """Whether a value is known to be finite for all finite input, and its derivatives with it."""
    seen, waiting = {value}, [value]
    while waiting:
        node = waiting.pop()
        if node.op in ("min", "max") and node.is_reduction:
            return False                                        # of nothing there is none
        if node.op == "div":
            if node.args[1].op != "const" or not node.args[1].value:
                return False
        elif node.op not in FINITE:
            return False
        new = [arg for arg in node.args if arg not in seen]
        seen.update(new)
        waiting += new
        if len(seen) > LOOKED_AT:
            return False
    return True


def anywhere(graph: Graph, axis: Axis, guards: Sequence[Node]) -> Node:
    """Whether conditions hold at some point of an axis; of an index by its ends, without a loop."""
    at_ends = _at_ends(graph, axis, guards[0]) if len(guards) == 1 else None
    return graph.reduce("any", axis, graph.const(True), guards) if at_ends is None else at_ends


def _at_ends(graph: Graph, axis: Axis, guard: Node) -> Node | None:
    """A comparison with a multiple of the index holds at one end of the axis, or nowhere."""
    index, size = graph.axis(axis), graph.dim(axis.dim)
    if guard.dtype != "bool" or len(guard.args) != 2 or any(arg.dtype != "int64" for arg in guard.args):
        return None
    left, right = (affine(arg)[0] for arg in guard.args)
    factor = left.pop(index, 0) - right.pop(index, 0)
    others = {*left, *right}
    if not factor or any(axis in atom.axes for atom in others):
        return None
    if guard.op == "not_equal":                                 # another index differs from some if there are two
        alike = guard.args in {(index, other) for other in others} | {(other, index) for other in others} and all(
            other.op == "axis" and other.attr.dim == axis.dim for other in others)
        return graph.ops.less(1, size) if alike else None
    if guard.op not in UP:
        return None
    end = size - 1 if (factor > 0) == UP[guard.op] else graph.const(0)
    holds = graph.substitute(guard, {axis: end})
    nonempty = axis.dim.constant or any(atom.op == "axis" and atom.attr.dim == axis.dim for atom in others)
    return holds if nonempty else graph.all_of([graph.ops.less(0, size), holds])
