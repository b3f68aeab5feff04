"""The backend as the rest of zoo.conv sees it: what it takes, what it refuses, in which words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.zoo.triton.emulation import emulated
from tests.zoo.triton.exact import error, expected, problem
from zoo.conv import triton as backend
from zoo.conv.triton import configurations

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("u", "precision", "reason"),
    [
        (torch.empty(1, 1, 8), "auto", "u is on cpu, not cuda"),
        (torch.empty(1, 1, 8, device="meta"), "auto", "u is on meta, not cuda"),
        (torch.empty(1, 1, 8, dtype=torch.float64), "auto", "torch.float64 signals"),
    ],
)
def test_refusals_are_one_line(u: torch.Tensor, precision: str, reason: str) -> None:
    found = backend.refusal(u, precision)
    assert found is not None
    assert found.startswith(reason)
    assert "\n" not in found


def test_signals_longer_than_any_row_are_refused() -> None:
    with emulated():
        assert backend.refusal(torch.empty(1, 1, 2**20), "auto") is None
        found = backend.refusal(torch.empty(1, 1, 2**20 + 1), "auto")
    assert found == "1048577 steps; with tf32x3 products it takes up to 1048576"


@pytest.mark.parametrize(
    ("length", "io", "architecture", "family"),
    [
        (512, torch.float32, 80, "toeplitz"),
        (513, torch.float32, 80, "monarch"),
        (1024, torch.bfloat16, 90, "toeplitz"),
        (1025, torch.bfloat16, 90, "monarch"),
        (8193, torch.bfloat16, 100, "monarch_long"),
    ],
)
def test_the_table_says_which_family_serves_a_length(
    length: int,
    io: torch.dtype,
    architecture: int,
    family: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(configurations, "architecture_of", lambda device: architecture)
    u = torch.empty(1, 1, length, dtype=io, device="meta")
    found = backend.family_of(u, configurations.dots_of("auto", io))
    assert found.__name__.endswith(f".{family}")


@pytest.mark.parametrize("precision", ["auto", "fp32", "tf32", "fp16", "bf16"])
def test_every_word_for_precision_works(precision: str) -> None:
    """Accurate to float32 as `auto` for float32 signals, and as `fp32`."""
    p = problem((1, 1, 40), taps=(None, 3))
    exact, _ = expected(p)
    with emulated():
        y = backend.convolve(p.arguments, precision)
        du = backend.gradients(p.g, p.arguments, precision)[0]
        weights = backend.weight_gradient(p.g, p.u, 5, precision)
    assert du is not None
    assert weights.shape == (1, 5)
    limit = {"auto": 1e-6, "fp32": 1e-6, "bf16": 1.2e-2}.get(precision, 1.5e-3)
    assert error(y, exact) <= limit
    assert (error(y, exact) > 1e-5) == (precision not in ("auto", "fp32"))


def test_the_interpreter_of_triton_itself() -> None:
    """With TRITON_INTERPRET=1 from the start, kernels run on CPU tensors without this harness."""
    code = """
import torch
from zoo.conv import triton as backend
from zoo.conv.arguments import Arguments
u, k = torch.randn(2, 3, 50), torch.randn(3, 50)
assert backend.refusal(u, "auto") is None
y = backend.convolve(Arguments(u, k), "auto")
n = 100
z = torch.fft.irfft(torch.fft.rfft(u, n) * torch.fft.rfft(k, n), n)[..., :50]
torch.testing.assert_close(y, z, atol=1e-4, rtol=1e-4)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
