"""The tools: how each turns a case into calls, in the form that is fastest with it.

A tool gets a case and gives `Calls`: the value, the value with the gradient, and the same into the caller's
array where the tool has such a form. What costs time before the first result is `build` and the first call;
what the tool needs imported is in `libraries`, so that the compile times leave it out. It measures nothing.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .case import Case


class Unsupported(Exception):
    """The tool has no sensible form of the case; the message says why."""


class Call(NamedTuple):
    """One call to measure: `function(*args, **keywords)`."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: dict[str, Any] = {}  # noqa: RUF012  (never written)

    def __call__(self) -> Any:
        """Makes the call."""
        return self.function(*self.args, **self.keywords)


@dataclass
class Calls:
    """The calls of one tool for one case.

    forward   returns the value
    gradient  returns (value, gradient), the gradient one array or a tuple
    into      writes the gradient where `written` reads it: () -> (value, gradient), after the call; or None
    """

    forward: Call
    gradient: Call
    into: Call | None = None
    written: Callable[[Any], Any] | None = None


class Tool:
    """One tool. Subclasses say what they import, whether compiled code stays on disk, and how they build."""

    name: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]]
    compiles: ClassVar[bool] = True
    caches: ClassVar[bool] = False

    def missing(self) -> str | None:
        """The first of the libraries that is not installed; all are imported on the way."""
        for library in self.libraries:
            try:
                importlib.import_module(library)
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] != library.partition(".")[0]:
                    raise
                return library
        return None

    def build(self, case: Case) -> Calls:
        """The calls; raises Unsupported."""
        raise NotImplementedError


class Hand(Tool):
    """The loops written by hand."""

    name = "by hand (Numba)"
    libraries = ("numba",)
    caches = True

    def build(self, case: Case) -> Calls:
        """As the case has them."""
        loops, inputs = case.loops, case.inputs
        calls = Calls(Call(loops.forward, inputs), Call(loops.value_and_grad, inputs))
        if loops.into is not None:
            out = np.empty_like(inputs[case.positions[0]])
            calls.into = Call(loops.into, inputs, {"out": out})
            calls.written = lambda value: (value, out)
        return calls


class Gradc(Tool):
    """This project."""

    name = "gradc"
    libraries = ("gradc", "numba")
    caches = True

    def build(self, case: Case) -> Calls:
        """From the formula."""
        import gradc

        function = gradc.compile(case.formula, args=case.args, wrt=case.wrt)
        calls = Calls(Call(function, case.inputs), Call(function.value_and_grad, case.inputs))
        if case.loops.into is not None:
            out = np.empty_like(case.inputs[case.positions[0]])
            calls.into = Call(function.value_and_grad, case.inputs, {"out": out})
            calls.written = lambda result: (result[0], out)
        return calls


class SymPy(Tool):
    """diff, then lambdify with common subexpressions, over Python's floats: NumPy's scalars are slower."""

    name = "SymPy lambdify"
    libraries = ("sympy",)
    most_terms = 1000  # diff and lambdify take half a minute for 400

    def build(self, case: Case) -> Calls:
        """Unrolled over the elements of the inputs."""
        import sympy

        if case.unrolled > self.most_terms:
            raise Unsupported(f"unrolls to {case.unrolled:,} terms")
        symbols = [
            sympy.symbols(name) if np.ndim(value) == 0 else sympy.symbols(f"{name}:{np.size(value)}")
            for name, value in zip(case.args, case.inputs, strict=True)
        ]
        value = case.scalar_form(sympy, *symbols)
        wrt = [
            s for at in case.positions for s in (symbols[at] if np.ndim(case.inputs[at]) else [symbols[at]])
        ]
        forward = sympy.lambdify(symbols, value, modules="math", cse=True)
        both = sympy.lambdify(symbols, [value, *(value.diff(s) for s in wrt)], modules="math", cse=True)
        if all(np.ndim(given) == 0 for given in case.inputs):
            return Calls(Call(forward, case.inputs), Call(lambda *args: _split(both(*args)), case.inputs))

        def from_arrays(*args: Any) -> Any:
            value, *gradient = both(*(arg.tolist() for arg in args))
            return value, np.array(gradient)

        return Calls(
            Call(lambda *args: forward(*(arg.tolist() for arg in args)), case.inputs),
            Call(from_arrays, case.inputs),
        )


