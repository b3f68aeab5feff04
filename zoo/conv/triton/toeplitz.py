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
import triton
import triton.language as tl
from torch import Tensor

from zoo.conv.triton import launching
from zoo.conv.triton.configurations import Choice, Configuration, Dots, find, rows
from zoo.conv.triton.rounding import constants, powers_of_two


def _tile(batch: int, steps: int, warps: int, stages: int = 2) -> Choice:
    return Choice({"BATCH": batch, "STEPS": steps}, warps, stages)


# Larger tiles read the kernel less often; these are the largest that spill no register. A product
# on sm_90 needs 64 rows to be a warp-group instruction: BATCH in "convolve", STEPS in "weight".
_TABLE: tuple[tuple[str, int, tuple[Dots, ...], Choice, Choice, Choice], ...] = (
    ("convolve", 512, ("tf32x3",), _tile(32, 32, 4), _tile(64, 32, 4), _tile(64, 32, 4)),
    ("convolve", 512, ("tf32",), _tile(64, 32, 4), _tile(64, 64, 8), _tile(64, 64, 8)),
    ("convolve", 1024, ("fp16", "bf16"), _tile(64, 64, 8), _tile(64, 64, 8), _tile(64, 64, 4)),
    ("weight", 512, ("tf32x3",), _tile(32, 32, 4), _tile(32, 64, 8), _tile(32, 64, 8)),
    ("weight", 512, ("tf32",), _tile(32, 64, 8), _tile(32, 64, 8), _tile(32, 64, 8)),
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


def convolve(  # noqa: PLR0913
    u: Tensor,
    forward: Tensor | None,
    backward: Tensor | None,
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    dots: Dots,
) -> Tensor:
    """The output y = post * c, c = conv(pre * u) + skip * pre * u.

    Args:    u, pre, post       signal and gates          (B, D, L)
             forward, backward  kernels                   (D, Lf), (D, Lb)
             skip               weights                   (D,)
    Returns: the output                                   (B, D, L)
    """
    return _convolve(u, (forward, backward), skip, pre, (post, None), dots)[0]


def gradients(  # noqa: PLR0913
    g: Tensor,
    u: Tensor,
    forward: Tensor | None,
    backward: Tensor | None,
    skip: Tensor | None,
    pre: Tensor | None,
    post: Tensor | None,
    dots: Dots,
) -> tuple[Tensor | None, ...]:
    """The gradients of `convolve` in u, forward, backward, skip, pre and post, given that in y.

    gc = post g, gx = conv^T(gc) + skip gc:  du = pre gx, dpre = u gx, dpost = g c, dskip = sum gc x
    """
    du, dpre = _convolve(
        g, (backward, forward), skip, post, (pre, None if pre is None else u), dots, like=u
    )
    dpost = None if post is None else convolve(u, forward, backward, skip, pre, g, dots)
    dforward = None if forward is None else _weight(g, post, u, pre, forward.shape[1], dots)
    dbackward = None if backward is None else _weight(u, pre, g, post, backward.shape[1], dots)
    either = dbackward if dforward is None else dforward
    dskip = None if skip is None or either is None else either[:, 0].contiguous()
    return du, dforward, dbackward, dskip, dpre, dpost


def weight_gradient(g: Tensor, u: Tensor, taps: int, dots: Dots) -> Tensor:
    """w[d, j] = sum_{b, t >= j} g[b, d, t] u[b, d, t - j]: (D, taps)."""
    return _weight(g, None, u, None, taps, dots)


def _convolve(  # noqa: PLR0913
    u: Tensor,
    kernels: tuple[Tensor | None, Tensor | None],
    skip: Tensor | None,
    pre: Tensor | None,
    gates: tuple[Tensor | None, Tensor | None],
    dots: Dots,
    like: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """gates[0] * c, and gates[1] * c if there is such a gate: laid out as `like`, or as u."""
    (num_rows, channels, length), like = u.shape, u if like is None else like
    row = find("toeplitz", "convolve", length, dots, u.device)
    blocks = launching.pieces(length, row.blocks["STEPS"])
    programs = blocks * channels * launching.pieces(num_rows, row.blocks["BATCH"])
    y = torch.empty_like(u, memory_format=torch.contiguous_format)
    y_also = None if gates[1] is None else torch.empty_like(y)
    launching.launch(
        convolution_kernel,
        programs,
        row,
        u=u.contiguous(),
        pre=_contiguous(pre),
        forward=kernels[0],
        backward=kernels[1],
        skip=skip,
        post=_contiguous(gates[0]),
        y=y,
        also=_contiguous(gates[1]),
        y_also=y_also,
        B=num_rows,
        D=channels,
        L=length,
        Lf=_taps(kernels[0]),
        Lb=_taps(kernels[1]),
        LONGEST=row.length,
        **constants(dots),
    )
    return launching.laid_out(y, like), None if y_also is None else launching.laid_out(y_also, like)


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
        g=g.contiguous(),
        post=_contiguous(post),
        u=u.contiguous(),
        pre=_contiguous(pre),
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


def _contiguous(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


def _taps(kernel: Tensor | None) -> int:
    return 0 if kernel is None else kernel.shape[1]


@triton.jit
def _load_gated(x, gate, offsets, mask):
    """The product gate * x in float32, 0 where masked."""
    value = tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32)
    if gate is not None:
        value = value * tl.load(gate + offsets, mask=mask, other=0.0).to(tl.float32)
    return value


@triton.jit
def _add_side(  # noqa: PLR0913
    c,
    u,
    pre,
    kernel,
    row_start,
    live,
    block,
    channel,
    taps,
    L,
    SIGN: tl.constexpr,
    LONGEST: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    SCALED: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Add what comes through one kernel to c: through forward (SIGN 1) or backward (-1)."""
    step = tl.arange(0, STEPS)
    reach = (taps + STEPS - 2) // STEPS
    if SIGN == 1:
        first = tl.maximum(block - reach, 0)
        last = block
    else:
        first = block
        last = tl.minimum(block + reach, tl.cdiv(L, STEPS) - 1)
    if SCALED:
        all_lags = tl.arange(0, LONGEST)
        every = tl.load(kernel + channel * taps + all_lags, mask=all_lags < taps, other=0.0)
        down_k, up_k = powers_of_two(tl.max(tl.abs(every), 0))  # pyright: ignore
    for source in range(first, last + 1):
        s = source * STEPS + step
        x = _load_gated(u, pre, row_start + s[None, :], live & (s < L)[None, :])
        lag = SIGN * ((block - source) * STEPS + step[None, :] - step[:, None])  # (j, i)
        tile = tl.load(
            kernel + channel * taps + lag, mask=(2 * lag >= 1 - SIGN) & (lag < taps), other=0.0
        )
        if SCALED:
            down_x, up_x = powers_of_two(tl.max(tl.abs(x), 1))
            x = (x * down_x[:, None]).to(OPERAND)
            c += tl.dot(x, (tile * down_k).to(OPERAND)) * (up_x * up_k)[:, None]
        else:
            c = tl.dot(x.to(OPERAND), tile.to(OPERAND), acc=c, input_precision=PRECISION)
    return c


@triton.jit
def convolution_kernel(  # noqa: PLR0913
    u,
    pre,
    forward,
    backward,
    skip,
    post,
    y,
    also,
    y_also,
    B,
    D,
    L,
    Lf,
    Lb,
    LONGEST: tl.constexpr,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    SCALED: tl.constexpr,
    BATCH: tl.constexpr,
    STEPS: tl.constexpr,
):
    """One tile of the output: BATCH rows of a channel by STEPS steps."""
    blocks = tl.cdiv(L, STEPS)
    program = tl.program_id(0)
    block = program % blocks
    channel = (program // blocks) % D
    b = (program // blocks // D) * BATCH + tl.arange(0, BATCH)
    t = block * STEPS + tl.arange(0, STEPS)
    row_start = (b.to(tl.int64)[:, None] * D + channel) * L
    live = (b < B)[:, None]

    c = tl.zeros((BATCH, STEPS), tl.float32)
    here = 0.0
    if forward is not None:
        c = _add_side(
            c, u, pre, forward, row_start, live, block, channel, Lf, L,
            1, LONGEST, OPERAND, PRECISION, SCALED, STEPS,
        )  # fmt: skip
    if backward is not None:
        here += tl.load(backward + channel * Lb)
        c = _add_side(
            c, u, pre, backward, row_start, live, block, channel, Lb, L,
            -1, LONGEST, OPERAND, PRECISION, SCALED, STEPS,
        )  # fmt: skip

    offsets = row_start + t[None, :]
    live = live & (t < L)[None, :]
    if skip is not None:
        here += tl.load(skip + channel)
    if (skip is not None) or (backward is not None):
        c += here * _load_gated(u, pre, offsets, live)
    if also is not None:
        gate = tl.load(also + offsets, mask=live, other=0.0).to(tl.float32)
        tl.store(y_also + offsets, c * gate, mask=live)
    if post is not None:
        c = c * tl.load(post + offsets, mask=live, other=0.0).to(tl.float32)
    tl.store(y + offsets, c, mask=live)


@triton.jit
def weight_kernel(  # noqa: PLR0913
    g,
    post,
    u,
    pre,
    parts,
    B,
    D,
    L,
    taps,
    blocks,
    chunks,
    OPERAND: tl.constexpr,
    PRECISION: tl.constexpr,
    SCALED: tl.constexpr,
    BATCH: tl.constexpr,
    STEPS: tl.constexpr,
):
    """The Gram matrix of one distance r between tiles, `chunks` x BATCH rows of one channel."""
    program = tl.program_id(0)
    r = program % blocks
    channel = (program // blocks) % D
    split = program // blocks // D
    step = tl.arange(0, STEPS)
    row = tl.arange(0, BATCH)

    gram = tl.zeros((STEPS, STEPS), tl.float32)
    for chunk in range(split * chunks, tl.minimum((split + 1) * chunks, tl.cdiv(B, BATCH))):
        b = chunk * BATCH + row
        row_start = (b.to(tl.int64) * D + channel) * L
        for block in range(r, tl.cdiv(L, STEPS)):
            t = block * STEPS + step
            s = (block - r) * STEPS + step
            late = _load_gated(
                g, post, row_start[:, None] + t[None, :], (b < B)[:, None] & (t < L)[None, :]
            )
            early = _load_gated(
                u, pre, row_start[None, :] + s[:, None], (b < B)[None, :] & (s < L)[:, None]
            )
            if SCALED:
                down_g, up_g = powers_of_two(tl.max(tl.max(tl.abs(late), 1), 0))
                down_u, up_u = powers_of_two(tl.max(tl.max(tl.abs(early), 1), 0))
                product = tl.dot((early * down_u).to(OPERAND), (late * down_g).to(OPERAND))
                gram += product * up_u * up_g
            else:
                gram = tl.dot(
                    early.to(OPERAND), late.to(OPERAND), acc=gram, input_precision=PRECISION
                )

    shifted = (
        step[:, None] + step[None, :]
    )  # (j, q): the column of row j where i - j = q, or q - STEPS
    rolled = tl.gather(gram, tl.where(shifted < STEPS, shifted, shifted - STEPS), 1)
    same = tl.sum(tl.where(shifted < STEPS, rolled, 0.0), 0)
    before = tl.sum(tl.where(shifted < STEPS, 0.0, rolled), 0)
    part = parts + (split * 2 * D + channel) * taps
    lag = r * STEPS + step
    tl.store(part + lag, same, mask=lag < taps)
    part += D * taps
    tl.store(part + lag - STEPS, before, mask=(lag >= STEPS) & (lag - STEPS < taps))
    if r == blocks - 1:
        tl.store(part + lag, tl.zeros((STEPS,), tl.float32), mask=lag < taps)
