"""Task: a frozen spec that makes examples by number.

`generate(indices, split)` is a pure function of (task, fields, seed, split, index): the same
example for any batch, order, process or machine.  A task says how to draw an example's content
from its key (`draw`), and how to lay it out (`render`).

Axes: B examples, L positions.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tasks.batch import Batch
from tasks.rng import STEP, U, Words, example_keys, mix, retry_keys, stream_key
from tasks.writing import Writing
from zoo.spec import Context, Spec

Split = Literal["train", "validation", "test"]
SPLITS: tuple[str, ...] = get_args(Split)
Metric = Literal["accuracy", "exact", "span_exact", "loss", "valid"]
BUCKETS = 16  # of content; a split owns some, so that no content is in two splits
OWNED = {"train": (0, 12), "validation": (12, 14), "test": (14, 16)}
MANY_ENOUGH = 2**48  # from here on contents do not meet by chance, and splits are streams
MAX_ATTEMPTS = 4096
STREAM = 2**40  # examples of a training run: streams of different seeds are apart
CHUNK = 2**16  # positions made at a time, so that the arrays stay in the cache
DRAWN = 8  # chunks whose contents are drawn at once where foreign ones are drawn again: fewer calls

Content = dict[str, NDArray[np.int64]]


class DataSpaceExhausted(ValueError):
    """A split has no example left to give: the task has too few different ones."""


class Task(Spec):
    """A synthetic task. A subclass with a kind is registered: `class Mqar(Task, kind="mqar")`."""

    generator_version: ClassVar[int] = 1  # to raise when a change moves a task's stream
    factors: ClassVar[dict[str, str]] = {}  # name -> what it means
    metric: ClassVar[Metric] = "accuracy"  # what tables lead with, and tuning goes by
    shared: ClassVar[bool] = False  # splits share contents on purpose: facts to be memorised
    sees_all: ClassVar[bool] = True  # the oracle needs no more than the inputs
    by_number: ClassVar[bool] = False  # what an example is goes by its number, not its key alone

    seed: Annotated[
        int, Field(ge=0, lt=2**63, description="fixes the train, validation and test sets")
    ] = 0

    # What a task is

    @property
    @abstractmethod
    def context(self) -> Context:
        """All that a model may know: ids or features, classes, length, head."""

    @property
    @abstractmethod
    def vocabulary(self) -> dict[str, range]:
        """The ids by use, in rising order: {"filler": range(0, 1), "key": range(1, 4096), ...}."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """The expected accuracy of the best predictor that sees no input, exactly.

        It is that of the law which the splits partition, at the positions scored in `test`. Of
        tasks with real targets: the mean squared error of the best constant.
        """

    def test_slices(self) -> dict[str, Task]:
        """Tasks that a model of this one is tested on besides, by the slice's name: longer ones."""
        return {}

    def chance_of(self, metric: str) -> float:
        """What that predictor scores: whole answers of several tokens it never gets right.

        Of classes, "loss" is that of naming them all with one probability.
        """
        if metric == "accuracy" or self.context.is_real:
            return self.chance
        return math.log(self.context.num_outputs) if metric == "loss" else 0.0

    @property
    def floors(self) -> dict[str, float]:
        """Accuracies of shortcuts that answer from the input without solving it: name -> value."""
        return {}

    @property
    def floor(self) -> float | None:
        """The accuracy of the best shortcut that is known."""
        return max(self.floors.values(), default=None)

    @property
    def ceiling(self) -> float:
        """The accuracy of the oracle; below 1 where targets are drawn at random."""
        return 1.0

    @property
    def picture(self) -> tuple[int, int] | None:
        """Height and width of inputs that are a picture, read row by row."""
        return None

    @property
    def answers_in_ids(self) -> bool:
        """Whether targets are ids of the inputs; else they are numbers of classes."""
        return self.context.num_inputs == self.context.num_outputs

    def spell(self, token: int) -> str | None:
        """How an id is written, if not by its range's name: "[MAX", "7"."""
        return None

    @property
    def answers_follow(self) -> bool:
        """Whether an answer may stand in the inputs after the place where it is due.

        A model that looks ahead then copies it: only causal models can be compared.
        """
        return False

    @property
    @abstractmethod
    def num_contents(self) -> int:
        """How many different contents there are (see `counting`); fewer where some are likelier."""

    def determined(self, split: str) -> bool:
        """Whether the inputs settle every target of the split, so that an oracle is right."""
        return True

    @abstractmethod
    def draw(self, keys: Words, split: str) -> Content:
        """What tells examples apart, not filler: name -> (B, N); `_name`: what nobody reads."""

    @abstractmethod
    def render(self, content: Content, keys: Words, split: str) -> Batch:
        """The examples of these contents; filler is drawn from the keys."""

    @abstractmethod
    def oracle(self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None) -> NDArray[Any]:
        """The right answers, from the inputs alone: targets' shape, IGNORE where there is none."""

    def true_probs(self, batch: Batch) -> NDArray[np.float64] | None:
        """Of a task whose targets are drawn at random: their law at each scored place, (M, V)."""
        return None

    def admissible(self, batch: Batch) -> NDArray[np.bool_] | None:
        """Which targets could stand at each scored place, where several could: (M, V)."""
        law = self.true_probs(batch)
        return None if law is None else law > 0

    @property
    def writings(self) -> dict[str, Writing]:
        """Of a task with many right answers: how models write theirs, by the metric's name."""
        return {}

    def accepts(self, batch: Batch, answers: NDArray[Any]) -> NDArray[Any]:
        """How right each of `answers` (B, T) is, 0 to 1, of a task that has `writings`.      (B,)

        They begin at the first scored place, with what was given, and are 0 behind their end.
        """
        raise TypeError(f"{self.kind} has one right answer: compare with the targets")

    def problems(self) -> Iterable[str]:
        """What makes the fields impossible together: field, value, limit, a way out."""
        return ()

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        found = list(self.problems())
        if found:
            raise ValueError("; ".join(found))
        return self

    # What every task does

    @property
    def partitioned(self) -> bool:
        """True: each split owns its contents. False: separate streams, for there are so many that
        n training and m test examples share one with a probability below n m / 2^48.
        """
        return not self.shared and self.num_contents < MANY_ENOUGH

    def generate(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Batch:
        """The examples of these numbers.

        Args:    indices  whole numbers in [0, 2^63), in any order       (B,)
                 split    train, validation or test
        Raises:  ValueError for other indices or splits; DataSpaceExhausted where the split
                 owns no example, or hardly any.
        """
        return self.made(example_keys(stream_of(self, split), checked(indices)), split)

    def made(self, keys: Words, split: str) -> Batch:
        """The examples of these keys, as many chunks."""
        chunks = self._chunks(keys, split)
        first = next(chunks)
        if len(first) == len(keys):
            return first
        whole, start = first.room(len(keys)), 0
        for part in chain([first], chunks):  # copied while it is still in the cache
            whole.put(slice(start, start + len(part)), part)
            start += len(part)
        return whole

    def _chunks(self, keys: Words, split: str) -> Iterator[Batch]:
        """The examples, CHUNK positions at a time; their contents perhaps for several chunks."""
        rows = max(1, CHUNK // self.context.length)
        many = rows * (DRAWN if self.partitioned else 1)
        for start in range(0, max(1, len(keys)), many):
            content, final = self.owned(keys[start : start + many], split)
            for at in range(0, max(1, len(final)), rows):
                here = slice(at, at + rows)
                own = {name: array[here] for name, array in content.items()}
                yield self.render(own, final[here], split)

    def content_key(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Words:
        """A 64-bit hash of each example's content; equal contents, equal keys.        (B,)"""
        return self.content_keys(example_keys(stream_of(self, split), checked(indices)), split)

    def content_keys(self, keys: Words, split: str) -> Words:
        """The same, of the examples of these keys.                                     (B,)"""
        return _content_hash(self.owned(keys, split)[0])

    def owned(self, keys: Words, split: str) -> tuple[Content, Words]:
        """Contents that the split owns, and their keys: a foreign one is drawn again."""
        content = self.draw(keys, split)
        if not self.partitioned:
            return content, keys
        final = keys.copy()
        rows = np.flatnonzero(~_belongs(content, split))
        for attempt in range(1, MAX_ATTEMPTS):
            if not rows.size:
                return content, final
            again = retry_keys(keys[rows], attempt)
            drawn = self.draw(again, split)
            right = _belongs(drawn, split)
            final[rows[right]] = again[right]
            for name, array in content.items():
                array[rows[right]] = drawn[name][right]
            rows = rows[~right]
        if not rows.size:
            return content, final
        raise DataSpaceExhausted(
            f"{self.kind}: {MAX_ATTEMPTS} attempts gave no {split} example; there are only about "
            f"{self.num_contents} different examples for all splits: make the task larger"
        )


def stream_of(task: Task, split: str) -> int:
    """Fields at their defaults are left out: a new field does not move the data of old tasks."""
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: choose from {', '.join(SPLITS)}")
    chosen = task.model_dump(mode="json", exclude_defaults=True, exclude={"seed"})
    return stream_key([task.kind, task.generator_version, chosen, task.seed, split])


def checked(indices: Sequence[int] | NDArray[Any]) -> Words:
    """Numbers of examples as words, (B,); ValueError for what is none."""
    array = np.asarray(indices)
    if array.shape == (0,):
        return np.empty(0, U)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"indices={indices!r:.60}: needs a list of whole numbers in [0, 2^63)")
    if int(array.min()) < 0 or int(array.max()) >= 2**63:
        worst = array.min() if int(array.min()) < 0 else array.max()
        raise ValueError(f"indices: {worst} is outside [0, 2^63): examples are numbered from 0")
    return array.astype(U)


def _content_hash(content: Content) -> Words:
    """Of the numbers and their places; a 0 adds nothing, so that padding does not: of two tasks
    that differ in their sizes, equal strings belong to one split.
    """
    total = np.zeros(len(next(iter(content.values()))), U)
    read = (array for name, array in content.items() if not name.startswith("_"))
    for number, array in enumerate(read):
        slots = (np.arange(array.shape[1], dtype=U) + U((number << 32) + 1)) * U(STEP)
        rows = max(1, CHUNK // max(1, array.shape[1]))
        for at in range(0, len(array), rows):
            part = array[at : at + rows]
            places = part.astype(U)
            places += slots
            total[at : at + rows] += np.einsum("bn,bn->b", mix(places), part != 0)
    return mix(total)


def _belongs(content: Content, split: str) -> NDArray[np.bool_]:
    low, high = OWNED[split]
    bucket = _content_hash(content) % U(BUCKETS)
    return (bucket >= low) & (bucket < high)
