"""Length generalisation: train on one length, test on longer ones.

Source:  the protocol of Press et al. 2022, "Train short, test long", arXiv:2108.12409, and of
         Delétang et al. 2023, "Neural networks and the Chomsky hierarchy", arXiv:2207.02098.
Differs: every length that is tested is a slice of the results by its name, `length=1024`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny, ValidationError

from tasks.batch import IGNORE, Batch
from tasks.induction import Induction
from tasks.mqar import Mqar
from tasks.nested import common, padded_to, with_seed
from tasks.published import Preset
from tasks.rng import Words
from tasks.task import Content, Task
from zoo.spec import Context


def at_length(task: Task, length: int) -> Task:
    """The task at this length only.

    Raises: ValueError, one line, where it cannot have it.
    """
    own = type(task).model_fields
    if "length" not in own:
        raise ValueError(f"{task.kind} has no field `length`: its size is set by {', '.join(own)}")
    fields = {name: getattr(task, name) for name in own} | {"length": length}
    fields |= {"min_length": length} if "min_length" in own else {}
    fields |= {name: 0 for name in ("test_length", "test_min_length") if name in own}  # as trained
    try:
        return type(task)(**fields)
    except ValidationError as error:
        line = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"{task.kind} at length={length}: {line}") from None


class LengthSuite(Task, kind="length-suite"):
    """Train short, test long: a task, tested at its own length and at others.

    The model is built for the longest; shorter sequences are padded behind, and batches cut back to
    what they hold.
    """

    inner: Annotated[
        SerializeAsAny[Task], Field(description="what is trained, at its own length")
    ] = Induction(length=32)
    lengths: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2**24)], ...],
        Field(description="the lengths to test at, besides its own"),
    ] = (64, 128)

    def problems(self) -> Iterator[str]:
        if not self.lengths:
            yield "lengths is empty: name at least one, such as (128,)"
        if len(set(self.lengths)) < len(self.lengths):
            yield f"lengths={self.lengths} names one twice"
        for length in self.lengths:
            try:
                at_length(self.inner, length)
            except ValueError as error:
                yield str(error)

    @property
    def seeded(self) -> Task:
        """The task, with this one's seed."""
        return with_seed(self.inner, self.seed)

    def test_slices(self) -> dict[str, Task]:
        return {f"length={n}": at_length(self.seeded, n) for n in self.lengths}

    @property
    def factors(self) -> dict[str, str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the task."""
        return type(self.inner).factors

    @property
    def context(self) -> Context:
        return common([self.inner, *self.test_slices().values()])

    @property
    def vocabulary(self) -> dict[str, range]:
        every = [self.inner, *self.test_slices().values()]
        return max(every, key=lambda task: task.context.num_inputs or 0).vocabulary

    @property
    def chance(self) -> float:
        return self.inner.chance

    @property
    def floors(self) -> dict[str, float]:
        return self.inner.floors

    @property
    def ceiling(self) -> float:
        return self.inner.ceiling

    @property
    def answers_follow(self) -> bool:
        return self.inner.answers_follow

    @property
    def num_contents(self) -> int:
        return self.inner.num_contents

    @property
    def partitioned(self) -> bool:
        return self.inner.partitioned

    def determined(self, split: str) -> bool:
        return self.inner.determined(split)

    def draw(self, keys: Words, split: str) -> Content:
        return self.seeded.draw(keys, split)

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        return padded_to(self.seeded.render(content, keys, split), self.context)

    def oracle(self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None) -> NDArray[Any]:
        own = inputs[:, : self.inner.context.length]
        answers = self.inner.oracle(own, lengths)
        if not self.context.at_positions:
            return answers
        more = (len(inputs), inputs.shape[1] - own.shape[1], *answers.shape[2:])
        nothing = np.full(more, 0 if self.context.is_real else IGNORE, answers.dtype)
        return np.concatenate([answers, nothing], axis=1)


PUBLISHED = (
    Preset(
        name="mamba-induction-extrapolation",
        paper="Gu and Dao 2023, Mamba, arXiv:2312.00752",
        section="section 4.1.2, table 2",
        upstream="not released (state-spaces/mamba#343)",
        differs=("the trigger is a 17th id", "a model is built for the longest, 2^20"),
        value=LengthSuite(
            inner=Induction(vocab_size=16, length=256),
            lengths=tuple(2**n for n in range(6, 21) if n != 8),
        ),
    ),
    Preset(
        name="induction-extrapolation-cpu",
        paper="seqzoo",
        section="the same up to 1,024, from 64",
        upstream="-",
        value=LengthSuite(inner=Induction(vocab_size=16, length=64), lengths=(128, 256, 512, 1024)),
    ),
    Preset(
        name="mqar-memory-cpu",
        paper="seqzoo",
        section="the same pairs over longer waits",
        upstream="-",
        value=LengthSuite(
            inner=Mqar(vocab_size=256, length=64, num_pairs=8, power_a=1.0), lengths=(128, 256, 512)
        ),
    ),
)
