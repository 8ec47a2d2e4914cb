"""The Lennard-Jones energy of a cluster: a double sum over pairs, with the distance used in two powers."""

from typing import Any

import numpy as np

from ..case import Array, Case, Loops, Problem, loop


@loop
def forward(x: Array) -> float:
    """The energy."""
    value = 0.0
    for i in range(x.shape[0]):
        for j in range(i):
            dx = x[i, 0] - x[j, 0]
            dy = x[i, 1] - x[j, 1]
            dz = x[i, 2] - x[j, 2]
            inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
            cube = inverse * inverse * inverse
            value += 4.0 * (cube * cube - cube)
    return value


@loop
def into(x: Array, out: Array) -> float:
    """The energy; the gradient goes to `out`. A pair is visited once and its force used for both atoms."""
    value = 0.0
    out[:, :] = 0.0
    for i in range(x.shape[0]):
        fx = 0.0
        fy = 0.0
        fz = 0.0
        for j in range(i):
            dx = x[i, 0] - x[j, 0]
            dy = x[i, 1] - x[j, 1]
            dz = x[i, 2] - x[j, 2]
            inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
            cube = inverse * inverse * inverse
            value += 4.0 * (cube * cube - cube)
            force = (24.0 * cube - 48.0 * cube * cube) * inverse
            fx += force * dx
            fy += force * dy
            fz += force * dz
            out[j, 0] -= force * dx
            out[j, 1] -= force * dy
            out[j, 2] -= force * dz
        out[i, 0] += fx
        out[i, 1] += fy
        out[i, 2] += fz
    return value


@loop
def value_and_grad(x: Array) -> tuple[float, Array]:
    """The energy and a fresh gradient."""
    gradient = np.empty_like(x)
    return into(x, gradient), gradient


def array_form(np: Any, x: Any) -> Any:
    """For JAX and autograd: all pairs twice, the diagonal moved away; faster than gathering pairs."""
    n = x.shape[0]
    squares = np.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=2) + np.eye(n)
    cube = (1.0 - np.eye(n)) / squares**3
    return 2.0 * np.sum(cube**2 - cube)


def scalar_form(m: Any, x: Any) -> Any:
    """For CasADi."""
    value = 0
    for i in range(x.shape[0]):
        for j in range(i):
            cube = 1 / sum((x[i, k] - x[j, k]) ** 2 for k in range(3)) ** 3
            value += 4 * (cube**2 - cube)
    return value


def case(size: str) -> Case:
    """n atoms near the points of a cubic lattice."""
    n = int(size)
    side = round(n ** (1 / 3)) + 1
    lattice = np.stack(np.meshgrid(*3 * [np.arange(side)], indexing="ij"), axis=-1).reshape(-1, 3)[:n]
    jitter = np.random.default_rng(2).uniform(-0.05, 0.05, (n, 3))
    squares = "sum((x[i,k] - x[j,k])**2 for k in range(3))"
    return Case(
        name=f"Lennard-Jones {n}",
        written=f"sum(4*(1/{squares}**6 - 1/{squares}**3) for i in range(n) for j in range(i))",
        args={"x": "n 3"},
        wrt=("x",),
        inputs=(1.12 * lattice + jitter,),
        loops=Loops(forward, value_and_grad, into),
        array_form=array_form,
        scalar_form=scalar_form,
        unrolled=n * (n - 1) // 2,
    )


PROBLEM = Problem("Lennard-Jones", ("64",), case)
