"""Level-synchronous context-free grammars: every symbol of a level is spelled in the next level's.

Level 0 is the root, the last level are terminals; the rules of a symbol are equally likely.
A file holds the rules level by level, each level an object that maps symbols to lists of
right-hand sides:  [{"S": [["A", "B"], ["B", "A"]]}, {"A": [[0, 1]], "B": [[0]]}]

Axes: R rules, G symbols of all levels, N lengths.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tasks.rng import Floats, Integers, U, Words, below, example_keys, stream_key, words

Rules = tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]  # level, symbol, rule, next symbols
LONGEST_RULE = 3
MOST_TRIES = 1000


@dataclass(frozen=True)
class Tables:
    """A grammar as arrays. Symbols are numbered through all levels, terminals last.

    rules    right-hand sides, -1 behind the last                     (R, 3)
    starts   first rule of every symbol, and where the last ends      (G + 1,)
    pairs    first two symbols of the rules of three, each once       (P, 2)
    pair_of  its number in every rule, -1 for shorter rules           (R,)
    spans    fewest and most tokens of every symbol                   (G, 2)
    """

    rules: Integers
    starts: Integers
    pairs: Integers
    pair_of: Integers
    spans: Integers


@dataclass(frozen=True)
class Grammar:
    """Rules by level, and all that follows from them."""

    levels: Rules

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Symbols of each level, terminals too."""
        terminals = 1 + max(s for rules in self.levels[-1] for rule in rules for s in rule)
        return (*(len(level) for level in self.levels), terminals)

    @property
    def num_rules(self) -> int:
        return sum(len(rules) for level in self.levels for rules in level)

    @cached_property
    def tables(self) -> Tables:
        """As arrays for compiled loops."""
        first = np.cumsum([0, *self.sizes])
        rows = [
            ([first[a + 1] + s for s in rule] + [-1] * (LONGEST_RULE - len(rule)))
            for a, level in enumerate(self.levels)
            for rules in level
            for rule in rules
        ]
        counts = [len(rules) for level in self.levels for rules in level]
        rules = np.array(rows, np.int64)
        long = rules[:, 2] >= 0
        pairs, number = np.unique(rules[long, :2], axis=0, return_inverse=True)
        pair_of = np.full(len(rules), -1)
        pair_of[long] = number.reshape(-1)
        starts = np.cumsum([0, *counts, *(0 for _ in range(self.sizes[-1]))])
        return Tables(rules, starts, pairs.reshape(-1, 2), pair_of, self._spans(rules, starts))

    def _spans(self, rules: Integers, starts: Integers) -> Integers:
        spans = np.ones((len(starts) - 1, 2), np.int64)
        for symbol in range(len(spans) - self.sizes[-1] - 1, -1, -1):
            sums = [
                spans[[s for s in rule if s >= 0]].sum(axis=0)
                for rule in rules[starts[symbol] : starts[symbol + 1]].tolist()
            ]
            spans[symbol] = min(s[0] for s in sums), max(s[1] for s in sums)
        return spans

    @property
    def longest(self) -> int:
        """Tokens of the longest sentence."""
        return int(self.tables.spans[0, 1])

    def expected_counts(self, most: int) -> tuple[Floats, Floats]:
        """Of sentences of 0, 1, ..., most tokens: their probability; expected counts of terminals.

        By convolution of the laws of lengths, and of counts along with them. (most + 1,), (N, T)
        """
        num = self.sizes[-1]
        unit = np.eye(most + 1)[1]
        below_it = [(unit, np.eye(num)[t] * unit[:, None]) for t in range(num)]
        for level in reversed(self.levels):
            below_it = [self._mean_law(rules, below_it, most) for rules in level]
        return below_it[0]

    @staticmethod
    def _mean_law(rules: Any, laws: list[tuple[Floats, Floats]], most: int) -> Any:
        total: list[Any] = [0.0, 0.0]
        for rule in rules:
            lengths, counts = laws[rule[0]]
            for symbol in rule[1:]:
                more, others = laws[symbol]
                columns = zip(counts.T, others.T, strict=True)
                both = [np.convolve(c, more) + np.convolve(o, lengths) for c, o in columns]
                counts = np.stack(both, axis=1)[: most + 1]
                lengths = np.convolve(lengths, more)[: most + 1]
            total[0] = total[0] + lengths / len(rules)
            total[1] = total[1] + counts / len(rules)
        return tuple(total)

    @property
    def mean_tokens(self) -> float:
        """Expected tokens of a sentence."""
        mean = [1.0] * self.sizes[-1]
        for level in reversed(self.levels):
            sums = [[sum(mean[s] for s in rule) for rule in rules] for rules in level]
            mean = [sum(found) / len(found) for found in sums]
        return mean[0]

    @property
    def collision(self) -> float:
        """The probability that two derivations are the same."""
        same = [1.0] * self.sizes[-1]
        for level in reversed(self.levels):
            sums = [[prod(same[s] for s in rule) for rule in rules] for rules in level]
            same = [sum(found) / len(found) ** 2 for found in sums]
        return same[0]

    def problems(self) -> Iterator[str]:
        """What is wrong with rules that were read."""
        if not self.levels or len(self.levels[0]) != 1:
            yield "grammar: level 0 needs exactly one symbol, the root"
            return
        for a, level in enumerate(self.levels):
            sides = [rule for rules in level for rule in rules]
            below_it = len(self.levels[a + 1]) if a + 1 < len(self.levels) else None
            if not all(level) or not all(1 <= len(side) <= LONGEST_RULE for side in sides):
                yield f"grammar: level {a} needs rules of 1 to {LONGEST_RULE} symbols everywhere"
            elif min(map(min, sides)) < 0 or below_it not in (None, 1 + max(map(max, sides))):
                yield f"grammar: level {a} must use all symbols of the next level, and no others"


