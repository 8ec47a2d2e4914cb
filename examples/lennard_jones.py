"""Lennard-Jones clusters: the energy as one double sum over atoms, minimised with SciPy's L-BFGS.

`r2` has an element for each pair of atoms, but no array of pairs is ever made: the generated loop computes
each where it is used. One compilation serves every number of atoms. The lowest energies known are those of
the Cambridge Cluster Database (D. J. Wales and J. P. K. Doye, J. Phys. Chem. A 101, 5111, 1997).
"""

import numpy as np
from scipy.optimize import minimize

import gradc

energy = gradc.compile(
    """
    r2 = sum((x[:, None] - x)**2, axis=2)
    sum(4 * (1 / r2[i, j]**6 - 1 / r2[i, j]**3) for i in range(n) for j in range(i))
    """,
    args={"x": "n 3"},
)


def bipyramid() -> np.ndarray:
    """A pentagon with an atom above and one below: 7 atoms."""
    angle = 2 * np.pi * np.arange(5) / 5
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(5)])
    return np.vstack([ring, [0, 0, 0.6], [0, 0, -0.6]])


def icosahedron() -> np.ndarray:
    """Twelve corners around a central atom: 13 atoms."""
    golden = (1 + 5**0.5) / 2
    corners = [[0, s, t * golden] for s in (-1, 1) for t in (-1, 1)]
    return np.vstack([np.zeros((1, 3)), *(np.roll(corners, k, axis=1) for k in range(3))]) / golden


for start, known in ((bipyramid(), -16.505384), (icosahedron(), -44.326801)):
    shape = start.shape
    start += 0.05 * np.random.default_rng(0).standard_normal(shape)

    def value_and_gradient(flat: np.ndarray, shape: tuple[int, ...] = shape) -> tuple[float, np.ndarray]:
        value, gradient = energy.value_and_grad(flat.reshape(shape))
        return value, gradient.ravel()

    found = minimize(value_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options={"ftol": 1e-15})
    atoms = found.x.reshape(shape)
    print(f"{len(atoms)} atoms: energy {energy(start):.6f} -> {found.fun:.6f} in {found.nfev} gradients")
    assert abs(found.fun - known) < 1e-6
    assert np.abs(energy.grad(atoms)).max() < 1e-3
