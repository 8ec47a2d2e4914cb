"""Every refusal of a formula: its class, the text that the carets underline, the message and the advice."""

from collections.abc import Mapping
from typing import Any

import pytest

from gradc.compiler import formula
from gradc.compiler.formula import parse
from gradc.compiler.shapes import declarations
from gradc.compiler.syntax import pointed
from gradc.ir.errors import FormulaError, GradcError, ShapeError, SizeError, UnsupportedError
from gradc.ir.graph import Span

SHAPES = {"x": "n", "A": "n K", "T": "2 2 2",
          "k": "int", "flag": "bool", "mask": "bool n", "idx": "int K", "t": "3", "u": "4"}


def marked(error: GradcError) -> str:
    """The text under the carets of an error."""
    lines = str(error).splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip() and not line.strip(" ^"))
    carets = lines[at]
    return lines[at - 1][carets.index("^"):carets.rindex("^") + 1]


def refusal(text: Any, args: Any = SHAPES) -> GradcError:
    with pytest.raises(GradcError) as caught:
        parse(text, args)
    return caught.value


SYNTAX = [
    ("a -> b", "->", "-> has no meaning", "Write the expression alone"),
    ("|a|", "|", "bars have no meaning", "abs(x)"),
    ("f(a) = a**2", "f(a)", "functions are not defined", "without f(a) ="),
    ("2x + 1", "2x", "a number and a name stand side by side", "Write 2 * x"),
    ("1if flag else 2", "1if", "a number and a name stand side by side", "a space between 1 and if"),
    ("a + sin b", "b", "an operator or a comma is missing", "sin(b)"),
    ("(a) b", "b", "an operator or a comma is missing", "Write an operator"),
    ("x 3", "3", "an operator or a comma is missing", "x * 3"),
    ("1.5.2", "1.5.", "a number with two points", "one point"),
    ("1j * a", "1j", "complex numbers", "two formulas"),
    ("a + 1e999", "1e999", "too large for a float", "inf"),
    ("a + 1e-999", "1e-999", "too small for a float", "0"),
    ("007 + a", "00", "a number begins with 0", "Leave the zero out"),
    ("a +", "+", "nothing stands behind +", "operand"),
    ("not", "not", "nothing stands behind not", "operand"),
    ("q = ", "=", "nothing stands behind q =", "expression"),
    ("= a", "=", "= needs a name before it", "name = expression"),
    ("a = b = c", "a = b", "names one value", "Write two"),
    ("a, b = c", "a, b", "one statement names one value", "statement for each"),
    ("x[0] = a", "x[0]", "elements of an array are not assigned", "where"),
    ("a: float = b", "a: float", "types are not declared", "args"),
    ("a + b = c", "a + b", "only a name can stand before =", "=="),
    ("f(a = b", "(", "never closed", "closing bracket"),
    ("a)", ")", "closes nothing", "Leave it out"),
    ("(a]", "]", "closes nothing", "It would close ("),
    ("(a; b)", "(", "not closed before ;", ""),
    ("{a}", "{", "sets and dictionaries", "( )"),
    ("x + ...", "...", "... has no meaning outside an index", "x[..., i]"),
    ("einsum('i;', x)", "'", "the subscripts of einsum are letters", "einsum('ij,j->i', A, x)"),
    ("dot('i', x)", "'", "a text in quotation marks", "numbers, names"),
    ("einsum(x, 'i')", "'", "a text in quotation marks", "numbers, names"),
    ("einsum('i' 'i', x)", "'", "a text in quotation marks", "numbers, names"),
    ("(q := a) + q", ":=", "not named inside an expression", "statement of its own"),
    ("a -> b", "->", "-> has no meaning", ""),
    ("q += a", "+=", "a value never changes", "name = name + ..."),
    ("q //= a", "//=", "a value never changes", "name = name // ..."),
    ("a if flag", "a if flag", "this if has no else", "else other"),
    ("(a = b) + 1", "a = b", "= stands inside an expression", "=="),
    ("lambda: 3", "lambda", "lambda has no meaning here", "define no functions"),
    ("a + lambda: 3", "lambda", "lambda has no meaning here", "define no functions"),
    ("import os", "import", "import has no meaning here", "without an import"),
    ("for i in x: a", "for", "for has no meaning here", "sum(..."),
    ("del a", "del", "del has no meaning here", "name = expression"),
    ("sum(a for i in range(3), a)", "a for i in range(3)", "a generator stands beside other operands",
     "alone"),
    ("a not b", "b", "not an expression", "operators between operands"),
    ("a\nb", "a", "the value of this line is not used", "name = ..."),
    ("q = a\n + b", "+", "this line begins with +", "brackets"),
    ("'a'", "'", "a text in quotation marks", "numbers, names"),
    ("f\"{a}\"", "f\"", "a text in quotation marks", "numbers, names"),
    ("a \\\n + b", "\\", "a backslash", "brackets"),
    ("a × b", "×", "× (U+00D7) has no meaning", "Write * instead"),
    ("x²", "²", "² (U+00B2)", "Write **2 instead"),
    ("a ? b", "?", "? (U+003F)", "Leave it out"),
    ("α + 1", "α", "not one of a-z", "alpha"),
    ("ｓｉｎ(a)", "ｓｉｎ", "not one of a-z", "Write sin instead"),
    ("a\u00a0+ b", " ", "U+00A0", "ordinary space"),
    ("out = a", "out", "the name out is reserved", "out_"),
    ("out + a", "out", "the name out is reserved", "out_"),
    ("workspace * a", "workspace", "the name workspace is reserved", "workspace_"),
    ("a.__class__", "__class__", "starts with two underscores", "starts with a letter"),
]


