"""Filler and choices of many numbers: the compiled loops against the plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import filler, rng
from tasks._loops import mqar as compiled

KEYS = rng.example_keys(7, np.arange(60, dtype=rng.U))


@pytest.mark.parametrize("width", [1, 3, 20, 70, 130])
@pytest.mark.parametrize("high", [200, 2**15, 2**15 + 1, 2**31])
def test_skipping_counts_what_is_free(width: int, high: int) -> None:
    """Both ways of counting, in both widths, against a plain list."""
    size = min(high, 10**5)
    fresh = np.random.default_rng(width)
    taken = np.sort([fresh.choice(size, width, replace=False) for _ in range(5)], 1)
    ranks = fresh.integers(0, size - width, (5, 31))
    ranks[:, :2] = 0, size - width - 1
    found = filler.skipping(ranks, taken, high)
    for row, used, numbers in zip(found, taken, ranks, strict=True):
        assert np.array_equal(row, np.setdiff1d(np.arange(size), used)[numbers])
    if high == 200:
        every = filler.skipping(np.arange(200 - width)[None], taken[:1], high)[0]
        assert sorted([*every.tolist(), *taken[0].tolist()]) == list(range(200))


@pytest.mark.parametrize(
    ("num", "high"),
    [(1, 3), (4, 4095), (33, 4096), (256, 4095), (256, 513), (100, 201), (300, 2**32)],
)
def test_compiled_choices_are_the_same(num: int, high: int) -> None:
    found = compiled.distinct(KEYS, 3, num, high)
    assert np.array_equal(found, rng.distinct(KEYS, 3, num, high))
    assert found.dtype == np.int64
    assert np.array_equal(filler.many_distinct(KEYS, 3, num, high), found)


@pytest.mark.parametrize(("num", "high"), [(32, 64), (40, 41), (64, 100)])
def test_choices_of_more_than_half(num: int, high: int) -> None:
    found = filler.many_distinct(KEYS, 3, num, high)
    assert np.array_equal(found, rng.distinct(KEYS, 3, num, high))


@pytest.mark.parametrize(
    ("size", "high"),
    [(1, 9), (8, 9), (32, 33), (31, 64), (32, 64), (63, 65), (512, 8191), (70, 65536), (90, 70000)],
)
def test_compiled_filler_is_the_same(size: int, high: int) -> None:
    """Free numbers of one word and of many, one of them and nearly all."""
    fresh = np.random.default_rng(size)
    taken = np.array([fresh.permutation(high)[:size] for _ in KEYS])
    ranks = rng.integers(KEYS, 4, 37, high - size)
    expected = filler.skipping(ranks, np.sort(taken, axis=1), high)
    assert np.array_equal(compiled.skipping(KEYS, 4, 37, taken, high), expected)
    assert np.array_equal(filler.avoiding(KEYS, 4, 37, taken, high), expected)


def test_filler_where_what_is_taken_lies_together() -> None:
    """The guess of where a rank stands is as wrong as it can be."""
    for first in (0, 3000, 7000):
        taken = np.tile(np.arange(first, first + 1191), (len(KEYS), 1))
        expected = filler.skipping(rng.integers(KEYS, 4, 90, 7000), taken, 8191)
        assert np.array_equal(compiled.skipping(KEYS, 4, 90, taken, 8191), expected)
