"""What every task promises of its answers, over the registry: oracle, chance, splits, any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tasks
from tasks.batch import IGNORE, Batch
from tasks.task import SPLITS, Task
from tests.contracts.registry import EVERY, KINDS, batch_of, count, each, each_split, equal, having


def check_oracle(task: Task, batch: Batch, split: str) -> None:
    answers = task.oracle(batch.inputs, batch.lengths)
    assert answers.shape == batch.targets.shape
    assert answers.dtype == batch.targets.dtype
    if task.context.is_real:
        if not task.determined(split):
            return  # the least squares of what is known: their error is the family's own test
        scale = max(1.0, float(np.abs(batch.targets[batch.mask]).max()))
        assert np.abs(answers - batch.targets)[batch.mask].max() <= 1e-5 * scale
        return
    right = answers == batch.targets
    if task.determined(split):
        assert right[batch.mask].all()
    elif task.ceiling < 1 and (split != "train" or task.true_probs(batch) is not None):
        # targets are drawn: the oracle names the likeliest
        share, num = float(right[batch.mask].mean()), len(batch)
        assert abs(share - task.ceiling) < 0.02 + 4 * (0.25 / num) ** 0.5
    else:  # every next token is scored: the oracle is right wherever it has an answer
        known = (answers != IGNORE) & batch.mask
        assert known.any()
        assert right[known].all()


@having(sees_all=True, settings_too=True)
@each_split
def test_the_oracle_is_right(name: str, split: str) -> None:
    task, batch = EVERY[name], batch_of(name, split)
    check_oracle(task, batch, split)


@pytest.mark.slow
@having(sees_all=True)
def test_the_oracle_is_right_on_many(name: str) -> None:
    task = EVERY[name]
    num = min(10_000, 5_000_000 // task.context.length)
    check_oracle(task, task.generate(range(num), "test"), "test")


@having(sees_all=True)
def test_the_oracle_sees_inputs_only(name: str) -> None:
    task = EVERY[name]
    num = min(50, count(name))
    batch, same = (task.generate(range(num), "test") for _ in range(2))
    batch.targets.fill(0)
    batch.mask.fill(0)
    for column in batch.factors.values():
        column.fill(0)
    answers = task.oracle(batch.inputs, batch.lengths)
    assert np.array_equal(answers, task.oracle(same.inputs, same.lengths))
    assert np.array_equal(batch.inputs, same.inputs), "the oracle wrote to its inputs"
    none = task.oracle(batch.inputs[:0], batch.lengths[:0])
    assert none.shape == batch.targets[:0].shape


@having(sees_all=True, head="token")
def test_no_answer_depends_on_what_comes_later(name: str) -> None:
    """What follows position t in another example leaves the oracle's answers up to t."""
    task = EVERY[name]
    batch = task.generate(range(min(20, count(name))), "test")
    answers = task.oracle(batch.inputs, batch.lengths)
    length = task.context.length
    fresh = np.random.default_rng(length)
    for t in [*fresh.integers(0, length, 12).tolist(), length - 2]:
        changed = batch.inputs.copy()
        changed[:, t + 1 :] = np.roll(batch.inputs, 1, axis=0)[:, t + 1 :]
        again = task.oracle(changed, batch.lengths)
        assert np.array_equal(again[:, : t + 1], answers[:, : t + 1])


@having(head="token", input_dim=None)
def test_an_answer_behind_its_place_is_declared(name: str) -> None:
    """A model that looks ahead would copy it; a share near chance is coincidence."""
    task, batch = EVERY[name], batch_of(name, "test")
    ahead = np.concatenate([batch.inputs[:, 1:], np.full((len(batch), 1), -1)], 1)
    share = (ahead == batch.targets)[batch.mask].mean()
    assert task.answers_follow or share < task.chance + 0.05 + 3 * (0.25 / len(batch)) ** 0.5


