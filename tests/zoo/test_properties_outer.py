"""Length, smoothness, regularization and gain, each against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import erfc

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import KernelSpec
from zoo.mixers import LayerContext, LongConv
from zoo.model import ModelSpec
from zoo.parameterizations import Dense, Multiscale
from zoo.properties import (
    OFF,
    Full,
    InitGain,
    KernelDropout,
    MovingAverage,
    NoGain,
    RawGain,
    Squash,
    Taps,
)
from zoo.spec import Context

CONTEXT = KernelContext(4, 30, Draws(0))


def noise(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng().standard_normal(shape) * scale)


# length


def test_units_of_time():
    def step(**fields) -> torch.Tensor:
        return Full(**fields).build(CONTEXT)(30).step.detach()

    assert torch.equal(step(), torch.ones(1, 1))
    torch.testing.assert_close(step(time="sequence"), torch.full((1, 1), 1 / 29))
    learned = step(time="learned", dt_min=0.01, dt_max=0.02)
    assert learned.shape == (4, 1)
    assert float(learned.min()) >= 0.01
    assert float(learned.max()) <= 0.02


def test_one_step_has_a_unit_of_time():
    one = KernelContext(2, 1, Draws(0))
    assert torch.isfinite(Full(time="sequence").build(one)(1).t).all()


def test_a_learned_step_is_log_uniform():
    wide = KernelContext(4000, 2, Draws(0))
    log_dt = Full(time="learned", dt_min=1e-3, dt_max=1e-1).build(wide).log_dt.detach()
    share = float((log_dt < math.log(1e-2)).double().mean())
    assert share == pytest.approx(0.5, abs=0.03)


def test_taps_keep_the_unit_and_never_grow():
    old = Full(time="learned", dt_min=0.01, dt_max=0.2, kernel_lr=None)
    new = OFF["length"].replacing(old)
    assert new == Taps(taps=4, time="learned", dt_min=0.01, dt_max=0.2, kernel_lr=None)
    assert OFF["length"].replacing(Taps(taps=2)) == Taps(taps=2)
    assert OFF["length"].replacing(Taps(taps=9)).taps == 4
    assert Taps(time="step").replacing(old).time == "step"  # told one


# smoothness


@pytest.mark.parametrize("radius", [1, 2, 3, 10])
@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_moving_average_is_a_zero_padded_box(length, radius):
    k = noise(3, length)
    found = MovingAverage(radius=radius).build(CONTEXT)(k).numpy()
    padded = np.pad(k.numpy(), ((0, 0), (radius, radius)))
    width = 2 * radius + 1
    expected = np.stack([padded[:, t : t + width].sum(-1) / width for t in range(length)], -1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_moving_average_attenuates_the_first_taps():
    smooth = MovingAverage(radius=3).build(CONTEXT)(torch.ones(1, 20, dtype=torch.float64))
    np.testing.assert_allclose(smooth[0, :4], [4 / 7, 5 / 7, 6 / 7, 1])


def test_moving_average_has_the_dirichlet_response():
    """sin(W w / 2) / (W sin(w / 2)), W = 2 p + 1."""
    length, radius = 256, 5
    impulse = torch.zeros(1, length, dtype=torch.float64)
    impulse[0, length // 2] = 1
    smooth = MovingAverage(radius=radius).build(CONTEXT)(impulse)[0].numpy()
    response = np.fft.fft(np.roll(smooth, -length // 2))
    w, width = 2 * np.pi * np.arange(1, length) / length, 2 * radius + 1
    expected = np.sin(width * w / 2) / (width * np.sin(w / 2))
    np.testing.assert_allclose(response[1:], expected, atol=1e-14)
    assert response[0] == pytest.approx(1)


# regularization


def squash(threshold: float, k: torch.Tensor) -> torch.Tensor:
    return Squash(threshold=threshold).build(CONTEXT)(k)


def test_squash_is_the_proximal_map_of_the_absolute_value():
    """argmin_x |x - k|^2 / 2 + threshold |x|, by search on a grid."""
    k = noise(50)
    grid = np.linspace(-5, 5, 50_001)
    cost = (grid - k.numpy()[:, None]) ** 2 / 2 + 0.3 * np.abs(grid)
    np.testing.assert_allclose(squash(0.3, k), grid[cost.argmin(-1)], atol=2e-4)


def test_squash_is_non_expansive_bounded_in_frequency_and_neutral_at_zero():
    a, b = noise(5, 100), noise(5, 100)
    assert torch.equal(squash(0.0, a), a)
    assert (squash(0.2, a) - squash(0.2, b)).norm() <= (a - b).norm()
    moved = torch.fft.fft(squash(0.2, a) - a).abs().max()
    assert float(moved) <= 0.2 * 100


@pytest.mark.parametrize("threshold", [0.001, 0.002, 0.003])
def test_share_of_surviving_taps(threshold):
    """erfc(threshold / (std sqrt 2)) of normal taps: 61.7, 31.7, 13.4 % at std .002."""
    survivors = float((squash(threshold, noise(200_000, scale=0.002)) != 0).double().mean())
    assert survivors == pytest.approx(erfc(threshold / (0.002 * math.sqrt(2))), abs=0.005)


def test_squash_has_no_gradient_where_it_is_zero():
    k = noise(1000).requires_grad_()
    squash(0.5, k).sum().backward()
    assert torch.equal(k.grad, (k.detach().abs() > 0.5).double())


def test_kernel_dropout_is_off_unless_it_trains_and_keeps_the_mean():
    drop = KernelDropout(p=0.3).build(CONTEXT)
    k = noise(40, 5000).abs()
    torch.manual_seed(0)
    dropped = drop(k)
    alive = dropped != 0
    torch.testing.assert_close(dropped[alive], k[alive] / 0.7)
    assert float(alive.double().mean()) == pytest.approx(0.7, abs=0.01)
    assert torch.equal(drop.eval()(k), k)


def test_kernel_dropout_draws_once_a_step_for_the_whole_batch():
    spec = LongConv(
        kernel=KernelSpec(parameterization=Dense(std=1.0), regularization=KernelDropout(p=0.5)),
        activation="none",
    )
    mixer = spec.build(LayerContext(width=4, length=30, draws=Draws(0)))
    u = noise(1, 30, 4).float().expand(3, -1, -1)
    first, second = mixer(u), mixer(u)
    torch.testing.assert_close(first[0], first[2])
    assert not torch.allclose(first, second)


def test_kernel_dropout_moves_neither_the_gain_nor_what_is_measured():
    fields = {"parameterization": Dense(std=1.0), "gain": InitGain()}
    plain = KernelSpec(**fields).build(CONTEXT)
    dropped = KernelSpec(**fields, regularization=KernelDropout(p=0.5)).build(CONTEXT)
    assert dropped.training
    assert dropped.regularize.training
    assert torch.equal(dropped.whole(), plain.whole())
    assert dropped.regularize.training
    assert not torch.equal(dropped(), dropped())
    model = ModelSpec(mixers=(LongConv(kernel=KernelSpec(regularization=KernelDropout())),))
    built = model.build(Context(num_inputs=3, num_outputs=3, length=30))
    for a, b in zip(built.kernels().values(), built.kernels().values(), strict=True):
        assert torch.equal(a, b)
    assert built.training


def test_regularizations_are_applied_in_order():
    """Of p = 1/2: dropout(squash(k)) is 2 (|k| - lambda), squash(dropout(k)) is 2 |k| - lambda."""
    k, half = noise(100, 100), KernelDropout(p=0.5)
    torch.manual_seed(1)
    after = half.build(CONTEXT)(squash(0.5, k))
    torch.manual_seed(1)
    before = squash(0.5, half.build(CONTEXT)(k))
    alive = (after != 0) & (before != 0)
    torch.testing.assert_close(after[alive].abs(), 2 * (k[alive].abs() - 0.5))
    torch.testing.assert_close(before[alive].abs(), 2 * k[alive].abs() - 0.5)
    spec = KernelSpec(parameterization=Dense(std=1.0), regularization=(Squash(threshold=0.5), half))
    kernel, bare = (s.build(CONTEXT) for s in (spec, KernelSpec(parameterization=Dense(std=1.0))))
    torch.manual_seed(1)
    whole, found = bare().detach(), kernel().detach()
    alive = found != 0
    torch.testing.assert_close(found[alive].abs(), 2 * (whole[alive].abs() - 0.5))


# gain


@pytest.mark.parametrize("gain", [InitGain(), RawGain(), NoGain()])
def test_gain_is_frozen_and_per_channel(gain):
    spec = KernelSpec(
        parameterization=Multiscale(size=4), length=Taps(taps=10), gain=gain, smoothness="none"
    )
    kernel, bare = spec.build(CONTEXT), spec.model_copy(update={"gain": NoGain()}).build(CONTEXT)
    full = spec.model_copy(update={"gain": NoGain(), "length": Full()}).build(CONTEXT)
    cut, uncut = bare().detach(), full.sample(32).detach()
    assert torch.equal(cut, uncut[:, :10])
    norm = {"init": cut, "raw": uncut, "none": torch.ones(4, 1)}[gain.kind].norm(
        dim=-1, keepdim=True
    )
    torch.testing.assert_close(kernel().detach(), cut / norm)
    with torch.no_grad():
        kernel.atoms.weights.mul_(2)
    torch.testing.assert_close(kernel().detach(), 2 * cut / norm)
    assert not [n for n, _ in kernel.named_parameters() if "gain" in n]


def test_raw_gain_counts_the_taps_beyond_the_sequence():
    """30 steps need 32 taps of SGConv: its norm is that of all 32."""
    kernel = KernelSpec(parameterization=Multiscale(size=4), gain=RawGain()).build(CONTEXT)
    assert kernel.atoms.natural_length(30) == 32
    whole = kernel.gain(kernel.sample(32)).detach()
    torch.testing.assert_close(whole.norm(dim=-1), torch.ones(4))
    assert float(kernel().detach().norm(dim=-1).max()) < 1


def test_a_kernel_of_zeros_keeps_its_scale():
    spec = KernelSpec(parameterization=Dense(std=0.0), regularization=Squash(), gain=InitGain())
    kernel = spec.build(CONTEXT)
    assert torch.equal(kernel(), torch.zeros(4, 30))
    with torch.no_grad():
        kernel.atoms.taps.fill_(1.0)
    torch.testing.assert_close(kernel().detach(), torch.full((4, 30), 0.999))
