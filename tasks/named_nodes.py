"""Names of the nodes of a graph: one token each, or words of which none begins another.

A word of l tokens is l - 1 open letters and one closing letter, so that its end is seen at once.
Numbers of names: shorter ones first, then in the order of their letters.

Axes: B examples, W names there are, T tokens of the longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tasks.rng import Floats, Integers, U, Words, example_keys, words

MOST_NAMES = 2**18
NUM_SETS = 200  # sets of names that a floor is estimated from
SET_KEY = 0x6E616D6573


@dataclass(frozen=True)
class Names:
    """The names of min_tokens to max_tokens tokens over num_letters letters, ids from `first`."""

    num_letters: int
    min_tokens: int
    max_tokens: int
    first: int

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.num_letters**n for n in self.token_counts)

    @property
    def token_counts(self) -> range:
        return range(self.min_tokens, self.max_tokens + 1)

    @property
    def ids(self) -> dict[str, range]:
        """The letters by use."""
        first, num = self.first, self.num_letters
        if self.max_tokens == 1:
            return {"name": range(first, first + num)}
        return {
            "open letter": range(first, first + num),
            "closing letter": range(first + num, first + 2 * num),
        }

    @property
    def closing(self) -> range:
        """The letters that end a name."""
        return list(self.ids.values())[-1]

    def problems(self, num: int) -> Iterator[str]:
        """What keeps `num` different names from being drawn."""
        low, high = self.min_tokens, self.max_tokens
        if low > high:
            yield f"min_name_tokens={low} exceeds max_name_tokens={high}: needs <= {high}"
        elif high - low > 2:
            yield f"min_name_tokens={low} with max_name_tokens={high}: needs >= {high - 2}"
        elif self.count > MOST_NAMES:
            yield f"num_letters={self.num_letters} makes more than {MOST_NAMES} names: needs fewer"
        elif self.count < (num if high == 1 else 2 * num):
            needed = num if high == 1 else 2 * num
            yield (
                f"num_letters={self.num_letters} makes {self.count} names, too few for "
                f"max_nodes={num}: needs >= {needed}, so more letters or tokens"
            )

    def tables(self) -> tuple[Integers, Integers]:
        """The tokens of every name, 0 behind the last one, and how many they are. (W, T), (W,)"""
        return _tables(self)

    def offsets(self) -> Integers:
        """Where the names of each number of tokens begin, and where they all end."""
        return np.cumsum([0, *(self.num_letters**n for n in self.token_counts)])

    def sets(self, keys: Words, field: int, num: int) -> Integers:
        """`num` different names: the number of tokens is uniform, then the letters are. (B, num)

        A name drawn already is drawn again, whole.
        """
        from tasks._loops.named_nodes import sets

        return sets(keys, field, num, self.offsets())

    def mean_tokens(self, num: int) -> float:
        """Expected tokens of one of `num` names so drawn: short ones run out."""
        return _mean_tokens(self, num)

    def guess(self, num: int) -> float:
        """Share of the tokens of one of `num` names that are guessed right by naming, of all
        names but one, one that begins as what is known of it. Estimated, unless max_tokens is 1.
        """
        return 1 / (num - 1) if self.max_tokens == 1 else _guess(self, num)


@lru_cache(maxsize=16)
def _tables(names: Names) -> tuple[Integers, Integers]:
    spelled = np.zeros((names.count, names.max_tokens), np.int64)
    offsets = names.offsets()
    lengths = np.repeat(np.array(names.token_counts), np.diff(offsets))
    for num, start, stop in zip(names.token_counts, offsets, offsets[1:], strict=False):
        codes = np.arange(stop - start)[:, None]
        powers = names.num_letters ** np.arange(num - 1, -1, -1)
        spelled[start:stop, :num] = codes // powers % names.num_letters + names.first
        spelled[start:stop, num - 1] += names.closing.start - names.first
    return spelled, lengths


@lru_cache(maxsize=64)
def _mean_tokens(names: Names, num: int) -> float:
    """By the law of how many names of the shortest and of the next number of tokens were drawn."""
    counts = names.token_counts
    if len(counts) == 1:
        return float(counts.start)
    sizes = [names.num_letters**n for n in counts]
    i, j = np.ogrid[: num + 1, : num + 1]
    law = np.zeros((num + 1, num + 1))
    law[0, 0] = 1.0
    for drawn in range(num):
        used = (i, j, drawn - i - j)
        free = [np.clip(1 - u / size, 0, None) for u, size in zip(used, sizes, strict=False)]
        step = law / np.maximum(sum(free), 1e-300)
        law = step * free[2] if len(free) == 3 else np.zeros_like(law)
        law[1:] += (step * free[0])[:-1]
        law[:, 1:] += (step * free[1])[:, :-1]
    shares = float((law * i).sum()) / num, float((law * j).sum()) / num
    return shares[0] * counts[0] + shares[1] * counts[1] + (1 - sum(shares)) * counts[-1]


@lru_cache(maxsize=64)
def _guess(names: Names, num: int) -> float:
    spelled, lengths = names.tables()
    keys = example_keys(SET_KEY, np.arange(NUM_SETS, dtype=U))
    right = total = 0.0
    for chosen in names.sets(keys, 1, num):
        known = [tuple(spelled[name, : lengths[name]].tolist()) for name in chosen]
        for step in range(names.max_tokens):
            nodes: dict[tuple[int, ...], Counter[int]] = {}
            for word in known:
                if len(word) > step:
                    nodes.setdefault(word[:step], Counter())[word[step]] += 1
            right += sum(_right_pairs(num, node) for node in nodes.values())
        total += num * (num - 1) * float(lengths[chosen].mean())
    return right / total


def _right_pairs(num: int, node: Counter[int]) -> int:
    """Pairs (name, another one that is ruled out) of which the node's commonest letter is right."""
    best, second = [*sorted(node.values(), reverse=True), 0][:2]
    return (num - best) * best + best * max(best - 1, second)


@lru_cache(maxsize=64)
def _size_limits(low: int, high: int) -> Floats:
    weights = 1 / (np.arange(low, high + 1) + np.sqrt(np.float64(high)))
    shares = np.cumsum(weights)
    return np.floor(shares / shares[-1] * 2.0**32)


def inverse_sizes(keys: Words, field: int, low: int, high: int) -> Integers:
    """Sizes of low..high with probabilities in proportion to 1 / (n + sqrt(high)).      (B,)"""
    drawn = (words(keys, field, 1)[:, 0] >> U(32)).astype(np.float64)
    return low + np.searchsorted(_size_limits(low, high), drawn, side="right")