@pytest.mark.parametrize(("text", "under", "message", "advice"), SYNTAX)
def test_what_is_no_formula_is_refused_at_its_place(text: str, under: str, message: str, advice: str) -> None:
    error = refusal(text)
    assert isinstance(error, FormulaError)
    assert marked(error) == under
    assert message in str(error).splitlines()[0]
    assert advice in str(error).splitlines()[-1]


MEANING = [
    (UnsupportedError, "2(a + 1)", "2(a + 1)", "an operator is missing before (", "Write 2 * (a + 1)"),
    (UnsupportedError, "(a + 1)(a - 1)", "(a + 1)(a - 1)", "an operator is missing before (", "(a + 1) * (a - 1)"),
    (UnsupportedError, "Max(a, 1)", "Max", "there is no function Max", "Write max instead"),
    (UnsupportedError, "globals()", "globals", "there is no function globals", "functions that there are."),
    (UnsupportedError, "sin(a)(2)", "sin(a)", "only functions of the table", "as in sin(x), not sin(a)(2)"),
    (ShapeError, "sum(x[i] for x in range(3))", "x", "x is the index of a generator here", "and x[i]"),
    (FormulaError, "sum(a for i in range(10**30))", "10**30", "a whole number of 64 bits", "a dimension such as n"),
    (UnsupportedError, "sine(a)", "sine", "there is no function sine", "sin or sinh or sinc"),
    (UnsupportedError, "SIN(a)", "SIN", "there is no function SIN", "sin"),
    (UnsupportedError, "frobnicate(a)", "frobnicate", "there is no function frobnicate", "an operator"),
    (UnsupportedError, "slogdet(A)", "slogdet", "there is no function slogdet", "logdet(A)"),
    (UnsupportedError, "np.sin(a)", "np.sin", "the attribute sin cannot be called", "sin(...)"),
    (UnsupportedError, "a.b.frob(3)", "a.b.frob", "the attribute frob cannot be called", "by its name alone"),
    (UnsupportedError, "sin(a)(b)", "sin(a)", "only functions of the table can be called", "sin(x)"),
    (UnsupportedError, "x.norm()", "x.norm", "the attribute norm cannot be called", "norm(...)"),
    (UnsupportedError, "x.norm", "x.norm", "the attribute norm has no meaning", "norm(x)"),
    (UnsupportedError, "x.ndim", "x.ndim", "the attribute ndim has no meaning", "Write the number"),
    (FormulaError, "A[..., 0, ...]", "...", "... stands twice in one index", "Write :"),
    (FormulaError, "einsum(x, x)", "x", "einsum begins with its subscripts", "einsum('ij,j->i', A, x)"),
    (FormulaError, "einsum('i')", "einsum('i')", "einsum has no operands", "einsum('ij,j->i', A, x)"),
    (UnsupportedError, "einsum('i,i', x)", "einsum('i,i', x)", "einsum has 1 operands", "one term for each"),
    (ShapeError, "einsum('ij', x)", "einsum('ij', x)", "the term 'ij' stands for an array of 1", "one letter"),
    (FormulaError, "dot(x)", "dot(x)", "dot takes two arrays, not 1 operands", "dot(A, B)"),
    (FormulaError, "norm(x, 1, 0, False, 2)", "norm(x, 1, 0, False, 2)",
     "norm takes one array and ord, axis, keepdims, not 5", "norm(A)"),
    (FormulaError, "stack(x)", "x", "stack takes several arrays in brackets", "stack([a, b])"),
    (FormulaError, "eye()", "eye()", "eye needs shape", "eye(n)"),
    (FormulaError, "eye(n, n)", "eye(n, n)", "eye takes a size, not 2 operands", "eye(n)"),
    (FormulaError, "swapaxes(A, 0)", "swapaxes(A, 0)", "swapaxes needs axis1 and axis2", "swapaxes(A, 0, 1)"),
    (FormulaError, "norm(x, foo=1)", "foo=1", "norm takes no keyword foo", "norm has ord, axis, keepdims"),
    (FormulaError, "inv(A, axis=1)", "axis=1", "inv takes no keyword axis", "Leave it out"),
    (FormulaError, "norm(x, 1, ord=2)", "ord=2", "ord of norm is given twice", "norm has"),
    (FormulaError, "norm(x, keepdims=1)", "1", "keepdims is True or False", "keepdims=True"),
    (FormulaError, "sum(x, keepdims=k)", "k", "keepdims is True or False", "keepdims=True"),
    (FormulaError, "norm(x, k)", "k", "the order of a norm is a literal number or inf", "norm(x, inf)"),
    (UnsupportedError, "norm(A, 3)", "norm(A, 3)", "norm with ord=3 over 2 axes is not known", "Use ord"),
    (FormulaError, "cumsum(x, axis=k)", "k", "axis is not a literal whole number", "axis=0"),
    (FormulaError, "diff(x, 17)", "17", "n of diff is beyond 16", "smaller number"),
    (FormulaError, "matrix_power(S, 1000000000)", "1000000000", "n of matrix_power is beyond 16", "smaller"),
    (ShapeError, "cumsum(x, axis=2)", "cumsum(x, axis=2)", "there is no axis 2", "Write an axis from 0 to 0"),
    (UnsupportedError, "reshape(x, (a, 2))", "reshape(x, (a, 2))", "a dimension of a shape is no number", "sizes"),
    (ShapeError, "concatenate([x, A])", "concatenate([x, A])", "arrays of different ranks are joined", "same rank"),
    (ShapeError, "inv(x)", "inv(x)", "inv takes a matrix", "rows and columns"),
    (UnsupportedError, "norm(i for i in range(3))", "(i for i in range(3))", "outside a reduction", "sum"),
    (UnsupportedError, "x.sum", "x.sum", "the attribute sum has no meaning", "sum(x)"),
    (UnsupportedError, "a.spam", "a.spam", "the attribute spam has no meaning", "the value itself"),
    (UnsupportedError, "x.shape", "x.shape", "the attribute shape has no meaning", "x.shape[0]"),
    (UnsupportedError, "x.size[0]", "x.size", "the attribute size has no meaning", "len(x)"),
    (FormulaError, "x.shape[1]", "x.shape[1]", "shape needs a literal index, here below 1", "x.shape[0]"),
    (FormulaError, "range(3)", "range", "range stands only in a generator", "for i in range(n)"),
    (FormulaError, "k(3)", "k", "k is a value here, and is called", "k * (...)"),
    (FormulaError, "q = a; q(3)", "q", "q is a value here, and is called", "q * (...)"),
    (FormulaError, "sum(i(2) for i in range(3))", "i", "i is a value here, and is called", "i * (...)"),
    (UnsupportedError, "sin(*x)", "*x", "* does not unpack here", "one by one"),
    (UnsupportedError, "sum(i for i in range(*x))", "*x", "* does not unpack here", "one by one"),
    (FormulaError, "exp(a, out=b)", "out=b", "exp takes no keyword out", "in order"),
    (FormulaError, "exp(**a)", "**a", "exp takes no keyword **", "in order"),
    (FormulaError, "sin(i for i in range(3))", "(i for i in range(3))", "sin takes no generator",
     "sum, prod"),
    (FormulaError, "sin(a, b)", "sin(a, b)", "sin takes one operand, not 2", "sin(a)"),
    (FormulaError, "clip(a)", "clip(a)", "clip takes 3 operands, not 1", "clip(a, b, c)"),
    (FormulaError, "maximum(a)", "maximum(a)", "maximum takes two or more operands, not 1", "maximum(a, b)"),
    (FormulaError, "where(a, b)", "where(a, b)", "where takes 3 operands, not 2", "where(a, b, c)"),
    (FormulaError, "round(a, 2)", "round(a, 2)", "round takes one operand, not 2", "round(x * 100) / 100"),
    (FormulaError, "len(x, x)", "len(x, x)", "len takes one operand, not 2", "len(x)"),
    (ShapeError, "len(a)", "len(a)", "len takes an array", "args"),
    (FormulaError, "jn(a, b)", "jn(a, b)", "operand 1 of jn is not a whole number", "int"),
    (FormulaError, "k // 0", "k // 0", "divided by zero", "another divisor"),
    (FormulaError, "sum(x, 0)", "sum(x, 0)", "sum takes one array or one generator", "axis=0"),
    (FormulaError, "mean(x, 0)", "mean(x, 0)", "mean takes one array or one generator", "axis=0"),
    (FormulaError, "mean(a, b, c)", "mean(a, b, c)", "mean takes one array or one generator", "mean(x)"),
    (ShapeError, "sum(a)", "a", "this is a number", "args"),
    (ShapeError, "max(a)", "a", "this is a number", "max(a, b)"),
    (UnsupportedError, "sum([a, b])", "[a, b]", "sum takes no list", "for i in range(n)"),
    (UnsupportedError, "max((a, b))", "(a, b)", "max takes no list", "max(a, b)"),
    (FormulaError, "sum(x, foo=1)", "foo=1", "no keyword foo", "axis=0"),
    (FormulaError, "sum((i for i in range(3)), axis=0)", "axis=0", "takes no keyword", "Leave it out"),
    (FormulaError, "sum(x, axis=k)", "k", "axis is not a literal", "axis=0"),
    (ShapeError, "sum(A, axis=2)", "2", "no axis 2 in an array of 2 dimensions", "axis=0 to axis=1"),
    (FormulaError, "sum(A, axis=(0, -2))", "axis=(0, -2)", "named twice", "one of them"),
    (ShapeError, "argmax(A)", "argmax(A)", "an index along one dimension, not 2", "axis=0"),
    (UnsupportedError, "argmax(x[i] for i in range(n) if x[i] > 0)", "(x[i] for i in range(n) if x[i] > 0)",
     "under a condition has no index to give", "one range"),
    (UnsupportedError, "sum(q for q in x)", "x", "a generator runs over a range", "range(len(x)), and x[q]"),
    (UnsupportedError, "sum(q for q in 2 * x)", "2 * x", "a generator runs over a range", "range(n)"),
    (UnsupportedError, "sum(q for (q, r) in x)", "(q, r)", "a generator has one index", "for j in"),
    (UnsupportedError, "sum(q async for q in range(3))", "range(3)", "async has no meaning",
     "for i in range(n)"),
    (FormulaError, "sum(i for i in range())", "range()", "one to three whole numbers", "range(start, stop)"),
    (FormulaError, "sum(i for i in range(0, 3, k))", "range(0, 3, k)", "literal whole number other than 0",
     "2 or -1"),
    (FormulaError, "sum(i for i in range(0, 3, 0))", "range(0, 3, 0)", "literal whole number other than 0",
     "2 or -1"),
    (FormulaError, "sum(i for i in range(flag))", "flag", "an end of a range is a whole number",
     '"flag": "int"'),
    (ShapeError, "sum(i for i in range(idx))", "idx", "this is an array", "m[i]"),
    (UnsupportedError, "sum(i for i in range(idx[0]))", "range(idx[0])", "no dimension is known",
     "range(m) if"),
    (UnsupportedError, "sum(i for i in range(0, idx[0], 2))", "range(0, idx[0], 2)", "no dimension is known",
     "range(m) if"),
    (ShapeError, "sum(i for i in range(n) if mask)", "mask", "this is an array", "m[i]"),
    (FormulaError, "a if b else 3", "b", "a condition is needed", "b != 0"),
    (FormulaError, "not (a + b)", "a + b", "a condition is needed", "x != 0"),
    (FormulaError, "a and flag", "a", "a condition is needed", "a != 0"),
    (FormulaError, "where(k, a, b)", "k", "a condition is needed", "k != 0"),
    (UnsupportedError, "flag & flag", "flag & flag", "the operator &", "and"),
    (UnsupportedError, "a ^ 2", "a ^ 2", "the operator ^", "**"),
    (UnsupportedError, "~flag", "~flag", "the operator ~", "not"),
    (UnsupportedError, "a in b", "a in b", "the operator in", "a == b"),
    (UnsupportedError, "a is not b", "a is not b", "the operator is not", "!="),
    (UnsupportedError, "a << 2", "a << 2", "the operator <<", "2**k"),
    (UnsupportedError, "[a, b]", "[a, b]", "a list has no meaning", "tuple"),
    (UnsupportedError, "[i for i in x]", "[i for i in x]", "a list comprehension has no meaning",
     "reduction"),
    (UnsupportedError, "(a, b) + 1", "(a, b)", "a tuple has no meaning", "last line"),
    (UnsupportedError, "(i for i in range(3))", "(i for i in range(3))", "outside a reduction", "sum"),
    (UnsupportedError, "(a, *x)", "*x", "* before an operand", "one by one"),
    (UnsupportedError, "None", "None", "None has no meaning here", "number"),
    (FormulaError, "()", "()", "an empty tuple is no result", "expression"),
    (FormulaError, "nan * a", "nan", "NaN is no constant", "condition"),
    (FormulaError, "sin + sin(2)", "sin", "called as a function elsewhere", "sin(...)"),
    (FormulaError, "i * sum(x[i] for i in range(n))", "i",
     "the index of a generator, and stands here outside", "args"),
    (FormulaError, "x[0.5]", "0.5", "an index is a whole number", "//"),
    (UnsupportedError, "x[x > 0]", "x > 0", "a condition selects no elements", "where"),
    (ShapeError, "x[0, 1]", "x[0, 1]", "x has 1 dimension and 2 indices", "at most 1 index"),
    (ShapeError, "A[0, 1, 2]", "A[0, 1, 2]", "A has 2 dimensions and 3 indices", "at most 2 indices"),
    (ShapeError, "b[0]", "b", "b is a number, and has an index", '{"b": "n"}'),
    (ShapeError, "b[0, 1]", "b", "b is a number, and has an index", '{"b": "n K"}'),
    (ShapeError, "sum(x)[0]", "sum(x)[0]", "a number has an index here", "Leave the index out"),
    (FormulaError, "x[::k]", "k", "the step of a slice", "2 or -1"),
    (FormulaError, "x[1.5:]", "1.5", "the end of a slice is a whole number", "whole number"),
    (UnsupportedError, "x[idx[0]:]", "idx[0]:", "the length of this slice", "x[i:i+3]"),
    (ShapeError, "t + u", "t + u", "the dimensions 3 and 4 cannot be equal", "literal 1"),
    (ShapeError, "x + x[1:]", "x + x[1:]", "the dimensions n and n - 1 cannot be equal", "literal 1"),
    (ShapeError, "t @ u", "t @ u", "the dimensions 3 and 4 cannot be equal", "literal 1"),
    (ShapeError, "A[:, 0:1] @ x", "A[:, 0:1] @ x", "the dimensions 1 and n cannot be equal", "@ sums over"),
    (ShapeError, "A @ a", "A @ a", "@ takes arrays, and one operand is a number", "Write *"),
    (ShapeError, "T @ a", "T @ a", "@ takes arrays, and one operand is a number", "Write *"),
    (ShapeError, "T @ t", "T @ t", "the dimensions 2 and 3 cannot be equal", "literal 1"),
    (ShapeError, "sum(x[i+1] for i in range(n))", "x[i+1]",
     "x[i+1] reaches index n, and the last index of x is n - 1",
     "range(n - 1), or guard"),
    (ShapeError, "sum(x[i-1] for i in range(n))", "x[i-1]", "reaches index -1, and the first index of x is 0",
     "range(1, ...)"),
    (ShapeError, "sum(x[i] for i in range(n + 2))", "x[i]", "reaches index n + 1", "end 2 earlier, or"),
    (ShapeError, "sum(A[0, j+1] for j in range(K))", "A[0, j+1]", "reaches index K along axis 1",
     "range(K - 1)"),
    (ShapeError, "t[3]", "t[3]", "reads index 3, and the indices of t are 0 .. 2", "from 0 to 2"),
    (ShapeError, "t[-4]", "t[-4]", "reads index -1", "counts from the end"),
    (ShapeError, "q = x * x; sum(q[i + 1] for i in range(n))", "q[i + 1]", "the last index of q is n - 1",
     "range(n - 1)"),
    (ShapeError, "sum(x[i + n] if i > 0 else 0 for i in range(n))", "x[i + n]", "outside x at every point",
     "condition"),
    (SizeError, "x[(k+n+K)**3 * (k+n+K)**3 * (k+n+K)**3]", "(k+n+K)**3 * (k+n+K)**3 * (k+n+K)**3",
     "too many terms", "1.0 *"),
]


