"""What NumPy's functions mean on traced values: one short entry a function, found by its name.

Here are the table itself and the ufuncs that are operations of the table of the IR. Other pointwise functions are
in `numpy_pointwise`, and further modules have reductions, products, shapes, joins, constructors, and searches. All
are written in terms of `arrays` and `traced`, so none of them has a gradient rule of its own. `call` is the one
way in: it looks a name up, finds the trace among the arguments, and refuses by name what is not there. How the
user's function comes to call it is left to `from_python` and to NumPy's protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError
from gradc.ir.table import OPERATIONS

from .arrays import ONE, Array, ArrayError, NewAxis, Slice
from .masked import Selected, selected_call
from .numpy_dtypes import converted
from .numpy_signatures import bound
from .syntax import nearest
from .traced import Trace, Traced
from .views import VIEWS, viewed

Function = Callable[..., Any]
FUNCTIONS: dict[str, Function] = {}         # by NumPy's name, with "linalg." and "special." before theirs
POINTWISE: set[str] = set()                 # the names that mean something at each element on its own
METHODS: dict[str, str] = {name: name for name in (
    "sum", "prod", "mean", "var", "std", "max", "min", "any", "all", "argmax", "argmin", "cumsum", "cumprod", "dot",
    "transpose", "reshape", "ravel", "flatten", "squeeze", "swapaxes", "clip", "round", "trace", "diagonal", "repeat",
    "take", "astype", "copy", "conj", "conjugate", "item", "choose", "searchsorted", "nonzero", "fill",
    "put", "ptp", "tolist")}
ACCUMULATING = ("sum", "prod", "mean", "var", "std", "cumsum", "cumprod", "nansum", "nanprod", "nanmean", "nanvar",
                "nanstd", "nancumsum", "nancumprod", "cumulative_sum", "cumulative_prod", "trace")  # in their dtype=
_SELECTS = "The number of places is not known: write np.where(mask, x, y), or reduce at once, np.sum(x[mask])."
_COMPLEX = "All numbers are real here: write np.cos and np.sin, or np.convolve for a filter."
_FOURIER = ("All numbers are real here: with angle = 2*np.pi*np.outer(k, t)/n the real part is np.cos(angle) @ x, the "
            "imaginary part -np.sin(angle) @ x. For a filter write np.convolve.")
_EIGENVALUES = ("They may be complex, and all numbers are real here: of a symmetric matrix write np.linalg.eigh or "
                "np.linalg.eigvalsh, else np.linalg.svd.")
REFUSED: dict[str, str] = {
    **dict.fromkeys(("nonzero", "flatnonzero", "argwhere", "unique", "where"), _SELECTS),
    **dict.fromkeys(("fft.fft", "fft.rfft"), _FOURIER),
    **dict.fromkeys(("fft.ifft", "fft.irfft", "fft.fft2", "fft.ifft2", "fft.rfft2", "fft.irfft2",
                     "fft.fftn", "fft.ifftn", "fft.rfftn", "fft.irfftn", "fft.hfft", "fft.ihfft", "angle"), _COMPLEX),
    **dict.fromkeys(("linalg.eig", "linalg.eigvals", "scipy.linalg.eig", "scipy.linalg.eigvals"), _EIGENVALUES),
    "tolist": "Index the array, or return it: its numbers are not known yet.",
}


def call(name: str, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """The function of that name on arguments of which at least one is traced."""
    trace = trace_of((*args, *keywords.values()))
    assert trace is not None
    function = FUNCTIONS.get(name)
    if name in REFUSED and (function is None or len(args) == 1):
        raise trace.refused(f"{spelled(name)} is not known on traced arrays", REFUSED[name])
    if function is None:
        near = [spelled(n) for n in nearest(name, FUNCTIONS)]
        raise trace.refused(f"{spelled(name)} is not known on traced arrays",
                            f"Write it by functions that are, such as {' or '.join(near) or 'np.sum and np.einsum'}.")
    return _run(trace, name, function, args, keywords)


def constructed(trace: Trace, name: str, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """A function that makes an array from sizes and numbers, traced or not."""
    return _run(trace, name, FUNCTIONS[name], args, keywords)


def _run(trace: Trace, name: str, function: Function, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    operands, given = bound(name, function, args, keywords)
    given = {key: value for key, value in given.items() if not (
        value is np._NoValue or (key == "where" and value is True)
        or (value is None and key in ("out", "where", "dtype", "initial", "like")))}
    for spare in ("check_finite", "overwrite_a", "overwrite_b", "overwrite_input"):
        given.pop(spare, None)                                  # how NumPy goes about it, not what it gives
    if "out" in given:
        raise trace.refused(f"{spelled(name)}(..., out=...) has no meaning here",
                            "Leave it out, or write y[...] = value.")
    if "where" in given and (name in POINTWISE or "where" not in function.__code__.co_varnames):
        raise trace.refused(f"{spelled(name)}(..., where=...) has no meaning here",
                            "Write np.where(condition, x, y) around it.")
    code = function.__code__
    own = "dtype" in code.co_varnames[:code.co_argcount]        # the function knows what to do with it
    dtype = None if own else given.pop("dtype", None)
    try:
        if dtype is not None and (name in POINTWISE or name in ACCUMULATING):
            operands = [converted(trace, a, dtype) if k == 0 or name in POINTWISE else a
                        for k, a in enumerate(operands)]
        if any(isinstance(a, Selected) for a in (*operands, *given.values())):
            result = selected_call(trace, name, name in POINTWISE, operands, given)
        else:
            result = function(trace, *operands, **given)
        if name in VIEWS:
            first = operands[0] if operands else given.get(function.__code__.co_varnames[1])
            if isinstance(first, Traced):
                viewed(first, result)
        return result if dtype is None else converted(trace, result, dtype)
    except ArrayError as error:
        raise trace.refused(error.message, error.advice, error.error) from None
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise trace.refused(f"{spelled(name)}: {str(error).partition('() ')[2] or error}",
                                "Call it as in NumPy, without options that only NumPy needs.") from None
        raise


def spelled(name: str) -> str:
    """A name of the table as the user writes it."""
    if name.startswith(("scipy.", "math.")):
        return name
    return f"scipy.special.{name[8:]}" if name.startswith("special.") else f"np.{name}"


def trace_of(values: Iterable[Any]) -> Trace | None:
    """The trace of the first traced value among some, also inside lists and tuples."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, (Traced, Selected)):
            return value.tracer
        if isinstance(value, (list, tuple)):
            waiting += value
    return None


