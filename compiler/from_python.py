"""The Python front end: a function that uses NumPy is run once on traced values and leaves its graph.

The function runs as a copy whose globals and closure see stand-ins for numpy, math and scipy.special, so
that `np.zeros((n, 2))`, `np.array([x, y])` and `math.exp(x)` are seen too; what NumPy's protocols catch needs
no stand-in. Helper functions of the user's own are copied in the same way. The user's function itself is
never changed. Names of local variables become names of the graph. What the calls mean is left to
`numpy_functions`, what the values do to `traced`.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.collecting import put_off
from gradc.ir.errors import FormulaError, GradcError, UnsupportedError
from gradc.ir.graph import Graph, copy_graph

from .annotations import annotated
from .calls import copied
from .gathered import settle
from .numpy_constructors import CONSTRUCTORS
from .numpy_dtypes import number_type
from .numpy_table import call, constructed, trace_of
from .objects import Copies, is_users, is_users_module, seen
from .shapes import Declaration, declaration, declarations
from .structures import NOTHING, Entries, Fixed, Leaf, Tree, entries, fill, grow, unused
from .traced import Trace, Traced

MODULES = ("numpy", "numpy.linalg", "numpy.fft", "numpy.polynomial", "numpy.polynomial.polynomial", "math", "scipy",
           "scipy.special", "scipy.linalg", "gradc", "gradc.nn", "gradc.compiler.nn")
MATH = {"math.pow": "power", "math.fabs": "abs", "math.lgamma": "loggamma", "math.fsum": "sum",
        "math.log": "math.log", "math.hypot": "math.hypot", "math.dist": "math.dist"}       # other than NumPy's


ABSTRACT = (np.number, np.integer, np.signedinteger, np.unsignedinteger, np.inexact, np.floating, np.complexfloating)


class NeededWhole(UnsupportedError):
    """An argument that was declared real is used as an index."""

    def __init__(self, message: str, argument: str) -> None:
        super().__init__(message)
        self.argument = argument


class Program(NamedTuple):
    """A traced function: its graph, the structure of every argument, and that of the result by output number."""

    graph: Graph
    arguments: dict[str, Tree]
    result: Tree


def convert(function: Callable[..., Any], args: Any = None) -> Graph:
    """The graph of a Python function of arrays and numbers.

    function  an ordinary function that uses NumPy; it is run once, on values without numbers
    args      declarations as for formulas, {"W": "h d", "y": "c"}, or structures of them, {"p": {"W": "h d"}};
              what is not declared takes that of its annotation ("h d"), or is a real number

    UnsupportedError, with the line, for what cannot be traced: a Python branch on a traced value, a function
    of NumPy that is not known. FormulaError for declarations that do not fit the signature.

    >>> def score(W, x):
    ...     return np.sum(W @ x)
    >>> graph = convert(score, {"W": "h d", "x": "d"})
    >>> list(graph.inputs), graph.outputs[0][0]
    (['W', 'x'], 'value')
    """
    return traced(function, *declared(function, args)).graph


@put_off()
def traced(function: Callable[..., Any], arguments: Mapping[str, Tree], leaf: Mapping[str, Declaration]) -> Program:
    """A function run once on arguments of these structures, whose leaves have these declarations."""
    code = inspect.unwrap(function).__code__                    # the user's file, for messages
    graph = Graph(source=f"{function.__name__}({', '.join(arguments)})")
    trace = Trace(graph, code.co_filename)
    bound = {dim.name for d in leaf.values() for dim in d.shape}
    values = {}
    for name, d in leaf.items():
        values[name] = trace.value(trace.whole(graph.input(name, d.dtype, d.shape)))
    for name in sorted({n for d in leaf.values() for dim in d.shape for n in dim.names()} - bound - set(leaf)):
        graph.input(name, "int64")
    copies = Copies()
    given = {name: _seen(trace, tree.value, copies) if isinstance(tree, Fixed) else fill(tree, values.__getitem__)
             for name, tree in arguments.items()}
    try:
        result = _named_run(trace, _copied(function, trace, copies), given, copies)
    except UnsupportedError as error:
        if trace.needed_whole:
            raise NeededWhole(str(error), trace.needed_whole) from None
        raise
    sizes = {name: Leaf(name) for name in graph.inputs if name not in leaf}
    results = _outputs(trace, result)
    settled = settle(graph, trace.arrays.gathered)
    return Program(copy_graph(settled) if trace.unknowns else settled, {**arguments, **sizes}, results)


# -- arguments ----------------------------------------------------------------------------------------


def declared(function: Callable[..., Any], args: Any,
             static: Mapping[str, Fixed] | None = None) -> tuple[dict[str, Tree], dict[str, Declaration]]:
    """The structure of each parameter and the declaration of each leaf, from `args` and annotations."""
    parameters, static = parameters_of(function), static or {}
    nested = {n: t for n, t in args.items() if entries(t) is not None} if isinstance(args, Mapping) else {}
    known = declarations({n: t for n, t in args.items() if n not in nested} if nested else args)
    for name in (*known, *nested):
        if name not in parameters:
            raise FormulaError(f"args declares {name}, which is no argument of {function.__name__}\n"
                               f"The arguments are {', '.join(parameters)}.")
    trees: dict[str, Tree] = {}
    found: dict[str, Declaration] = {}
    taken = set(parameters)

    def label(inner: str, text: Any) -> str:
        key = inner if inner == name else unused(inner, taken)
        found[key] = text if isinstance(text, Declaration) else declaration(inner, text)
        return key

    for name, parameter in parameters.items():
        if name in static:
            trees[name] = static[name]
            continue
        given = known.get(name, nested.get(name))
        given = given if given is not None else annotated(function, parameter)
        trees[name] = grow("" if given is None else given, name, _declared_entries, label)
    return trees, found


def _declared_entries(value: Any) -> Entries | None:
    return None if isinstance(value, Declaration) else entries(value)


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, each of which must have a name that an argument can have."""
    parameters = dict(inspect.signature(function).parameters)
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UnsupportedError(f"the function {function.__name__} takes *{name}\n"
                                   "Name every argument, so that each can be declared.")
        declarations({name: ""})                                # refuses names that are reserved
    return parameters


