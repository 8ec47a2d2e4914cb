"""Long runs of statements, handed to Numba as one call: Numba's own front end needs a millisecond for each statement.

`rewrite` finds the runs in a module's syntax tree (statements on numbers and on elements of arrays, with their
loops and conditions), and puts a call of one intrinsic in place of each run that is long. What is called is
`block_llvm`'s translation of the very statements, so the text that a user reads, saves and runs as plain Python is
what is computed; `block_intrinsic` makes the call known to Numba. Short runs, and whatever a run cannot hold
(allocations, library routines, slices), stay Numba's. A very long run is cut into parts, each a function of its own
that passes its values on through a scratch array: LLVM's time grows faster than a function's length.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradc.ir.routines import ROUTINES

from . import routines

LEAST = 100             # statements of a run that is worth it
PART = 1000             # variables that a part of a very long run assigns and reads, each time counted
OPTIMISED = 10_000      # statements of a block beyond which LLVM translates and does not optimise
LARGEST = 4096          # elements of an array that may be a block's own
SMALL = 256             # elements of one that lies on the stack
DTYPES = ("float64", "float32", "int64", "bool_")
PREFIX = "_gradc_block_"
EMPTY = "_gradc_scratch"
CHECKED = "_gradc_arguments"                    # of `checked`, which imports Numba
BUILTINS = ("abs", "float", "max", "min")


class Unsuitable(Exception):
    """What no block can hold, found when the types are known: the module is left to Numba then."""


@dataclass(frozen=True)
class Buffer:
    """An array of literal size that only the block uses: part of its memory.

    place   where it begins in the scratch array, None for one on the stack
    """

    dims: tuple[int, ...]
    dtype: str
    zeroed: bool
    place: int | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.dims)


@dataclass(eq=False)
class Part:
    """Some statements of a block, one function of the compiled code.

    loads, stores   the variables that the part reads and assigns
    """

    statements: list[ast.stmt]
    loads: set[str]
    stores: set[str]


@dataclass(eq=False)
class Block:
    """A run of statements with what goes in and out.

    inputs      variables that it reads before it assigns them, in order
    outputs     variables that it assigns and that are read elsewhere, in order
    variables   all variables of the function; other names are the module's
    nested      variables that need a place in memory: they are assigned inside loops or conditions, and elsewhere too
    slots       the place in scratch memory of each output, and of what one part passes to another
    buffers     arrays that are the block's own
    apart       inputs that are arrays, written or not, of which nothing that is written shares memory with another
    """

    name: str
    parts: list[Part]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    variables: Collection[str]
    nested: set[str]
    slots: dict[str, int]
    buffers: dict[str, Buffer]
    apart: Collection[str] = ()

    @property
    def scratch(self) -> int:
        """The elements of the scratch array that the block is given; 0 for none."""
        placed = [buffer.place + buffer.size for buffer in self.buffers.values() if buffer.place is not None]
        return max([len(self.slots) if len(self.parts) > 1 else 0, *placed])

    @property
    def statements(self) -> int:
        """The number of statements."""
        return sum(_size(statement) for part in self.parts for statement in part.statements)

    @property
    def lines(self) -> tuple[int, int]:
        """The first and the last line of the text that it stands for."""
        held = [statement for part in self.parts for statement in part.statements]
        return min(one.lineno for one in held), max(one.end_lineno or one.lineno for one in held)


def settings() -> list[Any]:
    """What compiled code depends on here, for the key of a cache."""
    return [LEAST, PART, OPTIMISED]


def rewrite(tree: ast.Module, entries: Iterable[str]) -> dict[str, Block]:
    """Put calls in place of the long runs of a module's functions; changes the tree in place.

    Args:
        tree: the module, with its other rewritings done.
        entries: names of the functions to look at.

    Returns:
        the blocks, by the name that the tree calls now.
    """
    found: dict[str, Block] = {}
    callable_names = _scalar_functions(tree)
    wanted = set(entries)
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name in wanted and _is_long(function.body):
            _Function(function, callable_names, found).rewrite()
    if found:
        ast.fix_missing_locations(tree)
    return found


def functions(blocks: dict[str, Block], namespace: dict[str, Any],
              flags: Collection[str]) -> dict[str, Callable[..., Any]]:
    """The Numba intrinsics that a rewritten tree calls, and what allocates their scratch arrays.

    Args:
        blocks: what `rewrite` found.
        namespace: the module in which the statements' other names have their meaning.
        flags: what LLVM may do to floating-point instructions.
    """
    from .block_intrinsic import intrinsic

    made: dict[str, Callable[..., Any]] = {name: intrinsic(block, namespace, flags) for name, block in blocks.items()}
    return {**made, EMPTY: np.empty} if made else {}


def _is_long(body: Sequence[ast.stmt]) -> bool:
    return sum(_size(statement) for statement in body) >= LEAST


def _size(statement: ast.stmt) -> int:
    """The number of statements in a statement."""
    inner = [*getattr(statement, "body", ()), *getattr(statement, "orelse", ())]
    return 1 + sum(_size(one) for one in inner) if inner else 1


def _scalar_functions(tree: ast.Module) -> set[str]:
    """The names that stand for functions of numbers: imported ones, and functions of the module's own."""
    found = set(BUILTINS)
    arrays = {*ROUTINES, *routines.OWN, *routines.PASTED, *(n for names in routines.NEEDED.values() for n in names)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in ("numpy", "math", "scipy.special"):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found - arrays


# -- one function -------------------------------------------------------------------------------------------------


class _Function:
    """The runs of one function."""

    def __init__(self, function: ast.FunctionDef, callables: Collection[str], found: dict[str, Block]) -> None:
        self.function, self.found = function, found
        self.survey = _Survey(callables, [argument.arg for argument in function.args.args])
        for statement in function.body:
            self.survey.statement(statement)

    def rewrite(self) -> None:
        """Put calls in place of the long runs."""
        self.function.body = self._suite(self.function.body, looped=False)

    def _suite(self, body: Sequence[ast.stmt], *, looped: bool) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        run: list[ast.stmt] = []
        for statement in body:
            if statement in self.survey.fitting or statement in self.survey.buffers:
                run.append(statement)
                continue
            made += self._block(run, looped=looped)
            run = []
            if isinstance(statement, ast.For):
                statement.body = self._suite(statement.body, looped=True)
            elif isinstance(statement, ast.If):
                statement.body = self._suite(statement.body, looped=looped)
                statement.orelse = self._suite(statement.orelse, looped=looped)
            made.append(statement)
        return made + self._block(run, looped=looped)

    def _block(self, run: list[ast.stmt], *, looped: bool) -> list[ast.stmt]:
        """What takes the place of a run: itself if it is short."""
        if not _is_long(run):
            return run
        made, run, buffers = self._allocations(run)
        survey, usage = self.survey, _Usage(self.survey)
        parts = [usage.part(statements) for statements in _cut(run, survey)]
        read, given = survey.loads - usage.loads, survey.stores - usage.stores      # outside the run
        inputs = dict.fromkeys(name for name in usage.inputs if name in given and name not in buffers)
        outputs = tuple(name for name in usage.stores if name not in usage.counters and (
            name in read or (looped and name in inputs)))
        inputs |= dict.fromkeys(name for name in outputs if name in given and name not in usage.known[0])
        slots = _slots(parts, outputs)
        nested = {name for name in usage.inner if usage.stores[name] > 1 or name in inputs or name in slots}
        block = Block(f"{PREFIX}{len(self.found)}", parts, tuple(inputs), outputs, survey.stores.keys(), nested, slots,
                      _placed(buffers, parts, len(slots)), survey.apart().intersection(inputs))
        self.found[block.name] = block
        arguments: list[ast.expr] = [ast.Name(name, ast.Load()) for name in block.inputs]
        if block.scratch:
            scratch = f"{block.name}_scratch"
            allocation = ast.Call(ast.Name(EMPTY, ast.Load()), [ast.Constant(block.scratch)], [])
            made.append(ast.Assign([ast.Name(scratch, ast.Store())], allocation))
            arguments.append(ast.Name(scratch, ast.Load()))
        call = ast.Call(ast.Name(block.name, ast.Load()), arguments, [])
        targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in outputs]
        if not targets:
            return [*made, ast.Expr(call)]
        return [*made, ast.Assign(targets if len(targets) == 1 else [ast.Tuple(targets, ast.Store())], call)]

    def _allocations(self, run: list[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt], dict[str, Buffer]]:
        """The allocations of a run that stay outside, its other statements, and the arrays that are its own."""
        survey = self.survey
        if not any(statement in survey.buffers for statement in run):
            return [], run, {}
        inside: Counter[str] = Counter()
        for statement in run:
            inside.update(survey.all_reads(statement))
        outside: list[ast.stmt] = []
        rest: list[ast.stmt] = []
        own: dict[str, Buffer] = {}
        for statement in run:
            buffer = survey.buffers.get(statement)
            if buffer is None:
                rest.append(statement)
                continue
            (name,) = _targets(statement)
            if survey.stores[name] > 1 or survey.loads[name] > inside[name]:
                outside.append(statement)
                continue
            own[name] = buffer
            if buffer.zeroed:
                rest.append(survey.filled(name))
        return outside, rest, own


