"""Functions whose shapes are not declared: compiled when they are first called, for the kinds of their arguments.

A `Late` holds a Python function. Each call looks at rank, dtype and the dimensions that are exactly 1 of every
argument, never at sizes, at the structure of nested ones and at the values of static ones, and goes to the
Function compiled for them. Dimensions that the function itself needs
to be equal get one name: tracing runs twice, the first time to find them. A derivative of a Late is a Late that
asks for the derivative of what was compiled.
"""

from __future__ import annotations

import functools
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gradc.ir.dims import Dim
from gradc.ir.errors import ArgumentError, FormulaError

from .adapters import Adapters
from .annotations import annotated
from .arguments import bind, is_traced
from .compiled import Options
from .from_python import NeededWhole, Program, declared, parameters_of, traced
from .function import Function
from .nesting import NOT_PLAIN, Kind, Taker, taker
from .shapes import Declaration, declaration
from .structured import Structured, compiled
from .structures import NOTHING, Tree, argument_entries, fixed, grow, leaves, outline, unused
from .wrt import named_in, no_such

if TYPE_CHECKING:
    from .compressed import Compressed

Step = str | tuple[str, Any]                        # to a derivative: a property, or a method with its argument
_DTYPES = {"b": "bool", "i": "int", "u": "int"}
PRODUCTS = frozenset(("jvp", "vjp", "hvp"))
# types of defaults that are options
AUTOMATIC = (str, bool, types.FunctionType, types.MethodType, types.BuiltinFunctionType, np.ufunc, type)


