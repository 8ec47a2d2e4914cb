"""Derivatives that give more along: the value beside a tangent, and results that are not differentiated.

`along` takes a function in its shell and a derivative of it, and gives the Function of both: the derivative of what is
to be differentiated, and beside it the other results, with all work that they share done once. `has_aux=True` and
`gradc.jvp` are made of it. How a derivative is taken is left to `Function` and `derive`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from gradc.codegen.module import Group, safe_fields
from gradc.codegen.results import result_class
from gradc.ir.errors import ArgumentError
from gradc.ir.graph import Graph, copy_graph

from . import derive
from .function import Function
from .structured import Structured
from .structures import Branch, Leaf, Tree, leaves, relabelled

Step = str | tuple[str, str]                                    # a property, or ("mode", mode) for a Jacobian


class Beside(Function):
    """A function whose derivatives, and whose `forward`, give the results of another function along."""

    def __init__(self, plain: Function, other: Function) -> None:
        super().__init__(plain.graph, plain.wrt, plain.options, groups=plain.groups, prepared=plain.unshared)
        self._plain, self._other = plain, other

    @property
    def _gradient(self) -> Function:
        """The gradient alone, from which second derivatives are taken."""
        return self._plain.plain.grad

    def _made(self, name: str, graph: Graph, groups: Sequence[Group], owner: Function, start: float) -> Function:
        return super()._made(name, graph, (*groups, *self._put_into(graph)), owner, start)

    @functools.cached_property
    def _gate(self) -> tuple[derive.Gate, Function, Function]:
        gate, forward, backward = super()._gate
        shown, *saved = forward.groups
        groups = (Group((shown, *self._put_into(gate.forward))), *saved)
        forward = Function(gate.forward, self._wrt, self._options, name="forward", prepared=gate.forward, groups=groups)
        return gate, forward, backward

    def _put_into(self, graph: Graph) -> tuple[Group, ...]:
        names = derive.beside(graph, self._other.unshared)
        return tuple(group.changed(names.__getitem__) for group in self._other.groups)

    def __reduce__(self) -> tuple[Any, ...]:
        return Beside, (self._plain, self._other)


def in_shell(function: Function) -> Structured:
    """A Function as one whose result is a structure."""
    place = {key: k for k, key in enumerate(key for group in function.groups for key in group.keys)}

    def tree(group: Group) -> Tree:
        parts = tuple(tree(part) if isinstance(part, Group) else Leaf(place[part]) for part in group.outputs)
        if group.result:
            kind = result_class(group.result, safe_fields(group.fields), group.fields, "gradc.compiler.function")
            return Branch(kind, group.fields, parts)
        return parts[0] if len(parts) == 1 else Branch(tuple, tuple(range(len(parts))), parts)

    found = tuple(map(tree, function.groups))
    result = found[0] if len(found) == 1 else Branch(tuple, tuple(range(len(found))), found)
    return Structured(function, {name: Leaf(name) for name in function.args}, result, function.wrt)


def along(shell: Structured, step: Step, *, pair: bool, whole: bool) -> Structured:
    """(derivative, what comes along); of `value_and_grad` ((value, what comes along), gradient).

    step   the derivative; "" for none: then `forward` gives what comes along too
    pair   the function returns (value, more), and only the value is differentiated
    whole  all that it returns comes along, else what is not differentiated
    """
    value, more = _parts(shell) if pair else (shell.result, None)
    count = len(list(leaves(value)))
    others = shell.result if whole else more
    assert others is not None
    first = 0 if whole else count
    keys = [key for key, _ in shell.flat.graph.outputs]
    plain = _restricted(shell.flat, keys[:count])
    flat = Beside(plain, _restricted(shell.flat, keys[first:])) if keys[first:] else plain
    inner = Structured(flat, shell.arguments, value, shell.wrt)
    if not step:
        return inner.carrying(relabelled(others, lambda key: Leaf(key - first + count)))
    found = inner.by_mode(step[1]) if isinstance(step, tuple) else getattr(inner, step)
    start = sum(len(group.keys) for group in found.flat.groups) - len(keys[first:])
    others = relabelled(others, lambda key: Leaf(key - first + start))
    result = _two(found.result, others)
    if step == "value_and_grad":
        assert isinstance(found.result, Branch)
        result = _two(_two(found.result.parts[0], others), found.result.parts[1])
    return Structured(found.flat, found.arguments, result, shell.wrt)


def _two(one: Tree, other: Tree) -> Tree:
    return Branch(tuple, (0, 1), (one, other))


def _parts(shell: Structured) -> tuple[Tree, Tree]:
    result = shell.result
    if not isinstance(result, Branch) or result.kind not in (tuple, list) or len(result.parts) != 2:
        raise ArgumentError("has_aux=True takes a function that returns (value, more), and this one returns something "
                            "else: leave has_aux out, or return two things")
    return result.parts[0], result.parts[1]


def _restricted(function: Function, keys: Sequence[str]) -> Function:
    """The function with some of its outputs."""
    graphs = []
    for graph in (function.graph, function.unshared):
        new = copy_graph(graph)
        new.outputs = [(key, node) for key, node in new.outputs if key in keys]
        graphs.append(new)
    return Function(graphs[0], function.wrt, function.options, prepared=graphs[1])
