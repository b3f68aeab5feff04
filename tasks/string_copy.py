"""String copying: read letters, then write them again.

    BOS a b c SEP a b c                      one string; targets  . . . . a b c END
    BOS a b SEP a b END BOS c d SEP c ...    packed: a window full of them

Source:  Jelassi et al. 2024, "Repeat After Me", arXiv:2402.01032, section 3;
         sjelassi/transformers_ssm_copy@1f32ac6 synthetic_exps/data_utils.py.
Differs: splits share no example; upstream draws fresh ones from global generators.  Tests are not
         padded to a fixed context.  In a packed window an example that is cut is not scored, as
         upstream.  With `packed` splits share no window, but may share strings, as upstream.
         `reverse` is the palindrome of later studies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from tasks.batch import IGNORE, Batch
from tasks.counting import arrangements, power
from tasks.letters import plant, strings
from tasks.letters import problems as letter_problems
from tasks.published import STREAMS, Preset
from tasks.rng import Integers, Words, integers
from tasks.task import Content, Task
from zoo.spec import Context

LENGTHS, LETTERS, PLACES = 1, 2, 3
BOS, SEP, END, FIRST = 1, 2, 3, 4  # ids; 0 is padding


class StringCopy(Task, kind="string-copy"):
    """String copying: letters, a separator, then the letters again (or backwards), and END.

    The letters of a string number min_tokens to num_tokens, uniformly; test_tokens in test, where
    given.  packed > 0: a training example is a window of so many positions, filled with strings.
    unique_groups=g: no g letters in a row stand twice in a string, so that g are enough to know
    the place.  repeats=r: a group of repeat_tokens letters stands r times more, so that it is not.
    """

    metric: ClassVar[Any] = "span_exact"
    factors: ClassVar[dict[str, str]] = {"num_tokens": "letters of the (first) string"}

    num_letters: Annotated[int, Field(ge=2, le=2**30, description="different letters")] = 26
    min_tokens: Annotated[int, Field(ge=1, le=2**22, description="fewest letters to copy")] = 5
    num_tokens: Annotated[int, Field(ge=1, le=2**22, description="most letters to copy")] = 20
    test_tokens: Annotated[
        int, Field(ge=0, le=2**22, description="letters in test; 0: as in training")
    ] = 0
    answer_tokens: Annotated[
        int, Field(ge=0, le=2**22, description="letters to write, from the first; 0: all")
    ] = 0
    reverse: Annotated[bool, Field(description="write them backwards")] = False
    unique_groups: Annotated[
        int, Field(ge=0, le=62, description="letters in a row that never repeat; 0: any may")
    ] = 0
    repeats: Annotated[
        int, Field(ge=0, le=2**16, description="how many times more a group of letters stands")
    ] = 0
    repeat_tokens: Annotated[int, Field(ge=1, le=2**16, description="letters of that group")] = 3
    test_repeats: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2**16)], ...],
        Field(description="test besides on strings with a repeated group of so many letters"),
    ] = ()
    packed: Annotated[
        int, Field(ge=0, le=2**24, description="positions of a training window; 0: one string")
    ] = 0

    def problems(self) -> Iterator[str]:
        if self.min_tokens > self.num_tokens:
            yield (
                f"min_tokens={self.min_tokens} exceeds num_tokens={self.num_tokens}: needs <= "
                f"{self.num_tokens}"
            )
        if self.answer_tokens > self.shortest:
            yield (
                f"answer_tokens={self.answer_tokens} exceeds the shortest string: needs <= "
                f"{self.shortest}"
            )
        if 0 < self.packed < self.positions(self.num_tokens) + 1:
            yield (
                f"packed={self.packed} does not hold a string of num_tokens={self.num_tokens}: "
                f"needs >= {self.positions(self.num_tokens) + 1}"
            )
        if self.repeats and self.unique_groups:
            yield (
                f"repeats={self.repeats} plants what unique_groups={self.unique_groups} rules out: "
                "needs one of them at 0"
            )
        groups = (self.repeats + 1) * self.repeat_tokens
        if self.repeats and groups > self.shortest:
            yield (
                f"repeats={self.repeats} of repeat_tokens={self.repeat_tokens} do not fit into "
                f"strings of {self.shortest} letters: needs min_tokens and test_tokens >= {groups}"
            )
        for size in self.test_repeats:
            try:
                self._repeating(size)
            except ValidationError as error:
                line = error.errors()[0]["msg"].removeprefix("Value error, ")
                yield f"test_repeats={self.test_repeats}: {line}"
        longest = max(self.num_tokens, self.test_tokens)
        yield from letter_problems("unique_groups", self.unique_groups, self.num_letters, longest)

    def _repeating(self, size: int) -> StringCopy:
        """The strings of test, with a group of `size` letters that stands again."""
        lengths = self.lengths_of("test")
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields |= {"min_tokens": lengths.start, "num_tokens": lengths.stop - 1}
        fields |= {"test_tokens": 0, "packed": 0, "test_repeats": ()}
        return StringCopy(**{**fields, "repeats": self.repeats or 1, "repeat_tokens": size})

    def test_slices(self) -> dict[str, Task]:
        return {f"repeat_tokens={size}": self._repeating(size) for size in self.test_repeats}

    @property
    def shortest(self) -> int:
        return min(self.min_tokens, self.test_tokens or self.min_tokens)

    def written(self, num: Any) -> Any:
        """Letters to write of a string of `num`."""
        return num * 0 + self.answer_tokens if self.answer_tokens else num

    def positions(self, num: Any) -> Any:
        """Positions of a string of `num` letters, without END."""
        return num + self.written(num) + 2

    def lengths_of(self, split: str) -> range:
        """How many letters a string of the split may have, each equally likely."""
        if split == "test" and self.test_tokens:
            return range(self.test_tokens, self.test_tokens + 1)
        return range(self.min_tokens, self.num_tokens + 1)

    @property
    def vocabulary(self) -> dict[str, range]:
        return {
            "pad": range(1),
            "begin": range(BOS, SEP),
            "separator": range(SEP, END),
            "end": range(END, FIRST),
            "letter": range(FIRST, FIRST + self.num_letters),
        }

    @property
    def context(self) -> Context:
        size = FIRST + self.num_letters
        longest = self.positions(max(self.num_tokens, self.test_tokens))
        return Context(num_inputs=size, num_outputs=size, length=max(longest, self.packed))

    @property
    def chance(self) -> float:
        """One letter or END, always."""
        letters = [self.written(n) for n in self.lengths_of("test")]
        ends, total = len(letters), len(letters) + sum(letters)
        return max(ends, sum(letters) / self.num_letters) / total

    @property
    def floors(self) -> dict[str, float]:
        """What stood behind the letter written last, where it stood first.

        Not told of strings that are not independent letters.
        """
        if self.unique_groups > 1 or self.repeats:
            return {}
        right = total = 0.0
        for num in self.lengths_of("test"):
            written = self.written(num)
            same = 1.0 if self.unique_groups else 1 - 1 / self.num_letters
            at_once = same ** np.arange(num)  # of letter j: no earlier one is like it
            right += 1 + (at_once + (1 - at_once) / self.num_letters)[: written - 1].sum()
            right += at_once[-1] if written == num else 0
            total += written + 1
        return {"letter after the last one written": float(right / total)}

    @property
    def answers_follow(self) -> bool:
        return True  # what is written is read again

    @property
    def num_contents(self) -> int:
        num = self.shortest
        if self.unique_groups == 1:
            return arrangements(self.num_letters, num)
        free = num - self.repeats * self.repeat_tokens
        return power(self.num_letters, free) // (1000 if self.unique_groups else 1)

    def draw(self, keys: Words, split: str) -> Content:
        spread = self.lengths_of(split)
        window = self.packed if split == "train" else 0
        num = -(-window // (self.positions(spread.start) + 1)) or 1
        lengths = integers(keys, LENGTHS, num, len(spread)) + spread.start
        most = spread.stop - 1
        letters = strings(keys, LETTERS, lengths, most, (self.num_letters, self.unique_groups))
        if self.repeats:
            letters = plant(letters, lengths, keys, PLACES, (self.repeats, self.repeat_tokens))
        shown = np.arange(most) < lengths[:, :, None]
        if window:
            shown &= self._starts(lengths)[:, :, None] + 1 + np.arange(most) < window
        letters = np.where(shown, letters + FIRST, 0)
        return {"lengths": lengths, "letters": letters.reshape(len(keys), num * most)}

    def _starts(self, lengths: Integers) -> Integers:
        """Where each string of a window begins.                                  (B, M)"""
        ends = np.cumsum(self.positions(lengths) + 1, axis=1)
        return ends - self.positions(lengths) - 1

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.string_copy import write

        lengths = content["lengths"]
        letters = content["letters"]
        letters = letters.reshape(*lengths.shape, letters.shape[1] // lengths.shape[1])
        packed = bool(self.packed) and split == "train"
        width = self.packed if packed else self.context.length
        shape = (len(keys), self.context.length)
        inputs, targets = np.zeros(shape, np.int64), np.full(shape, IGNORE)
        spans = np.full(shape, -1, np.int32)
        law = (width, self.answer_tokens, self.reverse, packed)
        write(lengths, letters, law, (inputs, targets, spans))
        used = np.full(len(keys), width) if packed else self.positions(lengths[:, 0])
        batch = Batch.padded(inputs, targets, used, num_tokens=lengths[:, 0])
        return replace(batch, spans=spans)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        for row, out in zip(inputs.tolist(), answers, strict=True):
            seen: list[int] = []
            due: list[int] | None = None
            for t, token in enumerate(row):
                if token == BOS:
                    seen, due = [], None
                elif token == SEP:
                    text = seen[::-1] if self.reverse else seen
                    due = [END, *text[: self.answer_tokens or None][::-1]]
                elif due is None:
                    seen.append(token)
                if due:
                    out[t] = due.pop()
        return answers


PUBLISHED = (
    Preset(
        name="jelassi-string-copy",
        paper="Jelassi et al. 2024, Repeat After Me, arXiv:2402.01032",
        section="section 3, strings of 5 to 20 letters",
        upstream="sjelassi/transformers_ssm_copy@1f32ac6 synthetic_exps/data_utils.py",
        differs=(STREAMS, "lengths as recalled; not checked against the paper"),
        value=StringCopy(packed=220),
    ),
    Preset(
        name="jelassi-string-copy-repeats",
        paper="Jelassi et al. 2024, Repeat After Me, arXiv:2402.01032",
        section="plain strings in training, strings with a group of letters twice in test",
        upstream="sjelassi/transformers_ssm_copy@1f32ac6 synthetic_exps/data_utils.py",
        differs=(STREAMS, "sizes of the strings and groups are ours"),
        value=StringCopy(test_tokens=20, test_repeats=(1, 2, 3, 5, 8)),
    ),
    Preset(
        name="string-copy-cpu",
        paper="seqzoo",
        section="strings of up to 20 letters, tested at 40",
        upstream="-",
        value=StringCopy(test_tokens=40),
    ),
)
