"""Fuzzy recall: in-context recall with keys and values of several tokens.

    canonical   a b = X | c = Y Z | a b = X | c =        targets after c =: Y, and after Y: Z
    mad         . . . a b X c Y Z a b X c                no separators; padded on the left

Source:  Poli et al. 2024, "MAD", arXiv:2403.17844, athms/mad-lab@0f49a45 mad/data/instances.py,
         configs/tasks/fuzzy-in-context-recall.yml.
Differs: without separators a key's first tokens may be another key, so that nothing tells a
         reader where the key ends.  `canonical` puts one id between key and value and between
         pairs (or has fixed sizes), asks for a key that was shown, and is answered in full by
         its oracle.  `mad` is upstream's law: keys of the largest size in validation and test,
         and now and then a last key that was never shown, as upstream draws the place of the
         first showing over more positions than it fills.  Tuples are drawn directly; upstream
         lists them all for each example.  `mad` trains on every next token.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import arrangements, power
from tasks.haystack import flat
from tasks.ids import Halves
from tasks.ladders import ladder
from tasks.rng import Words
from tasks.task import Content
from zoo.spec import Context

MOST = 16  # tokens of a tuple
MEASURED = 4096  # examples that a ceiling comes from


class FuzzyRecall(Halves, kind="fuzzy-recall"):
    """Fuzzy recall: keys and values are tuples of different tokens; answer each key seen before.

    A key keeps its value within the example.  Sizes are uniform from 1 to num_key_tokens and
    num_value_tokens, or always the largest with fixed_sizes.  A value is scored token by token,
    the tokens before being given.  `canonical` separates tuples of variable sizes by an id,
    and pads at the end; `mad` has no separators, and pads at the start.
    """

    metric = "span_exact"
    factors: ClassVar[dict[str, str]] = {
        "num_pairs": "pairs before the last key",
        "num_targets": "tokens scored in test",
        "gap": "positions from the last showing of the last key to its return; 0: never shown",
    }

    variant: Literal["canonical", "mad"] = "canonical"
    vocab_size: Annotated[
        int, Field(ge=5, le=2**15, description="ids: keys, values, padding, a separator")
    ] = 16
    length: Annotated[int, Field(ge=6, le=2**24, description="positions L, padding included")] = 128
    num_key_tokens: Annotated[int, Field(ge=1, le=MOST, description="tokens of a key, at most")] = 3
    num_value_tokens: Annotated[
        int, Field(ge=1, le=MOST, description="tokens of a value, at most")
    ] = 3
    fixed_sizes: Annotated[
        bool, Field(description="every tuple has its largest size; then nothing separates them")
    ] = False
    multi_query: Annotated[bool, Field(description="score every repeated key")] = True

    def problems(self) -> Iterator[str]:
        largest = self.num_key_tokens + self.num_value_tokens
        if self.length < 3 * largest:
            yield (
                f"length={self.length} is too short for pairs of {largest} tokens: "
                f"needs >= {3 * largest}"
            )
        for name, num in (("key", self.num_keys), ("value", self.num_values)):
            size = getattr(self, f"num_{name}_tokens")
            if max(size, 2) > num:
                yield (
                    f"num_{name}_tokens={size} with vocab_size={self.vocab_size}, which has {num} "
                    f"{name} ids: needs vocab_size >= {2 * max(size, 2) + 1 + self.separated}"
                )
        if (self.num_keys + 1) ** self.num_key_tokens > 2**40:
            yield (
                f"num_key_tokens={self.num_key_tokens} of {self.num_keys} ids make more than 2^40 "
                "keys: needs fewer of either"
            )
        if self.variant == "mad" and not self.multi_query:
            yield "multi_query=False with variant=mad: needs multi_query=yes, or variant=canonical"
        if self.variant == "mad" and self.fixed_sizes:
            yield "fixed_sizes=True with variant=mad: needs fixed_sizes=no, or variant=canonical"

    @property
    def separated(self) -> bool:
        return self.variant == "canonical" and not self.fixed_sizes

    @property
    def num_ordinary(self) -> int:
        return self.vocab_size - 1 - self.separated

    @property
    def vocabulary(self) -> dict[str, range]:
        first, num = int(self.variant == "canonical"), self.num_ordinary
        middle = first + self.num_keys
        ids = {"key": range(first, middle), "value": range(middle, first + num)}
        if self.variant == "mad":
            return {**ids, "pad": range(num, num + 1)}
        separator = {"separator": range(num + 1, num + 2)} if self.separated else {}
        return {"pad": range(1), **ids, **separator}

    @property
    def context(self) -> Context:
        size = self.vocab_size
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def ceiling(self) -> float:
        """The share of targets whose key was shown: in `mad` from 4,096 test examples."""
        if self.variant == "canonical":
            return 1.0
        return _shown(self)  # pyright: ignore[reportArgumentType]

    @property
    def num_contents(self) -> int:
        """As many equally likely ones would meet by chance at least as often."""
        sizes = range(1, self.num_key_tokens + 1)
        if self.fixed_sizes:
            different = arrangements(self.num_keys, self.num_key_tokens)
        else:
            meet = sum(1 / arrangements(self.num_keys, size) for size in sizes)
            different = int(len(sizes) ** 2 / meet)
        largest = self.num_key_tokens + self.num_value_tokens
        return power(different, self.room // (largest + 2 * self.separated))

    def determined(self, split: str) -> bool:
        return self.variant == "canonical"

    @property
    def room(self) -> int:
        """Tokens that the last pair leaves for the others, whatever its size."""
        return self.length + 1 - self.num_key_tokens - self.num_value_tokens - self.separated

    def draw(self, keys: Words, split: str) -> Content:
        """Tuples as their tokens counted from 1, and 0 for none; the last pair is the last one."""
        from tasks._loops import fuzzy_recall as loops

        full = self.fixed_sizes or (self.variant == "mad" and split != "train")
        shortest = self.num_key_tokens if full else 1
        shortest += self.num_value_tokens if self.fixed_sizes else 1
        num = self.length // (shortest + 2 * self.separated) + 2
        law = loops.Law(
            keys=self.num_keys,
            values=self.num_values,
            full_keys=full,
            full_values=self.fixed_sizes,
            separated=self.separated,
            room=self.room,
            length=self.length,
        )
        first = np.zeros((len(keys), num, self.num_key_tokens), np.int64)
        second = np.zeros((len(keys), num, self.num_value_tokens), np.int64)
        fill = loops.inserted if self.variant == "mad" else loops.asked
        fill(keys, law, first, second)
        return {"keys": flat(first), "values": flat(second)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops import fuzzy_recall as loops

        shape = (len(keys), content["keys"].shape[1] // self.num_key_tokens)
        first = content["keys"].reshape(*shape, self.num_key_tokens)
        second = content["values"].reshape(*shape, self.num_value_tokens)
        ids, mad = self.vocabulary, self.variant == "mad"
        form = loops.Form(
            pad=ids["pad"].start,
            key=ids["key"].start,
            value=ids["value"].start,
            separator=ids["separator"].start if self.separated else -1,
            length=self.length + 1,
            right=mad,
            multi=self.multi_query,
            keys=self.num_keys,
        )
        row, answers, spans, total, gap = loops.written(first, second, form)
        factors = {
            "num_pairs": (first[:, :-1, 0] > 0).sum(axis=1),
            "num_targets": (answers != IGNORE).sum(axis=1),
            "gap": gap,
        }
        inputs, targets = row[:, :-1].copy(), answers[:, 1:].copy()
        lengths = np.full(len(keys), self.length) if mad else total - 1
        if not mad:  # the last answer is not read
            inputs[np.arange(self.length) >= lengths[:, None]] = 0
        if mad and split == "train":
            batch = Batch.next_tokens(inputs, row[:, -1], **factors)
        else:
            batch = Batch.padded(inputs, targets, lengths, **factors)
        return replace(batch, spans=spans[:, 1:].copy())

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            self._follow(row, out)
        return answers

    def _follow(self, row: list[int], out: NDArray[np.int64]) -> None:
        """Ids say which tokens are keys, and which values; a new key closes the pair before."""
        ids, most = self.vocabulary, self.num_key_tokens
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        key: tuple[int, ...] = ()
        value: tuple[int, ...] = ()
        for t, token in enumerate(row):
            if token in ids["key"]:
                if value:
                    known.setdefault(key, value)
                    key = value = ()
                key += (token,)
                if self.separated or len(key) < most:
                    continue
            elif token in ids["value"]:
                value += (token,)
            elif value or not self.separated or token != ids["separator"].start:
                continue
            given = known.get(key, ())
            if len(given) > len(value):
                out[t] = given[len(value)]


@lru_cache
def _shown(task: FuzzyRecall) -> float:
    batch = task.generate(range(MEASURED), "test")
    last = (batch.targets[batch.factors["gap"] == 0][:, -task.num_value_tokens :] != IGNORE).sum()
    return 1 - float(last / batch.mask.sum())


PUBLISHED = ladder(
    "mad-fuzzy-recall",
    FuzzyRecall(variant="mad"),
    {"vocab_size": (32, 64, 128), "length": (256, 512, 1024)},
)