@having(is_real=False)
def test_chance_is_the_best_constant(name: str) -> None:
    """The commonest target of one split, answered always, scores `chance` on another."""
    task = EVERY[name]
    num = 3000 if task.context.length < 100 else count(name, 600)
    counts, per_example = [], 1.0
    for split in ("validation", "test"):
        batch = task.generate(range(num), split)
        targets = batch.targets[batch.mask]
        counts.append(np.bincount(targets, minlength=task.context.num_outputs) / targets.size)
        per_example = targets.size / num
    best = int(counts[0].argmax())
    sigma = (task.chance * (1 - task.chance) / num) ** 0.5  # targets of an example may agree
    few = 1 / (num * per_example)
    assert abs(counts[1][best] - task.chance) < 4 * sigma + few
    assert counts[1].max() < task.chance + 6 * sigma + few


@having(is_real=True)
def test_chance_is_the_error_of_the_best_constant(name: str) -> None:
    task = EVERY[name]
    batch = task.generate(range(count(name, 3000)), "test")
    errors = np.where(batch.mask, (batch.targets - batch.targets.mean(0)) ** 2, 0.0)
    per_example = errors.reshape(len(batch), -1).sum(1) / batch.mask.reshape(len(batch), -1).sum(1)
    assert abs(per_example.mean() - task.chance) < 5 * per_example.std() / len(batch) ** 0.5


@each
def test_floors_lie_between_chance_and_one(name: str) -> None:
    task = EVERY[name]
    assert task.context.is_real or 0 < task.chance < 1
    for floor in task.floors.values():
        assert 0 <= floor <= 1
    if task.ceiling < 1:
        assert task.chance < task.ceiling


def overlap(name: str, num: int) -> None:
    task = EVERY[name]
    keys = [set(task.content_key(range(num), split).tolist()) for split in SPLITS]
    rows = [{r.tobytes() for r in task.generate(range(num), split).inputs} for split in SPLITS]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not keys[i] & keys[j]
        assert not rows[i] & rows[j]
    assert min(map(len, keys)) > 1


@having(shared=False)
def test_splits_share_no_example(name: str) -> None:
    overlap(name, count(name, 400))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n, t in EVERY.items() if not t.shared and t.context.length < 300]
)
def test_splits_share_no_example_of_many(name: str) -> None:
    task = EVERY[name]
    overlap(name, min(50_000, 2**27 // (task.context.length * (task.context.input_dim or 1))))


def _varied(default: Any, fresh: np.random.Generator) -> Any:
    """Another value for a field, None for what is neither a number nor a switch."""
    if isinstance(default, bool):
        return bool(fresh.integers(2))
    if isinstance(default, int):
        return int(fresh.integers(default // 2, 2 * default + 2))
    if isinstance(default, float):
        return float(round(default * fresh.uniform(0.5, 1.5), 3))
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_other_sizes(kind: str) -> None:
    """Fields at random, up to twice or down to half their defaults: all promises of one batch."""
    fresh, cls, found = np.random.default_rng(len(kind)), tasks.kinds()[kind], 0
    for _ in range(60):
        fields = {n: _varied(f.default, fresh) for n, f in cls.model_fields.items() if n != "seed"}
        changed = {n: v for n, v in fields.items() if fresh.random() < 0.4 and v is not None}
        try:
            task = tasks.make_task(kind, seed=int(fresh.integers(2**62)), **changed)
        except ValueError:
            continue  # refused with a line
        if task.context.length > 4 * EVERY[kind].context.length + 200:
            continue
        found += 1
        for split in ("validation", "test"):
            try:
                batch = task.generate(range(8), split)
            except tasks.DataSpaceExhausted:
                continue
            assert len(batch) == 8
            assert equal(task.generate([7, 2], split), batch, [7, 2])
            if task.sees_all and task.determined(split):
                check_oracle(task, batch, split)
        if found == 4:
            break
    assert found
