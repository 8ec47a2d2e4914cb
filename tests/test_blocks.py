"""Long runs of statements that go to Numba as one call: the same bits as the text gives, in a time that is linear."""

from __future__ import annotations

import ast
import itertools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc
from gradc.codegen import block_expressions, block_llvm, blocks, cache
from gradc.codegen import load as loading
from gradc.codegen.load import Entry, Module, load
from gradc.codegen.module import Group, print_module
from gradc.compiler.derive import gradient
from gradc.compiler.passes import finish, prepare
from gradc.ir.graph import Graph

from .benchmarks.cases.formula import case

HEADER = "import numpy as np\nfrom numpy import cos, exp, float32, hypot, inf, log, maximum, nan, sin, sqrt\n\n"
SPECIAL = (0.0, -0.0, 1.0, -1.5, 2.5, math.inf, -math.inf, math.nan, 1e308, 5e-324)

SCALARS = """
def f(x, y, k):
    a = x * y + 0.1
    b = a / x - y * y
    a = a - b * 3.0
    c = sin(a) + exp(b) * log(y)
    c += x
    c -= hypot(b, y)
    c *= -a
    p = x ** 3 + x ** 0.5 + x ** y
    d = k * x + k / 3 + k // 2 + k % 3
    e = maximum(x, y) + sqrt(abs(x))
    return a, b, c, d, e, p
"""
CHOICES = """
def f(x, y, k):
    a = x if x > y else -y
    b = exp(x) if x < 0.0 else k
    large = x >= 1.0 and y != 0.0 or not k > 2
    c = 1.0 if large else nan
    s = 0.0
    if x > 0.0 and 1.0 / y > 0.0:
        t = x / y
        s = t
    elif k == 3:
        s = inf
    else:
        s = float(k)
    if large:
        u = log(x)
    if large:
        s += u
    return a, b, c, s, large, x == y, k <= 2
"""
SINGLES = """
def f(x, y, k):
    a = float32(x)
    b = a * float32(y) + float32(0.1)
    c = b * k
    d = b + x
    e = float(b)
    return a, b, c, d, e
"""
LOOPS = """
def f(x, y, k):
    buffer = np.empty(5)
    zeros = np.zeros((2, 3))
    count = np.zeros(3, dtype=np.int64)
    for i in range(5):
        buffer[i] = x * i
    for i in range(4, 0, -1):
        buffer[i] += buffer[i - 1]
    total = 0.0
    product = 1.0
    best = -inf
    for i in range(2):
        row = 0.0
        for j in range(max(i, 1), min(3, k + 4)):
            zeros[i, j] = buffer[i + j] * y
            row += zeros[i, j]
        total += row
        product *= row
        best = maximum(best, row)
    count[k - 3] = 7
    count[-1] += 2
    zeros[1, :] = 2.0
    return total, product, best, zeros[1, 0] + buffer[3], count[2] + count[0] * k, row
"""
ARRAYS = """
def f(x, index, mask, out):
    n = x.shape[0]
    if index.shape[0] != n:
        raise ValueError("index.shape[0] must equal n")
    out[:] = 0.0
    found = 0
    for i in range(n):
        before = x[i - 1] if i > 0 else 0.0
        if mask[i] and x[i] < 3.0:
            out[index[i]] += x[i] * before
            found += 1
    for i in range(n):
        if out[i] < 0.0:
            raise FloatingPointError("an element is negative")
    return found
"""


def both(text: str, types: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, *, flags: frozenset[str] = frozenset(),
         part: int = 1000) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The function f of a text with all its statements in blocks, and with none."""
    monkeypatch.setitem(loading.OPTIONS, "fastmath", set(flags))
    monkeypatch.setattr(blocks, "PART", part)
    made = []
    for least in (1, 10**9):
        monkeypatch.setattr(blocks, "LEAST", least)
        made.append(load(Module(HEADER + text, entries=(Entry("f", types),)), cache=False)["f"])
    return made[0], made[1]


def bits(values: Any) -> list[Any]:
    """Numbers by their bits (all NaN are one), other values as they are."""
    flat = values if isinstance(values, tuple) else (values,)
    return [value if not isinstance(value, float) else "nan" if value != value else value.hex() for value in flat]


def in_blocks(text: str, names: tuple[str, ...] = ("f",)) -> dict[str, blocks.Block]:
    """The blocks of a module's text."""
    return blocks.rewrite(ast.parse(text), names)


@pytest.mark.parametrize(("flags", "part"), [(frozenset(), 1000), (frozenset(), 10), (frozenset(("contract",)), 1000)],
                         ids=["strict", "in parts", "contracted"])
@pytest.mark.parametrize("text", [SCALARS, CHOICES, SINGLES, LOOPS], ids=["scalars", "choices", "singles", "loops"])
def test_a_block_has_the_bits_of_the_text(text: str, flags: frozenset[str], part: int,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    block, statements = both(text, ("float64", "float64", "int64"), monkeypatch, flags=flags, part=part)
    for x, y, k in itertools.product(SPECIAL, SPECIAL, (1, 2, 3)):
        assert bits(block(x, y, k)) == bits(statements(x, y, k)), (x, y, k)


def test_arrays_conditions_and_refusals_are_those_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    types = ("const float64[::1]", "const int64[::1]", "const bool[::1]", "float64[::1]")
    index = np.array([2, 0, -1, 1])
    for function in both(ARRAYS, types, monkeypatch):
        out = np.full(4, 9.0)
        x, mask = np.array([2.0, -3.0, 1.5, 2.5]), np.array([True, True, False, True])
        assert function(abs(x), index, mask, out) == 2
        assert out.tolist() == [0.0, 3.75, 0.0, 0.0]
        with pytest.raises(FloatingPointError, match="an element is negative"):
            function(x, index, np.ones(4, bool), np.empty(4))
        out[:] = 9.0
        with pytest.raises(ValueError, match=r"index.shape\[0\] must equal n"):
            function(x, index[:3], mask, out)
        assert out.tolist() == [9.0] * 4


@pytest.mark.parametrize("limit", [10**9, 100], ids=["optimised", "translated"])
def test_a_long_gradient_is_that_of_its_plain_text_to_the_last_digits(limit: int,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "OPTIMISED", limit)
    problem = case("1000")
    f = gradc.compile(problem.written["NumPy"], problem.args, problem.wrt, cache=False)
    (block,) = in_blocks(f.value_and_grad.source, ("value_and_grad",)).values()
    assert len(block.parts) > 1
    value, gradient = f.value_and_grad(*problem.inputs)
    wanted, slopes = gradc.compile(problem.written["NumPy"], problem.args, problem.wrt, jit=False).value_and_grad(
        *problem.inputs)
    assert value == pytest.approx(wanted, rel=1e-9)
    assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-9)


