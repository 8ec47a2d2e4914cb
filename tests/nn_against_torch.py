"""gradc.nn beside PyTorch: values and gradients of every piece and option, by `python -m tests.nn_against_torch`.

PyTorch is no dependency of the tests, so this is a command and no test. Each piece runs as plain NumPy and traced,
and its gradients for a random cotangent are compared with those that PyTorch's own code gives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gradc
from gradc import nn

TOLERANCE = 1e-10
Piece = tuple[str, Callable[..., Any], Callable[..., Any], dict[str, tuple[int, ...]]]


def one(function: Callable[..., Any], *rest: Any, **options: Any) -> Callable[..., Any]:
    """The function with all but its first argument given."""
    return lambda x: function(x, *rest, **options)


def two(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """The function with all but its first two arguments given."""
    return lambda x, w: function(x, w, **options)


def last(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """PyTorch's function on arrays whose channels come last."""
    return lambda x, w: function(x.movedim(-1, 1), w, **options).movedim(1, -1)


def pieces(F: Any) -> Iterator[Piece]:
    """Name, the piece in gradc.nn, the same in torch.nn.functional, and the shapes of the arguments."""
    yield from convolutions(F)
    yield from transposed(F)
    yield from pools(F)
    yield from losses(F)
    for name, ours, theirs in (
            ("relu", nn.relu, F.relu), ("elu", nn.elu, F.elu), ("gelu", nn.gelu, F.gelu), ("tanh", nn.tanh, F.tanh),
            ("gelu tanh", one(nn.gelu, "tanh"), one(F.gelu, approximate="tanh")), ("sigmoid", nn.sigmoid, F.sigmoid),
            ("leaky_relu", one(nn.leaky_relu, 0.2), one(F.leaky_relu, 0.2)),
            ("softplus", nn.softplus, one(F.softplus, threshold=700)), ("softmax", nn.softmax, one(F.softmax, -1)),
            ("log_softmax", one(nn.log_softmax, 0), one(F.log_softmax, 0))):
        yield name, one(ours), theirs, {"x": (5, 4)}
    shapes = {"x": (4, 3, 2, 5), "s": (3,), "b": (3,)}
    yield "batch_norm", lambda x, s, b: nn.batch_norm(x, s, b), lambda x, s, b: F.batch_norm(
        x, None, None, s, b, training=True), shapes
    yield "layer_norm", lambda x, s, b: nn.layer_norm(x, s, b), lambda x, s, b: F.layer_norm(x, (5,), s, b), {
        "x": (4, 5), "s": (5,), "b": (5,)}
    yield "layer_norm of images", one(nn.layer_norm, axis=(1, 2, 3)), one(F.layer_norm, (3, 2, 5)), {"x": (4, 3, 2, 5)}


def losses(F: Any) -> Iterator[Piece]:
    """Every loss with every reduction."""
    from torch import tensor

    for how in ("mean", "sum", "none"):
        shapes, o = {"x": (4, 3), "w": (4, 3)}, {"reduction": how}
        labels, dense = np.array([0, 2, 1, 2]), np.abs(np.sin(np.arange(12.0).reshape(4, 3)))
        yield f"mse {how}", two(nn.mse, **o), two(F.mse_loss, **o), shapes
        yield f"cross_entropy {how}", one(nn.cross_entropy, labels, **o), one(F.cross_entropy, tensor(labels), **o), {
            "x": (4, 3)}
        yield f"cross_entropy of probabilities {how}", one(nn.cross_entropy, dense, **o), one(
            F.cross_entropy, tensor(dense), **o), {"x": (4, 3)}
        yield f"binary_cross_entropy {how}", one(nn.binary_cross_entropy, dense, **o), one(
            F.binary_cross_entropy_with_logits, tensor(dense), **o), {"x": (4, 3)}


