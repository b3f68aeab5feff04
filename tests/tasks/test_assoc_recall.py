"""Associative recall: layouts, laws of keys and questions, what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.assoc_recall import AssocRecall, one_of_those_shown, one_over_different

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(23, np.arange(num, dtype=rng.U))


def arrays(**lists: list[int]) -> dict[str, np.ndarray]:
    return {name: np.array([values]) for name, values in lists.items()}


def test_the_layout_of_associative_recall() -> None:
    """Ids: 0 absent, 1 question, 2-5 keys, 6-10 values."""
    task = AssocRecall(num_pairs=3, num_keys=4, num_values=5)
    batch = task.render(arrays(codes=[2, 0, 3], values=[6, 10, 7], asked=[0]), keys(1), "train")
    assert batch.inputs.tolist() == [[4, 6, 2, 10, 5, 7, 1, 2]]
    assert batch.targets.tolist() == [[NO] * 7 + [10]]
    assert batch.factors["gap"].tolist() == [4]
    assert task.length == task.context.length == 8
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_keys_of_several_tokens() -> None:
    """Key 5 of 3^2 is spelled 1 2, with the first id at 2."""
    task = AssocRecall(num_pairs=2, num_keys=3, num_values=4, num_key_tokens=2)
    batch = task.render(arrays(codes=[5, 7], values=[5, 8], asked=[5]), keys(1), "test")
    assert batch.inputs.tolist() == [[3, 4, 5, 4, 3, 8, 1, 3, 4]]
    assert batch.targets.tolist() == [[NO] * 8 + [5]]
    assert batch.factors["gap"].tolist() == [6]


def test_safari_trains_on_every_next_token() -> None:
    task = tasks.preset("h3-associative-recall")
    assert task.context.num_inputs == 10
    assert task.context.length == 22
    train, test = task.generate(range(50), "train"), task.generate(range(50), "test")
    assert np.array_equal(train.targets[:, :-1], train.inputs[:, 1:])
    assert train.mask.all()
    assert test.mask.sum(axis=1).tolist() == [1] * 50
    assert test.mask[:, -1].all()
    answers = task.oracle(train.inputs)
    assert np.array_equal(answers[:, -1], train.targets[:, -1])


def test_unique_keys_are_unique_and_others_keep_their_value() -> None:
    unique = AssocRecall(num_pairs=8, num_keys=9).generate(range(400))
    assert all(len(set(row)) == 8 for row in unique.inputs[:, 0:16:2].tolist())
    again = AssocRecall(num_pairs=20, num_keys=4, unique_keys=False).generate(range(400))
    for row in again.inputs.tolist():
        pairs = set(zip(row[0:40:2], row[1:40:2], strict=True))
        assert len({key for key, _ in pairs}) == len(pairs)


def test_the_question_is_uniform_over_pairs() -> None:
    task = AssocRecall(num_pairs=5)
    drawn = task.draw(keys(3000), "train")
    rank = (drawn["codes"] == drawn["asked"]).argmax(axis=1)
    assert stats.chisquare(np.bincount(rank, minlength=5)).pvalue > 1e-4
    gaps = task.generate(range(1000)).factors["gap"]
    assert sorted(set(gaps.tolist())) == [2, 4, 6, 8, 10]


def test_keys_and_values_are_uniform() -> None:
    drawn = AssocRecall(num_pairs=3, num_keys=7, num_values=5).draw(keys(5000), "train")
    for i in range(3):
        assert stats.chisquare(np.bincount(drawn["codes"][:, i], minlength=7)).pvalue > 1e-4
        assert stats.chisquare(np.bincount(drawn["values"][:, i] - 9, minlength=5)).pvalue > 1e-4
    free = Counter(zip(*(drawn["values"][:, i].tolist() for i in (0, 1)), strict=True))
    assert stats.chisquare(list(free.values())).pvalue > 1e-4
    assert len(free) == 25


def test_safari_asks_every_key_shown_alike() -> None:
    """However often it is there: with codes 0 0 0 1, key 1 is asked half the time."""
    shown = np.tile([0, 0, 0, 1], (4000, 1))
    asked = one_of_those_shown(keys(4000), shown)[:, 0]
    assert stats.binomtest(int(asked.sum()), 4000).pvalue > 1e-4
    shown = np.tile([5, 2, 5, 9, 2, 5], (4000, 1))
    counts = np.bincount(one_of_those_shown(keys(4000), shown)[:, 0], minlength=10)
    assert counts[[2, 5, 9]].sum() == 4000
    assert stats.chisquare(counts[[2, 5, 9]]).pvalue > 1e-4


def test_canonical_asks_a_pair_and_so_common_keys_more_often() -> None:
    task = AssocRecall(num_pairs=6, num_keys=2, unique_keys=False)
    drawn = task.draw(keys(4000), "train")
    share = (drawn["codes"] == drawn["asked"]).mean()
    # the pair itself, and each other pair with probability 1/2
    assert share == pytest.approx((1 + 5 / 2) / 6, abs=0.02)


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("fields", [{"num_keys": 8, "num_values": 16}, {"num_keys": 40}], ids=str)
def test_missing_keys(unique: bool, fields: dict[str, Any]) -> None:
    """The chance formula against the share of absent keys; id 0 answers them."""
    task = AssocRecall(num_pairs=6, allow_missing=True, unique_keys=unique, **fields)
    batch = task.generate(range(4000))
    answers = batch.targets[:, -1]
    absent = (answers == 0).mean()
    assert absent == pytest.approx(task.missing, abs=4 * (0.25 / 4000) ** 0.5)
    exact = 1 - 6 / task.num_keys if unique else (1 - 1 / task.num_keys) ** 6
    assert task.missing == pytest.approx(exact, rel=1e-12)
    best = np.bincount(answers).max() / 4000
    assert best == pytest.approx(task.chance, abs=0.03)
    assert ((batch.factors["gap"] == 0) == (answers == 0)).all()
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert task.floor is None


def test_naming_the_first_value_scores_the_floor() -> None:
    task = AssocRecall(num_pairs=4, num_values=5)
    batch = task.generate(range(6000))
    right = (batch.inputs[:, 1] == batch.targets[:, -1]).mean()
    assert task.floor == pytest.approx(1 / 4 + 3 / 4 / 5)
    assert right == pytest.approx(task.floor, abs=4 * (0.25 / 6000) ** 0.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_pairs": 6, "num_keys": 3, "unique_keys": False},
        {"num_pairs": 6, "num_keys": 3, "unique_keys": False, "variant": "safari"},
        {"num_pairs": 9, "num_keys": 2, "num_key_tokens": 2, "unique_keys": False},
    ],
    ids=str,
)
def test_naming_a_value_scores_the_floor_where_keys_repeat(fields: dict[str, Any]) -> None:
    task = AssocRecall.model_validate({"num_values": 4, **fields})
    batch = task.generate(range(8000), "test")
    pair = rng.integers(keys(8000), 9, 1, task.num_pairs)[:, 0]
    at = pair * (task.num_key_tokens + 1) + task.num_key_tokens
    right = (batch.inputs[np.arange(8000), at] == batch.targets[:, -1]).mean()
    assert right == pytest.approx(task.floors["value of any pair"], abs=4 * (0.25 / 8000) ** 0.5)


def test_one_over_the_different_numbers() -> None:
    """Against every outcome, and against a sample."""
    assert one_over_different(1, 7) == pytest.approx(1)
    assert one_over_different(2, 5) == pytest.approx(1 / 5 + 4 / 5 / 2)
    drawn = rng.integers(keys(20_000), 1, 6, 4)
    mean = np.mean([1 / len(set(row)) for row in drawn.tolist()])
    assert one_over_different(6, 4) == pytest.approx(mean, abs=0.003)


def test_the_floor_is_left_out_where_keys_are_too_many_to_count() -> None:
    assert AssocRecall(num_keys=2**11, num_key_tokens=2).floor is None
    assert AssocRecall(num_keys=2**10, num_key_tokens=2).floor is not None


@pytest.mark.parametrize("num", [4, 8])
def test_letters_are_keys_and_digits_values(num: int) -> None:
    task = tasks.preset(f"ba-associative-recall-{num}")
    assert isinstance(task, AssocRecall)
    assert (task.num_pairs, task.num_keys, task.num_values) == (num, 26, 10)
    assert task.unique_keys
    assert task.context.length == 2 * num + 2


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"num_pairs": 17},
        r"num_pairs=17 exceeds the 16 different keys: needs <= 16, .* or unique_keys=no",
    ),
    (
        {"variant": "safari"},
        "unique_keys=True with variant=safari, .*: needs unique_keys=no",
    ),
    (
        {"num_key_tokens": 9},
        r"num_key_tokens=9 with num_keys=16 .*: needs num_key_tokens <= 8",
    ),
    ({"num_values": 1}, r"num_values: .*greater than or equal to 2, got 1"),
    ({"num_keys": 1}, r"num_keys: .*greater than or equal to 2, got 1"),
    ({"num_pairs": 0}, r"num_pairs: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("assoc-recall", **fields)


@pytest.mark.parametrize(
    "fields",
    [{"num_pairs": 16}, {"num_key_tokens": 8}, {"num_keys": 2, "num_key_tokens": 32}],
    ids=str,
)
def test_limits_are_reached(fields: dict[str, Any]) -> None:
    task = tasks.make_task("assoc-recall", **fields)
    batch = task.generate(range(30))
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
