"""The adding problem: the sum of the numbers that are marked.

    value   .1 .7 .4 .2
    mark     0  1  0  1     target  .9, once for the sequence

Source:  Hochreiter and Schmidhuber 1997;  Arjovsky et al. 2016, arXiv:1511.06464;
         state-spaces/s4@d27bdf9 src/dataloaders/datasets/adding.py.
Differs: numbers are multiples of 2^-24, which float32 holds exactly.  Examples are fresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.batch import Batch
from tasks.counting import power
from tasks.published import Preset
from tasks.rng import U, Words, integers_at, words, words_at
from tasks.task import Content, Task
from zoo.spec import Context

MARKS, VALUES = 1, 2
STEPS = 2**24  # different numbers in [0, 1)


class Adding(Task, kind="adding"):
    """Adding: numbers in [0, 1), of which one in each part of the sequence is marked; their sum.

    The sequence is cut in num_marks parts of equal length, as nearly as can be; two: halves.
    """

    metric: ClassVar[Any] = "loss"
    factors: ClassVar[dict[str, str]] = {
        "first_mark": "positions before the first marked number",
        "last_gap": "positions from the last marked number to the end",
    }

    length: Annotated[int, Field(ge=2, le=2**24, description="numbers L")] = 100
    num_marks: Annotated[int, Field(ge=1, le=2**16, description="marked numbers")] = 2

    def problems(self) -> Iterator[str]:
        if self.num_marks > self.length:
            yield f"num_marks={self.num_marks} exceeds length={self.length}: needs <= it"

    @property
    def vocabulary(self) -> dict[str, range]:
        return {}

    @property
    def context(self) -> Context:
        return Context(input_dim=2, num_outputs=1, length=self.length, head="regression")

    @property
    def chance(self) -> float:
        """The variance of a sum of uniform numbers; half their number is the best constant."""
        return self.num_marks * (1 - STEPS**-2) / 12

    @property
    def num_contents(self) -> int:
        return power(STEPS, self.length)

    def _parts(self) -> NDArray[np.int64]:
        """Where the parts begin, and the end."""
        return np.arange(self.num_marks + 1) * self.length // self.num_marks

    def draw(self, keys: Words, split: str) -> Content:
        parts = self._parts()
        drawn = words(keys, MARKS, self.num_marks) >> U(32)
        within = (drawn * np.diff(parts).astype(U)) >> U(32)
        marks = parts[:-1] + within.view(np.int64)
        return {"marks": marks, "values": integers_at(keys, VALUES, marks, STEPS)}

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        marks = content["marks"]
        numbers = words_at(keys, VALUES, np.arange(self.length)) >> U(40)
        inputs = np.zeros((len(keys), self.length, 2), np.float32)
        inputs[..., 0] = numbers.astype(np.float32) / STEPS
        np.put_along_axis(inputs[..., 1], marks, 1, axis=1)
        chosen = (content["values"] / STEPS).astype(np.float32)
        factors = {"first_mark": marks[:, 0], "last_gap": self.length - 1 - marks[:, -1]}
        return Batch.of(inputs, _sum(chosen), **factors)

    def oracle(
        self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        found = np.zeros((len(inputs), 1), np.float32)
        for row, out in zip(inputs, found, strict=True):
            for number in row[row[:, 1] == 1, 0]:
                out += number
        return found


def _sum(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """In their order, in single precision.                                           (B, 1)"""
    total = np.zeros((len(numbers), 1), np.float32)
    for column in numbers.T:
        total[:, 0] += column
    return total


PUBLISHED = (
    Preset(
        name="s4-adding",
        paper="Arjovsky et al. 2016, arXiv:1511.06464",
        section="adding problem, length of state-spaces/s4",
        upstream="state-spaces/s4@d27bdf9 src/dataloaders/datasets/adding.py",
        differs=("fresh examples; upstream draws 50,000 once",),
        value=Adding(length=1000),
    ),
)
