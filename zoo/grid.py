"""Where and when a kernel is sampled: the context it is built in, its grid of times, its window.

Axes: D channels, N atoms per channel, L taps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from zoo.draws import Draws


@dataclass(frozen=True)
class KernelContext:
    """What a kernel may know of the layer it is built for.

    `channels` kernels, in `copies` stacks of one kernel per feature (two directions are two
    copies): graded initial values run over the features and repeat in each copy.
    """

    channels: int
    length: int
    draws: Draws
    copies: int = 1

    def __post_init__(self) -> None:
        for name in ("channels", "length", "copies"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: a kernel needs at least 1")
        if self.channels % self.copies:
            raise ValueError(
                f"channels={self.channels} is not a multiple of copies={self.copies}: "
                "build the same number of kernels in each copy"
            )

    @property
    def features(self) -> int:
        return self.channels // self.copies

    def below(self, name: str) -> KernelContext:
        """The same context with the random streams of a part."""
        return replace(self, draws=self.draws.child(name))


@dataclass(frozen=True)
class Grid:
    """The times at which a kernel is sampled.

    `step` is the time between two taps, in the unit of the length; rates are per unit of `t`.
    `max_length` is the length that the kernel was built for, whatever is sampled now.
    """

    step: Tensor  # (D | 1, 1)
    length: int
    max_length: int

    @property
    def index(self) -> Tensor:
        """Lag in steps, 0 to L - 1: (L,)."""
        return torch.arange(self.length, dtype=self.step.dtype, device=self.step.device)

    @property
    def fraction(self) -> Tensor:
        """Lag as a fraction of the longest lag, 0 to 1: (L,)."""
        return self.index / max(self.max_length - 1, 1)

    @property
    def t(self) -> Tensor:
        """Lag in the length's own unit: (D | 1, 1, L)."""
        return (self.step * self.index)[:, None]


class Window(nn.Module):
    """What a Decay builds: a function of time per channel, 1 at lag 0 (plus a floor, if any).

    `damping` is the share g of the decay that the poles of the atoms carry themselves:
    1 where the window is made of the poles' own rates, else 0 and the window multiplies.
    """

    damping: float = 0.0
    per_atom = False  # whether each atom has a window of its own, which one sum cannot carry
    reads_time = False  # whether a trained time step matters to it

    @property
    def rate(self) -> Tensor:
        """Decay rates (D | 1, N | 1), zeros where there is none."""
        raise NotImplementedError

    def forward(self, grid: Grid) -> Tensor:
        """The window: (D | 1, N | 1, L)."""
        raise NotImplementedError


class FlatWindow(Window):
    """w(t) = 1: no decay."""

    zero: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(1, 1), persistent=False)

    @property
    def rate(self) -> Tensor:
        return self.zero

    def forward(self, grid: Grid) -> Tensor:
        return torch.ones_like(grid.index)[None, None]
