"""The convolution as the sum that it is, tap by tap: for signals of a few steps.

    c = S(forward) x + R S(backward) R x + skip x      S the short convolution, R the time reversed

An FFT of so few points is all overhead. Exactly causal; products and sums are rounded one by one,
so that a row comes out the same in any batch.

Axes: B batch, D channels, L length, Lk <= L taps.
"""

from __future__ import annotations

from torch import Tensor

from zoo.conv.arguments import Arguments, Gradients, laid_out, product, wide
from zoo.conv.cpu import short_conv

SHORTEST_FFT = 12  # steps; from here on one FFT is faster than the sums, whose work is L^2


def convolve(a: Arguments) -> Tensor:
    """The output post (conv(x) + skip x), x = pre u: shapes as in zoo.conv.operators."""
    u, forward, backward, skip, pre, post = a
    c = _sum(product(u, pre), forward, backward, skip)
    return laid_out(c if post is None else c * wide(post), u)


def gradients(g: Tensor, a: Arguments) -> Gradients:
    """The derivative in each argument, None for those that are None.

    gc = post g,  gx = C^T gc + skip gc:   du = pre gx,  dpre = u gx,  dpost = g c
    """
    u, forward, backward, skip, pre, post = a
    x, gc = product(u, pre), product(g, post)
    gx = _sum(gc, backward, forward, skip)
    dforward = None if forward is None else _weights(gc, x, forward.shape[1])
    dbackward = None if backward is None else _weights(x, gc, backward.shape[1])
    at_lag_0 = dbackward if dforward is None else dforward
    return (
        laid_out(gx if pre is None else gx * wide(pre), u),
        dforward,
        dbackward,
        None if skip is None or at_lag_0 is None else at_lag_0[:, 0].clone(),
        None if pre is None else laid_out(gx * wide(u), u),
        None if post is None else laid_out(_sum(x, forward, backward, skip) * wide(g), u),
    )


def weight_gradient(g: Tensor, u: Tensor, taps: int) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j]: (D, taps)."""
    return _weights(wide(g), wide(u), taps)


def _sum(x: Tensor, forward: Tensor | None, backward: Tensor | None, skip: Tensor | None) -> Tensor:
    c = None if skip is None else x * skip[:, None]
    if forward is not None:
        c = _plus(c, _causal(x, forward))
    if backward is not None:
        c = _plus(c, _causal(x.flip(2), backward).flip(2))
    assert c is not None
    return c


def _plus(c: Tensor | None, more: Tensor) -> Tensor:
    return more if c is None else c + more


def _causal(x: Tensor, kernel: Tensor) -> Tensor:
    """sum_j kernel_j x_{t-j}; the short convolution's last tap weighs the current step."""
    return short_conv.convolve(x.mT, kernel.flip(1), None, False).mT


def _weights(g: Tensor, x: Tensor, taps: int) -> Tensor:
    w = x.new_zeros(x.shape[1], taps)
    return short_conv.gradients(g.mT, x.mT, w, None, False)[1].flip(1)
