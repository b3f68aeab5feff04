"""The short convolution in plain torch: what others must compute, differentiable to any order.

Axes: B batch, L length, D channels, S taps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def convolve(u: Tensor, w: Tensor, bias: Tensor | None, silu: bool) -> Tensor:  # noqa: FBT001
    """y_t = f(z_t),   z_t = bias + sum_j w_j u_{t-(S-1)+j},   f the identity or silu.

    Args:    u        signal                                   (B, L, D)
             w, bias  of the dtype to compute in               (D, S), (D,)
    Returns: the output, of the dtype of u                     (B, L, D)
    """
    z = _weighted(_delayed(u.to(w.dtype), w), w, bias)
    return (z * z.sigmoid() if silu else z).to(u.dtype)  # F.silu: no jvp of its gradient


def gradients(
    g: Tensor,
    u: Tensor,
    w: Tensor,
    bias: Tensor | None,
    silu: bool,  # noqa: FBT001
) -> tuple[Tensor, Tensor, Tensor]:
    """With h = f'(z) g:   du_t = sum_j w_j h_{t+(S-1)-j},   dw_j = sum_{b,t} h_t u_{t-(S-1)+j}.

    Args:    g  gradient of the output                         (B, L, D)
    Returns: those of u, w and bias                            (B, L, D), (D, S), (D,)
    """
    length, taps = u.shape[1], w.shape[1]
    x, h = _delayed(u.to(w.dtype), w), g.to(w.dtype)
    if silu:
        h = h * silu_slope(_weighted(x, w, bias))
    ahead = F.pad(h, (0, 0, 0, taps - 1))  # (B, L + S - 1, D)
    du = _weighted(ahead, w.flip(-1), None)
    dw = [(h * x[:, j : j + length]).sum((0, 1)) for j in range(taps)]
    return du.to(u.dtype), torch.stack(dw, -1), h.sum((0, 1))


def silu_slope(z: Tensor) -> Tensor:
    """f'(z) of f(z) = z / (1 + exp(-z)), of any shape."""
    sigmoid = z.sigmoid()
    return sigmoid * (1 + z * (1 - sigmoid))


def _delayed(x: Tensor, w: Tensor) -> Tensor:
    """Zeros before the first step: (B, S - 1 + L, D)."""
    return F.pad(x, (0, 0, w.shape[1] - 1, 0))


def _weighted(x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    """z_t = bias + sum_j w_j x_{t+j}: (B, L + S - 1, D) to (B, L, D)."""
    length = x.shape[1] - w.shape[1] + 1
    z = x[:, :length] * w[:, 0] if bias is None else torch.addcmul(bias, x[:, :length], w[:, 0])
    for j in range(1, w.shape[1]):
        z = torch.addcmul(z, x[:, j : j + length], w[:, j])
    return z
