"""Bundle adjustment, ADBench's second problem: residuals of observations with their sparse Jacobian.

An observation compares where a camera sees a point with where it was seen: the point is turned into the camera's frame
(an axis times an angle, by Rodrigues' formula), projected, distorted radially, scaled and shifted. The Jacobian is the
benchmark's array of values in compressed rows: for each observation two rows of 15 (camera 11, point 3, weight 1), then
for each weight the derivative -2w of its own residual 1 - w**2.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..c_code import FLAGS, compiler, library, pointer
from ..case import Call, Calls, Case, Problem, Unsupported
from ..data import adbench

SIZES = {"1": (49, 7776, 31843), "5": (257, 65132, 225911), "10": (1197, 126327, 563734)}
CAMERA, ROW, PARAMETERS = 11, 15, 17


def projected(np: Any, camera: Any, point: Any) -> tuple[Any, Any]:
    """Where a camera sees a point; both are lists of scalars, or of arrays with an element for each observation."""
    rx, ry, rz, cx, cy, cz, f, u0, v0, k1, k2 = camera
    px, py, pz = point[0] - cx, point[1] - cy, point[2] - cz
    theta = np.sqrt(rx * rx + ry * ry + rz * rz)
    c, s = np.cos(theta), np.sin(theta)
    ax, ay, az = rx / theta, ry / theta, rz / theta
    along = (ax * px + ay * py + az * pz) * (1 - c)
    x = px * c + (ay * pz - az * py) * s + ax * along
    y = py * c + (az * px - ax * pz) * s + ay * along
    z = pz * c + (ax * py - ay * px) * s + az * along
    u, v = x / z, y / z
    r = u * u + v * v
    scale = f * (1 + k1 * r + k2 * r * r)
    return u * scale + u0, v * scale + v0


# -- gradc: the sparse Jacobian of all observations, and that of each in the user's own loop -----------

NAMES = ["rx", "ry", "rz", "cx", "cy", "cz", "f", "u0", "v0", "k1", "k2", "px", "py", "pz", "w"]
FORMULA = """
x = px - cx
y = py - cy
z = pz - cz
theta = sqrt(rx**2 + ry**2 + rz**2)
ax = rx / theta
ay = ry / theta
az = rz / theta
along = (ax*x + ay*y + az*z) * (1 - cos(theta))
tx = x*cos(theta) + (ay*z - az*y)*sin(theta) + ax*along
ty = y*cos(theta) + (az*x - ax*z)*sin(theta) + ay*along
tz = z*cos(theta) + (ax*y - ay*x)*sin(theta) + az*along
u = tx / tz
v = ty / tz
r = u**2 + v**2
scale = f * (1 + k1*r + k2*r**2)
"""
COMPONENTS = ("w * (u*scale + u0 - seen_u)", "w * (v*scale + v0 - seen_v)")


def written(cameras, points, w, seen, camera_of, point_of):
    """The residuals of all observations, and those of their weights."""
    camera = cameras[camera_of]
    r, centre, k = camera[:, :3], camera[:, 3:6], camera[:, 9:]
    theta = np.sqrt(np.sum(r**2, axis=1, keepdims=True))
    axis = r / theta
    p = points[point_of] - centre
    along = np.sum(axis * p, axis=1, keepdims=True) * (1 - np.cos(theta))
    turned = p * np.cos(theta) + np.cross(axis, p) * np.sin(theta) + axis * along
    u = turned[:, :2] / turned[:, 2:]
    r2 = np.sum(u**2, axis=1, keepdims=True)
    image = camera[:, 6:7] * u * (1 + k[:, :1] * r2 + k[:, 1:] * r2**2) + camera[:, 7:9]
    return w[:, None] * (image - seen), 1 - w**2


def in_order(case: Case) -> Any:
    """The sparse array of the benchmark's own order: it holds the derivatives that are 0 too."""
    from scipy import sparse

    cameras, points, w, _, camera_of, point_of = case.inputs
    p, first = len(w), cameras.size
    columns = np.concatenate(
        [
            camera_of[:, None] * CAMERA + np.arange(CAMERA),
            first + point_of[:, None] * 3 + np.arange(3),
            first + points.size + np.arange(p)[:, None],
        ],
        axis=1,
    )
    indices = np.concatenate([np.repeat(columns, 2, axis=0).ravel(), columns[:, -1]])
    starts = np.concatenate([np.arange(0, 30 * p + 1, ROW), 30 * p + 1 + np.arange(p)])
    return sparse.csr_array((np.ones(31 * p), indices, starts), shape=(3 * p, first + points.size + p))


