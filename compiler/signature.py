"""The call of a compiled Function: a class for each signature, so that a call costs what Numba's does.

The class's `__call__` is a plain function with the arguments as its own positional parameters. It hands
them to the compiled function and looks closer only when that refuses them, or when some come by name; a
missing argument is a default that no compiled function accepts. Result arrays are allocated here: NumPy
does it in a third of the time that Numba takes to hand an array out. The text is made from checked
identifiers only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.codegen.module import Group, tuple_text
from gradc.codegen.names import Names

from .arguments import MISSING, bind
from .function import Function

REFUSALS = (TypeError, ValueError, IndexError, FloatingPointError, AttributeError, OverflowError)


def call_class(function: Function, direct: Callable[..., Any], classes: Mapping[str, type]) -> type[Function]:
    """A subclass of Function whose call goes straight to the compiled function `direct`.

    `classes` are the named tuples of the result, by name.
    """
    names = Names()
    names.taken |= {"self", "extra", "unknown"}
    own = [names.fresh(name) for name in function.args]
    slash = "/, " if own else ""                                # by name they come in `unknown`, to be checked
    parameters = "".join(f"{name}=_missing, " for name in own)
    given = f"({', '.join(own)}{',' if own else ''})"
    ways = _Ways(function, own)
    text = f"""\
def __call__(self, {parameters}{slash}*extra, out=None, **unknown):
    if extra or unknown{ways.other_types}:
        pass
    elif out is None:
        try:
{ways.allocating}
        except _refusals:
            pass
{ways.with_out}    return self._look_closer({given}, extra, out, unknown)
"""
    scope: dict[str, Any] = {
        "_direct": direct, "_missing": MISSING, "_refusals": REFUSALS, "_empty": np.empty, "_array": np.ndarray,
        "_tuple": tuple.__new__, **{f"_{name}": made for name, made in classes.items()}}
    exec(compile(text, "<gradc call>", "exec"), scope)  # noqa: S102  (fixed text around checked identifiers)
    body = {"__call__": scope["__call__"], "__module__": Function.__module__, "__doc__": Function.__doc__}
    return type("Function", (_Compiled,), body)


class _Ways:
    """The statements of the two direct ways: result arrays allocated here, or one array given as `out`.

    Only an `out` that owns its memory, and that no argument is or looks into, goes straight through.
    """

    def __init__(self, function: Function, own: list[str]) -> None:
        self.own, self.groups, printed = own, function.groups, function.printed
        self.flat = printed.flat
        self.arrays = [key for key, _ in printed.arrays]
        inner = {identifier: name for (_, identifier), name in zip(printed.arguments, own, strict=True)}
        inputs = dict(zip(own, function.graph.inputs.values(), strict=True))
        lines = []
        for k, ((_, node), shape) in enumerate(zip(printed.arrays, printed.shapes, strict=True)):
            size = f"({', '.join(_renamed(text, inner) for text in shape)},)" if shape else "()"
            whole = [name for name, other in inputs.items() if other.shape == node.shape]
            dtype = "" if node.dtype == "float64" else f", {node.dtype!r}"
            lines.append(f"_a{k} = _empty({f'{whole[0]}.shape' if whole and shape else size}{dtype})")
        lines += self._call([f"_a{k}" for k in range(len(self.arrays))])
        # Numba would truncate 1.9 for an integer and drop the mask of a masked array.
        exact = {"int64": "int", "bool": "bool"}
        other = [f"type({name}) is not {'_array' if node.shape else exact[node.dtype]}"
                 for name, node in inputs.items() if node.shape or node.dtype in exact]
        self.other_types = "".join(f" or {test}" for test in other)
        self.allocating = "\n".join(" " * 12 + line for line in lines)
        self.with_out = ""
        if len(self.arrays) == 1:
            apart = [f"out is not {name} and {name}.base is not out" for name, node in inputs.items() if node.shape]
            call = "\n".join(" " * 16 + line for line in self._call(["out"]))
            self.with_out = f"""\
    else:
        try:
            if {' and '.join(['out.base is None', *apart])}:
{call}
        except _refusals:
            pass
"""

    def _call(self, arrays: list[str]) -> list[str]:
        """Call the direct function, and put its results and the arrays together."""
        held = dict(zip(self.arrays, arrays, strict=True))
        alone = len(self.flat) == 1
        held |= {key: f"_s{k}" for k, key in enumerate(self.flat)}
        call = f"_direct({', '.join([*self.own, *arrays])})"
        result = ", ".join(group.made(held.__getitem__, _tuple_text) for group in self.groups)
        flat = len(self.groups) == 1 and all(isinstance(part, str) for part in self.groups[0].outputs)
        if not arrays and flat:                                 # the tuple, or the scalar, as it comes
            name = self.groups[0].result
            return [f"return _tuple(_{name}, {call})" if name else f"return {call}"]
        targets = ", ".join(held[key] for key in self.flat) + ("," if not alone and self.flat else "")
        return [f"{targets.rstrip(',') if alone else targets} = {call}" if self.flat else call, f"return {result}"]


def _tuple_text(group: Group, parts: Sequence[str]) -> str:
    if group.result:
        return f"_tuple(_{group.result}, ({', '.join(parts)}))"
    return tuple_text(group, parts)


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """A dimension's text with the module's identifiers replaced by the call's parameters."""
    return re.sub(r"[A-Za-z_]\w*", lambda match: names.get(match[0], match[0]), text)


class _Compiled(Function):
    """A Function that has been compiled; its class is made by `call_class`."""

    def _look_closer(self, given: tuple[Any, ...], extra: tuple[Any, ...], out: Any, unknown: dict[str, Any]) -> Any:
        """What the compiled function refused, or was given by name: bind, convert, or say what is wrong."""
        kept = len(given)
        while kept and given[kept - 1] is MISSING:
            kept -= 1
        given = (*given[:kept], *extra)
        if unknown:                                             # once more by position: the quick way for most
            return self(*bind(self.args, given, unknown), out=out)
        return self._checked(given, out, unknown)
