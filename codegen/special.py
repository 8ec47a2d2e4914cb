"""SciPy's special functions for compiled code, bound as external symbols.

`scipy.special.cython_special` exports C functions. Their addresses change from process to process, so
none may be baked into compiled code that is kept on disk: each function is announced to LLVM under a
fixed name (`gradc_special_erfinv`), compiled code refers to the name, and `bind` must run before code
that refers to it is loaded, or the process dies at the unresolved name. Takes SciPy's names, gives
functions that Numba can call; accuracy and errors are SciPy's. What cython_special lacks for real
numbers (polygamma, the Hurwitz zeta function) is in `kernels`.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from gradc.ir.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MODULE = "scipy.special.cython_special"

# SciPy's name -> the kinds of its arguments: d a double, n an order (the integer variant of the function).
ARGUMENTS = {
    **dict.fromkeys(("dawsn", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp1", "expi", "expit"), "d"),
    **dict.fromkeys(("gamma", "gammaln", "gammasgn", "i0", "i0e", "i1", "i1e", "j0", "j1", "k0", "k0e"), "d"),
    **dict.fromkeys(("k1", "k1e", "log_expit", "log_ndtr", "logit", "loggamma", "ndtr", "ndtri", "psi"), "d"),
    **dict.fromkeys(("rgamma", "y0", "y1"), "d"),
    **dict.fromkeys(("beta", "betaln", "binom", "iv", "ive", "jv", "kv", "kve"), "dd"),
    **dict.fromkeys(("xlog1py", "xlogy", "yv"), "dd"),
    **dict.fromkeys(("expn", "kn", "spherical_in", "spherical_jn", "spherical_kn", "spherical_yn"), "nd"),
    "yn": "nd",
}
# The C library's functions, which Numba calls, are closer than SciPy's: at most 3 ulp each, against 2.2 for
# erf, 430 for erfc, 6.5 for gamma and 130 for gammaln (measured with glibc 2.36 and SciPy 1.17).
_C_LIBRARY = {"erf": math.erf, "erfc": math.erfc, "gamma": math.gamma, "gammaln": math.lgamma}
_ALIASES = {"jn": "jv", "digamma": "psi"}  # SciPy's other names of the same function
_INTEGERS = ("Py_ssize_t", "long", "int")  # the widest first


class Variant(NamedTuple):
    """One exported C function: its key in cython_special, and the C types of all its arguments."""

    key: str
    types: tuple[str, ...]


_bound: dict[str, Callable[..., Any]] = {}


def imported(tree: ast.Module) -> dict[str, str]:
    """The names a module's syntax tree imports from scipy.special: local name -> SciPy's name."""
    return {
        alias.asname or alias.name: alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "scipy.special"
        for alias in node.names
    }


def find_variant(name: str, signatures: dict[str, str]) -> Variant | None:
    """Choose among exported C functions the one of real arguments that returns a double.

    Args:
        name: a key of `ARGUMENTS`.
        signatures: exported key -> signature text, such as "double (double, int __pyx_skip_dispatch)".

    Returns:
        The variant, or None if there is none of the right kind.
    """
    kinds = ARGUMENTS[name]
    wanted = [tuple("double" if kind == "d" else order for kind in kinds) for order in _INTEGERS]
    found = {}
    for key, signature in signatures.items():
        if re.sub(r"^(__pyx_fuse_\d+)+", "", key) != name:
            continue
        parts = re.fullmatch(r"double \((.*)\)", signature)
        if parts is None:
            continue
        types = tuple(_c_type(argument) for argument in parts[1].split(","))
        tail = types[len(kinds) :]
        if set(tail) <= {"int", "pointer"}:
            found[types[: len(kinds)]] = Variant(key, types)
    return next((found[types] for types in wanted if types in found), None)


def _c_type(argument: str) -> str:
    """The C type of one argument in a signature text, without the argument's name."""
    argument = argument.strip()
    return "pointer" if "*" in argument else re.sub(r"\s*__pyx_\w+$", "", argument)


def _signatures() -> dict[str, str]:
    """Every exported C function of cython_special: key -> signature text."""
    from scipy.special import cython_special

    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return {key: (name_of(capsule) or b"").decode() for key, capsule in _exports(cython_special).items()}


def _exports(module: Any) -> dict[str, Any]:
    exports: dict[str, Any] = module.__pyx_capi__
    return exports


def _address(key: str) -> int:
    from scipy.special import cython_special

    capsule = _exports(cython_special)[key]
    pointer_of, name_of = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer_of(capsule, name_of(capsule)))


