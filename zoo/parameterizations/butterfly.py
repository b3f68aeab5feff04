"""Free taps behind a learned Fourier transform: the kernel's half of a learned butterfly."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from zoo.draws import declare
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.parameterizations.dense import Dense
from zoo.spec import Choice, Range


class Butterfly(Parameterization, kind="butterfly"):
    """k = the first L taps of Re F^-1 G w,   G a butterfly of learned factors that starts as F.

    F of N = 2^q >= 2L points is q factors of size 2, or fewer of up to `factor`: small dense
    matrices with fixed twiddles between them. Those matrices are trained here, one for each size,
    the same for all channels. Each starts as the exact one plus N(0, noise^2). The taps w start as
    those of dense with the same `init` and `std`.

    parameterization=off is the fixed transform: the taps alone.

    Source:  Fu et al. 2023, arXiv:2302.06646, HazyResearch/safari
             src/models/sequence/block_fft.py (learn_dft_matrices, learn_additive with .01).
    Differs: upstream learns a second transform, of the input. The layer is then no convolution
             and no kernel describes it, so that one stays F here. Upstream keeps all N taps of
             F^-1 G w, and taps from L on reach into the future; here they are cut.
    """

    init: Literal["normal", "geometric"] = "normal"
    std: Annotated[float, Field(ge=0), Range(1e-3, 1e-1, log=True)] = 0.02
    factor: Annotated[int, Field(ge=2), Choice((2, 4, 8, 16))] = 16
    noise: Annotated[float, Field(ge=0)] = 0.0

    @field_validator("factor")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError(f"factor={value} is no power of 2: use {1 << value.bit_length() - 1}")
        return value

    def build(self, context: KernelContext) -> Atoms:
        taps = Dense(init=self.init, std=self.std, kernel_lr=self.kernel_lr).build(context)
        return LearnedTransform(taps, self, context)


def factor_sizes(length: int, factor: int) -> list[int]:
    """The factors of N = 2^q >= 2 length, the largest first."""
    sizes, left = [], (2 * length - 1).bit_length()
    most = factor.bit_length() - 1
    while left:
        sizes.append(2 ** min(most, left))
        left -= min(most, left)
    return sizes


class LearnedTransform(Atoms):
    """One atom per channel: the transformed taps."""

    def __init__(self, taps: Atoms, spec: Butterfly, context: KernelContext) -> None:
        super().__init__()
        self.taps, self.length = taps, context.length
        self.sizes = factor_sizes(context.length, spec.factor)
        self.matrices = nn.ParameterDict()
        for size in sorted(set(self.sizes)):
            noise = context.draws.normal(f"factor{size}", size, size, 2, std=spec.noise)
            exact = torch.view_as_real(fourier(size, torch.float64)).float()
            self.matrices[str(size)] = declare(nn.Parameter(exact + noise), spec.kernel_lr)

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        whole = Grid(grid.step, self.length, grid.max_length)
        w = self.taps.atoms(whole, window)[:, 0]  # (D, L)
        padded = nn.functional.pad(w, (0, math.prod(self.sizes) - self.length))
        k = torch.fft.ifft(self.transform(padded.to(w.dtype.to_complex()), self.sizes)).real
        return k[:, None, : grid.length]

    def transform(self, x: Tensor, sizes: list[int]) -> Tensor:
        """The butterfly: index a n + b goes to frequency c + m e, a and c of the first factor m.

            X[c + m e] = sum_b W_n[e, b] omega_N^(b c) sum_a W_m[c, a] x[a n + b],   n = N / m

        Args:    x  signals, complex                           (..., N)
        Returns: G x                                           (..., N)
        """
        m, *rest = sizes
        factor = torch.view_as_complex(self.matrices[str(m)]).to(x.dtype)
        if not rest:
            return x @ factor.T
        x = factor @ x.unflatten(-1, (m, -1))  # (..., m, n)
        x = self.transform(x * twiddles(m, x.shape[-1], x), rest)
        return x.mT.flatten(-2)


def fourier(size: int, dtype: torch.dtype) -> Tensor:
    """exp(-2 pi i a b / n): (n, n)."""
    n = torch.arange(size, dtype=dtype)
    angle = -2 * math.pi * (n[:, None] * n % size) / size
    return torch.complex(torch.cos(angle), torch.sin(angle))


def twiddles(m: int, n: int, like: Tensor) -> Tensor:
    """exp(-2 pi i c b / (m n)): (m, n)."""
    c = torch.arange(m, dtype=torch.float64, device=like.device)[:, None]
    b = torch.arange(n, dtype=torch.float64, device=like.device)
    angle = -2 * math.pi * c * b / (m * n)
    return torch.complex(torch.cos(angle), torch.sin(angle)).to(like.dtype)
