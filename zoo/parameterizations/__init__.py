"""What the free numbers of a kernel are: taps, a butterfly, scales, an MLP, modes, systems."""

from zoo.parameterizations.atoms import Atoms, Parameterization
from zoo.parameterizations.butterfly import Butterfly
from zoo.parameterizations.dense import Dense
from zoo.parameterizations.dplr import Dplr
from zoo.parameterizations.implicit import Implicit
from zoo.parameterizations.modes import Modes, phi1
from zoo.parameterizations.multiscale import Multiscale
from zoo.parameterizations.shift import Shift

__all__ = [
    "Atoms",
    "Butterfly",
    "Dense",
    "Dplr",
    "Implicit",
    "Modes",
    "Multiscale",
    "Parameterization",
    "Shift",
    "phi1",
]
