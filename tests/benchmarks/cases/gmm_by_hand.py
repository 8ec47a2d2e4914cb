"""The Gaussian mixture as an expert writes it for Numba: tiles of points as the innermost loop, nothing on a tape.

A tile of 128 points stands transposed in scratch that fits the second-level cache. All components go forward, then the
log-sum-exp, then all components in reverse, with the scaled differences kept. The gradient of a factor is a sum over
the tile of four rows by four columns at a time; that of a mean is summed first and multiplied by the factor once.
"""

import math
from typing import Any

import numpy as np

from ..by_hand import aligned, exp_of_negative
from ..case import Array, Loops, loop

TILE = 128


@loop
def prepare(alpha: Array, icf: Array, gamma: float, m: int, d: int, factor: Array, constant: Array) -> float:
    """Fills the factors (k, d, d) and the constant part of the exponents; gives the prior."""
    prior = 0.0
    for i in range(alpha.shape[0]):
        logs = 0.0
        squares = 0.0
        for r in range(d):
            v = math.exp(icf[i, r])
            factor[i, r, r] = v
            squares += v * v
            logs += icf[i, r]
        at = d
        for c in range(d):
            for r in range(c + 1, d):
                v = icf[i, at]
                factor[i, r, c] = v
                squares += v * v
                at += 1
        constant[i] = alpha[i] + logs
        prior += 0.5 * gamma * gamma * squares - m * logs
    return prior


@loop
def transposed(x: Array, start: int, size: int, points: Array) -> None:
    """The tile's points as columns, zeros after the last."""
    for t in range(size):
        for j in range(x.shape[1]):
            points[j, t] = x[start + t, j]
    for t in range(size, TILE):
        points[:, t] = 0.0


@loop
def centre(points: Array, mean: Array, centred: Array) -> None:
    """The differences to a mean."""
    for j in range(mean.shape[0]):
        row, given, u = centred[j], points[j], mean[j]
        for t in range(TILE):
            row[t] = given[t] - u


@loop
def scale(q: Array, factor: Array, c: Array, squares: Array) -> None:
    """q[r] = the sum of factor[r, j] c[j] over j <= r, up to eight terms in a pass; squares = the sum of q[r]**2."""
    squares[:] = 0.0
    for r in range(q.shape[0]):
        row, m = q[r], factor[r]
        j = (r + 1) % 4
        if j == 0:
            row[:] = 0.0
        elif j == 1:
            a0, c0 = m[0], c[0]
            for t in range(TILE):
                row[t] = a0 * c0[t]
        elif j == 2:
            a0, a1, c0, c1 = m[0], m[1], c[0], c[1]
            for t in range(TILE):
                row[t] = a0 * c0[t] + a1 * c1[t]
        else:
            a0, a1, a2, c0, c1, c2 = m[0], m[1], m[2], c[0], c[1], c[2]
            for t in range(TILE):
                row[t] = a0 * c0[t] + a1 * c1[t] + a2 * c2[t]
        if (r + 1 - j) % 8:
            a0, a1, a2, a3 = m[j], m[j + 1], m[j + 2], m[j + 3]
            c0, c1, c2, c3 = c[j], c[j + 1], c[j + 2], c[j + 3]
            for t in range(TILE):
                row[t] += a0 * c0[t] + a1 * c1[t] + a2 * c2[t] + a3 * c3[t]
            j += 4
        while j <= r:
            a0, a1, a2, a3 = m[j], m[j + 1], m[j + 2], m[j + 3]
            a4, a5, a6, a7 = m[j + 4], m[j + 5], m[j + 6], m[j + 7]
            c0, c1, c2, c3 = c[j], c[j + 1], c[j + 2], c[j + 3]
            c4, c5, c6, c7 = c[j + 4], c[j + 5], c[j + 6], c[j + 7]
            for t in range(TILE):
                first = a0 * c0[t] + a1 * c1[t] + a2 * c2[t] + a3 * c3[t]
                row[t] += first + a4 * c4[t] + a5 * c5[t] + a6 * c6[t] + a7 * c7[t]
            j += 8
        for t in range(TILE):
            squares[t] += row[t] * row[t]


