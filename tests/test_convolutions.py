"""Convolutions as matrix products of their windows: which products there are, and that they give the loops' values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc
from gradc import nn
from gradc.ir.interpret import evaluate

from .test_contractions import calls

RNG = np.random.default_rng(17)


def squares(piece: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """The sum of the squared results of a piece with some options."""
    return lambda x, w: np.sum(piece(x, w, **options) ** 2)


IMAGES, WINDOW = (4, 9, 7), (5, 4, 3, 3)
CONVOLUTIONS: list[tuple[str, Callable[..., Any], tuple[str, str], tuple[int, ...], tuple[int, ...]]] = [
    ("plain", squares(nn.conv2d), ("n c h v", "k c 3 3"), IMAGES, WINDOW),
    ("strided", squares(nn.conv2d, stride=2), ("n c h v", "k c 3 3"), IMAGES, WINDOW),
    ("padded", squares(nn.conv2d, padding=1), ("n c h v", "k c 3 3"), IMAGES, WINDOW),
    ("same", squares(nn.conv2d, padding="same"), ("n c h v", "k c 3 3"), IMAGES, WINDOW),
    ("dilated", squares(nn.conv2d, dilation=2), ("n c h v", "k c 3 3"), IMAGES, WINDOW),
    ("all of them", squares(nn.conv2d, stride=(2, 1), padding=(2, 0), dilation=(1, 2)), ("n c h v", "k c 3 3"), IMAGES,
     WINDOW),
    ("unknown window", squares(nn.conv2d), ("n c h v", "k c r s"), IMAGES, WINDOW),
    ("channels last", squares(nn.conv2d, padding="same", layout="NHWC"), ("n h v c", "k c 3 3"), (9, 7, 4), WINDOW),
    ("in groups", squares(nn.conv2d, groups=2), ("n 4 h v", "20 2 3 3"), IMAGES, (20, 2, 3, 3)),
    ("one dimension", squares(nn.conv1d, stride=2), ("n c v", "k c r"), (3, 9), (4, 3, 4)),
    ("three dimensions", squares(nn.conv3d), ("n c d h v", "k c 2 2 2"), (2, 3, 4, 3), (3, 2, 2, 2, 2)),
    ("transposed", squares(nn.conv_transpose2d, stride=2), ("n c h v", "c k 3 3"), (3, 4, 5), (3, 2, 3, 3)),
    ("with an activation", lambda x, w: np.sum(nn.relu(nn.conv2d(x, w, padding="same")) ** 2), ("n c h v", "k c 3 3"),
     IMAGES, WINDOW),
    ("with a pool", lambda x, w: np.sum(nn.max_pool(nn.relu(nn.conv2d(x, w, padding="same")), 2) ** 2),
     ("n c h v", "k c 3 3"), IMAGES, WINDOW),
    ("with overlapping pools", lambda x, w: np.sum(nn.avg_pool(nn.max_pool(np.tanh(nn.conv2d(x, w)), 3, 2), 2) ** 2),
     ("n c h v", "k c 3 3"), IMAGES, WINDOW),
]


@pytest.mark.parametrize(("function", "shapes", "image", "window"), [row[1:] for row in CONVOLUTIONS],
                         ids=[row[0] for row in CONVOLUTIONS])
def test_a_convolution_and_its_gradients_are_three_products_with_the_values_of_the_interpreter(
        function: Callable[..., Any], shapes: tuple[str, str], image: tuple[int, ...], window: tuple[int, ...]) -> None:
    f = gradc.compile(function, dict(zip("xw", shapes, strict=True)), jit=False)
    assert len(calls(f.source)) == 1
    assert len(calls(f.value_and_grad.source)) == 3
    for batch in (0, 1, 3):
        x, w = RNG.normal(size=(batch, *image)), RNG.normal(size=window)
        value, found = f.value_and_grad(x, w)
        assert value == pytest.approx(function(x, w), rel=1e-12)
        for one, other in zip(found, evaluate(f.grad.graph, {"x": x, "w": w}), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def test_windows_are_copied_sample_by_sample_along_memory_and_kept_once() -> None:
    f = gradc.compile(squares(nn.conv2d), {"x": "n c 9 7", "w": "k c 3 3"}, wrt="w", jit=False)
    source = f.value_and_grad.source
    assert "windows = np.empty((c, 3, 3, 7, 5))" in source
    assert source.count("] = x[i, j, k + p, l + q]") + source.count("windows[") >= 2
    assert "windows_1" not in source
    copied = source[source.index("windows["):].splitlines()[0]
    places = copied.strip().removeprefix("windows[").partition("]")[0].split(", ")
    assert f"+ {places[-1]}]" in copied


def network(x: Any, y: Any, w: Any, v: Any, u: Any) -> Any:
    first = nn.max_pool(nn.relu(nn.conv2d(x, w, padding="same")), 2)
    second = nn.max_pool(nn.relu(nn.conv2d(first, v, padding="same")), 2)
    return nn.cross_entropy(np.reshape(second, (x.shape[0], -1)) @ u.T, y)


NETWORK = {"x": "n 1 8 8", "y": "int n", "w": "k 1 3 3", "v": "m k 3 3", "u": "c 4*m"}


def test_the_source_of_a_network_has_each_layer_once_and_no_index_that_is_taken_apart() -> None:
    f = gradc.compile(network, NETWORK, wrt=["w", "v", "u"], jit=False)
    source = f.value_and_grad.source
    assert len(calls(source)) == 8                              # three layers, their gradients, and one that needs none
    assert source.index("# forward") < source.index("matmul(w.reshape(k, 9)") < source.index("# backward")
    assert "//" not in source.partition("# forward")[2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_compiled_network_serves_every_batch(dtype: type) -> None:
    prefix = "float32 " if dtype is np.float32 else ""
    shapes = {name: text if text.startswith("int") else prefix + text for name, text in NETWORK.items()}
    f = gradc.compile(network, shapes, wrt=["w", "v", "u"])
    plain = gradc.compile(network, NETWORK, wrt=["w", "v", "u"], jit=False)
    for batch, kernels in ((1, 3), (3, 20)):
        given = [RNG.normal(size=(batch, 1, 8, 8)), RNG.integers(0, 3, batch), RNG.normal(size=(kernels, 1, 3, 3)),
                 RNG.normal(size=(5, kernels, 3, 3)), RNG.normal(size=(3, 20))]
        cast = [a if a.dtype == np.int64 else a.astype(dtype) for a in given]
        value, grads = f.value_and_grad(*cast)
        expected, plain_grads = plain.value_and_grad(*(a if a.dtype == np.int64 else a.astype(float) for a in cast))
        tolerance = 2e-4 if dtype is np.float32 else 1e-11
        assert value == pytest.approx(expected, rel=tolerance)
        for one, other in zip(grads, plain_grads, strict=True):
            assert one.dtype == dtype
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    assert len(f.value_and_grad.jit.signatures) == 1


def test_batches_of_matrices_are_multiplied_in_place() -> None:
    f = gradc.compile(lambda x, y: np.sum(np.sin(x @ y)), {"x": "b n k", "y": "b k m"}, jit=False)
    assert calls(f.source) == ["matmul(x[i], y[i], s1)"]
    for batch in (0, 1, 3):
        x, y = RNG.normal(size=(batch, 3, 4)), RNG.normal(size=(batch, 4, 5))
        assert f(x, y) == pytest.approx(np.sum(np.sin(x @ y)), rel=1e-12)


def test_heads_that_are_split_and_joined_keep_plain_indices() -> None:
    def attention(x: Any, w: Any, o: Any) -> Any:
        heads = np.reshape(x @ w, (x.shape[0], 4, 3))
        scores = nn.softmax(np.einsum("ihd,jhd->hij", heads, heads))
        joined = np.reshape(np.einsum("hij,jhd->ihd", scores, heads), (x.shape[0], 12))
        return np.sum(np.sin(joined @ o))

    f = gradc.compile(attention, {"x": "n c", "w": "c 12", "o": "12 m"}, jit=False)
    given = (RNG.normal(size=(5, 6)), RNG.normal(size=(6, 12)), RNG.normal(size=(12, 3)))
    assert f(*given) == pytest.approx(attention(*given), rel=1e-12)
    assert "//" not in f.value_and_grad.source
    gradc.check_gradients(f, *given, order=1)
