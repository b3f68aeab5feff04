"""Swap recall: pairs of keys and values, exchanges of values, then the keys.

    k1 v5 k2 v7 k3 v1  SWAP k1 k2  SWAP k2 k3   k3 k1 k2
    targets                                     v5 v7 v1

Source:  seqzoo.  It joins state tracking (exchanges do not commute) with recall; the motive is
         Merrill et al. 2026 on what hybrids of recurrence and attention can express.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import arrangements, power
from tasks.ids import in_turn
from tasks.published import Preset
from tasks.rng import Words, distinct, integers, permutation
from tasks.task import Content, Task
from zoo.spec import Context

KEYS, VALUES, SWAPS, ASKED = 1, 2, 3, 4
SWAP = 0  # id; then keys, then values


class SwapRecall(Task, kind="swap-recall"):
    """Swap recall: after some exchanges of two keys' values, name the value of every key.

    Keys differ, values differ; an exchange is of two different keys, uniformly.  The questions
    are all keys in random order, with the value due at each.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_moved": "keys that end with another value than they began with",
    }

    num_pairs: Annotated[int, Field(ge=2, le=2**16, description="keys with values K")] = 8
    num_swaps: Annotated[int, Field(ge=0, le=2**22, description="exchanges S")] = 4
    num_keys: Annotated[int, Field(ge=2, le=2**30, description="ids of keys")] = 16
    num_values: Annotated[int, Field(ge=2, le=2**30, description="ids of values")] = 16

    def problems(self) -> Iterator[str]:
        for name in ("num_keys", "num_values"):
            if self.num_pairs > getattr(self, name):
                given = f"{name}={getattr(self, name)}"
                yield f"num_pairs={self.num_pairs} exceeds {given}: needs {name} >= it"

    @property
    def vocabulary(self) -> dict[str, range]:
        return in_turn({"swap": 1, "key": self.num_keys, "value": self.num_values})

    @property
    def context(self) -> Context:
        size = 1 + self.num_keys + self.num_values
        length = 3 * (self.num_pairs + self.num_swaps)
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """Each value is as likely."""
        return 1 / self.num_values

    @property
    def floors(self) -> dict[str, float]:
        """Naming any value shown; or the one that the key began with.

        An exchange moves a value with probability 2 / K, each way alike: the chance that it is
        where it began nears 1 / K by the factor 1 - 2 / (K - 1) a step.
        """
        num = self.num_pairs
        kept = 1 / num + (1 - 1 / num) * (1 - 2 / (num - 1)) ** self.num_swaps
        return {"any value shown": 1 / num, "value before the exchanges": kept}

    @property
    def num_contents(self) -> int:
        num = self.num_pairs
        return (
            arrangements(self.num_keys, num)
            * arrangements(self.num_values, num)
            * power(num * (num - 1), self.num_swaps)
        )

    def draw(self, keys: Words, split: str) -> Content:
        num = self.num_pairs
        drawn = integers(keys, SWAPS, self.num_swaps, num * (num - 1))
        one, other = drawn // (num - 1), drawn % (num - 1)
        return {
            "keys": distinct(keys, KEYS, num, self.num_keys) + 1,
            "values": distinct(keys, VALUES, num, self.num_values) + 1 + self.num_keys,
            "one": one,
            "other": other + (other >= one),
            "asked": permutation(keys, ASKED, num),
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        rows, names, values = np.arange(len(keys)), content["keys"], content["values"]
        pairs, swaps = 2 * self.num_pairs, 3 * self.num_swaps
        held = values.copy()
        for one, other in zip(content["one"].T, content["other"].T, strict=True):
            held[rows, one], held[rows, other] = held[rows, other], held[rows, one]
        inputs = np.empty((len(keys), self.context.length), np.int64)
        inputs[:, 0:pairs:2], inputs[:, 1:pairs:2] = names, values
        inputs[:, pairs : pairs + swaps : 3] = SWAP
        for i, name in enumerate(("one", "other")):
            swapped = np.take_along_axis(names, content[name], axis=1)
            inputs[:, pairs + 1 + i : pairs + swaps : 3] = swapped
        inputs[:, pairs + swaps :] = np.take_along_axis(names, content["asked"], axis=1)
        due = pairs + swaps + np.arange(self.num_pairs)
        answers = np.take_along_axis(held, content["asked"], axis=1)
        return Batch.answered(inputs, due, answers, num_moved=(held != values).sum(axis=1))

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        pairs = 2 * self.num_pairs
        first = pairs + 3 * self.num_swaps
        for row, out in zip(inputs.tolist(), answers, strict=True):
            value = dict(zip(row[0:pairs:2], row[1:pairs:2], strict=True))
            for t in range(pairs, first, 3):
                one, other = row[t + 1], row[t + 2]
                held = value.get(one, IGNORE)
                value[one] = value.get(other, IGNORE)
                value[other] = held
            out[first:] = [value.get(key, IGNORE) for key in row[first:]]
        return answers


PUBLISHED = tuple(
    Preset(
        name=name,
        paper="seqzoo",
        section=f"{value.num_pairs} keys, {value.num_swaps} exchanges",
        upstream="-",
        value=value,
    )
    for name, value in (
        ("swap-recall-cpu", SwapRecall()),
        ("swap-recall-hard", SwapRecall(num_pairs=16, num_swaps=32)),
    )
)
