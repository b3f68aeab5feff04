"""The shift state-space model: a memory of the last few steps, as a kernel."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from zoo.draws import declare
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.spec import Choice


class Shift(Parameterization, kind="shift"):
    """k_l = sum_n B_n C_{n+l} for l < N, else 0:  x_t = shift(x_{t-1}) + B u_t, y_t = C x_t.

    N = `num_states`. B starts at e_1, where the kernel is C; C starts with the law of a Conv1d of N
    taps, U(+-1/sqrt(N)). length=taps of N or fewer says the same of the reach of the kernel.

    Source:  Fu et al. 2023, arXiv:2212.14052, HazyResearch/safari
             src/models/sequence/ssm/ss_kernel_shift.py.
    """

    num_states: Annotated[int, Field(ge=1), Choice((4, 16, 64))] = 64

    def build(self, context: KernelContext) -> Atoms:
        shape, bound = (context.channels, self.num_states), 1 / math.sqrt(self.num_states)
        taps = context.draws.uniform("taps", *shape, low=-bound, high=bound)
        return ShiftRegister(taps, self.kernel_lr)


class ShiftRegister(Atoms):
    """The last N inputs, weighed twice."""

    def __init__(self, taps: Tensor, lr: float | None) -> None:
        super().__init__()
        impulse = torch.zeros_like(taps)
        impulse[:, 0] = 1
        self.impulse = declare(nn.Parameter(impulse), lr)  # B (D, N)
        self.taps = declare(nn.Parameter(taps), lr)  # C (D, N)

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        states = self.taps.shape[-1]
        lags = min(states, grid.length)
        ahead = pad(self.taps, (0, lags - 1)).unfold(-1, states, 1)  # C_{n+l} (D, lags, N)
        kernel = (ahead * self.impulse[:, None]).sum(-1)
        return pad(kernel, (0, grid.length - lags))[:, None]  # (D, 1, L)
