"""Continuous recall: multi-query recall of vectors, a key and its value at one position.

    position   k1 k2 ... kK | k3 k1 ...         a fixed table gives every key and value a vector
               v1 v2 ... vK | 0  0  ...         at each key that returns: its value's number

Source:  Arora et al. 2023, "Zoology", arXiv:2312.04927, HazyResearch/zoology@d88d6f5
         zoology/data/stacked_mqar.py, zoology/experiments/011126/mqar_continuous.py.
Differs: the vectors come from `table_seed`, as sums of uniform numbers brought to length one: near
         to uniform on the sphere, and the same everywhere.  Upstream is handed an embedding.
         Its keys and values are the halves of one vocabulary, as here by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import arrangements
from tasks.filler import many_distinct
from tasks.published import STREAMS, Preset
from tasks.rng import U, Words, permutation, stream_key, words
from tasks.task import Content, Task
from zoo.spec import Context

KEYS, VALUES, QUERIES, TABLE, PASSES = 1, 2, 3, 4, 16
SUMMED = 12  # uniform numbers, for one that is near to normal


class ContinuousRecall(Task, kind="continuous-recall"):
    """Continuous recall: keys and values are vectors; name the value of each key that returns.

    The first num_passes K positions show the K pairs, each pass in a random order: the key's
    vector beside the value's. The last K show every key once more, in a random order, beside
    zeros; the target is the number of its value.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_pairs": "pairs K",
        "longest_gap": "positions from a pair, last shown, to its query, the longest",
    }

    num_pairs: Annotated[int, Field(ge=1, description="key-value pairs K, all queried")] = 8
    num_passes: Annotated[int, Field(ge=1, le=64, description="times that the pairs are shown")] = 1
    num_keys: Annotated[int, Field(ge=1, le=2**20, description="keys of the table")] = 64
    num_values: Annotated[int, Field(ge=2, le=2**20, description="values of the table")] = 64
    dim: Annotated[int, Field(ge=2, le=4096, description="features of a key, and of a value")] = 32
    table_seed: Annotated[int, Field(ge=0, lt=2**63, description="fixes the vectors")] = 0

    def problems(self) -> Iterator[str]:
        for name in ("num_keys", "num_values"):
            most = getattr(self, name)
            if self.num_pairs > most:
                yield (
                    f"num_pairs={self.num_pairs} exceeds {name}={most}: "
                    f"needs {name} >= {self.num_pairs}"
                )

    @property
    def length(self) -> int:
        """Positions: the passes and the queries."""
        return (self.num_passes + 1) * self.num_pairs

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    @property
    def context(self) -> Context:
        return Context(input_dim=2 * self.dim, num_outputs=self.num_values, length=self.length)

    @property
    def chance(self) -> float:
        """Each target is uniform over the values."""
        return 1 / self.num_values

    @property
    def floors(self) -> dict[str, float]:
        """Naming one of the K values shown."""
        return {"value of any pair": 1 / self.num_pairs}

    @property
    def num_contents(self) -> int:
        num = self.num_pairs
        return arrangements(self.num_keys, num) * arrangements(self.num_values, num)

    @property
    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vectors of keys and of values.               (num_keys, dim), (num_values, dim)"""
        return self._vectors[: self.num_keys], self._vectors[self.num_keys : -1]

    @property
    def _vectors(self) -> NDArray[np.float32]:
        """Vectors of the keys, of the values, and zeros.   (num_keys + num_values + 1, dim)"""
        return _vectors(self.num_keys + self.num_values, self.dim, self.table_seed)

    def draw(self, keys: Words, split: str) -> Content:
        """Keys and values as the first pass shows them; the orders of other passes and queries."""
        num = self.num_pairs
        fields = (*range(PASSES, PASSES + self.num_passes - 1), QUERIES)
        orders = [permutation(keys, field, num) for field in fields]
        return {
            "keys": many_distinct(keys, KEYS, num, self.num_keys),
            "values": many_distinct(keys, VALUES, num, self.num_values),
            "orders": np.concatenate(orders, axis=1),
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        num, seen = self.num_pairs, self.length - self.num_pairs
        first = np.broadcast_to(np.arange(num), (len(keys), num))
        which = np.concatenate([first, content["orders"]], axis=1)
        shown, queries = which[:, :seen], which[:, seen:]
        told = np.take_along_axis(content["values"], shown, axis=1)
        rows = np.full((*which.shape, 2), self.num_keys + self.num_values)  # of self._vectors
        rows[:, :, 0] = np.take_along_axis(content["keys"], which, axis=1)
        rows[:, :seen, 1] = self.num_keys + told
        inputs = self._vectors.take(rows, axis=0).reshape(len(keys), self.length, 2 * self.dim)
        targets = np.full(which.shape, IGNORE)
        targets[:, seen:] = np.take_along_axis(content["values"], queries, axis=1)
        last = np.argsort(shown[:, -num:], axis=1) + seen - num  # where each pair stands
        gaps = np.arange(seen, self.length) - np.take_along_axis(last, queries, axis=1)
        return Batch.of(inputs, targets, num_pairs=num, longest_gap=gaps.max(axis=1))

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """Vectors are told by their bytes."""
        names, values = self.tables
        answers = np.full(inputs.shape[:2], IGNORE)
        seen = self.length - self.num_pairs
        known_keys, known_values = (
            {row.tobytes(): i for i, row in enumerate(table)} for table in (names, values)
        )
        for row, out in zip(inputs.astype(np.float32), answers, strict=True):
            value: dict[int, int] = {}
            for t, position in enumerate(row):
                key = known_keys.get(position[: self.dim].tobytes(), IGNORE)
                if t < seen:
                    value[key] = known_values.get(position[self.dim :].tobytes(), IGNORE)
                elif key != IGNORE:
                    out[t] = value.get(key, IGNORE)
        return answers


@lru_cache(maxsize=8)
def _vectors(num: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Vectors of length one, and one of zeros; only sums of integers and IEEE operations one by
    one.                                                                          (N + 1, D)
    """
    key = np.array([stream_key(["continuous-recall table", num, dim, seed])], U)
    drawn = words(key, TABLE, num * dim * SUMMED).reshape(num, dim, SUMMED) >> U(32)
    found = drawn.sum(axis=2).astype(np.float64) / 2**32 - SUMMED / 2
    squares = np.zeros(num)
    for column in found.T:
        squares += column * column
    found = np.pad((found / np.sqrt(squares)[:, None]).astype(np.float32), ((0, 1), (0, 0)))
    found.setflags(write=False)
    return found


PUBLISHED = tuple(
    Preset(
        name=f"zoology-continuous-{num_pairs}",
        paper="Arora et al. 2023, Zoology, arXiv:2312.04927",
        section="continuous: in the code, not in the paper",
        upstream="HazyResearch/zoology@d88d6f5 zoology/experiments/011126/mqar_continuous.py",
        differs=(
            STREAMS,
            "one cell of upstream's mixture of lengths",
            "vectors of 64 features; upstream's are as wide as the model",
        ),
        value=ContinuousRecall(num_pairs=num_pairs, num_keys=4096, num_values=4096, dim=64),
    )
    for num_pairs in (4, 8, 16, 32, 64, 128, 256)
)
