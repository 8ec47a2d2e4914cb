"""Hand tracking, ADBench's third problem: the residuals of points against a skinned hand, and their Jacobian.

26 angles pose 22 bones; a vertex is moved by the bones that hold it. In the simple variant a point is compared with a
vertex, in the complicated one with a place on a triangle, whose two coordinates are parameters of their own for each
point. The Jacobian stands by columns: (columns, 3 points), in the complicated variant the two columns of the points'
own coordinates first.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..case import Array, Call, Calls, Case, Problem
from ..data import adbench

SIZES = ("simple small 100", "simple big 100", "complicated small 100", "complicated small 800", "complicated big 100")
ANGLES, BONES = 26, 22


class Model(NamedTuple):
    """The hand: for each bone its parent (-1 for none) and two transformations; vertices and weights."""

    parents: tuple[int, ...]
    relatives: Array
    inverses: Array
    base: Array
    weights: Array


def angles_of_bones() -> Any:
    """Which angle turns a bone about which axis; ANGLES for none. A finger has two angles at its root."""
    where = np.full((BONES, 3), ANGLES)
    angle, bone = 6, 2
    for _ in range(5):
        for joint in range(3):
            where[bone, 0] = angle
            angle += 1
            if joint == 0:
                where[bone, 1] = angle
                angle += 1
            bone += 1
        bone += 1
    return where


WHERE = angles_of_bones()


def vertices(np: Any, theta: Any, model: Model) -> Any:
    """The posed vertices (v, 3)."""
    angles = np.concatenate([theta, np.zeros(1, dtype=theta.dtype)])[WHERE]
    cos, sin = np.cos(angles), np.sin(angles)
    cx, cz, cy = cos[:, 0], cos[:, 1], cos[:, 2]
    sx, sz, sy = sin[:, 0], sin[:, 1], sin[:, 2]
    zero, one = np.zeros_like(cx), np.ones_like(cx)
    turns = np.stack(
        [
            np.stack([cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx, zero], axis=1),
            np.stack([sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx, zero], axis=1),
            np.stack([-sy, cy * sx, cy * cx, zero], axis=1),
            np.stack([zero, zero, zero, one], axis=1),
        ],
        axis=1,
    )
    relatives = np.matmul(np.asarray(model.relatives), turns)
    absolutes: list[Any] = []
    for bone, parent in enumerate(model.parents):
        absolutes.append(relatives[bone] if parent < 0 else absolutes[parent] @ relatives[bone])
    transforms = np.matmul(np.stack(absolutes), np.asarray(model.inverses))
    posed = np.einsum("vb,bij,vj->vi", np.asarray(model.weights), transforms[:, :3], np.asarray(model.base))
    return posed @ turning(np, theta[:3]).T + theta[3:6]


def turning(np: Any, r: Any) -> Any:
    """The rotation about the axis r by the angle |r|."""
    angle = np.sqrt(np.sum(r**2))
    axis = r / angle
    x, y, z = axis[0], axis[1], axis[2]
    c, s = np.cos(angle), np.sin(angle)
    return np.stack(
        [
            np.stack([x * x + (1 - x * x) * c, x * y * (1 - c) - z * s, x * z * (1 - c) + y * s]),
            np.stack([x * y * (1 - c) + z * s, y * y + (1 - y * y) * c, y * z * (1 - c) - x * s]),
            np.stack([x * z * (1 - c) - y * s, y * z * (1 - c) + x * s, z * z + (1 - z * z) * c]),
        ]
    )


def simple(np: Any, theta: Any, model: Model, points: Any, at: Any) -> Any:
    """The residuals (points, 3)."""
    return points - vertices(np, theta, model)[at]


def complicated(np: Any, theta: Any, us: Any, model: Model, points: Any, at: Any) -> Any:
    """The residuals (points, 3) against the places `us` (points, 2) on the triangles of the vertices `at`."""
    posed = vertices(np, theta, model)
    u, v = us[:, :1], us[:, 1:]
    return points - (u * posed[at[:, 0]] + v * posed[at[:, 1]] + (1 - u - v) * posed[at[:, 2]])


def needed(model: Model, at: Any) -> tuple[Model, Any]:
    """The model with the vertices alone that the points touch: what a careful user does by hand."""
    used, new = np.unique(at, return_inverse=True)
    return model._replace(base=model.base[used], weights=model.weights[used]), new.reshape(at.shape)


# -- the tools ------------------------------------------------------------------------------------


DECLARED = {
    "theta": "26", "relatives": "b 4 4", "inverses": "b 4 4", "base": "v 4", "weights": "v b", "points": "n 3",
}  # fmt: skip


def in_gradc(case: Case, *, gathered: bool) -> Calls:
    """The Jacobian; where points have coordinates of their own, the derivative along the directions of all columns."""
    import gradc

    theta, us, model, points, at = case.inputs
    if gathered:
        model, at = needed(model, at)
    parents = model.parents
    arrays = model.relatives, model.inverses, model.base, model.weights, points, at
    if us is None:

        def residuals(theta, relatives, inverses, base, weights, points, at):
            return simple(np, theta, Model(parents, relatives, inverses, base, weights), points, at)

        args = {**DECLARED, "at": "int n"}
        given = (theta, *arrays)
    else:

        def residuals(theta, relatives, inverses, base, weights, points, at, us):
            return complicated(np, theta, us, Model(parents, relatives, inverses, base, weights), points, at)

        args = {**DECLARED, "at": "int n 3", "us": "n 2"}
        given = (theta, *arrays, us)

    f = gradc.compile(residuals, args, wrt="theta" if us is None else ("us", "theta"))
    if us is None:

        def by_theta() -> Any:
            value, slopes = f.value_and_jacobian(*given)
            return value, np.moveaxis(slopes, -1, 0)

        return Calls(Call(f, given), Call(by_theta, ()))
    along = np.eye(ANGLES + 2)                                  # two directions move all points' own coordinates
    units = np.broadcast_to(along[:2], (len(us), 2, ANGLES + 2)).copy(), along[2:].copy()

    def jacobian() -> Any:
        return f(*given), np.moveaxis(f.jvp.many(*given, *units), -1, 0)

    return Calls(Call(f, given), Call(jacobian, ()))


def in_jax(case: Case, gathered: bool) -> Calls:
    """jvp, mapped over the directions."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    theta, us, model, points, at = case.inputs
    if gathered:
        model, at = needed(model, at)
    units = jnp.eye(ANGLES)

    def residuals(theta: Any, us: Any, points: Any, at: Any) -> Any:
        if us is None:
            return simple(jnp, theta, model, points, at)
        return complicated(jnp, theta, us, model, points, at)

    def jacobian(theta: Any, us: Any, points: Any, at: Any) -> Any:
        def along(direction: Any) -> Any:
            return jax.jvp(lambda theta: residuals(theta, us, points, at), (theta,), (direction,))

        value, columns = jax.vmap(along, out_axes=(None, 0))(units)
        if us is not None:
            own = [
                jax.jvp(lambda us: residuals(theta, us, points, at), (us,), (jnp.zeros_like(us).at[:, i].set(1.0),))[1]
                for i in (0, 1)
            ]
            columns = jnp.concatenate([jnp.stack(own), columns])
        return value, columns

    value, both = jax.jit(residuals), jax.jit(jacobian)
    given = tuple(None if part is None else jnp.asarray(part) for part in (theta, us, points, at))
    return Calls(
        Call(lambda *args: value(*args).block_until_ready(), given),
        Call(lambda *args: jax.block_until_ready(both(*args)), given),
    )


