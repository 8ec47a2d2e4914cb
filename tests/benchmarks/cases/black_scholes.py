"""The Black-Scholes price of a call and all five of its first-order Greeks, one option a call."""

import math
from typing import Any

from ..case import Case, Loops, Problem, loop

FORMULA = """
d1 = (log(S / K) + (r + sigma**2 / 2) * T) / (sigma * sqrt(T))
d2 = d1 - sigma * sqrt(T)
N1 = (1 + erf(d1 / sqrt(2))) / 2
N2 = (1 + erf(d2 / sqrt(2))) / 2
S * N1 - K * exp(-r * T) * N2
"""


@loop
def forward(S: float, K: float, T: float, r: float, sigma: float) -> float:
    """The price."""
    spread = sigma * math.sqrt(T)
    d1 = (math.log(S / K) + (r + 0.5 * sigma * sigma) * T) / spread
    d2 = d1 - spread
    n1 = 0.5 * (1.0 + math.erf(d1 * math.sqrt(0.5)))
    n2 = 0.5 * (1.0 + math.erf(d2 * math.sqrt(0.5)))
    return S * n1 - K * math.exp(-r * T) * n2


@loop
def value_and_grad(S: float, K: float, T: float, r: float, sigma: float) -> tuple[float, tuple[float, ...]]:
    """The price and the Greeks in closed form, as textbooks give them, by S n(d1) = K e^-rT n(d2)."""
    root = math.sqrt(T)
    spread = sigma * root
    d1 = (math.log(S / K) + (r + 0.5 * sigma * sigma) * T) / spread
    d2 = d1 - spread
    n1 = 0.5 * (1.0 + math.erf(d1 * math.sqrt(0.5)))
    n2 = 0.5 * (1.0 + math.erf(d2 * math.sqrt(0.5)))
    discount = math.exp(-r * T)
    present = K * discount
    vega = S * root * math.exp(-0.5 * d1 * d1) * (1.0 / math.sqrt(2.0 * math.pi))
    price = S * n1 - present * n2
    return price, (n1, -discount * n2, 0.5 * vega * sigma / T + r * present * n2, T * present * n2, vega)


def form(m: Any, S: Any, K: Any, T: Any, r: Any, sigma: Any) -> Any:
    """For every peer."""
    d1 = (m.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * m.sqrt(T))
    d2 = d1 - sigma * m.sqrt(T)
    n1 = (1 + m.erf(d1 / 2**0.5)) / 2
    n2 = (1 + m.erf(d2 / 2**0.5)) / 2
    return S * n1 - K * m.exp(-r * T) * n2


def case(size: str = "") -> Case:
    """A call a little out of the money."""
    names = ("S", "K", "T", "r", "sigma")
    return Case(
        name="Black-Scholes",
        written=FORMULA.strip(),
        args=dict.fromkeys(names, ""),
        wrt=names,
        inputs=(100.0, 105.0, 0.75, 0.03, 0.2),
        loops=Loops(forward, value_and_grad),
        array_form=form,
        scalar_form=form,
    )


PROBLEM = Problem("Black-Scholes", ("",), case)