@loop
def square(P: Array, q: Array, c: Array, r: int, j: int) -> None:
    """P[r:r+4, j:j+4] += the products of four rows and four columns, summed over the tile."""
    q0, q1, q2, q3 = q[r], q[r + 1], q[r + 2], q[r + 3]
    c0, c1, c2, c3 = c[j], c[j + 1], c[j + 2], c[j + 3]
    a00 = a01 = a02 = a03 = a10 = a11 = a12 = a13 = 0.0
    a20 = a21 = a22 = a23 = a30 = a31 = a32 = a33 = 0.0
    for t in range(TILE):
        u0, u1, u2, u3 = q0[t], q1[t], q2[t], q3[t]
        v0, v1, v2, v3 = c0[t], c1[t], c2[t], c3[t]
        a00 += u0 * v0; a01 += u0 * v1; a02 += u0 * v2; a03 += u0 * v3  # fmt: skip  # noqa: E702
        a10 += u1 * v0; a11 += u1 * v1; a12 += u1 * v2; a13 += u1 * v3  # fmt: skip  # noqa: E702
        a20 += u2 * v0; a21 += u2 * v1; a22 += u2 * v2; a23 += u2 * v3  # fmt: skip  # noqa: E702
        a30 += u3 * v0; a31 += u3 * v1; a32 += u3 * v2; a33 += u3 * v3  # fmt: skip  # noqa: E702
    p0, p1, p2, p3 = P[r], P[r + 1], P[r + 2], P[r + 3]
    p0[j] += a00; p0[j + 1] += a01; p0[j + 2] += a02; p0[j + 3] += a03  # fmt: skip  # noqa: E702
    p1[j] += a10; p1[j + 1] += a11; p1[j + 2] += a12; p1[j + 3] += a13  # fmt: skip  # noqa: E702
    p2[j] += a20; p2[j + 1] += a21; p2[j + 2] += a22; p2[j + 3] += a23  # fmt: skip  # noqa: E702
    p3[j] += a30; p3[j + 1] += a31; p3[j + 2] += a32; p3[j + 3] += a33  # fmt: skip  # noqa: E702


@loop
def corner(P: Array, q: Array, c: Array, r: int) -> None:
    """The same for the four by four on the diagonal, of which the lower triangle counts."""
    q0, q1, q2, q3 = q[r], q[r + 1], q[r + 2], q[r + 3]
    c0, c1, c2, c3 = c[r], c[r + 1], c[r + 2], c[r + 3]
    a00 = a10 = a11 = a20 = a21 = a22 = a30 = a31 = a32 = a33 = 0.0
    for t in range(TILE):
        u0, u1, u2, u3 = q0[t], q1[t], q2[t], q3[t]
        v0, v1, v2, v3 = c0[t], c1[t], c2[t], c3[t]
        a00 += u0 * v0
        a10 += u1 * v0; a11 += u1 * v1  # fmt: skip  # noqa: E702
        a20 += u2 * v0; a21 += u2 * v1; a22 += u2 * v2  # fmt: skip  # noqa: E702
        a30 += u3 * v0; a31 += u3 * v1; a32 += u3 * v2; a33 += u3 * v3  # fmt: skip  # noqa: E702
    p0, p1, p2, p3 = P[r], P[r + 1], P[r + 2], P[r + 3]
    p0[r] += a00
    p1[r] += a10; p1[r + 1] += a11  # fmt: skip  # noqa: E702
    p2[r] += a20; p2[r + 1] += a21; p2[r + 2] += a22  # fmt: skip  # noqa: E702
    p3[r] += a30; p3[r + 1] += a31; p3[r + 2] += a32; p3[r + 3] += a33  # fmt: skip  # noqa: E702


@loop
def outer(P: Array, q: Array, c: Array) -> None:
    """P[r, j] += the sum over the tile of q[r, t] c[j, t], for j <= r."""
    d = q.shape[0]
    full = d // 4 * 4
    for r in range(0, full, 4):
        for j in range(0, r, 4):
            square(P, q, c, r, j)
        corner(P, q, c, r)
    for r in range(full, d):
        row, into = q[r], P[r]
        for j in range(0, full, 4):
            c0, c1, c2, c3 = c[j], c[j + 1], c[j + 2], c[j + 3]
            a0 = a1 = a2 = a3 = 0.0
            for t in range(TILE):
                u = row[t]
                a0 += u * c0[t]
                a1 += u * c1[t]
                a2 += u * c2[t]
                a3 += u * c3[t]
            into[j] += a0
            into[j + 1] += a1
            into[j + 2] += a2
            into[j + 3] += a3
        for j in range(full, r + 1):
            c0 = c[j]
            a0 = 0.0
            for t in range(TILE):
                a0 += row[t] * c0[t]
            into[j] += a0


@loop
def tile_forward(
    points: Array, mu: Array, factor: Array, constant: Array, c: Array, q: Array, e: Array, rest: Array
) -> None:  # fmt: skip
    """The scaled differences in q, exp(exponent - largest) in e; largest and sum in rest[0] and rest[1]."""
    largest, total, squares = rest[0], rest[1], rest[2]
    largest[:] = -np.inf
    for i in range(mu.shape[0]):
        centre(points, mu[i], c)
        scale(q[i], factor[i], c, squares)
        row, b = e[i], constant[i]
        for t in range(TILE):
            v = b - 0.5 * squares[t]
            row[t] = v
            largest[t] = max(largest[t], v)
    total[:] = 0.0
    for i in range(mu.shape[0]):
        row = e[i]
        for t in range(TILE):
            v = exp_of_negative(row[t] - largest[t])
            row[t] = v
            total[t] += v


