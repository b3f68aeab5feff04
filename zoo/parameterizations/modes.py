"""Damped oscillators: a diagonal state-space model, seen as a kernel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from zoo.draws import Draws, declare
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.parameterizations.hippo import rotated
from zoo.parameterizations.recurrence import Diagonal, Recurrence
from zoo.spec import Choice


class Modes(Parameterization, kind="modes"):
    """k_l = Re sum_n m c_n b_n a_n^l,   z_n = step (i omega_n - g rate_n).

    The decay owns the rates and the damping g: 1 with decay=per-mode, else 0 and the decay's window
    multiplies the undamped sum. m = 2 for complex modes (each stands for a conjugate pair), 1 for
    real ones and for coefficients=dss.

    hold     "zoh"       a = e^z, b = step phi1(z)
             "bilinear"  a = (1 + z/2)/(1 - z/2), b = step/(1 - z/2); not for real modes
             "softmax"   a = e^z, b = (e^z - 1)/(l (e^{z L} - 1)), l = z/step, L the longest length:
                         sum_k l b a^k = 1 over its taps. DSS; 1/x is conj(x)/(|x|^2 + 1e-7)
             "none"      a = e^z, b = 1
    spectrum "lin"   omega_n = pi n                            S4D-Lin, with rate 1/2
             "inv"   omega_n = (S/pi)(S/(2n+1) - 1), S = 2N    S4D-Inv, with rate 1/2
             "legs"  those of HiPPO-LegS of size S             S4D-LegS and DSS, with rate 1/2
             "real"  omega_n = 0, real c                       S4D-Real, with rate n + 1; EMA
    coefficients "normal"  c ~ N(0, 1), complex: 1/2 per part
                 "hippo"   the same times HiPPO-LegS's B; "legs" only
                 "dss"     c ~ N(0, 1) in each part, and no mode stands for two; not for real modes
                 "ema"     c_n = p_n beta_n gamma_n / sqrt(N), p = sigmoid(N(0, .2)),
                           beta = +1, -1, +1, ... + N(0, .02), gamma ~ N(0, 1); "real" only

    kernel_lr is the rate of the frequencies; coefficients have the model's rate.

    Source:  S4D: Gu et al. 2022, arXiv:2206.11893, state-spaces/s4 models/s4/s4d.py.
             DSS: Gupta et al. 2022, arXiv:2203.14343.
             EMA: Ma et al. 2023, arXiv:2209.10655, facebookresearch/mega.
    Differs: S4D's B is folded into c; weight decay of c is 0. DSS leaves the sign of the rate free
             and normalises over the sequence at hand. In Mega one p is both in the
             coefficient and in the pole q = 1 - p a; here the decay draws and learns the pole by
             itself (init="ema"), so the p of the coefficient is another draw of the same law.
    """

    poles: ClassVar[bool] = True
    num_modes: Annotated[int, Field(ge=1), Choice((8, 16, 32, 64))] = 32
    spectrum: Literal["lin", "inv", "legs", "real"] = "lin"
    hold: Literal["zoh", "bilinear", "softmax", "none"] = "zoh"
    coefficients: Literal["normal", "hippo", "dss", "ema"] = "normal"

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        real = self.spectrum == "real"
        if self.coefficients == "ema" and not real:
            raise ValueError(f"coefficients=ema with spectrum={self.spectrum}: use spectrum=real")
        if self.coefficients == "hippo" and self.spectrum != "legs":
            raise ValueError(f"coefficients=hippo with spectrum={self.spectrum}: use spectrum=legs")
        if self.coefficients == "dss" and real:
            raise ValueError("coefficients=dss with spectrum=real: use coefficients=normal")
        if self.hold == "bilinear" and real:
            raise ValueError("hold=bilinear with spectrum=real: use hold=zoh")
        return self

    @property
    def state_size(self) -> int:
        return self.num_modes * (1 if self.spectrum == "real" else 2)

    def build(self, context: KernelContext) -> Atoms:
        omega = frequencies(self.spectrum, self.num_modes).repeat(context.channels, 1)
        coefficients = COEFFICIENTS[self.coefficients](
            context.draws, context.channels, self.num_modes, real=self.spectrum == "real"
        )
        return ModalAtoms(
            omega,
            coefficients,
            real=self.spectrum == "real",
            hold=HOLDS[self.hold],
            lr=self.kernel_lr,
        )


def frequencies(spectrum: str, num: int) -> Tensor:
    """Initial imaginary parts of the poles: (N,), float32 from float64."""
    n = torch.arange(num, dtype=torch.float64)
    if spectrum == "lin":
        return (math.pi * n).float()
    if spectrum == "inv":
        size = 2 * num  # the real state size: each mode is a conjugate pair
        return (size / math.pi * (size / (2 * n + 1) - 1)).float()
    if spectrum == "legs":
        return torch.tensor(rotated("legs", 2 * num).omega, dtype=torch.float32)
    return torch.zeros_like(n).float()


class NormalCoefficients(nn.Module):
    """c ~ N(0, 1); complex as pairs of real numbers, because moments of optimisers are real."""

    def __init__(self, draws: Draws, channels: int, num: int, *, real: bool) -> None:
        super().__init__()
        values = draws.normal("c", channels, num, 1 if real else 2)
        self.c = declare(nn.Parameter(values if real else values * math.sqrt(0.5)))

    def forward(self) -> Tensor:
        """The coefficients (D, N), times 2 where a mode stands for a conjugate pair."""
        return self.c[..., 0] if self.c.shape[-1] == 1 else 2 * torch.view_as_complex(self.c)


class HippoCoefficients(NormalCoefficients):
    """c ~ N(0, 1) B, B of HiPPO-LegS in the basis of its normal part."""

    def __init__(self, draws: Draws, channels: int, num: int, *, real: bool) -> None:
        super().__init__(draws, channels, num, real=real)
        b = torch.tensor(rotated("legs", 2 * num).b.real, dtype=torch.float32)
        self.c = declare(nn.Parameter(self.c.detach() * b[:, None]))


class DssCoefficients(nn.Module):
    """c ~ N(0, 1) in each part, of modes that stand for themselves."""

    def __init__(self, draws: Draws, channels: int, num: int, *, real: bool) -> None:
        super().__init__()
        assert not real
        self.c = declare(nn.Parameter(draws.normal("c", channels, num, 2)))

    def forward(self) -> Tensor:
        """The coefficients (D, N)."""
        return torch.view_as_complex(self.c)


class EmaCoefficients(nn.Module):
    """c_n = p_n beta_n gamma_n / sqrt(N): input, expansion and output weights of an EMA."""

    def __init__(self, draws: Draws, channels: int, num: int, *, real: bool) -> None:
        super().__init__()
        sign = 1.0 - 2.0 * (torch.arange(num) % 2)
        self.input = declare(nn.Parameter(draws.normal("p", channels, num, std=0.2)))
        self.beta = declare(nn.Parameter(sign + draws.normal("beta", channels, num, std=0.02)))
        self.gamma = declare(nn.Parameter(draws.normal("gamma", channels, num)))

    def forward(self) -> Tensor:
        """The coefficients (D, N)."""
        return self.input.sigmoid() * self.beta * self.gamma / math.sqrt(self.gamma.shape[-1])


COEFFICIENTS = {
    "normal": NormalCoefficients,
    "hippo": HippoCoefficients,
    "dss": DssCoefficients,
    "ema": EmaCoefficients,
}


def zero_order(c: Tensor, z: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Weights c step phi1(z), and log a = z."""
    return c * grid.step * phi1(z), z


