"""Derived graphs: gradients, products with the Jacobian from both sides, and the two halves of the gate interface.

Each takes a prepared graph and the names to differentiate by, runs a sweep in a folding copy and sets outputs. The
results are ordinary graphs, so they can be derived again.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from gradc.ir.cast import cast
from gradc.ir.collecting import put_off
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import DerivativeError
from gradc.ir.graph import Check, Graph, Node, copy_graph, sorted_axes, whole_axes

from .adjoint import reverse
from .jacobian import free, ones
from .simplify import fold
from .tangent import forward


@put_off()
def gradient(graph: Graph, wrt: Sequence[str], *, with_value: bool, kinks: str) -> Graph:
    """The graph of the gradient; its outputs are named d_<argument>, after the value if it is wanted."""
    new = copy_graph(graph, fold=fold)
    (key, output) = scalar_output(new)
    adjoints = reverse(new, [(output, new.const(1.0, output.dtype))], [new.inputs[w] for w in wrt], kinks)
    outputs = [(f"d_{name}", adjoints[new.inputs[name]]) for name in wrt]
    if key in dict(outputs):                                    # the function is a derivative itself
        key = "value"
    new.outputs = ([(key, output)] if with_value else []) + outputs
    return new


def scalar_output(graph: Graph, what: str = "gradient") -> tuple[str, Node]:
    """The only output, which is one real number; DerivativeError otherwise. `what` is what needs it."""
    otherwise = {"gradient": "use .vjp with a cotangent", "Hessian": "use .jacobian.jacobian"}[what]
    if len(graph.outputs) != 1:
        raise DerivativeError(
            f"the {what} needs one scalar output, this function has {len(graph.outputs)}: compile one of them "
            f'(a derivative: with wrt="x" alone), or {otherwise}{" for each" if what == "gradient" else ""}')
    key, output = graph.outputs[0]
    if output.is_array:
        shape = ", ".join(map(str, output.shape))
        advice = "reduce it, for example with sum(...)"
        if all(dim.constant == 1 for dim in output.shape):
            advice = f"take its one element, by [{', '.join('0' * len(output.shape))}]" + (
                " or Trace (trace)" if len(output.shape) == 2 else "")
        if what == "gradient":
            otherwise += ", or .jacobian"
        raise DerivativeError(f"the {what} needs one scalar output, this one is an array of shape ({shape}): "
                              f"{advice}, or {otherwise}")
    _refuse_whole(graph)
    return key, output


def beside(derived: Graph, graph: Graph) -> dict[str, str]:
    """Put the outputs of a graph into one derived from it, and give their names; what both compute is one node."""
    made: dict[Node, Node] = {}
    for node in graph.reachable([node for _, node in graph.outputs]):
        made[node] = derived.rebuild(node, [made[a] for a in node.args])
    taken = {*derived.inputs, *(key for key, _ in derived.outputs)}
    names = {key: free(key, taken) for key, _ in graph.outputs}
    derived.outputs += [(names[key], made[node]) for key, node in graph.outputs]
    return names


def total(graph: Graph) -> Graph:
    """The graph of the sum of all elements of all outputs."""
    new = copy_graph(graph)
    _refuse_whole(new)
    sums = []
    for _, node in new.outputs:
        axes = whole_axes(node.shape)
        value = new.read(node, list(map(new.axis, axes))) if axes else node
        for axis in axes:
            value = new.reduce("sum", axis, value)
        sums.append(value)
    new.outputs = [("total", functools.reduce(lambda one, other: new.apply("add", one, other), sums))]
    return new


TANGENTS = {"jvp": "d_", "hvp": "v_"}       # how the names of tangents begin


def jvp(graph: Graph, wrt: Sequence[str], kinks: str, *, mark: str = TANGENTS["jvp"], several: bool = False) -> Graph:
    """The graph of the derivative along a direction: a tangent for each of `wrt` follows the arguments.

    With `several` the last dimension of every tangent is that of the directions, and so it is in the outputs.
    """
    new = copy_graph(graph, fold=fold)
    _refuse_whole(new)
    held, taken = _directions(new) if several else (), set(new.inputs)
    seeds = {}
    for name in wrt:
        primal = new.inputs[name]
        given = new.input(free(mark + name, taken), primal.dtype, (*primal.shape, *(axis.dim for axis in held)))
        seeds[primal] = new.read(given, list(map(new.axis, held))) if held and not primal.shape else given
    if kinks == "raise":                                        # where a value counts is what the adjoint knows
        reverse(new, [(node, ones(new, node)) for _, node in new.outputs], list(seeds), kinks)
    found = forward(new, seeds, [node for _, node in new.outputs], held, mark)
    new.outputs = [(mark + key.removeprefix(mark), node if node.is_array else _held(new, held, node))
                   for (key, _), node in zip(new.outputs, found, strict=True)]
    return new


def vjp(graph: Graph, wrt: Sequence[str], kinks: str, *, several: bool = False) -> Graph:
    """The graph of the gradient for given cotangents, which follow the arguments; `several` as for `jvp`."""
    new = copy_graph(graph, fold=fold)
    _refuse_whole(new)
    held, taken = _directions(new) if several else (), set(new.inputs)
    seeds = []
    for key, node in new.outputs:
        if node.dtype.startswith("float"):
            name = free("cotangent" if len(new.outputs) == 1 else f"cotangent_{key}", taken)
            given = new.input(name, node.dtype, (*node.shape, *(axis.dim for axis in held)))
            seeds.append((node, new.read(given, list(map(new.axis, held))) if held and not node.is_array else given))
    adjoints = reverse(new, seeds, [new.inputs[name] for name in wrt], kinks, held=held)
    new.outputs = [(f"d_{name}", node if node.is_array else _held(new, held, node))
                   for name, node in ((name, adjoints[new.inputs[name]]) for name in wrt)]
    return new


def weighted(graph: Graph) -> Graph:
    """The graph of the sum of all real outputs times weights, which follow the arguments as the cotangents of `vjp`."""
    new = copy_graph(graph, fold=fold)
    _refuse_whole(new)
    taken, terms = set(new.inputs), []
    real = [(key, node) for key, node in new.outputs if node.dtype.startswith("float")]
    for key, node in real:
        weight = new.input(free("weight" if len(real) == 1 else f"weight_{key}", taken), node.dtype, node.shape)
        axes = whole_axes(node.shape)
        index = [new.axis(axis) for axis in axes]
        term = new.apply("mul", *((new.read(a, index) for a in (weight, node)) if node.is_array else (weight, node)))
        for axis in reversed(axes):
            term = new.reduce("sum", axis, term)
        terms.append(cast(term, "float64"))
    new.outputs = [("value", functools.reduce(lambda one, other: new.apply("add", one, other), terms))]
    return new


def hvp(gradient: Graph, wrt: Sequence[str], kinks: str, *, several: bool = False) -> Graph:
    """The tangent of a gradient's graph: forward over reverse."""
    return jvp(gradient, wrt, kinks, mark=TANGENTS["hvp"], several=several)


