"""Published systems by name, as values."""

from zoo.model import ModelSpec
from zoo.presets import attention, convolution, gated, long_range_arena, state_space
from zoo.presets.published import PRESETS, Published

__all__ = [
    "Published",
    "attention",
    "convolution",
    "find",
    "gated",
    "long_range_arena",
    "names",
    "preset",
    "state_space",
]


def names() -> tuple[str, ...]:
    """Every preset, plug-ins included."""
    return tuple(sorted(PRESETS))


def find(name: str) -> Published:
    """A preset with its source.

    Raises: KeyError for a name that is not in `names()`.
    """
    return PRESETS[name]


def preset(name: str) -> ModelSpec:
    """The model of a preset. Raises: KeyError for a name that is not in `names()`."""
    return find(name).value
