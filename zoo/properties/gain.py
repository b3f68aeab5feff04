"""Gain: the scale of the kernel, fixed when it is built."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.spec import Spec


class Gain(Spec):
    """k / Z, one frozen Z per channel, saved with the weights."""

    def build(self, uncut: Tensor, cut: Tensor) -> nn.Module:
        """Z from the initial kernel: `uncut` (D, >= L), `cut` (D, taps)."""
        raise NotImplementedError


class NoGain(Gain, kind="none"):
    """The kernel as it is."""

    def build(self, uncut: Tensor, cut: Tensor) -> nn.Module:
        return nn.Identity()


class RawGain(Gain, kind="raw"):
    """Z = L2 norm of the uncut initial kernel, all the taps that its parameters describe.

    Source:  Li et al. 2023, arXiv:2210.09298, ctlllll/SGConv.
    Differs: upstream sets Z in the first forward; here in the constructor.
    """

    def build(self, uncut: Tensor, cut: Tensor) -> nn.Module:
        return Scale(uncut)


class InitGain(Gain, kind="init"):
    """Z = L2 norm of the initial kernel as it is used: every arm of an ablation starts at 1."""

    def build(self, uncut: Tensor, cut: Tensor) -> nn.Module:
        return Scale(cut)


class Scale(nn.Module):
    """k / Z; a kernel that starts at zero keeps its scale."""

    norm: Tensor  # (D, 1)

    def __init__(self, initial: Tensor) -> None:
        super().__init__()
        norm = initial.norm(dim=-1, keepdim=True)
        self.register_buffer("norm", torch.where(norm > 0, norm, torch.ones_like(norm)))

    def forward(self, k: Tensor) -> Tensor:
        return k / self.norm
