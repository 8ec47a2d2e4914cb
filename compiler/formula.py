"""The string front end: a formula in Python's expression syntax becomes a graph.

`parse` takes the text and the declarations of arguments, and gives the user's graph with outputs, names,
places and checks. The tree of each statement is walked with an explicit stack: a handler is a Python
generator that yields the operands it needs and returns an `Array`, so depth costs no recursion. Only the
node kinds listed here have a meaning; nothing is evaluated. Calls and generators are in `formula_calls`,
indices in `indexing`, limits and syntax errors in `syntax`, arrays in `arrays`, reads proved in `bounds`.

Names: an index of an enclosing generator, else a value named before, else an argument, else a dimension,
else a constant. `pi`, `e` and `inf` are constants only if no argument is so declared and no statement
assigns the name: in `e = sin(e) * e` the `e` on the right is an argument.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from gradc.ir.collecting import put_off
from gradc.ir.errors import FormulaError, GradcError, GraphError, ShapeError, SizeError, UnsupportedError
from gradc.ir.graph import Graph, Node

from . import formula_arrays, formula_calls, indexing
from .arrays import Array, ArrayError, Arrays
from .bounds import Bounds, check_reads
from .gathered import settle
from .names import Usage, usage
from .numpy_dtypes import Promotion
from .shapes import Arguments, Declaration, declarations
from .syntax import Statement, another_name, check_name, refuse, statements

if TYPE_CHECKING:
    from .operation import Operation

Step = Generator[ast.expr, Array, Array]

CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf}
MAX_NODES, NODES_A_CHARACTER = 20_000, 40    # indexing computed arrays can double them

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv",
    ast.Mod: "mod", ast.Pow: "pow",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal", ast.Eq: "eq",
    ast.NotEq: "not_equal",
}
_OTHER_OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.BitAnd: ("&", "Write and between conditions."), ast.BitOr: ("|", "Write or between conditions."),
    ast.BitXor: ("^", "Write ** for a power, a != b for an exclusive or."),
    ast.Invert: ("~", "Write not before a condition."),
    ast.LShift: ("<<", "Write * 2**k."), ast.RShift: (">>", "Write // 2**k."),
    ast.Is: ("is", "Write == to compare."), ast.IsNot: ("is not", "Write != to compare."),
    ast.In: ("in", "Write a == b or a == c; in belongs to generators: for i in range(n)."),
    ast.NotIn: ("not in", "Write a != b and a != c."),
}
_OTHER_NODES: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lambda: ("a function (lambda)", "Write the expression itself."),
    ast.List: ("a list", "Write f(a, b) for operands, a tuple (a, b) at the end for several outputs."),
    ast.ListComp: ("a list comprehension", "Write it in a reduction: sum(f(i) for i in range(n))."),
    ast.Tuple: ("a tuple", "Several outputs stand only in the last line: f, g."),
    ast.Starred: ("* before an operand", "Write the operands one by one."),
    ast.GeneratorExp: ("a generator outside a reduction", "Write sum(... for i in range(n)), or prod."),
    ast.Slice: ("a slice outside an index", "Write x[a:b]."),
    ast.Attribute: ("an attribute", "Write the value itself."),
    ast.Await: ("await", "Write the expression itself."),
    ast.Yield: ("yield", "Write the expression itself."),
    ast.YieldFrom: ("yield", "Write the expression itself."),
}


@put_off()
def parse(text: str, args: Arguments = None, operations: Mapping[str, Operation] | None = None) -> Graph:
    """The graph of a formula.

    text  Python expression syntax; statements `name = expression` separated by newlines or `;`, the last
          one (an expression, an assignment or a tuple) being the result
    args  declarations: a mapping name -> dtype and shape ("n K", "int", "float32 n+1", "" for a number),
          or names in the order of the arguments. What is not declared is a float64 number. Declared
          arguments come first, then the others by first appearance, then whole numbers that a range or
          an index needs and that no array binds
    operations  operations of the user's own, by the names under which the formula calls them

    Raises FormulaError, UnsupportedError, ShapeError or SizeError with a caret under the place.

    >>> graph = parse("sum((x[i+1] - x[i])**2 for i in range(n - 1))", {"x": "n"})
    >>> list(graph.inputs), graph.outputs[0][0], graph.outputs[0][1].op
    (['x'], 'value', 'sum')
    """
    declared = declarations(args)
    program = statements(text)
    walker = Walker(text, usage(program), declared, operations or {})
    for statement in program[:-1]:
        walker.assign(statement, walker.evaluate(statement, statement.tree))
    walker.finish(program[-1])
    check_reads(walker.graph)
    return settle(walker.graph, walker.arrays.gathered)


class Walker:
    """Builds one graph. `loops` are the indices of enclosing generators, `conditions` what holds here."""

    def __init__(self, source: str, names: Usage, declared: dict[str, Declaration],
                 operations: Mapping[str, Operation]) -> None:
        self.source, self.operations = source, operations
        self.limit = MAX_NODES + NODES_A_CHARACTER * len(source)
        self.graph = Graph(source=source)
        self.arrays = Arrays(self.graph)
        self.values: dict[str, Array] = {}
        self.loops: list[tuple[str, Array]] = []
        self.conditions: list[Node] = []
        self.names = names
        self.dims: set[str] = set()
        self.listed = declared
        self.statement: Statement
        self._declare(declared)
        self.bounds, self.promotion = Bounds(self.graph), Promotion(self.graph)

    # -- arguments ----------------------------------------------------------------------------

    def _declare(self, declared: dict[str, Declaration]) -> None:
        graph, free = self.graph, self.names.free
        shapes = [dim for d in declared.values() for dim in d.shape]
        self.dims = {name for dim in shapes for name in dim.names()}
        for name, d in declared.items():
            whole = not d.declared and name in self.names.whole
            if name in self.dims and not d.is_integer and d.declared:
                raise FormulaError(f"{name} is a dimension in args, and also an argument that is no integer\n"
                                   f'Rename one of them, or declare "{name}": "int".')
            graph.input(name, "int64" if whole else d.dtype, d.shape)
        bound = {dim.name for dim in shapes}
        later = sorted(name for name in self.dims if name not in bound and name not in graph.inputs)
        for name, span in free.items():
            constant = name in CONSTANTS and name not in self.names.assigned
            if name in declared or name in self.dims or constant:
                continue
            self._check_free(name)
            if name in self.names.whole:
                later.append(name)
            else:
                graph.spans.setdefault(graph.input(name), span)
        for name in later:
            graph.input(name, "int64")
        self.dims |= {name for name, node in graph.inputs.items() if node.dtype == "int64" and not node.shape}

    def _check_free(self, name: str) -> None:
        """Refuse a free name that is probably a mistake."""
        span, source = self.names.free[name], self.source
        wrong = check_name(name)
        if wrong:
            raise refuse(source, span, f"the name {name} {wrong}", another_name(name))
        if name.lower() == "nan":
            raise refuse(source, span, "NaN is no constant of a formula",
                         "Write a condition for the case, or pass the value as an argument.")
        if name in self.names.called:
            raise refuse(source, span, f"{name} is called as a function elsewhere, and stands alone here",
                         f"Write {name}(...), or choose another name for the value.")
        if name in self.names.indices:
            raise refuse(source, span, f"{name} is the index of a generator, and stands here outside it",
                         f'Move it inside, or declare the argument: args={{"{name}": ""}}.')

    # -- statements ---------------------------------------------------------------------------

    def assign(self, statement: Statement, value: Array) -> None:
        """Give a value the name of its statement."""
        self.values[statement.target] = value
        if value.node.op not in ("const", "dim", "axis", "input"):
            self.graph.name(value.node, statement.target)

    def finish(self, statement: Statement) -> None:
        """The last statement: the outputs."""
        tree, target = statement.tree, statement.target
        if isinstance(tree, ast.Tuple):
            if not tree.elts:
                raise self.refused(tree, "an empty tuple is no result", "Write an expression.", statement)
            elements = [(element, self._output_name(element, f"{target or 'value'}_{i}"))
                        for i, element in enumerate(tree.elts)]
        else:
            elements = [(tree, target or self._output_name(tree, "value"))]
        used: set[str] = set()
        for i, (element, name) in enumerate(elements):
            value = self.evaluate(statement, element)
            if target and not isinstance(tree, ast.Tuple):
                self.assign(statement, value)
            while name in used:
                name = f"{name}_{i}"
            used.add(name)
            plain = self.arrays.plain(value)
            node = self.graph.store(plain.axes, plain.node) if plain.axes else plain.node
            self.graph.outputs.append((name, node))

    def _output_name(self, tree: ast.expr, otherwise: str) -> str:
        return tree.id if isinstance(tree, ast.Name) and tree.id in self.values else otherwise

    # -- the walk -----------------------------------------------------------------------------

    def evaluate(self, statement: Statement, root: ast.expr) -> Array:
        """The value of an expression: handlers on an explicit stack, operands sent into them."""
        self.statement = statement
        stack: list[tuple[ast.expr, Step]] = []
        node: ast.expr | None = root
        current, value = root, cast(Array, None)                # None starts a handler
        try:
            while True:
                if node is not None:
                    current = node
                    found = self._visit(node)
                    if isinstance(found, Array):
                        value, node = self._placed(node, found), None
                    else:
                        stack.append((node, found))
                        value = cast(Array, None)
                if not stack:
                    return value
                current, step = stack[-1]
                try:
                    node = step.send(value)
                except StopIteration as stop:
                    stack.pop()
                    value, node = self._placed(current, stop.value), None
        except ArrayError as error:
            raise self.refused(current, error.message, error.advice, error=error.error) from None
        except GraphError as error:
            raise self.refused(current, str(error)) from None

    def _visit(self, node: ast.expr) -> Array | Step:
        handler = HANDLERS.get(type(node))
        if handler is None:
            what, advice = _OTHER_NODES.get(type(node), (f"this ({type(node).__name__})", ""))
            raise self.refused(node, f"{what} has no meaning in a formula", advice, error=UnsupportedError)
        return handler(self, node)

    def _placed(self, node: ast.expr, value: Array) -> Array:
        if value.node not in self.graph.spans:
            self.graph.spans[value.node] = self.statement.place(node)
            if len(self.graph.nodes) > self.limit:
                raise ArrayError(f"the formula makes more than {self.limit:,} nodes",
                                 "Index the arguments themselves, not values computed from shifted values.",
                                 SizeError)
        return value

    def refused(self, node: ast.AST, message: str, advice: str = "", statement: Statement | None = None,
                error: type[GradcError] = FormulaError) -> GradcError:
        """The error that points at a node of the tree."""
        return refuse(self.source, (statement or self.statement).place(node), message, advice, error)

    def text(self, node: ast.AST) -> str:
        """The user's text of a node."""
        span = self.statement.place(node)
        return self.source[span.start:span.stop]

    # -- what handlers share ------------------------------------------------------------------

    def condition(self, node: ast.expr, value: Array) -> Array:
        """A truth value, or the error that asks for one."""
        if value.dtype != "bool":
            raise self.refused(node, "a condition is needed here, and this is a number",
                               f"Write a comparison, such as {_short(self.text(node))} != 0.")
        return value

    def whole(self, node: ast.expr, value: Array, where: str) -> Array:
        """A single whole number, or the error that asks for one."""
        if value.dtype != "int64":
            if isinstance(node, ast.Constant) or not any(isinstance(n, ast.Name) for n in ast.walk(node)):
                raise self.refused(node, f"{where} is a whole number of 64 bits, and this is not",
                                   "Write a whole number, or a dimension such as n.")
            name = node.id if isinstance(node, ast.Name) else "k"
            raise self.refused(node, f"{where} is a whole number, and this is not",
                               f'Declare the argument as an integer, args={{"{name}": "int"}}, or write // '
                               "for a whole quotient.")
        if value.axes:
            raise self.refused(node, f"{where} is a single number, and this is an array",
                               "Index the array: m[i].", error=ShapeError)
        return value

    def hold(self, value: Array, negated: bool = False) -> None:
        """Let a condition hold for what is visited next; an array's condition guards no reads."""
        node = value.node
        self.conditions.append(self.graph.const(True) if value.axes else
                               self.graph.apply("not", node) if negated else node)

    def lookup(self, node: ast.Name) -> Array | Node:
        """What a name means: an array input itself, or a value."""
        name = node.id
        for index, value in reversed(self.loops):
            if index == name:
                return value
        if name in self.values:
            return self.arrays.apart(self.values[name])
        source = self.graph.inputs.get(name)
        if source is not None and source.shape:
            return source
        if name in self.dims:
            return Array(self.graph.dim(name))
        return Array(source if source is not None else self.graph.const(CONSTANTS[name]))

    def read(self, source: Node, indices: Sequence[Node], guards: Sequence[Node] = ()) -> Node:
        """A read, guarded by what holds here if its indices are not proved to lie inside."""
        pairs = list(zip(indices, source.shape, strict=True))
        kept = list(guards)
        if any(self.bounds.inside(index, dim, guards) != "yes" for index, dim in pairs):
            kept += indexing.relevant(self, indices, [dim for _, dim in pairs])
        return self.graph.read(source, indices, kept)


