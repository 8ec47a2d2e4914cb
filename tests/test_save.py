"""Saved files: they run alone with NumPy, with Numba, without SciPy where they can, and check themselves."""

import ast
import importlib.util
import math
import subprocess
import sys

import numpy as np
import pytest
import sympy

from gradc.compiler.example import find_example
from gradc.ir.graph import Graph

from .sources import plain

SUM = ("sum(erf(x[i]) * w + polygamma(2, w) * sigmoid(x[i]) for i in range(n)) + k * max(x) + j0(w)",
       {"x": "n", "w": "", "k": "int"})


def saved(f, path):
    """The saved file as a module, in this process and without Numba."""
    f.save(path)
    blocked = {name: sys.modules.get(name) for name in ("numba",)}
    sys.modules["numba"] = None
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop("numba")
        sys.modules.update({name: known for name, known in blocked.items() if known is not None})
    return module


def run(path, *, block=(), options=()):
    """Run a file as a script in a process of its own where some modules cannot be imported, gradc never."""
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in ("gradc", *block))
    code = f"import runpy, sys; {blocked}runpy.run_path({str(path)!r}, run_name='__main__')"
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("formula", "args"), [
    ("q = x + y; f = q * z", None),
    ("sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", {"x": "n"}),
    ("acosh(x) + asin(y) + log(-z) + 1/erf(x)", None),
    ("sum((A @ x - b)**2) * k", {"A": "m n", "x": "n", "b": "m", "k": "int"}),
    SUM,
    ("sum(x * w)", {"x": "float32 n", "w": "float32"}),
    ("2 * x if flag else x**3", {"x": "", "flag": "bool"}),
])
def test_a_saved_file_runs_with_numpy_alone_and_agrees_with_differences(formula, args, tmp_path):
    plain(formula, args).save(tmp_path / "saved.py")
    done = run(tmp_path / "saved.py", block=["numba"], options=["-W", "error"])
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert float(first.rpartition(" ")[2]) < (2e-2 if "float32" in str(args) else 1e-8)
    assert last == "ok"


@pytest.mark.parametrize(("formula", "args"), [("q = x + y; f = q * z", None), SUM])
def test_a_saved_file_runs_with_numba(formula, args, tmp_path):
    plain(formula, args).save(tmp_path / "saved.py")
    code = (f"import runpy; g = runpy.run_path({str(tmp_path / 'saved.py')!r}); "
            "assert g['_check']() == 0; print(g['_grad'].signatures)")
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "float64" in done.stdout.splitlines()[-1]


def test_the_functions_of_the_file_give_what_the_function_gives(tmp_path):
    formula, args = SUM
    f, x = plain(formula, args), np.array([0.5, -1.0, 2.0])
    module = saved(f, tmp_path / "saved.py")
    assert module.value(x, 1.5, 2) == pytest.approx(f(x, 1.5, 2), rel=1e-14)
    gradient = module.grad(x, 1.5, 2)
    np.testing.assert_allclose(gradient.x, f.grad(x, 1.5, 2).x, rtol=1e-13)
    assert gradient.w == pytest.approx(f.grad(x, 1.5, 2).w, rel=1e-13)
    value, gradient = module.value_and_grad([0.5, -1, 2], 1.5, 2)
    assert value == module.value(x, 1.5, 2)
    assert type(gradient).__name__ == "Gradient"


