"""The SymPy front end: an expression in, a graph with its arguments and outputs out.

`convert` takes a SymPy expression (a number, a condition, a Matrix, or a tuple of them) and what the
user says of the arguments, and gives the user's graph. This module decides which symbols are arguments,
in which order, of which type and shape; names are data and are never evaluated, nor is any string
given to SymPy. The walk over the expression is in `from_sympy_survey` and `from_sympy_walk`, the meaning
of the classes in `from_sympy_functions` and `from_sympy_sums`. Only these modules know SymPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy
from sympy.tensor.indexed import Idx, Indexed, IndexedBase

from gradc.ir.dims import Dim
from gradc.ir.errors import FormulaError, ShapeError, UnsupportedError
from gradc.ir.graph import Graph, Node

from .arrays import Arrays
from .bounds import check_reads
from .from_sympy_arrays import KNOWN, LEAVES, RULES
from .from_sympy_parts import ARRAY_SYMBOLS, ARRAYS, NAMED_ARRAYS
from .from_sympy_survey import SMALL, Survey, measure, printable, refuse, shown, symbol_name
from .from_sympy_walk import Rule, Translator
from .shapes import Declaration, declaration
from .syntax import RESERVED

Arguments = Mapping[Any, str] | Sequence[Any] | None


def convert(expr: Any, args: Arguments = None, rules: Mapping[type, Rule] | None = None) -> Graph:
    """The graph of a SymPy expression.

    expr  an expression or a condition (one scalar output), a Matrix, a matrix expression or an array (one
          array output of its shape), or a tuple or list of these (one output each)
    args  the arguments in order: symbols, arrays (IndexedBase, MatrixSymbol, ArraySymbol) or their names; or
          a mapping from these to declarations as in formulas, {x: "n", "k": "int"}; None takes all by name
    rules what classes of the user's own mean

    Integer symbols are int64 arguments, or the dimensions of an array that has them in its shape; all
    others are float64. A MatrixSymbol has its own shape, a column vector (n, 1); an IndexedBase without a
    shape and a declaration gets a dimension for each index.
    FormulaError for arguments that do not fit the expression, UnsupportedError for what has no meaning
    here, ShapeError for an index that is always outside.

    >>> x, y = sympy.symbols("x y")
    >>> graph = convert(x**2 - y, args=(y, x))
    >>> list(graph.inputs), [name for name, _ in graph.outputs]
    (['y', 'x'], ['value'])
    """
    several = isinstance(expr, (tuple, list, sympy.Tuple))
    roots = [_root(item) for item in (expr if several else [expr])]
    if not roots:
        raise FormulaError("the tuple of expressions is empty: give at least one expression")
    rules = rules or {}
    survey = Survey(roots, KNOWN | rules.keys())
    graph = Graph(source=_source(roots, several))
    translator = Translator(graph, survey, {**RULES, **rules}, LEAVES)
    ArgumentList(graph, translator, args).declare()
    for number, root in enumerate(roots):
        name = f"value_{number}" if several else "value"
        graph.outputs.append((name, _output(translator, root)))
    _check_reads(graph)
    return graph


def _check_reads(graph: Graph) -> None:
    """Prove or check every read; the advice is one for SymPy's notation."""
    try:
        check_reads(graph)
    except ShapeError as error:
        message = str(error).rpartition("\n")[0] or str(error)
        raise ShapeError(
            f"{message}\nKeep the index inside by the bounds of the Sum, or read it where it is: "
            "Piecewise((x[i + 1], i < n - 1), (0, True))."
        ) from None


def _root(item: Any) -> Any:
    """An output as SymPy's object, immutable."""
    if isinstance(item, (sympy.MatrixBase, sympy.NDimArray)):
        return item.as_immutable()
    if isinstance(item, (tuple, list, sympy.Tuple)):
        raise UnsupportedError("a tuple inside a tuple of expressions: give one flat tuple, or a Matrix")
    return item if isinstance(item, sympy.Basic) else _number(item)


