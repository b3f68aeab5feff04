"""Walks through a grammar of states, with gaps in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

GAPS, STEPS = 1, 2  # fields
Ids = NDArray[np.int64]


@njit(cache=True)
def walk(keys: Any, law: Any, arrays: Any) -> None:
    """A gap with probability limit / 2^32, else the symbol of a random successor.

    Args:    law     successors of every state (S, m), symbols of states (S,), limit, gap ids,
                     the IGNORE of targets
             arrays  tokens (B, L + 1), targets (B, L), to be filled
    """
    successors, symbols, limit, num_gaps, ignore = law
    tokens, targets = arrays
    first_gap = symbols.max() + 1
    for b in range(len(keys)):
        gaps, steps = field_start(keys[b], GAPS, 0), field_start(keys[b], STEPS, 0)
        state, scored, last = 0, False, tokens.shape[1] - 1
        for t in range(tokens.shape[1]):
            drawn = word(steps, t)
            must = t == last and not scored  # one target at least
            if (word(gaps, t) >> np.uint64(32)) < limit and not must:
                tokens[b, t] = first_gap + below(drawn, num_gaps)
                target = ignore
            else:
                state = successors[state, below(drawn, successors.shape[1])]
                tokens[b, t] = target = symbols[state]
            if t:
                targets[b, t - 1] = target
                scored |= target != ignore


@njit(cache=True)
def follow(inputs: Ids, successors: Ids, symbols: Ids, states: Ids) -> None:
    """The state behind each position, -1 from where no walk goes on as the inputs do. (B, L)"""
    first_gap = symbols.max() + 1
    for b in range(inputs.shape[0]):
        state = 0
        for t in range(inputs.shape[1]):
            if state >= 0 and inputs[b, t] < first_gap:
                after = -1
                for e in range(successors.shape[1]):
                    if symbols[successors[state, e]] == inputs[b, t]:
                        after = successors[state, e]
                state = after
            states[b, t] = state
