"""Rosenbrock's gradient called from compiled code: a descent of a thousand steps in the user's own nopython loop."""

from typing import Any

import numpy as np
from numba import njit

from ..case import Array, Call, Calls, Case, Loops, Problem
from . import rosenbrock

STEPS, RATE = 1000, 1e-5


def descent(value_and_grad: Any) -> Any:
    """A compiled loop around a compiled gradient."""

    @njit
    def run(start: Array) -> Any:
        x = start.copy()
        value = 0.0
        for _ in range(STEPS):
            value, gradient = value_and_grad(x)
            for i in range(x.shape[0]):
                x[i] -= RATE * gradient[i]
        return value, x

    return run


def in_gradc(case: Case) -> Calls:
    """`value_and_grad.jit`, called in the loop."""
    import gradc

    source = rosenbrock.case("5")
    f = gradc.compile(source.written, source.args, wrt=source.wrt)
    return Calls(None, Call(descent(f.value_and_grad.jit), case.inputs))


def case(size: str) -> Case:
    """n coordinates."""
    return Case(
        name=f"descent in njit {size}",
        args={},
        wrt=(),
        inputs=(np.random.default_rng(0).uniform(-0.5, 0.5, int(size)),),
        loops=Loops(None, descent(rosenbrock.value_and_grad)),
        forms={"gradc": {"": in_gradc}},
    )


PROBLEM = Problem("descent in njit", ("5", "400"), case, quick=("5", "400"))
