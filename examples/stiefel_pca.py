"""Principal components of scikit-learn's digits by gradient ascent on the Stiefel manifold of orthonormal frames.

A step goes along the part of the gradient that is tangent to the manifold, and the QR decomposition brings the frame
back to it (Absil, Mahony, Sepulchre, Optimization Algorithms on Matrix Manifolds, 2008). NumPy's eigh is the judge.
"""

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits

import gradc

COMPONENTS = 5


@gradc.compile(args={"Q": "d k", "x": "n d"}, wrt="Q")
def explained(Q, x):
    """The variance that the frame Q keeps of centred data."""
    scores = x @ Q
    return np.sum(scores**2) / x.shape[0]


def retracted(frame):
    Q, R = np.linalg.qr(frame)
    return Q * np.sign(np.diag(R))


def ascend(x, steps=600, rate=0.5):
    random = np.random.default_rng(0)
    Q, curve = retracted(random.standard_normal((x.shape[1], COMPONENTS))), []
    for _ in track(range(steps), "ascending"):
        value, gradient = explained.value_and_grad(Q, x)
        inward = Q.T @ gradient
        tangent = gradient - Q @ (inward + inward.T) / 2
        Q = retracted(Q + rate * tangent)
        curve.append(value)
    return Q, curve


def main():
    x = load_digits().data / 16.0
    x = x - x.mean(axis=0)
    Q, curve = ascend(x)
    np.savetxt("stiefel_pca_variance.csv", curve, header="variance kept after each step")
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    best = vectors[:, -COMPONENTS:]
    angle = np.linalg.norm(Q @ Q.T - best @ best.T, 2)
    print(f"{COMPONENTS} components keep a variance of {curve[-1]:.8f}, eigh says {np.sum(values[-COMPONENTS:]):.8f}; "
          f"the sine of the angle between the two spaces is {angle:.1e}")
    return angle


if __name__ == "__main__":
    assert main() < 1e-6
