"""A graph in compiled form: its generated source, its compiled code or tape, and what a call does.

Everything is made when it is first used: the graph prepared, the printed module, the compiled code. A call here is the
slow path, which binds, converts and checks the arguments; the quick one is a class made for each signature, see
`signature`. What is derived from a graph, and how it is shown and kept, is `function`'s.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradc.codegen import tape as tapes
from gradc.codegen.load import Module
from gradc.codegen.lower import lower
from gradc.codegen.module import Group, Printed, print_program
from gradc.codegen.names import in_a_comment
from gradc.ir.collecting import put_off
from gradc.ir.errors import ShapeError
from gradc.ir.graph import Graph

from .passes import finish, in_rows, prepare
from .per_element import FEWER, Counts
from .settled import settled

KINK_POLICY = {
    "subgradient": "At kinks: abs'(0) = 0, relu'(0) = 0, norm'(0) = 0, ties of max and min share equally, "
                   "a tie with a constant gives 0.",
    "raise": 'At kinks: a FloatingPointError is raised (kinks="raise").',
}


@dataclass(frozen=True)
class Options:
    """How a function is compiled.

    jit      True compiles with Numba; False runs the same generated text as plain Python
    cache    keep the compiled code on disk
    kinks    "subgradient" takes the documented value at a kink, "raise" refuses at run time
    parallel run loops in threads
    """

    jit: bool = True
    cache: bool = True
    kinks: str = "subgradient"
    parallel: bool = False


class Compiled:
    """A graph with the names of its arguments, and how its outputs make up what a call returns."""

    def __init__(self, graph: Graph, wrt: Sequence[str], options: Options, name: str,
                 groups: Sequence[Group] | None, prepared: Graph | None, rows: Sequence[Counts] = ()) -> None:
        self._graph, self._options, self._name = graph, options, name
        self._wrt = tuple(wrt)
        self._groups = tuple(groups) if groups is not None else (Group(tuple(key for key, _ in graph.outputs)),)
        self._given, self._counts = prepared, tuple(rows)
        self._inner: frozenset[str] = frozenset()           # arguments that a caller of the user's does not know
        self._lock = threading.RLock()
        self._seconds: dict[str, float] = {}
        self.__name__ = name

    # -- what it is ---------------------------------------------------------------------------

    @property
    def args(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return tuple(self._graph.inputs)

    @property
    def wrt(self) -> tuple[str, ...]:
        """Names of the arguments by which derivatives are taken, in order."""
        return self._wrt

    @property
    def graph(self) -> Graph:
        """The graph: as the user wrote it, or the derived graph of a derivative."""
        return self._graph

    @property
    def groups(self) -> tuple[Group, ...]:
        """How the outputs make up the returned value."""
        return self._groups

    @property
    def options(self) -> Options:
        """How the function is compiled."""
        return self._options

    @property
    def prepared(self) -> Graph:
        """The graph after the passes of `prepare`, with values in rows: derivatives are taken from it."""
        return self._shared[0]

    @property
    def rows(self) -> tuple[Counts, ...]:
        """The numbers by which a call goes to code with values in rows (see `per_element`); () if there are none.

        Of a derivative these are its function's.
        """
        return self._shared[1]

    @functools.cached_property
    def _shared(self) -> tuple[Graph, tuple[Counts, ...]]:
        unshared = self.unshared
        if self._given is not None or self._options.kinks == "raise":
            return unshared, self._counts
        with self.timed("prepare"):
            return in_rows(unshared)

    @functools.cached_property
    def unshared(self) -> Graph:
        """The same without values in rows: each is computed where it is used."""
        if self._given is not None:
            return self._given
        with self.timed("prepare"):
            return prepare(self._graph)

    @functools.cached_property
    def printed(self) -> Printed:
        """The generated module with its signatures."""
        prepared = self.prepared
        with self.timed("lower"):
            program = lower(finish(prepared))
        with self.timed("print"):
            return print_program(program, self._name, self._groups, self._header(), parallel=self._options.parallel)

    @property
    def seconds(self) -> Mapping[str, float]:
        """The time that each stage of compilation has taken so far, in the order in which they first ran."""
        return self._seconds

    def begun(self, start: float) -> None:
        """Count the time since `start` as that of reading or tracing the user's expression."""
        self._seconds = {"trace": time.perf_counter() - start, **self._seconds}

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage of compilation."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - start

    @property
    def source(self) -> str:
        """The complete generated Python text; it runs with NumPy alone (SciPy for special functions)."""
        return self.printed.module.source

    def _header(self) -> list[str]:
        kinds = {"value": "Value", "grad": "Gradient", "value_and_grad": "Value and gradient",
                 "jvp": "Derivative along a direction", "vjp": "Gradient for a cotangent",
                 "hvp": "Product of the Hessian with a vector", "jacobian": "Jacobian", "hessian": "Hessian",
                 "weighted": "Weighted sum of all values", "many": "The same along several directions",
                 "value_and_jacobian": "Value and Jacobian", "values": "Entries of a sparse derivative"}
        kind = kinds.get(self._name, self._name)
        text = self._graph.title
        shown = text if len(text) <= 400 else text[:400] + " ..."
        lines = [f"{kind} of {shown}" if shown else kind, "", f"Arguments: {self._signature()}"]
        if self._name != "value":
            lines += [f"By: {', '.join(map(in_a_comment, self._wrt))}", KINK_POLICY[self._options.kinks]]
        if self.rows:
            lines.append(f"Values of gathered elements stand in rows. Calls from Python with under {FEWER} places an "
                         "element go to .plain, where each place has its own.")
        return lines

    def _signature(self) -> str:
        parts = []
        for name, node in self._graph.inputs.items():
            shape = f"[{', '.join(map(str, node.shape))}]" if node.shape else ""
            parts.append(f"{in_a_comment(name)}: {node.dtype}{shape}")
        return ", ".join(parts) or "none"

    # -- compiled form ------------------------------------------------------------------------

    @functools.cached_property
    def jit(self) -> Any:
        """The Numba dispatcher (the plain function with jit=False), callable in nopython code."""
        return self._load(self.printed.module)[self.printed.name]

    def _load(self, module: Module) -> dict[str, Callable[..., Any]]:
        from gradc.codegen.load import load

        with self._lock, self.timed("Numba" if self._options.jit else "load"):
            return load(module, jit=self._options.jit, cache=self._options.cache)

    def build(self) -> str:
        """Compile now what a call needs, and say where the code came from: see `gradc.codegen.load.outcome`."""
        from gradc.codegen.load import outcome

        plain = self.tape is None and isinstance(self._direct, functools.partial)
        module = self.tape.module if self.tape is not None else self.printed.direct
        return "" if plain else outcome(module, cache=self._options.cache)

    @functools.cached_property
    def tape(self) -> tapes.Tape | None:
        """What a call runs in place of compiled code, where that would take too long to make: see `codegen.tape`."""
        if not self._options.jit or len(self.prepared.nodes) < tapes.LEAST:
            return None
        with self.timed("tape"):
            return tapes.recorded(settled(self.prepared), self._groups)

    @functools.cached_property
    def _direct(self) -> Callable[..., Any]:
        """The function that a call goes through: a tape, the compiled code, or the plain text's function."""
        if self.tape is None:
            return self._called_by(self.printed.direct)
        from gradc.codegen.load import run_plain

        return functools.partial(run_plain, self.tape.bound(cache=self._options.cache))

    @functools.cached_property
    def _lent(self) -> Callable[..., Any]:
        """The same with a workspace as its last argument, in which its buffers lie; there must be some."""
        return self._called_by(self.printed.direct.with_lent(self.printed.direct_name))

    def _called_by(self, module: Module) -> Callable[..., Any]:
        """The direct function of a module, as Python calls it."""
        from gradc.codegen.load import run_plain, unguarded

        with put_off():
            direct = self._load(module)[self.printed.direct_name]
        return unguarded(direct) if hasattr(direct, "signatures") else functools.partial(run_plain, direct)

    @functools.cached_property
    def _room(self) -> Callable[..., int] | None:
        """The length of a workspace for some arguments; None where there are no buffers."""
        from gradc.codegen import scratch
        from gradc.codegen.load import load

        text = "" if self.tape is not None else scratch.room(ast.parse(self.printed.direct.source),
                                                             self.printed.direct_name)
        return load(Module(text, helpers=(scratch.ROOM,)), jit=False)[scratch.ROOM] if text else None

    def _needed(self, values: Sequence[Any]) -> int:
        """How long a workspace must be for arguments that were converted."""
        return self._room(*values, *(None for _ in self._called.arrays)) if self._room is not None else 0

    @property
    def _called(self) -> tapes.Tape | Printed:
        """What says how a call's results are to be put together."""
        return self.tape if self.tape is not None else self.printed

    @functools.cached_property
    def _classes(self) -> dict[str, type]:
        """The named tuples of the result."""
        from gradc.codegen.results import result_class

        called = self._called
        return {name: result_class(name, called.fields[name], originals, "gradc.compiler.function")
                for name, originals in called.results}

    def _checked(self, args: Sequence[Any], out: Any, keywords: Mapping[str, Any], workspace: Any = None) -> Any:
        """The slow path: bind, convert and check the arguments, then call."""
        from . import arguments

        values = arguments.convert(self._graph, arguments.bind(self.args, args, keywords))
        sizes = arguments.check_dimensions(self._graph, values)
        if out is not None:
            names = [key.removeprefix("d_") for key, _ in self._called.arrays]
            arrays = arguments.check_out(self._called.arrays, out, values, sizes, names)
        else:
            arrays = arguments.new_arrays(self._called.arrays, sizes)
        given = [*values, *(arguments.plain(array, array.dtype) for array in arrays)]
        direct = self._direct
        if workspace is not None:
            block = arguments.check_workspace(workspace, self._needed(values), given, self._name)
            if self._room is not None:
                direct, given = self._lent, [*given, block]
        try:
            flat = direct(*given)
        except (ValueError, IndexError, ArithmeticError) as error:
            from gradc.ir.interpret_routines import as_domain_error

            message = arguments.at_sizes(error, sizes, self._inner)
            raise (ShapeError(message) if isinstance(error, IndexError) else as_domain_error(error, message)) from None
        return self._assemble(flat, arrays)

    def _assemble(self, flat: Any, arrays: Sequence[Any]) -> Any:
        """The result in the shape that the function returns, from the scalars and the arrays."""
        found = dict(zip((key for key, _ in self._called.arrays), arrays, strict=True))
        keys = self._called.flat
        found |= dict(zip(keys, flat if len(keys) > 1 else (flat,), strict=True)) if keys else {}
        return self.assembled(found)

    def assembled(self, found: Mapping[str, Any]) -> Any:
        """The values of the outputs, by name, as the function returns them."""
        def put_together(group: Group, values: list[Any]) -> Any:
            made = self._classes.get(group.result)
            return made(*values) if made else values[0] if len(values) == 1 else tuple(values)

        parts = [group.made(found.__getitem__, put_together) for group in self._groups]
        return parts[0] if len(parts) == 1 else tuple(parts)
