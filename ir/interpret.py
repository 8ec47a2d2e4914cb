"""The interpreter: what a graph means, in NumPy, one node after the other.

It takes a graph and a value for each input, and gives the outputs or the value of any node. Every
node becomes a scalar, or an array over its axes in the one order of `sorted_axes`; both branches of a
choice are computed, and nothing is fused, so this is slow, plain, and the oracle that generated code
is compared with. With a context of mpmath (`exact=mpmath.mp`) the same walk is done in arbitrary
precision. Derivatives, loops and code are left to others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .dims import Axis, Dim
from .errors import ArgumentError, DomainError, GradcError, GraphError, ShapeError, UnsupportedError
from .graph import Axes, Graph, Node, ScanAttr, on_values, part_axes, scatter_parts, sorted_axes, store_parts
from .implicit import equations
from .interpret_demand import demanded
from .interpret_implicit import solution
from .interpret_numbers import ExactNumbers, FloatNumbers
from .interpret_routines import MEANINGS, WHOLE, as_domain_error
from .table import OPERATIONS, REDUCTIONS

ERRORS: dict[str, type[GradcError]] = {"ShapeError": ShapeError, "ArgumentError": ArgumentError,
                                       "IndexError": ShapeError}


def evaluate(graph: Graph, arguments: Mapping[str, Any], exact: Any = None) -> list[Any]:
    """The outputs of a graph, in their order.

    arguments  one value for each input of the graph: a number, or an array of the declared shape
    exact      None for NumPy, or a context of mpmath for arbitrary precision (objects, slow)

    A missing, unknown or mistyped argument is an ArgumentError; a dimension that disagrees or an
    index outside its dimension is a ShapeError; an empty reduction without a value, or a condition
    that the graph refuses, is a DomainError.

    >>> g = Graph()
    >>> x = g.input("x")
    >>> g.outputs = [("f", x * x + 1.0)]
    >>> float(evaluate(g, {"x": 3})[0])
    10.0
    """
    run = Run(graph, arguments, exact)
    values = run.values_of([node for _, node in graph.outputs])
    return [values[node] for _, node in graph.outputs]


def evaluate_nodes(
    graph: Graph,
    arguments: Mapping[str, Any],
    nodes: Iterable[Node] | None = None,
    exact: Any = None,
    needed: Iterable[Node] | None = None,
) -> dict[Node, Any]:
    """The value of each of `nodes` (by default of all that outputs and checks need).

    A node with axes gives an array over `sorted_axes(node.axes)`. Errors are those of `evaluate`; an empty
    reduction is one only where `needed` (by default all of `nodes`) needs its value.
    """
    wanted = graph.reachable() if nodes is None else list(nodes)
    return Run(graph, arguments, exact).values_of(wanted, None if needed is None else list(needed))


def bind_dimensions(graph: Graph, arguments: Mapping[str, Any]) -> dict[str, int]:
    """The size of every dimension name: from the first array that has exactly that name as a
    dimension, otherwise from the integer argument of that name. Disagreements are ShapeErrors.
    """
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    for name, node in graph.inputs.items():
        for position, dim in enumerate(node.shape):
            if dim.name is not None and dim.name not in sizes:
                sizes[dim.name] = int(np.shape(arguments[name])[position])
                origin[dim.name] = f"dimension {position + 1} of {name}"
    for name, node in graph.inputs.items():
        if not node.shape and node.dtype == "int64" and name not in sizes:
            sizes[name] = int(arguments[name])
            origin[name] = f"the argument {name}"
    for name, node in graph.inputs.items():
        for position, dim in enumerate(node.shape):
            declared, given = max(0, _size(dim, sizes)), int(np.shape(arguments[name])[position])
            if declared != given:
                source = " and ".join(origin[n] for n in sorted(dim.names()))
                of = f" (from {source})" if source else ""
                raise ShapeError(
                    f"dimension {position + 1} of {name} is {given}, but {dim} is {declared}{of}"
                )
    for left, right in graph.equal:
        a, b = _size(left, sizes), _size(right, sizes)
        if a != b:
            raise ShapeError(f"the dimensions {left} = {a} and {right} = {b} must be equal here")
    return sizes


def _size(dim: Dim, sizes: Mapping[str, int]) -> int:
    unknown = sorted(dim.names() - set(sizes))
    if unknown:
        raise ShapeError(
            f"no argument gives the size of the dimension {unknown[0]}: "
            f"declare an integer argument {unknown[0]}, or an array with that dimension"
        )
    return dim.evaluate(sizes)


class Run:
    """One evaluation: the sizes, the values so far, and one method for each kind of node."""

    def __init__(self, graph: Graph, arguments: Mapping[str, Any], exact: Any) -> None:
        self.graph = graph
        self.numbers: FloatNumbers = FloatNumbers() if exact is None else ExactNumbers(exact)
        with np.errstate(all="ignore"):  # mpmath's numbers raise flags as they are made
            self.arguments = self._converted(arguments)
        self.sizes = bind_dimensions(graph, self.arguments)
        self.values: dict[Node, Any] = {}
        self._orders: dict[Axes, tuple[Axis, ...]] = {}
        self._empty: list[Node] = []
        self._kinds: dict[str, Callable[[Node], Any]] = {
            "input": lambda node: self.arguments[node.attr.name],
            "const": self._const,
            "dim": self._dim,
            "axis": self._axis,
            "read": self._read,
            "scan": self._scan,
            "store": self._store,
            "scatter_add": self._scatter_add,
            "call": self._call,
            "ruled": lambda node: self.values[node.args[0]],
        }

    def values_of(self, wanted: Sequence[Node], needed: Sequence[Node] | None = None) -> dict[Node, Any]:
        """The values of some nodes; the checks come first, and intermediate values are dropped."""
        bad = [check.bad for check in self.graph.checks]
        with np.errstate(all="ignore"):
            self._walk(bad)
            for check in self.graph.checks:
                if np.any(self.values[check.bad]):
                    raise ERRORS.get(check.error, DomainError)(check.message)
            self._walk(wanted)
            if self._empty:
                self._refuse_empty([*bad, *(wanted if needed is None else needed)])
        return {node: self.values[node] for node in wanted}

    def _walk(self, wanted: Sequence[Node]) -> None:
        order = self.graph.reachable(wanted)
        uses: dict[Node, int] = dict.fromkeys(wanted, 1)
        for node in order:
            for arg in node.args:
                uses[arg] = uses.get(arg, 0) + 1
        for node in order:
            if node not in self.values:
                self.values[node] = self._value(node)
            for arg in node.args:
                uses[arg] -= 1
                if not uses[arg]:
                    self.values.pop(arg, None)

    def _value(self, node: Node) -> Any:
        if node.is_reduction:
            return self._reduce(node)
        if node.op in OPERATIONS:
            args = [self.over(a, node.axes) for a in node.args]
            return self.numbers.apply(node.op, node.dtype, args)
        kind = self._kinds.get(node.op)
        if kind is None:
            raise GraphError(f"the interpreter knows no node of kind {node.op}")
        return kind(node)

    # -- arguments ----------------------------------------------------------------------------

    def _converted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        known = self.graph.inputs
        for name in arguments:
            if name not in known:
                raise ArgumentError(f"there is no argument {name}; the arguments are {', '.join(known)}")
        found = {}
        for name, node in known.items():
            if name not in arguments:
                raise ArgumentError(f"the argument {name} is missing")
            value = self.numbers.argument(name, node.dtype, arguments[name])
            rank = len(node.shape)
            if np.ndim(value) != rank:
                shown = f"an array of {rank} dimensions" if rank else "a number"
                raise ShapeError(f"{name} must be {shown}, not of {np.ndim(value)} dimensions")
            found[name] = value
        return found

    # -- axes ---------------------------------------------------------------------------------

    def order(self, axes: Axes) -> tuple[Axis, ...]:
        """The axes of a value, in the order of its array's dimensions."""
        found = self._orders.get(axes)
        if found is None:
            found = self._orders[axes] = tuple(sorted_axes(axes))
        return found

    def size(self, axis: Axis) -> int:
        """How many points an axis has; a negative dimension means none."""
        return max(0, _size(axis.dim, self.sizes))

    def shape(self, axes: Iterable[Axis]) -> tuple[int, ...]:
        """The sizes of some axes."""
        return tuple(self.size(axis) for axis in axes)

    def over(self, node: Node, axes: Axes) -> Any:
        """The value of a node laid out over more axes, with size 1 along those that it lacks."""
        value = self.values[node]
        if node.axes == axes or not node.axes:
            return value
        return value.reshape([self.size(a) if a in node.axes else 1 for a in self.order(axes)])

    def _full(self, node: Node, axes: Axes) -> Any:
        return np.broadcast_to(self.over(node, axes), self.shape(self.order(axes)))

    def mask(self, guards: Sequence[Node], axes: Axes) -> Any:
        """Where all guards hold, over all of `axes`."""
        mask = np.ones(self.shape(self.order(axes)), dtype=bool)
        for guard in guards:
            mask &= np.asarray(self.over(guard, axes), dtype=bool)
        return mask

    # -- leaves and reads ---------------------------------------------------------------------

    def _const(self, node: Node) -> Any:
        return self.numbers.number(node.dtype, node.value)

    def _dim(self, node: Node) -> Any:
        return self.numbers.number("int64", _size(node.attr, self.sizes))

    def _axis(self, node: Node) -> Any:
        return self.numbers.indices(self.size(node.attr))

    def _read(self, node: Node) -> Any:
        array, rank = node.args[0], node.attr
        indices, guards = node.args[1 : 1 + rank], node.args[1 + rank :]
        mask = self.mask(guards, node.axes)
        points = [np.asarray(self._full(i, node.axes), dtype=np.int64) for i in indices]
        self._inside(node, points, mask)
        source = self.values[array]
        if not source.size:
            return self.numbers.zeros(mask.shape, node.dtype)[()]
        found = source[tuple(np.where(mask, index, 0) for index in points)]
        if guards:
            found = np.where(mask, found, self.numbers.number(node.dtype, 0))
        return found[()] if isinstance(found, np.ndarray) else found

    def _inside(self, node: Node, points: Sequence[Any], mask: Any) -> None:
        """A ShapeError for the first index outside its dimension that no guard excludes."""
        array = node.args[0]
        for position, index in enumerate(points):
            size = self.values[array].shape[position]
            bad = mask & ((index < 0) | (index >= size))
            if bad.any():
                name = array.attr.name if array.op == "input" else self._name_of(array)
                raise ShapeError(
                    f"the index {int(index[bad].flat[0])} is outside dimension {position + 1} "
                    f"of {name}, which is {array.shape[position]} = {size}"
                )

    def _name_of(self, node: Node) -> str:
        names = self.graph.names.get(node)
        return names[0] if names else f"the computed array %{node.id}"

    # -- reductions and scans -----------------------------------------------------------------

    def _reduce(self, node: Node) -> Any:
        axis, body, guards = node.attr, node.args[0], node.args[1:]
        axes = node.axes | {axis}
        place = self.order(axes).index(axis)
        values, mask = self._full(body, axes), self.mask(guards, axes)
        if REDUCTIONS[node.op].identity is None:
            filled = mask.any(axis=place, keepdims=True)
            if not filled.all():
                self._empty.append(node)  # an error only where the value is needed: see _refuse_empty
                mask = mask | ~filled
            if not mask.shape[place]:
                return self.numbers.zeros(self.shape(self.order(node.axes)), node.dtype)[()]
        return self.numbers.reduce(node.op, node.dtype, values, mask, place)

    def _refuse_empty(self, wanted: Sequence[Node]) -> None:
        """A DomainError for an empty reduction whose value is needed.

        It is not where it stands in a branch that is not taken, or under a guard that fails there.
        """
        empty = set(self._empty)
        self._walk(self.graph.reachable(wanted))
        needed = demanded(self, wanted)
        for node in sorted(empty, key=lambda n: n.id):
            axis = node.attr
            axes = node.axes | {axis}
            filled = self.mask(node.args[1:], axes).any(axis=self.order(axes).index(axis))
            if np.any(needed.get(node, False) & ~filled):
                raise DomainError(self._empty_message(node))

    def _empty_message(self, node: Node) -> str:
        dim = node.attr.dim
        size = self.size(node.attr)
        name = self.graph.names.get(node, [node.op])[0]
        shown = f"{dim}" if dim.constant is not None else f"{dim} = {size}"
        where = "whose condition holds nowhere" if size else "which is empty"
        known = "" if name == node.op else f" ({name})"
        return (
            f"the reduction {node.op}{known} over the dimension {shown}, {where}, has no value: "
            "give it at least one element"
        )

    def _scan(self, node: Node) -> Any:
        attr: ScanAttr = node.attr
        place = self.order(node.axes).index(attr.axis)
        args = [np.moveaxis(self._full(a, node.axes), place, 0) for a in node.args]
        if attr.reverse:
            args = [a[::-1] for a in args]
        total = self.numbers.zeros(args[0].shape, node.dtype)
        extremum = {"max": np.maximum, "min": np.minimum}.get(attr.kind)
        carried: Any = self.numbers.worst(attr.kind, total) if extremum else self.numbers.number(
            node.dtype, 1 if attr.kind == "prod" else 0)
        for i in range(len(total)):
            if not attr.inclusive:
                total[i] = carried
            if extremum:
                carried = extremum(carried, args[0][i])
            elif attr.kind == "linrec":
                carried = args[0][i] * carried + args[1][i]
            else:
                carried = carried * args[0][i] if attr.kind == "prod" else carried + args[0][i]
            if attr.inclusive:
                total[i] = carried
        return np.moveaxis(total[::-1] if attr.reverse else total, 0, place)

    # -- arrays -------------------------------------------------------------------------------

    def _array_shape(self, dims: Iterable[Dim]) -> tuple[int, ...]:
        return tuple(max(0, _size(dim, self.sizes)) for dim in dims)

    def _store(self, node: Node) -> Any:
        array = self.numbers.zeros(self._array_shape(node.attr.shape), node.dtype)
        if node.attr.base:
            base = self.values[node.args[0]]
            if base.shape != array.shape:
                raise ShapeError(f"an array of shape {array.shape} cannot be stored over one of {base.shape}")
            array[...] = base
        for part, value, guards in store_parts(node.attr, node.args):
            axes = frozenset(part.axes)
            mask = self.mask(guards, axes)
            if not part.axes:  # an array without dimensions has one element
                array[()] = self.values[value] if mask else array[()]
                continue
            where = np.nonzero(mask)
            order = self.order(axes)
            target = [
                where[order.index(axis)] + _size(offset, self.sizes)
                for axis, offset in zip(part.axes, part.offsets, strict=True)
            ]
            self._inside_store(node, target, array.shape)
            array[tuple(target)] = self._full(value, axes)[where]
        return array

    def _scatter_add(self, node: Node) -> Any:
        array = self.numbers.zeros(self._array_shape(node.attr.shape), node.dtype)
        written = np.zeros(array.shape, np.int64)
        for part in scatter_parts(node.attr, node.args):
            axes = part_axes(part)
            if node.attr.once:
                points = np.nonzero(np.atleast_1d(self.mask([g for g in part.guards if not on_values(g)], axes)))
                places = [np.atleast_1d(self._full(i, axes))[points].astype(np.int64) for i in part.indices]
                self._inside_store(node, places, array.shape)
                np.add.at(written, tuple(places), 1)
            where = np.nonzero(np.atleast_1d(self.mask(part.guards, axes)))
            target = [np.atleast_1d(self._full(i, axes))[where].astype(np.int64) for i in part.indices]
            self._inside_store(node, target, array.shape)
            values = np.atleast_1d(self._full(part.value, axes))[where]
            if target:
                np.add.at(array, tuple(target), values)
            else:  # an array without dimensions has one element
                array[()] = np.add.reduce(values, initial=array[()])
        if node.attr.once and (written != 1).any():
            place = tuple(map(int, np.argwhere(written != 1)[0]))
            raise GraphError(f"{self._name_of(node)} promises to write each element once, and writes that at "
                             f"{list(place)} {int(written[place])} times: make it without `once`")
        return array

    def _call(self, node: Node) -> Any:
        attr, operands = node.attr, [self.values[arg] for arg in node.args]
        solved = equations(attr.routine)
        meaning = MEANINGS[attr.routine] if solved is None else functools.partial(solution, solved)
        leading = operands[0].shape[:attr.batch]
        if isinstance(self.numbers, ExactNumbers) and attr.routine not in WHOLE:
            raise UnsupportedError(f"the routine {attr.routine} has no value in high precision: "
                                   "evaluate the graph without a context")
        made = self.numbers.zeros(self._array_shape(attr.shape), node.dtype)
        try:
            for point in np.ndindex(leading):
                made[point] = meaning(*(array[point] for array in operands))[attr.result]
        except (ValueError, IndexError, ArithmeticError) as error:          # a routine may be the user's own
            raise as_domain_error(error, f"{attr.routine}: {error}") from None
        return made

    def _inside_store(self, node: Node, target: Sequence[Any], shape: tuple[int, ...]) -> None:
        for position, (index, size) in enumerate(zip(target, shape, strict=True)):
            bad = index[(index < 0) | (index >= size)]
            if bad.size:
                raise ShapeError(
                    f"the index {int(bad[0])} is outside dimension {position + 1} of "
                    f"{self._name_of(node)}, which is {node.attr.shape[position]} = {size}"
                )
