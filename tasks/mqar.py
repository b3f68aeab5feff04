"""Multi-query associative recall: a list of key-value pairs, then the keys again, in disorder.

    k1 v1 k2 v2 ... kK vK | . k2 . . k1 . ...        at each key that returns: its value

Source:  Arora et al. 2023, "Zoology", arXiv:2312.04927, section 3 and figure 2;
         HazyResearch/zoology@d88d6f5 zoology/data/multiquery_ar.py.
Differs: `canonical` draws filler from the ids that are neither key nor value of the example
         (nor 0), so that every key occurs exactly twice; `zoology` draws it from all ids, the
         example's own keys and values included, as upstream.  Upstream takes the filler from
         torch's global generator, which its seed does not fix.  `num_passes` is not here:
         upstream fails for more than one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import arrangements
from tasks.published import STREAMS, Preset
from tasks.rng import Integers, Words, distinct, integers, power_weights, weighted_distinct
from tasks.task import Content, Task
from zoo.spec import Context

KEYS, VALUES, SLOTS, FILLER = 1, 2, 3, 4
FEW = 64  # numbers to skip, up to which one pass for each is faster than halving


class Mqar(Task, kind="mqar"):
    """Multi-query associative recall.

    The context is K pairs of different keys and different values.  Behind it, key i returns at
    position 2 K + 2 slot_i; the slots are drawn without replacement with p_j ~ j^(power_a - 1),
    key by key, so that gaps follow a power law.  The target there is the key's value.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_pairs": "pairs K in the context",
        "longest_gap": "positions from a value to its query, the longest of the example",
    }

    variant: Literal["canonical", "zoology"] = "canonical"
    vocab_size: Annotated[
        int, Field(ge=4, le=2**31, description="ids V: 0 filler, then keys, then values")
    ] = 8192
    length: Annotated[int, Field(ge=4, le=2**24, description="positions L, even")] = 64
    num_pairs: Annotated[int, Field(ge=1, description="key-value pairs K, all queried")] = 4
    power_a: Annotated[
        float, Field(gt=0, le=16, description="1: slots uniform; small: queries come early")
    ] = 0.01
    random_fill: Annotated[
        bool, Field(description="random ids between the queries, instead of 0")
    ] = True

    def problems(self) -> Iterator[str]:
        if self.length % 2:
            yield f"length={self.length} is odd: pairs need an even one, such as {self.length + 1}"
        if self.length < 4 * self.num_pairs:
            yield (
                f"length={self.length} is too short for num_pairs={self.num_pairs}: "
                f"needs >= {4 * self.num_pairs}"
            )
        if self.num_pairs > self.num_keys:
            yield (
                f"num_pairs={self.num_pairs} exceeds the {self.num_keys} keys of "
                f"vocab_size={self.vocab_size}: needs vocab_size >= {2 * self.num_pairs + 2}"
            )
        if self.variant == "zoology" and self.vocab_size <= self.length:
            yield (
                f"vocab_size={self.vocab_size} with variant=zoology must exceed "
                f"length={self.length}: needs >= {self.length + 1}"
            )

    @property
    def num_keys(self) -> int:
        return self.vocab_size // 2 - 1

    @property
    def num_values(self) -> int:
        return self.vocab_size - self.vocab_size // 2

    @property
    def vocabulary(self) -> dict[str, range]:
        half = self.vocab_size // 2
        return {
            "filler": range(1),
            "key": range(1, half),
            "value": range(half, self.vocab_size),
        }

    @property
    def context(self) -> Context:
        size = self.vocab_size
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def chance(self) -> float:
        """Each target is uniform over the values."""
        return 1 / self.num_values

    @property
    def floors(self) -> dict[str, float]:
        """Naming one of the K values of the context."""
        return {"value of any pair": 1 / self.num_pairs}

    @property
    def num_contents(self) -> int:
        """Keys and values; the slots are not counted, some are far likelier than others."""
        num = self.num_pairs
        return arrangements(self.num_keys, num) * arrangements(self.num_values, num)

    def draw(self, keys: Words, split: str) -> Content:
        num = self.num_pairs
        weights = power_weights((self.length - 2 * num) // 2, self.power_a - 1)
        return {
            "keys": distinct(keys, KEYS, num, self.num_keys) + 1,
            "values": distinct(keys, VALUES, num, self.num_values) + self.vocab_size // 2,
            "slots": weighted_distinct(keys, SLOTS, num, weights),
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        num = 2 * self.num_pairs
        inputs = np.empty((len(keys), self.length), np.int64)
        inputs[:, 0:num:2] = content["keys"]
        inputs[:, 1:num:2] = content["values"]
        inputs[:, num:] = self._filler(content, keys) if self.random_fill else 0
        queries = num + 2 * content["slots"]
        scatter(inputs, queries, content["keys"])
        gaps = queries - np.arange(1, num, 2)
        return Batch.answered(
            inputs,
            queries,
            content["values"],
            num_pairs=self.num_pairs,
            longest_gap=gaps.max(axis=1),
        )

    def _filler(self, content: Content, keys: Words) -> NDArray[Any]:
        num = self.length - 2 * self.num_pairs
        if self.variant == "zoology":
            return integers(keys, FILLER, num, self.vocab_size)
        ranks = integers(keys, FILLER, num, self.vocab_size - 1 - 2 * self.num_pairs)
        taken = [np.sort(content[name], axis=1) for name in ("keys", "values")]
        return skipping(ranks, np.concatenate(taken, axis=1) - 1, self.vocab_size) + 1

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        num = 2 * self.num_pairs
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            value = dict(zip(row[0:num:2], row[1:num:2], strict=True))
            out[num:] = [value.get(token, IGNORE) for token in row[num:]]
        return answers


def skipping(ranks: Integers, taken: Integers, high: int) -> NDArray[Any]:
    """The numbers of these ranks among the numbers of [0, high) that are not taken.

    rank + #{j : taken_j - j <= rank}: the ranks from taken_j - j on lie behind taken_j.

    Args:    ranks  counted from 0        (B, N)
             taken  rising in each row    (B, M)
    """
    narrow = np.int16 if high <= 2**15 else np.int32  # narrow: several times as fast
    here = ranks.astype(narrow)
    limits = (taken - np.arange(taken.shape[1])).astype(narrow)
    if taken.shape[1] > FEW:
        return here + _how_many(limits, here)
    behind = np.zeros(here.shape, np.int8)
    for j in range(taken.shape[1]):
        behind += (here >= limits[:, j : j + 1]).view(np.int8)
    return here + behind


def _how_many(limits: NDArray[Any], here: NDArray[Any]) -> NDArray[Any]:
    """Row by row #{j : limits_j <= here}, by halving: `searchsorted` of many rows.   (B, N)"""
    num, size = limits.shape
    width = 1 << (size - 1).bit_length()
    padded = np.full((num, width), np.iinfo(limits.dtype).max, limits.dtype)
    padded[:, :size] = limits
    start = np.arange(0, num * width, width, dtype=np.int32)[:, None]
    found = np.zeros(here.shape, np.int32)
    step = width >> 1
    while step:
        found += step * (padded.take(start + (found + (step - 1))) <= here)
        step >>= 1
    found += padded.take(start + found) <= here
    return found


def _zoology(length: int, num_pairs: int) -> Preset:
    return Preset(
        name=f"zoology-mqar-{length}",
        paper="Arora et al. 2023, Zoology, arXiv:2312.04927",
        section="figure 2",
        upstream="HazyResearch/zoology@d88d6f5 zoology/data/multiquery_ar.py",
        differs=(STREAMS,),
        value=Mqar(variant="zoology", length=length, num_pairs=num_pairs, random_fill=False),
    )


def _based(length: int, num_pairs: int) -> Preset:
    return Preset(
        name=f"based-mqar-{length}-{num_pairs}",
        paper="Arora et al. 2024, Based, arXiv:2402.18668",
        section="figure 2",
        upstream="HazyResearch/zoology@d88d6f5 "
        "zoology/experiments/paper_configs/arxiv24_based_figure2/configs.py",
        differs=(STREAMS, "one cell of upstream's mixture of lengths"),
        value=Mqar(variant="zoology", length=length, num_pairs=num_pairs),
    )


PUBLISHED = (
    *(_zoology(*cell) for cell in ((64, 4), (128, 8), (256, 16), (512, 64))),
    *(_based(*cell) for cell in ((64, 4), (64, 8), (64, 16), (128, 8), (128, 32), (256, 16))),
    *(_based(*cell) for cell in ((256, 32), (256, 64), (512, 128), (1024, 256))),
)
