"""Operations of the user's own: a function of numbers with the partial derivatives that the user gives.

A `Pointwise` is made from a function and its partials. In a traced function, or by name in a formula, a
use of it becomes the nodes of the function under one node `with_partials`, whose value is the function's and whose
partials are the user's; so pickles, saved files and generated text hold all there is to know. On plain arrays the
function itself is called. Functions of whole arrays, with a `vjp`, are in `array_operation`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradc.ir.errors import FormulaError, GradcError, UnsupportedError
from gradc.ir.graph import Graph, Node

from .arguments import bind
from .arrays import Array, ArrayError, Arrays
from .from_python import Program, declared, parameters_of, traced
from .inline import inline
from .shapes import Declaration
from .structures import Tree
from .traced import Traced


class Operation:
    """What `gradc.operation` makes; called as the function that it was made from.

    name      what formulas call it
    args      names of its arguments
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.python = getattr(function, "py_func", function)    # of a function that Numba has compiled
        self.name = self.__name__ = str(self.python.__name__)
        self.__qualname__, self.__module__ = self.python.__qualname__, self.python.__module__
        self.__doc__ = self.python.__doc__ or Operation.__doc__
        parameters = parameters_of(self.python)
        self.args = tuple(parameters)
        self._defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}

    def __repr__(self) -> str:
        return f"<gradc operation {self.name}({', '.join(self.args)})>"

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """The function's value; on traced values nodes with the user's derivative."""
        traces = [value.tracer for value in (*args, *keywords.values()) if isinstance(value, Traced)]
        if not traces:
            return self.function(*args, **keywords)
        trace, given = traces[0], self.args[:len(args)]
        missing = {name: value for name, value in self._defaults.items() if name not in keywords and name not in given}
        values = bind(self.args, args, {**missing, **keywords})
        return trace.run(lambda: self.applied(trace.arrays, [trace.lift(value) for value in values]))

    def applied(self, arrays: Arrays, operands: Sequence[Array]) -> Array:
        """The operation on operands in the graph of a front end."""
        raise NotImplementedError

    def traced(self, function: Callable[..., Any], trees: Mapping[str, Tree], leaves: Mapping[str, Declaration],
               what: str = "") -> Program:
        """A function of the user's, run once on values of these kinds."""
        try:
            return traced(function, trees, leaves)
        except UnsupportedError as error:
            raise UnsupportedError(f"the operation {self.name}{what} cannot be traced: {error}") from None


class OnNumbers(Operation):
    """A function of numbers, which broadcasts as a ufunc; its derivative is that of what it does."""

    advice = "Return one number."

    def applied(self, arrays: Arrays, operands: Sequence[Array]) -> Array:
        """The operation on broadcast operands."""
        nodes, axes = arrays.broadcast(operands)
        given = {}
        for (name, stated), node in zip(self.template.inputs.items(), nodes, strict=True):
            if stated.dtype == "int64" and node.dtype != "int64":
                raise ArrayError(f"the argument {name} of {self.name} is a whole number, and {node.dtype} is given",
                                 'Declare the argument as "int".', UnsupportedError)
            given[name] = arrays.real(node) if stated.dtype.startswith("float") else node
        (found,) = inline(arrays.graph, self.template, given)
        return Array(found, axes)

    @functools.cached_property
    def template(self) -> Graph:
        """The operation on scalars, as a graph with one output."""
        graph = self._traced(self.python, "")
        if len(graph.outputs) != 1 or graph.outputs[0][1].is_array:
            raise UnsupportedError(f"the operation {self.name} gives no single number for numbers\n{self.advice}")
        value = graph.outputs[0][1]
        graph.outputs = [("value", value if value.dtype.startswith("float") else graph.apply("real", value))]
        return graph

    def _traced(self, function: Callable[..., Any], what: str) -> Graph:
        graph = self.traced(function, *declared(function, None), what).graph
        if any(node.shape for node in graph.inputs.values()):
            raise FormulaError(f"the operation {self.name}{what} is declared on arrays\n"
                               "With partials= it is a function of numbers, which broadcasts; for arrays write vjp=.")
        return graph


class Pointwise(OnNumbers):
    """An operation on numbers whose partial derivatives are the user's."""

    advice = "Return one number; for arrays write vjp= in place of partials=."

    def __init__(self, function: Callable[..., Any], partials: Any) -> None:
        super().__init__(function)
        self._partials = _ordered(self.name, self.args, partials)

    @functools.cached_property
    def template(self) -> Graph:
        """The operation on scalars: its value under one node, which has the user's partials."""
        graph = super().template
        operands, partials = [], []
        for name, partial in zip(self.args, self._partials, strict=True):
            x = graph.inputs[name]
            found = None if partial is None else self._partial(graph, name, partial)
            if found is not None and not x.dtype.startswith("float"):
                raise FormulaError(f"the operation {self.name} has a partial derivative by {name}, which is a whole "
                                   "number\nWrite None for it.")
            operands.append(x)
            partials.append(graph.const(0.0) if found is None else found)
        value = graph.outputs[0][1]
        node = graph.apply("with_partials", value, *operands, *partials) if operands else value
        graph.notes[node] = self.name
        graph.outputs = [("value", node)]
        return graph

    def _partial(self, graph: Graph, name: str, partial: Any) -> Node | None:
        """A partial derivative as a node of the template; None if it is 0."""
        what = f" (its partial by {name})"
        if isinstance(partial, (int, float)):
            return graph.const(float(partial)) if partial else None
        declarations = {n: "int" if node.dtype == "int64" else "" for n, node in graph.inputs.items()}
        if isinstance(partial, str):
            from .formula import parse

            try:
                own = parse(partial, declarations)
            except GradcError as error:
                raise FormulaError(f"the operation {self.name}{what}: {error}") from None
        elif callable(partial) and hasattr(partial, "__code__"):
            own = self._traced(partial, what)
        else:
            from .from_sympy import convert

            own = convert(partial, declarations)
        unknown = [n for n in own.inputs if n not in graph.inputs]
        if unknown:
            raise FormulaError(f"the operation {self.name}{what} uses {unknown[0]}, which is no argument\n"
                               f"The arguments are {', '.join(self.args)}.")
        if len(own.outputs) != 1 or own.outputs[0][1].is_array:
            raise FormulaError(f"the operation {self.name}{what} is no single number\nWrite one expression.")
        (found,) = inline(graph, own, {n: graph.inputs[n] for n in own.inputs})
        return found if found.dtype.startswith("float") else graph.apply("real", found)


def _ordered(name: str, args: Sequence[str], partials: Any) -> list[Any]:
    """One partial for each argument, in their order."""
    if isinstance(partials, Mapping):
        for key in partials:
            if str(key) not in args:
                raise FormulaError(f"partials names {key}, which is no argument of {name}\n"
                                   f"The arguments are {', '.join(args)}.")
        found = {str(key): value for key, value in partials.items()}
        missing = [arg for arg in args if arg not in found]
        if missing:
            raise FormulaError(f"partials leaves out {missing[0]}, which is an argument of {name}\n"
                               "Write None for a derivative that is zero by definition.")
        return [found[arg] for arg in args]
    given = [partials] if isinstance(partials, str) or not isinstance(partials, Sequence) else list(partials)
    if len(given) != len(args):
        raise FormulaError(f"{name} has {len(args)} arguments ({', '.join(args)}), and partials has {len(given)}\n"
                           "Give one for each argument, in their order; None for one that is zero by definition.")
    return given
