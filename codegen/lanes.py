"""Arithmetic on the lanes of a vector, written as arithmetic on numbers: how `vector_kernels` is turned into LLVM IR.

A `Lanes` is a value of a vector function under construction (or of its scalar form: one lane): float64 and int64,
or float32 and int32, or truth values. Operators append instructions. No instruction bears a flag, so all widths, the
scalar form included, give the same bits, and nothing is contracted or reassociated: `fma` is written where it is
meant. Which functions there are, and what they compute, is `vector_kernels`'; who calls them is `vector_maths`'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

DOUBLE, LONG, SINGLE, INT = ir.DoubleType(), ir.IntType(64), ir.FloatType(), ir.IntType(32)
_SHORT = {DOUBLE: "f64", SINGLE: "f32"}
_OTHER = {DOUBLE: LONG, LONG: DOUBLE, SINGLE: INT, INT: SINGLE}     # the integers of a float's size
MAGIC, MAGIC_SINGLE = 1.5 * 2.0**52, 1.5 * 2.0**23      # adding one leaves the nearest whole number in the low bits


class Lanes:
    """One value for each lane, and the builder that the instructions go to."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def width(self) -> int:
        """The number of lanes."""
        return self.value.type.count if isinstance(self.value.type, ir.VectorType) else 1

    @property
    def element(self) -> Any:
        """The LLVM type of one lane."""
        return getattr(self.value.type, "element", self.value.type)

    def like(self, number: Lanes | float) -> Lanes:
        """A number in every lane."""
        if isinstance(number, Lanes):
            return number
        kind = self.value.type
        whole = [number] * self.width if self.width > 1 else number
        return Lanes(self.builder, ir.Constant(kind, whole))

    def _apply(self, instruction: str, other: Lanes | float, *, swapped: bool = False) -> Lanes:
        operands = (self.value, self.like(other).value)
        made = getattr(self.builder, instruction)(*(reversed(operands) if swapped else operands))
        return Lanes(self.builder, made)

    def _either(self, stem: str, other: Lanes | float, *, swapped: bool = False) -> Lanes:
        return self._apply(stem if self.element in (LONG, INT) else f"f{stem}", other, swapped=swapped)

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._either("add", other)

    def __radd__(self, other: float) -> Lanes:
        return self._either("add", other, swapped=True)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._either("sub", other)

    def __rsub__(self, other: float) -> Lanes:
        return self._either("sub", other, swapped=True)

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._either("mul", other)

    def __rmul__(self, other: float) -> Lanes:
        return self._either("mul", other, swapped=True)

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return self._apply("fdiv", other)

    def __rtruediv__(self, other: float) -> Lanes:
        return self._apply("fdiv", other, swapped=True)

    def __neg__(self) -> Lanes:
        return Lanes(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Lanes:
        return _intrinsic("fabs", self)

    def __and__(self, other: Lanes | int) -> Lanes:
        return self._apply("and_", other)

    def __or__(self, other: Lanes | int) -> Lanes:
        return self._apply("or_", other)

    def __xor__(self, other: Lanes | int) -> Lanes:
        return self._apply("xor", other)

    def __lshift__(self, count: int) -> Lanes:
        return self._apply("shl", count)

    def __rshift__(self, count: int) -> Lanes:
        """A logical shift: zeros come in at the top."""
        return self._apply("lshr", count)

    def __invert__(self) -> Lanes:
        return Lanes(self.builder, self.builder.not_(self.value))

    def _compare(self, sign: str, other: Lanes | float) -> Lanes:
        """Truth values; a comparison with NaN does not hold."""
        operands = self.value, self.like(other).value
        if self.element in (LONG, INT):
            return Lanes(self.builder, self.builder.icmp_signed(sign, *operands))
        return Lanes(self.builder, self.builder.fcmp_ordered(sign, *operands))

    def __lt__(self, other: Lanes | float) -> Lanes:
        return self._compare("<", other)

    def __le__(self, other: Lanes | float) -> Lanes:
        return self._compare("<=", other)

    def __gt__(self, other: Lanes | float) -> Lanes:
        return self._compare(">", other)

    def __ge__(self, other: Lanes | float) -> Lanes:
        return self._compare(">=", other)

    def equals(self, other: Lanes | float) -> Lanes:
        """Where the lanes are equal (`==` keeps Python's own meaning)."""
        return self._compare("==", other)


def _intrinsic(name: str, *operands: Lanes) -> Lanes:
    """A call of an LLVM intrinsic of floats, which llvmlite cannot name for vectors."""
    first = operands[0]
    kind, module = first.value.type, first.builder.module
    suffix = _SHORT[first.element]
    full = f"llvm.{name}.{suffix if first.width == 1 else f'v{first.width}{suffix}'}"
    declared = module.globals.get(full)
    if declared is None:
        declared = ir.Function(module, ir.FunctionType(kind, (kind,) * len(operands)), full)
    return Lanes(first.builder, first.builder.call(declared, [operand.value for operand in operands]))


def fma(a: Lanes, b: Lanes | float, c: Lanes | float) -> Lanes:
    """a * b + c, rounded once."""
    return _intrinsic("fma", a, a.like(b), a.like(c))


def sqrt(x: Lanes) -> Lanes:
    """The square root, correctly rounded."""
    return _intrinsic("sqrt", x)


def nearest(x: Lanes) -> Lanes:
    """The nearest whole number, halves to the even one; the sign of a zero stays."""
    return _intrinsic("rint", x)


def scaled(x: Lanes, n: Lanes) -> Lanes:
    """x * 2**n for x near 1 and whole n, rounded once also where the result is subnormal."""
    if has_scalef() and x.width in ((4, 8) if x.element == DOUBLE else (8, 16)):
        return _scalef(x, n)
    half = nearest(n * 0.5)
    return x * power_of_two(half) * power_of_two(n - half)


def power_of_two(n: Lanes) -> Lanes:
    """2**n for whole n from -1022 to 1023, or -126 to 127 in float32."""
    if n.element == SINGLE:
        return from_bits(bits(n + (MAGIC_SINGLE + 127.0)) << 23)
    return from_bits(bits(n + (MAGIC + 1023.0)) << 52)


def _scalef(x: Lanes, n: Lanes) -> Lanes:
    """The instruction of AVX-512 that does it in one step, with the same rounding."""
    kind, builder = x.value.type, x.builder
    size = x.width * (64 if x.element == DOUBLE else 32)
    name = f"llvm.x86.avx512.mask.scalef.{'pd' if x.element == DOUBLE else 'ps'}.{size}"
    mask = ir.Constant(ir.IntType(max(8, x.width)), -1)
    operands = [x.value, n.value, ir.Constant(kind, ir.Undefined), mask]
    if size == 512:
        operands.append(ir.Constant(ir.IntType(32), 4))         # round as the processor is set to
    declared = builder.module.globals.get(name)
    if declared is None:
        declared = ir.Function(builder.module, ir.FunctionType(kind, [o.type for o in operands]), name)
    return Lanes(builder, builder.call(declared, operands))


@functools.cache
def target() -> tuple[str, frozenset[str]]:
    """The system that Numba compiles for, as LLVM names it, and the features of the processor."""
    from numba.core.registry import cpu_target

    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, frozenset(f[1:] for f in features.split(",") if f.startswith("+"))


def has_scalef() -> bool:
    """Whether the processor has AVX-512, also for vectors of 256 bits."""
    return {"avx512f", "avx512vl"} <= target()[1]


def where(condition: Lanes, yes: Lanes | float, no: Lanes | float) -> Lanes:
    """`yes` in the lanes where the condition holds, else `no`. At least one of the two is Lanes."""
    known = yes if isinstance(yes, Lanes) else no
    assert isinstance(known, Lanes)
    builder = condition.builder
    return Lanes(builder, builder.select(condition.value, known.like(yes).value, known.like(no).value))


def clamped(x: Lanes, low: float, high: float) -> Lanes:
    """x between bounds; NaN stays."""
    x = where(x > high, high, x)
    return where(x < low, low, x)


def bits(x: Lanes) -> Lanes:
    """The bit pattern of each float, as an integer of its size."""
    return _reinterpreted(x)


def from_bits(pattern: Lanes) -> Lanes:
    """The float of each bit pattern."""
    return _reinterpreted(pattern)


def _reinterpreted(x: Lanes) -> Lanes:
    element = _OTHER[x.element]
    kind = ir.VectorType(element, x.width) if x.width > 1 else element
    return Lanes(x.builder, x.builder.bitcast(x.value, kind))


def sign_bit(x: Lanes) -> Lanes:
    """The sign alone, as a bit pattern."""
    return bits(x) & (-(2**63) if x.element == DOUBLE else -(2**31))


def with_sign(size: Lanes, sign: Lanes) -> Lanes:
    """The size with its sign changed where the pattern `sign` has the sign bit."""
    return from_bits(bits(size) ^ sign)


def polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """The polynomial of these coefficients, the constant first, by Estrin's scheme: a short chain of `fma`."""
    terms: list[Lanes | float] = list(coefficients)
    power = x
    while len(terms) > 1:
        paired: list[Lanes | float] = []
        for low, high in zip(terms[::2], terms[1::2], strict=False):
            paired.append(fma(power.like(high), power, low))
        if len(terms) % 2:
            paired.append(terms[-1])
        terms = paired
        if len(terms) > 1:
            power = power * power
    return x.like(terms[0])


def rarely(condition: Lanes, usual: Lanes, name: str, *operands: Lanes) -> Lanes:
    """`usual`, but the C library's function `name` of the operands in the lanes where the condition holds.

    If it holds in none the cost is one test of the whole vector.
    """
    builder, width, kind = usual.builder, usual.width, usual.value.type
    declared = _c_function(builder.module, name, usual.element, len(operands))
    start, function = builder.block, builder.function
    any_lane = condition.value
    if width > 1:
        packed = builder.bitcast(condition.value, ir.IntType(width))
        any_lane = builder.icmp_unsigned("!=", packed, ir.Constant(packed.type, 0))
    if width == 1:
        slow, done = (function.append_basic_block(f"{name}.{part}") for part in ("slow", "done"))
        builder.cbranch(any_lane, slow, done)
        builder.position_at_end(slow)
        called = builder.call(declared, [operand.value for operand in operands])
        builder.branch(done)
        builder.position_at_end(done)
        result = builder.phi(kind)
        result.add_incoming(usual.value, start)
        result.add_incoming(called, slow)
        return Lanes(builder, result)
    loop, slow, after, done = (function.append_basic_block(f"{name}.{part}")
                               for part in ("lanes", "slow", "next", "done"))
    builder.cbranch(any_lane, loop, done)
    builder.position_at_end(loop)
    lane, before = builder.phi(LONG), builder.phi(kind)
    lane.add_incoming(ir.Constant(LONG, 0), start)
    before.add_incoming(usual.value, start)
    builder.cbranch(builder.extract_element(condition.value, lane), slow, after)
    builder.position_at_end(slow)
    called = builder.call(declared, [builder.extract_element(operand.value, lane) for operand in operands])
    replaced = builder.insert_element(before, called, lane)
    builder.branch(after)
    builder.position_at_end(after)
    current = builder.phi(kind)
    current.add_incoming(before, loop)
    current.add_incoming(replaced, slow)
    following = builder.add(lane, ir.Constant(LONG, 1))
    lane.add_incoming(following, after)
    before.add_incoming(current, after)
    builder.cbranch(builder.icmp_unsigned("<", following, ir.Constant(LONG, width)), loop, done)
    builder.position_at_end(done)
    result = builder.phi(kind)
    result.add_incoming(usual.value, start)
    result.add_incoming(current, after)
    return Lanes(builder, result)


def _c_function(module: Any, name: str, kind: Any, count: int) -> Any:
    declared = module.globals.get(name)
    if declared is None:
        declared = ir.Function(module, ir.FunctionType(kind, (kind,) * count), name)
        give_attributes(declared, "nounwind", "willreturn", "memory(none)")
    return declared


def give_attributes(function: Any, *attributes: str) -> None:
    """Add attributes that llvmlite's own list does not know, as LLVM spells them."""
    for attribute in attributes:
        set.add(function.attributes, attribute)


def build(module: Any, name: str, kernel: Callable[..., Lanes], count: int, width: int, *, single: bool,
          through_double: bool) -> Any:
    """Define the function `name` in an LLVM module: a kernel of `count` operands on vectors of a width.

    Args:
        module: llvmlite's module; a function of this name that it has already is given back.
        kernel: takes and gives Lanes, of float32 if `single` and not `through_double`, else of float64.
        width: the number of lanes, 1 for the scalar form.
        single: operands and result are float32.
        through_double: a float32 function computes in float64 and rounds at the end.
    """
    known = module.globals.get(name)
    if known is not None:
        return known
    kinds = (SINGLE if single else DOUBLE, DOUBLE)
    outer, inner = (ir.VectorType(kind, width) if width > 1 else kind for kind in kinds)
    function = ir.Function(module, ir.FunctionType(outer, (outer,) * count), name)
    function.linkage = "weak_odr"  # kept although nothing calls it before loops are vectorised; equal ones merge
    give_attributes(function, "nounwind", "willreturn", "memory(none)", "noinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    convert = single and through_double
    operands = [Lanes(builder, builder.fpext(a, inner) if convert else a) for a in function.args]
    result = kernel(*operands)
    builder.ret(builder.fptrunc(result.value, outer) if convert else result.value)
    return function
