"""Implicit filters: a small network of the time, the same number of parameters at any length."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from zoo.draws import Draws, declare_all
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.spec import Choice, Range


class Implicit(Parameterization, kind="implicit"):
    """k[:, l] = W_out f(a (W_M ... f(a (W_0 pos_l + b_0)) ...)),   a = one vector of frequencies.

    pos_l = [ l/(L-1), cos(f 2 pi l/L), -sin(f 2 pi l/L) ] in R^E, f = linspace(1e-4, B-1, B),
    B = (E-1)/2. E = `features`, W = `width`, M = `depth` inner layers, a starts at `frequency`.
    With E = 3 the only f is 1e-4, so that time alone tells the steps apart. E = 1 is CKConv's
    position, 2 l/(L-1) - 1, and nothing else.

    init "lm"     all weights N(0, .02^2), biases 0, as inside a re-initialised language model
         "torch"  PyTorch's own law. The same frequency gives near white noise with it: choose.
         "siren"  U(+-1/E) in the first layer, U(+-sqrt(6/W)/a) in the others, biases U(+-1)

    Source:  Poli et al. 2023, arXiv:2302.10866, HazyResearch/safari (f a sine, a trained, one for
             all layers of the network); E = 1 and "siren": Romero et al. 2022, arXiv:2102.02611,
             dwromero/ckconv (a fixed); f = ReLU: later filters of HazyResearch/zoology.
    Differs: the features are fixed (safari trains them at 1e-5); no weight norm and no bias of
             W_out (ckconv has both).
    """

    features: Annotated[int, Field(ge=1)] = 33
    width: Annotated[int, Field(ge=1), Choice((16, 32, 64, 128))] = 64
    depth: Annotated[int, Field(ge=0), Choice((1, 2, 3, 4))] = 2
    frequency: Annotated[float, Field(gt=0), Range(1.0, 30.0, log=True)] = 14.0
    init: Literal["lm", "torch", "siren"] = "lm"
    activation: Literal["sine", "relu", "gelu"] = "sine"
    learned_frequency: bool = True

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
        sizes = [self.features] + [self.width] * (self.depth + 1)
        layers = [
            self.layer(context.draws, f"hidden{i}", sizes[i], sizes[i + 1])
            for i in range(self.depth + 1)
        ]
        out = self.layer(context.draws, "out", self.width, context.channels, bias=False)
        start = torch.full((self.width,), self.frequency)
        atoms = Network(
            nn.ModuleList(layers),
            out,
            nn.Parameter(start) if self.learned_frequency else start,
            features=self.features,
            activation=ACTIVATIONS[self.activation],
        )
        declare_all(atoms, self.kernel_lr)
        return atoms

    def layer(
        self, draws: Draws, name: str, fan_in: int, fan_out: int, *, bias: bool = True
    ) -> nn.Linear:
        """One linear layer with the initial law of the field `init`."""
        std = 0.02 if self.init == "lm" else None
        layer = draws.linear(name, fan_in, fan_out, bias=bias, std=std)
        if self.init == "siren":  # PyTorch's own law, U(+-1/sqrt(fan_in)), stretched
            first = name == "hidden0"
            bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / self.frequency
            with torch.no_grad():
                layer.weight.mul_(bound * math.sqrt(fan_in))
                if bias:
                    layer.bias.mul_(math.sqrt(fan_in))
        return layer


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sine": torch.sin,
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
}


class Network(Atoms):
    """One atom per channel: a small network of the time."""

    frequency: Tensor  # (W,), one vector for all layers

    def __init__(
        self,
        layers: nn.ModuleList,
        out: nn.Linear,
        frequency: Tensor,
        *,
        features: int,
        activation: Callable[[Tensor], Tensor] = torch.sin,
    ) -> None:
        super().__init__()
        self.layers, self.out, self.features = layers, out, features
        self.activation = activation
        if isinstance(frequency, nn.Parameter):
            self.frequency = frequency
        else:
            self.register_buffer("frequency", frequency)

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        x = time_features(grid, self.features)  # (L, E)
        for layer in self.layers:
            x = self.activation(self.frequency * layer(x))
        return self.out(x).T[:, None]  # (D, 1, L)


def time_features(grid: Grid, num: int) -> Tensor:
    """[ l/(L-1), cos(f phi), -sin(f phi) ], phi = 2 pi l/L; 2 l/(L-1) - 1 if E = 1: (L, E)."""
    if num == 1:
        return 2 * grid.fraction[:, None] - 1
    bands = (num - 1) // 2
    f = torch.linspace(1e-4, bands - 1, bands, dtype=grid.step.dtype, device=grid.step.device)
    phase = (2 * math.pi * grid.index / grid.max_length)[:, None] * f
    return torch.cat([grid.fraction[:, None], torch.cos(phase), -torch.sin(phase)], -1)