def in_torch(case: Case) -> Calls:
    """torch.func.jvp, mapped over the directions."""
    import torch

    from ..tools import names_of_torch

    torch.set_num_threads(1)
    np_ = names_of_torch()
    theta, us, model, points, at = case.inputs
    theta, points, at = map(torch.tensor, (theta, points, at))
    us = None if us is None else torch.tensor(us)
    units = torch.eye(ANGLES, dtype=torch.float64)

    def residuals(theta: Any, us: Any) -> Any:
        if us is None:
            return simple(np_, theta, model, points, at)
        return complicated(np_, theta, us, model, points, at)

    def jacobian() -> Any:
        def along(direction: Any) -> Any:
            return torch.func.jvp(lambda theta: residuals(theta, us), (theta,), (direction,))[1]

        columns = torch.func.vmap(along)(units)
        if us is not None:
            own = []
            for i in (0, 1):
                direction = torch.zeros_like(us)
                direction[:, i] = 1.0
                own.append(torch.func.jvp(lambda us: residuals(theta, us), (us,), (direction,))[1])
            columns = torch.concatenate([torch.stack(own), columns])
        return residuals(theta, us), columns

    return Calls(Call(residuals, (theta, us)), Call(jacobian, ()))


# -- the problem ----------------------------------------------------------------------------------


