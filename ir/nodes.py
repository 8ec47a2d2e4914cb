"""Nodes: one value each, and what their kinds carry.

`Node` is what the graph interns; the attribute tuples say what a read, a store, a scatter, a scan or an
input is besides its operands. Arithmetic on nodes builds nodes in the node's own graph. How nodes are
made, and that equal ones are the same object, is the graph's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .dims import Axis, Dim, axis_order
from .errors import GraphError
from .table import OPERATIONS, REDUCTIONS

if TYPE_CHECKING:
    from .graph import Graph

DTYPES = ("bool", "int64", "float32", "float64")
ARRAYS = ("store", "scatter_add", "call", "ruled")       # the kinds that make an array
Axes = frozenset[Axis]
NO_AXES: Axes = frozenset()


class StorePart(NamedTuple):
    """One part of a store: where its axes lie in the result, and how many guards it carries."""

    axes: tuple[Axis, ...]
    offsets: tuple[Dim, ...]
    guards: int


class StoreAttr(NamedTuple):
    """Shape and parts of a `store` node; `base` says that the first operand is what lies below."""

    shape: tuple[Dim, ...]
    parts: tuple[StorePart, ...]
    base: bool


class ScatterAttr(NamedTuple):
    """Shape of a `scatter_add` node and the number of guards of each of its parts.

    once  a promise: each element is the place of exactly one point of one part, of the points where the guards that
          are not `on_values` hold. So nothing need be zeroed or added; where a guard on values fails it is 0.
    """

    shape: tuple[Dim, ...]
    guards: tuple[int, ...]
    once: bool = False


class ScanAttr(NamedTuple):
    """A `scan` node: kind ("sum", "prod", "max", "min", "linrec"), axis, inclusive or not, forward or backward."""

    kind: str
    axis: Axis
    inclusive: bool
    reverse: bool


class CallAttr(NamedTuple):
    """A `call` node: which result of which routine, the leading dimensions it is run over, the result's shape."""

    routine: str
    result: int
    batch: int
    shape: tuple[Dim, ...]


class RuledAttr(NamedTuple):
    """A `ruled` node, an array with a derivative rule of the user's own: what it is called, and the rule.

    rule    the text of a graph from the operands and the cotangent, its last input, to the operands' cotangents
    passes  for each output of that graph the number of the operand whose cotangent it is
    tangent the text of a graph from the operands and then their tangents to the tangent of the value; "" for none
    """

    name: str
    rule: str
    passes: tuple[int, ...]
    shape: tuple[Dim, ...]
    tangent: str = ""


class InputAttr(NamedTuple):
    """An input: its name, and its shape (empty for a scalar)."""

    name: str
    shape: tuple[Dim, ...]


class Part(NamedTuple):
    """One contribution to a scatter: value, index nodes, guards."""

    value: Node
    indices: tuple[Node, ...]
    guards: tuple[Node, ...] = ()


class Span(NamedTuple):
    """Where a node came from: half-open character range in the user's source text."""

    start: int
    stop: int


