"""Fuzzy recall: layouts, the laws of tuples, upstream's loop, the ceiling, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.fuzzy_recall import FuzzyRecall

KEYS, VALUES = 16, 48  # fields, as in the compiled loops
SIZES, QUESTION, PLACE, VALUE_SIZES = 1, 2, 3, 4

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(43, np.arange(num, dtype=rng.U))


def content(task: FuzzyRecall, pairs: list[tuple[list[int], list[int]]]) -> dict[str, np.ndarray]:
    """Pairs of tokens counted from 1."""

    def flat(side: int, most: int) -> np.ndarray:
        return np.array([[x for p in pairs for x in (p[side] + most * [0])[:most]]])

    return {"keys": flat(0, task.num_key_tokens), "values": flat(1, task.num_value_tokens)}


PAIRS = [([3, 1], [2]), ([2], [4, 1]), ([3, 1], [2]), ([], []), ([2], [4, 1])]


def test_the_canonical_layout() -> None:
    """V=10: padding 0, keys 1-4, values 5-8, separator 9."""
    task = FuzzyRecall(vocab_size=10, length=20, num_key_tokens=2, num_value_tokens=2)
    assert list(task.vocabulary.items()) == [
        ("pad", range(1)),
        ("key", range(1, 5)),
        ("value", range(5, 9)),
        ("separator", range(9, 10)),
    ]
    batch = task.render(content(task, PAIRS), keys(1), "train")
    row = [3, 1, 9, 6, 9, 2, 9, 8, 5, 9, 3, 1, 9, 6, 9, 2, 9, 8]
    assert batch.inputs.tolist() == [[*row, 0, 0]]
    due = [NO] * 12 + [6] + [NO] * 3 + [8, 5]
    assert batch.targets.tolist() == [[*due, NO, NO]]
    assert batch.spans is not None
    assert batch.spans.tolist() == [[-1] * 12 + [0] + [-1] * 3 + [1, 1, -1, -1]]
    assert batch.lengths.tolist() == [18]
    assert {name: x.tolist() for name, x in batch.factors.items()} == {
        "num_pairs": [3],
        "num_targets": [3],
        "gap": [6],
    }
    assert np.array_equal(task.oracle(batch.inputs, batch.lengths), batch.targets)


def test_mads_layout() -> None:
    """V=9: keys 0-3, values 4-7, padding 8 in front; the last token is not read."""
    task = FuzzyRecall(variant="mad", vocab_size=9, length=14, num_key_tokens=2, num_value_tokens=2)
    assert list(task.vocabulary) == ["key", "value", "pad"]
    batch = task.render(content(task, PAIRS), keys(1), "test")
    row = [8, 8, 8, 2, 0, 5, 1, 7, 4, 2, 0, 5, 1, 7]
    assert batch.inputs.tolist() == [row]
    assert batch.targets.tolist() == [[NO] * 10 + [5, NO, 7, 4]]
    assert batch.lengths.tolist() == [14]
    train = task.render(content(task, PAIRS), keys(1), "train")
    assert train.targets.tolist() == [[*row[1:], 4]]
    assert train.mask.all()


def test_fixed_sizes_need_no_separator() -> None:
    task = FuzzyRecall(
        vocab_size=9, length=12, num_key_tokens=2, num_value_tokens=1, fixed_sizes=True
    )
    assert list(task.vocabulary) == ["pad", "key", "value"]
    pairs = [([3, 1], [2]), ([1, 3], [4]), ([3, 1], [2])]
    batch = task.render(content(task, pairs), keys(1), "train")
    assert batch.inputs.tolist() == [[3, 1, 6, 1, 3, 8, 3, 1, 0, 0, 0, 0]]
    assert batch.targets.tolist() == [[NO] * 7 + [6] + [NO] * 4]
    assert np.array_equal(task.oracle(batch.inputs), batch.targets)


def split(row: list[int], task: FuzzyRecall) -> list[tuple[int, ...]]:
    """The tuples of a canonical row, one key and one value in turn, by its separators."""
    text = ",".join("|" if x == task.vocab_size - 1 else str(x) for x in row)
    return [tuple(map(int, part.strip(",").split(","))) for part in text.split("|") if part != ","]


@pytest.mark.parametrize("multi", [True, False])
def test_every_repeated_key_is_due(multi: bool) -> None:
    task = FuzzyRecall(length=80, multi_query=multi)
    batch = task.generate(range(300), "validation")
    for row, targets, end in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
        last = targets[end - 1]
        assert last != NO
        parts = split([*row[:end].tolist(), int(last)], task)
        assert len(parts) % 2 == 0
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        due = []
        for i in range(0, len(parts), 2):
            key, value = parts[i], parts[i + 1]
            assert len(set(key)) == len(key) <= 3
            assert len(set(value)) == len(value) <= 3
            if i == len(parts) - 2 or (multi and key in known):
                due += value
            assert known.setdefault(key, value) == value
        assert targets[targets != NO].tolist() == due
        assert not row[end:].any()
    assert (batch.factors["gap"] > 0).all()


Drawn = list[tuple[list[int], list[int], int]]


def tuples(fresh: list[np.ndarray], sizes: np.ndarray) -> list[list[list[int]]]:
    """Tuples of different tokens, each the one of its rank among those left.      (B, N, size)"""
    found = []
    for b in range(len(fresh[0])):
        row = []
        for j in range(fresh[0].shape[1]):
            left = list(range(1000))
            row.append([left.pop(ranks[b, j]) for ranks in fresh][: sizes[b, j]])
        found.append(row)
    return found


def drawn(task: FuzzyRecall, words: rng.Words, num: int, full: bool) -> list[Drawn]:
    """Every example's pairs, by the draws of tasks.rng: key, value, and the key's number."""
    most, other = task.num_key_tokens, task.num_value_tokens
    fresh = [rng.integers(words, KEYS + i, num, task.num_keys - i) for i in range(most)]
    size = rng.integers(words, SIZES, num, most) + 1
    names = tuples(fresh, np.full_like(size, most) if full else size)
    base = task.num_keys + 1
    codes = np.array(
        [
            [sum((x + 1) * base ** (most - 1 - i) for i, x in enumerate(key)) for key in row]
            for row in names
        ]
    )
    fresh = [rng.integers_at(words, VALUES + i, codes, task.num_values - i) for i in range(other)]
    size = rng.integers_at(words, VALUE_SIZES, codes, other) + 1
    values = tuples(fresh, np.full_like(size, other) if task.fixed_sizes else size)
    first, second = task.vocabulary["key"].start, task.vocabulary["value"].start
    return [
        [([x + first for x in k], [x + second for x in v], c) for k, v, c in zip(*row, strict=True)]
        for row in zip(names, values, codes.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"fixed_sizes": True, "length": 60},
        {"num_key_tokens": 1, "num_value_tokens": 2, "vocab_size": 8, "length": 40},
        {"num_key_tokens": 5, "num_value_tokens": 7, "vocab_size": 40},
    ],
    ids=str,
)
def test_canonical_writes_pairs_as_long_as_they_fit(fields: dict[str, Any]) -> None:
    """The compiled loops against a plain statement with the same draws."""
    task = FuzzyRecall.model_validate(fields)
    some = keys(200)
    batch = task.render(task.draw(some, "train"), some, "train")
    mark = [task.vocab_size - 1] * task.separated
    for b, pairs in enumerate(drawn(task, some, task.length // 2, task.fixed_sizes)):
        row: list[int] = []
        shown: Drawn = []
        for pair in pairs:
            tokens = [*pair[0], *mark, *pair[1], *mark]
            if len(row) + len(tokens) > task.room:
                break
            row += tokens
            shown.append(pair)
        codes = np.array([[code for _, _, code in shown]])
        ranks = rng.words_at(some[b : b + 1], QUESTION, codes)[0]
        key, value, _ = shown[int(ranks.argmin())]
        row += [*key, *mark, *value]
        assert batch.inputs[b].tolist() == row[:-1] + [0] * (task.length + 1 - len(row))
        assert batch.lengths[b] == len(row) - 1
        due = batch.targets[b, batch.targets[b] != NO]
        assert due[-len(value) :].tolist() == value


def reference(task: FuzzyRecall, words: rng.Words, which: str) -> list[list[int]]:
    """What upstream's loop writes with the same draws, token by token."""
    full = which != "train"
    num = task.length // ((task.num_key_tokens if full else 1) + 1) + 1
    rows = []
    for b, pairs in enumerate(drawn(task, words, num + 1, full)):
        *fresh, probe = pairs
        size = len(probe[0]) + len(probe[1])
        place = rng.integers(words[b : b + 1], PLACE, 1, task.length - 2 * size)[0, 0]
        row: list[int] = []
        added = False
        while len(row) < task.length - size - task.num_key_tokens - task.num_value_tokens:
            if len(row) >= place and not added:
                key, value, _ = probe
            else:
                key, value, _ = fresh.pop(0)
            added = added or key == probe[0]
            row += key + value
        row += probe[0] + probe[1]
        rows.append([task.vocab_size - 1] * (task.length + 1 - len(row)) + row)
    return rows


