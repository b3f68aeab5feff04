"""Gating: what multiplies the signal around the long convolution. It belongs to the mixer.

A gate is handed the mixer's convolution as a function of x and two products,

    conv(x, pre, post) = post * f(k * (pre x) + skip (pre x)),    f the mixer's activation.

Every projection draws its initial values by name: with gating=off the parts that stay start at
the same values.

Axes: B batch, L length, D features, C filters per feature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.draws import Draws
from zoo.projections import Projections
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
    """What is multiplied around the long convolution, `filters` kernels per feature.

    `gates_before`: whether the convolution is handed a gate of its input.
    """

    gates_before: ClassVar[bool] = False

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        raise NotImplementedError


class NoGating(Gating, kind="none"):
    """y = W conv(u) + b: nothing is multiplied.

    In the place of a gate with projections it keeps the value's own projection and its short
    convolution of `short` taps, so that only the products go. With short=0 there is no short
    convolution, and u goes straight in unless project=yes.
    """

    short: Annotated[int, Field(ge=0)] = 0
    project: bool = False

    def replacing(self, old: Any) -> Self:
        if self.model_fields_set:
            return self
        if isinstance(old, NoGating):
            return old  # pyright: ignore[reportReturnType]
        if isinstance(old, Projected):
            kept = {"short": old.short} if old.short else {"project": True}
            return self.model_copy(update=kept)
        return self.model_copy(update={"project": True}) if isinstance(old, Receptance) else self

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        return Ungated(self, width, filters, draws)


class Ungated(Gate):
    """One projection behind the convolution, and at most one before."""

    def __init__(self, spec: NoGating, width: int, filters: int, draws: Draws) -> None:
        super().__init__()
        projects = spec.project or spec.short > 0
        sizes = {"value": width}
        self.inner = Projections(sizes, width, spec.short, draws) if projects else None
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


class Projected(Gating):
    """Gates that are projections of u, like the value: x_i = short(W_i u + b_i).

    `short` is the number of taps of the causal depthwise convolution behind each projection; 0:
    there is none.
    """

    short: Annotated[int, Field(ge=0), Choice((1, 3, 4))] = 3


class Multiplicative(Projected, kind="multiplicative"):
    """y = W (x_0 * conv(x_1 * v)) + b,   x_0, x_1, v = short(W_i u + b_i): Hyena of order 2.

    As a matrix and without activation: D_x0 (T_k + skip I) D_x1 v.

    Source:  Poli et al. 2023, arXiv:2302.10866, HazyResearch/safari src/models/sequence/hyena.py.
    Differs: with C filters per feature, x_0 has C D features; x_1 and v are shared by the filters.
    """

    gates_before: ClassVar[bool] = True

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


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
}
GateActivation = Literal["none", "sigmoid", "silu", "gelu"]


class InputGate(Projected, kind="input"):
    """y = W conv(g(x_1) * v) + b,   x_1, v = short(W_i u + b_i): half of multiplicative gating.

    What to remember is chosen; what to read is not.
    """

    gates_before: ClassVar[bool] = True
    activation: GateActivation = "none"

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        return OneGate(self, {"pre": width}, width, filters, draws)


class OutputGate(Projected, kind="output"):
    """y = W (g(x_0) * conv(v)) + b,   x_0, v = short(W_i u + b_i): half of multiplicative gating.

    What to read is chosen; what to remember is not. With activation=gelu and short=0 this is the
    gate of GSS.

    Source:  Mehta et al. 2022, arXiv:2206.13947.
    Differs: one width inside (GSS is narrower in the convolution).
    """

    activation: GateActivation = "none"

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        return OneGate(self, {"post": filters * width}, width, filters, draws)


class OneGate(Gate):
    """One product, before the convolution or behind it."""

    def __init__(
        self,
        spec: InputGate | OutputGate,
        gate: dict[str, int],
        width: int,
        filters: int,
        draws: Draws,
    ) -> None:
        super().__init__()
        (self.side,) = gate
        self.activation = GATES[spec.activation]
        self.inner = Projections({"value": width, **gate}, width, spec.short, draws)
        self.output = draws.linear("output", filters * width, width)

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        value, gate = self.inner(u)
        return self.output(conv(value, **{self.side: self.activation(gate)}).mT)

    def state_elements(self) -> int:
        return self.inner.state_elements()


class Receptance(Gating, kind="receptance"):
    """y = W (sigmoid(r) * sum_s K_{t-s} e^{k_s} v_s / sum_s K_{t-s} e^{k_s}): the gates of RWKV.

    Only mixers=rwkv divides by that sum; without it e^k has no bound.

    Source:  Peng et al. 2023, arXiv:2305.13048.
    """

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        raise ValueError(
            "gating=receptance needs the running sum of mixers=rwkv: with another mixer choose "
            "gating=multiplicative or gating=output"
        )


class LinearGating(Gating, kind="linear"):
    """y = g(W u + b) * g(conv(u) + c) + u: the smallest gated convolution, BaseConv.

    Source:  Arora et al. 2024, arXiv:2312.04927, HazyResearch/zoology zoology/mixers/base_conv.py.
    Differs: the last u is the code's, not the paper's.

    Without the product (gating=off) W stands behind the convolution, c and the last u are gone,
    and a layer without activation is linear: base-conv then has no more than its norms to bend.
    """

    activation: Literal["none", "silu"] = "none"

    def build(self, width: int, filters: int, draws: Draws) -> Gate:
        if filters > 1:
            raise ValueError(
                f"gating=linear projects nothing behind its product, so channels={filters} filters "
                "per feature have no place to meet: use channels=1 or gating=glu"
            )
        return LinearGate(width, draws, GATES[self.activation])


class LinearGate(Gate):
    """One product, of a projection and a convolution."""

    def __init__(self, width: int, draws: Draws, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.output = draws.linear("output", width, width)  # what is left where the product goes
        bound = 1 / math.sqrt(width)
        self.bias = nn.Parameter(draws.uniform("bias", width, low=-bound, high=bound))

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        g = self.activation
        return g(self.output(u)) * g(conv(u.mT).mT + self.bias) + u
