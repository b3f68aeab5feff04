"""HiPPO: matrices whose state holds the coefficients of the past in an orthogonal basis.

    x' = A x + B u:   x_n(t) = int u(t - s) K_n(s) ds,   K(t) = exp(t A) B

    legs  K_n = sqrt(2n+1) e^-t P_n(2 e^-t - 1)       Legendre, warped exponentially
    legt  K_n ~ sqrt(2n+1)/2 P_n(1 - t) on [0, 2]     Legendre, on a window
    lagt  K_n = e^(-t/2) Laguerre_n(t)
    fout  K   ~ 1/2, 0, cos(pi f t)/sqrt2, sin(pi f t)/sqrt2 on [0, 2], f = 1, 2, ...

Each is normal plus low rank: A = M - P P^T, M = -rate I + a skew matrix, so M has orthogonal
eigenvectors. A itself is never diagonalised: for legs of size 32 that would be conditioned 6e18.
All here is float64 on the CPU, wherever the model is built.

Axes: N real states, R the rank of the correction.

Source:  Gu et al. 2020, arXiv:2008.07669; Gu et al. 2022, arXiv:2111.00396 and arXiv:2206.12037.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

DOUBLE = {"dtype": torch.float64, "device": "cpu"}
SLOWEST = 1e-4  # least rate of a mode: a pole of FouT at 0 is 0/0 in a generating function


@dataclass(frozen=True)
class Hippo:
    """x' = A x + B u, and what makes A normal: A + P P^T = -rate I + a skew matrix."""

    a: Tensor  # (N, N)
    b: Tensor  # (N,)
    p: Tensor  # (N, R)
    rate: float


@dataclass(frozen=True)
class Rotated:
    """One of each conjugate pair of poles of A + P P^T = V (i omega - rate) V^H, and V^H B, V^H P.

    Eigenvectors have no phase of their own: here V^H B is real and positive.
    """

    omega: Tensor  # (N/2,), ascending, not negative
    rate: float
    v: Tensor  # (N, N/2) complex
    b: Tensor  # (N/2,) complex
    p: Tensor  # (R, N/2) complex


def legs(size: int) -> Hippo:
    """A_nk = -sqrt(2n+1) sqrt(2k+1) below the diagonal, -(n+1) on it; B_n = sqrt(2n+1)."""
    n = torch.arange(size, **DOUBLE)
    root = torch.sqrt(2 * n + 1)
    a = -torch.outer(root, root).tril(-1) - torch.diag(n + 1)
    return Hippo(a, root, torch.sqrt(n + 0.5)[:, None], 0.5)


def legt(size: int) -> Hippo:
    """A_nk = -sqrt(2n+1) sqrt(2k+1)/2, times (-1)^(n-k) above the diagonal; B_n = sqrt(2n+1)/2."""
    n = torch.arange(size, **DOUBLE)
    root, sign = torch.sqrt(2 * n + 1), 1 - 2 * (n % 2)
    outer = torch.outer(root, root) / 2
    a = -outer.tril() - (outer * torch.outer(sign, sign)).triu(1)
    half = torch.sqrt(n + 0.5)
    return Hippo(a, root / 2, torch.stack([half * (sign > 0), half * (sign < 0)], 1), 0.0)


def lagt(size: int) -> Hippo:
    """A = I/2 - (1 on and below the diagonal); B = 1."""
    one = torch.ones(size, **DOUBLE)
    a = torch.diag(one / 2) - torch.outer(one, one).tril()
    return Hippo(a, one, one[:, None] * math.sqrt(0.5), 0.0)


def fout(size: int) -> Hippo:
    """A = S - B B^T, S turning (cos_f, sin_f) by pi f; B = 1, 0, sqrt2, 0, sqrt2, 0, ..."""
    f = math.pi * torch.arange(size // 2, **DOUBLE)
    turn = torch.zeros(size - 1, **DOUBLE)
    turn[::2] = f
    b = torch.zeros(size, **DOUBLE)
    b[::2] = math.sqrt(2)
    b[0] = 1
    a = torch.diag(turn, -1) - torch.diag(turn, 1) - torch.outer(b, b)
    return Hippo(a, b, b[:, None], 0.0)


HIPPO = {"legs": legs, "legt": legt, "lagt": lagt, "fout": fout}


@cache
def rotated(name: str, size: int) -> Rotated:
    """The normal part of a HiPPO matrix of even size, diagonalised. Do not write to its tensors."""
    hippo = HIPPO[name](size)
    normal = hippo.a + hippo.p @ hippo.p.T
    omega, v = torch.linalg.eigh(-0.5j * (normal - normal.T))
    omega, v = omega[size // 2 :], v[:, size // 2 :]
    if name == "fout":  # of a double pole at 0, that half whose conjugate is the other half
        omega, v = omega.clone(), v.clone()
        omega[0], v[:, 0] = 0, 0
        v[0, 0], v[1, 0] = math.sqrt(0.5), 1j * math.sqrt(0.5)
    b = v.mH @ hippo.b.to(v.dtype)
    v = v * (b / b.abs())
    return Rotated(omega, hippo.rate, v, b.abs().to(v.dtype), (v.mH @ hippo.p.to(v.dtype)).T)
