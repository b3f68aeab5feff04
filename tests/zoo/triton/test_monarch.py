"""The Monarch kernels, beyond what every configuration is put through in test_numerics.py.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.zoo.triton.emulation import Traffic, emulated
from tests.zoo.triton.exact import NAMES, Problem, bound, error, error_in, expected, problem
from zoo.conv import triton as backend
from zoo.conv.arguments import Arguments
from zoo.conv.triton import monarch, monarch_long, monarch_long_call, tables
from zoo.conv.triton.configurations import ARCHITECTURES, Dots, dots_of, find_for, shipped

F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16


def slow(*values: Any) -> Any:
    """A parameter for `make test-all` only: the interpreter takes some 20 ms a program."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels run on CPU tensors, rounding as GPUs do; memory from torch.empty is NaN at first."""
    for place, name in ((torch, "empty"), (torch, "empty_like"), (Tensor, "new_empty")):
        monkeypatch.setattr(place, name, poisoned(getattr(place, name)))
    with emulated():
        yield


@pytest.fixture
def traffic(interpreter: None) -> Iterator[Traffic]:
    """Unique bytes are counted as well, which takes as long again."""
    with emulated(addresses=True) as counted:
        yield counted


def poisoned(make: Any) -> Any:
    def poison(*args: Any, **kwargs: Any) -> Tensor:
        made = make(*args, **kwargs)
        return made.fill_(math.nan) if made.is_floating_point() else made

    return poison


def run(p: Problem, precision: str) -> tuple[Tensor | None, ...]:
    """The output and the gradients, by whichever kernels serve the length."""
    y = backend.convolve(p.arguments, precision)
    return y, *backend.gradients(p.g, p.arguments, precision)


def check(p: Problem, precision: str) -> None:
    """As near to float64 as is promised: the output and every gradient."""
    exact_y, exact_gradients = expected(p)
    dots = dots_of(precision, p.u.dtype)
    for name, found, exact in zip(
        ("y", *NAMES), run(p, precision), (exact_y, *exact_gradients), strict=True
    ):
        assert (found is None) == (exact is None), name
        if found is not None and exact is not None:
            is_signal = name in ("y", "u", "pre", "post")
            limit = bound(dots, p.u.dtype, is_signal=is_signal)
            assert error_in(p, name, found, exact) <= limit, name


@pytest.mark.parametrize(
    ("n", "dots"), [(1024, "tf32x3"), (2048, "fp16"), (4096, "bf16"), (8192, "fp16")]
)
def test_spectrum_is_that_of_the_ring(n: int, dots: Dots) -> None:
    """K[(k1 k2), k3] = sum_t x_t w^t exp(-2 pi i t k / n), k = k1 + n1 (k2 + n2 k3)."""
    x = torch.randn(1, 1, n)
    call = monarch._Call(x, dots)
    n1, n2, n3 = call.radices
    found = call.spectrum(x[0], None).values
    t = torch.arange(n).double()
    twisted = x[0, 0].double() * torch.exp(1j * math.pi * t / (2 * n))
    natural = torch.fft.fft(twisted).view(n3, n2, n1).permute(2, 1, 0).flatten()
    tolerance = bound("tf32x3" if dots == "tf32x3" else "tf32", F32, is_signal=False)
    assert error(found[0, 0], natural.real) < tolerance
    assert error(found[0, 1], natural.imag) < tolerance


