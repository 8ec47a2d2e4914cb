"""Bundle adjustment: cameras and points from the places at which photographs show the points.

Each residual depends on one camera and one point, so a row of the Jacobian has 9 entries out of hundreds. gradc finds
them from the indices `cameras[c]` and `points[p]`; `least_squares` gets a sparse Jacobian with exact values.
"""

import numpy as np
from scipy.optimize import least_squares

import gradc

DECLARED = {"cameras": "m 7", "points": "k 3", "c": "int n", "p": "int n", "seen": "n 2"}


@gradc.compile(args=DECLARED, wrt="cameras points")
def reprojection(cameras, points, c, p, seen):
    """Turn (Rodrigues' formula), move and project each point as its camera does, with a focal length in pixels."""
    turn, shift, focal = cameras[c, :3], cameras[c, 3:6], cameras[c, 6:]
    angle = np.sqrt(np.sum(turn**2, axis=1, keepdims=True))
    axis, X = turn / angle, points[p]
    along = axis * np.sum(axis * X, axis=1, keepdims=True)
    across = np.roll(axis, -1, 1) * np.roll(X, -2, 1) - np.roll(axis, -2, 1) * np.roll(X, -1, 1)
    turned = np.cos(angle) * X + np.sin(angle) * across + (1 - np.cos(angle)) * along
    view = turned + shift
    return focal * view[:, :2] / view[:, 2:] - seen


def scene(cameras, points, noise, random):
    """Cameras on an arc around a cloud of points, each point seen by some of them."""
    truth = np.zeros((cameras, 7))
    truth[:, 1] = np.linspace(-0.8, 0.8, cameras)
    truth[:, :3] += 0.05 * random.standard_normal((cameras, 3))
    truth[:, 5:] = 6.0, 800.0
    cloud = random.uniform(-1.0, 1.0, (points, 3))
    c, p = np.nonzero(random.random((cameras, points)) < 0.6)
    exact = reprojection(truth, cloud, c, p, np.zeros((c.size, 2)))
    return truth, cloud, c, p, exact + noise * random.standard_normal(exact.shape)


random = np.random.default_rng(0)
truth, cloud, c, p, seen = scene(cameras=12, points=150, noise=0.5, random=random)
problem = reprojection.scipy(c=c, p=p, seen=seen).sparse
wrong = truth + 0.02 * truth * random.standard_normal(truth.shape)
x0 = problem.pack(wrong, cloud + 0.1 * random.standard_normal(cloud.shape))
J = problem.jac(x0)
found = least_squares(problem.fun, x0, problem.jac, method="trf", x_scale="jac", ftol=1e-6)
cameras, points = problem.unpack(found.x)

rms = [np.sqrt(np.mean(problem.fun(x) ** 2)) for x in (x0, found.x)]
freedom = np.sqrt(1 - (x0.size - 7) / seen.size)                # turning, moving and scaling all changes nothing
print(f"{seen.size} residuals, {x0.size} unknowns, {J.nnz} of {seen.size * x0.size} derivatives stored")
print(f"{found.njev} Jacobians; error {rms[0]:.1f} -> {rms[1]:.3f} pixels, {0.5 * freedom:.3f} expected from the noise")
assert J.nnz == 9 * seen.size
assert abs(rms[1] / (0.5 * freedom) - 1) < 0.05
