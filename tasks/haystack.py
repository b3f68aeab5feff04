"""Haystacks: long stretches of filler, and statements put into them at random depths.

Axes: B examples, L positions, N statements, W tokens of a statement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.batch import IGNORE, Batch
from tasks.rng import MASK, Integers, U, Words, distinct, integers, power_weights, words

LEVELS = np.round(np.linspace(0, 100, 40)).astype(np.int64)  # RULER's depths, in per cent
LEAST = 50  # positions of filler: with fewer, two levels would be one place
BITS = 14  # of a word that a table is looked up by


def straw(
    keys: Words, field: int, length: int, ids: range, *, zipf: float | None = None
) -> Integers:
    """Filler: the ids in a loop, or at random with p_j ~ j^-zipf.                    (B, L)"""
    if zipf is None:
        return np.tile(np.arange(length) % len(ids) + ids.start, (len(keys), 1))
    drawn = words(keys, field, length) & U(MASK - 1)  # below the last limit
    limits, first = _limits(len(ids), zipf)
    found = first[(drawn >> U(64 - BITS)).view(np.int64)]
    while (later := drawn >= limits[found]).any():
        found += later
    return found + ids.start


@lru_cache(maxsize=64)
def _limits(num: int, zipf: float) -> tuple[Words, Integers]:
    """Number j is drawn by words below limit j; and the first number by a word's first bits."""
    total = np.cumsum(power_weights(num, -zipf))
    limits = (total / total[-1] * 2.0**53).astype(U) << U(11)
    limits[-1] = MASK
    start = np.arange(2**BITS, dtype=U) << U(64 - BITS)
    return limits, np.searchsorted(limits, start, side="right")


def prefix(num: int, tokens: int) -> int:
    """How many tokens of `num` ids, `tokens` at most, make up to 2^32 different words."""
    found = 1
    while found < tokens and num ** (found + 1) <= 2**32:
        found += 1
    return found


def different(keys: Words, field: int, count: int, tokens: int, num: int) -> Integers:
    """Words of `tokens` ids of [0, num) which differ in their first tokens.   (B, count, tokens)

    As long as there are no more than 2^32 words they are uniform over all choices; of longer
    ones the first tokens are, and the rest is independent.
    """
    first = prefix(num, tokens)
    codes = distinct(keys, field, count, num**first)
    digits = codes[:, :, None] // num ** np.arange(first - 1, -1, -1) % num
    rest = integers(keys, field + 1, count * (tokens - first), num)
    return np.concatenate([digits, rest.reshape(len(keys), count, tokens - first)], axis=2)


def level_problems(num_facts: int, free: int, length: int, *, alone: bool) -> Iterator[str]:
    """Why so many facts cannot stand at different levels, in lines."""
    if not alone or num_facts > len(LEVELS):
        yield (
            f"depth=grid has no room for {num_facts} facts: needs a haystack other than "
            f"needles, and num_keys * num_values <= {len(LEVELS)}"
        )
    elif 0 <= free < LEAST:
        yield (
            f"length={length} leaves {free} positions for {len(LEVELS)} levels of "
            f"depth=grid: needs >= {length + LEAST - free}"
        )


def at_levels(keys: Words, field: int, num: int, free: int) -> Integers:
    """Gaps of `num` statements at different depths of `free` positions of filler.      (B, N)"""
    levels = LEVELS[distinct(keys, field, num, len(LEVELS))]
    return (2 * levels * free + 100) // 200  # so many per cent, rounded, halves up


def level_of(gaps: Integers, free: int) -> Integers:
    """Which of LEVELS, from 0, statements behind such gaps are at.                     (B,)"""
    return np.abs(LEVELS * free - 100 * gaps[:, None]).argmin(axis=1)


def placed(gaps: Integers, widths: Integers) -> Integers:
    """Where statements begin, that have so much filler before them.            (B, N)"""
    return gaps + np.cumsum(widths, axis=1) - widths


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """What each example has, in one row, also where there are no examples.          (B, M)"""
    return array.reshape(len(array), math.prod(array.shape[1:]))


def questions(  # noqa: PLR0913
    inputs: Integers,
    room: int,
    marks: tuple[int, int],
    asked: Integers,
    answers: Integers,
    value: int,
    factors: dict[str, Integers],
) -> Batch:
    """ASK key IS value value ... for each question; each token of a value is due ahead of it.

    Args: inputs  the text, written to from position `room` on;  marks  the ids ASK and IS
          asked  the keys' tokens (B, Q, K);  answers  the values' tokens (B, Q, A), `value` each
    """
    (size, num, tokens), answer = asked.shape, answers.shape[2]
    block = np.empty((size, num, 2 + tokens + answer), np.int64)
    block[:, :, 0], block[:, :, 1 : 1 + tokens], block[:, :, 1 + tokens] = marks[0], asked, marks[1]
    block[:, :, 2 + tokens :] = answers
    targets, spans = np.full(inputs.shape, IGNORE), np.full(inputs.shape, -1, np.int32)
    wanted, number = np.full(block.shape, IGNORE), np.full(block.shape[1:], -1)
    due = slice(1 + tokens, 1 + tokens + answer)
    wanted[:, :, due] = answers
    number[:, due] = np.arange(num * answer).reshape(num, -1) // value
    inputs[:, room:] = flat(block)[:, :-1]
    targets[:, room:] = flat(wanted)[:, :-1]
    spans[:, room:] = number.reshape(-1)[:-1]
    return replace(Batch.of(inputs, targets, **factors), spans=spans)
