"""A function of one vector, as SciPy's optimisers and solvers call it, over a function of several arguments.

`f.scipy(...)` makes it: it says which arguments the vector holds and which have values for good, puts arrays into the
vector and takes it apart, and answers `fun`, `jac`, `hess` and `hessp` from the function's derivatives. Everything
that is computed is computed by these; the methods of SciPy are for SciPy.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradc.ir.errors import ArgumentError, DerivativeError

from .arguments import as_declared, bind, check_dimensions, no_argument, normalised
from .function import Function
from .late import Late
from .packing import Packing, flat, in_tuple, joined, vector
from .structured import Structured
from .wrt import named_in


class VectorFunction:
    """A function of one vector: the arguments `wrt` in their order, each array row by row.

    wrt     the arguments in the vector
    free    the arguments that have no value yet: SciPy gives them after the vector, as its `args=` says

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

    def __init__(self, function: Any, wrt: Any, fixed: Mapping[str, Any]) -> None:
        for name in fixed:
            if name not in function.args:
                raise no_argument(name, function.args)
        names = _open(function, fixed) if wrt is None else named_in(wrt, function.args)
        for name in names:
            if name in fixed:
                raise ArgumentError(f"the argument {name} is in wrt and has a value too: leave one of them out")
        if not names:
            raise DerivativeError("the vector holds no argument: name one in wrt, or leave one without a value")
        self.wrt: tuple[str, ...] = names
        self._function, self._fixed = function.once(("by", names)), dict(fixed)
        optional = function.optional if isinstance(function, Late) else ()
        self.free = tuple(name for name in function.args if name not in {*names, *fixed, *optional})
        self._packing: Packing | None = None
        self._bare = len(names) == 1                            # the vector is the argument, of whatever size
        self._last: tuple[Any, ...] | None = None
        self._both = False
        if isinstance(function, Function):
            inputs = {name: function.graph.inputs[name] for name in fixed}
            values = [as_declared(node, fixed[name]) for name, node in inputs.items()]
            self._fixed = dict(zip(inputs, values, strict=True))
            self._bare &= len(function.graph.inputs[names[0]].shape) == 1
            self._packing = _known(function, names, self._fixed)

    def __repr__(self) -> str:
        free = f" and then {', '.join(self.free)}" if self.free else ""
        return f"<{self._function.__name__} of a vector of {', '.join(self.wrt)}{free}>"

    # -- the vector ---------------------------------------------------------------------------

    def pack(self, /, *arrays: Any, **named: Any) -> np.ndarray[Any, Any]:
        """The vector of values for the arguments in `wrt`, by position or by name.

        The first call settles the shapes, where these do not follow from the fixed arguments; a ShapeError says
        what does not fit them later.
        """
        values = dict(zip(self.wrt, bind(self.wrt, arrays, named), strict=True))
        if isinstance(self._function, Function):
            values = {name: as_declared(self._function.graph.inputs[name], values[name]) for name in self.wrt}
        if self._packing is None:
            self._packing = Packing.of_values(values)
        return self._packing.vector(values)

    def unpack(self, x: Any) -> Any:
        """The arguments in a vector: bare for one, else a named tuple of them."""
        x = vector(x).copy()
        if self._packing is None and self._bare:
            return x
        packing = self.packing
        return in_tuple(packing.values(packing.parts(x)))

    @property
    def packing(self) -> Packing:
        """Where each argument lies in the vector; ArgumentError if that is not known yet."""
        if self._packing is None:
            raise ArgumentError(f"the sizes of {', '.join(self.wrt)} are not known yet: call pack(...) with the "
                                "arrays to start from")
        return self._packing

    def call(self, x: Any, args: Sequence[Any]) -> tuple[Function, list[Any], list[Any]]:
        """The function of plain arrays behind a call, its arguments, and those of them that the vector holds."""
        x = vector(x)
        parts = [x] if self._packing is None and self._bare else self.packing.parts(x)
        if len(args) != len(self.free):
            raise self._wrong_number(args)
        found = {**self._fixed, **dict(zip(self.free, args, strict=True))}
        found |= self._packing.values(parts) if self._packing is not None else {self.wrt[0]: x}
        function, values = _plain(self._function, found)
        if len(function.wrt) != len(parts):
            raise ArgumentError(f"{', '.join(self.wrt)} hold {len(parts)} arrays, of which {len(function.wrt)} are "
                                "real: give what is a whole number or a truth value by name, outside of wrt")
        return function, values, parts

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
        self._last, self._both = (np.array(x), args, joined(gradient)), False
        return value

    def value_and_jac(self, x: Any, *args: Any) -> tuple[Any, np.ndarray[Any, Any]]:
        """The value and `jac` at once, for `minimize` and `root` with `jac=True`."""
        function, values, parts = self.call(x, args)
        if not is_scalar(function):
            return joined(function(*values)), _matrix(function.jacobian(*values), parts)
        value, gradient = function.value_and_grad(*values)
        return value, joined(gradient)

    def jac(self, x: Any, *args: Any) -> Any:
        """The first derivatives: the gradient of a scalar function, else a matrix with a row for each value."""
        function, values, parts = self.call(x, args)
        if not is_scalar(function):
            return _matrix(function.jacobian(*values), parts)
        last, self._last, self._both = self._last, None, True
        if last is not None and np.array_equal(last[0], x) and list(map(id, last[1])) == list(map(id, args)):
            return last[2]
        return joined(function.grad(*values))

    def hess(self, x: Any, *args: Any) -> Any:
        """The second derivatives, a matrix; of a function with several values their sum weighted by v: hess(x, v)."""
        weights, args = (args[:1], args[1:]) if len(args) > len(self.free) else ((), args)
        function, values, parts = self.call(x, args)
        if is_scalar(function):
            found = _matrix(function.hessian(*values), parts)
            return found * vector(np.atleast_1d(weights[0]))[0] if weights else found
        if not weights:
            raise ArgumentError("the function has several values, so its second derivatives are weighted: call "
                                "hess(x, v) with a number v for each of them")
        return _matrix(function.vjp.jacobian(*values, *_cotangents(function, values, weights[0])), parts)

    def hessp(self, x: Any, p: Any, *args: Any) -> np.ndarray[Any, Any]:
        """The product of the second derivatives of a scalar function with a vector, without the matrix."""
        function, values, _ = self.call(x, args)
        direction = vector(p)
        return joined(function.hvp(*values, *(self._packing.parts(direction) if self._packing else [direction])))

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

        if self._packing is not None:
            origin = np.zeros(self._packing.size)
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
        return np.atleast_2d(self._of.jac(y, *self._given(t, args)))


