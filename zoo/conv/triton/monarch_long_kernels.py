"""The kernels of a convolution of 8K to 1M steps: n = M P, a long DFT, inner DFTs, and back.

    t = j P + m:   X[k, m] = T[k, m] sum_j F[j, k] x[j P + m]         `columns_kernel`, to scratch
                   Z[k, :] = DFT_P(X[k, :]),  times K, and back       `inner_*_kernel`, in place
                   x[j P + m] = Re sum_k conj(F[j, k]) Z[k, m] / M    `columns_inverse_kernel`

The first and the last are plain matrix products, with gates, skip and scales in what they load and
store; F has the twist of the ring t^n = i, T the twiddles (tables.py). The inner transforms are
those of the one-kernel convolution. Scratch, (rows, M, 2, P), has the type of the operands: the
next product would have rounded it to that anyway.

A launch takes a piece of the batch and of the channels: `width` channels of D, so row r of the
piece is channel r % width and begins at ((r / width) D + r % width) L.

Source:  Fu et al. 2023 (FlashFFTConv), arXiv:2311.05908, section 3.2.
"""

# Equations begin as they must, kernels take what they take, and @triton.jit returns have no type:
# ruff: noqa: PLR0913
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl

from zoo.conv.triton.monarch_kernels import load_gated, spectrum_at, store_spectrum, time_of
from zoo.conv.triton.stages import (
    forward_complex,
    inverse_complex,
    scale_for,
    times,
    times_conj,
)

MEAN_OF = tl.constexpr(2**20)  # steps, at least those of a row: no sum of |x| / MEAN_OF overflows


