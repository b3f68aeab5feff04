"""Every task that there is by name, for the tests of what all of them promise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

import tasks
from tasks.batch import Batch
from tasks.records import RecordTask
from tasks.task import SPLITS, Task

MOST = 500  # examples to look at in every split
POSITIONS = 200_000  # in all of them: fewer examples of long sequences


def variants(cls: type[Task]) -> list[str]:
    field = cls.model_fields.get("variant")
    return list(get_args(field.annotation)) if field else []


def registered() -> dict[str, Task]:
    """Every kind, every variant that its name alone makes, and every published setting.

    Tasks of records that exist, of a user's files say, are tested where those are made.
    """
    found: dict[str, Task] = {}
    for kind, cls in tasks.kinds().items():
        if issubclass(cls, RecordTask):
            continue
        found[kind] = cls()
        for variant in variants(cls):
            try:
                found[f"{kind}-{variant}"] = cls.model_validate({"variant": variant})
            except ValidationError:
                continue  # it needs another field too: a preset has it
    published = {name: tasks.preset(name) for name in tasks.presets.names()}
    return found | {k: v for k, v in published.items() if not isinstance(v, RecordTask)}


EVERY = registered()
KINDS = [kind for kind in tasks.names() if kind in EVERY]


def count(name: str, most: int = MOST) -> int:
    return max(4, min(most, POSITIONS // EVERY[name].context.length))


@cache
def batch_of(name: str, split: str) -> Batch:
    """The first examples; tests must not write to it."""
    batch = EVERY[name].generate(range(count(name)), split)
    for array in (batch.inputs, batch.targets, batch.mask, batch.lengths):
        array.flags.writeable = False
    return batch


def having(*, settings_too: bool = False, **wanted: Any) -> Any:
    """Those tasks whose attributes, or whose context's, are these.

    Published settings are the same classes with other numbers: slow, unless `settings_too`.
    """

    def fits(task: Task) -> bool:
        values = {k: getattr(task, k, getattr(task.context, k, None)) for k in wanted}
        return values == wanted

    def case(name: str) -> Any:
        is_setting = name in tasks.presets.every()
        is_setting &= not settings_too or name.startswith("physics-lano")  # a cubic programme
        return pytest.param(name, marks=[pytest.mark.slow] if is_setting else [])

    return pytest.mark.parametrize("name", [case(n) for n, task in EVERY.items() if fits(task)])


each = having()
each_setting = having(settings_too=True)
each_split = pytest.mark.parametrize("split", SPLITS)


def equal(a: Batch, b: Batch, rows: Sequence[int] | slice = slice(None)) -> bool:
    """The first batch is those rows of the second."""
    names = ["inputs", "targets", "mask", "lengths"]
    names += ["spans"] if b.spans is not None else []
    same = [np.array_equal(getattr(a, n), getattr(b, n)[rows]) for n in names]
    columns = [np.array_equal(a.factors[n], b.factors[n][rows]) for n in b.factors]
    return all(same) and all(columns) and a.factors.keys() == b.factors.keys()
