"""What NumPy's functions mean on traced values: one short entry a function, found by its name.

Here are the table itself, the ufuncs, which come from the operation table, and reductions; products of arrays
are in `numpy_products`, shapes and constructors in `numpy_shapes`. All are written in terms of `arrays` and
`traced`, so none of them has a gradient rule of its own. `call` is the one way in: it looks a name up, finds
the trace among the arguments, and refuses by name what is not there. How the user's function comes to call it
is left to `from_python` and to NumPy's protocols.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError
from gradc.ir.table import OPERATIONS

from .arrays import ONE, Array, ArrayError, NewAxis, Slice
from .syntax import nearest
from .traced import Trace, Traced

Function = Callable[..., Any]
FUNCTIONS: dict[str, Function] = {}         # by NumPy's name, with "linalg." and "special." before theirs
METHODS: dict[str, str] = {name: name for name in (
    "sum", "prod", "mean", "var", "std", "max", "min", "ptp", "any", "all", "argmax", "argmin", "cumsum", "cumprod",
    "dot", "transpose", "reshape", "ravel", "flatten", "squeeze", "swapaxes", "clip", "round", "trace", "diagonal",
    "repeat", "take", "astype", "copy", "conj", "item")}


def call(name: str, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """The function of that name on arguments of which at least one is traced."""
    trace = trace_of((*args, *keywords.values()))
    assert trace is not None
    function = FUNCTIONS.get(name)
    if function is None:
        near = nearest(name, FUNCTIONS)
        raise trace.refused(f"np.{name} is not known on traced arrays",
                            f"Write it by functions that are, such as {' or '.join(near) or 'np.sum and np.einsum'}.")
    given = {key: value for key, value in keywords.items()
             if value is not np._NoValue and (value is not None or key == "axis")}
    for unknown in ("where", "out", "initial"):
        if unknown in given:
            raise trace.refused(f"np.{name}(..., {unknown}=...) has no meaning here",
                                "Write np.where(condition, x, y) around it." if unknown == "where" else "Leave it out.")
    refuse_dtype(trace, name, given.pop("dtype", None))
    try:
        return function(trace, *args, **given)
    except ArrayError as error:
        raise trace.refused(error.message, error.advice, error.error) from None
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise trace.refused(f"np.{name}: {str(error).partition('() ')[2] or error}",
                                "Call it as in NumPy, without options that only NumPy needs.") from None
        raise


def refuse_dtype(trace: Trace, name: str, dtype: Any) -> None:
    """Refuse a `dtype=` that no value here can have; which real type it asks for follows from the operands."""
    if dtype is not None and np.dtype(dtype).kind not in "biuf":
        raise trace.refused(f"np.{name}(..., dtype={np.dtype(dtype)}) makes no real numbers",
                            "All values are real here: leave dtype out.")


def trace_of(values: Iterable[Any]) -> Trace | None:
    """The trace of the first traced value among some, also inside lists and tuples."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, Traced):
            return value.trace
        if isinstance(value, (list, tuple)):
            waiting += value
    return None


def known(name: str) -> Callable[[Function], Function]:
    """Put a function into the table, under one or more names."""

    def put(function: Function) -> Function:
        for one in name.split():
            FUNCTIONS[one] = function
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
                        ("float_power", "pow"), ("remainder", "mod"), ("logical_and", "and"), ("logical_or", "or"),
                        ("logical_not", "not"), ("bitwise_and", "and"), ("bitwise_or", "or"), ("invert", "not"),
                        ("fmax", "max"), ("fmin", "min"), ("special.expit", "sigmoid"), ("special.erf", "erf"),
                        ("special.erfc", "erfc"), ("special.erfinv", "erfinv"), ("special.gamma", "gamma"),
                        ("special.gammaln", "loggamma"), ("special.loggamma", "loggamma"), ("special.psi", "digamma"),
                        ("special.digamma", "digamma"), ("special.polygamma", "polygamma"), ("special.beta", "beta"),
                        ("special.j0", "j0"), ("special.j1", "j1"), ("special.jv", "jn"), ("special.jn", "jn"),
                        ("special.y0", "y0"), ("special.y1", "y1"), ("special.yn", "yn"), ("special.i0", "i0"),
                        ("special.i1", "i1"), ("special.iv", "besseli"), ("special.expn", "expint"),
                        ("special.xlogy", "xlogy"), ("special.log1p", "log1p"), ("special.expm1", "expm1"),
                        ("special.exp2", "exp2"), ("special.cbrt", "cbrt"), ("special.softplus", "softplus")):
        FUNCTIONS[name] = entry(meant)
    for name in ("max", "min", "sum", "prod", "any", "all", "argmax", "argmin", "mean", "stop_gradient"):
        FUNCTIONS.pop(name, None)                               # of arrays, below, or none of NumPy's


