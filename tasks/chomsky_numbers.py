"""The tasks of the Chomsky hierarchy that are binary arithmetic; they are context-sensitive.

    binary-addition         0 1 + 1 1 e e e e e e   1 0 1 END         lowest bit first: 2 + 3
    binary-multiplication   0 1 * 1 1 e e e e e     0 1 1 END
    compute-sqrt            1 1 0 1 e e             1 1               highest bit first: 13

Source, Differs: see tasks/chomsky.py.  Numbers of one or two symbols, which stand alone, are
         uniform; upstream leaves out the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.batch import IGNORE
from tasks.chomsky import SYMBOLS, WRITTEN, BitString, Rewriting, published
from tasks.counting import power
from tasks.lengths import coins
from tasks.rng import Integers, Words
from tasks.task import Content

END = 2


class TwoNumbers(Rewriting):
    """Two binary numbers, lowest bit first, with a sign between them; the answer ends with END."""

    several: ClassVar[bool] = True
    most: ClassVar[int] = 2**12

    @property
    def symbols(self) -> dict[str, int]:
        return {"bit": 2, "sign": 1}

    @property
    def num_classes(self) -> int:
        return 3

    def num_strings(self, length: int) -> int:
        """As if all were equally likely; the sign's place is, not every number then."""
        return power(2, length - 3) * (length - 2) if length > 2 else 2**length

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        """The sign is at 1, 2, ..., n - 2, equally likely; a number of zeros is drawn again."""
        from tasks._loops.chomsky import two_numbers

        strings = np.zeros((len(keys), self.longest), np.uint8)
        two_numbers(keys, lengths[:, 0], SYMBOLS, strings)
        return strings


class BinaryAddition(TwoNumbers, kind="binary-addition"):
    """Binary addition: the sum of two positive numbers, lowest bit first, and END.

    The sign is at a uniform place; one or two symbols are a number that is its own sum. There are
    n + 1 places to write; highest zeros are not written, END (the class 2) is the last scored.
    """

    written: ClassVar[dict[str, Sequence[str]]] = {**WRITTEN, "sign": "+"}

    def room(self, lengths: Any) -> Any:
        return lengths + 1

    @property
    def chance(self) -> float:
        """Always 0 or always 1, by the expected ones and digits of sums."""
        return self.best_constant(_digits_of_sums)

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        from tasks._loops.chomsky import sums

        answers = np.full((len(strings), strings.shape[1] + 1), IGNORE)
        sums(strings, lengths[:, 0], answers)
        return answers

    def solve(self, string: list[int]) -> list[int] | None:
        numbers = _numbers(string)
        return None if numbers is None else _written(sum(numbers))


