"""Simplification: local identities applied as nodes are made.

`fold` is what a derived graph asks before it makes a node: constants are evaluated, identities
removed, signs moved outward, small powers written as products, factors that do not vary over an
axis taken out of its sum. Nothing is cancelled and nothing is reassociated across the user's
grouping; constants are merged only where that is exact (powers of two). Stability is not decided
here (see `stable`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node, copy_graph

from .protection import is_defined

Rule = Callable[..., "Node | None"]


def simplify(graph: Graph) -> Graph:
    """The graph made again with every local identity applied."""
    new = copy_graph(graph, fold=fold)
    new.checks = [check for check in new.checks if check.bad.op != "const" or check.bad.value]
    return new


def fold(graph: Graph, op: str, args: tuple[Node, ...], attr: Any = None) -> Node | None:
    """A simpler node that equals op(*args), or None."""
    if attr is not None:                                        # a reduction over the axis `attr`
        if op in ("any", "all") and args[0].op == "const" and args[0].value == (op == "all"):
            return args[0]                                      # the same over nothing and over anything
        if op == "mean" and args[0].op == "const" and _real(args[0]):
            return args[0]                                      # over nothing it was refused before
        return _sum(graph, attr, *args) if op == "sum" else None
    if op in _EVALUATED and all(a.op == "const" for a in args):
        value = _evaluate(op, args)
        if value is not None:
            return graph.const(value)
    rule = _RULES.get(op)
    return rule(graph, *args) if rule is not None else None


_EVALUATED: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b, "neg": lambda a: -a, "pow": lambda a, b: float(a) ** b,
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "abs": abs,
    "less": lambda a, b: a < b, "less_equal": lambda a, b: a <= b, "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b, "eq": lambda a, b: a == b, "not_equal": lambda a, b: a != b,
    "not": lambda a: not a, "real": float,
}


def _evaluate(op: str, args: tuple[Node, ...]) -> Any:
    if any(a.dtype == "float32" for a in args):
        return None
    try:
        value = _EVALUATED[op](*(a.value for a in args))
    except (ArithmeticError, ValueError):
        return None
    if isinstance(value, complex):                              # a root of a negative number, as NumPy has it
        return math.nan
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if op in ("div", "pow", "sqrt", "exp", "log") else value


def _is(node: Node, value: float) -> bool:
    return node.op == "const" and node.dtype != "bool" and node.value == value


def _real(node: Node) -> bool:
    return node.dtype.startswith("float")


def _add(graph: Graph, a: Node, b: Node) -> Node | None:
    if _is(a, 0.0) and _real(b):
        return b
    if _is(b, 0.0) and _real(a):
        return a
    if a.op == "neg" and b.op == "neg":
        return graph.apply("neg", graph.apply("add", a.args[0], b.args[0]))
    if b.op == "neg":
        return graph.apply("sub", a, b.args[0])
    if a.op == "neg":
        return graph.apply("sub", b, a.args[0])
    if a is b:
        return graph.apply("mul", 2.0, a)
    if a.op == b.op == "select" and a.args[0] is b.args[0] and any(_is(x, 0.0) for x in (*a.args[1:], *b.args[1:])):
        return graph.apply("select", a.args[0], a.args[1] + b.args[1], a.args[2] + b.args[2])
    return None


def _sub(graph: Graph, a: Node, b: Node) -> Node | None:
    if _is(b, 0.0) and _real(a):
        return a
    if _is(a, 0.0) and _real(b):
        return graph.apply("neg", b)
    if b.op == "neg":
        return graph.apply("add", a, b.args[0])
    return None


def _power_of_two(value: float) -> bool:
    return math.isfinite(value) and value != 0 and abs(math.frexp(value)[0]) == 0.5 and 1e-30 < abs(value) < 1e30


def _mul(graph: Graph, a: Node, b: Node) -> Node | None:
    if b.op == "const" and a.op != "const":
        a, b = b, a
        swapped = True
    else:
        swapped = False
    if a.op == "const" and _real(b):
        factor = float(a.value)
        if factor == 1.0:
            return b
        if factor < 0.0:                                        # one sign outside, so that c*b is shared
            return graph.apply("neg", graph.apply("mul", -factor, b))
        if b.op == "mul" and b.args[0].op == "const":
            inner = float(b.args[0].value)
            if _power_of_two(inner) or _power_of_two(factor):
                return graph.apply("mul", factor * inner, b.args[1])
    if _is(a, 1.0) and a.dtype == "float64" and b.dtype == "int64":
        return graph.apply("real", b)
    if a is b and a.op == "root_of_squares":                    # |u|**2 is a sum of squares, without a kink
        return a.args[0]
    if a.op == "neg":
        return graph.apply("neg", graph.apply("mul", a.args[0], b))
    if b.op == "neg":
        return graph.apply("neg", graph.apply("mul", a, b.args[0]))
    for one, other in ((a, b), (b, a)):                         # but a reciprocal outside a loop is shared
        if (one.op == "div" and _is(one.args[0], 1.0) and other.op != "const" and other is not one
                and other.axes <= one.axes):
            return graph.apply("div", other, one.args[1])
    return graph.apply("mul", a, b) if swapped else None


def _div(graph: Graph, a: Node, b: Node) -> Node | None:
    if b.op == "const" and _real(a):
        value = float(b.value)
        if value == 1.0:
            return a
        if _power_of_two(value):
            return graph.apply("mul", 1.0 / value, a)
    if _is(a, 1.0) and b.op == "mul" and b.args[0] is b.args[1]:
        return graph.apply("pow", b.args[0], -2.0)              # its derivative does not pass through 1/x**4
    if _is(a, 1.0) and b.op == "pow" and b.args[1].op == "const":
        return graph.apply("pow", b.args[0], -b.args[1].value)
    if a.op == "neg":
        return graph.apply("neg", graph.apply("div", a.args[0], b))
    if b.op == "neg":
        return graph.apply("neg", graph.apply("div", a, b.args[0]))
    return None


def _neg(graph: Graph, a: Node) -> Node | None:
    if a.op == "neg":
        return a.args[0]
    return graph.apply("sub", a.args[1], a.args[0]) if a.op == "sub" else None


_BASES = {math.e: "exp", 2.0: "exp2"}


def _pow(graph: Graph, a: Node, b: Node) -> Node | None:
    if a.op == "const" and b.op != "const" and _real(b) and float(a.value) in _BASES:
        return graph.apply(_BASES[float(a.value)], b)
    if b.op != "const" or not _real(a):
        return None
    exponent = float(b.value)
    if exponent == 0.0:
        return graph.const(1.0)
    if exponent == 1.0:
        return a
    if exponent == 0.5:
        return graph.apply("sqrt", a)
    if exponent == 2.0:
        return graph.apply("mul", a, a)
    if a.op == "root_of_squares" and exponent in (4.0, 6.0):
        return graph.apply("pow", a.args[0], exponent / 2)
    if exponent == -1.0:
        return graph.apply("div", 1.0, a)
    if exponent == -0.5:
        return graph.apply("div", 1.0, graph.apply("pow", a, -exponent))
    return None


def _select(graph: Graph, c: Node, a: Node, b: Node) -> Node | None:
    if c.op == "const":
        return a if c.value else b
    if a is b:
        return a
    if c.op == "not":
        return graph.apply("select", c.args[0], b, a)
    if a.op == "read" and _is(b, 0.0) and a.args[1 + a.attr:] == graph.conjunction([c]):
        return a                                                # a guarded read is 0 where its guard fails
    return None


def _not(graph: Graph, a: Node) -> Node | None:
    if a.op == "not":
        return a.args[0]
    if a.op in ("eq", "not_equal"):
        return graph.apply("not_equal" if a.op == "eq" else "eq", *a.args)
    return None


def _and(_graph: Graph, a: Node, b: Node) -> Node | None:
    for one, other in ((a, b), (b, a)):
        if one.op == "const":
            return other if one.value else one
    return a if a is b else None


def _or(graph: Graph, a: Node, b: Node) -> Node | None:
    for one, other in ((a, b), (b, a)):
        if one.op == "const":
            return one if one.value else other
        if other.op == "or" and any(_opposite(one, part) for part in other.args):
            return graph.const(True)
    if _opposite(a, b):
        return graph.const(True)
    return a if a is b else None


def _opposite(a: Node, b: Node) -> bool:
    """Whether exactly one of two conditions holds at every point (for a < b and a >= b NaN forbids it)."""
    if {a.op, b.op} == {"eq", "not_equal"}:
        return a.args == b.args
    return (a.op == "not" and a.args[0] is b) or (b.op == "not" and b.args[0] is a)


def _extremum(op: str) -> Rule:
    """max(max(a, b), c) is max(a, b, c): ties share equally among all of them."""

    def rule(graph: Graph, *args: Node) -> Node | None:
        if not any(a.op == op and not a.is_reduction for a in args):
            return None
        flat: list[Node] = []
        for a in args:
            flat += a.args if a.op == op and not a.is_reduction else [a]
        return graph.apply(op, *flat)

    return rule


def _sum(graph: Graph, axis: Axis, body: Node, *guards: Node) -> Node | None:
    """Take out of a sum what does not vary over its axis."""
    if body.op == "neg":
        return graph.apply("neg", graph.reduce("sum", axis, body.args[0], guards))
    if not _real(body):
        return None
    point = pinned(axis, guards)
    if point is not None:                                       # one term is left
        place, rest = point
        value, *kept = graph.substitute_all((body, *rest), {axis: place})
        return graph.apply("select", graph.all_of(kept), value, graph.const(0.0, body.dtype)) if kept else value
    if axis not in body.axes:
        if guards or _is(body, 1.0) or not _never_negative(graph, axis):
            return None                                         # nothing times infinity would not be 0
        count = graph.dim(axis.dim)
        return graph.apply("mul", count if body.dtype == "float32" else graph.apply("real", count), body)
    if not _never_negative(graph, axis):
        return None                                             # nothing to sum is 0, also times infinity
    outside, inside = _split_product(body, axis, guards)
    if outside is None or inside is None:
        return None
    return graph.apply("mul", outside, graph.reduce("sum", axis, inside, guards))


def pinned(axis: Axis, guards: Sequence[Node]) -> tuple[Node, tuple[Node, ...]] | None:
    """The axis that an axis of the same dimension must equal by some conditions, and what is left of these."""
    for guard in guards:
        if guard.op == "eq" and all(arg.op == "axis" and arg.attr.dim == axis.dim for arg in guard.args):
            one, other = guard.args
            if one is not other and axis in (one.attr, other.attr):
                return other if one.attr == axis else one, tuple(g for g in guards if g is not guard)
    return None


def _never_negative(graph: Graph, axis: Axis) -> bool:
    """A dimension that an array has: an integer argument could be negative, n - 1 could be -1."""
    name = axis.dim.name
    return axis.dim.constant is not None or (name is not None and name not in graph.inputs)


def _split_product(body: Node, axis: Axis, guards: Sequence[Node]) -> tuple[Node | None, Node | None]:
    """A product as (what may leave a sum over the axis, the rest); None where there is no such factor.

    Where no guard holds the sum is 0 and must stay it: only what is finite may be multiplied by it afterwards.
    """
    graph, outside, inside = body.graph, None, None
    if body.op == "div" and axis not in body.args[1].axes:
        factor = graph.apply("div", 1.0, body.args[1])
        return (factor, body.args[0]) if not guards or is_defined(factor) else (None, body)
    if body.op != "mul":
        return None, body
    waiting = [body]
    steps = 0
    while waiting:
        node = waiting.pop()
        steps += 1
        if axis not in node.axes and (not guards or is_defined(node)):
            outside = node if outside is None else graph.apply("mul", node, outside)
        elif node.op == "mul" and steps < 16:
            waiting += node.args
        else:
            inside = node if inside is None else graph.apply("mul", node, inside)
    return outside, inside


def _single(_graph: Graph, a: Node) -> Node | None:
    """Single precision that went through double precision is itself."""
    return a.args[0] if a.op == "float64" and a.args[0].dtype == "float32" else None


_RULES: dict[str, Rule] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "neg": _neg, "pow": _pow, "select": _select,
    "not": _not, "and": _and, "or": _or, "max": _extremum("max"), "min": _extremum("min"),
    "float32": _single,
}
