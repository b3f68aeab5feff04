"""Walks through a grammar of states, with gaps in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

GAPS, STEPS, NOISE = 1, 2, 3  # fields
LOW = np.uint64(2**32 - 1)
Ids = NDArray[np.int64]


@njit(cache=True)
def walk(keys: Any, law: Any, arrays: Any) -> None:
    """A gap with probability limit / 2^32, else the symbol of a random successor, or any symbol
    in its place with probability noise / 2^32, which is no target.

    Args:    law     successors of every state (S, m), symbols of states (S,), limit, noise,
                     gap ids, the IGNORE of targets
             arrays  tokens (B, L + 1), targets (B, L), to be filled
    """
    successors, symbols, limit, noise, num_gaps, ignore = law
    tokens, targets = arrays
    first_gap = symbols.max() + 1
    for b in range(len(keys)):
        gaps, steps = field_start(keys[b], GAPS, 0), field_start(keys[b], STEPS, 0)
        noises = field_start(keys[b], NOISE, 0)
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
                drawn = word(noises, t)
                if (drawn >> np.uint64(32)) < noise and not must:
                    tokens[b, t] = below((drawn & LOW) << np.uint64(32), first_gap)
                    target = ignore
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


@njit(cache=True)
def believe(inputs: Ids, grammar: Any, noise: float, probs: Any) -> None:
    """The law of the walk's next symbol behind each position, over all walks there may be.

    Args:    grammar  successors (S, m), symbols (S,)
             probs    to be filled                                              (B, L, V)
    """
    successors, symbols = grammar
    num_states, num_out = successors.shape
    num_symbols = probs.shape[2]
    for b in range(inputs.shape[0]):
        here = np.zeros(num_states)
        here[0] = 1.0
        there = np.zeros(num_states)  # the states behind one step more
        for t in range(inputs.shape[1] + 1):
            there[:] = 0.0
            for s in range(num_states):
                for e in range(num_out):
                    there[successors[s, e]] += here[s] / num_out
            if t:
                for s in range(num_states):
                    probs[b, t - 1, symbols[s]] += there[s]
            if t == inputs.shape[1] or inputs[b, t] >= num_symbols:
                continue
            for s in range(num_states):
                there[s] *= noise / num_symbols + (1 - noise) * (symbols[s] == inputs[b, t])
            here[:] = there / there.sum()
