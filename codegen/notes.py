"""The comments behind statements: which rule made the line, whose adjoint it is, how many uses were summed.

The notes come with the graph; here they are put together for what one statement computes. They may hold a user's
names, so nothing unprintable reaches the text.
"""

from __future__ import annotations

import re

from gradc.ir.graph import Graph

from .items import Item

_ELEMENT = re.compile(r"adjoint of (\S+)\[\.\.\.\]")
MOST = 3                # reasons in one comment


def comment(graph: Graph, item: Item, element: str) -> str:
    """The reasons behind a statement: its own, and those of what is printed in it.

    element   for a scatter into an adjoint: the element of the argument that it belongs to, as text
    """
    notes: dict[str, None] = {}
    own = item.body if item.kind == "scatter" else item.node
    for node in (own, *(n for n in reversed(item.inline) if n is not own)):
        note = graph.notes.get(node, "")
        if node is own and element:
            note = _scattered(element, note)
        note = _ELEMENT.sub(r"adjoint of an element of \1", note)
        if note and (node is own or not note.startswith("adjoint of")):
            shown = "".join(c if c.isprintable() else " " for c in note)
            notes[" ".join(shown.split())] = None
    return f"  # {'; '.join(list(notes)[:MOST])}" if notes else ""


def _scattered(element: str, note: str) -> str:
    """What a scatter adds: the adjoint of an element, which may be that of the value it stands in."""
    if "[...]:" in note:
        return f"adjoint of {element}{note[note.index('[...]:') + 5:]}"
    return f"adjoint of {element}, that of {note.removeprefix('adjoint of ')}" if note else f"adjoint of {element}"
