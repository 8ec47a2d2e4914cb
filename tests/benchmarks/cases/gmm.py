"""The log-likelihood of a Gaussian mixture, ADBench's first problem: a sum over points of log-sum-exps of components.

A component has a weight, a mean, and the inverse Cholesky factor of its covariance: the logarithms of the diagonal,
then the strictly lower triangle column by column. A Wishart prior on the factors is added.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ..c_code import FLAGS, library, pointer
from ..case import Call, Calls, Case, Problem
from ..data import adbench

SIZES = ("1k d2 K5", "1k d2 K200", "1k d10 K25", "1k d20 K50", "1k d32 K50", "1k d64 K25", "10k d10 K50")

# A formula with sums. The element [r, c] of the factor stands at d + c*(2*d - c - 1)/2 + r - c - 1.
FORMULA = """
prior = sum(gamma**2 / 2 * (sum(exp(icf[j,r])**2 for r in range(d)) + sum(icf[j,r]**2 for r in range(d, h)))
            - m * sum(icf[j,r] for r in range(d)) for j in range(k))
likelihood = sum(log(sum(exp(
    alpha[j] + sum(icf[j,r] for r in range(d))
    - sum((exp(icf[j,r]) * (x[i,r] - mu[j,r])
           + sum(icf[j, d + c*(2*d - c - 1)//2 + r - c - 1] * (x[i,c] - mu[j,c]) for c in range(r)))**2
          for r in range(d)) / 2) for j in range(k))) for i in range(n))
likelihood - n * log(sum(exp(alpha[j]) for j in range(k))) - n * d / 2 * log(2*pi) + prior
"""


def written(alpha, mu, icf, x, gamma, m, rows, columns):
    """The same in NumPy; rows and columns say where the strictly lower triangle's elements go."""
    n, d = x.shape
    diagonal = np.exp(icf[:, :d])
    log_determinant = np.sum(icf[:, :d], axis=1)
    lower = np.zeros((alpha.shape[0], d, d))
    lower[:, rows, columns] = icf[:, d:]
    centred = x[:, None, :] - mu
    scaled = diagonal * centred + np.einsum("krc,nkc->nkr", lower, centred)
    exponent = alpha + log_determinant - 0.5 * np.sum(scaled**2, axis=2)
    squares = np.sum(diagonal**2, axis=1) + np.sum(icf[:, d:] ** 2, axis=1)
    prior = np.sum(0.5 * gamma**2 * squares - m * log_determinant)
    likelihood = np.sum(np.log(np.sum(np.exp(exponent), axis=1))) - n * np.log(np.sum(np.exp(alpha)))
    return likelihood - 0.5 * n * d * np.log(2 * np.pi) + prior


# -- peers ----------------------------------------------------------------------------------------


def points_term(np: Any, lower: Any, alpha: Any, mu: Any, icf: Any, x: Any) -> Any:
    """The part of the likelihood that the points have. `lower` fills the triangle: (k, t) -> (k, d, d)."""
    d = x.shape[1]
    triangle = lower(icf[:, d:])
    centred = x[:, None, :] - mu[None]
    scaled = np.exp(icf[:, :d]) * centred + np.einsum("krc,nkc->nkr", triangle, centred)
    exponent = alpha + np.sum(icf[:, :d], axis=1) - 0.5 * np.sum(scaled**2, axis=2)
    return np.sum(np.logsumexp(exponent, axis=1))


def points_term_by_matrices(np: Any, lower: Any, alpha: Any, mu: Any, icf: Any, x: Any) -> Any:
    """The same as one matrix product for each component."""
    d = x.shape[1]
    factor = lower(icf[:, d:]) + np.exp(icf[:, :d])[:, :, None] * np.asarray(np.eye(d))
    scaled = np.matmul(factor, np.swapaxes(x[None] - mu[:, None, :], 1, 2))
    exponent = (alpha + np.sum(icf[:, :d], axis=1))[:, None] - 0.5 * np.sum(scaled**2, axis=1)
    return np.sum(np.logsumexp(exponent, axis=0))


def rest(np: Any, alpha: Any, icf: Any, n: int, d: int, gamma: float, m: int) -> Any:
    """What the points do not have."""
    logs = np.sum(icf[:, :d])
    prior = 0.5 * gamma**2 * (np.sum(np.exp(icf[:, :d]) ** 2) + np.sum(icf[:, d:] ** 2)) - m * logs
    return prior - n * np.logsumexp(alpha, axis=0) - 0.5 * n * d * float(_LOG_2_PI)


_LOG_2_PI = np.log(2 * np.pi)


def triangle(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the elements of the strictly lower triangle, column by column."""
    columns, rows = np.triu_indices(d, 1)
    return rows, columns


def in_jax(case: Case, points: Any, block: int | None) -> Calls:
    """All points at once, or blocks of them in a scan, each with its value and gradient."""
    import jax
    from jax import numpy as jnp

    from ..tools import names_of_jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    np_ = names_of_jax()
    alpha, mu, icf, x, gamma, m = case.inputs
    n, d = x.shape
    rows, columns = triangle(d)

    def lower(elements: Any) -> Any:
        return jnp.zeros((elements.shape[0], d, d)).at[:, rows, columns].set(elements)

    def whole(alpha: Any, mu: Any, icf: Any, x: Any) -> Any:
        return points(np_, lower, alpha, mu, icf, x) + rest(np_, alpha, icf, n, d, gamma, m)

    def blocked(alpha: Any, mu: Any, icf: Any, x: Any) -> Any:
        both = jax.value_and_grad(lambda *wrt: points(np_, lower, *wrt), (0, 1, 2))

        def step(carry: Any, part: Any) -> Any:
            return jax.tree.map(jnp.add, carry, both(alpha, mu, icf, part)), None

        start = jax.value_and_grad(lambda a, i: rest(np_, a, i, n, d, gamma, m), (0, 1))(alpha, icf)
        carry = (start[0], (start[1][0], jnp.zeros_like(mu), start[1][1]))
        return jax.lax.scan(step, carry, x.reshape(-1, block, d))[0]

    both = jax.jit(jax.value_and_grad(whole, (0, 1, 2)) if block is None else blocked)
    value = jax.jit(whole)
    given = tuple(map(jnp.asarray, (alpha, mu, icf, x)))
    return Calls(
        Call(lambda *args: value(*args).block_until_ready(), given),
        Call(lambda *args: jax.block_until_ready(both(*args)), given),
    )


def in_torch(case: Case, points: Any) -> Calls:
    """Eager."""
    import torch

    from ..tools import gradient_in_torch, names_of_torch

    np_ = names_of_torch()
    alpha, mu, icf, x, gamma, m = case.inputs
    n, d = x.shape
    rows, columns = (torch.tensor(index) for index in triangle(d))
    points_, filled = torch.tensor(x), torch.zeros((len(alpha), d, d), dtype=torch.float64)

    def lower(elements: Any) -> Any:
        return filled.index_put((torch.arange(len(alpha))[:, None], rows, columns), elements)

    def value(alpha: Any, mu: Any, icf: Any) -> Any:
        return points(np_, lower, alpha, mu, icf, points_) + rest(np_, alpha, icf, n, d, gamma, m)

    return gradient_in_torch(value, (alpha, mu, icf))


def in_autograd(case: Case, points: Any) -> Calls:
    """With a matrix that selects: autograd has no assignment to elements."""
    import autograd

    from ..tools import names_of_autograd

    np_ = names_of_autograd()
    alpha, mu, icf, x, gamma, m = case.inputs
    n, d = x.shape
    where = np.full((d, d), icf.shape[1] - d)
    where[triangle(d)] = np.arange(icf.shape[1] - d)

    def lower(elements: Any) -> Any:
        return np_.concatenate([elements, np.zeros((len(alpha), 1))], axis=1)[:, where]

    def value(wrt: Any) -> Any:
        alpha, mu, icf = wrt
        return points(np_, lower, alpha, mu, icf, x) + rest(np_, alpha, icf, n, d, gamma, m)

    given = ((alpha, mu, icf),)
    return Calls(Call(value, given), Call(autograd.value_and_grad(value), given))


def in_casadi(case: Case) -> Calls:
    """The gradient of one point's term, in scalars, mapped over the points and summed."""
    import casadi

    alpha, mu, icf, x, gamma, m = case.inputs
    (n, d), k, h = x.shape, len(alpha), icf.shape[1]
    a, u, q, p = (casadi.SX.sym(*sizes) for sizes in (("a", k), ("u", d, k), ("q", h, k), ("p", d)))
    exponents = []
    for j in range(k):
        centred = p - u[:, j]
        scaled = [casadi.exp(q[r, j]) * centred[r] for r in range(d)]
        for at, (r, c) in enumerate(zip(*triangle(d), strict=True), start=d):
            scaled[r] += q[at, j] * centred[c]
        exponents.append(a[j] + casadi.sum1(q[:d, j]) - casadi.sumsqr(casadi.vertcat(*scaled)) / 2)
    term = casadi.logsumexp(casadi.vertcat(*exponents))
    one = casadi.Function("one", [a, u, q, p], [term, *(casadi.gradient(term, by) for by in (a, u, q))])
    whole = one.map("whole", "serial", n, [0, 1, 2], [0, 1, 2, 3])
    prior = rest(casadi_names(casadi), a, q.T, n, d, gamma, m)
    second = casadi.Function("rest", [a, q], [prior, casadi.gradient(prior, a), casadi.gradient(prior, q)])
    given = [casadi.DM(part) for part in (alpha, mu.T, icf.T, x.T)]

    def both() -> Any:
        value, d_alpha, d_mu, d_icf = whole(*given)
        more, more_alpha, more_icf = second(given[0], given[2])
        return value + more, (d_alpha + more_alpha, d_mu, d_icf + more_icf)

    def parts(result: Any) -> Any:
        return float(result[0]), tuple(np.asarray(part).T for part in result[1])

    return Calls(None, Call(both, ()), parts=parts)


def casadi_names(casadi: Any) -> Any:
    """What `rest` calls."""
    from types import SimpleNamespace

    return SimpleNamespace(
        sum=lambda a: casadi.sum1(casadi.sum2(a)), exp=casadi.exp, logsumexp=lambda a, axis: casadi.logsumexp(a)
    )


def in_c(case: Case, *flags: str) -> Calls:
    """The C file beside this one."""
    alpha, mu, icf, x, gamma, m = case.inputs
    compiled = library(Path(__file__).with_name("gmm.c"), *flags)
    k, d, n = len(alpha), x.shape[1], len(x)
    gradients = tuple(map(np.empty_like, (alpha, mu, icf)))
    value = np.empty(1)
    sizes = (k, d, n)
    arrays = [pointer(array) for array in (alpha, mu, icf, x)]
    work = np.empty(d * d * k + 4 * k * d + 4 * k)
    import ctypes

    given = (*sizes, *arrays, ctypes.c_double(gamma), int(m), *(pointer(a) for a in (work, value)))
    return Calls(
        Call(compiled.gmm_value, given),
        Call(compiled.gmm_gradient, (*given, *(pointer(g) for g in gradients))),
        parts=lambda _: (value[0], gradients),
    )


# -- the problem ----------------------------------------------------------------------------------


def data(n: int, d: int, k: int) -> tuple[Any, ...]:
    """alpha, mu, icf, x, gamma, m: from ADBench, or drawn as there, from normal and uniform distributions."""
    path = adbench("gmm", "1k" if n == 1000 else "10k", f"gmm_d{d}_K{k}.txt")
    h = d * (d + 1) // 2
    if path is None:
        random = np.random.default_rng(0)
        return (
            random.standard_normal(k), random.random((k, d)), random.standard_normal((k, h)),
            random.standard_normal((n, d)), 1.0, 0,
        )  # fmt: skip
    numbers = np.array(path.read_text("utf-8").split(), dtype=float)
    assert tuple(numbers[:3]) == (d, k, n)
    alpha, mu, icf, x, wishart = np.split(numbers[3:], np.cumsum([k, k * d, k * h, n * d]))
    return alpha, mu.reshape(k, d), icf.reshape(k, h), x.reshape(n, d), float(wishart[0]), int(wishart[1])


def case(size: str) -> Case:
    """The case of a size like `1k d2 K5`."""
    from . import gmm_by_hand

    thousands, d, k = (int(word.strip("kdK")) for word in size.split())
    inputs = data(1000 * thousands, d, k)
    blocks = {f"blocks of {block}": block for block in (50, 250, 1000) if block < 1000 * thousands}
    terms = {"einsum": points_term, "matrix products": points_term_by_matrices}
    jax_forms = {"all points": None, **blocks}
    rows, columns = triangle(d)

    def in_gradc(case: Case, numpy: bool) -> Calls:
        import gradc

        extra = {"rows": "int t", "columns": "int t"} if numpy else {}
        given = (*case.inputs, rows.astype(np.int64), columns.astype(np.int64)) if numpy else case.inputs
        f = gradc.compile(written if numpy else FORMULA.strip(), {**case.args, **extra}, wrt=case.wrt)
        return Calls(Call(f, given), Call(f.value_and_grad, given))

    return Case(
        name=f"GMM {size}",
        args={"alpha": "k", "mu": "k d", "icf": "k h", "x": "n d", "gamma": "", "m": "int"},
        wrt=("alpha", "mu", "icf"),
        inputs=inputs,
        loops=gmm_by_hand.LOOPS,
        forms={
            "gradc": {
                "formula": lambda case: in_gradc(case, numpy=False),
                "NumPy": lambda case: in_gradc(case, numpy=True),
            },
            "by hand (C)": {name: lambda case, flags=flags: in_c(case, *flags) for name, flags in FLAGS.items()},
            "JAX": {
                f"{term}, {form}": lambda case, points=points, block=block: in_jax(case, points, block)
                for term, points in terms.items()
                for form, block in jax_forms.items()
            },
            "PyTorch": {
                term: lambda case, points=points: in_torch(case, points) for term, points in terms.items()
            },
            "CasADi": {"one point mapped": in_casadi},
            "autograd": {
                term: lambda case, points=points: in_autograd(case, points) for term, points in terms.items()
            },
        },
    )


PROBLEM = Problem("GMM", SIZES, case, quick=("1k d2 K5", "1k d10 K25"))
