"""The two kinds of numbers that the interpreter computes with: NumPy's, and mpmath's as objects.

Each says how an argument becomes a value, what an operation of the table does to values that broadcast,
and how a reduction treats points that a guard excludes. Axes, graphs and order are the interpreter's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from .errors import ArgumentError, DomainError
from .table import OPERATIONS, Operation


def _meaning(entry: Operation) -> Callable[..., Any]:
    """The NumPy or SciPy function that an entry names."""
    if callable(entry.numpy):
        function = entry.numpy
        return lambda *args: function(np, *args)
    if entry.numpy.startswith("special."):
        from scipy import special

        return cast(Callable[..., Any], getattr(special, entry.numpy.removeprefix("special.")))
    return cast(Callable[..., Any], getattr(np, entry.numpy))


class FloatNumbers:
    """NumPy's numbers: each value has the dtype of its node."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}

    def argument(self, name: str, dtype: str, value: Any) -> Any:
        """A checked argument as a scalar or array of its dtype; nothing is narrowed silently."""
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise ArgumentError(f"{name} holds {array.dtype} values: give real numbers ({dtype})")
        if dtype in ("int64", "bool") and array.dtype.kind not in ("b" if dtype == "bool" else "biu"):
            raise ArgumentError(f"{name} must be {dtype}, not {array.dtype}: convert it first")
        return array.astype(dtype)[()]

    def number(self, dtype: str, value: Any) -> Any:
        """A literal."""
        return np.dtype(dtype).type(value)

    def indices(self, size: int) -> Any:
        """0, 1, ... size - 1."""
        return np.arange(size, dtype=np.int64)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of zeros."""
        return np.zeros(shape, dtype)

    def apply(self, op: str, dtype: str, args: Sequence[Any]) -> Any:
        """An operation of the table on values that broadcast."""
        function = self._functions.get(op)
        if function is None:
            function = self._functions[op] = _meaning(OPERATIONS[op])
        if OPERATIONS[op].result != "bool" and op != "select":  # NumPy's exp(True) would be a half float
            target = dtype if dtype != "bool" else "int64"
            args = [a.astype(target) if a.dtype == np.bool_ else a for a in args]
        if op == "pow" and dtype == "int64" and np.any(np.less(args[1], 0)):
            raise DomainError("an integer to a negative power is no integer: write the base as a float")
        return self.cast(function(*args), dtype)

    def cast(self, value: Any, dtype: str) -> Any:
        """A value in the dtype of its node; arrays without dimensions become scalars."""
        if value.dtype != dtype:
            value = value.astype(dtype)
        return value[()] if value.ndim == 0 else value

    def reduce(self, op: str, dtype: str, values: Any, mask: Any, axis: int) -> Any:
        """A reduction along one axis over the points where the mask holds (at least one, if it needs one)."""
        if op in ("any", "all"):
            truth = np.asarray(values, dtype=bool)
            return np.any(truth & mask, axis=axis) if op == "any" else np.all(truth | ~mask, axis=axis)
        if op in ("argmax", "argmin"):
            best = np.expand_dims(self.reduce(op[3:], "", values, mask, axis), axis)
            hits = mask & ((values == best) | ((values != values) & (best != best)))
            return self.cast(np.argmax(hits, axis=axis), "int64")
        if op == "logsumexp":
            return self.cast(
                self._logsumexp(np.where(mask, values, self.number("float64", -np.inf)), axis), dtype
            )
        if op == "mean":
            total = self.reduce("sum", dtype, self._as(values, dtype), mask, axis)
            return self.cast(total / np.sum(mask, axis=axis), dtype)
        if op in ("sum", "prod"):
            whole = np.where(mask, self._as(values, dtype), self.number(dtype, 0 if op == "sum" else 1))
            found = np.sum(whole, axis=axis) if op == "sum" else np.prod(whole, axis=axis)
            return self.cast(found, dtype)
        function = np.maximum if op == "max" else np.minimum
        found = function.reduce(np.where(mask, values, self.worst(op, values)), axis=axis)
        return self.cast(found, dtype) if dtype else found

    def _as(self, values: Any, dtype: str) -> Any:
        return values.astype(dtype)

    def worst(self, op: str, values: Any) -> Any:
        """What loses against every value: the filling for points outside the mask."""
        if values.dtype.kind in "fO":
            return self.number("float64", -np.inf if op == "max" else np.inf)
        if values.dtype.kind == "b":
            return op != "max"
        limits = np.iinfo(values.dtype)
        return values.dtype.type(limits.min if op == "max" else limits.max)

    def _logsumexp(self, values: Any, axis: int) -> Any:
        top = np.max(values, axis=axis, keepdims=True)
        shift = np.where(np.isfinite(top), top, 0.0)
        return np.log(np.sum(np.exp(values - shift), axis=axis)) + np.squeeze(shift, axis=axis)


class ExactNumbers(FloatNumbers):
    """Numbers of an mpmath context in object arrays: floats are mpf, integers and truth values Python's.

    Where mpmath has no value (a pole, an infinite operand), the value is what the NumPy meaning gives.
    """

    def __init__(self, mp: Any) -> None:
        super().__init__()
        self.mp = mp
        self._float = FloatNumbers()

    def argument(self, name: str, dtype: str, value: Any) -> Any:
        """As NumPy's, but numbers of the context pass as they are."""
        array = np.asarray(value)
        if array.dtype != object:
            array = self._float.argument(name, dtype, value)
        return self.cast(np.asarray(array), dtype)

    def number(self, dtype: str, value: Any) -> Any:
        """A literal."""
        return {"bool": bool, "int64": int}.get(dtype, self.mp.mpf)(value)

    def indices(self, size: int) -> Any:
        """0, 1, ... size - 1, as Python integers."""
        return np.arange(size).astype(object)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of zeros."""
        return np.full(shape, self.number(dtype, 0), dtype=object)

    def apply(self, op: str, dtype: str, args: Sequence[Any]) -> Any:
        """An operation of the table, element by element."""
        key = f"{op}/{len(args)}"                               # max of two and max of three
        function = self._functions.get(key)
        if function is None:
            function = self._functions[key] = self._elementwise(op, len(args))
        return self.cast(function(*args), dtype)

    def _elementwise(self, op: str, count: int) -> Callable[..., Any]:
        entry, mp = OPERATIONS[op], self.mp
        exact = entry.exact
        meaning = getattr(mp, exact) if isinstance(exact, str) else lambda *args: exact(mp, *args)
        plain = entry.result == "bool" or op == "select"

        def value(*args: Any) -> Any:
            if not plain:
                args = tuple(a if i in entry.integers else mp.mpf(a) for i, a in enumerate(args))
            try:
                found = meaning(*args)
            except (ArithmeticError, TypeError, ValueError, mp.NoConvergence):  # TypeError: Bessel at inf
                return self._nearest(op, args)
            return mp.nan if isinstance(found, mp.mpc) else found

        found: Callable[..., Any] = np.frompyfunc(value, count, 1)
        return found

    def _nearest(self, op: str, args: Sequence[Any]) -> Any:
        """NumPy's value: infinities and not-a-numbers at poles and infinite operands."""
        function = _meaning(OPERATIONS[op])
        operands = [np.float64(a) if not isinstance(a, bool | int) else a for a in args]
        return self.mp.mpf(float(function(*operands)))

    def cast(self, value: Any, dtype: str) -> Any:
        """Objects of the kind that the dtype asks for."""
        kind = {"bool": bool, "int64": int}.get(dtype, self.mp.mpf)
        if not isinstance(value, np.ndarray):
            return value if isinstance(value, kind) else kind(value)
        found = np.frompyfunc(kind, 1, 1)(value)
        return np.asarray(found, dtype=object) if value.ndim else found

    def reduce(self, op: str, dtype: str, values: Any, mask: Any, axis: int) -> Any:
        """A reduction; sums and products are those of the context."""
        found = super().reduce(op, dtype, values, mask, axis)
        return self.cast(np.asarray(found, dtype=object), dtype) if op in ("any", "all") else found

    def _as(self, values: Any, dtype: str) -> Any:
        return values if not dtype.startswith("float") else np.frompyfunc(self.mp.mpf, 1, 1)(values)

    def _logsumexp(self, values: Any, axis: int) -> Any:
        mp = self.mp
        total = np.add.reduce(np.frompyfunc(mp.exp, 1, 1)(values), axis=axis)
        return np.frompyfunc(mp.log, 1, 1)(total)
