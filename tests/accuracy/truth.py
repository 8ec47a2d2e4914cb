"""True values and derivatives in ball arithmetic (python-flint), to as many digits as it takes.

A function is written here on power series, independently of the rules of the table: its coefficients along
a line through a point are its derivatives. Where flint has no series, the derivatives are differences of
arb's values at hundreds of digits. The precision is raised until the balls are small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from flint import arb, arb_series, ctx

from gradc.ir.table import OPERATIONS

LENGTH = 4  # value and three derivatives: the condition number of a second derivative needs the third
GOOD_BITS = 100


class Quantity(NamedTuple):
    """A true number and its condition number: the sum over operands of |x_i dg/dx_i| / |g|."""

    value: arb
    condition: float


class Truth(NamedTuple):
    """Value, first derivatives by operand, second derivatives by pair of operands (i <= j)."""

    value: Quantity
    first: dict[int, Quantity]
    second: dict[tuple[int, int], Quantity]


def series(*coefficients: arb | float | int) -> arb_series:
    return arb_series(list(coefficients), prec=LENGTH)


ONE = series(1)


def exp(x: arb_series) -> arb_series:
    return x.exp()


def sinh(x: arb_series) -> arb_series:
    return (x.exp() - (-x).exp()) / 2


def cosh(x: arb_series) -> arb_series:
    return (x.exp() + (-x).exp()) / 2


def asinh(x: arb_series) -> arb_series:
    return (x + (ONE + x * x).sqrt()).log()


def acosh(x: arb_series) -> arb_series:
    return (x + (x - 1).sqrt() * (x + 1).sqrt()).log()


def atanh(x: arb_series) -> arb_series:
    return ((ONE + x) / (ONE - x)).log() / 2


def atan(x: arb_series) -> arb_series:
    return x.atan()


def power(x: arb_series, n: arb_series) -> arb_series:
    return (n * x.log()).exp()


def cbrt(x: arb_series) -> arb_series:
    return -((-x).log() / 3).exp() if x[0] < 0 else (x.log() / 3).exp()


def acos(x: arb_series) -> arb_series:
    return arb.pi() / 2 - x.asin()


def atan2(b: arb_series, a: arb_series) -> arb_series:
    """The angle at the point, and the angle turned from there (which is small, so atan has it)."""
    turned = (b * a[0] - a * b[0]) / (a * a[0] + b * b[0])
    return turned.atan() + arb.atan2(b[0], a[0])


def erfinv(x: arb_series) -> arb_series:
    """The series of erf about the value, reversed."""
    start = x[0].erfinv()
    forward = arb_series([start, 1], prec=LENGTH).erf()
    rise = arb_series([0, *forward.coeffs()[1:]], prec=LENGTH)
    return rise.reversion() + start


def polygamma(n: int, x: arb_series) -> arb_series:
    """The logarithm of gamma, derived n + 1 times: a longer series about the point."""
    about = arb_series([x[0], 1], prec=LENGTH + n + 1).lgamma()
    for _ in range(n + 1):
        about = about.derivative()
    return about


def sinc_derivative(k: int, x: arb_series) -> arb_series:
    """sin(x) / x about the point, derived k times; x = 0 by its integral's Taylor series."""
    length = LENGTH + k
    if x[0] == 0:
        about = arb_series(
            [arb(0) if j % 2 else (-1) ** (j // 2) / arb(j + 1).gamma() / (j + 1) for j in range(length)],
            prec=length,
        )
    else:
        point = arb_series([x[0], 1], prec=length)
        about = point.sin() / point
    for _ in range(k):
        about = about.derivative()
    return about


def sinc(x: arb_series) -> arb_series:
    scaled = sinc_derivative(0, x * arb.pi())
    factors = [arb.pi() ** k for k in range(LENGTH)]
    return arb_series([scaled[k] * factors[k] for k in range(LENGTH)], prec=LENGTH)


def nearest(x: arb_series) -> arb_series:
    """Half to even."""
    low = x[0].floor()
    rest = x[0] - low
    up = rest > 0.5 or (rest == 0.5 and (low / 2).floor() * 2 != low)
    return series(low + 1 if up else low)


def pick(args: Sequence[arb_series], largest: bool) -> arb_series:
    """The greatest or the least, whole."""
    best = args[0]
    for other in args[1:]:
        best = other if (other[0] > best[0] if largest else other[0] < best[0]) else best
    return best


SERIES: dict[str, Callable[..., arb_series]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda x: -x,
    "pow": power,
    "pow_less": lambda x, n, k: power(x, n - k),
    "sqrt": lambda x: x.sqrt(),
    "root_of_squares": lambda x: x.sqrt(),
    "cbrt": cbrt,
    "hypot": lambda a, b: (a * a + b * b).sqrt(),
    "unit": lambda a, b: a / (a * a + b * b).sqrt(),
    "exp": exp,
    "exp2": lambda x: (x * arb.const_log2()).exp(),
    "expm1": lambda x: x.exp() - 1,
    "log": lambda x: x.log(),
    "log2": lambda x: x.log() / arb.const_log2(),
    "log10": lambda x: x.log() / arb.const_log10(),
    "log1p": lambda x: (ONE + x).log(),
    "logaddexp": lambda a, b: (a.exp() + b.exp()).log(),
    "xlogx": lambda x: x * x.log(),
    "xlogy": lambda x, y: x * y.log(),
    "gaussian": lambda x: (-(x * x)).exp(),
    "sigmoid": lambda x: ONE / (ONE + (-x).exp()),
    "sigmoid_slope": lambda x: (-x).exp() / ((ONE + (-x).exp()) * (ONE + (-x).exp())),
    "softplus": lambda x: (ONE + x.exp()).log(),
    "log_cosh": lambda x: cosh(x).log(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "tan": lambda x: x.sin() / x.cos(),
    "cot": lambda x: x.cos() / x.sin(),
    "sec": lambda x: ONE / x.cos(),
    "csc": lambda x: ONE / x.sin(),
    "asin": lambda x: x.asin(),
    "asin_slope": lambda x: ONE / (ONE - x * x).sqrt(),
    "acos": acos,
    "atan": atan,
    "acot": lambda x: (ONE / x).atan(),
    "asec": lambda x: acos(ONE / x),
    "acsc": lambda x: (ONE / x).asin(),
    "atan2": atan2,
    "sinc": sinc,
    "sinc_derivative": sinc_derivative,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": lambda x: sinh(x) / cosh(x),
    "tanh_slope": lambda x: ONE / (cosh(x) * cosh(x)),
    "coth": lambda x: cosh(x) / sinh(x),
    "sech": lambda x: ONE / cosh(x),
    "csch": lambda x: ONE / sinh(x),
    "asinh": asinh,
    "asinh_slope": lambda x: ONE / (ONE + x * x).sqrt(),
    "acosh": acosh,
    "acosh_slope": lambda x: ONE / (x * x - 1).sqrt(),
    "atanh": atanh,
    "atanh_slope": lambda x: ONE / (ONE - x * x),
    "acoth": lambda x: atanh(ONE / x),
    "asech": lambda x: acosh(ONE / x),
    "acsch": lambda x: asinh(ONE / x),
    "erf": lambda x: x.erf(),
    "erfc": lambda x: x.erfc(),
    "erfinv": erfinv,
    "gamma": lambda x: x.gamma(),
    "loggamma": lambda x: x.lgamma(),
    "digamma": lambda x: polygamma(0, x),
    "polygamma": polygamma,
    "beta": lambda a, b: a.gamma() * b.gamma() * (a + b).rgamma(),
    # Piecewise: the piece at the point.
    "abs": lambda x: -x if x[0] < 0 else x,
    "sign": lambda x: series(x[0].sgn()),
    "floor": lambda x: series(x[0].floor()),
    "ceil": lambda x: series(x[0].ceil()),
    "trunc": lambda x: series(x[0].ceil() if x[0] < 0 else x[0].floor()),
    "truncated": lambda x: series(x[0].ceil() if x[0] < 0 else x[0].floor()),
    "round": nearest,
    "floordiv": lambda a, b: series((a[0] / b[0]).floor()),
    "mod": lambda a, b: a - b * (a[0] / b[0]).floor(),
    "max": lambda *args: pick(args, largest=True),
    "min": lambda *args: pick(args, largest=False),
    "relu": lambda x: pick((x, series(0)), largest=True),
    "clip": lambda x, low, high: pick((pick((x, low), largest=True), high), largest=False),
}

# Functions of one real operand of which arb has values only.
VALUES: dict[str, Callable[..., arb]] = {
    "j0": lambda x: x.bessel_j(0),
    "j1": lambda x: x.bessel_j(1),
    "jn": lambda n, x: x.bessel_j(n),
    "y0": lambda x: x.bessel_y(0),
    "y1": lambda x: x.bessel_y(1),
    "yn": lambda n, x: x.bessel_y(n),
    "i0": lambda x: x.bessel_i(0),
    "i1": lambda x: x.bessel_i(1),
    "besseli": lambda n, x: x.bessel_i(n),
    "expint": lambda n, x: x.expint(n),
}


def truth(op: str, operands: Sequence[float]) -> Truth:
    """Value, first and second derivatives of an operation by its real operands, at exact floats."""
    integers = OPERATIONS[op].integers
    if op in SERIES:
        return truth_of(SERIES[op], operands, integers)
    return truth_of(VALUES[op], operands, integers, along=differences, bits=800)


def truth_of(
    function: Callable[..., arb_series],
    operands: Sequence[float],
    integers: Sequence[int] = (),
    along: Along | None = None,
    bits: int = 200,
) -> Truth:
    """The same for any function of series (or, with `along=differences`, of numbers)."""
    real = [i for i in range(len(operands)) if i not in integers]
    numbers = [int(v) if i in integers else arb(v) for i, v in enumerate(operands)]
    while bits < 40_000:
        with ctx.workprec(bits):
            found = _quantities(
                numbers, real, lambda direction: (along or coefficients)(function, numbers, direction)
            )
        if found is not None:
            return found
        bits *= 3
    raise ArithmeticError(f"no true value at {operands}: is the point inside the domain?")


def _quantities(
    x: Sequence[arb | int], real: Sequence[int], line: Callable[[dict[int, int]], list[arb]]
) -> Truth | None:
    """Mixed derivatives from directional ones (polarisation), and condition numbers."""
    along = {(i,): line({i: 1}) for i in real}
    for i, j in combinations(real, 2):
        along[i, j] = line({i: 1, j: 1})
        along[i, ~j] = line({i: 1, j: -1})
    value = along[real[0],][0]
    first = {i: along[i,][1] for i in real}
    second = {(i, i): along[i,][2] for i in real}
    third = {(i, i, i): along[i,][3] for i in real}
    for i, j in combinations(real, 2):
        plus, minus = along[i, j], along[i, ~j]
        second[i, j] = (plus[2] - minus[2]) / 4
        third[i, j, j] = (plus[3] + minus[3] - 2 * third[i, i, i]) / 6
        third[i, i, j] = (plus[3] - minus[3] - 2 * third[j, j, j]) / 6
    if not all(_small(number) for number in (value, *first.values(), *second.values())):
        return None
    seconds = {tuple(sorted(k)): v for k, v in second.items()}
    thirds = {tuple(sorted(k)): v for k, v in third.items()}

    def condition(number: arb, slopes: Sequence[tuple[int, arb | None]]) -> float:
        total = sum((abs(x[i] * s) for i, s in slopes if s is not None), arb(0))
        if number == 0:
            return 1.0 if total == 0 else float("inf")
        return float((total / abs(number)).mid())

    return Truth(
        Quantity(value, condition(value, list(first.items()))),
        {
            i: Quantity(g, condition(g, [(k, seconds[tuple(sorted((i, k)))]) for k in real]))
            for i, g in first.items()
        },
        {
            (i, j): Quantity(h, condition(h, [(k, thirds.get(tuple(sorted((i, j, k))))) for k in real]))
            for (i, j), h in second.items()
        },
    )


def _small(number: arb) -> bool:
    return bool(number.is_finite()) and (number.rad() == 0 or number.rel_accuracy_bits() >= GOOD_BITS)


def coefficients(
    function: Callable[..., arb_series], operands: Sequence[arb | int], direction: dict[int, int]
) -> list[arb]:
    """Value and three derivatives of a function of series along a line."""
    found = function(
        *[v if isinstance(v, int) else series(v, direction.get(i, 0)) for i, v in enumerate(operands)]
    )
    return [found[k] * arb(k + 1).gamma() for k in range(LENGTH)]


def differences(
    function: Callable[..., arb], operands: Sequence[arb | int], direction: dict[int, int]
) -> list[arb]:
    """The same for a function of numbers, from its values nearby; the step is far below the precision."""
    step = arb(2) ** (-(ctx.prec // 6))

    def at(shift: int) -> arb:
        return function(
            *[
                v if isinstance(v, int) else v + shift * direction.get(i, 0) * step
                for i, v in enumerate(operands)
            ]
        )

    before, left, here, right, after = (at(k) for k in (-2, -1, 0, 1, 2))
    return [
        here,
        (8 * (right - left) - (after - before)) / (12 * step),
        (16 * (right + left) - (after + before) - 30 * here) / (12 * step * step),
        (after - before - 2 * (right - left)) / (2 * step**3),
    ]


Along = Callable[[Callable[..., Any], Sequence["arb | int"], dict[int, int]], list[arb]]
