"""Formulas of 10 to 100,000 scalar operations on eight numbers: the cost of long straight-line code.

Each operation takes one of the last eight values and any earlier one; sines keep the values bounded.
"""

from typing import Any

import numpy as np

from ..case import Case, Problem, Unsupported

INPUTS = 8
LONGEST = 1_000_000  # characters of a formula that gradc reads


def operations(count: int) -> list[tuple[str, int, int]]:
    """Kind and operands, by the numbers of the values; the first INPUTS values are given."""
    random = np.random.default_rng(10)
    kinds = random.choice(["+", "-", "*", "sin"], count, p=[0.25, 0.15, 0.25, 0.35])
    return [
        (str(kind), int(at - 1 - random.integers(min(at, 8))), int(random.integers(at)))
        for at, kind in enumerate(kinds, start=INPUTS)
    ]


def text(listed: list[tuple[str, int, int]]) -> str:
    """As a formula of statements."""
    names = [f"x{at}" for at in range(INPUTS)] + [f"t{at}" for at in range(len(listed))]
    lines = [
        f"t{at} = sin({names[a]})" if kind == "sin" else f"t{at} = {names[a]} {kind} {names[b]}"
        for at, (kind, a, b) in enumerate(listed)
    ]
    return "\n".join([*lines, f"sin({names[-1]})"])


def case(size: str) -> Case:
    """So many operations."""
    count = int(size)
    listed = operations(count)

    def form(m: Any, *x: Any) -> Any:
        values = list(x)
        for kind, a, b in listed:
            left, right = values[a], values[b]
            if kind == "sin":
                values.append(m.sin(left))
            else:
                values.append(left + right if kind == "+" else left - right if kind == "-" else left * right)
        return m.sin(values[-1])

    def array_form(np: Any, *x: Any) -> Any:
        if count > 1000 and np.__name__ == "jax.numpy":
            raise Unsupported("compiles for minutes")
        return form(np, *x)

    def traced(x0, x1, x2, x3, x4, x5, x6, x7):
        return form(np, x0, x1, x2, x3, x4, x5, x6, x7)

    lines = text(listed)
    written = {"NumPy": traced} if len(lines) > LONGEST else {"formula": lines, "NumPy": traced}
    names = tuple(f"x{at}" for at in range(INPUTS))
    return Case(
        name=f"formula {size}",
        written=written,
        args=dict.fromkeys(names, ""),
        wrt=names,
        inputs=tuple(np.random.default_rng(11).uniform(-1, 1, INPUTS).tolist()),
        array_form=array_form,
        scalar_form=form,
        unrolled=count,
        trees=count <= 10,
    )


PROBLEM = Problem("formula", ("10", "100", "1000", "10000", "100000"), case, quick=("10", "1000"))
