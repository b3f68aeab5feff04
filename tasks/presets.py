"""Published task settings by name: `tasks.preset("zoology-mqar-64")`. Families list their own."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from functools import lru_cache

from tasks.published import Preset


@lru_cache(maxsize=1)
def every() -> dict[str, Preset]:
    """Every preset by name: those in the PUBLISHED of the modules that define the tasks."""
    from tasks import kinds

    modules = {cls.__module__: sys.modules[cls.__module__] for cls in kinds().values()}
    found: dict[str, Preset] = {}
    for module in modules.values():
        for preset in getattr(module, "PUBLISHED", ()):
            if preset.name in found or preset.name in kinds():
                raise ValueError(f"two task settings are called {preset.name!r}")
            found[preset.name] = preset
    return dict(sorted(found.items()))


def names() -> list[str]:
    """Every preset's name."""
    return list(every())


def find(name: str) -> Preset:
    """The preset of that name; ValueError with the nearest names."""
    if name not in every():
        near = get_close_matches(name, every(), n=3) or names()
        raise ValueError(f"{name!r} is not a task preset; nearest: {', '.join(near)}")
    return every()[name]
