"""The slot Parameterization: what the free numbers of a kernel are.

    k[d, l] = sum_n window_n(t_l) atom_n(t_l)

Axes: D channels, N atoms per channel, L taps.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.recurrence import Recurrence
from zoo.spec import Range, Spec

KernelRate = Annotated[float, Field(gt=0), Range(1e-4, 1e-1, log=True)]


class Atoms(nn.Module):
    """The functions of time that a kernel is the sum of."""

    num_atoms: int = 1
    scale: int | None = None  # taps of the finest scale, where there are scales
    nested = False  # whether all scales begin at lag 0
    reads_time = False  # whether a trained time step matters to it
    native_rate = 0.5  # rate of the poles that the method starts with, where there are poles

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        """Undamped atoms; the window is told for what the damping does to their gain: (D, N, L)."""
        raise NotImplementedError

    def forward(self, grid: Grid, window: Window) -> Tensor:
        """The sum of the windowed atoms: (D, L)."""
        return (window(grid) * self.atoms(grid, window)).sum(1)

    def natural_length(self, length: int) -> int:
        """Taps that the parameters describe, at least `length`."""
        return length

    def trim(self, length: int) -> None:
        """Give up the free numbers that only taps from `length` on would show."""

    def settle(self, grid: Grid, window: Window) -> tuple[Atoms, Window]:
        """What takes the place of both once gains are known; most stay what they are."""
        return self, window

    def recurrence(self, grid: Grid, window: Window) -> Recurrence:
        """The same kernel one step at a time, under a window that is flat or in the poles."""
        raise NotImplementedError


class Parameterization(Spec):
    """What the free numbers of a kernel are.

    kernel_lr: learning rate of what shapes the atoms (None: the model's).
    kernel_weight_decay: the atoms' own, 0 ("none"), or the model's ("inherit").
    """

    poles: ClassVar[bool] = False
    kernel_lr: KernelRate | None = 1e-3
    kernel_weight_decay: Literal["none", "inherit"] = "none"

    @property
    def has_poles(self) -> bool:
        """Whether a decay can be put into the poles of the atoms."""
        return self.poles

    @property
    def state_size(self) -> int | None:
        """Real numbers that a recurrence of it keeps per channel; None: there is no recurrence."""
        return None

    def build(self, context: KernelContext) -> Atoms:
        raise NotImplementedError