PRODUCTS = {"jvp": jvp, "vjp": vjp, "hvp": hvp}


def _held(graph: Graph, held: Sequence[Axis], node: Node) -> Node:
    return graph.store(held, node) if held else node


def _directions(graph: Graph) -> tuple[Axis]:
    """The axis of the directions, whose dimension has a name that is not in the graph."""
    taken = {*graph.inputs, *(name for node in graph.inputs.values() for dim in node.shape for name in dim.names())}
    return (Axis(Dim.of(free("directions", taken)), 0),)


def _refuse_whole(graph: Graph) -> None:
    dtypes = [node.dtype for _, node in graph.outputs]
    if not any(dtype.startswith("float") for dtype in dtypes):
        raise DerivativeError(f"the output is {dtypes[0]} and has no derivative: return a real number (1.0 in place "
                              "of 1)")


@dataclass(frozen=True)
class Gate:
    """Forward and backward as two graphs: `forward` also returns what `backward` reads.

    saved       names of the extra outputs of `forward`, which are inputs of `backward`
    cotangents  names of the inputs of `backward` that take the outputs' cotangents
    """

    forward: Graph
    backward: Graph
    saved: tuple[str, ...]
    cotangents: tuple[str, ...]


def gate(graph: Graph, wrt: Sequence[str], kinks: str) -> Gate:
    """Split the reverse sweep where it needs forward values: these are saved, not computed again."""
    whole = copy_graph(graph, fold=fold)
    outputs = list(whole.outputs)
    taken = set(whole.inputs)
    cotangents: list[str] = []
    seeds: list[tuple[Node, Node]] = []
    for key, node in outputs:
        name = free(f"d_{key}", taken)
        cotangents.append(name)
        seeds.append((node, whole.input(name, "float64", node.shape)))
    primal = set(whole.reachable([n for _, n in outputs]))
    inputs = [whole.inputs[name] for name in wrt]
    adjoints = reverse(whole, seeds, inputs, kinks)
    whole.outputs = [(f"d_{name}", adjoints[whole.inputs[name]]) for name in wrt]
    needed = whole.reachable()
    cut = _cut(needed, primal, {n for _, n in whole.outputs})
    saved = {node: free(whole.names[node][0] if node in whole.names else f"saved_{k}", taken)
             for k, node in enumerate(cut)}
    forward = copy_graph(graph, fold=fold)
    forward.outputs += [(saved[node], _as_output(forward, image)) for node, image in
                        zip(cut, _images(whole, cut, forward), strict=True)]
    return Gate(forward, _backward(whole, saved, list(graph.inputs)), tuple(saved.values()), tuple(cotangents))


