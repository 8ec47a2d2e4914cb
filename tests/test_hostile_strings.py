"""Strings that try to run, open, import or exhaust something are refused with a typed error."""

import builtins
import os
from typing import Any

import pytest

from gradc.compiler.formula import parse
from gradc.ir.errors import FormulaError, GradcError, SizeError

CODE = [
    "__import__('os').system('true')", "__import__(a)", "eval(a)", "exec(a)", "print(a)", "open(a)",
    "compile(a)",
    "getattr(a, b)", "globals()", "a.__class__.__bases__[0]", "().__class__", "(1).real", "(0).__class__",
    "a.mro()",
    "sum.__self__", "sin.__globals__", "lambda: a", "(lambda q: q)(a)", "(q := a)", "[q for q in a]",
    "{q for q in a}",
    "{a: b}", "{**a}", "sum(q for q in a.b)", "sum(q for q in [].__class__)", "sum(q async for q in a)",
    "sum(await q for i in range(3))", "sum((yield) for i in range(3))", "sum(q for q, r in range(3))",
    "sum(q for q.r in range(3))", "sum(q for q[0] in range(3))", "sum(*a)", "max(*a, **b)", "sin(x=a)",
    "f'{a}'",
    "f\"{__import__('os')}\"", "b'a'", "'a' * 9**9", "rb''", "u'a'", "`a`", "a; import os", "import os",
    "del a",
    "from os import *", "def f(): pass", "class C: pass", "while 1: a", "for i in range(3): a", "with a: b",
    "try: a", "global a", "assert a", "raise a", "return a", "yield a", "await a", "pass", "@a", "a if b",
    "...", "einsum('i;import os', x)", "einsum('i,' + 'i', x, x)", "einsum(f'i', x)", "einsum('i', 'i')",
    "einsum('i\\x41', x)", "einsum(\'\'\'i\'\'\', x)", "einsum('i'.__class__, x)", "einsum('__import__', x)",
    "'i'[0]", "norm(x, ord='fro')", "einsum('i', x, optimize=True)", "reshape(x, (10**30,))", "x.T.__class__",
    "Ellipsis[0]", "None()", "True()", "__debug__", "__name__", "__builtins__",
    "a.__init__.__globals__['os']",
    "type(a)", "object()", "breakpoint()", "input()", "exit()", "copyright()", "factorial(1e8)", "a\\\nb",
    "$a", "!a",
    "?", "%a", "a!", "a :: b", "range(10**9)", "sum(range(10**9))", "os.system(a)", "np.load(a)", "0xg", "1_",
    "1__0",
    "1e", "1e+", "0b2", ".", "..", "a..b", ",", "()", "[]", "x[", "]", ":", "a:b", "#", "\\", "\n\n", "=",
    "==",
]
CHARACTERS = [
    "a\x00b", "\x00", "\ud800", "a + \udfff", "ｓｉｎ(a)", "ﬁ + a", "ª", "𝒂", "а + 1", "a\u200b", "\ufeffa",
    "a\u2028b", "a\x0bb",
    "a\x1bb", "٣ + a", "a’", "“a”", "a\u0301", "日本", "😀", "𝟙", "x\u202ey",
]
SIZES = [
    "(" * 10_000 + "a" + ")" * 10_000, "[" * 10_000, "(" * 101 + "a" + ")" * 101, "-" * 5000 + "a",
    "-" * 999_999 + "a",
    "not " * 5000 + "flag", "a" + "**a" * 5000, "a if flag else " * 5000 + "a", "a+" * 5_000_000 + "a",
    "a+" * 400_000 + "a",
    "a" + " + a" * 3500, "a < " * 400_000 + "a", "max(" + "a," * 400_000 + "a)", "a " * 400_000, "a" * 201,
    "a" * 500_000,
    "9" * 500, "9" * 5000, "1" + "0" * 400_000, "0x" + "f" * 5000, "x[" * 5000, "sin(" * 5000, "1e999",
    "-1e999", "1e-999",
    "1e999999999", "9" * 309, "x[9" + "9" * 400 + "]", "sum(x[i] for i in range(1e9))",
    "x[" + "+".join(f"k{i}" for i in range(500)) + "]",
    "einsum('" + "i" * 400 + "', x)", "einsum('" + "i," * 140 + "i', x)", "matrix_power(x, 100000000)",
    "diff(x, 10**9)", "diff(" * 30 + "x" + ", 16)" * 30,
    "x[" + "*".join(["(k+n)"] * 60) + "]", "#" * 2_000_000, ";" * 1_000_001, "\n" * 1_000_001,
]


def sealed(*args: Any, **keywords: Any) -> Any:
    raise AssertionError("a formula ran something")


@pytest.fixture
def sealed_builtins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eval", "exec", "open", "input", "print", "breakpoint"):
        monkeypatch.setattr(builtins, name, sealed)
    monkeypatch.setattr(os, "system", sealed)


@pytest.mark.usefixtures("sealed_builtins")
@pytest.mark.parametrize("text", CODE)
def test_code_is_refused_and_not_run(text: str) -> None:
    with pytest.raises(GradcError) as caught:
        parse(text, {"x": "n"})
    assert all(line.isprintable() for line in str(caught.value).split("\n"))


@pytest.mark.parametrize("text", CHARACTERS, ids=ascii)
def test_characters_outside_the_alphabet_are_refused_printably(text: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    message = str(caught.value)
    assert "U+" in message
    assert all(line.isprintable() for line in message.split("\n"))
    message.encode("utf-8")                                     # surrogates are not repeated


@pytest.mark.parametrize("text", SIZES, ids=lambda text: f"{text[:12]!a}-{len(text)}")
def test_sizes_beyond_the_limits_are_refused_shortly(text: str) -> None:
    with pytest.raises(GradcError) as caught:
        parse(text, {"x": "n", "flag": "bool", "k": "int"})
    assert isinstance(caught.value, SizeError | FormulaError)
    assert len(str(caught.value)) < 700


def test_powers_of_integers_are_never_computed() -> None:
    for text in ("9**9**9", "9**9**9**9", "2**10000000000", "10**400", "(-7)**99999999"):
        graph = parse(text)
        assert graph.outputs[0][1].dtype == "float64"
        assert max(abs(node.value) for node in graph.nodes if node.op == "const") < 2**63


@pytest.mark.parametrize("name",
                         ["__class__", "__import__", "lambda", "out", "workspace", "a b", "a;b", "a.b", "ｘ",
                          "x\n", "",
                                  "1x", "'", "a" * 201, "x=1", "None", "__import__('os').system('true')"])
def test_hostile_names_of_arguments_are_refused(name: str) -> None:
    with pytest.raises(FormulaError):
        parse("1.0", {name: "n"})
    with pytest.raises(FormulaError):
        parse("1.0", {"x": f"[{name}]"})


@pytest.mark.parametrize("text", ["a\tb", "\ta\t+\tb", "a +\x0c b", "a\r+ b", "(a\r\n+ b)"])
def test_white_space_is_harmless(text: str) -> None:
    if text in ("\ta\t+\tb", "a +\x0c b", "(a\r\n+ b)"):
        assert list(parse(text).inputs) == ["a", "b"]
    else:
        with pytest.raises(FormulaError):
            parse(text)
