"""The problems, one file each."""

from ..case import Problem
from . import ba, black_scholes, circuit, gmm, hand, lennard_jones, logistic, logsumexp, rosenbrock

PROBLEMS: dict[str, Problem] = {
    module.PROBLEM.name: module.PROBLEM
    for module in (gmm, ba, hand, circuit, rosenbrock, logistic, lennard_jones, logsumexp, black_scholes)
}
