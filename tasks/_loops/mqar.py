"""Draws of many different numbers for each example, compiled: those of tasks.rng, bit by bit.

Axes: B examples, N numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.rng import below, field_start, word

Array = NDArray[Any]
ONE, ALL = np.uint64(1), np.uint64(2**64 - 1)
BYTES, TOPS, PAIRS, FOURS, NIBBLES = (
    np.uint64(byte * 0x0101010101010101) for byte in (0x01, 0x80, 0x55, 0x33, 0x0F)
)
IN_BYTE = np.array(  # the places of the set bits of each byte, by rank
    [([j for j in range(8) if byte >> j & 1] + 8 * [0])[:8] for byte in range(256)]
)


@njit(cache=True)
def distinct(keys: Array, field: int, num: int, high: int) -> Array:
    """`rng.distinct` where 2 num < high.                                             (B, N)"""
    found = np.empty((len(keys), num), np.int64)
    marks = np.empty(num, np.bool_)
    size = 4
    while size < 4 * num:
        size *= 2
    table = np.empty(size, np.int64)  # the slots by value, to be probed
    for b in range(len(keys)):
        row = found[b]
        marks[:] = True
        attempt, left = 0, num
        while left:
            start = field_start(keys[b], field, attempt)
            for slot in range(num):
                if marks[slot]:
                    row[slot] = below(word(start, slot), high)
            left = mark_repeats(row, table, marks)
            attempt += 1
    return found


@njit(cache=True)
def mark_repeats(row: Array, table: Array, marks: Array) -> int:
    """True where a slot equals an earlier one; how many there are.

    Args: table  at least twice as many places as slots, a power of two
    """
    table[:] = -1
    last, count = len(table) - 1, 0
    for slot in range(len(row)):
        value = row[slot]
        place = (value * 0x9E3779B1 >> 7) & last
        while table[place] >= 0 and table[place] != value:
            place = (place + 1) & last
        marks[slot] = table[place] == value
        count += marks[slot]
        table[place] = value
    return count


@njit(cache=True)
def skipping(keys: Array, field: int, num: int, taken: Array, high: int) -> Array:
    """Numbers of [0, high) that are not taken, drawn by rank, as `filler.skipping` counts. (B, N)

    The free numbers are the bits of words, with the count of those before each word: a rank is
    looked for from where it would be if the free ones were spread evenly.

    Args: taken  different numbers, in any order                                      (B, M)
    """
    left = high - taken.shape[1]
    found = np.empty((len(keys), num), np.int64)
    size = (high + 63) // 64
    free = np.empty(size, np.uint64)
    before = np.empty(size + 1, np.int64)
    for b in range(len(keys)):
        free[:] = ALL
        if high & 63:
            free[size - 1] = (ONE << np.uint64(high & 63)) - ONE
        for number in taken[b]:
            free[number >> 6] &= ~(ONE << np.uint64(number & 63))
        before[0] = 0
        for w in range(size):
            before[w + 1] = before[w] + _total(np.uint64(free[w]))
        start = field_start(keys[b], field, 0)
        for slot in range(num):
            rank = below(word(start, slot), left)
            w = rank * size // left
            while before[w] > rank:
                w -= 1
            while before[w + 1] <= rank:
                w += 1
            found[b, slot] = 64 * w + _select(np.uint64(free[w]), np.uint64(rank - before[w]))
    return found


@njit(cache=True, inline="always")
def _counts(bits: np.uint64) -> np.uint64:
    """How many bits each byte has, in that byte."""
    pairs = bits - ((bits >> ONE) & PAIRS)
    fours = (pairs & FOURS) + ((pairs >> np.uint64(2)) & FOURS)
    return (fours + (fours >> np.uint64(4))) & NIBBLES


@njit(cache=True, inline="always")
def _total(bits: np.uint64) -> np.int64:
    return np.int64((_counts(bits) * BYTES) >> np.uint64(56))


@njit(cache=True, inline="always")
def _select(bits: np.uint64, rank: np.uint64) -> int:
    """The place of the set bit of this rank: its byte by the counts up to each, then in it."""
    upto = _counts(bits) * BYTES  # byte j: the bits of bytes 0 to j
    full = ((((rank * BYTES) | TOPS) - upto) & TOPS) >> np.uint64(7)  # bytes with upto <= rank
    shift = ((full * BYTES) >> np.uint64(56)) << np.uint64(3)
    rank -= ((upto << np.uint64(8)) >> shift) & np.uint64(255)
    byte = (bits >> shift) & np.uint64(255)
    return np.int64(shift) + IN_BYTE[np.int64(byte), np.int64(rank)]
