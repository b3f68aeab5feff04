"""Parity and majority: layouts, labels by another way, exact chances, ties, what is refused."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import rng
from tasks._loops.vocab_majority import without_tie
from tasks.lengths import pack
from tasks.parity import CumulativeMajority, Majority
from tasks.vocab_majority import VocabMajority

NO = -100
BITS = ("parity", "cumulative-parity", "majority", "cumulative-majority")


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


def given(kind: str, bits: list[int], length: int) -> tuple[list[int], list[int]]:
    """Inputs and targets of one sequence."""
    task = tasks.make_task(kind, length=length)
    row = np.array([bits + [0] * (length - len(bits))])
    content = {"length": np.array([[len(bits)]]), "bits": pack(row, 2)}
    batch = task.render(content, keys(1), "train")
    return batch.inputs[0].tolist(), batch.targets[0].tolist()


def test_the_layout() -> None:
    """Ids: 0 pads, 1 and 2 are the bits, 3 ends the sequence."""
    assert given("parity", [1, 0, 1, 1], 5) == ([2, 1, 2, 2, 3, 0], [NO] * 4 + [1, NO])
    assert given("cumulative-parity", [1, 0, 1, 1], 5) == ([2, 1, 2, 2, 0], [1, 1, 0, 1, NO])
    assert given("majority", [1, 0, 0], 3) == ([2, 1, 1, 3], [NO] * 3 + [0])
    assert given("cumulative-majority", [0, 1, 1, 0, 0], 5)[1] == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("kind", BITS)
@pytest.mark.parametrize("p_one", [0.5, 0.2])
def test_labels_by_counting(kind: str, p_one: float) -> None:
    task = tasks.make_task(kind, length=70, p_one=p_one)
    batch = task.generate(range(200))
    for row, targets, num in zip(batch.inputs, batch.targets, batch.factors["length"], strict=True):
        bits = row[:num] - 1
        assert set(bits) <= {0, 1}
        for t in np.flatnonzero(targets != NO):
            ones, zeros = (bits[: t + 1] == 1).sum(), (bits[: t + 1] == 0).sum()
            right = ones % 2 if "parity" in kind else int(ones >= zeros)
            assert targets[t] == right
        assert (targets != NO).sum() == (num if "cumulative" in kind else 1)


@pytest.mark.parametrize("p_one", [0.5, 0.3, 0.9])
def test_probabilities_are_those_of_the_binomial(p_one: float) -> None:
    t = np.arange(1, 41)
    ones = CumulativeMajority(p_one=p_one).ones(40)
    assert np.allclose(ones, stats.binom.sf((t + 1) // 2 - 1, t, p_one), atol=1e-12)
    more = stats.binom.sf(t // 2, t, p_one)
    tie = np.where(t % 2, 0, stats.binom.pmf(t / 2, t, p_one))
    assert np.allclose(Majority(p_one=p_one).ones(40), more / (1 - tie), atol=1e-12)
    odd = [stats.binom.pmf(np.arange(1, n + 1, 2), n, p_one).sum() for n in t]
    parity = tasks.make_task("parity", p_one=p_one)
    assert np.allclose(parity.ones(40), odd, atol=1e-12)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("kind", BITS)
def test_chance_of_uneven_bits(kind: str) -> None:
    """A law that is not partitioned, drawn many times: within four standard errors."""
    task = tasks.make_task(kind, p_one=0.3, min_length=12, length=15)
    some = keys(4000)
    batch = task.render(task.draw(some, "test"), some, "test")
    right = [np.where(batch.mask, batch.targets == label, False).sum(axis=1) for label in (0, 1)]
    scored = batch.mask.sum(axis=1)
    best = max(right, key=lambda x: x.sum())
    error = (best - task.chance * scored).std() / scored.mean() / len(best) ** 0.5
    assert abs(best.sum() / scored.sum() - task.chance) < 4 * error


def test_majority_without_ties_is_uniform_over_what_is_left() -> None:
    task = Majority(min_length=0, length=4)
    bits = task.draw(keys(4000), "train")["bits"][:, 0]
    counts = Counter(bits.tolist())
    every = [sum(b << i for i, b in enumerate(x)) for x in product((0, 1), repeat=4) if sum(x) != 2]
    assert sorted(counts) == sorted(every)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_the_only_mode() -> None:
    task = VocabMajority(vocab_size=4, length=30)
    batch = task.generate(range(400))
    for row, targets, num, margin in zip(
        batch.inputs, batch.targets, *batch.factors.values(), strict=True
    ):
        (first, most), *others = Counter((row[:num] - 1).tolist()).most_common()
        assert targets[num] == first
        assert row[num] == 5
        assert margin == most - (others[0][1] if others else 0) > 0
        assert not row[num + 1 :].any()


def test_sequences_with_one_mode_are_equally_likely() -> None:
    task = VocabMajority(vocab_size=3, min_length=0, length=3)
    drawn = task.draw(keys(4000), "train")["symbols"][:, 0]
    every = [x for x in product(range(3), repeat=3) if len(set(x)) < 3]
    assert len(every) >= task.num_strings(3)
    counts = Counter(drawn.tolist())
    assert len(counts) == len(every)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_the_compiled_loop_is_its_plain_statement() -> None:
    some, ends, size = keys(60), np.arange(60) % 12 + 1, 3
    compiled = np.zeros((60, 12), np.uint8)
    without_tie(some, ends, size, 7, compiled)
    for b, end in enumerate(ends):
        attempt = 0
        while True:
            drawn = rng.integers(some[b : b + 1], 7, 12, size, attempt)[0, :end]
            top = np.sort(np.bincount(drawn, minlength=size))
            if top[-1] > top[-2]:
                break
            attempt += 1
        assert compiled[b].tolist() == [*drawn, *[0] * (12 - end)]


def test_published_settings() -> None:
    task = tasks.preset("statetrack-parity")
    assert (task.bounds("train"), task.bounds("test")) == ((2, 39), (39, 255))  # pyright: ignore[reportAttributeAccessIssue]
    assert task.context.length == 256
    small = tasks.preset("cumulative-parity-cpu")
    assert small.generate([0], "train").lengths.tolist() == [16]
    assert small.generate([0], "test").lengths.tolist() == [64]
    assert small.chance == 0.5


REFUSED = [
    ("parity", {"p_one": 0.0}, "p_one: .*greater than or equal to 0.01, got 0.0"),
    ("majority", {"p_one": 1.0}, "p_one: .*less than or equal to 0.99, got 1.0"),
    ("vocab-majority", {"vocab_size": 1}, "vocab_size: .*greater than or equal to 2, got 1"),
    ("vocab-majority", {"vocab_size": 65}, "vocab_size: .*less than or equal to 64, got 65"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(kind: str, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task(kind, **fields)
