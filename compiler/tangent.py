"""Forward mode: the chain rule along one or several directions, and nothing else.

For `y = op(x1, ..., xk)` with tangents x1., ..., xk. the whole of forward mode is one rule:

    y. = sum over i of   x_i. * d op / d x_i

The local partials come from the operation table, as those of the adjoint do; what reductions, scans, reads, stores
and routines pass on is in `pushforward`. A tangent carries *guards*, the conditions under which it counts at all:
where they fail it is a strong zero, which no infinite partial turns into a NaN. It has the dtype of its primal, and
its axes; several directions at once are a further axis of every tangent, `held`, which no rule sums over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradc.ir.cast import cast
from gradc.ir.dims import Axis
from gradc.ir.graph import Graph, Node

from .adjoint import NO_GUARDS, depends_on, guarded_sum, nothing
from .pushforward import Tangent, local_pushforward


def forward(graph: Graph, seeds: Mapping[Node, Node], outputs: Sequence[Node], held: Sequence[Axis] = (),
            mark: str = "d_") -> list[Node]:
    """Append the tangents of `outputs` to the graph and return them; 0 for one on which no input acts.

    `seeds` maps inputs to their tangents: a node for a scalar, for an array an array, whose last dimensions are those
    of the `held` axes; so they are in the tangents that are returned for arrays. `mark` is how names of tangents begin.
    """
    tangents: dict[Node, Tangent] = {}
    allowed = frozenset(held)
    for y in depends_on(graph, outputs, set(seeds)):                # operands before their users
        if y in seeds:
            tangents[y] = Tangent(seeds[y], NO_GUARDS)
            continue
        primal = len(graph.nodes)
        terms = [Tangent(cast(value, y.dtype), guards)
                 for value, guards in local_pushforward(graph, y, tangents, held)]
        if terms:
            tangents[y] = Tangent(*guarded_sum(graph, terms))
            assert tangents[y].value.axes <= y.axes | allowed, f"the tangent of {y} varies over an axis that it has not"
            _describe(graph, y, tangents[y].value, mark, own=tangents[y].value.id >= primal)
    return [tangents[y].settled() if y in tangents else nothing(graph, y, held) for y in outputs]


def _describe(graph: Graph, y: Node, value: Node, mark: str, *, own: bool) -> None:
    """Name a tangent after its primal, unless it was there before."""
    if not own or value.op in ("const", "input", "read") or value in graph.names or value in graph.notes:
        return
    if y in graph.names:
        graph.name(value, mark + graph.names[y][0])
    graph.notes[value] = f"tangent of {y.op}"
