"""n-gram look-up: find a few letters in a string and continue.

    suffix   BOS a b c d e f SEP b c  d          the question comes behind the string
    prefix   BOS b c SEP a b c d e f SEP  d      it comes first: one pass with a small memory
    targets, from the last position shown on:  d e

Source:  Jelassi et al. 2024, "Repeat After Me", arXiv:2402.01032, section 3;
         sjelassi/transformers_ssm_copy@1f32ac6 synthetic_exps/data_utils.py.
Differs: no g letters in a row stand twice in a string, where upstream may ask for some that do;
         every start that leaves room for the answer is possible, upstream leaves out the last ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import arrangements, power
from tasks.letters import problems as letter_problems
from tasks.letters import strings
from tasks.published import Preset
from tasks.rng import Words, integers
from tasks.task import Content, Task
from zoo.spec import Context

LETTERS, START = 1, 2
BOS, SEP, FIRST = 0, 1, 2  # ids


class NgramLookup(Task, kind="ngram-lookup"):
    """n-gram look-up: a few letters of a string are shown again; write what follows them.

    suffix  they are shown behind the string.      prefix  they are shown before it.
    The difference between the two is what a model cannot keep in its memory.
    """

    metric: ClassVar[Any] = "span_exact"
    factors: ClassVar[dict[str, str]] = {"start": "letters of the string before the question"}

    side: Annotated[
        Literal["suffix", "prefix"], Field(description="where the question is, to the string")
    ] = "suffix"
    num_letters: Annotated[int, Field(ge=2, le=2**30, description="different letters")] = 26
    num_tokens: Annotated[int, Field(ge=2, le=2**22, description="letters of the string")] = 50
    gram: Annotated[int, Field(ge=1, le=62, description="letters of the question")] = 3
    answer_tokens: Annotated[int, Field(ge=1, le=2**22, description="letters to write")] = 5

    def problems(self) -> Iterator[str]:
        needed = self.gram + self.answer_tokens
        if self.num_tokens < needed:
            yield (
                f"num_tokens={self.num_tokens} is too short for gram={self.gram} and "
                f"answer_tokens={self.answer_tokens}: needs >= {needed}"
            )
        yield from letter_problems("gram", self.gram, self.num_letters, self.num_tokens)

    @property
    def due(self) -> int:
        """The position where the first letter of the answer is due."""
        return self.num_tokens + self.gram + (2 if self.side == "prefix" else 1)

    @property
    def starts(self) -> int:
        """Places of the string where the question may stand."""
        return self.num_tokens - self.gram - self.answer_tokens + 1

    @property
    def vocabulary(self) -> dict[str, range]:
        letters = range(FIRST, FIRST + self.num_letters)
        return {"begin": range(1), "separator": range(SEP, FIRST), "letter": letters}

    @property
    def context(self) -> Context:
        size = FIRST + self.num_letters
        return Context(num_inputs=size, num_outputs=size, length=self.due + self.answer_tokens)

    @property
    def chance(self) -> float:
        """Renaming the letters changes no probability: each is as likely."""
        return 1 / self.num_letters

    @property
    def answers_follow(self) -> bool:
        return self.answer_tokens > 1

    @property
    def num_contents(self) -> int:
        if self.gram == 1:
            return arrangements(self.num_letters, self.num_tokens) * self.starts
        return power(self.num_letters, self.num_tokens) // 1000 * self.starts

    def draw(self, keys: Words, split: str) -> Content:
        num = self.num_tokens
        lengths = np.full((len(keys), 1), num)
        letters = strings(keys, LETTERS, lengths, num, (self.num_letters, self.gram))
        return {"letters": letters[:, 0] + FIRST, "start": integers(keys, START, 1, self.starts)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        letters, start = content["letters"], content["start"]
        marks = (len(keys), 1)
        begin, separator = np.full(marks, BOS), np.full(marks, SEP)
        asked = np.take_along_axis(letters, start + np.arange(self.gram), axis=1)
        behind = start + self.gram + np.arange(self.answer_tokens)
        answer = np.take_along_axis(letters, behind, axis=1)
        if self.side == "prefix":
            parts = [begin, asked, separator, letters, separator, answer[:, :-1]]
        else:
            parts = [begin, letters, separator, asked, answer[:, :-1]]
        inputs = np.concatenate(parts, axis=1)
        at = self.due + np.arange(self.answer_tokens)
        spans = np.full(inputs.shape, -1, np.int32)
        scatter(spans, at, 0)
        return replace(Batch.answered(inputs, at, answer, start=start[:, 0]), spans=spans)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        num, gram = self.num_tokens, self.gram
        string, asked = (gram + 2, 1) if self.side == "prefix" else (1, num + 2)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            letters, question = row[string : string + num], row[asked : asked + gram]
            for start in range(self.starts):
                if letters[start : start + gram] == question:
                    after = letters[start + gram :][: self.answer_tokens]
                    out[self.due : self.due + len(after)] = after
                    break
        return answers


PUBLISHED = tuple(
    Preset(
        name=f"ngram-lookup-{side}-cpu",
        paper="seqzoo",
        section="the same strings, asked before and behind",
        upstream="-",
        value=NgramLookup(side=side, num_tokens=20, gram=2, answer_tokens=2),
    )
    for side in ("suffix", "prefix")
)
