"""Token-by-token inference: a kernel that has a recurrence, without its past.

    r = recurrence(kernel);  state = r.start(batch)
    state, y = r.step(state, u)                                   u (B, D), once a step

O(N) numbers and operations a channel and step, at any position; the outputs are those of the
convolution with the kernel.

Axes: B batch, L length, D channels, N modes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.kernel import Kernel
from zoo.parameterizations import Atoms
from zoo.parameterizations.recurrence import Recurrence


class Scaled(Recurrence):
    """A recurrence whose outputs have the kernel's gain."""

    def __init__(self, bare: Recurrence, gain: nn.Module) -> None:
        self.bare, self.gain = bare, gain

    def start(self, batch: int) -> Tensor:
        return self.bare.start(batch)

    def step(self, state: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        state, y = self.bare.step(state, u)
        return state, self.gain(y.mT).mT  # a gain is one factor a channel


def recurrence(kernel: Kernel) -> Recurrence:
    """The kernel as a recurrence, in double precision, at the parameters that it has now.

    Raises: ValueError where there is none: taps that no modes make, a window that is not in the
            poles, taps that are mixed, moved to zero or cut off.
    """
    if type(kernel.atoms).recurrence is Atoms.recurrence:
        raise ValueError(
            "this kernel's taps have no recurrence: use parameterization=modes or dplr, or keep "
            "the past inputs and convolve"
        )
    grid = kernel.times(kernel.length)
    if not kernel.window.damping and bool((kernel.window(grid) != 1).any()):
        raise ValueError("the window is not in the poles: use decay=per-mode or decay=off")
    mixed = not isinstance(kernel.smooth, nn.Identity)
    mixed |= any(not isinstance(module, nn.Identity) for module in kernel.regularize)
    if mixed or kernel.taps < kernel.length:
        raise ValueError(
            "a smoothed, regularized or cut kernel has no recurrence: use smoothness=off, "
            "regularization=off and length=full"
        )
    return Scaled(kernel.atoms.recurrence(grid, kernel.window), kernel.gain)


def run(recurrence: Recurrence, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Every step of a sequence, one by one, from a state or from nothing.

    Args:    u  inputs                                         (B, L, D)
    Returns: the last state (B, D, N) and the outputs          (B, L, D)
    """
    state = recurrence.start(len(u)) if state is None else state
    out = []
    for token in u.unbind(1):
        state, y = recurrence.step(state, token)
        out.append(y)
    return state, torch.stack(out, 1)
