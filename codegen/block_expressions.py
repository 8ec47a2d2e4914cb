"""Expressions of a block as LLVM's text: numbers, elements of arrays, calls.

Base of the translation of statements in `block_llvm`. A value is a piece of text with its type; lines that compute it
are appended as it is asked for. Operators on two reals or two integers are instructions, with the flags that the
module is compiled with; every other operator and function is a call of what `resolve` finds for the operands' types.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .blocks import Block, Unsuitable, indices_of, shape_of

REAL, SINGLE, WHOLE, TRUTH = "double", "float", "i64", "i1"
RANK = (TRUTH, WHOLE, SINGLE, REAL)
MEMORY = {REAL: "double", SINGLE: "float", WHOLE: "i64", TRUTH: "i8"}
_ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
_ORDER = {ast.Lt: ("olt", "slt"), ast.LtE: ("ole", "sle"), ast.Gt: ("ogt", "sgt"), ast.GtE: ("oge", "sge"),
          ast.Eq: ("oeq", "eq"), ast.NotEq: ("une", "ne")}


class Value(NamedTuple):
    """An operand as LLVM's text, and its type."""

    text: str
    kind: str


class Array(NamedTuple):
    """An array: the text of its address, of its dimensions, and the type of its elements."""

    address: str
    dims: tuple[str, ...]
    kind: str


class Called(NamedTuple):
    """A function of the module, or an operator, for operands of some types."""

    symbol: str
    result: str


Resolve = Callable[[str, tuple[str, ...]], Called]
Kind = str | tuple[str, int]         # of an input: a number's type, or an array's elements and dimensions


class Again(Exception):
    """A variable turned out to need memory, or a wider type: translate once more."""


@dataclass
class Code:
    """A translated block: one function for each part, to be called in order.

    functions   for each part the text of its body, and the inputs that it takes, in order
    results     the types of the block's outputs, in order
    raises      exception and message of each number that a function may give
    called      what it calls, by the name and the types of the operands
    """

    functions: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    raises: list[tuple[str, str]] = field(default_factory=list)
    called: dict[tuple[str, tuple[str, ...]], Called] = field(default_factory=dict)


def literal(value: float | int | bool) -> Value:
    """A number as LLVM writes it; reals by their bits."""
    if isinstance(value, bool):
        return Value("true" if value else "false", TRUTH)
    if isinstance(value, int):
        return Value(str(value), WHOLE)
    return Value(f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}", REAL)


def unified(one: str, other: str) -> str:
    """The type of a variable that takes values of two types."""
    if {one, other} == {WHOLE, SINGLE}:
        return REAL
    return max(one, other, key=RANK.index)


@dataclass
class State:
    """What parts share: the types of variables, and which of these live in memory."""

    block: Block
    given: dict[str, Kind]
    resolve: Resolve
    constants: dict[str, Any]
    flags: str
    kinds: dict[str, str] = field(default_factory=dict)
    memory: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.memory |= self.block.nested


