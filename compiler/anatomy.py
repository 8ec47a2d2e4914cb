"""What `explain` and `draw` show: the values of the user's graph, their local partials and adjoints.

`examine` takes the graph as the user wrote it, the arguments to differentiate by, and optionally their
values. It runs the reverse sweep in a copy that keeps every node, asks the pullbacks for the local
partials (the adjoint of the user set to 1), and evaluates everything with the interpreter. Tables and
pictures are made elsewhere. Time and memory are linear in the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradc.ir.dims import Axis
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import ARRAYS, Graph, Node, Part, copy_graph, sorted_axes
from gradc.ir.interpret import evaluate_nodes

from .adjoint import reverse
from .pullback import local_pullback
from .simplify import fold
from .symbols import Symbols, derivative, number


@dataclass(frozen=True)
class Summary:
    """An array in numbers: shape, extremes (NaN left out), Euclidean norm, first index that is not finite.

    `indices` names the indices of an array over axes of the formula; it is empty for an argument.
    """

    shape: tuple[int, ...]
    minimum: float
    maximum: float
    norm: float
    nonfinite: tuple[int, ...] | None
    indices: tuple[str, ...] = ()

    def __str__(self) -> str:
        if 0 in self.shape:
            return f"shape {self.shape}, empty"
        text = (f"shape {self.shape}, min {brief(self.minimum)}, max {brief(self.maximum)}, "
                f"norm {brief(self.norm)}")
        if self.nonfinite is None:
            return text
        named = zip(self.indices or ("",) * len(self.shape), self.nonfinite, strict=True)
        return f"{text}, not finite at {', '.join(f'{name} = {i}' if name else str(i) for name, i in named)}"


Value = float | int | bool | Summary


def brief(value: Value) -> str:
    """A number in at most about nine characters, an array by its summary.

    >>> brief(-4.0), brief(0.1), brief(1 / 3)
    ('-4', '0.1', '0.333333')
    """
    if not isinstance(value, float):
        return str(value)
    exact = number(value)
    return exact if len(exact) <= 9 else f"{value:.6g}"


def summary(value: Any, indices: tuple[str, ...] = ()) -> Value:
    """A value of the interpreter as a number, or as the summary of an array."""
    array = np.asarray(value)
    if array.ndim == 0:
        found: float | int | bool = array.item()
        return found
    bad = np.argwhere(~np.isfinite(array))
    real = array.astype(np.float64)
    known = real[~np.isnan(real)]
    with np.errstate(all="ignore"):
        scale = float(np.max(np.abs(known), initial=0.0))
        scaled = scale > 0.0 and np.isfinite(scale)
        norm = scale * float(np.linalg.norm(real / scale)) if scaled else float(np.linalg.norm(real))
    return Summary(array.shape, float(known.min()) if known.size else np.nan,
                   float(known.max()) if known.size else np.nan, norm,
                   tuple(int(i) for i in bad[0]) if len(bad) else None, indices)


def is_finite(value: Value) -> bool:
    """Whether a number, or every element of an array, is finite."""
    return value.nonfinite is None if isinstance(value, Summary) else bool(np.isfinite(value))


@dataclass
class Anatomy:
    """The nodes worth showing and what is known of them.

    graph     a copy of the user's graph, with the adjoints appended
    symbols   names and texts of the nodes
    shown     arguments first, then operands before users
    output    the node that is differentiated, None if there are no adjoints (`note` says why)
    users     operand -> the nodes that use it on the way to the output, one entry a use
    partials  (user, operand) -> d user / d operand; missing where the user only passes the operand on
    adjoints  node -> d output / d node
    values    value of each node above; empty in symbols
    """

    graph: Graph
    symbols: Symbols
    shown: list[Node]
    output: Node | None = None
    note: str = ""
    users: dict[Node, list[Node]] = field(default_factory=dict)
    partials: dict[tuple[Node, Node], Node] = field(default_factory=dict)
    adjoints: dict[Node, Node] = field(default_factory=dict)
    values: dict[Node, Any] = field(default_factory=dict)

    def array(self, node: Node) -> Any:
        """The value of a node, the axes of an array in the order in which the formula names them."""
        value = self.values[node]
        if len(node.axes) < 2:
            return value
        own = sorted_axes(node.axes)
        return np.transpose(value, [own.index(axis) for axis in self._axes(node)])

    def value(self, node: Node | None) -> Value | None:
        """The value of a node, an array as its summary; None in symbols or if there is no node."""
        if node is None or node not in self.values:
            return None
        return summary(self.array(node), tuple(map(self.symbols.index, self._axes(node))))

    def _axes(self, node: Node) -> list[Axis]:
        return sorted(node.axes, key=self.symbols.rank)

    def symbol(self, node: Node) -> str:
        """The symbol of a node's adjoint: df/dq."""
        assert self.output is not None
        return derivative(self.symbols.name(self.output), self.symbols.name(node))


