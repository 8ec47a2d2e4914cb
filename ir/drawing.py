"""Where a graph's pictures come from: a place that a higher layer fills.

A picture needs a layout, which this layer does not know. The compiler registers a function that draws;
`Graph.to_dot` and `Graph.to_svg` call it. So a graph can show itself, and no import runs upwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import GraphError

if TYPE_CHECKING:
    from .graph import Graph

Drawer = Callable[["Graph", str], str]

_drawers: list[Drawer] = []


def register(drawer: Drawer) -> None:
    """Let `drawer(graph, format)` draw graphs, the format being "dot", "svg" or "mermaid"."""
    _drawers[:] = [drawer]


def drawn(graph: Graph, format: str) -> str:
    """The picture of a graph as text; a GraphError if nothing that draws is loaded."""
    if not _drawers:
        raise GraphError("nothing that draws graphs is loaded: import gradc first")
    return _drawers[0](graph, format)
