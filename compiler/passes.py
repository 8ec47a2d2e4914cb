"""The passes between a front end and the printer, in order, on one screen.

Each takes a graph and gives a new one, which is verified. `prepare` runs before differentiation, so
that the adjoint is derived from the stable form; the adjoint itself is made in a folding graph.
`finish` runs last, on values and derivatives alike, just before printing. Between them work on gathered values is done
once for each element: for all sizes by `in_rows`, for the sizes of a sparse derivative by `once_each`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from gradc.ir.collecting import put_off
from gradc.ir.graph import Graph
from gradc.ir.verify import verify

from . import per_element
from .collect import collected
from .expand import expand
from .interchange import interchange
from .literal import written_out
from .refusals import refuse
from .settled import settled
from .simplify import simplify
from .stable import stable
from .strength import strength
from .unroll import unroll


class Pass(NamedTuple):
    """A named step."""

    name: str
    run: Callable[[Graph], Graph]
    reason: str


PREPARE = (
    Pass("refuse", refuse, "a maximum over nothing and a whole number over zero have no value"),
    Pass("simplify", simplify, "constants and identities, so that spellings meet"),
    Pass("stable", stable, "forms that keep their digits: log1p, sigmoid, norms, logsumexp"),
    Pass("expand", expand, "mean and logsumexp in terms of sums"),
    Pass("unroll", unroll, "sums over two to four literal points written out"),
    Pass("simplify", simplify, "constants, identities, factors taken out of sums"),
)


MOST_REFINED = 20_000   # nodes
REFINE = (
    Pass("stable", stable, "the same forms on the adjoint, where the chain rule brings cancellations back"),
    Pass("expand", expand, "what that composed"),
    Pass("expand", expand, "what that may have put together again"),
    Pass("interchange", interchange, "of nested sums first the one that leaves factors outside"),
    Pass("simplify", simplify, "what that leaves"),
)
FINISH = (
    Pass("settle", settled, "values in place of what only derivatives had to know"),
    Pass("strength", strength, "whole powers as products that share their factors"),
)


def prepare(graph: Graph) -> Graph:
    """The graph in the form that is differentiated."""
    verify(graph)
    return _run(PREPARE, graph)


def refine(graph: Graph) -> Graph:
    """A derivative in its stable form; a huge one stays as the sweep made it, which keeps it quick."""
    return _run(REFINE, graph) if len(graph.nodes) <= MOST_REFINED else graph


def in_rows(graph: Graph) -> tuple[Graph, tuple[per_element.Counts, ...]]:
    """A prepared graph with gathered values in rows where that may pay, and the numbers that decide at a call."""
    new, counts = per_element.in_rows(graph)
    if new is not graph:
        verify(new)
    return new, counts


def once_each(graph: Graph, fewer: Collection[per_element.Pair], far: Collection[per_element.Pair]) -> Graph:
    """The graph for sizes where elements are fewer than the places that gather them, and `far` fewer for some pairs."""
    collect = (
        Pass("write out", written_out, "results along two to four literal points, so that equal parts meet"),
        Pass("collect", lambda graph: collected(graph, far), "sums by what their terms vary with"),
    )
    return _run((
        *(collect if far else ()),
        Pass("per element", lambda graph: per_element.per_element(graph, fewer), "what elements alone decide"),
    ), graph)


def finish(graph: Graph) -> Graph:
    """The graph in the form that is printed: one of its own, since lowering adds nodes to it."""
    return _run(FINISH, graph)                                  # whose last pass always makes a new graph


@put_off()
def _run(passes: tuple[Pass, ...], graph: Graph) -> Graph:
    for step in passes:
        before, graph = graph, step.run(graph)
        if graph is not before:                                 # a pass that found nothing to do gives it back
            verify(graph)
    return graph