@pytest.mark.parametrize("which", ["train", "test"])
@pytest.mark.parametrize(
    "fields",
    [{}, {"length": 30}, {"num_key_tokens": 1, "num_value_tokens": 2, "vocab_size": 6}],
    ids=str,
)
def test_mad_writes_what_upstreams_loop_does(fields: dict[str, Any], which: str) -> None:
    task = FuzzyRecall.model_validate({"variant": "mad", **fields})
    some = keys(400)
    batch = task.render(task.draw(some, which), some, which)
    rows = reference(task, some, which)
    assert batch.inputs.tolist() == [row[:-1] for row in rows]
    if which == "train":
        assert batch.targets.tolist() == [row[1:] for row in rows]
    else:
        last = batch.targets[:, -1].tolist()
        assert last == [row[-1] for row in rows]


def test_the_oracle_of_mad_answers_what_was_shown() -> None:
    task = FuzzyRecall(variant="mad")
    assert not task.determined("test")
    for which in ("train", "test"):
        batch = task.generate(range(2000), which)
        answers = task.oracle(batch.inputs)
        known = answers != NO
        assert (answers == batch.targets)[known & batch.mask].all()
        if which == "train":
            assert known.any(axis=1).mean() > 0.9
    lost = batch.mask & ~known
    assert (lost.any(axis=1) == (batch.factors["gap"] == 0)).all()
    assert not lost[:, :-3].any()
    share = 1 - lost.sum() / batch.mask.sum()
    assert 0.98 < task.ceiling < 1
    assert share == pytest.approx(task.ceiling, abs=3 * (0.008 * 2 / 8400) ** 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vocab-32", "vocab-64", "length-256", "length-1024"])
def test_ceilings_of_mads_settings(name: str) -> None:
    task = tasks.preset(f"mad-fuzzy-recall-{name}")
    batch = task.generate(range(5000, 6000), "test")
    right = (task.oracle(batch.inputs) == batch.targets)[batch.mask]
    noise = 3 * (2 * right.var() / right.size) ** 0.5
    assert right.mean() == pytest.approx(task.ceiling, abs=noise + 0.003)


def sizes(task: FuzzyRecall, which: str, name: str = "keys") -> np.ndarray:
    most = task.num_key_tokens if name == "keys" else task.num_value_tokens
    return (task.draw(keys(2000), which)[name].reshape(2000, -1, most) > 0).sum(axis=2)


def test_test_keys_have_the_largest_size_in_mad() -> None:
    task = FuzzyRecall(variant="mad")
    for which in ("test", "validation"):
        assert set(np.unique(sizes(task, which)).tolist()) == {0, 3}
    assert set(np.unique(sizes(task, "train")).tolist()) == {0, 1, 2, 3}


def test_tuples_are_uniform() -> None:
    """The first key: each of 4 tokens, and each ordered choice of 2 of them, as often."""
    task = FuzzyRecall(vocab_size=10, num_key_tokens=2, num_value_tokens=2)
    assert (task.num_keys, task.num_values) == (4, 4)
    for name in ("keys", "values"):
        found = task.draw(keys(6000), "train")[name].reshape(6000, -1, 2)[:, 0]
        one = found[:, 1] == 0
        assert stats.binomtest(int(one.sum()), 6000).pvalue > 1e-4
        assert stats.chisquare(np.bincount(found[one, 0])[1:]).pvalue > 1e-4
        counts = np.unique(found[~one] @ np.array([5, 1]), return_counts=True)[1]
        assert len(counts) == 12
        assert stats.chisquare(counts).pvalue > 1e-4


def test_different_keys_have_independent_values() -> None:
    task = FuzzyRecall(vocab_size=8, num_key_tokens=2, num_value_tokens=2)
    found = task.draw(keys(4000), "train")
    first, second = (found[name].reshape(4000, -1, 2) for name in ("keys", "values"))
    same = (first[:, 0] == first[:, 1]).all(axis=1)
    agree = (second[:, 0] == second[:, 1]).all(axis=1)
    assert agree[same].all()
    assert agree[~same].mean() == pytest.approx((1 / 3 + 1 / 6) / 4, abs=0.025)


def test_the_last_key_is_uniform_over_those_shown() -> None:
    task = FuzzyRecall(vocab_size=8, num_key_tokens=1, num_value_tokens=1, length=30)
    drawn = task.draw(keys(6000), "train")["keys"]
    both = np.array([set(row[:-1].tolist()) - {0} == {1, 2} for row in drawn])
    counts = np.bincount(drawn[both][:, -1], minlength=3)[1:]
    assert counts.sum() > 150
    assert stats.chisquare(counts).pvalue > 1e-4


def test_mads_settings() -> None:
    base = {"vocab_size": 16, "length": 128, "num_key_tokens": 3, "num_value_tokens": 3}
    for name, changed in (
        ("", {}),
        ("-vocab-32", {"vocab_size": 32}),
        ("-vocab-64", {"vocab_size": 64}),
        ("-vocab-128", {"vocab_size": 128}),
        ("-length-256", {"length": 256}),
        ("-length-512", {"length": 512}),
        ("-length-1024", {"length": 1024}),
    ):
        task = tasks.preset(f"mad-fuzzy-recall{name}")
        assert task == FuzzyRecall.model_validate({**base, **changed, "variant": "mad"})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"length": 17}, "length=17 is too short for pairs of 6 tokens: needs >= 18"),
    (
        {"num_key_tokens": 8},
        "num_key_tokens=8 with vocab_size=16, which has 7 key ids: needs vocab_size >= 18",
    ),
    (
        {"num_value_tokens": 8},
        "num_value_tokens=8 with vocab_size=16, which has 7 value ids: needs vocab_size >= 18",
    ),
    ({"vocab_size": 7}, "num_key_tokens=3 with vocab_size=7, .*: needs vocab_size >= 8"),
    (
        {"num_key_tokens": 16, "vocab_size": 64, "length": 128},
        "num_key_tokens=16 of 31 ids make more than 2\\^40 keys: needs fewer of either",
    ),
    (
        {"variant": "mad", "multi_query": False},
        "multi_query=False with variant=mad: needs multi_query=yes, or variant=canonical",
    ),
    (
        {"variant": "mad", "fixed_sizes": True},
        "fixed_sizes=True with variant=mad: needs fixed_sizes=no, or variant=canonical",
    ),
    ({"num_key_tokens": 0}, r"num_key_tokens: .*greater than or equal to 1, got 0"),
    ({"vocab_size": 4}, r"vocab_size: .*greater than or equal to 5, got 4"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("fuzzy-recall", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"length": 18, "vocab_size": 8},
        {"length": 18, "vocab_size": 7, "fixed_sizes": True},
        {"length": 6, "num_key_tokens": 1, "num_value_tokens": 1, "vocab_size": 8},
        {"num_key_tokens": 7, "num_value_tokens": 1},
        {"length": 90, "num_key_tokens": 1, "num_value_tokens": 16, "vocab_size": 99},
    ],
    ids=str,
)
def test_limits_are_reached(fields: dict[str, Any]) -> None:
    task = tasks.make_task("fuzzy-recall", **fields)
    batch = task.generate(range(40))
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
    assert batch.lengths.max() <= task.length
