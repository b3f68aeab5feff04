"""Random trees in pre-order, and who is whose parent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, unit, word

Ids = NDArray[np.int64]


@njit(cache=True)
def grow(keys: NDArray[np.uint64], law: Any, tables: Any, arrays: Any) -> None:
    """Draw trees until one has a node to ask for, and choose among those.

    A node to ask for is the last of its symbol, and stands `distance` or more behind its parent.

    Args:    law     fields of shapes, of symbols, of the question; distance
             tables  first (A,): symbols of fewer children come first, by number of children;
                     ways (M + 1, M + 1): the share of strings of m symbols that fill s places
                     shares (M + 1, M + 1, A): how they divide by the first one's children
                     sizes (Z,): how many nodes a tree may have
             arrays  symbols (B, M), answer (B, 3): size, node, its parent; zeros at first
    """
    shape_field, symbol_field, question_field, distance = law
    first, ways, shares, sizes = tables
    symbols, answer = arrays
    most = symbols.shape[1]
    parents = np.empty(most, np.int64)
    pending = np.empty(ways.shape[1] + 1, np.int64)  # the parents of the places to fill
    last = np.empty(first[-1], np.int64)
    for b in range(len(keys)):
        for attempt in range(4096):
            shape = field_start(keys[b], shape_field, attempt)
            which = field_start(keys[b], symbol_field, attempt)
            size = sizes[below(word(shape, most), len(sizes))]
            last[:] = -1
            open_places, pending[0] = 1, -1
            for t in range(size):
                drawn = unit(word(shape, t)) * ways[size - t, open_places] * first[-1]
                children = _children(drawn, shares[size - t, open_places])
                symbol = first[children] + below(
                    word(which, t), first[children + 1] - first[children]
                )
                symbols[b, t], last[symbol] = symbol, t
                parents[t] = pending[open_places - 1]
                for i in range(len(first) - 2):  # as many as there may be: no branch; some unread
                    pending[open_places - 1 + i] = t
                open_places += children - 1
            node = _asked(parents, last, distance, field_start(keys[b], question_field, attempt))
            if node >= 0:
                symbols[b, size:] = 0
                answer[b, 0], answer[b, 1], answer[b, 2] = size, node, parents[node]
                break


@njit(cache=True)
def _children(left: float, shares: Any) -> int:
    """How many children the next node has: the first n with left < shares_0 + ... + shares_n.

    Without branches, for they could not be foreseen; rounding may leave something over, which goes
    to the last n that has a share.
    """
    found, looking = 0, True
    for children in range(len(shares)):
        share = shares[children]
        found = children if looking and share > 0.0 else found
        looking = looking and left >= share
        left -= share
    return found


@njit(cache=True)
def _asked(parents: Ids, last: Ids, distance: int, start: np.uint64) -> int:
    """One of the nodes that may be asked for; -1: there is none. `last` is spoilt."""
    num = 0
    for node in last:
        last[num] = node
        num += (node > 0) & (node - parents[node] >= distance)
    return last[below(word(start, 0), num)] if num else -1