def test_the_file_has_type_hints_the_formula_and_each_definition_once(tmp_path):
    formula, args = SUM
    plain(formula, args).save(tmp_path / "saved.py")
    text = (tmp_path / "saved.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert "erf(x[i]) * w" in ast.get_docstring(tree)
    assert "needs NumPy and SciPy" in ast.get_docstring(tree)
    defined = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(defined) == len(set(defined))
    assert {"value", "grad", "value_and_grad", "Gradient", "sigmoid"} <= set(defined)
    hints = {node.name: ast.unparse(node.args) + " -> " + ast.unparse(node.returns)
             for node in tree.body if isinstance(node, ast.FunctionDef) and node.returns}
    assert hints["value_and_grad"] == "x: npt.ArrayLike, w: float, k: int -> tuple[float, Gradient]"
    assert "gradc" not in {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                           for alias in node.names}


def test_the_same_function_gives_the_same_file(tmp_path):
    for name in ("one", "two"):
        plain("exp(-x**2) * y").save(tmp_path / f"{name}.py")
    assert (tmp_path / "one.py").read_bytes() == (tmp_path / "two.py").read_bytes()


@pytest.mark.parametrize(("which", "names"), [("grad", {"grad", "_value", "_grad"}),
                                              ("value_and_grad", {"value_and_grad", "_value_and_grad"})])
def test_a_derivative_is_saved_alone_with_what_its_check_needs(which, names, tmp_path):
    getattr(plain("x**2 * log(y)"), which).save(tmp_path / "saved.py")
    done = run(tmp_path / "saved.py", block=["numba", "scipy"])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ok")
    text = (tmp_path / "saved.py").read_text(encoding="utf-8")
    found = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert found == names | {"_example", "_check"}


def test_a_second_derivative_is_saved_with_the_first_for_its_check(tmp_path):
    module = saved(plain("x**4").grad.grad, tmp_path / "saved.py")
    assert module.grad(2.0) == 48.0
    assert module._check() == 0


@pytest.mark.parametrize(("formula", "args", "call", "expected"), [
    ("x * y", {"x": "n", "y": "n"}, ([1.0, 2.0], [3.0, 4.0]), [3.0, 8.0]),
    ("x + y, x * y", None, (2.0, 3.0), (5.0, 6.0)),
    ("k * 2", {"k": "int"}, (4,), 8),
    ("2 * 3", None, (), 6),
])
def test_without_a_gradient_the_file_checks_values(formula, args, call, expected, tmp_path, capsys):
    module = saved(plain(formula, args), tmp_path / "saved.py")
    np.testing.assert_array_equal(module.value(*call), expected)
    assert not hasattr(module, "grad")
    assert module._check() == 0
    assert capsys.readouterr().out == "ok\n"


@pytest.mark.parametrize(("formula", "args", "old", "new", "said"), [
    ("q = x + y; f = q * z", None, "d_y = z", "d_y = -z", "the gradient is WRONG"),
    ("x * y", {"x": "n", "y": "n"}, "x[i] * y[i]", "x[i] + y[i]", "the values are WRONG"),
])
def test_a_wrong_file_is_found_out(formula, args, old, new, said, tmp_path):
    plain(formula, args).save(tmp_path / "saved.py")
    text = (tmp_path / "saved.py").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "saved.py").write_text(text.replace(old, new), encoding="utf-8")
    done = run(tmp_path / "saved.py", block=["numba"])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, said)


def test_a_nan_gradient_is_found_out(tmp_path):
    plain("x * y").save(tmp_path / "saved.py")
    text = (tmp_path / "saved.py").read_text(encoding="utf-8")
    wrong = text.replace("d_y = x ", "d_y = np.nan ")
    assert wrong != text
    (tmp_path / "saved.py").write_text(wrong, encoding="utf-8")
    assert run(tmp_path / "saved.py", block=["numba"]).returncode == 1


def test_a_formula_without_a_finite_point_says_that_nothing_was_checked(tmp_path, capsys):
    module = saved(plain("log(x) + log(-x)"), tmp_path / "saved.py")
    assert module._check() == 1
    assert capsys.readouterr().out.startswith("not checked: gradc found no point where the formula is finite")


def test_division_by_zero_gives_what_compiled_code_gives(tmp_path):
    module = saved(plain("1 / erf(x) + 1 / y"), tmp_path / "saved.py")
    assert module.value(0.0, 1.0) == math.inf
    assert module.value(1.0, 0) == math.inf
    assert math.isnan(module.value(0.0, -0.0))


