"""The problems, one file each."""

from ..case import Problem
from . import ba, black_scholes, circuit, gmm, lennard_jones, logistic, logsumexp, rosenbrock

PROBLEMS: dict[str, Problem] = {
    module.PROBLEM.name: module.PROBLEM
    for module in (gmm, ba, circuit, rosenbrock, logistic, lennard_jones, logsumexp, black_scholes)
}
