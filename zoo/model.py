"""The model: embed, then (norm, mixer, norm, channel mixer) x depth, then a head.

    x = embed(input) + position
    x = x + mixer(norm(x));   x = x + channel_mixer(norm(x))           depth times
    y = W norm(x) + b                                                   where an answer is asked for

Axes: B batch, L length, D width, V outputs, M asked rows.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from zoo.channel_mixers import ChannelMixer, NoChannelMixer
from zoo.draws import Draws
from zoo.kernel import Kernel
from zoo.mixers import LayerContext, LongConv, Mixer, SequenceMixer
from zoo.spec import Choice, Context, Range, Spec

BYTES = 2  # an element of the inference state: half precision


class ModelSpec(Spec):
    """A model for any task. Layer i has the mixer i modulo their number.

    Token embeddings are N(0, 1) and positions N(0, .02^2), every projection has PyTorch's own law:
    of the usual choices the one with which attention learns recall in the fewest steps.
    """

    mixers: tuple[SequenceMixer, ...] = (LongConv(),)
    channel_mixer: ChannelMixer = NoChannelMixer()
    depth: Annotated[int, Field(ge=1, le=1024), Choice((1, 2, 4, 8))] = 2
    width: Annotated[int, Field(ge=1, le=2**16), Choice((32, 64, 128, 256))] = 32
    block_norm: Literal["layer", "rms", "none"] = "layer"
    positions: Literal["none", "learned"] = "none"
    dropout: Annotated[float, Field(ge=0, lt=1), Range(0.0, 0.3)] = 0.0

    @field_validator("mixers", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict | SequenceMixer) else value

    @model_validator(mode="after")
    def _every_mixer_has_a_layer(self) -> Self:
        if not self.mixers:
            raise ValueError("mixers is empty: name at least one")
        if self.depth < len(self.mixers):
            raise ValueError(
                f"depth={self.depth} leaves out some of the {len(self.mixers)} mixers: "
                f"use depth={len(self.mixers)} or more, or fewer mixers"
            )
        return self

    def build(self, context: Context, seed: int = 0) -> Model:
        """The model at its initial values, a pure function of the spec, the context and the seed.

        Raises: ValueError, one line, where parts do not fit together.
        """
        return Model(self, context, Draws(seed, "model"))


class Model(nn.Module):
    """A sequence model, and what a trainer must know of it."""

    def __init__(self, spec: ModelSpec, context: Context, draws: Draws) -> None:
        super().__init__()
        self.context, width = context, spec.width
        if context.num_inputs is not None:
            # The first norm divides by the size of the sum of token and position: at N(0, 1) a
            # token is told apart from its place from the first step on.
            self.embedding = draws.embedding("embedding", context.num_inputs, width, std=1.0)
        else:
            assert context.input_dim is not None
            self.embedding = draws.linear("embedding", context.input_dim, width)
        self.positions: nn.Parameter | None = None
        if spec.positions == "learned":
            values = draws.normal("positions", context.length, width, std=0.02)
            self.positions = nn.Parameter(values)
        self.dropout = nn.Dropout(spec.dropout)
        self.blocks = nn.ModuleList(
            Block(
                spec,
                LayerContext(width, context.length, draws.child(f"block{i}"), i, spec.depth),
            )
            for i in range(spec.depth)
        )
        self.norm = make_norm(spec.block_norm, width)
        self.unfold = Unfold(width, context.length, draws) if context.head == "unfold" else None
        self.head = draws.linear("head", width, context.num_outputs)

    def forward(
        self, inputs: Tensor, *, rows: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Answer for each asked position, or for each sequence: see Context.

        Args:    inputs   tokens (B, L) int64, or reals             (B, L, C)
                 rows     places in the flat B L, where positions have targets: all if None  (M,)
                 lengths  true lengths of padded sequences          (B,)
        Returns: (M, V), (B, L, V) without rows; (B, V) for heads that answer for the sequence
        Raises:  ValueError for a sequence longer than the model was built for.
        """
        self._check(inputs, rows)
        x = self.embedding(inputs)
        if self.positions is not None:
            x = x + self.positions[: x.shape[1]]
        x, mask = self.dropout(x), _mask(x, lengths)
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.norm(self._answering(x, rows, lengths, mask)))

    def _answering(
        self, x: Tensor, rows: Tensor | None, lengths: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        """The states that answer: (M, D), (B, L, D) or (B, D)."""
        head = self.context.head
        if head in ("last", "unfold"):
            ends = -1 if lengths is None else lengths - 1
            last = x[torch.arange(len(x), device=x.device), ends]
            if self.unfold is None:
                return last
            x = self.unfold(last, x.shape[1])
        if self.context.at_positions:
            return x if rows is None else x.flatten(0, 1)[rows]
        if mask is None or lengths is None:
            return x.mean(1)
        return (x * mask).sum(1) / lengths[:, None]

    def _check(self, inputs: Tensor, rows: Tensor | None) -> None:
        wanted = 2 if self.context.input_dim is None else 3
        if inputs.dim() != wanted or 0 in inputs.shape[:2]:
            shape = "(batch, length)" if wanted == 2 else "(batch, length, features)"
            raise ValueError(f"inputs of shape {tuple(inputs.shape)}: expected {shape}, none empty")
        if inputs.shape[1] > self.context.length:
            raise ValueError(
                f"length {inputs.shape[1]} is above {self.context.length}, the longest sequence "
                "that this model was built for: cut the input, or build for a longer context"
            )
        if rows is not None and not self.context.at_positions:
            head = self.context.head
            raise ValueError(f"rows with head={head!r}, which answers for the whole sequence")

    def kernels(self) -> dict[str, Tensor]:
        """Every convolution kernel by its module's path, detached, whole: (channels, taps)."""
        with torch.no_grad():
            return {
                name: module.whole()
                for name, module in self.named_modules()
                if isinstance(module, Kernel)
            }

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Optimizer groups: each parameter in exactly one.

        A parameter that declares its own rate (`kernel_lr`) has it, but never more than `lr`.
        Biases, norms, other vectors, positions and kernels have no weight decay; but a kernel has
        where its spec says kernel_weight_decay=inherit.
        """
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in self.parameters():
            own = getattr(parameter, "kernel_lr", None)
            kept = not hasattr(parameter, "kernel_lr")
            decays = (
                parameter.dim() > 1
                and getattr(parameter, "kernel_weight_decay", kept)
                and parameter is not self.positions
            )
            key = (lr if own is None else min(own, lr), weight_decay if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
        return [
            {"params": params, "lr": rate, "weight_decay": decay}
            for (rate, decay), params in groups.items()
        ]

    def state_bytes(self, length: int) -> int:
        """What token-by-token inference keeps of one sequence of this length, 2 bytes a number."""
        mixers = [m for m in self.modules() if isinstance(m, Mixer)]
        return BYTES * sum(mixer.state_elements(length) for mixer in mixers)

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())


class Unfold(nn.Module):
    """All positions from one state: W2 gelu(W1 (s + p_t)), p learned.

    Source:  the decoder of MAD's compression task, Poli et al. 2024, arXiv:2403.17844.
    """

    def __init__(self, width: int, length: int, draws: Draws) -> None:
        super().__init__()
        self.positions = nn.Parameter(draws.normal("unfold.positions", length, width, std=1.0))
        self.inner = draws.linear("unfold.inner", width, 2 * width)
        self.outer = draws.linear("unfold.outer", 2 * width, width)

    def forward(self, state: Tensor, length: int) -> Tensor:
        """(B, D) to (B, L, D)."""
        x = state[:, None] + self.positions[:length]
        return self.outer(nn.functional.gelu(self.inner(x)))


class Block(nn.Module):
    """x + mixer(norm(x)), then x + channel_mixer(norm(x)) where there is one."""

    def __init__(self, spec: ModelSpec, layer: LayerContext) -> None:
        super().__init__()
        own = LayerContext(
            layer.width, layer.length, layer.draws.child("mixer"), layer.index, layer.depth
        )
        self.mixer = spec.mixers[layer.index % len(spec.mixers)].build(own)
        self.mixer_norm = make_norm(spec.block_norm, layer.width)
        self.channel_mixer = spec.channel_mixer.build(
            layer.width, layer.draws.child("channel_mixer")
        )
        if self.channel_mixer is not None:
            self.channel_norm = make_norm(spec.block_norm, layer.width)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        x = x + self.dropout(self.mixer(self.mixer_norm(x), mask))
        if self.channel_mixer is not None:
            x = x + self.dropout(self.channel_mixer(self.channel_norm(x)))
        return x


def make_norm(kind: str, width: int) -> nn.Module:
    """The norm before each part of a block."""
    if kind == "layer":
        return nn.LayerNorm(width)
    if kind == "rms":
        return nn.RMSNorm(width)
    return nn.Identity()


def _mask(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """1 at the steps of each sequence, 0 where it is padded: (B, L, 1)."""
    if lengths is None:
        return None
    steps = torch.arange(x.shape[1], device=x.device)
    return (steps < lengths[:, None]).to(x.dtype)[..., None]
