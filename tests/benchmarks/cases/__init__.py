"""The cases, one file a function."""

from ..case import Case
from . import black_scholes, circuit, lennard_jones, logistic, logsumexp, rosenbrock

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        circuit.case(),
        *(rosenbrock.case(n) for n in (5, 100, 400)),
        black_scholes.case(),
        logistic.case(n=10_000, d=20),
        lennard_jones.case(n=64),
        logsumexp.case(n=1000, k=32),
    )
}
