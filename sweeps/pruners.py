"""Which trials of a wave are trained further. No pruning by default.

A wave is trained in stages: to a step on the way, or with some of the seeds. After a stage, when
all of the wave have come so far, a pruner says which go on, from their checkpoints. It sees the
scores of the wave and the trials of the waves before, nothing that depends on time: so the same
trials go on however many run at once, and a run that goes on gives the same bits as one that never
stopped.

    median      a trial below the median of all that came so far before it
    hyperband   the best third of a wave, at a ninth and a third of the steps; waves of 9, 5 and 3
                in turn begin at a ninth, at a third, at the end          (arXiv:1603.06560)
    wilcoxon    a trial whose first seeds are worse than the best trial's: signed ranks, p < 0.1
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sweeps.experiment import TrainSpec
from sweeps.trial import Seen, Trial, mean_seen, rank

WAVE = 8  # trials that are proposed together
THIRD = 3
QUARTERS = (0.25, 0.5, 0.75)
ALPHA = 0.1  # of the Wilcoxon test: what a trial is given up at, no claim
FEWEST = 4  # seeds with which it can reach that: 2^-4 < 0.1
SEEDS = 6  # of a trial, where they are what is saved


@dataclass(frozen=True)
class Stage:
    """How far a trial is trained before it is looked at."""

    seeds: int
    step: int | None = None  # None: to the end


class Pruner:
    """Gives up nothing: every trial is trained whole. `waves` are the sizes of waves, in turn."""

    waves: tuple[int, ...] = (WAVE,)

    def stages(self, turn: int, seeds: int, train: TrainSpec) -> tuple[Stage, ...]:
        """The stages of the turn-th wave; 0 is the first, whose trials are known beforehand."""
        return (Stage(seeds),)

    def kept(
        self, stage: int, shown: Mapping[int, Sequence[Seen]], before: Sequence[Trial]
    ) -> set[int]:
        """The numbers that go on after a stage, of all that came so far."""
        return set(shown)


class Median(Pruner):
    """At each quarter of the steps, against the trials of earlier waves."""

    def stages(self, turn: int, seeds: int, train: TrainSpec) -> tuple[Stage, ...]:
        """Quarters."""
        return (*(Stage(seeds, step) for step in rungs(train, QUARTERS)), Stage(seeds))

    def kept(
        self, stage: int, shown: Mapping[int, Sequence[Seen]], before: Sequence[Trial]
    ) -> set[int]:
        """Those not below the median of what earlier trials had shown; all in the first wave."""
        earlier = [mean_seen(t.shown[stage])[0] for t in before if len(t.shown) > stage]
        bar = median(earlier) if earlier else -math.inf
        return {number for number, seen in shown.items() if mean_seen(seen)[0] >= bar}


class Hyperband(Pruner):
    """Successive halving, by thirds, in brackets that begin later and later."""

    waves = (9, 5, 3)

    def stages(self, turn: int, seeds: int, train: TrainSpec) -> tuple[Stage, ...]:
        """The first wave is trained whole: it is the curve over rates that a report shows."""
        if turn == 0:
            return (Stage(seeds),)
        first = (turn - 1) % len(self.waves)
        shares = (1 / THIRD**2, 1 / THIRD)[first:]
        return (*(Stage(seeds, step) for step in rungs(train, shares)), Stage(seeds))

    def kept(
        self, stage: int, shown: Mapping[int, Sequence[Seen]], before: Sequence[Trial]
    ) -> set[int]:
        """The best third, one at least."""
        order = sorted(shown, key=lambda number: (_standing(shown[number]), -number), reverse=True)
        return set(order[: max(1, len(order) // THIRD)])


class Wilcoxon(Pruner):
    """Seed by seed, from the fourth on, against the best trial of earlier waves."""

    def stages(self, turn: int, seeds: int, train: TrainSpec) -> tuple[Stage, ...]:
        """Four seeds, five, ..., all."""
        return tuple(Stage(count) for count in range(min(FEWEST, seeds), seeds + 1))

    def kept(
        self, stage: int, shown: Mapping[int, Sequence[Seen]], before: Sequence[Trial]
    ) -> set[int]:
        """Those that the test does not tell from the best one, or that are better."""
        best = max((trial for trial in before if trial.state == "finished"), key=rank, default=None)
        if best is None:
            return set(shown)
        whole = best.shown[-1]
        return {number for number, seen in shown.items() if worse(seen, whole) >= ALPHA}


def worse(seen: Sequence[Seen], best: Sequence[Seen]) -> float:
    """Whether a trial is worse: p of the one-sided signed-rank test over the seeds of both."""
    from scipy.stats import wilcoxon

    differences = [a - b for (a, _), (b, _) in zip(seen, best, strict=False)]
    if not any(differences):
        return 1.0
    found = wilcoxon(differences, alternative="less", zero_method="zsplit", method="exact")
    return float(found.pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def _standing(seen: Sequence[Seen]) -> tuple[float, float]:
    value, loss = mean_seen(seen)
    return value, -loss


def rungs(train: TrainSpec, shares: Sequence[float]) -> list[int]:
    """The last evaluation at or before each share of the steps, where there is one to wait for."""
    steps = [int(train.steps * share) // train.eval_every * train.eval_every for share in shares]
    return [step for step in dict.fromkeys(steps) if 0 < step < train.steps]


PRUNERS: dict[str, Pruner] = {
    "none": Pruner(),
    "median": Median(),
    "hyperband": Hyperband(),
    "wilcoxon": Wilcoxon(),
}
