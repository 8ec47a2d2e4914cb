"""What every compiled function offers to other libraries: one method a library, each a door to a module of its own.

Nothing is imported before a method is called, so a library that is not installed is missed only where it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scipy import LowLevelCallable

    from .ipopt import Ipopt
    from .jax_function import JaxFunction
    from .minuit import Cost
    from .torch_function import TorchFunction
    from .vector_function import VectorFunction


class Adapters:
    """The methods; functions of all kinds have them."""

    def scipy(self, /, wrt: Any = None, **fixed: Any) -> VectorFunction:
        """The function of one vector that SciPy's optimisers and solvers want, with its derivatives.

        wrt      the arguments that the vector holds, in order; by default those to differentiate by without a value
        fixed    values of other arguments, for good: arrays are not copied, so leave them unchanged. What changes
                 comes by SciPy's `args=`

        The result has `fun`, `jac`, `hess`, `hessp`, and `pack` and `unpack` for the vector; see there.

        >>> import gradc
        >>> from scipy.optimize import minimize
        >>> f = gradc.compile("sum((x - k)**2)", {"x": "n", "k": ""}, jit=False)
        >>> p = f.scipy("x", k=3.0)
        >>> minimize(p.fun, [0.0, 1.0], jac=p.jac, method="BFGS").x.round(6)
        array([3., 3.])
        """
        from .vector_function import VectorFunction

        return VectorFunction.of_arguments(self, wrt, fixed)

    def lowlevel(self, /, **fixed: Any) -> LowLevelCallable:
        """The function as compiled code that `scipy.integrate.quad` and `nquad` call without Python.

        fixed    values of arguments, numbers or arrays; the others, real numbers, are integrated over, in order

        Where the function itself raises an error, its value is nan. Raises ArgumentError (an unknown argument, one to
        integrate over that is no number), DerivativeError (more than one number as the value), UnsupportedError
        (jit=False).

        >>> import gradc
        >>> from scipy.integrate import quad
        >>> f = gradc.compile("exp(-a * x)", args=("x", "a"))
        >>> round(quad(f.lowlevel(a=2.0), 0.0, float("inf"))[0], 6)
        0.5
        """
        from .low_level import low_level

        return low_level(self, fixed)

    def iminuit(self, /, wrt: Any = None, *, errordef: float = 1.0, **fixed: Any) -> Cost:
        """The function as the cost that iminuit minimises, with its gradient and the names of its parameters.

        wrt         the arguments that are fitted, in order, as in `scipy`; of an array each element is a parameter
        errordef    1 for a sum of squares over variances, 0.5 for a negative logarithm of a likelihood
        fixed       values of other arguments, for good

        >>> import gradc
        >>> f = gradc.compile("sum((a*t + b - y)**2)", {"a": "", "b": "", "t": "n", "y": "n"}, jit=False)
        >>> cost = f.iminuit(("a", "b"), t=[0.0, 1.0], y=[1.0, 3.0])       # Minuit(cost, a=1.0, b=0.0).migrad()
        >>> cost(1.0, 0.0), cost.grad(1.0, 0.0), cost.errordef
        (5.0, array([-4., -6.]), 1.0)
        """
        from .minuit import Cost

        return Cost(self.scipy(wrt, **fixed), errordef)

    def cyipopt(self, /, constraints: Any = (), wrt: Any = None, **fixed: Any) -> Ipopt:
        """The problem of minimising the function as cyipopt takes it, with first and second derivatives.

        constraints    a function of some of the same arguments, or several; every number that they return is one
        wrt            the arguments that are the variables, in order, as in `scipy`
        fixed          values of other arguments, of the constraints too, for good

        `cyipopt.Problem(n=p.n, m=p.m, problem_obj=p, lb=..., ub=..., cl=..., cu=...)` is solved from `p.pack(...)`.

        >>> import gradc
        >>> f = gradc.compile("x[0]**2 + x[1]**2 * x[2]", "x: 3", jit=False)
        >>> p = f.cyipopt(gradc.compile("x[0] * x[1], x[2]**2", "x: 3", jit=False))
        >>> p.objective([1.0, 2.0, 3.0]), p.constraints([1.0, 2.0, 3.0])
        (13.0, array([2., 9.]))
        """
        from .ipopt import Ipopt

        return Ipopt(self, constraints if isinstance(constraints, Sequence) else (constraints,), wrt, fixed)

    def torch(self) -> TorchFunction:
        """The function on tensors of PyTorch, with derivatives of any order for autograd, in both modes.

        Arguments and results are those of the function, with tensors in place of arrays; other values pass as they
        are. Tensors on the processor share their memory with the compiled code. Raises ArgumentError for a tensor on
        another device, or of another precision than the argument was declared in, and UnsupportedError without
        PyTorch.

        >>> import gradc
        >>> import torch                                                            # doctest: +SKIP
        >>> f = gradc.compile("sum(x**2) * k", {"x": "n", "k": ""}).torch()         # doctest: +SKIP
        >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)   # doctest: +SKIP
        >>> f(x, 3.0).backward(); x.grad                                            # doctest: +SKIP
        tensor([ 6., 12.], dtype=torch.float64)
        """
        from .torch_function import TorchFunction

        return TorchFunction(self)

    def jax(self) -> JaxFunction:
        """The function on arrays of JAX, under `jit`, `grad`, `jvp`, `vmap` and their compositions.

        Arguments and results are those of the function, with arrays of JAX in place of NumPy's; it runs on the host,
        and under `vmap` for one entry after the other. Numbers take the precision that JAX computes with. Raises
        ArgumentError for an array of another precision than the argument was declared in, or a size that is not known
        when JAX traces, and UnsupportedError without JAX.

        >>> import gradc
        >>> import jax                                                              # doctest: +SKIP
        >>> f = gradc.compile("sum(x**2) * k", {"x": "float32 n", "k": ""}).jax()   # doctest: +SKIP
        >>> jax.jit(jax.grad(f))(jax.numpy.array([1.0, 2.0]), 3.0)                  # doctest: +SKIP
        Array([ 6., 12.], dtype=float32)
        """
        from .jax_function import JaxFunction

        return JaxFunction(self)

    def pytensor(self, path: Any = None) -> Any:
        """The function as an Op of PyTensor, with first and second derivatives, for models of PyMC.

        path    a file to write, whose `op` is the Op: for an environment with PyTensor and without gradc, since the two
                may need different versions of Numba. Without it the Op itself is returned

        Of a function of nested structures it is the Op of the leaves. Raises UnsupportedError without PyTensor,
        ArgumentError for a function that is not declared or a derivative, DerivativeError if nothing is real.

        >>> import gradc
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.py")
        >>> gradc.compile("sum((y - k * x)**2)", {"x": "n", "y": "n", "k": ""}, jit=False).pytensor(path)
        >>> "op = operation(" in path.read_text()                      # from model import op; op(x, y, k)
        True
        """
        from .pytensor_op import pytensor_op

        return pytensor_op(self, path)
