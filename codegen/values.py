"""Values as text, as a place in a loop program sees them: a local, an element of a buffer, or the whole expression.

Base of the printer of `python`, which fills in the names of axes, arrays, buffers and locals; nothing here prints a
statement, except the locals that long or repeated parts of an expression are given before it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from math import prod

from gradc.ir.dims import Axis, Dim
from gradc.ir.graph import Graph, Node
from gradc.ir.table import AND, ATOM, MULTIPLY, OPERATIONS

from .expression import Text, bracket, closure, dimension, extent, leaf, operation
from .items import Item
from .names import CALLED, Names
from .program import Home, Path, Program
from .tiles import TILE
from .uses import repeated_values, stored_at_once

WIDTH = 88                      # longer single-use expressions are given a local


@functools.cache
def called_by(op: str) -> tuple[str, ...]:
    """The functions that an operation of the table is spelled with."""
    return tuple(CALLED.findall(OPERATIONS[op].spelling))


class ValuePrinter:
    """The text of nodes in one program.

    names      the allocator, which already knows the arguments
    variables  input node -> identifier
    dims       dimension name -> identifier
    arrays     array node -> identifier of the array that holds it
    """

    def __init__(self, program: Program, names: Names, inputs: dict[Node, str], dims: dict[str, str],
                 outputs: dict[Node, str]) -> None:
        self.program, self.names = program, names
        self.graph: Graph = program.graph
        self.variables = dict(inputs)
        self.dims, self.arrays = dims, dict(outputs)
        self.axes: dict[Axis, str] = {}
        self.starts: dict[int, str] = {}                        # of tiles
        self.steps: dict[int, str] = {}                         # of strips of rows, how many
        self.flat = ""                                          # the point of a strip of rows that a loop is at
        self.buffers: dict[Node, str] = {}
        self.packs: dict[tuple[Node, tuple[Axis, ...]], str] = {}       # copies for products: one buffer for all
        self.locals: dict[Node, str] = {}
        self.hoisted: dict[tuple[int, Node], str] = {}
        self.used: set[str] = set()
        self.shared: dict[int, dict[Node, Text]] = {}           # recomputed values with a local, by body
        self.repeated = repeated_values(program)
        self.values = {i.node: i for i in program.homes if i.kind in ("def", "acc", "scan", "dot")}

    def _element(self, node: Node) -> str:
        """The element of a value's buffer at the current point; a buffer inside a tile begins at the tile's start."""
        item = self.values[node]
        if item.part_of is not None and stored_at_once(self.program, item) is item.part_of:
            return self._stored(item.part_of)
        return self._place(self.buffers[node], self.program.homes[item])

    def _stored(self, item: Item) -> str:
        """The element of an array that a statement without guards writes."""
        if item.part is not None:
            return self._store_target(item)
        return f"{self.arrays[item.node]}[{', '.join(self._inline(index, ()) for index in item.roots[1:])}]"

    def _place(self, buffer: str, home: Home) -> str:
        """The element of a buffer at the current point."""
        if home.rows is not None and self.flat:
            return f"{buffer}[{self.flat}]"
        starts = {loop.tiled: self.starts[id(loop)] for loop in home.home if loop.tiled is not None}
        index = [f"{self.axes[a]} - {starts[a]}" if a in starts else self.axes[a] for a in home.storage]
        if home.rows is not None:
            length = bracket(dimension(home.storage[1].dim, self.dims), MULTIPLY + 1)
            return f"{buffer}[({index[0]}) * {length} + {index[1]}]"
        return f"{buffer}[{', '.join(index)}]"

    def _shape(self, dims: Sequence[Dim]) -> str:
        texts = [extent(dim, self.dims, self.graph) for dim in dims]
        return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"

    def _dtype(self, node: Node) -> str:
        return "" if node.dtype == "float64" else f", dtype=np.{node.dtype.replace('bool', 'bool_')}"

    def _empty(self, item: Item, home: Home) -> str:
        steps = {loop.tiled: self.steps.get(id(loop), str(TILE)) for loop in home.home}
        sizes = [steps.get(axis) or extent(axis.dim, self.dims, self.graph) for axis in home.storage]
        joined = " * ".join(sizes) if home.rows is not None else f"({', '.join(sizes)})"
        return f"np.empty({joined if len(sizes) > 1 else sizes[0]}{self._dtype(item.node)})"

    def _size(self, axes: Sequence[Axis]) -> str:
        """The number of points of some axes; one that may be negative has none, whatever the others are."""
        whole = extent(prod((axis.dim for axis in axes), start=Dim.of(1)), self.dims, self.graph)
        return whole if "max(" not in whole else " * ".join(extent(a.dim, self.dims, self.graph) for a in axes)

    def _store_target(self, item: Item) -> str:
        assert item.part is not None
        index = []
        for axis, offset in zip(item.part.axes, item.part.offsets, strict=True):
            shift = dimension(offset, self.dims)
            own = self.axes[axis]                               # "0" of an axis of size 1
            index.append(own if offset == Dim.of(0) else shift[0] if own == "0" else f"{own} + {bracket(shift, 11)}")
        return f"{self.arrays[item.node]}[{', '.join(index) or '()'}]"

    def _matrix(self, node: Node, product: Item) -> tuple[str, tuple[Axis, ...]]:
        """The array that holds an operand or the result of a matrix product, with its axes in order."""
        for pack in product.deps:
            if pack.kind == "pack" and pack.node is node:
                storage = self.program.homes[pack].storage
                return self.packs[node, storage], storage
        if node in self.buffers:
            return self.buffers[node], self.program.homes[self.values[node]].storage
        array = node.args[0]
        return self.variables.get(array) or self.arrays[array], tuple(i.attr for i in node.args[1:] if i.op == "axis")

    def _known(self, node: Node, path: Path) -> Text | None:
        """The text of a value that already has a statement, as seen from a path."""
        if node in self.locals:
            item = self.values[node]
            home = self.program.homes[item]
            base = home.local if item.kind == "acc" else home.path
            near = path[:len(base)] == base
            if home.storage and (home.in_array or not near):
                return self._element(node), ATOM
            return self.locals[node], ATOM
        if node.op == "read":
            depth = len(path)
            while depth >= 0:
                owner = id(path[depth - 1]) if depth else 0
                if (owner, node) in self.hoisted:
                    return self.hoisted[owner, node], ATOM
                depth -= 1
        return None

    def _expression(self, item: Item, root: Node, path: Path, lines: list[str]) -> Text:
        """The text of a node as this item sees it; long parts are given a local first (in `lines`)."""
        texts: dict[Node, Text] = {}
        implied = set(item.guards)
        stop = self.shared.get(id(path[-1]) if path else 0, {})
        own = item.node if item.kind == "def" else None         # what this statement itself defines
        owner = id(path[-1]) if path else 0

        def is_known(node: Node) -> bool:
            known = None if node is own else stop.get(node) or self._known(node, path)
            if known is not None:
                texts[node] = known
            return known is not None

        for node in closure(root, is_known):
            if node in texts:
                continue
            text = self._node(node, texts, implied)
            again = node in self.program.recomputed and self.repeated.get((owner, node), 0) > 1
            if node is not root and not node.is_array and (len(text[0]) > WIDTH or again):
                name = self.names.numbered("t")
                lines.append(f"{name} = {text[0]}")
                text = (name, ATOM)
                if again and not item.guards:
                    self.shared.setdefault(owner, {})[node] = text
            texts[node] = text
        return texts[root]

    def _inline(self, root: Node, path: Path, lines: list[str] | None = None) -> str:
        """The text of a node outside any statement; long parts are given a local if `lines` can take it."""
        texts: dict[Node, Text] = {}
        for node in closure(root, lambda n: self._known(n, path) is not None):
            text = self._known(node, path) or self._node(node, texts, set())
            if lines is not None and node is not root and len(text[0]) > WIDTH and not node.is_array:
                name = self.names.numbered("t")
                lines.append(f"{name} = {text[0]}")
                text = (name, ATOM)
            texts[node] = text
        return texts[root][0]

    def _node(self, node: Node, texts: dict[Node, Text], implied: set[Node]) -> Text:
        if node.op == "read":
            return self._read(node, texts, lambda n: None, implied)
        if node.is_array or node.op in ("const", "dim", "axis", "input"):
            if node.is_array and node.op != "input":
                return self.arrays[node], ATOM
            text = leaf(node, self.dims, lambda n: self.axes[n.attr], lambda n: self.variables[n])
        else:
            text = operation(node, [texts[a] for a in node.args])
            self.used.update(called_by(node.op))
        if "inf" in text[0] or "nan" in text[0]:
            self.used.update(re.findall(r"\b(?:inf|nan)\b", text[0]))
        if node.dtype == "float32":
            self.used.add("float32")
        return text

    def _read(self, node: Node, texts: dict[Node, Text], known: Callable[[Node], Text | None],
              implied: Iterable[Node] = ()) -> Text:
        array = node.args[0]
        name = self.variables.get(array) or self.arrays[array]
        wanted = node.args[1:1 + node.attr]
        if not texts:
            texts = {}
            for root in wanted:
                for inner in closure(root, lambda n: known(n) is not None):
                    if inner not in texts:
                        texts[inner] = known(inner) or self._node(inner, texts, set())
        element = f"{name}[{', '.join(texts[i][0] for i in wanted)}]"
        guards = [g for g in node.args[1 + node.attr:] if g not in set(implied)]
        if not guards:
            return element, ATOM
        condition = " and ".join(bracket(texts[g], AND) for g in guards)
        zero = "0.0" if node.dtype.startswith("float") else "0"
        return f"({element} if {condition} else {zero})", ATOM
