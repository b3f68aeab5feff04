"""Induction heads: what followed the last time this token was here?

    canonical   5 T 9 2 2 7 1 T          safari   5 T 9 2 T 9 1 T         bigram   5 9 2 5 9 2
    targets                   9                                 9                        9 2 5

Source:  Olsson et al. 2022, arXiv:2209.11895;  Dao et al. 2022, "H3", arXiv:2212.14052, table 1,
         HazyResearch/safari@42f326e src/dataloaders/synthetics.py;  Gu and Dao 2023, "Mamba",
         arXiv:2312.00752, section 4.1.2.
Differs: safari's ids depend on sorting numbers as text; here they are in order, which renames the
         ids and nothing else.  It removes duplicates inside a split, and lets splits share
         examples; here splits are disjoint and a split may repeat an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import power
from tasks.published import mamba, safari
from tasks.rng import Words, integers
from tasks.task import Content, Task
from zoo.spec import Context

TOKENS, PLACES, SINGLE = 1, 2, 3


class Induction(Task, kind="induction"):
    """Induction: answer with the token that followed the same token earlier.

    canonical  a random sequence of `length` positions; the trigger stands at a uniform position
               p <= length - 3 and at the end; the target there is the token behind p.
    safari     behind up to num_triggers triggers stand the same num_copied tokens; the
               sequence of `length` positions is followed by a trigger and those tokens but the
               last.  Training scores every next token; validation and test the copied ones.
    bigram     the first half repeats; every position of the second half is scored.
    """

    factors: ClassVar[dict[str, str]] = {
        "gap": "positions from the first trigger (bigram: the first copy) to its repetition",
        "num_triggers": "triggers before the last one (bigram: 0)",
    }

    variant: Literal["canonical", "safari", "bigram"] = "canonical"
    vocab_size: Annotated[
        int,
        Field(
            ge=2, le=2**31, description="ordinary ids; in safari all, with '=>' (trigger) and '.'"
        ),
    ] = 16
    length: Annotated[
        int, Field(ge=4, le=2**24, description="positions; in safari those before the last '=>'")
    ] = 256
    num_copied: Annotated[
        int, Field(ge=1, description="tokens that follow a trigger (safari only)")
    ] = 1
    num_triggers: Annotated[
        int, Field(ge=1, description="triggers at most, before the last one (safari only)")
    ] = 1

    def problems(self) -> Iterator[str]:
        for name in ("num_copied", "num_triggers"):
            value = getattr(self, name)
            if value > 1 and self.variant != "safari":
                yield f"{name}={value} with variant={self.variant}: needs 1, or variant=safari"
        if self.length < self.num_copied + 3:
            yield (
                f"length={self.length} is too short for num_copied={self.num_copied}: "
                f"needs >= {self.num_copied + 3}"
            )
        if self.variant == "bigram" and self.length % 2:
            yield f"length={self.length} is odd: bigram repeats a half, use {self.length + 1}"
        if self.variant == "safari" and self.vocab_size < 4:
            yield f"vocab_size={self.vocab_size} leaves no two ordinary ids in safari: needs >= 4"

    @property
    def num_ordinary(self) -> int:
        return self.vocab_size - 2 if self.variant == "safari" else self.vocab_size

    @property
    def trigger(self) -> int:
        """The highest id, where there is a trigger."""
        return self.vocab_size - 1 if self.variant == "safari" else self.vocab_size

    @property
    def vocabulary(self) -> dict[str, range]:
        num = self.num_ordinary
        if self.variant == "bigram":
            return {"ordinary": range(num)}
        trigger = range(self.trigger, self.trigger + 1)
        if self.variant == "canonical":
            return {"ordinary": range(num), "trigger": trigger}
        return {"ordinary": range(num), "no-op": range(num, num + 1), "trigger": trigger}

    @property
    def answers_follow(self) -> bool:
        return self.variant != "canonical"  # what is copied stands in the inputs again

    @property
    def context(self) -> Context:
        size = self.vocab_size + (self.variant == "canonical")
        extra = self.num_copied if self.variant == "safari" else 0
        return Context(num_inputs=size, num_outputs=size, length=self.length + extra)

    @property
    def chance(self) -> float:
        """Each target is uniform over the ordinary ids."""
        return 1 / self.num_ordinary

    @property
    def num_contents(self) -> int:
        free = {
            "canonical": self.length - 2,
            "safari": self.length - self.num_triggers * (1 + self.num_copied),
            "bigram": self.length // 2,
        }
        return power(self.num_ordinary, max(free[self.variant], 0))

    def determined(self, split: str) -> bool:
        return self.variant != "safari" or split != "train"

    def draw(self, keys: Words, split: str) -> Content:
        if self.variant == "bigram":
            return {"half": integers(keys, TOKENS, self.length // 2, self.num_ordinary)}
        tokens = integers(keys, TOKENS, self.length, self.num_ordinary)
        if self.variant == "safari":
            return self._with_triggers(tokens, keys)
        place = integers(keys, PLACES, 1, self.length - 2)
        scatter(tokens, place, self.trigger)
        tokens[:, -1] = self.trigger
        return {"tokens": tokens, "first": place}

    def _with_triggers(self, tokens: NDArray[np.int64], keys: Words) -> Content:
        places = integers(keys, PLACES, self.num_triggers, self.length - 1 - self.num_copied)
        single = integers(keys, SINGLE, 1, 2) == 1
        places = np.sort(np.where(single, places[:, :1], places), axis=1)
        behind = 1 + np.arange(self.num_copied)
        first = places[:, :1]
        copied = np.take_along_axis(tokens, first + behind, axis=1)
        last = first
        count = np.ones_like(first)
        for place in places.T[:, :, None]:
            kept = place - last > self.num_copied
            last = np.where(kept, place, last)  # a trigger too close is the last one again
            count += kept
            scatter(tokens, last, self.trigger)
            scatter(tokens, last + behind, copied)
        return {"tokens": tokens, "first": first, "copied": copied, "count": count}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        if self.variant == "bigram":
            return self._bigram(content["half"])
        first, tokens = content["first"], content["tokens"]
        if self.variant == "canonical":
            answer = np.take_along_axis(tokens, first + 1, axis=1)
            gap = self.length - 1 - first[:, 0]
            return Batch.answered(
                tokens, np.array([self.length - 1]), answer, gap=gap, num_triggers=1
            )
        copied = content["copied"]
        final = np.full((len(keys), 1), self.trigger)
        inputs = np.concatenate([tokens, final, copied[:, :-1]], axis=1)
        factors = {"gap": self.length - first[:, 0], "num_triggers": content["count"][:, 0]}
        if split == "train":
            return Batch.next_tokens(inputs, copied[:, -1], **factors)
        return Batch.answered(inputs, self.length + np.arange(self.num_copied), copied, **factors)

    def _bigram(self, half: NDArray[np.int64]) -> Batch:
        num = half.shape[1]
        return Batch.answered(
            np.tile(half, (1, 2)),
            np.arange(num, 2 * num),
            np.roll(half, -1, axis=1),
            gap=num,
            num_triggers=0,
        )

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        half = self.length // 2
        if self.variant == "bigram":
            answers[:, half:] = inputs[:, 1 : half + 1]
            return answers
        for row, out in zip(inputs, answers, strict=True):
            triggers = np.flatnonzero(row == self.trigger)
            if self.variant == "canonical" and len(triggers) > 1:
                out[triggers[1:]] = row[triggers[0] + 1]
            elif self.variant == "safari" and len(triggers) and triggers[0] < self.length:
                start = triggers[0] + 1
                out[self.length :] = row[start : start + self.num_copied]
        return answers


PUBLISHED = (
    safari(
        "h3-induction",
        "synthetic languages",
        Induction(variant="safari", vocab_size=20, length=30),
    ),
    mamba(
        "mamba-induction",
        "section 4.1.2",
        Induction(vocab_size=16, length=256),
        "the trigger is a 17th id",
    ),
)
