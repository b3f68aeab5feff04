"""Needles in a haystack: facts hidden in a long text, and questions about some at its end.

    . . K a b = 3 1 7 ; . . . K c a = 9 4 0 ; . .  ? c a = 9 4
    targets                                              9 4 0      answers are given as written

Source:  Hsieh et al. 2024, "RULER", arXiv:2404.06654, NVIDIA/RULER: the tasks niah_single,
         niah_multikey, niah_multivalue, niah_multiquery.
Differs: ids instead of English: essays are `haystack=random`, the repeated sentence is `filler`.
         Numbers are 7 digits, words 2 ids of 128, and UUIDs 32 of 16.  Depths are uniform over
         all positions, one (`depth=fixed`), or RULER's 40 levels (`depth=grid`).  The answers
         are due in order, one after the other; RULER looks for them anywhere in free text: of
         several values that is `set_recall`, here of what stands where answers are due.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import power
from tasks.haystack import (
    LEVELS,
    at_levels,
    different,
    flat,
    level_of,
    level_problems,
    placed,
    questions,
    straw,
)
from tasks.ids import in_turn
from tasks.published import Preset
from tasks.rng import Words, distinct, integers, permutation
from tasks.task import Content, Task
from tasks.writing import Writing
from zoo.spec import Context

VALUES, ORDER, GAPS, ASKED, STRAW, KEYS = 1, 2, 3, 4, 5, 8
FACT, IS, END, ASK = range(4)  # ids that mark a fact's start, its value, its end; a question
DECILES = 10


class Needle(Task, kind="needle"):
    """Needle: find facts in a haystack by their keys and write their values down.

    num_keys keys of num_values values each are hidden, every value in a fact of its own; then
    num_queries of the keys are asked for. All values of a key are due, in their order in the
    text. haystack=filler repeats a loop of ids, `random` draws them by Zipf's law, and `needles`
    fills the text with facts of other keys. depth=grid puts every fact at another of 40 levels.
    """

    metric = "span_exact"
    factors: ClassVar[dict[str, str]] = {
        "depth": "tenth of the text in which the first fact asked for begins; eighth of the grid",
        "gap": "positions from that fact's value to the question",
    }

    length: Annotated[int, Field(ge=8, le=2**24, description="positions L, answers included")] = 128
    haystack: Annotated[
        Literal["filler", "random", "needles"], Field(description="what surrounds the facts")
    ] = "filler"
    num_keys: Annotated[int, Field(ge=1, description="different keys to hide")] = 4
    num_values: Annotated[int, Field(ge=1, description="values of each key")] = 1
    num_queries: Annotated[int, Field(ge=1, description="keys to ask for")] = 1
    num_key_tokens: Annotated[int, Field(ge=1, le=64, description="tokens of a key")] = 2
    num_value_tokens: Annotated[int, Field(ge=1, le=64, description="tokens of a value")] = 7
    num_key_ids: Annotated[int, Field(ge=2, le=2**20, description="ids of keys")] = 16
    num_value_ids: Annotated[int, Field(ge=2, le=2**20, description="ids of values")] = 10
    num_hay_ids: Annotated[int, Field(ge=1, le=2**12, description="ids of the haystack")] = 16
    zipf: Annotated[float, Field(ge=0, le=8, description="exponent of random hay")] = 1.0
    depth: Annotated[
        Literal["uniform", "fixed", "grid"], Field(description="where the fact asked for stands")
    ] = "uniform"
    depth_fraction: Annotated[
        float, Field(ge=0, le=1, description="how deep with depth=fixed: 0 first, 1 last")
    ] = 0.5

    def problems(self) -> Iterator[str]:
        if self.num_queries > self.num_keys:
            yield (
                f"num_queries={self.num_queries} exceeds num_keys={self.num_keys}: "
                f"needs <= {self.num_keys}"
            )
        if self.room < self.num_facts * self.width:
            needed = self.length - self.room + self.num_keys * self.num_values * self.width
            yield f"length={self.length} is too short for facts and questions: needs >= {needed}"
        elif self.num_key_ids**self.num_key_tokens < 4 * self.different_keys:
            yield (
                f"num_key_ids={self.num_key_ids} and num_key_tokens={self.num_key_tokens} make "
                f"too few keys for {self.different_keys}: needs >= {4 * self.different_keys}"
            )
        alone = self.num_queries * self.num_values == 1 and self.haystack != "needles"
        if self.depth == "fixed" and not alone:
            yield "depth=fixed needs num_queries=1, num_values=1 and a haystack other than needles"
        if self.depth == "grid":
            alone = self.haystack != "needles"
            yield from level_problems(self.num_facts, self.free, self.length, alone=alone)

    @property
    def width(self) -> int:
        """Positions of a fact: FACT key IS value END."""
        return self.num_key_tokens + self.num_value_tokens + 3

    @property
    def answer(self) -> int:
        """Tokens due for one question."""
        return self.num_values * self.num_value_tokens

    @property
    def room(self) -> int:
        """Positions ahead of the first question; the last answer's end is not read."""
        return self.length + 1 - self.num_queries * (2 + self.num_key_tokens + self.answer)

    @property
    def num_facts(self) -> int:
        """Facts in the text, those of other keys included."""
        hidden = self.num_keys * self.num_values
        return max(hidden, self.room // self.width) if self.haystack == "needles" else hidden

    @property
    def free(self) -> int:
        """Positions of the text that hay is left with."""
        return self.room - self.num_facts * self.width

    @property
    def different_keys(self) -> int:
        return self.num_facts - self.num_keys * (self.num_values - 1)

    @property
    def vocabulary(self) -> dict[str, range]:
        marks = dict.fromkeys(("fact", "is", "end", "ask"), 1)
        words = {use: getattr(self, f"num_{use}_ids") for use in ("key", "value", "hay")}
        return in_turn(marks | words)

    @property
    def context(self) -> Context:
        size = self.vocabulary["hay"].stop
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def chance(self) -> float:
        """Each token of a value is uniform over the ids of values."""
        return 1 / self.num_value_ids

    @property
    def floors(self) -> dict[str, float]:
        """Copying the value of any fact in the text, token by token."""
        same = 1 / self.num_facts
        return {"value of any fact": same + (1 - same) / self.num_value_ids}

    @property
    def num_contents(self) -> int:
        """Values, one key, and the place of one fact."""
        hidden = power(self.num_value_ids, self.num_facts * self.num_value_tokens)
        places = {"uniform": self.free + 1, "fixed": 1, "grid": len(LEVELS)}[self.depth]
        return hidden * power(self.num_key_ids, self.num_key_tokens) * places

    @property
    def answers_follow(self) -> bool:
        return self.num_queries * self.answer > 1  # tokens of answers are given as inputs

    @property
    def writings(self) -> dict[str, Writing]:
        """The values of one key, in any order."""
        some = self.num_queries == 1 and self.num_values > 1
        return {"set_recall": Writing(stop=-1)} if some else {}

    def accepts(self, batch: Batch, answers: NDArray[Any]) -> NDArray[np.float64]:
        """RULER's score: the share of the values that are written, in whatever order."""
        right = batch.targets[batch.mask].reshape(len(batch), self.num_values, -1)
        written = answers[:, : self.answer].reshape(right.shape)
        same = (right[:, :, None] == written[:, None]).all(-1)  # (B, values, values written)
        return same.any(-1).mean(-1)

    def draw(self, keys: Words, split: str) -> Content:
        num, tokens, free = self.num_facts, self.num_value_tokens, self.free
        asked = distinct(keys, ASKED, self.num_queries, self.num_keys)
        graded = self.depth == "grid"
        gaps = at_levels(keys, GAPS, num, free) if graded else integers(keys, GAPS, num, free + 1)
        if self.depth == "fixed":
            np.put_along_axis(gaps, asked, int(self.depth_fraction * free + 0.5), axis=1)
        place = gaps * num + permutation(keys, ORDER, num)  # facts in one gap: in any order
        order = np.argsort(place, axis=1)
        words = different(keys, KEYS, self.different_keys, self.num_key_tokens, self.num_key_ids)
        return {
            "keys": flat(words),
            "values": integers(keys, VALUES, num * tokens, self.num_value_ids),
            "order": order,
            "gaps": np.take_along_axis(gaps, order, axis=1),
            "asked": asked,
        }

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        num, ids, size = self.num_facts, self.vocabulary, len(keys)
        names = (
            content["keys"].reshape(size, self.different_keys, self.num_key_tokens)
            + ids["key"].start
        )
        values = content["values"].reshape(size, num, self.num_value_tokens) + ids["value"].start
        hidden = self.num_keys * self.num_values
        owner = np.arange(num) - (self.num_values - 1) * self.num_keys  # of other keys: one each
        owner[:hidden] = np.arange(hidden) // self.num_values
        facts = np.empty((size, num, self.width), np.int64)
        facts[:, :, 0], facts[:, :, 1 + self.num_key_tokens], facts[:, :, -1] = FACT, IS, END
        facts[:, :, 1 : 1 + self.num_key_tokens] = names[:, owner]
        facts[:, :, 2 + self.num_key_tokens : -1] = values
        starts = placed(content["gaps"], np.full((1, num), self.width))
        at = np.empty_like(starts)  # of each fact, however they are ordered
        np.put_along_axis(at, content["order"], starts, axis=1)
        zipf = self.zipf if self.haystack == "random" else None
        inputs = straw(keys, STRAW, self.length, ids["hay"], zipf=zipf)
        scatter(inputs, flat(at[:, :, None] + np.arange(self.width)), flat(facts))
        owned = content["asked"][:, :, None] * self.num_values + np.arange(self.num_values)
        rows = np.arange(size)[:, None, None]
        owned = np.take_along_axis(owned, at[rows, owned].argsort(axis=2), axis=2)
        answers = values[rows, owned].reshape(size, self.num_queries, self.answer)
        asked = names[rows[:, :, 0], content["asked"]]
        first = at[rows[:, 0, 0], owned[:, 0, 0]]
        depth = first * DECILES // self.room
        if self.depth == "grid":
            gap = content["gaps"][content["order"] == owned[:, 0, :1]]
            depth = level_of(gap, self.free) // 5  # results are sliced by up to eight numbers
        factors = {
            "depth": depth,
            "gap": self.room - (first + 2 + self.num_key_tokens),
        }
        marks, one = (ASK, IS), self.num_value_tokens
        return questions(inputs, self.room, marks, asked, answers, one, factors)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        tokens, given = self.num_key_tokens, self.num_value_tokens
        for row, out in zip(inputs.tolist(), answers, strict=True):
            known: dict[tuple[int, ...], list[int]] = {}
            for t in range(self.room - self.width + 1):
                if row[t] == FACT:
                    start = t + 2 + tokens
                    value = known.setdefault(tuple(row[t + 1 : start - 1]), [])
                    value += row[start : start + given]
            for start in range(self.room, self.length, 2 + tokens + self.answer):
                due = start + 1 + tokens
                found = known.get(tuple(row[start + 1 : due]), [])[: self.answer]
                out[due : due + len(found)] = found
        return answers


NUMBER, UUID, WORD = (7, 10), (32, 16), (2, 128)  # tokens, ids


def _ruler(
    name: str, haystack: str, key: tuple[int, int], value: tuple[int, int], **others: Any
) -> Preset:
    fields = {
        "length": 4096,
        "haystack": haystack,
        "num_keys": 1,
        "num_key_tokens": key[0],
        "num_key_ids": key[1],
        "num_value_tokens": value[0],
        "num_value_ids": value[1],
        "num_hay_ids": 16 if haystack == "filler" else 512,
    }
    return Preset(
        name=f"ruler-niah-{name}",
        paper="Hsieh et al. 2024, RULER, arXiv:2404.06654",
        section=f"niah_{name.replace('-', '_').replace('_depths', ', by depth,')} at 4,096 tokens",
        upstream="NVIDIA/RULER scripts/synthetic.yaml",
        differs=(
            "the path is as recalled; not checked against the source",
            "ids instead of text and its tokenizer; see the module",
        ),
        value=Needle.model_validate({**fields, **others}),
    )


PUBLISHED = (
    _ruler("single-2-depths", "random", WORD, NUMBER, depth="grid"),
    _ruler("single-1", "filler", WORD, NUMBER),
    _ruler("single-2", "random", WORD, NUMBER),
    _ruler("single-3", "random", WORD, UUID),
    _ruler("multikey-1", "random", WORD, NUMBER, num_keys=4),
    _ruler("multikey-2", "needles", WORD, NUMBER),
    _ruler("multikey-3", "needles", UUID, UUID),
    _ruler("multivalue", "random", WORD, NUMBER, num_values=4),
    _ruler("multiquery", "random", WORD, NUMBER, num_keys=4, num_queries=4),
)
