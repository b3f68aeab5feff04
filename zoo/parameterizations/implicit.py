"""Implicit filters: a small network of the time, the same number of parameters at any length."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from zoo.draws import declare_all
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.spec import Choice, Range


class Implicit(Parameterization, kind="implicit"):
    """k[:, l] = W_out sin(a W_M ... sin(a W_0 pos_l + b_0) ...),   a = one vector of frequencies.

    pos_l = [ l/(L-1), cos(f 2 pi l/L), -sin(f 2 pi l/L) ] in R^E, f = linspace(1e-4, B-1, B),
    B = (E-1)/2. E = `features`, W = `width`, M = `depth` inner layers, a starts at `frequency`.
    init "lm"     all weights N(0, .02^2), biases 0, as inside a re-initialised language model
         "torch"  PyTorch's own law. The same frequency gives near white noise with it: choose.

    Source:  Poli et al. 2023, arXiv:2302.10866, HazyResearch/safari.
    Differs: the features are fixed (upstream trains them at 1e-5); the frequencies are this
             kernel's own (upstream shares one module over all layers).
    """

    features: Annotated[int, Field(ge=3)] = 33
    width: Annotated[int, Field(ge=1), Choice((16, 32, 64, 128))] = 64
    depth: Annotated[int, Field(ge=0), Choice((1, 2, 3, 4))] = 2
    frequency: Annotated[float, Field(gt=0), Range(1.0, 30.0, log=True)] = 14.0
    init: Literal["lm", "torch"] = "lm"

    @field_validator("features")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(
                f"features={value} is even: time, then pairs of cosine and sine: "
                f"use {value - 1} or {value + 1}"
            )
        return value

    def build(self, context: KernelContext) -> Atoms:
        std = 0.02 if self.init == "lm" else None
        sizes = [self.features] + [self.width] * (self.depth + 1)
        draws = context.draws
        layers = [
            draws.linear(f"hidden{i}", sizes[i], sizes[i + 1], std=std)
            for i in range(self.depth + 1)
        ]
        out = draws.linear("out", self.width, context.channels, bias=False, std=std)
        start = torch.full((self.width,), self.frequency)
        atoms = Network(nn.ModuleList(layers), out, start, features=self.features)
        declare_all(atoms, self.kernel_lr)
        return atoms


class Network(Atoms):
    """One atom per channel: a sine network of the time."""

    def __init__(
        self, layers: nn.ModuleList, out: nn.Linear, frequency: Tensor, *, features: int
    ) -> None:
        super().__init__()
        self.layers, self.out, self.features = layers, out, features
        self.frequency = nn.Parameter(frequency)  # (W,), one vector for all layers

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        x = time_features(grid, self.features)  # (L, E)
        for layer in self.layers:
            x = torch.sin(self.frequency * layer(x))
        return self.out(x).T[:, None]  # (D, 1, L)


def time_features(grid: Grid, num: int) -> Tensor:
    """[ l/(L-1), cos(f phi), -sin(f phi) ], phi = 2 pi l/L: (L, E)."""
    bands = (num - 1) // 2
    f = torch.linspace(1e-4, bands - 1, bands, dtype=grid.step.dtype, device=grid.step.device)
    phase = (2 * math.pi * grid.index / grid.max_length)[:, None] * f
    return torch.cat([grid.fraction[:, None], torch.cos(phase), -torch.sin(phase)], -1)
