"""What every task promises, over the registry: a new task is tested the moment it exists."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

import tasks
from tasks.batch import IGNORE, Batch
from tasks.task import SPLITS, Task
from zoo.spec import Spec

ROOT = Path(__file__).resolve().parents[2]
LONG = 600  # presets of more positions are tested with one batch only


def variants(cls: type[Task]) -> list[str]:
    field = cls.model_fields.get("variant")
    return list(get_args(field.annotation)) if field else []


def registered() -> dict[str, Task]:
    """Every kind, every variant that its name alone makes, and every published setting."""
    found: dict[str, Task] = {}
    for kind, cls in tasks.kinds().items():
        found[kind] = cls()
        for variant in variants(cls):
            try:
                found[f"{kind}-{variant}"] = cls.model_validate({"variant": variant})
            except ValidationError:
                continue  # it needs another field too: a preset has it
    found |= {name: tasks.preset(name) for name in tasks.presets.names()}
    return found


EVERY = registered()
SHORT = [name for name, task in EVERY.items() if task.context.length <= LONG]
each = pytest.mark.parametrize("name", EVERY)
each_short = pytest.mark.parametrize("name", SHORT)
each_split = pytest.mark.parametrize("split", SPLITS)


def equal(a: Batch, b: Batch, rows: Sequence[int] | slice = slice(None)) -> bool:
    """The first batch is those rows of the second."""
    names = ("inputs", "targets", "mask", "lengths")
    same = [np.array_equal(getattr(a, n), getattr(b, n)[rows]) for n in names]
    columns = [np.array_equal(a.factors[n], b.factors[n][rows]) for n in b.factors]
    return all(same) and all(columns) and a.factors.keys() == b.factors.keys()


def digest(batch: Batch) -> str:
    parts = [np.ascontiguousarray(a).tobytes() for a in (batch.inputs, batch.targets)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_every_variant_is_here() -> None:
    here = {(task.kind, getattr(task, "variant", "")) for task in EVERY.values()}
    for kind, cls in tasks.kinds().items():
        assert {v for k, v in here if k == kind} == set(variants(cls) or [""])


@each
@each_split
def test_arrays_are_as_the_design_says(name: str, split: str) -> None:
    task = EVERY[name]
    num = 40 if name in SHORT else 3
    batch = task.generate(np.arange(num), split)
    context, ids = task.context, [i for r in task.vocabulary.values() for i in (r.start, r.stop)]
    assert len(batch) == num
    assert batch.inputs.shape == (num, context.length)
    assert batch.inputs.dtype == np.int64
    assert batch.inputs.flags.writeable
    assert batch.inputs.min() >= 0
    assert batch.inputs.max() < (context.num_inputs or 0)
    assert batch.targets.shape in ((num, context.length), (num,))
    assert batch.targets.dtype == np.int64
    assert batch.mask.dtype == np.bool_
    assert np.array_equal(batch.mask, batch.targets != IGNORE)
    assert batch.mask.reshape(num, -1).any(axis=1).all(), "an example without a target"
    scored = batch.targets[batch.mask]
    assert scored.min() >= 0
    assert scored.max() < context.num_outputs
    assert batch.lengths.dtype == np.int64
    assert batch.lengths.tolist() == [context.length] * num
    assert batch.factors.keys() == task.factors.keys()
    assert all(column.shape == (num,) for column in batch.factors.values())
    # the named ranges share the ids out, without gap or overlap
    assert ids[0] == 0
    assert ids[-1] == context.num_inputs
    assert ids[1:-1:2] == ids[2:-1:2]


@each
@each_split
def test_an_example_is_a_function_of_its_number(name: str, split: str) -> None:
    """Any batch, any order, one by one, with repetitions."""
    task = EVERY[name]
    num = 60 if name in SHORT else 6
    whole = task.generate(range(num), split)
    shuffled = np.random.default_rng(num).permutation(num)
    assert equal(task.generate(shuffled, split), whole, shuffled.tolist())
    assert equal(task.generate([5, 5, 0], split), whole, [5, 5, 0])
    for i in range(0, num, 7):
        assert equal(task.generate(np.array([i], np.uint8), split), whole, [i])


@each_short
def test_chunks_leave_no_trace(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples are made some thousand positions at a time."""
    task = EVERY[name]
    whole = task.generate(range(50))
    monkeypatch.setattr("tasks.task.CHUNK", 7 * task.context.length)
    assert equal(task.generate(range(50)), whole)


