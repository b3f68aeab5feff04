"""What the kernels must compute: a problem, its output and every gradient, in float64 and directly.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from zoo.conv.arguments import Arguments

FEW = 32
NAMES = Arguments._fields


@dataclass
class Problem:
    """The arguments of a convolution and the gradient of its output."""

    u: Tensor  #        (B, D, L)
    forward: Tensor | None  # (D, Lf)
    backward: Tensor | None  # (D, Lb)
    skip: Tensor | None  #   (D,)
    pre: Tensor | None  #    (B, D, L)
    post: Tensor | None  #   (B, D, L)
    g: Tensor  #        (B, D, L)

    @property
    def arguments(self) -> Arguments:
        """Those of `convolve`."""
        return Arguments(**{name: getattr(self, name) for name in Arguments._fields})

    def to(self, device: str) -> Problem:
        """The same elsewhere."""
        moved = {k: v if v is None else v.to(device) for k, v in vars(self).items()}
        return replace(self, **moved)


def problem(
    shape: tuple[int, int, int],
    io: torch.dtype = torch.float32,
    *,
    taps: tuple[int | None, int | None] = (None, 0),
    gated: bool = False,
    scale: float = 1.0,
) -> Problem:
    """Fresh random numbers: new ones at every run of the tests, unless the caller seeds.

    What weighs lag 0 (a kernel's first tap, skip) is positive: if a kernel of one tap and skip
    cancelled, the error of their sum would be relative to what is left. Signals are positive where
    gradients of weights are but a few sums, for the same reason.

    Args:    shape  (B, D, L)
             taps   of forward and backward: 0 for no such kernel, None for L
             gated  with skip and both gates
             scale  of the signal
    """
    channels, length = shape[1:]
    few_sums = channels * min(length if n is None else n for n in taps if n != 0) < FEW

    def signal(size: float = 1.0) -> Tensor:
        drawn = (torch.randn(shape) * size).to(io)
        return drawn.abs() if few_sums else drawn

    def kernel(count: int | None) -> Tensor | None:
        count = length if count is None else count
        drawn = torch.randn(channels, count) / max(count, 1) ** 0.5
        drawn[:, :1].abs_()
        return drawn if count else None

    return Problem(
        u=signal(scale),
        forward=kernel(taps[0]),
        backward=kernel(taps[1]),
        skip=torch.randn(channels).abs() if gated else None,
        pre=signal() if gated else None,
        post=signal() if gated else None,
        g=signal(),
    )


def convolve(x: Tensor, forward: Tensor | None, backward: Tensor | None) -> Tensor:
    """sum_{s <= t} forward[t - s] x_s + sum_{s >= t} backward[s - t] x_s, in float64.

    By zero-padded FFT: its own error is 1e-15, and autograd knows its gradients.
    """
    length = x.shape[-1]
    n = 2 * length
    spectrum: Any = 0
    if forward is not None:
        spectrum = spectrum + rfft(forward, n)
    if backward is not None:
        spectrum = spectrum + rfft(backward, n).conj()
    return irfft(rfft(x, n) * spectrum, n)[..., :length]


def expected(p: Problem) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The output and the gradients, in float64."""
    inputs = [None if a is None else a.double().requires_grad_() for a in p.arguments]
    u, forward, backward, skip, pre, post = inputs
    assert u is not None
    x = u if pre is None else pre * u
    y = convolve(x, forward, backward)
    if skip is not None:
        y = y + skip[:, None] * x
    if post is not None:
        y = post * y
    present = [a for a in inputs if a is not None]
    found = iter(torch.autograd.grad(y, present, p.g.double()))
    return y.detach(), tuple(None if a is None else next(found) for a in inputs)


def error(result: Tensor, exact: Tensor) -> float:
    """|result - exact| / |exact| over the whole tensor."""
    return float((result.double() - exact).norm() / exact.norm())


def error_in(p: Problem, name: str, result: Tensor, exact: Tensor) -> float:
    """The same for the output "y" or the gradient in an argument.

    The gradient in a kernel or in skip is a sum over batch and steps whose terms may cancel; where
    they do, the error is measured by what such a sum of random terms has for its size.
    """
    size = exact.norm()
    if name in ("forward", "backward", "skip"):
        x = p.u.double() if p.pre is None else p.pre.double() * p.u.double()
        gc = p.g.double() if p.post is None else p.post.double() * p.g.double()
        taps = exact.shape[1] if exact.dim() == 2 else 1
        size = torch.maximum(size, (taps / p.u.numel()) ** 0.5 * gc.norm() * x.norm())
    return float((result.double() - exact).norm() / size)


def bound(dots: str, io: torch.dtype, *, is_signal: bool) -> float:
    """The error that is promised (docs): of products, and of rounding signals to half precision."""
    products = {"tf32x3": 1e-6, "tf32": 1.5e-3, "fp16": 1.5e-3, "bf16": 1.2e-2}[dots]
    rounding = {torch.float32: 0.0, torch.float16: 3e-4, torch.bfloat16: 2.2e-3}[io]
    return products + (rounding if is_signal else 0.0)
