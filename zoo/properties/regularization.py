"""Regularization: a map that shrinks the kernel."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from zoo.grid import KernelContext
from zoo.spec import Range, Spec


class Regularization(Spec):
    """A map of the kernel (D, L) to itself."""

    def build(self, context: KernelContext) -> nn.Module:
        raise NotImplementedError


class NoRegularization(Regularization, kind="none"):
    """The kernel as it is."""

    def build(self, context: KernelContext) -> nn.Module:
        return nn.Identity()


class Squash(Regularization, kind="squash"):
    """squash(k) = sign(k) max(|k| - threshold, 0), the proximal map of threshold |k|_1.

    A tap below the threshold is 0 and has no gradient: keep it below the taps' initial size.

    Source:  Fu et al. 2023, arXiv:2302.06646, HazyResearch/safari (lambda; its class default .1
             kills a kernel of std .002 for good).
    """

    threshold: Annotated[float, Field(ge=0), Range(1e-4, 1e-2, log=True)] = 1e-3

    def build(self, context: KernelContext) -> nn.Module:
        return SoftThreshold(self.threshold)


class SoftThreshold(nn.Module):
    """sign(k) max(|k| - threshold, 0)."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, k: Tensor) -> Tensor:
        return nn.functional.softshrink(k, self.threshold)
