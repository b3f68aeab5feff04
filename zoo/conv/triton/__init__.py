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
from torch.nn.functional import pad

from zoo.conv.arguments import Arguments, Gradients, laid_out
from zoo.conv.triton import configurations, launching
from zoo.conv.triton.configurations import Dots, dots_of, reach

FAMILIES = ("toeplitz", "monarch", "monarch_long")  # as tried: shortest first
STEPS = 16  # signals and kernels have a multiple of these
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
    return _like(family_of(a.u, dots).convolve(_prepared(a), dots), a.u)


def gradients(g: Tensor, a: Arguments, precision: str) -> Gradients:
    """The derivatives in u, forward, backward, skip, pre and post, None where those are."""
    dots = dots_of(precision, a.u.dtype)
    found = family_of(a.u, dots).gradients(_extended(g), _prepared(a), dots)
    du, dforward, dbackward, dskip, dpre, dpost = found
    du, dpre, dpost = (None if x is None else _like(x, a.u) for x in (du, dpre, dpost))
    return du, _cut(dforward, a.forward), _cut(dbackward, a.backward), dskip, dpre, dpost


def weight_gradient(g: Tensor, u: Tensor, taps: int, precision: str) -> Tensor:
    """w[d, j] = sum over b and t >= j of g[b, d, t] u[b, d, t - j]: (D, taps)."""
    dots = dots_of(precision, u.dtype)
    extended = STEPS * launching.pieces(taps, STEPS)
    found = family_of(u, dots).weight_gradient(_extended(g), _extended(u), extended, dots)
    return found[:, :taps].contiguous()


# What families are given: everything contiguous and from an address that is a multiple of 16 bytes,
# signals of a multiple of 16 steps and kernels of a multiple of 16 taps. Triton compiles a kernel
# once more for each argument that is none: it then knows less of where rows begin, loads element by
# element, and spills registers in one case out of four (12 of 50 tried), in code that the static
# gate has never seen. Zeros behind a signal or a kernel change nothing, not even in the last bit of
# Toeplitz products, and what they add to results is cut off again. B and D are what they are: rows
# begin at multiples of 16 whatever those are.


def _prepared(a: Arguments) -> Arguments:
    """What families read."""
    forward, backward, pre, post = (
        None if x is None else _extended(x) for x in (a.forward, a.backward, a.pre, a.post)
    )
    skip = None if a.skip is None else launching.ready(a.skip)
    return Arguments(_extended(a.u), forward, backward, skip, pre, post)


def _extended(x: Tensor) -> Tensor:
    """With zeros up to the next multiple of 16 steps, or taps."""
    missing = -x.shape[-1] % STEPS
    return launching.ready(pad(x, (0, missing)) if missing else x)


def _like(x: Tensor, u: Tensor) -> Tensor:
    """A result as callers want it: the steps of u, and its strides. No view, if nothing is cut."""
    return laid_out(x if x.shape == u.shape else x[..., : u.shape[-1]], u)


def _cut(x: Tensor | None, kernel: Tensor | None) -> Tensor | None:
    """The taps of a kernel, contiguous."""
    return None if x is None or kernel is None else x[:, : kernel.shape[1]].contiguous()


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
