"""Equivalence: evidence that a difference is small, which a large p of a difference is not.

Legend: n paired seeds, d = arm - baseline, s(d) their deviation, M the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtr

from reports.stats import (
    ALPHA,
    Estimate,
    Values,
    deviation,
    differences,
    paired_difference,
    scale_of,
)

MARGIN = 0.01  # of scores that are shares: one point of accuracy
SHARES = ("accuracy", "exact", "span_exact", "example_accuracy", "macro_accuracy", "valid")
SHARES += ("set_recall", "admissible")  # metrics that lie between 0 and 1


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a paired difference against a margin."""

    margin: float
    p: float | None
    interval: Estimate  # at level 1 - 2 alpha: within the margin iff p < alpha


def tost(arm: Values, base: Values, margin: float, alpha: float = ALPHA) -> Equivalence:
    """Paired TOST: p = max(P(T >= (mean d + M) / se), P(T <= (mean d - M) / se)).

    se = s(d) / sqrt(n), T has n - 1 degrees of freedom. The null hypothesis is |true mean d| >= M;
    p < alpha iff the t interval at level 1 - 2 alpha lies within (-M, M). p is None for n < 2, and
    where all d are equal: then s(d) = 0 says nothing of how far other seeds would be apart. Like
    every test of a mean it rests on d being about normal; that no seed failed among n does not show
    that none does.

    Raises: ValueError unless 0 < margin < inf.
    Source: Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657.
    """
    if not 0 < margin < math.inf:
        raise ValueError(f"margin={margin}: expected a positive number")
    d = differences(arm, base)
    n = len(d)
    interval = paired_difference(arm, base, 1 - 2 * alpha)
    s = deviation(d, scale_of(arm, base)) if n > 1 else 0.0
    if not s or interval.mean is None:
        return Equivalence(margin, None, interval)
    se = s / math.sqrt(n)
    above, below = -(interval.mean + margin) / se, (interval.mean - margin) / se
    return Equivalence(margin, float(stdtr(n - 1, max(above, below))), interval)


def default_margin(metric: str) -> float | None:
    """The margin where a plan names none: 0.01 of a metric between 0 and 1, else None.

    A margin is honest if it was fixed before the results; this one stands in the code, the same for
    every study, and texts call it the tool's. What difference matters is a question of the task,
    so a plan should name its own (`primary.margin`). Of losses and errors, whose unit and range the
    tool does not know, there is no default, and equivalence is not tested.
    """
    return MARGIN if metric in SHARES else None