def read_model(folder: Path) -> Model:
    """The files of a model: numbers between colons, one bone, vertex or triangle a line."""
    bones = [line.split(":") for line in (folder / "bones.txt").read_text("utf-8").split()]
    vertices = [line.split(":") for line in (folder / "vertices.txt").read_text("utf-8").split()]
    base = np.array([[*map(float, words[:3]), 1.0] for words in vertices])
    weights = np.zeros((len(vertices), len(bones)))
    for row, words in zip(weights, vertices, strict=True):
        for i in range(int(words[8])):
            row[int(words[9 + 2 * i])] = float(words[10 + 2 * i])
    matrices = np.array([[float(word) for word in words[2:34]] for words in bones]).reshape(-1, 2, 4, 4)
    parents = tuple(int(words[1]) for words in bones)
    return Model(parents, matrices[:, 0].copy(), matrices[:, 1].copy(), base, weights)


def read_triangles(folder: Path) -> Any:
    """The vertices of each triangle."""
    lines = (folder / "triangles.txt").read_text("utf-8").split()
    return np.array([list(map(int, line.split(":"))) for line in lines])


def made_model(count: int, random: np.random.Generator) -> Model:
    """A hand of the same structure: a wrist, fingers of four bones, vertices held by one to four bones."""
    parents = (-1, *(0 if joint == 0 else 4 * finger + joint for finger in range(5) for joint in range(4)), 0)
    parents = tuple(parents[:BONES])
    turned = np.linalg.qr(random.standard_normal((BONES, 3, 3)))[0]
    relatives = np.tile(np.eye(4), (BONES, 1, 1))
    relatives[:, :3, :3], relatives[:, :3, 3] = turned, 0.3 * random.standard_normal((BONES, 3))
    absolutes: list[Array] = []
    for bone, parent in enumerate(parents):
        absolutes.append(relatives[bone] if parent < 0 else absolutes[parent] @ relatives[bone])
    weights = np.zeros((count, BONES))
    for row in weights:
        bones = random.choice(BONES, random.integers(1, 5), replace=False)
        row[bones] = random.dirichlet(np.ones(len(bones)))
    base = np.concatenate([random.standard_normal((count, 3)), np.ones((count, 1))], axis=1)
    return Model(parents, relatives, np.linalg.inv(np.stack(absolutes)), base, weights)


def data(size: str) -> tuple[Any, ...]:
    """theta, us (None in the simple variant), the model, points, and their vertices: ADBench's, or made."""
    kind, scale, count = size.split()
    folder = adbench("hand", f"{kind}_{scale}")
    if folder is None:
        random = np.random.default_rng(0)
        model = made_model(544 if scale == "small" else 10_000, random)
        at = random.integers(0, len(model.base), int(count) if kind == "simple" else (int(count), 3))
        us = random.random((int(count), 2)) / 2 if kind == "complicated" else None
        return 0.3 * random.standard_normal(ANGLES), us, model, random.standard_normal((int(count), 3)), at
    file = next(folder.glob(f"hand*_c{count}.txt"))
    words = file.read_text("utf-8").split()
    n = int(words[0])
    numbers = np.array(words[2 : 2 + 4 * n], dtype=float).reshape(n, 4)
    rest = np.array(words[2 + 4 * n :], dtype=float)
    us = rest[: 2 * n].reshape(n, 2) if kind == "complicated" else None
    at = numbers[:, 0].astype(int)
    if kind == "complicated":
        at = read_triangles(folder / "model")[at]
    return rest[-ANGLES:], us, read_model(folder / "model"), numbers[:, 1:].copy(), at


def case(size: str) -> Case:
    """The case of a size like `simple small 100`."""
    return Case(
        name=f"HAND {size}",
        args={},
        wrt=(),
        inputs=data(size),
        forms={
            "gradc": {
                "columns": lambda case: in_gradc(case, gathered=False),
                "columns, needed vertices": lambda case: in_gradc(case, gathered=True),
            },
            "JAX": {
                "jvp mapped": lambda case: in_jax(case, gathered=False),
                "jvp mapped, needed vertices": lambda case: in_jax(case, gathered=True),
            },
            "PyTorch": {"jvp mapped": in_torch},
        },
        tolerance=1e-8,
    )


PROBLEM = Problem("HAND", SIZES, case, quick=("simple small 100",))
