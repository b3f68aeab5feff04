"""The short causal convolution: a few taps for each channel, channels last.

Axes: B batch, L length, D channels, S taps.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.conv import short_operators, short_reference
from zoo.conv.arguments import REALS, computed_in
from zoo.conv.transforms import transformed_in_compiler

Activation = Literal["silu"]
ShortBackend = Literal["auto", "reference", "cpu", "triton"]
BACKENDS = ("auto", "reference", "cpu", "triton")


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
             backend     "auto" takes what is there; "reference" is plain torch ("auto" takes it
                         where torch.func is compiled)
    Returns: the output, with the dtype and the layout of u          (B, L, D)
    Raises:  ValueError naming the shape or the word that cannot be.
    """
    _check_words(activation, backend)
    _check_shapes(u, w, bias)
    dtype = computed_in(u)
    w = w.to(dtype)
    if w.shape[1] > u.shape[1] > 0:
        w = w[:, -u.shape[1] :]
    bias = None if bias is None else bias.to(dtype)
    is_compiled = backend == "auto" and transformed_in_compiler()
    if backend == "reference" or u.numel() == 0 or is_compiled:
        return short_reference.convolve(u, w, bias, activation == "silu")
    return short_operators.short_conv(u, w, bias, activation == "silu", backend)


def _check_words(activation: str | None, backend: str) -> None:
    if activation not in (None, "silu"):
        raise ValueError(f"activation={activation!r}: choose from None, 'silu'")
    if backend not in BACKENDS:
        raise ValueError(f"backend={backend!r}: choose from {', '.join(BACKENDS)}")


def _check_shapes(u: Tensor, w: Tensor, bias: Tensor | None) -> None:
    if u.dim() != 3 or u.dtype not in REALS:
        raise ValueError(f"u: {_show(u)}; expected real numbers (batch, length, channels)")
    channels = u.shape[2]
    if w.dim() != 2 or w.shape[0] != channels or w.shape[1] < 1 or w.dtype not in REALS:
        raise ValueError(
            f"w: {_show(w)}; expected (channels, taps) = ({channels}, 1 or more) for u "
            f"{tuple(u.shape)}; a signal (batch, channels, length) goes in as u.mT"
        )
    if bias is not None and (tuple(bias.shape) != (channels,) or bias.dtype not in REALS):
        raise ValueError(f"bias: {_show(bias)}; expected one real per channel, ({channels},)")
    for name, x in (("w", w), ("bias", bias)):
        if x is not None and x.device != u.device:
            raise ValueError(
                f"{name} is on {x.device} and u on {u.device}: move it with .to(u.device)"
            )


def _show(x: Tensor) -> str:
    return f"shape {tuple(x.shape)}, {x.dtype}"
