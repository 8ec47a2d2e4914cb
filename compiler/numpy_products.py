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


@known("einsum")
def _einsum(t: Trace, subscripts: Any, *operands: Any, optimize: Any = None) -> Any:
    """Any subscripts; the letters are axes, the sum is over those that the result lacks."""
    del optimize                                                # the order of the sums is the compiler's
    arrays = [t.lift(x) for x in operands]
    text = "".join(subscripts.split()) if isinstance(subscripts, str) else ""
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not text or len(terms) != len(arrays):
        raise t.refused(f"np.einsum has {len(arrays)} operands for {subscripts!r}", "Write one term for each operand.")
    free = [c for c in string.ascii_letters if c not in text]
    width = max((len(a.axes) - len(term.replace("...", "")) for term, a in zip(terms, arrays, strict=True)
                 if "..." in term), default=0)
    dots = "".join(free[:width])
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
    product = None
    for term, array in zip(terms, arrays, strict=True):
        stretched = {old: t.graph.const(0) if old.dim == ONE != axes[c].dim else t.graph.axis(axes[c])
                     for old, c in zip(array.axes, term, strict=True)}
        node = t.arrays.number(t.graph.substitute(array.node, stretched))
        product = node if product is None else t.graph.apply("mul", product, node)
    assert product is not None
    for letter in reversed(summed):
        product = t.graph.reduce("sum", axes[letter], product)
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
    "trace": lambda t, a: _einsum(t, "ii->", a), "linalg.trace": lambda t, a: _einsum(t, "...ii->...", a),
}


@known("diagonal")
def _diagonal(t: Trace, a: Any) -> Any:
    return _einsum(t, "ii...->...i", a)


@known("diag")
def _diag(t: Trace, a: Any) -> Any:
    array = t.lift(a)
    if len(array.axes) == 2:
        return _diagonal(t, a)
    i, j = t.arrays.order([array.shape[0], array.shape[0]])
    row = t.graph.substitute(array.node, {array.axes[0]: t.graph.axis(i)})
    on = t.graph.apply("eq", t.graph.axis(i), t.graph.axis(j))
    return t.value(Array(t.graph.apply("select", on, row, 0.0), (i, j)))


def _triangle(compare: str) -> Function:
    def triangle(t: Trace, a: Any, k: int = 0) -> Any:
        array = t.lift(a)
        i, j = (t.graph.axis(axis) for axis in array.axes[-2:])
        inside = t.graph.apply(compare, t.graph.apply("sub", j, k), i)
        return t.value(array._replace(node=t.graph.apply("select", inside, array.node, 0.0)))

    return triangle


FUNCTIONS |= {"tril": _triangle("less_equal"), "triu": _triangle("greater_equal")}
