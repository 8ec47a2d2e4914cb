"""A cost function as iminuit takes it: called with a number for each parameter, with its gradient and its Hessian.

It is a function of one vector under other calls, with a name for each number. iminuit itself is not needed here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .vector_function import VectorFunction


class Cost:
    """A cost function: `cost(a, b)` or `cost(vector)`; see `Adapters.iminuit`.

    errordef        by how much the cost rises at one standard deviation: 1 for a sum of squares over variances, 0.5
                    for a negative logarithm of a likelihood
    pack, unpack    arrays to a vector of parameters, and back
    """

    def __init__(self, function: VectorFunction, errordef: float) -> None:
        self._function, self.errordef = function, errordef
        self.pack, self.unpack = function.pack, function.unpack

    @property
    def _parameters(self) -> dict[str, None]:
        """The names of the parameters, where iminuit looks for them."""
        return dict.fromkeys(self._function.packing.labels)

    def __call__(self, *numbers: Any) -> float:
        """The cost."""
        return float(self._function.fun(_vector(numbers)))

    def grad(self, *numbers: Any) -> np.ndarray[Any, Any]:
        """The gradient, a vector."""
        found: np.ndarray[Any, Any] = self._function.jac(_vector(numbers))
        return found

    def hess(self, *numbers: Any) -> np.ndarray[Any, Any]:
        """The second derivatives, a matrix, for `Minuit(..., hessian=cost.hess)`.

        Not under the name that iminuit looks for: it fails where they are not positive definite at the start.
        """
        found: np.ndarray[Any, Any] = self._function.hess(_vector(numbers))
        return found


def _vector(numbers: tuple[Any, ...]) -> Any:
    return numbers[0] if len(numbers) == 1 and np.ndim(numbers[0]) else np.array(numbers)