def bilinear(c: Tensor, z: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Weights c step/(1 - z/2), and log a = log (1 + z/2)/(1 - z/2) = 2 artanh(z/2)."""
    return c * grid.step / (1 - z / 2), 2 * torch.atanh(z / 2)


def softmax(c: Tensor, z: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Weights c (e^z - 1)/(l (e^{z L} - 1)), l = z/step, and log a = z."""
    x = torch.expm1(z * grid.max_length) * z / grid.step
    return c * torch.expm1(z) * x.conj() / (x.abs().square() + 1e-7), z


def unheld(c: Tensor, z: Tensor, _: Grid) -> tuple[Tensor, Tensor]:
    """Weights c, and log a = z."""
    return c, z


Hold = Callable[[Tensor, Tensor, Grid], tuple[Tensor, Tensor]]
HOLDS: dict[str, Hold] = {
    "zoh": zero_order,
    "bilinear": bilinear,
    "softmax": softmax,
    "none": unheld,
}


class ModalAtoms(Atoms):
    """N oscillators per channel."""

    reads_time = True

    def __init__(
        self, omega: Tensor, coefficients: nn.Module, *, real: bool, hold: Hold, lr: float | None
    ) -> None:
        super().__init__()
        self.coefficients, self.hold, self.num_atoms = coefficients, hold, omega.shape[-1]
        self.omega = None if real else declare(nn.Parameter(omega), lr)  # (D, N)

    def exponents(self, grid: Grid, window: Window) -> Tensor:
        """Step (i omega - g rate): (D, N), in double: phases reach 1e6 at 64k taps."""
        decay = -window.damping * (grid.step * window.rate).double()
        if self.omega is None:
            return decay.expand(-1, self.num_atoms)
        phase = grid.step.double() * self.omega.double()
        return torch.complex(decay.expand_as(phase), phase)

    def modes(self, grid: Grid, window: Window) -> tuple[Tensor, Tensor]:
        """Coefficient times gain of each mode, and its exponent per step, in double: (D, N)."""
        c, z = self.coefficients(), self.exponents(grid, window)
        return self.hold(c.to(z.dtype), z, grid)

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        weights, z = self.modes(grid, window)
        if self.omega is None:
            turn = torch.zeros_like(z)
        else:
            turn = torch.complex(torch.zeros_like(z.imag), z.imag)
        waves = torch.exp(turn[..., None] * grid.index.to(turn.real.dtype))
        return _real(weights[..., None] * waves).to(grid.step.dtype)

    def forward(self, grid: Grid, window: Window) -> Tensor:
        weights, z = self.modes(grid, window)
        kernel = modal_sum(weights, z, grid.length, dtype=grid.step.dtype)
        return kernel if window.damping else kernel * window(grid)[:, 0]

    def recurrence(self, grid: Grid, window: Window) -> Recurrence:
        return Diagonal(*self.modes(grid, window))


def modal_sum(weights: Tensor, z: Tensor, length: int, *, dtype: torch.dtype) -> Tensor:
    """Re sum_n weights_n exp(z_n l) for l = 0 .. L-1, in blocks: l = i b + j.

    Memory is N (L/b + b) numbers per channel, not N L; angles stay double, products are `dtype`.

    Args:    weights, z  of each mode, complex or real         (D, N)
    Returns: the sum                                           (D, L)
    """
    block = math.isqrt(length - 1) + 1
    j = torch.arange(block, dtype=torch.float64, device=z.device)
    i = torch.arange(0, length, block, dtype=torch.float64, device=z.device)
    kind = dtype.to_complex() if z.is_complex() else dtype
    starts = (weights[..., None] * torch.exp(z[..., None] * i)).to(kind)  # (D, N, L/b)
    inside = torch.exp(z[..., None] * j).to(kind)  # (D, N, b)
    return _real(starts.mT @ inside).flatten(1)[:, :length]


def phi1(z: Tensor) -> Tensor:
    """(exp(z) - 1) / z, continued to 1 at z = 0: the zero-order-hold gain of one mode.

    Args:    z  step times pole, complex or real               (D, N)
    Returns: the gain                                          (D, N)
    Source:  Gu et al. 2022, arXiv:2206.11893.  Differs: upstream divides by the pole: NaN at 0.
    """
    small = z.detach().abs() < 1e-2
    near = torch.where(small, z, torch.zeros_like(z))
    far = torch.where(small, torch.ones_like(z), z)
    series = torch.ones_like(z)
    for n in range(7, 1, -1):
        series = 1 + near / n * series
    return torch.where(small, series, torch.expm1(far) / far)


def _real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x
