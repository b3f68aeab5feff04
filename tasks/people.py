"""People who do not exist: unique names, and values of their attributes.

Axes: N people, K tokens of all values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.rng import Floats, Integers, U, distinct, example_keys, integers, stream_key

NAMES, VALUES = 1, 2
NAME = 3  # tokens: first, middle, last
Shares = dict[tuple[int, ...], dict[int, int]]


@dataclass(frozen=True, eq=False)
class World:
    """facts: ids of everyone's name and values                                  (N, 3 + K)"""

    facts: Integers

    @cached_property
    def _numbers(self) -> dict[tuple[int, ...], int]:
        return {tuple(row): i for i, row in enumerate(self.facts[:, :NAME].tolist())}

    def named(self, names: NDArray[Any]) -> Integers:
        """Who has these names, (B, 3): -1 for nobody.                               (B,)"""
        found = [self._numbers.get(tuple(row), -1) for row in names.tolist()]
        return np.array(found, np.int64).reshape(-1)

    @cached_property
    def name_laws(self) -> list[Shares]:
        """Of each part of names: what follows the parts before, and in how many people."""
        tables: list[Shares] = [{} for _ in range(NAME)]
        for row in self.facts[:, :NAME].tolist():
            for part, table in enumerate(tables):
                law = table.setdefault(tuple(row[:part]), {})
                law[row[part]] = law.get(row[part], 0) + 1
        return tables

    @cached_property
    def surprise(self) -> Floats:
        """-log2 of how common each value is among all people, token by token.       (N, K)"""
        values = self.facts[:, NAME:]
        shares = [np.bincount(column)[column] / len(values) for column in values.T]
        return -np.log2(np.stack(shares, axis=1))


@dataclass(frozen=True, kw_only=True)
class Bits:
    """What a model knows of a world."""

    attributes: tuple[float, ...]  # of each, summed over people
    names: float

    @property
    def values(self) -> float:
        return sum(self.attributes)

    def per_parameter(self, num_parameters: int) -> float:
        """Bits of values and names a parameter."""
        return (self.values + self.names) / num_parameters


@lru_cache(maxsize=8)
def world_of(law: tuple[int, tuple[int, ...], tuple[int, ...], int], ids: tuple[int, ...]) -> World:
    """The world of a seed.

    Args:    law  people, names there are of each part, values of each token, seed
             ids  the first one of each part of names, then of each token of values
    """
    num, parts, domains, seed = law
    key = np.array([stream_key(["capo world", num, parts, domains, seed])], U)
    names = distinct(key, NAMES, num, math.prod(parts))[0]
    people = example_keys(int(key[0]), np.arange(num, dtype=U))
    values = [integers(people, VALUES + i, 1, size)[:, 0] for i, size in enumerate(domains)]
    columns = [*np.unravel_index(names, parts), *values]
    facts = np.stack(columns, axis=1).astype(np.int64) + np.array(ids)
    facts.setflags(write=False)
    return World(facts)
