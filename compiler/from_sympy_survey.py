"""What a SymPy expression consists of, found in one walk before anything is converted.

It takes the expression and gives its symbols with the role of each (a number, an integer, a truth
value), its arrays, which bound variables every node depends on, and the expressions that stand in for
derivatives and substitutions. What has no meaning in gradc is refused here, by name. The walk keeps its
own stack and looks at `.args` alone: SymPy's own walks recurse, so they are kept to small nodes. Nothing
is converted; that is left to `from_sympy_functions`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.logic.boolalg import BooleanFunction
from sympy.matrices.expressions.matexpr import MatrixElement, MatrixExpr
from sympy.stats.rv import RandomSymbol
from sympy.tensor.array.expressions.array_expressions import ArrayElement
from sympy.tensor.indexed import Idx, Indexed, IndexedBase

from gradc.ir.errors import FormulaError, UnsupportedError

from .from_sympy_parts import ARRAY_SYMBOLS, ARRAYS, NAMED_ARRAYS, PARTS, Parts

Bound = frozenset[Any]
NOTHING: Bound = frozenset()
READS = "reads"  # among the bound variables of a node: it reads an array, so the guards matter to it
SHOWN = 80  # characters of an expression that a message shows
SMALL = 200  # nodes of an expression that SymPy may print,
DEEP = 30  # and its nesting: SymPy prints by recursion
SUMS = (sympy.Sum, sympy.Product)
TRANSPARENT = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Mod, sympy.Min, sympy.Max, sympy.Abs)

NUMBER = (
    "is a matrix, and a number belongs here: take an element M[i, j], Trace(M) or Determinant(M); for a function "
    "of every element write M.applyfunc(f) or HadamardPower(M, p)"
)
MATRIX = (
    "is a matrix expression that has no meaning in gradc: write it by sums, products, powers, Transpose, Inverse, "
    "HadamardProduct, or make it explicit with .as_explicit()"
)
_ADVICE: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (AppliedUndef, ("is an undefined function: put its formula in its place, expr.subs({shown}, ...)",)),
    (UndefinedFunction, ("is an undefined function: put its formula in its place with expr.replace",)),
    (sympy.Integral, ("is an integral: evaluate it first with .doit(), or approximate it by a Sum",)),
    (sympy.Limit, ("is a limit: evaluate it first with .doit()",)),
    (sympy.Order, ("is the order of a remainder: drop it with .removeO()",)),
    (sympy.Lambda, ("is a function without arguments: call it, {shown}(...)",)),
    (sympy.Poly, ("is a polynomial object: give its expression, .as_expr()",)),
    (
        type(sympy.I),
        (
            "makes the result complex: gradc computes with real numbers; split the expression",
            "with .as_real_imag() and compile both parts",
        ),
    ),
    (type(sympy.zoo), ("is complex infinity, the result of a division by zero: correct the expression",)),
    (type(sympy.nan), ("is not a number: correct the expression that gave it",)),
    (
        sympy.DiracDelta,
        (
            "has no value at 0: gradc's derivative of sign and Heaviside is 0, so drop this",
            "term, or compile the expression before SymPy's diff and use .grad",
        ),
    ),
    (sympy.LambertW, ("has no operation in gradc: solve w*exp(w) = x for w by Newton's method outside",)),
    (sympy.arg, ("is the angle of a complex number: for real x and y write atan2(y, x)",)),
    (RandomSymbol, ("is a random variable: compile its density, sympy.stats.density(...)(x)",)),
    (sympy.MatrixBase, ("is a matrix inside an expression: give the matrix itself, or a tuple",)),
    (MatrixExpr, (MATRIX,)),
    (sympy.NDimArray, ("is an array of expressions inside an expression: give the array itself",)),
    (sympy.Contains, ("is a condition on a set: write it as inequalities, .as_relational(x)",)),
    (sympy.Set, ("is a set, which has no value: write conditions with And, Or and inequalities",)),
    (IndexedBase, ("is an array without an index: write {shown}[i], inside a Sum over i",)),
    (str, ("is a string: SymPy would evaluate it; pass a formula string to gradc.compile by itself",)),
)


def measure(expr: Any, limit: int = SMALL) -> int:
    """The number of nodes of the expression as a tree; `limit` if there are more, or it is too DEEP."""
    stack, count = [(expr, 0)], 0
    while stack and count < limit:
        item, depth = stack.pop()
        if depth > DEEP:
            return limit
        count += 1
        args = item.args if isinstance(item, sympy.Basic) else ()
        stack.extend((arg, depth + 1) for arg in args[: limit - count])
    return count


def shown(expr: Any, length: int = SHOWN) -> str:
    """A short text of an expression for a message: printed only if it is small, on one line."""
    if measure(expr) >= SMALL:
        return f"a large {type(expr).__name__}"
    try:
        text = str(expr)
    except ValueError:  # Python prints no integer of more than 4300 digits
        return f"(a {type(expr).__name__} with too many digits to show)"
    return printable(text, length)


def printable(text: str, length: int = 40) -> str:
    """Text of a user, such as a name, on one line and of bounded length."""
    start = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:length])
    return start if len(text) <= length and len(start) <= length else start[: length - 3] + "..."


def refuse(expr: Any) -> NoReturn:
    """Raise the UnsupportedError for an expression that has no meaning in gradc."""
    for kind, advice in _ADVICE:
        if isinstance(expr, kind):
            said = " ".join(advice).replace("{shown}", shown(expr, 30))
            raise UnsupportedError(f"{shown(expr)} {said}")
    if any(isinstance(arg, (MatrixExpr, sympy.MatrixBase)) for arg in getattr(expr, "args", ())):
        raise UnsupportedError(f"{shown(expr)} {MATRIX}")
    if isinstance(expr, sympy.Function):
        raise UnsupportedError(
            f"the function {type(expr).__name__}, in {shown(expr)}, has no operation in "
            "gradc: rewrite it by functions that have one, expr.rewrite(...), or by its "
            "definition"
        )
    if isinstance(expr, sympy.Basic):
        raise UnsupportedError(
            f"{shown(expr)} is a SymPy {type(expr).__name__}, which has no meaning in "
            "gradc: give a real expression, a condition, a Matrix, or a tuple of them"
        )
    raise UnsupportedError(
        f"a {type(expr).__name__} is not a SymPy expression: give a SymPy expression, a "
        "Matrix, or a tuple of them; a formula string or a Python function goes to "
        "gradc.compile by itself"
    )


def symbol_name(symbol: Any) -> str:
    """The user's name of a Symbol, an Idx, an IndexedBase, a MatrixSymbol or an ArraySymbol, as data."""
    label = symbol.label if isinstance(symbol, (Idx, IndexedBase)) else symbol
    return str(label.name) if isinstance(label, (sympy.Symbol, *ARRAY_SYMBOLS)) else str(label)


