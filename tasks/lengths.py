"""Sequences of random lengths: uniform from a shortest to a longest, in test others if asked for.

Symbols have the ids from 1 on; 0 pads behind the sequence.  Axes: B examples, N symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.counting import MANY
from tasks.rng import MASK, Floats, Integers, U, Words, integers, words
from tasks.task import MANY_ENOUGH, Task

LENGTH = 0  # the field of the lengths; families number theirs from 1
LONGEST = 2**16
FEW = 2**10


class Ranged(Task):
    """Sequences whose lengths are uniform between two limits."""

    factors: ClassVar[dict[str, str]] = {"length": "symbols of the sequence"}
    least: ClassVar[int] = 1  # the shortest sequence that the task is defined for
    most: ClassVar[int] = LONGEST  # the longest whose chance can be told

    min_length: Annotated[
        int, Field(ge=0, le=LONGEST, description="the fewest symbols; 0: always `length`")
    ] = 1
    length: Annotated[int, Field(ge=1, le=LONGEST, description="the most symbols")] = 40
    test_min_length: Annotated[
        int, Field(ge=0, le=LONGEST, description="the fewest in test; 0: always `test_length`")
    ] = 0
    test_length: Annotated[
        int, Field(ge=0, le=LONGEST, description="the most in test; 0: lengths as in training")
    ] = 0

    def problems(self) -> Iterator[str]:
        for low, high in (("min_length", "length"), ("test_min_length", "test_length")):
            a, b = getattr(self, low), getattr(self, high)
            if a > b:
                yield f"{low}={a} exceeds {high}={b}: needs <= {b}, or a larger {high}"
            name, shortest = (low, a) if a else (high, b)
            if 0 < shortest < self.least:
                yield f"{name}={shortest} is too short for {self.kind}: needs >= {self.least}"
            if b > self.most:
                yield f"{high}={b} is too long for {self.kind}: needs <= {self.most}"

    def limits(self, split: str) -> tuple[int, int]:
        """The fewest and the most symbols that are asked for."""
        low, high = self.min_length, self.length
        if split == "test" and self.test_length:
            low, high = self.test_min_length, self.test_length
        return low or high, high

    def bounds(self, split: str) -> tuple[int, int]:
        """The fewest and the most symbols.

        Of lengths with less than FEW different sequences, validation and test would own a handful
        and repeat those: they are left to training, where there are longer ones.
        """
        low, high = self.limits(split)
        if split == "train":
            return low, high
        return _first(self, low, high), high  # pyright: ignore[reportArgumentType]

    def fitted(self, lengths: Any) -> Any:
        """The length that a sequence gets instead, where the task has not every length."""
        return lengths

    @property
    def longest(self) -> int:
        """The most symbols in any split."""
        return max(int(self.fitted(self.bounds(split)[1])) for split in ("train", "test"))

    def lengths(self, keys: Words, split: str) -> Integers:
        """How many symbols each sequence has.                                       (B, 1)"""
        low, high = self.bounds(split)
        return self.fitted(low + integers(keys, LENGTH, 1, high - low + 1))

    def weights(self) -> dict[int, float]:
        """How likely each length is in test."""
        low, high = self.bounds("test")
        found: dict[int, float] = {}
        for n in range(low, high + 1):
            fitted = int(self.fitted(n))
            found[fitted] = found.get(fitted, 0.0) + 1 / (high - low + 1)
        return found

    def best_constant(self, counts: Callable[[int], Any]) -> float:
        """The accuracy of the best constant, where counts(n) are the targets of each class to be
        expected of a sequence of n symbols.
        """
        total = sum(w * np.asarray(counts(n), np.float64) for n, w in self.weights().items())
        return float(np.max(total) / np.sum(total))

    def num_strings(self, length: int) -> int:
        """Different sequences of this length; fewer where some are likelier."""
        raise NotImplementedError

    @property
    def num_contents(self) -> int:
        """All sequences; but short ones are likely, and then they are too few not to meet."""
        return _count(self)  # pyright: ignore[reportArgumentType]


@lru_cache(maxsize=256)
def _first(task: Ranged, low: int, high: int) -> int:
    """The first length of FEW sequences or more."""
    many = (n for n in range(low, high) if task.num_strings(int(task.fitted(n))) >= FEW)
    return next(many, high)


@lru_cache(maxsize=256)
def _count(task: Ranged) -> int:
    shortest = min(task.limits(split)[0] for split in ("train", "test"))
    enough = task.num_strings(int(task.fitted(shortest))) >= MANY_ENOUGH
    most = MANY if enough else MANY_ENOUGH - 1
    found: set[int] = set()
    for split in ("train", "test"):
        low, high = task.limits(split)
        found |= {int(task.fitted(n)) for n in range(low, min(high, low + 64) + 1)}  # a bound
    total = 0
    for n in sorted(found):
        total += task.num_strings(n)
        if total >= most:
            return most
    return total


def inside(lengths: Integers, width: int) -> NDArray[np.bool_]:
    """True at the positions before the end of each sequence.                          (B, N)"""
    return np.arange(width, dtype=np.int32) < lengths.astype(np.int32)


def chosen(keys: Words, field: int, num: int, share: float, attempt: int = 0) -> NDArray[np.bool_]:
    """True with probability `share` < 1, independently, to 2^-64.                     (B, N)"""
    return words(keys, field, num, attempt) < U(int(share * 2**64))


def pack(symbols: NDArray[Any], size: int) -> Integers:
    """Symbols in [0, size) as few words: contents are hashed word by word.            (B, M)"""
    if size <= 2:
        narrow = np.packbits(symbols.astype(np.uint8), axis=1, bitorder="little")
    else:
        narrow = symbols.astype(_narrow(size)).view(np.uint8)
    whole = np.zeros((len(narrow), -(-narrow.shape[1] // 8) * 8), np.uint8)
    whole[:, : narrow.shape[1]] = narrow
    return whole.view("<u8").astype(np.int64)


def unpack(packed: Integers, size: int, num: int) -> NDArray[Any]:
    """The symbols again, in a narrow unsigned type.                                   (B, N)"""
    narrow = np.ascontiguousarray(packed).astype("<u8").view(np.uint8)
    if size <= 2:
        return np.unpackbits(narrow, axis=1, count=num, bitorder="little")
    return narrow.view(_narrow(size))[:, :num]


def _narrow(size: int) -> str:
    return "<u1" if size <= 2**8 else "<u2"


def coins(keys: Words, field: int, lengths: Integers, num: int, attempt: int = 0) -> Integers:
    """Fair bits up to the end of each sequence, packed: 64 from every word.           (B, M)"""
    drawn = words(keys, field, -(-num // 64), attempt)
    drawn &= first_bits(lengths, num)
    return drawn.view(np.int64)


def fair_bits(keys: Words, field: int, num: int) -> NDArray[np.uint8]:
    """Fair bits, one in each place: 64 from every word.                               (B, N)"""
    drawn = words(keys, field, -(-num // 64)).astype("<u8").view(np.uint8)
    return np.unpackbits(drawn, axis=1, count=num, bitorder="little")


def first_bits(lengths: Integers, num: int) -> Words:
    """Words whose bits are set up to the end of each sequence.                        (B, M)"""
    kept = np.clip(lengths - 64 * np.arange(-(-num // 64)), 0, 64).astype(U)
    return np.where(kept == 64, U(MASK), (U(1) << (kept & U(63))) - U(1))


def as_likely(share: float, num: int) -> int:
    """How many sequences of num symbols there are at least, if no symbol's share is larger.

    (1 / share)^num in whole numbers, counted up to MANY.
    """
    total = 2**64
    for _ in range(num):
        total = (total << 64) // int(share * 2**64)
        if total >= MANY << 64 or share >= 1:
            break
    return min(total >> 64, MANY)


def running(inputs: NDArray[Any]) -> Iterator[tuple[int, list[int]]]:
    """Each row's number and its ids less 1, up to the padding."""
    for i, row in enumerate(inputs.tolist()):
        yield i, [token - 1 for token in row[: row.index(0) if 0 in row else len(row)]]


def over_positions(weights: dict[int, float], *, every: bool) -> Floats:
    """How many targets a sequence has behind its 1st, 2nd, ... symbol, on average.       (N,)"""
    share = np.zeros(max(weights))
    for n, weight in weights.items():
        share[n - 1] = weight
    return np.cumsum(share[::-1])[::-1] if every else share
