"""Sums over gathered values, collected by what their coefficients vary with, against the graph as it was."""

import numpy as np
import pytest

import gradc
from gradc.compiler.collect import collected
from gradc.compiler.literal import written_out
from gradc.compiler.per_element import pairs
from gradc.ir.interpret import evaluate
from gradc.ir.verify import verify

ARGS = {"cameras": "n 6", "points": "m 3", "w": "p", "camera_of": "int p", "point_of": "int p"}


def turned(cameras, points, w, camera_of, point_of):
    r, p = cameras[camera_of, :3], points[point_of] - cameras[camera_of, 3:]
    theta = np.sqrt(np.sum(r**2, axis=1, keepdims=True))
    a = r / theta
    along = np.sum(a * p, axis=1, keepdims=True)
    t = p * np.cos(theta) + np.cross(a, p) * np.sin(theta) + a * along * (1 - np.cos(theta))
    return w[:, None] * t[:, :2] / t[:, 2:]


def turned_otherwise(cameras, points, w, camera_of, point_of):
    """Rodrigues' formula by two cross products, with its limit at the angle 0."""
    v, q = cameras[camera_of, :3], points[point_of] - cameras[camera_of, 3:]
    square = v[:, :1] ** 2 + v[:, 1:2] ** 2 + v[:, 2:3] ** 2
    positive = square > 0
    angle = np.sqrt(np.where(positive, square, 1.0))
    one = np.cross(v, q)
    two = np.cross(v, one)
    s = np.where(positive, np.sin(angle) / angle, 1.0)
    c = np.where(positive, (1 - np.cos(angle)) / angle**2, 0.5)
    t = two * c + s * one + q
    return w[:, None] * t[:, :2] / t[:, 2:]


def values(seed=0):
    rng = np.random.default_rng(seed)
    cameras, points = rng.normal(size=(3, 6)), rng.normal(size=(7, 3))
    return [cameras, points, rng.normal(size=40), rng.integers(0, 3, 40), rng.integers(0, 7, 40)]


def both(graph, given):
    graph = written_out(graph)
    new = collected(graph, pairs(graph)[:1])
    verify(new)
    inputs = dict(zip(graph.inputs, given, strict=True))
    return evaluate(graph, inputs), evaluate(new, inputs), graph, new


def rows(function):
    """The graph of the values of a sparse Jacobian, and what it is given."""
    f = gradc.compile(function, args=ARGS, wrt=("cameras", "points", "w"), jit=False)
    jacobian = f.jacobian.sparse.stacked
    return jacobian.values.graph, [*values(), *jacobian.places(*values())]


def at_places(graph):
    return sum(node.op in ("add", "sub", "mul", "neg") and node.dtype == "float64" and bool(node.axes)
               and any(axis.dim.name == "p" for axis in node.axes) for node in graph.reachable())


@pytest.mark.parametrize("function", [turned, turned_otherwise])
def test_a_rotation_is_nine_numbers_of_a_camera(function):
    f = gradc.compile(function, args=ARGS, jit=False)
    before, after, graph, new = both(f.plain.prepared, values())
    np.testing.assert_allclose(after[0], before[0], rtol=1e-12)
    assert at_places(new) < at_places(graph)


@pytest.mark.parametrize("function", [turned, turned_otherwise])
def test_derivatives_by_a_rotation_keep_their_values(function):
    before, after, graph, new = both(*rows(function))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-10)
    assert at_places(new) <= at_places(graph)


def test_derivatives_by_a_rotation_are_sums_over_pairs():
    """Two rows of cotangents share the sums over coordinates: less than three quarters of the operations are left."""
    _, _, graph, new = both(*rows(turned))
    assert at_places(new) < 3 / 4 * at_places(graph)


def test_an_angle_of_zero_keeps_its_limit():
    given = values()
    given[0][1, :3] = 0.0
    given[0][2, :3] *= 1e-9
    f = gradc.compile(turned_otherwise, args=ARGS, jit=False)
    before, after, _, _ = both(f.prepared, given)
    assert np.isfinite(after[0]).all()
    np.testing.assert_allclose(after[0], before[0], rtol=1e-12)


def test_a_difference_is_not_distributed():
    """R (X - C) with X close to C: R X - R C would lose all digits."""
    given = values()
    given[0][:, 3:], given[1][:] = 1e12, 1e12 + np.arange(21).reshape(7, 3) + 1
    f = gradc.compile(turned, args=ARGS, jit=False)
    before, after, _, _ = both(f.prepared, given)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-11)


def test_a_branch_that_is_not_taken_does_not_leak():
    def f(k, x, y, of):
        a = k[of]
        return np.where(a > 0, np.sin(a) * np.log(x) + np.cos(a) * y, 0.0) + a * y + np.sin(a) * y

    f = gradc.compile(f, args={"k": "n", "x": "p", "y": "p", "of": "int p"}, jit=False)
    given = [np.array([0.0, 2.0]), np.array([0.0, 3.0]), np.array([1.0, 4.0]), np.array([0, 1])]
    before, after, _, _ = both(f.prepared, given)
    assert np.isfinite(after[0]).all()
    np.testing.assert_allclose(after[0], before[0], rtol=1e-14)


def test_without_elements_that_are_far_fewer_all_stays():
    graph = gradc.compile(turned, args=ARGS, jit=False).prepared
    assert collected(graph, []) is graph


def test_a_sparse_jacobian_is_that_of_the_dense_one():
    n, m, p = 3, 7, 400
    rng = np.random.default_rng(2)
    given = [rng.normal(size=(n, 6)), rng.normal(size=(m, 3)), rng.normal(size=p), rng.integers(0, n, p),
             rng.integers(0, m, p)]
    f = gradc.compile(turned, args=ARGS, wrt=("cameras", "points", "w"), jit=False)
    sparse = f.jacobian.sparse.stacked(*given)
    dense = f.jacobian(*given)
    expected = np.concatenate([np.reshape(part, (2 * p, -1)) for part in dense], axis=1)
    np.testing.assert_allclose(sparse.toarray(), expected, rtol=1e-9, atol=1e-9)
