"""Biographies, token by token."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@njit(cache=True)
def write(people: Ids, facts: Ids, attributes: Any, scored: int, arrays: Any) -> None:
    """BOS, the name, then each attribute's marker and value. The last token is a target only.

    Args:    people      whose they are                                    (B,)
             facts       names and values of everyone                      (N, K)
             attributes  their order (B, A); markers in that order (B, A); where the values of
                         each start in facts, and where the last one stops (A + 1,)
             scored      the first column of facts that is a target
             arrays      inputs, targets, spans, at first 0, IGNORE, -1 everywhere      (B, L)
    """
    order, markers, columns = attributes
    inputs, targets, spans = arrays
    for b in range(len(people)):
        known = facts[people[b]]
        t = columns[0]  # tokens behind BOS
        for column in range(t):
            inputs[b, column + 1] = known[column]
            if column >= scored:
                targets[b, column], spans[b, column] = known[column], 0
        for j in range(order.shape[1]):
            k = order[b, j]
            inputs[b, t + 1] = markers[b, j]
            t += 1
            for column in range(columns[k], columns[k + 1]):
                targets[b, t], spans[b, t] = known[column], k + 1
                if t + 1 < inputs.shape[1]:
                    inputs[b, t + 1] = known[column]
                t += 1