def in_gradc_sparse(case: Case) -> Calls:
    """Values and sparse Jacobian of the residuals as one writes them in NumPy."""
    import gradc

    args = {"cameras": "n 11", "points": "m 3", "w": "p", "seen": "p 2", "camera_of": "int p", "point_of": "int p"}
    f = gradc.compile(written, args, wrt=("cameras", "points", "w"))
    jacobian = f.value_and_jacobian.sparse.stacked.within(in_order(case))

    def parts(result: Any) -> Any:
        return result[0], result[1].data

    return Calls(Call(f, case.inputs), Call(jacobian, case.inputs), parts=parts)


def in_gradc_by_scalars(case: Case) -> Calls:
    """The residuals of one observation as a formula of numbers; their Jacobian called in the user's own loop."""
    from numba import njit

    import gradc

    args = dict.fromkeys([*NAMES, "seen_u", "seen_v"], "")
    f = gradc.compile(FORMULA.strip() + "\n" + ", ".join(COMPONENTS), args, wrt=NAMES)
    residual, jacobian = f.jit, f.jacobian.jit

    @njit
    def loop(cameras, points, w, seen, camera_of, point_of):
        p = len(w)
        residuals, errors, values = np.empty((p, 2)), np.empty(p), np.empty(31 * p)
        for i in range(p):
            c, x, w_i = cameras[camera_of[i]], points[point_of[i]], w[i]
            residuals[i, 0], residuals[i, 1] = residual(
                c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10],
                x[0], x[1], x[2], w_i, seen[i, 0], seen[i, 1])  # fmt: skip
            du, dv = jacobian(
                c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10],
                x[0], x[1], x[2], w_i, seen[i, 0], seen[i, 1])  # fmt: skip
            errors[i] = 1 - w_i**2
            at = 30 * i
            for value in du:
                values[at] = value
                at += 1
            for value in dv:
                values[at] = value
                at += 1
            values[30 * p + i] = -2 * w_i
        return (residuals, errors), values

    return Calls(None, Call(loop, case.inputs))


# -- peers ----------------------------------------------------------------------------------------


