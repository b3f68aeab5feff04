"""Gating: what multiplies the signal around the long convolution. It belongs to the mixer.

A gate is handed the mixer's convolution as a function of x and two products,

    conv(x, pre, post) = post * f(k * (pre x) + skip (pre x)),    f the mixer's activation.

Every projection draws its initial values by name: with gating=off the parts that stay start at
the same values.

Axes: B batch, L length, D features, C filters per feature.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Protocol, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.conv.short_conv import short_conv
from zoo.draws import Draws, declare
from zoo.spec import Choice, Spec


class Convolve(Protocol):
    """The mixer's long convolution, with its skip and its activation."""

    def __call__(self, x: Tensor, pre: Tensor | None = None, post: Tensor | None = None) -> Tensor:
        """Args: x, pre (B, D, L); post (B, C D, L). Returns: (B, C D, L)."""
        ...


class Gate(nn.Module):
    """What a Gating builds: projections and products around the convolution."""

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        raise NotImplementedError

    def state_elements(self) -> int:
        """Past values that inference keeps, besides those of the long convolution."""
        return 0


class Gating(Spec):
    """What is multiplied around the long convolution, `filters` kernels per feature."""

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        raise NotImplementedError


class NoGating(Gating, kind="none"):
    """y = W conv(u) + b: nothing is multiplied.

    In the place of multiplicative gating it keeps the value's own projection and its short
    convolution of `short` taps, so that only the products go; short=0: u goes straight in.
    """

    short: Annotated[int, Field(ge=0)] = 0

    def replacing(self, old: Any) -> Self:
        if "short" in self.model_fields_set or not isinstance(old, NoGating | Multiplicative):
            return self
        return self.model_copy(update={"short": old.short})

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        return Ungated(self.short, width, filters, draws)


class Ungated(Gate):
    """One projection behind the convolution, and at most one before."""

    def __init__(self, short: int, width: int, filters: int, draws: Draws) -> None:
        super().__init__()
        self.inner = Projections({"value": width}, width, short, draws) if short else None
        self.output = draws.linear("output", filters * width, width)

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        x = u.mT if self.inner is None else self.inner(u)[0]
        return self.output(conv(x).mT)

    def state_elements(self) -> int:
        return 0 if self.inner is None else self.inner.state_elements()


class Glu(Gating, kind="glu"):
    """y = (W conv(u) + b) * sigmoid(V conv(u) + c): the output gate of S4, SGConv and LongConv.

    Source:  Dauphin et al. 2017, arXiv:1612.08083.
    """

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        return GluGate(width, filters, draws)


class GluGate(Gate):
    """A sigmoid gate behind the convolution."""

    def __init__(self, width: int, filters: int, draws: Draws) -> None:
        super().__init__()
        self.output = draws.linear("output", filters * width, width)
        self.gate = draws.linear("gate", filters * width, width)

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        x = conv(u.mT).mT
        return self.output(x) * self.gate(x).sigmoid()


class Multiplicative(Gating, kind="multiplicative"):
    """y = W (x_0 * conv(x_1 * v)) + b,   x_0, x_1, v = short(W_i u + b_i): Hyena of order 2.

    As a matrix and without activation: D_x0 (T_k + skip I) D_x1 v. `short` is the number of taps
    of the causal depthwise convolution behind each projection.

    Source:  Poli et al. 2023, arXiv:2302.10866, HazyResearch/safari src/models/sequence/hyena.py.
    Differs: with C filters per feature, x_0 has C D features; x_1 and v are shared by the filters.
    """

    short: Annotated[int, Field(ge=1), Choice((1, 3, 4))] = 3

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        return MultiplicativeGate(self.short, width, filters, draws)


class MultiplicativeGate(Gate):
    """A product before the convolution and one behind."""

    def __init__(self, short: int, width: int, filters: int, draws: Draws) -> None:
        super().__init__()
        sizes = {"value": width, "pre": width, "post": filters * width}
        self.inner = Projections(sizes, width, short, draws)
        self.output = draws.linear("output", filters * width, width)

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        value, pre, post = self.inner(u)
        return self.output(conv(value, pre, post).mT)

    def state_elements(self) -> int:
        return self.inner.state_elements()


class LinearGating(Gating, kind="linear"):
    """y = (W u + b) * (conv(u) + c) + u: the smallest gated convolution, BaseConv.

    Source:  Arora et al. 2024, arXiv:2312.04927, HazyResearch/zoology zoology/mixers/base_conv.py.
    Differs: the last u is the code's, not the paper's.

    Without the product (gating=off) W stands behind the convolution, c and the last u are gone,
    and a layer without activation is linear: base-conv then has no more than its norms to bend.
    """

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        if filters > 1:
            raise ValueError(
                f"gating=linear projects nothing behind its product, so channels={filters} filters "
                "per feature have no place to meet: use channels=1 or gating=glu"
            )
        return LinearGate(width, draws)


class LinearGate(Gate):
    """One product, of a projection and a convolution."""

    def __init__(self, width: int, draws: Draws) -> None:
        super().__init__()
        self.output = draws.linear("output", width, width)  # what is left where the product goes
        bound = 1 / math.sqrt(width)
        self.bias = nn.Parameter(draws.uniform("bias", width, low=-bound, high=bound))

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        return self.output(u) * (conv(u.mT).mT + self.bias) + u


class Projections(nn.Module):
    """x_t = c + sum_{s < S} w_s z_{t-s},   z = W u + b, zero before the first step.

    Several at once: each draws its values by its own name, and all are one product.

    Args:    u  input                                          (B, L, D)
    Returns: x, one for each name                              (B, P, L)
    """

    def __init__(self, sizes: dict[str, int], width: int, short: int, draws: Draws) -> None:
        super().__init__()
        self.sizes, self.short = list(sizes.values()), short
        parts = [Drawn(name, width, out, short, draws) for name, out in sizes.items()]
        self.weight = nn.Parameter(torch.cat([p.linear.weight.detach() for p in parts]))  # (P, D)
        self.bias = nn.Parameter(torch.cat([p.linear.bias.detach() for p in parts]))
        # Tap s weighs lag S - 1 - s, as in every nn.Conv1d.
        self.taps = declare(nn.Parameter(torch.cat([p.taps for p in parts])))  # (P, S)
        self.short_bias = nn.Parameter(torch.cat([p.short_bias for p in parts]))

    def forward(self, u: Tensor) -> tuple[Tensor, ...]:
        z = F.linear(u, self.weight, self.bias)
        x = short_conv(z, self.taps, self.short_bias)  # (B, L, P of all)
        # Views, which the long convolution takes. Split first: the gradients are then put side by
        # side as they lie in memory.
        return tuple(part.mT for part in x.split(self.sizes, -1))

    def state_elements(self) -> int:
        return (self.short - 1) * sum(self.sizes)


class Drawn:
    """The initial values of one projection and its short convolution, PyTorch's own laws."""

    def __init__(self, name: str, width: int, out: int, short: int, draws: Draws) -> None:
        draws, bound = draws.child(name), 1 / math.sqrt(short)
        self.linear = draws.linear("project", width, out)
        self.taps = draws.uniform("taps", out, short, low=-bound, high=bound)
        self.short_bias = draws.uniform("bias", out, low=-bound, high=bound)
