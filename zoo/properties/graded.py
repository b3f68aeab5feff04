"""The decay of RWKV: one rate per step for each feature, from hardly any to all at once."""

from __future__ import annotations

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from zoo.draws import declare
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, KernelRate
from zoo.properties.decay import Decay
from zoo.spec import Range

MIDDLE = 1.35  # the curve of the middle layer


class Graded(Decay, kind="graded"):
    """w(l) = exp(-rate_d l), l in steps;   log rate_d = low + (high - low) (d/(D-1))^curve.

    d = 0 .. D-1 the feature. curve=None: 0.7 + 1.3 i/(n-1) in layer i of n of rwkv, 1.35 in other
    mixers. Rates are trained as log rate at the rate kernel_lr, weight decay 0.

    Source:  Peng et al. 2023, arXiv:2305.13048, BlinkDL/RWKV-LM RWKV-v4/src/model.py (time_decay).
    """

    low: float = -5.0
    high: float = 3.0
    curve: Annotated[float, Field(gt=0), Range(0.5, 2.5)] | None = None
    learned: bool = True
    kernel_lr: KernelRate | None = 1e-3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low} is above high={self.high}: lower low")
        return self

    def at_layer(self, index: int, depth: int) -> Graded:
        """The same with the curve of a layer, unless it has one of its own."""
        if self.curve is not None:
            return self
        return self.model_copy(update={"curve": 0.7 + 1.3 * index / max(depth - 1, 1)})

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        d = torch.arange(context.features, dtype=torch.float64) / max(context.features - 1, 1)
        curve = MIDDLE if self.curve is None else self.curve
        log_rate = (self.low + (self.high - self.low) * d**curve).float()
        log_rate = log_rate.repeat(context.copies)[:, None]
        return StepWindow(log_rate, learned=self.learned, lr=self.kernel_lr)


class StepWindow(Window):
    """exp(-rate l)."""

    log_rate: Tensor  # (D, 1)

    def __init__(self, log_rate: Tensor, *, learned: bool, lr: float | None) -> None:
        super().__init__()
        if learned:
            self.log_rate = declare(nn.Parameter(log_rate), lr)
        else:
            self.register_buffer("log_rate", log_rate)

    @property
    def rate(self) -> Tensor:
        return self.log_rate.exp()

    def forward(self, grid: Grid) -> Tensor:
        return torch.exp(-self.rate[..., None] * grid.index)
