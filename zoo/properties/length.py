"""Length: which taps exist, and how far apart in time they lie."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from zoo.draws import declare
from zoo.grid import Grid, KernelContext
from zoo.spec import Range, Spec

KEPT = ("time", "dt_min", "dt_max", "kernel_lr")


class Length(Spec):
    """t_l = step l: the grid of times, cut to the first taps.

    time "step"      step = 1: rates are per step
         "sequence"  step = 1/(L-1): rates are per longest sequence
         "learned"   step = exp(log_dt), log-uniform in [dt_min, dt_max], one per channel, trained
                     at the rate kernel_lr (None: the model's), weight decay 0

    The unit matters to atoms and decays that read t (modes, per-mode); others name their own.
    """

    time: Literal["step", "sequence", "learned"] = "step"
    dt_min: Annotated[float, Field(gt=0), Range(1e-4, 1e-1, log=True)] = 1e-3
    dt_max: Annotated[float, Field(gt=0), Range(1e-3, 1.0, log=True)] = 1e-1
    kernel_lr: Annotated[float, Field(gt=0), Range(1e-4, 1e-1, log=True)] | None = 1e-3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.dt_min > self.dt_max:
            raise ValueError(f"dt_min={self.dt_min} is above dt_max={self.dt_max}: lower dt_min")
        return self

    def replacing(self, old: Any) -> Self:
        """Keep the unit of time of the old length, unless told one."""
        if not isinstance(old, Length):
            return self
        kept = {name: getattr(old, name) for name in KEPT if name not in self.model_fields_set}
        return self.model_copy(update=kept)

    def cut(self, length: int) -> int:
        """How many of `length` taps exist."""
        return length

    def build(self, context: KernelContext) -> Times:
        if self.time == "learned":
            low, high = math.log(self.dt_min), math.log(self.dt_max)
            log_dt = context.draws.uniform("log_dt", context.channels, 1, low=low, high=high)
            return Times(log_dt, context.length, lr=self.kernel_lr, learned=True)
        step = 1.0 if self.time == "step" else 1 / max(context.length - 1, 1)
        return Times(torch.full((1, 1), step).log(), context.length, lr=None, learned=False)


class Full(Length, kind="full"):
    """Every tap of the longest sequence."""


class Taps(Length, kind="taps"):
    """The first `taps` taps of the same kernel."""

    taps: Annotated[int, Field(ge=1)] = 4

    def replacing(self, old: Any) -> Self:
        """Also never more taps than the old length had."""
        new = super().replacing(old)
        if isinstance(old, Taps):
            return new.model_copy(update={"taps": min(self.taps, old.taps)})
        return new

    def cut(self, length: int) -> int:
        return min(self.taps, length)


class Times(nn.Module):
    """Makes the grid."""

    log_dt: Tensor  # (D | 1, 1)

    def __init__(self, log_dt: Tensor, max_length: int, *, lr: float | None, learned: bool) -> None:
        super().__init__()
        self.max_length = max_length
        if learned:
            self.log_dt = declare(nn.Parameter(log_dt), lr)
        else:
            self.register_buffer("log_dt", log_dt)

    def freeze(self) -> None:
        """Nothing reads the time: a step that cannot be trained is not a parameter."""
        if isinstance(self.log_dt, nn.Parameter):
            value = self.log_dt.detach()
            del self.log_dt
            self.register_buffer("log_dt", value)

    def forward(self, length: int) -> Grid:
        return Grid(torch.exp(self.log_dt), length, self.max_length)
