"""An arm against the baseline: every number that is said of the paired seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from reports import stats
from reports.equivalence import tost
from reports.power import seeds_for, smallest_difference
from reports.signed_rank import rank_biserial, wilcoxon_p
from reports.stats import Estimate

Scores = Mapping[int, float]  # seed -> value


@dataclass(frozen=True)
class Contrast:
    """An arm against the baseline, over the seeds that both have.

    The primary test is the permutation test: p, p_holm, significant. Equivalence is the secondary
    one. Wilcoxon's p and the rank-biserial correlation are descriptive.
    """

    difference: Estimate
    p: float | None = None
    p_holm: float | None = None
    effect: float | None = None  # d_z
    correlation: float | None = None
    underpowered: bool = True
    identical: bool = False  # every pair exactly equal
    p_wilcoxon: float | None = None
    rank_biserial: float | None = None
    deviation: float | None = None  # of the paired differences
    margin: float | None = None  # what equivalence was tested against
    inner: Estimate | None = None  # the 90 % interval that belongs to it
    p_equivalence: float | None = None
    p_equivalence_holm: float | None = None
    seeds_for: int | None = None  # to show a difference of the margin with 80 % power
    mde: float | None = None  # the difference that these seeds show with 80 % power

    @property
    def significant(self) -> bool:
        """Whether the test says so after Holm; an underpowered one says nothing."""
        return not self.underpowered and self.p_holm is not None and self.p_holm < stats.ALPHA

    @property
    def equivalent(self) -> bool:
        """Whether the difference was shown to be within the margin, after Holm over such tests."""
        p = self.p_equivalence_holm
        return not self.underpowered and p is not None and p < stats.ALPHA


def contrasts(
    arms: Mapping[str, Scores],
    base: Scores,
    *,
    margin: float | None = None,
    guessed: Collection[str] = (),
) -> dict[str, Contrast]:
    """By arm. Two families, each corrected by Holm over all arms: differences, and equivalence.

    Of one arm the two null hypotheses (no difference; one of at least the margin) are never both
    true. Each family keeps its 5 %, and the tests of differences are what they would be alone.
    An arm without a p counts as p = 1.

    margin      of equivalence; None: not tested
    guessed     arms of whose pairs some hold the chance score of a run that diverged: they would
                be equal by rule, so equivalence is not tested there
    """
    found = [_contrast(arm, base, len(arms), margin) for arm in arms.values()]
    found = [
        replace(contrast, p_equivalence=None) if name in guessed else contrast
        for name, contrast in zip(arms, found, strict=True)
    ]
    p_holm = stats.holm([1.0 if c.p is None else c.p for c in found])
    same = stats.holm([1.0 if c.p_equivalence is None else c.p_equivalence for c in found])
    reachable = stats.reachable_p([c.difference.n for c in found])
    return {
        name: replace(
            contrast,
            p_holm=None if contrast.p is None else p_holm[i],
            p_equivalence_holm=None if contrast.p_equivalence is None else same[i],
            underpowered=reachable[i] >= stats.ALPHA,
        )
        for i, (name, contrast) in enumerate(zip(arms, found, strict=True))
    }


def _contrast(arm: Scores, base: Scores, num_arms: int, margin: float | None) -> Contrast:
    seeds = sorted(set(arm) & set(base))
    a, b = [arm[s] for s in seeds], [base[s] for s in seeds]
    several = len(seeds) > 1
    s = stats.deviation(stats.differences(a, b), stats.scale_of(a, b)) if several else 0.0
    contrast = Contrast(
        difference=stats.paired_difference(a, b),
        p=stats.permutation_p(a, b) if several else None,
        effect=stats.effect_size(a, b),
        correlation=stats.seed_correlation(a, b),
        identical=bool(seeds) and a == b,
        p_wilcoxon=wilcoxon_p(a, b) if several else None,
        rank_biserial=rank_biserial(a, b),
        deviation=s if several else None,
        mde=smallest_difference(len(seeds), s, num_arms=num_arms),
    )
    if margin is None:
        return contrast
    same = tost(a, b, margin)
    needed = seeds_for(margin, s, num_arms=num_arms)
    return replace(
        contrast, margin=margin, inner=same.interval, p_equivalence=same.p, seeds_for=needed
    )