def _number(item: Any) -> Any:
    """A Python number as SymPy's; a string or anything else is refused, never handed to sympify."""
    if isinstance(item, bool):
        return sympy.true if item else sympy.false
    if isinstance(item, int):
        return sympy.Integer(item)
    if isinstance(item, float):
        return sympy.Float(item)
    return refuse(item)


def _output(translator: Translator, root: Any) -> Node:
    graph = translator.graph
    if isinstance(root, (sympy.MatrixBase, sympy.NDimArray, *ARRAYS)):
        array = translator.array(root)
        plain = Arrays(graph).plain(array)
        return graph.store(plain.axes, plain.node) if array.axes else array.node
    node = graph.node(translator.value(root))
    real = any(n.op == "input" and n.dtype.startswith("float") for n in graph.reachable([node]))
    return graph.node(translator.real(node)) if real and node.dtype == "int64" else node


def _source(roots: Sequence[Any], several: bool) -> str:
    """The expressions on one line, where SymPy can print them without going deep."""
    sizes = [measure(root) for root in roots]
    if sum(sizes) >= SMALL:
        count = str(sum(sizes)) if all(size < SMALL for size in sizes) else f"{SMALL} or more"
        return f"a SymPy expression of {count} nodes"
    texts = [shown(root, 10 * SMALL) for root in roots]
    return f"({', '.join(texts)})" if several else texts[0]