def is_scalar(function: Function) -> bool:
    """Whether the value is one number."""
    outputs = function.graph.outputs
    return len(outputs) == 1 and not outputs[0][1].is_array


def _plain(function: Any, found: Mapping[str, Any]) -> tuple[Function, list[Any]]:
    """The function of plain arrays behind one of any kind, and its arguments in order."""
    values: Sequence[Any] = [found[name] for name in function.args if name in found]
    if isinstance(function, Late):
        function, values = function.bound((), found)
    if isinstance(function, Structured):
        function, values = function.flat, function.flattened(values, {})
    return function, list(values)


def _open(function: Any, fixed: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments in the vector where `wrt` does not say: those to differentiate by that have no value."""
    return tuple(name for name in (function.candidates if isinstance(function, Late) else function.wrt)
                 if name not in fixed)


def _known(function: Function, wrt: Sequence[str], fixed: Mapping[str, Any]) -> Packing | None:
    """The packing where the declared shapes and the sizes of the fixed arguments say it."""
    sizes = {name: int(value) for name, value in fixed.items() if function.graph.inputs[name].dtype == "int64"
             and not function.graph.inputs[name].shape}
    for name, value in fixed.items():
        for axis, dim in enumerate(function.graph.inputs[name].shape):
            if dim.name is not None:
                sizes.setdefault(dim.name, value.shape[axis])
    shapes = {}
    for name in wrt:
        node = function.graph.inputs[name]
        if not all(sizes.keys() >= dim.names() for dim in node.shape):
            return None
        shapes[name] = tuple(max(0, dim.evaluate(sizes)) for dim in node.shape), np.dtype(node.dtype)
    return Packing.of_shapes(shapes)


def _is_affine(function: Function) -> bool:
    """Whether no first derivative depends on an argument that it is taken by."""
    graph = function.jacobian.prepared
    return {graph.inputs[name] for name in function.wrt}.isdisjoint(graph.reachable())


def _cotangents(function: Function, values: Sequence[Any], weights: Any) -> list[Any]:
    """The weights of all values as the cotangents of the outputs."""
    sizes = check_dimensions(function.graph, normalised(function.graph, values))
    shapes = {key: (tuple(dim.evaluate(sizes) for dim in node.shape), np.dtype(node.dtype))
              for key, node in function.graph.outputs}
    return Packing.of_shapes(shapes).parts(vector(np.atleast_1d(weights)))


def _matrix(blocks: Any, parts: Sequence[Any]) -> np.ndarray[Any, Any]:
    """The matrix of blocks of derivatives: of each output, or row of a Hessian, a block for each argument."""
    made = []
    for block, part in zip(flat(blocks), itertools.cycle(parts), strict=False):
        shape = np.shape(block)
        made.append(np.reshape(block, (math.prod(shape[:len(shape) - np.ndim(part)]), np.size(part))))
    rows = [made[k:k + len(parts)] for k in range(0, len(made), len(parts))]
    return (made[0] if len(made) == 1 else np.block(rows)).astype(np.float64, copy=False)
