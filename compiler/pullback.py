"""What one node passes back to its operands: local partials, and the structural kinds.

For an operation of the table this is the partial of its entry times the adjoint. Reductions, scans,
reads, stores and scatters have one short rule each; library routines have theirs in `pullback_routines`.
Axes and sums are not handled here: that is the fan-in in `adjoint`. Sources: Griewank and Walther,
"Evaluating Derivatives" (2008), chapter 3; for products without a division, and for linear recurrences,
see `_scan`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import (
    Axes,
    Check,
    Graph,
    Node,
    Part,
    StorePart,
    apart,
    part_axes,
    scatter_parts,
    store_parts,
    whole_axes,
)
from gradc.ir.table import OPERATIONS, Guarded
from gradc.ir.text import from_text

from .inline import inline
from .pullback_routines import pull

Guards = frozenset[Node]
INCLUSIVE = "an inclusive running product has no derivative rule: write it exclusively"


class Pulled(NamedTuple):
    """What one use passes back: to which operand, the value, where it counts, and the axes of the use."""

    operand: Node
    value: Node
    guards: Guards
    domain: Axes


Share = tuple[Node, Node, Sequence[Node]]       # operand, value, guards besides those of the adjoint


def local_pullback(graph: Graph, y: Node, y_: Node, guards: Guards, active: Mapping[Node, Any],
                   scattered: Mapping[Node, list[Part]], kinks: str, held: Sequence[Axis] = ()) -> Iterator[Pulled]:
    """The contributions of y, with adjoint y_, to each of its active operands.

    The last dimensions of the adjoint of an array are those of the `held` axes.
    """
    if y.is_reduction:
        if y.args[0] in active:
            yield from _reduction(graph, y, y_, guards, active, kinks)
    elif y.op in OPERATIONS:
        for x, value, extra in _pointwise(graph, y, y_, guards, active, kinks):
            yield Pulled(x, value, guards | frozenset(extra), y.axes)
    elif y.op == "read":
        array, rank = y.args[0], y.attr
        if array in active:
            part = Part(y_, y.args[1:1 + rank], (*y.args[1 + rank:], *_sorted(guards)))
            for tie in _ties_in_order(graph, y, active) if kinks == "raise" else ():
                _refuse(graph, tie, guards.union(y.args[1 + rank:]), "an array that is sorted has a tie")
            scattered[array].append(part)
    elif y.op == "scan":
        yield from _scan(graph, y, y_, guards, active, kinks)
    elif y.op == "store":
        yield from _store(graph, y, y_, active, held)
    elif y.op == "scatter_add":
        for scatter in scatter_parts(y.attr, y.args):
            if scatter.value in active:
                element = graph.read(y_, (*scatter.indices, *map(graph.axis, held)), scatter.guards)
                yield Pulled(scatter.value, element, frozenset(scatter.guards), part_axes(scatter))
    elif y.op == "ruled":
        for position, value in _own_rule(graph, y, y_, held):
            if y.args[1 + position] in active:
                yield Pulled(y.args[1 + position], value, frozenset(), frozenset())
    elif y.op == "call":
        for x, value in pull(graph, y, y_, active, held):
            yield Pulled(x, value, frozenset(), frozenset())
    else:
        raise DerivativeError(f"the operation {y.op} has no derivative rule: rewrite the expression without it")


@functools.lru_cache(maxsize=256)
def _rule_graph(text: str) -> Graph:
    return from_text(text)


def _own_rule(graph: Graph, y: Node, y_: Node, held: Sequence[Axis]) -> Iterator[tuple[int, Node]]:
    """The operands, by number, with the cotangent arrays that the user's rule gives them."""
    rule = _rule_graph(y.attr.rule)
    found = inline(graph, rule, dict(zip(rule.inputs, (*y.args[1:], y_), strict=True)), held)
    for position, value in zip(y.attr.passes, found, strict=True):
        yield position, value if value.is_array else graph.store(held, value)


def _sorted(guards: Guards) -> list[Node]:
    return sorted(guards, key=lambda n: n.id)


