"""Modes against recurrences, dense systems and closed forms, in numpy double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from pydantic import ValidationError

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.measure import effective_length, roughness
from zoo.parameterizations import Modes, low_rank, phi1
from zoo.parameterizations.hippo import rotated
from zoo.parameterizations.low_rank import LowRankSystem
from zoo.parameterizations.modes import modal_sum
from zoo.properties import Exponential, Full, NoDecay, PerMode
from zoo.spec import explain


def build(
    channels: int, length: int, *, modes: Modes, decay=None, dt=(1e-3, 1e-1), time="learned", seed=0
) -> Kernel:
    spec = KernelSpec(
        parameterization=modes,
        decay=decay or PerMode(),
        length=Full(time=time, dt_min=dt[0], dt_max=dt[1]),
    )
    return spec.build(KernelContext(channels, length, Draws(seed)))


def numbers(kernel: Kernel) -> dict[str, np.ndarray]:
    """The parameters as the equations name them, double: dt (D, 1), rate, omega, c (D, N)."""
    state = {k: v.double().numpy() for k, v in kernel.state_dict().items()}
    c = state["atoms.coefficients.c"]
    c = c[..., 0] + 1j * c[..., 1] if c.shape[-1] == 2 else c[..., 0]
    shape = c.shape
    rate = np.exp(state["window.log_rate"]) if "window.log_rate" in state else np.zeros(shape)
    omega = state.get("atoms.omega", np.zeros(shape))
    return {"dt": np.exp(state["times.log_dt"]), "rate": rate, "omega": omega, "c": c}


def zoh_recurrence(p: dict[str, np.ndarray], length: int, *, pairs: bool) -> np.ndarray:
    """x_k = a x_{k-1} + b u_k, y_k = [2] Re c x_k for an impulse u; ZOH: a = e^{dt l}."""
    pole = -p["rate"] + 1j * p["omega"]
    a = np.exp(p["dt"] * pole)
    b = (a - 1) / pole
    state, out = np.zeros_like(a), []
    for k in range(length):
        state = a * state + b * (1.0 if k == 0 else 0.0)
        out.append((2 if pairs else 1) * (p["c"] * state).real.sum(-1))
    return np.stack(out, -1)


@pytest.mark.parametrize("spectrum", ["lin", "inv", "real"])
@pytest.mark.parametrize("length", [1, 2, 63, 200])
def test_kernel_is_the_impulse_response_of_the_recurrence(spectrum, length):
    kernel = build(
        3,
        length,
        modes=Modes(num_modes=8, spectrum=spectrum),
        decay=PerMode(init="linear" if spectrum == "real" else "constant"),
    )
    expected = zoh_recurrence(numbers(kernel), length, pairs=spectrum != "real")
    np.testing.assert_allclose(kernel.double()().detach().numpy(), expected, rtol=1e-9, atol=1e-13)
    single = build(
        3,
        length,
        modes=Modes(num_modes=8, spectrum=spectrum),
        decay=PerMode(init="linear" if spectrum == "real" else "constant"),
    )
    np.testing.assert_allclose(
        single().detach().numpy(), expected, atol=1e-6 * np.abs(expected).max()
    )


def test_a_pair_of_modes_is_a_real_system_of_twice_the_size():
    """Half of a conjugate spectrum = the dense real system, by the matrix exponential."""
    kernel = build(1, 12, modes=Modes(num_modes=3, spectrum="inv"), dt=(0.05, 0.05)).double()
    p = {k: v[0] for k, v in numbers(kernel).items()}
    blocks = [np.array([[-r, -w], [w, -r]]) for r, w in zip(p["rate"], p["omega"], strict=True)]
    a = scipy.linalg.block_diag(*blocks)
    b = np.tile([1.0, 0.0], 3)
    c = np.stack([2 * p["c"].real, -2 * p["c"].imag], -1).ravel()
    step = scipy.linalg.expm(a * p["dt"])
    held = np.linalg.solve(a, (step - np.eye(6)) @ b)
    expected = [c @ np.linalg.matrix_power(step, k) @ held for k in range(12)]
    np.testing.assert_allclose(kernel()[0].detach().numpy(), expected, rtol=1e-10, atol=1e-13)


def test_twice_the_step_is_the_sum_of_two_taps():
    """ZOH is exact for held inputs: K^(2 dt)_k = K_2k + K_2k+1."""
    kernel = build(4, 64, modes=Modes(num_modes=6)).double()
    fine = kernel().detach()
    with torch.no_grad():
        kernel.times.log_dt += math.log(2)
    coarse = kernel().detach()[:, :32]
    torch.testing.assert_close(coarse, fine[:, ::2] + fine[:, 1::2], rtol=1e-10, atol=1e-13)


def test_blocks_are_the_plain_sum():
    z = torch.complex(-torch.rand(3, 5), 3 * torch.randn(3, 5)).to(torch.complex128)
    c = torch.randn(3, 5, dtype=torch.complex128)
    for length in (1, 2, 3, 15, 16, 17, 100):
        plain = (c[..., None] * torch.exp(z[..., None] * torch.arange(length))).sum(1).real
        blocked = modal_sum(c, z, length, dtype=torch.float64)
        torch.testing.assert_close(blocked, plain, rtol=1e-11, atol=1e-12)


def test_blocks_have_the_gradients_of_the_plain_sum():
    for length in (1, 2, 63, 500):
        z = torch.complex(-torch.rand(2, 3) / 9, 3 * torch.randn(2, 3)).to(torch.complex128)
        c = torch.randn(2, 3, dtype=torch.complex128)
        weight = torch.randn(2, length, dtype=torch.float64)
        found = []
        for blocked in (True, False):
            inputs = [x.clone().requires_grad_() for x in (c, z)]
            a, b = inputs
            if blocked:
                k = modal_sum(a, b, length, dtype=torch.float64)
            else:
                k = (a[..., None] * torch.exp(b[..., None] * torch.arange(length))).sum(1).real
            found.append(torch.autograd.grad((k * weight).sum(), inputs))
        for one, two in zip(*found, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 63, 200])
def test_bilinear_modes_are_a_recurrence_and_a_low_rank_system_of_rank_0(length):
    """a = (1 + z/2)/(1 - z/2), b = dt/(1 - z/2); the generating function with P = 0 (T4.2)."""
    modes = Modes(num_modes=8, hold="bilinear")
    for decay in (PerMode(), NoDecay()):
        kernel = build(3, length, modes=modes, decay=decay, dt=(0.01, 0.5)).double()
        p = numbers(kernel)
        z = p["dt"] * (1j * p["omega"] - p["rate"])
        a, state, out = (1 + z / 2) / (1 - z / 2), np.zeros_like(z), []
        for k in range(length):
            state = a * state + p["dt"] / (1 - z / 2) * (k == 0)
            out.append(2 * (p["c"] * state).real.sum(-1))
        expected = np.stack(out, -1)
        scale = np.abs(expected).max()
        found = kernel().detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * scale)
        one = torch.ones(3, 8, dtype=torch.complex128)
        system = LowRankSystem(
            torch.from_numpy(z / p["dt"]),
            one,
            torch.from_numpy(p["c"]),
            one.new_zeros(3, 0, 8),
            torch.from_numpy(p["dt"]),
        )
        contour = low_rank.kernel(system, length).numpy()
        np.testing.assert_allclose(contour, expected, rtol=0, atol=1e-9 * scale)


def dss(hold: str = "softmax") -> Modes:
    return Modes(num_modes=6, spectrum="legs", hold=hold, coefficients="dss")


@pytest.mark.parametrize("length", [1, 2, 63])
def test_dss_is_a_softmax_over_the_length(length):
    """T4.4: k = Re sum_n (W_n/l_n) softmax_l(dt l_n l), each mode over all taps."""
    kernel = build(3, length, modes=dss(), dt=(0.05, 0.5)).double()
    p = numbers(kernel)
    pole = 1j * p["omega"] - p["rate"]
    powers = np.exp((p["dt"] * pole)[..., None] * np.arange(length))
    soft = powers / powers.sum(-1, keepdims=True)
    expected = ((p["c"] / pole)[..., None] * soft).sum(1).real
    found = kernel().detach().numpy()
    # Upstream's 1/x is conj(x)/(|x|^2 + 1e-7), x = l (e^(dt l L) - 1).
    x = pole * (np.exp(p["dt"] * pole * length) - 1)
    error = (np.abs(p["c"] / pole) * np.abs(soft).max(-1) * 1e-7 / np.abs(x) ** 2).sum()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.01 * error + 1e-12)
    assert np.abs(found).max() > 100 * error


def test_the_exponential_form_of_dss_is_a_zero_order_hold():
    """T4.4: k = Re sum_n W_n (e^(l dt) - 1)/l_n e^(l k dt)."""
    kernel = build(3, 40, modes=dss("zoh")).double()
    p = numbers(kernel)
    expected = zoh_recurrence(p, 40, pairs=False)
    np.testing.assert_allclose(kernel().detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_dss_coefficients_have_unit_variance_in_each_part():
    c = build(300, 4, modes=dss()).atoms.coefficients.c.detach()
    assert float(c.std()) == pytest.approx(1, rel=0.03)


def test_s4d_legs_starts_at_hippo():
    """Frequencies of the normal part of LegS; c ~ N(0, 1) times B in the same basis."""
    modes = Modes(num_modes=32, spectrum="legs", coefficients="hippo")
    kernel = build(400, 4, modes=modes)
    start = rotated("legs", 64)
    omega, b = (torch.tensor(x, dtype=torch.float32) for x in (start.omega, start.b.real))
    torch.testing.assert_close(kernel.atoms.omega[0].detach(), omega)
    size = kernel.atoms.coefficients.c.detach().square().sum(-1).mean(0)
    torch.testing.assert_close(size, b.square(), rtol=0.2, atol=0)
    plain = build(400, 4, modes=Modes(num_modes=32, spectrum="legs"))
    ratio = kernel.atoms.coefficients.c / plain.atoms.coefficients.c
    torch.testing.assert_close(ratio[3, :, 0].detach(), b)


@pytest.mark.parametrize(
    ("fields", "use"),
    [
        ({"coefficients": "hippo"}, "use spectrum=legs"),
        ({"coefficients": "dss", "spectrum": "real"}, "use coefficients=normal"),
        ({"hold": "bilinear", "spectrum": "real"}, "use hold=zoh"),
        ({"coefficients": "ema"}, "use spectrum=real"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(fields, use):
    with pytest.raises(ValidationError) as caught:
        Modes(**fields)
    assert use in explain(caught.value)
    assert "\n" not in explain(caught.value)


def test_initial_frequencies():
    size = 64  # real state
    lin = build(1, 4, modes=Modes(num_modes=size // 2, spectrum="lin")).atoms.omega.detach()
    assert float(lin[0, -1]) == pytest.approx(31 * math.pi)
    inv = build(1, 4, modes=Modes(num_modes=size // 2, spectrum="inv")).atoms.omega.detach()
    assert float(inv[0, 0]) == pytest.approx(1283.43, rel=1e-5)
    assert float(inv[0, 31]) == pytest.approx(0.323, rel=2e-3)
    real = build(1, 4, modes=Modes(num_modes=5, spectrum="real"), decay=PerMode(init="linear"))
    assert real.atoms.omega is None
    torch.testing.assert_close(real.window.rate, torch.arange(1.0, 6)[None])


def test_coefficients_and_steps_follow_their_laws():
    kernel = build(512, 4, modes=Modes(num_modes=32), dt=(1e-3, 1e-1))
    c = kernel.atoms.coefficients.c.detach()
    assert c.shape == (512, 32, 2)
    assert float(c.std()) == pytest.approx(math.sqrt(0.5), rel=0.02)
    log_dt = kernel.times.log_dt.detach()
    assert log_dt.shape == (512, 1)
    assert math.log(1e-3) <= float(log_dt.min()) < float(log_dt.max()) <= math.log(1e-1)
    assert float(log_dt.mean()) == pytest.approx(math.log(1e-2), abs=0.2)


def test_parameters_do_not_grow_with_length():
    count = {
        length: sum(p.numel() for p in build(5, length, modes=Modes(num_modes=7)).parameters())
        for length in (8, 512)
    }
    assert count[8] == count[512] == 5 * (1 + 7 + 7 + 2 * 7)  # dt, rate, omega, c


def ema() -> Modes:
    return Modes(num_modes=16, spectrum="real", hold="none", coefficients="ema")


def test_ema_is_the_damped_moving_average_of_mega():
    """h_t = p beta x_t + (1 - p' a) h_{t-1}, y = gamma.h / sqrt(h); q = 1 - p' a at init."""
    kernel = build(3, 50, modes=ema(), decay=PerMode(init="ema"), time="step").double()
    s = {k: v.double().numpy() for k, v in kernel.state_dict().items()}
    p = 1 / (1 + np.exp(-s["atoms.coefficients.input"]))
    q = np.exp(-np.exp(s["window.log_rate"]))
    state, out = np.zeros_like(q), []
    for t in range(50):
        x = 1.0 if t == 0 else 0.0
        state = p * s["atoms.coefficients.beta"] * x + q * state
        out.append((s["atoms.coefficients.gamma"] * state).sum(-1) / math.sqrt(16))
    np.testing.assert_allclose(kernel().detach().numpy(), np.stack(out, -1), rtol=1e-6, atol=1e-12)


def test_ema_initial_law():
    kernel = build(400, 128, modes=ema(), decay=PerMode(init="ema"), time="step")
    q = torch.exp(-kernel.window.rate.detach())
    low, high = torch.quantile(q, torch.tensor([0.02, 0.98])).tolist()
    assert 0.64 < low < 0.70
    assert 0.80 < high < 0.86
    beta = kernel.atoms.coefficients.beta.detach()
    torch.testing.assert_close(beta[:, ::2], torch.ones(400, 8), rtol=0, atol=0.12)
    torch.testing.assert_close(beta[:, 1::2], -torch.ones(400, 8), rtol=0, atol=0.12)
    k = kernel().detach().abs()
    assert float((k[:, 64] / k.amax(-1)).median()) < 1e-4  # local: nothing left after 64 steps


# spec/state_spaces 9.2: medians over random kernels at L = 16384, N = 64 real states
TABLE = [
    ("lin", 0.001, (669, 2306, 4581), 0.058),
    ("lin", 0.01, (72, 234, 463), 0.552),
    ("lin", 0.1, (8, 24, 47), 1.36),
    ("inv", 0.001, (743, 2261, 4646), 0.207),
    ("inv", 0.01, (67, 231, 458), 0.545),
    ("inv", 0.1, (8, 24, 47), 1.07),
    ("real", 0.001, (66, 453, 1322), 0.006),
    ("real", 0.01, (5, 38, 143), 0.066),
    ("real", 0.1, (1, 5, 16), 0.309),
]


@pytest.mark.parametrize(("spectrum", "dt", "lengths", "variation"), TABLE)
def test_measured_length_and_roughness_at_initialisation(spectrum, dt, lengths, variation):
    real = spectrum == "real"
    within = 0.25 if real else 0.15  # medians over 64 real kernels, as in the table, scatter more
    kernel = build(
        512 if real else 256,
        8192 if dt < 0.01 else 2048,
        modes=Modes(num_modes=64 if real else 32, spectrum=spectrum),
        decay=PerMode(init="linear" if real else "constant"),
        dt=(dt, dt),
    )
    k = kernel().detach()
    for energy, expected in zip((0.5, 0.9, 0.99), lengths, strict=True):
        measured = float(effective_length(k, energy).median())
        assert measured == pytest.approx(expected, rel=within, abs=2.01), energy
    assert float(roughness(k).median()) == pytest.approx(variation, rel=within)


def test_ema_measured_at_initialisation():
    k = build(2000, 64, modes=ema(), decay=PerMode(init="ema"), time="step")().detach()
    lengths = [float(effective_length(k, p).median()) for p in (0.5, 0.9, 0.99)]
    assert lengths == pytest.approx([2, 4, 9], abs=1.01)
    assert float(roughness(k).median()) == pytest.approx(0.251, rel=0.15)


def test_decay_off_leaves_oscillations_that_do_not_fade():
    """g = 0: k_l = 2 Re sum c step phi1(i w step) e^{i w step l}, finite at w = 0."""
    kernel = build(3, 400, modes=Modes(num_modes=4), decay=NoDecay(), dt=(0.02, 0.1)).double()
    p = numbers(kernel)
    z = 1j * p["omega"] * p["dt"]
    gain = np.where(z == 0, 1, (np.exp(z) - 1) / np.where(z == 0, 1, z))
    terms = (p["c"] * p["dt"] * gain)[..., None] * np.exp(z[..., None] * np.arange(400))
    k = kernel().detach().numpy()
    np.testing.assert_allclose(k, 2 * terms.sum(1).real, rtol=1e-9, atol=1e-12)
    early, late = (np.abs(x).max(-1) for x in (k[:, :200], k[:, 200:]))
    np.testing.assert_allclose(late, early, rtol=0.2)


def test_decay_off_makes_real_modes_constant():
    kernel = build(2, 9, modes=ema(), decay=NoDecay(), time="step")
    k = kernel().detach()
    torch.testing.assert_close(k, k[:, :1].expand(2, 9))


def test_a_foreign_window_multiplies_the_undamped_kernel():
    modes = Modes(num_modes=4)
    bare = build(3, 50, modes=modes, decay=NoDecay())().detach()
    windowed = build(3, 50, modes=modes, decay=Exponential(fast=0.1))
    expected = bare * windowed.window(windowed.times(50))[:, 0]
    torch.testing.assert_close(windowed().detach(), expected)


def test_float32_phases_hold_at_64k_taps():
    kernel = build(2, 65536, modes=Modes(num_modes=32, spectrum="inv"), dt=(1e-4, 1e-3))
    p = numbers(kernel)
    p["dt"] = kernel.times(1).step.detach().double().numpy()  # as rounded: it sets the frequency
    z = p["dt"] * (-p["rate"] + 1j * p["omega"])
    assert np.abs(z[..., None].imag * 65535).max() > 1e4
    lag = np.random.default_rng().integers(0, 65536, 500)
    weights = p["c"] * (np.exp(z) - 1) / (z / p["dt"])
    expected = 2 * (weights[..., None] * np.exp(z[..., None] * lag)).sum(1).real
    k = kernel().detach().double().numpy()[:, lag]
    assert np.linalg.norm(k - expected) / np.linalg.norm(expected) < 1e-6


@pytest.mark.parametrize("dt", [1e-5, 1.0])
def test_extreme_steps_are_finite(dt):
    for decay in (PerMode(), NoDecay()):
        kernel = build(2, 16384, modes=Modes(num_modes=4, spectrum="inv"), decay=decay, dt=(dt, dt))
        k = kernel()
        k.square().sum().backward()
        assert torch.isfinite(k).all()
        assert all(torch.isfinite(p.grad).all() for p in kernel.parameters())


# phi1


def series(z: np.ndarray) -> np.ndarray:
    """sum z^n / (n+1)!, as many terms as doubles see for |z| < 4."""
    return sum(z**n / math.factorial(n + 1) for n in range(40))


def test_phi1_equals_its_series_on_both_sides_of_the_switch():
    radius = np.concatenate([[0.0], np.logspace(-9, 0.5, 60), [0.00999999, 0.01, 0.01000001]])
    z = (radius[:, None] * np.exp(1j * np.linspace(0, 2 * np.pi, 13))).ravel()
    found = phi1(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(found, series(z), rtol=1e-13)
    single = phi1(torch.from_numpy(z).to(torch.complex64)).numpy()
    np.testing.assert_allclose(single, series(z.astype(np.complex64).astype(complex)), rtol=1e-6)
    real = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(phi1(torch.from_numpy(real)).numpy(), series(real), rtol=1e-13)


def test_phi1_at_zero_has_value_one_and_slope_one_half():
    z = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    value = phi1(z)
    torch.testing.assert_close(value, torch.ones(3, dtype=torch.float64), rtol=0, atol=0)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    torch.testing.assert_close(slope, torch.full_like(slope, 0.5), rtol=0, atol=0)
    (curve,) = torch.autograd.grad(slope.sum(), z)
    torch.testing.assert_close(curve, torch.full_like(curve, 1 / 3))


@pytest.mark.parametrize("centre", [0.0, 0.005, 0.0095, 0.0105, 0.5, 3.0])
def test_phi1_gradients(centre):
    z = torch.tensor([centre, centre * 1j, -centre, centre * (1 - 1j)], dtype=torch.complex128)
    assert torch.autograd.gradcheck(phi1, z.requires_grad_(), eps=1e-7)


def test_the_gradient_of_a_kernel_with_decay_off_is_finite_at_frequency_zero():
    kernel = build(2, 30, modes=Modes(num_modes=3), decay=NoDecay())
    assert float(kernel.atoms.omega.detach()[0, 0]) == 0.0
    kernel().square().sum().backward()
    for name, parameter in kernel.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert float(kernel.atoms.omega.grad[:, 0].abs().min()) > 0
