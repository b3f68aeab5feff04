"""The stages of a factored DFT, as functions inside kernels.

A complex array is two float32 tiles, `r` and `i`. The data stand on the row side of every matrix
product and the small DFT matrix on the column side, so one transform is, for order three,

    x[(j2 j3), j1]  -F1->  (k1)  *T1   turned to   [(j3 k1), j2]  -F2->  (k2)  *T2   turned to
    [(k1 k2), j3]   -F3->  [(k1 k2), k3]

and without the middle for order two (N2 = 1). Nothing is brought back to natural order: the spectra
of signals and of kernels stay in the order (k1, k2, k3). OPERAND is the type that operands of
products are rounded to, PRECISION how float32 operands are used ("tf32", "tf32x3"). Sums are in
float32.
"""

# Equations begin as they must, kernels take what they take, and @triton.jit returns have no type:
# ruff: noqa: D403, PLR0913, SIM108
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl

from zoo.conv.triton.rounding import powers_of_two


@triton.jit
def scale_for(size, HEADROOM: tl.constexpr):
    """(down, up): the power of two that brings `size` into [2^14, 2^15) / HEADROOM, and back.

    For the mean of |x_t| over n steps and HEADROOM n: brings the sum of |x_t| into [2^14, 2^15). No
    stage of a transform of x can be larger, and that of an impulse is no smaller; the largest |x_t|
    for its size would allow for n steps as large, and lose an impulse among a million.
    """
    down, up = powers_of_two(size)
    return down * (1.0 / HEADROOM), up * HEADROOM


@triton.jit
def times(ar, ai, br, bi):
    """a b."""
    return ar * br - ai * bi, ar * bi + ai * br


@triton.jit
def times_conj(ar, ai, br, bi):
    """a conj(b)."""
    return ar * br + ai * bi, ai * br - ar * bi


@triton.jit
def load_plane(planes, plane: tl.constexpr, N: tl.constexpr, TRANSPOSED: tl.constexpr):
    """F[j, k], or F^T: plane 0 is the real part, 1 the imaginary part, 2 that with a minus sign."""
    i = tl.arange(0, N)
    if TRANSPOSED:
        at = i[None, :] * N + i[:, None]
    else:
        at = i[:, None] * N + i[None, :]
    return tl.load(planes + plane * N * N + at)


@triton.jit
def dft(zr, zi, planes, N: tl.constexpr, PRECISION: tl.constexpr):
    """z F, for complex z: four real products.

    Each plane is loaded where it is used, because there are too few registers for two of them. The
    minus sign is in the table because the interpreter cannot negate bfloat16.
    """
    f = load_plane(planes, 0, N, False)
    r = tl.dot(zr, f, input_precision=PRECISION)
    i = tl.dot(zi, f, input_precision=PRECISION)
    i = tl.dot(zr, load_plane(planes, 1, N, False), acc=i, input_precision=PRECISION)
    r = tl.dot(zi, load_plane(planes, 2, N, False), acc=r, input_precision=PRECISION)
    return r, i


@triton.jit
def inverse_dft(zr, zi, planes, N: tl.constexpr, PRECISION: tl.constexpr):
    """z conj(F)^T / N, for complex z. Each stage divides by its own N, so fp16 loses nothing."""
    f = load_plane(planes, 0, N, True)
    r = tl.dot(zr, f, input_precision=PRECISION)
    i = tl.dot(zi, f, input_precision=PRECISION)
    r = tl.dot(zi, load_plane(planes, 1, N, True), acc=r, input_precision=PRECISION)
    i = tl.dot(zr, load_plane(planes, 2, N, True), acc=i, input_precision=PRECISION)
    return r * (1.0 / N), i * (1.0 / N)


