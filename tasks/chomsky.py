"""What the tasks of the Chomsky hierarchy share: read a string, then write its answer.

    0 1 1 0 e e e e     the id `empty` marks the places to write; training draws a length for
            0 1 1 0     every example, and what is behind is padding

Source:  Delétang et al. 2023, "Neural Networks and the Chomsky Hierarchy", arXiv:2207.02098;
         google-deepmind/neural_networks_chomsky_hierarchy@8084451 tasks/.
Differs: Lengths differ within a batch, and are padded; upstream draws one for a batch.  Ids are one
         more than upstream's symbols, for 0 pads.  The published test has every length from 41 to
         500 apart: `length-suite` does that, test_min_length and test_length mix them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.ids import in_turn
from tasks.lengths import Ranged, coins, inside, pack, running, unpack
from tasks.published import Preset
from tasks.rng import Integers, Words, integers
from tasks.task import Content
from zoo.spec import Context

SYMBOLS, CHOICE, SIZE, OPERATORS = 1, 2, 3, 4
NUMBERED = ("bit", "digit", "symbol")  # uses whose symbols are written as numbers
WRITTEN: dict[str, Sequence[str]] = {  # and how those of others are
    "operator": "+-*",
    "bracket": "()",
    "x": "x",
    "equals": "=",
    "move": ["-1", "0", "+1"],
    "pop": ["POP"],
    "push": ["PUSH0", "PUSH1"],
    "missing": "?",
}


class Rewriting(Ranged):
    """A string, and the answer that it has."""

    several: ClassVar[bool] = False  # answers of several symbols
    written: ClassVar[dict[str, Sequence[str]]] = WRITTEN

    @property
    def answers_in_ids(self) -> bool:
        return False  # but the number of a class

    @property
    @abstractmethod
    def symbols(self) -> dict[str, int]:
        """The symbols of the string by use, and how many of each there are."""

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """The symbols of the answer."""

    def room(self, lengths: Any) -> Any:
        """Places to write for strings of some length."""
        return lengths * 0 + 1

    @abstractmethod
    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        """Strings of these lengths; what is behind the end does not matter.         (B, N)"""

    @abstractmethod
    def answers(self, strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
        """The answers, IGNORE where nothing is scored, for the most room there is.  (B, M)

        Args:    strings  narrow unsigned, 0 behind the end    (B, N)
                 lengths  int64                                (B, 1)
        """

    @abstractmethod
    def solve(self, string: list[int]) -> list[int] | None:
        """The answer to one string, as far as it is scored; None where there is none."""

    @property
    def num_symbols(self) -> int:
        """Different symbols of strings."""
        return sum(self.symbols.values())

    @property
    def vocabulary(self) -> dict[str, range]:
        return in_turn({"pad": 1, **self.symbols, "empty": 1})

    @property
    def context(self) -> Context:
        length = self.longest + int(self.room(self.longest))
        size = self.num_symbols + 2
        return Context(num_inputs=size, num_outputs=self.num_classes, length=length)

    @property
    def chance(self) -> float:
        """Each answer is as likely, or each symbol of the answers as frequent."""
        return 1 / self.num_classes

    def spell(self, token: int) -> str | None:
        for use, ids in self.vocabulary.items():
            if token in ids:
                written = range(len(ids)) if use in NUMBERED else self.written.get(use)
                return None if written is None else str(written[token - ids.start])
        return None

    def num_strings(self, length: int) -> int:
        return power(self.num_symbols, length)

    def draw(self, keys: Words, split: str) -> Content:
        lengths = self.lengths(keys, split)
        strings = self.strings(keys, lengths) * inside(lengths, self.longest)
        return {"length": lengths, "string": pack(strings, self.num_symbols)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        lengths, width = content["length"], self.longest
        strings = unpack(content["string"], self.num_symbols, width)
        room = self.room(lengths)
        inputs = np.zeros((len(strings), self.context.length), np.int64)
        np.add(strings, inside(lengths, width), out=inputs[:, :width], dtype=np.int64)
        targets = np.full(inputs.shape, IGNORE)
        answers = self.answers(strings, lengths)
        empty = self.num_symbols + 1
        if not self.several:
            np.put_along_axis(inputs, lengths, empty, axis=1)
            np.put_along_axis(targets, lengths, answers, axis=1)
            return Batch.padded(inputs, targets, lengths[:, 0] + 1, length=lengths[:, 0])
        here = inside(lengths + room, inputs.shape[1]) & ~inside(lengths, inputs.shape[1])
        inputs[here] = empty
        targets[here] = answers[inside(room, answers.shape[1])]
        batch = Batch.padded(inputs, targets, (lengths + room)[:, 0], length=lengths[:, 0])
        return replace(batch, spans=np.where(batch.mask, np.int32(0), np.int32(-1)))

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        empty = self.num_symbols
        for i, row in running(inputs):
            start = row.index(empty) if empty in row else 0
            answer = self.solve(row[:start]) if start else None
            for j, symbol in enumerate(answer or ()):
                if row[start + j : start + j + 1] != [empty]:
                    break
                answers[i, start + j] = symbol
        return answers


class BitString(Rewriting):
    """A string of fair bits."""

    @property
    def symbols(self) -> dict[str, int]:
        return {"bit": 2}

    @property
    def num_classes(self) -> int:
        return 2

    def draw(self, keys: Words, split: str) -> Content:
        lengths = self.lengths(keys, split)
        return {"length": lengths, "string": coins(keys, SYMBOLS, lengths, self.longest)}

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        return unpack(coins(keys, SYMBOLS, lengths, self.longest), 2, self.longest)


class SymbolString(Rewriting):
    """A string of uniform symbols, and an answer of as many of them."""

    several: ClassVar[bool] = True

    vocab_size: Annotated[int, Field(ge=2, le=2**16, description="different symbols")] = 2

    @property
    def symbols(self) -> dict[str, int]:
        return {"symbol": self.vocab_size}

    @property
    def num_classes(self) -> int:
        return self.vocab_size

    def room(self, lengths: Any) -> Any:
        return lengths

    def strings(self, keys: Words, lengths: Integers) -> NDArray[Any]:
        return integers(keys, SYMBOLS, self.longest, self.vocab_size)


def last(strings: NDArray[Any], lengths: Integers) -> NDArray[Any]:
    """The last symbol of each string.                                               (B, 1)"""
    return np.take_along_axis(strings, lengths - 1, axis=1)


def published(task: Rewriting, *differs: str) -> Preset:
    """A task of the paper: strings of 1 to 40 symbols in training, of 41 to 500 in test."""
    fields = {name: getattr(task, name) for name in type(task).model_fields}
    return Preset(
        name=f"chomsky-{task.kind}",
        paper="Delétang et al. 2023, arXiv:2207.02098",
        section="training lengths 1 to 40, test lengths 41 to 500",
        upstream="google-deepmind/neural_networks_chomsky_hierarchy@8084451 tasks/",
        differs=(
            "lengths as recalled; not checked against the paper",
            "the test mixes all lengths; the paper averages the accuracies of each",
            *differs,
        ),
        value=type(task)(**{**fields, "test_min_length": 41, "test_length": 500}),
    )
