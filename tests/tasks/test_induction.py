"""Induction: the worked example, where triggers stand, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.induction import Induction

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(11, np.arange(num, dtype=rng.U))


def test_the_worked_example() -> None:
    """V=16, trigger 16, L=8."""
    task = Induction(vocab_size=16, length=8)
    tokens = np.array([[5, 16, 9, 2, 2, 7, 1, 16]])
    batch = task.render({"tokens": tokens, "first": np.array([[1]])}, keys(1), "train")
    assert batch.inputs.tolist() == tokens.tolist()
    assert batch.targets.tolist() == [[NO] * 7 + [9]]
    assert batch.factors["gap"].tolist() == [6]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
    assert task.context.num_inputs == 17


def test_defaults() -> None:
    task = Induction()
    assert (task.variant, task.vocab_size, task.length) == ("canonical", 16, 256)
    assert task.chance == 1 / 16


def test_the_trigger_is_where_it_should_be() -> None:
    batch = Induction(length=12).generate(range(3000))
    triggers = batch.inputs == 16
    assert (triggers.sum(axis=1) == 2).all()
    assert triggers[:, -1].all()
    first = triggers.argmax(axis=1)
    assert np.array_equal(batch.factors["gap"], 11 - first)
    assert first.max() == 9
    assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 1e-4
    follows = batch.inputs[np.arange(3000), first + 1]
    assert np.array_equal(batch.targets[:, -1], follows)
    assert stats.chisquare(np.bincount(follows, minlength=16)).pvalue > 1e-4


def test_the_shortest_sequence() -> None:
    batch = Induction(length=4).generate(range(60))
    assert {tuple(row) for row in (batch.inputs == 16).tolist()} == {
        (True, False, False, True),
        (False, True, False, True),
    }


def test_bigram_repeats_its_half() -> None:
    task = Induction(variant="bigram", vocab_size=9, length=10)
    batch = task.generate(range(40), "test")
    row, targets = batch.inputs[7].tolist(), batch.targets[7].tolist()
    assert row[:5] == row[5:]
    assert targets == [NO] * 5 + [*row[6:], row[0]]


def reference(tokens: list[int], places: list[int], copied: int, trigger: int) -> list[int]:
    """What upstream does with these draws, written out."""
    kept: list[int] = []
    for p in sorted(places):
        if not kept or p - kept[-1] > copied:
            kept.append(p)
    answer = tokens[kept[0] + 1 : kept[0] + 1 + copied]
    row = list(tokens)
    for p in kept:
        row[p] = trigger
        row[p + 1 : p + 1 + copied] = answer
    return [*row, trigger, *answer]


@pytest.mark.parametrize(("copied", "triggers"), [(1, 1), (1, 6), (2, 4), (3, 9)])
def test_safari_places_triggers_as_upstream_does(copied: int, triggers: int) -> None:
    task = Induction(
        variant="safari", vocab_size=12, length=20, num_copied=copied, num_triggers=triggers
    )
    some = keys(300)
    tokens = rng.integers(some, 1, 20, 10).tolist()
    places = rng.integers(some, 2, triggers, 19 - copied).tolist()
    alone = rng.integers(some, 3, 1, 2)[:, 0].tolist()
    assert 100 < sum(alone) < 200
    batch = task.render(task.draw(some, "train"), some, "test")
    train = task.render(task.draw(some, "train"), some, "train")
    for i in range(300):
        drawn = places[i][:1] if alone[i] else places[i]
        row = reference(tokens[i], drawn, copied, 11)
        assert batch.inputs[i].tolist() == row[:-1]
        assert train.targets[i].tolist() == row[1:]
        assert batch.targets[i].tolist() == [NO] * 20 + row[-copied:]
        assert batch.factors["num_triggers"][i] == row[:20].count(11)
        assert batch.factors["gap"][i] == 20 - row.index(11)


def test_h3s_setting() -> None:
    task = tasks.preset("h3-induction")
    assert task.context.num_inputs == 20
    assert task.context.length == 31
    assert task.chance == 1 / 18
    assert not task.determined("train")
    assert task.determined("test")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_copied": 2}, "num_copied=2 with variant=canonical: needs 1, or variant=safari"),
    ({"num_triggers": 2}, "num_triggers=2 with variant=canonical: needs 1, or variant=safari"),
    ({"length": 3}, r"length: .*greater than or equal to 4, got 3"),
    (
        {"length": 6, "num_copied": 4, "variant": "safari"},
        "length=6 is too short for num_copied=4: needs >= 7",
    ),
    ({"length": 9, "variant": "bigram"}, "length=9 is odd: bigram repeats a half, use 10"),
    ({"vocab_size": 3, "variant": "safari"}, r"vocab_size=3 .*: needs >= 4"),
    ({"vocab_size": 1}, r"vocab_size: .*greater than or equal to 2, got 1"),
    ({"num_copied": 0}, r"num_copied: .*greater than or equal to 1"),
    ({"num_triggers": 0}, r"num_triggers: .*greater than or equal to 1"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("induction", **fields)


@pytest.mark.slow
def test_a_million_positions() -> None:
    task = Induction(length=2**20)
    batch = task.generate([0], "test")
    assert batch.inputs.shape == (1, 2**20)
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)
