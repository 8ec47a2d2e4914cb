"""Objects, classes and containers of the user's as a traced function sees them.

A method that is reached through an object (`model.layer(x)`), a class (`Model().layer(x)`) or a list of layers must
see stand-ins for numpy, as functions that are named do. So a class of the user's gets a shadow, whose functions are
copies, and an object a view: an instance of the shadow that shares the object's own attributes. The objects
themselves are never changed. What has no such view (slots, metaclasses, subclasses of built-in types) stays as it is.
How functions are copied is left to `from_python`.
"""

from __future__ import annotations

import abc
import functools
import sys
import types
from collections.abc import Callable
from typing import Any, Generic, Protocol

See = Callable[[Any], Any]
OTHERS = ("numpy", "scipy", "gradc", "math", "numba", "sympy")
EMPTY: tuple[Any, ...] = (object, abc.ABC, Generic, Protocol)           # bases that a shadow needs not
SPECIAL = frozenset(("__slots__", "__getattribute__", "__new__"))       # a class with one of these has no shadow
LEFT_OUT = frozenset(("__dict__", "__weakref__", "__init_subclass__", "__class_getitem__", "__del__"))
SEEN = (types.FunctionType, staticmethod, classmethod)


def is_users(thing: Any) -> bool:
    """Whether a function or a class is the user's own: traced, where others only get traced values."""
    return is_users_module(thing.__module__ or "")


def is_users_module(name: str) -> bool:
    """The same of a module, by its name."""
    top = name.partition(".")[0]
    return name == "gradc.compiler.nn" or (top not in OTHERS and top not in sys.stdlib_module_names)


class Copies:
    """What functions, classes and objects are seen as; the originals are kept, so that no other has their place.

    codes  the code of the user's functions, whose variables name values
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Any, Any]] = {}
        self.codes: set[types.CodeType] = set()

    def __contains__(self, own: Any) -> bool:
        return id(own) in self._kept

    def __getitem__(self, own: Any) -> Any:
        return self._kept[id(own)][1]

    def __setitem__(self, own: Any, copy: Any) -> None:
        self._kept[id(own)], self._kept[id(copy)] = (own, copy), (copy, copy)
        if isinstance(copy, types.FunctionType) and not str(own.__module__).startswith("gradc."):
            self.codes.add(copy.__code__)


def seen(value: Any, see: See, known: Copies) -> Any:
    """A class, an object or a container as a copy sees it: itself where nothing in it is seen otherwise.

    see    what a function, a module and anything in a container is for the copy
    known  what was seen before, by the original
    """
    if value in known:
        return known[value]
    if type(value) in (list, tuple, dict, types.SimpleNamespace):
        return _container(value, see)
    if isinstance(value, type):
        return _shadow(value, see, known) if _has_shadow(value) else value
    if not _has_shadow(type(value)) or not isinstance(getattr(value, "__dict__", None), dict):
        return value
    view = object.__new__(_shadow(type(value), see, known))
    known[value] = view
    object.__setattr__(view, "__dict__", value.__dict__)
    return view


def _container(value: Any, see: See) -> Any:
    named = value if isinstance(value, dict) else vars(value) if isinstance(value, types.SimpleNamespace) else None
    items = list(value if named is None else named.values())
    made = [see(item) for item in items]
    if all(a is b for a, b in zip(items, made, strict=True)):
        return value
    if named is None:
        return type(value)(made)
    found = dict(zip(named, made, strict=True))
    return found if value is named else types.SimpleNamespace(**found)


def _has_shadow(cls: type) -> bool:
    """Whether a class and all that it inherits from are plain Python classes of the user's."""
    return all(type(base) in (type, abc.ABCMeta) and is_users(base) and not SPECIAL & vars(base).keys()
               for base in cls.__mro__ if base not in EMPTY) and cls not in EMPTY


def _shadow(cls: type, see: See, known: Copies) -> Any:
    """A class with the same functions as copies; its instances see what their attributes hold."""
    if cls in known:
        return known[cls]

    def attribute(self: Any, name: str) -> Any:
        found = object.__getattribute__(self, name)
        return see(found) if name in object.__getattribute__(self, "__dict__") else found

    bases = tuple(_shadow(base, see, known) for base in cls.__bases__ if base not in EMPTY)
    own = {name: _member(member, see) for name, member in vars(cls).items() if name not in LEFT_OUT}
    shadow = type(cls.__name__, bases, {**own, "__class__": property(lambda self: cls), "__getattribute__": attribute})
    known[cls] = shadow
    return shadow


class _Member:
    """A function or an attribute of a class, seen when it is first used: a class may lead to a whole library."""

    def __init__(self, own: Any, see: See) -> None:
        self._own, self._see = own, see

    def __get__(self, instance: Any, cls: type) -> Any:
        own = self._own
        if isinstance(own, classmethod):
            return types.MethodType(self._see(own.__func__), cls)
        if isinstance(own, types.FunctionType) and instance is not None:
            return types.MethodType(self._see(own), instance)
        return self._see(own.__func__ if isinstance(own, staticmethod) else own)


def _member(own: Any, see: See) -> Any:
    """What stands in a class, as its shadow has it."""
    if isinstance(own, property):
        get, put, delete = (None if part is None else _late(part, see) for part in (own.fget, own.fset, own.fdel))
        return property(get, put, delete, own.__doc__)
    if isinstance(own, functools.cached_property):
        return functools.cached_property(_late(own.func, see))
    return own if hasattr(own, "__get__") and not isinstance(own, SEEN) else _Member(own, see)


def _late(function: Any, see: See) -> Callable[..., Any]:
    def late(*args: Any) -> Any:
        return see(function)(*args)

    return late
