"""What every task promises of its fields, over the registry: variants, JSON, words, limits."""

from __future__ import annotations

import json
from typing import get_args

import pytest

import tasks
from tasks.task import Task
from tests.contracts.registry import EVERY, KINDS, each, variants
from zoo.spec import Spec


def test_every_variant_is_here() -> None:
    here = {(task.kind, getattr(task, "variant", "")) for task in EVERY.values()}
    for kind in KINDS:
        assert {v for k, v in here if k == kind} == set(variants(tasks.kinds()[kind]) or [""])


@each
def test_a_task_survives_json(name: str) -> None:
    task = EVERY[name]
    again = Task.model_validate(json.loads(json.dumps(task.to_dict())))
    assert again == task
    assert type(again) is type(task)
    assert hash(again) == hash(task)
    assert isinstance(again, Spec)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_documented_and_checked(kind: str) -> None:
    cls = tasks.kinds()[kind]
    assert (cls.__doc__ or "").strip()
    for name, field in cls.model_fields.items():
        assert field.description or get_args(field.annotation), f"{name} has no description"
        if field.annotation is not int:
            continue
        for bad in (8.5, True, "eight", -1):
            with pytest.raises(ValueError, match=name):
                tasks.make_task(kind, **{name: bad})
    with pytest.raises(ValueError, match=f"{kind} has no field 'sedd'; nearest: seed"):
        tasks.make_task(kind, sedd=8)
