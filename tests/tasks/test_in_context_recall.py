"""In-context recall: layouts, which keys are asked, floors, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tasks
from tasks import rng
from tasks.in_context_recall import MOST_FREQUENT, InContextRecall

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(23, np.arange(num, dtype=rng.U))


def arrays(**lists: list[int]) -> dict[str, np.ndarray]:
    return {name: np.array([values]) for name, values in lists.items()}


def test_the_layout_of_in_context_recall() -> None:
    """V=8: keys 0-3, values 4-7; the last value is not read."""
    task = InContextRecall(vocab_size=8, length=10)
    content = arrays(codes=[2, 0, 2, 1, 0], values=[5, 7, 5, 4, 7])
    batch = task.render(content, keys(1), "train")
    assert batch.inputs.tolist() == [[2, 5, 0, 7, 2, 5, 1, 4, 0]]
    assert batch.targets.tolist() == [[NO] * 4 + [5] + [NO] * 3 + [7]]
    assert {name: x.tolist() for name, x in batch.factors.items()} == {
        "num_shown": [3],
        "num_targets": [2],
        "gap": [5],
    }
    mad = InContextRecall(variant="mad", vocab_size=8, length=10)
    assert mad.render(content, keys(1), "test").targets.tolist() == batch.targets.tolist()
    assert mad.render(content, keys(1), "train").targets.tolist() == [[5, 0, 7, 2, 5, 1, 4, 0, 7]]


def test_the_layout_of_a_single_query() -> None:
    """V=9: keys 0-3, values 4-7, marker 8."""
    task = InContextRecall(vocab_size=9, length=8, multi_query=False)
    content = arrays(codes=[2, 0, 2, 0], values=[5, 7, 5, 7])
    batch = task.render(content, keys(1), "train")
    assert batch.inputs.tolist() == [[2, 5, 0, 7, 2, 5, 8, 0]]
    assert batch.targets.tolist() == [[NO] * 7 + [7]]
    assert batch.factors["gap"].tolist() == [4]
    assert task.context.length == 8


def test_targets_are_the_repeated_keys() -> None:
    task = InContextRecall()
    batch = task.generate(range(400))
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        expected = [NO] * 127
        for t in range(0, 127, 2):
            if row[t] in row[:t:2]:
                expected[t] = row[row.index(row[t]) + 1]
        assert targets == expected
    assert batch.mask[:, -1].all()
    # 64 pairs less the keys shown: all of 8, save 8 (7/8)^63 on average
    assert batch.factors["num_targets"].mean() == pytest.approx(64 - 8, abs=0.05)
    assert (batch.factors["num_shown"] + batch.factors["num_targets"] == 64).all()


def shortcuts(task: InContextRecall, num: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Two answers that ignore the key: which are right in each example, and how many are due."""
    batch = task.generate(range(num), "test")
    codes, values = batch.inputs[:, ::2], batch.inputs[:, 1::2]
    real = codes[:, : values.shape[1]] < task.num_keys
    shown = np.zeros((num, codes.shape[1], task.num_values), np.int64)
    rows, pairs = np.nonzero(real)
    shown[rows, pairs + 1, values[rows, pairs] - task.num_keys] = 1
    most = shown.cumsum(axis=1).argmax(axis=2) + task.num_keys
    place = np.maximum.accumulate(np.where(real, np.arange(real.shape[1]), 0), axis=1)
    before = np.full(codes.shape, -1)
    before[:, 1:] = np.take_along_axis(values, place, axis=1)
    targets = batch.targets[:, ::2]
    due = (targets != NO).sum(axis=1)
    return {
        "most frequent value so far": ((most == targets).sum(axis=1), due),
        "value of the pair before": ((before == targets).sum(axis=1), due),
    }


def within(right: np.ndarray, due: np.ndarray, expected: float, sigmas: float = 3) -> bool:
    """A share of all answers, with the standard error of a ratio of sums."""
    error = np.std(right - expected * due) / due.mean() / len(due) ** 0.5
    return abs(right.sum() / due.sum() - expected) < sigmas * error + 1e-4


@pytest.mark.parametrize("name", ["mad-in-context-recall", "mad-in-context-recall-vocab-64"])
def test_answers_that_ignore_the_key_score_the_floors(name: str) -> None:
    task = tasks.preset(name)
    assert isinstance(task, InContextRecall)
    found = shortcuts(task, 3000)
    assert found.keys() == task.floors.keys()
    for shortcut, (right, due) in found.items():
        assert within(right, due, task.floors[shortcut]), shortcut


@pytest.mark.slow
@pytest.mark.parametrize("sizes", MOST_FREQUENT, ids=str)
def test_the_stored_floors(sizes: tuple[int, int, int]) -> None:
    task = InContextRecall(vocab_size=sizes[0] + sizes[1], length=sizes[2])
    assert (task.num_keys, task.num_values) == sizes[:2]
    for shortcut, (right, due) in shortcuts(task, 4000).items():
        assert within(right, due, task.floors[shortcut]), shortcut


@pytest.mark.parametrize(
    "fields", [{"length": 6, "vocab_size": 90}, {"length": 40, "vocab_size": 9}], ids=str
)
def test_the_value_before_at_other_sizes(fields: dict[str, Any]) -> None:
    task = InContextRecall.model_validate(fields)
    right, due = shortcuts(task, 8000)["value of the pair before"]
    assert within(right, due, task.floors["value of the pair before"], 4)
    assert list(task.floors) == ["value of the pair before"], "nothing is stored for it"
    alone = InContextRecall.model_validate({**fields, "multi_query": False})
    batch = alone.generate(range(8000), "test")
    same = (batch.inputs[:, -3] == batch.targets[:, -1]).mean()
    assert same == pytest.approx(alone.floor, abs=4 * (0.25 / 8000) ** 0.5)


def test_mads_settings() -> None:
    """The baseline, and one knob at a time."""
    base = {"vocab_size": 16, "length": 128, "multi_query": True, "variant": "mad"}
    for name, changed in (
        ("", {}),
        ("-vocab-32", {"vocab_size": 32}),
        ("-vocab-64", {"vocab_size": 64}),
        ("-vocab-128", {"vocab_size": 128}),
        ("-length-256", {"length": 256}),
        ("-length-512", {"length": 512}),
        ("-length-1024", {"length": 1024}),
    ):
        task = tasks.preset(f"mad-in-context-recall{name}")
        assert task.to_dict() == {"kind": "in-context-recall", "seed": 0, **base, **changed}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"length": 127}, "length=127 is odd: .* such as 128"),
    ({"length": 2}, r"length: .*greater than or equal to 4, got 2"),
    ({"vocab_size": 3}, r"vocab_size: .*greater than or equal to 4, got 3"),
    (
        {"vocab_size": 4, "multi_query": False},
        "vocab_size=4 leaves no two keys, .* multi_query=no: needs >= 5",
    ),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("in-context-recall", **fields)


@pytest.mark.parametrize(
    "fields", [{"length": 4}, {"vocab_size": 5, "multi_query": False, "length": 40}], ids=str
)
def test_limits_are_reached(fields: dict[str, Any]) -> None:
    task = tasks.make_task("in-context-recall", **fields)
    batch = task.generate(range(30))
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
