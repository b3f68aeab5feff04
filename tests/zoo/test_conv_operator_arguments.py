"""Operators called by anyone: what does not fit is refused, never read or written out of bounds."""

from __future__ import annotations

import pytest
import torch

from zoo.conv.cpu import build

OPS = torch.ops.seqzoo
CPU = ("auto", "cpu")
DOUBLE = {"dtype": torch.float64}


def drawn(*shape: int, **options: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, **options)


U, K = drawn(2, 3, 64), drawn(3, 64)


@pytest.fixture(autouse=True)
def _compiled():
    if build.extension() is None:
        pytest.skip(f"no compiler: {build.reason()}")


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ((U, drawn(3, 65)), "forward"),
        ((U, None, drawn(3, 65)), "backward"),
        ((U, drawn(2, 64)), "forward"),
        ((U, drawn(3, 0)), "forward"),
        ((U, drawn(3)), "forward"),
        ((U, K, None, drawn(1)), "skip"),
        ((U, K, None, drawn(3, 1)), "skip"),
        ((U, K, None, None, drawn(1, 1, 64)), "gate"),
        ((U, K, None, None, None, drawn(2, 3, 63)), "gate"),
        ((U,), "at least one kernel"),
        ((drawn(3, 64), K), "u"),
        ((drawn(2, 3, 0), drawn(3, 1)), "forward"),
    ],
)
def test_the_long_convolution(tensors, word):
    tensors = (*tensors, *[None] * (6 - len(tensors)))
    with pytest.raises(ValueError, match=word):
        OPS.long_conv(*tensors, *CPU)
    with pytest.raises(ValueError, match=word):
        OPS.long_conv_gradients(torch.ones_like(tensors[0]), *tensors, *CPU)


@pytest.mark.parametrize("taps", [-1, 0, 65, 10**6])
def test_the_taps_of_a_weight_gradient(taps):
    with pytest.raises(ValueError, match="1 to 64"):
        OPS.long_conv_weight_gradient(U, U, taps, *CPU)


def test_gradients_of_another_shape():
    with pytest.raises(ValueError, match="gradient"):
        OPS.long_conv_weight_gradient(drawn(1, 1, 64), U, 4, *CPU)
    with pytest.raises(ValueError, match="gradient"):
        OPS.long_conv_gradients(drawn(1, 1, 64), U, K, None, None, None, None, *CPU)


@pytest.mark.parametrize("shape", [(0, 3, 64), (2, 0, 64), (0, 3, 5)])
def test_nothing_to_convolve(shape):
    u, k = drawn(*shape), drawn(shape[1], 4)
    assert OPS.long_conv(u, k, None, None, None, None, *CPU).shape == shape
    dk = OPS.long_conv_gradients(u, u, k, None, None, None, None, *CPU)[1]
    w = OPS.long_conv_weight_gradient(u, u, 4, *CPU)
    assert torch.equal(dk, torch.zeros_like(k))
    assert torch.equal(w, torch.zeros_like(k))


def test_gradients_of_another_dtype_are_cast():
    double, single = (drawn(2, 3, 64).to(t) for t in (torch.float64, torch.float32))
    u, w = drawn(2, 8, 3), drawn(3, 2)
    g = drawn(2, 8, 3, **DOUBLE)
    for op, first, rest in (
        (OPS.long_conv_gradients, double, (single, K, None, None, None, None, *CPU)),
        (OPS.short_conv_backward, g, (u, w, None, False, "cpu")),
    ):
        for a, b in zip(op(first, *rest), op(first.float(), *rest), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("u", "w", "bias", "word"),
    [
        (drawn(1, 8, 3), drawn(3, 2, **DOUBLE), None, "w"),
        (drawn(1, 8, 3, **DOUBLE), drawn(3, 2), None, "w"),
        (drawn(1, 8, 4), drawn(3, 2), None, "w"),
        (drawn(1, 8, 3), drawn(3, 0), None, "w"),
        (drawn(1, 8, 3), drawn(3), None, "w"),
        (drawn(1, 8, 3), drawn(3, 2), drawn(3, **DOUBLE), "bias"),
        (drawn(1, 8, 3), drawn(3, 2), drawn(1), "bias"),
        (drawn(8, 3), drawn(3, 2), None, "u"),
        (torch.ones(1, 8, 3, dtype=torch.int64), drawn(3, 2), None, "int64"),
    ],
)
def test_the_short_convolution(u, w, bias, word):
    with pytest.raises(ValueError, match=word):
        OPS.short_conv(u, w, bias, True, "cpu")
    with pytest.raises(ValueError, match=word):
        OPS.short_conv_backward(torch.ones_like(u), u, w, bias, True, "cpu")


def test_a_gradient_of_the_short_one_of_another_shape():
    with pytest.raises(ValueError, match="gradient"):
        OPS.short_conv_backward(drawn(1, 1, 3), drawn(9, 80, 3), drawn(3, 2), None, False, "cpu")
