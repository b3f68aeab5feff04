"""Which arms share the best mean: the best one, and those that are not significantly worse."""

from __future__ import annotations

from reports import stats
from reports.contrast import Analysis, Arm


def best_and_ties(analysis: Analysis) -> frozenset[str]:
    """Names of the arms whose mean is printed in bold.

    The best mean is compared with every other arm's by the paired permutation test, two-sided;
    Holm over these comparisons, in which an arm without a p counts as 1. An arm is a tie unless it
    is worse over the paired seeds with p (Holm) < 0.05. Where the paired seeds are so few that no
    outcome could reach 0.05, nothing is said of the arm; where that is so of all, nothing at all.
    Descriptive: the best is chosen by the same numbers that it is tested with.
    """
    arms = [arm for arm in analysis.arms if arm.estimate.mean is not None]
    if len(arms) < 2 or not analysis.others:
        return frozenset()
    sign = -1.0 if analysis.outcome.lower_is_better else 1.0
    best = max(arms, key=lambda arm: sign * (arm.estimate.mean or 0.0))
    others = [arm for arm in analysis.arms if arm is not best]
    pairs = [_paired(arm, best) for arm in others]
    found = [_p(arm, best, *values) for arm, values in zip(others, pairs, strict=True)]
    least = stats.holm([min(1.0, stats.smallest_p(len(a))) for a, _ in pairs])
    judged = [p < stats.ALPHA for p in least]
    if not any(judged):
        return frozenset()
    adjusted = stats.holm(found)
    ties = {
        arm.name
        for arm, (a, b), p, known in zip(others, pairs, adjusted, judged, strict=True)
        if known and not (p < stats.ALPHA and sign * (sum(a) - sum(b)) < 0)
    }
    return frozenset({best.name} | ties)


def _paired(arm: Arm, best: Arm) -> tuple[list[float], list[float]]:
    seeds = sorted(set(arm.values) & set(best.values))
    return [arm.values[s] for s in seeds], [best.values[s] for s in seeds]


def _p(arm: Arm, best: Arm, a: list[float], b: list[float]) -> float:
    """Of the table's own contrast where it is one with the baseline: the test is the same."""
    known = arm.contrast if best.contrast is None else best.contrast if not arm.contrast else None
    p = known.p if known else stats.permutation_p(a, b) if len(a) > 1 else None
    return 1.0 if p is None else p
