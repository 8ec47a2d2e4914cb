"""Functions whose arguments or results are nested structures: a shell around the Function of their leaves.

The flat Function has an argument for each leaf (`params["W"]` is `params_W`) and does all the work; `Structured`
takes arguments apart before the call and puts results together after it, gradients in the structure of their
arguments. `source`, `graph`, `jit` and `save` are the flat Function's. A function without structures never comes
here: `compiled` gives the Function itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.codegen.module import safe_fields
from gradc.codegen.results import result_class
from gradc.ir.errors import FormulaError
from gradc.ir.graph import Graph

from .adapters import Adapters
from .arguments import bind
from .compiled import Options
from .derive import TANGENTS
from .from_python import Program
from .function import Function
from .nesting import NOT_PLAIN, Taker, builder, taker
from .structures import NOTHING, Branch, Fixed, Leaf, Tree, collect, fill, leaves, relabelled, unused
from .wrt import checked_wrt, named_in, real_arguments

FLAT = ("source", "graph", "jit", "save", "options", "printed", "prepared")    # as the flat Function has them


def compiled(program: Program, wrt: Any, options: Options, start: float) -> Function | Structured:
    """The Function of a program whose tracing began at `start`, in a shell if arguments or result are structures."""
    graph, arguments, result = program
    by = _wrt(graph, arguments, wrt)
    chosen = [key for name in by for key in leaves(arguments[name]) if key in real_arguments(graph)]
    flat = Function(graph, checked_wrt(graph, chosen), options)
    flat.begun(start)
    plain = isinstance(result, Leaf) or (
        isinstance(result, Branch) and result.kind is tuple and len(result.parts) > 1
        and all(isinstance(part, Leaf) for part in result.parts))
    if plain and all(tree == Leaf(name) for name, tree in arguments.items()):
        return flat
    return Structured(flat, arguments, result, by)


def _wrt(graph: Graph, arguments: Mapping[str, Tree], wrt: Any) -> tuple[str, ...]:
    """The user's arguments to differentiate by: by default all that hold something real."""
    real = set(real_arguments(graph))
    if wrt is None:
        return tuple(name for name, tree in arguments.items() if not real.isdisjoint(leaves(tree)))
    names = named_in(wrt, arguments)
    for name in names:
        tree = arguments.get(name)
        if isinstance(tree, Fixed):
            raise FormulaError(f"wrt names {name}, which is static: only real arguments can be differentiated by")
        if isinstance(tree, Branch) and real.isdisjoint(leaves(tree)):
            raise FormulaError(f"wrt names {name}, which holds nothing real: only real arguments "
                               "can be differentiated by")
    if any(name not in arguments for name in names) or len(set(names)) != len(names) or any(
            isinstance(arguments[name], Leaf) and name not in real for name in names):
        checked_wrt(graph, names, list(arguments))              # it says what is wrong
    return names


