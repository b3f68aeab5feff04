"""The harder forms of MQAR: several passes, updates, keys of two tokens."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.mqar import Mqar
from tasks.task import Content

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(99, np.arange(num, dtype=rng.U))


def content(task: Mqar, num: int) -> Content:
    return task.draw(keys(num), "train")


def test_the_latest_value_counts() -> None:
    """Two passes in different orders, then a new value for key 4."""
    task = Mqar(
        vocab_size=12,
        length=20,
        num_pairs=2,
        random_fill=False,
        num_passes=2,
        permute_passes=True,
        num_updates=1,
    )
    given = {
        "keys": np.array([[2, 4]]),
        "values": np.array([[8, 7]]),
        "slots": np.array([[3, 1]]),
        "updated": np.array([[1]]),
        "new": np.array([[10]]),
        "orders": np.array([[1, 0]]),
    }
    batch = task.render(given, keys(1), "train")
    context = [2, 8, 4, 7, 4, 7, 2, 8, 4, 10]
    assert batch.inputs.tolist() == [[*context, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0]]
    assert batch.targets.tolist() == [[NO] * 12 + [10] + [NO] * 3 + [8] + [NO] * 3]
    assert batch.factors["longest_gap"].tolist() == [9]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_compound_keys_are_answered_behind_both_tokens() -> None:
    """V=15: first tokens 1-4, second 5-9, values 10-14."""
    task = Mqar(vocab_size=15, length=28, num_pairs=4, random_fill=False, compound_keys=True)
    assert list(task.vocabulary.items()) == [
        ("filler", range(1)),
        ("first", range(1, 5)),
        ("second", range(5, 10)),
        ("value", range(10, 15)),
    ]
    given = {
        "keys": np.array([[3, 1, 3, 1]]),
        "seconds": np.array([[6, 6, 9, 9]]),
        "values": np.array([[12, 10, 14, 11]]),
        "slots": np.array([[1, 0, 4, 3]]),
    }
    batch = task.render(given, keys(1), "train")
    context = [3, 6, 12, 1, 6, 10, 3, 9, 14, 1, 9, 11]
    queries = [1, 6, 0, 3, 6, 0, 0, 0, 0, 1, 9, 0, 3, 9, 0, 0]
    assert batch.inputs.tolist() == [context + queries]
    due = [NO, 10, NO, NO, 12, NO, NO, NO, NO, NO, 11, NO, NO, 14, NO, NO]
    assert batch.targets.tolist() == [[NO] * 12 + due]
    assert batch.factors["longest_gap"].tolist() == [17]
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()


def read(task: Mqar, row: list[int]) -> dict[tuple[int, ...], list[int]]:
    """Every value that a key is told, in order; a second reading of the layout."""
    told: dict[tuple[int, ...], list[int]] = {}
    width = 3 if task.compound_keys else 2
    num = task.num_pairs * task.num_passes + task.num_updates
    for i in range(num):
        *key, value = row[width * i : width * (i + 1)]
        told.setdefault(tuple(key), []).append(value)
    return told


HARDER = [
    {"num_passes": 3},
    {"num_passes": 3, "permute_passes": True},
    {"num_updates": 4},
    {"num_updates": 2, "num_passes": 2, "permute_passes": True},
    {"compound_keys": True},
    {"compound_keys": True, "num_updates": 3, "num_passes": 2, "permute_passes": True},
]


@pytest.mark.parametrize("variant", ["canonical", "zoology"])
@pytest.mark.parametrize("fields", HARDER, ids=str)
def test_harder_forms(fields: dict, variant: str) -> None:
    """Keys are all different, told as often as they should be, and answered by their last value."""
    task = Mqar.model_validate({"length": 80, "vocab_size": 99, "variant": variant, **fields})
    width, span = (3, 2) if task.compound_keys else (2, 1)
    batch = task.generate(range(200), "validation")
    starts = task.num_pairs * task.num_passes + task.num_updates
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        told = read(task, row)
        assert len(told) == 4
        counts = sorted(len(values) - task.num_passes for values in told.values())
        assert counts == [0] * (4 - task.num_updates) + [1] * task.num_updates
        assert all(len(set(values[: task.num_passes])) == 1 for values in told.values())
        due = [t for t in range(80) if targets[t] != NO]
        assert len(due) == 4
        assert min(due) >= width * starts + span - 1
        asked = {tuple(row[t - span + 1 : t + 1]): targets[t] for t in due}
        assert asked == {key: values[-1] for key, values in told.items()}
        if task.compound_keys:
            assert len({a for a, _ in told}) == len({b for _, b in told}) == 2
        if variant == "canonical":
            later = row[width * starts :]
            tokens = {x for key in told for x in key} | {x for v in told.values() for x in v}
            shown = sum(later.count(x) for x in tokens)
            assert shown == 4 * span, "filler repeats no key and no value"
            values = [x for v in told.values() for x in set(v)]
            assert len(set(values)) == len(values) == 4 + task.num_updates
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()


def test_passes_are_in_the_same_order_or_in_any() -> None:
    same = Mqar(num_passes=3, vocab_size=99).generate(range(300)).inputs[:, :24]
    assert np.array_equal(same[:, :8], same[:, 8:16])
    assert np.array_equal(same[:, :8], same[:, 16:])
    drawn = content(Mqar(num_passes=3, permute_passes=True, num_pairs=3), 4000)["orders"]
    for orders in (drawn[:, :3], drawn[:, 3:]):
        counts = np.bincount(orders @ np.array([16, 4, 1]))
        assert stats.chisquare(counts[counts > 0]).pvalue > 1e-4
        assert (counts > 0).sum() == 6
    assert not np.array_equal(drawn[:, :3], drawn[:, 3:])


def test_updates_choose_keys_uniformly_and_values_that_are_new() -> None:
    task = Mqar(num_updates=2, vocab_size=30)
    drawn = content(task, 6000)
    pairs = np.bincount(drawn["updated"] @ np.array([4, 1]), minlength=16)
    assert stats.chisquare(pairs[[1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14]]).pvalue > 1e-4
    assert stats.chisquare(np.bincount(drawn["new"][:, 1] - 15, minlength=15)).pvalue > 1e-4


def test_upstreams_updates_may_keep_the_old_value() -> None:
    """The j-th update avoids the value of pair j, whichever key it updates."""
    task = Mqar(variant="zoology", num_updates=2, vocab_size=65)
    drawn = content(task, 20_000)
    assert (drawn["new"] != drawn["values"][:, :2]).all()
    old = np.take_along_axis(drawn["values"], drawn["updated"], axis=1)
    kept = (drawn["new"] == old).mean()
    assert kept == pytest.approx(3 / 4 / 32, abs=4 * (0.024 / 40_000) ** 0.5)
    others = drawn["new"][:, 0] - 32 - (drawn["new"][:, 0] > drawn["values"][:, 0])
    assert stats.chisquare(np.bincount(others, minlength=32)).pvalue > 1e-4


@pytest.mark.parametrize("variant", ["canonical", "zoology"])
def test_the_value_before_the_update_scores_its_floor(variant: str) -> None:
    task = Mqar.model_validate({"variant": variant, "num_updates": 3, "vocab_size": 65})
    batch = task.generate(range(4000), "test")
    right = 0
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        told = read(task, row)
        right += sum(told[(row[t],)][0] == targets[t] for t in range(64) if targets[t] != NO)
    expected = task.floors["value before the update"]
    assert right / 16_000 == pytest.approx(expected, abs=4 * (0.02 / 16_000) ** 0.5 + 1e-9)
    assert task.floor == max(expected, 1 / 4)


def test_half_a_key_scores_its_floor() -> None:
    task = Mqar(length=64, num_pairs=9, compound_keys=True)
    batch = task.generate(range(2000), "test")
    assert task.floor == task.floors["value of the same first token"] == 1 / 3
    right = 0
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        told = read(task, row)
        for t in np.flatnonzero(np.array(targets) != NO):
            same = [values[0] for key, values in told.items() if key[0] == row[t - 1]]
            assert len(same) == 3
            right += same[0] == targets[t]
    assert right / 18_000 == pytest.approx(1 / 3, abs=4 * (0.23 / 18_000) ** 0.5)


def test_the_grid_is_in_any_order() -> None:
    task = Mqar(num_pairs=4, compound_keys=True, vocab_size=30)
    drawn = content(task, 5000)
    first, second = drawn["keys"], drawn["seconds"]
    orders = [(a == a[0], b == b[0]) for a, b in zip(first, second, strict=True)]
    codes = [int(np.concatenate(pair) @ 2 ** np.arange(8)) for pair in orders]
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 6, "the cells behind the first one, up to names of rows and columns"
    assert stats.chisquare(counts).pvalue > 1e-4
    assert stats.chisquare(np.bincount(first[:, 0] - 1, minlength=9)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(second[:, 0] - 10, minlength=10)).pvalue > 1e-4


MORE_REFUSED = [
    (
        {"num_passes": 8},
        "length=64 is too short for num_pairs=4, num_passes=8: needs >= 72",
    ),
    (
        {"num_pairs": 15, "num_updates": 4},
        "length=64 is too short for num_pairs=15, num_updates=4: needs >= 68",
    ),
    (
        {"num_pairs": 16, "compound_keys": True},
        "num_pairs=16, compound_keys=True: needs >= 96",
    ),
    ({"num_updates": 5}, "num_updates=5 exceeds num_pairs: needs <= 4"),
    ({"permute_passes": True}, "permute_passes=True with num_passes=1: needs num_passes >= 2"),
    (
        {"num_pairs": 5, "compound_keys": True},
        "num_pairs=5 with compound_keys=True is no grid: needs a square, such as 4 or 9",
    ),
    (
        {"num_pairs": 9, "compound_keys": True, "vocab_size": 11},
        "num_pairs=9 exceeds the 2 keys of vocab_size=11: needs vocab_size >= 12",
    ),
    (
        {"num_pairs": 9, "compound_keys": True, "vocab_size": 12},
        "num_pairs=9 with num_updates=0 exceeds the values of vocab_size=12: .* >= 27",
    ),
    (
        {"num_updates": 4, "vocab_size": 12},
        "num_updates=4 exceeds the values of vocab_size=12: needs vocab_size >= 16",
    ),
    ({"num_updates": -1}, r"num_updates: .*greater than or equal to 0, got -1"),
    ({"num_passes": 0}, r"num_passes: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), MORE_REFUSED, ids=lambda x: str(x)[:40])
def test_what_harder_forms_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("mqar", **fields)


def test_what_was_refused_fits_at_the_stated_limit() -> None:
    for fields in (
        {"num_passes": 8, "length": 72},
        {"num_pairs": 15, "num_updates": 4, "length": 68},
        {"num_pairs": 16, "compound_keys": True, "length": 96},
        {"num_pairs": 9, "compound_keys": True, "vocab_size": 27},
        {"num_updates": 4, "vocab_size": 16},
    ):
        task = tasks.make_task("mqar", **fields)
        batch = task.generate(range(20))
        assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
