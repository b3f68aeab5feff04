"""A mixture of tasks: each example comes from one of them, drawn in proportion to weights.

Sequences are padded behind to the longest of the parts.

Source:  Arora et al. 2024, "Based", arXiv:2402.18668, figure 2 and HazyResearch/zoology@d88d6f5
         zoology/experiments/paper_configs/arxiv24_based_figure2/configs.py: recall at several
         lengths and numbers of pairs, trained together, tested apart.
Differs: upstream's parts are sets of fixed sizes, visited batch by batch; here every example of a
         batch is drawn by itself, with the sizes as weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny

from tasks.batch import Batch
from tasks.mqar import Mqar
from tasks.nested import (
    common,
    mismatches,
    named_by_difference,
    overlaps,
    padded_to,
    with_seed,
)
from tasks.published import STREAMS, Preset
from tasks.rng import U, Words, part_keys, words
from tasks.task import Content, Metric, Task
from zoo.spec import Context

PART = 1


class Mixture(Task, kind="mixture"):
    """Mixture: several tasks at once, each example of one of them.

    Tested as it is trained, and on each of `tests` apart, which are longer or harder perhaps: the
    model is built for the longest of all. The oracle of a part answers for its own examples only,
    so that a mixture has none.
    """

    factors: ClassVar[dict[str, str]] = {"part": "which of the parts, counted from 0"}
    sees_all = False

    parts: tuple[SerializeAsAny[Task], ...] = (
        Mqar(vocab_size=64, length=32, num_pairs=2),
        Mqar(vocab_size=64, length=64, num_pairs=4),
    )
    weights: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2**32)], ...],
        Field(description="one whole number a part; equal ones if empty"),
    ] = ()
    tests: Annotated[
        tuple[SerializeAsAny[Task], ...], Field(description="tasks to test on, each by itself")
    ] = ()

    def problems(self) -> Iterator[str]:
        if not self.parts:
            yield "parts is empty: needs one task or more"
            return
        if self.weights and len(self.weights) != len(self.parts):
            yield f"weights has {len(self.weights)} numbers for {len(self.parts)} parts: one each"
        for part in (*self.parts, *self.tests):
            if part.by_number:
                yield f"{part.kind} goes by an example's number, which mixtures share out: not here"
        yield from mismatches([*self.parts, *self.tests])
        yield from overlaps([*self.parts, *self.tests])

    @property
    def metric(self) -> Metric:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the parts."""
        return self.parts[0].metric

    @property
    def seeded(self) -> list[Task]:
        """The parts, with this task's seed."""
        return [with_seed(part, self.seed) for part in self.parts]

    @property
    def shares(self) -> list[float]:
        """How often each part is drawn."""
        weights = self.weights or (1,) * len(self.parts)
        return [weight / sum(weights) for weight in weights]

    @property
    def context(self) -> Context:
        return common([*self.parts, *self.tests])

    @property
    def vocabulary(self) -> dict[str, range]:
        """That of the part with the most ids."""
        largest = max([*self.parts, *self.tests], key=lambda task: task.context.num_inputs or 0)
        return largest.vocabulary

    @property
    def chance(self) -> float:
        """Of a predictor that knows the part and sees no input; a part counts by its labels."""
        return self._averaged([part.chance for part in self.parts])

    @property
    def ceiling(self) -> float:
        return self._averaged([part.ceiling for part in self.parts])

    @property
    def floors(self) -> dict[str, float]:
        """Of the shortcuts that every part has."""
        every = [part.floors for part in self.parts]
        shared = [name for name in every[0] if all(name in floors for floors in every)]
        return {name: self._averaged([floors[name] for floors in every]) for name in shared}

    def _averaged(self, values: list[float]) -> float:
        """The mean over labels of what each part scores."""
        parts: list[Any] = list(self.parts)
        labels = [share * _labels(part) for share, part in zip(self.shares, parts, strict=True)]
        return float(np.average(values, weights=labels))

    def determined(self, split: str) -> bool:
        return all(part.determined(split) for part in self.parts)

    @property
    def answers_follow(self) -> bool:
        return any(task.answers_follow for task in (*self.parts, *self.tests))

    @property
    def num_contents(self) -> int:
        return sum(part.num_contents for part in self.parts)

    @property
    def partitioned(self) -> bool:
        return False  # the parts see to it

    def test_slices(self) -> dict[str, Task]:
        return named_by_difference([with_seed(task, self.seed) for task in self.tests])

    def made(self, keys: Words, split: str) -> Batch:
        """Each part makes its own, many at a time."""
        which = self.parts_of(keys)
        whole: Batch | None = None
        for number, part in enumerate(self.seeded):
            rows = which == number
            own = padded_to(part.made(part_keys(keys[rows], number), split), self.context)
            whole = replace(own.room(len(keys)), factors={}) if whole is None else whole
            whole.put(np.flatnonzero(rows), own)
        assert whole is not None
        return replace(whole, factors={"part": which})

    def content_keys(self, keys: Words, split: str) -> Words:
        which, found = self.parts_of(keys), np.empty(len(keys), U)
        for number, part in enumerate(self.seeded):
            rows = which == number
            found[rows] = part.content_keys(part_keys(keys[rows], number), split)
        return found

    def parts_of(self, keys: Words) -> NDArray[np.int64]:
        """Which part makes each example.                                                (B,)"""
        weights = self.weights or (1,) * len(self.parts)
        bounds = np.cumsum(np.array(weights, np.uint64))
        drawn = (words(keys, PART, 1)[:, 0] >> np.uint64(11)).astype(np.float64) * 2.0**-53
        which = np.searchsorted(bounds, drawn * float(bounds[-1]), side="right")
        return which.astype(np.int64)

    def draw(self, keys: Words, split: str) -> Content:
        raise TypeError("a mixture draws no contents: ask the parts")

    def render(self, content: Content, keys: Words, split: str) -> Batch:
        raise TypeError("a mixture renders no contents: ask the parts")

    def oracle(self, inputs: NDArray[Any], lengths: NDArray[Any] | None = None) -> NDArray[Any]:
        raise TypeError("a mixture has no oracle: ask the parts")


@lru_cache(maxsize=256)
def _labels(task: Any) -> float:
    """Labels of an example, on average."""
    mask = task.generate(range(512), "test").mask
    return float(mask.sum() / len(mask))


def _cells(*cells: tuple[int, int]) -> tuple[Task, ...]:
    return tuple(Mqar(variant="zoology", length=length, num_pairs=num) for length, num in cells)


_BASED_TESTS = _cells((64, 4), (64, 8), (64, 16), (128, 32), (256, 64), (512, 128), (1024, 256))


def _based(name: str, section: str, weights: tuple[int, ...], parts: tuple[Task, ...]) -> Preset:
    return Preset(
        name=name,
        paper="Arora et al. 2024, Based, arXiv:2402.18668",
        section=section,
        upstream="HazyResearch/zoology@d88d6f5 zoology/experiments/paper_configs",
        differs=(STREAMS, "examples are drawn one by one in proportion to upstream's sizes"),
        value=Mixture(parts=parts, weights=weights, tests=_BASED_TESTS),
    )


PUBLISHED = (
    _based(
        "based-mqar",
        "figure 2",
        (100, 20, 20, 20, 20),
        _cells((64, 4), (128, 8), (256, 16), (256, 32), (256, 64)),
    ),
    _based(
        "based-mqar-extrapolation",
        "figure 2, the set called extrap",
        (100, 20, 20, 10, 5),
        _cells((64, 4), (64, 8), (64, 16), (128, 32), (256, 64)),
    ),
)
