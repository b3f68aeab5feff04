"""Length generalisation: train on one length, test on longer ones.

Source:  the protocol of Press et al. 2022, "Train short, test long", arXiv:2108.12409, and of
         Delétang et al. 2023, "Neural networks and the Chomsky hierarchy", arXiv:2207.02098.
Differs: every length that is tested is a slice of the results by its name, `length=1024`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, SerializeAsAny

from tasks.induction import Induction
from tasks.mqar import Mqar
from tasks.nested import at_length, common, other_lengths
from tasks.published import Preset
from tasks.task import Task
from tasks.wrapped import Wrapped
from zoo.spec import Context


class LengthSuite(Wrapped, kind="length-suite"):
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
        if self.inner.by_number:
            yield f"inner={self.inner.kind} goes by an example's number: it has no other lengths"
        yield from other_lengths(self.inner, self.lengths)

    def test_slices(self) -> dict[str, Task]:
        return {f"length={n}": at_length(self.seeded, n) for n in self.lengths}

    @property
    def context(self) -> Context:
        return common([self.inner, *self.test_slices().values()])

    @property
    def vocabulary(self) -> dict[str, range]:
        every = [self.inner, *self.test_slices().values()]
        return max(every, key=lambda task: task.context.num_inputs or 0).vocabulary


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
