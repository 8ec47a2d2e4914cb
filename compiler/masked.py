"""What a traced mask selects, `x[x > 0]`: elements whose number is not known, until a reduction takes them in.

A `Selected` value keeps the whole array and the mask. Pointwise functions pass over the whole array, reductions
count only the points where the mask holds, so `np.sum(x[mask])` is `np.sum(x, where=mask)`; neither makes room for
the selected elements. All else is refused. What the functions mean is left to `numpy_functions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .assignment import spread

if TYPE_CHECKING:
    from .traced import Trace, Traced

REDUCTIONS = ("sum", "prod", "mean", "max", "min", "amax", "amin", "any", "all", "var", "std", "count_nonzero",
              "special.logsumexp", "nansum", "nanmean", "nanmax", "nanmin", "nanprod")


class Selected:
    """The elements of `full` at which `mask`, an array of its first dimensions, is true."""

    __slots__ = ("full", "mask")
    __array_priority__ = 1001.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, full: Traced, mask: Traced) -> None:
        self.full, self.mask = full, mask

    @property
    def tracer(self) -> Trace:
        """The trace of the array."""
        return self.full.tracer

    @property
    def ndim(self) -> int:
        """The number of dimensions: one for those of the mask."""
        return self.full.ndim - self.mask.ndim + 1

    @property
    def shape(self) -> tuple[Any, ...]:
        """The number of places, a traced whole number, and the dimensions behind those of the mask."""
        return (self._call("sum", (self.mask,)), *self.full.shape[self.mask.ndim:])

    @property
    def size(self) -> Any:
        """The number of elements, a traced whole number."""
        total = self.shape[0]
        for size in self.shape[1:]:
            total = total * size
        return total

    def selects_by(self, mask: Traced) -> bool:
        """Whether the mask is the same one."""
        trace = self.tracer
        one, other = (trace.arrays.plain(m.array) for m in (self.mask, mask))
        return one == other

    def where(self) -> Traced:
        """The mask in the dimensions of the whole array, of size 1 where it lacks them."""
        return self.tracer.value(spread(self.tracer, self.mask.array, self.full.ndim))

    @staticmethod
    def _call(name: str, args: Sequence[Any], keywords: Mapping[str, Any] | None = None) -> Any:
        from .numpy_functions import call

        return call(name, args, keywords or {})

    def __getattr__(self, name: str) -> Any:
        from .numpy_functions import METHODS

        if name not in METHODS:
            from .traced import MASK_ADVICE, UnknownAttribute

            raise self.tracer.refused(f"elements that a mask selects have no attribute {name}", MASK_ADVICE,
                                      UnknownAttribute)
        return lambda *args, **keywords: self._call(METHODS[name], (self, *args), keywords)

    def __getitem__(self, key: Any) -> Any:
        raise self._refused("an index")

    def _refused(self, what: str) -> Exception:
        from .traced import MASK_ADVICE

        return self.tracer.refused(f"{what} of elements that a mask selects, whose number is not known", MASK_ADVICE)

    def __bool__(self) -> bool:
        return bool(self.full)

    def __iter__(self) -> Any:
        raise self._refused("a Python loop")

    def __len__(self) -> int:
        raise self._refused("len()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        """NumPy's ufuncs on selected elements."""
        return self.full.__array_ufunc__(ufunc, method, *inputs, **keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        """NumPy's other functions on selected elements."""
        return self.full.__array_function__(function, types, args, keywords)


def _operator(name: str, *, mirrored: bool = False) -> Callable[..., Any]:
    def method(self: Selected, *others: Any) -> Any:
        return self._call(name, (*others, self) if mirrored else (self, *others))

    return method


for _name, _function in (("add", "add"), ("sub", "subtract"), ("mul", "multiply"), ("truediv", "divide"),
                         ("floordiv", "floor_divide"), ("mod", "mod"), ("pow", "power"), ("and", "bitwise_and"),
                         ("or", "bitwise_or"), ("xor", "bitwise_xor"), ("matmul", "matmul")):
    setattr(Selected, f"__{_name}__", _operator(_function))
    setattr(Selected, f"__r{_name}__", _operator(_function, mirrored=True))
for _name, _function in (("lt", "less"), ("le", "less_equal"), ("gt", "greater"), ("ge", "greater_equal"),
                         ("eq", "equal"), ("ne", "not_equal"), ("neg", "negative"), ("abs", "abs"),
                         ("invert", "invert")):
    setattr(Selected, f"__{_name}__", _operator(_function))


def selected_call(trace: Trace, name: str, pointwise: bool, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """A function on arguments of which at least one is what a mask selects."""
    picks = [a for a in (*args, *keywords.values()) if isinstance(a, Selected)]
    first = picks[0]
    for other in picks[1:]:
        if not first.selects_by(other.mask):
            raise trace.refused("elements selected by two different masks meet",
                                "Select by one mask, or write np.where(mask, x, 0.0).")
    if name in ("dot", "vdot", "inner", "matmul") and len(picks) == 2 and first.ndim == picks[1].ndim == 1:
        return first._call("sum", (first._call("multiply", (first, picks[1])),))
    behind = first.full.ndim - first.mask.ndim
    if pointwise:
        for value in args:
            if not isinstance(value, Selected) and len(trace.lift(value).axes) > behind:
                raise trace.refused("elements that a mask selects meet an array of another shape",
                                    "Select from that array by the same mask.")
        whole = [a.full if isinstance(a, Selected) else a for a in args]
        return Selected(first._call(name, whole, keywords), first.mask)
    if name in ("size", "shape", "ndim") and len(args) == 1:
        return getattr(first, name)
    axis = keywords.get("axis", args[1] if len(args) > 1 else None)
    if name in REDUCTIONS and axis in (None, 0) and len(args) <= 2 and set(keywords) <= {"axis", "initial", "ddof"}:
        axes = None if axis is None else tuple(range(first.mask.ndim))
        return first._call(name, (first.full,), {**keywords, "axis": axes, "where": first.where()})
    if name == "linalg.norm" and len(args) == 1 and not keywords and first.ndim == 1:
        return first._call("sqrt", (first._call("sum", (first._call("square", (first,)),)),))
    raise first._refused(f"np.{name}")
