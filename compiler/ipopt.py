"""An optimisation problem as Ipopt takes it, through cyipopt: the callbacks of `cyipopt.Problem`.

Objective and constraints are functions of one vector. Their derivatives come as triplets of row, column and value:
rows of all constraints below each other, and of the Hessian of the Lagrangian the lower triangle, to which every
function adds triplets of its own, since Ipopt adds up what stands in one place. cyipopt itself is not needed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.errors import DerivativeError

from .variables import Variables, chosen
from .vector_function import VectorFunction, is_scalar

Places = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Ipopt:
    """The callbacks of a problem: minimise `objective`, with bounds on `constraints`; see `Adapters.cyipopt`.

    pack, unpack    arrays to the vector, and back; pack must be called first where the sizes are not known
    n, m            the number of variables and of constraints
    """

    def __init__(self, objective: Any, constraints: Sequence[Any], wrt: Any, fixed: Mapping[str, Any]) -> None:
        functions = [objective, *constraints]
        self._variables = Variables(chosen(wrt, functions, fixed), functions, fixed)
        self._objective, *self._constraints = (VectorFunction(function, self._variables, {
            name: value for name, value in fixed.items() if name in function.args}) for function in functions)
        self._sizes: list[int] = []
        self.pack, self.unpack = self._variables.pack, self._variables.unpack

    @property
    def n(self) -> int:
        """The number of variables."""
        return self._variables.settled().size

    @property
    def m(self) -> int:
        """The number of constraints."""
        return sum(self._counted())

    def _counted(self) -> list[int]:
        if not self._sizes:
            origin = np.zeros(self.n)
            if not is_scalar(self._objective.call(origin, ())[0]):
                raise DerivativeError("the objective must be one number, and this function has more as its value: give "
                                      "the others as constraints, or reduce it, for example with sum(...)")
            self._sizes = [np.size(each.fun(origin)) for each in self._constraints]
        return self._sizes

    # -- values -------------------------------------------------------------------------------

    def objective(self, x: Any) -> float:
        """The value to minimise."""
        return float(self._objective.fun(x))

    def gradient(self, x: Any) -> np.ndarray[Any, Any]:
        """The gradient of the objective, a vector."""
        found: np.ndarray[Any, Any] = self._objective.jac(x)
        return found

    def constraints(self, x: Any) -> np.ndarray[Any, Any]:
        """The values of all constraints, a vector."""
        return np.concatenate([np.zeros(0), *(np.atleast_1d(each.fun(x)) for each in self._constraints)])

    # -- derivatives as triplets --------------------------------------------------------------

    def jacobian(self, x: Any) -> np.ndarray[Any, Any]:
        """The first derivatives of the constraints, at the places of `jacobianstructure`."""
        return np.concatenate([np.zeros(0), *(np.ravel(each.jac(x)) for each in self._constraints)])

    def jacobianstructure(self) -> Places:
        """Rows and columns of the first derivatives that may not be 0."""
        rows, columns = np.divmod(np.arange(self.m * self.n), self.n)
        return rows, columns

    def hessian(self, x: Any, lagrange: Any, obj_factor: float) -> np.ndarray[Any, Any]:
        """The second derivatives of the Lagrangian, obj_factor f + lagrange . constraints, lower triangle."""
        lower = np.tril_indices(self.n)
        weights = np.split(np.asarray(lagrange), np.cumsum(self._counted())[:-1]) if self._constraints else []
        return np.concatenate([obj_factor * self._objective.hess(x)[lower], *(
            each.hess(x, own)[lower] for each, own in zip(self._constraints, weights, strict=True))])

    def hessianstructure(self) -> Places:
        """Rows and columns of the second derivatives that may not be 0, in the lower triangle."""
        rows, columns = np.tril_indices(self.n)
        count = 1 + len(self._constraints)
        return np.tile(rows, count), np.tile(columns, count)
