"""Arguments as NumPy takes them: what stands at a position of NumPy's own signature reaches the parameter it names.

The functions of the table leave out options that have no meaning here and call their operands as suits them. So
`np.sum(x, 0, None, None, True)` is bound by the signature of `np.sum` itself: `keepdims` is what comes fifth.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Names(NamedTuple):
    """The parameters of a function of NumPy: those that have a position, and all."""

    positional: tuple[str, ...]
    every: frozenset[str]


def bound(name: str, function: Callable[..., Any], args: Sequence[Any],
          keywords: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments for a function of the table that is called as NumPy's of that name."""
    module = name.rpartition(".")[0] if name.startswith(("special.", "scipy.")) else ""
    home = sys.modules.get(f"scipy.{module.removeprefix('scipy.')}") if module else np
    theirs = None if home is None else _names(home, name[len(module) + 1:] if module else name)
    code = function.__code__
    if theirs is None or (code.co_flags & inspect.CO_VARARGS and not keywords):
        return list(args), dict(keywords)
    ours = code.co_varnames[1:code.co_argcount]                 # the first is the trace
    renamed = {their: our for their, our in zip(theirs.positional, ours, strict=False)
               if their not in ours and our not in theirs.every and (their not in ("dtype", "out") or name == "astype")}
    given = {renamed.get(key, key) if key not in ours else key: value for key, value in keywords.items()}
    if code.co_flags & inspect.CO_VARARGS:
        return list(args), given
    positional: list[Any] = []
    for place, value in enumerate(args):
        their = theirs.positional[place] if place < len(theirs.positional) else ""
        our = ours[place] if place < len(ours) else ""
        if not their or our in (their, renamed.get(their)):
            positional.append(value)
        elif their not in given:
            given[their] = value
    return positional, given


@functools.cache
def _names(home: ModuleType, name: str) -> Names | None:
    """The parameters of a function of NumPy or SciPy; None where it does not tell them."""
    found: Any = home
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found) or isinstance(found, np.ufunc):
        return None
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return Names(tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)),
                 frozenset(p.name for p in parameters))