def test_tables_are_exact_to_the_last_bit() -> None:
    """Angles are reduced as integers: a root of a million is as good as one of four."""
    n = 2**20
    t = tables.twiddles(n // 4096, 4096, twist=True)
    m, k = n // 4096 - 1, 4095
    exact = -2 * math.pi * ((4 * m * k - m) % (4 * n)) / (4 * n)
    assert abs(t[0, m, k].item() - math.cos(exact)) < 1e-15
    assert abs(t[1, m, k].item() - math.sin(exact)) < 1e-15
    f = torch.complex(*tables.dft_matrix(64))
    assert (
        error(torch.view_as_real(f @ f.conj().T), 64 * torch.view_as_real(torch.eye(64) + 0j))
        < 1e-15
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_roles_of_a_class_share_the_order_of_the_spectrum(architecture: int) -> None:
    """What one kernel writes another reads: the radices must be the same."""
    for family, roles in (("monarch", monarch.ROLES), ("monarch_long", monarch_long.INNER)):
        for row in shipped():
            if row.family == family and row.role in roles and row.architecture == architecture:
                same = [
                    find_for(family, role, row.length, row.dots, architecture).blocks
                    for role in roles
                ]
                assert all(blocks == same[0] for blocks in same)


@pytest.mark.parametrize(
    ("length", "io", "precision"),
    [
        (1000, F32, "fp32"),
        slow(1024, F32, "tf32"),
        (1025, BF16, "fp16"),
        slow(1500, F32, "fp32"),
        (1500, BF16, "bf16"),
        slow(2048, F16, "fp16"),
        (3001, F32, "fp32"),
        slow(4096, BF16, "auto"),
        slow(5000, F16, "fp16"),
        (8192, BF16, "fp16"),
    ],
)
def test_one_kernel_lengths(length: int, io: torch.dtype, precision: str) -> None:
    """Up to 8K, both kernels, skip and gates; forward and backward."""
    check(problem((2, 1, length), io, taps=(length, length // 3), gated=True), precision)


@pytest.mark.parametrize(
    ("length", "io", "precision"),
    [
        (8193, BF16, "auto"),
        slow(6000, F32, "fp32"),
        slow(16384, F32, "tf32"),
        slow(20011, BF16, "bf16"),
    ],
)
def test_three_kernel_lengths(length: int, io: torch.dtype, precision: str) -> None:
    """The same from 8K."""
    check(problem((1, 1, length), io, taps=(length, 77), gated=True), precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
@pytest.mark.parametrize("length", [20011, 32768, 65000, 131072, 200003])
def test_long_lengths(length: int, precision: str) -> None:
    check(problem((2, 1, length), taps=(length, length // 2), gated=True), precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_million_steps(precision: str) -> None:
    check(problem((1, 1, 2**20), taps=(None, 0), gated=False), precision)


@pytest.mark.parametrize("length", [1500, 4000, slow(9000)])
@pytest.mark.parametrize("exponents", [(-6, 0), (4, 0), (-3, -6), (0, 4)], ids=str)
def test_float16_dots_at_any_scale(length: int, exponents: tuple[int, int]) -> None:
    """Signals, and kernels, far outside of what float16 can hold: the error stays where it is."""
    p = problem((1, 1, length))
    p.u *= 10.0 ** exponents[0]
    p.g *= 10.0 ** exponents[0]
    assert p.forward is not None
    p.forward *= 10.0 ** exponents[1]
    check(p, "fp16")


@pytest.mark.parametrize("length", [2000, slow(9000)])
def test_an_impulse_at_the_end_leaks_little(length: int) -> None:
    """Causal up to rounding: 1e-6 of the largest tap, everywhere before the impulse."""
    p = problem((1, 1, length))
    p.u.zero_()[..., -1] = 1.0
    y = backend.convolve(p.arguments, "fp32")
    assert p.forward is not None
    assert y[..., :-1].abs().max() <= 1e-6 * p.forward.abs().max()


@pytest.mark.parametrize("length", [2000, 4000, slow(9000)])
def test_same_bits_twice_and_alone(length: int) -> None:
    """Deterministic, and a row alone gives the bits that it gives in a batch."""
    p = problem((2, 1, length), BF16, taps=(None, 4), gated=True)
    one, two = run(p, "auto"), run(p, "auto")
    for a, b in zip(one, two, strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)
    alone = {k: v[1:] if v is not None and v.dim() == 3 else v for k, v in vars(p).items()}
    y, du, *_, dpre, dpost = run(Problem(**alone), "auto")
    for a, b in ((y, one[0]), (du, one[1]), (dpre, one[5]), (dpost, one[6])):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b[1:])


def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scratch for one row of one channel at a time."""
    monkeypatch.setattr(monarch_long_call, "SCRATCH_BYTES", 4 * 8 * 8192)


@pytest.mark.slow
def test_pieces_of_batch_and_channels_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where scratch is short a call is cut into pieces: the same bits."""
    p = problem((1, 2, 5001), taps=(7, 0))
    whole = backend.convolve(p.arguments, "fp32")
    in_pieces(monkeypatch)
    assert torch.equal(whole, backend.convolve(p.arguments, "fp32"))


@pytest.mark.slow
@pytest.mark.parametrize("taps", [(0, 6), (7, 1)], ids=str)
def test_pieces_change_no_gradient(taps: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem((3, 2, 5001), taps=taps, gated=True)
    whole = run(p, "fp32")
    in_pieces(monkeypatch)
    for name, a, b in zip(("y", *NAMES), whole, run(p, "fp32"), strict=True):
        assert (a is None) == (b is None), name
        if a is not None and b is not None:  # sums over rows of gc x are added in another order
            assert torch.equal(a, b) or (name == "skip" and torch.allclose(a, b)), name


@pytest.mark.parametrize("length", [1600, slow(5001)])
def test_weight_gradient_and_layout(length: int) -> None:
    """Alone, of (B, L, D) signals seen as (B, D, L); du comes back in that layout."""
    p = problem((2, 2, length), taps=(11, 0))
    p.u, p.g = p.u.mT.contiguous().mT, p.g.mT.contiguous().mT
    found = backend.weight_gradient(p.g, p.u, 11, "fp32")
    _, exact = expected(p)
    assert exact[1] is not None
    assert error(found, exact[1]) <= 1e-6
    du = backend.gradients(p.g, p.arguments, "fp32")[0]
    assert du is not None
    assert du.stride() == p.u.stride()


@pytest.mark.parametrize(
    ("length", "io", "dots"),
    [(2048, BF16, "fp16"), (4096, F32, "tf32x3"), slow(8192, BF16, "fp16")],
)
def test_one_kernel_moves_what_it_must(
    length: int, io: torch.dtype, dots: Dots, traffic: Traffic
) -> None:
    """Bytes: signals once, spectra of kernels written and read once, within 1.3 times.

    Tables of constants come on top, once for each launch, however many rows share them.
    """
    p = problem((4, 2, length), io, gated=True)
    call = (Arguments(p.u, p.forward, None, p.skip, p.pre, p.post), dots)
    monarch.convolve(*call)
    signal, spectrum = p.u.numel() * p.u.element_size(), 2 * length * 8
    ideal = 4 * signal + spectrum // 2 + 2 * spectrum
    radices = monarch._Call(p.u, dots).radices
    device = p.u.device
    constants = tables.matrices(radices, F32, device, twist=True).nbytes
    constants += tables.stage_twiddles(radices, device, twist=True).nbytes
    assert ideal <= traffic.unique_bytes <= 1.3 * ideal + 2 * constants
    traffic.unique_loaded = traffic.unique_stored = 0
    monarch.gradients(p.g, *call)
    # du, dpre from g, post, u, pre; dpost from u, pre, g; dforward from g, post, u, pre. Spectra: K
    # written once and read twice, sum and two that wait written and read, the sum read once more
    ideal = (6 + 4 + 4) * signal + (0.5 + 3 + 6 + 1 + 0.5) * spectrum
    assert ideal <= traffic.unique_bytes <= 1.3 * ideal + 5 * constants


def test_three_kernels_move_what_they_must(traffic: Traffic) -> None:
    """Bytes: 2 + 4 | 4 + 4 | 4 + 2 for bfloat16 signals, and the spectra of the kernels."""
    p = problem((4, 1, 16384), BF16)
    monarch_long.convolve(Arguments(p.u, p.forward), "fp16")
    spectrum = 16384 * 8
    ideal = 20 * p.u.numel() + spectrum * (0.5 + 1 + 1 + 1 + 1)
    tables_read = 3 * spectrum  # twiddles of the columns: shared by all rows of a call
    assert ideal <= traffic.unique_bytes <= 1.3 * ideal + tables_read