def test_what_no_block_can_hold_is_left_to_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of another hand: an array that is not contiguous, and one that is used as a whole."""
    text = "def f(x):\n    y = x\n    s = y[0] + 1.0\n    s = s * y[1]\n    return s\n"
    block, statements = both(text, ("float64[:]",), monkeypatch)
    assert block(np.arange(1.0, 9.0)[::2]) == statements(np.arange(1.0, 9.0)[::2]) == 6.0


def test_short_functions_and_calls_of_routines_stay_numbas() -> None:
    assert in_blocks(HEADER + SCALARS) == {}
    body = "".join(f"    y[{k}] = x[{k}]\n" for k in range(blocks.LEAST))
    text = f"def solve(a):\n    return a\n\n\ndef f(x, y):\n{body}    z = solve(y)\n{body}    return z\n"
    tree = ast.parse(text)
    first, second = blocks.rewrite(tree, ["f"]).values()
    assert first.inputs == second.inputs == ("y", "x")
    assert first.outputs == second.outputs == ()
    assert [type(statement).__name__ for statement in tree.body[1].body] == ["Expr", "Assign", "Expr", "Return"]  # type: ignore[attr-defined]


def test_new_and_checked_arrays_share_no_memory_where_no_other_name_is_theirs() -> None:
    names = "abcdexy"
    body = "".join(f"    {name}[{k}] = x[{k}]\n" for name in names for k in range(blocks.LEAST // len(names) + 1))
    text = ("def f(n, e, _x, _y):\n    x, y = _gradc_arguments((_x, _y))\n    a = np.empty(n)\n    b = np.zeros((n,))\n"
            f"    c = np.empty_like(x)\n    d = c\n{body}    return 0\n")
    (block,) = in_blocks(text).values()
    assert set(block.apart) == {"a", "b", "x", "y"}             # c has a second name, d is one, e may be anything


def test_compiled_blocks_are_kept_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LEAST", 1)
    module = Module(HEADER + SCALARS, entries=(Entry("f", ("float64", "float64", "int64")),))
    first = load(module)["f"](1.25, 2.0, 3)
    monkeypatch.setattr(loading, "_loaded", {})
    before = cache.events.compiled
    assert load(module)["f"](1.25, 2.0, 3) == first
    assert cache.events.compiled == before


# -- linear, by counts -----------------------------------------------------------------------------------------------


def chain(count: int) -> Graph:
    """A long formula of two arguments."""
    graph = Graph()
    x, y = graph.input("x"), graph.input("y")
    values = [x, y]
    for k in range(count):
        values.append(graph.ops.sin(values[-1] * 0.5) + values[k // 2] * values[-2])
    graph.outputs = [("f", values[-1])]
    return graph


def calls(function: Callable[[], Any]) -> int:
    """The number of calls, of Python's functions and of C's, that a function makes."""
    count = 0

    def counted(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def derived(count: int) -> Graph:
    return finish(gradient(prepare(chain(count)), ["x", "y"], with_value=True, kinks="subgradient"))


def printed(graph: Graph) -> str:
    return print_module(graph, "f", [Group(tuple(key for key, _ in graph.outputs))]).module.source


def translated(text: str) -> block_expressions.Code:
    (block,) = in_blocks(text).values()
    called = block_expressions.Called("sin", "double")
    return block_llvm.translate(block, dict.fromkeys(block.inputs, "double"), lambda _name, _kinds: called, {})


def test_the_work_of_every_stage_is_proportional_to_the_length() -> None:
    short, long = chain(100), chain(400)
    assert calls(lambda: prepare(long)) < 4.4 * calls(lambda: prepare(short))
    short, long = derived(100), derived(400)
    assert len(long.nodes) < 4.2 * len(short.nodes)
    assert calls(lambda: derived(400)) < 4.4 * calls(lambda: derived(100))
    texts = printed(short), printed(long)
    assert calls(lambda: printed(derived(400))) < 4.4 * calls(lambda: printed(derived(100)))
    assert calls(lambda: in_blocks(texts[1])) < 4.4 * calls(lambda: in_blocks(texts[0]))
    assert calls(lambda: translated(texts[1])) < 4.4 * calls(lambda: translated(texts[0]))


def test_a_block_is_cut_into_parts_of_like_length_and_passes_on_each_value_once() -> None:
    (block,) = in_blocks(printed(derived(1000))).values()
    code = translated(printed(derived(1000)))
    lines = [text.count("\n") for text, _ in code.functions]
    assert len(lines) == len(block.parts) > 10
    assert max(lines) < 3 * min(lines)
    stored = sum(text.count("store volatile") for text, _ in code.functions)
    assert stored == len(block.slots) < block.statements
