"""The difference of the means of two independent samples: for what no seed pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import stdtrit

from reports.stats import Estimate

LEVEL = 0.95


def mean_difference(x: Sequence[float], y: Sequence[float], level: float = LEVEL) -> Estimate:
    """mean(x) - mean(y) with Welch's interval.

        v = s_x^2 / n_x,  w = s_y^2 / n_y
        df = (v + w)^2 / (v^2 / (n_x - 1) + w^2 / (n_y - 1))
        interval: mean(x) - mean(y) -+ t(df) sqrt(v + w)

    n is that of the smaller sample. No interval with a sample of one value or without any spread.
    Source: Welch 1947, Biometrika 34:28.
    """
    n, m = len(x), len(y)
    if not n or not m:
        return Estimate(0)
    difference = math.fsum(x) / n - math.fsum(y) / m
    if min(n, m) < 2:
        return Estimate(min(n, m), difference)
    v, w = _variance(x) / n, _variance(y) / m
    if v + w == 0:
        return Estimate(min(n, m), difference)
    df = (v + w) ** 2 / (v**2 / (n - 1) + w**2 / (m - 1))
    half = float(stdtrit(df, (1 + level) / 2)) * math.sqrt(v + w)
    return Estimate(min(n, m), difference, difference - half, difference + half)


def _variance(x: Sequence[float]) -> float:
    mean = math.fsum(x) / len(x)
    return math.fsum((value - mean) ** 2 for value in x) / (len(x) - 1)
