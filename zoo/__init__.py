"""Sequence models whose properties can be switched one by one.

Names are imported when they are first used, so that `import zoo` needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo import (
        channel_mixers,
        conv,
        draws,
        grid,
        kernel,
        measure,
        mixers,
        model,
        parameterizations,
        presets,
        properties,
        spec,
    )
    from zoo.model import ModelSpec
    from zoo.presets import preset

MODULES = (
    "channel_mixers",
    "conv",
    "draws",
    "grid",
    "kernel",
    "measure",
    "mixers",
    "model",
    "parameterizations",
    "presets",
    "properties",
    "spec",
)
NAMES = {"ModelSpec": "zoo.model", "preset": "zoo.presets"}

__all__ = [
    "ModelSpec",
    "channel_mixers",
    "conv",
    "draws",
    "grid",
    "kernel",
    "measure",
    "mixers",
    "model",
    "parameterizations",
    "preset",
    "presets",
    "properties",
    "spec",
]


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"zoo.{name}")
    if name in NAMES:
        return getattr(importlib.import_module(NAMES[name]), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
