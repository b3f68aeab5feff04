"""Measures on kernels whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo.kernel import KernelSpec
from zoo.measure import (
    bandwidth,
    effective_length,
    fitted_decay,
    growth,
    kernel_parameters,
    measures,
    norms,
    parameters_by_length,
    roughness,
    summary,
    total_variation,
    treatment_strength,
)
from zoo.mixers import LongConv
from zoo.model import ModelSpec
from zoo.parameterizations import Implicit, Multiscale
from zoo.presets import names, preset
from zoo.spec import Context

LAG = torch.arange(400, dtype=torch.float64)


def test_effective_length_counts_the_first_taps():
    k = torch.tensor([[0.0, 3.0, 0.0, 4.0, 0.0], [1.0, 0, 0, 0, 0], [0.0] * 5, [1.0] * 5])
    assert effective_length(k, 0.36).tolist() == [2, 1, 0, 2]
    assert effective_length(k, 0.37).tolist() == [4, 1, 0, 2]
    assert effective_length(k, 0.9).tolist() == [4, 1, 0, 5]
    assert effective_length(k, 1.0).tolist() == [4, 1, 0, 5]
    with pytest.raises(ValueError, match=r"energy=0\.0"):
        effective_length(k, 0.0)


def test_effective_length_of_an_exponential():
    k = torch.exp(-0.05 * LAG)[None]
    for share in (0.5, 0.9, 0.99):
        expected = math.ceil(-math.log(1 - share) / 0.1 - 1e-9)
        assert float(effective_length(k, share)) == expected


def test_roughness():
    constant, alternating = torch.ones(2, 100), (-1.0) ** torch.arange(100)[None]
    assert roughness(constant).tolist() == [0, 0]
    assert float(roughness(alternating)) == pytest.approx(2 * 99 / 100)
    white = torch.from_numpy(np.random.default_rng().standard_normal((4, 20_000)))
    np.testing.assert_allclose(roughness(white), math.sqrt(2), rtol=0.02)
    assert float(roughness(torch.zeros(1, 9))) == 0
    assert float(roughness(torch.ones(1, 1))) == 0


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1])
def test_fitted_rate_of_an_exponential_is_exact(rate):
    k = 3 * torch.exp(-rate * LAG[:384])[None]  # 32 bins of 12
    assert float(fitted_decay(k)["decay_rate"]) == pytest.approx(rate, abs=1e-9)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_fitted_exponent_of_a_power_law(exponent):
    k = (1 + torch.arange(1023, dtype=torch.float64))[None] ** -exponent  # ten whole doublings
    assert float(fitted_decay(k)["decay_exponent"]) == pytest.approx(exponent, abs=0.03)


def test_fits_ignore_sign_scale_and_bins_without_energy():
    k = torch.exp(-0.1 * LAG)[None]
    sign = torch.from_numpy(np.random.default_rng().choice([-1.0, 1.0], 400))
    cut = torch.where(LAG < 200, k, torch.zeros_like(k))
    for other in (k * sign * 7, cut):
        assert float(fitted_decay(other)["decay_rate"]) == pytest.approx(0.1, abs=0.002)


def test_fits_of_too_little_are_not_a_number():
    for k in (torch.ones(1, 1), torch.zeros(1, 50)):
        assert all(math.isnan(float(v)) for v in fitted_decay(k).values())


def test_norms():
    found = norms(torch.tensor([[3.0, -4.0]]))
    assert {name: float(v) for name, v in found.items()} == {"l1": 7, "l2": 5, "dc": -1}


def test_treatment_strength():
    rng = np.random.default_rng()
    base = torch.from_numpy(rng.standard_normal((5, 40)))
    assert treatment_strength(base, base) == 0
    assert treatment_strength(3 * base, base) == pytest.approx(0, abs=1e-12)  # scale is no change
    assert treatment_strength(-base, base) == pytest.approx(2)
    half = base[:, :20]  # zero-extended
    unit = base / base.norm(dim=-1, keepdim=True)
    share = unit[:, :20].norm(dim=-1)
    expected = float(torch.sqrt(2 - 2 * share).median())
    assert treatment_strength(half, base) == pytest.approx(expected, rel=1e-9)
    assert treatment_strength(base, half) == pytest.approx(expected, rel=1e-9)
    assert treatment_strength(torch.zeros(5, 3), base) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"4 channels and a baseline of 5"):
        treatment_strength(base[:4], base)


def test_treatment_strength_takes_kernels_that_train():
    k = torch.ones(2, 3, requires_grad=True)
    assert treatment_strength(k, k[:, :2]) > 0


def test_bandwidth_of_one_tap_and_of_white_noise_is_the_share():
    tap = torch.zeros(3, 500, dtype=torch.float64)
    tap[0, 0], tap[1, 137], tap[2, 499] = 1.0, -3.0, 1e-9
    for share in (0.5, 0.9, 1.0):
        np.testing.assert_allclose(bandwidth(tap, share), share, atol=1.01 / 500)
    white = torch.from_numpy(np.random.default_rng().standard_normal((8, 4096)))
    np.testing.assert_allclose(bandwidth(white), 0.9, atol=0.02)
    with pytest.raises(ValueError, match=r"energy=1\.5"):
        bandwidth(tap, 1.5)


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_bandwidth_of_an_exponential(rate):
    k = torch.exp(-rate * torch.arange(4096, dtype=torch.float64))[None]
    for share in (0.5, 0.9):
        expected = rate / math.pi * math.tan(math.pi * share / 2)
        assert float(bandwidth(k, share)) == pytest.approx(expected, rel=0.03, abs=1 / 4096)


@pytest.mark.parametrize("width", [1, 2, 9, 50])
def test_bandwidth_of_a_box_is_that_of_dirichlets_kernel(width):
    k = torch.zeros(1, 1000, dtype=torch.float64)
    k[:, 3 : 3 + width] = 0.7
    half = (np.arange(100_000) + 0.5) / 100_000 * math.pi / 2  # half the angle
    power = (np.sin(width * half) / np.sin(half)) ** 2
    share = power.cumsum() / power.sum()
    expected = (np.searchsorted(share, 0.9) + 1) / 100_000
    assert float(bandwidth(k)) == pytest.approx(expected, abs=1.1 / 1000)


def test_bandwidth_of_a_wave_is_its_frequency():
    n = torch.arange(1000, dtype=torch.float64)
    k = torch.stack([torch.cos(math.pi * f * n) for f in (0.1, 0.5, 0.9)])
    np.testing.assert_allclose(bandwidth(k), [0.1, 0.5, 0.9], atol=0.004)
    constant = torch.ones(1, 1000)
    assert float(bandwidth(constant)) < 0.003
    assert bandwidth(torch.zeros(2, 7)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("frequency", "init", "bins"), [(14.0, "lm", 42), (14.0, "torch", 921), (1.0, "torch", 12)]
)
def test_bandwidth_of_hyenas_filters_at_initialisation(frequency, init, bins):
    """Bins of 1,025 that hold 90 % of the energy, at 2,048 taps (without window)."""
    spec = KernelSpec(parameterization=Implicit(frequency=frequency, init=init))
    layer = ModelSpec(mixers=(LongConv(kernel=spec),), width=256, depth=1)
    model = layer.build(Context(num_inputs=2, num_outputs=2, length=2048))
    found = 1 + 1024 * float(bandwidth(model.kernels()["blocks.0.mixer.kernel"]).median())
    assert found == pytest.approx(bins, rel=0.35)


def test_total_variation():
    k = torch.tensor([[1.0, -1, 1, -1], [5.0, 5, 5, 5], [0.0, 1, 3, 2]])
    assert total_variation(k).tolist() == [6, 0, 4]
    assert total_variation(torch.ones(1, 1)).tolist() == [0]
    box = torch.zeros(1, 50)
    box[0, 10:20] = 3
    assert float(total_variation(box)) == 6
    assert float(roughness(box)) == pytest.approx(2 / 10)


def test_every_measure_is_in_double_and_one_number_a_channel():
    k = torch.randn(5, 33, requires_grad=True)
    for name, value in measures(k).items():
        assert (value.dtype, value.shape) == (torch.float64, (5,)), name
        alone = torch.cat([measures(row[None])[name] for row in k])
        torch.testing.assert_close(value, alone, rtol=1e-9, atol=1e-12)


def test_one_tap_is_told_apart_from_everything_else():
    k = torch.zeros(1, 64)
    k[0, 5] = -2.0
    found = {name: float(value) for name, value in measures(k).items()}
    assert (found["length_50"], found["effective_length"], found["length_99"]) == (6, 6, 6)
    assert (found["l1"], found["l2"], found["dc"], found["energy"]) == (2, 2, -2, 4)
    assert (found["total_variation"], found["roughness"]) == (4, 2)
    assert math.isnan(found["decay_exponent"])
    assert math.isnan(found["decay_rate"])


def test_summary_is_medians_over_channels():
    k = torch.stack([torch.exp(-r * LAG) for r in (0.05, 0.1, 0.4)]).requires_grad_()
    found = summary(k)
    assert list(found) == list(measures(k))
    assert found["effective_length"] == 12
    assert (found["length_50"], found["length_99"]) == (4, 24)
    assert found["decay_rate"] == pytest.approx(0.1, rel=0.01)
    assert found["energy"] == pytest.approx(1 / (1 - math.exp(-0.2)), rel=1e-6)
    assert found["l1"] == pytest.approx(1 / (1 - math.exp(-0.1)), rel=1e-6)
    assert found["dc"] == found["l1"]
    assert all(isinstance(v, float) for v in found.values())


# ------------------------------------------------------------------ parameters as a function of L


def test_parameters_of_scales_grow_with_the_logarithm():
    spec = ModelSpec(
        mixers=(LongConv(kernel=KernelSpec(parameterization=Multiscale(size=8))),),
        width=32,
        depth=2,
    )
    found = parameters_by_length(spec, (64, 256, 1000, 1024, 16384))
    assert found == {
        n: 2 * 32 * 8 * s for n, s in ((64, 4), (256, 6), (1000, 8), (1024, 8), (16384, 12))
    }
    assert growth(found) == pytest.approx(math.log(3) / math.log(256))


def test_parameters_of_dense_taps_grow_as_the_length():
    found = parameters_by_length(preset("long-conv"), (64, 512))
    assert found == {64: 2 * 64 * 64, 512: 2 * 64 * 512}
    assert growth(found) == 1


def test_parameters_of_modes_and_of_networks_do_not_grow():
    for name in ("s4d", "hyena"):
        found = parameters_by_length(preset(name), (64, 4096))
        assert len(set(found.values())) == 1
        assert growth(found) == 0


@pytest.mark.parametrize("name", names())
def test_parameters_are_those_of_the_model_as_it_is_built(name):
    model = preset(name).build(Context(num_inputs=4, num_outputs=4, length=40))
    assert parameters_by_length(preset(name), (40,)) == {40: kernel_parameters(model)}
    assert kernel_parameters(model) <= model.num_parameters()


def test_growth_of_nothing_is_not_a_number():
    assert math.isnan(growth({64: 5}))
    assert math.isnan(growth({64: 0, 128: 0}))
