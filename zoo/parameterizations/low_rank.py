"""The kernel of a diagonal plus low-rank system, by its generating function on a circle.

    x' = (diag(l) - P P^H) x + B u,   y = C x,   held bilinearly:
    Abar = (I - dt/2 A)^-1 (I + dt/2 A),   Bbar = (I - dt/2 A)^-1 dt B

    K(w) = sum_k C Abar^k Bbar w^k = q(C B) - h q(C P) (1 + h q(P* P))^-1 q(P* B)
    q(v) = sum_n v_n / (s - h l_n) + its conjugate,   s = (1 - w)/dt,   h = (1 + w)/2

Sums run over each pole and its conjugate; one of a pair is stored. No node is singular: the usual
form divides by 1 + w, which is 0 at the highest frequency.

Axes: D channels, N poles of which each stands for a pair, R rank, L taps, F nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.parameterizations.cauchy import pole_sums

WRAP = 1e-11  # what of a tap comes back one turn of the circle later
TURN = 2  # turns are this many times the kernel long


@dataclass(frozen=True)
class LowRankSystem:
    """x' = (diag(poles) - P P^H) x + B u, y = C x, sampled every `step`."""

    poles: Tensor  # (D, N) complex
    b: Tensor  # (D, N)
    c: Tensor  # (D, N)
    p: Tensor  # (D, R, N)
    step: Tensor  # (D, 1) real

    def to(self, dtype: torch.dtype) -> LowRankSystem:
        """In this complex precision, the step in the real one."""
        poles, b, c, p = (x.to(dtype) for x in (self.poles, self.b, self.c, self.p))
        return LowRankSystem(poles, b, c, p, self.step.to(dtype.to_real()))


def kernel(system: LowRankSystem, length: int) -> Tensor:
    """k_l = C Abar^l Bbar for l < L, also where nothing decays: (D, L).

    Nodes lie on a circle of radius r < 1, where all that comes after a turn of M taps is smaller
    by r^M = 1e-11: no pole lies on it, and C need not know the length. Double precision, of which
    the division by r^l takes away half.
    """
    turn = TURN * length
    log_radius = math.log(WRAP) / turn
    values = generating_function(system, *circle(turn, log_radius, system.step.device))
    lag = torch.arange(length, dtype=torch.float64, device=system.step.device)
    return torch.fft.irfft(values, n=turn)[:, :length] * torch.exp(-log_radius * lag)


def truncated_kernel(system: LowRankSystem, length: int) -> Tensor:
    """k_l for l < L where c is C~ = C (I - Abar^L), which ends the kernel after L taps: (D, L).

    In the precision of the system.
    """
    return torch.fft.irfft(
        generating_function(system, *circle(length, 0.0, system.step.device)), n=length
    )


def circle(turn: int, log_radius: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """1 - w and (1 + w)/2 at w = r exp(-2 pi i j / M), j <= M/2, without cancellation: (F,) each.

    Args: turn        M, an even or odd number of nodes
          log_radius  log r
    """
    angle = 2 * math.pi / turn * torch.arange(turn // 2 + 1, dtype=torch.float64, device=device)
    radius = math.exp(log_radius)
    real = 2 * radius * torch.sin(angle / 2).square() - math.expm1(log_radius)
    gap = torch.complex(real, radius * torch.sin(angle))
    return gap, 1 - gap / 2


def generating_function(system: LowRankSystem, gap: Tensor, h: Tensor) -> Tensor:
    """K(w) at the nodes, given 1 - w and h = (1 + w)/2: (D, F)."""
    s = gap.to(system.b.dtype) / system.step  # (D, F)
    h = h.to(system.b.dtype)
    left = torch.cat([system.c[:, None], system.p.conj()], 1)  # (D, 1 + R, N)
    right = torch.cat([system.b[:, None], system.p], 1)
    q = pole_sums(left[:, :, None] * right[:, None], system.poles, s, h)  # (D, 1 + R, 1 + R, F)
    for k in range(q.shape[1] - 1, 0, -1):  # one rank-one correction after the other
        column, row, corner = q[:, :k, k:], q[:, k:, :k], q[:, k:, k:]
        q = q[:, :k, :k] - column * row * (h / (1 + h * corner))
    return q[:, 0, 0]


def dense(system: LowRankSystem) -> tuple[Tensor, Tensor, Tensor]:
    """Abar, Bbar and C over all poles, conjugates behind: (D, 2N, 2N), (D, 2N), (D, 2N)."""
    p = both(system.p)  # (D, R, 2N)
    a = torch.diag_embed(both(system.poles)) - p.mT @ p.conj()
    half = system.step[..., None] / 2 * a
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    held = torch.linalg.solve(one - half, torch.cat([one + half, both(system.b)[..., None]], -1))
    return held[..., :-1], held[..., -1] * system.step, both(system.c)


def truncate(system: LowRankSystem, length: int) -> LowRankSystem:
    """C~ = C (I - Abar^L) in the place of C."""
    return replace(system, c=system.c - _carried(system, length))


def double(system: LowRankSystem, length: int) -> LowRankSystem:
    """C~ of 2 L taps from that of L: C~ (I + Abar^L)."""
    return replace(system, c=system.c + _carried(system, length))


def untruncate(system: LowRankSystem, length: int) -> LowRankSystem:
    """C = C~ (I - Abar^L)^-1 in the place of C~: badly conditioned where Abar^L is near I."""
    abar, _, c = dense(system)
    one = torch.eye(abar.shape[-1], dtype=abar.dtype, device=abar.device)
    left = one - torch.linalg.matrix_power(abar, length)
    return replace(system, c=torch.linalg.solve(left.mT, c)[:, : system.c.shape[-1]])


def _carried(system: LowRankSystem, length: int) -> Tensor:
    """C Abar^L, one of each pair: (D, N)."""
    abar, _, c = dense(system)
    return (c[:, None] @ torch.linalg.matrix_power(abar, length))[:, 0, : system.c.shape[-1]]


def both(x: Tensor) -> Tensor:
    """Of each pair both: (..., N) to (..., 2 N)."""
    return torch.cat([x, x.conj()], -1)
