"""What SymPy's matrices and arrays are made of: operands, whole numbers, and variables that they bind.

One entry a class that has a meaning in gradc, for the walk of `from_sympy_survey`. The operands are those whose
values the rules of `from_sympy_matrices` and `from_sympy_arrays` ask for; a Lambda is its expression here, and
its variables are bound. What the classes mean is left to those rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import sympy
from sympy.matrices import expressions as matrices
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement, MatrixExpr
from sympy.tensor.array.arrayop import Flatten
from sympy.tensor.array.expressions import array_expressions as arrays
from sympy.tensor.indexed import IndexedBase

ARRAY_SYMBOLS = (sympy.MatrixSymbol, arrays.ArraySymbol)
NAMED_ARRAYS = (IndexedBase, *ARRAY_SYMBOLS)                    # arguments with dimensions
ARRAYS = (MatrixExpr, arrays._ArrayExpr, arrays._CodegenArrayAbstract)


class Parts(NamedTuple):
    """The parts of a matrix or an array: `integers` and `numbers` are among the operands."""

    operands: tuple[Any, ...]
    integers: tuple[Any, ...] = ()
    variables: tuple[Any, ...] = ()
    numbers: tuple[Any, ...] = ()


def _plain(expr: Any) -> Parts:
    """The arguments, which may be matrices."""
    return Parts(tuple(expr.args))


def _sized(expr: Any) -> Parts:
    """A constant, of which the arguments are the sizes."""
    return Parts(tuple(expr.args), integers=tuple(expr.args))


def _named(expr: Any) -> Parts:
    return Parts(tuple(expr.shape), integers=tuple(expr.shape))


def _inner(expr: Any) -> Parts:
    """An array whose axes are summed, joined or permuted: the other arguments are positions."""
    return Parts((expr.expr,))


def _element(expr: Any) -> Parts:
    indices = tuple(expr.indices) if isinstance(expr, arrays.ArrayElement) else tuple(expr.args[1:])
    return Parts((expr.args[0], *indices), integers=indices)


def _slice(expr: Any) -> Parts:
    ends = (*expr.rowslice, *expr.colslice)
    return Parts((expr.parent, *ends), integers=ends)


def _function_matrix(expr: Any) -> Parts:
    rows, columns, function = expr.args
    return Parts((function.expr, rows, columns), (rows, columns), tuple(function.variables), (function.expr,))


def _elementwise(expr: Any) -> Parts:
    """A function of each element; SymPy keeps it as a Lambda or as a class of functions."""
    function, inner = expr.function, expr.expr
    if not isinstance(function, sympy.Lambda):
        variable = sympy.Dummy("d")
        function = sympy.Lambda(variable, function(variable))
    return Parts((function.expr, inner), variables=tuple(function.variables), numbers=(function.expr,))


def _explicit(expr: Any) -> Parts:
    entries = tuple(expr.flat()) if isinstance(expr, sympy.MatrixBase) else tuple(Flatten(expr))
    return Parts(entries, numbers=entries)


def _blocks(expr: Any) -> Parts:
    return Parts(tuple(expr.blocks.flat()))


PARTS: dict[type, Callable[[Any], Parts]] = {
    **dict.fromkeys(ARRAY_SYMBOLS, _named),
    **dict.fromkeys(
        [matrices.MatAdd, matrices.MatMul, matrices.MatPow, matrices.Inverse, matrices.Transpose, matrices.Adjoint,
         matrices.Trace, matrices.Determinant, matrices.HadamardProduct, matrices.HadamardPower,
         matrices.DiagMatrix, matrices.DiagonalMatrix, matrices.DiagonalOf, matrices.DotProduct,
         matrices.KroneckerProduct, matrices.BlockDiagMatrix, arrays.ArrayTensorProduct, arrays.ArrayAdd], _plain),
    **dict.fromkeys([matrices.Identity, matrices.ZeroMatrix, matrices.OneMatrix, arrays.ZeroArray, arrays.OneArray],
                    _sized),
    **dict.fromkeys([arrays.ArrayContraction, arrays.ArrayDiagonal, arrays.PermuteDims], _inner),
    **dict.fromkeys([MatrixElement, arrays.ArrayElement], _element),
    **dict.fromkeys([ElementwiseApplyFunction, arrays.ArrayElementwiseApplyFunc], _elementwise),
    **dict.fromkeys([sympy.ImmutableDenseMatrix, sympy.ImmutableSparseMatrix, sympy.ImmutableDenseNDimArray,
                     sympy.ImmutableSparseNDimArray], _explicit),
    matrices.MatrixSlice: _slice, matrices.FunctionMatrix: _function_matrix, matrices.BlockMatrix: _blocks,
}
