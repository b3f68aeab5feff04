"""S4: a state-space model that is diagonal plus low rank, seen as a kernel."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from zoo.draws import Draws, declare
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.parameterizations.hippo import SLOWEST, rotated
from zoo.parameterizations.low_rank import (
    LowRankSystem,
    double,
    kernel,
    truncate,
    truncated_kernel,
    untruncate,
)
from zoo.parameterizations.recurrence import LowRank, Recurrence
from zoo.spec import Choice


class Dplr(Parameterization, kind="dplr"):
    """k_l = C Abar^l Bbar,   A(g) = diag(i omega - g rate) - g P P^H, held bilinearly.

    The decay owns the rates and the damping g: 1 with decay=per-mode; 0 with any other, and then
    A is its skew-Hermitian part, diag(i omega), whose kernel never fades and which the decay's
    window multiplies. Each of the `num_modes` poles stands for a conjugate pair.

    hippo   where omega, P, B and the rates of decay=per-mode init=native start: legs (S4-LegS),
            fout, legt (P of rank 2) or lagt. B is HiPPO's own, c ~ N(0, 1), complex.
    output  "c" trains C; its kernel is exact at any length and where nothing decays.
            "c-tilde" trains C~ = C (I - Abar^L), L the longest sequence: half the cost, single
            precision. Where g = 0 that is singular: C is trained there in any case.

    kernel_lr is the rate of omega, B and P; C has the model's rate.

    Source:  Gu, Goel, Ré 2022, arXiv:2111.00396; Gu et al. 2022, arXiv:2206.12037 (initialisation);
             state-spaces/s4 models/s4/s4.py@7c3f995.
    Differs: no factor 2/(1 + w), so no node is singular; upstream trains C~; each channel has an
             A, B and P of its own (upstream n_ssm = H); upstream clips Im B to 2, which depends on
             the phases that an eigenvalue routine happens to give; C has no weight decay.
    """

    poles: ClassVar[bool] = True
    num_modes: Annotated[int, Field(ge=1), Choice((8, 16, 32, 64))] = 32
    hippo: Literal["legs", "fout", "legt", "lagt"] = "legs"
    output: Literal["c", "c-tilde"] = "c"

    @property
    def state_size(self) -> int:
        return 2 * self.num_modes

    def build(self, context: KernelContext) -> Atoms:
        return DplrAtoms(self, context.channels, context.draws)


class DplrAtoms(Atoms):
    """The system of each channel. A kernel at once, not a sum: its eigenvectors are no basis."""

    reads_time = True

    def __init__(self, spec: Dplr, channels: int, draws: Draws) -> None:
        super().__init__()
        start, num = rotated(spec.hippo, 2 * spec.num_modes), spec.num_modes
        self.num_atoms, self.native_rate = num, max(start.rate, SLOWEST)
        self.truncates, self.ends = spec.output == "c-tilde", 0  # after how many taps c ends it
        c = draws.normal("c", channels, num, 2) * math.sqrt(0.5)
        self.omega = declare(_each(start.omega, channels), spec.kernel_lr)  # (D, N)
        self.b = declare(_each(start.b, channels), spec.kernel_lr)  # (D, N, 2)
        self.p = declare(_each(start.p, channels), spec.kernel_lr)
        self.c = declare(nn.Parameter(c))  # (D, N, 2)

    def system(self, grid: Grid, window: Window) -> LowRankSystem:
        """The system under the window's damping, in double."""
        g, omega = window.damping, self.omega.double()
        decay = -g * window.rate.double().expand_as(omega)
        b, c, p = (torch.view_as_complex(x.double()) for x in (self.b, self.c, self.p))
        step = grid.step.double().expand(len(omega), 1)
        return LowRankSystem(torch.complex(decay, omega), b, c, math.sqrt(g) * p, step)

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        """The modes of the skew-Hermitian part: (D, N, L)."""
        bare = self.system(grid, window)
        angle = 2 * torch.atan(bare.step * bare.poles.imag / 2)
        gain = (
            2
            * bare.c
            * bare.b
            * bare.step
            / torch.complex(torch.ones_like(angle), -bare.step * bare.poles.imag / 2)
        )
        phase = angle[..., None] * grid.index.double()
        return (gain[..., None] * torch.polar(torch.ones_like(phase), phase)).real.to(grid.step)

    def forward(self, grid: Grid, window: Window) -> Tensor:
        system = self.system(grid, window)
        if self.ends:
            ends = self.ends
            while ends < grid.length:
                system, ends = double(system, ends), 2 * ends
            system = system.to(grid.step.dtype.to_complex())
            return truncated_kernel(system, ends)[:, : grid.length]
        k = kernel(system, grid.length).to(grid.step.dtype)
        return k if window.damping else k * window(grid)[:, 0]

    def settle(self, grid: Grid, window: Window) -> tuple[Atoms, Window]:
        """Without damping P is not there; with it, C may become C~."""
        if not window.damping:
            p = self.p.new_zeros(len(self.p), 0, *self.p.shape[2:])
            del self.p
            self.register_buffer("p", p, persistent=False)
        elif self.truncates and not self.ends:
            self.ends = grid.length
            with torch.no_grad():
                c = truncate(self.system(grid, window), self.ends).c
                self.c.copy_(torch.view_as_real(c))
        return self, window

    def recurrence(self, grid: Grid, window: Window) -> Recurrence:
        system = self.system(grid, window)
        return LowRank(untruncate(system, self.ends) if self.ends else system)


def _each(x: NDArray[Any], channels: int) -> nn.Parameter:
    """The same start for every channel; complex numbers as pairs of real ones."""
    parts = np.stack([np.real(x), np.imag(x)], -1) if np.iscomplexobj(x) else x
    one = torch.tensor(parts, dtype=torch.float32)
    return nn.Parameter(one.repeat(channels, *[1] * one.dim()))