@triton.jit
def start_of(row, width, D, L):
    """Where a row of the piece begins."""
    return (tl.cast(row // width, tl.int64) * D + row % width) * L


@triton.jit
def sizes_kernel(x, gate, sizes, width, D, L, PIECES: tl.constexpr, STEPS: tl.constexpr):
    """The sum of |gate x| / MEAN_OF over a stretch: (rows, PIECES). A program: a stretch."""
    row, piece = tl.program_id(0) // PIECES, tl.program_id(0) % PIECES
    length = tl.cdiv(L, PIECES)
    end = tl.minimum((piece + 1) * length, L)
    size = tl.zeros((STEPS,), tl.float32)
    for first in range(piece * length, end, STEPS):
        v = load_gated(x, gate, start_of(row, width, D, L), first + tl.arange(0, STEPS), end)
        size += tl.abs(v) * (1.0 / MEAN_OF)
    tl.store(sizes + tl.program_id(0), tl.sum(size, 0))


@triton.jit
def signal_scale(sizes, row, PIECES: tl.constexpr):
    """(down, up) of a row of a signal: down brings the sum of its |gate x| into [2^14, 2^15)."""
    return scale_for(tl.sum(tl.load(sizes + row * PIECES + tl.arange(0, PIECES)), 0), MEAN_OF)


@triton.jit
def spectrum_scale(k_peaks, channel, M: tl.constexpr):
    """(down, up) of a channel of K: down brings the largest |Re K|, |Im K| below 1."""
    return scale_for(tl.max(tl.load(k_peaks + channel * M + tl.arange(0, M)), 0), 32768)


@triton.jit
def tile_of(M: tl.constexpr, P: tl.constexpr, LINES: tl.constexpr, COLUMNS: tl.constexpr):
    """The program's tile of an (M, P) array: its row of the piece, its lines and its columns.

    Tiles of the same columns are neighbours: they read the same steps of the signal.
    """
    down: tl.constexpr = M // LINES
    tiles: tl.constexpr = down * (P // COLUMNS)
    tile = tl.program_id(0) % tiles
    lines = (tile % down) * LINES + tl.arange(0, LINES)
    columns = (tile // down) * COLUMNS + tl.arange(0, COLUMNS)
    return tl.program_id(0) // tiles, lines, columns


@triton.jit
def scratch_at(scratch, row, lines, columns, M: tl.constexpr, P: tl.constexpr):
    """Where the real parts of a tile [line, column] stand; the imaginary parts are P further."""
    first = scratch + tl.cast(row, tl.int64) * (2 * M * P)
    return first + lines[:, None] * (2 * P) + columns[None, :]


@triton.jit
def columns_kernel(
    x, gate, sizes, scratch, matrix, column_twiddles, width, D, L,
    M: tl.constexpr, P: tl.constexpr, PIECES: tl.constexpr,
    LINES: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """X[k, m] = T[k, m] sum_j F[j, k] x[j P + m], x gated and scaled. A program: a tile."""
    row, k, m = tile_of(M, P, LINES, COLUMNS)
    start = start_of(row, width, D, L)
    down = 1.0
    if SCALED:
        down, _ = signal_scale(sizes, row, PIECES)
    r = tl.zeros((LINES, COLUMNS), tl.float32)
    i = tl.zeros((LINES, COLUMNS), tl.float32)
    for first in range(0, M, DEPTH):
        j = first + tl.arange(0, DEPTH)
        v = load_gated(x, gate, start, j[:, None] * P + m[None, :], L)
        if SCALED:
            v *= down
        v = v.to(OPERAND)
        f = matrix + j[None, :] * M + k[:, None]
        r = tl.dot(tl.load(f), v, acc=r, input_precision=PRECISION)
        i = tl.dot(tl.load(f + M * M), v, acc=i, input_precision=PRECISION)
    t = column_twiddles + k[:, None] * P + m[None, :]
    r, i = times(r, i, tl.load(t), tl.load(t + M * P))
    at = scratch_at(scratch, row, k, m, M, P)
    tl.store(at, r.to(OPERAND))
    tl.store(at + P, i.to(OPERAND))


@triton.jit
def columns_inverse_kernel(
    scratch, k_peaks, x, gate, sizes, skip, other, other_gate, sums,
    out, out_gate, also, also_gate, matrix, width, D, L,
    M: tl.constexpr, P: tl.constexpr, PIECES: tl.constexpr,
    LINES: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """c[j P + m] = Re sum_k conj(F[j, k]) Z[k, m] / M + skip gate x

    out = out_gate c, also = also_gate c, sums as in the one-kernel scheme. SCALED undoes the scales
    of x and of K. A program: a tile of a row.
    """
    row, j, m = tile_of(M, P, LINES, COLUMNS)
    c = tl.zeros((LINES, COLUMNS), tl.float32)
    for first in range(0, M, DEPTH):
        k = first + tl.arange(0, DEPTH)
        f = matrix + j[:, None] * M + k[None, :]
        at = scratch_at(scratch, row, k, m, M, P)
        c = tl.dot(tl.load(f), tl.load(at), acc=c, input_precision=PRECISION)
        c = tl.dot(tl.load(f + M * M), tl.load(at + P), acc=c, input_precision=PRECISION)
    c *= 1.0 / M
    d = row % width
    if SCALED:
        _, up = signal_scale(sizes, row, PIECES)
        _, up_k = spectrum_scale(k_peaks, d, M)
        c = c * up * up_k
    start = start_of(row, width, D, L)
    t = j[:, None] * P + m[None, :]
    if skip is not None:
        v = load_gated(x, gate, start, t, L)
        c += v * tl.load(skip + d)
        if sums is not None:
            v *= load_gated(other, other_gate, start, t, L)
            tl.store(sums + tl.program_id(0), tl.sum(tl.sum(v, 1), 0))
    y = c
    if out_gate is not None:
        y *= tl.load(out_gate + start + t, mask=t < L, other=0.0).to(tl.float32)
    tl.store(out + start + t, y, mask=t < L)
    if also is not None:
        y = c * tl.load(also_gate + start + t, mask=t < L, other=0.0).to(tl.float32)
        tl.store(also + start + t, y, mask=t < L)


@triton.jit
def transform_line(
    scratch, line, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """DFT of a line of scratch."""
    P: tl.constexpr = N1 * N2 * N3
    at = scratch + tl.cast(line, tl.int64) * (2 * P) + time_of(N1, N2 * N3)
    r, i = tl.load(at), tl.load(at + P)
    return forward_complex(r, i, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)


@triton.jit
def invert_line(
    r, i, scratch, line, k, matrices, twiddles, column_twiddles, M: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Line <- conj(T[k, :]) DFT^-1(r, i): an operand of the last product."""
    P: tl.constexpr = N1 * N2 * N3
    r, i = inverse_complex(r, i, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
    t = column_twiddles + k * P + time_of(N1, N2 * N3)
    r, i = times_conj(r, i, tl.load(t), tl.load(t + M * P))
    at = scratch + tl.cast(line, tl.int64) * (2 * P) + time_of(N1, N2 * N3)
    tl.store(at, r.to(OPERAND))
    tl.store(at + P, i.to(OPERAND))


@triton.jit
def inner_convolve_kernel(
    scratch, spectrum, k_peaks, matrices, twiddles, column_twiddles, batch, width,
    TRANSPOSED: tl.constexpr, M: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """Z <- conj(T) DFT^-1(DFT(Z) K), or with conj(K), in place.

    A program: a line. The rows of one channel follow one another, and find K in the cache.
    """
    P: tl.constexpr = N1 * N2 * N3
    of_channel = tl.program_id(0) // batch  # d M + k
    line = (tl.program_id(0) % batch) * width * M + of_channel
    r, i = transform_line(scratch, line, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
    at = spectrum_at(spectrum, of_channel, N1, N2, N3)
    kr, ki = tl.load(at), tl.load(at + P)
    if SCALED:
        down, _ = spectrum_scale(k_peaks, of_channel // M, M)
        kr, ki = kr * down, ki * down
    if TRANSPOSED:
        r, i = times_conj(r, i, kr, ki)
    else:
        r, i = times(r, i, kr, ki)
    invert_line(
        r, i, scratch, line, of_channel % M, matrices, twiddles, column_twiddles, M,
        N1, N2, N3, OPERAND, PRECISION,
    )  # fmt: skip


@triton.jit
def inner_spectrum_kernel(
    scratch, spectrum, k_peaks, matrices, twiddles, ADD: tl.constexpr, CONJ: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """K (+)= DFT(Z), or conj(DFT(Z)): (D, M, 2, P); k_peaks is (D, M). A program: a line."""
    line = tl.program_id(0)
    r, i = transform_line(scratch, line, matrices, twiddles, N1, N2, N3, tl.float32, PRECISION)
    tl.store(k_peaks + line, store_spectrum(r, i, spectrum, line, ADD, CONJ, N1, N2, N3))


@triton.jit
def inner_correlate_kernel(
    g_scratch, u_scratch, g_sizes, u_sizes, total, held, matrices, twiddles, batch, width,
    ADD: tl.constexpr, M: tl.constexpr, PIECES: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """A (+)= sum_b DFT(G) conj(DFT(U)), b in order.

    As in the one-kernel scheme, the sum and the spectrum of g wait in memory: total and held are
    (D, M, 2, P). A program: a line of a channel; it goes through the batch.
    """
    P: tl.constexpr = N1 * N2 * N3
    of_channel = tl.program_id(0)
    for b in range(batch):
        line = b * width * M + of_channel
        up = 1.0
        r, i = transform_line(g_scratch, line, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
        if SCALED:
            _, up = signal_scale(g_sizes, line // M, PIECES)
        at = spectrum_at(held, of_channel, N1, N2, N3)
        tl.store(at, r * up)
        tl.store(at + P, i * up)
        tl.debug_barrier()  # another thread may read what this one wrote
        r, i = transform_line(u_scratch, line, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
        if SCALED:
            _, up = signal_scale(u_sizes, line // M, PIECES)
        at = spectrum_at(held, of_channel, N1, N2, N3)
        r, i = times_conj(tl.load(at), tl.load(at + P), r * up, i * up)
        at = spectrum_at(total, of_channel, N1, N2, N3)
        if (b > 0) | ADD:
            r += tl.load(at)
            i += tl.load(at + P)
        tl.store(at, r)
        tl.store(at + P, i)
        tl.debug_barrier()


@triton.jit
def inner_finish_kernel(
    total, scratch, matrices, twiddles, column_twiddles, CONJ: tl.constexpr, M: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Z = conj(T) DFT^-1(A), or of conj(A). A program: a line."""
    P: tl.constexpr = N1 * N2 * N3
    line = tl.program_id(0)
    at = spectrum_at(total, line, N1, N2, N3)
    r, i = tl.load(at), tl.load(at + P)
    if CONJ:
        i = -i
    invert_line(
        r, i, scratch, line, line % M, matrices, twiddles, column_twiddles, M,
        N1, N2, N3, tl.float32, PRECISION,
    )  # fmt: skip
