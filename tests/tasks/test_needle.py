"""Needles: layouts, several values and questions, where facts lie, floors, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.haystack import LEVELS, at_levels, different, level_of, prefix, straw
from tasks.needle import ASK, END, FACT, IS, Needle

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(47, np.arange(num, dtype=rng.U))


SMALL = {"num_key_ids": 8, "num_value_ids": 10, "num_hay_ids": 3, "num_value_tokens": 2}


def test_the_layout() -> None:
    """Keys from 4, values from 12, hay 22-24; the second fact is asked for."""
    task = Needle(length=26, num_keys=2, **SMALL)
    assert list(task.vocabulary.items())[4:] == [
        ("key", range(4, 12)),
        ("value", range(12, 22)),
        ("hay", range(22, 25)),
    ]
    content = {
        "keys": np.array([[0, 7, 3, 3]]),
        "values": np.array([[9, 8, 0, 1]]),
        "order": np.array([[1, 0]]),
        "gaps": np.array([[2, 3]]),
        "asked": np.array([[1]]),
    }
    batch = task.render(content, keys(1), "train")
    hay = [22, 23, 24] * 9
    fact_1 = [FACT, 7, 7, IS, 12, 13, END]
    fact_0 = [FACT, 4, 11, IS, 21, 20, END]
    text = [*hay[:2], *fact_1, hay[9], *fact_0, *hay[17:21]]
    assert batch.inputs.tolist() == [[*text, ASK, 7, 7, IS, 12]]
    assert batch.targets.tolist() == [[NO] * 24 + [12, 13]]
    assert batch.spans is not None
    assert batch.spans.tolist() == [[-1] * 24 + [0, 0]]
    assert batch.factors["depth"].tolist() == [0]
    assert batch.factors["gap"].tolist() == [15]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def test_all_values_are_due_in_the_order_of_the_text() -> None:
    """Facts 0 and 1 are key 0's, 2 and 3 key 1's; both keys are asked for, the second one first."""
    task = Needle(length=46, num_keys=2, num_values=2, num_queries=2, **SMALL)
    content = {
        "keys": np.array([[0, 7, 3, 3]]),
        "values": np.array([[1, 1, 2, 2, 3, 3, 4, 4]]),
        "order": np.array([[3, 1, 0, 2]]),
        "gaps": np.array([[0, 0, 0, 0]]),
        "asked": np.array([[1, 0]]),
    }
    batch = task.render(content, keys(1), "test")
    tail = [ASK, 7, 7, IS, 16, 16, 15, 15, ASK, 4, 11, IS, 14, 14, 13]
    assert batch.inputs[0, task.room :].tolist() == tail
    due = [NO] * 3 + [16, 16, 15, 15] + [NO] * 4 + [14, 14, 13, 13]
    assert batch.targets[0, task.room :].tolist() == due
    assert batch.spans is not None
    spans = [-1] * 3 + [0, 0, 1, 1] + [-1] * 4 + [2, 2, 3, 3]
    assert batch.spans[0, task.room :].tolist() == spans
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def facts(task: Needle, row: list[int]) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Place, key and value of every fact in a row, read from its marks."""
    found = []
    for t, token in enumerate(row[: task.room]):
        if token == FACT:
            middle, end = row.index(IS, t), row.index(END, t)
            found.append((t, tuple(row[t + 1 : middle]), tuple(row[middle + 1 : end])))
    return found


FORMS: list[dict[str, Any]] = [
    {},
    {"haystack": "random", "num_keys": 1},
    {"haystack": "needles", "num_value_tokens": 3},
    {"num_values": 3, "num_keys": 2, "num_queries": 2, "num_value_tokens": 1},
    {"haystack": "needles", "num_values": 2, "num_value_tokens": 2, "num_queries": 3},
    {"depth": "fixed", "num_key_tokens": 5, "num_key_ids": 2},
]


