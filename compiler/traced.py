"""Values that stand for arrays while a Python function is traced, and the context that makes them.

A `Traced` value wraps an `arrays.Array`: operators, attributes, methods, indexing and NumPy's protocols put
nodes into the graph of its `Trace`. Assignment changes the value and its views as in NumPy (`views`), and never the
caller's array. What would need a number at tracing time (a Python branch or loop on a
traced value, `float(x)`) is refused with the line of the user's function and what to write instead. What the
functions of NumPy mean is left to `numpy_functions`; how a function is run is left to `from_python`.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.dims import Dim
from gradc.ir.errors import GradcError, UnsupportedError
from gradc.ir.graph import Check, Graph, Node, is_shared
from gradc.ir.table import OPERATIONS

from .arrays import Array, ArrayError, Arrays, Item, NewAxis, Slice, whole_dim
from .assignment import are_distinct, assigned, chosen
from .bounds import Bounds
from .masked import Selected
from .numpy_dtypes import Promotion
from .syntax import nearest
from .views import View, basic, transposed

LARGEST_CONSTANT = 256      # elements of an array that is not an argument
MASK_ADVICE = "Reduce what x[mask] selects at once, np.sum(x[mask]), or write np.where(mask, x, 0.0)."


_REAL = frozenset(name for name, entry in OPERATIONS.items()
                  if entry.result in ("float", "real") and not entry.integers)
ATTRIBUTES = ("shape", "ndim", "size", "dtype", "T", "mT", "real", "imag")


class Places(NamedTuple):
    """The places along one dimension at which a mask of numbers is true, and the size of that dimension."""

    places: Any
    size: int


def _are_reals(arrays: Sequence[Array]) -> bool:
    """Whether all are numbers of double precision."""
    return all(array.node.dtype == "float64" and not array.axes for array in arrays)


def _is_traced(values: Any) -> bool:
    """Whether a traced value is among nested lists."""
    return isinstance(values, Traced) or (isinstance(values, (list, tuple)) and any(map(_is_traced, values)))


class Trace:
    """One tracing run: the graph, the arithmetic of arrays in it, and the user's file for messages."""

    def __init__(self, graph: Graph, filename: str) -> None:
        self.graph, self.filename = graph, filename
        self.needed_whole = ""                                  # the argument that is an index and is no whole number
        self.unknowns = 0                                       # how many nodes stand for unknowns of equations
        self.arrays, self.bounds, self.promotion = Arrays(graph), Bounds(graph), Promotion(graph)

    # -- errors -------------------------------------------------------------------------------

    def refused(self, message: str, advice: str, error: type[GradcError] = UnsupportedError) -> GradcError:
        """The error with the line of the user's function that is running."""
        frame: Any = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self.filename:
            frame = frame.f_back
        place = ""
        if frame is not None:
            text = linecache.getline(self.filename, frame.f_lineno).strip()
            place = f" (line {frame.f_lineno}{f': {text}' if text else ''})"
        return error(f"{message}{place}\n{advice}")

    def or_static(self, value: Any, advice: str) -> str:
        """The advice on a value that is needed as a number; where it comes from numbers alone, they can be static."""
        waiting, names = [value.array.node] if isinstance(value, Traced) else [], set()
        while waiting:
            node = waiting.pop()
            if node.op == "dim" or node.is_array or node.is_reduction:
                return advice
            waiting += node.args
            if node.op == "input":
                names.add(node.attr.name)
        if not names:
            return advice
        listed = ", ".join(f'"{name}"' for name in sorted(names)) + ("," if len(names) == 1 else "")
        named = " and ".join(sorted(names)) + (" is to stay a Python number" if len(names) == 1 else
                                               " are to stay Python numbers")
        return f"{advice} If {named}, compile with static=({listed})."

    # -- values -------------------------------------------------------------------------------

    def value(self, array: Array) -> Traced:
        """A traced value of an array."""
        return Traced(self, array)

    def lift(self, value: Any) -> Array:
        """The array of a traced value, of a number, or of an array of constants."""
        if isinstance(value, Traced):
            return value.array
        if isinstance(value, Selected):
            raise self.refused("a mask selects elements, and their number is not known", MASK_ADVICE)
        if isinstance(value, (bool, np.bool_)):
            return Array(self.graph.const(bool(value)))
        if isinstance(value, (np.ndarray, np.longdouble)) and value.dtype.kind == "f" and value.dtype.itemsize > 8:
            raise self.refused(f"a value of dtype {value.dtype} meets a traced array",
                               "Convert it to float64 yourself, so that nothing is narrowed silently.")
        if isinstance(value, (int, np.integer)):
            if not -(2**63) <= int(value) < 2**63:
                raise self.refused(f"the integer {value} does not fit into 64 bits", "Write it as a float.")
            return Array(self.graph.const(int(value)))
        if isinstance(value, (float, np.floating)):
            return Array(self.graph.const(float(value)))
        if isinstance(value, (list, tuple)):
            return self.stacked([self.lift(item) for item in value])
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            if value.size > LARGEST_CONSTANT:
                raise self.refused(f"an array of {value.size} numbers that is no argument",
                                   "Make it an argument: it is then read, not written into the code.")
            if value.ndim == 0:
                return self.lift(value.item())
            single = value.ndim == 1 and value.dtype.kind == "f" and value.dtype.itemsize <= 4
            return self.stacked([Array(self.graph.const(float(item), "float32")) if single else self.lift(item)
                                 for item in value])
        what = f"an array of dtype {value.dtype}" if isinstance(value, np.ndarray) else (
            f"a value of type {type(value).__name__}")
        raise self.refused(f"{what} meets a traced array",
                           "Take real and imaginary parts apart: all numbers are real here."
                           if np.iscomplexobj(value) else "Use real numbers, and arrays of numbers or truth values.")

    def stacked(self, items: Sequence[Array]) -> Array:
        """Several arrays of one shape along a new first dimension."""
        if not items:
            raise self.refused("an empty list is no array", "Write np.zeros(0).")
        return self.joined([self._with_leading_one(item) for item in items], 0)

    def _with_leading_one(self, array: Array) -> Array:
        _, axes = self.arrays.index_nodes(array.shape, [NewAxis()])
        return self.arrays.over(Array(array.node, array.axes), axes[1:])._replace(axes=axes) if array.axes else (
            Array(array.node, axes))

    def joined(self, items: Sequence[Array], position: int) -> Array:
        """Several arrays one after the other along a dimension that they have: a store of parts."""
        graph, arrays = self.graph, self.arrays
        items = self.promotion.alike(items)
        shape = list(items[0].shape)
        offset = Dim.of(0)
        parts = []
        for item in items:
            if len(item.shape) != len(shape):
                raise ArrayError("arrays of different ranks are joined", "Give all of them the same rank.")
            for k, dim in enumerate(item.shape):
                if k != position:
                    shape[k] = arrays.unified(shape[k], dim)
            plain = arrays.plain(item)
            offsets = tuple(offset if k == position else Dim.of(0) for k in range(len(shape)))
            parts.append((plain.axes, offsets, (), plain.node))
            offset = offset + item.shape[position]
        shape[position] = offset
        return self.whole(graph.store_parts(shape, parts))

    def whole(self, array: Node) -> Array:
        """An array node (an input, a store) read over axes of its own."""
        axes = self.arrays.order(array.shape)
        return Array(self.graph.read(array, [self.graph.axis(axis) for axis in axes]) if axes else array, axes)

    def apply(self, op: str, *values: Any) -> Traced:
        """A pointwise operation of the table on broadcast operands."""
        watching = sys.getprofile()                             # for the user's functions, of which none is called here
        sys.setprofile(None)
        try:
            return self.run(lambda: self.operated(op, *map(self.lift, values)))
        finally:
            sys.setprofile(watching)

    def operated(self, op: str, *arrays: Array) -> Array:
        """A pointwise operation of the table on operands that are promoted and broadcast as in NumPy."""
        if op in _REAL and _are_reals(arrays):
            return Array(self.graph.apply(op, *[array.node for array in arrays]))       # nothing to promote or stretch
        op, operands = self.promotion.operands(op, arrays)
        return self.arrays.apply(op, *operands) if op else operands[0]

    def run(self, step: Callable[[], Array]) -> Traced:
        """A step whose mistakes are told with the user's line."""
        try:
            return self.value(step())
        except ArrayError as error:
            raise self.refused(error.message, error.advice, error.error) from None

    # -- indexing -----------------------------------------------------------------------------

    def items(self, shape: Sequence[Dim], key: Any) -> list[Item]:
        """A key of `x[key]` as one item for each dimension that it names."""
        keys = self.keys(key)
        count = sum(k is not None and k is not Ellipsis for k in keys)
        if sum(k is Ellipsis for k in keys) > 1 or count > len(shape):
            raise self.refused(f"{count} indices for an array of {len(shape)} dimensions",
                               "Write at most one index for each dimension.")
        if Ellipsis in [k for k in keys if isinstance(k, type(Ellipsis))]:
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            keys[at:at + 1] = [slice(None)] * (len(shape) - count)
        found: list[Item] = []
        position = 0
        for k in keys:
            if k is None:
                found.append(NewAxis())
                continue
            found.append(self._slice(k, shape[position]) if isinstance(k, slice) else self._pointer(k, shape[position]))
            position += 1
        return found

    def keys(self, key: Any) -> list[Any]:
        """The entries of a key; a mask of numbers is the places where it is true, one entry for each dimension."""
        found: list[Any] = []
        for k in key if isinstance(key, tuple) else (key,):
            if isinstance(k, (list, np.ndarray)) and not _is_traced(k):
                k = np.asarray(k, dtype=None if np.size(k) else int)
            if isinstance(k, np.ndarray) and k.dtype == bool:
                found += [Places(places, size) for places, size in zip(k.nonzero(), k.shape, strict=True)]
            else:
                found.append(k)
        return found

    def _pointer(self, key: Any, dim: Dim) -> Array:
        if isinstance(key, Places):
            self.arrays.unified(dim, Dim.of(key.size))
            key = key.places
        array = self.lift(key)
        if array.dtype == "bool":
            raise self.refused("a mask selects elements, and their number is not known", MASK_ADVICE)
        self.need_whole(array, "an index")
        if array.node.op == "const" and array.node.value < 0:
            return Array(self.graph.dim(dim + int(array.node.value)))
        if isinstance(key, np.ndarray) and key.size and key.min() < 0:
            return self.arrays.apply("select", self.arrays.apply("less", array, self.lift(0)), self.arrays.apply(
                "add", array, Array(self.graph.dim(dim))), array)
        return array

    def need_whole(self, array: Array, what: str) -> None:
        """Refuse what is no whole number; an argument that is one is read as one in another run."""
        if array.dtype == "int64":
            return
        source = array.node.args[0] if array.node.op == "read" else array.node
        if source.op == "input":
            self.needed_whole = source.attr.name
        raise self.refused(f"{what} is no whole number", self.or_static(
            Traced(self, array), 'Declare the argument as "int", or "int m" for an array.'))

    def _slice(self, key: slice, dim: Dim) -> Slice:
        step = 1 if key.step is None else key.step
        if not isinstance(step, int) or not step:
            raise self.refused("the step of a slice is no whole number",
                               self.or_static(step, "Write a literal such as 2 or -1."))
        if dim.constant is not None and all(end is None or isinstance(end, int) for end in (key.start, key.stop)):
            chosen = range(*key.indices(dim.constant))
            return Slice(self.graph.const(chosen.start), step, Dim.of(len(chosen)))
        ends = [Dim.of(0), dim] if step > 0 else [dim - 1, Dim.of(-1)]
        for at, end in enumerate((key.start, key.stop)):
            if end is not None:
                self.need_whole(self.lift(end), "an end of a slice")
                node = self._pointer(end, dim).node
                known = whole_dim(node)
                if known is None:
                    raise self.refused("the length of a slice is not known", self.or_static(
                        end, "Write ends that are numbers or sizes."))
                if known.constant is None and all(factor < 0 for _, factor in known.terms):
                    self.graph.checks.append(Check(
                        self.graph.apply("eq", self.graph.dim(known), 0),
                        f"a slice counts from the end by {-known}, which is 0: NumPy takes it from the beginning"))
                    known = dim + known
                ends[at] = known
        span = ends[1] - ends[0] if step > 0 else ends[0] - ends[1]
        count = (span + (abs(step) - 1)) // abs(step)
        return Slice(self.graph.dim(ends[0]), step, count if count.constant is None else Dim.of(max(0, count.constant)))

    def element(self, array: Array, items: Sequence[Item]) -> Array:
        """The array at some items: its axes are replaced by the indices, which are proved or checked.

        Windows of computed values read them from an array, so that none is computed for every window that it is in.
        """
        indices, axes = self.arrays.index_nodes(array.shape, items)
        self.bounds.require("the array", array.shape, indices, [], None)
        if is_shared(array.node, dict(zip(array.axes, indices, strict=True))):
            return Array(self.graph.read(self.graph.store(array.axes, array.node), indices), axes)
        return Array(self.arrays.at(array, indices), axes)


