"""In-context languages: automata, words, the hidden law and n-grams, what is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.batch import Batch
from tasks.in_context_language import InContextLanguage, Languages

NO = -100
A, B, BAR = 2, 3, 1


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


Arrows = list[dict[int, int]]


def arrows_of(table: np.ndarray) -> Arrows:
    """Of each state: symbol -> next state."""
    states = [{s: n for s, n in row.tolist() if s >= 0} for row in table]
    return [state for state in states if state]


def languages(task: InContextLanguage, num: int, split: str = "train") -> Languages:
    batch = task.generate(range(num), split)
    assert isinstance(batch, Languages)
    return batch


def test_the_worked_example() -> None:
    """0 -a-> 1, 0 -b-> 2, 1 -a-> 2, 2 -b-> 0; behind a: a; behind a a: b; at the start: a or b."""
    task = InContextLanguage(num_symbols=4, max_out=2)
    table = np.full((1, 6, 2, 2), -1)
    table[0, 0] = [[0, 1], [1, 2]]
    table[0, 1, 0] = [0, 2]
    table[0, 2, 0] = [1, 0]
    inputs = np.array([[BAR, A, A]])
    batch = Batch.of(inputs, np.array([[A, A, B]]), num_words=1, num_states=3)
    probs = task.true_probs(Languages(**vars(batch), automata=table))
    assert [set(np.flatnonzero(p).tolist()) for p in probs] == [{A, B}, {A}, {B}]
    assert probs.sum(axis=1).tolist() == [1, 1, 1]


FIELDS: list[dict[str, Any]] = [
    {},
    {"max_states": 12, "num_symbols": 18, "min_words": 3, "max_words": 9},
    {"min_states": 2, "max_states": 3, "max_out": 1, "min_symbols": 2, "num_symbols": 2},
    {"min_words": 1, "max_words": 1, "min_word_length": 2},
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_words_are_of_the_language(fields: dict[str, Any]) -> None:
    """Every symbol is one that its state allows; targets are next symbols, never bars."""
    task = InContextLanguage(**fields)
    batch = languages(task, 100)
    assert batch.automata is not None
    for b in range(100):
        states = arrows_of(batch.automata[b])
        length = batch.lengths[b]
        row = batch.inputs[b, :length].tolist()
        text = [*row, int(batch.targets[b, length - 1])]
        words, word = [], []
        for token in [*text, BAR]:
            if token == BAR:
                words.append(word)
                word = []
            else:
                word.append(token - 2)
        assert task.min_words <= len(words) <= task.max_words
        assert len(words) == batch.factors["num_words"][b]
        assert len(states) == batch.factors["num_states"][b]
        for word in words:
            assert task.min_word_length <= len(word) <= task.max_word_length
            state = 0
            for symbol in word:
                state = states[state][symbol]
        expected = [x if x != BAR else NO for x in text[1:]]
        assert batch.targets[b, :length].tolist() == expected
        assert (batch.targets[b, length:] == NO).all()


def futures(states: Arrows, depth: int) -> list[frozenset[tuple[int, ...]]]:
    """The words of `depth` symbols that can be read from each state."""
    found = [{()} for _ in states]
    for _ in range(depth):
        found = [{(s, *w) for s, n in state.items() for w in found[n]} for state in states]
    return [frozenset(x) for x in found]


@pytest.mark.parametrize("fields", FIELDS[:3], ids=str)
def test_automata_are_minimal_and_in_order(fields: dict[str, Any]) -> None:
    """No two states have the same futures; states are numbered as a search meets them."""
    task = InContextLanguage(**fields)
    tables = task.draw(keys(60), "train")["automata"].reshape(60, task.max_states, task.max_out, 2)
    for table in tables:
        states = arrows_of(table)
        assert 1 <= len(states) <= task.max_states
        met = [0]
        for state in met:
            met += [n for _, n in sorted(states[state].items()) if n not in met]
            met = list(dict.fromkeys(met))
        order, queue = [], [0]
        while queue:
            state = queue.pop(0)
            if state not in order:
                order.append(state)
                queue += [states[state][s] for s in sorted(states[state])]
        assert order == list(range(len(states)))
        words = futures(states, min(len(states), 7))
        prefixes = [futures(states, d) for d in range(min(len(states), 7))]
        for i, j in product(range(len(states)), repeat=2):
            same = words[i] == words[j] and all(p[i] == p[j] for p in prefixes)
            assert i == j or not same


def test_merging_keeps_the_language() -> None:
    """The minimal automaton reads what the drawn one reads."""
    from tasks._loops import in_context_language as loops
    from tasks._loops.rng import field_start

    for key in keys(60):
        table = np.empty((6, 5), np.int64)
        law = (4, 6, 4, 5, 3)
        num = loops.random_automaton(np.uint64(field_start(key, 1, 0)), law, table)
        drawn = [{s: int(n) for s, n in enumerate(row) if n >= 0} for row in table[:num]]
        assert all(1 <= len(state) <= 3 for state in drawn)
        assert all(n != i and n < num for i, state in enumerate(drawn) for n in state.values())
        assert all(len(set(state.values())) == len(state) for state in drawn)
        group, out = np.empty(6, np.int64), np.empty((6, 3, 2), np.int64)
        loops.merge(table, num, group)
        loops.renumber(table, group, out)
        for depth in range(1, 6):
            assert futures(drawn, depth)[0] == futures(arrows_of(out), depth)[0]


def test_splits_share_no_language() -> None:
    task = InContextLanguage(min_states=3, max_states=4, max_out=2)
    found = []
    for split in ("train", "validation", "test"):
        batch = languages(task, 3000, split)
        assert batch.automata is not None
        found.append({table.tobytes() for table in batch.automata})
    assert all(found)
    assert sum(map(len, found)) == len(found[0] | found[1] | found[2])
    assert task.partitioned
    assert InContextLanguage().partitioned


def test_true_probs() -> None:
    """Rows sum to one, and targets are drawn from them."""
    task = InContextLanguage()
    batch = languages(task, 400, "test")
    probs = task.true_probs(batch)
    assert np.abs(probs.sum(axis=1) - 1).max() < 1e-12
    targets = batch.targets[batch.mask]
    given = probs[np.arange(len(targets)), targets]
    assert given.min() > 0.3
    assert task.allowed(batch, targets).all()
    rows = probs[np.isclose(probs.max(axis=1), 1 / 3)]
    which = targets[np.isclose(probs.max(axis=1), 1 / 3)]
    rank = (np.cumsum(rows > 0, axis=1)[np.arange(len(which)), which]) - 1
    assert stats.chisquare(np.bincount(rank, minlength=3)).pvalue > 1e-4
    hits = probs.max(axis=1)
    assert abs(hits.mean() - task.ceiling) < 0.03
    with pytest.raises(ValueError, match="only what generate made"):
        task.true_probs(Batch.of(batch.inputs, batch.targets))


def plain_grams(row: list[int], size: int) -> list[list[int]]:
    """Of each position: the symbols that followed the longest known context, from scratch."""
    found = []
    for t in range(len(row)):
        for n in range(min(size - 1, t + 1), -1, -1):
            context = row[t + 1 - n : t + 1]
            after = [row[i + n] for i in range(t + 1 - n) if row[i : i + n] == context]
            after = [x for x in after if x != BAR]
            if after:
                found.append(after)
                break
        else:
            found.append([])
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_grams_count(size: int) -> None:
    task = InContextLanguage()
    batch = task.generate(range(20))
    probs = task.counted(batch.inputs, size)
    for b in range(20):
        length = batch.lengths[b]
        for t, after in enumerate(plain_grams(batch.inputs[b, :length].tolist(), size)):
            expected = np.bincount(after, minlength=10) / max(len(after), 1)
            assert probs[b, t] == pytest.approx(expected)
        assert not probs[b, length:].any()
    if size == 3:
        answers = task.oracle(batch.inputs)
        assert np.array_equal(answers == NO, ~probs.any(axis=-1))


@pytest.mark.parametrize(
    ("name", "allowed", "distance"),
    [
        ("in-context-language-cpu", (0.605, 0.825, 0.884), (0.516, 0.329, 0.317)),
        ("regbench", (0.475, 0.821, 0.933), (0.632, 0.287, 0.202)),
    ],
)
def test_floors_are_attained(
    name: str, allowed: tuple[float, ...], distance: tuple[float, ...]
) -> None:
    """Those of 4,000 automata: the floors are averages over automata that differ much."""
    task = tasks.preset(name)
    assert isinstance(task, InContextLanguage)
    batch = task.generate(range(4000), "test")
    law, targets = task.true_probs(batch), batch.targets[batch.mask]
    for n in (1, 2, 3):
        probs = task.counted(batch.inputs, n)[batch.mask]
        guess = probs.argmax(axis=1)
        assert task.floors[f"{n}-gram"] == pytest.approx((guess == targets).mean(), abs=0.025)
        share = task.allowed(batch, guess).mean()
        assert task.allowed_floors[f"{n}-gram"] == pytest.approx(share, abs=0.025)
        assert share == pytest.approx(allowed[n - 1], abs=0.03)
        apart = 0.5 * np.abs(probs - law).sum(axis=1).mean()
        assert apart == pytest.approx(distance[n - 1], abs=0.02)
    assert task.chance < task.floors["1-gram"] < task.floors["3-gram"] < task.ceiling


def test_published_settings() -> None:
    task = tasks.preset("regbench")
    assert isinstance(task, InContextLanguage)
    assert (task.min_states, task.max_states, task.min_symbols, task.num_symbols) == (4, 12, 4, 18)
    assert (task.min_words, task.max_words, task.min_word_length, task.max_word_length) == (
        *(10, 19),
        *(1, 49),
    )
    batch = task.generate(range(300))
    assert abs(batch.lengths.mean() - 377) < 12
    assert abs(batch.factors["num_states"].mean() - 6.9) < 0.4
    assert tasks.preset("in-context-language-cpu") == InContextLanguage()
    assert abs(InContextLanguage().generate(range(300)).lengths.mean() - 71) < 2


REFUSED = [
    ({"min_states": 7}, "min_states=7 exceeds max_states=6: needs <= 6"),
    ({"min_words": 9}, "min_words=9 exceeds max_words=8: needs <= 8"),
    ({"min_word_length": 16}, "min_word_length=16 exceeds max_word_length=15: needs <= 15"),
    ({"min_symbols": 9}, "min_symbols=9 exceeds num_symbols=8: needs <= 8"),
    ({"max_out": 4}, "max_out=4 exceeds what min_states=4 and min_symbols=4 allow: needs <= 3"),
    ({"min_words": 1, "max_words": 1}, "min_words=1 with min_word_length=1 leaves nothing"),
    ({"max_out": 0}, "max_out: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("in-context-language", **fields)
