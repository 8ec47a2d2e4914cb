"""The memory of a generated function: the arrays and buffers made at its top, and how they and locals are called.

Between the texts of values and the printer of statements. A buffer bears the user's name of the first value in it;
what takes another's memory is either called like it or given a second name. Which values share memory is decided in
`buffers`, which of them need any in `lower`.
"""

from __future__ import annotations

from gradc.ir.graph import CallAttr, Node
from gradc.ir.routines import ROUTINES

from .buffers import shared
from .items import Item, starts_as
from .names import Names, name_of_read
from .program import Home, Program
from .uses import called_routines, covers, has_user_beside, stored_at_once, tiled_by_parts
from .values import ValuePrinter


class MemoryPrinter(ValuePrinter):
    """Names what a program keeps; `top` are the lines that make it, `zeroed` those that clear what is given."""

    def __init__(self, program: Program, names: Names, inputs: dict[Node, str], dims: dict[str, str],
                 outputs: dict[Node, str]) -> None:
        super().__init__(program, names, inputs, dims, outputs)
        self.top: list[str] = []
        self.zeroed: list[str] = []
        self.plain: dict[Node, bool] = {}
        self.filled = {i.contraction.array for i in program.homes if i.contraction is not None}    # by a product
        self.called = called_routines(program)
        self.stored: set[Item] = set()                          # what the statement that computes the value stores too
        self.fresh: set[Node] = set()                           # results of routines that no array waits for

    def _allocate(self) -> None:
        """Names and buffers of all values, arrays that start at zero; what takes another's memory comes after it."""
        owners = shared(self.program)
        labels: dict[Node, str] = {}                            # of memory: that of the first value in it that has one
        for item in self.program.homes:
            store = stored_at_once(self.program, item)
            node = item.node if store is None else store.node
            if self._label(item.node):
                labels.setdefault(owners.get(node, node), self._label(item.node))
        arrays = self._arrays()
        for node in [n for n in arrays if n not in owners]:
            self._allocate_array(node, labels.get(node, ""))
        values = {item: home for item, home in self.program.homes.items() if item.node in self.values}
        for item in (item for item in self.program.homes if item.kind == "pack"):
            self._allocate_pack(item, self.program.homes[item])
        values = {item: home for item, home in values.items() if item.kind != "pack"}
        first = {item: None for item in values
                 if item.node not in owners and stored_at_once(self.program, item) is None}
        for item in first:
            self._allocate_value(item, values[item], labels.get(item.node, ""), "")
        for node in [n for n in arrays if n in owners]:
            self.plain[node] = True
            value = self._label(node.args[0]) if node.op == "store" else ""
            self.arrays[node] = self._alias(self.memory_of(owners[node]), value, labels.get(owners[node], ""))
        for item in [item for item in values if item not in first]:
            owner = owners.get(item.node)
            label, memory = labels.get(owner or item.node, ""), ""
            if owner is not None:
                own = self._label(item.node)
                if label and not own and all(owners.get(dep.node, dep.node) is not owner for dep in item.deps):
                    own = self.names.numbered("s" if item.kind in ("acc", "dot") else "t")
                memory = self._alias(self.memory_of(owner), own, label)
            self._allocate_value(item, values[item], label, memory)

    def _alias(self, memory: str, label: str, first: str) -> str:
        """The name by which a value's memory is called: its own, if it has one and another value's name is in use."""
        if label in ("", first):
            return memory
        name = self.names.fresh(label)
        self.top.append(f"{name} = {memory}  # the same memory: by then {memory} has been read for the last time")
        return name

    def memory_of(self, node: Node) -> str:
        """The name of an array, or of the buffer that keeps a value."""
        return self.arrays[node] if node.is_array else self.buffers[node]

    def _allocate_array(self, node: Node, label: str) -> None:
        rows = next((stencil for stencil in self.program.stencils if stencil.alone and stencil.node is node), None)
        self.plain[node] = node not in self.filled and (node.op == "call" or covers(self.program, node))
        if node not in self.arrays:
            self.arrays[node] = self.names.fresh(label or self._array_name(node))
            if node.op == "call" and not node.attr.batch:
                self.fresh.add(node)
                return                                          # the routine makes it
            written = self.plain[node] or node in self.filled or rows is not None or tiled_by_parts(node)
            kind = "empty" if written else "zeros"
            self.top.append(f"{self.arrays[node]} = np.{kind}({self._shape(node.shape)}{self._dtype(node)})")
        elif rows is None and not self.plain[node] and node not in self.filled and not tiled_by_parts(node):
            start, text = starts_as(node), self.arrays[node]
            whole = [f"{text}[{':' if node.shape else '...'}] = {'0.0' if start is None else self.variables[start]}"]
            if start is not None and len(node.shape) == 1:      # Numba copies an array to a slice more slowly
                at = self.names.fresh("at")
                whole = [f"for {at} in range({text}.shape[0]):", f"    {text}[{at}] = {self.variables[start]}[{at}]"]
            alone = [chain for chain in self.program.chains if chain.alone and chain.items[0].node is node]
            self.zeroed += alone[0].zeroed(self.arrays[node], self.dims) if alone else whole
        if rows is not None:
            self.zeroed += rows.zeroed(self.arrays[node])

    def _allocate_value(self, item: Item, home: Home, label: str, memory: str) -> None:
        """Names of the local that a statement computes and of the buffer that keeps it: `memory`, if it is there."""
        node = item.node
        if item.contraction is not None and item.contraction.array is not None:
            self.buffers[node] = self.locals[node] = self.arrays[item.contraction.array]
            return
        own, numbered = self._label(node), "s" if item.kind in ("acc", "dot") else "t"
        if not home.storage:
            self.locals[node] = self.names.fresh(own) if own else self.names.numbered(numbered)
            return
        alone = home.in_array or (item.kind == "def" and not has_user_beside(self.program, item))
        store = stored_at_once(self.program, item)
        if store is not None:
            self.stored.add(store)
            memory = self.arrays[store.node]
        name = "" if memory else self.names.fresh(label) if label else self.names.numbered(numbered)
        if not memory:
            memory = name if alone or label else self.names.fresh(f"{name}_all")
            self.top.append(f"{memory} = {self._empty(item, home)}")
        self.buffers[node] = memory
        if alone:
            self.locals[node] = memory
        elif name and not label:
            self.locals[node] = name
        elif (label and own == label) or (store is not None and item.kind == "def"):
            self.locals[node] = self.names.fresh(name_of_read(self._element(node)))
        else:
            self.locals[node] = self.names.fresh(own) if own else self.names.numbered(numbered)

    def _allocate_pack(self, item: Item, home: Home) -> None:
        """The scratch into which an operand is copied, the same for every product that copies it."""
        if (item.node, home.storage) not in self.packs:
            joined = any(len(index.axes) > 1 for index in item.node.args[1:])
            name = self.packs[item.node, home.storage] = self.names.fresh("windows" if joined else "packed")
            self.top.append(f"{name} = {self._empty(item, home)}")

    def _arrays(self) -> list[Node]:
        found: dict[Node, None] = {}
        for item in self.program.homes:
            if item.kind in ("store", "scatter"):
                found[item.node] = None
        found.update(dict.fromkeys(node for node in self.filled if node is not None))
        found.update(dict.fromkeys(node for nodes in self.called.values() for node in nodes if node is not None))
        for _, node in self.graph.outputs:
            if node.is_array and node.op != "input":
                found[node] = None
        return list(found)

    def _array_name(self, node: Node) -> str:
        """A name for an array that has none: that of a routine's result, or of the value that it holds."""
        if node.op == "call":
            attr: CallAttr = node.attr
            return ROUTINES[attr.routine].results[attr.result]
        held = self._label(node.args[0]) if node.op == "store" and len(node.attr.parts) == 1 and node.args else ""
        value = self.values.get(node.args[0]) if held else None
        made = value.contraction if value is not None else None
        if value is not None and (made.array is node if made is not None else stored_at_once(self.program, value)):
            return held
        return f"{held}_all" if held else "array"

    def _label(self, node: Node) -> str:
        names = self.graph.names.get(node)
        return names[0] if names else ""
