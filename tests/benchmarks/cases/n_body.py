"""The potential energy of masses that attract each other, softened: a double sum over pairs with a root."""

import math
from typing import Any

import numpy as np

from ..case import Array, Case, Loops, Problem, loop

FORMULA = """
-sum(m[i]*m[j] / sqrt(sum((x[i,k] - x[j,k])**2 for k in range(3)) + 0.01)
     for i in range(n) for j in range(i))
""".strip()


@loop
def forward(x: Array, m: Array) -> float:
    """The energy."""
    value = 0.0
    for i in range(x.shape[0]):
        for j in range(i):
            dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
            value -= m[i] * m[j] / math.sqrt(dx * dx + dy * dy + dz * dz + 0.01)
    return value


@loop
def into(x: Array, m: Array, out: Array) -> float:
    """The energy; the gradient goes to `out`. All pairs twice: a body's sum stays in registers and vectorises."""
    n = x.shape[0]
    px, py, pz = x[:, 0].copy(), x[:, 1].copy(), x[:, 2].copy()
    value = 0.0
    for i in range(n):
        x_i, y_i, z_i, m_i = px[i], py[i], pz[i], m[i]
        energy = fx = fy = fz = 0.0
        for j in range(n):
            dx, dy, dz = x_i - px[j], y_i - py[j], z_i - pz[j]
            square = dx * dx + dy * dy + dz * dz + 0.01
            inverse = 1.0 / math.sqrt(square)
            pull = m[j] * inverse
            energy += pull
            force = pull * (inverse * inverse)
            fx += force * dx
            fy += force * dy
            fz += force * dz
        value += m_i * (energy - m_i * 10.0)
        out[i, 0] = m_i * fx
        out[i, 1] = m_i * fy
        out[i, 2] = m_i * fz
    return -0.5 * value


@loop
def value_and_grad(x: Array, m: Array) -> tuple[float, Array]:
    """The energy and a fresh gradient."""
    gradient = np.empty_like(x)
    return into(x, m, gradient), gradient


def array_form(np: Any, x: Any, m: Any) -> Any:
    """For JAX, PyTorch and autograd: all pairs twice, less each body with itself."""
    squares = np.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=2) + 0.01
    return -0.5 * (np.sum(m[:, None] * m / np.sqrt(squares)) - 10.0 * np.sum(m**2))


def by_coordinates(np: Any, x: Any, m: Any) -> Any:
    """The same without an array of differences in three dimensions."""
    squares = sum((x[:, k, None] - x[:, k]) ** 2 for k in range(3)) + 0.01
    return -0.5 * (m @ (1 / np.sqrt(squares)) @ m - 10.0 * np.sum(m**2))


def case(size: str) -> Case:
    """n bodies, normally distributed."""
    n = int(size)
    random = np.random.default_rng(7)
    return Case(
        name=f"N-body {size}",
        written=FORMULA,
        args={"x": "n 3", "m": "n"},
        wrt=("x",),
        inputs=(random.standard_normal((n, 3)), random.random(n) + 0.5),
        loops=Loops(forward, value_and_grad, into),
        array_form={"differences": array_form, "coordinates": by_coordinates},
    )


PROBLEM = Problem("N-body", ("1000",), case)
