"""Functions of whole arrays in formula strings: NumPy's values, and gradients against differences."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.special

import gradc
from gradc.compiler.derive import gradient
from gradc.compiler.formula import parse
from gradc.compiler.formula_arrays import ENTRIES
from gradc.compiler.passes import prepare
from gradc.ir.dims import Axis
from gradc.ir.interpret import evaluate
from gradc.ir.verify import verify

RNG = np.random.default_rng(5)
ARGS = {"x": "n", "y": "n", "z": "k", "A": "n m", "B": "m k", "S": "n n", "T": "k n m", "U": "k m n", "R": "m n"}
SIZES = {"n": 4, "m": 3, "k": 2}
POINT = {name: RNG.uniform(0.5, 1.5, size=[SIZES[dim] for dim in shape.split()]) for name, shape in ARGS.items()}
POINT["S"] = POINT["S"] @ POINT["S"].T + 2.0 * np.eye(4)
ROWS: list[tuple[str, Any]] = [
    # products
    ("einsum('ij,jk->ik', A, B)", lambda A, B: A @ B), ("einsum('ij,i', A, x)", lambda A, x: x @ A),
    ('einsum("...ij, j -> ...i", T, x[:m])', lambda T, x: T @ x[:3]), ("einsum('ii', S)", lambda S: np.trace(S)),
    ("einsum('ii->i', S)", lambda S: np.diagonal(S)), ("dot(x, y)", lambda x, y: x @ y),
    ("dot(A, B)", lambda A, B: A @ B), ("vdot(A, A)", lambda A: np.vdot(A, A)),
    ("inner(A, A)", lambda A: np.inner(A, A)), ("outer(x, z)", lambda x, z: np.outer(x, z)),
    ("matmul(A, B)", lambda A, B: A @ B),
    ("tensordot(T, A, ((1, 2), (0, 1)))", lambda T, A: np.tensordot(
        T, A, ((1, 2), (0, 1)))), ("tensordot(A, B, axes=1)", lambda A, B: A @ B),
    ("T @ U", lambda T, U: T @ U), ("T @ R", lambda T, R: T @ R), ("T @ B[:, 0]", lambda T, B: T @ B[:, 0]),
    ("x @ T", lambda x, T: x @ T), ("A @ B @ z", lambda A, B, z: A @ B @ z), ("A.T @ x", lambda A, x: A.T @ x),
    ("T.T", lambda T: T.T), ("(A @ B).T[0, 1:]", lambda A, B: (A @ B).T[0, 1:]),
    ("kron(A, B)", lambda A, B: np.kron(A, B)), ("cross(x[:3], A[:, :3])", lambda x, A: np.cross(x[:3], A[:, :3])),
    # norms and reductions
    ("norm(x)", lambda x: np.linalg.norm(x)), ("norm(A)", lambda A: np.linalg.norm(A)),
    ("norm(x, 1)", lambda x: np.abs(x).sum()), ("norm(x, inf)", lambda x: np.abs(x).max()),
    ("norm(x, -inf)", lambda x: np.abs(x).min()), ("norm(x, 3.5)", lambda x: np.linalg.norm(x, 3.5)),
    ("norm(A, axis=1)", lambda A: np.linalg.norm(A, axis=1)), ("norm(A, 2)", lambda A: np.linalg.norm(A, 2)),
    ("norm(A, 1, axis=0, keepdims=True)", lambda A: np.linalg.norm(A, 1, axis=0, keepdims=True)),
    ("sum(A, axis=0, keepdims=True) * A", lambda A: A.sum(0, keepdims=True) * A),
    ("A - mean(A, axis=-1, keepdims=True)", lambda A: A - A.mean(-1, keepdims=True)),
    ("max(T, axis=(0, 2), keepdims=True)", lambda T: T.max((0, 2), keepdims=True)),
    ("sum(x, keepdims=False)", lambda x: x.sum()), ("trace(S)", lambda S: np.trace(S)),
    ("var(A, axis=0)", lambda A: A.var(0)), ("std(x, ddof=1)", lambda x: x.std(ddof=1)),
    ("ptp(x)", lambda x: np.ptp(x)), ("median(x)", lambda x: np.median(x)), ("sort(x)", lambda x: np.sort(x)),
    ("x[argsort(x)]", lambda x: np.sort(x)), ("softmax(x)", lambda x: scipy.special.softmax(x)),
    ("log_softmax(A, axis=1)", lambda A: scipy.special.log_softmax(A, axis=1)),
    ("cumsum(x)", lambda x: np.cumsum(x)), ("cumprod(A, axis=0)", lambda A: np.cumprod(A, 0)),
    ("diff(A, axis=0)", lambda A: np.diff(A, axis=0)), ("diff(x, 2)", lambda x: np.diff(x, 2)),
    # shapes
    ("transpose(T)", lambda T: T.T), ("transpose(T, (1, 2, 0))", lambda T: T.transpose(1, 2, 0)),
    ("swapaxes(T, 0, -1)", lambda T: T.swapaxes(0, -1)), ("moveaxis(T, 0, 2)", lambda T: np.moveaxis(T, 0, 2)),
    ("diag(x)", lambda x: np.diag(x)), ("diag(S)", lambda S: np.diag(S)), ("diagonal(S)", lambda S: np.diagonal(S)),
    ("tril(S)", lambda S: np.tril(S)), ("triu(S, k=1)", lambda S: np.triu(S, 1)),
    ("concatenate([x, 2 * y])", lambda x, y: np.concatenate([x, 2 * y])),
    ("concatenate((A, A), axis=1)", lambda A: np.concatenate([A, A], 1)),
    ("stack([x, y], axis=1)", lambda x, y: np.stack([x, y], 1)), ("hstack((x, z))", lambda x, z: np.hstack([x, z])),
    ("vstack([x, y])", lambda x, y: np.vstack([x, y])), ("flip(x)", lambda x: np.flip(x)),
    ("roll(x, 1)", lambda x: np.roll(x, 1)), ("roll(A, -1, axis=0)", lambda A: np.roll(A, -1, 0)),
    ("squeeze(A[:, 0:1])", lambda A: A[:, 0]), ("squeeze(x[None], axis=0)", lambda x: x),
    ("expand_dims(x, 1) * A", lambda x, A: x[:, None] * A), ("ravel(A)", lambda A: A.ravel()),
    ("reshape(A, (m, n))", lambda A: A.reshape(3, 4)), ("reshape(T, (n * k, -1))", lambda T: T.reshape(8, -1)),
    ("reshape(A, -1)", lambda A: A.reshape(-1)), ("S + eye(n)", lambda S: S + np.eye(4)),
    ("zeros((n, m)) + A", lambda A: A), ("ones(n) * x", lambda x: x), ("arange(n) * x", lambda x: np.arange(4) * x),
    # indices
    ("A[:, 0]", lambda A: A[:, 0]), ("A[1:-1]", lambda A: A[1:-1]), ("x[::-1] * y", lambda x, y: x[::-1] * y),
    ("x[None, :] * y[:, None]", lambda x, y: x[None] * y[:, None]), ("T[..., 0]", lambda T: T[..., 0]),
    ("T[0, ...]", lambda T: T[0]), ("T[..., None, 1:]", lambda T: T[..., None, 1:]), ("x[...]", lambda x: x),
    ("x[-2::-2]", lambda x: x[-2::-2]), ("x[1::2]", lambda x: x[1::2]), ("A[..., 1, 0]", lambda A: A[1, 0]),
    # matrices
    ("solve(S, x)", lambda S, x: np.linalg.solve(S, x)), ("solve(S, A)", lambda S, A: np.linalg.solve(S, A)),
    ("inv(S)", lambda S: np.linalg.inv(S)), ("det(S)", lambda S: np.linalg.det(S)),
    ("logdet(S)", lambda S: np.linalg.slogdet(S)[1]), ("matrix_power(S, 3)", lambda S: S @ S @ S),
    ("matrix_power(S, -1)", lambda S: np.linalg.inv(S)), ("svdvals(A)", lambda A: np.linalg.svd(A)[1]),
    ("cholesky(S)", lambda S: np.linalg.cholesky(S)), ("eigvalsh(S)", lambda S: np.linalg.eigvalsh(S)),
    # inside a generator
    ("sum(norm(A[i]) * x[i] for i in range(n))", lambda A, x: (np.linalg.norm(A, axis=1) * x).sum()),
    ("sum(dot(T[j] @ R[:, 0], x) for j in range(k))", lambda T, R, x: sum(t @ R[:, 0] @ x for t in T)),
]


@pytest.mark.parametrize(("text", "reference"), ROWS, ids=[row[0] for row in ROWS])
def test_functions_of_arrays_are_numpys_and_have_their_gradient(text: str, reference: Any) -> None:
    graph = parse(text, ARGS)
    verify(graph)
    names = reference.__code__.co_varnames[:reference.__code__.co_argcount]
    want = reference(*(POINT[name] for name in names))
    got = evaluate(graph, POINT)[0]
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, 1e-12, 1e-12)
    weights = RNG.normal(size=np.shape(want))
    name, node = graph.outputs[0]
    axes = [Axis(dim, number) for number, dim in enumerate(node.shape)]
    if axes:
        index = [graph.axis(axis) for axis in axes]
        given = graph.read(graph.input("weights", shape=node.shape), index)
        node = graph.apply("mul", graph.read(node, index), given)
        for axis in reversed(axes):
            node = graph.reduce("sum", axis, node)
    graph.outputs[0] = (name, node)
    derived = gradient(prepare(graph), list(names), with_value=False, kinks="subgradient")
    given_point = {**POINT, "weights": weights} if axes else POINT
    slopes = evaluate(derived, {key: given_point[key] for key in derived.inputs})
    direction = {name: RNG.normal(size=POINT[name].shape) for name in names}
    ends = [np.sum((weights if axes else 1.0) * reference(*(POINT[name] + sign * 1e-6 * direction[name]
                                                           for name in names))) for sign in (1, -1)]
    along = sum(np.sum(slope * direction[name]) for name, slope in zip(names, slopes, strict=True))
    np.testing.assert_allclose(along, (ends[0] - ends[1]) / 2e-6, 1e-6, 1e-7)


def test_every_function_of_the_table_has_a_row() -> None:
    text = " ".join(row[0] for row in ROWS)
    assert [name for name in ENTRIES if f"{name}(" not in text] == []


def test_a_fresh_process_knows_every_function() -> None:
    program = ("from gradc.compiler.formula import parse\n"
               f"for text in {[row[0] for row in ROWS]!r}: parse(text, {ARGS!r})")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_logarithm_of_a_negative_determinant_is_not_a_number() -> None:
    assert np.isnan(gradc.compile("logdet(A)", args={"A": "n n"}, jit=False)(np.diag([1.0, -1.0])))


def test_a_size_that_no_array_has_is_an_argument() -> None:
    graph = parse("sum(eye(q) * a)")
    assert {name: node.dtype for name, node in graph.inputs.items()} == {"a": "float64", "q": "int64"}


def test_a_name_of_the_users_comes_before_a_function() -> None:
    assert gradc.compile("norm = 2 * x; norm + 1", jit=False)(3.0) == 7.0
    assert gradc.compile("x / trace", jit=False)(3.0, 2.0) == 1.5


def test_a_gradient_of_array_functions_compiles_for_every_size() -> None:
    f = gradc.compile("norm(A.T @ x) + einsum('ij,ij', A, A) + trace(A @ A.T)", args={"A": "n m", "x": "n"})
    for n, m in ((1, 1), (2, 3), (4, 2)):
        matrix, vector = RNG.normal(size=(n, m)), RNG.normal(size=n)
        product = matrix.T @ vector
        want = np.outer(vector, product) / np.linalg.norm(product) + 4 * matrix
        np.testing.assert_allclose(f.grad(matrix, vector).A, want, 1e-12, 1e-13)
    assert len(f.grad.jit.signatures) == 1
