"""Dense Jacobians and Hessians: by rows, by columns and as chosen, against products with every direction.

Every formula of the adjoint's tests, every NumPy function that may be traced and every routine of linear algebra, by
the interpreter; `test_products` and those modules have judges for the products. What is delivered is tested here on
problems of its own.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import sympy

import gradc
from gradc.compiler.function import Function
from gradc.compiler.jacobian import cost, jacobian
from gradc.compiler.passes import refine
from gradc.ir.interpret import evaluate

from .comparison import close
from .coverage_table import CASES, Case
from .test_adjoint import CASES as FORMULAS
from .test_coverage import SIZES, drawn
from .test_linear_algebra import CASES as MATRICES


def columns(product: Function, arguments: Mapping[str, Any], wrt: Any) -> list[list[Any]]:
    """The blocks of a Jacobian, row by row, from one product with all unit directions of each argument."""
    blocks = []
    for name in wrt:
        size, given = int(np.size(arguments[name])), dict(arguments)
        for other, tangent in zip(wrt, product.args[len(arguments):], strict=True):
            shape = np.shape(arguments[other])
            unit = np.eye(size) if other == name else np.zeros((int(np.prod(shape)), size))
            given[tangent] = unit.reshape((*shape, size))
        found = evaluate(product.graph, given)
        blocks.append([np.reshape(out, (*np.shape(out)[:-1], *np.shape(arguments[name]))) for out in found])
    return [list(row) for row in zip(*blocks, strict=True)]


def agrees(f: Function, arguments: Mapping[str, Any], tolerance: float = 1e-9, *, second: bool = True) -> None:
    """Both modes and the chosen one give the Jacobian, and the Hessian of a number is symmetric to the last bit."""
    if not f.wrt or not any(node.dtype.startswith("float") for _, node in f.graph.outputs):
        return
    wanted = [block for row in columns(f.jvp.many, arguments, f.wrt) for block in row]
    modes = [refine(jacobian(f.prepared, f.wrt, "subgradient", mode)[0]) for mode in ("forward", "reverse")]
    for graph in (f.jacobian.graph, *modes):
        for found, block in zip(evaluate(graph, arguments), wanted, strict=True):
            close(found, block, tolerance)
    if second and len(f.graph.outputs) == 1 and not f.graph.outputs[0][1].is_array:
        found = evaluate(f.hessian.graph, arguments)
        rows = columns(f.hvp.many, arguments, f.wrt)
        for block, other in zip(found, [block for row in rows for block in row], strict=True):
            close(block, other, tolerance)
        sizes = [int(np.size(arguments[name])) for name in f.wrt]
        whole = np.block([[np.reshape(found[i * len(sizes) + j], (a, b)) for j, b in enumerate(sizes)]
                          for i, a in enumerate(sizes)])
        assert np.array_equal(whole, whole.T)


@pytest.mark.parametrize(("group", "formula", "args", "arguments"), FORMULAS,
                         ids=[f"{case[0]}-{k}" for k, case in enumerate(FORMULAS)])
def test_jacobians_and_hessians_of_formulas(group: str, formula: str, args: Any, arguments: dict[str, Any]) -> None:
    agrees(gradc.compile(formula, args, jit=False), arguments)


@pytest.mark.parametrize("case", CASES, ids=[f"{k}-{case.name}" for k, case in enumerate(CASES)])
def test_jacobians_of_everything_of_numpy(case: Case) -> None:
    agrees(gradc.compile(case.function, case.args, jit=False), drawn(case, SIZES))


@pytest.mark.parametrize("name", MATRICES)
def test_jacobians_of_linear_algebra_and_sorting(name: str) -> None:
    function, args = MATRICES[name]
    f = gradc.compile(function, jit=False).at(*args)
    agrees(f, dict(zip(f.args, args, strict=True)), 1e-7)


# -- what is delivered ----------------------------------------------------------------------------


def residual(p: Any, t: Any, y: Any) -> Any:
    return p[0] * np.exp(-p[1] * t) + p[2] - y


FIT = {"p": "3", "t": "n", "y": "n"}


def test_rows_that_depend_on_their_own_data_are_made_in_one_loop() -> None:
    f = gradc.compile(residual, FIT, wrt="p", jit=False)
    body = f.jacobian.source.partition("def jacobian_into")[2].partition("def ")[0]
    assert body.count("for ") == 1
    assert body.count("exp(") == 1
    p, t = np.array([2.0, 0.5, 1.0]), np.linspace(0.0, 3.0, 7)
    wanted = np.stack([np.exp(-p[1] * t), -p[0] * t * np.exp(-p[1] * t), np.ones(7)], axis=1)
    close(f.jacobian(p, t, np.zeros(7)), wanted, 1e-15)


def test_bundle_adjustment_needs_no_passes_over_observations() -> None:
    """Each residual reads its own camera and point by index arrays: only those columns are written."""
    def reprojected(C: Any, X: Any, camera: Any, point: Any, feature: Any) -> Any:
        moved = X[point] - C[camera]
        return moved[:, :2] / moved[:, 2:] - feature

    args = {"C": "k 3", "X": "m 3", "camera": "int n", "point": "int n", "feature": "n 2"}
    f = gradc.compile(reprojected, args, wrt=("C", "X"), jit=False)
    random = np.random.default_rng(2)
    C, X = random.standard_normal((2, 3)), random.standard_normal((4, 3)) + np.array([0.0, 0.0, 9.0])
    given = (C, X, np.array([0, 1, 1, 0, 1]), np.array([3, 1, 0, 2, 2]), np.zeros((5, 2)))
    found = f.jacobian(*given)
    for block, name, value in ((found.C, "C", C), (found.X, "X", X)):
        for k in np.ndindex(*value.shape):
            step = np.zeros(value.shape, complex)
            step[k] = 1e-30j
            moved = [value + step if name == own else arg for own, arg in zip(args, given, strict=True)]
            close(block[(..., *k)], np.imag(reprojected(*moved)) / 1e-30, 1e-14)
    longest = max(line.count("    ") for line in f.jacobian.source.splitlines() if line.lstrip().startswith("for "))
    assert longest <= 3                                         # none over observations and cameras or points


def test_the_mode_is_that_which_costs_less() -> None:
    """Few arguments by forward mode, few results by reverse mode, each block of several by its own."""
    wide, tall = {"A": "40 40", "B": "40 40", "x": "2", "C": "40 2"}, {"A": "40 40", "B": "40 40", "x": "40", "C": "2 40"}
    f = gradc.compile(lambda A, B, C, x: np.tanh(B @ np.tanh(A @ np.tanh(C @ x))), wide, wrt="x", jit=False)
    g = gradc.compile(lambda A, B, C, x: np.tanh(C @ np.tanh(B @ np.tanh(A @ x))), tall, wrt="x", jit=False)
    for function, better, other in ((f, "forward", "reverse"), (g, "reverse", "forward")):
        graphs = [refine(jacobian(function.prepared, function.wrt, "subgradient", mode)[0]) for mode in (better, other)]
        chosen, best, worse = (cost([node for _, node in g.outputs]) for g in (function.jacobian.graph, *graphs))
        assert chosen == best < worse


def test_blocks_come_by_result_and_by_argument() -> None:
    f = gradc.compile("s = x * y; s, sum(s)", {"x": "n", "y": ""}, jit=False)
    by_array, by_sum = f.jacobian([1.0, 2.0], 3.0)
    assert type(by_array).__name__ == "Jacobian"
    close(by_array.x, 3 * np.eye(2))
    close(by_array.y, [1.0, 2.0])
    close(by_sum.x, [3.0, 3.0])
    assert by_sum.y == 3.0
    g = gradc.compile("x**2 * y", jit=False)
    assert g.jacobian(2.0, 3.0) == (12.0, 4.0)
    assert g.hessian(2.0, 3.0).x.y == g.hessian(2.0, 3.0).y.x == 4.0
    assert gradc.compile("x**3", jit=False).hessian(2.0) == 12.0
    k = gradc.compile("sum(x) * k, k + 1", {"x": "n", "k": "int"}, jit=False)
    assert k.jacobian([1.0, 2.0], 3)[1].tolist() == [0.0, 0.0]   # a whole number has derivative zero
    assert gradc.compile("2.0", {"x": "n"}, jit=False).jacobian([1.0, 2.0]).tolist() == [0.0, 0.0]


def test_a_pair_of_arrays_of_which_the_value_knows_one_has_blocks_of_zeros() -> None:
    f = gradc.compile("sum(u**2) * T", {"x": "n 2", "u": "n", "T": ""}, wrt=("x", "u", "T"), jit=False)
    h = f.hessian(np.ones((2, 2)), np.array([1.0, 2.0]), 3.0)
    assert h.u.x.shape == (2, 2, 2) and h.x.u.shape == (2, 2, 2) and h.x.x.shape == (2, 2, 2, 2)
    assert not (h.u.x.any() or h.x.u.any() or h.x.x.any() or h.T.x.any())
    assert np.array_equal(h.u.u, 6.0 * np.eye(2)) and np.array_equal(h.u.T, [2.0, 4.0])


def test_hessians_hold_against_sympy() -> None:
    x, y, z = sympy.symbols("x y z")
    expression = sympy.exp(x * y) * sympy.sin(z) / (1 + x**2) + sympy.log(y + z**2)
    f = gradc.compile(expression, args=(x, y, z), jit=False)
    point = {x: 0.3, y: 1.2, z: -0.7}
    wanted = [[float(entry.evalf(30, subs=point)) for entry in row] for row in sympy.hessian(expression, (x, y, z)).tolist()]
    found = f.hessian(*point.values())
    close([list(row) for row in found], wanted, 1e-14)
    close(list(f.jacobian(*point.values())), [float(sympy.diff(expression, s).evalf(30, subs=point)) for s in point], 1e-14)


def test_derivatives_of_derivatives_are_the_same_arrays() -> None:
    f = gradc.compile("sum(x[i]**2 * x[i+1] for i in range(n - 1)) * y", {"x": "n", "y": ""}, jit=False)
    point = (np.array([1.0, 2.0, -1.0]), 0.5)
    hessian, jacobian_of_gradient = f.hessian(*point), f.grad.jacobian(*point)
    for row, other in zip(hessian, jacobian_of_gradient, strict=True):
        for block, same in zip(row, other, strict=True):
            close(block, same)
    third = gradc.compile("sum(x**4)", {"x": "n"}, jit=False).hessian.jacobian([1.0, 2.0])
    assert third[1, 1, 1] == 48.0
    assert third.sum() == 72.0
    along = gradc.compile("sum(x**4)", {"x": "n"}, jit=False).hessian.jvp([1.0, 2.0], [1.0, 0.0])
    close(along, [[24.0, 0.0], [0.0, 0.0]])
    close(gradc.compile("x**3", {"x": "n"}, jit=False).jacobian.jacobian([1.0, 2.0])[1, 1], [0.0, 12.0])


COMPILED: dict[str, tuple[Any, dict[str, str], Any]] = {
    "a chain": ("sum(100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2 for i in range(n - 1))", {"x": "n"}, ("x",)),
    "a network": (lambda W, V, X: np.sum(np.tanh(np.tanh(X @ W.T) @ V.T) ** 2), {"W": "h d", "V": "c h", "X": "n d"},
                  ("W", "V")),
    "distances": ("sum(1/sum((X[i,k] - X[j,k])**2 for k in range(3))**3 for i in range(n) for j in range(i))",
                  {"X": "n 3"}, ("X",)),
    "a likelihood": ("logsumexp(A @ x) * y", {"A": "m n", "x": "n", "y": ""}, ("x", "y")),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_hessians_are_symmetric_to_the_last_bit(name: str, tmp_path: Path) -> None:
    formula, args, wrt = COMPILED[name]
    f, plain = (gradc.compile(formula, args, wrt=wrt, jit=jit) for jit in (True, False))
    random = np.random.default_rng(7)
    sizes = {"n": 7, "m": 5, "h": 6, "d": 4, "c": 3}
    given = [random.standard_normal([sizes.get(word) or int(word) for word in text.split()] or None) for text in args.values()]
    given = [float(value) if np.ndim(value) == 0 else value for value in given]
    found, wanted = f.hessian(*given), plain.hessian(*given)
    single = not isinstance(found, tuple)
    blocks = [[found]] if single else [list(row) for row in found]
    others = [[wanted]] if single else [list(row) for row in wanted]
    shapes = [int(np.size(given[f.args.index(w)])) for w in wrt]
    whole = np.block([[np.reshape(b, (p, q)) for b, q in zip(row, shapes, strict=True)]
                      for row, p in zip(blocks, shapes, strict=True)])
    again = np.block([[np.reshape(b, (p, q)) for b, q in zip(row, shapes, strict=True)]
                      for row, p in zip(others, shapes, strict=True)])
    assert np.array_equal(whole, whole.T)
    close(whole, again, 1e-11)
    if single:
        out = np.empty_like(found)
        assert f.hessian(*given, out=out) is out
    assert str(pickle.loads(pickle.dumps(f.hessian)).graph) == str(f.hessian.graph)
    plain.hessian.save(tmp_path / "hessian.py")
    run = subprocess.run([sys.executable, tmp_path / "hessian.py"], capture_output=True, text=True, check=False)
    assert run.stdout.startswith(("ok", "not checked")), run.stderr


def test_jacobians_are_called_in_compiled_code() -> None:
    f = gradc.compile(residual, FIT, wrt="p")
    inner = f.jacobian.jit

    @numba.njit  # type: ignore[untyped-decorator]
    def normal_matrix(p: Any, t: Any) -> Any:
        J = inner(p, t, t)
        return J.T @ J

    p, t = np.array([2.0, 0.5, 1.0]), np.linspace(0.0, 3.0, 7)
    J = f.jacobian(p, t, t)
    close(normal_matrix(p, t), J.T @ J)
    nested = gradc.compile("x**2 * y").hessian.jit(2.0, 3.0)
    assert nested.x.y == 4.0


def test_functions_of_structures_have_blocks_in_them() -> None:
    f = gradc.compile(lambda p: {"u": p["a"] * p["b"], "v": p["a"] ** 2}, args={"p": {"a": "", "b": "n"}}, jit=False)
    found = f.jacobian({"a": 2.0, "b": np.array([1.0, 3.0])})
    assert found["u"]["a"].tolist() == [1.0, 3.0]
    assert found["u"]["b"].tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert found["v"]["a"] == 4.0
    g = gradc.compile(lambda p: p["a"] ** 2 * p["b"], jit=False)
    assert g.hessian({"a": 2.0, "b": 3.0}) == {"a": {"a": 6.0, "b": 4.0}, "b": {"a": 4.0, "b": 0.0}}
    late = gradc.compile(lambda x, y: x * y, jit=False)
    close(late.jacobian([1.0, 2.0], [3.0, 4.0]).x, np.diag([3.0, 4.0]))


def test_shapes_may_be_empty_and_float32_stays() -> None:
    f = gradc.compile("A @ x", {"A": "m n", "x": "n"}, wrt="x", jit=False)
    for m, n in ((0, 3), (3, 0), (1, 1)):
        assert f.jacobian(np.ones((m, n)), np.ones(n)).shape == (m, n)
    g = gradc.compile(lambda x: np.exp(x) * x[0], {"x": "float32 n"}, jit=False)
    assert g.jacobian(np.ones(2, np.float32)).dtype == np.float32
    h = gradc.compile(lambda x: np.sum(np.exp(x) * x[0]), {"x": "float32 n"}, jit=False)
    assert h.hessian(np.ones(2, np.float32)).dtype == np.float32


def test_kinks_are_refused_in_jacobians_too() -> None:
    f = gradc.compile("abs(x) * x[0]", {"x": "n"}, kinks="raise", jit=False)
    assert f.jacobian([1.0, -2.0]).shape == (2, 2)
    with pytest.raises(gradc.DomainError, match=r"abs\(x\) stands on a kink"):
        f.jacobian([1.0, 0.0])


def test_a_hessian_needs_one_real_number() -> None:
    for formula, args, message in (
            ("x * x", {"x": "n"}, r"the Hessian needs one scalar output, this one is an array of shape \(n\): reduce it, for"),
            ("x, y", {"x": "", "y": ""}, "the Hessian needs one scalar output, this function has 2: compile one of them"),
            ("x > 1", {"x": ""}, "the output is bool and has no derivative")):
        with pytest.raises(gradc.DerivativeError, match=message):
            _ = gradc.compile(formula, args, jit=False).hessian
    for name in ("jacobian", "hessian"):
        with pytest.raises(gradc.DerivativeError, match="there is no argument to differentiate by"):
            getattr(gradc.compile("2.5 * k", {"k": "int"}, jit=False), name)
    with pytest.raises(gradc.DerivativeError, match="the output is bool and has no derivative"):
        _ = gradc.compile("x > 1", {"x": "n"}, jit=False).jacobian
