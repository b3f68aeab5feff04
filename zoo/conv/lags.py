"""Every mode of convolution as two kernels by lag: one that looks back and one that looks ahead.

    y_t = sum_{s <= t} forward[t - s] u_s + sum_{s >= t} backward[s - t] u_s

Lag 0 belongs to both. It is all that a compiled backend has to compute.

Axes: D channels, L length of the signal, Lk <= L taps.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor
from torch.nn.functional import pad

Mode = Literal["causal", "circular", "correlation", "two-sided"]
MODES: tuple[Mode, ...] = get_args(Mode)


def by_lag(
    kernels: tuple[Tensor, ...], mode: Mode, length: int
) -> tuple[Tensor | None, Tensor | None]:
    """The kernels (forward, backward), None where all lags of one sign are zero.

        causal       forward[j] = k[j]
        correlation  backward[j] = k[j]                                 the transpose of causal
        two-sided    forward[j] = kf[j],  backward[j + 1] = kb[j]
        circular     forward[j] = k[j],   backward[j] = k[L - j], j > 0     lag -j is lag L - j

    Source:  the two-sided rule is that of S4, SGConv and LongConv ("pad/flip").
    """
    k = kernels[0]
    if mode == "causal":
        return k, None
    if mode == "correlation":
        return None, k
    if mode == "two-sided":
        ahead = kernels[1]
        return k, pad(ahead.narrow(1, 0, min(ahead.shape[1], length - 1)), (1, 0))
    if k.shape[1] == 1:  # no lag but 0
        return k, None
    return k, pad(k.narrow(1, 1, k.shape[1] - 1).flip(1), (1 + length - k.shape[1], 0))
