"""The call of a compiled Function: a class for each signature, so that a call costs less than Numba's own.

The class's `__call__` is a plain function with the arguments as its own positional parameters; those given by name
are looked up. It hands them to the compiled code, which checks the arrays itself, and looks closer only when that
refuses them; a missing argument is a default that no compiled function accepts. Result arrays are allocated here:
NumPy does it in a third of the time that Numba takes to hand an array out. The text is made from checked
identifiers only. A call with a workspace is a second such function, made when one is first given: the others do
not pay for it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.codegen.expression import dimension
from gradc.codegen.module import Group, tuple_text
from gradc.codegen.names import Names
from gradc.ir.errors import GradcError

from .arguments import MISSING, bind, check_dimensions, check_workspace, is_traced, normalised, scalar
from .function import Function
from .per_element import FEWER, are_fewer

REFUSALS = (TypeError, ValueError, IndexError, FloatingPointError, AttributeError, OverflowError)
SCOPE: dict[str, Any] = {"_direct": None, "_borrow": None, "_names": (), "_missing": MISSING, "_refusals": REFUSALS,
                         "_empty": np.empty, "_scalar": scalar, "_tuple": tuple.__new__,    # what the text calls;
                         **{f"_{name}": np.dtype(name) for name in ("float32", "int64", "bool")}}   # names are slower
EXACT = {"float64": "float", "float32": "float", "int64": "int", "bool": "bool"}    # what compiled code takes as it is


def call_class(function: Function, direct: Callable[..., Any], classes: Mapping[str, type]) -> type[Function]:
    """A subclass of Function whose call goes straight to the compiled code `direct`.

    `classes` are the named tuples of the result, by name.
    """
    scope = {**SCOPE, "_direct": direct, "_names": function.args, **{f"_{name}": c for name, c in classes.items()}}
    scope["_borrow"] = functools.partial(_borrowing_first, scope)
    body = {"__call__": _call(function, scope), "__module__": Function.__module__, "__doc__": Function.__doc__}
    return type("Function", (_Compiled,), body)


def choosing_class(function: Function) -> type[Function]:
    """A subclass of Function whose call goes to the compiled code with values in rows, or to `plain`, by the sizes.

    Of the two only what calls need is compiled. A call with a workspace, whose length is that for rows, has rows.
    """
    names = Names()
    names.taken |= {"self", "out", "extra", "unknown", "_few", "_rows", "_plain", "_pays", "_missing", "_refusals"}
    own = [names.fresh(name) for name in function.args]
    origin: dict[str, str] = {}
    for node, name in zip(function.graph.inputs.values(), own, strict=True):
        if not node.shape and node.dtype == "int64":
            origin[node.attr.name] = name
        for k, dim in enumerate(node.shape):
            if dim.name is not None:
                origin.setdefault(dim.name, f"{name}.shape[{k}]")
    elements, places = (" + ".join(f"({dimension(dim, origin)[0]})" for dim in dims) for dims in zip(
        *function.rows, strict=True))
    parameters, given = "".join(f"{name}=_missing, " for name in own), ", ".join(own)
    text = f"""\
def __call__(self, {parameters}/, *extra, out=None, **unknown):
    try:
        _few = {FEWER} * ({elements}) <= {places}
    except _refusals:
        _few = _pays(self, ({given},), extra, unknown)
    if _few or "workspace" in unknown:
        return _rows(self, {given}, *extra, out=out, **unknown)
    return _plain(self, {given}, *extra, out=out, **unknown)
"""
    scope: dict[str, Any] = {"_missing": MISSING, "_refusals": REFUSALS, "_pays": _pays, "_plain": _to_plain}
    scope["_rows"] = functools.partial(_rows_first, scope)
    exec(compile(text, "<gradc call>", "exec"), scope)  # noqa: S102  (fixed text around checked identifiers)
    body = {"__call__": scope["__call__"], "__module__": Function.__module__, "__doc__": Function.__doc__}
    return type("Function", (_Compiled,), body)


def _pays(function: _Compiled, given: tuple[Any, ...], extra: tuple[Any, ...], unknown: Mapping[str, Any]) -> bool:
    """Whether rows pay for arguments that are no arrays yet; what is wrong with them is said later."""
    try:
        named = {name: value for name, value in unknown.items() if name != "workspace"}
        values = normalised(function.graph, bind(function.args, _leading(given, extra), named))
        return are_fewer(function.rows, check_dimensions(function.graph, values))
    except GradcError:
        return True


def _leading(given: tuple[Any, ...], extra: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments by position."""
    kept = len(given)
    while kept and given[kept - 1] is MISSING:
        kept -= 1
    return (*given[:kept], *extra)


