"""The statements of a block as LLVM's text: what Numba would make of them, without the way through its front end.

Takes the statements of a part of a block with the types of what goes in, and gives a function in LLVM's language:
each variable that is assigned in one place is a value, any other a place in memory (LLVM makes values of these
again). Rounding, the order of operations and the flags are those of the Python text under Numba. A function gives 0,
or the number of the exception that a statement raises. Expressions are `block_expressions`'.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

from .block_expressions import (
    MEMORY,
    REAL,
    SINGLE,
    TRUTH,
    WHOLE,
    Again,
    Array,
    Code,
    Expressions,
    Kind,
    Resolve,
    State,
    Value,
    literal,
    unified,
)
from .blocks import Block, Buffer, Part, Unsuitable, indices_of, step_of

_DTYPES = {"float64": REAL, "float32": SINGLE, "int64": WHOLE, "bool_": TRUTH}


def translate(block: Block, given: dict[str, Kind], resolve: Resolve, constants: dict[str, Any],
              flags: Iterable[str] = ()) -> Code:
    """The functions of a block.

    Args:
        block: the statements.
        given: the type of each input.
        resolve: finds a function by its name in the text (an operator by that of its class in `ast`) and by the
            types of its operands.
        constants: the numbers of the module, by name.
        flags: what LLVM may do to floating-point instructions, such as "contract".

    Raises:
        Unsuitable: something in the statements has no translation.
    """
    state = State(block, given, resolve, constants, "".join(f"{flag} " for flag in sorted(flags)))
    while True:
        code = Code()
        try:
            for number, part in enumerate(block.parts):
                code.functions.append(_Part(state, code, part, first=number == 0).translate())
        except Again:
            continue
        code.results = [state.kinds[name] for name in block.outputs]
        return code


class _Part(Expressions):
    """The translation of one part."""

    def __init__(self, state: State, code: Code, part: Part, *, first: bool) -> None:
        super().__init__(state, code, part.stores)
        self.part = part
        touched = part.loads | part.stores
        early = {name for name in self.block.inputs if name in state.memory and name in self.block.slots}
        self.inputs = tuple(name for name in self.block.inputs if name in (early if first else ()) or (
            name in touched and name not in early))

    def translate(self) -> tuple[str, tuple[str, ...]]:
        """The text of the function after its name, and its inputs."""
        parameters = []
        for name in self.inputs:
            kind = self.state.given[name]
            if isinstance(kind, tuple):
                address, dims = f"%{name}.a", tuple(f"%{name}.{k}" for k in range(kind[1]))
                self.arrays[name] = Array(address, dims, kind[0])
                alone = " noalias" if name in self.block.apart else ""
                parameters += [f"ptr{alone} {address}", *(f"i64 {dim}" for dim in dims)]
                self.positive.update(dims)
            else:
                value = Value(f"%{name}.v", kind)
                parameters.append(f"{kind} {value.text}")
                if name in self.state.memory:
                    self._into_memory(name, value)
                else:
                    self.scopes[0][name] = value
        for name, buffer in self.block.buffers.items():
            if name in self.part.loads:
                self._buffer(name, buffer)
        self.entry, self.lines = self.entry + self.lines, []
        self._suite(self.part.statements)
        self.lines.append("ret i32 0")
        parameters.append("ptr noalias %scratch")
        lines = "\n".join(["entry:", *self.entry, *self.lines])
        return f"({', '.join(parameters)}) {{\n{lines}\n}}", self.inputs

    def _buffer(self, name: str, buffer: Buffer) -> None:
        """Make an array of the block's own known to the part."""
        kind, address = _DTYPES[buffer.dtype], f"%{name}.a"
        if buffer.place is None:
            self.lines.append(f"{address} = alloca [{max(buffer.size, 1)} x {MEMORY[kind]}], align 64")
        else:
            self.lines.append(f"{address} = getelementptr inbounds double, ptr %scratch, i64 {buffer.place}")
        self.arrays[name] = Array(address, tuple(map(str, buffer.dims)), kind)

    # -- statements ---------------------------------------------------------------------------------------------

    def _suite(self, body: Sequence[ast.stmt]) -> bool:
        """Translate statements; whether the end is reached."""
        for statement in body:
            if isinstance(statement, ast.Assign):
                self._assign(statement.targets[0], self._value(statement.value))
            elif isinstance(statement, ast.AugAssign):
                self._augment(statement)
            elif isinstance(statement, ast.If):
                self._if(statement)
            elif isinstance(statement, ast.For):
                self._for(statement)
            elif isinstance(statement, ast.Raise):
                self._raise(statement)
                return False
            elif not isinstance(statement, ast.Pass):
                raise Unsuitable(type(statement).__name__)
        return True

    def _nested(self, body: Sequence[ast.stmt], **bound: Value) -> bool:
        self.scopes.append(bound)
        reached = self._suite(body)
        self.scopes.pop()
        return reached

    def _assign(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Subscript):
            self._fill(target, value)
            return
        assert isinstance(target, ast.Name)
        name = target.id
        if name in self.state.memory:
            self._into_memory(name, value)
            return
        self.scopes[-1][name] = value
        place = self.block.slots.get(name)
        if place is not None:
            self.state.kinds[name] = value.kind
            self._store(value, self._slot(place), volatile=len(self.block.parts) > 1)

    def _into_memory(self, name: str, value: Value) -> None:
        kinds = self.state.kinds
        known = kinds.setdefault(name, value.kind)
        if known != value.kind and unified(known, value.kind) != known:
            kinds[name] = unified(known, value.kind)
            raise Again
        self._store(self._cast(value, known), self._place(name))

    def _fill(self, target: ast.Subscript, value: Value) -> None:
        """An element set, or all elements along the dimensions that a slice stands for."""
        array = self._array(target)
        indices = indices_of(target)
        if any(isinstance(index, ast.Constant) and index.value is ... for index in indices):
            indices = []
        indices += [ast.Slice() for _ in array.dims[len(indices):]]
        value = self._cast(value, array.kind)
        places: list[str] = []
        closing: list[tuple[str, str, str, str, str, int]] = []
        for index, dim in zip(indices, array.dims, strict=True):
            if not isinstance(index, ast.Slice):
                places.append(self._index(index, dim))
                continue
            head, body, done = self._labels("head", "body", "done")
            here, after, before = self._name(), self._name(), self.label
            self.lines.append(f"br label %{head}")
            self._begin(head)
            gap = len(self.lines)
            self.lines.append("")
            test = self._new(f"icmp slt i64 {here}, {dim}")
            self.lines.append(f"br i1 {test}, label %{body}, label %{done}")
            self._begin(body)
            places.append(here)
            closing.append((here, after, before, head, done, gap))
        self._store(value, self._address(array, places))
        for here, after, before, head, done, line in reversed(closing):
            self.lines.append(f"{after} = add nsw i64 {here}, 1")
            self.lines.append(f"br label %{head}")
            self.lines[line] = f"{here} = phi i64 [ 0, %{before} ], [ {after}, %{self.label} ]"
            self._begin(done)

    def _augment(self, statement: ast.AugAssign) -> None:
        target, op = statement.target, type(statement.op)
        if isinstance(target, ast.Subscript):
            added = self._value(statement.value)
            address, kind = self._element(target)
            result = self._operated(op, self._load(address, kind), added)
            self._store(self._cast(result, kind), address)
        else:
            assert isinstance(target, ast.Name)
            before = self._variable(target.id)
            self._assign(target, self._operated(op, before, self._value(statement.value)))

    def _if(self, statement: ast.If) -> None:
        condition = self._truth(statement.test)
        yes, no, done = self._labels("yes", "no", "done")
        self.lines.append(f"br i1 {condition.text}, label %{yes}, label %{no if statement.orelse else done}")
        self._begin(yes)
        if self._nested(statement.body):
            self.lines.append(f"br label %{done}")
        if statement.orelse:
            self._begin(no)
            if self._nested(statement.orelse):
                self.lines.append(f"br label %{done}")
        self._begin(done)

    def _for(self, statement: ast.For) -> None:
        assert isinstance(statement.iter, ast.Call) and isinstance(statement.target, ast.Name)
        values = [self._cast(self._value(argument), WHOLE) for argument in statement.iter.args[:2]]
        start, stop = values if len(values) == 2 else (literal(0), values[0])
        step = (step_of(statement.iter.args[2]) or 1) if len(statement.iter.args) == 3 else 1
        before, name = self.label, statement.target.id
        head, body, following, done = self._labels("head", "body", "next", "done")
        here, after = self._name(), self._name()
        self.lines.append(f"br label %{head}")
        self._begin(head)
        self.lines.append(f"{here} = phi i64 [ {start.text}, %{before} ], [ {after}, %{following} ]")
        test = self._new(f"icmp {'slt' if step > 0 else 'sgt'} i64 {here}, {stop.text}")
        self.lines.append(f"br i1 {test}, label %{body}, label %{done}")
        self._begin(body)
        if step > 0 and self._is_positive(start):
            self.positive.add(here)
        if name in self.state.memory:
            self._into_memory(name, Value(here, WHOLE))
        if self._nested(statement.body, **({} if name in self.state.memory else {name: Value(here, WHOLE)})):
            self.lines.append(f"br label %{following}")
        self._begin(following)
        self.lines.append(f"{after} = add nsw i64 {here}, {step}")
        self.lines.append(f"br label %{head}")
        self._begin(done)

    def _raise(self, statement: ast.Raise) -> None:
        call = statement.exc
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or len(call.args) != 1:
            raise Unsuitable("an exception with other than one message")
        (message,) = call.args
        if not isinstance(message, ast.Constant) or not isinstance(message.value, str):
            raise Unsuitable("a message that is no literal")
        raised = call.func.id, message.value
        if raised not in self.code.raises:
            self.code.raises.append(raised)
        self.lines.append(f"ret i32 {self.code.raises.index(raised) + 1}")
