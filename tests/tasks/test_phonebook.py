"""Phonebook: the worked example, and what knowing the numbers alone is worth."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.phonebook import Phonebook

NO = -100
ANY = "digits of any number in the book"


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_worked_example() -> None:
    """(n1: 4 2)(n2: 4 9), query n2: 4, then 9."""
    task = Phonebook(num_entries=2, num_first=2, num_last=2, num_digits=2, num_examples=0)
    given = {
        "names": np.array([[0, 3]]),
        "digits": np.array([[4, 2, 4, 9]]),
        "asked": np.array([[1]]),
    }
    batch = task.render(given, keys(1), "test")
    first = [12, 14, 0, 6, 4, 1]
    assert batch.inputs.tolist() == [[*first, 13, 15, 0, 6, 11, 1, 13, 15, 0, 6]]
    assert batch.targets.tolist() == [[NO] * 14 + [6, 11]]
    assert {name: x.tolist() for name, x in batch.factors.items()} == {"entry": [1], "alike": [0]}


def test_examples_are_entries_again() -> None:
    task = Phonebook(num_entries=3, num_first=2, num_last=2, num_digits=1, num_examples=1)
    batch = task.generate(range(200))
    for row, out in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        entries = [tuple(row[i : i + 5]) for i in range(0, 20, 5)]
        assert entries[3] in entries[:3]
        asked = [e for e in entries[:3] if e[:2] == tuple(row[20:22])]
        assert len(asked) == 1
        assert asked[0] != entries[3]
        assert out[22] == asked[0][3]


def test_the_entry_asked_is_uniform() -> None:
    batch = Phonebook().generate(range(4000))
    assert stats.chisquare(np.bincount(batch.factors["entry"], minlength=20)).pvalue > 1e-4


def test_names_alike_are_counted() -> None:
    task = Phonebook(num_first=4, num_last=9)
    batch = task.generate(range(100))
    for row, alike in zip(batch.inputs.tolist(), batch.factors["alike"].tolist(), strict=True):
        names = [tuple(row[i : i + 2]) for i in range(0, 20 * 11, 11)]
        one = tuple(row[task.due - 2 : task.due])
        assert alike == sum(n != one and (n[0] == one[0] or n[1] == one[1]) for n in names)


SHARING = Phonebook(
    num_entries=12, num_first=4, num_last=9, num_digits=2, shared_first=0.5, num_examples=3
)


def test_a_first_name_is_shared() -> None:
    """Six of the eleven other entries have it; all names differ; every entry is asked for."""
    batch = SHARING.generate(range(3000))
    width, entries, lasts, firsts = 6, Counter(), Counter(), Counter()
    for row in batch.inputs.tolist():
        names = [tuple(row[i : i + 2]) for i in range(0, 12 * width, width)]
        one = tuple(row[SHARING.due - 2 : SHARING.due])
        assert len(set(names)) == 12
        assert sum(name[0] == one[0] for name in names) == 7
        entries.update([names.index(one)])
        firsts.update([one[0]])
        lasts.update(name[1] for name in names if name[0] != one[0])
    for counts in (entries, firsts, lasts):
        assert stats.chisquare(list(counts.values())).pvalue > 1e-4
    assert np.array_equal(SHARING.oracle(batch.inputs)[batch.mask], batch.targets[batch.mask])
    assert [len(entries), len(firsts), len(lasts)] == [12, 4, 9]


def test_places_of_shared_names_are_uniform() -> None:
    drawn = SHARING.draw(keys(4000), "train")
    asked = drawn["asked"][:, -1]
    first = drawn["names"] // 9
    same = first == first[np.arange(4000), asked][:, None]
    shares = np.array([same[asked != i, i].mean() for i in range(12)])
    assert np.abs(shares - 6 / 11).max() < 4 * 0.5 / 3600**0.5
    assert len(np.unique(drawn["names"])) == 36


FREE = Phonebook(num_entries=12, num_first=4, num_last=9, num_digits=2, num_examples=3)


@pytest.mark.parametrize("task", [SHARING, FREE], ids=["shared", "free"])
@pytest.mark.parametrize("by", [0, 1])
def test_one_name_alone_scores_its_floor(by: int, task: Phonebook) -> None:
    """The likeliest next digit of the numbers that begin so under this first or last name."""
    batch = task.generate(range(3000), "test")
    right = 0
    for row, out in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        shown = [row[i : i + 6] for i in range(0, 15 * 6, 6)]
        again = [entry[:2] for entry in shown[12:]]
        name = row[task.due - 2 + by]
        near = [e[3:5] for e in shown[:12] if e[:2] not in again and e[by] == name]
        for j in range(2):
            written = row[task.due + 1 : task.due + 1 + j]
            digits = Counter(n[j] for n in near if n[:j] == written)
            right += digits.most_common(1)[0][0] == out[task.due + j]
    expected = list(task.floors.values())[1 + by]
    assert abs(right / 6000 - expected) < 4 * (0.25 / 6000) ** 0.5
    assert task.floor == max(task.floors.values()) < 1


@pytest.mark.parametrize(("entries", "digits", "examples"), [(8, 2, 2), (20, 7, 0), (20, 3, 5)])
def test_numbers_without_names(entries: int, digits: int, examples: int) -> None:
    """The likeliest next digit of the numbers that begin so, those of the examples left out."""
    task = Phonebook(num_entries=entries, num_digits=digits, num_examples=examples)
    batch = task.generate(range(1500), "test")
    width = digits + 4
    right = 0
    for row, out in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        shown = [row[i : i + width] for i in range(0, (entries + examples) * width, width)]
        again = [tuple(e[:2]) for e in shown[entries:]]
        numbers = [e[3:-1] for e in shown[:entries] if tuple(e[:2]) not in again]
        for j in range(digits):
            written = row[task.due + 1 : task.due + 1 + j]
            near = Counter(n[j] for n in numbers if n[:j] == written)
            right += near.most_common(1)[0][0] == out[task.due + j]
    total = 1500 * digits
    assert abs(right / total - task.floors[ANY]) < 4 * (0.25 / total) ** 0.5


def test_the_floor_of_the_known_sizes() -> None:
    for entries, known in ((20, 0.807), (100, 0.7226), (600, 0.62415)):
        task = Phonebook(num_entries=entries, num_examples=0 if entries < 600 else 2)
        assert task.floors[ANY] == pytest.approx(known, abs=0.002)


@pytest.mark.parametrize("by", [0, 1])
def test_a_name_alone_among_few_entries(by: int) -> None:
    """Eight entries of 256 names: hardly another one has the name, as is drawn here."""
    task, gen = tasks.preset("phonebook-cpu"), np.random.default_rng(7)
    right, num = 0.0, 4000
    for _ in range(num):  # the first one is asked for, those of the last two are examples
        names = gen.permutation(256)[:6]
        names = names // 16 if by == 0 else names % 16
        digits = gen.integers(0, 10, (6, 2))[names == names[0]]
        begun = digits[digits[:, 0] == digits[0, 0]]
        for column in (digits[:, 0], begun[:, 1]):
            right += np.bincount(column).argmax() == column[0]
    found = list(task.floors.values())[1 + by]
    assert found == pytest.approx(0.9324, abs=1e-4)
    assert abs(right / 2 / num - found) < 4 * (0.1 / 2 / num) ** 0.5


EDGES: list[dict[str, Any]] = [  # names that all are used up, or none is left of
    {"num_entries": 4, "num_first": 1, "num_last": 8, "shared_first": 1.0},
    {"num_entries": 5, "num_first": 2, "num_last": 3, "shared_first": 0.5},
    {"num_entries": 6, "num_first": 2, "num_last": 3, "shared_first": 0.4},
    {"num_entries": 1, "num_first": 1, "num_last": 1},
    {"num_entries": 6, "num_first": 2, "num_last": 3},
]


@pytest.mark.parametrize("fields", EDGES, ids=str)
def test_floors_of_every_accepted_size(fields: dict[str, Any]) -> None:
    for digits in (1, 2):
        task = tasks.make_task("phonebook", num_digits=digits, num_examples=0, **fields)
        assert all(0.1 < floor <= 1 for floor in task.floors.values())


def test_floors_of_large_books_take_no_time() -> None:
    start = time.perf_counter()
    task = Phonebook(num_entries=600, num_last=400, shared_first=0.5)
    assert list(task.floors.values()) == pytest.approx([0.62415, 0.66057, 0.95766], abs=1e-5)
    assert time.perf_counter() - start < 2


def test_the_least_share_gives_one_entry() -> None:
    for num in range(2, 4097):
        with pytest.raises(ValueError, match=r"shared_first=1e-06 of .* rounds to none") as error:
            Phonebook(num_entries=num, num_examples=0, shared_first=1e-6)
        least = float(str(error.value).split("needs >= ")[1].split(",")[0])
        found = Phonebook(num_entries=num, num_examples=0, shared_first=least, num_last=128)
        assert found.num_shared == 1


REFUSED = [
    ({"num_first": 2, "num_last": 3}, "num_entries=20 exceeds the 6 names .*needs <= 6"),
    ({"num_examples": 20}, "num_examples=20 leaves no entry .*needs <= 19"),
    (
        {"shared_first": 1.0, "num_last": 19},
        "shared_first=1.0 gives 20 entries one first name: needs num_last >= 20",
    ),
    (
        {"shared_first": 0.5, "num_last": 11, "num_entries": 21, "num_first": 1},
        "num_entries=21 exceeds the 11 names .*; shared_first=0.5 leaves 10 .* num_first >= 2",
    ),
    (
        {"num_entries": 8, "shared_first": 0.01},
        "shared_first=0.01 of the 7 other entries of num_entries=8 rounds to none: "
        "needs >= 0.071429, or 0 for names drawn freely",
    ),
    (
        {"num_entries": 1, "num_examples": 0, "shared_first": 0.5},
        "shared_first=0.5 has no other entry .*: needs num_entries >= 2, or shared_first=0",
    ),
    ({"num_digits": 0}, "num_digits: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("phonebook", **fields)
