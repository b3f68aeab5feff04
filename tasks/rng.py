"""Random numbers without a state: every draw is a pure function of a key, a field and a slot.

word(key, field, attempt, slot) = mix( mix(key ^ (field C1 + attempt C2)) + slot G )   mod 2^64

with `mix` the finaliser of SplitMix64 (Steele, Lea and Flood 2014) and slot = 1, 2, ...
An example has a key, a use of chance within it (keys, values, filler, ...) has a field: one more
field never moves the draws of another, and no draw depends on the batch it was made in.

Only integer arithmetic and the IEEE operations + - * / decide an outcome, so a machine's
mathematical library cannot change the data.  Axes: B examples, N slots.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

U = np.uint64
MASK = 2**64 - 1
STEP = 0x9E3779B97F4A7C15  # G, 2^64 over the golden ratio: SplitMix64's increment
C1 = 0xBF58476D1CE4E5B9
C2 = 0x94D049BB133111EB
LN2 = 0.6931471805599453
SQRT2 = 1.4142135623730951


def mix(z: Words) -> Words:
    """The finaliser of SplitMix64, a bijection of 64-bit words, in place."""
    shifted = z >> U(30)
    z ^= shifted
    z *= U(C1)
    z ^= np.right_shift(z, U(27), out=shifted)
    z *= U(C2)
    z ^= np.right_shift(z, U(31), out=shifted)
    return z


def stream_key(parts: Sequence[Any]) -> int:
    """The first 8 bytes of blake2b of the canonical JSON of what names a stream."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def example_keys(stream: int, indices: Words) -> Words:
    """key_i = mix(stream + mix(i G + 1))                                            (B,)"""
    return mix(U(stream) + mix(indices * U(STEP) + U(1)))


def retry_keys(keys: Words, attempt: int) -> Words:
    """The keys of the same examples, drawn again; attempt 0 is the first draw.       (B,)"""
    return mix(keys + U(attempt * C2 & MASK)) if attempt else keys.copy()


def part_keys(keys: Words, part: int) -> Words:
    """Keys of its own for a part of a mixture: no draw of it tells how it was chosen.  (B,)"""
    return mix(keys + U((part + 1) * C1 & MASK))


def words(keys: Words, field: int, num: int, attempt: int = 0) -> Words:
    """Slots 1 to num of a field.                                                     (B, N)"""
    return words_at(keys, field, np.arange(num, dtype=U), attempt)


def words_at(keys: Words, field: int, slots: NDArray[Any], attempt: int = 0) -> Words:
    """The same words by number, counted from 0: (N,) for all examples, or (B, N).    (B, N)

    This is random access: the value that an example gives to key 37 is slot 37 of a field,
    whether or not it asks for any other.
    """
    start = mix(keys ^ U((field * C1 + attempt * C2) & MASK))
    return mix(start[:, None] + (slots.astype(U) + U(1)) * U(STEP))


def below(drawn: Words, high: int) -> Words:
    """Each word as an integer in [0, high); the bias is below high / 2^32."""
    assert 0 < high <= 2**32
    scaled = drawn >> U(32)
    scaled *= U(high)
    scaled >>= U(32)
    return scaled


def integers(keys: Words, field: int, num: int, high: int, attempt: int = 0) -> Integers:
    """Independent, uniform in [0, high).                                             (B, N)"""
    return below(words(keys, field, num, attempt), high).view(np.int64)


def integers_at(keys: Words, field: int, slots: NDArray[Any], high: int) -> Integers:
    """Uniform in [0, high), by slot number.                                          (B, N)"""
    return below(words_at(keys, field, slots), high).view(np.int64)


def repeats(drawn: Integers) -> NDArray[np.bool_]:
    """True where a slot equals an earlier slot of its row.                           (B, N)"""
    num = drawn.shape[1]
    shift = max(1, (num - 1).bit_length())
    packed = np.sort((drawn << shift) | np.arange(num), axis=1)  # by value, then by slot
    again = np.diff(packed >> shift, axis=1) == 0
    rows, places = np.nonzero(again)
    marks = np.zeros(drawn.shape, np.bool_)
    marks[rows, packed[rows, places + 1] & ((1 << shift) - 1)] = True
    return marks


def seen_before(shown: Integers, high: int) -> NDArray[np.bool_]:
    """True where a number of [0, high) stands earlier in its row, too.               (B, N)"""
    if high > 64:
        return repeats(shown)
    bit = U(1) << shown.astype(U)  # a set of numbers is a word: several times as fast
    so_far = np.bitwise_or.accumulate(bit, axis=1)
    before = np.zeros(shown.shape, np.bool_)
    before[:, 1:] = (so_far[:, :-1] & bit[:, 1:]) != 0
    return before


def _rows_with_repeats(drawn: Integers) -> NDArray[np.intp]:
    ordered = np.sort(drawn, axis=1)
    return np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))


