"""Multi-query associative recall: a list of key-value pairs, then the keys again, in disorder.

    k1 v1 k2 v2 ... kK vK | . k2 . . k1 . ...        at each key that returns: its value
    num_updates=1     k1 v1 k2 v2 k1 w1 | . k1       the newest one
    num_passes=2      k1 v1 k2 v2 k1 v1 k2 v2 | . k2
    compound_keys     a x v1 b x v2 a y v3 b y v4 | a y .        behind both halves

Source:  Arora et al. 2023, "Zoology", arXiv:2312.04927, section 3 and figure 2;  Arora et al. 2024,
         "JRT", arXiv:2407.05483 (passes);  HazyResearch/zoology@d88d6f5 zoology/data/
         multiquery_ar.py, forgetting_mqar.py, compositional_ar.py.
Differs: `canonical` draws filler from the ids that are neither key nor value of the example
         (nor 0), so that every key occurs exactly twice; `zoology` draws it from all ids, the
         example's own keys and values included, as upstream.  Upstream takes the filler from
         torch's global generator, which its seed does not fix, and fails for more than one
         pass.  Its updates avoid the old value of the j-th key, not of the updated one, which may
         so keep its value (`zoology`); those of `canonical` are new to the example.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import arrangements, subsets
from tasks.filler import avoiding, many_distinct
from tasks.mqar_cells import published
from tasks.published import Preset
from tasks.rng import (
    Integers,
    Words,
    distinct,
    integers,
    permutation,
    power_weights,
    weighted_distinct,
)
from tasks.task import Content, Task
from zoo.spec import Context

KEYS, VALUES, SLOTS, FILLER, UPDATED, NEW, SECONDS, ORDER = 1, 2, 3, 4, 5, 6, 7, 8
PASSES = 16  # pass p in its own order has field PASSES + p


class Mqar(Task, kind="mqar"):
    """Multi-query associative recall.

    The context is K pairs of different keys and different values, num_passes times over; then
    num_updates of the keys get a new value.  Behind it key i returns in slot_i, at position
    context + 2 slot_i; the slots are drawn without replacement with p_j ~ j^(power_a - 1), key by
    key, so that gaps follow a power law.  The target there is the key's newest value.  With
    compound_keys a key is a row and a column of a grid of K = g x g, and a slot three positions.
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
    num_passes: Annotated[int, Field(ge=1, le=64, description="times that the pairs are told")] = 1
    permute_passes: Annotated[
        bool, Field(description="each pass but the first in an order of its own")
    ] = False
    num_updates: Annotated[int, Field(ge=0, description="keys that get a new value")] = 0
    compound_keys: Annotated[
        bool, Field(description="keys of two tokens, neither of which tells the value")
    ] = False

    def problems(self) -> Iterator[str]:
        if self.length % 2:
            yield f"length={self.length} is odd: pairs need an even one, such as {self.length + 1}"
        needed = self.told + self.width * self.num_pairs
        if self.length < needed:
            added = ("num_passes", "num_updates", "compound_keys")
            chosen = (n for n in added if getattr(self, n) != type(self).model_fields[n].default)
            more = "".join(f", {name}={getattr(self, name)}" for name in chosen)
            yield (
                f"length={self.length} is too short for num_pairs={self.num_pairs}{more}: "
                f"needs >= {needed}"
            )
        if self.num_updates > self.num_pairs:
            yield f"num_updates={self.num_updates} exceeds num_pairs: needs <= {self.num_pairs}"
        if self.permute_passes and self.num_passes == 1:
            yield "permute_passes=True with num_passes=1: needs num_passes >= 2"
        if self.compound_keys and self.side**2 != self.num_pairs:
            yield (
                f"num_pairs={self.num_pairs} with compound_keys=True is no grid: needs a square, "
                f"such as {self.side**2} or {(self.side + 1) ** 2}"
            )
        yield from self._too_few_ids()

    def _too_few_ids(self) -> Iterator[str]:
        num, size = self.num_pairs, self.vocab_size
        if self.side > self.num_keys:
            yield (
                f"num_pairs={num} exceeds the {self.num_keys} keys of vocab_size={size}: "
                f"needs vocab_size >= {self.width * (self.side + 1)}"
            )
        elif self.num_used > self.num_values:
            yield (
                f"num_pairs={num} with num_updates={self.num_updates} exceeds the values of "
                f"vocab_size={size}: needs vocab_size >= {self.width * self.num_used}"
            )
        elif self.num_free < 1 and self.random_fill and self.variant == "canonical":
            yield f"vocab_size={size} leaves no id for filler: needs vocab_size >= {size + 2}"
        if self.variant == "zoology" and size <= self.length:
            yield (
                f"vocab_size={size} with variant=zoology must exceed "
                f"length={self.length}: needs >= {self.length + 1}"
            )

    @property
    def width(self) -> int:
        """Positions of a pair, and of a slot for a query."""
        return 3 if self.compound_keys else 2

    @property
    def told(self) -> int:
        """Positions of the context: all passes and the updates."""
        return self.width * (self.num_pairs * self.num_passes + self.num_updates)

    @property
    def num_used(self) -> int:
        """Different values of an example; upstream's updates take any."""
        return self.num_pairs + (self.num_updates if self.variant == "canonical" else 0)

    @property
    def side(self) -> int:
        """Different first tokens of the keys; g of a grid."""
        return math.isqrt(self.num_pairs) if self.compound_keys else self.num_pairs

    @property
    def num_free(self) -> int:
        """Ids that are neither keys nor values of an example, nor 0."""
        return self.vocab_size - 1 - (self.width - 1) * self.side - self.num_used

    @property
    def num_keys(self) -> int:
        """Ids that keys are made of; with compound keys those of the first token."""
        return self.vocab_size // self.width - 1

    @property
    def first_value(self) -> int:
        return (self.width - 1) * (self.vocab_size // self.width)

    @property
    def num_values(self) -> int:
        return self.vocab_size - self.first_value

    @property
    def vocabulary(self) -> dict[str, range]:
        part, first = self.vocab_size // self.width, self.first_value
        keys = {"first": range(1, part), "second": range(part, first)}
        if not self.compound_keys:
            keys = {"key": range(1, first)}
        return {"filler": range(1), **keys, "value": range(first, self.vocab_size)}

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
        """Naming one of the K values; the first one of the key; that of one half of the key."""
        num, updated = self.num_pairs, self.num_updates / self.num_pairs
        found = {"value of any pair": 1 / num}
        if self.num_updates:
            kept = 0.0 if self.variant == "canonical" else (1 - 1 / num) / (self.num_values - 1)
            found["value before the update"] = 1 - updated + updated * kept
        if self.compound_keys:
            found["value of the same first token"] = 1 / self.side
        return found

    @property
    def num_contents(self) -> int:
        """Keys and values; the slots are not counted, some are far likelier than others."""
        num, side = self.num_pairs, self.side
        values = arrangements(self.num_values, num)
        if self.compound_keys:
            return subsets(self.num_keys, side) * subsets(self.num_keys + 1, side) * values
        return arrangements(self.num_keys, num) * values

    def draw(self, keys: Words, split: str) -> Content:
        num = self.num_pairs
        weights = power_weights((self.length - self.told) // self.width, self.power_a - 1)
        values = many_distinct(keys, VALUES, self.num_used, self.num_values) + self.first_value
        found = self._grid(keys) if self.compound_keys else {}
        if not self.compound_keys:
            found["keys"] = many_distinct(keys, KEYS, num, self.num_keys) + 1
        found["values"] = values[:, :num]
        found["slots"] = weighted_distinct(keys, SLOTS, num, weights)
        if self.num_updates:
            found["updated"] = distinct(keys, UPDATED, self.num_updates, num)
            found["new"] = values[:, num:]
            if self.variant == "zoology":
                old = values[:, : self.num_updates] - self.first_value
                new = integers(keys, NEW, self.num_updates, self.num_values - 1)
                found["new"] = new + (new >= old) + self.first_value
        if self.permute_passes:
            fields = range(PASSES + 1, PASSES + self.num_passes)
            found["orders"] = np.concatenate([permutation(keys, f, num) for f in fields], axis=1)
        return found

    def _grid(self, keys: Words) -> Content:
        """Rows and columns of the grid, its cells in a random order."""
        side = self.side
        rows = distinct(keys, KEYS, side, self.num_keys) + 1
        columns = distinct(keys, SECONDS, side, self.num_keys + 1) + self.num_keys + 1
        cells = permutation(keys, ORDER, self.num_pairs)
        return {
            "keys": np.take_along_axis(rows, cells // side, axis=1),
            "seconds": np.take_along_axis(columns, cells % side, axis=1),
        }

    def _told(self, content: Content) -> tuple[Integers, Integers]:
        """Which key is told when, and with what value.                 (B, N), (B, N)"""
        values = content["values"]
        which = np.tile(np.arange(self.num_pairs), (len(values), self.num_passes))
        if self.permute_passes:
            which[:, self.num_pairs :] = content["orders"]
        values = np.take_along_axis(values, which, axis=1)
        if self.num_updates:
            which = np.concatenate([which, content["updated"]], axis=1)
            values = np.concatenate([values, content["new"]], axis=1)
        return which, values

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        width, told, answers = self.width, self.told, content["values"]
        parts = [content[name] for name in ("keys", "seconds")[: width - 1]]
        inputs = np.empty((len(keys), self.length), np.int64)
        at = np.arange(width - 1, told, width)  # the values
        if told == width * self.num_pairs:
            shown, values, last = parts, answers, at
        else:
            which, values = self._told(content)
            shown = [np.take_along_axis(part, which, axis=1) for part in parts]
            answers, last = np.empty_like(answers), np.empty_like(answers)
            np.put_along_axis(answers, which, values, axis=1)  # of several, the newest stays
            np.put_along_axis(last, which, at[None], axis=1)
        inputs[:, told:] = self._filler(content, keys) if self.random_fill else 0
        queries = told + width * content["slots"]
        for i, part in enumerate(parts):
            inputs[:, i:told:width] = shown[i]
            scatter(inputs, queries + i, part)
        inputs[:, at[0] : told : width] = values
        due = queries + width - 2
        longest = (due - last).max(axis=1)
        return Batch.answered(inputs, due, answers, num_pairs=self.num_pairs, longest_gap=longest)

    def _filler(self, content: Content, keys: Words) -> NDArray[Any]:
        num = self.length - self.told
        if self.variant == "zoology":
            return integers(keys, FILLER, num, self.vocab_size)
        every = self.num_pairs // self.side  # a row of the grid is the first token of so many
        parts = [content[name] for name in ("keys", "seconds")[: self.width - 1]]
        used = [np.sort(part, axis=1)[:, ::every] for part in parts]
        used += [content[name] for name in ("values", "new") if name in content]
        taken = np.concatenate(used, axis=1) - 1
        return avoiding(keys, FILLER, num, taken, self.vocab_size - 1) + 1

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        width, told = self.width, self.told
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            starts = range(0, told, width)
            value = {tuple(row[i : i + width - 1]): row[i + width - 1] for i in starts}
            for t in range(told + width - 2, self.length):
                out[t] = value.get(tuple(row[t - width + 2 : t + 1]), IGNORE)
        return answers


PUBLISHED = tuple(
    Preset(**where, value=Mqar.model_validate(fields)) for where, fields in published()
)
