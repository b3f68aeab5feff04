"""Measures on kernels whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo.measure import (
    effective_length,
    fitted_decay,
    norms,
    roughness,
    summary,
    treatment_strength,
)

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


def test_summary_is_medians_over_channels():
    k = torch.stack([torch.exp(-r * LAG) for r in (0.05, 0.1, 0.4)]).requires_grad_()
    found = summary(k)
    assert set(found) == {
        "effective_length",
        "roughness",
        "decay_exponent",
        "decay_rate",
        "energy",
    }
    assert found["effective_length"] == 12
    assert found["decay_rate"] == pytest.approx(0.1, rel=0.01)
    assert found["energy"] == pytest.approx(1 / (1 - math.exp(-0.2)), rel=1e-6)
    assert all(isinstance(v, float) for v in found.values())
