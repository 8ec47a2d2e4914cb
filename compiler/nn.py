"""Pieces of neural networks, as plain NumPy code: they run on arrays as they are, and are traced as they are.

Convolutions gather windows by index arithmetic and contract them with `np.einsum`, pools reduce the same
windows, a transposed convolution is a convolution of the input spread out with zeros; nothing here has a
gradient rule of its own. Layouts are those of PyTorch, channels after the batch ("NCHW"), or channels last
("NHWC"). Initialisation, training and data are left to the user.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradc.ir.errors import FormulaError, ShapeError

_SPATIAL = "xyz"


# -- activations ----------------------------------------------------------------------------------


def relu(x: Any) -> Any:
    """max(x, 0), elementwise; its derivative at 0 is 0."""
    return np.maximum(x, 0)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """x where it is positive, else `slope` times x.

    >>> leaky_relu(np.array([-2.0, 3.0]))
    array([-0.02,  3.  ])
    """
    return np.where(x > 0, x, slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, else alpha (exp(x) - 1). Clevert, Unterthiner and Hochreiter (2016).

    >>> elu(np.array([-1.0, 3.0])).round(6)
    array([-0.632121,  3.      ])
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x: Any, approximate: str = "none") -> Any:
    """x times the normal distribution function of x. Hendrycks and Gimpel (2016).

    approximate  "tanh" takes their closed form 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))) instead;
                 FormulaError for anything else than that and "none"

    >>> round(float(gelu(np.float64(1.0))), 6), round(float(gelu(np.float64(1.0), "tanh")), 6)
    (0.841345, 0.841192)
    """
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if approximate != "none":
        raise FormulaError(f'gelu knows approximate="none" and "tanh", not {approximate!r}: write one of them')
    from scipy.special import erfc

    return 0.5 * x * erfc(-x / math.sqrt(2))


def sigmoid(x: Any) -> Any:
    """1/(1 + exp(-x)), without overflow."""
    from scipy.special import expit

    return expit(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return np.tanh(x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return np.logaddexp(0.0, x)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) over its sum along an axis, without overflow.

    >>> softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x less the logarithm of the sum of its exponentials along an axis.

    >>> log_softmax(np.zeros((1, 2))).round(6)
    array([[-0.693147, -0.693147]])
    """
    from scipy.special import logsumexp

    return x - logsumexp(x, axis=axis, keepdims=True)


# -- losses ---------------------------------------------------------------------------------------


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        raise FormulaError(f'reduction is "mean", "sum" or "none", not {reduction!r}: write one of them')
    return np.mean(losses) if reduction == "mean" else np.sum(losses)


