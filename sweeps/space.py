"""Search ranges: what the fields of an experiment carry, as values and Optuna's distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from zoo.spec import Choice, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Mark = Range | Choice
DIGITS = 3  # of a proposed real number: enough to search, short enough to type again
POINTS = 5  # of a continuous range on a grid, unless the range says otherwise


@dataclass(frozen=True)
class Axis:
    """One thing that is searched: its values, and every place that takes the value."""

    mark: Mark
    paths: tuple[str, ...]  # dotted, of an Experiment
    points: int = POINTS  # on a grid

    def __str__(self) -> str:
        """As it can be typed."""
        mark = self.mark
        if isinstance(mark, Choice):
            return ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in mark.values)
        return f"{mark.low:g}..{mark.high:g}{':log' if mark.log else ''}"


Space = Mapping[str, Axis]  # by the name under which the record keeps it


def contains(mark: Mark, value: Any) -> bool:
    """Whether the value lies in the range."""
    if isinstance(mark, Choice):
        return value in mark.values
    return value is not None and mark.low <= value <= mark.high


def including(mark: Mark, *values: Any) -> Mark:
    """The range, widened where what is given lies outside of it.

    Nothing widens a range to None, nor one of logarithms to 0: such a value is tried as given,
    and is no place of the range.
    """
    if isinstance(mark, Choice):
        more = [v for v in dict.fromkeys(values) if v is not None and v not in mark.values]
        return Choice(tuple(sorted((*mark.values, *more)))) if more else mark
    values = tuple(v for v in values if v is not None and (v > 0 or not mark.log))
    return Range(min((mark.low, *values)), max((mark.high, *values)), mark.log)


def moved_into(mark: Mark, value: Any) -> Any:
    """The value, or the place of the range that is nearest to it."""
    if contains(mark, value):
        return value
    if isinstance(mark, Choice):
        numbers = all(isinstance(v, int | float) for v in (value, *mark.values))
        return min(mark.values, key=lambda v: abs(v - value)) if numbers else mark.values[0]
    return mark.low if value is None or value < mark.low else mark.high


def distribution(mark: Mark) -> BaseDistribution:
    """What Optuna draws from."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(mark, Choice):
        return CategoricalDistribution(list(mark.values))
    if is_whole(mark):
        return IntDistribution(int(mark.low), int(mark.high), log=mark.log)
    return FloatDistribution(mark.low, mark.high, log=mark.log)


def rounded(value: Any, mark: Mark) -> Any:
    """A real number as it is tried, and can be typed again."""
    if isinstance(mark, Choice) or not isinstance(value, float):
        return value
    near = float(f"{value:.{DIGITS}g}")
    return near if mark.low <= near <= mark.high else value


def grid_values(axis: Axis) -> list[Any]:
    """The values of an axis on a grid: all of a choice, evenly spaced points of a range."""
    mark = axis.mark
    if isinstance(mark, Choice):
        return list(mark.values)
    if is_whole(mark) and mark.high - mark.low < axis.points:
        return list(range(int(mark.low), int(mark.high) + 1))
    low, high = (math.log(mark.low), math.log(mark.high)) if mark.log else (mark.low, mark.high)
    steps = [low + (high - low) * i / (axis.points - 1) for i in range(axis.points)]
    inner = [math.exp(step) if mark.log else step for step in steps[1:-1]]
    values = [mark.low, *inner, mark.high]
    if is_whole(mark):
        return list(dict.fromkeys(round(value) for value in values))
    return [rounded(float(value), mark) for value in values]


def cells(space: Space) -> list[dict[str, Any]]:
    """Every cell of the grid, once; the last axis runs fastest."""
    return [dict(zip(space, cell, strict=True)) for cell in product(*_columns(space))]


def num_cells(space: Space) -> int:
    """How many cells, without listing them."""
    return math.prod(len(column) for column in _columns(space))


def _columns(space: Space) -> Sequence[list[Any]]:
    return [grid_values(axis) for axis in space.values()]


def is_whole(mark: Range) -> bool:
    """Whether it is a range of whole numbers."""
    return isinstance(mark.low, int) and isinstance(mark.high, int)