def test_another_process_makes_the_same_examples() -> None:
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\n"
        "import tasks, hashlib\n"
        "found = {}\n"
        "for name in reversed(json.loads(sys.argv[2])):\n"
        "    task = tasks.make_task(name, seed=4)\n"
        "    b = task.generate(range(19, -1, -1), 'validation')\n"
        "    b = task.generate(range(20), 'validation')\n"
        "    h = hashlib.sha256(b.inputs.tobytes() + b.targets.tobytes())\n"
        "    found[name] = h.hexdigest()\n"
        "print(json.dumps(found))"
    )
    names = [*tasks.names(), "h3-induction", "mad-selective-copying", "zoology-mqar-64"]
    run = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), json.dumps(names)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    here = {n: digest(tasks.make_task(n, seed=4).generate(range(20), "validation")) for n in names}
    assert json.loads(run.stdout) == here


@each
@each_split
def test_the_oracle_is_right(name: str, split: str) -> None:
    task = EVERY[name]
    batch = task.generate(range(500 if name in SHORT else 20), split)
    answers = task.oracle(batch.inputs, batch.lengths)
    assert answers.shape == batch.targets.shape
    assert answers.dtype == np.int64
    right = answers == batch.targets
    if task.determined(split):
        assert right[batch.mask].all()
    else:  # every next token is scored: the oracle is right wherever it has an answer
        known = answers != IGNORE
        assert known.any(axis=1).all()
        assert right[known].all()
        assert batch.mask.all()


@each_short
def test_the_oracle_sees_inputs_only(name: str) -> None:
    task = EVERY[name]
    batch = task.generate(range(50), "test")
    targets, kept = batch.targets.copy(), batch.inputs.copy()
    batch.targets.fill(0)
    batch.mask.fill(0)
    for column in batch.factors.values():
        column.fill(0)
    other = tasks.make_task(name, seed=9) if name in tasks.names() else task
    answers = other.oracle(batch.inputs)
    assert (answers == targets)[targets != IGNORE].all()
    assert np.array_equal(batch.inputs, kept), "the oracle wrote to its inputs"
    assert task.oracle(batch.inputs[:0]).shape == targets[:0].shape


@each_short
def test_no_answer_depends_on_what_comes_later(name: str) -> None:
    """New tokens behind position t leave the oracle's answers up to t as they were."""
    task = EVERY[name]
    batch = task.generate(range(20), "test")
    answers = task.oracle(batch.inputs)
    length = task.context.length
    fresh = np.random.default_rng(length)
    for t in [*fresh.integers(0, length, 12).tolist(), length - 2]:
        changed = batch.inputs.copy()
        tail = changed[:, t + 1 :]
        tail[:] = fresh.integers(0, task.context.num_inputs, tail.shape)
        assert np.array_equal(task.oracle(changed)[:, : t + 1], answers[:, : t + 1])


@each_short
def test_chance_is_the_best_constant(name: str) -> None:
    """The commonest target of one split, answered always, scores `chance` on another."""
    task = EVERY[name]
    num = 3000 if task.context.length < 100 else 600
    counts = []
    for split in ("validation", "test"):
        batch = task.generate(range(num), split)
        targets = batch.targets[batch.mask]
        counts.append(np.bincount(targets, minlength=task.context.num_outputs) / targets.size)
    best = int(counts[0].argmax())
    sigma = (task.chance * (1 - task.chance) / num) ** 0.5  # targets of an example may agree
    assert abs(counts[1][best] - task.chance) < 4 * sigma
    assert counts[1].max() < task.chance + 6 * sigma


