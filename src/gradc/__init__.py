"""gradc, a gradient compiler: formulas and NumPy functions in, readable gradient source and Numba functions out.

>>> import gradc
>>> f = gradc.compile("(x + y) * z", jit=False)
>>> f(-2, 5, -4)
-12.0
"""

import importlib
from typing import TYPE_CHECKING, Any

from gradc.compiler.api import compile, operation, stop_gradient
from gradc.ir.errors import (
    ArgumentError,
    DerivativeError,
    DomainError,
    FormulaError,
    GradcError,
    GradientError,
    GraphError,
    PatternError,
    ShapeError,
    SizeError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from gradc.compiler.check import check_gradients, check_grads
    from gradc.compiler.colouring import Colouring, colouring
    from gradc.compiler.compressed import sampled_pattern
    from gradc.compiler.function import Function
    from gradc.compiler.implicit import fixed_point, root
    from gradc.compiler.lambdified import lambdify
    from gradc.compiler.report import report
    from gradc.compiler.transforms import (
        elementwise_grad,
        grad,
        hessian,
        hvp,
        jacfwd,
        jacobian,
        jacrev,
        jvp,
        value_and_grad,
        vjp,
    )

__version__ = "0.1.0"
__all__ = [
    "ArgumentError",
    "Colouring",
    "DerivativeError",
    "DomainError",
    "FormulaError",
    "Function",
    "GradcError",
    "GradientError",
    "GraphError",
    "PatternError",
    "ShapeError",
    "SizeError",
    "UnsupportedError",
    "check_gradients",
    "check_grads",
    "colouring",
    "compile",
    "elementwise_grad",
    "fixed_point",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "lambdify",
    "nn",
    "operation",
    "report",
    "root",
    "sampled_pattern",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

_LATER = {
    "Colouring": "gradc.compiler.colouring",
    "Function": "gradc.compiler.function",
    "check_gradients": "gradc.compiler.check",
    "check_grads": "gradc.compiler.check",
    "colouring": "gradc.compiler.colouring",
    "fixed_point": "gradc.compiler.implicit",
    "lambdify": "gradc.compiler.lambdified",
    "report": "gradc.compiler.report",
    "root": "gradc.compiler.implicit",
    "sampled_pattern": "gradc.compiler.compressed",
    **dict.fromkeys(("elementwise_grad", "grad", "hessian", "hvp", "jacfwd", "jacobian", "jacrev", "jvp",
                     "value_and_grad", "vjp"), "gradc.compiler.transforms"),
}


def __getattr__(name: str) -> Any:
    """Load what `import gradc` leaves out, so that the import stays quick."""
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name == "nn":
        return importlib.import_module("gradc.nn")
    raise AttributeError(f"module 'gradc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
