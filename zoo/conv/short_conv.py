"""The short causal convolution: a few taps for each channel, channels last.

Axes: B batch, L length, D channels, S taps.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.conv import short_operators, short_reference
from zoo.conv.forward_mode import needs_reference

Activation = Literal["silu"]
ShortBackend = Literal["auto", "reference", "cpu", "triton"]
BACKENDS = ("auto", "reference", "cpu", "triton")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def short_conv(
    u: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    activation: Activation | None = None,
    *,
    backend: ShortBackend = "auto",
) -> Tensor:
    """y_t = f(bias + sum_{s < S} w_{S-1-s} u_{t-s}),   u zero before the first step.

    The order of taps is that of nn.Conv1d: the last one weighs the current step. S may be more than
    L: the surplus meets zeros only. Computed in float32 (float64 for such a u); exactly causal.

    Args:    u           signal, of any strides                      (B, L, D)
             w           weights                                     (D, S)
             bias        added                                       (D,)
             activation  f: None, or "silu", x / (1 + exp(-x))
             backend     "auto" takes what is there; "reference" is plain torch, the one that
                         forward-mode derivatives (jvp) go through
    Returns: the output, with the dtype and the layout of u          (B, L, D)
    Raises:  ValueError naming the shape or the word that cannot be.
    """
    _check_words(activation, backend)
    _check_shapes(u, w, bias)
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    w = w.to(dtype)
    if w.shape[1] > u.shape[1] > 0:
        w = w[:, -u.shape[1] :]
    bias = None if bias is None else bias.to(dtype)
    if backend == "reference" or u.numel() == 0 or needs_reference((u, w, bias), backend):
        return short_reference.convolve(u, w, bias, activation == "silu")
    return short_operators.short_conv(u, w, bias, activation == "silu", backend)


def _check_words(activation: str | None, backend: str) -> None:
    if activation not in (None, "silu"):
        raise ValueError(f"activation={activation!r}: choose from None, 'silu'")
    if backend not in BACKENDS:
        raise ValueError(f"backend={backend!r}: choose from {', '.join(BACKENDS)}")


def _check_shapes(u: Tensor, w: Tensor, bias: Tensor | None) -> None:
    if u.dim() != 3 or u.dtype not in DTYPES:
        raise ValueError(f"u: {_show(u)}; expected real numbers (batch, length, channels)")
    channels = u.shape[2]
    if w.dim() != 2 or w.shape[0] != channels or w.shape[1] < 1 or not w.is_floating_point():
        raise ValueError(
            f"w: {_show(w)}; expected (channels, taps) = ({channels}, 1 or more) for u "
            f"{tuple(u.shape)}; a signal (batch, channels, length) goes in as u.mT"
        )
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(f"bias: {_show(bias)}; expected one per channel, ({channels},)")
    for name, x in (("w", w), ("bias", bias)):
        if x is not None and x.device != u.device:
            raise ValueError(
                f"{name} is on {x.device} and u on {u.device}: move it with .to(u.device)"
            )


def _show(x: Tensor) -> str:
    return f"shape {tuple(x.shape)}, {x.dtype}"
