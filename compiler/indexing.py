"""Indices of formula strings: `x[i, j+1]`, `A[i]`, `x[-1]`, `x[1:]`, `x[:, None]`, `x[idx]`, `x.shape[0]`.

Takes the index expressions of a subscript and gives reads (or, for a computed array, the node with its
axes replaced). Decides which conditions guard a read that is not proved to lie inside. The meaning of an
index is NumPy's, except that a slice beyond the end is an error and not shortened, and that only a
literal counts from the end.
"""

from __future__ import annotations

import ast
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from gradc.ir.dims import Dim
from gradc.ir.errors import GradcError, ShapeError, UnsupportedError
from gradc.ir.graph import Node
from gradc.ir.table import REDUCTIONS, formula_names

from .arrays import Array, Item, NewAxis, Slice, whole_dim
from .formula_arrays import ENTRIES

if TYPE_CHECKING:
    from .formula import Step, Walker

_AFFINE = ("const", "dim", "axis", "add", "sub", "neg", "mul")


def subscript(walker: Walker, node: ast.Subscript) -> Step:
    """One subscript; the base is an argument, a named value or any array expression."""
    if isinstance(node.value, ast.Attribute) and node.value.attr != "T":
        return (yield from _shape_entry(walker, node, node.value))
    source: Node | None = None
    if isinstance(node.value, ast.Name):
        known = walker.lookup(node.value)
        if isinstance(known, Array):
            base, shape, name = known, known.shape, node.value.id
        else:
            source, shape, name = known, known.shape, node.value.id
    else:
        base = yield node.value
        shape, name = base.shape, "the array"
    if not shape:
        raise _not_an_array(walker, node)
    trees = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    given = sum(not (isinstance(tree, ast.Constant) and tree.value in (None, ...)) for tree in trees)
    dots = [tree for tree in trees if isinstance(tree, ast.Constant) and tree.value is ...]
    if len(dots) > 1:
        raise walker.refused(dots[1], "... stands twice in one index", "Write : for each whole dimension.")
    if given > len(shape):
        raise walker.refused(node, f"{walker.text(node.value)[:40]} has {_count(len(shape), 'dimension')} "
                             f"and {_count(given, 'index')} here",
                             f"Write at most {_count(len(shape), 'index')}.", error=ShapeError)
    items: list[Item] = []
    position = 0
    for tree in trees:
        if isinstance(tree, ast.Constant) and tree.value is None:
            items.append(NewAxis())
            continue
        if tree in dots:
            skipped = len(shape) - given
            items += [Slice(walker.graph.const(0), 1, dim) for dim in shape[position:position + skipped]]
            position += skipped
            continue
        items.append((yield from _item(walker, tree, shape[position])))
        position += 1
    indices, axes = walker.arrays.index_nodes(shape, items)
    if source is not None:
        return Array(walker.read(source, indices), axes)
    return Array(_element(walker, node, base, name, indices), axes)


def _count(number: int, what: str) -> str:
    plural = "indices" if what == "index" else what + "s"
    return f"{number} {what if number == 1 else plural}"


def _not_an_array(walker: Walker, node: ast.Subscript) -> GradcError:
    base = node.value
    if isinstance(base, ast.Name) and any(base.id == name for name, _ in walker.loops):
        return walker.refused(base, f"{base.id} is the index of a generator here, and has an index itself",
                              f"Give the generator another index: for i in range(...), and {base.id}[i].",
                              error=ShapeError)
    if isinstance(base, ast.Name) and base.id in walker.graph.inputs:
        rank = len(node.slice.elts) if isinstance(node.slice, ast.Tuple) else 1
        dims = " ".join(["n", "K", "L", "M"][:rank])
        return walker.refused(base, f"{base.id} is a number, and has an index here",
                              f'Declare its dimensions: args={{"{base.id}": "{dims}"}}.', error=ShapeError)
    return walker.refused(node, "a number has an index here", "Leave the index out.", error=ShapeError)


def _item(walker: Walker, tree: ast.expr, dim: Dim) -> Generator[ast.expr, Array, Item]:
    """One index expression along a dimension."""
    if isinstance(tree, ast.Slice):
        return (yield from _slice(walker, tree, dim))
    value = yield tree
    if value.dtype == "bool":
        raise walker.refused(tree, "a condition selects no elements here",
                             "Write where(condition, x, 0), or sum(x[i] for i in range(n) if condition).",
                             error=UnsupportedError)
    if value.dtype != "int64":
        raise walker.refused(tree, "an index is a whole number, and this is not",
                             'Declare the argument as an integer, args={"k": "int"} or {"idx": "int m"}, or '
                             "write // for a whole quotient.")
    return Array(_from_end(walker, value.node, dim), value.axes)


def _from_end(walker: Walker, index: Node, dim: Dim) -> Node:
    """A negative literal counts from the end, as in Python."""
    if index.op == "const" and index.value < 0:
        return walker.graph.dim(dim + int(index.value))
    return index


