"""The verifier: the invariants of a graph, checked in one walk over its nodes.

Passes call it after each other, and the text form after parsing. It takes a graph and returns nothing; a
broken invariant is a GraphError that names the node, where it came from, and the invariant. It repeats what
the constructors of `graph` promise, so that a pass that goes around them is found at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .dims import Axis, Dim
from .errors import GraphError
from .graph import (
    ARRAYS,
    DTYPES,
    NO_AXES,
    Axes,
    CallAttr,
    Graph,
    InputAttr,
    Node,
    RuledAttr,
    ScanAttr,
    ScatterAttr,
    StoreAttr,
    scatter_parts,
    store_parts,
)
from .routines import ROUTINES
from .table import OPERATIONS, REDUCTIONS, RESULTS

_ALLOWED = {"float": {"float64", "float32"}, **{rule: {dtype} for rule, dtype in RESULTS.items()}}
SCANS = {"sum": 1, "prod": 1, "max": 1, "min": 1, "linrec": 2}


def verify(graph: Graph) -> None:
    """Raise a GraphError if the graph breaks an invariant; time is linear in its size.

    >>> g = Graph()
    >>> g.outputs = [("f", g.input("x") * 2.0)]
    >>> verify(g)
    """
    keys: set[tuple[Any, ...]] = set()
    for position, node in enumerate(graph.nodes):
        if node.graph is not graph:
            _fail(node, "it belongs to another graph")
        if node.id != position:
            _fail(node, f"it stands at position {position}")
        for arg in node.args:
            if arg.graph is not graph:
                _fail(node, f"its operand %{arg.id} belongs to another graph")
            if arg.id >= position:
                _fail(node, f"its operand %{arg.id} does not come before it")
        key = (node.op, tuple([a.id for a in node.args]), node.attr, node.dtype)
        if key in keys:
            _fail(node, "an equal node exists: nodes are interned")
        keys.add(key)
        _verify_node(node)
    _verify_edges(graph)


def _verify_node(node: Node) -> None:
    if node.dtype not in DTYPES:
        _fail(node, f"{node.dtype} is not a type")
    if node.is_reduction:
        _reduction(node)
    elif node.op in OPERATIONS:
        _operation(node)
    else:
        check = _KINDS.get(node.op)
        if check is None:
            _fail(node, "no node is of this kind")
        check(node)
    arrays = 1 if node.op == "read" or (node.op == "store" and node.attr.base) else 0
    arrays = len(node.args) if node.op in ("call", "ruled") else arrays
    for arg in node.args[arrays:]:
        if arg.is_array:
            _fail(node, f"its operand %{arg.id} is an array where a scalar belongs")
    axes = axes_of(node.op, node.args, node.attr)
    if node.axes != axes:
        _fail(node, f"its axes are {_listed(node.axes)}, but its operands give {_listed(axes)}")


def axes_of(op: str, args: Sequence[Node], attr: Any) -> Axes:
    """The axes that a node of this kind has, from its operands' and its attribute."""
    if op in ARRAYS:
        return NO_AXES
    axes = NO_AXES
    for arg in args:
        if arg.axes and not arg.axes <= axes:
            axes = axes | arg.axes
    if op == "axis":
        return frozenset((attr,))
    if op == "scan":
        return axes | {attr.axis}
    return axes - {attr} if isinstance(attr, Axis) else axes


# -- one check for each kind of node --------------------------------------------------------------


def _operation(node: Node) -> None:
    entry = OPERATIONS[node.op]
    if node.attr is not None:
        _fail(node, "an operation carries no attribute")
    if entry.arity is None and len(node.args) < 2:
        _fail(node, f"it takes two or more operands, not {len(node.args)}")
    _count(node, len(node.args) if entry.arity is None else entry.arity)
    for position in entry.integers:
        if node.args[position].dtype != "int64":
            _fail(node, f"its operand {position + 1} must be an integer, not {node.args[position].dtype}")
    values = node.args[1:] if node.op == "select" else node.args
    if node.op == "select" and node.args[0].dtype != "bool":
        _fail(node, f"its condition must be a truth value, not {node.args[0].dtype}")
    dtypes = {a.dtype for a in values}
    allowed = _ALLOWED.get(entry.result)
    if allowed is None:
        allowed = dtypes if dtypes != {"bool"} else {"bool", "int64"}
    if node.dtype not in allowed:
        _fail(node, f"its type is {node.dtype}, but its operands are {', '.join(sorted(dtypes))}")


