"""What C++ must not be handed: of tensors that do not fit, it would leave the memory.

fft_conv and short_conv have checked and cast before; but anyone may call operators.

Axes: B batch, D channels, L length, Lk <= L taps, S taps.
"""

from __future__ import annotations

from torch import Tensor

from zoo.conv.arguments import Arguments, computed_in


def check_long(a: Arguments, g: Tensor | None = None) -> None:
    """Signals (B, D, L), kernels (D, Lk), skip (D,), on the CPU; of any dtype, which is cast.

    Raises:  ValueError naming the argument that does not fit.
    """
    u, forward, backward, skip, pre, post = a
    check_signals(u, pre, post, g)
    _, channels, length = u.shape
    for name, k in (("forward", forward), ("backward", backward)):
        if k is None:
            continue
        if not (k.dim() == 2 and k.shape[0] == channels and 1 <= k.shape[1] <= length and k.is_cpu):
            raise _misfit(name, k, f"({channels}, 1 to {length})")
    if skip is not None and not (skip.dim() == 1 and skip.shape[0] == channels and skip.is_cpu):
        raise _misfit("skip", skip, f"({channels},)")
    if forward is None and backward is None:
        raise ValueError("forward or backward: at least one kernel is needed")


def check_signals(u: Tensor, *others: Tensor | None) -> None:
    """Of one shape, of three axes."""
    if not (u.dim() == 3 and u.is_cpu):
        raise _misfit("u", u, "three axes")
    for x in others:
        if x is not None and not (x.shape == u.shape and x.is_cpu):
            raise _misfit("a gate or gradient", x, f"{tuple(u.shape)}, the shape of u")


def check_short(u: Tensor, w: Tensor, bias: Tensor | None, g: Tensor | None = None) -> None:
    """Signals (B, L, D), weights (D, S), bias (D,), the latter two of the dtype to compute in.

    Raises:  ValueError naming the argument that does not fit.
    """
    check_signals(u, g)
    channels, dtype = u.shape[2], computed_in(u)
    if not (w.dim() == 2 and w.shape[0] == channels and w.shape[1] > 0):
        raise _misfit("w", w, f"({channels}, 1 or more)")
    if bias is not None and not (bias.dim() == 1 and bias.shape[0] == channels):
        raise _misfit("bias", bias, f"({channels},)")
    for name, x in (("w", w), ("bias", bias)):
        if x is not None and not (x.dtype == dtype and x.is_cpu):
            raise _misfit(name, x, str(dtype))


def _misfit(name: str, x: Tensor, expected: str) -> ValueError:
    found = f"shape {tuple(x.shape)}, {x.dtype} on {x.device}"
    return ValueError(f"{name}: {found}; expected {expected} on the CPU")
