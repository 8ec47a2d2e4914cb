"""Black-Scholes: the price of a call option and its Greeks from one formula, against the closed forms.

Delta, vega, theta and rho are the gradient of the price. Gamma, vanna and charm are the gradient of delta:
the gradient is a Function like any other, so it has `forward` and `backward` too.
"""

import numpy as np
from scipy.stats import norm

import gradc

price = gradc.compile("""
d1 = (log(S / K) + (r + sigma**2 / 2) * T) / (sigma * sqrt(T))
d2 = d1 - sigma * sqrt(T)
S * erfc(-d1 / sqrt(2)) / 2 - K * exp(-r * T) * erfc(-d2 / sqrt(2)) / 2
""")
option = {"S": 100.0, "K": 110.0, "r": 0.03, "sigma": 0.2, "T": 1.5}

value, first = price.value_and_grad(**option)
_, saved = price.grad.forward(**option)
delta_by = price.grad.backward(saved, (1, 0, 0, 0, 0))  # only delta, d price / d S, is differentiated

greeks = {
    "price": value,
    "delta": first.S,
    "vega": first.sigma,
    "theta": -first.T,  # T is the time that is left
    "rho": first.r,
    "gamma": delta_by.S,
    "vanna": delta_by.sigma,
    "charm": -delta_by.T,
}

S, K, r, sigma, T = option.values()
d1 = (np.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * np.sqrt(T))
d2 = d1 - sigma * np.sqrt(T)
discounted = K * np.exp(-r * T)
closed = {
    "price": S * norm.cdf(d1) - discounted * norm.cdf(d2),
    "delta": norm.cdf(d1),
    "vega": S * norm.pdf(d1) * np.sqrt(T),
    "theta": -S * norm.pdf(d1) * sigma / (2 * np.sqrt(T)) - r * discounted * norm.cdf(d2),
    "rho": T * discounted * norm.cdf(d2),
    "gamma": norm.pdf(d1) / (S * sigma * np.sqrt(T)),
    "vanna": -norm.pdf(d1) * d2 / sigma,
    "charm": -norm.pdf(d1) * (2 * r * T - d2 * sigma * np.sqrt(T)) / (2 * T * sigma * np.sqrt(T)),
}

print(f"{'':8}{'gradc':>20}{'closed form':>20}")
for name, greek in greeks.items():
    print(f"{name:8}{greek:20.15f}{closed[name]:20.15f}")
    assert np.isclose(greek, closed[name], rtol=1e-12, atol=0), name

# With one `wrt` the gradient is a number, and has a gradient itself.
delta = gradc.compile(price.graph.source, args=price.args, wrt="S").grad
assert np.isclose(delta.grad(**option), closed["gamma"], rtol=1e-12)