@pytest.mark.parametrize(("kind", "text", "under", "message", "advice"), MEANING)
def test_what_has_no_meaning_is_refused_at_its_place(kind: type[GradcError], text: str, under: str,
                                                     message: str,
                                                    advice: str) -> None:
    error = refusal(text)
    assert type(error) is kind
    assert marked(error) == under
    assert message in str(error).splitlines()[0]
    assert advice in str(error).splitlines()[-1]


ARGS: list[tuple[Any, str]] = [
    ({"x": 3}, "args['x'] is of type int, not a text"),
    ({"x": "n" * 400}, "args['x'] has 400 characters"),
    ({"x": "int32 n"}, "there is no dtype int32 here\nWrite int or int64"),
    ({"x": "object n"}, "there is no dtype object here\nWrite float"),
    ({"x": "n + 1"}, "args['x']: + is not a dimension"),
    ({"x": "n) m"}, "args['x']: n) is not a dimension"), ({"x": "(n"}, "args['x']: (n is not a dimension"),
    ({"x": "2n"}, "args['x']: 2n is not a dimension"), ({"x": "n+"}, "args['x']: n+ is not a dimension"),
    ({"x": "n*n*n*n*n"}, "args['x']: n*n*n*n*n is not a dimension"),
    ({"x": "9" * 30}, "is not a dimension"), ({"x": "n.__class__"}, "is not a dimension"),
    ({"x": "n//0"}, "args['x']: n//0 divides by zero"), ({"x": "3-7"}, "the dimension 3-7 is negative"),
    ({"x": "n int"}, "the dimension int is a dtype, which stands first"),
    ({"x": "out"}, "the dimension out is reserved"),
    ({"x": "__n"}, "the dimension __n starts with two underscores"),
    ({3: "n"}, "the argument 3 is of type int, not a text"), ({"a b": ""}, "the argument a b is not a name"),
    ({"out": ""}, "the argument out is reserved"), ({"lambda": ""}, "lambda is a word of Python's grammar"),
    ({"x" * 300: ""}, "is longer than 200 characters"), ({"α": ""}, "is not a name"),
    (["x", "x"], "the argument x is listed twice"), (7, "args is of type int"),
    ({"n": "", "x": "n"}, "n is a dimension in args, and also an argument that is no integer"),
]


