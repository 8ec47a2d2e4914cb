"""The comments behind statements: which rule made the line, whose adjoint it is, how many uses were summed.

The notes come with the graph; here they are put together for what one statement computes. They may hold a user's
names, so nothing unprintable reaches the text.
"""

from __future__ import annotations

import re

from gradc.ir.graph import Graph

from .items import Item
from .program import Loop, Program, items_of

_ELEMENT = re.compile(r"adjoint of (\S+)\[\.\.\.\]")
MOST = 3                # reasons in one comment
LONG = 12               # statements: a shorter gradient is read without headings


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
        if note and (node is own or not note.startswith("adjoint of")):
            note = _ELEMENT.sub(r"adjoint of an element of \1", note)
            shown = note if note.isprintable() else "".join(c if c.isprintable() else " " for c in note)
            notes[" ".join(shown.split())] = None
    return f"  # {'; '.join(list(notes)[:MOST])}" if notes else ""


def _scattered(element: str, note: str) -> str:
    """What a scatter adds: the adjoint of an element, which may be that of the value it stands in."""
    if "[...]:" in note:
        return f"adjoint of {element}{note[note.index('[...]:') + 5:]}"
    return f"adjoint of {element}, that of {note.removeprefix('adjoint of ')}" if note else f"adjoint of {element}"


def sections(program: Program) -> dict[int, str]:
    """Headings for a gradient: "forward" and "backward", by the entry of a body that they stand before.

    They stand where every entry from some point on belongs more to the backward sweep than to the forward part: in the
    outermost body, or inside a loop that holds most of the forward part too. What depends on an adjoint belongs to the
    sweep; a derivative of a derivative has no headings.
    """
    order = items_of(*program.body)
    names = program.graph.names
    if len(order) < LONG or any(name.startswith("d_d_") for item in order for name in names.get(item.node, ())):
        return {}
    backward: set[Item] = set()
    for item in program.homes:                                  # operands before their users
        noted = any(program.graph.notes.get(node, "").startswith("adjoint of") for node in (item.body, item.node))
        if noted or any(dep in backward for dep in item.deps):
            backward.add(item)
    body = program.body
    while True:
        forward = [sum(item not in backward for item in items_of(entry)) for entry in body]
        swept = [2 * count < len(items_of(entry)) for count, entry in zip(forward, body, strict=True)]
        first = len(body) - next((k for k, one in enumerate(reversed(swept)) if not one), len(body))
        mixed = max(range(first, len(body)), key=lambda k: forward[k], default=None)
        entry = None if mixed is None else body[mixed]
        if isinstance(entry, Loop) and mixed is not None and forward[mixed] > sum(forward[:first]):
            body = entry.body
        elif 0 < first < len(body):
            return {id(body[0]): "forward", id(body[first]): "backward"}
        else:
            return {}
