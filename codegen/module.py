"""A graph as a complete Python module: header, imports, helpers, the function and its `out` form.

Takes a graph whose outputs are named, how they are grouped into the returned value, and what the header
should say; gives a `Module` for `load`. With array outputs there are two functions: `name_into`, which
writes into arrays that it is given, and `name`, which allocates them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gradc.ir.collecting import put_off
from gradc.ir.dims import Dim
from gradc.ir.graph import Graph, Node
from gradc.ir.routines import ROUTINES
from gradc.ir.table import OPERATIONS

from . import kernels, routines
from .expression import dimension, extent, is_whole
from .load import CHECKED, Entry, Module
from .lower import lower, without_stencils
from .names import CALLED, Names
from .parallel import PRANGE
from .program import Program
from .python import BodyPrinter
from .threads import parallel_loops


@dataclass(frozen=True)
class Group:
    """Part of the returned value: output names or groups of them, and the named tuple's class for more than one field.

    `fields` are the arguments' own names (as the user wrote them), used when there is a class.
    """

    outputs: tuple[str | Group, ...]
    result: str = ""
    fields: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of all outputs, in order."""
        return tuple(key for part in self.outputs for key in (part.keys if isinstance(part, Group) else (part,)))

    def inner(self) -> Iterator[Group]:
        """The groups in it, innermost first, and itself."""
        for part in self.outputs:
            if isinstance(part, Group):
                yield from part.inner()
        yield self

    def changed(self, change: Callable[[str], str | Group]) -> Group:
        """The group with something else in place of every output."""
        return Group(tuple(part.changed(change) if isinstance(part, Group) else change(part) for part in self.outputs),
                     self.result, self.fields)

    def made(self, get: Callable[[str], Any], made: Callable[[Group, list[Any]], Any]) -> Any:
        """What `made` puts together from the parts of a group, from the outputs up."""
        return made(self, [part.made(get, made) if isinstance(part, Group) else get(part) for part in self.outputs])


