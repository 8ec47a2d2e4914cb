"""Bundle adjustment as an expert writes it for Numba: what depends on the camera alone is computed once a camera.

That is its rotation R and the right Jacobian of the rotation's exponential, J = I - (1 - cos t)/t**2 K + (t - sin t) /
t**3 K**2 with K the cross product by the rotation vector of length t (J. Sola and others, "A micro Lie theory",
equation 143). With g the row of partials by the turned point and q = R' g, the partials by the point P are q, by the
centre -q, and by the rotation vector (P x q)' J. An observation then costs no root and no sine.
"""

import math
from typing import Any

import numpy as np

from ..case import Array, Loops, loop


@loop
def turning(camera: Array, R: Array, J: Array) -> None:
    """The rotation and the right Jacobian of one camera, both (3, 3)."""
    x, y, z = camera[0], camera[1], camera[2]
    square = x * x + y * y + z * z
    theta = math.sqrt(square)
    a = math.sin(theta) / theta if theta > 0.0 else 1.0
    b = (1.0 - math.cos(theta)) / square if theta > 0.0 else 0.5
    c = (1.0 - a) / square if theta > 0.0 else 1.0 / 6.0
    K = np.zeros((3, 3))
    K[0, 1], K[0, 2], K[1, 0], K[1, 2], K[2, 0], K[2, 1] = -z, y, z, -x, -y, x
    for i in range(3):
        for j in range(3):
            s = 0.0
            for k in range(3):
                s += K[i, k] * K[k, j]
            one = 1.0 if i == j else 0.0
            R[i, j] = one + a * K[i, j] + b * s
            J[i, j] = one - b * K[i, j] + c * s


@loop
def row(out: Array, gx: float, gy: float, gz: float, R: Array, J: Array, px: float, py: float, pz: float) -> None:
    """The partials by rotation, centre and point of one residual."""
    qx = R[0, 0] * gx + R[1, 0] * gy + R[2, 0] * gz
    qy = R[0, 1] * gx + R[1, 1] * gy + R[2, 1] * gz
    qz = R[0, 2] * gx + R[1, 2] * gy + R[2, 2] * gz
    tx = py * qz - pz * qy
    ty = pz * qx - px * qz
    tz = px * qy - py * qx
    out[0] = tx * J[0, 0] + ty * J[1, 0] + tz * J[2, 0]
    out[1] = tx * J[0, 1] + ty * J[1, 1] + tz * J[2, 1]
    out[2] = tx * J[0, 2] + ty * J[1, 2] + tz * J[2, 2]
    out[3] = -qx
    out[4] = -qy
    out[5] = -qz
    out[11] = qx
    out[12] = qy
    out[13] = qz


@loop
def run(
    cameras: Array, points: Array, w: Array, seen: Array, camera_of: Any, point_of: Any, reverse: bool
) -> Any:
    """Residuals, weights' residuals, and the values of the Jacobian (empty unless `reverse`)."""
    n, p = cameras.shape[0], w.shape[0]
    residuals, errors, values = np.empty((p, 2)), np.empty(p), np.empty(31 * p if reverse else 0)
    Rs, Js = np.empty((n, 3, 3)), np.empty((n, 3, 3))
    for i in range(n):
        turning(cameras[i], Rs[i], Js[i])
    for i in range(p):
        c, R, J, X = cameras[camera_of[i]], Rs[camera_of[i]], Js[camera_of[i]], points[point_of[i]]
        px, py, pz = X[0] - c[3], X[1] - c[4], X[2] - c[5]
        inverse = 1.0 / (R[2, 0] * px + R[2, 1] * py + R[2, 2] * pz)
        u = (R[0, 0] * px + R[0, 1] * py + R[0, 2] * pz) * inverse
        v = (R[1, 0] * px + R[1, 1] * py + R[1, 2] * pz) * inverse
        f, k1, k2, weight = c[6], c[9], c[10], w[i]
        r = u * u + v * v
        scale = 1.0 + k1 * r + k2 * r * r
        du, dv = u * scale, v * scale
        eu, ev = f * du + c[7] - seen[i, 0], f * dv + c[8] - seen[i, 1]
        residuals[i, 0] = weight * eu
        residuals[i, 1] = weight * ev
        errors[i] = 1.0 - weight * weight
        if reverse:
            values[30 * p + i] = -2.0 * weight
            wf = weight * f
            slope = 2.0 * (k1 + 2.0 * k2 * r)
            uu, uv, vv = wf * (scale + slope * u * u), wf * slope * u * v, wf * (scale + slope * v * v)
            first, second = values[30 * i : 30 * i + 15], values[30 * i + 15 : 30 * i + 30]
            row(first, uu * inverse, uv * inverse, -(uu * u + uv * v) * inverse, R, J, px, py, pz)
            row(second, uv * inverse, vv * inverse, -(uv * u + vv * v) * inverse, R, J, px, py, pz)
            first[6], first[7], first[8] = weight * du, weight, 0.0
            first[9], first[10], first[14] = wf * u * r, wf * u * r * r, eu
            second[6], second[7], second[8] = weight * dv, 0.0, weight
            second[9], second[10], second[14] = wf * v * r, wf * v * r * r, ev
    return (residuals, errors), values


@loop
def forward(cameras: Array, points: Array, w: Array, seen: Array, camera_of: Any, point_of: Any) -> Any:
    """The residuals."""
    return run(cameras, points, w, seen, camera_of, point_of, False)[0]


@loop
def jacobian(cameras: Array, points: Array, w: Array, seen: Array, camera_of: Any, point_of: Any) -> Any:
    """The residuals and the values of their Jacobian."""
    return run(cameras, points, w, seen, camera_of, point_of, True)


LOOPS = Loops(forward, jacobian)
