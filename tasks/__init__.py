"""Synthetic sequence tasks, made by number: numpy only, no torch, no model.

    task = tasks.make_task("mqar", seed=0, num_pairs=8)
    batch = task.generate(range(32), split="train")

Importing this package imports nothing heavy; the first call does.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_origin

if TYPE_CHECKING:
    from tasks import presets
    from tasks.batch import Batch
    from tasks.task import DataSpaceExhausted, Task

__all__ = [
    "Batch",
    "DataSpaceExhausted",
    "Task",
    "kinds",
    "make_task",
    "names",
    "preset",
    "presets",
]


def __getattr__(name: str) -> Any:
    if name == "presets":
        return importlib.import_module("tasks.presets")
    home = {"Batch": "tasks.batch", "DataSpaceExhausted": "tasks.task", "Task": "tasks.task"}
    if name in home:
        return getattr(importlib.import_module(home[name]), name)
    raise AttributeError(f"module 'tasks' has no attribute {name!r}")


@lru_cache(maxsize=1)
def _import_all() -> None:
    from zoo.spec import import_components

    import_components("tasks")


def kinds() -> dict[str, type[Task]]:
    """Every task class, by kind: those of this package and of installed plug-ins."""
    _import_all()
    from tasks.task import Task

    return Task.choices()


def names() -> list[str]:
    """The kinds of task there are."""
    return list(kinds())


def preset(name: str) -> Task:
    """A published setting, by name (`tasks.presets.names()`)."""
    from tasks import presets

    return presets.find(name).value


def make_task(kind: str, /, seed: int = 0, **fields: Any) -> Task:
    """The task of a kind, or of a preset's name, with these fields set: values, or their text.

    Raises: ValueError, one line: an unknown name or field with the nearest ones, or fields that
            cannot be, with the limit and what to do.
    """
    from pydantic import ValidationError

    from tasks import presets
    from zoo.spec import explain

    given: dict[str, Any] = {}
    if kind not in kinds() and kind in presets.names():
        value = presets.find(kind).value
        cls = type(value)
        given = {name: getattr(value, name) for name in cls.model_fields}
    elif kind in kinds():
        cls = kinds()[kind]
    else:
        known = [*names(), *presets.names()]
        near = get_close_matches(kind, known, n=3)
        hint = f"nearest: {', '.join(near)}" if near else "`python -m tasks list` prints them"
        raise ValueError(f"{kind!r} is not a task; {hint}")
    for name in fields:
        if name not in cls.model_fields:
            near = get_close_matches(name, cls.model_fields, n=3) or cls.model_fields
            raise ValueError(f"{kind} has no field {name!r}; nearest: {', '.join(near)}")
        several = get_origin(cls.model_fields[name].annotation) is tuple
        if several and isinstance(value := fields[name], str):
            fields[name] = () if value == "none" else tuple(value.split("+"))
    try:
        return cls(**{**given, **fields, "seed": seed})
    except ValidationError as error:
        raise ValueError(f"{kind}: {explain(error)}") from None
