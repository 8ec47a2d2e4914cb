"""The call of a compiled Function: a class for each signature, so that a call costs what Numba's does.

The class's `__call__` is a plain function with the arguments as its own parameters. It hands them to
the compiled function and looks closer only when that refuses them; a missing argument is a default
that no compiled function accepts. Result arrays are allocated here: NumPy does it in a third of the time
that Numba takes to hand an array out. The text is made from checked identifiers only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradc.codegen.names import Names

from .arguments import MISSING
from .function import Function

REFUSALS = (TypeError, ValueError, IndexError, FloatingPointError, AttributeError)


def call_class(function: Function, entries: Mapping[str, Callable[..., Any]]) -> type[Function]:
    """A subclass of Function whose call goes straight to the compiled functions among `entries`."""
    names = Names()
    names.taken |= {"self", "extra", "unknown"}
    own = [names.fresh(name) for name in function.args]
    # Where a name had to be changed, arguments go by position here and by their own names in `unknown`.
    slash = "" if own == list(function.args) or not own else "/, "
    parameters = "".join(f"{name}=_missing, " for name in own)
    given = f"({', '.join(own)}{',' if own else ''})"
    direct = _Direct(function, own)
    with_out = "" if direct.with_out is None else f"""\
        try:
            if {direct.apart}:
{direct.with_out}
        except _refusals:
            pass
"""
    text = f"""\
def __call__(self, {parameters}{slash}*extra, out=None, **unknown):
    if extra or unknown:
        pass
    elif out is None:
        try:
{direct.allocating}
        except _refusals:
            pass
    else:
{with_out or "        pass"}
    return self._look_closer({given}, extra, out, unknown)
"""
    scope: dict[str, Any] = {
        "_fast": entries[function.printed.name], "_into": entries.get(function.printed.into), "_missing": MISSING,
        "_refusals": REFUSALS, "_empty": np.empty, **{f"_{g.result}": entries[g.result] for g in function.groups if g.result}}
    exec(compile(text, "<gradc call>", "exec"), scope)  # noqa: S102  (fixed text around checked identifiers)
    body = {"__call__": scope["__call__"], "__module__": Function.__module__, "__doc__": Function.__doc__}
    return type("Function", (_Compiled,), body)


class _Direct:
    """The statements of the two direct ways: arrays allocated here, or one array given as `out`.

    An array is allocated here if it has the shape of an argument; otherwise the compiled function does
    it. Only an `out` that owns its memory, and that no argument is or looks into, goes straight through.
    """

    def __init__(self, function: Function, own: list[str]) -> None:
        self.own, self.groups = own, function.groups
        self.arrays = [key for key, _ in function.printed.arrays]
        inputs = dict(zip(own, function.graph.inputs.values(), strict=True))
        shapes = {node.shape: name for name, node in inputs.items() if node.shape}
        plain = all(node.dtype == "float64" and node.shape in shapes for _, node in function.printed.arrays)
        if self.arrays and plain:
            lines = [f"_a{k} = _empty({shapes[node.shape]}.shape)" for k, (_, node) in enumerate(function.printed.arrays)]
            lines += self._call([f"_a{k}" for k in range(len(self.arrays))])
        else:
            lines = [f"return _fast({', '.join(own)})"]
        self.allocating = "\n".join(" " * 12 + line for line in lines)
        self.with_out: str | None = None
        self.apart = ""
        if len(self.arrays) == 1:
            self.with_out = "\n".join(" " * 16 + line for line in self._call(["out"]))
            apart = [f"out is not {name} and {name}.base is not out" for name, node in inputs.items() if node.shape]
            self.apart = " and ".join(["out.base is None", *apart])

    def _call(self, arrays: list[str]) -> list[str]:
        held = dict(zip(self.arrays, arrays, strict=True))
        scalars = [key for group in self.groups for key in group.outputs if key not in held]
        held |= {key: f"_s{k}" for k, key in enumerate(scalars)}
        call = f"_into({', '.join([*self.own, *arrays])})"
        parts = []
        for group in self.groups:
            inner = ", ".join(held[key] for key in group.outputs)
            parts.append(f"_{group.result}({inner})" if group.result else inner if len(group.outputs) == 1 or len(
                self.groups) == 1 else f"({inner})")
        if scalars:
            call = f"{', '.join(held[key] for key in scalars)} = {call}"
        return [call, f"return {', '.join(parts)}"]


class _Compiled(Function):
    """A Function that has been compiled; its class is made by `call_class`."""

    def _look_closer(self, given: tuple[Any, ...], extra: tuple[Any, ...], out: Any, unknown: dict[str, Any]) -> Any:
        """What the compiled function refused: convert the arguments, or say what is wrong with them."""
        return self._checked((*_given(given), *extra), out, {**_named(self, given), **unknown})


def _given(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The leading values that were given by position."""
    kept = 0
    while kept < len(values) and values[kept] is not MISSING:
        kept += 1
    return values[:kept]


def _named(function: Function, values: tuple[Any, ...]) -> dict[str, Any]:
    """Values given by name after a missing one."""
    lead = len(_given(values))
    return {name: value for name, value in zip(function.args[lead:], values[lead:], strict=True)
            if value is not MISSING}