def in_jax(case: Case, by_columns: bool) -> Calls:
    """One array for each parameter and two products with ones; or the Jacobian of one observation, mapped."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_cpu_enable_async_dispatch", False)

    def observed(parameters: Any, seen: Any) -> tuple[Any, Any]:
        u, v = projected(jnp, parameters[:11], parameters[11:14])
        w = parameters[14]
        return w * (u - seen[0]), w * (v - seen[1])

    def columns(cameras: Any, points: Any, w: Any, seen: Any, camera_of: Any, point_of: Any) -> Any:
        parameters = [*cameras[camera_of].T, *points[point_of].T, w]
        residuals, pull = jax.vjp(lambda given: observed(given, seen.T), parameters)
        ones, zeros = jnp.ones_like(w), jnp.zeros_like(w)
        rows = jnp.stack([*pull((ones, zeros))[0], *pull((zeros, ones))[0]], axis=1)
        return jnp.stack(residuals, axis=1), 1 - w**2, jnp.concatenate([rows.ravel(), -2 * w])

    def mapped(cameras: Any, points: Any, w: Any, seen: Any, camera_of: Any, point_of: Any) -> Any:
        parameters = jnp.concatenate([cameras[camera_of], points[point_of], w[:, None]], axis=1)

        def one(given: Any, seen: Any) -> Any:
            return jnp.stack(observed(tuple(given), seen))

        rows = jax.vmap(jax.jacrev(one))(parameters, seen)
        return jax.vmap(one)(parameters, seen), 1 - w**2, jnp.concatenate([rows.ravel(), -2 * w])

    both = jax.jit(columns if by_columns else mapped)
    value = jax.jit(lambda *args: columns(*args)[:2])
    given = tuple(map(jnp.asarray, case.inputs))
    return Calls(
        Call(lambda *args: jax.block_until_ready(value(*args)), given),
        Call(lambda *args: jax.block_until_ready(both(*args)), given),
    )


def in_columns(np_: Any, case: Case, pull: Callable[..., Any]) -> Calls:
    """For PyTorch and autograd: `pull(f, parameters)` gives residuals and the gradients of the sum of each."""
    cameras, points, w, seen, camera_of, point_of = case.inputs
    values = np.empty(31 * len(w))
    rows = values[: 30 * len(w)].reshape(-1, 2 * ROW)

    def observed(parameters: Any) -> tuple[Any, Any]:
        u, v = projected(np_, parameters[:11], parameters[11:14])
        return parameters[14] * (u - case_seen[0]), parameters[14] * (v - case_seen[1])

    case_seen = [np_.asarray(np.ascontiguousarray(part)) for part in seen.T]

    def jacobian() -> Any:
        parameters = [*np.ascontiguousarray(cameras[camera_of].T), *np.ascontiguousarray(points[point_of].T), w]
        residuals, gradients = pull(observed, parameters)
        for at, gradient in enumerate(gradients):
            rows[:, at] = gradient
        values[30 * len(w) :] = -2 * w
        return (np.stack(residuals, axis=1), 1 - w**2), values

    return Calls(None, Call(jacobian, ()))


def in_torch(case: Case) -> Calls:
    """Eager: two gradients of one recorded pass."""
    import torch

    from ..tools import names_of_torch

    torch.set_num_threads(1)

    def pull(f: Callable[..., Any], parameters: list[Any]) -> Any:
        leaves = [torch.from_numpy(given).requires_grad_() for given in parameters]
        u, v = f(leaves)
        gradients = [
            g if g is not None else torch.zeros_like(u)
            for part, keep in ((u, True), (v, False))
            for g in torch.autograd.grad(part.sum(), leaves, retain_graph=keep, allow_unused=True)
        ]
        return [u.detach(), v.detach()], gradients

    return in_columns(names_of_torch(), case, pull)


def in_autograd(case: Case) -> Calls:
    """A tape for each component."""
    import autograd
    from autograd import numpy as np_

    def pull(f: Callable[..., Any], parameters: list[Any]) -> Any:
        def both(at: int) -> Any:
            return autograd.core.make_vjp(lambda given: f(given)[at], autograd.builtins.list(parameters))

        results = [both(at) for at in (0, 1)]
        gradients = [g for pulled, value in results for g in pulled(np.ones_like(value))]
        return [value for _, value in results], gradients

    return in_columns(np_, case, pull)


def in_casadi(case: Case, through_c: bool) -> Calls:
    """The Jacobian of one observation, mapped over all; in CasADi's machine, or as the C that it writes."""
    import casadi

    cameras, points, w, seen, camera_of, point_of = case.inputs
    given = casadi.SX.sym("given", PARAMETERS)
    u, v = projected(casadi, casadi.vertsplit(given[:11]), casadi.vertsplit(given[11:14]))
    residual = given[14] * (casadi.vertcat(u, v) - given[15:])
    rows = casadi.densify(casadi.jacobian(residual, given[:15]).T)
    one = casadi.Function("one", [given], [residual, rows])
    p = len(w)
    if through_c:
        if compiler() is None:
            raise Unsupported("no C compiler")
        one = compiled(one)
    whole = one.map(p)
    buffer, trigger = whole.buffer()
    held = np.empty((p, PARAMETERS))
    residuals, values = np.empty((p, 2)), np.empty(31 * p)
    buffer.set_arg(0, memoryview(held.reshape(-1)))
    buffer.set_res(0, memoryview(residuals.reshape(-1)))
    buffer.set_res(1, memoryview(values[: 30 * p]))

    def jacobian(keep: Any = (buffer, one)) -> Any:
        held[:, :11], held[:, 11:14], held[:, 14], held[:, 15:] = cameras[camera_of], points[point_of], w, seen
        trigger()
        values[30 * p :] = -2 * w
        return (residuals, 1 - w**2), values

    return Calls(None, Call(jacobian, ()))


