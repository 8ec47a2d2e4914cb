"""Nested arguments taken apart, and results put together, by Python text that is made once for a structure.

`taker` gives a function from the arguments of a call to the tuple of their leaves, or to None where they are not
plainly of the structure (or, for leaves with kinds, of other kinds): then `structures` looks closer, takes what it can
and names what is wrong. `builder` gives the function from the values of the outputs to the nested result. Classes,
keys and values of the structure reach the text as names of constants only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.codegen.module import Group

from .structures import Fixed, Leaf, Tree

Kind = tuple[str, tuple[bool, ...]]             # of a leaf: its dtype, and which of its dimensions are 1
Taker = Callable[..., tuple[Any, ...] | None]
NOT_PLAIN = (TypeError, LookupError, AttributeError)            # that a taker raises where it does not return None
NUMBERS = {"float": {float, np.float64}, "float32": {np.float32}, "int": {int}, "bool": {bool}}     # of scalar leaves


class _Text:
    """Statements and the constants that they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {"ndarray": np.ndarray}
        self.count = 0

    def constant(self, value: Any) -> str:
        """The name of a constant."""
        name = f"c{len(self.scope)}"
        self.scope[name] = value
        return name

    def local(self) -> str:
        """A new local name."""
        self.count += 1
        return f"v{self.count}"

    def function(self, name: str, parameters: Sequence[str], result: str) -> Callable[..., Any]:
        """The function of the statements."""
        body = [*self.lines, f"return {result}"]
        text = "\n".join([f"def {name}({', '.join(parameters)}):", *(f"    {line}" for line in body)])
        exec(compile(text, f"<gradc {name}>", "exec"), self.scope)  # noqa: S102  (fixed text around our own names)
        made: Callable[..., Any] = self.scope[name]
        return made


# -- taking apart ------------------------------------------------------------------------------------


def taker(arguments: Mapping[str, Tree], kinds: Mapping[Any, Kind]) -> Taker:
    """From arguments, by position, to the tuple of their leaves, or None if these have to be looked at closer.

    arguments  the structure of each
    kinds      what the leaves must be; one that is not listed may be anything
    """
    text = _Text()
    found: list[str] = []
    parameters = [text.local() for _ in arguments]
    for parameter, tree in zip(parameters, arguments.values(), strict=True):
        _take(text, tree, parameter, kinds, found)
    return text.function("take", parameters, f"({', '.join(found)}{',' if found else ''})")


def _take(text: _Text, tree: Tree, place: str, kinds: Mapping[Any, Kind], found: list[str]) -> None:
    def demand(test: str) -> None:
        text.lines.append(f"if {test}: return None")

    if isinstance(tree, Leaf):
        if tree.key in kinds:
            demand(_differs(text, place, *kinds[tree.key]))
        found.append(place)
    elif isinstance(tree, Fixed):
        demand(f"{place} is not {text.constant(tree.value)}")   # an equal one is looked at closer
    elif tree.kind is np.ndarray:                               # a vector for several numbers
        parts = [text.local() for _ in tree.parts]
        exact = text.constant(np.dtype("float64"))
        demand(f"type({place}) is not ndarray or {place}.dtype is not {exact} or {place}.shape != ({len(parts)},)")
        text.lines.append(f"{', '.join(parts)}, = {place}.tolist()")
        found += parts
    else:
        parts = [text.local() for _ in tree.parts]
        demand(f"type({place}) is not {text.constant(tree.kind)}")
        if issubclass(tree.kind, (dict, list)) or tree.kind is tuple:
            demand(f"len({place}) != {len(parts)}")
        for k, (part, key) in enumerate(zip(parts, tree.keys, strict=True)):
            if issubclass(tree.kind, (list, tuple)):
                text.lines.append(f"{part} = {place}[{k}]")
            elif issubclass(tree.kind, dict):
                text.lines.append(f"{part} = {place}[{text.constant(key)}]")
            else:
                text.lines.append(f"{part} = getattr({place}, {text.constant(key)})")
        for part, inner in zip(parts, tree.parts, strict=True):
            _take(text, inner, part, kinds, found)


def _differs(text: _Text, place: str, dtype: str, ones: tuple[bool, ...]) -> str:
    """The test whether a leaf is of another kind, or of one that is not quickly told."""
    if not ones:
        return f"type({place}) not in {text.constant(NUMBERS[dtype])}"
    exact = text.constant(np.dtype(dtype))
    sizes = [f"{place}.shape[{k}] != 1" if one else f"{place}.shape[{k}] == 1" for k, one in enumerate(ones)]
    tests = sizes if any(ones) else [f"1 in {place}.shape"]
    return " or ".join([f"type({place}) is not ndarray", f"{place}.dtype is not {exact}",
                        f"{place}.ndim != {len(ones)}", *tests])


# -- putting together --------------------------------------------------------------------------------


def builder(tree: Tree, groups: Sequence[Group]) -> Callable[[Any], Any]:
    """From what the Function of the leaves returns, in `groups`, to a result whose leaves are numbered in its order."""
    text = _Text()
    flat = [text.local() for group in groups for _ in group.keys]
    waiting = iter(flat)
    targets = [group.made(lambda _: next(waiting), lambda _, parts: parts[0] if len(parts) == 1 else
                          f"({', '.join(parts)})") for group in groups]
    text.lines.append(f"{', '.join(targets)} = result")
    return text.function("build", ["result"], _built(text, tree, flat))


def _built(text: _Text, tree: Tree, leaves: Sequence[str]) -> str:
    if isinstance(tree, Leaf):
        return leaves[int(tree.key)]
    if isinstance(tree, Fixed):
        return text.constant(tree.value)
    parts = [_built(text, part, leaves) for part in tree.parts]
    if issubclass(tree.kind, (list, tuple)):
        made = f"{', '.join(parts)}{',' if parts else ''}"
        made = f"[{made}]" if tree.kind is list else f"({made})" if tree.kind is tuple else (
            f"{text.constant(tree.kind)}({made})")
    else:
        made = f"{{{', '.join(f'{text.constant(key)}: {part}' for key, part in zip(tree.keys, parts, strict=True))}}}"
        if tree.kind is not dict:                               # an OrderedDict, a dataclass
            made = f"{text.constant(tree.kind)}({'' if issubclass(tree.kind, dict) else '**'}{made})"
    name = text.local()
    text.lines.append(f"{name} = {made}")
    return name
