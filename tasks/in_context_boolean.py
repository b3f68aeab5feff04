"""Boolean functions in context: bits and a label again and again, for a new function each time.

    0 1 1 F  1 1 0 T  1 0 0 F ... 0 1 0        a label is due at the last bit of its point
    targets  F      T      F          ?

Source:  Garg et al. 2022, arXiv:2208.01066, whose points are real vectors: this is their twin for
         models of tokens; functions as in Bhattamishra et al. 2023, arXiv:2310.03016.
Differs: both labels are equally likely: of a conjunction the label is drawn first, and then bits
         that have it.  The oracle is Bayes over all functions of the family.

Axes: B examples, P points, n bits, H functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, product
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import IGNORE, Batch
from tasks.counting import MANY, power, subsets
from tasks.rng import Floats, Integers, Words, distinct, example_keys, integers
from tasks.task import Content, Task
from zoo.spec import Context

RELEVANT, WANTED, BITS, LABELS, PATTERNS = range(1, 6)
LABEL = 2  # ids: the bits 0 and 1, then the labels F and T
MOST_FUNCTIONS = 2**12
PROBED = 2**13  # points from which the ceiling is estimated


class InContextBoolean(Task, kind="in-context-boolean"):
    """In-context boolean functions: the label of each new point, from the points before it.

    parity       T where an odd number of the relevant bits are 1
    conjunction  T where each relevant bit has the value that is wanted of it
    Which num_relevant of the num_bits bits are relevant, and the values, are drawn anew for each
    example.  The first labels cannot be known: see `ceiling` and `true_probs`.
    """

    factors: ClassVar[dict[str, str]] = {}

    family: Annotated[
        Literal["parity", "conjunction"], Field(description="what the function is")
    ] = "conjunction"
    num_bits: Annotated[int, Field(ge=1, le=64, description="bits n of a point")] = 8
    num_relevant: Annotated[int, Field(ge=1, le=64, description="bits that settle the label")] = 2
    num_points: Annotated[int, Field(ge=1, le=2**16, description="points P")] = 16

    def problems(self) -> Iterator[str]:
        if self.num_relevant > self.num_bits:
            yield (
                f"num_relevant={self.num_relevant} exceeds num_bits={self.num_bits}: needs <= "
                f"{self.num_bits}"
            )
        elif self.num_functions > MOST_FUNCTIONS:
            yield (
                f"num_bits={self.num_bits} and num_relevant={self.num_relevant} make "
                f"{self.num_functions} functions: needs <= {MOST_FUNCTIONS}, such as "
                "num_bits=20 num_relevant=2"
            )

    @property
    def num_functions(self) -> int:
        values = 2**self.num_relevant if self.family == "conjunction" else 1
        return subsets(self.num_bits, self.num_relevant) * values

    @property
    def vocabulary(self) -> dict[str, range]:
        return {"bit": range(LABEL), "label": range(LABEL, LABEL + 2)}

    def spell(self, token: int) -> str:
        return "01FT"[token]

    @property
    def context(self) -> Context:
        length = self.num_points * (self.num_bits + 1) - 1
        return Context(num_inputs=LABEL + 2, num_outputs=LABEL + 2, length=length)

    @property
    def chance(self) -> float:
        """Labels are fair."""
        return 1 / 2

    @property
    def ceiling(self) -> float:
        """What Bayes gets; estimated."""
        return _bayes(self)  # pyright: ignore[reportArgumentType]

    @property
    def answers_follow(self) -> bool:
        return True  # each label is read with its point

    @property
    def num_contents(self) -> int:
        """As many equally likely sequences of points as coincide as often under one function.

        Half of a conjunction's points are among 2^(n - r) that are T, half among the others: two
        are the same with probability 2^(r - 2) / (2^r - 1) / 2^(n - r).
        """
        if self.family == "parity":
            return power(2, self.num_bits * self.num_points)
        num, relevant = min(self.num_points, 64), self.num_relevant  # 64 points are 2^64 or more
        whole = ((2**relevant - 1) * 2 ** (self.num_bits + 2)) ** num // 4 ** (relevant * num)
        return min(whole, MANY)

    def determined(self, split: str) -> bool:
        return False  # before the function is known

    def _points(self, keys: Words) -> tuple[Integers, Integers]:
        """Bits and labels, 0 or 1.                                        (B, P, n), (B, P)"""
        num, count = self.num_points, self.num_relevant
        relevant = distinct(keys, RELEVANT, count, self.num_bits)[:, None]
        bits = integers(keys, BITS, num * self.num_bits, 2).reshape(-1, num, self.num_bits)
        at = np.broadcast_to(relevant, (len(keys), num, count))
        if self.family == "parity":
            return bits, np.take_along_axis(bits, at, axis=2).sum(axis=2) % 2
        labels = integers(keys, LABELS, num, 2)
        wrong = (1 - labels) * (1 + integers(keys, PATTERNS, num, 2**count - 1))
        wanted = integers(keys, WANTED, count, 2)[:, None]
        np.put_along_axis(bits, at, wanted ^ (wrong[..., None] >> np.arange(count) & 1), axis=2)
        return bits, labels

    def draw(self, keys: Words, split: str) -> Content:
        """What is read: the last label is not."""
        bits, labels = self._points(keys)
        rows = np.concatenate([bits, labels[..., None] + LABEL], axis=2)
        return {"tokens": rows.reshape(len(keys), self.context.length + 1)[:, :-1]}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        due = self.num_bits - 1 + (self.num_bits + 1) * np.arange(self.num_points)
        return Batch.answered(content["tokens"].copy(), due, self._points(keys)[1] + LABEL)

    def probabilities(self, inputs: NDArray[Any]) -> Floats:
        """Of T at each point, over the functions that agree with all points before it.  (B, P)

        Labels are fair and the points of a label equally likely: a function that says T of a
        conjunction's point counts as many times as there are points of F for one of T.
        """
        size = self.num_bits + 1
        rows = np.pad(inputs, ((0, 0), (0, 1))).reshape(len(inputs), self.num_points, size)
        weight = 2**self.num_relevant - 1 if self.family == "conjunction" else 1
        found = np.empty((len(inputs), self.num_points))
        for row, out in zip(rows, found, strict=True):
            says = self._says(row[:, :-1])
            right = says[:-1] == (row[:-1, -1:] == LABEL + 1)
            alive = np.ones_like(says)
            np.logical_and.accumulate(right, axis=0, out=alive[1:])
            true, false = weight * (alive & says).sum(axis=1), (alive & ~says).sum(axis=1)
            out[:] = np.where(true + false, true / np.maximum(true + false, 1), 0.5)
        return found

    def _says(self, bits: NDArray[Any]) -> NDArray[np.bool_]:
        """What each function says of each point (P, n).                               (P, H)"""
        relevant, wanted = _functions(self.family, self.num_bits, self.num_relevant)
        if self.family == "parity":
            return bits @ relevant.T % 2 == 1
        return bits @ wanted.T + (1 - bits) @ (relevant - wanted).T == self.num_relevant

    def true_probs(self, batch: Batch) -> Floats:
        """The law of each label given what was read: Bayes over all functions.       (M, 4)"""
        true = self.probabilities(batch.inputs).reshape(-1)
        nothing = np.zeros_like(true)
        return np.stack([nothing, nothing, 1 - true, true], axis=1)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.int64]:
        """The likelier label, F of two."""
        answers = np.full(inputs.shape, IGNORE)
        answers[:, self.num_bits - 1 :: self.num_bits + 1] = LABEL + (
            self.probabilities(inputs) > 0.5
        )
        return answers


@lru_cache(maxsize=32)
def _functions(family: str, num_bits: int, num_relevant: int) -> tuple[Integers, Integers]:
    """Of every function the relevant bits, and those of them that must be 1.      (H, n) twice"""
    relevant, wanted = [], []
    values = [*product((0, 1), repeat=num_relevant)] if family == "conjunction" else [()]
    for chosen in combinations(range(num_bits), num_relevant):
        for value in values:
            relevant.append(np.isin(np.arange(num_bits), chosen).astype(np.int64))
            ones = [bit for bit, one in zip(chosen, value, strict=False) if one]
            wanted.append(np.isin(np.arange(num_bits), ones).astype(np.int64))
    return np.stack(relevant), np.stack(wanted)


@lru_cache(maxsize=32)
def _bayes(task: InContextBoolean) -> float:
    """The mean probability of the likelier label, in some examples."""
    keys = example_keys(RELEVANT, np.arange(1 + PROBED // task.num_points, dtype=np.uint64))
    true = task.probabilities(task.draw(keys, "test")["tokens"])
    return float(np.maximum(true, 1 - true).mean())
