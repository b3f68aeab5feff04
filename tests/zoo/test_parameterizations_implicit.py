"""Hyena's filter: its formula, its size, and what its two initial laws give."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo.draws import Draws
from zoo.grid import Grid, KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.mixers import LongConv
from zoo.model import ModelSpec
from zoo.parameterizations import Implicit
from zoo.parameterizations.implicit import time_features
from zoo.properties import Exponential, NoDecay, Taps
from zoo.spec import Context

CONTEXT = KernelContext(8, 101, Draws(0))


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


@pytest.mark.parametrize("length", [1, 2, 63])
@pytest.mark.parametrize(("activation", "f"), [("sine", np.sin), ("relu", lambda x: x * (x > 0))])
def test_position_alone_and_other_activations(length, activation, f):
    """f(a (W pos + b)), pos = 2 l/(L-1) - 1: the kernel network of CKConv for f = sin."""
    fields = {"features": 1, "depth": 1, "width": 6, "init": "siren", "frequency": 5.0}
    kernel = build(4, length, activation=activation, **fields).double()
    s = {k.removeprefix("atoms."): v.numpy() for k, v in kernel.state_dict().items()}
    x = 2 * np.arange(length)[:, None] / max(length - 1, 1) - 1
    for i in range(2):
        x = f(5.0 * (x @ s[f"layers.{i}.weight"].T + s[f"layers.{i}.bias"]))
    np.testing.assert_allclose(
        kernel().detach().numpy(), (x @ s["out.weight"].T).T, rtol=1e-10, atol=1e-12
    )


def test_law_of_siren():
    """U(+-1/E), then U(+-sqrt(6/W)/a); biases U(+-1): uniform, so the mean square is bound^2/3."""
    kernel = build(400, 8, features=5, width=96, depth=1, init="siren", frequency=20.0)
    p = dict(kernel.named_parameters())
    inner = math.sqrt(6 / 96) / 20
    bounds = {
        "layers.0.weight": 1 / 5,
        "layers.1.weight": inner,
        "out.weight": inner,
        "layers.0.bias": 1,
        "layers.1.bias": 1,
    }
    for name, bound in bounds.items():
        values = p[f"atoms.{name}"].detach()
        assert values.abs().max() <= bound * (1 + 1e-6)
        assert values.square().mean().sqrt() == pytest.approx(bound / math.sqrt(3), rel=0.15)
    assert "atoms.out.bias" not in p


def test_a_frequency_that_is_not_trained_is_kept_with_the_weights():
    kernel = build(2, 4, learned_frequency=False)
    assert "atoms.frequency" not in dict(kernel.named_parameters())
    assert torch.equal(kernel.state_dict()["atoms.frequency"], torch.full((64,), 14.0))
    assert torch.equal(kernel(), build(2, 4)())


def test_of_three_features_only_the_time_is_of_use():
    """B = 1 has the one frequency 1e-4: cosine 1 and sine 0 at every step."""
    grid = Grid(torch.ones(1, 1, dtype=torch.float64), 50, 50)
    time, cosine, sine = time_features(grid, 3).T
    assert (cosine - 1).abs().max() < 1e-6
    assert sine.abs().max() < 1e-3
    torch.testing.assert_close(time, torch.linspace(0, 1, 50, dtype=torch.float64))
    assert time_features(grid, 5)[:, 4].abs().max() > 0.99


def test_the_window_fades_in_fractions_of_the_longest_sequence():
    """At x = .3 the fastest feature is at .01, at 1.5 the slowest would be; .0464 at x = 1."""
    window = Exponential().build(KernelContext(8, 101, Draws(0)), Implicit().build(CONTEXT))
    w = window(Grid(torch.ones(1, 1), 101, 101))[:, 0]
    assert w[-1, 30].item() == pytest.approx(0.01, rel=1e-4)
    assert w[0, 100].item() == pytest.approx(0.0464, rel=1e-2)
    assert w[-1, 100].item() == pytest.approx(2e-7, rel=0.1)
    assert float(window.rate[0]) == pytest.approx(3.070, abs=1e-3)
    assert float(window.rate[-1]) == pytest.approx(15.351, abs=1e-3)


def test_a_model_leaves_the_law_of_its_filters_alone():
    """Nothing draws a filter's weights again once it is built."""
    spec = KernelSpec(parameterization=Implicit(init="torch", features=5, frequency=1.0))
    model = ModelSpec(mixers=(LongConv(kernel=spec),), depth=1, width=8).build(
        Context(num_inputs=4, num_outputs=4, length=64)
    )
    (k,) = model.kernels().values()
    quiet = build(8, 64, features=5, frequency=1.0)().detach()
    assert k.norm(dim=-1).median() > 20 * quiet.norm(dim=-1).median()
