"""What every backend is given, and how numbers are held in it.

Axes: B batch, D channels, L length, Lf, Lb <= L taps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

REALS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class Arguments(NamedTuple):
    """The tensors of one convolution:   y = post (C x + skip x),   x = pre u.

    (C x)_t = sum_{s <= t} forward[t - s] x_s + sum_{s >= t} backward[s - t] x_s

    The signals u, pre and post have one dtype and any strides; kernels and skip are contiguous, in
    float64 if the signals are and else in float32. At least one kernel is there.
    """

    u: Tensor  # signal                   (B, D, L)
    forward: Tensor | None = None  #      (D, Lf)
    backward: Tensor | None = None  #     (D, Lb)
    skip: Tensor | None = None  #         (D,)
    pre: Tensor | None = None  # gate     (B, D, L)
    post: Tensor | None = None  # gate    (B, D, L)


Gradients = tuple[Tensor | None, ...]  # in each of Arguments, None where that is


def computed_in(u: Tensor) -> torch.dtype:
    """float64 for such a signal, float32 for any other."""
    return torch.float64 if u.dtype == torch.float64 else torch.float32


def wide(x: Tensor) -> Tensor:
    """In the dtype to compute in."""
    return x.to(computed_in(x))


def product(x: Tensor, gate: Tensor | None) -> Tensor:
    """The signal behind its gate, in the dtype to compute in."""
    return wide(x) if gate is None else wide(x) * wide(gate)


def laid_out(x: Tensor, u: Tensor) -> Tensor:
    """The signal with the dtype and the strides of torch.empty_like(u): itself if it has both."""
    wanted = torch.empty_like(u)
    if x.dtype == wanted.dtype and x.stride() == wanted.stride():
        return x
    return wanted.copy_(x)
