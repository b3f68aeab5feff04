"""A curriculum by length: the first examples of a training run are short, later ones longer.

Source:  Bengio et al. 2009, "Curriculum learning"; by length as in Garg et al. 2022,
         arXiv:2208.01066.
Differs: a stage is a number of examples, the same for every seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny

from tasks.batch import Batch
from tasks.mqar import Mqar
from tasks.nested import at_length, other_lengths, padded_to
from tasks.rng import U, Words
from tasks.task import STREAM, Task, checked
from tasks.wrapped import Wrapped


class Curriculum(Wrapped, kind="curriculum"):
    """Curriculum: a task, trained at rising lengths and tested at its own.

    Example i of a training run has the length of stage i // examples_per_stage; behind the last
    stage it has the task's own.
    """

    @property
    def by_number(self) -> bool:
        return True

    inner: Annotated[SerializeAsAny[Task], Field(description="the task of the last stage")] = Mqar(
        vocab_size=64, length=64, num_pairs=4
    )
    lengths: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2**24)], ...],
        Field(description="the lengths of the stages before the last, rising"),
    ] = (16, 32)
    examples_per_stage: Annotated[
        int, Field(ge=1, le=2**40, description="training examples of each stage but the last")
    ] = 1600

    def problems(self) -> Iterator[str]:
        own = getattr(self.inner, "length", None)
        if list(self.lengths) != sorted(set(self.lengths)):
            yield f"lengths={self.lengths} must rise: each once, shortest first"
        if own is not None and self.lengths and self.lengths[-1] >= own:
            yield f"lengths ends with {self.lengths[-1]}: needs < {own}, the task's own length"
        yield from other_lengths(self.inner, self.lengths)

    @property
    def stages(self) -> list[Task]:
        """The tasks of the stages, the last one being the task itself."""
        return [*(at_length(self.seeded, length) for length in self.lengths), self.seeded]

    def generate(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Batch:
        """The examples of these numbers, each of its stage."""
        numbers, stages = checked(indices), self.stages
        of = self._stages_of(numbers, split)
        whole = padded_to(stages[-1].generate(numbers, split), self.context)
        for stage in range(len(stages) - 1):
            rows = np.flatnonzero(of == stage)
            if rows.size:
                part = padded_to(stages[stage].generate(numbers[rows], split), self.context)
                whole.put(rows, part)
        return whole

    def content_key(self, indices: Sequence[int] | NDArray[Any], split: str = "train") -> Words:
        numbers = checked(indices)
        of, found = self._stages_of(numbers, split), np.empty(len(numbers), U)
        for number, stage in enumerate(self.stages):
            found[of == number] = stage.content_key(numbers[of == number], split)
        return found

    def _stages_of(self, numbers: Words, split: str) -> NDArray[np.int64]:
        last = len(self.lengths)
        if split != "train":
            return np.full(len(numbers), last)
        stage = (numbers % U(STREAM)) // U(self.examples_per_stage)
        return np.minimum(stage, U(last)).astype(np.int64)
