"""Calls in formula strings: functions of the table, choices, and reductions over arrays and generators.

A call's name is looked up in the operation table; nothing else can be called. A reduction takes an array
(`sum(A, axis=0)`) or a generator (`sum(f(i, k) for i in range(n) for k in range(K) if i != k)`), whose
ranges become axes (`formula_ranges`). A condition guards the outermost reduction that has its indices.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gradc.ir.dims import Axis
from gradc.ir.errors import GradcError, ShapeError, UnsupportedError
from gradc.ir.graph import Node
from gradc.ir.table import OPERATIONS, REDUCTIONS, formula_names

from .arrays import Array
from .formula_arrays import ENTRIES, FormulaTrace, array_call, flag, literal
from .formula_ranges import range_axis, range_ends
from .numpy_functions import kept
from .syntax import nearest, shown

if TYPE_CHECKING:
    from .formula import Step, Walker
    from .operation import Operation

FUNCTIONS = formula_names()
_OTHER_FUNCTIONS = {
    "factorial": "gamma(n + 1)", "inverse": "inv(A)", "slogdet": "logdet(A)", "log_det": "logdet(A)",
    "power": "a ** b", "square": "x ** 2", "heaviside": "where(x > 0, 1, 0)", "float": "1.0 * x",
    "Piecewise": "a if condition else b", "int": "trunc(x)",
    "average": "mean(x)", "product": "prod(x)",
    "Sum": "sum(f(i) for i in range(n))", "amax": "max(x)", "amin": "min(x)",
    "binom": "gamma(n + 1) / (gamma(k + 1) * gamma(n - k + 1))", "radians": "x * pi / 180",
    "degrees": "x * 180 / pi", "zip": "one index for both, sum(x[i] * y[i] for i in range(n)),",
    "enumerate": "for i in range(len(x)), and x[i],", "swish": "x * sigmoid(x)",
    "gelu": "0.5 * x * (1 + erf(x / sqrt(2)))",
}


def call(walker: Walker, node: ast.Call) -> Step:
    """One call."""
    if isinstance(node.func, ast.Attribute):
        raise _method(walker, node.func)
    if not isinstance(node.func, ast.Name):
        left, right = (shown(text, 30) for text in (walker.text(node.func), walker.text(node)))
        if isinstance(node.func, ast.Constant | ast.BinOp | ast.UnaryOp) and len(node.args) == 1:
            factors = f"{left} * ({shown(walker.text(node.args[0]), 30)})"
            if not isinstance(node.func, ast.Constant):
                factors = f"({left}) * ({shown(walker.text(node.args[0]), 30)})"
            raise walker.refused(node, "an operator is missing before (", f"Write {factors} for the product.",
                                 error=UnsupportedError)
        raise walker.refused(node.func, "only functions of the table can be called",
                             f"Write their name, as in sin(x), not {right}.", error=UnsupportedError)
    name = node.func.id
    if name in walker.values or name in walker.graph.inputs or any(name == loop for loop, _ in walker.loops):
        raise walker.refused(node.func, f"{name} is a value here, and is called as a function",
                             f"Write {name} * (...) for a product, or rename the value.")
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise walker.refused(argument, "* does not unpack here", "Write the operands one by one.",
                                 error=UnsupportedError)
    if name in walker.operations:
        return (yield from _own(walker, node, walker.operations[name]))
    if name in ENTRIES:
        return (yield from array_call(walker, node, name))
    if name in REDUCTIONS and (len(node.args) == 1 or name not in FUNCTIONS):
        return (yield from _reduction(walker, node, name))
    if node.keywords:
        word = node.keywords[0].arg or "**"
        raise walker.refused(node.keywords[0], f"{name} takes no keyword {shown(word)}",
                             "Write the operands in order, without names.")
    if name == "len":
        return (yield from _length(walker, node))
    if name not in FUNCTIONS:
        raise _unknown(walker, node.func)
    for argument in node.args:
        if isinstance(argument, ast.GeneratorExp):
            raise walker.refused(argument, f"{name} takes no generator",
                                 "Generators stand in sum, prod, max, min, mean, logsumexp, any and all.")
    logarithm = FUNCTIONS[name] == "log" and len(node.args) == 2
    if not logarithm:
        _check_arity(walker, node, name, len(node.args))
    if FUNCTIONS[name] == "select":
        return (yield from choice(walker, *node.args))
    operands: list[Array] = []
    for argument in node.args:
        operand = yield argument
        operands.append(operand)
    if logarithm:
        return walker.arrays.apply("div", *(walker.arrays.apply("log", operand) for operand in operands))
    return walker.arrays.apply(FUNCTIONS[name], *operands)


def _own(walker: Walker, node: ast.Call, own: Operation) -> Step:
    """A call of an operation of the user's own."""
    if node.keywords or len(node.args) != len(own.args):
        raise walker.refused(node, f"{own.name} takes {len(own.args)} operands in order, without names",
                             f"Write {own.name}({', '.join(own.args)}).")
    operands: list[Array] = []
    for argument in node.args:
        operand = yield argument
        operands.append(operand)
    return own.applied(walker.arrays, operands)


