"""Arrays in a front end: a node and the order of its axes, with NumPy's broadcasting and indexing.

Arrays of the user exist only while a front end builds: `Array` is a scalar node with an ordered tuple
of axes, and `Arrays` combines such values in one graph as NumPy would (alignment from the right, a
literal dimension 1 stretches, different names must be equal at run time). It also settles what the
table leaves open: truth values count 0 and 1 in arithmetic, whole numbers stay whole where they can.
What is wrong is an `ArrayError`, to which the front end adds the place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import FormulaError, GradcError, ShapeError, SizeError
from gradc.ir.graph import Graph, Node, affine, promoted
from gradc.ir.table import OPERATIONS, REDUCTIONS

from .gathered import Taken, remember

ONE = Dim.of(1)
MAX_INTEGER_TERMS, MAX_INTEGER_DEGREE = 200, 8
_LOGICAL = ("and", "or", "not")
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "eq", "not_equal")


class ArrayError(Exception):
    """What is wrong with a combination of arrays: message, what to do, and the class to raise."""

    def __init__(self, message: str, advice: str = "", error: type[GradcError] = ShapeError) -> None:
        super().__init__(message)
        self.message, self.advice, self.error = message, advice, error


class Array(NamedTuple):
    """A value of a front end: `node` at each point of `axes`, in that order; a scalar has no axes."""

    node: Node
    axes: tuple[Axis, ...] = ()

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The dimensions, in order."""
        return tuple(axis.dim for axis in self.axes)

    @property
    def dtype(self) -> str:
        """The dtype of the elements."""
        return self.node.dtype


class Slice(NamedTuple):
    """A range of indices along one dimension: start + step * axis, `length` of them."""

    start: Node
    step: int
    length: Dim


class NewAxis(NamedTuple):
    """A new dimension of size 1 (`None` in an index)."""


Item = Array | Slice | NewAxis


def fresh(dim: Dim, taken: Iterable[Axis]) -> Axis:
    """The axis of a dimension with the lowest number that is not taken."""
    numbers = {axis.number for axis in taken if axis.dim == dim}
    number = 0
    while number in numbers:
        number += 1
    return Axis(dim, number)


