"""`gradc.lambdify`: called as SymPy's, it gives what SymPy's gives, with only the import changed.

The forms of SymPy's documentation are made both ways and held against each other, numbers and nesting; what SymPy's
cannot do, or does otherwise, has values of its own. Functions run as plain Python, where compiling is not the point.
"""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy
import scipy.sparse
import sympy
from sympy import (
    And,
    Array,
    Derivative,
    DotProduct,
    Dummy,
    Eq,
    Function,
    Identity,
    Idx,
    ImmutableMatrix,
    IndexedBase,
    Lambda,
    Matrix,
    MatrixSymbol,
    Max,
    Min,
    Not,
    Or,
    Piecewise,
    Rational,
    SparseMatrix,
    Sum,
    Symbol,
    cos,
    exp,
    log,
    pi,
    sin,
    sqrt,
    symbols,
)
from sympy.codegen import numpy_nodes
from sympy.utilities.lambdify import implemented_function
from sympy.vector import CoordSys3D

import gradc

made = partial(gradc.lambdify, jit=False)
w, x, y, z, t = symbols("w x y z t")
a, b, c = symbols("a b c")
f, g = Function("f"), Function("g")
i = Idx("i")
A, B = MatrixSymbol("A", 2, 2), MatrixSymbol("B", 2, 2)
u, v = MatrixSymbol("u", 2, 1), MatrixSymbol("v", 2, 1)
n = Symbol("n", integer=True)
k = Symbol("k", integer=True)
base = IndexedBase("base")
plus_one = implemented_function(Function("plus_one"), lambda x: x + 1)
M = np.array([[1.0, 2.0], [3.0, 5.0]])
N = np.array([[0.5, -1.0], [2.0, 0.25]])
COLUMN = np.array([[2.0], [-3.0]])
LINE = np.linspace(0.2, 1.4, 5)
GRID = np.linspace(-1.0, 2.0, 6).reshape(2, 3)

