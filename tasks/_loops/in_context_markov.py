"""Markov chains with rows of their own, and predictors that count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

FIRST, STEPS = 2, 3  # fields; 1 is the rows
Ids = NDArray[np.int64]


@njit(cache=True)
def walk(keys: Any, limits: Any, order: int, tokens: Ids) -> None:
    """The first `order` tokens uniform, each other one by the row of those before it.

    Args:    limits  of a row, ends of the tokens' shares of 2^32, the last one left out (B, R, k-1)
             tokens  to be filled                                                      (B, L)
    """
    num_states, num_rows = limits.shape[2] + 1, limits.shape[1]
    for b in range(len(keys)):
        first, steps = field_start(keys[b], FIRST, 0), field_start(keys[b], STEPS, 0)
        row = 0
        for t in range(tokens.shape[1]):
            if t < order:
                token = below(word(first, t), num_states)
            else:
                drawn = word(steps, t) >> np.uint64(32)
                token = 0
                for j in range(num_states - 1):
                    token += drawn >= limits[b, row, j]
            tokens[b, t] = token
            row = (row * num_states + token) % num_rows


@njit(cache=True)
def count(inputs: Ids, law: Any, probs: Any) -> None:
    """(count(c, y) + a) / (count(c) + k a) of each y behind each position, from what was read.

    Args:    law    states k, tokens of a context c, pseudo-count a
             probs  to be filled; 1 / k where the context is not whole yet          (B, L, k)
    """
    num_states, order, alpha = law
    num_rows = num_states**order
    counts = np.zeros((num_rows, num_states))
    totals = np.zeros(num_rows)
    for b in range(inputs.shape[0]):
        counts[:] = 0
        totals[:] = 0
        row = 0
        for t in range(inputs.shape[1]):
            token = inputs[b, t]
            if t >= order:
                counts[row, token] += 1
                totals[row] += 1
            row = (row * num_states + token) % num_rows
            for y in range(num_states):
                if t + 1 < order:
                    probs[b, t, y] = 1 / num_states
                else:
                    share = counts[row, y] + alpha
                    probs[b, t, y] = share / (totals[row] + num_states * alpha)
