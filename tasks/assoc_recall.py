"""Associative recall with one question: a list of pairs, then one of its keys.

    k1 v1 k2 v2 ... kP vP Q k2          target at the end: v2

Source:  Ba et al. 2016, arXiv:1610.06258;  Dao et al. 2022, "H3", arXiv:2212.14052, table 1,
         HazyResearch/safari@42f326e src/dataloaders/synthetics.py.
Differs: ids are in order, where safari sorts numbers as text: a renaming.  Splits are disjoint
         here and unchecked there; duplicates inside a split are kept.  `canonical` scores the
         answer alone in training and test; `safari` trains on every next token.
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
from tasks.ids import in_turn
from tasks.published import Preset, safari
from tasks.rng import Integers, Words, distinct, integers, integers_at, words_at
from tasks.task import Content, Task
from zoo.spec import Context

KEYS, VALUES, QUESTION = 1, 2, 3
ABSENT, ASK = 0, 1  # ids: "not among the keys", and the question mark
COUNTABLE = 2**20  # keys up to which sums over them are made


def one_of_those_shown(keys: Words, shown: Integers) -> Integers:
    """One of the different numbers of each row, uniformly, however often each is there.  (B, 1)

    Every number that could be shown has a rank, drawn by its number; the lowest shown wins.
    """
    ranks = words_at(keys, QUESTION, shown)
    return np.take_along_axis(shown, ranks.argmin(axis=1)[:, None], axis=1)


def one_over_different(num: int, high: int) -> float:
    """E[1 / D] for the D different numbers among `num` uniform ones of [0, high).

    It is the sum of (j / high)^num / j over j = 1, ..., high.
    """
    j = np.arange(1, high + 1)
    return float(((j / high) ** num / j).sum())


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
        return in_turn({"absent": 1, "question": 1, "key": self.num_keys, "value": self.num_values})

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
        """Naming the value of a random pair, where no key is missing."""
        if self.allow_missing or self.num_codes > COUNTABLE:
            return {}
        num, codes = self.num_pairs, self.num_codes
        if self.unique_keys:
            same = 1 / num
        elif self.variant == "safari":
            same = one_over_different(num, codes)
        else:
            same = 1 / num + (1 - 1 / num) / codes
        return {"value of any pair": same + (1 - same) / self.num_values}

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


def _fast_weights(num_pairs: int) -> Preset:
    """Letters are keys, digits are values."""
    return Preset(
        name=f"ba-associative-recall-{num_pairs}",
        paper="Ba et al. 2016, arXiv:1610.06258",
        section=f"associative retrieval, K = {num_pairs}",
        upstream="not released",
        differs=(
            "sizes as recalled; not checked against the source",
            "one question mark stands before the letter; the paper writes two",
        ),
        value=AssocRecall(num_pairs=num_pairs, num_keys=26, num_values=10),
    )


PUBLISHED = (
    _fast_weights(4),
    _fast_weights(8),
    _safari("h3-associative-recall", "synthetic languages", 4, 10),
    _safari("safari-associative-recall", "configs/dataset/icl_synthetics.yaml", 9, 20),
)