def choice(walker: Walker, test: ast.expr, yes: ast.expr, no: ast.expr) -> Step:
    """`yes if test else no`: each branch is visited where its condition holds."""
    condition = walker.condition(test, (yield test))
    walker.hold(condition)
    first = yield yes
    walker.conditions.pop()
    walker.hold(condition, negated=True)
    second = yield no
    walker.conditions.pop()
    return walker.arrays.apply("select", condition, first, second)


def _check_arity(walker: Walker, node: ast.Call, name: str, given: int) -> None:
    arity = OPERATIONS[FUNCTIONS[name]].arity
    if given == arity or (arity is None and given >= 2):
        return
    wanted = "two or more operands" if arity is None else "one operand" if arity == 1 else f"{arity} operands"
    example = ", ".join("abc"[:2 if arity is None else arity])
    advice = f"Write {name}({example})."
    if name == "round" and given == 2:
        advice = "Write round(x * 100) / 100 for two places."
    raise walker.refused(node, f"{name} takes {wanted}, not {given}", advice)


def _unknown(walker: Walker, func: ast.Name) -> GradcError:
    name = func.id
    if name == "range":
        return walker.refused(func, "range stands only in a generator", "Write sum(f(i) for i in range(n)).")
    if name in _OTHER_FUNCTIONS:
        advice = f"Write {_OTHER_FUNCTIONS[name]} instead."
    else:
        known = [*FUNCTIONS, *REDUCTIONS, *ENTRIES, "len"]
        same = [name.lower()] if name.lower() in known else []
        close = same or list(dict.fromkeys(nearest(name, known) or nearest(name.lower(), known)))
        advice = f"Write {' or '.join(close)} instead." if close else (
            "Write it in terms of functions that there are" + (
                "." if hasattr(builtins, name) else f", or put an operator: {shown(name)} * (...)."))
    return walker.refused(func, f"there is no function {shown(name)}", advice, error=UnsupportedError)


def _method(walker: Walker, func: ast.Attribute) -> GradcError:
    """`np.sin(x)` and `x.sum()`: the name alone is what can be called."""
    name = func.attr
    known = name in FUNCTIONS or name in REDUCTIONS or name in ENTRIES
    advice = f"Write {name}(...) without the part before the point." if known else \
        "Write a function of the table by its name alone: sin(x)."
    return walker.refused(func, f"the attribute {shown(name)} cannot be called", advice,
                          error=UnsupportedError)


def _length(walker: Walker, node: ast.Call) -> Step:
    if len(node.args) != 1:
        raise walker.refused(node, f"len takes one operand, not {len(node.args)}", "Write len(x).")
    array = yield node.args[0]
    if not array.axes:
        raise walker.refused(node, "len takes an array, and this is a number",
                             'Declare the argument as an array: args={"x": "n"}.', error=ShapeError)
    return Array(walker.graph.dim(array.shape[0]))


# -- reductions ---------------------------------------------------------------------------------


def _reduction(walker: Walker, node: ast.Call, name: str) -> Step:
    if len(node.args) != 1:
        advice = f"Write {name}(x, axis=0) for a dimension." if len(node.args) == 2 else f"Write {name}(x)."
        if name == "sum" and node.args:
            advice = "Write a + b for numbers, sum(x, axis=0) for a dimension."
        raise walker.refused(node, f"{name} takes one array or one generator, not {len(node.args)} operands",
                             advice)
    argument = node.args[0]
    if isinstance(argument, ast.GeneratorExp):
        if node.keywords:
            raise walker.refused(node.keywords[0], f"{name} of a generator takes no keyword", "Leave it out.")
        return (yield from _generator(walker, argument, name))
    if isinstance(argument, ast.ListComp | ast.List | ast.Tuple):
        raise walker.refused(argument, f"{name} takes no list",
                             f"Write {name}(f(i) for i in range(n)); a + b or max(a, b) for numbers.",
                             error=UnsupportedError)
    array = yield argument
    if not array.axes:
        advice = f"Write {name}(a, b)." if name in FUNCTIONS else \
            f'Declare the argument as an array: args={{"x": "n"}}; or write {name}(f(i) for i in range(n)).'
        raise walker.refused(argument, f"{name} takes an array or a generator, and this is a number", advice,
                             error=ShapeError)
    positions = _positions(walker, node, len(array.axes))
    if name in ("argmax", "argmin") and len(positions) > 1:
        raise walker.refused(node, f"{name} gives an index along one dimension, not {len(positions)}",
                             f"Write {name}(x, axis=0).", error=ShapeError)
    reduced = walker.arrays.reduce(name, array, positions)
    if any(keyword.arg == "keepdims" and flag(walker, keyword.value) for keyword in node.keywords):
        return kept(FormulaTrace(walker, node), reduced, positions, True, len(array.axes)).array
    return reduced


