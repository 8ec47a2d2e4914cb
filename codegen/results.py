"""The named tuples that generated functions return, such as the gradient with one field an argument.

`result_class` makes a class that Numba takes as a return type, that also answers to the arguments'
own names when a field had to be renamed (`g["lambda"]`), and whose instances pickle by value, so that
a process which never saw the generated module can read them. It knows nothing of what the fields hold.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from gradc.ir.errors import GradcError

_classes: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], type[Any]] = {}


class FieldError(GradcError, KeyError):
    """A name that no field of a result has."""

    def __str__(self) -> str:
        """Give the message as it is: KeyError would show it in quotes."""
        return str(self.args[0])


class Result(tuple[Any, ...]):
    """What every result class adds to a named tuple: look-up by an argument's name, and pickling."""

    __slots__ = ()
    _fields: tuple[str, ...]
    _originals: tuple[str, ...]
    _positions: dict[str, int]

    def __getitem__(self, key: Any) -> Any:
        """Field by position, slice, or the argument's name as the user wrote it.

        Raises:
            FieldError: (a KeyError) no argument has that name.
            IndexError: the position is beyond the last field.
        """
        if isinstance(key, str):
            try:
                key = self._positions[key]
            except KeyError:
                names = ", ".join(repr(name) for name in self._originals)
                raise FieldError(
                    f"{type(self).__name__} has no field {key!r}. Its fields are {names}: "
                    f"use one of these names or a position."
                ) from None
        return super().__getitem__(key)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by value: the class is made again where it is not known."""
        cls = type(self)
        return rebuild, (cls.__name__, self._fields, self._originals, cls.__module__, tuple(self))


def result_class(
    name: str, fields: tuple[str, ...], originals: tuple[str, ...], module_name: str
) -> type[Any]:
    """Make (or find again) the class of a named result.

    Args:
        name: the class's name, an identifier.
        fields: the field names, identifiers in the order of the values.
        originals: the arguments' names as the user wrote them, one for each field.
        module_name: the module that holds the class, its `__module__`.

    Returns:
        A named tuple class; equal arguments give the same class.

    Raises:
        ValueError: the lengths differ, or a name is none that a named tuple takes.

    Example:
        >>> Gradient = result_class("Gradient", ("x", "arg_lambda"), ("x", "lambda"), "generated")
        >>> g = Gradient(1.0, 2.0)
        >>> g.x, g["lambda"], g[1], g == (1.0, 2.0)
        (1.0, 2.0, 2.0, True)
    """
    if len(fields) != len(originals):
        raise ValueError(f"{name} has {len(fields)} fields but {len(originals)} original names")
    key = (module_name, name, fields, originals)
    known = _classes.get(key)
    if known is not None:
        return known
    base = namedtuple(name, fields)  # type: ignore[misc]  # noqa: PYI024  # the names come as data
    # A field's own name is found too, but an argument of that name has the say.
    positions = {field: index for index, field in enumerate(fields)}
    positions.update({original: index for index, original in enumerate(originals)})
    body = {
        "__slots__": (),
        "__module__": module_name,
        "__qualname__": name,
        "_originals": originals,
        "_positions": positions,
        "__doc__": f"{name}({', '.join(fields)})",  # not the originals: a docstring takes no null byte
    }
    return _classes.setdefault(key, type(name, (Result, base), body))


def rebuild(
    name: str, fields: tuple[str, ...], originals: tuple[str, ...], module_name: str, values: tuple[Any, ...]
) -> Any:
    """Make an instance of a result class from its parts; what a pickled result calls."""
    return result_class(name, fields, originals, module_name)(*values)
