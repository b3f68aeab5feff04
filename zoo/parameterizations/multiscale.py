"""Structured global convolution: the same few numbers at every scale, stretched by doubling."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.draws import declare
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.spec import Choice


class Multiscale(Parameterization, kind="multiscale"):
    """k = concat_i stretch(w_i, r_i),   r_i = 2^(max(0, i-1) + s),   w_i in R^d ~ N(0, 1).

    d = `size`, s = `init_scale`. The scales cover d 2^s, d 2^s, 2d 2^s, 4d 2^s, ... taps: as many
    as the length needs, so the parameters grow with log L. Decay over scales is decay=per-scale.

    Source:  Li et al. 2023, arXiv:2210.09298, ctlllll/SGConv.
    Differs: upstream multiplies scale i by m^(S-1-i) instead of alpha^i, alpha = 1/m (the same
             after its normalisation, which is gain=raw), and its kernel inherits weight decay.
    """

    size: Annotated[int, Field(ge=1), Choice((1, 2, 4, 8, 16, 32, 64))] = 8
    init_scale: Annotated[int, Field(ge=0)] = 0
    interpolation: Literal["linear", "nearest"] = "linear"

    def build(self, context: KernelContext) -> Atoms:
        num = num_scales(context.length, self.size, self.init_scale)
        weights = context.draws.normal("weights", context.channels, num, self.size)
        return Scales(
            weights, self.init_scale, linear=self.interpolation == "linear", lr=self.kernel_lr
        )


def num_scales(length: int, size: int, init_scale: int) -> int:
    """S = max(1, 1 + ceil(log2(L/d)) - s), in whole numbers."""
    doublings = (-(-length // size) - 1).bit_length()
    return max(1, 1 + doublings - init_scale)


class Scales(Atoms):
    """One atom per scale, each on its own stretch of time."""

    def __init__(self, weights: Tensor, init_scale: int, *, linear: bool, lr: float | None) -> None:
        super().__init__()
        self.lr = lr
        self.weights = declare(nn.Parameter(weights), lr)  # (D, S, d)
        self.linear, self.num_atoms = linear, weights.shape[1]
        self.ratios = [2 ** (max(0, i - 1) + init_scale) for i in range(self.num_atoms)]
        self.scale = weights.shape[-1] * self.ratios[0]

    def natural_length(self, length: int) -> int:
        return max(length, self.weights.shape[-1] * sum(self.ratios))

    def trim(self, length: int) -> None:
        size = self.weights.shape[-1]
        starts = [size * sum(self.ratios[:i]) for i in range(self.num_atoms)]
        self.num_atoms = sum(start < length for start in starts)
        self.ratios = self.ratios[: self.num_atoms]
        weights = self.weights.detach()[:, : self.num_atoms].clone()
        self.weights = declare(nn.Parameter(weights), self.lr)

    def pieces(self) -> list[Tensor]:
        """Each scale's stretched weights, in the order of time: S tensors (D, d r_i)."""
        return [
            stretch(self.weights[:, i], ratio, linear=self.linear)
            for i, ratio in enumerate(self.ratios)
        ]

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        pieces = self.pieces()
        rows, start, total = [], 0, sum(p.shape[-1] for p in pieces)
        for piece in pieces:
            end = start + piece.shape[-1]
            rows.append(nn.functional.pad(piece, (start, total - end)))
            start = end
        return torch.stack(rows, 1)[..., : grid.length]  # (D, S, L)

    def forward(self, grid: Grid, window: Window) -> Tensor:
        kernel = torch.cat(self.pieces(), -1)[:, : grid.length]  # scales do not overlap
        return kernel * window(grid)[:, 0]


def stretch(w: Tensor, ratio: int, *, linear: bool) -> Tensor:
    """Resample d numbers to d r: repeated, or linear between half-pixel centres, edges held.

    Output j r + q lies o = (q + 1/2)/r - 1/2 from the centre of w[j], so it is a fixed mix of
    w[j-1], w[j], w[j+1]. A product, not a gather: its gradient is deterministic on every device.

    Args:    w  weights                                        (D, d)
    Returns: stretched weights                                 (D, d r)
    """
    if ratio == 1:
        return w
    if not linear:
        return w[..., None].expand(*w.shape, ratio).flatten(-2)
    q = torch.arange(ratio, dtype=w.dtype, device=w.device)
    offset = (q + 0.5) / ratio - 0.5
    before, after = (-offset).clamp(min=0), offset.clamp(min=0)
    mix = torch.stack([before, 1 - before - after, after])  # (3, r)
    held = torch.cat([w[:, :1], w, w[:, -1:]], -1)
    return (held.unfold(-1, 3, 1) @ mix).flatten(-2)
