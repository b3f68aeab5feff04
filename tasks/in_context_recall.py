"""In-context recall: a stream of pairs in which keys return; answer each key seen before.

    k1 v1 k2 v2 k1 v1 k3 v3 k2          target at each key seen before: its value

Source:  Poli et al. 2024, "MAD", arXiv:2403.17844, athms/mad-lab@0f49a45 mad/data/instances.py,
         configs/tasks/in-context-recall.yml.
Differs: `canonical` scores the repeated keys in training as in test; `mad` trains on every next
         token, as upstream, so that its training and test accuracies cannot be compared.
         Upstream's workers share one generator's state and repeat examples; nothing here does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.assoc_recall import COUNTABLE, KEYS, VALUES, one_of_those_shown
from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.ids import Halves
from tasks.ladders import ladder
from tasks.rng import Integers, Words, integers, integers_at, seen_before
from tasks.task import Content
from zoo.spec import Context

# Accuracy of the value that was shown most often so far (the lowest of several), by
# (keys, values, length), from 20,000 examples each: the standard errors are below 0.001
MOST_FREQUENT = {
    (8, 8, 128): 0.3203,
    (8, 8, 256): 0.3201,
    (8, 8, 512): 0.3215,
    (8, 8, 1024): 0.3225,
    (16, 16, 128): 0.1926,
    (32, 32, 128): 0.1209,
    (64, 64, 128): 0.0842,
}


def value_before(sizes: tuple[int, int], num: int, frac_noise: float, *, every: bool) -> float:
    """Accuracy of naming the value of the pair before, noise left out, exactly.

    Of `num` pairs but the last, one is real for certain, uniformly, and each other with
    probability 1 - frac_noise.  A(z) is E[z^m; pair j is real], m the real pairs before pair j:
    it repeats a key with probability A(1) - A(1 - 1/K), and the key of the pair before with
    probability (A(1) - A(0)) / K.  The last pair's key is uniform over those shown.

    Args: sizes  different keys and values;  every  score each repeated key, not the last alone
    """
    keys, values = sizes
    body, real = num - 1, 1 - frac_noise
    j = np.arange(1, body + 1)

    def a(z: float) -> NDArray[np.float64]:
        each = frac_noise + real * z
        with_it = (1 + real * (body - j)) * each ** (j - 1)
        return (with_it + real * z * (j - 1) * each ** np.maximum(j - 2, 0)) / body

    share = np.arange(1, keys + 1) / keys
    shown = share * (frac_noise + real * share) ** (body - 1)  # E[share^M], M pairs are real
    same = float((shown / (share * keys)).sum())
    right, scored = same + (1 - same) / values, 1.0
    if every:
        again = a(1.0) - a(1 - 1 / keys)
        just_now = (a(1.0) - a(0.0)) / keys
        right += float((just_now + (again - just_now) / values).sum())
        scored += float(again.sum())
    return right / scored


class InContextRecall(Halves, kind="in-context-recall"):
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
    def floors(self) -> dict[str, float]:
        """Answers that do not look at the key."""
        found: dict[str, float] = {}
        if self.num_keys <= COUNTABLE:
            sizes, num = (self.num_keys, self.num_values), self.length // 2
            found["value of the pair before"] = value_before(
                sizes, num, 0.0, every=self.multi_query
            )
        known = MOST_FREQUENT.get((self.num_keys, self.num_values, self.length))
        if known is not None and self.multi_query:
            found["most frequent value so far"] = known
        return found

    @property
    def num_contents(self) -> int:
        return power(self.num_keys, self.length // 2 - 1) * self.num_values

    def determined(self, split: str) -> bool:
        return self.variant == "canonical" or split != "train"

    def draw(self, keys: Words, split: str) -> Content:
        codes = integers(keys, KEYS, self.length // 2 - 1, self.num_keys)
        codes = np.concatenate([codes, one_of_those_shown(keys, codes)], axis=1)
        values = integers_at(keys, VALUES, codes, self.num_values) + self.num_keys
        return {"codes": codes, "values": values}

    def returning(self, codes: Integers) -> NDArray[np.bool_]:
        """Which pairs have a key that was seen before.                            (B, N)"""
        return seen_before(codes, self.num_keys)

    def tokens(self, content: Content, keys: Words) -> tuple[Integers, Integers]:
        """What is written for the keys and the values of all pairs.       (B, N), (B, N)"""
        return content["codes"], content["values"]

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        codes, values = content["codes"], content["values"]
        first, second = self.tokens(content, keys)
        inputs = np.empty((len(keys), self.context.length), np.int64)
        inputs[:, : self.length - 1 : 2] = first
        inputs[:, 1 : self.length - 1 : 2] = second[:, :-1]
        if not self.multi_query:
            inputs[:, -2] = self.vocab_size - 1
            inputs[:, -1] = codes[:, -1]
        before = self.returning(codes)
        same = codes[:, -2::-1] == codes[:, -1:]
        factors = {
            "num_shown": (~before & (codes < self.num_keys)).sum(axis=1),
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
                if row[t] >= self.num_keys:
                    continue  # noise, where there is some
                if self.multi_query:
                    out[t] = value.get(row[t], IGNORE)
                value[row[t]] = row[t + 1]
            out[-1] = value.get(row[-1], IGNORE)
        return answers


PUBLISHED = ladder(
    "mad-in-context-recall",
    InContextRecall(variant="mad"),
    {"vocab_size": (32, 64, 128), "length": (256, 512, 1024)},
)
