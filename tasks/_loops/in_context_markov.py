"""Markov chains with rows of their own, and predictors that count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, unit, word

FIRST, STEPS = 2, 3  # fields; 1 is the rows
Ids = NDArray[np.int64]


@njit(cache=True)
def stationary(limits: Any, law: Any) -> None:
    """The stationary law of one chain's contexts, without subtractions.

    Grassmann, Taksar and Heyman 1985: the last state is left out again and again, and what leads
    through it added to the others.  Shares are one part of 2^32 larger, so that none is 0.

    Args:    limits  as in `walk`, of one chain                                    (R, k - 1)
             law     to be filled                                                  (R,)
    """
    num_rows, num_states = limits.shape[0], limits.shape[1] + 1
    steps = np.zeros((num_rows, num_rows))
    for row in range(num_rows):
        low = 0.0
        for token in range(num_states):
            high = np.float64(limits[row, token]) if token < num_states - 1 else 2.0**32
            steps[row, (row * num_states + token) % num_rows] += high - low + 1.0
            low = high
    for n in range(num_rows - 1, 0, -1):
        total = 0.0
        for j in range(n):
            total += steps[n, j]
        for i in range(n):
            steps[i, n] /= total
            for j in range(n):
                steps[i, j] += steps[i, n] * steps[n, j]
    law[0] = total = 1.0
    for n in range(1, num_rows):
        law[n] = 0.0
        for i in range(n):
            law[n] += law[i] * steps[i, n]
        total += law[n]
    for n in range(num_rows):
        law[n] /= total


@njit(cache=True)
def start(keys: Any, limits: Any, rows: Ids) -> None:
    """The first context of each walk, drawn from the stationary law of its chain.      (B,)"""
    law = np.empty(limits.shape[1])
    for b in range(len(keys)):
        stationary(limits[b], law)
        drawn, row = unit(word(field_start(keys[b], FIRST, 0), 0)), 0
        while row < len(law) - 1 and drawn >= law[row]:
            drawn -= law[row]
            row += 1
        rows[b] = row


@njit(cache=True)
def walk(keys: Any, limits: Any, order: int, rows: Ids, tokens: Ids) -> None:
    """The first `order` tokens uniform or given, each other one by the row of those before it.

    Args:    limits  of a row, ends of the tokens' shares of 2^32, the last one left out (B, R, k-1)
             rows    the contexts that walks begin with, none: uniform tokens          (B,) or (0,)
             tokens  to be filled                                                      (B, L)
    """
    num_states, num_rows = limits.shape[2] + 1, limits.shape[1]
    for b in range(len(keys)):
        first, steps = field_start(keys[b], FIRST, 0), field_start(keys[b], STEPS, 0)
        row = 0
        for t in range(tokens.shape[1]):
            if t < order and len(rows):
                token = rows[b] // num_states ** (order - 1 - t) % num_states
            elif t < order:
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
