"""Pieces of neural networks, as plain NumPy code: they run on arrays as they are, and are traced as they are.

Convolutions gather windows by index arithmetic and contract them with `np.einsum`, pools reduce the same
windows; nothing here has a gradient rule of its own. Layouts are those of PyTorch, channels after the batch
("NCHW"), or channels last ("NHWC"). Initialisation, training and data are left to the user.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_SPATIAL = "xyz"


# -- activations ----------------------------------------------------------------------------------


def relu(x: Any) -> Any:
    """max(x, 0), elementwise; its derivative at 0 is 0."""
    return np.maximum(x, 0)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """x where it is positive, else `slope` times x."""
    return np.where(x > 0, x, slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, else alpha (exp(x) - 1). Clevert, Unterthiner and Hochreiter (2016)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x: Any) -> Any:
    """x times the normal distribution function of x. Hendrycks and Gimpel (2016).

    >>> round(float(gelu(np.float64(1.0))), 6)
    0.841345
    """
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
    """exp(x) over its sum along an axis, without overflow."""
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x less the logarithm of the sum of its exponentials along an axis."""
    from scipy.special import logsumexp

    return x - logsumexp(x, axis=axis, keepdims=True)


# -- losses ---------------------------------------------------------------------------------------


def mse(x: Any, target: Any) -> Any:
    """The mean of the squared differences."""
    return np.mean((x - target) ** 2)


def cross_entropy(logits: Any, labels: Any) -> Any:
    """The mean negative log-probability of the right classes.

    logits  (n, c): one row a sample
    labels  (n,) whole numbers from 0 to c - 1, or (n, c) probabilities
    """
    chosen = log_softmax(logits, -1)
    if labels.ndim == 2:
        return -np.mean(np.sum(labels * chosen, axis=1))
    return -np.mean(np.take_along_axis(chosen, labels[:, None], axis=1))


def one_hot(labels: Any, classes: int) -> Any:
    """An array with a further dimension of `classes`: 1.0 where it is the label, else 0.0."""
    return np.where(labels[..., None] == np.arange(classes), 1.0, 0.0)


def embedding(table: Any, indices: Any) -> Any:
    """The rows of a table (n, d) at whole numbers of any shape."""
    return table[indices]


# -- normalisation --------------------------------------------------------------------------------


def batch_norm(x: Any, scale: Any, shift: Any, eps: float = 1e-5) -> Any:
    """Each channel (dimension 1) less its mean, over its standard deviation. Ioffe and Szegedy (2015).

    scale and shift have one element a channel.
    """
    axes = (0, *range(2, x.ndim))
    centred = x - np.mean(x, axis=axes, keepdims=True)
    spread = np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + eps)
    shape = (1, x.shape[1], *[1] * (x.ndim - 2))
    return centred / spread * np.reshape(scale, shape) + np.reshape(shift, shape)


def layer_norm(x: Any, scale: Any, shift: Any, eps: float = 1e-5) -> Any:
    """Each sample less its mean over the last dimension, over its standard deviation. Ba, Kiros, Hinton (2016)."""
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps) * scale + shift


def dropout(x: Any, mask: Any, rate: float) -> Any:
    """x where the mask is true, scaled by 1/(1 - rate), else 0."""
    return np.where(mask, x / (1.0 - rate), 0.0)


# -- convolutions ---------------------------------------------------------------------------------


def _each(value: Any, rank: int) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value] * rank


def _ends(padding: Any, size: Any, kernel: Any, stride: int, dilation: int) -> tuple[Any, Any]:
    """Zeros before and after one dimension."""
    reach = dilation * (kernel - 1)
    if padding == "valid":
        return 0, 0
    if padding == "same":
        out = (size + stride - 1) // stride
        total = (out - 1) * stride + reach + 1 - size if stride > 1 else reach
        return total // 2, total - total // 2
    return padding, padding


