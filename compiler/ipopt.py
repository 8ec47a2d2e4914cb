"""An optimisation problem as Ipopt takes it, through cyipopt: the callbacks of `cyipopt.Problem`.

Objective and constraints are functions of one vector. Their derivatives come as triplets of row, column and value, at
places that are found once, from sparse matrices: the rows of all constraints one below the other, and of the Hessian
of the Lagrangian the lower triangle, to which every function adds triplets of its own, since Ipopt adds up what
stands in one place. cyipopt itself is not needed here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradc.ir.errors import DerivativeError

from .variables import Variables, chosen
from .vector_function import VectorFunction, is_scalar

Places = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Triplets(NamedTuple):
    """Where the data of several sparse matrices stand: rows, columns, and for each matrix which of its data."""

    rows: np.ndarray[Any, Any]
    columns: np.ndarray[Any, Any]
    kept: list[Any]

    def values(self, matrices: Iterator[Any]) -> np.ndarray[Any, Any]:
        """The data of matrices of these patterns, one after the other."""
        return np.concatenate([np.zeros(0), *(
            matrix.data[kept] for matrix, kept in zip(matrices, self.kept, strict=True))])


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
        self.pack, self.unpack = self._variables.pack, self._variables.unpack

    @property
    def n(self) -> int:
        """The number of variables."""
        return self._variables.settled().size

    @property
    def m(self) -> int:
        """The number of constraints."""
        return sum(self._counts)

    @functools.cached_property
    def _counts(self) -> list[int]:
        """The number of values of each of the constraints."""
        origin = np.zeros(self.n)
        if not is_scalar(self._objective.call(origin, ())[0]):
            raise self._not_scalar()
        return [each.first(origin, (), "pattern").shape[0] for each in self._constraints]

    def _not_scalar(self) -> DerivativeError:
        return DerivativeError("the objective must be one number, and this function has more as its value: give the "
                               "others as constraints, or reduce it, for example with sum(...)")

    # -- values -------------------------------------------------------------------------------

    def objective(self, x: Any) -> float:
        """The value to minimise."""
        value = self._objective.fun(x)
        if np.ndim(value):
            raise self._not_scalar()
        return float(value)

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
        return self._first.values(self._jacobians(x, "sparse"))

    def jacobianstructure(self) -> Places:
        """Rows and columns of the first derivatives that may not be 0."""
        return self._first.rows, self._first.columns

    def hessian(self, x: Any, lagrange: Any, obj_factor: float) -> np.ndarray[Any, Any]:
        """The second derivatives of the Lagrangian, obj_factor f + lagrange . constraints, in the lower triangle."""
        return self._second.values(self._hessians(x, lagrange, obj_factor, "sparse"))

    def hessianstructure(self) -> Places:
        """Rows and columns of the second derivatives that may not be 0, in the lower triangle; some stand twice."""
        return self._second.rows, self._second.columns

    @functools.cached_property
    def _first(self) -> Triplets:
        found = [matrix.tocoo() for matrix in self._jacobians(np.zeros(self.n), "pattern")]
        starts = np.cumsum([0, *self._counts])
        return _triplets([(matrix.row + start, matrix.col) for matrix, start in zip(found, starts, strict=False)])

    @functools.cached_property
    def _second(self) -> Triplets:
        found = [matrix.tocoo() for matrix in self._hessians(np.zeros(self.n), np.zeros(self.m), 1.0, "pattern")]
        return _triplets([(matrix.row, matrix.col) for matrix in found], lower=True)

    def _jacobians(self, x: Any, form: str) -> Iterator[Any]:
        return (each.first(x, (), form) for each in self._constraints)

    def _hessians(self, x: Any, lagrange: Any, obj_factor: float, form: str) -> Iterator[Any]:
        ends = np.cumsum([1, *self._counts])[:-1]
        weights = np.split(np.array([obj_factor, *lagrange]), ends)
        return (each.second(x, (own,), form)
                for each, own in zip((self._objective, *self._constraints), weights, strict=True))


def _triplets(places: Sequence[Places], *, lower: bool = False) -> Triplets:
    """The places of several matrices, or of their lower triangles."""
    kept = [rows >= columns if lower else np.ones(len(rows), bool) for rows, columns in places]
    rows, columns = (np.concatenate([np.zeros(0, np.int64), *(place[k][own] for place, own in zip(
        places, kept, strict=True))]) for k in (0, 1))
    return Triplets(rows, columns, [slice(None) if own.all() else np.flatnonzero(own) for own in kept])
