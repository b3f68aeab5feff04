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

from zoo.conv.reference import fast_length


def refusal(u: Tensor, precision: str) -> str | None:
    """Why this backend cannot take the signal, None if it can."""
    if precision in ("auto", "fp32"):
        return None
    return "torch.fft computes in float32 or float64"


def convolve(  # noqa: PLR0913
    u: Tensor,
    forward: Tensor | None,
    backward: Tensor | None,
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    precision: str,
) -> Tensor:
    """The output post (K X + skip X), X = pre U: shapes as in zoo.conv.operators."""
    n = _fft_length(u, forward, backward)
    x = _product(u, pre)
    c = irfft(rfft(x, n) * _spectrum(forward, backward, n), n)[..., : u.shape[-1]]
    return _like(_gated(c, x, skip, post), u)


def gradients(  # noqa: PLR0913
    g: Tensor,
    u: Tensor,
    forward: Tensor | None,
    backward: Tensor | None,
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    precision: str,
) -> tuple[Tensor | None, ...]:
    """The derivative in each argument, None for those that are None.

    With A = sum_b Gc conj(X):   Gx = conj(K) Gc,   d forward = F^-1 A,   d backward = F^-1 conj(A)
    """
    n, length = _fft_length(u, forward, backward), u.shape[-1]
    x, gc = _product(u, pre), _product(g, post)
    spectrum = _spectrum(forward, backward, n)
    x_hat, gc_hat = rfft(x, n), rfft(gc, n)
    dpost = None
    if post is not None:
        c = irfft(x_hat * spectrum, n)[..., :length]
        dpost = _like(_gated(c, x, skip, None) * _wide(g), u)
    gx = irfft(gc_hat * torch.conj_physical(spectrum), n)[..., :length]
    gx = _gated(gx, gc, skip, None)
    sums = (gc_hat * torch.conj_physical(x_hat)).sum(0)
    return (
        _like(gx if pre is None else gx * _wide(pre), u),
        None if forward is None else irfft(sums, n)[:, : forward.shape[1]].contiguous(),
        None
        if backward is None
        else irfft(torch.conj_physical(sums), n)[:, : backward.shape[1]].contiguous(),
        None if skip is None else (gc * x).sum((0, 2)),
        None if pre is None else _like(gx * _wide(u), u),
        dpost,
    )


def weight_gradient(g: Tensor, u: Tensor, taps: int, precision: str) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j]: (D, taps)."""
    n = fast_length(u.shape[-1] + taps)
    sums = (rfft(_wide(g), n) * torch.conj_physical(rfft(_wide(u), n))).sum(0)
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


def _wide(x: Tensor) -> Tensor:
    """In the dtype to compute in: double stays, all else is float32."""
    return x if x.dtype == torch.float64 else x.float()


def _product(x: Tensor, gate: Tensor | None) -> Tensor:
    return _wide(x) if gate is None else _wide(x) * _wide(gate)


def _gated(c: Tensor, x: Tensor, skip: Tensor | None, post: Tensor | None) -> Tensor:
    if skip is not None:
        c = torch.addcmul(c, x, skip[:, None])
    return c if post is None else c * _wide(post)


def _like(x: Tensor, u: Tensor) -> Tensor:
    """A copy of x with the dtype and the strides of torch.empty_like(u)."""
    return torch.empty_like(u).copy_(x)
