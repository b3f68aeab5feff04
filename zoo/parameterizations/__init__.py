"""What the free numbers of a kernel are: dense taps, a butterfly, scales, an MLP, modes."""

from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.parameterizations.butterfly import Butterfly
from zoo.parameterizations.dense import Dense
from zoo.parameterizations.implicit import Implicit
from zoo.parameterizations.modes import Modes, phi1
from zoo.parameterizations.multiscale import Multiscale

__all__ = [
    "Atoms",
    "Butterfly",
    "Dense",
    "Implicit",
    "Modes",
    "Multiscale",
    "Parameterization",
    "phi1",
]
