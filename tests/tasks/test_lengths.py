"""Random lengths: their law, what is packed, how many sequences there are, what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import tasks
from tasks import lengths, rng
from tasks.chomsky_regular import ModularArithmetic
from tasks.counting import MANY
from tasks.parity import CumulativeParity, Parity


def keys(num: int) -> rng.Words:
    return rng.example_keys(5, np.arange(num, dtype=rng.U))


@pytest.mark.parametrize("size", [2, 3, 256, 257, 1000])
@pytest.mark.parametrize("width", [1, 7, 8, 63, 64, 65])
def test_what_is_packed_is_unpacked(size: int, width: int) -> None:
    symbols = np.random.default_rng(width).integers(0, size, (5, width))
    packed = lengths.pack(symbols, size)
    assert packed.dtype == np.int64
    assert packed.shape[1] <= 1 + width // (64 if size == 2 else 4)
    assert np.array_equal(lengths.unpack(packed, size, width), symbols)
    assert lengths.pack(symbols[:0], size).shape == (0, packed.shape[1])


def test_coins_are_fair_up_to_the_end() -> None:
    ends = np.array([[1], [63], [64], [65], [130]] * 400)
    bits = lengths.unpack(lengths.coins(keys(2000), 3, ends, 130), 2, 130)
    here = lengths.inside(ends, 130)
    assert not bits[~here].any()
    ones = (bits * here).sum(axis=0)
    assert stats.chisquare([ones.sum(), here.sum() - ones.sum()]).pvalue > 1e-4
    again = lengths.fair_bits(keys(2000), 3, 130)
    assert np.array_equal(again * here, bits)


@pytest.mark.parametrize("share", [0.5, 0.3, 0.99])
def test_how_many_sequences_could_be_as_likely(share: float) -> None:
    for num in (1, 5, 30):
        exact = (1 / Fraction(share)) ** num
        assert abs(lengths.as_likely(share, num) - exact) <= 1 + exact / 2**40
    assert lengths.as_likely(0.5, 90) == MANY
    assert lengths.as_likely(1.0, 90) == 1


def test_lengths_are_uniform() -> None:
    task = Parity(min_length=3, length=12, test_min_length=20, test_length=22)
    for split, low, high in (("train", 3, 12), ("test", 20, 22)):
        drawn = task.lengths(keys(5000), split)[:, 0]
        assert (drawn.min(), drawn.max()) == (low, high)
        assert stats.chisquare(np.bincount(drawn - low)).pvalue > 1e-4
    assert task.longest == 22


def test_short_lengths_are_left_to_training() -> None:
    """Of fewer than 1,024 sequences, a test set would repeat a handful."""
    task = Parity()
    assert task.bounds("train") == (1, 40)
    assert task.bounds("validation") == task.bounds("test") == (10, 40)
    assert task.generate(range(300), "test").factors["length"].min() >= 10
    assert task.generate(range(300), "train").factors["length"].min() < 4
    assert Parity(min_length=0, length=4).bounds("test") == (4, 4)
    assert Parity(length=4).bounds("test") == (4, 4)


def test_one_length_for_all() -> None:
    task = Parity(min_length=0, length=30)
    batch = task.generate(range(50))
    assert set(batch.factors["length"]) == {30}
    assert task.weights() == {30: 1.0}
    same = Parity(min_length=30, length=30).generate(range(50))
    assert set(same.factors["length"]) == {30}


def test_even_lengths_become_odd() -> None:
    task = ModularArithmetic(min_length=1, length=8)
    assert task.longest == 7
    drawn = task.lengths(keys(4000), "train")[:, 0]
    counts = np.bincount(drawn, minlength=8)
    assert counts[::2].sum() == 0
    assert stats.chisquare(counts[1::2]).pvalue > 1e-4


def test_numbers_of_contents() -> None:
    assert Parity(min_length=2, length=5).num_contents == 4 + 8 + 16 + 32
    assert Parity(min_length=60, length=61).num_contents == 2**60 + 2**61
    assert not Parity(min_length=60, length=61).partitioned
    assert Parity(min_length=1, length=61).partitioned, "single bits would be in all splits"
    assert Parity(length=2**16).partitioned
    assert not CumulativeParity(min_length=0, length=2**16).partitioned


def test_positions_that_are_scored() -> None:
    weights = {2: 0.5, 4: 0.5}
    assert lengths.over_positions(weights, every=True).tolist() == [1, 1, 0.5, 0.5]
    assert lengths.over_positions(weights, every=False).tolist() == [0, 0.5, 0, 0.5]


REFUSED = [
    ("parity", {"min_length": 41}, "min_length=41 exceeds length=40: needs <= 40"),
    ("parity", {"test_min_length": 2}, "test_min_length=2 exceeds test_length=0"),
    ("parity", {"length": 0}, "length: .*greater than or equal to 1, got 0"),
    ("parity", {"length": 2**16 + 1, "min_length": 1}, "length: .*less than or equal to 65536"),
    (
        "solve-equation",
        {"min_length": 2},
        "min_length=2 is too short for solve-equation: needs >= 3",
    ),
    ("solve-equation", {"min_length": 0, "length": 2}, "length=2 is too short .* needs >= 3"),
    ("solve-equation", {"test_length": 1}, "test_length=1 is too short .* needs >= 3"),
    ("binary-addition", {"length": 5000}, "length=5000 is too long .* needs <= 4096"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_what_cannot_be_is_refused(kind: str, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.make_task(kind, **fields)