class Node:
    """One value. `op` is a name of the operation table, of a reduction, or a structural kind.

    Structural kinds: const, dim, axis, input, read, select is in the table, scan, store, scatter_add, call, ruled.
    Nodes are compared by identity; equal nodes of one graph are the same object. Arithmetic on
    nodes builds nodes in the same graph, so a rule reads like its formula.
    """

    __slots__ = ("args", "attr", "axes", "dtype", "graph", "id", "op")

    def __init__(self, graph: Graph, number: int, op: str, args: tuple[Node, ...], attr: Any,
                 axes: Axes, dtype: str) -> None:
        self.graph, self.id, self.op, self.args = graph, number, op, args
        self.attr, self.axes, self.dtype = attr, axes, dtype

    @property
    def is_array(self) -> bool:
        """Whether the node is an array at the edge (an array input, a store, a scatter, a routine's result)."""
        return self.op in ARRAYS or (self.op == "input" and bool(self.attr.shape))

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The dimensions of an array node; () for a scalar."""
        return tuple(self.attr.shape) if self.op == "input" or self.op in ARRAYS else ()

    @property
    def is_reduction(self) -> bool:
        """Whether the node reduces over one axis (`attr` is that axis)."""
        return self.op in REDUCTIONS and isinstance(self.attr, Axis)

    @property
    def value(self) -> Any:
        """The Python value of a constant."""
        if self.op != "const":
            raise GraphError(f"{self} is not a constant")
        return unpack(self.dtype, self.attr)

    def __repr__(self) -> str:
        args = " ".join(f"%{a.id}" for a in self.args)
        shown = self.value if self.op == "const" else self.attr
        return f"%{self.id} = {self.op} {'' if shown is None else shown} {args}".replace("  ", " ")

    def __add__(self, other: Operand) -> Node:
        return self.graph.apply("add", self, other)

    def __radd__(self, other: Operand) -> Node:
        return self.graph.apply("add", other, self)

    def __sub__(self, other: Operand) -> Node:
        return self.graph.apply("sub", self, other)

    def __rsub__(self, other: Operand) -> Node:
        return self.graph.apply("sub", other, self)

    def __mul__(self, other: Operand) -> Node:
        return self.graph.apply("mul", self, other)

    def __rmul__(self, other: Operand) -> Node:
        return self.graph.apply("mul", other, self)

    def __truediv__(self, other: Operand) -> Node:
        return self.graph.apply("div", self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return self.graph.apply("div", other, self)

    def __pow__(self, other: Operand) -> Node:
        return self.graph.apply("pow", self, other)

    def __neg__(self) -> Node:
        return self.graph.apply("neg", self)


class Vocabulary:
    """Spells operations of the table as methods, for rules: `o.cos(x)`, `o.select(c, a, b)`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getattr__(self, op: str) -> Callable[..., Node]:
        name = op.rstrip("_")  # o.and_, o.or_, o.not_
        if name not in OPERATIONS:
            raise AttributeError(f"no operation {name} in the table")
        graph = self._graph
        return lambda *args: graph.apply(name, *args)

    def const(self, value: float) -> Node:
        """A literal."""
        return self._graph.const(value)


Operand = Node | int | float | bool
Fold = Callable[["Graph", str, tuple[Node, ...], Any], "Node | None"]


def pack(dtype: str, value: Any) -> bytes:
    """The key of a constant: 1, True, 1.0 and 0.0, -0.0 are equal in Python and differ here."""
    if dtype.startswith("float"):
        return struct.pack("<d", float(value))
    if not -(2**63) <= int(value) < 2**63:
        raise GraphError(f"the integer {value} does not fit into 64 bits: write it as a float")
    return struct.pack("<q", int(value))


def unpack(dtype: str, bits: bytes) -> Any:
    """The value behind `pack`."""
    if dtype.startswith("float"):
        return struct.unpack("<d", bits)[0]
    number = struct.unpack("<q", bits)[0]
    return bool(number) if dtype == "bool" else number


@dataclass(frozen=True)
class Check:
    """A condition under which a call is refused at run time, with the constant message."""

    bad: Node
    message: str
    error: str = "ValueError"


def store_parts(attr: StoreAttr, args: Sequence[Node]) -> list[tuple[StorePart, Node, tuple[Node, ...]]]:
    """The parts of a store with their value and guards."""
    found, at = [], 1 if attr.base else 0
    for part in attr.parts:
        found.append((part, args[at], tuple(args[at + 1:at + 1 + part.guards])))
        at += 1 + part.guards
    return found


def apart(one: StorePart, other: StorePart) -> bool:
    """Whether two parts of a store cannot meet, for all sizes: along some dimension one ends before the other."""
    for a, i, b, j in zip(one.offsets, one.axes, other.offsets, other.axes, strict=True):
        gaps = (b - a - i.dim, a - b - j.dim)
        if any(all(factor >= 0 for _, factor in gap.terms) for gap in gaps):
            return True
    return False


