"""Where an operation is measured: the same points in every run, dense where rules lose digits.

Points come from the domain in the table: uniform, equally spaced in the logarithm near 0 and near both ends
of the range, and over all magnitudes of a wide range; whole numbers for integer operands.
"""

import math
import random

from gradc.ir.table import OPERATIONS


def points(op: str, count: int, seed: int = 0) -> list[tuple[float, ...]]:
    """`count` points inside the domain, none of them an edge that the table lists by value."""
    entry = OPERATIONS[op]
    source = random.Random(f"{op} {seed}")
    known = set(entry.edges or ())
    # SciPy's jv and iv give way below 1e-100; products of several operands leave the range of floats.
    smallest = -20 if entry.imports == "scipy.special" else -300 if len(entry.domain) == 1 else -60
    found: list[tuple[float, ...]] = []
    while len(found) < count:
        point = tuple(
            float(source.randint(int(low), int(high)))
            if i in entry.integers
            else draw(source, low, high, smallest)
            for i, (low, high) in enumerate(entry.domain)
        )
        if point not in known:
            found.append(point)
    return found


def points_in(domain: tuple[tuple[float, float], ...], count: int, seed: int = 0) -> list[tuple[float, ...]]:
    """`count` points of real operands."""
    source = random.Random(f"{domain} {seed}")
    smallest = -300 if len(domain) == 1 else -60
    return [tuple(draw(source, low, high, smallest) for low, high in domain) for _ in range(count)]


def draw(source: random.Random, low: float, high: float, smallest: int) -> float:
    """One point of an open interval."""
    kind = source.random()
    if kind < 0.4:
        point = source.uniform(low, high)
    elif kind < 0.6:  # near an end of the range
        width = (high - low) * 10.0 ** source.uniform(-14, 0)
        point = low + width if source.random() < 0.5 else high - width
    elif low < 0 < high:  # near 0, or all magnitudes on one side
        size = 10.0 ** source.uniform(smallest if source.random() < 0.1 else -20, 0)
        point = size * (high if source.random() < 0.5 else low)
    else:
        small, large = sorted((abs(low), abs(high)))
        size = math.exp(source.uniform(math.log(max(small, 1e-300)), math.log(large)))
        point = size if high > 0 else -size
    return point if low < point < high else draw(source, low, high, smallest)
