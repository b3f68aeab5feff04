"""The short convolution's kernels, interpreted, against the plain formula in float64."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tests.zoo.triton.emulation import emulated
from zoo.conv import short_reference
from zoo.conv.short_conv import short_conv
from zoo.conv.triton import short_conv as kernels

ROOT = Path(__file__).parents[3]
ERROR = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 6e-3, torch.float16: 8e-4}


@pytest.fixture
def interpreter() -> Iterator[None]:
    with emulated():
        yield


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).to(dtype)


def check(u: Tensor, g: Tensor, w: Tensor, bias: Tensor | None, silu: bool) -> None:
    """Every result is near to float64; what was never written would be NaN."""
    exact = [x if x is None else x.double() for x in (u, w, bias)]
    y = kernels.convolve(u, w, bias, silu)
    got = (y, *kernels.gradients(g, u, w, bias, silu))
    wanted = (
        short_reference.convolve(*exact, silu),
        *short_reference.gradients(g.double(), *exact, silu),
    )
    assert y.stride() == torch.empty_like(u).stride()
    terms = u.shape[0] * u.shape[1]
    for ours, theirs, count in zip(got, wanted, (1, 1, terms, terms), strict=True):
        size = theirs.norm() + (count * theirs.numel()) ** 0.5
        assert (ours.double() - theirs).norm() <= ERROR[u.dtype] * size


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize(("length", "channels"), [(1, 1), (2, 33), (63, 32), (130, 5)])
@pytest.mark.parametrize("taps", [1, 4, 7])
@pytest.mark.parametrize("silu", [False, True])
def test_values_and_gradients(length: int, channels: int, taps: int, silu: bool) -> None:
    u, g = draw(2, length, channels), draw(2, length, channels)
    check(u, g, draw(channels, taps), draw(channels) if length != 2 else None, silu)


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize("dtype", list(ERROR), ids=str)
def test_types_and_strides(dtype: torch.dtype) -> None:
    weights = torch.float64 if dtype == torch.float64 else torch.float32
    w, bias = draw(9, 3, dtype=weights), draw(9, dtype=weights)
    split, turned = draw(2, 40, 20, dtype=dtype)[..., 5:14], draw(2, 9, 40, dtype=dtype).mT
    check(split, turned, w, bias, True)
    check(turned, split, w, bias, False)
    check(split, draw(1, 1, 1, dtype=dtype).expand(2, 40, 9), w, bias, True)


@pytest.mark.usefixtures("interpreter")
def test_as_a_backend() -> None:
    inputs = [draw(2, 6, 5), draw(5, 3), draw(5)]
    inputs = [x.requires_grad_() for x in inputs]
    results = []
    for backend in ("triton", "reference"):
        name: Any = backend
        y = short_conv(*inputs, activation="silu", backend=name)
        results.append([y, *torch.autograd.grad(y.square().sum(), inputs)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.usefixtures("interpreter")
def test_exactly_causal_and_batch_invariant() -> None:
    u, w, bias = draw(3, 90, 17), draw(17, 4), draw(17)
    y = kernels.convolve(u, w, bias, True)
    changed = u.clone()
    changed[:, 65:] = float("nan")
    assert torch.equal(kernels.convolve(changed, w, bias, True)[:, :65], y[:, :65])
    assert torch.equal(kernels.convolve(u[1:2], w, bias, True)[0], y[1])


WITHOUT_TRITON = """
import importlib.util, sys
plain = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else plain(name, *rest)
sys.modules["triton"] = None  # importing it fails
import torch
from zoo.conv import short_reference
from zoo.conv.short_operators import backend_for
class OnGpu:
    is_cuda = True
assert backend_for(OnGpu(), "auto") is short_reference
from zoo.conv.short_conv import short_conv
try:
    short_conv(torch.ones(1, 8, 2), torch.ones(2, 3), backend="triton")
except ValueError as error:
    print(error)
"""


def test_without_triton_installed() -> None:
    """Plain torch by itself; one line to who asks for triton by name."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WITHOUT_TRITON]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.stdout == (
        "backend='triton': triton is not installed; use backend='auto' or 'reference'\n"
    ), run.stderr


def test_compiled_without_spills() -> None:
    """In a process of its own: the interpreter leaves traces in triton."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr


def compile_ahead(name: str, signal: str, architecture: int) -> None:
    """Adjacent channels, as models make them: nothing on the stack, vectors from memory."""
    kernel = getattr(kernels, name)
    constants = {"HAS_BIAS": True, "IS_SILU": True, **kernels.ROW.blocks}
    pointers = dict.fromkeys(("y", "u", "g", "du"), signal)
    pointers |= dict.fromkeys(("w", "bias", "parts", "h"), "*fp32")
    signature, values, attributes = {}, {}, {}
    for i, argument in enumerate(kernel.arg_names):
        if argument in constants or argument.endswith("_channel"):
            values[(i,)], signature[argument] = constants.get(argument, 1), "constexpr"
        else:
            signature[argument] = pointers.get(argument, "i32")
            if argument != "taps":
                attributes[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, values, attributes)
    target, options = GPUTarget("cuda", architecture, 32), {"num_warps": kernels.ROW.warps}
    text = triton.compile(source, target, options).asm["ptx"]
    assert ".local" not in text, (name, signal, architecture)
    assert re.search(r"ld\.global\.v[248]", text), (name, signal, architecture)


if __name__ == "__main__":
    for words in (("*fp32", 80), ("*bf16", 90), ("*bf16", 100)):
        for name in ("forward_kernel", "slope_kernel", "backward_kernel"):
            compile_ahead(name, *words)
