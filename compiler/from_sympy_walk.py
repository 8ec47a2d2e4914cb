"""The walk that converts: it runs the rules of SymPy's classes on a stack of its own.

It takes a graph, a survey of the expression, and a rule for each class, and gives the value of any node
of the expression as an operand of the graph: a node, or a Python number that takes the type of what it
meets. A node is converted once for each scope that matters to it. A rule takes the translator and a
request, asks for the values of its operands with `yield`, and returns a value; so no depth of the
user's expression is a depth of Python's. What the classes mean is left to `from_sympy_functions`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, NamedTuple

from gradc.ir.dims import Dim
from gradc.ir.errors import FormulaError, SizeError
from gradc.ir.graph import Graph, Node, affine

from .arrays import Array, ArrayError
from .bounds import Bounds
from .from_sympy_survey import READS, Survey, shown

Value = Node | int | float | bool
Guard = tuple[Node, bool]
MAX_WIDTH = 100  # terms of a sum of integers
FLIPPED = {
    "less": "greater_equal",
    "less_equal": "greater",
    "greater": "less_equal",
    "greater_equal": "less",
    "eq": "not_equal",
    "not_equal": "eq",
}
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
}


class Scope(NamedTuple):
    """Where a node stands: bound variables, the conditions that hold there, and whether in an index."""

    bound: dict[Any, Node]
    guards: tuple[Guard, ...] = ()
    integer: bool = False


class Ask(NamedTuple):
    """A request for the value of a SymPy node, or of its negative; `array` says that it may be an array."""

    expr: Any
    scope: Scope
    negated: bool = False
    array: bool = False


Steps = Generator[Ask, Value, Value]
Rule = Callable[["Translator", Ask], Generator[Ask, Any, "Value | Array"]]
Leaf = Callable[["Translator", Ask], "Value | Array"]


class Translator:
    """Puts the values of SymPy nodes into a graph; every node once for each scope that it depends on.

    `scalars` gives the node of each free symbol, `arrays` the input of each IndexedBase or matrix,
    `undeclared` those among them whose shape nobody gave. `leaves` are
    the rules of classes without operands, which answer at once.
    """

    def __init__(
        self, graph: Graph, survey: Survey, rules: Mapping[type, Rule], leaves: Mapping[type, Leaf]
    ) -> None:
        self.graph, self.survey, self.rules, self.leaves = graph, survey, rules, leaves
        self.bounds = Bounds(graph)
        self.scalars: dict[Any, Node] = {}
        self.arrays: dict[Any, Node] = {}
        self.undeclared: set[Any] = set()
        self._known: dict[Any, Value | Array] = {}
        self._widths: dict[Node, int] = {}

    def value(self, expr: Any, *, integer: bool = False) -> Value:
        """The value of an expression that the survey has seen, as a number."""
        value = self._run(Ask(expr, Scope({}, (), integer)))
        assert not isinstance(value, Array)
        return value

    def array(self, expr: Any) -> Array:
        """The same as an array, which has no axes if it is a number."""
        value = self._run(Ask(expr, Scope({}), array=True))
        return value if isinstance(value, Array) else Array(self.graph.node(value))

    def _run(self, first: Ask) -> Value | Array:
        running: list[tuple[Ask, Generator[Ask, Any, Value | Array]]] = []
        ask: Ask = first
        waiting, answer = True, None
        while True:
            if waiting:
                answer = self._answer(ask)
                if answer is None:  # not known: run its rule, which starts when it is sent None
                    running.append((ask, self._start(ask)))
            if answer is not None and isinstance(answer, Array) and not ask.array:
                answer = self._number(answer)
            if not running:
                assert answer is not None
                return answer
            try:
                ask, waiting = running[-1][1].send(answer), True
            except StopIteration as stop:
                answer, waiting = stop.value, False
                ask = running.pop()[0]
                self._known[self._key(ask)] = stop.value
            except ArrayError as error:
                raise error.error(f"{error.message} in {shown(running[-1][0].expr)}\n{error.advice}") from None

    def _number(self, array: Array) -> Node:
        """The one element of an array that stands where a number belongs."""
        zero = self.graph.const(0)
        return self.graph.substitute(array.node, dict.fromkeys(array.axes, zero))

    def _answer(self, ask: Ask) -> Value | Array | None:
        leaf = self.leaves.get(type(ask.expr))
        return self._known.get(self._key(ask)) if leaf is None else leaf(self, ask)

    def _key(self, ask: Ask) -> Any:
        bound = self.survey.bound_in(ask.expr)
        if not bound:
            return (id(ask.expr), ask.negated, ask.scope.integer)
        inside = frozenset([(v, ask.scope.bound[v].id) for v in bound if v in ask.scope.bound])
        guards = ask.scope.guards if READS in bound else ()
        return (id(ask.expr), ask.negated, ask.scope.integer, inside, guards)

    def _start(self, ask: Ask) -> Generator[Ask, Any, Value | Array]:
        expr = ask.expr
        standing = self.survey.stands_in.get(id(expr))
        if standing is not None:
            return _same(ask._replace(expr=standing))
        return self.rules[type(expr)](self, ask)

    # -- operations on values -----------------------------------------------------------------

    def apply(self, op: str, *operands: Value) -> Value:
        """An operation of the table; comparisons of two literals are decided here."""
        if op in COMPARED and not any(isinstance(o, Node) for o in operands):
            return COMPARED[op](*operands)
        return self.graph.apply(op, *operands)

    def negative(self, value: Value) -> Value:
        """The value with the other sign."""
        return self.graph.apply("neg", value) if isinstance(value, Node) else -value

    def real(self, value: Value) -> Value:
        """The value as a float."""
        if not isinstance(value, Node):
            return float(value)
        return value if value.dtype.startswith("float") else self.graph.apply("real", value)

    def plus(self, a: Value, b: Value, scope: Scope, *, minus: bool = False) -> Value:
        """A sum or difference. Integer sums are kept expanded by the graph, so their width has a limit."""
        if is_whole(a) and is_whole(b):
            width = self._width(a) + self._width(b)
            if width > MAX_WIDTH:
                if scope.integer:
                    raise SizeError(
                        f"an index or a bound has more than {MAX_WIDTH} terms: pass it as an integer "
                        "argument, or as an integer array"
                    )
                a = self.real(a)
            else:
                total = self.graph.apply("sub" if minus else "add", a, b)
                self._widths[total] = width
                return total
        return self.graph.apply("sub" if minus else "add", a, b)

    def _width(self, value: Value) -> int:
        return self._widths.get(value, 1) if isinstance(value, Node) else 0

    def times(self, a: Value, b: Value, scope: Scope) -> Value:
        """A product. Outside indices whole numbers are multiplied as floats, which do not wrap around."""
        if not scope.integer and is_whole(a) and is_whole(b):
            if isinstance(a, Node) and isinstance(b, Node):
                a = self.real(a)
            elif not isinstance(a, Node) and abs(a) > 2**31:
                a = float(a)
        return self.graph.apply("mul", a, b)

    def condition(self, value: Value) -> Value:
        """A value that is used as a condition, checked."""
        if isinstance(value, Node) and value.dtype != "bool":
            raise FormulaError("a number stands where a condition belongs: compare it, for example Ne(x, 0)")
        return value

    def under(self, scope: Scope, condition: Value, holds: bool) -> Scope:
        """The scope of what is evaluated only where a condition holds (or fails)."""
        if not isinstance(condition, Node) or (condition, holds) in scope.guards:
            return scope
        return scope._replace(guards=(*scope.guards, (condition, holds)))

    def opposite(self, condition: Node) -> Node:
        """Where a condition fails; a comparison of integers turns round (floats have NaN)."""
        if condition.op in FLIPPED and all(a.dtype == "int64" for a in condition.args):
            return self.graph.apply(FLIPPED[condition.op], *condition.args)
        return self.graph.apply("not", condition)

    def guards(self, scope: Scope) -> list[Node]:
        """The conditions of a scope as nodes."""
        return [node if holds else self.opposite(node) for node, holds in scope.guards]

    def dimension(self, value: Value, what: str) -> Dim:
        """A whole number without indices as a dimension; FormulaError names `what` it is for."""
        if isinstance(value, int) and not isinstance(value, bool):
            return Dim.of(value)
        if isinstance(value, Node) and value.dtype == "int64":
            atoms, offset = affine(value)
            if not atoms:
                return offset
        raise FormulaError(
            f"{what} must be made of whole numbers and integer symbols with + - * and floor(a/b)"
        )


def values_of(exprs: Iterable[Any], scope: Scope) -> Generator[Ask, Value, list[Value]]:
    """The values of several operands."""
    found = []
    for expr in exprs:
        value = yield Ask(expr, scope)
        found.append(value)
    return found


def is_whole(value: Value) -> bool:
    """Whether a value is an integer."""
    return value.dtype == "int64" if isinstance(value, Node) else type(value) is int


def _same(ask: Ask) -> Steps:
    return (yield ask)