def _pointwise(graph: Graph, y: Node, y_: Node, guards: Guards, active: Mapping[Node, Any],
               kinks: str) -> Iterator[Share]:
    entry = OPERATIONS[y.op]
    if kinks == "raise" and entry.kink is not None:
        _refuse(graph, entry.kink(graph.ops, y, *y.args), guards, f"{_place(graph, y)} stands on a kink")
    shares: dict[tuple[Node, Sequence[Node]], Node] = {}            # x * x passes both shares as one
    for x, partial, extra in local_partials(graph, y, active):
        share = y_ * partial
        shares[x, extra] = shares[x, extra] + share if (x, extra) in shares else share
    for (x, extra), share in shares.items():
        yield x, share, extra


def local_partials(graph: Graph, y: Node, active: Mapping[Node, Any]) -> Iterator[Share]:
    """The partials of an operation by its active operands, each with the guards under which it counts; no zeros."""
    entry = OPERATIONS[y.op]
    if entry.partials is None:
        raise DerivativeError(f"the operation {y.op} has no derivative rule: rewrite the expression without it")
    for x, partial in zip(y.args, entry.partials(graph.ops, y, *y.args), strict=True):
        if partial is None or x not in active:
            continue
        extra: tuple[Node, ...] = ()
        if isinstance(partial, Guarded):
            partial, condition = partial
            kept = graph.conjunction([condition])
            if kept is None:
                continue
            extra = kept
        if not (partial.op == "const" and partial.value == 0.0):
            yield x, partial, extra


def _refuse(graph: Graph, bad: Node, guards: Guards, message: str) -> None:
    if bad.op == "const" and not bad.value:
        return
    for guard in _sorted(guards):
        bad = graph.apply("and", guard, bad)
    advice = 'move the arguments away from it, or compile without kinks="raise"'
    graph.checks.append(Check(bad, f"{message}: {advice}", "FloatingPointError"))


def _place(graph: Graph, y: Node) -> str:
    """An operation as the user wrote it, where that is known and short."""
    span = graph.spans.get(y)
    text = " ".join(graph.source[span.start:span.stop].split()) if span is not None else ""
    return text if 0 < len(text) <= 60 else y.op


def _reduction(graph: Graph, y: Node, y_: Node, guards: Guards, active: Mapping[Node, Any],
               kinks: str) -> Iterator[Pulled]:
    o, body, conditions = graph.ops, y.args[0], y.args[1:]
    axis: Axis = y.attr
    if y.op in ("max", "min"):
        yield from _extremum(graph, y, y_, guards, active, kinks)
        return
    if y.op == "sum":
        share = y_
    elif y.op == "mean":
        share = y_ / count(graph, axis, conditions)
    elif y.op == "logsumexp":
        share = y_ * o.exp(body - y)
    else:                                                       # a product: the others have integer values
        share = y_ * others(graph, y)
    yield Pulled(body, share, guards.union(conditions), y.axes | {axis})        # a body may lack the axis


def count(graph: Graph, axis: Axis, conditions: Sequence[Node]) -> Node:
    """The number of points along an axis at which some conditions hold."""
    return graph.reduce("sum", axis, graph.const(1.0), conditions) if conditions else graph.dim(axis.dim)


def others(graph: Graph, y: Node) -> Node:
    """For each factor of a product over an axis the product of all others."""
    body, conditions = y.args[0], y.args[1:]
    factor = graph.ops.select(graph.all_of(conditions), body, 1.0) if conditions else body
    return graph.scan("prod", y.attr, (factor,)) * graph.scan("prod", y.attr, (factor,), reverse=True)


class Ties(NamedTuple):
    """The points at which an extremum is taken on: `chain` holds it and the extrema in it, outermost first."""

    chain: list[Node]
    body: Node
    domain: Axes
    hit: Node
    number: Node


def ties(graph: Graph, y: Node) -> Ties:
    """Where an extremum is taken on, and how often; over several axes a maximum of maxima counts as one."""
    chain, body, domain = [y], y.args[0], y.axes | {y.attr}
    while body.op == y.op and body.is_reduction and body.attr not in domain:
        chain.append(body)
        domain |= {body.attr}
        body = body.args[0]
    hit = graph.ops.eq(body, y)
    number = graph.ops.select(hit, 1.0, 0.0)
    for node in reversed(chain):
        number = graph.reduce("sum", node.attr, number, node.args[1:])
    return Ties(chain, body, domain, hit, number)


