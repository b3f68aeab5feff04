"""The plain formula: what every other backend must compute, and its gradients."""

from __future__ import annotations

from torch import Tensor
from torch.fft import irfft, rfft

from zoo.conv.lags import Mode, fft_length, lag_buffer


def convolve(u: Tensor, kernels: tuple[Tensor, ...], mode: Mode) -> Tensor:
    """The first L of irfft(rfft(u, n) rfft(q, n), n).

    Args:    u        signal, of the dtype to compute in       (B, D, L)
             kernels  one, or forward and backward             (D, Lk)
    Returns: the convolution                                   (B, D, L)
    """
    length = u.shape[-1]
    n = fft_length(mode, length, max(k.shape[-1] for k in kernels))
    spectrum = rfft(lag_buffer(kernels, mode, n), n)
    return irfft(rfft(u, n) * spectrum, n).narrow(-1, 0, length)