def known(name: str, *, pointwise: bool = False) -> Callable[[Function], Function]:
    """Put a function into the table, under one or more names."""

    def put(function: Function) -> Function:
        for one in name.split():
            FUNCTIONS[one] = function
        if pointwise:
            POINTWISE.update(name.split())
        return function

    return put


# -- pointwise functions --------------------------------------------------------------------------


def _pointwise() -> None:
    def entry(op: str) -> Function:
        return lambda trace, *args: trace.apply(op, *args)

    for op in OPERATIONS.values():
        if not op.internal:
            names = {op.name, *op.formula}
            if isinstance(op.numpy, str):
                names.add(op.numpy)
            for name in names:
                FUNCTIONS.setdefault(name, entry(op.name))
    for name, meant in (("true_divide", "div"), ("divide", "div"), ("absolute", "abs"), ("power", "pow"),
                        ("remainder", "mod"), ("special.expit", "sigmoid"),
                        ("special.erf", "erf"),
                        ("special.erfc", "erfc"), ("special.erfinv", "erfinv"), ("special.gamma", "gamma"),
                        ("special.gammaln", "loggamma"), ("special.loggamma", "loggamma"), ("special.psi", "digamma"),
                        ("special.digamma", "digamma"), ("special.beta", "beta"),
                        ("special.j0", "j0"), ("special.j1", "j1"), ("special.jv", "jn"), ("special.jn", "jn"),
                        ("special.y0", "y0"), ("special.y1", "y1"), ("special.i0", "i0"),
                        ("special.i1", "i1"), ("special.iv", "besseli"),
                        ("special.xlogy", "xlogy"), ("special.log1p", "log1p"), ("special.expm1", "expm1"),
                        ("special.exp2", "exp2"), ("special.cbrt", "cbrt"), ("special.softplus", "softplus")):
        FUNCTIONS[name] = entry(meant)
    for name in ("max", "min", "sum", "prod", "any", "all", "argmax", "argmin", "mean", "stop_gradient"):
        FUNCTIONS.pop(name, None)                               # of arrays, in other modules, or none of NumPy's
    POINTWISE.update(FUNCTIONS)


_pointwise()
# -- axes -----------------------------------------------------------------------------------------


def positions(t: Trace, axis: Any, rank: int) -> list[int]:
    """The dimensions that `axis=` names, counted from 0."""
    axes = range(rank) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    found = []
    for one in axes:
        if not isinstance(one, (int, np.integer)) or not -rank <= one < rank:
            what = "an axis is no number" if isinstance(one, Traced) else (
                f"there is no axis {one} in an array of {rank} dimensions")
            raise t.refused(what, t.or_static(one, f"Write an axis from 0 to {max(rank - 1, 0)}."), ShapeError)
        found.append(int(one) % rank)
    if len(set(found)) != len(found):
        raise t.refused("an axis is named twice", "Leave out one of them.", ShapeError)
    return found


def kept(t: Trace, array: Array, reduced: Sequence[int], keepdims: bool, rank: int) -> Traced:
    """The result of a reduction, with dimensions of size 1 in place of the reduced ones if they are kept."""
    if not keepdims:
        return t.value(array)
    items = [NewAxis() if k in reduced else Slice(t.graph.const(0), 1, dim) for k, dim in zip(
        range(rank), _spread(array.shape, reduced, rank), strict=True)]
    return t.value(t.element(array, items))


def _spread(shape: Sequence[Dim], reduced: Sequence[int], rank: int) -> list[Dim]:
    rest = iter(shape)
    return [ONE if k in reduced else next(rest) for k in range(rank)]