class _Survey:
    """What the statements of a function read and assign, and which of them a block can hold.

    loads, stores   how often each variable is read and assigned
    reads           the names that each statement reads itself, its inner statements left out
    fitting         statements on numbers and elements of arrays, with all that they contain
    buffers         statements that allocate an array of literal size
    made            variables that are arrays of memory of their own where they are assigned
    passed          variables of which others may be views or second names
    """

    def __init__(self, callables: Collection[str], arguments: Sequence[str]) -> None:
        self.callables = callables
        self.loads: Counter[str] = Counter()
        self.stores = Counter(arguments)
        self.reads: dict[ast.stmt, list[str]] = {}
        self.fitting: set[ast.stmt] = set()
        self.buffers: dict[ast.stmt, Buffer] = {}
        self.made: set[str] = set()
        self.passed: set[str] = set()

    def apart(self) -> set[str]:
        """The arrays that share no memory with another, as far as something is written there."""
        return {name for name in self.made - self.passed if self.stores[name] == 1}

    def all_reads(self, statement: ast.stmt) -> list[str]:
        """The names that a statement reads, its inner statements too."""
        inner = [*getattr(statement, "body", ()), *getattr(statement, "orelse", ())]
        return [*self.reads[statement], *(name for one in inner for name in self.all_reads(one))]

    def filled(self, name: str) -> ast.stmt:
        """A statement, known to this survey, that fills an array with zeros."""
        target = ast.Subscript(ast.Name(name, ast.Load()), ast.Constant(...), ast.Store())
        made = ast.Assign([target], ast.Constant(0))
        self.reads[made] = [name]
        return made

    def statement(self, statement: ast.stmt) -> bool:
        """Look at a statement and at those inside; whether a block can hold it."""
        names: list[str] = []
        fits = False
        if isinstance(statement, ast.Assign):
            fits = len(statement.targets) == 1 and self._place(statement.targets[0], names, statement.value) and (
                self._scalar(statement.value, names))
        elif isinstance(statement, ast.AugAssign):
            fits = isinstance(statement.op, (ast.Add, ast.Sub, ast.Mult)) and (
                self._place(statement.target, names) and self._scalar(statement.value, names))
        elif isinstance(statement, ast.If):
            fits = self._scalar(statement.test, names)
        elif isinstance(statement, ast.For):
            fits = isinstance(statement.target, ast.Name) and self._range(statement.iter, names) and (
                not statement.orelse)
        elif isinstance(statement, ast.Raise):
            fits = isinstance(statement.exc, ast.Call) and isinstance(statement.exc.func, ast.Name)
        elif isinstance(statement, ast.Pass):
            fits = True
        inner = [*getattr(statement, "body", ()), *getattr(statement, "orelse", ())]
        if not fits:                                            # the walk may have stopped anywhere
            own = [node for name, value in ast.iter_fields(statement) if name not in ("body", "orelse")
                   for node in (value if isinstance(value, list) else [value]) if isinstance(node, ast.AST)]
            names = [node.id for root in own for node in ast.walk(root)
                     if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
            buffer = _allocated(statement)
            if buffer is not None:
                self.buffers[statement] = buffer
        if _makes_memory(statement):
            self.made.update(_targets(statement))
        elif isinstance(statement, (ast.Assign, ast.For)) and (
                not fits or isinstance(getattr(statement, "value", None), (ast.Name, ast.IfExp))):
            self.passed.update(names)
        for target in _targets(statement):
            self.stores[target] += 1
            if isinstance(statement, ast.AugAssign):
                names.append(target)
        self.reads[statement] = names
        self.loads.update(names)
        for one in inner:
            fits &= self.statement(one)
        if fits:
            self.fitting.add(statement)
        return fits

    def _place(self, target: ast.expr, names: list[str], value: ast.expr | None = None) -> bool:
        """Whether a target is a variable or an element; a slice may be filled with a literal."""
        if isinstance(target, ast.Name):
            return True
        if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name):
            return False
        names.append(target.value.id)
        filled = isinstance(value, ast.Constant)
        return all((filled and _is_whole(index)) or (
            not isinstance(index, ast.Slice) and self._scalar(index, names)) for index in indices_of(target))

    def _range(self, node: ast.expr, names: list[str]) -> bool:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "range":
            return False
        limits, steps = node.args[:2], node.args[2:]
        return all(self._scalar(limit, names) for limit in limits) and all(step_of(step) is not None for step in steps)

    def _scalar(self, node: ast.expr, names: list[str]) -> bool:
        """Whether an expression is one on numbers and elements of arrays; `names` gets what it reads."""
        if isinstance(node, ast.Name):
            names.append(node.id)
            return True
        if isinstance(node, ast.BinOp):
            return self._scalar(node.left, names) and self._scalar(node.right, names)
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Name) and not node.keywords and (
                node.func.id in self.callables or node.func.id.startswith("_gradc_")) and (
                all(self._scalar(argument, names) for argument in node.args))
        if isinstance(node, ast.Constant):
            return isinstance(node.value, (bool, int, float))
        if isinstance(node, ast.UnaryOp):
            return self._scalar(node.operand, names)
        if isinstance(node, ast.Subscript):
            shape = shape_of(node)
            if shape is not None:
                names.append(shape[0])
                return True
            return self._place(node, names)
        if isinstance(node, ast.Compare):
            return len(node.ops) == 1 and self._scalar(node.left, names) and self._scalar(node.comparators[0], names)
        if isinstance(node, ast.BoolOp):
            return all(self._scalar(operand, names) for operand in node.values)
        return isinstance(node, ast.IfExp) and (
            self._scalar(node.test, names) and self._scalar(node.body, names) and self._scalar(node.orelse, names))


