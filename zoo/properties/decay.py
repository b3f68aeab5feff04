"""Decay: a window, a function of time per channel.

    per-mode     exp(-rate_dn t)      in the poles of the atoms     t in the length's unit
    exponential  exp(-rate_d x)       x = lag / longest lag: per sequence
    per-scale    alpha^i              on the steps where scale i of SGConv lies
    power-law    (1 + lag)^(-a_d)     lag in steps

Axes: D channels, N atoms per channel, L taps.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from zoo.draws import Draws, declare
from zoo.grid import FlatWindow, Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, KernelRate
from zoo.spec import Range, Spec

SCALE = 16  # taps of the first scale where the parameterization has none


class Decay(Spec):
    """A window over the atoms; `needs_poles` where the poles of the atoms must carry it."""

    @property
    def needs_poles(self) -> bool:
        return False

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        raise NotImplementedError


class NoDecay(Decay, kind="none"):
    """w(t) = 1."""

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        return FlatWindow()


class Exponential(Decay, kind="exponential"):
    """w(x) = exp(-rate_d x) + shift,   x = lag / longest lag.

    Rates are evenly spaced over the features, from ln(1/target)/slow to ln(1/target)/fast: the
    fastest feature falls to `target` at the fraction `fast` of the sequence, the slowest at `slow`.

    Source:  Poli et al. 2023, arXiv:2302.10866, HazyResearch/safari (rates fixed: learned=False).
    """

    fast: Annotated[float, Field(gt=0), Range(0.05, 1.0, log=True)] = 0.3
    slow: Annotated[float, Field(gt=0), Range(0.5, 10.0, log=True)] = 1.5
    target: Annotated[float, Field(gt=0, lt=1)] = 1e-2
    shift: Annotated[float, Field(ge=0)] = 0.0
    learned: bool = False
    kernel_lr: KernelRate | None = 1e-3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fast > self.slow:
            raise ValueError(f"fast={self.fast} is above slow={self.slow}: lower fast")
        return self

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        reach = math.log(1 / self.target)
        rate = torch.linspace(reach / self.slow, reach / self.fast, context.features)
        log_rate = rate.log().repeat(context.copies)[:, None]
        return SequenceWindow(log_rate, self.shift, learned=self.learned, lr=self.kernel_lr)


class SequenceWindow(Window):
    """exp(-rate x) + shift."""

    log_rate: Tensor  # (D, 1)

    def __init__(self, log_rate: Tensor, shift: float, *, learned: bool, lr: float | None) -> None:
        super().__init__()
        self.shift = shift
        if learned:
            self.log_rate = declare(nn.Parameter(log_rate), lr)
        else:
            self.register_buffer("log_rate", log_rate)

    @property
    def rate(self) -> Tensor:
        return self.log_rate.exp()

    def forward(self, grid: Grid) -> Tensor:
        return torch.exp(-self.rate[..., None] * grid.fraction) + self.shift


class PerMode(Decay, kind="per-mode"):
    """w_n(t) = exp(-rate_dn t), in the poles: the native decay of a sum of modes.

    init "constant"  rate_n = `rate`                      S4D-Lin, S4D-Inv
         "native"    rate_n = what the atoms name         S4: 1/2 for legs, 1e-4 for fout and legt
         "linear"    rate_n = n + 1                       S4D-Real
         "ema"       rate_n = -log(1 - p a), p and a = sigmoid(N(0, .2))        Mega

    Rates are trained as exp(log_rate) at the rate kernel_lr, weight decay 0.

    Source:  Gu et al. 2022, arXiv:2206.11893; Ma et al. 2023, arXiv:2209.10655.
    Differs: Mega trains p and a; here their initial law is kept and log_rate is trained.
    """

    init: Literal["constant", "native", "linear", "ema"] = "constant"
    rate: Annotated[float, Field(gt=0), Range(0.05, 5.0, log=True)] = 0.5
    kernel_lr: KernelRate | None = 1e-3

    @property
    def needs_poles(self) -> bool:
        return True

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        shape = (context.channels, atoms.num_atoms)
        if self.init == "linear":
            rate = torch.arange(1.0, shape[1] + 1).expand(shape)
        elif self.init == "ema":
            rate = ema_rates(context.draws, *shape)
        else:
            native = self.init == "native"
            rate = torch.full(shape, atoms.native_rate if native else self.rate)
        return PoleWindow(rate.log().contiguous(), self.kernel_lr)


def ema_rates(draws: Draws, *shape: int) -> Tensor:
    """-log(1 - sigmoid(delta) sigmoid(alpha)), both N(0, .2): the rates of Mega's EMA."""
    keep = draws.normal("delta", *shape, std=0.2).sigmoid()
    return -torch.log1p(-keep * draws.normal("alpha", *shape, std=0.2).sigmoid())


