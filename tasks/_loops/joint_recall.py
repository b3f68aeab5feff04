"""Blocks of keys and values, written twice in different orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@njit(cache=True)
def write(content: Any, first: Any, arrays: Any) -> None:
    """BOS, each context with its keys and values, SEP, all of them again in another order.

    Args:    content  sizes (B, 2): contexts C, keys K
                      contexts (B, C'), names (B, K'): which ids are in use
                      values (B, C', K')
                      blocks (B, C'): the second order of contexts
                      before, after (B, C', K'): the orders of keys, by context
             first    the first ids of values, keys, contexts
             arrays   inputs, targets, to be filled                          (B, L)
    """
    sizes, contexts, names, values, blocks, before, after = content
    value_id, key_id, context_id = first
    inputs, targets = arrays
    for b in range(sizes.shape[0]):
        num_contexts, num_keys = sizes[b]
        inputs[b, 0] = 1
        t = 1
        for half in range(2):
            for i in range(num_contexts):
                c = blocks[b, i] if half else i
                inputs[b, t] = context_id + contexts[b, c]
                t += 1
                for j in range(num_keys):
                    k = after[b, c, j] if half else before[b, c, j]
                    inputs[b, t] = key_id + names[b, k]
                    inputs[b, t + 1] = value_id + values[b, c, k]
                    if half:
                        targets[b, t] = value_id + values[b, c, k]
                    t += 2
            if not half:
                inputs[b, t] = 2
                t += 1