@pytest.mark.parametrize("fields", FORMS, ids=str)
def test_every_form_is_answered_by_its_facts(fields: dict[str, Any]) -> None:
    task = Needle.model_validate(fields)
    batch = task.generate(range(200), "validation")
    ids = task.vocabulary
    for i, row in enumerate(batch.inputs.tolist()):
        told = facts(task, row)
        assert len(told) == task.num_facts
        values: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        for _, key, value in told:
            assert len(key) == task.num_key_tokens
            assert len(value) == task.num_value_tokens
            values.setdefault(key, []).append(value)
        counts = sorted(map(len, values.values()))
        others = task.different_keys - task.num_keys
        assert counts == [1] * others + [task.num_values] * task.num_keys
        tail = [*row[task.room :], int(batch.targets[i, -1])]
        due = []
        for q in range(task.num_queries):
            width = 2 + task.num_key_tokens + task.answer
            one = tail[q * width : (q + 1) * width]
            key = tuple(one[1 : 1 + task.num_key_tokens])
            assert (one[0], one[1 + task.num_key_tokens]) == (ASK, IS)
            expected = [x for value in values[key] for x in value]
            assert len(expected) == task.answer
            assert one[2 + task.num_key_tokens :] == expected
            due += expected
            if q == 0:
                place = next(t for t, k, _ in told if k == key)
                assert batch.factors["depth"][i] == place * 10 // task.room
                start = place + 2 + task.num_key_tokens
                assert batch.factors["gap"][i] == task.room - start
        assert [y for y in batch.targets[i].tolist() if y != NO] == due
        hay = len(row[: task.room]) - task.num_facts * task.width
        assert sum(x in ids["hay"] for x in row) == hay
        if task.haystack == "needles":
            assert hay < task.width
    assert np.array_equal(np.where(batch.mask, task.oracle(batch.inputs), NO), batch.targets)


def test_depths_are_uniform() -> None:
    """One fact: its place is uniform over all positions that there are."""
    task = Needle(length=40, num_keys=1, num_value_tokens=3)
    places = [facts(task, row)[0][0] for row in task.generate(range(5000)).inputs.tolist()]
    free = task.room - task.width + 1
    assert stats.chisquare(np.bincount(places, minlength=free)).pvalue > 1e-4


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("num", [1, 4])
def test_a_fixed_depth(fraction: float, num: int) -> None:
    """So much of the hay is ahead of the fact asked for, whatever the other facts do."""
    task = Needle(depth="fixed", depth_fraction=fraction, num_keys=num)
    hay = task.vocabulary["hay"]
    free = task.room - task.num_facts * task.width
    for row in task.generate(range(100)).inputs.tolist():
        key = tuple(row[task.room + 1 : task.room + 3])
        place = next(t for t, k, _ in facts(task, row) if k == key)
        ahead = sum(x in hay for x in row[:place])
        assert ahead == int(fraction * free + 0.5)


@pytest.mark.parametrize(
    "fields", [{"num_keys": 1}, {"num_keys": 2, "num_values": 2, "num_queries": 2, "length": 180}]
)
def test_depths_on_a_grid(fields: dict[str, Any]) -> None:
    """All facts are at different levels of the 40; the first one asked for is told by its five."""
    task = Needle(depth="grid", **fields)
    hay, free = task.vocabulary["hay"], task.free
    level_at = {int(level * free / 100 + 0.5): i for i, level in enumerate(LEVELS.tolist())}
    assert len(level_at) == 40
    asked = np.zeros(40, np.int64)
    batch = task.generate(range(3000), "test")
    for row, depth in zip(batch.inputs.tolist(), batch.factors["depth"].tolist(), strict=True):
        told = facts(task, row)
        ahead = [sum(x in hay for x in row[:t]) for t, _, _ in told]
        assert len(set(ahead)) == len(ahead)
        assert set(ahead) <= set(level_at)
        key = tuple(row[task.room + 1 : task.room + 3])
        mine = next(i for i, (_, k, _) in enumerate(told) if k == key)
        asked[level_at[ahead[mine]]] += 1
        assert depth == level_at[ahead[mine]] // 5
    assert set(batch.factors["depth"]) == set(range(8))
    if task.num_facts == 1:
        assert stats.chisquare(asked).pvalue > 1e-4
    assert LEVELS[[0, 1, 2, 3, 20, 38, 39]].tolist() == [0, 3, 5, 8, 51, 97, 100]


