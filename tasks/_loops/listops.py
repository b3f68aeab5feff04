"""ListOps expressions one token at a time: growing them, and reading them with a stack.

A node takes one word: its upper half says whether it is an operator, its lower half which
operator of how many arguments, or which digit.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tasks._loops.rng import below, field_start, word
from tasks.rng import Integers, Words

DIGIT, OPERATOR, CLOSE = 1, 11, 15  # ids: 0 pad, ten digits, MIN MAX MED SM, "]"
MIN, MAX, MED = 0, 1, 2
HALF = np.uint64(32)


@njit(cache=True)
def grow(
    start: np.uint64, slot: int, row: Integers, law: tuple[int, ...], ops: Integers, roots: Integers
) -> tuple[int, int]:
    """Write one tree into the row: its length, 0 if it exceeds `longest`, and the next slot.

    Each operator adds itself, its bracket and its arguments in the place of one node, so that
    the length is known, and a long tree given up, before it is written.
    """
    chances, max_depth, max_args, shortest, longest = law
    left = np.empty(max_depth, np.int64)  # arguments that the open operators still wait for
    n, depth, length = 0, 0, 1
    while True:
        drawn = word(start, slot)
        slot += 1
        forced = depth == 0 and shortest > 1  # a digit alone would be too short
        if depth + 1 < max_depth and (forced or np.int64(drawn >> HALF) < chances):
            choice = roots if depth == 0 else ops
            which = int(below(drawn << HALF, len(choice) * (max_args - 1)))
            num_args = 2 + which // len(choice)
            length += 1 + num_args
            if length > longest:
                return 0, slot
            row[n] = OPERATOR + choice[which % len(choice)]
            left[depth] = num_args
            n += 1
            depth += 1
            continue
        row[n] = DIGIT + below(drawn << HALF, 10)
        n += 1
        while depth > 0:
            left[depth - 1] -= 1
            if left[depth - 1] > 0:
                break
            row[n] = CLOSE
            n += 1
            depth -= 1
        if depth == 0:
            return length, slot


@njit(cache=True)
def value(op: int, counts: Integers) -> int:
    """What an operator makes of its arguments, counted by digit."""
    total = counts.sum()
    if op in (MIN, MAX):
        for i in range(10):
            digit = i if op == MIN else 9 - i
            if counts[digit]:
                return digit
    if op == MED:  # the mean of the two middle ones, cut off
        lower = upper = -1
        seen = 0
        for digit in range(10):
            seen += counts[digit]
            if lower < 0 and 2 * seen >= total:
                lower = digit
            if upper < 0 and 2 * seen > total:
                upper = digit
        return (lower + upper) // 2
    result = 0
    for digit in range(10):
        result += digit * counts[digit]
    return result % 10


@njit(cache=True)
def measure(row: Integers, counts: Integers) -> tuple[int, int, int, int]:
    """Value, length, depth and number of operators; `counts` (depth, 10) is room to work in."""
    ops = np.empty(len(counts), np.int64)
    open_ops, deepest, num_ops = 0, 1, 0
    for n in range(len(row)):
        token = row[n]
        if OPERATOR <= token < CLOSE:
            ops[open_ops] = token - OPERATOR
            counts[open_ops, :] = 0
            open_ops += 1
            num_ops += 1
            deepest = max(deepest, open_ops + 1)
            continue
        if token == CLOSE:
            open_ops -= 1
            digit = value(ops[open_ops], counts[open_ops])
        else:
            digit = token - DIGIT
        if open_ops == 0:
            return digit, n + 1, deepest, num_ops
        counts[open_ops - 1, digit] += 1
    return -1, 0, 0, 0


@njit(cache=True)
def draw(
    keys: Words,
    fields: tuple[int, int],
    law: tuple[int, ...],
    ops: Integers,
    roots: Integers,
    balance: bool,  # noqa: FBT001
) -> Integers:
    """Trees of a length in [shortest, longest], drawn until one has it, ids.            (B, L)

    With `balance` the value is drawn first, and trees until one has it, too.
    """
    _, max_depth, _, shortest, longest = law
    rows = np.empty((len(keys), longest + 1), np.int64)
    counts = np.empty((max_depth, 10), np.int64)
    for b in range(len(keys)):
        row = rows[b]
        start = field_start(keys[b], fields[0], 0)
        wanted = below(word(field_start(keys[b], fields[1], 0), 0), 10) if balance else -1
        slot, length = 0, 0
        while length < shortest or (balance and measure(row, counts)[0] != wanted):
            length, slot = grow(start, slot, row, law, ops, roots)
        row[length:] = 0
    return rows


@njit(cache=True)
def measure_all(rows: Integers, max_depth: int) -> Integers:
    """Value, length, depth and number of operators of each.                              (4, B)"""
    found = np.empty((4, len(rows)), np.int64)
    counts = np.empty((max_depth, 10), np.int64)
    for b in range(len(rows)):
        found[:, b] = measure(rows[b], counts)
    return found
