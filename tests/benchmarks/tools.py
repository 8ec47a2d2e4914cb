"""The tools: how each turns a case into calls, in the form that is fastest with it.

A tool gets a case and gives `Calls`: the value, the value with the gradient, and the same into the caller's
array where the tool has such a form. What costs time before the first result is `build` and the first call;
what the tool needs imported is in `libraries`, so that the compile times leave it out. It measures nothing.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from .c_code import compiler
from .case import Call, Calls, Case, Unsupported


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

    def forms(self, case: Case) -> dict[str, Callable[[], Calls]]:
        """The forms in which the tool takes the case, by name: what is written for it, or the general one."""
        own = case.forms.get(self.name)
        if own is not None:
            return {name: partial(build, case) for name, build in own.items()}
        return {"": partial(self.build, case)}

    def build(self, case: Case) -> Calls:
        """The calls of the general form; raises Unsupported."""
        raise Unsupported(f"no form of {case.name}" if self.name in case.forms else "")


class Hand(Tool):
    """The loops written by hand."""

    name = "by hand (Numba)"
    libraries = ("numba",)
    caches = True

    def build(self, case: Case) -> Calls:
        """As the case has them."""
        if case.loops is None:
            raise Unsupported
        loops, inputs = case.loops, case.inputs
        calls = Calls(
            Call(loops.forward, inputs) if loops.forward else None, Call(loops.value_and_grad, inputs)
        )
        if loops.into is not None:
            out = np.empty_like(inputs[case.positions[0]])
            calls.into = Call(loops.into, inputs, {"out": out})
            calls.written = lambda value: (value, out)
        return calls


class C(Tool):
    """C by hand, by the system's compiler."""

    name = "by hand (C)"
    libraries = ()

    def missing(self) -> str | None:
        """The compiler."""
        return None if compiler() else "a C compiler"


class Gradc(Tool):
    """This project."""

    name = "gradc"
    libraries = ("gradc", "numba")
    caches = True

    def forms(self, case: Case) -> dict[str, Callable[[], Calls]]:
        """One for each way in which the function is written."""
        if isinstance(case.written, Mapping):
            return {name: partial(self.compiled, case, text) for name, text in case.written.items()}
        return super().forms(case)

    def build(self, case: Case) -> Calls:
        """From what is written."""
        if case.written is None or isinstance(case.written, Mapping):
            raise Unsupported
        return self.compiled(case, case.written)

    def compiled(self, case: Case, written: Any) -> Calls:
        """The Function and its gradient, into the caller's array too where the loops by hand do that."""
        import gradc

        function = gradc.compile(written, args=case.args, wrt=case.wrt)
        calls = Calls(Call(function, case.inputs), Call(function.value_and_grad, case.inputs))
        if case.loops is not None and case.loops.into is not None:
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

        if case.scalar_form is None:
            raise Unsupported
        if not case.trees:
            raise Unsupported("an expression that shares nothing would be too large")
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


class ArrayTool(Tool):
    """A tool that takes the array forms."""

    def forms(self, case: Case) -> dict[str, Callable[[], Calls]]:
        """What is written for the tool, or one for each array form."""
        if self.name in case.forms or not isinstance(case.array_form, Mapping):
            return super().forms(case)
        return {name: partial(self.from_array, case, form) for name, form in case.array_form.items()}

    def build(self, case: Case) -> Calls:
        """From the array form."""
        if case.array_form is None or isinstance(case.array_form, Mapping):
            raise Unsupported
        return self.from_array(case, case.array_form)

    def from_array(self, case: Case, form: Callable[..., Any]) -> Calls:
        """The calls of an array form."""
        raise NotImplementedError


class Jax(ArrayTool):
    """jit of value_and_grad on arrays that already are JAX's, until the result is ready: its best case."""

    name = "JAX"
    libraries = ("jax", "jax.scipy.special")
    caches = True

    def from_array(self, case: Case, form: Callable[..., Any]) -> Calls:
        """Compiled, recorded or run as the tool does it."""
        import jax

        # Otherwise a small call is handed to another thread, which costs up to four times the call.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        names = names_of_jax()

        def function(*args: Any) -> Any:
            return form(names, *args)

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

    def from_array(self, case: Case, form: Callable[..., Any]) -> Calls:
        """Around the calls on JAX's own arrays."""
        calls = super().from_array(case, form)
        value, both = calls.forward.function, calls.gradient.function

        def from_arrays(*args: Any) -> Any:
            value, gradient = both(*args)
            if isinstance(gradient, tuple):
                return value.item(), tuple(np.asarray(part) for part in gradient)
            return value.item(), np.asarray(gradient)

        return Calls(Call(lambda *args: value(*args).item(), case.inputs), Call(from_arrays, case.inputs))


