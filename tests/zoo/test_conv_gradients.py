"""Every gradient, of every order, against the direct sum; and what a forward pass keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.conv import fft_conv
from zoo.conv.lags import MODES


def direct(u: Tensor, kernels: tuple[Tensor, ...], mode: str) -> Tensor:
    """The definition by indexing, without any Fourier transform; autograd does the rest."""
    length = u.shape[-1]
    lag = torch.arange(length)[:, None] - torch.arange(length)

    def matrix(k: Tensor, index: Tensor) -> Tensor:
        held = torch.nn.functional.pad(k, (0, length - k.shape[-1]))
        inside = (index >= 0) & (index < length)
        return held[:, index.clamp(0, length - 1)] * inside

    if mode == "circular":
        weights = matrix(kernels[0], lag % length)
    elif mode == "correlation":
        weights = matrix(kernels[0], -lag)
    else:
        weights = matrix(kernels[0], lag)
    if mode == "two-sided":
        weights = weights + matrix(kernels[1], -lag - 1)
    return torch.einsum("dts,bds->bdt", weights, u)


def drawn(*shape: int) -> Tensor:
    return torch.randn(
        shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("length", "taps"), [(1, 1), (2, 2), (3, 2), (63, 63), (64, 7), (257, 257)]
)
def test_all_gradients_are_those_of_the_direct_sum(length, taps, mode, backend):
    names = ["u", "pre", "post", "skip", "k", "k_back"]
    shapes = [(2, 3, length)] * 3 + [(3,)] + [(3, taps)] * 2
    values = [drawn(*s, 1 + i)[..., i] for i, s in enumerate(shapes)]
    weight = drawn(2, 3, length)
    found = {}
    for way in ("fft", "direct"):
        leaves = [v.clone().requires_grad_() for v in values]
        u, pre, post, skip, *pair = leaves
        kernels = tuple(pair) if mode == "two-sided" else (pair[0],)
        if way == "fft":
            k = kernels if mode == "two-sided" else kernels[0]
            y = fft_conv(u, k, skip=skip, pre=pre, post=post, mode=mode, backend=backend)
        else:
            x = pre * u
            y = post * (direct(x, kernels, mode) + skip[:, None] * x)
        used = leaves if mode == "two-sided" else leaves[:-1]
        found[way] = (y, *torch.autograd.grad((y * weight).sum(), used))
    for name, a, b in zip(["y", *names], found["fft"], found["direct"], strict=False):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("length", "taps"), [(1, 1), (4, 3), (5, 5)])
def test_gradients_of_gradients(length, taps, mode, backend):
    u = drawn(2, 2, length).requires_grad_()
    kernels = [
        drawn(2, taps, i + 1)[..., i].requires_grad_() for i in range(1 + (mode == "two-sided"))
    ]

    def conv(u, *k):
        return fft_conv(u, k if len(k) == 2 else k[0], mode=mode, backend=backend)

    assert torch.autograd.gradcheck(conv, (u, *kernels))
    assert torch.autograd.gradgradcheck(conv, (u, *kernels))


def test_third_derivatives_exist():
    u, k = drawn(1, 1, 6).requires_grad_(), drawn(1, 6).requires_grad_()
    y = fft_conv(u, k)
    (first,) = torch.autograd.grad((y**4).sum(), u, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), k, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), u)
    assert torch.isfinite(third).all()
    assert third.abs().sum() > 0


def test_without_gradients_nothing_is_kept():
    u, k = torch.randn(2, 3, 9, requires_grad=True), torch.randn(3, 9, requires_grad=True)

    def never(tensor: Tensor) -> Tensor:
        raise AssertionError("saved")

    with torch.no_grad(), torch.autograd.graph.saved_tensors_hooks(never, never):
        y = fft_conv(u, k, pre=u, post=u)
    assert not y.requires_grad
    with torch.inference_mode():
        assert fft_conv(u, k).shape == (2, 3, 9)


@pytest.mark.parametrize("frozen", ["u", "k"])
def test_only_one_side_needs_a_gradient(frozen):
    u, k = drawn(2, 3, 9), drawn(3, 9)
    moving = k if frozen == "u" else u
    moving.requires_grad_()
    fft_conv(u, k).square().sum().backward()
    want = moving.grad.clone()
    moving.grad = None
    direct(u, (k,), "causal").square().sum().backward()
    torch.testing.assert_close(want, moving.grad, rtol=1e-11, atol=1e-11)


def test_single_precision_gradients():
    u, k = drawn(4, 3, 500), drawn(3, 500)
    exact, grads = (
        torch.autograd.grad(
            fft_conv(*(leaves := (u.to(t).requires_grad_(), k.to(t).requires_grad_())))
            .square()
            .sum(),
            leaves,
        )
        for t in (torch.float64, torch.float32)
    )
    for a, b in zip(grads, exact, strict=True):
        assert float((a - b).norm() / b.norm()) < 1e-6


def test_deterministic():
    u, k = torch.randn(3, 4, 100), torch.randn(4, 100, requires_grad=True)
    results = []
    for _ in range(2):
        k.grad = None
        y = fft_conv(u, k)
        y.square().sum().backward()
        results.append((y.detach(), k.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
