"""Long sums: gradients of weights over large batches of biased data; threads beside them."""

from __future__ import annotations

import sys
import threading

import pytest
import torch
from torch import Tensor

from zoo.conv import fft_conv, short_conv
from zoo.conv.arguments import Arguments
from zoo.conv.cpu import build, gradients


@pytest.fixture(autouse=True)
def _compiled():
    if build.extension() is None:
        pytest.skip(f"no compiler: {build.reason()}")


def relative(x: Tensor, exact: Tensor) -> float:
    return float((x - exact).norm() / exact.norm())


# In each of the ways to sum: taps one by one, channels in lanes, batch in lanes, time in lanes.
@pytest.mark.parametrize("shape", [(20000, 2, 8), (2048, 512, 12), (9000, 2, 20), (4000, 1, 2048)])
def test_the_long_convolution_does_not_drift(shape):
    batch, channels, length = shape
    u = torch.full(shape, 0.1)
    k = torch.zeros(channels, length, requires_grad=True)
    skip = torch.zeros(channels, requires_grad=True)
    dk, dskip = torch.autograd.grad(fft_conv(u, k, skip=skip), (k, skip), u)
    terms = batch * (length - torch.arange(length)).double()
    exact = (u.flatten()[0].double() ** 2 * terms).expand(channels, -1)
    assert relative(dk, exact) < 1e-6
    assert relative(dskip, exact[:, 0]) < 1e-6


@pytest.mark.parametrize("shape", [(8, 65536, 16), (20000, 11, 16), (1, 200000, 3)])
@pytest.mark.parametrize("taps", [4, 7])
def test_the_short_convolution_does_not_drift(shape, taps):
    batch, length, channels = shape
    u = torch.full(shape, 0.1)
    w = torch.zeros(channels, taps, requires_grad=True)
    bias = torch.zeros(channels, requires_grad=True)
    dw, dbias = torch.autograd.grad(short_conv(u, w, bias), (w, bias), u)
    value = u.flatten()[0].double()
    steps = batch * (length - torch.arange(taps).flip(0)).double()
    assert relative(dw, (value**2 * steps).expand(channels, -1)) < 1e-6
    assert relative(dbias, (value * batch * length).expand(channels)) < 1e-6


@pytest.mark.parametrize("shape", [(600, 16, 64), (600, 3, 33), (700, 40, 50)])
def test_many_slices_of_a_batch(shape):
    """Each has a sum of its own; and the same for any number of threads."""
    threads = torch.get_num_threads()
    g, u = torch.randn(shape), torch.randn(shape)
    k, skip = torch.randn(shape[1:]), torch.randn(shape[1])
    exact = [x.double() for x in (g, u, k, k, skip)]
    wanted = gradients(exact[0], Arguments(*exact[1:]), "auto")
    whole = [gradients(x[None], Arguments(y[None], *exact[2:]), "auto")[1:4]
             for x, y in zip(exact[0], exact[1], strict=True)]  # fmt: skip
    sums = [torch.stack(each).sum(0) for each in zip(*whole, strict=True)]
    for a, b in zip(wanted[1:4], sums, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-9)
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(gradients(g, Arguments(u, k, k, skip), "auto")[:4])
    finally:
        torch.set_num_threads(threads)
    for result in results:
        for a, b, c in zip(result, results[0], wanted, strict=False):
            assert torch.equal(a, b)
            assert relative(a, c) < 1e-6


def test_threads_of_python_share_the_plans():
    """The cache of plans holds fewer than 40 lengths, so that they come and go meanwhile."""
    inputs = [(torch.randn(1, 2, 100 + 64 * i), torch.randn(2, 100 + 64 * i)) for i in range(40)]
    wanted = [fft_conv(u, k) for u, k in inputs]
    wrong, interval = [], sys.getswitchinterval()

    def work(step: int) -> None:
        torch.set_num_threads(1)
        for r in range(400):
            i = r * step % 40
            if not torch.equal(fft_conv(*inputs[i]), wanted[i]):
                wrong.append(i)

    sys.setswitchinterval(1e-5)
    try:
        workers = [threading.Thread(target=work, args=(step,)) for step in (1, 3, 7, 9)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
