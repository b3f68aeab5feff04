"""What every task promises of its arrays, over the registry: shapes, numbers of examples, seeds."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import tasks
from tasks.batch import IGNORE, Batch
from tasks.task import SPLITS, Metric
from tests.contracts.registry import (
    EVERY,
    KINDS,
    batch_of,
    count,
    each,
    each_setting,
    each_split,
    equal,
)

ROOT = Path(__file__).resolve().parents[2]


@each_setting
@each_split
def test_inputs_are_as_the_design_says(name: str, split: str) -> None:
    task, batch = EVERY[name], batch_of(name, split)
    context, num = task.context, count(name)
    assert len(batch) == num
    assert batch.inputs.shape[:2] == (num, context.length)
    assert task.generate([0], split).inputs.flags.writeable
    assert batch.lengths.dtype == np.int64
    assert batch.lengths.shape == (num,)
    assert 1 <= batch.lengths.min() <= batch.lengths.max() <= context.length
    behind = np.arange(context.length) >= batch.lengths[:, None]
    assert not batch.inputs[behind].any(), "padding is 0"
    assert batch.factors.keys() == task.factors.keys()
    assert all(column.shape == (num,) for column in batch.factors.values())
    if context.num_inputs is None:
        assert batch.inputs.shape[2:] == (context.input_dim,)
        assert batch.inputs.dtype == np.float32
        assert np.isfinite(batch.inputs).all()
        assert task.vocabulary == {}
        return
    assert batch.inputs.ndim == 2
    assert batch.inputs.dtype == np.int64
    assert batch.inputs.min() >= 0
    assert batch.inputs.max() < context.num_inputs
    ids = [i for r in task.vocabulary.values() for i in (r.start, r.stop)]
    assert ids[0] == 0, "the named ranges share the ids out, without gap or overlap"
    assert ids[-1] == context.num_inputs
    assert ids[1:-1:2] == ids[2:-1:2]


@each_setting
@each_split
def test_targets_are_as_the_design_says(name: str, split: str) -> None:
    task, batch = EVERY[name], batch_of(name, split)
    context, num = task.context, count(name)
    shape = (num, context.length) if context.at_positions else (num,)
    assert batch.targets.shape == ((*shape, context.num_outputs) if context.is_real else shape)
    assert batch.mask.shape == batch.targets.shape
    assert batch.mask.dtype == np.bool_
    assert batch.mask.reshape(num, -1).any(axis=1).all(), "an example without a target"
    if context.at_positions:
        behind = np.arange(context.length) >= batch.lengths[:, None]
        assert not batch.mask[behind].any(), "a target behind the end"
    if batch.spans is not None:
        assert batch.spans.shape == shape
        assert batch.spans.dtype == np.int32
        assert batch.mask[batch.spans >= 0].all()
    scored = batch.targets[batch.mask]
    if context.is_real:
        assert batch.targets.dtype == np.float32
        assert np.isfinite(scored).all()
        return
    assert batch.targets.dtype == np.int64
    assert np.array_equal(batch.mask, batch.targets != IGNORE)
    assert scored.min() >= 0
    assert scored.max() < context.num_outputs


def test_answers_of_several_tokens_have_spans() -> None:
    for name, task in EVERY.items():
        if name in tasks.presets.every():
            continue
        assert (task.metric != "span_exact") or batch_of(name, "test").spans is not None, name
        assert task.metric in get_args(Metric)
        assert (task.metric == "valid") == ("valid" in task.writings)
        assert task.metric == "loss" or not task.context.is_real


@each
@each_split
def test_an_example_is_a_function_of_its_number(name: str, split: str) -> None:
    """Any batch, any order, one by one, with repetitions."""
    task, whole = EVERY[name], batch_of(name, split)
    num = min(60, count(name))
    shuffled = np.random.default_rng(num).permutation(num)
    assert equal(task.generate(shuffled, split), whole, shuffled.tolist())
    assert equal(task.generate([3, 3, 0], split), whole, [3, 3, 0])
    for i in range(0, num, 13):
        assert equal(task.generate(np.array([i], np.uint8), split), whole, [i])


@each
def test_chunks_leave_no_trace(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples are made some thousand positions at a time, contents for some such chunks."""
    task = EVERY[name]
    num = min(20, count(name))
    monkeypatch.setattr("tasks.task.CHUNK", 3 * task.context.length)
    monkeypatch.setattr("tasks.task.DRAWN", 2)
    assert equal(task.generate(range(num)), batch_of(name, "train"), slice(num))


def digest(batch: Batch) -> str:
    parts = [np.ascontiguousarray(a).tobytes() for a in (batch.inputs, batch.targets)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


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
    names = [*KINDS, "h3-induction", "mad-selective-copying", "zoology-mqar-64"]
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
def test_seeds_change_the_data(name: str) -> None:
    task = EVERY[name]
    num = min(20, count(name))
    other = type(task)(**{**{n: getattr(task, n) for n in type(task).model_fields}, "seed": 1})
    for split in SPLITS:
        a, b = task.generate(range(num), split), other.generate(range(num), split)
        assert not equal(a, b)
        assert not np.array_equal(a.inputs, task.generate(range(num, 2 * num), split).inputs)
    assert not equal(task.generate(range(num), "train"), task.generate(range(num), "test"))


@each
def test_no_examples_are_an_empty_batch(name: str) -> None:
    task = EVERY[name]
    whole = task.generate([0])
    for none in ([], range(0), np.empty(0, np.int64)):
        batch = task.generate(none, "test")
        assert batch.inputs.shape == (0, *whole.inputs.shape[1:])
        assert batch.inputs.dtype == whole.inputs.dtype
        assert batch.targets.shape == (0, *whole.targets.shape[1:])
        assert batch.factors.keys() == whole.factors.keys()
        assert (batch.spans is None) == (whole.spans is None)
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