def compiled(function: Any) -> Any:
    """The Function through C, which the system's compiler makes fast."""
    import os
    import tempfile

    import casadi

    folder = tempfile.mkdtemp()
    back = os.getcwd()
    os.chdir(folder)  # CasADi writes into the working directory
    try:
        source = Path(folder, function.generate())
        loaded = library(source)
        return casadi.external(function.name(), loaded._name)
    finally:
        os.chdir(back)


def in_c(case: Case, *flags: str) -> Calls:
    """The C file beside this one."""
    cameras, points, w, seen, camera_of, point_of = case.inputs
    import ctypes

    call = library(Path(__file__).with_name("ba.c"), *flags).ba_jacobian
    residuals, errors, values = np.empty((len(w), 2)), np.empty(len(w)), np.empty(31 * len(w))
    index = [array.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)) for array in (camera_of, point_of)]
    arrays = [pointer(array) for array in (cameras, points, w, seen)]
    results = [pointer(array) for array in (residuals, errors, values)]
    given = (len(w), *arrays, *index, *results)
    return Calls(
        Call(call, (*given, 0)), Call(call, (*given, 1)), parts=lambda _: ((residuals, errors), values)
    )


# -- the problem ----------------------------------------------------------------------------------


def data(size: str) -> tuple[Any, ...]:
    """cameras, points, weights, where they were seen, and who sees what: one of each replicated, as in ADBench."""
    n, m, p = SIZES[size]
    path = adbench("ba", f"ba{size}_n{n}_m{m}_p{p}.txt")
    if path is None:
        camera = [-0.76, -1.11, -0.85, 34.6, 39.7, 53.9, 419.0, 5.9, -8.5, 0.088, 0.0027]
        numbers = np.array([*camera, 7.2, 0.0011, 3.0, 0.42, 271.8, 834.2])
    else:
        numbers = np.array(path.read_text("utf-8").split()[3:], dtype=float)
    camera, point, w, seen = np.split(numbers, [11, 14, 15])
    i = np.arange(p)
    return np.tile(camera, (n, 1)), np.tile(point, (m, 1)), np.tile(w, p), np.tile(seen, (p, 1)), i % n, i % m


def case(size: str) -> Case:
    """The case of a size as ADBench numbers them."""
    from . import ba_by_hand

    return Case(
        name=f"BA {size}",
        args={},
        wrt=(),
        inputs=data(size),
        loops=ba_by_hand.LOOPS,
        forms={
            "gradc": {"NumPy, sparse": in_gradc_sparse, "formula in a loop": in_gradc_by_scalars},
            "by hand (C)": {name: lambda case, flags=flags: in_c(case, *flags) for name, flags in FLAGS.items()},
            "JAX": {
                "columns": lambda case: in_jax(case, by_columns=True),
                "mapped": lambda case: in_jax(case, by_columns=False),
            },
            "PyTorch": {"columns": in_torch},
            "autograd": {"columns": in_autograd},
            "CasADi": {
                "machine": lambda case: in_casadi(case, through_c=False),
                "C": lambda case: in_casadi(case, through_c=True),
            },
        },
        tolerance=1e-8,
    )


PROBLEM = Problem("BA", tuple(SIZES), case, quick=("1",))
