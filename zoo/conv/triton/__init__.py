"""The convolution on GPUs: Triton kernels for every length up to a million steps, no others needed.

A call takes the first family whose rows in the table (configurations.py) reach its length; all of
them compute the same thing, forward and backward, with skip and gates inside. Nothing is tuned at
run time and no two programs add to one place: the same call gives the same bits.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch
from torch import Tensor

from zoo.conv.arguments import Arguments, Gradients
from zoo.conv.triton import configurations
from zoo.conv.triton.configurations import Dots, dots_of, reach

FAMILIES = ("toeplitz", "monarch", "monarch_long")  # as tried: shortest first
SIGNALS = (torch.float32, torch.float16, torch.bfloat16)


def refusal(u: Tensor, precision: str) -> str | None:
    """Why these kernels cannot take the signal, in half a line; None if they can."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if u.dtype not in SIGNALS:
        return f"{u.dtype} signals; it takes float32, float16 and bfloat16"
    if u.device.type == "cuda":
        capability = torch.cuda.get_device_capability(u.device)
        if torch.version.hip is not None or capability < (8, 0):
            return "the GPU must be of NVIDIA's Ampere generation or later"
    elif u.device.type != "cpu" or not _is_interpreted():
        return f"u is on {u.device.type}, not cuda (TRITON_INTERPRET=1 interprets kernels on a CPU)"
    dots, architecture = dots_of(precision, u.dtype), configurations.architecture_of(u.device)
    longest = max(reach(name, dots, architecture) for name in FAMILIES)
    if u.shape[-1] > longest:
        return f"{u.shape[-1]} steps; with {dots} products it takes up to {longest}"
    return None


def convolve(a: Arguments, precision: str) -> Tensor:
    """The output, with the dtype of u and the strides of torch.empty_like(u)."""
    dots = dots_of(precision, a.u.dtype)
    return family_of(a.u, dots).convolve(a, dots)


def gradients(g: Tensor, a: Arguments, precision: str) -> Gradients:
    """The derivatives in u, forward, backward, skip, pre and post, None where those are."""
    dots = dots_of(precision, a.u.dtype)
    return family_of(a.u, dots).gradients(g, a, dots)


def weight_gradient(g: Tensor, u: Tensor, taps: int, precision: str) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j]: (D, taps)."""
    dots = dots_of(precision, u.dtype)
    return family_of(u, dots).weight_gradient(g, u, taps, dots)


def family_of(u: Tensor, dots: Dots) -> ModuleType:
    """The module that serves a signal: the first whose rows reach its length."""
    architecture = configurations.architecture_of(u.device)
    for name in FAMILIES:
        if reach(name, dots, architecture) >= u.shape[-1]:
            return import_module(f"{__name__}.{name}")
    raise LookupError(f"no kernels for {u.shape[-1]} steps with {dots} products")


def _is_interpreted() -> bool:
    """Whether kernels are plain Python, as TRITON_INTERPRET=1 makes them when they are defined."""
    from triton.runtime.jit import JITFunction

    from zoo.conv.triton import toeplitz_kernels

    return not isinstance(toeplitz_kernels.convolution_kernel, JITFunction)
