"""The draws of tasks.rng one at a time, for compiled loops: the same numbers, slot by slot.

start = field_start(key, field, attempt)      word(start, slot) = words(...)[slot], from 0
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tasks.rng import C1, C2, STEP

G, M1, M2 = np.uint64(STEP), np.uint64(C1), np.uint64(C2)
S27, S30, S31, S32, ONE = (np.uint64(n) for n in (27, 30, 31, 32, 1))


@njit(cache=True, inline="always")
def mix(z: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64."""
    z ^= z >> S30
    z *= M1
    z ^= z >> S27
    z *= M2
    return z ^ (z >> S31)


@njit(cache=True, inline="always")
def field_start(key: np.uint64, field: int, attempt: int) -> np.uint64:
    """Where the slots of a field begin."""
    return mix(np.uint64(key) ^ (np.uint64(field) * M1 + np.uint64(attempt) * M2))


@njit(cache=True, inline="always")
def word(start: np.uint64, slot: int) -> np.uint64:
    """The word of a slot, counted from 0."""
    return mix(np.uint64(start) + (np.uint64(slot) + ONE) * G)


@njit(cache=True, inline="always")
def below(drawn: np.uint64, high: int) -> np.int64:
    """A word as an integer in [0, high), high <= 2^32."""
    return np.int64(((np.uint64(drawn) >> S32) * np.uint64(high)) >> S32)


@njit(cache=True, inline="always")
def unit(drawn: np.uint64) -> float:
    """A word as a number in [0, 1): 53 bits."""
    return np.float64(np.uint64(drawn) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
