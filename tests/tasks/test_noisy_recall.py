"""Noisy recall: the layout, how much noise there is, floors, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks.noise import as_if, chosen
from tasks.noisy_recall import MOST_FREQUENT, NoisyRecall

NO = -100


def keys(num: int) -> rng.Words:
    return rng.example_keys(29, np.arange(num, dtype=rng.U))


def test_the_layout() -> None:
    """V=10 with 2 of noise: keys 0-3, values 4-7, noise 8 and 9."""
    task = NoisyRecall(vocab_size=10, noise_vocab_size=2, length=10)
    assert list(task.vocabulary.items()) == [
        ("key", range(4)),
        ("value", range(4, 8)),
        ("noise", range(8, 10)),
    ]
    content = {"codes": np.array([[2, 4, 2, 4, 2]]), "values": np.array([[5, 4, 5, 4, 5]])}
    batch = task.render(content, keys(1), "train")
    row = batch.inputs[0].tolist()
    assert [row[i] for i in (0, 1, 4, 5, 8)] == [2, 5, 2, 5, 2]
    assert set(row[2:4] + row[6:8]) <= {8, 9}
    assert batch.targets.tolist() == [[NO] * 4 + [5] + [NO] * 3 + [5]]
    assert {name: x.tolist() for name, x in batch.factors.items()} == {
        "num_shown": [1],
        "num_targets": [2],
        "gap": [3],
        "num_noise": [2],
    }
    mad = NoisyRecall(variant="mad", vocab_size=10, noise_vocab_size=2, length=10)
    assert mad.render(content, keys(1), "test").targets.tolist() == batch.targets.tolist()
    train = mad.render(content, keys(1), "train")
    assert train.targets[0].tolist() == [*train.inputs[0, 1:].tolist(), 5]
    assert not mad.determined("train")
    assert mad.determined("test")


def test_a_single_query_has_a_marker_above_the_noise() -> None:
    task = NoisyRecall(vocab_size=11, noise_vocab_size=2, length=8, multi_query=False)
    assert list(task.vocabulary) == ["key", "value", "noise", "marker"]
    batch = task.generate(range(60), "test")
    assert (batch.inputs[:, -2] == 10).all()
    assert (batch.mask.sum(axis=1) == 1).all()
    assert np.array_equal(np.where(batch.mask, task.oracle(batch.inputs), NO), batch.targets)


def test_targets_are_the_repeated_keys() -> None:
    task = NoisyRecall(frac_noise=0.5)
    batch = task.generate(range(300))
    for row, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        known: dict[int, int] = {}
        for t in range(0, 127, 2):
            assert (row[t] < 8) == (t == 126 or 8 <= row[t + 1] < 16)
            assert targets[t] == (known.get(row[t], NO) if row[t] < 8 else NO)
            if row[t] < 8 and t < 126:
                assert known.setdefault(row[t], row[t + 1]) == row[t + 1]
    assert batch.mask[:, -1].all()


@pytest.mark.parametrize("frac", [0.0, 0.2, 0.8])
def test_how_many_pairs_are_noise(frac: float) -> None:
    """Of 63 pairs one is certain, the others are independent."""
    batch = NoisyRecall(frac_noise=frac).generate(range(3000))
    counts = np.bincount(batch.factors["num_noise"], minlength=64)
    law = stats.binom(62, frac).pmf(np.arange(64)) * 3000
    few = law < 8
    observed, expected = [*counts[~few], counts[few].sum()], [*law[~few], law[few].sum()]
    assert abs(batch.factors["num_noise"].mean() - 62 * frac) < 4 * (16 / 3000) ** 0.5
    if frac:
        assert stats.chisquare(observed, expected).pvalue > 1e-4
    noise = batch.inputs[batch.inputs >= 16]
    if frac:
        assert stats.chisquare(np.bincount(noise - 16, minlength=16)).pvalue > 1e-4


def test_the_certain_pair_is_uniform_and_the_question_too() -> None:
    task = NoisyRecall(frac_noise=0.99, length=12)
    drawn = task.draw(keys(6000), "train")["codes"]
    real = drawn[:, :-1] < 8
    alone = real.sum(axis=1) == 1
    counts = np.bincount(real[alone].argmax(axis=1), minlength=5)
    assert stats.chisquare(counts).pvalue > 1e-4
    assert stats.chisquare(np.bincount(drawn[:, -1], minlength=8)).pvalue > 1e-4


def test_equal_contents_ignore_what_the_noise_is() -> None:
    task = NoisyRecall(vocab_size=8, noise_vocab_size=4, length=6, frac_noise=0.6)
    assert task.partitioned
    hashes = task.content_key(range(400))
    rows = np.minimum(task.generate(range(400)).inputs, 4)
    pairs = {(row.tobytes(), key) for row, key in zip(rows, hashes.tolist(), strict=True)}
    assert len(pairs) == len({row for row, _ in pairs})


def within(right: np.ndarray, due: np.ndarray, expected: float, sigmas: float = 3) -> bool:
    error = np.std(right - expected * due) / due.mean() / len(due) ** 0.5
    return abs(right.sum() / due.sum() - expected) < sigmas * error + 1e-4


def check_floors(task: NoisyRecall, num: int) -> None:
    batch = task.generate(range(num), "test")
    right = {"value of the pair before": np.zeros(num), "most frequent value so far": np.zeros(num)}
    for i, (row, targets) in enumerate(zip(batch.inputs, batch.targets, strict=True)):
        counts, before = np.zeros(task.num_values, np.int64), -1
        for t in range(0, len(row), 2):
            if targets[t] != NO:
                right["value of the pair before"][i] += before == targets[t]
                most = counts.argmax() + task.num_keys
                right["most frequent value so far"][i] += most == targets[t]
            if row[t] < task.num_keys and t + 1 < len(row):
                before = int(row[t + 1])
                counts[before - task.num_keys] += 1
    due = batch.mask.sum(axis=1)
    for name, value in task.floors.items():
        assert within(right[name], due, value), name


@pytest.mark.parametrize("name", ["", "-noise-80", "-vocab-80"])
def test_answers_that_ignore_the_key_score_the_floors(name: str) -> None:
    task = tasks.preset(f"mad-noisy-recall{name}")
    assert isinstance(task, NoisyRecall)
    assert len(task.floors) == 2
    check_floors(task, 600)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", MOST_FREQUENT, ids=str)
def test_the_stored_floors(sizes: tuple[int, int, int, float]) -> None:
    task = NoisyRecall(vocab_size=2 * sizes[0] + 16, length=sizes[2], frac_noise=sizes[3])
    assert len(task.floors) == 2
    check_floors(task, 1500 if sizes[2] <= 256 else 300)


@pytest.mark.parametrize(("length", "size"), [(6, 200), (30, 22)])
def test_the_value_before_in_short_lists(length: int, size: int) -> None:
    check_floors(NoisyRecall(length=length, frac_noise=0.4, vocab_size=size), 4000)


def test_mads_settings() -> None:
    base = {
        "vocab_size": 32,
        "noise_vocab_size": 16,
        "length": 128,
        "multi_query": True,
        "frac_noise": 0.2,
        "variant": "mad",
    }
    for name, changed in (
        ("", {}),
        ("-vocab-48", {"vocab_size": 48}),
        ("-vocab-80", {"vocab_size": 80}),
        ("-vocab-144", {"vocab_size": 144}),
        ("-length-256", {"length": 256}),
        ("-length-512", {"length": 512}),
        ("-length-1024", {"length": 1024}),
        ("-noise-40", {"frac_noise": 0.4}),
        ("-noise-60", {"frac_noise": 0.6}),
        ("-noise-80", {"frac_noise": 0.8}),
    ):
        task = tasks.preset(f"mad-noisy-recall{name}")
        assert task.to_dict() == {"kind": "noisy-recall", "seed": 0, **base, **changed}


def test_chosen_positions_are_independent() -> None:
    drawn = chosen(keys(5000), 3, 4, 0.3)
    assert drawn.mean() == pytest.approx(0.3, abs=0.015)
    assert not chosen(keys(50), 3, 4, 0.0).any()
    together = (drawn[:, 0] & drawn[:, 3]).mean()
    assert together == pytest.approx(0.09, abs=0.02)


def test_contents_are_counted_as_if_equally_likely() -> None:
    assert as_if(0.5, 10) == 1024
    assert as_if(0.5, 10, 3) == 3072
    assert as_if(0.5, 10**6) == 2**64
    assert NoisyRecall(length=8, frac_noise=0.5).num_contents < 4096


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"length": 127}, "length=127 is odd: .* such as 128"),
    ({"vocab_size": 19}, "vocab_size=19 leaves no two keys .* noise_vocab_size=16: needs >= 20"),
    ({"vocab_size": 20, "multi_query": False}, "vocab_size=20 .*: needs >= 21"),
    ({"frac_noise": 1.0}, r"frac_noise: .*less than 1, got 1.0"),
    ({"frac_noise": -0.1}, r"frac_noise: .*greater than or equal to 0, got -0.1"),
    ({"noise_vocab_size": 0}, r"noise_vocab_size: .*greater than or equal to 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task("noisy-recall", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"vocab_size": 20},
        {"vocab_size": 21, "multi_query": False, "length": 10},
        {"length": 4, "frac_noise": 0.5},
        {"vocab_size": 2000, "frac_noise": 0.9},
    ],
    ids=str,
)
def test_limits_are_reached(fields: dict[str, Any]) -> None:
    task = tasks.make_task("noisy-recall", **fields)
    batch = task.generate(range(40))
    assert (task.oracle(batch.inputs) == batch.targets)[batch.mask].all()
