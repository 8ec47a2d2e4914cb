"""`gradc.lambdify`, in place of SymPy's: a function of numbers or arrays, compiled, from expressions and their nesting.

A `Lambdified` takes arguments apart as they were listed, calls the Function of the flat arguments, and puts the results
together as the expressions were nested. Called with arrays it asks `elementwise` for the same graph over their
dimensions, once for each choice of ranks. What the user gives is read by `from_sympy_lambdify`; SymPy is not needed
here, nor where a pickle arrives.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.errors import ArgumentError, ShapeError, UnsupportedError

from .arguments import bind, is_traced
from .arrays import ArrayError
from .compiled import Options
from .elementwise import Ones, elementwise
from .function import Function
from .nesting import NOT_PLAIN, Taker, builder, taker
from .structures import Branch, Leaf, Tree
from .wrt import real_arguments

NUMBERS = frozenset((float, int, bool, np.float64))             # that are surely no arrays
QUICK = NUMBERS | {np.ndarray}
TYPES = {"float64": "float", "float32": "float32", "int64": "int", "bool": "bool"}
WIDTH = 75


def lambdify(args: Any, expr: Any, modules: Any = None, printer: Any = None, use_imps: bool = True,
             dummify: bool = False, cse: Any = False,  # noqa: ARG001  (SymPy's)
             docstring_limit: int | None = 1000, *, jit: bool = True, cache: bool = True) -> Lambdified:
    """A compiled function for numbers and arrays from a SymPy expression, called as SymPy's `lambdify` is.

    args      a symbol or a sequence of them, nested as the arguments of the call will be: symbols, their names,
              matrices of symbols, MatrixSymbol, IndexedBase, applied functions f(t) and their derivatives
    expr      an expression, a Matrix, an array, a text in gradc's formula language, or lists and tuples of these, in
              whose nesting the results come; what they have in common is computed once
    modules   "numpy", "scipy" or "math" (all give the same), a mapping from names to functions and numbers of your
              own, or a list of these, the first with priority; a function is traced, so it may use NumPy, and a
              Derivative of it is gradc's
    printer   must be None
    use_imps  call what `implemented_function` has attached to a function
    dummify   True: arguments can be given by position only; names that Python does not allow never matter
    cse       changes nothing: common subexpressions are always computed once
    docstring_limit  the docstring shows expressions of at most this many nodes, None all
    jit, cache  as for `gradc.compile`

    Numbers give numbers, a Matrix an array of two dimensions, a sparse one a `scipy.sparse.coo_matrix`. With arrays in
    place of numbers the results are elementwise, broadcast as NumPy does it; a Matrix has its rows and columns first.
    All is computed in float64 (integer symbols in int64): whole numbers come back as floats, 1/0 is inf, and what
    would be complex is nan. Derivatives, source and graph are those of `.function`, the Function of the flat arguments.

    Raises FormulaError for arguments that do not fit the expression, UnsupportedError for what has no meaning here
    (other modules, a printer, functions that are not known); the calls raise ArgumentError and ShapeError.

    >>> import numpy as np
    >>> import sympy
    >>> x, y, z = sympy.symbols("x y z")
    >>> f = lambdify([x, (y, z)], [x + y * z, sympy.Matrix([x, y])], jit=False)
    >>> f(1.0, (2.0, 3.0))
    [7.0, array([[1.],
           [2.]])]
    >>> f(np.array([1.0, 2.0]), (2.0, 3.0))[0]
    array([7., 8.])
    """
    if printer is not None:
        raise UnsupportedError("printer= says how SymPy's text is written, and gradc writes its own: leave it out, and "
                               "give functions of your own in modules=[{'name': function}]")
    from .from_sympy_lambdify import translated

    graph, arguments, result, given, text = translated(args, expr, modules, use_imps, docstring_limit)
    names: list[str] = []
    for k, name in enumerate(given):
        name = "" if dummify else name
        names.append(name if name and name not in names else f"arg_{k}")
    function = Function(graph, real_arguments(graph), Options(jit=jit, cache=cache))
    return Lambdified(function, arguments, result, tuple(names), text)


class _Documented:
    """The docstring of an object: that of its class for the class, its own for an instance, made when it is read."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __get__(self, instance: Any, owner: type) -> str:
        return self._text if instance is None else str(instance.documentation())


