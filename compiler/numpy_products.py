"""Products of arrays on traced values: einsum and what is one, diagonals and triangles.

Every product is a sum over axes of a product of elements, so `matmul`, `dot`, `tensordot` and the others are
contractions by letters, and a diagonal is a letter that stands twice.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from gradc.ir.dims import Dim
from gradc.ir.errors import ShapeError

from .arrays import ONE, Array, ArrayError
from .numpy_functions import FUNCTIONS, Function, known, positions
from .traced import Trace, Traced

THREE = Dim.of(3)


@known("einsum")
def _einsum(t: Trace, subscripts: Any, *operands: Any, optimize: Any = None) -> Any:
    """Any subscripts, also as lists of numbers; the letters are axes, the sum is over those that the result lacks."""
    del optimize                                                # the order of the sums is the compiler's
    if not isinstance(subscripts, str):
        subscripts, operands = _spelled((subscripts, *operands))
    arrays = [t.lift(x) for x in operands]
    text = "".join(subscripts.split())
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not text or len(terms) != len(arrays):
        raise t.refused(f"np.einsum has {len(arrays)} operands for {subscripts!r}", "Write one term for each operand.")
    free = [c for c in string.ascii_letters if c not in text]
    width = max((len(a.axes) - len(term.replace("...", "")) for term, a in zip(terms, arrays, strict=True)
                 if "..." in term), default=0)
    dots = "".join(free[:max(width, 0)])
    spelled = []
    for term, array in zip(terms, arrays, strict=True):
        own = len(array.axes) - len(term.replace("...", ""))
        spelled.append(term.replace("...", dots[len(dots) - own:] if own > 0 else ""))
        if len(spelled[-1]) != len(array.axes):
            raise t.refused(f"np.einsum: the term {term!r} stands for an array of {len(array.axes)} dimensions",
                            "Write one letter for each dimension.", ShapeError)
    if arrow:
        result = right.replace("...", dots)
    else:
        letters = "".join(spelled)
        result = dots + "".join(sorted(c for c in set(letters) - set(dots) if letters.count(c) == 1))
    return _contracted(t, spelled, arrays, result)


def _spelled(operands: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The form with lists of numbers, `np.einsum(A, [0, 1], B, [1, 2], [0, 2])`, by letters."""
    letters = string.ascii_letters
    lists = [operands[k] for k in range(1, len(operands), 2)]
    terms = ["".join("..." if c is Ellipsis else letters[c] for c in one) for one in lists]
    text = ",".join(terms)
    if len(operands) % 2:
        text += "->" + "".join("..." if c is Ellipsis else letters[c] for c in operands[-1])
    return text, tuple(operands[k] for k in range(0, len(operands) - 1, 2))


def _contracted(t: Trace, terms: Sequence[str], arrays: Sequence[Array], result: str) -> Traced:
    dims: dict[str, Dim] = {}
    for term, array in zip(terms, arrays, strict=True):
        for letter, dim in zip(term, array.shape, strict=True):
            dims[letter] = t.arrays.unified(dims[letter], dim) if letter in dims else dim
    summed = [letter for letter in dims if letter not in result]
    unknown = [letter for letter in result if letter not in dims]
    if unknown or len(set(result)) != len(result):
        raise t.refused(f"np.einsum: the result {result!r} has a letter twice, or one that no operand has",
                        "Write each letter of the operands at most once.")
    order = t.arrays.order([dims[c] for c in (*result, *summed)])
    axes = dict(zip((*result, *summed), order, strict=True))
    arrays = t.promotion.precise(arrays)
    truth = all(array.dtype == "bool" for array in arrays)      # NumPy's product of truth values is one
    product = None
    for term, array in zip(terms, arrays, strict=True):
        stretched = {old: t.graph.const(0) if old.dim == ONE != axes[c].dim else t.graph.axis(axes[c])
                     for old, c in zip(array.axes, term, strict=True)}
        node = t.graph.substitute(array.node, stretched)
        node = node if truth else t.arrays.number(node)
        product = node if product is None else t.graph.apply("and" if truth else "mul", product, node)
    assert product is not None
    for letter in reversed(summed):
        product = t.graph.reduce("any" if truth else "sum", axes[letter], product)
    return t.value(Array(product, tuple(axes[c] for c in result)))


