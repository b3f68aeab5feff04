"""What a kernel does: measured length, decay, roughness, and how far an ablation moved it.

Kernels are (D, L); measures are per channel (D,) unless said otherwise, in double. A kernel of
zeros has effective length, roughness, bandwidth and energy 0.

Axes: D channels, L taps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from zoo.model import ModelSpec

BINS = 32
ENERGIES = (0.5, 0.9, 0.99)  # the shares of the effective lengths that are reported


def effective_length(k: Tensor, energy: float = 0.9) -> Tensor:
    """The fewest first taps that hold a share of the energy: min t, sum_{s<t} k_s^2 >= p sum k^2.

    Args:    k       kernels                                   (D, L)
             energy  the share p, in (0, 1]
    Returns: taps                                              (D,)
    """
    if not 0 < energy <= 1:
        raise ValueError(f"energy={energy}: a share of the energy lies in (0, 1]")
    return _first_to_hold(k.double().square(), energy)


def _first_to_hold(power: Tensor, energy: float) -> Tensor:
    """How many first places hold a share of the sum, 0 where it is 0: (D, L) to (D,)."""
    held = power.cumsum(-1)
    total = held[:, -1:]
    places = (held < energy * total).sum(-1) + 1
    return torch.where(total[:, 0] > 0, places, torch.zeros_like(places)).double()


def bandwidth(k: Tensor, energy: float = 0.9) -> Tensor:
    """The lowest frequencies that hold a share of the energy: min f, sum_{|w| <= f} |K_w|^2 >= p.

    In units of the highest frequency (half a turn a tap), from an FFT of 2L: one tap and white
    noise have p, a slow exp(-r l) has r/pi tan(pi p/2), a moving average of w taps about 1.7/w.

    Args:    k       kernels                                   (D, L)
             energy  the share p, in (0, 1]
    Returns: frequency, 0 to 1                                 (D,)
    """
    if not 0 < energy <= 1:
        raise ValueError(f"energy={energy}: a share of the energy lies in (0, 1]")
    length = k.shape[-1]
    power = torch.fft.rfft(k.double(), 2 * length).abs().square()  # (D, L + 1)
    power[:, 1:-1] *= 2  # each stands for itself and its negative
    return (_first_to_hold(power, energy) - 1).clamp(min=0) / length


def total_variation(k: Tensor) -> Tensor:
    """TV = sum |k_{l+1} - k_l|.

    Args:    k  kernels                                        (D, L)
    Returns: variation                                         (D,)
    """
    return k.double().diff(dim=-1).abs().sum(-1)


def roughness(k: Tensor) -> Tensor:
    """Total variation over L1 norm, sum |k_{l+1} - k_l| / sum |k_l|: 0 constant, 2 alternating.

    White Gaussian noise has sqrt(2).

    Args:    k  kernels                                        (D, L)
    Returns: roughness                                         (D,)
    """
    return _ratio(total_variation(k), k.double().abs().sum(-1))


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
    return torch.where(num > 1, slope, torch.full_like(slope, torch.nan))


def norms(k: Tensor) -> dict[str, Tensor]:
    """L1 and L2 norm and sum (the gain at frequency 0), each (D,)."""
    k = k.double()
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


def measures(k: Tensor) -> dict[str, Tensor]:
    """All there is to say of a kernel, each (D,).

    length_50 effective_length length_99   taps that hold 50, 90, 99 % of the energy
    decay_exponent decay_rate              fitted to the envelope, log-log and log-linear
    roughness total_variation bandwidth    how far from smooth
    l1 l2 dc energy                        its size; dc is the sum, the gain at frequency 0
    """
    k = k.detach()
    half, most, all_but_nothing = (effective_length(k, energy) for energy in ENERGIES)
    return {
        "length_50": half,
        "effective_length": most,
        "length_99": all_but_nothing,
        **fitted_decay(k),
        "roughness": roughness(k),
        "total_variation": total_variation(k),
        "bandwidth": bandwidth(k),
        **norms(k),
        "energy": k.double().square().sum(-1),
    }


def summary(k: Tensor) -> dict[str, float]:
    """The medians over channels of all measures."""
    return {name: float(value.nanquantile(0.5)) for name, value in measures(k).items()}


def kernel_parameters(model: nn.Module) -> int:
    """Free numbers of all convolution kernels of a model, those that several share once."""
    from zoo.kernel import Kernel

    kernels = [module for module in model.modules() if isinstance(module, Kernel)]
    return sum(p.numel() for p in {p for kernel in kernels for p in kernel.parameters()})


def parameters_by_length(spec: ModelSpec, lengths: Sequence[int]) -> dict[int, int]:
    """Kernel parameters of the model as it is built for each length; nothing is computed."""
    from zoo.spec import Context

    found = {}
    for length in lengths:
        context = Context(num_inputs=2, num_outputs=2, length=length)
        with torch.device("meta"):
            found[length] = kernel_parameters(spec.build(context))
    return found


def growth(parameters: Mapping[int, int]) -> float:
    """How parameters grow with the length: the slope of log P over log L between both ends.

    0: not at all; 1: as the length. Logarithmic growth has a slope that falls with the length.
    """
    (short, few), (long, many) = min(parameters.items()), max(parameters.items())
    if short == long or not few:
        return math.nan
    return math.log(many / few) / math.log(long / short)
