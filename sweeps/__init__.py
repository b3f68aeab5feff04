"""One trial, many trials: experiments, the training loop, tuning, the record."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.experiment import Experiment, Result, TrainSpec
    from sweeps.train import run_experiment

_PLACES = {
    "Experiment": "sweeps.experiment",
    "TrainSpec": "sweeps.experiment",
    "Result": "sweeps.experiment",
    "run_experiment": "sweeps.train",
}
__all__ = ["Experiment", "Result", "TrainSpec", "run_experiment"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: `import sweeps` stays light."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'sweeps' has no attribute {name!r}")
