"""Table entries: arithmetic, comparison, choice and rounding.

The kinks are decided here (DESIGN: at kinks): abs' is 0 at 0, max and min share the gradient
equally among ties of their non-constant operands and give a constant nothing, relu' is 0 at 0,
clip's derivative is 0 at and beyond a bound, floor, sign and comparisons have derivative zero by
definition. What an operand that was not chosen would contribute is a strong zero (`Guarded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from .table import ADD, AND, COMPARE, MULTIPLY, NOT, OR, POWER, TERNARY, UNARY, ZERO, Guarded, entry

if TYPE_CHECKING:
    from .graph import Node, Vocabulary

ANY = (-50.0, 50.0)
POSITIVE = (1e-3, 50.0)


def _variadic(function: str) -> Any:
    return lambda np, *args: reduce(getattr(np, function), args)


def _is_one(node: Node) -> bool:
    return node.op == "const" and bool(node.value == 1.0)


entry("add", 2, numpy="add", exact=lambda mp, a, b: a + b, spelling="{0} + {1}", precedence=ADD,
      partials=lambda o, y, a, b: [o.const(1.0), o.const(1.0)], result="real", formula=(),
      domain=(ANY, ANY))
entry("sub", 2, numpy="subtract", exact=lambda mp, a, b: a - b, spelling="{0} - {1}", precedence=ADD,
      partials=lambda o, y, a, b: [o.const(1.0), o.const(-1.0)], result="real", formula=(),
      domain=(ANY, ANY))
entry("mul", 2, numpy="multiply", exact=lambda mp, a, b: a * b, spelling="{0} * {1}",
      precedence=MULTIPLY, partials=lambda o, y, a, b: [b, a], result="real", formula=(),
      domain=(ANY, ANY))
entry("div", 2, numpy="true_divide", exact=lambda mp, a, b: a / b, spelling="{0} / {1}",
      precedence=MULTIPLY, formula=(), domain=(ANY, POSITIVE),
      partials=lambda o, y, a, b: [1.0 / b, -(y * y) if _is_one(a) else -(y / b)])
entry("floordiv", 2, numpy="floor_divide", exact=lambda mp, a, b: mp.floor(a / b),
      spelling="{0} // {1}", precedence=MULTIPLY, partials=ZERO, result="real", formula=(),
      domain=(ANY, POSITIVE), note="derivative zero by definition",
      kink=lambda o, y, a, b: o.eq(o.mod(a, b), 0.0))
entry("mod", 2, numpy="mod", exact=lambda mp, a, b: a - b * mp.floor(a / b), spelling="{0} % {1}",
      precedence=MULTIPLY, result="real", formula=("mod",), domain=(ANY, POSITIVE), sympy=("Mod",),
      partials=lambda o, y, a, b: [o.const(1.0), -o.floordiv(a, b)],
      kink=lambda o, y, a, b: o.eq(y, 0.0),
      note="the sign follows the divisor, as in Python; a jump counts as smooth")


def _pow_partials(o: Vocabulary, y: Node, x: Node, n: Node) -> Sequence[Node | Guarded | None]:
    if n.op == "const":
        exponent = float(n.value)
        if exponent == 0.0:
            return [None, None]
        if exponent == 2.0:
            return [2.0 * x, None]
        less = exponent - 1.0
        whole = less + 1.0 == exponent and exponent - less == 1.0  # the subtraction was exact
        return [exponent * (o.pow(x, less) if whole else o.pow_less(x, exponent, 1)), None]
    # x**n log x tends to 0 with x for n > 0, where the product would be 0 * -inf.
    by_exponent = Guarded(y * o.log(x), o.not_(o.and_(o.eq(x, 0.0), o.greater_equal(n, 0.0))))
    return [Guarded(n * o.pow_less(x, n, 1), o.not_equal(n, 0.0)), by_exponent]


def _pow_less_numpy(np: Any, x: Any, n: Any, k: Any) -> Any:
    """x**(n - k) with what the difference rounds away brought back, as the kernel has it."""
    less = n - k
    back = less - n
    lost = (n - (less - back)) - (k + back)
    size = np.where((np.abs(x) > 0) & (np.abs(x) < np.inf), np.abs(x), 1.0)
    return np.power(x, less) * (1.0 + np.where(lost == 0, 0.0, lost * np.log(size)))


entry("pow", 2, numpy="power", exact=lambda mp, a, b: mp.power(a, b), spelling="{0} ** {1}",
      precedence=POWER, is_function=True, partials=_pow_partials, formula=("pow",), result="real", sympy=("Pow",),
      domain=(POSITIVE, (-5.0, 5.0)),
      edges={(0.0, 2.0): (0.0, (0.0, 0.0)), (0.0, 1.0): (0.0, (1.0, 0.0)), (2.0, 0.0): (1.0, (0.0, None))},
      note="d/dy at x = 0 is 0 for y >= 0; no derivative by y at x < 0 (nan)")
entry("pow_less", 3, internal=True, imports="kernels", numpy=_pow_less_numpy, result="float",
      exact=lambda mp, x, n, k: mp.power(x, n - k), integers=(2,), domain=(POSITIVE, (-5.0, 5.0), (1, 2)),
      partials=lambda o, y, x, n, k: [
          (n - k) * o.pow_less(x, n, k + 1), Guarded(y * o.log(x), o.not_equal(x, 0.0)), None],
      edges={(0.0, 1.0, 1): (1.0, (None, None, None)), (2.0, 3.0, 1): (4.0, (4.0, None, None))},
      note="x**(n - k): the rounding of n - k alone costs hundreds of ulp at small x")
entry("neg", 1, numpy="negative", exact=lambda mp, x: -x, spelling="-{0}", precedence=UNARY,
      partials=lambda o, y, x: [o.const(-1.0)], result="real", formula=(), domain=(ANY,))
entry("abs", 1, numpy="abs", exact="fabs", partials=lambda o, y, x: [o.sign(x)], result="real",
      formula=("abs", "fabs"), sympy=("Abs",), domain=(ANY,), edges={(0.0,): (0.0, (0.0,))},
      kink=lambda o, y, x: o.eq(x, 0.0), note="abs'(0) = 0")
entry("sign", 1, exact="sign", partials=ZERO, imports="numpy", is_function=False, result="real", sympy=("sign",),
      domain=(ANY,), edges={(0.0,): (0.0, (0.0,))}, kink=lambda o, y, x: o.eq(x, 0.0),
      note="derivative zero by definition")
for _name, _exact in (("floor", "floor"), ("ceil", "ceil")):
    entry(_name, 1, exact=_exact, partials=ZERO, imports="numpy", is_function=False, formula=(_name,) + (
              ("ceiling",) if _name == "ceil" else ()),
          sympy=("floor",) if _name == "floor" else ("ceiling",), domain=(ANY,),
          kink=lambda o, y, x: o.eq(y, x), note="derivative zero by definition")
entry("trunc", 1, exact=lambda mp, x: mp.floor(x) if x >= 0 else mp.ceil(x), partials=ZERO,
      imports="numpy", is_function=False, domain=(ANY,), formula=("trunc", "fix"),
      kink=lambda o, y, x: o.and_(o.eq(y, x), o.not_equal(x, 0.0)),
      note="derivative zero by definition")
entry("round", 1, numpy="rint", exact="nint", partials=ZERO, spelling="rint({0})", imports="numpy",
      is_function=False, formula=("round", "rint"), domain=(ANY,), kink=lambda o, y, x: o.eq(o.abs(x - y), 0.5),
      note="half to even; derivative zero by definition")


def _extremum(beats: str) -> Any:
    """Equal shares among ties of non-constant operands; a tie with a constant gives 0."""

    def partials(o: Vocabulary, y: Node, *args: Node) -> Sequence[Node | Guarded | None]:
        varying = [a for a in args if a.op != "const"]
        constants = [a for a in args if a.op == "const"]
        ahead = [getattr(o, beats)(y, c) for c in constants]
        hits = {a: o.eq(a, y) for a in varying}
        ties = [o.select(hits[a], 1.0, 0.0) for a in varying]
        share = 1.0 / reduce(lambda s, t: s + t, ties) if len(ties) > 1 else o.const(1.0)
        result: list[Node | Guarded | None] = []
        for a in args:
            if a.op == "const":
                result.append(None)
            else:
                conditions = ahead + ([hits[a]] if len(varying) > 1 else [])
                result.append(Guarded(share, reduce(o.and_, conditions)) if conditions else share)
        return result

    return partials


def _tie(o: Vocabulary, y: Node, *args: Node) -> Node:
    ties = [o.select(o.eq(a, y), 1.0, 0.0) for a in args]
    return o.greater(reduce(lambda s, t: s + t, ties), 1.0)


for _name, _function, _beats in (("max", "maximum", "greater"), ("min", "minimum", "less")):
    entry(_name, None, numpy=_variadic(_function), spelling=_function + "({0}, {1})", imports="numpy",
          is_function=False, exact=(lambda mp, *args: max(args)) if _name == "max" else (lambda mp, *args: min(args)),
          partials=_extremum(_beats), result="real", formula=(_name, _function), domain=(ANY, ANY),
          sympy=("Max",) if _name == "max" else ("Min",),
          edges={(1.0, 1.0): (1.0, (0.5, 0.5)), (1.0, 1.0, 1.0): (1.0, (1 / 3, 1 / 3, 1 / 3))},
          kink=_tie, note="ties of non-constant operands share equally, a constant gets nothing; "
                          "a NaN operand gives NaN")
entry("relu", 1, numpy=lambda np, x: np.maximum(x, 0), exact=lambda mp, x: max(x, mp.mpf(0)),
      spelling="maximum({0}, 0.0)", imports="numpy", is_function=False, formula=("relu",), domain=(ANY,),
      result="real",
      partials=lambda o, y, x: [Guarded(o.const(1.0), o.greater(x, 0.0))],
      kink=lambda o, y, x: o.eq(x, 0.0), edges={(0.0,): (0.0, (0.0,))}, note="relu'(0) = 0")
entry("clip", 3, numpy=lambda np, x, low, high: np.minimum(np.maximum(x, low), high),
      exact=lambda mp, x, low, high: min(max(x, low), high),
      spelling="minimum(maximum({0}, {1}), {2})", imports="numpy", is_function=False, result="real",
      partials=lambda o, y, x, low, high: [
          Guarded(o.const(1.0), o.and_(o.greater(x, low), o.less(x, high))),
          Guarded(o.const(1.0), o.and_(o.less(x, low), o.less(low, high))),
          Guarded(o.const(1.0), o.greater_equal(o.max(x, low), high))],
      domain=(ANY, (-30.0, -10.0), (10.0, 30.0)), edges={(-1.0, -1.0, 1.0): (-1.0, (0.0, None, None))},
      kink=lambda o, y, x, low, high: o.or_(o.eq(x, low), o.eq(x, high)),
      note="the derivative by x is 0 at and beyond a bound")

_COMPARISONS = (
    ("less", "<", ("StrictLessThan",)), ("less_equal", "<=", ("LessThan",)),
    ("greater", ">", ("StrictGreaterThan",)), ("greater_equal", ">=", ("GreaterThan",)),
    ("eq", "==", ("Equality",)), ("not_equal", "!=", ("Unequality",)),
)
_EXACT: dict[str, Any] = {
    "<": lambda mp, a, b: a < b, "<=": lambda mp, a, b: a <= b, ">": lambda mp, a, b: a > b,
    ">=": lambda mp, a, b: a >= b, "==": lambda mp, a, b: a == b, "!=": lambda mp, a, b: a != b,
}
for _name, _sign, _classes in _COMPARISONS:
    entry(_name, 2, numpy="equal" if _name == "eq" else _name, exact=_EXACT[_sign],
          spelling=f"{{0}} {_sign} {{1}}", precedence=COMPARE, partials=ZERO, result="bool", formula=(),
          sympy=_classes, domain=(ANY, ANY), note="a truth value: derivative zero by definition")
entry("and", 2, numpy="logical_and", exact=lambda mp, a, b: bool(a) and bool(b),
      spelling="{0} and {1}", precedence=AND, partials=ZERO, result="bool", formula=(),
      note="a truth value")
entry("or", 2, numpy="logical_or", exact=lambda mp, a, b: bool(a) or bool(b), spelling="{0} or {1}",
      precedence=OR, partials=ZERO, result="bool", formula=(), note="a truth value")
entry("not", 1, numpy="logical_not", exact=lambda mp, a: not a, spelling="not {0}", precedence=NOT,
      partials=ZERO, result="bool", formula=(), sympy=("Not",), note="a truth value")
entry("isfinite", 1, numpy="isfinite", exact="isfinite", imports="numpy", is_function=False, partials=ZERO,
      result="bool", note="a truth value")
entry("isnan", 1, numpy="isnan", exact="isnan", imports="numpy", is_function=False, partials=ZERO,
      result="bool", note="a truth value")
entry("select", 3, numpy="where", exact=lambda mp, c, a, b: a if c else b, result="real",
      spelling="{1} if {0} else {2}", precedence=TERNARY, formula=("where",), domain=(),
      partials=lambda o, y, c, a, b: [None, Guarded(o.const(1.0), c), Guarded(o.const(1.0), o.not_(c))],
      note="the branch that is not taken gets a strong zero")
entry("detach", 1, numpy="positive", exact=lambda mp, x: x, partials=ZERO, spelling="{0}",
      result="real", internal=True, note="the value, with derivative zero (a shift that cancels)")
entry("stop_gradient", 1, numpy="positive", exact=lambda mp, x: x, partials=ZERO, spelling="{0}",
      result="real", domain=(ANY,), note="the value, a constant for every derivative: derivative zero by definition")
entry("with_partials", None, numpy=lambda np, value, *rest: np.broadcast_arrays(value, *rest)[0],
      exact=lambda mp, value, *rest: value, result="real", internal=True, precedence=TERNARY,
      spelling="{0} if True else {1}",     # it is settled before anything is printed
      partials=lambda o, y, value, *rest: [
          None, *rest[len(rest) // 2:len(rest) // 2 * 2], *(len(rest) + 1) // 2 * [None]],
      note="an operation of the user's own: the value, the operands, then the partial derivative by each of them; "
           "what has none has derivative zero")
for _dtype in ("float32", "float64"):
    entry(_dtype, 1, numpy=_dtype, exact=lambda mp, x: x, spelling=_dtype + "({0})", imports="numpy", result=_dtype,
          is_function=False, partials=lambda o, y, x: [o.const(1.0)], internal=True,
          note="the value in this precision; its adjoint is cast back to that of the operand")
entry("truncated", 1, numpy=lambda np, x: x.astype(np.int64), exact=lambda mp, x: int(x), imports="kernels",
      is_function=False, result="int", partials=ZERO, internal=True, domain=(ANY,),
      kink=lambda o, y, x: o.eq(o.trunc(x), x),
      note="cut to a whole number, as NumPy's astype does it; derivative zero by definition")
entry("real", 1, numpy=lambda np, x: np.multiply(x, 1.0), exact=lambda mp, x: x,
      spelling="float({0})", partials=lambda o, y, x: [o.const(1.0)], internal=True,
      note="an integer or truth value as a float")
