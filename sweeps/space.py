"""Search ranges: what the fields of an experiment carry, as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.spec import Choice, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Mark = Range | Choice
Space = Mapping[str, Mark]  # by dotted path of an Experiment
DIGITS = 3  # of a proposed real number: enough to search, short enough to type again


def including(mark: Mark, *values: Any) -> Mark:
    """The range, widened where what is given lies outside of it."""
    if isinstance(mark, Choice):
        return Choice((*mark.values, *(v for v in dict.fromkeys(values) if v not in mark.values)))
    return Range(min(mark.low, *values), max(mark.high, *values), mark.log)


def distribution(mark: Mark) -> BaseDistribution:
    """What Optuna draws from."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(mark, Choice):
        return CategoricalDistribution(list(mark.values))
    if isinstance(mark.low, int) and isinstance(mark.high, int):
        return IntDistribution(mark.low, mark.high, log=mark.log)
    return FloatDistribution(mark.low, mark.high, log=mark.log)


def rounded(value: Any, mark: Mark) -> Any:
    """A real number as it is tried, and can be typed again."""
    if isinstance(mark, Choice) or not isinstance(value, float):
        return value
    near = float(f"{value:.{DIGITS}g}")
    return near if mark.low <= near <= mark.high else value
