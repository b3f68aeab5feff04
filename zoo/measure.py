"""What a kernel does: measured length, decay, roughness, and how far an ablation moved it.

Kernels are (D, L); measures are per channel (D,) unless said otherwise. A kernel of zeros has
effective length, roughness and energy 0.

Axes: D channels, L taps.
"""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 32


def effective_length(k: Tensor, energy: float = 0.9) -> Tensor:
    """The fewest first taps that hold a share of the energy: min t, sum_{s<t} k_s^2 >= p sum k^2.

    Args:    k       kernels                                   (D, L)
             energy  the share p, in (0, 1]
    Returns: taps                                              (D,)
    """
    if not 0 < energy <= 1:
        raise ValueError(f"energy={energy}: a share of the energy lies in (0, 1]")
    held = k.double().square().cumsum(-1)
    total = held[:, -1:]
    taps = (held < energy * total).sum(-1) + 1
    return torch.where(total[:, 0] > 0, taps, torch.zeros_like(taps)).to(k.dtype)


def roughness(k: Tensor) -> Tensor:
    """Total variation over L1 norm, sum |k_{l+1} - k_l| / sum |k_l|: 0 constant, 2 alternating.

    White Gaussian noise has sqrt(2).


    Args:    k  kernels                                        (D, L)
    Returns: roughness                                         (D,)
    """
    size = k.abs().sum(-1)
    return _ratio(k.diff(dim=-1).abs().sum(-1), size)


def fitted_decay(k: Tensor) -> dict[str, Tensor]:
    """The decay laws that fit the envelope best, by least squares on the logarithm of its RMS.

        decay_exponent  a of (1 + l)^(-a): bins that double in width
        decay_rate      r of exp(-r l): up to 32 bins of equal width

    Bins without energy are left out; fewer than two bins give NaN.

    Args:    k  kernels                                        (D, L)
    Returns: each                                              (D,)
    """
    lag = torch.arange(k.shape[-1], dtype=torch.float64, device=k.device)
    doubling = torch.log2(lag + 1).floor().long()
    equal = (lag * min(BINS, k.shape[-1]) / k.shape[-1]).long()
    return {
        "decay_exponent": -_envelope_slope(k, torch.log(lag + 1), doubling),
        "decay_rate": -_envelope_slope(k, lag, equal),
    }


def _envelope_slope(k: Tensor, x: Tensor, bins: Tensor) -> Tensor:
    """Slope of log RMS against the mean x of each bin: (D,)."""
    member = torch.nn.functional.one_hot(bins).double()  # (L, bins)
    count = member.sum(0)
    power = (k.double().square() @ member) / count  # (D, bins)
    here = (power > 0).double()
    y = torch.where(power > 0, power, torch.ones_like(power)).log() / 2
    place = (x @ member / count).expand_as(y)
    num = here.sum(-1)
    dx = here * (place - _ratio((here * place).sum(-1), num)[:, None])
    spread = (dx * dx).sum(-1)
    slope = _ratio((dx * y).sum(-1), spread)
    return torch.where(num > 1, slope, torch.full_like(slope, torch.nan)).to(k.dtype)


def norms(k: Tensor) -> dict[str, Tensor]:
    """L1 and L2 norm and sum (the gain at frequency 0), each (D,)."""
    return {"l1": k.abs().sum(-1), "l2": k.norm(dim=-1), "dc": k.sum(-1)}


def treatment_strength(arm: Tensor, base: Tensor) -> float:
    """How far an ablation moves the kernel: median over channels of |k_arm - k_base|, unit norms.

    The shorter kernel is zero beyond its taps.

    Args:    arm, base  kernels of the same channels           (D, L)
    Returns: 0 for the same kernels up to positive scale, 2 for opposite ones
    """
    if arm.shape[0] != base.shape[0]:
        raise ValueError(
            f"an arm of {arm.shape[0]} channels and a baseline of {base.shape[0]}: "
            "compare kernels of the same channels"
        )
    length = max(arm.shape[-1], base.shape[-1])
    distance = (_unit(arm.detach(), length) - _unit(base.detach(), length)).norm(dim=-1)
    return float(distance.quantile(0.5))  # Tensor.median takes the lower of two


def _unit(k: Tensor, length: int) -> Tensor:
    k = torch.nn.functional.pad(k.double(), (0, length - k.shape[-1]))
    return _ratio(k, k.norm(dim=-1, keepdim=True).expand_as(k))


def _ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """The ratio, 0 where bottom is 0."""
    return torch.where(bottom > 0, top / torch.where(bottom > 0, bottom, 1), 0)


def summary(k: Tensor) -> dict[str, float]:
    """Medians over channels: effective_length, roughness, decay_exponent, decay_rate, energy."""
    k = k.detach()
    measures = {
        "effective_length": effective_length(k),
        "roughness": roughness(k),
        **fitted_decay(k),
        "energy": k.square().sum(-1),
    }
    return {name: float(value.nanquantile(0.5)) for name, value in measures.items()}
