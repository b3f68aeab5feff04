"""S4 against dense matrices, recurrences and itself (T3.1 to T3.10), in double precision."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.conv import fft_conv
from zoo.draws import Draws
from zoo.generate import recurrence, run
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.measure import effective_length, roughness
from zoo.parameterizations import Dplr, Modes, cauchy, low_rank
from zoo.parameterizations.cauchy import pole_sums
from zoo.parameterizations.low_rank import LowRankSystem
from zoo.parameterizations.recurrence import LowRank
from zoo.presets import preset
from zoo.properties import Exponential, Full, NoDecay, PerMode, Taps
from zoo.spec import Context, replace_at

NATIVE = PerMode(init="native")
LENGTHS = [1, 2, 63, 500]


def build(channels: int, length: int, *, decay=NATIVE, dt=(1e-3, 1e-1), seed=0, **fields) -> Kernel:
    spec = KernelSpec(
        parameterization=Dplr(**{"num_modes": 8, **fields}),
        decay=decay,
        length=Full(time="learned", dt_min=dt[0], dt_max=dt[1]),
    )
    return spec.build(KernelContext(channels, length, Draws(seed)))


def system(kernel: Kernel) -> LowRankSystem:
    return kernel.atoms.system(kernel.times(kernel.length), kernel.window)


def powers(system: LowRankSystem, length: int) -> np.ndarray:
    """C Abar^l Bbar by dense matrices of all poles, which numpy makes again: (D, L)."""
    lam, b, c = (
        torch.cat([x, x.conj()], -1).detach().numpy() for x in (system.poles, system.b, system.c)
    )
    p = torch.cat([system.p, system.p.conj()], -1).detach().numpy()
    out = np.zeros((len(lam), length))
    for d, step in enumerate(system.step[:, 0].tolist()):
        a = np.diag(lam[d]) - sum(np.outer(v, v.conj()) for v in p[d])
        implicit = np.linalg.inv(np.eye(len(a)) - step / 2 * a)
        x = implicit @ (step * b[d])
        for k in range(length):
            out[d, k] = (c[d] @ x).real
            x = implicit @ (x + step / 2 * a @ x)
    return out


def close(found: Tensor, expected: np.ndarray, error: float) -> None:
    assert found.shape == expected.shape
    scale = np.abs(expected).max(-1, keepdims=True)
    assert (np.abs(found.detach().numpy() - expected) / scale).max() < error


def drawn(rank: int, channels: int = 3, num: int = 5, dt: float = 0.1) -> LowRankSystem:
    """A random stable system."""
    draws = Draws(9, f"{rank}")

    def white(name: str, *shape: int) -> Tensor:
        return torch.view_as_complex(draws.normal(name, *shape, 2).double())

    poles = torch.complex(
        -draws.uniform("rate", channels, num).double() - 0.05,
        5 * draws.normal("omega", channels, num).double(),
    )
    step = torch.full((channels, 1), dt, dtype=torch.float64)
    shape = (channels, num)
    return LowRankSystem(
        poles, white("b", *shape), white("c", *shape), white("p", channels, rank, num), step
    )


# T3.1: the kernel


@pytest.mark.parametrize("hippo", ["legs", "fout", "legt", "lagt"])
@pytest.mark.parametrize("length", LENGTHS)
def test_kernel_is_that_of_dense_powers(hippo, length):
    for dt in (1e-4, 1e-1):
        kernel = build(2, length, hippo=hippo, dt=(dt, dt)).double()
        close(kernel(), powers(system(kernel), length), 1e-9)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("length", LENGTHS)
def test_of_any_rank_with_c_and_with_c_tilde(rank, length):
    sys = drawn(rank)
    expected = powers(sys, length)
    close(low_rank.kernel(sys, length), expected, 1e-9)
    close(low_rank.truncated_kernel(low_rank.truncate(sys, length), length), expected, 1e-10)


@pytest.mark.parametrize(("hippo", "error"), [("legs", 2e-6), ("legt", 1e-5), ("fout", 1e-4)])
def test_single_precision(hippo, error):
    for output in ("c", "c-tilde"):
        kernel = build(2, 1024, hippo=hippo, num_modes=32, dt=(0.01, 0.01), output=output)
        single = kernel()
        assert single.dtype == torch.float32
        # What remains is the rounding of dt, which both have, and that of the transform.
        close(single, kernel.double()().detach().numpy(), error if output == "c-tilde" else 5e-6)


def test_omitting_c_tilde_would_alias():
    """The truncated form with C itself is another kernel where Abar^L is not small."""
    sys = drawn(1, dt=0.01)
    expected = powers(sys, 40)
    wrong = low_rank.truncated_kernel(sys, 40).numpy()
    assert (np.abs(wrong - expected) / np.abs(expected).max()).max() > 0.05


def test_nyquist_and_the_lowest_frequency_are_not_singular():
    """A pole at 0 (FouT), and the node w = -1 of an even length."""
    for length in (7, 8):
        kernel = build(2, length, hippo="fout", output="c-tilde").double()
        assert float(system(kernel).poles.detach().abs().min()) == pytest.approx(1e-4)
        assert kernel().isfinite().all()


# T3.2: convolution = dense = step


@pytest.mark.parametrize("output", ["c", "c-tilde"])
@pytest.mark.parametrize("hippo", ["legs", "fout", "legt"])
@pytest.mark.parametrize("decay", [NATIVE, NoDecay()])
def test_a_step_at_a_time_is_the_convolution(output, hippo, decay):
    kernel = build(3, 63, hippo=hippo, output=output, decay=decay, dt=(0.01, 0.5)).double()
    u = Draws(1).normal("u", 2, 63, 3).double()
    _, y = run(recurrence(kernel), u)
    expected = fft_conv(u.mT, kernel()).mT
    torch.testing.assert_close(
        y, expected, rtol=0, atol=1e-9 * float(expected.detach().abs().max())
    )


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_a_step_is_the_dense_step(rank):
    sys = drawn(rank)
    abar, bbar, c = low_rank.dense(sys)
    step = LowRank(sys)
    x = torch.randn(4, 3, 5, dtype=torch.complex128)
    u = torch.randn(4, 3, dtype=torch.float64)
    state, y = step.step(x, u)
    dense = (abar @ low_rank.both(x)[..., None])[..., 0] + bbar * u[..., None]
    torch.testing.assert_close(low_rank.both(state), dense, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(y, (c * dense).sum(-1).real, rtol=1e-12, atol=1e-12)


# T3.3, T3.4: C~


def test_doubling():
    sys = drawn(1, dt=0.02)
    twice = low_rank.double(low_rank.truncate(sys, 20), 20)
    torch.testing.assert_close(twice.c, low_rank.truncate(sys, 40).c, rtol=1e-12, atol=1e-13)
    kernel = build(2, 20, output="c-tilde").double()
    close(kernel.sample(70), powers(low_rank.untruncate(system(kernel), 20), 70), 1e-9)


def test_c_comes_back_from_c_tilde():
    sys = drawn(2, dt=0.02)
    again = low_rank.untruncate(low_rank.truncate(sys, 33), 33)
    torch.testing.assert_close(again.c, sys.c, rtol=1e-10, atol=1e-11)


def test_both_outputs_start_at_the_same_kernel():
    plain, tilde = (build(3, 50, output=output) for output in ("c", "c-tilde"))
    assert not torch.allclose(plain.atoms.c, tilde.atoms.c)
    torch.testing.assert_close(tilde(), plain(), rtol=0, atol=1e-6)
    tilde.settle(KernelSpec().gain)  # not truncated a second time
    torch.testing.assert_close(tilde(), plain(), rtol=0, atol=1e-6)


# T3.5: a sequence in two parts


def test_a_state_goes_on_as_a_kernel():
    """B <- (I + dt/2 A) x/dt makes the kernel C Abar^(k+1) x: what a past still says."""
    kernel = build(2, 64, dt=(0.02, 0.2)).double()
    u = Draws(2).normal("u", 1, 64, 2).double()
    whole = fft_conv(u.mT, kernel()).mT.detach()
    state, first = run(recurrence(kernel), u[:, :32])
    torch.testing.assert_close(first, whole[:, :32], rtol=0, atol=1e-8)
    sys = system(kernel)
    x, p = state[0], sys.p[:, 0]
    meet = 2 * (p.conj() * x).sum(-1, keepdim=True).real
    b = (x + sys.step / 2 * (sys.poles * x - p * meet)) / sys.step
    past = low_rank.kernel(replace(sys, b=b), 32)
    second = fft_conv(u[:, 32:].mT, kernel()[:, :32]).mT + past.mT
    torch.testing.assert_close(second.detach(), whole[:, 32:], rtol=0, atol=1e-8)
    _, again = run(recurrence(kernel), u[:, 32:], state)
    torch.testing.assert_close(again, whole[:, 32:], rtol=0, atol=1e-8)


# T3.6: gradients


@pytest.mark.parametrize("form", ["kernel", "truncated_kernel"])
@pytest.mark.parametrize("length", [1, 16])
def test_gradients(form, length):
    sys = drawn(1, channels=1, num=4)
    parts = [sys.poles, sys.b, sys.c, sys.p, sys.step]
    inputs = [x.clone().requires_grad_() for x in parts]
    assert torch.autograd.gradcheck(
        lambda *x: getattr(low_rank, form)(LowRankSystem(*x), length), inputs, atol=1e-6
    )


def plain_sums(v: Tensor, poles: Tensor, s: Tensor, h: Tensor) -> Tensor:
    """The twin of pole_sums: term by term."""
    lam = poles.view(len(poles), *[1] * (v.dim() - 2), -1, 1)
    node, x = s.view(len(s), *[1] * (v.dim() - 1), -1), v[..., None]
    return (x / (node - h * lam) + x.conj() / (node - h * lam.conj())).sum(-2)


@pytest.mark.parametrize("block", [1, 24, 2**20])
def test_pole_sums_are_the_plain_sums_and_so_are_all_their_gradients(block, monkeypatch):
    monkeypatch.setattr(cauchy, "BLOCK", block)
    sys, (gap, h) = drawn(1), low_rank.circle(13, -0.1, torch.device("cpu"))
    v = torch.stack([sys.b, sys.c, sys.b * sys.c, sys.p[:, 0]], 1).unflatten(1, (2, 2))
    inputs = [x.clone().requires_grad_() for x in (v, sys.poles, sys.step)]
    weight = torch.randn(3, 2, 2, 7, dtype=torch.complex128)
    results = []
    for f in (pole_sums, plain_sums):
        y = f(inputs[0], inputs[1], gap / inputs[2], h)
        loss = (y * weight).real.sum() + y.abs().square().sum()
        first = torch.autograd.grad(loss, inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.abs().square().sum() for g in first), inputs)
        results.append((y, *first, *second))
    for fast, plain in zip(*results, strict=True):
        scale = float(plain.detach().abs().max())
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize(
    "parameterization", [Dplr(), Dplr(output="c-tilde"), Modes(), Modes(hold="softmax")]
)
def test_nothing_of_all_modes_and_all_taps_is_kept(parameterization):
    """What backward needs is far below (D, N, L) complex numbers."""
    spec = KernelSpec(parameterization=parameterization, decay=NATIVE, length=Full(time="learned"))
    kernel, kept = spec.build(KernelContext(4, 4096, Draws(0))), []

    def keep(x: Tensor) -> Tensor:
        kept.append(x.numel() * x.element_size())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        kernel()
    whole = 4 * 32 * 4096 * 8
    assert 0 < max(kept) < whole / 10
    assert sum(kept) < whole / 2


@pytest.mark.parametrize("output", ["c", "c-tilde"])
@pytest.mark.parametrize("decay", [NATIVE, NoDecay(), Exponential()])
def test_every_parameter_has_a_finite_gradient_at_extreme_steps(output, decay):
    for dt in (1e-5, 1.0):
        kernel = build(2, 4096, hippo="fout", output=output, decay=decay, dt=(dt, dt))
        k = kernel()
        assert k.isfinite().all()
        k.square().sum().backward()
        for name, parameter in kernel.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


# T3.7: stability


def test_a_tied_low_rank_is_always_stable():
    for seed in range(200):
        draws = Draws(seed, "stable")
        lam = torch.complex(-draws.uniform("r", 6) / 2, 5 * draws.normal("w", 6))
        p = torch.view_as_complex(2 * draws.normal("p", 6, 2))
        a = torch.diag(lam) - torch.outer(p, p.conj())
        assert float(torch.linalg.eigvals(a).real.max()) < 0


# T3.9: another rate


def test_a_rate_of_two_is_twice_the_step():
    fine = build(3, 40).double()
    with torch.no_grad():
        fine.times.log_dt += math.log(2)
    bare = system(build(3, 40).double())
    close(fine(), powers(replace(bare, step=2 * bare.step), 40), 1e-9)


# T3.10: sizes


@pytest.mark.parametrize(("hippo", "rank"), [("legs", 1), ("fout", 1), ("legt", 2), ("lagt", 1)])
def test_parameters_do_not_grow_with_length(hippo, rank):
    """Of each channel: dt, rate, omega, and the real parts of B, P and C, N = 2 num_modes."""
    for length in (8, 300):
        kernel = build(5, length, hippo=hippo)
        assert sum(p.numel() for p in kernel.parameters()) == 5 * (1 + 16 + 16 * (2 + rank))


def test_a_layer_has_as_many_numbers_as_upstream():
    """Upstream's 214,016 at H = 256, N = 64, n_ssm = H has a C of the other direction: H N less."""
    spec = preset("s4").model_copy(update={"width": 256, "depth": 1})
    mixer = spec.build(Context(num_inputs=2, num_outputs=2, length=16)).blocks[0].mixer
    assert sum(p.numel() for p in mixer.parameters()) == 214_016 - 256 * 64


