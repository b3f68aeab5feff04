"""A task around another one: it asks the inner task for all that it does not change.

Axes: B examples, L positions.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny

from tasks.batch import IGNORE, Batch
from tasks.nested import cut_to, longer, padded_to, with_seed
from tasks.rng import Words
from tasks.task import Content, Metric, Task
from tasks.writing import Writing
from zoo.spec import Context


class Wrapped(Task):
    """A task around another one, which answers every question about its law.

    The context may be longer: then batches are padded behind, and cut back for the inner task.
    """

    inner: Annotated[SerializeAsAny[Task], Field(description="the task that is wrapped")]

    @property
    def seeded(self) -> Task:
        """The inner task, with this one's seed."""
        return with_seed(self.inner, self.seed)

    @property
    def factors(self) -> dict[str, str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.factors

    @property
    def metric(self) -> Metric:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.metric

    @property
    def shared(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.shared

    @property
    def sees_all(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.sees_all

    @property
    def by_number(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.inner.by_number

    @property
    def context(self) -> Context:
        return self.inner.context

    @property
    def vocabulary(self) -> dict[str, range]:
        return self.inner.vocabulary

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
    def picture(self) -> tuple[int, int] | None:
        return self.inner.picture if self.context.length == self.inner.context.length else None

    @property
    def answers_follow(self) -> bool:
        return self.inner.answers_follow

    @property
    def num_contents(self) -> int:
        return self.inner.num_contents

    @property
    def partitioned(self) -> bool:
        return self.inner.partitioned

    @property
    def answers_in_ids(self) -> bool:
        return self.inner.answers_in_ids

    def spell(self, token: int) -> str | None:
        return self.inner.spell(token)

    def determined(self, split: str) -> bool:
        return self.inner.determined(split)

    def draw(self, keys: Words, split: str) -> Content:
        return self.seeded.draw(keys, split)

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        return padded_to(self.seeded.render(content, keys, split), self.context)

    def oracle(self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None) -> NDArray[Any]:
        own = inputs[:, : self.inner.context.length]
        answers = self.seeded.oracle(own, lengths)
        if not self.context.at_positions:
            return answers
        return longer(answers, self.context.length, 0 if self.context.is_real else IGNORE)

    def true_probs(self, batch: Batch) -> NDArray[np.float64] | None:
        law = self.seeded.true_probs(cut_to(batch, self.inner.context))
        return None if law is None else longer(law, self.context.num_outputs, 0.0)

    def admissible(self, batch: Batch) -> NDArray[np.bool_] | None:
        some = self.seeded.admissible(cut_to(batch, self.inner.context))
        return None if some is None else longer(some, self.context.num_outputs, value=False)

    @property
    def writings(self) -> dict[str, Writing]:
        return self.inner.writings

    def accepts(self, batch: Batch, answers: NDArray[Any]) -> NDArray[Any]:
        return self.seeded.accepts(cut_to(batch, self.inner.context), answers)