FORMS: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    # what stands for the arguments
    "one symbol": (x, 2 * x, (1.5,)),
    "a list of one": ([x], 2 * x, (1.5,)),
    "a tuple of one": ((x,), 2 * x, (1.5,)),
    "a list": ([x, y], x + y, (1, 2)),
    "a tuple": ((x, y, z), x - y * z, (1.0, 2.0, 3.0)),
    "a SymPy Tuple": (sympy.Tuple(x, y), x - y, (1.0, 2.0)),
    "a Matrix as the list of arguments": (Matrix([x, y]), x - y, (1.0, 2.0)),
    "a row as the list of arguments": (Matrix([[x, y]]), x - y, (1.0, 2.0)),
    "no arguments": ([], sympy.Integer(1), ()),
    "no arguments, in a tuple": ((), sqrt(2) + pi, ()),
    "many arguments": (symbols("a1:26"), sum(symbols("a1:26")), tuple(range(25))),
    "an argument that is not used": ([x, y], x**2, (3.0, 4.0)),
    "a tuple inside": ([x, (y, z)], x + y * z, (1.0, (2.0, 3.0))),
    "a list inside": ([x, [y, z]], x + y * z, (1.0, [2.0, 3.0])),
    "only a tuple": ([(x, y, z)], x + y - z, ((1.0, 2.0, 3.0),)),
    "a tuple given as a list": ([(x, y, z)], x + y - z, ([1.0, 2.0, 3.0],)),
    "a tuple given as an array": ([(x, y, z)], x + y - z, (np.array([1.0, 2.0, 3.0]),)),
    "two tuples": ([(w, x), (y, z)], [w, x, y, z], ((18, 12), (73, 4))),
    "deep": ([w, [[[x]], y], z], [w, x, y, z], (10, [[[52]], 31], 44)),
    "right-nested": ((x, (y, (w, z))), w + x + y + z, (1, (2, (3, 4)))),
    "a generator of symbols": (tuple(s for s in (x, y)), x - y, (3.0, 1.0)),
    "a dummy": (Dummy("d"), None, (2.0,)),
    "a keyword of Python": (Symbol("if"), Symbol("if") / 2, (4.0,)),
    "a name with braces": (Symbol("x_{1}"), Symbol("x_{1}") ** 2, (4.0,)),
    "a name with a space": (Symbol("my x"), Symbol("my x") ** 2, (4.0,)),
    "a greek name": (Symbol("α"), sin(Symbol("α")), (0.5,)),
    "a name that gradc reserves": ([Symbol("out"), x], Symbol("out") - x, (4.0, 1.0)),
    "lambda": (Symbol("lambda"), Symbol("lambda") * 3, (4.0,)),
    "an applied function": (f(t), f(t) ** 2, (3.0,)),
    "a function and its derivative": ([f(t), f(t).diff(t)], f(t) + 3 * f(t).diff(t), (10.0, 5.0)),
    "a derivative": (f(t).diff(t), 1 + f(t).diff(t), (41.0,)),
    "two derivatives": ([f(t).diff(t), f(t).diff(t, 2)], f(t).diff(t) - f(t).diff(t, 2), (41.0, 1.0)),
    "functions of several": ([f(x, y), g(x)], f(x, y) - g(x), (2.0, 3.0)),
    "a function of SymPy's": ([sin(t), t], 2 * sin(t) + t, (0.3, 2.0)),
    "a coordinate": (list(CoordSys3D("N").base_scalars()[:2]), sum(CoordSys3D("N").base_scalars()[:2]), (0.25, 0.5)),
    "a function and its argument": ([t, f(t)], t * f(t), (2.0, 3.0)),
    "a whole symbol": ([x, n], x**n, (2.0, 3)),
    # what comes out
    "a list out": (x, [x, x**2], (3.0,)),
    "a tuple out": (x, (x, x**2), (3.0,)),
    "a tuple of one out": (x, (x,), (3.0,)),
    "a SymPy Tuple out": (x, sympy.Tuple(x, x**2), (3.0,)),
    "lists in lists": (x, [x, [x + 1, x + 2]], (1.0,)),
    "tuples in lists": (x, [(x, 2 * x), [3 * x]], (1.0,)),
    "an empty list": (x, [], (1.0,)),
    "an empty tuple inside": ((x,), ((), (x,)), (1.0,)),
    "numbers out": (x, [1, 2.5, x], (3.0,)),
    "a Matrix": (x, Matrix([x, x + 1]), (1.0,)),
    "a row": ((x, y), Matrix((x, x + y)).T, (1.0, 2.0)),
    "a square Matrix": ((x, y, z), Matrix([[x, x * y], [sin(z) + 4, x**z]]), (1.0, 2.0, 3.0)),
    "an ImmutableMatrix": ((x, y), ImmutableMatrix([[x, y], [y, x]]), (1.0, 2.0)),
    "a Matrix in a tuple": ((x, y), (Matrix([[x, y]]), [x, Matrix([y])]), (1.0, 2.0)),
    "a transposed Matrix": (x, Matrix([[1, x], [0, 1]]).T, (2.0,)),
    "an inverse": (x, Matrix([[1, x], [0, 1]]) ** -1, (2.0,)),
    "a product of matrices": ((x, y), Matrix([[x, y], [y, 1]]) * Matrix([[x], [y]]), (2.0, 3.0)),
    "a Jacobian": (Matrix([x, y]), Matrix([x * y, x + y]).jacobian([x, y]), (2.0, 3.0)),
    "true": ([], sympy.true, ()),
    "false": ([], sympy.false, ()),
    "a relation": ([(x, y, z)], Eq(z**2, x**2 + y**2), ((3, 4, 5),)),
    "an inequality": ((x, y), x < y, (3.0, 4.0)),
    "and, or, not": ((x, y), [And(x > 0, y > 0), Or(x > 0, y > 0), Not(x > 0)], (3.0, -4.0)),
    # what stands in the expression
    "powers": (x, [x**2, x**3, x ** Rational(1, 2), x**-1, x**-2], (2.5,)),
    "trigonometry": ([x], [cos(x), sin(x), sympy.tan(x), sympy.atan2(x, 2)], (0.7,)),
    "of SciPy": (x, [sympy.erf(x), sympy.gamma(x), sympy.loggamma(x), sympy.digamma(x)], (1.7,)),
    "Bessel functions": (x, [sympy.besselj(0, x), sympy.besselj(2, x), sympy.bessely(1, x)], (1.7,)),
    "exp and log": (x, [exp(x), log(x), log(x, 2), log(x, 10)], (1.7,)),
    "a sum with bounds": (x, Sum(x**k, (k, 0, 5)), (0.5,)),
    "a sum to an argument": ((x, n), Sum(x**k, (k, 0, n)), (0.5, 4)),
    "a double sum": ([z], Sum(z, (y, 0, 3), (x, 0, 10)), (7.0,)),
    "minimum and maximum": ((x, y, z), [Min(x, y, z), Max(x, y, z)], (1.0, 3.0, 2.0)),
    "NumPy's minimum and maximum": ((x, y), [numpy_nodes.minimum(x, y), numpy_nodes.maximum(x, y, 2)], (LINE, 0.5)),
    "Piecewise": (x, Piecewise((x, x < 3), (x**2, x > 5), (0, True)), (6.0,)),
    "Piecewise, between": (x, Piecewise((x, x < 3), (x**2, x > 5), (0, True)), (4.0,)),
    "ITE": ((x, y, z), Piecewise((y, x > 0), (z, True)), (1.0, 5.0, 3.0)),
    "absolute values": (x, [sympy.Abs(x), sympy.sign(x)], (-2.5,)),
    "rounding": (x, [sympy.floor(x), sympy.ceiling(x)], (-2.5,)),
    "a remainder": ((x, y), -(x % y), (3.0, 7.0)),
    "an unevaluated derivative": (x, Derivative(sin(x), x).doit(), (0.3,)),
    "a Lambda that is called": (x, Lambda(y, y**2 + 1)(x), (3.0,)),
    "sinc": (x, sympy.sinc(x), (1.0,)),
    "unevaluated": ((x, y), sympy.Add(x, sympy.UnevaluatedExpr(x + y), evaluate=False), (1.0, 2.0)),
    # matrices and arrays in
    "a MatrixSymbol": ([A], A, (M,)),
    "its product": ([A, B], A * B, (M, N)),
    "its sum and transpose": ([A, B], A + 2 * B.T, (M, N)),
    "its inverse": ([A], A.inverse(), (M,)),
    "its square": ([A], A**2, (M,)),
    "its elements": ([A], A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0], (M,)),
    "times a column": ([A, u], A * u, (M, COLUMN)),
    "a quadratic form": ([A, u], u.T * A * u, (M, COLUMN)),
    "times a number": ([A, x], x * A, (M, 3.0)),
    "with the identity": ([A], A + Identity(2), (M,)),
    "element by element": ([A, B], sympy.HadamardProduct(A, B), (M, N)),
    "elements of a column": ([u, x], [u[0, 0] + x, u[1, 0]], (COLUMN, 1.0)),
    "a MatrixSymbol among numbers": ([x, A, (y, z)], x * y * z + A[0, 1], (1.0, M, (2.0, 3.0))),
    "an IndexedBase": (base, Sum(base[x, y], (x, 0, 1), (y, 0, 1)), (np.array([[1, 2], [3, 4]]),)),
    "an IndexedBase and an index": ([base, i], base[i], ([1, 2, 3], 2)),
    # arrays for numbers
    "an array": (x, sin(x) + cos(x), (np.array([1, 2]),)),
    "an array of two dimensions": (x, exp(-(x**2)), (GRID,)),
    "two arrays": ([x, y], x * y - y, (LINE, LINE[::-1].copy())),
    "an array and a number": ([x, y], x**2 * y, (LINE, 3.0)),
    "broadcast": ([x, y], x + 10 * y, (GRID, GRID[:, :1].copy())),
    "broadcast over ranks": ([x, y], x * y, (GRID, np.arange(3.0))),
    "an outer product": ([x, y], x * y, (LINE[:, None], np.arange(3.0))),
    "arrays in a tuple": ([x, (y, z)], x + y * z, (LINE, (2.0, LINE))),
    "a tuple as rows": ([(x, y)], x - y, (GRID,)),
    "a list of arrays out": (x, [x, x**2, 1], (LINE,)),
    "arrays of different sizes out": ([x, y], [x + 1, y + 1], (LINE, GRID)),
    "arrays into Piecewise": (x, Piecewise((x, x < 3), (x**2, x > 5), (0, True)), (np.arange(10),)),
    "nowhere defined is nan": (x, Piecewise((x, x > 0), (-x, x < 0)), (np.array([-1, 0, 1]),)),
    "arrays of truth values": ((x, y), And(x, y), (np.array([True, True]), np.array([False, True]))),
    "arrays compared": ((x, y), x < y, (LINE, 0.5)),
    "arrays into a sum": (x, Sum(x**k, (k, 0, 5)), (LINE,)),
    "arrays into a Matrix": ((x, y), Matrix([[x, y], [y, x + y]]), (LINE, 2 * LINE)),
    "an array of whole numbers for a whole symbol": ([x, n], x * n, (np.arange(3.0), np.array([1, 2, 3]))),
    "an empty array": (x, x**2, (np.zeros(0),)),
    "an array without dimensions": (x, x**2, (np.array(3.0),)),
    "NumPy's numbers": ([x, y], x / y, (np.float64(3.0), np.int32(2))),
}
d = FORMS["a dummy"][0]
FORMS["a dummy"] = (d, d + 1, (2.0,))


