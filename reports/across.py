"""What several tasks say together: aggregates over tasks x seeds.

Legend: J tasks, n_j runs of task j by an arm, N = sum n_j.
Source: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice", arXiv:2108.13264
(their library: rliable).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from reports.bootstrap import NUM_DRAWS, is_honest, percentile_interval, stratified
from reports.stats import LEVEL, Estimate, Values

TAUS = tuple(i / 100 for i in range(101))  # the thresholds of a profile
Scores = Mapping[str, Sequence[float]]  # task -> values by seed


class NothingSharedError(ValueError):
    """There is no task on which every arm has a run."""


@dataclass(frozen=True)
class Aggregate:
    """One arm over all tasks. Intervals are None where there are too few runs for them."""

    arm: str
    runs: int
    mean: Estimate
    iqm: Estimate


@dataclass(frozen=True)
class Improvement:
    """How often a run of the arm beats one of the baseline on the same task."""

    arm: str
    probability: Estimate
    by_task: dict[str, float]


@dataclass(frozen=True)
class Profile:
    """The share of an arm's runs above each threshold, with its band."""

    arm: str
    taus: tuple[float, ...]
    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Across:
    """Everything that is said of several tasks together."""

    tasks: tuple[str, ...]
    left_out: tuple[str, ...]  # tasks on which some arm has no run
    baseline: str
    aggregates: tuple[Aggregate, ...]  # in the arms' order
    improvements: tuple[Improvement, ...]  # all arms but the baseline
    profiles: tuple[Profile, ...]


def across(
    scores: Mapping[str, Scores],
    *,
    baseline: str | None = None,
    lower_is_better: bool = False,
    taus: Sequence[float] = TAUS,
    level: float = LEVEL,
    draws: int = NUM_DRAWS,
) -> Across:
    """All aggregates of scores[arm][task] = values by seed; the first arm is the baseline.

    Only tasks on which every arm has a run count: on others arms would be compared over different
    tasks. Scores of all tasks are taken to be on one scale, such as accuracy.

    Raises: ValueError, one line, if no task is shared (NothingSharedError), the baseline is no
        arm, or a value is not a number.
    """
    baseline = baseline or next(iter(scores), "")
    if baseline not in scores:
        raise ValueError(f"baseline {baseline!r} is not an arm: {', '.join(scores) or 'none'}")
    named = dict.fromkeys(task for by_task in scores.values() for task in by_task)
    tasks = [t for t in named if all(len(by_task.get(t, ())) for by_task in scores.values())]
    if not tasks:
        raise NothingSharedError("no task on which every arm has a run")
    runs = {arm: [_finite(arm, t, by_task[t]) for t in tasks] for arm, by_task in scores.items()}
    ours = {arm: [-x for x in each] if lower_is_better else each for arm, each in runs.items()}
    return Across(
        tasks=tuple(tasks),
        left_out=tuple(t for t in named if t not in tasks),
        baseline=baseline,
        aggregates=tuple(_aggregate(arm, each, level, draws) for arm, each in runs.items()),
        improvements=tuple(
            Improvement(
                arm,
                improvement(each, ours[baseline], level=level, draws=draws),
                {t: _won(x, y) for t, x, y in zip(tasks, each, ours[baseline], strict=True)},
            )
            for arm, each in ours.items()
            if arm != baseline
        ),
        profiles=tuple(profile(arm, each, taus, level) for arm, each in runs.items()),
    )


def iqm(values: np.ndarray) -> np.ndarray:
    """Interquartile mean: of the sorted values without the int(N/4) least and int(N/4) largest.

    Of the last axis: (..., N) to (...). This is `scipy.stats.trim_mean(x, 0.25)`, hence the number
    that rliable prints and that papers call IQM; weighing the values at the cuts by fractions would
    be smoother in N and agree only where 4 divides it. Fewer than 4 values: their mean.
    """
    cut = values.shape[-1] // 4
    return np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1)


def wins(x: Values, y: Values) -> np.ndarray:
    """1 where x_i > y_k, 1/2 where equal, 0 where less. (len(x), len(y))"""
    a, b = np.asarray(x, dtype=np.float64)[:, None], np.asarray(y, dtype=np.float64)[None]
    return (a > b) + 0.5 * (a == b)


def improvement(
    arm: Sequence[Values],
    base: Sequence[Values],
    *,
    level: float = LEVEL,
    draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Estimate:
    """P(X > Y) + P(X = Y) / 2, X a run of the arm and Y of the baseline, its mean over tasks.

    By task this is the Mann-Whitney U / (n_x n_y): all pairs of runs, not those of one seed. The
    interval resamples the runs of both arms each on its own, n - 1 of them (`bootstrap.resample`);
    where paired seeds make arms rise and fall together, it is wider than it need be. None where
    either arm has too few runs, or every pair goes one way.
    """
    won = [wins(x, y) for x, y in zip(arm, base, strict=True)]
    value, n = float(np.mean([w.mean() for w in won])), sum(len(x) for x in arm)
    if not all(is_honest([len(x) for x in runs]) for runs in (arm, base)):
        return Estimate(n, value)
    generator, drawn = np.random.default_rng(seed), np.zeros(draws)
    for w in won:
        x, y = (_shares_drawn(generator, size, draws) for size in w.shape)
        drawn += np.einsum("bi,ij,bj->b", x, w, y, optimize=True) / len(won)
    return percentile_interval(value, drawn, n, level)


def profile(
    arm: str, runs: Sequence[Values], taus: Sequence[float] = TAUS, level: float = LEVEL
) -> Profile:
    """The share of all N runs with a score > tau, and its Clopper-Pearson interval at each tau.

    With k of N above: low and high are the quantiles of Beta(k, N - k + 1) and Beta(k + 1, N - k).
    The band holds at each tau, not for the whole curve at once. It is no narrower than it should be
    for few runs, nor at shares of 0 and 1, where a bootstrap's has no width; tasks that differ only
    make it wider than need be (Hoeffding 1956). Scores better where lower have good arms' low.
    """
    values = np.concatenate([np.asarray(x, dtype=np.float64) for x in runs])
    n = len(values)
    above = n - np.searchsorted(np.sort(values), np.asarray(taus, dtype=np.float64), side="right")
    tail = (1 - level) / 2
    low = np.where(above > 0, betaincinv(np.maximum(above, 1), n - above + 1, tail), 0.0)
    high = np.where(above < n, betaincinv(above + 1, np.maximum(n - above, 1), 1 - tail), 1.0)
    shares = above / n
    return Profile(arm, tuple(taus), *(tuple(map(float, each)) for each in (shares, low, high)))


def _aggregate(arm: str, runs: list[np.ndarray], level: float, draws: int) -> Aggregate:
    def over(statistic) -> Estimate:
        return stratified(runs, statistic, level=level, draws=draws)

    return Aggregate(arm, sum(map(len, runs)), over(lambda x: x.mean(axis=-1)), over(iqm))


def _won(x: Values, y: Values) -> float:
    return float(wins(x, y).mean())


def _shares_drawn(generator: np.random.Generator, n: int, draws: int) -> np.ndarray:
    """How often each of n runs is among n - 1 drawn ones, as a share. (draws, n)"""
    size = max(1, n - 1)
    return generator.multinomial(size, np.full(n, 1 / n), draws) / size


def _finite(arm: str, task: str, values: Sequence[float]) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError(f"{arm}, {task}: a value is not a number; leave missing runs out")
    return x
