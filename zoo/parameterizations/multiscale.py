"""Structured global convolution: the same few numbers at every scale, stretched by doubling."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from zoo.draws import declare
from zoo.grid import Grid, KernelContext, Window
from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.spec import Choice


class Multiscale(Parameterization, kind="multiscale"):
    """k = concat_i stretch(w_i, r_i),   r_i = 2^(max(0, i-1) + s),   w_i in R^d.

    d = `size`, s = `init_scale`. The scales cover d 2^s, d 2^s, 2d 2^s, 4d 2^s, ... taps: as many
    as the length needs, so the parameters grow with log L. Decay over scales is decay=per-scale.

    layout "concatenated"  as above: one scale behind the other
           "summed"        r_i = 2^(i + s), all from lag 0 on, one above the other
    init   "normal"        w_i ~ N(0, 1)
           "cosine"        cos(2 pi h x), x = d points from 0 to 1: the h are the numbers of the
                           features, dealt out anew at each scale (above d/2 they alias)
    interpolation          "nearest" repeats, "linear", "cubic" (Keys, -3/4)

    Source:  Li et al. 2023, arXiv:2210.09298, ctlllll/SGConv (modes cat_, sum_, randn, cos,
             nearest).
    Differs: upstream multiplies scale i by m^(S-1-i) instead of alpha^i, alpha = 1/m (the same
             after its normalisation, which is gain=raw), and its kernel inherits weight decay
             (kernel_weight_decay=inherit); cubic is not upstream's.
    """

    size: Annotated[int, Field(ge=1), Choice((1, 2, 4, 8, 16, 32, 64))] = 8
    init_scale: Annotated[int, Field(ge=0)] = 0
    interpolation: Literal["linear", "nearest", "cubic"] = "linear"
    layout: Literal["concatenated", "summed"] = "concatenated"
    init: Literal["normal", "cosine"] = "normal"

    def build(self, context: KernelContext) -> Atoms:
        num = num_scales(context.length, self.size, self.init_scale)
        draw = cosines if self.init == "cosine" else normals
        atoms = {"concatenated": Scales, "summed": NestedScales}[self.layout]
        return atoms(draw(context, num, self.size), self)


def normals(context: KernelContext, num: int, size: int) -> Tensor:
    """N(0, 1): (D, S, d)."""
    return context.draws.normal("weights", context.channels, num, size)


def cosines(context: KernelContext, num: int, size: int) -> Tensor:
    """cos(2 pi h x), the features h in another order at each scale: (D, S, d)."""
    order = context.draws.uniform("order", num, context.features).argsort(-1)  # (S, H)
    x = torch.linspace(0, 1, size, dtype=torch.float64)
    waves = torch.cos(2 * math.pi * order.T[..., None] * x).float()  # (H, S, d)
    return waves.repeat(context.copies, 1, 1)


def num_scales(length: int, size: int, init_scale: int) -> int:
    """S = max(1, 1 + ceil(log2(L/d)) - s), in whole numbers."""
    doublings = (-(-length // size) - 1).bit_length()
    return max(1, 1 + doublings - init_scale)


class Scales(Atoms):
    """One atom per scale, each on its own stretch of time."""

    def __init__(self, weights: Tensor, spec: Multiscale) -> None:
        super().__init__()
        self.lr, self.interpolation = spec.kernel_lr, spec.interpolation
        self.weights = declare(nn.Parameter(weights), self.lr)  # (D, S, d)
        self.num_atoms, self.size = weights.shape[1:]
        self.ratios = [r << spec.init_scale for r in self.doublings(self.num_atoms)]
        self.scale = self.size * self.ratios[0]

    @staticmethod
    def doublings(num: int) -> list[int]:
        return [2 ** max(0, i - 1) for i in range(num)]

    def starts(self) -> list[int]:
        """The first tap of each scale."""
        return [self.size * sum(self.ratios[:i]) for i in range(self.num_atoms)]

    def natural_length(self, length: int) -> int:
        return max(length, self.starts()[-1] + self.size * self.ratios[-1])

    def trim(self, length: int) -> None:
        self.num_atoms = sum(start < length for start in self.starts())
        self.ratios = self.ratios[: self.num_atoms]
        weights = self.weights.detach()[:, : self.num_atoms].clone()
        self.weights = declare(nn.Parameter(weights), self.lr)

    def pieces(self) -> list[Tensor]:
        """Each scale's stretched weights: S tensors (D, d r_i)."""
        return [
            stretch(self.weights[:, i], ratio, self.interpolation)
            for i, ratio in enumerate(self.ratios)
        ]

    def atoms(self, grid: Grid, window: Window) -> Tensor:
        total = max(self.natural_length(0), grid.length)
        rows = [
            nn.functional.pad(piece, (start, total - start - piece.shape[-1]))
            for start, piece in zip(self.starts(), self.pieces(), strict=True)
        ]
        return torch.stack(rows, 1)[..., : grid.length]  # (D, S, L)

    def forward(self, grid: Grid, window: Window) -> Tensor:
        kernel = torch.cat(self.pieces(), -1)[:, : grid.length]  # scales do not overlap
        return kernel * window(grid)[:, 0]


