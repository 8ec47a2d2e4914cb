"""What has no meaning in gradc is refused by name, with what to do next: one row for each message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sympy
from sympy import (
    And,
    Contains,
    Derivative,
    Dummy,
    Eq,
    Function,
    Idx,
    ImmutableMatrix,
    IndexedBase,
    Integral,
    Interval,
    KroneckerDelta,
    Lambda,
    Matrix,
    MatrixSymbol,
    Piecewise,
    Rational,
    Subs,
    Sum,
    Symbol,
    Tuple,
    symbols,
)
from sympy.combinatorics import Permutation
from sympy.matrices.expressions import DiagonalOf, MatrixPermute
from sympy.stats import Normal
from sympy.tensor.array.expressions.array_expressions import ArraySymbol
from sympy.tensor.indexed import Indexed

from gradc.compiler.from_sympy import convert
from gradc.ir.errors import FormulaError, GradcError, ShapeError, SizeError, UnsupportedError

x, y = symbols("x y")
i, j, m, n = symbols("i j m n", integer=True)
f = Function("f")
U, X = IndexedBase("U"), IndexedBase("X", shape=(n,))
M = MatrixSymbol("M", 2, 2)


def chain(levels: int) -> Any:
    expr = x
    for _ in range(levels):
        expr = sympy.sin(expr, evaluate=False)
    return expr


NO_MEANING: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: f(x) + 1,
        r"f\(x\) is an undefined function: put its formula in its place, expr.subs\(f\(x\), ...\)",
    ),
    (lambda: Function("sin")(x), r"sin\(x\) is an undefined function"),
    (lambda: f, "f is an undefined function: put its formula in its place with expr.replace"),
    (lambda: Integral(sympy.sin(x**2), (x, 0, 1)), r"is an integral: evaluate it first with .doit\(\)"),
    (lambda: sympy.Limit(sympy.sin(x) / x, x, 0), "is a limit: evaluate it first"),
    (lambda: x + sympy.O(x**2), r"is the order of a remainder: drop it with .removeO\(\)"),
    (lambda: Lambda(x, x**2), "is a function without arguments: call it"),
    (lambda: sympy.Poly(x**2 + 1), r"is a polynomial object: give its expression, .as_expr\(\)"),
    (lambda: x + sympy.I * y, "I makes the result complex"),
    (lambda: sympy.sqrt(-2) * x, "I makes the result complex"),
    (lambda: sympy.root(-8, 3) * x, r"\(-1\)\*\*\(1/3\) makes the result complex: .* write real_root\(...\)"),
    (lambda: sympy.cbrt(-Symbol("p", positive=True)), r"\(-1\)\*\*\(1/3\) makes the result complex"),
    (lambda: sympy.zoo, "zoo is complex infinity, the result of a division by zero"),
    (lambda: sympy.nan, "nan is not a number: correct the expression"),
    (lambda: sympy.sign(Symbol("x", real=True)).diff(), r"DiracDelta\(x\) has no value at 0: .* use .grad"),
    (lambda: sympy.LambertW(x), "has no operation in gradc: solve"),
    (lambda: sympy.arg(x), "is the angle of a complex number: .* write atan2"),
    (lambda: Normal("N", 0, 1) + x, "N is a random variable: compile its density"),
    (lambda: sympy.sin(M), r"M is a matrix, and a number belongs here: .* M.applyfunc"),
    (lambda: Sum(i * M, (i, 0, 3)), r"i\*M is a matrix, and a number belongs here"),
    (lambda: sympy.Array(M), "M is a matrix, and a number belongs here"),
    (lambda: sympy.Permanent(M), r"Permanent\(M\) is a matrix expression that has no meaning in gradc: write it by sums"),
    (lambda: MatrixPermute(M, Permutation(0, 1)), "is a matrix expression that has no meaning in gradc"),
    (lambda: sympy.sin(sympy.Array([x, y]), evaluate=False), "is an array of expressions inside an expression"),
    (lambda: M**n, r"the power n of a matrix in M\*\*n is not a literal whole number up to 64"),
    (lambda: M**65, "the power 65 of a matrix .*: write HadamardPower for powers of the elements"),
    (lambda: M[0 : 2 : Symbol("s"), 0], "the step s of .* is not a whole number above 0: write a literal step"),
    (
        lambda: Sum(sympy.Trace(sympy.BlockMatrix([[i * M]])), (i, 0, 3)),
        r"the block i\*M of .* depends on the index of a Sum: write the sum over elements",
    ),
    (
        lambda: DiagonalOf(MatrixSymbol("V", n, 2)),
        r"DiagonalOf\(V\) has as many elements as the smaller of n and 2: give a square matrix",
    ),
    (
        lambda: Derivative(sympy.log(sympy.Determinant(M)), M),
        "is a derivative of matrices, which SymPy may take for 0: compile the expression itself and use .grad",
    ),
    (
        lambda: Eq(ImmutableMatrix([x]), ImmutableMatrix([y]), evaluate=False),
        "is a matrix inside an expression",
    ),
    (
        lambda: Piecewise((ImmutableMatrix([x]), x > 1), (0, True)),
        "is a matrix inside an expression: give the matrix",
    ),
    (
        lambda: Contains(x, Interval(0, 1)),
        r"is a condition on a set: write it as inequalities, .as_relational",
    ),
    (lambda: Interval(0, 1), r"is a set, which has no value"),
    (lambda: U + x, r"U is an array without an index: write U\[i\], inside a Sum"),
    (lambda: "x + y", "x \\+ y is a string: SymPy would evaluate it; pass a formula string"),
    (lambda: (x, "y"), "y is a string"),
    (lambda: sympy.zeta(x), r"the function zeta, in zeta\(x\), has no operation in gradc: rewrite it"),
    (lambda: sympy.besselk(1, x), "the function besselk, in .* has no operation"),
    (lambda: sympy.AccumBounds(0, 1), "is a SymPy AccumulationBounds, which has no meaning in gradc"),
    (lambda: 1j, "a complex is not a SymPy expression: give a SymPy expression"),
    (lambda: None, "a NoneType is not a SymPy expression"),
    (
        lambda: Indexed(Tuple(1, 2), i),
        r"takes an element of \(1, 2\): gradc reads elements of an IndexedBase only",
    ),
    (
        lambda: IndexedBase("V", offset=3)[i],
        "the IndexedBase V has an offset or strides: write them into the index",
    ),
    (
        lambda: symbols("A B", commutative=False)[0] * x,
        "the symbol A is noncommutative: .* make it an ordinary symbol",
    ),
    (lambda: Symbol("z", imaginary=True) * x, "the symbol z is declared complex, imaginary or infinite"),
    (lambda: Symbol("z", complex=True) + x, "the symbol z is declared complex"),
    (lambda: Symbol("z", infinite=True) + x, "the symbol z is declared complex, imaginary or infinite"),
    (lambda: Sum(U[i], (i, 0, sympy.oo)), "is infinite: give it finite bounds"),
    (
        lambda: Derivative(chain(240), x),
        (
            "SymPy cannot evaluate a large Derivative, it is too deep: compile the "
            "expression itself and use .grad"
        ),
    ),
    (
        lambda: Subs(Piecewise((1, x > 0), (2, True)), x, sympy.I),
        r"SymPy cannot evaluate .*Invalid comparison.* use .grad",
    ),
    (lambda: Derivative(f(x), x), r"is a derivative of the undefined function f\(x\): put its formula"),
    (
        lambda: Derivative(sympy.floor(x), x),
        r"SymPy leaves Derivative\(floor\(x\), x\) unevaluated: .* use .grad",
    ),
    (lambda: sympy.besselj(Rational(1, 2), x), r"the order 1/2 of besselj\(1/2, x\) is not a whole number"),
    (
        lambda: sympy.besselj(y, x),
        r"the order y of besselj\(y, x\) is not a whole number: use an integer, or a symbol",
    ),
    (
        lambda: sympy.expint(-1, x, evaluate=False),
        r"has a negative order: gradc has expint of the orders 0, 1, 2",
    ),
    (lambda: KroneckerDelta(i, j, (0, 3)), "has a range: give KroneckerDelta"),
    (
        lambda: Sum(x, (j, 0, i * i), (i, 0, 3)),
        "a bound of .* depends on an array or on a product of indices: sum over",
    ),
    (lambda: Sum(x, (j, 0, sympy.floor(i * i / 2)), (i, 0, 3)), "a bound of .* depends on an array"),
    (lambda: Sum(x, (j, 0, U[i]), (i, 0, 3)), r"a bound of .* depends on an array"),
    (lambda: ((x, y), x), "a tuple inside a tuple of expressions: give one flat tuple, or a Matrix"),
]


@pytest.mark.parametrize(("make", "message"), NO_MEANING, ids=[message[:40] for _, message in NO_MEANING])
def test_what_has_no_meaning_is_refused_by_name(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        convert(make())


ILL_FORMED: list[tuple[Callable[[], Any], str]] = [
    (lambda: IndexedBase("V", shape=(sympy.Mod(n, 2),))[i], "the shape of V must be made of whole numbers"),
    (lambda: (), "the tuple of expressions is empty: give at least one"),
    (lambda: 10**400 * x, r"the number 10+\.\.\. is beyond the range of float64 \(1.8e308\): scale"),
    (lambda: sympy.Float("1e400") * x, "is beyond the range of float64"),
    (lambda: Rational(10**400, 3) * x, "is beyond the range of float64"),
    (
        lambda: sympy.Integer(10) ** 5000 * x,
        r"the number \(a Integer with too many digits to show\) is beyond",
    ),
    (lambda: U[i] + U[i, j], r"U is used with 1 and with 2 indices: see U\[i, j\]"),
    (lambda: U[x / 2], r"the index x/2 in U\[x/2\] is not an integer: use symbols made with integer=True"),
    (lambda: Sum(x, (i, 0, Rational(5, 2))), r"the bound 5/2 of .* is not an integer"),
    (lambda: Sum(x, (i, 0, x / 2)), r"the bound x/2 of .* is not an integer"),
    (
        lambda: IndexedBase("V", shape=(n / 2,))[i],
        "the shape of V must be made of whole numbers and integer symbols",
    ),
    (
        lambda: Sum(Piecewise((x, And(i, x > 1)), (0, True)), (i, 0, 3)),
        "a number stands where a condition belongs",
    ),
    (lambda: Piecewise((x, And(x, y > 1)), (0, True)), "the symbol x is used as a number and as a condition"),
    (
        lambda: x + Symbol("x", real=True),
        (
            r"two different symbols are called 'x': a Symbol \(no assumptions\) and a "
            r"Symbol \(real=True\); .* use the same object in both places, or rename"
        ),
    ),
    (lambda: x * IndexedBase("x")[i], r"called 'x': a Symbol \(no assumptions\) and an IndexedBase"),
    (lambda: X[0] * IndexedBase("X")[0], r"called 'X': .*IndexedBase of shape \(n,\)"),
    (lambda: i + Idx("i", n), "called 'i': a Symbol .* and an Idx"),
    (lambda: M[0, 0] * Symbol("M"), r"called 'M': a Symbol .* and a MatrixSymbol of shape \(2, 2\)"),
    (lambda: ArraySymbol("M", (2,))[0] * M[0, 0], r"called 'M': an ArraySymbol of shape \(2,\)"),
    (lambda: sympy.Identity(n / 2), r"the size n/2 of I must be made of whole numbers"),
    (lambda: MatrixSymbol("V", n / 2, 1), "the shape of V must be made of whole numbers and integer symbols"),
    (lambda: MatrixSymbol("V", n, 1)[0 : n / 2, 0:1], "the end n/2 of a slice must be made of whole numbers"),
    (
        lambda: Symbol("out") * x,
        r"'out' is a reserved name \(an argument of every Function\): call the symbol 'result'",
    ),
    (lambda: Dummy("workspace") * x, "'workspace' is a reserved name"),
]


@pytest.mark.parametrize(("make", "message"), ILL_FORMED, ids=[message[:40] for _, message in ILL_FORMED])
def test_what_is_ill_formed_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        convert(make())


@pytest.mark.filterwarnings("ignore:\\s*non-Expr objects in a Matrix")
def test_a_matrix_of_conditions_is_refused() -> None:
    with pytest.raises(FormulaError, match="a Matrix holds a condition: give numbers"):
        convert(Matrix([[x > 1]]))


ARGUMENTS: list[tuple[Any, Any, str]] = [
    (x + y, (x, x * y), r"args holds x\*y, which is not a symbol: give symbols or their names"),
    (X[i], (X[0], i), r"args holds X\[0\], which is not a symbol: give its IndexedBase"),
    (
        x + y,
        (Symbol("x", real=True), y),
        (
            r"args holds another symbol called 'x' than the expression: a Symbol "
            r"\(real=True\), not a Symbol \(no assumptions\)"
        ),
    ),
    (x + y, "x y", "args is a str: give a tuple of symbols or names, or a mapping"),
    (x + y, {x, y}, "args is a set: give a tuple"),
    (x + y, (x, "x", y), "args lists x twice: leave out one of them"),
    (x + y, {x: "", "x": ""}, "args declares x twice"),
    (x + y, (x,), "the expression uses y, which args does not list: add what is missing, or leave args out"),
    (sympy.Add(*symbols("v:9")), (), r"uses v0, v1, v2, v3, v4, and 4 more, which args does not list"),
    (x, (x, "out"), "'out' is a reserved name"),
    (
        x,
        (x, IndexedBase("V")),
        "the expression does not use the array V: leave it out of args, or declare its shape",
    ),
    (x * y, {"x": "n"}, r"args declares x as an array, .* write IndexedBase\('x'\)\[i\] for its elements"),
    (
        n * y,
        {"n": "float"},
        'args declares n as float64, but the expression uses it as an integer .* declare it "int"',
    ),
    (
        x * y,
        {"x": "bool"},
        'args declares x as bool, but the expression uses it as a number: declare it "float" or "int"',
    ),
    (Piecewise((x, And(y, x > 1)), (0, True)), {"y": "float"}, 'uses it as a condition: declare it "bool"'),
    (U[i], {"U": "n", "n": "float"}, 'args declares n as float64, .* declare it "int"'),
    (
        U[i],
        {"U": "n m"},
        r"U has 1 index in the expression, but its shape \(n, m\) has 2: declare one dimension",
    ),
    (U[i, j], {"U": "n"}, r"U has 2 indices in the expression, but its shape \(n\) has 1"),
    (M, {"M": "2 n"}, r"args declares M of shape \(2, n\), but it is a MatrixSymbol of shape \(2, 2\): make it with"),
    (
        x,
        (x, MatrixSymbol("V", n / 2, 1)),
        "the expression does not use the array V: leave it out of args, or declare its shape",
    ),
    (x, {"x": 3}, r"args\['x'\] is of type int, not a text"),
]


@pytest.mark.parametrize(
    ("expr", "args", "message"), ARGUMENTS, ids=[message[:40] for *_, message in ARGUMENTS]
)
def test_arguments_that_do_not_fit_are_named(expr: Any, args: Any, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        convert(expr, args)


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        (
            Sum(X[i + 1], (i, 0, n - 1)),
            (
                r"X\[i \+ 1\] reaches index n, and the last index of X is n - 1[\s\S]*\^\^\^\^"
                r"[\s\S]*bounds of the Sum, or read it where it is: Piecewise"
            ),
        ),
        (Sum(X[i - 1], (i, 0, n - 1)), r"X\[i - 1\] reaches index -1"),
        (
            Sum(MatrixSymbol("V", n, m)[i + 1, 0], (i, 0, n - 1)),
            r"V\[i \+ 1, 0\] reaches index n along axis 0, and the last index of V is n - 1",
        ),
        (
            MatrixSymbol("V", n, 1) + MatrixSymbol("W", n, m),
            r"a sum of sizes (1 and m|m and 1) in V \+ W[\s\S]*Give the symbols shapes that fit",
        ),
        (MatrixSymbol("V", n, m) * MatrixSymbol("W", 1, n), r"a product of sizes m and 1 in V\*W"),
        (
            sympy.HadamardProduct(MatrixSymbol("V", n, m), MatrixSymbol("W", n, 1)),
            "a product of elements of sizes m and 1 in",
        ),
        (
            sympy.HadamardPower(MatrixSymbol("V", n, m), MatrixSymbol("W", n, 1)),
            "a power of elements of sizes m and 1 in",
        ),
        (X[-1], r"X\[-1\] has a negative index: indices count from 0; write the last element .* x\[n - 1\]"),
    ],
)
def test_an_index_that_is_always_outside_is_refused(expr: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        convert(expr)


def test_an_index_of_very_many_terms_is_refused() -> None:
    with pytest.raises(
        SizeError, match="an index or a bound has more than 100 terms: pass it as an integer argument"
    ):
        convert(U[sympy.Add(*symbols("v:200", integer=True))])


def test_no_refusal_is_a_raw_error_of_sympy() -> None:
    for make, _ in [*NO_MEANING, *ILL_FORMED]:
        with pytest.raises(GradcError) as caught:
            convert(make())
        assert len(str(caught.value)) < 500
