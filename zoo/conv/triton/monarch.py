"""Convolution of 1K to 8K steps in one kernel: order two (N2 = 1) and order three, by table.

The spectrum of the kernels is computed once per call and channel, in tf32 at least; so is the
inverse that ends the gradients of the kernels. The gradient of the signal is the convolution with
the conjugate spectrum, that of `post` the convolution with g for `post`.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from zoo.conv.arguments import Arguments, Gradients
from zoo.conv.triton import launching
from zoo.conv.triton import monarch_kernels as kernels
from zoo.conv.triton.configurations import ARCHITECTURES, Choice, Configuration, Dots, find, rows
from zoo.conv.triton.rounding import constants
from zoo.conv.triton.tables import Radices, matrices, operand_type, stage_twiddles

ROLES = ("spectrum", "convolve", "correlate", "finish")
ENOUGH_PROGRAMS = 256  # for the weight gradient; fewer, and the batch is split


def _choice(n1: int, n2: int, n3: int, warps: int, registers: int | None = None) -> Choice:
    return Choice({"N1": n1, "N2": n2, "N3": n3}, warps, stages=1, registers=registers)


def _class(
    length: int,
    dots: tuple[Dots, ...],
    choice: Choice,
    exceptions: Mapping[tuple[str, int], Choice] = MappingProxyType({}),
) -> Iterator[Configuration]:
    """The same for every role and architecture, with exceptions by both.

    All roles of a class have the same radices: they share the order of the spectrum.
    """
    for role in ROLES:
        choices = {int(a): exceptions.get((role, a), choice) for a in ARCHITECTURES}
        yield from rows("monarch", role, length, dots, choices)


# What the static gate leaves: other warps spill, and so does tf32x3 at 2048 and 8192, and tf32 and
# bf16 at 8192, with any: the next longer class serves those lengths. Order two of 64 x 32 spills,
# or crashes the compiler, where it becomes tcgen05 products: on sm_100, 2048 is extended to 4096.
_O1K, _O2K, _O4K, _O8K = (32, 1, 32), (64, 1, 32), (16, 16, 16), (32, 16, 16)
_EXTENDED = {(role, 100): _choice(*_O4K, warps=16) for role in ROLES}
_NARROW = (("convolve", 80), ("correlate", 80), ("convolve", 90), ("convolve", 100))
CONFIGURATIONS: tuple[Configuration, ...] = (
    *_class(
        1024,
        ("tf32x3",),
        _choice(*_O1K, warps=4),
        {("correlate", a): _choice(*_O1K, warps=8) for a in ARCHITECTURES},
    ),
    *_class(1024, ("tf32",), _choice(*_O1K, warps=4)),
    *_class(2048, ("tf32", "bf16"), _choice(*_O2K, warps=8), _EXTENDED),
    *_class(
        2048,
        ("fp16",),
        _choice(*_O2K, warps=8),
        {**_EXTENDED, ("correlate", 80): _choice(*_O2K, warps=4)},
    ),
    *_class(
        4096,
        ("tf32x3",),
        _choice(*_O4K, warps=16),
        {
            at: _choice(*_O4K, warps=8)
            for at in (("correlate", 90), ("convolve", 90), ("convolve", 100))
        },
    ),
    *_class(4096, ("tf32", "bf16"), _choice(*_O4K, warps=16)),
    *_class(
        4096,
        ("fp16",),
        _choice(*_O4K, warps=16),
        {("convolve", 80): _choice(*_O4K, warps=16, registers=128)},
    ),
    *_class(
        8192,
        ("fp16",),
        _choice(*_O8K, warps=16),
        {at: _choice(*_O8K, warps=8) for at in _NARROW},
    ),
)


def convolve(a: Arguments, dots: Dots) -> Tensor:
    """The output y: (B, D, L)."""
    u, forward, backward, skip, pre, post = a
    call = _Call(u, dots)
    spectrum = call.spectrum(forward, backward)
    return call.convolve(u, spectrum, skip, pre, (post, None))[0]


def gradients(g: Tensor, a: Arguments, dots: Dots) -> Gradients:
    """The gradients of `convolve` in each of its arguments, given that in y."""
    u, forward, backward, skip, pre, post = a
    call = _Call(u, dots)
    spectrum = call.spectrum(forward, backward)
    also = None if pre is None else u
    sums = None if skip is None else call.empty(u.shape[1], u.shape[0])
    du, dpre = call.convolve(g, spectrum, skip, post, (pre, also), other=(u, pre), sums=sums)
    dpost = None if post is None else call.convolve(u, spectrum, skip, pre, (g, None))[0]
    partial = call.correlate(g, post, u, pre)
    dforward = None if forward is None else call.finish(partial, forward.shape[1])
    dbackward = None if backward is None else call.finish(partial, backward.shape[1], conj=True)
    return du, dforward, dbackward, None if sums is None else sums.sum(1), dpre, dpost


def weight_gradient(g: Tensor, u: Tensor, taps: int, dots: Dots) -> Tensor:
    """w[d, j] = sum_{b, t >= j} g[b, d, t] u[b, d, t - j]: (D, taps)."""
    call = _Call(u, dots)
    return call.finish(call.correlate(g, None, u, None), taps)


@dataclass(frozen=True)
class Spectrum:
    """K of every channel, in the order of the kernels, and the largest |Re K|, |Im K| of each."""

    values: Tensor  # (D, 2, n)
    peaks: Tensor  # (D,)


class _Call:
    """The kernels of one call: they share rows of the table, tables of constants and sizes."""

    def __init__(self, like: Tensor, dots: Dots) -> None:
        self.like = like  # (B, D, L)
        self.dots: Dots = dots
        self.sizes = dict(zip("BDL", like.shape, strict=True))
        blocks = self._row("convolve").blocks
        self.radices = Radices(blocks["N1"], blocks["N2"], blocks["N3"])

    def spectrum(self, forward: Tensor | None, backward: Tensor | None) -> Spectrum:
        """K = F(forward) + conj(F(backward))."""
        channels = self.sizes["D"]
        k = Spectrum(self.empty(channels, 2, self.radices.length), self.empty(channels))
        add = False
        for taps, conj in ((forward, False), (backward, True)):
            if taps is not None:
                self._launch(
                    "spectrum", kernels.spectrum_kernel, channels,
                    taps=taps, spectrum=k.values, peaks=k.peaks,
                    num_taps=taps.shape[1], ADD=add, CONJ=conj,
                )  # fmt: skip
                add = True
        return k

    def convolve(  # noqa: PLR0913
        self,
        x: Tensor,
        spectrum: Spectrum,
        skip: Tensor | None,
        gate: Tensor | None,
        out_gates: tuple[Tensor | None, Tensor | None],
        *,
        other: tuple[Tensor | None, Tensor | None] = (None, None),
        sums: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """out_gates[0] * c, and out_gates[1] * c if there is such a gate.

        Given `other` (signal and gate), c is that of conj(K), and `sums` gets the sums of x other.
        """
        transposed = other[0] is not None
        if sums is None:
            other = (None, None)
        out = torch.empty_like(x)
        also = None if out_gates[1] is None else torch.empty_like(out)
        self._launch(
            "convolve", kernels.convolve_kernel, self.sizes["B"] * self.sizes["D"], **self.sizes,
            x=x, gate=gate, spectrum=spectrum.values, peaks=spectrum.peaks, skip=skip,
            other=other[0], other_gate=other[1], sums=sums, out=out, out_gate=out_gates[0],
            also=also, also_gate=out_gates[1], TRANSPOSED=transposed,
        )  # fmt: skip
        return out, also

    def correlate(
        self, g: Tensor, g_gate: Tensor | None, u: Tensor, u_gate: Tensor | None
    ) -> Tensor:
        """A in parts, one for each split of the batch, which B and D decide: (splits, D, 2, n)."""
        batch, channels = self.sizes["B"], self.sizes["D"]
        wanted = min(ceil(batch / 4), ceil(ENOUGH_PROGRAMS / channels))
        rows_per_split = ceil(batch / wanted)
        splits = ceil(batch / rows_per_split)
        partial = self.empty(splits, channels, 2, self.radices.length)
        held = self.empty(splits, channels, 2, 2, self.radices.length)
        self._launch(
            "correlate", kernels.correlate_kernel, splits * channels, **self.sizes,
            g=g, g_gate=g_gate, u=u, u_gate=u_gate, partial=partial, held=held,
            rows_per_split=rows_per_split,
        )  # fmt: skip
        return partial

    def finish(self, partial: Tensor, taps: int, *, conj: bool = False) -> Tensor:
        """Re F^-1(A), or of conj(A): (D, taps)."""
        splits, channels = partial.shape[:2]
        result = self.empty(channels, taps)
        self._launch(
            "finish", kernels.finish_kernel, channels, partial=partial, taps=result,
            D=channels, num_splits=splits, num_taps=taps, CONJ=conj,
        )  # fmt: skip
        return result

    def _launch(self, role: str, kernel: Any, programs: int, **arguments: Any) -> None:
        how, dtype = constants(self.dots), operand_type(self.dots)
        if role in ("spectrum", "finish"):  # once per channel, and of any size: no halves
            how, dtype = {"PRECISION": how["PRECISION"]}, torch.float32
        launching.launch(
            kernel, programs, self._row(role),
            matrices=matrices(self.radices, dtype, self.like.device, twist=True),
            twiddles=stage_twiddles(self.radices, self.like.device, twist=True),
            **arguments, **how,
        )  # fmt: skip

    def _row(self, role: str) -> Configuration:
        return find("monarch", role, self.sizes["L"], self.dots, self.like.device)

    def empty(self, *shape: int) -> Tensor:
        """Room for float32."""
        return self.like.new_empty(shape, dtype=torch.float32)
