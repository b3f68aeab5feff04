"""The shift register: its recurrence is its kernel, and its first kernel is a Conv1d's."""

from __future__ import annotations

import pytest
import torch

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.parameterizations import Shift
from zoo.parameterizations.shift import ShiftRegister
from zoo.properties import Taps


def build(states: int, length: int, *, moved: bool = True) -> Kernel:
    spec = KernelSpec(parameterization=Shift(num_states=states))
    kernel = spec.build(KernelContext(3, length, Draws(2))).double()
    if moved:
        assert isinstance(kernel.atoms, ShiftRegister)
        stream = torch.Generator().manual_seed(1)
        noise = torch.randn(3, states, generator=stream, dtype=torch.float64)
        kernel.atoms.impulse.data += noise
    return kernel


@pytest.mark.parametrize("states", [1, 4, 16])
@pytest.mark.parametrize("length", [1, 2, 7, 16, 63])
def test_kernel_is_the_recurrence(states: int, length: int) -> None:
    """s_t = shift(s_{t-1}) + B u_t, y_t = C s_t: the state of now, not of the step before."""
    kernel = build(states, length)
    p = dict(kernel.named_parameters())
    b, c = p["atoms.impulse"].detach(), p["atoms.taps"].detach()
    state, out = torch.zeros_like(b), []
    for t in range(length):
        state = torch.cat([torch.zeros(3, 1, dtype=b.dtype), state[:, :-1]], 1)
        state = state + b * float(t == 0)
        out.append((c * state).sum(1))
    torch.testing.assert_close(kernel(), torch.stack(out, 1), rtol=0, atol=1e-12)


def test_kernel_is_a_correlation() -> None:
    kernel = build(16, 40)
    p = dict(kernel.named_parameters())
    b, c = (torch.fft.rfft(p[f"atoms.{name}"], 32) for name in ("impulse", "taps"))
    wanted = torch.fft.irfft(b.conj() * c, 32)[:, :16]
    torch.testing.assert_close(kernel()[:, :16], wanted, rtol=0, atol=1e-12)
    assert torch.equal(kernel()[:, 16:], torch.zeros(3, 24, dtype=torch.float64))


@pytest.mark.parametrize("length", [5, 16, 40])
def test_at_first_the_kernel_is_its_taps(length: int) -> None:
    kernel = build(16, length, moved=False)
    taps = dict(kernel.named_parameters())["atoms.taps"].detach()
    seen = min(16, length)
    assert torch.equal(kernel()[:, :seen], taps[:, :seen])
    assert taps.abs().max() <= 0.25
    assert taps.std() == pytest.approx(0.25 / 3**0.5, rel=0.15)


def test_cut_to_its_states_it_is_the_same_kernel() -> None:
    spec = KernelSpec(parameterization=Shift(num_states=16), length=Taps(taps=16))
    kernel = spec.build(KernelContext(3, 40, Draws(2))).double()
    assert kernel.taps == 16
    assert torch.equal(kernel(), build(16, 40, moved=False)()[:, :16])


def test_parameters() -> None:
    kernel = build(16, 40)
    assert sum(p.numel() for p in kernel.parameters()) == 2 * 3 * 16
