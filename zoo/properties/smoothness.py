"""Smoothness: neighbouring taps are alike."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from zoo.grid import KernelContext
from zoo.spec import Choice, Spec


class Smoothness(Spec):
    """A linear map of the kernel (D, L) along time."""

    @property
    def reach(self) -> int | None:
        """How many later taps a tap is made of; None: all."""
        return None

    def build(self, context: KernelContext) -> nn.Module:
        raise NotImplementedError


class NoSmoothing(Smoothness, kind="none"):
    """The kernel as it is."""

    @property
    def reach(self) -> int:
        return 0

    def build(self, context: KernelContext) -> nn.Module:
        return nn.Identity()


class MovingAverage(Smoothness, kind="moving-average"):
    """smooth(k)_t = sum_{|j| <= p} k_{t+j} / (2p + 1),   p = `radius`, zeros outside.

    The first and last p taps are attenuated (p = 3: lag 0 by 4/7), as upstream.

    Source:  Fu et al. 2023, arXiv:2302.06646, HazyResearch/safari.
    """

    radius: Annotated[int, Field(ge=1), Choice((1, 2, 3, 5, 10))] = 3

    @property
    def reach(self) -> int:
        return self.radius

    def build(self, context: KernelContext) -> nn.Module:
        return Box(self.radius)


class Box(nn.Module):
    """The zero-padded box of width 2p + 1."""

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, k: Tensor) -> Tensor:
        return nn.functional.avg_pool1d(k[None], 2 * self.radius + 1, 1, self.radius)[0]