class Expressions:
    """The values in one part of a block, and the lines that compute them."""

    def __init__(self, state: State, code: Code, stores: set[str]) -> None:
        self.state, self.code, self.stores, self.block = state, code, stores, state.block
        self.entry: list[str] = []                              # what stands before the statements
        self.lines: list[str] = []
        self.count = 0
        self.label = "entry"
        self.scopes: list[dict[str, Value]] = [{}]
        self.arrays: dict[str, Array] = {}
        self.places: dict[str, str] = {}                        # of variables in memory
        self.positive: set[str] = set()                         # integers that are not negative

    # -- expressions --------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Name):
            return self._variable(node.id)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Constant):
            if not isinstance(node.value, (bool, int, float)):
                raise Unsuitable("a literal that is no number")
            return literal(node.value)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            return self._read(node)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.Compare):
            return self._compare(type(node.ops[0]), self._value(node.left), self._value(node.comparators[0]))
        if isinstance(node, ast.IfExp):
            return self._choice(node)
        if isinstance(node, ast.BoolOp):
            return self._joined(node)
        raise Unsuitable(type(node).__name__)

    def _variable(self, name: str) -> Value:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        if name not in self.block.variables:
            value = self.state.constants.get(name)
            if not isinstance(value, (bool, int, float)):
                raise Unsuitable(f"{name} is no number")
            return literal(value)
        if name in self.arrays or name in self.block.buffers:
            raise Unsuitable("an array as a whole")
        if name in self.state.memory:
            kind = self.state.kinds.setdefault(name, REAL)
            return self._load(self._place(name), kind)
        if name in self.block.slots and name in self.state.kinds and name not in self.stores:
            value = self._load(self._slot(self.block.slots[name]), self.state.kinds[name])
            self.scopes[-1][name] = value
            return value
        if name in self.block.slots and name in self.state.kinds:
            return self._load(self._slot(self.block.slots[name]), self.state.kinds[name])
        self.state.memory.add(name)
        raise Again

    def _binary(self, node: ast.BinOp) -> Value:
        if isinstance(node.op, ast.Pow):
            exponent = _whole(node.right)
            if exponent is not None:
                return self._power(self._value(node.left), exponent)
        return self._operated(type(node.op), self._value(node.left), self._value(node.right))

    def _operated(self, op: type[ast.operator], left: Value, right: Value) -> Value:
        stem = _ARITHMETIC.get(op)
        pair = {left.kind, right.kind}
        if stem is not None and pair <= {REAL, WHOLE, TRUTH} and REAL in pair:
            a, b = self._cast(left, REAL), self._cast(right, REAL)
            return Value(self._new(f"f{stem} {self.state.flags}double {a.text}, {b.text}"), REAL)
        if stem is not None and pair == {SINGLE}:
            return Value(self._new(f"f{stem} {self.state.flags}float {left.text}, {right.text}"), SINGLE)
        if stem is not None and op is not ast.Div and pair == {WHOLE}:
            made = self._new(f"{stem} nsw i64 {left.text}, {right.text}")
            if op is not ast.Sub and self._is_positive(left) and self._is_positive(right):
                self.positive.add(made)
            return Value(made, WHOLE)
        return self._applied(op.__name__, left, right)

    def _power(self, base: Value, exponent: int) -> Value:
        """A power with a literal whole exponent: the products that Numba makes of it."""
        if base.kind not in (REAL, SINGLE):
            raise Unsuitable("a power of an integer")
        result: Value | None = None
        left = abs(exponent)
        one = self._cast(literal(1.0), base.kind)
        result = one
        while left:
            if left & 1:
                result = base if result is one else self._operated(ast.Mult, result, base)
            left >>= 1
            if left:
                base = self._operated(ast.Mult, base, base)
        return self._operated(ast.Div, one, result) if exponent < 0 else result

    def _unary(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            return Value(self._new(f"xor i1 {self._truth(node.operand).text}, true"), TRUTH)
        if not isinstance(node.op, ast.USub):
            raise Unsuitable(type(node.op).__name__)
        if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, (int, float)):
            return literal(-node.operand.value)
        value = self._value(node.operand)
        if value.kind == WHOLE:
            return Value(self._new(f"sub nsw i64 0, {value.text}"), WHOLE)
        if value.kind == TRUTH:
            return self._applied("USub", value)
        return Value(self._new(f"fneg {self.state.flags}{value.kind} {value.text}"), value.kind)

    def _compare(self, op: type[ast.cmpop], left: Value, right: Value) -> Value:
        real, whole = _ORDER[op]
        pair = {left.kind, right.kind}
        if pair == {WHOLE} or (pair == {TRUTH} and whole in ("eq", "ne")):
            return Value(self._new(f"icmp {whole} {left.kind} {left.text}, {right.text}"), TRUTH)
        if REAL in pair and TRUTH not in pair:
            left, right = self._cast(left, REAL), self._cast(right, REAL)
        if left.kind == right.kind and left.kind in (REAL, SINGLE):
            return Value(self._new(f"fcmp {self.state.flags}{real} {left.kind} {left.text}, {right.text}"), TRUTH)
        return self._applied(op.__name__, left, right)

    def _truth(self, node: ast.expr) -> Value:
        value = self._value(node)
        if value.kind != TRUTH:
            raise Unsuitable("a condition that is no truth value")
        return value

    def _choice(self, node: ast.IfExp) -> Value:
        condition = self._truth(node.test)
        if _is_simple(node.body) and _is_simple(node.orelse):
            yes, no = self._value(node.body), self._value(node.orelse)
            kind = unified(yes.kind, no.kind)
            yes, no = self._cast(yes, kind), self._cast(no, kind)
            return Value(self._new(f"select i1 {condition.text}, {kind} {yes.text}, {kind} {no.text}"), kind)
        on_yes, on_no, done = self._labels("yes", "no", "done")
        self.lines.append(f"br i1 {condition.text}, label %{on_yes}, label %{on_no}")
        yes, yes_end = self._branch(on_yes, node.body)
        gap = len(self.lines)
        self.lines.append("")                                   # what ends this branch, once the type is known
        no, no_end = self._branch(on_no, node.orelse)
        kind = unified(yes.kind, no.kind)
        no = self._cast(no, kind)
        self.lines.append(f"br label %{done}")
        rest, self.lines = self.lines, []
        yes = self._cast(yes, kind)
        rest[gap] = "\n".join([*self.lines, f"br label %{done}"])
        self.lines = rest
        self._begin(done)
        return Value(self._new(f"phi {kind} [ {yes.text}, %{yes_end} ], [ {no.text}, %{no_end} ]"), kind)

    def _branch(self, label: str, node: ast.expr) -> tuple[Value, str]:
        """An expression in a branch of its own: its value, and the label at which the branch ends."""
        self._begin(label)
        self.scopes.append({})
        value = self._value(node)
        self.scopes.pop()
        return value, self.label

    def _joined(self, node: ast.BoolOp) -> Value:
        """`and` and `or`: what the first operand decides is not computed, unless it is cheap and reads no memory."""
        both = isinstance(node.op, ast.And)
        value = self._truth(node.values[0])
        for operand in node.values[1:]:
            if _is_simple(operand):
                other = self._truth(operand)
                chosen = f"i1 {other.text}, i1 false" if both else f"i1 true, i1 {other.text}"
                value = Value(self._new(f"select i1 {value.text}, {chosen}"), TRUTH)
                continue
            more, done = self._labels("more", "done")
            before = self.label
            pair = (more, done) if both else (done, more)
            self.lines.append(f"br i1 {value.text}, label %{pair[0]}, label %{pair[1]}")
            other, end = self._branch_truth(more, operand)
            self.lines.append(f"br label %{done}")
            self._begin(done)
            decided = "false" if both else "true"
            value = Value(self._new(f"phi i1 [ {decided}, %{before} ], [ {other.text}, %{end} ]"), TRUTH)
        return value

    def _branch_truth(self, label: str, node: ast.expr) -> tuple[Value, str]:
        value, end = self._branch(label, node)
        if value.kind != TRUTH:
            raise Unsuitable("a condition that is no truth value")
        return value, end

    def _call(self, node: ast.Call) -> Value:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        values = [self._value(argument) for argument in node.args]
        if len(values) == 1 and name in ("float", "float32"):
            return self._cast(values[0], REAL if name == "float" else SINGLE)
        if name in ("max", "min"):
            return self._extremum(name, values)
        return self._applied(name, *values)

    def _extremum(self, name: str, values: Sequence[Value]) -> Value:
        """Python's `max` and `min` of integers: bounds of loops."""
        best, *others = values
        if any(value.kind != WHOLE for value in values):
            raise Unsuitable(f"{name} of other than integers")
        for other in others:
            better = self._new(f"icmp {'sgt' if name == 'max' else 'slt'} i64 {other.text}, {best.text}")
            best = Value(self._new(f"select i1 {better}, i64 {other.text}, i64 {best.text}"), WHOLE)
        return best

    def _applied(self, name: str, *values: Value) -> Value:
        """A call of a function of the module, or of an operator by its name."""
        key = name, tuple(value.kind for value in values)
        called = self.code.called.get(key)
        if called is None:
            called = self.code.called[key] = self.state.resolve(*key)
        operands = ", ".join(f"{value.kind} {value.text}" for value in values)
        flags = self.state.flags if called.result in (REAL, SINGLE) else ""
        return Value(self._new(f"call {flags}{called.result} @{called.symbol}({operands})"), called.result)

    # -- arrays -------------------------------------------------------------------------------------------------

    def _read(self, node: ast.Subscript) -> Value:
        shape = shape_of(node)
        if shape is not None:
            name, number = shape
            if name not in self.arrays:
                raise Unsuitable(f"the shape of {name}")
            return Value(self.arrays[name].dims[number], WHOLE)
        address, kind = self._element(node)
        return self._load(address, kind)

    def _array(self, node: ast.Subscript) -> Array:
        if not isinstance(node.value, ast.Name) or node.value.id not in self.arrays:
            raise Unsuitable("an element of what is no array")
        return self.arrays[node.value.id]

    def _element(self, node: ast.Subscript) -> tuple[str, str]:
        """The address of an element, and the type of the array's elements."""
        array = self._array(node)
        indices = indices_of(node)
        if len(indices) != len(array.dims):
            raise Unsuitable("fewer indices than dimensions")
        places = [self._index(index, dim) for index, dim in zip(indices, array.dims, strict=True)]
        return self._address(array, places), array.kind

    def _index(self, node: ast.expr, dim: str) -> str:
        """An index; a negative one counts from the end, as in Python."""
        value = self._value(node)
        if value.kind != WHOLE:
            raise Unsuitable("an index that is no integer")
        if self._is_positive(value):
            return value.text
        wrapped = self._new(f"add i64 {value.text}, {dim}")
        negative = self._new(f"icmp slt i64 {value.text}, 0")
        return self._new(f"select i1 {negative}, i64 {wrapped}, i64 {value.text}")

    def _is_positive(self, value: Value) -> bool:
        return value.text in self.positive or value.text.isdigit()

    def _address(self, array: Array, places: Sequence[str]) -> str:
        if not places:
            return array.address
        offset = places[0]
        for place, dim in zip(places[1:], array.dims[1:], strict=True):
            row = self._new(f"mul nsw i64 {offset}, {dim}") if offset != "0" else "0"
            offset = place if row == "0" else self._new(f"add nsw i64 {row}, {place}")
        return self._new(f"getelementptr inbounds {MEMORY[array.kind]}, ptr {array.address}, i64 {offset}")

    # -- memory and lines --------------------------------------------------------------------------------------

    def _place(self, name: str) -> str:
        """The address of a variable in memory."""
        if name not in self.places:
            slot = self.block.slots.get(name)
            if slot is None:
                self.places[name] = f"%{name}.m"
                self.entry.append(f"%{name}.m = alloca {MEMORY[self.state.kinds[name]]}")
            else:
                self.places[name] = f"%{name}.m"
                self.entry.append(f"%{name}.m = getelementptr inbounds double, ptr %scratch, i64 {slot}")
        return self.places[name]

    def _slot(self, place: int) -> str:
        return self._new(f"getelementptr inbounds double, ptr %scratch, i64 {place}")

    def _store(self, value: Value, address: str, *, volatile: bool = False) -> None:
        """Store a value. LLVM does not look whether a volatile store is needed, which takes it long where many are."""
        if value.kind == TRUTH:
            value = Value(self._new(f"zext i1 {value.text} to i8"), "i8")
        kept = "volatile " if volatile else ""
        self.lines.append(f"store {kept}{value.kind} {value.text}, ptr {address}")

    def _load(self, address: str, kind: str) -> Value:
        loaded = self._new(f"load {MEMORY[kind]}, ptr {address}")
        return Value(self._new(f"icmp ne i8 {loaded}, 0") if kind == TRUTH else loaded, kind)

    def _cast(self, value: Value, kind: str) -> Value:
        """The value as another type, in which every value of its own fits (but for single precision)."""
        if value.kind == kind:
            return value
        if value.kind == WHOLE and kind == REAL and value.text.lstrip("-").isdigit():
            return literal(float(int(value.text)))
        instruction = _CASTS.get((value.kind, kind))
        if instruction is None:
            raise Unsuitable(f"{value.kind} as {kind}")
        return Value(self._new(f"{instruction} {value.kind} {value.text} to {kind}"), kind)

    def _name(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def _new(self, instruction: str) -> str:
        """A line that gives a value: its name."""
        self.count += 1
        name = f"%t{self.count}"
        self.lines.append(f"{name} = {instruction}")
        return name

    def _labels(self, *stems: str) -> list[str]:
        self.count += 1
        return [f"{stem}{self.count}" for stem in stems]

    def _begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label


_CASTS = {
    (TRUTH, WHOLE): "zext", (TRUTH, REAL): "uitofp", (TRUTH, SINGLE): "uitofp", (WHOLE, REAL): "sitofp",
    (WHOLE, SINGLE): "sitofp", (SINGLE, REAL): "fpext", (REAL, SINGLE): "fptrunc",
}


def _whole(node: ast.expr) -> int | None:
    """The value of a literal integer with its sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _whole(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _is_simple(node: ast.expr) -> bool:
    """Whether an expression may be computed though its value is not needed: arithmetic alone."""
    if isinstance(node, (ast.Name, ast.Constant)):
        return True
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)) and _is_simple(node.left) and (
            _is_simple(node.right))
    if isinstance(node, ast.UnaryOp):
        return _is_simple(node.operand)
    return isinstance(node, ast.Compare) and _is_simple(node.left) and _is_simple(node.comparators[0])
