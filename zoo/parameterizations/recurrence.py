"""A kernel of modes as a recurrence: the same numbers, one step at a time, at O(N) a step.

Axes: B batch, D channels, N modes, R rank.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.parameterizations.low_rank import LowRankSystem


class Recurrence:
    """State in, state and output out. An input counts at its own step."""

    def start(self, batch: int) -> Tensor:
        """The state before the first step, zeros: (B, D, N)."""
        raise NotImplementedError

    def step(self, state: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """One step.

        Args:    state  (B, D, N)
                 u      inputs                                 (B, D)
        Returns: the new state (B, D, N) and the outputs       (B, D)
        """
        raise NotImplementedError


class Diagonal(Recurrence):
    """x_t = exp(z) x_{t-1} + u_t,   y_t = Re sum_n weights_n x_tn."""

    def __init__(self, weights: Tensor, z: Tensor) -> None:
        self.weights, self.factor = weights, torch.exp(z)  # (D, N) each

    def start(self, batch: int) -> Tensor:
        return self.weights.new_zeros(batch, *self.weights.shape)

    def step(self, state: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        state = self.factor * state + u[..., None]
        y = (self.weights * state).sum(-1)
        return state, y.real if y.is_complex() else y


class LowRank(Recurrence):
    """x_t = Abar x_{t-1} + Bbar u_t without a matrix: both halves of the bilinear rule.

        y = (2/dt + A) x + 2 B u = E x - P P*(x) + 2 B u
        x' = (2/dt - A)^-1 y = F (y - P (I + P* F P)^-1 P*(F y)),   F = 1/(2/dt - poles)

    P*(x) = 2 Re sum_n conj(P_n) x_n: a sum over both of each pair.
    """

    def __init__(self, system: LowRankSystem) -> None:
        self.system = system
        rate = 2 / system.step
        self.explicit, self.implicit = rate + system.poles, 1 / (rate - system.poles)
        p = system.p
        one = torch.eye(p.shape[1], dtype=rate.dtype, device=rate.device)
        inner = one + 2 * (p.conj() @ (self.implicit[:, None] * p).mT).real  # (D, R, R)
        self.inverse = torch.linalg.inv(inner).to(p.dtype)

    def start(self, batch: int) -> Tensor:
        return self.system.b.new_zeros(batch, *self.system.b.shape)

    def step(self, state: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        y = self.explicit * state - self._spread(self._project(state))
        y = y + 2 * self.system.b * u[..., None]
        inner = self.inverse @ self._project(self.implicit * y)[..., None]
        state = self.implicit * (y - self._spread(inner[..., 0]))
        return state, 2 * (self.system.c * state).sum(-1).real

    def _project(self, x: Tensor) -> Tensor:
        """P*(x): (B, D, N) to (B, D, R)."""
        p = self.system.p
        return 2 * (p.conj() @ x[..., None])[..., 0].real.to(p.dtype)

    def _spread(self, r: Tensor) -> Tensor:
        """P r: (B, D, R) to (B, D, N)."""
        return (r[..., None, :] @ self.system.p)[..., 0, :]
