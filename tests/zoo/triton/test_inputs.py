"""Whatever a caller hands in: kernels are launched with what they were compiled for.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from tests.zoo.triton.emulation import emulated
from tests.zoo.triton.exact import NAMES, Problem, bound, error_in, expected, problem
from zoo.conv import fft_conv
from zoo.conv import triton as backend
from zoo.conv.triton import launching, monarch, monarch_long, monarch_long_call, toeplitz
from zoo.conv.triton.configurations import Configuration, dots_of

FAMILIES: dict[str, Any] = {"toeplitz": toeplitz, "monarch": monarch, "monarch_long": monarch_long}
SIGNALS = ("x", "u", "g", "y", "out", "also", "pre", "post", "gate", "other")  # some arguments


@pytest.fixture(autouse=True)
def interpreter() -> Iterator[None]:
    """Kernels run on CPU tensors."""
    with emulated():
        yield


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each family, at lengths that a shorter one would serve as well: grids are small there."""
    found = FAMILIES[request.param]
    with mock.patch.object(backend, "family_of", return_value=found):
        yield found


@pytest.fixture
def launched() -> Iterator[list[dict[str, Any]]]:
    """The arguments of every launch, of which none runs."""
    seen: list[dict[str, Any]] = []

    def launch(kernel: Any, programs: int, row: Configuration, **arguments: Any) -> None:
        seen.append(arguments)

    with mock.patch.object(launching, "launch", launch):
        yield seen


def transposed(x: Tensor) -> Tensor:
    return x.mT.contiguous().mT


def step(x: Tensor) -> Tensor:
    return torch.stack([x, torch.full_like(x, 1e9)], -1).flatten(-2)[..., ::2]


def cut(x: Tensor) -> Tensor:
    return torch.cat([x, torch.full_like(x, 1e9)], -1)[..., : x.shape[-1]]


def expanded(x: Tensor) -> Tensor:
    return x[:1].expand_as(x)


def late(x: Tensor) -> Tensor:
    """From an address that is no multiple of 16 bytes."""
    return torch.cat([x.new_full((1,), 1e9), x.flatten()])[1:].view(x.shape)


def check(p: Problem, family: Any) -> None:
    """Through the public function: the output and every gradient, of float32 signals.

    The three kernels with float16 products, for which their grids are smaller.
    """
    precision = "fp16" if family is monarch_long else "fp32"
    leaves = [None if x is None else x.detach().requires_grad_() for x in p.arguments]
    u, forward, _, skip, pre, post = leaves
    assert u is not None
    assert forward is not None
    y = fft_conv(u, forward, skip=skip, pre=pre, post=post, precision=precision, backend="triton")
    present = [x for x in leaves if x is not None]
    found = iter(torch.autograd.grad(y, present, p.g))
    exact_y, exact = expected(p)
    limit = bound(dots_of(precision, p.u.dtype), p.u.dtype, is_signal=True)
    assert error_in(p, "y", y.detach(), exact_y) <= limit
    for name, leaf, wanted in zip(NAMES, leaves, exact, strict=True):
        if leaf is not None and wanted is not None:
            assert error_in(p, name, next(found), wanted) <= limit, name


def in_every_family(*rows: tuple[Any, ...], quick: tuple[Any, ...] = ()) -> list[Any]:
    """(family, *row) for the indirect fixture. Three kernels take the interpreter seconds: slow."""
    return [
        pytest.param(
            name, *row, marks=[pytest.mark.slow] if name == "monarch_long" and row != quick else []
        )
        for name in FAMILIES
        for row in rows
    ]


@pytest.mark.parametrize(
    ("family", "of_kernel", "of_skip", "of_signals"),
    in_every_family(
        (transposed, expanded, transposed),
        (step, step, cut),
        (expanded, cut, step),
        (cut, late, late),
        (late, step, expanded),
        quick=(expanded, cut, step),
    ),
    indirect=["family"],
)
def test_arguments_of_any_strides(
    family: Any, of_kernel: Any, of_skip: Any, of_signals: Any
) -> None:
    """(D, L) kernels as (L, D) ones seen so, every second tap, the first of more, one for all."""
    p = problem((1, 2, 47), taps=(31, 0), gated=True)
    assert p.forward is not None
    assert p.skip is not None
    p.forward, p.skip = of_kernel(p.forward), of_skip(p.skip)
    for name in ("u", "pre", "post", "g"):
        setattr(p, name, of_signals(getattr(p, name)))
    check(p, family)


@pytest.mark.parametrize(
    ("family", "length"),
    in_every_family((1,), (15,), (16,), (17,), (63,), (101,)),
    indirect=["family"],
)
def test_lengths_that_are_no_multiple_of_16(family: Any, length: int) -> None:
    check(problem((1, 1, length), taps=(None, 0), gated=True), family)


def test_what_is_launched(
    family: Any, launched: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a length or taps that are no multiple of 16, nor an address that is none of 16 bytes.

    Nor in pieces of the channels, whose kernels begin anywhere.
    """
    monkeypatch.setattr(monarch_long_call, "SCRATCH_BYTES", 4 * 8 * 8192)
    p = problem((1, 2, 49), torch.bfloat16, taps=(33, 0), gated=True)
    for name in ("forward", "skip", "pre", "g"):
        setattr(p, name, late(getattr(p, name)))
    p.post = step(transposed(p.post)) if p.post is not None else None
    y = backend.convolve(p.arguments, "fp16")
    backend.gradients(p.g, p.arguments, "fp16")
    backend.weight_gradient(p.g, p.u, 33, "fp16")
    assert y.shape == p.u.shape
    assert len(launched) >= 5
    for arguments in launched:
        counts = [arguments.get(name, 16) for name in ("L", "Lf", "taps", "num_taps")]
        assert not any(count % 16 for count in counts if isinstance(count, int))
        for name, x in arguments.items():
            if isinstance(x, Tensor):
                assert x.data_ptr() % 16 == 0, name
            if name in SIGNALS and isinstance(x, Tensor) and x.dtype == torch.bfloat16:
                assert x.shape[-1] == arguments["L"] == 64, name


def test_without_need_nothing_is_copied(launched: list[dict[str, Any]]) -> None:
    p = problem((2, 3, 48), taps=(16, 0))
    y = backend.convolve(p.arguments, "fp32")
    (arguments,) = launched
    assert arguments["u"] is p.u
    assert arguments["forward"] is p.forward
    assert arguments["y"] is y


@pytest.mark.parametrize("length", [33, 41, 63])
def test_toeplitz_is_exactly_causal_at_any_length(length: int) -> None:
    """What comes later changes no bit: the zeros behind a signal are cut off again."""
    p = problem((1, 2, length), taps=(None, 0))
    y = backend.convolve(p.arguments, "fp32")
    changed = p.arguments._replace(u=torch.cat([p.u[..., :-5], torch.randn(1, 2, 5)], -1))
    assert torch.equal(backend.convolve(changed, "fp32")[..., :-5], y[..., :-5])
    p.u.zero_()[..., -1] = 1.0
    y = backend.convolve(p.arguments, "fp32")
    assert not y[..., :-1].any()
    assert y[..., -1].all()
