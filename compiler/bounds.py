"""The proof of reads: every index lies in its dimension, or the call is refused, or the formula is.

Takes a finished graph of a front end. A read that is inside for every size needs nothing. One that is
outside for every size is a ShapeError now. For the rest a check is appended to `graph.checks`, in the
cheapest form: a comparison of dimensions where the index is affine, otherwise a search over the
read's axes. `Bounds.inside` answers while a front end builds, so that it can guard what is not
proved. The reasoning itself is in `inequalities`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError
from gradc.ir.graph import Check, Graph, Node, Span, sorted_axes

from .inequalities import Form, Reasoner, of_dim, plus, times, to_dim
from .syntax import pointed, shown

Answer = Literal["yes", "no", "unknown"]


def inside(graph: Graph, index: Node, dim: Dim, guards: Iterable[Node] = ()) -> Answer:
    """Whether 0 <= index < dim wherever the guards hold: always ("yes"), never in full ("no"), or unknown.

    "no" means that for every size some point that is read lies outside. Names of dimensions that an
    array binds count as at least 0, and the axes of the index as not empty (else nothing is read).

    >>> from gradc.ir.dims import Axis
    >>> g, n = Graph(), Dim.of("n")
    >>> x, i = g.input("x", shape=(n,)), g.axis(Axis(n, 0))
    >>> inside(g, i, n), inside(g, i + 1, n), inside(g, g.dim("k"), n)
    ('yes', 'no', 'unknown')
    """
    return Bounds(graph).inside(index, dim, guards)


def check_reads(graph: Graph) -> None:
    """Prove every reachable read of the graph, or append a check, or raise ShapeError with a caret."""
    bounds = Bounds(graph)
    for node in graph.reachable():
        if node.op == "read":
            bounds.check(node)


class Bounds:
    """Answers about the indices of one graph; equal questions are answered once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._answers: dict[tuple[Node, Dim, tuple[Node, ...]], Answer] = {}
        self._reasoner = Reasoner(graph)
        self._inputs = len(graph.inputs)
        self._checked = {check.bad for check in graph.checks}

    @property
    def reasoner(self) -> Reasoner:
        """The reasoner, made again when the graph has got more inputs."""
        if len(self.graph.inputs) != self._inputs:
            self._reasoner, self._inputs = Reasoner(self.graph), len(self.graph.inputs)
        return self._reasoner

    def inside(self, index: Node, dim: Dim, guards: Iterable[Node] = ()) -> Answer:
        """The answer of the function `inside`."""
        if index.op == "axis" and index.attr.dim == dim:
            return "yes"
        guards = tuple(guards)
        key = (index, dim, guards)
        if key not in self._answers:
            self._answers[key] = self._answer(index, dim, guards)
        return self._answers[key]

    def _answer(self, index: Node, dim: Dim, guards: tuple[Node, ...]) -> Answer:
        sizes = [axis.dim.constant for axis in index.axes]
        if any(size is not None and size <= 0 for size in sizes):
            return "yes"                                        # an empty axis: nothing is read
        if self._low(index, guards) and self._high(index, dim, guards):
            return "yes"
        reasoner, form = self.reasoner, self.reasoner.form(index)
        below, beyond = plus({}, form, -1, -1), plus(form, of_dim(dim), -1)
        if reasoner.nonnegative(below, guards) or reasoner.nonnegative(beyond, guards):
            return "no"
        if not guards:
            low, high = self.extremes(index)
            nonempty = [plus(of_dim(axis.dim), {}, offset=-1) for axis in index.axes]
            if (low is not None and reasoner.nonnegative(plus({}, low, -1, -1), extra=nonempty)) or (
                    high is not None and reasoner.nonnegative(plus(high, of_dim(dim), -1), extra=nonempty)):
                return "no"
        return "unknown"

    def _low(self, index: Node, guards: tuple[Node, ...]) -> bool:
        return self.reasoner.nonnegative(self.reasoner.form(index), guards, self._points(index))

    def _high(self, index: Node, dim: Dim, guards: tuple[Node, ...]) -> bool:
        room = plus(of_dim(dim), self.reasoner.form(index), -1, -1)
        return self.reasoner.nonnegative(room, guards, self._points(index))

    def _points(self, index: Node) -> list[Form]:
        """The axes of an index have points where it is used."""
        return [plus(of_dim(axis.dim), {}, offset=-1) for axis in index.axes]

    def nonnegative(self, node: Node, guards: Iterable[Node] = ()) -> bool:
        """Whether an integer node is proved to be at least 0."""
        return self._low(node, tuple(guards))

    def extremes(self, index: Node) -> tuple[Form | None, Form | None]:
        """The smallest and the largest value over the axes as forms of dimensions.

        None where the index is not affine in its axes (a factor that is a size is allowed).
        """
        form = self.reasoner.form(index)
        if any(isinstance(atom, Node) and atom.op != "axis" for monomial in form for atom in monomial):
            return None, None
        signs: dict[Node, bool] = {}
        for monomial, factor in form.items():
            axes = [atom for atom in monomial if isinstance(atom, Node)]
            sizes = all(isinstance(atom, Node) or atom in self.reasoner.sizes for atom in monomial)
            if len(axes) > 1 or (axes and not sizes):
                return None, None
            if axes and signs.setdefault(axes[0], factor > 0) != (factor > 0):
                return None, None
        ends: list[Form] = []
        for upward in (False, True):
            total: Form = {}
            for monomial, factor in form.items():
                term: Form = {(): factor}
                for atom in monomial:
                    if isinstance(atom, Node):
                        last = plus(of_dim(atom.attr.dim), {}, offset=-1)
                        term = times(term, last if (factor > 0) == upward else {})
                    else:
                        term = times(term, {(atom,): 1})
                total = plus(total, term)
            ends.append(total)
        return ends[0], ends[1]

    # -- the pass -----------------------------------------------------------------------------

    def check(self, read: Node) -> None:
        """Nothing for a proved read, ShapeError for one outside, else checks on the graph."""
        rank, array = read.attr, read.args[0]
        self.require(self._name(array), array.shape, read.args[1:1 + rank], read.args[1 + rank:],
                     self.graph.spans.get(read))

    def require(self, name: str, shape: Sequence[Dim], indices: Sequence[Node], guards: Sequence[Node],
                span: Span | None) -> None:
        """The same for an array of any kind: its name, its shape, an index for each dimension."""
        for position, (index, dim) in enumerate(zip(indices, shape, strict=True)):
            answer = self.inside(index, dim, guards)
            if answer == "no":
                along = f" along axis {position}" if len(shape) > 1 else ""
                raise self._outside(name, along, index, dim, bool(guards), span)
            if answer == "unknown":
                text = self._text(span)
                message = (f"the index of {name} along axis {position} is outside 0 .. {dim - 1}"
                           + (f" in {text}" if text else ""))
                self._append(index, dim, tuple(guards), message)

    def _append(self, index: Node, dim: Dim, guards: tuple[Node, ...], message: str) -> None:
        graph = self.graph
        low, high = self._low(index, guards), self._high(index, dim, guards)
        if low and high:                                        # proved by a dimension met since it was asked
            return
        least, most = self.extremes(index)
        if not guards and least is not None and most is not None:
            cases = [] if low else [self._beyond(index, least, plus({}, least, -1, -1), None)]
            cases += [] if high else [self._beyond(index, most, plus(most, of_dim(dim), -1), dim)]
            self._add(cases[0] if len(cases) == 1 else graph.apply("or", *cases), message)
            return
        wrong = [] if low else [graph.apply("less", index, 0)]
        wrong += [] if high else [graph.apply("greater_equal", index, graph.dim(dim))]
        bad = wrong[0] if len(wrong) == 1 else graph.apply("or", *wrong)
        axes = index.axes
        for guard in guards:
            axes = axes | guard.axes
        if not axes:
            bad = graph.all_of((*guards, bad))
        for at, axis in enumerate(reversed(sorted_axes(axes))):
            bad = graph.reduce("any", axis, bad, guards if not at else ())
        self._add(bad, message)

    def _beyond(self, index: Node, end: Form, beyond: Form, dim: Dim | None) -> Node:
        """A condition on dimensions alone: the end lies beyond 0 or `dim`, and no axis is empty."""
        graph, reach = self.graph, to_dim(end)
        assert reach is not None
        bad = graph.apply("less", graph.dim(reach), 0) if dim is None else \
            graph.apply("greater_equal", graph.dim(reach), graph.dim(dim))
        for axis in sorted_axes(index.axes):
            points = plus(of_dim(axis.dim), {}, offset=-1)
            if not self.reasoner.nonnegative(points, extra=[beyond]):
                bad = graph.apply("and", bad, graph.apply("greater_equal", graph.dim(axis.dim), 1))
        return bad

    def _add(self, bad: Node, message: str) -> None:
        if bad not in self._checked:
            self._checked.add(bad)
            self.graph.checks.append(Check(bad, message, "IndexError"))

    def _name(self, array: Node) -> str:
        if array.op == "input":
            return str(array.attr.name)
        return self.graph.names.get(array, ["the array"])[0]

    def _text(self, span: Span | None) -> str:
        return shown(" ".join(self.graph.source[span.start:span.stop].split())) if span is not None else ""

    def _outside(self, name: str, along: str, index: Node, dim: Dim, guarded: bool,
                 span: Span | None) -> ShapeError:
        text = self._text(span) or "a read"
        low, high = self.extremes(index)
        least, most = (to_dim(low) if low is not None else None), (to_dim(high) if high is not None else None)
        last = dim - 1
        steps = ", or guard the read: value if condition else other."
        if least is not None and least == most:
            message = f"{text} reads index {least}{along}, and the indices of {name} are 0 .. {last}"
            advice = f"Write an index from 0 to {last}; a negative number counts from the end."
        elif least is not None and most is not None and not guarded:
            excess = (most - last).constant
            if excess is not None and excess > 0:
                message = f"{text} reaches index {most}{along}, and the last index of {name} is {last}"
                advice = f"Let the range end {excess} earlier{self._shorter(index, excess)}{steps}"
            else:
                message = f"{text} reaches index {least}{along}, and the first index of {name} is 0"
                shift = least.constant
                advice = ("Let the range start later" if shift is None else
                          f"Let the range start {-shift} later: range({-shift}, ...)") + steps
        else:
            message = f"{text} is outside {name}{along} at every point; the indices of {name} are 0 .. {last}"
            advice = "Correct the index, or the condition under which it is read."
        return ShapeError(pointed(self.graph.source, span, message, advice))

    def _shorter(self, index: Node, excess: int) -> str:
        axes = list(index.axes)
        form = self.reasoner.form(index)
        if len(axes) != 1 or form.get((), 0) != excess or len(form) != 2:
            return ""
        return f": range({axes[0].dim - excess})"
