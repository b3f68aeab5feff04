"""RWKV-4: a running average that forgets, of values weighed by their keys.

Axes: B batch, L length, D width.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import pad

from zoo.draws import Draws, declare
from zoo.kernel import KernelContext, full_precision
from zoo.mixers.mixer import LayerContext, Mixer, SequenceMixer
from zoo.parameterizations.atoms import Atoms
from zoo.properties.decay import Decay, NoDecay
from zoo.properties.gating import Gating, NoGating, Receptance
from zoo.properties.graded import Graded

LOWEST = -1e38  # the exponent of nothing; finite, so that differences are


class Rwkv(SequenceMixer, kind="rwkv"):
    """y = W_o (sigmoid(r) * wkv),   r, k, v = W_i (mu_i u_t + (1 - mu_i) u_{t-1}).

        wkv_t = (sum_{i<t} e^{-(t-1-i) w + k_i} v_i + e^{b + k_t} v_t)
              / (sum_{i<t} e^{-(t-1-i) w + k_i}     + e^{b + k_t})

    It is the ratio of two long convolutions with the kernel e^b, 1, e^{-w}, e^{-2w}, ...

    decay   the rates w: graded, or none (every step of the past counts the same)
    gating  off: sigmoid(r) and e^k are gone, which leaves the convolution with that kernel, divided
            by its own running sum

    token_shift  off: mu = 1, the step before is seen through the average alone

    mu_k = (d/D)^s, mu_v = mu_k + .3 i/(n-1), mu_r = (d/D)^{s/2}, s = 1 - i/n in layer i of n; b
    starts at ln .3 + .5 ((d+1) mod 3 - 1).

    Source:  Peng et al. 2023, arXiv:2305.13048, BlinkDL/RWKV-LM RWKV-v4/src/model.py.
    Differs: projections have PyTorch's own law (upstream orthogonal, and 0 for key, receptance and
             output).
    """

    decay: Decay = Graded()
    gating: Gating = Receptance()
    token_shift: bool = True

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not isinstance(self.decay, Graded | NoDecay):
            raise ValueError(
                f"decay={self.decay.kind} is no recurrence of one number: rwkv has decay=graded or "
                "decay=off; for other windows choose mixers=long-conv"
            )
        if not isinstance(self.gating, Receptance | NoGating):
            raise ValueError(
                f"gating={self.gating.kind}: rwkv has gating=receptance or gating=off; for other "
                "gates choose mixers=long-conv decay=graded"
            )
        if isinstance(self.gating, NoGating) and self.gating.short:
            raise ValueError(
                f"gating.short={self.gating.short}: rwkv mixes a step with the one before it and "
                "has no short convolution: use gating.short=0"
            )
        return self

    def build(self, layer: LayerContext) -> Mixer:
        return TimeMix(self, layer)


class TimeMix(Mixer):
    """Projections, rates and the bonus of the current step."""

    def __init__(self, spec: Rwkv, layer: LayerContext) -> None:
        super().__init__()
        width, draws = layer.width, layer.draws
        decay = spec.decay
        if isinstance(decay, Graded):
            decay = decay.at_layer(layer.index, layer.depth)
        context = KernelContext(width, layer.length, draws.child("decay"))
        self.window = decay.build(context, Atoms())
        zigzag = (torch.arange(width) + 1) % 3 - 1.0
        self.bonus = declare(nn.Parameter(math.log(0.3) + 0.5 * zigzag))  # (D,)
        self.parts = nn.ModuleDict(
            {
                name: Shifted(name, layer, draws.child("gating"), shift=spec.token_shift)
                for name in parts(spec.gating)
            }
        )
        self.remembers_step = spec.token_shift and len(self.parts) > 0
        self.output = draws.child("gating").linear("output", width, width, bias=False)

    def forward(self, u: Tensor, mask: Tensor | None = None) -> Tensor:
        before = pad(u, (0, 0, 1, -1))
        x = {name: part(u, before) for name, part in self.parts.items()}
        value = x.get("value", u)
        with full_precision(u.device.type):
            rate = self.window.rate[:, 0]
            key = x["key"] if "key" in x else torch.zeros_like(value)
            y = wkv(key, value, rate, self.bonus)
        if "receptance" in x:
            y = x["receptance"].sigmoid() * y
        return self.output(y.to(u.dtype))

    def state_elements(self, length: int) -> int:
        """Sums and their largest exponent; without keys the lower sum is known. The last step."""
        width = self.output.in_features
        sums = 3 if "key" in self.parts else 1
        return width * (sums + self.remembers_step)


def parts(gating: Gating) -> tuple[str, ...]:
    """The projections that there are."""
    if isinstance(gating, Receptance):
        return ("value", "key", "receptance")
    assert isinstance(gating, NoGating)
    return ("value",) if gating.project else ()


class Shifted(nn.Module):
    """W (mu u_t + (1 - mu) u_{t-1}), zero before the first step; mu = 1 without a shift."""

    def __init__(self, name: str, layer: LayerContext, draws: Draws, *, shift: bool) -> None:
        super().__init__()
        self.project = draws.child(name).linear("project", layer.width, layer.width, bias=False)
        self.mix: nn.Parameter | None = None
        if not shift:
            return
        place = torch.arange(layer.width, dtype=torch.float64) / layer.width
        late, left = layer.index / max(layer.depth - 1, 1), 1 - layer.index / layer.depth
        mix = place ** (left / 2 if name == "receptance" else left)
        mix = mix + 0.3 * late if name == "value" else mix
        self.mix = nn.Parameter(mix.float())  # (D,)

    def forward(self, u: Tensor, before: Tensor) -> Tensor:
        if self.mix is None:
            return self.project(u)
        return self.project(torch.lerp(before, u, self.mix.to(u.dtype)))


def wkv(key: Tensor, value: Tensor, rate: Tensor, bonus: Tensor) -> Tensor:
    """The weighed mean of the past, in log L steps; any finite key is fine.

    Sums over windows that double: each is kept as its largest exponent m and the sums over
    e^{exponent - m}, so that nothing overflows. Equals the recurrence.

    Args:    key, value                                         (B, L, D)
             rate         w >= 0, what a step forgets           (D,)
             bonus        b, of the current step                (D,)
    Returns: wkv                                                (B, L, D)
    """
    dtype = torch.promote_types(torch.promote_types(key.dtype, bonus.dtype), torch.float32)
    key, value = key.to(dtype), value.to(dtype)
    top, upper, lower = key, value, torch.ones_like(value)
    lag = 1
    while lag < key.shape[1]:
        earlier = later(top, lag, LOWEST) - lag * rate
        largest = torch.maximum(top, earlier).detach()
        old, new = torch.exp(earlier - largest), torch.exp(top - largest)
        upper = new * upper + old * later(upper, lag, 0.0)
        lower = new * lower + old * later(lower, lag, 0.0)
        top, lag = largest, 2 * lag
    before, now = later(top, 1, LOWEST), key + bonus
    largest = torch.maximum(before, now).detach()
    old, new = torch.exp(before - largest), torch.exp(now - largest)
    top_sum = old * later(upper, 1, 0.0) + new * value
    return top_sum / (old * later(lower, 1, 0.0) + new)


def later(x: Tensor, lag: int, start: float) -> Tensor:
    """X of `lag` steps before, `start` where there was none."""
    return pad(x, (0, 0, lag, 0), value=start)[:, : x.shape[1]]