@lru_cache(maxsize=64)
def grammar_of(levels: Rules) -> Grammar:
    """One object for equal rules, so that its arrays are made once."""
    return Grammar(levels)


def read(path: str) -> Rules:
    """The rules of a JSON file."""
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path!r} is neither 'random' nor a grammar's file: {error}") from None
    wrong = f"{path!r}: needs a list of objects that map symbols to lists of lists of symbols"
    if not isinstance(content, list) or not all(isinstance(level, dict) for level in content):
        raise ValueError(wrong)
    try:
        last = {str(s) for rules in content[-1].values() for rule in rules for s in rule}
        terminals = sorted(last, key=lambda s: (len(s), s) if s.isdigit() else (99, s))
        names = [*(list(level) for level in content), terminals]
        return tuple(
            tuple(
                tuple(tuple(names[a + 1].index(str(s)) for s in rule) for rule in rules)
                for rules in level.values()
            )
            for a, level in enumerate(content)
        )
    except (TypeError, AttributeError, IndexError):
        raise ValueError(wrong) from None
    except ValueError as error:
        raise ValueError(f"{path!r}: a symbol is missing in the next level: {error}") from None


@lru_cache(maxsize=64)
def random_rules(
    depth: int, num_symbols: int, counts: tuple[int, int], lengths: tuple[int, int], seed: int
) -> Rules:
    """num_symbols symbols on each level but the root's; numbers of rules and their lengths uniform.

    No right-hand side stands twice on a level, and every symbol is used, or all is drawn again.
    """
    law = [depth, num_symbols, counts, lengths, seed]
    for key in example_keys(stream_key(["random grammar", *law]), np.arange(MOST_TRIES, dtype=U)):
        levels = []
        for a in range(depth):
            drawn = _stream_of(words(np.array([key], U), a + 1, 4096)[0])
            num = 1 if a == 0 else num_symbols
            levels.append(_random_level(drawn, num, num_symbols, (counts, lengths)))
        if all(
            len({s for rules in level for rule in rules for s in rule}) == num_symbols
            for level in levels
        ):
            return tuple(levels)
    raise ValueError(f"num_symbols={num_symbols}: hardly any random grammar uses all of them")


def _stream_of(drawn: Words) -> Iterator[Any]:
    yield from (drawn[i : i + 1].copy() for i in range(len(drawn)))
    raise ValueError("a random grammar has too few different rules: needs more num_symbols")


def _random_level(drawn: Iterator[Any], num: int, num_symbols: int, law: Any) -> Any:
    """Each choice takes the next word."""

    def pick(low: int, high: int) -> int:
        return low + int(below(next(drawn), high - low + 1)[0])

    counts, lengths = law
    taken: set[tuple[int, ...]] = set()
    level = []
    for _ in range(num):
        rules: list[tuple[int, ...]] = []
        for _ in range(pick(*counts)):
            while (side := tuple(pick(0, num_symbols - 1) for _ in range(pick(*lengths)))) in taken:
                pass
            taken.add(side)
            rules.append(side)
        level.append(tuple(rules))
    return tuple(level)