def _reduction(node: Node) -> None:
    if not node.args:
        _fail(node, "it has no body")
    body, rule, axis = node.args[0], REDUCTIONS[node.op].result, node.attr
    allowed = _ALLOWED.get(rule)
    if allowed is None:
        allowed = {body.dtype} if body.dtype != "bool" else {"int64"}
    if node.dtype not in allowed:
        _fail(node, f"its type is {node.dtype}, but its body is {body.dtype}")
    _guards(node, node.args[1:])
    taken = {a.number for a in node.axes if a.dim == axis.dim}
    lowest = next(i for i in range(len(taken) + 1) if i not in taken)
    if axis.number != lowest:
        _fail(node, f"its bound axis must be number {lowest}, the lowest that is not free")


def _const(node: Node) -> None:
    _count(node, 0)
    if not isinstance(node.attr, bytes) or len(node.attr) != 8:
        _fail(node, "a constant carries its eight bytes")


def _dim(node: Node) -> None:
    _count(node, 0)
    _typed(node, "int64")
    if not isinstance(node.attr, Dim) or node.attr.constant is not None:
        _fail(node, "it carries no symbolic dimension")


def _axis(node: Node) -> None:
    _count(node, 0)
    _typed(node, "int64")
    if not isinstance(node.attr, Axis) or node.attr.number < 0:
        _fail(node, "it carries no axis")


def _input(node: Node) -> None:
    _count(node, 0)
    if not isinstance(node.attr, InputAttr):
        _fail(node, "it carries no name and shape")
    if node.graph.inputs.get(node.attr.name) is not node:
        _fail(node, f"it is not the input {node.attr.name!r} of its graph")


def _read(node: Node) -> None:
    if not node.args or not node.args[0].is_array:
        _fail(node, "it reads from no array")
    array, rank = node.args[0], node.attr
    if rank != len(array.shape) or len(node.args) < 1 + rank:
        _fail(node, f"it has {rank} indices for an array of {len(array.shape)} dimensions")
    for index in node.args[1 : 1 + rank]:
        if index.dtype != "int64":
            _fail(node, f"its index %{index.id} is {index.dtype}, not an integer")
    _guards(node, node.args[1 + rank :])
    _typed(node, array.dtype)


def _scan(node: Node) -> None:
    attr = node.attr
    if not isinstance(attr, ScanAttr) or attr.kind not in SCANS:
        _fail(node, "it is no running sum, product, extremum or recurrence")
    _count(node, SCANS[attr.kind])
    _typed(node, node.args[-1].dtype)
    if attr.kind == "linrec" and attr.inclusive:
        _fail(node, "a linear recurrence is exclusive")


def _store(node: Node) -> None:
    attr = node.attr
    if not isinstance(attr, StoreAttr):
        _fail(node, "it carries no shape and parts")
    _count(node, attr.base + sum(1 + part.guards for part in attr.parts))
    if attr.base and (not node.args[0].is_array or len(node.args[0].shape) != len(attr.shape)):
        _fail(node, f"its base %{node.args[0].id} is no array of {len(attr.shape)} dimensions")
    for part, value, guards in store_parts(attr, node.args):
        axes = frozenset(part.axes)
        if not len(axes) == len(part.axes) == len(part.offsets) == len(attr.shape):
            _fail(node, f"a part has {len(part.axes)} axes for {len(attr.shape)} dimensions, or one twice")
        _guards(node, guards)
        for item in (value, *guards):
            if not item.axes <= axes:
                _fail(node, f"%{item.id} varies over {_listed(item.axes - axes)}, which its part has not")
        if DTYPES.index(value.dtype) > DTYPES.index(node.dtype):
            _fail(node, f"it stores %{value.id}, which is {value.dtype}, as {node.dtype}")


def _scatter_add(node: Node) -> None:
    attr = node.attr
    if not isinstance(attr, ScatterAttr):
        _fail(node, "it carries no shape and parts")
    _count(node, sum(1 + len(attr.shape) + guards for guards in attr.guards))
    for part in scatter_parts(attr, node.args):
        _guards(node, part.guards)
        for index in part.indices:
            if index.dtype != "int64":
                _fail(node, f"its index %{index.id} is {index.dtype}, not an integer")


def _ruled(node: Node) -> None:
    if not isinstance(node.attr, RuledAttr) or len(node.args) < 2:
        _fail(node, "it is no value with operands and a rule")
    if not all(arg.is_array for arg in node.args):
        _fail(node, "its operands are arrays")
    if node.attr.shape != node.args[0].shape or node.dtype != node.args[0].dtype:
        _fail(node, "its shape and type are those of its value")
    if not all(0 <= position < len(node.args) - 1 for position in node.attr.passes):
        _fail(node, "its rule passes cotangents to operands that it has not")


