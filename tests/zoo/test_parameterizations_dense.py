"""Free taps and their initial laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.parameterizations import Dense, Modes, Multiscale


def build(channels: int, length: int, **fields) -> Kernel:
    spec = KernelSpec(parameterization=Dense(**fields))
    return spec.build(KernelContext(channels, length, Draws(0)))


def test_normal_taps_have_the_given_deviation():
    k = build(64, 1000, std=0.002)().detach()
    assert float(k.std()) == pytest.approx(0.002, rel=0.02)
    assert k.shape == (64, 1000)


def test_geometric_envelope_is_the_closed_form():
    """exp(-(t/L) (H/2)^(h/H)), h from 0: rates from 1 to about H/2, 1.00 to 125.6 at H = 256."""
    width, length = 256, 50
    ratio = (build(width, length, init="geometric")() / build(width, length)()).detach().numpy()
    h = np.arange(width)[:, None]
    expected = np.exp(-(np.arange(length) / length) * (width // 2) ** (h / width))
    np.testing.assert_allclose(ratio, expected, rtol=1e-5, atol=1e-30)
    rates = -np.log(expected[:, 1]) * length
    assert rates[0] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(125.6, rel=1e-3)


def test_one_number_per_tap():
    kernel = build(3, 77)
    assert [tuple(p.shape) for p in kernel.parameters()] == [(3, 77)]
    (grad,) = torch.autograd.grad(kernel().sum(), kernel.atoms.taps)
    assert torch.equal(grad, torch.ones(3, 77))


def test_replacing_takes_a_baseline_once():
    off = Dense(init="baseline")
    over_modes = off.replacing(Modes())
    assert over_modes == Dense(init="baseline", baseline=Modes())
    assert over_modes.has_poles
    assert not off.replacing(Multiscale()).has_poles
    assert off.replacing(over_modes) == over_modes  # already off
    assert Dense().replacing(Modes()) == Dense()  # named by the user: its own initial law


def test_the_taps_follow_the_draws_of_the_baseline():
    """The taps come from the baseline's own draws, not from the draws of dense taps."""
    spec = KernelSpec(parameterization=Dense(init="baseline", baseline=Multiscale(size=2)))
    one = spec.build(KernelContext(2, 16, Draws(0)))()
    two = spec.build(KernelContext(2, 16, Draws(1)))()
    scales = KernelSpec(parameterization=Multiscale(size=2))
    assert torch.equal(one, scales.build(KernelContext(2, 16, Draws(0)))())
    assert not torch.equal(one, two)
