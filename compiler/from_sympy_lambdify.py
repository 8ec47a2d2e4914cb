"""What `lambdify` is given, as one graph: arguments of any nesting, and expressions, matrices and texts of any nesting.

`translated` takes the arguments and the expression as SymPy's lambdify does, and gives a graph with a scalar or array
input for each argument and an output for each expression, beside the nesting of both. Arguments that are no symbols
(applied functions, derivatives, elements) are replaced by symbols; functions of the user's are traced where they are
used; texts go to gradc's own parser. All results are nodes of one graph, so what they have in common is computed once.
How the graph is compiled, called and shown is left to `lambdified`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import sympy
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.tensor.array.expressions.array_expressions import ArrayElement
from sympy.tensor.indexed import Idx, Indexed, IndexedBase

from gradc.ir.errors import FormulaError, UnsupportedError
from gradc.ir.graph import Graph, Node

from .formula import parse
from .from_sympy import convert
from .from_sympy_own import nodes_of, operation_of, rewritten, with_functions
from .from_sympy_parts import NAMED_ARRAYS
from .from_sympy_survey import measure, printable, shown, symbol_name
from .from_sympy_walk import Rule
from .inline import inline
from .structures import Branch, Leaf, Tree, relabelled
from .syntax import RESERVED, check_name

MODULES = ("numpy", "scipy", "math")
ELEMENTS = (Indexed, MatrixElement, ArrayElement)
STANDING = (sympy.Function, sympy.Derivative, *ELEMENTS)         # arguments for which a symbol stands in
CONSTANTS = {"pi": sympy.pi, "E": sympy.E, "EulerGamma": sympy.EulerGamma, "GoldenRatio": sympy.GoldenRatio,
             "Catalan": sympy.Catalan}


class Translated(NamedTuple):
    """A graph, and how its inputs and outputs are nested.

    result of lists and tuples; a Branch of a sparse matrix has rows, columns and shape as keys, and their values
    names  of the arguments of the top: that of a symbol, "" for what has none
    text   the expression for a docstring; "" if it is too large
    """

    graph: Graph
    arguments: tuple[Tree, ...]
    result: Tree
    names: tuple[str, ...]
    text: str


def translated(args: Any, expr: Any, modules: Any, use_imps: bool, limit: int | None) -> Translated:
    """The graph of an expression, and the nesting of its arguments and results; see `gradc.lambdify` for the errors."""
    namespace = _namespace(modules)
    arguments = _Arguments(args)
    results = _Results(expr)
    symbols = [leaf for leaf in results.leaves if not isinstance(leaf, str)]
    symbols = arguments.replaced(_with_numbers(symbols, namespace, arguments.leaves))
    symbols, rules = with_functions(symbols, namespace, use_imps)
    if not symbols and len(results.leaves) == 1 and not any(isinstance(leaf, sympy.Basic) for leaf in arguments.leaves):
        graph = _parsed(results.leaves[0], dict.fromkeys(arguments.leaves, ""), namespace)
    else:
        graph = _together(results.leaves, symbols, arguments.leaves, rules, namespace)
    return Translated(graph, arguments.trees, results.numbered(graph), arguments.names, _text(expr, limit))


# -- modules ------------------------------------------------------------------------------------------


def _namespace(modules: Any) -> dict[str, Any]:
    """What the dictionaries in `modules` say; the first has priority."""
    several = isinstance(modules, Iterable) and not isinstance(modules, (str, Mapping))
    found: dict[str, Any] = {}
    for entry in reversed(list(modules)) if several else [modules]:
        if isinstance(entry, Mapping):
            found |= entry
            continue
        name = entry if isinstance(entry, str) else getattr(entry, "__name__", type(entry).__name__)
        if entry is not None and name not in MODULES:
            raise UnsupportedError(
                f"modules names {printable(str(name))}, whose numbers gradc has not: it computes with real numbers of "
                f"float64; leave it out, or name {', '.join(MODULES)}, or a dictionary of functions of your own"
            )
    for name in ("ImmutableDenseMatrix", "ImmutableMatrix", "Matrix"):
        if found.pop(name, np.array) not in (np.array, np.asarray):
            raise UnsupportedError(f"modules says what a {name} is to become, but gradc gives NumPy arrays: leave it "
                                   "out, and convert the result")
    return found


def _with_numbers(roots: Sequence[Any], namespace: Mapping[str, Any], leaves: Sequence[Any]) -> list[Any]:
    """Expressions with the numbers of the user's in place of constants and symbols of that name."""
    numbers = {name: value for name, value in namespace.items() if _is_number(value)}
    listed = {leaf if isinstance(leaf, str) else symbol_name(leaf) for leaf in leaves if _is_named(leaf)}
    found = {}
    for root in roots if numbers else ():
        for symbol in getattr(root, "free_symbols", ()):
            if isinstance(symbol, sympy.Symbol) and symbol.name in numbers and symbol.name not in listed:
                found[symbol] = sympy.Float(float(numbers[symbol.name]), 17)
    found |= {CONSTANTS[name]: sympy.Float(float(value), 17) for name, value in numbers.items() if name in CONSTANTS}
    return [_exchanged(root, found) for root in roots]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


