"""k-hop induction: what followed the last time, and what followed that, k times.

    k=1      HOP1 a b a c a     at the last a: the a before it was followed by c
    targets        . . b . c    k=0 is the letter itself

Source:  Sanford et al. 2024, "Transformers, parallel computation, and logarithmic depth",
         arXiv:2402.09268, section 4 (k-hop induction heads).
Differs: `canonical` scores only positions where k hops can be made, and has 16 letters: with 4,
         an answer of two hops is the letter itself half of the time.  `sanford` scores every
         position, with a class of its own where they cannot be made.  Strings are fresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import power
from tasks.published import Preset
from tasks.rng import Words, integers
from tasks.task import Content, Task
from zoo.spec import Context

HOPS, LETTERS, START = 1, 2, 3


class KHop(Task, kind="khop"):
    """k-hop induction: from each letter back to its last occurrence, one on, and so k times.

    No two neighbours are equal.  The first token names k, uniform in min_hops to max_hops; the
    letter that k hops lead to is due at every position from which they can be made.
    """

    factors: ClassVar[dict[str, str]] = {"num_hops": "hops k"}

    variant: Literal["canonical", "sanford"] = "canonical"
    num_letters: Annotated[int, Field(ge=3, le=2**20, description="different letters V")] = 16
    length: Annotated[int, Field(ge=3, le=2**24, description="letters; one token precedes")] = 128
    min_hops: Annotated[int, Field(ge=0, description="fewest hops k")] = 1
    max_hops: Annotated[int, Field(ge=1, le=2**16, description="most hops k")] = 4

    def problems(self) -> Iterator[str]:
        if self.min_hops > self.max_hops:
            yield f"min_hops={self.min_hops} exceeds max_hops={self.max_hops}: needs <= it"
        elif self.max_hops > self.length - 2:
            yield (
                f"max_hops={self.max_hops} can never be made in length={self.length}: needs "
                f"length >= {self.max_hops + 2}"
            )

    @property
    def hops(self) -> range:
        return range(self.min_hops, self.max_hops + 1)

    @property
    def first_hop(self) -> int:
        """The id of k = 0."""
        return self.num_letters + (self.variant == "sanford")

    @property
    def vocabulary(self) -> dict[str, range]:
        ids = {"letter": range(self.num_letters)}
        if self.variant == "sanford":  # an answer only
            ids["undefined"] = range(self.num_letters, self.first_hop)
        ids["hops"] = range(self.first_hop, self.first_hop + self.max_hops + 1)
        return ids

    @property
    def context(self) -> Context:
        size = self.first_hop + self.max_hops + 1
        return Context(num_inputs=size, num_outputs=size, length=self.length + 1)

    @property
    def chance(self) -> float:
        """One letter always, each as likely; or "undefined"."""
        if self.variant == "canonical":
            return 1 / self.num_letters
        made = _equal(self.num_letters, self.length, self.max_hops, "made")
        share = sum(made[k] for k in self.hops) / len(self.hops) / self.length
        return max(1 - share, share / self.num_letters)

    @property
    def floors(self) -> dict[str, float]:
        """The letter itself, or one hop always; where that is better than a letter by chance."""
        if self.variant != "canonical":
            return {}
        law = (self.num_letters, self.length, self.max_hops)
        total = sum(_equal(*law, "made")[k] for k in self.hops)
        found = {
            "the letter itself": sum(_equal(*law, "start")[k] for k in self.hops) / total,
            "one hop, whatever is asked": sum(_equal(*law, "first")[k] for k in self.hops) / total,
        }
        return {name: value for name, value in found.items() if value > self.chance}

    @property
    def num_contents(self) -> int:
        return self.num_letters * power(self.num_letters - 1, self.length - 1)

    def draw(self, keys: Words, split: str) -> Content:
        """Each letter is another one than that before it, uniformly: a sum of steps."""
        size = self.num_letters
        steps = integers(keys, LETTERS, self.length, size - 1) + 1
        steps[:, :1] = integers(keys, START, 1, size)
        hops = integers(keys, HOPS, 1, len(self.hops)) + self.min_hops
        return {"hops": hops, "letters": np.cumsum(steps, axis=1) % size}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        from tasks._loops.khop import hop

        letters, hops = content["letters"], content["hops"]
        inputs = np.concatenate([self.first_hop + hops, letters], axis=1)
        place = hop(letters, hops[:, 0], self.num_letters)
        made = place >= 0
        answers = np.take_along_axis(letters, np.maximum(place, 0), axis=1)
        other = self.num_letters if self.variant == "sanford" else IGNORE
        targets = np.full(inputs.shape, IGNORE)
        targets[:, 1:] = np.where(made, answers, other)
        return Batch.of(inputs, targets, num_hops=hops[:, 0])

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        answers = np.full(inputs.shape, IGNORE)
        other = self.num_letters if self.variant == "sanford" else IGNORE
        for row, out in zip(inputs.tolist(), answers, strict=True):
            last: dict[int, int] = {}
            after: list[int | None] = []
            for t, letter in enumerate(row):
                after.append(last.get(letter, -1) + 1 or None)
                last[letter] = t
                if not t:
                    last.clear()
                    continue
                place: int | None = t
                for _ in range(row[0] - self.first_hop):
                    place = after[place] if place is not None else None
                out[t] = other if place is None else row[place]
        return answers


def _equal(num_letters: int, length: int, most: int, to: str) -> list[float]:
    """The expected number of positions from which k hops can be made and lead to a letter that
    is equal `to` the start, to that of one hop, or to anything: for k = 0, ..., most.

    A hop goes 1 + m back with P(m) = p (1 - p)^(m - 1), p = 1 / (V - 1), whatever came before:
    seen backwards, the letters are a walk, and the hop ends where it meets the letter c of the
    place.  The letter found there is where a walk on the others, from the last but one, stands
    after m - 1 steps: that one again with r(m - 1), each other as likely.  So the pair (last
    but one, last) of a hop is a chain of three states: the wanted letter is the last but one,
    the last, or neither.
    """
    size = num_letters - 1
    steps = np.arange(length)
    far = (1 / size) * (1 - 1 / size) ** steps  # of m - 1 = 0, 1, ...
    back = 1 / size + (1 - 1 / size) * (-1 / (size - 1)) ** steps
    again, other = far * back, far * (1 - back)
    starts = np.maximum(length - 1 - steps, 0.0)  # positions with `steps` to go back and more
    zero = np.zeros(length)
    moved = np.concatenate([[0.0], far[:-1]])  # the first hop: its letter is never the start's
    before, here, neither = (moved, zero, zero) if to == "start" else (zero, moved, zero)
    found = [0.0 if to == "first" else float(length)]
    for k in range(1, most + 1):
        if k > 1:
            to_here = _delayed(before, again) + _delayed(neither, other) / max(1, size - 1)
            to_before = _delayed(here, far)
            everything = _delayed(before + here + neither, far)
            before, here, neither = to_before, to_here, everything - to_before - to_here
        law = before + here + neither if to == "made" else here
        found.append(float(law @ starts))
    return found


def _delayed(law: NDArray[Any], far: NDArray[Any]) -> NDArray[Any]:
    """The law of how far back hops went, one hop later: m more, m - 1 as in `far`.    (L,)"""
    return np.concatenate([[0.0], np.convolve(law, far)[: len(law) - 1]])


PUBLISHED = (
    Preset(
        name="sanford-khop",
        paper="Sanford et al. 2024, arXiv:2402.09268",
        section="k-hop induction heads, k up to 16",
        upstream="chsanford/hop-induction-heads",
        differs=(
            "strings end where inputs end; upstream draws two letters more that it never uses",
            "fresh examples; splits share none",
        ),
        value=KHop(variant="sanford", num_letters=4, length=98, min_hops=0, max_hops=16),
    ),
    Preset(
        name="khop-cpu",
        paper="seqzoo",
        section="8 letters, one or two hops",
        upstream="-",
        value=KHop(num_letters=8, length=48, max_hops=2),
    ),
)
