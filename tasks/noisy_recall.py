"""Noisy recall: in-context recall with pairs of noise between the pairs.

    k1 v1 # # k2 v2 k1 v1 # # k2          target at each key seen before: its value

Source:  Poli et al. 2024, "MAD", arXiv:2403.17844, athms/mad-lab@0f49a45 mad/data/instances.py,
         configs/tasks/noisy-in-context-recall.yml.
Differs: `canonical` scores the repeated keys in training as in test; `mad` trains on every next
         token, noise included, as upstream.  One pair is never noise, so that there is a key to
         ask for: here it is one of the pairs before the last.  Upstream draws it among all
         pairs; where it is the last one and all the others are noise, upstream fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.assoc_recall import COUNTABLE, KEYS, QUESTION, VALUES
from tasks.batch import Batch
from tasks.in_context_recall import InContextRecall, value_before
from tasks.ladders import ladder
from tasks.noise import as_if, chosen
from tasks.rng import MASK, Integers, U, Words, integers, integers_at, seen_before, words_at
from tasks.task import Content

NOISY, PROTECTED, NOISE = 4, 5, 6

# Accuracy of the value that was shown most often so far (the lowest of several), by (keys,
# values, length, share of noise), from 20,000 examples each: standard errors below 0.0015
MOST_FREQUENT = {
    (8, 8, 128, 0.2): 0.3203,
    (8, 8, 256, 0.2): 0.3185,
    (8, 8, 512, 0.2): 0.3205,
    (8, 8, 1024, 0.2): 0.3225,
    (8, 8, 128, 0.4): 0.3246,
    (8, 8, 128, 0.6): 0.3326,
    (8, 8, 128, 0.8): 0.3668,
    (16, 16, 128, 0.2): 0.1960,
    (32, 32, 128, 0.2): 0.1275,
    (64, 64, 128, 0.2): 0.0906,
}


class NoisyRecall(InContextRecall, kind="noisy-recall"):
    """Noisy recall: in-context recall among noise; answer each key that has been seen before.

    length / 2 pairs; each but the last is two random noise ids with probability frac_noise,
    save one. The last pair's key is uniform over those shown. The inputs are all tokens but the
    last value. With multi_query=no only the last key is scored, behind a marker.
    """

    factors: ClassVar[dict[str, str]] = {
        **InContextRecall.factors,
        "num_noise": "pairs that are noise",
    }

    vocab_size: Annotated[
        int, Field(ge=5, le=2**31, description="ids: keys, values, noise (single query: a marker)")
    ] = 32
    noise_vocab_size: Annotated[int, Field(ge=1, description="ids of them that are noise")] = 16
    frac_noise: Annotated[
        float, Field(ge=0, lt=1, description="the probability that a pair is noise")
    ] = 0.2

    def problems(self) -> Iterator[str]:
        if self.length % 2:
            yield f"length={self.length} is odd: pairs need an even one, such as {self.length + 1}"
        needed = self.noise_vocab_size + 4 + (not self.multi_query)
        if self.vocab_size < needed:
            yield (
                f"vocab_size={self.vocab_size} leaves no two keys and two values beside "
                f"noise_vocab_size={self.noise_vocab_size}: needs >= {needed}"
            )

    @property
    def num_ordinary(self) -> int:
        return super().num_ordinary - self.noise_vocab_size

    @property
    def vocabulary(self) -> dict[str, range]:
        ids, first = super().vocabulary, self.num_ordinary
        noise = {"noise": range(first, first + self.noise_vocab_size)}
        if self.multi_query:
            return ids | noise
        marker = range(self.vocab_size - 1, self.vocab_size)
        return {"key": ids["key"], "value": ids["value"], **noise, "marker": marker}

    @property
    def floors(self) -> dict[str, float]:
        """Answers that do not look at the key."""
        found: dict[str, float] = {}
        sizes, noise = (self.num_keys, self.num_values), self.frac_noise
        if self.num_keys <= COUNTABLE:
            found["value of the pair before"] = value_before(
                sizes, self.length // 2, noise, every=self.multi_query
            )
        known = MOST_FREQUENT.get((*sizes, self.length, noise))
        if known is not None and self.multi_query:
            found["most frequent value so far"] = known
        return found

    @property
    def num_contents(self) -> int:
        """As many equally likely ones would meet by chance at least as often."""
        same = self.frac_noise**2 + (1 - self.frac_noise) ** 2 / self.num_keys
        return as_if(same, self.length // 2 - 2, self.num_keys * self.num_values)

    def draw(self, keys: Words, split: str) -> Content:
        """Noise has key and value num_keys: its ids are not what tells examples apart."""
        num, off = self.length // 2 - 1, self.num_keys
        noisy = chosen(keys, NOISY, num, self.frac_noise)
        np.put_along_axis(noisy, integers(keys, PROTECTED, 1, num), values=False, axis=1)
        codes = np.where(noisy, off, integers(keys, KEYS, num, self.num_keys))
        ranks = np.where(noisy, U(MASK), words_at(keys, QUESTION, codes))
        asked = np.take_along_axis(codes, ranks.argmin(axis=1)[:, None], axis=1)
        codes = np.concatenate([codes, asked], axis=1)
        values = integers_at(keys, VALUES, codes, self.num_values) + self.num_keys
        return {"codes": codes, "values": np.where(codes == off, off, values)}

    def returning(self, codes: Integers) -> NDArray[np.bool_]:
        real = codes < self.num_keys
        return seen_before(codes, self.num_keys + 1) & real

    def tokens(self, content: Content, keys: Words) -> tuple[Integers, Integers]:
        codes, values = content["codes"], content["values"]
        noise = integers(keys, NOISE, 2 * codes.shape[1], self.noise_vocab_size)
        noise += self.num_ordinary
        noisy = codes == self.num_keys
        return np.where(noisy, noise[:, ::2], codes), np.where(noisy, noise[:, 1::2], values)

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        batch = super().render(content, keys, split)
        batch.factors["num_noise"] = (content["codes"] == self.num_keys).sum(axis=1)
        return batch


PUBLISHED = ladder(
    "mad-noisy-recall",
    NoisyRecall(variant="mad"),
    {"vocab_size": (48, 80, 144), "length": (256, 512, 1024), "frac_noise": (0.4, 0.6, 0.8)},
    "a pair before the last is always real; upstream may protect the last one instead",
)