class BinaryMultiplication(TwoNumbers, kind="binary-multiplication"):
    """Binary multiplication: the product of two positive numbers, lowest bit first, and END.

    As binary-addition, but with n places to write; one or two symbols have the answer 0 at all
    places but the last, which is END.
    """

    written: ClassVar[dict[str, Sequence[str]]] = {**WRITTEN, "sign": "*"}

    def room(self, lengths: Any) -> Any:
        return lengths

    @property
    def chance(self) -> float:
        """Always 0. No closed form is known: STORED, or measured on some thousand examples."""
        low, high = self.bounds("test")
        if (low, high) in STORED:
            return STORED[low, high][0]
        return measured(low, high, max(2**9, 2**19 // high))

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        from tasks._loops.chomsky import products

        answers = np.full(strings.shape, IGNORE)
        products(strings, lengths[:, 0], answers)
        return answers

    def solve(self, string: list[int]) -> list[int] | None:
        numbers = _numbers(string)
        if len(string) < 3:
            return [0] * (len(string) - 1) + [END]
        return None if numbers is None else _written(numbers[0] * numbers[-1])


# by lengths in test: the share of zeros, and how many examples it comes from
STORED = {(10, 40): (0.4771296126617857, 2**20), (41, 500): (0.49863033197267753, 2**17)}


@lru_cache(maxsize=16)
def measured(low: int, high: int, num: int) -> float:
    """The share of zeros in the answers to strings of these lengths."""
    task = BinaryMultiplication(min_length=low, length=high)
    keys = np.arange(num, dtype=np.uint64)
    zeros = scored = 0
    for start in range(0, num, 2**12):
        part = keys[start : start + 2**12]
        batch = task.render(task.draw(part, "train"), part, "train")
        zeros += int((batch.targets == 0).sum())
        scored += int(batch.mask.sum())
    return zeros / scored


def _numbers(string: list[int]) -> list[int] | None:
    """One number, or two with a sign between them."""
    text = "".join(map(str, reversed(string)))
    parts = text.split(str(END))
    if len(parts) > 2 or "" in parts:
        return None
    return [int(part, 2) for part in parts]


def _written(number: int) -> list[int]:
    return [*map(int, reversed(f"{number:b}")), END]


@lru_cache(maxsize=2**12)
def _digits_of_sums(length: int) -> tuple[float, float, float]:
    """Zeros, ones and ENDs in the answers to strings of this length, on average.

    Of two numbers with p >= q bits, in units of 2^(p + q), the number of pairs that may be zero:
    a sum has p fair bits, and a carry in (2^q - 1) / 2^(p + 1) of the cases; then the pairs with a
    zero are taken away. A sum has more than k digits if it is not below 2^k, k = 0, ..., p, and
    pairs below 2^k are (2^k - 1) (2^k - 2) / 2 up to k = q, then (2^q - 1) (2^k - 1 - 2^(q - 1)).
    """
    if length < 3:  # 0 1, or 0 1 2 3, which have 1 1 2 2 digits
        return (0.5, 0.5, 1.0) if length == 1 else (0.5, 1.0, 1.0)
    first = np.arange(1, length - 1)
    p, q = np.maximum(first, length - 1 - first), np.minimum(first, length - 1 - first)
    x, y, ratio = np.ldexp(1.0, -p), np.ldexp(1.0, -q), np.ldexp(1.0, q - p)
    pairs = (1 - x) * (1 - y)
    ones = (p + ratio - x - q * x - p * y) / 2 / pairs
    low = ((4 * ratio - x * y) / 3 - 6 * x + 3 * x * y + 2 * (q + 1) * x * y) / 2
    high = (1 - y) * (2 - 2 * ratio - (p - q) * x) - (p - q) * (ratio - x) / 2
    digits = p + 1 - (low + high) / pairs
    return float((digits - ones).mean()), float(ones.mean()), 1.0


class ComputeSqrt(BitString, kind="compute-sqrt"):
    """Square root: the integer root of a positive binary number, highest bit first.

    The root of n bits has n / 2 bits, rounded up, and as many places to write.
    """

    several: ClassVar[bool] = True
    most: ClassVar[int] = 2**12

    def room(self, lengths: Any) -> Any:
        return (lengths + 1) // 2

    @property
    def chance(self) -> float:
        """Always 1, or always 0: roots are counted bit by bit."""
        return self.best_constant(_bits_of_roots)

    def num_strings(self, length: int) -> int:
        return power(2, length) - 1

    def draw(self, keys: Words, split: str) -> Content:
        """Zero is drawn again, at the same length."""
        content, attempt = super().draw(keys, split), 0
        lengths, string = content["length"], content["string"]
        rows = np.flatnonzero(~string.any(axis=1))
        while rows.size:
            attempt += 1
            string[rows] = coins(keys[rows], SYMBOLS, lengths[rows], self.longest, attempt)
            rows = rows[~string[rows].any(axis=1)]
        return content

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        from tasks._loops.chomsky import roots

        answers = np.full((len(strings), (strings.shape[1] + 1) // 2), IGNORE)
        roots(strings, lengths[:, 0], answers)
        return answers

    def solve(self, string: list[int]) -> list[int]:
        root = isqrt(int("".join(map(str, string)), 2))
        return [int(bit) for bit in f"{root:0{(len(string) + 1) // 2}b}"]


@lru_cache(maxsize=2**12)
def _bits_of_roots(length: int) -> tuple[float, float]:
    """Zeros and ones in the roots of 1, ..., 2^n - 1, on average, exactly.

    r is the root of the numbers from r^2 to r^2 + 2 r, so the roots in [s, s + 2^j) that have bit
    j belong to (s + 2^j)^2 - s^2 numbers; the last such stretch may be cut at 2^n.
    """
    places = (length + 1) // 2
    ones = 0
    for j in range(places):
        whole = isqrt(2**length) >> (j + 1)  # s = 2^j, 3 2^j, 5 2^j, ...
        ones += 4**j * (2 * whole * whole + whole)
        ones += max(0, 2**length - (2 * whole + 1) ** 2 * 4**j)
    share = float(Fraction(ones, 2**length - 1))
    return places - share, share


PUBLISHED = (
    published(BinaryAddition()),
    published(BinaryMultiplication()),
    published(ComputeSqrt()),
)