class ArgumentList:
    """The arguments of one expression: which, in which order, of which type and shape.

    names   every free symbol and array, and its name: unique, the user's own where possible
    owners  the way back
    extra   arguments that `args` has and the expression has not
    """

    def __init__(self, graph: Graph, translator: Translator, args: Arguments) -> None:
        self.graph, self.translator, self.survey = graph, translator, translator.survey
        self.names: dict[Any, str] = {}
        self.owners: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}
        self.taken: set[str] = set()
        self._name_all([*self.survey.scalars, *self.survey.arrays])
        self.declared: dict[str, Declaration] = {}
        self.listed: dict[str, None] | None = None
        if isinstance(args, Mapping):
            for key, text in args.items():
                name = self._resolve(key)
                if name in self.declared:
                    raise FormulaError(f"args declares {printable(name)} twice: leave out one of them")
                self.declared[name] = declaration(name, text)
        elif args is not None:
            self._list(args)
        self.sizes = {name for d in self.declared.values() for dim in d.shape for name in dim.names()}
        self.taken |= self.sizes | set(self.extra)

    # -- names --------------------------------------------------------------------------------

    def _name_all(self, objects: Sequence[Any]) -> None:
        for item in objects:
            name = symbol_name(item)
            if isinstance(item, sympy.Dummy):
                continue
            other = self.owners.setdefault(name, item)
            if other != item:
                raise FormulaError(
                    f"two different symbols are called {printable(name)!r}: {_described(other)} and "
                    f"{_described(item)}; arguments are told apart by their names, so use the same object in "
                    "both places, or rename one of them"
                )
            self.names[item] = name
            self.taken.add(name)
        dummies = [item for item in objects if isinstance(item, sympy.Dummy)]
        for dummy in sorted(dummies, key=lambda d: int(d.dummy_index)):  # in the order of their creation
            self.names[dummy] = self._fresh(symbol_name(dummy))
            self.owners[self.names[dummy]] = dummy
        for name in self.owners:
            _check_reserved(name)

    def _fresh(self, name: str) -> str:
        """The name, or the name with the first number that makes it new."""
        number, fresh = 0, name
        while fresh in self.taken:
            number += 1
            fresh = f"{name}_{number}"
        self.taken.add(fresh)
        return fresh

    def _resolve(self, key: Any) -> str:
        """The name of the argument that an entry of `args` means."""
        if isinstance(key, str):
            name = key
        elif isinstance(key, (sympy.Symbol, Idx, *NAMED_ARRAYS)):
            name = self.names.get(key, symbol_name(key))
        else:
            advice = "give its IndexedBase" if isinstance(key, Indexed) else "give symbols or their names"
            raise FormulaError(f"args holds {shown(key)}, which is not a symbol: {advice}")
        owner = self.owners.get(name)
        if owner is None:
            _check_reserved(name)
            self.extra[name] = None if isinstance(key, str) else key
            return name
        label = isinstance(owner, (IndexedBase, Idx)) and isinstance(key, (sympy.Symbol, IndexedBase))
        if not isinstance(key, str) and owner != key and not label:
            raise FormulaError(
                f"args holds another symbol called {printable(name)!r} than the expression: "
                f"{_described(key)}, not {_described(owner)}; give the same object, or the name"
            )
        return name

    def _list(self, args: Any) -> None:
        if not isinstance(args, (list, tuple, sympy.Tuple)):
            raise FormulaError(
                f"args is a {type(args).__name__}: give a tuple of symbols or names, or a mapping such as "
                '{x: "n", "k": "int"}'
            )
        self.listed = {}
        for key in args:
            name = self._resolve(key)
            if name in self.listed:
                raise FormulaError(f"args lists {printable(name)} twice: leave out one of them")
            self.listed[name] = None

    # -- declarations -------------------------------------------------------------------------

    def declare(self) -> None:
        """Put the inputs into the graph, and the nodes of symbols and arrays into the translator."""
        for item in self.survey.scalars:
            if self._dtype(self.names[item]) == "int64":  # an integer is a dimension, wherever it stands
                self.translator.scalars[item] = self.graph.dim(self.names[item])
        shapes = {
            name: self._shape(item, name)
            for name, item in self.owners.items()
            if isinstance(item, NAMED_ARRAYS)
        }
        for name, item in self.extra.items():
            if name in self.declared:
                shapes[name] = self.declared[name].shape
            elif isinstance(item, NAMED_ARRAYS):
                shapes[name] = self._unused(item, name)
        for name in self._order({dim.name for shape in shapes.values() for dim in shape}):
            node = self.graph.input(name, self._dtype(name), shapes.get(name, ()))
            owner = self.owners.get(name)
            if isinstance(owner, NAMED_ARRAYS):
                self.translator.arrays[owner] = node
            elif owner is not None and node.dtype != "int64":
                self.translator.scalars[owner] = node
        self._size_dimensions(shapes)

    def _dtype(self, name: str) -> str:
        """The type of an argument, from its use and its declaration, which must agree."""
        item, given = self.owners.get(name, self.extra.get(name)), self.declared.get(name)
        array, used = isinstance(item, NAMED_ARRAYS), name in self.owners
        if item in self.survey.truths:
            if item in self.survey.numbers or item in self.survey.integers:
                raise FormulaError(
                    f"the symbol {printable(name)} is used as a number and as a condition: use two symbols, "
                    f"or a comparison such as {printable(name)} > 0"
                )
            needed = "bool"
        else:  # a plain symbol is an integer where a declared shape has it
            integer = name in self.sizes or (item is not None and item.is_integer)
            needed = "int64" if item in self.survey.integers or (integer and not array) else "float64"
        if given is None:
            return needed
        if given.shape and used and not array:
            raise UnsupportedError(
                f"args declares {printable(name)} as an array, but the expression has it as a scalar symbol: "
                f"write IndexedBase({printable(name)!r})[i] for its elements"
            )
        unfit = given.dtype != needed if needed != "float64" else given.dtype == "bool"
        if unfit and (used or name in self.sizes):
            raise FormulaError(
                f"args declares {printable(name)} as {given.dtype}, but the expression uses it as "
                f"{_USES[needed]}: declare it {_DECLARED[needed]}"
            )
        return given.dtype

    def _shape(self, base: Any, name: str) -> tuple[Dim, ...]:
        rank, given = self.survey.arrays[base], self.declared.get(name)
        shape: tuple[Dim, ...]
        own = base.shape is not None and (given is None or not isinstance(base, IndexedBase))
        if own:
            value, what = self.translator.value, f"the shape of {printable(name)}"
            shape = tuple(self.translator.dimension(value(d, integer=True), what) for d in base.shape)
            if given is not None and shape != given.shape:
                raise FormulaError(
                    f"args declares {printable(name)} of shape ({', '.join(map(str, given.shape))}), but it is "
                    f"{_described(base)}: make it with that shape, or leave the declaration out"
                )
        elif given is not None:
            shape = given.shape
        else:
            self.translator.undeclared.add(base)
            label = name if name.isascii() and name.isidentifier() else "array"
            shape = tuple(Dim.of(self._fresh(f"{label}_dim{axis}")) for axis in range(rank))
        if len(shape) != rank:
            indices = "1 index" if rank == 1 else f"{rank} indices"
            raise FormulaError(
                f"{printable(name)} has {indices} in the expression, but its shape "
                f"({', '.join(map(str, shape))}) has {len(shape)}: declare one dimension for each index"
            )
        return shape

    def _unused(self, base: Any, name: str) -> tuple[Dim, ...]:
        """The shape of an array that only `args` has, such as a matrix that a derivative has lost."""
        sizes: tuple[Any, ...] = base.shape if isinstance(base, ARRAY_SYMBOLS) else (None,)
        if not all(isinstance(size, (sympy.Integer, sympy.Symbol)) for size in sizes):
            raise FormulaError(
                f"the expression does not use the array {printable(name)}: leave it out of args, or "
                "declare its shape in a mapping"
            )
        return tuple(Dim.of(int(d) if isinstance(d, sympy.Integer) else self.names.get(d, d.name)) for d in sizes)

    def _order(self, bound: set[str | None]) -> list[str]:
        """The names of the arguments in their order: all but the dimensions that an array binds."""
        needed = sorted(
            name
            for name, item in self.owners.items()
            if isinstance(item, NAMED_ARRAYS) or name not in bound or self._dtype(name) != "int64"
        )
        if self.listed is None:
            return [*self.declared, *(name for name in needed if name not in self.declared)]
        missing = [printable(name) for name in needed if name not in self.listed]
        if missing:
            more = f", and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise FormulaError(
                f"the expression uses {', '.join(missing[:5])}{more}, which args does not list: add what is "
                "missing, or leave args out to take all symbols by name"
            )
        return list(self.listed)

    def _size_dimensions(self, shapes: Mapping[str, tuple[Dim, ...]]) -> None:
        """A size that no array gives by itself, as n in n + 1, becomes an integer argument at the end."""
        dims = [dim for shape in shapes.values() for dim in shape]
        sized = {dim.name for dim in dims} | set(self.graph.inputs)
        for name in sorted({name for dim in dims for name in dim.names()} - sized):
            self.graph.input(name, "int64")


_USES = {
    "bool": "a condition",
    "float64": "a number",
    "int64": "an integer (an index, a bound, or a symbol made with integer=True)",
}
_DECLARED = {"bool": '"bool"', "float64": '"float" or "int"', "int64": '"int"'}


def _check_reserved(name: str) -> None:
    if name in RESERVED:
        raise FormulaError(
            f"{name!r} is a reserved name (an argument of every Function): call the symbol "
            f"{RESERVED[name]!r} or the like"
        )


_ARTICLES = dict(zip(ARRAY_SYMBOLS, ("a MatrixSymbol", "an ArraySymbol"), strict=True))


def _described(item: Any) -> str:
    """A symbol for a message that must tell it from another of the same name."""
    if isinstance(item, IndexedBase):
        return f"an IndexedBase{'' if item.shape is None else ' of shape ' + shown(item.shape)}"
    if isinstance(item, ARRAY_SYMBOLS):
        return f"{_ARTICLES[type(item)]} of shape {shown(item.shape)}"
    if isinstance(item, Idx):
        return "an Idx"
    facts = [f"{fact}={value}" for fact, value in sorted(item._assumptions_orig.items())]
    return f"a {type(item).__name__} ({', '.join(facts) or 'no assumptions'})"
