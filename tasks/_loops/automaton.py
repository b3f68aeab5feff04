"""Running finite automata."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def run(table: np.ndarray, starts: np.ndarray, symbols: np.ndarray, states: np.ndarray) -> None:
    """The state behind every symbol.

    Args:    table    next state, by state and symbol      (S, K)
             starts   the state before the first symbol    (B,)
             symbols  unsigned, narrow                     (B, N)
             states   written here                         (B, N)
    """
    for b in range(len(symbols)):
        state = starts[b]
        for t in range(symbols.shape[1]):
            state = table[state, symbols[b, t]]
            states[b, t] = state
