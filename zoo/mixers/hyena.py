"""Hyena of any order: long convolutions and products in turn.

Axes: B batch, L length, D width, H = D/e heads of e features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from zoo.draws import Draws
from zoo.kernel import KernelContext, KernelSpec
from zoo.mixers.heads import conv_state, head_conv, num_heads
from zoo.mixers.long_conv import recurrent_state
from zoo.mixers.mixer import LayerContext, Mixer, SequenceMixer
from zoo.parameterizations import Implicit
from zoo.projections import Projections
from zoo.properties.decay import Exponential
from zoo.properties.gating import Convolve, Gate, Gating, Multiplicative
from zoo.spec import Choice


class Hyena(SequenceMixer, kind="hyena"):
    """v <- x_i * (h_i * v + b_i v), again and again;   v and all x_i = short(W_i u + b_i).

    form "released"  order N: v <- x_{N-1} v first, then N - 1 filters: the code's order 2 has one
                     filter, y = x_0 * (h * (x_1 v) + b x_1 v), and is LongConv with
                     gating=multiplicative
         "paper"     order N: N filters, nothing before the first

    Both have N + 1 projections. Other gates stand around the whole chain of convolutions, as does
    gating=off, from which only the products are gone.

    head_dim e > 1 (order 2, released) is MultiHyena: one filter for each head of e features, and
    the outer product of x_1 and v inside a head, read by x_0.

    Source:  Poli et al. 2023, arXiv:2302.10866, HazyResearch/safari src/models/sequence/hyena.py;
             heads: Massaroli et al. 2023, arXiv:2310.18780, athms/mad-lab
             mad/model/layers/hyena.py.
    """

    kernel: KernelSpec = KernelSpec(parameterization=Implicit(), decay=Exponential())
    gating: Gating = Multiplicative(short=3)
    order: Annotated[int, Field(ge=1, le=8), Choice((2, 3))] = 2
    form: Literal["released", "paper"] = "released"
    head_dim: Annotated[int, Field(ge=1), Choice((1, 2, 4, 8))] = 1

    @property
    def num_filters(self) -> int:
        return self.order - 1 if self.form == "released" else self.order

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.num_filters < 1:
            raise ValueError("order=1 form=released has no filter: use order=2, or form=paper")
        if self.head_dim > 1 and (self.order, self.form) != (2, "released"):
            raise ValueError(
                f"head_dim={self.head_dim} with order={self.order} form={self.form}: the outer "
                "product of heads has one filter; use order=2 form=released, or head_dim=1"
            )
        return self

    def build(self, layer: LayerContext) -> Mixer:
        return Chain(self, layer)


class Chain(Mixer):
    """The filters, their skips and the gates of one layer."""

    def __init__(self, spec: Hyena, layer: LayerContext) -> None:
        super().__init__()
        heads, draws = num_heads(layer.width, spec.head_dim), layer.draws
        self.filters, self.width = spec.num_filters, layer.width
        channels = self.filters * heads
        self.kernel = spec.kernel.build(
            KernelContext(channels, layer.length, draws.child("kernel"), copies=self.filters)
        )
        self.skip = nn.Parameter(draws.normal("skip", channels))
        self.gate = make_gate(spec, layer.width, draws.child("gating"))
        self.outer = spec.head_dim if isinstance(spec.gating, Multiplicative) else 1
        self.modes = recurrent_state(spec.kernel)

    def forward(self, u: Tensor, mask: Tensor | None = None) -> Tensor:
        kernel = self.kernel()[:, : u.shape[1]]
        return self.gate(u, partial(self.convolve, kernels=kernel.chunk(self.filters)))

    def convolve(
        self,
        x: Tensor,
        pre: Tensor | None = None,
        post: Tensor | None = None,
        *,
        kernels: Sequence[Tensor],
        between: Sequence[Tensor] = (),
    ) -> Tensor:
        """All filters in turn, a gate behind each: (B, D, L) to (B, D, L)."""
        gates = [*between, *[None] * (self.filters - 1 - len(between)), post]
        for kernel, skip, gate in zip(kernels, self.skip.chunk(self.filters), gates, strict=True):
            x = head_conv(x, kernel, skip, pre, gate)
            pre = None
        return x

    def state_elements(self, length: int) -> int:
        one = conv_state(self.kernel, self.modes, length, width=self.width, outer=self.outer)
        return self.filters * one + self.gate.state_elements()


def make_gate(spec: Hyena, width: int, draws: Draws) -> Gate:
    """The products of the recurrence, or the gate that was asked for instead."""
    if not isinstance(spec.gating, Multiplicative):
        return spec.gating.build(width, 1, draws)
    return RecurrenceGate(spec, spec.gating.short, width, draws)


class RecurrenceGate(Gate):
    """Products before the first convolution, between any two and behind the last."""

    def __init__(self, spec: Hyena, short: int, width: int, draws: Draws) -> None:
        super().__init__()
        before = ["pre"] if spec.form == "released" else []
        between = [f"between{i}" for i in range(spec.num_filters - 1)]
        self.gates_before = bool(before)
        names = ["value", *before, "post", *between]
        self.inner = Projections(dict.fromkeys(names, width), width, short, draws)
        self.output = draws.linear("output", width, width)

    def forward(self, u: Tensor, conv: Convolve) -> Tensor:
        value, *gates = self.inner(u)
        pre = gates.pop(0) if self.gates_before else None
        post, *between = gates
        inside = {"between": between} if between else {}
        return self.output(conv(value, pre, post, **inside).mT)

    def state_elements(self) -> int:
        return self.inner.state_elements()
