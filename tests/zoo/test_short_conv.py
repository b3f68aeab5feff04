"""The short convolution against torch's own depthwise one: values and all gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.conv.short_conv import short_conv


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return values.requires_grad_()


def torchs(x: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    padded = F.pad(x, (taps.shape[1] - 1, 0))
    return F.conv1d(padded, taps[:, None], bias, groups=x.shape[1])


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("taps", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients(length: int, taps: int, dtype: torch.dtype) -> None:
    inputs = [draw(2, 4, length, seed=0), draw(4, taps, seed=1), draw(4, seed=2)]
    inputs = [x.detach().to(dtype).requires_grad_() for x in inputs]
    weight = draw(2, 4, length, seed=3).detach().to(dtype)
    ours, theirs = short_conv(*inputs), torchs(*inputs)
    error = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(ours, theirs, rtol=0, atol=error)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, weight),
        torch.autograd.grad(theirs, inputs, weight),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=error)


def test_input_may_be_transposed() -> None:
    x, taps, bias = draw(2, 7, 4, seed=0).mT, draw(4, 3, seed=1), draw(4, seed=2)
    torch.testing.assert_close(short_conv(x, taps, bias), torchs(x, taps, bias))


def test_derivatives_of_any_order() -> None:
    inputs = (draw(2, 3, 5, seed=0), draw(3, 3, seed=1), draw(3, seed=2))
    assert torch.autograd.gradcheck(short_conv, inputs)
    assert torch.autograd.gradgradcheck(short_conv, inputs)


def test_inputs_are_left_as_they_are() -> None:
    inputs = (draw(2, 3, 5, seed=0), draw(3, 3, seed=1), draw(3, seed=2))
    before = [x.detach().clone() for x in inputs]
    short_conv(*inputs).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))
