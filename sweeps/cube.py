"""Samplers on the unit cube, one side for every axis: a Sobol sequence, and CMA-ES.

Both keep a state, so it is made again for every wave: a sequence is wound forward, and CMA-ES is
told its earlier proposals and what became of them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sweeps.pruners import WAVE
from sweeps.space import Mark, Space, is_whole, rounded
from zoo.spec import Choice

SEED = 0
SIGMA = 0.25  # of the first generation, about the configuration as given
MIDDLE = 0.5


def sobol(space: Space, start: int, count: int) -> list[dict[str, Any]]:
    """Points `start` to `start + count` of the scrambled sequence."""
    from scipy.stats.qmc import Sobol

    sequence = Sobol(len(space), scramble=True, rng=np.random.default_rng(SEED))
    if start:
        sequence.fast_forward(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a wave need not be a power of two
        return [at(space, point) for point in sequence.random(count)]


class Evolution:
    """CMA-ES with margin (arXiv:2205.13482): choices and whole numbers do not get stuck.

    Generations are of `WAVE` proposals, whatever the waves in which they are asked for.

    Args:
        space: what is searched.
        given: where it begins.
    """

    def __init__(self, space: Space, given: Mapping[str, Any]) -> None:
        from cmaes import CMAwM

        self._space = space
        self._levels = np.array([_levels(axis.mark) for axis in space.values()])
        mean = [unit(axis.mark, given.get(name)) for name, axis in space.items()]
        self._strategy = CMAwM(
            mean=np.clip(mean, 0.01, 0.99),
            sigma=SIGMA,
            bounds=np.tile([0.0, 1.0], (len(space), 1)),
            steps=np.where(self._levels > 1, 1 / np.maximum(self._levels - 1, 1), 0.0),
            population_size=WAVE,
            seed=SEED,
        )
        self._asked: list[np.ndarray] = []
        self._told: list[tuple[np.ndarray, float]] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """The next proposals."""
        found = []
        for _ in range(count):
            point, inner = self._strategy.ask()
            self._asked.append(inner)
            cell = np.round(point * (self._levels - 1)) + MIDDLE
            sides = np.where(self._levels > 0, cell / np.maximum(self._levels, 1), point)
            found.append(at(self._space, sides))
        return found

    def tell(self, scores: Sequence[float | None]) -> None:
        """What became of the oldest proposals that are not told; None: nothing is known."""
        for score in scores:
            inner = self._asked.pop(0)
            if score is not None:
                self._told.append((inner, -score))
            if len(self._told) == WAVE:
                self._strategy.tell(self._told)
                self._told = []


def at(space: Space, point: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """The values at a point of the cube."""
    pairs = zip(space.items(), point, strict=True)
    return {name: _value(axis.mark, float(u)) for (name, axis), u in pairs}


def unit(mark: Mark, value: Any) -> float:
    """Where a value lies on its side; the middle, where it is not of the range."""
    if isinstance(mark, Choice):
        if value not in mark.values:
            return MIDDLE
        return (mark.values.index(value) + MIDDLE) / len(mark.values)
    if value is None or not mark.low <= value <= mark.high:
        return MIDDLE
    low, high = _ends(mark)
    position = math.log(value) if mark.log else value
    return (position - low) / (high - low)


def _value(mark: Mark, u: float) -> Any:
    if isinstance(mark, Choice):
        return mark.values[min(int(u * len(mark.values)), len(mark.values) - 1)]
    low, high = _ends(mark)
    position = low + (high - low) * u
    value = math.exp(position) if mark.log else position
    value = min(max(value, mark.low), mark.high)
    return round(value) if is_whole(mark) else rounded(value, mark)


def _ends(mark: Any) -> tuple[float, float]:
    """Of a side: half a number beyond the first and the last whole one."""
    low, high = (mark.low - MIDDLE, mark.high + MIDDLE) if is_whole(mark) else (mark.low, mark.high)
    return (math.log(low), math.log(high)) if mark.log else (low, high)


def _levels(mark: Mark) -> int:
    """How many values a side has; 0: any number of them."""
    if isinstance(mark, Choice):
        return len(mark.values)
    whole = is_whole(mark) and not mark.log
    return int(mark.high - mark.low) + 1 if whole else 0