def _slice(walker: Walker, tree: ast.Slice, dim: Dim) -> Generator[ast.expr, Array, Slice]:
    graph, arrays = walker.graph, walker.arrays
    step = 1
    if tree.step is not None:
        value = yield tree.step
        if value.node.op != "const" or value.dtype != "int64" or not value.node.value:
            raise walker.refused(tree.step, "the step of a slice is a whole number other than 0",
                                 "Write a literal such as 2 or -1.")
        step = int(value.node.value)
    ends = [graph.const(0), graph.dim(dim)] if step > 0 else [graph.dim(dim - 1), graph.const(-1)]
    for at, end in enumerate((tree.lower, tree.upper)):
        if end is not None:
            node = walker.whole(end, (yield end), "the end of a slice").node
            ends[at] = _from_end(walker, node, dim)
    start, stop = ends
    span = arrays.apply("sub", Array(stop), Array(start)) if step > 0 else \
        arrays.apply("sub", Array(start), Array(stop))
    length = whole_dim(span.node)
    if length is None:
        raise walker.refused(tree, "the length of this slice is not known before the loop runs",
                             "Write ends whose difference is a dimension, such as x[i:i+3].",
                             error=UnsupportedError)
    count = (length + (abs(step) - 1)) // abs(step)
    if count.constant is not None and count.constant < 0:
        count = Dim.of(0)
    return Slice(start, step, count)


def _element(walker: Walker, node: ast.Subscript, base: Array, name: str, indices: Sequence[Node]) -> Node:
    """The element of a computed array.

    Its axes are replaced by the indices. An index that is not proved inside is checked; where a condition
    guards it, a plain read is guarded anew, and any other value is stored, so that it can be.
    """
    graph = walker.graph
    guards: list[Node] = []
    if any(walker.bounds.inside(i, d) != "yes" for i, d in zip(indices, base.shape, strict=True)):
        guards = relevant(walker, indices, base.shape)
    walker.bounds.require(name, base.shape, indices, guards, walker.statement.place(node))
    mapping = dict(zip(base.axes, indices, strict=True))
    if base.node.op == "read":
        rank = base.node.attr
        source, *args = base.node.args
        replaced = graph.substitute_all(args, mapping)
        return walker.read(source, replaced[:rank], [*replaced[rank:], *guards])
    if guards and base.node.axes <= set(base.axes):
        return graph.read(graph.store(base.axes, base.node), indices, guards)
    return walker.arrays.at(base, indices)


def relevant(walker: Walker, indices: Sequence[Node], shape: Sequence[Dim]) -> list[Node]:
    """The conditions that guard a read at these indices.

    All that hold here, except comparisons of other loop indices that would only make the read vary over
    those loops and prove nothing.
    """
    axes = frozenset(axis for index in indices for axis in index.axes)
    kept: list[Node] = []
    doubtful: list[Node] = []
    for condition in walker.conditions:
        if condition.op == "const":
            continue
        other = not condition.axes <= axes
        (doubtful if other and _only_indices(condition) else kept).append(condition)
    if doubtful:
        pairs = list(zip(indices, shape, strict=True))
        if all(walker.bounds.inside(i, d, [*kept, *doubtful]) == "yes" for i, d in pairs) and \
                not all(walker.bounds.inside(i, d, kept) == "yes" for i, d in pairs):
            return [*kept, *doubtful]
    return kept


def _only_indices(condition: Node) -> bool:
    """Whether a condition only compares loop indices and dimensions."""
    waiting = [condition]
    for _ in range(50):
        if not waiting:
            return True
        node = waiting.pop()
        if node.dtype != "bool" and (node.dtype != "int64" or node.op not in _AFFINE):
            return False
        if node.op == "read" or node.is_reduction or node.op == "input":
            return False
        waiting.extend(node.args)
    return False


def attribute(walker: Walker, node: ast.Attribute) -> Step:
    """`.T`, the dimensions in the other order; `.shape` has a meaning with an index."""
    name, text = node.attr, walker.text(node.value)[:40]
    if name == "T":
        array = yield node.value
        return Array(array.node, array.axes[::-1])
    raise _no_attribute(walker, node, name, text)


def _no_attribute(walker: Walker, node: ast.Attribute, name: str, text: str) -> GradcError:
    advice = {"size": f"Write len({text}).", "shape": f"Write one dimension: {text}.shape[0].",
              "ndim": "Write the number."}.get(name)
    if advice is None:
        known = name in formula_names() or name in REDUCTIONS or name in ENTRIES
        advice = f"Write {name}({text})." if known else f"Write the value itself: {text}."
    return walker.refused(node, f"the attribute {name} has no meaning in a formula", advice,
                          error=UnsupportedError)


def _shape_entry(walker: Walker, node: ast.Subscript, base: ast.Attribute) -> Step:
    if base.attr != "shape":
        raise _no_attribute(walker, base, base.attr, walker.text(base.value)[:40])
    array = yield base.value
    position = node.slice
    number = position.value if isinstance(position, ast.Constant) else None
    if not isinstance(number, int) or isinstance(number, bool) or not number < len(array.axes):
        raise walker.refused(node, f"shape needs a literal index, here below {len(array.axes)}",
                             "Write x.shape[0], or the name of the dimension.")
    return Array(walker.graph.dim(array.shape[number]))
