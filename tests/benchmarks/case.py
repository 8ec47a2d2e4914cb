"""What a case of the benchmark is: one function at one size, in each of the forms that the tools take.

The forms stand side by side in one file a problem, under `cases/`. A form that several tools share takes the module
whose functions it uses as its first argument; a form written for one tool is a function from the case to `Calls`.
Here is the vocabulary only: the tools turn a case into calls (`tools`), `run` checks and measures them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# What a careful user gives Numba: what gradc's own floating-point policy allows, and no more.
loop = njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


class Unsupported(Exception):
    """The tool has no sensible form of the case; the message says why, and is empty where none was written."""


class Call(NamedTuple):
    """One call to measure: `function(*args, **keywords)`."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: dict[str, Any] = {}  # noqa: RUF012  (never written)

    def __call__(self) -> Any:
        """Makes the call."""
        return self.function(*self.args, **self.keywords)


def as_it_is(result: Any) -> Any:
    """A result that is (value, derivative) already."""
    return result


@dataclass
class Calls:
    """The calls of one tool for one case.

    gradient  returns the value and the derivative, the derivative one array or a tuple of them
    forward   returns the value; None where the tool has no form of its own for it
    into      writes the gradient where `written` reads it: () -> (value, gradient), after the call; or None
    parts     (what `gradient` returns) -> (value, derivative) as arrays in the order of the others, for the comparison
    """

    forward: Call | None
    gradient: Call
    into: Call | None = None
    written: Callable[[Any], Any] | None = None
    parts: Callable[[Any], Any] = as_it_is


@dataclass(frozen=True)
class Loops:
    """The function as an expert writes it by hand for Numba; the standard that the others are held to.

    forward         inputs -> value
    value_and_grad  inputs -> (value, gradient), the gradient fresh; a tuple if there are several in `wrt`
    into            (inputs, out=) -> value, the gradient written to `out`; None where it is not an array
    """

    forward: Callable[..., Any] | None
    value_and_grad: Callable[..., Any]
    into: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Case:
    """One function at one size.

    written, args, wrt  for gradc.compile: a formula or a NumPy function, or several by name, of which the fastest
                        counts; args in the order of the inputs
    inputs              NumPy arrays and floats
    loops               by hand for Numba, or None
    array_form          (np, *inputs) -> value, in whole-array operations, or several by name; np has erf, logsumexp,
                        cholesky and solve_lower too
    scalar_form         (m, *inputs) -> value, in scalar operations on indexed inputs, so unrolled
    matrix_form         (casadi, *inputs) -> value, for CasADi where unrolling is too much, else None
    unrolled            number of scalar terms that scalar_form unrolls to
    trees               whether SymPy can take it: its expressions are trees, and share nothing
    forms               by the name of a tool, what is written for it: by a name of the form, the case -> Calls;
                        it stands for the forms above
    tolerance           by how much results may differ, relative to the largest element
    """

    name: str
    args: dict[str, str]
    wrt: tuple[str, ...]
    inputs: tuple[Any, ...]
    written: str | Callable[..., Any] | Mapping[str, str | Callable[..., Any]] | None = None
    loops: Loops | None = None
    array_form: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None = None
    scalar_form: Callable[..., Any] | None = None
    matrix_form: Callable[..., Any] | None = None
    unrolled: int = 1
    trees: bool = True
    forms: Mapping[str, Mapping[str, Callable[["Case"], Calls]]] = field(default_factory=dict)
    tolerance: float = 1e-9

    @property
    def positions(self) -> tuple[int, ...]:
        """Where the arguments in `wrt` stand among the inputs."""
        return tuple(list(self.args).index(name) for name in self.wrt)


@dataclass(frozen=True)
class Problem:
    """One function at several sizes.

    sizes  labels
    make   label -> the case, its inputs made or read then
    quick  the labels that the quick run measures
    """

    name: str
    sizes: tuple[str, ...]
    make: Callable[[str], Case]
    quick: tuple[str, ...] = ()

    def case_name(self, size: str) -> str:
        """The name of the case of that size."""
        return f"{self.name} {size}".strip()
