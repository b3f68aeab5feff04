"""The constants of a factored DFT on the ring t^n = i: DFT matrices, and the twiddles between them.

Multiplying polynomials modulo t^n = i keeps the wrapped half of a product in the imaginary part, so
the real part is the causal product of two real signals, without padding. Evaluating at the roots of
t^n - i is a twist by w^t, w = exp(i pi / 2n), and an ordinary complex DFT of length n:

    X[k] = sum_t x[t] w^t exp(-2 pi i t k / n)

With t = j1 (n2 n3) + j2 n3 + j3 and k = k1 + n1 (k2 + n2 k3) it falls into three small DFTs,

    F1[j1, k1] = exp(-2 pi i j1 k1 / n1) w^(j1 n2 n3)
    T1[m,  k1] = exp(-2 pi i m  k1 / n)  w^m                 m = j2 n3 + j3
    F2[j2, k2] = exp(-2 pi i j2 k2 / n2)
    T2[j3, k2] = exp(-2 pi i j3 k2 / (n2 n3))
    F3[j3, k3] = exp(-2 pi i j3 k3 / n3)

so the twist costs nothing: it is inside F1 and T1. Angles are whole multiples of 2 pi / 4n, reduced
as integers, evaluated in float64 and rounded once.

Source:  Fu et al. 2023 (FlashFFTConv), arXiv:2311.05908.
Differs: one real row in one complex DFT of length n; upstream packs two rows in one of length 2n.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.conv.triton.configurations import Dots


class Radices(NamedTuple):
    """How a length is factored; n2 = 1 for order two."""

    n1: int
    n2: int
    n3: int

    @property
    def length(self) -> int:
        return self.n1 * self.n2 * self.n3


def operand_type(dots: Dots) -> torch.dtype:
    """The type of the tables that dots take as operands."""
    return {"fp16": torch.float16, "bf16": torch.bfloat16}.get(dots, torch.float32)


def roots(exponents: Tensor, order: int) -> Tensor:
    """`exp(-2 pi i e / order)` as two planes, cosine and minus sine, in float64.

    Args:    exponents  whole numbers, any sign                (...)
    Returns: real and imaginary part                        (2, ...)
    """
    angle = (exponents % order).double() * (2 * math.pi / order)
    return torch.stack([angle.cos(), -angle.sin()])


def dft_matrix(n: int, *, twist: bool = False) -> Tensor:
    """`exp(-2 pi i j k / n) w^(j N / n)`, where the twist w^(N/n) = exp(i pi / 2n) for any N.

    Returns: planes of the matrix from j to k              (2, n, n)
    """
    j = torch.arange(n)
    return roots(4 * torch.outer(j, j) - twist * j[:, None], 4 * n)


def twiddles(rows: int, columns: int, *, twist: bool = False) -> Tensor:
    """`exp(-2 pi i m k / (rows columns)) w^m`, with w = exp(i pi / 2 rows columns).

    Returns: planes                              (2, rows, columns)
    """
    m, k = torch.arange(rows), torch.arange(columns)
    return roots(4 * torch.outer(m, k) - twist * m[:, None], 4 * rows * columns)


@lru_cache(maxsize=64)
def matrices(radices: Radices, dtype: torch.dtype, device: torch.device, *, twist: bool) -> Tensor:
    """F1, F2, F3 one after the other, each as planes re, im, -im; F2 of order two is a single 1."""
    n1, n2, n3 = radices
    parts = [dft_matrix(n1, twist=twist), dft_matrix(n2), dft_matrix(n3)]
    return _moved(torch.cat([torch.cat([p, -p[1:]]).flatten() for p in parts]), dtype, device)


@lru_cache(maxsize=64)
def stage_twiddles(radices: Radices, device: torch.device, *, twist: bool) -> Tensor:
    """T1 and T2 one after the other, each as two planes, in float32."""
    n1, n2, n3 = radices
    parts = [twiddles(n2 * n3, n1, twist=twist), twiddles(n3, n2)]
    return _moved(torch.cat([p.flatten() for p in parts]), torch.float32, device)


@lru_cache(maxsize=16)
def column_matrix(num_columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The first, long DFT of the three-kernel scheme, with the twist; symmetric but for that.

    Returns: planes of the matrix from j to k        (2, num_columns, num_columns)
    """
    return _moved(dft_matrix(num_columns, twist=True), dtype, device)


@lru_cache(maxsize=16)
def column_twiddles(num_columns: int, inner: int, device: torch.device) -> Tensor:
    """What stands between the long DFT and the inner ones, in float32.

    Returns: planes T[k, m]                                  (2, num_columns, inner)
    """
    return _moved(twiddles(inner, num_columns, twist=True).mT, torch.float32, device)


def _moved(table: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Finished here and then copied, which waits: a kernel on the device would run on the stream
    of whoever asks first, and a second stream would find the table in the cache before it is made.
    """
    return table.contiguous().to(dtype).to(device)