def test_state_and_search():
    spec = Dplr(num_modes=7)
    assert spec.state_size == 14
    assert [p.kernel_lr for p in build(1, 4, kernel_lr=3e-4).atoms.parameters()].count(3e-4) == 3
    assert build(1, 4).atoms.c.kernel_lr is None


# The skew-Hermitian part


@pytest.mark.parametrize("hippo", ["legs", "fout", "legt"])
@pytest.mark.parametrize("length", LENGTHS)
def test_decay_off_is_the_skew_hermitian_part(hippo, length):
    """A(0) = diag(i omega): by the contour, by dense powers, and as a sum of modes."""
    kernel = build(2, length, hippo=hippo, decay=NoDecay(), dt=(0.01, 0.3)).double()
    sys = system(kernel)
    assert sys.p.shape[1] == 0
    assert float(sys.poles.detach().real.abs().max()) == 0
    expected = powers(sys, length)
    close(kernel(), expected, 1e-9)
    atoms = kernel.atoms.atoms(kernel.times(length), kernel.window)
    assert atoms.shape == (2, 8, length)
    close(atoms.sum(1), expected, 1e-10)
    assert "atoms.p" not in dict(kernel.named_parameters())


def test_decay_off_does_not_fade():
    kernel = build(3, 2000, decay=NoDecay(), dt=(0.05, 0.1))
    early, late = (x.square().mean(-1) for x in kernel().detach().chunk(2, -1))
    torch.testing.assert_close(early, late, rtol=0.3, atol=0)
    faded = build(3, 2000, dt=(0.05, 0.1))().detach()
    early, late = (x.square().mean(-1) for x in faded.chunk(2, -1))
    assert float((late / early).max()) < 0.01


