"""Free taps: as many numbers as the kernel has taps."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.draws import declare
from zoo.grid import FlatWindow, Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.spec import Range

KEPT = ("kernel_lr", "kernel_weight_decay")


class Dense(Parameterization, kind="dense"):
    """k[d, l] = w[d, l].

    init "normal"     w ~ N(0, std^2)
         "geometric"  the same times exp(-(l/L) (H/2)^(h/H)), h = 0 .. H-1 the feature of H
         "baseline"   the samples of the initial kernel of `baseline`, which it replaces: both
                      compute the same function at step 0, and only the free numbers differ.

    Over a baseline whose poles carry the decay, the taps start at the damped samples and that
    decay is not applied again.

    Source:  Fu et al. 2023, arXiv:2302.06646, HazyResearch/safari ("double_exp" is "geometric").
    Differs: upstream's H // 2 is H / 2 here (equal for even H); std is one field
             (upstream .002 for "normal", .02 for "geometric").
    """

    init: Literal["normal", "geometric", "baseline"] = "normal"
    std: Annotated[float, Field(ge=0), Range(1e-3, 1e-1, log=True)] = 0.02
    baseline: Parameterization | None = None

    @property
    def has_poles(self) -> bool:
        return self.baseline is not None and self.baseline.has_poles

    def replacing(self, old: Any) -> Self:
        if self.init != "baseline" or not isinstance(old, Parameterization):
            return self
        if isinstance(old, Dense):
            return old  # pyright: ignore[reportReturnType]
        kept = {name: getattr(old, name) for name in KEPT if name not in self.model_fields_set}
        return self.model_copy(update={"baseline": old, **kept})

    def build(self, context: KernelContext) -> Atoms:
        if self.init == "baseline":
            if self.baseline is None:
                raise ValueError(NO_BASELINE)
            return Sampled(self.baseline.build(context), self.kernel_lr)
        taps = context.draws.normal("taps", context.channels, context.length, std=self.std)
        if self.init == "geometric":
            taps = taps * geometric_envelope(context)
        return FreeTaps(taps, self.kernel_lr)


NO_BASELINE = (
    "parameterization=dense init=baseline has no baseline: it is made by parameterization=off; "
    "on its own choose init=normal or init=geometric"
)


def geometric_envelope(context: KernelContext) -> Tensor:
    """exp(-(l/L) (H/2)^(h/H)): (D, L), rates from 1 to about H/2 over the H features."""
    features = context.features
    h = torch.arange(features, dtype=torch.float64).repeat(context.copies)
    rate = (features / 2) ** (h / features)
    time = torch.arange(context.length, dtype=torch.float64) / context.length
    return torch.exp(-rate[:, None] * time).float()


class FreeTaps(Atoms):
    """One atom per channel: the taps."""

    def __init__(self, taps: Tensor, lr: float | None) -> None:
        super().__init__()
        self.lr = lr
        self.taps = declare(nn.Parameter(taps), lr)  # (D, L)

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        return self.taps[:, None, : grid.length]

    def trim(self, length: int) -> None:
        self.taps = declare(nn.Parameter(self.taps.detach()[:, :length].clone()), self.lr)


class Sampled(Atoms):
    """The atoms of a baseline, until they settle into free taps."""

    def __init__(self, baseline: Atoms, lr: float | None) -> None:
        super().__init__()
        self.baseline, self.lr = baseline, lr
        self.num_atoms, self.scale = baseline.num_atoms, baseline.scale
        self.native_rate = baseline.native_rate
        self.nested = baseline.nested

    def forward(self, grid: Grid, window: Window) -> Tensor:
        return self.baseline(grid, window)

    def natural_length(self, length: int) -> int:
        return self.baseline.natural_length(length)

    def settle(self, grid: Grid, window: Window) -> tuple[Atoms, Window]:
        native = window.damping != 0 or window.per_atom
        with torch.no_grad():
            taps = self.baseline(grid, window if native else FlatWindow())
        return FreeTaps(taps, self.lr), FlatWindow() if native else window