def _split(result: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    return result[0], result[1:]


class Jax(Tool):
    """jit of value_and_grad on arrays that already are JAX's, until the result is ready: its best case."""

    name = "JAX"
    libraries = ("jax", "jax.scipy.special")
    caches = True

    def build(self, case: Case) -> Calls:
        """From the array form."""
        import jax

        # Otherwise a small call is handed to another thread, which costs up to four times the call.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        special = jax.scipy.special
        names = _Names(jax.numpy, erf=special.erf, logsumexp=special.logsumexp)

        def function(*args: Any) -> Any:
            return case.array_form(names, *args)

        one = len(case.positions) == 1
        both = jax.jit(jax.value_and_grad(function, case.positions[0] if one else case.positions))
        value = jax.jit(function)
        inputs = tuple(jax.numpy.asarray(given) for given in case.inputs)
        wait = jax.block_until_ready
        return Calls(
            Call(lambda *args: value(*args).block_until_ready(), inputs),
            Call(lambda *args: wait(both(*args)), inputs),
        )


class JaxOnNumPy(Jax):
    """The same, from NumPy arrays to a float and NumPy arrays: what SciPy and the other tools have."""

    name = "JAX, NumPy in and out"
    compiles = False  # as above

    def build(self, case: Case) -> Calls:
        """Around the calls on JAX's own arrays."""
        calls = super().build(case)
        value, both = calls.forward.function, calls.gradient.function

        def from_arrays(*args: Any) -> Any:
            value, gradient = both(*args)
            if isinstance(gradient, tuple):
                return value.item(), tuple(np.asarray(part) for part in gradient)
            return value.item(), np.asarray(gradient)

        return Calls(Call(lambda *args: value(*args).item(), case.inputs), Call(from_arrays, case.inputs))


class Autograd(Tool):
    """autograd: a tape recorded at every call, nothing compiled."""

    name = "autograd"
    libraries = ("autograd", "autograd.scipy.special")
    compiles = False

    def build(self, case: Case) -> Calls:
        """From the array form."""
        import autograd
        from autograd.scipy import special

        def function(*args: Any) -> Any:
            return case.array_form(names, *args)

        names = _Names(autograd.numpy, erf=special.erf, logsumexp=special.logsumexp)
        plain = _Names(np, erf=importlib.import_module("math").erf, logsumexp=special.logsumexp)
        one = len(case.positions) == 1
        both = autograd.value_and_grad(function, case.positions[0] if one else case.positions)
        return Calls(
            Call(lambda *args: case.array_form(plain, *args), case.inputs),
            Call(both, case.inputs),
        )


class CasADi(Tool):
    """A CasADi Function: on its own matrices, and (much faster) through a buffer over the caller's arrays."""

    name = "CasADi"
    libraries = ("casadi",)

    def build(self, case: Case) -> Calls:
        """Scalar expressions, or matrix expressions where the case has them."""
        import casadi

        kind = casadi.MX if case.matrix_form else casadi.SX
        form = case.matrix_form or case.scalar_form
        symbols = [
            kind.sym(name, *(np.shape(given) or (1,)))
            for name, given in zip(case.args, case.inputs, strict=True)
        ]
        value = form(casadi, *symbols)
        gradients = [casadi.gradient(value, symbols[at]) for at in case.positions]
        forward = casadi.Function("forward", symbols, [value])
        both = casadi.Function("both", symbols, [value, *gradients])
        matrices = tuple(casadi.DM(given) for given in case.inputs)

        buffer, trigger = both.buffer()
        held = [np.ravel(given, order="F").astype(float) for given in case.inputs]
        results = [np.empty(1), *(np.empty(np.size(case.inputs[at])) for at in case.positions)]
        for at, array in enumerate(held):
            buffer.set_arg(at, memoryview(array))
        for at, array in enumerate(results):
            buffer.set_res(at, memoryview(array))

        def written(_: Any, keep: Any = (buffer, held)) -> Any:
            shapes = [np.shape(case.inputs[at]) for at in case.positions]
            return results[0][0], [r.reshape(s, order="F") for r, s in zip(results[1:], shapes, strict=True)]

        return Calls(
            Call(forward, matrices),
            Call(lambda *args: _split(both(*args)), matrices),
            Call(trigger, ()),
            written,
        )


class _Names(SimpleNamespace):
    """A module with a few functions beside its own."""

    def __init__(self, module: Any, **extra: Any) -> None:
        super().__init__(**extra)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        setattr(self, name, found)
        return found


TOOLS: dict[str, Tool] = {
    tool.name: tool for tool in (Hand(), Gradc(), SymPy(), Jax(), JaxOnNumPy(), CasADi(), Autograd())
}
