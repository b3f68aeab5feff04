"""Hyena's filter: its formula, its size, and what its two initial laws give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.parameterizations import Implicit
from zoo.properties import Exponential, NoDecay, Taps


def build(channels, length, *, decay=None, seed=0, **fields) -> Kernel:
    spec = KernelSpec(parameterization=Implicit(**fields), decay=decay or NoDecay())
    return spec.build(KernelContext(channels, length, Draws(seed)))


@pytest.mark.parametrize(("features", "depth", "length"), [(3, 0, 1), (5, 1, 2), (33, 2, 63)])
def test_filter_is_the_formula(features, depth, length):
    kernel = build(4, length, features=features, depth=depth, width=6, init="torch").double()
    s = {k.removeprefix("atoms."): v.numpy() for k, v in kernel.state_dict().items()}
    bands = (features - 1) // 2
    f = np.linspace(1e-4, bands - 1, bands) if bands > 1 else np.array([1e-4])
    n = np.arange(length)
    x = np.concatenate(
        [
            (n / max(length - 1, 1))[:, None],
            np.cos(f * 2 * np.pi * n[:, None] / length),
            -np.sin(f * 2 * np.pi * n[:, None] / length),
        ],
        axis=1,
    )
    for i in range(depth + 1):
        hidden = x @ s[f"layers.{i}.weight"].T + s[f"layers.{i}.bias"]
        x = np.sin(s["frequency"] * hidden)
    np.testing.assert_allclose(
        kernel().detach().numpy(), (x @ s["out.weight"].T).T, rtol=1e-10, atol=1e-13
    )


def test_parameter_count_of_the_published_filter():
    """E = 33, W = 64, M = 2, d = 864: 66 720 with the d biases of the operator."""
    kernel = build(864, 8, features=33, width=64, depth=2)
    assert sum(p.numel() for p in kernel.parameters()) + 864 == 66_720
    longer = build(864, 16, features=33, width=64, depth=2)
    assert sum(p.numel() for p in longer.parameters()) + 864 == 66_720


def test_one_vector_of_frequencies_serves_all_layers():
    names = [n for n, _ in build(2, 4, depth=3).named_parameters() if "frequency" in n]
    assert names == ["atoms.frequency"]


def test_a_shorter_kernel_is_the_start_of_the_longer_one():
    long = build(3, 64, decay=Exponential())
    spec = KernelSpec(parameterization=Implicit(), decay=Exponential(), length=Taps(taps=20))
    assert torch.equal(spec.build(KernelContext(3, 64, Draws(0)))(), long()[:, :20])


def energy_bins(k: torch.Tensor, share: float = 0.9) -> float:
    """The fewest frequency bins that hold a share of the energy, largest first: median."""
    power = torch.fft.rfft(k).abs().square().sort(-1, descending=True).values
    held = power.cumsum(-1) / power.sum(-1, keepdim=True)
    return float((held < share).sum(-1).double().add(1).median())


@pytest.mark.parametrize(
    ("init", "frequency", "rms", "norm"),
    [("lm", 14.0, 0.112, 1.2), ("torch", 14.0, None, 4.6), ("lm", 1.0, None, 0.004)],
)
def test_frequency_and_initial_law_interact(init, frequency, rms, norm):
    """spec/long_convolutions section 4, L = 2048, E = 33, W = 64, M = 2: within 20 %."""
    fields = {"init": init, "frequency": frequency}
    bare, windowed = [], []
    for seed in range(3):
        bare.append(build(256, 2048, seed=seed, **fields)().detach())
        windowed.append(build(256, 2048, seed=seed, decay=Exponential(), **fields)().detach())
    if rms:
        assert float(torch.stack(bare).square().mean().sqrt()) == pytest.approx(rms, rel=0.2)
    assert float(torch.stack(windowed).norm(dim=-1).median()) == pytest.approx(norm, rel=0.25)


def test_smooth_or_white_by_the_initial_law():
    """The same frequency 14 is band limited in one law and near white noise in the other."""
    bins = {
        init: energy_bins(build(256, 2048, init=init, frequency=14.0)().detach())
        for init in ("lm", "torch")
    }
    assert bins["lm"] < 80
    assert bins["torch"] > 400
