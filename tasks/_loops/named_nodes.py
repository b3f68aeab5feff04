"""Different names for the nodes of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

Ids = NDArray[np.int64]


@njit(cache=True)
def choose(start: Any, num: int, offsets: Ids, scratch: Ids, stamp: int, out: Ids) -> None:
    """`num` different names into out[:num].

    A name is word 2 i (tokens) and word 2 i + 1 (letters) of the field, i rising with each try;
    where half or more are taken it is a shuffle that stops early.

    Args:    scratch  a place for every name, where this call leaves `stamp`, or numbers of names:
                      so that a stamp is negative, and another one in every call
    """
    count = offsets[-1]
    if 2 * num >= count:
        for i in range(count):
            scratch[i] = i
        for i in range(num):
            j = i + below(word(start, i), count - i)
            scratch[i], scratch[j] = scratch[j], scratch[i]
            out[i] = scratch[i]
        return
    tried = done = 0
    while done < num:
        kind = below(word(start, 2 * tried), len(offsets) - 1)
        size = offsets[kind + 1] - offsets[kind]
        name = offsets[kind] + below(word(start, 2 * tried + 1), size)
        tried += 1
        if scratch[name] != stamp:
            scratch[name] = stamp
            out[done] = name
            done += 1


@njit(cache=True)
def sets(keys: Any, field: int, num: int, offsets: Ids) -> Ids:
    """Different names for each key.                                                 (B, num)"""
    out = np.empty((len(keys), num), np.int64)
    scratch = np.full(offsets[-1], -1, np.int64)
    for b in range(len(keys)):
        choose(field_start(keys[b], field, 0), num, offsets, scratch, -2 - b, out[b])
    return out


@njit(cache=True)
def shuffle(start: Any, order: Ids) -> None:
    """A uniform order of what is in `order`, in place."""
    for i in range(len(order) - 1):
        j = i + below(word(start, i), len(order) - i)
        order[i], order[j] = order[j], order[i]


@njit(cache=True, inline="always")
def write(name: Any, at: int, spelled: Ids, sizes: Ids, row: Ids) -> Any:
    """The tokens of a name into row[at:]; where they end."""
    for i in range(sizes[name]):
        row[at + i] = spelled[name, i]
    return at + sizes[name]
