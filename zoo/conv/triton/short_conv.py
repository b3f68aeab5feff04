"""The short convolution on GPUs: bound by memory, so that there is nothing to tune.

A program takes some steps of some channels of one row. The sums over batch and time are written by
each program to a place of its own and added in order: the same call gives the same bits.

Axes: B batch, L length, D channels, S taps.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.jit import JITFunction

from zoo.conv.triton import launching
from zoo.conv.triton.configurations import Configuration

STEPS, CHANNELS = 64, 32
ROW = Configuration(
    family="short_conv",
    role="all",
    length=0,
    dots="none",
    architecture=80,
    blocks={"STEPS": STEPS, "CHANNELS": CHANNELS},
    warps=4,
    stages=2,
)


def refusal(u: Tensor) -> str | None:
    """Why these kernels cannot take u, in one line; None if they can."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if not u.is_cuda and (u.device.type != "cpu" or isinstance(forward_kernel, JITFunction)):
        return f"u is on {u.device}, not on a GPU"
    return None


def convolve(u: Tensor, w: Tensor, bias: Tensor | None, silu: bool) -> Tensor:  # noqa: FBT001
    """y_t = f(z_t),   z_t = bias + sum_j w_j u_{t-(S-1)+j}. See zoo.conv.short_reference.

    Args:    u        signal                                   (B, L, D)
             w, bias  of the dtype to compute in               (D, S), (D,)
    Returns: the output, with the dtype and the layout of u    (B, L, D)
    """
    y, w = torch.empty_like(u), w.contiguous()
    _launch(forward_kernel, w, bias, {"y": y, "u": u}, IS_SILU=silu)
    return y


def gradients(
    g: Tensor,
    u: Tensor,
    w: Tensor,
    bias: Tensor | None,
    silu: bool,  # noqa: FBT001
) -> tuple[Tensor, Tensor, Tensor]:
    """With h = f'(z) g:   du_t = sum_j w_j h_{t+(S-1)-j},   dw_j = sum_{b,t} h_t u_{t-(S-1)+j}.

    With an activation h is made first: each step of du needs S of them, and each of those S of u.

    Args:    g  gradient of the output                         (B, L, D)
    Returns: those of u, w and bias                            (B, L, D), (D, S), (D,)
    """
    w, h = w.contiguous(), g
    if silu:
        h = torch.empty_like(u, dtype=w.dtype)
        _launch(slope_kernel, w, bias, {"h": h, "g": g, "u": u})
    du = torch.empty_like(u)
    programs = u.shape[0] * _blocks(u.shape[1], STEPS)
    parts = w.new_empty(programs, w.shape[1] + 1, w.shape[0])  # the bias comes behind the taps
    _launch(backward_kernel, w, None, {"du": du, "h": h, "u": u}, parts=parts)
    total = parts.sum(0)
    return du, total[:-1].mT.contiguous(), total[-1]


def _launch(
    kernel: Any, w: Tensor, bias: Tensor | None, signals: dict[str, Tensor], **others: Any
) -> None:
    """One program for each row, block of steps and block of channels."""
    batch, length, channels = signals["u"].shape
    strides = {
        f"{name}_{axis}": stride
        for name, x in signals.items()
        for axis, stride in zip(("batch", "time", "channel"), x.stride(), strict=True)
    }
    if kernel is not backward_kernel:
        others |= {"bias": w if bias is None else bias.contiguous(), "HAS_BIAS": bias is not None}
    launching.launch(
        kernel,
        batch * _blocks(length, STEPS) * _blocks(channels, CHANNELS),
        ROW,
        w=w,
        length=length,
        channels=channels,
        taps=w.shape[1],
        **signals,
        **strides,
        **others,
    )


