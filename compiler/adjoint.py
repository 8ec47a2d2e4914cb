"""Reverse mode: the chain rule and the fan-in sum, and nothing else.

For `y = op(x1, ..., xk)` with adjoint y_ the whole of reverse mode is one rule, applied twice:

    x_i gets   sum over the axes that y has and x_i has not   of   y_ * d op / d x_i

The product is the chain rule. The sum is the fan-in: over the uses of a value in the graph, and over
the points at which a broadcast value is used. The local partials come from the operation table; what
reductions, scans, reads and stores pass on is in `pullback`. An adjoint carries *guards*: the
conditions under which it counts at all. Where they fail it is a strong zero, which no infinite partial
turns into a NaN. It has the dtype of its primal: what comes back from double precision is cast. Several adjoints
at once are a further axis of every one, `held`, over which nothing is summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gradc.ir.cast import cast
from gradc.ir.dims import Axis
from gradc.ir.graph import NO_AXES, Axes, Graph, Node, Part

from .protection import anywhere, is_defined
from .pullback import array_adjoint, local_pullback

Guards = frozenset[Node]
NO_GUARDS: Guards = frozenset()


class Contribution(NamedTuple):
    """What one use passes back: a value at the points of the user, the axes to sum over, guards."""

    value: Node
    over: Axes
    guards: Guards
    user: str
    times: int = 1          # x * x uses x twice and passes back one share


def reverse(graph: Graph, seeds: Sequence[tuple[Node, Node]], wrt: Iterable[Node], kinks: str = "subgradient",
            every: dict[Node, Node] | None = None, held: Sequence[Axis] = ()) -> dict[Node, Node]:
    """Append the adjoints of `wrt` (inputs) to the graph and return them.

    `seeds` pairs each output with its cotangent: a node for a scalar, for an array an array, whose last dimensions are
    those of the `held` axes; so they are in the adjoints that are returned for arrays. An input that no output depends
    on gets 0. With kinks="raise" a check is added for every kink that the sweep passes. `every`, if given, receives
    the adjoint of each node that the sweep meets.
    """
    wrt, primal = list(wrt), len(graph.nodes)
    active = depends_on(graph, [output for output, _ in seeds], set(wrt))
    uses: dict[Node, list[Contribution]] = {node: [] for node in active}
    scattered: dict[Node, list[Part]] = {node: [] for node in active if node.is_array}
    adjoints: dict[Node, Node] = {}
    for output, cotangent in seeds:
        if output in uses:
            uses[output].append(Contribution(cotangent, NO_AXES, NO_GUARDS, "output"))
    for y in reversed(active):                                  # every user before its operands
        if y.is_array:
            y_: Node | None = array_adjoint(graph, y, [c.value for c in uses[y]], scattered[y], held)
            _name_array(graph, y, y_, primal)
            guards = NO_GUARDS
        else:
            y_, guards = fan_in(graph, y, uses[y], primal, frozenset(held))
        if y_ is None:
            continue
        if y.op == "input" or every is not None:
            adjoints[y] = graph.ops.select(graph.all_of(guards), y_, 0.0) if guards else y_
        if y.op == "input":
            continue
        for x, value, conditions, domain in local_pullback(graph, y, y_, guards, uses, scattered, kinks, held):
            over = domain - x.axes - frozenset(held)            # the axes of the use itself, not of value
            value = cast(value, x.dtype)
            uses[x].append(Contribution(value, over, conditions, y.op, max(y.args.count(x), 1)))
    for x in wrt:
        if x not in adjoints:
            adjoints[x] = nothing(graph, x, held)
    if every is not None:
        every.update(adjoints)
    return {x: adjoints[x] for x in wrt}


def nothing(graph: Graph, x: Node, held: Sequence[Axis]) -> Node:
    """The derivative of what does not act, or of what nothing acts on."""
    dtype = x.dtype if x.dtype.startswith("float") else "float64"
    shape = (*x.shape, *(axis.dim for axis in held))
    return graph.scatter_add(shape, (), dtype) if x.is_array else graph.const(0.0, dtype)


def fan_in(graph: Graph, x: Node, contributions: list[Contribution], primal: int = 0,
           held: Axes = NO_AXES) -> tuple[Node | None, Guards]:
    """The sum of all contributions to x, over uses and over the points of broadcast uses.

    `primal` is the number of nodes before the sweep: a sum that was there already keeps its name.
    """
    if not contributions:
        return None, NO_GUARDS
    groups: dict[tuple[Axes, Guards], Node] = {}                # equal axes and guards: one sum
    for value, over, guards, *_ in contributions:
        key = (over, guards)
        groups[key] = groups[key] + value if key in groups else value
    terms: list[tuple[Node, Guards]] = []
    for (over, guards), value in groups.items():
        for axis in sorted(over, key=lambda a: (str(a.dim), -a.number)):      # then names stay canonical
            inside = [g for g in guards if axis in g.axes]
            value = graph.reduce("sum", axis, value, inside)
            guards = guards.difference(inside)
            if inside and not is_defined(x):                    # a strong zero where none of them holds
                guards |= {anywhere(graph, axis, inside)}
        terms.append((value, guards))
    total, common = guarded_sum(graph, terms)
    assert total.axes <= x.axes | held, f"the adjoint of {x} varies over an axis that it has not"
    _describe(graph, x, total, contributions, own=total.id >= primal)
    return total, common


def guarded_sum(graph: Graph, terms: Sequence[tuple[Node, Guards]]) -> tuple[Node, Guards]:
    """Terms under different guards: each 0 where its own guards fail, all under what they share."""
    if len({guards for _, guards in terms}) == 1:
        value, guards = terms[0]
        for other, _ in terms[1:]:
            value = value + other
        return value, guards
    common = frozenset.intersection(*(guards for _, guards in terms))
    conditions = [graph.all_of(guards - common) for _, guards in terms]
    total: Node | None = None
    anywhere: Node | None = None
    for (value, _), condition in zip(terms, conditions, strict=True):
        term = graph.ops.select(condition, value, 0.0)
        total = term if total is None else total + term
        anywhere = condition if anywhere is None else graph.ops.or_(anywhere, condition)
    assert total is not None and anywhere is not None
    return total, common | (frozenset() if anywhere.op == "const" else {anywhere})


def depends_on(graph: Graph, outputs: Iterable[Node], wrt: set[Node]) -> list[Node]:
    """Real nodes under the outputs through which one of `wrt` acts, operands first."""
    active: set[Node] = set()
    order = []
    for node in graph.reachable(outputs):
        if node in wrt or any(a in active for a in node.args):
            if node.dtype.startswith("float"):
                active.add(node)
                order.append(node)
    return order


def _name_array(graph: Graph, y: Node, y_: Node | None, primal: int) -> None:
    """Name the adjoint of an array that holds one named value after that value; what was there keeps its name."""
    if y.op == "store" and len(y.args) == 1 and y_ is not None and y_.id >= primal and y_ not in graph.names:
        for label in graph.names.get(y.args[0], ())[:1]:
            graph.name(y_, f"d_{label}")


def _describe(graph: Graph, x: Node, x_: Node, uses: list[Contribution], *, own: bool) -> None:
    """Name the adjoint after its primal and say how many uses were summed, for the source.

    A value that was there before the sweep (not its `own`) keeps its name.
    """
    times = sum(use.times for use in uses)
    count = f"sum of {times} uses" if times > 1 else "one use"
    count += f" ({', '.join(dict.fromkeys(use.user for use in uses))})"
    if x.op == "input":
        graph.remarks[f"d_{x.attr.name}"] = f"adjoint of {x.attr.name}: {count}"
    if not own or x_.op in ("const", "input", "read") or x_ in graph.names or x_ in graph.notes:
        return
    label = x.attr.name if x.op == "input" else graph.names[x][0] if x in graph.names else ""
    if label:
        graph.name(x_, f"d_{label}")
    if x.op == "read" and x.args[0].op == "input":
        label = f"{x.args[0].attr.name}[...]"                   # the printer knows what the indices are called
    graph.notes[x_] = f"adjoint of {label or x.op}: {count}"
