"""The properties of a kernel, and the one table of what "off" means."""

from zoo.parameterizations import Dense
from zoo.properties.decay import Decay, Exponential, NoDecay, PerMode, PerScale, PowerLaw
from zoo.properties.gain import Gain, InitGain, NoGain, RawGain
from zoo.properties.gating import Gating, NoGating
from zoo.properties.gaussian import Gaussian
from zoo.properties.graded import Graded
from zoo.properties.length import Full, Length, Taps
from zoo.properties.regularization import KernelDropout, NoRegularization, Regularization, Squash
from zoo.properties.smoothness import MovingAverage, NoSmoothing, Smoothness
from zoo.spec import Spec

OFF: dict[str, Spec] = {
    "length": Taps(taps=4),
    "decay": NoDecay(),
    "parameterization": Dense(init="baseline"),
    "smoothness": NoSmoothing(),
    "regularization": NoRegularization(),
    "gating": NoGating(),
}
ALIASES = {"sublinearity": "parameterization"}

__all__ = [
    "ALIASES",
    "OFF",
    "Decay",
    "Exponential",
    "Full",
    "Gain",
    "Gating",
    "Gaussian",
    "Graded",
    "InitGain",
    "KernelDropout",
    "Length",
    "MovingAverage",
    "NoDecay",
    "NoGain",
    "NoGating",
    "NoRegularization",
    "NoSmoothing",
    "PerMode",
    "PerScale",
    "PowerLaw",
    "RawGain",
    "Regularization",
    "Smoothness",
    "Squash",
    "Taps",
]
