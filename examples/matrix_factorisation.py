"""Ratings with gaps: a matrix factorisation fitted to the entries that a mask marks, which predicts the others.

The table is generated: users and films with a few hidden tastes, a fifth of the marks given, some noise.
"""

import numpy as np
from rich.progress import track
from scipy.optimize import minimize

import gradc

USERS, FILMS, TASTES, NOISE = 200, 120, 3, 0.1


@gradc.compile(args={"U": "users k", "V": "films k", "ratings": "users films", "known": "bool users films"},
               wrt=("U", "V"))
def loss(U, V, ratings, known):
    error = np.where(known, U @ V.T - ratings, 0.0)
    return np.sum(error**2) + 0.05 * (np.sum(U**2) + np.sum(V**2))


def fit(ratings, known):
    random = np.random.default_rng(1)
    start = 0.1 * random.standard_normal((USERS + FILMS) * TASTES)

    def value_and_gradient(parameters):
        U, V = np.split(parameters.reshape(-1, TASTES), [USERS])
        value, gradient = loss.value_and_grad(U, V, ratings, known)
        return value, np.concatenate(gradient).ravel()

    curve = []
    for _ in track(range(20), "fitting"):
        found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 20})
        start = found.x
        curve.append(found.fun)
    return (*np.split(start.reshape(-1, TASTES), [USERS]), curve)


def main():
    random = np.random.default_rng(0)
    U, V = random.standard_normal((USERS, TASTES)), random.standard_normal((FILMS, TASTES))
    ratings = U @ V.T + NOISE * random.standard_normal((USERS, FILMS))
    known = random.random((USERS, FILMS)) < 0.2
    found_U, found_V, curve = fit(np.where(known, ratings, 0.0), known)
    np.savetxt("matrix_factorisation_loss.csv", curve, header="loss after every 20 steps")
    hidden = np.sqrt(np.mean((found_U @ found_V.T - ratings)[~known] ** 2))
    print(f"the error of the marks that were not given is {hidden:.3f}; their spread is {ratings.std():.3f}, the "
          f"noise {NOISE}")
    return hidden


if __name__ == "__main__":
    assert main() < 2 * NOISE
