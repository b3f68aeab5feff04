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
    parameterization's own scales; 16 steps where it has none. Summed scales all cover step l, and
    each keeps its own alpha^i.

    fastest: 1/alpha is evenly spaced over the features from 2^speed to 2^fastest; None: one alpha.

    Source:  Li et al. 2023, arXiv:2210.09298, ctlllll/SGConv (its m is 2^speed).
    """

    speed: Annotated[float, Field(ge=0), Range(0.0, 2.0)] = 1.0
    size: Annotated[int, Field(ge=1)] | None = None
    fastest: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.fastest is not None and self.fastest < self.speed:
            raise ValueError(f"fastest={self.fastest} is below speed={self.speed}: lower speed")
        return self

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        speed = self.speed if self.fastest is None else graded(self.speed, self.fastest, context)
        if atoms.nested and self.size is None:
            return AtomPowers(speed, atoms.num_atoms)
        return Staircase(speed, self.size or atoms.scale or SCALE)


def graded(first: float, last: float, context: KernelContext) -> Tensor:
    """log2 m, m evenly spaced over the features from 2^first to 2^last: (D, 1, 1)."""
    m = torch.linspace(2**first, 2**last, context.features, dtype=torch.float64)
    return torch.log2(m).float().repeat(context.copies)[:, None, None]


class ScalePowers(FlatWindow):
    """2^(-speed i), i counting scales."""

    speeds: Tensor | None  # (D, 1, 1) where they differ

    def __init__(self, speed: float | Tensor) -> None:
        super().__init__()
        several = isinstance(speed, Tensor)
        self.speed = 0.0 if several else speed
        self.register_buffer("speeds", speed if several else None)

    def powers(self, i: Tensor) -> Tensor:
        """Args: i (N | 1, L | 1). Returns: (D | 1, N | 1, L | 1)."""
        speed = self.speed if self.speeds is None else self.speeds
        return torch.exp2(-speed * i[None])


class Staircase(ScalePowers):
    """The scale is a function of time."""

    def __init__(self, speed: float | Tensor, size: int) -> None:
        super().__init__(speed)
        self.size = size

    def forward(self, grid: Grid) -> Tensor:
        edges = [self.size]
        while edges[-1] * 2 < grid.length:
            edges.append(edges[-1] * 2)
        scale = sum((grid.index >= edge).to(grid.step.dtype) for edge in edges)
        return self.powers(torch.as_tensor(scale)[None])


class AtomPowers(ScalePowers):
    """Every scale covers every time: one window for each."""

    per_atom = True

    def __init__(self, speed: float | Tensor, num_atoms: int) -> None:
        super().__init__(speed)
        self.num_atoms = num_atoms

    def forward(self, grid: Grid) -> Tensor:
        i = torch.arange(self.num_atoms, dtype=grid.step.dtype, device=grid.step.device)
        return self.powers(i[:, None]).expand(-1, -1, grid.length)


class PowerLaw(Decay, kind="power-law"):
    """w(l) = (1 + l)^(-a), l in steps; one a = `exponent`, or one per channel from U[low, high].

    drawn: whether a is drawn per channel (None: where it is learned). learned: whether it is
    trained, at the rate kernel_lr and without weight decay.

    Source:  Li et al. 2023, arXiv:2210.09298, ctlllll/SGConv (modes "learnable" and "fixed").
    Differs: one a per kernel; upstream's features share theirs over filters and directions.
    """

    exponent: Annotated[float, Field(ge=0), Range(0.0, 2.0)] = 1.0
    learned: bool = False
    drawn: bool | None = None
    low: Annotated[float, Field(ge=0)] = 0.5
    high: Annotated[float, Field(ge=0)] = 1.5
    kernel_lr: KernelRate | None = 1e-3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low} is above high={self.high}: lower low")
        return self

    def build(self, context: KernelContext, atoms: Atoms) -> Window:
        drawn = self.learned if self.drawn is None else self.drawn
        shape = (context.channels, 1) if drawn or self.learned else (1, 1)
        if drawn:
            exponent = context.draws.uniform("exponent", *shape, low=self.low, high=self.high)
        else:
            exponent = torch.full(shape, self.exponent)
        return PowerWindow(exponent, learned=self.learned, lr=self.kernel_lr)


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
