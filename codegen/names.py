"""Names in generated text: every name that a user gave is data until it has passed here.

An allocator hands out ASCII identifiers, each once. A name that is no identifier, is a keyword, is
taken, or would shadow something that the text calls is changed; `renamed` remembers how, for a comment.
"""

from __future__ import annotations

import builtins
import keyword
import re

from gradc.ir.routines import ROUTINES
from gradc.ir.table import OPERATIONS

CALLED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\(")


def _reserved() -> frozenset[str]:
    called = {name for op in OPERATIONS.values() for name in CALLED.findall(op.spelling)}
    return frozenset(
        called | set(ROUTINES) | set(keyword.kwlist) | set(keyword.softkwlist) | set(dir(builtins))
        | {"matmul", "np", "math", "inf", "nan", "float32", "NamedTuple", "Gradient", "Jacobian", "Hessian", "Row",
           "njit", "numba", "out", "prange", "workspace"})


_RESERVED = _reserved()


LONGEST = 8             # characters of an index that a name spells


def identifier(name: str) -> str:
    """The nearest ASCII identifier to any string, never a dunder name and at most 40 characters."""
    text = re.sub(r"[^A-Za-z0-9_]+", "_", name)[:40]
    text = text.strip("_") if "__" in text else text
    if not text.strip("_"):
        return "unnamed"
    return f"v_{text}" if text[0].isdigit() else text


def name_of_read(text: str) -> str:
    """A name for the local that holds an element: `W1_i0` for `W1[i, 0]`, `W1_element` for a long index."""
    array, _, index = text.partition("[")
    tail = re.sub(r"[^A-Za-z0-9]", "", index.replace("-", "m"))
    return f"{array}_{tail}"[:24] if len(tail) <= LONGEST else f"{array}_element"


def in_a_comment(name: str) -> str:
    """A user's name as it may stand in a comment."""
    return name if name.isidentifier() and name.isascii() else ascii(name)


class Names:
    """Hands out identifiers, each once."""

    def __init__(self) -> None:
        self.taken: set[str] = set(_RESERVED)
        self.renamed: dict[str, str] = {}
        self._next: dict[str, int] = {}

    def fresh(self, wanted: str) -> str:
        """An unused identifier, `wanted` itself where that is possible."""
        base = identifier(wanted)
        name = base
        if name in self.taken and not keyword.iskeyword(base):
            number = self._next.get(base, 1)
            while f"{base}_{number}" in self.taken:
                number += 1
            self._next[base] = number + 1
            name = f"{base}_{number}"
        elif name in self.taken:
            name = self.fresh(base + "_1")
        self.taken.add(name)
        return name

    def argument(self, name: str) -> str:
        """The identifier of an argument; a change is remembered."""
        safe = self.fresh(name)
        if safe != name:
            self.renamed[name] = safe
        return safe

    def numbered(self, prefix: str) -> str:
        """The next of prefix1, prefix2, ..."""
        number = self._next.get("#" + prefix, 0) + 1
        while f"{prefix}{number}" in self.taken:
            number += 1
        self._next["#" + prefix] = number
        self.taken.add(f"{prefix}{number}")
        return f"{prefix}{number}"