class Late(Adapters):
    """A function that is compiled at its first call; otherwise it is used as a Function.

    >>> import numpy as np
    >>> import gradc
    >>> f = gradc.compile(lambda x: np.sum(x * x), jit=False)
    >>> f([1.0, 2.0]), f.grad([1.0, 2.0])
    (5.0, array([2., 4.]))
    """

    def __init__(self, function: Callable[..., Any], wrt: Any, options: Options, args: Any = None,
                 static: Sequence[str] = (), base: Late | None = None, path: tuple[Step, ...] = ()) -> None:
        self._function, self._wrt, self._options, self._path = function, wrt, options, path
        self._given, self._static, self._base = args, tuple(static), base
        self._made: dict[tuple[Any, ...], Function | Structured] = {} if base is None else base._made
        self._takers: dict[tuple[Any, ...], Taker] = {}
        self._last: tuple[Taker, Any] | None = None
        self._is_product = not PRODUCTS.isdisjoint(map(str, path))
        self._trees: dict[str, Tree] = {}
        self._leaves: dict[str, Declaration] = {}
        parameters = parameters_of(function)
        if args is not None:
            self._trees, self._leaves = declared(function, args, dict.fromkeys(static, NOTHING))
            self._trees = {name: tree for name, tree in self._trees.items() if name not in static}
        self._names = tuple(parameters)
        self._defaults = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
        self.__name__, self.__qualname__ = function.__name__, function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__ or Late.__doc__

    @property
    def args(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return self._names

    @property
    def optional(self) -> tuple[str, ...]:
        """The arguments that have a default."""
        return tuple(self._defaults)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The arguments to differentiate by, as far as they are known before a call: those that must be given."""
        if self._wrt is not None:
            return named_in(self._wrt, self._names)
        return tuple(name for name in self._names if name not in self._defaults and name not in self._static)

    @functools.cached_property
    def grad(self) -> Late:
        """The gradient, compiled at its first call."""
        return self._derived("grad")

    @functools.cached_property
    def value_and_grad(self) -> Late:
        """(value, gradient), compiled at its first call."""
        return self._derived("value_and_grad")

    @property
    def jvp(self) -> Late:
        """The derivative along a direction, compiled at its first call."""
        return self._derived("jvp")

    @property
    def vjp(self) -> Late:
        """The gradient for given cotangents, compiled at its first call."""
        return self._derived("vjp")

    @property
    def hvp(self) -> Late:
        """The product of the Hessian with a vector, compiled at its first call."""
        return self._derived("hvp")

    @property
    def jacobian(self) -> Late:
        """All first derivatives, compiled at its first call."""
        return self._derived("jacobian")

    @property
    def hessian(self) -> Late:
        """All second derivatives, compiled at its first call."""
        return self._derived("hessian")

    @property
    def value_and_jacobian(self) -> Late:
        """(value, Jacobian), compiled at its first call."""
        return self._derived("value_and_jacobian")

    @property
    def sparse(self) -> Late:
        """Of a `jacobian`, `hessian` or `value_and_jacobian`: SciPy sparse arrays, compiled at its first call."""
        return self._derived("sparse")

    @property
    def stacked(self) -> Late:
        """Of `sparse`: one matrix."""
        return self._derived("stacked")

    def pattern(self, /, *args: Any, **keywords: Any) -> Any:
        """Of a Jacobian or Hessian: where entries may be other than 0."""
        return self.at(*args, **keywords).pattern(*args, **keywords)

    def draw_pattern(self, /, *args: Any, **keywords: Any) -> Any:
        """The same as a picture."""
        return self.at(*args, **keywords).draw_pattern(*args, **keywords)

    @property
    def many(self) -> Late:
        """Of a product: several directions at once, compiled at its first call."""
        return self._derived("many")

    def by(self, wrt: Any) -> Late:
        """The same function with other arguments to differentiate by."""
        names = named_in(wrt, self._names)
        for name in names:
            if name not in self._names:
                raise no_such(name, self._names)
        return self._derived(("by", names))

    def by_mode(self, mode: str) -> Late:
        """The Jacobian by "forward" or "reverse" mode alone, compiled at its first call."""
        return self._derived(("by_mode", mode))

    @property
    def summed(self) -> Late:
        """The sum of all that the function returns, compiled at its first call."""
        return self._derived("summed")

    def along(self, how: tuple[Any, bool, bool]) -> Late:
        """A derivative and other results beside it, compiled at its first call: see `along`."""
        return self._derived(("along", how))

    def compressed(self, pattern: Any, *, by: str = "", order: str = "", check: bool = True) -> Compressed:
        """Of a `jacobian` or `hessian`: the same as a sparse matrix, by products; see `gradc.compiler.compressed`."""
        from .compressed import compressed

        primal = Late(self._function, self._wrt, self._options, self._given, self._static, self._base or self,
                      self._path[:-1])
        return compressed(primal, self._path[-1] if self._path else self.__name__, pattern, by, order, check)

    def once(self, step: tuple[str, Any]) -> Late:
        """What a method gives for an argument."""
        return self.by(step[1]) if step[0] == "by" else self._derived(step)

    def _derived(self, step: Step) -> Late:
        return Late(self._function, self._wrt, self._options, self._given, self._static, self._base or self,
                    (*self._path, step))

    def __call__(self, /, *args: Any, out: Any = None, workspace: Any = None, **keywords: Any) -> Any:
        """The value for arguments of any kind; errors are those of a Function."""
        if workspace is not None:
            found, values, named = self._whole_call(args, keywords)
            return found(*values, out=out, workspace=workspace, **named)
        if self._last is not None and not keywords and len(args) == len(self._names):
            take, found = self._last                            # most calls are of the kind of the one before
            try:
                given = take(*args)
            except NOT_PLAIN:
                given = None
            if given is not None:
                return found.of_leaves(given, out) if type(found) is Structured else found(*given, out=out)
        if self._is_product:
            found, values, named = self._whole_call(args, keywords)
            return found(*values, out=out, **named)
        values = self.values(args, keywords)
        key = self._key(values)
        found = self._found(key, values)
        if key not in self._takers:
            trees, leaves = self._structure(values)
            self._takers[key] = taker(trees, {name: _kind(leaf) for name, leaf in leaves.items()})
        self._last = self._takers[key], found
        return found(*values, out=out)

    def workspace(self, /, *args: Any, **keywords: Any) -> np.ndarray[Any, Any]:
        """Memory for the buffers of calls with arguments of this kind and size or smaller ones, as `workspace=`."""
        found, values, named = self._whole_call(args, keywords)
        made: np.ndarray[Any, Any] = found.workspace(*values, **named)
        return made

    def _whole_call(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Any, Sequence[Any],
                                                                                     dict[str, Any]]:
        """The Function of a call, its arguments in their order, and the directions of a product that are named."""
        more: Sequence[Any] = ()
        named: dict[str, Any] = {}
        if self._is_product:                                    # directions follow the arguments
            args, more = args[:len(self._names)], args[len(self._names):]
            named = {name: value for name, value in keywords.items() if name not in self._names}
            keywords = {name: value for name, value in keywords.items() if name in self._names}
        values = self.values(args, keywords)
        return self._found(self._key(values), values), [*values, *more], named

    def at(self, /, *args: Any, **keywords: Any) -> Function | Structured:
        """The Function for arguments of this kind, compiled if it is the first time."""
        return self._at(self.values(args, keywords))

    def bound(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Function | Structured, Sequence[Any]]:
        """The Function for the arguments of a call, and these arguments in their order, defaults among them."""
        values = self.values(args, keywords)
        return self._at(values), values

    def _at(self, values: Sequence[Any]) -> Function | Structured:
        return self._found(self._key(values), values)

    def _found(self, key: tuple[Any, ...], values: Sequence[Any]) -> Function | Structured:
        found: Any = self._made.get(key)
        if found is None:
            found = self._made[key] = self._compiled(values)
        return cast("Function | Structured", _followed(found, self._path))

    def _key(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """What tells apart the calls that need a compilation of their own; made of tuples, since every call asks."""
        key: list[Any] = []
        leaves: list[Any] = []
        for name, value in zip(self._names, values, strict=True):
            if name in self._static:
                key.append(fixed(name, value).identity)
            elif name not in self._trees:
                key.append(outline(value, leaves))
        for leaf in leaves:
            array = leaf if type(leaf) is np.ndarray else _example(leaf)
            shape = array.shape
            ones = tuple(size == 1 for size in shape) if 1 in shape else ()
            key.append((array.dtype.num, len(shape), *ones))
        return tuple(key)

    def _compiled(self, values: Sequence[Any]) -> Function | Structured:
        """The Function for arguments of this kind, or the one of another kind that means the same."""
        start = time.perf_counter()
        trees, leaves = self._structure(values)
        program, settled = self._traced(trees, {name: _kind(leaf) for name, leaf in leaves.items()})
        key = (*trees.values(), *settled.values())
        if key not in self._made:
            self._made[key] = compiled(program, self._wrt, self._options, start)
        return self._made[key]

    def _structure(self, values: Sequence[Any]) -> tuple[dict[str, Tree], dict[str, Any]]:
        """The structure of every argument, and the leaves whose kinds are to be looked at."""
        trees: dict[str, Tree] = {}
        leaves: dict[str, Any] = {}
        taken = {*self._names, *self._leaves}
        for name, value in zip(self._names, values, strict=True):
            if name in self._static:
                trees[name] = fixed(name, value)
            elif name in self._trees:
                trees[name] = self._trees[name]
            else:
                trees[name] = _grown(name, value, taken, leaves)
        return trees, leaves

    def _traced(self, trees: dict[str, Tree], kinds: dict[str, Kind]) -> tuple[Program, dict[str, Kind]]:
        """The program for leaves of some kinds; whole numbers are real ones, unless the function needs them whole."""
        whole: set[str] = set()
        while True:
            settled = {name: ("float" if dtype == "int" and name not in whole else dtype, ones)
                       for name, (dtype, ones) in kinds.items()}
            try:
                return traced(self._function, trees, _unified(self._function, trees, settled, self._leaves)), settled
            except NeededWhole as error:
                if error.argument in whole or kinds.get(error.argument, ("",))[0] != "int":
                    raise
                whole.add(error.argument)

    def values(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Sequence[Any]:
        """The arguments of a call in their order, defaults among them."""
        if not keywords and len(args) == len(self._names):
            return args
        missing = {name: value for name, value in self._defaults.items()
                   if name not in keywords and name not in self._names[:len(args)]}
        return bind(self._names, args, {**missing, **keywords})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not (hasattr(Function, name) or hasattr(Structured, name)):
            raise AttributeError(f"a function that is compiled at its first call has no attribute {name}")
        return getattr(self.only(name), name)

    def only(self, purpose: str) -> Function | Structured:
        """The one Function that calls have made so far, or that needs no call; ArgumentError if there is none."""
        found = list(dict.fromkeys(self._made.values()))
        if not found and all(name in (self._defaults if name in self._static else self._trees) for name in self._names):
            values = [self._defaults.get(name) for name in self._names]         # all is known but for options
            found = [self._made.setdefault(self._key(values), self._compiled(values))]
        if len(found) != 1:
            raise ArgumentError(
                f"{self.__name__}.{purpose} needs the shapes of the arguments, and it was called with "
                f"{len(found) or 'no'} kinds of them: declare them in args, or take .at(...) of some arguments")
        return cast("Function | Structured", _followed(found[0], self._path))

    def __repr__(self) -> str:
        return f"<gradc function {self.__name__}({', '.join(self.args)}), compiled when it is called>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """A pickle names the function, so it is found where it can be imported; else what `at` gives is pickled."""
        if self._base is not None:
            return _followed, (self._base, self._path)
        if _imported(self) is self:
            return str(self.__qualname__)
        if _imported(self) is not self._function:
            raise ArgumentError(f"{self.__name__} cannot be pickled, since its Python function cannot be imported by "
                                "its name: pickle .at(...) of some arguments, or define it at the top of a module")
        return Late, (self._function, self._wrt, self._options, self._given, self._static)


def _followed(function: Any, path: Sequence[Step]) -> Any:
    """A derivative of a function, and of that one, and so on."""
    for step in path:
        function = getattr(function, step) if isinstance(step, str) else function.once(step)
    return function


def _imported(late: Late) -> object:
    """What stands in the module of a function under its name."""
    found: Any = sys.modules.get(late.__module__)
    for name in late.__qualname__.split("."):
        found = getattr(found, name, None)
    return found


def _grown(name: str, value: Any, taken: set[str], leaves: dict[str, Any]) -> Tree:
    def label(inner: str, leaf: Any) -> str:
        if isinstance(leaf, (str, bytes)) or callable(leaf):
            raise ArgumentError(f"the argument {inner} is of type {type(leaf).__name__}, which is no array: list "
                                f'{name} in static=("{name}",), so that a compilation is made for each of its values')
        key = name if inner == name else unused(inner, taken)
        leaves[key] = leaf
        return key

    return grow(value, name, argument_entries, label)


def _example(value: Any) -> np.ndarray[Any, Any]:
    """The value as an array; for one that is being traced an array of its kind."""
    if not is_traced(value):
        return np.asarray(value)
    return np.empty([1 if dim.constant == 1 else 2 for dim in value.array.shape], value.dtype)


def _kind(value: Any) -> Kind:
    """The dtype of an argument, and for each dimension whether it is exactly 1."""
    array = _example(value)
    dtype = "float32" if array.dtype == np.float32 else _DTYPES.get(array.dtype.kind, "float")
    return dtype, tuple(size == 1 for size in array.shape)


def _unified(function: Callable[..., Any], trees: dict[str, Tree], kinds: Mapping[str, Kind],
             known: Mapping[str, Declaration]) -> dict[str, Declaration]:
    """Declarations for leaves of some kinds: a name for each dimension, one for those that must be equal."""
    taken = {*kinds, *known, *(name for d in known.values() for dim in d.shape for name in dim.names())}
    first = {name: [unused(f"{name}_{k}" if len(ones) > 1 else f"n_{name}", taken) for k in range(len(ones))]
             for name, (_, ones) in kinds.items()}

    def made(renamed: Mapping[str, str]) -> dict[str, Declaration]:
        found = dict(known)
        for name, (dtype, ones) in kinds.items():
            dims = ["1" if one else renamed.get(dim, dim) for dim, one in zip(first[name], ones, strict=True)]
            found[name] = declaration(name, " ".join([dtype, *dims]))
        return {name: found[name] for tree in trees.values() for name in leaves(tree)}

    graph = traced(function, trees, made({})).graph
    renamed: dict[str, str] = {}
    ours = {dim for dims in first.values() for dim in dims}
    for left, right in graph.equal:
        a, b = (_plain(dim, renamed) for dim in (left, right))
        if a not in ours:
            a, b = b, a
        if a in ours and b and a != b:
            renamed = {dim: b if to == a else to for dim, to in renamed.items()} | {a: b}
    return made(renamed)


def _plain(dim: Dim, renamed: Mapping[str, str]) -> str:
    """The name that a dimension has now; "" for a number or a computed size."""
    if dim.name is None:
        return str(dim.constant) if dim.constant is not None else ""
    return renamed.get(dim.name, dim.name)


def statics(function: Callable[..., Any], args: Any, static: Any) -> tuple[str, ...]:
    """The static arguments: those named, and those that have an option (a text, a truth value) as default."""
    parameters = parameters_of(function)
    named = named_in(static, parameters) if static is not None else ()
    stated = set(args) if isinstance(args, Mapping) else set()
    for name in named:
        if name not in parameters:
            raise FormulaError(f"static names {name}, which is no argument of {function.__name__}: the arguments are "
                               f"{', '.join(parameters)}")
        if name in stated:
            raise FormulaError(f"{name} is static, and is declared in args: it is one or the other")
    options = [name for name, p in parameters.items()
               if isinstance(p.default, AUTOMATIC) and p.default is not p.empty and name not in stated
               and annotated(function, p) is None]
    return tuple(name for name in parameters if name in named or name in options)
