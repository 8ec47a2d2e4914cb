"""Newton's method on a million unknowns: a noisy signal is smoothed, its jumps are kept, and no matrix is ever made.

The step solves H s = -g by conjugate gradients, which ask for products of the Hessian with a vector alone: `f.hvp`,
which costs about as much as the gradient.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

import gradc

smoothness = gradc.compile(
    """
    misfit = sum((u[i] - data[i])**2 for i in range(n)) / 2
    rough = sum(sqrt(1 + ((u[i + 1] - u[i]) / width)**2) for i in range(n - 1))
    misfit + weight * rough
    """,
    args={"u": "n", "data": "n", "width": "", "weight": ""},
    wrt="u",
)


def smoothed(data, widths, weight):
    """The minimum for the last of the widths, each from that before, and the numbers of steps and of products."""
    u, steps, products = data.copy(), 0, 0
    for width in widths:
        given = (data, width, weight)
        while np.max(np.abs(gradient := smoothness.grad(u, *given))) > 1e-6:

            def product(v, at=(u, *given)):
                nonlocal products
                products += 1
                return smoothness.hvp(*at, v.ravel())

            direction, _ = cg(LinearOperator((u.size, u.size), product, dtype=float), -gradient, rtol=0.05)
            value, length = smoothness(u, *given), 1.0
            while smoothness(u + length * direction, *given) > value + 0.1 * length * (gradient @ direction) + 1e-9:
                length /= 2
            u, steps = u + length * direction, steps + 1
    return u, steps, products


random = np.random.default_rng(0)
signal = np.repeat(random.integers(0, 5, 1000).astype(float), 1000)
noisy = signal + 0.3 * random.standard_normal(signal.size)
u, steps, products = smoothed(noisy, (1.0, 0.4), 0.5)
before, after = (np.sqrt(np.mean((part - signal) ** 2)) for part in (noisy, u))
print(f"{u.size:,} unknowns: {steps} steps, {products} products with the Hessian; error {before:.3f} -> {after:.3f}")
assert after < before / 2
assert np.max(np.abs(smoothness.grad(u, noisy, 0.4, 0.5))) < 1e-6
