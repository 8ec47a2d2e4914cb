"""`gradc.root` and `gradc.fixed_point`: unknowns that equations determine, as values to compute with.

In a traced function the residual runs once on an unknown. The part of the graph that depends on the unknown becomes a
graph of its own, and what it uses of the rest its parameters, so that they are computed once and not at every step; a
`call` node stands for the solution. Where each element of the residual depends on its own element of the unknown
alone, as the index structure says, there is one small system for each element in place of a large one. How a system
is solved is for `ir.implicit` to say and `codegen.implicit` to print; its derivatives are `implicit_rules`'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gradc.ir.cast import cast
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import FormulaError, ShapeError
from gradc.ir.graph import ARRAYS, Graph, Node, sorted_axes
from gradc.ir.implicit import RESIDUAL, defined
from gradc.ir.implicit import definition as text_of

from .arrays import ONE, Array, Arrays, fresh
from .implicit_rules import definition
from .linear_algebra import LinearAlgebra
from .numpy_table import FUNCTIONS
from .traced import Trace, Traced


class Options(NamedTuple):
    """How equations are solved, and what they are called in messages."""

    tolerance: float
    iterations: int
    name: str


def root(residual: Callable[..., Any], guess: Any, *args: Any, tolerance: float | None = None,
         iterations: int = 100) -> Any:
    """The x near a guess for which `residual(x, *args)` is 0, differentiated as what it is: a function of the rest.

    residual    a function of the unknown, a number or an array, to as many numbers: traced, so it may use what it
                encloses. If each depends on its own element of x alone, there is one equation for each element, solved
                for itself; otherwise one system with a dense Jacobian
    guess       where the search begins; of the shape of x. It has no derivative
    tolerance   of the last step, relative to the largest unknown so far; by default the 2/3 power of the dtype's
                epsilon, with which the next step would change nothing
    iterations  the most steps of Newton's method, each halved until it reduces the largest residual

    The derivatives are those of the implicit function theorem, by one linear solve with the Jacobian at the solution,
    in forward and reverse mode and of any order. It is meant for compiled functions, also inside other residuals;
    outside of one it is run as plain Python. DomainError where no solution is found, where the Jacobian is singular on
    the way, and for the derivatives where it is singular at the solution.

    >>> import gradc
    >>> import numpy as np
    >>> def anomaly(M, e):                           # of Kepler's equation
    ...     return gradc.root(lambda E: E - e * np.sin(E) - M, M)
    >>> f = gradc.compile(anomaly, {"M": "", "e": ""}, jit=False)
    >>> round(f(1.0, 0.5), 9), f.grad(0.0, 0.5)
    (1.498701134, Gradient(M=2.0, e=0.0))
    """
    trace = _trace_of(guess, args)
    if trace is None:
        return _alone(root, residual, guess, args, tolerance, iterations)
    return _root(trace, residual, guess, *args, tolerance=tolerance, iterations=iterations)


def fixed_point(function: Callable[..., Any], guess: Any, *args: Any, tolerance: float | None = None,
                iterations: int = 100) -> Any:
    """The x near a guess with `function(x, *args) == x`: `root` of the difference, so it need not contract.

    Arguments and errors are those of `root`.

    >>> import gradc
    >>> import numpy as np
    >>> f = gradc.compile(lambda a: gradc.fixed_point(lambda x: (x + a / x) / 2, 1.0), {"a": ""}, jit=False)
    >>> f(4.0), f.grad(4.0)
    (2.0, 0.25)
    """
    trace = _trace_of(guess, args)
    if trace is None:
        return _alone(fixed_point, function, guess, args, tolerance, iterations)
    return _fixed_point(trace, function, guess, *args, tolerance=tolerance, iterations=iterations)


def _root(t: Trace, residual: Callable[..., Any], guess: Any, *args: Any, tolerance: float | None = None,
          iterations: int = 100) -> Traced:
    return _solution(t, residual, guess, args, _options(residual, tolerance, iterations, "root"))


def _fixed_point(t: Trace, function: Callable[..., Any], guess: Any, *args: Any, tolerance: float | None = None,
                 iterations: int = 100) -> Traced:
    def residual(x: Any, *more: Any) -> Any:
        return x - t.value(t.lift(function(x, *more)))

    return _solution(t, residual, guess, args, _options(function, tolerance, iterations, "fixed_point"))


root.__gradc_traced__ = _root                       # type: ignore[attr-defined]  # what a traced function calls instead
fixed_point.__gradc_traced__ = _fixed_point         # type: ignore[attr-defined]


def _options(function: Any, tolerance: Any, iterations: Any, name: str) -> Options:
    _check_callable(function, name)
    if tolerance is not None and not (isinstance(tolerance, (int, float)) and 0 < tolerance < 1):
        raise FormulaError(f"the tolerance of gradc.{name} is {tolerance!r}: give a number between 0 and 1, or leave "
                           "it out")
    if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 1:
        raise FormulaError(f"the iterations of gradc.{name} are {iterations!r}: give a whole number from 1")
    return Options(float(tolerance or 0.0), iterations, name)


def _check_callable(function: Any, name: str) -> None:
    if not callable(function):
        raise FormulaError(f"gradc.{name} was given {function!r:.60}: give a function of the unknown first, then the "
                           "guess")


def _trace_of(guess: Any, args: Sequence[Any]) -> Trace | None:
    from .numpy_functions import trace_of

    return trace_of((guess, *args))


def _alone(solve: Callable[..., Any], function: Callable[..., Any], guess: Any, args: Sequence[Any],
           tolerance: float | None, iterations: int) -> Any:
    """The solution outside of a traced function: a compiled one of the guess and the arguments, run as plain Python."""
    from .api import compile as compiled

    _check_callable(function, solve.__name__)
    names = [f"a{k}" for k in range(len(args))]
    scope = {"solve": solve, "function": function, "options": {"tolerance": tolerance, "iterations": iterations}}
    listed = "".join(f", {name}" for name in names)
    exec(f"def around(guess{listed}):\n    return solve(function, guess{listed}, **options)\n", scope)  # noqa: S102
    around: Any = scope["around"]
    around.__module__ = getattr(function, "__module__", __name__)
    return compiled(around, jit=False)(guess, *args)


# -- in a trace -------------------------------------------------------------------------------------


def _solution(t: Trace, residual: Callable[..., Any], guess: Any, args: Sequence[Any], options: Options) -> Traced:
    start = t.lift(guess)
    start = start._replace(node=t.arrays.real(start.node))
    given = start.dtype
    dtype = given if start.axes or start.node.op != "const" else "float64"
    rank = len(start.axes)
    x, found = _run(t, residual, start, dtype, args, options)
    if found.dtype != dtype:                                    # the parameters are of higher precision
        dtype = "float64"
        x, found = _run(t, residual, start, dtype, args, options)
    dependent = _dependent(t.graph, found.node, x)
    if x not in dependent:
        raise t.refused(f"the residual of gradc.{options.name} does not depend on its unknown",
                        "Write equations of the first argument of the residual.")
    own = [k for k in range(rank) if _is_apart(dependent, x, found.axes[k], k)]
    coupled = [k for k in range(rank) if k not in own]
    if len(coupled) > 1:                                        # one vector of all unknowns
        shape = t.value(start).shape
        flat = FUNCTIONS["ravel"](t, t.value(start))

        def flattened(z: Any, *more: Any) -> Any:
            return FUNCTIONS["ravel"](t, residual(FUNCTIONS["reshape"](t, z, shape), *more))

        return FUNCTIONS["reshape"](t, _solution(t, flattened, flat, args, options), shape)  # type: ignore[no-any-return]
    template = _Template(t, found, x, dependent, own, coupled)
    name = defined(text_of(definition(template.graph, options.tolerance, options.iterations)))
    order = [*own, *coupled]
    algebra = LinearAlgebra(t.arrays)
    start = Array(cast(start.node, dtype), tuple(start.axes[k] for k in order))
    operands = [start if coupled else algebra.column(start), *template.operands]
    solved = algebra.call(name, *operands)[0]
    if not coupled:
        solved = Array(t.graph.substitute(solved.node, {solved.axes[-1]: t.graph.const(0)}), solved.axes[:-1])
    return t.value(solved._replace(axes=tuple(solved.axes[order.index(k)] for k in range(rank))))


def _run(t: Trace, residual: Callable[..., Any], start: Array, dtype: str, args: Sequence[Any],
         options: Options) -> tuple[Node, Array]:
    """A new unknown of the shape of the guess, and the residual over axes of its dimensions."""
    graph, label = t.graph, f"unknown {t.unknowns}"
    t.unknowns += 1
    x = graph.input(label, dtype, start.shape)
    del graph.inputs[label]                                     # it is bound here, and no argument
    found = t.lift(residual(t.value(t.whole(x)), *args))
    shape = f"({', '.join(map(str, start.shape))})"
    if len(found.axes) != len(start.axes):
        raise t.refused(f"the residual of gradc.{options.name} has shape ({', '.join(map(str, found.shape))}), and its "
                        f"unknown {shape}", "Give as many equations as unknowns, and a guess of the shape of x.",
                        ShapeError)

    def alike() -> Array:
        for own, other in zip(start.shape, found.shape, strict=True):
            t.arrays.equal(own, other)
        return t.arrays.over(found, t.arrays.order(start.shape))

    found = t.run(alike).array
    return x, found._replace(node=t.arrays.real(found.node))


def _dependent(graph: Graph, node: Node, x: Node) -> set[Node]:
    """The nodes under a node that depend on x."""
    found: set[Node] = set()
    for one in graph.reachable([node]):
        if one is x or not found.isdisjoint(one.args):
            found.add(one)
    return found


def _is_apart(dependent: set[Node], x: Node, axis: Axis, position: int) -> bool:
    """Whether each place along a dimension has equations of its own: x is read there at that place and no other."""
    for node in dependent:
        if node is x:
            continue
        if node.op in ARRAYS or (node.is_reduction and node.attr == axis) or (
                node.op == "scan" and node.attr.axis == axis):
            return False
        if node.op == "read":
            index = node.args[1 + position]
            if index.op != "axis" or index.attr != axis:
                return False
    return True


class _Template:
    """The graph of the equations at one place, and the arrays that are its parameters there.

    The places are those along the unknown's dimensions `own`; a dimension in `coupled` is that of the vector.
    """

    def __init__(self, t: Trace, found: Array, x: Node, dependent: set[Node], own: Sequence[int],
                 coupled: Sequence[int]) -> None:
        self.trace, self.x, self.coupled = t, x, coupled
        self.places = [found.axes[k] for k in own]
        self.graph = Graph(source="the equations of gradc.root")
        inside = self._inside(found.node, dependent)
        self.taken = {name for node in t.graph.reachable([found.node]) for name in self._names(node)} | {"x"}
        self.unknown = self.graph.input("x", x.dtype, [found.axes[k].dim for k in coupled])
        self.operands: list[Array] = []
        self.made: dict[Node, Node] = {x: self.unknown}
        for node in sorted(inside, key=lambda n: n.id):
            if node not in self.made:
                self.made[node] = self._image(node)
        value, axes = cast(self.made[found.node], x.dtype), [found.axes[k] for k in coupled]
        stored = LinearAlgebra(Arrays(self.graph)).stored(Array(value, tuple(axes))) if coupled else value
        self.graph.outputs = [(RESIDUAL, stored)]
        self._bind_sizes()

    def _inside(self, node: Node, dependent: set[Node]) -> set[Node]:
        """The nodes that the template computes itself: what depends on x, indices, sizes and conditions."""
        found, waiting = set(), [node]
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            found.add(one)
            waiting += [arg for arg in one.args if arg in dependent or self._is_small(arg)]
        return found

    def _is_small(self, node: Node) -> bool:
        free = node.axes.isdisjoint(self.places)
        return (node.op in ("const", "dim", "axis") and free) or (
            node.dtype == "bool" and node.op != "input" and node.op != "read" and not node.is_array)

    def _names(self, node: Node) -> set[str]:
        dims = [axis.dim for axis in node.axes] + list(node.shape)
        dims += [node.attr] if node.op == "dim" else [node.attr.dim] if node.is_reduction else []
        return {name for dim in dims for name in dim.names()}

    def _image(self, node: Node) -> Node:
        if node.op == "read" and node.args[0] is self.x:
            index = [self._operand(node.args[1 + k]) for k in self.coupled]
            guards = [self._operand(guard) for guard in node.args[1 + node.attr:]]
            if self.coupled:
                return self.graph.read(self.unknown, index, guards)
            return self.graph.ops.select(self.graph.all_of(guards), self.unknown, 0.0) if guards else self.unknown
        image = self.graph.rebuild(node, [self._operand(arg) for arg in node.args])
        for label in self.trace.graph.names.get(node, ()):
            self.graph.name(image, label)
        return image

    def _operand(self, node: Node) -> Node:
        if node not in self.made:
            self.made[node] = self._parameter(node)
        return self.made[node]

    def _parameter(self, node: Node) -> Node:
        """The image of a node that does not depend on x: an input, whose operand has the places in front."""
        algebra = LinearAlgebra(self.trace.arrays)
        rest = sorted_axes(node.axes.difference(self.places))
        if node.is_array:
            operand = algebra.whole(node)
            image = self.graph.input(self._name(node), node.dtype, node.shape)
        else:
            first = [axis for axis in self.places if axis in node.axes][:1]
            axes: list[Axis] = []
            for axis in self.places[self.places.index(first[0]):] if first else ():
                axes.append(axis if axis in node.axes else fresh(ONE, [*axes, *rest]))
            operand = Array(node, (*axes, *rest))
            array = self.graph.input(self._name(node), node.dtype, [axis.dim for axis in rest])
            image = self.graph.read(array, [self.graph.axis(axis) for axis in rest]) if rest else array
            operand = operand if rest else algebra.column(operand)
        self.operands.append(operand)
        return image

    def _name(self, node: Node) -> str:
        """The user's name for a parameter, changed where something else has it."""
        graph, source = self.trace.graph, node.args[0] if node.op == "read" else node
        base = graph.names[node][0] if node in graph.names else source.attr.name if source.op == "input" else "p"
        name = base = "p" if base.startswith("unknown ") else base
        number = 0
        while name in self.taken or name in self.graph.inputs:
            name, number = f"{base}_{number}", number + 1
        return name

    def _bind_sizes(self) -> None:
        """An input for every size that no array has as a dimension of its own."""
        known = {dim.name for node in self.graph.inputs.values() for dim in node.shape}
        algebra = LinearAlgebra(self.trace.arrays)
        wanted = {name for node in self.graph.nodes for name in self._names(node)}
        for name in sorted(wanted - known):
            self.graph.input(name, "int64")
            self.operands.append(algebra.column(Array(self.trace.graph.dim(Dim.of(name)))))