class Lambdified:
    """What `gradc.lambdify` gives.

    args      names of the arguments, "arg_0" and so on where one is nested or has no name
    function  the Function of the flat arguments, one for each symbol: `.function.grad`, `.function.save`
    source    the complete generated Python text

    It can be pickled, and called with traced values inside functions that gradc compiles.
    """

    def __init__(self, function: Function, arguments: Sequence[Tree], result: Tree, names: Sequence[str],
                 text: str) -> None:
        self._function, self._arguments, self._result = function, tuple(arguments), result
        self._names, self._text = tuple(names), text
        inputs = function.graph.inputs
        self._single = [k for k, node in enumerate(inputs.values()) if not node.shape]
        self._inputs = tuple(inputs)
        self._made: dict[tuple[tuple[str, Ones], ...], Function] = {}
        self._takers: dict[Any, Taker] = {}
        self._last: tuple[Taker, Function] | None = None
        self._lock = threading.Lock()
        self.__name__ = "lambdified"

    __doc__ = _Documented(__doc__)

    @property
    def args(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return self._names

    @property
    def function(self) -> Function:
        """The Function of the flat arguments: for derivatives, and to save and to report."""
        return self._function

    @property
    def source(self) -> str:
        """The complete generated Python text."""
        return self._function.source

    @functools.cached_property
    def __wrapped__(self) -> Callable[..., Any]:
        """The generated text as a Python function of the flat arguments, for `inspect.getsource`."""
        function = self._function
        plain: Callable[..., Any] = Function(function.graph, function.wrt, Options(jit=False)).jit
        return plain

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
                                  for name in self._names])

    def __repr__(self) -> str:
        return f"<gradc lambdified function of ({', '.join(self._names)})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Lambdified, (self._function, self._arguments, self._result, self._names, self._text)

    def documentation(self) -> str:
        """The docstring: signature, expression and source."""
        shown = ", ".join(self._shown(tree) for tree in self._arguments)
        signature = textwrap.fill(f"func({shown})", subsequent_indent=" " * 8)
        text = self._text if len(self._text) <= WIDTH + 3 else textwrap.wrap(self._text, WIDTH)[0] + "..."
        hidden = "(larger than docstring_limit)"
        source = self.source if self._text else hidden
        return (f"Created with gradc.lambdify. Signature:\n\n{signature}\n\nExpression:\n\n{text or hidden}\n\n"
                f"Source code:\n\n{source}")

    def _shown(self, tree: Tree) -> str:
        if isinstance(tree, Leaf):
            return str(self._inputs[tree.key])
        assert isinstance(tree, Branch)
        return f"({', '.join(map(self._shown, tree.parts))}{',' if len(tree.parts) == 1 else ''})"

    # -- calls --------------------------------------------------------------------------------

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """The results for numbers or arrays."""
        if self._last is not None and not keywords and len(args) == len(self._names):
            take, function = self._last                         # most calls are of the kind of the one before
            try:
                given = take(*args)
            except NOT_PLAIN:
                given = None
            if given is not None:
                return self._build(function(*given))
        if keywords or len(args) != len(self._names):
            args = tuple(bind(self._names, args, keywords))
        leaves: list[Any] = []
        for tree, value, name in zip(self._arguments, args, self._names, strict=True):
            _take_apart(tree, value, name, leaves)
        found = self._for(leaves)
        result = self._build(found(*leaves) if found.graph.outputs else ())
        if found.graph.outputs and all(type(leaf) in QUICK for leaf in leaves):
            self._remember(args, leaves, found)
        return result

    @functools.cached_property
    def _build(self) -> Callable[[Any], Any]:
        """From what the flat Function returns to the results."""
        several, result = len(self._function.graph.outputs) > 1, self._result
        if result == Leaf(0):
            return lambda values: values
        if _is_sparse(result) or not self._function.graph.outputs:
            return lambda values: _put_together(result, values if several else (values,))
        return builder(result, self._function.groups)

    def _remember(self, args: Sequence[Any], leaves: Sequence[Any], function: Function) -> None:
        """Make ready for another call of the same kind: with arguments nested so, and leaves of these kinds."""
        trees = _all(_observed(tree, value) for tree, value in zip(self._arguments, args, strict=True))
        if trees is not None:
            kinds = {k: (TYPES[node.dtype], tuple(size == 1 for size in np.shape(leaf)))
                     for k, (node, leaf) in enumerate(zip(self._function.graph.inputs.values(), leaves, strict=True))}
            key = (*trees, *kinds.values())
            if key not in self._takers:
                self._takers[key] = taker(dict(zip(self._names, trees, strict=True)), kinds)
            self._last = self._takers[key], function

    def at(self, /, *args: Any, **keywords: Any) -> Function:
        """The Function of the flat arguments that a call with these arguments uses."""
        leaves: list[Any] = []
        for tree, value, name in zip(self._arguments, bind(self._names, args, keywords), self._names, strict=True):
            _take_apart(tree, value, name, leaves)
        return self._for(leaves)

    def _for(self, leaves: list[Any]) -> Function:
        """The Function for numbers, or for arrays in place of some; lists become arrays."""
        kinds: list[tuple[str, Ones]] = []
        for k in self._single:
            value = leaves[k]
            if type(value) in NUMBERS:
                continue
            if is_traced(value):
                ones = tuple(dim.constant == 1 for dim in value.array.shape)
            else:
                leaves[k] = value = _as_array(value)
                ones = tuple(size == 1 for size in getattr(value, "shape", ()))
            if ones:
                kinds.append((self._inputs[k], ones))
        if not kinds:
            return self._function
        key = tuple(kinds)
        with self._lock:
            found = self._made.get(key)
            if found is None:
                found = self._made[key] = self._elementwise(dict(kinds))
        return found

    def _elementwise(self, kinds: Mapping[str, Ones]) -> Function:
        try:
            graph = elementwise(self._function.graph, kinds)
        except ArrayError as error:
            names = ", ".join(kinds)
            raise ShapeError(f"{error.message}, so it can be no array: give numbers, or take the call apart "
                             f"(arrays are given for {names})") from None
        return Function(graph, real_arguments(graph), self._function.options)


