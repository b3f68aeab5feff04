"""The five packages have everyday names: see that another folder's `tasks` is not taken for ours.

The standard library only, and nothing of the five is imported: the check comes before.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("zoo", "tasks", "sweeps", "reports", "ablations")


def guard() -> None:
    """Exit with code 2 and one line unless all packages come from the folder that this one is in.

    Every program calls it first. An intruder is a folder or file of the same name where Python
    looks earlier: the current directory (with `python -m`), or another installed distribution.
    """
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        place = _place(_find(name))
        if place != home / name:
            found = "is missing" if place is None else f"would come from {place}"
            sys.stderr.write(
                f"error: the package {name!r} {found}, not from {home}; start elsewhere or with "
                "python -P, and uninstall what installed it if it is not in the current directory\n"
            )
            raise SystemExit(2)


def _find(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except ValueError:  # imported already, by something that hides where from
        return None


def _place(spec: ModuleSpec | None) -> Path | None:
    """The folder of a package (the file of a plain module), links followed."""
    if spec is None:
        return None
    if spec.submodule_search_locations:  # a namespace package has no origin, but has this
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return None if spec.origin is None else Path(spec.origin).resolve()
