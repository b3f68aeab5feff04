"""H3: what a few steps back was, multiplied with what comes now, kept, and read by a query.

Axes: B batch, L length, D width, H = D/e heads of e features.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from zoo.conv import fft_conv
from zoo.kernel import Kernel, KernelContext, KernelSpec
from zoo.mixers.heads import conv_state, head_conv, num_heads
from zoo.mixers.long_conv import recurrent_state
from zoo.mixers.mixer import LayerContext, Mixer, SequenceMixer
from zoo.parameterizations import Dense, Modes, Shift
from zoo.properties.decay import PerMode
from zoo.properties.gating import Gating, Multiplicative
from zoo.properties.length import Full, Taps
from zoo.spec import Choice, Spec

ONE_TAP = KernelSpec(parameterization=Dense(std=1.0), length=Taps(taps=1))


class H3(SequenceMixer, kind="h3"):
    """y = W_o s + b,   s_b = sum_a q_a * (K * (k~_a v_b) + D k~_a v_b),   k~ = S * k + D_k k.

    q, k, v are projections of u; a, b = 1 .. e run over the features of a head, which has one
    kernel K for all its products. e = head_dim; e = 1: s = q * (K * (k~ v) + D k~ v).

    kernel      K, of each head: the diagonal state-space model; explicit taps make H3-Conv
    key_kernel  S, of each feature of the keys: the shift state-space model; off: a single tap
    gating      off: K alone, y = W_o (K * v + D v) + b. Gates of one side are no outer products.

    Source:  Fu et al. 2023, arXiv:2212.14052, HazyResearch/safari src/models/sequence/h3.py.
    Differs: zero-order hold (upstream's class default is bilinear); features of a head lie side by
             side in the output too (upstream interleaves them there: a permutation of W_o).
    """

    properties: ClassVar[tuple[str, ...]] = ("key_kernel",)
    off: ClassVar[Mapping[str, Spec]] = {"key_kernel": ONE_TAP}

    kernel: KernelSpec = KernelSpec(
        parameterization=Modes(num_modes=32), decay=PerMode(), length=Full(time="learned")
    )
    key_kernel: KernelSpec = KernelSpec(parameterization=Shift(num_states=64), length=Taps(taps=64))
    gating: Gating = Multiplicative(short=0)
    head_dim: Annotated[int, Field(ge=1), Choice((1, 2, 4, 8))] = 1

    def build(self, layer: LayerContext) -> Mixer:
        return HungryHippo(self, layer)


class HungryHippo(Mixer):
    """The two kernels, their skips and the gate of one layer."""

    def __init__(self, spec: H3, layer: LayerContext) -> None:
        super().__init__()
        heads, draws = num_heads(layer.width, spec.head_dim), layer.draws
        self.kernel = spec.kernel.build(KernelContext(heads, layer.length, draws.child("kernel")))
        self.skip = nn.Parameter(draws.normal("skip", heads))
        self.key_kernel: Kernel | None = None
        if spec.gating.gates_before:  # without keys nothing is shifted
            self.key_kernel = spec.key_kernel.build(
                KernelContext(layer.width, layer.length, draws.child("key_kernel"))
            )
            self.key_skip = nn.Parameter(draws.normal("key_skip", layer.width))
        self.gate = spec.gating.build(layer.width, 1, draws.child("gating"))
        self.width = layer.width
        self.outer = spec.head_dim if isinstance(spec.gating, Multiplicative) else 1
        self.modes = recurrent_state(spec.kernel)
        self.key_modes = recurrent_state(spec.key_kernel)

    def forward(self, u: Tensor, mask: Tensor | None = None) -> Tensor:
        length = u.shape[1]
        keys = None if self.key_kernel is None else self.key_kernel()[:, :length]
        conv = partial(self.convolve, kernel=self.kernel()[:, :length], key_kernel=keys)
        return self.gate(u, conv)

    def convolve(
        self,
        x: Tensor,
        pre: Tensor | None = None,
        post: Tensor | None = None,
        *,
        kernel: Tensor,
        key_kernel: Tensor | None,
    ) -> Tensor:
        """What a gate is given: values, keys and queries (B, D, L) to (B, D, L)."""
        if pre is not None:
            assert key_kernel is not None
            pre = fft_conv(pre, key_kernel, skip=self.key_skip)
        return head_conv(x, kernel, self.skip, pre, post)

    def state_elements(self, length: int) -> int:
        kept = conv_state(self.kernel, self.modes, length, width=self.width, outer=self.outer)
        if self.key_kernel is not None:
            kept += conv_state(self.key_kernel, self.key_modes, length, width=self.width)
        return kept + self.gate.state_elements()