def test_a_file_that_needs_scipy_says_so(tmp_path):
    plain("j0(x)").save(tmp_path / "saved.py")
    done = run(tmp_path / "saved.py", block=["scipy", "scipy.special"])
    assert "ImportError: this file needs SciPy for j0, j1: pip install scipy" in done.stderr


@pytest.mark.parametrize(("call", "error", "message"), [
    (([[1.0]],), ValueError, "x must have 1 dimensions, not 2"),
    ((["a"],), TypeError, "x must be an array of float64"),
    (([1j],), TypeError, "x must be an array of float64, not of complex128"),
])
def test_a_saved_function_refuses_wrong_arrays(call, error, message, tmp_path):
    module = saved(plain("sum(x)", {"x": "n"}), tmp_path / "saved.py")
    with pytest.raises(error, match=message):
        module.value(*call)


def test_dimensions_that_disagree_are_refused(tmp_path):
    module = saved(plain("x @ y", {"x": "n", "y": "n"}), tmp_path / "saved.py")
    with pytest.raises(ValueError, match="must equal"):
        module.value([1.0, 2.0], [1.0])


def test_hostile_names_are_identifiers_and_text(tmp_path):
    marker = tmp_path / "owned"
    hostile = sympy.Symbol(f'__import__("pathlib").Path({str(marker)!r}).touch()')
    docstring = sympy.Symbol('"""\nimport os\n"""\\')
    f = plain(hostile * docstring + sympy.Symbol("lambda"))
    module = saved(f, tmp_path / "saved.py")
    assert module._check() == 0
    assert module.value(1.0, 2.0, 3.0) == f(1.0, 2.0, 3.0)
    assert not marker.exists()
    assert not any(isinstance(node, ast.Import) and node.names[0].name == "os"
                   for node in ast.parse((tmp_path / "saved.py").read_text(encoding="utf-8")).body)


def test_arguments_may_have_the_names_that_the_file_uses(tmp_path):
    names = ["rng", "_rng", "_value", "_array", "grad", "value", "arguments"]
    f = plain(" * ".join(f"({name} + {k})" for k, name in enumerate(names)) + " * sum(x)",
                 {**dict.fromkeys(names, ""), "x": "n"})
    module = saved(f, tmp_path / "saved.py")
    assert module._check() == 0
    assert module.value(*range(1, 8), [1.0, 2.0]) == f(*range(1, 8), [1.0, 2.0])


def test_the_order_of_wrt_is_the_order_of_the_gradient(tmp_path):
    module = saved(plain("sum(a * x) * b * c", {"a": "n", "x": "n", "b": "", "c": ""}, wrt=("c", "x")),
                   tmp_path / "saved.py")
    gradient = module.grad([1.0, 2.0], [3.0, 4.0], 5.0, 6.0)
    assert gradient._fields == ("c", "x")
    assert gradient.c == 55.0
    np.testing.assert_array_equal(gradient.x, [30.0, 60.0])
    assert module._check() == 0


def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        plain("x * y").save(tmp_path / "missing" / "saved.py")


@pytest.mark.parametrize(("formula", "args"), [
    ("acosh(x) + asin(y)", None), ("log(x - 20)", None), ("sqrt(-x) * log(y)", None),
    ("sum(x[i + 3] for i in range(n - 3))", {"x": "n"}),
    ("sum(x[k] * y for j in range(k))", {"x": "n", "k": "int"}),
])
def test_an_example_lies_inside_the_domain(formula, args):
    graph = plain(formula, args).graph
    example = find_example(graph)
    assert np.all(np.isfinite(example.values[0]))
    assert list(example.lines) == list(graph.inputs)


def test_an_example_keeps_away_from_points_where_differences_do_not_settle():
    graph = Graph()
    x = graph.input("x")
    graph.outputs = [("value", graph.ops.sin(x * 1e7))]
    assert find_example(graph) is None