def same(found: Any, wanted: Any) -> None:
    """Equal numbers in the same nesting; a number may come as a float where SymPy has a whole one."""
    if isinstance(wanted, (list, tuple)):
        assert type(found) is type(wanted)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-13, atol=1e-13)
        assert isinstance(found, np.ndarray) == (isinstance(wanted, np.ndarray) and wanted.ndim > 0)
        assert (np.asarray(found).dtype == bool) == (np.asarray(wanted).dtype == bool)


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_documentation_give_what_sympy_gives(form: str) -> None:
    args, expr, call = FORMS[form]
    same(made(args, expr)(*call), sympy.lambdify(args, expr)(*call))


def twice(x: Any) -> Any:
    return 2 * x


def hypotenuse(x: Any, y: Any = 1.0) -> Any:
    return np.sqrt(x**2 + y**2)


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return self.factor * np.tanh(x)


MODULES: dict[str, tuple[Any, Any, Any, tuple[Any, ...]]] = {
    "numpy": (x, sin(x), "numpy", (LINE,)),
    "scipy": (x, sympy.erf(x), "scipy", (LINE,)),
    "math": (x, sin(x), "math", (0.5,)),
    "a list of names": (x, sin(x), ["scipy", "numpy"], (LINE,)),
    "an empty list": ([x, y], -(x % y), [], (3.0, 7.0)),
    "a module": (x, sin(x), math, (0.5,)),
    "NumPy itself": (x, sin(x), np, (LINE,)),
    "SciPy itself": (x, sin(x), [np, scipy], (LINE,)),
    "a function of a name": (x, f(x) + 1, {"f": twice}, (0.5,)),
    "a function instead of SymPy's": (x, sin(x), {"sin": twice}, (0.5,)),
    "a constant function": (x, sin(x), {"sin": lambda x: 1}, (0.1,)),
    "with priority": (x, sin(x) + f(x), [{"sin": twice}, {"sin": np.cos, "f": np.exp}, "numpy"], (0.5,)),
    "a lambda with an array": (x, f(x), [{"f": lambda x: np.exp(x) / 2}, "numpy"], (LINE,)),
    "a ufunc": ((x, y), f(x, y), {"f": np.hypot}, (LINE, 2.0)),
    "a function of math": (x, f(x), {"f": math.exp}, (0.5,)),
    "a default": (x, f(x), {"f": hypotenuse}, (LINE,)),
    "another number of arguments": ((x, y), f(x) * f(x, y), {"f": hypotenuse}, (LINE, 3.0)),
    "an object that is called": (x, f(x), {"f": Scaled(3.0)}, (LINE,)),
    "a partial application": (x, f(x), {"f": partial(hypotenuse, y=2.0)}, (LINE,)),
    "nested": (x, f(g(x)) + g(f(x)), [{"f": twice, "g": np.sin}, "numpy"], (0.5,)),
    "inside SymPy's": (x, exp(-(f(x) ** 2)), [{"f": np.cos}, "numpy"], (LINE,)),
    "a function of the user's in a Matrix": (x, Matrix([f(x), x]), [{"f": np.cos}, "numpy"], (0.5,)),
    "a logarithm that is another": (x, log(x) / log(2), {"log": np.sqrt}, (2.5,)),
    "a number for a constant": (x, pi + x, {"pi": 3.14}, (0.0,)),
    "an argument before a number": (x, 2 * x, {"x": 7.0}, (1.0,)),
    "what is not used": (x, 2 * x, {"h": twice, "q": 3.0}, (1.0,)),
    "an array for a Matrix": (x, Matrix([x, 1]), [{"ImmutableDenseMatrix": np.array}, "numpy"], (1.0,)),
    "a function that carries its numbers": (x, plus_one(x), None, (4.0,)),
    "one inside another": (x, plus_one(plus_one(x) ** 2), None, (LINE,)),
}


