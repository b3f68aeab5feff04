"""The long convolution in C++: tensors handed over as addresses and strides.

Signals have unit stride in time, or in channels, or are copied; half precision is converted as it
is loaded. Results do not depend on the number of threads, nor a row's on the rest of its batch.

Axes: B batch, D channels, L length, Lf, Lb <= L taps.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from zoo.conv.arguments import Arguments, Gradients, computed_in
from zoo.conv.cpu import build, direct
from zoo.conv.cpu.checks import check_long, check_signals

NAMES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}
LONGEST_STRIDED = (
    1 << 16
)  # steps; longer rows are copied if time has not unit stride (long_conv.cpp)


def refusal(u: Tensor, precision: str) -> str | None:
    """Why this backend cannot take u, in one line; None if it can."""
    if u.device.type != "cpu":
        return f"u is on {u.device}, and the compiled code runs on the CPU"
    if u.dtype not in NAMES:
        return f"u is {u.dtype}: the compiled code takes {', '.join(NAMES.values())}"
    if precision not in ("auto", "fp32"):
        return f"precision={precision!r}: the compiled code has auto and fp32"
    return build.reason()


def convolve(a: Arguments, precision: str) -> Tensor:
    """The output, laid out like torch.empty_like(u): (B, D, L)."""
    check_long(a)
    u, forward, backward, skip, pre, post = a
    if u.numel() == 0:
        return torch.empty_like(u)
    if u.shape[2] < direct.SHORTEST_FFT:
        return direct.convolve(a)
    y = torch.empty_like(u)
    call = _Call(u)
    out = call.result(y)
    _extension().long_conv(
        NAMES[u.dtype],
        tuple(u.shape),
        [call.signal(each) for each in (u, pre, post)],
        *call.kernels(forward, backward, skip),
        _view(out),
        torch.get_num_threads(),
    )
    _deliver(out, y)
    return y


def gradients(g: Tensor, a: Arguments, precision: str) -> Gradients:
    """The gradients of `convolve` in each of its arguments, from g, that of its output."""
    check_long(a, g)
    u, forward, backward, skip, pre, post = a
    if u.numel() == 0:
        return tuple(None if x is None else torch.zeros_like(x) for x in a)
    if u.shape[2] < direct.SHORTEST_FFT:
        return direct.gradients(g, a)
    du, dpre, dpost = (None if each is None else torch.empty_like(u) for each in (u, pre, post))
    dforward, dbackward, dskip = (_empty_like(each) for each in (forward, backward, skip))
    call = _Call(u)
    outs = [call.result(each) for each in (du, dpre, dpost)]
    _extension().long_conv_gradients(
        NAMES[u.dtype],
        tuple(u.shape),
        [call.signal(each) for each in (u, pre, post)],
        *call.kernels(forward, backward, skip),
        call.signal(g),
        [_view(out) for out in outs],
        [_taps(dforward), _taps(dbackward)],
        _address(dskip),
        torch.get_num_threads(),
    )
    for out, wanted in zip(outs, (du, dpre, dpost), strict=True):
        _deliver(out, wanted)
    return du, dforward, dbackward, dskip, dpre, dpost


def weight_gradient(g: Tensor, u: Tensor, taps: int, precision: str) -> Tensor:
    """w_j = sum_{b,t>=j} g_t u_{t-j}: the gradient of a causal kernel.

    Args:    g, u  signals                                          (B, D, L)
    Returns: the first taps, in the dtype that is computed in       (D, taps)
    """
    check_signals(u, g)
    if not 1 <= taps <= u.shape[2]:
        raise ValueError(f"{taps} taps; expected 1 to {u.shape[2]}, the length of u")
    if u.numel() == 0:
        return torch.zeros(u.shape[1], taps, dtype=computed_in(u))
    if u.shape[2] < direct.SHORTEST_FFT:
        return direct.weight_gradient(g, u, taps)
    w = torch.empty(u.shape[1], taps, dtype=computed_in(u))
    call = _Call(u)
    _extension().long_conv_gradients(
        NAMES[u.dtype],
        tuple(u.shape),
        [call.signal(u), None, None],
        [None, None],
        0,
        call.signal(g),
        [None, None, None],
        [_taps(w), None],
        0,
        torch.get_num_threads(),
    )
    return w


class _Call:
    """The tensors of one call: those made for it live as long, and have the lanes of u."""

    def __init__(self, u: Tensor) -> None:
        self.u = u
        self.made: list[Tensor] = []
        self.along_time = u.stride(2) == 1 or u.shape[2] > LONGEST_STRIDED
        self.dtype = computed_in(u)

    def signal(self, x: Tensor | None) -> tuple[int, ...] | None:
        if x is None:
            return None
        return _view(self._kept(self._laid_out(x.to(self.u.dtype))))

    def result(self, y: Tensor | None) -> Tensor | None:
        """Where C++ is to write y: y itself, or memory with the lanes of u."""
        if y is None or self._fits(y):
            return y
        return self._kept(self._laid_out(y))

    def kernels(
        self, forward: Tensor | None, backward: Tensor | None, skip: Tensor | None
    ) -> tuple[list[tuple[int, int] | None], int]:
        ready = [
            None if each is None else self._kept(each.to(self.dtype).contiguous())
            for each in (forward, backward, skip)
        ]
        return [_taps(ready[0]), _taps(ready[1])], _address(ready[2])

    def _fits(self, x: Tensor) -> bool:
        return x.stride(2 if self.along_time else 1) == 1

    def _laid_out(self, x: Tensor) -> Tensor:
        if self._fits(x):
            return x
        return x.contiguous() if self.along_time else x.mT.contiguous().mT

    def _kept(self, x: Tensor) -> Tensor:
        self.made.append(x)
        return x


def _extension() -> ModuleType:
    extension = build.extension()
    assert extension is not None, "refusal() says why"
    return extension


def _empty_like(x: Tensor | None) -> Tensor | None:
    return None if x is None else torch.empty_like(x, memory_format=torch.contiguous_format)


def _deliver(out: Tensor | None, y: Tensor | None) -> None:
    if out is not None and y is not None and out is not y:
        y.copy_(out)


def _view(x: Tensor | None) -> tuple[int, ...] | None:
    """Address, and the strides of batch, channel and time."""
    return None if x is None else (x.data_ptr(), *x.stride())


def _taps(k: Tensor | None) -> tuple[int, int] | None:
    return None if k is None else (k.data_ptr(), k.shape[1])


def _address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()