def _cut(needed: Sequence[Node], primal: set[Node], outputs: set[Node]) -> list[Node]:
    """Forward values that the sweep uses directly, apart from what is free to read again."""
    users: dict[Node, bool] = {}
    for node in needed:
        for a in node.args if node not in primal else ():
            users[a] = True
    found = [n for n in needed if n in primal and (n in users or n in outputs)]
    return [n for n in found if n.dtype.startswith("float") and not n.is_array
            and n.op not in ("const", "dim", "axis", "input", "read")]


def _images(whole: Graph, cut: Sequence[Node], forward: Graph) -> list[Node]:
    made: dict[Node, Node] = {}
    for node in whole.reachable(cut):
        made[node] = forward.rebuild(node, [made[a] for a in node.args])
    return [made[node] for node in cut]


def _as_output(graph: Graph, node: Node) -> Node:
    axes = sorted_axes(node.axes)
    return graph.store(axes, node) if axes else node


def _backward(whole: Graph, saved: dict[Node, str], arguments: Sequence[str]) -> Graph:
    new = Graph(fold=fold, source=whole.source, equal=list(whole.equal), remarks=dict(whole.remarks))
    for name in arguments:
        new.input(name, whole.inputs[name].dtype, whole.inputs[name].shape)
    made: dict[Node, Node] = {}
    for node, name in saved.items():
        axes: list[Axis] = sorted_axes(node.axes)
        array = new.input(name, node.dtype, [a.dim for a in axes])
        made[node] = new.read(array, [new.axis(a) for a in axes]) if axes else array
    for name, node in whole.inputs.items():
        if name not in new.inputs:
            new.input(name, node.dtype, node.shape)
    stack = [n for _, n in whole.outputs] + [check.bad for check in whole.checks]
    wanted: set[Node] = set()
    while stack:
        node = stack.pop()
        if node not in wanted:
            wanted.add(node)
            stack += [] if node in made else node.args
    for node in sorted(wanted, key=lambda n: n.id):
        if node not in made:
            made[node] = new.rebuild(node, [made[a] for a in node.args])
            for label in whole.names.get(node, ()):
                new.name(made[node], label)
            if node in whole.notes:
                new.notes.setdefault(made[node], whole.notes[node])
    new.outputs = [(key, made[node]) for key, node in whole.outputs]
    new.checks = [Check(made[c.bad], c.message, c.error) for c in whole.checks]
    return new