def examine(graph: Graph, wrt: Sequence[str], values: Mapping[str, Any] | None = None) -> Anatomy:
    """The anatomy of a graph, in symbols or at the given values of all its inputs.

    A missing or unknown value is an ArgumentError, dimensions that disagree a ShapeError. A function whose
    output is no real number, or without a derivative, has no adjoints; `note` says why.
    """
    graph = copy_graph(graph)
    graph.fold = fold                                           # for what is appended from here on
    outputs = [node for _, node in graph.outputs]
    order = graph.reachable(outputs)
    shown = _shown(graph, order, outputs)
    found = Anatomy(graph, Symbols(graph, shown), shown)
    active = _active(order, {graph.inputs[name] for name in wrt})
    try:
        _add_adjoints(found, wrt, outputs, order)
        _add_partials(found, active)
    except DerivativeError as error:
        found.output, found.note, found.adjoints = None, str(error), {}
    if found.output is not None:
        for node in shown:
            if node in found.adjoints:
                found.symbols.aliases.setdefault(found.adjoints[node], found.symbol(node))
    found.symbols.spell(graph.nodes)
    if values is not None:
        wanted = dict.fromkeys([*shown, *found.adjoints.values(), *found.partials.values()])
        found.values = evaluate_nodes(graph, values, wanted, needed=outputs)
    return found


def _shown(graph: Graph, order: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    """Arguments first, then the values of the formula.

    Constants, what is computed from constants alone, and the arithmetic of indices stand in the texts.
    """
    fixed: set[Node] = set()
    kept: set[Node] = set()
    for node in order:
        if node.op == "const" or (node.args and not node.axes and all(a in fixed for a in node.args)):
            fixed.add(node)
        elif node.op in ("dim", "axis", "input", "real"):
            pass
        elif node.dtype == "bool":
            if node.is_reduction or node.op == "read" or any(a in kept or a.op == "input" for a in node.args):
                kept.add(node)
        elif node.dtype.startswith("float") or node.op == "read" or node.is_reduction or node.is_array:
            kept.add(node)
    kept |= {node for node in outputs if node.op != "input"}
    return [*graph.inputs.values(), *(node for node in order if node in kept)]


def _active(order: Sequence[Node], wrt: set[Node]) -> dict[Node, None]:
    """Real nodes that depend on one of `wrt`."""
    active: dict[Node, None] = {}
    for node in order:
        if node in wrt or (node.dtype.startswith("float") and any(a in active for a in node.args)):
            active[node] = None
    return active


def _add_adjoints(found: Anatomy, wrt: Sequence[str], outputs: Sequence[Node], order: Sequence[Node]) -> None:
    graph = found.graph
    if not wrt:
        raise DerivativeError("there is no real argument to differentiate by")
    if len(outputs) != 1 or outputs[0].is_array or not outputs[0].dtype.startswith("float"):
        raise DerivativeError("adjoints need one output that is a real number: compile one of them, or a sum")
    output = outputs[0]
    every: dict[Node, Node] = {}
    inputs = [graph.inputs[name] for name in wrt]
    found.adjoints.update(reverse(graph, [(output, graph.const(1.0, output.dtype))], inputs, every=every))
    found.adjoints.update((node, every[node]) for node in order if node in every)
    found.output = output


def _add_partials(found: Anatomy, active: dict[Node, None]) -> None:
    """The local partials: what a node passes back when its own adjoint is 1."""
    graph = found.graph
    for y in found.shown:
        if y not in active or y.op == "input":
            continue
        if y.op in ARRAYS:                                      # what they pass back is no product with a partial
            for x in dict.fromkeys(y.args):
                if x in active and y in found.adjoints:
                    found.users.setdefault(x, []).extend([y] * y.args.count(x))
            continue
        one, scattered = graph.const(1.0, y.dtype), {a: list[Part]() for a in y.args}
        pulled = local_pullback(graph, y, one, frozenset(), active, scattered, "subgradient")
        for x, value, guards, _ in pulled:
            partial = graph.ops.select(graph.all_of(guards), value, 0.0) if guards else value
            known = found.partials.get((y, x))
            found.partials[y, x] = partial if known is None else known + partial
            if known is None and y in found.adjoints:           # x * x uses x twice
                found.users.setdefault(x, []).extend([y] * y.args.count(x))
        for x, parts in scattered.items():
            found.users.setdefault(x, []).extend([y] * len(parts))
