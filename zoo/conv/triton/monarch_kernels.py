"""The kernels of a convolution of 1K to 8K steps: GEMM-FFT of order two and three, a row a program.

    K = F(forward) + conj(F(backward))                     once per channel   `spectrum_kernel`
    y = post (Re F^-1(F(pre u) K) + skip pre u)            per row            `convolve_kernel`
    A = sum_b F(post g) conj(F(pre u))                     per channel        `correlate_kernel`
    dforward = Re F^-1(A),  dbackward = Re F^-1(conj(A))   per channel        `finish_kernel`

Signals are contiguous (B, D, L) and of any L <= n = N1 N2 N3; only the masks know. No program loops
over rows where there could be more programs: addresses kept across iterations cost the registers
that decide whether it fits.

Axes: B batch, D channels, L length.
"""

# Equations begin as they must, kernels take what they take, and @triton.jit returns have no type:
# ruff: noqa: D403, PLR0913
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl

from zoo.conv.triton.stages import forward_real, inverse_real, scale_for, times, times_conj


@triton.jit
def time_of(N1: tl.constexpr, M: tl.constexpr):
    """t = j1 M + m as a tile [m, j1]."""
    return tl.arange(0, N1)[None, :] * M + tl.arange(0, M)[:, None]


@triton.jit
def load_gated(x, gate, start, t, L):
    """gate x in float32 at the steps t of the row that begins at `start`, zero from L on."""
    v = tl.load(x + start + t, mask=t < L, other=0.0).to(tl.float32)
    if gate is not None:
        v *= tl.load(gate + start + t, mask=t < L, other=0.0).to(tl.float32)
    return v