@dataclass(frozen=True)
class Printed:
    """A printed module with what a caller must know to call it.

    module     text and signatures: `name` allocates its results, `into` takes an array for each
    direct     the one function that a call from Python goes through, which checks its arrays itself: `into`,
               or the function with its scalars in one flat tuple (a named tuple costs more in Numba than the call)
    arguments  (original name, identifier) in order
    arrays     (output name, node) of the array outputs, in the order in which `into` takes them
    flat       names of the other outputs, in the order in which the direct function returns them
    shapes     for each array output the text of its dimensions, in terms of the arguments' identifiers
    statements number of lines of the body
    fields     for each named tuple of the result its fields, as they had to be called
    """

    module: Module
    direct: Module
    name: str
    into: str
    arguments: tuple[tuple[str, str], ...]
    arrays: tuple[tuple[str, Node], ...]
    flat: tuple[str, ...]
    shapes: tuple[tuple[str, ...], ...]
    statements: int
    fields: dict[str, tuple[str, ...]]

    @property
    def results(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The named tuples of the result, with the arguments' own names of their fields."""
        return self.module.results

    @property
    def direct_name(self) -> str:
        """The function of `direct`."""
        return self.into or self.name


@put_off()
def print_module(graph: Graph, name: str, groups: Sequence[Group], header: Sequence[str] = (), *,
                 parallel: bool = False) -> Printed:
    """The module of a graph.

    graph   simplified, its outputs scalars or array nodes
    name    of the function
    groups  the returned value
    header  lines of the module's docstring
    parallel  run loops in threads where that is possible
    """
    return print_program(lower(graph), name, groups, header, parallel=parallel)


@put_off()
def print_program(program: Program, name: str, groups: Sequence[Group], header: Sequence[str] = (), *,
                  parallel: bool = False) -> Printed:
    """As `print_module`, of a graph that is a loop program already."""
    return _ModulePrinter(program, name, groups, header, parallel=parallel).print()


@put_off()
def print_function(graph: Graph, name: str, groups: Sequence[Group]) -> tuple[str, str, frozenset[str]]:
    """One function alone, as `Printed.direct` has it: its name, its text, and the names that it calls."""
    printer = _ModulePrinter(lower(graph), name, groups, (), parallel=False)
    return printer.into or name, printer.direct(), frozenset(printer.printer.used)


class _ModulePrinter:
    """Collects the pieces of one module: names, dimensions, the body, what is returned."""

    def __init__(self, program: Program, name: str, groups: Sequence[Group], header: Sequence[str], *,
                 parallel: bool) -> None:
        self.graph, self.name, self.groups, self.header = program.graph, name, groups, header
        self.names = Names()
        self.names.taken |= {name, f"{name}_into"}
        self.inputs = {node: self.names.argument(key) for key, node in self.graph.inputs.items()}
        self.bindings, self.dims = _bind(self.graph, self.names, self.inputs)
        self.arrays = tuple((k, node) for k, node in self.graph.outputs if node.is_array and node.op != "input")
        self.given = [self.names.fresh(key) for key, _ in self.arrays]
        receivers: dict[Node, str] = {}
        for (_, node), text in zip(self.arrays, self.given, strict=True):
            receivers.setdefault(node, text)
        in_chunks = parallel_loops(program) if parallel else {}
        without_stencils(program, in_chunks)
        for chain in program.chains:                            # a chunk adds to what the one before it wrote
            chain.alone = chain.alone and id(chain.loop) not in in_chunks
        self.printer = BodyPrinter(program, self.names, self.inputs, self.dims, receivers, name, in_chunks)
        for node in self.inputs:                                # an integer argument is also a dimension
            if not node.shape and node.attr.name in self.dims:
                self.printer.variables[node] = self.dims[node.attr.name]
        self.body = self.bindings + _check_given(self.arrays, self.given, self.dims) + self.printer.print()
        for (_, node), text in zip(self.arrays, self.given, strict=True):
            if receivers[node] != text:                         # one array asked for twice
                self.body.append(f"{text}[...] = {receivers[node]}")
        held = dict(zip((key for key, _ in self.arrays), self.given, strict=True))
        self.values = _values(self.graph, self.printer, held, self.inputs, self.body)
        self.flat = tuple(key for group in groups for key in group.keys if key not in held)
        self.into = f"{name}_into" if self.arrays else ""

    def direct(self) -> str:
        """The function that writes its arrays into those given, or returns its scalars in one flat tuple."""
        arguments, scalars = list(self.inputs.values()), ", ".join(self.values[key] for key in self.flat)
        if self.into:
            return _function(self.into, [*arguments, *self.given], self.body, scalars,
                             "Write the arrays into those given, return the rest.")
        return _function(self.name, arguments, self.body, scalars, "")

    def print(self) -> Printed:
        """The module and its direct form."""
        results, classes, fields = result_classes(self.graph, self.groups)
        into, direct, arguments = self.into, self.direct(), list(self.inputs.values())
        if into:
            parts = [direct, self._allocating(into)]
        else:
            scalars = ", ".join(self.values[key] for key in self.flat)
            returned = _returned(self.groups, self.values)
            parts = [_function(self.name, arguments, self.body, returned, "")]
        types = tuple(("const " if node.shape else "") + _type(node) for node in self.graph.inputs.values())
        entry = Entry(self.name, types)
        checked = tuple(CHECKED * kind.endswith("]") + kind for kind in types)
        if into:
            written = tuple(_type(node) for _, node in self.arrays)
            whole = self._module(parts, classes, (Entry(into, types + written), entry), results)
            own = Entry(into, checked + tuple(CHECKED + kind for kind in written))
            short = self._module([direct], [], (own,), ())
        else:
            whole = self._module(parts, classes, (entry,), results)
            own = Entry(self.name, checked)
            short = whole if returned == scalars and own == entry else self._module([direct], [], (own,), ())
        pairs = tuple(zip(self.graph.inputs, arguments, strict=True))
        return Printed(whole, short, self.name, into, pairs, self.arrays, self.flat, self._shapes(), len(self.body),
                       fields)

    def _module(self, parts: Sequence[str], classes: Sequence[str], entries: tuple[Entry, ...],
                results: tuple[tuple[str, tuple[str, ...]], ...]) -> Module:
        chunked = self.printer.chunked
        texts = [made.function for made in chunked]
        helpers, kernel_text, wanted = imports(self.printer.used, [*texts, *parts], classes)
        bound = [f"\n{PRANGE} = range  # in compiled code Numba's, in threads"] if chunked else []
        lines = [_docstring(self.header, self.names.renamed), *wanted, *bound, ""]
        lines += [f"\n{text}\n" for text in (*classes, *kernel_text, *texts, *parts)]
        source = "\n".join(lines).replace("\n\n\n\n", "\n\n\n").rstrip() + "\n"
        names = tuple(made.name for made in chunked)
        own = (*names, f"{self.name}_into" if self.arrays else self.name)
        return Module(source, helpers, entries, results, names, own if self.printer.program.is_tiled else ())

    def _allocating(self, into: str) -> str:
        """The function that makes the result arrays and fills them."""
        lines: list[str] = []
        like = {n.shape: text for n, text in self.inputs.items() if n.shape and n.dtype == "float64"}
        bound: set[str] = set()
        for text, (key, node) in zip(self.given, self.arrays, strict=True):
            if node.shape in like and node.dtype == "float64":
                own = self.graph.inputs.get(key.removeprefix("d_"))
                same = own is not None and own.shape == node.shape and own.dtype == node.dtype
                lines.append(f"{text} = np.empty_like({self.inputs[own] if own and same else like[node.shape]})")
                continue
            wanted = {self.dims[name] for dim in node.shape for name in dim.names()}
            for line in self.bindings:
                target = line.split(" = ")[0]
                if " = " in line and not line.startswith(" ") and target in wanted - bound:
                    bound.add(target)
                    lines.append(line)
            lines.append(f"{text} = np.empty({self.printer.shape_text(node)})")
        values = [key for key in self.flat if not key.startswith("d_")]
        local = {key: self.names.fresh(key if key not in values else f"value_{k}" if len(values) > 1 else "value")
                 for k, key in enumerate(self.flat)}
        call = f"{into}({', '.join([*self.inputs.values(), *self.given])})"
        lines.append(f"{', '.join(local.values())} = {call}" if local else call)
        shown = _returned(self.groups, {**self.values, **local})
        return _function(self.name, list(self.inputs.values()), lines, shown, "")

    def _shapes(self) -> tuple[tuple[str, ...], ...]:
        """Dimensions of the array outputs in terms of the arguments: `x.shape[0]`, `max(k - 1, 0)`."""
        origin: dict[str, str] = {}
        for node, text in self.inputs.items():
            if not node.shape and node.dtype == "int64":
                origin[node.attr.name] = text
        for node, text in self.inputs.items():
            for k, dim in enumerate(node.shape):
                if dim.name is not None:
                    origin.setdefault(dim.name, f"{text}.shape[{k}]")

        def text_of(dim: Dim) -> str:
            text = dimension(dim, origin)[0]
            return text if ".shape" in origin.get(dim.name or "", "") or dim.constant is not None else f"max({text}, 0)"

        return tuple(tuple(text_of(dim) for dim in node.shape) for _, node in self.arrays)


def _type(node: Node) -> str:
    """Numba's spelling. Arguments are `const`: read-only arrays fit, as all globals in the user's own code are."""
    rank = len(node.shape)
    return node.dtype + (f"[{':,' * (rank - 1)}::1]" if rank else "")


MOST_INLINE = 24        # outputs; Numba cannot take a tuple of over 30 with a condition in it
LARGEST = 2**40         # of an integer argument that indices are computed from


# -- dimensions -------------------------------------------------------------------------------

def _bind(graph: Graph, names: Names, inputs: dict[Node, str]) -> tuple[list[str], dict[str, str]]:
    """Statements that give every dimension name its value and refuse shapes that disagree."""
    dims: dict[str, str] = {}
    lines: list[str] = []
    used = _used_dims(graph)
    for node, text in inputs.items():
        if not node.shape and node.dtype == "int64":
            dims[node.attr.name] = text
            if node.attr.name in used:                          # or index arithmetic could wrap around
                lines += [f"if abs({text}) > {LARGEST}:", f'    raise ValueError("{text} is beyond 2**40")']
    for _, node in graph.outputs:
        for dim in node.shape:
            used |= dim.names()
    later: list[tuple[str, Dim]] = []
    for node, text in inputs.items():
        for k, dim in enumerate(node.shape):
            if dim.name is not None and dim.name not in dims:
                dims[dim.name] = names.fresh(dim.name)
                if dim.name in used or sum(d == dim for n in inputs for d in n.shape) > 1 or _inside(graph, dim.name):
                    lines.append(f"{dims[dim.name]} = {text}.shape[{k}]")
            else:
                later.append((f"{text}.shape[{k}]", dim))
    for text, dim in later:
        lines += _refuse(text, extent(dim, dims, graph))
    for one, other in graph.equal:
        if one != other:
            lines += _refuse(dimension(one, dims)[0], dimension(other, dims)[0])
    return lines, dims


def _check_given(arrays: Sequence[tuple[str, Node]], given: Sequence[str], dims: dict[str, str]) -> list[str]:
    """Refuse result arrays of another shape: writing into them would go outside."""
    lines: list[str] = []
    for (_, node), text in zip(arrays, given, strict=True):
        for k, dim in enumerate(node.shape):
            lines += _refuse(f"{text}.shape[{k}]", extent(dim, dims, node.graph))
    return lines


def _refuse(left: str, right: str) -> list[str]:
    return [f"if {left} != {right}:", f'    raise ValueError("{left} must equal {right}")']


def _used_dims(graph: Graph) -> set[str]:
    found: set[str] = set()
    for node in graph.reachable():
        if node.op == "dim":
            found |= node.attr.names()
        for axis in node.axes:
            found |= axis.dim.names()
        if node.is_reduction:
            found |= node.attr.dim.names()
        elif node.is_array and node.op != "input":
            for dim in node.shape:
                found |= dim.names()
    for one, other in graph.equal:
        found |= one.names() | other.names()
    return found


def _inside(graph: Graph, name: str) -> bool:
    """Whether a dimension name occurs inside a composite dimension of an argument."""
    return any(name in dim.names() and dim.name is None for n in graph.inputs.values() for dim in n.shape)


# -- the returned value -----------------------------------------------------------------------

def _values(graph: Graph, printer: BodyPrinter, given: dict[str, str], inputs: dict[Node, str],
            body: list[str]) -> dict[str, str]:
    """The text of every output; `body` gets the statements that a long one needs first."""
    values: dict[str, str] = {}
    several = len(graph.outputs) > MOST_INLINE
    for key, node in graph.outputs:
        if key in given:
            values[key] = given[key]
        elif node.is_array:
            values[key] = f"{inputs[node]}.copy()"
        else:
            text = printer.result(node, body)
            text = text if node.dtype != "float64" or not is_whole(node) else f"float({text})"
            if key in graph.remarks or (several and not text.isidentifier()):
                text = _kept(printer, key, node, text, graph.remarks.get(key, ""), body)
            values[key] = text
    return values


def _kept(printer: BodyPrinter, key: str, node: Node, text: str, remark: str, body: list[str]) -> str:
    """The name of a local that holds an output, with what made it in a comment (its statement may have one)."""
    if text.isidentifier() and (not remark or node in printer.graph.notes) and node not in printer.variables:
        return text
    name = printer.names.fresh(key)
    shown = " ".join("".join(c if c.isprintable() else " " for c in remark).split())
    body.append(f"{name} = {text}{f'  # {shown}' if shown else ''}")
    return name


def result_classes(graph: Graph, groups: Sequence[Group]) -> tuple[
        tuple[tuple[str, tuple[str, ...]], ...], list[str], dict[str, tuple[str, ...]]]:
    """The named tuples of a result: with the arguments' own names of their fields, as texts, with the fields' names."""
    results, classes = [], []
    fields: dict[str, tuple[str, ...]] = {}
    outputs = dict(graph.outputs)
    for group in dict.fromkeys(inner for outer in groups for inner in outer.inner()):
        if not group.result or group.result in fields:
            continue
        safe = safe_fields(group.fields)
        results.append((group.result, group.fields))
        fields[group.result] = safe
        lines = [f"class {group.result}(NamedTuple):", '    """One field an argument, in their order."""', ""]
        for text, part in zip(safe, group.outputs, strict=True):
            kind = part.result or "tuple" if isinstance(part, Group) else (
                "np.ndarray" if outputs[part].is_array else "float")
            lines.append(f"    {text}: {kind}")
        classes.append("\n".join(lines))
    return tuple(results), classes, fields


def safe_fields(originals: Sequence[str]) -> tuple[str, ...]:
    """Names that a named tuple takes, for fields that are to be called after arguments."""
    names = Names()
    names.taken = {n for n in names.taken if not n.isidentifier()} | _TUPLE_NAMES
    safe = []
    for original in originals:
        plain = original.isidentifier() and original.isascii() and not original.startswith("_")
        safe.append(names.fresh(original if plain and original not in _TUPLE_NAMES else f"arg_{original}"))
    return tuple(safe)


def _tuple_names() -> set[str]:
    import keyword

    return set(keyword.kwlist) | {"count", "index"}


_TUPLE_NAMES = _tuple_names()


def _returned(groups: Sequence[Group], values: dict[str, str]) -> str:
    top: Sequence[str | Group] = groups[0].outputs if len(groups) == 1 and not groups[0].result else groups
    return ", ".join(part.made(values.__getitem__, tuple_text) if isinstance(part, Group) else values[part]
                     for part in top)


def tuple_text(group: Group, parts: Sequence[str]) -> str:
    """The text of a group from those of its parts."""
    if group.result:
        return f"{group.result}({', '.join(parts)})"
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _function(name: str, arguments: Sequence[str], body: Sequence[str], returned: str, doc: str) -> str:
    lines = [f"def {name}({', '.join(arguments)}):"]
    if doc:
        lines.append(f'    """{doc}"""')
    lines += [f"    {line}" for line in body]
    if returned:
        lines.append(f"    return {returned}")
    elif not body:
        lines.append("    pass")
    return "\n".join(line.rstrip() for line in lines)


# -- header and imports -----------------------------------------------------------------------

def _docstring(header: Sequence[str], renamed: dict[str, str]) -> str:
    lines = list(header)
    for original, safe in renamed.items():
        lines.append(f"The argument {original!a} is called {safe} here.")
    text = "\n".join(lines) or "Generated by gradc."
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)  # a name may hold anything
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    wrapped = "\n".join(textwrap.fill(line, 100, subsequent_indent="    ") for line in text.split("\n"))
    return f'"""{wrapped}\n"""\n' if "\n" in wrapped else f'"""{wrapped}"""\n'


