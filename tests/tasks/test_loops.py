"""Compiled draws are those of tasks.rng."""

from __future__ import annotations

import numpy as np

from tasks import rng
from tasks._loops import rng as compiled


def word_at(start: np.uint64, slot: int) -> np.uint64:
    """Called from Python, numba returns an int; handed back, it would be read as signed."""
    return np.uint64(compiled.word(start, slot))


def test_words_are_the_same() -> None:
    keys = rng.example_keys(77, np.arange(5, dtype=rng.U))
    for attempt in (0, 3):
        expected = rng.words(keys, 6, 9, attempt)
        for b, key in enumerate(keys):
            start = np.uint64(compiled.field_start(key, 6, attempt))
            assert [word_at(start, slot) for slot in range(9)] == expected[b].tolist()


def test_numbers_are_the_same() -> None:
    keys = rng.example_keys(5, np.arange(400, dtype=rng.U))
    for high in (1, 2, 7, 1000, 2**32):
        expected = rng.integers(keys, 2, 3, high)
        starts = [np.uint64(compiled.field_start(key, 2, 0)) for key in keys]
        found = [[compiled.below(word_at(s, slot), high) for slot in range(3)] for s in starts]
        assert found == expected.tolist()


def test_unit_numbers_are_uniform() -> None:
    keys = rng.example_keys(9, np.arange(2000, dtype=rng.U))
    drawn = np.array([compiled.unit(word) for word in rng.words(keys, 1, 1)[:, 0]])
    assert 0 <= drawn.min() < 0.01 < 0.99 < drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 4 * (1 / 12 / 2000) ** 0.5