def _short(text: str) -> str:
    return text if len(text) <= 30 and text.isidentifier() else "x"


# -- handlers -----------------------------------------------------------------------------------


def _constant(walker: Walker, node: ast.Constant) -> Array:
    value = node.value
    if isinstance(value, bool):
        return Array(walker.graph.const(value))
    if isinstance(value, int):
        return Array(walker.graph.const(value if value < 2**63 else float(value)))
    if isinstance(value, float):
        return Array(walker.graph.const(value))
    raise walker.refused(node, f"{walker.text(node)} has no meaning here", "Write a number.",
                         error=UnsupportedError)


def _name(walker: Walker, node: ast.Name) -> Array:
    value = walker.lookup(node)
    if isinstance(value, Array):
        return value
    axes = walker.arrays.order(value.shape)
    return Array(walker.graph.read(value, [walker.graph.axis(axis) for axis in axes]), axes)


def _binary(walker: Walker, node: ast.BinOp) -> Step:
    op = _BINARY.get(type(node.op))
    if op is None and not isinstance(node.op, ast.MatMult):
        raise _no_operator(walker, node, node.op)
    left = yield node.left
    right = yield node.right
    if op is None and max(len(left.axes), len(right.axes)) > 2:
        return formula_arrays.matmul(walker, node, left, right)
    if op is None:
        return walker.arrays.matmul(left, right)
    return walker.arrays.apply(op, left, right)


