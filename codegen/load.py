"""From a generated module's text to callable functions, compiled by Numba or run as plain Python.

Takes the text and the signatures that the printer gives, and gives the functions and result classes by
name. Compiled code comes from the private cache where it is there already. Plain mode runs the very
same text and never imports Numba. Shapes, dtypes and dimensions are for the caller to check: a
compiled function refuses other types with a TypeError but never converts.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib
import itertools
import linecache
import logging
import os
import pickle
import re
import sys
import threading
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradc.ir.collecting import put_off

from . import accumulate, blocks, cache, indices, register_tiles, scratch, special, vector_maths
from .results import result_class

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
THREADS = {**dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"),
                           False), "prange": True}      # what Numba runs in threads: loops over prange, nothing else
CHECKED = "checked "
INLINED = 60        # statements
_lock = threading.RLock()
_loaded: dict[tuple[str, bool], dict[str, Callable[..., Any]]] = {}
_outcomes: dict[tuple[str, bool], str] = {}


@dataclass(frozen=True)
class Entry:
    """A function of a generated module that is compiled when the module is loaded.

    Attributes:
        name: a function defined in the module's text.
        argument_types: Numba's spelling of each argument's type: "float64", "int64", "bool",
            "float64[::1]", "float32[:,::1]"; "const float64[::1]" takes read-only arrays too. An array that
            is "checked", as in "checked const float64[::1]", is looked at by the compiled code (see `unguarded`).
    """

    name: str
    argument_types: tuple[str, ...]

    @property
    def written(self) -> dict[int, str]:
        """The dtypes of the arrays among its arguments that it may write, by position."""
        given = ((k, spelling.removeprefix(CHECKED)) for k, spelling in enumerate(self.argument_types))
        return {k: spelling.partition("[")[0] for k, spelling in given
                if "[" in spelling and not spelling.startswith("const ")}


@dataclass(frozen=True)
class Module:
    """A generated module.

    Attributes:
        source: complete Python text that runs with NumPy alone (SciPy where it asks for it).
        helpers: functions of the text that entries call, callee first; compiled when they are needed.
        entries: functions of the text to compile, callee first.
        results: named tuple classes of the text, with the arguments' own names of their fields in order.
        chunked: functions of the text for a part of a loop, which entries call in loops over `prange`, in threads.
        buffered: functions of the text whose buffers are to be one block of memory, aligned for vectors.
        lent: the entry whose buffers are to be parts of a vector of float64, its last argument, which the text lacks.
    """

    source: str
    helpers: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    results: tuple[tuple[str, tuple[str, ...]], ...] = ()
    chunked: tuple[str, ...] = ()
    buffered: tuple[str, ...] = ()
    lent: str = ""

    def with_lent(self, name: str) -> Module:
        """The same with buffers that the caller of an entry lends it."""
        entries = tuple(Entry(name, (*entry.argument_types, f"{CHECKED}float64[::1]")) for entry in self.entries
                        if entry.name == name)
        return dataclasses.replace(self, entries=entries, lent=name)


@put_off()
def load(
    module: Module, *, jit: bool = True, cache: bool = True
) -> dict[str, Callable[..., Any]]:
    """Load a generated module.

    Args:
        module: the text and what to make of it.
        jit: compile with Numba; False (or NUMBA_DISABLE_JIT=1) runs the text as plain Python.
        cache: keep compiled code on disk and look for it there.

    Returns:
        name -> entry function, helper or result class. Loading an equal module again gives the same objects.
        Compiled entries pickle as the module's text and are loaded again where they arrive.

    Raises:
        TypeError: (when a compiled function is called) an argument is of another type than declared.

    Example:
        >>> text = "def double(x):\\n    return 2.0 * x\\n"
        >>> float(load(Module(text, entries=(Entry("double", ("float64",)),)), jit=False)["double"](4.0))
        8.0
    """
    with _lock:
        if not jit or _jit_is_disabled():
            cache = False
            key, make = _key(module, plain=True), functools.partial(_load_plain, module)
        else:
            key = _key(module, plain=False)
            make = functools.partial(_load_compiled, module, cache)
        known = _loaded.get((key, cache))
        if known is None:
            known = _loaded[key, cache] = make(key)
        return dict(known)


def outcome(module: Module, *, cache: bool = True) -> str:
    """Where the compiled code of a module came from in this process.

    "hit": from the cache; "miss": it was compiled, and kept; "rebuilt": so too, since the entry was damaged; "off":
    compiled without a cache; "": it was not loaded, or runs as plain Python.
    """
    if _jit_is_disabled() or not _outcomes:
        return ""
    return _outcomes.get((_key(module, plain=False), cache), "")


def optimised(module: Module) -> str:
    """The optimised LLVM IR of a module's first entry, with the lines of the text that instructions come from.

    It is compiled for this, with the options of the code that runs and with line numbers, and never run. "" where
    Numba is switched off.
    """
    if _jit_is_disabled():
        return ""
    entry = module.entries[0]
    alone = dataclasses.replace(module, entries=(entry,))
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", importlib.import_module("numba.core.errors").NumbaDebugInfoWarning)
        key = cache.key_of([_key(alone, plain=False), "lines"])
        function: Any = _compile_anew(alone, key, f"<{_module_name(key)}>", debug=True)[0][entry.name]
    return "\n".join(function.inspect_llvm().values())


def long_runs(module: Module) -> list[tuple[int, int, int]]:
    """What of a module's first entry is compiled as blocks, past Numba: first and last line, number of statements."""
    tree = _prepared(module)[0]
    return sorted((*block.lines, block.statements) for block in
                  blocks.rewrite(tree, [module.entries[0].name]).values())