def mse(x: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of the squared differences of two arrays of one shape, their sum, or all of them.

    reduction  "mean", "sum" or "none"; FormulaError for another, here and in all losses

    >>> float(mse(np.array([1.0, 2.0]), np.array([0.0, 4.0])))
    2.5
    """
    return _reduced((x - target) ** 2, reduction)


def cross_entropy(logits: Any, labels: Any, reduction: str = "mean") -> Any:
    """The negative log-probability of the right classes: its mean over the samples, their sum, or each.

    logits     (..., c): the classes last
    labels     (...) whole numbers from 0 to c - 1, or (..., c) probabilities
    reduction  "mean", "sum" or "none"

    >>> round(float(cross_entropy(np.zeros((2, 4)), np.array([0, 3]))), 6)
    1.386294
    """
    chosen = log_softmax(logits, -1)
    if labels.ndim == logits.ndim:
        return _reduced(-np.sum(labels * chosen, axis=-1), reduction)
    return _reduced(-np.take_along_axis(chosen, labels[..., None], axis=-1)[..., 0], reduction)


def binary_cross_entropy(logits: Any, targets: Any, reduction: str = "mean") -> Any:
    """The negative log-probability of targets between 0 and 1 under sigmoid(logits), without overflow.

    logits, targets  of one shape
    reduction        "mean", "sum" or "none"

    >>> round(float(binary_cross_entropy(np.array([0.0, 1000.0]), np.array([1.0, 1.0]))), 6)
    0.346574
    """
    return _reduced(softplus(logits) - targets * logits, reduction)


def one_hot(labels: Any, classes: int) -> Any:
    """An array with a further dimension of `classes`: 1.0 where it is the label, else 0.0.

    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    return np.where(labels[..., None] == np.arange(classes), 1.0, 0.0)


def embedding(table: Any, indices: Any) -> Any:
    """The rows of a table (n, d) at whole numbers of any shape, (..., d).

    >>> embedding(np.arange(6.0).reshape(3, 2), np.array([2, 0]))
    array([[4., 5.],
           [0., 1.]])
    """
    return table[indices]


# -- normalisation --------------------------------------------------------------------------------


def batch_statistics(x: Any, layout: str = "NCHW") -> Any:
    """Mean and variance of each channel over the batch and all places, (c,) both: what `batch_norm` takes itself.

    A running average of them is what to give to `batch_norm` at prediction. The variance is that of the batch
    (PyTorch's running variance is n / (n - 1) of it).

    >>> batch_statistics(np.array([[1.0, 2.0], [3.0, 6.0]]))
    (array([2., 4.]), array([1., 4.]))
    """
    axes = tuple(k for k in range(x.ndim) if k != _channel(x, layout))
    return np.mean(x, axis=axes), np.var(x, axis=axes)


def batch_norm(x: Any, scale: Any = None, shift: Any = None, eps: float = 1e-5, mean: Any = None,
               variance: Any = None, layout: str = "NCHW") -> Any:
    """Each channel less its mean, over its standard deviation. Ioffe and Szegedy (2015).

    x               (n, c, ...), or with a layout that ends in C, (n, ..., c)
    scale, shift    one element a channel, left out as 1 and 0
    mean, variance  one element a channel, for prediction; left out, those of the batch, and the gradient goes through
                    them. FormulaError if only one of them is given

    >>> batch_norm(np.array([[1.0, 2.0], [3.0, 6.0]])).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    if (mean is None) != (variance is None):
        raise FormulaError("batch_norm takes mean and variance together: give both, or neither")
    if mean is None:
        mean, variance = batch_statistics(x, layout)
    shape = [1] * x.ndim
    shape[_channel(x, layout)] = -1
    y = (x - np.reshape(mean, shape)) / np.sqrt(np.reshape(variance, shape) + eps)
    if scale is not None:
        y = y * np.reshape(scale, shape)
    return y if shift is None else y + np.reshape(shift, shape)


def _channel(x: Any, layout: str) -> int:
    return int(x.ndim) - 1 if layout.endswith("C") else 1


def layer_norm(x: Any, scale: Any = None, shift: Any = None, eps: float = 1e-5, axis: Any = -1) -> Any:
    """Each sample less its mean over the last dimension, over its standard deviation. Ba, Kiros, Hinton (2016).

    scale, shift  broadcast against x, left out as 1 and 0
    axis          the dimension, or several, that is one sample: (1, 2, 3) for whole images

    >>> layer_norm(np.array([[1.0, 3.0]])).round(3)
    array([[-1.,  1.]])
    """
    centred = x - np.mean(x, axis=axis, keepdims=True)
    y = centred / np.sqrt(np.mean(centred * centred, axis=axis, keepdims=True) + eps)
    if scale is not None:
        y = y * scale
    return y if shift is None else y + shift


def dropout(x: Any, mask: Any, rate: float) -> Any:
    """x where the mask, of its shape, is true, scaled by 1/(1 - rate), else 0.

    >>> dropout(np.ones(3), np.array([True, False, True]), 0.5)
    array([2., 0., 2.])
    """
    return np.where(mask, x / (1.0 - rate), 0.0)


# -- convolutions ---------------------------------------------------------------------------------


def _each(value: Any, rank: int) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value] * rank


def _ends(padding: Any, size: Any, kernel: Any, stride: int, dilation: int) -> tuple[Any, Any]:
    """What is added before and after one dimension."""
    reach = dilation * (kernel - 1)
    if padding == "same":                                       # ceil(size / stride) places, as in TensorFlow and JAX
        total = reach
        if stride > 1:
            total = ((size + stride - 1) // stride - 1) * stride + reach + 1 - size
            if isinstance(total, int):
                total = max(total, 0)
            elif isinstance(reach, int) and reach + 1 < stride:
                raise ShapeError('padding="same" with a stride beyond the window pads by the size: declare the size '
                                 "as a number, or give a padding that is one")
        return total // 2, total - total // 2
    return _plain_ends(padding)


def _plain_ends(padding: Any) -> tuple[Any, Any]:
    if padding == "valid":
        return 0, 0
    if isinstance(padding, (str, float)):
        raise FormulaError(f'padding is "valid", "same" or a whole number, not {padding!r}: write one of them')
    return padding, padding


def _padded(x: Any, ends: list[tuple[Any, Any]], value: float = 0.0) -> Any:
    """x with the dimensions from 2 on lengthened by a constant, or cut where an end is negative."""
    known = all(isinstance(e, int) for pair in ends for e in pair)
    if known and any(e < 0 for pair in ends for e in pair):
        cut = [slice(max(-a, 0), None if b >= 0 else b) for a, b in ends]
        x = x[(slice(None), slice(None), *cut)]
        ends = [(max(a, 0), max(b, 0)) for a, b in ends]
    if known and not any(e for pair in ends for e in pair):
        return x
    return np.pad(x, [(0, 0), (0, 0), *ends], constant_values=value)


def _windows(x: Any, kernel: list[Any], stride: list[int], dilation: list[int]) -> Any:
    """The windows of the dimensions from 2 on: (n, c, out, kernel, out, kernel, ...)."""
    index: list[Any] = [slice(None), slice(None)]
    rank = len(kernel)
    for k in range(rank):
        size = (x.shape[2 + k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1
        places = np.arange(size)[:, None] * stride[k] + np.arange(kernel[k])[None, :] * dilation[k]
        index.append(places[(*[None] * (2 * k), slice(None), slice(None), *[None] * (2 * (rank - 1 - k)))])
    return x[tuple(index)]


def _contracted(x: Any, w: Any, stride: list[int], dilation: list[int], groups: int) -> Any:
    """The windows of x times w (k, c / groups, ...), summed over the channels of a group and the window."""
    rank = len(stride)
    windows = _windows(x, list(w.shape[2:]), stride, dilation)
    pairs = "".join(f"{_SPATIAL[k]}{_SPATIAL[k].upper()}" for k in range(rank))
    outside, inside = _SPATIAL[:rank], _SPATIAL[:rank].upper()
    if groups == 1:
        return np.einsum(f"nc{pairs},kc{inside}->nk{outside}", windows, w)
    windows = np.reshape(windows, (x.shape[0], groups, x.shape[1] // groups, *windows.shape[2:]))
    w = np.reshape(w, (groups, w.shape[0] // groups, *w.shape[1:]))
    y = np.einsum(f"ngc{pairs},gkc{inside}->ngk{outside}", windows, w)
    return np.reshape(y, (y.shape[0], y.shape[1] * y.shape[2], *y.shape[3:]))


def _convolution(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int, layout: str,
                 rank: int) -> Any:
    if layout.endswith("C"):
        x = np.moveaxis(x, -1, 1)
    stride, dilation, padding = (_each(v, rank) for v in (stride, dilation, padding))
    ends = [_ends(padding[k], x.shape[2 + k], w.shape[2 + k], stride[k], dilation[k]) for k in range(rank)]
    y = _contracted(_padded(x, ends), w, stride, dilation, groups)
    return np.moveaxis(y, 1, -1) if layout.endswith("C") else y


def conv1d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NCW") -> Any:
    """Cross-correlation of x (n, c, width) with w (k, c / groups, r); options and errors as in `conv2d`.

    >>> conv1d(np.arange(4.0).reshape(1, 1, 4), np.ones((1, 1, 2)))
    array([[[1., 3., 5.]]])
    """
    return _convolution(x, w, stride, padding, dilation, groups, layout, 1)


def conv2d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NCHW") -> Any:
    """Cross-correlation of x (n, c, height, width) with w (k, c / groups, r, s), as in PyTorch.

    stride, padding ("valid", "same" or a number of zeros on each side) and dilation are numbers, or one a
    dimension. "same" gives ceil(size / stride) places, with the larger half of the zeros at the end. With
    layout="NHWC" the channels of x and of the result come last; w stays as it is. FormulaError for another
    padding.

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    return _convolution(x, w, stride, padding, dilation, groups, layout, 2)


def conv3d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NCDHW") -> Any:
    """Cross-correlation of x (n, c, depth, height, width) with w (k, c / groups, q, r, s); options as in `conv2d`."""
    return _convolution(x, w, stride, padding, dilation, groups, layout, 3)


# -- transposed convolutions ----------------------------------------------------------------------


def _spread(x: Any, stride: list[int]) -> Any:
    """x with stride - 1 zeros between neighbours along the dimensions from 2 on."""
    for k, step in enumerate(stride):
        if step > 1:
            places = np.arange((x.shape[2 + k] - 1) * step + 1)
            on = np.reshape(places % step == 0, (-1, *[1] * (len(stride) - 1 - k)))
            x = np.where(on, x[(*[slice(None)] * (2 + k), places // step)], 0.0)
    return x


def _transposed(x: Any, w: Any, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: int,
                layout: str, rank: int) -> Any:
    if layout.endswith("C"):
        x = np.moveaxis(x, -1, 1)
    stride, dilation, padding, extra = (_each(v, rank) for v in (stride, dilation, padding, output_padding))
    ends = []
    for k in range(rank):
        reach = dilation[k] * (w.shape[2 + k] - 1)
        if padding[k] == "same":
            if not isinstance(reach, int):
                raise ShapeError('padding="same" of a transposed convolution needs the size of the window: declare it '
                                 "as a number")
            before = max(reach + 1 - stride[k], 0) // 2
            after = reach + 1 - stride[k] - before
        else:
            before, after = _plain_ends(padding[k])
        ends.append((reach - before, reach - after + extra[k]))
    if groups > 1:                                              # (c, k / groups, ...) to (k, c / groups, ...)
        w = np.reshape(w, (groups, w.shape[0] // groups, *w.shape[1:]))
        w = np.swapaxes(w, 1, 2)
        w = np.reshape(w, (groups * w.shape[1], *w.shape[2:]))
    else:
        w = np.swapaxes(w, 0, 1)
    w = w[(slice(None), slice(None), *[slice(None, None, -1)] * rank)]
    y = _contracted(_padded(_spread(x, stride), ends), w, [1] * rank, dilation, groups)
    return np.moveaxis(y, 1, -1) if layout.endswith("C") else y


def conv_transpose1d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", output_padding: Any = 0,
                     dilation: Any = 1, groups: int = 1, layout: str = "NCW") -> Any:
    """Transposed convolution of x (n, c, width) with w (c, k / groups, r); options as in `conv_transpose2d`.

    >>> conv_transpose1d(np.ones((1, 1, 2)), np.ones((1, 1, 2)))
    array([[[1., 2., 1.]]])
    """
    return _transposed(x, w, stride, padding, output_padding, dilation, groups, layout, 1)


def conv_transpose2d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", output_padding: Any = 0,
                     dilation: Any = 1, groups: int = 1, layout: str = "NCHW") -> Any:
    """Transposed convolution of x (n, c, height, width) with w (c, k / groups, r, s), as in PyTorch.

    It is the gradient of `conv2d` by its input: each element of x adds w, at places `stride` apart, to the result
    of size (height - 1) stride - 2 padding + dilation (r - 1) + output_padding + 1. "same" gives height times
    stride, as in TensorFlow. The other options are those of `conv2d`.

    >>> conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    return _transposed(x, w, stride, padding, output_padding, dilation, groups, layout, 2)


def conv_transpose3d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", output_padding: Any = 0,
                     dilation: Any = 1, groups: int = 1, layout: str = "NCDHW") -> Any:
    """Transposed convolution of x (n, c, depth, height, width) with w (c, k / groups, q, r, s).

    Options as in `conv_transpose2d`.
    """
    return _transposed(x, w, stride, padding, output_padding, dilation, groups, layout, 3)


# -- pools ----------------------------------------------------------------------------------------


def _pooled(x: Any, size: Any, stride: Any, padding: Any, dilation: Any, layout: str, fill: float) -> Any:
    """The windows of a pool, and the dimensions that they are reduced over."""
    rank = x.ndim - 2
    if layout.endswith("C"):
        x = np.moveaxis(x, -1, 1)
    kernel, stride = _each(size, rank), _each(size if stride is None else stride, rank)
    padding, dilation = _each(padding, rank), _each(dilation, rank)
    for width, zeros in zip(kernel, padding, strict=True):
        if isinstance(zeros, int) and zeros >= width:
            raise ShapeError(f"a pool of {width} with a padding of {zeros} has windows outside the array: give a "
                             "smaller padding")
    ends = [_ends(padding[k], x.shape[2 + k], kernel[k], stride[k], dilation[k]) for k in range(rank)]
    return _windows(_padded(x, ends, fill), kernel, stride, dilation), tuple(range(3, 3 + 2 * rank, 2))


def max_pool(x: Any, size: Any, stride: Any = None, padding: Any = "valid", dilation: Any = 1,
             layout: str = "NCHW") -> Any:
    """The maximum of each window of the dimensions from 2 on; by default the windows do not overlap.

    size, stride, padding ("valid", "same" or a number) and dilation are numbers, or one a dimension; what is padded
    is never the maximum. ShapeError where a window would lie in the padding alone.

    >>> max_pool(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    windows, axes = _pooled(x, size, stride, padding, dilation, layout, -math.inf)
    y = np.max(windows, axis=axes)
    return np.moveaxis(y, 1, -1) if layout.endswith("C") else y


def avg_pool(x: Any, size: Any, stride: Any = None, padding: Any = "valid", count_include_pad: bool = True,
             layout: str = "NCHW") -> Any:
    """The mean of each window of the dimensions from 2 on; by default the windows do not overlap.

    Options as in `max_pool`. What is padded counts as zeros, as in PyTorch; with count_include_pad=False the mean is
    over the elements of x alone, as in TensorFlow.

    >>> avg_pool(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    windows, axes = _pooled(x, size, stride, padding, 1, layout, 0.0)
    y = np.mean(windows, axis=axes)
    if not count_include_pad:
        ones, axes = _pooled(np.ones_like(x), size, stride, padding, 1, layout, 0.0)
        y = y / np.mean(ones, axis=axes)
    return np.moveaxis(y, 1, -1) if layout.endswith("C") else y