def _modules() -> dict[str, str]:
    """Each function that generated text may call, and the module that it comes from."""
    found = dict.fromkeys(("inf", "nan", "float32", "maximum", "minimum"), "numpy")
    for op in OPERATIONS.values():
        if op.imports:
            found.update(dict.fromkeys(CALLED.findall(op.spelling), op.imports))
    return found


_MODULES = _modules()


def imports(used: Iterable[str], parts: Sequence[str], classes: Sequence[str]) -> tuple[
        tuple[str, ...], list[str], list[str]]:
    """Helper functions of the names that a text calls, their texts, and the import lines."""
    wanted: dict[str, set[str]] = {}
    for called in _called(used):
        if called in ROUTINES or called in routines.OWN:
            wanted.setdefault("routines", set()).add(called)
        elif called in _MODULES:
            wanted.setdefault(_MODULES[called], set()).add(called)
    helpers: dict[str, None] = {}
    whole = any("np." in part for part in (*parts, *classes))
    array_routines = sorted(wanted.pop("routines", ()))
    helpers.update(dict.fromkeys(part for name in array_routines for part in routines.NEEDED.get(name, (name,))))
    whole |= bool(array_routines)
    for kernel in sorted(wanted.pop("kernels", ())):
        found = kernels.KERNELS[kernel]
        helpers.update(dict.fromkeys(found.functions))
        for line in found.imports:
            if line.startswith("from "):
                module, _, called_names = line[5:].partition(" import ")
                wanted.setdefault(module, set()).update(name.strip() for name in called_names.split(","))
            else:
                whole = True
    lines = ["from typing import NamedTuple\n"] if classes else []
    if any("math." in routines.PASTED.get(name, "") for name in helpers):
        lines.append("import math")
    if whole:
        lines.append("import numpy as np")
    lines += [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(wanted.items())]
    return tuple(helpers), [_helper_text(name) for name in helpers], lines


def _called(used: Iterable[str]) -> set[str]:
    """The names that a text calls, and those that routines solving equations call in their turn."""
    from .implicit import paste

    found = set(used)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        if name in ROUTINES and ROUTINES[name].definition:
            inner = paste(name) - found
            found |= inner
            waiting += inner
    return found


def _helper_text(name: str) -> str:
    """The text of a function that a module calls, ready to paste."""
    own = name in ROUTINES or name in routines.PASTED or name in routines.OWN
    return routines.function_text(name) if own else kernels.function_text(name)