@each
def test_floors_lie_between_chance_and_one(name: str) -> None:
    task = EVERY[name]
    assert 0 < task.chance < 1
    assert task.floor is None or task.chance < task.floor <= 1


@each_short
def test_splits_share_no_example(name: str) -> None:
    task = EVERY[name]
    overlap(task, 400)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in SHORT if EVERY[n].context.length < 300])
def test_splits_share_no_example_of_many(name: str) -> None:
    overlap(EVERY[name], 50_000)


def overlap(task: Task, num: int) -> None:
    keys = [set(task.content_key(range(num), split).tolist()) for split in SPLITS]
    rows = [{r.tobytes() for r in task.generate(range(num), split).inputs} for split in SPLITS]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not keys[i] & keys[j]
        assert not rows[i] & rows[j]
    assert min(map(len, keys)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in SHORT if EVERY[n].context.length < 300])
def test_the_oracle_is_right_on_many(name: str) -> None:
    task = EVERY[name]
    batch = task.generate(range(10_000), "test")
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()


@each
def test_seeds_change_the_data(name: str) -> None:
    task = EVERY[name]
    num = 20 if name in SHORT else 2
    other = type(task)(**{**{n: getattr(task, n) for n in type(task).model_fields}, "seed": 1})
    for split in SPLITS:
        a, b = task.generate(range(num), split), other.generate(range(num), split)
        assert not np.array_equal(a.inputs, b.inputs)
        assert not np.array_equal(a.inputs, task.generate(range(num, 2 * num), split).inputs)
    assert not equal(task.generate(range(num), "train"), task.generate(range(num), "test"))


@each
def test_no_examples_are_an_empty_batch(name: str) -> None:
    task = EVERY[name]
    whole = task.generate([0])
    for none in ([], range(0), np.empty(0, np.int64)):
        batch = task.generate(none, "test")
        assert batch.inputs.shape == (0, task.context.length)
        assert batch.inputs.dtype == whole.inputs.dtype
        assert batch.targets.shape == (0, *whole.targets.shape[1:])
        assert batch.factors.keys() == whole.factors.keys()
    assert task.content_key([]).shape == (0,)


BAD_INDICES: list[Any] = [[-1], [0, 2**63], [0.0], [True], ["0"], [[0, 1]], 3, [2**70], [None]]


@pytest.mark.parametrize("indices", BAD_INDICES, ids=repr)
def test_other_indices_are_refused(indices: Any) -> None:
    for task in (EVERY["mqar"], EVERY["copying"]):
        with pytest.raises(ValueError, match="indices"):
            task.generate(indices)


def test_other_splits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"split='val': choose from train, validation, test"):
        EVERY["mqar"].generate([0], "val")
    with pytest.raises(ValueError, match=r"split='eval'"):
        EVERY["copying"].content_key([0], "eval")


def test_the_largest_number_is_an_example() -> None:
    assert len(EVERY["mqar"].generate([2**63 - 1, 0])) == 2


@each
def test_a_task_survives_json(name: str) -> None:
    task = EVERY[name]
    again = Task.model_validate(json.loads(json.dumps(task.to_dict())))
    assert again == task
    assert type(again) is type(task)
    assert hash(again) == hash(task)
    assert isinstance(again, Spec)


@pytest.mark.parametrize("kind", tasks.names())
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


@pytest.mark.parametrize("name", tasks.names())
def test_an_answer_behind_its_place_is_declared(name: str) -> None:
    """A model that looks ahead would copy it; a share near chance is coincidence."""
    task = tasks.make_task(name)
    batch = task.generate(range(300), "test")
    ahead = np.concatenate([batch.inputs[:, 1:], np.full((300, 1), -1)], 1)
    share = (ahead == batch.targets)[batch.mask].mean()
    assert (share > 0.5) if task.answers_follow else (share < task.chance + 0.05)
