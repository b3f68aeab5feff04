"""The compiled long convolution against numpy in float64: the output and every gradient."""

from __future__ import annotations

import math
import resource
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.conv import cpu
from zoo.conv.arguments import Arguments

NAMES = ("y", "du", "dforward", "dbackward", "dskip", "dpre", "dpost")
# relative L2 error against float64
LIMITS = {
    torch.float64: 1e-14,
    torch.float32: 1e-6,
    torch.bfloat16: 6e-3,
    torch.float16: 1.5e-3,
}
SHORT = (1, 2, 3, 5, 7, 31, 32, 33, 63, 64, 65, 100, 127, 128, 250, 256, 500, 511, 512)
LONG = (1000, 1021, 1023, 1024, 1025, 2047, 2048, 2049, 3000, 4096, 4099, 8191, 8192, 8193, 16384)
WIDTHS = (1, 2, 3, 15, 16, 17, 40)


@pytest.fixture(autouse=True)
def _compiled():
    reason = cpu.refusal(torch.zeros(1, 1, 1), "auto")
    if reason is not None:
        pytest.skip(f"no compiler: {reason}")


@pytest.fixture
def threads():
    """Sets the number of threads, and sets it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


# The truth: numpy, float64 -------------------------------------------------------------------


def convolution(x, forward, backward, skip):
    """c_t = sum_{s<=t} forward[t-s] x_s + sum_{s>=t} backward[s-t] x_s + skip x_t."""
    length = x.shape[-1]
    c = 0 * x if skip is None else skip[:, None] * x
    if forward is not None:
        c = c + first_steps(x, forward, length)
    if backward is not None:
        c = c + first_steps(x[..., ::-1], backward, length)[..., ::-1]
    return c


def first_steps(x, k, length):
    """sum_{s<=t} k[t-s] x_s for t < length: summed tap by tap, or by an FFT without wrap-around."""
    if length > 64:
        n = x.shape[-1] + k.shape[-1]
        return np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(k, n), n)[..., :length]
    c = np.zeros_like(x)
    for lag in range(min(k.shape[-1], length)):
        c[..., lag:] += k[:, lag, None] * x[..., : length - lag]
    return c


def lag_sums(a, b, taps):
    """sum_{batch,t} a_t b_{t-j} for j < taps."""
    n = 2 * a.shape[-1]
    spectrum = (np.fft.rfft(a, n) * np.fft.rfft(b, n).conj()).sum(0)
    return np.fft.irfft(spectrum, n)[..., :taps]


def truth(g, u, forward, backward, skip, pre, post):
    """A dict of NAMES: what `convolve` and `gradients` must give; None for what does not exist."""
    g, u, forward, backward, skip, pre, post = (
        None if each is None else each.double().numpy()
        for each in (g, u, forward, backward, skip, pre, post)
    )
    x, gc = (u if pre is None else pre * u), (g if post is None else post * g)
    c = convolution(x, forward, backward, skip)
    gx = convolution(gc, backward, forward, skip)
    return {
        "y": c if post is None else post * c,
        "du": gx if pre is None else pre * gx,
        "dforward": None if forward is None else lag_sums(gc, x, forward.shape[-1]),
        "dbackward": None if backward is None else lag_sums(x, gc, backward.shape[-1]),
        "dskip": None if skip is None else (gc * x).sum((0, 2)),
        "dpre": None if pre is None else u * gx,
        "dpost": None if post is None else g * c,
    }


# Inputs --------------------------------------------------------------------------------------


def signal(shape, dtype, layout):
    """Noise (B, D, L) whose memory is contiguous in that order, or in another."""
    batch, channels, length = shape
    if layout == "bdl":
        return torch.randn(batch, channels, length).to(dtype)
    if layout == "bld":
        return torch.randn(batch, length, channels).to(dtype).mT
    if layout == "dbl":
        return torch.randn(channels, batch, length).to(dtype).transpose(0, 1)
    if layout == "strided":  # no unit stride anywhere
        return torch.randn(batch, 2 * channels, 3 * length).to(dtype)[:, ::2, ::3]
    if layout == "offset":  # not aligned to vectors
        return torch.randn(batch, channels + 1, length + 3).to(dtype)[:, 1:, 3:]
    assert layout == "expanded"
    return torch.randn(1, channels, 1).to(dtype).expand(batch, channels, length)


KERNELS = {  # which kernels, and how many taps of a length
    "forward": lambda length: (length, None),
    "backward": lambda length: (None, length),
    "both": lambda length: (length, length),
    "few": lambda length: (min(length, 3), None),
    "uneven": lambda length: (max(1, length // 2), max(1, length - 1)),
}


def arguments(shape, dtype=torch.float32, *, layout="bdl", kernels="forward", gated=False):
    """g and the arguments of `convolve` but precision; gated is with skip.

    Few numbers are all positive: they might cancel by chance, and errors are relative.
    """
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    taps = KERNELS[kernels](shape[2])
    u, g, pre, post = (signal(shape, dtype, layout) for _ in range(4))
    made = [None if n is None else torch.randn(shape[1], n, dtype=compute) for n in taps]
    skip = torch.randn(shape[1], dtype=compute)
    drawn = [g, u, *made, *((skip, pre, post) if gated else (None, None, None))]
    if math.prod(shape) < 256:
        drawn = [None if each is None else each.abs() for each in drawn]
    return drawn


def compute(g, u, *rest):
    results = (cpu.convolve(Arguments(u, *rest), "auto"), *all_gradients(g, u, *rest))
    return dict(zip(NAMES, results, strict=True))


def all_gradients(g, u, *rest):
    return cpu.gradients(g, Arguments(u, *rest), "auto")


def check(g, u, *rest):
    """Errors are relative to the truth; those of sums over time also to what may cancel in them."""
    got, wanted = compute(g, u, *rest), truth(g, u, *rest)
    pre, post = rest[3:]
    x, gc = (u if pre is None else pre * u), (g if post is None else post * g)
    in_sums = float((gc.double().norm(dim=2) * x.double().norm(dim=2)).norm())
    for name in NAMES:
        assert (got[name] is None) == (wanted[name] is None), name
        if wanted[name] is None:
            continue
        size = np.linalg.norm(wanted[name])
        if name in ("dskip", "dforward", "dbackward"):
            size = max(size, in_sums)
        error = np.linalg.norm(got[name].double().numpy() - wanted[name])
        assert error <= LIMITS[got[name].dtype] * size, f"{name}: {error / size:.2g}"
        if name in ("y", "du", "dpre", "dpost"):
            assert got[name].dtype == u.dtype
            assert got[name].stride() == torch.empty_like(u).stride()


# Right ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("length", SHORT)
def test_short_lengths(length, layout, dtype):
    for shape in ((1, 1, length), (3, 17, length), (9, 2, length)):
        check(*arguments(shape, dtype, layout=layout))
        check(*arguments(shape, dtype, layout=layout, kernels="uneven", gated=True))


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("length", LONG)
def test_long_lengths(length, layout, dtype):
    check(*arguments((2, 3, length), dtype, layout=layout, kernels="uneven", gated=True))
    check(*arguments((1, 16, length), dtype, layout=layout))


@pytest.mark.slow
@pytest.mark.parametrize("length", [65536, 65537, 99991, 131072, 2**20 - 1, 2**20])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_very_long_lengths(length, layout):
    check(*arguments((2, 2, length), layout=layout, kernels="both", gated=True))
    check(*arguments((1, 1, length), layout=layout))


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_widths(channels, layout):
    for batch, length in ((1, 24), (2, 100), (19, 9), (40, 64)):
        check(*arguments((batch, channels, length), layout=layout, kernels="both", gated=True))


@pytest.mark.parametrize("length", range(1, 71))
def test_every_length(length):
    check(*arguments((2, 8, length), torch.float64))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("length", [6, 130, 2304])
def test_kernels(length, gated, kernels):
    for dtype in (torch.float32, torch.float64):
        check(*arguments((3, 5, length), dtype, kernels=kernels, gated=gated))


@pytest.mark.parametrize("present", list(product([False, True], repeat=3)))
@pytest.mark.parametrize("length", [48, 2100])
def test_every_set_of_skip_and_gates(length, present):
    g, u, forward, backward, *rest = arguments((3, 9, length), kernels="both", gated=True)
    check(g, u, forward, backward, *(x if p else None for x, p in zip(rest, present, strict=True)))


@pytest.mark.parametrize("layout", ["dbl", "strided", "offset", "expanded"])
@pytest.mark.parametrize("dtype", LIMITS)
def test_layouts(layout, dtype):
    for length in (21, 256, 2048, 9000):
        check(*arguments((2, 9, length), dtype, layout=layout, kernels="both", gated=True))


@pytest.mark.parametrize("length", [40, 2500, 9001])
def test_tensors_of_different_layouts(length):
    shape = (2, 11, length)
    for layout in ("bdl", "bld"):
        _, u, forward, backward, skip, _, _ = arguments(shape, layout=layout, gated=True)
        g, pre, post = (signal(shape, u.dtype, each) for each in ("expanded", "bld", "strided"))
        check(g, u, forward, backward, skip, pre, post)


@pytest.mark.parametrize("shape", [(500, 1, 5), (300, 3, 33), (70, 16, 70), (33, 2, 2100)])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_large_batches(shape, layout):
    check(*arguments(shape, layout=layout, kernels="uneven", gated=True))


@pytest.mark.parametrize("shape", [(3, 5, 1), (2, 1, 50), (4, 20, 128), (2, 3, 3000)])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("dtype", LIMITS)
def test_weight_gradient(shape, layout, dtype):
    g, u, *_ = arguments(shape, dtype, layout=layout)
    for taps in {1, (shape[2] + 1) // 2, shape[2]}:
        w = cpu.weight_gradient(g, u, taps, "auto")
        assert w.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        wanted = lag_sums(g.double().numpy(), u.double().numpy(), taps)
        scale = (g.double().norm(dim=2) * u.double().norm(dim=2)).norm() * taps**0.5
        assert np.linalg.norm(w.double().numpy() - wanted) <= LIMITS[w.dtype] * float(scale)


def test_gradients_are_those_of_the_output():
    """In float64, along a random direction: independent of the formulas above."""
    g, *inputs = arguments((2, 9, 37), torch.float64, kernels="both", gated=True)
    directions = [torch.randn_like(x) for x in inputs]
    step = 1e-6
    ends = [
        cpu.convolve(
            Arguments(*(x + sign * step * d for x, d in zip(inputs, directions, strict=True))),
            "auto",
        )
        for sign in (1, -1)
    ]
    along = (g * (ends[0] - ends[1])).sum() / (2 * step)
    parts = zip(all_gradients(g, *inputs), directions, strict=True)
    by_gradients = sum((gradient * direction).sum() for gradient, direction in parts)
    torch.testing.assert_close(by_gradients, along, rtol=1e-7, atol=1e-7)


# The same, always ----------------------------------------------------------------------------

MANY_SHAPES = [(5, 8, 512), (40, 3, 64), (64, 20, 33), (2, 3, 2048), (1, 1, 40000), (3, 2, 40000)]


def same(a: dict[str, Tensor | None], b: dict[str, Tensor | None]) -> bool:
    return all(b[n] is None if a[n] is None else torch.equal(a[n], b[n]) for n in NAMES)


@pytest.mark.parametrize("shape", MANY_SHAPES)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_threads_do_not_matter(shape, layout, threads):
    inputs = arguments(shape, layout=layout, kernels="both", gated=True)
    results = []
    for number in (1, 2, 3, 2):
        threads(number)
        results.append(compute(*inputs))
    assert all(same(results[0], each) for each in results[1:])


@pytest.mark.parametrize("shape", MANY_SHAPES)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("gated", [False, True])
def test_a_row_is_the_same_alone(shape, layout, gated):
    g, u, forward, backward, skip, pre, post = arguments(shape, layout=layout, gated=gated)
    whole = compute(g, u, forward, backward, skip, pre, post)
    for b in {0, shape[0] // 2, shape[0] - 1}:
        one = [None if x is None else x[b : b + 1] for x in (g, u, pre, post)]
        alone = compute(*one[:2], forward, backward, skip, *one[2:])
        for name in ("y", "du", "dpre", "dpost"):
            if whole[name] is not None:
                assert torch.equal(whole[name][b], alone[name][0]), name


@pytest.mark.parametrize("shape", [(3, 9, 50), (9, 3, 129), (2, 5, 3001)])
@pytest.mark.parametrize("layout", ["bdl", "bld", "strided"])
def test_all_of_the_output_is_written(shape, layout, monkeypatch):
    """Memory is full of NaN before."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        results = compute(*arguments(shape, layout=layout, kernels="both", gated=True))
        w = cpu.weight_gradient(*arguments(shape, layout=layout)[:2], 7, "auto")
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(x is not None and not x.isnan().any() for x in (*results.values(), w))