@known("matmul")
def _matmul(t: Trace, a: Any, b: Any) -> Any:
    left, right = t.lift(a), t.lift(b)
    m, n = len(left.axes), len(right.axes)
    if not m or not n:
        raise t.refused("@ takes arrays, and one operand is a number", "Write * for a product.", ShapeError)
    if ONE in (left.shape[-1], right.shape[max(n - 2, 0)]) and left.shape[-1] != right.shape[max(n - 2, 0)]:
        raise ArrayError(f"the dimensions {left.shape[-1]} and {right.shape[max(n - 2, 0)]} cannot be equal",
                         "@ sums over the last dimension of the left and the last but one of the right operand.")
    batch = string.ascii_lowercase[:max(m - 2, n - 2, 0)]
    first = batch[len(batch) - max(m - 2, 0):] + ("XY" if m > 1 else "Y")
    second = batch[len(batch) - max(n - 2, 0):] + ("YZ" if n > 1 else "Y")
    return _contracted(t, [first, second], [left, right], batch + ("X" if m > 1 else "") + ("Z" if n > 1 else ""))


@known("dot")
def _dot(t: Trace, a: Any, b: Any) -> Any:
    left, right = t.lift(a), t.lift(b)
    if not left.axes or not right.axes:
        return t.apply("mul", a, b)
    return _tensordot(t, a, b, ([len(left.axes) - 1], [max(len(right.axes) - 2, 0)]))


@known("inner")
def _inner(t: Trace, a: Any, b: Any) -> Any:
    left, right = t.lift(a), t.lift(b)
    if not left.axes or not right.axes:
        return t.apply("mul", a, b)
    return _tensordot(t, a, b, ([len(left.axes) - 1], [len(right.axes) - 1]))


@known("tensordot")
def _tensordot(t: Trace, a: Any, b: Any, axes: Any = 2) -> Any:
    left, right = t.lift(a), t.lift(b)
    m, n = len(left.axes), len(right.axes)
    if isinstance(axes, int):
        axes = (list(range(m - axes, m)), list(range(axes)))
    ours, theirs = ([x] if isinstance(x, int) else list(x) for x in axes)
    ours, theirs = positions(t, ours, m), positions(t, theirs, n)
    letters = string.ascii_letters
    first = list(letters[:m])
    second = list(letters[m:m + n])
    for i, j in zip(ours, theirs, strict=True):
        second[j] = first[i]
    result = [c for k, c in enumerate(first) if k not in ours] + [c for k, c in enumerate(second) if k not in theirs]
    return _contracted(t, ["".join(first), "".join(second)], [left, right], "".join(result))


FUNCTIONS |= {
    "vdot": lambda t, a, b: _einsum(t, "i,i->", FUNCTIONS["ravel"](t, a), FUNCTIONS["ravel"](t, b)),
    "outer": lambda t, a, b: _einsum(t, "i,j->ij", FUNCTIONS["ravel"](t, a), FUNCTIONS["ravel"](t, b)),
    "vecdot": lambda t, a, b: _einsum(t, "...i,...i->...", a, b),
    "linalg.vecdot": lambda t, a, b: _einsum(t, "...i,...i->...", a, b), "linalg.matmul": _matmul,
    "linalg.outer": lambda t, a, b: _einsum(t, "i,j->ij", a, b), "linalg.tensordot": _tensordot,
    "matvec": lambda t, a, b: _einsum(t, "...ij,...j->...i", a, b),
    "vecmat": lambda t, a, b: _einsum(t, "...i,...ij->...j", a, b),
}


@known("kron")
def _kron(t: Trace, a: Any, b: Any) -> Any:
    """The products of all elements, the dimensions of both merged pairwise."""
    left, right = t.value(t.lift(a)), t.value(t.lift(b))
    rank = max(left.ndim, right.ndim)
    left, right = (x[(None,) * (rank - x.ndim)] for x in (left, right))
    first, second = string.ascii_lowercase[:rank], string.ascii_uppercase[:rank]
    mixed = "".join(i + j for i, j in zip(first, second, strict=True))
    product = _einsum(t, f"{first},{second}->{mixed}", left, right)
    return product.reshape(tuple(i * j for i, j in zip(left.shape, right.shape, strict=True)))


