"""fft_conv against direct sums in numpy, double precision; shapes, words, numbers, devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from zoo.conv import fft_conv
from zoo.conv.lags import MODES
from zoo.conv.reference import fast_length, fft_length

LENGTHS = [1, 2, 3, 31, 63, 64, 100, 257, 1021]


def lag_matrix(kernels: tuple[np.ndarray, ...], mode: str, length: int) -> np.ndarray:
    """M[d, t, s], the weight of u_s in y_t, straight from the definitions: (D, L, L)."""
    lag = np.arange(length)[:, None] - np.arange(length)

    def tap(k: np.ndarray, j: np.ndarray) -> np.ndarray:
        exists = (j >= 0) & (j < k.shape[1])
        return np.where(exists, k[:, np.clip(j, 0, k.shape[1] - 1)], 0.0)

    if mode == "causal":
        return tap(kernels[0], lag)
    if mode == "correlation":
        return tap(kernels[0], -lag)
    if mode == "circular":
        return tap(kernels[0], lag % length)
    return tap(kernels[0], lag) + tap(kernels[1], -lag - 1)


def inputs(mode: str, length: int, taps: int, *, batch: int = 2, channels: int = 3):
    rng = np.random.default_rng()  # fresh numbers in every run
    u = rng.standard_normal((batch, channels, length))
    count = 2 if mode == "two-sided" else 1
    return u, tuple(rng.standard_normal((channels, taps)) for _ in range(count))


def as_kernel(kernels, dtype=torch.float64):
    tensors = tuple(torch.from_numpy(k).to(dtype) for k in kernels)
    return tensors if len(tensors) == 2 else tensors[0]


def relative(y: torch.Tensor, expected: np.ndarray) -> float:
    gap = y.detach().double().numpy() - expected
    return float(np.linalg.norm(gap) / np.linalg.norm(expected))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", LENGTHS)
def test_equals_the_direct_sum(length, mode, backend):
    for taps in sorted({1, (length + 1) // 2, length}):
        u, kernels = inputs(mode, length, taps)
        expected = np.einsum("dts,bds->bdt", lag_matrix(kernels, mode, length), u)
        signal = torch.from_numpy(u)
        y = fft_conv(signal, as_kernel(kernels), mode=mode, backend=backend)
        assert y.shape == (2, 3, length)
        assert y.dtype == torch.float64
        assert relative(y, expected) < 1e-14, taps
        single = fft_conv(
            signal.float(), as_kernel(kernels, torch.float32), mode=mode, backend=backend
        )
        assert single.dtype == torch.float32
        assert relative(single, expected) < 1e-6, taps


def test_two_sided_kernels_may_differ_in_length():
    u, (kf, _) = inputs("two-sided", 21, 21)
    _, (kb, _) = inputs("two-sided", 21, 4)
    expected = np.einsum("dts,bds->bdt", lag_matrix((kf, kb), "two-sided", 21), u)
    for pair, matrix in (((kf, kb), expected), ((kb, kf), None)):
        if matrix is None:
            matrix = np.einsum("dts,bds->bdt", lag_matrix(pair, "two-sided", 21), u)
        y = fft_conv(torch.from_numpy(u), as_kernel(pair), mode="two-sided")
        assert relative(y, matrix) < 1e-13


def test_correlation_is_the_transpose_of_causal():
    u, (k,) = inputs("causal", 33, 33)
    v, _ = inputs("causal", 33, 33)
    u, v, k = (torch.from_numpy(x) for x in (u, v, k))
    left = (fft_conv(u, k) * v).sum()
    right = (u * fft_conv(v, k, mode="correlation")).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=0)


def test_gates_and_skip(backend):
    u, (k,) = inputs("causal", 19, 7)
    rng = np.random.default_rng()
    pre, post = rng.standard_normal((2, 2, 3, 19))
    skip = rng.standard_normal(3)
    x = pre * u
    expected = np.einsum("dts,bds->bdt", lag_matrix((k,), "causal", 19), x)
    expected = post * (expected + skip[:, None] * x)
    tensors = {n: torch.from_numpy(v) for n, v in (("pre", pre), ("post", post), ("skip", skip))}
    y = fft_conv(torch.from_numpy(u), torch.from_numpy(k), backend=backend, **tensors)
    assert relative(y, expected) < 1e-13
    swapped = {n: v if n == "skip" else v.mT for n, v in tensors.items()}
    y = fft_conv(
        torch.from_numpy(u).mT, torch.from_numpy(k), backend=backend, layout="bld", **swapped
    )
    assert y.shape == (2, 19, 3)
    assert relative(y.mT, expected) < 1e-13


def test_any_strides():
    u, (k,) = inputs("causal", 30, 30)
    wide = torch.from_numpy(np.repeat(u, 2, axis=-1))
    k_wide = torch.from_numpy(k).mT.contiguous().mT
    expected = fft_conv(torch.from_numpy(u), torch.from_numpy(k))
    assert not wide[..., ::2].is_contiguous()
    torch.testing.assert_close(fft_conv(wide[..., ::2], k_wide), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float16, 1.5e-3), (torch.bfloat16, 6e-3), (torch.float64, 1e-13)]
)
def test_the_result_has_the_dtype_of_the_input(backend, dtype, bound):
    u, (k,) = inputs("causal", 257, 257)
    u, k = torch.from_numpy(u).to(dtype), torch.from_numpy(k)
    k = k if dtype == torch.float64 else k.float()
    matrix = lag_matrix((k.double().numpy(),), "causal", 257)
    expected = np.einsum("dts,bds->bdt", matrix, u.double().numpy())
    gates = {"skip": torch.zeros(3), "pre": torch.ones_like(u), "post": torch.ones_like(u)}
    y = fft_conv(u, k.requires_grad_(), backend=backend, **gates)
    assert y.dtype == dtype
    assert relative(y, expected) < bound
    y.sum().backward()
    assert k.grad.dtype == k.dtype


def test_precision_fp32_computes_a_double_signal_in_single():
    u, (k,) = inputs("causal", 100, 100)
    u, k = torch.from_numpy(u), torch.from_numpy(k)
    single, double = fft_conv(u, k, precision="fp32"), fft_conv(u, k)
    assert single.dtype == torch.float64
    assert 1e-10 < relative(single, double.numpy()) < 1e-6


# Relative L2 against float64 on white noise, u and k of unit variance.
@pytest.mark.parametrize(
    ("dtype", "bound"),
    [
        (torch.float32, 1e-6),
        (torch.bfloat16, 6e-3),
        (torch.float16, 1.5e-3),
        (torch.float64, 1e-14),
    ],
)
@pytest.mark.parametrize("length", [4096, 10007, pytest.param(131072, marks=pytest.mark.slow)])
def test_the_promised_error(backend, length, dtype, bound):
    """Of the output and of both gradients; float64 against the plain formula."""
    u, k, g = (
        torch.randn(2, 2, length),
        torch.randn(2, length) / length**0.5,
        torch.randn(2, 2, length),
    )
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    leaves = [u.to(dtype).requires_grad_(), k.to(wide).requires_grad_()]
    y = fft_conv(*leaves, backend=backend)
    found = [y, *torch.autograd.grad(y, leaves, g.to(dtype))]
    exact = [x.detach().double().requires_grad_() for x in leaves]
    z = fft_conv(*exact, backend="reference")
    expected = [z, *torch.autograd.grad(z, exact, g.to(dtype).double())]
    for a, b in zip(found, expected, strict=True):
        assert relative(a, b.detach().numpy()) < bound


@pytest.mark.parametrize("length", [64, 1000, 1024, 5000])
def test_future_leaks_only_as_rounding(backend, length):
    """An impulse at the last step: before it zeros, up to 1e-6 of the kernel (float32)."""
    u = torch.zeros(1, 1, length)
    u[..., -1] = 1
    k = torch.randn(1, length)
    y = fft_conv(u, k, backend=backend)
    assert float(y[..., :-1].abs().max()) < 1e-6 * float(k.abs().max())
    torch.testing.assert_close(y[0, 0, -1], k[0, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_causality_by_the_jacobian(mode):
    length = 17
    _, kernels = inputs(mode, length, length, channels=1)
    matrix = torch.autograd.functional.jacobian(
        lambda u: fft_conv(u, as_kernel(kernels), mode=mode)[0, 0],
        torch.zeros(1, 1, length, dtype=torch.float64),
    )[:, 0, 0].numpy()
    future, past = np.triu(matrix, 1), np.tril(matrix, -1)
    noise = 1e-12
    assert (np.abs(future).max() < noise) == (mode == "causal")
    assert (np.abs(past).max() < noise) == (mode == "correlation")


@pytest.mark.parametrize("length", [1, 2, 3, 4, 63, 64, 100, 257, 4096, 65536])
def test_linear_modes_never_wrap(length):
    for mode in MODES:
        for taps in {1, length}:
            n = fft_length(mode, length, taps)
            if mode == "circular":
                assert n == length
            else:
                assert n >= length + taps - (mode != "two-sided")
                assert n > length


def test_fast_lengths_are_the_smallest_even_products_of_2_3_5():
    smooth = sorted(
        2**a * 3**b * 5**c
        for a in range(1, 14)
        for b in range(9)
        for c in range(7)
        if 2**a * 3**b * 5**c <= 8192
    )
    for least in range(1, 4000):
        assert fast_length(least) == next(n for n in smooth if n >= least)


@pytest.mark.parametrize("mode", MODES)
def test_meta_and_fake_tensors(mode, backend):
    def run(device: str, *, train: bool = True) -> tuple[str, torch.Size, torch.dtype]:
        make = {"device": device, "requires_grad": train}
        u = torch.empty(2, 9, 3, dtype=torch.bfloat16, **make)
        k, skip = torch.empty(3, 5, **make), torch.empty(3, **make)
        pair = (k, k) if mode == "two-sided" else k
        y = fft_conv(u, pair, skip=skip, pre=u, mode=mode, backend=backend, layout="bld")
        if train:
            y.float().sum().backward()
            assert [x.grad.shape for x in (u, k, skip)] == [x.shape for x in (u, k, skip)]
        return y.device.type, y.shape, y.dtype

    assert run("meta") == ("meta", (2, 9, 3), torch.bfloat16)
    with FakeTensorMode():
        assert run("cpu") == ("cpu", (2, 9, 3), torch.bfloat16)
        # A CPU build of PyTorch ends the process where a fake CUDA tensor has a gradient.
        with torch.no_grad():
            assert run("cuda", train=False) == ("cuda", (2, 9, 3), torch.bfloat16)


U, K = torch.zeros(2, 3, 8), torch.zeros(3, 8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": torch.zeros(3, 9)}, ("9 taps", "8 steps", "k[:, :8]")),
        ({"k": torch.zeros(3, 0)}, ("0 taps", "1 to 8")),
        ({"k": torch.zeros(4, 8)}, ("4 channels", "3", "layout")),
        ({"k": torch.zeros(8)}, ("(8,)", "(channels, taps)")),
        ({"k": torch.zeros(3, 8, dtype=torch.complex64)}, ("complex64",)),
        ({"u": torch.zeros(3, 8)}, ("(3, 8)", "three axes")),
        ({"u": torch.zeros(2, 3, 8, dtype=torch.int64)}, ("int64",)),
        ({"u": torch.zeros(2, 3, 0)}, ("one step",)),
        ({"u": U.to(torch.float8_e4m3fn)}, ("u: ", "float8_e4m3fn")),
        ({"k": K.to(torch.float8_e4m3fn)}, ("k: ", "float8_e4m3fn")),
        ({"pre": U.to(torch.float8_e4m3fn)}, ("pre: ", "float8_e4m3fn")),
        ({"skip": K[:, 0].to(torch.float8_e4m3fn)}, ("skip: ", "float8_e4m3fn")),
        ({"k": None}, ("NoneType", "expected a tensor")),
        ({"k": K.numpy()}, ("ndarray", "expected a tensor")),
        ({"k": (K, K.numpy()), "mode": "two-sided"}, ("tuple", "a pair of them")),
        ({"u": torch.zeros(2, 8, 3)}, ("3 channels", "8", "layout='bdl'")),
        ({"skip": torch.zeros(3, 1)}, ("skip", "(3, 1)", "(3,)")),
        ({"pre": torch.zeros(2, 8, 3)}, ("pre", "(2, 8, 3)", "(2, 3, 8)")),
        ({"post": torch.zeros(8)}, ("post", "(8,)")),
        ({"post": torch.zeros(2, 3, 8, dtype=torch.complex64)}, ("post", "complex64", "reals")),
        ({"skip": torch.zeros(3, dtype=torch.int64)}, ("skip", "int64", "real")),
        ({"k": K.to("meta")}, ("k is on meta", "u on cpu", ".to(u.device)")),
        ({"pre": U.to("meta")}, ("pre is on meta", "u on cpu")),
        ({"skip": torch.zeros(3, device="meta")}, ("skip is on meta",)),
        ({"mode": "two-sided"}, ("k_forward, k_backward", "1")),
        ({"k": (K, K)}, ("one kernel", "2")),
        ({"mode": "casual"}, ("casual", "causal, circular, correlation, two-sided")),
        ({"backend": "cuda"}, ("cuda", "auto, reference, spectral, cpu, triton")),
        ({"precision": "fp8"}, ("fp8", "auto, fp32, tf32, fp16, bf16")),
        ({"precision": "bf16"}, ("bf16", "cpu cannot", "spectral cannot")),
        ({"precision": "bf16", "backend": "spectral"}, ("bf16", "float32 or float64")),
        ({"precision": "tf32", "backend": "reference"}, ("tf32", "backend='triton'")),
        ({"layout": "ldb"}, ("ldb", "bdl, bld")),
    ],
)
def test_errors_name_what_was_given_and_what_can_be(arguments, words):
    with pytest.raises(ValueError, match=r".") as caught:
        fft_conv(**{"u": U, "k": K, **arguments})
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(0, 3, 8), (0, 3, 40), (2, 0, 40)])
@pytest.mark.parametrize("layout", ["bdl", "bld"])
def test_an_empty_batch_has_zero_gradients(shape, mode, layout, backend):
    u, pre, post = (torch.randn(shape).bfloat16() for _ in range(3))
    u, pre, post = ((x.mT if layout == "bld" else x).requires_grad_() for x in (u, pre, post))
    kf, kb, skip = (torch.randn(shape[1], *s).requires_grad_() for s in ((8,), (8,), ()))
    k, leaves = ((kf, kb), [kf, kb]) if mode == "two-sided" else (kf, [kf])
    y = fft_conv(u, k, skip=skip, pre=pre, post=post, mode=mode, layout=layout, backend=backend)
    assert (y.shape, y.dtype) == (u.shape, u.dtype)
    leaves += [u, skip, pre, post]
    for x, dx in zip(leaves, torch.autograd.grad(y.sum(), leaves), strict=True):
        assert torch.equal(dx, torch.zeros_like(x))


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
def test_a_gpu_agrees(mode):
    u, kernels = inputs(mode, 1023, 1023)
    expected = np.einsum("dts,bds->bdt", lag_matrix(kernels, mode, 1023), u)
    k = as_kernel(kernels, torch.float32)
    k = tuple(x.cuda() for x in k) if mode == "two-sided" else k.cuda()
    y = fft_conv(torch.from_numpy(u).float().cuda(), k, mode=mode)
    assert relative(y.cpu(), expected) < 1e-6
