"""Networks of two and three layers as an expert writes them for Numba: every layer read and every gradient written once.

At batch 1 nothing is left to save: the gradient reads each layer's weights for the forward product, all but the first
again for the adjoint of their input, and writes as many numbers. What it takes is what this memory traffic takes, so
its ratio to the loss is the one to hold others against. Larger batches multiply by the BLAS.
"""

from typing import Any

import numpy as np

from ..case import Array, loop


@loop
def layer(x: Array, w: Array) -> Array:
    """Relu of x w', in the memory of the product."""
    y = np.dot(x, w.T)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = max(y[i, j], 0)
    return y


@loop
def cross_entropy(scores: Array, labels: Any) -> float:
    """The mean loss; the scores become its gradient by them."""
    n = scores.shape[0]
    loss = 0.0
    for i in range(n):
        largest = scores[i].max()
        loss -= scores[i, labels[i]] - largest
        total = scores[i, 0] * 0
        for j in range(scores.shape[1]):
            scores[i, j] = np.exp(scores[i, j] - largest)
            total += scores[i, j]
        loss += np.log(total)
        for j in range(scores.shape[1]):
            scores[i, j] /= total * n
        scores[i, labels[i]] -= 1.0 / n
    return loss / n


@loop
def by_input(d: Array, w: Array, y: Array) -> Array:
    """The adjoint of a layer's input y = relu(...), from that of its product."""
    by_y = np.dot(d, w)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            by_y[i, j] = by_y[i, j] if y[i, j] > 0 else 0
    return by_y


@loop
def by_weights(d: Array, x: Array) -> Array:
    """The adjoint of a layer's weights, d' x; one row is written once, without the BLAS, which would add to it."""
    if x.shape[0] > 1:
        return np.dot(d.T, x)
    found = np.empty((d.shape[1], x.shape[1]), x.dtype)
    for i in range(d.shape[1]):
        factor = d[0, i]
        for j in range(x.shape[1]):
            found[i, j] = factor * x[0, j]
    return found


@loop
def two(x: Array, y: Any, w1: Array, w2: Array) -> float:
    """The loss of two layers."""
    return cross_entropy(np.dot(layer(x, w1), w2.T), y)


@loop
def two_and_grad(x: Array, y: Any, w1: Array, w2: Array) -> tuple[float, tuple[Array, Array]]:
    """With its gradient."""
    hidden = layer(x, w1)
    d = np.dot(hidden, w2.T)
    loss = cross_entropy(d, y)
    return loss, (by_weights(by_input(d, w2, hidden), x), by_weights(d, hidden))


@loop
def three(x: Array, y: Any, w1: Array, w2: Array, w3: Array) -> float:
    """The loss of three layers."""
    return cross_entropy(np.dot(layer(layer(x, w1), w2), w3.T), y)


@loop
def three_and_grad(
    x: Array, y: Any, w1: Array, w2: Array, w3: Array
) -> tuple[float, tuple[Array, Array, Array]]:
    """With its gradient."""
    first = layer(x, w1)
    second = layer(first, w2)
    d = np.dot(second, w3.T)
    loss = cross_entropy(d, y)
    d_second = by_input(d, w3, second)
    d_first = by_input(d_second, w2, first)
    return loss, (by_weights(d_first, x), by_weights(d_second, first), by_weights(d, second))
