"""Associative recall with one question, and recall at every repeated key.

    assoc-recall        k1 v1 k2 v2 ... kP vP Q k2          target at the end: v2
    in-context-recall   k1 v1 k2 v2 k1 v1 k3 v3 k2          target at each key seen before

Source:  Ba et al. 2016, arXiv:1610.06258;  Dao et al. 2022, "H3", arXiv:2212.14052, table 1,
         HazyResearch/safari@42f326e src/dataloaders/synthetics.py;  Poli et al. 2024, "MAD",
         arXiv:2403.17844, athms/mad-lab@0f49a45 mad/data/instances.py.
Differs: ids are in order, where safari sorts numbers as text: a renaming.  Splits are disjoint
         here and unchecked there; duplicates inside a split are kept.  `canonical` scores the
         same positions in training and test; `safari` and `mad` train on every next token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import arrangements, power
from tasks.published import Preset, mad, safari
from tasks.rng import Integers, Words, distinct, integers, integers_at, seen_before, words_at
from tasks.task import Content, Task
from zoo.spec import Context

KEYS, VALUES, QUESTION = 1, 2, 3
ABSENT, ASK = 0, 1  # ids of assoc-recall: "not among the keys", and the question mark


def one_of_those_shown(keys: Words, shown: Integers) -> Integers:
    """One of the different numbers of each row, uniformly, however often each is there.  (B, 1)

    Every number that could be shown has a rank, drawn by its number; the lowest shown wins.
    """
    ranks = words_at(keys, QUESTION, shown)
    return np.take_along_axis(shown, ranks.argmin(axis=1)[:, None], axis=1)


class AssocRecall(Task, kind="assoc-recall"):
    """Associative recall: pairs, a question mark, one key; answer its value.

    canonical  different keys, or with unique_keys=no keys drawn with replacement that keep their
               value within the example; the question is the key of a uniformly chosen pair.
    safari     keys with replacement, the question uniform over the different keys shown;
               training scores every next token, validation and test the answer.
    With allow_missing the question is uniform over all keys; id 0 answers an absent one.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_pairs": "pairs P in the list",
        "gap": "positions from the value asked for (its last occurrence) to the end; 0: absent",
    }

    variant: Literal["canonical", "safari"] = "canonical"
    num_pairs: Annotated[int, Field(ge=1, le=2**22, description="pairs P in the list")] = 8
    num_keys: Annotated[int, Field(ge=2, le=2**30, description="ids that keys are made of")] = 16
    num_values: Annotated[int, Field(ge=2, le=2**30, description="ids that values are")] = 16
    num_key_tokens: Annotated[int, Field(ge=1, le=32, description="tokens m of a key")] = 1
    unique_keys: Annotated[bool, Field(description="the keys of an example all differ")] = True
    allow_missing: Annotated[bool, Field(description="the key asked for may be absent")] = False

    def problems(self) -> Iterator[str]:
        if self.num_codes > 2**32:
            yield (
                f"num_key_tokens={self.num_key_tokens} with num_keys={self.num_keys} makes more "
                f"than 2^32 keys: needs num_key_tokens <= {int(32 / math.log2(self.num_keys))}"
            )
        if self.unique_keys and self.num_pairs > self.num_codes:
            yield (
                f"num_pairs={self.num_pairs} exceeds the {self.num_codes} different keys: needs "
                f"<= {self.num_codes}, more num_keys, or unique_keys=no"
            )
        if self.unique_keys and self.variant == "safari":
            yield "unique_keys=True with variant=safari, which repeats keys: needs unique_keys=no"

    @property
    def num_codes(self) -> int:
        """Different keys, num_keys^m."""
        return self.num_keys**self.num_key_tokens

    @property
    def length(self) -> int:
        """Positions: P pairs of m + 1 tokens, the question mark, m tokens of the key."""
        return self.num_pairs * (self.num_key_tokens + 1) + 1 + self.num_key_tokens

    @property
    def vocabulary(self) -> dict[str, range]:
        first = 2 + self.num_keys
        return {
            "absent": range(ABSENT, ABSENT + 1),
            "question": range(ASK, ASK + 1),
            "key": range(2, first),
            "value": range(first, first + self.num_values),
        }

    @property
    def context(self) -> Context:
        size = 2 + self.num_keys + self.num_values
        return Context(num_inputs=size, num_outputs=size, length=self.length)

    @property
    def missing(self) -> float:
        """The probability that the key asked for is absent."""
        if not self.allow_missing:
            return 0.0
        if self.unique_keys:
            return 1 - self.num_pairs / self.num_codes
        return (1 - 1 / self.num_codes) ** self.num_pairs

    @property
    def chance(self) -> float:
        """Always one value, each equally likely, or always "absent" where that is likelier."""
        return max(self.missing, (1 - self.missing) / self.num_values)

    @property
    def floors(self) -> dict[str, float]:
        """Naming the value of a random pair (different keys, all present)."""
        if self.allow_missing or not self.unique_keys:
            return {}
        return {
            "value of any pair": 1 / self.num_pairs + (1 - 1 / self.num_pairs) / self.num_values
        }

    @property
    def num_contents(self) -> int:
        """The question is not counted, nor values of keys that may be the same."""
        num, codes = self.num_pairs, self.num_codes
        if self.unique_keys:
            return arrangements(codes, num) * power(self.num_values, num)
        return power(codes, num) * self.num_values

    @property
    def answers_follow(self) -> bool:
        return self.variant == "safari"  # in training: every next token is a target

    def determined(self, split: str) -> bool:
        return self.variant == "canonical" or split != "train"

    def draw(self, keys: Words, split: str) -> Content:
        num = self.num_pairs
        if self.unique_keys:
            codes = distinct(keys, KEYS, num, self.num_codes)
        else:
            codes = integers(keys, KEYS, num, self.num_codes)
        if self.allow_missing:
            asked = integers(keys, QUESTION, 1, self.num_codes)
        elif self.variant == "safari":
            asked = one_of_those_shown(keys, codes)
        else:
            asked = np.take_along_axis(codes, integers(keys, QUESTION, 1, num), axis=1)
        first = self.vocabulary["value"].start  # a key's value is a draw by the key's number
        values = integers_at(keys, VALUES, codes, self.num_values) + first
        return {"codes": codes, "values": values, "asked": asked}

    def _spelled(self, codes: Integers) -> Integers:
        """The tokens of keys, highest digit first.                              (B, N, m)"""
        if self.num_key_tokens == 1:
            return 2 + codes[:, :, None]
        powers = self.num_keys ** np.arange(self.num_key_tokens - 1, -1, -1)
        return 2 + codes[:, :, None] // powers % self.num_keys

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        codes, values, asked = content["codes"], content["values"], content["asked"]
        width = self.num_key_tokens + 1
        pairs = np.concatenate([self._spelled(codes), values[:, :, None]], axis=2)
        question = np.full((len(keys), 1), ASK)
        tokens = [pairs.reshape(len(keys), self.num_pairs * width), question]
        inputs = np.concatenate([*tokens, self._spelled(asked)[:, 0]], axis=1)
        same = codes == asked
        last = self.num_pairs - 1 - same[:, ::-1].argmax(axis=1)
        present = same.any(axis=1)
        answer = np.where(present, values[np.arange(len(keys)), last], ABSENT)
        gap = np.where(present, self.length - (last + 1) * width, 0)
        factors = {"num_pairs": self.num_pairs, "gap": gap}
        if self.variant == "safari" and split == "train":
            return Batch.next_tokens(inputs, answer, **factors)
        return Batch.answered(inputs, np.array([self.length - 1]), answer[:, None], **factors)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        width = self.num_key_tokens + 1
        for row, out in zip(inputs.tolist(), answers, strict=True):
            starts = range(0, self.num_pairs * width, width)
            value = {tuple(row[i : i + width - 1]): row[i + width - 1] for i in starts}
            out[-1] = value.get(tuple(row[1 - width :]), ABSENT)
        return answers