def is_declared(function: Callable[..., Any], args: Any) -> bool:
    """Whether the shapes of all arguments are known: from `args`, or from annotations that are declarations."""
    return args is not None or all(
        annotated(function, p) is not None for p in parameters_of(function).values())


# -- the copy that runs -----------------------------------------------------------------------------


class StandIn:
    """A module as the traced function sees it: functions on traced values, everything else as it is."""

    def __init__(self, trace: Trace, module: types.ModuleType, copies: Copies) -> None:
        self._trace, self._module, self._copies = trace, module, copies

    def __getattr__(self, name: str) -> Any:
        return _seen(self._trace, getattr(self._module, name), self._copies)


def _seen(trace: Trace, value: Any, copies: Copies) -> Any:
    """A global or a closed-over value as the copy sees it."""
    if isinstance(value, types.ModuleType):
        return StandIn(trace, value, copies) if value.__name__ in MODULES else value
    if isinstance(value, types.FunctionType):
        if is_users(value):
            return _copied(value, trace, copies)
        if hasattr(value, "__gradc_traced__"):                  # ours that need the trace, also for plain numbers
            return functools.partial(value.__gradc_traced__, trace)
    if isinstance(value, type) and issubclass(value, (np.number, np.bool_)) and value not in ABSTRACT:
        return number_type(value)
    if value is np.r_ or value is np.c_:
        return Brackets(trace, value)
    if callable(value) and not isinstance(value, type):
        name = _name_of(value)
        if name is not None:
            return Either(trace, name, value)
        wrapped = copied(value, lambda inner: _seen(trace, inner, copies))
        if wrapped is not None:
            return wrapped
    return seen(value, lambda inner: _seen(trace, inner, copies), copies)


