"""The slope of a function of one real variable from its values, and what kind of point it is.

Central and one-sided differences at steps halved again and again are extrapolated to the step 0 (Richardson's
method in Ridders' form, which also says how far off the result may be). Where the larger steps do not converge,
smaller ones are tried. The two one-sided slopes tell a kink, a jump and the edge of the domain from a smooth
point. What the function is, and which slope is expected, is left to `check`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEVELS = 5                      # halvings of one start
SHRINK = 5                      # a next start is smaller by this power of two


@dataclass(frozen=True)
class Precision:
    """How well the values of the function are known.

    unit      relative rounding error of a value
    start     the first step, relative to the argument
    smallest  no start is below this, relative to the argument
    """

    unit: float
    start: float
    smallest: float


DOUBLE, SINGLE = Precision(2.0**-52, 2.0**-7, 2.0**-40), Precision(2.0**-23, 2.0**-3, 2.0**-14)


@dataclass(frozen=True)
class Estimate:
    """A slope with a bound on its error; infinite where nothing finite was seen."""

    value: float = math.nan
    error: float = math.inf

    def yields(self, other: Estimate) -> bool:
        """Whether an estimate from smaller steps is better: more exact, or a contradiction, as beside a pole."""
        return other.error < self.error or abs(other.value - self.value) > 3 * (self.error + other.error)


@dataclass(frozen=True)
class Slope:
    """What the values near a point say.

    kind     "smooth", "kink" (the slopes left and right differ), "jump" (the function is not continuous), "edge"
             (it is finite on one side only), "none" (on no side)
    value    the slope, of the finite side at an edge; error is its bound
    left, right  the one-sided slopes
    steps    (step, central difference), the step halved each time
    size     the largest absolute value of the function that was met
    nearby   the size of the one-sided differences at the largest steps
    """

    kind: str
    value: float
    error: float
    left: float
    right: float
    steps: tuple[tuple[float, float], ...]
    size: float
    nearby: float


def slope(function: Callable[[float], float], step: float, precision: Precision, size: float,
          tolerance: Callable[[float, float], float]) -> Slope:
    """The slope of a function at 0.

    step       the largest step; smaller ones follow where it does not converge
    size       the size of the terms that the value is a sum of: its rounding error is relative to that
    tolerance  (slope, size) -> the error that matters

    >>> found = slope(math.exp, 0.01, DOUBLE, 1.0, lambda value, size: 1e-8)
    >>> found.kind, round(found.value, 10)
    ('smooth', 1.0)
    >>> found = slope(abs, 0.01, DOUBLE, 1.0, lambda value, size: 1e-8)
    >>> found.kind, found.left, found.right
    ('kink', -1.0, 1.0)
    """
    here = function(0.0)
    both, left, right = Estimate(), Estimate(), Estimate()
    steps: tuple[tuple[float, float], ...] = ()
    moves: list[float] = []
    nearby = 0.0
    start = step
    while start >= step / precision.start * precision.smallest or not moves:
        sizes = [start / 2**k for k in range(LEVELS)]
        ahead, behind = [function(h) for h in sizes], [function(-h) for h in sizes]
        if start == step:
            size = max([size, *(abs(v) for v in (*ahead, *behind) if math.isfinite(v))])
        noise = precision.unit * size
        central = [(a - b) / (2 * h) for a, b, h in zip(ahead, behind, sizes, strict=True)]
        found = _extrapolated(central, sizes, 4, 2 * noise)
        if both.yields(found):
            both, steps = found, tuple(zip(sizes, central, strict=True))
        forward = [(a - here) / h for a, h in zip(ahead, sizes, strict=True)]
        backward = [(here - b) / h for b, h in zip(behind, sizes, strict=True)]
        if start == step:
            seen = sorted(abs(difference) for difference in (*forward, *backward) if math.isfinite(difference))
            nearby = seen[len(seen) // 2] if seen else 0.0
        found = _extrapolated(forward, sizes, 2, 10 * noise)
        right = found if right.yields(found) else right
        found = _extrapolated(backward, sizes, 2, 10 * noise)
        left = found if left.yields(found) else left
        moves.append(max(abs(ahead[-1] - here), abs(behind[-1] - here)))
        wanted = 0.1 * tolerance(both.value if math.isfinite(both.value) else 0.0, size)
        if max(both.error, left.error, right.error) <= wanted:
            break
        start /= 2**SHRINK
    kind, chosen = _judged(both, left, right, moves, size, precision, tolerance)
    return Slope(kind, chosen.value, chosen.error, left.value, right.value, steps, size, nearby)


def _judged(both: Estimate, left: Estimate, right: Estimate, moves: Sequence[float], size: float,
            precision: Precision, tolerance: Callable[[float, float], float]) -> tuple[str, Estimate]:
    """The kind of the point, and the estimate that is its slope."""
    kind, chosen = "smooth", both
    sides = [side for side in (left, right) if math.isfinite(side.error)]
    if len(moves) > 2 and moves[-1] > 1e3 * precision.unit * size and moves[-1] > 0.5 * moves[-3]:
        kind = "jump"
    elif not sides:
        kind = "none"
    elif len(sides) == 1:
        kind, chosen = "edge", sides[0]
    else:
        apart = tolerance(max(abs(left.value), abs(right.value)), size) + 10 * (left.error + right.error)
        if abs(right.value - left.value) > apart:
            kind = "kink"
    return kind, chosen


def _extrapolated(values: Sequence[float], sizes: Sequence[float], ratio: int, noise: float) -> Estimate:
    """Neville's table of differences at halved steps; the entry that its neighbours confirm best.

    ratio  by which the leading error falls: 4 for central differences, 2 for one-sided ones
    """
    best = Estimate()
    above: list[float] = []
    for value, h in zip(values, sizes, strict=True):
        if not math.isfinite(value):                            # the domain ends before this step
            above = []
            continue
        row = [value]
        for m, before in enumerate(above, 1):
            row.append(row[-1] + (row[-1] - before) / (ratio**m - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - before)) + noise / h
            if error < best.error:
                best = Estimate(row[-1], error)
        above = row
    return best


def rate(found: Slope, expected: float, precision: Precision) -> float | None:
    """The power of the step with which the central differences approach an expected slope; None if they are there.

    2 is what a right slope gives (more where the next term vanishes), 0 what a wrong one gives.
    """
    errors = [(abs(value - expected), 20 * precision.unit * found.size / h) for h, value in found.steps]
    rates = [math.log2(one / other) for (one, _), (other, least) in itertools.pairwise(errors)
             if math.isfinite(one) and other > least]
    return sorted(rates)[len(rates) // 2] if rates else None
