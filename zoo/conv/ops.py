"""The long convolution: one function, several ways to compute it.

Axes: B batch, D channels, L length, Lk <= L taps.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from zoo.conv import reference
from zoo.conv.arguments import REALS, Arguments
from zoo.conv.dispatch import BACKENDS, PRECISIONS, Backend, Precision
from zoo.conv.lags import MODES, Mode, by_lag
from zoo.conv.operators import long_conv
from zoo.conv.transforms import transformed_in_compiler

Layout = Literal["bdl", "bld"]


def fft_conv(  # noqa: PLR0913
    u: Tensor,
    k: Tensor | tuple[Tensor, Tensor],
    *,
    skip: Tensor | None = None,
    pre: Tensor | None = None,
    post: Tensor | None = None,
    mode: Mode = "causal",
    precision: Precision = "auto",
    backend: Backend = "auto",
    layout: Layout = "bdl",
) -> Tensor:
    """The convolution of long signals: y = post * (conv(x) + skip * x), x = pre * u.

        causal       y_t = sum_{s <= t} k[t - s] x_s
        correlation  y_t = sum_{s >= t} k[s - t] x_s                    the transpose of causal
        circular     y_t = sum_s k[(t - s) mod L] x_s
        two-sided    y_t = sum_{s <= t} kf[t - s] x_s + sum_{s > t} kb[s - t - 1] x_s

    precision   the arithmetic inside: "auto" is double if u or k is, else as exact as float32, but
                with products of half precision where u has it and the backend can (triton);
                "fp32" is float32 always; "tf32", "fp16", "bf16": operands so rounded (triton).
    backend     "auto": the table in zoo.conv.dispatch; "reference": the plain formula, which torch
                differentiates itself ("auto" takes it where torch.func is compiled); "spectral":
                torch.fft; "cpu": compiled C++; "triton": GPU kernels.

    The result has the dtype and the layout of u. For derivatives only the arguments are kept, and
    copies of those that are cast: half kernels, half signals beside others of another dtype.

    Errors are relative to the size of the whole row, not of each element. So rounding lets the
    future leak: y_t depends on later inputs by about 1e-7 (float32) of *their* size times the
    kernel's peak; where they are 1e8 times larger than the earlier ones, y_t is noise. One NaN
    makes its row NaN.

    Args:    u          signal, any strides                     (B, D, L), or (B, L, D): layout
             k          kernel, zero beyond its taps; two-sided: the pair (kf, kb)         (D, Lk)
             skip       weight of the input itself                                             (D,)
             pre, post  gates                                                       the shape of u
    Returns: the output                                                             the shape of u
    Raises:  ValueError naming the shape or the word that cannot be.
    Source:  Gu et al. 2022, arXiv:2111.00396; lags of "two-sided" as S4, SGConv and LongConv.
    """
    _check_words(precision, backend, layout)
    kernels = _kernels(k, mode)
    _check_shapes(u, kernels, skip, (pre, post), layout)
    wide = _computed_in(u, kernels, precision)
    kernels = tuple(each.to(wide) for each in kernels)
    skip = None if skip is None else skip.to(wide)
    is_plain = _is_plain(u, precision, backend)
    narrow = wide if is_plain else _signal_dtype(wide, u, pre, post)
    x, pre, post = (_as_bdl(each, layout, narrow) for each in (u, pre, post))
    assert x is not None
    if is_plain:
        y = _plain(x, kernels, skip, pre, post, mode)
    else:
        forward, backward = by_lag(kernels, mode, x.shape[-1])
        y = long_conv(Arguments(x, forward, backward, skip, pre, post), precision, backend)
    return (y.mT if layout == "bld" else y).to(u.dtype)


def _as_bdl(x: Tensor | None, layout: Layout, dtype: torch.dtype) -> Tensor | None:
    """A view (B, D, L), or a copy where the dtype is another."""
    return None if x is None else (x.mT if layout == "bld" else x).to(dtype)


def _is_plain(u: Tensor, precision: Precision, backend: Backend) -> bool:
    """Whether torch is to differentiate the plain formula; an empty batch is no FFT's concern."""
    if backend == "reference" or u.numel() == 0:
        return True
    return backend == "auto" and precision in ("auto", "fp32") and transformed_in_compiler()


