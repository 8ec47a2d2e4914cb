"""Sums that are matrix products: which are found, in which order of memory, and that the call gives the loops' values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc
from gradc import nn
from gradc.codegen.routines import matmul

RNG = np.random.default_rng(11)
SIZES = {"n": 5, "d": 4, "h": 3, "k": 2, "m": 6}


def arrays(shapes: dict[str, str], dtype: type = np.float64) -> list[Any]:
    """One random array for each declared argument."""
    return [RNG.normal(size=[SIZES[name] for name in text.split()]).astype(dtype) for text in shapes.values()]


def calls(source: str) -> list[str]:
    """The matrix products of a module, as they are called."""
    return [line.split("#")[0].strip() for line in source.splitlines() if line.strip().startswith("matmul(")]


FOUND: list[tuple[str, dict[str, str], Callable[..., Any], int]] = [
    ("two matrices", {"A": "n d", "B": "d h"}, lambda A, B: np.sum((A @ B) ** 2), 1),
    ("transposed", {"A": "d n", "B": "h d"}, lambda A, B: np.sum(np.sin(A.T @ B.T)), 1),
    ("three matrices", {"A": "n d", "B": "d h", "C": "h k"}, lambda A, B, C: np.sum(np.sin(A @ B @ C)), 2),
    ("factors in another order", {"A": "n d", "B": "d h", "w": "d"},
     lambda A, B, w: np.sum(np.sin(np.einsum("ij,j,jk->ik", A, w, B))), 1),
    ("with itself", {"A": "n d"}, lambda A: np.sum(np.exp(A @ A.T)), 1),
    ("divided", {"A": "n d", "B": "d h", "w": "d"}, lambda A, B, w: np.sum(np.sin((A / w) @ B)), 1),
    ("negative", {"A": "n d", "B": "d h"}, lambda A, B: np.sum(np.sin((-A) @ B)), 1),
    ("masked", {"A": "n d", "B": "d h"}, lambda A, B: np.sum(np.sin(np.where(A > 0, A, 0) @ B)), 1),
    ("two summed axes", {"A": "n d m", "B": "h d m"},
     lambda A, B: np.sum(np.sin(np.tensordot(A, B, ((1, 2), (1, 2))))), 1),
    ("a batch axis", {"A": "n d h", "B": "n h k"}, lambda A, B: np.sum(np.sin(A @ B)), 1),
    ("two axes of rows", {"A": "n d m", "B": "m h"}, lambda A, B: np.sum(np.sin(A @ B)), 1),
]
NOT_FOUND: list[tuple[str, dict[str, str], Callable[..., Any]]] = [
    ("a matrix and a vector", {"A": "n d", "w": "d"}, lambda A, w: np.sum(np.sin(A @ w))),
    ("short lengths", {"A": "n d", "B": "3 d"}, lambda A, B: np.sum(np.sin(A @ B.T))),
    ("a distance", {"A": "n d", "B": "m d"},
     lambda A, B: np.sum(np.exp(-np.sum((A[:, None] - B[None]) ** 2, axis=-1)))),
    ("a full sum", {"A": "n d", "u": "n", "w": "d"}, lambda A, u, w: u @ A @ w),
]


def test_a_matrix_that_is_used_twice_gets_its_adjoint_as_two_products() -> None:
    def f(A: Any, B: Any) -> Any:
        return np.sum(np.sin(A @ np.tanh(A @ B)))

    g = gradc.compile(f, {"A": "n n", "B": "n n"}, jit=False).value_and_grad
    own = g.source.partition("def value_and_grad_into")[2]
    assert len(calls(own)) == 6                                 # two forward, two for A, one for B, one in between
    assert not re.search(r"^ {12}for ", own, re.MULTILINE)      # and no loops three deep
    given = [RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4))]
    gradc.check_gradients(gradc.compile(f, {"A": "n n", "B": "n n"}, jit=False), *given, order=1)


def test_an_adjoint_of_products_and_other_terms_keeps_all_of_them() -> None:
    def f(A: Any, B: Any) -> Any:
        return np.sum(np.sin(A @ B)) - np.sum((A @ B @ A) * np.sum(A, axis=1)) + np.sum(A[0] * B[:, 1])

    given = [RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4))]
    gradc.check_gradients(gradc.compile(f, {"A": "n n", "B": "n n"}, jit=False), *given, order=1)


@pytest.mark.parametrize(("shapes", "function", "count"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND])
def test_a_matrix_product_is_one_call_with_the_values_of_the_interpreter(
        shapes: dict[str, str], function: Callable[..., Any], count: int) -> None:
    f = gradc.compile(function, shapes, jit=False)
    given = arrays(shapes)
    assert len(calls(f.source)) == count
    assert f(*given) == pytest.approx(function(*given), rel=1e-13)
    assert len(calls(f.value_and_grad.source)) > count
    expected = gradc.compile(function, shapes, jit=False).grad.graph
    found = f.grad(*given)
    names = dict(zip(shapes, given, strict=True))
    for name, node in expected.outputs:
        key = name.removeprefix("d_")
        reference = _interpreted(expected, names)[name]
        np.testing.assert_allclose(found[key] if isinstance(found, tuple) else found, reference, rtol=1e-12, atol=1e-12,
                                   err_msg=f"{name} of {node}")


def _interpreted(graph: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    from gradc.ir.interpret import evaluate

    return dict(zip((name for name, _ in graph.outputs), evaluate(graph, arguments), strict=True))


@pytest.mark.parametrize(("shapes", "function"), [row[1:] for row in NOT_FOUND], ids=[row[0] for row in NOT_FOUND])
def test_what_is_no_matrix_product_or_a_short_one_stays_a_loop(
        shapes: dict[str, str], function: Callable[..., Any]) -> None:
    f = gradc.compile(function, shapes, jit=False)
    assert calls(f.source) == []


def two_layers(x: Any, y: Any, W1: Any, W2: Any) -> Any:
    return nn.cross_entropy(nn.relu(x @ W1.T) @ W2.T, y)


LAYERS = {"x": "n d", "y": "int n", "W1": "h d", "W2": "k h"}


def test_the_layers_of_a_network_are_products_that_write_their_gradients_in_place() -> None:
    f = gradc.compile(two_layers, LAYERS, wrt=["W1", "W2"], jit=False)
    found = calls(f.value_and_grad.source)
    assert found[0] == "matmul(x, W1.T, s1)"
    assert found[-1].endswith(".T, x, d_W1)")
    assert any(call.endswith(", d_W2)") for call in found)
    assert "d_W1[:] = 0.0" not in f.value_and_grad.source


def blended(w: Any, t: Any, b: Any, g: Any) -> Any:
    """Points moved by some matrices at once, each with its weight."""
    return np.sum(w[g][:, :, None] * np.einsum("kpl,ip->ikl", t, b[g]), axis=1)


def test_a_sum_of_products_with_sums_is_one_product_in_the_order_of_memory() -> None:
    args = {"w": "v m", "t": "m 6 d", "b": "v 6", "g": "int n"}
    f = gradc.compile(blended, args, jit=False)
    (call,) = calls(f.source)
    assert re.fullmatch(r"matmul\(\w+\.reshape\(min\(n, v\), 6\*m\), \w+\.reshape\(6\*m, d\), \w+\)", call), call
    w, t, b, g = RNG.normal(size=(4, 7)), RNG.normal(size=(7, 6, 5)), RNG.normal(size=(4, 6)), RNG.integers(0, 4, 9)
    np.testing.assert_allclose(f(w, t, b, g), np.einsum("ik,ip,kpl->il", w[g], b[g], t), rtol=1e-12)
    assert not calls(gradc.compile(blended, {**args, "t": "m 6 3"}, jit=False).source)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_compiled_network_has_the_plain_gradient_for_every_batch(dtype: type) -> None:
    rng = np.random.default_rng(9)                              # a loss near 0 has few digits: not whatever is drawn
    prefix = "float32 " if dtype is np.float32 else ""
    shapes = {name: text if text.startswith("int") else prefix + text for name, text in LAYERS.items()}
    f = gradc.compile(two_layers, shapes, wrt=["W1", "W2"])
    plain = gradc.compile(two_layers, shapes, wrt=["W1", "W2"], jit=False)
    for batch in (1, 3, 40):                                    # loops, and the library for the last
        given = (rng.normal(size=(batch, 20)).astype(dtype), rng.integers(0, 4, batch),
                 rng.normal(size=(16, 20)).astype(dtype), rng.normal(size=(4, 16)).astype(dtype))
        tolerance = 1e-4 if dtype is np.float32 else 1e-11
        value, grads = f.value_and_grad(*given)
        expected, plain_grads = plain.value_and_grad(*given)
        assert value == pytest.approx(expected, rel=tolerance)
        for one, other in zip(grads, plain_grads, strict=True):
            assert one.dtype == dtype
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 0, 2), (0, 4, 2), (5, 1, 7), (4, 6, 3), (20, 30, 10)])
@pytest.mark.parametrize("turned", ["", "left", "right", "both"])
def test_matmul_multiplies_every_layout(sizes: tuple[int, int, int], turned: str) -> None:
    rows, inner, columns = sizes
    left = RNG.normal(size=(inner, rows)).T if turned in ("left", "both") else RNG.normal(size=(rows, inner))
    right = RNG.normal(size=(columns, inner)).T if turned in ("right", "both") else RNG.normal(size=(inner, columns))
    out = np.full((rows, columns), np.nan)
    matmul(left, right, out)
    np.testing.assert_allclose(out, left @ right, rtol=1e-12, atol=1e-12)
    strided = np.full((rows, 2 * columns), np.nan)[:, ::2]      # BLAS does not write there
    matmul(left, right, strided)
    np.testing.assert_allclose(strided, left @ right, rtol=1e-12, atol=1e-12)


JOINED: list[tuple[str, dict[str, str], Callable[..., Any], int]] = [
    ("weighted", {"A": "n d", "B": "n d", "T": "d h", "u": "n"},
     lambda A, B, T, u: u[:, None] * (A @ T) - (1 - u)[:, None] * (B @ T), 1),
    ("in another order", {"second": "n d", "T": "d h", "first": "n d", "w": "n"},
     lambda second, T, first, w: -(second @ T) - np.einsum("kj,i,ik->ij", T, w, first) + w[:, None] + T[0], 1),
    ("in brackets", {"A": "n d", "B": "n d", "T": "d h", "u": "n", "b": "h"},
     lambda A, B, T, u, b: u[:, None] * (A @ T + b) + (A @ T[::-1] - b) - 3 * (2 - (B @ T)), 2),
    ("turned", {"A": "n d", "B": "n d", "T": "d h", "R": "k h", "u": "n", "C": "n h"},
     lambda A, B, T, R, u, C: (A @ T) @ R.T + u[:, None] * ((B @ T) @ R.T) - C @ R.T, 2),
    ("a factor of fewer axes", {"A": "n d", "b": "d", "T": "d h"}, lambda A, b, T: A @ T + (b @ T)[None], 1),
    ("nothing shared", {"A": "n d", "B": "n d", "T": "d h", "S": "d h"}, lambda A, B, T, S: A @ T + B @ S, 2),
    ("used elsewhere too", {"A": "n d", "B": "n d", "T": "d h"}, lambda A, B, T: (A @ T) * (A @ T - B @ T), 2),
]


@pytest.mark.parametrize(("shapes", "function", "count"), [case[1:] for case in JOINED],
                         ids=[case[0] for case in JOINED])
def test_products_that_share_a_factor_are_added_up_before_they_are_multiplied(
        shapes: dict[str, str], function: Callable[..., Any], count: int) -> None:
    f = gradc.compile(function, shapes, jit=False)
    values = arrays(shapes)
    assert len(calls(f.source)) == count
    np.testing.assert_allclose(f(*values), function(*values), rtol=1e-12, atol=1e-14)
    directions = arrays(shapes)
    step = [v + 1e-6 * d for v, d in zip(values, directions, strict=True)]
    back = [v - 1e-6 * d for v, d in zip(values, directions, strict=True)]
    np.testing.assert_allclose(f.jvp(*values, *directions), (function(*step) - function(*back)) / 2e-6, rtol=1e-6,
                               atol=1e-7)


def test_tangents_of_gathered_products_are_one_product() -> None:
    def between(A: Any, T: Any, u: Any, at: Any) -> Any:
        made = A @ np.exp(T)
        return u[:, None] * made[at[:, 0]] + (1 - u)[:, None] * made[at[:, 1]]

    f = gradc.compile(between, {"A": "n d", "T": "d h", "u": "m", "at": "int m 2"}, wrt="T", jit=False)
    assert len(calls(f.jvp.many.source)) == 1