# -- arguments ----------------------------------------------------------------------------------------


class _Arguments:
    """The arguments, flat and nested.

    leaves  what each flat argument is to the front end: a symbol, an array, or a name
    trees   the nesting of each argument of the top; a Branch of an array is a Matrix
    """

    def __init__(self, args: Any) -> None:
        if isinstance(args, (set, frozenset)):
            raise FormulaError("args is a set, which has no order: give a tuple or a list")
        if isinstance(args, str):
            args = [name for name in re.split(r"[,\s]+", args.strip()) if name]
        elif isinstance(args, Iterator):
            args = list(args)
        elif not _is_several(args):
            args = [args]
        self.leaves: list[Any] = []
        self._standing: dict[Any, Any] = {}
        self.trees = tuple(map(self._tree, args))
        names = [symbol_name(leaf) if _is_named(leaf) and not isinstance(leaf, str) else leaf for leaf in self.leaves]
        for k, leaf in enumerate(self.leaves):
            if isinstance(leaf, sympy.Dummy) and names.count(leaf.name) > 1:
                self.leaves[k] = self._standing[leaf] = sympy.Dummy(f"{leaf.name}_{k}")
        self.names = tuple(_name(arg) for arg in args)

    def _tree(self, arg: Any) -> Tree:
        if _is_several(arg):
            kind = np.ndarray if isinstance(arg, sympy.MatrixBase) else list
            keys = tuple(arg.shape) if kind is np.ndarray else tuple(range(len(arg)))
            return Branch(kind, keys, tuple(map(self._tree, arg)))
        self.leaves.append(self._leaf(arg))
        return Leaf(len(self.leaves) - 1)

    def _leaf(self, arg: Any) -> Any:
        if isinstance(arg, str):
            wrong = check_name(arg)
            if wrong:
                raise FormulaError(f"the argument {printable(arg)!r} {wrong}: give another name, or a symbol")
            return arg
        if isinstance(arg, sympy.DeferredVector):
            return self._deferred(arg)
        plain = isinstance(arg, (sympy.Symbol, Idx, *NAMED_ARRAYS))
        other = not plain and getattr(arg, "is_symbol", False)  # a coordinate of sympy.vector, for example
        if isinstance(arg, STANDING) or other or (isinstance(arg, sympy.Symbol) and arg.name in RESERVED):
            if arg in self._standing:
                raise FormulaError(f"args lists {shown(arg)} twice: leave out one of them")
            self._standing[arg] = sympy.Dummy(_label(arg))
            return self._standing[arg]
        if plain:
            return arg
        raise FormulaError(f"args holds {shown(arg)}, of type {type(arg).__name__}: give symbols, their names, "
                           "matrices, applied functions, or lists of these")

    def _deferred(self, vector: Any) -> Any:
        """A DeferredVector is an array; its elements are symbols called X[0], X[1] and so on."""
        self._standing[vector] = base = IndexedBase(vector.name)
        return base

    def replaced(self, roots: Sequence[Any]) -> list[Any]:
        """Expressions with symbols for the arguments that are none."""
        rules = dict(self._standing)
        vectors = {key.name: base for key, base in rules.items() if isinstance(key, sympy.DeferredVector)}
        for node in (node for root in roots if rules for node in nodes_of(root)):
            if isinstance(node, sympy.Symbol) and node not in rules:
                name, _, index = node.name.rstrip("]").partition("[")
                if name in vectors and index.isdigit():
                    rules[node] = vectors[name][int(index)]
            if isinstance(node, sympy.Derivative) and node not in rules:
                lost = [key for key in self._standing if isinstance(key, AppliedUndef) and node.has(key)]
                if lost:                                        # SymPy would take it for the derivative of a constant
                    raise FormulaError(f"{shown(node)} is the derivative of the argument {shown(lost[0])}: list it in "
                                       "args too, or put in a formula for the function")
        return [_exchanged(root, rules) for root in roots]


def _is_several(value: Any) -> bool:
    return isinstance(value, (tuple, list, sympy.Tuple, sympy.MatrixBase)) or (
        isinstance(value, Iterable) and not isinstance(value, (str, sympy.Basic, Mapping)))


def _is_named(leaf: Any) -> bool:
    return isinstance(leaf, (str, sympy.Symbol, Idx, *NAMED_ARRAYS))


def _name(arg: Any) -> str:
    """The name of an argument of the top, by which it can be given."""
    name = arg if isinstance(arg, str) else symbol_name(arg) if _is_named(arg) else ""
    unfit = isinstance(arg, sympy.Dummy) or not name.isidentifier() or keyword.iskeyword(name)
    return "" if unfit else name


def _label(arg: Any) -> str:
    """A name for the symbol that stands for an argument."""
    text = str(arg.func) if isinstance(arg, sympy.Function) else re.sub(r"\W+", "_", shown(arg), flags=re.ASCII)
    text = text.strip("_")[:60]
    return RESERVED.get(text, text) if text.isidentifier() else "argument"


# -- expressions --------------------------------------------------------------------------------------


