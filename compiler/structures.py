"""Nested structures of arrays: tuples, named tuples, lists, dicts and dataclasses, taken apart and put together.

A `Tree` says how a value is nested: a `Leaf` stands for an array or a number, a `Branch` for a container, `Fixed`
for what is no array (None, and the value of a static argument). It is found from a value or from a declaration,
is hashable, and says in an error which leaf of a value does not fit. Arrays themselves are not looked at here.
"""

from __future__ import annotations

import dataclasses
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradc.ir.errors import ArgumentError

from .syntax import MAX_NAME


@dataclass(frozen=True, slots=True)
class Leaf:
    """An array or a number: the name of its argument, or its place among the results."""

    key: Any


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that is no array; two are equal if `identity` is, which tells 1, True and 1.0 apart."""

    value: Any = field(compare=False)
    identity: Any


@dataclass(frozen=True, slots=True)
class Branch:
    """A container: its class, the keys of its entries, and the entries."""

    kind: type
    keys: tuple[Any, ...]
    parts: tuple[Tree, ...]


Tree = Leaf | Fixed | Branch
Entries = tuple[type, tuple[Any, ...], Sequence[Any]]
NOTHING = Fixed(None, (type(None), None))


def fixed(name: str, value: Any) -> Fixed:
    """A value on which a function is specialised; ArgumentError if it has no hash."""
    try:
        hash(value)
    except TypeError:
        raise ArgumentError(
            f"the static argument {name} is of type {type(value).__name__}, which has no hash, so nothing can be "
            "compiled for it: give a number, a text, a tuple of such or a function, or do not make it static") from None
    return Fixed(value, _identity(value))


def _identity(value: Any) -> Any:
    if isinstance(value, tuple):
        return (type(value), *map(_identity, value))
    if isinstance(value, float):
        return type(value), value.hex()                         # 0.0 is not -0.0, and nan is nan
    return type(value), value


def entries(value: Any) -> Entries | None:
    """The class, keys and entries of a container; None for anything else."""
    if isinstance(value, dict):
        return OrderedDict if isinstance(value, OrderedDict) else dict, tuple(value), list(value.values())
    if isinstance(value, (tuple, list)):
        if hasattr(value, "_fields"):
            return type(value), tuple(value._fields), value
        return list if isinstance(value, list) else tuple, tuple(range(len(value))), value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        keys = tuple(f.name for f in dataclasses.fields(value) if f.init)
        return type(value), keys, [getattr(value, key) for key in keys]
    return None


def argument_entries(value: Any) -> Entries | None:
    """As `entries`, but a list or tuple that NumPy takes for one array of numbers is an array."""
    found = entries(value)
    return None if found is not None and found[0] in (list, tuple) and not _holds_arrays(value) else found


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return any(map(_holds_arrays, value))
    return value is None or isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim > 0) or (
        entries(value) is not None)


def grow(value: Any, name: str, split: Callable[[Any], Entries | None], label: Callable[[str, Any], Any]) -> Tree:
    """The tree of a value: containers as `split` sees them, each leaf labelled from its name and its value."""
    if value is None:
        return NOTHING
    found = split(value)
    if found is None:
        return Leaf(label(name, value))
    kind, keys, parts = found
    return Branch(kind, keys, tuple(
        grow(part, f"{name}_{key}", split, label) for key, part in zip(keys, parts, strict=True)))


def outline(value: Any, into: list[Any]) -> Any:
    """The nesting of an argument as tuples of classes and keys, its leaves put into a list: quick to make and hash."""
    if type(value) is np.ndarray or type(value) is float:
        into.append(value)
        return 0
    found = argument_entries(value) if value is not None else None
    if found is None:
        if value is not None:
            into.append(value)
        return value is None
    kind, keys, parts = found
    return kind, keys, tuple([outline(part, into) for part in parts])


def unused(name: str, taken: set[str]) -> str:
    """An identifier near to a name such as `params_W` that nothing else has; it is then taken."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)[:MAX_NAME - 8]
    found, number = text, 1
    while found in taken:
        found, number = f"{text}_{number}", number + 1
    taken.add(found)
    return found


