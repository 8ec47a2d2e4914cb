"""Functions of the user's own in SymPy's expressions, with their derivatives.

A class of applied functions becomes a rule of the front end: the user's function is traced on numbers for each number
of operands with which it is used, and put in where it stands. A `Derivative` of such a function becomes a class of its
own, whose rule is gradc's derivative of what was traced.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sympy

from gradc.ir.errors import FormulaError, UnsupportedError
from gradc.ir.graph import Graph

from .arrays import Array, Arrays
from .calls import around
from .compiled import Options
from .from_sympy_arrays import KNOWN
from .from_sympy_survey import shown
from .from_sympy_walk import Ask, Rule, Steps, Translator, values_of
from .function import Function
from .operation import OnNumbers

Made = Callable[[int], OnNumbers]                               # the operation, for a number of operands


def with_functions(roots: Sequence[Any], namespace: Mapping[str, Any],
                   use_imps: bool) -> tuple[list[Any], dict[type, Rule]]:
    """Expressions in which the user's functions and their derivatives are classes of their own, and their rules.

    namespace  functions by their names
    use_imps   functions that carry an implementation are these
    """
    made: dict[type, Made] = {}
    others: dict[type, Any] = {}
    for cls in {type(node): None for root in roots for node in nodes_of(root) if isinstance(node, sympy.Function)}:
        own = namespace.get(cls.__name__)
        own = getattr(cls, "_imp_", own) if use_imps else own
        if own is None:
            continue
        if not callable(own):
            raise FormulaError(f"modules gives {cls.__name__} as a value of type {type(own).__name__}, and the "
                               "expression calls it: give a function of numbers")
        if cls in KNOWN:                                        # what SymPy knows of it counts no more
            others[cls] = sympy.Function(cls.__name__)
        made[others.get(cls, cls)] = functools.cache(functools.partial(operation_of, cls.__name__, own))
    found = list(roots)
    for cls, other in others.items():
        found = [_replaced(root, cls, other) for root in found]
    if made and any(isinstance(node, sympy.Derivative) for root in found for node in nodes_of(root)):
        partials = _Partials(made)
        found = [_replaced(root, partials.is_one, partials.applied) for root in found]
    return found, {cls: _rule(make) for cls, make in made.items()}


def nodes_of(root: Any) -> Iterable[Any]:
    """Every node of an expression once, without recursion."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, sympy.MatrixBase):
            stack.extend(node.flat())
        elif isinstance(node, sympy.Basic):
            yield node
            stack.extend(node.args)


def operation_of(name: str, function: Any, arity: int | None = None) -> OnNumbers:
    """A Python function, a ufunc or a compiled one as an operation on numbers."""
    if arity is None:
        arity = getattr(function, "nin", None) or sum(
            p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            for p in inspect.signature(function).parameters.values())
    own = OnNumbers(around(function, [f"x{k}" for k in range(arity)]))
    own.name = name
    return own


def rewritten(root: Any, rewrite: Callable[[Any], Any]) -> Any:
    """An expression as SymPy rewrites it, which goes by recursion; what is not SymPy's as it is."""
    if not isinstance(root, (sympy.Basic, sympy.MatrixBase)):
        return root
    try:
        return rewrite(root)
    except RecursionError:
        raise UnsupportedError(f"{shown(root)} is nested too deeply for SymPy to put other symbols and functions in: "
                               "write it with plain symbols, and functions that gradc knows") from None


def _replaced(root: Any, what: Any, other: Any) -> Any:
    return rewritten(root, lambda expr: expr.replace(what, other))


def _rule(make: Made) -> Rule:
    def rule(t: Translator, ask: Ask) -> Steps:
        values = yield from values_of(ask.expr.args, ask.scope)
        operands = [Array(t.graph.node(t.real(value))) for value in values]
        return make(len(operands)).applied(Arrays(t.graph), operands).node

    return rule


class _Partials:
    """Derivatives of the user's functions by their operands, as classes of applied functions."""

    def __init__(self, made: dict[type, Made]) -> None:
        self._made = made
        self._classes: dict[tuple[type, tuple[int, ...]], Any] = {}

    def is_one(self, node: Any) -> bool:
        """Whether a node is such a derivative."""
        return isinstance(node, sympy.Derivative) and type(node.expr) in self._made

    def applied(self, node: Any) -> Any:
        """The derivative as a function of the same operands; by what stands inside them, by SymPy's chain rule."""
        places = _places(node)
        if places is None:
            expanded = node.doit()
            return node if expanded == node else expanded.replace(self.is_one, self.applied)
        key = type(node.expr), places
        if key not in self._classes:
            name = f"{type(node.expr).__name__}_by_{'_'.join(map(str, places))}"
            self._classes[key] = sympy.Function(name)
            self._made[self._classes[key]] = functools.cache(
                functools.partial(_Partial, name, self._made[type(node.expr)], places))
        return self._classes[key](*node.expr.args)


def _places(node: Any) -> tuple[int, ...] | None:
    """The operands by which a function is differentiated, each as often as it is; None if others depend on these."""
    found: list[int] = []
    for variable, count in node.variable_count:
        at = [k for k, arg in enumerate(node.expr.args) if arg == variable]
        if len(at) != 1 or not count.is_Integer or sum(arg.has(variable) for arg in node.expr.args) != 1:
            return None
        found += at * int(count)
    return tuple(sorted(found))


class _Partial(OnNumbers):
    """A derivative of an operation by some of its operands."""

    def __init__(self, name: str, make: Made, places: Sequence[int], arity: int) -> None:
        self._of, self._places = make(arity), places
        super().__init__(self._of.function)
        self.name = name

    @functools.cached_property
    def template(self) -> Graph:
        """The derivative on scalars, as a graph with one output."""
        template = self._of.template
        function = Function(template, tuple(template.inputs), Options(jit=False))
        for place in self._places:
            function = function.by(self.args[place]).grad
        return function.prepared
