"""The graph: scalars with named axes, one interned node for each value, operands before users.

A node stands for a scalar at each point of its axes. Arrays exist only at the edges: inputs are
read with an index, outputs are stored over axes or scattered. `Graph` makes nodes through
constructors that intern them, name bound axes canonically (the lowest number that is not among the
reduction's free axes), keep integer arithmetic in affine normal form, and leave everything else
as it was written; a `fold` given to the graph may replace a node by a simpler one as it is made
(derived graphs use it, the user's own graph does not). Axes are replaced in `substitution`. The module
knows no derivatives and no code.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from . import arithmetic, elementary, special  # noqa: F401  (they fill the table)
from .affine import affine, combine
from .dims import Axis, Dim
from .drawing import drawn
from .errors import GraphError
from .nodes import (
    ARRAYS,
    DTYPES,
    NO_AXES,
    Axes,
    CallAttr,
    Check,
    Fold,
    InputAttr,
    Node,
    Operand,
    Part,
    RuledAttr,
    ScanAttr,
    ScatterAttr,
    Span,
    StoreAttr,
    StorePart,
    Vocabulary,
    apart,
    is_kept,
    is_shared,
    on_values,
    pack,
    part_axes,
    promoted,
    scatter_parts,
    sorted_axes,
    store_parts,
    unpack,
    whole_axes,
)
from .routines import ROUTINES
from .substitution import lowest_free, substitute_all
from .table import OPERATIONS, REDUCTIONS, RESULTS

__all__ = [
    "ARRAYS", "DTYPES", "NO_AXES", "Axes", "CallAttr", "Check", "Fold", "Graph", "InputAttr", "Node",
    "Operand", "Part", "RuledAttr", "ScanAttr", "ScatterAttr", "Span", "StoreAttr", "StorePart", "Vocabulary",
    "affine", "apart", "copy_graph", "follow", "is_shared", "on_values", "pack", "part_axes", "promoted",
    "scatter_parts", "sorted_axes", "store_parts", "unpack", "whole_axes",
]


_NUMBER = operator.attrgetter("id")


@dataclass
class Graph:
    """A growing graph with its inputs, outputs and provenance.

    inputs    name -> input node, in the order of the arguments
    outputs   (name, node) in order: scalars (no axes) or array nodes
    names     node -> the user's names for it, first name first
    spans     node -> where it came from
    equal     pairs of dimensions that must agree at run time, found by the front end
    checks    conditions refused at run time (an index out of its dimension, a kink)
    source    the user's own text (the formula), for headers and carets
    remarks   output name -> what made it, for a comment
    forwards  whether a read of an array that one store makes is the stored value itself
    """

    fold: Fold | None = None
    nodes: list[Node] = field(default_factory=list)
    inputs: dict[str, Node] = field(default_factory=dict)
    outputs: list[tuple[str, Node]] = field(default_factory=list)
    names: dict[Node, list[str]] = field(default_factory=dict)
    spans: dict[Node, Span] = field(default_factory=dict)
    notes: dict[Node, str] = field(default_factory=dict)
    equal: list[tuple[Dim, Dim]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    source: str = ""
    remarks: dict[str, str] = field(default_factory=dict)
    forwards: bool = True
    _table: dict[Any, Node] = field(default_factory=dict, repr=False)
    _applied: dict[Any, Node] = field(default_factory=dict, repr=False)     # apply's memo, by operand numbers

    # -- making nodes -------------------------------------------------------------------------

    def _make(self, op: str, args: tuple[Node, ...], attr: Any, axes: Axes, dtype: str) -> Node:
        key = (op, tuple([a.id for a in args]), attr, dtype)
        node = self._table.get(key)
        if node is None:
            node = Node(self, len(self.nodes), op, args, attr, axes, dtype)
            self._table[key] = node
            self.nodes.append(node)
        return node

    def const(self, value: int | float | bool, dtype: str | None = None) -> Node:
        """A literal; the dtype follows from the Python type unless it is given."""
        if dtype is None:
            dtype = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "float64"
        return self._make("const", (), pack(dtype, value), NO_AXES, dtype)

    def node(self, value: Operand, like: str | None = None) -> Node:
        """A node for an operand: nodes pass, numbers become constants (of the dtype `like`)."""
        if isinstance(value, Node):
            if value.graph is not self:
                raise GraphError(f"{value} belongs to another graph")
            return value
        if like is not None and like.startswith("float") and not isinstance(value, bool):
            return self.const(float(value), like)
        return self.const(value)

    def input(self, name: str, dtype: str = "float64", shape: Sequence[Dim | int | str] = ()) -> Node:
        """An argument: a scalar, or an array of the given dimensions."""
        if name in self.inputs:
            raise GraphError(f"the input {name} is declared twice")
        attr = InputAttr(name, tuple(Dim.of(d) for d in shape))
        self.inputs[name] = self._make("input", (), attr, NO_AXES, dtype)
        return self.inputs[name]

    def dim(self, dim: Dim | int | str) -> Node:
        """The value of a dimension, an integer."""
        dim = Dim.of(dim)
        if dim.constant is not None:
            return self.const(dim.constant)
        return self._make("dim", (), dim, NO_AXES, "int64")

    def axis(self, axis: Axis) -> Node:
        """The index along an axis, an integer."""
        return self._make("axis", (), axis, frozenset((axis,)), "int64")

    def read(self, array: Node, indices: Sequence[Operand], guards: Iterable[Node] = ()) -> Node:
        """The element of an array at integer index nodes, read only where the guards hold.

        Where a guard fails the element is 0 and memory is not touched. A read of a store whose only
        part covers the whole array is the stored node itself, its axes replaced by the indices, unless
        that computes sums anew at places that data name, or asks for one element again and again.
        """
        if len(indices) != len(array.shape):
            raise GraphError(f"{len(indices)} indices for an array of {len(array.shape)} dimensions")
        index = tuple(self.node(i) for i in indices)
        kept = self.conjunction(guards)
        if kept is None:
            return self.const(0.0, array.dtype) if array.dtype.startswith("float") else self.const(0)
        forwarded = None if kept else self._forward(array, index)
        if forwarded is not None:
            return forwarded
        args = (array, *index, *kept)
        return self._make("read", args, len(index), self._union(args), array.dtype)

    def _forward(self, array: Node, indices: tuple[Node, ...]) -> Node | None:
        if array.op == "scatter_add" and self.forwards and not array.args:
            return self.const(0.0, array.dtype)                 # nothing was added
        if array.op != "store" or array.attr.base or len(array.attr.parts) != 1 or not self.forwards:
            return None
        part: StorePart = array.attr.parts[0]
        whole = tuple(axis.dim for axis in part.axes) == array.attr.shape
        if part.guards or not whole or any(offset != Dim.of(0) for offset in part.offsets):
            return None
        mapping = dict(zip(part.axes, indices, strict=True))
        value = array.args[0]
        return None if is_kept(value, mapping) else self.substitute(value, mapping)

    def apply(self, op: str, *operands: Operand) -> Node:
        """A pointwise operation of the table; numbers among the operands become constants."""
        key = (op, *[o.id if isinstance(o, Node) and o.graph is self else None for o in operands])
        known = self._applied.get(key) if None not in key else None
        if known is None:
            known = self._apply(op, operands)
            if None not in key:
                self._applied[key] = known
        return known

    def _apply(self, op: str, operands: tuple[Operand, ...]) -> Node:
        entry = OPERATIONS.get(op)
        if entry is None:
            raise GraphError(f"no operation {op} in the table")
        if entry.arity is not None and len(operands) != entry.arity:
            raise GraphError(f"{op} takes {entry.arity} operands, not {len(operands)}")
        if not entry.integers and self._are_reals(operands):    # nothing to promote: nearly always
            args, dtype = cast(tuple[Node, ...], operands), RESULTS.get(entry.result, "float64")
        else:
            like = promoted([o.dtype for o in operands if isinstance(o, Node) and o.op != "const"])
            args = tuple([self.node(o, None if i in entry.integers else like) for i, o in enumerate(operands)])
            args, dtype = self._typed(op, entry.result, args)
        if dtype == "int64" and op in ("add", "sub", "mul", "neg"):
            combined = combine(op, [affine(a) for a in args])
            return self._integer(op, *args) if combined is None else self._affine_node(*combined)
        if self.fold is not None:
            simpler = self.fold(self, op, args, None)
            if simpler is not None:
                return simpler
        return self._make(op, args, None, self._union(args), dtype)

    def _are_reals(self, operands: tuple[Operand, ...]) -> bool:
        for operand in operands:
            if not isinstance(operand, Node) or operand.dtype != "float64" or operand.graph is not self:
                return False
        return True

    def _typed(self, op: str, rule: str, args: tuple[Node, ...]) -> tuple[tuple[Node, ...], str]:
        values = args[1:] if op == "select" else args
        dtype = RESULTS.get(rule)
        if dtype is None:
            known = [a.dtype for a in values]
            if "float32" in known and all(a.op == "const" for a in values):
                known = ["float32"]                             # it was given a dtype: a literal beside it has none
            dtype = promoted([a.dtype for a in values if a.op not in ("const", "real")] or known)   # nor has a size
            widest = promoted([a.dtype for a in values])
            if widest.startswith("float") and not dtype.startswith("float"):
                dtype = widest
            if rule == "float" and not dtype.startswith("float"):
                dtype = "float64"
            if dtype == "bool" and op not in ("select", "and", "or", "not"):
                dtype = "int64"
        if dtype == "float32" and rule != dtype:  # weak constants and integers take part without promoting
            args = tuple(
                self.const(a.value, "float32") if a.op == "const" and a.dtype == "float64" else a
                for a in args
            )
        return args, dtype

    def _affine_node(self, coefficients: dict[Node, int], offset: Dim) -> Node:
        total: Node | None = None
        negative: list[tuple[Node, int]] = []
        for atom, factor in sorted(coefficients.items(), key=lambda item: item[0].id):
            if factor < 0:
                negative.append((atom, -factor))
                continue
            term = self._scaled(atom, factor)
            total = term if total is None else self._integer("add", total, term)
        constant = offset.constant
        if total is None and (constant is None or constant != 0 or not negative):
            total, constant, offset = self.dim(offset), 0, Dim.of(0)
        for atom, factor in negative:
            term = self._scaled(atom, factor)
            total = self._integer("neg", term) if total is None else self._integer("sub", total, term)
        assert total is not None
        if constant is None:
            return self._integer("add", total, self.dim(offset))
        if constant:
            step = self.const(abs(constant))
            return self._integer("add" if constant > 0 else "sub", total, step)
        return total

    def _scaled(self, atom: Node, factor: int) -> Node:
        return atom if factor == 1 else self._integer("mul", self.const(factor), atom)

    def _integer(self, op: str, *args: Node) -> Node:
        return self._make(op, args, None, self._union(args), "int64")

    def reduce(self, op: str, axis: Axis, body: Node, guards: Iterable[Node] = ()) -> Node:
        """A reduction of `body` over one axis, over the points where all guards hold.

        The bound axis gets its canonical name: the lowest number of its dimension that is not among
        the free axes of the result. So two equal reductions are one node.
        """
        kept = self.conjunction(guards)
        if kept is None:
            identity = REDUCTIONS[op].identity
            if identity is not None:
                return self.node(identity, body.dtype)
            kept = (self.const(False),)
        if self.fold is not None:
            simpler = self.fold(self, op, (body, *kept), axis)
            if simpler is not None:
                return simpler
        free = self._union((body, *kept)) - {axis}
        canonical = Axis(axis.dim, lowest_free(axis.dim, free))
        if canonical != axis:
            changed = self.substitute_all((body, *kept), {axis: self.axis(canonical)})
            body, kept = changed[0], tuple(sorted(changed[1:], key=lambda n: n.id))
        rule = REDUCTIONS[op].result
        dtype = RESULTS.get(rule, body.dtype)
        if (rule == "float" and not dtype.startswith("float")) or dtype == "bool" != rule:
            dtype = "float64" if rule == "float" else "int64"
        return self._make(op, (body, *kept), canonical, frozenset(free), dtype)

    def scan(self, kind: str, axis: Axis, body: Sequence[Node], *, inclusive: bool = False,
             reverse: bool = False) -> Node:
        """A running sum, product, extremum or linear recurrence along one axis, which stays free.

        "sum", "prod", "max" and "min" take one operand; "linrec" takes (a, b) and is e[i+1] = a[i] e[i] + b[i] from
        e = 0, always exclusive. With `reverse` the axis is run from its end.
        """
        args = tuple(body)
        axes = self._union(args) | {axis}
        return self._make("scan", args, ScanAttr(kind, axis, inclusive, reverse), axes, args[-1].dtype)

    def store(self, axes: Sequence[Axis], node: Node) -> Node:
        """The array whose element at (axes) is the node."""
        return self.store_parts(tuple(a.dim for a in axes),
                                [(tuple(axes), tuple(Dim.of(0) for _ in axes), (), node)])

    def store_parts(
        self, shape: Sequence[Dim],
        parts: Sequence[tuple[tuple[Axis, ...], tuple[Dim, ...], tuple[Node, ...], Node]],
        base: Node | None = None,
    ) -> Node:
        """An array put together from parts (axes, offsets, guards, node) over an optional base.

        Later parts win. Elements that no part covers are the base's, or 0.
        """
        args: list[Node] = [] if base is None else [base]
        kept: list[StorePart] = []
        for axes, offsets, guards, node in parts:
            known = self.conjunction(guards)
            if known is None:
                continue
            if not node.axes <= set(axes):
                raise GraphError("a stored node varies over an axis that the store has not")
            args += [node, *known]
            kept.append(StorePart(axes, offsets, len(known)))
        dtype = promoted([node.dtype for *_, node in parts] + ([base.dtype] if base else []))
        attr = StoreAttr(tuple(shape), tuple(kept), base is not None)
        return self._make("store", tuple(args), attr, NO_AXES, dtype)

    def ruled(self, name: str, value: Node, operands: Sequence[Node], rule: str, passes: Sequence[int],
              tangent: str = "") -> Node:
        """The array `value`, whose cotangent goes to the operands (arrays) by a rule: see RuledAttr."""
        attr = RuledAttr(name, rule, tuple(passes), value.shape, tangent)
        return self._make("ruled", (value, *operands), attr, NO_AXES, value.dtype)

    def scatter_add(self, shape: Sequence[Dim], parts: Sequence[Part], dtype: str = "float64", *,
                    once: bool = False) -> Node:
        """The array that starts at 0 and to which every part adds its value at its indices; `once`: see ScatterAttr."""
        args: list[Node] = []
        guards: list[int] = []
        for part in parts:
            kept = self.conjunction(part.guards)
            if kept is None:
                continue
            args += [part.value, *part.indices, *kept]
            guards.append(len(kept))
        return self._make("scatter_add", tuple(args), ScatterAttr(tuple(shape), tuple(guards), once), NO_AXES, dtype)

    def call(self, routine: str, arrays: Sequence[Node], result: int = 0, batch: int = 0) -> Node:
        """A result of a library routine on whole arrays, run for each point of `batch` leading dimensions."""
        entry = ROUTINES[routine]
        shape = (*arrays[0].shape[:batch], *entry.shapes([array.shape[batch:] for array in arrays])[result])
        dtype = entry.dtype or promoted([array.dtype for array in arrays])
        return self._make("call", tuple(arrays), CallAttr(routine, result, batch, shape), NO_AXES, dtype)

    # -- conditions ---------------------------------------------------------------------------

    def conjunction(self, guards: Iterable[Node]) -> tuple[Node, ...] | None:
        """Guards as a sorted tuple without repetitions; None if one of them is False."""
        kept: set[Node] = set()
        waiting = list(guards)
        while waiting:
            guard = waiting.pop()
            if guard.op == "and":
                waiting.extend(guard.args)
            elif guard.op == "const":
                if not guard.value:
                    return None
            else:
                kept.add(guard)
        return tuple(sorted(kept, key=lambda n: n.id))

    def all_of(self, guards: Iterable[Node]) -> Node:
        """One boolean node for a conjunction of guards (True when there are none)."""
        kept = self.conjunction(guards)
        if kept is None:
            return self.const(False)
        if not kept:
            return self.const(True)
        total = kept[0]
        for guard in kept[1:]:
            total = self.apply("and", total, guard)
        return total

    # -- taking nodes apart -------------------------------------------------------------------

    def rebuild(self, node: Node, args: Sequence[Node], attr: Any = None) -> Node:
        """A node like `node` (of this or another graph) with other operands, through the constructors."""
        attr = node.attr if attr is None else attr
        if attr is None and node.op in OPERATIONS:
            return self.apply(node.op, *args)
        if node.is_reduction:
            return self.reduce(node.op, attr, args[0], args[1:])
        if node.op == "read":
            return self.read(args[0], args[1:1 + attr], args[1 + attr:])
        if node.op == "const":
            return self._make("const", (), attr, NO_AXES, node.dtype)
        if node.op == "dim":
            return self.dim(attr)
        if node.op == "axis":
            return self.axis(attr)
        if node.op == "input":
            known = self.inputs.get(attr.name)
            return known if known is not None else self.input(attr.name, node.dtype, attr.shape)
        if node.op == "scan":
            return self.scan(attr.kind, attr.axis, args, inclusive=attr.inclusive, reverse=attr.reverse)
        if node.op == "store":
            parts = [(part.axes, part.offsets, guards, value)
                     for part, value, guards in store_parts(attr, args)]
            return self.store_parts(attr.shape, parts, args[0] if attr.base else None)
        if node.op == "scatter_add":
            return self.scatter_add(attr.shape, scatter_parts(attr, args), node.dtype, once=attr.once)
        if node.op == "ruled":
            return self.ruled(attr.name, args[0], args[1:], attr.rule, attr.passes, attr.tangent)
        if node.op == "call":
            return self.call(attr.routine, args, attr.result, attr.batch)
        raise GraphError(f"no constructor for a node of kind {node.op}")

    def substitute(self, root: Node, mapping: Mapping[Axis, Node]) -> Node:
        """The node with free axes replaced by index nodes, avoiding capture."""
        return self.substitute_all((root,), mapping)[0]

    def substitute_all(self, roots: Sequence[Node], mapping: Mapping[Axis, Node]) -> list[Node]:
        """Several nodes at once; the work is shared between them.

        A running sum or product that would no longer run along one axis of its own is stored, and read there.
        """
        return substitute_all(self, roots, mapping)

    def reachable(self, roots: Iterable[Node] | None = None) -> list[Node]:
        """The nodes that the roots (by default outputs and checks) need, operands before users."""
        if roots is None:
            return self._needed([node for _, node in self.outputs] + [check.bad for check in self.checks])
        stack = list(roots)
        seen: set[Node] = set()
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(node.args)
        return sorted(seen, key=_NUMBER)

    def _needed(self, roots: Sequence[Node]) -> list[Node]:
        """The same for most of the graph: one look at each node, users before operands."""
        wanted = bytearray(len(self.nodes))
        for node in roots:
            wanted[node.id] = 1
        for node in reversed(self.nodes):
            if wanted[node.id]:
                for operand in node.args:
                    wanted[operand.id] = 1
        return list(itertools.compress(self.nodes, wanted))

    def name(self, node: Node, name: str) -> Node:
        """Give a node one of the user's names."""
        known = self.names.setdefault(node, [])
        if name not in known:
            known.append(name)
        return node

    @property
    def title(self) -> str:
        """The user's text on one line: a line that ends outside brackets ends a statement."""
        text, depth = "", 0
        for line in self.source.splitlines():
            kept = line.partition("#")[0] if "\n" in self.source else line
            if kept.strip():
                joint = "" if not text else " " if depth or text.endswith(";") else "; "
                text += joint + " ".join(kept.split())
            depth += sum((c in "([{") - (c in ")]}") for c in kept)
        return text

    def _union(self, args: Sequence[Node]) -> Axes:
        axes = NO_AXES
        for node in args:
            if node.axes is not axes and node.axes:
                axes = node.axes if not axes or axes <= node.axes else axes | node.axes
        return axes

    def __str__(self) -> str:
        from .text import to_text

        return to_text(self)

    def to_dot(self) -> str:
        """The graph as Graphviz DOT text."""
        return drawn(self, "dot")

    def to_svg(self) -> str:
        """The graph as a picture, SVG text."""
        return drawn(self, "svg")

    def _repr_svg_(self) -> str:
        return self.to_svg()

    # -- naming operations in rules -----------------------------------------------------------

    @property
    def ops(self) -> Vocabulary:
        """Operations by name: `g.ops.sin(x)`."""
        return Vocabulary(self)


