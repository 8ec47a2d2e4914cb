"""Which arguments a function is differentiated by: what `wrt=` may be, and the errors where it names none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gradc.ir.errors import FormulaError
from gradc.ir.graph import Graph


def real_arguments(graph: Graph) -> tuple[str, ...]:
    """The arguments that can be differentiated by."""
    return tuple(name for name, node in graph.inputs.items() if node.dtype.startswith("float"))


def named_in(wrt: Any, known: Iterable[str]) -> tuple[str, ...]:
    """The names in a `wrt` that is a name, a text of names, a SymPy symbol or a sequence of them."""
    if not isinstance(wrt, (str, Iterable)):        # one SymPy symbol
        wrt = str(wrt)
    if isinstance(wrt, str):
        return (wrt,) if wrt in known else tuple(wrt.replace(",", " ").split())
    return tuple(w if isinstance(w, str) else str(w) for w in wrt)


def checked_wrt(graph: Graph, wrt: Any, arguments: Sequence[str] | None = None) -> tuple[str, ...]:
    """The names to differentiate by, or a FormulaError that says which one is wrong."""
    if wrt is None:
        return real_arguments(graph)
    arguments = list(graph.inputs) if arguments is None else arguments
    names = named_in(wrt, arguments)
    real = real_arguments(graph)
    for name in names:
        if name not in arguments:
            raise no_such(name, arguments)
        if name in graph.inputs and name not in real:
            raise FormulaError(f"wrt names {name}, which is {graph.inputs[name].dtype}: only real arguments "
                               "can be differentiated by")
    return distinct(names)


def no_such(name: str, arguments: Sequence[str]) -> FormulaError:
    """The error for a name in `wrt` that no argument has."""
    known = f"the arguments are {', '.join(arguments)}" if arguments else "there are none"
    return FormulaError(f"wrt names {name}, which is no argument: {known}")


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, or a FormulaError if one is there twice."""
    if len(set(names)) != len(names):
        raise FormulaError("wrt names an argument twice: list each once")
    return names