_pointwise()
FUNCTIONS.update({
    "positive": lambda t, x: t.value(t.lift(x)), "square": lambda t, x: t.apply("mul", x, x),
    "reciprocal": lambda t, x: t.apply("div", 1.0, x), "deg2rad": lambda t, x: t.apply("mul", x, math.pi / 180),
    "rad2deg": lambda t, x: t.apply("mul", x, 180 / math.pi), "degrees": lambda t, x: t.apply("mul", x, 180 / math.pi),
    "radians": lambda t, x: t.apply("mul", x, math.pi / 180), "round": lambda t, x: t.apply("round", x),
    "around": lambda t, x: t.apply("round", x),
    "logaddexp2": lambda t, x, y: t.apply("logaddexp", x * math.log(2), y * math.log(2)) / math.log(2),
    "isinf": lambda t, x: t.apply("eq", t.apply("abs", x), math.inf),
    "heaviside": lambda t, x, h: t.apply("select", t.apply("eq", x, 0.0), h, t.apply(
        "select", t.apply("less", x, 0.0), 0.0, 1.0)),
    "copysign": lambda t, x, y: t.apply("select", t.apply("less", y, 0.0), -abs(x), abs(x)),
    "where": lambda t, c, a, b: t.apply("select", _condition(t, c), a, b),
    "clip": lambda t, x, a_min=None, a_max=None, **ends: _clip(t, x, ends.get("min", a_min), ends.get("max", a_max)),
    "nan_to_num": lambda t, x, nan=0.0: t.apply("select", t.apply("isnan", x), nan, x),
    "special.logit": lambda t, x: t.apply("log", x) - t.apply("log1p", -x),
    "special.entr": lambda t, x: -t.apply("xlogy", x, x),
    "special.rel_entr": lambda t, x, y: t.apply("xlogy", x, x / y),
    "special.log_expit": lambda t, x: -t.apply("softplus", -x),
    "special.ndtr": lambda t, x: 0.5 * t.apply("erfc", -x / math.sqrt(2)),
    "astype": lambda t, x, kind: _cast(t, x, np.dtype(kind)), "copy": lambda t, x: t.value(t.lift(x)),
    "asarray": lambda t, x: t.value(t.lift(x)), "array": lambda t, x: t.value(t.lift(x)),
    "ascontiguousarray": lambda t, x: t.value(t.lift(x)), "conj": lambda t, x: t.value(t.lift(x)),
    "item": lambda t, x: x.reshape(()) if x.ndim else x,
})


def _condition(t: Trace, c: Any) -> Any:
    array = t.lift(c)
    return t.value(array) if array.dtype == "bool" else t.apply("not_equal", c, 0)


def _clip(t: Trace, x: Any, low: Any, high: Any) -> Any:
    if low is not None and high is not None:
        return t.apply("clip", x, low, high)
    if low is None and high is None:
        return x
    return t.apply("max", x, low) if high is None else t.apply("min", x, high)


def _cast(t: Trace, x: Any, dtype: np.dtype[Any]) -> Any:
    array = t.lift(x)
    if dtype.kind == "f" and dtype.itemsize >= 4:
        return t.value(array._replace(node=t.arrays.real(array.node)))
    if dtype.kind == "i" and array.dtype in ("bool", "int64"):
        return t.value(array._replace(node=t.arrays.number(array.node)))
    raise t.refused(f"an array of {array.dtype} cannot become {dtype}", "Real values stay real here.")


# -- axes -----------------------------------------------------------------------------------------


def positions(t: Trace, axis: Any, rank: int) -> list[int]:
    """The dimensions that `axis=` names, counted from 0."""
    axes = range(rank) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    found = []
    for one in axes:
        if not isinstance(one, (int, np.integer)) or not -rank <= one < rank:
            raise t.refused(f"there is no axis {one} in an array of {rank} dimensions",
                            f"Write an axis from 0 to {max(rank - 1, 0)}.", ShapeError)
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