@loop
def logarithms(largest: Array, total: Array, size: int) -> float:
    """The sum of largest + log(total); a logarithm is taken once for many factors."""
    value = 0.0
    product = 1.0
    for t in range(size):
        value += largest[t]
        product *= total[t]
        if product > 1e250:
            value += math.log(product)
            product = 1.0
    return value + math.log(product)


@loop
def tile_backward(
    points: Array, mu: Array, c: Array, q: Array, e: Array, weight: Array, total: Array,
    shares: Array, sums: Array, P: Array,
) -> None:  # fmt: skip
    """Adds the tile's part to the sums of weights, of weighted scaled differences, and of their products."""
    for i in range(mu.shape[0]):
        row = e[i]
        share = 0.0
        for t in range(TILE):
            w = row[t] * total[t]
            weight[t] = w
            share += w
        shares[i] += share
        centre(points, mu[i], c)
        for r in range(mu.shape[1]):
            scaled = q[i, r]
            a = 0.0
            for t in range(TILE):
                v = weight[t] * scaled[t]
                scaled[t] = v
                a += v
            sums[i, r] += a
        outer(P[i], q[i], c)


@loop
def finish(
    n: int, gamma: float, m: int, factor: Array, shares: Array, softmax: Array, sums: Array, P: Array,
    d_alpha: Array, d_mu: Array, d_icf: Array,
) -> None:  # fmt: skip
    """The gradients from the sums: what is done once for a component."""
    d = d_mu.shape[1]
    for i in range(d_alpha.shape[0]):
        d_alpha[i] = shares[i] - n * softmax[i]
        for j in range(d):
            a = 0.0
            for r in range(j, d):
                a += factor[i, r, j] * sums[i, r]
            d_mu[i, j] = a
        for r in range(d):
            v = factor[i, r, r]
            d_icf[i, r] = shares[i] - m + (gamma * gamma * v - P[i, r, r]) * v
        at = d
        for c in range(d):
            for r in range(c + 1, d):
                d_icf[i, at] = gamma * gamma * factor[i, r, c] - P[i, r, c]
                at += 1


@loop
def softmax_of(alpha: Array, out: Array) -> float:
    """Writes the softmax, gives the log-sum-exp."""
    largest = np.max(alpha)
    total = 0.0
    for i in range(alpha.shape[0]):
        out[i] = math.exp(alpha[i] - largest)
        total += out[i]
    for i in range(alpha.shape[0]):
        out[i] /= total
    return largest + math.log(total)


@loop
def run(alpha: Array, mu: Array, icf: Array, x: Array, gamma: float, m: int, reverse: bool) -> Any:
    """The value, with the gradients if `reverse`."""
    n, d = x.shape
    k = alpha.shape[0]
    d_alpha, d_mu, d_icf = np.empty_like(alpha), np.empty_like(mu), np.empty_like(icf)
    constant, softmax, shares = np.empty(k), np.empty(k), np.zeros(k)
    factor, P, sums = np.empty((k, d, d)), np.zeros((k, d, d)), np.zeros((k, d))
    scratch = aligned((2 * d + k * d + k + 4) * TILE)
    points = scratch[: d * TILE].reshape((d, TILE))
    c = scratch[d * TILE : 2 * d * TILE].reshape((d, TILE))
    q = scratch[2 * d * TILE : (2 + k) * d * TILE].reshape((k, d, TILE))
    e = scratch[(2 + k) * d * TILE : ((2 + k) * d + k) * TILE].reshape((k, TILE))
    rest = scratch[((2 + k) * d + k) * TILE :].reshape((4, TILE))
    value = prepare(alpha, icf, gamma, m, d, factor, constant)
    for start in range(0, n, TILE):
        size = min(TILE, n - start)
        transposed(x, start, size, points)
        tile_forward(points, mu, factor, constant, c, q, e, rest)
        total = rest[1]
        value += logarithms(rest[0], total, size)
        if reverse:
            for t in range(TILE):
                total[t] = 1.0 / total[t] if t < size else 0.0
            tile_backward(points, mu, c, q, e, rest[3], total, shares, sums, P)
    value -= n * softmax_of(alpha, softmax) + 0.5 * n * d * math.log(2 * math.pi)
    if reverse:
        finish(n, gamma, m, factor, shares, softmax, sums, P, d_alpha, d_mu, d_icf)
    return value, (d_alpha, d_mu, d_icf)


@loop
def forward(alpha: Array, mu: Array, icf: Array, x: Array, gamma: float, m: int) -> float:
    """The value."""
    return run(alpha, mu, icf, x, gamma, m, False)[0]


@loop
def value_and_grad(alpha: Array, mu: Array, icf: Array, x: Array, gamma: float, m: int) -> Any:
    """The value and the three gradients."""
    return run(alpha, mu, icf, x, gamma, m, True)


LOOPS = Loops(forward, value_and_grad)
