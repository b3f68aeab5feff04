"""vmap of the long convolution: V goes into the batch, or into the channels.

Into the channels where each of V has kernels of its own. A rule gets the operation to call, then
what torch gives a rule: its information, the vmapped axis of each argument, and the arguments.

Axes: V vmapped, B batch, D channels, L length, Lk <= L taps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

Call = Callable[..., Any]


def long_conv(call: Call, info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
    """Of call(the six tensors, words)."""
    size, tensors, words = info.batch_size, args[:6], args[6:]
    if any(dim is not None for dim in in_dims[1:4]):
        folded = _into_channels(size, in_dims[:6], tensors)
        return call(*folded, *words).unflatten(1, (size, -1)), 1
    signals = [_in_front(size, dim, x) for dim, x in zip(in_dims, tensors, strict=False)]
    batch = [None if x is None else x.flatten(0, 1) for x in signals]
    y = call(batch[0], *tensors[1:4], batch[4], batch[5], *words)
    return y.unflatten(0, (size, -1)), 0


def gradients(
    call: Call, info: Any, in_dims: Any, *args: Any
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Of call(g, the six tensors, words)."""
    folded = _into_channels(info.batch_size, in_dims[:7], args[:7])
    found = call(*folded, *args[7:])
    channels = (1, 0, 0, 0, 1, 1)
    axes = tuple(0 if x is None else axis for x, axis in zip(args[1:7], channels, strict=True))
    return tuple(
        dx.new_empty(info.batch_size, 0) if x is None else dx.unflatten(axis, (info.batch_size, -1))
        for x, dx, axis in zip(args[1:7], found, axes, strict=True)
    ), axes


def weight_gradient(
    call: Call, info: Any, in_dims: Any, g: Tensor, u: Tensor, *rest: Any
) -> tuple[Tensor, int]:
    """Of call(g, u, taps, words)."""
    folded = _into_channels(info.batch_size, in_dims[:2], (g, u))
    return call(*folded, *rest).unflatten(0, (info.batch_size, -1)), 0


def _in_front(size: int, dim: int | None, x: Tensor | None) -> Tensor | None:
    if x is None:
        return None
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


def _into_channels(size: int, dims: Any, tensors: Any) -> list[Tensor | None]:
    """(V, B, D, L) to (B, V D, L), (V, D, Lk) to (V D, Lk), (V, D) to (V D)."""
    front = [_in_front(size, dim, x) for dim, x in zip(dims, tensors, strict=True)]
    return [None if x is None else _folded(x) for x in front]


def _folded(x: Tensor) -> Tensor:
    return x.transpose(0, 1).flatten(1, 2) if x.dim() == 4 else x.flatten(0, 1)
