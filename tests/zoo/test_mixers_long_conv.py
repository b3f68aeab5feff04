"""The long convolution as a mixer: directions, skips, filters, and what it hands to its gate."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.draws import Draws
from zoo.kernel import KernelSpec
from zoo.mixers import LayerContext, LongConv
from zoo.mixers.long_conv import Convolution
from zoo.parameterizations import Dense
from zoo.properties.length import Taps

D, L = 3, 10


def mixer(*, length: int = L, **fields: Any) -> Convolution:
    kernel = fields.pop("kernel", KernelSpec(parameterization=Dense(std=0.5)))
    spec = LongConv.model_validate({"kernel": kernel, "activation": "none", **fields})
    built = spec.build(LayerContext(width=D, length=length, draws=Draws(5, "long"))).double()
    assert isinstance(built, Convolution)
    return built


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_sums(forward: Tensor, backward: Tensor, x: Tensor) -> Tensor:
    """sum_{s <= t} kf[t - s] x_s + sum_{s > t} kb[s - t - 1] x_s, for x (B, D, L)."""
    y = torch.zeros_like(x)
    for t in range(x.shape[2]):
        for s in range(x.shape[2]):
            k, lag = (forward, t - s) if s <= t else (backward, s - t - 1)
            if lag < k.shape[1]:
                y[..., t] += k[:, lag] * x[..., s]
    return y


@pytest.mark.parametrize("filters", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 7, L])
@pytest.mark.parametrize("taps", [3, L])
def test_two_sided_is_forward_and_backward(filters: int, length: int, taps: int) -> None:
    kernel = KernelSpec(parameterization=Dense(std=0.5), length=Taps(taps=taps))
    m = mixer(kernel=kernel, direction="two_sided", channels=filters, skip="none")
    forward, backward = m.kernel().chunk(2)
    assert forward.shape == backward.shape == (filters * D, taps)
    assert not torch.equal(forward, backward)
    x = signal(2, D, length)
    y = m.convolve(x, kernel=m.kernel()[:, :length])
    wanted = by_sums(forward, backward, torch.cat([x] * filters, 1))
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("skip", "weight"), [("none", 0.0), ("identity", 1.0)])
def test_skips_that_are_not_trained(skip: str, weight: float) -> None:
    m, x = mixer(skip=skip), signal(2, D, L)
    k = m.kernel()
    wanted = by_sums(k, torch.zeros(D, 1, dtype=torch.float64), x) + weight * x
    torch.testing.assert_close(m.convolve(x, kernel=k), wanted, rtol=0, atol=1e-12)
    assert "skip" not in dict(m.named_parameters())


def test_a_trained_skip_is_one_more_tap_at_lag_zero() -> None:
    m, x = mixer(), signal(2, D, L)
    k = m.kernel().detach().clone()
    with_skip = m.convolve(x, kernel=k)
    assert m.skip is not None
    k[:, 0] += m.skip
    m.skip.data.zero_()
    torch.testing.assert_close(with_skip, m.convolve(x, kernel=k), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["gelu", "silu", "none"])
def test_what_a_gate_is_given(activation: str) -> None:
    """post * f(k * (pre x) + skip (pre x)), whether or not the products are fused."""
    m = mixer(activation=activation)
    f = {"gelu": torch.nn.GELU(), "silu": torch.nn.SiLU(), "none": torch.nn.Identity()}[activation]
    x, pre, post = (signal(2, D, L, seed=s) for s in range(3))
    k = m.kernel()
    inner = by_sums(k, torch.zeros(D, 1, dtype=torch.float64), pre * x)
    wanted = post * f(inner + m.skip[:, None] * pre * x)
    torch.testing.assert_close(m.convolve(x, pre, post, kernel=k), wanted, rtol=0, atol=1e-12)


def test_an_impulse_shows_the_kernel() -> None:
    m = mixer(skip="none")
    x = torch.zeros(1, D, L, dtype=torch.float64)
    x[..., 0] = 1
    torch.testing.assert_close(m.convolve(x, kernel=m.kernel())[0], m.kernel())


def test_filters_are_different_kernels() -> None:
    m = mixer(channels=2)
    one, two = m.kernel().chunk(2)
    assert not torch.equal(one, two)
    assert m.skip is not None
    assert m.skip.shape == (2 * D,)


@pytest.mark.parametrize(("spectrum", "numbers"), [("real", 8), ("lin", 16), ("inv", 16)])
def test_modes_keep_a_state_of_their_size(spectrum: str, numbers: int) -> None:
    """Complex modes keep two numbers each; never more than the inputs themselves would be."""
    modes = {"kind": "modes", "num_modes": 8, "spectrum": spectrum}
    m = mixer(kernel={"parameterization": modes, "decay": "per-mode"}, length=100)
    assert m.state_elements(100) == numbers * D
    assert m.state_elements(5) == 4 * D


@pytest.mark.parametrize(
    "field",
    [
        {"decay": "power-law"},
        {"smoothness": "moving-average"},
        {"regularization": "squash"},
        {"regularization": ["squash"]},
    ],
)
def test_maps_behind_the_modes_leave_no_recurrence(field: dict[str, Any]) -> None:
    kernel = {"parameterization": {"kind": "modes", "num_modes": 2}, "decay": "per-mode", **field}
    assert mixer(kernel=kernel, length=100).state_elements(100) == 99 * D


def test_undamped_modes_are_a_recurrence_too() -> None:
    kernel = {"parameterization": {"kind": "modes", "num_modes": 2}}
    assert mixer(kernel=kernel, length=100).state_elements(100) == 4 * D
