"""Network pieces: what plain loops give, the same when traced, and gradients that hold at 60 digits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

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


def spread(x: Any, w: Any, stride: int, padding: int, extra: int, dilation: int, groups: int) -> Any:
    """A transposed convolution of one dimension: every element adds the kernel to the result."""
    n, c, width = x.shape
    _, k, r = w.shape
    y = np.zeros((n, k * groups, (width - 1) * stride + dilation * (r - 1) + 1 + extra))
    for a, i, b in itertools.product(range(c), range(width), range(r)):
        group = a // (c // groups)
        y[:, group * k:(group + 1) * k, i * stride + b * dilation] += x[:, a, i, None] * w[a, :, b]
    return y[:, :, padding:y.shape[2] - padding]


@pytest.mark.parametrize(("stride", "padding", "extra", "dilation", "groups"), [
    (1, 0, 0, 1, 1), (2, 1, 1, 1, 1), (3, 0, 0, 2, 2), (1, 4, 0, 1, 1)])
def test_a_transposed_convolution_adds_the_kernel_for_every_element(
        stride: int, padding: int, extra: int, dilation: int, groups: int) -> None:
    x, w = RANDOM.standard_normal((2, 4, 6)), RANDOM.standard_normal((4, 3, 3))
    wanted = spread(x, w, stride, padding, extra, dilation, groups)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation,
                               "groups": groups}
    close(nn.conv_transpose1d(x, w, **options), wanted)
    f = gradc.compile(lambda x, w: nn.conv_transpose1d(x, w, **options), {"x": "n 4 v", "w": "4 3 3"}, jit=False)
    close(f(x, w), wanted)
    gradc.check_gradients(f, x[:1, :, :3], w, order=1)


def test_a_transposed_convolution_is_the_gradient_of_the_convolution() -> None:
    x, w = RANDOM.standard_normal((2, 3, 7, 5)), RANDOM.standard_normal((4, 3, 3, 2))
    for options in ({"stride": 2, "padding": (1, 0)}, {"dilation": (1, 2)}):
        f = gradc.compile(_convolved(options), {"x": "n c 7 5", "w": "k c 3 2"}, wrt="x", jit=False)
        y, saved = f.forward(x, w)
        cotangent = RANDOM.standard_normal(y.shape)
        short = [size - ((out - 1) * step + d * (r - 1) + 1 - 2 * p) for size, out, r, step, d, p in zip(
            x.shape[2:], y.shape[2:], (3, 2), *_pairs(options), strict=True)]
        close(nn.conv_transpose2d(cotangent, w, output_padding=tuple(short), **options), f.backward(saved, cotangent))


def test_same_padding_of_a_transposed_convolution_multiplies_the_size_by_the_stride() -> None:
    x = RANDOM.standard_normal((2, 5, 4, 3))
    for size, stride in ((3, 2), (2, 3), (3, 1)):
        w = RANDOM.standard_normal((3, 2, size, size))
        y = nn.conv_transpose2d(x, w, stride, "same", layout="NHWC")
        assert y.shape == (2, 5 * stride, 4 * stride, 2)
        full = nn.conv_transpose2d(x, w, stride, layout="NHWC")
        start = max(size - stride, 0) // 2
        inner = full[:, start:start + 5 * stride, start:start + 4 * stride]
        close(y[:, :inner.shape[1], :inner.shape[2]], inner)


def test_a_convolution_is_that_of_scipy_in_two_and_three_dimensions() -> None:
    x, w = RANDOM.standard_normal((1, 1, 4, 5, 3)), RANDOM.standard_normal((1, 1, 2, 3, 2))
    close(nn.conv3d(x, w)[0, 0], scipy.signal.correlate(x[0, 0], w[0, 0], "valid"))
    close(nn.conv_transpose3d(x, w)[0, 0], scipy.signal.convolve(x[0, 0], w[0, 0], "full"))
    close(nn.conv2d(x[:, :, 0], w[:, :, 0], padding=(2, 1))[0, 0], scipy.signal.correlate2d(x[0, 0, 0], w[0, 0, 0], "full"))


def test_same_padding_with_a_stride_gives_a_place_for_every_stride() -> None:
    for size, kernel, stride in ((7, 3, 2), (6, 3, 2), (5, 1, 3), (4, 2, 2)):
        x, w = RANDOM.standard_normal((1, 2, size)), RANDOM.standard_normal((3, 2, kernel))
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        wanted = nn.conv1d(np.pad(x, [(0, 0), (0, 0), (total // 2, total - total // 2)]), w, stride)
        close(nn.conv1d(x, w, stride, "same"), wanted)
        assert wanted.shape[2] == -(-size // stride)
        args = {"x": "n 2 v" if kernel >= stride else f"n 2 {size}", "w": f"3 2 {kernel}"}
        f = gradc.compile(_strided(stride), args, jit=False)
        close(f(x, w), wanted)


def _strided(stride: int) -> Callable[..., Any]:
    return lambda x, w: nn.conv1d(x, w, stride, "same")


def _convolved(options: dict[str, Any]) -> Callable[..., Any]:
    return lambda x, w: nn.conv2d(x, w, **options)


def _pairs(options: dict[str, Any]) -> list[tuple[int, int]]:
    found = [options.get("stride", 1), options.get("dilation", 1), options.get("padding", 0)]
    return [value if isinstance(value, tuple) else (value, value) for value in found]


def test_pools_take_the_maximum_or_the_mean_of_a_window() -> None:
    x = RANDOM.standard_normal((2, 3, 6, 4))
    blocks = x.reshape(2, 3, 3, 2, 2, 2)
    for pool, reduce in ((nn.max_pool, np.max), (nn.avg_pool, np.mean)):
        close(pool(x, 2), reduce(blocks, axis=(3, 5)))
        f = gradc.compile(_pool(pool), {"x": "n c h v"}, jit=False)
        close(f(x), reduce(blocks, axis=(3, 5)))


def test_what_is_padded_is_never_the_maximum_and_counts_in_the_mean_if_asked() -> None:
    x = -1.0 - RANDOM.uniform(0, 1, (1, 2, 5))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1)], constant_values=np.nan)
    windows = np.stack([padded[:, :, i:i + 3] for i in range(0, 5, 2)], axis=2)
    close(nn.max_pool(x, 3, 2, 1), np.nanmax(windows, axis=3))
    close(nn.avg_pool(x, 3, 2, 1), np.nansum(windows, axis=3) / 3)
    close(nn.avg_pool(x, 3, 2, 1, count_include_pad=False), np.nanmean(windows, axis=3))
    close(nn.max_pool(x, 3, 1, "same"), nn.max_pool(x, 3, 1, 1))
    close(nn.max_pool(np.moveaxis(x, 1, -1), 2, 1, 0, 2, "NWC"), np.moveaxis(np.maximum(x[:, :, :-2], x[:, :, 2:]), 1, -1))
    gradc.check_gradients(lambda x: (nn.max_pool(x, 3, 2, 1), nn.avg_pool(x, 3, 2, 1, False)), x, order=1)


def test_batch_norm_takes_the_statistics_of_the_batch_or_given_ones() -> None:
    x, scale, shift = RANDOM.standard_normal((4, 3, 2)), RANDOM.standard_normal(3), RANDOM.standard_normal(3)
    mean, variance = nn.batch_statistics(x)
    close(mean, x.mean(axis=(0, 2)))
    close(variance, x.var(axis=(0, 2)))
    wanted = (x - mean[:, None]) / np.sqrt(variance[:, None] + 1e-5) * scale[:, None] + shift[:, None]
    close(nn.batch_norm(x, scale, shift), wanted)
    close(nn.batch_norm(x, scale, shift, mean=mean, variance=variance), wanted)
    close(nn.batch_norm(np.moveaxis(x, 1, -1), scale, shift, layout="NWC"), np.moveaxis(wanted, 1, -1))
    f = agrees(lambda x, m, v: nn.batch_norm(x, mean=m, variance=v * v), {"x": "n c 2", "m": "c", "v": "c"},
               {"x": x, "m": mean, "v": variance}, tolerance=1e-8)
    close(f(x, mean, np.sqrt(variance)), nn.batch_norm(x))


def test_losses_of_every_sample_their_sum_and_their_mean() -> None:
    x, y = RANDOM.standard_normal((2, 3, 4)), RANDOM.integers(0, 4, (2, 3))
    each = -np.log(np.take_along_axis(np.exp(x), y[..., None], 2)[..., 0] / np.exp(x).sum(axis=2))
    close(nn.cross_entropy(x, y, "none"), each)
    close(nn.cross_entropy(x, y, "sum"), each.sum())
    close(nn.cross_entropy(x, nn.one_hot(y, 4)), each.mean())
    close(nn.mse(x, 1.0, "sum"), np.sum((x - 1.0) ** 2))
    targets = RANDOM.uniform(0, 1, x.shape)
    p = 1 / (1 + np.exp(-x))
    close(nn.binary_cross_entropy(x, targets, "none"), -targets * np.log(p) - (1 - targets) * np.log(1 - p))
    close(nn.binary_cross_entropy(np.array([800.0, -800.0]), np.array([1.0, 0.0])), 0.0)


def test_a_single_label_and_a_single_sample_have_a_loss() -> None:
    x = RANDOM.standard_normal((1, 3))
    close(nn.cross_entropy(x, np.array([2])), np.log(np.exp(x).sum()) - x[0, 2])
    close(gradc.compile(lambda x, y: nn.cross_entropy(x, y), {"x": "n c", "y": "int n"}, jit=False)(x, [2]),
          np.log(np.exp(x).sum()) - x[0, 2])


def test_an_option_that_has_no_meaning_is_refused() -> None:
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    for call, message in (
            (lambda: nn.conv2d(x, w, padding="full"), 'padding is "valid", "same" or a whole number, not \'full\''),
            (lambda: nn.gelu(x, "erf"), 'gelu knows approximate="none" and "tanh", not \'erf\': write one of them'),
            (lambda: nn.mse(x, x, "average"), 'reduction is "mean", "sum" or "none", not \'average\': write one'),
            (lambda: nn.batch_norm(x, mean=np.ones(1)), "batch_norm takes mean and variance together: give both, or")):
        with pytest.raises(gradc.FormulaError, match=message):
            call()
    with pytest.raises(gradc.ShapeError, match="a pool of 2 with a padding of 2 has windows outside the array: give a"):
        nn.max_pool(x, 2, padding=2)
    with pytest.raises(gradc.ShapeError, match='padding="same" with a stride beyond the window pads by the size'):
        gradc.compile(lambda x, w: nn.conv2d(x, w, 3, "same"), {"x": "n c h v", "w": "k c 2 2"})
    with pytest.raises(gradc.ShapeError, match='padding="same" of a transposed convolution needs the size of the window'):
        gradc.compile(lambda x, w: nn.conv_transpose2d(x, w, 1, "same"), {"x": "n c h v", "w": "c k r s"})


def _pool(pool: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        return pool(x, 2)

    return run


PIECES: list[tuple[str, Callable[..., Any], dict[str, str]]] = [
    ("relu", lambda x: nn.relu(x), {"x": "n d"}),
    ("leaky_relu", lambda x: nn.leaky_relu(x, 0.1), {"x": "n d"}),
    ("elu", lambda x: nn.elu(x), {"x": "n d"}),
    ("gelu", lambda x: nn.gelu(x), {"x": "n d"}),
    ("gelu by tanh", lambda x: nn.gelu(x, "tanh"), {"x": "n d"}),
    ("sigmoid", lambda x: nn.sigmoid(x), {"x": "n d"}),
    ("tanh", lambda x: nn.tanh(x), {"x": "n d"}),
    ("softplus", lambda x: nn.softplus(x), {"x": "n d"}),
    ("softmax", lambda x: nn.softmax(x), {"x": "n d"}),
    ("log_softmax", lambda x: nn.log_softmax(x, 0), {"x": "n d"}),
    ("max_pool", lambda x: nn.max_pool(x, (2, 1), stride=1), {"x": "n d 4 3"}),
    ("avg_pool", lambda x: nn.avg_pool(x, 2), {"x": "n d 4 2"}),
    ("batch_norm", lambda x, s, b: nn.batch_norm(x, s, b), {"x": "n d 3 2", "s": "d", "b": "d"}),
    ("batch_norm of the last", lambda x: nn.batch_norm(x, layout="NWC"), {"x": "n 3 d"}),
    ("layer_norm of all", lambda x: nn.layer_norm(x, axis=(1, 2)), {"x": "n d 3"}),
    ("conv1d", lambda x, w: nn.conv1d(x, w, 2, "same"), {"x": "n d 4", "w": "3 d 3"}),
    ("conv_transpose2d", lambda x, w: nn.conv_transpose2d(x, w, 2, "same"), {"x": "n d 2 2", "w": "d 2 2 2"}),
    ("max_pool, padded", lambda x: nn.max_pool(x, 3, 2, 1), {"x": "n d 4 3"}),
    ("avg_pool, padded", lambda x: nn.avg_pool(x, 2, 1, 1, False), {"x": "n d 2 3"}),
    ("binary_cross_entropy", lambda x, y: nn.binary_cross_entropy(x, y), {"x": "n d", "y": "n d"}),
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
    gradc.check_gradients(f, **given)


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
