"""Many different numbers for each example, and filler that avoids those that are taken.

Where there are many, the same numbers come from compiled loops.  Axes: B examples, N numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.rng import Integers, Words, distinct, integers

FEW = 64  # numbers to skip, up to which one pass for each is faster than halving
MANY = 32  # numbers from which on compiled loops are worth their loading
TABLE = 2**16  # numbers of which a table is made for each example


def many_distinct(keys: Words, field: int, num: int, high: int) -> Integers:
    """`rng.distinct`, fast.                                                          (B, N)"""
    if num < MANY or 2 * num >= high:
        return distinct(keys, field, num, high)
    from tasks._loops.mqar import distinct as compiled

    return compiled(keys, field, num, high)


def avoiding(keys: Words, field: int, num: int, taken: Integers, high: int) -> NDArray[Any]:
    """Uniform over the numbers of [0, high) that are not taken.                      (B, N)

    Args: taken  different in each row, in any order                                  (B, M)
    """
    size = taken.shape[1]
    if size >= MANY and high <= TABLE:
        from tasks._loops.mqar import skipping as compiled

        return compiled(keys, field, num, taken, high)
    return skipping(integers(keys, field, num, high - size), np.sort(taken, axis=1), high)


def skipping(ranks: Integers, taken: Integers, high: int) -> NDArray[Any]:
    """The numbers of these ranks among the numbers of [0, high) that are not taken.

    rank + #{j : taken_j - j <= rank}: the ranks from taken_j - j on lie behind taken_j.

    Args:    ranks  counted from 0        (B, N)
             taken  rising in each row    (B, M)
    """
    narrow = np.int16 if high <= 2**15 else np.int32  # narrow: several times as fast
    here = ranks.astype(narrow)
    limits = (taken - np.arange(taken.shape[1])).astype(narrow)
    if taken.shape[1] > FEW:
        return here + _how_many(limits, here)
    behind = np.zeros(here.shape, np.int8)
    for j in range(taken.shape[1]):
        behind += (here >= limits[:, j : j + 1]).view(np.int8)
    return here + behind


def _how_many(limits: NDArray[Any], here: NDArray[Any]) -> NDArray[Any]:
    """Row by row #{j : limits_j <= here}, by halving: `searchsorted` of many rows.   (B, N)"""
    num, size = limits.shape
    width = 1 << (size - 1).bit_length()
    padded = np.full((num, width), np.iinfo(limits.dtype).max, limits.dtype)
    padded[:, :size] = limits
    start = np.arange(0, num * width, width, dtype=np.int32)[:, None]
    found = np.zeros(here.shape, np.int32)
    step = width >> 1
    while step:
        found += step * (padded.take(start + (found + (step - 1))) <= here)
        step >>= 1
    found += padded.take(start + found) <= here
    return found
