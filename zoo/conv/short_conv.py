"""The short causal convolution: a few taps for each channel, summed tap by tap.

For so few taps these sums are leaner on a CPU than torch's depthwise conv1d, which pads a copy of
the signal and has a slow backward pass.

Axes: B batch, D channels, L length, S taps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def short_conv(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """y_t = bias + sum_{s < S} taps_{S-1-s} x_{t-s},   x zero before the first step.

    The order of taps is that of nn.Conv1d: the last one weighs the current step.

    Args:    x     signal                                      (B, D, L)
             taps  weights                                     (D, S)
             bias  added                                       (D,)
    Returns: the output                                        (B, D, L)
    """
    return _ShortConv.apply(x, taps[:, -x.shape[-1] :], bias)


class _ShortConv(torch.autograd.Function):
    """The sum over taps; each derivative is such a sum again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, taps)
        y = torch.addcmul(bias[:, None], x, taps[:, -1:])
        for lag in range(1, taps.shape[1]):
            y[..., lag:].addcmul_(x[..., :-lag], taps[:, -1 - lag, None])
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, Tensor]:
        (g,) = grads
        x, taps = ctx.saved_tensors
        into_x, into_taps = g * taps[:, -1:], [(g * x).sum((0, 2))]
        for lag in range(1, taps.shape[1]):
            into_x[..., :-lag].addcmul_(g[..., lag:], taps[:, -1 - lag, None])
            into_taps.append((g[..., lag:] * x[..., :-lag]).sum((0, 2)))
        return into_x, torch.stack(into_taps[::-1], 1), g.sum((0, 2))
