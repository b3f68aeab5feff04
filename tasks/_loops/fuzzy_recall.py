"""Pairs of keys and values of several tokens: drawing them one after the other, and writing them.

A tuple is its tokens counted from 1, and 0 where it has none: (3, 1, 0) has two of three.
Axes: B examples, N pairs and the last one, K tokens of a tuple at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks._loops.mqar import mark_repeats
from tasks._loops.rng import below, field_start, word
from tasks.batch import IGNORE

Array = NDArray[Any]
SIZES, QUESTION, PLACE, VALUE_SIZES = 1, 2, 3, 4
MOST = 16  # tokens of a tuple
KEYS, VALUES = 16, 48  # token i of a tuple has field KEYS + i or VALUES + i


class Law(NamedTuple):
    """What a task says of its pairs."""

    keys: int  # ids that keys are made of
    values: int
    full_keys: bool  # always of the largest size
    full_values: bool
    separated: bool
    room: int  # tokens ahead of the last pair
    length: int


@njit(cache=True)
def asked(keys: Array, law: Law, first: Array, second: Array) -> None:
    """Pairs as long as there is room, and one of their keys, uniformly, to end with.

    Args: first, second  tuples to fill, zero                           (B, N + 1, K)
    """
    last, scratch = first.shape[1] - 1, np.empty(MOST, np.int64)
    starts = np.empty(VALUES + MOST, np.uint64)
    for b in range(len(keys)):
        _begin(keys[b], first.shape[2], second.shape[2], starts)
        total, chosen, lowest = 0, 0, np.uint64(0)
        for j in range(last):
            code, size = _pair(starts, j, law, first[b, j], second[b, j], scratch)
            total += size + 2 * law.separated
            if total > law.room:
                first[b, j], second[b, j] = 0, 0
                break
            rank = word(starts[QUESTION], code)
            if j == 0 or rank < lowest:
                chosen, lowest = j, rank
        first[b, last], second[b, last] = first[b, chosen], second[b, chosen]


@njit(cache=True)
def inserted(keys: Array, law: Law, first: Array, second: Array) -> None:
    """Upstream's order: the last pair is drawn first, and shown from some place on."""
    last, scratch = first.shape[1] - 1, np.empty(MOST, np.int64)
    starts = np.empty(VALUES + MOST, np.uint64)
    for b in range(len(keys)):
        _begin(keys[b], first.shape[2], second.shape[2], starts)
        probe, own = _pair(starts, last, law, first[b, last], second[b, last], scratch)
        place = below(word(starts[PLACE], 0), law.length - 2 * own)
        limit = law.length - own - first.shape[2] - second.shape[2]
        total, fresh, j, shown = 0, 0, 0, False
        while total < limit:
            if total >= place and not shown:
                first[b, j], second[b, j] = first[b, last], second[b, last]
                code, size = probe, own
            else:
                code, size = _pair(starts, fresh, law, first[b, j], second[b, j], scratch)
                fresh += 1
            shown = shown or code == probe
            total += size
            j += 1


@njit(cache=True)
def _begin(key: np.uint64, most_keys: int, most_values: int, found: Array) -> None:
    """Where the fields begin, by number."""
    for field in range(SIZES, VALUE_SIZES + 1):
        found[field] = field_start(key, field, 0)
    for i in range(most_keys):
        found[KEYS + i] = field_start(key, KEYS + i, 0)
    for i in range(most_values):
        found[VALUES + i] = field_start(key, VALUES + i, 0)


@njit(cache=True)
def _pair(
    starts: Array, slot: int, law: Law, first: Array, second: Array, scratch: Array
) -> tuple[int, int]:
    """A new key and its value; the key's number, and the tokens of both.

    The value, and its size, are draws by the key's number: a key keeps its value.
    """
    most = len(first)
    size = most if law.full_keys else 1 + below(word(starts[SIZES], slot), most)
    _tuple(starts[KEYS:], slot, law.keys, first, scratch[:size])
    code = _number(first, law.keys)
    most = len(second)
    other = most if law.full_values else 1 + below(word(starts[VALUE_SIZES], code), most)
    _tuple(starts[VALUES:], code, law.values, second, scratch[:other])
    return code, int(size + other)