def _name_of(function: Any) -> str | None:
    """The name in the table of a function of NumPy, math or SciPy."""
    own = getattr(function, "__name__", "")
    module = getattr(function, "__module__", "") or ""
    if isinstance(function, np.ufunc):
        special = sys.modules.get("scipy.special")
        return f"special.{own}" if special is not None and getattr(special, own, None) is function else own
    if module == "math":
        return MATH.get(f"math.{own}", own)
    if module.startswith("scipy.special"):
        return f"special.{own}"
    if module.startswith("scipy.linalg"):
        return f"scipy.linalg.{own}"
    if module.startswith(("numpy.linalg", "numpy.fft", "numpy.polynomial")):
        return f"{module.removeprefix('numpy.').replace('linalg._linalg', 'linalg')}.{own}"
    return own if module.startswith("numpy") else None


class Either:
    """A function of a module: its traced meaning where a traced value comes in or an array is made, else itself."""

    def __init__(self, trace: Trace, name: str, function: Callable[..., Any]) -> None:
        self._trace, self._name, self._function = trace, name, function

    @property
    def original(self) -> Callable[..., Any]:
        """The function itself."""
        return self._function

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if self._name in CONSTRUCTORS:
            return constructed(self._trace, self._name, args, keywords)
        if trace_of((*args, *keywords.values())) is None:
            return self._function(*args, **keywords)
        return call(self._name, args, keywords)

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._function, name)
        if isinstance(self._function, np.ufunc) and name in ("reduce", "accumulate", "outer", "at", "reduceat"):
            return Either(self._trace, f"{self._name}.{name}", own)
        return own


class Brackets:
    """`np.r_` and `np.c_`: arrays in brackets, one after the other or as columns."""

    def __init__(self, trace: Trace, own: Any) -> None:
        self._trace, self._own = trace, own

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if trace_of(items) is None:
            return self._own[key]
        if any(isinstance(item, (slice, str)) for item in items):
            raise self._trace.refused("np.r_ and np.c_ of slices or texts beside traced arrays",
                                      "Write np.concatenate or np.column_stack, and np.arange for a slice.")
        if self._own is np.c_:
            return call("column_stack", (items,), {})
        return call("concatenate", ([constructed(self._trace, "atleast_1d", (item,), {}) for item in items],), {})


def _copied(function: Any, trace: Trace, copies: Copies) -> Any:
    """The function with stand-ins among its globals and in its closure; its own globals stay as they are."""
    if function in copies:
        return copies[function]
    changed: dict[str, Any] = {"__import__": _importer(trace, copies), "len": _length}
    if not str(function.__module__).startswith("gradc."):       # ours ask for what is traced
        changed |= {"isinstance": _is_instance, "type": _type, "hasattr": _has_attribute}
    scope: dict[str, Any] = {"__builtins__": {**vars(builtins), **changed}}
    copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__,
                              tuple(types.CellType() for _ in function.__closure__ or ()))
    copy.__kwdefaults__ = function.__kwdefaults__
    copies[function] = copy
    names = _names_in(function.__code__)
    scope |= {name: _seen(trace, value, copies) for name, value in function.__globals__.items() if name in names}
    for cell, own in zip(copy.__closure__ or (), function.__closure__ or (), strict=True):
        try:
            cell.cell_contents = _seen(trace, own.cell_contents, copies)
        except ValueError:                                      # a cell that is still empty
            continue
    return copy


def _length(value: Any) -> Any:
    """What `len` is inside the copy: the size of a traced array, also where it is no number yet."""
    return value.shape[0] if isinstance(value, Traced) and value.ndim else len(value)


def _is_instance(value: Any, kinds: Any) -> bool:
    """What `isinstance` is inside the copy: a traced value is what NumPy or Python would have in its place."""
    if isinstance(kinds, (tuple, types.UnionType)):
        return any(_is_instance(value, kind) for kind in (kinds if isinstance(kinds, tuple) else kinds.__args__))
    kind = builtins.type if kinds is _type else getattr(kinds, "numpy", kinds)
    return any(isinstance(one, kind) for one in (_likes(value) if isinstance(value, Traced) else (value,)))