def _unary(walker: Walker, node: ast.UnaryOp) -> Step:
    if isinstance(node.op, ast.Invert):
        raise _no_operator(walker, node, node.op)
    operand = yield node.operand
    if isinstance(node.op, ast.Not):
        return walker.arrays.apply("not", walker.condition(node.operand, operand))
    if isinstance(node.op, ast.UAdd):
        return Array(walker.arrays.number(operand.node), operand.axes)
    literal = operand.node
    if isinstance(node.operand, ast.Constant) and literal.dtype == "float64":
        return Array(walker.graph.const(-literal.value))
    return walker.arrays.apply("neg", operand)


def _compare(walker: Walker, node: ast.Compare) -> Step:
    left = yield node.left
    total: Array | None = None
    for operator, tree in zip(node.ops, node.comparators, strict=True):
        if type(operator) not in _COMPARE:
            raise _no_operator(walker, node, operator)
        right = yield tree
        part = walker.arrays.apply(_COMPARE[type(operator)], left, right)
        total = part if total is None else walker.arrays.apply("and", total, part)
        left = right
    assert total is not None
    return total


def _logical(walker: Walker, node: ast.BoolOp) -> Step:
    op = "and" if isinstance(node.op, ast.And) else "or"
    held = len(walker.conditions)
    total: Array | None = None
    for tree in node.values:
        part = walker.condition(tree, (yield tree))
        walker.hold(part, negated=op == "or")
        total = part if total is None else walker.arrays.apply(op, total, part)
    del walker.conditions[held:]
    assert total is not None
    return total


def _if(walker: Walker, node: ast.IfExp) -> Step:
    return (yield from formula_calls.choice(walker, node.test, node.body, node.orelse))


def _no_operator(walker: Walker, node: ast.expr, operator: ast.AST) -> GradcError:
    text, advice = _OTHER_OPERATORS[type(operator)]
    return walker.refused(node, f"the operator {text} has no meaning in a formula", advice,
                          error=UnsupportedError)


HANDLERS: dict[type[ast.AST], Callable[[Walker, Any], Array | Step]] = {
    ast.Constant: _constant, ast.Name: _name, ast.BinOp: _binary, ast.UnaryOp: _unary,
    ast.Compare: _compare, ast.BoolOp: _logical, ast.IfExp: _if,
    ast.Subscript: indexing.subscript, ast.Attribute: indexing.attribute, ast.Call: formula_calls.call,
}