class UnknownAttribute(UnsupportedError, AttributeError):
    """An attribute that traced arrays do not have; `hasattr` sees that it is missing."""


def unknown_attribute(trace: Trace, name: str) -> Exception:
    """The error for `x.name`, with the attributes and functions that look like it."""
    from .numpy_functions import FUNCTIONS, METHODS

    if name.startswith("_"):                                    # a protocol that somebody asks for
        return AttributeError(f"a traced array has no attribute {name}")
    near = [f"x.{one}" for one in nearest(name, [*METHODS, *ATTRIBUTES])]
    near += [f"np.{one}(x)" for one in nearest(name, FUNCTIONS) if one not in METHODS and hasattr(np, one)]
    advice = f"Write {' or '.join(near[:3])}." if near else "Write it by functions of NumPy."
    return trace.refused(f"a traced array has no attribute {name}", advice, UnknownAttribute)


Method = Callable[[Any, Any], Any]


def _both(op: str) -> tuple[Method, Method]:
    """An operator and its mirror image."""
    return _binary(op), lambda self, other: self.tracer.apply(op, other, self)


def _called(name: str) -> tuple[Method, Method]:
    """An operator that is a function of the table, and its mirror image."""

    def method(*args: Any) -> Any:
        from .numpy_functions import call

        return call(name, args, {})

    return method, lambda self, other: method(other, self)