@njit(cache=True)
def _tuple(starts: Array, slot: int, num: int, out: Array, taken: Array) -> None:
    """Different tokens: the number drawn for a token is its rank among those that are left.

    Args: taken  room to keep them in rising order, as many as there should be
    """
    out[:] = 0
    for i in range(len(taken)):
        token = below(word(starts[i], slot), num - i)
        j = 0
        while j < i and taken[j] <= token:
            token += 1
            j += 1
        for later in range(i, j, -1):
            taken[later] = taken[later - 1]
        taken[j] = token
        out[i] = token + 1


class Form(NamedTuple):
    """Where ids begin, a separator below 0 being none; and what rows look like."""

    pad: int
    key: int
    value: int
    separator: int
    length: int
    right: bool  # up to the end of the row
    multi: bool  # each key that was seen before is due, not the last alone
    keys: int  # ids that keys are made of


@njit(cache=True)
def written(first: Array, second: Array, form: Form) -> tuple[Array, Array, Array, Array, Array]:
    """Rows of pairs, one after the other.

    The last pair has no separator behind it; a pair without a key takes no place.

    Returns: rows, and the answers at the tokens that are due           (B, L), (B, L)
             the number of the pair that is due at each, counted        (B, L)
             tokens written                                             (B,)
             positions from the last showing of the last key, or 0      (B,)
    """
    size, num, _ = first.shape
    row = np.full((size, form.length), form.pad)
    answers = np.full((size, form.length), IGNORE)
    spans = np.full((size, form.length), -1, np.int32)
    total, gap = np.zeros(size, np.int64), np.zeros(size, np.int64)
    codes, again = np.empty(num, np.int64), np.empty(num, np.bool_)
    table = np.empty(_twice(num), np.int64)
    for b in range(size):
        total[b] = _tokens(first[b], second[b], form, codes)
        mark_repeats(codes, table, again)
        t, due, end = form.length - total[b] if form.right else 0, 0, -1
        for j in range(num):
            if codes[j] == 0:
                continue
            last = j == num - 1
            if last and end >= 0:
                gap[b] = t - end + 1
            start = _put(row[b], t, first[b, j], form.key, form.separator)
            t = _put(row[b], start, second[b, j], form.value, -1 if last else form.separator)
            if last or (form.multi and again[j]):
                stop = start + _size(second[b, j])
                answers[b, start:stop] = row[b, start:stop]
                spans[b, start:stop] = due
                due += 1
            if codes[j] == codes[num - 1]:
                end = t
    return row, answers, spans, total, gap


@njit(cache=True)
def _tokens(first: Array, second: Array, form: Form, codes: Array) -> int:
    """How many tokens all pairs take; and each key's number, 0 for none."""
    total, between = 0, 2 * (form.separator >= 0)
    for j in range(len(first)):
        codes[j] = _number(first[j], form.keys)
        if codes[j]:
            total += _size(first[j]) + _size(second[j]) + between
    return total - between // 2


@njit(cache=True)
def _number(tokens: Array, ids: int) -> int:
    code = 0
    for token in tokens:
        code = code * (ids + 1) + token
    return code


@njit(cache=True)
def _twice(num: int) -> int:
    """The next power of two from 2 num on."""
    size = 4
    while size < 2 * num:
        size *= 2
    return size


@njit(cache=True)
def _put(row: Array, t: int, tokens: Array, begin: int, separator: int) -> int:
    """Write a tuple at t, and perhaps a separator; where it ends."""
    for token in tokens:
        if token:
            row[t] = token + begin - 1
            t += 1
    if separator >= 0:
        row[t] = separator
        t += 1
    return t


@njit(cache=True)
def _size(tokens: Array) -> int:
    count = 0
    for token in tokens:
        count += token > 0
    return count
