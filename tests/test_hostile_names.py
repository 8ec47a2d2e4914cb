"""Names of SymPy symbols are data: whatever they hold, nothing runs, and the numbers are right.

Each name is used as a scalar, an integer, an array, a dimension and a bound variable, and goes through the
graph, its text form, and the generated source of the function and of its gradient.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
import sympy
from sympy import IndexedBase, Sum, Symbol

import gradc.compiler.api as api
from gradc.compiler.from_sympy import convert
from gradc.ir.text import from_text, to_text
from gradc.ir.verify import verify

NAMES = [
    "__import__('os').abort()",
    "x y",
    "lambda",
    "None",
    "class",
    "import os",
    "α",
    "naïve",
    "ｓｉｎ",
    "x²",
    "",
    " ",
    "_",
    "__",
    "__class__",
    "1",
    "1x",
    "x'",
    'x"',
    '"""',
    "'''",
    '"""\nimport os\nos.abort()\n"""',
    "x\nimport os",
    "x\rimport os",
    "x\u2028import os",
    "x\x00",
    "x\x0c",
    "\\",
    "x\\",
    "\\n",
    "{x}",
    "%s",
    "{0.__class__}",
    "$x",
    "#",
    "x # y",
    ";",
    "x;import os",
    "x=1",
    "x:=1",
    "(",
    ")",
    "[x]",
    "*x",
    "**x",
    "n-1",
    "n*m",
    "n//2",
    "-1",
    "sin",
    "np",
    "numpy",
    "math",
    "value",
    "grad",
    "self",
    "t1",
    "i",
    "eval",
    "exec",
    "print",
    "float64",
    "njit",
    "\u202e",
    "\ud800",
    "😀",
    "a" * 100_000,
    "x_{max}",
    r"\alpha",
    "d_x",
    "result",
    "inf",
    "nan",
    "True",
    "%0",
    "gradc graph 1",
    '; name "y"',
]
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
y, i = Symbol("y_"), Symbol("i_", integer=True)


def uses(name: str) -> list[tuple[Any, dict[str, Any], float]]:
    """Expressions that use the name in every role, with arguments and the value."""
    scalar, whole = Symbol(name), Symbol(name, integer=True)
    vector = [1.0, 2.0, 4.0]
    return [
        (scalar**2 * y, {name: 3.0, "y_": 2.0}, 18.0),
        (y**whole + whole, {name: 3, "y_": 2.0}, 11.0),
        (Sum(IndexedBase(Symbol(name))[i] ** 2, (i, 0, 2)), {name: vector}, 21.0),
        (Sum(IndexedBase("A_", shape=(whole,))[i] * whole, (i, 0, whole - 1)), {"A_": vector}, 21.0),
        (Sum(IndexedBase("A_")[whole] ** 2, (whole, 0, 2)), {"A_": vector}, 21.0),
        (sympy.Piecewise((y, sympy.And(scalar, y > 1)), (0, True)), {name: True, "y_": 2.0}, 2.0),
    ]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:30]))
def test_a_name_is_kept_as_data_in_the_graph_and_its_text(name: str) -> None:
    for expr, arguments, _ in uses(name):
        graph = convert(expr)
        verify(graph)
        assert set(graph.inputs) == set(arguments)
        again = from_text(to_text(graph))
        assert to_text(again) == to_text(graph)
        assert list(again.inputs) == list(graph.inputs)
        assert "\n" not in graph.source


def sources(expr: Any, arguments: dict[str, Any], want: float) -> list[str]:
    """The text of the function, and of its gradient where it has one, after both have run as they are."""
    function = api.compile(expr, jit=False)
    values = [arguments[key] for key in function.args]
    assert function(*values) == want
    if not any(isinstance(value, (float, list)) for value in arguments.values()):
        return [function.source]
    function.grad(*values)
    return [function.source, function.grad.source]


def vocabulary(source: str) -> set[str]:
    """What a text can do: the attributes, imports and calls in it, and its kinds of syntax."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        found.add(type(node).__name__)
        if isinstance(node, ast.Attribute):
            found.add(f".{node.attr}")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Call):
            found.add(ast.unparse(node.func).split(".")[-1] + "()")
        elif isinstance(node, (ast.Name, ast.arg)):
            name = node.id if isinstance(node, ast.Name) else node.arg
            assert IDENTIFIER.fullmatch(name)
            assert not name.startswith("__")
    return found


@pytest.fixture(scope="module")
def harmless() -> list[list[set[str]]]:
    return [[vocabulary(source) for source in sources(*use)] for use in uses("q")]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:30]))
def test_generated_text_can_do_nothing_that_a_harmless_name_does_not_do(
    name: str, harmless: list[list[set[str]]]
) -> None:
    for use, expected in zip(uses(name), harmless, strict=True):
        for source, allowed in zip(sources(*use), expected, strict=True):
            assert vocabulary(source) <= allowed | {"max()"}  # it may clamp a size


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name.isprintable()], ids=lambda name: ascii(name[:30])
)
def test_an_error_shows_a_bounded_part_of_a_name(name: str) -> None:
    with pytest.raises(api.FormulaError) as caught:
        convert(Symbol(name) + Symbol(name, real=True))
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_string_is_never_given_to_sympy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a string was handed to SymPy")

    expr = Symbol("x y") ** 2 + Sum(IndexedBase("A")[i], (i, 0, 2))
    monkeypatch.setattr("sympy.parsing.sympy_parser.parse_expr", refuse)  # sympify of a string goes there
    assert list(convert(expr, {"A": "3", "x y": ""}).inputs) == ["A", "x y"]


def test_dimensions_that_are_made_up_are_new_names() -> None:
    first, second, plain = IndexedBase(Symbol("a b")), IndexedBase(Symbol("a-b")), IndexedBase("U")
    graph = convert(first[0] + second[0] + plain[0] * Symbol("U_dim0"))
    dims = [str(node.shape[0]) for node in graph.inputs.values() if node.shape]
    assert len(set(dims)) == 3
    assert not set(dims) & set(graph.inputs)