def rows_together(module: Module) -> dict[int, int]:
    """How many rows of a loop run together, by the loop's line: of a module's first entry and of chunks of loops."""
    return _prepared(module)[1]


def _prepared(module: Module) -> tuple[ast.Module, dict[int, int]]:
    """A module's syntax tree before its long runs are looked for, and the rows that run together in it."""
    tree = ast.parse(module.source)
    vector_maths.rewrite(tree, module.helpers)
    accumulate.rewrite(tree)
    return tree, register_tiles.rewrite(tree, [*module.chunked, module.entries[0].name])


def _jit_is_disabled() -> bool:
    """Whether Numba's own switch asks for plain Python; looks without importing Numba."""
    numba = sys.modules.get("numba")
    if numba is not None:
        return bool(numba.config.DISABLE_JIT)
    return os.environ.get("NUMBA_DISABLE_JIT", "0").strip() not in {"", "0"}


def _load_plain(module: Module, key: str) -> dict[str, Callable[..., Any]]:
    filename = f"<{_module_name(key)}>"
    tree = ast.parse(module.source)
    if module.lent:
        scratch.lend(tree, module.lent)
        scratch.rewrite(tree, (), module.lent)
    namespace = _execute(module, key, filename, tree).__dict__
    _show(module, filename)
    for name, value in list(namespace.items()):
        if isinstance(value, types.FunctionType) and value.__module__ == namespace["__name__"]:
            value.__code__ = _numpy_literals(value.__code__)
        elif getattr(value, "__module__", None) == "math":
            namespace[name] = _numpy_result(value)
    return _public(module, namespace)


def _numpy_literals(code: types.CodeType) -> types.CodeType:
    """Literals as NumPy floats: dividing by zero then gives inf or nan, as in compiled code."""
    import numpy as np

    return code.replace(co_consts=tuple(np.float64(c) if type(c) is float else c for c in code.co_consts))


def _numpy_result(function: Callable[..., float]) -> Callable[..., float]:
    import numpy as np

    return lambda *args: np.float64(function(*args))


def _load_compiled(
    module: Module, use_cache: bool, key: str
) -> dict[str, Callable[..., Any]]:
    """Load compiled code from the cache, or compile it and put it there."""
    names = ("module.py", *(_file_name(entry) for entry in module.entries))
    rebuilt = cache.events.rebuilt
    files = cache.find(key, names, module.source) if use_cache else None
    if files is not None:
        try:
            loaded = _compile(module, key, _file_of(key), files)
        except Exception:  # noqa: BLE001  # whatever unpickling raises, the entry is of no use
            cache.discard(key)
        else:
            cache.events.hits += 1
            _outcomes[key, use_cache] = "hit"
            return loaded[0]
    none = not use_cache or cache.wanted_root() is None
    _outcomes[key, use_cache] = "off" if none else "rebuilt" if cache.events.rebuilt > rebuilt else "miss"
    filename = _file_of(key) if use_cache else f"<{_module_name(key)}>"
    functions, payloads = _compile_anew(module, key, filename)
    if use_cache and len(payloads) == len(module.entries):
        cache.store(key, {"module.py": module.source.encode(), **payloads})
    return functions