@known("cross")
def _cross(t: Trace, a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    move = FUNCTIONS["moveaxis"]
    (x, y, z), (u, v, w) = (_three(t, t.lift(move(t, t.value(t.lift(one)), at, -1)))
                            for one, at in ((a, axisa), (b, axisb)))
    return move(t, FUNCTIONS["stack"](t, [y * w - z * v, z * u - x * w, x * v - y * u], -1), -1, axisc)


def _three(t: Trace, array: Array) -> list[Traced]:
    """The three elements along the last dimension; that it is 3 is asked at the call where it is a name."""
    last = array.axes[-1]
    if last.dim.constant not in (None, 3):
        raise t.refused(f"np.cross takes vectors of three elements, and here the dimension is {last.dim}",
                        "For vectors in the plane write x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0].", ShapeError)
    t.arrays.equal(last.dim, THREE)
    return [t.value(Array(t.graph.substitute(array.node, {last: t.graph.const(k)}), array.axes[:-1]))
            for k in range(3)]


FUNCTIONS["linalg.cross"] = lambda t, a, b, axis=-1: _cross(t, a, b, axis=axis)


# -- diagonals and triangles ----------------------------------------------------------------------


@known("diagonal")
def _diagonal(t: Trace, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    array = t.lift(a)
    rank = len(array.axes)
    one, other = positions(t, (axis1, axis2), rank) if rank > 1 else (0, 0)
    if rank < 2:
        raise t.refused("a diagonal of an array of one dimension", "Write np.diag(x) for a diagonal matrix.",
                        ShapeError)
    rows, columns = array.shape[one] - max(0, -offset), array.shape[other] - max(0, offset)
    if rows.constant is not None and columns.constant is not None:
        length = Dim.of(max(0, min(rows.constant, columns.constant)))
    else:
        difference = (rows - columns).constant
        length = t.arrays.equal(rows, columns) if difference is None else rows if difference < 0 else columns
    rest = [dim for k, dim in enumerate(array.shape) if k not in (one, other)]
    axes = t.arrays.order([*rest, length])
    free, along = iter(axes[:-1]), t.graph.axis(axes[-1])
    mapping = {axis: t.graph.apply("add", along, max(0, -offset)) if k == one else t.graph.apply(
        "add", along, max(0, offset)) if k == other else t.graph.axis(next(free)) for k, axis in enumerate(array.axes)}
    return t.value(Array(t.graph.substitute(array.node, mapping), axes))


@known("trace")
def _trace(t: Trace, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """A sum over both axes of what lies on the diagonal, so that a rectangle of unknown sizes has a trace too."""
    array = t.lift(a)
    one, other = positions(t, (axis1, axis2), len(array.axes))
    if array.shape[one] == array.shape[other] or offset == 0 == len(array.shape):
        return FUNCTIONS["sum"](t, _diagonal(t, a, offset, axis1, axis2), -1)
    row, column = (t.graph.axis(array.axes[k]) for k in (one, other))
    on = Array(t.graph.apply("eq", t.graph.apply("add", row, offset), column), (array.axes[one], array.axes[other]))
    node = t.graph.reduce("sum", array.axes[other], t.arrays.number(array.node), [on.node])
    node = t.graph.reduce("sum", array.axes[one], node)
    return t.value(Array(node, tuple(axis for k, axis in enumerate(array.axes) if k not in (one, other))))


FUNCTIONS |= {"linalg.trace": lambda t, a, offset=0: _trace(t, a, offset, -2, -1),
              "linalg.diagonal": lambda t, a, offset=0: _diagonal(t, a, offset, -2, -1)}


@known("diag diagflat")
def _diag(t: Trace, v: Any, k: int = 0) -> Any:
    array = t.lift(v)
    if len(array.axes) == 2:
        return _diagonal(t, v, k)
    if len(array.axes) != 1:
        raise t.refused(f"np.diag of an array of {len(array.axes)} dimensions", "Give it one or two.", ShapeError)
    size = array.shape[0] + abs(k)
    i, j = t.arrays.order([size, size])
    row, column = t.graph.axis(i), t.graph.axis(j)
    on = t.graph.apply("eq", t.graph.apply("add", row, k), column)
    if not k:
        element = t.graph.substitute(array.node, {array.axes[0]: row})
    else:
        first = t.graph.apply("sub", row, max(0, -k))
        inside = [on, t.graph.apply("greater_equal", first, 0),
                  t.graph.apply("less", first, t.graph.dim(array.shape[0]))]
        plain = t.arrays.plain(array)
        whole = t.graph.store_parts([plain.shape[0]], [(plain.axes, (Dim.of(0),), (), plain.node)])
        element = t.graph.read(whole, [first], inside)
        on = t.graph.all_of(inside)
    return t.value(Array(t.graph.apply("select", on, element, 0 if array.dtype == "int64" else 0.0), (i, j)))


def _triangle(compare: str) -> Function:
    def triangle(t: Trace, m: Any, k: int = 0) -> Any:
        array = t.lift(m)
        if len(array.axes) < 2:
            raise t.refused("a triangle of an array of one dimension", "Give it two, or more.", ShapeError)
        i, j = (t.graph.axis(axis) for axis in array.axes[-2:])
        inside = t.graph.apply(compare, t.graph.apply("sub", j, k), i)
        node = t.arrays.number(array.node)
        outside = 0 if node.dtype == "int64" else 0.0
        return t.value(array._replace(node=t.graph.apply("select", inside, node, outside)))

    return triangle


FUNCTIONS |= {"tril": _triangle("less_equal"), "triu": _triangle("greater_equal")}
