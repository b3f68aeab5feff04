"""HiPPO: matrices whose state holds the coefficients of the past in an orthogonal basis.

    x' = A x + B u:   x_n(t) = int u(t - s) K_n(s) ds,   K(t) = exp(t A) B

    legs  K_n = sqrt(2n+1) e^-t P_n(2 e^-t - 1)       Legendre, warped exponentially
    legt  K_n ~ sqrt(2n+1)/2 P_n(1 - t) on [0, 2]     Legendre, on a window
    lagt  K_n = e^(-t/2) Laguerre_n(t)
    fout  K   ~ 1/2, 0, cos(pi f t)/sqrt2, sin(pi f t)/sqrt2 on [0, 2], f = 1, 2, ...

Each is normal plus low rank: A = M - P P^T, M = -rate I + a skew matrix, so M has orthogonal
eigenvectors. A itself is never diagonalised: for legs of size 32 that would be conditioned 6e18.
All here is numpy in float64, wherever (and however pretended) the model is built.

Axes: N real states, R the rank of the correction.

Source:  Gu et al. 2020, arXiv:2008.07669; Gu et al. 2022, arXiv:2111.00396 and arXiv:2206.12037.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
SLOWEST = 1e-4  # least rate of a mode: a pole of FouT at 0 is 0/0 in a generating function


@dataclass(frozen=True)
class Hippo:
    """x' = A x + B u, and what makes A normal: A + P P^T = -rate I + a skew matrix."""

    a: Real  # (N, N)
    b: Real  # (N,)
    p: Real  # (N, R)
    rate: float


@dataclass(frozen=True)
class Rotated:
    """One of each conjugate pair of poles of A + P P^T = V (i omega - rate) V^H, and V^H B, V^H P.

    Eigenvectors have no phase of their own: here V^H B is real and positive.
    """

    omega: Real  # (N/2,), ascending, not negative
    rate: float
    v: Complex  # (N, N/2)
    b: Complex  # (N/2,)
    p: Complex  # (R, N/2)


def legs(size: int) -> Hippo:
    """A_nk = -sqrt(2n+1) sqrt(2k+1) below the diagonal, -(n+1) on it; B_n = sqrt(2n+1)."""
    n = np.arange(float(size))
    root = np.sqrt(2 * n + 1)
    a = -np.tril(np.outer(root, root), -1) - np.diag(n + 1)
    return Hippo(a, root, np.sqrt(n + 0.5)[:, None], 0.5)


def legt(size: int) -> Hippo:
    """A_nk = -sqrt(2n+1) sqrt(2k+1)/2, times (-1)^(n-k) above the diagonal; B_n = sqrt(2n+1)/2."""
    n = np.arange(float(size))
    root, sign = np.sqrt(2 * n + 1), 1 - 2 * (n % 2)
    outer = np.outer(root, root) / 2
    a = -np.tril(outer) - np.triu(outer * np.outer(sign, sign), 1)
    half = np.sqrt(n + 0.5)
    return Hippo(a, root / 2, np.stack([half * (sign > 0), half * (sign < 0)], 1), 0.0)


def lagt(size: int) -> Hippo:
    """A = I/2 - (1 on and below the diagonal); B = 1."""
    one = np.ones(size)
    a = np.eye(size) / 2 - np.tril(np.outer(one, one))
    return Hippo(a, one, one[:, None] * math.sqrt(0.5), 0.0)


def fout(size: int) -> Hippo:
    """A = S - B B^T, S turning (cos_f, sin_f) by pi f; B = 1, 0, sqrt2, 0, sqrt2, 0, ..."""
    turn = np.zeros(size - 1)
    turn[::2] = math.pi * np.arange(size // 2)
    b = np.zeros(size)
    b[::2] = math.sqrt(2)
    b[0] = 1
    a = np.diag(turn, -1) - np.diag(turn, 1) - np.outer(b, b)
    return Hippo(a, b, b[:, None], 0.0)


HIPPO = {"legs": legs, "legt": legt, "lagt": lagt, "fout": fout}


@cache
def rotated(name: str, size: int) -> Rotated:
    """The normal part of a HiPPO matrix of even size, diagonalised. Do not write to its arrays."""
    hippo = HIPPO[name](size)
    normal = hippo.a + hippo.p @ hippo.p.T
    omega, every = np.linalg.eigh(-0.5j * (normal - normal.T))
    omega, v = omega[size // 2 :], every[:, size // 2 :].astype(np.complex128)
    if name == "fout":  # of a double pole at 0, that half whose conjugate is the other half
        omega[0], v[:, 0] = 0, 0
        v[0, 0], v[1, 0] = math.sqrt(0.5), 1j * math.sqrt(0.5)
    b = v.conj().T @ hippo.b
    v = v * (b / np.abs(b))
    return Rotated(omega, hippo.rate, v, np.abs(b) + 0j, (v.conj().T @ hippo.p).T)