def _extremum(graph: Graph, y: Node, y_: Node, guards: Guards, active: Mapping[Node, Any],
              kinks: str) -> Iterator[Pulled]:
    """Equal shares among the ties."""
    chain, body, domain, hit, number = ties(graph, y)
    conditions = [g for node in chain for g in node.args[1:]]
    if kinks == "raise":
        _refuse(graph, graph.ops.greater(number, 1.0), guards, f"{_place(graph, y)} has a tie")
    if body in active:
        yield Pulled(body, y_ / number, guards.union((hit, *conditions)), domain)


def _ties_in_order(graph: Graph, y: Node, active: Mapping[Node, Any]) -> Iterator[Node]:
    """For a read at a place in an order, as of a sorted array: whether the elements beside it in it are equal."""
    for index in y.args[1:1 + y.attr]:
        order = index.args[0] if index.op == "read" else index
        if order.op != "call" or order.attr.routine != "argsort" or order.args[0] not in active:
            continue
        *heads, place = index.args[1:1 + index.attr]
        before, after = graph.ops.greater(place, 0), graph.ops.less(place + 1, graph.dim(order.shape[-1]))

        def element(at: Node, guards: Sequence[Node], order: Node = order, heads: Sequence[Node] = heads) -> Node:
            return graph.read(order.args[0], [*heads, graph.read(order, [*heads, at], guards)], guards)

        here = element(place, ())
        yield graph.ops.or_(graph.ops.and_(before, graph.ops.eq(element(place - 1, [before]), here)),
                            graph.ops.and_(after, graph.ops.eq(element(place + 1, [after]), here)))


def _scan(graph: Graph, y: Node, y_: Node, guards: Guards, active: Mapping[Node, Any],
          kinks: str) -> Iterator[Pulled]:
    """Adjoints of running sums, products and linear recurrences.

    With exclusive prefixes P[i+1] = x[i] P[i] the state's adjoint runs backward as
    m[i-1] = x[i] m[i] + P_[i], again a linear recurrence; that of e[i+1] = a[i] e[i] + b[i] is
    m[i-1] = a[i] m[i] + e_[i], so the family is closed and divides by nothing.
    What a guard excludes at one point still passes through it from the others: there y_ becomes 0.
    """
    kind, axis, inclusive, reverse = y.attr
    varying = frozenset(g for g in guards if axis in g.axes)
    if varying:
        y_ = graph.ops.select(graph.all_of(varying), y_, 0.0)
        guards = guards - varying
    if kind == "sum":
        after = graph.scan("sum", axis, (y_,), inclusive=inclusive, reverse=not reverse)
        yield Pulled(y.args[0], after, guards, y.axes)
        return
    if kind in ("max", "min"):
        stays, again, hit, number = running_ties(graph, y)
        if kinks == "raise":
            _refuse(graph, graph.ops.greater(number, 1.0), guards, f"a running {kind}imum has a tie")
        share = y_ / number
        later = graph.scan("linrec", axis, (again, graph.ops.select(stays, share, 0.0)), reverse=not reverse)
        yield Pulled(y.args[0], share + later, guards | {hit}, y.axes)
        return
    if inclusive:
        raise DerivativeError(INCLUSIVE)
    factor = y.args[0]
    behind = graph.scan("linrec", axis, (factor, y_), reverse=not reverse)
    if factor in active:
        yield Pulled(factor, behind * y, guards, y.axes)
    if kind == "linrec" and y.args[1] in active:
        yield Pulled(y.args[1], behind, guards, y.axes)


def running_ties(graph: Graph, y: Node) -> tuple[Node, Node, Node, Node]:
    """Of a running extremum: whether it stays the same, also as a number, whether an element is it, and how many were.

    While the extremum stays the same, all elements equal to it share its derivative equally: the number of them so far
    is a recurrence that starts again where the extremum changes.
    """
    o, (kind, axis, inclusive, reverse) = graph.ops, y.attr
    if not inclusive:
        raise DerivativeError(f"an exclusive running {kind} has no derivative rule: write it inclusively")
    stays = o.eq(graph.scan(kind, axis, y.args, reverse=reverse), y)
    again, hit = o.select(stays, 1.0, 0.0), o.eq(y.args[0], y)
    one = o.select(hit, 1.0, 0.0)
    return stays, again, hit, again * graph.scan("linrec", axis, (again, one), reverse=reverse) + one