@triton.jit
def transform_row(
    x, gate, start, L, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """F(gate x) times a power of two, and the inverse of that."""
    n: tl.constexpr = N1 * N2 * N3
    v = load_gated(x, gate, start, time_of(N1, N2 * N3), L)
    up = 1.0
    if SCALED:
        down, up = scale_for(tl.sum(tl.sum(tl.abs(v) * (1.0 / n), 1), 0), n)
        v *= down
    r, i = forward_real(v, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
    return r, i, up


@triton.jit
def spectrum_at(pointer, d, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr):
    """Where the real parts [(k1 k2), k3] of spectrum d stand; the imaginary parts are n further."""
    p, q = tl.arange(0, N1 * N2), tl.arange(0, N3)
    first = pointer + tl.cast(d, tl.int64) * (2 * N1 * N2 * N3)
    return first + p[:, None] * N3 + q[None, :]


@triton.jit
def store_spectrum(
    r, i, spectrum, line, ADD: tl.constexpr, CONJ: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
):  # fmt: skip
    """K[line] (+)= r + i sqrt(-1), or its conjugate; returns the largest |Re K|, |Im K|."""
    n: tl.constexpr = N1 * N2 * N3
    at = spectrum_at(spectrum, line, N1, N2, N3)
    if CONJ:
        i = -i
    if ADD:
        r += tl.load(at)
        i += tl.load(at + n)
    tl.store(at, r)
    tl.store(at + n, i)
    return tl.max(tl.max(tl.maximum(tl.abs(r), tl.abs(i)), 1), 0)


@triton.jit
def spectrum_kernel(
    taps, spectrum, peaks, matrices, twiddles, num_taps, ADD: tl.constexpr, CONJ: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """K (+)= F(taps), or conj(F(taps)). A program: a channel."""
    d = tl.program_id(0)
    x = load_gated(taps, None, tl.cast(d, tl.int64) * num_taps, time_of(N1, N2 * N3), num_taps)
    r, i = forward_real(x, matrices, twiddles, N1, N2, N3, tl.float32, PRECISION)
    tl.store(peaks + d, store_spectrum(r, i, spectrum, d, ADD, CONJ, N1, N2, N3))


@triton.jit
def convolve_kernel(
    x, gate, spectrum, peaks, skip, other, other_gate, sums, out, out_gate, also, also_gate,
    matrices, twiddles, B, D, L,
    TRANSPOSED: tl.constexpr, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """c = K * (gate x) + skip gate x;  out = out_gate c,  also = also_gate c.

    TRANSPOSED takes conj(K); then sums[d, b] = sum_t gate x other_gate other gives the gradient of
    the skip. A program: a row; those of one channel follow one another, and find K in the cache.
    """
    n: tl.constexpr = N1 * N2 * N3
    d = tl.program_id(0) // B
    start = (tl.cast(tl.program_id(0) % B, tl.int64) * D + d) * L
    r, i, up = transform_row(
        x, gate, start, L, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION, SCALED
    )
    at = spectrum_at(spectrum, d, N1, N2, N3)
    kr, ki = tl.load(at), tl.load(at + n)
    up_k = 1.0
    if SCALED:
        down, up_k = scale_for(tl.load(peaks + d), 32768)  # to below 1
        kr, ki = kr * down, ki * down
    if TRANSPOSED:
        r, i = times_conj(r, i, kr, ki)
    else:
        r, i = times(r, i, kr, ki)
    c = inverse_real(r, i, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
    if SCALED:
        c = c * up * up_k
    t = time_of(N1, N2 * N3)
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
def accumulate(total, g, u, begun, n: tl.constexpr):
    """total (+)= g conj(u), spectra in memory, a stretch at a time."""
    for first in range(0, n, 1024):
        re = first + tl.arange(0, 1024)
        im = n + re
        r, i = times_conj(tl.load(g + re), tl.load(g + im), tl.load(u + re), tl.load(u + im))
        if begun:
            r += tl.load(total + re)
            i += tl.load(total + im)
        tl.store(total + re, r)
        tl.store(total + im, i)


@triton.jit
def correlate_kernel(
    g, g_gate, u, u_gate, partial, held, matrices, twiddles, B, D, L, rows_per_split,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """A = sum_b F(g_gate g) conj(F(u_gate u)) over the rows of one split, in their order.

    The sum and both spectra live in memory (that is, in the cache): in registers they would leave
    too few for the transforms. A program: one split of a channel, with its own place in `partial`,
    (splits, D, 2, n), and `held`, (splits, D, 2, 2, n).
    """
    n: tl.constexpr = N1 * N2 * N3
    d = tl.program_id(0) % D
    first = (tl.program_id(0) // D) * rows_per_split
    total = partial + tl.cast(tl.program_id(0), tl.int64) * (2 * n)
    of_g = held + tl.cast(tl.program_id(0), tl.int64) * (4 * n)
    of_u = of_g + 2 * n
    for b in tl.range(first, tl.minimum(first + rows_per_split, B), disable_licm=True):
        start = (tl.cast(b, tl.int64) * D + d) * L
        r, i, up = transform_row(
            g, g_gate, start, L, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION, SCALED
        )
        at = spectrum_at(of_g, 0, N1, N2, N3)
        tl.store(at, r * up)
        tl.store(at + n, i * up)
        r, i, up = transform_row(
            u, u_gate, start, L, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION, SCALED
        )
        at = spectrum_at(of_u, 0, N1, N2, N3)
        tl.store(at, r * up)
        tl.store(at + n, i * up)
        tl.debug_barrier()  # another thread reads what this one wrote
        accumulate(total, of_g, of_u, b > first, n)
        tl.debug_barrier()


@triton.jit
def finish_kernel(
    partial, taps, matrices, twiddles, D, num_splits, num_taps, CONJ: tl.constexpr,
    N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """taps = Re F^-1(A), or of conj(A), A the sum of the splits in order. A program: a channel."""
    n: tl.constexpr = N1 * N2 * N3
    d = tl.program_id(0)
    r = tl.zeros((N1 * N2, N3), tl.float32)
    i = tl.zeros((N1 * N2, N3), tl.float32)
    for split in range(num_splits):
        at = spectrum_at(partial, split * D + d, N1, N2, N3)
        r += tl.load(at)
        i += tl.load(at + n)
    if CONJ:
        i = -i
    x = inverse_real(r, i, matrices, twiddles, N1, N2, N3, tl.float32, PRECISION)
    t = time_of(N1, N2 * N3)
    tl.store(taps + tl.cast(d, tl.int64) * num_taps + t, x, mask=t < num_taps)
