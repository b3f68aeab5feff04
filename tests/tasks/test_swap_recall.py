"""Swap recall: the worked example, the simulation, and the law of a value's place."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.swap_recall import SwapRecall

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_worked_example() -> None:
    """k1: v5, k2: v7, SWAP k1 k2; k1 holds v7."""
    task = SwapRecall(num_pairs=2, num_swaps=1, num_keys=3, num_values=8)
    v = task.vocabulary["value"].start
    given = {
        "keys": np.array([[1, 2]]),
        "values": np.array([[v + 5, v + 7]]),
        "one": np.array([[0]]),
        "other": np.array([[1]]),
        "asked": np.array([[0, 1]]),
    }
    batch = task.render(given, keys(1), "test")
    assert batch.inputs.tolist() == [[1, v + 5, 2, v + 7, 0, 1, 2, 1, 2]]
    assert batch.targets.tolist() == [[NO] * 7 + [v + 7, v + 5]]
    assert batch.factors["num_moved"].tolist() == [2]


@pytest.mark.parametrize("swaps", [0, 1, 7, 40])
def test_answers_by_a_list_of_values(swaps: int) -> None:
    task = SwapRecall(num_pairs=5, num_swaps=swaps)
    batch = task.generate(range(200), "test")
    for i, row in enumerate(batch.inputs.tolist()):
        names, held = row[0:10:2], row[1:10:2]
        before = list(held)
        for t in range(10, 10 + 3 * swaps, 3):
            assert row[t] == 0
            one, other = names.index(row[t + 1]), names.index(row[t + 2])
            assert one != other
            held[one], held[other] = held[other], held[one]
        asked = row[10 + 3 * swaps :]
        assert sorted(asked) == sorted(names)
        due = [y for y in batch.targets[i].tolist() if y != NO]
        assert due == [held[names.index(name)] for name in asked]
        moved = sum(a != b for a, b in zip(held, before, strict=True))
        assert batch.factors["num_moved"][i] == moved


def test_exchanges_and_questions_are_uniform() -> None:
    drawn = SwapRecall(num_pairs=4, num_swaps=2).draw(keys(6000), "train")
    pairs = np.bincount(drawn["one"][:, 1] * 4 + drawn["other"][:, 1], minlength=16)
    assert (pairs[::5] == 0).all()
    assert stats.chisquare(np.delete(pairs, [0, 5, 10, 15])).pvalue > 1e-4
    for i in range(4):
        assert stats.chisquare(np.bincount(drawn["asked"][:, i])).pvalue > 1e-4


@pytest.mark.parametrize(
    ("pairs", "swaps", "published"),
    [(8, 4, 0.350), (8, 16, 0.132), (16, 8, 0.360), (16, 32, 0.072)],
)
def test_guesses_attain_the_floors(pairs: int, swaps: int, published: float) -> None:
    task = SwapRecall(num_pairs=pairs, num_swaps=swaps)
    floors = task.floors
    assert floors["value before the exchanges"] == pytest.approx(published, abs=0.004)
    batch = task.generate(range(2000), "test")
    names, values = batch.inputs[:, 0 : 2 * pairs : 2], batch.inputs[:, 1 : 2 * pairs : 2]
    asked = batch.inputs[:, -pairs:]
    where = (asked[:, :, None] == names[:, None, :]).argmax(axis=2)
    kept = np.take_along_axis(values, where, axis=1) == batch.targets[:, -pairs:]
    sigma = kept.mean(axis=1).std() / 2000**0.5
    assert abs(kept.mean() - floors["value before the exchanges"]) < 4 * sigma
    any_one = (values[:, :1] == batch.targets[:, -pairs:]).mean()
    assert any_one == floors["any value shown"] == 1 / pairs


REFUSED = [
    ({"num_pairs": 17}, "num_pairs=17 exceeds num_keys=16: needs num_keys >= it"),
    ({"num_values": 7}, "num_pairs=8 exceeds num_values=7"),
    ({"num_pairs": 1}, "num_pairs: .*greater than or equal to 2, got 1"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("swap-recall", **fields)