class Autograd(ArrayTool):
    """autograd: a tape recorded at every call, nothing compiled."""

    name = "autograd"
    libraries = ("autograd", "autograd.scipy.special")
    compiles = False

    def from_array(self, case: Case, form: Callable[..., Any]) -> Calls:
        """Compiled, recorded or run as the tool does it."""
        import autograd
        from scipy import special
        from scipy.linalg import solve_triangular

        def solve_lower(L: Any, b: Any) -> Any:
            return solve_triangular(L, b, lower=True)

        names = names_of_autograd()
        plain = _Names(
            np, erf=special.erf, logsumexp=special.logsumexp, cholesky=np.linalg.cholesky, solve_lower=solve_lower
        )

        def function(*args: Any) -> Any:
            return form(names, *args)

        one = len(case.positions) == 1
        both = autograd.value_and_grad(function, case.positions[0] if one else case.positions)
        return Calls(
            Call(lambda *args: form(plain, *args), case.inputs),
            Call(both, case.inputs),
        )


class Torch(ArrayTool):
    """PyTorch, eager, one thread, on its own tensors."""

    name = "PyTorch"
    libraries = ("torch",)
    compiles = False

    def from_array(self, case: Case, form: Callable[..., Any]) -> Calls:
        """Compiled, recorded or run as the tool does it."""
        import torch

        names = names_of_torch()
        inputs = [torch.tensor(given) if np.ndim(given) else given for given in case.inputs]

        def value(*wrt: Any) -> Any:
            given = list(inputs)
            for at, array in zip(case.positions, wrt, strict=True):
                given[at] = array
            return form(names, *given)

        return gradient_in_torch(value, [case.inputs[at] for at in case.positions])


def gradient_in_torch(value: Callable[..., Any], wrt: Sequence[Any]) -> Calls:
    """The value, and with it the gradient by all arguments, eager, with one thread."""
    import torch

    torch.set_num_threads(1)
    leaves = [torch.tensor(np.asarray(given), requires_grad=True) for given in wrt]

    def forward() -> Any:
        with torch.no_grad():
            return value(*leaves)

    def both() -> Any:
        result = value(*leaves)
        return result.detach(), torch.autograd.grad(result, leaves, materialize_grads=True)

    return Calls(Call(forward, ()), Call(both, ()))


class CasADi(Tool):
    """A CasADi Function: on its own matrices, and (much faster) through a buffer over the caller's arrays."""

    name = "CasADi"
    libraries = ("casadi",)
    most_terms = 200_000

    def build(self, case: Case) -> Calls:
        """Scalar expressions, or matrix expressions where the case has them."""
        import casadi

        kind = casadi.MX if case.matrix_form else casadi.SX
        form = case.matrix_form or case.scalar_form
        if form is None:
            raise Unsupported
        if form is case.scalar_form and case.unrolled > self.most_terms:
            raise Unsupported(f"unrolls to {case.unrolled:,} terms")
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


class Differences(Tool):
    """SciPy's finite differences, where a case has a form for them."""

    name = "SciPy differences"
    libraries = ("scipy",)
    compiles = False


class _Names(SimpleNamespace):
    """A module with a few functions beside its own."""

    def __init__(self, module: Any, **extra: Any) -> None:
        super().__init__(**extra)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        setattr(self, name, found)
        return found


def names_of_jax() -> Any:
    """jax.numpy with the further functions that the array forms use."""
    import jax

    special = jax.scipy.special

    def solve_lower(L: Any, b: Any) -> Any:
        return jax.scipy.linalg.solve_triangular(L, b, lower=True)

    more = {"cholesky": jax.numpy.linalg.cholesky, "solve_lower": solve_lower}
    return _Names(jax.numpy, erf=special.erf, logsumexp=special.logsumexp, **more)


def names_of_autograd() -> Any:
    """autograd.numpy with them."""
    import autograd
    from autograd.scipy import linalg, special

    def solve_lower(L: Any, b: Any) -> Any:
        return linalg.solve_triangular(L, b, lower=True)

    more = {"cholesky": autograd.numpy.linalg.cholesky, "solve_lower": solve_lower}
    return _Names(autograd.numpy, erf=special.erf, logsumexp=special.logsumexp, **more)


def names_of_torch() -> Any:
    """torch under NumPy's names where they differ; it takes `axis` and `keepdims` itself."""
    import torch

    def logsumexp(a: Any, axis: int) -> Any:
        return torch.logsumexp(a, axis)

    def asarray(a: Any) -> Any:
        return torch.as_tensor(a, dtype=torch.float64)

    def eye(n: int) -> Any:
        return torch.eye(n, dtype=torch.float64)

    def solve_lower(L: Any, b: Any) -> Any:
        return torch.linalg.solve_triangular(L, b[:, None], upper=False)[:, 0]

    more = {"cholesky": torch.linalg.cholesky, "solve_lower": solve_lower}
    return _Names(torch, logsumexp=logsumexp, asarray=asarray, eye=eye, **more)


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (Hand(), C(), Gradc(), SymPy(), Jax(), JaxOnNumPy(), Torch(), CasADi(), Autograd(), Differences())
}
