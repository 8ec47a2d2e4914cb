"""What a case of the benchmark is: one function, in each of the forms that the tools take.

The forms stand side by side in one file a case, under `cases/`. A form takes the module whose functions it
uses as its first argument, so that JAX and autograd share one, and SymPy and CasADi another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# What a careful user gives Numba: what gradc's own floating-point policy allows, and no more.
loop = njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@dataclass(frozen=True)
class Loops:
    """The function as an expert writes it by hand for Numba; the standard that the others are held to.

    forward         inputs -> value
    value_and_grad  inputs -> (value, gradient), the gradient fresh; a tuple if there are several in `wrt`
    into            (inputs, out=) -> value, the gradient written to `out`; None where it is not an array
    """

    forward: Callable[..., Any]
    value_and_grad: Callable[..., Any]
    into: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Case:
    """One function at one size.

    formula, args, wrt  for gradc.compile; args in the order of the inputs
    inputs              NumPy arrays and floats
    loops               by hand
    array_form          (np, *inputs) -> value, in whole-array operations; np has erf and logsumexp too
    scalar_form         (m, *inputs) -> value, in scalar operations on indexed inputs, so unrolled
    matrix_form         (casadi, *inputs) -> value, for CasADi where unrolling is too much, else None
    unrolled            number of scalar terms that scalar_form unrolls to
    """

    name: str
    formula: str
    args: dict[str, str]
    wrt: tuple[str, ...]
    inputs: tuple[Any, ...]
    loops: Loops
    array_form: Callable[..., Any]
    scalar_form: Callable[..., Any]
    matrix_form: Callable[..., Any] | None = None
    unrolled: int = 1

    @property
    def positions(self) -> tuple[int, ...]:
        """Where the arguments in `wrt` stand among the inputs."""
        return tuple(list(self.args).index(name) for name in self.wrt)
