"""The problems, one file each."""

from ..case import Problem
from . import (
    ba,
    black_scholes,
    black_scholes_map,
    circuit,
    formula,
    gaussian_process,
    gmm,
    hand,
    heat,
    in_njit,
    kernel_density,
    lennard_jones,
    logistic,
    logsumexp,
    multinomial,
    n_body,
    neural,
    rosenbrock,
    sparse,
)

_MODULES = (
    gmm, ba, hand, logistic, multinomial, gaussian_process, kernel_density, neural, black_scholes_map, n_body, heat,
    rosenbrock, in_njit, formula, circuit, black_scholes, lennard_jones, logsumexp,
)  # fmt: skip
PROBLEMS: dict[str, Problem] = {
    problem.name: problem for problem in (*(module.PROBLEM for module in _MODULES), *sparse.ALL)
}
