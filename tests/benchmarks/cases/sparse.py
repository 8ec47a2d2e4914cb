"""Sparse Hessians and Jacobians of problems on chains and grids: their values, the pattern known.

Hessians of Rosenbrock's function, of the energy of Bratu's problem and of a discrete minimal surface (both from
MINPACK-2: B. Averick and others, 1992); Jacobians of the Brusselator's reaction and diffusion along a line and on a
torus (E. Hairer and G. Wanner, "Solving Ordinary Differential Equations II", section IV.10). Each tool gives the stored
entries in its own order; they are compared as CSR. CasADi runs its virtual machine through a buffer; JAX, which has no
sparse derivative, makes the dense matrix where that fits; SciPy takes differences along groups of columns.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from ..case import Call, Calls, Case, Problem, Unsupported

A, B, DIFFUSION, LAMBDA = 3.4, 1.0, 0.02, 1.0
DENSE = 2_000               # columns of a matrix that is made dense


def rosenbrock(np: Any, x: Any) -> Any:
    """A chain."""
    return sum_of(np, 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def bratu(np: Any, u: Any) -> Any:
    """The energy of -laplace(u) = lambda exp(u) on the unit square, u the inner points."""
    h = 1 / (u.shape[0] + 1)
    edges = sum_of(np, (u[1:, :] - u[:-1, :]) ** 2) + sum_of(np, (u[:, 1:] - u[:, :-1]) ** 2)
    rim = sum_of(np, u[0, :] ** 2) + sum_of(np, u[-1, :] ** 2) + sum_of(np, u[:, 0] ** 2) + sum_of(np, u[:, -1] ** 2)
    return (edges + rim) / 2 - LAMBDA * h * h * sum_of(np, np.exp(u))


def surface(np: Any, u: Any) -> Any:
    """The area over the cells between the points of a grid on the unit square."""
    n = u.shape[0]
    down, across = u[1:, :-1] - u[:-1, :-1], u[:-1, 1:] - u[:-1, :-1]
    return sum_of(np, np.sqrt(1 + n * n * (down**2 + across**2))) / (n * n)


def sum_of(np: Any, terms: Any) -> Any:
    """The sum of all elements, in CasADi too."""
    return np.sum(terms) if hasattr(np, "sum") else np.sum1(np.sum2(terms))


def reaction(u: Any, v: Any) -> Any:
    """Of both species."""
    return B + u * u * v - (A + 1) * u, A * u - u * u * v


def line(np: Any, y: Any) -> Any:
    """Along a ring, in which the ends are neighbours."""
    change = []
    for c, own in zip(reaction(y[0], y[1]), (y[0], y[1]), strict=True):
        change.append(c + DIFFUSION * y.shape[1] ** 2 * (np.roll(own, 1) + np.roll(own, -1) - 2 * own))
    return np.stack(change)


def torus(np: Any, y: Any) -> Any:
    """On a square whose opposite sides are neighbours."""
    change = []
    for c, own in zip(reaction(y[0], y[1]), (y[0], y[1]), strict=True):
        around = np.roll(own, 1, 0) + np.roll(own, -1, 0) + np.roll(own, 1, 1) + np.roll(own, -1, 1)
        change.append(c + DIFFUSION * y.shape[1] ** 2 * (around - 4 * own))
    return np.stack(change)


def in_casadi(y: Any, shape: tuple[int, ...]) -> Any:
    """The same for CasADi, whose symbols are one column, its elements in C order."""
    import casadi

    n = int(np.prod(shape[1:]))
    change = []
    for c, own in zip(reaction(y[:n], y[n:]), (y[:n], y[n:]), strict=True):
        number = np.arange(n).reshape(shape[1:])
        shifts = [np.roll(number, s, axis).ravel() for axis in range(number.ndim) for s in (1, -1)]
        around = sum((own[shift.tolist()] for shift in shifts[1:]), start=own[shifts[0].tolist()])
        change.append(c + DIFFUSION * shape[1] ** 2 * (around - 2 * number.ndim * own))
    return casadi.vertcat(*change)


# -- tools ----------------------------------------------------------------------------------------


def entries(matrix: Any) -> Any:
    """The number of entries that are not 0, and these row by row."""
    found = sparse.csr_array(matrix)
    found.sum_duplicates()
    found.eliminate_zeros()
    return float(found.nnz), found.data


def by_gradc(form: Callable[..., Any], kind: str, case: Case) -> Calls:
    """The sparse derivative, into the caller's array too."""
    import gradc

    x, = case.inputs
    f = gradc.compile(lambda x: form(np, x), {"x": " ".join(f"n{k}" if k or x.ndim == 1 else "n" for k in range(x.ndim))
                                             if kind == "hessian" else " ".join(["2", "n", "n"][:x.ndim])})
    derivative = getattr(f, kind).sparse
    out = np.empty(derivative(x).nnz)
    return Calls(None, Call(derivative, case.inputs), Call(derivative, case.inputs, {"out": out}),
                 lambda found: entries(found.copy()), lambda found: entries(found.copy()))