def _store(graph: Graph, y: Node, y_: Node, active: Mapping[Node, Any], held: Sequence[Axis]) -> Iterator[Pulled]:
    """Each part gets its slice, where no later part lies over it; what lies below them gets the rest."""
    parts = store_parts(y.attr, y.args)

    def without(covering: Sequence[tuple[StorePart, Node, tuple[Node, ...]]]) -> Node:
        zero = graph.const(0.0, y.dtype)
        over = [((*part.axes, *held), (*part.offsets, *(Dim.of(0) for _ in held)), guards, zero)
                for part, _, guards in covering]
        return graph.store_parts(y_.shape, over, base=y_) if over else y_

    for k, (part, value, conditions) in enumerate(parts):
        if value in active:
            visible = without([later for later in parts[k + 1:] if not apart(part, later[0])])
            index = [graph.dim(o) if a.dim.constant == 1 else graph.axis(a) + graph.dim(o)
                     for a, o in zip(part.axes, part.offsets, strict=True)]
            terms = _terms(graph, visible, index, held) if held and visible.op == "scatter_add" else None
            if terms is None:
                terms = [(graph.read(visible, (*index, *map(graph.axis, held)), conditions), [])]
            for element, where in terms:
                yield Pulled(value, element, frozenset((*conditions, *where)), frozenset(part.axes))
    if y.attr.base and y.args[0] in active:
        yield Pulled(y.args[0], without(parts), frozenset(), frozenset())


def _terms(graph: Graph, scatter: Node, index: Sequence[Node], held: Sequence[Axis]) -> list[
        tuple[Node, list[Node]]] | None:
    """An element of a scatter as terms, each with the conditions under which it goes there; None if they are sums.

    A row of a Jacobian reaches few elements of an array, and the conditions say which: the held axes are in them.
    """
    found = []
    for value, places, guards in scatter_parts(scatter.attr, scatter.args):
        mapping: dict[Axis, Node] = {}
        rest: list[tuple[Node, Node]] = []
        where: list[Node] = []
        for place, at, dim in zip(places, index, scatter.shape, strict=False):
            if place.op == "axis" and place.attr not in held and place.attr not in mapping:
                mapping[place.attr] = at
                if place.attr.dim != dim:                       # its own dimension may be shorter
                    where.append(graph.ops.less(at, graph.dim(place.attr.dim)))
            else:
                rest.append((place, at))
        own = frozenset[Axis]().union(value.axes, *(node.axes for node in (*places, *guards)))
        if not own.difference(held) <= mapping.keys():
            return None
        moved, *others = graph.substitute_all((value, *guards, *(place for place, _ in rest)), mapping)
        where += others[:len(guards)]
        where += [graph.ops.eq(at, place) for (_, at), place in zip(rest, others[len(guards):], strict=True)]
        kept = graph.conjunction(where)
        if kept is not None:
            found.append((moved, list(kept)))
    return found


def array_adjoint(graph: Graph, array: Node, cotangents: Sequence[Node],
                  parts: Sequence[Part], held: Sequence[Axis] = ()) -> Node | None:
    """The adjoint of an array: the cotangent it was given and what its reads scatter into it."""
    if not parts and len(cotangents) < 2:
        return cotangents[0] if cotangents else None
    last = tuple(map(graph.axis, held))
    if not array.shape:                                         # one number: its adjoint is the sum itself
        terms = [_summed(graph, part, held) for part in parts]
        terms += [graph.read(cotangent, last) for cotangent in cotangents]
        return graph.store(held, functools.reduce(lambda total, term: total + term, terms))
    parts = [part._replace(indices=(*part.indices, *last)) for part in parts]
    for cotangent in cotangents:
        index = (*map(graph.axis, whole_axes(array.shape)), *last)
        parts.append(Part(graph.read(cotangent, index), index))
    return graph.scatter_add((*array.shape, *(axis.dim for axis in held)), parts, array.dtype)


def _summed(graph: Graph, part: Part, held: Sequence[Axis]) -> Node:
    """The sum of a contribution over all its points."""
    value, guards = part.value, set(part.guards)
    for axis in sorted(part_axes(part).difference(held), key=lambda a: (str(a.dim), -a.number)):
        inside = [guard for guard in _sorted(frozenset(guards)) if axis in guard.axes]
        value = graph.reduce("sum", axis, value, inside)
        guards.difference_update(inside)
    return graph.ops.select(graph.all_of(guards), value, 0.0) if guards else value
