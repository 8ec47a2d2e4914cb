"""Generated text as people read it: the same in every run, with their names, comments and a header.

It is also what runs: each text is executed on its own, in an empty namespace, with NumPy alone.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
import sympy

import gradc
from gradc.ir.interpret import evaluate

from .comparison import leaves, same
from .sources import body, functions, plain, printed_in_processes

PROGRAMS: list[tuple[str, Any, dict[str, Any]]] = [
    ("(x + y) * z", None, {"x": -2.0, "y": 5.0, "z": -4.0}),
    ("sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", {"x": "n"},
     {"x": np.array([0.3, -0.8, 1.1])}),
    ("h = maximum(W1 @ x, 0); sum((W2 @ h - y)**2)", {"W1": "h d", "W2": "c h", "x": "d", "y": "c"},
     {"W1": np.array([[1.0, 2.0], [-1.0, 0.5]]), "W2": np.array([[0.3, 0.4]]), "x": np.array([0.5, 0.1]),
      "y": np.array([0.2])}),
    ("sum(logsumexp(A[i, k] * s for k in range(K) if k != i) for i in range(n))", {"A": "n K"},
     {"A": np.array([[0.1, 0.2, 0.3], [0.4, -0.5, 0.6]]), "s": 1.5}),
    ("prod(x) + sigmoid(x[0]) + log(1 + exp(x[1])) + erf(x[2])", {"x": "n"}, {"x": np.array([0.3, 1.2, 0.7])}),
    ("sum(w[k[i]]**2 for i in range(n))", {"w": "m", "k": "int n"}, {"w": np.array([1.0, 2.0]), "k": np.array([1, 1, 0])}),
]


@pytest.mark.parametrize(("formula", "args", "values"), PROGRAMS)
def test_the_text_runs_on_its_own_with_numpy_alone(formula: str, args: Any, values: dict[str, Any]) -> None:
    f = plain(formula, args)
    for function, name in ((f, "value"), (f.grad, "grad"), (f.value_and_grad, "value_and_grad")):
        scope: dict[str, Any] = {}
        exec(function.source, scope)
        arguments = [np.float64(v) if isinstance(v, float) else v for v in values.values()]
        found, wanted = leaves(scope[name](*arguments)), leaves(function(*values.values()))
        same(tuple(np.asarray(v, float) for v in found), tuple(np.asarray(v, float) for v in wanted))
        imported = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                    for node in ast.walk(ast.parse(function.source)) if isinstance(node, ast.Import | ast.ImportFrom)}
        assert imported <= {"numpy", "typing", "math"}


SCRIPT = """
import gradc, hashlib
found = hashlib.sha256()
for formula, args in {programs!r}:
    f = gradc.compile(formula, args, jit=False)
    for function in (f, f.grad, f.value_and_grad, *f._gate[1:]):
        found.update(function.source.encode())
        found.update(str(function.graph).encode())