def distinct(keys: Words, field: int, num: int, high: int) -> Integers:
    """Uniform over the ordered choices of `num` different integers of [0, high).     (B, N)

    A slot that repeats an earlier slot is drawn again until none does.  A slot never leaves a
    value that no earlier slot ends with, so this is sampling one after the other without
    replacement.  Where half or more is taken, a full random order costs less.
    """
    if num > high:
        raise ValueError(f"num={num} different integers do not fit below {high}: needs <= {high}")
    if 2 * num >= high:
        return permutation(keys, field, high)[:, :num]
    drawn = integers(keys, field, num, high)
    rows = _rows_with_repeats(drawn)
    attempt = 0
    while rows.size:
        attempt += 1
        some = drawn[rows]
        marks = repeats(some)
        some[marks] = integers(keys[rows], field, num, high, attempt)[marks]
        drawn[rows] = some
        rows = rows[_rows_with_repeats(some)]
    return drawn


def _smallest(scores: Words, num: int) -> Integers:
    """The places of the `num` smallest scores, in rising order, ties by place.       (B, N)

    The low bits of a score give way to its place: one plain sort is then an argsort, and no
    two entries are ever equal.
    """
    low = (1 << max(1, (scores.shape[1] - 1).bit_length())) - 1
    packed = (scores & U(MASK ^ low)) | np.arange(scores.shape[1], dtype=U)
    if 8 * num < scores.shape[1]:
        packed = np.partition(packed, num - 1, axis=1)[:, :num]
    packed.sort(axis=1)
    return (packed[:, :num] & U(low)).view(np.int64)


def permutation(keys: Words, field: int, size: int) -> Integers:
    """A uniform order of 0, 1, ..., size - 1.                                        (B, N)"""
    return _smallest(words(keys, field, size), size)


def orders(drawn: Words, sizes: NDArray[Any]) -> Integers:
    """Of each row a uniform order of 0, ..., size - 1, then the places left over, rising.

    Args:    drawn  random words                               (..., N)
             sizes  how many take part, at most N              (...)
    """
    num = drawn.shape[-1]
    low = (1 << max(1, (num - 1).bit_length())) - 1
    places = np.arange(num, dtype=U)
    high = np.where(places < sizes[..., None].astype(U), drawn >> U(1), U(MASK))
    packed = (high & U(MASK ^ low)) | places  # places that take no part come last
    packed.sort(axis=-1)
    return (packed & U(low)).view(np.int64)


def exponentials(drawn: Words) -> Floats:
    """-ln(v) with v = (floor(word / 2^12) + 1/2) / 2^52, to 1e-9: Exponential(1) variates.

    v = m 2^e with m in [1, 2), and ln m = ln c + 2 (s + s^3/3 + s^5/5 + ...) with
    s = (m - c) / (m + c), c = sqrt(2).  Basic operations only: the same bits everywhere.
    The series is cut behind s^9, which makes -ln(v) too large near v = 1, never negative.
    """
    v = (drawn >> U(12)).astype(np.float64)
    v += 0.5  # exact, and so is the power of two that is left to the exponent
    bits = v.view(U)
    exponent = (bits >> U(52)).astype(np.float64)
    bits &= U(2**52 - 1)
    bits |= U(1023 << 52)
    s = v - SQRT2  # v is m by now
    v += SQRT2
    s /= v
    square = np.multiply(s, s, out=v)
    series = square * (2 / 9)
    for odd in (7, 5, 3):
        series += 2 / odd
        series *= square
    series += 2.0
    series *= s
    exponent -= 1023.0 + 52.0 - 0.5
    exponent *= LN2
    series += exponent
    return np.negative(series, out=series)


@lru_cache(maxsize=64)
def power_weights(num: int, exponent: float) -> Floats:
    """j^exponent for j = 1, ..., num, correctly rounded: `decimal` is the same everywhere. (N,)"""
    exact = Context(prec=30)
    power = Decimal(exponent)
    values = [exact.exp(exact.multiply(exact.ln(Decimal(j)), power)) for j in range(1, num + 1)]
    weights = np.array([float(value) for value in values])
    weights.setflags(write=False)
    return weights


def weighted_distinct(keys: Words, field: int, num: int, weights: Floats) -> Integers:
    """Places drawn one after the other without replacement, in proportion to weights. (B, N)

    The exponential race: with E_j ~ Exponential(w_j), the places of the smallest E in rising
    order are distributed as `Generator.choice(replace=False, p=w, shuffle=False)` is.
    """
    if num > weights.size:
        raise ValueError(f"num={num} different places do not fit: needs <= {weights.size}")
    times = exponentials(words(keys, field, weights.size)) / weights
    return _smallest(times.view(U), num)  # positive floats are ordered as their bits are
