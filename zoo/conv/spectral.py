"""The convolution through torch.fft: for every device and dtype, and where nothing compiled serves.

    K = F forward + conj(F backward)       Y = K U       F x the rfft of x, n >= L + Lk - 1

so that the lags of `backward` count the other way. Nothing of length n outlives a call. Conjugates
are computed, not marked: inside an operator that AOTAutograd runs, torch 2.13 drops the mark.

Axes: B batch, D channels, L length, Lk <= L taps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from zoo.conv.arguments import Arguments, Gradients, laid_out, product, wide
from zoo.conv.reference import fast_length


def refusal(u: Tensor, precision: str) -> str | None:
    """Why this backend cannot take the signal, None if it can."""
    if precision in ("auto", "fp32"):
        return None
    return "torch.fft computes in float32 or float64"


def convolve(a: Arguments, precision: str) -> Tensor:
    """The output post (K X + skip X), X = pre U: shapes as in zoo.conv.operators."""
    u, forward, backward, skip, pre, post = a
    n = _fft_length(u, forward, backward)
    x = product(u, pre)
    c = irfft(rfft(x, n) * _spectrum(forward, backward, n), n)[..., : u.shape[-1]]
    return laid_out(_gated(c, x, skip, post), u)


def gradients(g: Tensor, a: Arguments, precision: str) -> Gradients:
    """The derivative in each argument, None for those that are None.

    With A = sum_b Gc conj(X):   Gx = conj(K) Gc,   d forward = F^-1 A,   d backward = F^-1 conj(A)
    """
    u, forward, backward, skip, pre, post = a
    n, length = _fft_length(u, forward, backward), u.shape[-1]
    x, gc = product(u, pre), product(g, post)
    spectrum = _spectrum(forward, backward, n)
    x_hat, gc_hat = rfft(x, n), rfft(gc, n)
    dpost = None
    if post is not None:
        c = irfft(x_hat * spectrum, n)[..., :length]
        dpost = laid_out(_gated(c, x, skip, None) * wide(g), u)
    gx = irfft(gc_hat * torch.conj_physical(spectrum), n)[..., :length]
    gx = _gated(gx, gc, skip, None)
    sums = (gc_hat * torch.conj_physical(x_hat)).sum(0)
    return (
        laid_out(gx if pre is None else gx * wide(pre), u),
        None if forward is None else irfft(sums, n)[:, : forward.shape[1]].contiguous(),
        None
        if backward is None
        else irfft(torch.conj_physical(sums), n)[:, : backward.shape[1]].contiguous(),
        None if skip is None else (gc * x).sum((0, 2)),
        None if pre is None else laid_out(gx * wide(u), u),
        dpost,
    )


def weight_gradient(g: Tensor, u: Tensor, taps: int, precision: str) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j]: (D, taps)."""
    n = fast_length(u.shape[-1] + taps)
    sums = (rfft(wide(g), n) * torch.conj_physical(rfft(wide(u), n))).sum(0)
    return irfft(sums, n)[:, :taps].contiguous()


def _fft_length(u: Tensor, *kernels: Tensor | None) -> int:
    return fast_length(u.shape[-1] + max(k.shape[1] for k in kernels if k is not None))


def _spectrum(forward: Tensor | None, backward: Tensor | None, n: int) -> Tensor:
    """K = F forward + conj(F backward): (D, n / 2 + 1)."""
    if backward is None:
        assert forward is not None
        return rfft(forward, n)
    ahead = torch.conj_physical(rfft(backward, n))
    return ahead if forward is None else rfft(forward, n) + ahead


def _gated(c: Tensor, x: Tensor, skip: Tensor | None, post: Tensor | None) -> Tensor:
    if skip is not None:
        c = torch.addcmul(c, x, skip[:, None])
    return c if post is None else c * wide(post)