class Survey:
    """One walk over expressions, and what it found.

    order      every node once, operands before users (it also keeps them alive, so ids stay valid)
    scalars    free symbols (Symbol, Dummy, Idx) in the order in which they were met
    arrays     each IndexedBase, MatrixSymbol and ArraySymbol and its number of indices
    integers   symbols and arrays that stand where an integer belongs: in an index, a bound, a shape
    truths     symbols that stand where a truth value belongs
    numbers    symbols that stand where a number belongs
    places  id -> place in the order: what a function is made of comes before it
    stands_in  id -> what a Derivative or a Subs evaluates to
    parts      id -> what a matrix or an array of expressions consists of
    """

    def __init__(self, roots: Sequence[Any], known: Collection[type]) -> None:
        self.known = known
        self.order: list[Any] = []
        self.places: dict[int, int] = {}
        self.arrays: dict[Any, int] = {}
        self.integers: set[Any] = set()
        self.truths: set[Any] = set()
        self.numbers: set[Any] = {root for root in roots if _is_symbol(root)}
        self.stands_in: dict[int, Any] = {}
        self.parts: dict[int, Parts] = {}
        self._symbols: dict[Any, None] = {}
        self._variables: set[Any] = set()
        self._bound: dict[int, Bound] = {}
        self._walk(roots)
        self._find_bound()
        free = frozenset().union(*(self.bound_in(root) for root in roots))
        self.scalars = [s for s in self._symbols if s not in self._variables or s in free]

    def bound_in(self, expr: Any) -> Bound:
        """The bound variables on which a node depends (and READS if it reads an array)."""
        return self._bound.get(id(expr), NOTHING)

    # -- the walk -----------------------------------------------------------------------------

    def _walk(self, roots: Iterable[Any]) -> None:
        seen: set[int] = set()
        stack: list[tuple[Any, bool]] = [(root, False) for root in reversed(list(roots))]
        while stack:
            expr, finished = stack.pop()
            if finished:
                self.places[id(expr)] = len(self.order)
                self.order.append(expr)
            elif id(expr) not in seen:
                seen.add(id(expr))
                stack.append((expr, True))
                stack.extend((child, False) for child in reversed(self._visit(expr)))

    def _visit(self, expr: Any) -> Sequence[Any]:
        """Note what one node says, and give its operands."""
        kind = type(expr)
        if _is_symbol(expr):
            self._check_symbol(expr)
            self._symbols.setdefault(expr)
            if isinstance(expr, Idx):
                self._note_integers(expr.args[1:])
            return self._shape_of(expr)
        if kind not in self.known:
            refuse(expr)
        if kind in PARTS:
            return self._visit_array(expr, PARTS[kind](expr))
        if kind is sympy.Derivative or kind is sympy.Subs:
            self.stands_in[id(expr)] = evaluated(expr)
            return (self.stands_in[id(expr)],)
        if kind is Indexed:
            return self._visit_indexed(expr)
        if kind in SUMS:
            return self._visit_sum(expr)
        if kind is sympy.KroneckerDelta and len(expr.args) > 2:
            raise UnsupportedError(
                f"{shown(expr)} has a range: give KroneckerDelta(i, j), and the range in the Sum"
            )
        operands = operands_of(expr)
        if kind is sympy.Piecewise:  # a branch that is nan says "undefined there", as a missing branch does
            operands = [o for p, o in enumerate(operands) if p % 2 or o is not sympy.nan]
        self._check_numbers(operands)
        truth = isinstance(expr, BooleanFunction)
        conditions = {id(pair.cond) for pair in expr.args} if kind is sympy.Piecewise else ()
        for child in operands:
            if _is_symbol(child):
                (self.truths if truth or id(child) in conditions else self.numbers).add(child)
        return operands

    def _visit_array(self, expr: Any, parts: Parts) -> Sequence[Any]:
        """A matrix, an array, or what makes a number of them."""
        self.parts[id(expr)] = parts
        self._note_integers(parts.integers)
        self._variables.update(parts.variables)
        if isinstance(expr, ARRAY_SYMBOLS):
            self.arrays.setdefault(expr, len(expr.shape))
        self._check_numbers(parts.numbers)
        self.numbers.update(child for child in parts.operands if _is_symbol(child))
        return parts.operands

    def _check_numbers(self, operands: Iterable[Any]) -> None:
        """Refuse a matrix where a number belongs; one by one element counts as its element."""
        for child in operands:
            if isinstance(child, (sympy.MatrixBase, sympy.NDimArray)):
                refuse(child)
            if isinstance(child, ARRAYS) and tuple(child.shape) not in ((), (1, 1)):
                raise UnsupportedError(f"{shown(child)} {NUMBER}")

    def _visit_indexed(self, expr: Any) -> Sequence[Any]:
        base = expr.base
        if isinstance(base, sympy.NDimArray):
            return self._visit_array(expr, Parts((base, *expr.indices), integers=expr.indices))
        if not isinstance(base, IndexedBase):
            raise UnsupportedError(
                f"{shown(expr)} takes an element of {shown(base)}: gradc reads elements of "
                "an IndexedBase only; pass the values as an argument"
            )
        if base.offset != 0 or base.strides is not None:
            raise UnsupportedError(
                f"the IndexedBase {shown(base)} has an offset or strides: write them into the index"
            )
        rank = self.arrays.setdefault(base, len(expr.indices))
        if rank != len(expr.indices):
            raise FormulaError(
                f"{printable(symbol_name(base))} is used with {rank} and with {len(expr.indices)} indices: "
                f"see {shown(expr)}"
            )
        self._check_symbol(base)
        self._note_integers(expr.indices)
        return [*expr.indices, *self._shape_of(base)]

    def _visit_sum(self, expr: Any) -> Sequence[Any]:
        children = [expr.function]
        self._check_numbers(children)
        if _is_symbol(expr.function):
            self.numbers.add(expr.function)
        for variable, lower, upper in limits_of(expr):
            self._variables.add(variable)
            self._note_integers((lower, upper))
            children += [lower, upper]
        return children

    def _shape_of(self, expr: Any) -> Sequence[Any]:
        shape = expr.args[1:] if isinstance(expr, (Idx, IndexedBase)) else ()
        dims = [dim for part in shape for dim in (part.args if isinstance(part, sympy.Tuple) else (part,))]
        self._note_integers(dims)
        return [d for d in dims if not isinstance(d, (type(sympy.oo), type(-sympy.oo)))]

    def _note_integers(self, exprs: Iterable[Any]) -> None:
        """Mark the symbols and arrays that an index or a bound is made of: they are integers."""
        stack, seen = list(exprs), set()
        while stack:
            expr = stack.pop()
            if id(expr) in seen:
                continue
            seen.add(id(expr))
            if _is_symbol(expr):
                self.integers.add(expr)
            elif isinstance(expr, (Indexed, MatrixElement, ArrayElement)):
                if isinstance(expr.args[0], NAMED_ARRAYS):
                    self.integers.add(expr.args[0])
            elif isinstance(expr, (*TRANSPARENT, sympy.Tuple)):
                stack.extend(expr.args)

    def _check_symbol(self, symbol: Any) -> None:
        name = symbol_name(symbol)
        if symbol.is_commutative is False:
            raise UnsupportedError(
                f"the symbol {printable(name)} is noncommutative: gradc computes with real numbers; make "
                "it an ordinary symbol"
            )
        if isinstance(symbol, sympy.Symbol):
            complex_valued = symbol.is_real is None and symbol.assumptions0.get("complex")
            if symbol.is_real is False or complex_valued:
                raise UnsupportedError(
                    f"the symbol {printable(name)} is declared complex, imaginary or infinite: gradc "
                    "computes with real numbers; split the expression into real and "
                    "imaginary parts with real symbols"
                )

    # -- bound variables ----------------------------------------------------------------------

    def _find_bound(self) -> None:
        for expr in self.order:
            found = self._bound_of(expr)
            if found:
                self._bound[id(expr)] = found

    def _bound_of(self, expr: Any) -> Bound:
        if _is_symbol(expr):
            return frozenset((expr,)) if expr in self._variables else NOTHING
        if type(expr) in SUMS:
            found = self.bound_in(expr.function)
            for variable, lower, upper in limits_of(expr):
                found = (found - {variable}) | self.bound_in(lower) | self.bound_in(upper)
            return found
        found = NOTHING
        parts = self.parts.get(id(expr))
        if isinstance(expr, (Indexed, MatrixElement, ArrayElement)):
            found = frozenset((READS,))
            children: Iterable[Any] = expr.indices if parts is None else parts.operands
        elif parts is not None:
            children = parts.operands
        else:
            standing = self.stands_in.get(id(expr))
            children = operands_of(expr) if standing is None else (standing,)
        for child in children:
            more = self._bound.get(id(child))
            if more is not None and not more <= found:
                found = more | found
        return found if parts is None or not parts.variables else found - frozenset(parts.variables)


