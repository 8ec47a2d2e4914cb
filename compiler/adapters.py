"""What every compiled function offers to other libraries: one method a library, each a door to a module of its own.

Nothing is imported before a method is called, so a library that is not installed is missed only where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .vector_function import VectorFunction


class Adapters:
    """The methods; functions of all kinds have them."""

    def scipy(self, /, wrt: Any = None, **fixed: Any) -> VectorFunction:
        """The function of one vector that SciPy's optimisers and solvers want, with its derivatives.

        wrt      the arguments that the vector holds, in order; by default those to differentiate by without a value
        fixed    values of other arguments, for good

        The result has `fun`, `jac`, `hess`, `hessp`, and `pack` and `unpack` for the vector; see there.

        >>> import gradc
        >>> from scipy.optimize import minimize
        >>> f = gradc.compile("sum((x - k)**2)", {"x": "n", "k": ""}, jit=False)
        >>> p = f.scipy("x", k=3.0)
        >>> minimize(p.fun, [0.0, 1.0], jac=p.jac, method="BFGS").x.round(6)
        array([3., 3.])
        """
        from .vector_function import VectorFunction

        return VectorFunction(self, wrt, fixed)