print(found.hexdigest())
"""


def test_the_text_is_the_same_in_every_process() -> None:
    script = SCRIPT.format(programs=[(formula, args) for formula, args, _ in PROGRAMS])
    assert len(printed_in_processes(script, ("0", "1", "12345"))) == 1


def test_users_names_are_kept() -> None:
    f = plain("hidden = tanh(x @ w); loss = hidden**2 + exp(hidden); loss * scale", {"x": "n", "w": "n"})
    source = body(f.value_and_grad.source)
    for name in ("hidden = ", "loss = ", "d_hidden = ", "scale", "d_x", "d_w"):
        assert name in source
    assert "def value_and_grad(x, w, scale):" in f.value_and_grad.source


def test_comments_say_which_rule_made_a_line_and_how_many_uses_were_summed() -> None:
    source = plain("q = x * y; q * sin(q) + q").grad.source
    assert "# adjoint of q: sum of 3 uses (" in source
    assert "# adjoint of x: sum of 2 uses (div, mul)" in plain("q = x * y; sin(q) + x / y").grad.source


def test_the_reason_of_a_stable_rewrite_is_told() -> None:
    assert "# the largest term is taken out, so that no exp overflows" in plain("logsumexp(a)", {"a": "n"}).source
    assert "log1p" in plain("log(1 + x)").source


def test_the_header_tells_formula_signature_and_policy() -> None:
    f = plain("sum(x[i] * k for i in range(n)) * flag", {"x": "n", "k": "int", "flag": "bool", "f": "float32 n 3"})
    header = ast.get_docstring(ast.parse(f.grad.source))
    assert header is not None
    text = " ".join(header.split())
    assert text.startswith("Gradient of sum(x[i] * k for i in range(n)) * flag Arguments: x: float64[n], k: int64, "
                           "flag: bool, f: float32[n, 3] By: x, f At kinks: abs'(0) = 0")
    assert "At kinks" not in f.source
    assert ast.get_docstring(ast.parse(f.value_and_grad.source)).startswith("Value and gradient of")  # type: ignore[union-attr]


def test_a_long_formula_is_shortened_in_the_header() -> None:
    f = plain(" + ".join(f"x{i}**2" for i in range(200)))
    header = ast.get_docstring(ast.parse(f.source))
    assert header is not None
    assert header.splitlines()[0].startswith("Value of x0**2 + x1**2")
    assert "..." in header
    assert len(header.split("Arguments:")[0]) < 600


def test_brackets_keep_the_association_of_the_formula() -> None:
    for formula in ("a - (b - c)", "a / (b / c)", "a * (b / c)", "(a * b) / c", "a + (b + c)", "(a + b) + c",
                    "-(a**2)", "(-a)**2", "a**(b**c)", "(a**b)**c", "-a * -b", "a - -b", "(a if b > c else b) * c"):
        source = plain(formula, ["a", "b", "c"]).source
        wanted = eval(formula, {"a": 0.1, "b": 0.7, "c": 0.3})
        scope: dict[str, Any] = {}
        exec(source, scope)
        assert scope["value"](0.1, 0.7, 0.3) == wanted          # to the last bit


# -- names are data -----------------------------------------------------------------------------

HOSTILE = ["i", "j", "n", "s1", "t1", "d_x", "value", "grad", "grad_into", "value_0", "exp_", "inf_", "np", "numpy",
           "out_", "self", "extra", "unknown", "x_part", "d_x_part", "x_i", "Gradient", "NamedTuple", "numba", "njit",
           "math", "range_", "float_", "_a0", "_s0", "_direct", "_missing", "_refusals", "float32", "maximum", "k_1",
           "print", "type", "match", "case", "_"]


@pytest.mark.parametrize("name", HOSTILE)
def test_arguments_may_bear_the_names_that_the_text_uses(name: str) -> None:
    symbol = sympy.Symbol(name, real=True)
    array, i = sympy.IndexedBase("x" if name != "x" else "z"), sympy.Idx("i" if name != "i" else "m")
    size = sympy.Symbol("size", integer=True)
    expression = symbol * sympy.Sum(sympy.exp(array[i] * symbol), (i, 0, size - 1))
    f = gradc.compile(expression, {array: "size", symbol: ""}, jit=False)
    x, y = np.array([0.3, -0.2]), 0.7
    assert f(x, y) == pytest.approx(y * np.sum(np.exp(x * y)))
    found = f.grad(x, y)
    np.testing.assert_allclose(found[0], y * y * np.exp(x * y))
    assert found[1] == pytest.approx(np.sum(np.exp(x * y)) + y * np.sum(x * np.exp(x * y)))
    assert found[name] == found[1]
    assert f(x, **{name: y}) == f(x, y)


def test_a_compiled_call_takes_hostile_names_too() -> None:
    names = ["self", "_refusals", "d_x", "_direct", "lambda", "_scalar"]
    symbols = [sympy.Symbol(name, real=True) for name in names]
    f = gradc.compile(sympy.Add(*[s**k for k, s in enumerate(symbols, 1)]), symbols)
    point = [1.1, 0.9, 1.2, 0.8, 1.3, 0.7]
    wanted = [k * v ** (k - 1) for k, v in enumerate(point, 1)]
    for _ in range(2):                                          # the first call checks, the second goes straight
        found = f.grad(*point)
        assert list(found) == pytest.approx(wanted)
        assert [found[name] for name in names] == list(found)
        assert f.grad(**dict(zip(names, point, strict=True))) == found
        assert list(f.grad(*map(np.float32, point))) == pytest.approx(wanted, rel=1e-6)
        with pytest.raises(gradc.ArgumentError, match="the argument _refusals has dtype"):
            f.grad(1.1, "0.9", *point[2:])


def test_names_that_are_no_identifiers_are_renamed_with_a_comment() -> None:
    names = ["lambda", "a b", "α", "x'", "__import__('os').abort()", "\n", '"""', "1", ""]
    symbols = [sympy.Symbol(name, real=True) for name in names]
    f = gradc.compile(sympy.Add(*[s**2 for s in symbols]), symbols, jit=False)
    source = f.grad.source
    assert list(f.args) == names
    assert "The argument 'lambda' is called lambda_1 here." in source
    assert "u03b1' is called" in source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.Name):
            name = node.arg if isinstance(node, ast.arg) else node.id
            assert name.isidentifier()
            assert not name.startswith("__")
    assert list(f.grad(*range(9))) == [2.0 * k for k in range(9)]


