"""The short convolution in C++: tensors of any strides handed over as addresses.

Axes: B batch, L length, D channels, S taps.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from zoo.conv.cpu import build
from zoo.conv.cpu.checks import check_short

NAMES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


def refusal(u: Tensor) -> str | None:
    """Why this backend cannot take u, in one line; None if it can."""
    if u.device.type != "cpu":
        return f"u is on {u.device}, and the compiled code runs on the CPU"
    if u.dtype not in NAMES:
        return f"u is {u.dtype}: the compiled code takes {', '.join(NAMES.values())}"
    return build.reason()


def convolve(u: Tensor, w: Tensor, bias: Tensor | None, silu: bool) -> Tensor:  # noqa: FBT001
    """See zoo.conv.short_reference; w and bias have the dtype to compute in.

    Args:    u  signal                                         (B, L, D)
             w, bias                                           (D, S), (D,)
    Returns: the output, with the dtype and the layout of u    (B, L, D)
    """
    check_short(u, w, bias)
    y, w, bias = torch.empty_like(u), w.contiguous(), _contiguous(bias)
    _extension().short_conv(
        NAMES[u.dtype],
        (*u.shape, w.shape[1]),
        silu,
        *(y.data_ptr(), y.stride()),
        *(u.data_ptr(), u.stride()),
        *(w.data_ptr(), 0 if bias is None else bias.data_ptr()),
        torch.get_num_threads(),
    )
    return y


def gradients(
    g: Tensor,
    u: Tensor,
    w: Tensor,
    bias: Tensor | None,
    silu: bool,  # noqa: FBT001
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of u, w and a bias, in one pass over g and u.

    Args:    g  gradient of the output                         (B, L, D)
    Returns: those of u, w and bias                            (B, L, D), (D, S), (D,)
    """
    check_short(u, w, bias, g)
    g = g.to(u.dtype)
    w, bias = w.contiguous(), _contiguous(bias)
    du, dw, dbias = torch.empty_like(u), torch.empty_like(w), w.new_empty(w.shape[0])
    _extension().short_conv_backward(
        NAMES[u.dtype],
        (*u.shape, w.shape[1]),
        silu,
        *(du.data_ptr(), du.stride(), dw.data_ptr(), dbias.data_ptr()),
        *(g.data_ptr(), g.stride()),
        *(u.data_ptr(), u.stride()),
        *(w.data_ptr(), 0 if bias is None else bias.data_ptr()),
        torch.get_num_threads(),
    )
    return du, dw, dbias


def _contiguous(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.contiguous()


def _extension() -> ModuleType:
    module = build.extension()
    assert module is not None, build.reason()
    return module