@pytest.mark.parametrize("length", [64, 1024, 4096])
def test_the_future_does_not_leak(length):
    k = torch.randn(8, length)
    u = torch.zeros(2, 8, length)
    u[..., -1] = 1
    y = cpu.convolve(Arguments(u, k), "auto")
    assert y[..., :-1].abs().max() <= 1e-6 * k.abs().max()


def test_a_bad_row_spoils_only_itself():
    u, k = torch.randn(3, 8, 100), torch.randn(8, 100)
    u[1, 2, 50] = float("nan")
    y = cpu.convolve(Arguments(u, k), "auto")
    spoiled = torch.zeros(3, 8, dtype=torch.bool)
    spoiled[1, 2] = True
    assert torch.equal(y.isnan().any(-1), spoiled)


def test_half_precision_rounds_once():
    """The result in half precision is the rounded one of float32."""
    for dtype in (torch.bfloat16, torch.float16):
        g, u, *rest = arguments((2, 8, 200), dtype)
        y = cpu.convolve(Arguments(u, *rest), "auto")
        assert torch.equal(y, cpu.convolve(Arguments(u.float(), *rest), "auto").to(dtype))
        du = all_gradients(g, u, *rest)[0]
        assert torch.equal(du, all_gradients(g.float(), u.float(), *rest)[0].to(dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_special_values_of_half_precision(dtype):
    """Every one of the 65536 numbers, through a convolution that only copies."""
    bits = torch.arange(-32768, 32768, dtype=torch.int32).to(torch.int16).reshape(256, 256, 1)
    u = bits.view(dtype)
    one = torch.ones(256, 1)
    finite = u.isfinite() & (u.abs() < 1e30)
    u = torch.where(finite, u, torch.zeros_like(u))
    y = cpu.convolve(Arguments(u, one), "auto")
    assert torch.equal(y.float(), u.float())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_to_half_precision(dtype):
    """To nearest, ties to even, as torch does: one step of 1, through kernels of one tap."""
    spacing = torch.finfo(dtype).eps
    ties = 1 + spacing * (torch.arange(256) + 0.5)
    tiny = torch.finfo(dtype).smallest_normal * torch.linspace(0, 2, 999)
    largest = torch.finfo(dtype).max
    edges = largest * torch.tensor([0.999, 1.0, 1 + spacing / 8, 1 + spacing / 4])
    k = torch.cat([ties, -ties, tiny if dtype == torch.float16 else ties, edges])[:, None]
    y = cpu.convolve(Arguments(torch.ones(1, len(k), 1, dtype=dtype), k), "auto")
    assert torch.equal(y[0], k.to(dtype))


# A good guest --------------------------------------------------------------------------------


def run(program: str) -> str:
    """What a fresh process prints."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_denormal_numbers_survive():
    program = """
import torch
from zoo.conv.arguments import Arguments
from zoo.conv.cpu import convolve
for threads in (1, 2):
    torch.set_num_threads(threads)
    u = torch.randn(64, 64, 64)
    convolve(Arguments(u, u[0]), "auto")
    x = torch.full((1 << 20,), 1e-40)
    print((x * 1.0 == x).all().item(), (x * 1.0 != 0).all().item())
"""
    assert run(program).split() == ["True"] * 4


def test_there_is_one_pool_of_threads():
    program = """
import os, torch
from zoo.conv.arguments import Arguments
from zoo.conv.cpu import convolve
torch.set_num_threads(2)
x = torch.randn(1 << 22)
x.mul(2).sum()
before = len(os.listdir("/proc/self/task"))
u = torch.randn(64, 64, 64)
for _ in range(3):
    convolve(Arguments(u, u[0]), "auto")
print(len(os.listdir("/proc/self/task")) - before)
maps = open("/proc/self/maps").read().split()
print(len({os.path.realpath(m) for m in maps if "omp" in os.path.basename(m) and ".so" in m}))
"""
    extra, runtimes = map(int, run(program).split())
    assert extra == 0
    assert runtimes == 1


def test_memory_does_not_grow():
    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB

    small, large = arguments((8, 32, 256), gated=True), arguments((1, 2, 20000), gated=True)
    for length in range(100, 140):
        compute(*arguments((2, 8, length)))
    for _ in range(5):
        compute(*small), compute(*large)
    before = peak()
    for _ in range(200):
        compute(*small), compute(*large)
    assert peak() - before < 20 * 1024


def test_refusals():
    assert "meta" in str(cpu.refusal(torch.empty(1, device="meta"), "auto"))
    assert "int64" in str(cpu.refusal(torch.zeros(1, dtype=torch.int64), "auto"))
    assert "tf32" in str(cpu.refusal(torch.zeros(1), "tf32"))
    assert cpu.refusal(torch.zeros(1), "fp32") is None