def _blocks(n: int, size: int) -> int:
    return -(-n // size)


@triton.jit
def place(length, channels, STEPS: tl.constexpr, CHANNELS: tl.constexpr):
    """The row b and the tile (numbered over the batch) of a program, its steps t and channels d."""
    columns, rows = tl.cdiv(channels, CHANNELS), tl.cdiv(length, STEPS)
    program = tl.program_id(0).to(tl.int64)
    tile = program // columns
    t = tile % rows * STEPS + tl.arange(0, STEPS)
    d = program % columns * CHANNELS + tl.arange(0, CHANNELS)
    return tile // rows, tile, t, d


@triton.jit
def load_signal(  # noqa: PLR0913
    row, time, channel, t, d, length, channels
):
    """Steps t and channels d of one row, zero outside of it."""
    inside = ((t >= 0) & (t < length))[:, None] & (d < channels)[None, :]
    return tl.load(row + t[:, None] * time + d[None, :] * channel, mask=inside, other=0.0)


@triton.jit
def weighted(  # noqa: PLR0913
    u_row, u_time, u_channel, w, bias, t, d, length, channels, taps, HAS_BIAS: tl.constexpr
):
    """z_t = bias + sum_j w_j u_{t-(S-1)+j}."""
    dtype: tl.constexpr = w.dtype.element_ty
    z = tl.zeros([t.shape[0], d.shape[0]], dtype)
    if HAS_BIAS:
        z += tl.load(bias + d, mask=d < channels, other=0.0)[None, :]
    for j in range(taps):
        x = load_signal(u_row, u_time, u_channel, t - (taps - 1) + j, d, length, channels)
        z += tl.load(w + d * taps + j, mask=d < channels, other=0.0)[None, :] * x.to(dtype)
    return z


@triton.jit
def forward_kernel(  # noqa: PLR0913
    y, u, w, bias,
    y_batch, y_time, y_channel, u_batch, u_time, u_channel,
    length, channels, taps,
    HAS_BIAS: tl.constexpr, IS_SILU: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The output, f(z)."""
    b, _, t, d = place(length, channels, STEPS, CHANNELS)  # pyright: ignore
    z = weighted(
        u + b * u_batch, u_time, u_channel, w, bias, t, d, length, channels, taps, HAS_BIAS
    )
    if IS_SILU:
        z = z / (1 + tl.exp(-z))
    inside = (t < length)[:, None] & (d < channels)[None, :]
    at = y + b * y_batch + t[:, None] * y_time + d[None, :] * y_channel
    tl.store(at, z.to(y.dtype.element_ty), mask=inside)


@triton.jit
def slope_kernel(  # noqa: PLR0913
    h, g, u, w, bias,
    h_batch, h_time, h_channel, g_batch, g_time, g_channel, u_batch, u_time, u_channel,
    length, channels, taps,
    HAS_BIAS: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Makes h = silu'(z) g,   silu'(z) = s (1 + z (1 - s)),   s = 1 / (1 + exp(-z))."""
    b, _, t, d = place(length, channels, STEPS, CHANNELS)  # pyright: ignore
    z = weighted(
        u + b * u_batch, u_time, u_channel, w, bias, t, d, length, channels, taps, HAS_BIAS
    )
    s = 1 / (1 + tl.exp(-z))
    slope = load_signal(g + b * g_batch, g_time, g_channel, t, d, length, channels).to(z.dtype)
    inside = (t < length)[:, None] & (d < channels)[None, :]
    at = h + b * h_batch + t[:, None] * h_time + d[None, :] * h_channel
    tl.store(at, slope * s * (1 + z * (1 - s)), mask=inside)


@triton.jit
def backward_kernel(  # noqa: PLR0913
    du, h, u, w, parts,
    du_batch, du_time, du_channel, h_batch, h_time, h_channel, u_batch, u_time, u_channel,
    length, channels, taps,
    STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """du_t = sum_j w_j h_{t+(S-1)-j}; the sums of dw_j and of dbias over this program's steps."""
    b, tile, t, d = place(length, channels, STEPS, CHANNELS)  # pyright: ignore
    dtype: tl.constexpr = w.dtype.element_ty
    h_row, u_row = h + b * h_batch, u + b * u_batch
    slope = load_signal(h_row, h_time, h_channel, t, d, length, channels).to(dtype)
    into_u = tl.zeros([STEPS, CHANNELS], dtype)
    part = parts + tile * (taps + 1) * channels + d
    for j in range(taps):
        ahead = load_signal(h_row, h_time, h_channel, t + (taps - 1) - j, d, length, channels)
        into_u += tl.load(w + d * taps + j, mask=d < channels, other=0.0)[None, :] * ahead.to(dtype)
        x = load_signal(u_row, u_time, u_channel, t - (taps - 1) + j, d, length, channels)
        tl.store(part + j * channels, tl.sum(slope * x.to(dtype), 0), mask=d < channels)
    tl.store(part + taps * channels, tl.sum(slope, 0), mask=d < channels)
    inside = (t < length)[:, None] & (d < channels)[None, :]
    at = du + b * du_batch + t[:, None] * du_time + d[None, :] * du_channel
    tl.store(at, into_u.to(du.dtype.element_ty), mask=inside)
