"""Dyck words: layouts, laws of shape and type, floors by trivial predictors, what is refused."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks._loops.dyck import exchange, words
from tasks.batch import Batch
from tasks.dyck import Dyck, opening
from tasks.lengths import pack

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def sample(task: Dyck, num: int) -> Batch:
    some = keys(num)
    return task.render(task.draw(some, "test"), some, "test")


def ids(text: str) -> list[int]:
    return ["([)]".index(c) for c in text]


def shown(task: Dyck, text: str) -> list[int]:
    content = {"tokens": pack(np.array([ids(text)]), 4), "label": np.array([[1]])}
    return task.render(content, keys(1), "train").targets[0].tolist()


def test_the_targets_of_a_word() -> None:
    word = "([]())[]"
    close = Dyck(length=8, max_depth=2)
    assert shown(close, word) == [NO, 3, NO, 2, 2, NO, 3, NO]
    legal = Dyck(length=8, max_depth=2, target="legal")
    assert shown(legal, word) == [1, 4, 1, 3, 1, 0, 2, 0]
    assert legal.context.num_outputs == 5
    deep = Dyck(length=8, max_depth=3, target="legal")
    assert shown(deep, word) == [1, 2, 1, 1, 1, 0, 2, 0]
    assert close.vocabulary == {"open": range(2), "close": range(2, 4)}


def reduced(text: str) -> str:
    """What is left when neighbours that match are crossed out, again and again."""
    before = ""
    while before != text:
        before, text = text, text.replace("()", "").replace("[]", "")
    return text


@pytest.mark.parametrize("uniform", [False, True])
def test_words_are_balanced_and_not_too_deep(uniform: bool) -> None:
    batch = sample(Dyck(length=24, max_depth=3, uniform=uniform), 300)
    depth = np.cumsum(np.where(batch.inputs < 2, 1, -1), axis=1)
    assert depth.max() == 3
    assert np.array_equal(depth.max(axis=1), batch.factors["depth"])
    for row in batch.inputs:
        assert reduced("".join("([)]"[x] for x in row)) == ""


def test_half_of_the_words_are_not_balanced() -> None:
    task = Dyck(length=20, max_depth=5, target="acceptance")
    batch = sample(task, 2000)
    assert batch.targets.shape == (2000,)
    assert stats.binomtest(int(batch.targets.sum()), 2000).pvalue > 1e-4
    for row, label in zip(batch.inputs, batch.targets, strict=True):
        text = "".join("([)]"[x] for x in row)
        assert (reduced(text) == "") == label
        assert text.count("(") == text.count(")")
        assert text.count("[") == text.count("]")
        assert set(text) == set("([)]"), "types are mixed, or nothing could be exchanged"


def test_an_exchange_is_uniform() -> None:
    """Of ()[]{}: each closing bracket is the first of the two, then each of the others."""
    tokens = np.tile([0, 3, 1, 4, 2, 5], (6000, 1)).astype(np.uint8)
    exchange(keys(6000), 3, 4, tokens)
    counts = Counter(map(tuple, tokens[:, 1::2].tolist()))
    assert sorted(counts) == [(3, 5, 4), (4, 3, 5), (5, 4, 3)]
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def walks(length: int, most: int) -> list[tuple[int, ...]]:
    every = product((1, -1), repeat=length)
    depths = [(x, np.cumsum(x)) for x in every]
    return [x for x, d in depths if d.min() >= 0 and d.max() <= most and d[-1] == 0]


def probability(walk: tuple[int, ...], most: int, p_open: float) -> float:
    depth, total = 0, 1.0
    for t, step in enumerate(walk):
        left = len(walk) - t
        share = 1.0 if depth == 0 else 0.0 if depth == most or left == depth else p_open
        total *= share if step > 0 else 1 - share
        depth += step
    return total


@pytest.mark.parametrize("uniform", [False, True])
def test_the_law_of_shapes(uniform: bool) -> None:
    task = Dyck(length=10, max_depth=3, uniform=uniform, p_open=0.4)
    every = walks(10, 3)
    law = [1 / len(every) if uniform else probability(x, 3, 0.4) for x in every]
    assert sum(law) == pytest.approx(1)
    shapes = np.where(sample(task, 8000).inputs < 2, 1, -1)
    counts = Counter(map(tuple, shapes.tolist()))
    assert set(counts) <= set(every)
    expected = np.array(law) * 8000
    assert stats.chisquare([counts[x] for x in every], expected).pvalue > 1e-4
    assert task.num_contents == min(2**48 - 1, 2**5 * len(every))


def test_types_are_uniform() -> None:
    opened = sample(Dyck(length=12, max_depth=6, num_types=3), 3000).inputs
    first = opened[opened < 3].reshape(3000, 6)
    for i in range(6):
        assert stats.chisquare(np.bincount(first[:, i], minlength=3)).pvalue > 1e-4


@pytest.mark.parametrize(
    "fields", [{}, {"p_open": 0.3, "max_depth": 2}, {"uniform": True}, {"num_types": 1}], ids=str
)
def test_chance_of_the_legal_tokens(fields: dict) -> None:
    task = Dyck(**{"length": 20, "max_depth": 4, "target": "legal", **fields})
    batch = sample(task, 5000)
    share = np.bincount(batch.targets.ravel()).max() / batch.targets.size
    assert share == pytest.approx(task.chance, abs=0.008)


@pytest.mark.parametrize("fields", [{}, {"num_types": 5, "uniform": True}, {"max_depth": 1}])
def test_the_type_of_the_last_opening_bracket_scores_its_floor(fields: dict) -> None:
    task = Dyck(**{"length": 30, **fields})
    batch, num = sample(task, 4000), task.num_types
    places = np.where(batch.inputs < num, np.arange(30), -1)
    last = np.maximum.accumulate(places, axis=1)
    guess = np.take_along_axis(batch.inputs, last, axis=1) + num
    share = (guess == batch.targets)[batch.mask].mean()
    (floor,) = task.floors.values()
    assert abs(share - floor) < 4.5 * (0.25 / 4000 / 4) ** 0.5
    assert (floor == 1) == (task.max_depth == 1)


@pytest.mark.parametrize("fields", [{}, {"num_types": 4, "length": 8, "max_depth": 4}], ids=str)
def test_wrong_neighbours_score_their_floor(fields: dict) -> None:
    task = Dyck(**{"length": 30, "target": "acceptance", **fields})
    batch, num = sample(task, 8000), task.num_types
    left, right = batch.inputs[:, :-1], batch.inputs[:, 1:]
    wrong = ((left < num) & (right >= num) & (right - left != num)).any(axis=1)
    share = (batch.targets == ~wrong).mean()
    (floor,) = task.floors.values()
    assert abs(share - floor) < 4 * (floor * (1 - floor) / 8000) ** 0.5


def test_the_compiled_words_are_the_plain_ones() -> None:
    task = Dyck(length=12, max_depth=4, num_types=2)
    some, limits = keys(60), opening(task)  # pyright: ignore[reportArgumentType]
    for mixed in (False, True):
        compiled = np.zeros((60, 12), np.uint8)
        words(some, limits, (2, 3, mixed), compiled)
        for b in range(60):
            key, attempt = some[b : b + 1], 0
            shape = rng.words(key, 3, 12)[0] >> rng.U(32)
            while True:
                types = rng.integers(key, 4, 6, 2, attempt)[0].tolist()
                stack, row, opened = [], [], 0
                for t in range(12):
                    if shape[t] < limits[len(stack), 12 - t]:
                        stack.append(types[opened])
                        row.append(types[opened])
                        opened += 1
                    else:
                        row.append(2 + stack.pop())
                if not mixed or len(set(types)) > 1:
                    break
                attempt += 1
            assert compiled[b].tolist() == row


def test_many_types() -> None:
    task = Dyck(num_types=1000, length=16)
    batch = task.generate(range(50))
    assert batch.inputs.max() >= 1000
    assert np.array_equal(task.oracle(batch.inputs)[batch.mask], batch.targets[batch.mask])


REFUSED = [
    ({"length": 63}, "length=63 is odd: words need an even one, such as 64"),
    ({"max_depth": 33}, "max_depth=33 is not reached with length=64: needs <= 32"),
    ({"num_types": 1}, "num_types=1 leaves nothing to ask with target=next-close: needs >= 2"),
    (
        {"length": 2, "max_depth": 1, "target": "acceptance"},
        "length=2 with target=acceptance has no two pairs to exchange: needs >= 4",
    ),
    ({"max_depth": 0}, "max_depth: .*greater than or equal to 1, got 0"),
    ({"p_open": 1.0}, "p_open: .*less than or equal to 0.99, got 1.0"),
    ({"target": "next"}, "target: .*got 'next'"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("dyck", **fields)
