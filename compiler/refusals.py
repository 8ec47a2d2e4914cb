"""Checks that refuse what has no value: a maximum over nothing, a whole number divided by zero.

`refuse` takes the user's graph, before any pass has made nodes of its own, and adds a check for each
reduction without an identity that may be empty (over a dimension of size 0, or under a condition that holds
nowhere), and for each division of whole numbers whose divisor may be 0. It is refused only where its value
is needed, so `max(x) if n > 0 else 0.0` passes; what needs a node is a conjunction of conditions, walked from
the outputs down. (A sum over a whole dimension counts as needing its terms even if that is 0, as in NumPy; a
range with ends of its own does not.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gradc.ir.dims import Dim, FloorDivision
from gradc.ir.graph import Axes, Check, Graph, Node, copy_graph, part_axes, scatter_parts, sorted_axes, store_parts
from gradc.ir.table import REDUCTIONS

Conditions = frozenset[Node]
ALWAYS: Conditions = frozenset()


def refuse(graph: Graph) -> Graph:
    """The graph with a check for everything that may have no value where it is needed."""
    order = graph.reachable()
    dims = {axis.dim for node in order for axis in node.axes} | {node.attr.dim for node in order if node.is_reduction}
    divided = [dim for dim in sorted(dims, key=str) if _divisors(dim)]
    if not divided and not any(_may_fail(node) for node in order):
        return graph
    new = copy_graph(graph)
    for dim in divided:                                         # a loop runs over it in any case
        _add(new, _by_zero(new, dim), f"the size {dim} divides by 0: give another divisor")
    _add_checks(new, new.reachable())
    return new


def _divisors(dim: Dim) -> list[Dim]:
    """What a size is divided by, where that is an argument."""
    return [atom.denominator for atom in dim.atoms()
            if isinstance(atom, FloorDivision) and atom.denominator.constant is None]


def _by_zero(graph: Graph, dim: Dim) -> Node:
    bad = graph.const(False)
    for divisor in _divisors(dim):
        zero = graph.apply("eq", graph.dim(divisor), 0)
        bad = zero if bad.op == "const" else graph.apply("or", bad, zero)
    return bad


def _add_checks(graph: Graph, order: list[Node]) -> None:
    above: set[Node] = set()                                    # nodes that a reduction in question lies under
    for node in order:
        if _may_fail(node) or any(a in above for a in node.args):
            above.add(node)
    roots = [node for _, node in graph.outputs] + [check.bad for check in graph.checks]
    uses: dict[Node, list[Conditions]] = {node: [] for node in above}
    for root in roots:
        if root in above:
            uses[root].append(ALWAYS)
    for node in reversed(order):
        if node not in above or not uses[node]:
            continue
        needed = _any_of(graph, uses[node])
        if _may_fail(node):
            _check(graph, node, needed)
        for operand, conditions, domain in _operands(graph, node):
            if operand in above:
                uses[operand].append(_without(graph, needed | conditions, domain - operand.axes))


def _may_fail(node: Node) -> bool:
    if node.op == "dim":
        return bool(_divisors(node.attr))
    if node.op in ("floordiv", "mod") and node.dtype == "int64":
        divisor = node.args[1]
        if divisor.op == "dim" and _vanish_with([axis.dim for axis in node.axes], divisor.attr):
            return False                                        # a loop over nothing divides nothing
        return divisor.op != "const" or not divisor.value
    if not node.is_reduction or REDUCTIONS[node.op].identity is not None:
        return False
    size = node.attr.dim.constant
    return len(node.args) > 1 or size is None or size < 1


def _vanish_with(dims: Sequence[Dim], divisor: Dim) -> bool:
    """Whether one of the dimensions is 0 wherever the divisor, a product of names, is."""
    if len(divisor.terms) != 1:
        return False
    common = {name for dim in dims if dim.terms for name in set.intersection(*(set(m) for m, _ in dim.terms))}
    return set(divisor.terms[0][0]) <= common


def _check(graph: Graph, node: Node, needed: Conditions) -> None:
    span = graph.spans.get(node)
    text = " ".join(graph.source[span.start:span.stop].split()) if span is not None else ""
    place = f" in {text}" if 0 < len(text) <= 60 else ""
    if not node.is_reduction:
        bad = _by_zero(graph, node.attr) if node.op == "dim" else graph.apply("eq", node.args[1], 0)
        message = f"a whole number is divided by 0{place}: give another divisor, or choose what it is then"
    elif len(node.args) > 1:
        filled = graph.reduce("any", node.attr, graph.const(True), node.args[1:])
        if filled in needed:
            return
        bad = graph.apply("not", filled)
        message = (f"{node.op} over the dimension {node.attr.dim}: its condition holds nowhere{place}, so it has no "
                   "value: let it hold somewhere, or choose what it is then, as in (... if any(...) else 0.0)")
    else:
        dim = node.attr.dim
        bad = graph.apply("less", graph.dim(dim), 1)
        if graph.apply("less", 0, graph.dim(dim)) in needed:
            return
        if REDUCTIONS[node.op].result == "float":               # NumPy gives an empty array of means, and no maxima
            needed = needed | {graph.apply("less", 0, graph.dim(axis.dim)) for axis in node.axes}
        message = (f"{node.op} over an empty axis of dimension {dim}{place} has no value: give it one element at "
                   f"least, or choose what it is then, as in (... if {dim} > 0 else 0.0)")
    _add(graph, graph.all_of(_without(graph, needed | {bad}, node.axes)), message)


def _add(graph: Graph, bad: Node, message: str) -> None:
    if not any(check.bad is bad for check in graph.checks):
        graph.checks.append(Check(bad, message))


def _operands(graph: Graph, node: Node) -> Iterator[tuple[Node, Conditions, Axes]]:
    """The operands of a node, the conditions under which it uses each, and the axes over which it does."""
    if node.op == "select":
        condition, first, second = node.args
        yield condition, ALWAYS, node.axes
        yield first, frozenset((condition,)), node.axes
        yield second, frozenset((graph.apply("not", condition),)), node.axes
    elif node.op in ("and", "or"):
        first, second = node.args
        yield first, ALWAYS, node.axes
        yield second, frozenset((first if node.op == "and" else graph.apply("not", first),)), node.axes
    elif node.is_reduction:
        yield from _guarded(node.args[:1], node.args[1:], node.axes | {node.attr})
    elif node.op == "read":
        split = 1 + node.attr
        yield node.args[0], ALWAYS, node.axes
        yield from _guarded(node.args[1:split], node.args[split:], node.axes)
    elif node.op == "store":
        if node.attr.base:
            yield node.args[0], ALWAYS, node.axes
        for piece, value, guards in store_parts(node.attr, node.args):
            yield from _guarded((value,), guards, frozenset(piece.axes))
    elif node.op == "scatter_add":
        for part in scatter_parts(node.attr, node.args):
            yield from _guarded((part.value, *part.indices), part.guards, part_axes(part))
    else:
        yield from ((operand, ALWAYS, node.axes) for operand in node.args)


def _guarded(operands: Iterable[Node], guards: tuple[Node, ...],
             domain: Axes) -> Iterator[tuple[Node, Conditions, Axes]]:
    """What stands under guards is used where all of them hold, a guard where those before it hold."""
    for k, guard in enumerate(guards):
        yield guard, frozenset(guards[:k]), domain
    yield from ((operand, frozenset(guards), domain) for operand in operands)


def _without(graph: Graph, conditions: Conditions, axes: Axes) -> Conditions:
    """The conditions for some point of the axes: those that vary over them hold together somewhere."""
    for axis in sorted_axes(axes):
        varying = [c for c in conditions if axis in c.axes]
        if varying:
            somewhere = graph.reduce("any", axis, graph.all_of(varying))
            conditions = conditions.difference(varying) | {somewhere}
        elif axis.dim.constant is None and (axis.dim.name is None or axis.dim.name in graph.inputs):
            conditions = conditions | {graph.apply("less", 0, graph.dim(axis.dim))}
    return conditions


def _any_of(graph: Graph, uses: list[Conditions]) -> Conditions:
    """What holds where one of the uses asks for the value."""
    common = frozenset.intersection(*uses)
    rest: Node | None = None
    for use in dict.fromkeys(uses):
        if use == common:
            return common
        other = graph.all_of(use - common)
        rest = other if rest is None else graph.apply("or", rest, other)
    return common | {rest} if rest is not None else common
