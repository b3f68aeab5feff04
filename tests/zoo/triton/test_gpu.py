"""The numerics of the whole table on a real GPU, against float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.zoo.triton.exact import NAMES, Problem, bound, error_in, expected, problem
from zoo.conv import triton as backend
from zoo.conv.triton.configurations import dots_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]
LENGTHS = (1, 2, 63, 64, 500, 512, 1000, 1023, 1024, 2047, 2048, 4000, 4096, 8191, 8192, 16384)
LONG = (20000, 65536, 131072, 300000, 1048576)
PRECISIONS = ("auto", "fp32", "tf32", "fp16", "bf16")


def run(p: Problem, precision: str) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The output and the gradients, by the kernels that a call would take."""
    on_gpu = p.to("cuda")
    assert backend.refusal(on_gpu.u, precision) is None
    y = backend.convolve(on_gpu.arguments, precision)
    return y, backend.gradients(on_gpu.g, on_gpu.arguments, precision)


def check(p: Problem, precision: str) -> None:
    """Everything is as near to float64 as is promised."""
    y, gradients = run(p, precision)
    exact_y, exact_gradients = expected(p)
    dots = dots_of(precision, p.u.dtype)
    for name, found, exact in zip(
        ("y", *NAMES), (y, *gradients), (exact_y, *exact_gradients), strict=True
    ):
        assert (found is None) == (exact is None), name
        if found is not None and exact is not None:
            is_signal = name in ("y", "u", "pre", "post")
            limit = bound(dots, p.u.dtype, is_signal=is_signal)
            assert error_in(p, name, found.cpu(), exact) <= limit, name


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("io", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_length_and_precision(length: int, io: torch.dtype, precision: str) -> None:
    taps = length, (length + 1) // 2
    check(problem((5, 3, length), io, taps=taps, gated=True), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("length", LONG)
def test_long_signals(length: int, precision: str) -> None:
    check(problem((2, 2, length), taps=(None, 0), gated=True), precision)


@pytest.mark.parametrize("length", [500, 2000, 8000, 20000])
def test_deterministic_and_one_row_as_in_the_batch(length: int) -> None:
    p = problem((70, 3, length), torch.bfloat16, taps=(None, 4), gated=True)
    one, two = run(p, "auto"), run(p, "auto")
    for a, b in zip((one[0], *one[1]), (two[0], *two[1]), strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)
    last = Problem(
        **{k: v[-1:] if v is not None and v.dim() == 3 else v for k, v in vars(p).items()}
    )
    assert torch.equal(run(last, "auto")[0], one[0][-1:])


@pytest.mark.parametrize("exponent", [-6, -3, 0, 4])
@pytest.mark.parametrize("length", [500, 2000, 8000, 20000])
def test_float16_dots_neither_underflow_nor_overflow(length: int, exponent: int) -> None:
    p = problem((3, 2, length), gated=True, taps=(None, 7), scale=10.0**exponent)
    p.g *= 10.0**exponent
    check(p, "fp16")