class Arrays:
    """Combines arrays in one graph. `taken` holds the axes of enclosing generators, never an array's."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.taken: list[Axis] = []
        self._widths: dict[Node, int] = {}
        self.gathered: Taken = {}                               # elements, for `settle` when the graph is whole

    # -- axes ---------------------------------------------------------------------------------

    def order(self, shape: Sequence[Dim]) -> tuple[Axis, ...]:
        """Distinct free axes for the dimensions of a shape."""
        axes: list[Axis] = []
        for dim in shape:
            axes.append(fresh(dim, [*self.taken, *axes]))
        return tuple(axes)

    def over(self, array: Array, axes: Sequence[Axis]) -> Array:
        """The array with its axes renamed, position by position."""
        if array.axes == tuple(axes):
            return array
        mapping = {old: self.graph.axis(new) for old, new in zip(array.axes, axes, strict=True) if old != new}
        return Array(self.graph.substitute(array.node, mapping), tuple(axes))

    def apart(self, array: Array) -> Array:
        """The array on axes that no enclosing generator uses."""
        if not self.taken or not set(array.axes) & set(self.taken):
            return array
        return self.over(array, self.order(array.shape))

    def plain(self, array: Array) -> Array:
        """The array on the lowest axes, for a store."""
        return self.over(array, self.order(array.shape))

    # -- broadcasting -------------------------------------------------------------------------

    def unified(self, left: Dim, right: Dim) -> Dim:
        """The dimension of two that meet elementwise; unlike names must be equal at run time."""
        if left == right or right == ONE:
            return left
        return right if left == ONE else self.equal(left, right)

    def equal(self, left: Dim, right: Dim) -> Dim:
        """The dimension of two that must be equal, also where one of them is 1."""
        if left == right:
            return left
        if (left - right).constant is not None:
            raise ArrayError(f"the dimensions {left} and {right} cannot be equal",
                             "Elementwise operands need equal dimensions, or a literal 1 that stretches.")
        if (left, right) not in self.graph.equal and (right, left) not in self.graph.equal:
            self.graph.equal.append((left, right))
        return right if right.constant is not None else left

    def broadcast(self, arrays: Sequence[Array]) -> tuple[list[Node], tuple[Axis, ...]]:
        """The nodes of several arrays over one common order of axes.

        Raises ArrayError for dimensions that cannot be equal.
        """
        leading = max((array.axes for array in arrays), key=len)
        if all(not array.axes or array.axes == leading for array in arrays):
            return [array.node for array in arrays], leading
        rank = max(len(array.axes) for array in arrays)
        padded: list[list[Axis | None]] = [[None] * (rank - len(a.axes)) + list(a.axes) for a in arrays]
        common: list[Axis] = []
        for position in range(rank):
            here = [axes[position] for axes in padded]
            present = [axis for axis in here if axis is not None]
            dim = present[0].dim
            for axis in present[1:]:
                dim = self.unified(dim, axis.dim)
            same = [axis for axis in present if axis.dim == dim and axis not in common]
            used = [*self.taken, *common, *_later(padded, position, dim)]
            common.append(same[0] if same else fresh(dim, used))
        return [self._stretched(array, axes, common).node
                for array, axes in zip(arrays, padded, strict=True)], tuple(common)

    def _stretched(self, array: Array, axes: Sequence[Axis | None], common: Sequence[Axis]) -> Array:
        mapping: dict[Axis, Node] = {}
        for old, new in zip(axes, common, strict=True):
            if old is not None and old != new:
                stretched = old.dim == ONE and new.dim != ONE
                mapping[old] = self.graph.const(0) if stretched else self.graph.axis(new)
        node = self.graph.substitute(array.node, mapping) if mapping else array.node
        return Array(node, tuple(common))

    # -- pointwise operations -----------------------------------------------------------------

    def apply(self, op: str, *arrays: Array) -> Array:
        """A pointwise operation of the table on broadcast operands, with NumPy's treatment of dtypes."""
        nodes, axes = self.broadcast(arrays)
        if op in _COMPARISONS:
            nodes = self._alike(nodes)
        elif op == "select":
            nodes = [nodes[0], *self._alike(nodes[1:])]
        elif op not in _LOGICAL:
            return Array(self._arithmetic(op, nodes), axes)
        return Array(self.graph.apply(op, *nodes), axes)

    def _alike(self, nodes: Sequence[Node]) -> list[Node]:
        """Operands of one kind: truth values among numbers become numbers, whole literals floats."""
        if any(node.dtype != "bool" for node in nodes):
            nodes = [self.number(node) for node in nodes]
        if any(node.dtype.startswith("float") for node in nodes):
            nodes = [self._literal(node, self._like(nodes)) for node in nodes]
        return list(nodes)

    def _like(self, nodes: Sequence[Node]) -> str:
        """The float dtype of some operands, which truth values and whole literals among them take on."""
        given = [n.dtype for n in nodes if n.dtype == "float32" or (n.op != "const" and n.dtype == "float64")]
        return promoted(given or ["float64"])

    def _arithmetic(self, op: str, nodes: Sequence[Node]) -> Node:
        graph, entry = self.graph, OPERATIONS[op]
        nodes = [self.number(node) for node in nodes]
        for position in entry.integers:
            if nodes[position].dtype != "int64":
                raise ArrayError(f"operand {position + 1} of {op} is not a whole number",
                                 'Write an integer, or declare the argument as "int" in args.', FormulaError)
        whole = all(node.dtype == "int64" for node in nodes)
        if whole and op == "pow":
            return self._power(*nodes)
        if whole and op in ("floordiv", "mod"):
            return self._divided(op, *nodes)
        if whole and op in ("add", "sub", "mul", "neg"):
            self._check_width(op, nodes)
            result = graph.apply(op, *nodes)
            self._widths[result] = sum(self._width(node) for node in nodes)
            return result
        if not whole or entry.result == "float":
            like = self._like(nodes)
            nodes = [node if i in entry.integers else self._literal(node, like) for i, node in enumerate(nodes)]
        return graph.apply(op, *nodes)

    def number(self, node: Node) -> Node:
        """A truth value as the whole number 0 or 1; numbers pass."""
        return self.graph.apply("select", node, 1, 0) if node.dtype == "bool" else node

    def _literal(self, node: Node, dtype: str = "float64") -> Node:
        """A whole literal as a float; a choice between 0 and 1 likewise; others pass."""
        if node.op == "const" and node.dtype == "int64":
            return self.graph.const(float(node.value))
        if node.op == "select" and node.dtype == "int64" and all(a.op == "const" for a in node.args[1:]):
            return self.graph.apply("select", node.args[0], *(self.graph.const(a.value, dtype) for a in node.args[1:]))
        return node

    def real(self, node: Node) -> Node:
        """A number as a float."""
        if node.dtype.startswith("float"):
            return node
        literal = self._literal(self.number(node))
        return literal if literal.dtype.startswith("float") else self.graph.apply("real", literal)

    def _power(self, base: Node, exponent: Node) -> Node:
        """A power of whole numbers: whole for literals that fit and exponents 0 to 3, else a float."""
        graph = self.graph
        if exponent.op == "const":
            k = int(exponent.value)
            size = abs(base.value).bit_length() if base.op == "const" else 0
            if base.op == "const" and k >= 0 and (size <= 1 or size * k <= 62):
                return graph.const(int(base.value) ** (min(k, 2 - k % 2) if size <= 1 else k))
            if base.op != "const" and 0 <= k <= 3:
                dim = whole_dim(base)
                if dim is None or not k:
                    return graph.apply("pow", base, exponent)
                result = base
                for _ in range(k - 1):
                    self._check_width("mul", (result, base))
                    result = graph.apply("mul", result, base)
                return result
        return graph.apply("pow", self.real(base), self.real(exponent))

    def _divided(self, op: str, value: Node, divisor: Node) -> Node:
        if divisor.op == "const" and not divisor.value:
            raise ArrayError("a whole number is divided by zero", "Write another divisor.", FormulaError)
        above, below = whole_dim(value), whole_dim(divisor)
        if above is not None and below is not None:
            quotient = above // below
            if op == "floordiv":
                return self.graph.dim(quotient)
            if above.constant is not None and below.constant is not None:
                return self.graph.const(above.constant % below.constant)
        return self.graph.apply(op, value, divisor)

    def _width(self, node: Node) -> int:
        if node.op == "dim":
            return len(node.attr.terms)
        return 0 if node.op == "const" else self._widths.get(node, 1)

    def _check_width(self, op: str, nodes: Sequence[Node]) -> None:
        """Affine forms and dimension polynomials are kept expanded, so their size has a limit."""
        terms = sum(self._width(node) for node in nodes)
        dims = [whole_dim(node) for node in nodes]
        if op == "mul" and all(dim is not None for dim in dims):
            terms = 1
            degree = 0
            for dim in dims:
                if dim is not None:
                    terms *= len(dim.terms)
                    degree += max((len(monomial) for monomial, _ in dim.terms), default=0)
            terms = MAX_INTEGER_TERMS + 1 if degree > MAX_INTEGER_DEGREE else terms
        if terms > MAX_INTEGER_TERMS:
            raise ArrayError("an expression of whole numbers with too many terms or factors",
                             "Make it real by writing 1.0 * in front of its first operand.", SizeError)

    # -- reductions ---------------------------------------------------------------------------

    def reduce(self, op: str, array: Array, positions: Sequence[int] | None = None) -> Array:
        """A reduction of the table over some dimensions (by default all)."""
        chosen = range(len(array.axes)) if positions is None else positions
        node = self.body(op, array.node)
        for position in sorted(chosen, reverse=True):
            node = self.graph.reduce(op, array.axes[position], node)
        return Array(node, tuple(axis for i, axis in enumerate(array.axes) if i not in chosen))

    def body(self, op: str, node: Node) -> Node:
        """The body of a reduction in the dtype that it needs."""
        rule = REDUCTIONS[op].result
        if rule == "bool":
            return node if node.dtype == "bool" else self.graph.apply("not_equal", node, 0)
        node = self.number(node)
        return self._literal(node) if rule == "float" else node

    def matmul(self, left: Array, right: Array) -> Array:
        """NumPy's @ for operands of one or two dimensions."""
        if not 1 <= len(left.axes) <= 2 or not 1 <= len(right.axes) <= 2:
            raise ArrayError("@ takes arrays, and one operand is a number", "Write * for a product.")
        last, first = left.shape[-1], right.shape[0]
        dim = self.unified(last, first)
        if ONE in (last, first) and last != first:
            raise ArrayError(f"the dimensions {last} and {first} cannot be equal",
                             "@ sums over the last dimension of the left and the first of the right operand.")
        outer = self.order([*left.shape[:-1], *right.shape[1:], dim])
        a = self.over(left, [*outer[:len(left.axes) - 1], outer[-1]])
        b = self.over(right, [outer[-1], *outer[len(left.axes) - 1:-1]])
        product = self._arithmetic("mul", (a.node, b.node))
        return Array(self.graph.reduce("sum", outer[-1], product), outer[:-1])

    # -- indexing -----------------------------------------------------------------------------

    def at(self, array: Array, indices: Sequence[Node]) -> Node:
        """The element of a computed array: its axes replaced by the indices."""
        mapping = dict(zip(array.axes, indices, strict=True))
        remember(self.graph, array.node, mapping, self.gathered)
        return self.graph.substitute(array.node, mapping)

    def index_nodes(self, shape: Sequence[Dim], items: Sequence[Item]) -> tuple[list[Node], tuple[Axis, ...]]:
        """The index along each dimension of `shape`, and the axes of the result, as NumPy has them.

        Whole-number arrays among the items are broadcast together; their axes stand where they stood,
        or first if a slice lies between them.
        """
        graph = self.graph
        given = sum(not isinstance(item, NewAxis) for item in items)
        full = [Slice(graph.const(0), 1, dim) for dim in shape[given:]]
        items = [*items, *full]
        pointers = [item for item in items if isinstance(item, Array)]
        nodes, joint = self.broadcast(pointers) if pointers else ([], ())
        places = [i for i, item in enumerate(items) if isinstance(item, Array)]
        adjacent = bool(joint) and places == list(range(places[0], places[-1] + 1))
        shape_out: list[Dim | None] = [] if adjacent or not joint else [None]   # None: the joint axes
        for i, item in enumerate(items):
            if isinstance(item, Slice):
                shape_out.append(item.length)
            elif isinstance(item, NewAxis):
                shape_out.append(ONE)
            elif adjacent and i == places[0]:
                shape_out.append(None)
        axes: list[Axis] = []
        free: list[Axis] = []
        for dim in shape_out:
            if dim is None:
                axes += joint
            else:
                free.append(fresh(dim, [*self.taken, *joint, *free]))
                axes.append(free[-1])
        waiting, pending, found = iter(nodes), iter(free), []
        for item in items:
            if isinstance(item, Array):
                found.append(next(waiting))
            else:
                axis = graph.axis(next(pending))
                if isinstance(item, Slice):
                    step = axis if item.step == 1 else graph.apply("mul", axis, item.step)
                    found.append(graph.apply("add", item.start, step))
        return found, tuple(axes)


def whole_dim(node: Node) -> Dim | None:
    """The integer node as a dimension, if it has no axes and holds no computed number."""
    if node.op == "dim":
        return Dim.of(node.attr)
    if node.op == "const" and node.dtype == "int64":
        return Dim.of(int(node.value))
    if node.dtype != "int64" or node.axes:
        return None
    atoms, offset = affine(node)
    return offset if not atoms else None


def _later(padded: Sequence[Sequence[Axis | None]], position: int, dim: Dim) -> list[Axis]:
    """Axes of a dimension that the operands use further right: a new axis keeps clear of them."""
    return [axis for axes in padded for axis in axes[position + 1:] if axis is not None and axis.dim == dim]
