"""What stands before a gated convolution: projections of the input, and a few taps behind each.

Axes: B batch, L length, D width, P features of a projection, S taps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.conv.short_conv import short_conv
from zoo.draws import Draws, declare


class Projections(nn.Module):
    """x_t = c + sum_{s < S} w_s z_{t-s},   z = W u + b, zero before the first step; S = 0: x = z.

    Several at once: each draws its values by its own name, and all are one product.

    Args:    u  input                                          (B, L, D)
    Returns: x, one for each name                              (B, P, L)
    """

    def __init__(self, sizes: dict[str, int], width: int, short: int, draws: Draws) -> None:
        super().__init__()
        self.sizes, self.short = list(sizes.values()), short
        parts = [Drawn(name, width, out, draws) for name, out in sizes.items()]
        self.weight = nn.Parameter(torch.cat([p.linear.weight.detach() for p in parts]))  # (P, D)
        self.bias = nn.Parameter(torch.cat([p.linear.bias.detach() for p in parts]))
        if short:
            # Tap s weighs lag S - 1 - s, as in every nn.Conv1d.
            self.taps = declare(nn.Parameter(torch.cat([p.taps(short) for p in parts])))  # (P, S)
            self.short_bias = nn.Parameter(torch.cat([p.short_bias(short) for p in parts]))

    def forward(self, u: Tensor) -> tuple[Tensor, ...]:
        x = F.linear(u, self.weight, self.bias)
        if self.short:
            x = short_conv(x, self.taps, self.short_bias)  # (B, L, P of all)
        # Views, which the long convolution takes. Split first: the gradients are then put side by
        # side as they lie in memory.
        return tuple(part.mT for part in x.split(self.sizes, -1))

    def state_elements(self) -> int:
        return max(self.short - 1, 0) * sum(self.sizes)


class Drawn:
    """The initial values of one projection and its short convolution, PyTorch's own laws."""

    def __init__(self, name: str, width: int, out: int, draws: Draws) -> None:
        self.draws, self.out = draws.child(name), out
        self.linear = self.draws.linear("project", width, out)

    def taps(self, short: int) -> Tensor:
        bound = 1 / math.sqrt(short)
        return self.draws.uniform("taps", self.out, short, low=-bound, high=bound)

    def short_bias(self, short: int) -> Tensor:
        bound = 1 / math.sqrt(short)
        return self.draws.uniform("bias", self.out, low=-bound, high=bound)