@pytest.mark.parametrize("form", MODULES)
def test_modules_and_functions_of_the_users_give_what_sympy_gives(form: str) -> None:
    args, expr, modules, call = MODULES[form]
    same(made(args, expr, modules)(*call), sympy.lambdify(args, expr, modules)(*call))


def test_implementations_can_be_left_out() -> None:
    with pytest.raises(gradc.UnsupportedError, match="plus_one.x. is an undefined function"):
        made(x, plus_one(x), use_imps=False)
    assert made(x, plus_one(x), {"plus_one": twice}, use_imps=False)(4.0) == 8.0


def test_derivatives_of_functions_of_the_users_are_gradcs() -> None:
    wave = sympy.Function("wave")
    expr = wave(x**2 * y, y) * x
    by = [x, y]
    given = {"wave": lambda a, b: np.sin(a) * np.exp(b)}
    function = made(by, [expr, [expr.diff(s) for s in by], sympy.hessian(expr, by)], given)
    known = (sin(x**2 * y) * exp(y)) * x
    wanted = sympy.lambdify(by, [known, [known.diff(s) for s in by], sympy.hessian(known, by)])
    for point in ((0.7, 1.3), (-0.4, 0.2)):
        for one, other in zip(function(*point), wanted(*point), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(function(LINE, 1.3)[1][0], wanted(LINE, 1.3)[1][0], rtol=1e-12)
    own = gradc.operation(lambda s: s, partials="7.0")
    assert made(x, [f(x).diff(x), f(3 * x).diff(x), f(x).diff(x, 2)], {"f": own})(2.0) == [7.0, 21.0, 0.0]
    assert made(x, plus_one(x**2).diff(x))(3.0) == 6.0
    assert made(x, [Derivative(f(x**2), x), Derivative(g(x, 2 * x), x)], {"f": twice, "g": np.hypot})(3.0) == [
        12.0, pytest.approx(5.0**0.5)]


def test_functions_of_other_kinds_can_be_the_users() -> None:
    cube = gradc.compile("x**3", jit=False)
    own = gradc.operation(lambda s: s, partials="7.0")
    assert made(x, f(x), {"f": cube})(2.0) == 8.0
    assert made(x, f(x), {"f": own})(2.0) == 2.0
    assert made(x, f(x), {"f": own}).function.grad(2.0) == 7.0
    assert made(x, f(x), {"f": gradc.compile(twice, jit=False)})(2.0) == 4.0


@pytest.mark.parametrize(("args", "text", "modules", "call", "wanted"), [
    ("x,y,z", "z,y,x", None, (3.0, 2.0, 1.0), (1.0, 2.0, 3.0)),
    ("x y", "x - y", None, (3.0, 2.0), 1.0),
    (["x", "y"], "x - y", None, (3.0, 2.0), 1.0),
    ((x, "y"), "x - y", None, (3.0, 2.0), 1.0),
    (x, "sin(x)**2 + cos(x)**2", None, (LINE,), np.ones(5)),
    (x, ["x", "x**2"], None, (3.0,), [3.0, 9.0]),
    (x, ["x", x**2, ("x**3", 1)], None, (3.0,), [3.0, 9.0, (27.0, 1)]),
    ([x, (y, z)], "x + y*z", None, (1.0, (2.0, 3.0)), 7.0),
    (A, "sum(A[i, i] for i in range(2))", None, (M,), 6.0),
    ((A, x), "x * (A @ A)", None, (M, 2.0), 2 * M @ M),
    ("x", "f(x) + sin(x)", {"f": twice, "sin": lambda x: 0.0}, (3.0,), 6.0),
    (x, "a*x + f(x, 2)", {"a": 2.5, "f": np.hypot}, (0.0,), 2.0),
    ((x, n), "sum(x for j in range(n))", None, (2.0, 4), 8.0),
    (f(t), "f**2", None, (3.0,), 9.0),
    (x, "a = x + 1; a**2", None, (LINE,), (LINE + 1) ** 2),
])
def test_texts_are_formulas_of_gradc(args: Any, text: Any, modules: Any, call: tuple[Any, ...], wanted: Any) -> None:
    same(made(args, text, modules)(*call), wanted)


@pytest.mark.parametrize("text", ["__import__('os').getcwd()", "x.__class__", "(lambda: x)()", "open('x')", "[c for c in x]"])
def test_no_text_is_evaluated(text: str) -> None:
    with pytest.raises(gradc.FormulaError):
        made(x, text)
    with pytest.raises(gradc.FormulaError):
        made(text, x)
    with pytest.raises(gradc.FormulaError):
        made(x, [x, text])


# -- what SymPy's has not, or has otherwise ------------------------------------------------------------


def test_sparse_matrices_are_scipys() -> None:
    found = made((x, y), SparseMatrix([[x, 0, 0], [0, y, x * y]]))(2.0, 3.0)
    assert isinstance(found, scipy.sparse.coo_matrix)
    np.testing.assert_array_equal(found.toarray(), [[2.0, 0.0, 0.0], [0.0, 3.0, 6.0]])
    assert found.nnz == 3
    both = made(x, [sympy.ImmutableSparseMatrix(2, 2, {(0, 1): x}), SparseMatrix(2, 1, {}), x])(5.0)
    assert both[0].toarray().tolist() == [[0.0, 5.0], [0.0, 0.0]]
    assert both[1].shape == (2, 1)
    assert both[1].nnz == 0
    with pytest.raises(gradc.ShapeError, match="a sparse matrix is among the results, and arrays are given"):
        made(x, SparseMatrix([[x, 0]]))(LINE)


def test_a_matrix_of_arrays_and_constants_is_broadcast() -> None:
    found = made((x, y), [Matrix([[x, 1], [0, y]]), Matrix([[1, 2]])])(LINE, 2.0)   # SymPy's array would be ragged
    assert found[0].shape == (2, 2, 5)
    np.testing.assert_array_equal(found[0][0, 0], LINE)
    np.testing.assert_array_equal(found[0][0, 1], np.ones(5))
    np.testing.assert_array_equal(found[1], [[1, 2]])
    deep = made((x, y), Matrix([x, y]))(GRID, np.arange(3.0))
    np.testing.assert_array_equal(deep[1, 0], np.broadcast_to(np.arange(3.0), (2, 3)))


def test_a_matrix_symbol_stays_whole_beside_arrays() -> None:
    found = made([A, x], x * A * A)(M, LINE)
    assert found.shape == (2, 2, 5)
    np.testing.assert_allclose(found[..., 2], LINE[2] * M @ M)


def test_what_sympys_printer_does_not_know_has_its_value() -> None:
    assert made(x, sympy.Product(x + k, (k, 1, 4)))(0.5) == 1.5 * 2.5 * 3.5 * 4.5
    same(made(A, [sympy.Trace(A), sympy.Determinant(A)])(M), [6.0, -1.0])
    vector = Matrix([x, y, z])
    assert made([x, y, z], DotProduct(vector, vector))(1.0, 2.0, 3.0) == 14.0
    same(made(x, a * x + b, {"a": 2.0, "b": 3})(LINE), 2 * LINE + 3)
    assert made(x, f(x) + a, [{"f": twice, "a": 0.5}, "numpy"])(2.0) == 4.5


def test_an_array_of_sympys_gives_an_array() -> None:
    np.testing.assert_array_equal(made(x, Array([[x, 1], [2, x]]))(3.0), [[3.0, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_a_matrix_without_elements_is_an_array_without_elements(shape: tuple[int, int]) -> None:
    made = gradc.lambdify([x], sympy.Matrix(*shape, []), jit=False)
    assert made(1.0).shape == shape


def test_arguments_may_come_from_an_iterator() -> None:
    assert gradc.lambdify(iter([x, y]), x - y, jit=False)(3.0, 1.0) == 2.0


def test_a_matrix_of_symbols_takes_an_array_of_its_shape() -> None:
    square = made([Matrix([[w, x], [y, z]])], w + 2 * x + 3 * y + 4 * z)
    assert square(M) == square([1.0, 2.0, 3.0, 5.0]) == square([[1.0, 2.0], [3.0, 5.0]]) == 34.0
    column = made([Matrix([x, y]), z], x - y * z)
    assert column(COLUMN, 2.0) == column([2.0, -3.0], 2.0) == 8.0
    np.testing.assert_array_equal(square(np.stack([M, 2 * M], axis=-1)), [34.0, 68.0])


def test_elements_and_deferred_vectors_are_arguments() -> None:
    assert made([base[0], base[1]], base[0] - base[1])(5.0, 2.0) == 3.0
    assert made([A[0, 1], x], A[0, 1] * x)(5.0, 2.0) == 10.0
    vector = sympy.DeferredVector("X")
    assert made(vector, vector[0] + 2 * vector[2])([1.0, 2.0, 3.0]) == 7.0
    assert made(x, 2 * x)(pi) == pytest.approx(2 * math.pi)
    assert made(x, 2 * x)(Rational(1, 4)) == 0.5


def test_lists_are_arrays_where_numbers_were_listed() -> None:
    same(made([x, y], Max(x, y))([1, 2, 3], [3, 2, 1]), np.array([3.0, 2.0, 3.0]))


def test_numbers_are_real_and_of_float64() -> None:
    assert made(x, 1 / x)(0) == math.inf
    assert math.isnan(made(x, sqrt(x))(-1.0))
    assert isinstance(made(x, x + 1)(1), float)
    assert made(x, x + 1)(np.ones(2, np.float32)).dtype == np.float64
    assert made([], sympy.true)() is True


def test_calls_of_all_kinds_follow_each_other() -> None:
    function = made([x, (y, z)], [x + y * z, (x,)])
    calls: list[tuple[Any, Any]] = [
        (1.0, (2.0, 3.0)), (1.0, [2.0, 3.0]), (1.0, np.array([2.0, 3.0])), (1.0, np.array([2, 3])), (1, (2, 3)),
        (1.0, (LINE, 3.0)), (LINE, (LINE, 3.0)), (1.0, GRID[:2].copy()), (np.float64(1.0), (2.0, 3.0)), ([1.0, 2.0], (2.0, 3.0)),
        (LINE[:, None], (LINE, 3.0)), (LINE[:1], (2.0, 3.0)), (np.array(1.0), (2.0, 3.0)), (1.0, (2.0, 3.0))]
    for first, second in (*calls, *calls[::-1]):
        one, other = second
        wanted = np.asarray(first) + np.asarray(one) * np.asarray(other)
        for _ in range(2):
            found = function(first, second)
            np.testing.assert_allclose(found[0], wanted)
            assert np.shape(found[0]) == np.shape(wanted)
            np.testing.assert_array_equal(found[1][0], first)
    nothing = made(x, [])
    assert nothing(1.0) == nothing(1.0) == []
    with pytest.raises(gradc.ShapeError, match="arg_1 was listed as 2 values, and 3 are given"):
        function(1.0, (1.0, 2.0, 3.0))
    with pytest.raises(gradc.ShapeError, match="arg_1 was listed as 2 values, and 3 are given"):
        function(1.0, np.zeros(3))


def test_arguments_are_given_by_name() -> None:
    function = made([x, (y, z)], x + y * z)
    assert function.args == ("x", "arg_1")
    assert function(x=1.0, arg_1=(2.0, 3.0)) == function(1.0, arg_1=(2.0, 3.0)) == 7.0
    assert str(inspect.signature(function)) == "(x, arg_1)"
    assert made([x, y], x - y, dummify=True).args == ("arg_0", "arg_1")
    assert made([x, y], x - y, dummify=True)(3.0, 1.0) == 2.0
    assert made([Dummy("x"), x], x)(3.0, 1.0) == 1.0


@pytest.mark.parametrize("cse", [True, False, lambda expr: ([], expr)])
def test_common_subexpressions_are_always_shared(cse: Any) -> None:
    function = made(x, [sin(x) ** 2, sin(x) + 1, (sin(x) + 1) ** 2], cse=cse)
    assert function.source.count("= sin(x)") == 1
    same(function(0.5), [np.sin(0.5) ** 2, np.sin(0.5) + 1, (np.sin(0.5) + 1) ** 2])


def test_a_function_with_its_derivatives_shares_its_work() -> None:
    expr = exp(sin(x * y)) * y
    by = [x, y]
    function = made(by, [expr, [expr.diff(s) for s in by], sympy.hessian(expr, by)])
    value, gradient, hessian = function(0.7, 1.3)
    whole = gradc.compile(expr, args=(x, y), jit=False)
    assert value == pytest.approx(whole(0.7, 1.3), rel=1e-14)
    np.testing.assert_allclose(gradient, whole.grad(0.7, 1.3), rtol=1e-13)
    np.testing.assert_allclose(hessian, np.array(whole.hessian(0.7, 1.3)), rtol=1e-13)
    assert function.source.count("= exp(") == function.source.count("= sin(") == 1


def test_derivatives_are_those_of_the_function_of_flat_arguments() -> None:
    function = made([x, (y, z)], x * y**2 + z)
    assert function.function.grad(2.0, 3.0, 1.0) == (9.0, 12.0, 1.0)
    assert function.function.by("y").hessian(2.0, 3.0, 1.0) == 4.0
    over = function.at(LINE, (2.0, 1.0))
    np.testing.assert_allclose(over.vjp(LINE, 2.0, 1.0, np.ones(5)).x, np.full(5, 4.0))


def test_it_stands_in_functions_that_gradc_compiles() -> None:
    function = made([x, (y, z)], x * y**2 + z)
    total = gradc.compile(lambda p, q: np.sum(function(p, (q, 2.0))), jit=False)
    np.testing.assert_allclose(total.grad(LINE, 3.0).p, np.full(5, 9.0))
    split = gradc.compile(lambda p: function(p[0], p[1:]), args={"p": "3"}, jit=False)
    np.testing.assert_allclose(split.grad([2.0, 3.0, 1.0]), [9.0, 12.0, 1.0])


def test_it_is_compiled_cached_and_pickled() -> None:
    function = gradc.lambdify([x, (y, z)], [x + y * z, Matrix([[x, y]])])
    same(function(1.0, (2.0, 3.0)), [7.0, np.array([[1.0, 2.0]])])
    same(function(LINE, (2.0, 3.0))[0], LINE + 6.0)
    assert function.function.jit.signatures
    again = pickle.loads(pickle.dumps(function))
    same(again(1.0, (2.0, 3.0)), [7.0, np.array([[1.0, 2.0]])])
    assert again.function.build() in ("hit", "miss")            # of the cache on disk
    assert again.__doc__ == function.__doc__
    sparse = pickle.loads(pickle.dumps(made(x, SparseMatrix([[x, 0]]))))
    assert sparse(2.0).toarray().tolist() == [[2.0, 0.0]]
    same(pickle.loads(pickle.dumps(made(x, f(x), {"f": twice})))(2.0), 4.0)


def test_the_docstring_shows_signature_expression_and_source() -> None:
    text = str(made((w, x, (y, z)), w + x + y + z).__doc__)
    assert text.splitlines()[:9] == ["Created with gradc.lambdify. Signature:", "", "func(w, x, (y, z))", "", "Expression:",
                                     "", "w + x + y + z", "", "Source code:"]
    assert "return w + x + y + z" in text
    many = symbols("a1:26")
    lines = str(made(many, sum(many)).__doc__).splitlines()
    assert lines[2:4] == ["func(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15,",
                          "        a16, a17, a18, a19, a20, a21, a22, a23, a24, a25)"]
    assert lines[7] == "a1 + a10 + a11 + a12 + a13 + a14 + a15 + a16 + a17 + a18 + a19 + a2 + a20 +..."
    assert "lambdify" in str(type(made(x, x)).__doc__)
    assert "return sin(x)" in inspect.getsource(made(x, sin(x)))
    assert repr(made(x, x)) == "<gradc lambdified function of (x)>"


@pytest.mark.parametrize(("limit", "shown"), [(None, True), (1000, True), (7, True), (6, False), (0, False), (-3, False)])
def test_the_docstring_has_a_limit(limit: int | None, shown: bool) -> None:
    text = str(made(x, sin(x) + cos(2 * x), docstring_limit=limit).__doc__)
    assert ("sin(x) + cos(2*x)" in text) == ("def value(x)" in text) == shown
    assert text.count("(larger than docstring_limit)") == (0 if shown else 2)
    rows = str(made(x, [Matrix([[x, x], [x, x]]), x], docstring_limit=limit).__doc__)
    assert ("Matrix([[x, x], [x, x]])" in rows) == (limit is None or limit >= 5)


def test_a_deep_expression_is_no_depth_of_pythons() -> None:
    deep = x
    for _ in range(400):
        deep = sin(deep, evaluate=False) + 1
    function = made(x, deep, docstring_limit=None)
    assert math.isfinite(function(0.5))
    assert "sin" in function.source
    assert "(larger than docstring_limit)" in str(function.__doc__)     # SymPy could not print it
    for _ in range(2000):
        deep = sin(deep, evaluate=False) + f(t)
    with pytest.raises(gradc.UnsupportedError, match="is nested too deeply for SymPy to put other symbols and functions"):
        made([x, f(t)], deep)


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: made(x, x, "mpmath"), gradc.UnsupportedError, "modules names mpmath, whose numbers gradc has not"),
    (lambda: made(x, x, "sympy"), gradc.UnsupportedError, "modules names sympy"),
    (lambda: made(x, x, ["numpy", "numexpr"]), gradc.UnsupportedError, "modules names numexpr"),
    (lambda: made(x, x, "tensorflow"), gradc.UnsupportedError, "modules names tensorflow"),
    (lambda: made(x, x, "jax"), gradc.UnsupportedError, "modules names jax"),
    (lambda: made(x, x, "cupy"), gradc.UnsupportedError, "modules names cupy"),
    (lambda: made(x, x, "cmath"), gradc.UnsupportedError, "name numpy, scipy, math, or a dictionary"),
    (lambda: made(x, x, sympy), gradc.UnsupportedError, "modules names sympy"),
    (lambda: made(x, x, [{}, 3]), gradc.UnsupportedError, "modules names int"),
    (lambda: made(x, Matrix([x]), {"ImmutableDenseMatrix": np.matrix}), gradc.UnsupportedError, "gradc gives NumPy arrays"),
    (lambda: made(x, x, printer=str), gradc.UnsupportedError, "printer= says how SymPy's text is written"),
    (lambda: made({x, y}, x), gradc.FormulaError, "args is a set, which has no order"),
    (lambda: made([1, 2], x), gradc.FormulaError, "args holds 1, of type int: give symbols"),
    (lambda: made([x + 1], x), gradc.FormulaError, r"args holds x \+ 1, of type Add"),
    (lambda: made("x, 2y", "x"), gradc.FormulaError, "the argument '2y'"),
    (lambda: made([x, x], x), gradc.FormulaError, "args lists x twice"),
    (lambda: made([f(t), f(t)], t), gradc.FormulaError, r"args lists f\(t\) twice"),
    (lambda: made(x, x + y), gradc.FormulaError, "the expression uses y, which args does not list"),
    (lambda: made(x, Symbol("x", real=True)), gradc.FormulaError, "another symbol called 'x' than the expression"),
    (lambda: made(f(t), f(t) + f(t).diff(t)), gradc.FormulaError, r"is the derivative of the argument f\(t\): list it"),
    (lambda: made(x, f(x)), gradc.UnsupportedError, r"f\(x\) is an undefined function"),
    (lambda: made(x, f(x), {"f": 3}), gradc.FormulaError, "modules gives f as a value of type int"),
    (lambda: made(x, f(x), {"f": lambda s: 1.0 if s > 0 else 0.0}), gradc.UnsupportedError, "the operation f cannot be traced"),
    (lambda: made(x, f(x), {"f": lambda s: np.array([s, s])}), gradc.UnsupportedError, "f gives no single number for numbers"),
    (lambda: made(x, {x: 1}), gradc.UnsupportedError, "a dict is not a SymPy expression"),
    (lambda: made(x, sympy.I * x), gradc.UnsupportedError, "makes the result complex"),
    (lambda: made(x, "y + x"), gradc.FormulaError, "the text 'y . x' uses y, which args does not list: add it"),
    (lambda: made(x, [x, "y + x"]), gradc.FormulaError, "the text 'y . x' uses y"),
    (lambda: made(MatrixSymbol("C", n + 1, 2), MatrixSymbol("C", n + 1, 2)), gradc.FormulaError, "the expression uses n, wh"),
    (lambda: made(x, x)(1.0, 2.0), gradc.ArgumentError, "2 positional arguments were given, but the function takes 1"),
    (lambda: made([x, y], x)(1.0), gradc.ArgumentError, "the argument y is missing"),
    (lambda: made([x, y], x)(1.0, q=2.0), gradc.ArgumentError, "there is no argument q"),
    (lambda: made([(x, y)], x)(1.0), gradc.ArgumentError, "arg_0 was listed as 2 values, and one of type float is given"),
    (lambda: made([(x, y)], x)((1.0, 2.0, 3.0)), gradc.ShapeError, "arg_0 was listed as 2 values, and 3 are given"),
    (lambda: made([x, (y, (z,))], x)(1.0, (2.0, 3.0)), gradc.ArgumentError, r"arg_1\[1\] was listed as 1 values"),
    (lambda: made([Matrix([[x, y]])], x)(LINE), gradc.ShapeError, "as a matrix of 1 rows and 2 columns, and an array of shape"),
    (lambda: made([x, y], x + y)(LINE, GRID), gradc.ShapeError, "these two must be equal"),
    (lambda: made([x, n], Sum(x**k, (k, 0, n)))(LINE, np.arange(5)), gradc.ShapeError, "so it can be no array: give numbers"),
    (lambda: made(x, x)("text"), gradc.ArgumentError, "the argument x has dtype <U4"),
    (lambda: made(x, x)([1.0, [2.0]]), gradc.ArgumentError, "the argument x is no array"),
    (lambda: made(x, x)(1j), gradc.ArgumentError, "the argument x has dtype complex128"),
    (lambda: made(A, A)(LINE), gradc.ShapeError, "the argument A must be an array of 2 dimensions"),
    (lambda: made(n, 2 * n)(1.5), gradc.ArgumentError, "the argument n must be int64"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), REFUSED)
def test_what_does_not_fit_is_told(wrong: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()
