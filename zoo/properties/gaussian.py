"""A Gaussian mask: how far a kernel reaches is a number that can be trained."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.draws import declare
from zoo.grid import FlatWindow, Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, KernelRate
from zoo.properties.decay import Decay
from zoo.spec import Range


class Gaussian(Decay, kind="gaussian"):
    """w(x) = exp(-(x / width_d)^2 / 2),   x = lag / longest lag.

    Source:  Romero et al. 2022, arXiv:2110.08059, rjbruin/flexconv ckconv/nn/ckconv.py (its
             positions run over [-1, 1], so that its width of .075 is .0375 here).
    Differs: a width for every channel (upstream one a layer); the mask stays at lag 0 (upstream
             trains its place too) and no tap is left out (upstream crops where the mask is < .1).
    """

    width: Annotated[float, Field(gt=0), Range(0.01, 1.0, log=True)] = 0.0375
    learned: bool = True
    kernel_lr: KernelRate | None = 1e-3

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        log_width = torch.full((context.channels, 1), self.width).log()
        return GaussianWindow(log_width, learned=self.learned, lr=self.kernel_lr)


class GaussianWindow(FlatWindow):
    """exp(-(x / width)^2 / 2)."""

    log_width: Tensor  # (D, 1)

    def __init__(self, log_width: Tensor, *, learned: bool, lr: float | None) -> None:
        super().__init__()
        if learned:
            self.log_width = declare(nn.Parameter(log_width), lr)
        else:
            self.register_buffer("log_width", log_width)

    def forward(self, grid: Grid) -> Tensor:
        return torch.exp(-0.5 * (grid.fraction * torch.exp(-self.log_width[..., None])) ** 2)