def _to_plain(function: _Compiled, *given: Any, **keywords: Any) -> Any:
    return function.plain(*_leading(given, ()), **keywords)


def _rows_first(scope: dict[str, Any], function: _Compiled, *given: Any, **keywords: Any) -> Any:
    """The first call that needs the code with values in rows, which makes the way of the later ones."""
    way: Callable[..., Any] = _slowly
    if not isinstance(function._direct, functools.partial):
        way = call_class(function, function._direct, function._classes).__call__
    scope["_rows"] = way
    return way(function, *given, **keywords)


def _slowly(function: _Compiled, *given: Any, out: Any = None, workspace: Any = None, **keywords: Any) -> Any:
    return function._checked(_leading(given, ()), out, keywords, workspace)


def _call(function: Function, scope: dict[str, Any], *, lent: bool = False) -> Callable[..., Any]:
    """The function of a call; `lent`: compiled code and call take a workspace."""
    names = Names()
    names.taken |= {"self", "extra", "unknown", "_given", "_left", *scope}
    names.taken |= {f"_{kind}{k}" for k in range(len(function.graph.outputs)) for kind in "as"}
    own = [names.fresh(name) for name in function.args]
    slash = "/, " if own else ""                                # by name they come in `unknown`, to be checked
    parameters = "".join(f"{name}=_missing, " for name in own)
    given = f"({', '.join(own)}{',' if own else ''})"
    ways = _Ways(function, own, ("workspace",) if lent else ())
    keyword = ", workspace" if lent else ""
    passed = "".join(f", {name}" for name in own)
    without = f"""\
    if workspace is None:
        return self({', '.join([*own, 'out=out'])}, **unknown)
""" if lent else ""
    borrowing = "" if lent else f"""\
        if "workspace" in unknown:
            return _borrow(self{passed}, out=out, **unknown)
"""
    text = f"""\
def __call__(self, {parameters}{slash}*extra, out=None{keyword}, **unknown):
    if extra:
        return self._look_closer({given}, extra, out, unknown{keyword})
{without}    if unknown:
{borrowing}        _given, _left = {given}, len(unknown)
{ways.named}        if _left:
            return self._look_closer(_given, extra, out, unknown{keyword})
        unknown = {{}}
{ways.scalars}    if out is None:
        try:
{ways.allocating}
        except _refusals:
            pass
{ways.with_out}    return self._look_closer({given}, extra, out, unknown{keyword})
"""
    exec(compile(text, "<gradc call>", "exec"), scope)  # noqa: S102  (fixed text around checked identifiers)
    made: Callable[..., Any] = scope["__call__"]
    return made


def _borrowing_first(scope: dict[str, Any], function: _Compiled, *given: Any, **keywords: Any) -> Any:
    """The first call with a workspace, which makes the way of the later ones."""
    way: Callable[..., Any] = _leaving_alone
    if function._room is not None:
        way = _call(function, {**scope, "_direct": function._lent}, lent=True)
    scope["_borrow"] = way
    return way(function, *given, **keywords)


def _leaving_alone(function: _Compiled, /, *given: Any, workspace: Any, **keywords: Any) -> Any:
    """The call of a function without buffers."""
    if workspace is not None:
        check_workspace(workspace, 0, (*given, *keywords.values()), function.__name__)
    return function(*given, **keywords)


