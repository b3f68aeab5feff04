"""SGConv's kernel: lengths, shares of energy, interpolation, powers of alpha."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.measure import effective_length, fitted_decay
from zoo.parameterizations import Multiscale
from zoo.parameterizations.multiscale import num_scales, stretch
from zoo.properties import OFF, NoDecay, NoGain, PerScale, RawGain
from zoo.spec import replace_all

KINDS = ("linear", "nearest", "cubic")


def build(channels, length, *, decay=None, gain=None, seed=0, **fields) -> Kernel:
    spec = KernelSpec(
        parameterization=Multiscale(**fields), decay=decay or NoDecay(), gain=gain or NoGain()
    )
    return spec.build(KernelContext(channels, length, Draws(seed)))


@pytest.mark.parametrize(
    ("length", "size", "start", "scales", "raw"),
    [
        (1024, 32, 0, 6, 1024),
        (16384, 64, 0, 9, 16384),
        (1000, 64, 0, 5, 1024),
        (4096, 2, 0, 12, 4096),
        (10, 64, 0, 1, 64),
        (64, 64, 0, 1, 64),
        (65, 64, 0, 2, 128),
        (1024, 32, 1, 5, 1024),
        (10, 4, 5, 1, 128),
    ],
)
def test_scales_parameters_and_raw_length(length, size, start, scales, raw):
    assert num_scales(length, size, start) == scales
    kernel = build(2, length, size=size, init_scale=start)
    assert sum(p.numel() for p in kernel.parameters()) == 2 * scales * size
    assert kernel.atoms.natural_length(length) == raw
    assert kernel.sample(raw).shape == (2, raw)
    assert kernel().shape == (2, length)


@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 8, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_stretching_is_pytorchs_interpolation(size, ratio):
    w = torch.randn(3, size, dtype=torch.float64)
    for mode in ("linear", "nearest"):
        extra = {"align_corners": False} if mode == "linear" else {}
        expected = torch.nn.functional.interpolate(w[None], size=size * ratio, mode=mode, **extra)[
            0
        ]
        torch.testing.assert_close(stretch(w, ratio, mode), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 8, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_cubic_stretching_is_pytorchs_in_one_row_of_a_picture(size, ratio):
    w = torch.randn(3, size, dtype=torch.float64)
    expected = torch.nn.functional.interpolate(
        w[:, None, None], scale_factor=(1, ratio), mode="bicubic", align_corners=False
    )[:, 0, 0]
    torch.testing.assert_close(stretch(w, ratio, "cubic"), expected, rtol=1e-13, atol=1e-13)


def test_interpolations_are_three_kernels():
    k = {kind: build(100, 64, size=8, interpolation=kind)().detach() for kind in KINDS}
    assert all(torch.equal(k["linear"][:, :16], k[kind][:, :16]) for kind in KINDS)
    assert len({tuple(v.flatten().tolist()) for v in k.values()}) == 3
    # A staircase has its jumps in few places: the same total variation, thrice the energy.
    jumps = {kind: float(v[:, 32:].diff(dim=-1).square().sum()) for kind, v in k.items()}
    assert 2 * jumps["linear"] < 2 * jumps["cubic"] < jumps["nearest"]


def test_one_number_per_scale_is_constant_per_scale():
    for interpolation in KINDS:
        k = build(2, 64, size=1, interpolation=interpolation)().detach()
        for low in (2, 4, 8, 16, 32):
            torch.testing.assert_close(k[:, low : 2 * low], k[:, low : low + 1].expand(2, low))


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_alpha_form_equals_the_released_form(interpolation):
    """alpha^i = m^(S-1-i) after division by the norm of the uncut kernel, alpha = 1/m."""
    kernel = build(
        3, 100, size=4, decay=PerScale(speed=1.5), gain=RawGain(), interpolation=interpolation
    )
    w = kernel.atoms.weights.detach().double()
    m, scales = 2**1.5, w.shape[1]
    pieces = []
    for i in range(scales):
        how = {"mode": interpolation}
        if interpolation == "linear":
            how["align_corners"] = False
        piece = torch.nn.functional.interpolate(w[:, i : i + 1], size=4 * 2 ** max(0, i - 1), **how)
        pieces.append(piece[:, 0] * m ** (scales - 1 - i))
    raw = torch.cat(pieces, -1)
    assert raw.shape[-1] == 128
    expected = (raw / raw.norm(dim=-1, keepdim=True))[:, :100]
    torch.testing.assert_close(kernel().detach().double(), expected, rtol=1e-5, atol=1e-7)
    assert float(kernel().detach().norm(dim=-1).max()) < 1  # truncated


def test_raw_gain_is_one_where_nothing_is_cut_and_stays_when_trained():
    kernel = build(5, 128, size=8, decay=PerScale(), gain=RawGain())
    torch.testing.assert_close(kernel().detach().norm(dim=-1), torch.ones(5))
    with torch.no_grad():
        kernel.atoms.weights.mul_(3)
    torch.testing.assert_close(kernel().detach().norm(dim=-1), torch.full((5,), 3.0))


def shares(interpolation: str) -> np.ndarray:
    kernel = build(4000, 1024, size=64, decay=PerScale(), interpolation=interpolation)
    energy = kernel().detach().double().square().mean(0)
    edges = [0, 64, 128, 256, 512, 1024]
    parts = np.array([float(energy[a:b].sum()) for a, b in pairwise(edges)])
    return parts / parts.sum()


def test_share_of_energy_of_each_scale():
    """e_0 = 1, e_i = 2^(i-1) alpha^(2i) for nearest; linear loses a third of the variance."""
    closed = np.array([1, *(2 ** (i - 1) * 0.25**i for i in range(1, 5))])
    np.testing.assert_allclose(shares("nearest"), closed / closed.sum(), rtol=0.01)
    linear = shares("linear")[:4]  # the published shares are of nine scales, so ratios compare
    np.testing.assert_allclose(
        linear / linear[0], np.array([0.709, 0.177, 0.056, 0.029]) / 0.709, rtol=0.03
    )


def test_a_nearest_kernel_one_scale_up_repeats_every_tap():
    fine = build(3, 64, size=4, interpolation="nearest")
    coarse = build(3, 128, size=4, interpolation="nearest", init_scale=1)
    assert fine.atoms.weights.shape == coarse.atoms.weights.shape
    with torch.no_grad():
        coarse.atoms.weights.copy_(fine.atoms.weights)
    assert torch.equal(coarse(), fine().repeat_interleave(2, -1))


@pytest.mark.parametrize(("speed", "expected", "gap"), [(0.0, 0.0, 0.05), (1.0, 1.0, 0.1)])
def test_envelope_slope_is_the_speed(speed, expected, gap):
    k = build(1000, 4096, size=1, decay=PerScale(speed=speed))().detach()
    rms = k.square().mean(0, keepdim=True).sqrt()  # the envelope over channels
    assert float(fitted_decay(rms)["decay_exponent"]) == pytest.approx(expected, abs=gap)


def test_effective_lengths_of_the_published_setting():
    """d = 64, alpha = 1/2, linear, L = 16384: 50/90/99 % of the energy at 46/160/1568."""
    k = build(256, 16384, size=64, decay=PerScale())().detach()
    for energy, expected in ((0.5, 46), (0.9, 160), (0.99, 1568)):
        measured = float(effective_length(k, energy).median())
        assert measured == pytest.approx(expected, rel=0.15), energy


def test_linear_in_the_weights_with_the_gain_fixed():
    kernel = build(2, 50, size=4, decay=PerScale(), gain=RawGain())
    first = kernel().detach()
    w, v = kernel.atoms.weights.detach().clone(), torch.randn_like(kernel.atoms.weights)

    def at(weights: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            kernel.atoms.weights.copy_(weights)
            return kernel()

    torch.testing.assert_close(at(2 * w - 3 * v), 2 * first - 3 * at(v), rtol=1e-4, atol=1e-5)


# summed scales


def released_sum(w: torch.Tensor, m: float, init_scale: int) -> torch.Tensor:
    """sum_i m^(S-1-i) interp(w_i, 2^(i+s)), left-aligned, over its norm."""
    scales, size = w.shape[1:]
    k = torch.zeros(w.shape[0], size << (scales - 1 + init_scale), dtype=w.dtype)
    for i in range(scales):
        length = size << (i + init_scale)
        k[:, :length] += m ** (scales - 1 - i) * torch.nn.functional.interpolate(
            w[:, i : i + 1], size=length, mode="linear", align_corners=False
        ).squeeze(1)
    return k / k.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("init_scale", [0, 1])
@pytest.mark.parametrize("length", [1, 2, 63, 64, 100])
def test_summed_scales_are_the_released_form(length, init_scale):
    kernel = build(
        3,
        length,
        size=4,
        layout="summed",
        init_scale=init_scale,
        decay=PerScale(speed=1.5),
        gain=RawGain(),
    )
    w = kernel.atoms.weights.detach().double()
    assert w.shape[1] == num_scales(length, 4, init_scale)
    expected = released_sum(w, 2**1.5, init_scale)
    assert kernel.atoms.natural_length(length) == expected.shape[-1] >= length
    torch.testing.assert_close(
        kernel().detach().double(), expected[:, :length], rtol=1e-5, atol=1e-6
    )


def test_decay_off_of_summed_scales_weighs_them_alike():
    spec = KernelSpec(
        parameterization=Multiscale(size=4, layout="summed"), decay=PerScale(speed=1.0)
    )
    context = KernelContext(3, 64, Draws(0))
    off = replace_all(spec, "decay", OFF["decay"]).build(context)
    w = off.atoms.weights.detach()
    expected = sum(
        torch.nn.functional.pad(stretch(w[:, i], 2**i, "linear"), (0, 64 - (4 << i)))
        for i in range(w.shape[1])
    )
    torch.testing.assert_close(off(), expected)
    assert not torch.allclose(off(), spec.build(context)(), rtol=0.1)


def test_parameterization_off_of_summed_scales_takes_each_scales_decay_along():
    """One sum cannot carry a window for each atom: the taps start at the decayed samples."""
    spec = KernelSpec(
        parameterization=Multiscale(size=4, layout="summed"), decay=PerScale(), gain=RawGain()
    )
    context = KernelContext(3, 50, Draws(0))
    off = replace_all(spec, "parameterization", OFF["parameterization"])
    torch.testing.assert_close(off.build(context)(), spec.build(context)())
    both = replace_all(off, "decay", OFF["decay"]).build(context)
    other = replace_all(
        replace_all(spec, "decay", OFF["decay"]), "parameterization", OFF["parameterization"]
    ).build(context)
    assert torch.equal(both(), other())


def test_a_named_scale_is_a_staircase_on_summed_scales_too():
    fields = {"size": 4, "layout": "summed"}
    stairs, flat = (build(2, 64, decay=d, **fields)() for d in (PerScale(size=8), NoDecay()))
    torch.testing.assert_close(stairs[:, :8], flat[:, :8])
    torch.testing.assert_close(stairs[:, 8:16], flat[:, 8:16] / 2)


# cosine start


def test_cosines_are_one_of_each_feature_at_every_scale_in_another_order():
    atoms = build(16, 512, size=8, init="cosine").atoms
    w = atoms.weights.detach().double().numpy()
    x = np.linspace(0, 1, 8)
    expected = np.cos(2 * np.pi * np.arange(16)[:, None] * x)
    orders = set()
    for i in range(w.shape[1]):
        gap = np.abs(w[:, i][:, None] - expected[None]).max(-1)
        assert gap.min(1).max() < 1e-5  # every feature has a cosine
        assert gap.min(0).max() < 1e-5  # every cosine a feature
        orders.add(tuple(np.argsort(w[:, i, 1] + 1e-3 * w[:, i, 2])))
    assert len(orders) == w.shape[1] == 7


def test_cosines_are_the_same_in_each_direction():
    spec = KernelSpec(parameterization=Multiscale(size=8, init="cosine"))
    one, two = spec.build(KernelContext(12, 64, Draws(0), copies=2))().chunk(2)
    assert torch.equal(one, two)
    assert not torch.equal(one, spec.build(KernelContext(6, 64, Draws(1)))())


@pytest.mark.parametrize("layout", ["concatenated", "summed"])
@pytest.mark.parametrize("interpolation", KINDS)
def test_scales_are_dense_taps_under_a_linear_constraint(layout, interpolation):
    """k = W w with one fixed W (L, S d) for all channels: SGConv is LongConv confined."""
    kernel = build(
        3, 64, size=4, layout=layout, interpolation=interpolation, decay=PerScale()
    ).double()
    shape = kernel.atoms.weights.shape[1:]
    basis = torch.eye(shape.numel(), dtype=torch.float64).view(-1, *shape)
    w = kernel.atoms.weights.detach().flatten(1)
    expected = kernel().detach()
    kernel.atoms.weights.data = basis
    constraint = kernel().detach()  # (S d, L)
    assert constraint.shape == (shape.numel(), 64)
    torch.testing.assert_close(w @ constraint, expected, rtol=1e-12, atol=1e-12)
    if layout == "concatenated":  # one above the other they can say the same
        assert int(torch.linalg.matrix_rank(constraint)) == shape.numel()
