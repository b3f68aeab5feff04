"""String copying: layouts, strings without repetitions, and the guess by the last letter."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import letters, rng
from tasks.batch import Batch
from tasks.string_copy import END, StringCopy

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def content(*strings: list[int], width: int = 6) -> dict[str, np.ndarray]:
    padded = [[*s, *[0] * (width - len(s))] for s in strings]
    return {
        "lengths": np.array([[len(s) for s in strings]]),
        "letters": np.array([[x for s in padded for x in s]]),
    }


def test_one_string() -> None:
    task = StringCopy(min_tokens=3, num_tokens=6)
    batch = task.render(content([5, 9, 5]), keys(1), "test")
    assert batch.inputs.tolist() == [[1, 5, 9, 5, 2, 5, 9, 5, *[0] * 6]]
    assert batch.targets.tolist() == [[NO, NO, NO, NO, 5, 9, 5, END, *[NO] * 6]]
    assert batch.lengths.tolist() == [8]
    assert batch.spans is not None
    assert batch.spans.tolist() == [[-1] * 4 + [0] * 4 + [-1] * 6]
    assert batch.factors["num_tokens"].tolist() == [3]


def test_backwards_and_the_beginning_only() -> None:
    palindrome = StringCopy(min_tokens=3, num_tokens=6, reverse=True)
    batch = palindrome.render(content([5, 9, 7]), keys(1), "test")
    assert batch.inputs[0, :8].tolist() == [1, 5, 9, 7, 2, 7, 9, 5]
    assert batch.targets[0, :8].tolist() == [NO] * 4 + [7, 9, 5, END]
    start = StringCopy(min_tokens=3, num_tokens=6, answer_tokens=2)
    batch = start.render(content([5, 9, 7]), keys(1), "test")
    assert batch.inputs[0, :7].tolist() == [1, 5, 9, 7, 2, 5, 9]
    assert batch.targets[0, :7].tolist() == [NO] * 4 + [5, 9, END]


def test_a_packed_window() -> None:
    """Two strings fit in 19 positions, the third is cut and not scored."""
    task = StringCopy(min_tokens=1, num_tokens=6, packed=19)
    batch = task.render(content([5, 9], [8, 8, 6], [7, 4]), keys(1), "train")
    assert batch.inputs.tolist() == [[1, 5, 9, 2, 5, 9, 3, 1, 8, 8, 6, 2, 8, 8, 6, 3, 1, 7, 4]]
    scored = [*[NO] * 3, 5, 9, END, *[NO] * 5, 8, 8, 6, END, *[NO] * 4]
    assert batch.targets.tolist() == [scored]
    assert batch.spans is not None
    assert batch.spans[0, [2, 3, 5, 10, 11, 14, 15]].tolist() == [-1, 0, 0, -1, 1, 1, -1]
    assert batch.lengths.tolist() == [19]


def plain(task: StringCopy, batch: Batch) -> np.ndarray:
    """The targets of a packed window, from its text."""
    expected = np.full(batch.targets.shape, NO)
    for row, out in zip(batch.inputs.tolist(), expected, strict=True):
        t = 0
        while t < len(row):
            middle, num = row.index(2, t) if 2 in row[t:] else len(row), 0
            num = middle - t - 1
            end = middle + num + 1
            if end >= len(row):
                break
            assert row[middle + 1 : end] == row[t + 1 : middle]
            assert row[end] == END
            out[middle:end] = [*row[t + 1 : middle], END]
            t = end + 1
    return expected


def test_every_window_by_its_text() -> None:
    task = StringCopy(packed=120)
    batch = task.generate(range(200))
    assert (batch.inputs > 0).all()
    assert np.array_equal(plain(task, batch), batch.targets)
    assert (batch.mask.sum(axis=1) > 20).all()


def test_test_strings_may_be_longer() -> None:
    task = StringCopy(test_tokens=40)
    assert task.context.length == 82
    assert set(task.generate(range(300), "test").factors["num_tokens"]) == {40}
    for split in ("train", "validation"):
        counts = Counter(task.generate(range(3000), split).factors["num_tokens"].tolist())
        assert sorted(counts) == list(range(5, 21))
        assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_letters_are_uniform() -> None:
    drawn = StringCopy(num_letters=7, packed=100).draw(keys(3000), "train")["letters"]
    counts = np.bincount(drawn.reshape(-1))[4:]
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_letters_return(size: int) -> None:
    task = StringCopy(num_letters=12, min_tokens=4, num_tokens=8, unique_groups=size)
    batch = task.generate(range(400))
    for row, num in zip(batch.inputs.tolist(), batch.factors["num_tokens"].tolist(), strict=True):
        text = row[1 : 1 + num]
        groups = [tuple(text[i : i + size]) for i in range(num - size + 1)]
        assert len(set(groups)) == len(groups)


def test_strings_without_repetitions_are_uniform() -> None:
    """All 24 strings of 3 different letters of 4, and those whose two pairs differ."""
    for size, num in ((1, 24), (2, 64 - 4)):
        lengths = np.full((12_000, 1), 3)
        found = letters.strings(keys(12_000), 1, lengths, 3, (4, size))[:, 0]
        counts = Counter(map(tuple, found.tolist()))
        assert len(counts) == num
        assert stats.chisquare(list(counts.values())).pvalue > 1e-4


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_group_of_letters_returns(repeats: int) -> None:
    """Among so many letters no other does as often; groups side by side make some that return."""
    task = StringCopy(num_letters=2**20, min_tokens=9, num_tokens=14, repeats=repeats)
    batch = task.generate(range(500), "test")
    for row, num in zip(batch.inputs.tolist(), batch.factors["num_tokens"].tolist(), strict=True):
        text = row[1 : 1 + num]
        again = Counter(tuple(text[i : i + 3]) for i in range(num - 2))
        *others, most = sorted(again.values())
        assert max(others) <= repeats < most == 1 + repeats
        assert row[2 + num : 2 + 2 * num] == text
    assert np.array_equal(task.oracle(batch.inputs)[batch.mask], batch.targets[batch.mask])


def test_places_of_groups_are_uniform() -> None:
    """Two groups of two letters fit into six in six ways, into five in three."""
    for num, ways in ((6, 6), (5, 3)):
        lengths = np.full((6000, 1), num)
        text = np.broadcast_to(np.arange(7), (6000, 1, 7))
        found = letters.plant(text, lengths, keys(6000), 3, (1, 2))[:, 0]
        counts = Counter(map(tuple, found.tolist()))
        assert all((np.array(row) != np.arange(7)).sum() == 2 for row in counts)
        assert all(row[num:] == tuple(range(num, 7)) for row in counts)
        assert len(counts) == ways
        assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_windows_hold_strings_with_repetitions() -> None:
    task = StringCopy(packed=120, min_tokens=6, repeats=1)
    batch = task.generate(range(100))
    assert np.array_equal(plain(task, batch), batch.targets)
    for row in batch.inputs.tolist():
        for start in (t for t, token in enumerate(row) if token == 1 and 2 in row[t:]):
            text = row[start + 1 : row.index(2, start)]
            groups = [tuple(text[i : i + 3]) for i in range(len(text) - 2)]
            assert len(set(groups)) < len(groups)


def test_slices_of_repetitions() -> None:
    """A task of plain strings is tested on those with repetitions besides."""
    task = tasks.preset("jelassi-string-copy-repeats")
    slices = task.test_slices()
    assert list(slices) == [f"repeat_tokens={n}" for n in (1, 2, 3, 5, 8)]
    for size, other in zip((1, 2, 3, 5, 8), slices.values(), strict=True):
        assert other.context == task.context
        batch = other.generate(range(50), "test")
        assert set(batch.factors["num_tokens"]) == {20}
        for row in batch.inputs[:, 1:21].tolist():
            groups = [tuple(row[i : i + size]) for i in range(21 - size)]
            assert len(set(groups)) < len(groups)
    assert StringCopy().test_slices() == {}


def guess(row: list[int], split: int) -> list[int]:
    """What followed the last letter written where it stood first; the beginning at first."""
    text = [*row[1:split], END]
    return [text[0], *(text[text.index(x) + 1] for x in row[split + 1 : 2 * split] if x)]


@pytest.mark.parametrize(
    "fields", [{}, {"num_letters": 4}, {"answer_tokens": 3}, {"test_tokens": 9}]
)
def test_the_floor(fields: dict) -> None:
    task = StringCopy.model_validate(fields)
    batch = task.generate(range(4000), "test")
    right, total = 0, 0
    for row, out in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        due = [y for y in out if y != NO]
        answers = guess(row, row.index(2))[: len(due)]
        right += sum(a == b for a, b in zip(answers, due, strict=True))
        total += len(due)
    sigma = (0.25 / total) ** 0.5
    assert abs(right / total - (task.floor or 0)) < 4 * sigma


def test_published_settings() -> None:
    task = tasks.preset("jelassi-string-copy")
    assert task.to_dict()["packed"] == 220
    assert (task.context.length, task.context.num_inputs) == (220, 30)
    assert tasks.preset("string-copy-cpu").to_dict()["test_tokens"] == 40


REFUSED = [
    ({"min_tokens": 21}, "min_tokens=21 exceeds num_tokens=20: needs <= 20"),
    ({"answer_tokens": 6}, "answer_tokens=6 exceeds the shortest string: needs <= 5"),
    ({"packed": 42}, "packed=42 does not hold a string of num_tokens=20: needs >= 43"),
    ({"unique_groups": 1, "num_letters": 19}, r"unique_groups=1 with .*num_letters >= 35"),
    ({"unique_groups": 14}, r"unique_groups=14 with num_letters=26 exceeds 2\^62 .* <= 13"),
    (
        {"repeats": 1, "unique_groups": 3},
        "repeats=1 plants what unique_groups=3 rules out: needs one of them at 0",
    ),
    (
        {"repeats": 2},
        "repeats=2 of repeat_tokens=3 do not fit into strings of 5 letters: needs .* >= 9",
    ),
    (
        {"test_repeats": (2, 11), "test_tokens": 20},
        r"test_repeats=\(2, 11\): repeats=1 of repeat_tokens=11 do not fit .* >= 22",
    ),
    ({"num_letters": 1}, "num_letters: .*greater than or equal to 2, got 1"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("string-copy", **fields)