def _call(node: Node) -> None:
    attr = node.attr
    if not isinstance(attr, CallAttr) or attr.routine not in ROUTINES:
        _fail(node, "it names no routine")
    entry = ROUTINES[attr.routine]
    if not 0 <= attr.result < len(entry.results):
        _fail(node, f"{attr.routine} has no result {attr.result}")
    _count(node, len(entry.operands))
    for arg, ranks in zip(node.args, entry.operands, strict=True):
        if not arg.is_array or len(arg.shape) - attr.batch not in ranks:
            _fail(node, f"its operand %{arg.id} is no array of {attr.batch} dimensions and those of {attr.routine}")
        if arg.shape[:attr.batch] != node.args[0].shape[:attr.batch]:
            _fail(node, f"its operand %{arg.id} has other leading dimensions than its first")
        if not arg.dtype.startswith("float") and entry.real:
            _fail(node, f"its operand %{arg.id} is {arg.dtype}, not real")
    cores = [arg.shape[attr.batch:] for arg in node.args]
    if attr.shape != (*node.args[0].shape[:attr.batch], *entry.shapes(cores)[attr.result]):
        _fail(node, f"its shape is not that of a result of {attr.routine}")


_KINDS: dict[str, Callable[[Node], None]] = {
    "const": _const,
    "dim": _dim,
    "axis": _axis,
    "input": _input,
    "read": _read,
    "scan": _scan,
    "store": _store,
    "scatter_add": _scatter_add,
    "call": _call,
    "ruled": _ruled,
}


# -- shared checks and the edges of the graph -----------------------------------------------------


def _guards(node: Node, guards: Sequence[Node]) -> None:
    for before, guard in zip((None, *guards), guards, strict=False):
        if guard.dtype != "bool":
            _fail(node, f"its guard %{guard.id} is {guard.dtype}, not a truth value")
        if before is not None and before.id >= guard.id:
            _fail(node, "its guards are not in order, or one stands there twice")


def _count(node: Node, count: int) -> None:
    if len(node.args) != count:
        _fail(node, f"it takes {count} operands, not {len(node.args)}")


def _typed(node: Node, dtype: str) -> None:
    if node.dtype != dtype:
        _fail(node, f"its type must be {dtype}, not {node.dtype}")


def _verify_edges(graph: Graph) -> None:
    """Inputs, outputs, checks, provenance, and that every dimension has a size."""
    bound = {d.name for node in graph.inputs.values() for d in node.shape}
    bound |= {name for name, node in graph.inputs.items() if not node.shape and node.dtype == "int64"}
    for name, node in graph.inputs.items():
        if node.op != "input" or node.attr.name != name:
            _fail(node, f"it is listed as the input {name!r}")
    for name, node in graph.outputs:
        _belongs(graph, node, f"the output {name!r}")
        if node.axes:
            _fail(node, f"the output {name!r} varies over {_listed(node.axes)}: store it")
    for check in graph.checks:
        _belongs(graph, check.bad, f"the check {check.message!r}")
        if check.bad.dtype != "bool":
            _fail(check.bad, "a check needs a truth value")
    for kind, owner in (("name", graph.names), ("span", graph.spans), ("note", graph.notes)):
        for node in owner:
            _belongs(graph, node, f"a {kind}")
    for node in graph.reachable():
        for dim in _dimensions(node):
            for name in sorted(dim.names() - bound):
                _fail(node, f"no input gives the size of the dimension {name}")


def _dimensions(node: Node) -> Sequence[Dim]:
    if node.op == "dim":
        return (node.attr,)
    if isinstance(node.attr, Axis):
        return (node.attr.dim,)
    if node.op == "scan":
        return (node.attr.axis.dim,)
    if node.op == "store":
        parts = node.attr.parts
        return (*node.attr.shape, *(d for p in parts for d in (*p.offsets, *(a.dim for a in p.axes))))
    return node.shape


def _belongs(graph: Graph, node: Node, use: str) -> None:
    if node.graph is not graph or node.id >= len(graph.nodes) or graph.nodes[node.id] is not node:
        _fail(node, f"{use} uses it, but it is no node of this graph")


def _listed(axes: Axes) -> str:
    return ", ".join(sorted(map(str, axes))) or "none"


def _fail(node: Node, message: str) -> NoReturn:
    place = ""
    span = node.graph.spans.get(node)
    if span is not None and node.graph.source:
        place = f" (from {node.graph.source[span.start : span.stop]!r})"
    args = ", ".join(f"%{a.id}" for a in node.args)
    raise GraphError(f"node %{node.id} = {node.op}({args}){place}: {message}")