class InContextRecall(Task, kind="in-context-recall"):
    """In-context recall: a stream of pairs; answer each key that has been seen before.

    length / 2 pairs: keys with replacement, each with one value within the example; the last
    pair's key is uniform over those shown.  The inputs are all tokens but the last value, so
    they have length - 1 positions.  With multi_query=no only the last key is scored, behind a
    marker (`length` positions).  `mad` scores every next token in training.
    """

    factors: ClassVar[dict[str, str]] = {
        "num_shown": "different keys in the list",
        "num_targets": "keys seen before: the positions scored in test",
        "gap": "positions from the value asked for last (its last occurrence) to the end",
    }

    variant: Literal["canonical", "mad"] = "canonical"
    vocab_size: Annotated[
        int, Field(ge=4, le=2**31, description="ids: keys, then values (single query: a marker)")
    ] = 16
    length: Annotated[
        int, Field(ge=4, le=2**24, description="tokens of all pairs, even; the last is not read")
    ] = 128
    multi_query: Annotated[bool, Field(description="score every repeated key")] = True

    def problems(self) -> Iterator[str]:
        if self.length % 2:
            yield f"length={self.length} is odd: pairs need an even one, such as {self.length + 1}"
        if not self.multi_query and self.vocab_size < 5:
            yield (
                f"vocab_size={self.vocab_size} leaves no two keys, two values and a marker with "
                "multi_query=no: needs >= 5"
            )

    @property
    def num_ordinary(self) -> int:
        return self.vocab_size if self.multi_query else self.vocab_size - 1

    @property
    def num_keys(self) -> int:
        return self.num_ordinary // 2

    @property
    def num_values(self) -> int:
        return self.num_ordinary - self.num_keys

    @property
    def vocabulary(self) -> dict[str, range]:
        ids = {"key": range(self.num_keys), "value": range(self.num_keys, self.num_ordinary)}
        if not self.multi_query:
            ids["marker"] = range(self.num_ordinary, self.vocab_size)
        return ids

    @property
    def context(self) -> Context:
        size, length = self.vocab_size, self.length - self.multi_query
        return Context(num_inputs=size, num_outputs=size, length=length)

    @property
    def chance(self) -> float:
        """Each target is uniform over the values, whichever keys return."""
        return 1 / self.num_values

    @property
    def num_contents(self) -> int:
        return power(self.num_keys, self.length // 2 - 1) * self.num_values

    @property
    def answers_follow(self) -> bool:
        return True  # a value stands behind each repeated key

    def determined(self, split: str) -> bool:
        return self.variant == "canonical" or split != "train"

    def draw(self, keys: Words, split: str) -> Content:
        codes = integers(keys, KEYS, self.length // 2 - 1, self.num_keys)
        codes = np.concatenate([codes, one_of_those_shown(keys, codes)], axis=1)
        values = integers_at(keys, VALUES, codes, self.num_values) + self.num_keys
        return {"codes": codes, "values": values}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        codes, values = content["codes"], content["values"]
        inputs = np.empty((len(keys), self.context.length), np.int64)
        inputs[:, : self.length - 1 : 2] = codes
        inputs[:, 1 : self.length - 1 : 2] = values[:, :-1]
        if not self.multi_query:
            inputs[:, -2] = self.num_ordinary
            inputs[:, -1] = codes[:, -1]
        before = seen_before(codes, self.num_keys)
        same = codes[:, -2::-1] == codes[:, -1:]
        factors = {
            "num_shown": (~before).sum(axis=1),
            "num_targets": before.sum(axis=1) if self.multi_query else 1,
            "gap": 2 * same.argmax(axis=1) + (1 if self.multi_query else 2),
        }
        if self.variant == "mad" and split == "train":
            return Batch.next_tokens(inputs, values[:, -1], **factors)
        targets = np.full(inputs.shape, IGNORE)
        if self.multi_query:
            targets[:, ::2] = np.where(before, values, IGNORE)
        else:
            targets[:, -1] = values[:, -1]
        return Batch.of(inputs, targets, **factors)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            value: dict[int, int] = {}
            for t in range(0, self.length - 2, 2):
                if self.multi_query:
                    out[t] = value.get(row[t], IGNORE)
                value[row[t]] = row[t + 1]
            out[-1] = value.get(row[-1], IGNORE)
        return answers


def _safari(name: str, section: str, num_ids: int, num_pairs: int) -> Preset:
    """`num_ids` keys and as many values: upstream's vocabulary less two, halved."""
    value = AssocRecall(
        variant="safari",
        num_pairs=num_pairs,
        num_keys=num_ids,
        num_values=num_ids,
        unique_keys=False,
    )
    return safari(name, section, value)


PUBLISHED = (
    _safari("h3-associative-recall", "synthetic languages", 4, 10),
    _safari("safari-associative-recall", "configs/dataset/icl_synthetics.yaml", 9, 20),
    mad("mad-in-context-recall", InContextRecall(variant="mad")),
)
