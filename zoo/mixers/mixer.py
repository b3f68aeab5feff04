"""The slot SequenceMixer: what mixes a sequence along time, and what a layer is told to build it.

Axes: B batch, L length, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from zoo.draws import Draws
from zoo.spec import Spec


@dataclass(frozen=True)
class LayerContext:
    """What a layer may know of the model around it. `length` is the longest sequence."""

    width: int
    length: int
    draws: Draws
    index: int = 0
    depth: int = 1


class Mixer(nn.Module):
    """What a SequenceMixer builds. `causal`: no output depends on a later input."""

    causal: bool = True

    def forward(self, u: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, D) to (B, L, D); `mask` (B, L, 1) is 0 where a shorter sequence is padded."""
        raise NotImplementedError

    def state_elements(self, length: int) -> int:
        """Numbers that token-by-token inference keeps of one sequence of this length."""
        raise NotImplementedError


class SequenceMixer(Spec):
    """Mixes a sequence along time.

    A mixer that has more properties to ablate names their fields in `properties`, and says in
    `off` what each is when it is off.
    """

    properties: ClassVar[tuple[str, ...]] = ()
    off: ClassVar[Mapping[str, Spec]] = {}

    def build(self, layer: LayerContext) -> Mixer:
        raise NotImplementedError