def _type(*args: Any) -> Any:
    """What `type` is inside the copy, for a traced value as for others."""
    return type(_likes(args[0])[0]) if len(args) == 1 and isinstance(args[0], Traced) else type(*args)


def _has_attribute(value: Any, name: str) -> bool:
    """What `hasattr` is inside the copy: a traced number has no length."""
    return hasattr(value, name) and (not isinstance(value, Traced) or any(hasattr(one, name) for one in _likes(value)))


def _likes(value: Traced) -> tuple[Any, ...]:
    """Values of the types that stand where a traced one is: an array, or a number of Python's and of NumPy's."""
    kind = np.dtype(value.array.dtype)
    return (np.empty((0,) * value.ndim),) if value.ndim else (kind.type(0).item(), kind.type(0))


def _importer(trace: Trace, copies: Copies) -> Callable[..., Any]:
    """What `import` does inside the copy: the module, as the copy sees it."""

    def importing(*args: Any, **keywords: Any) -> Any:
        return _seen(trace, builtins.__import__(*args, **keywords), copies)

    return importing


def _names_in(code: types.CodeType) -> set[str]:
    """The global names that a function, or one inside it, mentions."""
    found, waiting = set(code.co_names), list(code.co_consts)
    while waiting:
        item = waiting.pop()
        if isinstance(item, types.CodeType):
            found |= set(item.co_names)
            waiting += item.co_consts
    return found


def _named_run(trace: Trace, function: Any, given: Mapping[str, Any], copies: Copies) -> Any:
    """Run the copy; what its local variables hold at its end gets their names, unless they are given from outside."""
    def watch(frame: Any, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event == "return" and code in copies.codes:
            taken = {*given, *code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]}
            for name, value in frame.f_locals.items():
                if isinstance(value, Traced) and name not in taken:
                    node = value.last.node
                    if node.op not in ("const", "dim", "axis", "input", "read") and name.isidentifier():
                        trace.graph.name(node, name)

    positional = [given[p.name] for p in inspect.signature(function).parameters.values()
                  if p.kind is p.POSITIONAL_ONLY]
    named = dict(list(given.items())[len(positional):])
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        return function(*positional, **named)
    except GradcError:
        raise
    except RecursionError:
        raise UnsupportedError(f"{function.__name__} calls itself without end while it is traced\n"
                               "A Python recursion must end by numbers, not by traced values.") from None
    except Exception as error:
        place = _unseen(error)
        if place is None:
            raise
        problem = str(error).partition("\n")[0]
        raise UnsupportedError(f"{function.__name__} runs {place} as it is, since it is reached through an object that "
                               f"cannot be followed, and it ended with {type(error).__name__}: {problem}\n"
                               "Pass the function or the method itself, or give its class no __slots__, no metaclass "
                               "and no base of another library.") from error
    finally:
        sys.setprofile(before)


def _unseen(error: Exception) -> str | None:
    """The last function of the user's under an error that ran with its own globals, and its line."""
    found, step = None, error.__traceback__
    while step is not None:
        scope, code = step.tb_frame.f_globals, step.tb_frame.f_code
        if "__name__" in scope and is_users_module(scope["__name__"]):
            found = f"{code.co_name} (line {step.tb_lineno} of {os.path.basename(code.co_filename)})"
        step = step.tb_next
    return found


def _outputs(trace: Trace, result: Any) -> Tree:
    """The results as outputs, one for each leaf, and their structure."""
    graph = trace.graph
    taken: set[str] = set()

    def output(name: str, item: Any) -> int:
        plain = trace.arrays.plain(trace.lift(item))
        node = graph.store(plain.axes, plain.node) if plain.axes else plain.node
        graph.outputs.append((unused(name, taken), node))
        return len(graph.outputs) - 1

    tree = NOTHING if isinstance(result, str) else grow(result, "value", entries, output)
    if not graph.outputs:
        kind = "nothing" if result is None else type(result).__name__
        kind += "" if result is None or isinstance(result, str) else " without an array"
        raise UnsupportedError(f"the function returns {kind}\n"
                               "Return an array, a number, or a structure of them.")
    return tree