def _binary(op: str) -> Method:
    def method(self: Traced, other: Any) -> Any:
        if isinstance(other, str) and op not in ("eq", "not_equal"):
            self.tracer.lift(other)                             # it says that a text has no place here
        if other is None or isinstance(other, (str, Selected)):
            return NotImplemented
        return self.tracer.apply(op, self, other)

    return method


def _in_place(operator: Method) -> Method:
    """An operator such as +=, which assigns to an array, seen by all who hold it; a number is another one then."""
    def method(self: Traced, other: Any) -> Any:
        result = operator(self, other)
        if not isinstance(result, Traced) or not self.ndim:
            return result
        old, new = self.array, result.array
        if old.shape == new.shape and (old.dtype == new.dtype or old.dtype == "int64"):
            self.array = new
        else:
            self[...] = result
        return self

    return method


class Traced:
    """An array, or a number, of a function that is being traced; see the module."""

    __slots__ = ("_array", "seen_through", "tracer", "version")
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, trace: Trace, array: Array) -> None:
        self.tracer, self._array = trace, array
        self.version = 0                                        # how often the memory of an array was assigned to
        self.seen_through: View | None = None                   # of whose memory this is a part

    @property
    def array(self) -> Array:
        """What stands here now; of a view, after its memory was assigned to, what it shows then."""
        if self.seen_through is not None:
            self._array = self.seen_through.current(self._array)
        return self._array

    @array.setter
    def array(self, array: Array) -> None:
        self._array = array
        self.version += 1
        if self.seen_through is not None:
            self.seen_through = self.seen_through.written(array)

    @property
    def last(self) -> Array:
        """What stood here when it was looked at last."""
        return self._array

    def __repr__(self) -> str:
        return f"<traced {self.array.dtype}[{', '.join(map(str, self.array.shape))}]>"

    # -- attributes ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[Any, ...]:
        """Sizes: numbers where they are known, else traced whole numbers that can be computed with."""
        return tuple(self.size_of(dim) for dim in self.array.shape)

    def size_of(self, dim: Dim) -> Any:
        """A dimension as a number, or as a traced one."""
        return dim.constant if dim.constant is not None else Traced(self.tracer, Array(self.tracer.graph.dim(dim)))

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.array.axes)

    @property
    def size(self) -> Any:
        """The number of elements."""
        total = Dim.of(1)
        for dim in self.array.shape:
            total = total * dim
        return self.size_of(total)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the elements."""
        return np.dtype(self.array.dtype.replace("bool", "bool_"))

    @property
    def T(self) -> Traced:
        """The array with its dimensions in the other order."""
        return transposed(self, Traced(self.tracer, Array(self.array.node, self.array.axes[::-1])))

    @property
    def mT(self) -> Traced:
        """The array with its last two dimensions exchanged."""
        return self.swapaxes(-1, -2)  # type: ignore[no-any-return]

    @property
    def real(self) -> Traced:
        """The array itself: all numbers are real."""
        return self

    @property
    def imag(self) -> Traced:
        """Zeros: all numbers are real."""
        return Traced(self.tracer, Array(self.tracer.graph.const(0.0, self.array.dtype), self.array.axes))

    def __len__(self) -> int:
        if not self.array.axes:
            raise TypeError("len() of a traced number")
        size = self.shape[0]
        if not isinstance(size, int):
            raise self.tracer.refused("len() of an array whose size is not known", "Write x.shape[0].")
        return size

    def __iter__(self) -> Iterator[Traced]:
        if not self.array.axes:
            raise TypeError("a traced number cannot be iterated over")
        size = self.shape[0]
        if not isinstance(size, int):
            raise self.tracer.refused("a Python loop over an array whose size is not known",
                                     "Write operations on the whole array, such as np.sum or np.einsum.")
        return iter([self[i] for i in range(size)])

    def __bool__(self) -> bool:
        raise self.tracer.refused("a Python branch or loop on a traced value, which has no value yet", (
            self.tracer.or_static(self, "Write np.where(condition, a, b), or np.maximum, np.minimum, np.clip.")))

    def _number(self) -> Any:
        if self.array.node.op == "const" and not self.array.axes:
            return self.array.node.value
        raise self.tracer.refused("a traced value is needed as a Python number, and has none yet", (
            self.tracer.or_static(self, "Use NumPy's functions on it; a size of a loop must be a fixed dimension.")))

    def __array__(self, *_options: Any, **_more: Any) -> Any:
        raise self.tracer.refused("a traced array is needed as NumPy's own array, and has no numbers yet",
                                 "Leave it as it is: np.float64(x) and the like change nothing here.")

    __float__ = __int__ = __index__ = __complex__ = _number

    def __gradc_stop_gradient__(self) -> Traced:
        return self.tracer.apply("stop_gradient", self) if self.array.dtype.startswith("float") else self

    # -- operators ----------------------------------------------------------------------------

    __add__, __radd__ = _both("add")
    __sub__, __rsub__ = _both("sub")
    __mul__, __rmul__ = _both("mul")
    __truediv__, __rtruediv__ = _both("div")
    __floordiv__, __rfloordiv__ = _both("floordiv")
    __mod__, __rmod__ = _both("mod")
    __pow__, __rpow__ = _both("pow")
    __and__, __rand__ = _called("bitwise_and")
    __or__, __ror__ = _called("bitwise_or")
    __xor__, __rxor__ = _called("bitwise_xor")
    __divmod__, __rdivmod__ = _called("divmod")
    __lt__, __le__, __gt__, __ge__ = map(_binary, ("less", "less_equal", "greater", "greater_equal"))
    __eq__, __ne__ = map(_binary, ("eq", "not_equal"))

    __iadd__, __isub__, __imul__, __itruediv__, __ifloordiv__, __imod__, __ipow__, __iand__, __ior__, __ixor__ = map(
        _in_place, (__add__, __sub__, __mul__, __truediv__, __floordiv__, __mod__, __pow__, __and__, __or__, __xor__))

    def __neg__(self) -> Traced:
        return self.tracer.apply("neg", self)

    def __abs__(self) -> Traced:
        return self.tracer.apply("abs", self)

    def __round__(self, ndigits: int | None = None) -> Any:
        from .numpy_functions import call

        return call("round", (self, ndigits or 0), {})

    def __invert__(self) -> Any:
        from .numpy_functions import call

        return call("invert", (self,), {})

    def __pos__(self) -> Traced:
        return self.tracer.value(self.array)

    def __matmul__(self, other: Any) -> Any:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _matmul(other, self)

    # -- indexing and methods -----------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        trace, array = self.tracer, self.array
        if _is_mask(key):
            return Selected(trace.value(array), self._matching(key))
        found = trace.run(lambda: trace.element(array, trace.items(array.shape, key)))
        if found.ndim and basic(key):
            def put(value: Array) -> None:
                self[key] = trace.value(value)

            found.seen_through = View(self, lambda: self[key].array, put, key)
        return found

    def _matching(self, mask: Traced) -> Traced:
        """A mask, which has the first dimensions of this array."""
        if not 0 < mask.ndim <= self.ndim:
            raise self.tracer.refused(f"a mask of {mask.ndim} dimensions for an array of {self.ndim}",
                                     "Give it the first dimensions of the array, or write np.where(mask, x, y).")
        def same() -> Array:
            for one, other in zip(mask.array.shape, self.array.shape, strict=False):
                self.tracer.arrays.equal(one, other)
            return mask.array

        return self.tracer.run(same)

    def __setitem__(self, key: Any, value: Any) -> None:
        trace, array = self.tracer, self.array
        if isinstance(value, Traced) and value.seen_through is not None and value.seen_through.is_item(self, key):
            return                                              # y[key] += 1 has assigned to the view already
        if _is_mask(key):
            self._matching(key)
            same = isinstance(value, Selected) and value.selects_by(key)
            of = trace.lift(value.full if same else value)
            self.array = trace.run(lambda: chosen(trace, array, key.array, of, same=same)).array
            return
        keys = [k.places if isinstance(k, Places) else k for k in trace.keys(key)]
        distinct = are_distinct([k for k in keys if k is not None and k is not Ellipsis and not isinstance(k, slice)])
        self.array = trace.run(lambda: assigned(
            trace, array, trace.items(array.shape, key), trace.lift(value), distinct=distinct)).array

    def __getattr__(self, name: str) -> Any:
        from .numpy_functions import METHODS, call

        if name not in METHODS:
            raise unknown_attribute(self.tracer, name)
        return lambda *args, **keywords: call(METHODS[name], (self, *args), keywords)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        """NumPy's ufuncs on traced values."""
        from .numpy_functions import call

        return call(ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}", inputs, keywords)

    def __array_function__(self, function: Any, _types: Any, args: Any, keywords: Any) -> Any:
        """NumPy's other functions on traced values."""
        from .numpy_functions import call

        module = function.__module__.removeprefix("numpy").removeprefix(".")
        name = f"{module}.{function.__name__}" if module in ("linalg", "fft") else function.__name__
        return call(name, args, keywords)


def _is_mask(key: Any) -> bool:
    return isinstance(key, Traced) and key.array.dtype == "bool"


def _matmul(left: Any, right: Any) -> Any:
    from .numpy_functions import call

    return call("matmul", (left, right), {})