@triton.jit
def turn(z, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """[(a b), c] -> [(b c), a]."""
    return tl.reshape(tl.permute(tl.reshape(z, (A, B, C)), (1, 2, 0)), (B * C, A))


@triton.jit
def turn_back(z, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """[(b c), a] -> [(a b), c]."""
    return tl.reshape(tl.permute(tl.reshape(z, (B, C, A)), (2, 0, 1)), (A * B, C))


@triton.jit
def after_first(
    r, i, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """[(j2 j3), k1] -> [(k1 k2), k3]: everything that follows the first DFT."""
    m = tl.arange(0, N2 * N3)
    at = m[:, None] * N1 + tl.arange(0, N1)[None, :]
    tr, ti = tl.load(twiddles + at), tl.load(twiddles + N1 * N2 * N3 + at)
    r, i = times(r, i, tr, ti)
    if N2 > 1:
        r, i = turn(r.to(OPERAND), N2, N3, N1), turn(i.to(OPERAND), N2, N3, N1)
        r, i = dft(r, i, matrices + 3 * N1 * N1, N2, PRECISION)
        q = tl.arange(0, N3 * N1)
        at = (q[:, None] // N1) * N2 + tl.arange(0, N2)[None, :]
        second = twiddles + 2 * N1 * N2 * N3
        r, i = times(r, i, tl.load(second + at), tl.load(second + N2 * N3 + at))
        r, i = turn(r.to(OPERAND), N3, N1, N2), turn(i.to(OPERAND), N3, N1, N2)
    else:
        r, i = tl.trans(r.to(OPERAND)), tl.trans(i.to(OPERAND))
    return dft(r, i, matrices + 3 * (N1 * N1 + N2 * N2), N3, PRECISION)


@triton.jit
def before_first(
    r, i, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """[(k1 k2), k3] -> [(j2 j3), k1], the inverse of `after_first`, in the type of the operands."""
    third = matrices + 3 * (N1 * N1 + N2 * N2)
    r, i = inverse_dft(r.to(OPERAND), i.to(OPERAND), third, N3, PRECISION)
    if N2 > 1:
        p = tl.arange(0, N1 * N2)
        at = tl.arange(0, N3)[None, :] * N2 + p[:, None] % N2
        second = twiddles + 2 * N1 * N2 * N3
        r, i = times_conj(r, i, tl.load(second + at), tl.load(second + N2 * N3 + at))
        r, i = turn_back(r.to(OPERAND), N3, N1, N2), turn_back(i.to(OPERAND), N3, N1, N2)
        r, i = inverse_dft(r, i, matrices + 3 * N1 * N1, N2, PRECISION)
    # now [(j3 k1), j2]; the twiddle's m = j2 n3 + j3
    q = tl.arange(0, N3 * N1)
    if N2 > 1:
        j3, k1 = q[:, None] // N1, q[:, None] % N1
        at = (tl.arange(0, N2)[None, :] * N3 + j3) * N1 + k1
    else:
        at = tl.arange(0, N3)[None, :] * N1 + tl.arange(0, N1)[:, None]
    tr, ti = tl.load(twiddles + at), tl.load(twiddles + N1 * N2 * N3 + at)
    r, i = times_conj(r, i, tr, ti)
    if N2 > 1:
        r, i = turn_back(r.to(OPERAND), N2, N3, N1), turn_back(i.to(OPERAND), N2, N3, N1)
    else:
        r, i = tl.trans(r.to(OPERAND)), tl.trans(i.to(OPERAND))
    return r, i


@triton.jit
def forward_real(
    x, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """X[k] = sum_t x[t] w^t exp(-2 pi i t k / n), x real [(j2 j3), j1], X as [(k1 k2), k3]."""
    x = x.to(OPERAND)
    r = tl.dot(x, load_plane(matrices, 0, N1, False), input_precision=PRECISION)
    i = tl.dot(x, load_plane(matrices, 1, N1, False), input_precision=PRECISION)
    return after_first(r, i, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)


@triton.jit
def inverse_real(
    r, i, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Re x[t], x[t] = w^-t / n sum_k X[k] exp(2 pi i t k / n): the real part is all that counts."""
    r, i = before_first(r, i, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
    x = tl.dot(r, load_plane(matrices, 0, N1, True), input_precision=PRECISION)
    x = tl.dot(i, load_plane(matrices, 1, N1, True), acc=x, input_precision=PRECISION)
    return x * (1.0 / N1)


@triton.jit
def forward_complex(
    r, i, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The same for complex x, already of the operands' type; with the tables that have no twist."""
    r, i = dft(r, i, matrices, N1, PRECISION)
    return after_first(r, i, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)


@triton.jit
def inverse_complex(
    r, i, matrices, twiddles, N1: tl.constexpr, N2: tl.constexpr, N3: tl.constexpr,
    OPERAND: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The inverse of `forward_complex`."""
    r, i = before_first(r, i, matrices, twiddles, N1, N2, N3, OPERAND, PRECISION)
    return inverse_dft(r, i, matrices, N1, PRECISION)
