"""Windows: closed forms in time, in the unit that each decay names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo.draws import Draws
from zoo.grid import KernelContext, Window
from zoo.kernel import KernelSpec
from zoo.parameterizations import Dense, Modes, Multiscale, Parameterization
from zoo.properties import (
    Decay,
    Exponential,
    Full,
    Length,
    NoDecay,
    PerMode,
    PerScale,
    PowerLaw,
    Taps,
)


def window(
    decay: Decay,
    channels: int,
    length: int,
    atoms: Parameterization | None = None,
    times: Length | None = None,
) -> tuple[Window, np.ndarray]:
    """The window module, and its values (D | 1, N | 1, L)."""
    atoms, times = atoms or Dense(), times or Full()
    spec = KernelSpec(parameterization=atoms, decay=decay, length=times)
    kernel = spec.build(KernelContext(channels, length, Draws(0))).double()
    return kernel.window, kernel.window(kernel.times(length)).detach().numpy()


def test_no_decay_is_flat_with_zero_rates():
    module, w = window(NoDecay(), 3, 9)
    assert w.shape == (1, 1, 9)
    assert (w == 1).all()
    assert torch.equal(module.rate, torch.zeros(1, 1, dtype=torch.float64))
    assert module.damping == 0


def test_exponential_rates_and_endpoints():
    """|delta| from ln(100)/1.5 = 3.070 to ln(100)/0.3 = 15.351, linearly over the channels."""
    module, w = window(Exponential(), 5, 3001)
    rates = module.rate[:, 0].numpy()
    np.testing.assert_allclose(
        rates, np.linspace(math.log(100) / 1.5, math.log(100) / 0.3, 5), 1e-6
    )
    assert rates[[0, -1]] == pytest.approx([3.070, 15.351], rel=1e-3)
    assert w[-1, 0, 900] == pytest.approx(0.01, rel=1e-4)  # fastest: target at 0.3 of the length
    assert w[0, 0, -1] == pytest.approx(0.0464, rel=1e-3)  # slowest at the end
    assert w[-1, 0, -1] == pytest.approx(2.15e-7, rel=1e-2)
    assert w[:, 0, 0] == pytest.approx(np.ones(5))


def test_exponential_is_per_sequence():
    _, short = window(Exponential(), 4, 11)
    _, long = window(Exponential(), 4, 101)
    np.testing.assert_allclose(long[..., ::10], short, rtol=1e-6)


def test_exponential_has_a_floor_and_may_be_learned():
    _, plain = window(Exponential(), 3, 50)
    _, raised = window(Exponential(shift=0.25), 3, 50)
    np.testing.assert_allclose(raised, plain + 0.25, rtol=1e-12)
    fixed, _ = window(Exponential(), 3, 50)
    learned, same = window(Exponential(learned=True, kernel_lr=5e-4), 3, 50)
    assert not list(fixed.parameters())
    (rate,) = learned.parameters()
    assert rate.kernel_lr == 5e-4
    np.testing.assert_allclose(same, plain, rtol=1e-6)


@pytest.mark.parametrize("length", [1, 7, 16, 17, 100])
@pytest.mark.parametrize("size", [1, 3, 16])
def test_per_scale_is_the_staircase_of_the_scales(size, length):
    _, w = window(PerScale(speed=0.75, size=size), 2, length)
    alpha = 2**-0.75
    expected, scale, end = [], 0, size
    for lag in range(length):
        if lag >= end:
            scale, end = scale + 1, end * 2
        expected.append(alpha**scale)
    np.testing.assert_allclose(w[0, 0], expected, rtol=1e-12)


def test_per_scale_steps_where_the_scales_of_the_atoms_do():
    """On SGConv it is alpha^i of each piece; elsewhere the same function of time."""
    atoms = Multiscale(size=4, init_scale=1)
    module, w = window(PerScale(), 2, 100, atoms)
    assert module.size == 8
    assert [int(i) for i in np.flatnonzero(np.diff(w[0, 0])) + 1] == [8, 16, 32, 64]
    assert window(PerScale(), 2, 100)[0].size == 16
    _, dense = window(PerScale(size=8), 2, 100)
    np.testing.assert_array_equal(w, dense)


def test_graded_speeds_have_evenly_spaced_multipliers():
    """Path-X of SGConv: m = linspace(1, 3, H), alpha = 1/m; the same features in each direction."""
    module, w = window(PerScale(speed=0.0, fastest=math.log2(3), size=4), 5, 40)
    scale = np.floor(np.log2(np.maximum(np.arange(40) / 4, 0.5))) + 1
    expected = np.linspace(1, 3, 5)[:, None] ** -scale
    np.testing.assert_allclose(w[:, 0], expected, rtol=1e-6)
    assert [n for n, _ in module.named_buffers() if n in module.state_dict()] == ["speeds"]
    spec = KernelSpec(decay=PerScale(speed=0.5, fastest=2.0))
    both = spec.build(KernelContext(6, 40, Draws(0), copies=2)).window
    assert torch.equal(both.speeds[:3], both.speeds[3:])
    assert both.speeds.flatten().tolist()[:3:2] == pytest.approx([0.5, 2.0])


def test_equal_speeds_are_one_speed():
    _, graded = window(PerScale(speed=0.75, fastest=0.75), 3, 100)
    _, one = window(PerScale(speed=0.75), 3, 100)
    np.testing.assert_allclose(graded, np.broadcast_to(one, graded.shape), rtol=1e-6)
    with pytest.raises(ValueError, match=r"fastest=0\.5 is below speed=1\.0: lower speed"):
        PerScale(fastest=0.5)


def test_summed_scales_have_a_power_each():
    """alpha^i on all the steps that scale i covers, which are all of its taps."""
    module, w = window(PerScale(speed=1.5), 2, 30, Multiscale(size=4, layout="summed"))
    assert module.per_atom
    assert w.shape == (1, 4, 30)
    np.testing.assert_allclose(w[0], (2**-1.5) ** np.arange(4)[:, None] * np.ones(30))


def test_power_law_is_in_steps():
    _, w = window(PowerLaw(exponent=0.5), 2, 50, times=Full(time="sequence"))
    np.testing.assert_allclose(w[0, 0], (1 + np.arange(50)) ** -0.5, rtol=1e-12)


def test_learned_power_law_draws_one_exponent_per_channel():
    module, w = window(PowerLaw(learned=True, low=0.2, high=0.8), 400, 9)
    (exponent,) = module.parameters()
    assert exponent.shape == (400, 1)
    assert exponent.kernel_lr == 1e-3
    a = exponent.detach().numpy()
    assert 0.2 <= a.min() < 0.25
    assert 0.75 < a.max() <= 0.8
    np.testing.assert_allclose(w[:, 0], (1 + np.arange(9)) ** -a, rtol=1e-12)


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("drawn", [True, False])
def test_power_law_per_feature_or_one_trained_or_fixed(learned, drawn):
    module, w = window(PowerLaw(exponent=0.7, learned=learned, drawn=drawn), 50, 9)
    assert len(list(module.parameters())) == int(learned)
    assert module.exponent.shape == ((50, 1) if learned or drawn else (1, 1))
    assert (float(module.exponent.detach().std(correction=0)) > 0.1) == drawn
    if not drawn:
        np.testing.assert_allclose(w[0, 0], (1 + np.arange(9)) ** -0.7, rtol=1e-6)


@pytest.mark.parametrize(
    ("init", "expected"), [("constant", [0.25, 0.25, 0.25]), ("linear", [1.0, 2.0, 3.0])]
)
def test_per_mode_rates_are_per_unit_of_time_and_native(init, expected):
    times = Taps(taps=2, time="sequence")
    module, w = window(PerMode(init=init, rate=0.25), 2, 11, Modes(num_modes=3), times)
    assert module.damping == 1
    np.testing.assert_allclose(module.rate.detach().numpy(), [expected] * 2, rtol=1e-6)
    t = np.arange(11) / 10
    np.testing.assert_allclose(w[1], np.exp(-np.array(expected)[:, None] * t), rtol=1e-6)


def test_ema_rates_follow_the_law_of_two_sigmoids():
    module, _ = window(PerMode(init="ema"), 500, 2, Modes(num_modes=16))
    kept = 1 - np.exp(-module.rate.detach().numpy())  # p a, both sigmoid(N(0, .2)): mean 1/4
    assert kept.mean() == pytest.approx(0.25, abs=0.005)
    assert kept.std() == pytest.approx(0.2 * 0.25 * math.sqrt(2) * 0.5, rel=0.1)


def test_rates_are_tensors_everywhere():
    for cls in Decay.choices().values():
        module, w = window(cls(), 3, 9, Modes(num_modes=2))
        assert module.rate.dim() == 2
        assert module.damping in (0.0, 1.0)
        assert (module.damping == 1.0) == cls().needs_poles
        assert w.ndim == 3
        assert w[..., 0] == pytest.approx(np.ones(w.shape[:2]))