class _Results:
    """The expressions, flat and nested: SymPy's objects, numbers and texts."""

    def __init__(self, expr: Any) -> None:
        self.leaves: list[Any] = []
        self._sparse: dict[int, Any] = {}
        self._tree = self._nested(expr)

    def _nested(self, expr: Any) -> Tree:
        if isinstance(expr, (list, tuple, sympy.Tuple)):
            kind = list if isinstance(expr, list) else tuple
            return Branch(kind, tuple(range(len(expr))), tuple(map(self._nested, expr)))
        number = len(self.leaves)
        if isinstance(expr, (sympy.SparseMatrix, sympy.ImmutableSparseMatrix)):
            self._sparse[number] = expr
            values = list(expr.todok().values())
            expr = sympy.ImmutableDenseMatrix(len(values), 1, values) if values else sympy.S.Zero
        self.leaves.append(expr)
        return Leaf(number)

    def numbered(self, graph: Graph) -> Tree:
        """The nesting with the number of each output; a text of several expressions is a tuple of them."""
        at, places = 0, {}
        counts = [1] * len(self.leaves)
        if len(self.leaves) == 1:
            counts = [len(graph.outputs)]
        for number, leaf in enumerate(self.leaves):
            if isinstance(leaf, str) and len(self.leaves) > 1:
                counts[number] = sum(key.startswith(f"text_{number}_") for key, _ in graph.outputs)
            places[number] = at
            at += counts[number]

        def change(number: int) -> Tree:
            many = tuple(Leaf(places[number] + k) for k in range(counts[number]))
            if number in self._sparse:
                entries = self._sparse[number].todok()
                rows, columns = zip(*entries, strict=True) if entries else ((), ())
                return Branch(scipy.sparse.coo_matrix, (rows, columns, self._sparse[number].shape), many)
            return many[0] if len(many) == 1 else Branch(tuple, tuple(range(len(many))), many)

        return relabelled(self._tree, change)


def _together(leaves: Sequence[Any], symbols: Sequence[Any], arguments: Sequence[Any], rules: Mapping[type, Rule],
              namespace: Mapping[str, Any]) -> Graph:
    """One graph with the outputs of SymPy's expressions and of texts, in their order."""
    whole = convert(tuple(symbols) or (0,), arguments, rules)
    if len(symbols) == len(leaves):
        return whole
    kinds = {name: f"{node.dtype} {' '.join(map(str, node.shape))}" for name, node in whole.inputs.items()
             if not check_name(name)}
    given, found = iter(whole.outputs), []
    for number, leaf in enumerate(leaves):
        if isinstance(leaf, str):
            own = _parsed(leaf, kinds, namespace)
            nodes = inline(whole, own, {name: _operand(whole, name) for name in own.inputs})
            found += [(f"text_{number}_{k}", node) for k, node in enumerate(nodes)]
        else:
            found.append(next(given))
    whole.outputs = found
    return whole


def _operand(graph: Graph, name: str) -> Node:
    node = graph.inputs[name]
    return graph.dim(name) if node.dtype == "int64" and not node.shape else node


def _parsed(text: str, kinds: Mapping[str, str], namespace: Mapping[str, Any]) -> Graph:
    """A text as gradc's own formula of the arguments; numbers and functions of the user's may stand in it."""
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    numbers = {name: value for name, value in namespace.items() if _is_number(value) and name not in kinds}
    functions = {name: operation_of(name, own) for name, own in namespace.items() if name in words and callable(own)}
    used = {name: "" for name in numbers if name in words}
    graph = parse(text, {**kinds, **used}, functions)
    unknown = [name for name in graph.inputs if name not in kinds and name not in used]
    if unknown:
        raise FormulaError(f"the text {printable(text)!r} uses {unknown[0]}, which args does not list: add it")
    if not used:
        return graph
    made = Graph(source=graph.source)
    for name in kinds:
        made.input(name, graph.inputs[name].dtype, graph.inputs[name].shape)
    operands = {name: made.const(float(numbers[name])) if name in used else _operand(made, name)
                for name in graph.inputs}
    made.outputs = list(zip((key for key, _ in graph.outputs), inline(made, graph, operands), strict=True))
    return made


# -- parts of expressions -----------------------------------------------------------------------------


def _exchanged(root: Any, rules: Mapping[Any, Any]) -> Any:
    return rewritten(root, lambda expr: expr.xreplace(rules)) if rules else root


def _text(expr: Any, limit: int | None) -> str:
    """The expression as SymPy prints it, if it has at most `limit` nodes; None is no limit."""
    pieces = expr if isinstance(expr, (list, tuple, sympy.Tuple)) else [expr]
    count = sum(_size(piece, 10**9 if limit is None else max(limit, 0) + 1) for piece in pieces)
    try:
        return "" if limit is not None and count > limit else str(expr)
    except RecursionError:
        return ""


def _size(expr: Any, limit: int) -> int:
    if isinstance(expr, (list, tuple, sympy.Tuple, sympy.MatrixBase)):
        return sum(_size(item, limit) for item in expr)
    return measure(expr, limit)
