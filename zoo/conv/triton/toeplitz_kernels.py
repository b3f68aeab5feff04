"""The kernels of toeplitz.py: products of signal tiles with tiles of lags, and their Gram matrices.

Axes: B batch, D channels, L length.
"""

from __future__ import annotations

import triton
import triton.language as tl

from zoo.conv.triton.rounding import powers_of_two


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
    kernel += tl.cast(channel, tl.int64) * taps
    if SIGN == 1:
        first = tl.maximum(block - reach, 0)
        last = block
    else:
        first = block
        last = tl.minimum(block + reach, tl.cdiv(L, STEPS) - 1)
    if SCALED:
        all_lags = tl.arange(0, LONGEST)
        every = tl.load(kernel + all_lags, mask=all_lags < taps, other=0.0)
        down_k, up_k = powers_of_two(tl.max(tl.abs(every), 0))  # pyright: ignore
    for source in range(first, last + 1):
        s = source * STEPS + step
        x = _load_gated(u, pre, row_start + s[None, :], live & (s < L)[None, :])
        lag = SIGN * ((block - source) * STEPS + step[None, :] - step[:, None])  # (j, i)
        tile = tl.load(kernel + lag, mask=(2 * lag >= 1 - SIGN) & (lag < taps), other=0.0)
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
        here += tl.load(backward + tl.cast(channel, tl.int64) * Lb)
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
    line = tl.cast(split, tl.int64) * 2 * D + channel
    lag = r * STEPS + step
    tl.store(parts + line * taps + lag, same, mask=lag < taps)
    line += D
    tl.store(parts + line * taps + lag - STEPS, before, mask=(lag >= STEPS) & (lag - STEPS < taps))
    if r == blocks - 1:
        tl.store(parts + line * taps + lag, tl.zeros((STEPS,), tl.float32), mask=lag < taps)