def bind(names: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """Make SciPy's special functions callable from compiled code, and announce them to LLVM.

    Args:
        names: names in scipy.special: a key of `ARGUMENTS`, `jn` or `digamma`.

    Returns:
        name -> a Numba function of real scalars (orders are integers) that gives a float64; it can be
        called from Python and from nopython code, and code that calls it can be kept on disk.

    Raises:
        UnsupportedError: SciPy has no compiled variant of the function for real arguments.

    Example:
        >>> round(bind(["erfinv"])["erfinv"](0.5), 12)
        0.476936276204
    """
    return {name: _bind_one(_ALIASES.get(name, name)) for name in names}


def _bind_one(name: str) -> Callable[..., Any]:
    known = _bound.get(name)
    if known is not None:
        return known
    if name in _C_LIBRARY:
        return _bound.setdefault(name, _from_c_library(name))
    variant = find_variant(name, _signatures()) if name in ARGUMENTS else None
    if variant is None:
        raise UnsupportedError(
            f"scipy.special.{name} has no compiled variant for real numbers in this SciPy. "
            f"Use jit=False, or write the function with others: {', '.join(sorted(ARGUMENTS))}."
        )
    binding: Any = importlib.import_module("llvmlite.binding")
    types: Any = importlib.import_module("numba.core.types")
    symbol = f"gradc_special_{name}"
    binding.add_symbol(symbol, _address(variant.key))
    numba_types = {
        "double": types.float64,
        "Py_ssize_t": types.intp,
        "long": types.long_,
        "int": types.intc,
        "pointer": types.intp,  # an optional structure of defaults: none is passed as a null pointer
    }
    signature = types.float64(*(numba_types[kind] for kind in variant.types))
    function = _wrapper(name, types.ExternalFunction(symbol, signature), len(ARGUMENTS[name]), variant)
    return _bound.setdefault(name, function)


def _from_c_library(name: str) -> Callable[..., Any]:
    function = _C_LIBRARY[name]

    def one(x: float) -> float:
        return function(float(x))

    return _jit(name, one)


def _wrapper(name: str, external: Any, count: int, variant: Variant) -> Callable[..., Any]:
    """A Numba function that calls the external one, with zeros for Cython's hidden arguments."""
    hidden = len(variant.types) - count

    def one(x: float) -> float:
        return external(x, 0)  # type: ignore[no-any-return]

    def two(x: float, y: float) -> float:
        return external(x, y, 0)  # type: ignore[no-any-return]

    def two_and_defaults(x: float, y: float) -> float:
        return external(x, y, 0, 0)  # type: ignore[no-any-return]

    shapes: dict[tuple[int, int], Callable[..., float]]
    shapes = {(1, 1): one, (2, 1): two, (2, 2): two_and_defaults}
    return _jit(name, shapes[count, hidden])


def _jit(name: str, function: Callable[..., float]) -> Callable[..., Any]:
    numba: Any = importlib.import_module("numba")
    function.__name__ = function.__qualname__ = name
    made: Callable[..., Any] = numba.njit(error_model="numpy")(function)
    return made


_PRELUDE = '''\
from scipy.special import {imports}

try:  # With Numba, the compiled code calls the C functions behind SciPy's.
    import ctypes
    import math

    from numba import njit
    from scipy.special import cython_special
except ImportError:
    pass  # Without it, SciPy's own functions do.
else:

    def _c_function(name, *types):
        """The C function of cython_special with this name and these argument types, returning a double."""
        capsule_name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
        capsule_name.restype, capsule_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        c_types = {{"double": ctypes.c_double, "Py_ssize_t": ctypes.c_ssize_t, "long": ctypes.c_long}}
        for key, capsule in cython_special.__pyx_capi__.items():
            signature = capsule_name(capsule)
            wanted = "double (" + ", ".join((*types, "int __pyx_skip_dispatch")) + ")"
            if key.split("__pyx_fuse_")[-1].lstrip("0123456789") == name and signature.decode() == wanted:
                prototype = ctypes.CFUNCTYPE(ctypes.c_double, *(c_types[t] for t in types), ctypes.c_int)
                return prototype(pointer(capsule, signature))
        raise ImportError(f"SciPy has no {{name}} of {{types}} for compiled code")
'''


def standalone_prelude(names: Iterable[str]) -> str:
    """The text by which a saved file binds SciPy's special functions, with Numba or without.

    Args:
        names: SciPy's names, as for `bind`; the names are bound in the file as they are.

    Returns:
        Python text that imports the names from scipy.special and, where Numba is installed, replaces
        them by compiled functions.

    Raises:
        UnsupportedError: a name that has no compiled variant of plain C arguments.
    """
    ordered = sorted(set(names))
    if not ordered:
        return ""
    signatures = _signatures()
    parts = [_PRELUDE.format(imports=", ".join(ordered))]
    for name in ordered:
        target = _ALIASES.get(name, name)
        kinds = ARGUMENTS.get(target, "")
        parameters = {"d": "x", "dd": "x, y", "nd": "n, x", "": ""}[kinds]
        if target in _C_LIBRARY:
            body = f"math.{_C_LIBRARY[target].__name__}({parameters})"
        else:
            variant = find_variant(target, signatures) if kinds else None
            if variant is None or variant.types[len(kinds) :] != ("int",):
                raise UnsupportedError(
                    f"scipy.special.{name} cannot be bound in a saved file: SciPy exports no plain C "
                    f"function of real numbers for it. Write the function with others, or keep to compile()."
                )
            types = ", ".join(f'"{kind}"' for kind in variant.types[: len(kinds)])
            parts.append(f'    _c_{name} = _c_function("{target}", {types})\n')
            body = f"_c_{name}({parameters}, 0)"
        parts.append(f"    @njit\n    def {name}({parameters}):\n        return {body}\n")
    return "\n".join(parts)
