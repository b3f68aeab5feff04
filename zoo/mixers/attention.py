"""Softmax attention: the mixer that the convolutions are measured against.

Axes: B batch, L length, D width, H heads.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from zoo.mixers.mixer import LayerContext, Mixer, SequenceMixer
from zoo.spec import Choice, Range


class Attention(SequenceMixer, kind="attention"):
    """y_t = W_o sum_{s <= t} softmax_s(q_t k_s / sqrt(D/H)) v_s,   q, k, v = W u + b.

    Knows no positions: give the model positions=learned. `dropout` acts on the weights.

    Source:  Vaswani et al. 2017, arXiv:1706.03762.
    """

    num_heads: Annotated[int, Field(ge=1), Choice((1, 2, 4))] = 1
    dropout: Annotated[float, Field(ge=0, lt=1), Range(0.0, 0.3)] = 0.0

    def build(self, layer: LayerContext) -> Mixer:
        if layer.width % self.num_heads:
            raise ValueError(
                f"num_heads={self.num_heads} does not divide width={layer.width}: "
                "every head has the same width"
            )
        return SoftmaxAttention(self, layer)


class SoftmaxAttention(Mixer):
    """Queries, keys and values in one product; PyTorch's fused attention; an output projection."""

    def __init__(self, spec: Attention, layer: LayerContext) -> None:
        super().__init__()
        self.num_heads, self.dropout = spec.num_heads, spec.dropout
        self.project = layer.draws.linear("project", layer.width, 3 * layer.width)
        self.output = layer.draws.linear("output", layer.width, layer.width)

    def forward(self, u: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, length, width = u.shape
        shape = (batch, length, 3, self.num_heads, width // self.num_heads)
        q, k, v = self.project(u).view(shape).permute(2, 0, 3, 1, 4)  # (B, H, L, D/H) each
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        return self.output(y.transpose(1, 2).flatten(2))

    def state_elements(self, length: int) -> int:
        return 2 * length * self.output.in_features  # keys and values of every step
