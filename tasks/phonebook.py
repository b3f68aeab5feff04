"""Phonebook: names and their numbers, two examples, then one name; write its number.

    first last SEP 4 2 NL  first last SEP 4 9 NL ...  <two entries again>  first last SEP 4
    targets, at SEP and on                                                            4   9

Source:  Jelassi et al. 2024, "Repeat After Me", arXiv:2402.01032, section 4;
         sjelassi/transformers_ssm_copy@1f32ac6 pretrained_exps/data_utils.py.
Differs: names are two tokens and digits are one, where upstream writes text for pretrained models
         (ten digits of which the first is 6 to 9); all digits are uniform.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch, scatter
from tasks.counting import arrangements, power
from tasks.floors import RARE, Law, by_majority, hypergeometric, thinned
from tasks.published import Preset
from tasks.rng import Integers, Words, distinct, integers, permutation
from tasks.task import Content, Task
from zoo.spec import Context

NAMES, DIGITS, ASKED, SHARED, LAST, PLACES = range(1, 7)
SEP, NEWLINE, DIGIT, FIRST = 0, 1, 2, 12  # ids: marks, ten digits, first names, last names


class Phonebook(Task, kind="phonebook"):
    """Phonebook: entries of a name and a number, some again as examples, then a name alone.

    The names of a book all differ, but share first and last names: few first names make many
    alike.  The entry asked for is uniform over those that are no example.  shared_first > 0: so
    large a part of the other entries, and no more, have its first name, which will not do alone;
    few last names make those shared, too.
    """

    metric: ClassVar[Any] = "span_exact"
    factors: ClassVar[dict[str, str]] = {
        "entry": "entries before the one asked for",
        "alike": "other entries with its first or its last name",
    }

    num_entries: Annotated[int, Field(ge=1, le=4096, description="names with numbers")] = 20
    num_first: Annotated[int, Field(ge=1, le=2**15, description="different first names")] = 64
    num_last: Annotated[int, Field(ge=1, le=2**15, description="different last names")] = 64
    num_digits: Annotated[int, Field(ge=1, le=32, description="digits of a number")] = 7
    num_examples: Annotated[int, Field(ge=0, description="entries shown again, as examples")] = 2
    shared_first: Annotated[
        float, Field(ge=0, le=1, description="share of entries with the first name asked for")
    ] = 0.0

    def problems(self) -> Iterator[str]:
        names = self.num_first * self.num_last
        if self.num_entries > names:
            yield (
                f"num_entries={self.num_entries} exceeds the {names} names of num_first="
                f"{self.num_first} and num_last={self.num_last}: needs <= {names}"
            )
        if self.num_examples >= self.num_entries:
            yield (
                f"num_examples={self.num_examples} leaves no entry of num_entries="
                f"{self.num_entries} to ask for: needs <= {self.num_entries - 1}"
            )
        if not self.shared_first:
            return
        if not self.num_shared:
            yield self._none_shared()
        if self.num_shared >= self.num_last:
            yield (
                f"shared_first={self.shared_first} gives {self.num_shared + 1} entries one first "
                f"name: needs num_last >= {self.num_shared + 1}"
            )
        others = self.num_entries - 1 - self.num_shared
        if others > (self.num_first - 1) * self.num_last:
            yield (
                f"shared_first={self.shared_first} leaves {others} entries for the other first "
                f"names: needs num_first >= {1 + -(-others // self.num_last)}"
            )

    def _none_shared(self) -> str:
        """Why no entry would share the first name."""
        others = self.num_entries - 1
        if not others:
            return (
                f"shared_first={self.shared_first} has no other entry of num_entries=1 to share a "
                "name with: needs num_entries >= 2, or shared_first=0"
            )
        least = ceil(500_000 / others) / 1_000_000
        return (
            f"shared_first={self.shared_first} of the {others} other entries of num_entries="
            f"{self.num_entries} rounds to none: needs >= {least}, or 0 for names drawn freely"
        )

    @property
    def num_shared(self) -> int:
        """Other entries with the first name asked for, if shared_first > 0."""
        return int(self.shared_first * (self.num_entries - 1) + 0.5)

    @property
    def due(self) -> int:
        """The position where the first digit is due."""
        return (self.num_entries + self.num_examples) * (self.num_digits + 4) + 2

    @property
    def vocabulary(self) -> dict[str, range]:
        last = FIRST + self.num_first
        return {
            "separator": range(SEP, NEWLINE),
            "newline": range(NEWLINE, DIGIT),
            "digit": range(DIGIT, FIRST),
            "first name": range(FIRST, last),
            "last name": range(last, last + self.num_last),
        }

    @property
    def context(self) -> Context:
        size = FIRST + self.num_first + self.num_last
        return Context(num_inputs=size, num_outputs=size, length=self.due + self.num_digits)

    @property
    def chance(self) -> float:
        """Each digit is uniform."""
        return 1 / 10

    @property
    def floors(self) -> dict[str, float]:
        """Knowing which numbers are in the book, not whose: the likeliest next digit of those
        that begin as what is written so far.  Of whole numbers: one of them.

        Then the same among the entries with the first name asked for, or with the last name.
        """
        others = self.num_entries - self.num_examples - 1  # that may be asked for
        whole = np.zeros(others + 1)
        whole[others] = 1.0
        laws = (whole, *self._namesakes(others))
        names = ("digits of any number in the book", "numbers of its first name")
        return dict(zip((*names, "numbers of its last name"), map(self._floor, laws), strict=True))

    def _namesakes(self, others: int) -> tuple[Law, Law]:
        """Of so many other entries, how many have the first name asked for, and the last name."""
        first, last = self.num_last - 1, self.num_first - 1  # other names with either
        if not self.shared_first:
            names = self.num_first * self.num_last - 1
            return hypergeometric(names, first, others), hypergeometric(names, last, others)
        with_first = hypergeometric(self.num_entries - 1, self.num_shared, others)
        with_last = np.zeros(others + 1)
        for n in np.flatnonzero(with_first > RARE):  # those have other last names
            rest = others - int(n)
            with_last[: rest + 1] += with_first[n] * hypergeometric(
                last * self.num_last, last, rest
            )
        return with_first, with_last

    def _floor(self, law: Law) -> float:
        """The likeliest next digit of a number and of as many others, as the law says, that begin
        as it does so far.
        """
        right = 0.0
        for _ in range(self.num_digits):
            right += by_majority(law, 10)
            law = thinned(law, 1 / 10)
        return right / self.num_digits

    @property
    def answers_follow(self) -> bool:
        return self.num_digits > 1

    @property
    def num_contents(self) -> int:
        num = self.num_entries
        names = arrangements(self.num_first * self.num_last, num)
        if self.shared_first:  # the names of the entries alike, and of the others
            alike = self.num_shared + 1
            names = arrangements(self.num_last, alike) * self.num_first
            names *= arrangements((self.num_first - 1) * self.num_last, num - alike)
        return names * power(10, num * self.num_digits)

    def draw(self, keys: Words, split: str) -> Content:
        num = self.num_entries
        asked = distinct(keys, ASKED, self.num_examples + 1, num)
        if self.shared_first:
            names = self._sharing(keys, asked[:, -1:])
        else:
            names = distinct(keys, NAMES, num, self.num_first * self.num_last)
        digits = integers(keys, DIGITS, num * self.num_digits, 10)
        return {"names": names, "digits": digits, "asked": asked}

    def _sharing(self, keys: Words, asked: Integers) -> Integers:
        """Names of which num_shared, at random places, share the first name asked for.   (B, P)"""
        num, alike = self.num_entries, self.num_shared + 1
        first = integers(keys, SHARED, 1, self.num_first)
        with_it = first * self.num_last + distinct(keys, LAST, alike, self.num_last)
        others = (self.num_first - 1) * self.num_last
        rest = distinct(keys, NAMES, num - alike, others) if num > alike else asked[:, :0]
        rest = rest + np.where(rest >= first * self.num_last, self.num_last, 0)
        places = permutation(keys, PLACES, num - 1)
        places = np.concatenate([asked, places + (places >= asked)], axis=1)
        names = np.empty((len(keys), num), np.int64)
        scatter(names, places, np.concatenate([with_it, rest], axis=1))
        return names

    def _entries(self, content: Content) -> Integers:
        """(B, num_entries, num_digits + 4)"""
        names = content["names"]
        shape = (*names.shape, self.num_digits + 4)
        entries = np.empty(shape, np.int64)
        entries[..., 0] = FIRST + names // self.num_last
        entries[..., 1] = FIRST + self.num_first + names % self.num_last
        entries[..., 2] = SEP
        entries[..., 3:-1] = DIGIT + content["digits"].reshape(*names.shape, self.num_digits)
        entries[..., -1] = NEWLINE
        return entries

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        num, entries = len(keys), self._entries(content)
        again = np.take_along_axis(entries, content["asked"][..., None], axis=1)
        names, last = content["names"], again[:, -1]
        shown = np.concatenate([entries, again[:, :-1]], axis=1)
        flat = shown.reshape(num, shown.shape[1] * shown.shape[2])
        inputs = np.concatenate([flat, last[:, :-2]], axis=1)
        at = self.due + np.arange(self.num_digits)
        spans = np.full(inputs.shape, -1, np.int32)
        scatter(spans, at, 0)
        asked = content["asked"][:, -1]
        name = names[np.arange(num), asked][:, None]
        alike = names // self.num_last == name // self.num_last
        alike |= names % self.num_last == name % self.num_last
        factors = {"entry": asked, "alike": alike.sum(axis=1) - 1}
        return replace(Batch.answered(inputs, at, last[:, 3:-1], **factors), spans=spans)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        width = self.num_digits + 4
        for row, out in zip(inputs.tolist(), answers, strict=True):
            starts = range(0, self.num_entries * width, width)
            number = {tuple(row[i : i + 2]): row[i + 3 : i + width - 1] for i in starts}
            out[self.due :] = number.get(tuple(row[self.due - 2 : self.due]), IGNORE)
        return answers


PUBLISHED = (
    Preset(
        name="phonebook-cpu",
        paper="seqzoo",
        section="8 entries of two digits",
        upstream="-",
        value=Phonebook(num_entries=8, num_first=16, num_last=16, num_digits=2),
    ),
)