def _positions(walker: Walker, node: ast.Call, rank: int) -> list[int]:
    """The dimensions that `axis=` names; all without it."""
    positions = list(range(rank))
    for keyword in node.keywords:
        if keyword.arg == "keepdims":
            continue
        if keyword.arg != "axis":
            raise walker.refused(keyword, f"there is no keyword {shown(keyword.arg or '**')} here",
                                 "The keywords are axis and keepdims, such as axis=0.")
        trees = keyword.value.elts if isinstance(keyword.value, ast.Tuple) else [keyword.value]
        positions = [_position(walker, tree, rank) for tree in trees]
        if len(set(positions)) != len(positions):
            raise walker.refused(keyword, "a dimension is named twice in axis", "Leave out one of them.")
    return positions


def _position(walker: Walker, tree: ast.expr, rank: int) -> int:
    position = literal(tree)
    if position is None:
        raise walker.refused(tree, "axis is not a literal whole number", "Write axis=0, or axis=(0, 1).")
    if not -rank <= position < rank:
        raise walker.refused(tree, f"there is no axis {position} in an array of {rank} "
                             f"dimension{'s' if rank > 1 else ''}",
                             f"Write axis=0{f' to axis={rank - 1}' if rank > 1 else ''}.", error=ShapeError)
    return position % rank


# -- generators ---------------------------------------------------------------------------------


class Level(NamedTuple):
    """One generator: its axis, and the conditions that guard its reduction."""

    axis: Axis
    guards: list[Node]


def _generator(walker: Walker, node: ast.GeneratorExp, name: str) -> Step:
    loops, held, taken = len(walker.loops), len(walker.conditions), len(walker.arrays.taken)
    levels: list[Level] = []
    for comprehension in node.generators:
        target, ends = yield from range_ends(walker, comprehension)
        axis, index, guards = range_axis(walker, comprehension.iter, ends)
        levels.append(Level(axis, []))
        if index.op == "axis":                                  # the loop runs over what the user called it
            walker.graph.name(index, target)
        walker.arrays.taken.append(axis)
        walker.loops.append((target, Array(index)))
        _attach(walker, levels, guards)
        for test in comprehension.ifs:
            condition = walker.condition(test, (yield test))
            if condition.axes:
                raise walker.refused(test, "a condition of a generator is single, and this is an array",
                                     "Index the array: if m[i].", error=ShapeError)
            _attach(walker, levels, [condition.node])
    body = yield node.elt
    del walker.loops[loops:], walker.conditions[held:], walker.arrays.taken[taken:]
    guarded = any(level.guards for level in levels)
    if name in ("argmax", "argmin") and (len(levels) > 1 or guarded):
        raise walker.refused(node, f"{name} over several ranges or under a condition has no index to give",
                             f"Write one range without a condition: {name}(f(i) for i in range(n)).",
                             error=UnsupportedError)
    inner = walker.arrays.body(name, body.node)
    if name == "mean" and guarded and len(levels) > 1:
        total = _nested(walker, "sum", levels, walker.arrays.real(inner))
        count = _nested(walker, "sum", levels, walker.graph.const(1.0))
        one = _nested(walker, "mean", levels, walker.graph.const(1.0))      # it has no value where there is none
        count = walker.graph.apply("mul", count, one)
        return Array(walker.graph.apply("div", total, count), body.axes)
    return Array(_nested(walker, name, levels, inner), body.axes)


def _attach(walker: Walker, levels: Sequence[Level], guards: Sequence[Node]) -> None:
    """Each condition guards the outermost reduction that has all indices which it needs."""
    for guard in guards:
        needed = [level for level in levels if level.axis in guard.axes]
        (needed[-1] if needed else levels[0]).guards.append(guard)
        walker.conditions.append(guard)


def _nested(walker: Walker, name: str, levels: Sequence[Level], body: Node) -> Node:
    """The reductions, innermost first. One that has no value for nothing skips what is empty inside it."""
    graph, node = walker.graph, body
    extra: list[Node] = []
    for level in reversed(levels):
        guards = [*level.guards, *extra]
        node = graph.reduce(name, level.axis, node, guards)
        if guards and REDUCTIONS[name].identity is None:
            extra = [graph.reduce("any", level.axis, graph.const(True), guards)]
    return node