class _Ways:
    """The statements of a call: scalars of other types, and the ways with arrays allocated here and with `out`.

    `more` are the arguments of the compiled code that follow the arrays.
    """

    def __init__(self, function: Function, own: list[str], more: Sequence[str]) -> None:
        self.own, self.more, self.groups, printed = own, more, function.groups, function.printed
        self.flat = printed.flat
        self.arrays = [key for key, _ in printed.arrays]
        inner = {identifier: name for (_, identifier), name in zip(printed.arguments, own, strict=True)}
        inputs = dict(zip(own, function.graph.inputs.values(), strict=True))
        lines = []
        for k, ((_, node), shape) in enumerate(zip(printed.arrays, printed.shapes, strict=True)):
            size = f"({', '.join(_renamed(text, inner) for text in shape)},)" if shape else "()"
            whole = [name for name, other in inputs.items() if other.shape == node.shape]
            dtype = "" if node.dtype == "float64" else f", _{node.dtype}"
            lines.append(f"_a{k} = _empty({f'{whole[0]}.shape' if whole and shape else size}{dtype})")
        lines += self._call([f"_a{k}" for k in range(len(self.arrays))])
        self.allocating = _indented(lines)
        # Compiled code would take whatever Python can make a number of, a text too.
        scalars = {name: EXACT[node.dtype] for name, node in inputs.items() if not node.shape}
        self.named = "".join(f"""\
        if _names[{k}] in unknown and {name} is _missing:
            {name}, _left = unknown[_names[{k}]], _left - 1
""" for k, name in enumerate(own))
        self.scalars = ""
        if scalars:
            tests = " or ".join(f"type({name}) is not {exact}" for name, exact in scalars.items())
            converted = _indented([f"{name} = _scalar({name}, {exact})" for name, exact in scalars.items()])
            self.scalars = f"""\
    if {tests}:
        try:
{converted}
        except _refusals:
            return self._look_closer(({', '.join(own)},), extra, out, unknown{''.join(f', {name}' for name in more)})
"""
        self.with_out = ""
        if self.arrays:
            given = ["out"] if len(self.arrays) == 1 else [f"_a{k}" for k in range(len(self.arrays))]
            wanted = "out is not None" if len(given) == 1 else "type(out) is tuple or type(out) is list"
            taken = [] if len(given) == 1 else [f"{', '.join(given)} = out"]
            self.with_out = f"""\
    elif {wanted}:
        try:
{_indented(taken + self._call(given))}
        except _refusals:
            pass
"""

    def _call(self, arrays: list[str]) -> list[str]:
        """Call the direct function, and put its results and the arrays together."""
        held = dict(zip(self.arrays, arrays, strict=True))
        alone = len(self.flat) == 1
        held |= {key: f"_s{k}" for k, key in enumerate(self.flat)}
        call = f"_direct({', '.join([*self.own, *arrays, *self.more])})"
        result = ", ".join(group.made(held.__getitem__, _tuple_text) for group in self.groups)
        flat = len(self.groups) == 1 and all(isinstance(part, str) for part in self.groups[0].outputs)
        if not arrays and flat:                                 # the tuple, or the scalar, as it comes
            name = self.groups[0].result
            return [f"return _tuple(_{name}, {call})" if name else f"return {call}"]
        targets = ", ".join(held[key] for key in self.flat) + ("," if not alone and self.flat else "")
        return [f"{targets.rstrip(',') if alone else targets} = {call}" if self.flat else call, f"return {result}"]


def _indented(lines: list[str]) -> str:
    return "\n".join(" " * 12 + line for line in lines)


def _tuple_text(group: Group, parts: Sequence[str]) -> str:
    if group.result:
        return f"_tuple(_{group.result}, ({', '.join(parts)}))"
    return tuple_text(group, parts)


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """A dimension's text with the module's identifiers replaced by the call's parameters."""
    return re.sub(r"[A-Za-z_]\w*", lambda match: names.get(match[0], match[0]), text)


class _Compiled(Function):
    """A Function that has been compiled; its class is made by `call_class`."""

    def _look_closer(self, given: tuple[Any, ...], extra: tuple[Any, ...], out: Any, unknown: dict[str, Any],
                     workspace: Any = None) -> Any:
        """What the compiled code refused: convert and call again, or say what is wrong."""
        workspace = unknown.pop("workspace", workspace)
        given = _leading(given, extra)
        if unknown:                                             # of other names, or given twice
            given = tuple(bind(self.args, given, unknown))
        if len(given) == len(self.args) and not any(value is MISSING or is_traced(value) for value in given):
            values = normalised(self.graph, given)
            if any(value is not old for value, old in zip(values, given, strict=True)):
                return self(*values, out=out, **({} if workspace is None else {"workspace": workspace}))
        return self._checked(given, out, {}, workspace)
