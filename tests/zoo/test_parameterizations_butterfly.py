"""The learned butterfly of a kernel: the Fourier transform at first, a linear map after."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from zoo.draws import Draws
from zoo.grid import KernelContext
from zoo.kernel import Kernel, KernelSpec
from zoo.mixers import LayerContext, LongConv
from zoo.parameterizations import Butterfly, Dense
from zoo.parameterizations.butterfly import factor_sizes
from zoo.properties import OFF, Squash, Taps
from zoo.spec import explain, replace_all


def build(channels: int, length: int, **fields) -> Kernel:
    spec = KernelSpec(parameterization=Butterfly(**fields))
    return spec.build(KernelContext(channels, length, Draws(0)))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 63, 64, 500])
@pytest.mark.parametrize("factor", [2, 4, 16])
def test_starts_as_the_fourier_transform(length, factor):
    """T2.6, at every number of factors; below a size of 8 the matrices are exact."""
    atoms = build(3, length, factor=factor).double().atoms
    assert math.prod(atoms.sizes) == 2 ** math.ceil(math.log2(2 * length))
    assert max(atoms.sizes) <= factor
    x = torch.randn(2, math.prod(atoms.sizes), dtype=torch.complex128)
    error = (atoms.transform(x, atoms.sizes) - torch.fft.fft(x)).abs().max()
    assert float(error.detach()) < (1e-12 if factor < 8 else 1e-5)


@pytest.mark.parametrize("length", [1, 2, 33, 500])
def test_starts_as_the_taps(length):
    k = build(3, length, std=1.0)()
    plain = KernelSpec(parameterization=Dense(std=1.0)).build(KernelContext(3, length, Draws(0)))
    torch.testing.assert_close(k, plain(), rtol=0, atol=1e-5)


def test_sizes_of_the_factors():
    assert factor_sizes(1, 16) == [2]
    assert factor_sizes(8, 16) == [16]
    assert factor_sizes(9, 16) == [16, 2]
    assert factor_sizes(500, 16) == [16, 16, 4]
    assert factor_sizes(8, 2) == [2, 2, 2, 2]


@pytest.mark.parametrize(("length", "sizes"), [(500, (4, 16)), (64, (8, 16)), (1, (2,))])
def test_one_matrix_a_size_and_the_taps_are_the_parameters(length, sizes):
    kernel = build(3, length)
    count = 3 * length + sum(2 * n * n for n in sizes)
    assert sum(p.numel() for p in kernel.parameters()) == count
    assert {p.kernel_lr for p in kernel.parameters()} == {1e-3}


def test_the_trained_map_is_linear_in_the_taps_and_the_same_for_all_channels():
    kernel = build(3, 20, noise=0.3).double()
    a, b = torch.randn(2, 3, 20, dtype=torch.float64)

    def at(taps: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            kernel.atoms.taps.taps.copy_(taps)
            return kernel()

    torch.testing.assert_close(at(2 * a - b), 2 * at(a) - at(b), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(at(a[:1].expand(3, -1)), at(a)[:1].expand(3, -1))
    assert not torch.allclose(at(a), a, rtol=0.1)


def test_a_learned_transform_does_not_see_the_future():
    """Far from the Fourier transform, the layer is causal all the same (upstream's is not)."""
    spec = LongConv(
        kernel=KernelSpec(parameterization=Butterfly(noise=0.5, std=1.0)), activation="none"
    )
    mixer = spec.build(LayerContext(width=2, length=9, draws=Draws(1))).double()
    u = torch.randn(1, 9, 2, dtype=torch.float64)
    full = torch.autograd.functional.jacobian(mixer, u).abs().amax((0, 2, 3, 5))
    assert float(full.triu(1).max()) < 1e-12
    assert float(full.tril(-1)[-1, :-1].min()) > 1e-6


def test_parameterization_off_is_the_fixed_transform():
    context = KernelContext(3, 33, Draws(0))
    spec = KernelSpec(
        parameterization=Butterfly(noise=0.2, std=1.0, kernel_weight_decay="inherit"),
        regularization=Squash(threshold=0.1),
    )
    off = replace_all(spec, "parameterization", OFF["parameterization"])
    assert off.parameterization.kernel_weight_decay == "inherit"
    base, arm = spec.build(context), off.build(context)
    torch.testing.assert_close(arm(), base())
    assert [n for n, _ in arm.named_parameters()] == ["atoms.taps"]


def test_a_cut_kernel_keeps_the_taps_that_the_transform_can_bring_back():
    spec = KernelSpec(parameterization=Butterfly(noise=0.2, std=1.0), length=Taps(taps=4))
    short = spec.build(KernelContext(3, 33, Draws(0)))
    whole = build(3, 33, noise=0.2, std=1.0)
    assert torch.equal(short(), whole()[:, :4])
    short().square().sum().backward()
    assert float(short.atoms.taps.taps.grad[:, 4:].abs().min()) > 0


@pytest.mark.parametrize("factor", [3, 12])
def test_a_factor_that_is_no_power_of_two_is_refused(factor):
    with pytest.raises(ValidationError) as caught:
        Butterfly(factor=factor)
    assert f"factor={factor} is no power of 2: use {2 ** (factor.bit_length() - 1)}" in explain(
        caught.value
    )