def convolutions(F: Any) -> Iterator[Piece]:
    """conv1d to conv3d with strides, paddings, dilations and groups; channels last as transposes."""
    for stride, padding, dilation, groups in ((1, 0, 1, 1), (2, 1, 1, 1), ((1, 2), (2, 0), (2, 1), 1), (1, 1, 1, 2),
                                              (2, 1, 2, 4), (1, "same", 1, 1), (1, "same", 2, 2), (1, "valid", 1, 1)):
        o: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        w = (8, 4 // groups, 3, 2)
        yield f"conv2d {o}", two(nn.conv2d, **o), two(F.conv2d, **o), {"x": (2, 4, 7, 6), "w": w}
        yield f"conv2d NHWC {o}", two(nn.conv2d, layout="NHWC", **o), last(F.conv2d, **o), {"x": (2, 7, 6, 4), "w": w}
    o = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    yield "conv1d", two(nn.conv1d, **o), two(F.conv1d, **o), {"x": (2, 4, 7), "w": (6, 2, 3)}
    yield "conv3d", two(nn.conv3d, **o), two(F.conv3d, **o), {"x": (1, 4, 4, 3, 5), "w": (2, 2, 2, 2, 3)}


def transposed(F: Any) -> Iterator[Piece]:
    """conv_transpose1d to 3d."""
    for stride, padding, extra, dilation, groups in ((1, 0, 0, 1, 1), (2, 1, 1, 1, 1), ((2, 3), (0, 1), (1, 0), 1, 2),
                                                     (3, 2, 0, 2, 1), (1, 2, 0, 1, 1), (2, 0, 0, (1, 2), 2)):
        o: dict[str, Any] = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation,
                             "groups": groups}
        w = (4, 3, 3, 2)
        yield f"conv_transpose2d {o}", two(nn.conv_transpose2d, **o), two(F.conv_transpose2d, **o), {
            "x": (2, 4, 5, 4), "w": w}
        yield f"conv_transpose2d NHWC {o}", two(nn.conv_transpose2d, layout="NHWC", **o), last(
            F.conv_transpose2d, **o), {"x": (2, 5, 4, 4), "w": w}
    o = {"stride": 2, "padding": 1, "output_padding": 1, "dilation": 1, "groups": 2}
    yield "conv_transpose1d", two(nn.conv_transpose1d, **o), two(F.conv_transpose1d, **o), {
        "x": (2, 4, 5), "w": (4, 3, 3)}
    yield "conv_transpose3d", two(nn.conv_transpose3d, **o), two(F.conv_transpose3d, **o), {
        "x": (1, 2, 3, 2, 2), "w": (2, 1, 2, 3, 2)}


def pools(F: Any) -> Iterator[Piece]:
    """max_pool and avg_pool with strides, paddings and dilations."""
    shapes = {"x": (2, 3, 7, 6)}
    for size, stride, padding in ((2, None, 0), (3, 2, 1), ((2, 3), 1, (1, 0)), (3, 1, 1)):
        o: dict[str, Any] = {"stride": stride, "padding": padding}
        yield f"max_pool {size} {o}", one(nn.max_pool, size, **o), one(F.max_pool2d, size, **o), shapes
        for counted in (True, False):
            o["count_include_pad"] = counted
            yield f"avg_pool {size} {o}", one(nn.avg_pool, size, **o), one(F.avg_pool2d, size, **o), shapes
    yield "max_pool, dilated", one(nn.max_pool, 2, 1, 0, 2), one(F.max_pool2d, 2, 1, 0, 2), shapes
    yield "max_pool 1d", one(nn.max_pool, 3, 2, 1), one(F.max_pool1d, 3, 2, 1), {"x": (2, 3, 7)}
    yield "avg_pool 3d", one(nn.avg_pool, 2), one(F.avg_pool3d, 2), {"x": (2, 3, 4, 5, 2)}


def difference(piece: Piece, torch: Any, random: np.random.Generator) -> float:
    """The largest error of value and gradients of a piece, relative to the largest element."""
    _, ours, theirs, shapes = piece
    given = {key: random.standard_normal(shape) for key, shape in shapes.items()}
    tensors = {key: torch.tensor(value, requires_grad=True) for key, value in given.items()}
    wanted = theirs(*tensors.values())
    cotangent = random.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.tensor(cotangent))
    f = gradc.compile(ours, {key: " ".join(map(str, value.shape)) for key, value in given.items()}, jit=False)
    value, saved = f.forward(*given.values())
    found = f.backward(saved, cotangent if cotangent.ndim else float(cotangent))
    pairs = [(ours(*given.values()), wanted.detach().numpy()), (value, wanted.detach().numpy())]
    pairs += zip([found] if len(given) == 1 else found, (t.grad.numpy() for t in tensors.values()), strict=True)
    return max(_error(a, b) for a, b in pairs)


def _error(found: Any, wanted: Any) -> float:
    if np.shape(found) != np.shape(wanted):
        return float("inf")
    return float(np.max(np.abs(found - wanted)) / max(1.0, np.max(np.abs(wanted))))


def main() -> int:
    """Compares everything, prints what differs, and returns 1 if anything does."""
    import torch
    from torch.nn import functional

    random, failed, count = np.random.default_rng(0), 0, 0
    for piece in pieces(functional):
        error = difference(piece, torch, random)
        count += 1
        if not error <= TOLERANCE:
            failed += 1
            print(f"{piece[0]}: {error:.1e}")
    print(f"{count - failed} of {count} pieces agree with PyTorch {torch.__version__} to {TOLERANCE}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