def _as_array(value: Any) -> Any:
    """What is given for a number: an array where it has dimensions; a number of SymPy's as a float."""
    if getattr(value, "is_number", False):
        return float(value)
    if isinstance(value, (list, tuple)):
        try:
            return np.asarray(value)
        except ValueError:                                      # of unequal lengths: the call says so
            return value
    return value


def _take_apart(tree: Tree, value: Any, place: str, into: list[Any]) -> None:
    """Put the leaves of an argument into a list; ShapeError or ArgumentError if it is not nested as it was listed."""
    if isinstance(tree, Leaf):
        into.append(value)
        return
    assert isinstance(tree, Branch)
    if tree.kind is np.ndarray:
        value = _entries(tree, value, place)
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
        raise ArgumentError(f"{place} was listed as {len(tree.parts)} values, and one of type {type(value).__name__} "
                            "is given: give a list, a tuple or an array of them")
    if not is_traced(value) and len(value) != len(tree.parts):  # of what is traced an index is checked
        raise ShapeError(f"{place} was listed as {len(tree.parts)} values, and {len(value)} are given: give one for "
                         "each")
    items = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else [
        value[k] for k in range(len(tree.parts))]
    for k, (part, item) in enumerate(zip(tree.parts, items, strict=True)):
        _take_apart(part, item, f"{place}[{k}]", into)


def _observed(tree: Tree, value: Any) -> Tree | None:
    """How an argument is nested here, for a taker; None where it has to be looked at each time."""
    if isinstance(tree, Leaf):
        return tree
    assert isinstance(tree, Branch)
    flat = all(isinstance(part, Leaf) for part in tree.parts)
    if type(value) is np.ndarray:
        return Branch(np.ndarray, tree.keys, tree.parts) if flat and value.shape == (len(tree.parts),) else None
    if type(value) not in (list, tuple) or len(value) != len(tree.parts):
        return None
    parts = _all(_observed(part, item) for part, item in zip(tree.parts, value, strict=True))
    return None if parts is None else Branch(type(value), tuple(range(len(parts))), tuple(parts))


def _all(trees: Iterable[Tree | None]) -> list[Tree] | None:
    found = list(trees)
    known = [tree for tree in found if tree is not None]
    return known if len(known) == len(found) else None


def _is_sparse(tree: Tree) -> bool:
    return isinstance(tree, Branch) and (tree.kind not in (list, tuple) or any(map(_is_sparse, tree.parts)))


def _entries(tree: Branch, value: Any, place: str) -> Any:
    """The entries of a matrix, row by row, from an array of its shape or from a flat sequence."""
    rows, columns = tree.keys
    array = np.asarray(value)
    if array.shape[:2] == (rows, columns):
        return array.reshape((rows * columns, *array.shape[2:]))
    if array.shape[:1] == (rows * columns,):
        return array
    raise ShapeError(f"{place} was listed as a matrix of {rows} rows and {columns} columns, and an array of shape "
                     f"{array.shape} is given: give one of that shape, or its entries in a row")


def _put_together(tree: Tree, values: Sequence[Any]) -> Any:
    if isinstance(tree, Leaf):
        return values[tree.key]
    assert isinstance(tree, Branch)
    parts = [_put_together(part, values) for part in tree.parts]
    if tree.kind in (list, tuple):
        return tree.kind(parts)
    rows, columns, shape = tree.keys
    if np.ndim(parts[0]) > 2:
        raise ShapeError("a sparse matrix is among the results, and arrays are given for numbers: give numbers, or "
                         "list a dense Matrix")
    return tree.kind((np.ravel(parts[0])[:len(rows)], (rows, columns)), shape)
