"""A function of one vector, as SciPy's optimisers and solvers call it, over a function of several arguments.

`f.scipy(...)` makes it: it says which arguments the vector holds and which have values for good, puts arrays into the
vector and takes it apart, and answers `fun`, `jac`, `hess` and `hessp` from the function's derivatives. Everything
that is computed is computed by these; the methods of SciPy are for SciPy.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.errors import ArgumentError, DerivativeError

from .arguments import check_dimensions, normalised
from .function import Function
from .late import Late
from .packing import Packing, flat, joined, vector
from .variables import Variables, chosen, converted, plain_call

LINEAR = frozenset({"add", "sub", "neg", "mul", "div", "sum", "mean", "scan", "read", "store", "scatter_add", "select",
                    "real", "float32", "float64"})      # where their derivatives are constant, these are straight lines


class VectorFunction:
    """A function of one vector: the arguments `wrt` in their order, each array row by row.

    wrt     the arguments in the vector
    free    the arguments that have no value yet: SciPy gives them after the vector, as its `args=` says
    pack    a method: the vector of values of the arguments, by position or by name; its first call settles their
            sizes where these do not follow from the declarations and the fixed arguments
    unpack  a method: the arguments in a vector, bare for one, else a named tuple of them

    The value of `fun` is a number if the function has one real number as its value, else a vector of all that it
    returns; a vector's entries are float64, and arguments that are declared float32 are rounded to that. Raises
    ArgumentError (an unknown, missing or twofold argument, a vector of texts), ShapeError (a vector of the wrong
    length), FormulaError (`wrt` names no real argument), and what the function itself raises.

    >>> import gradc
    >>> from scipy.optimize import minimize
    >>> f = gradc.compile("sum((A @ x - b)**2) + c**2", {"A": "m n", "x": "n", "b": "m", "c": ""}, jit=False)
    >>> p = f.scipy(wrt=("x", "c"), A=[[2.0, 0.0], [0.0, 1.0]], b=[2.0, 3.0])
    >>> found = minimize(p.fun, p.pack([0.0, 0.0], 1.0), jac=p.jac, hess=p.hess, method="trust-exact")
    >>> x, c = p.unpack(found.x)
    >>> x.round(6), p.hess(found.x).shape
    (array([1., 3.]), (3, 3))
    """

    def __init__(self, function: Any, variables: Variables, fixed: Mapping[str, Any]) -> None:
        own = tuple(name for name in variables.names if name in function.args)
        if not own:
            raise DerivativeError(f"the function takes {', '.join(function.args) or 'nothing'}, and none of what is in "
                                  f"the vector ({', '.join(variables.names)}): give its arguments the same names")
        self.wrt, self._own, self._variables = variables.names, own, variables
        self.pack, self.unpack = variables.pack, variables.unpack
        self._function, self._fixed = function.once(("by", own)), converted(function, fixed)
        optional = function.optional if isinstance(function, Late) else ()
        self.free = tuple(name for name in function.args if name not in {*own, *fixed, *optional})
        self._part: tuple[Packing, np.ndarray[Any, Any]] | None = None
        self._last: tuple[Any, ...] | None = None
        self._both, self._form = False, "dense"

    @classmethod
    def of_arguments(cls, function: Any, wrt: Any, fixed: Mapping[str, Any]) -> VectorFunction:
        """The function of the vector of its arguments `wrt`; see `Adapters.scipy`."""
        names = chosen(wrt, [function], fixed)
        return cls(function, Variables(names, [function], fixed), fixed)

    def of(self, function: Any, /, **fixed: Any) -> VectorFunction:
        """Another function of the same vector, such as a constraint: it takes those of the arguments that it has.

        fixed    values of its other arguments, beside those that this function has already

        >>> import gradc
        >>> p = gradc.compile("sum(x**2) + y**2", {"x": "2", "y": ""}, jit=False).scipy()
        >>> p.of(gradc.compile("x[0] * x[1]", {"x": "2"}, jit=False)).jac(p.pack([3.0, 4.0], 1.0))
        array([4., 3., 0.])
        """
        values = {**{name: value for name, value in self._fixed.items() if name in function.args}, **fixed}
        chosen(self.wrt, [self._function, function], values)
        made = VectorFunction(function, self._variables, values)
        made._form = self._form
        return made

    def __repr__(self) -> str:
        free = f" and then {', '.join(self.free)}" if self.free else ""
        return f"<{self._function.__name__} of a vector of {', '.join(self.wrt)}{free}>"

    @property
    def packing(self) -> Packing:
        """Where each argument lies in the vector; ArgumentError if that is not known yet."""
        return self._variables.settled()

    def call(self, x: Any, args: Sequence[Any]) -> tuple[Function, list[Any], list[Any]]:
        """The function of plain arrays behind a call, its arguments, and those of them that the vector holds."""
        parts = self._parts(x)
        if len(args) != len(self.free):
            raise self._wrong_number(args)
        packing = self._part[0] if self._part else self._variables.packing
        found = {**self._fixed, **dict(zip(self.free, args, strict=True))}
        found |= packing.values(parts) if packing is not None else {self.wrt[0]: parts[0]}
        function, values = plain_call(self._function, found)
        if len(function.wrt) != len(parts):
            raise ArgumentError(f"{', '.join(self.wrt)} hold {len(parts)} arrays, of which {len(function.wrt)} are "
                                "real: give what is a whole number or a truth value by name, outside of wrt")
        return function, values, parts

    def _parts(self, x: Any) -> list[Any]:
        """The arrays in a vector that the function takes."""
        if self._own == self.wrt:
            return self._variables.parts(x)
        whole = self.packing
        if self._part is None:
            self._part = whole.part(self._own)
        return self._part[0].parts(whole.checked(x)[self._part[1]])

    def _wrong_number(self, args: Sequence[Any]) -> ArgumentError:
        absent, count = self.free[len(args):], len(self.free)
        if absent:
            which = f"argument {absent[0]} has" if len(absent) == 1 else f"arguments {', '.join(absent)} have"
            return ArgumentError(f"the {which} no value: give {absent[0]}=... to scipy(), or args=(...,) to SciPy")
        return ArgumentError(f"{len(args)} arguments follow the vector, and {count} have no value yet"
                             f"{' (' + ', '.join(self.free) + ')' if count else ''}: leave out {len(args) - count}")

    # -- values and derivatives ---------------------------------------------------------------

    def fun(self, x: Any, *args: Any) -> Any:
        """The value: a number, or a vector of all numbers that the function returns.

        A scalar function is computed with its gradient where that of the point before was asked for, and `jac` at
        the same point takes it from here.
        """
        function, values, _ = self.call(x, args)
        if not is_scalar(function):
            return joined(function(*values))
        if not self._both:
            return function(*values)
        value, gradient = function.value_and_grad(*values)
        self._last = function, [np.array(given) for given in self._varying(values)], self._whole(joined(gradient))
        self._both = False
        return value

    def value_and_jac(self, x: Any, *args: Any) -> tuple[Any, Any]:
        """The value and `jac` at once, for `minimize` and `root` with `jac=True`."""
        function, values, parts = self.call(x, args)
        if is_scalar(function):
            value, gradient = function.value_and_grad(*values)
            return value, self._whole(joined(gradient))
        both = function.value_and_jacobian
        if self._form == "sparse":
            *value, matrix = both.sparse.stacked(*values)
            return joined(value), self._spread(matrix, 1)
        value, blocks = both(*values)
        return joined(value), self._whole(_dense(blocks, parts))

    def jac(self, x: Any, *args: Any) -> Any:
        """The first derivatives: the gradient of a scalar function, else a matrix with a row for each value."""
        function, values, parts = self.call(x, args)
        if not is_scalar(function):
            return self._matrix(function.jacobian, values, parts, 1, self._form)
        last, self._last, self._both = self._last, None, True
        if last is not None and last[0] is function:
            varying = self._varying(values)
            if len(varying) == len(last[1]) and all(map(np.array_equal, last[1], varying)):
                return last[2]
        return self._whole(joined(function.grad(*values)))

    def _varying(self, values: Sequence[Any]) -> list[Any]:
        """The arguments of a call but for the arrays that are fixed for good: they may change in place."""
        fixed = {id(value) for value in self._fixed.values() if isinstance(value, np.ndarray)}
        return [value for value in values if id(value) not in fixed]

    def hess(self, x: Any, *args: Any) -> Any:
        """The second derivatives, a matrix; hess(x, v) are those of the sum of all values, each times a number of v."""
        return self.second(x, args, self._form)

    def hessp(self, x: Any, p: Any, *args: Any) -> np.ndarray[Any, Any]:
        """The product of the second derivatives of a scalar function with a vector, without the matrix."""
        function, values, _ = self.call(x, args)
        return self._whole(joined(function.hvp(*values, *self._parts(p))))

    # -- matrices -----------------------------------------------------------------------------

    @property
    def sparse(self) -> VectorFunction:
        """The same function with sparse matrices, `csr_array`s of a pattern that is found once for given sizes.

        The gradient of a scalar function stays a vector.

        >>> import gradc
        >>> p = gradc.compile("x[1:] - x[:-1]**2", "x: n", jit=False).scipy()
        >>> p.sparse.jac([1.0, 2.0, 3.0]).toarray()
        array([[-2.,  1.,  0.],
               [ 0., -4.,  1.]])
        """
        made = copy.copy(self)
        made._form = "sparse"
        return made

    def first(self, x: Any, args: Sequence[Any], form: str) -> Any:
        """The first derivatives as a matrix, of a scalar function too: "dense", "sparse" or the "pattern" alone."""
        function, values, parts = self.call(x, args)
        return self._matrix(function.jacobian, values, parts, 1, form)

    def second(self, x: Any, args: Sequence[Any], form: str) -> Any:
        """The second derivatives as `hess` gives them, in one of these forms."""
        weights, args = (args[:1], args[1:]) if len(args) > len(self.free) else ((), args)
        function, values, parts = self.call(x, args)
        if weights:
            given = [*values, *_cotangents(function, values, weights[0])]
            return self._matrix(function.weighted.hessian, given, parts, 2, form)
        if not is_scalar(function):
            raise ArgumentError("the function has several values, so its second derivatives are weighted: call "
                                "hess(x, v) with a number v for each of them")
        return self._matrix(function.hessian, values, parts, 2, form)

    def _matrix(self, derivative: Function, values: Sequence[Any], parts: Sequence[Any], axes: int,
                form: str) -> Any:
        if form == "dense":
            return self._whole(_dense(derivative(*values), parts), axes)
        stacked = derivative.sparse.stacked
        return self._spread(stacked.pattern(*values) if form == "pattern" else stacked(*values), axes)

    def _whole(self, derivatives: np.ndarray[Any, Any], axes: int = 1) -> np.ndarray[Any, Any]:
        """Derivatives by the numbers that the function takes, in the last axes, as those by the whole vector."""
        if self._part is None:
            return derivatives
        kept = derivatives.shape[:derivatives.ndim - axes]
        found = np.zeros((*kept, *[self.packing.size] * axes))
        places: Any = (..., *np.ix_(*[self._part[1]] * axes))
        found[places] = derivatives
        return found

    def _spread(self, matrix: Any, axes: int) -> Any:
        """The same for a sparse matrix, of which the columns, or with two axes the rows too, are of these numbers."""
        if self._part is None:
            return matrix
        numbers, size = self._part[1], self.packing.size
        ends, rows = matrix.indptr, matrix.shape[0]
        if axes == 2:
            counts, rows = np.zeros(size + 1, dtype=ends.dtype), size
            counts[numbers + 1] = np.diff(ends)
            ends = np.cumsum(counts)
        return type(matrix)((matrix.data, numbers[matrix.indices], ends), shape=(rows, size))

    # -- what solvers ask for -----------------------------------------------------------------

    def ode(self, time: str = "t") -> Ode:
        """The right-hand side of a differential equation, `fun(t, y)` and `jac(t, y)`, for `solve_ivp`.

        time    the name of the argument that is the time; a function without one does not depend on it
        """
        return Ode(self, time)

    def constraint(self, lower: Any, upper: Any, *, hess: bool = True) -> Any:
        """The constraint lower <= fun(x) <= upper for `minimize`, with its first and second derivatives.

        hess    False leaves the second ones out, for methods that do not want them (SLSQP)

        A LinearConstraint where the sizes are known (see `pack`) and the first derivatives do not depend on x; else a
        NonlinearConstraint.
        """
        from scipy.optimize import LinearConstraint, NonlinearConstraint

        if self._variables.packing is not None:
            origin = np.zeros(self.packing.size)
            if _is_affine(self.call(origin, ())[0]):
                offset = self.fun(origin)
                return LinearConstraint(self.jac(origin), np.subtract(lower, offset), np.subtract(upper, offset))
        if not hess:
            return NonlinearConstraint(self.fun, lower, upper, jac=self.jac)
        return NonlinearConstraint(self.fun, lower, upper, jac=self.jac, hess=self.hess)


class Ode:
    """A function of a vector as the right-hand side of an ordinary differential equation; see `VectorFunction.ode`."""

    def __init__(self, function: VectorFunction, time: str) -> None:
        self._of, self._place = function, function.free.index(time) if time in function.free else None

    def _given(self, t: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return args if self._place is None else (*args[:self._place], t, *args[self._place:])

    def fun(self, t: Any, y: Any, *args: Any) -> Any:
        """The derivative of y by the time."""
        return np.atleast_1d(self._of.fun(y, *self._given(t, args)))

    def jac(self, t: Any, y: Any, *args: Any) -> Any:
        """The derivatives of `fun` by y, a matrix."""
        found = self._of.jac(y, *self._given(t, args))
        return np.atleast_2d(found) if isinstance(found, np.ndarray) else found


def is_scalar(function: Function) -> bool:
    """Whether the value is one number."""
    outputs = function.graph.outputs
    return len(outputs) == 1 and not outputs[0][1].is_array


def _is_affine(function: Function) -> bool:
    """Whether no first derivative depends on an argument that it is taken by, and these are all there is to it.

    The latter is not so for what has derivative zero by definition: floor(x) + x is no straight line.
    """
    graph, written = function.plain.jacobian.prepared, function.graph
    if not {graph.inputs[name] for name in function.wrt}.isdisjoint(graph.reachable()):
        return False
    dependent = {written.inputs[name] for name in function.wrt}
    for node in written.reachable(node for _, node in written.outputs):
        if not dependent.isdisjoint(node.args):
            if node.op not in LINEAR:
                return False
            dependent.add(node)
    return True


def _cotangents(function: Function, values: Sequence[Any], weights: Any) -> list[Any]:
    """The weights of all values as the cotangents of the outputs, of which those that are not real have none."""
    sizes = check_dimensions(function.graph, normalised(function.graph, values))
    shapes = {key: (tuple(dim.evaluate(sizes) for dim in node.shape), np.dtype(node.dtype))
              for key, node in function.graph.outputs}
    parts = Packing.of_shapes(shapes).parts(vector(np.atleast_1d(weights)))
    return [part for part, (_, dtype) in zip(parts, shapes.values(), strict=True) if dtype.kind == "f"]


def _dense(blocks: Any, parts: Sequence[Any]) -> np.ndarray[Any, Any]:
    """The matrix of blocks of derivatives: of each output, or row of a Hessian, a block for each argument."""
    made = []
    for block, part in zip(flat(blocks), itertools.cycle(parts), strict=False):
        shape = np.shape(block)
        made.append(np.reshape(block, (math.prod(shape[:len(shape) - np.ndim(part)]), np.size(part))))
    rows = [made[k:k + len(parts)] for k in range(0, len(made), len(parts))]
    return (made[0] if len(made) == 1 else np.block(rows)).astype(np.float64, copy=False)
