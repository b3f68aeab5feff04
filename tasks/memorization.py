"""Memorization: answer keys from a dictionary that no input ever shows.

    k3 ? k1 ? k3 ? k7 ?          at each ?: the value of the key before it, the same in all examples

Source:  Poli et al. 2024, "MAD", arXiv:2403.17844, athms/mad-lab@0f49a45 mad/data/instances.py,
         mad/configs.py, configs/tasks/memorization.yml.
Differs: the dictionary comes from `map_seed` alone.  Upstream's 256 examples of 16 keys show only
         63 % of the keys of its largest setting; `ensure_coverage` deals the keys out in shuffled
         rounds of all of them.  `num_unseen` tells what a model could not have learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.ladders import ladder
from tasks.rng import (
    C1,
    C2,
    MASK,
    STEP,
    Integers,
    U,
    Words,
    example_keys,
    integers,
    permutation,
    stream_key,
)
from tasks.task import Content, Task, stream_of
from zoo.spec import Context

KEYS, MAP, ROUND = 1, 2, 3
INVERSE_C1, INVERSE_C2, INVERSE_STEP = (U(pow(n, -1, 2**64)) for n in (C1, C2, STEP))


class Memorization(Task, kind="memorization"):
    """Memorization: facts of the training set, to be held in the weights.

    length / 2 keys, uniform with replacement, each followed by the id that asks for its value.
    Keys and values are a fixed one-to-one map, which the splits share. With ensure_coverage the
    keys of a split come in rounds: each round is all keys in a random order.
    """

    by_number = True

    shared = True
    factors: ClassVar[dict[str, str]] = {
        "num_unseen": "keys that are in none of the first num_train training examples",
    }

    vocab_size: Annotated[
        int, Field(ge=5, le=2**20, description="ids: keys, values, one that asks")
    ] = 256
    length: Annotated[int, Field(ge=2, le=2**20, description="positions, even")] = 32
    map_seed: Annotated[int, Field(ge=0, lt=2**63, description="fixes keys' values")] = 12345
    ensure_coverage: Annotated[bool, Field(description="deal the keys out in full rounds")] = False
    num_train: Annotated[
        int, Field(ge=1, le=2**24, description="training examples that num_unseen is about")
    ] = 256

    def problems(self) -> Iterator[str]:
        if self.length % 2:
            yield f"length={self.length} is odd: pairs need an even one, such as {self.length + 1}"

    @property
    def num_keys(self) -> int:
        return (self.vocab_size - 1) // 2

    @property
    def vocabulary(self) -> dict[str, range]:
        half, last = self.num_keys, self.vocab_size - 1
        ask = range(last, self.vocab_size)
        return {"key": range(half), "value": range(half, last), "ask": ask}

    @property
    def context(self) -> Context:
        size = self.vocab_size
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def chance(self) -> float:
        """Keys are uniform, and no two have the same value."""
        return 1 / self.num_keys

    @property
    def num_contents(self) -> int:
        return power(self.num_keys, self.length // 2)

    @property
    def values(self) -> Integers:
        """The map: the value of each key.                                  (num_keys,)"""
        return _values(self.vocab_size, self.map_seed)

    @property
    def coverage(self) -> float:
        """The share of the keys that the first num_train training examples show."""
        return float(self.seen.mean())

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which keys the first num_train training examples show.           (num_keys,)"""
        return _seen(self)  # pyright: ignore[reportArgumentType]

    def draw(self, keys: Words, split: str) -> Content:
        num = self.length // 2
        if not self.ensure_coverage:
            return {"codes": integers(keys, KEYS, num, self.num_keys)}
        stream = stream_of(self, split)
        return {"codes": dealt(stream, numbers_of(keys, stream), num, self.num_keys)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        codes = content["codes"]
        inputs = np.full((len(keys), self.length), self.vocab_size - 1)
        inputs[:, ::2] = codes
        unseen = (~self.seen)[codes].sum(axis=1)
        due = np.arange(1, self.length, 2)
        return Batch.answered(inputs, due, self.values[codes], num_unseen=unseen)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """From the map, which no input shows."""
        answers = np.full(inputs.shape, IGNORE)
        codes = inputs[:, ::2]
        known = codes < self.num_keys
        answers[:, 1::2] = np.where(known, self.values[np.where(known, codes, 0)], IGNORE)
        return answers


@lru_cache
def _values(vocab_size: int, map_seed: int) -> Integers:
    half, last = (vocab_size - 1) // 2, vocab_size - 1
    key = np.array([stream_key(["memorization map", vocab_size, map_seed])], U)
    found = half + permutation(key, MAP, last - half)[0, :half]
    found.setflags(write=False)
    return found


@lru_cache
def _seen(task: Memorization) -> NDArray[np.bool_]:
    found = np.zeros(task.num_keys, np.bool_)
    stream = stream_of(task, "train")
    for start in range(0, task.num_train, 2**12):
        indices = np.arange(start, min(start + 2**12, task.num_train), dtype=U)
        found[task.draw(example_keys(stream, indices), "train")["codes"]] = True
    found.setflags(write=False)
    return found


def numbers_of(keys: Words, stream: int) -> Words:
    """The numbers of examples, from their keys: `example_keys` is one-to-one.       (B,)"""
    return (_unmix(_unmix(keys) - U(stream)) - U(1)) * INVERSE_STEP


def _unmix(z: Words) -> Words:
    z = (z ^ (z >> U(31)) ^ (z >> U(62))) * INVERSE_C2
    z = (z ^ (z >> U(27)) ^ (z >> U(54))) * INVERSE_C1
    return z ^ (z >> U(30)) ^ (z >> U(60))


def dealt(stream: int, numbers: Words, num: int, high: int) -> Integers:
    """What examples get when rounds of all of [0, high) are dealt out, `num` to each. (B, num)

    Example i gets the cards from i num on; round r is a random order of its own.
    """
    whole, rest = np.divmod(numbers, U(high))
    card = (rest * U(num))[:, None] + np.arange(num, dtype=U)
    turn, place = np.divmod(card, U(high))
    turn += (whole * U(num))[:, None]
    rounds, where = np.unique(turn, return_inverse=True)
    keys = example_keys(stream ^ MASK, rounds)
    orders = permutation(keys, ROUND, high)
    return orders[where.reshape(turn.shape), place.view(np.int64)]


PUBLISHED = ladder(
    "mad-memorization", Memorization(), {"vocab_size": (512, 1024, 2048, 4096, 8192)}
)