def _compile_anew(module: Module, key: str, filename: str, *, debug: bool = False) -> tuple[
        dict[str, Callable[..., Any]], dict[str, bytes]]:
    """Make the functions with their long runs as blocks, or with Numba alone where a run does not suit."""
    try:
        return _compile(module, key, filename, {}, debug=debug)
    except blocks.Unsuitable as reason:
        logging.getLogger("gradc").info("%s is left to Numba whole: it has %s", filename, reason)
        return _compile(module, key, filename, {}, debug=debug, with_blocks=False)


def _compile(
    module: Module, key: str, filename: str, files: dict[str, bytes], *, debug: bool = False,
    with_blocks: bool = True,
) -> tuple[dict[str, Callable[..., Any]], dict[str, bytes]]:
    """Make the functions from verified compiled code where `files` has it, with Numba where not.

    Returns:
        the functions, and the compiled code of those that Numba had to compile, by file name.
    """
    numba: Any = importlib.import_module("numba")
    tree = ast.parse(module.source)
    if module.lent:
        scratch.lend(tree, module.lent)
    short, threaded = _short(tree), _callers(tree, module.chunked)
    # Bound before any compiled code is loaded: an unresolved symbol ends the process.
    replaced = {local: special.bind([name])[name] for local, name in special.imported(tree).items()}
    replaced.update({**accumulate.functions(), scratch.EMPTY: importlib.import_module("numpy").empty})
    for entry in module.entries:
        if entry.name != module.lent:
            scratch.keep(tree, entry.name, entry.written)
    check = _check_arguments(module, tree, replaced)
    in_loops = vector_maths.rewrite(tree, module.helpers)
    replaced.update(in_loops.functions())
    accumulate.rewrite(tree)
    worked = [*module.chunked, *(entry.name for entry in module.entries)]
    register_tiles.rewrite(tree, worked)
    long_runs = blocks.rewrite(tree, worked) if with_blocks else {}
    if indices.rewrite(tree, worked):
        replaced.update(indices.functions())
    scratch.rewrite(tree, module.buffered, module.lent)
    namespace = _execute(module, key, filename, tree, replaced).__dict__
    if not long_runs:           # Numba reads the whole text of a function, if it is there
        _show(module, filename)
    jit = numba.njit(debug=debug, **OPTIONS)
    inlined = numba.njit(debug=debug, forceinline=True, **OPTIONS)
    for name in (*module.helpers, *in_loops.helpers, *module.chunked):
        namespace[name] = jit(namespace[name])
    in_threads = numba.njit(parallel=THREADS, debug=debug, **OPTIONS)
    if module.chunked:
        namespace["prange"] = numba.prange
    namespace.update(blocks.functions(long_runs, namespace, OPTIONS["fastmath"]))
    payloads: dict[str, bytes] = {}
    for entry in module.entries:
        how = in_threads if entry.name in threaded else inlined if entry.name in short else jit
        dispatcher = how(namespace[entry.name])
        compiled_code = _CompiledCode(files.get(_file_name(entry)))
        dispatcher._cache = compiled_code
        dispatcher.compile(tuple(_numba_type(spelling, check) for spelling in entry.argument_types))
        dispatcher.disable_compile()
        # Numba would pickle a reference to this module, which no other process can import.
        reduced = (_reload, (module, entry.name))
        dispatcher.__reduce_ex__ = functools.partial(_reduce, reduced)
        namespace[entry.name] = dispatcher
        if compiled_code.produced is not None:
            payloads[_file_name(entry)] = compiled_code.produced
    _show(module, filename)
    return _public(module, namespace), payloads


def _short(tree: ast.Module) -> set[str]:
    """The functions that are put into their callers: a call of compiled code costs as much as a short loop."""
    def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
        for statement in body:
            yield statement
            for field in ("body", "orelse"):
                yield from statements(getattr(statement, field, []))

    return {function.name for function in tree.body if isinstance(function, ast.FunctionDef)
            and next(itertools.islice(statements([function]), INLINED, None), None) is None}