def _is_symbol(expr: Any) -> bool:
    return isinstance(expr, (sympy.Symbol, Idx)) and not isinstance(expr, RandomSymbol)


def operands_of(expr: Any) -> Sequence[Any]:
    """The operands of a node; a Piecewise gives value, condition, value, condition, ..."""
    if isinstance(expr, sympy.Piecewise):
        return [part for pair in expr.args for part in (pair.expr, pair.cond)]
    args: Sequence[Any] = expr.args
    return args


def limits_of(expr: ExprWithLimits) -> list[tuple[Any, Any, Any]]:
    """The limits (variable, lower, upper) of a Sum or a Product, the innermost first."""
    limits = [tuple(limit) for limit in expr.limits]
    if any(lower.is_infinite or upper.is_infinite for _, lower, upper in limits):
        raise UnsupportedError(
            f"{shown(expr)} is infinite: give it finite bounds, or its closed form with .doit()"
        )
    return limits


def evaluated(expr: Any) -> Any:
    """What a Derivative or a Subs stands for; it is SymPy that differentiates here, by recursion.

    Plain symbols are made real for the time, so that |x| has the derivative sign(x) and not one in
    real and imaginary parts. Matrices are refused: SymPy takes many of their derivatives for 0.
    """
    if isinstance(expr, sympy.Derivative) and expr.has(MatrixExpr, sympy.Trace, sympy.Determinant, *ARRAY_SYMBOLS):
        raise UnsupportedError(
            f"{shown(expr)} is a derivative of matrices, which SymPy may take for 0: compile the expression itself "
            "and use .grad"
        )
    try:
        plain = {
            s: sympy.Dummy(s.name, real=True)
            for s in expr.free_symbols
            if isinstance(s, sympy.Symbol) and s.is_real is None and s.is_commutative
        }
        real = expr.xreplace(plain)
        if isinstance(real, sympy.Subs) and not real.expr.has(sympy.Derivative):
            result = real.expr.subs(list(zip(real.variables, real.point, strict=True)))
        else:
            result = real.doit(deep=False) if isinstance(real, (sympy.Derivative, sympy.Subs)) else real
        result = result.xreplace({dummy: s for s, dummy in plain.items()})
    except RecursionError:
        raise UnsupportedError(
            f"SymPy cannot evaluate {shown(expr)}, it is too deep: compile the expression "
            "itself and use .grad"
        ) from None
    except (ValueError, TypeError, NotImplementedError, AttributeError) as error:
        raise UnsupportedError(
            f"SymPy cannot evaluate {shown(expr)} ({error}): compile the expression itself and use .grad"
        ) from error
    if type(result) is type(expr) and result == expr:
        functions = sorted(shown(f) for f in expr.atoms(AppliedUndef))
        if functions:
            raise UnsupportedError(
                f"{shown(expr)} is a derivative of the undefined function {functions[0]}: put "
                "its formula in its place"
            )
        raise UnsupportedError(
            f"SymPy leaves {shown(expr)} unevaluated: compile the expression itself and use .grad"
        )
    return result
