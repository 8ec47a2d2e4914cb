"""Network pieces: what plain loops give, the same when traced, and gradients that hold at 60 digits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradc
from gradc import nn

from .comparison import agrees, close

RANDOM = np.random.default_rng(5)


def convolved(x: Any, w: Any, stride: tuple[int, int], padding: int, dilation: tuple[int, int], groups: int) -> Any:
    """A convolution as seven loops."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    k, c, r, s = w.shape
    height = (x.shape[2] - dilation[0] * (r - 1) - 1) // stride[0] + 1
    width = (x.shape[3] - dilation[1] * (s - 1) - 1) // stride[1] + 1
    y = np.zeros((x.shape[0], k, height, width))
    for n, o, i, j, a, b, d in itertools.product(*map(range, (*y.shape, c, r, s))):
        channel = o // (k // groups) * c + a
        y[n, o, i, j] += x[n, channel, i * stride[0] + b * dilation[0], j * stride[1] + d * dilation[1]] * w[o, a, b, d]
    return y


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [
    ((1, 1), 0, (1, 1), 1), ((2, 1), 1, (1, 1), 1), ((1, 2), 2, (2, 1), 1), ((1, 1), 0, (1, 1), 2)])
def test_a_convolution_is_the_sum_over_its_window(stride: Any, padding: int, dilation: Any, groups: int) -> None:
    x, w = RANDOM.standard_normal((2, 4, 6, 5)), RANDOM.standard_normal((6, 4 // groups, 3, 2))
    wanted = convolved(x, w, stride, padding, dilation, groups)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    close(nn.conv2d(x, w, **options), wanted)
    f = agrees(lambda x, w: nn.conv2d(x, w, **options), {"x": "n 4 h v", "w": f"6 {4 // groups} 3 2"}, {"x": x, "w": w})
    close(f(x, w), wanted)


def test_same_padding_keeps_the_size_and_channels_may_come_last() -> None:
    x, w = RANDOM.standard_normal((2, 3, 6, 5)), RANDOM.standard_normal((4, 3, 3, 3))
    wanted = convolved(x, w, (1, 1), 1, (1, 1), 1)
    close(nn.conv2d(x, w, padding="same"), wanted)
    last = np.moveaxis(x, 1, -1)
    f = gradc.compile(lambda x, w: nn.conv2d(x, w, padding="same", layout="NHWC"),
                      {"x": "n h v c", "w": "k c 3 3"}, jit=False)
    close(f(last, w), np.moveaxis(wanted, 1, -1))


def test_convolutions_of_one_and_three_dimensions() -> None:
    x, w = RANDOM.standard_normal((2, 3, 7)), RANDOM.standard_normal((4, 3, 3))
    close(nn.conv1d(x, w), convolved(x[..., None], w[..., None], (1, 1), 0, (1, 1), 1)[..., 0])
    agrees(lambda x, w: nn.conv1d(x, w), {"x": "n c v", "w": "k c r"}, {"x": x, "w": w})
    x, w = RANDOM.standard_normal((1, 2, 3, 4, 3)), RANDOM.standard_normal((2, 2, 2, 2, 2))
    wanted = sum(w[None, :, c, q, r, s, None, None, None] * x[:, None, c, q:q + 2, r:r + 3, s:s + 2]
                 for c, q, r, s in itertools.product(*map(range, (2, 2, 2, 2))))
    f = gradc.compile(lambda x, w: nn.conv3d(x, w), {"x": "n c d h v", "w": "k c 2 2 2"}, jit=False)
    close(f(x, w), wanted)


def test_pools_take_the_maximum_or_the_mean_of_a_window() -> None:
    x = RANDOM.standard_normal((2, 3, 6, 4))
    blocks = x.reshape(2, 3, 3, 2, 2, 2)
    for pool, reduce in ((nn.max_pool, np.max), (nn.avg_pool, np.mean)):
        close(pool(x, 2), reduce(blocks, axis=(3, 5)))
        f = gradc.compile(_pool(pool), {"x": "n c h v"}, jit=False)
        close(f(x), reduce(blocks, axis=(3, 5)))


def _pool(pool: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        return pool(x, 2)

    return run


PIECES: list[tuple[str, Callable[..., Any], dict[str, str]]] = [
    ("relu", lambda x: nn.relu(x), {"x": "n d"}),
    ("leaky_relu", lambda x: nn.leaky_relu(x, 0.1), {"x": "n d"}),
    ("elu", lambda x: nn.elu(x), {"x": "n d"}),
    ("gelu", lambda x: nn.gelu(x), {"x": "n d"}),
    ("sigmoid", lambda x: nn.sigmoid(x), {"x": "n d"}),
    ("tanh", lambda x: nn.tanh(x), {"x": "n d"}),
    ("softplus", lambda x: nn.softplus(x), {"x": "n d"}),
    ("softmax", lambda x: nn.softmax(x), {"x": "n d"}),
    ("log_softmax", lambda x: nn.log_softmax(x, 0), {"x": "n d"}),
    ("max_pool", lambda x: nn.max_pool(x, (2, 1), stride=1), {"x": "n d 4 3"}),
    ("avg_pool", lambda x: nn.avg_pool(x, 2), {"x": "n d 4 2"}),
    ("batch_norm", lambda x, s, b: nn.batch_norm(x, s, b), {"x": "n d 3 2", "s": "d", "b": "d"}),
    ("layer_norm", lambda x, s, b: nn.layer_norm(x, s, b), {"x": "n d", "s": "d", "b": "d"}),
    ("cross_entropy", lambda x, y: nn.cross_entropy(x, y), {"x": "n 3", "y": "int n"}),
    ("cross_entropy of one-hot", lambda x, y: nn.cross_entropy(x, nn.one_hot(y, 3)), {"x": "n 3", "y": "int n"}),
    ("mse", lambda x, y: nn.mse(x, y), {"x": "n d", "y": "n d"}),
    ("embedding", lambda x, y: nn.embedding(x, y), {"x": "3 d", "y": "int n"}),
    ("dropout", lambda x, m: nn.dropout(x, m > 0, 0.5), {"x": "n", "m": "n"}),
]


@pytest.mark.parametrize(("name", "piece", "args"), PIECES, ids=[name for name, *_ in PIECES])
def test_a_piece_is_the_same_traced_and_has_its_gradient(name: str, piece: Callable[..., Any], args: dict[str, str]) -> None:
    sizes = {"n": 4, "d": 2}
    given: dict[str, Any] = {}
    for key, text in args.items():
        words = text.split()
        shape = [sizes.get(w, 0) or int(w) for w in words if w != "int"]
        given[key] = RANDOM.integers(0, 3, shape) if words[0] == "int" else RANDOM.standard_normal(shape)
    f = agrees(piece, args, given, tolerance=1e-8)
    close(f(**given), piece(**given))


def test_a_network_is_traced_through_helpers_that_import_inside() -> None:
    def forward(x: Any, w: Any, v: Any) -> Any:
        from numpy import tanh

        hidden = tanh(nn.max_pool(nn.relu(nn.conv2d(x, w)), 2))
        return np.reshape(hidden, (x.shape[0], -1)) @ v

    def loss(x: Any, y: Any, w: Any, v: Any) -> Any:
        return nn.cross_entropy(forward(x, w, v), y)

    given = {"x": RANDOM.standard_normal((3, 1, 5, 5)), "y": np.array([0, 2, 1]),
             "w": RANDOM.standard_normal((2, 1, 2, 2)), "v": RANDOM.standard_normal((8, 3))}
    f = agrees(loss, {"x": "n 1 5 5", "y": "int n", "w": "2 1 2 2", "v": "8 3"}, given, tolerance=1e-8)
    close(f(**given), loss(**given))
