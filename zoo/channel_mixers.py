"""Channel mixers: what mixes the features of one step.

Axes: B batch, L length, D width.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.draws import Draws
from zoo.spec import Choice, Spec


class ChannelMixer(Spec):
    """Mixes the features of one step.

    Builds None where there is nothing to do: the layer then has no second half.
    """

    def build(self, width: int, draws: Draws) -> nn.Module | None:
        raise NotImplementedError


class NoChannelMixer(ChannelMixer, kind="none"):
    """No channel mixer: the sequence mixer's own projections mix the features."""

    def build(self, width: int, draws: Draws) -> nn.Module | None:
        return None


class Mlp(ChannelMixer, kind="mlp"):
    """y = W_2 gelu(W_1 u + b_1) + b_2, `expand` times as wide inside."""

    expand: Annotated[int, Field(ge=1), Choice((1, 2, 4))] = 2

    def build(self, width: int, draws: Draws) -> nn.Module | None:
        inner = self.expand * width
        first, second = draws.linear("first", width, inner), draws.linear("second", inner, width)
        return nn.Sequential(first, nn.GELU(), second)


class GluMlp(ChannelMixer, kind="glu"):
    """y = W_2 (gelu(V u) * (W_1 u)), `expand` times as wide inside, no biases.

    Source:  Shazeer 2020, arXiv:2002.05202 (GEGLU).
    """

    expand: Annotated[int, Field(ge=1), Choice((1, 2, 4))] = 2

    def build(self, width: int, draws: Draws) -> nn.Module | None:
        return GatedMlp(width, self.expand * width, draws)


class GatedMlp(nn.Module):
    """One product in the middle of an MLP."""

    def __init__(self, width: int, inner: int, draws: Draws) -> None:
        super().__init__()
        self.first = draws.linear("first", width, inner, bias=False)
        self.gate = draws.linear("gate", width, inner, bias=False)
        self.second = draws.linear("second", inner, width, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        return self.second(F.gelu(self.gate(u)) * self.first(u))
