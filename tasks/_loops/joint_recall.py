"""Blocks of keys and values, written twice in different orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@njit(cache=True)
def write(content: Any, orders: Any, law: Any, text: Ids) -> None:
    """BOS, each context with its keys and values, SEP, and again in another order, as far as asked.

    With two levels the contexts stand in groups, each behind its group's id.

    Args:    content  sizes (B, 2): contexts C (and groups), keys K
                      groups (B, G), contexts (B, C'), names (B, K'): which ids are in use
                      values (B, G, C', K')
             orders   of groups the second (B, G)
                      of contexts by group, first and second (B, 2, G, C')
                      of keys by context, first and second (B, 2, G, C', K')
             law      the first ids of values, keys, contexts, groups; whether there are groups;
                      how many keys of a context are asked for, 0: all; how many ids of keys each
                      context has of its own, 0: none
             text     to be filled                                              (B, L)
    """
    sizes, groups, contexts, names, values = content
    of_groups, of_contexts, of_keys = orders
    value_id, key_id, context_id, group_id, grouped, num_asked, own = law
    for b in range(sizes.shape[0]):
        num_contexts, num_keys = sizes[b]
        text[b, 0] = 1
        t = 1
        for half in range(2):
            shown = num_asked if half and num_asked else num_keys
            for h in range(num_contexts if grouped else 1):
                g = of_groups[b, h] if half else h
                if grouped:
                    text[b, t] = group_id + groups[b, g]
                    t += 1
                for i in range(num_contexts):
                    c = of_contexts[b, half, g, i]
                    text[b, t] = context_id + contexts[b, c]
                    t += 1
                    for k in of_keys[b, half, g, c, :shown]:
                        text[b, t] = key_id + contexts[b, c] * own + names[b, k]
                        text[b, t + 1] = value_id + values[b, g, c, k]
                        t += 2
            if not half:
                text[b, t] = 2
                t += 1
