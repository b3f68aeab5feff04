"""Pushing to and popping from stacks or queues."""

from __future__ import annotations

import numpy as np
from numba import njit

from tasks._loops.rng import S32, below, field_start, word


@njit(cache=True)
def operations(
    keys: np.ndarray,
    options: tuple[int, int, int, int],
    push: int,
    tokens: np.ndarray,
) -> None:
    """Pushes j K + x of item x to store j, and pops J K + j; all drawn again if there is no pop.

    Args:    options  stores J, items K, the most in a store, the field of the draws
             push     2^32 times the probability to push where both are possible
             tokens   written here                                                      (B, L)
    """
    stores, items, most, field = options
    held = np.zeros(stores, np.int64)
    for b in range(len(keys)):
        attempt, popped = 0, False
        while not popped:
            start = field_start(keys[b], field, attempt)
            held[:] = 0
            for t in range(tokens.shape[1]):
                j = below(word(start, 3 * t), stores)
                more = held[j] == 0 or (held[j] < most and word(start, 3 * t + 1) >> S32 < push)
                if more:
                    tokens[b, t] = j * items + below(word(start, 3 * t + 2), items)
                    held[j] += 1
                else:
                    tokens[b, t] = stores * items + j
                    held[j] -= 1
                    popped = True
            attempt += 1


@njit(cache=True)
def popped_items(
    tokens: np.ndarray,
    options: tuple[int, int, bool],
    answers: np.ndarray,
    waits: np.ndarray,
) -> None:
    """The item that each pop takes out.

    Args:    options  stores, items, whether the last item in is the first one out
             answers  written where a pop is                                     (B, L)
             waits    the longest way from a push to its pop, written here       (B,)
    """
    stores, items, lifo = options
    length = tokens.shape[1]
    pushed = np.empty((stores, length), np.int64)  # at which positions
    low, high = np.zeros(stores, np.int64), np.zeros(stores, np.int64)
    for b in range(len(tokens)):
        low[:], high[:] = 0, 0
        for t in range(length):
            token = tokens[b, t]
            if token < stores * items:
                j = token // items
                pushed[j, high[j]] = t
                high[j] += 1
                continue
            j = token - stores * items
            if lifo:
                high[j] -= 1
                when = pushed[j, high[j]]
            else:
                when = pushed[j, low[j]]
                low[j] += 1
            answers[b, t] = tokens[b, when] % items
            waits[b] = max(waits[b], t - when)