def leaves_its_axis(node: Node, mapping: Mapping[Axis, Node]) -> bool:
    """Whether new indices take a scan off its axis: to a computed place, or to one that another axis moves along."""
    if node.op != "scan":
        return False
    own: Axis = node.attr.axis
    image = mapping.get(own)
    if image is not None and (image.op != "axis" or image.attr.dim != own.dim):
        return True
    target = own if image is None else image.attr
    others = [mapping[a].axes if a in mapping else (a,) for a in node.axes if a != own]
    return any(target in axes for axes in others)


def is_kept(node: Node, mapping: Mapping[Axis, Node]) -> bool:
    """Whether a value that an array holds is read from it under new indices, and not computed for them."""
    return any(test(node, mapping) for test in (leaves_its_axis, is_gathered, is_shared, is_piece))


LITTLE = 4              # operations that are rather done again than kept in an array


def is_data(index: Node) -> bool:
    """Whether an index names many places by what is read from an array."""
    waiting = [index] if index.axes else []
    while waiting:
        node = waiting.pop()
        if node.op == "read":
            return True
        waiting += node.args
    return False


def is_gathered(node: Node, mapping: Mapping[Axis, Node]) -> bool:
    """Whether new indices take a value that is summed, or a function's, to places that data name."""
    if not any(is_data(mapping[axis]) for axis in node.axes if axis in mapping):
        return False
    waiting, seen = [node], set()
    while waiting:
        one = waiting.pop()
        if one.is_reduction or one.op == "scan" or (one.op in OPERATIONS and OPERATIONS[one.op].imports):
            return True
        if one not in seen and not one.is_array:
            seen.add(one)
            waiting += one.args
    return False


def is_piece(node: Node, mapping: Mapping[Axis, Node]) -> bool:
    """Whether new indices take a value that takes work, and that an array keeps, to a literal place.

    It is kept for several of them.
    """
    if not any(index.op == "const" for axis, index in mapping.items() if axis in node.axes):
        return False
    waiting, work = [node], 0
    while waiting and work < LITTLE:
        one = waiting.pop()
        if one.is_reduction or one.op == "scan":
            return True
        if one.op not in ("read", "input", "store", "scatter_add", "call"):
            work += bool(one.args)
            waiting += one.args
    return work >= LITTLE


def is_shared(node: Node, mapping: Mapping[Axis, Node]) -> bool:
    """Whether new indices ask for computed values again and again, as overlapping windows do: two axes in an index."""
    joined = {axis for axis, index in mapping.items() if len(index.axes) > 1}
    return bool(joined & node.axes) and node.op not in ("read", "axis")


def scatter_parts(attr: ScatterAttr, args: Sequence[Node]) -> list[Part]:
    """The parts of a scatter_add."""
    found, at, rank = [], 0, len(attr.shape)
    for guards in attr.guards:
        stop = at + 1 + rank
        found.append(Part(args[at], tuple(args[at + 1:stop]), tuple(args[stop:stop + guards])))
        at = stop + guards
    return found


def on_values(guard: Node) -> bool:
    """Whether a guard compares numbers; the others, of indices, say which points there are."""
    return any(arg.dtype.startswith("float") for arg in guard.args)


def part_axes(part: Part) -> Axes:
    """The axes over which one part of a scatter runs."""
    axes = part.value.axes
    for node in (*part.indices, *part.guards):
        axes = axes | node.axes
    return axes


def whole_axes(shape: Iterable[Dim]) -> tuple[Axis, ...]:
    """One axis for each dimension of an array, told apart where two dimensions are equal."""
    found: list[Axis] = []
    for dim in shape:
        found.append(Axis(dim, sum(axis.dim == dim for axis in found)))
    return tuple(found)


def sorted_axes(axes: Iterable[Axis]) -> list[Axis]:
    """Axes in the one order that does not depend on the run."""
    return sorted(axes, key=axis_order)


def promoted(dtypes: Sequence[str]) -> str:
    """NumPy's promotion among our four types (int64 with float32 gives float32 here)."""
    return max(dtypes, key=DTYPES.index, default="bool")
