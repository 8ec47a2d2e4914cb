"""Matrices as `Array`s: products, transposes, triangles, and the library routines on whole arrays.

The last two dimensions of an array are a matrix's; those before them are batches, over which everything is done
for each matrix. A product is a sum over an axis like any other; what is not (a factorisation, a solution, an
order) is a `call` of a routine, for which the operands become arrays of their own. Front ends and derivative
rules both build on this; which functions of NumPy and SciPy these are is `numpy_linalg`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradc.ir.cast import cast
from gradc.ir.dims import Axis, Dim
from gradc.ir.errors import ShapeError
from gradc.ir.graph import Graph, Node, promoted, sorted_axes
from gradc.ir.routines import ROUTINES

from .arrays import ONE, Array, ArrayError, Arrays, fresh


class LinearAlgebra:
    """Matrix algebra in one graph."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.graph: Graph = arrays.graph

    # -- arrays of their own ------------------------------------------------------------------

    def whole(self, array: Node) -> Array:
        """An array node, read over axes of its own."""
        axes = self.arrays.order(array.shape)
        return Array(self.graph.read(array, [self.graph.axis(axis) for axis in axes]), axes)

    def leading(self, array: Node, count: int) -> Array:
        """An array node, its last `count` dimensions as leading ones."""
        whole = self.whole(array)
        core = len(whole.axes) - count
        return whole._replace(axes=(*whole.axes[core:], *whole.axes[:core]))

    def stored(self, array: Array) -> Node:
        """The array node whose element is the array's; an array that was only read is itself."""
        known = self._read_whole(array)
        if known is not None:
            return known
        if not array.node.axes - set(array.axes):
            array = self.arrays.plain(array)
        return self.graph.store(array.axes, array.node)

    def _read_whole(self, array: Array) -> Node | None:
        """The array node of which an array is the reading, element by element; None if it is more than that."""
        node = array.node
        if node.op != "read" or len(node.args) != 1 + node.attr or node.args[0].shape != array.shape:
            return None
        same = all(index.op == "axis" and index.attr == axis for index, axis in zip(
            node.args[1:], array.axes, strict=True))
        return node.args[0] if same else None

    def call(self, routine: str, *operands: Array, vectors: bool = False) -> list[Array]:
        """Every result of a routine, for each point of the leading dimensions and of the enclosing generators.

        Where a routine takes a vector or a matrix, the operand is a vector if it has one dimension, as in NumPy, or
        if `vectors` says that its leading dimensions are those of a batch of vectors.
        """
        entry, graph = ROUTINES[routine], self.graph
        cores = [min(ranks) if vectors or len(operand.axes) < 2 else max(ranks)
                 for operand, ranks in zip(operands, entry.operands, strict=True)]
        for operand, rank in zip(operands, cores, strict=True):
            if len(operand.axes) < rank:
                raise ArrayError(f"{routine} takes {'a matrix' if rank == 2 else 'a vector'}, not an array of "
                                 f"{len(operand.axes)} dimensions", "Give it the dimensions of its rows and columns.")
        if entry.dtype == "":
            operands = tuple(operand._replace(node=self.arrays.real(operand.node)) for operand in operands)
            dtype = promoted([operand.dtype for operand in operands])
            operands = tuple(operand._replace(node=cast(operand.node, dtype)) for operand in operands)
        outer: list[Axis] = sorted_axes({axis for o in operands for axis in o.node.axes - set(o.axes)})
        leading = self._leading([o.shape[:len(o.axes) - rank] for o, rank in zip(operands, cores, strict=True)])
        nodes = [self.stored(self._spread(operand, outer, leading, rank))
                 for operand, rank in zip(operands, cores, strict=True)]
        batch = len(outer) + len(leading)
        found = []
        for k in range(len(entry.results)):
            node = graph.call(routine, nodes, k, batch)
            axes = self.arrays.order(node.shape[len(outer):])
            found.append(Array(graph.read(node, [graph.axis(axis) for axis in (*outer, *axes)]), axes))
        return found

    def _leading(self, shapes: Sequence[Sequence[Dim]]) -> list[Dim]:
        """The common leading dimensions of several operands, broadcast from the right."""
        rank = max(map(len, shapes))
        found = []
        for position in range(rank):
            here = [shape[position - rank + len(shape)] for shape in shapes if position - rank + len(shape) >= 0]
            dim = here[0]
            for other in here[1:]:
                dim = self.arrays.unified(dim, other)
            found.append(dim)
        return found

    def _spread(self, operand: Array, outer: Sequence[Axis], leading: Sequence[Dim], rank: int) -> Array:
        """The operand over the outer axes, all leading dimensions, and its own last ones."""
        graph, own = self.graph, len(operand.axes) - rank
        if not outer and tuple(leading) == operand.shape[:own]:
            return operand
        taken, self.arrays.taken = self.arrays.taken, [*self.arrays.taken, *outer]
        axes = self.arrays.order([*leading, *operand.shape[own:]])
        self.arrays.taken = taken
        targets = axes[len(leading) - own:]
        mapping = {old: graph.const(0) if old.dim == ONE != new.dim else graph.axis(new)
                   for old, new in zip(operand.axes, targets, strict=True)}
        return Array(graph.substitute(operand.node, mapping), (*outer, *axes))

    # -- algebra ------------------------------------------------------------------------------

    def matmul(self, left: Array, right: Array) -> Array:
        """The product of two matrices for each point of equal leading dimensions."""
        arrays, graph = self.arrays, self.graph
        inner = arrays.unified(left.shape[-1], right.shape[-2])
        batch = self._leading([left.shape[:-2], right.shape[:-2]])
        order = arrays.order([*batch, left.shape[-2], right.shape[-1], inner])
        heads, (i, j, k) = order[:-3], order[-3:]
        a = self._renamed(left, (*heads[len(heads) - len(left.axes) + 2:], i, k))
        b = self._renamed(right, (*heads[len(heads) - len(right.axes) + 2:], k, j))
        return Array(graph.reduce("sum", k, graph.apply("mul", a, b)), (*heads, i, j))

    def _renamed(self, array: Array, axes: Sequence[Axis]) -> Node:
        mapping = {old: self.graph.const(0) if old.dim == ONE != new.dim else self.graph.axis(new)
                   for old, new in zip(array.axes, axes, strict=True)}
        return self.graph.substitute(array.node, mapping)

    def times(self, matrix: Array, vector: Array) -> Array:
        """The product of a matrix and a vector for each point of equal leading dimensions."""
        product = self.apply("mul", matrix, self.row(vector))
        return self.arrays.reduce("sum", product, [len(product.axes) - 1])

    def row(self, vector: Array) -> Array:
        """A vector as a matrix of one row, which stretches."""
        return vector._replace(axes=(*vector.axes[:-1], fresh(ONE, vector.axes), vector.axes[-1]))

    def column(self, vector: Array) -> Array:
        """A vector as a matrix of one column, which stretches; a number as a vector."""
        return vector._replace(axes=(*vector.axes, fresh(ONE, vector.axes)))

    def diagonal(self, matrix: Array) -> Array:
        """The diagonal of a square matrix."""
        row, column = matrix.axes[-2:]
        return Array(self.graph.substitute(matrix.node, {column: self.graph.axis(row)}), matrix.axes[:-1])

    def product(self, *factors: Array) -> Array:
        """The product of several matrices, from the left."""
        total = factors[0]
        for factor in factors[1:]:
            total = self.matmul(total, factor)
        return total

    def transposed(self, matrix: Array) -> Array:
        """Rows and columns exchanged."""
        return matrix._replace(axes=(*matrix.axes[:-2], matrix.axes[-1], matrix.axes[-2]))

    def outer(self, left: Array, right: Array) -> Array:
        """The matrix of the products of two vectors' elements, for each point of equal leading dimensions."""
        return self.apply("mul", self.column(left), self.row(right))

    def compared(self, matrix: Array, op: str, inside: Array) -> Array:
        """`inside` where row `op` column holds, 0 elsewhere; `matrix` gives the axes."""
        row, column = (self.graph.axis(axis) for axis in matrix.axes[-2:])
        node = self.arrays.over(inside, matrix.axes).node
        return Array(self.graph.ops.select(self.graph.apply(op, row, column), node, 0.0), matrix.axes)

    def lower(self, matrix: Array) -> Array:
        """The lower triangle with the diagonal."""
        return self.compared(matrix, "greater_equal", matrix)

    def upper(self, matrix: Array) -> Array:
        """The upper triangle with the diagonal."""
        return self.compared(matrix, "less_equal", matrix)

    def identity(self, dim: Dim, dtype: str = "float64") -> Array:
        """The identity matrix."""
        one, none = (self.graph.const(value, dtype) for value in (1.0, 0.0))
        axes = self.arrays.order([dim, dim])
        row, column = map(self.graph.axis, axes)
        return Array(self.graph.ops.select(self.graph.apply("eq", row, column), one, none), axes)

    def apply(self, op: str, *arrays: Array) -> Array:
        """An operation of the table, element by element."""
        return self.arrays.apply(op, *arrays)

    # -- what the front ends call -------------------------------------------------------------

    def square(self, matrix: Array, name: str) -> Array:
        """The matrix, whose rows and columns must be as many.

        Raises ArrayError where they cannot be.
        """
        if len(matrix.axes) < 2:
            raise ArrayError(f"{name} takes a matrix, not an array of {len(matrix.axes)} dimensions",
                             "Give it the dimensions of its rows and columns.", ShapeError)
        self.arrays.unified(matrix.shape[-2], matrix.shape[-1])
        if ONE in matrix.shape[-2:] and matrix.shape[-1] != matrix.shape[-2]:
            raise ArrayError(f"{name} takes a square matrix, not one of {matrix.shape[-2]} times {matrix.shape[-1]}",
                             "Rows and columns must be as many.", ShapeError)
        return matrix

    def solve(self, matrix: Array, right: Array) -> Array:
        """The solution x of A x = b; b is a vector if it has one dimension, else a matrix."""
        self.square(matrix, "solve")
        for transposed, factor in enumerate((matrix, self.transposed(matrix))):
            node = self._read_whole(factor)
            if node is not None and node.op == "call" and node.attr.routine == "cholesky":
                return self.solve_triangular(factor, right, lower=True, transposed=bool(transposed))
        return self.call("solve", matrix, self._right(matrix, right))[0]

    def solve_triangular(self, matrix: Array, right: Array, *, lower: bool, transposed: bool = False) -> Array:
        """The same for a triangular matrix, or its transpose."""
        routine = ("solve_lower" if lower else "solve_upper") + ("_transposed" if transposed else "")
        return self.call(routine, self.square(matrix, "solve_triangular"), self._right(matrix, right))[0]

    def _right(self, matrix: Array, right: Array) -> Array:
        rows = right.shape[0 if len(right.axes) == 1 else -2] if right.axes else None
        if rows is None:
            raise ArrayError("the right-hand side is a number", "Give a vector or a matrix.", ShapeError)
        dim = self.arrays.unified(matrix.shape[-1], rows)
        if ONE in (dim, rows) and matrix.shape[-1] != rows:
            raise ArrayError(f"the dimensions {matrix.shape[-1]} and {rows} cannot be equal",
                             "The right-hand side has as many rows as the matrix.", ShapeError)
        return right

    def cholesky(self, matrix: Array) -> Array:
        """The lower Cholesky factor of a symmetric positive definite matrix."""
        return self.call("cholesky", self.square(matrix, "cholesky"))[0]

    def inverse(self, matrix: Array) -> Array:
        """The inverse of a matrix."""
        return self.call("inv", self.square(matrix, "inv"))[0]

    def determinant(self, matrix: Array) -> Array:
        """The determinant; written out up to three rows, so that it is exact and fuses into loops."""
        size = self.square(matrix, "det").shape[-1].constant
        if size not in (1, 2, 3):
            return self._first(self.call("det", matrix)[0], 0)
        a = [[Array(self.graph.substitute(matrix.node, {matrix.axes[-2]: self.graph.const(i),
                                                        matrix.axes[-1]: self.graph.const(j)}), matrix.axes[:-2])
              for j in range(size)] for i in range(size)]
        if size == 1:
            return a[0][0]

        def minor(i: int, j: int, k: int, m: int) -> Array:
            return self.apply("sub", self.apply("mul", a[i][k], a[j][m]), self.apply("mul", a[i][m], a[j][k]))

        if size == 2:
            return minor(0, 1, 0, 1)
        terms = [self.apply("mul", a[0][k], minor(1, 2, (k + 1) % 3, (k + 2) % 3)) for k in range(3)]
        return self.apply("add", self.apply("add", terms[0], terms[1]), terms[2])

    def slogdet(self, matrix: Array) -> tuple[Array, Array]:
        """The sign of the determinant, and the logarithm of its size."""
        both = self.call("slogdet", self.square(matrix, "slogdet"))[0]
        return self._first(both, 0), self._first(both, 1)

    def _first(self, array: Array, position: int) -> Array:
        """The element at a position of the last dimension."""
        index = {array.axes[-1]: self.graph.const(position)}
        return Array(self.graph.substitute(array.node, index), array.axes[:-1])

    def sorted(self, array: Array) -> tuple[Array, Array]:
        """The array sorted along its last dimension, and the indices that sort it."""
        order = self.call("argsort", array)[0]
        order = self.arrays.over(order, array.axes)
        return Array(self.graph.substitute(array.node, {array.axes[-1]: order.node}), array.axes), order

    def power(self, matrix: Array, exponent: int) -> Array:
        """A whole power by repeated squaring; a negative one of the inverse."""
        self.square(matrix, "matrix_power")
        if exponent < 0:
            matrix, exponent = self.inverse(matrix), -exponent
        result: Array | None = None
        while exponent:
            if exponent % 2:
                result = matrix if result is None else self.matmul(result, matrix)
            exponent //= 2
            if exponent:
                matrix = self.matmul(matrix, matrix)
        dtype = matrix.dtype if matrix.dtype.startswith("float") else "float64"
        return self.identity(matrix.shape[-1], dtype) if result is None else result