def _windows(x: Any, kernel: list[Any], stride: list[int], dilation: list[int]) -> Any:
    """The windows of the dimensions from 2 on: (n, c, out, kernel, out, kernel, ...)."""
    index: list[Any] = [slice(None), slice(None)]
    rank = len(kernel)
    for k in range(rank):
        size = (x.shape[2 + k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1
        places = np.arange(size)[:, None] * stride[k] + np.arange(kernel[k])[None, :] * dilation[k]
        index.append(places[(*[None] * (2 * k), slice(None), slice(None), *[None] * (2 * (rank - 1 - k)))])
    return x[tuple(index)]


def _convolution(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int, layout: str,
                 rank: int) -> Any:
    if layout.endswith("C"):
        x = np.moveaxis(x, -1, 1)
    kernel = list(w.shape[2:])
    stride, dilation, padding = (_each(v, rank) for v in (stride, dilation, padding))
    ends = [_ends(padding[k], x.shape[2 + k], kernel[k], stride[k], dilation[k]) for k in range(rank)]
    if any(not isinstance(e, int) or e for pair in ends for e in pair):
        x = np.pad(x, [(0, 0), (0, 0), *ends])
    windows = _windows(x, kernel, stride, dilation)
    if groups > 1:
        windows = np.reshape(windows, (x.shape[0], groups, x.shape[1] // groups, *windows.shape[2:]))
        w = np.reshape(w, (groups, w.shape[0] // groups, *w.shape[1:]))
    pairs = "".join(f"{_SPATIAL[k]}{_SPATIAL[k].upper()}" for k in range(rank))
    outside, inside = _SPATIAL[:rank], _SPATIAL[:rank].upper()
    if groups > 1:
        y = np.einsum(f"ngc{pairs},gkc{inside}->ngk{outside}", windows, w)
        y = np.reshape(y, (y.shape[0], y.shape[1] * y.shape[2], *y.shape[3:]))
    else:
        y = np.einsum(f"nc{pairs},kc{inside}->nk{outside}", windows, w)
    return np.moveaxis(y, 1, -1) if layout.endswith("C") else y


def conv1d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NCW") -> Any:
    """Cross-correlation of x (n, c, width) with w (k, c / groups, r)."""
    return _convolution(x, w, stride, padding, dilation, groups, layout, 1)


def conv2d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NCHW") -> Any:
    """Cross-correlation of x (n, c, height, width) with w (k, c / groups, r, s), as in PyTorch.

    stride, padding ("valid", "same" or a number of zeros on each side) and dilation are numbers, or one a
    dimension. With layout="NHWC" the channels of x and of the result come last; w stays as it is.
    """
    return _convolution(x, w, stride, padding, dilation, groups, layout, 2)


def conv3d(x: Any, w: Any, stride: Any = 1, padding: Any = "valid", dilation: Any = 1, groups: int = 1,
           layout: str = "NCDHW") -> Any:
    """Cross-correlation of x (n, c, depth, height, width) with w (k, c / groups, q, r, s)."""
    return _convolution(x, w, stride, padding, dilation, groups, layout, 3)


def _pooled(x: Any, size: Any, stride: Any, layout: str, rank: int) -> tuple[Any, tuple[int, ...]]:
    if layout.endswith("C"):
        x = np.moveaxis(x, -1, 1)
    kernel = _each(size, rank)
    windows = _windows(x, kernel, _each(size if stride is None else stride, rank), [1] * rank)
    return windows, tuple(range(3, 3 + 2 * rank, 2))


def max_pool(x: Any, size: Any, stride: Any = None, layout: str = "NCHW") -> Any:
    """The maximum of each window of the dimensions from 2 on; by default the windows do not overlap."""
    windows, axes = _pooled(x, size, stride, layout, x.ndim - 2)
    y = np.max(windows, axis=axes)
    return np.moveaxis(y, 1, -1) if layout.endswith("C") else y


def avg_pool(x: Any, size: Any, stride: Any = None, layout: str = "NCHW") -> Any:
    """The mean of each window of the dimensions from 2 on; by default the windows do not overlap."""
    windows, axes = _pooled(x, size, stride, layout, x.ndim - 2)
    y = np.mean(windows, axis=axes)
    return np.moveaxis(y, 1, -1) if layout.endswith("C") else y