def test_an_argument_may_be_called_like_a_dimension() -> None:
    f = plain("sum(x[i] * n for i in range(n))", {"x": "n", "n": "int"})
    assert f([1.0, 2.0], 2) == 6.0
    g = plain("sum(x) * n + k * n", {"x": "n", "k": "int"})
    assert g([1.0, 2.0], 3) == 12.0
    h = plain("sum(x[i] * d_x * n_1 * s1 for i in range(n))", {"x": "n"})
    assert h([1.0, 2.0], 2.0, 3.0, 5.0) == 90.0


def test_nothing_that_a_user_names_is_pasted_into_the_text() -> None:
    """An output or an intermediate value may have any name in a graph; the text holds identifiers."""
    graph = plain("q = x * y; sin(q) * q").graph
    (node,) = (n for n, names in graph.names.items() if names == ["q"])
    graph.names[node] = ["import os; os.abort()"]
    graph.source = '"""\nimport os; os.abort()\n"""'
    from gradc.compiler.compiled import Options
    from gradc.compiler.function import Function

    f = Function(graph, ("x", "y"), Options(jit=False))
    for function in (f, f.grad):
        tree = ast.parse(function.source)
        assert not any(isinstance(node, ast.Import) for node in tree.body)
        assert set(functions(function.source)) == {function.__name__}
    assert f(1.0, 2.0) == pytest.approx(2.0 * np.sin(2.0))


def test_a_long_gradient_has_a_forward_and_a_backward_part() -> None:
    def loss(W1: Any, b1: Any, W2: Any, b2: Any, x: Any, y: Any) -> Any:
        hidden = np.maximum(x @ W1.T + b1, 0)
        scores = hidden @ W2.T + b2
        return np.mean(np.log(np.sum(np.exp(scores), axis=1)) - np.sum(scores * y, axis=1))

    shapes = {"W1": "5 4", "b1": "5", "W2": "3 5", "b2": "3", "x": "n 4", "y": "n 3"}
    f = gradc.compile(loss, shapes, jit=False)
    source = f.value_and_grad.source
    forward, _, backward = source.partition("        # backward\n")
    assert forward.count("        # forward\n") == 1
    assert "hidden_j = maximum(" in forward
    assert "d_W2[" not in forward.partition("# forward")[2]
    assert "d_W1[" in backward
    assert "# backward" not in f.source
    short = gradc.compile("sum(exp(x[i]) * y[i] for i in range(n))", args={"x": "n", "y": "n"}, jit=False)
    assert "# backward" not in short.grad.source


@pytest.mark.parametrize(("formula", "text"), [
    ("2*sin(x) + 2*cos(y)", "2.0 * (sin(x) + cos(y))"),
    ("0.5*sin(x) - cos(y)*0.5", "0.5 * (sin(x) - cos(y))"),
    ("3*sin(x) + 3*cos(y)", "3.0 * sin(x) + 3.0 * cos(y)"),                # 3 a + 3 b has other digits
    ("2*sin(x) + 4*cos(y)", "2.0 * sin(x) + 4.0 * cos(y)"),
    ("a = 2*sin(x); a + 2*cos(y)", "a + 2.0 * cos(y)"),                     # the user's own name stays
])
def test_powers_of_two_that_terms_share_are_taken_out(formula: str, text: str) -> None:
    f = plain(formula)
    assert f"return {text}\n" in f.source
    for x, y in ((0.3, 0.7), (1e200, 3.0), (-5e-324, 1.0)):
        assert f(x, y) == evaluate(f.graph, {"x": x, "y": y})[0]
