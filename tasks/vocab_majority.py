"""Vocabulary majority: name the most frequent symbol.

    3 1 3 2 3 1 |   at the end: 3

Source:  Arora et al. 2023, "Zoology", arXiv:2312.04927, HazyResearch/zoology@57f0268
         zoology/data/circuits.py.
Differs: Sequences have random lengths and are padded.  One with several most frequent symbols is
         drawn again; Zoology turns another symbol into the first of them, and ties may stay.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.lengths import Ranged, inside, pack, running, unpack
from tasks.rng import Integers, Words
from tasks.task import Content
from zoo.spec import Context

SYMBOLS = 1


class VocabMajority(Ranged, kind="vocab-majority"):
    """Vocabulary majority: which symbol is the most frequent? Asked at the end; there is no tie."""

    factors: ClassVar[dict[str, str]] = {
        "length": "symbols of the sequence",
        "margin": "how much more often the answer is there than any other symbol",
    }

    vocab_size: Annotated[int, Field(ge=2, le=64, description="different symbols")] = 8

    @property
    def vocabulary(self) -> dict[str, range]:
        end = self.vocab_size + 1
        return {"pad": range(1), "symbol": range(1, end), "end": range(end, end + 1)}

    @property
    def context(self) -> Context:
        size = self.vocab_size
        return Context(num_inputs=size + 2, num_outputs=size, length=self.longest + 1)

    @property
    def chance(self) -> float:
        """By symmetry, each symbol is as likely."""
        return 1 / self.vocab_size

    def num_strings(self, length: int) -> int:
        """At least V^(n-1): a mode of the first n - 1, once more, is the only one."""
        return power(self.vocab_size, length - 1)

    def draw(self, keys: Words, split: str) -> Content:
        from tasks._loops.vocab_majority import without_tie

        size, width = self.vocab_size, self.longest
        lengths = self.lengths(keys, split)
        symbols = np.zeros((len(keys), width), np.uint8)
        without_tie(keys, lengths[:, 0], size, SYMBOLS, symbols)
        return {"length": lengths, "symbols": pack(symbols, size)}

    def _counts(self, symbols: NDArray[Any], here: NDArray[np.bool_]) -> Integers:
        """How often each symbol is in each row.                                     (B, V)"""
        size = self.vocab_size
        cells = symbols + size * np.arange(len(symbols))[:, None]
        return np.bincount(cells[here], minlength=size * len(symbols)).reshape(-1, size)

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        lengths, width = content["length"], self.longest
        symbols = unpack(content["symbols"], self.vocab_size, width)
        here = inside(lengths, width)
        inputs = np.zeros((len(symbols), self.context.length), np.int64)
        np.add(symbols, here, out=inputs[:, :width], dtype=np.int64)
        np.put_along_axis(inputs, lengths, self.vocab_size + 1, axis=1)
        counts = self._counts(symbols, here)
        top = np.partition(counts, self.vocab_size - 2, axis=1)
        targets = np.full(inputs.shape, IGNORE)
        np.put_along_axis(targets, lengths, counts.argmax(axis=1)[:, None], axis=1)
        factors = {"length": lengths[:, 0], "margin": top[:, -1] - top[:, -2]}
        return Batch.padded(inputs, targets, lengths[:, 0] + 1, **factors)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        for i, row in running(inputs):
            end = row.index(self.vocab_size) if self.vocab_size in row else 0
            if end:
                answers[i, end] = max(range(self.vocab_size), key=row[:end].count)
        return answers
