"""NumPy's dtypes on traced values: what a dtype argument means, casts, and how unlike operands are promoted.

Arrays promote as in NumPy: float32 with float64 or with whole numbers is float64, truth values take part as they
are. Numbers do not: a literal, a size, a number of NumPy, an argument without dimensions, and what is computed
from these alone take on the precision of the arrays they meet (NumPy 2 has it so for Python's numbers; here a
`np.float64(2.0)` or `np.sqrt(3)` is a number like `2.0`). Casts are nodes of the graph (`gradc.ir.cast`); which
function needs which dtype is left to the functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradc.ir.cast import cast
from gradc.ir.errors import UnsupportedError
from gradc.ir.graph import Graph, Node, promoted
from gradc.ir.table import OPERATIONS

from .arrays import Array, ArrayError

if TYPE_CHECKING:
    from .traced import Trace

LITERAL, NUMBER, SINGLE, FIXED = range(4)       # what decides less comes first: see `Promotion.rank`
_BOOLEAN = {"add": "or", "mul": "and", "max": "or", "min": "and", "abs": "", "floor": "", "ceil": "", "trunc": ""}
_WHOLE = ("floor", "ceil", "trunc")


class Promotion:
    """The dtypes of operands that meet in one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._ranks: dict[Node, int] = {}

    def rank(self, array: Array) -> int:
        """How firmly an operand has its dtype.

        An array has it (FIXED), a number that is read or computed from arrays too. What is computed from literals
        and sizes alone has none (LITERAL); arguments without dimensions yield to arrays (NUMBER, or SINGLE, which
        has been declared float32).
        """
        return FIXED if array.axes else self._rank(array.node)

    def _rank(self, root: Node) -> int:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self._ranks:
                stack.pop()
            elif node.op == "input":
                self._ranks[node] = FIXED if node.shape else SINGLE if node.dtype == "float32" else NUMBER
            elif node.op in ("const", "dim"):
                self._ranks[node] = FIXED if node.dtype == "float32" else LITERAL
            elif node.op not in OPERATIONS:
                self._ranks[node] = FIXED
            else:
                waiting = [a for a in node.args if a not in self._ranks]
                stack += waiting
                if not waiting:
                    rank = max(self._ranks[a] for a in node.args)
                    self._ranks[node] = FIXED if rank < SINGLE and node.dtype == "float32" else rank
        return self._ranks[root]

    def common(self, arrays: Sequence[Array]) -> str:
        """The dtype of several arrays that are put together."""
        ranks = [self.rank(array) for array in arrays]
        least = SINGLE if FIXED in ranks else NUMBER
        fixed = [array.dtype for array, rank in zip(arrays, ranks, strict=True) if rank >= least]
        if not fixed:
            return promoted([array.dtype for array in arrays])
        dtype = "float64" if {"float32", "int64"} <= set(fixed) else promoted(fixed)
        others = {array.dtype for array, rank in zip(arrays, ranks, strict=True) if rank < least}
        if others & {"float32", "float64"} and not dtype.startswith("float"):
            return "float64"
        return "int64" if dtype == "bool" and "int64" in others else dtype

    def alike(self, arrays: Sequence[Array]) -> list[Array]:
        """Several arrays in their common dtype."""
        dtype = self.common(arrays)
        return [array._replace(node=cast(array.node, dtype)) for array in arrays]

    def precise(self, arrays: Sequence[Array]) -> list[Array]:
        """Real operands in their common precision; whole numbers and truth values are left to the operation."""
        dtype = self.common(arrays)
        if not dtype.startswith("float"):
            return list(arrays)
        return [array._replace(node=cast(array.node, dtype)) if array.dtype.startswith("float") else array
                for array in arrays]

    def operands(self, op: str, arrays: Sequence[Array]) -> tuple[str, list[Array]]:
        """An operation of the table and its operands as NumPy's function of that name takes them.

        Truth values are added by `or` and multiplied by `and`; ArrayError for their difference, which NumPy refuses.
        """
        entry = OPERATIONS[op]
        if op in ("and", "or", "not"):
            return op, list(arrays)
        values = [k for k in range(len(arrays)) if k not in entry.integers and not (op == "select" and k == 0)]
        dtypes = {arrays[k].dtype for k in values}
        if dtypes == {"bool"} and op in ("sub", "neg"):
            raise ArrayError(f"{'the difference' if op == 'sub' else 'the negative'} of truth values",
                             "Write ^ or ~ for truth values, or count them by 1 * mask.", UnsupportedError)
        if dtypes == {"bool"} and op in _BOOLEAN:
            return _BOOLEAN[op], list(arrays)
        if dtypes == {"int64"} and op in _WHOLE:
            return "", list(arrays)
        changed = self.precise([arrays[k] for k in values])
        found = list(arrays)
        for k, array in zip(values, changed, strict=True):
            found[k] = array
        return op, found


def named(dtype: Any, before: str = "") -> str:
    """The dtype of the graph that NumPy's dtype means; whole numbers have 64 bits here.

    ArrayError for complex numbers, half and extended precision, and what is no number; `before` is the dtype of
    what is to be cast.
    """
    wanted = np.dtype(dtype)
    if wanted.kind == "f" and wanted.itemsize in (4, 8):
        return str(wanted.name)
    if wanted.kind in "biu":
        return "bool" if wanted.kind == "b" else "int64"
    advice = {"c": "Keep real and imaginary part apart: all numbers are real here.",
              "f": "Write np.float32 or np.float64."}
    what = f"an array of {before} cannot become {wanted}" if before else f"an array of {wanted} cannot be traced"
    raise ArrayError(what, advice.get(wanted.kind, "Use real numbers, whole numbers or truth values."),
                     UnsupportedError)


def converted(trace: Trace, x: Any, dtype: Any) -> Any:
    """A value in a dtype, as NumPy's `astype` gives it; a real number becomes a whole one by cutting."""
    array, wanted = trace.lift(x), np.dtype(dtype)
    kind = named(wanted, array.dtype)
    narrow = wanted.kind in "iu" and wanted.name not in ("int32", "int64")
    if narrow and array.dtype != "bool" and array.node.op != "const":
        raise ArrayError(f"an array of {array.dtype} cannot become {wanted.name}, in which NumPy would wrap around",
                         "Whole numbers have 64 bits here: write int, or np.int64.", UnsupportedError)
    return trace.value(array._replace(node=cast(array.node, kind)))


class _NumberType(type):
    """The type of a stand-in for one of NumPy's number types, such as `np.float32`: it casts what is traced."""

    numpy: Any

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        from .numpy_functions import call, trace_of

        return cls.numpy(*args, **keywords) if trace_of(args) is None else call("astype", (*args, cls.numpy), keywords)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.numpy)

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return issubclass(getattr(subclass, "numpy", subclass), cls.numpy)

    def __eq__(cls, other: object) -> bool:
        return cls.numpy is getattr(other, "numpy", other)

    def __hash__(cls) -> int:
        return hash(cls.numpy)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.numpy, name)


def number_type(kind: type[np.generic]) -> Any:
    """What a traced function sees in place of one of NumPy's number types; as a dtype it means the same."""
    return _NumberType(kind.__name__, (), {"numpy": kind, "dtype": np.dtype(kind)})
