"""The table of NumPy's functions, complete: whoever needs it has it from here, so that no part can be missing.

Each module below puts its functions into the one table of `numpy_functions`; this one only brings them together.
"""

from __future__ import annotations

from . import (  # noqa: F401  (they fill the table)
    numpy_constructors,
    numpy_elements,
    numpy_joins,
    numpy_linalg,
    numpy_numerics,
    numpy_products,
    numpy_reductions,
    numpy_shapes,
    numpy_ufuncs,
)
from .numpy_functions import FUNCTIONS, call, constructed, trace_of

__all__ = ["FUNCTIONS", "call", "constructed", "trace_of"]
