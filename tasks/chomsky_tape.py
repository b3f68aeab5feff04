"""The context-sensitive tasks on strings: a tape of the string's size is enough.

    duplicate-string        0 1 1 e e e e e e       0 1 1 0 1 1
    missing-duplicate       0 1 1 0 0 ? 1 0 e       1
    odds-first              0 1 0 1 1 e e e e e     0 0 1 1 1
    bucket-sort             3 0 4 0 e e e e         0 0 3 4

Source, Differs: see tasks/chomsky.py.  Odd places are the first, third, ... as in the paper;
         upstream's code counts from 0.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.chomsky import CHOICE, SYMBOLS, Rewriting, SymbolString, published
from tasks.counting import power
from tasks.lengths import fair_bits, inside
from tasks.rng import Integers, Words, integers

MISSING, FILLER = 2, 3


class DuplicateString(SymbolString, kind="duplicate-string"):
    """Duplicate string: write the string twice."""

    def room(self, lengths: Any) -> Any:
        return 2 * lengths

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        places = np.arange(2 * strings.shape[1])
        again = np.minimum(places - lengths * (places >= lengths), strings.shape[1] - 1)
        return np.take_along_axis(strings, again, axis=1)

    def solve(self, string: list[int]) -> list[int]:
        return string + string


class MissingDuplicate(Rewriting, kind="missing-duplicate"):
    """Missing duplicate: bits twice, with one replaced by a blank; which was it?

    An odd length ends with a filler symbol; the string of length 1 is the bit 1, its own answer.
    """

    @property
    def symbols(self) -> dict[str, int]:
        return {"bit": 2, "missing": 1, "filler": 1}

    @property
    def num_classes(self) -> int:
        return 2

    @property
    def chance(self) -> float:
        """Always 1, which is right for the string of length 1."""
        return self.best_constant(lambda n: (0, 1) if n == 1 else (0.5, 0.5))

    def num_strings(self, length: int) -> int:
        return power(2, length // 2) * max(1, length - length % 2)

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        width, half = self.longest, lengths // 2
        drawn = integers(keys, CHOICE, 1, 2**32) * (2 * half) // 2**32
        bits = fair_bits(keys, SYMBOLS, max(1, width // 2))
        places = np.arange(width)
        copy = np.clip(places - half * (places >= half), 0, bits.shape[1] - 1)
        strings = np.take_along_axis(bits, copy, axis=1)
        strings[lengths[:, 0] == 1] = 1
        np.put_along_axis(strings, drawn, np.where(half > 0, MISSING, 1), axis=1)
        strings[(places == 2 * half) & (half > 0)] = FILLER
        return strings

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        """The bit at the same place of the other copy."""
        half = lengths // 2
        place = (strings == MISSING).argmax(axis=1)[:, None]
        other = np.where(place < half, place + half, place - half)
        return np.take_along_axis(strings, np.maximum(other, 0), axis=1)

    def solve(self, string: list[int]) -> list[int] | None:
        half = len(string) // 2
        if string == [1]:
            return [1]
        if string[: 2 * half].count(MISSING) != 1:
            return None
        answer = string[(string.index(MISSING) + half) % (2 * half)]
        return [answer] if answer < 2 else None


class OddsFirst(SymbolString, kind="odds-first"):
    """Odds first: write the first, third, fifth, ... symbol, then the second, fourth, ..."""

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        places, odd = np.arange(strings.shape[1]), (lengths + 1) // 2
        taken = np.where(places < odd, 2 * places, 2 * (places - odd) + 1)
        return np.take_along_axis(strings, np.clip(taken, 0, strings.shape[1] - 1), axis=1)

    def solve(self, string: list[int]) -> list[int]:
        return string[::2] + string[1::2]


class BucketSort(SymbolString, kind="bucket-sort"):
    """Bucket sort: write the symbols in rising order."""

    vocab_size: Annotated[int, Field(ge=2, le=2**15, description="different symbols")] = 5

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        behind = np.iinfo(strings.dtype).max
        return np.sort(np.where(inside(lengths, strings.shape[1]), strings, behind), axis=1)

    def solve(self, string: list[int]) -> list[int]:
        return sorted(string)


PUBLISHED = tuple(
    published(task) for task in (DuplicateString(), MissingDuplicate(), OddsFirst(), BucketSort())
)
