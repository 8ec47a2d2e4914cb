"""Which points of which nodes an evaluation needs: a walk from the outputs back to the leaves.

The interpreter computes every point of every node, also those of a branch that is not taken. Where one of
them has no value (an empty maximum), it matters only if an output needs it; this module answers that, from
the values of one finished evaluation. It raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .graph import Axes, Node, part_axes, scatter_parts, store_parts

if TYPE_CHECKING:
    from .interpret import Run


def demanded(run: Run, wanted: Iterable[Node]) -> dict[Node, Any]:
    """For every node that is needed at all, where: a truth value at each point of its axes.

    The run holds the value of every node that the wanted ones reach. An array counts as a whole.
    """
    roots = list(wanted)
    found: dict[Node, Any] = {node: np.ones(run.shape(run.order(node.axes)), dtype=bool) for node in roots}

    def add(node: Node, where: Any, axes: Axes) -> None:
        """A use of `node` at the points `where` of `axes`, among which are all of its own."""
        lost = tuple(i for i, axis in enumerate(run.order(axes)) if axis not in node.axes)
        mask = where.any(axis=lost) if lost else where
        found[node] = found[node] | mask if node in found else mask

    for node in reversed(run.graph.reachable(roots)):
        here = found.get(node)
        if here is None or not np.any(here):
            continue
        for arg, where, axes in _uses(run, node, here):
            add(arg, where, axes)
    return found


def _uses(run: Run, node: Node, here: Any) -> Iterable[tuple[Node, Any, Axes]]:
    """The operands of a node that is needed at the points `here`, and where each is needed."""
    if node.op == "store":
        if node.attr.base:
            yield node.args[0], np.ones((), dtype=bool), frozenset()
        for part, value, guards in store_parts(node.attr, node.args):
            axes = frozenset(part.axes)
            yield from _guarded(run, (value,), guards, axes, run.mask((), axes))
    elif node.op == "scatter_add":
        for contribution in scatter_parts(node.attr, node.args):
            axes = part_axes(contribution)
            yield from _guarded(
                run,
                (contribution.value, *contribution.indices),
                contribution.guards,
                axes,
                run.mask((), axes),
            )
    elif node.op in ("call", "ruled"):
        yield from ((arg, np.ones((), dtype=bool), frozenset()) for arg in node.args)
    elif node.op == "select":
        condition = np.asarray(run.over(node.args[0], node.axes), dtype=bool)
        yield node.args[0], here, node.axes
        yield node.args[1], here & condition, node.axes
        yield node.args[2], here & ~condition, node.axes
    elif node.op in ("and", "or"):
        first = np.asarray(run.over(node.args[0], node.axes), dtype=bool)
        yield node.args[0], here, node.axes
        yield node.args[1], here & (first if node.op == "and" else ~first), node.axes
    elif node.op == "read":
        split = 1 + node.attr
        yield node.args[0], np.ones((), dtype=bool), frozenset()
        yield from _guarded(run, node.args[1:split], node.args[split:], node.axes, here)
    elif node.is_reduction:
        axes = node.axes | {node.attr}
        over = np.expand_dims(here, run.order(axes).index(node.attr))
        yield from _guarded(run, node.args[:1], node.args[1:], axes, over & run.mask((), axes))
    elif node.op == "scan":
        place = run.order(node.axes).index(node.attr.axis)
        whole = np.broadcast_to(here.any(axis=place, keepdims=True), here.shape)
        yield from ((arg, whole, node.axes) for arg in node.args)
    else:
        yield from ((arg, here, node.axes) for arg in node.args)


def _guarded(
    run: Run, args: Iterable[Node], guards: tuple[Node, ...], axes: Axes, here: Any
) -> Iterable[tuple[Node, Any, Axes]]:
    """What stands under guards is needed where all of them hold, a guard where those before it hold."""
    for guard in guards:
        yield guard, here, axes
        here = here & np.asarray(run.over(guard, axes), dtype=bool)
    yield from ((arg, here, axes) for arg in args)
