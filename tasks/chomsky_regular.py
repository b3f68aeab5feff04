"""The regular tasks of the Chomsky hierarchy: a few states are enough.

    even-pairs           0 0 1 1 1 0 e    0     the numbers of 01 and of 10 differ by first and last
    parity-check         1 1 0 1 e        1
    cycle-navigation     +1 0 +1 -1 e     1     a walk on five places
    modular-arithmetic   1 + 2 * 3 e      2     modulo 5

Source, Differs: see tasks/chomsky.py.  statetrack-modarith: Grazzi et al. 2025, arXiv:2411.12537.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.chomsky import OPERATORS, SYMBOLS, BitString, Rewriting, last, published
from tasks.counting import power
from tasks.published import Preset
from tasks.rng import Floats, Integers, Words, integers

PLUS, TIMES = 0, 2  # behind the digits: + - *
Modulus = Annotated[int, Field(ge=2, le=16, description="values 0 to modulus - 1")]


class EvenPairs(BitString, kind="even-pairs"):
    """Even pairs: is the number of unequal neighbours odd? (That is: do first and last differ?)

    A string of bits, then one place for the answer.
    """

    @property
    def chance(self) -> float:
        """Always 0, which is right for single bits."""
        return self.best_constant(lambda n: (1, 0) if n == 1 else (0.5, 0.5))

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        return strings[:, :1] ^ last(strings, lengths)

    def solve(self, string: list[int]) -> list[int]:
        return [sum(a != b for a, b in pairwise(string)) % 2]


class ParityCheck(BitString, kind="parity-check"):
    """Parity check: is the number of ones odd? The task `parity` is the same, with more fields."""

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        return np.bitwise_xor.reduce(strings, axis=1)[:, None]

    def solve(self, string: list[int]) -> list[int]:
        return [sum(string) % 2]


class CycleNavigation(Rewriting, kind="cycle-navigation"):
    """Cycle navigation: where does a walk of -1, 0, +1 on a cycle end?

    Moves 0, 1, 2 mean -1, 0, +1.
    """

    modulus: Annotated[int, Field(ge=3, le=255, description="places on the cycle")] = 5

    @property
    def symbols(self) -> dict[str, int]:
        return {"move": 3}

    @property
    def num_classes(self) -> int:
        return self.modulus

    @property
    def chance(self) -> float:
        """By the law of the place after n moves."""
        weights = self.weights()
        law, total = np.zeros(self.modulus), np.zeros(self.modulus)
        law[0] = 1
        for n in range(1, max(weights) + 1):
            law = (np.roll(law, -1) + law + np.roll(law, 1)) / 3
            total += weights.get(n, 0.0) * law
        return float(total.max())

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        return integers(keys, SYMBOLS, self.longest, 3)

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        total = strings.sum(axis=1, dtype=np.int64, keepdims=True)
        return (total - lengths) % self.modulus

    def solve(self, string: list[int]) -> list[int]:
        place = 0
        for move in string:
            place = (place + (-1, 0, 1)[min(move, 2)]) % self.modulus
        return [place]


class ModularArithmetic(Rewriting, kind="modular-arithmetic"):
    """Modular arithmetic: the value of digits joined by + - *, where * binds closer.

    Strings have odd lengths; an even length that is drawn becomes one less.
    """

    modulus: Modulus = 5

    @property
    def symbols(self) -> dict[str, int]:
        return {"digit": self.modulus, "operator": 3}

    @property
    def num_classes(self) -> int:
        return self.modulus

    def fitted(self, lengths: Any) -> Any:
        return lengths - 1 + lengths % 2

    def num_strings(self, length: int) -> int:
        return power(self.modulus, length // 2 + 1) * power(3, length // 2)

    @property
    def chance(self) -> float:
        """Products are 0 more often than not; by the law of (sum, current product)."""
        return float(_law(self)[0].max())  # pyright: ignore[reportArgumentType]

    @property
    def floors(self) -> dict[str, float]:
        """The likeliest value, knowing the last operator and digit, or the digit that is alone."""
        seen = _law(self)[1].max(axis=-1).sum()  # pyright: ignore[reportArgumentType]
        floor = float(seen) + self.weights().get(1, 0.0)
        return {"last operator and digit": floor} if floor > self.chance + 1e-3 else {}

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        strings = np.empty((len(keys), self.longest), np.uint8)
        half = self.longest // 2
        strings[:, ::2] = integers(keys, SYMBOLS, half + 1, self.modulus)
        strings[:, 1::2] = integers(keys, OPERATORS, half, 3) + self.modulus
        return strings

    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        from tasks._loops.chomsky import flat_values

        values = np.empty(len(strings), np.int64)
        flat_values(strings, lengths[:, 0], self.modulus, values)
        return values[:, None]

    def solve(self, string: list[int]) -> list[int] | None:
        size, terms = self.modulus, [[1]]
        for t, symbol in enumerate(string):
            if (symbol < size) != (t % 2 == 0):
                return None
            if symbol < size:
                terms[-1].append(symbol)
            elif symbol != size + TIMES:
                terms.append([1 if symbol == size + PLUS else -1])
        if len(string) % 2 == 0:
            return None
        return [sum(int(np.prod(term, dtype=object)) for term in terms) % size]


@lru_cache(maxsize=64)
def _law(task: ModularArithmetic) -> tuple[Floats, Floats]:
    """Of a test string: the law of the value, and that of the last operator, the last digit and
    the value where there is an operator.                                     (V,), (3, V, V)
    """
    size, weights = task.modulus, task.weights()
    digit = np.arange(size)
    product, shift = np.zeros((2, size, size, size))  # (a, b, a b), (a, b, a + b)
    product[digit[:, None], digit, digit[:, None] * digit % size] = 1
    shift[digit[:, None], digit, (digit[:, None] + digit) % size] = 1
    both = np.zeros((size, size))  # (sum, product)
    both[0] = 1 / size
    value = both[0]
    total, seen = weights.get(1, 0.0) * value, np.zeros((3, size, size))
    for n in range(3, max(weights) + 1, 2):
        more = np.einsum("a,adv->dv", value, shift)
        times = np.einsum("ap,pdq->adq", both, product)
        last = [more, more[-digit % size], np.einsum("adq,aqv->dv", times, shift)]
        both = (times.sum(axis=1) + 2 * value[:, None]) / (3 * size)
        value = np.einsum("aq,aqv->v", both, shift)
        total = total + weights.get(n, 0.0) * value
        seen += weights.get(n, 0.0) / (3 * size) * np.stack(last)
    return total, seen


PUBLISHED = (
    published(EvenPairs()),
    published(ParityCheck()),
    published(CycleNavigation()),
    published(ModularArithmetic()),
    Preset(
        name="statetrack-modarith",
        paper="Grazzi et al. 2025, arXiv:2411.12537",
        section="state tracking: modular arithmetic without brackets",
        upstream="automl/unlocking_state_tracking (configurations)",
        differs=(
            "lengths 3-40 and 40-256 count `= value`: expressions of 1-37 and 37-253 symbols",
            "the answer is due at the id `empty`, which stands for =",
        ),
        value=ModularArithmetic(length=38, test_min_length=38, test_length=254),
    ),
)
