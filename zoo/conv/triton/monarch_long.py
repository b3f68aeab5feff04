"""Convolution of 8K to 1M steps in three kernels: long DFT of columns, inner convolution, and back.

n = M P: the row "inner" of the table says P, the signal says M, 16 to 256.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.conv.arguments import Arguments, Gradients
from zoo.conv.triton import launching
from zoo.conv.triton.configurations import Choice, Configuration, Dots, rows
from zoo.conv.triton.monarch_long_call import COLUMNS, Call

LONGEST = 2**20
INNER = ("inner", "spectrum", "correlate", "finish")


def _class(
    roles: tuple[str, ...],
    length: int,
    dots: tuple[Dots, ...],
    choice: Choice,
    *,
    on_80: Choice | None = None,
    on_100: Choice | None = None,
) -> Iterator[Configuration]:
    """The same for several roles, and on every architecture that is not named."""
    choices = {80: on_80 or choice, 90: choice, 100: on_100 or choice}
    for role in roles:
        yield from rows("monarch_long", role, length, dots, choices)


def _inner(n1: int, n2: int, n3: int, warps: int) -> Choice:
    return Choice({"N1": n1, "N2": n2, "N3": n3}, warps, stages=1)


def _tile(lines: int, columns: int, depth: int, warps: int, registers: int | None = None) -> Choice:
    blocks = {"LINES": lines, "COLUMNS": columns, "DEPTH": depth}
    return Choice(blocks, warps, stages=2, registers=registers)


ALL: tuple[Dots, ...] = ("tf32x3", "tf32", "fp16", "bf16")
FULL: tuple[Dots, ...] = ("tf32x3", "tf32")
# n = 8192 is 32 x 256; up to 131072, 16 ... 128 x 1024; then 64 ... 256 x 4096
CONFIGURATIONS: tuple[Configuration, ...] = (
    *_class(INNER, 8192, FULL, _inner(16, 1, 16, warps=1)),
    *_class(INNER, 131072, ALL, _inner(32, 1, 32, warps=4)),
    *_class(("inner",), LONGEST, ("tf32x3",), _inner(16, 16, 16, 16), on_100=_inner(16, 16, 16, 8)),
    *_class(("inner",), LONGEST, ("tf32", "fp16", "bf16"), _inner(16, 16, 16, warps=16)),
    *_class(INNER[1:], LONGEST, ALL, _inner(16, 16, 16, warps=16)),
    *_class(COLUMNS, 8192, ("tf32x3",), _tile(32, 128, 32, warps=8)),
    *_class(COLUMNS, 8192, ("tf32",), _tile(32, 128, 32, warps=4)),
    *_class(COLUMNS[:1], 16384, ALL, _tile(16, 128, 16, warps=4)),
    *_class(COLUMNS[1:], 16384, ("tf32x3", "tf32", "bf16"), _tile(16, 128, 16, warps=4)),
    *_class(
        COLUMNS[1:],
        16384,
        ("fp16",),
        _tile(16, 128, 16, warps=4),
        on_80=_tile(16, 128, 16, warps=4, registers=80),
    ),
    *_class(COLUMNS, 32768, ("tf32x3",), _tile(32, 128, 32, warps=8)),
    *_class(COLUMNS, 32768, ("tf32", "fp16", "bf16"), _tile(32, 128, 32, warps=4)),
    # 8 warps with tcgen05 products in a loop: Triton 3.7.1 compiles a trap, without a word
    *_class(COLUMNS, LONGEST, ALL, _tile(64, 128, 32, warps=8), on_100=_tile(64, 64, 32, warps=4)),
    *_class(("sizes",), LONGEST, ("fp16",), Choice({"PIECES": 64, "STEPS": 1024}, 4, 1)),
)


def convolve(a: Arguments, dots: Dots) -> Tensor:
    """The output y: (B, D, L)."""
    u, forward, backward, skip, pre, post = a
    call = Call(u, dots)
    y = torch.empty_like(u)
    for channels in call.channel_pieces():
        spectrum = call.spectrum(_of(channels, forward), _of(channels, backward))
        for piece in call.batch_pieces(channels):
            x = call.columns(piece, u, pre)
            call.inner(x, spectrum)
            call.columns_inverse(x, spectrum, _of(channels, skip), ((y, post),))
    return y


def gradients(g: Tensor, a: Arguments, dots: Dots) -> Gradients:
    """The gradients of `convolve` in each of its arguments, given that in y."""
    u, forward, backward, skip, pre, post = a
    call = Call(u, dots)
    du, dforward, dbackward, dskip, dpre, dpost = (
        None if x is None else torch.empty_like(x) for x in a
    )
    outs = ((du, pre), *([] if dpre is None else [(dpre, u)]))
    for channels in call.channel_pieces():
        spectrum = call.spectrum(_of(channels, forward), _of(channels, backward))
        total = call.total(channels)
        skips: list[Tensor] = []
        for piece in call.batch_pieces(channels):
            x, gc = call.columns(piece, u, pre), call.columns(piece, g, post)
            call.correlate(gc, x, total)
            call.inner(gc, spectrum, transposed=True)
            sums = call.columns_inverse(gc, spectrum, _of(channels, skip), outs, other=(u, pre))
            skips += [] if sums is None else [sums]
            if dpost is not None:
                call.inner(x, spectrum)
                call.columns_inverse(x, spectrum, _of(channels, skip), ((dpost, g),))
        if dskip is not None:
            dskip[channels] = torch.cat(skips).sum((0, 2))
        for result, conj in ((dforward, False), (dbackward, True)):
            if result is not None:
                result[channels] = call.finish(total, result.shape[1], conj=conj)
    return du, dforward, dbackward, dskip, dpre, dpost


def weight_gradient(g: Tensor, u: Tensor, taps: int, dots: Dots) -> Tensor:
    """w[d, j] = sum_{b, t >= j} g[b, d, t] u[b, d, t - j]: (D, taps)."""
    call = Call(u, dots)
    result = call.empty(u.shape[1], taps)
    for channels in call.channel_pieces():
        total = call.total(channels)
        for piece in call.batch_pieces(channels):
            gc, x = call.columns(piece, g, None), call.columns(piece, u, None)
            call.correlate(gc, x, total)
        result[channels] = call.finish(total, taps)
    return result


def _of(channels: slice, x: Tensor | None) -> Tensor | None:
    return None if x is None else launching.ready(x[channels])  # a skip of few bytes