class PoleWindow(Window):
    """exp(-rate t), which the poles carry."""

    damping = 1.0
    reads_time = True

    def __init__(self, log_rate: Tensor, lr: float | None) -> None:
        super().__init__()
        self.log_rate = declare(nn.Parameter(log_rate), lr)  # (D, N)

    @property
    def rate(self) -> Tensor:
        return self.log_rate.exp()

    def forward(self, grid: Grid) -> Tensor:
        return torch.exp(-self.rate[..., None] * grid.t)


class PerScale(Decay, kind="per-scale"):
    """w(l) = alpha^i,  alpha = 2^-speed,  i the scale of SGConv that covers step l.

    Scale 0 covers the first `size` steps, scale i > 0 the steps from size 2^(i-1) to size 2^i.
    A function of time, so it means the same for every parameterization. size=None: the
    parameterization's own finest scale, 16 where it has none.

    Source:  Li et al. 2023, arXiv:2210.09298, ctlllll/SGConv (its m is 2^speed).
    """

    speed: Annotated[float, Field(ge=0), Range(0.0, 2.0)] = 1.0
    size: Annotated[int, Field(ge=1)] | None = None

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        return Staircase(self.speed, self.size or atoms.scale or SCALE)


class Staircase(FlatWindow):
    """2^(-speed i)."""

    def __init__(self, speed: float, size: int) -> None:
        super().__init__()
        self.speed, self.size = speed, size

    def forward(self, grid: Grid) -> Tensor:
        edges = [self.size]
        while edges[-1] * 2 < grid.length:
            edges.append(edges[-1] * 2)
        scale = sum((grid.index >= edge).to(grid.step.dtype) for edge in edges)
        return torch.exp2(-self.speed * torch.as_tensor(scale))[None, None]


class PowerLaw(Decay, kind="power-law"):
    """w(l) = (1 + l)^(-a), l in steps; a = `exponent`, or learned per channel from U[low, high].

    Source:  Li et al. 2023, arXiv:2210.09298, ctlllll/SGConv (modes "learnable" and "fixed").
    """

    exponent: Annotated[float, Field(ge=0), Range(0.0, 2.0)] = 1.0
    learned: bool = False
    low: Annotated[float, Field(ge=0)] = 0.5
    high: Annotated[float, Field(ge=0)] = 1.5
    kernel_lr: KernelRate | None = 1e-3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low} is above high={self.high}: lower low")
        return self

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        if not self.learned:
            return PowerWindow(torch.full((1, 1), self.exponent), learned=False, lr=None)
        exponent = context.draws.uniform(
            "exponent", context.channels, 1, low=self.low, high=self.high
        )
        return PowerWindow(exponent, learned=True, lr=self.kernel_lr)


class PowerWindow(FlatWindow):
    """(1 + l)^(-a) = exp(-a log(1 + l))."""

    exponent: Tensor  # (D | 1, 1)

    def __init__(self, exponent: Tensor, *, learned: bool, lr: float | None) -> None:
        super().__init__()
        if learned:
            self.exponent = declare(nn.Parameter(exponent), lr)
        else:
            self.register_buffer("exponent", exponent)

    def forward(self, grid: Grid) -> Tensor:
        return torch.exp(-self.exponent[..., None] * torch.log1p(grid.index))
