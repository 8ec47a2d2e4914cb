"""The table of stable rewrites: the reason of each, where it holds, and formulas that it is for.

A rule is known by its name, which `stable` and the modules that it asks give with what they found. The reason becomes
the note beside the generated line; the examples are what tests hold every rule to, in many digits, on the whole domain.
How forms are found and rewritten is left to `stable`.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """A rewrite: why, where it holds, and examples (formula, an operation of the result, intervals)."""

    reason: str
    domain: str
    examples: tuple[tuple[str, str, dict[str, tuple[float, float]]], ...]

    @property
    def note(self) -> str:
        """The reason, with the domain unless that is all reals."""
        return self.reason if self.domain == "all reals" else f"{self.reason} (holds for {self.domain})"


ALL = {"x": (-30.0, 30.0)}
PAIR = {"x": (-30.0, 30.0), "y": (-30.0, 30.0)}
ABOVE = {"x": (1e-3, 30.0)}
INSIDE = {"x": (-0.999, 0.999)}

RULES: dict[str, Rule] = {
    "sigmoid": Rule("1/(1 + exp(-u)) without overflow", "all reals", (
        ("1/(1 + exp(-x))", "sigmoid", ALL), ("exp(x)/(1 + exp(x))", "sigmoid", ALL),
        ("1 - 1/(1 + exp(-x))", "sigmoid", ALL), ("0.5*(1 + tanh(x/2))", "sigmoid", ALL),
        ("tanh(x/2)/2 + 1/2", "sigmoid", ALL), ("y*tanh(x) + y", "sigmoid", PAIR),
        ("1/(1 + 2*exp(x))", "sigmoid", ALL), ("1/(1 + 10**(-x))", "sigmoid", ALL),
        ("2**x/(1 + 2**x)", "sigmoid", ALL), ("exp(x)/(exp(x) + exp(y))", "sigmoid", PAIR))),
    "tanh": Rule("a ratio of exponentials without overflow or cancellation", "all reals", (
        ("(exp(x) - exp(-x))/(exp(x) + exp(-x))", "tanh", ALL), ("2/(1 + exp(-2*x)) - 1", "tanh", ALL),
        ("sinh(x)/cosh(x)", "tanh", ALL), ("(exp(2*x) - 1)/(exp(2*x) + 1)", "tanh", ALL))),
    "sigmoid_slope": Rule("s (1 - s) as exp(-|u|)/(1 + exp(-|u|))**2, which does not cancel", "all reals", (
        ("(1/(1 + exp(-x)))*(1 - 1/(1 + exp(-x)))", "sigmoid_slope", ALL),
        ("exp(-x)/(1 + exp(-x))**2", "sigmoid_slope", ALL))),
    "tanh_slope": Rule("1 - tanh(u)**2 without cancellation", "all reals", (
        ("1 - tanh(x)**2", "tanh_slope", ALL), ("1/cosh(x)**2", "tanh_slope", ALL))),
    "sech": Rule("1/cosh(u) without overflow", "all reals", (
        ("2/(exp(x) + exp(-x))", "sech", ALL), ("1/cosh(x)", "sech", ALL))),
    "csch": Rule("1/sinh(u), whose derivative does not cancel", "u != 0", (
        ("1/sinh(x)", "csch", ABOVE), ("2/(exp(x) - exp(-x))", "csch", ABOVE))),
    "coth": Rule("cosh(u)/sinh(u) without overflow", "u != 0", (("cosh(x)/sinh(x)", "coth", ABOVE),)),
    "sinh": Rule("a difference of exponentials without cancellation near 0", "all reals", (
        ("(exp(x) - exp(-x))/2", "sinh", ALL), ("cosh(x) - 1", "sinh", ALL))),
    "cosh": Rule("exp(u) + exp(-u), whose derivative does not cancel near 0", "all reals", (
        ("(exp(x) + exp(-x))/2", "cosh", ALL),)),
    "exp": Rule("cosh(u) - sinh(u) and expm1(u) + 1 without cancellation", "all reals", (
        ("cosh(x) - sinh(x)", "exp", ALL), ("expm1(x) + 1", "exp", ALL))),
    "expm1": Rule("exp(u) - 1 without cancellation near 0", "all reals", (
        ("exp(x) - 1", "expm1", ALL), ("1 - exp(x)", "expm1", ALL), ("y*exp(x) - y", "expm1", PAIR),
        ("exp(2*x) - exp(x)", "expm1", ALL))),
    "softmax": Rule("the logarithm of the sum is subtracted first: no exponential overflows", "all reals", (
        ("exp(x)/(exp(x) + exp(y) + exp(2*x))", "logaddexp", PAIR),
        ("exp(x)/(1 + exp(y))", "softplus", PAIR))),
    "softplus": Rule("log(1 + exp(u)) without overflow", "all reals", (
        ("log(1 + exp(x))", "softplus", ALL), ("log1p(exp(x))", "softplus", ALL),
        ("log(sigmoid(x))", "softplus", ALL), ("-log(1/(1 + exp(x)))", "softplus", ALL),
        ("max(x, 0) + log1p(exp(-abs(x)))", "softplus", ALL), ("log(1 + exp(-x)) + x", "softplus", ALL),
        ("logaddexp(0, x)", "softplus", ALL), ("log10(1 + 10**x)", "softplus", ALL))),
    "log_cosh": Rule("log(cosh(u)) without overflow, and without cancellation near 0", "all reals", (
        ("log(cosh(x))", "log_cosh", ALL), ("log((exp(x) + exp(-x))/2)", "log_cosh", ALL),
        ("log(exp(x) + exp(-x)) - log(2)", "log_cosh", ALL),
        ("abs(x) + log1p(exp(-2*abs(x))) - log(2)", "log_cosh", ALL),
        ("x + log1p(exp(-2*x)) - log(2)", "log_cosh", ALL))),
    "cross_entropy": Rule("softplus(u) - t u in two terms that do not cancel at t = 0 or 1", "all reals", (
        ("max(x, 0) - x*y + log1p(exp(-abs(x)))", "softplus", PAIR),)),
    "exp_log": Rule("exp(log(v)/2) is the root of v", "v > 0", (
        ("exp(0.5*log(1 + x**2))", "hypot", ALL), ("exp(-log(2 + x**2))", "div", ALL))),
    "log_exp": Rule("log(exp(u)) is u, without overflow or underflow", "all reals", (
        ("log(exp(x))", "input", ALL), ("log(exp(-x**2/2)/sqrt(2*pi))", "sub", ALL),
        ("log(y*exp(x))", "add", {"x": (-30.0, 30.0), "y": (0.1, 9.0)}))),
    "bose": Rule("1/(exp(u) - 1) on two branches, where no exponential overflows", "u != 0", (
        ("1/(exp(x) - 1)", "select", ABOVE),)),
    "log_mean": Rule("log((1 + exp(u))/2) is 0 at 0: near it u/2 + log_cosh(u/2)", "all reals", (
        ("log((1 + exp(x))/2)", "log_cosh", ALL), ("log(1 + exp(x)) - log(2)", "log_cosh", ALL))),
    "logaddexp": Rule("the logarithm of a sum of exponentials without overflow", "all reals", (
        ("log(exp(x) + exp(y))", "logaddexp", PAIR), ("log(2 + exp(x))", "logaddexp", ALL),
        ("log(exp(x) + exp(y) + exp(x*y))", "logaddexp", {"x": (-3.0, 3.0), "y": (-3.0, 3.0)}))),
    "exp_product": Rule("products of exponentials as one: infinity does not meet 0", "all reals", (
        ("exp(-exp(x))*exp(x)", "exp", {"x": (-30.0, 6.0)}), ("exp(x)/exp(y)", "exp", PAIR),
        ("y*exp(-x**2/2)*exp(x)", "exp", PAIR))),
    "root_of_exponentials": Rule("a power of a sum of exponentials through its logarithm: no overflow", "all reals", (
        ("sqrt(1/(1 + exp(-x)))", "exp", ALL), ("(1 + exp(-3*x))**-0.25", "exp", ALL),
        ("sqrt(1 + exp(2*x))", "exp", ALL), ("sqrt(cosh(x))", "exp", ALL))),
    "shift": Rule("the largest exponent is taken out: no exponential overflows", "all reals", (
        ("1/(1 + y*exp(x))", "detach", {"x": (-30.0, 30.0), "y": (0.1, 9.0)}),
        ("log(y*exp(x) + 2)", "detach", {"x": (-30.0, 30.0), "y": (0.1, 9.0)}),
        ("log(1 + y*exp(x))", "log1p", {"x": (-30.0, 30.0), "y": (0.1, 9.0)}),
        ("x*((1 + exp(x))**2 - 1)/((1 + exp(x))**2 + 1)", "detach", ALL))),
    "logsumexp": Rule("the maximum is taken out first, so no exponential overflows", "all reals", ()),
    "log1mexp": Rule("log(1 - exp(u)) through expm1 near 0 and log1p far from it", "u < 0", (
        ("log(1 - exp(-x))", "expm1", ABOVE), ("log(exp(x) - 1)", "expm1", ABOVE),
        ("log(sinh(x))", "expm1", ABOVE))),
    "erfc": Rule("1 - erf(u) without cancellation", "all reals", (
        ("1 + erf(x)", "erfc", ALL), ("0.5 - 0.5*erf(x)", "erfc", ALL),
        ("x/2 + x*erf(x/sqrt(2))/2", "erfc", ALL))),
    "erf": Rule("1 - erfc(u) without cancellation", "all reals", (("1 - erfc(x)", "erf", ALL),)),
    "half_angle": Rule("1 - cos(u) = 2 sin(u/2)**2, which does not cancel", "all reals", (
        ("1 - cos(x)", "sin", ALL), ("y + y*cos(2*x)", "cos", PAIR))),
    "pythagoras": Rule("1 - cos(u)**2 = sin(u)**2, which does not cancel", "all reals", (
        ("1 - cos(x)**2", "sin", ALL), ("1 - sin(x)**2", "cos", ALL))),
    "root_difference": Rule("a difference of roots as a quotient, which does not cancel", "real roots", (
        ("sqrt(x + 1) - sqrt(x)", "div", ABOVE), ("sqrt(1 + x) - 1", "div", ABOVE),
        ("1 - sqrt(1 - x**2)", "div", INSIDE))),
    "hypot_difference": Rule("a hypotenuse less a side as a quotient where it would cancel", "all reals", (
        ("sqrt(1 + x**2) - 1", "select", ALL), ("sqrt(1 + x**2) - x", "select", ALL),
        ("x + sqrt(x**2 + 4)", "select", ALL), ("sqrt(x**2*y**2 + y**4) - y**2", "select", PAIR))),
    "log_quotient": Rule("a difference of logarithms through log1p: no cancellation", "positive arguments", (
        ("log(x + 1) - log(x)", "log1p", ABOVE), ("log((x + 1)/x)", "log1p", ABOVE),
        ("log(x/(x + 1))", "log1p", ABOVE))),
    "power_less_one": Rule("(1 + u)**n - 1 without cancellation near 0", "u > -1", (
        ("(1 + x)**2.5 - 1", "expm1", ABOVE), ("1/sqrt(1 - x**2) - 1", "expm1", INSIDE),
        ("(1 + x)**3 - 1", "mul", INSIDE),
        ("(1 - x)**y - 1", "expm1", {"x": (-3.0, 0.9), "y": (0.1, 9.0)}))),
    "log_cos": Rule("log(cos(u)) through sin(u)**2 near 0", "cos(u) > 0", (
        ("log(cos(x))", "log1p", {"x": (-1.5, 1.5)}),)),
    "logit": Rule("softplus(u) - softplus(-u) is u", "all reals", (
        ("softplus(x) - softplus(-x)", "input", ALL),)),
    "fractions": Rule("fractions over one denominator: the numerators cancel", "denominators other than 0", (
        ("1/x - 1/(x + 1)", "mul", ABOVE), ("1/(x + 1) - x/(x + 1)**2", "pow", ABOVE),
        ("1 - x/(1 + x)", "div", ABOVE))),
    "hypot": Rule("the root of two squares without overflow", "all reals", (
        ("sqrt(1 + x**2)", "hypot", ALL), ("(x*x + 2)**0.5", "hypot", ALL),
        ("sqrt(x**2 + 3*y**2)", "hypot", PAIR))),
    "unit": Rule("u/hypot(u, v) as one function, whose derivatives do not cancel", "all reals", (
        ("x/sqrt(1 + x**2)", "unit", ALL), ("x*(1 + x**2)**-0.5", "unit", ALL))),
    "norm": Rule("the root of a sum of squares: its derivative at 0 is 0", "all reals", (
        ("sqrt(x**2 + y**2 + (x + y)**2)", "root_of_squares", PAIR),)),
    "root_of_square": Rule("the root of a square is the absolute value", "all reals", (
        ("sqrt(x**2)", "abs", ALL),)),
    "half_power": Rule("a power of one half is a square root", "u >= 0", (
        ("x**0.5", "sqrt", ABOVE), ("x**-0.5", "sqrt", ABOVE))),
    "half_powers": Rule("u sqrt(u) as one power: its derivative at 0 is 0, not 0 * inf", "u >= 0", (
        ("x*sqrt(x)", "pow", ABOVE), ("sqrt(x)**3", "pow", ABOVE),
        ("y*x**2*sqrt(x)", "pow", {"x": (1e-3, 9.0), "y": (-9.0, 9.0)}))),
    "log1p": Rule("log(1 + u) keeps the digits of a small u", "u > -1", (
        ("log(1 + x)", "log1p", INSIDE), ("log(1 - x)", "log1p", INSIDE), ("log2(1 + x)", "log1p", INSIDE),
        ("log(sqrt(1 + x))", "log1p", INSIDE))),
    "log_hypot": Rule("log(hypot(1, u)) = log1p(u**2)/2 keeps the digits of a small u", "|u| < 1e154", (
        ("log(sqrt(1 + x**2))", "log1p", ALL),)),
    "asinh": Rule("log(u + sqrt(u**2 + 1)) without cancellation", "all reals", (
        ("log(x + sqrt(1 + x**2))", "asinh", ALL), ("log(sqrt(x**2 + 4) - x)", "asinh", ALL))),
    "acosh": Rule("log(u + sqrt(u**2 - 1)) as acosh(u)", "u >= 1", (
        ("log(x + sqrt(x**2 - 1))", "acosh", {"x": (1.0, 30.0)}),)),
    "atanh": Rule("log((1 + u)/(1 - u)) = 2 atanh(u), which keeps the digits of a small u", "|u| < 1", (
        ("0.5*log((1 + x)/(1 - x))", "atanh", INSIDE), ("0.5*(log(1 + x) - log(1 - x))", "atanh", INSIDE))),
    "xlogx": Rule("x log(x) is 0 at 0", "x >= 0", (
        ("x*log(x)", "xlogx", ABOVE), ("x*log(x/y)", "xlogy", {"x": (0.1, 9.0), "y": (0.1, 9.0)}),
        ("(1 - x)*log(1 - x)", "xlogx", INSIDE), ("x*(log(x) - log(y))", "xlogx", {"x": (0.1, 9.0), "y": (0.1, 9.0)}),
        ("x*log(abs(x))", "xlogy", ABOVE), ("x*log(3*x**2)", "xlogy", ABOVE))),
    "sinc": Rule("sin(u)/u has a value at 0, and derivatives that do not cancel near it", "all reals", (
        ("sin(x)/x", "sinc_derivative", ABOVE), ("sin(pi*x)/(pi*x)", "sinc", ABOVE),
        ("(1 - cos(x))/x**2", "sinc_derivative", ABOVE), ("tan(x)/x", "sinc_derivative", INSIDE),
        ("x/sin(x)", "sinc_derivative", INSIDE),
        ("y*x/tan(2*x)", "sinc_derivative", {"x": (0.1, 0.7), "y": (-9.0, 9.0)}))),
    "removable": Rule("f(u)/u by a series near 0: the quotient rule cancels", "all u in the domain of f", (
        ("(exp(x) - 1)/x", "select", ABOVE), ("x/(exp(x) - 1)", "select", ABOVE),
        ("x*exp(x)/(exp(x) - 1)", "select", ABOVE), ("x**2*exp(x)/(exp(x) - 1)**2", "select", ABOVE),
        ("log(1 + x)/x", "select", ABOVE), ("x*coth(x)", "select", ABOVE),
        ("sinh(x)/x", "select", ABOVE), ("tanh(x)/x", "select", ABOVE), ("x/tanh(x)", "select", ABOVE))),
    "even": Rule("an even function does not need the absolute value", "all reals", (
        ("cosh(abs(x))", "cosh", ALL), ("cos(abs(x))", "cos", ALL))),
    "same_branches": Rule("branches that are equal, or chosen by the same condition twice", "all reals", (
        ("sin(x) if x > 0 else sin(x)", "sin", ALL), ("x if x > 0 else (y if x > 0 else 2*x)", "mul", PAIR),
        ("(x if x > 0 else y) if x > 0 else 2*x", "mul", PAIR))),
}
