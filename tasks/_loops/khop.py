"""Hops of k-hop induction."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@njit(cache=True)
def hop(letters: Ids, hops: Ids, num_letters: int) -> Ids:
    """Where hops[b] hops lead from each position; -1: they cannot be made.          (B, L)

    Args:    letters  ids below num_letters    (B, L)
             hops                              (B,)
    """
    num, length = letters.shape
    found = np.empty((num, length), np.int64)
    after = np.empty(length, np.int64)  # where one hop leads
    last = np.empty(num_letters, np.int64)
    for b in range(num):
        last[:] = -2
        for t in range(length):
            after[t] = last[letters[b, t]] + 1
            last[letters[b, t]] = t
            place = t
            for _ in range(hops[b]):
                if place >= 0:
                    place = after[place]
            found[b, t] = place
    return found