def _targets(statement: ast.stmt) -> list[str]:
    """The variables that a statement itself assigns."""
    roots = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if len(roots) == 1 and isinstance(roots[0], ast.Name):
        return [roots[0].id]
    return [node.id for root in roots if root is not None for node in ast.walk(root)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def _allocated(statement: ast.stmt) -> Buffer | None:
    """The array of literal size that a statement allocates, None for any other statement."""
    call = statement.value if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if (not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or len(call.args) != 1
            or call.func.attr not in ("empty", "zeros") or not isinstance(call.func.value, ast.Name)
            or call.func.value.id != "np" or not isinstance(statement.targets[0], ast.Name)):  # type: ignore[attr-defined]
        return None
    (shape,) = call.args
    dims = [node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else -1
            for node in (shape.elts if isinstance(shape, ast.Tuple) else [shape])]
    dtypes = [k.value.attr if k.arg == "dtype" and isinstance(k.value, ast.Attribute) else "" for k in call.keywords]
    dtype = dtypes[0] if dtypes else "float64"
    if len(dtypes) > 1 or dtype not in DTYPES or min(dims, default=0) < 0 or math.prod(dims) > LARGEST:
        return None
    return Buffer(tuple(dims), dtype, call.func.attr == "zeros")


def _makes_memory(statement: ast.stmt) -> bool:
    """Whether a statement assigns arrays that share no memory with others: new ones, or arguments that were checked."""
    call = statement.value if isinstance(statement, ast.Assign) else None
    called = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
    return called in ("np.empty", "np.zeros", "np.empty_like", "np.zeros_like", CHECKED)


def _is_whole(index: ast.expr) -> bool:
    """Whether an index stands for all there is along its dimension, or along all of them: `:` or `...`."""
    if isinstance(index, ast.Slice):
        return index.lower is index.upper is index.step is None
    return isinstance(index, ast.Constant) and index.value is ...


def indices_of(node: ast.Subscript) -> list[ast.expr]:
    """The indices of an element: those of a tuple, or the one."""
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def shape_of(node: ast.Subscript) -> tuple[str, int] | None:
    """Array and number of a dimension, for `x.shape[1]`; None for anything else."""
    owner, index = node.value, node.slice
    if (isinstance(owner, ast.Attribute) and owner.attr == "shape" and isinstance(owner.value, ast.Name)
            and isinstance(index, ast.Constant) and isinstance(index.value, int)):
        return owner.value.id, index.value
    return None


def step_of(node: ast.expr) -> int | None:
    """The literal step of a range that runs up, or -1 of one that runs down by ones; None for any other."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > 0:
        return node.value
    minus = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    return -1 if minus and node.operand.value == 1 else None  # type: ignore[attr-defined]


# -- what goes in and out -------------------------------------------------------------------------------------------


class _Usage:
    """Where the variables of a run are assigned and read.

    inputs  those read where the run has not surely assigned them, in order
    loads   how often each is read; stores how often each is assigned, in the order of the first time
    inner   those assigned inside a loop or a condition
    counters    those of loops: generated text does not read them after their loop
    known   those surely assigned so far, by nesting
    """

    def __init__(self, survey: _Survey) -> None:
        self.survey = survey
        self.inputs: dict[str, None] = {}
        self.loads: Counter[str] = Counter()
        self.stores: Counter[str] = Counter()
        self.inner: set[str] = set()
        self.counters: set[str] = set()
        self.known: list[set[str]] = [set()]
        self.read: set[str] = set()                             # by the part at hand
        self.written: set[str] = set()

    def part(self, statements: list[ast.stmt]) -> Part:
        """Walk over some statements and say what they read and assign."""
        self.read, self.written = set(), set()
        for statement in statements:
            self._statement(statement)
        variables = self.survey.stores.keys()
        return Part(statements, {name for name in self.read if name in variables}, self.written)

    def _statement(self, statement: ast.stmt) -> None:
        reads = self.survey.reads[statement]
        self.loads.update(reads)
        self.read.update(reads)
        for name in reads:
            for known in self.known:
                if name in known:
                    break
            else:
                self.inputs.setdefault(name)
        if isinstance(statement, ast.If):
            self.known[-1] |= self._inside(statement.body) & self._inside(statement.orelse)
        elif isinstance(statement, ast.For):
            self.counters.update(_targets(statement))
            self._inside(statement.body, _targets(statement))
        else:
            self._assign(_targets(statement))

    def _assign(self, targets: Iterable[str]) -> None:
        for name in targets:
            self.stores[name] += 1
            self.written.add(name)
            self.known[-1].add(name)
            if len(self.known) > 1:
                self.inner.add(name)

    def _inside(self, body: Iterable[ast.stmt], targets: Iterable[str] = ()) -> set[str]:
        """Walk over what may run or not; the variables that it surely assigns when it runs."""
        self.known.append(set())
        self._assign(targets)
        for statement in body:
            self._statement(statement)
        return self.known.pop()


def _cut(run: Sequence[ast.stmt], survey: _Survey) -> list[list[ast.stmt]]:
    """The statements of a run in parts of about the same length."""
    sizes = [_size(statement) + len(survey.all_reads(statement)) for statement in run]
    count = max(1, round(sum(sizes) / PART))
    wanted = sum(sizes) / count
    parts: list[list[ast.stmt]] = [[]]
    length = 0
    for statement, size in zip(run, sizes, strict=True):
        if parts[-1] and length + size / 2 > wanted * len(parts):
            parts.append([])
        parts[-1].append(statement)
        length += size
    return parts


def _slots(parts: Sequence[Part], outputs: Sequence[str]) -> dict[str, int]:
    """A place for each output, and for each variable that is assigned in one part and needed in another."""
    first: dict[str, int] = {}
    passed = dict.fromkeys(outputs)
    for number, part in enumerate(parts):
        for name in sorted(part.loads | part.stores):
            if first.setdefault(name, number) != number:
                passed.setdefault(name)
    assigned = {name for part in parts for name in part.stores}
    return {name: place for place, name in enumerate(name for name in passed if name in assigned)}


def _placed(buffers: dict[str, Buffer], parts: Sequence[Part], start: int) -> dict[str, Buffer]:
    """The arrays with their places: small ones that one part alone uses on the stack, others from `start` on."""
    found: dict[str, Buffer] = {}
    for name, buffer in buffers.items():
        alone = sum(name in part.loads for part in parts) < 2
        if alone and buffer.size <= SMALL:
            found[name] = buffer
        else:
            found[name] = replace(buffer, place=start)
            start += buffer.size
    return found
