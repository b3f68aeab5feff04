"""The long convolution as a mixer: a kernel, a skip, an activation, and gates around them.

Axes: B batch, L length, D width, C filters per feature.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.conv import fft_conv
from zoo.kernel import Kernel, KernelContext, KernelSpec
from zoo.mixers.mixer import LayerContext, Mixer, SequenceMixer
from zoo.properties.gating import Gating, NoGating
from zoo.properties.length import Full
from zoo.spec import Choice

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "none": None,
}


class LongConv(SequenceMixer, kind="long-conv"):
    """y = gate(u, conv),   conv(x) = f(k * x + skip x): any published long convolution.

    direction "two_sided" makes two kernels; tap j of the backward one weighs lag -(j + 1).
    channels   filters per feature, C; the gate brings them together.
    skip       "learned": one weight per filter, N(0, 1); "identity": 1; "none": 0.

    Source:  the layer of S4, SGConv, LongConv and Hyena; presets say which is which.
    """

    kernel: KernelSpec = KernelSpec()
    gating: Gating = NoGating()
    direction: Literal["causal", "two_sided"] = "causal"
    channels: Annotated[int, Field(ge=1), Choice((1, 2))] = 1
    activation: Literal["gelu", "silu", "none"] = "gelu"
    skip: Literal["learned", "identity", "none"] = "learned"

    def build(self, layer: LayerContext) -> Mixer:
        return Convolution(self, layer)


class Convolution(Mixer):
    """The kernel, the skip and the gate of one layer."""

    def __init__(self, spec: LongConv, layer: LayerContext) -> None:
        super().__init__()
        self.causal, self.filters = spec.direction == "causal", spec.channels
        self.copies = spec.channels * (1 if self.causal else 2)
        draws, features = layer.draws, spec.channels * layer.width
        self.kernel: Kernel = spec.kernel.build(
            KernelContext(
                channels=self.copies * layer.width,
                length=layer.length,
                draws=draws.child("kernel"),
                copies=self.copies,
            )
        )
        self.gate = spec.gating.build(layer.width, spec.channels, draws.child("gating"))
        if spec.skip == "learned":
            self.skip: Tensor | None = nn.Parameter(draws.normal("skip", features))
        else:
            self.register_buffer("skip", torch.ones(features) if spec.skip == "identity" else None)
        self.activation = ACTIVATIONS[spec.activation]
        self.width, self.modes = layer.width, recurrent_state(spec.kernel)

    def forward(self, u: Tensor, mask: Tensor | None = None) -> Tensor:
        mask = None if mask is None or self.causal else mask.mT  # (B, 1, L)
        k = self.kernel()[:, : u.shape[1]]
        return self.gate(u, partial(self.convolve, kernel=k, mask=mask))

    def convolve(
        self,
        x: Tensor,
        pre: Tensor | None = None,
        post: Tensor | None = None,
        *,
        kernel: Tensor,
        mask: Tensor | None = None,
    ) -> Tensor:
        """What a gate is given, with padded steps silent: (B, D, L) to (B, C D, L)."""
        x = x if mask is None else x * mask
        if self.filters > 1:
            x = x.repeat(1, self.filters, 1)
            pre = None if pre is None else pre.repeat(1, self.filters, 1)
        f = self.activation
        inside = post if f is None else None
        if self.causal:
            y = fft_conv(x, kernel, skip=self.skip, pre=pre, post=inside)
        else:
            pair = (kernel[: x.shape[1]], kernel[x.shape[1] :])
            y = fft_conv(x, pair, skip=self.skip, pre=pre, post=inside, mode="two-sided")
        if f is None:
            return y
        return f(y) if post is None else post * f(y)

    def state_elements(self, length: int) -> int:
        # A kernel without a recurrence is applied to the inputs that it still reaches.
        inputs = (min(self.kernel.taps, length) - 1) * self.width
        if self.modes is not None:
            inputs = min(inputs, self.modes * self.kernel.channels)
        return inputs + self.gate.state_elements()


def recurrent_state(k: KernelSpec) -> int | None:
    """Real numbers in the state of one channel, None where the kernel is no sum of whole modes."""
    maps = (k.smoothness, *k.steps())
    whole = isinstance(k.length, Full) and all(m.kind == "none" for m in maps)
    native = k.decay.needs_poles or k.decay.kind == "none"
    return k.parameterization.state_size if whole and native else None
