"""The methods of NumPy's ufuncs on traced values: `np.add.reduce`, `np.maximum.accumulate`, `np.subtract.outer`.

A reduction of a ufunc is one of `numpy_reductions` along the first axis, a running maximum a scan like a running
sum, and an outer operation the operation itself on dimensions set side by side. `np.add.at` assigns. What has no
meaning here is put among the refused names, each with what to write instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .assignment import accumulated
from .numpy_functions import FUNCTIONS, POINTWISE, REFUSED, Function, known
from .numpy_reductions import running
from .traced import Trace, Traced

REDUCED = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "fmax": "nanmax", "fmin": "nanmin",
           "logical_and": "all", "logical_or": "any", "logaddexp": "special.logsumexp"}
ACCUMULATED = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}
_ADVICE = {
    "reduce": "Write np.sum, np.prod, np.max or np.min, or a Python loop over a dimension of fixed size.",
    "accumulate": "Write np.cumsum, np.cumprod, np.maximum.accumulate or np.minimum.accumulate.",
    "outer": "Set the dimensions side by side: f(x[:, None], y).",
    "at": "Write y[i] = value for indices that differ, or np.add.at.",
    "reduceat": "Reduce each slice on its own, such as np.sum(x[a:b]).",
}


def _reduced(name: str) -> Function:
    def reduce(t: Trace, array: Any, axis: Any = 0, keepdims: bool = False, initial: Any = None,
               where: Any = True) -> Any:
        options = {} if initial is None else {"initial": initial}
        return FUNCTIONS[name](t, array, axis=axis, keepdims=keepdims, **options, **(
            {} if where is True else {"where": where}))

    return reduce


def _accumulated(kind: str) -> Function:
    run = running(kind)
    return lambda t, array, axis=0: run(t, array, axis)


def _outer(name: str) -> Function:
    def outer(t: Trace, A: Any, B: Any) -> Any:
        left, right = t.value(t.lift(A)), t.value(t.lift(B))
        return FUNCTIONS[name](t, left[(..., *[None] * right.ndim)], right)

    return outer


def _added(name: str, *, minus: bool) -> Function:
    def at(t: Trace, a: Any, indices: Any, b: Any) -> None:
        if not isinstance(a, Traced):
            raise t.refused(f"np.{name}.at of an array that is not traced",
                            "Make it by np.zeros inside the function.")
        value = t.apply("neg", b) if minus else b
        a.array = t.run(lambda: accumulated(t, a.array, t.items(a.array.shape, indices), t.lift(value))).array

    return at


FUNCTIONS |= {f"{name}.reduce": _reduced(function) for name, function in REDUCED.items()}
FUNCTIONS |= {f"{name}.accumulate": _accumulated(kind) for name, kind in ACCUMULATED.items()}
FUNCTIONS |= {"add.at": _added("add", minus=False), "subtract.at": _added("subtract", minus=True)}


@known("hypot.reduce")
def _hypot(t: Trace, array: Any, axis: Any = 0, keepdims: bool = False) -> Any:
    return FUNCTIONS["sqrt"](t, FUNCTIONS["sum"](t, FUNCTIONS["square"](t, array), axis, keepdims))


for _ufunc in {value for value in vars(np).values() if isinstance(value, np.ufunc)}:
    if _ufunc.nin == 2 and _ufunc.__name__ in POINTWISE:
        FUNCTIONS[f"{_ufunc.__name__}.outer"] = _outer(_ufunc.__name__)
    REFUSED |= {f"{_ufunc.__name__}.{method}": advice for method, advice in _ADVICE.items()
                if f"{_ufunc.__name__}.{method}" not in FUNCTIONS}
