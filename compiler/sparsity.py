"""Sparse Jacobians and Hessians at run time: the pattern of given sizes and indices, found once, then values alone.

`Sparse` stands beside a dense derivative (`f.jacobian.sparse`). For given sizes and indices it evaluates the rows and
columns of all entries (see `entries`), makes of them the structure of one SciPy array for each block, and finds the
slot of every entry in its data; this `Structure` is kept. Each call compares sizes and index arrays with those kept,
and runs compiled code that writes the values into their slots. Where the slots of an entry are a first one and a step
along each axis, as in most large problems, no array of them is read; small steps are literal numbers of the code until
another structure has others.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from gradc.codegen.module import Group, safe_fields
from gradc.codegen.results import result_class
from gradc.ir.dims import Axis
from gradc.ir.errors import ArgumentError, DerivativeError, ShapeError
from gradc.ir.graph import Graph, on_values, promoted
from gradc.ir.interpret import evaluate

from . import arguments
from .collect import FAR
from .entries import Entries, Entry, Statements, hessian_entries, jacobian_entries, pattern_graph, values_graph
from .passes import once_each, refine
from .per_element import Pair, pairs
from .slots import Entered, Frame, Places, Write, Written, frame_of, placed, refuse_outside, steps_of, written_once

if TYPE_CHECKING:
    from .function import Function
    from .spy import Spy

OWNERS = ("jacobian", "hessian", "value_and_jacobian")
KEPT = 8                # structures
MOST_KEPT = 2**17       # slots up to which fixed values are copied: a larger array would come from memory
PLAIN = 4096            # slots from which on a compilation of its own for steps in place of arrays is worth while
LITERAL = 64            # up to which a first slot or a step is taken to be the same for other sizes


class Structure(NamedTuple):
    """What is kept for sizes and indices.

    shapes  of all arguments, whole numbers as they are; `indices` copies of the arguments that places depend on
    frames  the matrices; `models` SciPy arrays of them, for copies, `bases` the fixed values of those that have some
    slots   for each entry its slots
    once    for each matrix whether the statements of `written` write each slot once, or add to it
    written the statements of each matrix with their slots; fixed values that are `kept` are in none
    ready   the compiled function and what it takes after the arguments, once they are known
    """

    shapes: list[Any]
    indices: dict[int, Any]
    frames: list[Frame]
    models: list[Any]
    bases: list[np.ndarray[Any, Any]]
    slots: list[np.ndarray[Any, Any]]
    once: list[bool]
    written: list[Written]
    ready: list[Any]

    @property
    def size(self) -> int:
        """The number of slots."""
        return sum(frame.size for frame in self.frames)

    def holds(self, graph: Graph, values: Sequence[Any]) -> bool:
        """Whether it is that of these arguments."""
        return self.shapes == _shapes(graph, values) and all(
            np.array_equal(kept, values[k]) for k, kept in self.indices.items())


def _shapes(graph: Graph, values: Sequence[Any]) -> list[Any]:
    return [value.shape if node.shape else value if node.dtype == "int64" else None
            for node, value in zip(graph.inputs.values(), values, strict=True)]


class Sparse:
    """A Jacobian or Hessian as SciPy sparse arrays; `f.jacobian.sparse` and `f.hessian.sparse` are such functions.

    Called as the function, it gives what the dense derivative gives, with a `csr_array` in place of each block: its
    rows are the elements of the output and its columns those of the argument, both in the order of memory (C order).
    The pattern depends on sizes and on whole numbers and truth values alone: it is found at the first call, found
    again if one of these changes, and shared by the results, whose index arrays are therefore read-only. Entries that
    happen to be 0 are stored. `out=` takes the array that receives the data (a tuple for several matrices),
    `workspace=` memory for buffers, as `workspace` makes it.

    stacked   the same as one matrix: all outputs one below the other, all of `wrt` side by side
    csc, coo  the same in other formats
    values    the Function behind it: after the arguments it takes what `places(...)` gives, and returns the data

    >>> import gradc
    >>> f = gradc.compile("x**2 * y", args={"x": "n"}, jit=False)
    >>> f.jacobian.sparse([1.0, 2.0], 3.0).x.toarray()
    array([[ 6.,  0.],
           [ 0., 12.]])
    >>> f.jacobian.sparse.stacked([1.0, 2.0], 3.0).toarray()
    array([[ 6.,  0.,  1.],
           [ 0., 12.,  4.]])
    """

    def __init__(self, owner: Function, *, format: str = "csr", stacked: bool = False, given: Any = None,
                 source: Sparse | None = None) -> None:
        if owner.primal is None or owner.__name__ not in OWNERS:
            raise DerivativeError(f"{owner.__name__} has no sparse form and no pattern: sparse, pattern and "
                                  "draw_pattern belong to f.jacobian, f.hessian and f.value_and_jacobian")
        self._owner, self._function = owner, owner.primal.plain
        self._format, self._stacked, self._given, self._source = format, stacked, given, source
        self._structures: list[Structure] = []
        self._compiled: dict[tuple[tuple[Statements, ...], tuple[Pair, ...], tuple[Pair, ...], bool], Function] = {}
        self._settled: dict[tuple[Statements, ...], tuple[Statements, ...]] = {}
        self.__name__ = "sparse"

    # -- what it is ---------------------------------------------------------------------------

    args = property(lambda self: self._function.args, doc="Names of the arguments, in order.")
    wrt = property(lambda self: self._function.wrt, doc="Names of the arguments by which derivatives are taken.")
    rows = property(lambda self: (), doc="None: `values` is compiled for the sizes.")
    options = property(lambda self: self._function.options, doc="How the function is compiled.")
    graph = property(lambda self: self.values.graph, doc="The graph of `values`.")
    source = property(lambda self: self.values.source, doc="The generated Python text of `values`.")
    jit = property(lambda self: self.values.jit, doc="`values` for nopython code: `J.jit(*args, *J.places(*args))`.")

    @property
    def groups(self) -> tuple[Group, ...]:
        """How matrices (and the value) make up the result."""
        if not self._stacked:
            return self._owner.groups
        return (*self._owner.groups[:-1], Group(("stacked",))) if self._with_value else (Group(("stacked",)),)

    @functools.cached_property
    def stacked(self) -> Sparse:
        """One matrix: the rows of all outputs, the columns of all of `wrt`, each in the order of memory."""
        return self if self._stacked else Sparse(self._owner, format=self._format, stacked=True, source=self._first)

    def _as(self, format: str) -> Sparse:
        if format == self._format:
            return self
        given = self._given and [frame_of(self._assembled(frame, np.ones(frame.size)), format) for frame in self._given]
        return Sparse(self._owner, format=format, stacked=self._stacked, given=given, source=self._first)

    csr = functools.cached_property(lambda self: self._as("csr"))
    csc = functools.cached_property(lambda self: self._as("csc"))
    coo = functools.cached_property(lambda self: self._as("coo"))

    def within(self, pattern: Any) -> Sparse:
        """The same with the entries of a given sparse array, in its order: places without an entry hold 0.

        pattern  a SciPy sparse array or matrix (stored zeros count), for several matrices a tuple of them

        A call whose entries are not all in it raises ShapeError.

        >>> import gradc, scipy.sparse
        >>> f = gradc.compile("x**2", args={"x": "n"}, jit=False)
        >>> f.jacobian.sparse.within(scipy.sparse.csr_array([[1, 1], [0, 1]]))([1.0, 2.0]).data
        array([2., 0., 4.])
        """
        given = [frame_of(one, self._format) for one in (pattern if isinstance(pattern, (tuple, list)) else [pattern])]
        if len(given) != self._count:
            raise ArgumentError(f"{len(given)} patterns are given, and there are {self._count} matrices: give one for "
                                "each, or take .stacked")
        return Sparse(self._owner, format=self._format, stacked=self._stacked, given=given, source=self._first)

    @property
    def _first(self) -> Sparse:
        return self._source or self

    @property
    def _with_value(self) -> bool:
        return self._owner.__name__ == "value_and_jacobian"

    @functools.cached_property
    def _found(self) -> tuple[Entries, Graph, tuple[str, ...]]:
        """The entries, the graph of their places and the arguments that these depend on; the forms share them."""
        if self._source is not None:
            return self._source._found
        f = self._function
        base, made = (f.grad, hessian_entries) if self._owner.__name__ == "hessian" else (f, jacobian_entries)
        entries = made(base.prepared, f.wrt, f.options.kinks)
        return (entries, *pattern_graph(entries))

    @functools.cached_property
    def _count(self) -> int:
        entries = self._found[0]
        return 1 if self._stacked else len(entries.rows) * len(entries.columns)

    def _matrix(self, block: tuple[int, int]) -> int:
        """The number of the matrix in which a block stands."""
        return 0 if self._stacked else block[0] * len(self._found[0].columns) + block[1]

    # -- compiled form ------------------------------------------------------------------------

    @property
    def values(self) -> Function:
        """The Function of the data, which takes an array of slots for each entry after the arguments."""
        found: list[list[Write]] = [[] for _ in range(self._count)]
        for number, entry in enumerate(self._found[0].entries):
            found[self._matrix(entry.block)].append(_alone(number, entry.axes))
        return self._values(tuple(Statements(False, tuple(own)) for own in found))

    def _values(self, statements: tuple[Statements, ...], fewer: tuple[Pair, ...] = (), far: tuple[Pair, ...] = (), *,
                kept: bool = False) -> Function:
        """Compiled for these statements, and for elements that are (far) fewer than places gather them."""
        key = statements, fewer, far, kept
        if key not in self._compiled:
            start, entries = time.perf_counter(), self._found[0]
            blocks = [(i, j) for i in range(len(entries.rows)) for j in range(len(entries.columns))]
            found = values_graph(entries, {block: self._matrix(block) for block in blocks}, statements,
                                 with_value=self._with_value, kept=kept)
            groups = [Group((key,)) for key in (*found.value, *found.data)]
            graph = once_each(refine(found.graph), fewer, far) if fewer else found.graph
            made = self._function._made("values", graph, groups, cast("Function", self), start)
            made._inner = frozenset(found.added)
            self._compiled[key] = made
        return self._compiled[key]

    def places(self, /, *args: Any, **keywords: Any) -> tuple[Any, ...]:
        """What `values` takes after these arguments: the number of slots of each matrix, and the slots of the entries.

        >>> import gradc
        >>> J = gradc.compile("x**2", args={"x": "n"}, jit=False).jacobian.sparse
        >>> J.values([1.0, 2.0], *J.places([1.0, 2.0]))
        array([2., 4.])
        """
        found = self._structure(arguments.normalised(self._function.graph, arguments.bind(self.args, args, keywords)))
        order = sorted(range(len(found.slots)), key=lambda k: self._matrix(self._found[0].entries[k].block))
        return self._added(found, [], [found.slots[k] for k in order], kept=False)

    def _added(self, found: Structure, numbers: Sequence[int], slots: Sequence[Any], *, kept: bool) -> tuple[Any, ...]:
        bases, given = found.bases if kept else [], [array if array.ndim else int(array) for array in slots]
        return (*(frame.size for frame in found.frames), *bases, np.array(numbers, np.int64), *given)

    def _compiled_for(self, found: Structure, sizes: Mapping[str, int]) -> tuple[Function, tuple[Any, ...]]:
        """The compiled function, and what it takes after the arguments."""
        literal = [once and all(write.rule is not None or not write.entries for write, _ in own)     # one kind of loop
                   for once, own in zip(found.once, found.written, strict=True)]
        now = tuple(Statements(once, tuple(write._replace(rule=_rule(write, plain)) for write, _ in own))
                    for once, plain, own in zip(found.once, literal, found.written, strict=True))
        shape = tuple(own._replace(writes=tuple(map(_opened, own.writes))) for own in now)
        settled = tuple(own._replace(writes=tuple(map(_agreed, own.writes, before.writes)))
                        for own, before in zip(now, self._settled.get(shape, now), strict=True))
        self._settled[shape] = settled
        open_ = [(full, write) for own, left in zip(found.written, settled, strict=True)
                 for full, write in zip(own, left.writes, strict=True)]
        numbers = [number for (full, _), write in open_ for number, kept in zip(
            full.rule or (), write.rule or (), strict=True) if kept is None and number is not None]
        large, kept = found.size >= PLAIN, found.size <= MOST_KEPT
        fewer = tuple(pair for pair in pairs(self._found[0].graph) if _is_fewer(pair, sizes)) if large else ()
        far = tuple(pair for pair in fewer if _is_fewer(pair, sizes, FAR))
        slots = [slots for (_, slots), write in open_ if write.rule is None]
        return self._values(settled, fewer, far, kept=kept), self._added(found, numbers, slots, kept=kept)

    # -- calls --------------------------------------------------------------------------------

    def __call__(self, /, *args: Any, out: Any = None, workspace: Any = None, **keywords: Any) -> Any:
        """The matrices for arguments; errors are those of a Function, and ShapeError as `within` says."""
        if keywords or len(args) != len(self.args):
            args = tuple(arguments.bind(self.args, args, keywords))
        if any(map(arguments.is_traced, args)):
            raise DerivativeError("a sparse derivative cannot be called in a function that is being traced: call the "
                                  "dense one there")
        values = arguments.normalised(self._function.graph, args)
        found = self._structure(values)
        run, added = self._ready(found, values)
        lent = {} if workspace is None else {"workspace": workspace}
        given = run(*values, *added, out=out, **lent)
        parts = list(given) if len(run.groups) > 1 else [given]
        first = len(parts) - len(found.frames)
        parts[first:] = map(_filled, found.models, parts[first:])
        if len(parts) == 1:
            return parts[0]
        keys = [key for group in self.groups for key in group.keys]
        return self._put_together(dict(zip(keys, parts, strict=True)))

    def _ready(self, found: Structure, values: Sequence[Any]) -> tuple[Function, tuple[Any, ...]]:
        """The Function for a structure, and what it takes after the arguments."""
        if not found.ready:
            found.ready[:] = self._compiled_for(found, arguments.check_dimensions(self._function.graph, values))
        run, added = found.ready
        return run, added

    def workspace(self, /, *args: Any, **keywords: Any) -> np.ndarray[Any, Any]:
        """Memory for the buffers of calls with these arguments, given as `workspace=`: see `Function.workspace`.

        >>> import gradc
        >>> J = gradc.compile("x * sum(x)", args={"x": "n"}, jit=False).jacobian.sparse
        >>> J([1.0, 2.0], workspace=J.workspace([1.0, 2.0])).toarray()
        array([[4., 1.],
               [2., 5.]])
        """
        values = arguments.normalised(self._function.graph, arguments.bind(self.args, args, keywords))
        run, added = self._ready(self._structure(values), values)
        return run.workspace(*values, *added)

    def pattern(self, /, *args: Any, **keywords: Any) -> Any:
        """The structure for arguments, True where an entry may be other than 0: sparse arrays of truth values."""
        found = self._structure(arguments.normalised(self._function.graph, arguments.bind(self.args, args, keywords)))
        parts = [_filled(model, np.ones(model.nnz, bool)) for model in found.models]
        groups = self.groups[1:] if self._with_value else self.groups
        return self._put_together(dict(zip((k for group in groups for k in group.keys), parts, strict=True)), groups)

    def draw_pattern(self, /, *args: Any, **keywords: Any) -> Spy:
        """A picture of the structure of the stacked matrix; it shows itself in Jupyter, and `save` writes the SVG."""
        from .spy import Spy

        return Spy(self.stacked.coo.pattern(*args, **keywords))

    def save(self, path: Any) -> None:
        """A file holds no pattern: refused."""
        raise DerivativeError(f"a sparse derivative is not saved to {path}, since a file holds no pattern of given "
                              "sizes: save the dense one, or write its .source and what .places(...) gives")

    def _assembled(self, frame: Frame, data: Any) -> Any:
        from scipy import sparse

        kind = {"csr": sparse.csr_array, "csc": sparse.csc_array, "coo": sparse.coo_array}[self._format]
        return kind((data, frame.parts) if self._format == "coo" else (data, *frame.parts), shape=frame.shape)

    def _put_together(self, found: Mapping[str, Any], groups: Sequence[Group] | None = None) -> Any:
        def joined(group: Group, values: list[Any]) -> Any:
            if group.result:
                return result_class(group.result, safe_fields(group.fields), group.fields,
                                    "gradc.compiler.function")(*values)
            return values[0] if len(values) == 1 else tuple(values)

        parts = [group.made(found.__getitem__, joined) for group in groups or self.groups]
        return parts[0] if len(parts) == 1 else tuple(parts)

    # -- structure ----------------------------------------------------------------------------

    def _structure(self, values: Sequence[Any]) -> Structure:
        """The structure for arguments: one that is kept, or a new one."""
        graph = self._function.graph
        for found in self._structures:
            if found.holds(graph, values):
                return found
        found = self._new(graph, values)
        self._structures[:0] = [found]
        del self._structures[KEPT:]
        return found

    def _new(self, graph: Graph, values: Sequence[Any]) -> Structure:
        entries, pattern, read = self._found
        sizes = arguments.check_dimensions(graph, values)
        try:
            places = evaluate(pattern, dict(zip(graph.inputs, values, strict=True)))
        except ShapeError as error:                             # an index out of its dimension
            raise ShapeError(arguments.at_sizes(error, sizes)) from None
        counts = [[int(np.prod([max(dim.evaluate(sizes), 0) for dim in shape], dtype=np.int64)) for shape in shapes]
                  for shapes in (entries.rows, entries.columns)]
        tops = [np.cumsum([0, *own]) if self._stacked else np.zeros(len(own) + 1, np.int64) for own in counts]
        shapes = [(sum(counts[0]), sum(counts[1]))] if self._stacked else [(r, c) for r in counts[0] for c in counts[1]]
        members: list[list[tuple[int, Places]]] = [[] for _ in shapes]
        for k, entry in enumerate(entries.entries):
            (i, j), (row, column, there) = entry.block, map(np.asarray, places[3 * k:3 * k + 3])
            there = there.astype(bool)
            refuse_outside(row, column, there, counts[0][i], counts[1][j])
            members[self._matrix(entry.block)].append((k, (row + tops[0][i], column + tops[1][j], there)))
        slots: dict[int, Any] = {}
        frames, bases, models = [], [], []
        fixed = dict(zip((k for k, entry in enumerate(entries.entries) if entry.fixed),
                         places[3 * len(entries.entries):], strict=True))
        for number, (shape, own) in enumerate(zip(shapes, members, strict=True)):
            given = self._given[number] if self._given is not None else None
            frame, found = placed(shape, [place for _, place in own], self._format, given)
            frames.append(frame)
            slots |= {k: one for (k, _), one in zip(own, found, strict=True)}
            dtype = promoted([entries.dtypes[b] for b in entries.dtypes if self._matrix(b) == number])
            models.append(self._assembled(frame, np.zeros(frame.size, dtype)))
            if any(k in fixed for k, _ in own):
                bases.append(np.zeros(frame.size, dtype))
                for k, (_, _, there) in own:
                    if k in fixed:
                        np.add.at(bases[-1], slots[k][there], np.broadcast_to(fixed[k], there.shape)[there])
        numbers = map(list(graph.inputs).index, read)
        total = sum(frame.size for frame in frames)
        entered = [[Entered(k, entries.entries[k].axes, slots[k], there, not _is_shown(entries.entries[k]))
                    for k, (_, _, there) in own] for own in members]
        once, written = zip(*(self._written(own, frame.size, total)
                              for own, frame in zip(entered, frames, strict=True)), strict=True)
        return Structure(_shapes(graph, values), {k: np.array(values[k]) for k in numbers}, frames, models,
                         bases, [slots[k] for k in range(len(entries.entries))], list(once), list(written), [])

    def _written(self, entered: Sequence[Entered], size: int, total: int) -> tuple[bool, Written]:
        """Whether each slot of a matrix is written once, and the statements; `total` is the size of all matrices."""
        entries = self._found[0].entries
        own = [one for one in entered if not (total <= MOST_KEPT and entries[one.number].fixed)]
        conditions = [guard for one in own for guard in entries[one.number].guards
                      if guard not in entries[one.number].shown]
        if total >= PLAIN and len(own) == len(entered) and all(map(on_values, conditions)):
            once = written_once(own, size)
            if once is not None:
                return True, once
        found: Written = []
        for one in own:
            rule = steps_of(one.slots) if total >= PLAIN and one.there.all() else None
            found.append((_alone(one.number, one.axes, rule), one.slots))
        return False, found

    def __repr__(self) -> str:
        return f"<gradc sparse {self._owner.__name__}({', '.join(self.args)})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (self._owner, self._format, self._stacked, self._given)


def _is_fewer(pair: Pair, sizes: Mapping[str, int], share: int = 2) -> bool:
    """Whether elements that are gathered are at most such a share (half, a third) of the places that gather them."""
    element, places = pair
    return share * element.evaluate(sizes) <= math.prod(dim.evaluate(sizes) for dim in places)


def _alone(number: int, axes: Sequence[Axis], rule: Sequence[int] | None = None) -> Write:
    """A statement for one entry."""
    return Write(((number, (None,) * len(axes)),), tuple(axes), None if rule is None else tuple(rule), rule is not None)


def _is_shown(entry: Entry) -> bool:
    return len(entry.shown) == len(entry.guards)


def _rule(write: Write, literal: bool) -> tuple[int | None, ...] | None:
    """The rule of a statement with the numbers that are literal in its code."""
    return write.rule and tuple(number if literal and number is not None and abs(number) <= LITERAL else None
                                for number in write.rule)


def _opened(write: Write) -> Write:
    return write._replace(rule=write.rule and (None,) * len(write.rule))


def _agreed(one: Write, other: Write) -> Write:
    """A statement with the numbers that two have in common."""
    return one._replace(rule=one.rule and tuple(a if a == b else None for a, b in zip(
        one.rule, other.rule or (), strict=True)))


def _filled(model: Any, data: Any) -> Any:
    """A matrix of the same structure, which it shares, with other data."""
    made = object.__new__(type(model))                         # what copy.copy does, in a third of its time
    made.__dict__.update(model.__dict__, data=data)
    return made


def rebuild(owner: Function, format: str, stacked: bool, given: Any) -> Sparse:
    """What a pickle calls."""
    made: Any = owner.sparse
    made = made.stacked if stacked else made
    made = getattr(made, format)
    return made if given is None else Sparse(owner, format=format, stacked=stacked, given=given, source=made._first)