class Structured(Adapters):
    """A function of nested tuples, lists, dicts, named tuples or dataclasses of arrays; used as a Function.

    args, wrt   names of the arguments, as the user wrote them
    flat        the Function of the leaves, to which source, graph, jit and save belong

    A leaf of the gradient is None where the argument's leaf is a whole number, a truth value or None.

    >>> import gradc
    >>> f = gradc.compile(lambda p, x: p["a"] * x + p["b"], args={"p": {"a": "", "b": ""}, "x": ""}, jit=False)
    >>> f({"a": 2.0, "b": 1.0}, 3.0), f.flat.args
    (7.0, ('p_a', 'p_b', 'x'))
    >>> f.grad({"a": 2.0, "b": 1.0}, 3.0)
    Gradient(p={'a': 3.0, 'b': 1.0}, x=2.0)
    """

    def __init__(self, flat: Function, arguments: Mapping[str, Tree], result: Tree, wrt: Sequence[str],
                 primal: Structured | None = None, carried: Tree | None = None) -> None:
        self._flat, self._arguments, self._result, self._wrt = flat, dict(arguments), result, tuple(wrt)
        self._primal, self._carried = primal, carried
        self._derived: dict[str, Structured] = {}
        self.__name__ = flat.__name__

    @property
    def args(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return tuple(self._arguments)

    @property
    def wrt(self) -> tuple[str, ...]:
        """Names of the arguments by which derivatives are taken, in order."""
        return self._wrt

    @property
    def arguments(self) -> Mapping[str, Tree]:
        """The structure of each argument."""
        return self._arguments

    @property
    def result(self) -> Tree:
        """The structure of the result; its leaves are numbered as the outputs of the flat Function."""
        return self._result

    @property
    def flat(self) -> Function:
        """The Function with one argument and one result for each leaf."""
        return self._flat

    def __getattr__(self, name: str) -> Any:
        if name not in FLAT:
            raise AttributeError(f"a function of nested structures has no attribute {name}: look at .flat, the "
                                 "function of their leaves")
        return getattr(self._flat, name)

    def __repr__(self) -> str:
        return f"<gradc function {self.__name__}({', '.join(self.args)}) of nested structures>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._primal is not None:
            return getattr, (self._primal, self.__name__)
        return Structured, (self._flat, self._arguments, self._result, self._wrt, None, self._carried)

    # -- calls --------------------------------------------------------------------------------

    def __call__(self, /, *args: Any, out: Any = None, workspace: Any = None, **keywords: Any) -> Any:
        """The value; ArgumentError says which part of a structure does not fit, others are those of a Function."""
        given = None
        if not keywords and len(args) == len(self._arguments):
            try:
                given = self._take(*args)
            except NOT_PLAIN:
                given = None
        return self.of_leaves(self.flattened(args, keywords) if given is None else given, out, workspace)

    def of_leaves(self, given: Sequence[Any], out: Any, workspace: Any = None) -> Any:
        """The value for arguments that were taken apart."""
        if out is not None:
            out = self._arrays(out)
        if workspace is not None:
            return self._build(self._flat(*given, out=out, workspace=workspace))
        return self._build(self._flat(*given, out=out))

    def workspace(self, /, *args: Any, **keywords: Any) -> np.ndarray[Any, Any]:
        """Memory for the buffers of calls with these arguments or smaller ones, given as `workspace=`."""
        return self._flat.workspace(*self.flattened(args, keywords))

    @functools.cached_property
    def _take(self) -> Taker:
        return taker(self._arguments, {})

    @functools.cached_property
    def _build(self) -> Callable[[Any], Any]:
        return builder(self._result, self._flat.groups)

    def flattened(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        """The arguments of a call as the flat Function takes them."""
        if keywords or len(args) != len(self._arguments):
            args = bind(self.args, args, keywords)
        found: list[Any] = []
        for (name, tree), value in zip(self._arguments.items(), args, strict=True):
            collect(tree, value, name, found)
        return found

    def _arrays(self, out: Any) -> tuple[Any, ...]:
        """The arrays of `out`, which has the structure of the result; what stands for a number is left out."""
        found: list[Any] = []
        collect(self._result, out, "out", found)
        return tuple(array for array in found if isinstance(array, np.ndarray))

    def of_outputs(self, found: Sequence[Any]) -> Any:
        """The result from the outputs of the flat Function."""
        return fill(self._result, found.__getitem__)

    def _whole(self, tree: Tree, result: Any) -> Any:
        return fill(tree, _flat_values(result).__getitem__)

    def forward(self, /, *args: Any, **keywords: Any) -> tuple[Any, Any]:
        """The value, and what `backward` needs."""
        found, saved = self._flat.forward(*self.flattened(args, keywords))
        value = self._whole(self._result, found)
        return value if self._carried is None else (value, self._whole(self._carried, found)), saved

    def backward(self, saved: Any, d_value: Any = 1.0) -> Any:
        """The gradients for a cotangent in the structure of the value."""
        found: list[Any] = []
        collect(self._result, d_value, "d_value", found)
        result = self._flat.backward(saved, tuple(found) if len(found) > 1 else found[0])
        return self._whole(self._gradient(), result)

    def explain(self, /, *args: Any, **values: Any) -> Any:
        """The table of every node of the flat Function."""
        return self._flat.explain(*(self.flattened(args, values) if args or values else ()))

    def draw(self, /, *args: Any, direction: str = "LR", **values: Any) -> Any:
        """The circuit diagram of the flat Function."""
        return self._flat.draw(*(self.flattened(args, values) if args or values else ()), direction=direction)

    # -- derivatives --------------------------------------------------------------------------

    def _gradient(self) -> Tree:
        """The structure of the gradient: that of each argument, its leaves numbered as the flat gradient has them."""
        return self._by_argument("Gradient", Leaf)

    def _by_argument(self, result: str, change: Callable[[int], Tree]) -> Tree:
        """The structure of the arguments, each leaf replaced according to its number in `wrt` of the flat Function."""
        order = {name: change(k) for k, name in enumerate(self._flat.wrt)}
        parts = tuple(relabelled(self._arguments[name], lambda key: order.get(key, NOTHING)) for name in self._wrt)
        if len(parts) == 1:
            return parts[0]
        kind = result_class(result, safe_fields(self._wrt), self._wrt, "gradc.compiler.function")
        return Branch(kind, self._wrt, parts)

    @property
    def grad(self) -> Structured:
        """The gradient, each argument's part in its structure."""
        return self._derivative("grad", self._gradient)

    @property
    def value_and_grad(self) -> Structured:
        """(value, gradient) with the forward work shared."""
        return self._derivative("value_and_grad", lambda: Branch(tuple, (0, 1), (
            self._result, relabelled(self._gradient(), lambda key: Leaf(key + 1)))))

    @property
    def jvp(self) -> Structured:
        """The derivative along a direction, each tangent in the structure of its argument."""
        return self._derivative("jvp", lambda: self._result, self._tangents)

    @property
    def hvp(self) -> Structured:
        """The product of the Hessian with a vector in the structure of the arguments."""
        return self._derivative("hvp", self._gradient, self._tangents)

    @property
    def vjp(self) -> Structured:
        """The gradient for a cotangent in the structure of the value."""
        return self._derivative("vjp", self._gradient, self._cotangent)

    @property
    def jacobian(self) -> Structured:
        """All first derivatives: in the structure of the value, for each of its leaves that of the arguments."""
        count = len(self._flat.wrt)
        return self._derivative("jacobian", lambda: relabelled(self._result, lambda key: self._by_argument(
            "Jacobian", lambda k: Leaf(key * count + k))))

    @property
    def hessian(self) -> Structured:
        """All second derivatives: in the structure of the arguments, for each leaf that structure again."""
        count = len(self._flat.wrt)
        return self._derivative("hessian", lambda: self._by_argument("Hessian", lambda i: self._by_argument(
            "Row", lambda k: Leaf(i * count + k))))

    @property
    def value_and_jacobian(self) -> Structured:
        """(value, Jacobian) with the forward work shared."""
        values, blocks = len(self._flat.graph.outputs), self.jacobian._result
        return self._derivative("value_and_jacobian", lambda: Branch(tuple, (0, 1), (
            self._result, relabelled(blocks, lambda key: Leaf(key + values)))))

    @property
    def sparse(self) -> Structured:
        """Of a `jacobian`, `hessian` or `value_and_jacobian`: a SciPy sparse array in place of each block."""
        return self._derivative("sparse", lambda: self._result)

    @property
    def stacked(self) -> Any:
        """Of `sparse`: one matrix, from arguments that are taken apart: see `flat`."""
        return self._derivative("stacked", lambda: Leaf(0))

    def pattern(self, /, *args: Any, **values: Any) -> Any:
        """Of a Jacobian or Hessian: where entries may be other than 0, in the structure of the result."""
        return self._whole(self._result, self._flat.pattern(*self.flattened(args, values)))

    def draw_pattern(self, /, *args: Any, **values: Any) -> Any:
        """The same as a picture."""
        return self._flat.draw_pattern(*self.flattened(args, values))

    @property
    def many(self) -> Structured:
        """Of a product: several directions at once, along a new last dimension of every leaf."""
        return self._derivative("many", lambda: self._result)

    def by_mode(self, mode: str) -> Structured:
        """The Jacobian by "forward" or "reverse" mode alone."""
        chosen = self.jacobian
        return Structured(self._flat.by_mode(mode), self._arguments, chosen._result, self._wrt, primal=self)

    @functools.cached_property
    def summed(self) -> Structured:
        """The sum of all that the function returns."""
        return Structured(self._flat.summed, self._arguments, Leaf(0), self._wrt)

    def along(self, how: tuple[Any, bool, bool]) -> Structured:
        """A derivative and other results beside it: see `along`."""
        from .along import along

        return along(self, how[0], pair=how[1], whole=how[2])

    def carrying(self, carried: Tree) -> Structured:
        """The same function, whose `forward` gives more outputs of the flat one along: (value, more)."""
        return Structured(self._flat, self._arguments, self._result, self._wrt, carried=carried)

    def by(self, wrt: Any) -> Structured:
        """The same function with other arguments to differentiate by."""
        names = _wrt(self._flat.graph, self._arguments, wrt)
        real = real_arguments(self._flat.graph)
        flat = self._flat.by([key for name in names for key in leaves(self._arguments[name]) if key in real])
        return Structured(flat, self._arguments, self._result, names)

    def once(self, step: tuple[str, Any]) -> Structured:
        """What a method gives for an argument, made once."""
        key = str(step)
        if key not in self._derived:
            self._derived[key] = getattr(self, step[0])(step[1])
        return self._derived[key]

    def _tangents(self, flat: Function) -> dict[str, Tree]:
        """The structures of the tangents, their leaves named as the flat product names them."""
        names = {key: Leaf(name) for key, name in zip(self._flat.wrt, flat.args[len(self._flat.args):], strict=True)}
        mark = TANGENTS[flat.__name__]
        return {unused(mark + name, {*self._arguments}): relabelled(
            self._arguments[name], lambda key: names.get(key, NOTHING)) for name in self._wrt}

    def _cotangent(self, flat: Function) -> dict[str, Tree]:
        """That of the cotangent, in which what is whole has no part."""
        outputs = [node.dtype.startswith("float") for _, node in self._flat.graph.outputs]
        added = iter(flat.args[len(self._flat.args):])
        order = {k: Leaf(next(added)) for k, real in enumerate(outputs) if real}
        return {unused("cotangent", {*self._arguments}): relabelled(self._result, lambda key: order.get(key, NOTHING))}

    def _derivative(self, name: str, result: Callable[[], Tree],
                    added: Callable[[Function], Mapping[str, Tree]] | None = None) -> Structured:
        if name not in self._derived:
            flat = getattr(self._flat, name)
            arguments = {**self._arguments, **(added(flat) if added is not None else {})}
            self._derived[name] = Structured(flat, arguments, result(), self._wrt, primal=self)
        return self._derived[name]


def _flat_values(result: Any) -> list[Any]:
    """The leaves of what a flat Function returns: a value, or tuples of them."""
    if not isinstance(result, tuple):
        return [result]
    return [leaf for part in result for leaf in _flat_values(part)]
