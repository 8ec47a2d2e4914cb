"""A tape: very long straight-line code as a table of operations, which one small compiled loop goes through.

From some ten thousand operations on, compiling takes longer than most users wait, and code that is run through once
must come from memory, so that going through a table is as fast. The loop's text is made of the spellings of those
operations that the graph uses, an ordinary module, compiled and cached as any other. A tape computes what the text of
the graph says, with every product rounded before it is added to something. It is what a call from Python runs: a
Function's `.source`, `.jit` and `.save` are those of the text. Graphs with loops, conditions on reads, whole numbers or
single precision have no tape; nor are graphs simplified or derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradc.ir.collecting import put_off
from gradc.ir.graph import Graph, Node, scatter_parts, store_parts
from gradc.ir.table import ATOM, OPERATIONS

from .expression import Text, operation
from .load import Entry, Module, load
from .module import Group, imports, result_classes
from .values import called_by

LEAST = 25_000                  # operations; below, compiled code is there as soon, or much faster
VALUES, OPERANDS = "values", 3  # the binary form of what takes more operands is repeated
_Slots = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Written:
    """An array of the result: values are added to its elements, by their places in C order, or put there."""

    places: _Slots
    slots: _Slots
    adds: bool


@dataclass(frozen=True)
class Tape:
    """Everything that a call needs.

    module     the text of the loop
    table      a row for each operation: its number in the loop, where its value goes, where its operands are
    start      the values before the first operation: constants, elsewhere anything
    numbers    for each scalar argument its place among the arguments, and that of its value
    elements   for each array argument its place, which of its elements are read, and the places of their values
    refusals   the place of a condition, and what is raised where it holds
    arrays     names and nodes of the array outputs, in the order in which they are written
    writes     and what goes into them
    flat       names of the other outputs
    returned   and the places of their values, with the type that each has
    results    the named tuples of the result, with the arguments' own names of their fields
    fields     and with the fields' names, as they had to be called
    """

    module: Module
    table: np.ndarray[Any, np.dtype[np.uint32]]
    start: np.ndarray[Any, np.dtype[np.float64]]
    numbers: tuple[tuple[int, int], ...]
    elements: tuple[tuple[int, _Slots, _Slots], ...]
    refusals: tuple[tuple[int, Exception], ...]
    arrays: tuple[tuple[str, Node], ...]
    writes: tuple[Written, ...]
    flat: tuple[str, ...]
    returned: tuple[tuple[int, type], ...]
    results: tuple[tuple[str, tuple[str, ...]], ...]
    fields: dict[str, tuple[str, ...]]

    def bound(self, *, cache: bool) -> Callable[..., Any]:
        """The function of the arguments and then of the arrays to write, which returns the scalars."""
        execute = load(self.module, cache=cache)["execute"]

        def call(*given: Any) -> Any:
            values = self.start.copy()
            for position, slot in self.numbers:
                values[slot] = given[position]
            for position, places, slots in self.elements:
                values[slots] = given[position].reshape(-1)[places]
            execute(self.table, values)
            for slot, refusal in self.refusals:
                if values[slot]:
                    raise type(refusal)(*refusal.args)
            for array, written in zip(given[len(given) - len(self.writes):], self.writes, strict=True):
                flat = array.reshape(-1)
                flat[...] = 0.0
                if written.adds:
                    np.add.at(flat, written.places, values[written.slots])
                else:
                    flat[written.places] = values[written.slots]
            result = tuple(kind(values[slot]) for slot, kind in self.returned)
            return result if len(result) != 1 else result[0]

        return call


@put_off()
def recorded(graph: Graph, groups: Sequence[Group], least: int | None = None) -> Tape | None:
    """The tape of a graph of `least` operations (by default LEAST); None for fewer, and for what has no tape."""
    least = LEAST if least is None else least
    if len(graph.nodes) < least:
        return None
    order = graph.reachable()
    arrays = {node for _, node in graph.outputs if node.op in ("store", "scatter_add")}
    plain = [node for node in order if node not in arrays]
    if sum(node.op in OPERATIONS for node in plain) < least or any(graph.equal):
        return None
    if not all(_fits(node) for node in plain) or any(_written(array) is None for array in arrays):
        return None
    return _Recorder(graph, order, arrays).tape(groups)


def _fits(node: Node) -> bool:
    if node.axes:
        return False
    if node.op == "const":
        return node.dtype != "float32"
    if node.op == "input":
        return node.dtype == "float64" and all(dim.constant is not None for dim in node.shape)
    if node.op == "read":
        rank = node.attr
        return (node.args[0].op == "input" and len(node.args) == 1 + rank
                and all(index.op == "const" for index in node.args[1:]))
    return node.op in OPERATIONS and node.dtype in ("float64", "bool") and (
        OPERATIONS[node.op].arity is None or len(node.args) <= OPERANDS)


def _written(array: Node) -> list[tuple[tuple[int, ...], Node]] | None:
    """Where an array of literal size gets its values, None where that is not known."""
    if array.dtype != "float64" or any(dim.constant is None for dim in array.shape):
        return None
    found: list[tuple[tuple[int, ...], Node]] = []
    if array.op == "scatter_add":
        for value, indices, guards in scatter_parts(array.attr, array.args):
            if guards or value.axes or any(index.op != "const" for index in indices):
                return None
            found.append((tuple(int(index.value) for index in indices), value))
        return found
    if array.attr.base:
        return None
    for part, value, guards in store_parts(array.attr, array.args):
        place = tuple(offset.constant for offset in part.offsets)
        if guards or part.axes or None in place:
            return None
        found.append((tuple(int(at or 0) for at in place), value))
    return found


class _Recorder:
    """Gives every value a place, which another one takes after its last use, and every operation a row."""

    def __init__(self, graph: Graph, order: Sequence[Node], arrays: set[Node]) -> None:
        self.graph = graph
        self.kept = {node for _, node in graph.outputs} | {check.bad for check in graph.checks}
        self.kept |= {value for array in arrays for _, value in _written(array) or ()}
        self.order = [node for node in order if node not in arrays and not node.is_array]
        self.uses: dict[Node, int] = {}
        for node in self.order:
            for arg in node.args:
                self.uses[arg] = self.uses.get(arg, 0) + 1
        self.slots: dict[Node, int] = {}
        self.free: list[int] = []
        self.size = 0
        self.texts: dict[str, int] = {}
        self.called: set[str] = set()
        self.rows: list[tuple[int, int, int, int, int]] = []

    def tape(self, groups: Sequence[Group]) -> Tape:
        """The whole tape."""
        given = [node for node in self.order if node.op in ("const", "input", "read")]
        for node in given:                                      # filled before the first operation
            self.slots[node] = self._take()
        for node in self.order:
            if node.op in OPERATIONS:
                self._record(node)
        start = np.zeros(self.size)
        for node in given:
            if node.op == "const":
                start[self.slots[node]] = float(node.value)
        inputs = list(self.graph.inputs.values())
        arrays = tuple((key, node) for key, node in self.graph.outputs if node.is_array)
        results, _, fields = result_classes(self.graph, groups)
        scalars = [(key, node) for key, node in self.graph.outputs if not node.is_array]
        return Tape(
            self._module(), np.array(self.rows, np.uint32), start,
            tuple((k, self.slots[node]) for k, node in enumerate(inputs) if node in self.slots),
            tuple(self._elements(inputs, given)),
            tuple((self.slots[check.bad], ERRORS[check.error](check.message)) for check in self.graph.checks),
            arrays, tuple(self._writes(node) for _, node in arrays), tuple(key for key, _ in scalars),
            tuple((self.slots[node], bool if node.dtype == "bool" else float) for _, node in scalars),
            results, fields)

    def _take(self) -> int:
        if self.free:
            return self.free.pop()
        self.size += 1
        return self.size - 1

    def _record(self, node: Node) -> None:
        operands = [self.slots[arg] for arg in node.args]
        several = OPERATIONS[node.op].arity is None
        if several:                                             # written more than once, so it has a place of its own
            target = self._take()
        for arg in node.args:
            self.uses[arg] -= 1
            if not self.uses[arg] and arg not in self.kept:
                self.free.append(self.slots[arg])
        if several:
            for k, operand in enumerate(operands[1:]):
                self._row(node, target, [target if k else operands[0], operand])
        else:
            target = self._take()
            self._row(node, target, operands)
        self.slots[node] = target

    def _row(self, node: Node, target: int, operands: Sequence[int]) -> None:
        places: list[Text] = [(f"{VALUES}[table[k, {2 + j}]]", ATOM) for j in range(len(operands))]
        text = operation(node, places)[0]
        if text not in self.texts:
            self.called.update(called_by(node.op))
            self.called.update(name for name in ("inf", "nan") if name in text)
        number = self.texts.setdefault(text, len(self.texts))
        first, second, third = (*operands, 0, 0)[:OPERANDS]
        self.rows.append((number, target, first, second, third))

    def _module(self) -> Module:
        lines = ["def execute(table, values):", '    """Go through the table: operation, place of the value, places '
                 'of the operands."""', "    k = 0", "    while k < table.shape[0]:", "        operation = table[k, 0]"]
        for text, number in self.texts.items():
            lines.append(f"        {'el' * (number > 0)}if operation == {number}:")
            lines.append(f"            {VALUES}[table[k, 1]] = {text}")
        text = "\n".join([*lines, "        k += 1"])
        helpers, texts, wanted = imports(self.called, [text], [])
        source = "\n".join(['"""A loop through a table of operations on numbers."""\n', *wanted, "",
                            *(f"\n{part}\n" for part in (*texts, text))])
        return Module(source, helpers, (Entry("execute", ("const uint32[:,::1]", "float64[::1]")),))

    def _elements(self, inputs: Sequence[Node], given: Sequence[Node]) -> Iterator[tuple[int, _Slots, _Slots]]:
        for k, array in enumerate(inputs):
            reads = [node for node in given if node.op == "read" and node.args[0] is array]
            if reads:
                places = [_place(array, tuple(int(index.value) for index in node.args[1:])) for node in reads]
                yield k, np.array(places), np.array([self.slots[node] for node in reads])

    def _writes(self, array: Node) -> Written:
        parts = _written(array) or []
        places = np.array([_place(array, place) for place, _ in parts], np.int64)
        return Written(places, np.array([self.slots[value] for _, value in parts], np.int64),
                       adds=array.op == "scatter_add")


ERRORS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (ValueError, IndexError, FloatingPointError)}


def _place(array: Node, index: tuple[int, ...]) -> int:
    """The place of an element in C order."""
    place = 0
    for dim, at in zip(array.shape, index, strict=True):
        place = place * int(dim.constant or 0) + at
    return place
