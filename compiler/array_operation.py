"""Operations on whole arrays whose derivative is the user's `vjp`: what the function passes back for a cotangent.

The function is traced where it is used, on arrays of the operands' shapes; the rule is traced too, on the operands
and a cotangent, and is kept as the text of its graph in a `ruled` node over the function's value. So the rule needs
no Python later, can be differentiated in its turn, and travels in pickles. A `jvp` is traced and kept in the same way,
for forward mode; without one the tangent is the transpose of the vjp. `check` holds both against differences of the
function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.cast import cast
from gradc.ir.dims import Dim
from gradc.ir.errors import DerivativeError, FormulaError, ShapeError, UnsupportedError
from gradc.ir.graph import Graph, Node, whole_axes

from .arguments import bind
from .arrays import Array, ArrayError, Arrays
from .external import called, parsed, registered
from .from_python import parameters_of
from .inline import inline
from .linear_algebra import LinearAlgebra
from .operation import Operation
from .shapes import Declaration
from .structures import Branch, Fixed, Leaf, Tree
from .traced import Traced

COTANGENT = "cotangent of the value"     # no argument can have this name
TANGENT = "tangent of {}"


class Templates(NamedTuple):
    """An operation over operands of some kinds: its graph, the texts of its rules, the operands its vjp is for."""

    function: Graph
    rule: str
    passes: tuple[int, ...]
    tangent: str


class ArrayOperation(Operation):
    """An operation on arrays; `vjp(*arguments, cotangent)` gives the arguments' cotangents.

    jvp         `jvp(*arguments, *tangents)` gives the tangent of the value, or None
    signature   shapes, for a function that is called as it is and not traced, or None
    """

    def __init__(self, function: Callable[..., Any], vjp: Callable[..., Any] | None,
                 jvp: Callable[..., Any] | None, signature: str | None = None) -> None:
        super().__init__(function)
        self.signature = None if signature is None else parsed(signature, self.name, self.args)
        if vjp is not None and self.signature is not None and len(self.signature.results) > 1:
            raise FormulaError(f"the operation {self.name} gives several results, and has a vjp\nReturn one array.")
        python: Any = self.python
        self.routine = None if self.signature is None else registered(python, self.signature)
        for rule, name, count in ((vjp, "vjp", len(self.args) + 1), (jvp, "jvp", 2 * len(self.args))):
            rule = getattr(rule, "py_func", rule)
            if rule is not None and len(parameters_of(rule)) != count:
                wanted = "one cotangent" if name == "vjp" else "a tangent for each of them"
                given = len(parameters_of(rule))
                raise FormulaError(f"the {name} of {self.name} takes {given} arguments, not {count}\n"
                                   f"It takes the arguments of {self.name}, then {wanted}.")
        self.vjp, self.jvp = vjp, jvp
        self._made: dict[Any, Templates] = {}

    def applied(self, arrays: Arrays, operands: Sequence[Array]) -> Array:
        """The operation on operands that need not broadcast."""
        for operand in operands:
            if not operand.node.axes <= set(operand.axes):
                raise ArrayError(f"{self.name} takes whole arrays, and stands in a generator here",
                                 "Use it before, and index its value.", UnsupportedError)
        if self.vjp is None:
            raise ArrayError(f"{self.name} has no vjp, and stands in a formula", "Call it in a Python function.",
                             UnsupportedError)
        key = tuple((operand.dtype, tuple(dim.constant for dim in operand.shape)) for operand in operands)
        if key not in self._made:
            self._made[key] = self._templates(key)
        made = self._made[key]
        algebra = LinearAlgebra(arrays)
        nodes = [algebra.stored(operand) for operand in operands]
        (value,) = inline(arrays.graph, made.function, dict(zip(self.args, nodes, strict=True)))
        value = value if value.is_array else arrays.graph.store((), value)
        return algebra.whole(arrays.graph.ruled(self.name, value, nodes, made.rule, made.passes, made.tangent))

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """The function's value; on traced values nodes with the user's derivative, or without one."""
        traces = [value.tracer for value in (*args, *keywords.values()) if isinstance(value, Traced)]
        if not traces or self.vjp is not None:
            return super().__call__(*args, **keywords)
        trace, algebra = traces[0], LinearAlgebra(traces[0].arrays)
        arrays = [trace.lift(value) for value in bind(self.args, args, keywords)]
        self._fits(trace.graph, [(array.shape, name) for array, name in zip(arrays, self.args, strict=True)])
        made = self._called(trace.graph, [algebra.stored(array) for array in arrays])
        found = tuple(trace.value(algebra.whole(node) if node.is_array else Array(node)) for node in made)
        return found if len(found) > 1 else found[0]

    def _called(self, graph: Graph, nodes: Sequence[Node]) -> list[Node]:
        assert self.routine is not None and self.signature is not None
        return called(graph, self.routine, self.signature, nodes)

    def _fits(self, graph: Graph, shapes: Sequence[tuple[Sequence[Dim], str]]) -> None:
        """Operands of the ranks of the signature; dimensions of one name must be equal at run time."""
        assert self.signature is not None
        sizes: dict[str, Dim] = {}
        for (shape, name), dims in zip(shapes, self.signature.operands, strict=True):
            if len(shape) != len(dims):
                raise ShapeError(f"{self.name} takes {name} of {len(dims)} dimensions, and {len(shape)} are given: "
                                 "give arrays that fit its signature")
            for size, dim in zip(shape, dims, strict=True):
                known = Dim.of(int(dim)) if dim.isdigit() else sizes.setdefault(dim, size)
                if (size - known).constant not in (None, 0):
                    raise ShapeError(f"{self.name} takes {name} with a dimension of {known}, and {size} is given: "
                                     "give arrays that fit its signature")
                if size != known:
                    graph.equal.append((known, size))

    def _external(self, leaves: dict[str, Declaration]) -> Graph:
        graph = Graph(source=self.name)
        inputs = [graph.input(name, leaves[name].dtype, leaves[name].shape) for name in self.args]
        self._fits(graph, [(node.shape, node.attr.name) for node in inputs])
        graph.outputs = [("value", self._called(graph, inputs)[0])]
        return graph

    def _templates(self, kinds: Any) -> Templates:
        """The function and the texts of its rules, as graphs over operands of some kinds."""
        leaves = {name: Declaration(dtype, tuple(Dim.of(f"{name}_{k}" if size is None else size)
                                                 for k, size in enumerate(sizes)), True)
                  for name, (dtype, sizes) in zip(self.args, kinds, strict=True)}
        if self.routine is not None:
            graph = self._external(leaves)
        else:
            program = self.traced(self.python, {name: Leaf(name) for name in self.args}, leaves)
            if not isinstance(program.result, Leaf):
                raise UnsupportedError(f"the operation {self.name} gives several results\nReturn one array.")
            graph = program.graph
        ((_, value),) = graph.outputs
        if not value.dtype.startswith("float"):
            raise UnsupportedError(f"the value of {self.name} is {value.dtype}, which has no derivative\n"
                                   "Return real numbers, or use the function without gradc.operation.")
        rule: Any = getattr(self.vjp, "py_func", self.vjp)
        names = parameters_of(rule)
        trees: dict[str, Tree] = {own: Leaf(name) for own, name in zip(names, (*self.args, COTANGENT), strict=True)}
        leaves[COTANGENT] = Declaration(value.dtype, value.shape, True)
        back = self.traced(rule, trees, leaves, " (its vjp)")
        del leaves[COTANGENT]
        return Templates(graph, *self._passed(back.graph, back.result), self._along(value, leaves))

    def _along(self, value: Node, leaves: dict[str, Declaration]) -> str:
        """The text of the jvp over operands and their tangents, "" for an operation without one."""
        if self.jvp is None:
            return ""
        rule: Any = getattr(self.jvp, "py_func", self.jvp)
        tangents = {TANGENT.format(name): leaves[name]._replace(
            dtype=leaves[name].dtype if leaves[name].dtype.startswith("float") else "float64") for name in self.args}
        trees: dict[str, Tree] = {own: Leaf(name) for own, name in zip(
            parameters_of(rule), (*self.args, *tangents), strict=True)}
        program = self.traced(rule, trees, {**leaves, **tangents}, " (its jvp)")
        if not isinstance(program.result, Leaf):
            raise FormulaError(f"the jvp of {self.name} gives several results\nReturn the tangent of the value.")
        ((key, found),) = program.graph.outputs
        _unify(program.graph, f"the jvp of {self.name} gives its value a tangent", value, found,
               "Return one for each element of the value.")
        program.graph.outputs = [(key, cast(_real(program.graph, found), value.dtype))]
        return str(program.graph)

    def _passed(self, graph: Graph, result: Tree) -> tuple[str, tuple[int, ...]]:
        """The text of the rule, and for each of its outputs the operand that it is for."""
        parts = result.parts if isinstance(result, Branch) and issubclass(result.kind, (tuple, list)) else (result,)
        if len(parts) != len(self.args) or not all(isinstance(part, (Leaf, Fixed)) for part in parts):
            raise FormulaError(f"the vjp of {self.name} gives {len(parts)} results for {len(self.args)} arguments\n"
                               "Return a cotangent for each argument; None where it is zero by definition.")
        passes = tuple(k for k, part in enumerate(parts) if isinstance(part, Leaf))
        for number, position in enumerate(passes):
            key, node = graph.outputs[number]
            name = self.args[position]
            operand = graph.inputs[name]
            if not operand.dtype.startswith("float"):
                raise FormulaError(f"the vjp of {self.name} gives a cotangent for {name}, which is {operand.dtype}\n"
                                   "Return None for it.")
            _unify(graph, f"the vjp of {self.name} gives {name} a cotangent", operand, node)
            graph.outputs[number] = key, _real(graph, node)
        return str(graph), passes

    def check(self, *args: Any, seed: int = 0, tolerance: float = 1e-6) -> float:
        """The largest relative difference of vjp, and jvp, from central differences of the function.

        args  arguments as NumPy takes them; real ones are moved along random directions
        DerivativeError beyond the tolerance, naming the rule.
        """
        rng = np.random.default_rng(seed)
        values = [np.asarray(value) for value in args]
        real = [value.dtype.kind == "f" for value in values]
        along = [rng.standard_normal(v.shape) if r else np.zeros_like(v) for v, r in zip(values, real, strict=True)]
        step = 1e-6
        ahead, behind = (np.asarray(self.python(*(v + s * step * d if r else v for v, d, r in zip(
            values, along, real, strict=True)))) for s in (1, -1))
        tangent = (ahead - behind) / (2 * step)
        cotangent = rng.standard_normal(tangent.shape)
        wanted = float(np.sum(cotangent * tangent))
        if self.vjp is None:
            raise DerivativeError(f"{self.name} has no vjp to check: give one")
        found = self.vjp(*values, cotangent)
        found = found if isinstance(found, (tuple, list)) else (found,)
        back = sum(float(np.sum(d * c)) for d, c, r in zip(along, found, real, strict=True) if r and c is not None)
        errors = {"vjp": abs(back - wanted)}
        if self.jvp is not None:
            errors["jvp"] = float(np.max(np.abs(self.jvp(*values, *along) - tangent), initial=0.0))
        scale = max(1.0, abs(wanted), float(np.max(np.abs(tangent), initial=0.0)))
        for name, error in errors.items():
            if not error / scale <= tolerance:
                raise DerivativeError(f"the {name} of {self.name} differs from differences of the function by "
                                      f"{error / scale:.1e}: correct it, or give a larger tolerance")
        return max(errors.values()) / scale


def _unify(graph: Graph, what: str, operand: Node, found: Node,
           advice: str = "Sum it over what was broadcast.") -> None:
    """A rule gives the shape of its operand: known to differ it is refused, else it is checked at run time."""
    own, given = operand.shape, found.shape
    if len(own) != len(given) or any((a - b).constant not in (None, 0) for a, b in zip(own, given, strict=True)):
        raise ShapeError(f"{what} of shape ({', '.join(map(str, given))}), but it has shape "
                         f"({', '.join(map(str, own))})\n{advice}")
    graph.equal += [(a, b) for a, b in zip(own, given, strict=True) if a != b]


def _real(graph: Graph, node: Node) -> Node:
    if node.dtype.startswith("float"):
        return node
    if not node.is_array:
        return graph.apply("real", node)
    axes = whole_axes(node.shape)
    return graph.store(axes, graph.apply("real", graph.read(node, [graph.axis(axis) for axis in axes])))