@pytest.mark.parametrize(("args", "message"), ARGS)
def test_bad_declarations_are_refused_by_name(args: Any, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse("1.0", args)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2             # what is wrong, and what to do


def test_declared_dimensions_are_read_with_the_usual_precedence() -> None:
    found = declarations({"x": "2*(n+1)//3-m n//2//2"})["x"].shape
    assert [dim.evaluate({"n": 7, "m": 2}) for dim in found] == [2 * (7 + 1) // 3 - 2, 7 // 2 // 2]


@pytest.mark.parametrize("text", [None, b"x", 3])
def test_what_is_no_text_is_refused(text: Any) -> None:
    assert "a formula is a text" in str(refusal(text))


@pytest.mark.parametrize("text", ["", " \n ; # nothing", ";;"])
def test_an_empty_formula_is_refused(text: str) -> None:
    assert "the formula is empty" in str(refusal(text))


def test_the_place_names_the_line_where_there_are_several() -> None:
    error = str(refusal("q = a\r\nr = q +\tsine(q)\nr"))
    assert error == ("there is no function sine (line 2, column 9)\n    r = q + sine(q)\n            ^^^^\n"
                     "Write sin or sinh or sinc instead.")


def test_a_long_line_is_shown_around_the_place() -> None:
    text = "a + " * 200 + "sine(a)" + " + a" * 200
    lines = str(refusal(text)).splitlines()
    assert lines[0] == "there is no function sine (column 801)"
    assert len(lines[1]) < 120
    assert marked(refusal(text)) == "sine"


def test_a_place_over_several_lines_is_marked_in_its_first() -> None:
    assert marked(refusal("q = (t\n + u)")) == "t"


def test_an_error_without_a_text_has_no_carets() -> None:
    assert pointed("", Span(0, 1), "wrong", "Do this.") == "wrong\nDo this."
    assert pointed("abc", None, "wrong") == "wrong"


def test_integers_beyond_64_bits_are_refused_where_they_stay_whole() -> None:
    assert "does not fit into 64 bits" in str(refusal("9223372036854775807 + 1"))


def test_computed_arrays_that_double_at_every_step_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula, "MAX_NODES", 200)
    monkeypatch.setattr(formula, "NODES_A_CHARACTER", 0)
    shapes: Mapping[str, str] = {"t0": "n"}
    text = ";".join(f"t{i + 1} = t{i}[::2] + t{i}[1::2]" for i in range(12))
    assert "the formula makes more than 200 nodes" in str(refusal(text, shapes))
