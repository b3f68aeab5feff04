"""A convolution kernel is a sum of windowed atoms on a grid of times.

    k[d, l] = gain( regularize( smooth( sum_n window_n(t_l) atom_n(t_l) ) ) )      t_l = step_d l

Length makes the grid and cuts it, the parameterization makes the atoms, decay the window.

Axes: D channels, N atoms per channel, L taps.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any, Self

import torch
from pydantic import ValidatorFunctionWrapHandler, WrapValidator, model_validator
from torch import Tensor, nn

from zoo.draws import allow_decay
from zoo.grid import FlatWindow, Grid, KernelContext, Window
from zoo.parameterizations import Atoms, Dense, Parameterization
from zoo.parameterizations.dense import NO_BASELINE
from zoo.properties.decay import Decay, NoDecay
from zoo.properties.gain import Gain, NoGain
from zoo.properties.length import Full, Length, Times
from zoo.properties.regularization import NoRegularization, Regularization, refuse_dead
from zoo.properties.smoothness import NoSmoothing, Smoothness
from zoo.spec import Spec

__all__ = ["FlatWindow", "Grid", "Kernel", "KernelContext", "KernelSpec", "Window"]


def one_or_several(value: Any, _: ValidatorFunctionWrapHandler) -> Any:
    """Try the one form that fits, so that an error is about that one."""
    if isinstance(value, list | tuple):
        return tuple(Regularization.model_validate(item) for item in value)
    return Regularization.model_validate(value)


class KernelSpec(Spec):
    """A point in the space of kernels. Several regularizations are applied in order."""

    parameterization: Parameterization = Dense()
    decay: Decay = NoDecay()
    smoothness: Smoothness = NoSmoothing()
    regularization: Annotated[
        Regularization | tuple[Regularization, ...], WrapValidator(one_or_several)
    ] = NoRegularization()
    length: Length = Full()
    gain: Gain = NoGain()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        atoms = self.parameterization
        if isinstance(atoms, Dense) and atoms.init == "baseline" and atoms.baseline is None:
            raise ValueError(NO_BASELINE)
        if self.decay.needs_poles and not atoms.has_poles:
            raise ValueError(
                f"decay={self.decay.kind} is in the poles, and parameterization={atoms.kind} has "
                "none: choose another decay, or parameterization=modes"
            )
        return self

    def build(self, context: KernelContext) -> Kernel:
        """The kernel at its initial values."""
        kernel = Kernel(self, context)
        with torch.no_grad():
            kernel.settle(self.gain)
        return kernel

    def steps(self) -> tuple[Regularization, ...]:
        """The regularizations, in order."""
        value = self.regularization
        return (value,) if isinstance(value, Regularization) else value


class Kernel(nn.Module):
    """Makes `channels` kernels of `taps` taps.

    Always sampled as far as its taps reach, then cut: the kernel of a shorter sequence is the
    first taps of the same kernel. What only lost taps would show is not a parameter.
    """

    def __init__(self, spec: KernelSpec, context: KernelContext) -> None:
        super().__init__()
        self.channels, self.length = context.channels, context.length
        self.taps = spec.length.cut(context.length)
        later = spec.smoothness.reach
        self.reach = self.length if later is None else min(self.length, self.taps + later)
        self.times: Times = spec.length.build(context.below("length"))
        self.atoms: Atoms = spec.parameterization.build(context.below("parameterization"))
        self.window: Window = spec.decay.build(context.below("decay"), self.atoms)
        self.smooth = spec.smoothness.build(context.below("smoothness"))
        self.regularize = nn.Sequential(
            *(s.build(context.below(f"regularization{i}")) for i, s in enumerate(spec.steps()))
        )
        self.gain: nn.Module = nn.Identity()
        self.decays = spec.parameterization.kernel_weight_decay == "inherit"

    def settle(self, gain: Gain) -> None:
        """Fix the gain at the initial kernel, then let atoms and window take their final form."""
        self.regularize.eval()  # nothing random
        raw = self.raw(self.length)
        whole = self.regularize(raw)
        refuse_dead(raw, whole)
        uncut = self.sample(self.atoms.natural_length(self.length))
        self.gain = gain.build(uncut, whole[:, : self.taps])
        self.regularize.train(self.training)
        self.atoms, self.window = self.atoms.settle(self.times(self.length), self.window)
        if self.reach < self.length:
            self.atoms.trim(self.reach)
        if not (self.atoms.reads_time or self.window.reads_time):
            self.times.freeze()
        for parameter in self.atoms.parameters():
            allow_decay(parameter, allowed=self.decays)

    def raw(self, length: int) -> Tensor:
        """The kernel before it is regularized: (D, length)."""
        with full_precision(self.times.log_dt.device.type):
            return self.smooth(self.atoms(self.times(length), self.window))

    def sample(self, length: int) -> Tensor:
        """The kernel before cut and gain: (D, length)."""
        with full_precision(self.times.log_dt.device.type):
            return self.regularize(self.raw(length))

    def whole(self) -> Tensor:
        """The kernel as it is when no training drops any of it, detached: (D, taps)."""
        self.regularize.eval()
        k = self().detach()
        self.regularize.train(self.training)
        return k

    def forward(self) -> Tensor:
        """The kernel: (D, taps)."""
        return self.gain(self.sample(self.reach)[:, : self.taps])


def full_precision(device: str) -> AbstractContextManager[object]:
    """No autocast: a pole of 0.999 is 1 in bfloat16."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