def _plain(
    u: Tensor,
    kernels: tuple[Tensor, ...],
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    mode: Mode,
) -> Tensor:
    x = u if pre is None else pre * u
    y = reference.convolve(x, kernels, mode)
    if skip is not None:
        y = y + skip.unsqueeze(-1) * x
    return y if post is None else post * y


def _signal_dtype(wide: torch.dtype, u: Tensor, *gates: Tensor | None) -> torch.dtype:
    """The dtype that signals are read in: their own if they share one, else the wide one."""
    dtypes = {x.dtype for x in (u, *gates) if x is not None}
    if wide == torch.float64 or torch.float64 in dtypes or len(dtypes) > 1:
        return wide
    return u.dtype


def _check_words(precision: str, backend: str, layout: str) -> None:
    for name, word, words in (
        ("precision", precision, PRECISIONS),
        ("backend", backend, BACKENDS),
        ("layout", layout, ("bdl", "bld")),
    ):
        if word not in words:
            raise ValueError(f"{name}={word!r}: choose from {', '.join(words)}")
    if backend == "reference" and precision not in ("auto", "fp32"):
        raise ValueError(
            f"precision={precision!r}: backend='reference' computes in float32 or float64; "
            "use backend='triton'"
        )


def _kernels(k: Tensor | tuple[Tensor, Tensor], mode: Mode) -> tuple[Tensor, ...]:
    if mode not in MODES:
        raise ValueError(f"mode={mode!r}: choose from {', '.join(MODES)}")
    kernels = tuple(k) if isinstance(k, tuple | list) else (k,)
    if not all(isinstance(each, Tensor) for each in kernels):
        raise ValueError(f"k is of {type(k).__name__}: expected a tensor, or a pair of them")
    wanted = 2 if mode == "two-sided" else 1
    if len(kernels) != wanted:
        what = "the pair (k_forward, k_backward)" if wanted == 2 else "one kernel"
        raise ValueError(f"mode={mode!r} takes {what}, got {len(kernels)}")
    return kernels


def _computed_in(u: Tensor, kernels: tuple[Tensor, ...], precision: Precision) -> torch.dtype:
    dtype = torch.float32
    if precision == "auto":
        for tensor in (u, *kernels):
            dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _check_shapes(
    u: Tensor,
    kernels: tuple[Tensor, ...],
    skip: Tensor | None,
    gates: tuple[Tensor | None, Tensor | None],
    layout: Layout,
) -> None:
    if u.dim() != 3 or u.dtype not in REALS:
        raise ValueError(f"u: {_show(u)}; expected real numbers of three axes, layout={layout!r}")
    channels, length = (u.shape[1:] if layout == "bdl" else u.shape[:0:-1])[:2]
    if length < 1:
        raise ValueError(f"u: {_show(u)}; expected one step or more, layout={layout!r}")
    for k in kernels:
        _check_kernel(k, channels, length, layout)
        _check_device("k", k, u)
    if skip is not None:
        if tuple(skip.shape) != (channels,) or skip.dtype not in REALS:
            raise ValueError(f"skip: {_show(skip)}; expected one real per channel, ({channels},)")
        _check_device("skip", skip, u)
    for name, gate in zip(("pre", "post"), gates, strict=True):
        if gate is None:
            continue
        if gate.shape != u.shape or gate.dtype not in REALS:
            raise ValueError(
                f"{name}: {_show(gate)}; expected reals of the shape of u, {tuple(u.shape)}"
            )
        _check_device(name, gate, u)


def _check_device(name: str, x: Tensor, u: Tensor) -> None:
    if x.device != u.device:
        raise ValueError(f"{name} is on {x.device} and u on {u.device}: move it with .to(u.device)")


def _check_kernel(k: Tensor, channels: int, length: int, layout: Layout) -> None:
    if k.dim() != 2 or k.dtype not in REALS:
        raise ValueError(f"k: {_show(k)}; expected real numbers (channels, taps)")
    if k.shape[0] != channels:
        raise ValueError(
            f"k has {k.shape[0]} channels and u has {channels} (layout={layout!r}): "
            "give one kernel per channel, or the other layout"
        )
    if not 1 <= k.shape[1] <= length:
        raise ValueError(
            f"k has {k.shape[1]} taps and u has {length} steps: a kernel has 1 to {length} taps, "
            f"cut it with k[:, :{length}]"
        )


def _show(x: Tensor) -> str:
    return f"shape {tuple(x.shape)}, {x.dtype}"
