"""FlexConv's mask and RWKV's decay: their formulas, and what is trained of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from zoo.draws import Draws
from zoo.grid import Grid, KernelContext
from zoo.parameterizations.atoms import Atoms
from zoo.properties import Gaussian, Graded

D = 5


def window(decay: Gaussian | Graded, length: int = 33, copies: int = 1) -> tuple:
    context = KernelContext(copies * D, length, Draws(0), copies=copies)
    built = decay.build(context, Atoms()).double()
    grid = Grid(torch.ones(1, 1, dtype=torch.float64), length, length)
    return built, built(grid).detach()


@pytest.mark.parametrize("length", [1, 2, 33, 64])
def test_mask_is_a_gaussian_of_the_fraction(length: int) -> None:
    _, w = window(Gaussian(width=0.2), length)
    x = np.arange(length) / max(length - 1, 1)
    assert w.shape == (D, 1, length)
    np.testing.assert_allclose(w[0, 0], np.exp(-0.5 * (x / 0.2) ** 2), rtol=0, atol=1e-6)


def test_mask_means_the_same_at_any_length() -> None:
    _, short = window(Gaussian(width=0.2), 33)
    _, long = window(Gaussian(width=0.2), 65)
    torch.testing.assert_close(long[..., ::2], short)


def test_default_width_is_that_of_flexconv() -> None:
    """.075 where positions run over [-1, 1]."""
    _, w = window(Gaussian(), 101)
    place = np.linspace(1, -1, 101)  # the mask stands at +1, the current step
    np.testing.assert_allclose(w[0, 0], np.exp(-0.5 * ((place - 1) / 0.075) ** 2), atol=1e-6)


@pytest.mark.parametrize(("curve", "copies"), [(0.7, 1), (2.0, 2), (None, 1)])
def test_rates_are_graded_over_the_features(curve: float | None, copies: int) -> None:
    """time_decay = -5 + 8 (h/(d-1))^curve; w(l) = exp(-e^time_decay l)."""
    built, w = window(Graded(curve=curve), copies=copies)
    h = np.arange(D) / (D - 1)
    rate = np.exp(-5 + 8 * h ** (curve or 1.35))
    wanted = np.exp(-np.tile(rate, copies)[:, None] * np.arange(33))
    np.testing.assert_allclose(w[:, 0], wanted, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(built.rate[:, 0].detach(), np.tile(rate, copies), rtol=1e-5)


def test_one_feature_has_the_lowest_rate() -> None:
    built = Graded().build(KernelContext(1, 9, Draws(0)), Atoms())
    assert built.rate.item() == pytest.approx(math.exp(-5))


@pytest.mark.parametrize(("layer", "curve"), [(0, 0.7), (1, 1.35), (2, 2.0)])
def test_curve_of_a_layer(layer: int, curve: float) -> None:
    assert Graded().at_layer(layer, 3).curve == pytest.approx(curve)
    assert Graded(curve=1.0).at_layer(layer, 3).curve == 1.0


def test_one_layer_is_the_first() -> None:
    assert Graded().at_layer(0, 1).curve == 0.7


@pytest.mark.parametrize("decay", [Gaussian(), Graded()])
def test_what_is_learned_is_a_number_per_feature(decay: Gaussian | Graded) -> None:
    built, _ = window(decay)
    assert [p.shape for p in built.parameters()] == [(D, 1)]
    assert all(p.kernel_lr == 1e-3 for p in built.parameters())
    fixed, w = window(decay.model_copy(update={"learned": False}))
    assert not list(fixed.parameters())
    assert set(fixed.state_dict()) == set(built.state_dict())
    torch.testing.assert_close(w, window(decay)[1])


def test_rates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"low=4\.0 is above high=3\.0: lower low"):
        Graded(low=4.0)