@pytest.mark.parametrize("free", [50, 51, 70, 99, 100, 4000])
def test_a_level_is_known_by_its_gap(free: int) -> None:
    gaps = at_levels(keys(300), 3, 40, free)
    assert (np.sort(gaps, axis=1)[:, [0, -1]] == [0, free]).all()
    for column in gaps.T:
        levels = LEVELS[level_of(column, free)]
        assert np.array_equal((2 * levels * free + 100) // 200, column)
    assert sorted(level_of(gaps[0], free).tolist()) == list(range(40))


def test_which_fact_is_asked_for_is_uniform() -> None:
    """By rank in the text, also where no hay lies between the facts."""
    for task in (Needle(), Needle(haystack="needles", num_keys=1)):
        ranks = []
        for row in task.generate(range(3000)).inputs.tolist():
            key = tuple(row[task.room + 1 : task.room + 3])
            ranks.append([k for _, k, _ in facts(task, row)].index(key))
        assert stats.chisquare(np.bincount(ranks, minlength=task.num_facts)).pvalue > 1e-4


def test_hay_follows_zipfs_law() -> None:
    drawn = straw(keys(300), 3, 200, range(7, 27), zipf=1.5) - 7
    law = np.arange(1, 21) ** -1.5
    counts = np.bincount(drawn.ravel(), minlength=20)
    assert stats.chisquare(counts, law / law.sum() * counts.sum()).pvalue > 1e-4
    plain = np.bincount(straw(keys(300), 3, 200, range(20), zipf=0.0).ravel(), minlength=20)
    assert stats.chisquare(plain).pvalue > 1e-4
    many = straw(keys(30), 3, 3000, range(4096), zipf=1.0)
    assert many.min() == 0
    assert 4000 < many.max() < 4096
    assert set(straw(keys(3), 3, 9, range(4, 5), zipf=1.0).ravel().tolist()) == {4}


def test_words_of_hay_are_those_below_their_limits() -> None:
    """The table's short cut against a search through the whole law."""
    law = np.cumsum(np.arange(1.0, 513) ** -1.0)
    limits = (law / law[-1] * 2.0**53).astype(rng.U) << rng.U(11)
    expected = np.searchsorted(limits[:-1], rng.words(keys(50), 3, 400), side="right")
    assert (straw(keys(50), 3, 400, range(512), zipf=1.0) == expected).mean() > 0.9999


def test_different_words_differ() -> None:
    assert prefix(10, 7) == 7
    assert prefix(16, 32) == 8
    assert prefix(2**20, 3) == 1
    found = different(keys(500), 1, 6, 3, 2)
    assert all(len(set(map(tuple, row))) == 6 for row in found.tolist())
    assert stats.chisquare(np.bincount(found[:, 2] @ np.array([4, 2, 1]))).pvalue > 1e-4
    long = different(keys(500), 1, 5, 40, 2)
    assert long.shape == (500, 5, 40)
    assert all(len({tuple(w[:32]) for w in row}) == 5 for row in long.tolist())
    assert stats.binomtest(int(long[:, 0, 39].sum()), 500).pvalue > 1e-4


@pytest.mark.parametrize("fields", FORMS[:4], ids=str)
def test_copying_any_fact_scores_the_floor(fields: dict[str, Any]) -> None:
    task = Needle.model_validate(fields)
    batch = task.generate(range(3000), "test")
    chosen = rng.integers(keys(3000), 9, 1, task.num_facts)[:, 0].tolist()
    right = []
    for row, targets, fact in zip(batch.inputs.tolist(), batch.targets, chosen, strict=True):
        value = np.array(facts(task, row)[fact][2])
        due = targets[targets != NO].reshape(-1, task.num_value_tokens)
        right.append((due == value).mean())
    expected = task.floors["value of any fact"]
    assert np.mean(right) == pytest.approx(expected, abs=4 * np.std(right) / 3000**0.5 + 1e-9)


def test_ruler_like_settings() -> None:
    expected = {
        "single-1": ("filler", 1, 1, 1, 7),
        "single-2": ("random", 1, 1, 1, 7),
        "single-3": ("random", 1, 1, 1, 32),
        "multikey-1": ("random", 4, 1, 1, 7),
        "multikey-2": ("needles", 1, 1, 1, 7),
        "multikey-3": ("needles", 1, 1, 1, 32),
        "multivalue": ("random", 1, 4, 1, 7),
        "multiquery": ("random", 4, 1, 4, 7),
    }
    for name, setting in expected.items():
        task = tasks.preset(f"ruler-niah-{name}")
        assert isinstance(task, Needle)
        numbers = (task.num_keys, task.num_values, task.num_queries, task.num_value_tokens)
        assert (task.haystack, *numbers) == setting
        assert task.length == 4096
    by_depth = tasks.preset("ruler-niah-single-2-depths").to_dict()
    assert by_depth == tasks.preset("ruler-niah-single-2").to_dict() | {"depth": "grid"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_queries": 5}, "num_queries=5 exceeds num_keys=4: needs <= 4"),
    ({"length": 57}, "length=57 is too short for facts and questions: needs >= 58"),
    (
        {"num_key_ids": 2, "num_key_tokens": 3},
        "num_key_ids=2 and num_key_tokens=3 make too few keys for 4: needs >= 16",
    ),
    ({"depth": "fixed", "num_queries": 2}, "depth=fixed needs num_queries=1, num_values=1 and a"),
    ({"depth": "fixed", "haystack": "needles"}, "depth=fixed needs .* other than needles"),
    (
        {"depth": "grid", "haystack": "needles"},
        "depth=grid has no room for 9 facts: needs a haystack other than needles, and num_keys",
    ),
    ({"depth": "grid", "num_keys": 41, "length": 4096}, r"no room for 41 facts: .* <= 40"),
    (
        {"depth": "grid", "length": 100},
        "length=100 leaves 42 positions for 40 levels of depth=grid: needs >= 108",
    ),
    ({"depth_fraction": 1.5}, r"depth_fraction: .*less than or equal to 1, got 1.5"),
    ({"haystack": "essay"}, r"haystack: .*'filler', 'random' or 'needles', got 'essay'"),
    ({"num_values": 0}, r"num_values: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("needle", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"length": 58},
        {"num_key_ids": 2, "num_key_tokens": 4},
        {"num_key_ids": 16, "num_key_tokens": 64, "length": 500},
        {"num_keys": 1, "num_key_tokens": 1, "num_value_tokens": 1, "length": 8},
    ],
    ids=str,
)
def test_limits_are_reached(fields: dict[str, Any]) -> None:
    task = tasks.make_task("needle", **fields)
    batch = task.generate(range(40), "test")
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()


def test_set_recall_counts_values_in_any_order() -> None:
    task = Needle(num_values=3, num_keys=2, num_value_tokens=2)
    batch = task.generate(range(50), "test")
    right = batch.targets[batch.mask].reshape(50, 3, 2)
    assert len(np.unique(right[0], axis=0)) == 3
    for order, score in (((0, 1, 2), 1), ((2, 0, 1), 1), ((1, 1, 1), 1 / 3), ((0, 2, 2), 2 / 3)):
        written = right[:, list(order)].reshape(50, 6)
        assert task.accepts(batch, written)[0] == pytest.approx(score)
    wrong = right[:, [2, 0, 1]].copy()
    wrong[:, :, 1] = task.vocabulary["hay"].start
    assert not task.accepts(batch, wrong.reshape(50, 6)).any()
    assert task.writings.keys() == {"set_recall"}
    assert not Needle().writings
    assert not Needle(num_values=2, num_queries=2, length=200).writings