class NestedScales(Scales):
    """One atom per scale, all from lag 0 on."""

    nested = True

    @staticmethod
    def doublings(num: int) -> list[int]:
        return [2**i for i in range(num)]

    def starts(self) -> list[int]:
        return [0] * self.num_atoms

    def forward(self, grid: Grid, window: Window) -> Tensor:
        kernel, length = torch.zeros_like(grid.index), grid.length
        windows = window(grid).expand(-1, self.num_atoms, -1)
        for i, piece in enumerate(self.pieces()):  # one at a time: all are S times the kernel
            part = piece[:, :length] * windows[:, i, : piece.shape[-1]]
            kernel = kernel + nn.functional.pad(part, (0, length - part.shape[-1]))
        return kernel


def stretch(w: Tensor, ratio: int, interpolation: str) -> Tensor:
    """Resample d numbers to d r: repeated, or mixed between half-pixel centres, edges held.

    Output j r + q lies o = (q + 1/2)/r - 1/2 from the centre of w[j], so it is a fixed mix of
    w[j-p .. j+p]. A product, not a gather: its gradient is deterministic on every device.

    Args:    w  weights                                        (D, d)
    Returns: stretched weights                                 (D, d r)
    """
    if ratio == 1:
        return w
    if interpolation == "nearest":
        return w[..., None].expand(*w.shape, ratio).flatten(-2)
    q = torch.arange(ratio, dtype=w.dtype, device=w.device)
    mix = MIXES[interpolation]((q + 0.5) / ratio - 0.5)  # (2p + 1, r)
    p = len(mix) // 2
    held = torch.cat([w[:, :1].expand(-1, p), w, w[:, -1:].expand(-1, p)], -1)
    return (held.unfold(-1, 2 * p + 1, 1) @ mix).flatten(-2)


def linear_mix(offset: Tensor) -> Tensor:
    """Hat functions of the two nearest: (3, r)."""
    before, after = (-offset).clamp(min=0), offset.clamp(min=0)
    return torch.stack([before, 1 - before - after, after])


def cubic_mix(offset: Tensor) -> Tensor:
    """Keys' cubic with a = -3/4 of the four nearest: (5, r).

    (a+2) x^3 - (a+3) x^2 + 1 up to distance x = 1, a (x^3 - 5 x^2 + 8 x - 4) up to 2, then 0.

    Source:  Keys 1981, doi:10.1109/TASSP.1981.1163711, with the a of PyTorch's "bicubic".
    """
    place = torch.arange(-2, 3, dtype=offset.dtype, device=offset.device)[:, None]
    x, a = (offset - place).abs(), -0.75
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


MIXES = {"linear": linear_mix, "cubic": cubic_mix}