def _reduction(op: str) -> Function:
    def reduce(t: Trace, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        array = t.lift(x)
        chosen = positions(t, axis, len(array.axes))
        if op in ("argmax", "argmin") and len(chosen) != 1:
            array, chosen = t.lift(FUNCTIONS["ravel"](t, x)), [0]
        return kept(t, t.arrays.reduce(op, array, chosen), chosen, keepdims, len(array.axes))

    return reduce


for _name in ("sum", "prod", "mean", "max", "min", "any", "all", "argmax", "argmin"):
    FUNCTIONS[_name] = _reduction(_name)
FUNCTIONS |= {"amax": FUNCTIONS["max"], "amin": FUNCTIONS["min"], "average": FUNCTIONS["mean"]}
FUNCTIONS["special.logsumexp"] = _reduction("logsumexp")
FUNCTIONS["logsumexp"] = FUNCTIONS["special.logsumexp"]


@known("var")
def _var(t: Trace, x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    centred = x - FUNCTIONS["mean"](t, x, axis, keepdims=True)
    if not ddof:
        return FUNCTIONS["mean"](t, centred * centred, axis, keepdims=keepdims)
    array = t.lift(x)
    count = Dim.of(1)
    for position in positions(t, axis, len(array.axes)):
        count = count * array.shape[position]
    total = FUNCTIONS["sum"](t, centred * centred, axis, keepdims=keepdims)
    return total / (t.value(Array(t.graph.dim(count))) - ddof)


@known("std")
def _std(t: Trace, x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    return t.apply("sqrt", _var(t, x, axis, ddof, keepdims))


@known("ptp")
def _ptp(t: Trace, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return FUNCTIONS["max"](t, x, axis, keepdims) - FUNCTIONS["min"](t, x, axis, keepdims)


@known("special.softmax softmax")
def _softmax(t: Trace, x: Any, axis: Any = None) -> Any:
    return t.apply("exp", _log_softmax(t, x, axis))


@known("special.log_softmax log_softmax")
def _log_softmax(t: Trace, x: Any, axis: Any = None) -> Any:
    return x - FUNCTIONS["logsumexp"](t, x, axis, keepdims=True)


@known("linalg.norm")
def _norm(t: Trace, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    rank = len(t.lift(x).axes)
    chosen = positions(t, axis, rank)
    if ord in (None, "fro") or (ord == 2 and len(chosen) == 1):
        return t.apply("sqrt", FUNCTIONS["sum"](t, x * x, axis, keepdims=keepdims))
    if len(chosen) == 1 and ord == 1:
        return FUNCTIONS["sum"](t, abs(x), axis, keepdims=keepdims)
    if len(chosen) == 1 and ord in (math.inf, -math.inf):
        return FUNCTIONS["max" if ord > 0 else "min"](t, abs(x), axis, keepdims=keepdims)
    if len(chosen) == 1 and isinstance(ord, (int, float)) and ord > 0:
        return FUNCTIONS["sum"](t, abs(x) ** ord, axis, keepdims=keepdims) ** (1.0 / ord)
    raise t.refused(f"np.linalg.norm with ord={ord!r} over {len(chosen)} axes is not known",
                    "Use ord None, 'fro', or 1, 2, inf over one axis.")


def _running(kind: str) -> Function:
    def run(t: Trace, x: Any, axis: Any = None) -> Any:
        array = t.lift(x)
        if axis is None:
            array, axis = t.lift(FUNCTIONS["ravel"](t, x)), 0
        along = array.axes[positions(t, axis, len(array.axes))[0]]
        node = t.arrays.number(array.node)
        if kind == "sum":
            return t.value(array._replace(node=t.graph.scan("sum", along, (node,), inclusive=True)))
        before = t.graph.scan("prod", along, (t.arrays.real(node),))
        return t.value(array._replace(node=t.graph.apply("mul", before, node)))

    return run


FUNCTIONS |= {"cumsum": _running("sum"), "cumprod": _running("prod")}


@known("diff")
def _diff(t: Trace, x: Any, n: int = 1, axis: int = -1) -> Any:
    for _ in range(n):
        x = t.value(t.lift(x))
        at = positions(t, axis, x.ndim)[0]
        before, after = [slice(None)] * x.ndim, [slice(None)] * x.ndim
        before[at], after[at] = slice(0, -1), slice(1, None)
        x = x[tuple(after)] - x[tuple(before)]
    return x
