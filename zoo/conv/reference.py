"""The plain formula, differentiated by torch: what every other backend must compute.

Axes: B batch, D channels, L length of the signal, Lk <= L taps.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.fft import irfft, rfft
from torch.nn.functional import pad

from zoo.conv.lags import Mode


def convolve(u: Tensor, kernels: tuple[Tensor, ...], mode: Mode) -> Tensor:
    """The first L of irfft(rfft(u, n) rfft(q, n), n), q the kernel by lag modulo n.

    Args:    u        signal, of the dtype to compute in       (B, D, L)
             kernels  one, or forward and backward             (D, Lk)
    Returns: the convolution                                   (B, D, L)
    """
    length = u.shape[-1]
    if u.numel() == 0:  # FFT libraries refuse it; zero gradients
        return u * sum(k.sum(-1, keepdim=True) for k in kernels)
    n = fft_length(mode, length, max(k.shape[-1] for k in kernels))
    spectrum = rfft(lag_buffer(kernels, mode, n), n)
    return irfft(rfft(u, n) * spectrum, n).narrow(-1, 0, length)


def fft_length(mode: Mode, length: int, taps: int) -> int:
    """n: the length itself where the signal is periodic, else more than any lag can wrap around.

    n >= L + Lk - 1 would do for causal; two-sided needs one more. n = L would leak the future.
    """
    return length if mode == "circular" else fast_length(length + taps)


def lag_buffer(kernels: tuple[Tensor, ...], mode: Mode, n: int) -> Tensor:
    """The kernel laid out by lag modulo n, so that y_t = sum_s q[(t - s) mod n] u_s: (D, n).

    causal, circular  q[j] = k[j]
    correlation       q[-j] = k[j]              the transpose of causal
    two-sided         q[j] = k_forward[j], q[-(j+1)] = k_backward[j]
    """
    first = pad(kernels[0], (0, n - kernels[0].shape[-1]))
    if mode == "correlation":
        return torch.roll(first.flip(-1), 1, -1)
    if mode == "two-sided":
        return first + pad(kernels[1].flip(-1), (n - kernels[1].shape[-1], 0))
    return first


@lru_cache(maxsize=1024)
def fast_length(least: int) -> int:
    """The smallest even 2^a 3^b 5^c >= least: sizes that FFTs are fast at."""
    n = max(2, least + least % 2)
    while not _is_smooth(n):
        n += 2
    return n


def _is_smooth(n: int) -> bool:
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1