def _callers(tree: ast.Module, names: Collection[str]) -> set[str]:
    """The functions that call one of these."""
    return {function.name for function in tree.body if isinstance(function, ast.FunctionDef)
            and any(isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
                    for node in ast.walk(function))}


def _check_arguments(module: Module, tree: ast.Module, replaced: dict[str, Any]) -> bool:
    """Prepare a syntax tree whose entries check their arrays; False where that is left to the dispatcher."""
    places = {entry.name: [k for k, spelling in enumerate(entry.argument_types) if spelling.startswith(CHECKED)]
              for entry in module.entries}
    if not any(places.values()):
        return False
    checked: Any = importlib.import_module(".checked", __package__)
    if not checked.available():
        return False
    checked.bind()
    replaced.update(checked.functions())
    for name, positions in places.items():
        if positions:
            checked.rewrite(tree, name, positions)
    return True


def unguarded(function: Any) -> Callable[..., Any]:
    """The code of a compiled entry, without the dispatcher, which takes most of the time of a small call.

    Arrays that are declared "checked" are looked at: TypeError if one is not as declared, ValueError if one that is
    written shares memory with another. Other arguments must be of the declared types already, float, int or bool;
    nobody looks at them.
    """
    (overload,) = function.overloads.values()
    types: Any = importlib.import_module("numba.core.types")
    if any(isinstance(kind, types.Array) for kind in overload.signature.args):
        checked: Any = importlib.import_module(".checked", __package__)
        guarded: Callable[..., Any] = checked.in_python(function, overload.signature.args)
        return guarded
    entry_point: Callable[..., Any] = overload.entry_point
    return entry_point


def _reduce(reduced: tuple[Any, ...], _protocol: int) -> tuple[Any, ...]:
    """What a pickle of an entry holds: the module, to be loaded through the receiver's own cache."""
    return reduced


def _reload(module: Module, name: str) -> Callable[..., Any]:
    """Load one function again, from a pickle."""
    return load(module)[name]


class _CompiledCode:
    """What a Numba dispatcher takes for its cache: one function's compiled code, in memory.

    Numba reads no file by itself: the bytes given here were verified, and those it produces are handed
    back in `produced` (None if it had nothing to compile, or code that cannot be kept).
    """

    cache_path = None

    def __init__(self, verified: bytes | None) -> None:
        self._verified = verified
        self.produced: bytes | None = None

    def load_overload(self, _signature: object, target_context: Any) -> Any:
        """The compile result that the verified bytes hold."""
        if self._verified is None:
            return None
        compiler: Any = importlib.import_module("numba.core.compiler")
        runtime: Any = importlib.import_module("numba.core.runtime")
        # Numba's own caches refresh the whole target context here, which imports every implementation
        # that compiling may need: four fifths of a warm start. Running needs only the runtime; whoever
        # compiles, such as a user's function that calls this one, refreshes the context then.
        runtime.rtsys.initialize(target_context)
        payload = pickle.loads(self._verified)  # noqa: S301  # verified against the manifest
        return compiler.CompileResult._rebuild(target_context, *payload)

    def save_overload(self, _signature: object, result: Any) -> None:
        """Keep the serialised compile result for the caller."""
        serialize: Any = importlib.import_module("numba.core.serialize")
        cache.events.compiled += 1
        if not (result.lifted or result.library.has_dynamic_globals):
            self.produced = serialize.dumps(result._reduce())

    def enable(self) -> None:
        """Nothing to switch on."""

    def disable(self) -> None:
        """Nothing to switch off."""

    def flush(self) -> None:
        """Nothing is held back."""


def _execute(
    module: Module, key: str, filename: str, tree: ast.Module, replaced: dict[str, Any] | None = None
) -> types.ModuleType:
    """Run a module's syntax tree as a real module, so that pickles and tracebacks find it."""
    name = _module_name(key)
    made = types.ModuleType(name)
    made.__file__ = filename
    code = compile(tree, filename, "exec", dont_inherit=True)
    sys.modules[name] = made
    try:
        exec(code, made.__dict__)  # noqa: S102  # text that our own printer made
    except BaseException:
        del sys.modules[name]
        raise
    made.__dict__.update(replaced or {})
    for class_name, originals in module.results:
        fields = made.__dict__[class_name]._fields
        made.__dict__[class_name] = result_class(class_name, fields, originals, name)
    return made