def by_casadi(form: Callable[..., Any], kind: str, case: Case) -> Calls:
    """Scalar expressions; the entries into a buffer."""
    import casadi

    x, = case.inputs
    flat = casadi.SX.sym("x", x.size)
    if kind == "hessian":
        shaped = casadi.reshape(flat, *x.shape[::-1]).T if x.ndim == 2 else flat
        matrix = casadi.hessian(form(casadi, shaped), flat)[0]
    else:
        matrix = casadi.jacobian(in_casadi(flat, x.shape), flat)
    columns, rows = np.array(matrix.sparsity().colind()), np.array(matrix.sparsity().row())
    whole = casadi.Function("values", [flat], [casadi.vertcat(*matrix.nonzeros())])
    buffer, trigger = whole.buffer()
    held, values = np.ascontiguousarray(x.ravel()), np.empty(len(rows))
    buffer.set_arg(0, memoryview(held))
    buffer.set_res(0, memoryview(values))
    shape = (x.size, x.size)
    return Calls(None, Call(trigger, ()), parts=lambda _, keep=(buffer, held): entries(
        sparse.csc_array((values.copy(), rows, columns), shape)))


def by_jax(form: Callable[..., Any], kind: str, case: Case) -> Calls:
    """The dense matrix."""
    import jax
    from jax import numpy as jnp

    x, = case.inputs
    if x.size > DENSE:
        raise Unsupported(f"a dense matrix of {x.size:,} columns")
    derivative = jax.jit(jax.hessian(partial(form, jnp)) if kind == "hessian" else jax.jacfwd(partial(form, jnp)))
    given = jnp.asarray(x)
    return Calls(None, Call(lambda: derivative(given).block_until_ready(), ()),
                 parts=lambda found: entries(np.reshape(found, (x.size, x.size))))


def by_differences(form: Callable[..., Any], kind: str, case: Case) -> Calls:
    """Central differences along groups of columns that share no row."""
    from scipy.optimize._numdiff import approx_derivative, group_columns

    import gradc

    x, = case.inputs
    if kind == "hessian":
        raise Unsupported
    f = gradc.compile(lambda x: form(np, x), {"x": " ".join(["2", "n", "n"][:x.ndim])})
    pattern = f.jacobian.pattern(x)
    groups = group_columns(pattern)
    flat = x.ravel()

    def derivative() -> Any:
        return approx_derivative(lambda y: form(np, y.reshape(x.shape)).ravel(), flat, method="3-point",
                                 sparsity=(pattern, groups))

    return Calls(None, Call(derivative, ()), parts=entries)


def made(name: str, form: Callable[..., Any], kind: str, shapes: dict[str, tuple[int, ...]], size: str) -> Case:
    """The case of a size."""
    x = 0.5 + np.random.default_rng(5).random(shapes[size])
    tools = {"gradc": by_gradc, "CasADi": by_casadi, "JAX": by_jax, "SciPy differences": by_differences}
    forms = {tool: {"": partial(build, form, kind)} for tool, build in tools.items()}
    return Case(name=f"{name} {size}", args={"x": ""}, wrt=("x",), inputs=(x,), forms=forms, tolerance=1e-6)


GRIDS = {"1e4": (100, 100), "1e5": (316, 316), "1e6": (1000, 1000)}
SHAPES: dict[str, tuple[Callable[..., Any], str, dict[str, tuple[int, ...]]]] = {
    "Hessian of Rosenbrock": (rosenbrock, "hessian", {"1e4": (10**4,), "1e5": (10**5,), "1e6": (10**6,)}),
    "Hessian of Bratu": (bratu, "hessian", GRIDS),
    "Hessian of surface": (surface, "hessian", GRIDS),
    "Jacobian of Brusselator 1-D": (line, "jacobian", {"500": (2, 500), "1e5": (2, 10**5)}),
    "Jacobian of Brusselator 2-D": (torus, "jacobian", {"20": (2, 20, 20), "100": (2, 100, 100)}),
}
ALL = [Problem(name, tuple(shapes), partial(made, name, form, kind, shapes), quick=(next(iter(shapes)),))
       for name, (form, kind, shapes) in SHAPES.items()]