def copy_graph(graph: Graph, fold: Fold | None = None,
               change: Callable[[Graph, Node, list[Node]], Node | None] | None = None) -> Graph:
    """A new graph with the reachable nodes, made again through the constructors.

    `change(new_graph, old_node, new_operands)` may give another node; None keeps the node as it is.
    Names, spans and notes follow their node.
    """
    new = Graph(fold=fold, source=graph.source, equal=list(graph.equal), remarks=dict(graph.remarks),
                forwards=graph.forwards)
    for name, node in graph.inputs.items():
        new.input(name, node.dtype, node.shape)
    made: dict[Node, Node] = {}
    for node in graph.reachable():
        args = [made[a] for a in node.args]
        result = change(new, node, args) if change is not None else None
        made[node] = result if result is not None else new.rebuild(node, args)
        follow(graph, node, new, made[node])
    new.outputs = [(name, made[node]) for name, node in graph.outputs]
    new.checks = [Check(made[c.bad], c.message, c.error) for c in graph.checks]
    return new


def follow(graph: Graph, node: Node, new: Graph, image: Node) -> None:
    """Carry a node's provenance over to its image in another graph."""
    for name in graph.names.get(node, ()):
        new.name(image, name)
    if node in graph.spans:
        new.spans.setdefault(image, graph.spans[node])
    if node in graph.notes:
        new.notes.setdefault(image, graph.notes[node])
