"""gradc, a gradient compiler: formulas in, readable gradient source and Numba functions out.

>>> import gradc
>>> f = gradc.compile("(x + y) * z", jit=False)
>>> f(-2, 5, -4)
-12.0
"""

from gradc.compiler.api import compile
from gradc.compiler.function import Function
from gradc.ir.errors import (
    ArgumentError,
    DerivativeError,
    DomainError,
    FormulaError,
    GradcError,
    GraphError,
    ShapeError,
    SizeError,
    UnsupportedError,
)

__version__ = "0.1.0"
__all__ = [
    "ArgumentError",
    "DerivativeError",
    "DomainError",
    "FormulaError",
    "Function",
    "GradcError",
    "GraphError",
    "ShapeError",
    "SizeError",
    "UnsupportedError",
    "compile",
]
