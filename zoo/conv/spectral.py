"""The plain formula with cheaper derivatives: one FFT where autograd takes two.

Autograd's own derivative of rfft is a complex FFT of the full length, and that of irfft doubles
half of a spectrum. But in U -> irfft(U Q) the factor 2 of the one and the 1/2 of the other meet
across a product that is taken frequency by frequency, so both can be left out:

    u -> U = rfft(u)      derivative  G -> n irfft(G)
    P -> y = irfft(P)     derivative  g -> rfft(g) / n

That is the adjoint for the inner product of the *whole* spectrum, of which the half is stored. It
is exact for anything linear over frequencies between the two (here: a product, a sum over the
batch), not for other functions of a spectrum, so the two functions stay in this file.

What is saved: the product keeps the two spectra, U and Q, and nothing else; backward is then
three FFTs (g, du, dq) against four if u were saved and transformed again. U takes the memory of the
padded signal, twice that of a float32 u, as the plain formula does. Each derivative is again one of
the two functions, so derivatives of any order exist.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from zoo.conv.lags import Mode, fft_length, lag_buffer

OTHER = {"backward": "forward", "forward": "backward"}  # which transform of a pair has the 1/n


class _Spectrum(torch.autograd.Function):
    """Signal x (..., L <= n) -> rfft(x, n), with the adjoint of the whole spectrum.

    forward takes ctx: with a separate setup_context each call costs 40 us more (torch 2.13).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int, norm: str) -> Tensor:
        ctx.length, ctx.n, ctx.norm = x.shape[-1], n, OTHER[norm]
        return rfft(x, n, norm=norm)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        return _Signal.apply(grads[0], ctx.n, ctx.length, ctx.norm), None, None


class _Signal(torch.autograd.Function):
    """Spectrum X -> the first `length` of irfft(X, n), with the adjoint of the whole spectrum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int, length: int, norm: str) -> Tensor:
        ctx.n, ctx.norm = n, OTHER[norm]
        return irfft(x, n, norm=norm).narrow(-1, 0, length)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None, None]:
        return _Spectrum.apply(grads[0], ctx.n, ctx.norm), None, None, None


def convolve(u: Tensor, kernels: tuple[Tensor, ...], mode: Mode) -> Tensor:
    """The same as reference.convolve.

    Args:    u        signal, of the dtype to compute in       (B, D, L)
             kernels  one, or forward and backward             (D, Lk)
    Returns: the convolution                                   (B, D, L)
    """
    length = u.shape[-1]
    n = fft_length(mode, length, max(k.shape[-1] for k in kernels))
    spectrum = _Spectrum.apply(lag_buffer(kernels, mode, n), n, "backward")
    return _Signal.apply(_Spectrum.apply(u, n, "backward") * spectrum, n, length, "backward")