def test_a_foreign_window_multiplies_the_undamped_kernel():
    bare = build(3, 50, decay=NoDecay())().detach()
    windowed = build(3, 50, decay=Exponential(fast=0.1))
    expected = bare * windowed.window(windowed.times(50))[:, 0]
    torch.testing.assert_close(windowed().detach(), expected)


def test_native_rates():
    for hippo, rate in (("legs", 0.5), ("fout", 1e-4), ("legt", 1e-4), ("lagt", 1e-4)):
        found = build(2, 4, hippo=hippo).window.rate.detach()
        torch.testing.assert_close(found, torch.full((2, 8), rate))


def test_length_off_keeps_the_first_taps():
    for output in ("c", "c-tilde"):
        kernel = build(3, 64, output=output)
        spec = KernelSpec(
            parameterization=Dplr(num_modes=8, output=output),
            decay=NATIVE,
            length=Taps(taps=4, time="learned"),
        )
        cut = spec.build(KernelContext(3, 64, Draws(0)))
        torch.testing.assert_close(cut(), kernel()[:, :4], rtol=1e-5, atol=1e-6)
        with pytest.raises(ValueError, match="cut kernel has no recurrence"):
            recurrence(cut)


# spec/state_spaces 9.2: medians over random kernels, N = 64 real states
TABLE = [
    ("legs", 0.01, (21, 104, 255), 0.529),
    ("legs", 0.1, (25, 68, 93), 1.79),
    ("fout", 0.01, (112, 206, 481), 0.604),
    ("fout", 0.1, (49, 269, 834), 1.84),
]


@pytest.mark.parametrize(("hippo", "dt", "lengths", "variation"), TABLE)
def test_measured_length_and_roughness_at_initialisation(hippo, dt, lengths, variation):
    kernel = build(64, 2048, hippo=hippo, num_modes=32, dt=(dt, dt), output="c-tilde")
    k = kernel().detach()
    for energy, expected in zip((0.5, 0.9, 0.99), lengths, strict=True):
        assert float(effective_length(k, energy).median()) == pytest.approx(
            expected, rel=0.15, abs=2.01
        ), energy
    assert float(roughness(k).median()) == pytest.approx(variation, rel=0.15)


def test_other_starts_are_fields_of_the_preset():
    legt = replace_at(preset("s4"), "mixers.0.kernel.parameterization.hippo", "legt")
    model = legt.build(Context(num_inputs=3, num_outputs=3, length=9))
    assert model.blocks[0].mixer.kernel.atoms.p.shape[1] == 2
    assert model(torch.zeros(1, 9, dtype=torch.int64)).isfinite().all()
