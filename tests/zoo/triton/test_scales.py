"""float16 products of signals and kernels of any shape: nothing underflows, nothing overflows.

Axes: B batch, D channels, L length, M columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from tests.zoo.triton.emulation import emulated
from tests.zoo.triton.exact import NAMES, Problem, bound, error, error_in, expected
from zoo.conv import triton as backend
from zoo.conv.triton import launching, monarch, monarch_long, monarch_long_call, toeplitz
from zoo.conv.triton import monarch_long_kernels as kernels
from zoo.conv.triton.configurations import find_for

PROMISED = bound("fp16", torch.float32, is_signal=True)


@pytest.fixture(autouse=True)
def interpreter() -> Iterator[None]:
    """Kernels run on CPU tensors, rounding as GPUs do."""
    with emulated():
        yield


def slow(length: int) -> Any:
    """For `make test-all` only."""
    return pytest.param(length, marks=pytest.mark.slow)


def alone(u: Tensor, k: Tensor, g: Tensor) -> Problem:
    """A causal convolution without skip and gates."""
    return Problem(u=u, forward=k, backward=None, skip=None, pre=None, post=None, g=g)


def check(p: Problem, family: Any = None) -> None:
    """As near to float64 as is promised: the output and every gradient."""
    chosen = backend.family_of(p.u, "fp16") if family is None else family
    with mock.patch.object(backend, "family_of", return_value=chosen):
        found = backend.convolve(p.arguments, "fp16"), *backend.gradients(p.g, p.arguments, "fp16")
    exact_y, exact = expected(p)
    for name, ours, theirs in zip(("y", *NAMES), found, (exact_y, *exact), strict=True):
        if ours is not None and theirs is not None:
            assert error_in(p, name, ours, theirs) <= PROMISED, name


def smooth(length: int) -> Tensor:
    """A kernel whose spectrum is large at a few frequencies only."""
    return torch.exp(-torch.arange(length) / (length / 4.0))[None]


def impulse(length: int, at: int) -> Tensor:
    return torch.zeros(1, 1, length).index_fill_(-1, torch.tensor(at % length), 1.0)


@pytest.mark.parametrize("length", [9000, 16384])
def test_the_spectrum_of_an_impulse_fills_the_range_of_halves(length: int) -> None:
    """Whatever the length. A scale that allows for n samples as large as the largest leaves 1 / n
    of it, which at a million steps is nothing; what sums up to the same fills no more of it.
    """
    for u in (impulse(length, 3), torch.randn(1, 1, length), torch.full((1, 1, length), 3e4)):
        call = monarch_long_call.Call(u, "fp16")
        piece = monarch_long_call.Piece(slice(0, 1), slice(0, 1))
        largest = call.columns(piece, u, None).scratch.float().abs().max()
        assert largest <= 2**15
        assert u.count_nonzero() > 1 or largest >= 2**13


@pytest.mark.parametrize("length", [8192, slow(131072), slow(2**20)])
def test_an_impulse_through_smooth_kernels(length: int) -> None:
    """The shortest that failed where scales allowed for n samples as large is 131072."""
    for k in (smooth(length), torch.ones(1, length)):
        p = alone(impulse(length, 3), k, torch.randn(1, 1, length))
        assert error(backend.convolve(p.arguments, "fp16"), expected(p)[0]) <= PROMISED


@pytest.mark.parametrize("length", [8192, slow(131072)])
def test_the_gradient_of_the_last_step_alone(length: int) -> None:
    """As of a loss on the last token."""
    check(alone(torch.randn(1, 1, length), smooth(length), impulse(length, -1)))


@pytest.mark.parametrize("length", [8192, slow(131072)])
def test_white_noise_through_a_smooth_kernel(length: int) -> None:
    """And what has the largest sum for its size, a constant: it does not overflow."""
    check(alone(torch.randn(1, 1, length), smooth(length), torch.randn(1, 1, length)))
    constant = torch.full((1, 1, length), 3e4)
    check(alone(constant, torch.ones(1, length), constant))


@pytest.mark.parametrize("family", [toeplitz, monarch, monarch_long])
def test_signals_of_very_different_sizes(family: Any) -> None:
    """Each is brought to its size by a scale of its own, row by row."""
    u, g = 1e4 * torch.randn(2, 1, 150), 1e-4 * torch.randn(2, 1, 150)
    u[1], g[1] = 1e-8 * u[1], 1e8 * g[1]
    check(alone(u, torch.randn(1, 150), g), family)


@pytest.mark.parametrize("family", [toeplitz, monarch, monarch_long])
def test_a_kernel_that_grows_late(family: Any) -> None:
    """The scale of a kernel is that of all its taps."""
    k = 1e-6 * torch.randn(1, 150)
    k[:, 140:] = 1e3 * torch.randn(1, 10)
    check(alone(torch.randn(2, 1, 150), k, torch.randn(2, 1, 150)), family)


@pytest.mark.parametrize("family", [monarch, monarch_long])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_peaks_of_spectra_are_those_of_both_parts(family: Any, sign: float) -> None:
    """K = F(k) + conj(F(sign k)) is imaginary for -1, and real for 1."""
    u, k = torch.empty(1, 2, 96), torch.randn(2, 96)
    call = family._Call(u, "fp16") if family is monarch else monarch_long_call.Call(u, "fp16")
    spectrum = call.spectrum(k, sign * k)
    real, imaginary = spectrum.values.unbind(-2)
    large, small = (real, imaginary) if sign == 1.0 else (imaginary, real)
    assert small.abs().max() < 1e-2 * large.abs().max()
    assert torch.equal(spectrum.peaks, torch.maximum(real.abs(), imaginary.abs()).amax(-1))


@pytest.mark.parametrize("length", [16, 1008, 70000])
def test_sizes_are_sums_of_every_step_once(length: int) -> None:
    """The last step counts, and none twice: pieces end where the next begins."""
    row = find_for("monarch_long", "sizes", length, "fp16", 80)
    x = torch.zeros(2, 3, length)
    x[0, 1, -1], x[1, 2] = -8.0, 1.0
    sizes = torch.full((6, row.blocks["PIECES"]), torch.nan)
    launching.launch(
        kernels.sizes_kernel, sizes.numel(), row,
        x=x, gate=None, sizes=sizes, width=3, D=3, L=length,
    )  # fmt: skip
    assert torch.equal(sizes.sum(1) * 2**20, torch.tensor([0.0, 8.0, 0.0, 0.0, 0.0, float(length)]))
    steps = -(-length // row.blocks["PIECES"])  # of a piece
    assert sizes[1].argmax() == (length - 1) // steps
    assert torch.equal(sizes[5] * 2**20, lengths_of_pieces(length, steps, row.blocks["PIECES"]))


def lengths_of_pieces(length: int, steps: int, pieces: int) -> Tensor:
    first = steps * torch.arange(pieces)
    return ((first + steps).clamp(max=length) - first.clamp(max=length)).float()