def leaves(tree: Tree) -> Iterator[Any]:
    """The keys of the leaves, in order."""
    if isinstance(tree, Leaf):
        yield tree.key
    elif isinstance(tree, Branch):
        for part in tree.parts:
            yield from leaves(part)


def relabelled(tree: Tree, change: Callable[[Any], Tree]) -> Tree:
    """The tree with another one in place of each leaf."""
    if isinstance(tree, Leaf):
        return change(tree.key)
    if isinstance(tree, Branch):
        return Branch(tree.kind, tree.keys, tuple(relabelled(part, change) for part in tree.parts))
    return tree


def fill(tree: Tree, get: Callable[[Any], Any]) -> Any:
    """The value of a tree whose leaves are what `get` gives for their keys."""
    if isinstance(tree, Leaf):
        return get(tree.key)
    if isinstance(tree, Fixed):
        return tree.value
    parts = [fill(part, get) for part in tree.parts]
    if tree.kind is list:
        return parts
    if tree.kind is tuple:
        return tuple(parts)
    if issubclass(tree.kind, dict):
        return tree.kind(zip(tree.keys, parts, strict=True))
    return tree.kind(*parts) if issubclass(tree.kind, tuple) else tree.kind(**dict(zip(tree.keys, parts, strict=True)))


# -- taking a value apart ----------------------------------------------------------------------------


def collect(tree: Tree, value: Any, place: str, into: list[Any]) -> None:
    """Put the leaves of a value into a list; ArgumentError says which part of it does not fit the tree."""
    if isinstance(tree, Leaf):
        into.append(value)
    elif isinstance(tree, Fixed):
        if value is not tree.value and fixed(place, value).identity != tree.identity:
            raise ArgumentError(f"{place} is {value!r}, but this function was compiled for {tree.value!r}: call the "
                                "function that it was made from")
    else:
        for key, part, inner in zip(tree.keys, tree.parts, _inside(tree, value, place), strict=True):
            collect(part, inner, _place(tree, place, key), into)


def _place(tree: Branch, place: str, key: Any) -> str:
    named = not issubclass(tree.kind, (dict, list)) and tree.kind is not tuple
    return f"{place}.{key}" if named else f"{place}[{key!r}]"


def _inside(tree: Branch, value: Any, place: str) -> Iterable[Any]:
    if issubclass(tree.kind, dict):
        if not isinstance(value, Mapping):
            raise ArgumentError(f"{place} must be a dict with the keys {_listed(tree.keys)}, but it is of type "
                                f"{type(value).__name__}: give the structure that was declared, or first given")
        for key in tree.keys:
            if key not in value:
                raise ArgumentError(f"{place} has no key {key!r}: its keys must be {_listed(tree.keys)}")
        if len(value) != len(tree.keys):
            extra = next(key for key in value if key not in tree.keys)
            raise ArgumentError(f"{place} has a key {extra!r} too many: its keys must be {_listed(tree.keys)}")
        return [value[key] for key in tree.keys]
    if issubclass(tree.kind, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(tree.keys):
            given = f"has {len(value)}" if isinstance(value, (list, tuple)) else f"is of type {type(value).__name__}"
            raise ArgumentError(f"{place} must be a {tree.kind.__name__} of {len(tree.keys)} entries, but it {given}: "
                                "give the structure that was declared, or first given")
        return value
    if not isinstance(value, tree.kind):
        raise ArgumentError(f"{place} must be a {tree.kind.__name__}, but it is of type {type(value).__name__}: "
                            "give the structure that was declared, or first given")
    return [getattr(value, key) for key in tree.keys]


def _listed(keys: Sequence[Any]) -> str:
    return ", ".join(map(repr, keys))
