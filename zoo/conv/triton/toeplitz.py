"""The convolution as products with Toeplitz tiles: exact causality, any length, no power of two.

    c[b, T+i] = sum_S sum_j x[b, S+j] t[j, i]        t[j, i] = forward[lag]  where lag >= 0
    lag = T + i - S - j                                        backward[-lag] where lag < 0

A tile of the signal, rows of the batch by steps, is multiplied by a tile of lags that is gathered
from the kernel. L + STEPS operations per element: bound by memory up to some 512 steps (float32) or
1024 (halves), where Monarch kernels take over.

backward[0] adds to the skip. The gradient of the signal is the same kernel with forward and
backward swapped; that of `post` is the same kernel with g for `post`.

The gradient of a kernel sums x_{t-j} g_t over the batch and all t. Program r forms the Gram matrix
M[j, i] = sum_{b, t} x[b, (t - r) STEPS + j] g[b, t STEPS + i], whose diagonals i - j belong to lags
r STEPS + i - j: rolled row by row, its columns become diagonals and sum to lags of block r (i >= j)
and of block r - 1 (i < j). Nothing is added by two programs: the result is the same every time.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.conv.arguments import Arguments, Gradients
from zoo.conv.triton import launching
from zoo.conv.triton.configurations import Choice, Configuration, Dots, find, rows
from zoo.conv.triton.rounding import constants
from zoo.conv.triton.toeplitz_kernels import convolution_kernel, weight_kernel


def _tile(
    batch: int, steps: int, warps: int, stages: int = 2, registers: int | None = None
) -> Choice:
    return Choice({"BATCH": batch, "STEPS": steps}, warps, stages, registers)


# Larger tiles read the kernel less often; these are the largest that spill no register. A product
# on sm_90 needs 64 rows to be a warp-group instruction: BATCH in "convolve", STEPS in "weight".
_TABLE: tuple[tuple[str, int, tuple[Dots, ...], Choice, Choice, Choice], ...] = (
    ("convolve", 512, ("tf32x3",), _tile(32, 32, 4), _tile(64, 32, 4), _tile(64, 32, 4)),
    ("convolve", 512, ("tf32",), _tile(64, 32, 4), _tile(64, 64, 8), _tile(64, 64, 8)),
    ("convolve", 1024, ("fp16",), _tile(64, 64, 8), _tile(64, 64, 8), _tile(64, 64, 4)),
    ("convolve", 1024, ("bf16",), _tile(64, 64, 8), _tile(64, 64, 8), _tile(64, 64, 4, 2, 128)),
    ("weight", 512, ("tf32x3",), _tile(32, 32, 4), _tile(32, 64, 8), _tile(32, 64, 8)),
    ("weight", 512, ("tf32",), _tile(32, 64, 8, 3), _tile(32, 64, 8), _tile(32, 64, 8)),
    ("weight", 1024, ("fp16",), _tile(32, 64, 8), _tile(32, 64, 8), _tile(32, 64, 8)),
    ("weight", 1024, ("bf16",), _tile(32, 64, 8, 3), _tile(32, 64, 8), _tile(32, 64, 8)),
)
CONFIGURATIONS: tuple[Configuration, ...] = tuple(
    row
    for role, length, dots, sm80, sm90, sm100 in _TABLE
    for row in rows("toeplitz", role, length, dots, {80: sm80, 90: sm90, 100: sm100})
)
BLOCKS = {"BATCH": (16, 32, 64, 128), "STEPS": (32, 64, 128)}  # for `tune` to try
ENOUGH_PROGRAMS = 512  # to fill any GPU of today; fewer, and the batch is split


def convolve(a: Arguments, dots: Dots) -> Tensor:
    """The output y: (B, D, L)."""
    u, forward, backward, skip, pre, post = a
    return _convolve(u, (forward, backward), skip, pre, (post, None), dots)[0]


def gradients(g: Tensor, a: Arguments, dots: Dots) -> Gradients:
    """The gradients of `convolve` in each of its arguments, given that in y."""
    u, forward, backward, skip, pre, post = a
    also = None if pre is None else u
    du, dpre = _convolve(g, (backward, forward), skip, post, (pre, also), dots)
    dpost = None if post is None else convolve(a._replace(post=g), dots)
    dforward = None if forward is None else _weight(g, post, u, pre, forward.shape[1], dots)
    dbackward = None if backward is None else _weight(u, pre, g, post, backward.shape[1], dots)
    either = dbackward if dforward is None else dforward
    dskip = None if skip is None or either is None else either[:, 0].clone()
    return du, dforward, dbackward, dskip, dpre, dpost


def weight_gradient(g: Tensor, u: Tensor, taps: int, dots: Dots) -> Tensor:
    """w[d, j] = sum_{b, t >= j} g[b, d, t] u[b, d, t - j]: (D, taps)."""
    return _weight(g, None, u, None, taps, dots)


def _convolve(
    u: Tensor,
    kernels: tuple[Tensor | None, Tensor | None],
    skip: Tensor | None,
    pre: Tensor | None,
    gates: tuple[Tensor | None, Tensor | None],
    dots: Dots,
) -> tuple[Tensor, Tensor | None]:
    """gates[0] * c, and gates[1] * c if there is such a gate."""
    num_rows, channels, length = u.shape
    row = find("toeplitz", "convolve", length, dots, u.device)
    blocks = launching.pieces(length, row.blocks["STEPS"])
    programs = blocks * channels * launching.pieces(num_rows, row.blocks["BATCH"])
    y = torch.empty_like(u)
    y_also = None if gates[1] is None else torch.empty_like(y)
    launching.launch(
        convolution_kernel,
        programs,
        row,
        u=u,
        pre=pre,
        forward=kernels[0],
        backward=kernels[1],
        skip=skip,
        post=gates[0],
        y=y,
        also=gates[1],
        y_also=y_also,
        B=num_rows,
        D=channels,
        L=length,
        Lf=_taps(kernels[0]),
        Lb=_taps(kernels[1]),
        LONGEST=row.length,
        **constants(dots),
    )
    return y, y_also


def _weight(
    g: Tensor, post: Tensor | None, u: Tensor, pre: Tensor | None, taps: int, dots: Dots
) -> Tensor:
    """sum_{b, t >= j} (post g)_t (pre u)_{t - j}: (D, taps)."""
    num_rows, channels, length = u.shape
    row = find("toeplitz", "weight", length, dots, u.device)
    steps = row.blocks["STEPS"]
    blocks = min(launching.pieces(taps - 1, steps) + 1, launching.pieces(length, steps))
    chunks = launching.pieces(num_rows, row.blocks["BATCH"])
    splits = min(chunks, launching.pieces(ENOUGH_PROGRAMS, blocks * channels))
    # of each split of the batch: lags of block r from the Gram matrices of r, and of r + 1
    parts = u.new_empty((splits, 2, channels, taps), dtype=torch.float32)
    launching.launch(
        weight_kernel,
        blocks * channels * splits,
        row,
        g=g,
        post=post,
        u=u,
        pre=pre,
        parts=parts,
        B=num_rows,
        D=channels,
        L=length,
        taps=taps,
        blocks=blocks,
        chunks=launching.pieces(chunks, splits),
        **constants(dots),
    )
    return parts.sum((0, 1))


def _taps(kernel: Tensor | None) -> int:
    return 0 if kernel is None else kernel.shape[1]
