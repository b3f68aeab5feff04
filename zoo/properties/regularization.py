"""Regularization: a map that shrinks the kernel."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from zoo.grid import KernelContext
from zoo.spec import Range, Spec

ENOUGH = 1000  # taps that tell
ALIVE = 1e-3  # least share of a kernel's initial energy in taps that can be trained


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

    A tap below the threshold is 0 and has no gradient: a kernel that starts with all its taps
    below it is refused when it is built.

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


class KernelDropout(Regularization, kind="kernel-dropout"):
    """k_l / (1 - p) or, with probability p, 0: while training, one draw a step for the whole batch.

    Source:  Fu et al. 2023, arXiv:2302.06646, HazyResearch/safari
             src/models/sequence/long_conv_kernel.py.
    """

    p: Annotated[float, Field(ge=0, lt=1), Range(0.1, 0.5)] = 0.2

    def build(self, context: KernelContext) -> nn.Module:
        return nn.Dropout(self.p)


def refuse_dead(before: Tensor, after: Tensor) -> None:
    """A silent tap is never heard of again: some of the energy must be in others.

    Args:    before, after  the initial kernel around its regularizations    (D, L)
    Raises:  ValueError where the taps that are left had less than 1/1000 of the energy: of white
             taps of deviation s, from a threshold of about 4 s on. Of fewer than 1,000 taps it
             may be chance.
    """
    if before.is_meta or isinstance(before, FakeTensor) or before.numel() < ENOUGH:
        return
    energy = before.square()
    share = float(torch.where(after != 0, energy, 0).sum() / energy.sum())  # 0/0 of a zero kernel
    if share < ALIVE:
        raise ValueError(
            f"regularization leaves taps with {share:.2%} of the initial kernel's energy, and taps "
            f"that it silences are not trained: lower threshold below {float(before.std()):.2g}, "
            "the size of the taps, or choose regularization=none"
        )
