"""HiPPO against closed forms of its basis, and its normal part against itself (T1.1 to T1.6)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import KernelSpec
from zoo.parameterizations import Dplr
from zoo.parameterizations.hippo import HIPPO, rotated
from zoo.properties import PerMode

NAMES = list(HIPPO)


def basis(name: str, size: int, times: list[float]) -> np.ndarray:
    """K(t) = exp(t A) B: (times, N)."""
    hippo = HIPPO[name](size)
    return np.stack([scipy.linalg.expm(t * hippo.a) @ hippo.b for t in times])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [2, 6, 64])
def test_plus_low_rank_it_is_normal(name, size):
    """T1.1: M + M^T = -2 rate, so M M^T = M^T M."""
    hippo = HIPPO[name](size)
    normal = hippo.a + hippo.p @ hippo.p.T
    gap = normal + normal.T + 2 * hippo.rate * np.eye(size)
    assert np.abs(gap).max() < 1e-10
    assert hippo.p.shape == (size, 2 if name == "legt" else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [2, 6, 64])
def test_eigenvectors_are_orthonormal_and_give_it_back(name, size):
    """T1.2: V diag V^H = M over both of each pair; B and P are in the same basis."""
    hippo, half = HIPPO[name](size), rotated(name, size)
    normal = hippo.a + hippo.p @ hippo.p.T
    v = np.concatenate([half.v, half.v.conj()], 1)
    assert np.abs(v.conj().T @ v - np.eye(size)).max() < 1e-10
    poles = 1j * np.concatenate([half.omega, -half.omega]) - half.rate
    assert np.abs((v * poles) @ v.conj().T - normal).max() <= 1e-8 * np.abs(normal).max()
    assert np.abs(2 * (half.v @ half.b).real - hippo.b).max() < 1e-10 * size
    assert np.abs(2 * (half.v @ half.p.T).real - hippo.p).max() < 1e-10 * size
    assert (half.b.imag == 0).all()
    assert (half.b.real > 0).all(), "the phase of each eigenvector is fixed"
    assert (half.omega >= 0).all()
    assert (np.diff(half.omega) > 0).all()


def test_a_real_state_meets_p_in_half_of_the_pairs():
    x = np.random.default_rng(0).normal(size=8)
    hippo, half = HIPPO["legs"](8), rotated("legs", 8)
    inside = half.v.conj().T @ x
    found = 2 * (half.p[0].conj() @ inside).real
    assert found == pytest.approx(hippo.p[:, 0] @ x, abs=1e-13)


TIMES = [0.0, 0.3, 1.0, 2.5, 6.0]


def test_legs_is_warped_legendre():
    """T1.3: sqrt(2n+1) e^-t P_n(2 e^-t - 1)."""
    n, t = np.arange(16), np.array(TIMES)[:, None]
    legendre = scipy.special.eval_legendre(n, 2 * np.exp(-t) - 1)
    np.testing.assert_allclose(
        basis("legs", 16, TIMES), np.sqrt(2 * n + 1) * np.exp(-t) * legendre, atol=1e-10
    )


def test_lagt_is_laguerre():
    """T1.3: e^(-t/2) L_n(t)."""
    n, t = np.arange(16), np.array(TIMES)[:, None]
    expected = np.exp(-t / 2) * scipy.special.eval_laguerre(n, t)
    np.testing.assert_allclose(basis("lagt", 16, TIMES), expected, atol=1e-10)


@pytest.mark.parametrize("size", [1, 4, 8])
def test_legs_has_whole_rates(size):
    """T1.4."""
    found = np.sort(np.linalg.eigvals(HIPPO["legs"](size).a).real)
    np.testing.assert_allclose(found, -np.arange(size, 0.0, -1), rtol=1e-9)


def test_legt_and_fout_hold_a_window_of_two():
    """T1.5: their bases inside it, hardly anything behind it, less the larger they are."""
    inside = np.array([0.2, 0.9, 1.6])
    legendre = basis("legt", 128, list(inside))[:, :4]
    n = np.arange(4)
    expected = np.sqrt(2 * n + 1) / 2 * scipy.special.eval_legendre(n, 1 - inside[:, None])
    np.testing.assert_allclose(legendre, expected, atol=0.03)
    fourier = basis("fout", 256, list(inside))
    np.testing.assert_allclose(fourier[:, 0], 0.5, atol=0.012)
    assert np.abs(fourier[:, 1]).max() < 1e-12  # the dead one
    for f in (1, 2):
        wave = math.pi * f * inside
        np.testing.assert_allclose(fourier[:, 2 * f], np.cos(wave) / math.sqrt(2), atol=0.012)
        np.testing.assert_allclose(fourier[:, 2 * f + 1], np.sin(wave) / math.sqrt(2), atol=0.012)
    for name in ("legt", "fout"):
        tails = [np.abs(basis(name, size, [2.5, 3.0])[:, :4]).max() for size in (16, 64, 256)]
        assert tails[0] > tails[1] > tails[2]
        assert tails[2] < 0.01


def test_legs_remembers_online():
    """T1.6: x_k = (I - A/2k)^-1 ((I + A/2k) x_{k-1} + B f_k/k); f comes back within 1 %."""
    size, steps = 32, 1000
    hippo = HIPPO["legs"](size)
    a, b = hippo.a, hippo.b
    time = np.arange(1, steps + 1) / steps
    signal = np.sin(2 * np.pi * 2 * time) + 0.5 * np.cos(2 * np.pi * 3 * time)
    x = np.zeros(size)
    for k, f in enumerate(signal, 1):
        right = (np.eye(size) + a / (2 * k)) @ x + b * f / k
        x = np.linalg.solve(np.eye(size) - a / (2 * k), right)
    n = np.arange(size)
    legendre = scipy.special.eval_legendre(n, 2 * time[:, None] - 1)
    found = legendre @ (x * np.sqrt(2 * n + 1))
    assert np.sqrt(np.mean((found - signal) ** 2)) < 1e-2


def test_frequencies_of_legs():
    """Of the normal part at N = 64: the largest about N^2/pi."""
    omega = rotated("legs", 64).omega
    assert omega[0] == pytest.approx(0.264, abs=5e-4)
    assert omega[[-1, -2, -3, -4]].tolist() == pytest.approx(
        [1303.27, 433.03, 258.15, 182.62], abs=6e-3
    )
    fout = rotated("fout", 64)
    np.testing.assert_allclose(fout.omega, np.pi * np.arange(32), atol=1e-12)


def test_pretended_tensors_leave_nothing_behind():
    rotated.cache_clear()
    context = KernelContext(2, 5, Draws(0))
    spec = KernelSpec(parameterization=Dplr(num_modes=3), decay=PerMode(init="native"))
    with FakeTensorMode():
        pretended = spec.build(context)()
    with torch.device("meta"):
        assert spec.build(context)().is_meta
    real = spec.build(context)()
    assert isinstance(pretended, FakeTensor)
    assert not isinstance(real, FakeTensor)
    assert real.shape == pretended.shape
    assert rotated("legs", 6).omega.dtype == np.float64
