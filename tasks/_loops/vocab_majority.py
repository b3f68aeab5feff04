"""Sequences in which one symbol is the most frequent."""

from __future__ import annotations

import numpy as np
from numba import njit

from tasks._loops.rng import below, field_start, word


@njit(cache=True)
def without_tie(
    keys: np.ndarray, lengths: np.ndarray, size: int, field: int, symbols: np.ndarray
) -> None:
    """Uniform symbols in [0, size), all of them drawn again while two are the most frequent.

    Args:    lengths  symbols of each sequence              (B,)
             symbols  0 behind the end, written here        (B, N)
    """
    counts = np.zeros(size, np.int64)
    for b in range(len(keys)):
        attempt = 0
        tie = True
        while tie:
            start = field_start(keys[b], field, attempt)
            counts[:] = 0
            for t in range(lengths[b]):
                drawn = below(word(start, t), size)
                symbols[b, t] = drawn
                counts[drawn] += 1
            most = counts.max()
            tie = (counts == most).sum() > 1
            attempt += 1
