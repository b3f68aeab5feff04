"""n-gram look-up: both layouts, unique questions, uniform starts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.ngram_lookup import NgramLookup

NO = -100
GIVEN = {"letters": np.array([[5, 6, 7, 8, 5, 9]]), "start": np.array([[1]])}


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def test_the_question_behind() -> None:
    task = NgramLookup(num_tokens=6, gram=2, answer_tokens=2)
    batch = task.render(GIVEN, keys(1), "test")
    assert batch.inputs.tolist() == [[0, 5, 6, 7, 8, 5, 9, 1, 6, 7, 8]]
    assert batch.targets.tolist() == [[NO] * 9 + [8, 5]]
    assert batch.spans is not None
    assert batch.spans.tolist() == [[-1] * 9 + [0, 0]]
    assert batch.factors["start"].tolist() == [1]


def test_the_question_before() -> None:
    task = NgramLookup(side="prefix", num_tokens=6, gram=2, answer_tokens=2)
    batch = task.render(GIVEN, keys(1), "test")
    assert batch.inputs.tolist() == [[0, 6, 7, 1, 5, 6, 7, 8, 5, 9, 1, 8]]
    assert batch.targets.tolist() == [[NO] * 10 + [8, 5]]


@pytest.mark.parametrize("side", ["suffix", "prefix"])
@pytest.mark.parametrize("gram", [1, 2, 4])
def test_the_question_stands_once(side: str, gram: int) -> None:
    task = tasks.make_task("ngram-lookup", side=side, gram=gram, num_tokens=20, num_letters=40)
    for row, out in zip(*(a.tolist() for a in arrays(task, 300)), strict=True):
        text = "".join(chr(200 + x) for x in row)
        string, asked = (text[gram + 2 :], text[1 : gram + 1])
        if side == "suffix":
            string, asked = text[1:21], text[22 : 22 + gram]
        assert string[:20].count(asked) == 1
        due = "".join(chr(200 + y) for y in out if y != NO)
        assert string[:20].split(asked)[1].startswith(due)
        assert len(due) == 5


def arrays(task: tasks.Task, num: int) -> tuple[np.ndarray, np.ndarray]:
    batch = task.generate(range(num), "test")
    return batch.inputs, batch.targets


def test_starts_and_letters_are_uniform() -> None:
    task = NgramLookup(num_tokens=12, gram=2, answer_tokens=3)
    drawn = task.draw(keys(6000), "train")
    counts = np.bincount(drawn["start"][:, 0], minlength=8)
    assert counts.size == 8 == task.starts
    assert stats.chisquare(counts).pvalue > 1e-4
    assert stats.chisquare(np.bincount(drawn["letters"].reshape(-1))[2:]).pvalue > 1e-4


def test_sides_ask_the_same_strings() -> None:
    suffix, prefix = (NgramLookup(side=side) for side in ("suffix", "prefix"))
    assert (suffix.context.length, prefix.context.length) == (59, 60)
    assert tasks.preset("ngram-lookup-prefix-cpu").context.length == 26


REFUSED = [
    ({"num_tokens": 7}, "num_tokens=7 is too short for gram=3 and answer_tokens=5: needs >= 8"),
    ({"gram": 1}, r"gram=1 with num_letters=26: hardly any string of 50 .* num_letters >= "),
    ({"side": "middle"}, "side: .*'suffix' or 'prefix', got 'middle'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("ngram-lookup", **fields)