def _show(module: Module, filename: str) -> None:
    """Let tracebacks find a module's text."""
    linecache.cache[filename] = (len(module.source), None, module.source.splitlines(keepends=True), filename)


def _public(module: Module, namespace: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    entries, results = (entry.name for entry in module.entries), (name for name, _ in module.results)
    return {name: namespace[name] for name in (*module.helpers, *entries, *results)}


def _module_name(key: str) -> str:
    return f"gradc_generated_{key[:32]}"


def _file_name(entry: Entry) -> str:
    return f"{entry.name}.compiled"


def _file_of(key: str) -> str:
    """Where tracebacks look for the text: the cache's file if there is a cache."""
    root = cache.wanted_root()
    return f"<{_module_name(key)}>" if root is None else str(root / key / "module.py")


def _key(module: Module, *, plain: bool) -> str:
    """Name of a module: a hash of all that its functions depend on."""
    parts: list[Any] = [
        module.source,
        module.helpers,
        [(entry.name, entry.argument_types) for entry in module.entries],
        module.results,
        module.chunked,
        module.buffered,
        module.lent,
        plain,
    ]
    if not plain:
        parts += [OPTIONS["error_model"], sorted(OPTIONS["fastmath"]), _own_code(), _machine(),
                  vector_maths.settings(), blocks.settings()]
        if any(spelling.startswith(CHECKED) for entry in module.entries for spelling in entry.argument_types):
            checked: Any = importlib.import_module(".checked", __package__)
            parts.append(checked.available())
        if "scipy" in module.source:
            import scipy

            parts.append(scipy.__version__)
    return cache.key_of(parts)


# the files that shape compiled code between its text, which is part of the key, and the machine's
SHAPING = ("accumulate.py", "block_expressions.py", "block_intrinsic.py", "block_llvm.py", "blocks.py", "checked.py",
           "indices.py", "lanes.py", "load.py", "polynomials.py", "register_tiles.py", "results.py", "scratch.py",
           "special.py", "vector_angles.py", "vector_kernels.py", "vector_kernels_single.py", "vector_maths.py")


@functools.cache
def _own_code() -> list[str]:
    """gradc's version, and a hash of the files that shape compiled code (they change between versions)."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for name in SHAPING:
        digest.update((folder / name).read_bytes())
    package = sys.modules[__name__.partition(".")[0]]
    return [getattr(package, "__version__", ""), digest.hexdigest()]


def _machine() -> list[Any]:
    """Versions, processor and compiler settings that compiled code depends on. Imports Numba."""
    import llvmlite
    import numba
    import numpy as np
    from numba.core.registry import cpu_target

    settings = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT", "USING_SVML")
    return [
        sys.version,
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
        list(cpu_target.target_context.codegen().magic_tuple()),
        [repr(getattr(numba.config, setting, None)) for setting in settings],
    ]


@functools.cache
def _numba_type(spelling: str, check: bool = False) -> Any:
    """The Numba type that a spelling names; nothing is evaluated. `check`: whether "checked" has its meaning."""
    if spelling.startswith(CHECKED):
        array = _numba_type(spelling.removeprefix(CHECKED))
        return importlib.import_module(".checked", __package__).Checked(array) if check else array
    numba_types: Any = importlib.import_module("numba.core.types")
    parts = re.fullmatch(r"(const )?(\w+)(?:\[((?::,)*)(:|::1)\])?", spelling)
    scalar = getattr(numba_types, {"bool": "boolean"}.get(parts[2], parts[2]), None) if parts else None
    if parts is None or not isinstance(scalar, numba_types.Type):
        raise ValueError(f"{spelling!r} names no type: write for example 'float64' or 'int64[:,::1]'")
    if parts[4] is None:
        return scalar
    layout = "C" if parts[4] == "::1" else "A"
    return numba_types.Array(scalar, parts[3].count(",") + 1, layout, readonly=parts[1] is not None)


def run_plain(function: Callable[..., Any], *values: Any) -> Any:
    """Run the generated text as plain Python, with the arithmetic of compiled code: no error at 1/0."""
    import numpy as np

    with np.errstate(all="ignore"):
        result = function(*(np.float64(v) if isinstance(v, float) else v for v in values))
    if isinstance(result, tuple):
        return tuple(v.item() if isinstance(v, np.generic) else v for v in result)
    return result.item() if isinstance(result, np.generic) else result
