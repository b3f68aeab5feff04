"""Memorization: the map, what training shows of it, rounds of all keys, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.memorization import Memorization, dealt, numbers_of
from tasks.task import SPLITS

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(37, np.arange(num, dtype=rng.U))


def test_the_layout() -> None:
    """V=8: keys 0-2, values 3-6, 7 asks."""
    task = Memorization(vocab_size=8, length=6)
    assert list(task.vocabulary.items()) == [
        ("key", range(3)),
        ("value", range(3, 7)),
        ("ask", range(7, 8)),
    ]
    batch = task.render({"codes": np.array([[2, 0, 2]])}, keys(1), "train")
    a, b = task.values[[2, 0]].tolist()
    assert batch.inputs.tolist() == [[2, 7, 0, 7, 2, 7]]
    assert batch.targets.tolist() == [[NO, a, NO, b, NO, a]]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_the_map_is_one_to_one_and_the_same_for_all() -> None:
    task = Memorization()
    assert len(set(task.values.tolist())) == task.num_keys == 127
    assert set(task.values.tolist()) <= set(range(127, 255))
    assert np.array_equal(Memorization(seed=5, length=8).values, task.values)
    assert not np.array_equal(Memorization(map_seed=1).values, task.values)
    for split in SPLITS:
        batch = task.generate(range(50), split)
        asked = batch.inputs[:, ::2]
        assert np.array_equal(batch.targets[:, 1::2], task.values[asked])


def test_the_value_of_a_key_is_uniform_over_maps() -> None:
    found = [Memorization(vocab_size=8, map_seed=s).values[1] - 3 for s in range(2000)]
    assert stats.chisquare(np.bincount(found, minlength=4)).pvalue > 1e-4


def test_keys_are_uniform() -> None:
    drawn = Memorization(vocab_size=41).draw(keys(3000), "train")["codes"]
    assert stats.chisquare(np.bincount(drawn.ravel(), minlength=20)).pvalue > 1e-4


def test_splits_share_the_facts_but_not_the_stream() -> None:
    task = Memorization()
    assert task.shared
    assert not task.partitioned
    rows = [task.generate(range(20), split).inputs for split in SPLITS]
    assert not np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_coverage_is_what_training_shows() -> None:
    """MAD's largest setting: 4,096 draws of 4,095 keys show 1 - 1/e of them."""
    task = Memorization(vocab_size=8192)
    shown = set(task.generate(range(256)).inputs[:, ::2].ravel().tolist())
    assert task.coverage == len(shown) / 4095
    assert task.coverage == pytest.approx(1 - np.exp(-1), abs=0.02)
    batch = task.generate(range(400), "test")
    for row, unseen in zip(batch.inputs, batch.factors["num_unseen"], strict=True):
        assert unseen == sum(code not in shown for code in row[::2].tolist())
    more = Memorization(vocab_size=8192, num_train=2560)
    assert more.coverage > 0.99
    assert Memorization(vocab_size=8192, num_train=1).coverage <= 16 / 4095


def test_rounds_show_every_key() -> None:
    """127 keys, 16 to an example: after 8 examples every key has been there."""
    task = Memorization(ensure_coverage=True)
    for split in SPLITS:
        dealt_out = task.generate(range(127 * 3), split).inputs[:, ::2].ravel()
        rounds = dealt_out.reshape(-1, 127)
        assert (np.sort(rounds, axis=1) == np.arange(127)).all()
        assert len({r.tobytes() for r in rounds}) == len(rounds)
    assert task.coverage == 1
    assert Memorization(vocab_size=8192, ensure_coverage=True).coverage == 1
    assert Memorization(ensure_coverage=True, num_train=7).coverage < 1


def test_a_round_goes_on_anywhere() -> None:
    """Example by example, far from the start, and over the end of a round."""
    stream = 12345
    start = 2**40
    whole = dealt(stream, np.arange(start, start + 60, dtype=rng.U), 4, 10).ravel()
    for i in (0, 7, 59):
        one = dealt(stream, np.array([start + i], dtype=rng.U), 4, 10)
        assert one.ravel().tolist() == whole[4 * i : 4 * i + 4].tolist()
    first = -(start * 4) % 10  # where the next round begins
    rounds = whole[first : first + 220].reshape(-1, 10)
    assert (np.sort(rounds, axis=1) == np.arange(10)).all()
    assert stats.chisquare(np.bincount(rounds[:, 0], minlength=10)).pvalue > 1e-4


def test_orders_of_rounds_are_uniform() -> None:
    rounds = dealt(3, np.arange(6000, dtype=rng.U), 3, 3)
    counts = np.unique(rounds @ np.array([9, 3, 1]), return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("stream", [0, 1, 2**64 - 1, 0x9E3779B97F4A7C15])
def test_numbers_come_back_from_keys(stream: int) -> None:
    numbers = np.array([0, 1, 2, 77, 2**32, 2**63 - 1], dtype=rng.U)
    assert np.array_equal(numbers_of(rng.example_keys(stream, numbers), stream), numbers)


def test_mads_settings() -> None:
    assert tasks.preset("mad-memorization") == Memorization(vocab_size=256, length=32)
    for size in (512, 1024, 2048, 4096, 8192):
        task = tasks.preset(f"mad-memorization-vocab-{size}")
        assert task == Memorization(vocab_size=size, length=32, num_train=256)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"length": 31}, "length=31 is odd: .* such as 32"),
    ({"vocab_size": 4}, r"vocab_size: .*greater than or equal to 5, got 4"),
    ({"length": 0}, r"length: .*greater than or equal to 2, got 0"),
    ({"num_train": 0}, r"num_train: .*greater than or equal to 1, got 0"),
    ({"map_seed": -1}, r"map_seed: .*greater than or equal to 0, got -1"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("memorization", **fields)


@pytest.mark.parametrize("covered", [True, False])
def test_limits_are_reached(covered: bool) -> None:
    task = Memorization(vocab_size=5, length=2, ensure_coverage=covered)
    batch = task.generate(range(30), "test")
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
