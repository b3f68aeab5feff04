"""Parity and majority: one bit that depends on all symbols, at the end or at every position.

    parity              1 0 1 1 |   at the end: 1        cumulative   1 0 1 1
                                                                      1 1 0 1
    majority            1 0 1 1 |   at the end: 1        cumulative   1 1 1 1

Source:  Arora et al. 2023, "Zoology", arXiv:2312.04927, HazyResearch/zoology@57f0268
         zoology/data/circuits.py;  Grazzi et al. 2025, "Unlocking State-Tracking in Linear RNNs
         Through Negative Eigenvalues", arXiv:2411.12537 (lengths of training and test).
Differs: Sequences have random lengths and are padded.  A tie of majority is drawn
         again, where Zoology answers 0; a tie so far counts as 1 in cumulative-majority.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import accumulate
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.lengths import (
    Ranged,
    as_likely,
    chosen,
    first_bits,
    inside,
    over_positions,
    pack,
    running,
    unpack,
)
from tasks.published import Preset
from tasks.rng import Floats, Integers, Words, words
from tasks.task import Content
from zoo.spec import Context

SYMBOLS = 1
TRIES = 8  # sequences drawn at once in place of a tie


class Bits(Ranged):
    """Bits, and a label that a prefix has."""

    cumulative: ClassVar[bool] = False
    p_one: Annotated[float, Field(ge=0.01, le=0.99, description="probability of a 1")] = 0.5

    @property
    def vocabulary(self) -> dict[str, range]:
        ids = {"pad": range(1), "bit": range(1, 3)}
        return ids if self.cumulative else {**ids, "end": range(3, 4)}

    @property
    def context(self) -> Context:
        length = self.longest + (not self.cumulative)
        return Context(num_inputs=4 - self.cumulative, num_outputs=2, length=length)

    @abstractmethod
    def labels(self, bits: NDArray[Any]) -> NDArray[Any]:
        """The label of each prefix.                                                 (B, N)"""

    @abstractmethod
    def ones(self, length: int) -> Floats:
        """The probability that a prefix of 1, 2, ..., length bits has label 1.          (N,)"""

    @property
    def chance(self) -> float:
        """Always 0, or always 1."""
        weights = over_positions(self.weights(), every=self.cumulative)
        share = float(weights @ self.ones(len(weights)) / weights.sum())
        return max(share, 1 - share)

    def num_strings(self, length: int) -> int:
        return as_likely(max(self.p_one, 1 - self.p_one), length)

    def draw(self, keys: Words, split: str) -> Content:
        lengths = self.lengths(keys, split)
        return {"length": lengths, "bits": self.bits(keys, lengths, 1)[:, 0]}

    def bits(self, keys: Words, lengths: Integers, tries: int, attempt: int = 0) -> Integers:
        """Some sequences of each length, packed, 0 behind the end.                  (B, T, M)"""
        num, width = len(keys), self.longest
        if self.p_one == 0.5:
            bits = words(keys, SYMBOLS, tries * -(-width // 64), attempt).view(np.int64)
        else:
            ones = chosen(keys, SYMBOLS, tries * width, self.p_one, attempt)
            bits = pack(ones.reshape(num * tries, width), 2)
        return (
            bits.reshape(num, tries, -(-width // 64))
            & first_bits(lengths, width).view(np.int64)[:, None]
        )

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        lengths, bits = content["length"], unpack(content["bits"], 2, self.longest)
        here = inside(lengths, self.longest)
        labels = self.labels(bits)
        inputs = np.zeros((len(bits), self.context.length), np.int64)
        np.add(bits, here, out=inputs[:, : self.longest], dtype=np.int64)
        if self.cumulative:
            targets = np.where(here, labels, np.int64(IGNORE))
            return Batch.padded(inputs, targets, lengths[:, 0], length=lengths[:, 0])
        np.put_along_axis(inputs, lengths, 3, axis=1)
        targets = np.full(inputs.shape, IGNORE)
        np.put_along_axis(targets, lengths, np.take_along_axis(labels, lengths - 1, 1), axis=1)
        return Batch.padded(inputs, targets, lengths[:, 0] + 1, length=lengths[:, 0])

    @abstractmethod
    def label(self, ones: int, num: int) -> int:
        """The label of `num` bits with so many ones."""

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        for i, row in running(inputs):
            end = row.index(2) if 2 in row else len(row)
            if self.cumulative:
                ones = accumulate(row[:end])
                answers[i, :end] = [self.label(one, t + 1) for t, one in enumerate(ones)]
            elif 0 < end < len(row):
                answers[i, end] = self.label(sum(row[:end]), end)
        return answers


class Parity(Bits, kind="parity"):
    """Parity: is the number of ones odd? Asked at the end.

    The sequence is padded behind its end id, where the answer is due.
    """

    def labels(self, bits: NDArray[Any]) -> NDArray[Any]:
        return np.cumsum(bits, axis=1, dtype=np.uint8) & 1  # what wraps is even

    def ones(self, length: int) -> Floats:
        """(1 - (1 - 2 p)^t) / 2."""
        return (1 - (1 - 2 * self.p_one) ** np.arange(1, length + 1)) / 2

    def label(self, ones: int, num: int) -> int:
        return ones % 2


class CumulativeParity(Parity, kind="cumulative-parity"):
    """Cumulative parity: at every bit, is the number of ones so far odd?"""

    cumulative: ClassVar[bool] = True


class CumulativeMajority(Bits, kind="cumulative-majority"):
    """Cumulative majority: at every bit, are at least half of the bits so far ones?"""

    cumulative: ClassVar[bool] = True

    def labels(self, bits: NDArray[Any]) -> NDArray[Any]:
        ones = np.cumsum(bits, axis=1, dtype=np.int32)
        return 2 * ones >= np.arange(1, bits.shape[1] + 1, dtype=np.int32)

    def ties(self, length: int) -> Floats:
        """The probability of as many ones as zeros, of 1, 2, ..., length bits.           (N,)

        C(2 m, m) (p q)^m at t = 2 m, each from the one before.
        """
        half = np.arange(1, length // 2 + 1)
        ratio = 2 * (2 * half - 1) / half * self.p_one * (1 - self.p_one)
        ties = np.zeros(length)
        ties[1::2] = np.cumprod(ratio)
        return ties

    def ones(self, length: int) -> Floats:
        """An even t adds half of the ties to what t - 1 has; the next bit, if 0, loses them."""
        ties = self.ties(length)
        steps = ties / 2
        steps[0] = self.p_one
        steps[2::2] = (self.p_one - 1) * ties[1:-1:2]
        return np.cumsum(steps)

    def label(self, ones: int, num: int) -> int:
        return int(2 * ones >= num)


class Majority(CumulativeMajority, kind="majority"):
    """Majority: are there more ones than zeros? Asked at the end; there is no tie."""

    cumulative: ClassVar[bool] = False

    def ones(self, length: int) -> Floats:
        ties = self.ties(length)
        return (super().ones(length) - ties) / (1 - ties)

    def num_strings(self, length: int) -> int:
        """Of 2 m bits, at most half are a tie: at m = 1."""
        return max(1, super().num_strings(length) // 2)

    def bits(self, keys: Words, lengths: Integers, tries: int, attempt: int = 0) -> Integers:
        bits = super().bits(keys, lengths, 1)
        rows = np.flatnonzero(tied(bits, lengths)[:, 0])
        while rows.size:
            attempt += 1
            again = super().bits(keys[rows], lengths[rows], TRIES, attempt)
            even = tied(again, lengths[rows])
            bits[rows, 0] = np.take_along_axis(again, even.argmin(axis=1)[:, None, None], 1)[:, 0]
            rows = rows[even.all(axis=1)]
        return bits


def tied(bits: Integers, lengths: Integers) -> NDArray[np.bool_]:
    """Whether half of the bits are ones.                                                (B, T)"""
    return 2 * np.bitwise_count(bits).sum(axis=2, dtype=np.int64) == lengths


def _published() -> Iterator[Preset]:
    yield Preset(
        name="statetrack-parity",
        paper="Grazzi et al. 2025, arXiv:2411.12537",
        section="state tracking: parity",
        upstream="automl/unlocking_state_tracking (configurations)",
        differs=(
            "lengths 3-40 and 40-256 count the answer: 2-39 and 39-255 bits",
            "the answer is due at an end id, not at the last bit",
        ),
        value=Parity(min_length=2, length=39, test_min_length=39, test_length=255),
    )
    yield Preset(
        name="cumulative-parity-cpu",
        paper="seqzoo",
        section="16 bits in training, 64 in test: seconds on a CPU",
        upstream="-",
        value=CumulativeParity(min_length=0, length=16, test_length=64),
    )


PUBLISHED = tuple(_published())
